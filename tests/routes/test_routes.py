"""The routes among other things: other middlewares, other apps, other protocols."""

import asyncio
from typing import Any

import pytest

from amplify_mw.testing import signed_in
from tests.routes.going import Visitor
from tests.shells import ASGIShell, Ask
from tests.sites import Build, Site


def test_without_routes_their_paths_are_the_apps(build: Build) -> None:
    assert Visitor(build(routes=None)).go("/auth/sign-in").body == "the app"


def test_of_two_middlewares_the_one_with_the_routes_answers(build: Build) -> None:
    bare, full = build("sealed", routes=None), build("sealed")
    for inner, outer in ((bare, full), (full, bare), (full, full)):
        app = inner.app(lambda: "the app")
        app = inner.shell.middleware(app, outer.engine)
        got = inner.shell.send(app, Ask("/auth/sign-in"))
        assert (got.status, len(got.all("set-cookie"))) == (303, 1)


def test_each_of_two_prefixes_is_served(build: Build) -> None:
    one, two = build("sealed"), build("sealed", routes={"prefix": "/admin"})
    app = one.shell.middleware(one.app(lambda: "the app"), two.engine)
    for prefix in ("/auth", "/admin"):
        got = one.shell.send(app, Ask(f"{prefix}/sign-in"))
        assert f"Path={prefix};" in str(got.one("set-cookie"))


def test_who_is_pinned_by_a_test_is_signed_in_there_too(build: Build) -> None:
    visitor = Visitor(build())
    with signed_in("grace"):
        assert visitor.leave(next="/orders") == "/orders"


def test_options_for_one_middleware_may_bring_the_routes(build: Build) -> None:
    site = build(routes=None)
    other = build()
    app = site.shell.middleware(lambda *_: None, site.config, routes=other.config.routes)
    assert site.shell.send(app, Ask("/auth/sign-in")).status == 303
    app.engine.close()


@pytest.mark.parametrize("cookie", ["junk", "a.b.c"])
def test_a_cookie_that_is_refused_goes_with_the_answer(build: Build, cookie: str) -> None:
    visitor = Visitor(build(), {"amplify-session": cookie})
    got = visitor.go("/auth/sign-in")
    assert (got.status, got.clears_cookie) == (303, True)
    assert len(visitor.attempts) == 1


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_a_websocket_at_a_routes_path_is_the_apps(build: Build, shell: ASGIShell) -> None:
    site: Site = build()
    scope = {**shell.scope(Ask("/auth/sign-in")), "type": "websocket"}
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(shell.middleware(app, site.engine)(scope, receive, send))
    assert [message["type"] for message in messages] == ["websocket.accept"]


def test_a_session_that_is_over_is_no_reason_to_go_on_at_once(visitor: Visitor, clock: Any) -> None:
    visitor.sign_in()
    clock.advance(400 * 86_400)
    assert visitor.leave().startswith(f"{visitor.site.pool.url}/oauth2/authorize?")
    assert visitor.jar.keys() == visitor.attempts.keys()
