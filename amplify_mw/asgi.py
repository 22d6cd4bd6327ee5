"""The ASGI shell: `AmplifyASGIMiddleware`.

Rules (ASGI 3.0):
- `http` and `websocket` scopes are ours; `lifespan` and unknown types pass untouched.
- The contextvar is bound around the app and taken back whatever happens: a return, an error, a
  cancellation. The scope is not changed.
- The server's own `receive` and `send` run unbound (but for an HTTP response's start): a server may
  take the context in which it is called for the next request of the connection (uvicorn does).
- Only the headers of `http.response.start`, `websocket.accept` and
  `websocket.http.response.start` are changed, in a copy that keeps every unknown key. All other
  messages pass as they are.
- An `AuthError` that escapes before a response has begun gets the guard's answer.
- From the response's start on, a user is gone when the token runs out: a stream, or a task that the
  request left running, may go on for long.
- A WebSocket handshake that brings a session cookie from another origin than the configured ones is
  refused, unless the browser itself vouches for it (`Sec-Fetch-Site: same-origin`, which no page
  can forge): browsers apply no same-origin policy to WebSockets.
"""

# Annotations stay unevaluated: those of the functions made for each request would cost 0.2 µs.
from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from .authenticator import Visit
from .config.config import AmplifyConfig
from .engine.context import bind, bound, reset, unbind
from .engine.engine import Engine
from .engine.reports import tell_cookie
from .errors import AuthError
from .shell.shell import Shell, answer_here, answer_to, only_auth_error
from .web.answers import Answer, Asked, problem
from .web.headers import OCTETS, varied
from .web.mounts import Before, Placing, before_scope, reread_scope, server_mount, without
from .web.paths import Access
from .web.requests import SAFE_METHODS

if TYPE_CHECKING:
    from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable

# Read off its Enum on each request, a member costs 0.05 µs on Python 3.11.
_OPEN, _PROTECTED, _IGNORED = Access.OPEN, Access.PROTECTED, Access.IGNORED
_WEBSOCKET_STARTS = frozenset(
    {"websocket.accept", "websocket.http.response.start", "websocket.close"}
)
_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class AmplifyASGIMiddleware(Shell):
    """Puts the signed-in user around an ASGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.add_middleware(AmplifyASGIMiddleware, config=config, protect=["/account/*"])
    """

    _awaits = True

    # `app` by name is for Litestar. One signature for both is none that Starlette's types take.
    @overload
    def __init__(
        self, app: ASGI3Application, /, config: AmplifyConfig | Engine, **options: Any
    ) -> None: ...

    @overload
    def __init__(
        self, *, app: ASGI3Application, config: AmplifyConfig | Engine, **options: Any
    ) -> None: ...

    def __init__(  # type: ignore[misc]  # (`options` cannot hold another `app`)
        self, app: ASGI3Application, config: AmplifyConfig | Engine, **options: Any
    ) -> None:
        super().__init__(app, config, **options)
        self.app: Any = app
        self._origins = {origin.encode() for origin in self._home.config.known_origins}

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection: `http` and `websocket` with a visit bound, others untouched."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self.app(scope, receive, send)
            return
        access = _OPEN
        if self._rules is not None:
            root = scope.get("root_path")
            path = scope["path"] or "/"
            access = self._rules.under(root, path) if root else self._rules.of(path)
        headers = scope["headers"]
        cookies = None
        for name, value in headers:
            if name == b"cookie":
                if cookies is not None:
                    cookies = _joined_cookies(headers)
                    break
                cookies = value
        outer = bound()
        if outer is not None:
            is_same = outer.headers is headers
            if access is _IGNORED and not (is_same or outer.pinned):
                await self._call_unbound(scope, receive, send)
                return
            if self._shares_visit(outer, cookies, is_same=is_same):
                answer = self._guard(outer, self._asked(scope)) if access is _PROTECTED else None
                if answer is not None:
                    await _answer(answer, scope, receive, send)
                else:
                    await self.app(scope, receive, self._withholding(outer, scope, send))
                return
        if access is _IGNORED:
            await self.app(scope, receive, self._withholding(None, scope, send))
            return
        value = None if cookies is None else self._read(cookies)
        if outer is not None and outer.pinned:
            visit = outer.pinned_at(self._home, cookies, headers)
        elif value is None:
            visit = Visit(self._home, self._nobody, cookies, headers, outer)
        elif (verdict := self._known(value)) and self._clock() < verdict.fresh_until:
            visit = Visit(self._home, verdict, cookies, headers, outer)
        else:
            flow = self._home.authenticate(value, self._clock())
            visit = await self.engine.driver.arun(flow)
            visit.of_request(cookies, headers, outer)
            tell_cookie(visit, self._asked, scope)

        async def finishing_send(message: Any) -> None:
            if message["type"] == "http.response.start" and not visit.begun:
                visit.begun = visit.lapses = True
                if visit.writes is not None:
                    message = await _finished(message, visit, scope)
                elif visit.asked:  # the usual answer, without another call
                    said = message.get("headers") or ()
                    signed_in = visit.verdict.user is not None
                    no_store = visit.home.no_store[visit.guarded]
                    said = varied(said, OCTETS, signed_in=signed_in, no_store=no_store)
                    message = {**message, "headers": said}
                await send(message)  # no server takes up the next request before the body's end
                return
            if not visit.begun and message["type"] in _WEBSOCKET_STARTS:
                visit.begun = True
                if visit.writes is not None and message["type"] != "websocket.close":
                    message = await _finished(message, visit, scope)  # (that one has no headers)
            token = bind(None)
            try:
                await send(message)
            finally:
                try:  # noqa: SIM105  # `unbind`, written out where it is called most
                    reset(token)
                except ValueError:
                    pass

        async def unbound_receive() -> Any:
            token = bind(None)
            try:
                return await receive()
            finally:
                unbind(token)

        if self._routes is not None and kind == "http":
            path = scope["path"]
            if self._is_mounted or scope.get("root_path"):
                path = self._place(*_split_path(scope), scope)[1]
            route = self._find_route(path)
            if route is not None:
                response = await self.engine.driver.arun(route(visit, self._asked(scope)))
                await _answer(response, scope, receive, finishing_send)
                return
        method = "" if kind == "websocket" else scope["method"]  # the former has none
        if access is _PROTECTED or (method != "GET" and method not in SAFE_METHODS):
            answer = self._refusal_of(visit, access, scope)
            if answer is not None:
                await _answer(answer, scope, receive, finishing_send)
                return
        last_send: Any = finishing_send
        if self._withholds:
            last_send = self._withholding(visit, scope, finishing_send)
        token = bind(visit)
        try:
            await self.app(scope, unbound_receive, last_send)
        except (AuthError, BaseExceptionGroup) as raised:
            error = None if visit.begun else only_auth_error(raised)
            if error is None:
                raise
            answer = answer_to(visit, self._asked(scope), error)
            await _answer(answer, scope, None, finishing_send)
        finally:
            visit.begun = visit.lapses = True
            try:  # noqa: SIM105  # likewise
                reset(token)
            except ValueError:
                pass

    async def _call_unbound(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the app without the user of the request that this one is made within."""
        token = bind(None)
        try:
            await self.app(scope, receive, self._withholding(None, scope, send))
        finally:
            unbind(token)

    def _withholding(self, visit: Visit | None, scope: Any, send: Any) -> Any:
        """`send`, but for the response of an app that has read a protected path for nobody."""
        if not self._withholds or (visit is not None and visit.verdict.user is not None):
            return send
        before = before_scope(scope)
        has_begun = is_withheld = False

        async def withholding_send(message: Any) -> None:
            nonlocal has_begun, is_withheld
            if not has_begun and message["type"] in _STARTS:
                has_begun = True
                answer = self._read_otherwise(visit, before, scope)
                if answer is not None:
                    is_withheld = True
                    await _answer(answer, scope, None, send)
            if not is_withheld:
                await send(message)

        return withholding_send

    def _read_otherwise(self, visit: Visit | None, before: Before, scope: Any) -> Answer | None:
        """The answer to nobody in place of what the app has made of another path; mostly None."""
        paths = reread_scope(before, scope)
        if not paths:
            return None
        return self._late_refusal(visit, paths, asked_by(before.of(scope), self._place))

    def _asked(self, scope: Any) -> Asked:
        return asked_by(scope, self._place)

    def _refusal_of(self, visit: Visit, access: Access, scope: Any) -> Answer | None:
        """The answer to a connection that may not pass; None if it may."""
        if scope["type"] == "websocket":
            visit.lapses = visit.is_socket = True
            if visit.verdict is not self._nobody and self._is_foreign(scope["headers"]):
                self._tell_foreign(visit, self._asked(scope))
                return problem(403, "A page of another site may not connect here.")
            return self._guard(visit, self._asked(scope)) if access is _PROTECTED else None
        path, root = scope["path"] or "/", scope.get("root_path") or ""
        return self._refusal(visit, access, self._asked(scope), path, root)

    def _is_foreign(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a browser page of another origin opens this WebSocket."""
        sent = {value for name, value in headers if name == b"origin"}
        if not sent or sent <= self._origins:
            return False
        return not any(
            name == b"sec-fetch-site" and value == b"same-origin" for name, value in headers
        )

    async def aclose(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        import asyncio

        await asyncio.to_thread(self.engine.close)


def _joined_cookies(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Several `Cookie` fields as one (RFC 9113 8.2.3)."""
    return b"; ".join([value for name, value in headers if name == b"cookie"])


async def _finished(message: Any, visit: Visit, scope: Any) -> Any:
    await visit.home.runner.arun(visit.home.settle(visit))
    headers = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
    return {**message, "headers": visit.home.finish(visit, headers, OCTETS, scope)}


async def _answer(answer: Answer, scope: Any, receive: Any, send: Any) -> None:
    """Send a response of the library's own. `receive`: None if the app has been called."""
    prefix = ""
    if scope["type"] == "websocket":
        if receive is not None:
            await receive()  # websocket.connect: it is taken before anything is sent
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})  # servers answer this with 403
            return
        prefix = "websocket."
    start = {"status": answer.status, "headers": answer.octets}
    await send({"type": f"{prefix}http.response.start", **start})
    await send({"type": f"{prefix}http.response.body", "body": answer.body})


def _split_path(scope: Any) -> tuple[str, str]:
    """The mount and the path below it: servers and frameworks include `root_path` in the path."""
    root = server_mount(scope.get("root_path", ""))
    return root, without(scope["path"], root) or "/"


def asked_by(scope: Any, place: Placing) -> Asked:
    """What an ASGI request asked for. `place`: tells its mount and public path."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    method = scope.get("method", "GET")
    mount, path = place(*_split_path(scope), scope)
    return Asked(
        method=method,
        path=path,
        query=scope.get("query_string", b"").decode("latin-1"),
        accept=headers.get(b"accept", ""),
        sec_fetch_mode=headers.get(b"sec-fetch-mode", ""),
        sec_fetch_site=headers.get(b"sec-fetch-site", ""),
        is_preflight=method == "OPTIONS" and b"access-control-request-method" in headers,
        mount=mount,
        is_speculative=b"sec-purpose" in headers,
    )


def answer_for(scope: Any, error: AuthError) -> Answer:
    """The guard's answer to `error` in a request of this middleware; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    return answer_here(partial(asked_by, scope), error)
