"""BlackSheep: its own idea of a user, its refusals, and its page of details."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from blacksheep import Application, Request, Response, Router, text
from blacksheep.server.authorization import Policy, auth
from guardpost.common import AuthenticatedRequirement
from starlette.testclient import TestClient

from amplify_mw import NetworkError
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.blacksheep import AmplifyAuthentication, handle_auth_errors
from amplify_mw.testing import LocalUserPool


def site(**options: Any) -> Application:
    app = Application(router=Router(), **options)
    handle_auth_errors(app)
    app.use_authentication().add(AmplifyAuthentication())
    app.use_authorization()
    get = app.router.get

    @get("/open")
    async def open_page() -> Response:
        return text("open")

    @get("/who")
    async def who(request: Request) -> Response:
        user: Any = request.user
        claims = f"{user.id} {user.name} {user.roles}" if user.is_authenticated() else "nobody"
        return text(f"{user.authentication_mode} {claims} {user.access_token}")

    @auth()
    @get("/account")
    async def account(request: Request) -> Response:
        assert request.user is not None
        return text(f"account of {request.user['name']}")

    @auth(roles=["editors"])
    @get("/editors")
    async def editors() -> Response:
        return text("for editors")

    @get("/fault")
    async def fault(request: Request) -> Response:
        user: Any = request.user
        raise RuntimeError(f"a fault of {user.name}")

    @get("/down")
    async def down() -> Response:
        raise NetworkError(reason="store_unavailable")

    return app


@pytest.fixture
def client(pool: LocalUserPool) -> TestClient:
    config = pool.config(login_url="/login")
    return TestClient(AmplifyASGIMiddleware(site(), config), follow_redirects=False)


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"amplify-session={token}"}


def test_its_user_has_the_names_that_blacksheep_knows(
    client: TestClient, pool: LocalUserPool
) -> None:
    eve = pool.sign_in("eve").access_token
    mode, user_id, *rest = client.get("/who", headers=cookie(eve)).text.split()
    assert (mode, rest) == ("amplify", ["eve", "['editors']", "None"])
    assert UUID(user_id)
    assert client.get("/who").text == "None nobody None"


def test_a_page_that_does_not_ask_does_not_depend_on_the_user(client: TestClient, ada: str) -> None:
    assert "vary" not in client.get("/open", headers=cookie(ada)).headers
    assert client.get("/who", headers=cookie(ada)).headers["vary"] == "Cookie"


def test_its_own_guards_give_the_guards_answers(
    client: TestClient, ada: str, pool: LocalUserPool
) -> None:
    eve = cookie(pool.sign_in("eve").access_token)
    assert client.get("/account", headers=cookie(ada)).text == "account of ada"
    assert client.get("/editors", headers=eve).text == "for editors"
    for path in ("/account", "/editors"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")
        assert answer.headers["www-authenticate"].startswith("Cookie ")
        away = client.get(path, headers={"Accept": "text/html"})
        assert (away.status_code, away.content) == (302, b"")
    answer = client.get("/editors", headers=cookie(ada))
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


def test_what_cannot_be_checked_is_a_503(client: TestClient) -> None:
    answer = client.get("/down")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_a_policy_of_the_apps_own_is_a_403(pool: LocalUserPool, ada: str) -> None:
    class Nobody(AuthenticatedRequirement):
        def handle(self, context: Any) -> None:
            context.fail("not today")

    app = site()
    app.use_authorization().add(Policy("nobody", Nobody()))

    @auth("nobody")
    @app.router.get("/nobody")
    async def nobody() -> Response:
        return text("somebody")

    client = TestClient(AmplifyASGIMiddleware(app, pool.config()))
    assert client.get("/nobody", headers=cookie(ada)).status_code == 403
    assert client.get("/nobody").status_code == 401


@pytest.fixture
def bare() -> Iterator[TestClient]:
    """Without a middleware around the app."""
    with TestClient(site(), raise_server_exceptions=False) as client:
        yield client


def test_without_a_middleware_the_framework_answers(bare: TestClient) -> None:
    assert bare.get("/account").text == "Unauthorized"
    assert bare.get("/down").status_code == 500


def test_a_page_of_details_names_no_token(pool: LocalUserPool, ada: str) -> None:
    app = AmplifyASGIMiddleware(site(show_error_details=True), pool.config())
    with TestClient(app, raise_server_exceptions=False) as client:
        page = client.get("/fault", headers=cookie(ada))
        assert page.status_code == 500
        assert "a fault of ada" in page.text
        assert ada not in page.text
        assert ada.split(".")[2] not in page.text
        refused = client.get("/account", headers=cookie("junk"))
        assert (refused.status_code, "Traceback" in refused.text) == (401, False)
