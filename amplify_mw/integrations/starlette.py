"""Starlette and FastAPI: `handle_auth_errors(app)`.

Starlette's outermost layer answers 500 to every error without a handler, so a middleware around the
whole app comes too late; one added by `app.add_middleware` sits further in.
"""

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..errors import AuthError
from .answering import answer_for


def handle_auth_errors(app: Starlette) -> None:
    """Answer an `AuthError` from an endpoint as the middleware would.

    `app`: a Starlette or FastAPI app. Each mounted app needs its own call. A handler of the app's
    own for a subclass, such as `NetworkError`, comes first.
    """
    app.add_exception_handler(AuthError, _response)


async def _response(connection: HTTPConnection, error: Exception) -> Response:
    # Starlette swallows nothing of a WebSocket: there the middleware itself still answers.
    if not isinstance(error, AuthError) or connection.scope["type"] != "http":
        raise error
    answer = answer_for(connection.scope, error)
    response = Response(answer.body, answer.status)
    response.raw_headers = answer.octets
    return response
