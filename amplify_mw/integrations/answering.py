"""`answer_for(request, error)`: the answer to an `AuthError`, for any framework.

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

from collections.abc import Mapping
from typing import Any

from ..errors import AuthError
from ..shell.shell import answer_for as answer_of
from ..shell.shell import visit_around
from ..web.answers import Answer, Asked
from ..web.mounts import Placing


def answer_for(request: Mapping[str, Any], error: AuthError) -> Answer:
    """The answer to `error`, which has stopped this request.

    `request`: the WSGI environ, or the ASGI scope of an HTTP request. The answer has a `status`
    (an int), `headers` (pairs of text, and as `octets` pairs of bytes), and a `body` (bytes). Send
    all headers, and add none. Raises `error` itself without a middleware around the app.
    """
    visit = visit_around(error)
    return answer_of(visit, _asked(request, visit.home.mounts.place_of), error)


def _asked(request: Mapping[str, Any], place: Placing) -> Asked:
    if "REQUEST_METHOD" in request:
        from ..shell import wsgi_request

        return wsgi_request.asked_by(request, place)
    from ..shell import asgi_request

    return asgi_request.asked_by(request, place)
