"""The program of the page on Bearer tokens, asked by a browser and by curl."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import make_server

from amplify_mw.testing import LocalUserPool
from tests.docs.pages import run
from tests.docs.visitor import Visitor

pytestmark = pytest.mark.usefixtures("surroundings")
SITE = "http://localhost:5000"


@pytest.fixture
def app() -> Any:
    return run("bearer", only=0)["app"]


@pytest.fixture
def address(app: Any) -> Iterator[str]:
    """The program, served on this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def curl(*arguments: str) -> tuple[int, str]:
    """The status and the body that curl got."""
    command = ["curl", "--silent", "--noproxy", "*", "--max-time", "60"]
    command += ["--write-out", "\n%{http_code}", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    body, _, status = said.stdout.rpartition("\n")
    return int(status), body


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def bearing(token: str) -> list[str]:
    return ["--header", f"Authorization: Bearer {token}"]


def test_a_browser_signs_in_and_sees_its_orders(app: Any, pool: LocalUserPool) -> None:
    browser = Visitor(app.test_client(), SITE)
    browser.sign_in(pool, "/orders", "ada")
    assert browser.get("/orders").json == {"orders of": "ada"}
    assert browser.post("/orders").status_code == 403


@needs_curl
def test_a_program_asks_with_a_users_token(address: str, pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").access_token
    status, body = curl(*bearing(token), f"{address}/orders")
    assert (status, json.loads(body)) == (200, {"orders of": "ada"})
    assert curl(f"{address}/orders")[0] == 401
    assert curl(*bearing(pool.mint("ada")), f"{address}/orders")[0] == 401
    assert curl(*bearing("a b"), f"{address}/orders")[0] == 400
    assert curl(*bearing(token), *bearing(token), f"{address}/orders")[0] == 400
    assert curl(*bearing(token), "--request", "POST", f"{address}/orders")[0] == 403


@needs_curl
def test_a_machine_asks_with_a_token_of_its_own(address: str, pool: LocalUserPool) -> None:
    secret = pool.add_machine("orders-job", scopes=["orders/read", "orders/write"])
    form = ["--user", f"orders-job:{secret}", "--data", "grant_type=client_credentials"]
    status, body = curl(*form, f"{pool.url}/oauth2/token")
    assert status == 200
    token = json.loads(body)["access_token"]
    status, body = curl(*bearing(token), "--request", "POST", f"{address}/orders")
    assert (status, json.loads(body)) == (200, {"added by": "orders-job"})
    assert curl(*bearing(token), f"{address}/orders")[0] == 403
    _, body = curl(*form, "--data", "scope=orders/read", f"{pool.url}/oauth2/token")
    less = json.loads(body)["access_token"]
    assert curl(*bearing(less), "--request", "POST", f"{address}/orders")[0] == 403
