"""WebSockets: the handshake's cookie, origins, and the user for as long as the socket is open."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from amplify_mw.testing import LocalUserPool
from tests.frameworks.servers import ASGI_SERVERS, HANDLED, Servers, Site
from tests.patience import PATIENCE

SOCKETS = [
    *(
        (server, name)
        for server in ASGI_SERVERS
        for name in ("starlette", "starlette-added", "fastapi", "quart", *HANDLED)
    ),
    *((server, "mounts", "/starlette") for server in ASGI_SERVERS),
]
LATE = [(server, name) for server in ASGI_SERVERS for name in HANDLED]


@pytest.fixture(params=SOCKETS, ids=lambda row: "-".join(row).replace("/", ""))
def site(servers: Servers, request: pytest.FixtureRequest) -> Site:
    return servers.site(*request.param)


def dial(
    site: Site, cookie: str | None = None, path: str = "/socket", origin: Any = None
) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{site.server.port}{site.mount}{path}",
        additional_headers=site.headers(cookie),
        origin=origin,
        proxy=None,
        compression=None,
        open_timeout=PATIENCE,
        ping_interval=None,
    )


def ask(socket: ClientConnection) -> dict[str, Any]:
    socket.send("who?")
    answer: dict[str, Any] = json.loads(socket.recv(PATIENCE))
    return answer


def test_an_open_socket_sees_its_own_user_every_time(site: Site, pool: LocalUserPool) -> None:
    tokens = [pool.sign_in(name).access_token for name in ("ada", "bob")]
    with dial(site, tokens[0]) as first, dial(site, tokens[1]) as second:
        seen = [ask(socket)["attributes"]["email"] for socket in (first, second, first)]
    assert seen == ["ada@example.com", "bob@example.com", "ada@example.com"]


def test_a_socket_without_a_cookie_is_nobodys(site: Site) -> None:
    with dial(site) as socket:
        assert ask(socket) == {"error": "NotAuthorizedException"}
        assert socket.response is not None
        assert "Set-Cookie" not in socket.response.headers


def test_the_clearing_cookie_arrives_with_the_handshake(site: Site, pool: LocalUserPool) -> None:
    with dial(site, pool.mint("ada", expires_in=-60)) as socket:
        assert socket.response is not None
        line = socket.response.headers["Set-Cookie"]
        assert line.startswith("amplify-session=; Domain=app.example.com; ")
        assert ask(socket) == {"error": "TokenExpiredException"}


def test_a_page_of_another_origin_cannot_use_the_session(site: Site, ada: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        dial(site, ada, origin="https://evil.example")
    assert refusal.value.response.status_code == 403


def test_a_page_of_another_origin_may_come_without_a_session(site: Site) -> None:
    with dial(site, origin="https://evil.example") as socket:
        assert ask(socket) == {"error": "NotAuthorizedException"}


def test_the_sites_own_origin_may_use_the_session(site: Site, ada: str) -> None:
    with dial(site, ada, origin="https://app.example.com") as socket:
        assert ask(socket)["username"] == "ada"


def test_an_error_that_escapes_before_the_socket_opens_is_the_handshakes_answer(
    site: Site,
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        dial(site, "junk", path="/socket?strict=1")
    response = refusal.value.response
    assert (response.status_code, response.headers["Content-Type"]) == (
        401,
        "application/problem+json",
    )
    assert response.headers["Set-Cookie"].startswith("amplify-session=;")


@pytest.mark.parametrize(("name", "code"), [(None, 3000), ("ada", 3003)])
@pytest.mark.parametrize(("server", "site"), LATE, ids=lambda value: value)
def test_an_error_in_an_open_socket_closes_it_with_a_code(
    servers: Servers, pool: LocalUserPool, server: str, site: str, name: str | None, code: int
) -> None:
    cookie = name and pool.sign_in(name).access_token
    with dial(servers.site(server, site), cookie, path="/socket?late=1") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code
