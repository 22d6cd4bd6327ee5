"""Quart's `AmplifyAuth`: as Flask's, with sockets, background tasks and Quart's own debug page."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from quart import Blueprint, Quart, Response, render_template_string, websocket
from quart.testing import WebsocketResponseError
from quart.testing.connections import WebsocketDisconnectError
from websockets.exceptions import ConnectionClosed

from amplify_mw import (
    ConfigurationError,
    NotAuthorizedException,
    OutsideRequestError,
    aio,
    carry,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.events import Event, Refused
from amplify_mw.integrations.quart import AmplifyAuth, current_user, request_refused
from amplify_mw.testing import LocalUserPool, signed_in
from tests.frameworks.conftest import USERS
from tests.frameworks.servers import ASGI_SERVERS, Servers
from tests.frameworks.test_websockets import dial
from tests.patience import PATIENCE


@pytest.fixture
def app(pool: LocalUserPool) -> Quart:
    """With the extension, and `/` that says who is there."""
    app = Quart(__name__)
    AmplifyAuth(app, pool.config())

    @app.get("/")
    async def home() -> str:
        return str(current_user) or "nobody"

    return app


def run(action: Any) -> Any:
    return asyncio.run(asyncio.wait_for(action, PATIENCE))


def ask(app: Quart, path: str = "/", cookie: str | None = None) -> Any:
    """The response, with its `text`."""

    async def asked() -> Any:
        headers = {} if cookie is None else {"Cookie": f"amplify-session={cookie}"}
        response = await app.test_client(use_cookies=False).get(path, headers=headers)
        response.text = await response.get_data(as_text=True)
        return response

    return run(asked())


def test_the_proxy_is_the_user_of_each_request(app: Quart, ada: str, pool: LocalUserPool) -> None:
    seen = [ask(app, cookie=cookie).text for cookie in (ada, None, pool.sign_in("bob").id_token)]
    assert seen == ["ada", "nobody", "bob"]


def test_a_user_of_a_test_is_the_proxys(app: Quart) -> None:
    with signed_in("ada"):
        assert ask(app).text == "ada"


def test_synchronous_views_see_the_user_on_their_thread(app: Quart, ada: str) -> None:
    app.get("/thread")(lambda: current_user.username)
    assert ask(app, "/thread", ada).text == "ada"
    assert ask(app, "/thread").status_code == 401


def test_templates_have_the_user(app: Quart, ada: str) -> None:
    text = (
        "{% if current_user %}Hello {{ current_user }}, {{ current_user.has_group('editors') }},"
        "{% for group in current_user.groups %}{{ group }}{% endfor %}{% else %}Hello{% endif %}"
    )

    @app.get("/page")
    async def page() -> str:
        return await render_template_string(text)

    @app.errorhandler(404)
    async def missing(error: Exception) -> tuple[str, int]:
        return await render_template_string(text), 404

    for path in ("/page", "/nothing"):
        assert ask(app, path, ada).text == "Hello ada, False,"
        assert ask(app, path).text == "Hello"


def test_outside_a_request_the_proxy_never_looks_like_a_visitor(app: Quart) -> None:
    async def asks() -> None:
        async with app.test_request_context("/"):
            for use in (bool, str, lambda user: user.username):
                with pytest.raises(OutsideRequestError):
                    use(current_user)
            with pytest.raises(OutsideRequestError):
                await render_template_string("{% if current_user %}x{% endif %}")

    run(asks())


# --- errors


async def raises(*_: Any) -> Any:
    return current_user.username  # nobody has one


def in_before_request(app: Quart) -> None:
    app.before_request(raises)


def in_a_view(app: Quart) -> None:
    app.get("/x")(raises)


def in_a_template(app: Quart) -> None:
    @app.get("/x")
    async def page() -> str:
        return await render_template_string("{{ current_user.to_dict() }}")


def in_a_blueprint(app: Quart) -> None:
    admin = Blueprint("admin", __name__)

    @admin.before_request
    @require_auth
    async def only_users() -> None:
        pass

    admin.get("/x")(lambda: "secret")
    app.register_blueprint(admin)


def in_an_error_handler(app: Quart) -> None:
    app.register_error_handler(404, raises)


def in_its_own_error_handler(app: Quart) -> None:
    app.get("/x")(raises)
    app.register_error_handler(NotAuthorizedException, raises)


def in_after_request(app: Quart) -> None:
    app.get("/x")(lambda: "secret")
    app.after_request(raises)


def in_a_teardown(app: Quart) -> None:
    app.get("/x")(lambda: "secret")
    app.teardown_request(raises)


PLACES = [
    in_before_request, in_a_view, in_a_template, in_a_blueprint, in_an_error_handler,
    in_its_own_error_handler, in_after_request, in_a_teardown,
]  # fmt: skip
SETTINGS: list[dict[str, bool]] = [
    {},
    {"TESTING": True},
    {"DEBUG": True},
    {"PROPAGATE_EXCEPTIONS": True},
    {"PROPAGATE_EXCEPTIONS": False, "DEBUG": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_an_error_is_answered_wherever_it_is_raised(
    app: Quart, place: Callable[[Quart], None], settings: dict[str, bool]
) -> None:
    app.config.update(settings)
    place(app)
    answer = ask(app, "/x", "junk")
    assert "secret" not in answer.text
    if place is in_a_teardown and (settings.get("TESTING") or settings.get("DEBUG")):
        assert answer.status_code == 500  # Quart's page for developers
        return
    assert (answer.status_code, '"title": "Unauthorized"' in answer.text) == (401, True)
    assert answer.headers["Set-Cookie"].startswith("amplify-session=;")


def test_a_handler_of_the_apps_own_comes_first(app: Quart) -> None:
    in_a_view(app)

    @app.errorhandler(NotAuthorizedException)
    async def sign_in(error: Exception) -> tuple[str, int]:
        return "please sign in", 401

    assert ask(app, "/x").text == "please sign in"


def test_where_no_middleware_is_an_error_stays_one(pool: LocalUserPool) -> None:
    app = Quart(__name__)
    AmplifyAuth(app, pool.config(), ignore=["/static/*"])

    @app.get("/static/x")
    async def refused() -> str:
        raise NotAuthorizedException(reason="no_session")

    assert ask(app, "/static/x").status_code == 500
    app.config["PROPAGATE_EXCEPTIONS"] = True  # Quart hands it to the server
    with pytest.raises(NotAuthorizedException):
        ask(app, "/static/x")


def test_the_page_for_developers_holds_no_token(app: Quart, pool: LocalUserPool) -> None:
    """It shows the local variables of all functions, those of this library too."""
    app.debug = True

    @app.get("/fails")
    async def fails() -> str:
        user, one, session = current_user, current_user.user, await aio.fetch_auth_session()  # noqa: F841
        raise ZeroDivisionError

    token = pool.sign_in("ada").id_token
    answer = ask(app, "/fails", token)
    assert (answer.status_code, "ZeroDivisionError" in answer.text) == (500, True)
    for part in token.split("."):
        assert part not in answer.text


def test_a_stream_sees_its_user(app: Quart, ada: str) -> None:
    async def names() -> Any:
        for _ in range(3):
            yield current_user.username

    app.get("/stream")(lambda: Response(names()))
    assert ask(app, "/stream", ada).text == "adaadaada"


def test_a_background_task_has_the_user_it_carries(app: Quart, ada: str) -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(current_user.username)

    @app.get("/begin")
    async def begin() -> str:
        app.add_background_task(carry(work))
        return "begun"

    async def asked() -> None:
        async with app.test_app() as running:
            headers = {"Cookie": f"amplify-session={ada}"}
            await running.test_client().get("/begin", headers=headers)

    run(asked())
    assert seen == ["ada"]


def test_a_background_task_without_it_is_told_that_the_request_is_over(
    app: Quart, ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_over = asyncio.Event()

    async def work() -> None:
        await is_over.wait()
        current_user.username  # noqa: B018

    @app.get("/begin")
    async def begin() -> str:
        app.add_background_task(work)
        return "begun"

    async def asked() -> None:
        async with app.test_app() as running:
            headers = {"Cookie": f"amplify-session={ada}"}
            await running.test_client().get("/begin", headers=headers)
            is_over.set()

    run(asked())
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OutsideRequestError)


# --- sockets


@pytest.fixture
def sockets(app: Quart) -> Quart:
    """With sockets that ask for the user: before they are open, and after."""

    @app.websocket("/shut")
    async def shut() -> None:
        current_user.username  # noqa: B018
        await websocket.accept()

    @app.websocket("/open")
    async def opened() -> None:
        await websocket.accept()
        await websocket.send(current_user.username)

    @app.before_websocket
    async def guard() -> None:
        if websocket.path == "/guarded":
            await aio.get_current_user()

    app.websocket("/guarded")(opened)
    return app


async def told_by(app: Quart, path: str, cookie: str | None) -> Any:
    headers = {} if cookie is None else {"Cookie": f"amplify-session={cookie}"}
    async with app.test_client(use_cookies=False).websocket(path, headers=headers) as socket:
        return await socket.receive()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_socket_that_needs_a_user_is_refused(
    sockets: Quart, ada: str, settings: dict[str, bool]
) -> None:
    sockets.config.update(settings)
    for path in ("/shut", "/guarded"):
        with pytest.raises(WebsocketResponseError) as refused:
            run(told_by(sockets, path, "junk"))
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["Set-Cookie"].startswith("amplify-session=;")
    assert run(told_by(sockets, "/guarded", ada)) == "ada"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_open_socket_that_needs_a_user_is_closed_with_a_code(
    sockets: Quart, settings: dict[str, bool]
) -> None:
    sockets.config.update(settings)
    with pytest.raises(WebsocketDisconnectError) as closed:
        run(told_by(sockets, "/open", None))
    assert closed.value.args == (3000,)


@pytest.mark.parametrize("server", ASGI_SERVERS)
@pytest.mark.parametrize(
    ("path", "is_user", "code"),
    [("/escape-open", False, 3000), ("/escape-open?editors=1", True, 3003)],
)
def test_a_servers_open_socket_is_closed_with_a_code(
    servers: Servers, ada: str, server: str, path: str, is_user: bool, code: int
) -> None:
    with dial(servers.site(server, "quart"), ada if is_user else None, path) as socket:
        socket.send("who?")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


# --- set-up, and signals


def test_a_factory_makes_two_apps_of_one_extension(pool: LocalUserPool) -> None:
    auth = AmplifyAuth(config=pool.config())
    apps = [Quart("one"), Quart("two")]
    for app, path in zip(apps, ("/one", "/two"), strict=True):
        auth.init_app(app, protect=[path])
    seen = [ask(app, path).status_code for app in apps for path in ("/one", "/two")]
    assert seen == [401, 404, 404, 401]


def test_the_configuration_may_come_from_the_apps_own(pool: LocalUserPool) -> None:
    app = Quart(__name__)
    with pytest.raises(ConfigurationError, match="config: it is missing"):
        AmplifyAuth(app)
    app.config["AMPLIFY_MW"] = pool.config(protect=["/*"])
    AmplifyAuth(app)
    assert ask(app).status_code == 401


def test_a_second_one_is_an_error_that_says_what_to_write(app: Quart, pool: LocalUserPool) -> None:
    with pytest.raises(ConfigurationError, match="only once"):
        AmplifyAuth(app, pool.config())
    with pytest.raises(ConfigurationError, match=r"AmplifyAuth\(config=config\)"):
        AmplifyAuth(pool.config())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="write a Quart app; got Flask"):
        AmplifyAuth(Flask(__name__), pool.config())  # type: ignore[arg-type]
    by_hand = Quart(__name__)
    middleware: Any = AmplifyASGIMiddleware(by_hand.asgi_app, pool.config())
    by_hand.asgi_app = middleware  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match="leave that line out"):
        AmplifyAuth(by_hand, pool.config())


def test_an_app_is_freed(pool: LocalUserPool) -> None:
    app = Quart(__name__)
    AmplifyAuth(app, pool.config(on_event=lambda event: None))
    assert ask(app).status_code == 404
    freed = weakref.ref(app)
    del app
    gc.collect()
    assert freed() is None


def test_tasks_see_their_own_users(app: Quart, pool: LocalUserPool) -> None:
    tokens = {pool.sign_in(name).id_token: name for name in USERS}

    async def see(token: str) -> str:
        headers = {"Cookie": f"amplify-session={token}"}
        answer = await app.test_client(use_cookies=False).get("/", headers=headers)
        return str(await answer.get_data(as_text=True))

    async def see_all() -> list[str]:
        return await asyncio.gather(*map(see, [*tokens] * 3))

    assert run(see_all()) == [*tokens.values()] * 3


def test_signals_tell_of_the_apps_own_events(pool: LocalUserPool) -> None:
    apps = [Quart("one"), Quart("two")]
    for app in apps:
        AmplifyAuth(app, pool.config(protect=["/*"]))
    told: list[tuple[Quart, Event]] = []
    with request_refused.connected_to(lambda app, event: told.append((app, event))):
        for app in reversed(apps):
            ask(app)
    assert [(app, type(event)) for app, event in told] == [(apps[1], Refused), (apps[0], Refused)]
