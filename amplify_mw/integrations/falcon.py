"""Falcon, under WSGI and ASGI: `handle_auth_errors(app)`, and the hook `require(...)`.

    app = falcon.App()                                   # or falcon.asgi.App()
    handle_auth_errors(app)

    @falcon.before(require(groups=["editors"]))          # for a responder, or for a whole resource
    class Reports: ...

Falcon turns every exception into a 500, and closes a WebSocket with 1011, before the middleware
could see it.

Rules:
- The answer goes through Falcon's own response: its middlewares (CORS) add their headers.
- An error before a WebSocket is accepted goes on to the middleware, which refuses the handshake.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from falcon import App, Response
from falcon.asgi import App as ASGIApp

from ..engine.context import bound
from ..errors import AuthError
from ..needs import Check, Value
from ..verbs.guards import require_auth
from ..verbs.request_user import RequestUser
from .answering import answer_for, close_code


def handle_auth_errors(app: "App[Any, Any]") -> None:
    """Answer an `AuthError` from a responder, a hook or a middleware as the guard would.

    `app`: a `falcon.App` or a `falcon.asgi.App`. From now on `req.context.user` is the request's
    `RequestUser`, for middlewares too that are added later. A handler of the app's own for a
    subclass, such as `NetworkError`, comes first.
    """
    if isinstance(app, ASGIApp):
        app.add_error_handler(AuthError, _answer_awaited)
        app.add_middleware(_AwaitedUser())
    else:
        app.add_error_handler(AuthError, _answer)
        app.add_middleware(_User())


def require(
    *,
    groups: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    machines: bool = False,
    fresh: float | None = None,
    acr: str | Iterable[str] | None = None,
    claims: Mapping[str, Value | Iterable[Value]] | None = None,
    check: Check | None = None,
) -> Callable[..., Any]:
    """A hook for `falcon.before`: only signed-in users get on. Options: those of `require_auth`.

    For responders of both kinds of app, `on_websocket` too.
    """
    guard = require_auth(
        groups=groups,
        scopes=scopes,
        machines=machines,
        fresh=fresh,
        acr=acr,
        claims=claims,
        check=check,
    )(_pass)

    def hook(*_request: Any) -> Any:
        guard()
        return _DONE  # for an ASGI app, which awaits it

    return hook


def _pass() -> None:
    pass


class _Done:
    """What is awaited and done."""

    def __await__(self) -> Any:
        return iter(())


_DONE = _Done()


class _User:
    """Falcon's kind of middleware: `req.context.user`, where a middleware of ours is around."""

    def process_request(self, req: Any, _resp: Any) -> None:
        _note_user(req)


class _AwaitedUser:
    async def process_request(self, req: Any, _resp: Any) -> None:
        _note_user(req)

    async def process_request_ws(self, req: Any, _ws: Any) -> None:
        _note_user(req)


def _note_user(req: Any) -> None:
    visit = bound()
    if visit is not None:
        req.context.user = RequestUser.of(visit)


def _answer(req: Any, resp: Response, error: AuthError, _params: Any) -> None:
    _write(resp, req.env, error)


async def _answer_awaited(
    req: Any, resp: Any, error: AuthError, _params: Any, ws: Any = None
) -> None:
    if resp is not None:
        _write(resp, req.scope, error)
    elif ws.unaccepted or bound() is None:
        raise error
    else:
        await ws.close(close_code(error))


def _write(resp: Response, request: Any, error: AuthError) -> None:
    answer = answer_for(request, error)
    resp.status = answer.status
    resp.data = answer.body
    for name, value in answer.headers:
        resp.append_header(name, value)
