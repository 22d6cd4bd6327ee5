"""`UserMiddleware`, and `AuthErrorMiddleware`, which is a part of it.

    MIDDLEWARE = [..., "amplify_mw.integrations.django.UserMiddleware"]

Rules:
- Django turns every exception of a view into a 500 before the middleware around it could see it;
  these answer an `AuthError` before that.
- The user is Cognito's. If nobody is signed in by a cookie, it is the one of Django's own session,
  if `AuthenticationMiddleware` comes before and finds one by a backend that the settings list. A
  Bearer header counts alone.
- If the user cannot be told now, reading it raises `NetworkError` (503): nobody is taken for a
  visitor because something was down.
- A redirect that would bring a signed-in user straight back here is a 403 in its place: a circle
  of `@permission_required` and the sign-in route.
- A page that depends on the user says so (`Vary`, `Cache-Control`) before Django's own cache, which
  is further out, may keep it for others.
- Error pages, and mails about errors, do not show a session's cookie.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve
from django.views.debug import get_default_exception_reporter_filter

from ...authenticator import Visit
from ...engine.context import bound
from ...errors import AuthError
from ...sessions.verdicts import SignedIn
from ...verbs.end import end_session
from ...verbs.user import user_in
from ...web.headers import varied
from ..answering import answer_for, asked_of
from .present import Found, UserNow
from .settings import rules

_LOGIN_REQUIRED: Final = "LoginRequiredMiddleware"
_HIDDEN: Final = "*" * 20


class AuthErrorMiddleware:
    """Answers an `AuthError` from a view or its template as the outer middleware would.

    Django calls it for views only: an error of another Django middleware stays a 500.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._filter = _hiding_cookies(get_default_exception_reporter_filter())
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """The response of the view and the rest of Django, or its awaitable."""
        request.exception_reporter_filter = self._filter
        visit = bound()
        if self._is_async:
            return self._awaited(request, visit)
        return self._finished(request, visit, self.get_response(request))

    async def _awaited(self, request: Any, visit: Visit | None) -> Any:
        return self._finished(request, visit, await self.get_response(request))

    def _finished(self, request: Any, visit: Visit | None, response: Any) -> Any:  # noqa: ARG002
        """The response, as Django's cache may see it."""
        if visit is not None and visit.depends:
            _describe(visit, response.headers)
        return response

    def process_exception(self, request: Any, error: Exception) -> Any:
        """The guard's answer to an `AuthError`; None leaves other errors to Django."""
        if not isinstance(error, AuthError):
            return None
        return response_to(request, error)


class UserMiddleware(AuthErrorMiddleware):
    """Gives `request.user` and `request.auser`, and answers an `AuthError` from a view.

    It comes after Django's `AuthenticationMiddleware`, if that is there, and before everything
    that reads the user.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        super().__init__(get_response)
        rules()  # a wrong setting is an error now
        user_logged_out.connect(_sign_out, dispatch_uid="amplify_mw")
        self._needs_login = any(name.endswith(_LOGIN_REQUIRED) for name in settings.MIDDLEWARE)

    def __call__(self, request: Any) -> Any:
        """The response, or its awaitable."""
        own = request.__dict__
        found = Found(bound(), own.get("user"), own.get("auser"), request)
        request.user = UserNow(found)
        request.auser = found.auser
        return super().__call__(request)

    def _finished(self, request: Any, visit: Visit | None, response: Any) -> Any:
        response = super()._finished(request, visit, response)
        return response if visit is None else _unless_circle(request, visit, response)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        """The answer in an outage, before `LoginRequiredMiddleware` asks who is there.

        Django would make its error a 500.
        """
        if not self._needs_login:
            return None
        visit = bound()
        try:
            if visit is not None:
                user_in(visit)
        except AuthError as error:
            return response_to(request, error)
        return None


def _describe(visit: Visit, headers: Any) -> None:
    """Write `Vary` and `Cache-Control`, as the middleware around the app does later."""
    words, is_user = visit.source.text, isinstance(visit.verdict, SignedIn)
    if "Vary" not in headers and "Cache-Control" not in headers:  # nearly always: the same, faster
        headers["Vary"] = words.vary_cookie[1]
        if is_user or words.is_private:
            is_secret = visit.home.no_store[visit.depends]
            headers["Cache-Control"] = "no-store" if is_secret else "private"
        return
    for name, value in varied(headers.items(), words, is_user, visit.home.no_store[visit.depends]):
        headers[name] = value


def _unless_circle(request: Any, visit: Visit, response: Any) -> Any:
    """The response, unless it sends a signed-in user to sign in and come back here."""
    if response.status_code != 302 or not isinstance(visit.verdict, SignedIn):
        return response
    url = urlsplit(response.get("Location", ""))
    if parse_qs(url.query) != {"next": [request.get_full_path()]}:
        return response
    login_url = _route_of_settings() if visit.pinned else sign_in_url(request, visit)
    if login_url is not None and url.path == urlsplit(login_url).path:
        raise PermissionDenied
    return response


def _route_of_settings() -> str | None:
    """LOGIN_URL, if it leads out of Django: a test's user comes without a configuration."""
    try:
        url: str = resolve_url(settings.LOGIN_URL)
        resolve(urlsplit(url).path)
    except NoReverseMatch:
        return None
    except Resolver404:
        return url
    return None


def sign_in_url(request: Any, visit: Visit) -> str | None:
    """The site's sign-in page, below the mount that the request came by; None without one."""
    url = visit.home.config.login_url
    if url is None or not url.startswith("/"):
        return url
    return asked_of(bare(request), visit.home.mounts.place_of).mount + url


def _sign_out(request: Any = None, **_: Any) -> None:
    """End the session with Django's `logout` (the receiver of its signal).

    Raises `NetworkError` if the store could not be told, and `ForbiddenException` for a request of
    another site's page. A Bearer header has no session to end.
    """
    visit = bound()
    if request is not None and visit is not None and visit.source.is_ambient:
        end_session()


def response_to(request: Any, error: AuthError) -> Any:
    """The answer to an `AuthError`, as Django's response."""
    answer = answer_for(bare(request), error)
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]  # Django's default: a redirect has no body, and so no type
    for name, value in answer.headers:
        # It keeps one value of a name; two challenges are as good in one header (RFC 9110 11.6.1).
        response[name] = f"{response[name]}, {value}" if name in response else value
    return response


def bare(request: Any) -> Any:
    """The environ or the scope of a request. (Only an ASGI request has a scope.)"""
    scope = getattr(request, "scope", None)
    return request.environ if scope is None else scope


def _hiding_cookies(given: Any) -> Any:
    """Django's filter for error pages and mails, which does not show a session's cookie either."""

    def get_safe_cookies(self: Any, request: Any) -> dict[str, Any]:
        shown: dict[str, Any] = kind.get_safe_cookies(self, request)
        return {name: _hidden_if_ours(name, value) for name, value in shown.items()}

    kind = type(given)
    members = {"get_safe_cookies": get_safe_cookies, "__module__": __name__}
    return type(kind.__name__, (kind,), members)()


def _hidden_if_ours(name: str, value: Any) -> Any:
    visit = bound()
    is_ours = visit is not None and name.startswith(tuple(visit.home.cookie.names))
    return _HIDDEN if is_ours else value
