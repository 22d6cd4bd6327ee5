"""Django: `AuthErrorMiddleware`, under a WSGI or an ASGI handler.

    MIDDLEWARE = [..., "amplify_mw.integrations.django.AuthErrorMiddleware"]

Django turns every exception of a view into a 500 before the middleware around it could see it.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse  # type: ignore[import-untyped]  # it has no types

from .. import asgi, wsgi
from ..errors import AuthError
from ..web.answers import Answer


class AuthErrorMiddleware:
    """Answers an `AuthError` that escapes a view or its template as the outer middleware would.

    Django asks it for views only: an error that another of its middlewares raises stays a 500.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """The response, or its awaitable: what the view and the rest of Django make of it."""
        return self.get_response(request)

    def process_exception(self, request: Any, error: Exception) -> Any:
        """The guard's answer to an `AuthError`; None leaves other errors to Django."""
        if not isinstance(error, AuthError):
            return None
        answer = _answer_for(request, error)
        response = HttpResponse(answer.body, status=answer.status)
        del response["Content-Type"]  # Django's default: a redirect has no body, and so no type
        for name, value in answer.headers:
            response[name] = value
        return response


def _answer_for(request: Any, error: AuthError) -> Answer:
    scope = getattr(request, "scope", None)  # only an ASGI request has one
    if scope is not None:
        return asgi.answer_for(scope, error)
    return wsgi.answer_for(request.environ, error)
