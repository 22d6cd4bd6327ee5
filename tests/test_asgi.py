"""What only the ASGI shell does: every kind of message, and contexts that come and go."""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from asgiref.wsgi import WsgiToAsgi

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    ConfigurationError,
    ForbiddenException,
    NotAuthorizedException,
    RequestAuth,
    RequestUser,
    aio,
    get_current_user,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.context import CURRENT
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import Down, LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.shells import ASGIShell, Ask

SHELL = ASGIShell()
Scope = dict[str, Any]


def name() -> str:
    try:
        return get_current_user().username
    except AuthError as error:
        return error.reason


@pytest.fixture
def wrap(config: AmplifyConfig) -> Callable[..., AmplifyASGIMiddleware]:
    return lambda app, **options: AmplifyASGIMiddleware(app, config, **options)


def http(pool: LocalUserPool) -> Scope:
    return SHELL.scope(Ask(cookie=pool.mint("ada")))


def websocket(cookie: str | None = None, **headers: str) -> Scope:
    scope = SHELL.scope(Ask(cookie=cookie, headers=headers, path="/ws"))
    return {**scope, "type": "websocket", "extensions": {"websocket.http.response": {}}}


async def exchange(app: Any, scope: Scope, *sent: Scope, answers: int = 1) -> list[Any]:
    communicator = ApplicationCommunicator(app, scope)
    for message in sent:
        await communicator.send_input(message)
    received = [await communicator.receive_output(5) for _ in range(answers)]
    await communicator.wait(PATIENCE)
    return received


REQUEST = {"type": "http.request", "body": b"", "more_body": False}
CONNECT = {"type": "websocket.connect"}


@pytest.mark.parametrize("kind", ["lifespan", "something.new"])
def test_other_scopes_pass_untouched(wrap: Any, kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    given = ({"type": kind}, object(), object())
    asyncio.run(wrap(app)(*given))
    assert all(one is other for one, other in zip(seen, given, strict=True))


def test_the_scope_is_the_servers_own(wrap: Any, pool: LocalUserPool) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((scope, dict(scope)))

    async def receive() -> Any: ...

    scope = http(pool)
    before = dict(scope)
    asyncio.run(wrap(app)(scope, receive, receive))
    added = {name: seen[1].pop(name) for name in ("user", "auth")}
    assert (seen[0] is scope, seen[1]) == (True, before)
    assert {name: type(value) for name, value in added.items()} == {
        "user": RequestUser,
        "auth": RequestAuth,
    }


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
        {"type": "http.response.debug", "info": {"template": "x"}},
        {"type": "http.response.push", "path": "/x", "headers": []},
        {"type": "http.response.zerocopysend", "file": 3},
        {"type": "http.response.pathsend", "path": "/x"},
        {"type": "http.response.trailers", "headers": [], "more_trailers": False},
        {"type": "http.response.body", "body": b"x", "more_body": True, "own": 1},
        {"type": "something.new", "headers": [(b"set-cookie", b"a=b")]},
    ],
    ids=lambda message: message["type"],
)
def test_every_other_message_passes_untouched(wrap: Any, message: Scope) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name()
        await send(message)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(wrap(app)(SHELL.scope(Ask(cookie="junk")), send, send))
    assert sent[0] is message
    assert sent[2] is message


def test_unknown_keys_of_a_start_are_kept(wrap: Any) -> None:
    start = {"type": "http.response.start", "status": 200, "trailers": True, "own": 1}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name()
        await send(start)

    [got] = asyncio.run(exchange(wrap(app), SHELL.scope(Ask(cookie="junk")), REQUEST))
    assert {key: got[key] for key in start} == start
    assert got["headers"]
    assert "headers" not in start


def test_a_second_start_is_the_servers_to_refuse(wrap: Any, pool: LocalUserPool) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": []}
    got: list[tuple[object, object]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name()
        await send(start)
        await send(start)

    async def server(message: Any) -> None:
        got.append((message, copy_context().get(CURRENT)))

    asyncio.run(wrap(app)(http(pool), REQUEST, server))
    assert got[0][0] is not start
    assert got[1] == (start, None)
    assert got[1][0] is start


def test_several_cookie_fields_are_one(wrap: Any, pool: LocalUserPool) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(name())

    scope = http(pool)
    token = pool.mint("ada").encode()
    scope["headers"] = [(b"cookie", b"a=b"), (b"cookie", b"amplify-session=" + token)]
    asyncio.run(wrap(app)(scope, None, None))
    scope["headers"].append((b"cookie", b"amplify-session=another"))
    asyncio.run(wrap(app)({**scope, "headers": list(scope["headers"])}, None, None))
    assert seen == ["ada", "duplicate_cookie"]


def test_headers_that_can_be_read_but_once_reach_the_app(wrap: Any, pool: LocalUserPool) -> None:
    """ASGI calls them an iterable of such; Falcon's test client gives iterators."""
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([name(), list(scope["headers"])])

    scope = http(pool)
    asyncio.run(wrap(app)({**scope, "headers": map(iter, scope["headers"])}, None, None))
    assert seen == ["ada", scope["headers"]]
    # a page of another site is still told from our own
    page = (b"origin", b"https://evil.example")
    post = {**scope, "method": "POST", "headers": iter([page, *scope["headers"]])}
    (start, _) = asyncio.run(exchange(wrap(app), post, REQUEST, answers=2))
    assert start["status"] == 403


def test_a_scope_without_headers_is_nobodys(wrap: Any, pool: LocalUserPool) -> None:
    """Starlette's own tests have such."""
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([name(), scope["user"].is_authenticated])

    scope = {key: value for key, value in http(pool).items() if key != "headers"}
    asyncio.run(wrap(app)(scope, None, None))
    assert seen == ["no_session", False]


@pytest.mark.parametrize("ending", [LookupError, asyncio.CancelledError, KeyboardInterrupt])
def test_whatever_ends_the_app_is_raised_with_the_context_reset(
    wrap: Any, pool: LocalUserPool, ending: type[BaseException]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert name() == "ada"
        raise ending

    def step() -> None:
        coroutine = wrap(app)(http(pool), None, None)
        with pytest.raises(ending):
            coroutine.send(None)
        assert CURRENT.get() is None

    warm = wrap(_nothing)  # an engine is shared by equal configurations: this one has the keys
    asyncio.run(warm(http(pool), None, None))
    copy_context().run(step)


async def _nothing(scope: Any, receive: Any, send: Any) -> None: ...


def test_a_coroutine_closed_from_another_context_raises_nothing(
    wrap: Any, pool: LocalUserPool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)

    middleware, scope = wrap(app), http(pool)
    asyncio.run(middleware(scope, None, None))
    coroutine = middleware({**scope, "headers": list(scope["headers"])}, None, None)
    copy_context().run(coroutine.send, None)
    coroutine.close()
    assert CURRENT.get() is None


def test_an_error_after_the_start_is_the_servers(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        get_current_user()

    async def send(message: Any) -> None: ...

    with pytest.raises(AuthError):
        asyncio.run(wrap(app)(SHELL.scope(Ask()), None, send))


def test_the_server_is_called_without_a_user(wrap: Any, pool: LocalUserPool) -> None:
    """A server may keep the context it is called in, for the connection's next request."""
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        seen.clear()  # no server takes up another request before the body's end
        await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        seen.append(name())

    async def server(*message: Any) -> None:
        seen.append(copy_context().get(CURRENT))

    asyncio.run(wrap(app)(http(pool), server, server))
    assert seen == [None, None, "ada"]


# --- awaited verbs


def test_the_awaited_verbs_answer(wrap: Any, pool: LocalUserPool) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await aio.get_current_user()).username)
        seen.append((await aio.fetch_user_attributes())["email"])
        seen.append((await aio.fetch_auth_session()).user_sub)

    scope = SHELL.scope(Ask(cookie=pool.sign_in("ada").access_token))
    asyncio.run(wrap(app)(scope, None, None))
    assert seen[:2] == ["ada", "ada@example.com"]
    assert seen[2]


# --- WebSockets


async def greeting(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": None})
    await send({"type": "websocket.send", "text": name()})


def test_a_websocket_has_the_user_of_its_handshake(wrap: Any, pool: LocalUserPool) -> None:
    scope = websocket(pool.mint("ada"))
    accept, said = asyncio.run(exchange(wrap(greeting), scope, CONNECT, answers=2))
    assert said["text"] == "ada"
    assert accept == {"type": "websocket.accept", "subprotocol": None}


def test_an_invalid_cookie_is_cleared_on_accept(wrap: Any) -> None:
    accept, said = asyncio.run(exchange(wrap(greeting), websocket("junk"), CONNECT, answers=2))
    assert said["text"] == "malformed_token"
    assert any(value.startswith(b"amplify-session=;") for _, value in accept["headers"])


def test_an_invalid_cookie_is_cleared_on_the_denial(wrap: Any) -> None:
    app = wrap(greeting, protect=["/ws"])
    start, body = asyncio.run(exchange(app, websocket("junk"), CONNECT, answers=2))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert any(value.startswith(b"amplify-session=;") for _, value in start["headers"])
    assert body["type"] == "websocket.http.response.body"


def test_a_server_without_denial_responses_gets_a_close(wrap: Any) -> None:
    scope = {**websocket(), "extensions": {}}
    [got] = asyncio.run(exchange(wrap(greeting, protect=["/ws"]), scope, CONNECT))
    assert got["type"] == "websocket.close"


def test_a_foreign_page_may_not_use_the_session(wrap: Any, pool: LocalUserPool) -> None:
    scope = websocket(pool.mint("ada"), Origin="https://evil.example", Host="evil.example")
    start, _ = asyncio.run(exchange(wrap(greeting), scope, CONNECT, answers=2))
    assert start["status"] == 403


@pytest.mark.parametrize(
    ("headers", "origins"),
    [
        ({}, []),
        ({"Origin": "https://app.example.com"}, ["https://app.example.com"]),
        ({"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin"}, []),
    ],
)
def test_a_page_of_this_site_may(
    wrap: Any, pool: LocalUserPool, headers: dict[str, str], origins: list[str]
) -> None:
    scope = websocket(pool.mint("ada"), **headers)
    app = wrap(greeting, origins=origins)
    assert asyncio.run(exchange(app, scope, CONNECT, answers=2))[1]["text"] == "ada"


def test_a_page_of_this_site_has_to_be_named_where_browsers_vouch_for_no_handshake(
    wrap: Any, pool: LocalUserPool
) -> None:
    scope = websocket(pool.mint("ada"), Origin="https://app.example.com")  # as Chromium sends it
    start, _ = asyncio.run(exchange(wrap(greeting), scope, CONNECT, answers=2))
    assert start["status"] == 403


def test_a_foreign_page_without_a_session_may_connect(wrap: Any) -> None:
    scope = websocket(Origin="https://evil.example")
    assert asyncio.run(exchange(wrap(greeting), scope, CONNECT, answers=2))[1]["text"] == (
        "no_session"
    )


def test_an_open_websocket_ends_with_its_token(pool: LocalUserPool) -> None:
    now = [time.time()]
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            for verb in (aio.get_current_user, aio.fetch_user_attributes, aio.fetch_auth_session):
                try:
                    await verb()
                    seen.append("known")
                except AuthError as error:
                    seen.append(error.reason)
            now[0] += 7200

    engine = Engine(pool.config(), clock=lambda: now[0])
    scope = websocket(pool.mint("ada"))
    asyncio.run(exchange(AmplifyASGIMiddleware(app, engine), scope, CONNECT))
    assert seen == ["known"] * 3 + ["token_expired"] * 3


@pytest.mark.parametrize(
    ("needs", "later", "code"),
    [({"fresh": 300}, 600, 3000), ({}, 7200, 3000), ({"groups": ["admins"]}, 0, 3003)],
)
def test_a_guard_closes_an_open_websocket(
    pool: LocalUserPool, needs: Any, later: int, code: int
) -> None:
    now = [time.time()]

    @require_auth(**needs)
    def pay() -> None: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if later:
            pay()
        now[0] += later
        pay()

    engine = Engine(pool.config(), clock=lambda: now[0])
    scope = websocket(pool.mint("ada"))
    answers = asyncio.run(exchange(AmplifyASGIMiddleware(app, engine), scope, CONNECT, answers=2))
    assert answers[1] == {"type": "websocket.close", "code": code}


@pytest.mark.parametrize(
    ("header", "keys", "code"),
    [("Bearer a b", True, 1008), ("Bearer {token}", False, 1013), ("Bearer a.b.c", True, 3000)],
)
def test_a_header_that_cannot_be_used_closes_an_open_websocket(
    pool: LocalUserPool, header: str, keys: bool, code: int
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        get_current_user()

    config = pool.config(bearer=True, **({"keys": pool.jwks()} if keys else {}))
    scope = websocket(Authorization=header.format(token=pool.mint("ada", "access")))
    with nullcontext() if keys else pool.fault("jwks", Down()):
        middleware = AmplifyASGIMiddleware(app, Engine(config, clock=time.time))
        answers = asyncio.run(exchange(middleware, scope, CONNECT, answers=2))
    assert answers[1] == {"type": "websocket.close", "code": code}


def test_an_app_that_has_closed_its_websocket_keeps_its_error(pool: LocalUserPool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        require_auth(groups=["admins"])(lambda: None)()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        if sent and sent[-1]["type"] == "websocket.close":
            raise RuntimeError("it is closed")
        sent.append(message)

    middleware = AmplifyASGIMiddleware(app, pool.config())
    with pytest.raises(ForbiddenException):
        asyncio.run(middleware(websocket(pool.mint("ada")), CONNECT, send))  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]


def test_a_request_stays_what_it_was_at_its_start(pool: LocalUserPool) -> None:
    now = [time.time()]
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        now[0] += 7200
        seen.append(name())

    engine = Engine(pool.config(), clock=lambda: now[0])
    asyncio.run(AmplifyASGIMiddleware(app, engine)(http(pool), None, None))
    assert seen == ["ada"]


def test_attributes_of_a_websocket_are_not_kept_for_its_life(pool: LocalUserPool) -> None:
    now = [time.time()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await aio.fetch_user_attributes()
            now[0] += 600

    engine = Engine(pool.config(), clock=lambda: now[0])
    scope = websocket(pool.sign_in("ada").access_token)
    asyncio.run(exchange(AmplifyASGIMiddleware(app, engine), scope, CONNECT))
    assert pool.count("GetUser") == 2


def test_an_error_after_the_apps_own_close_is_the_servers(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})
        get_current_user()

    async def send(message: Any) -> None: ...

    with pytest.raises(AuthError):
        asyncio.run(wrap(app)(websocket(), None, send))


def test_an_error_out_of_a_task_group_gets_the_guards_answer(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(whoever())

    async def whoever() -> None:
        await aio.get_current_user()

    start, _ = asyncio.run(exchange(wrap(app), SHELL.scope(Ask()), REQUEST, answers=2))
    assert start["status"] == 401


def test_a_group_with_another_error_is_the_apps(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        error = NotAuthorizedException(reason="no_session")
        raise ExceptionGroup("both", [error, LookupError()])

    with pytest.raises(ExceptionGroup):
        asyncio.run(wrap(app)(SHELL.scope(Ask()), None, None))


def test_two_pools_are_refused_across_an_adapter_too(wrap: Any, pool: LocalUserPool) -> None:
    def page(environ: Any, start_response: Any) -> list[bytes]:
        raise AssertionError("called")

    other = AmplifyConfig(user_pool_id="eu-west-1_Other", client_id="web")
    app = wrap(WsgiToAsgi(AmplifyWSGIMiddleware(page, other)))
    with pytest.raises(ConfigurationError, match=r"CookiePolicy\(name="):
        asyncio.run(exchange(app, http(pool), REQUEST))


def test_an_error_before_accept_gets_the_guards_answer(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        get_current_user()

    start, _ = asyncio.run(exchange(wrap(app), websocket(), CONNECT, answers=2))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
