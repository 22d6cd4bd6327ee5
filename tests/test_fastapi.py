"""FastAPI's dependencies, and the document of an app that has them."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Request, Security, WebSocket
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.applications import Starlette
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthError,
    AuthRoutes,
    AuthUser,
    ConfigurationError,
    Machine,
    Needs,
    OutsideRequestError,
    UserPool,
    get_current_user,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.fastapi import BEARER, HOSTED, SESSION, AmplifyAuth
from amplify_mw.testing import Down, LocalUserPool, signed_in, signed_in_machine
from tests.browser.servers import asgi_server
from tests.patience import PATIENCE

ADMIN = "aws.cognito.signin.user.admin"  # a scope of every access token from the pool's API


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", groups=["editors"])
        pool.add_user("grace")
        yield pool


@pytest.fixture
def auth(pool: LocalUserPool) -> AmplifyAuth:
    return AmplifyAuth(pool.config(bearer=True))


@pytest.fixture
def app(auth: AmplifyAuth) -> FastAPI:
    """A route for each dependency, in an app of its own."""
    app = FastAPI(title="Orders", version="1")
    Orders = Annotated[AuthUser, Security(auth.user, scopes=[ADMIN])]  # noqa: N806  # a type

    @app.get("/user")
    async def user(user: Annotated[AuthUser, Depends(auth.user)]) -> str:
        assert get_current_user() is user
        return user.username

    @app.get("/user/def")
    def in_a_thread(user: Annotated[AuthUser, Depends(auth.user)]) -> str:
        assert get_current_user() is user
        return user.username

    @app.get("/visitor")
    async def visitor(user: Annotated[AuthUser | None, Depends(auth.user_or_none)]) -> str:
        return user.username if user else "a visitor"

    @app.get("/caller")
    async def caller(who: Annotated[AuthUser | Machine, Depends(auth.principal)]) -> str:
        return who.client_id if isinstance(who, Machine) else who.username

    @app.get("/scoped")
    async def scoped(user: Orders) -> str:
        return user.username

    @app.get("/other-scope", dependencies=[Security(auth.user, scopes=["orders/write"])])
    async def other_scope() -> str:
        return "written"

    @app.get("/editors")
    async def editors(user: Annotated[AuthUser, Depends(auth.require(groups=["editors"]))]) -> str:
        return user.username

    @app.websocket("/socket")
    async def socket(socket: WebSocket, user: Annotated[AuthUser, Depends(auth.user)]) -> None:
        await socket.accept()
        await socket.send_text(user.username)
        await socket.close()

    auth.init_app(app)
    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def bearer(pool: LocalUserPool, name: str = "ada") -> dict[str, str]:
    return {"Authorization": f"Bearer {pool.sign_in(name).access_token}"}


def cookie(pool: LocalUserPool, name: str = "ada") -> dict[str, str]:
    return {"Cookie": f"amplify-session={pool.sign_in(name).access_token}"}


@pytest.mark.parametrize(
    "path", ["/user", "/user/def", "/visitor", "/caller", "/scoped", "/editors"]
)
@pytest.mark.parametrize("brought", [bearer, cookie])
def test_a_signed_in_user_is_told(
    path: str, brought: Any, client: TestClient, pool: LocalUserPool
) -> None:
    answer = client.get(path, headers=brought(pool))
    assert (answer.status_code, answer.json()) == (200, "ada")


@pytest.mark.parametrize("path", ["/user", "/user/def", "/caller", "/scoped", "/editors"])
def test_a_visitor_gets_the_guards_answer(path: str, client: TestClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "www-authenticate" in answer.headers


def test_a_visitor_is_none_if_that_is_allowed(client: TestClient) -> None:
    assert client.get("/visitor").json() == "a visitor"


def test_a_user_without_the_group_or_scope_is_forbidden(
    client: TestClient, pool: LocalUserPool
) -> None:
    assert client.get("/editors", headers=bearer(pool, "grace")).status_code == 403
    answer = client.get("/other-scope", headers=bearer(pool))
    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="orders/write"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/user", "/visitor", "/caller", "/scoped", "/editors"])
def test_a_user_who_cannot_be_told_now_is_a_503(
    path: str, client: TestClient, pool: LocalUserPool
) -> None:
    headers = cookie(pool)
    with pool.fault("*", Down()):
        answer = client.get(path, headers=headers)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


def test_a_machine_is_a_principal_and_no_user(client: TestClient) -> None:
    with signed_in_machine("orders-job", scopes=["orders/write"]):
        assert client.get("/caller").json() == "orders-job"
        assert client.get("/user").status_code == 403
        assert client.get("/visitor").json() == "a visitor"


def test_guarded_answers_are_not_kept_by_browsers(client: TestClient, pool: LocalUserPool) -> None:
    kept = {
        path: client.get(path, headers=cookie(pool)).headers.get("cache-control")
        for path in ("/user", "/visitor", "/editors")
    }
    assert kept == {"/user": "no-store", "/visitor": "private", "/editors": "no-store"}


def test_a_socket_has_the_user(client: TestClient, pool: LocalUserPool) -> None:
    with client.websocket_connect("/socket", headers=bearer(pool)) as socket:
        assert socket.receive_text() == "ada"


def test_a_visitors_socket_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/socket"):
        raise AssertionError("it was accepted")


def test_on_a_server_users_and_visitors_take_turns(app: FastAPI, pool: LocalUserPool) -> None:
    headers = [bearer(pool), {}, cookie(pool, "grace"), {}, bearer(pool)]
    with (
        asgi_server(app, ws="websockets-sansio") as port,
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE
        ) as client,
    ):
        for path in ("/user", "/user/def"):
            statuses = [client.get(path, headers=each).status_code for each in headers]
            assert statuses == [200, 401, 200, 401, 200]
        address = f"ws://127.0.0.1:{port}/socket"
        visitors = [client.get("/visitor", headers=each).json() for each in headers]
        with connect(
            address, additional_headers=headers[0], open_timeout=PATIENCE, proxy=None
        ) as socket:
            said = socket.recv(timeout=PATIENCE)
        with pytest.raises(InvalidStatus) as refused:
            connect(address, open_timeout=PATIENCE, proxy=None)
    assert visitors == ["ada", "a visitor", "grace", "a visitor", "ada"]
    assert (said, refused.value.response.status_code) == ("ada", 401)


def test_a_router_and_dependencies_of_dependencies(auth: AmplifyAuth, pool: LocalUserPool) -> None:
    def shouted(user: Annotated[AuthUser, Depends(auth.user)]) -> str:
        return user.username.upper()

    router = APIRouter(prefix="/admin", dependencies=[Depends(auth.require(groups=["editors"]))])

    @router.get("/name")
    async def name(shouted: Annotated[str, Depends(shouted)]) -> str:
        return shouted

    app = FastAPI()
    app.include_router(router)
    auth.init_app(app)
    client = TestClient(app)
    assert client.get("/admin/name", headers=bearer(pool)).json() == "ADA"
    assert client.get("/admin/name", headers=bearer(pool, "grace")).status_code == 403
    assert client.get("/admin/name").status_code == 401
    assert set(app.openapi()["paths"]["/admin/name"]["get"]["responses"]) > {"401", "403", "503"}


def test_scopes_of_every_level_are_asked_for(auth: AmplifyAuth, pool: LocalUserPool) -> None:
    def inner(user: Annotated[AuthUser, Security(auth.user, scopes=[ADMIN])]) -> AuthUser:
        return user

    app = FastAPI()

    @app.get("/one")
    async def one(user: Annotated[AuthUser, Security(inner)]) -> str:
        return user.username

    @app.get("/both")
    async def both(user: Annotated[AuthUser, Security(inner, scopes=["orders/read"])]) -> str:
        raise AssertionError("nobody has it")

    auth.init_app(app)
    client = TestClient(app)
    assert client.get("/one", headers=bearer(pool)).status_code == 200
    assert client.get("/both", headers=bearer(pool)).status_code == 403
    (session,) = [one for one in security(app, "/both") if SESSION in one]
    assert sorted(session[SESSION]) == [ADMIN, "orders/read"]


def test_an_optional_user_has_the_scopes_or_is_refused(
    auth: AmplifyAuth, pool: LocalUserPool
) -> None:
    app = FastAPI()

    @app.get("/")
    async def home(
        user: Annotated[AuthUser | None, Security(auth.user_or_none, scopes=["orders/read"])],
    ) -> bool:
        return user is not None

    auth.init_app(app)
    assert TestClient(app).get("/").json() is False
    assert TestClient(app).get("/", headers=bearer(pool)).status_code == 403
    assert app.openapi()["paths"]["/"]["get"]["responses"].keys() == {"200", "403", "503"}


def test_a_test_overrides_a_dependency(app: FastAPI, client: TestClient, auth: AmplifyAuth) -> None:
    tester = AuthUser("tester", "0f3c")
    app.dependency_overrides[auth.user] = lambda: tester
    app.dependency_overrides[auth.require(groups=["editors"])] = lambda: tester
    app.dependency_overrides[auth.user_or_none] = lambda: tester
    assert [client.get(path).status_code for path in ("/editors", "/visitor", "/scoped")] == [
        200
    ] * 3
    del app.dependency_overrides[auth.user]
    assert client.get("/user").status_code == 401


def test_a_test_says_who_is_signed_in(client: TestClient) -> None:
    with signed_in("ada", groups=["editors"]):
        assert client.get("/editors").json() == "ada"


def test_the_same_needs_are_the_same_dependency(auth: AmplifyAuth) -> None:
    assert auth.require(groups=["a", "b"]) is auth.require(groups=["b", "a"])
    assert auth.require(groups=["a"]) is auth.require(Needs(groups=["a"]))
    assert auth.require(groups=["a"]) is not auth.require(groups=["b"])
    assert auth.require(claims={"custom:tenant": "a"}) is not auth.require(
        claims={"custom:tenant": "b"}
    )


@pytest.mark.parametrize("is_outside", [True, False])
def test_the_middleware_may_stand_around_it_as_well(
    is_outside: bool, auth: AmplifyAuth, app: FastAPI, pool: LocalUserPool
) -> None:
    config = pool.config(bearer=True)
    around: Any = app
    if is_outside:
        around = AmplifyASGIMiddleware(app, config)
    client = TestClient(around)
    assert client.get("/user", headers=bearer(pool)).json() == "ada"
    assert client.get("/user").status_code == 401


def test_a_mounted_app_is_initialised_as_well(
    auth: AmplifyAuth, app: FastAPI, pool: LocalUserPool
) -> None:
    around = FastAPI()
    around.mount("/v1", app)
    auth.init_app(around)
    client = TestClient(around)
    assert client.get("/v1/user", headers=bearer(pool)).json() == "ada"
    assert client.get("/v1/user").status_code == 401
    assert SESSION in client.get("/v1/openapi.json").json()["components"]["securitySchemes"]
    assert "url: '/v1/openapi.json'" in client.get("/v1/docs").text


def test_an_error_handler_of_the_apps_own_stays(auth: AmplifyAuth) -> None:
    app = FastAPI()

    @app.exception_handler(AuthError)
    async def refuse(request: Request, error: AuthError) -> PlainTextResponse:
        return PlainTextResponse("mine", error.status_code)

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    assert TestClient(app).get("/").text == "mine"


def test_without_a_middleware_nobody_is_taken_for_a_visitor(auth: AmplifyAuth) -> None:
    app = FastAPI()

    @app.get("/")
    async def home(user: Annotated[AuthUser | None, Depends(auth.user_or_none)]) -> None: ...

    with pytest.raises(OutsideRequestError):
        TestClient(app).get("/")


def test_a_body_is_read_before_the_user_is_asked_for(
    auth: AmplifyAuth, pool: LocalUserPool
) -> None:
    app = FastAPI()

    @app.post("/notes", dependencies=[Depends(auth.user)])
    async def note(text: Annotated[str, Body(embed=True)]) -> None: ...

    auth.init_app(app)
    client = TestClient(app)
    assert client.post("/notes", json={"text": 1}).status_code == 401  # what is wrong is not told
    assert (
        client.post(
            "/notes", content=b"{", headers={"Content-Type": "application/json"}
        ).status_code
        == 422
    )


# The document.


def security(app: FastAPI, path: str) -> list[dict[str, list[str]]]:
    found: list[dict[str, list[str]]] = app.openapi()["paths"][path]["get"]["security"]
    return found


def test_the_document_is_valid(app: FastAPI) -> None:
    validate(json.loads(json.dumps(app.openapi())), cls=OpenAPIV31SpecValidator)


def test_each_operation_says_who_may_ask_and_how_others_are_answered(app: FastAPI) -> None:
    found = {
        path: (item["get"]["security"], _refusals(item["get"]))
        for path, item in app.openapi()["paths"].items()
    }
    plain = [{SESSION: []}, {BEARER: []}, {HOSTED: []}]
    refused = {"401": "AmplifyRefused", "403": "AmplifyForbidden", "503": "AmplifyUnavailable"}

    def with_scope(name: str) -> list[dict[str, list[str]]]:
        return [{SESSION: [name]}, {BEARER: [name]}, {HOSTED: [name]}]

    assert found == {
        "/user": (plain, refused),
        "/user/def": (plain, refused),
        "/visitor": ([*plain, {}], {"503": "AmplifyUnavailable"}),
        "/caller": (plain, refused),
        "/scoped": (with_scope(ADMIN), refused),
        "/other-scope": (with_scope("orders/write"), refused),
        "/editors": (plain, refused),
    }


def _refusals(operation: Any) -> dict[str, str]:
    answers = operation["responses"].items()
    return {
        status: answer["$ref"].removeprefix("#/components/responses/")
        for status, answer in answers
        if status != "200"
    }


def test_the_document_says_how_to_show_who_one_is(app: FastAPI, pool: LocalUserPool) -> None:
    assert app.openapi()["components"]["securitySchemes"] == {
        "AmplifySession": {
            "type": "apiKey",
            "in": "cookie",
            "name": "amplify-session",
            "description": "The session's cookie, which browsers send by themselves.",
        },
        "AmplifyBearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of the user pool.",
        },
        "AmplifyHostedSignIn": {
            "type": "oauth2",
            "description": "Sign in at the user pool, for an access token.",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": f"{pool.url}/oauth2/authorize",
                    "tokenUrl": f"{pool.url}/oauth2/token",
                    "scopes": {ADMIN: "", "orders/write": ""},
                }
            },
        },
    }


def test_the_documented_answers_are_those_that_come(
    app: FastAPI, client: TestClient, pool: LocalUserPool
) -> None:
    components = app.openapi()["components"]
    headers = cookie(pool, "grace")
    with pool.fault("*", Down()):
        unavailable = client.get("/user", headers=headers)
    answers = {
        "AmplifyRefused": client.get("/user"),
        "AmplifyForbidden": client.get("/editors", headers=headers),
        "AmplifyUnavailable": unavailable,
    }
    assert answers.keys() == components["responses"].keys()
    for name, answer in answers.items():
        described = components["responses"][name]
        assert list(described["content"]) == [answer.headers["content-type"]]
        assert described["headers"].keys() <= {
            name.title().replace("Www", "WWW") for name in answer.headers
        }
        assert answer.json().keys() == components["schemas"]["AmplifyProblem"]["properties"].keys()


def test_the_document_is_made_once(app: FastAPI) -> None:
    first = json.dumps(app.openapi())
    assert json.dumps(app.openapi()) == first

    @app.get("/new")
    async def new() -> None: ...

    assert app.openapi()["paths"]["/user"] == json.loads(first)["paths"]["/user"]


def test_an_app_initialised_twice_has_the_same_document(app: FastAPI, auth: AmplifyAuth) -> None:
    first = json.dumps(app.openapi())
    auth.init_app(app)
    assert app.openapi() == json.loads(first)


def test_a_document_of_the_apps_own_is_completed(app: FastAPI, auth: AmplifyAuth) -> None:
    found = app.openapi()
    own = get_openapi(title="Own", version="2", routes=app.routes)
    own["paths"]["/user"]["summary"] = "told for all methods"
    auth.describe(own)
    del own["paths"]["/user"]["summary"]
    assert (own["paths"], own["components"]) == (found["paths"], found["components"])


@pytest.mark.parametrize(
    ("options", "schemes"),
    [
        ({}, {SESSION}),
        ({"bearer": True}, {SESSION, BEARER, HOSTED}),
        ({"bearer": True, "domain": None}, {SESSION, BEARER}),
        ({"domain": "https://auth.example.com"}, {SESSION}),
    ],
)
def test_the_document_names_what_is_configured(
    options: dict[str, Any], schemes: set[str], pool: LocalUserPool
) -> None:
    app, auth = FastAPI(), AmplifyAuth(pool.config(**options))

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    document = app.openapi()
    assert document["components"]["securitySchemes"].keys() == schemes
    assert {name for each in security(app, "/") for name in each} == schemes
    assert (app.swagger_ui_init_oauth is not None) == (HOSTED in schemes)


def test_routes_that_ask_nobody_stay_as_they_are(auth: AmplifyAuth) -> None:
    app, other = FastAPI(), FastAPI()
    for each in (app, other):

        @each.get("/open")
        async def opened() -> None: ...

    auth.init_app(app)
    assert app.openapi() == other.openapi()


def test_a_users_route_below_an_optional_one_is_for_users(auth: AmplifyAuth) -> None:
    app = FastAPI(dependencies=[Depends(auth.user_or_none)])

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    assert {} not in security(app, "/")


def test_schemes_and_answers_of_the_apps_own_stay(auth: AmplifyAuth) -> None:
    app = FastAPI()
    mine = APIKeyHeader(name="X-Key", auto_error=False)

    @app.get(
        "/", dependencies=[Depends(auth.user), Depends(mine)], responses={401: {"description": "x"}}
    )
    async def home() -> None: ...

    auth.init_app(app)
    document = app.openapi()
    assert document["paths"]["/"]["get"]["responses"]["401"] == {"description": "x"}
    assert {"APIKeyHeader": []} in security(app, "/")
    assert "APIKeyHeader" in document["components"]["securitySchemes"]


def test_a_document_of_version_3_0_has_no_roles(auth: AmplifyAuth) -> None:
    app = FastAPI()
    app.openapi_version = "3.0.3"

    @app.get("/", dependencies=[Security(auth.user, scopes=["orders/read"])])
    async def home() -> None: ...

    auth.init_app(app)
    assert security(app, "/") == [{SESSION: []}, {BEARER: []}, {HOSTED: ["orders/read"]}]
    validate(json.loads(json.dumps(app.openapi())))


def test_scopes_to_choose_from_are_those_given_and_those_asked_for(pool: LocalUserPool) -> None:
    auth = AmplifyAuth(pool.config(bearer=True), scopes={"openid": "Know my name"})
    app = FastAPI()

    @app.get("/", dependencies=[Security(auth.user, scopes=["orders/read"])])
    async def home() -> None: ...

    auth.init_app(app)
    flows = app.openapi()["components"]["securitySchemes"][HOSTED]["flows"]
    assert flows["authorizationCode"]["scopes"] == {"orders/read": "", "openid": "Know my name"}


def test_the_login_page_is_named_beside_the_cookie(pool: LocalUserPool) -> None:
    routes = AuthRoutes(origin="http://localhost:8000", keys=[bytes(32)])
    app, auth = FastAPI(), AmplifyAuth(pool.config(routes=routes))

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    scheme = app.openapi()["components"]["securitySchemes"][SESSION]
    assert scheme["description"].endswith("Sign in at /auth/sign-in")


def test_amplifys_own_cookies_are_named(pool: LocalUserPool) -> None:
    app, auth = FastAPI(), AmplifyAuth(pool.config(session=AmplifyCookies()))

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    scheme = app.openapi()["components"]["securitySchemes"][SESSION]
    assert scheme["name"] == "CognitoIdentityServiceProvider.local-client.LastAuthUser"


# The Authorize button.


def swagger(config: AmplifyConfig, **options: Any) -> Any:
    app = FastAPI()
    AmplifyAuth(config, **options).init_app(app)
    return app.swagger_ui_init_oauth


def test_swagger_signs_in_with_pkce(pool: LocalUserPool) -> None:
    expected = {"clientId": "local-client", "usePkceWithAuthorizationCodeGrant": True}
    assert swagger(pool.config(bearer=True)) == expected


def test_swagger_asks_for_tokens_of_this_api(pool: LocalUserPool) -> None:
    found = swagger(pool.config(bearer=True, audience="https://orders.example.com"))
    assert found["additionalQueryStringParams"] == {"resource": "https://orders.example.com"}


def test_swaggers_settings_of_the_apps_own_stay(auth: AmplifyAuth) -> None:
    app = FastAPI(swagger_ui_init_oauth={"clientId": "another"})
    auth.init_app(app)
    assert app.swagger_ui_init_oauth == {"clientId": "another"}


def test_another_app_client_may_be_swaggers(pool: LocalUserPool) -> None:
    config = pool.config(bearer=True, client_id=["local-client", "docs"])
    assert swagger(config, docs_client_id="docs")["clientId"] == "docs"


def test_a_client_with_a_secret_is_not_shown_to_swagger(pool: LocalUserPool) -> None:
    assert swagger(pool.config(bearer=True, client_secret="s" * 20)) is None


ONE = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs bearer=True"),
        ({"bearer": True}, "needs bearer=True and the domain="),
        ({"bearer": True, "domain": "auth.example.com"}, "add it to client_id"),
        (
            {
                "bearer": True,
                "domain": "auth.example.com",
                "client_id": "docs",
                "client_secret": "s",
            },
            "has a secret",
        ),
    ],
)
def test_a_docs_client_that_cannot_sign_in_is_an_error(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AmplifyAuth(AmplifyConfig(**{**ONE, **options}), docs_client_id="docs")


def test_several_pools_have_a_scheme_each() -> None:
    pools = [
        UserPool(
            user_pool_id=f"eu-west-1_{name}", client_id="web", domain=f"{name.lower()}.example.com"
        )
        for name in ("Aaaaaaaaa", "Bbbbbbbbb")
    ]
    app, auth = FastAPI(), AmplifyAuth(AmplifyConfig(pools=pools, bearer=True))

    @app.get("/", dependencies=[Depends(auth.user)])
    async def home() -> None: ...

    auth.init_app(app)
    schemes = app.openapi()["components"]["securitySchemes"]
    urls = {
        name: scheme["flows"]["authorizationCode"]["authorizationUrl"]
        for name, scheme in schemes.items()
        if "flows" in scheme
    }
    assert urls == {
        HOSTED: "https://aaaaaaaaa.example.com/oauth2/authorize",
        f"{HOSTED}.eu-west-1_Bbbbbbbbb": "https://bbbbbbbbb.example.com/oauth2/authorize",
    }
    validate(json.loads(json.dumps(app.openapi())), cls=OpenAPIV31SpecValidator)


def test_a_misspelt_need_is_told(auth: AmplifyAuth) -> None:
    with pytest.raises(TypeError, match=r"require\(\) has no 'group'; it has groups"):
        auth.require(group=["editors"])  # type: ignore[call-overload]


def test_an_app_in_place_of_the_configuration_is_told() -> None:
    with pytest.raises(ConfigurationError, match="init_app"):
        AmplifyAuth(FastAPI())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (
            lambda app, config: AmplifyAuth(app, config),
            r"auth.init_app\(app\).*got FastAPI, Amplify",
        ),
        (lambda app, config: AmplifyAuth(app, config, protect=["/*"]), r"auth.init_app\(app\)"),
        (lambda app, config: AmplifyAuth(config, app), r"auth.init_app\(app\)"),
        (lambda app, config: AmplifyAuth({"client_secret": "s3cret"}), "got dict$"),  # type: ignore[arg-type]
        (
            lambda app, config: AmplifyAuth(config).init_app(app, config),
            r"to AmplifyAuth\(config\)",
        ),
        (lambda app, config: AmplifyAuth(config).init_app(config), "got AmplifyConfig"),
        (lambda app, config: AmplifyAuth(config).init_app(Starlette()), "got Starlette"),  # type: ignore[arg-type]
    ],
)
def test_what_other_frameworks_write_is_told(write: Any, told: str, config: AmplifyConfig) -> None:
    with pytest.raises(ConfigurationError, match=told):
        write(FastAPI(), config)


def test_the_configuration_is_changed_for_the_app(config: AmplifyConfig) -> None:
    app = FastAPI()
    AmplifyAuth(config, protect=["/*"]).init_app(app)
    assert TestClient(app).get("/").status_code == 401
