"""Litestar, which hands a middleware its app by name."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient

from amplify_mw import get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import LocalUserPool


@get("/name", sync_to_thread=True)
def name() -> str:
    return get_current_user().username


@get("/private/name")
async def private_name() -> str:
    return get_current_user().username


@pytest.fixture
def client(pool: LocalUserPool) -> Iterator[Any]:
    middleware = DefineMiddleware(
        AmplifyASGIMiddleware, config=pool.config(), protect=["/private/*"]
    )
    app = Litestar([name, private_name], middleware=[middleware])
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/name", "/private/name"])
def test_a_handler_sees_the_user(client: Any, ada: str, path: str) -> None:
    answer = client.get(path, headers={"Cookie": f"amplify-session={ada}"})
    assert (answer.status_code, answer.text) == (200, "ada")


def test_a_protected_path_is_answered_by_the_guard(client: Any) -> None:
    assert client.get("/private/name").status_code == 401
