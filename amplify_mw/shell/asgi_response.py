"""An ASGI app's messages on their way out, and the answers sent in its place.

Rules (ASGI 3.0):
- The server's own `receive` and `send` run unbound (but for an HTTP response's start): a server may
  take the context in which it is called for the next request of the connection (uvicorn does).
- Only the headers of `http.response.start`, `websocket.accept` and
  `websocket.http.response.start` are changed, in a copy that keeps every unknown key. All other
  messages pass as they are.
"""

# Annotations stay unevaluated: those of the functions made for each request would cost 0.2 µs.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..authenticator import BEGUN, Visit
from ..engine.context import bind, reset, unbind
from ..errors import AuthError
from ..web.answers import Answer
from ..web.headers import varied
from ..web.mounts import Placing
from .asgi_request import asked_by
from .shell import answer_for

_WEBSOCKET_STARTS = frozenset(
    {"websocket.accept", "websocket.http.response.start", "websocket.close"}
)
# "Policy Violation", "Unauthorized", "Forbidden", "Try Again Later"
CLOSES = {400: 1008, 401: 3000, 403: 3003, 503: 1013}
_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}


class Exchange:
    """The app's `receive` and `send`: the visit's headers are added to its response.

    `from_server`, `to_server`: the server's own. (The maker fills the slots: faster than
    `__init__`, or than closures.)
    """

    __slots__ = ("from_server", "is_open", "scope", "to_server", "visit")

    is_open: bool  # a WebSocket that the app has accepted; unset for anything else
    visit: Visit
    scope: Any
    from_server: Any
    to_server: Any

    async def send(self, message: Any) -> None:
        """The app's `send`."""
        visit = self.visit
        if visit.stage != BEGUN:
            kind = message["type"]
            if kind == "http.response.start":
                visit.stage = BEGUN  # `begin`, without its call
                if visit.writes is not None:
                    message = await _finished(message, visit, self.scope)
                elif visit.depends:  # the usual answer, without another call
                    said = message.get("headers") or ()
                    signed_in = visit.verdict.user is not None
                    no_store = visit.home.no_store[visit.depends]
                    said = varied(said, visit.source.octets, signed_in, no_store)
                    message = {**message, "headers": said}
                # No server takes up the next request before the body's end.
                await self.to_server(message)
                return
            if kind in _WEBSOCKET_STARTS:
                visit.begin()
                self.is_open = kind == "websocket.accept"
                if visit.writes is not None and kind != "websocket.close":
                    message = await _finished(message, visit, self.scope)  # (that has no headers)
        token = bind(None)
        try:
            await self.to_server(message)
        finally:
            try:  # noqa: SIM105  # `unbind`, written out where it is called most
                reset(token)
            except ValueError:
                pass

    async def receive(self) -> Any:
        """The app's `receive`."""
        token = bind(None)
        try:
            return await self.from_server()
        finally:
            unbind(token)

    async def send_answer_for(self, raised: BaseException, place: Placing) -> bool:
        """Answer in the app's place. False for other errors, and once a response has begun.

        An open WebSocket is closed, with a code of IANA's registry.
        """
        error = only_auth_error(raised)
        if error is None:
            return False
        if self.visit.begun:
            code = CLOSES.get(error.status_code) if getattr(self, "is_open", False) else None
            return code is not None and await self._close(code)
        answer = answer_for(self.visit, asked_by(self.scope, place), error)
        await send_answer(answer, self.scope, None, self.send)
        return True

    async def _close(self, code: int) -> bool:
        """Close a WebSocket. False if that is over: the app has done so itself."""
        token = bind(None)
        try:
            await self.to_server({"type": "websocket.close", "code": code})
        except Exception:  # noqa: BLE001  # each server has its own
            return False
        finally:
            unbind(token)
        return True


def only_auth_error(error: BaseException) -> AuthError | None:
    """`error` itself, or the `AuthError` in a task group's exception group; else None."""
    if isinstance(error, AuthError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [only_auth_error(member) for member in error.exceptions]
        return found[0] if all(found) else None
    return None


async def _finished(message: Any, visit: Visit, scope: Any) -> Any:
    await visit.arun(visit.home.settle(visit))
    headers = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
    return {**message, "headers": visit.home.finish(visit, headers, visit.source.octets, scope)}


async def send_answer(answer: Answer, scope: Any, receive: Any, send: Any) -> None:
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


def withholding(judge: Callable[[], Answer | None], scope: Any, send: Any) -> Any:
    """`send` for nobody's request, of an app which may read a protected path.

    `judge`: called when the response starts; gives the answer to send instead, mostly None.
    """
    has_begun = is_withheld = False

    async def withholding_send(message: Any) -> None:
        nonlocal has_begun, is_withheld
        if not has_begun and message["type"] in _STARTS:
            has_begun = True
            answer = judge()
            if answer is not None:
                is_withheld = True
                await send_answer(answer, scope, None, send)
        if not is_withheld:
            await send(message)

    return withholding_send
