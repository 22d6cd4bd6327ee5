"""django-ninja: `amplify_auth(...)`, and `handle_auth_errors(api)`.

    api = NinjaAPI(auth=amplify_auth())
    handle_auth_errors(api)

    @api.post("/posts", auth=amplify_auth(groups=["editors"]))
    def publish(request): ...

Rules:
- `request.auth` is Django's user, as `request.user` is.
- The credential is what the middleware around the app has read. The OpenAPI document names the
  cookie and, on request, the Bearer header.
- Forged requests are the outer middleware's to refuse. With `csrf=None`, Django's token is asked
  for here, as ninja does for cookies: its views are exempt from Django's own middleware.
- Nobody is a 401, a user without the group a 403; if the user cannot be told now, it is a 503.
"""

from collections.abc import Iterable
from typing import Any, Final

from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from ...engine.context import current_visit
from ...errors import AuthError, ForbiddenException, NotAuthorizedException
from ...sessions.verdicts import Refused
from ...verbs.user import user_in
from .middleware import response_to
from .present import user_of_visit

_GROUPS: Final = "missing_group"


class _Auth(AuthBase):
    """One kind of credential. `is_cookie`: the session's, or a Bearer header."""

    is_cookie: bool

    def __init__(self, groups: Iterable[str]) -> None:
        self._groups = tuple(groups)
        super().__init__()

    def __call__(self, request: Any) -> Any:
        """Django's user, or None for another kind of credential, or none."""
        visit = current_visit()
        if visit.source.is_ambient is not self.is_cookie:
            return None
        verdict = visit.verdict
        if isinstance(verdict, Refused) and not self.is_cookie:
            raise verdict.exception()
        user = user_in(visit)
        if user is None:
            return None
        if self.is_cookie and visit.home.config.csrf is None and not visit.pinned:
            _check_csrf(request)
        if self._groups and not any(user.has_group(name) for name in self._groups):
            raise ForbiddenException(reason=_GROUPS)
        visit.guard()
        found = user_of_visit(visit, request)
        return found if found.is_authenticated else None


def _check_csrf(request: Any) -> None:
    is_exempt = getattr(request, "_ninja_csrf_exempt", False)  # ninja's decorator
    if not is_exempt and check_csrf(request) is not None:
        raise HttpError(403, "CSRF check failed")


class CookieAuth(_Auth):
    """The session's cookie."""

    openapi_type: str = "apiKey"
    openapi_in: str = "cookie"
    is_cookie = True

    def __init__(self, groups: Iterable[str] = (), cookie: str = "amplify-session") -> None:
        self.openapi_name: str = cookie
        super().__init__(groups)


class BearerAuth(_Auth):
    """A Bearer header, with `bearer=True`."""

    openapi_type: str = "http"
    openapi_scheme: str = "bearer"
    openapi_bearerFormat: str = "JWT"  # noqa: N815  # OpenAPI's name
    is_cookie = False


def amplify_auth(
    *, groups: Iterable[str] = (), bearer: bool = False, cookie: str = "amplify-session"
) -> list[Any]:
    """The value of ninja's `auth=`.

    `groups`: the user must be in one of them. `bearer`: Bearer headers are in the document, too
    (the configuration decides if they are read). `cookie`: the session cookie's name.
    """
    if isinstance(groups, str):
        raise TypeError(f"amplify_auth: groups is a list; write groups=[{groups!r}]")
    groups = tuple(groups)
    kinds: list[Any] = [CookieAuth(groups, cookie)]
    return [*kinds, BearerAuth(groups)] if bearer else kinds


def handle_auth_errors(api: NinjaAPI) -> None:
    """Answer an `AuthError`, and a request without a credential, as the middleware would.

    Without this, ninja answers 500 with a traceback while `DEBUG` is on.
    """
    api.add_exception_handler(AuthError, _response)
    api.add_exception_handler(AuthenticationError, _unauthenticated)


def _response(request: Any, error: Any) -> Any:
    return response_to(request, error)


def _unauthenticated(request: Any, error: Any) -> Any:  # noqa: ARG001
    return response_to(request, NotAuthorizedException(reason="no_session"))
