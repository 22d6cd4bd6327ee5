"""Nobody ever sees another's user: crowds of requests at once, interleaved in every mixture.

Each request notes whom it saw in every place it went to: the handler, awaits, tasks, threads, the
steps of its body, its cleaning up. That must be its own user everywhere, and what the server keeps
between requests (threads, contexts, event loops) must have none.
"""

import asyncio
import queue
import random
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from amplify_mw import (
    AmplifyConfig,
    NotAuthorizedException,
    OutsideRequestError,
    aio,
    carry,
    fetch_user_attributes,
    get_current_user,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE

USERS = 500
REQUESTS = 2_500  # four in five bring a user's token
THREADS = 32
LOOPS = 4
OUTSIDE = "outside any request"

PLACES = {  # where a request of each kind goes
    "plain": {"handler", "attributes", "thread", "executor"},
    "loop": {"handler", "awaited", "task", "to_thread", "its attributes"},
    "stream": {"handler", "step 0", "step 1", "executor", "step 2", "end"},
    "closed early": {"handler", "step 0", "executor", "end"},
    "failing": {"handler", "step 0", "executor", "end"},
    "cancelled": {"handler", "waiting", "end"},
}


class BrokenApp(Exception):
    """What a failing handler raises."""


def whoami() -> str:
    try:
        return get_current_user().username
    except NotAuthorizedException as error:
        return error.reason
    except OutsideRequestError:
        return OUTSIDE


def whose_attributes() -> str:
    try:
        return fetch_user_attributes()["email"].removesuffix("@example.com")
    except NotAuthorizedException as error:
        return error.reason


@dataclass
class Visitor:
    """One request: its cookie, whom it is to see, how it goes, and whom it saw in which place."""

    cookie: str | None = field(repr=False)
    expected: str
    kind: str
    seen: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)  # seen by workers that nothing was carried to
    is_waiting: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def note(self, place: str, who: Callable[[], str] = whoami) -> None:
        self.seen[place] = who()

    @property
    def is_right(self) -> bool:
        saw_all = self.seen == dict.fromkeys(PLACES[self.kind], self.expected)
        return saw_all and set(self.strays) <= {OUTSIDE}


@dataclass(frozen=True)
class Crowd:
    """Who may come: the cookies of 500 users, of nobody, and invalid ones."""

    config: AmplifyConfig
    users: dict[str, str] = field(repr=False)
    others: tuple[tuple[str, str | None], ...] = field(repr=False)

    def visitors(self, kinds: list[str]) -> list[Visitor]:
        """The same ones each time, in an order without any order."""
        names = [name for name in self.users for _ in range(REQUESTS * 4 // 5 // USERS)]
        guests: list[tuple[str, str | None]] = [(name, self.users[name]) for name in names]
        while len(guests) < REQUESTS:
            guests.extend(self.others)
        dice = random.Random(20)
        dice.shuffle(guests)
        return [Visitor(cookie, expected, dice.choice(kinds)) for expected, cookie in guests]


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with LocalUserPool() as pool:
        users = {}
        for number in range(USERS):
            name = f"user-{number}"
            pool.add_user(name, email=f"{name}@example.com")
            # One in ten has an access token, whose attributes come from Cognito over HTTP.
            users[name] = pool.mint(name, "id" if number % 10 else "access")
        others = (
            ("no_session", None),
            ("malformed_token", "no.such.token"),
            ("token_expired", pool.mint("user-0", issued_at=1_000_000_000)),
            ("wrong_client", pool.mint("user-1", client_id="another")),
            ("bad_signature", users["user-2"][:-8] + "AAAAAAAA"),
        )
        yield Crowd(pool.config(), users, others)


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Threads take turns fifty times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 50)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """The app's own worker threads."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


def seen_by_every_worker(executor: Executor, workers: int = 8) -> list[str]:
    """Whom each worker thread sees once everything is over."""
    together = threading.Barrier(workers)

    def look() -> str:
        together.wait(PATIENCE)
        return whoami()

    return [future.result() for future in [executor.submit(look) for _ in range(workers)]]


async def go_through_a_loop(visitor: Visitor) -> None:
    async def awaited() -> None:
        await asyncio.sleep(0)
        visitor.note("awaited")

    async def in_a_task() -> None:
        await asyncio.sleep(0)
        try:
            visitor.seen["task"] = (await aio.get_current_user()).username
        except NotAuthorizedException as error:
            visitor.seen["task"] = error.reason

    task = asyncio.create_task(in_a_task())
    await awaited()
    await asyncio.to_thread(visitor.note, "to_thread")
    await asyncio.to_thread(visitor.note, "its attributes", whose_attributes)
    await task


# --- WSGI


def wsgi_app(executor: Executor) -> Any:
    def go_to_a_worker(visitor: Visitor) -> None:
        stray = executor.submit(whoami)
        executor.submit(carry(visitor.note), "executor").result()
        visitor.strays.append(stray.result())

    def stream(visitor: Visitor) -> Iterator[bytes]:
        try:
            visitor.note("step 0")
            yield b"0"
            # Not reached where the stream is closed early.
            visitor.note("step 1")
            yield b"1"
            visitor.note("step 2")
            yield b"2"
        finally:
            go_to_a_worker(visitor)
            visitor.note("end")

    def failing(visitor: Visitor) -> Iterator[bytes]:
        try:
            visitor.note("step 0")
            yield b"0"
            raise BrokenApp
        finally:
            go_to_a_worker(visitor)
            visitor.note("end")

    def app(environ: Any, start_response: Any) -> Any:
        visitor = environ["visitor"]
        visitor.note("handler")
        start_response("200 OK", [("Content-Type", "text/plain")])
        if visitor.kind == "plain":
            visitor.note("attributes", whose_attributes)
            thread = threading.Thread(target=carry(visitor.note), args=["thread"])
            thread.start()
            thread.join()
            go_to_a_worker(visitor)
        elif visitor.kind == "loop":
            asyncio.run(go_through_a_loop(visitor))
        else:
            return failing(visitor) if visitor.kind == "failing" else stream(visitor)
        return [b"done"]

    return app


def serve_wsgi(app: Any, visitor: Visitor) -> Iterator[None]:
    """A server's part in one request. Whoever advances this takes one step of it."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "visitor": visitor}
    if visitor.cookie is not None:
        environ["HTTP_COOKIE"] = f"amplify-session={visitor.cookie}"
    body = app(environ, lambda status, headers, exc_info=None: None)
    try:
        for _ in body:
            yield
            if visitor.kind == "closed early":
                break
    finally:
        if hasattr(body, "close"):
            body.close()


def take_steps(underway: "queue.SimpleQueue[Iterator[None]]") -> set[str]:
    """Take one step of one request after the other; whom this thread sees between them."""
    between = {whoami()}
    while True:
        try:
            request = underway.get_nowait()
        except queue.Empty:
            return between
        try:
            next(request)
        except (StopIteration, BrokenApp):
            pass
        else:
            underway.put(request)
        between.add(whoami())


def test_every_step_of_a_wsgi_request_sees_its_own_user_on_whatever_thread_it_is_taken(
    crowd: Crowd, executor: ThreadPoolExecutor
) -> None:
    app = AmplifyWSGIMiddleware(wsgi_app(executor), crowd.config)
    visitors = crowd.visitors(["plain", "loop", "stream", "closed early", "failing"])
    underway: queue.SimpleQueue[Iterator[None]] = queue.SimpleQueue()
    for visitor in visitors:
        underway.put(serve_wsgi(app, visitor))
    with ThreadPoolExecutor(THREADS) as server:
        turns = [server.submit(take_steps, underway) for _ in range(THREADS)]
        between = set().union(*(turn.result() for turn in turns))
        assert between == {OUTSIDE}
        assert set(seen_by_every_worker(server, THREADS)) == {OUTSIDE}
    assert [visitor for visitor in visitors if not visitor.is_right] == []
    assert set(seen_by_every_worker(executor)) == {OUTSIDE}


# --- ASGI


def asgi_app(executor: Executor) -> Any:
    async def go_to_a_worker(visitor: Visitor) -> None:
        loop = asyncio.get_running_loop()
        stray = loop.run_in_executor(executor, whoami)
        await loop.run_in_executor(executor, carry(visitor.note), "executor")
        visitor.strays.append(await stray)

    async def plain(visitor: Visitor) -> None:
        await asyncio.to_thread(visitor.note, "attributes", whose_attributes)
        thread = threading.Thread(target=carry(visitor.note), args=["thread"])
        thread.start()
        await asyncio.to_thread(thread.join)
        await go_to_a_worker(visitor)

    async def steps(visitor: Visitor) -> AsyncIterator[bytes]:
        for number in range(3):
            visitor.note(f"step {number}")
            yield b"%d" % number
            if visitor.kind == "failing":
                raise BrokenApp
            await asyncio.sleep(0)

    async def stream(visitor: Visitor, send: Any) -> None:
        try:
            async for step in steps(visitor):
                await send({"type": "http.response.body", "body": step, "more_body": True})
        finally:
            await go_to_a_worker(visitor)
            visitor.note("end")

    async def wait_for_ever(visitor: Visitor) -> None:
        try:
            visitor.note("waiting")
            visitor.is_waiting.set()
            await asyncio.Event().wait()
        finally:
            visitor.note("end")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        visitor = scope["visitor"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        visitor.note("handler")
        if visitor.kind == "plain":
            await plain(visitor)
        elif visitor.kind == "loop":
            await go_through_a_loop(visitor)
        elif visitor.kind == "cancelled":
            await wait_for_ever(visitor)
        else:
            await stream(visitor, send)
        await send({"type": "http.response.body", "body": b""})

    return app


async def serve_asgi(app: Any, visitor: Visitor) -> None:
    """A server's part in one request."""
    cookie = f"amplify-session={visitor.cookie}" if visitor.cookie else "theme=dark"
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"cookie", cookie.encode())],
        "visitor": visitor,
    }

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        if visitor.kind == "closed early" and message.get("body"):
            raise ConnectionResetError

    try:
        await app(scope, None, send)
    except (BrokenApp, ConnectionResetError):
        pass
    finally:
        visitor.strays.append(whoami())  # this is the server's own context


async def serve_all(app: Any, visitors: list[Visitor]) -> set[str]:
    """Serve everybody at once; whom this loop sees afterwards."""
    tasks = [asyncio.create_task(serve_asgi(app, visitor)) for visitor in visitors]
    cancelled = []
    for visitor, task in zip(visitors, tasks, strict=True):
        if visitor.kind == "cancelled":
            await visitor.is_waiting.wait()
            task.cancel()
            cancelled.append(task)
    await asyncio.gather(*(task for task in tasks if task not in set(cancelled)))
    await asyncio.wait(cancelled)
    assert all(task.cancelled() for task in cancelled)
    looked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: looked.set_result(whoami()))
    return {whoami(), await asyncio.to_thread(whoami), await looked}


def test_every_asgi_request_on_one_loop_sees_its_own_user(
    crowd: Crowd, executor: ThreadPoolExecutor
) -> None:
    app = AmplifyASGIMiddleware(asgi_app(executor), crowd.config)
    visitors = crowd.visitors(list(PLACES))
    assert asyncio.run(serve_all(app, visitors)) == {OUTSIDE}
    assert [visitor for visitor in visitors if not visitor.is_right] == []
    assert set(seen_by_every_worker(executor)) == {OUTSIDE}


def test_every_asgi_request_on_several_loops_at_once_sees_its_own_user(
    crowd: Crowd, executor: ThreadPoolExecutor
) -> None:
    app = AmplifyASGIMiddleware(asgi_app(executor), crowd.config)
    visitors = crowd.visitors(list(PLACES))
    with ThreadPoolExecutor(LOOPS) as loops:
        parts = [visitors[number::LOOPS] for number in range(LOOPS)]
        seen = loops.map(lambda part: asyncio.run(serve_all(app, part)), parts)
        assert set().union(*seen) == {OUTSIDE}
        assert set(seen_by_every_worker(loops, LOOPS)) == {OUTSIDE}
    assert [visitor for visitor in visitors if not visitor.is_right] == []
    assert set(seen_by_every_worker(executor)) == {OUTSIDE}
