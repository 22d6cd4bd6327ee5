"""Django: `AuthErrorMiddleware`, under a WSGI or an ASGI handler.

    MIDDLEWARE = [..., "amplify_mw.integrations.django.AuthErrorMiddleware"]

Django turns every exception of a view into a 500 before the middleware around it could see it.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse  # type: ignore[import-untyped]  # it has no types

from ..errors import AuthError
from .answering import answer_for


class AuthErrorMiddleware:
    """Answers an `AuthError` from a view or its template as the outer middleware would.

    Django calls it for views only: an error of another Django middleware stays a 500.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """The response of the view and the rest of Django, or its awaitable."""
        return self.get_response(request)

    def process_exception(self, request: Any, error: Exception) -> Any:
        """The guard's answer to an `AuthError`; None leaves other errors to Django."""
        if not isinstance(error, AuthError):
            return None
        return _response(request, error)


def _response(request: Any, error: AuthError) -> Any:
    scope = getattr(request, "scope", None)  # only an ASGI request has one
    answer = answer_for(request.environ if scope is None else scope, error)
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]  # Django's default: a redirect has no body, and so no type
    for name, value in answer.headers:
        # It keeps one value of a name; two challenges are as good in one header (RFC 9110 11.6.1).
        response[name] = f"{response[name]}, {value}" if name in response else value
    return response
