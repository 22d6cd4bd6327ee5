"""Hostile parameters at the local user pool's domain: nothing breaks, nothing gets out."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.authorization import PARAMETERS
from tests.testing.asking import asked, call, client

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
    assert answer.headers["location"] == "/error?error=redirect_mismatch&client_id=local-client"
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
    location = browser.get(f"{pool.url}{path}?{query}").headers["location"]
    assert location.startswith("/error?error=invalid_request")
    assert browser.get(f"{pool.url}{location}").status_code == 400


def test_an_error_in_an_address_stays_text(pool: LocalUserPool, browser: httpx2.Client) -> None:
    page = browser.get(f"{pool.url}/error?{urlencode({'error': MARKUP})}")
    assert page.status_code == 400
    assert not has_markup(page.text)


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
        ("https://app.example/", "/login?", "/error?")
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = [
    *("AccessToken", "NextToken", "SessionId", "RevokeAssociatedSessions", "UserPoolId"),
    *("ClientId", "ClientSecret", "ClientSecretId", "RefreshToken", "Token"),
]


@pytest.fixture(scope="module")
def tracking() -> Iterator[LocalUserPool]:
    secret = "a_secret_of_24_characters_and_more"
    with LocalUserPool(track_sessions=True, client_secret=secret) as pool:
        pool.add_user("ada")
        yield pool


@settings(max_examples=150, deadline=None)
@given(
    operation=st.sampled_from(
        [
            *("ListUserSessions", "RevokeUserSession", "RevokeToken"),
            *("AddUserPoolClientSecret", "DeleteUserPoolClientSecret", "ListUserPoolClientSecrets"),
        ]
    ),
    wrong=st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=3),
    page=st.binary(max_size=40) | st.text(alphabet='[]{}1e9," -', max_size=20).map(str.encode),
)
def test_no_members_break_an_operation(
    tracking: LocalUserPool, operation: str, wrong: dict[str, Any], page: bytes
) -> None:
    tokens = tracking.sign_in("ada")
    body = {
        "AccessToken": tokens.access_token,
        "NextToken": urlsafe_b64encode(page).decode(),
        "SessionId": "tkn" + "q" * 25,
        "UserPoolId": tracking.user_pool_id,
        "ClientId": tracking.client_id,
        "ClientSecretId": "x",
        "Token": tokens.refresh_token,
    } | wrong
    answer = call(tracking, operation, **body)
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or answer.json()["__type"].endswith("Exception")


@pytest.mark.parametrize(
    "page", [b"[" + b"9" * 400 + b", 1]", b"[NaN, 1]", b"[1e999, 1]", b"[" * 9999]
)
def test_a_page_of_any_place_is_answered(tracking: LocalUserPool, page: bytes) -> None:
    token = tracking.sign_in("ada").access_token
    more = {"NextToken": urlsafe_b64encode(page).decode()}
    answer = call(tracking, "ListUserSessions", AccessToken=token, **more)
    assert answer.status_code in (200, 400)
