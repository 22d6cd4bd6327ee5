"""A user's sessions, listed and ended one by one: for a page "your devices".

Rules:
- A handle names a session, and gives no access. It ends a session of the given user only.
- With a `user_id`, nobody has to be signed in: the app decides who may see or end these sessions.
- The list shows the store's own fields. Opening and verifying more takes a session's own cookie.
- Those of Cognito itself (`source="cognito"`) are in `cognitos`, imported when they are asked for.
"""

from typing import Final, Literal, overload

from ..authenticator import Visit
from ..effects import Flow, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop, signed_in_verdict
from ..engine.reporting import signed_out_elsewhere
from ..errors import ConfigurationError
from ..models.cognito import CognitoSession
from ..models.session import SessionInfo
from ..sessions.base import SessionList
from ..sessions.verdicts import STORE_UNAVAILABLE, SignedIn, user_key
from .change import refuse_bearer, refuse_foreign, refuse_speculative
from .end import end_here

_ENDS_ONE: Final = "end_session_by_handle"


@overload
def list_sessions(
    user_id: str | None = None, *, source: Literal["store"] = "store"
) -> list[SessionInfo]: ...


@overload
def list_sessions(user_id: None = None, *, source: Literal["cognito"]) -> list[CognitoSession]: ...


def list_sessions(
    user_id: str | None = None, *, source: Literal["store", "cognito"] = "store"
) -> list[SessionInfo] | list[CognitoSession]:
    """The sessions of a user (a `sub`; the signed-in one by default), the one seen last first.

    With a `user_id`, first check the caller's permission. Without one this raises the errors of
    `get_current_user`. Also raises `ConfigurationError` for session kinds without a list,
    `NetworkError` (`store_unavailable`), and `BlockingCallError`.

    `source="cognito"`: the signed-in user's sessions at Cognito, in all apps of the user pool, by
    `ListUserSessions`. For any kind of session with an access token of the scope
    `aws.cognito.signin.user.admin`, in a pool that tracks sessions. A new session is listed after
    some seconds. Raises `NotAuthorizedException` (`missing_scope`; `session_revoked` and
    `token_expired`, if Cognito refuses the token), `AuthError` (`cognito_misconfigured`: the pool
    does not track sessions), `NetworkError`, and `ConfigurationError` for a `user_id`.
    """
    refuse_on_event_loop("list_sessions")
    visit = current_visit()
    if source == "store":
        return visit.run(listing(visit, user_id))
    from .cognitos import listing_cognitos

    return visit.run(listing_cognitos(visit, user_id, source))


def end_session_by_handle(
    handle: str,
    user_id: str | None = None,
    *,
    source: Literal["store", "cognito"] = "store",
    allow_cross_site: bool = False,
) -> bool:
    """End one of the sessions in `list_sessions`; False if this user has no session of this handle.

    A handle of another user's session ends nothing. The ended session's browser has to enter the
    password at its next sign-in by the sign-in routes. Its refresh token is not revoked: only its
    cookie can read it. Raises the errors of `list_sessions`, `ForbiddenException` (`cross_site`;
    and `speculative_request`, for a prefetch or a prerender, even with `allow_cross_site`), and,
    without `allow_cross_site=True`, `ResponseStartedError` once the headers have gone.

    `source="cognito"`: by `RevokeUserSession`, which revokes its refresh and access tokens. A
    browser with a session here is signed out when its tokens are due for a refresh. A sign-in takes
    the single sign-on session along that it came through, and that one takes its sign-ins. If this
    request's session is among them it ends as `end_session` ends it, which raises
    `ResponseStartedError` once the headers have gone.
    """
    refuse_on_event_loop(_ENDS_ONE)
    visit = current_visit()
    flow = ending_one(visit, handle, user_id, source=source, allow_cross_site=allow_cross_site)
    return visit.run(flow)


def listing(visit: Visit, user_id: str | None) -> Flow[list[SessionInfo]]:
    """The flow behind `list_sessions`. The call itself raises the errors that need no waiting."""
    _session_list(visit)
    return _list(visit, _users(visit, user_id))


def _session_list(visit: Visit) -> SessionList:
    if visit.home.sessions.listed is None:
        raise ConfigurationError(
            "this kind of session keeps no list: write AmplifyConfig(session=StoredSession(store)) "
            "to list sessions and to end one of them"
        )
    return visit.home.sessions.listed


def _list(visit: Visit, users: list[str]) -> Flow[list[SessionInfo]]:
    found = yield from _sessions_of(visit, users)
    return list(found.values())


def ending_one(
    visit: Visit,
    handle: str,
    user_id: str | None,
    *,
    source: Literal["store", "cognito"],
    allow_cross_site: bool,
) -> Flow[bool]:
    """The flow behind `end_session_by_handle`. The call raises the errors that need no waiting."""
    if user_id is None:
        refuse_bearer(visit, _ENDS_ONE)
    refuse_speculative(visit, _ENDS_ONE)
    refuse_foreign(visit, _ENDS_ONE, allow_cross_site=allow_cross_site)
    if source != "store":
        from .cognitos import ending_cognitos

        return ending_cognitos(visit, handle, user_id, source)
    _session_list(visit)
    return _end_one(visit, handle, _users(visit, user_id))


def _end_one(visit: Visit, handle: str, users: list[str]) -> Flow[bool]:
    for user in users:
        if (yield from _end_one_of(visit, handle, user)):
            return True
    return False


def _end_one_of(visit: Visit, handle: str, user: str) -> Flow[bool]:
    found, now = (yield from _sessions_of(visit, [user])), visit.now()
    for key, session in found.items():
        if session.handle == handle:
            if session.is_current and not visit.begun:
                yield from end_here(visit, everywhere=False, asks_again=True, how="handle")
                return True
            try:
                has_ended = yield from _session_list(visit).end_by_key(key, now)
            except Unreachable as error:
                raise STORE_UNAVAILABLE.exception() from error
            if has_ended:
                pool_id, _, user_id = user.partition(" ")
                yield signed_out_elsewhere(visit, pool_id, user_id, handle)
            return has_ended
    return False


def _users(visit: Visit, user_id: str | None) -> list[str]:
    """The store's keys of a user: one for each pool, unless it is the signed-in user."""
    if user_id is None:
        verdict = signed_in_verdict(visit)
        return [user_key(verdict.pool, verdict.user.user_id)]
    return [user_key(pool, user_id) for pool in sorted(visit.home.pools)]


def _sessions_of(visit: Visit, users: list[str]) -> Flow[dict[bytes, SessionInfo]]:
    verdict = visit.verdict
    current = verdict if isinstance(verdict, SignedIn) else None
    found: dict[bytes, SessionInfo] = {}
    try:
        for user in users:
            found |= yield from _session_list(visit).of_user(user, current)
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error
    return found
