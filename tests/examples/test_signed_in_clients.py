"""Test clients of a signed-in user: each has its framework's own type."""

from typing import assert_type

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import Client

from amplify_mw import AmplifyConfig, get_current_user, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.testing import LocalUserPool, SignedInClients
from amplify_mw.testing.plugin import amplify_client, amplify_pool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

__all__ = ["amplify_client", "amplify_pool"]  # `pytest_plugins = [...]` in your conftest.py

config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web")

flask_app = Flask(__name__)
handle_auth_errors(flask_app)
flask_app.wsgi_app = AmplifyWSGIMiddleware(flask_app.wsgi_app, config)
fastapi_app = FastAPI()
fastapi_app.add_middleware(AmplifyASGIMiddleware, config=config)


@flask_app.get("/reports")
@require_auth(groups=["editors"])
def flask_reports() -> str:
    return f"Reports for {get_current_user().username}"


@fastapi_app.get("/reports")
@require_auth(groups=["editors"])
def fastapi_reports() -> str:
    return f"Reports for {get_current_user().username}"


def test_flask(amplify_client: SignedInClients) -> None:
    client = amplify_client.flask(flask_app, "ada", groups=["editors"])
    assert_type(client, FlaskClient)
    assert client.get("/reports").text == "Reports for ada"


def test_fastapi(amplify_client: SignedInClients) -> None:
    client = amplify_client.fastapi(fastapi_app, "ada", groups=["editors"])
    assert_type(client, TestClient)
    assert client.get("/reports").json() == "Reports for ada"


@pytest.mark.parametrize("groups", [["editors"], ["readers"]])
def test_any_wsgi_app(amplify_client: SignedInClients, groups: list[str]) -> None:
    client = amplify_client.wsgi(AmplifyWSGIMiddleware(flask_app, config), "ada", groups=groups)
    assert_type(client, Client)
    assert client.get("/reports").status_code == (200 if groups == ["editors"] else 403)


def test_httpx(amplify_client: SignedInClients, amplify_pool: LocalUserPool) -> None:
    amplify_pool.add_user("ada", groups=["editors"])
    with amplify_client.httpx(flask_app, "ada") as client:
        assert_type(client, httpx2.Client)
        assert client.get("/reports").text == "Reports for ada"
    asynchronous = amplify_client.httpx(fastapi_app, "ada", email="ada@example.com")
    assert_type(asynchronous, httpx2.AsyncClient)
