"""Falcon: refusals among its middlewares, its test client, and what it runs elsewhere."""

import asyncio
from typing import Any

import falcon
import falcon.asgi
import pytest
from falcon.testing import ASGIConductor, TestClient

from amplify_mw import (
    AuthError,
    NetworkError,
    OutsideRequestError,
    carry,
    get_current_user,
    user_or_none,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.falcon import handle_auth_errors, require
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE


@falcon.before(require(groups=["editors"]))
class Guarded:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.text = f"{req.context.user} {req.context.user.groups}"


@falcon.before(require(groups=["editors"]))
class AwaitedGuarded:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.text = f"{req.context.user} {req.context.user.groups}"


class Down:
    def on_get(self, req: Any, resp: Any) -> None:
        raise NetworkError(reason="store_unavailable")


class AwaitedDown:
    async def on_get(self, req: Any, resp: Any) -> None:
        raise NetworkError(reason="store_unavailable")


def wsgi_app(**options: Any) -> Any:
    app = falcon.App(**options)
    handle_auth_errors(app)
    app.add_route("/guarded", Guarded())
    app.add_route("/down", Down())
    return app


def asgi_app(**options: Any) -> Any:
    app = falcon.asgi.App(**options)
    handle_auth_errors(app)
    app.add_route("/guarded", AwaitedGuarded())
    app.add_route("/down", AwaitedDown())
    return app


BOTH = [(wsgi_app, AmplifyWSGIMiddleware), (asgi_app, AmplifyASGIMiddleware)]
both = pytest.mark.parametrize(("make", "middleware"), BOTH, ids=["wsgi", "asgi"])


def get(app: Any, path: str, headers: Any = None) -> Any:
    """What Falcon's own test clients get of an app of either kind."""
    if isinstance(app, falcon.asgi.App | AmplifyASGIMiddleware):
        return asyncio.run(awaited(app, path, headers))
    return TestClient(app).simulate_get(path, headers=headers)


async def awaited(app: Any, path: str, headers: Any) -> Any:
    async with ASGIConductor(app) as conductor:
        return await conductor.simulate_get(path, headers=headers)


@both
def test_refusals_get_the_headers_of_falcons_cors(
    make: Any, middleware: Any, pool: LocalUserPool
) -> None:
    app = middleware(make(cors_enable=True), pool.config())
    answer = get(app, "/guarded", {"Origin": "https://admin.example.com"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Cookie ")


@both
def test_a_redirect_has_no_body_and_no_type(
    make: Any, middleware: Any, pool: LocalUserPool
) -> None:
    app = middleware(make(), pool.config(login_url="/login"))
    answer = get(app, "/guarded", {"Accept": "text/html"})
    assert answer.headers["location"] == "/login?next=%2Fguarded"
    assert (answer.status_code, answer.content) == (302, b"")


@both
def test_what_cannot_be_checked_is_a_503(make: Any, middleware: Any, pool: LocalUserPool) -> None:
    answer = get(middleware(make(), pool.config()), "/down")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


@both
def test_falcons_own_test_client_sees_a_pinned_user(
    make: Any, middleware: Any, pool: LocalUserPool
) -> None:
    with signed_in("ada", groups=["editors"]):
        assert get(middleware(make(), pool.config()), "/guarded").text == "ada ('editors',)"
    with signed_in("bob"):
        assert get(make(), "/guarded").status_code == 403


@both
def test_without_a_middleware_an_error_is_no_401(
    make: Any, middleware: Any, pool: LocalUserPool
) -> None:
    with pytest.raises(NetworkError):
        get(make(), "/down")


def test_a_handler_of_the_apps_own_comes_first(pool: LocalUserPool) -> None:
    def later(req: Any, resp: Any, error: AuthError, params: Any) -> None:
        resp.status, resp.text = 503, "later"

    app = wsgi_app()
    app.add_error_handler(NetworkError, later)
    wrapped = AmplifyWSGIMiddleware(app, pool.config())
    assert get(wrapped, "/down").text == "later"
    assert get(wrapped, "/guarded").status_code == 401


def test_what_falcon_runs_on_threads_needs_carry(pool: LocalUserPool, ada: str) -> None:
    """`sync_to_async` and `schedule_sync` start functions outside of the request's context."""
    told: dict[str, str] = {}
    over = asyncio.Event()

    def name() -> str:
        try:
            return get_current_user().username
        except OutsideRequestError:
            return "outside"

    class Threads:
        async def on_get(self, req: Any, resp: Any) -> None:
            loop = asyncio.get_running_loop()

            def scheduled() -> None:
                told["scheduled"] = name()
                loop.call_soon_threadsafe(over.set)

            told["plain"] = await falcon.sync_to_async(name)
            told["carried"] = await falcon.sync_to_async(carry(name))
            resp.schedule_sync(scheduled)
            resp.text = user_or_none().username  # type: ignore[union-attr]

    async def serve() -> Any:
        app = falcon.asgi.App()
        app.add_route("/threads", Threads())
        headers = [(b"cookie", f"amplify-session={ada}".encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/threads",
            "query_string": b"",
            "headers": headers,
            "root_path": "",
        }
        sent: list[Any] = []
        messages = [{"type": "http.disconnect"}, {"type": "http.request"}]

        async def receive() -> Any:
            return messages.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        await AmplifyASGIMiddleware(app, pool.config())(scope, receive, send)
        await asyncio.wait_for(over.wait(), PATIENCE)
        return sent

    sent = asyncio.run(serve())
    assert b"".join(message.get("body", b"") for message in sent) == b"ada"
    assert told == {"plain": "outside", "carried": "ada", "scheduled": "outside"}
