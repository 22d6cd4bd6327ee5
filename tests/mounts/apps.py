"""Real apps with the same few pages, and ways to ask them for any path at all."""

import asyncio
import io
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import bottle
import django
from a2wsgi import ASGIMiddleware, WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from litestar import get as litestar_get
from litestar.response import Response as LitestarResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

# A page says its own path, as its app reads it.
PAGES = ["/account", "/open", "/api/account", "/prod/account"]
SECRET, OPEN = "[/account]", "[/open]"


def says(page: str) -> str:
    return f"[{page}]"


if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="not a secret", MIDDLEWARE=[]
    )
    django.setup()


def django_view(page: str) -> Any:
    return lambda request: HttpResponse(says(page))


urlpatterns = [django_path(page[1:], django_view(page)) for page in PAGES]


class Got(NamedTuple):
    status: int
    body: str
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed


# --- ASGI


def starlette_view(page: str) -> Any:
    async def view(request: Any) -> PlainTextResponse:
        return PlainTextResponse(says(page))

    return view


async def _socket(websocket: Any) -> None:
    await websocket.accept()
    await websocket.send_text(SECRET)
    await websocket.close()


ROUTES = [
    *(Route(page, starlette_view(page)) for page in PAGES),
    WebSocketRoute("/account", _socket),
]


def fastapi(root: str = "") -> FastAPI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastAPI wants it said to the server, and reads it still
        app = FastAPI(root_path=root)
    app.router.routes.extend(ROUTES)
    return app


def starlette(*routes: Any) -> Starlette:
    return Starlette(routes=[*ROUTES, *routes])


class Wrapped:
    """A middleware as most are written."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def in_closure(app: Any) -> Any:
    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return wrapper


def at_root(root: str) -> Any:
    """An app that says where it is when it is called, and not before."""
    inner = starlette()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["root_path"] = root
        await inner(scope, receive, send)

    return app


def taking_off(root: str) -> Any:
    """An app that takes a prefix off the path, in the scope that it was given."""
    inner = starlette()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = scope["path"].removeprefix(root)
        await inner(scope, receive, send)

    return app


def litestar() -> Any:
    def view(page: str) -> Any:
        @litestar_get(page)
        async def shown() -> LitestarResponse[str]:
            return LitestarResponse(says(page), media_type="text/plain")

        return shown

    return Litestar([view(page) for page in PAGES], openapi_config=None, logging_config=None)


@contextmanager
def django_at(root: str) -> Any:
    with override_settings(FORCE_SCRIPT_NAME=root or None):
        yield


@cache
def asgi_apps(root: str) -> dict[str, Any]:
    """Apps of which some say that they are at `root`, each in its own way."""
    return {
        "fastapi": fastapi(root),
        "fastapi-wrapped": Wrapped(in_closure(Wrapped(fastapi(root)))),
        "fastapi-below": Starlette(routes=[Mount("/", fastapi(root))]),
        "starlette-late": at_root(root),
        "path-late": taking_off(root),
        "starlette": starlette(),
        "litestar": litestar(),
        "flask-asgiref": WsgiToAsgi(flask()),
        "flask-a2wsgi": WSGIMiddleware(flask()),
        "django": get_asgi_application(),
    }


def ask_asgi(app: Any, path: str, root: str = "", **facts: Any) -> Got:
    """What an ASGI app answers. `path`: with the mount, or without it, as servers differ."""
    kind = facts.pop("type", "http")
    headers = [
        (name.lower().encode(), value.encode()) for name, value in facts.pop("headers", {}).items()
    ]
    scope = {
        "type": kind,
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http" if kind == "http" else "ws",
        "server": ("site.example", 80),
        "client": ("192.0.2.1", 5000),
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"site.example"), *headers],
        **facts,
    }
    return asyncio.run(_exchange(app, scope))


async def _exchange(app: Any, scope: dict[str, Any]) -> Got:
    messages: list[Any] = []
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]
    if scope["type"] == "websocket":
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]

    async def receive() -> Any:
        if incoming:
            return incoming.pop(0)
        await asyncio.Event().wait()  # what listens for the end of the connection is cancelled
        return None

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    status, body, got = 0, "", {}
    for message in messages:
        if message["type"].endswith("response.start"):
            assert status == 0, "two responses were begun"
            status = message["status"]
            got = {k.decode("latin-1"): v.decode("latin-1") for k, v in message["headers"]}
        elif message["type"] == "websocket.accept":
            status = 101
        elif message["type"] == "websocket.close" and status == 0:
            status = 403
        body += (message.get("body") or b"").decode() + (message.get("text") or "")
    return Got(status, body, got)


# --- WSGI


def flask() -> Flask:
    app = Flask(__name__)
    for page in PAGES:
        app.add_url_rule(page, page, partial(says, page))
    return app


def bottle_app() -> bottle.Bottle:
    app = bottle.Bottle()
    for page in PAGES:
        app.route(page, callback=partial(says, page))
    return app


class PrefixMiddleware:
    """What many Flask apps copy: it takes one prefix off."""

    def __init__(self, app: Any, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(self.prefix):
            environ["PATH_INFO"] = environ["PATH_INFO"][len(self.prefix) :]
            environ["SCRIPT_NAME"] = self.prefix
        return self.app(environ, start_response)  # type: ignore[no-any-return]


def reverse_proxied(app: Any, other: Any) -> Callable[..., Any]:
    """Another: a header of the request says what to take off. It may be in front of a router."""

    def wrapper(environ: Any, start_response: Any) -> Any:
        script = environ.get("HTTP_X_SCRIPT_NAME", "")
        if script:
            environ["SCRIPT_NAME"] = script
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(script)
        chosen = other if environ["PATH_INFO"].startswith("/other") else app
        return chosen(environ, start_response)

    return wrapper


@cache
def wsgi_apps(root: str) -> dict[str, Any]:
    """Apps of which some say that they are at `root`, each in its own way."""
    return {
        "flask": flask(),
        "bottle": bottle_app(),
        "django": get_wsgi_application(),
        "flask-prefixed": PrefixMiddleware(flask(), root),
        "bottle-prefixed": PrefixMiddleware(bottle_app(), root),
        "flask-by-header": reverse_proxied(flask(), flask()),
        "fastapi-a2wsgi": ASGIMiddleware(fastapi(root)),
    }


def ask_wsgi(app: Any, path: str, root: str = "", **more: Any) -> Got:
    """What a WSGI app answers. `path`, `root`: as text; `more`: of the environ."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": root,
        "PATH_INFO": path.encode("utf-8", "replace").decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "site.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **more,
    }
    started: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started[:] = [int(status[:3]), dict(headers)]
        return written.append

    body = app(environ, start_response)
    try:
        parts = [*body]
    finally:
        if hasattr(body, "close"):
            body.close()
    return Got(started[0], b"".join([*written, *parts]).decode(errors="replace"), started[1])
