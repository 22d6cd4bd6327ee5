"""The sign-in routes, rules and addresses below a mount, whoever knows of it.

Each deployment goes the whole way: a protected page, the pool, back, the page, and out again.
"""

import asyncio
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import serverless_wsgi
from apig_wsgi import make_lambda_handler
from fastapi import FastAPI
from flask import Flask
from mangum import Mangum
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from amplify_mw import AmplifyConfig, AuthRoutes, SealedSession, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.events import Event, Revoked
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.mounts.apps import ask_asgi, ask_wsgi
from tests.mounts.events import (
    API,
    BALANCER,
    DOMAIN,
    FUNCTION_URL,
    LambdaBrowser,
    balancer,
    http,
    rest,
)
from tests.mounts.events import Request as Asked
from tests.patience import until
from tests.sites import KEYS


def flask_app(prefix: str = "") -> Flask:
    app = Flask(__name__)
    app.add_url_rule(f"{prefix}/account", "account", lambda: get_current_user().username)
    return app


async def _account(request: Any) -> PlainTextResponse:
    return PlainTextResponse(get_current_user().username)


ROUTES = [Route("/account", _account)]


def fastapi_app(root: str = "") -> FastAPI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastAPI wants it said to the server, and reads it still
        app = FastAPI(root_path=root)
    app.router.routes.extend(ROUTES)
    return app


def mangum(app: Any, **options: Any) -> Any:
    return Mangum(app, lifespan="off", **options)


def mangum_wrapped(root: str = "", **options: Any) -> Callable[[AmplifyConfig], Any]:
    return lambda config: mangum(AmplifyASGIMiddleware(fastapi_app(root), config), **options)


def mangum_added(root: str = "", **options: Any) -> Callable[[AmplifyConfig], Any]:
    def build(config: AmplifyConfig) -> Any:
        app = fastapi_app(root)
        app.add_middleware(AmplifyASGIMiddleware, config=config)
        return mangum(app, **options)

    return build


def apig(prefix: str = "") -> Callable[[AmplifyConfig], Any]:
    return lambda config: make_lambda_handler(
        AmplifyWSGIMiddleware(flask_app(prefix), config), binary_support=True
    )


def serverless(prefix: str = "") -> Callable[[AmplifyConfig], Any]:
    def build(config: AmplifyConfig) -> Any:
        app = AmplifyWSGIMiddleware(flask_app(prefix), config)
        return lambda event, context: serverless_wsgi.handle_request(app, event, context)

    return build


class Deployment(NamedTuple):
    """`public`: what the address begins with. `options`: of the configuration."""

    name: str
    event: Callable[[Asked], Any]
    host: str
    public: str
    handler: Callable[[AmplifyConfig], Any]
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    environ: dict[str, str] = {}  # noqa: RUF012


PROD = {"mount": "/prod"}
# An app that has the stage in its own paths writes it everywhere, and has no mount.
WHOLE = {"routes": {"prefix": "/prod/auth"}, "protect": ["/prod/account"]}
DEPLOYMENTS = [
    # A REST API's stage is in the address, and not in the event's path.
    Deployment("mangum, REST stage", rest(), API, "/prod", mangum_wrapped(), PROD),
    Deployment("mangum added, REST stage", rest(), API, "/prod", mangum_added(), PROD),
    Deployment("apig-wsgi, REST stage", rest(), API, "/prod", apig(), PROD),
    Deployment("serverless-wsgi, REST stage", rest(), API, "/prod", serverless(), PROD),
    Deployment("mangum, root_path, REST stage", rest(), API, "/prod", mangum_wrapped("/prod")),
    Deployment("added, root_path, REST stage", rest(), API, "/prod", mangum_added("/prod"), PROD),
    Deployment(
        "one of several stages", rest(stage="dev"), API, "/dev", mangum_wrapped(),
        {"mount": ["/prod", "/dev"]},
    ),
    # A custom domain's base path is in both; the adapter takes it off, or the app does.
    Deployment(
        "mangum, base path", rest(DOMAIN, base="/shop"), DOMAIN, "/shop",
        mangum_wrapped(api_gateway_base_path="/shop"), {"mount": "/shop"},
    ),
    Deployment(
        "serverless-wsgi, base path", rest(DOMAIN, base="/shop"), DOMAIN, "/shop",
        serverless(), {"mount": "/shop"}, {"API_GATEWAY_BASE_PATH": "shop"},
    ),
    # An HTTP API's stage is in both.
    Deployment(
        "mangum, base path, HTTP stage", http(), API, "/prod",
        mangum_wrapped(api_gateway_base_path="/prod"), PROD,
    ),
    Deployment(
        "mangum added, base path, HTTP stage", http(), API, "/prod",
        mangum_added(api_gateway_base_path="/prod"), PROD,
    ),
    Deployment(
        "added, root_path, base path", http(), API, "/prod",
        mangum_added("/prod", api_gateway_base_path="/prod"), PROD,
    ),
    Deployment(
        "root_path, base path", http(), API, "/prod",
        mangum_wrapped("/prod", api_gateway_base_path="/prod"),
    ),
    Deployment("root_path, HTTP stage", http(), API, "/prod", mangum_wrapped("/prod")),
    Deployment("added, root_path, HTTP", http(), API, "/prod", mangum_added("/prod"), PROD),
    Deployment("apig-wsgi, whole paths", http(), API, "/prod", apig("/prod"), WHOLE),
    Deployment("serverless-wsgi, HTTP stage", http(), API, "/prod", serverless("/prod"), PROD),
    # Nothing stands in front.
    Deployment("mangum, $default", http(stage="$default"), API, "", mangum_wrapped()),
    Deployment("apig-wsgi, $default", http(stage="$default"), API, "", apig()),
    Deployment("serverless-wsgi, $default", http(stage="$default"), API, "", serverless()),
    *(
        Deployment(f"{name}, {kind}", event, host, "", build)
        for kind, event, host in (
            ("function URL", http(FUNCTION_URL, "$default"), FUNCTION_URL),
            ("load balancer", balancer(), BALANCER),
        )
        for name, build in (
            ("mangum", mangum_wrapped()), ("apig-wsgi", apig()), ("serverless-wsgi", serverless()),
        )
    ),
]  # fmt: skip


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """The event loop that mangum wants to find, and keeps."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def configured(pool: LocalUserPool, origin: str, **options: Any) -> AmplifyConfig:
    routes = AuthRoutes(**{"origin": origin, **options.pop("routes", {})})
    given = {"session": SealedSession(keys=KEYS[:1]), "protect": ["/account"], "keys": pool.jwks()}
    return pool.config(**{**given, "routes": routes, **options})


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the middlewares have told the log (and not that this pool is for tests alone)."""
    return [record.getMessage() for record in caplog.records if record.module == "lines"]


def next_page(body: str) -> str:
    found = re.search(r'content="0;url=([^"]*)"', body)
    assert found is not None, body
    return unescape(found[1])


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_everything_is_below_the_mount(
    deployment: Deployment,
    pool: LocalUserPool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in deployment.environ.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.WARNING, "amplify_mw")
    origin, public = f"https://{deployment.host}", deployment.public
    told: list[Event] = []
    config = configured(pool, origin, on_event=told.append, **deployment.options)
    browser = LambdaBrowser(deployment.handler(config), deployment.event)

    away = browser.get(f"{public}/account")
    sign_in = urlsplit(away.location)
    assert (away.status, sign_in.path) == (302, f"{public}/auth/sign-in")
    assert parse_qs(sign_in.query) == {"next": [f"{public}/account"]}

    leaving = browser.get(away.location)
    assert leaving.status == 303, leaving
    (redirect_uri,) = parse_qs(urlsplit(leaving.location).query)["redirect_uri"]
    assert redirect_uri == f"{origin}{public}/auth/sign-in-callback"
    assert {path for _, path in browser.jar} == {f"{public}/auth"}

    back = pool.authorize(leaving.location, "ada")
    landing = browser.get(back)
    again = next_page(landing.body)
    if again.startswith(f"{public}/auth/sign-in-callback?"):  # without `SameSite=Strict` cookies
        landing = browser.get(again)
    assert next_page(landing.body) == f"{public}/account"
    assert {path for _, path in browser.jar} == {"/"}  # the session alone
    account = browser.get(f"{public}/account")
    assert (account.status, account.body) == (200, "ada")

    out = browser.get(f"{public}/auth/sign-out")
    (back_to,) = parse_qs(urlsplit(out.location).query)["logout_uri"]
    assert back_to == f"{origin}{public}/auth/sign-out-callback"
    assert browser.jar == {}
    after = browser.get(back_to)
    assert after.location == ("/" if deployment.options is WHOLE else f"{public}/")
    assert browser.get(f"{public}/account").status == 302
    # Its last work in the background. The log of the next test has no word of it then.
    until(lambda: any(isinstance(event, Revoked) for event in told))
    assert said(caplog) == []


@pytest.mark.parametrize("build", [mangum_wrapped(), apig()], ids=["mangum", "apig-wsgi"])
def test_a_link_from_elsewhere_goes_once_around_below_the_mount(
    build: Any, pool: LocalUserPool
) -> None:
    browser = LambdaBrowser(build(configured(pool, f"https://{API}", mount="/prod")), rest())
    hop = browser.get("/prod/account?tab=1", "cross-site")
    assert (hop.status, next_page(hop.body)) == (200, "/prod/account?tab=1")
    assert list(browser.jar) == [("amplify-hop", "/prod/account")]
    assert browser.get("/prod/account?tab=1").status == 302


@pytest.mark.parametrize(
    ("build", "event"),
    [
        (mangum_wrapped(), rest()),
        (apig(), rest()),
        (mangum_wrapped(api_gateway_base_path="/prod"), http()),
    ],
    ids=["mangum", "apig-wsgi", "mangum, base path"],
)
def test_a_stage_that_nobody_wrote_down_is_said_once(
    build: Any, event: Any, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "amplify_mw")
    for mount in ("", "/dev"):
        caplog.clear()
        browser = LambdaBrowser(build(configured(pool, f"https://{API}", mount=mount)), event)
        for _ in range(2):
            browser.get("/prod/account")
        (message,) = said(caplog)
        assert "the public path begins with '/prod'" in message
        assert "mount=" in message


# --- a mount that the server, a proxy or a router knows


def ways(config: AmplifyConfig) -> dict[str, Callable[[str], Any]]:
    """Apps at `/shop`, each asked for a path of its public address."""
    html = {"Accept": "text/html"}
    page = {"HTTP_ACCEPT": "text/html"}
    flask, web = flask_app(), flask_app()
    flask.wsgi_app = AmplifyWSGIMiddleware(flask.wsgi_app, config)  # type: ignore[method-assign]
    dispatched = DispatcherMiddleware(Flask(__name__), {"/shop": flask})
    mounted = Starlette(
        routes=[Mount("/shop", AmplifyASGIMiddleware(Starlette(routes=ROUTES), config))]
    )
    outside = ProxyFix(AmplifyWSGIMiddleware(web, config), x_prefix=1)
    inside = AmplifyWSGIMiddleware(ProxyFix(web, x_prefix=1), config)
    proxied = {**page, "HTTP_X_FORWARDED_PREFIX": "/shop"}
    asgi = AmplifyASGIMiddleware(Starlette(routes=ROUTES), config)
    wsgi = AmplifyWSGIMiddleware(web, config)
    below = len("/shop")
    return {
        "root_path": lambda path: ask_asgi(asgi, path, "/shop", headers=html),
        "root_path alone": lambda path: ask_asgi(asgi, path[below:], "/shop", headers=html),
        "SCRIPT_NAME": lambda path: ask_wsgi(wsgi, path[below:], "/shop", **page),
        "DispatcherMiddleware": lambda path: ask_wsgi(dispatched, path, **page),
        "Mount": lambda path: ask_asgi(mounted, path, headers=html),
        "ProxyFix around": lambda path: ask_wsgi(outside, path[below:], **proxied),
        "ProxyFix inside": lambda path: ask_wsgi(inside, path[below:], **proxied),
        "a proxy that says nothing": lambda path: ask_wsgi(wsgi, path[below:], **page),
        "the app by itself": lambda path: ask_asgi(
            AmplifyASGIMiddleware(fastapi_app("/shop"), config), path, headers=html
        ),
    }


@pytest.mark.parametrize("way", [*ways(AmplifyConfig(user_pool_id="eu-west-1_A", client_id="b"))])
def test_one_option_does_for_whoever_knows_the_mount(way: str, pool: LocalUserPool) -> None:
    ask = ways(configured(pool, "https://app.example.com", mount="/shop"))[way]
    headers = {name.lower(): value for name, value in ask("/shop/account").headers.items()}
    assert headers["location"] == "/shop/auth/sign-in?next=%2Fshop%2Faccount"
    got = ask("/shop/auth/sign-in")
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert "redirect_uri=https%3A%2F%2Fapp.example.com%2Fshop%2Fauth%2F" in headers["location"]
    assert "; Path=/shop/auth;" in headers["set-cookie"]


def test_a_login_page_is_below_the_mount_or_elsewhere(pool: LocalUserPool) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"in"]

    def ask(path: str, login_url: str) -> Any:
        config = pool.config(
            protect=["/*"], mount="/shop", login_url=login_url, origins=["https://app.example.com"]
        )
        return ask_wsgi(AmplifyWSGIMiddleware(app, config), path, HTTP_ACCEPT="text/html")

    assert ask("/a", "/login").headers["Location"] == "/shop/login?next=%2Fshop%2Fa"
    assert ask("/login", "/login").body == "in"
    whole = "https://app.example.com/login"
    assert ask("/a", whole).headers["Location"] == f"{whole}?next=%2Fshop%2Fa"
    assert ask("/login", whole).status == 302  # `/shop/login`, another page


def test_routes_that_are_asked_for_elsewhere_are_said_once(
    pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "amplify_mw")
    app = AmplifyWSGIMiddleware(flask_app(), configured(pool, "https://app.example.com"))
    client = Client(app)
    for _ in range(2):
        assert client.get("/shop/auth/sign-in").status_code == 404
    assert client.get("/other").status_code == 404
    (message,) = said(caplog)
    assert "'/shop/auth/sign-in'" in message
    assert "mount=" in message
    client.get("/ \n\u20ac/auth/sign-in")  # nobody's bytes are written as they are
    assert said(caplog) == [message]


def test_no_next_leads_to_a_route_of_any_mount(pool: LocalUserPool) -> None:
    config = configured(pool, "https://app.example.com", mount=["/shop", "/other"])
    app = AmplifyWSGIMiddleware(flask_app(), config)
    for wanted in ("/shop/auth/sign-out", "/other/auth/sign-out", "/auth/sign-out"):
        browser = Client(app)
        url = {"base_url": "https://app.example.com"}
        leaving = browser.get("/shop/auth/sign-in", query_string={"next": wanted}, **url).location
        back = urlsplit(pool.authorize(leaving, "ada"))
        got = browser.get(back.path, query_string=back.query, **url)
        assert next_page(got.text) == "/shop/"
