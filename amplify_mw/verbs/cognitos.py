"""Cognito's own sessions of the signed-in user, for `list_sessions` and `end_session_by_handle`.

Rules:
- Any kind of session will do that keeps an access token. See `cognito.sessions`.
- The session of this request ends as `end_session` ends it: Cognito does not end the session of the
  access token that it is asked with.
- Nothing ends before everything was checked that can refuse the end.
"""

from typing import Final

from ..authenticator import Visit
from ..cognito.api import Failure
from ..cognito.attributes import SELF_SERVICE_SCOPE
from ..cognito.sessions import MISSING_SCOPE, Holder, ending, is_handle, listing
from ..effects import Flow
from ..engine.context import signed_in_verdict
from ..engine.reporting import signed_out_elsewhere
from ..errors import ConfigurationError
from ..models.cognito import CognitoSession
from .change import refuse_late
from .end import end_here

_VERB: Final = "end_session_by_handle"
_ENDED_BEFORE: Final = "ResourceNotFoundException"  # RevokeUserSession knows no such session


def listing_cognitos(visit: Visit, user_id: str | None, source: str) -> Flow[list[CognitoSession]]:
    """The flow behind `list_sessions(source="cognito")`. The call raises what needs no waiting."""
    return _list_cognitos(visit, _holder(visit, user_id, source))


def ending_cognitos(visit: Visit, handle: str, user_id: str | None, source: str) -> Flow[bool]:
    """The flow behind `end_session_by_handle(..., source="cognito")`, likewise."""
    return _end_cognitos(visit, handle, _holder(visit, user_id, source))


def _holder(visit: Visit, user_id: str | None, source: str) -> Holder:
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
    endpoints = visit.home.config.pools_by_issuer[verdict.issuer].api_urls
    return Holder(verdict.access_token, verdict.user.user_id, verdict.pool, endpoints)


def _list_cognitos(visit: Visit, holder: Holder) -> Flow[list[CognitoSession]]:
    found = yield from _cognitos(visit, holder)
    return list(found.values())


def _cognitos(visit: Visit, holder: Holder) -> Flow[dict[str, CognitoSession]]:
    found = yield from listing(visit.home.grants.user_sessions, holder, visit.now())
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
        refuse_late(visit, _VERB)  # before anything ends
    if not session.is_current:
        regions = visit.home.grants.user_sessions
        failure = yield from ending(regions, holder, handle, visit.now())
        if failure is not None and failure.code != _ENDED_BEFORE:
            raise failure.exception()
        if failure is not None and not takes_own:
            return False
    if takes_own:
        yield from end_here(visit, everywhere=False, asks_again=True, how="handle")
    else:
        yield signed_out_elsewhere(visit, holder.pool, holder.sub, handle)
    return True
