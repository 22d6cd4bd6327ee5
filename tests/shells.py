"""One face for both shells: a browser that asks an app behind the middleware, and what it got.

An app is a `handler` that takes no argument and returns a body, or an `AppAnswer`. Under ASGI it
runs on a thread, as frameworks run their synchronous endpoints. `shell.verbs` are the verbs as an
app of that kind calls them: those of `AwaitingShell` are awaited on the request's event loop.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest

import amplify_mw
from amplify_mw import aio
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE

Headers = list[tuple[str, str]]


@dataclass
class AppAnswer:
    """What an app answers, and what it does at later moments of its response.

    `later`: by moment: `started` (the headers have gone), `streaming` (so has a part of the body),
    `over` (so has all of it: a background task, or the body's `close()`).
    """

    body: str = "hello"
    headers: Headers = field(default_factory=list)
    status: int = 200
    later: dict[str, Callable[[], object]] = field(default_factory=dict)

    def reach(self, moment: str) -> None:
        self.later.get(moment, lambda: None)()


@dataclass
class Got:
    status: int
    headers: Headers
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} was sent twice: {values}"
        return values[0] if values else None

    @property
    def clears_cookie(self) -> bool:
        return any(
            "Max-Age=0" in value and value.startswith("amplify-session=;")
            for value in self.all("set-cookie")
        )


@dataclass
class Ask:
    """A request. `cookie` is the session cookie's value, `cookies` a whole header."""

    path: str = "/"
    cookie: str | None = None
    cookies: str | None = None
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    mount: str = ""
    query: str = ""

    @property
    def all_headers(self) -> dict[str, str]:
        cookies = self.cookies
        if self.cookie is not None:
            cookies = f"theme=dark; amplify-session={self.cookie}; last=1"
        return {**self.headers, **({} if cookies is None else {"Cookie": cookies})}


Handler = Callable[[], "str | AppAnswer"]


class WSGIShell:
    kind = "wsgi"
    middleware = AmplifyWSGIMiddleware
    verbs: Any = amplify_mw

    def app(self, handler: Handler) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            answer = _as_answer(handler())
            start_response(f"{answer.status} Said", list(answer.headers))
            return _Stream(answer) if answer.later else [answer.body.encode()]

        return app

    def send(self, app: Any, ask: Ask) -> Got:
        environ = self.environ(ask)
        started: list[Any] = []

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
            started[:] = [int(status[:3]), headers]

        body = app(environ, start_response)
        try:
            content = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return Got(started[0], started[1], content.decode())

    def environ(self, ask: Ask) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": ask.method,
            "SCRIPT_NAME": ask.mount,
            "PATH_INFO": ask.path.encode("utf-8", "surrogatepass").decode("latin-1"),
            "QUERY_STRING": ask.query,
            "wsgi.url_scheme": "http",
        }
        for name, value in ask.all_headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ


class ASGIShell:
    kind = "asgi"
    middleware = AmplifyASGIMiddleware
    verbs: Any = amplify_mw

    def app(self, handler: Handler) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            LOOP.set(asyncio.get_running_loop())
            answer = _as_answer(await asyncio.to_thread(handler))
            headers = [(name.encode(), value.encode()) for name, value in answer.headers]
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            body = {"type": "http.response.body", "body": answer.body.encode()}
            await send(start)
            if answer.later:
                await asyncio.to_thread(answer.reach, "started")
                await send({**body, "more_body": True})
                await asyncio.to_thread(answer.reach, "streaming")
                body["body"] = b""
            await send(body)
            if answer.later:
                await asyncio.to_thread(answer.reach, "over")

        return app

    def send(self, app: Any, ask: Ask) -> Got:
        return asyncio.run(self.serve(app, ask))

    async def serve(self, app: Any, ask: Ask) -> Got:
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await app(self.scope(ask), receive, send)
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in messages[0]["headers"]]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        return Got(messages[0]["status"], headers, body.decode())

    def scope(self, ask: Ask) -> dict[str, Any]:
        return {
            "type": "http",
            "http_version": "1.1",
            "method": ask.method,
            "root_path": ask.mount,
            "path": ask.mount + ask.path,
            "query_string": ask.query.encode(),
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in ask.all_headers.items()
            ],
        }


LOOP: ContextVar[asyncio.AbstractEventLoop] = ContextVar("loop")


class _Awaited:
    """The verbs of `amplify_mw.aio`, awaited on the request's loop for a handler on a thread."""

    def __getattr__(self, name: str) -> Any:
        verb = getattr(aio, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def awaited() -> Any:
                return await verb(*args, **kwargs)

            return asyncio.run_coroutine_threadsafe(awaited(), LOOP.get()).result(PATIENCE)

        return call


class AwaitingShell(ASGIShell):
    """The ASGI shell around an app that awaits the verbs."""

    kind = "awaiting"
    verbs: Any = _Awaited()


class _Stream:
    """A WSGI app's body that does something at the later moments of its response."""

    def __init__(self, answer: AppAnswer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        self._answer.reach("started")
        yield self._answer.body.encode()
        self._answer.reach("streaming")

    def close(self) -> None:
        self._answer.reach("over")


Shell = WSGIShell | ASGIShell


def shells(*kinds: type[Shell]) -> Any:
    """A fixture for each of these kinds of shell: `shell = shells(WSGIShell, AwaitingShell)`."""

    @pytest.fixture(params=kinds, ids=[kind.kind for kind in kinds])
    def shell(request: pytest.FixtureRequest) -> Shell:
        """One of the shells."""
        made: Shell = request.param()
        return made

    return shell


def _as_answer(result: str | AppAnswer) -> AppAnswer:
    return AppAnswer(result) if isinstance(result, str) else result
