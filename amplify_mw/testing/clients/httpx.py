"""HTTPX's clients for a signed-in user, without a server: `httpx2`, or `httpx` in its absence.

Rules:
- An ASGI app gets an `AsyncClient`, a WSGI app a `Client`. As always with HTTPX, no lifespan runs.
- The client's own cookie jar takes the cookies, as from a response of the site.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from .cookies import Cookie

if TYPE_CHECKING:
    import httpx2


def asgi_client(app: Any, cookies: Iterable[Cookie], url: str) -> "httpx2.AsyncClient":
    """The client of an ASGI app, whose calls are awaited."""
    httpx = _httpx()
    client: httpx2.AsyncClient
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=url)
    fill(client, cookies, url)
    return client


def wsgi_client(app: Any, cookies: Iterable[Cookie], url: str) -> "httpx2.Client":
    """The client of a WSGI app."""
    httpx = _httpx()
    client: httpx2.Client
    client = httpx.Client(transport=httpx.WSGITransport(app=app), base_url=url)
    fill(client, cookies, url)
    return client


def fill(client: Any, cookies: Iterable[Cookie], url: str) -> None:
    """Give a client the cookies."""
    httpx = import_module(type(client.cookies).__module__.partition(".")[0])
    lines = [("set-cookie", cookie.at(url).line) for cookie in cookies]
    response = httpx.Response(204, headers=lines, request=httpx.Request("GET", url))
    client.cookies.extract_cookies(response)


def _httpx() -> Any:
    for name in ("httpx2", "httpx"):
        if find_spec(name) is not None:
            return import_module(name)
    raise ConfigurationError("amplify_client.httpx: HTTPX is missing; pip install httpx2")
