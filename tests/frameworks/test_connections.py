"""One connection, as a proxy keeps it, carries requests of different people.

A server may serve the next request in a context that it took while it served the last one.
"""

from http.client import HTTPResponse

import pytest

from tests.frameworks.servers import ASGI_SERVERS, Servers, Site, rest_of

SITES = [
    *(
        (server, name)
        for server in ("gunicorn-gthread", "waitress")
        for name in ("flask", "django")
    ),
    *((server, name) for server in ASGI_SERVERS for name in ("starlette", "fastapi", "django")),
]


@pytest.fixture(params=SITES, ids="-".join)
def site(servers: Servers, request: pytest.FixtureRequest) -> Site:
    return servers.site(*request.param)


def last_body(site: Site, *requests: bytes) -> bytes:
    """The body of the last answer to requests that are sent at once over one connection."""
    received = site.server.exchange(b"".join(requests))
    assert received.count(b"HTTP/1.1 200 ") == len(requests)
    return received.rpartition(b"\r\n\r\n")[2]


def test_an_ignored_path_sees_nobody_after_a_request_of_a_user(site: Site, ada: str) -> None:
    last = site.last_request("/static/name")
    assert last_body(site, site.request("/whoami", ada), last) == b"outside"


def test_an_app_without_the_middleware_sees_nobody_after_one_that_has_it(
    site: Site, ada: str
) -> None:
    last = Site(site.server, "bare").last_request("/static/name")
    assert last_body(site, site.request("/whoami", ada), last) == b"outside"


@pytest.mark.parametrize("server", ASGI_SERVERS)
def test_nobody_is_seen_on_a_connection_that_took_an_upload(
    servers: Servers, server: str, ada: str
) -> None:
    # More than uvicorn keeps unread: it goes on reading in the context of whoever asks for more.
    body = bytes(70_000)
    site = servers.site(server, "starlette")
    with site.server.connect() as connection:
        connection.sendall(site.upload("/upload", ada, body))
        first = HTTPResponse(connection)
        first.begin()
        assert first.read() == b"ada sent 70000"
        connection.sendall(Site(site.server, "bare").last_request("/static/name"))
        assert rest_of(connection).endswith(b"\r\n\r\noutside")


def test_the_next_request_without_a_cookie_is_nobodys(site: Site, ada: str) -> None:
    last = site.last_request("/escape/x")
    received = site.server.exchange(site.request("/thread", ada) + last)
    assert received.count(b"HTTP/1.1 200 ") == received.count(b"HTTP/1.1 401 ") == 1
