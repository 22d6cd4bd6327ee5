"""Litestar: the plugin, and the middleware as one of Litestar's own."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from litestar import (
    Controller,
    Litestar,
    Request,
    WebSocket,
    asgi,
    get,
    websocket,
    websocket_listener,
)
from litestar.config.cors import CORSConfig
from litestar.config.response_cache import ResponseCacheConfig
from litestar.di import NamedDependency, Provide
from litestar.middleware import DefineMiddleware
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.response import Response
from litestar.testing import TestClient
from starlette.testclient import TestClient as SocketClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from amplify_mw import (
    AuthRoutes,
    AuthUser,
    ConfigurationError,
    NetworkError,
    get_current_user,
    require_auth,
    user_or_none,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.litestar import AmplifyPlugin, require
from amplify_mw.testing import LocalUserPool, signed_in

API = "https://x.example/api"
ROUTES = AuthRoutes(origin="http://localhost", keys=[b"k" * 32])


@get("/name", sync_to_thread=True)
def name() -> str:
    return get_current_user().username


@get("/private/name")
async def private_name() -> str:
    return get_current_user().username


@get("/open", sync_to_thread=False)
def open_page() -> str:
    return "open"


@get("/mine")
async def mine(request: Request[Any, Any, Any], current_user: NamedDependency[AuthUser]) -> str:
    return f"{request.user} {current_user.username}"


@get("/editors", guards=[require(groups=["editors"])])
async def editors() -> str:
    return "for editors"


@get("/decorated", sync_to_thread=True)
@require_auth
def decorated() -> str:
    return "decorated"


HANDLERS: list[Any] = [name, private_name, open_page, mine, editors, decorated]


def plugged(pool: LocalUserPool, *handlers: Any, config: Any = None, **options: Any) -> Any:
    plugin = AmplifyPlugin(config or pool.config(), protect=["/private/*"])
    return Litestar([*HANDLERS, *handlers], plugins=[plugin], logging_config=None, **options)


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"amplify-session={token}"}


@pytest.fixture
def eve(pool: LocalUserPool) -> dict[str, str]:
    return cookie(pool.sign_in("eve").access_token)


@pytest.fixture
def defined(pool: LocalUserPool) -> Iterator[Any]:
    """The middleware alone, in Litestar's form."""
    middleware = DefineMiddleware(
        AmplifyASGIMiddleware, config=pool.config(), protect=["/private/*"]
    )
    app = Litestar([name, private_name], middleware=[middleware])
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/name", "/private/name"])
def test_a_handler_sees_the_user(defined: Any, ada: str, path: str) -> None:
    answer = defined.get(path, headers=cookie(ada))
    assert (answer.status_code, answer.text) == (200, "ada")


def test_a_protected_path_is_answered_by_the_guard(defined: Any) -> None:
    assert defined.get("/private/name").status_code == 401


# The plugin.


def test_request_user_and_the_dependency_are_the_signed_in_user(
    pool: LocalUserPool, ada: str
) -> None:
    with TestClient(plugged(pool)) as client:
        assert client.get("/mine", headers=cookie(ada)).text == "ada ada"
        assert client.get("/mine").status_code == 401


def test_a_dependency_of_the_apps_own_comes_first(pool: LocalUserPool) -> None:
    @get("/own")
    async def own(current_user: NamedDependency[str]) -> str:
        return current_user

    given = Provide(lambda: "somebody", sync_to_thread=False)
    with TestClient(plugged(pool, own, dependencies={"current_user": given})) as client:
        assert client.get("/own").text == "somebody"
        assert (
            "401" not in client.app.openapi_schema.to_schema()["paths"]["/own"]["get"]["responses"]
        )


def test_a_user_pinned_by_a_test_needs_no_cookie(pool: LocalUserPool) -> None:
    with signed_in("grace", groups=["editors"]), TestClient(plugged(pool)) as client:
        assert client.get("/editors").text == "for editors"


def test_guards_of_a_controller_and_of_the_app(pool: LocalUserPool, ada: str, eve: Any) -> None:
    class Desk(Controller):
        path = "/desk"
        guards = (require(groups=["editors"]),)

        @get()
        async def index(self) -> str:
            return "desk"

    app = plugged(pool, Desk, guards=[require()])
    with TestClient(app) as client:
        assert client.get("/open").status_code == 401
        assert client.get("/open", headers=cookie(ada)).status_code == 200
        assert client.get("/desk", headers=cookie(ada)).status_code == 403
        assert client.get("/desk", headers=eve).text == "desk"


def test_a_handler_of_the_apps_own_comes_first(pool: LocalUserPool) -> None:
    def unavailable(request: Any, error: NetworkError) -> Response[str]:
        return Response("later", status_code=503, headers={"Retry-After": "9"})

    @get("/down", sync_to_thread=False)
    def down() -> str:
        raise NetworkError(reason="store_unavailable")

    own = {NetworkError: unavailable}
    with TestClient(plugged(pool, down, exception_handlers=own)) as client:
        assert client.get("/down").headers["retry-after"] == "9"
        assert client.get("/editors").headers["content-type"] == "application/problem+json"


def test_refusals_get_the_headers_of_litestars_cors(pool: LocalUserPool) -> None:
    origin = {"Origin": "https://admin.example.com"}
    cors = CORSConfig(allow_origins=["https://admin.example.com"])
    with TestClient(plugged(pool, cors_config=cors)) as client:
        for path in ("/private/name", "/editors"):
            answer = client.get(path, headers=origin)
            assert answer.status_code == 401
            assert answer.headers["access-control-allow-origin"] == "https://admin.example.com"


def test_the_routes_and_the_metadata_are_there(pool: LocalUserPool) -> None:
    config = pool.config(
        routes=dataclasses.replace(ROUTES, resource=API),
        bearer=True,
        audience=API,
        resource_metadata={},
    )
    with TestClient(plugged(pool, config=config)) as client:
        away = client.get("/auth/sign-in", follow_redirects=False)
        assert away.headers["location"].startswith(f"{pool.url}/oauth2/authorize?")
        assert client.post("/auth/sign-in").status_code == 405
        metadata = client.get("/.well-known/oauth-protected-resource/api").json()
        assert metadata["resource"] == API
        assert client.get("/auth/else").status_code == 404


def test_without_routes_no_path_is_added(pool: LocalUserPool) -> None:
    with TestClient(plugged(pool)) as client:
        assert client.get("/auth/sign-in").json() == {"status_code": 404, "detail": "Not Found"}


def test_a_missing_config_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"AmplifyPlugin\(config\)"):
        AmplifyPlugin("amplify_outputs.json")  # type: ignore[arg-type]


def test_litestars_own_sessions_live_beside_ours(pool: LocalUserPool, ada: str) -> None:
    @get("/count")
    async def count(request: Request[Any, Any, Any]) -> str:
        request.session["count"] = request.session.get("count", 0) + 1
        return f"{request.user} {request.session['count']}"

    session = ServerSideSessionConfig().middleware
    with TestClient(plugged(pool, count, middleware=[session])) as client:
        client.cookies.set("amplify-session", ada)
        assert [client.get("/count").text for _ in range(2)] == ["ada 1", "ada 2"]


# Mounts: Litestar takes their prefix off before its middlewares run.


@asgi(["/private/mount", "/mount"], is_mount=True, copy_scope=False)
async def mount(scope: Any, receive: Any, send: Any) -> None:
    await Response(f"{scope['path']} {scope['user']}").to_asgi_response(None, Request(scope))(
        scope, receive, send
    )


@asgi("/refusing", is_mount=True, copy_scope=False)
async def refusing(scope: Any, receive: Any, send: Any) -> None:
    get_current_user()


def test_rules_hold_for_a_mount(pool: LocalUserPool, ada: str) -> None:
    with TestClient(plugged(pool, mount)) as client:
        for path in (
            "/private/mount/x",
            "/private/mount",
            "/private/mountx",
            "/mount/../private/mount",
        ):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=cookie(ada)).text.endswith(" ada")
        assert client.get("/private/mount/x", headers=cookie(ada)).text == "/x/ ada"
        assert client.get("/mount/private/x", headers=cookie(ada)).text == "/private/x/ ada"
        assert client.get("/mount/private/x").text == "/private/x/ "


def test_an_error_in_a_mount_leads_back_to_the_whole_path(pool: LocalUserPool) -> None:
    config = pool.config(login_url="/login")
    with TestClient(plugged(pool, refusing, config=config)) as client:
        page = {"Accept": "text/html"}
        answer = client.get("/refusing/x", headers=page, follow_redirects=False)
        assert answer.headers["location"] == "/login?next=%2Frefusing%2Fx"


class Hiding:
    """A middleware that keeps the next app where nobody finds it."""

    __slots__ = ("inner",)

    def __init__(self, app: Any) -> None:
        self.inner = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.inner(scope, receive, send)


def test_a_mount_behind_an_opaque_middleware_is_not_served(pool: LocalUserPool, ada: str) -> None:
    app = plugged(pool, mount, middleware=[Hiding])
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/name", headers=cookie(ada)).text == "ada"
        assert client.get("/private/name").status_code == 401
        assert client.get("/private/mount/x").status_code == 500


# Litestar's cache of responses.


@get("/cached", cache=True, sync_to_thread=False)
def cached() -> str:
    user = user_or_none()
    return f"Hello {user.username if user else 'stranger'}"


@get("/plain", cache=True, sync_to_thread=False)
def plain() -> str:
    CALLS.append(1)
    return "the same for all"


CALLS: list[int] = []


def by_user(request: Request[Any, Any, Any]) -> str:
    CALLS.append(1)
    return f"{request.url.path} {request.user}"


def test_no_cache_keeps_a_page_of_one_user_for_another(pool: LocalUserPool, ada: str) -> None:
    bob = pool.sign_in("bob").access_token
    with TestClient(plugged(pool, cached)) as client:
        seen = [client.get("/cached", headers=h).text for h in (cookie(ada), cookie(bob), {})]
    assert seen == ["Hello ada", "Hello bob", "Hello stranger"]


def test_a_page_that_asks_for_nobody_is_cached(pool: LocalUserPool, ada: str) -> None:
    CALLS.clear()
    with TestClient(plugged(pool, plain)) as client:
        assert {client.get("/plain", headers=cookie(ada)).text for _ in range(3)} == {
            "the same for all"
        }
    assert len(CALLS) == 1


def test_keys_of_the_apps_own_are_left_alone(pool: LocalUserPool, ada: str) -> None:
    CALLS.clear()
    config = ResponseCacheConfig(key_builder=by_user)
    with TestClient(plugged(pool, cached, response_cache_config=config)) as client:
        bob = pool.sign_in("bob").access_token
        seen = [client.get("/cached", headers=cookie(who)).text for who in (ada, bob, ada)]
    assert seen == ["Hello ada", "Hello bob", "Hello ada"]
    assert len(CALLS) >= 3


# WebSockets.


@websocket_listener("/listen")
async def listen(data: str) -> str:
    return f"{get_current_user().username} said {data}"


@websocket_listener("/guarded-listen", guards=[require(groups=["editors"])])
async def guarded_listen(data: str) -> str:
    return data


@websocket("/dependency")
async def dependent(
    socket: WebSocket[Any, Any, Any], current_user: NamedDependency[AuthUser]
) -> None:
    await socket.accept()
    await socket.send_text(current_user.username)


@websocket("/grouped")
async def grouped(socket: WebSocket[Any, Any, Any]) -> None:
    async def ask() -> None:
        get_current_user()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)


SOCKETS: list[Any] = [listen, guarded_listen, dependent, grouped]


def test_a_listener_sees_the_user(pool: LocalUserPool, ada: str) -> None:
    client = SocketClient(plugged(pool, *SOCKETS))
    with client.websocket_connect("/listen", headers=cookie(ada)) as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "ada said hello"
    with client.websocket_connect("/dependency", headers=cookie(ada)) as socket:
        assert socket.receive_text() == "ada"


def test_an_error_in_a_listener_closes_the_socket_with_a_code(pool: LocalUserPool) -> None:
    client = SocketClient(plugged(pool, *SOCKETS))
    with client.websocket_connect("/listen") as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 3000


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["plugin", "plugin and wrapped"])
@pytest.mark.parametrize("path", ["/guarded-listen", "/dependency", "/grouped"])
def test_a_handshake_is_refused_with_the_guards_answer(
    pool: LocalUserPool, path: str, is_wrapped: bool
) -> None:
    app = plugged(pool, *SOCKETS)
    client = SocketClient(AmplifyASGIMiddleware(app, pool.config()) if is_wrapped else app)
    with (
        pytest.raises(WebSocketDenialResponse) as refusal,
        client.websocket_connect(path),
    ):
        raise AssertionError(path)
    assert refusal.value.status_code == 401
    assert refusal.value.headers["content-type"] == "application/problem+json"


# Debug mode.


@get("/fault", sync_to_thread=False)
def fault() -> str:
    token = get_current_user()
    raise RuntimeError(f"a fault of {token.username}")


def test_a_debug_page_names_no_token(pool: LocalUserPool, ada: str) -> None:
    told: list[str] = []

    async def after_exception(error: Exception, scope: Any) -> None:
        told.append(type(error).__name__)

    app = plugged(pool, fault, debug=True, after_exception=[after_exception])
    with TestClient(app, raise_server_exceptions=False) as client:
        for accept in ("text/html", "text/plain"):
            page = client.get("/fault", headers={**cookie(ada), "Accept": accept})
            assert page.status_code == 500
            assert "a fault of ada" in page.text
            assert ada not in page.text
            assert ada.split(".")[2] not in page.text
        junk = client.get("/name", headers={**cookie("junk"), "Accept": "text/html"})
        assert (junk.status_code, "Traceback" in junk.text) == (401, False)
    assert told == ["RuntimeError", "RuntimeError", "NotAuthorizedException"]


# OpenAPI.


def operations(app: Litestar) -> dict[str, Any]:
    paths = app.openapi_schema.to_schema()["paths"]
    return {path: item["get"] for path, item in paths.items() if "get" in item}


def test_openapi_names_the_routes_that_need_a_user(pool: LocalUserPool) -> None:
    found = operations(plugged(pool))
    closed = {path for path, operation in found.items() if "security" in operation}
    assert closed == {"/mine", "/editors", "/decorated", "/private/name"}
    for path in closed:
        assert found[path]["security"] == [{"AmplifySession": []}]
        assert {"401", "403", "503"} <= found[path]["responses"].keys()
        content = found[path]["responses"]["401"]["content"]
        assert content.keys() == {"application/problem+json"}
    assert "401" not in found["/open"]["responses"]


def test_openapi_shows_what_the_configuration_accepts(pool: LocalUserPool) -> None:
    own = plugged(pool).openapi_schema.to_schema()["components"]["securitySchemes"]
    assert own["AmplifySession"]["in"] == "cookie"
    assert own["AmplifySession"]["name"] == "amplify-session"
    assert own.keys() == {"AmplifySession"}
    config = pool.config(bearer=True, routes=ROUTES)
    app = plugged(pool, config=config)
    found = app.openapi_schema.to_schema()["components"]["securitySchemes"]
    flow = found["AmplifyHostedSignIn"]["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == f"{config.user_pools[0].domain}/oauth2/authorize"
    assert flow["tokenUrl"] == config.user_pools[0].token_url
    assert "/auth/sign-in" in found["AmplifySession"]["description"]
    assert operations(app)["/editors"]["security"] == [
        {"AmplifySession": []},
        {"AmplifyBearer": []},
        {"AmplifyHostedSignIn": []},
    ]
    assert not any("/auth" in path for path in app.openapi_schema.to_schema()["paths"])


def test_what_the_app_says_of_its_own_responses_stays(pool: LocalUserPool) -> None:
    from litestar.openapi.datastructures import ResponseSpec

    own = ResponseSpec(str, description="of the app")

    @get(["/own", "/own-too"], guards=[require()], responses={403: own}, security=[{"Key": []}])
    async def handler() -> str:
        return ""

    found = operations(plugged(pool, handler))["/own"]
    assert found["responses"]["403"]["description"] == "of the app"
    assert found["security"] == [{"Key": []}, {"AmplifySession": []}]
