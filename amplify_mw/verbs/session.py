"""Starting, ending and refreshing a session: what the app decides about the user of a request.

Each verb is a flow over the visit, which `amplify_mw` runs blocking and `amplify_mw.aio` awaits.

Rules:
- What comes too late for the response's headers raises (`ResponseStartedError`); nothing is lost
  without a word.
- Nobody is signed in or out by another site's page: a request whose `Sec-Fetch-Site` or `Origin` is
  foreign is refused, unless the call says `allow_cross_site=True` (login CSRF).
- Nor by a prefetch or a prerender (`Sec-Purpose`), whatever the call says: nobody has opened the
  page, and browsers call the request typed even where another site's page has caused it.
- A session is started with tokens that were verified and agree, under a new id; the one that was
  there ends.
- Whoever ends a session is signed out here at once; what Cognito is told of it is not waited for.
- Where a cookie came with several values, all their sessions end: a copy of it would go on. Nobody
  knows whose they are, so that none of them ends everywhere.
- A session that is ended by another than its own browser leaves a tombstone that says so.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ..authenticator import Authenticator, Visit
from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import InvalidToken, VerifiedToken, agree, parse_segment
from ..effects import Flight, Flow, Join, Remember, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop, signed_in_verdict
from ..engine.reports import tell_stranger
from ..errors import (
    ForbiddenException,
    NotAuthorizedException,
    ResponseStartedError,
    SessionTooLargeError,
)
from ..log import logger
from ..models import AuthSession, AuthUser, Jwt, Tokens, TokenSet
from ..sessions.base import NewSession, PartlyEnded, Postponed
from ..sessions.token import keys_unavailable, refused
from ..sessions.verdicts import (
    NO_COOKIE,
    STORE_UNAVAILABLE,
    CookieValue,
    Refused,
    Resolution,
    SignedIn,
    Verdict,
    Write,
    user_key,
)
from ..web.cookies import Duplicate
from ..web.requests import came_by_hop, is_foreign, is_speculative, page_of
from .given import TokenSource, token_set

_USER_AGENT_LENGTH: Final = 256
_AHEAD: Final = (
    "The browser asked for this ahead of any click (Sec-Purpose: a prefetch, a prerender). It asks "
    "again when somebody opens the page; a form (POST) is never asked for ahead."
)
_CROSS_SITE: Final = (
    "Another site's page asked for this. If it is one of your own, name it in "
    "AmplifyConfig(origins=['https://app.example.com']); where any site may, write "
    "allow_cross_site=True."
)


def start_session(
    tokens: TokenSource, *, user_agent: str = "", allow_cross_site: bool = False
) -> AuthUser:
    """Sign a user in with Cognito's tokens; the response sets the session's cookie.

    `tokens`: a `TokenSet`, or a mapping with `id_token`, `access_token` and `refresh_token`, or
    Cognito's `AuthenticationResult`. Without a refresh token the session ends with its tokens.
    `user_agent`: what `list_sessions` is to call the device, at most 256 characters.
    A session that was there ends. From here on this request is the new user's. The cookie of a
    `TokenSession` gets the ID token; other kinds keep all three.
    `allow_cross_site`: a page of any origin may do this; a check of your own stands in its place.

    Raises `NotAuthorizedException` for tokens that do not hold (the reasons of a cookie's, and
    `missing_token`, `token_mismatch`), `ForbiddenException` (`cross_site`; and
    `speculative_request`, for a prefetch or a prerender, whatever `allow_cross_site` says),
    `NetworkError` when they cannot be verified or kept now (`token_not_yet_valid`: this machine's
    clock is behind), `SessionTooLargeError`, and `ResponseStartedError`.
    """
    refuse_on_event_loop("start_session")
    visit = current_visit()
    flow = starting(visit, tokens, user_agent=user_agent, allow_cross_site=allow_cross_site)
    return visit.home.runner.run(flow)


def end_session(*, everywhere: bool = False, allow_cross_site: bool = False) -> None:
    """Sign the user out; the response clears the session's cookie.

    The refresh token is revoked. `everywhere`: Cognito ends all sign-ins of the user
    (`GlobalSignOut`), and all of the user's sessions in the store end; their browsers, and this
    one, are asked for the password when they sign in again by the sign-in routes. Sealed sessions
    and tokens in other browsers go on until their tokens run out or are to be refreshed. Cognito is
    not waited for; with a `TokenSession` that holds an ID token it cannot be told at all. Does
    nothing where there is no session. Of cookies that name different users (`different_users`) the
    sessions in this browser end, and no others.
    `allow_cross_site`: a page of any origin may do this; a check of your own stands in its place.

    Raises `ForbiddenException` (`cross_site`; and `speculative_request`, for a prefetch or a
    prerender, whatever `allow_cross_site` says), `ResponseStartedError`, and `NetworkError`
    (`store_unavailable`) where the store could not be told: the cookie is cleared all the same.
    """
    refuse_on_event_loop("end_session")
    visit = current_visit()
    flow = ending(visit, everywhere=everywhere, allow_cross_site=allow_cross_site)
    visit.home.runner.run(flow)


def fetch_auth_session(*, force_refresh: bool = False) -> AuthSession:
    """The session's tokens, verified (Amplify's `fetchAuthSession`).

    When nobody is signed in, both members are None. `force_refresh`: new ones, whatever is left of
    the present ones.

    Raises `NetworkError` when that cannot be told or done now; with `force_refresh`,
    `NotAuthorizedException` (`not_refreshable`) for a session that holds no refresh token, and
    `ResponseStartedError` where the new tokens would need another cookie; `BlockingCallError` on an
    event loop.
    """
    refuse_on_event_loop("fetch_auth_session")
    visit = current_visit()
    if force_refresh:
        return visit.home.runner.run(refreshing(visit))
    return session_of(visit)


def session_of(visit: Visit) -> AuthSession:
    """What `fetch_auth_session` answers in this visit, unless forced."""
    verdict = visit.verdict
    # Nobody is signed in, as opposed to its not being known now.
    if isinstance(verdict, Refused) and issubclass(verdict.error, NotAuthorizedException):
        return AuthSession()
    return _auth_session(signed_in_verdict(visit))


def starting(
    visit: Visit, tokens: TokenSource, *, user_agent: str, allow_cross_site: bool
) -> Flow[AuthUser]:
    """The flow behind `start_session`. What can be told at once is raised at the call."""
    _refuse_late(visit, "start_session")
    refuse_speculative(visit, "start_session")
    refuse_foreign(visit, "start_session", allow_cross_site=allow_cross_site)
    return _start(visit, token_set(tokens), _device(user_agent), visit.home.verifier.verify)


def starting_new(visit: Visit, tokens: TokenSet, *, user_agent: str) -> Flow[AuthUser]:
    """The flow of a sign-in that this site has begun, with what Cognito has just issued.

    Tokens from the future begin a session, too: this machine's clock is behind, and the session
    counts once the clock has caught up.
    """
    _refuse_late(visit, "start_session")
    return _start(visit, token_set(tokens), _device(user_agent), visit.home.verifier.verify_new)


def _start(
    visit: Visit,
    tokens: TokenSet,
    user_agent: str,
    verify: Callable[[bytes, float], Flow[VerifiedToken]],
) -> Flow[AuthUser]:
    home, now = visit.home, visit.home.runner.clock()
    generation = home.verdicts.generation
    try:
        id_token = yield from verify(tokens.id_token.encode(), now)
        access_token = yield from verify(tokens.access_token.encode(), now)
        agree(id_token, access_token)
    except KeysUnavailable as error:
        raise keys_unavailable(error).exception() from error
    except InvalidToken as error:
        tell_stranger(home, error.reason, error.claimed, "start_session")
        raise refused(error).exception() from None
    refresh_token = None if tokens.refresh_token is None else tokens.refresh_token.encode()
    new_session = NewSession(id_token, access_token, refresh_token, user_agent)
    try:
        resolution = yield from home.sessions.start(new_session, now)
        verdict = resolution.verdict
        assert isinstance(verdict, SignedIn)  # noqa: S101  # so do all kinds
        try:
            _refuse_late(visit, "start_session")  # before the one that was there is ended
            _refuse_too_large(home, resolution)
            yield from _take_over(visit, resolution, new_session)
        except (ResponseStartedError, SessionTooLargeError, Unreachable):
            with suppress(Unreachable):
                yield from home.sessions.end(verdict.value, now, keep=_present_cookie(visit) or b"")
            raise
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error
    is_early = max(id_token.begins_at, access_token.begins_at) > now + home.verifier.leeway
    # Where Cognito is asked every so often, it confirms a session first.
    if home.config.kind.verify_with_cognito_every is None and not is_early:
        yield Remember(home.verdicts, verdict.value, verdict, generation)
    return verdict.user


def _take_over(visit: Visit, resolution: Resolution, new_session: NewSession) -> Flow[None]:
    """A flow: go on with a new session, and end the one that was there."""
    old = _present_cookies(visit)
    before = _settle(visit, resolution, "start_session")
    visit.attributes = None
    if not old:
        return
    home = visit.home
    # In a flight: whoever is cancelled now is the new user already, and the old session ends.
    new = resolution.verdict.value if isinstance(resolution.verdict, SignedIn) else b""
    flight = Flight(
        ("replace", old, new), lambda now: _end_replaced(home, old, new, new_session, now), "ends"
    )
    try:
        yield Join(flight)
    except Unreachable:
        visit.verdict, visit.writes, visit.by_app = before
        raise


def _refuse_too_large(home: Authenticator, resolution: Resolution) -> None:
    """Raise now what writing the cookie would raise when the headers go."""
    size = 0 if resolution.cookie is None else home.cookie.size(resolution.cookie)
    if size > home.cookie.max_bytes:
        raise SessionTooLargeError(size, home.cookie.max_bytes)


def _settle(visit: Visit, resolution: Resolution, verb: str) -> tuple[Verdict, Write | None, bool]:
    """Go on with what was found; what there was before.

    Raises if another thread has begun the response meanwhile.
    """
    before = visit.verdict, visit.writes, visit.by_app
    visit.asked = visit.by_app = True
    visit.take(resolution)
    # Looked at after it was noted: a response that begins now either takes the note or is seen.
    if visit.begun:
        visit.verdict, visit.writes, visit.by_app = before
        raise ResponseStartedError(verb)
    return before


def _end_replaced(
    home: Authenticator,
    values: tuple[CookieValue, ...],
    new: CookieValue,
    new_session: NewSession,
    now: float,
) -> Flow[None]:
    """The flight: end what was there. Its sign-in is revoked unless it goes on."""
    bundles, failure = [], None
    for value in values:
        try:
            bundles += yield from home.sessions.end(value, now, keep=new)
        except Unreachable as error:
            bundles += error.bundles if isinstance(error, PartlyEnded) else []
            failure = error
    if failure is not None and not bundles:
        raise failure  # with some, to go back now would leave the user signed out of these
    for value in values:
        yield Remember(home.verdicts, value, None)
    for bundle in bundles:
        old = _readable(home, bundle.access_token, now)
        if old is None or bundle.refresh_token is None:
            continue
        if not _goes_on(old, bundle.refresh_token, new_session):
            yield from home.grants.revoke(old, bundle.refresh_token)


def _goes_on(old: VerifiedToken, refresh_token: bytes, new_session: NewSession) -> bool:
    """Whether the new session has tokens of the same sign-in: revoking would end it, too."""
    origin = old.claims.get("origin_jti")
    is_same = origin is not None and origin == new_session.access_token.claims.get("origin_jti")
    return is_same or refresh_token == new_session.refresh_token


def _readable(home: Authenticator, token: bytes | None, now: float) -> VerifiedToken | None:
    """What an access token of a session says; None if it is no longer one of ours."""
    try:
        return home.verifier.read(token, now) if token else None
    except InvalidToken:
        return None


def _present_cookie(visit: Visit) -> CookieValue | None:
    """The value that the session is known by now."""
    if isinstance(visit.verdict, SignedIn):
        return visit.verdict.value or None
    value = None if visit.by_app or visit.pinned else _sent_cookie(visit)
    return None if isinstance(value, Duplicate) else value


def _present_cookies(visit: Visit) -> tuple[CookieValue, ...]:
    """The same, and each value of a cookie that was sent with several: copies of it are good."""
    value = _present_cookie(visit)
    own = () if value is None else (value,)
    if visit.cookies is None or visit.by_app or visit.pinned:
        return own
    return tuple(dict.fromkeys((*own, *visit.home.cookie.ambiguous(visit.cookies))))


def _sent_cookie(visit: Visit) -> CookieValue | Duplicate | None:
    return None if visit.cookies is None else visit.home.cookie.read(visit.cookies)


def ending(visit: Visit, *, everywhere: bool, allow_cross_site: bool) -> Flow[None]:
    """The flow behind `end_session`. What can be told at once is raised at the call."""
    _refuse_late(visit, "end_session")
    refuse_speculative(visit, "end_session")
    refuse_foreign(visit, "end_session", allow_cross_site=allow_cross_site)
    return end_here(visit, everywhere=everywhere, asks_again=everywhere)


def end_here(visit: Visit, *, everywhere: bool, asks_again: bool) -> Flow[None]:
    """A flow: sign the user of this request out. `asks_again`: the next sign-in does."""
    before, value, values = visit.verdict, _present_cookie(visit), _present_cookies(visit)
    has_user = isinstance(before, SignedIn)
    asks_again = asks_again or (isinstance(before, Refused) and before.asks_again)
    if value is None and visit.writes is None and not (has_user or _sent_cookie(visit)):
        return
    signed_out = visit.home.nobody._replace(clears=True, asks_again=asks_again)
    _settle(visit, Resolution(signed_out, NO_COOKIE), "end_session")
    if not values:  # a test's pinned user has none
        return
    home, known = visit.home, before if isinstance(before, SignedIn) else None
    if isinstance(before, Refused) and before.reason == "different_users":
        everywhere = False  # nobody knows who is meant; the sessions in this browser end

    def end(now: float) -> Flow[None]:
        failure = None
        for each in values:
            is_known = each == value  # of others nobody knows whose they are
            ending = _end_for_good(
                *(home, each, known if is_known else None, now),
                everywhere=everywhere and is_known,
                asks_again=asks_again,
            )
            try:
                yield from ending
            except Unreachable as error:
                failure = error
        if failure is not None:
            raise failure

    # In a flight: a request that is cancelled now has signed its user out all the same.
    flight = Flight(("end", values, everywhere, asks_again), end, "ends")
    try:
        yield Join(flight)
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error


def _end_for_good(
    home: Authenticator,
    value: CookieValue,
    known: SignedIn | None,
    now: float,
    *,
    everywhere: bool,
    asks_again: bool,
) -> Flow[None]:
    """The flight: end a session here, then tell Cognito. Raises `Unreachable`."""
    held = known.held if known is not None else None
    bundles = [held.bundle] if held is not None else []
    failure = None
    try:
        ended = yield from home.sessions.end(value, now, asks_again=asks_again)
        bundles = ended or bundles
    except Unreachable as error:
        others = error.bundles if isinstance(error, PartlyEnded) else []
        bundles, failure = others + (bundles or home.sessions.contents(value)), error
    yield Remember(home.verdicts, value, None)
    tokens = dict.fromkeys((bundle.access_token, bundle.refresh_token) for bundle in bundles)
    if known is not None and held is None and known.access_token is not None:
        tokens.setdefault((known.access_token, None))
    for token, refresh_token in tokens:
        access_token = _readable(home, token, now)
        if access_token is None:
            continue
        if everywhere and (known is None or _is_of(access_token, known)):
            failure = (yield from _end_all(home, access_token, refresh_token, now)) or failure
        elif refresh_token is not None:
            yield from home.grants.revoke(access_token, refresh_token)
    if failure is not None:
        raise failure


def _is_of(token: VerifiedToken, known: SignedIn) -> bool:
    """Whether a token is the signed-in user's: another kind of session may hold somebody else's."""
    return (token.pool, token.sub) == (known.pool, known.user.user_id)


def _end_all(
    home: Authenticator, access_token: VerifiedToken, refresh_token: bytes | None, now: float
) -> Flow[Unreachable | None]:
    """A flow: end all sessions of a user that can be ended; what hindered.

    Cognito is told last: a browser that it refuses before would not hear how its session ended.
    """
    hindrance, sessions = None, home.sessions.listed
    if sessions is not None:
        user = user_key(access_token.pool, access_token.sub)
        try:
            for key, session in (yield from sessions.of_user(user, None)).items():
                yield from sessions.end_by_key(key, session.expires_at, now)
        except Unreachable as error:
            hindrance = error
    yield from home.grants.sign_out_everywhere(access_token, refresh_token)
    return hindrance


def refreshing(visit: Visit) -> Flow[AuthSession]:
    """The flow behind `fetch_auth_session(force_refresh=True)`. Raises at the call."""
    verdict = signed_in_verdict(visit)
    if verdict.held is None or verdict.held.bundle.refresh_token is None:
        raise NotAuthorizedException(
            "This session holds no refresh token.", reason="not_refreshable"
        )
    if visit.home.sessions.in_cookie:
        _refuse_late(visit, "fetch_auth_session")
    return _refresh(visit, verdict)


def _refresh(visit: Visit, verdict: SignedIn) -> Flow[AuthSession]:
    try:
        outcome = yield from visit.home.sessions.refresh(verdict, visit.home.runner.clock())
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error
    if isinstance(outcome, Resolution):
        if visit.verdict is verdict:  # nobody signed in or out meanwhile
            visit.take(outcome)
        if visit.home.sessions.in_cookie:  # as in `_settle`; a later request brings the cookie
            _refuse_late(visit, "fetch_auth_session")
        return _auth_session(signed_in_verdict(visit))
    assert isinstance(outcome, Postponed)  # noqa: S101  # it does hold a refresh token
    raise outcome.refused.exception()


def _device(user_agent: str) -> str:
    if not isinstance(user_agent, str):
        raise TypeError("start_session: user_agent is text, such as the header's")
    return "".join(filter(str.isprintable, user_agent))[:_USER_AGENT_LENGTH]


def _refuse_late(visit: Visit, verb: str) -> None:
    if visit.begun:
        raise ResponseStartedError(verb)


def refuse_speculative(visit: Visit, verb: str) -> None:
    """Raise `ForbiddenException` for a prefetch or a prerender."""
    if is_speculative(visit.headers):
        logger.debug("%s refused: speculative_request (a prefetch or a prerender)", verb)
        raise ForbiddenException(_AHEAD, reason="speculative_request")


def refuse_foreign(visit: Visit, verb: str, *, allow_cross_site: bool) -> None:
    """Raise `ForbiddenException` for another site's request, unless any site's will do.

    `ResponseStartedError` once the response has begun: nothing is known of the request then.
    """
    if allow_cross_site:
        return
    _refuse_late(visit, verb)
    hopped = came_by_hop(visit.headers, visit.cookies)
    if hopped or is_foreign(visit.headers, visit.home.config.known_origins):
        why = "another site's link has led here" if hopped else page_of(visit.headers)
        logger.debug("%s refused: cross_site (%s)", verb, why)
        raise ForbiddenException(_CROSS_SITE, reason="cross_site")


def _auth_session(verdict: SignedIn) -> AuthSession:
    """The tokens of a session, as fresh values that share nothing with other requests."""
    tokens = Tokens(
        _jwt(verdict.id_token), _jwt(verdict.access_token), verdict.user.sign_in_details
    )
    return AuthSession(tokens, verdict.user.user_id)


def _jwt(token: bytes | None) -> Jwt | None:
    if token is None:
        return None
    return Jwt(token.decode("ascii"), parse_segment(token.split(b".")[1]))
