"""A page of one's devices from Cognito itself: each kind of session, behind each shell.

The pool's own record of sessions is stood in for: `Tracking` meets the requests for it.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import amplify_mw
from amplify_mw import AuthError, CognitoSession, ConfigurationError, events
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.cognito.jwt import parse_segment
from amplify_mw.errors import BlockingCallError
from amplify_mw.testing import CognitoError, Down, signed_in
from amplify_mw.testing.pool.server import CognitoError as Refusal
from amplify_mw.testing.pool.server import Exchange, amz_response
from tests.shells import AppAnswer, ASGIShell, Ask, AwaitingShell, WSGIShell, shells
from tests.sites import HOUR, Action, Browser, Build, Site, outcome

shell = shells(WSGIShell, ASGIShell, AwaitingShell)
SIGNED_OUT = "NotAuthorizedException no_session"
LIST, REVOKE = "ListUserSessions", "RevokeUserSession"
UNKNOWN = "tkn" + "q" * 25
ADDRESS = "192.0.2.7"


def claims_of(token: str) -> dict[str, Any]:
    return parse_segment(token.encode().split(b".")[1])


@dataclass(frozen=True)
class Tracking:
    """What a pool that tracks sessions knows: users, and their sessions by id."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)

    def add(self, tokens: Any, *, sso: str | None = None) -> str:
        """Note a sign-in; its session's id. `sso`: what it came through."""
        claims = claims_of(tokens.access_token)
        handle = f"tkn{len(self.sessions):025d}"
        origin = {} if sso is None else {"OriginSessionId": sso}
        self.note(handle, claims["sub"], jti=claims["origin_jti"], **origin)
        return handle

    def add_sso(self, tokens: Any) -> str:
        """A single sign-on session of the tokens' user."""
        handle = f"sso{len(self.sessions):025d}"
        self.note(handle, claims_of(tokens.access_token)["sub"])
        return handle

    def note(self, handle: str, sub: str, **members: Any) -> None:
        self.sessions[handle] = {
            "SessionId": handle,
            "sub": sub,
            "ClientId": "local-client",
            "CreateDate": 1_800_000_000.5,
            "LastActiveDate": 1_800_000_000.5 + len(self.sessions),
            "DeviceType": "Linux Firefox",
            "LastIPAddress": ADDRESS,
            **members,
        }

    def meet(self, exchange: Exchange, /) -> Any:
        operation = exchange.request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation not in (LIST, REVOKE):
            return exchange.answer()
        members = json.loads(exchange.request.get_data())
        claims = claims_of(members["AccessToken"])
        own = {
            handle: {**one, "IsCurrentSession": one.get("jti") == claims["origin_jti"]}
            for handle, one in self.sessions.items()
            if one["sub"] == claims["sub"]
        }
        if operation == LIST:
            return amz_response({"Sessions": list(own.values())})
        handle = members["SessionId"]
        if handle not in own:
            return Refusal("ResourceNotFoundException").response()
        if own[handle]["IsCurrentSession"]:
            return Refusal("InvalidParameterException").response()
        self.ended.append((handle, members["RevokeAssociatedSessions"]))
        del self.sessions[handle]
        return amz_response({})


@pytest.fixture
def tracking() -> Tracking:
    return Tracking()


@pytest.fixture
def build(build: Build, tracking: Tracking) -> Iterator[Build]:
    lifted: list[Any] = []

    def make(*kinds: Any, **options: Any) -> Site:
        site = build(*kinds, **options)
        lifted.append(site.pool.fault("*", tracking))
        return site

    yield make
    for one in lifted:
        one.close()


@pytest.fixture(params=["sealed", "memory", "amplify"])
def site(build: Build, request: pytest.FixtureRequest) -> Site:
    return build(request.param)


@dataclass
class Person:
    """A browser in which a user has signed in, and the handle of its sign-in at Cognito."""

    browser: Browser
    handle: str
    tokens: Any


@pytest.fixture
def arrive(site: Site, tracking: Tracking) -> Callable[..., Person]:
    def arrive(name: str = "ada", *, through: str | None = None, **options: Any) -> Person:
        tokens, browser = site.pool.sign_in(name, **options), site.browser()
        assert browser.does(site.start(tokens)).body == name
        return Person(browser, tracking.add(tokens, sso=through), tokens)

    return arrive


Arrive = Callable[..., Person]


def listed(site: Site, browser: Browser, **facts: Any) -> list[CognitoSession]:
    found: list[CognitoSession] = []
    browser.does(lambda: found.extend(site.verbs.list_sessions(source="cognito")), **facts)
    return found


def listing(site: Site) -> Action:
    return lambda: len(site.verbs.list_sessions(source="cognito"))


def ending(site: Site, handle: str, **options: Any) -> Action:
    return lambda: site.verbs.end_session_by_handle(handle, source="cognito", **options)


def asked(site: Site, *operations: str) -> list[str]:
    return [name for name in site.pool.requests if name in operations]


# --- the list


def test_the_list_is_cognitos_and_marks_ones_own(site: Site, arrive: Arrive) -> None:
    first, second, _ = arrive(), arrive(), arrive("grace")
    found = listed(site, first.browser)
    assert [(one.handle, one.is_current) for one in found] == [
        (second.handle, False),
        (first.handle, True),
    ]
    assert {(one.kind, one.client_id, one.device) for one in found} == {
        ("token", "local-client", "Linux Firefox")
    }
    assert found[0].ip_address == ADDRESS
    assert ADDRESS not in repr(found)


def test_an_access_token_in_the_cookie_is_enough(build: Build, tracking: Tracking) -> None:
    site = build("token")
    tokens = site.pool.sign_in("ada")
    handle = tracking.add(tokens)
    browser = site.browser({"amplify-session": tokens.access_token})
    assert [one.handle for one in listed(site, browser)] == [handle]
    assert browser.does(ending(site, handle), site.who).body == f"True, {SIGNED_OUT}"
    assert browser.jar == {}


def test_an_id_token_in_the_cookie_is_not(build: Build) -> None:
    site = build("token")
    got = site.sign_in().does(listing(site), ending(site, UNKNOWN))
    assert got.body == ", ".join(["NotAuthorizedException missing_scope"] * 2)
    assert asked(site, LIST) == []


def test_a_sign_in_without_the_scope_is_not(site: Site, arrive: Arrive) -> None:
    got = arrive(scope="openid").browser.does(listing(site), ending(site, UNKNOWN))
    assert got.body == ", ".join(["NotAuthorizedException missing_scope"] * 2)
    assert asked(site, LIST) == []


def test_the_store_stays_the_default(build: Build) -> None:
    site = build("memory")
    sessions: list[Any] = []
    site.sign_in().does(lambda: sessions.extend(site.verbs.list_sessions()))
    assert [type(one).__name__ for one in sessions] == ["SessionInfo"]
    assert asked(site, LIST) == []


def test_nobody_has_none(site: Site) -> None:
    got = site.browser().does(listing(site), ending(site, UNKNOWN))
    assert got.body == f"{SIGNED_OUT}, {SIGNED_OUT}"
    assert asked(site, LIST) == []


# --- ending one


def test_another_of_ones_sessions_ends(site: Site, arrive: Arrive, tracking: Tracking) -> None:
    here, there = arrive(), arrive()
    end = ending(site, there.handle)
    assert here.browser.does(end, end, site.who).body == "True, False, ada"
    assert tracking.ended == [(there.handle, "LINKED")]
    assert [one.handle for one in listed(site, here.browser)] == [here.handle]


def test_ones_own_ends_as_a_sign_out_does(site: Site, arrive: Arrive, tracking: Tracking) -> None:
    """Cognito refuses to end the session of the access token that it is asked with."""
    person = arrive()
    copy = person.browser.copy()
    got = person.browser.does(ending(site, person.handle), site.who)
    site.settle()
    assert got.body == f"True, {SIGNED_OUT}"
    assert (person.browser.jar, tracking.ended) == ({}, [])
    assert asked(site, REVOKE, "RevokeToken") == ["RevokeToken"]
    assert copy.does().body.startswith("NotAuthorizedException")


def test_with_the_single_sign_on_session_ones_own_ends_too(
    site: Site, arrive: Arrive, tracking: Tracking
) -> None:
    sso = tracking.add_sso(site.pool.sign_in("ada"))
    person, other = arrive(through=sso), arrive()
    got = person.browser.does(ending(site, sso), site.who)
    site.settle()
    assert got.body == f"True, {SIGNED_OUT}"
    assert (person.browser.jar, tracking.ended) == ({}, [(sso, "LINKED")])
    assert asked(site, REVOKE, "RevokeToken") == [REVOKE, "RevokeToken"]
    assert other.browser.does().body == "ada"


def test_another_browsers_single_sign_on_session_leaves_ones_own(
    site: Site, arrive: Arrive, tracking: Tracking
) -> None:
    sso = tracking.add_sso(site.pool.sign_in("ada"))
    person = arrive()
    assert person.browser.does(ending(site, sso), site.who).body == "True, ada"
    assert tracking.ended == [(sso, "LINKED")]


def test_another_users_handle_ends_nothing(site: Site, arrive: Arrive, tracking: Tracking) -> None:
    ada, grace = arrive(), arrive("grace")
    assert ada.browser.does(ending(site, grace.handle)).body == "False"
    assert (tracking.ended, asked(site, REVOKE)) == ([], [])
    assert grace.browser.does().body == "grace"


@pytest.mark.parametrize(
    "handle", ["", "x", "tkn", UNKNOWN + "x", UNKNOWN.upper(), UNKNOWN[:-1] + "\n", "sso'" * 7]
)
def test_what_is_no_handle_is_not_even_looked_for(site: Site, arrive: Arrive, handle: str) -> None:
    assert arrive().browser.does(ending(site, handle)).body == "False"
    assert asked(site, LIST, REVOKE) == []


def test_a_session_that_has_ended_since_it_was_listed_is_none(
    site: Site, arrive: Arrive, tracking: Tracking
) -> None:
    here, there = arrive(), arrive()
    error = CognitoError("ResourceNotFoundException")

    class EndsFirst:
        def meet(self, exchange: Exchange, /) -> Any:
            target = exchange.request.headers.get("X-Amz-Target", "")
            return error.meet(exchange) if target.endswith(REVOKE) else tracking.meet(exchange)

    with site.pool.fault("*", EndsFirst()):
        assert here.browser.does(ending(site, there.handle), site.who).body == "False, ada"


def test_the_other_browser_is_signed_out_at_its_next_refresh(
    site: Site, arrive: Arrive, tracking: Tracking
) -> None:
    here, there = arrive(), arrive()
    here.browser.does(ending(site, there.handle))
    with site.pool.fault("GetTokensFromRefreshToken", CognitoError("NotAuthorizedException")):
        site.clock.advance(2 * HOUR)
        got = there.browser.does()
    assert got.body == "NotAuthorizedException session_revoked"
    assert there.browser.jar == {}
    del tracking


# --- what may not be


@pytest.mark.parametrize("user_id", ["0f3c", ""])
def test_another_user_is_out_of_reach(site: Site, arrive: Arrive, user_id: str) -> None:
    person, told = arrive(), []

    def handler() -> str:
        for verb in (site.verbs.list_sessions, lambda *more, **o: end(UNKNOWN, *more, **o)):
            with pytest.raises(ConfigurationError) as caught:
                verb(user_id, source="cognito")
            told.append(str(caught.value))
        return ""

    end = site.verbs.end_session_by_handle
    person.browser.ask(handler)
    assert len(told) == 2
    assert all("own access token" in text and "AdminListUserSessions" in text for text in told)
    assert asked(site, LIST) == []


def test_a_source_that_does_not_exist_is_told(site: Site, arrive: Arrive) -> None:
    def handler() -> str:
        for verb in (
            lambda: site.verbs.list_sessions(source="amazon"),
            lambda: site.verbs.end_session_by_handle(UNKNOWN, source="amazon"),
        ):
            with pytest.raises(ConfigurationError, match="'store' or 'cognito'"):
                verb()
        return "told"

    assert arrive().browser.ask(handler).body == "told"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Origin": "https://evil.example"}, "cross_site"),
        ({"Sec-Purpose": "prefetch"}, "speculative_request"),
    ],
)
def test_another_sites_page_and_a_prefetch_end_nothing(
    site: Site, arrive: Arrive, tracking: Tracking, headers: dict[str, str], reason: str
) -> None:
    here, there = arrive(), arrive()
    ends = [ending(site, one.handle) for one in (here, there)]
    got = here.browser.does(*ends, headers=headers)
    assert got.body == ", ".join([f"ForbiddenException {reason}"] * 2)
    assert (tracking.ended, here.browser.does().body) == ([], "ada")


def test_once_the_headers_have_gone_ones_own_does_not_end_and_others_do(
    site: Site, arrive: Arrive, tracking: Tracking
) -> None:
    here, there = arrive(), arrive()
    sso = tracking.add_sso(here.tokens)
    tracking.sessions[here.handle]["OriginSessionId"] = sso
    came: list[str] = []

    def late() -> None:
        each = (here.handle, sso, there.handle)
        came.extend(outcome(ending(site, one, allow_cross_site=True)) for one in each)

    here.browser.ask(lambda: AppAnswer(later={"streaming": late}))
    assert came == ["ResponseStartedError", "ResponseStartedError", "True"]
    assert tracking.ended == [(there.handle, "LINKED")]
    assert here.browser.does().body == "ada"


def test_a_user_of_a_test_has_no_sessions_at_cognito(site: Site) -> None:
    def handler() -> str:
        with pytest.raises(ConfigurationError, match="LocalUserPool"):
            site.verbs.list_sessions(source="cognito")
        return "told"

    with signed_in("ada", scopes=["aws.cognito.signin.user.admin"]):
        assert site.browser().ask(handler).body == "told"


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_an_event_loop_is_not_held_up(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for verb in (amplify_mw.list_sessions, amplify_mw.end_session_by_handle):
            with pytest.raises(BlockingCallError, match=r"amplify_mw\.aio"):
                verb(
                    source="cognito",
                    **({} if verb is amplify_mw.list_sessions else {"handle": "x"}),
                )
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    assert ASGIShell().send(AmplifyASGIMiddleware(app, site.config), Ask()).status == 204


# --- when Cognito does not or will not


@pytest.mark.parametrize("code", ["InvalidParameterException", "OperationNotEnabledException"])
def test_a_pool_that_tracks_no_sessions_says_what_to_switch_on(
    site: Site, arrive: Arrive, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    caplog.set_level(logging.WARNING, "amplify_mw")
    told: list[AuthError] = []

    def handler() -> str:
        with pytest.raises(AuthError) as caught:
            site.verbs.list_sessions(source="cognito")
        told.append(caught.value)
        return str(site.who())

    person = arrive()
    error = CognitoError(code, "Session tracking is not enabled for this user pool.")
    with site.pool.fault("*", error):
        assert [person.browser.ask(handler).body for _ in range(3)] == ["ada"] * 3
    assert {error.reason for error in told} == {"cognito_misconfigured"}
    assert "switch session tracking on" in str(told[0].recovery_suggestion)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Cognito refuses session list at ")
    assert "switch session tracking on" in message
    assert site.pool.count(LIST) == 1


def test_a_pool_that_is_down_ends_no_session(site: Site, arrive: Arrive) -> None:
    here, there = arrive(), arrive()
    with site.pool.fault("*", Down()):
        got = here.browser.does(listing(site), ending(site, there.handle), site.who)
    assert got.body == ", ".join(["NetworkError cognito_unavailable"] * 2 + ["ada"])
    assert got.all("set-cookie") == []


@pytest.mark.parametrize("message", ["Access Token has been revoked", "Access Token has expired"])
def test_a_refused_access_token_ends_nothing_by_itself(
    site: Site, arrive: Arrive, message: str
) -> None:
    """The next refresh says whether the sign-in is over."""
    person = arrive()
    reason = "token_expired" if "expired" in message else "session_revoked"
    with site.pool.fault("*", CognitoError("NotAuthorizedException", message)):
        got = person.browser.does(listing(site), site.who)
    assert got.body.partition(" ")[2] == f"{reason}, ada"
    assert got.all("set-cookie") == []


def test_each_end_is_one_event_without_an_address(
    build: Build, tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "amplify_mw")
    told: list[Any] = []
    site = build("sealed", on_event=told.append)
    browser = site.sign_in()
    [tokens, other] = [site.pool.sign_in("ada") for _ in range(2)]
    browser.does(site.start(tokens))
    handle, own = tracking.add(other), tracking.add(tokens)
    site.settle()
    told.clear()
    browser.does(listing(site), ending(site, handle), ending(site, own))
    site.settle()
    ends = [event for event in told if isinstance(event, events.SignedOut)]
    sub = claims_of(tokens.access_token)["sub"]
    assert [(one.how, one.user_id) for one in ends] == [("handle", sub), ("handle", sub)]
    said = repr(told) + "".join(record.getMessage() for record in caplog.records)
    assert not any(part in said for part in (ADDRESS, handle, own, tokens.access_token))
