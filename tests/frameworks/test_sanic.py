"""Sanic under ASGI: its debug page, its log, and its own handlers."""

import logging
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from sanic import HTTPResponse, Request, Sanic, text
from sanic.application.constants import Mode
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from amplify_mw import NetworkError, get_current_user, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.sanic import handle_auth_errors
from amplify_mw.testing import LocalUserPool

NUMBERS = count()


def site() -> Any:
    app: Any = Sanic(f"sanic-{next(NUMBERS)}")
    app.config.TOUCHUP = False  # it rewrites the class, which several apps share here
    handle_auth_errors(app)

    @app.get("/account")
    @require_auth
    async def account(request: Request) -> HTTPResponse:
        return text(f"account of {request.ctx.user}")

    @app.get("/static/user")
    async def user(request: Request) -> HTTPResponse:
        return text(str(hasattr(request.ctx, "user")))

    @app.get("/fault")
    async def fault(request: Request) -> HTTPResponse:
        user = get_current_user()
        raise RuntimeError(f"a fault of {user.username}")

    @app.get("/down")
    async def down(request: Request) -> HTTPResponse:
        raise NetworkError(reason="store_unavailable")

    @app.websocket("/socket")
    async def socket(request: Request, websocket: Any) -> None:
        await websocket.send(get_current_user().username)

    @app.websocket("/closed")
    async def closed(request: Request, websocket: Any) -> None:
        raise RuntimeError("a fault")

    @app.on_request
    async def only_editors(request: Request) -> None:
        if request.path == "/early":
            require_auth(groups=["editors"])(lambda: None)()

    @app.websocket("/early")
    async def early(request: Request, websocket: Any) -> None:
        await websocket.send("opened")

    return app


def served(app: Any, pool: LocalUserPool, **options: Any) -> TestClient:
    wrapped = AmplifyASGIMiddleware(app, pool.config(ignore=["/static/*"], **options))
    return TestClient(wrapped, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def client(pool: LocalUserPool) -> Iterator[TestClient]:
    with served(site(), pool, login_url="/login") as client:
        yield client


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"amplify-session={token}"}


def test_the_user_is_in_the_requests_context(client: TestClient, ada: str) -> None:
    assert client.get("/account", headers=cookie(ada)).text == "account of ada"
    assert client.get("/static/user", headers=cookie(ada)).text == "False"


def test_a_redirect_has_no_body(client: TestClient) -> None:
    answer = client.get("/account", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["location"] == "/login?next=%2Faccount"


def test_what_cannot_be_checked_is_a_503(client: TestClient) -> None:
    answer = client.get("/down")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_a_handler_of_the_apps_own_comes_first(pool: LocalUserPool) -> None:
    app = site()

    @app.exception(NetworkError)
    async def later(request: Request, error: NetworkError) -> HTTPResponse:
        return text("later", 503)

    with served(app, pool) as client:
        assert client.get("/down").text == "later"
        assert client.get("/account").status_code == 401


def test_response_middlewares_see_a_refusal(pool: LocalUserPool) -> None:
    app = site()

    @app.on_response
    async def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["X-Mark"] = str(response.status)

    with served(app, pool) as client:
        assert client.get("/account").headers["x-mark"] == "401"


def test_a_socket_is_refused_before_it_is_accepted(
    client: TestClient, ada: str, pool: LocalUserPool
) -> None:
    for headers, status in (({}, 401), (cookie(ada), 403)):
        with (
            pytest.raises(WebSocketDenialResponse) as refusal,
            client.websocket_connect("/early", headers=headers),
        ):
            raise AssertionError(status)
        assert refusal.value.status_code == status
    eve = cookie(pool.sign_in("eve").access_token)
    with client.websocket_connect("/early", headers=eve) as socket:
        assert socket.receive_text() == "opened"


def test_a_refusal_in_a_socket_is_no_fault_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sanic.error"), "propagate", True)
    with client.websocket_connect("/socket") as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 3000
    assert "Exception occurred" not in caplog.text
    with client.websocket_connect("/closed"):
        pass
    assert "Exception occurred" in caplog.text


def test_a_debug_page_names_no_token(pool: LocalUserPool, ada: str) -> None:
    """Sanic's page shows all headers of the request."""
    app = site()
    app.state.mode = Mode.DEBUG
    app.error_handler.debug = True
    with served(app, pool) as client:
        for accept in ("text/html", "application/json", "text/plain"):
            refused = client.get("/account", headers={**cookie("junk.a.b"), "Accept": accept})
            assert refused.status_code == 401
            assert "junk.a.b" not in refused.text
            page = client.get("/fault", headers={**cookie(ada), "Accept": accept})
            assert page.status_code == 500
            assert "a fault of ada" in page.text
            assert ada not in page.text
            assert ada.split(".")[2] not in page.text
