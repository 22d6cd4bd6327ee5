"""Starlette's own test client, which is FastAPI's too, for a signed-in user."""

from collections.abc import Iterable
from typing import Any

from starlette.testclient import TestClient

from .cookies import Cookie
from .httpx import fill


def starlette_client(app: Any, cookies: Iterable[Cookie], url: str) -> TestClient:
    """The test client of an ASGI app, at the site's own address."""
    client = TestClient(app, base_url=url)
    fill(client, cookies, url)
    return client
