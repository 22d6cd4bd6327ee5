"""Guards and the server API of Amplify, over the verbs.

`require_auth` lets only signed-in users call a function. `handle_server_auth` and
`ServerAuthManager` return values instead of raising. `amplify_mw.aio` has them awaited.

Rules:
- A guard checks before any of the guarded function runs, generators included. The visit is marked
  as guarded, so that browsers do not cache the answer (`cache_control`).
- All that a guard asks for comes from verified tokens, and is decided in `needs`; nothing waits. A
  guard that has let these tokens in before looks at a note of that alone.
- Only an `AuthError` is turned into an answer. A missing middleware stays an error.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, Literal, ParamSpec, TypedDict, TypeVar, overload

from ..authenticator import GUARDED
from ..engine.context import bound, current_visit, signed_in_verdict
from ..engine.reporting import report_verdict
from ..errors import AuthError, ConfigurationError
from ..models import AuthUser
from ..needs import ALWAYS, Check, Needs, Value, unmet
from ..sessions.verdicts import KnownMachine, SignedIn
from .guarded import note_guarded
from .user import fetch_user_attributes, get_current_user, known_machine

_GUARD: Final = "require_auth"
P = ParamSpec("P")
R = TypeVar("R")


@overload
def require_auth(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def require_auth(needs: Needs, /) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


@overload
def require_auth(
    *,
    groups: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    machines: bool = False,
    fresh: float | None = None,
    acr: str | Iterable[str] | None = None,
    claims: Mapping[str, Value | Iterable[Value]] | None = None,
    check: Check | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def require_auth(function: Any = None, /, **asked: Any) -> Any:
    """Let only signed-in users call a function, a coroutine function or a generator function.

    `groups`: the user must be in one of them. `scopes`: the access token must have all of them.
    `machines`: a machine's token is let in as well (client credentials; `bearer=True`), if it has
    the scopes. Without it, no machine is.
    `fresh`: the most seconds since the user has shown who they are (`auth_time`). `acr`: how, as
    the token's `acr` says; one name or a list. Neither is renewed by a refresh: the user has to
    sign in again, and browsers are sent there with the `routes`.
    `claims`: claims of the token with their values, as `{"custom:tenant": "a1"}`, or a list of
    values each. `check`: a function that gets the user and returns whether they may pass.
    Or all of it as one value, for paths too: `require_auth(Needs(...))`.
    Raises the errors of `get_current_user`, else `ForbiddenException` (`missing_group`,
    `missing_scope`, `unmet_claim`, `not_permitted`) or `StepUpRequiredException` (`not_fresh`,
    `acr_too_low`). The middleware turns these into 401, 403 and 503.

    >>> @require_auth(groups=["editors"])
    ... def publish(): ...
    """
    if isinstance(function, Needs):
        return _guard(function)
    guard = _guard(needs_of(_GUARD, asked))
    return guard if function is None else guard(function)


def needs_of(function: str, asked: Mapping[str, Any]) -> Needs:
    """The needs from a function's keyword arguments. Raises `TypeError` for an unknown one."""
    names = [field.name for field in fields(Needs) if field.init]
    unknown = sorted(asked.keys() - set(names))
    if unknown:
        raise TypeError(f"{function}() has no {unknown[0]!r}; it has {', '.join(names)}")
    return Needs(**asked)


def _guard(needs: Needs) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """The decorator for these needs."""
    check = _check_of(needs)

    def guard(function: Callable[P, Any]) -> Callable[P, Any]:
        if isinstance(function, type | staticmethod | classmethod) or not callable(function):
            raise ConfigurationError(
                "require_auth: write it right above a function or a method, below @staticmethod or "
                "a route's decorator; groups and scopes by name, as in require_auth(groups=['a'])"
            )
        note_guarded(function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                check()
                return await function(*args, **kwargs)

            return guarded_async

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            check()
            return function(*args, **kwargs)

        return guarded

    return guard


def _check_of(needs: Needs) -> Callable[[], None]:
    """The check itself. (A function with its values beside it: a method takes twice as long.)"""
    key, is_plain = needs.key, needs.is_empty

    def check() -> None:
        visit = bound()
        if visit is not None:
            visit.depends = GUARDED  # `visit.guard`, without its call
            verdict = visit.verdict
            if type(verdict) is SignedIn and not visit.stage:  # nearly always
                if is_plain:
                    return
                span = None if verdict.met is None else verdict.met.get(key)
                if span is ALWAYS:
                    return
                if span is not None and span[0] <= visit.home.runner.clock() < span[1]:
                    return
        _look(needs)

    return check


def _look(needs: Needs) -> None:
    """Check a request that is not known to meet the needs."""
    visit = current_visit()
    visit.guard()
    principal: SignedIn | KnownMachine | None = None
    if needs.machines:
        principal = known_machine(visit, by=_GUARD)
    if principal is None:
        principal = signed_in_verdict(visit, by=_GUARD)
    error = unmet(needs, principal, visit.now(), visit.home.verifier.leeway)
    if error is not None:
        report_verdict(visit, error, at=_GUARD)
        try:
            raise error
        finally:
            del error  # likewise, no cycle: see `signed_in_verdict`


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
