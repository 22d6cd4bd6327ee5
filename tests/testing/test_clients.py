"""`SignedInClients`: a user's test client of an app, through the app's own middleware."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from flask import Flask, request, session
from flask.testing import FlaskClient
from litestar import Litestar, get
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as AppClient

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    SealedSession,
    SessionTooLargeError,
    StoredSession,
    TokenSession,
    UserPool,
    aio,
    end_session,
    fetch_auth_session,
    fetch_user_attributes,
    get_claim,
    get_current_user,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool, SignedInClients, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE

AMAZONS = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": ["web", "app"]}
KINDS: dict[str, Any] = {
    "token": TokenSession,
    "sealed": lambda: SealedSession(keys=[b"k" * 32]),
    "stored": lambda: StoredSession(MemoryStore()),
    "amplify": AmplifyCookies,
    "asks Cognito": lambda: TokenSession(verify_with_cognito_every=60),
    "several": lambda: [StoredSession(MemoryStore()), TokenSession()],
}


@pytest.fixture
def clients() -> Iterator[SignedInClients]:
    with SignedInClients() as clients:
        yield clients


@pytest.fixture(params=KINDS)
def config(request: pytest.FixtureRequest) -> AmplifyConfig:
    """A site in production, with each kind of session."""
    kind = KINDS[request.param]()
    cookie = {} if request.param == "amplify" else {"cookie": CookiePolicy.host_prefixed()}
    return AmplifyConfig(**AMAZONS, session=kind, protect=["/private/*"], **cookie)


def production(**options: Any) -> AmplifyConfig:
    return AmplifyConfig(**AMAZONS, **options)


def flask_app(config: AmplifyConfig) -> Flask:
    app = bare_flask()
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)  # type: ignore[method-assign]
    return app


def bare_flask() -> Flask:
    app = Flask(__name__)
    handle_auth_errors(app)

    @app.get("/private/me")
    def me() -> dict[str, Any]:
        user = get_current_user()
        return {"name": user.username, "groups": user.groups, **fetch_user_attributes()}

    @app.get("/claims/<name>")
    def claim(name: str) -> dict[str, Any]:
        return {"claim": get_claim(name)}

    @app.get("/fresh")
    @require_auth(fresh=600, acr="urn:mfa")
    def fresh() -> str:
        return "fresh"

    @app.post("/out")
    def out() -> str:
        end_session()
        return "out"

    return app


def starlette_app(config: AmplifyConfig) -> Starlette:
    async def me(request: Request) -> Response:
        return PlainTextResponse((await aio.get_current_user()).username)

    return Starlette(
        routes=[Route("/private/me", me)],
        middleware=[Middleware(AmplifyASGIMiddleware, config=config)],
    )


class TestEachFramework:
    def test_flask(self, clients: SignedInClients, config: AmplifyConfig) -> None:
        app = flask_app(config)
        ada = clients.flask(app, "ada", groups=["editors"], email="ada@example.com")
        assert isinstance(ada, FlaskClient)
        found = ada.get("/private/me").json
        assert found is not None
        assert (found["name"], found["groups"]) == ("ada", ["editors"])
        assert found["email"] == "ada@example.com"
        assert clients.flask(app).get("/private/me").status_code == 401
        assert ada.post("/out").text == "out"
        assert ada.get("/private/me").status_code == 401

    def test_a_flask_app_inside_of_the_middleware(
        self, clients: SignedInClients, config: AmplifyConfig
    ) -> None:
        app = ProxyFix(AmplifyWSGIMiddleware(bare_flask(), config))
        assert clients.flask(app, "ada").get("/private/me").json["name"] == "ada"  # type: ignore[index]
        assert clients.flask(app).get("/private/me").status_code == 401

    def test_starlette(self, clients: SignedInClients, config: AmplifyConfig) -> None:
        app = starlette_app(config)
        with clients.starlette(app, "ada") as client:
            assert client.get("/private/me").text == "ada"
        assert clients.starlette(app).get("/private/me").status_code == 401

    def test_fastapi_with_a_socket(self, clients: SignedInClients) -> None:
        app = FastAPI()

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text((await aio.get_current_user()).username)

        wrapped = AmplifyASGIMiddleware(app, production(cookie=CookiePolicy.host_prefixed()))
        client = clients.fastapi(wrapped, "ada")
        with client.websocket_connect("/socket") as websocket:
            assert websocket.receive_text() == "ada"

    def test_httpx_of_an_asgi_app(self, clients: SignedInClients, config: AmplifyConfig) -> None:
        app = starlette_app(config)

        async def visit() -> list[str]:
            async with clients.httpx(app, "ada") as ada, clients.httpx(app) as visitor:
                answers = await ada.get("/private/me"), await visitor.get("/private/me")
                return [answers[0].text, str(answers[1].status_code)]

        assert asyncio.run(visit()) == ["ada", "401"]

    def test_httpx_of_a_wsgi_app(self, clients: SignedInClients, config: AmplifyConfig) -> None:
        app = flask_app(config)
        with clients.httpx(app, "ada") as ada, clients.httpx(app) as visitor:
            assert ada.get("/private/me").json()["name"] == "ada"
            assert visitor.get("/private/me").status_code == 401

    def test_any_wsgi_app(self, clients: SignedInClients, config: AmplifyConfig) -> None:
        app = AmplifyWSGIMiddleware(bare_flask(), config)
        assert clients.wsgi(app, "ada").get("/private/me").json["name"] == "ada"  # type: ignore[index]
        assert clients.wsgi(app).get("/private/me").status_code == 401

    def test_a_client_of_another_framework(
        self, clients: SignedInClients, config: AmplifyConfig
    ) -> None:
        """Litestar makes a middleware for each route."""

        @get("/private/me")
        async def me() -> str:
            return (await aio.get_current_user()).username

        @get("/private/other")
        async def other() -> str:
            return (await aio.get_current_user()).username

        app = Litestar(
            [me, other], middleware=[DefineMiddleware(AmplifyASGIMiddleware, config=config)]
        )
        with LitestarClient(app, "https://shop.example.com") as client:
            client.cookies.update(clients.cookies(app, "ada"))
            assert client.get("/private/me").text == client.get("/private/other").text == "ada"


class TestThePool:
    def test_an_app_gets_its_own_pool_back(self) -> None:
        app = flask_app(production(bearer=True))
        middleware: Any = app.wsgi_app
        before = dict(vars(middleware))
        with SignedInClients() as clients:
            assert clients.flask(app, "ada").get("/private/me").status_code == 200
            config = clients.point(app)
            assert config.user_pools[0].api_url == f"{clients.pool.url}/"
            assert config.bearer
        assert dict(vars(middleware)) == before
        assert middleware.engine.authenticator.config == production(bearer=True)

    def test_each_test_has_users_of_its_own(self) -> None:
        app = flask_app(production())
        ids = []
        for _ in range(2):
            with SignedInClients() as clients:
                ids.append(clients.flask(app, "ada").get("/private/me").json["sub"])  # type: ignore[index]
        assert ids[0] != ids[1]

    def test_an_app_of_this_pool_stays_as_it_is(self) -> None:
        with LocalUserPool() as pool:
            app = flask_app(pool.config())
            engine = app.wsgi_app.engine  # type: ignore[attr-defined]
            with SignedInClients(pool) as clients:
                assert clients.flask(app, "ada").get("/private/me").status_code == 200
            assert app.wsgi_app.engine is engine  # type: ignore[attr-defined]
            assert pool.jwks()  # it was not made here, and goes on

    def test_of_several_pools_the_first_is_replaced(self, clients: SignedInClients) -> None:
        other = UserPool(user_pool_id="eu-west-1_Other0000", client_id="web")
        app = flask_app(AmplifyConfig(pools=[UserPool(**AMAZONS), other]))
        assert clients.flask(app, "ada").get("/private/me").status_code == 200
        assert clients.point(app).user_pools[1] == other

    def test_the_log_warns_of_no_pool_of_a_test(
        self, clients: SignedInClients, caplog: pytest.LogCaptureFixture
    ) -> None:
        routes = AuthRoutes(origin="https://shop.example.com", keys=[b"r" * 32])
        app = flask_app(production(routes=routes, domain="auth.example.com"))
        caplog.clear()
        assert clients.flask(app, "ada").get("/private/me").status_code == 200
        assert caplog.messages == []

    def test_the_hosted_sign_in_is_the_pools(self, clients: SignedInClients) -> None:
        site = "https://shop.example.com"
        routes = AuthRoutes(
            origin=site, keys=[b"r" * 32], redirect_sign_in=[f"{site}/auth/sign-in-callback"]
        )
        app = flask_app(production(routes=routes, domain="auth.example.com"))
        client = clients.flask(app)
        clients.pool.add_user("ada")
        leaving = client.get("/auth/sign-in?next=/private/me").location
        assert leaving is not None
        back = client.get(clients.pool.authorize(leaving, "ada").removeprefix(site))
        assert back.status_code in (200, 303)
        assert client.get("/private/me").json["name"] == "ada"  # type: ignore[index]

    def test_options_change_until_the_end(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        clients.point(app, session=StoredSession(MemoryStore()), protect=["/claims/*"])
        assert clients.flask(app).get("/claims/sub").status_code == 401
        assert len(clients.cookies(app, "ada")["amplify-session"]) < 100

    def test_a_site_on_this_machine_gets_its_secure_cookie(self, clients: SignedInClients) -> None:
        app = starlette_app(production(origins=["http://localhost:8000"]))
        assert clients.starlette(app, "ada").get("/private/me").text == "ada"


class TestTheUser:
    def test_a_user_has_the_claims_of_the_tokens(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        client = clients.flask(app, "ada", claims={"tenant": "a1"}, sub="0f3c", acr="urn:mfa")
        assert client.get("/claims/tenant").json == {"claim": "a1"}
        assert client.get("/claims/sub").json == {"claim": "0f3c"}
        assert client.get("/fresh").text == "fresh"

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_sign_in_may_be_long_ago(self, clients: SignedInClients, kind: str) -> None:
        app = flask_app(production(session=KINDS[kind]()))
        client = clients.flask(app, "ada", acr="urn:mfa", auth_time=time.time() - 3600)
        assert client.get("/fresh").status_code == 401
        assert client.get("/private/me").status_code == 200

    def test_access_tokens_are_for_the_audience(self, clients: SignedInClients) -> None:
        for kind in (TokenSession(), SealedSession(keys=[b"k" * 32])):
            app = flask_app(production(session=kind, audience="https://orders.example.com"))
            assert clients.flask(app, "ada").get("/private/me").status_code == 200

    def test_one_user_has_several_clients(self, clients: SignedInClients) -> None:
        app = flask_app(production(session=StoredSession(MemoryStore())))
        phone = clients.flask(app, "ada", groups=["editors"])
        laptop = clients.flask(app, "ada", groups=["editors"])
        bare = clients.flask(app, "ada")
        assert phone.post("/out").status_code == 200
        assert phone.get("/private/me").status_code == 401
        assert laptop.get("/private/me").json == bare.get("/private/me").json

    def test_a_user_of_the_pool_keeps_the_rest(self, clients: SignedInClients) -> None:
        user = clients.pool.add_user("ada", "a password", groups=["admins"], name="Ada")
        app = flask_app(production())
        found = clients.flask(app, "ada", email="ada@example.com").get("/private/me").json
        assert found is not None
        assert (found["groups"], found["name"]) == (["admins"], "Ada")
        assert (found["sub"], found["email"]) == (user.sub, "ada@example.com")
        found = clients.flask(app, "ada", groups=[]).get("/private/me").json
        assert found is not None
        assert (found["groups"], found["email"]) == ([], "ada@example.com")
        with pytest.raises(ValueError, match="with a sub of its own"):
            clients.flask(app, "ada", sub="another")

    def test_several_users_share_one_app(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        both = [clients.flask(app, name) for name in ("ada", "grace")]
        assert [one.get("/private/me").json["name"] for one in both] == ["ada", "grace"]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"groups": "editors"}, "groups is a list; write groups=\\['editors'\\]"),
            ({"name": 3}, "the attribute 'name' is text"),
            ({"group": ["editors"]}, "there is no option 'group'.* groups, attributes, claims"),
            ({"acr": ["urn:mfa"]}, "acr is one text"),
            ({"auth_time": timedelta(hours=1)}, "auth_time is in seconds since the epoch"),
        ],
    )
    def test_a_wrong_type_is_told(
        self, clients: SignedInClients, wrong: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(TypeError, match=f"amplify_client: {said}"):
            clients.flask(flask_app(production()), "ada", **wrong)

    def test_groups_of_nobody_are_told(self, clients: SignedInClients) -> None:
        with pytest.raises(TypeError, match="groups: of whom"):
            clients.flask(flask_app(production()), groups=["editors"])


class TestSurroundings:
    def test_a_client_can_be_made_in_an_event_loop(self, clients: SignedInClients) -> None:
        async def visit() -> str:
            async with clients.httpx(starlette_app(production()), "ada") as client:
                return (await client.get("/private/me")).text

        assert asyncio.run(visit()) == "ada"

    def test_a_client_can_be_made_as_another_user(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        with signed_in("grace"):
            client = clients.flask(app, "ada")
        assert client.get("/private/me").json["name"] == "ada"  # type: ignore[index]

    def test_a_middleware_of_the_apps_own_class(self, clients: SignedInClients) -> None:
        class Own(AmplifyWSGIMiddleware):
            def __init__(self, app: Any) -> None:
                super().__init__(app, production())
                self.extra = "kept"

        app = bare_flask()
        app.wsgi_app = Own(app.wsgi_app)  # type: ignore[method-assign]
        assert clients.flask(app, "ada").get("/private/me").status_code == 200
        assert app.wsgi_app.extra == "kept"

    def test_a_test_client_class_of_the_apps_own(self, clients: SignedInClients) -> None:
        class Own(FlaskClient):
            pass

        app = flask_app(production())
        app.test_client_class = Own
        client = clients.flask(app, "ada")
        assert isinstance(client, Own)
        with client:
            assert client.get("/private/me").status_code == 200
            assert request.url == "https://localhost/private/me"

    def test_flasks_session_is_at_the_same_address(self, clients: SignedInClients) -> None:
        app = flask_app(production(origins=["https://shop.example.com"]))
        app.secret_key = "for this test"
        app.get("/cart")(lambda: {"cart": session.get("cart"), "of": get_current_user().username})
        client = clients.flask(app, "ada")
        with client.session_transaction() as cart:
            cart["cart"] = ["tea"]
        assert client.get("/cart").json == {"cart": ["tea"], "of": "ada"}

    def test_another_address_is_the_tests_own_affair(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        client = clients.flask(app, "ada")
        assert client.get("/private/me").request.url == "https://localhost/private/me"
        elsewhere = client.get("/private/me", base_url="https://elsewhere.example.com")
        assert elsewhere.status_code == 401

    @pytest.mark.parametrize(
        ("app", "line"),
        [
            (Flask("shop"), "app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)"),
            (FastAPI(), "app.add_middleware(AmplifyASGIMiddleware, config=config)"),
            (lambda environ, start_response: [], "app = AmplifyWSGIMiddleware(app, config)"),
        ],
        ids=["flask", "fastapi", "wsgi"],
    )
    def test_an_app_without_a_middleware_is_told_its_line(
        self, clients: SignedInClients, app: Any, line: str
    ) -> None:
        with pytest.raises(ConfigurationError) as told:
            clients.cookies(app, "ada")
        assert line in str(told.value)

    def test_flasks_client_is_for_flask(self, clients: SignedInClients) -> None:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            return []

        with pytest.raises(ConfigurationError, match=r"amplify_client\.wsgi"):
            clients.flask(AmplifyWSGIMiddleware(app, production()), "ada")

    def test_what_fails_in_the_middleware_is_told(self, clients: SignedInClients) -> None:
        app = flask_app(production())
        with pytest.raises(SessionTooLargeError):
            clients.flask(app, "ada", attributes={"custom:long": "x" * 20_000})

    def test_no_repr_shows_a_cookie(self, clients: SignedInClients) -> None:
        from amplify_mw.testing.clients.cookies import Cookie

        assert "secret" not in repr(Cookie.of("sid=secret; Path=/"))

    def test_the_session_of_an_app_is_the_tests_to_ask(self, clients: SignedInClients) -> None:
        app = flask_app(production(session=KINDS["stored"]()))
        app.get("/tokens")(lambda: {"scopes": str(bool(fetch_auth_session().tokens))})
        assert clients.flask(app, "ada").get("/tokens").json == {"scopes": "True"}


class TestServers:
    @pytest.mark.parametrize("make", [flask_app, starlette_app], ids=["wsgi", "asgi"])
    def test_an_app_is_served_until_the_end(self, make: Any) -> None:
        routes = AuthRoutes(origin="https://shop.example.com", keys=[b"r" * 32])
        app = make(production(routes=routes, domain="auth.example.com", protect=["/private/*"]))
        with SignedInClients() as clients:
            url = clients.serve(app)
            assert clients.serve(app) == url
            cookies = clients.cookies(app, "ada")
            head = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
            assert "ada" in httpx2.get(f"{url}/private/me", headers=head, timeout=PATIENCE).text
            assert httpx2.get(f"{url}/private/me", timeout=PATIENCE).status_code == 401
            moved = clients.point(app).routes
            assert moved is not None
            assert moved.callback_url == f"{url}/auth/sign-in-callback"
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(url, timeout=PATIENCE)

    def test_a_browser_gets_all_of_a_cookie(self, clients: SignedInClients) -> None:
        class Context:
            cookies: list[Any]

            def add_cookies(self, cookies: list[Any]) -> None:
                self.cookies = cookies

        app = flask_app(production(cookie=CookiePolicy.host_prefixed()))
        context = clients.browser(Context(), app, "ada", url="http://127.0.0.1:8000")
        (cookie,) = context.cookies
        assert cookie.pop("value")
        assert cookie == {
            "name": "__Host-amplify-session",
            "domain": "127.0.0.1",
            "path": "/",
            "secure": True,
            "httpOnly": True,
            "sameSite": "Strict",
        }
        assert clients.browser(Context(), app, url="http://127.0.0.1:8000").cookies == []

    def test_an_app_in_another_process_is_known_by_its_configuration(
        self, clients: SignedInClients
    ) -> None:
        config = clients.pool.config(session=KINDS["stored"](), cookie=CookiePolicy(secure=False))
        with LocalUserPool() as another:
            elsewhere = another.config()
        url = "http://127.0.0.1:8000"
        (cookie,) = clients.browser_cookies(config, "ada", url=url)
        client = AppClient(AmplifyWSGIMiddleware(bare_flask(), config))
        client.set_cookie(cookie["name"], cookie["value"])
        assert client.get("/private/me").status_code == 200
        assert clients.point(elsewhere).user_pools == config.user_pools

    def test_a_domain_of_another_site_is_left_out(self, clients: SignedInClients) -> None:
        app = flask_app(production(cookie=CookiePolicy(domain="example.com")))
        (there,) = clients.browser_cookies(app, "ada", url="https://www.example.com")
        (here,) = clients.browser_cookies(app, "ada", url="http://127.0.0.1:8000")
        assert (there["domain"], here["domain"]) == (".example.com", "127.0.0.1")
