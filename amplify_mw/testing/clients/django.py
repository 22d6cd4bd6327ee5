"""Django's own test clients for a signed-in user, through the Amplify middleware.

Django's test clients call its handler without the wrapped application of `wsgi.py`. Here the
middleware is around that handler.

Rules:
- The response is Django's own object, with `context`, `templates` and `wsgi_request`, and with the
  headers and cookies that the middleware adds. An answer in the app's place is a plain response.
- An exception of a view is raised in the test, as ever, unless `raise_request_exception=False`.
- A stream is read in its request: at once by the asynchronous client, which has it all then.
- A cookie that has been cleared is not sent again.
"""

import io
from collections.abc import AsyncIterator, Iterable
from http.client import responses
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django import conf
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import AsyncClient
from django.utils.module_loading import import_string

from ...asgi import AmplifyASGIMiddleware
from ...config.config import AmplifyConfig
from ...errors import ConfigurationError
from ...wsgi import AmplifyWSGIMiddleware
from .cookies import Cookie
from .pointing import middlewares_in

T = TypeVar("T")
_EXCHANGE: Final = "amplify_mw.exchange"
_TRIED: Final = ("WSGI_APPLICATION", "ASGI_APPLICATION")


def project_application() -> Any:
    """The application with our middleware, of the settings. Raises `ConfigurationError`."""
    named = [getattr(conf.settings, name, None) for name in _TRIED]
    for name in filter(None, named):
        application = import_string(name)
        if next(middlewares_in(application), None) is not None:
            return application
    tried = " and ".join(
        f"{one} = {name!r}" for one, name in zip(_TRIED, named, strict=True) if name
    )
    raise ConfigurationError(
        "amplify_client.django: there is no Amplify middleware around Django's application; the "
        f"settings say {tried or 'neither WSGI_APPLICATION nor ASGI_APPLICATION'}. Write "
        "`application = AmplifyWSGIMiddleware(get_wsgi_application(), config)` in wsgi.py and name "
        "it in WSGI_APPLICATION, or write amplify_client.django(..., app=application)"
    )


def client_of(kind: type[T], config: AmplifyConfig, cookies: Iterable[Cookie], **options: Any) -> T:
    """A client of this class, through a middleware of this configuration."""
    is_async = issubclass(kind, AsyncClient)
    client: Any = _mixed(_AsyncClient if is_async else _Client, kind)(**options)
    handler = client.handler  # it stays: Django REST framework keeps things in it
    handler.__class__ = _mixed(_AsyncHandler if is_async else _Handler, type(handler))
    handler.put_inside(config)
    for cookie in cookies:
        _put(client.cookies, cookie)
    return client  # type: ignore[no-any-return]


def _mixed(mixin: type, kind: type) -> Any:
    return type(kind.__name__, (mixin, kind), {"__module__": kind.__module__})


class _Client:
    def request(self, **request: Any) -> Any:
        response = super().request(**request)  # type: ignore[misc]
        _forget(self, response)
        return response


class _AsyncClient:
    async def request(self, **request: Any) -> Any:
        response = await super().request(**request)  # type: ignore[misc]
        _forget(self, response)
        return response


def _forget(client: Any, response: Any) -> None:
    for name, morsel in response.cookies.items():
        if str(morsel["max-age"]) == "0":
            client.cookies.pop(name, None)


def _put(jar: Any, cookie: Cookie) -> None:
    jar[cookie.name] = cookie.value
    for name, text in cookie.attributes.items():
        if name in jar[cookie.name]:  # not all are known to every Python
            jar[cookie.name][name] = text or True


class _Handler:
    """Django's handler for tests, with the middleware around it."""

    def put_inside(self, config: AmplifyConfig) -> None:
        """Put the handler inside of a middleware."""
        self._middleware = AmplifyWSGIMiddleware(self._answer, config)

    def __call__(self, environ: Any) -> Any:
        exchange = environ[_EXCHANGE] = _Exchange()
        body = self._middleware(environ, exchange.start)
        own = exchange.own
        if own is not None and own.streaming and exchange.is_own():
            own.streaming_content = body
            return exchange.changed(own)
        response = exchange.response(b"".join(body))
        if not hasattr(response, "wsgi_request"):
            response.wsgi_request = WSGIRequest(environ)
        return response

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        exchange: _Exchange = environ[_EXCHANGE]
        own = exchange.own = super().__call__(environ)  # type: ignore[misc]
        reason = responses.get(own.status_code, "Unknown")
        exchange.headers = _headers_of(own)
        start_response(f"{own.status_code} {reason}", list(exchange.headers))
        if not own.streaming:
            return [own.content]
        parts: Iterable[bytes] = iter(own) if own.is_async else own.streaming_content
        return parts


class _AsyncHandler:
    """The same for Django's asynchronous handler."""

    def put_inside(self, config: AmplifyConfig) -> None:
        """Put the handler inside of a middleware."""
        self._middleware = AmplifyASGIMiddleware(self._answer, config)

    async def __call__(self, scope: Any) -> Any:
        exchange = scope[_EXCHANGE] = _Exchange()
        if isinstance(scope.get("query_string"), str):  # Django's client writes text
            scope["query_string"] = scope["query_string"].encode("latin-1")
        body = io.BytesIO()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                pairs = message.get("headers", ())
                headers = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in pairs]
                exchange.start(str(message["status"]), headers)
            else:
                body.write(message.get("body", b""))

        await self._middleware(scope, _receive, send)
        response = exchange.response(body.getvalue())
        if not hasattr(response, "asgi_request"):
            response.asgi_request = ASGIRequest(scope, io.BytesIO())
        return response

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        exchange: _Exchange = scope[_EXCHANGE]
        own = exchange.own = await super().__call__(scope)  # type: ignore[misc]
        content = b"".join(await _read(own)) if own.streaming else own.content
        exchange.headers = _headers_of(own)
        pairs = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in exchange.headers
        ]
        start = {"type": "http.response.start", "status": own.status_code, "headers": pairs}
        await send(start)
        await send({"type": "http.response.body", "body": content})


class _Exchange:
    """A request of a client, and its response in both forms."""

    def __init__(self) -> None:
        self.own: Any = None  # Django's response
        self.headers: list[tuple[str, str]] = []  # its headers
        self.status = 0
        self.sent: list[tuple[str, str]] = []  # the middleware's

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ARG002
        """Take the start of the middleware's response."""
        self.status, self.sent = int(status.partition(" ")[0]), headers
        return _no_write

    def is_own(self) -> bool:
        """Whether the middleware has let Django's response pass, as far as its start says."""
        kept = {name.lower() for name, _ in self.sent}
        return self.status == self.own.status_code and all(
            name.lower() in kept for name, _ in self.headers
        )

    def response(self, content: bytes) -> Any:
        """Django's response as the middleware has changed it, or an answer in its place."""
        own = self.own
        if own is not None and self.is_own() and (own.streaming or own.content == content):
            return self.changed(own)
        response = HttpResponse(content, status=self.status)
        del response["Content-Type"]
        return self.changed(response)

    def changed(self, response: Any) -> Any:
        """A response with the middleware's headers."""
        before = set(self.headers) if response is self.own else set()
        merged: dict[str, list[str]] = {}
        for name, text in self.sent:
            if name.lower() != "set-cookie":
                merged.setdefault(name, []).append(text)
            elif (name, text) not in before:
                _put(response.cookies, Cookie.of(text))
        for name, texts in merged.items():
            if response.get(name) != ", ".join(texts):
                response[name] = ", ".join(texts)
        return response


def _headers_of(response: Any) -> list[tuple[str, str]]:
    cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
    return [*response.items(), *cookies]


def _no_write(data: bytes) -> None:  # nothing in Django calls it
    raise NotImplementedError


async def _receive() -> Any:
    return {"type": "http.disconnect"}


async def _read(response: Any) -> list[bytes]:
    """The parts of a stream, which may be read once more."""
    steps = response.streaming_content
    if response.is_async:
        parts: list[bytes] = [part async for part in steps]
        response.streaming_content = _again(parts)
    else:
        take_all: Any = sync_to_async(list)
        response.streaming_content = parts = await take_all(steps)
    return parts


async def _again(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
