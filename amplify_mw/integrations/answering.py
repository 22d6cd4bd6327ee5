"""The answer to an `AuthError`, for any framework: `answer_for`, and `refuse_socket`.

A framework that turns exceptions into a 500 before the middleware can see them needs an error
handler with this one call. Those on the list have it built in.

    @app.errorhandler(AuthError)                              # a framework under WSGI
    def refuse(error):
        answer = answer_for(request.environ, error)
        return Response(answer.body, answer.status, answer.headers)

Rules:
- It is the middleware's own answer: the status, all headers, the body, and its event.
- Without a middleware around the app the error is raised again: it never turns into a 401.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import AuthError
from ..shell.shell import answer_for as answer_of
from ..shell.shell import visit_around
from ..web.answers import Answer, Asked
from ..web.mounts import Placing


def answer_for(request: Mapping[str, Any], error: AuthError) -> Answer:
    """The answer to `error`, which has stopped this request.

    `request`: the WSGI environ, or the ASGI scope of a request. The answer has a `status`
    (an int), `headers` (pairs of text, and as `octets` pairs of bytes), and a `body` (bytes). Send
    all headers, and add none. Raises `error` itself without a middleware around the app.
    """
    visit = visit_around(error)
    return answer_of(visit, asked_of(request, visit.home.mounts.place_of), error)


async def refuse_socket(
    scope: Mapping[str, Any],
    send: Callable[[Any], Awaitable[None]],
    error: AuthError,
    *,
    accepted: bool,
) -> None:
    """Answer `error`, which has stopped this WebSocket of an ASGI app.

    `send`: the one that the app was called with. `accepted`: whether the app has accepted the
    socket. If not, the handshake is refused with the answer of `answer_for` (with a bare 403 on
    servers that have no other); else the socket is closed with 3000 (401), 3003 (403), 1008 (400),
    1013 (503) or 1011. Raises `error` itself without a middleware around the app.
    """
    visit_around(error)
    if accepted:
        await send({"type": "websocket.close", "code": close_code(error)})
    else:
        from ..shell.asgi_response import send_answer

        await send_answer(answer_for(scope, error), scope, None, send)


def close_code(error: AuthError) -> int:
    """The code with which `error` closes an open WebSocket."""
    from ..shell.asgi_response import CLOSES

    return CLOSES.get(error.status_code, 1011)


def asked_of(request: Mapping[str, Any], place: Placing) -> Asked:
    """The request as a value."""
    if "REQUEST_METHOD" in request:
        from ..shell import wsgi_request

        return wsgi_request.asked_by(request, place)
    from ..shell import asgi_request

    return asgi_request.asked_by(request, place)
