"""Mistakes that teach: what the library says when it is not used as it has to be."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import litestar
import pytest
from asgiref.wsgi import WsgiToAsgi
from bottle import Bottle
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, re_path
from django.urls import path as django_path
from fastapi import APIRouter, FastAPI
from flask import Flask
from litestar import Litestar
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    SealedSession,
    StoredSession,
    TokenSession,
    UserPool,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.config.options import Options
from amplify_mw.engine.engine import Engine
from amplify_mw.stores import MemoryStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.mounts.apps import ask_asgi, ask_wsgi  # (Django is set up there)
from tests.sites import Build

IDS: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}


class TestOptions:
    @pytest.mark.parametrize(
        ("kind", "given", "mistyped", "meant"),
        [
            (AmplifyConfig, IDS, "protected", "protect"),
            (AmplifyConfig, IDS, "loginUrl", "login_url"),
            (UserPool, IDS, "endpoint", "endpoint_url"),
            (AuthRoutes, {"origin": "https://app.example.com"}, "after_signin", "after_sign_in"),
            (CookiePolicy, {}, "samesite", "same_site"),
            (CookiePolicy, {}, "httponly", "http_only"),
            (TokenSession, {}, "verify_with_cognito", "verify_with_cognito_every"),
            (SealedSession, {"keys": ["a" * 43]}, "key", "keys"),
            (StoredSession, {"store": MemoryStore()}, "max_bytes", "max_token_bytes"),
            (AmplifyCookies, {}, "samesite", "same_site"),
        ],
    )
    def test_the_nearest_option_is_named(
        self, kind: Any, given: dict[str, Any], mistyped: str, meant: str
    ) -> None:
        said = rf"^{kind.__name__} has no field '{mistyped}'; did you mean to write '{meant}'\?$"
        with pytest.raises(ConfigurationError, match=said):
            kind(**given, **{mistyped: 1})

    @pytest.mark.parametrize("make", [AmplifyConfig, AmplifyConfig.from_env])
    def test_it_is_named_however_a_configuration_is_made(self, make: Any) -> None:
        with pytest.raises(ConfigurationError, match="did you mean to write 'protect'"):
            make(**IDS, protected=["/account"])

    def test_all_are_named_if_none_is_near(self) -> None:
        with pytest.raises(ConfigurationError, match=r"no field 'zzz'; write one of name, max_age"):
            CookiePolicy(zzz=1)  # type: ignore[call-arg]

    def test_the_options_of_type_checkers_are_the_configurations(self) -> None:
        assert get_type_hints(Options) == {
            field.name: get_type_hints(AmplifyConfig)[field.name] for field in fields(AmplifyConfig)
        }

    def test_an_option_by_position_works_as_before(self) -> None:
        assert CookiePolicy("sid").name == "sid"
        assert TokenSession(60.0).verify_with_cognito_every == 60


class TestFiles:
    def test_the_folder_that_was_searched_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigurationError) as caught:
            AmplifyConfig.from_outputs("amplify_outputs.json")
        assert str(caught.value) == (
            "from_outputs: amplify_outputs.json cannot be read (No such file or directory); the "
            f"folder searched is {tmp_path}: write the whole path, such as "
            "Path(__file__).parent / 'amplify_outputs.json'; `npx ampx generate outputs` writes "
            "the file, and `amplify-mw pool` one without AWS"
        )

    def test_a_folder_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyConfig.from_env({"AMPLIFY_OUTPUTS": str(tmp_path / "web" / "outputs.json")})
        assert str(caught.value).endswith(
            f"the folder searched is {tmp_path / 'web'}, which does not exist; `npx ampx generate "
            "outputs` writes the file, and `amplify-mw pool` one without AWS"
        )


def bare_asgi(name: str = "app") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    return app


def bare_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


def bare_wsgi_answering(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


class Wrapper:
    """A middleware of the app's own, which says nothing of its kind."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *args: Any) -> Any:
        return self.app(*args)


class Quart:
    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


Quart.__module__ = "quart.app"
WAYS_ASGI = {
    "add_middleware(AmplifyASGIMiddleware, config=config)": [FastAPI, Starlette],
    "Litestar(..., plugins=[AmplifyPlugin(config)])": [Litestar],
    "app.asgi_app = AmplifyASGIMiddleware(app.asgi_app, config)": [Quart, lambda: Quart().asgi_app],
    "application = AmplifyASGIMiddleware(get_asgi_application(), config)": [get_asgi_application],
    "app = AmplifyASGIMiddleware(app, config)": [bare_asgi, lambda: WsgiToAsgi(bare_wsgi)],
}
WAYS_WSGI = {
    "app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)": [
        lambda: Flask("shop"),
        lambda: Flask("shop").wsgi_app,
    ],
    "application = AmplifyWSGIMiddleware(get_wsgi_application(), config)": [get_wsgi_application],
    "app = AmplifyWSGIMiddleware(app, config)": [Bottle, lambda: bare_wsgi],
}


def each(ways: dict[str, list[Any]]) -> list[Any]:
    return [(make, way) for way, makers in ways.items() for make in makers]


def configured(**options: Any) -> AmplifyConfig:
    """A configuration like no other: what equal ones have in common tells each mistake once."""
    return AmplifyConfig(**IDS, leeway=next(LEEWAYS) / 1000, **options)


LEEWAYS = count(1)


@pytest.fixture
def config() -> AmplifyConfig:
    return configured()


class TestKinds:
    @pytest.mark.parametrize(("make", "way"), each(WAYS_ASGI))
    def test_an_asgi_app_is_none_of_wsgi(self, config: AmplifyConfig, make: Any, way: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyWSGIMiddleware(make(), config)
        said = str(caught.value)
        assert said.startswith("AmplifyWSGIMiddleware is for WSGI apps, and ")
        assert "is one of ASGI: write `from amplify_mw.asgi import AmplifyASGIMiddleware`" in said
        assert f"{way}" in said

    @pytest.mark.parametrize(("make", "way"), each(WAYS_WSGI))
    def test_a_wsgi_app_is_none_of_asgi(self, config: AmplifyConfig, make: Any, way: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyASGIMiddleware(make(), config)
        said = str(caught.value)
        assert said.startswith("AmplifyASGIMiddleware is for ASGI apps, and ")
        assert "is one of WSGI: write `from amplify_mw.wsgi import AmplifyWSGIMiddleware`" in said
        assert f"`{way}`" in said

    def test_the_app_is_named(self, config: AmplifyConfig) -> None:
        with pytest.raises(ConfigurationError, match=r"and flask\.app\.Flask\.wsgi_app is one"):
            AmplifyASGIMiddleware(Flask("shop").wsgi_app, config)  # type: ignore[arg-type]

    def test_one_middleware_in_the_other(self, config: AmplifyConfig) -> None:
        with pytest.raises(ConfigurationError, match="is for ASGI apps"):
            AmplifyASGIMiddleware(AmplifyWSGIMiddleware(bare_wsgi, config), config)  # type: ignore[arg-type]

    @pytest.mark.parametrize("make", [Starlette, FastAPI])
    def test_the_wsgi_one_added_to_an_asgi_app(self, config: AmplifyConfig, make: Any) -> None:
        app = make()
        app.add_middleware(AmplifyWSGIMiddleware, config=config)
        with pytest.raises(ConfigurationError, match=r"add_middleware\(AmplifyASGIMiddleware, "):
            TestClient(app).get("/")

    @pytest.mark.parametrize(
        "app",
        [
            Wrapper(bare_wsgi),
            lambda *args: None,
            lambda one, two=2, three=3: None,
            Request.application(lambda request: Response("hello")),
            Starlette,  # a class: an ASGI 2 app is called with its scope
            type("Silent", (), {"__getattr__": lambda self, name: 1 / 0}),
            lambda scope: None,
        ],
    )
    @pytest.mark.parametrize("middleware", [AmplifyWSGIMiddleware, AmplifyASGIMiddleware])
    def test_an_app_of_unknown_kind_is_taken(
        self, config: AmplifyConfig, middleware: Any, app: Any
    ) -> None:
        assert middleware(app, config).app is app

    @pytest.mark.parametrize("by_name", [False, True])
    def test_the_app_may_be_given_by_name(self, config: AmplifyConfig, by_name: bool) -> None:
        for middleware, app in (
            (AmplifyWSGIMiddleware, bare_wsgi),
            (AmplifyASGIMiddleware, bare_asgi()),
        ):
            made: Any = middleware
            given = made(app=app, config=config) if by_name else made(app, config)
            assert given.app is app

    def test_litestar_gives_it_by_name(self, config: AmplifyConfig) -> None:
        @litestar.get("/", sync_to_thread=False)
        def index() -> str:
            return "hello"

        layer = DefineMiddleware(AmplifyASGIMiddleware, config=config)
        with LitestarClient(Litestar([index], middleware=[layer])) as client:
            assert client.get("/").text == "hello"


class TestWithoutConfig:
    @pytest.mark.parametrize("kind", ["wsgi", "asgi"])
    def test_in_djangos_middleware(self, kind: str) -> None:
        name = f"Amplify{kind.upper()}Middleware"
        make = {"wsgi": get_wsgi_application, "asgi": get_asgi_application}[kind]
        listed = ["django.middleware.common.CommonMiddleware", f"amplify_mw.{kind}.{name}"]
        with override_settings(MIDDLEWARE=listed), pytest.raises(ConfigurationError) as caught:
            make()
        assert str(caught.value) == (
            f"{name} is in Django's MIDDLEWARE, whose layers are inside Django: take it out, and "
            f"put it around Django in {kind}.py: `from amplify_mw.{kind} import {name}` and "
            f"`application = {name}(get_{kind}_application(), config)`"
        )

    def test_elsewhere(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyWSGIMiddleware(bare_wsgi)  # type: ignore[call-overload]
        assert str(caught.value) == (
            "AmplifyWSGIMiddleware: config is missing; write AmplifyWSGIMiddleware(app, config) or "
            "config=config, with config = AmplifyConfig.from_outputs('amplify_outputs.json')"
        )

    def test_bare_in_litestars_list(self) -> None:
        @litestar.get("/", sync_to_thread=False)
        def index() -> str:
            return "hello"

        with pytest.raises(ConfigurationError, match=r"^AmplifyASGIMiddleware: config is missing"):
            Litestar([index], middleware=[AmplifyASGIMiddleware])  # type: ignore[list-item]


Log = Callable[[], list[str]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The lines at WARNING, up to now."""
    with caplog.at_level("WARNING", "amplify_mw"):
        yield lambda: caplog.messages


def asked(app: Any, path: str = "/") -> None:
    """Ask an app of either kind twice."""
    for _ in range(2):
        if isinstance(app, AmplifyASGIMiddleware | Starlette):
            ask_asgi(app, path)
        else:
            ask_wsgi(app, path)


def view(request: Any = None, **values: Any) -> Any:
    return "hello"


def django_view(request: Any, **values: Any) -> Any:
    return HttpResponse("hello")


async def endpoint(request: Any) -> Any:
    return PlainTextResponse("hello")


def flask_app(*rules: str) -> Any:
    app = Flask("shop", static_folder=None)
    for rule in rules:
        app.add_url_rule(rule, rule, view)
    return app


def of_flask(config: AmplifyConfig, *rules: str) -> Any:
    app = Flask("shop", static_folder=None)
    app.wsgi_app = AmplifyWSGIMiddleware(ProxyFix(app.wsgi_app), config)  # type: ignore[method-assign]
    for rule in rules:  # as apps do: below the line above
        app.add_url_rule(rule, rule, view)
    return app


def of_bottle(config: AmplifyConfig, *rules: str) -> Any:
    app = Bottle()
    for rule in rules:
        app.route(rule, callback=view)
    return AmplifyWSGIMiddleware(app, config)


def of_starlette(config: AmplifyConfig, *rules: str) -> Any:
    paths = [rule.replace("<", "{").replace(">", "}") for rule in rules]
    return AmplifyASGIMiddleware(Starlette(routes=[Route(p, endpoint) for p in paths]), config)


def of_fastapi(config: AmplifyConfig, *rules: str) -> Any:
    app, router = FastAPI(openapi_url=None), APIRouter()
    app.add_middleware(AmplifyASGIMiddleware, config=config)
    for rule in rules:
        router.add_api_route(rule.replace("<", "{").replace(">", "}"), lambda: "hello")
    app.include_router(router)
    return app


def of_litestar(config: AmplifyConfig, *rules: str) -> Any:
    @litestar.get([rule.replace("<", "{").replace(">", ":str}") for rule in rules])
    async def index() -> str:
        return "hello"

    return AmplifyASGIMiddleware(
        Litestar([index], openapi_config=None, logging_config=None), config
    )


def of_django(config: AmplifyConfig, *rules: str) -> Any:
    ROUTED.urlpatterns = [django_path(rule[1:], django_view) for rule in rules]  # type: ignore[attr-defined]
    return AmplifyWSGIMiddleware(get_wsgi_application(), config)


ROUTED = ModuleType("routed")
FRAMEWORKS = [of_flask, of_bottle, of_starlette, of_fastapi, of_litestar, of_django]


@pytest.fixture
def _urls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "routed", ROUTED)
    with override_settings(ROOT_URLCONF="routed"):
        yield


@pytest.mark.usefixtures("_urls")
class TestPaths:
    RULES = ("/account", "/api/users/<name>", "/")

    @pytest.mark.parametrize("make", FRAMEWORKS)
    def test_a_path_that_no_route_has_is_told_once(self, log: Log, make: Any) -> None:
        asked(make(configured(protect=["/acount", "/admin/*", "/account"]), *self.RULES))
        assert log() == [
            "protect: the app has no route for '/acount', '/admin/*', so nothing is guarded by it; "
            "did you mean '/account'? (Paths are written as the app's own routes are; '/*' behind "
            "one covers all below it.)"
        ]

    @pytest.mark.parametrize("make", FRAMEWORKS)
    def test_a_path_that_a_route_may_have_is_not_told(self, log: Log, make: Any) -> None:
        patterns = ["/account", "/account/*", "/api/*", "/api/users/ada", "/api/users/ada/*", "/*"]
        asked(make(configured(protect=[*patterns, "/account/", "/api/users/*"]), *self.RULES))
        assert log() == []

    def test_a_mounted_app_may_have_any_path_below(self, log: Log) -> None:
        app = Starlette(routes=[Mount("/sub", bare_asgi()), Route("/", endpoint)])
        asked(AmplifyASGIMiddleware(app, configured(protect=["/sub/x", "/sab/y"])))
        assert len(log()) == 1
        assert log()[0].startswith("protect: the app has no route for '/sab/y', so")

    def test_an_app_in_a_wrapper_is_not_judged(self, log: Log) -> None:
        config = configured(protect=["/health"])
        asked(AmplifyWSGIMiddleware(Wrapper(flask_app("/account").wsgi_app), config))
        asked(AmplifyWSGIMiddleware(bare_wsgi_answering, config))
        assert log() == []

    def test_the_sign_in_routes_are_routes(self, log: Log) -> None:
        routes = AuthRoutes(origin="http://localhost:3000", keys=[bytes(32)])
        options = {"routes": routes, "domain": "auth.example.com", "protect": ["/auth/*"]}
        asked(of_flask(configured(**options), "/account"))
        assert log() == []

    def test_a_mount_in_the_apps_own_routes(self, log: Log) -> None:
        config = configured(protect=["/account"], mount="/prod")
        asked(of_flask(config, "/prod/account"))
        assert log() == []

    def test_djangos_routes_are_waited_for(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        app = of_django(configured(protect=["/acount"]), "/account")
        monkeypatch.delitem(sys.modules, "routed")
        app._rules.of("/")
        assert log() == []
        monkeypatch.setitem(sys.modules, "routed", ROUTED)
        app._rules.of("/")
        assert len(log()) == 1

    @pytest.mark.parametrize(
        ("regex", "pattern", "is_told"),
        [
            (r"^account/(?P<id>\d+)$", "/account/7", False),
            (r"^account/(?P<id>\d+)$", "/acount/7", True),
            (r"^accounts?/$", "/account", False),
            (r"^(a|b)/$", "/b", False),
            (r"^a/|^b/", "/b", False),
        ],
    )
    def test_expressions_of_django(self, log: Log, regex: str, pattern: str, is_told: bool) -> None:
        app = of_django(configured(protect=[pattern]))
        ROUTED.urlpatterns = [re_path(regex, view)]  # type: ignore[attr-defined]
        app._rules.of("/")
        assert bool(log()) is is_told

    def test_includes_of_django(self, log: Log) -> None:
        app = of_django(configured(protect=["/shop/cart", "/shop/card"]))
        ROUTED.urlpatterns = [django_path("shop/", include([django_path("cart", view)]))]  # type: ignore[attr-defined]
        app._rules.of("/")
        assert [line.partition(",")[0] for line in log()] == [
            "protect: the app has no route for '/shop/card'"
        ]

    def test_routes_that_cannot_be_read_are_no_error(self, log: Log) -> None:
        app = Flask("shop")
        app.url_map = None  # type: ignore[assignment]
        AmplifyWSGIMiddleware(app.wsgi_app, configured(protect=["/a"]))._rules.of("/")  # type: ignore[union-attr]
        assert log() == []


class TestRequireAuth:
    def test_above_a_route_of_flask(self, log: Log, config: AmplifyConfig) -> None:
        app = of_flask(config)

        @require_auth
        @app.route("/account")
        def account() -> str:
            return "hello"

        @app.route("/fine")
        @require_auth
        def fine() -> str:
            return "hello"

        asked(app)
        assert log() == [
            "@require_auth guards nothing at TestRequireAuth.test_above_a_route_of_flask.<locals>."
            "account (/account): it stands above the route's decorator, which has registered the "
            "function without it. Write it right above the function, below the route's decorator"
        ]

    def test_above_a_route_of_fastapi(self, log: Log, config: AmplifyConfig) -> None:
        app = FastAPI()
        app.add_middleware(AmplifyASGIMiddleware, config=config)

        @require_auth(groups=["editors"])
        @app.get("/account")
        async def account() -> str:
            return "hello"

        asked(app)
        assert len(log()) == 1
        assert "account (/account)" in log()[0]

    def test_above_a_route_of_bottle(self, log: Log, config: AmplifyConfig) -> None:
        app = Bottle()

        @require_auth
        @app.get("/account")
        def account() -> str:
            return "hello"

        asked(AmplifyWSGIMiddleware(app, config))
        assert len(log()) == 1
        assert "account (/account)" in log()[0]

    def test_a_function_with_and_without_a_guard(self, log: Log, config: AmplifyConfig) -> None:
        app = of_flask(config)

        @app.route("/preview")
        def page() -> str:
            return "hello"

        app.add_url_rule("/whole", "whole", require_auth(page))
        asked(app)
        assert log() == []

    def test_twice_in_the_right_place(self, log: Log, config: AmplifyConfig) -> None:
        app = of_flask(config)

        @app.route("/account")
        @require_auth(groups=["editors"])
        @require_auth
        def account() -> str:
            return "hello"

        asked(app)
        assert log() == []


class TestCircle:
    def test_flask_around_itself(self, config: AmplifyConfig) -> None:
        app = flask_app("/")
        app.wsgi_app = AmplifyWSGIMiddleware(app, config)
        with pytest.raises(ConfigurationError) as caught:
            app.test_client().get("/")
        assert str(caught.value) == (
            "app.wsgi_app = AmplifyWSGIMiddleware(app, config) calls itself without end; write "
            "app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)"
        )

    def test_around_the_whole_of_flask_it_works(self, log: Log, config: AmplifyConfig) -> None:
        assert ask_wsgi(AmplifyWSGIMiddleware(flask_app("/"), config), "/").status == 200
        assert log() == []


class TestAnyClient:
    def test_an_unset_variable_is_warned_of_once(self, log: Log) -> None:
        pool_id = "eu-west-1_AnyClient"
        unset = os.environ.get("CLIENT_ID_OF_NO_APP")
        for protect in ((), ("/a",)):
            Engine(AmplifyConfig(user_pool_id=pool_id, client_id=unset, protect=protect))
        assert log() == [
            f"client_id=None: tokens of every app client of {pool_id} are accepted. If it is meant "
            "to come from an environment variable, that one is not set: os.environ['...'] says "
            "so, where os.environ.get('...') gives None. To accept some clients, write "
            "client_id=['...', '...']"
        ]

    def test_a_client_is_not_warned_of(self, log: Log, config: AmplifyConfig) -> None:
        Engine(config)
        assert log() == []


BROWSER = {"User-Agent": "Mozilla/5.0 (X11)", "Host": "app.example.com"}
HTTPS = {"Sec-Fetch-Site": "same-origin"}  # which browsers send over https, and to this machine


class TestPlainHttp:
    @pytest.mark.parametrize("more", [{}, {"X-Forwarded-Proto": "http", "Via": "1.1 proxy"}])
    def test_a_secure_cookie_is_told_once(
        self, build: Build, log: Log, more: dict[str, str]
    ) -> None:
        site = build("sealed")
        for _ in range(2):
            site.browser().does(site.start(site.pool.sign_in("ada")), headers=BROWSER | more)
        assert log() == [
            "a session's cookie is set over plain http, at 'app.example.com', and browsers drop it "
            "there, since it is Secure: serve the site over https, or open it as http://localhost "
            "in development; cookie=CookiePolicy(secure=False), or AmplifyCookies(secure=False), "
            "sends sessions in the clear"
        ]

    @pytest.mark.parametrize(
        "more",
        [
            HTTPS,
            {"X-Forwarded-Proto": "https"},
            {"X-Forwarded-For": "192.0.2.7"},  # a proxy that does not say how it was asked
            {"Forwarded": "for=192.0.2.7;proto=https"},
            {"Host": "localhost:5000"},
            {"Host": "[::1]:5000"},
            {"Host": "127.0.0.1"},
            {"User-Agent": "curl/8"},
        ],
        ids=str,
    )
    def test_what_may_be_https_is_not_told(
        self, build: Build, log: Log, more: dict[str, str]
    ) -> None:
        site = build("sealed")
        site.browser().does(site.start(site.pool.sign_in("ada")), headers=BROWSER | more)
        assert log() == []

    def test_a_cookie_for_plain_http_is_not_told(self, build: Build, log: Log) -> None:
        site = build("sealed", cookie=CookiePolicy(secure=False))
        site.browser().does(site.start(site.pool.sign_in("ada")), headers=BROWSER)
        assert log() == []

    def test_a_cleared_cookie_is_not_told(self, build: Build, log: Log) -> None:
        site = build("sealed")
        browser = site.sign_in()
        browser.does(site.end(), headers=BROWSER)
        assert (log(), browser.jar) == ([], {})


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "sent", "found"),
        [
            ("http://localhost:3000", {"Host": "localhost:5000"}, "http://localhost:5000"),
            ("http://localhost:3000", {"Host": "127.0.0.1:5000"}, "http://127.0.0.1:5000"),
            (
                "https://app.example.com",
                {**HTTPS, "Referer": "https://www.example.com/a", "Host": "app:8000"},
                "https://www.example.com",
            ),
            (
                "https://app.example.com",
                {**HTTPS, "Referer": "https://app.example.com:8443/a"},
                "https://app.example.com:8443",
            ),
        ],
    )
    def test_a_sign_in_at_another_origin_is_told_once(
        self, build: Build, log: Log, origin: str, sent: dict[str, str], found: str
    ) -> None:
        site = build(routes=AuthRoutes(origin=origin, keys=[bytes(32)]))
        for _ in range(2):
            assert site.browser().does(path="/auth/sign-in", headers=sent).status == 303
        assert [line for line in log() if "is on this machine" not in line] == [
            f"a sign-in begins at '{found}', and AuthRoutes sends browsers to its origin, "
            f"'{origin}', afterwards: open the site there alone, or, if the first is the site's "
            "own address, correct AuthRoutes(origin=...)"
        ]

    @pytest.mark.parametrize(
        ("origin", "sent"),
        [
            ("http://localhost:3000", {"Host": "localhost:3000"}),
            ("http://localhost", {"Host": "localhost:80"}),
            ("http://localhost:3000", {**HTTPS, "Referer": "http://localhost:3000/a"}),
            # A proxy may have written this.
            ("https://app.example.com", {"Host": "127.0.0.1:8000"}),
            ("http://localhost:3000", {"Host": "app:5000"}),
            (
                "http://localhost:3000",
                {**HTTPS, "Referer": "http://localhost:3000/", "Host": "localhost:5000"},
            ),
            ("https://app.example.com", {**HTTPS, "Referer": "https://APP.example.com:443/a"}),
            # Of another site's page.
            (
                "https://app.example.com",
                {"Sec-Fetch-Site": "cross-site", "Referer": "https://b.example/"},
            ),
            ("https://app.example.com", {**HTTPS, "Referer": "about:blank"}),
            ("http://localhost:3000", {"Host": "[:::::]:99999"}),
        ],
    )
    def test_the_same_origin_is_not_told(
        self, build: Build, log: Log, origin: str, sent: dict[str, str]
    ) -> None:
        site = build(routes=AuthRoutes(origin=origin, keys=[bytes(32)]))
        site.browser().does(path="/auth/sign-in", headers=sent)
        assert [line for line in log() if "is on this machine" not in line] == []
