"""Flask: `handle_auth_errors(app)`.

Flask turns every exception of a view into a 500 before the middleware could see it.
"""

from flask import Flask, Response, request

from ..errors import AuthError
from .answering import answer_for


def handle_auth_errors(app: Flask) -> None:
    """Answer an `AuthError` from a view, of a blueprint too, as the middleware would.

    A handler of the app's own for a subclass, such as `NetworkError`, comes first.
    """
    app.register_error_handler(AuthError, _response)


class _Response(Response):
    default_mimetype = None  # a redirect has no body, and so no type


def _response(error: AuthError) -> Response:
    answer = answer_for(request.environ, error)
    return _Response(answer.body, answer.status, list(answer.headers))
