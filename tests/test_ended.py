"""A visit ends with its request: what is left over from it has no user, unless one was carried."""

import asyncio
import copy
import gc
import itertools
import pickle
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.wsgi import WsgiToAsgi
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import amplify_mw
from amplify_mw import (
    AmplifyConfig,
    AuthError,
    OutsideRequestError,
    RequestAuth,
    RequestUser,
    StoredSession,
    aio,
    carry,
    get_current_user,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.authenticator import Visit
from amplify_mw.engine.context import CURRENT
from amplify_mw.engine.engine import Engine
from amplify_mw.integrations import answer_for
from amplify_mw.log import Once
from amplify_mw.sessions.verdicts import NO_SESSION
from amplify_mw.shell import notices
from amplify_mw.stores import MemoryStore, StoreUnavailable
from amplify_mw.testing import LocalUserPool, signed_in, signed_in_machine, signed_out
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.shells import AppAnswer, ASGIShell, Ask, Shell, WSGIShell
from tests.sites import HOUR, Browser, Build, Clock, Site, outcome

OVER = "the request is over"
TOKENS = {"id_token": "a", "access_token": "b", "refresh_token": "c"}

VERBS: dict[str, Callable[[], Any]] = {
    "get_current_user": amplify_mw.get_current_user,
    "get_current_principal": amplify_mw.get_current_principal,
    "user_or_none": amplify_mw.user_or_none,
    "get_claim": lambda: amplify_mw.get_claim("sub"),
    "fetch_user_attributes": amplify_mw.fetch_user_attributes,
    "fetch_auth_session": amplify_mw.fetch_auth_session,
    "a required session": lambda: amplify_mw.fetch_auth_session(required=True),
    "a forced refresh": lambda: amplify_mw.fetch_auth_session(force_refresh=True),
    "start_session": lambda: amplify_mw.start_session(TOKENS, allow_cross_site=True),
    "end_session": lambda: amplify_mw.end_session(allow_cross_site=True),
    "list_sessions": amplify_mw.list_sessions,
    "list_sessions of somebody": lambda: amplify_mw.list_sessions("some-sub"),
    "list_sessions at Cognito": lambda: amplify_mw.list_sessions(source="cognito"),
    "end_session_by_handle": lambda: amplify_mw.end_session_by_handle("h", allow_cross_site=True),
    "a guard": require_auth(lambda: None),
    "a guard of groups": require_auth(groups=["editors"])(lambda: None),
    "a guard of machines": require_auth(machines=True)(lambda: None),
    "handle_server_auth": amplify_mw.handle_server_auth,
    "ServerAuthManager": amplify_mw.ServerAuthManager().get_authenticated_user,
    "ServerAuthManager.get_user_id": amplify_mw.ServerAuthManager().get_user_id,
    "carry": lambda: carry(print),
}
AWAITED: dict[str, Callable[[], Any]] = {
    "get_current_user": aio.get_current_user,
    "get_current_principal": aio.get_current_principal,
    "user_or_none": aio.user_or_none,
    "get_claim": lambda: aio.get_claim("sub"),
    "fetch_user_attributes": aio.fetch_user_attributes,
    "fetch_auth_session": aio.fetch_auth_session,
    "start_session": lambda: aio.start_session(TOKENS, allow_cross_site=True),
    "end_session": lambda: aio.end_session(allow_cross_site=True),
    "list_sessions": aio.list_sessions,
    "end_session_by_handle": lambda: aio.end_session_by_handle("h", allow_cross_site=True),
    "handle_server_auth": aio.handle_server_auth,
    "ServerAuthManager": lambda: _run(aio.ServerAuthManager().get_authenticated_user()),
}
OF_A_USER = [
    *("is_authenticated", "is_anonymous", "user", "username", "user_id", "identity", "groups"),
    *("display_name", "to_dict", "__str__", "__bool__"),
]
_SEEN: ContextVar[str] = ContextVar("seen")
COOKIES = ("a user", "no session", "an invalid one", "one sent twice")


def _run(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def who() -> str:
    """Whom the verbs see here."""
    try:
        return get_current_user().username
    except AuthError as error:
        return error.reason
    except OutsideRequestError as error:
        return OVER if error.is_over else "outside"


@pytest.fixture
def cookies(pool: LocalUserPool) -> dict[str, str | None]:
    token = pool.mint("ada")
    return {
        "a user": f"amplify-session={token}",
        "no session": None,
        "an invalid one": "amplify-session=junk",
        "one sent twice": f"amplify-session={token}; amplify-session=junk",
    }


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def left(
    shell: Shell, config: AmplifyConfig, cookies: dict[str, str | None], events: list[Any]
) -> Callable[[str], Context]:
    """A context left over from a request: `left("a user")`. What it told of is in `events`."""

    def leave(cookie: str) -> Context:
        contexts = list[Context]()

        def handler() -> str:
            contexts.append(copy_context())
            return contexts[0].run(who)

        app = shell.middleware(shell.app(handler), config.replace(on_event=events.append))
        assert shell.send(app, Ask(cookies=cookies[cookie])).body != OVER
        events.clear()
        return contexts[0]

    return leave


# --- every verb


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_knows_anybody_once_the_request_is_over(
    left: Callable[[str], Context], events: list[Any], verb: str, cookie: str
) -> None:
    with pytest.raises(OutsideRequestError, match=r"is over.*carry\(") as caught:
        left(cookie).run(VERBS[verb])
    assert caught.value.is_over
    assert events == []


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("verb", AWAITED)
def test_no_awaited_verb_does_and_each_says_so_at_the_call(
    left: Callable[[str], Context], events: list[Any], verb: str, cookie: str
) -> None:
    with pytest.raises(OutsideRequestError, match=r"create_task\(carry\(send_mail\)\("):
        left(cookie).run(AWAITED[verb])
    assert events == []


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("name", OF_A_USER)
def test_the_user_object_of_a_request_ends_with_it(
    left: Callable[[str], Context], events: list[Any], name: str, cookie: str
) -> None:
    visit: Any = left(cookie)[CURRENT]
    user = RequestUser.of(visit)
    with pytest.raises(OutsideRequestError, match="is over"):
        getattr(user, name)()
    with pytest.raises(OutsideRequestError, match="is over"):
        assert RequestAuth.of(visit).scopes
    assert events == []


def test_the_user_object_lasts_in_a_carried_call(
    shell: Shell, config: AmplifyConfig, pool: Any
) -> None:
    calls = list[Callable[[], str]]()

    def handler() -> str:
        user = RequestUser.of(CURRENT.get())  # type: ignore[arg-type]
        calls.append(carry(lambda: user.username))
        return "done"

    shell.send(shell.middleware(shell.app(handler), config), Ask(cookie=pool.mint("ada")))
    assert calls[0]() == "ada"


def test_a_machine_ends_with_its_request_too() -> None:
    with signed_in_machine("orders-job", scopes=["orders/write"]):
        context = copy_context()
        assert context.run(amplify_mw.get_current_principal)
    for verb in (amplify_mw.get_current_principal, lambda: amplify_mw.get_claim("sub")):
        with pytest.raises(OutsideRequestError, match="is over"):
            context.run(verb)


def test_an_error_after_the_request_is_no_answer_of_anybodys(
    left: Callable[[str], Context], shell: Shell
) -> None:
    error = amplify_mw.NotAuthorizedException(reason="no_session")
    with pytest.raises(amplify_mw.NotAuthorizedException) as caught:
        left("a user").run(answer_for, {"type": "http"}, error)
    assert caught.value is error


@pytest.mark.parametrize("is_over", [False, True])
def test_the_error_says_which_of_the_two_after_a_copy_too(is_over: bool) -> None:
    error = OutsideRequestError(is_over=is_over)
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # our own
        assert (str(copied), copied.is_over) == (str(error), is_over)
    assert ("is over" in str(error)) is is_over


# --- a test's block is a request


@pytest.mark.parametrize("block", [lambda: signed_in("ada"), signed_out])
def test_a_block_of_the_testing_package_ends_likewise(block: Callable[[], Any]) -> None:
    async def main() -> str:
        going = asyncio.Event()

        async def outlive() -> str:
            await going.wait()
            return who()

        with block():
            task = asyncio.create_task(outlive())
            await asyncio.sleep(0)
        going.set()
        return await task

    assert asyncio.run(main()) == OVER


def test_a_middleware_in_a_context_left_over_from_a_block_sees_nothing_of_it(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    app = shell.middleware(shell.app(who), config, ignore=["/open"])
    with signed_in("ada"):
        context = copy_context()
        assert context.run(shell.send, app, Ask()).body == "ada"
    assert context.run(shell.send, app, Ask()).body == "no_session"
    assert context.run(shell.send, app, Ask(cookie=pool.mint("ada"))).body == "ada"
    assert context.run(shell.send, app, Ask(path="/open")).body == "outside"


def test_a_request_made_in_a_context_left_over_from_another_is_its_own(
    left: Callable[[str], Context], shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    pool.add_user("grace")
    app = shell.middleware(shell.app(who), config, ignore=["/open"])
    context = left("a user")
    assert context.run(shell.send, app, Ask(cookie=pool.mint("grace"))).body == "grace"
    assert context.run(shell.send, app, Ask()).body == "no_session"
    assert context.run(shell.send, app, Ask(path="/open")).body == "outside"
    assert context.run(who) == OVER


# --- ASGI


async def serve(app: Any, cookie: str, kind: str = "http") -> None:
    """One request, whose messages nobody looks at."""
    scope = {**ASGIShell().scope(Ask(cookie=cookie)), "type": kind}

    async def receive() -> Any:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    await app(scope, receive, send)


START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b""}


def test_a_task_has_the_user_while_its_request_is_served_and_no_longer(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    seen = list[str]()

    async def main() -> None:
        asked, answered = asyncio.Event(), asyncio.Event()
        tasks = list[asyncio.Task[None]]()

        async def outlive() -> None:
            await asked.wait()
            seen.append(who())
            seen.append(await asyncio.to_thread(who))
            answered.set()
            await over.wait()
            seen.append(who())
            seen.append(await asyncio.to_thread(who))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            tasks.append(asyncio.create_task(outlive()))
            await send(START)
            await send(BODY)
            asked.set()
            await answered.wait()

        over = asyncio.Event()
        await serve(AmplifyASGIMiddleware(app, config), pool.mint("ada"))
        over.set()
        await tasks[0]

    asyncio.run(main())
    assert seen == ["ada", "ada", OVER, OVER]


@pytest.mark.parametrize("end", ["error", "auth error", "cancel", "closed"])
def test_a_request_is_over_however_it_ends(
    config: AmplifyConfig, pool: LocalUserPool, end: str
) -> None:
    contexts = list[Context]()
    cookie = pool.mint("ada")

    async def main() -> None:
        is_running = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            contexts.append(copy_context())
            if len(contexts) == 1:  # from now on the token is known: nothing is waited for
                return
            assert who() == "ada"
            is_running.set()
            if end == "error":
                raise ZeroDivisionError
            if end == "auth error":
                raise amplify_mw.ForbiddenException(reason="missing_group")
            await asyncio.Event().wait()

        wrapped = AmplifyASGIMiddleware(app, config)
        await serve(wrapped, cookie)
        request = serve(wrapped, cookie)
        if end == "closed":
            copy_context().run(request.send, None)
            request.close()  # in another context: the binding cannot be taken back there
            return
        task = asyncio.create_task(request)
        await is_running.wait()
        if end == "cancel":
            task.cancel()
        with suppress(ZeroDivisionError, asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [context.run(who) for context in contexts] == [OVER, OVER]


def test_an_answer_of_the_librarys_own_ends_the_visit(
    shell: Shell, config: AmplifyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = list[Any]()
    app = shell.middleware(shell.app(who), config, protect=["/*"])
    stop = app.stop

    def watched(visit: Any, *rest: Any) -> Any:
        visits.append(visit)
        return stop(visit, *rest)

    monkeypatch.setattr(app, "stop", watched)
    assert shell.send(app, Ask()).status == 401
    assert visits[0].has_ended


def test_a_websocket_keeps_its_user_until_it_is_closed(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    contexts, seen = list[Context](), list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        contexts.append(copy_context())
        await receive()
        await send({"type": "websocket.accept"})
        seen.append(await asyncio.create_task(asyncio.to_thread(who)))
        await send({"type": "websocket.close"})
        seen.append(who())

    asyncio.run(serve(AmplifyASGIMiddleware(app, config), pool.mint("ada"), kind="websocket"))
    assert (seen, contexts[0].run(who)) == (["ada", "ada"], OVER)


def test_a_queue_started_in_a_request_answers_nobody_else_as_its_user(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    """Gradio's: jobs of all requests run on a task that the first one has started."""
    pool.add_user("grace")
    answers = dict[str, str]()

    async def main() -> None:
        jobs: asyncio.Queue[tuple[str, Callable[[], str], asyncio.Event]] = asyncio.Queue()
        workers = list[asyncio.Task[None]]()

        async def work() -> None:
            while True:
                name, job, done = await jobs.get()
                answers[name] = job()
                done.set()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if not workers:
                workers.append(asyncio.create_task(work()))
            job = carry(who) if scope["path"] == "/carried" else who
            done = asyncio.Event()
            await jobs.put((scope["case"], job, done))
            await done.wait()
            await send(START)
            await send(BODY)

        wrapped = AmplifyASGIMiddleware(app, config)

        async def ask(case: str, name: str | None = None, path: str = "/") -> None:
            cookie = None if name is None else pool.mint(name)
            scope = {**ASGIShell().scope(Ask(path=path, cookie=cookie)), "case": case}

            async def send(message: Any) -> None:
                """Nobody looks at it."""

            await wrapped(scope, None, send)  # type: ignore[arg-type]

        await ask("first", "ada")
        await ask("grace", "grace")
        await ask("nobody")
        await ask("grace, carried", "grace", "/carried")
        await ask("nobody, carried", None, "/carried")
        workers[0].cancel()

    asyncio.run(main())
    assert answers == {
        "first": "ada",
        "grace": OVER,
        "nobody": OVER,
        "grace, carried": "grace",
        "nobody, carried": "no_session",
    }


def test_a_session_task_of_one_request_serves_no_other_as_its_opener(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    """mcp 1.x with sessions: the tools of all requests run where the first one has opened it."""
    pool.add_user("grace")

    async def main() -> list[str]:
        calls: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()
        sessions, answers = list[asyncio.Task[None]](), list[str]()

        async def session() -> None:
            async with asyncio.TaskGroup() as tools:
                while True:
                    answer = await calls.get()
                    tools.create_task(tool(answer))

        async def tool(answer: asyncio.Future[str]) -> None:
            answer.set_result(await asyncio.to_thread(who))

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if not sessions:
                sessions.append(asyncio.create_task(session()))
            answer = asyncio.get_running_loop().create_future()
            await calls.put(answer)
            answers.append(await answer)
            await send(START)
            await send(BODY)

        wrapped = AmplifyASGIMiddleware(app, config)
        for name in ("ada", "grace", "ada"):
            await serve(wrapped, pool.mint(name))
        sessions[0].cancel()
        return answers

    assert asyncio.run(main()) == ["ada", OVER, OVER]


def test_background_tasks_of_a_framework_are_part_of_the_request(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    seen = dict[str, str]()

    def note(place: str) -> None:
        seen[place] = who()

    async def anote(place: str) -> None:
        note(place)

    async def steps() -> AsyncIterator[str]:
        note("step")
        yield "done"

    def plain(request: Any) -> Any:
        return PlainTextResponse("done", background=BackgroundTask(note, "sync"))

    async def stream(request: Any) -> Any:
        return StreamingResponse(steps(), background=BackgroundTask(anote, "async"))

    app = Starlette(routes=[Route("/plain", plain), Route("/stream", stream)])
    client = TestClient(AmplifyASGIMiddleware(app, config))  # type: ignore[arg-type]
    client.cookies["amplify-session"] = pool.mint("ada")
    for path in ("/plain", "/stream"):
        assert client.get(path).text == "done"
    assert seen == dict.fromkeys(["sync", "step", "async"], "ada")


# --- WSGI


class Body:
    """A body of two items, which notes whom it sees in which place."""

    def __init__(self, *, fails: bool = False) -> None:
        self.seen: list[str] = []
        self.contexts: list[Context] = []
        self._left, self._fails = 2, fails

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._note()
        if self._fails:
            raise ZeroDivisionError
        if not self._left:
            raise StopIteration
        self._left -= 1
        return b"item"

    def close(self) -> None:
        self._note()

    def _note(self) -> None:
        self.contexts.append(copy_context())
        self.seen.append(who())

    def left(self) -> set[str]:
        """Whom the contexts see that are left over."""
        return {context.run(who) for context in self.contexts}


@pytest.fixture
def respond(config: AmplifyConfig, pool: LocalUserPool) -> Callable[[Any], Any]:
    """What a server gets to send: `respond(the app's body)`."""

    def respond(body: Any) -> Any:
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return body

        environ = WSGIShell().environ(Ask(cookie=pool.mint("ada")))
        return AmplifyWSGIMiddleware(app, config)(environ, lambda *_: lambda data: None)

    return respond


def test_a_body_is_part_of_the_request_and_so_is_closing_it(respond: Any) -> None:
    body = Body()
    response = respond(body)
    for _ in response:
        assert body.left() == {"ada"}
        assert who() == "outside"
    assert body.left() == {OVER}
    response.close()
    assert body.seen == ["ada"] * 4
    assert body.left() == {OVER}


def test_a_close_after_the_last_item_is_not_seen_by_what_the_body_has_left_behind(
    respond: Any,
) -> None:
    class Looking(Body):
        def close(self) -> None:
            assert self.left() == {OVER}
            super().close()

    body = Looking()
    response = respond(body)
    list(response)
    response.close()
    assert (body.seen, body.left()) == (["ada"] * 4, {OVER})


def test_nothing_depends_on_a_close(respond: Any) -> None:
    body = Body()
    list(respond(body))
    assert body.left() == {OVER}


def test_a_body_closed_early_is_over(respond: Any) -> None:
    body = Body()
    response = respond(body)
    next(iter(response))
    assert body.left() == {"ada"}
    response.close()
    assert (body.seen, body.left()) == (["ada", "ada"], {OVER})


def test_a_body_that_is_dropped_is_over(respond: Any) -> None:
    body = Body()
    response = respond(body)
    next(iter(response))
    del response
    gc.collect()
    assert body.left() == {OVER}


def test_a_body_that_fails_is_over_and_sees_the_user_when_it_is_closed(respond: Any) -> None:
    body = Body(fails=True)
    with pytest.raises(ZeroDivisionError):
        respond(body)
    assert (body.seen, body.left()) == (["ada", "ada"], {OVER})


def test_a_close_that_fails_ends_the_request(respond: Any) -> None:
    contexts = list[Context]()

    class Failing(Body):
        def close(self) -> None:
            contexts.append(copy_context())
            raise ZeroDivisionError

    response = respond(Failing())
    with pytest.raises(ZeroDivisionError):
        response.close()
    assert contexts[0].run(who) == OVER
    assert who() == "outside"


def test_what_a_close_leaves_behind_has_no_user(respond: Any) -> None:
    """Flask's `call_on_close` and teardown functions run there."""
    with ThreadPoolExecutor(1) as worker:
        tasks = list[Any]()
        may_go = threading.Event()

        def outlive() -> str:
            may_go.wait(PATIENCE)
            return who()

        class Leaving(Body):
            def close(self) -> None:
                tasks.append(worker.submit(copy_context().run, outlive))
                tasks.append(worker.submit(carry(outlive)))
                super().close()

        body = Leaving()
        response = respond(body)
        list(response)
        response.close()
        may_go.set()
        assert [task.result() for task in tasks] == [OVER, "ada"]
    assert body.seen[-1] == "ada"


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_finished_body_ends_the_request_at_once(
    config: AmplifyConfig, pool: Any, kind: Any
) -> None:
    contexts = list[Context]()

    def app(environ: Any, start_response: Any) -> Any:
        contexts.append(copy_context())
        start_response("200 OK", [])
        return kind([b"done"])

    environ = WSGIShell().environ(Ask(cookie=pool.mint("ada")))
    AmplifyWSGIMiddleware(app, config)(environ, lambda *_: lambda data: None)
    assert contexts[0].run(who) == OVER


def test_a_server_that_refuses_the_start_ends_the_request(config: AmplifyConfig, pool: Any) -> None:
    contexts = list[Context]()

    def app(environ: Any, start_response: Any) -> Any:
        contexts.append(copy_context())
        start_response("200 OK", [])
        return [b"done"]

    def refuse(*_: Any) -> Any:
        raise ConnectionResetError

    environ = WSGIShell().environ(Ask(cookie=pool.mint("ada")))
    with pytest.raises(ConnectionResetError):
        AmplifyWSGIMiddleware(app, config)(environ, refuse)
    assert contexts[0].run(who) == OVER


def test_a_server_that_raises_a_late_error_again_ends_the_request(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    """As PEP 3333 wants it: the headers have gone by then."""
    contexts = list[Context]()

    def app(environ: Any, start_response: Any) -> Any:
        contexts.append(copy_context())
        start_response("200 OK", [])(b"some")
        return require_auth(groups=["nobody's"])(lambda: [b"more"])()

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None:
            raise exc_info[1]
        return lambda data: None

    environ = WSGIShell().environ(Ask(cookie=pool.mint("ada")))
    with pytest.raises(amplify_mw.ForbiddenException):
        AmplifyWSGIMiddleware(app, config)(environ, start)
    assert contexts[0].run(who) == OVER


def test_a_body_may_be_stepped_and_closed_on_other_threads(respond: Any) -> None:
    body = Body()
    response = respond(body)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        assert one.submit(next, response).result() == b"item"
        assert other.submit(next, response).result() == b"item"
        one.submit(response.close).result()
        assert {worker.submit(who).result() for worker in (one, other)} == {"outside"}
    assert (body.seen, body.left()) == (["ada"] * 3, {OVER})


def test_a_body_closed_while_another_thread_waits_for_its_next_item_is_over(respond: Any) -> None:
    is_waiting, may_go = threading.Event(), threading.Event()

    class Waiting(Body):
        def __next__(self) -> bytes:
            if self.seen:
                is_waiting.set()
                may_go.wait(PATIENCE)
            return super().__next__()

    body = Waiting()
    response = respond(body)
    next(response)
    with ThreadPoolExecutor(1) as server:
        step = server.submit(next, response)
        is_waiting.wait(PATIENCE)
        response.close()
        may_go.set()
        step.result()
        assert server.submit(who).result() == "outside"
    assert body.seen == ["ada", "ada", OVER]
    assert who() == "outside"


def test_asgirefs_adapter_never_closes_and_the_request_is_over_all_the_same(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    body = Body()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    adapted = WsgiToAsgi(AmplifyWSGIMiddleware(app, config))  # type: ignore[no-untyped-call]
    asyncio.run(serve(adapted, pool.mint("ada")))
    assert (body.seen, body.left()) == (["ada"] * 3, {OVER})


def test_contextvars_of_the_app_are_the_servers_as_without_us(respond: Any) -> None:
    """Flask pops its contexts in the one it has pushed them in, which a test may keep."""
    outside = copy_context()
    token = outside.run(_SEEN.set, "the server's")

    class Setting(Body):
        def __next__(self) -> bytes:
            assert _SEEN.get() == "the server's"
            return super().__next__()

        def close(self) -> None:
            _SEEN.reset(token)

    def server() -> None:
        response = respond(Setting())
        list(response)
        response.close()

    outside.run(server)
    assert _SEEN not in outside


# --- a response that goes on for long


def going_on(site: Site, browser: Browser, *meanwhile: Callable[[], object]) -> list[str]:
    """Whom a stream sees: at first, after the token's end, and after each of these in between."""
    seen = list[str]()

    def stream() -> None:
        seen.append(outcome(site.who))
        site.clock.advance(LATER)
        seen.append(outcome(site.who))
        for act in meanwhile:
            Context().run(act)
            seen.append(outcome(site.who))

    browser.ask(lambda: AppAnswer(later={"streaming": stream}))
    return seen


LATER = HOUR + 60  # the tokens have run out, whatever the leeway
EXPIRED = "TokenExpiredException token_expired"


def test_a_stream_goes_on_with_tokens_that_another_request_has_refreshed(build: Build) -> None:
    site = build("memory")
    browser = site.sign_in()
    seen = going_on(site, browser, browser.does, lambda: site.clock.advance(LATER), browser.does)
    assert seen == ["ada", EXPIRED, "ada", EXPIRED, "ada"]


def test_a_stream_does_not_go_on_with_a_session_that_has_ended(build: Build) -> None:
    site = build("memory")
    browser = site.sign_in()
    seen = going_on(site, browser, browser.does, lambda: browser.does(site.end()))
    assert seen == ["ada", EXPIRED, "ada", EXPIRED]


def test_a_stream_does_not_go_on_as_the_next_user_of_its_browser(build: Build) -> None:
    site = build("memory")
    browser = site.sign_in()

    def sign_in() -> None:
        assert browser.does(site.start(site.pool.sign_in("grace"))).body == "grace"

    assert going_on(site, browser, sign_in) == ["ada", EXPIRED, EXPIRED]


@pytest.mark.parametrize("kind", ["sealed", "token"])
def test_a_stream_whose_cookie_is_replaced_ends_with_its_token(build: Build, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    assert going_on(site, browser, browser.does)[:3] == ["ada", EXPIRED, EXPIRED]


def test_a_websocket_goes_on_likewise(pool: LocalUserPool, clock: Clock) -> None:
    seen = list[str]()
    engine = Engine(pool.config(session=StoredSession(MemoryStore(clock=clock))), clock)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            seen.append(who())
            clock.advance(LATER)
            seen.append(who())
            await asyncio.create_task(serve(wrapped, cookies[0]), context=Context())
            seen.append(who())
            return
        if scope["path"] == "/in":
            await aio.start_session(pool.sign_in("ada"))
        await send(START)
        await send(BODY)

    wrapped = AmplifyASGIMiddleware(app, engine)
    got = asyncio.run(ASGIShell().serve(wrapped, Ask(path="/in", method="POST")))
    cookies = [str(got.one("set-cookie")).partition(";")[0].removeprefix("amplify-session=")]
    asyncio.run(serve(wrapped, cookies[0], "websocket"))
    assert seen == ["ada", "token_expired", "ada"]


# --- threads that inherit contexts


def test_no_thread_of_the_librarys_own_holds_a_user(config: AmplifyConfig) -> None:
    """Seen where threads inherit contexts (`-p tests.inheriting`): elsewhere no thread has one."""
    with signed_in("ada"), LocalUserPool() as pool:
        app = WSGIShell().app(lambda: amplify_mw.fetch_user_attributes()["sub"])
        site = AmplifyWSGIMiddleware(app, pool.config())
        pool.add_user("grace")
        ask = Ask(cookie=pool.mint("grace", "access"))
        # As a visitor: the block's user would win.
        token = CURRENT.set(Visit.of(site._home, NO_SESSION))
        WSGIShell().send(site, ask)
        CURRENT.reset(token)
        contexts = [getattr(thread, "_context", None) for thread in threading.enumerate()]
        held = [context.get(CURRENT) for context in contexts if context is not None]
        assert [visit for visit in held if visit is not None] == []


@pytest.mark.parametrize("is_inherited", [False, True])
def test_that_threads_inherit_contexts_is_said_once(
    shell: Shell,
    config: AmplifyConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_inherited: bool,
) -> None:
    caplog.set_level("INFO", "amplify_mw")
    flags = SimpleNamespace(thread_inherit_context=is_inherited)
    monkeypatch.setattr(notices, "sys", SimpleNamespace(flags=flags))
    monkeypatch.setattr(notices, "_IN_THIS_PROCESS", Once())
    for _ in range(2):
        shell.middleware(shell.app(who), config)
    said = [record for record in caplog.records if "thread_inherit_context" in record.message]
    assert [record.levelname for record in said] == ["INFO"] * is_inherited
    assert all("carry(" in record.message for record in said)


# --- any order


STEPS = st.lists(st.sampled_from(["open", "step", "end", "copy", "carry", "nest"]), max_size=40)


@given(steps=STEPS, data=st.data())
def test_no_context_of_an_ended_request_ever_has_a_user(
    steps: list[str], data: st.DataObject
) -> None:
    """Requests of several users begin, go on and end in any order, on one thread.

    Each context notes the request that it descends from. It sees that one's user, as long as the
    request is served; what was carried sees the user for good.
    """
    serving = dict[int, Any]()  # by request: the server's end of it
    contexts = list[tuple[Context, int]]()
    carried = list[tuple[Callable[[], str], int]]()
    number = 0

    def note(number: int) -> None:
        contexts.append((copy_context(), number))
        carried.append((carry(who), number))

    def request(number: int) -> Any:
        environ = WSGIShell().environ(Ask(cookie=_TOKENS[number % 2]))
        environ["at each step"] = lambda: note(number)
        return _SITE[0](environ, lambda *_: lambda data: None)

    for step in steps:
        if step == "open":
            serving[number] = request(number)
            number += 1
        elif step == "nest" and contexts:
            context, _ = data.draw(st.sampled_from(contexts), label="context")
            serving[number] = context.run(request, number)
            number += 1
        elif step == "copy" and contexts:
            context, of = data.draw(st.sampled_from(contexts), label="context")
            contexts.append((context.copy(), of))
        elif step == "carry" and contexts:
            context, of = data.draw(st.sampled_from(contexts), label="context")
            if of in serving:
                carried.append((context.run(carry, who), of))
            else:
                with pytest.raises(OutsideRequestError):
                    context.run(carry, who)
        elif step in ("step", "end") and serving:
            of = data.draw(st.sampled_from(sorted(serving)), label="request")
            next(serving[of])
            if step == "end":
                serving.pop(of).close()
        assert who() == "outside"
        for context, of in contexts:
            assert context.run(who) == (_NAMES[of % 2] if of in serving else OVER)
        for call, of in carried:
            assert call() == _NAMES[of % 2]


_NAMES = ("ada", "grace")
_TOKENS = list[str]()
_SITE = list[AmplifyWSGIMiddleware]()


def _endless(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    while True:
        environ["at each step"]()
        yield b"item"


@pytest.fixture(scope="module", autouse=True)
def two_users() -> Iterator[None]:
    with LocalUserPool() as pool:
        for name in _NAMES:
            pool.add_user(name)
            _TOKENS.append(pool.mint(name))
        _SITE.append(AmplifyWSGIMiddleware(_endless, pool.config()))
        yield


# --- what is left for the garbage collector: nothing


class _Request(dict[str, Any]):
    """An environ or a scope, to be watched."""


def _fails() -> str:
    raise ZeroDivisionError


ENDINGS: dict[str, Callable[[], Any]] = {
    **{name: verb for name, verb in VERBS.items() if name not in ("carry", "start_session")},
    "a carried call": lambda: carry(who)(),
    "an error": _fails,
}


def _is_gone_at_once(serve_one: Callable[[_Request], object], make: Callable[[], Any]) -> bool:
    """Whether a request's memory is free when it is over, without the garbage collector."""
    gc.disable()
    try:
        for _ in range(2):  # the first loads what the others find
            request = _Request(make())
            gone = weakref.ref(request)
            with suppress(Exception):
                serve_one(request)
            del request
        return gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("protect", [[], ["/*"]])
def test_a_request_leaves_nothing_for_the_garbage_collector(
    config: AmplifyConfig, cookies: dict[str, str | None], protect: list[str], cookie: str
) -> None:
    def in_a_stream() -> Iterator[bytes]:
        yield b"item"
        ends()

    def wsgi(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/stream":
            start_response("200 OK", [])
            return in_a_stream()
        ends()
        start_response("200 OK", [])
        return [b"done"]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        ends()

    async def nothing(*_: Any) -> Any:
        return {"type": "websocket.connect"}

    def serve_wsgi(environ: Any) -> None:
        body: Any = over_wsgi(environ, lambda *_: lambda data: None)
        try:
            for _ in body:
                pass
        finally:
            getattr(body, "close", lambda: None)()

    def serve_asgi(scope: Any) -> None:
        with suppress(StopIteration):
            over_asgi(scope, nothing, nothing).send(None)

    over_wsgi = AmplifyWSGIMiddleware(wsgi, config, protect=protect)
    over_asgi = AmplifyASGIMiddleware(asgi, config, protect=protect)
    left = list[str]()
    for name, path in itertools.product(ENDINGS, ("/", "/stream")):
        ends, ask = ENDINGS[name], Ask(path, cookies=cookies[cookie])
        environ, scope = WSGIShell().environ(ask), ASGIShell().scope(ask)
        if not _is_gone_at_once(serve_wsgi, lambda: environ):  # noqa: B023
            left.append(f"wsgi {path} {name}")
        for kind in ("http", "websocket"):
            if not _is_gone_at_once(serve_asgi, lambda: {**scope, "type": kind}):  # noqa: B023
                left.append(f"{kind} {path} {name}")
    assert left == []


class _Silent(MemoryStore):
    """A store that does not answer."""

    def load(self, key: bytes) -> Any:
        raise StoreUnavailable


def test_a_store_that_does_not_answer_leaves_nothing_either(
    shell: Shell, pool: LocalUserPool
) -> None:
    def handler() -> str:
        with suppress(AuthError):
            get_current_user()
        return "done"

    config = pool.config(session=StoredSession(store=_Silent()))
    app = shell.middleware(shell.app(handler), config)
    ask = Ask(cookie="A" * 43)
    if isinstance(shell, WSGIShell):
        assert _is_gone_at_once(
            lambda environ: app(environ, lambda *_: None), lambda: shell.environ(ask)
        )
        return

    async def nothing(*_: Any) -> Any:
        return {}

    with asyncio.Runner() as runner:
        assert _is_gone_at_once(
            lambda scope: runner.run(app(scope, nothing, nothing)), lambda: shell.scope(ask)
        )


def test_a_check_of_the_apps_that_refuses_leaves_nothing_either(
    config: AmplifyConfig, pool: LocalUserPool
) -> None:
    def check(user: object) -> bool:
        raise amplify_mw.ForbiddenException(reason="not_today")

    app = AmplifyWSGIMiddleware(
        lambda *_: [], config, protect={"/*": amplify_mw.Needs(check=check)}
    )
    ask, started = Ask(cookie=pool.mint("ada")), list[str]()
    assert _is_gone_at_once(
        lambda environ: app(environ, lambda status, *_: started.append(status)),  # type: ignore[arg-type, func-returns-value]
        lambda: WSGIShell().environ(ask),
    )
    assert started[0].startswith("403")
