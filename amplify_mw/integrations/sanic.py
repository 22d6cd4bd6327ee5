"""Sanic under an ASGI server: `handle_auth_errors(app)`.

Sanic turns every exception into a 500, and ends a WebSocket without a word, before the middleware
could see it.

Rules:
- Sanic accepts a WebSocket before its handler runs. An error in the handler closes it with a code;
  one in a request middleware (`@app.on_request`) refuses the handshake.
- An `AuthError` in a WebSocket is an answer, and no fault: Sanic's log does not hear of it.
- Sanic's page for errors in debug mode shows all headers. Those with a session or a token are
  hidden from it, and from error handlers in debug mode.
"""

from typing import Any

from sanic import HTTPResponse, Request, Sanic

from ..engine.context import bound
from ..errors import AuthError
from ..verbs.request_user import RequestUser
from .answering import answer_for, refuse_socket


def handle_auth_errors(app: "Sanic[Any, Any]") -> None:
    """Answer an `AuthError` from a handler or a middleware as the guard would.

    From now on `request.ctx.user` is the request's `RequestUser`. A handler of the app's own for a
    subclass, such as `NetworkError`, comes first. Call it once for each app.
    """
    app.exception(AuthError)(_answer)
    app.register_middleware(_note_user, "request", priority=1000)  # before those of the app
    app.signal("websocket.handler.exception")(_close)
    app.signal("http.lifecycle.exception")(_hide)
    log = app.error_handler.log

    def log_faults(request: Request, exception: Exception) -> None:
        if not isinstance(exception, AuthError) or bound() is None:
            log(request, exception)

    app.error_handler.log = log_faults  # type: ignore[method-assign]


async def _note_user(request: Request) -> None:
    visit = bound()
    if visit is not None:
        request.ctx.user = RequestUser.of(visit)


async def _answer(request: Any, error: AuthError) -> HTTPResponse:
    if bound() is None:
        raise error
    scope = request.transport.scope
    if scope["type"] == "websocket":
        await refuse_socket(scope, request.transport.send, error, accepted=False)
        return _Sent()
    answer = answer_for(scope, error)
    response = HTTPResponse(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


class _Sent(HTTPResponse):
    """What has been sent already."""

    async def send(self, data: Any = None, end_stream: bool | None = None) -> None:
        pass


async def _close(request: Any, exception: Exception, **_context: Any) -> None:
    if isinstance(exception, AuthError) and bound() is not None:
        transport = request.transport
        await refuse_socket(transport.scope, transport.send, exception, accepted=True)


async def _hide(request: Any, **_context: Any) -> None:
    if request.app.debug:
        for name in _SECRET.intersection(map(str.lower, request.headers)):
            request.headers[name] = "(hidden)"


_SECRET = frozenset({"authorization", "cookie"})
