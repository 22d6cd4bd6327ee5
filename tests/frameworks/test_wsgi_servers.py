"""WSGI servers, each with its own way with `start_response`, bodies and threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from amplify_mw.testing import LocalUserPool
from tests.frameworks.conftest import USERS
from tests.frameworks.servers import Servers, Site

uwsgi = pytest.mark.skipif(
    not Path(sys.executable).with_name("uwsgi").exists(), reason="uWSGI is not built here"
)
KINDS = [
    *("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "gunicorn-gevent-preload"),
    *("waitress", "werkzeug", "cheroot", "hypercorn-wsgi", "uvicorn-wsgi", "granian-wsgi"),
    *(pytest.param(kind, marks=uwsgi) for kind in ("uwsgi", "uwsgi-gevent")),
]
SEVERAL_PROCESSES = {"gunicorn-sync", "gunicorn-gevent-preload", "uwsgi-gevent"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(servers: Servers, kind: str) -> Site:
    return servers.site(kind, "streams")


def is_problem(answer: httpx2.Response, status: int) -> bool:
    told = answer.headers["content-type"], answer.json()["status"]
    return (answer.status_code, *told) == (status, "application/problem+json", status)


@pytest.mark.parametrize("path", ["/stream", "/late", "/closing", "/file", "/written"])
def test_an_error_before_any_bytes_is_the_guards_answer(site: Site, path: str) -> None:
    answer = site.get(path, "junk")
    assert is_problem(answer, 401)
    assert answer.headers["set-cookie"].startswith("amplify-session=;")


def test_a_stream_that_begins_is_its_users(site: Site, ada: str) -> None:
    answer = site.get("/stream", ada)
    assert (answer.status_code, answer.text) == (200, "ada\nada\nada\n")
    assert answer.headers["content-type"] == "text/plain"
    assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Cookie", "private")


def test_a_stream_may_begin_with_an_empty_item(site: Site, ada: str) -> None:
    assert site.get("/announced", ada).text == "ada\nada\nada\n"


def test_an_app_may_deal_with_its_error_itself(site: Site) -> None:
    answer = site.get("/caught", "junk")
    assert (answer.status_code, answer.text) == (200, "NotAuthorizedException")


def test_a_start_may_come_with_the_first_item(site: Site, ada: str) -> None:
    answer = site.get("/late", ada)
    assert (answer.status_code, answer.text) == (200, "ada")
    assert answer.headers["content-type"] == "text/plain"


def test_a_start_may_be_taken_back(site: Site) -> None:
    answer = site.get("/started-again")
    assert (answer.status_code, answer.text) == (409, "started again")


def test_what_is_written_comes_first(site: Site, kind: str, ada: str) -> None:
    if kind in ("granian-wsgi", "hypercorn-wsgi", "uvicorn-wsgi"):
        pytest.skip("this server has no write callable")
    assert site.get("/written", ada).text == "ada wrote, ada returned"


def test_a_file_arrives_whole(site: Site, ada: str) -> None:
    answer = site.get("/file", ada)
    assert answer.content == Path(__file__).with_name("apps").joinpath("bare_site.py").read_bytes()


@pytest.mark.parametrize(("path", "status"), [("/nothing", 200), ("/no-content", 204)])
def test_an_app_may_say_nothing(site: Site, path: str, status: int) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_body_is_closed_as_its_user(site: Site, kind: str, ada: str) -> None:
    if kind in SEVERAL_PROCESSES:
        pytest.skip("another process may be asked")
    assert site.get("/closing", ada).text == "ada\nada\nada\n"
    assert site.get("/is-closed").text == "True"


def test_a_browser_is_sent_to_sign_in(site: Site) -> None:
    """A response without a body: hypercorn sends the headers with the first item."""
    answer = site.get("/private/page", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        "/login?next=%2Fprivate%2Fpage",
    )


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_the_answer_to_a_head_has_no_body(site: Site, accept: str) -> None:
    headers = {**site.headers(), "Accept": accept}
    answer = site.server.client.head("/private/page", headers=headers)
    assert answer.status_code == (302 if accept == "text/html" else 401)
    assert answer.content == b""


def test_fifty_at_once_are_answered_at_first_sight(
    servers: Servers, kind: str, pool: LocalUserPool
) -> None:
    """gevent may patch after the app was imported: its locks are native ones then."""
    site = servers.site(kind, "flask")
    tokens = [pool.sign_in(name).access_token for name in USERS * 5]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda token: site.get("/whoami", token).json(), tokens))
    assert [answer["attributes"]["email"] for answer in answers] == [
        f"{name}@example.com" for name in USERS * 5
    ]


def test_nobody_is_left_behind_on_a_server(site: Site, ada: str) -> None:
    assert site.get("/late", ada).text == "ada"
    outside = Site(site.server, "bare")
    assert {outside.get("/static/name").text for _ in range(4)} == {"outside"}
