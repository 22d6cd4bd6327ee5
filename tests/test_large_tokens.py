"""Users in many groups, whose tokens are large: they work where they fit, and are nobody else's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from amplify_mw import (
    AmplifyCookies,
    ConfigurationError,
    SealedSession,
    SessionTooLargeError,
    StoredSession,
    TokenSession,
)
from amplify_mw.cognito import verifier
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import Body, LocalUserPool
from tests.amplify import cookies_of
from tests.routes.going import Visitor, auth_routes, code_of
from tests.shells import AwaitingShell, WSGIShell, shells
from tests.sites import HOUR, KEYS, NAME, Browser, Build, Clock, Site

APIS = ["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]
GROUPS = [f"group-{number:03}-".ljust(128, "x") for number in range(100)]  # Cognito's most
TOO_LARGE = "NetworkError token_too_large"


shell = shells(WSGIShell, AwaitingShell)


@pytest.fixture
def pool_options(rotates: bool) -> dict[str, Any]:
    return {"rotate_refresh_tokens": rotates}


@pytest.fixture
def pool(pool: LocalUserPool) -> LocalUserPool:
    """A pool with `ada`, `grace`, and `linus` of many groups."""
    pool.add_user("linus", groups=GROUPS)
    return pool


@pytest.fixture
def rotates() -> bool:
    return False


def small(site: Site, name: str) -> Any:
    """Tokens of a user from before there were groups."""
    with (
        site.pool.tamper("id", claims={"cognito:groups": None}),
        site.pool.tamper("access", claims={"cognito:groups": None}),
    ):
        return site.pool.sign_in(name)


def sign_in_small(site: Site, name: str) -> Browser:
    browser = site.browser()
    assert browser.does(site.start(small(site, name))).body == name
    return browser


def who_and_groups(site: Site) -> Callable[[], object]:
    def tell() -> object:
        tokens = site.verbs.fetch_auth_session().tokens
        groups = tokens.id_token.payload.get("cognito:groups", [])
        return f"{site.verbs.get_current_user().username} {len(groups)}"

    return tell


# --- where they fit


@pytest.mark.parametrize("kind", ["memory", "sqlite", "sealed"])
@pytest.mark.parametrize("api", APIS)
def test_tokens_of_many_groups_work_where_they_fit(
    build: Build, clock: Clock, tmp_path: Any, kind: str, api: str
) -> None:
    kinds: dict[str, Callable[[], Any]] = {
        "memory": lambda: StoredSession(MemoryStore(clock=clock)),
        "sqlite": lambda: StoredSession(SQLiteStore(tmp_path / "sessions.db", clock=clock)),
        "sealed": lambda: SealedSession(keys=KEYS[:1], max_bytes=32_000),
    }
    site = build(kinds[kind](), refresh_api=api)
    browser = site.browser()
    tokens = site.pool.sign_in("linus")
    assert len(tokens.id_token) > 15_000
    assert browser.does(site.start(tokens), who_and_groups(site)).body == "linus, linus 100"
    assert browser.does(who_and_groups(site)).body == "linus 100"
    assert browser.does(site.refresh).body.startswith("ey")
    clock.advance(HOUR)
    assert browser.does(who_and_groups(site)).body == "linus 100"


def test_the_sign_in_routes_take_them(build: Build) -> None:
    visitor = Visitor(build(routes=auth_routes()))
    assert visitor.sign_in("linus").status == 200
    assert visitor.user == "linus"


def test_a_session_that_grows_goes_on(build: Build) -> None:
    site = build()
    browser = sign_in_small(site, "linus")
    assert browser.does(who_and_groups(site)).body == "linus 0"
    assert browser.does(site.refresh).body.startswith("ey")
    assert browser.does(who_and_groups(site)).body == "linus 100"


@pytest.mark.parametrize("size", [65_537, 150_000])
def test_how_long_a_token_may_be_can_be_chosen(build: Build, clock: Clock, size: int) -> None:
    site = build(StoredSession(MemoryStore(clock=clock), max_token_bytes=250_000))
    browser = site.browser()
    with site.pool.tamper("id", claims={"custom:x": "y" * size}):
        tokens = site.pool.sign_in("ada")
    assert browser.does(site.start(tokens)).body == "ada"
    assert browser.does().body == "ada"


@pytest.mark.parametrize("size", [None, "large", True, 0, 4095, 262_145, float("nan")])
def test_a_length_that_cannot_work_is_refused_at_once(size: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"max_token_bytes: write a number from 4,096"):
        StoredSession(MemoryStore(), max_token_bytes=size)


# --- where they do not


def refused(site: Site, browser: Browser, tokens: Any) -> SessionTooLargeError:
    """What a session with such tokens is refused with."""
    caught: list[SessionTooLargeError] = []

    def handler() -> str:
        with pytest.raises(SessionTooLargeError) as error:
            site.start(tokens)()
        caught.append(error.value)
        return "refused"

    got = browser.ask(handler)
    assert (got.body, got.all("set-cookie")) == ("refused", [])
    return caught[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda clock: StoredSession(MemoryStore(clock=clock), max_token_bytes=8192),
        lambda _: SealedSession(keys=KEYS[:1], max_bytes=1024),
        lambda _: TokenSession(),
        lambda _: AmplifyCookies(),
    ],
    ids=["stored", "sealed", "token", "amplify"],
)
def test_a_sign_in_that_does_not_fit_is_an_error_that_names_the_sizes(
    build: Build, clock: Clock, make: Any
) -> None:
    site = build(make(clock))
    browser = site.browser()
    error = refused(site, browser, site.pool.sign_in("linus"))
    assert error.size > error.limit > 0
    assert all(str(number) in str(error) for number in (error.size, error.limit))
    assert site.pool.requests == []


def test_the_sign_in_routes_say_that_it_does_not_fit(build: Build, clock: Clock) -> None:
    session = StoredSession(MemoryStore(clock=clock), max_token_bytes=8192)
    visitor = Visitor(build(session, routes=auth_routes(on_error="/sorry")))
    assert code_of(visitor.sign_in("linus")) == "session_too_large"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "answer", [None, {}, {"IdToken": "x.y.z", "AccessToken": "a b"}, {"IdToken": "x", "Acc": 7}]
)
def test_a_refresh_that_is_refused_for_what_it_holds_is_nobody_elses(
    build: Build, clock: Clock, api: str, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = StoredSession(MemoryStore(clock=clock), max_token_bytes=8192)
    site = build(session, refresh_api=api)
    browsers = {name: sign_in_small(site, name) for name in ("linus", "ada", "grace")}
    site.pool.requests.clear()
    asked = "token" if api == "oauth" else api

    def force(name: str) -> str:
        if name != "linus" or answer is None:
            return browsers[name].does(site.refresh).body
        body = answer if api != "oauth" else {"id_token": "x.y.z", "access_token": 7}
        body = body if api == "oauth" else {"AuthenticationResult": body}
        with site.pool.fault(asked, Body(json.dumps(body).encode())):
            return browsers[name].does(site.refresh).body

    expected = TOO_LARGE if answer is None else "NetworkError malformed_token"
    for name in ("ada", "linus", "ada", "grace", "linus", "ada"):
        got = force(name)
        assert got == expected if name == "linus" else got.startswith("ey")
    assert site.pool.requests == [asked] * 6  # nobody was told to wait
    assert [browser.does().body for browser in browsers.values()] == [*browsers]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert "does not answer" not in warned[0]
    assert ("8192 are allowed" in warned[0]) is (answer is None)


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", ["stored", "sealed", "coordinated"])
def test_tokens_that_do_not_fit_are_asked_for_now_and_then_and_used_when_they_fit_again(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str
) -> None:
    store = MemoryStore(clock=clock)
    makers: dict[str, Callable[[], Any]] = {
        "stored": lambda: StoredSession(store, max_token_bytes=8192),
        "sealed": lambda: SealedSession(keys=KEYS[:1]),
        "coordinated": lambda: SealedSession(keys=KEYS[:1], coordinator=store),
    }
    site = build(makers[kind]())
    browser = sign_in_small(site, "linus")
    large = {"custom:x": "y" * 60_000}
    with pool.tamper("id", claims=large):
        clock.advance(HOUR - 30)
        for _ in range(10):
            assert browser.does().body == "linus"  # on the tokens that are there
        assert pool.count(APIS[0]) == 1
        clock.advance(40)
        for _ in range(10):
            assert browser.does().body == TOO_LARGE
        assert pool.count(APIS[0]) == 2
    clock.advance(31)
    with (
        pool.tamper("id", claims={"cognito:groups": None}),
        pool.tamper("access", claims={"cognito:groups": None}),
    ):
        assert browser.does().body == "linus"
    assert pool.count(APIS[0]) == 3


def test_a_sealed_session_that_has_outgrown_its_cookie_is_told_once(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(SealedSession(keys=KEYS[:1], max_bytes=4096))
    random = "".join(f"{number * 7919 % 10_007:x}" for number in range(3000))
    for _ in range(2):
        browser = sign_in_small(site, "ada")
        with site.pool.tamper("id", claims={"custom:x": random}):
            got = browser.does(site.refresh)
        assert (got.body[:2], got.all("set-cookie")) == ("ey", [])
        assert browser.does().body == "ada"
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "4096 are allowed" in text


# --- what a flood of junk costs is as bounded as before


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the tokens were that have been taken apart."""
    lengths: list[int] = []
    parse = verifier.parse_token

    def note(token: bytes) -> Any:
        lengths.append(len(token))
        return parse(token)

    monkeypatch.setattr(verifier, "parse_token", note)
    return lengths


def test_a_cookie_longer_than_any_browser_keeps_is_not_taken_apart(
    build: Build, parsed: list[int]
) -> None:
    site = build(TokenSession())
    with site.pool.tamper("id", claims={"custom:x": "y" * 9000}):
        token = site.pool.sign_in("ada").id_token
    got = site.browser({NAME: token}).does()
    assert got.body == "NotAuthorizedException malformed_token"
    assert got.clears_cookie
    assert parsed == []


def test_of_amplifys_cookies_neither(build: Build, parsed: list[int]) -> None:
    site = build(AmplifyCookies())
    with site.pool.tamper("access", claims={"scope": "y" * 9000}):
        tokens = site.pool.sign_in("ada")
    got = site.browser(cookies_of(tokens)).does()
    assert (got.body, got.all("set-cookie")) == ("NotAuthorizedException malformed_token", [])
    assert parsed == []


def test_a_sealed_value_longer_than_its_cookies_is_not_opened(build: Build) -> None:
    site = build(SealedSession(keys=KEYS[:1]))
    browser = site.sign_in()
    head, *rest = browser.value.split(".")
    junk = ".".join([head, *rest[:2], "A" * 41_000, rest[3]])
    got = site.browser({NAME: junk}).does()
    assert got.body == "NotAuthorizedException invalid_session"
    assert got.clears_cookie
