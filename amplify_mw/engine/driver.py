"""The two drivers, which run flows: one blocks, the other awaits.

Rules:
- The drivers differ in how they wait for a flight or a store, and in nothing else.
- An app with a listener has a driver of its own, which tells it of events. Flights and connections
  are shared by all apps with the same pools and limits.
- A flight is run by the driver that starts it, so its events go to the app that needed it first.
- After `fork()` the child starts with no flights, threads or connections of its parent.
"""

import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from ..effects import (
    Ask,
    Draw,
    Effect,
    Flight,
    Flow,
    Forget,
    ForgetAll,
    Join,
    Launch,
    Meanwhile,
    Notice,
    OperationName,
    Outage,
    Pause,
    Rejection,
    Remember,
    Report,
    Request,
    Response,
    Tell,
    Unreachable,
)
from ..events import Event
from .flights import Flights, T
from .http import HttpClient
from .reporting import Reporter

if TYPE_CHECKING:
    from concurrent.futures import Future


class Driver:
    """Runs flows, blocking (`run`) or awaiting (`arun`).

    `timeout`: seconds for one HTTP request. `clock`: seconds since the epoch. `proxy`: as
    `HttpClient` takes it.
    """

    def __init__(
        self,
        *,
        timeout: float,
        clock: Callable[[], float],
        proxy: str | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.clock: Callable[[], float] = clock
        self._reporter = reporter or Reporter()
        self._flights = Flights(patience=2 * timeout)
        self._http = HttpClient(timeout, proxy=proxy)
        self._outages: dict[tuple[OperationName | None, str], None] = {}  # in their order

    def reporting_to(self, reporter: Reporter) -> "Driver":
        """A driver for one app, with the flights and connections of this one.

        It is this one if the app has no listeners.
        """
        if not reporter.listeners:
            return self
        made = copy(self)
        made._reporter = reporter
        return made

    def run(self, flow: Flow[T]) -> T:
        """The flow's result, waiting on this thread."""
        advance: Callable[[Any], Effect] = flow.send
        argument: Any = None
        try:
            while True:
                try:
                    effect = advance(argument)
                except StopIteration as done:
                    result: T = done.value
                    return result
                try:
                    if isinstance(effect, Join):
                        joined = self._join(effect.flight)
                        value = self._flights.wait(joined, effect.patience)
                    elif isinstance(effect, Ask):
                        value = self._ask(effect)
                    elif isinstance(effect, Tell):
                        value = _tell(effect)
                    else:
                        value = self._act(effect)
                    advance, argument = flow.send, (value, self.clock())
                except Unreachable as failure:
                    failure.now = self.clock()
                    advance, argument = flow.throw, failure
        finally:
            argument = None  # a failure, whose traceback holds this frame: no cycle

    async def arun(self, flow: Flow[T]) -> T:
        """The flow's result, awaited."""
        advance: Callable[[Any], Effect] = flow.send
        argument: Any = None
        try:
            while True:
                try:
                    effect = advance(argument)
                except StopIteration as done:
                    result: T = done.value
                    return result
                try:
                    if isinstance(effect, Join):
                        joined = self._join(effect.flight)
                        value = await self._flights.await_(joined, effect.patience)
                    elif isinstance(effect, Ask):
                        value = await self._ask_awaited(effect)
                    elif isinstance(effect, Tell):
                        value = await _atell(effect)
                    else:
                        value = self._act(effect)
                    advance, argument = flow.send, (value, self.clock())
                except Unreachable as failure:
                    failure.now = self.clock()
                    advance, argument = flow.throw, failure
        finally:
            argument = None  # a failure, whose traceback holds this frame: no cycle

    def _join(self, flight: Flight) -> "Future[Any]":
        return self._flights.join(flight, self._carry)

    def _carry(self, flight: Flight) -> Any:
        """Run a flight, on its thread."""
        return self.run(flight.flow(self.clock()))

    def _send(self, request: Request) -> Response:
        return self._http.send(request)

    def _ask(self, effect: Ask[Any]) -> Any:
        return getattr(effect.store, effect.method)(*effect.arguments)

    def _ask_awaited(self, effect: Ask[Any]) -> Awaitable[Any]:
        answer: Awaitable[Any] = effect.store.ask(effect.method, effect.arguments)
        return answer

    def _note(self, outage: Outage) -> None:
        known = (outage.dependency, outage.what)
        if outage.over:
            self._outages.pop(known, None)
        else:
            self._outages[known] = None

    def failing(self) -> set[OperationName]:
        """The operations that are in an outage now, for any app that shares this state."""
        return {name for name, _ in list(self._outages) if name is not None}

    def _act(self, effect: Effect) -> Any:
        """Carry out an effect that needs no waiting, or (in a flight) one that does."""
        if isinstance(effect, Remember):  # every new session: a pattern would cost 0.3 µs
            cache, key, value, generation = effect
            if value is None:
                cache.discard(key)
            else:
                cache.put(key, value, generation)
            return None
        match effect:
            case Request():
                return self._send(effect)
            case Draw(size):
                return os.urandom(size)
            case Pause(seconds):
                self._flights.pause(seconds)
            case Meanwhile(request, every, ask):
                with _repeating(ask, every):
                    return self._send(request)
            case Launch():
                self._join(effect.flight)
            case ForgetAll(cache):
                cache.clear()
            case Forget(caches, which):
                for cache in caches:
                    cache.drop(which)
            case Report(event, loudly):
                self._reporter.report(cast("Event", event), loudly=loudly)
            case Outage() | Rejection() | Notice():
                if isinstance(effect, Outage):
                    self._note(effect)
                self._reporter.report_to_all(effect)
            case _:
                raise AssertionError(f"a driver waits for {type(effect).__name__} itself")
        return None

    def after_fork(self) -> None:
        """In a child: let go of the parent's threads and connections, without closing them."""
        self._flights.after_fork()
        self._http.after_fork()

    def close(self) -> None:
        """Wait for the flights in the air, then close connections. A later use opens new ones."""
        close_connections = (
            self._http.retire()
        )  # flights in the air use these; new ones open others
        self._flights.close()
        close_connections()


def _tell(effect: Tell) -> Exception | None:
    """Call the app's function, on this thread. Returns its exception."""
    answer, error = _call_listener(effect)
    if isinstance(answer, Awaitable):
        if inspect.iscoroutine(answer):
            answer.close()  # one that is never awaited warns
        return TypeError("WSGI awaits nothing: write a function without async")
    return error


async def _atell(effect: Tell) -> Exception | None:
    """The same, awaited; on a thread, unless it is a coroutine function."""
    import asyncio

    if inspect.iscoroutinefunction(effect.listener):
        answer, error = _call_listener(effect)
    else:
        answer, error = await asyncio.to_thread(_call_listener, effect)
    if isinstance(answer, Awaitable):
        try:
            await answer
        except Exception as raised:  # noqa: BLE001  # whatever the app does
            return raised
    return error


def _call_listener(effect: Tell) -> tuple[object, Exception | None]:
    # Caught where it is raised: no thread hands on a StopIteration.
    try:
        return effect.listener(effect.value), None
    except Exception as error:  # noqa: BLE001  # whatever the app does
        return None, error


@contextmanager
def _repeating(ask: Ask[Any], every: float) -> Iterator[None]:
    """Ask again and again on a thread, first after `every` seconds, until the block ends."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every):
            with suppress(Unreachable):  # the next time may do
                getattr(ask.store, ask.method)(*ask.arguments)

    thread = threading.Thread(target=repeat, name="amplify_mw-lease", daemon=True)
    with suppress(RuntimeError):  # out of threads: what is asked again and again can do without
        Context().run(thread.start)
    try:
        yield
    finally:
        done.set()
