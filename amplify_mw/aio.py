"""The verbs, awaited: the same names as in `amplify_mw`, for async code.

Errors known at once are raised by the call, not by the `await`: a forgotten `await` lets nobody
through. (`handle_server_auth` and most methods of the manager return values instead.)
All are marked as coroutine functions, so that FastAPI's `Depends(get_current_user)` awaits them.
"""

from collections.abc import Coroutine, Iterable
from typing import Any, Literal, TypeVar, overload

from asgiref.sync import markcoroutinefunction

from .config.config import AmplifyConfig
from .engine.carrying import carry as carry
from .engine.context import current_visit
from .errors import AuthError
from .models import AuthUser
from .models.cognito import CognitoSession
from .models.machine import Machine
from .models.session import AuthSession, SessionInfo, SignedInSession
from .verbs.acting import acting_as as acting_as
from .verbs.acting import hand_over_user as _hand_over_user
from .verbs.devices import ending_one, listing
from .verbs.end import ending
from .verbs.fetch import fetching, requiring
from .verbs.given import TokenSource
from .verbs.guards import (
    AuthenticatedUser,
    ServerAuthFailure,
    ServerAuthSuccess,
    Unauthenticated,
    unauthenticated,
)
from .verbs.guards import handle_server_auth as _handle_server_auth
from .verbs.guards import require_auth as require_auth
from .verbs.start import starting
from .verbs.user import attributes_flow, attributes_result
from .verbs.user import get_claim as _get_claim
from .verbs.user import get_current_principal as _get_current_principal
from .verbs.user import get_current_user as _get_current_user
from .verbs.user import user_or_none as _user_or_none
from .verbs.user_of import home_of, looking_up
from .web.sent import Headers

__all__ = [
    "ServerAuthManager",
    "acting_as",
    "carry",
    "end_session",
    "end_session_by_handle",
    "fetchAuthSession",
    "fetchUserAttributes",
    "fetch_auth_session",
    "fetch_user_attributes",
    "getCurrentUser",
    "get_claim",
    "get_current_principal",
    "get_current_user",
    "hand_over_user",
    "handle_server_auth",
    "list_sessions",
    "require_auth",
    "start_session",
    "user_of",
    "user_or_none",
]

T = TypeVar("T")


async def _known(value: T) -> T:
    return value


def _named(verb: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Name a coroutine like its function, for Python's warning about a forgotten `await`."""
    named: Any = coroutine  # typeshed's Coroutine has no names
    named.__name__ = named.__qualname__ = verb
    return coroutine


@markcoroutinefunction
def get_current_user() -> Coroutine[Any, Any, AuthUser]:
    """See `amplify_mw.get_current_user`. Raises at the call."""
    return _named("get_current_user", _known(_get_current_user()))


@markcoroutinefunction
def get_current_principal() -> Coroutine[Any, Any, AuthUser | Machine]:
    """See `amplify_mw.get_current_principal`. Raises at the call."""
    return _named("get_current_principal", _known(_get_current_principal()))


@markcoroutinefunction
def get_claim(
    name: str, *, token_use: Literal["id", "access"] | None = None
) -> Coroutine[Any, Any, Any]:
    """See `amplify_mw.get_claim`. Raises at the call."""
    return _named("get_claim", _known(_get_claim(name, token_use=token_use)))


@markcoroutinefunction
def user_or_none() -> Coroutine[Any, Any, AuthUser | None]:
    """See `amplify_mw.user_or_none`. Raises at the call."""
    return _named("user_or_none", _known(_user_or_none()))


@markcoroutinefunction
def hand_over_user(
    *, expires_in: float = 3600.0, claims: Iterable[str] = ()
) -> Coroutine[Any, Any, str]:
    """See `amplify_mw.hand_over_user`. Raises at the call."""
    found = _hand_over_user(expires_in=expires_in, claims=claims)
    return _named("hand_over_user", _known(found))


@markcoroutinefunction
def user_of(headers: Headers, config: AmplifyConfig) -> Coroutine[Any, Any, AuthUser]:
    """See `amplify_mw.user_of`. Errors known at once are raised at the call."""
    home = home_of(config)
    found = looking_up(home, headers)
    coroutine = _known(found) if isinstance(found, AuthUser) else home.runner.arun(found)
    return _named("user_of", coroutine)


@markcoroutinefunction
def fetch_user_attributes() -> Coroutine[Any, Any, dict[str, str]]:
    """See `amplify_mw.fetch_user_attributes`. Raises at the call when nobody is signed in."""
    visit = current_visit()
    flow = attributes_flow(visit)

    async def fetch() -> dict[str, str]:
        return attributes_result(await visit.arun(flow))

    return _named("fetch_user_attributes", fetch())


@overload
def fetch_auth_session(
    *, force_refresh: bool = False, required: Literal[False] = False
) -> Coroutine[Any, Any, AuthSession]: ...


@overload
def fetch_auth_session(
    *, force_refresh: bool = False, required: Literal[True]
) -> Coroutine[Any, Any, SignedInSession]: ...


@markcoroutinefunction
def fetch_auth_session(
    *, force_refresh: bool = False, required: bool = False
) -> Coroutine[Any, Any, AuthSession] | Coroutine[Any, Any, SignedInSession]:
    """See `amplify_mw.fetch_auth_session`. Raises at the call."""
    visit = current_visit()
    if required:
        needed = requiring(visit, force_refresh=force_refresh)
        return _named("fetch_auth_session", visit.arun(needed))
    flow = fetching(visit, force_refresh=force_refresh)
    return _named("fetch_auth_session", visit.arun(flow))


@markcoroutinefunction
def start_session(
    tokens: TokenSource, *, user_agent: str = "", allow_cross_site: bool = False
) -> Coroutine[Any, Any, AuthUser]:
    """See `amplify_mw.start_session`. A late or foreign call raises at once."""
    visit = current_visit()
    flow = starting(visit, tokens, user_agent=user_agent, allow_cross_site=allow_cross_site)
    return _named("start_session", visit.arun(flow))


@markcoroutinefunction
def end_session(
    *, everywhere: bool = False, allow_cross_site: bool = False
) -> Coroutine[Any, Any, None]:
    """See `amplify_mw.end_session`. A late or foreign call raises at once."""
    visit = current_visit()
    flow = ending(visit, everywhere=everywhere, allow_cross_site=allow_cross_site)
    return _named("end_session", visit.arun(flow))


@overload
def list_sessions(
    user_id: str | None = None, *, source: Literal["store"] = "store"
) -> Coroutine[Any, Any, list[SessionInfo]]: ...


@overload
def list_sessions(
    user_id: None = None, *, source: Literal["cognito"]
) -> Coroutine[Any, Any, list[CognitoSession]]: ...


@markcoroutinefunction
def list_sessions(
    user_id: str | None = None, *, source: Literal["store", "cognito"] = "store"
) -> Coroutine[Any, Any, list[SessionInfo]] | Coroutine[Any, Any, list[CognitoSession]]:
    """See `amplify_mw.list_sessions`. Raises at the call when nobody is signed in."""
    visit = current_visit()
    if source == "store":
        return _named("list_sessions", visit.arun(listing(visit, user_id)))
    from .verbs.cognitos import listing_cognitos

    return _named("list_sessions", visit.arun(listing_cognitos(visit, user_id, source)))


@markcoroutinefunction
def end_session_by_handle(
    handle: str,
    user_id: str | None = None,
    *,
    source: Literal["store", "cognito"] = "store",
    allow_cross_site: bool = False,
) -> Coroutine[Any, Any, bool]:
    """See `amplify_mw.end_session_by_handle`. Raises at the call when nobody is signed in."""
    visit = current_visit()
    flow = ending_one(visit, handle, user_id, source=source, allow_cross_site=allow_cross_site)
    return _named("end_session_by_handle", visit.arun(flow))


@markcoroutinefunction
def handle_server_auth() -> Coroutine[Any, Any, ServerAuthSuccess | ServerAuthFailure]:
    """See `amplify_mw.handle_server_auth`."""
    return _named("handle_server_auth", _known(_handle_server_auth()))


class ServerAuthManager:
    """See `amplify_mw.ServerAuthManager`; the four methods are awaited."""

    async def get_authenticated_user(self) -> AuthenticatedUser | Unauthenticated:
        """The user and all attributes, or the error's message."""
        try:
            return await self.require_authentication()
        except AuthError as error:
            return unauthenticated(error)

    @markcoroutinefunction
    def require_authentication(self) -> Coroutine[Any, Any, AuthenticatedUser]:
        """The user and all attributes. Raises at the call when nobody is signed in."""
        user = _get_current_user()
        attributes = fetch_user_attributes()

        async def gather() -> AuthenticatedUser:
            return {"is_authenticated": True, "user": user, "profile": await attributes}

        return gather()

    async def get_user_id(self) -> str | None:
        """The user's `sub`, or None."""
        try:
            return _get_current_user().user_id
        except AuthError:
            return None

    async def get_user_attribute(self, attribute_key: str) -> str | None:
        """One attribute, or None when it, or the user, is not known."""
        try:
            return (await fetch_user_attributes()).get(attribute_key)
        except AuthError:
            return None


getCurrentUser = get_current_user  # noqa: N816  # Amplify's own spelling
fetchUserAttributes = fetch_user_attributes  # noqa: N816
fetchAuthSession = fetch_auth_session  # noqa: N816
