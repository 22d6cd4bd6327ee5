"""One name for the site: a request under another Host goes on at the origin.

The cookies and the callback of a sign-in are for `localhost`. To a browser 127.0.0.1 is another
site. Both middlewares here stand outermost, so that no sign-in begins under the wrong name.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# 307: the browser asks again each time, since another site may have this port tomorrow.
_STATUS = 307


def address(origin: str, host: str, path: str, query: str) -> str | None:
    """The address to go on at, or None if `host` is the right one.

    >>> address("http://localhost:8000", "127.0.0.1:8000", "/members", "tab=2")
    'http://localhost:8000/members?tab=2'
    >>> address("http://localhost:8000", "localhost:8000", "/members", "")
    """
    if host.lower() == urlsplit(origin).netloc:
        return None
    return origin + quote(path or "/") + (f"?{quote(query, safe='=&%+')}" if query else "")


class WSGIOneHost:
    """Around a WSGI app at `origin`."""

    def __init__(self, app: "WSGIApplication", origin: str) -> None:
        self.app: WSGIApplication = app
        self.origin = origin

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        query = environ.get("QUERY_STRING", "")
        there = address(self.origin, environ.get("HTTP_HOST", ""), path, query)
        if there is None:
            return self.app(environ, start_response)
        headers = [("Location", there), ("Content-Length", "0")]
        start_response(f"{_STATUS} Temporary Redirect", headers)
        return []


class ASGIOneHost:
    """Around an ASGI app at `origin`."""

    def __init__(self, app: Any, origin: str) -> None:
        self.app: Any = app
        self.origin = origin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        there = self._address(scope) if scope["type"] == "http" else None
        if there is None:
            await self.app(scope, receive, send)
            return
        headers = [(b"location", there.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": _STATUS, "headers": headers})
        await send({"type": "http.response.body"})

    def _address(self, scope: Any) -> str | None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        return address(self.origin, host, scope["path"], query)
