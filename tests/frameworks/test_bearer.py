"""Bearer tokens on the wire: what servers make of the header, and what frameworks of refusals.

A proxy may have looked at one of two headers, and the app at the other. So two of them are a
refusal wherever the app can see both. (cheroot hands on one header of a name.)
"""

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from amplify_mw.testing import LocalUserPool
from tests.frameworks.servers import ASGI_SERVERS, HANDLED, Servers, Site
from tests.patience import PATIENCE

uwsgi = pytest.mark.skipif(
    not Path(sys.executable).with_name("uwsgi").exists(), reason="uWSGI is not built here"
)
SERVERS = [
    *("gunicorn-sync", "gunicorn-gevent", "waitress", "werkzeug", "cheroot"),
    *("hypercorn-wsgi", "uvicorn-wsgi", "granian-wsgi", "uvicorn", "hypercorn"),
    pytest.param("uwsgi", marks=uwsgi),
]
FRAMEWORKS = [
    *(
        ("waitress", f"{name}-bearer")
        for name in ("flask", "bottle", "pyramid", "falcon", "django")
    ),
    *(("uvicorn", f"{name}-bearer") for name in ("starlette", "fastapi", "quart", "django")),
    *(("uvicorn", f"{name}-bearer") for name in HANDLED),
]
BARE = 'Bearer realm="api"'


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(servers: Servers, kind: str) -> Site:
    return servers.site(kind, "starlette-bearer" if kind in ASGI_SERVERS else "flask-bearer")


def bearing(pool: LocalUserPool, name: str) -> str:
    return f"Bearer {pool.sign_in(name).access_token}"


def exchange(site: Site, *lines: str, path: str = "/escape/x", body: str = "") -> tuple[int, str]:
    """The status and the body of the answer to a request with these lines in its head."""
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"X-Site: {site.name}", *lines]
    sent = "\r\n".join([*head, "Connection: close", "", ""]) + body
    got = site.server.exchange(sent.encode("latin-1")).decode("latin-1")
    told, _, rest = got.partition("\r\n\r\n")
    return int(told.split(" ", 2)[1]), rest


def test_a_token_is_its_users(site: Site, pool: LocalUserPool) -> None:
    header = f"Authorization: {bearing(pool, 'ada')}"
    for _ in range(2):
        status, body = exchange(site, header)
        assert (status, "ada" in body) == (200, True)
    assert exchange(site)[0] == 401


@pytest.mark.parametrize("kind", [each for each in SERVERS if each != "cheroot"])
@pytest.mark.parametrize("second", ["Bearer", "bearer", "Basic", "the same"])
@pytest.mark.parametrize("turned", [False, True])
def test_two_headers_are_nobodys(
    site: Site, kind: str, pool: LocalUserPool, second: str, turned: bool
) -> None:
    token = bearing(pool, "ada")
    others = {"Basic": "Basic YTpi", "the same": token}
    other = others.get(second) or second + bearing(pool, "bob")[len("Bearer") :]
    headers = [f"Authorization: {value}" for value in (token, other)]
    if turned:
        headers.reverse()
    assert exchange(site, headers[0])[0] in (200, 401)
    status, body = exchange(site, *headers)
    assert (status, "ada" in body or "bob" in body) == (400, False), (kind, body)


HEADS = {
    "folded": ("Authorization: {}", "\t, Bearer x"),
    "folded before the token": ("Authorization: Bearer", " {token}"),
    "nul": ("Authorization: {}\0",),
    "latin-1": ("Authorization: {}\xe9",),
    "joined by a proxy": ("Authorization: {}, {}",),
    "behind Basic": ("Authorization: Basic YTpi, {}",),
}


@pytest.mark.parametrize("lines", HEADS.values(), ids=HEADS)
def test_a_header_of_another_spelling_is_refused(
    site: Site, pool: LocalUserPool, lines: tuple[str, ...]
) -> None:
    """By the server, or by the middleware; a fold is a blank to some (RFC 9112 5.2)."""
    header = bearing(pool, "ada")
    made = [line.format(header, header, token=header[len("Bearer ") :]) for line in lines]
    status, body = exchange(site, *made)
    if made[0] == "Authorization: Bearer" and status == 200:
        return  # it has read the fold as a blank: one header, one token
    assert status in (400, 401), body
    assert "ada" not in body


def challenges(answer: httpx2.Response) -> str:
    return ", ".join(answer.headers.get_list("www-authenticate"))


@pytest.mark.parametrize("path", ["/escape/x", "/private/page"])
@pytest.mark.parametrize("row", FRAMEWORKS, ids="-".join)
def test_refusals_are_for_programs_in_every_framework(
    servers: Servers, pool: LocalUserPool, row: tuple[str, str], path: str
) -> None:
    """By the framework's handler of errors, and by the guard of a path."""
    site = servers.site(*row)
    expired = pool.mint("ada", "access", expires_in=-60)
    for header, status, error in (
        ("Bearer a b", 400, "invalid_request"),
        ("Bearer junk", 401, "invalid_token"),
        (f"Bearer {expired}", 401, "invalid_token"),
        (f"Bearer {pool.mint('ada')}", 401, "invalid_token"),
    ):
        answer = site.get(path, headers={"Authorization": header, "Accept": "text/html"})
        assert (answer.status_code, challenges(answer)) == (status, f'{BARE}, error="{error}"')
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.text)["status"] == status
        assert answer.headers["vary"] == "Authorization"
        assert not {"location", "set-cookie"} & set(answer.headers)


@pytest.mark.parametrize("row", FRAMEWORKS, ids="-".join)
def test_nobody_and_somebody_elses_cookie_in_every_framework(
    servers: Servers, pool: LocalUserPool, row: tuple[str, str]
) -> None:
    site = servers.site(*row)
    nobody = site.get("/escape/x")
    assert (nobody.status_code, BARE in challenges(nobody)) == (401, True)
    header = {"Authorization": bearing(pool, "ada")}
    assert site.get("/escape/x", headers=header).text.strip('"') == "ada"
    both = site.get("/escape/x", pool.sign_in("bob").access_token, header)
    assert (both.status_code, "set-cookie" in both.headers) == (400, False)
    missing = site.get("/publish", headers=header)
    assert (missing.status_code, "location" in missing.headers) == (403, False)


@pytest.mark.parametrize("server", ASGI_SERVERS)
@pytest.mark.parametrize("name", ["starlette-bearer", "fastapi-bearer"])
def test_a_websocket_brings_it_in_the_handshake(
    servers: Servers, pool: LocalUserPool, server: str, name: str
) -> None:
    site = servers.site(server, name)

    def dial(header: str, path: str = "/socket", **more: str) -> Any:
        return connect(
            f"ws://127.0.0.1:{site.server.port}{path}",
            additional_headers=[*site.headers().items(), ("Authorization", header), *more.items()],
            origin=Origin("https://elsewhere.example"),
            proxy=None,
            open_timeout=PATIENCE,
            ping_interval=None,
        )

    header = bearing(pool, "ada")
    with dial(header) as socket:
        socket.send("who?")
        assert json.loads(socket.recv(PATIENCE))["username"] == "ada"
    refused: tuple[tuple[str, dict[str, str], int], ...] = (
        ("Bearer junk", {}, 401),
        (header, {"authorization": bearing(pool, "bob")}, 400),
        (header, {"Cookie": f"amplify-session={pool.sign_in('bob').access_token}"}, 400),
    )
    for sent, more, status in refused:
        with pytest.raises(InvalidStatus) as refusal:
            dial(sent, "/socket?strict=1", **more)
        response = refusal.value.response
        assert response.status_code == status
        assert response.headers["WWW-Authenticate"].startswith(BARE)
