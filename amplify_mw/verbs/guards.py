"""Guards and the server API of Amplify, over the verbs.

`require_auth` lets only signed-in users call a function. `handle_server_auth` and
`ServerAuthManager` return values instead of raising. `amplify_mw.aio` has them awaited.

Rules:
- A guard checks before any of the guarded function runs, generators included. The visit is marked
  as guarded, so that browsers do not cache the answer (`cache_control`).
- Groups and scopes come from verified claims (`sessions.token`) and are kept with the user and the
  verdict; nothing here waits.
- Only an `AuthError` is turned into an answer. A missing middleware stays an error.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, NoReturn, ParamSpec, TypedDict, TypeVar, overload

from ..authenticator import Visit
from ..engine.context import current_visit, signed_in_verdict
from ..engine.reporting import report_verdict
from ..errors import AuthError, ConfigurationError, ForbiddenException
from ..models import AuthUser
from .guarded import note_guarded
from .user import fetch_user_attributes, get_current_user, known_machine

_GUARD = "require_auth"
P = ParamSpec("P")
R = TypeVar("R")


@overload
def require_auth(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def require_auth(
    *,
    groups: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    machines: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def require_auth(
    function: Callable[..., Any] | None = None,
    /,
    *,
    groups: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    machines: bool = False,
) -> Any:
    """Let only signed-in users call a function, a coroutine function or a generator function.

    `groups`: the user must be in one of them. `scopes`: the access token must have all of them.
    `machines`: a machine's token is let in as well (client credentials; `bearer=True`), if it has
    the scopes. Without it, no machine is.
    Raises the errors of `get_current_user`, else `ForbiddenException` (`missing_group`,
    `missing_scope`). The middleware turns these into 401, 403 and 503.

    >>> @require_auth(groups=["editors"])
    ... def publish(): ...
    """
    check = _Check(groups, scopes, machines=machines)
    return check.guard if function is None else check.guard(function)


class _Check:
    def __init__(
        self, groups: Iterable[str] | None, scopes: Iterable[str] | None, *, machines: bool
    ) -> None:
        self._groups = _names("groups", groups)
        self._scopes = _names("scopes", scopes)
        self._machines = machines
        if machines and self._groups:
            raise ConfigurationError(
                "require_auth: machines are in no group, so that none would get in; ask for "
                "scopes=[...], or leave machines out"
            )

    def __call__(self) -> None:
        visit = current_visit()
        visit.guard()
        machine = known_machine(visit, by=_GUARD) if self._machines else None
        if machine is not None:
            scopes = machine.machine.scopes
        else:
            verdict = signed_in_verdict(visit, by=_GUARD)
            scopes = verdict.scopes
            if self._groups and self._groups.isdisjoint(verdict.user.groups):
                self._refuse(visit, ForbiddenException(reason="missing_group"))
        if not self._scopes <= scopes:
            error = ForbiddenException(reason="missing_scope")
            error.scopes = tuple(sorted(self._scopes))
            self._refuse(visit, error)

    def _refuse(self, visit: Visit, error: ForbiddenException) -> NoReturn:
        report_verdict(visit, error, at=_GUARD)
        raise error

    def guard(self, function: Callable[P, Any]) -> Callable[P, Any]:
        if isinstance(function, type | staticmethod | classmethod) or not callable(function):
            raise ConfigurationError(
                "require_auth: write it right above a function or a method, below @staticmethod or "
                "a route's decorator; groups and scopes by name, as in require_auth(groups=['a'])"
            )
        note_guarded(function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                self()
                return await function(*args, **kwargs)

            return guarded_async

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            self()
            return function(*args, **kwargs)

        return guarded


def _names(field: str, names: Iterable[str] | None) -> frozenset[str]:
    if names is None:
        return frozenset()
    if isinstance(names, str):
        raise ConfigurationError(f"require_auth: write {field}=[{names!r}], a list")
    found = frozenset(names)
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ConfigurationError(
            f"require_auth: write {field} as a list of names; an empty one would let everybody in"
        )
    return found


class ServerAuthSuccess(TypedDict):
    """The user is known."""

    success: Literal[True]
    user: AuthUser


class ServerAuthFailure(TypedDict):
    """The user is not known. `error`: a text to show. `status_code`: the HTTP status to answer."""

    success: Literal[False]
    error: str
    status_code: int


_TEXTS = {
    "NotAuthorizedException": "User not authenticated",
    "UserNotConfirmedException": "User not confirmed",
    "TokenExpiredException": "Session expired",
    "NetworkError": "Network error",
}


def handle_server_auth() -> ServerAuthSuccess | ServerAuthFailure:
    """The current user as a value: `{"success": True, "user": ...}`, or a failure.

    A failure is `{"success": False, "error": "User not authenticated", "status_code": 401}`, or
    likewise for an expired session (401), an unconfirmed user (403) and a network error (503).
    """
    try:
        return {"success": True, "user": get_current_user()}
    except AuthError as error:
        text = _TEXTS.get(error.name, "Authentication error")
        return {"success": False, "error": text, "status_code": error.status_code}


class AuthenticatedUser(TypedDict):
    """A signed-in user, from `ServerAuthManager`."""

    is_authenticated: Literal[True]
    user: AuthUser
    profile: dict[str, str]


class Unauthenticated(TypedDict):
    """The answer of `ServerAuthManager` if nobody is signed in, or the user cannot be told now."""

    is_authenticated: Literal[False]
    user: None
    profile: None
    error: str


class ServerAuthManager:
    """Amplify's `ServerAuthManager`: the user and the attributes as values, not exceptions."""

    def get_authenticated_user(self) -> AuthenticatedUser | Unauthenticated:
        """The user and all attributes, or the error's message."""
        try:
            return self.require_authentication()
        except AuthError as error:
            return unauthenticated(error)

    def require_authentication(self) -> AuthenticatedUser:
        """The user and all attributes. Raises `AuthError`."""
        user = get_current_user()
        return {"is_authenticated": True, "user": user, "profile": fetch_user_attributes()}

    def get_user_id(self) -> str | None:
        """The user's `sub`, or None."""
        try:
            return get_current_user().user_id
        except AuthError:
            return None

    def get_user_attribute(self, attribute_key: str) -> str | None:
        """One attribute, or None when it, or the user, is not known."""
        try:
            return fetch_user_attributes().get(attribute_key)
        except AuthError:
            return None


def unauthenticated(error: AuthError) -> Unauthenticated:
    """The answer of a manager to `error`."""
    return {"is_authenticated": False, "user": None, "profile": None, "error": error.message}
