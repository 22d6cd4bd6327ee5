"""Mounts as values, and what a wrapped app says of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.local import LocalProxy
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from amplify_mw import AmplifyConfig, ConfigurationError
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.shell.inside import look_inside
from amplify_mw.web.mounts import Inside, Mounts, gateway_path, parse_mounts, server_mount
from tests.mounts.apps import (
    Wrapped,
    asgi_apps,
    bottle_app,
    django_at,
    fastapi,
    flask,
    in_closure,
    litestar,
    starlette,
    wsgi_apps,
)


def config(**options: Any) -> AmplifyConfig:
    return AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", **options)


# --- the option


@pytest.mark.parametrize(
    ("given", "mounts"),
    [
        ((), ()),
        ("", ()),
        ("/", ()),
        ("/prod", ("/prod",)),
        ("/prod/", ("/prod",)),
        ("/shop/api", ("/shop/api",)),
        (["/prod", "/api", "/prod/"], ("/prod", "/api")),
        (["/", "/prod"], ("", "/prod")),
    ],
)
def test_a_mount_is_one_path_or_several(given: Any, mounts: tuple[str, ...]) -> None:
    assert config(mount=given).mount == mounts
    assert config(mount=given).replace(leeway=1).mount == mounts


@pytest.mark.parametrize(
    "mount",
    [
        *("prod", "//prod", "/prod//a", "/a/../b", "/.", "/a%20b", "/a b", "/é", "/a?b", "/a\n"),
        *("https://app.example.com", None, 7, ["/prod", None], {"/prod": 1}, "/" + "a" * 2000),
    ],
)
def test_what_is_no_mount_is_refused_with_what_to_write(mount: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"mount: write .*'/prod'"):
        config(mount=mount)


def test_a_mount_shares_what_the_configuration_shares() -> None:
    one, other = Engine.of(config()), Engine.of(config(mount="/prod"))
    assert one is not other
    assert one.driver is other.driver


# --- the public path


@pytest.mark.parametrize(
    ("mounts", "root", "path", "told", "place"),
    [
        ([], "", "/a", "", ("", "/a")),
        ([], "/shop", "/a", "", ("", "/shop/a")),
        (["/prod"], "", "/a", "", ("/prod", "/prod/a")),
        (["/prod"], "", "/", "", ("/prod", "/prod/")),
        (["/prod"], "", "/prod/a", "", ("/prod", "/prod/a")),
        (["/prod"], "", "/prod", "", ("/prod", "/prod")),
        (["/prod"], "", "/production", "", ("/prod", "/prod/production")),
        (["/prod"], "/prod", "/a", "", ("/prod", "/prod/a")),
        (["/prod"], "/prod", "/prod/a", "", ("/prod", "/prod/a")),  # serverless-wsgi, HTTP API
        (["/prod"], "/shop", "/a", "", ("/prod", "/prod/shop/a")),
        (["/prod", "/api"], "", "/a", "/api/a", ("/api", "/api/a")),
        (["/prod", "/api"], "", "/a", "/dev/a", ("/prod", "/prod/a")),
        (["/", "/prod"], "", "/a", "", ("", "/a")),
        (["/", "/prod"], "", "/a", "/prod/a", ("/prod", "/prod/a")),
        (["/shop", "/shop/api"], "", "/shop/api/a", "", ("/shop/api", "/shop/api/a")),
    ],
)
def test_a_mount_is_put_in_front_once(
    mounts: list[str], root: str, path: str, told: str, place: tuple[str, str]
) -> None:
    assert Mounts(parse_mounts(mounts)).place(root, path, told) == place


@given(st.text("/ap", max_size=8), st.text("/ap", max_size=8))
def test_a_public_path_is_below_its_mount(root: str, path: str) -> None:
    mounts = Mounts(["/a", "/a/p"])
    mount, whole = mounts.place(server_mount("/" + root), "/" + path)
    assert whole == mount or whole.startswith(mount + "/")
    assert whole.endswith(path)


@pytest.mark.parametrize(
    ("root", "mount"),
    [("", ""), ("/", ""), ("//", ""), ("/a/", "/a"), ("/$default", ""), (None, ""), (b"/a", "")],
)
def test_what_a_server_says_is_a_mount_or_none(root: Any, mount: str) -> None:
    assert server_mount(root) == mount


@pytest.mark.parametrize("key", ["aws.event", "apig_wsgi.full_event", "serverless.event"])
@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"requestContext": {"path": "/prod/a"}}, "/prod/a"),
        ({"requestContext": {"http": {"path": "/prod/a"}}}, "/prod/a"),
        ({"requestContext": {"http": {}}}, ""),
        ({"requestContext": {"http": 1}}, ""),
        ({"requestContext": {"path": None}}, ""),
        ({"requestContext": None}, ""),
        ({"requestContext": {}}, ""),
        ({}, ""),
        (None, ""),
        ("junk", ""),
    ],
)
def test_a_gateways_event_tells_the_path_or_nothing(key: str, event: Any, path: str) -> None:
    assert gateway_path({key: event}) == path
    assert gateway_path({}) == ""


# --- what an app says


def test_a_root_path_is_found_behind_middlewares() -> None:
    said = Inside(mounts=("/api",), stripped=("/api",))
    for wrap in (lambda app: app, Wrapped, in_closure, partial(partial), _bound):
        assert look_inside(wrap(fastapi("/api"))) == said
        assert look_inside(Wrapped(in_closure(wrap(fastapi("/api/"))))) == said


def _bound(app: Any) -> Callable[..., Any]:
    return Wrapped(app).__call__


class _Proxy:
    """Answers for something else, even what its module is."""

    __module__ = property(lambda _: "elsewhere")  # type: ignore[assignment]

    def __call__(self, *request: Any) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    "app",
    [
        starlette(),
        fastapi(),
        flask(),  # (its `root_path` is a folder)
        bottle_app(),
        ProxyFix(flask().wsgi_app),
        Starlette(routes=[Mount("/sub", fastapi("/api"))]),  # not where the whole app is
        object(),
        None,
        _Proxy(),
        LocalProxy(lambda: (_ for _ in ()).throw(RuntimeError("out of context"))),
    ],
    ids=[
        "starlette",
        "fastapi",
        "flask",
        "bottle",
        "proxied",
        "below",
        "object",
        "none",
        "proxy",
        "local",
    ],
)
def test_what_says_nothing_has_no_mount(app: Any) -> None:
    found = look_inside(app)
    assert (found.mounts, found.stripped, found.possible) == ((), (), ())


def test_one_of_several_apps_does_not_speak_for_all() -> None:
    several = Starlette(routes=[Mount("/", starlette()), Mount("/", fastapi("/api"))])
    assert look_inside(several) == Inside(mounts=("/api",), possible=("/api",))


def test_djangos_setting_is_taken_off_under_asgi_alone() -> None:
    with django_at("/api"):
        found = look_inside(asgi_apps("")["django"])
        assert (found.mounts, found.stripped) == (("/api",), ("/api",))
        found = look_inside(wsgi_apps("")["django"])
        assert (found.mounts, found.stripped) == (("/api",), ())
        assert look_inside(starlette()) == Inside(possible=("/api",))


def test_a_router_of_wsgi_is_told_from_a_single_app() -> None:
    single = [flask(), flask().wsgi_app, Wrapped(bottle_app()), ProxyFix(flask().wsgi_app)]
    several = [DispatcherMiddleware(flask(), {"/a": flask()}), lambda environ, start: [], object()]
    assert [look_inside(app).routes for app in single] == [False] * 4
    assert [look_inside(app).routes for app in several] == [True] * 3


def test_litestars_way_with_mounts_is_known() -> None:
    assert look_inside(Wrapped(litestar())).splits


def test_apps_that_hold_each_other_are_looked_at_once() -> None:
    one, other = Wrapped(None), Wrapped(None)
    one.app, other.app = other, one
    assert look_inside(one) == Inside()


@pytest.mark.parametrize("root", ["api", "https://app.example.com/api", "/a%20b", "/é"])
def test_a_root_path_that_cannot_be_one_is_refused(root: str) -> None:
    with pytest.raises(ConfigurationError, match=r"FastAPI.root_path .*mount=.*'/prod'"):
        AmplifyASGIMiddleware(fastapi(root), config())
    with django_at(root), pytest.raises(ConfigurationError, match="FORCE_SCRIPT_NAME"):
        AmplifyASGIMiddleware(asgi_apps("")["django"], config())


def test_a_said_mount_comes_after_the_configured(pool: Any) -> None:
    middleware = AmplifyASGIMiddleware(fastapi("/api"), config(mount="/prod"))
    assert middleware.engine.authenticator.mounts.prefixes == ("/prod", "/api")
    middleware = AmplifyASGIMiddleware(fastapi("/api"), config(mount=["/prod", "/api"]))
    assert middleware.engine.authenticator.mounts.prefixes == ("/prod", "/api")


def test_an_engine_keeps_its_clock_and_caches_for_an_app_with_a_mount() -> None:
    engine = Engine(config(), clock=lambda: 7.0)
    middleware = AmplifyASGIMiddleware(fastapi("/api"), engine)
    assert middleware.engine.clock() == 7.0
    assert middleware.engine.driver is engine.driver
