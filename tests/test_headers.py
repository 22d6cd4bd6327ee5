"""What a response's headers gain: the same for WSGI's text and for ASGI's bytes."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.web.cookies import CookieLine
from amplify_mw.web.headers import (
    OCTETS,
    TEXT,
    Spelling,
    varied,
    with_cookies,
    with_default_cookies,
)
from amplify_mw.web.requests import has_hopped, hops, request_header, request_path

NAME = "amplify-session"
CLEARING = f"{NAME}=; Max-Age=0; Path=/"
CHUNK = f"{NAME}.0=; Max-Age=0; Path=/"
LINES = [CookieLine(NAME, CLEARING), CookieLine(f"{NAME}.0", CHUNK)]

Headers = list[tuple[str, str]]
Lines = list[CookieLine]


class Writer:
    """The functions under test in one spelling, told and read in text."""

    def __init__(self, words: Spelling[Any], read: Callable[[Any], str]) -> None:
        self.words, self._read = words, read

    def write(self, headers: Headers) -> list[tuple[Any, Any]]:
        return [(self.words.write(name), self.words.write(value)) for name, value in headers]

    def read(self, headers: list[tuple[Any, Any]]) -> Headers:
        return [(self._read(name), self._read(value)) for name, value in headers]

    def with_default_cookies(self, headers: Headers, lines: Lines = LINES, **facts: Any) -> Headers:
        return self.read(with_default_cookies(self.write(headers), lines, self.words, **facts))

    def with_cookies(self, headers: Headers, lines: Lines = LINES, **facts: Any) -> Headers:
        return self.read(with_cookies(self.write(headers), lines, self.words, **facts))

    def varied(self, headers: Headers, *, signed_in: bool = False, **facts: Any) -> Headers:
        return self.read(varied(self.write(headers), self.words, signed_in=signed_in, **facts))


Way = Callable[..., Headers]
WRITERS = {"wsgi": Writer(TEXT, str), "asgi": Writer(OCTETS, lambda text: text.decode("latin-1"))}


@pytest.fixture(params=WRITERS)
def http(request: pytest.FixtureRequest) -> Writer:
    return WRITERS[request.param]


def values(headers: Headers, name: str) -> list[str]:
    return [value for header, value in headers if header.lower() == name]


def fields(headers: Headers, name: str) -> list[str]:
    """The members of a list header, however many lines it has (RFC 9110 5.6.1)."""
    members = [member.strip(" \t").lower() for member in ",".join(values(headers, name)).split(",")]
    return [member for member in members if member]


class TestVary:
    def test_an_answer_without_vary_gains_one(self, http: Writer) -> None:
        assert values(http.varied([("Content-Type", "text/html")]), "vary") == ["Cookie"]

    def test_cookie_joins_what_the_app_said(self, http: Writer) -> None:
        headers = http.varied([("Vary", "Accept-Encoding, Accept")])
        assert len(values(headers, "vary")) == 1
        assert fields(headers, "vary") == ["accept-encoding", "accept", "cookie"]

    @pytest.mark.parametrize(
        "said",
        [
            "Cookie",
            "cookie",
            "COOKIE",
            "Accept, Cookie",
            "cookie ,Accept",
            "\tCookie ",
            "a,,Cookie",
        ],
    )
    def test_cookie_is_never_named_twice(self, http: Writer, said: str) -> None:
        assert http.varied([("vArY", said)]) == [("vArY", said)]

    @pytest.mark.parametrize("said", ["*", " * ", "Accept, *", "*, Accept"])
    def test_a_star_already_covers_everything(self, http: Writer, said: str) -> None:
        assert http.varied([("Vary", said)]) == [("Vary", said)]

    @pytest.mark.parametrize("said", ["X-Cookie", "Cookie2", "Set-Cookie", "Coo kie", '"Cookie"'])
    def test_a_field_that_only_looks_like_it_does_not_count(self, http: Writer, said: str) -> None:
        assert fields(http.varied([("Vary", said)]), "vary") == [said.lower(), "cookie"]

    @pytest.mark.parametrize("said", ["", " ", "\t"])
    def test_an_empty_vary_becomes_cookie(self, http: Writer, said: str) -> None:
        assert http.varied([("Vary", said)]) == [("Vary", "Cookie")]

    def test_of_several_vary_headers_one_gains_cookie(self, http: Writer) -> None:
        headers = http.varied([("Vary", "Accept"), ("Vary", "Origin")])
        assert fields(headers, "vary").count("cookie") == 1
        assert len(values(headers, "vary")) == 2

    @pytest.mark.parametrize("later", ["Cookie", "Origin, cookie", "*"])
    def test_a_later_vary_header_that_names_it_is_seen(self, http: Writer, later: str) -> None:
        said = [("Vary", "Accept"), ("X-A", "b"), ("vary", later)]
        assert http.varied(said) == said

    def test_doing_it_twice_is_doing_it_once(self, http: Writer) -> None:
        once = http.varied([("Vary", "Accept")], signed_in=True)
        assert http.varied(once, signed_in=True) == once


class TestPrivate:
    def test_a_signed_in_answer_that_says_nothing_of_caches_is_private(self, http: Writer) -> None:
        assert values(http.varied([], signed_in=True), "cache-control") == ["private"]

    def test_it_is_stored_nowhere_where_that_is_asked_for(self, http: Writer) -> None:
        headers = http.varied([], signed_in=True, no_store=True)
        assert values(headers, "cache-control") == ["no-store"]

    @pytest.mark.parametrize("no_store", [False, True])
    @pytest.mark.parametrize("said", ["public, max-age=60", "no-cache", "private, max-age=5", ""])
    def test_what_the_app_said_of_caches_stays(
        self, http: Writer, said: str, no_store: bool
    ) -> None:
        headers = http.varied([("cache-CONTROL", said)], signed_in=True, no_store=no_store)
        assert values(headers, "cache-control") == [said]

    @pytest.mark.parametrize("no_store", [False, True])
    def test_an_anonymous_answer_stays_cacheable(self, http: Writer, no_store: bool) -> None:
        headers = http.varied([], signed_in=False, no_store=no_store)
        assert values(headers, "cache-control") == []


AHEAD = '"prefetchCache", "prerenderCache"'


class TestClearSiteData:
    """What the browser fetched ahead is forgotten where a session begins or ends."""

    @pytest.mark.parametrize("way", [Writer.with_cookies, Writer.with_default_cookies])
    def test_what_was_fetched_ahead_is_cleared(self, http: Writer, way: Way) -> None:
        assert values(way(http, [], forgets=True), "clear-site-data") == [AHEAD]

    @pytest.mark.parametrize("way", [Writer.with_cookies, Writer.with_default_cookies])
    def test_unless_the_session_goes_on(self, http: Writer, way: Way) -> None:
        assert values(way(http, []), "clear-site-data") == []

    @pytest.mark.parametrize(
        ("said", "becomes"),
        [
            ('"cache"', f'"cache", {AHEAD}'),
            (' "cache","storage"\t', f'"cache","storage", {AHEAD}'),
            ('"prefetchCache"', '"prefetchCache", "prerenderCache"'),
            (AHEAD, AHEAD),
            ('"prerenderCache", "cache"', '"prerenderCache", "cache", "prefetchCache"'),
            ('"*"', f'"*", {AHEAD}'),
            ("prefetchCache", f"prefetchCache, {AHEAD}"),  # without quotes it does nothing
            ("", AHEAD),
        ],
    )
    def test_what_the_app_clears_itself_is_added_to(
        self, http: Writer, said: str, becomes: str
    ) -> None:
        headers = [("X-A", "1"), ("CLEAR-site-data", said), ("X-B", "2")]
        result = http.with_cookies(headers, forgets=True)
        assert result[:3] == [("X-A", "1"), ("CLEAR-site-data", becomes), ("X-B", "2")]
        assert values(result, "clear-site-data") == [becomes]

    def test_of_several_headers_one_is_added_to(self, http: Writer) -> None:
        said = [("Clear-Site-Data", '"cache"'), ("Clear-Site-Data", '"prerenderCache"')]
        result = values(http.with_cookies(said, forgets=True), "clear-site-data")
        assert result == ['"cache", "prefetchCache"', '"prerenderCache"']

    def test_where_the_app_sets_the_cookie_itself_nothing_is_touched(self, http: Writer) -> None:
        said = [("Set-Cookie", f"{NAME}=a"), ("Clear-Site-Data", '"cache"')]
        assert http.with_default_cookies(said, forgets=True) == said


ANOTHER_COOKIE = [
    f"x{NAME}=a",
    f"{NAME}-2=a",
    f"{NAME}.00=a",
    f"{NAME.upper()}=a",
    f"\xa0{NAME}=a",
    f"theme={NAME}=a",
    f"theme=a; {NAME}=b",
    f"__Host-{NAME}=a",
    "",
]
OUR_COOKIE = [
    f"{NAME}=new; Path=/",
    f" {NAME} =new",
    f"{NAME}=",
    f"{NAME}=; Max-Age=0",
    f"{NAME}=a=b",
    f"{NAME}.0=a",
]


@pytest.mark.parametrize("way", [Writer.with_cookies, Writer.with_default_cookies])
class TestCookies:
    def test_they_are_added_in_order_and_the_answer_not_stored(
        self, http: Writer, way: Way
    ) -> None:
        headers = way(http, [("Content-Type", "text/html")])
        assert values(headers, "set-cookie") == [CLEARING, CHUNK]
        assert values(headers, "cache-control") == ["no-store"]

    @pytest.mark.parametrize("said", ["public", "public, s-maxage=600", "max-age=60", "private"])
    def test_no_store_overrules_the_app(self, http: Writer, way: Way, said: str) -> None:
        headers = way(http, [("Cache-Control", said), ("CACHE-CONTROL", "s-maxage=9")])
        assert values(headers, "cache-control") == ["no-store"]

    def test_other_headers_keep_order_and_spelling(self, http: Writer, way: Way) -> None:
        said = [("X-B", "1"), ("x-a", "2"), ("Set-Cookie", "theme=dark"), ("X-B", "3")]
        assert way(http, [*said[:2], ("Cache-Control", "public"), *said[2:]])[:4] == said

    @pytest.mark.parametrize("said", ANOTHER_COOKIE)
    def test_another_cookie_of_the_app_stays_beside_them(
        self, http: Writer, way: Way, said: str
    ) -> None:
        headers = way(http, [("Set-Cookie", said)])
        assert values(headers, "set-cookie") == [said, CLEARING, CHUNK]

    def test_only_set_cookie_headers_count(self, http: Writer, way: Way) -> None:
        said = [("X-Set-Cookie", f"{NAME}=a"), ("Cookie", f"{NAME}=a")]
        headers = way(http, said)
        assert headers[:2] == said
        assert values(headers, "set-cookie") == [CLEARING, CHUNK]

    def test_setting_them_twice_is_setting_them_once(self, http: Writer, way: Way) -> None:
        assert in_lower_case(way(http, way(http, []))) == in_lower_case(way(http, []))

    def test_an_answer_that_varies_and_clears_is_not_stored(self, http: Writer, way: Way) -> None:
        headers = way(http, http.varied([], signed_in=True))
        assert values(headers, "cache-control") == ["no-store"]
        assert values(headers, "vary") == ["Cookie"]

    def test_without_lines_nothing_changes(self, http: Writer, way: Way) -> None:
        said = [("Cache-Control", "public"), ("Set-Cookie", f"{NAME}=a")]
        assert way(http, said, []) == said


@pytest.mark.parametrize("said", OUR_COOKIE)
@pytest.mark.parametrize("header", ["Set-Cookie", "set-cookie", "SET-COOKIE"])
class TestTheAppsOwnCookie:
    def test_wins_over_what_is_done_unasked(self, http: Writer, header: str, said: str) -> None:
        headers = [("Cache-Control", "public"), (header, "theme=dark"), (header, said)]
        assert http.with_default_cookies(headers) == headers

    def test_is_replaced_where_the_app_asked(self, http: Writer, header: str, said: str) -> None:
        headers = http.with_cookies([(header, said), (header, "theme=dark"), (header, said)])
        assert values(headers, "set-cookie") == ["theme=dark", CLEARING, CHUNK]


REQUESTS: dict[str, Callable[[str, str], object]] = {
    "wsgi": lambda name, value: {"HTTP_" + name.upper().replace("-", "_"): value, "a": "b"},
    "asgi": lambda name, value: [
        (b"a", b"b"),
        (name.lower().encode("ascii"), value.encode("latin-1")),
    ],
}


class TestHops:
    @pytest.mark.parametrize(
        ("sent", "count"),
        [
            (None, 0),
            (b"", 0),
            (b"amplify-hop=1", 1),
            (b"theme=dark; amplify-hop=7 ", 7),
            (b"a=b,amplify-hop=3", 3),  # a server has joined two fields
            (b"amplify-hop=1; amplify-hop=4", 4),
            (b"amplify-hop=4; amplify-hop=1", 4),
            (b"amplify-hop=019", 20),
            (b"amplify-hop=", 20),
            (b"amplify-hop=\xb2", 20),
            (b"amplify-hop", 0),
            (b"not-amplify-hop=3; x=amplify-hop=3", 0),
        ],
    )
    def test_the_cookie_says_how_many_there_were(self, sent: bytes | None, count: int) -> None:
        assert hops(sent) == count

    @given(st.binary(max_size=60))
    def test_it_is_a_count_whatever_is_sent(self, sent: bytes) -> None:
        for cookies in (sent, b"amplify-hop=" + sent):
            assert 0 <= hops(cookies) < 100


class TestRequestHeader:
    @pytest.mark.parametrize("shell", REQUESTS)
    @pytest.mark.parametrize("value", ["same-origin", "", "https://a.example", "caf\xe9, a"])
    def test_a_headers_value_is_found(self, shell: str, value: str) -> None:
        request = REQUESTS[shell]("Sec-Fetch-Site", value)
        assert request_header(request, "Sec-Fetch-Site") == [value]
        assert request_header(request, "sec-fetch-site") == [value]

    @pytest.mark.parametrize("shell", REQUESTS)
    def test_a_header_of_another_name_is_not(self, shell: str) -> None:
        assert request_header(REQUESTS[shell]("Origin", "null"), "Sec-Fetch-Site") == []

    def test_repeated_headers_are_all_given_in_order(self) -> None:
        headers = [(b"origin", b"null"), (b"Origin", b"https://a.example"), (b"origin", b"null")]
        assert request_header(headers, "Origin") == ["null", "https://a.example", "null"]

    @pytest.mark.parametrize("request_", [None, {}, [], ()])
    def test_without_a_request_there_is_no_value(self, request_: object) -> None:
        assert request_header(request_, "Origin") == []


def requests_for(url_path: str) -> dict[str, dict[str, Any]]:
    """What servers say of a request for a path."""
    decoded = unquote_to_bytes(url_path).decode("latin-1")  # PEP 3333: bytes as Latin-1
    cut = decoded.find("/", 1) if "/" in decoded[1:] else len(decoded)
    cut = cut if decoded[:cut].strip("/") else 0
    path = unquote(url_path)
    return {
        "wsgi": {"SCRIPT_NAME": "", "PATH_INFO": decoded},
        "wsgi, mounted": {"SCRIPT_NAME": decoded[:cut], "PATH_INFO": decoded[cut:]},
        "asgi": {"path": path, "raw_path": url_path.encode("ascii"), "query_string": b"a=b"},
        "asgi, mounted": {"path": path, "root_path": "/app", "raw_path": url_path.encode("ascii")},
        "asgi without raw_path": {"path": path},
        "asgi with none": {"path": path, "raw_path": None},
    }


class TestRequestPath:
    @pytest.mark.parametrize("script", ["", "/", "/$default"])
    def test_what_is_no_mount_is_not_in_front(self, script: str) -> None:
        assert request_path({"SCRIPT_NAME": script, "PATH_INFO": "/a"}) == "/a"

    @pytest.mark.parametrize("server", requests_for("/"))
    @pytest.mark.parametrize(
        "path", ["/", "/app", "/app/", "/app/x/y.html", "//", "/a%20b/%25", "/caf%C3%A9/%E6%9D%8E"]
    )
    def test_it_is_the_path_of_the_url(self, server: str, path: str) -> None:
        assert request_path(requests_for(path)[server]) == path

    @pytest.mark.parametrize("server", requests_for("/"))
    def test_what_may_stand_in_a_path_is_not_encoded(self, server: str) -> None:
        path = "/!$&'()*+,:;=@-._~/x"
        assert request_path(requests_for(path)[server]) == path

    @pytest.mark.parametrize("server", [name for name in requests_for("/") if "raw" not in name])
    def test_no_query_is_part_of_it(self, server: str) -> None:
        request = requests_for("/app")[server] | {"QUERY_STRING": "a=/b", "query_string": b"a=/b"}
        assert request_path(request) == "/app"

    def test_a_query_that_a_server_puts_into_the_raw_path_is_not_either(self) -> None:
        request = {"path": "/caf\u00e9?", "raw_path": b"/caf%C3%A9%3F?code=secret?"}
        assert request_path(request) == "/caf%C3%A9%3F"

    @pytest.mark.parametrize("request_", [{}, {"raw_path": b""}, {"path": "/", "raw_path": b""}])
    def test_where_nothing_is_said_it_is_the_root(self, request_: dict[str, Any]) -> None:
        assert request_path(request_) == "/"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: f"/{text}"))
def test_every_server_says_the_same_path(text: str) -> None:
    path = quote(text, safe="/!$&'()*+,:;=@~")
    assert {request_path(request) for request in requests_for(path).values()} == {path}


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_wsgi_path_is_anything_but_printable_ascii(mount: str, path: str) -> None:
    found = request_path({"SCRIPT_NAME": mount, "PATH_INFO": path})
    assert found.isascii()
    assert found.isprintable()
    assert not set(found) & set(' "<>?#')


PIECE = st.sampled_from(["Cookie", "cookie", "*", ",", " ", "\t", "Accept", "=", NAME, ";", "\xe9"])
VALUE = st.lists(PIECE, max_size=5).map("".join)
HEADER = st.sampled_from(
    ["Vary", "vary", "Cache-Control", "Set-Cookie", "set-cookie", "X-A", "Clear-Site-Data"]
)
HEADERS = st.lists(st.tuples(HEADER, VALUE), max_size=6)


@pytest.mark.parametrize("shell", WRITERS)
@settings(deadline=None)
@given(said=HEADERS, signed_in=st.booleans())
def test_the_apps_list_is_never_changed_in_place(
    shell: str, said: Headers, signed_in: bool
) -> None:
    http = WRITERS[shell]
    headers, words = http.write(said), http.words
    result = varied(headers, words, signed_in=signed_in)
    for way in (with_cookies, with_default_cookies):
        way(result, LINES, words, forgets=True)
        way(headers, LINES, words, forgets=True)
    assert http.read(headers) == said
    assert result is not headers


@settings(deadline=None)
@given(said=HEADERS, signed_in=st.booleans())
def test_vary_always_covers_cookie_and_gains_at_most_one(said: Headers, signed_in: bool) -> None:
    before = fields(said, "vary")
    after = fields(WRITERS["asgi"].varied(said, signed_in=signed_in), "vary")
    assert "cookie" in after or "*" in after
    assert sorted(after) == sorted(before if {"cookie", "*"} & set(before) else [*before, "cookie"])


@settings(deadline=None)
@given(said=HEADERS, signed_in=st.booleans())
def test_both_spellings_say_the_same(said: Headers, signed_in: bool) -> None:
    wsgi, asgi = WRITERS["wsgi"], WRITERS["asgi"]
    assert in_lower_case(wsgi.varied(said, signed_in=signed_in)) == in_lower_case(
        asgi.varied(said, signed_in=signed_in)
    )
    for way in (Writer.with_cookies, Writer.with_default_cookies):
        assert in_lower_case(way(wsgi, said, forgets=True)) == in_lower_case(
            way(asgi, said, forgets=True)
        )


def in_lower_case(headers: Headers) -> Headers:
    return [(name.lower(), value) for name, value in headers]


def test_each_shell_writes_names_as_its_servers_expect() -> None:
    assert WRITERS["wsgi"].varied([], signed_in=True) == [
        ("Vary", "Cookie"),
        ("Cache-Control", "private"),
    ]
    assert WRITERS["asgi"].varied([], signed_in=True) == [
        ("vary", "Cookie"),
        ("cache-control", "private"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        b"amplify-hop=1",
        b"a=b; amplify-hop=1",
        b"a=b;\t amplify-hop = 1; c=d",
        b"a=b, amplify-hop=1",  # fields that a server has joined
        b"a=b,amplify-hop=1",
    ],
)
def test_a_hop_is_told_by_its_cookies_name(header: bytes) -> None:
    assert has_hopped(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"amplify-hop",
        b"my-amplify-hop=1",
        b"a=b; xamplify-hop=1",
        b"a=amplify-hop=1",
        b"a=b amplify-hop=1",
        b"note=see amplify-hop=1; c=d",
        b"amplify-hop2=1",
        b"amplify-hop.1=1",
        b"AMPLIFY-HOP=1",
        b"a=\xa0amplify-hop=1",
    ],
)
def test_what_looks_like_a_hops_cookie_is_none(header: bytes | None) -> None:
    assert not has_hopped(header)


@pytest.mark.parametrize(
    "unit", [b"; ", b" ", b",\t", b"amplify-hop", b"amplify-hop ", b"; amplify"]
)
def test_a_long_header_is_searched_for_a_hop_in_linear_time(unit: bytes) -> None:
    assert not has_hopped(unit * (1_000_000 // len(unit)))  # a quadratic search does not come back


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"amplify-hop", b"=", b";", b"; ", b"a", b" "])).map(b"".join))
def test_a_hop_is_found_as_the_rules_of_cookies_say(header: bytes) -> None:
    names = [pair.partition(b"=") for pair in header.split(b";")]
    found = any(equals and name.strip(b" \t") == b"amplify-hop" for name, equals, _ in names)
    assert has_hopped(header) is found
