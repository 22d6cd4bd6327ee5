"""`fetch_auth_session`: the session's tokens, refreshed on demand.

Rules:
- One flow in both worlds, run blocking here and awaited in `amplify_mw.aio`.
- More to fetch would be a flow with a cached flight, as in `cognito.attributes`: nothing is sent
  here.
- Without a user the session is empty. If the user cannot be told now, this raises.
- A refresh that needs a new cookie is refused once the response's headers have gone.
"""

from typing import Literal, overload

from ..authenticator import Visit
from ..cognito.jwt import parse_segment
from ..effects import Flow, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop, signed_in_verdict
from ..errors import NotAuthorizedException
from ..models.session import AuthSession, Jwt, SignedInSession, SignedInTokens, Tokens
from ..sessions.base import Postponed
from ..sessions.verdicts import STORE_UNAVAILABLE, Resolution, SignedIn
from .change import refuse_late

_VERB = "fetch_auth_session"


@overload
def fetch_auth_session(
    *, force_refresh: bool = False, required: Literal[False] = False
) -> AuthSession: ...


@overload
def fetch_auth_session(
    *, force_refresh: bool = False, required: Literal[True]
) -> SignedInSession: ...


def fetch_auth_session(
    *, force_refresh: bool = False, required: bool = False
) -> AuthSession | SignedInSession:
    """The session's tokens, verified (Amplify's `fetchAuthSession`).

    When nobody is signed in, both members are None. `force_refresh`: refresh them first, even if
    they are still valid. `required`: nothing is None. Nobody being signed in raises the errors of
    `get_current_user`, and so does reading a token that the session does not have
    (`NotAuthorizedException`, `missing_token`).

    Raises `NetworkError` when this cannot be told or done now; with `force_refresh`,
    `NotAuthorizedException` (`not_refreshable`) for a session without a refresh token, and
    `ResponseStartedError` if the new tokens need a new cookie and the headers have gone;
    `BlockingCallError` on an event loop.

    >>> from amplify_mw.testing import signed_in
    >>> with signed_in("ada", email="ada@example.com"):
    ...     fetch_auth_session(required=True).tokens.id_token.payload["email"]
    'ada@example.com'
    """
    refuse_on_event_loop(_VERB)
    visit = current_visit()
    if required:
        return visit.run(requiring(visit, force_refresh=force_refresh))
    return visit.run(fetching(visit, force_refresh=force_refresh))


def fetching(visit: Visit, *, force_refresh: bool) -> Flow[AuthSession]:
    """The flow behind `fetch_auth_session`. The call itself raises the errors known already."""
    verdict = visit.verdict
    is_nobody = not isinstance(verdict, SignedIn) and issubclass(
        verdict.error, NotAuthorizedException
    )
    if is_nobody and not force_refresh:
        return _fetch(visit, None, refreshes=False)
    signed_in = signed_in_verdict(visit)
    if force_refresh:
        _refuse_refresh(visit, signed_in)
    return _fetch(visit, signed_in, refreshes=force_refresh)


def requiring(visit: Visit, *, force_refresh: bool) -> Flow[SignedInSession]:
    """The same with `required=True`. The call itself raises the errors known already."""
    signed_in = signed_in_verdict(visit)
    if force_refresh:
        _refuse_refresh(visit, signed_in)
    return _require(visit, signed_in, refreshes=force_refresh)


def _require(visit: Visit, verdict: SignedIn, *, refreshes: bool) -> Flow[SignedInSession]:
    tokens, user_sub = yield from _tokens(visit, verdict, refreshes=refreshes)
    return SignedInSession(SignedInTokens(tokens), user_sub)


def _refuse_refresh(visit: Visit, verdict: SignedIn) -> None:
    """Raise the error of a session that cannot be refreshed in this request."""
    if verdict.held is None or verdict.held.bundle.refresh_token is None:
        raise NotAuthorizedException(
            "This session holds no refresh token.", reason="not_refreshable"
        )
    if visit.home.sessions.in_cookie:
        refuse_late(visit, _VERB)


def _fetch(visit: Visit, verdict: SignedIn | None, *, refreshes: bool) -> Flow[AuthSession]:
    if verdict is None:
        return AuthSession()
    tokens, user_sub = yield from _tokens(visit, verdict, refreshes=refreshes)
    return AuthSession(tokens, user_sub)


def _tokens(visit: Visit, verdict: SignedIn, *, refreshes: bool) -> Flow[tuple[Tokens, str]]:
    """The tokens of a verdict, and the user's `sub`."""
    if refreshes:
        verdict = yield from _refreshed(visit, verdict)
    details = verdict.user.sign_in_details
    tokens = Tokens(_jwt(verdict.id_token), _jwt(verdict.access_token), details)
    return tokens, verdict.user.user_id


def _refreshed(visit: Visit, verdict: SignedIn) -> Flow[SignedIn]:
    """The verdict with new tokens, noted in the visit."""
    sessions = visit.home.sessions
    try:
        outcome = yield from sessions.refresh(verdict, visit.now())
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error
    if isinstance(outcome, Resolution):
        if visit.verdict is verdict:  # nobody signed in or out meanwhile
            visit.take(outcome)
        if sessions.in_cookie:  # as in `Visit.decide`; a later request brings the cookie
            refuse_late(visit, _VERB)
        return signed_in_verdict(visit)
    assert isinstance(outcome, Postponed)  # noqa: S101  # there is a refresh token
    if outcome.cookie is not None and visit.verdict is verdict:
        visit.take(Resolution(verdict, outcome.cookie))
    raise outcome.refused.exception()


def _jwt(token: bytes | None) -> Jwt | None:
    """A token as a fresh value, which shares nothing with other requests."""
    if token is None:
        return None
    return Jwt(token.decode("ascii"), parse_segment(token.split(b".")[1]))
