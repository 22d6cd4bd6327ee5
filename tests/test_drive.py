"""Drivers, flights, caches and the HTTP client, with real sockets, threads, loops and forks."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.cognito.keys import RETRY_PAUSE, KeySource, KeysUnavailable
from amplify_mw.effects import (
    Ask,
    Flight,
    Flow,
    ForgetAll,
    Join,
    Launch,
    Remember,
    Request,
    Response,
    Unreachable,
)
from amplify_mw.engine.cache import BoundedCache
from amplify_mw.engine.driver import Driver, _repeating
from amplify_mw.engine.flights import Flights
from amplify_mw.engine.http import HttpClient
from amplify_mw.sessions.store import Store
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Body, Down, Drip, Redirect
from tests.patience import PATIENCE, until


class Key:
    """A flight's key that knows how often it was looked up: once or more by each who joins."""

    def __init__(self) -> None:
        self._seen = threading.Semaphore(0)

    def __hash__(self) -> int:
        self._seen.release()
        return 7

    def wait_for(self, lookups: int) -> None:
        for _ in range(lookups):
            assert self._seen.acquire(timeout=PATIENCE)


def fetching(url: str, key: object = "keys") -> Flight:
    """A flight that fetches `url`."""

    def flow(now: float) -> Flow[int]:
        response, _ = yield Request("GET", url)
        return len(response.content)

    return Flight(key, flow)


def waiting(flight: Flight) -> Flow[Any]:
    """A flow that waits for a flight; it answers the result, or why there is none."""
    try:
        value, _ = yield Join(flight)
    except Unreachable as failure:
        return failure
    return value


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver(timeout=PATIENCE, clock=time.time)
    yield driver
    driver.close()


@pytest.fixture
def hasty() -> Iterator[Driver]:
    """A driver that waits 0.3 s for an answer."""
    driver = Driver(timeout=0.3, clock=time.time)
    yield driver
    driver.close()


@pytest.fixture
def jwks(pool: LocalUserPool) -> str:
    return pool.jwks_url


# --- the two drivers


def test_both_drivers_run_a_flow_to_its_result(driver: Driver, jwks: str) -> None:
    size = driver.run(waiting(fetching(jwks)))
    assert size == asyncio.run(driver.arun(waiting(fetching(jwks)))) > 0


def test_an_answer_comes_with_the_time_at_which_it_came(jwks: str) -> None:
    ticks = iter(range(100))
    driver = Driver(timeout=PATIENCE, clock=lambda: next(ticks))

    def flow() -> Flow[float]:
        _, first = yield Join(fetching(jwks))
        _, second = yield ForgetAll(BoundedCache(1, 1))
        return second - first

    assert driver.run(flow()) == 1
    assert asyncio.run(driver.arun(flow())) == 1
    driver.close()


def test_effects_that_need_no_waiting_are_done(driver: Driver) -> None:
    cache = BoundedCache(10, 10_000)

    def flow() -> Flow[list[bytes]]:
        for key in (b"a", b"b", b"c"):
            yield Remember(cache, key, Value(1))
        yield Remember(cache, b"b", None)
        return list(cache)

    assert driver.run(flow()) == [b"a", b"c"]


def test_a_flow_that_handles_no_failure_raises_it(driver: Driver, jwks: str) -> None:
    def flow() -> Flow[Any]:
        return (yield Join(fetching("http://127.0.0.1:9/")))

    with pytest.raises(Unreachable):
        driver.run(flow())
    with pytest.raises(Unreachable):
        asyncio.run(driver.arun(flow()))


# --- one flight for all


def test_threads_share_one_flight(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    key = Key()
    with pool.hold("jwks") as gate, ThreadPoolExecutor(8) as threads:
        sizes = [threads.submit(driver.run, waiting(fetching(jwks, key))) for _ in range(8)]
        key.wait_for(9)  # the first looks twice
        gate.release()
    assert len({size.result() for size in sizes}) == 1
    assert pool.count("jwks") == 1


def test_tasks_share_one_flight(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    async def main() -> list[int]:
        with pool.hold("jwks") as gate:
            tasks = [asyncio.create_task(driver.arun(waiting(fetching(jwks)))) for _ in range(50)]
            await asyncio.sleep(0)  # each task runs up to its first wait
            gate.release()
            return await asyncio.gather(*tasks)

    assert len(set(asyncio.run(main()))) == 1
    assert pool.count("jwks") == 1


def test_loops_and_threads_share_one_flight(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    key = Key()

    def on_a_loop() -> Any:
        return asyncio.run(driver.arun(waiting(fetching(jwks, key))))

    with pool.hold("jwks") as gate, ThreadPoolExecutor(8) as threads:
        sizes = [threads.submit(on_a_loop) for _ in range(4)]
        sizes += [threads.submit(driver.run, waiting(fetching(jwks, key))) for _ in range(4)]
        key.wait_for(9)
        gate.release()
    assert len({size.result() for size in sizes}) == 1
    assert pool.count("jwks") == 1


def test_flights_of_different_keys_are_in_the_air_together(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    with ThreadPoolExecutor(8) as threads, pool.hold("jwks") as gate:
        for n in range(8):
            threads.submit(driver.run, waiting(fetching(jwks, n)))
        gate.wait_for_arrivals(8)


def test_full_lanes_of_calls_do_not_delay_key_fetches(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    config = f"{pool.issuer}/.well-known/openid-configuration"
    with ThreadPoolExecutor(40) as threads, pool.hold("openid-configuration") as gate:
        for n in range(40):
            threads.submit(driver.run, waiting(fetching(config, n)))
        gate.wait_for_arrivals(16)
        keys = fetching(jwks)
        assert driver.run(waiting(Flight("keys", keys.flow, lane="keys"))) > 0


def test_a_newcomer_after_the_landing_departs_anew(driver: Driver) -> None:
    departures: list[float] = []

    def flow(now: float) -> Flow[int]:
        departures.append(now)
        return len(departures)
        yield ForgetAll(BoundedCache(1, 1))

    answers = [driver.run(waiting(Flight("key", flow))) for _ in range(1000)]
    assert answers == list(range(1, 1001))


def test_a_launched_flight_is_joined_by_who_needs_it(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    def flow() -> Flow[Any]:
        yield Launch(fetching(jwks))
        gate.release()
        return (yield Join(fetching(jwks)))

    with pool.hold("jwks") as gate:
        assert driver.run(flow())[0] > 0
    assert pool.count("jwks") in (1, 2)  # two, if the launched one had landed already


def test_a_launched_flight_that_fails_harms_nobody(driver: Driver) -> None:
    def flow() -> Flow[str]:
        yield Launch(fetching("http://127.0.0.1:9/"))
        return "served"

    assert driver.run(flow()) == "served"


# --- who waits no longer


def test_a_cancelled_waiter_harms_nobody(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    async def main() -> Any:
        with pool.hold("jwks") as gate:
            first, second = (
                asyncio.create_task(driver.arun(waiting(fetching(jwks)))) for _ in range(2)
            )
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            gate.release()
            return await second

    assert asyncio.run(main()) > 0
    assert pool.count("jwks") == 1


def test_when_all_waiters_are_cancelled_the_flight_lands_all_the_same(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    landed = threading.Event()

    def flow(now: float) -> Flow[None]:
        yield Request("GET", jwks)
        landed.set()

    async def main() -> None:
        with pool.hold("jwks") as gate:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(driver.arun(waiting(Flight("key", flow))), 0.01)
            gate.release()

    asyncio.run(main())
    assert landed.wait(PATIENCE)


def test_a_loop_that_is_closed_under_its_waiter_harms_nobody(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    key = Key()
    loop = asyncio.new_event_loop()
    with pool.hold("jwks") as gate, ThreadPoolExecutor(1) as threads:
        left = loop.create_task(driver.arun(waiting(fetching(jwks, key))))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        other = threads.submit(driver.run, waiting(fetching(jwks, key)))
        key.wait_for(3)
        gate.release()
        assert other.result() > 0
    assert not left.done()
    assert asyncio.run(driver.arun(waiting(fetching(jwks)))) > 0


def test_a_waiter_that_loses_patience_harms_nobody() -> None:
    departed, go = threading.Event(), threading.Event()
    flights = Flights(patience=PATIENCE)
    flight = fetching("http://unused.example")
    future = flights.join(flight, lambda flight: departed.set() or go.wait(PATIENCE))
    assert departed.wait(PATIENCE)
    flights._patience = 0.05
    with pytest.raises(Unreachable):
        flights.wait(future)
    with pytest.raises(Unreachable):
        asyncio.run(flights.await_(future))
    assert flights.join(flight, lambda flight: go.wait(PATIENCE)) is future
    flights._patience = PATIENCE
    go.set()
    assert flights.wait(future) is True
    flights.close()


def test_a_flight_for_which_nobody_waits_any_more_does_not_depart() -> None:
    go = threading.Event()
    departed: list[object] = []

    def carry(flight: Flight) -> bool:
        departed.append(flight.key)
        return go.wait(PATIENCE)

    flights = Flights(patience=PATIENCE)
    futures = [flights.join(fetching("http://unused.example", n), carry) for n in range(17)]
    until(lambda: len(departed) == 16)
    flights._patience = 0.05
    with pytest.raises(Unreachable):
        flights.wait(futures[16])
    go.set()
    assert isinstance(futures[16].exception(PATIENCE), Unreachable)
    assert sorted(departed) == list(range(16))
    flights.close()


def busy_lane(flights: Flights) -> threading.Event:
    """Fill the lane of flights that nobody waits for, until this is set."""
    go = threading.Event()
    departed: list[object] = []

    def carry(flight: Flight) -> bool:
        departed.append(flight.key)
        return go.wait(PATIENCE)

    for number in range(8):
        flights.join(fetching("http://unused.example", number)._replace(lane="ahead"), carry)
    until(lambda: len(departed) == 8)
    return go


def test_a_queued_flight_departs_when_somebody_comes_to_wait_for_it() -> None:
    flights, land, carried = Flights(patience=PATIENCE), threading.Event(), list[str]()
    go = busy_lane(flights)
    flight = fetching("http://unused.example", "late")

    def carry(flight: Flight) -> bool:
        carried.append(flight.lane)
        return land.wait(PATIENCE)

    queued = flights.join(flight._replace(lane="ahead"), carry)
    again = flights.join(flight._replace(lane="ahead"), carry)
    waiters = [flights.join(flight._replace(lane="sessions"), carry) for _ in range(3)]
    assert {queued} == {again, *waiters}
    land.set()
    assert flights.wait(waiters[0]) is True
    go.set()
    flights.close()
    assert carried == ["ahead"]  # once, and not again by the lane it was in


def test_who_waits_for_nothing_delays_nobody_who_waits() -> None:
    flights = Flights(patience=PATIENCE)
    go = busy_lane(flights)
    other = fetching("http://unused.example", "other")._replace(lane="sessions")
    assert flights.wait(flights.join(other, lambda _: "landed")) == "landed"
    go.set()
    flights.close()


def test_a_flight_ahead_that_is_late_does_not_depart() -> None:
    flights, carried = Flights(patience=PATIENCE), list[object]()
    go = busy_lane(flights)
    flight = fetching("http://unused.example", "late")._replace(lane="ahead")
    late = flights.join(flight, carried.append)
    flights._patience = 0.0
    go.set()
    assert isinstance(late.exception(PATIENCE), Unreachable)
    assert carried == []
    flights.close()


def test_a_waiter_may_have_less_patience_than_others() -> None:
    flights, go = Flights(patience=PATIENCE), threading.Event()
    future = flights.join(fetching("http://unused.example"), lambda _: go.wait(PATIENCE))
    for patience in (0.0, 0.01):
        with pytest.raises(Unreachable):
            flights.wait(future, patience)
        with pytest.raises(Unreachable):
            asyncio.run(flights.await_(future, patience))
    go.set()
    assert flights.wait(future) is True
    assert flights.wait(future, 0.0) is asyncio.run(flights.await_(future, 0.0)) is True
    flights.close()


# --- threads, and who starts them


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is done when a thread of the library's is about to start, by whoever starts it."""
    start, actions = threading.Thread.start, list[Callable[[], None]]()

    def watched(thread: threading.Thread) -> None:
        for action in list(actions):
            if thread.name.startswith("amplify_mw"):
                action()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", watched)
    return actions


def test_no_lock_is_held_while_a_thread_is_started(
    driver: Driver, jwks: str, starting: list[Callable[[], None]]
) -> None:
    held = list[bool]()
    starting.append(lambda: held.append(driver._flights._lock.locked()))
    assert driver.run(waiting(fetching(jwks))) > 0
    assert held == [False]


def test_a_flights_thread_is_not_started_in_the_context_of_a_request(
    driver: Driver, jwks: str, starting: list[Callable[[], None]]
) -> None:
    """Python 3.14 can be told to have threads inherit it, and a thread lives on."""
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen = list[str]()
    starting.append(lambda: seen.append(user.get()))
    token = user.set("ada")
    try:
        assert driver.run(waiting(fetching(jwks))) > 0
        with _repeating(Ask(cast("Any", None), Store.load, b""), 60):
            pass
    finally:
        user.reset(token)
    assert seen == ["nobody"] * 2


def test_without_a_thread_all_who_wait_are_told_and_the_next_is_served(
    starting: list[Callable[[], None]],
) -> None:
    flights, joined = Flights(patience=PATIENCE), list[Any]()
    flight, carried = fetching("http://unused.example"), list[object]()

    def carry(flight: Flight) -> str:
        carried.append(flight.key)
        return "landed"

    def run_out() -> None:
        joined.append(flights.join(flight, carry))
        raise RuntimeError("can't start new thread")

    starting.append(run_out)
    with pytest.raises(Unreachable):
        flights.join(flight, carry)
    with pytest.raises(Unreachable):
        flights.wait(joined[0])
    with pytest.raises(Unreachable):
        asyncio.run(flights.await_(joined[0]))
    starting.clear()
    assert flights.wait(flights.join(flight, carry)) == "landed"
    flights.close()
    assert carried == ["keys"], "what was given up was done after all"


# --- flights that fail


def test_each_waiter_gets_a_failure_of_its_own(
    driver: Driver, pool: LocalUserPool, jwks: str
) -> None:
    key = Key()
    with (
        pool.fault("jwks", Down()),
        pool.hold("jwks") as gate,
        ThreadPoolExecutor(4) as threads,
    ):
        waiters = [threads.submit(driver.run, waiting(fetching(jwks, key))) for _ in range(4)]
        key.wait_for(5)
        gate.release()
        failures = [waiter.result() for waiter in waiters]
    assert {type(failure) for failure in failures} == {Unreachable}
    assert len({id(failure) for failure in failures}) == 4


def test_a_flight_that_failed_is_tried_anew(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    with pool.fault("jwks", Down()):
        assert isinstance(driver.run(waiting(fetching(jwks))), Unreachable)
    assert driver.run(waiting(fetching(jwks))) > 0


def test_a_flights_bug_reaches_its_waiters_and_the_log_and_ends_there(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    def flow(now: float) -> Flow[None]:
        raise ZeroDivisionError
        yield Request("GET", "http://unused.example")

    with pytest.raises(ZeroDivisionError):
        driver.run(waiting(Flight("key", flow)))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(driver.arun(waiting(Flight("key", flow))))
    driver.close()  # the second is logged before its thread ends
    ours = [record.message for record in caplog.records if record.name == "amplify_mw"]
    assert ours == ["a flight failed"] * 2


def test_the_pause_after_a_slow_failure_begins_with_the_failure(
    pool: LocalUserPool, jwks: str
) -> None:
    now = [1000.0]
    driver = Driver(timeout=PATIENCE, clock=lambda: now[0])
    source = KeySource((jwks,), BoundedCache(1, 1))
    with pool.fault("jwks", Down()), ThreadPoolExecutor(1) as thread, pool.hold("jwks") as gate:
        lookup = thread.submit(driver.run, source.key_for("kid", 0, now[0]))
        gate.wait_for_arrivals(1)
        now[0] += 5
        gate.release()
        assert isinstance(lookup.exception(), KeysUnavailable)
    driver.close()
    assert source.state.next_fetch == now[0] + RETRY_PAUSE


# --- closing


def test_after_close_everything_opens_anew(driver: Driver, jwks: str) -> None:
    for _ in range(3):
        assert driver.run(waiting(fetching(jwks))) > 0
        driver.close()


def test_closing_what_was_never_used_is_fine() -> None:
    Driver(timeout=1, clock=time.time).close()


def test_close_lets_what_is_in_the_air_land(driver: Driver, pool: LocalUserPool, jwks: str) -> None:
    with pool.hold("jwks") as gate, ThreadPoolExecutor(2) as threads:
        size = threads.submit(driver.run, waiting(fetching(jwks)))
        gate.wait_for_arrivals(1)
        closed = threads.submit(driver.close)
        gate.release()
        assert size.result() > 0
        closed.result()


def test_closing_while_others_fly_raises_nothing_but_unreachable(driver: Driver, jwks: str) -> None:
    def fly(n: int) -> Any:
        return driver.run(waiting(fetching(jwks, n)))

    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(fly, range(60))
        for _ in range(20):
            driver.close()
        outcomes = list(answers)
    assert all(isinstance(outcome, int | Unreachable) for outcome in outcomes)
    assert fly(0) > 0


# --- forks and the end of the interpreter

FORKING = """
import os, sys, threading, time
from amplify_mw.engine.cache import BoundedCache
from amplify_mw.effects import Flight, Join, Request
from amplify_mw.engine.engine import Engine
from amplify_mw.config import AmplifyConfig

url = sys.argv[1]
place = {"endpoint_url": url, "issuer": url, "http_timeout": 60}
engine = Engine(AmplifyConfig(user_pool_id="x_1", client_id="web", **place))

def waiting(path):
    def flow(now):
        response, _ = yield Request("GET", url + path)
        return response.content.decode()
    answer, _ = yield Join(Flight(path, flow))
    return answer

def fetch(path):
    return engine.driver.run(waiting(path))
"""


def run_script(script: str, url: str, warnings: str = "ignore") -> str:
    """What a Python script of its own printed; it must end well and say nothing else."""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", FORKING + textwrap.dedent(script), url],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@dataclass
class Ports:
    """A server that answers each request with the port it came from, one path being held."""

    url: str
    release: threading.Event


@pytest.fixture
def ports() -> Iterator[Ports]:
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/held":
                release.wait(PATIENCE)
            if self.path == "/release":
                release.set()
            body = str(self.client_address[1]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield Ports(f"http://127.0.0.1:{server.server_port}", release)
    release.set()
    server.shutdown()
    thread.join()
    server.server_close()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_after_a_fork_child_and_parent_use_connections_of_their_own(ports: Ports) -> None:
    script = """
    before = fetch("/")
    child = os.fork()
    if child == 0:
        print(fetch("/"), fetch("/"), flush=True)
        engine.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(before, fetch("/"))
    engine.close()
    """
    of_child, of_parent = (set(line.split()) for line in run_script(script, ports.url).splitlines())
    assert (len(of_child), len(of_parent)) == (1, 1)
    assert of_child != of_parent


@needs_fork
def test_a_fork_in_the_middle_of_a_flight_harms_neither_side(ports: Ports) -> None:
    script = """
    fetch("/")
    landed = []
    thread = threading.Thread(target=lambda: landed.append(fetch("/held")))
    thread.start()
    while not engine.driver._flights._airborne:  # nothing else says that it has departed
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        fetch("/release")  # the child's flights are its own
        print(fetch("/held").isdigit(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    print(landed[0].isdigit(), fetch("/").isdigit())
    engine.close()
    """
    assert run_script(script, ports.url).split() == ["True"] * 3


@needs_fork
def test_a_child_that_ends_by_itself_ends_well(ports: Ports) -> None:
    script = """
    fetch("/")
    child = os.fork()
    if child == 0:
        fetch("/")
        engine.close()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    engine.close()
    """
    run_script(script, ports.url)


def test_at_the_end_of_the_interpreter_a_flight_is_unreachable(ports: Ports) -> None:
    script = """
    import atexit
    from amplify_mw.effects import Unreachable

    def late():
        try:
            fetch("/")
        except Unreachable as failure:
            print(failure)

    fetch("/")
    atexit.register(late)
    atexit.register(engine.close)
    """
    assert run_script(script, ports.url) == "no thread could be started\n"


def test_nobody_has_to_close_anything(ports: Ports) -> None:
    assert run_script("print(fetch('/').isdigit())", ports.url, "error") == "True\n"


def test_a_driver_that_nobody_uses_any_more_leaves_no_connection_open(ports: Ports) -> None:
    script = """
    import gc
    fetch("/")
    del engine
    gc.collect()
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join(120)
        print(thread.is_alive())
    """
    assert run_script(script, ports.url, "error") in ("", "False\n")


# --- the HTTP client


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(PATIENCE)
    yield client
    client.close()


@pytest.fixture
def hasty_client() -> Iterator[HttpClient]:
    """One for which there is no answer in the end."""
    client = HttpClient(0.3)
    yield client
    client.close()


def why_unreachable(client: HttpClient, request: Request) -> str:
    with pytest.raises(Unreachable) as failure:
        client.send(request)
    return str(failure.value)


@contextmanager
def speaking(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that reads one request and then says what `speak` does; its address."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                speak(connection, done)
            except OSError:
                return  # the client went away

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
        done.set()
        socket.create_connection(("127.0.0.1", port)).close()  # if nobody has come in time
        thread.join()


def dripping(head: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def speak(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(head)
        for _ in range(int(PATIENCE / 0.05)):  # far longer than any deadline here
            if done.wait(0.05):
                return
            connection.sendall(drop)

    return speak


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "a body": (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "a body of no length": (OK + b"\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "one chunk's head": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "one header": (OK + b"X: ", b"x"),
    "headers": (OK, b"X: x\r\n"),
    "a status line": (b"HTTP/1.1 200 ", b"x"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", DRIPS)
def test_whatever_drips_has_one_deadline(hasty_client: HttpClient, kind: str) -> None:
    with speaking(dripping(*DRIPS[kind])) as url, ThreadPoolExecutor(1) as thread:
        failure = thread.submit(hasty_client.send, Request("GET", url)).exception(PATIENCE)
        assert isinstance(failure, Unreachable)


def test_a_dripping_pool_is_an_outage(pool: LocalUserPool, hasty: Driver, jwks: str) -> None:
    with pool.fault("jwks", Drip()):
        assert isinstance(hasty.run(waiting(fetching(jwks))), Unreachable)


def test_a_silent_server_is_unreachable(hasty_client: HttpClient) -> None:
    def say_nothing(connection: socket.socket, done: threading.Event) -> None:
        done.wait(PATIENCE)

    with speaking(say_nothing) as url:
        assert why_unreachable(hasty_client, Request("GET", url))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.0.0.1:0", "nowhere.invalid", "[::1]:9"])
def test_nobody_there_is_unreachable(client: HttpClient, host: str) -> None:
    assert why_unreachable(client, Request("GET", f"http://{host}/"))


def test_every_address_of_a_host_is_tried(pool: LocalUserPool) -> None:
    looked_up: list[tuple[str, int]] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append((host, port))
        return [(None, None, 0, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    port = urlsplit(pool.url).port
    url = pool.jwks_url.replace("127.0.0.1", "several.localhost")
    client = HttpClient(PATIENCE, resolve=resolve)
    try:
        assert client.send(Request("GET", url)).status == 200
        assert looked_up == [("several.localhost", port)]
    finally:
        client.close()


def test_when_no_address_answers_the_last_failure_is_told() -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, 0, "", (address, 9)) for address in ("127.0.0.9", "127.0.0.8")]

    assert why_unreachable(HttpClient(PATIENCE, resolve=resolve), Request("GET", "http://a/")) == (
        "ConnectError: Connection refused"
    )


def test_no_address_is_tried_when_the_time_is_over() -> None:
    tried: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> Iterator[Any]:
        for address in ("127.0.0.9", "127.0.0.8"):
            tried.append(address)
            client._kit.network.deadline.at = 0.0  # as if looking it up had taken all of it
            yield None, None, 0, "", (address, 9)

    client = HttpClient(PATIENCE, resolve=resolve)  # type: ignore[arg-type]
    assert why_unreachable(client, Request("GET", "http://a/")) == "TimeoutError"
    assert tried == ["127.0.0.9"]


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
def test_a_host_name_that_cannot_be_looked_up_is_unreachable(client: HttpClient, host: str) -> None:
    assert "Unicode" in why_unreachable(client, Request("GET", f"https://{host}/"))


NOT_HTTP = {
    "nothing": b"",
    "noise": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an odd status": b"HTTP/1.1 999999 OK\r\n\r\n",
    "a bad length": OK + b"Content-Length: -1\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a cut body": OK + b"Content-Length: 10\r\n\r\nx",
    "a bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "endless headers": OK + b"X: " + b"x" * 200_000,
    "a header with a null": OK + b"X: \0\r\n\r\n",
}


@pytest.mark.parametrize("kind", NOT_HTTP)
def test_what_is_not_http_is_unreachable(client: HttpClient, kind: str) -> None:
    with speaking(lambda connection, done: connection.sendall(NOT_HTTP[kind])) as url:
        assert why_unreachable(client, Request("GET", url))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_unreachable(spoken: bytes) -> None:
    client = HttpClient(PATIENCE)
    with speaking(lambda connection, done: connection.sendall(OK + spoken)) as url:
        try:
            assert client.send(Request("GET", url)).status == 200
        except Unreachable as failure:
            assert repr(spoken) not in str(failure)  # noqa: PT017  # either may happen
    client.close()


def test_what_failed_is_said_without_what_was_sent(client: HttpClient) -> None:
    request = Request("POST", "http://127.0.0.1:9/secret-path", {"x": "secret"}, b"secret")
    assert "secret" not in why_unreachable(client, request)


@pytest.mark.parametrize(("most", "fits"), [(1000, True), (999, False), (0, False)])
def test_an_answer_may_be_as_large_as_allowed(
    client: HttpClient, pool: LocalUserPool, jwks: str, most: int, fits: bool
) -> None:
    request = Request("GET", jwks, max_bytes=most)
    with pool.fault("jwks", Body(b"x" * 1000)):
        if fits:
            assert client.send(request).content == b"x" * 1000
        else:
            assert "larger" in why_unreachable(client, request)


def test_an_answer_is_not_decompressed(client: HttpClient) -> None:
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
    with speaking(lambda connection, done: connection.sendall(head + b"\x1f\x8b\x08\0")) as url:
        assert client.send(Request("GET", url)).content == b"\x1f\x8b\x08\0"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    client: HttpClient, pool: LocalUserPool, jwks: str, code: int
) -> None:
    with pool.fault("jwks", Redirect(f"{pool.url}/elsewhere", code)):
        assert client.send(Request("GET", jwks)).status == code
    assert pool.requests == ["jwks"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_not_used(
    client: HttpClient, jwks: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert client.send(Request("GET", jwks)).status == 200


def test_a_redirect_to_nowhere_is_an_answer_like_any(client: HttpClient) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://[::bad/\xff\r\n\r\n"
    with speaking(lambda connection, done: connection.sendall(answer)) as url:
        assert client.send(Request("GET", url)).status == 302


def test_cookies_of_an_answer_are_not_sent_back(client: HttpClient) -> None:
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(bytes(self.headers))
            self.send_response(200)
            self.send_header("Set-Cookie", "tracking=1; Path=/")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        for _ in range(2):
            client.send(Request("GET", f"http://127.0.0.1:{server.server_port}/"))
        server.shutdown()
        thread.join()
    assert b"tracking" not in heard[0] + heard[1]


def test_header_names_come_in_lower_case(client: HttpClient) -> None:
    head = OK + b"X-Amzn-ErrorType: NotAuthorizedException\r\nContent-Length: 0\r\n\r\n"
    with speaking(lambda connection, done: connection.sendall(head)) as url:
        headers = client.send(Request("GET", url)).headers
    assert headers["x-amzn-errortype"] == "NotAuthorizedException"


def test_a_request_that_is_under_way_while_the_client_is_closed_is_answered_or_unreachable(
    client: HttpClient, pool: LocalUserPool, jwks: str
) -> None:
    with pool.hold("jwks") as gate, ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(client.send, Request("GET", jwks))
        gate.wait_for_arrivals(1)
        client.close()
        gate.release()
        assert isinstance(under_way.exception() or under_way.result(), Unreachable | Response)
    assert client.send(Request("GET", jwks)).status == 200


# --- the cache


@dataclass(frozen=True)
class Value:
    size: int


def test_the_oldest_of_too_many_goes_first() -> None:
    cache = BoundedCache(3, 30_000)
    for key in (b"a", b"b", b"c", b"d"):
        cache.get(b"a")  # reading changes nothing
        cache.put(key, Value(1))
    assert [cache.get(key) is None for key in (b"a", b"b", b"c", b"d")] == [True, *[False] * 3]


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    cache = BoundedCache(100, 1000)
    for key in (b"a", b"b", b"c"):
        cache.put(key, Value(400))
    assert list(cache) == [b"b", b"c"]


def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out() -> None:
    cache = BoundedCache(10, 1000)
    cache.put(b"a", Value(400))
    cache.put(b"b", Value(1001))
    assert list(cache) == [b"a"]


def test_a_value_put_again_is_replaced() -> None:
    cache = BoundedCache(10, 1000)
    cache.put(b"a", Value(400))
    cache.put(b"a", Value(500))
    assert (cache.get(b"a"), cache.held) == (Value(500), 500)


def test_a_value_is_there_all_the_while_it_is_being_replaced() -> None:
    seen: list[object] = []

    class Watching:
        @property
        def size(self) -> int:  # asked for in the middle of a change
            seen.append(cache.get(b"a"))
            return 400

    cache = BoundedCache(10, 1000)
    cache.put(b"a", Watching())
    seen.clear()
    cache.put(b"a", Watching())
    assert seen
    assert None not in seen


def test_a_value_put_again_is_young_again() -> None:
    cache = BoundedCache(2, 1000)
    for key in (b"a", b"b", b"a", b"c"):
        cache.put(key, Value(1))
    assert list(cache) == [b"a", b"c"]


OPERATIONS = st.one_of(
    st.tuples(st.just("put"), st.binary(max_size=1), st.integers(0, 2000)),
    st.tuples(st.just("discard"), st.binary(max_size=1), st.just(0)),
    st.tuples(st.just("clear"), st.just(b""), st.just(0)),
)


@given(st.integers(1, 5), st.integers(1, 1500), st.lists(OPERATIONS, max_size=60))
def test_whatever_is_done_the_bounds_hold(
    entries: int, size: int, operations: list[tuple[str, bytes, int]]
) -> None:
    cache = BoundedCache(entries, size)
    for name, key, of_size in operations:
        arguments = {"put": (key, Value(of_size)), "discard": (key,), "clear": ()}[name]
        getattr(cache, name)(*arguments)
        assert cache.held == sum(cache.get(kept).size for kept in cache) <= size
        assert len(cache) <= entries
        assert name != "put" or cache.get(key) in (None, Value(of_size))


def test_racing_threads_raise_nothing() -> None:
    cache = BoundedCache(8, 8_000)

    def race(seed: int) -> None:
        for n in range(3000):
            key = b"%d" % ((n * 7 + seed) % 20)
            cache.put(key, Value(n % 1500))
            cache.get(b"%d" % (n % 20))
            if n % 5 == 0:
                cache.discard(key)
            if n % 500 == 0:
                cache.clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(race, range(4))) == [None] * 4
    finally:
        sys.setswitchinterval(interval)
    cache.put(b"last", Value(1))
    assert cache.get(b"last") == Value(1)
    assert cache.held <= 8_000


def test_a_child_does_not_wait_for_a_thread_that_its_parent_had() -> None:
    reached, go = threading.Event(), threading.Event()

    class Slow:
        @property
        def size(self) -> int:
            reached.set()
            go.wait(PATIENCE)
            return 1

    cache = BoundedCache(10, 1000)
    cache.put(b"old", Value(1))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(cache.put, b"slow", Slow())
        reached.wait(PATIENCE)
        cache.renew_lock()  # as in a child, where that thread does not exist
        cache.put(b"new", Value(1))
        assert list(cache) == [b"new"]  # what was half changed is not believed
        go.set()
