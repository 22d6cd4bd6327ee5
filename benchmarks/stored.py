"""What does a stored session cost? Beside a bare `SELECT` by key, and the client's own `GET`.

A session is read from its store for every request, known or not: that is how its end is seen at
once. `store.load` is that read, blocking; `store.ask` is the same as an event loop has it. A whole
request (find the cookie, read the store, compare with what is known) has no limit of its own.

The units read as many bytes and make nothing of them: `SELECT value FROM bare WHERE key = ?` of a
table of these two columns with the same keys, in a file of its own, through an open connection; and
`GET` of the very same key through a client with its defaults (`Redis.from_url(url)`). On asyncio
each call is a task's `PER_TASK` reads one after another, so that the loop's start and end are
shared; the table shows one of them.
"""

import asyncio
import atexit
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import cycle
from tempfile import TemporaryDirectory
from typing import Any

from amplify_mw import StoredSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, drive, in_processes, table
from .report import Table, at_most
from .requests import asgi_app, asgi_calls, ask, cookie_header, wsgi_app, wsgi_calls
from .sessions import sign_in
from .tokens import Mint
from .valkey import Valkey, missing, server_versions

COUNT = 200
PER_TASK = 50

SELECT = Row("bare SELECT")
SQLITE = [
    SELECT,
    Row(
        "SQLiteStore.load",
        unit=SELECT,
        limit=at_most(3.0),
        aim="SQLiteStore.load: of a bare SELECT",
    ),
    Row(
        "SQLiteStore.ask, inline",
        unit=SELECT,
        limit=at_most(3.0),
        aim="SQLiteStore.ask on an event loop: of a bare SELECT",
    ),
    Row("WSGI: bare app"),
    Row("WSGI: known session, MemoryStore", "WSGI: bare app", SELECT),
    Row("WSGI: known session, SQLiteStore", "WSGI: bare app", SELECT),
    Row("WSGI: first seen, SQLiteStore", "WSGI: bare app", SELECT),
    Row("ASGI: bare app"),
    Row("ASGI: known session, MemoryStore", "ASGI: bare app", SELECT),
    Row("ASGI: known session, SQLiteStore", "ASGI: bare app", SELECT),
]
GET = Row("redis-py GET")
AIO_GET = Row("asyncio: redis-py GET")
REDIS = [
    GET,
    Row("RedisStore.load", unit=GET, limit=at_most(1.4), aim="RedisStore.load: of redis-py's GET"),
    Row("WSGI: bare app"),
    Row("WSGI: known session, RedisStore", "WSGI: bare app", GET),
    AIO_GET,
    Row(
        "asyncio: RedisStore.ask",
        unit=AIO_GET,
        limit=at_most(1.4),
        aim="RedisStore.ask on asyncio: of redis-py's awaited GET",
    ),
    Row("ASGI: known session, RedisStore", unit=AIO_GET),
]


def sqlite_cases() -> dict[str, Call]:
    folder = TemporaryDirectory(prefix="amplify_mw-benchmark-")
    path = os.path.join(folder.name, "sessions.db")
    store = SQLiteStore(path)
    atexit.register(folder.cleanup)
    atexit.register(store.close)
    mint = Mint()
    headers = signed_in(mint, store)
    memory_headers = signed_in(mint, memory := MemoryStore())
    rows = sqlite3.connect(path).execute("SELECT key, value FROM sessions").fetchall()
    keys = [key for key, _ in rows]
    bare = os.path.join(folder.name, "bare.db")
    fill_bare(bare, rows)
    assert all(store.load(key) is not None for key in keys)
    # Fewer verdicts are kept than there are sessions: each is forgotten before its turn comes.
    forgetful = config_of(mint, store).replace(cache_entries=COUNT // 2)
    cases: dict[str, Call] = {
        SELECT.case: bare_select(bare, keys),
        "SQLiteStore.load": _each(store.load, keys),
        "SQLiteStore.ask, inline": _each(lambda key: drive(store.ask("load", (key,))), keys),
        "WSGI: first seen, SQLiteStore": wsgi_calls(
            AmplifyWSGIMiddleware(wsgi_app, Engine(forgetful)), headers
        ),
    }
    for shell, app, middleware, calls in (
        ("WSGI", wsgi_app, AmplifyWSGIMiddleware, wsgi_calls),
        ("ASGI", asgi_app, AmplifyASGIMiddleware, asgi_calls),
    ):
        cases[f"{shell}: bare app"] = calls(app, headers)
        for name, place, sent in (
            ("SQLiteStore", store, headers),
            ("MemoryStore", memory, memory_headers),
        ):
            ours = middleware(app, Engine(config_of(mint, place)))
            cases[f"{shell}: known session, {name}"] = calls(ours, sent)
    return cases


def fill_bare(path: str, rows: Iterable[tuple[bytes, bytes]]) -> None:
    """A table of keys and values, as anybody would make it."""
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE bare (key BLOB PRIMARY KEY, value BLOB)")
        database.executemany("INSERT INTO bare VALUES (?, ?)", rows)
    database.execute("PRAGMA journal_mode = WAL")
    database.close()


def bare_select(path: str, keys: list[bytes]) -> Call:
    execute, following = sqlite3.connect(path).execute, cycle(keys)

    def call():
        return execute("SELECT value FROM bare WHERE key = ?", (next(following),)).fetchone()

    assert len(call()[0]) > 1000
    return call


def redis_cases() -> dict[str, Call]:
    import redis
    from redis.asyncio import Redis

    server = Valkey()
    atexit.register(server.__exit__)
    store = RedisStore(server.url)
    atexit.register(store.close)
    mint = Mint()
    headers = signed_in(mint, store)
    client = redis.Redis.from_url(server.url)
    names = client.keys("amplify_mw:s:*")
    keys = [name.removeprefix(b"amplify_mw:s:") for name in names]
    assert len(client.get(names[0])) > 1000
    assert all(store.load(key) is not None for key in keys)
    engine = Engine(config_of(mint, store))
    ours = AmplifyASGIMiddleware(asgi_app, engine)
    runner = asyncio.Runner()
    atexit.register(runner.close)
    awaited = Redis.from_url(server.url)

    async def ask_store(key: bytes) -> None:
        await store.ask("load", (key,))

    requests = asgi_requests(ours, headers)
    return {
        GET.case: _each(client.get, names),
        "RedisStore.load": _each(store.load, keys),
        "WSGI: bare app": wsgi_calls(wsgi_app, headers),
        "WSGI: known session, RedisStore": wsgi_calls(
            AmplifyWSGIMiddleware(wsgi_app, engine), headers
        ),
        AIO_GET.case: _in_tasks(runner, awaited.get, names),
        "asyncio: RedisStore.ask": _in_tasks(runner, ask_store, keys),
        "ASGI: known session, RedisStore": _in_tasks(runner, requests, headers),
    }


def asgi_requests(app, headers: list[str]):
    """As `asgi_calls`, for a loop that runs."""
    coroutines: list[Any] = []

    async def keep(scope, receive, send):
        coroutines.append(app(scope, receive, send))

    call = asgi_calls(keep, headers)

    async def request(_: str) -> None:
        call()
        await coroutines.pop()

    return request


def config_of(mint: Mint, store: Any):
    return mint.config.replace(session=StoredSession(store))


def signed_in(mint: Mint, store: Any) -> list[str]:
    """The `Cookie` headers of `COUNT` users whose sessions are in the store."""
    config = config_of(mint, store)
    headers = [cookie_header(value) for value in sign_in(Engine(config), mint.sets(COUNT))]
    _check(config, headers[:2])
    return headers


def _check(config, headers: list[str]) -> None:
    """What is timed works: each of these signs a user in."""
    users = []

    def witness(environ, start_response):
        users.append(ask())
        return wsgi_app(environ, start_response)

    call = wsgi_calls(AmplifyWSGIMiddleware(witness, Engine(config)), headers)
    for _ in headers:
        call()
    assert users
    assert None not in users


def _each(function, arguments: list) -> Call:
    following = cycle(arguments)
    return lambda: function(next(following))


def _in_tasks(runner: asyncio.Runner, function, arguments: list) -> Call:
    following = cycle(arguments)

    async def task():
        for _ in range(PER_TASK):
            await function(next(following))

    return lambda: runner.run(task())


def _one_of(run: dict[str, float]) -> dict[str, float]:
    """The times of one read, where a call was a task's."""
    tasks = {AIO_GET.case, "asyncio: RedisStore.ask", "ASGI: known session, RedisStore"}
    return {name: time / PER_TASK if name in tasks else time for name, time in run.items()}


def tables(plan: Plan = FULL) -> Iterator[Table]:
    runs = in_processes("benchmarks.stored:sqlite_cases", plan.shorter)
    about = f"SQLite {sqlite3.sqlite_version}, {COUNT} sessions."
    yield table("What a stored session costs: SQLite", SQLITE, runs, unit="SELECT", about=about)
    title = "What a stored session costs: Valkey"
    if (why := missing()) is not None:
        yield Table(title, ("", "µs a call"), [], notes=[f"Left out: {why}."])
        return
    runs = [_one_of(run) for run in in_processes("benchmarks.stored:redis_cases", plan.shorter)]
    about = f"{server_versions()}, {COUNT} sessions."
    yield table(title, REDIS, runs, unit="GET", about=about)


if __name__ == "__main__":
    print(*tables(), sep="\n")
