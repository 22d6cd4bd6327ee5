"""A user's sessions, listed and ended one by one: for a page "your devices".

Rules:
- A handle names a session, and gives no access. It ends a session of the given user only.
- With a `user_id`, nobody has to be signed in: the app decides who may see or end these sessions.
- The list shows the store's own fields. Opening and verifying more takes a session's own cookie.
- Those of Cognito itself (`source="cognito"`) are the signed-in user's, for any kind of session
  that keeps an access token. See `cognito.sessions`.
- The session of this request ends as `end_session` ends it, whatever the source.
"""

from typing import Final, Literal, TypeAlias, overload

from ..authenticator import Visit
from ..cognito.api import Failure
from ..cognito.attributes import SELF_SERVICE_SCOPE
from ..cognito.sessions import MISSING_SCOPE, Holder, ending, is_handle
from ..cognito.sessions import listing as listing_at_cognito
from ..effects import Flow, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop, signed_in_verdict
from ..engine.reporting import signed_out_elsewhere
from ..errors import ConfigurationError
from ..models.cognito import CognitoSession
from ..models.session import SessionInfo
from ..sessions.base import SessionList
from ..sessions.verdicts import STORE_UNAVAILABLE, SignedIn, user_key
from .change import refuse_foreign, refuse_late, refuse_speculative
from .end import end_here

Listed: TypeAlias = Literal["store", "cognito"]
_ENDS_ONE: Final = "end_session_by_handle"
_ENDED_BEFORE: Final = "ResourceNotFoundException"  # RevokeUserSession knows no such session


@overload
def list_sessions(
    user_id: str | None = None, *, source: Literal["store"] = "store"
) -> list[SessionInfo]: ...


@overload
def list_sessions(user_id: None = None, *, source: Literal["cognito"]) -> list[CognitoSession]: ...


def list_sessions(
    user_id: str | None = None, *, source: Listed = "store"
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
    return visit.run(listing_cognitos(visit, user_id, source))


def end_session_by_handle(
    handle: str,
    user_id: str | None = None,
    *,
    source: Listed = "store",
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
    visit: Visit, handle: str, user_id: str | None, *, source: Listed, allow_cross_site: bool
) -> Flow[bool]:
    """The flow behind `end_session_by_handle`. The call raises the errors that need no waiting."""
    refuse_speculative(visit, _ENDS_ONE)
    refuse_foreign(visit, _ENDS_ONE, allow_cross_site=allow_cross_site)
    if source != "store":
        return _end_cognitos(visit, handle, _holder(visit, user_id, source))
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
                has_ended = yield from _session_list(visit).end_by_key(key, session.expires_at, now)
            except Unreachable as error:
                raise STORE_UNAVAILABLE.exception() from error
            if has_ended:
                pool_id, _, user_id = user.partition(" ")
                yield signed_out_elsewhere(visit, pool_id, user_id)
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


# Cognito's own.


def listing_cognitos(
    visit: Visit, user_id: str | None, source: Listed
) -> Flow[list[CognitoSession]]:
    """The flow behind `list_sessions(source="cognito")`. The call raises what needs no waiting."""
    return _list_cognitos(visit, _holder(visit, user_id, source))


def _holder(visit: Visit, user_id: str | None, source: Listed) -> Holder:
    """The signed-in user, whose access token Cognito is asked with."""
    if source != "cognito":
        raise ConfigurationError(f"source: write 'store' or 'cognito'; got {source!r}")
    if user_id is not None:
        raise ConfigurationError(
            "source='cognito': Cognito lists and ends sessions with the user's own access token, "
            "so leave user_id out; for another user, call AdminListUserSessions and "
            "AdminRevokeUserSession with boto3"
        )
    verdict = signed_in_verdict(visit)
    if visit.pinned:
        raise ConfigurationError(
            "source='cognito': a user of signed_in() has no sessions at Cognito; test this with a "
            "LocalUserPool"
        )
    if verdict.access_token is None or SELF_SERVICE_SCOPE not in verdict.scopes:
        raise MISSING_SCOPE.exception()
    endpoint = visit.home.config.pools_by_issuer[verdict.issuer].api_url
    return Holder(verdict.access_token, verdict.user.user_id, verdict.pool, endpoint)


def _list_cognitos(visit: Visit, holder: Holder) -> Flow[list[CognitoSession]]:
    found = yield from _cognitos(visit, holder)
    return list(found.values())


def _cognitos(visit: Visit, holder: Holder) -> Flow[dict[str, CognitoSession]]:
    found = yield from listing_at_cognito(visit.home.grants.user_sessions, holder, visit.now())
    if isinstance(found, Failure):
        raise found.exception()
    return found


def _end_cognitos(visit: Visit, handle: str, holder: Holder) -> Flow[bool]:
    if not is_handle(handle):
        return False
    found = yield from _cognitos(visit, holder)
    session = found.get(handle)
    if session is None:
        return False
    takes_own = any(one.is_current and handle in (one.handle, one.origin) for one in found.values())
    if takes_own:
        refuse_late(visit, _ENDS_ONE)  # before anything ends
    if not session.is_current:
        paces = visit.home.grants.user_sessions
        failure = yield from ending(paces, holder, handle, visit.now())
        if failure is not None and failure.code != _ENDED_BEFORE:
            raise failure.exception()
        if failure is not None and not takes_own:
            return False
    if takes_own:
        yield from end_here(visit, everywhere=False, asks_again=True, how="handle")
    else:
        yield signed_out_elsewhere(visit, holder.pool, holder.sub)
    return True
