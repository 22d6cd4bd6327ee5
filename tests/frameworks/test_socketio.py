"""Socket.IO, whose events run outside of any request: docs/user.md shows a way to know the user."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socketio
from flask import Flask, request
from flask_socketio import SocketIO

from amplify_mw import AuthError, OutsideRequestError, carry, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.browser.servers import asgi_server, wsgi_server
from tests.patience import PATIENCE

Name = Callable[[], str]


def name() -> str:
    return get_current_user().username


def told(who: Name) -> str:
    try:
        return who()
    except (AuthError, OutsideRequestError) as error:
        return type(error).__name__


@pytest.fixture
def flask_app(pool: LocalUserPool) -> Any:
    app, names = Flask(__name__), dict[str, Name]()
    io = SocketIO(app, async_mode="threading")

    @io.on("connect")
    def connect(auth: object = None) -> None:
        names[request.sid] = carry(name)  # type: ignore[attr-defined]

    @io.on("who")
    def who(data: object = None) -> str:
        return told(names[request.sid])  # type: ignore[attr-defined]

    # After `SocketIO(app)`, so that it is around Socket.IO's own middleware.
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, pool.config())  # type: ignore[method-assign]
    return app


@pytest.fixture
def asgi_app(pool: LocalUserPool) -> Any:
    io, names = socketio.AsyncServer(async_mode="asgi"), dict[str, Name]()

    @io.event
    async def connect(sid: str, environ: object, auth: object = None) -> None:
        names[sid] = carry(name)

    @io.event
    async def who(sid: str, data: object = None) -> str:
        return told(names[sid])

    return AmplifyASGIMiddleware(socketio.ASGIApp(io), pool.config())


@pytest.fixture(params=["flask_app", "asgi_app"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    app = request.getfixturevalue(request.param)
    is_flask = request.param == "flask_app"
    with wsgi_server(app) if is_flask else asgi_server(app, ws="websockets-sansio") as port:
        yield f"http://127.0.0.1:{port}"


def asked(url: str, cookie: str | None) -> str:
    """Whom an event handler sees on a connection that was made with this cookie."""
    client = socketio.SimpleClient()
    headers = {"Sec-Fetch-Site": "same-origin"}  # as a browser says
    if cookie is not None:
        headers["Cookie"] = f"amplify-session={cookie}"
    client.connect(url, headers=headers, transports=["websocket"], wait_timeout=PATIENCE)
    try:
        answer: str = client.call("who", timeout=PATIENCE)
        return answer
    finally:
        client.disconnect()


def test_events_see_the_user_of_their_connection(url: str, pool: LocalUserPool, ada: str) -> None:
    bob = pool.sign_in("bob").access_token
    seen = [asked(url, cookie) for cookie in (ada, bob, None)]
    assert seen == ["ada", "bob", "NotAuthorizedException"]


def test_events_of_connections_at_once_see_their_own_users(
    url: str, pool: LocalUserPool, ada: str
) -> None:
    seen = dict[str, list[str]]()
    cookies = {"ada": ada, "bob": pool.sign_in("bob").access_token}

    def ask(name: str) -> None:
        seen[name] = [asked(url, cookies[name]) for _ in range(3)]

    threads = [threading.Thread(target=ask, args=[name]) for name in cookies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == {"ada": ["ada"] * 3, "bob": ["bob"] * 3}
