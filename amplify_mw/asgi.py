"""The ASGI shell: `AmplifyASGIMiddleware`.

Rules (ASGI 3.0):
- `http` and `websocket` scopes are ours; `lifespan` and unknown types pass untouched.
- The contextvar is bound around the app and taken back whatever happens: a return, an error, a
  cancellation.
- The scope is the server's own, not a copy: outer layers read there what routers put in. It gets
  `user` and `auth`, unless another layer has authenticated already. Those of an outer middleware
  are replaced while the app runs; on an ignored path, and within another request, they are removed.
- An `AuthError` that escapes before a response has begun gets the guard's answer.
- The visit ends with the app's call, however that ends. A response may stream for long before:
  from its start on, the user is gone when the token expires.
- A WebSocket handshake that brings a session cookie from another origin than the configured ones is
  refused, unless the browser itself vouches for it (`Sec-Fetch-Site: same-origin`, which no page
  can forge): browsers apply no same-origin policy to WebSockets.
- How messages are changed, and which run unbound, is in `shell.asgi_response`.
"""

# Annotations stay unevaluated: those of the functions made for each request would cost 0.2 µs.
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, overload

from .authenticator import Visit
from .config.checks import MISSING
from .config.config import AmplifyConfig
from .engine.context import bind, bound, leave, unbind
from .engine.engine import Engine
from .errors import AuthError
from .shell.asgi_request import asked_by, is_foreign_socket, joined_cookies, split_path
from .shell.asgi_response import Exchange, send_answer, withholding
from .shell.shell import PassOn, Shell
from .verbs.request_user import RequestAuth, RequestUser
from .web.answers import Answer, Asked, problem
from .web.mounts import Before, before_scope, reread_scope
from .web.paths import Access, AccessRules
from .web.requests import header_list

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias, Unpack

    from asgiref.typing import ASGIReceiveCallable as Receive
    from asgiref.typing import ASGISendCallable as Send

    from .config.options import Options
    from .effects import Flow
    from .needs import Needs

    # Starlette's types of a scope and its messages are not asgiref's.
    App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

# Read off its Enum on each request, a member costs 0.05 µs on Python 3.11.
_OPEN, _PROTECTED = Access.OPEN, Access.PROTECTED


class AmplifyASGIMiddleware(Shell):
    """Puts the signed-in user around an ASGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.add_middleware(AmplifyASGIMiddleware, config=config, protect=["/account/*"])
    """

    _awaits = True

    # `app` by name is for Litestar. One signature for both is none that Starlette's types take.
    @overload
    def __init__(
        self, app: App, /, config: AmplifyConfig | Engine, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self, *, app: App, config: AmplifyConfig | Engine, **options: Unpack[Options]
    ) -> None: ...

    # (`config` has a default for the error that says what to write without one.)
    def __init__(
        self, app: App, config: AmplifyConfig | Engine = MISSING, **options: Unpack[Options]
    ) -> None:
        super().__init__(app, config, **options)
        self.app: App = app
        self._origins = {origin.encode() for origin in self._home.config.known_origins}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection: `http` and `websocket` with a visit bound, others untouched."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = scope.get("headers", ())
        if type(headers) is not list:  # an iterable that may be read but once; or there are none
            headers = scope["headers"] = list(map(tuple, headers))
        cookies = None
        for name, value in headers:
            if name == b"cookie":
                if cookies is not None:
                    cookies = joined_cookies(headers)
                    break
                cookies = value
        access = _OPEN if self._rules is None else self._access(self._rules, scope)
        visit = self.enter(access, cookies, scope)
        if type(visit) is not Visit:
            if isinstance(visit, PassOn):
                return await self._pass_on(visit, scope, receive, send)
            visit = await self.engine.driver.arun(visit)
        ours = Exchange()
        ours.visit, ours.scope, ours.from_server, ours.to_server = visit, scope, receive, send
        method = None if kind == "websocket" else scope["method"]
        may_stop = access is not _OPEN or method not in self._unchecked
        if may_stop and (answer := self.stop(visit, access, method, scope)) is not None:
            return await self._send(answer, receive, ours)
        last_send = self._withholding(visit, scope, ours.send) if self._withholds else ours.send
        app = self._handing_out(scope, visit)
        token = bind(visit)
        try:
            await app(scope, ours.receive, last_send)
        except (AuthError, BaseExceptionGroup) as error:
            if not await ours.send_answer_for(error, self._place):
                raise
        finally:
            leave(visit, token)

    async def _send(self, answer: Answer | Flow[Answer], receive: Any, ours: Exchange) -> None:
        """Send an answer in the app's place, and end the visit."""
        try:
            if not isinstance(answer, Answer):
                answer = await self.engine.driver.arun(answer)
            await send_answer(answer, ours.scope, receive, ours.send)
        finally:
            ours.visit.end()

    async def _pass_on(self, passed: PassOn, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request without a visit of this middleware's own."""
        if passed.answer is not None:
            await send_answer(passed.answer, scope, receive, send)
            return
        last_send = self._withholding(passed.visit, scope, send)
        if not passed.is_apart:
            if passed.visit is None:
                _remove_stale_user(scope)
            await self.app(scope, receive, last_send)
            return
        token = bind(None)
        try:
            _remove_stale_user(scope)
            await self.app(scope, receive, last_send)
        finally:
            unbind(token)

    def _handing_out(self, scope: Any, visit: Visit) -> App:
        """The app, with the user in the scope."""
        if "user" in scope:
            return self._replacing(scope, visit)
        scope["user"] = user = RequestUser()  # `of`, without its calls
        scope["auth"] = auth = RequestAuth()
        user._visit = auth._visit = visit
        return self.app

    def _replacing(self, scope: Any, visit: Visit) -> App:
        """The app, for a scope with a user in it: an outer middleware's is replaced meanwhile."""
        outer, user, auth = scope["user"], RequestUser.of(visit), RequestAuth.of(visit)
        if outer is not None and type(outer) is not RequestUser:
            return self.app  # another layer has authenticated
        outer_auth = scope.get("auth")
        scope["user"], scope["auth"] = user, auth

        async def restoring(scope: Any, receive: Any, send: Any) -> None:
            try:
                await self.app(scope, receive, send)
            finally:
                if outer is not None and scope.get("user") is user:
                    scope["user"], scope["auth"] = outer, outer_auth

        return restoring

    def _withholding(self, visit: Visit | None, scope: Any, send: Any) -> Any:
        """`send`, but for the response of an app that has read a protected path for nobody."""
        is_user = visit is not None and visit.verdict.user is not None
        if not self._withholds or (is_user and not self._demands):
            return send
        judge = partial(self._read_otherwise, visit, before_scope(scope), scope)
        return withholding(judge, scope, send)

    def _read_otherwise(self, visit: Visit | None, before: Before, scope: Any) -> Answer | None:
        """The answer to nobody if the app has read a protected path, and not the one seen here."""
        paths = reread_scope(before, scope)
        if not paths:
            return None
        return self._late_refusal(visit, paths, self._asked(before.of(scope)))

    def _socket_refusal(self, visit: Visit, access: Access, request: Any) -> Answer | None:
        visit.open_socket()
        asked = self._asked(request)
        is_from_cookie = visit.source.is_ambient and visit.verdict is not self._nobody
        if is_from_cookie and is_foreign_socket(request["headers"], self._origins):
            self._notices.foreign_origin(visit, asked)
            return problem(403, "A page of another site may not connect here.")
        return self._guarded(visit, access, request, asked)

    def _authorization(self, request: Any) -> bytes | None:
        found: bytes | None = None
        for name, value in request["headers"]:  # on 3.11 a third of the time of `dict(headers)`
            if name == b"authorization":
                found = value if found is None else found + b", " + value
        return found

    def _access(self, rules: AccessRules, request: Any) -> Access:
        root, path = request.get("root_path"), request["path"] or "/"
        return rules.under(root, path) if root else rules.of(path)

    def _needs_at(self, rules: AccessRules, request: Any) -> list[Needs]:
        return rules.needs_under(request.get("root_path") or "", request["path"] or "/")

    def _asked(self, request: Any) -> Asked:
        return asked_by(request, self._place)

    def _public_path(self, request: Any) -> str:
        path: str = request["path"]
        if self._is_mounted or request.get("root_path"):
            path = self._place(*split_path(request), request)[1]
        return path

    def _is_same(self, outer: Visit, cookies: bytes | None, request: Any) -> bool:
        # Frameworks copy a scope for what they mount, but not its header list.
        return outer.cookies == cookies and header_list(outer.headers) is request["headers"]

    async def aclose(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        import asyncio

        await asyncio.to_thread(self.engine.close)


def _remove_stale_user(scope: Any) -> None:
    """Remove the user of another request, whose scope the app has copied for this one."""
    user = scope.get("user")
    if type(user) is RequestUser and user._visit is not bound():
        del scope["user"]
        scope.pop("auth", None)
