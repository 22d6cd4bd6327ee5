"""Hostile parameters at the local user pool's domain: nothing breaks, nothing gets out."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.authorization import PARAMETERS
from tests.testing.asking import asked, client

MARKUP = """"'><script>alert(1)</script><img src=x onerror=alert(1)>&{style}"""
PATHS = ["/oauth2/authorize", "/login", "/signup", "/logout"]


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        pool.add_user(MARKUP, identity_provider=MARKUP)
        yield pool


@pytest.fixture(scope="module")
def browser() -> Iterator[httpx2.Client]:
    with client(follow_redirects=False) as browser:
        yield browser


def has_markup(text: str) -> bool:
    return "<script" in text or "<img" in text or "onerror=alert(1)>" in text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", [*PARAMETERS, "logout_uri", "unknown"])
def test_markup_stays_text(
    pool: LocalUserPool, browser: httpx2.Client, path: str, name: str
) -> None:
    answer = browser.get(asked(pool, path, **{name: MARKUP}))
    assert answer.status_code in {200, 302, 400}
    assert not has_markup(answer.text)
    assert not has_markup(answer.headers.get("location", ""))


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_markup_in_a_form_stays_text(
    pool: LocalUserPool, browser: httpx2.Client, path: str
) -> None:
    fields = {"username": MARKUP, "email": MARKUP, "password": MARKUP, "_csrf": MARKUP}
    url = asked(pool, path)
    browser.get(url)
    for token in (MARKUP, browser.cookies["local-pool-form"]):
        page = browser.post(url, data=fields | {"_csrf": token})
        assert page.status_code in {400, 403}
        assert "&lt;script&gt;" in page.text
        assert not has_markup(page.text)


def test_markup_in_names_and_cookies_stays_text(pool: LocalUserPool) -> None:
    for changes in ({}, {"identity_provider": MARKUP}):
        url = asked(pool, "/login", **changes)
        with client(headers={"Cookie": f'local-pool-form="{quote(MARKUP)}<script>"'}) as browser:
            page = browser.get(url)
        assert page.status_code == 200
        assert not has_markup(page.text)


@pytest.mark.parametrize("name", ["redirect_uri", "logout_uri"])
@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/\r\nSet-Cookie: a=b",
        "https://app.example/\nX: y",
        "https://app.example/\x00",
        "https://app.example/#fragment",
        "https://app.example/é",
        "https://app.example/;script-src *",
        "https://app.example\\@evil.example/",
        "https://[::1",
        "https://app.example:port/",
        "https://",
        "javascript:alert(1)",
        "data:text/html,x",
        "//app.example/",
        "/callback",
        "callback",
        "",
        "https://app.example/" + "a" * 5000,
    ],
)
def test_a_uri_that_is_none_leads_nowhere(
    pool: LocalUserPool, browser: httpx2.Client, name: str, uri: str
) -> None:
    path = "/logout" if name == "logout_uri" else "/login"
    answer = browser.get(asked(pool, path, **{"redirect_uri": None, name: uri}))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/cb", "http:"),
        ("https://user;script-src@app.example/", "https:"),
        ("https://app.example,evil;/", "https:"),
    ],
)
def test_a_uri_does_not_break_out_of_the_policy(
    pool: LocalUserPool, browser: httpx2.Client, uri: str, source: str
) -> None:
    headers = browser.get(asked(pool, "/login", redirect_uri=uri)).headers
    policy = headers["content-security-policy"].split("; ")
    assert f"form-action 'self' {source}" in policy
    assert len(policy) == 5


@pytest.mark.parametrize("state", ["a\r\nSet-Cookie: x=y", "a\x00b", "é\u2028", "&code=x", "#"])
def test_a_state_comes_back_as_it_was(pool: LocalUserPool, state: str) -> None:
    url = httpx2.URL(pool.authorize(asked(pool, state=state), "ada"))
    assert url.params["state"] == state
    assert set(url.params) == {"code", "state"}
    assert not url.fragment


def test_an_overlong_state_does_not_come_back(pool: LocalUserPool, browser: httpx2.Client) -> None:
    answer = browser.get(asked(pool, state="s" * 5000))
    url = httpx2.URL(answer.headers["location"])
    assert url.params["error"] == "invalid_request"
    assert "state" not in url.params


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_a_form_of_any_length_or_kind_is_answered(
    pool: LocalUserPool, browser: httpx2.Client, path: str
) -> None:
    url, long = asked(pool, path), {"username": "a" * 1_000_000}
    assert browser.post(url, data=long).status_code == 403
    assert browser.post(url, data=long, files={"file": b""}).status_code == 403
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post(url, content=b"username=\xff&%ff", headers=headers).status_code == 403


@pytest.mark.parametrize("query", ["%FF%FE", "client_id=%80&redirect_uri=%ED%A0%80", "&&&=&;"])
@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_no_text_are_a_bad_request(
    pool: LocalUserPool, browser: httpx2.Client, path: str, query: str
) -> None:
    assert browser.get(f"{pool.url}{path}?{query}").status_code == 400


VALUES = st.one_of(
    st.text(max_size=30).map(lambda text: text.encode(errors="surrogatepass")),
    st.binary(max_size=30),
    st.sampled_from([b"none", b"login", b"Google", b"0", b"code", b"https://app.example/"]),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=4))
def test_no_parameters_break_an_endpoint(
    pool: LocalUserPool, browser: httpx2.Client, path: str, changes: dict[str, bytes]
) -> None:
    answer = browser.get(f"{asked(pool, path)}&{urlencode(changes)}")
    assert answer.status_code in {200, 302, 400}
    plain = {"response_type": b"code", "client_id": b"local-client"}
    answer = browser.get(
        f"{pool.url}{path}?"
        f"{urlencode({**plain, 'redirect_uri': b'https://app.example/', **changes})}"
    )
    assert answer.status_code in {200, 302, 400}
    assert answer.headers.get("location", "https://app.example/").startswith(
        ("https://app.example/", "/login?")
    )
