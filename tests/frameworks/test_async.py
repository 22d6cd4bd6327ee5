"""Asynchronous views, synchronous ones on threads, and what runs after the response."""

from uuid import uuid4

import pytest

from tests.frameworks.servers import ASGI_SERVERS, HANDLED, WSGI_SERVERS, Servers, Site

AWAITING = [
    *((server, name) for server in WSGI_SERVERS for name in ("flask", "flask-extension", "django")),
    *(
        (server, name)
        for server in ASGI_SERVERS
        for name in ("starlette", "fastapi", "quart", "django", *HANDLED)
    ),
    *((server, "mounts", "/flask-in-asgiref") for server in ASGI_SERVERS),
    *((server, "mounts", "/a2wsgi-around") for server in ASGI_SERVERS),
]
# what `/escape` is not: awaited where that is on a thread, and the other way round
OTHERWISE = [
    *((server, "django") for server in ("waitress", *ASGI_SERVERS)),
    *((server, name) for server in ASGI_SERVERS for name in ("starlette", "fastapi", "quart")),
]
WITH_BACKGROUND = [
    (server, name)
    for server in ASGI_SERVERS
    for name in ("starlette", "starlette-added", "fastapi", "quart", "litestar")
]


@pytest.fixture
def site(servers: Servers, request: pytest.FixtureRequest) -> Site:
    return servers.site(*request.param)


def sites(rows: list[tuple[str, ...]]) -> pytest.MarkDecorator:
    ids = ["-".join(row).replace("/", "") for row in rows]
    return pytest.mark.parametrize("site", rows, indirect=True, ids=ids)


@sites(AWAITING)
def test_an_async_view_awaits_user_and_attributes(site: Site, ada: str) -> None:
    answer = site.get("/async", ada).json()
    assert (answer["username"], answer["attributes"]["email"]) == ("ada", "ada@example.com")


@sites(AWAITING)
def test_an_async_view_is_told_that_nobody_is_signed_in(site: Site) -> None:
    answer = site.get("/async", "junk")
    assert (answer.status_code, answer.json()) == (401, {"error": "NotAuthorizedException"})
    assert answer.headers["set-cookie"].startswith("amplify-session=;")


@sites(OTHERWISE)
def test_an_error_escapes_in_the_other_kind_of_view_alike(site: Site) -> None:
    answer = site.get("/awaited-escape/x")
    assert (answer.status_code, answer.content) == (401, site.get("/private/page").content)


@sites(OTHERWISE)
def test_the_other_kind_of_view_sees_the_user(site: Site, ada: str) -> None:
    assert site.get("/awaited-escape/x", ada).text == "ada"


@sites(WITH_BACKGROUND)
def test_a_background_task_sees_the_user_of_its_request(site: Site, ada: str) -> None:
    key = uuid4().hex
    assert site.get(f"/background/{key}", ada).text == "begun"
    assert site.get(f"/result/{key}").text == "ada"
