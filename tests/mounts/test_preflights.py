"""CORS preflights: no protected view runs for nobody, and a CORS layer can still answer."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from bottle import Bottle
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from fastapi import FastAPI
from flask import Flask
from flask_cors import CORS
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from amplify_mw import AmplifyConfig, ConfigurationError
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.log import Once
from amplify_mw.shell import notices
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.mounts.apps import Wrapped, ask_asgi, ask_wsgi

SITE = "https://front.example"
ASKED = {"Origin": SITE, "Access-Control-Request-Method": "DELETE"}
ALLOW = "access-control-allow-origin"
RAN: list[str] = []
METHODS = ["GET", "DELETE", "OPTIONS"]


def export() -> str:
    """A view that looks at no method."""
    RAN.append("ran")
    return "id,email"


async def _export(request: Any) -> PlainTextResponse:
    return PlainTextResponse(export())


urlpatterns = [django_path("export", lambda request: HttpResponse(export()))]


def config(**options: Any) -> AmplifyConfig:
    given = {"protect": ["/export"], "user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}
    return AmplifyConfig(**given | options)


def starlette() -> Starlette:
    return Starlette(routes=[Route("/export", _export, methods=METHODS)])


def bottle() -> Bottle:
    app = Bottle()
    app.route("/export", method="ANY", callback=export)
    return app


def flask(*methods: str) -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/export", "export", export, methods=methods or ("GET", "DELETE"))
    return app


def plain(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [export().encode()]


def django() -> Any:
    return get_wsgi_application()


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(export())(scope, receive, send)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process; and a Django with the view."""
    monkeypatch.setattr(notices, "_IN_THIS_PROCESS", Once())
    RAN.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


def preflight(app: Any, **more: str) -> Any:
    """What a browser's question is answered with; header names in lower case."""
    headers = ASKED | more
    if isinstance(app, AmplifyWSGIMiddleware):
        names = {"HTTP_" + name.upper().replace("-", "_"): text for name, text in headers.items()}
        got = ask_wsgi(app, "/export", REQUEST_METHOD="OPTIONS", **names)
    else:
        got = ask_asgi(app, "/export", method="OPTIONS", headers=headers)
    return got._replace(headers={name.lower(): text for name, text in got.headers.items()})


WSGI = {
    "plain": lambda: plain,
    "bottle": bottle,
    "flask": lambda: flask("OPTIONS"),
    "django": django,
}
ASGI = {"plain": lambda: plain_asgi, "starlette": starlette}


@pytest.mark.parametrize("name", [*(f"wsgi {n}" for n in WSGI), *(f"asgi {n}" for n in ASGI)])
def test_no_view_runs_for_nobody(name: str, pool: LocalUserPool) -> None:
    kind, _, which = name.partition(" ")
    wrap = AmplifyWSGIMiddleware if kind == "wsgi" else AmplifyASGIMiddleware
    app = (WSGI if kind == "wsgi" else ASGI)[which]()
    guarded = wrap(app, pool.config(protect=["/export"]))
    got = preflight(guarded)
    assert (got.status, got.body, RAN) == (204, "", [])
    assert not [header for header in got.headers if header.startswith("access-control")]
    assert "content-length" not in got.headers  # RFC 9110 8.6
    for cookie in ("amplify-session=junk", f"amplify-session={pool.mint('ada', expires_in=-60)}"):
        assert preflight(guarded, Cookie=cookie).status == 204
    assert RAN == []
    cookie = f"amplify-session={pool.mint('ada')}"
    assert preflight(guarded, Cookie=cookie).body == "id,email"
    assert RAN == ["ran"]


def test_an_open_path_is_the_apps() -> None:
    assert preflight(AmplifyWSGIMiddleware(plain, config(protect=["/other"]))).body == "id,email"


def test_a_view_read_under_another_mount_is_withheld_too() -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        scope["root_path"] = "/api"
        await plain_asgi(scope, receive, send)

    app = AmplifyASGIMiddleware(late, config())
    got = ask_asgi(app, "/api/export", method="OPTIONS", headers=ASKED)
    assert (got.status, got.body) == (204, "")


# --- CORS layers


def cors(app: Any) -> Any:
    return CORSMiddleware(app, allow_origins=[SITE], allow_methods=["*"])


def test_a_layer_outside_answers_by_itself() -> None:
    app = cors(AmplifyASGIMiddleware(starlette(), config()))
    got = preflight(app)
    assert (got.status, got.headers[ALLOW], RAN) == (200, SITE, [])
    asked = ask_asgi(app, "/export", headers={"Origin": SITE})
    assert (asked.status, asked.headers[ALLOW]) == (401, SITE)  # a page may read why


def test_a_layer_that_is_added_last_is_outside() -> None:
    app = FastAPI(routes=[Route("/export", _export, methods=METHODS)])
    app.add_middleware(AmplifyASGIMiddleware, config=config())
    app.add_middleware(CORSMiddleware, allow_origins=[SITE], allow_methods=["*"])
    got = preflight(app)
    assert (got.status, got.headers[ALLOW], RAN) == (200, SITE, [])


def test_a_layer_inside_answers_where_that_is_said() -> None:
    app = AmplifyASGIMiddleware(cors(starlette()), config(preflight="app"))
    got = preflight(app)
    assert (got.status, got.headers[ALLOW], RAN) == (200, SITE, [])
    site = flask()
    CORS(site, origins=[SITE])
    got = preflight(AmplifyWSGIMiddleware(site, config(preflight="app")))
    assert (got.status, got.headers[ALLOW], RAN) == (200, SITE, [])


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "amplify_mw"]


def inside_added() -> Any:
    app = starlette()
    app.add_middleware(CORSMiddleware, allow_origins=[SITE])
    return app


def flask_cors(*, is_wrapped: bool = False) -> Any:
    app = flask()
    CORS(app)
    return app.wsgi_app if is_wrapped else app


@pytest.mark.parametrize(
    ("wrap", "build", "name"),
    [
        (AmplifyASGIMiddleware, lambda: cors(starlette()), "starlette.middleware.cors.CORSM"),
        (AmplifyASGIMiddleware, lambda: Wrapped(cors(starlette())), "CORSMiddleware"),
        (AmplifyASGIMiddleware, inside_added, "starlette.middleware.cors.CORSMiddleware"),
        (AmplifyWSGIMiddleware, flask_cors, "flask_cors."),
        (AmplifyWSGIMiddleware, lambda: flask_cors(is_wrapped=True), "flask_cors."),
        (AmplifyWSGIMiddleware, django, "corsheaders.middleware.CorsMiddleware"),
    ],
)
def test_a_layer_inside_is_named_with_the_option(
    wrap: Any, build: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "amplify_mw")
    app = build()  # (Django loads its middlewares here: no such package is needed)
    with override_settings(MIDDLEWARE=["corsheaders.middleware.CorsMiddleware"]):
        wrap(app, config())
        (message,) = messages(caplog)
        assert name in message
        assert "preflight='app'" in message
        caplog.clear()
        wrap(app, config(preflight="app"))
        wrap(app, config(protect=[]))
    assert messages(caplog) == []


@pytest.mark.parametrize(
    ("wrap", "build"),
    [
        (AmplifyASGIMiddleware, starlette),
        (AmplifyASGIMiddleware, lambda: plain_asgi),
        (AmplifyWSGIMiddleware, flask),
        (AmplifyWSGIMiddleware, bottle),
        (AmplifyWSGIMiddleware, lambda: plain),
    ],
)
def test_no_layer_is_named_where_none_is(
    wrap: Any, build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "amplify_mw")
    wrap(build(), config())
    assert messages(caplog) == []


def test_the_first_preflight_is_said_once_in_a_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "amplify_mw")
    for _ in range(2):
        preflight(AmplifyWSGIMiddleware(plain, config()))
        preflight(AmplifyASGIMiddleware(plain_asgi, config()))
    (message,) = messages(caplog)
    assert "'/export'" in message
    assert "preflight='app'" in message


@pytest.mark.parametrize("wrong", [None, "", "App", True, "outside"])
def test_another_word_is_refused_with_what_to_write(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="preflight: write 'app'"):
        config(preflight=wrong)
