"""What does a stored session cost on many machines? Known sessions in Valkey, and on a cluster.

A session is looked up for each request. Those that an event loop serves at once are looked up
together: 64 tasks send one request after another, each a whole one (find the cookie, ask whether
the record has changed, serve the app). The units are redis-py's own `GET` of the same keys, awaited
by as many tasks, and called by as many threads, through a client with its defaults. A line's time
is that of one request: the time of all, by their number.

The cluster has three primaries on this machine, which share its processors with the client: the
line is about what finding the right node costs, and not about what three machines can do.
"""

import asyncio
import atexit
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Table, at_most
from .requests import asgi_app, wsgi_app, wsgi_calls
from .stored import asgi_requests, config_of, signed_in
from .tokens import Mint
from .valkey import Cluster, Valkey, missing, server_versions

AT_ONCE = 64
THREADS = 8
ALONE, EACH = 50, 5  # requests of a task that is alone; of one of many, or of a thread

GET_ALONE = Row("asyncio, one at a time: redis-py GET")
ASGI_ALONE = Row(
    "asyncio, one at a time: known session",
    unit=GET_ALONE,
    limit=at_most(1.2),
    aim="known session in Valkey, asyncio, one at a time: of redis-py's awaited GET",
)
GET = Row(f"asyncio, {AT_ONCE} at once: redis-py GET")
ASGI = Row(
    f"asyncio, {AT_ONCE} at once: known session",
    unit=GET,
    limit=at_most(0.5),
    aim=f"known session in Valkey, asyncio, {AT_ONCE} at once: of redis-py's awaited GET",
)
ASK = Row(f"asyncio, {AT_ONCE} at once: RedisStore.ask", unit=GET)
GET_IN_THREADS = Row(f"{THREADS} threads: redis-py GET")
WSGI = Row(
    f"{THREADS} threads: known session",
    unit=GET_IN_THREADS,
    limit=at_most(1.0),
    aim=f"known session in Valkey, {THREADS} threads: of redis-py's GET",
)
ON_CLUSTER = Row(
    f"asyncio, {AT_ONCE} at once, 3 primaries: known session",
    unit=ASGI,
    limit=at_most(1.11),
    aim="known session on a cluster of 3 primaries, in time: of a single node (0.9 in rate)",
)
ROWS = [GET_ALONE, ASGI_ALONE, GET, ASK, ASGI, ON_CLUSTER, GET_IN_THREADS, WSGI]


def cases() -> dict[str, Call]:
    import redis
    from redis.asyncio import Redis

    server, cluster = Valkey(), Cluster()
    atexit.register(server.__exit__)
    atexit.register(cluster.__exit__)
    mint, runner = Mint(), asyncio.Runner()
    atexit.register(runner.close)
    store = RedisStore(server.url)
    on_cluster = RedisStore(cluster.url, cluster=True)
    headers, sent_to_cluster = signed_in(mint, store), signed_in(mint, on_cluster)
    client, awaited = redis.Redis.from_url(server.url), Redis.from_url(server.url)
    names = client.keys("amplify_mw:s:*")
    keys = [name.removeprefix(b"amplify_mw:s:") for name in names]
    assert len(client.get(names[0])) > 1000
    assert all(store.load(key) is not None for key in keys)
    request = asgi_requests(
        AmplifyASGIMiddleware(asgi_app, Engine(config_of(mint, store))), headers
    )
    request_to_cluster = asgi_requests(
        AmplifyASGIMiddleware(asgi_app, Engine(config_of(mint, on_cluster))), sent_to_cluster
    )
    wsgi = wsgi_calls(AmplifyWSGIMiddleware(wsgi_app, Engine(config_of(mint, store))), headers)
    pool = ThreadPoolExecutor(THREADS)
    atexit.register(pool.shutdown)

    async def ask(key: bytes) -> None:
        await store.ask("load", (key,))

    following = cycle(names)
    return {
        GET_ALONE.case: in_tasks(runner, 1, awaited.get, names),
        ASGI_ALONE.case: in_tasks(runner, 1, request, headers),
        GET.case: in_tasks(runner, AT_ONCE, awaited.get, names),
        ASK.case: in_tasks(runner, AT_ONCE, ask, keys),
        ASGI.case: in_tasks(runner, AT_ONCE, request, headers),
        ON_CLUSTER.case: in_tasks(runner, AT_ONCE, request_to_cluster, sent_to_cluster),
        GET_IN_THREADS.case: in_threads(pool, lambda: client.get(next(following))),
        WSGI.case: in_threads(pool, wsgi),
    }


def in_tasks(
    runner: asyncio.Runner, tasks: int, function: Callable[[Any], Awaitable[object]], given: list
) -> Call:
    """So many tasks, each of which does its calls one after another."""
    following = cycle(given)

    async def task() -> None:
        for _ in range(ALONE if tasks == 1 else EACH):
            await function(next(following))

    async def together() -> None:
        await asyncio.gather(*[task() for _ in range(tasks)])

    return lambda: runner.run(together())


def in_threads(pool: ThreadPoolExecutor, call: Call) -> Call:
    """The same of threads."""

    def calls(_: int) -> None:
        for _ in range(EACH):
            call()

    return lambda: list(pool.map(calls, range(THREADS)))


def _one_of(run: dict[str, float]) -> dict[str, float]:
    """The times of one request, where a call was of many."""
    counts = dict.fromkeys((GET_ALONE.case, ASGI_ALONE.case), ALONE)
    counts |= dict.fromkeys((GET_IN_THREADS.case, WSGI.case), THREADS * EACH)
    return {name: taken / counts.get(name, AT_ONCE * EACH) for name, taken in run.items()}


def tables(plan: Plan = FULL) -> Iterator[Table]:
    title = "What a stored session costs on many machines"
    if (why := missing()) is not None:
        yield Table(title, ("", "µs a request"), [], notes=[f"Left out: {why}."])
        return
    runs = [_one_of(run) for run in in_processes("benchmarks.machines:cases", plan.shorter)]
    yield table(title, ROWS, runs, unit="unit", about=f"{server_versions()}.")


if __name__ == "__main__":
    print(*tables(), sep="\n")
