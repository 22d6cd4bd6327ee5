"""What the log is told of refused requests: each one's line, and once what concerns them all."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyCookies, CookiePolicy, get_current_user, start_session
from amplify_mw.log import Once
from amplify_mw.testing import LocalUserPool, signed_out
from tests.shells import ASGIShell, Ask, Got, Shell, WSGIShell

BEARER = {"Authorization": "Bearer some-secret-token"}


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")


def said(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == level]


class Door:
    """A site of which all is protected but `/open`, where the app itself asks for the user."""

    def __init__(self, shell: Shell, pool: LocalUserPool, **options: Any) -> None:
        config = pool.config(protect=["/*"], public=["/open"], **options)
        self._shell = shell
        self._app = shell.middleware(shell.app(lambda: get_current_user().username), config)

    def knock(self, path: str = "/", **facts: Any) -> Got:
        return self._shell.send(self._app, Ask(path, **facts))


def test_a_refusal_says_what_was_asked_for(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool)
    door.knock("/a", cookie="junk", method="PUT", mount="/shop", query="code=secret")
    door.knock("/open")
    assert said(caplog, "DEBUG") == [
        "cookie refused: malformed_token (PUT '/shop/a')",
        "answered 401: malformed_token (PUT '/shop/a')",
        "answered 401: no_session (GET '/open')",
    ]
    assert said(caplog, "WARNING") == []


ODD_PATHS = ["/\r\nadmin", "/\x1b[31m", "/\u202etxt", "/h\xf6", "/" + "x" * 100_000, "/'\"\\"]


@pytest.mark.parametrize("path", ODD_PATHS, ids=range(len(ODD_PATHS)))
def test_a_line_holds_nothing_that_could_be_misread(
    shell: Shell, pool: LocalUserPool, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = Door(shell, pool).knock(path, cookie="junk", method="GET\r\n", headers=BEARER)
    assert got.status == 401
    for record in caplog.records:
        assert record.getMessage().isascii()
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 600


@pytest.mark.parametrize("shell", [WSGIShell], indirect=True)
def test_a_path_that_is_no_utf_8_is_told_escaped(
    shell: WSGIShell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(protect=["/*"]))
    environ = {**shell.environ(Ask()), "PATH_INFO": "/\xff\xfe"}
    assert b"".join(app(environ, lambda *_: None))
    assert said(caplog, "DEBUG") == [r"answered 401: no_session (GET '/\xff\xfe')"]


@pytest.mark.parametrize("mounts", [[], ["/shop"]])
@pytest.mark.parametrize("path", ["", "/", "/a b", "/%61", "/%2561", "/h\xf6", "/a\\b", "/a?b"])
def test_all_lines_of_a_request_have_its_path_in_one_spelling(
    shell: Shell,
    pool: LocalUserPool,
    path: str,
    mounts: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(shell, pool, mount=mounts)
    for mount in ("", "/shop"):
        caplog.clear()
        door.knock(path, cookie="junk", mount=mount)
        cookie, answer = said(caplog, "DEBUG")
        assert cookie.partition("(")[2] == answer.partition("(")[2]


# Another app client, another issuer.


def test_another_app_client_is_said_once_with_both_ids(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool, client_id="the-right-one")
    for _ in range(3):
        assert door.knock("/a", cookie=pool.mint("ada")).status == 401
    [text] = said(caplog, "WARNING")
    assert text == (
        "a token was refused (wrong_client): it claims to be of app client "
        f"'{pool.client_id}', and those that count are of 'the-right-one' (GET '/a'); correct "
        "client_id, or, if another site of this host name has set the cookie, give yours a name "
        "of its own"
    )
    quiet = f"cookie refused: wrong_client, claims '{pool.client_id}' (GET '/a')"
    assert said(caplog, "DEBUG").count(quiet) == 3


def test_another_issuer_is_said_once_with_both(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    with LocalUserPool(user_pool_id="eu-west-1_Other0001") as other:
        other.add_user("ada")
        token = other.mint("ada")
    door = Door(shell, pool)
    for _ in range(3):
        door.knock(cookie=token)
    [text] = said(caplog, "WARNING")
    assert f"claims to be of issuer '{other.issuer}', and those that count are of" in text
    assert f"'{pool.issuer}'" in text
    assert "correct user_pool_id" in text
    assert not [part for part in token.split(".") if part in caplog.text]


def test_amplify_cookies_of_another_clients_token_are_said(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool, session=AmplifyCookies(), client_id=["one", "two"])
    token = pool.mint("ada", "access", claims={"client_id": "two"})
    names = "CognitoIdentityServiceProvider.one"
    door.knock(cookies=f"{names}.LastAuthUser=ada; {names}.ada.accessToken={token}")
    [text] = said(caplog, "WARNING")
    assert "claims to be of app client 'two', and those that count are of 'one' or 'two'" in text


def test_tokens_of_another_client_that_an_app_starts_a_session_with_are_said(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = pool.sign_in("ada")
    start = shell.app(lambda: str(start_session(tokens)))
    app = shell.middleware(start, pool.config(client_id="the-right-one"))
    for _ in range(2):
        assert shell.send(app, Ask()).status == 401
    [text] = said(caplog, "WARNING")
    assert f"of app client '{pool.client_id}', and those" in text
    assert "are of 'the-right-one' (start_session)" in text


def test_a_flood_of_made_up_ids_is_bounded(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool)
    for number in range(40):
        door.knock(cookie=pool.mint("ada", claims={"iss": f"{number}\r\n" + "x" * 4000}))
    loud = said(caplog, "WARNING")
    assert len(loud) == 4
    assert all(len(text) < 700 and text.isprintable() and text.isascii() for text in loud)


def test_an_issuer_that_is_no_text_does_no_harm(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    for issuer in (None, 1, ["a"], {"a": 1}, ""):
        token = pool.mint("ada", claims={"iss": issuer})
        assert Door(shell, pool).knock(cookie=token).status == 401
    assert said(caplog, "WARNING") == []


# A cookie of another name.

HOST_PREFIXED = CookiePolicy.host_prefixed()


@pytest.mark.parametrize(
    ("policy", "sent", "name"),
    [
        (HOST_PREFIXED, "amplify-session=secret", "amplify-session"),
        (HOST_PREFIXED, "a=b; amplify-session.0=secret", "amplify-session"),
        (HOST_PREFIXED, "a=b;\t__Secure-amplify-session =secret", "__Secure-amplify-session"),
        (CookiePolicy(), "__Host-amplify-session=secret", "__Host-amplify-session"),
        (CookiePolicy(name="sid"), "__Host-sid=secret", "__Host-sid"),
        (CookiePolicy(name="sid"), "amplify-session=secret", "amplify-session"),
    ],
)
def test_a_session_cookie_of_another_name_is_said_once(
    shell: Shell,
    pool: LocalUserPool,
    policy: CookiePolicy,
    sent: str,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(shell, pool, cookie=policy)
    for path in ("/", "/open"):
        assert door.knock(path, cookies=sent).status == 401
    [text] = said(caplog, "WARNING")
    assert text.startswith(f"nobody is signed in, and a cookie '{name}' was sent; the session is ")
    assert f"read from '{policy.name}' (GET '/')" in text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        "x-amplify-session=a",
        "amplify-session-2=a",
        "theme=amplify-session=a",
        "amplify-session",
        "amplify-session.x=a",
    ],
)
def test_what_is_merely_similar_is_none(
    shell: Shell, pool: LocalUserPool, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    Door(shell, pool, cookie=HOST_PREFIXED).knock(cookies=sent)
    assert said(caplog, "WARNING") == []


def test_a_front_ends_cookies_of_another_client_are_said(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool, session=AmplifyCookies())
    sent = "CognitoIdentityServiceProvider.former.LastAuthUser=ada"
    for _ in range(2):
        door.knock(cookies=sent)
    [text] = said(caplog, "WARNING")
    assert "which claim to be of app client 'former'" in text
    assert f"'CognitoIdentityServiceProvider.{pool.client_id}'" in text
    assert "ada" not in caplog.text


def test_a_front_ends_cookies_that_no_kind_reads_are_said(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    sent = f"CognitoIdentityServiceProvider.{pool.client_id}.LastAuthUser=ada"
    Door(shell, pool).knock(cookies=sent)
    [text] = said(caplog, "WARNING")
    assert "write session=AmplifyCookies() to read them" in text


def test_cookies_that_are_read_are_not_told_of(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"CognitoIdentityServiceProvider.{pool.client_id}"
    both = f"{name}.LastAuthUser=ada; CognitoIdentityServiceProvider.other.LastAuthUser=ada"
    Door(shell, pool, session=AmplifyCookies()).knock(cookies=both)
    assert said(caplog, "WARNING") == []


def test_a_cookie_that_a_middleware_further_out_reads_is_not_told_of(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    inner = shell.middleware(
        shell.app(lambda: "home"), pool.config(protect=["/*"], cookie=CookiePolicy(name="inner"))
    )
    app = shell.middleware(inner, pool.config())
    assert shell.send(app, Ask(cookie=pool.mint("ada"))).status == 401
    assert said(caplog, "WARNING") == []


# A header that nobody reads.


def test_a_bearer_header_is_said_once(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(shell, pool)
    for path in ("/api", "/open"):
        assert door.knock(path, headers={"Authorization": "bEARER some-secret-token"}).status == 401
    assert said(caplog, "WARNING") == [
        "nobody is signed in, and a request brought an Authorization: Bearer header, which is not "
        "read here; the session is read from 'amplify-session' (GET '/api'): if programs may send "
        "access tokens, write bearer=True"
    ]
    assert "secret" not in caplog.text


def test_nothing_is_said_where_somebody_is_signed_in_or_nothing_is_refused(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    cookies = f"amplify-session={pool.mint('ada')}; __Host-amplify-session=other"
    assert Door(shell, pool).knock(cookies=cookies, headers=BEARER).status == 200
    app = shell.middleware(shell.app(lambda: "home"), pool.config())
    shell.send(app, Ask(cookies="__Host-amplify-session=other", headers=BEARER))
    with signed_out():
        Door(shell, pool).knock(cookies="__Host-amplify-session=other", headers=BEARER)
    Door(shell, pool).knock(headers={"Authorization": "Basic YTpi"})
    assert said(caplog, "WARNING") == []


def test_a_websocket_that_is_refused_is_told_likewise(
    pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    shell = ASGIShell()
    app = shell.middleware(shell.app(lambda: "home"), pool.config(protect=["/*"]))
    scope = {**shell.scope(Ask("/chat", headers=BEARER)), "type": "websocket"}
    del scope["method"]

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        assert message["type"] == "websocket.close"

    asyncio.run(app(scope, receive, send))
    assert said(caplog, "DEBUG") == ["answered 401: no_session (GET '/chat')"]
    [text] = said(caplog, "WARNING")
    assert "Bearer" in text


@given(path=st.text(), method=st.text(max_size=30), cookies=st.binary(), authorization=st.binary())
@example(path="\U0010ffff" * 500, method="\U0010ffff" * 30, cookies=b"\xff", authorization=b"\xff")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_lines_are_short_and_plain(
    shell: Shell,
    pool: LocalUserPool,
    path: str,
    method: str,
    cookies: bytes,
    authorization: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.clear()
    headers = {"Authorization": "Bearer " + authorization.decode("latin-1")}
    facts = {"method": method, "cookies": cookies.decode("latin-1"), "headers": headers}
    got = Door(shell, pool).knock("/" + path.encode("utf-8", "replace").decode(), **facts)
    assert got.status == 401
    assert caplog.records
    for record in caplog.records:
        text = record.getMessage()
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 500 + 10 * (120 + 16)  # path and method, ten for each "\U0010ffff"


# What is said once.


def test_a_few_details_of_a_kind_are_said_once_each() -> None:
    once = Once()
    assert [once.is_first("a", str(number)) for number in range(6)] == [True] * 4 + [False] * 2
    assert (once.is_first("b"), once.is_first("b"), once.is_first("a", "0")) == (True, False, False)


def test_what_is_said_again_is_so_after_an_hour_or_when_the_clock_is_set_back() -> None:
    once = Once()
    times = [0.0, 3599.0, 3600.0, 0.0, 1.0]
    assert [once.is_news("a", now) for now in times] == [True, False, True, True, False]
