"""Frameworks that let no error out: their own user object, their own guards, their sockets."""

import pytest
from websockets.exceptions import InvalidStatus

from amplify_mw.testing import LocalUserPool
from tests.frameworks.servers import ASGI_SERVERS, HANDLED, Servers, Site
from tests.frameworks.test_contract import facts
from tests.frameworks.test_websockets import dial
from tests.patience import PATIENCE

SITES = [(server, name) for server in (*ASGI_SERVERS, "granian") for name in HANDLED]


@pytest.fixture(params=[("waitress", "falcon"), *SITES], ids="-".join)
def site(servers: Servers, request: pytest.FixtureRequest) -> Site:
    return servers.site(*request.param)


@pytest.fixture(params=SITES, ids="-".join)
def several(servers: Servers, request: pytest.FixtureRequest) -> Site:
    """A site under ASGI, which has each field of a request by itself."""
    return servers.site(*request.param)


@pytest.fixture(params=[row for row in SITES if row[1] != "sanic"], ids="-".join)
def guarded_socket(servers: Servers, request: pytest.FixtureRequest) -> Site:
    """A site with a guard before a socket is accepted. (Sanic accepts before all of its own.)"""
    return servers.site(*request.param)


def test_the_frameworks_own_user_is_the_signed_in_one(site: Site, ada: str) -> None:
    assert site.get("/own", ada).text.split()[0] == "ada"


@pytest.mark.parametrize("cookie", [None, "junk"])
def test_its_attributes_are_the_guards_answer_to_nobody(site: Site, cookie: str | None) -> None:
    assert facts(site.get("/own", cookie)) == facts(site.get("/private/page", cookie))


def test_the_frameworks_own_guard_lets_a_group_in(site: Site, pool: LocalUserPool) -> None:
    assert site.get("/guarded", pool.sign_in("eve").access_token).text == "opened to eve"


def test_the_frameworks_own_guard_gives_the_guards_answers(site: Site, ada: str) -> None:
    assert facts(site.get("/guarded")) == facts(site.get("/private/page"))
    assert facts(site.get("/guarded", ada)) == facts(site.get("/publish", ada))


def test_a_session_in_any_of_several_cookie_fields_counts(several: Site, ada: str) -> None:
    """As HTTP/2 sends them; some of these frameworks read the first alone, or the last."""
    fields = ["theme=dark", f"amplify-session={ada}", "last=1"]
    lines = [f"X-Site: {several.name}", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"Cookie: {field}" for field in fields]
    request = "\r\n".join(["GET /own HTTP/1.1", *lines, "\r\n"])
    assert several.server.exchange(request.encode()).split()[1] == b"200"


def test_a_guard_opens_a_socket_to_a_group(guarded_socket: Site, pool: LocalUserPool) -> None:
    cookie = pool.sign_in("eve").access_token
    with dial(guarded_socket, cookie, path="/guarded-socket") as socket:
        assert socket.recv(PATIENCE) == "opened to eve"


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("ada", 403)])
def test_a_guard_refuses_the_handshake_of_others(
    guarded_socket: Site, pool: LocalUserPool, name: str | None, status: int
) -> None:
    cookie = name and pool.sign_in(name).access_token
    with pytest.raises(InvalidStatus) as refusal:
        dial(guarded_socket, cookie, path="/guarded-socket")
    response = refusal.value.response
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
