"""Bottle: `handle_auth_errors(app)`.

Bottle turns every exception into a 500 before the middleware could see it. A plugin comes earlier,
but sees only exceptions of a route's function; those of hooks and generators reach the handler of
that 500.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import bottle  # type: ignore[import-untyped]  # it has no types

from ..errors import AuthError
from .answering import answer_for


def handle_auth_errors(app: Any) -> None:
    """Answer an `AuthError` from a route, a hook or a body as the middleware would.

    `app`: a `bottle.Bottle`. Call this after setting an error handler for 500, which still gets all
    other errors. Each mounted or merged app needs its own call.
    """
    internal_error = app.error_handler.get(500, app.default_error_handler)

    def answer_or_error(failure: Any) -> Any:
        error = failure.exception
        return _response(error) if isinstance(error, AuthError) else internal_error(failure)

    app.install(_answering)
    app.error(500)(answer_or_error)


def _answering(route: Callable[..., Any]) -> Callable[..., Any]:
    """The plugin."""

    @wraps(route)
    def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return route(*args, **kwargs)
        except AuthError as error:
            raise _response(error) from error

    return answered


def _response(error: AuthError) -> Any:
    answer = answer_for(bottle.request.environ, error)
    return bottle.HTTPResponse(answer.body, answer.status, list(answer.headers))
