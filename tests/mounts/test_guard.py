"""No protected page reaches somebody who is not signed in, whoever takes a prefix off the path."""

import logging
import sys
from functools import cache
from typing import Any
from urllib.parse import urlparse
from wsgiref.util import shift_path_info

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar import asgi as mounted
from litestar.middleware import DefineMiddleware
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from amplify_mw import AmplifyConfig, ConfigurationError
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.mounts.apps import (
    OPEN,
    PAGES,
    SECRET,
    PrefixMiddleware,
    Wrapped,
    asgi_apps,
    ask_asgi,
    ask_wsgi,
    at_root,
    bottle_app,
    django_at,
    fastapi,
    flask,
    litestar,
    reverse_proxied,
    says,
    starlette,
    taking_off,
    wsgi_apps,
)
from tests.test_access import disguises

RULES: dict[str, Any] = {"protect": ["/account"], "ignore": ["/static/*"]}
ASGI = sorted(asgi_apps(""))
WSGI = sorted(wsgi_apps(""))


@cache
def config(**options: Any) -> AmplifyConfig:
    given = {name: [*value] if type(value) is tuple else value for name, value in options.items()}
    return AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", **RULES | given)


def asgi(app: Any, **options: Any) -> AmplifyASGIMiddleware:
    return AmplifyASGIMiddleware(app, config(**options))


def wsgi(app: Any, **options: Any) -> AmplifyWSGIMiddleware:
    return AmplifyWSGIMiddleware(app, config(**options))


# --- every spelling, every mount, every app

ROOTS = ["", "/api", "/shop/api"]
SAID = ["", "/", "/api", "/api/", "/prod", "/shop/api"]
OPTIONS = [(), ("/api",), ("/prod", "/api"), ("/", "/shop")]


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, str, str, str, Any]:
    """A protected page, a request's path, what app and server say of mounts, and the option."""
    page = draw(st.sampled_from([page for page in PAGES if page != "/open"]))
    root, said, mount = (draw(st.sampled_from(some)) for some in (ROOTS, SAID, OPTIONS))
    is_above = any(at and page.startswith(f"{at}/") for at in (root, *mount))
    assume(not is_above)  # such a rule is refused
    fronts = st.sampled_from([root, said.rstrip("/"), "/x", "/api", "/prod", "/"])
    front = "".join(draw(st.lists(fronts, max_size=3)))
    path = draw(st.one_of(st.just(page), disguises(page)))
    if draw(st.integers(0, 3)) == 0:
        path = path.removeprefix("/")
    return page, front + path or "/", root, said, mount


@pytest.mark.parametrize("name", ASGI)
@settings(max_examples=40, deadline=None)  # for each app
@given(asked())
def test_no_path_leads_nobody_to_the_page_of_an_asgi_app(name: str, asked: Any) -> None:
    page, path, root, said, mount = asked
    with django_at(root):
        app = asgi(asgi_apps(root)[name], mount=mount, protect=(page,))
        got = ask_asgi(app, path, said)
    assert says(page) not in got.body


@pytest.mark.parametrize("name", ["fastapi", "fastapi-below", "starlette-late", "path-late"])
@settings(max_examples=40, deadline=None)  # for each app
@given(asked())
def test_no_path_leads_nobody_to_a_websocket(name: str, asked: Any) -> None:
    _, path, root, said, mount = asked
    got = ask_asgi(asgi(asgi_apps(root)[name], mount=mount), path, said, type="websocket")
    assert SECRET not in got.body


@pytest.mark.parametrize("name", WSGI)
@settings(max_examples=40, deadline=None)  # for each app
@given(asked(), st.sampled_from(["", "/api", "/x", "/prod/"]))
def test_no_path_leads_nobody_to_the_page_of_a_wsgi_app(name: str, asked: Any, header: str) -> None:
    page, path, root, said, mount = asked
    with django_at(root):
        app = wsgi(wsgi_apps(root)[name], mount=mount, protect=(page,))
        got = ask_wsgi(app, path, said, HTTP_X_SCRIPT_NAME=header)
    assert says(page) not in got.body


# --- what an app says of itself


@pytest.mark.parametrize("path", ["/account", "/api/account", "/api/api/account"])
@pytest.mark.parametrize("name", ["fastapi", "fastapi-wrapped", "fastapi-below", "starlette-late"])
def test_a_mount_that_the_app_takes_off_hides_nothing(name: str, path: str) -> None:
    assert SECRET not in ask_asgi(asgi(asgi_apps("/api")[name]), path).body


def test_an_open_page_below_the_apps_mount_stays_open() -> None:
    for options in ({}, {"protect": ("/*",), "public": ("/open",), "ignore": ()}):
        app = asgi(fastapi("/api"), **options)
        assert [ask_asgi(app, path).body for path in ("/open", "/api/open")] == [OPEN, OPEN]


def test_an_ignored_page_below_the_apps_mount_is_not_looked_at() -> None:
    app = asgi(fastapi("/api"), protect=("/*",), ignore=("/open",))
    got = ask_asgi(app, "/api/open", headers={"Cookie": "amplify-session=junk"})
    assert (got.body, "set-cookie" in got.headers) == (OPEN, False)


def test_djangos_setting_is_the_apps_mount() -> None:
    with django_at("/api"):
        app = asgi(asgi_apps("")["django"], protect=("/*",), public=("/open",), ignore=())
        assert ask_asgi(app, "/api/account").status == 401
        assert ask_asgi(app, "/api/open").body == OPEN
        out_of_sight = asgi(lambda *message: asgi_apps("")["django"](*message))
        assert ask_asgi(out_of_sight, "/api/account").status == 401


def test_litestar_takes_what_stands_behind_the_mount_wherever_it_is() -> None:
    assert ask_asgi(litestar(), "/x/api/account", "/api").body == SECRET
    assert ask_asgi(asgi(litestar()), "/x/api/account", "/api").status == 401
    assert ask_asgi(asgi(litestar()), "/x/api/open", "/api").body == OPEN


class _Quart:
    """Reads the path of a URL, as Quart does: some servers pass on `GET http://a/b`."""

    def __init__(self) -> None:
        self.app = starlette()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        path = path if path[0] == "/" else urlparse(path).path
        await self.app({**scope, "path": path}, receive, send)


@pytest.mark.parametrize("url", ["http://site.example", "http:", "x:"])
@pytest.mark.parametrize("root", ["", "/api"])
def test_a_whole_url_for_a_path_hides_nothing(url: str, root: str) -> None:
    assert ask_asgi(_Quart(), f"{url}{root}/account", root).body == SECRET
    assert ask_asgi(asgi(_Quart()), f"{url}{root}/account", root).status == 401
    assert ask_asgi(asgi(_Quart()), f"{url}{root}/open", root).body == OPEN


def test_an_adapter_that_looks_for_no_slash_hides_nothing() -> None:
    for name in ("flask-asgiref", "flask-a2wsgi"):
        bare = asgi_apps("")[name]
        assert ask_asgi(bare, "/apiaccount", "/api").body == SECRET
        assert ask_asgi(asgi(bare), "/apiaccount", "/api").status == 401


def test_the_mount_of_an_app_inside_a_wsgi_adapter_counts() -> None:
    assert ask_wsgi(wsgi(wsgi_apps("/api")["fastapi-a2wsgi"]), "/api/account").status == 401


# --- the option


@pytest.mark.parametrize("path", ["/account", "/prod/account", "/prod//account", "/prod/%61ccount"])
def test_a_path_is_read_without_the_configured_mount_too(path: str) -> None:
    assert ask_asgi(asgi(starlette(), mount="/prod"), path).status == 401
    assert ask_wsgi(wsgi(flask(), mount="/prod"), path).status == 401


def test_what_is_public_below_the_mount_may_be_another_page_above() -> None:
    options = {"protect": ("/*",), "public": ("/open",), "mount": "/prod"}
    assert ask_wsgi(wsgi(flask(), **options), "/open").body == OPEN
    assert ask_wsgi(wsgi(flask(), **options), "/prod/open").status == 401


def test_the_servers_mount_is_taken_off_once() -> None:
    app = asgi(starlette(), protect=("/*",), public=("/open",), mount="/prod")
    assert ask_asgi(app, "/prod/open", "/prod").body == OPEN
    assert ask_asgi(app, "/open", "/prod").body == OPEN
    assert ask_asgi(app, "/prod/account", "/prod").status == 401


@pytest.mark.parametrize("said", ["", "/", "//"])
def test_a_slash_is_no_mount(said: str) -> None:
    assert ask_asgi(asgi(starlette()), "/open", said).body == OPEN
    assert ask_asgi(asgi(starlette()), "/account", said).status == 401
    html = {"Accept": "text/html"}
    web = wsgi(flask(), login_url="/login")
    got = ask_wsgi(web, "/account", said, HTTP_ACCEPT=html["Accept"])
    assert got.headers["Location"] == "/login?next=%2Faccount"
    got = ask_asgi(asgi(starlette(), login_url="/login"), "/account", said, headers=html)
    assert got.headers["location"] == "/login?next=%2Faccount"


@pytest.mark.parametrize("said", ["/shop", "/shop/", "/shop//"])
def test_slashes_at_a_mounts_end_are_none_of_it(said: str) -> None:
    html = {"Accept": "text/html"}
    got = ask_wsgi(wsgi(flask(), login_url="/login"), "/account", said, HTTP_ACCEPT=html["Accept"])
    assert got.headers["Location"] == "/login?next=%2Fshop%2Faccount"
    got = ask_asgi(asgi(starlette(), login_url="/login"), "/shop/account", said, headers=html)
    assert got.headers["location"] == "/login?next=%2Fshop%2Faccount"


# --- the last line of defence


def test_a_response_of_a_page_read_under_another_mount_is_withheld(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        app = asgi(at_root("/api"))
        for _ in range(3):
            got = ask_asgi(app, "/api/account")
            assert (got.status, got.headers["content-type"]) == (401, "application/problem+json")
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "'/api/account' as '/account'" in record.getMessage()
    assert "mount=" in record.getMessage()


def test_a_signed_in_user_gets_such_a_response(pool: LocalUserPool) -> None:
    app = AmplifyASGIMiddleware(at_root("/api"), pool.config(**RULES))
    cookie = f"amplify-session={pool.mint('ada')}"
    assert ask_asgi(app, "/api/account", headers={"Cookie": cookie}).body == SECRET
    web = AmplifyWSGIMiddleware(PrefixMiddleware(flask(), "/api"), pool.config(**RULES))
    assert ask_wsgi(web, "/api/account", HTTP_COOKIE=cookie).body == SECRET


def test_a_browser_is_sent_to_sign_in_instead() -> None:
    app = asgi(at_root("/api"), login_url="/login")
    got = ask_asgi(app, "/api/account", headers={"Accept": "text/html"})
    assert (got.status, got.headers["location"]) == (302, "/login?next=%2Fapi%2Faccount")
    web = wsgi(PrefixMiddleware(flask(), "/api"), login_url="/login")
    got = ask_wsgi(web, "/api/account", HTTP_ACCEPT="text/html")
    assert (got.status, got.headers["Location"]) == (302, "/login?next=%2Fapi%2Faccount")


def test_the_cookie_of_nobody_is_cleared_with_it() -> None:
    cookie = {"Cookie": "amplify-session=junk"}
    got = ask_asgi(asgi(at_root("/api")), "/api/account", headers=cookie)
    assert got.headers["set-cookie"].startswith("amplify-session=;")


def test_an_ignored_path_is_no_way_around() -> None:
    got = ask_asgi(asgi(at_root("/static")), "/static/account")
    assert (got.status, SECRET in got.body) == (401, False)
    got = ask_wsgi(wsgi(PrefixMiddleware(flask(), "/static")), "/static/account")
    assert (got.status, SECRET in got.body) == (401, False)


def test_nothing_of_a_stream_goes_out() -> None:
    async def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(iter([SECRET, SECRET]), headers={"X-Secret": "1"})

    inner = Starlette(routes=[Route("/account", stream)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["root_path"] = "/api"
        await inner(scope, receive, send)

    got = ask_asgi(asgi(app), "/api/account")
    assert (got.status, SECRET in got.body, "x-secret" in got.headers) == (401, False, False)


def generating(prefix: str, closed: list[str]) -> Any:
    """An app that begins its response with its body's first item."""

    class Body:
        def __init__(self, steps: Any) -> None:
            self.steps = steps

        def __iter__(self) -> Any:
            return self.steps

        def close(self) -> None:
            closed.append("closed")

    def steps(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("X-Secret", "1")])
        write(SECRET.encode())
        yield SECRET.encode()
        yield SECRET.encode()

    def app(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
        return Body(steps(environ, start_response))

    return app


def test_nothing_of_a_generated_body_goes_out_and_it_is_closed() -> None:
    closed: list[str] = []
    got = ask_wsgi(wsgi(generating("/api", closed)), "/api/account")
    assert (got.status, SECRET in got.body, "X-Secret" in got.headers) == (401, False, False)
    assert closed == ["closed"]
    assert ask_wsgi(wsgi(generating("/api", closed)), "/api/other").body == 3 * SECRET


def test_a_header_that_names_the_prefix_helps_nobody() -> None:
    app = wsgi(reverse_proxied(flask(), flask()))
    for prefix in ("/x", "/account", "/static", "/x/y"):
        got = ask_wsgi(app, f"{prefix}/account", HTTP_X_SCRIPT_NAME=prefix)
        assert (got.status, SECRET in got.body) == (401, False)


@pytest.mark.parametrize("said", ["/other, /x", "/other,/x/", "/x,/x", " /x"])
def test_a_list_that_ends_in_the_prefix_helps_nobody(said: str) -> None:
    site, other = flask(), flask()

    def app(environ: Any, start_response: Any) -> Any:
        prefix = environ["HTTP_X_FORWARDED_PREFIX"].split(",")[-1].strip(" /")
        environ["SCRIPT_NAME"] = f"/{prefix}"
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(f"/{prefix}")
        chosen = other if environ["PATH_INFO"].startswith("/other") else site
        return chosen(environ, start_response)

    got = ask_wsgi(wsgi(app), "/x/account", HTTP_X_FORWARDED_PREFIX=said)
    assert (got.status, SECRET in got.body) == (401, False)


def test_an_error_of_the_app_after_it_changes_nothing() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = "/account"
        start_response("200 OK", [])
        try:
            raise LookupError("the app's own")
        except LookupError:
            start_response("500 Oops", [("X-Secret", "1")], sys.exc_info())
        return [SECRET.encode()]

    got = ask_wsgi(wsgi(app), "/other")
    assert (got.status, SECRET in got.body, "X-Secret" in got.headers) == (401, False, False)


# --- routing inside the app is no mount of it


def test_a_mount_of_starlettes_is_routing() -> None:
    outer = Starlette(routes=[Mount("/public", starlette(Mount("/deep", starlette())))])
    for app in (asgi(outer), asgi(Wrapped(outer)), asgi(Starlette(routes=[Mount("/", outer)]))):
        assert ask_asgi(app, "/public/account").body == SECRET  # another page than `/account`
        assert ask_asgi(app, "/public/deep/account").body == SECRET
        assert ask_asgi(app, "/shop/public/account", "/shop").body == SECRET


def test_a_mount_below_an_apps_own_root_is_routing() -> None:
    app = fastapi("/api")
    app.mount("/public", fastapi())
    assert ask_asgi(asgi(app), "/api/public/account").body == SECRET
    assert ask_asgi(asgi(app), "/api/account").status == 401


def test_a_middleware_below_a_mount_sees_its_own_paths() -> None:
    inner = asgi(starlette(Mount("/public", starlette())))
    outer = Starlette(routes=[Mount("/shop", inner)])
    assert ask_asgi(outer, "/shop/account").status == 401
    assert ask_asgi(outer, "/shop/public/account").body == SECRET


def test_a_middleware_that_is_added_sees_the_apps_root() -> None:
    app = fastapi("/api")
    app.add_middleware(AmplifyASGIMiddleware, config=config(protect=("/*",), public=("/open",)))
    assert ask_asgi(app, "/api/account").status == 401
    assert ask_asgi(app, "/account").status == 401
    assert ask_asgi(app, "/api/open").body == OPEN


def test_a_mount_of_litestars_is_routing() -> None:
    below = starlette()

    @mounted("/public", is_mount=True, copy_scope=False)
    async def sub(scope: Any, receive: Any, send: Any) -> None:
        scope = {**scope, "path": scope["path"].rstrip("/"), "root_path": ""}
        await below(scope, receive, send)

    app = Litestar([sub], openapi_config=None, logging_config=None)
    assert ask_asgi(asgi(app), "/public/account").body == SECRET


def litestar_with_mounts(*middleware: Any) -> Any:
    @mounted(["/private", "/deep/private", "/open"], is_mount=True, copy_scope=False)
    async def sub(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    return Litestar([sub], openapi_config=None, logging_config=None, middleware=middleware)


@pytest.mark.parametrize("root", ["", "/api"])
def test_litestar_needs_no_slash_behind_a_mount(root: str) -> None:
    """It takes `/privatex/y` for `x/y` below `/private`."""
    site = litestar_with_mounts()
    assert ask_asgi(site, "/privatex/y").body == "x/y/"
    guarded = asgi(site, protect=("/private/*", "/deep/private/*"))
    for path in ("/privatex/y", "/privatex", "//privatex//y/", "/deep/privatex", "/private/x"):
        assert ask_asgi(guarded, root + path, root).status == 401
    for path in ("/openx/y", "/open/private/x"):
        assert ask_asgi(guarded, root + path, root).status == 200


def test_a_middleware_of_litestars_own_cannot_see_a_mount() -> None:
    """Litestar takes the prefix off before its middlewares run."""
    with pytest.raises(
        ConfigurationError, match=r"'/(deep/)?private|'/open.*AmplifyPlugin\(config\)"
    ):
        litestar_with_mounts(DefineMiddleware(AmplifyASGIMiddleware, config=config()))
    without_rules = config(protect=(), ignore=())
    litestar_with_mounts(DefineMiddleware(AmplifyASGIMiddleware, config=without_rules))


def test_a_dispatcher_of_wsgi_is_routing() -> None:
    for app in (
        DispatcherMiddleware(flask(), {"/public": flask()}),
        DispatcherMiddleware(bottle_app(), {"/public": bottle_app()}),
    ):
        assert ask_wsgi(wsgi(app), "/public/account").body == SECRET
        assert ask_wsgi(wsgi(app), "/account").status == 401


def test_shifting_the_path_among_several_apps_is_routing() -> None:
    site, below = flask(), flask()

    def app(environ: Any, start_response: Any) -> Any:
        if not environ["PATH_INFO"].lstrip("/.").startswith("public/"):
            return site(environ, start_response)
        assert shift_path_info(environ) == "public"
        return below(environ, start_response)

    assert ask_wsgi(wsgi(app), "/public/account").body == SECRET
    assert ask_wsgi(wsgi(app), "/./public//account").body == SECRET
    assert ask_wsgi(wsgi(app), "/account").status == 401


def test_shifting_the_path_of_a_single_app_is_its_mount() -> None:
    below = flask()

    def app(environ: Any, start_response: Any) -> Any:
        assert shift_path_info(environ) == "shop"
        return below(environ, start_response)

    assert ask_wsgi(wsgi(app), "/shop/account").status == 401
    assert ask_wsgi(wsgi(app), "/shop/open").body == OPEN


def test_a_mount_of_bottles_is_routing() -> None:
    app = bottle_app()
    app.mount("/public/", bottle_app())
    assert ask_wsgi(wsgi(app), "/public/account").body == SECRET


def test_a_path_that_bottle_decodes_is_the_same_path() -> None:
    app = bottle_app()
    app.route("/café/<name>", callback=lambda name: f"{OPEN} {name}")
    assert ask_wsgi(wsgi(app, protect=("/account",)), "/café/é€").body == f"{OPEN} é€"


def test_a_path_that_is_taken_off_late_and_open_passes() -> None:
    assert ask_asgi(asgi(taking_off("/api")), "/api/open").body == OPEN
    assert ask_wsgi(wsgi(PrefixMiddleware(flask(), "/api")), "/api/open").body == OPEN
