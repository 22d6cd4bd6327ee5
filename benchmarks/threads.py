"""What grows with tasks and threads? All of them are in the middle of a request at a time.

- Tasks of one event loop: each serves requests of its own user, through the ASGI shell, to an app
  that waits once and asks for the user before and after. The bare app waits as well.
- Threads: they share the requests of one batch, through one WSGI middleware, each with a user of
  its own. Beside them stand the bare app, the floor and a loop of plain Python, in as many threads:
  where the interpreter has a GIL no more than one of them runs at a time, whatever it does, and
  what the loop loses to that is the GIL's own. A barrier starts them together; what is timed is
  from the first one's start to the last one's end.

Each task and each thread asserts throughout that it sees its own user and nobody else's. All sizes
are measured by turns in the same processes.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from statistics import median
from threading import Barrier
from time import perf_counter, time
from typing import Any

from amplify_mw import get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .floor import VISIT, Entry, FloorASGI, FloorWSGI
from .harness import (
    FULL,
    TINY,
    Plan,
    Row,
    calibrated,
    compared,
    in_fresh_processes,
    interleaved,
    table,
)
from .report import Aim, Spread, Table, at_least, at_most
from .requests import asgi_app, cookie_header, environ, receive, scope, send, wsgi_app
from .tokens import Mint, username

TASKS = {TINY: (1, 10)}
EACH = 10  # requests of one task: what it takes to make a task and run a loop is shared by them
THREADS = (1, 2, 4, 8)
SHARE = 10  # a batch is so much longer here, and outlasts the GIL's turns of 5 ms
PYTHON = "plain Python"
KINDS = (PYTHON, "bare app", "floor", "amplify_mw")
USER = "benchmark.user"  # in a request: whose it is


def has_gil() -> bool:
    """Whether one thread at a time runs Python (CPython 3.13 can be built and run without)."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def so_many(size: int, noun: str) -> str:
    return f"{size:,} {noun}{'' if size == 1 else 's'}"


async def pausing_app(scope, receive, send):
    await asyncio.sleep(0)
    await asgi_app(scope, receive, send)


async def floor_app(scope, receive, send):
    before = VISIT.get().user
    await asyncio.sleep(0)
    assert before == VISIT.get().user == scope[USER]
    await asgi_app(scope, receive, send)


async def asking_app(scope, receive, send):
    before = get_current_user().username
    await asyncio.sleep(0)
    assert before == get_current_user().username == scope[USER]
    await asgi_app(scope, receive, send)


async def serve(app, models: Sequence[dict]) -> None:
    """A task for each of these requests, which serves it again and again."""

    async def task(model):
        for _ in range(EACH):
            await app({**model, "headers": model["headers"].copy()}, receive, send)

    async with asyncio.TaskGroup() as tasks:
        for model in models:
            tasks.create_task(task(model))


def measure_tasks(plan: Plan, sizes: Sequence[int]) -> dict[str, float]:
    """Microseconds a request, so many tasks at a time."""
    mint = Mint()
    tokens = mint.tokens(max(sizes))
    known = {token.encode(): Entry(username(token), time() + 3600) for token in tokens}
    models = [{**scope(cookie_header(token)), USER: username(token)} for token in tokens]
    apps = {
        "bare app": pausing_app,
        "floor": FloorASGI(floor_app, known),
        "amplify_mw": AmplifyASGIMiddleware(asking_app, mint.config),
    }
    with asyncio.Runner() as runner:

        def call(app, some):
            return lambda: runner.run(serve(app, some))

        for app in apps.values():
            call(app, models)()  # all are known from now on
        cases, sent = {}, {}
        for size in sizes:
            for name, app in apps.items():
                cases[case := f"{so_many(size, 'task')}: {name}"] = call(app, models[:size])
                sent[case] = size * EACH
        times = interleaved(cases, plan.rounds, plan.batch)
    return {case: taken / sent[case] for case, taken in times.items()}


def task_rows(sizes: Sequence[int]) -> list[Row]:
    bare = {size: f"{so_many(size, 'task')}: bare app" for size in sizes}
    rows = compared([(case, None) for case in bare.values()])
    for name, limit in (("floor", None), ("amplify_mw", at_most(1.5))):
        cases = [(f"{so_many(size, 'task')}: {name}", bare[size]) for size in sizes]
        rows += compared(cases, limit, f"a request in {sizes[-1]:,} tasks: of one task's")
    return rows


def floor_wsgi_app(environ, start_response):
    assert VISIT.get().user == environ[USER]
    return wsgi_app(environ, start_response)


def asking_wsgi_app(environ, start_response):
    assert get_current_user().username == environ[USER]
    return wsgi_app(environ, start_response)


def start_response(status, headers, exc_info=None):
    return None


def busy(model, _) -> tuple[()]:
    """About as long as a request, and nothing that threads share."""
    total = 0
    for number in range(100):
        total += number * number
    return ()


def repeatedly(app, model: dict, requests: int) -> None:
    for _ in repeat(None, requests):
        for _ in app(model.copy(), start_response):
            pass


def seconds_together(app, models: Sequence[dict], requests: int) -> float:
    """What it takes so many threads, one for each of `models`, to serve `requests` each."""
    barrier = Barrier(len(models))

    def thread(model):
        barrier.wait()
        begun = perf_counter()
        repeatedly(app, model, requests)
        return begun, perf_counter()

    with ThreadPoolExecutor(len(models)) as threads:
        times = list(threads.map(thread, models))
    return max(ended for _, ended in times) - min(begun for begun, _ in times)


def measure_threads(plan: Plan, sizes: Sequence[int]) -> dict[str, float]:
    """Thousands of requests a second, of so many threads together."""
    mint = Mint()
    tokens = mint.tokens(max(sizes))
    known = {token.encode(): Entry(username(token), time() + 3600) for token in tokens}
    models = [{**environ(cookie_header(token)), USER: username(token)} for token in tokens]
    ours = AmplifyWSGIMiddleware(asking_wsgi_app, mint.config)
    apps = dict(zip(KINDS, (busy, wsgi_app, FloorWSGI(floor_wsgi_app, known), ours), strict=True))
    counts = {}
    for name, app in apps.items():
        seconds_together(app, models, 1)  # all are known from now on
        counts[name] = calibrated(_one(app, models[0]), plan.batch * SHARE)
    found: dict[str, list[float]] = {}
    for _ in range(plan.rounds):
        for size in sizes:
            for name, app in apps.items():
                each = counts[name] // size + 1
                gc.collect()
                gc.disable()
                seconds = seconds_together(app, models[:size], each)
                gc.enable()
                found.setdefault(f"{so_many(size, 'thread')}: {name}", []).append(
                    each * size / seconds / 1000
                )
    return {case: median(rates) for case, rates in found.items()} | {"gil": has_gil()}


def _one(app, model: dict) -> Callable[[], Any]:
    return lambda: repeatedly(app, model, 1)


def thread_table(runs: Sequence[dict[str, float]], sizes: Sequence[int]) -> Table:
    rows, growth = [], {}
    for name in KINDS:
        for size in sizes:
            rates = [run[f"{so_many(size, 'thread')}: {name}"] for run in runs]
            growth[name, size] = [
                rate / run[f"1 thread: {name}"] for rate, run in zip(rates, runs, strict=True)
            ]
            ratio = Spread.of(growth[name, size])
            rows.append(
                (f"{so_many(size, 'thread')}: {name}", Spread.of(rates).text(1), ratio.text())
            )
    most = sizes[-1] if runs[0]["gil"] else min(sizes[-1], os.cpu_count() or 1)
    most = max(size for size in sizes if size <= most)
    pairs = zip(growth["amplify_mw", most], growth[PYTHON, most], strict=True)
    of_python = Spread.of([ours / python for ours, python in pairs])
    gil = "has a GIL" if runs[0]["gil"] else "has no GIL"
    return Table(
        "What grows with threads",
        ("", "thousands a second together", "times one thread"),
        rows,
        notes=[f"This interpreter {gil}; {os.cpu_count()} cores."],
        aims=[Aim(f"{most} threads' gain over one, of plain Python's", of_python, at_least(0.8))],
    )


def tables(plan: Plan = FULL) -> Iterator[Table]:
    few = plan.shorter
    sizes = TASKS.get(plan, (1, 10, 100, 1_000))
    runs = in_fresh_processes(measure_tasks, few, sizes)
    yield table("What grows with concurrent tasks", task_rows(sizes), runs, unit="fewest")
    yield thread_table(in_fresh_processes(measure_threads, few, THREADS), THREADS)


if __name__ == "__main__":
    print(*tables(), sep="\n")
