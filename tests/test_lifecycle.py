"""Starting, ending and listing sessions, as an app does it and as an attacker tries to."""

import asyncio
import json
import socket
import sqlite3
import threading
import time
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

import amplify_mw
from amplify_mw import (
    BlockingCallError,
    ConfigurationError,
    CookiePolicy,
    ForbiddenException,
    NotAuthorizedException,
    OutsideRequestError,
    ResponseStartedError,
    SessionInfo,
    StoredSession,
    TokenSession,
    TokenSet,
    aio,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.cognito.verifier import MAX_TOKEN_BYTES
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import CognitoError, Down, LocalUserPool, Status, signed_in, signed_out
from tests.patience import PATIENCE
from tests.shells import AppAnswer, ASGIShell, Ask, AwaitingShell, Got, Shell, WSGIShell, shells
from tests.sites import (
    DAY,
    HOUR,
    IN_COOKIE,
    KINDS,
    LASTING,
    NAME,
    STORED,
    Action,
    Browser,
    Build,
    Clock,
    Site,
    attributes,
    infos,
    outcome,
    session_of,
    town,
)

LATE = "ResponseStartedError"
SIGNED_OUT = "NotAuthorizedException no_session"


shell = shells(WSGIShell, ASGIShell, AwaitingShell)


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, build: Build) -> Site:
    """A site with any kind of session."""
    return build(request.param)


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest, build: Build) -> Site:
    """A site whose sessions are refreshed."""
    return build(request.param)


@pytest.fixture(params=STORED)
def stored(request: pytest.FixtureRequest, build: Build) -> Site:
    return build(request.param)


# --- starting


def test_a_started_session_holds_in_this_request_and_in_the_next(site: Site) -> None:
    browser = site.browser()
    assert browser.does(site.who, site.start(site.pool.sign_in("ada")), site.who).body == (
        f"{SIGNED_OUT}, ada, ada"
    )
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", KINDS)
def test_the_cookie_has_every_attribute(build: Build, kind: str) -> None:
    policy = CookiePolicy(path="/app", domain="example.com", same_site="Lax", partitioned=True)
    site = build(kind, cookie=policy)
    line = site.browser().does(site.start(site.pool.sign_in("ada"))).one("set-cookie")
    assert line is not None
    assert attributes(line) == {
        "path": "/app",
        "domain": "example.com",
        "samesite": "Lax",
        "secure": "",
        "httponly": "",
        "partitioned": "",
        "max-age": "86400" if kind == "token" else str(int(7 * DAY)),
    }


def test_a_response_that_starts_a_session_is_never_stored(site: Site) -> None:
    def handler() -> AppAnswer:
        site.start(site.pool.sign_in("ada"))()
        return AppAnswer(headers=[("Cache-Control", "public, max-age=60")])

    got = site.browser().ask(handler)
    assert (got.one("cache-control"), got.one("vary")) == ("no-store", "Cookie")


def test_a_started_session_replaces_the_apps_own_cookie_of_that_name(site: Site) -> None:
    def handler() -> AppAnswer:
        site.start(site.pool.sign_in("ada"))()
        return AppAnswer(headers=[("Set-Cookie", f"{NAME}=own"), ("Set-Cookie", "theme=dark")])

    lines = site.browser().ask(handler).all("set-cookie")
    assert [line.partition("=")[0] for line in lines] == ["theme", NAME]
    assert not lines[1].startswith(f"{NAME}=own")


def test_after_a_change_of_user_everything_is_the_new_ones(site: Site) -> None:
    def email() -> object:
        return site.verbs.fetch_user_attributes()["email"]

    def token_of() -> object:
        return site.verbs.fetch_auth_session().tokens.id_token.payload["cognito:username"]

    got = site.sign_in("grace").does(email, site.start(site.pool.sign_in("ada")), email, token_of)
    assert got.body == "grace@example.com, ada, ada@example.com, ada"


def cognitos_answer(pool: LocalUserPool) -> Any:
    """`AuthenticationResult`, as it comes over the wire."""
    parameters = {"USERNAME": "ada", "PASSWORD": "correct horse"}
    body = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": pool.client_id}
    request = urllib.request.Request(
        pool.url,
        json.dumps({**body, "AuthParameters": parameters}).encode(),
        {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["AuthenticationResult"]


def in_oauths_words(pool: LocalUserPool) -> dict[str, Any]:
    tokens = pool.sign_in("ada")
    return {
        "id_token": tokens.id_token,
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "token_type": "Bearer",
        "expires_in": 3600,
    }


@pytest.mark.parametrize("spell", [cognitos_answer, in_oauths_words])
def test_tokens_come_in_either_spelling(lasting: Site, spell: Callable[..., Any]) -> None:
    browser = lasting.browser()
    assert browser.does(lasting.start(spell(lasting.pool))).body == "ada"
    lasting.clock.advance(2 * HOUR)
    assert browser.does().body == "ada"  # the refresh token was understood, too


def test_a_session_without_a_refresh_token_ends_with_its_tokens(lasting: Site) -> None:
    browser = lasting.browser()
    tokens = replace(lasting.pool.sign_in("ada"), refresh_token=None)
    assert browser.does(lasting.start(tokens)).body == "ada"
    assert browser.does(lasting.refresh).body == "NotAuthorizedException not_refreshable"
    lasting.clock.advance(HOUR + 6)
    assert browser.does().body == "TokenExpiredException token_expired"


def same_user(pool: LocalUserPool, **facts: Any) -> TokenSet:
    """Ada's tokens, minted: the ID token as `facts` say."""
    return replace(pool.sign_in("ada"), id_token=pool.mint("ada", **facts))


NOT_AUTHORIZED = "NotAuthorizedException"
WRONG_TOKENS: dict[str, tuple[Callable[[LocalUserPool, TokenSet], Any], str]] = {
    "another user's access token": (
        lambda pool, ada: replace(ada, access_token=pool.sign_in("grace").access_token),
        f"{NOT_AUTHORIZED} token_mismatch",
    ),
    "another user's id token": (
        lambda pool, ada: replace(ada, id_token=pool.sign_in("grace").id_token),
        f"{NOT_AUTHORIZED} token_mismatch",
    ),
    "swapped": (
        lambda _, ada: replace(ada, id_token=ada.access_token, access_token=ada.id_token),
        f"{NOT_AUTHORIZED} wrong_token_use",
    ),
    "two id tokens": (
        lambda _, ada: replace(ada, access_token=ada.id_token),
        f"{NOT_AUTHORIZED} wrong_token_use",
    ),
    "an expired id token": (
        lambda pool, _: same_user(pool, expires_in=-60),
        "TokenExpiredException token_expired",
    ),
    "an expired access token": (
        lambda pool, ada: replace(ada, access_token=pool.mint("ada", "access", expires_in=-60)),
        "TokenExpiredException token_expired",
    ),
    "a forged id token": (
        lambda _, ada: replace(ada, id_token=ada.id_token[:-8] + "AAAAAAAA"),
        f"{NOT_AUTHORIZED} bad_signature",
    ),
    "a forged access token": (
        lambda _, ada: replace(ada, access_token=ada.access_token[:-8] + "AAAAAAAA"),
        f"{NOT_AUTHORIZED} bad_signature",
    ),
    "an unsigned token": (
        lambda pool, _: same_user(pool, algorithm="none"),
        f"{NOT_AUTHORIZED} unsupported_algorithm",
    ),
    "a foreign client's": (
        lambda pool, _: same_user(pool, client_id="another"),
        f"{NOT_AUTHORIZED} wrong_client",
    ),
    "a foreign pool's": (
        lambda pool, _: same_user(pool, issuer="https://cognito-idp.eu-west-1.amazonaws.com/x"),
        f"{NOT_AUTHORIZED} wrong_issuer",
    ),
    "no id token": (
        lambda _, ada: {"access_token": ada.access_token},
        f"{NOT_AUTHORIZED} missing_token",
    ),
    "no access token": (
        lambda _, ada: {"IdToken": ada.id_token, "AccessToken": None},
        f"{NOT_AUTHORIZED} missing_token",
    ),
    "an error's body": (lambda *_: {"error": "invalid_grant"}, f"{NOT_AUTHORIZED} missing_token"),
    "bytes": (
        lambda _, ada: replace(ada, id_token=ada.id_token.encode()),
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "no text": (
        lambda _, ada: {"id_token": 7, "access_token": ada.access_token},
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "not ascii": (
        lambda _, ada: replace(ada, access_token="sé.sa.me"),
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "an empty refresh token": (
        lambda _, ada: replace(ada, refresh_token=""),
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "too long a refresh token": (
        lambda _, ada: replace(ada, refresh_token="a" * (MAX_TOKEN_BYTES + 1)),
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "a refresh token with a line break": (
        lambda _, ada: replace(ada, refresh_token="a\r\nb"),
        f"{NOT_AUTHORIZED} malformed_token",
    ),
    "a token alone": (lambda _, ada: ada.id_token, "TypeError"),
    "nothing": (lambda *_: None, "TypeError"),
}


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
@pytest.mark.parametrize("kind", ["token", "memory"])
def test_wrong_tokens_are_refused_and_nothing_has_changed(
    build: Build, kind: str, wrong: str
) -> None:
    site = build(kind)
    make, refusal = WRONG_TOKENS[wrong]
    browser = site.sign_in("grace")
    got = browser.does(site.start(make(site.pool, site.pool.sign_in("ada"))), site.who)
    assert (got.body, got.all("set-cookie")) == (f"{refusal}, grace", [])
    site.settle()
    assert (browser.does().body, site.pool.requests) == ("grace", [])
    assert kind != "memory" or (len(site.kept("ada")), len(site.kept("grace"))) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_that_cannot_be_verified_now_change_nothing(build: Build, kind: str) -> None:
    site = build(kind, keys=None)
    with site.pool.fault("jwks", Down()):
        got = site.browser().does(site.start(site.pool.sign_in("ada")), site.who)
    assert got.body == f"NetworkError keys_unavailable, {SIGNED_OUT}"
    assert got.all("set-cookie") == []


def test_an_error_at_the_start_shows_no_token(site: Site) -> None:
    tokens = replace(site.pool.sign_in("ada"), access_token=site.pool.sign_in("grace").access_token)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        site.browser().ask(lambda: raising(site.start(tokens)))
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert not any(part in shown for part in tokens.id_token.split("."))
    assert not any(part in shown for part in tokens.access_token.split("."))


def raising(action: Callable[[], object]) -> str:
    """The action's result; its error, as one that no guard answers."""
    try:
        return str(action())
    except Exception as error:
        raise LookupError(repr(error), str(error)) from error


def test_a_token_that_no_cookie_holds_is_refused_before_the_headers_go(build: Build) -> None:
    site = build("token")
    browser = site.sign_in("grace")
    tokens = same_user(site.pool, claims={"custom:notes": "x" * 4000})
    got = browser.does(site.start(tokens), site.who)
    assert (got.body, got.all("set-cookie")) == ("SessionTooLargeError, grace", [])


def test_a_session_that_was_started_before_an_error_goes_on(site: Site) -> None:
    def handler() -> str:
        site.start(site.pool.sign_in("ada"))()
        raise ForbiddenException(reason="missing_group")

    browser = site.browser()
    assert browser.ask(handler).status == 403
    assert browser.does().body == "ada"


# --- the one that was there


def test_a_new_session_ends_the_one_that_was_there(lasting: Site) -> None:
    browser = lasting.sign_in()
    before = browser.copy()
    assert browser.does(lasting.start(lasting.pool.sign_in("grace"))).body == "grace"
    got = before.does()
    assert got.body.startswith("NotAuthorizedException")
    assert got.clears_cookie
    assert browser.does().body == "grace"


def test_the_store_keeps_nothing_of_the_one_that_was_there(stored: Site) -> None:
    browser = stored.sign_in()
    browser.does(stored.start(stored.pool.sign_in("grace")))
    assert (len(stored.kept("ada")), len(stored.kept("grace"))) == (0, 1)


def test_the_refresh_token_of_the_one_that_was_there_is_revoked(lasting: Site) -> None:
    browser, old = lasting.browser(), lasting.pool.sign_in("ada")
    browser.does(lasting.start(old))
    browser.does(lasting.start(lasting.pool.sign_in("ada")))
    lasting.settle()
    assert lasting.pool.count("RevokeToken") == 1
    lasting.clock.advance(2 * HOUR)
    assert browser.does().body == "ada"
    again = lasting.browser()
    fresh = lasting.pool.sign_in("ada")
    again.does(lasting.start(replace(fresh, refresh_token=old.refresh_token)))
    lasting.clock.advance(2 * HOUR)
    assert again.does().body == "NotAuthorizedException session_revoked"


def test_a_session_of_the_same_sign_in_revokes_nothing(lasting: Site) -> None:
    browser, tokens = lasting.browser(), lasting.pool.sign_in("ada")
    browser.does(lasting.start(tokens))
    before = browser.copy()
    browser.does(lasting.start(tokens))
    lasting.settle()
    assert lasting.pool.count("RevokeToken") == 0
    assert before.does().body.startswith("NotAuthorizedException")
    lasting.clock.advance(2 * HOUR)
    assert browser.does().body == "ada"


def test_started_twice_in_one_request_one_session_is_left(stored: Site) -> None:
    ada, grace = stored.pool.sign_in("ada"), stored.pool.sign_in("grace")
    browser = stored.browser()
    got = browser.does(stored.start(ada), stored.start(grace))
    assert len(got.all("set-cookie")) == 1
    assert (len(stored.kept("ada")), len(stored.kept("grace"))) == (0, 1)
    assert browser.does().body == "grace"


@pytest.mark.parametrize("chosen", ["A" * 43, "x", "", "a.b.c"])
def test_a_value_that_a_client_chose_is_never_adopted(lasting: Site, chosen: str) -> None:
    browser = lasting.browser({NAME: chosen})
    browser.does(lasting.start(lasting.pool.sign_in("ada")))
    assert browser.value != chosen
    assert lasting.browser({NAME: chosen}).does().body == "NotAuthorizedException invalid_session"


def test_a_planted_session_does_not_become_the_victims(lasting: Site) -> None:
    attacker = lasting.sign_in("grace")
    victim = attacker.copy()
    assert victim.does(lasting.start(lasting.pool.sign_in("ada"))).body == "ada"
    assert victim.value != attacker.value
    assert attacker.does().body.startswith("NotAuthorizedException")


def test_no_two_sessions_have_one_value(lasting: Site) -> None:
    tokens = lasting.pool.sign_in("ada")
    browsers = [lasting.browser() for _ in range(5)]
    for browser in browsers:
        browser.does(lasting.start(tokens))
    assert len({browser.value for browser in browsers}) == 5


# --- other sites' pages (login CSRF)

OWN, OTHER = "https://app.example.com", "https://evil.example"
PAGES = [  # Sec-Fetch-Site, Origin, the configured origins, whether it is foreign
    (None, None, [], False),  # no browser, or an old one's navigation
    ("same-origin", None, [], False),
    ("same-origin", OWN, [], False),
    ("none", None, [], False),  # typed, or a bookmark
    ("same-site", None, [], True),  # a sibling subdomain
    ("cross-site", None, [], True),
    ("cross-site", OTHER, [], True),
    ("cross-site", "null", [], True),  # a sandboxed frame, a data: page
    ("same-site", "https://other.example.com", [OWN], True),
    ("same-site", OWN, [OWN], False),  # another origin of one's own
    ("cross-site", OWN, [OWN], False),
    ("cross-site", OWN, [OTHER], True),
    (None, OWN, [OWN], False),
    (None, OWN, [], True),
    (None, OTHER, [OWN], True),
    (None, "null", [OWN], True),
    (None, "", [OWN], True),
    ("", None, [OWN], True),
    ("Same-Origin", OTHER, [OWN], True),  # no browser writes it so
    ("same-origin, cross-site", OTHER, [OWN], True),
    (None, f"{OWN}.evil.example", [OWN], True),
    (None, f"{OWN}, {OTHER}", [OWN], True),
    (None, OWN.upper(), [OWN], True),
    ("nonsense", None, [OWN], True),
]


def page(site_: str | None, origin: str | None) -> dict[str, str]:
    sent = {"Sec-Fetch-Site": site_, "Origin": origin}
    return {name: value for name, value in sent.items() if value is not None}


@pytest.mark.parametrize(("fetched", "origin", "origins", "is_foreign"), PAGES)
def test_only_ones_own_pages_start_and_end_sessions(
    build: Build, fetched: str | None, origin: str | None, origins: list[str], is_foreign: bool
) -> None:
    site = build("memory", origins=origins)
    headers = page(fetched, origin)
    starting = site.browser().does(site.start(site.pool.sign_in("ada")), headers=headers)
    browser = site.sign_in("grace")
    ending = browser.does(site.end(), headers=headers)
    if is_foreign:
        assert starting.body == ending.body == "ForbiddenException cross_site"
        assert starting.all("set-cookie") == ending.all("set-cookie") == []
        assert (len(site.kept("ada")), browser.does().body) == (0, "grace")
    else:
        assert (starting.body, ending.body) == ("ada", "None")
        assert (len(site.kept("ada")), browser.does().body) == (1, SIGNED_OUT)


@pytest.mark.parametrize(("fetched", "origin", "origins"), [page[:3] for page in PAGES if page[3]])
def test_where_any_site_may_none_is_foreign(
    build: Build, fetched: str | None, origin: str | None, origins: list[str]
) -> None:
    site = build("token", origins=origins)
    headers, browser = page(fetched, origin), site.browser()
    tokens = site.pool.sign_in("ada")
    assert browser.does(site.start(tokens, allow_cross_site=True), headers=headers).body == "ada"
    assert browser.does(site.end(allow_cross_site=True), headers=headers).clears_cookie


class TwoOrigins(ASGIShell):
    """A client that sends a good `Origin` and a foreign one."""

    def scope(self, ask: Ask) -> dict[str, Any]:
        scope = super().scope(ask)
        scope["headers"] += [(b"origin", OWN.encode()), (b"origin", OTHER.encode())]
        return scope


def test_every_origin_that_is_sent_must_be_ones_own(pool: LocalUserPool, clock: Clock) -> None:
    for origins, body in (([OWN], "ForbiddenException cross_site"), ([OWN, OTHER], "ada")):
        site = Site(TwoOrigins(), pool, clock, TokenSession(), origins=origins)
        assert site.browser().does(site.start(pool.sign_in("ada"))).body == body


def test_a_refused_page_is_answered_403_and_told_nothing_more(build: Build) -> None:
    site = build("memory")
    handler = lambda: str(site.start(site.pool.sign_in("ada"))())  # noqa: E731
    got = site.browser().ask(handler, headers=page("cross-site", OTHER))
    assert (got.status, got.all("set-cookie")) == (403, [])
    assert "cross_site" not in got.body


# --- too late

MOMENTS = ["started", "streaming", "over"]


def happens(browser: Browser, moment: str, action: Callable[[], object]) -> tuple[str, Any]:
    """What comes of an action at that moment of a response, and the response."""
    outcomes: list[str] = []
    answer = AppAnswer(later={moment: lambda: outcomes.append(outcome(action))})
    got = browser.ask(lambda: answer)
    return outcomes[0], got


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_session_that_is_started_too_late_is_not_started(site: Site, moment: str) -> None:
    browser = site.browser()
    assert happens(browser, moment, site.start(site.pool.sign_in("ada")))[0] == LATE
    assert browser.jar == {}
    assert not hasattr(site.session, "store") or site.kept() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_session_that_is_ended_too_late_goes_on(site: Site, moment: str) -> None:
    browser = site.sign_in()
    ended, got = happens(browser, moment, site.end(everywhere=True))
    site.settle()
    assert (ended, got.all("set-cookie")) == (LATE, [])
    assert (browser.does().body, site.pool.requests) == ("ada", [])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", IN_COOKIE)
def test_a_refresh_that_is_asked_for_too_late_is_not_made(
    build: Build, kind: str, moment: str
) -> None:
    site = build(kind)
    browser = site.sign_in()
    assert happens(browser, moment, site.refresh)[0] == LATE
    assert site.pool.requests == []


def test_a_stored_session_is_refreshed_at_any_moment(stored: Site) -> None:
    browser = stored.sign_in()
    token, _ = happens(browser, "streaming", stored.refresh)
    assert token.count(".") == 2
    assert browser.does(stored.refresh).body != token


def overtaken(site: Site, browser: Browser, operation: str, action: Action) -> tuple[str, Got]:
    """What comes of an action that waits for Cognito while its response begins, and the response.

    The action is done on a thread of the app's own.
    """
    outcomes: list[str] = []

    def handler() -> AppAnswer:
        context = copy_context()
        doing = partial(context.run, lambda: outcomes.append(outcome(action)))
        thread = threading.Thread(target=doing)
        thread.start()
        gate.wait_for_arrivals()

        def land() -> None:
            gate.release()
            thread.join()

        return AppAnswer(later={"streaming": land})

    with site.pool.hold(operation) as gate:
        got = browser.ask(handler)
    return outcomes[0], got


def test_a_start_that_the_response_overtakes_raises_and_changes_nothing(build: Build) -> None:
    site = build("memory", keys=None)
    browser = site.sign_in("grace")
    site.pool.rotate_keys()  # so that the keys have to be fetched
    site.clock.advance(60)
    outcome_, got = overtaken(site, browser, "jwks", site.start(site.pool.sign_in("ada")))
    assert (outcome_, got.all("set-cookie")) == (LATE, [])
    assert (site.kept("ada"), len(site.kept("grace"))) == ([], 1)
    assert browser.does().body == "grace"


@pytest.mark.parametrize("kind", IN_COOKIE)
def test_a_refresh_that_the_response_overtakes_raises_and_loses_no_tokens(
    build: Build, kind: str
) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.clock.advance(HOUR / 2)
    outcome_, got = overtaken(site, browser, "GetTokensFromRefreshToken", site.refresh)
    assert (outcome_, got.all("set-cookie")) == (LATE, [])
    before = browser.value
    site.clock.advance(HOUR / 2)  # the tokens that the cookie holds have run out
    assert browser.does().body == "ada"
    assert browser.value != before
    assert site.pool.count("GetTokensFromRefreshToken") == 1


def test_a_session_is_started_with_the_accept_of_a_websocket_and_not_after(
    pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    site = Site(AwaitingShell(), pool, clock, session_of("memory", clock, tmp_path))
    outcomes: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        user = await aio.start_session(pool.sign_in("ada"))
        outcomes.append(user.username)
        await send({"type": "websocket.accept"})
        late = (partial(aio.start_session, pool.sign_in("grace")), aio.end_session)
        outcomes.extend([outcome(verb) for verb in late])  # raised at the call

    async def converse() -> Any:
        scope = {**ASGIShell().scope(Ask()), "type": "websocket"}
        communicator = ApplicationCommunicator(AmplifyASGIMiddleware(app, site.engine), scope)
        await communicator.send_input({"type": "websocket.connect"})
        accepted = await communicator.receive_output(5)
        await communicator.wait(PATIENCE)
        return accepted

    accepted = asyncio.run(converse())
    assert outcomes == ["ada", LATE, LATE]
    assert [name for name, _ in accepted["headers"]].count(b"set-cookie") == 1
    assert (len(site.kept("ada")), site.kept("grace")) == (1, [])


def test_an_end_that_is_awaited_too_late_raises_and_ends_nothing(
    pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    site = Site(AwaitingShell(), pool, clock, session_of("memory", clock, tmp_path))
    browser, outcomes = site.sign_in(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ending = aio.end_session()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(ResponseStartedError):
            await ending
        outcomes.append((await aio.get_current_user()).username)
        await send({"type": "http.response.body"})

    middleware = AmplifyASGIMiddleware(app, site.engine)
    got = ASGIShell().send(middleware, Ask(cookies=browser.header))
    assert (outcomes, got.all("set-cookie")) == (["ada"], [])
    assert browser.does().body == "ada"


# --- ending


def test_an_ended_session_is_over_in_this_request_and_for_good(site: Site) -> None:
    browser = site.sign_in()
    thief = browser.copy()
    got = browser.does(site.end(), site.who)
    assert (got.body, got.clears_cookie) == (f"None, {SIGNED_OUT}", True)
    assert (browser.jar, browser.does().body) == ({}, SIGNED_OUT)
    if not isinstance(site.session, TokenSession):  # of which nothing is kept anywhere
        assert thief.does().body.startswith("NotAuthorizedException")


def test_the_store_keeps_nothing_of_an_ended_session(stored: Site) -> None:
    stored.sign_in().does(stored.end())
    assert stored.kept() == []


@pytest.mark.parametrize("kind", KINDS)
def test_clearing_repeats_the_very_attributes(build: Build, kind: str) -> None:
    policy = CookiePolicy(path="/app", domain="example.com", same_site="Lax", partitioned=True)
    site = build(kind, cookie=policy)
    browser = site.browser()
    started = browser.does(site.start(site.pool.sign_in("ada"))).one("set-cookie")
    *_, ended = browser.does(site.end()).all("set-cookie")  # behind those of other places
    assert started is not None
    cleared = {"max-age": "0", "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert attributes(ended) == {**attributes(started), **cleared}


def test_a_response_that_ends_a_session_is_never_stored(site: Site) -> None:
    def handler() -> AppAnswer:
        site.end()()
        return AppAnswer(headers=[("Cache-Control", "public"), ("Set-Cookie", f"{NAME}=own")])

    got = site.sign_in().ask(handler)
    assert (got.one("cache-control"), got.one("vary")) == ("no-store", "Cookie")
    assert got.clears_cookie


def test_ending_twice_is_ending_once(site: Site) -> None:
    once, twice = site.sign_in(), site.sign_in()
    expected = once.does(site.end())
    got = twice.does(site.end(), site.end())
    assert (got.headers, got.body) == (expected.headers, "None, None")
    site.settle()
    assert site.pool.count("RevokeToken") == (0 if isinstance(site.session, TokenSession) else 2)


def test_without_a_session_ending_one_writes_nothing(site: Site) -> None:
    got = site.browser({"theme": "dark"}).does(site.end(everywhere=True))
    site.settle()
    assert (got.body, got.all("set-cookie"), site.pool.requests) == ("None", [], [])


@pytest.mark.parametrize("value", ["junk", "", "A" * 43])
def test_ending_an_invalid_session_clears_its_cookie(site: Site, value: str) -> None:
    got = site.browser({NAME: value}).does(site.end(everywhere=True))
    site.settle()
    assert (got.body, got.clears_cookie, site.pool.requests) == ("None", True, [])


def test_ending_clears_a_cookie_that_was_sent_twice(site: Site) -> None:
    browser = site.sign_in()
    browser.jar["theme"] = f"dark; {NAME}=tossed"
    got = browser.does(site.who, site.end())
    assert got.body == "NotAuthorizedException duplicate_cookie, None"
    assert got.clears_cookie


def test_the_refresh_token_is_revoked_and_nobody_waits_for_it(lasting: Site) -> None:
    browser = lasting.sign_in()
    with lasting.pool.hold("RevokeToken") as gate:
        got = browser.does(lasting.end())  # answered while Cognito has not
        gate.wait_for_arrivals()
    assert (got.body, got.clears_cookie) == ("None", True)


@pytest.mark.parametrize("fault", [Down(), Status(503), CognitoError("NotAuthorizedException")])
@pytest.mark.parametrize("everywhere", [False, True])
def test_what_cognito_says_changes_nothing_of_an_end(
    site: Site, fault: Any, everywhere: bool
) -> None:
    first, second = site.sign_in(), site.sign_in("grace")
    expected = first.does(site.end(everywhere=everywhere))
    with site.pool.fault("*", fault):
        assert second.does(site.end(everywhere=everywhere)) == expected
        site.settle()


def test_an_end_everywhere_ends_the_users_stored_sessions_and_no_others(stored: Site) -> None:
    here, there, others = stored.sign_in(), stored.sign_in(), stored.sign_in("grace")
    assert here.does(stored.end(everywhere=True)).body == "None"
    assert there.does().body == "NotAuthorizedException session_revoked"
    assert others.does().body == "grace"
    assert stored.kept() == []


def test_an_end_everywhere_is_told_to_cognito(lasting: Site) -> None:
    here, there, others = lasting.sign_in(), lasting.sign_in(), lasting.sign_in("grace")
    here.does(lasting.end(everywhere=True))
    lasting.settle()
    assert lasting.pool.count("GlobalSignOut") == 1
    lasting.clock.advance(2 * HOUR)
    assert there.does().body.startswith("NotAuthorizedException")
    assert others.does().body == "grace"


@pytest.mark.parametrize(("token_use", "times"), [("access", 1), ("id", 0)])
def test_a_tokens_session_is_ended_everywhere_where_cognito_can_be_asked(
    build: Build, token_use: Any, times: int
) -> None:
    """`GlobalSignOut` takes an access token; nothing takes an ID token."""
    site = build("token")
    got = site.browser({NAME: site.pool.mint("ada", token_use)}).does(site.end(everywhere=True))
    site.settle()
    assert (got.body, got.clears_cookie) == ("None", True)
    assert site.pool.requests == ["GlobalSignOut"] * times


def test_an_end_here_leaves_the_users_other_sessions(lasting: Site) -> None:
    here, there = lasting.sign_in(), lasting.sign_in()
    here.does(lasting.end())
    lasting.settle()
    assert lasting.pool.count("GlobalSignOut") == 0
    lasting.clock.advance(2 * HOUR)
    assert there.does().body == "ada"


@pytest.mark.parametrize("verb", ["RevokeToken", "GlobalSignOut"])
def test_cognito_is_told_of_an_end_while_tokens_cannot_be_refreshed(
    lasting: Site, verb: str
) -> None:
    browser = lasting.sign_in()
    lasting.clock.advance(2 * HOUR)
    with lasting.pool.fault("GetTokensFromRefreshToken", Down()):
        got = browser.does(lasting.who, lasting.end(everywhere=verb == "GlobalSignOut"))
    lasting.settle()
    assert got.body == "NetworkError cognito_unavailable, None"
    assert (got.clears_cookie, lasting.pool.count(verb)) == (True, 1)


def test_started_and_ended_in_one_request_nothing_is_left(lasting: Site) -> None:
    browser = lasting.browser()
    got = browser.does(lasting.start(lasting.pool.sign_in("ada")), lasting.end(), lasting.who)
    lasting.settle()
    assert got.body == f"ada, None, {SIGNED_OUT}"
    assert (browser.jar, lasting.pool.count("RevokeToken")) == ({}, 1)
    if hasattr(lasting.session, "store"):
        assert lasting.kept() == []


def own_lines(got: Got) -> list[str]:
    """The lines of the policy's own cookie; the other clears what another policy may have set."""
    lines = got.all("set-cookie")
    assert sum("Partitioned" in line for line in lines) == 1
    return [line for line in lines if "Partitioned" not in line]


def test_ended_and_started_in_one_request_the_new_one_is_left(site: Site) -> None:
    browser = site.sign_in()
    before = browser.value
    got = browser.does(site.end(), site.start(site.pool.sign_in("grace")), site.who)
    assert (got.body, len(own_lines(got))) == ("None, grace, grace", 1)
    assert (browser.does().body, browser.value != before) == ("grace", True)


def test_an_end_after_a_refresh_in_one_request_ends_the_refreshed_one(lasting: Site) -> None:
    browser = lasting.sign_in()
    thief = browser.copy()
    got = browser.does(lasting.refresh, lasting.end())
    assert got.clears_cookie
    lasting.clock.advance(HOUR)
    assert thief.does().body.startswith("NotAuthorizedException")


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_that_cognito_ends_as_it_is_rolled_is_cleared(build: Build, kind: str) -> None:
    site = build(kind, session={"idle": 600, "verify_with_cognito_every": 30})
    browser = site.sign_in()
    site.clock.advance(60)
    with site.pool.fault("GetUser", CognitoError("NotAuthorizedException", "revoked")):
        got = browser.does()
    assert (got.body, got.clears_cookie) == ("NotAuthorizedException session_revoked", True)


# --- a store that is down


@pytest.fixture
def locked(build: Build, tmp_path: Path, clock: Clock) -> Iterator[tuple[Site, Any]]:
    """A site whose database somebody else can lock, and the connection that does."""
    site = build("sqlite")
    site.session.store.close()
    store = SQLiteStore(tmp_path / "sessions.db", clock=clock, timeout=0.01)
    site = Site(site.shell, site.pool, clock, StoredSession(store))
    store.of_user("nobody")
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as connection:
        yield site, connection
    site.close()


def test_a_session_that_cannot_be_kept_is_not_started(locked: tuple[Site, Any]) -> None:
    site, connection = locked
    connection.execute("BEGIN EXCLUSIVE")
    got = site.browser().does(site.start(site.pool.sign_in("ada")), site.who)
    assert got.body == f"NetworkError store_unavailable, {SIGNED_OUT}"
    assert got.all("set-cookie") == []


def test_a_session_that_cannot_be_ended_in_the_store_is_cleared_all_the_same(
    locked: tuple[Site, Any],
) -> None:
    site, connection = locked
    browser = site.sign_in()
    connection.execute("BEGIN EXCLUSIVE")
    got = browser.does(site.end(), site.who)
    site.settle()
    assert got.body == f"NetworkError store_unavailable, {SIGNED_OUT}"
    assert (got.clears_cookie, site.pool.count("RevokeToken")) == (True, 1)


def test_a_session_that_cannot_replace_the_present_one_changes_nothing(
    locked: tuple[Site, Any],
) -> None:
    site, connection = locked
    browser = site.sign_in()
    connection.execute("BEGIN EXCLUSIVE")
    got = browser.does(site.start(site.pool.sign_in("grace")), site.who)
    assert (got.body, got.all("set-cookie")) == ("NetworkError store_unavailable, ada", [])
    connection.execute("ROLLBACK")
    assert (browser.does().body, site.kept("grace")) == ("ada", [])


def test_a_session_of_a_store_that_is_down_is_cleared_and_the_app_is_told(shell: Shell) -> None:
    with town(time.time) as pool, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        store = RedisStore(f"redis://127.0.0.1:{taken.getsockname()[1]}")
        site = Site(shell, pool, time.time, StoredSession(store))
        browser = site.browser({NAME: "A" * 43})
        kept = browser.does(site.who, path="/")
        assert (kept.body, kept.all("set-cookie")) == ("NetworkError store_unavailable", [])
        got = browser.does(site.end(), site.who)
        assert got.body == f"NetworkError store_unavailable, {SIGNED_OUT}"
        assert got.clears_cookie
        lists = [partial(site.verbs.list_sessions, "a sub"), ending_one(site, "x", "a sub")]
        told = site.browser().does(*lists).body
        assert told == ", ".join(["NetworkError store_unavailable"] * 2)
        site.close()


# --- middlewares within middlewares, and the testing package


class NestedSite(Site):
    """An app behind two middlewares. `options`: in what the inner one differs."""

    inner: dict[str, Any]

    def app(self, handler: Callable[[], str | AppAnswer]) -> Any:
        app = self.shell.middleware(self.shell.app(handler), self.config, **self.inner)
        return self.shell.middleware(app, self.config)


@pytest.mark.parametrize("inner", [{}, {"protect": ["/account"]}])
@pytest.mark.parametrize("kind", KINDS)
def test_within_two_middlewares_one_session_is_started_and_ended(
    shell: Shell, kind: str, inner: dict[str, Any], tmp_path: Path
) -> None:
    with town(time.time) as pool:
        site = NestedSite(shell, pool, time.time, session_of(kind, time.time, tmp_path))
        site.inner = inner
        browser = site.sign_in()
        assert browser.does(site.who).all("set-cookie") == []
        changed = browser.does(site.start(pool.sign_in("grace")), site.who)
        assert (changed.body, len(own_lines(changed))) == ("grace, grace", 1)
        ended = browser.does(site.end(), site.who)
        assert (ended.body, len(own_lines(ended))) == (f"None, {SIGNED_OUT}", 1)
        assert browser.does(site.who).body == SIGNED_OUT
        site.close()


def test_a_pinned_user_is_signed_out_and_in_like_any_other(site: Site) -> None:
    tokens = site.pool.sign_in("ada")
    with signed_in("grace"):
        got = site.browser().does(site.who, site.end(everywhere=True), site.who, site.start(tokens))
    site.settle()
    assert got.body == f"grace, None, {SIGNED_OUT}, ada"
    assert (len(got.all("set-cookie")), site.pool.requests) == (1, [])


def test_where_nobody_is_pinned_ending_writes_nothing(site: Site) -> None:
    with signed_out():
        got = site.browser().does(site.end())
    assert (got.body, got.all("set-cookie")) == ("None", [])


def test_a_session_that_began_under_a_pin_ends_like_any_other(stored: Site) -> None:
    with signed_out():
        got = stored.browser().does(stored.start(stored.pool.sign_in("ada")), stored.end())
    assert (got.body, stored.kept()) == ("ada, None", [])


@pytest.mark.parametrize("pin", [signed_out, partial(signed_in, "grace")])
def test_what_is_pinned_leaves_the_real_session_alone(
    stored: Site, pin: Callable[[], AbstractContextManager[Any]]
) -> None:
    browser = stored.sign_in()
    with pin():
        browser.copy().does(stored.end(everywhere=True))
        browser.copy().does(stored.start(stored.pool.sign_in("ada")))
    assert browser.does().body == "ada"
    assert stored.pool.requests == []


@pytest.mark.parametrize("verb", ["end_session", "fetch_auth_session"])
def test_without_a_middleware_a_pinned_user_has_no_lasting_session(verb: str) -> None:
    with signed_in("ada"):
        if verb == "fetch_auth_session":
            with pytest.raises(NotAuthorizedException, match="not_refreshable"):
                amplify_mw.fetch_auth_session(force_refresh=True)
        else:
            amplify_mw.end_session()
            with pytest.raises(NotAuthorizedException, match="no_session"):
                amplify_mw.get_current_user()


# --- one's devices


def test_the_list_tells_ones_sessions_the_last_seen_first(stored: Site) -> None:
    began = stored.clock.now
    phone = stored.sign_in(user_agent="phone")
    stored.clock.advance(100)
    laptop = stored.sign_in(user_agent="laptop")
    stored.sign_in("grace")
    told = [replace(info, handle="") for info in infos(stored, phone)]
    week = began + 7 * DAY
    assert told == [
        SessionInfo("", began + 100, began + 100, week + 100, "laptop", is_current=False),
        SessionInfo("", began, began, week, "phone", is_current=True),
    ]
    assert [info.is_current for info in infos(stored, laptop)] == [True, False]


def test_a_session_is_seen_when_it_is_rolled(stored: Site) -> None:
    browser = stored.sign_in(user_agent="phone")
    created = stored.clock.now
    stored.clock.advance(DAY)
    browser.does()
    [info] = infos(stored, browser)
    assert (info.created_at, info.seen_at) == (created, created + DAY)
    assert (info.expires_at, info.user_agent) == (created + 8 * DAY, "phone")


def test_the_list_shows_nothing_that_opens_a_session(stored: Site) -> None:
    browser, tokens = stored.browser(), stored.pool.sign_in("ada")
    browser.does(stored.start(tokens))
    [info] = infos(stored, browser)
    secrets = [browser.value, *(tokens.id_token + "." + tokens.access_token).split(".")]
    assert not any(secret in repr(info) for secret in [*secrets, tokens.refresh_token])
    assert stored.browser({NAME: info.handle}).does().body.endswith("invalid_session")


def test_a_handle_stays_through_a_refresh(stored: Site) -> None:
    browser = stored.sign_in()
    [before] = infos(stored, browser)
    browser.does(stored.refresh)
    [after] = infos(stored, browser)
    assert (after.handle, after.created_at) == (before.handle, before.created_at)


def ending_one(site: Site, *arguments: str) -> Action:
    return lambda: site.verbs.end_session_by_handle(*arguments)


def test_a_session_is_ended_by_its_handle_from_elsewhere(stored: Site) -> None:
    here, there = stored.sign_in(), stored.sign_in()
    handle = next(info.handle for info in infos(stored, here) if not info.is_current)
    assert here.does(ending_one(stored, handle), ending_one(stored, handle)).body == "True, False"
    assert there.does().body == "NotAuthorizedException session_revoked"
    assert here.does().body == "ada"


def test_another_users_handle_ends_nothing(stored: Site) -> None:
    ada, grace = stored.sign_in(), stored.sign_in("grace")
    [info] = infos(stored, grace)
    assert ada.does(ending_one(stored, info.handle), ending_one(stored, "")).body == "False, False"
    assert grace.does().body == "grace"


def test_an_administrator_lists_and_ends_the_sessions_of_others(stored: Site) -> None:
    ada, grace = stored.sign_in(), stored.sign_in("grace")
    sub = grace.does(lambda: stored.verbs.get_current_user().user_id).body
    [info] = infos(stored, grace)
    listed = ada.does(lambda: [one.handle for one in stored.verbs.list_sessions(sub)])
    assert listed.body == str([info.handle])
    assert ada.does(ending_one(stored, info.handle, sub)).body == "True"
    assert grace.does().body == "NotAuthorizedException session_revoked"


def test_nobodys_sessions_are_not_listed(stored: Site) -> None:
    got = stored.browser().does(stored.verbs.list_sessions, ending_one(stored, "x"))
    assert got.body == f"{SIGNED_OUT}, {SIGNED_OUT}"


@pytest.mark.parametrize("kind", ["token", *IN_COOKIE])
def test_a_kind_without_a_list_says_what_to_write(build: Build, kind: str) -> None:
    site = build(kind)
    browser, told = site.sign_in(), []

    def handler() -> str:
        for verb in (site.verbs.list_sessions, ending_one(site, "x")):
            with pytest.raises(ConfigurationError) as caught:
                verb()
            told.append(str(caught.value))
        return ""

    browser.ask(handler)
    assert len(told) == 2
    assert all("session=StoredSession(store)" in text for text in told)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("x" * 300, "x" * 256), ("\udcff\ud800", ""), ("é\r\n\x1b", "é"), ("", "")],
)
def test_any_text_may_name_a_device(stored: Site, given: str, kept: str) -> None:
    browser = stored.sign_in(user_agent=given)
    assert [info.user_agent for info in infos(stored, browser)] == [kept]


# --- new tokens on demand


def test_a_forced_refresh_gives_new_tokens_at_once_and_from_then_on(lasting: Site) -> None:
    def token() -> object:
        return lasting.verbs.fetch_auth_session().tokens.access_token.encoded

    browser = lasting.sign_in()
    before, fresh, same = browser.does(token, lasting.refresh, token).body.split(", ")
    assert before != fresh == same == browser.does(token).body
    assert lasting.pool.count("GetTokensFromRefreshToken") == 1


def test_each_forced_refresh_is_a_new_one(lasting: Site) -> None:
    browser = lasting.sign_in()
    tokens = browser.does(lasting.refresh, lasting.refresh).body.split(", ")
    assert len({*tokens, browser.does(lasting.refresh).body}) == 3


def test_a_session_that_was_just_started_can_be_refreshed(lasting: Site) -> None:
    browser = lasting.browser()
    got = browser.does(lasting.start(lasting.pool.sign_in("ada")), lasting.refresh)
    assert (got.body.count("."), len(got.all("set-cookie"))) == (2, 1)
    assert browser.does().body == "ada"


def test_a_refresh_that_cannot_be_made_now_ends_nothing(lasting: Site) -> None:
    browser = lasting.sign_in()
    with lasting.pool.fault("GetTokensFromRefreshToken", Down()):
        got = browser.does(lasting.refresh, lasting.who)
    assert (got.body, got.all("set-cookie")) == ("NetworkError cognito_unavailable, ada", [])


def test_a_refresh_that_cognito_refuses_ends_the_session(lasting: Site) -> None:
    browser = lasting.sign_in()
    thief = browser.copy()
    with lasting.pool.fault("GetTokensFromRefreshToken", CognitoError("TokenRevokedException")):
        got = browser.does(lasting.refresh, lasting.who)
    refusal = "NotAuthorizedException session_revoked"
    assert (got.body, got.clears_cookie) == (f"{refusal}, {refusal}", True)
    assert thief.does().body.startswith("NotAuthorizedException")


def test_nobodys_tokens_are_not_refreshed(site: Site) -> None:
    assert site.browser().does(site.refresh).body == SIGNED_OUT


# --- how the verbs are called

VERBS: dict[str, dict[str, Any]] = {
    "start_session": {"tokens": {}},
    "end_session": {},
    "list_sessions": {},
    "end_session_by_handle": {"handle": "x"},
    "fetch_auth_session": {"force_refresh": True},
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_may_wait_is_refused_on_an_event_loop(pool: LocalUserPool, verb: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(BlockingCallError, match=f"from amplify_mw.aio import {verb}"):
            getattr(amplify_mw, verb)(**VERBS[verb])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    got = ASGIShell().send(AmplifyASGIMiddleware(app, pool.config()), Ask())
    assert got.status == 204


@pytest.mark.parametrize("verb", ["list_sessions", "end_session_by_handle", "fetch_auth_session"])
def test_a_forgotten_await_lets_nobody_through(
    pool: LocalUserPool, clock: Clock, tmp_path: Path, verb: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(NotAuthorizedException):
            getattr(aio, verb)(**VERBS[verb])  # not awaited
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    engine = Engine(pool.config(session=session_of("memory", clock, tmp_path)), clock=clock)
    assert ASGIShell().send(AmplifyASGIMiddleware(app, engine), Ask()).status == 204


@pytest.mark.parametrize("verb", VERBS)
def test_outside_a_request_there_is_no_session(verb: str) -> None:
    with pytest.raises(OutsideRequestError):
        getattr(amplify_mw, verb)(**VERBS[verb])
    with pytest.raises(OutsideRequestError):
        getattr(aio, verb)(**VERBS[verb])


# --- a stolen store


def secrets_of(tokens: TokenSet, cookie: str) -> list[bytes]:
    """What must not be found: the cookie's value and the parts of all tokens, as they are spelled
    and as the bytes that they spell."""
    texts = [cookie, *tokens.id_token.split("."), *tokens.access_token.split(".")]
    texts += str(tokens.refresh_token).split(".")
    raw = [urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in texts]
    return [text.encode() for text in texts] + raw


def test_the_stolen_file_of_a_store_holds_no_secret(build: Build, tmp_path: Path) -> None:
    site = build("sqlite")
    browser, tokens = site.browser(), site.pool.sign_in("ada")
    browser.does(site.start(tokens, user_agent="ada's phone"))
    site.session.store.close()
    stolen = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ada's phone" in stolen
    assert [secret for secret in secrets_of(tokens, browser.value) if secret in stolen] == []


def test_stolen_records_hold_no_secret_and_open_nothing(stored: Site) -> None:
    browser, tokens = stored.browser(), stored.pool.sign_in("ada")
    browser.does(stored.start(tokens))
    [(key, record)] = stored.kept()
    shown = repr(record).encode() + record.value + key + record.user.encode()
    assert [secret for secret in secrets_of(tokens, browser.value) if secret in shown] == []
    for stolen in (key, record.value, record.value[:32], record.value[-32:]):
        for spelled in (urlsafe_b64encode(stolen).rstrip(b"=").decode(), stolen.hex()):
            assert stored.browser({NAME: spelled}).does().body.endswith("invalid_session")


def elsewhere(site: Site, browser: Browser) -> Browser:
    """The browser at a process of the site that has not seen it before."""
    return Site(site.shell, site.pool, site.clock, site.session).browser(browser.jar)


@pytest.mark.parametrize(
    "change",
    [
        {"user": "somebody else"},
        {"handle": "another"},
        {"user_agent": "another"},
        {"created_at": 1.0},
        {"seen_at": 10.0**10},
        {"expires_at": 10.0**10},
        {"version": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_that_was_tampered_with_is_no_session(
    stored: Site, change: dict[str, Any]
) -> None:
    browser = stored.sign_in()
    [(key, record)] = stored.kept()
    assert stored.session.store.replace(key, replace(record, **change))
    got = elsewhere(stored, browser).does()
    assert (got.body, got.clears_cookie) == ("NotAuthorizedException invalid_session", True)


def test_a_record_under_another_sessions_key_is_no_session(stored: Site) -> None:
    ada, grace = stored.sign_in(), stored.sign_in("grace")
    [(key, _)], [(_, record)] = stored.kept("ada"), stored.kept("grace")
    stored.session.store.replace(key, record)
    assert elsewhere(stored, ada).does().body == "NotAuthorizedException invalid_session"
    assert grace.does().body == "grace"
