"""The ASGI shell: `AmplifyASGIMiddleware`.

Rules (ASGI 3.0):
- `http` and `websocket` scopes are ours; `lifespan` and unknown types pass untouched.
- The contextvar is bound around the app and taken back whatever happens: a return, an error, a
  cancellation. The scope is not changed.
- The server's own `send` and `receive` run unbound: a server may take the context it is called in
  for the next request of the connection (uvicorn does), and no user may outlive a request there.
- Only the headers of `http.response.start`, `websocket.accept` and
  `websocket.http.response.start` are changed, in a copy that keeps every unknown key. All other
  messages pass as they are.
- An `AuthError` that escapes before a response has begun gets the guard's answer.
- A WebSocket handshake that brings a session cookie from an origin that is not configured as the
  site's own is refused: browsers apply no same-origin policy to WebSockets.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .access import Access, Answer, Asked, problem
from .authenticator import Visit
from .config import AmplifyConfig
from .context import CURRENT
from .engine import Engine
from .errors import AuthError
from .headers import OCTETS
from .sessions.base import NO_SESSION
from .shell import Shell, answer_to, log_refusal, logger

if TYPE_CHECKING:
    from contextvars import Token

    from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable

_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class AmplifyASGIMiddleware(Shell):
    """Puts the signed-in user around an ASGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.add_middleware(AmplifyASGIMiddleware, config=config, protect=["/account/*"])
    """

    def __init__(
        self, app: "ASGI3Application", /, config: AmplifyConfig | Engine, **options: Any
    ) -> None:
        super().__init__(config, **options)
        self.app: Any = app

    async def __call__(
        self, scope: Any, receive: "ASGIReceiveCallable", send: "ASGISendCallable"
    ) -> None:
        """Serve one connection: `http` and `websocket` with a visit bound, others untouched."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        outer = CURRENT.get()
        if (
            outer is not None
            and (outer.pinned or outer.headers is headers)
            and self._passes_through(outer)
        ):
            await self.app(scope, receive, send)
            return
        access = Access.OPEN
        if self._rules is not None:
            access = self._rules.of(_path_below_mount(scope))
            if access is Access.IGNORED:
                await self.app(scope, receive, send)
                return
        cookie = b"; ".join([value for name, value in headers if name == b"cookie"])
        visit = self._peek(cookie, self._clock())
        if visit is None:
            flow = self._home.authenticate(cookie, self._clock())
            visit = await self.engine.driver.arun(flow)
            log_refusal(visit)
        visit.headers = headers

        async def finishing_send(message: Any) -> None:
            if not visit.begun and message["type"] in _STARTS:
                visit.begun = True
                if visit.clears or (visit.asked and kind == "http"):
                    message = _finished(message, visit)
            token = CURRENT.set(None)
            try:
                await send(message)
            finally:
                _unbind(token)

        async def unbound_receive() -> Any:
            token = CURRENT.set(None)
            try:
                return await receive()
            finally:
                _unbind(token)

        if kind == "websocket" or access is Access.PROTECTED:
            answer = self._hindrance(visit, access, scope)
            if answer is not None:
                if kind == "websocket":
                    await receive()  # websocket.connect: it is taken before anything is sent
                await _answer(answer, scope, finishing_send)
                return
        token = CURRENT.set(visit)
        try:
            await self.app(scope, unbound_receive, finishing_send)
        except AuthError as error:
            if visit.begun:
                raise
            answer = answer_to(visit, asked_by(scope), error)
            await _answer(answer, scope, finishing_send)
        finally:
            _unbind(token)

    def _hindrance(self, visit: Visit, access: Access, scope: Any) -> Answer | None:
        if scope["type"] == "websocket":
            visit.lapses = True
            if visit.verdict is not NO_SESSION and self._is_foreign(scope["headers"]):
                logger.debug("answered 403: foreign_origin")
                return problem(403, "This origin may not open a WebSocket here; see `origins`.")
        return self._guard(visit, access, asked_by(scope))

    def _is_foreign(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a browser page of another origin opens this WebSocket."""
        sent = {value for name, value in headers if name == b"origin"}
        own = {origin.encode("latin-1") for origin in self._home.config.origins}
        if not sent or sent <= own:
            return False
        return not any(
            name == b"sec-fetch-site" and value == b"same-origin" for name, value in headers
        )

    async def aclose(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        import asyncio

        await asyncio.to_thread(self.engine.close)


def _unbind(token: "Token[Visit | None]") -> None:
    try:  # noqa: SIM105  # on every request's path, where `suppress` would cost 0.3 µs
        CURRENT.reset(token)
    except ValueError:
        pass  # the coroutine is being closed from another context, which never was bound


def _finished(message: Any, visit: Visit) -> Any:
    headers = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
    return {**message, "headers": visit.home.finish(visit, headers, OCTETS)}


async def _answer(answer: Answer, scope: Any, send: Any) -> None:
    """Send a response of the library's own."""
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})  # servers answer this with 403
            return
        prefix = "websocket."
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    body = b"" if scope.get("method") == "HEAD" else answer.body
    start = {"type": f"{prefix}http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": f"{prefix}http.response.body", "body": body})


def _path_below_mount(scope: Any) -> str:
    """The path without the mount: servers and frameworks include `root_path` in it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return path or "/"


def asked_by(scope: Any) -> Asked:
    """What an ASGI request asked for."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    method = scope.get("method", "GET")
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return Asked(
        method=method,
        path=path if path.startswith(root) else root + path,
        query=scope.get("query_string", b"").decode("latin-1"),
        accept=headers.get(b"accept", ""),
        sec_fetch_mode=headers.get(b"sec-fetch-mode", ""),
        is_preflight=method == "OPTIONS" and b"access-control-request-method" in headers,
    )


def answer_for(scope: Any, error: AuthError) -> Answer:
    """The guard's answer to `error` in a request of this middleware; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    visit = CURRENT.get()
    if visit is None:
        raise error
    return answer_to(visit, asked_by(scope), error)
