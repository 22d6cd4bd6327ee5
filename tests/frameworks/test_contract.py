"""What every framework does on every server it runs on."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from amplify_mw.testing import LocalUserPool
from tests.frameworks.conftest import USERS
from tests.frameworks.servers import ASGI_SERVERS, HANDLED, WSGI_SERVERS, Servers, Site

WSGI_SITES = ("flask", "flask-extension", "bottle", "bottle-plugin", "pyramid", "falcon", "django")
SITES = [
    *((server, name) for server in WSGI_SERVERS for name in WSGI_SITES),
    *(
        (server, name)
        for server in ASGI_SERVERS
        for name in ("starlette", "starlette-added", "fastapi", "quart", "django", *HANDLED)
    ),
]
MOUNTED = [
    ("waitress", "flask-mounted", "/mounted"),
    *(
        (server, "mounts", mount)
        for server in ASGI_SERVERS
        for mount in (
            "/starlette",
            "/flask-in-asgiref",
            "/flask-in-a2wsgi",
            "/asgiref-around",
            "/a2wsgi-around",
        )
    ),
]
CLEARING = {
    "amplify-session=",
    "Domain=app.example.com",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Max-Age=0",
    "Secure",
    "HttpOnly",
    "Path=/",
    "SameSite=Lax",
}


@pytest.fixture(params=[*SITES, *MOUNTED], ids=lambda row: "-".join(row).replace("/", ""))
def site(servers: Servers, request: pytest.FixtureRequest) -> Site:
    return servers.site(*request.param)


def facts(answer: httpx2.Response) -> dict[str, object]:
    """What makes an answer the guard's, and no framework's."""
    names = ("content-type", "content-length", "cache-control", "vary", "www-authenticate")
    own = {name: answer.headers.get(name) for name in (*names, "set-cookie", "location")}
    return {"status": answer.status_code, "body": answer.text, **own}


def test_without_a_cookie_the_app_itself_answers(site: Site) -> None:
    answer = site.get("/whoami")
    assert (answer.status_code, answer.json()) == (401, {"error": "NotAuthorizedException"})
    assert answer.headers["vary"] == "Cookie"
    assert "set-cookie" not in answer.headers


def test_the_user_is_seen_three_calls_deep_with_attributes_from_cognito(
    site: Site, pool: LocalUserPool
) -> None:
    before = pool.count("GetUser")
    answer = site.get("/whoami", pool.sign_in("ada").access_token).json()
    assert (answer["username"], answer["attributes"]["email"]) == ("ada", "ada@example.com")
    assert pool.count("GetUser") == before + 1


def test_an_id_token_signs_in_as_well(site: Site, pool: LocalUserPool) -> None:
    answer = site.get("/whoami", pool.sign_in("bob").id_token)
    assert answer.json()["attributes"]["email_verified"] == "false"
    assert answer.headers["cache-control"] == "private"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"expires_in": -60}, "TokenExpiredException"),
        ({"client_id": "another"}, "NotAuthorizedException"),
        ({"algorithm": "none"}, "NotAuthorizedException"),
    ],
    ids=["expired", "other-client", "unsigned"],
)
def test_an_invalid_cookie_is_cleared_with_the_attributes_it_was_set_with(
    site: Site, pool: LocalUserPool, wrong: dict[str, object], error: str
) -> None:
    answer = site.get("/whoami", pool.mint("ada", **wrong))  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (401, {"error": error})
    [line] = answer.headers.get_list("set-cookie")
    assert set(line.split("; ")) == CLEARING
    assert answer.headers["cache-control"] == "no-store"


def test_a_protected_path_is_answered_by_the_guard(site: Site) -> None:
    answer = site.get("/private/page")
    assert (answer.status_code, answer.json()["status"]) == (401, 401)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "www-authenticate" in answer.headers


def test_a_protected_path_lets_a_user_pass(site: Site, ada: str) -> None:
    assert site.get("/private/page", ada).json()["username"] == "ada"


@pytest.mark.parametrize("cookie", [None, "junk"])
def test_an_error_that_escapes_a_view_gets_the_guards_answer(
    site: Site, cookie: str | None
) -> None:
    assert facts(site.get("/escape/x", cookie)) == facts(site.get("/private/page", cookie))


def test_a_missing_group_that_escapes_a_view_is_a_403(site: Site, ada: str) -> None:
    answer = site.get("/publish", ada)
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


def test_a_group_from_verified_claims_opens_a_guarded_view(site: Site, pool: LocalUserPool) -> None:
    assert site.get("/publish", pool.sign_in("eve").access_token).text == "published by eve"


def test_the_answer_to_a_head_has_no_body(site: Site) -> None:
    # Over a bare socket: clients do not look for what must not be there.
    head, _, rest = site.server.exchange(site.last_request("/escape/x", method="HEAD")).partition(
        b"\r\n\r\n"
    )
    assert (head.split(b" ")[1], rest) == (b"401", b"")


def test_a_page_that_needs_a_user_sends_a_browser_to_sign_in_and_back(site: Site) -> None:
    answer = site.get("/escape/%C3%A9t%C3%A9?page=2", headers={"Accept": "text/html"})
    target = urlsplit(answer.headers["location"])
    # (never absolute: the `Host` of a request is any client's word)
    assert (answer.status_code, target.netloc, target.path) == (302, "", "/login")
    assert parse_qs(target.query) == {"next": [f"{site.mount}/escape/%C3%A9t%C3%A9?page=2"]}


def test_an_error_where_no_middleware_is_stays_an_error(site: Site) -> None:
    assert site.get("/static/refuse").status_code == 500


def test_every_chunk_of_a_stream_sees_its_user(site: Site, ada: str) -> None:
    assert site.get("/stream", ada).text == "ada\nada\nada\n"


def test_a_thread_sees_the_user_of_its_request(site: Site, ada: str) -> None:
    assert site.get("/thread", ada).text == "ada"


def test_no_user_outlives_the_request(site: Site, ada: str) -> None:
    asked = [site.get(path, ada) for path in ("/whoami", "/thread", "/stream", "/escape/x")]
    assert {answer.status_code for answer in asked} == {200}
    assert {site.get("/static/name", ada).text for _ in range(4)} == {"outside"}


def test_concurrent_requests_see_their_own_users(site: Site, pool: LocalUserPool) -> None:
    tokens = {pool.sign_in(name).access_token: name for name in USERS}

    def ask(token: str) -> tuple[str, str, str]:
        email = site.get("/whoami", token).json()["attributes"]["email"]
        return email, site.get("/stream", token).text, site.get("/thread", token).text

    with ThreadPoolExecutor(8) as executor:
        seen = list(executor.map(ask, tokens))
    assert seen == [(f"{name}@example.com", 3 * f"{name}\n", name) for name in tokens.values()]
