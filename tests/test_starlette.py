"""Starlette's own idioms: `request.user`, `@requires`, and its layers inside and around ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    SimpleUser,
    requires,
)
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from amplify_mw import CookiePolicy, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.starlette import handle_auth_errors
from amplify_mw.testing import Down, LocalUserPool, signed_in_machine
from tests.browser.servers import asgi_server
from tests.patience import PATIENCE


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", groups=["editors"])
        pool.add_user("grace")
        yield pool


async def me(request: Request) -> Response:
    user = request.user
    return JSONResponse([user.is_authenticated, user.display_name, request.auth.scopes])


async def identity(request: Request) -> Response:
    return PlainTextResponse(request.user.identity)


@requires("authenticated")
async def members(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.user.username}")


@requires(["authenticated", "editors"])
def editors(request: Request) -> Response:
    assert get_current_user().username == request.user.username
    return PlainTextResponse(f"hello {request.user.username}")


@requires("editors", status_code=404)
async def hidden(request: Request) -> Response:
    return PlainTextResponse("found")


@requires("authenticated", redirect="login")
async def page(request: Request) -> Response:
    return PlainTextResponse("the page")


async def login(request: Request) -> Response:
    return PlainTextResponse("please sign in")


async def streamed(request: Request) -> Response:
    async def steps() -> Any:
        yield request.user.display_name
        yield request.user.display_name

    return StreamingResponse(steps())


@requires("editors")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.display_name)
    await websocket.close()


ROUTES = [
    Route("/me", me),
    Route("/identity", identity),
    Route("/members", members),
    Route("/editors", editors),
    Route("/hidden", hidden),
    Route("/page", page),
    Route("/login", login, name="login"),
    Route("/stream", streamed),
    WebSocketRoute("/socket", socket),
]
SOMEBODY = [True, "ada", ["authenticated", "editors"]]
NOBODY = [False, "", []]


def site(pool: LocalUserPool, *layers: Middleware, **options: Any) -> Starlette:
    """Ours is the outermost of the app's layers."""
    ours = Middleware(AmplifyASGIMiddleware, config=pool.config(**options))
    return Starlette(routes=ROUTES, middleware=[ours, *layers])


def wrapped(pool: LocalUserPool, *layers: Middleware) -> Any:
    app = Starlette(routes=ROUTES, middleware=list(layers))
    handle_auth_errors(app)
    return AmplifyASGIMiddleware(app, pool.config())


def cookie(pool: LocalUserPool, name: str = "ada") -> dict[str, str]:
    return {"Cookie": f"amplify-session={pool.sign_in(name).access_token}"}


Made = Callable[[LocalUserPool], Any]


@pytest.fixture(params=[site, wrapped])
def app(request: pytest.FixtureRequest, pool: LocalUserPool) -> Any:
    return request.param(pool)


@pytest.fixture
def client(app: Any) -> TestClient:
    return TestClient(app, follow_redirects=False)


def test_the_request_has_the_user(client: TestClient, pool: LocalUserPool) -> None:
    assert client.get("/me", headers=cookie(pool)).json() == SOMEBODY
    assert client.get("/me").json() == NOBODY
    assert client.get("/me", headers=cookie(pool, "grace")).json() == [
        True,
        "grace",
        ["authenticated"],
    ]


def test_a_visitors_identity_is_a_401(client: TestClient, pool: LocalUserPool) -> None:
    assert client.get("/identity").status_code == 401
    ada = pool.add_user("other")
    assert client.get("/identity", headers=cookie(pool, "other")).text == ada.sub


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/members", {"ada": 200, "grace": 200, None: 403}),
        ("/editors", {"ada": 200, "grace": 403, None: 403}),
        ("/hidden", {"ada": 200, "grace": 404, None: 404}),
        ("/page", {"ada": 200, "grace": 200, None: 303}),
    ],
)
def test_requires_lets_in_whom_it_names(
    path: str, statuses: dict[str | None, int], client: TestClient, pool: LocalUserPool
) -> None:
    found = {
        name: client.get(path, headers=cookie(pool, name) if name else {}).status_code
        for name in statuses
    }
    assert found == statuses


def test_requires_sends_visitors_to_the_login_page(client: TestClient) -> None:
    location = client.get("/page").headers["location"]
    assert location == "http://testserver/login?next=http%3A%2F%2Ftestserver%2Fpage"


def test_an_answer_behind_requires_is_not_kept_by_browsers(
    client: TestClient, pool: LocalUserPool
) -> None:
    answer = client.get("/members", headers=cookie(pool))
    assert (answer.headers["cache-control"], answer.text) == ("no-store", "hello ada")


@pytest.mark.parametrize("path", ["/me", "/members", "/editors", "/page", "/identity"])
def test_a_user_who_cannot_be_told_now_is_a_503(
    path: str, client: TestClient, pool: LocalUserPool
) -> None:
    headers = cookie(pool)
    with pool.fault("*", Down()):
        answer = client.get(path, headers=headers)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert "set-cookie" not in answer.headers


def test_an_invalid_cookie_is_nobodys_and_cleared(client: TestClient) -> None:
    answer = client.get("/me", headers={"Cookie": "amplify-session=forged"})
    assert answer.json() == NOBODY
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_a_machine_is_nobody(pool: LocalUserPool) -> None:
    client = TestClient(site(pool, bearer=True))
    with signed_in_machine("orders-job", scopes=["editors", "authenticated"]):
        assert client.get("/me").json() == NOBODY
        assert client.get("/members").status_code == 403


def test_a_stream_knows_the_user(client: TestClient, pool: LocalUserPool) -> None:
    assert client.get("/stream", headers=cookie(pool)).text == "adaada"


def test_a_socket_has_the_user_and_its_guard(client: TestClient, pool: LocalUserPool) -> None:
    with client.websocket_connect("/socket", headers=cookie(pool)) as socket:
        assert socket.receive_text() == "ada"
    for headers in ({}, cookie(pool, "grace")):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/socket", headers=headers),
        ):
            raise AssertionError("it was accepted")


def test_without_a_handler_an_app_wrapped_from_outside_answers_500(pool: LocalUserPool) -> None:
    app = Starlette(routes=ROUTES)
    client = TestClient(AmplifyASGIMiddleware(app, pool.config()), raise_server_exceptions=False)
    assert client.get("/identity").status_code == 500
    handle_auth_errors(app)
    app.middleware_stack = None
    assert client.get("/identity").status_code == 401


# Other layers.


class Theirs(AuthenticationBackend):
    """Knows everybody as `them`."""

    async def authenticate(self, conn: Any) -> tuple[AuthCredentials, SimpleUser]:
        return AuthCredentials(["theirs"]), SimpleUser("them")


THEIRS = [True, "them", ["theirs"]]


def test_an_authentication_layer_inside_replaces_the_user(pool: LocalUserPool) -> None:
    client = TestClient(site(pool, Middleware(AuthenticationMiddleware, backend=Theirs())))
    assert client.get("/me", headers=cookie(pool)).json() == THEIRS


def test_an_authentication_layer_outside_keeps_its_user(pool: LocalUserPool) -> None:
    around = AuthenticationMiddleware(site(pool), backend=Theirs())
    assert TestClient(around).get("/me", headers=cookie(pool)).json() == THEIRS


@pytest.mark.parametrize("is_outside", [True, False])
def test_a_layer_of_functions_sees_the_user(is_outside: bool, pool: LocalUserPool) -> None:
    seen: list[Any] = []

    class Logging(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            seen.append(request.user.display_name)
            return response

    app: Any = site(pool) if is_outside else site(pool, Middleware(Logging))
    client = TestClient(Logging(app) if is_outside else app)
    assert client.get("/me", headers=cookie(pool)).json() == SOMEBODY
    assert client.get("/me").json() == NOBODY
    assert seen == ["ada", ""]


def test_starlettes_session_is_another_thing(pool: LocalUserPool) -> None:
    layer = Middleware(SessionMiddleware, secret_key="k" * 32)
    app = site(pool, layer)

    async def visits(request: Request) -> Response:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return JSONResponse([request.session["visits"], request.user.display_name])

    app.router.routes.append(Route("/visits", visits))
    client = TestClient(app, cookies={"amplify-session": pool.sign_in("ada").access_token})
    assert [client.get("/visits").json() for _ in range(2)] == [[1, "ada"], [2, "ada"]]


def test_a_mounted_app_has_the_user(pool: LocalUserPool) -> None:
    app = site(pool)
    app.router.routes.append(Mount("/below", app=Starlette(routes=ROUTES)))
    client = TestClient(app)
    assert client.get("/below/me", headers=cookie(pool)).json() == SOMEBODY
    assert client.get("/below/editors").status_code == 403


def test_a_mounted_app_answers_errors_by_a_handler_of_its_own(pool: LocalUserPool) -> None:
    app, below, handled = site(pool), Starlette(routes=ROUTES), Starlette(routes=ROUTES)
    handle_auth_errors(handled)
    app.router.routes += [Mount("/below", app=below), Mount("/handled", app=handled)]
    client = TestClient(app, raise_server_exceptions=False)
    paths = ("/identity", "/below/identity", "/handled/identity")
    assert [client.get(path).status_code for path in paths] == [401, 500, 401]


def test_a_mounted_app_with_another_configuration_has_its_own_user(pool: LocalUserPool) -> None:
    inner = Middleware(AmplifyASGIMiddleware, config=pool.config(cookie=CookiePolicy(name="inner")))
    seen: list[str] = []

    class Between:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)
            seen.append(scope["user"].display_name)

    app = site(pool, Middleware(Between))
    app.router.routes.append(Mount("/below", app=Starlette(routes=ROUTES, middleware=[inner])))
    cookies = [pool.sign_in(name).access_token for name in ("ada", "grace")]
    both = {"Cookie": f"amplify-session={cookies[0]}; inner={cookies[1]}"}
    client = TestClient(app)
    assert client.get("/below/me", headers=both).json() == [True, "grace", ["authenticated"]]
    assert client.get("/below/me", headers=cookie(pool)).json() == NOBODY
    assert seen == ["ada", "ada"]


def test_a_background_task_has_the_user(pool: LocalUserPool) -> None:
    seen: list[str] = []
    app = site(pool)

    async def later(request: Request) -> Response:
        task = BackgroundTask(lambda: seen.append(request.user.display_name))
        return PlainTextResponse("later", background=task)

    app.router.routes.append(Route("/later", later))
    TestClient(app).get("/later", headers=cookie(pool))
    assert seen == ["ada"]


# A real server.


@contextmanager
def served(app: Any) -> Iterator[httpx2.Client]:
    with (
        asgi_server(app) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as it,
    ):
        yield it


def test_users_and_visitors_take_turns_on_one_connection(app: Any, pool: LocalUserPool) -> None:
    headers = [cookie(pool), {}, cookie(pool, "grace"), {}, cookie(pool)]
    with served(app) as client:
        found = [client.get("/me", headers=each).json()[1] for each in headers]
        statuses = [client.get("/editors", headers=each).status_code for each in headers]
    assert found == ["ada", "", "grace", "", "ada"]
    assert statuses == [200, 403, 403, 403, 200]


def test_on_a_server_a_socket_has_the_user_and_its_guard(app: Any, pool: LocalUserPool) -> None:
    with asgi_server(app, ws="websockets-sansio") as port:
        address = f"ws://127.0.0.1:{port}/socket"
        with connect(
            address, additional_headers=cookie(pool), open_timeout=PATIENCE, proxy=None
        ) as socket:
            assert socket.recv(timeout=PATIENCE) == "ada"
        for headers in ({}, cookie(pool, "grace")):
            with pytest.raises(InvalidStatus) as refused:
                connect(address, additional_headers=headers, open_timeout=PATIENCE, proxy=None)
            assert refused.value.response.status_code == 403


def test_on_a_server_too_an_outage_is_no_visitor(app: Any, pool: LocalUserPool) -> None:
    headers = cookie(pool)
    with served(app) as client, pool.fault("*", Down()):
        assert client.get("/members", headers=headers).status_code == 503
