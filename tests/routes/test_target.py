"""`?next=`: only pages of this very site, whatever the spelling."""

from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.routes.target import safe_target
from tests.routes.going import ORIGIN, auth_routes, is_here

ROUTES = frozenset(auth_routes().paths)
DEFAULT = "/home"

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example/..",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://app.example.com/",  # this site's own, but no path
    "http://app.example.com@evil.example",
    "//app.example.com@evil.example",
    "//user:secret@evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,hello",
    "evil.example",
    "@evil.example",
    ".evil.example",
    ":443/",
    "?next=//evil.example",
    "#//evil.example",
    "../evil",
    "*",
    "",
]
CONTROLS = [
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "/\x00/evil.example",
    "/\x0b/evil.example",
    "/\x1f/evil.example",
    "/\x7f/evil.example",
    "/\x85/evil.example",
    "/\u2028/evil.example",
    "/\u2029/evil.example",
    "/a\r\nSet-Cookie: a=b",
    "/a?b=\r\nLocation: //evil.example",
    "/a#b\n",
    "/\ud800",
    "/a?b=\udfff",
    "/\ud83d/\ude00",
]


def test_without_a_next_it_is_the_default() -> None:
    assert safe_target(None, ROUTES, DEFAULT) == DEFAULT


@pytest.mark.parametrize("wanted", ELSEWHERE + CONTROLS, ids=ascii)
def test_nobody_is_sent_elsewhere(wanted: str) -> None:
    assert safe_target(wanted, ROUTES, DEFAULT) == DEFAULT


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/\\evil.example", "/\t/evil.example", "/\n//evil.example"),
        *("/a\x00b", "/a\\..\\..//evil.example", "/a\r\nSet-Cookie: a=b", "/\udcff"),
    ],
    ids=ascii,
)
def test_an_encoded_path_is_read_as_often_as_somebody_might_decode_it(
    path: str, times: int
) -> None:
    text = path[1:]
    for _ in range(times):
        text = quote(text, safe="", errors="surrogateescape")
    assert safe_target("/" + text, ROUTES, DEFAULT) == DEFAULT


def test_what_is_encoded_too_often_to_be_read_is_refused() -> None:
    assert safe_target("/" + "%25" * 2 + "25" * 20 + "41", ROUTES, DEFAULT) == DEFAULT


@pytest.mark.parametrize(
    "wanted",
    [
        "/auth/sign-in",
        "/auth/sign-in?next=/auth/sign-in",
        "/auth/sign-out#top",
        "/auth/sign-up/",
        "/auth/sign-out//",
        "/auth//sign-out",
        "/auth/sign-in-callback?code=1&state=2",
        "/auth/sign-out-callback",
        "/./auth/sign-out",
        "/a/../auth/sign-out",
        "/auth/./sign-out",
        "/auth/x/../sign-out",
        "/a/%2e%2e/auth/sign-out",
        "/auth%2Fsign-out",
        "/%61uth/sign-out",
        "/%2561uth/sign-out",
        "/a/..%2fauth%2fsign%2dout",
        "/AUTH/sign-out",
        "/auth/Sign-Out",
        "/%41UTH/SIGN-OUT",
    ],
)
def test_nobody_is_sent_to_one_of_the_routes(wanted: str) -> None:
    assert safe_target(wanted, ROUTES, DEFAULT) == DEFAULT


@pytest.mark.parametrize("wanted", ["/auth", "/auth/other", "/auth/sign-in-help", "/sign-out"])
def test_their_neighbours_are_pages_like_any_other(wanted: str) -> None:
    assert safe_target(wanted, ROUTES, DEFAULT) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "/",
        "/orders?page=2&sort=-name",
        "/orders/17#lines",
        "/a?b#c?d",
        "/a?u=%2Forders%2F17",
        "/a?u=https://elsewhere.example/x",
        "/a?u=https%3A%2F%2Felsewhere.example%2F",
        "/a?text=two%20words&more=a+b",
        "/a?text=two%0Alines%5Cn",
        "/a?deep=%252525252525252F",
        "/a?q=100%",
        "/files/two%20words.txt",
        "/caf%C3%A9?q=%C3%A9",
        "/@ada/:id;v=1,2(3)!$&'*",
        "/a//b",
        "/a#%0A",
        "/?//evil.example",
    ],
)
def test_a_page_of_this_site_is_kept_as_it_is(wanted: str) -> None:
    assert safe_target(wanted, ROUTES, DEFAULT) == wanted


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ("/café?q=naïve#é", "/caf%C3%A9?q=na%C3%AFve#%C3%A9"),
        ("/😀", "/%F0%9F%98%80"),
        ("/two words", "/two%20words"),
        ('/a?q="<b>"', "/a?q=%22%3Cb%3E%22"),
    ],
)
def test_the_rest_is_written_as_a_browser_would(wanted: str, written: str) -> None:
    assert safe_target(wanted, ROUTES, DEFAULT) == written


@pytest.mark.parametrize("character", ["a", "é", "😀", '"'])
def test_a_target_is_at_most_2048_characters_as_it_is_written(character: str) -> None:
    size = len(quote(character))
    longest = "/" + character * (2047 // size)
    assert safe_target(longest, ROUTES, DEFAULT) == quote(longest)
    assert safe_target(longest + character, ROUTES, DEFAULT) == DEFAULT


TRICKY = st.text(st.sampled_from("/\\.:@?#%25cfF0d9aA \t\r\n\x00\x7fevil\ud800é\u2028;&="))


@settings(max_examples=200, deadline=None)
@given(TRICKY | TRICKY.map("/".__add__) | st.text(st.characters()).map("/".__add__))
def test_whatever_is_wanted_the_target_is_on_this_site(wanted: str) -> None:
    target = safe_target(wanted, ROUTES, DEFAULT)
    assert is_here(target)
    path = target.partition("?")[0].partition("#")[0]
    for _ in range(6):  # whoever decodes it, however often
        path = unquote(path)
        assert is_here(quote(path, safe="/\\%"))


@settings(deadline=None)
@given(TRICKY.map("/".__add__), st.sampled_from(sorted(ROUTES)))
def test_no_dot_segment_leads_to_a_route(start: str, route: str) -> None:
    target = safe_target(f"{start}/..{route}", ROUTES, DEFAULT)
    assert urlsplit(urljoin(ORIGIN, target)).path.lower() not in ROUTES


PLAIN = st.text(st.sampled_from("abcXYZ019-_~.!$&'()*+,;=:@/?"))


@settings(deadline=None)
@given(st.text(st.sampled_from("abcXYZ019-_~/"), min_size=1), PLAIN, PLAIN)
def test_an_ordinary_address_is_kept(path: str, query: str, fragment: str) -> None:
    wanted = f"/x{path}?{query}#{fragment}"
    assert safe_target(wanted, ROUTES, DEFAULT) == wanted
