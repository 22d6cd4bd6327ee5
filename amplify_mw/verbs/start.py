"""`start_session`: sign a user in with Cognito's tokens.

Rules:
- The tokens are verified and have to agree. The session gets a new id, and the earlier one ends.
- The earlier session ends only once the new one is sure to reach the browser.
- Revoking the earlier sign-in is not waited for. It stays if the new session belongs to it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

from ..authenticator import Authenticator, Visit
from ..cognito.invalid import InvalidToken
from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import VerifiedToken, agree
from ..effects import Flight, Flow, Join, Remember, Report, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop
from ..engine.refusals import notice_other_pool
from ..engine.reporting import sign_in_failed, signed_in, signed_out
from ..errors import AuthError, ResponseStartedError, SessionTooLargeError
from ..events import SignInFailed
from ..models import AuthUser
from ..models.session import TokenSet
from ..sessions.base import NewSession, PartlyEnded
from ..sessions.bundle import Bundle
from ..sessions.token import keys_unavailable, refused
from ..sessions.verdicts import STORE_UNAVAILABLE, CookieValue, Resolution, SignedIn
from .change import (
    present_cookie,
    present_cookies,
    readable,
    refuse_bearer,
    refuse_foreign,
    refuse_late,
    refuse_speculative,
)
from .given import TokenSource, token_set

Verify = Callable[[bytes, float], Flow[VerifiedToken]]
Admit = Callable[[NewSession], Flow[None]]
_USER_AGENT_LENGTH: Final = 256
_VERB: Final = "start_session"


def start_session(
    tokens: TokenSource, *, user_agent: str = "", allow_cross_site: bool = False
) -> AuthUser:
    """Sign a user in with Cognito's tokens; the response sets the session's cookie.

    `tokens`: a `TokenSet`, or a mapping with `id_token`, `access_token` and `refresh_token`, or
    Cognito's `AuthenticationResult`. Without a refresh token the session ends with its tokens.
    `user_agent`: the device's name in `list_sessions`, at most 256 characters.
    An earlier session ends. From here on this request is the new user's. The cookie of a
    `TokenSession` gets the ID token; other kinds keep all three.
    `allow_cross_site`: accept requests from pages of any origin; do a check of your own instead.

    Raises `NotAuthorizedException` for invalid tokens (the reasons of an invalid cookie, and
    `missing_token`, `token_mismatch`), `ForbiddenException` (`cross_site`; and
    `speculative_request`, for a prefetch or a prerender, even with `allow_cross_site`),
    `NetworkError` when they cannot be verified or stored now (`token_not_yet_valid`: this machine's
    clock is behind), `SessionTooLargeError`, and `ResponseStartedError`.
    """
    refuse_on_event_loop(_VERB)
    visit = current_visit()
    flow = starting(visit, tokens, user_agent=user_agent, allow_cross_site=allow_cross_site)
    return visit.run(flow)


def starting(
    visit: Visit, tokens: TokenSource, *, user_agent: str, allow_cross_site: bool
) -> Flow[AuthUser]:
    """The flow behind `start_session`. The call itself raises the errors that need no waiting."""
    refuse_late(visit, _VERB)
    refuse_bearer(visit, _VERB)
    refuse_speculative(visit, _VERB)
    refuse_foreign(visit, _VERB, allow_cross_site=allow_cross_site)
    agent = _device(user_agent)
    try:
        given = token_set(tokens)
    except AuthError as error:
        visit.home.reporter.report(_failed(visit, error))
        raise
    return _start_for_app(visit, _start(visit, given, agent, visit.home.verifier.verify, "app"))


def _start_for_app(visit: Visit, flow: Flow[AuthUser]) -> Flow[AuthUser]:
    """Report a failure. (Those of the sign-in routes are reported there.)"""
    try:
        return (yield from flow)
    except (AuthError, SessionTooLargeError) as error:
        yield Report(_failed(visit, error))
        raise


def _failed(visit: Visit, error: AuthError | SessionTooLargeError) -> SignInFailed:
    reason, status = "session_too_large", 500
    if isinstance(error, AuthError):
        reason, status = error.reason, error.status_code
    return sign_in_failed(visit, reason, status, "app")


def starting_new(
    visit: Visit, tokens: TokenSet, *, user_agent: str, admit: Admit | None
) -> Flow[AuthUser]:
    """The flow of a sign-in that this site began, with tokens that Cognito has just issued.

    `admit`: a flow to run with the verified tokens, before anything begins; it may raise.
    Tokens from the future start a session too: this machine's clock is behind, and the session
    counts once the clock has caught up.
    """
    refuse_late(visit, _VERB)
    verify = visit.home.verifier.verify_new
    return _start(visit, token_set(tokens), _device(user_agent), verify, "routes", admit)


def _device(user_agent: str) -> str:
    if not isinstance(user_agent, str):
        raise TypeError("start_session: user_agent is text, such as the header's")
    return "".join(filter(str.isprintable, user_agent))[:_USER_AGENT_LENGTH]


def _start(
    visit: Visit,
    tokens: TokenSet,
    user_agent: str,
    verify: Verify,
    by: Literal["routes", "app"],
    admit: Admit | None = None,
) -> Flow[AuthUser]:
    home, now = visit.home, visit.now()
    generation = home.verdicts.generation
    new_session = yield from _verified(home, tokens, user_agent, verify, now)
    if admit is not None:
        yield from admit(new_session)
        now = visit.now()
    try:
        resolution = yield from home.sessions.start(new_session, now)
        verdict = resolution.verdict
        assert isinstance(verdict, SignedIn)  # noqa: S101  # every kind returns this
        try:
            refuse_late(visit, _VERB)  # before the earlier session ends
            _refuse_too_large(home, resolution)
            yield from _take_over(visit, resolution, verdict.value, new_session)
        except (ResponseStartedError, SessionTooLargeError, Unreachable):
            with suppress(Unreachable):
                yield from home.sessions.end(verdict.value, now, keep=present_cookie(visit) or b"")
            raise
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error
    begins_at = max(new_session.id_token.begins_at, new_session.access_token.begins_at)
    is_early = begins_at > now + home.verifier.leeway
    # With `verify_with_cognito_every`, Cognito confirms a session before its verdict is cached.
    if home.config.kind.verify_with_cognito_every is None and not is_early:
        yield Remember(home.verdicts, verdict.value, verdict, generation)
    yield signed_in(visit, verdict, new_session.access_token, by)
    return verdict.user


def _verified(
    home: Authenticator, tokens: TokenSet, user_agent: str, verify: Verify, now: float
) -> Flow[NewSession]:
    """The session to start, with verified tokens. Raises the `AuthError` of invalid ones."""
    try:
        id_token = yield from verify(tokens.id_token.encode(), now)
        access_token = yield from verify(tokens.access_token.encode(), now)
        agree(id_token, access_token)
    except KeysUnavailable as error:
        raise keys_unavailable(error).exception() from error
    except InvalidToken as error:
        notice_other_pool(home, error.reason, error.claimed, lambda: _VERB)
        raise refused(error).exception() from None
    refresh_token = None if tokens.refresh_token is None else tokens.refresh_token.encode()
    return NewSession(id_token, access_token, refresh_token, user_agent)


def _refuse_too_large(home: Authenticator, resolution: Resolution) -> None:
    """Raise now the error that writing the cookie would raise when the headers go."""
    size = 0 if resolution.cookie is None else home.cookie.size(resolution.cookie)
    if size > home.cookie.max_bytes:
        raise SessionTooLargeError(size, home.cookie.max_bytes)


def _take_over(
    visit: Visit, resolution: Resolution, new: CookieValue, new_session: NewSession
) -> Flow[None]:
    """Go on with the new session, and end the earlier one. `new`: the new cookie value."""
    home, old = visit.home, present_cookies(visit)
    event = signed_out(visit, visit.verdict, "replaced")
    before = visit.decide(resolution, _VERB)
    visit.remember(None)
    if not old:
        return
    # In a flight: a request that is cancelled now has the new user already, and the old session
    # ends all the same.
    flight = Flight(
        ("replace", old, new),
        lambda now: _end_replaced(home, old, new, new_session, event, now),
        "ends",
    )
    try:
        yield Join(flight)
    except Unreachable:
        visit.restore(before)
        raise


def _end_replaced(
    home: Authenticator,
    values: Sequence[CookieValue],
    new: CookieValue,
    new_session: NewSession,
    event: Report | None,
    now: float,
) -> Flow[None]:
    """The flight: end the earlier sessions. Revoke their sign-ins, except the new session's."""
    bundles: list[Bundle] = []
    failure: Unreachable | None = None
    for value in values:
        try:
            bundles += yield from home.sessions.end(value, now, keep=new)
        except Unreachable as error:
            bundles += error.bundles if isinstance(error, PartlyEnded) else []
            failure = error
    if failure is not None and not bundles:
        raise failure  # if some have ended, going back would sign the user out of these
    for value in values:
        yield Remember(home.verdicts, value, None)
    for bundle in bundles:
        old = readable(home, bundle.access_token, now)
        if old is None or bundle.refresh_token is None:
            continue
        if not _is_same_sign_in(old, bundle.refresh_token, new_session):
            yield from home.grants.revoke(old, bundle.refresh_token)
    if event is not None:
        yield event


def _is_same_sign_in(old: VerifiedToken, refresh_token: bytes, new_session: NewSession) -> bool:
    """Whether the new session's tokens are of the same sign-in: revoking would end it too."""
    origin = old.claims.get("origin_jti")
    is_same = origin is not None and origin == new_session.access_token.claims.get("origin_jti")
    return is_same or refresh_token == new_session.refresh_token
