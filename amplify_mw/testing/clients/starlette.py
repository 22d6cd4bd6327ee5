"""Starlette's own test client, which is FastAPI's too, for a signed-in user.

Rules:
- Sockets are opened at the site's own address, as requests are: Starlette's client has another one
  for them, to which no cookie of the site would go.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin

from starlette.testclient import TestClient

from .cookies import Cookie
from .httpx import fill


def starlette_client(app: Any, cookies: Iterable[Cookie], url: str) -> TestClient:
    """The test client of an ASGI app, at the site's own address."""
    client = _AtHome(app, base_url=url)
    fill(client, cookies, url)
    return client


class _AtHome(TestClient):
    def websocket_connect(self, url: str, *args: Any, **kwargs: Any) -> Any:
        site = str(self.base_url).replace("http", "ws", 1)
        return super().websocket_connect(urljoin(site, url), *args, **kwargs)


_AtHome.__name__ = _AtHome.__qualname__ = TestClient.__name__
