"""Mistakes that teach: what the library says when it is not used as it has to be."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import litestar
import pytest
from asgiref.wsgi import WsgiToAsgi
from bottle import Bottle
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.testclient import TestClient
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
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.config.options import Options
from amplify_mw.stores import MemoryStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.mounts import apps as _  # sets Django up

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
            "the file"
        )

    def test_a_folder_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyConfig.from_env({"AMPLIFY_OUTPUTS": str(tmp_path / "web" / "outputs.json")})
        assert str(caught.value).endswith(
            f"the folder searched is {tmp_path / 'web'}, which does not exist; `npx ampx generate "
            "outputs` writes the file"
        )


def bare_asgi(name: str = "app") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    return app


def bare_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


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
    "middleware=[DefineMiddleware(AmplifyASGIMiddleware, config=config)]": [Litestar],
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


@pytest.fixture
def config() -> AmplifyConfig:
    return AmplifyConfig(**IDS)


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

        with pytest.raises(ConfigurationError, match="^AmplifyASGIMiddleware: config is missing"):
            Litestar([index], middleware=[AmplifyASGIMiddleware])  # type: ignore[list-item]
