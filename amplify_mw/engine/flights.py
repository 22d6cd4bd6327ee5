"""Flights: work shared by several requests, on threads of this module's own.

Rules:
- At most one flight per key is in the air in a process. A waiter gives up after `patience`.
- A flight that nobody waits for has a lane of its own ("ahead"). It moves to the waiter's lane when
  somebody comes to wait for it and it has not departed.
- A flight runs on a thread of this module's own, never on a caller's thread or loop: a waiter may
  be cancelled or its loop closed, and the flight lands all the same.
- Threads start in an empty context: none keeps the user of the request that started it.
- While a lock is held no thread is started, nothing is waited for, and only pure functions are
  called. gevent may patch after these locks were made (gunicorn's `--preload`, uWSGI): if a
  greenlet switched while it held one, its worker would stop for good.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..effects import Flight, Unreachable
from ..log import logger

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
_WORKERS: Final = {
    "keys": 4,
    "calls": 16,
    "sessions": 16,
    "ahead": 8,
    "codes": 8,
    "ends": 4,
    "revocations": 4,
}
_UNHURRIED: Final = "ahead"
_RUN_EVEN_LATE: Final = {"ends", "revocations"}
_NO_THREAD: Final = "no thread could be started"


class _Airborne:
    """A flight in the air. `joined_at`: when somebody last had it carried."""

    __slots__ = ("carry", "flight", "future", "has_departed", "joined_at", "lane")

    def __init__(
        self, flight: Flight, carry: Callable[[Flight], Any], future: "Future[Any]"
    ) -> None:
        self.flight: Final = flight
        self.carry: Final = carry
        self.future: Final = future
        self.lane: str = flight.lane
        self.joined_at: float = time.monotonic()
        self.has_departed: bool = False

    def moves_to(self, lane: str) -> bool:
        """Whether it is to be carried in this lane as well, from now on."""
        moves = self.lane == _UNHURRIED != lane and not self.has_departed
        if moves:
            self.lane, self.joined_at = lane, time.monotonic()
        return moves


class Flights:
    """The flights in the air, and their threads. `patience`: seconds until a waiter gives up."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self.after_fork()

    def after_fork(self) -> None:
        """Start with no flights and no threads."""
        self._lock = threading.Lock()
        self._airborne: dict[Any, _Airborne] = {}
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._closing = threading.Event()

    def join(self, flight: Flight, carry: Callable[[Flight], Any]) -> "Future[Any]":
        """The future of the flight with this key. `carry` runs it, unless it is in the air.

        Raises `Unreachable` if no thread can be started for it.
        """
        from concurrent.futures import Future

        made = _Airborne(flight, carry, Future())
        with self._lock:
            known = self._airborne.get(flight.key)
            if known is None or known.future.done():
                known = self._airborne[flight.key] = made
            elif not known.moves_to(flight.lane):
                return known.future
        try:
            self._submit(flight.lane, self._fly, known)
        except RuntimeError as error:  # the interpreter is shutting down, or out of threads
            # (Another thread may have begun it, or have moved it to a lane with threads.)
            if known is made and made.lane == flight.lane and made.future.cancel():
                self._land(made)
                raise Unreachable(_NO_THREAD) from error
        return known.future

    def _submit(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Run `work` on a thread of this lane. Raises `RuntimeError` if none can be started."""
        while True:
            lane = self._lane(name)
            try:
                Context().run(lane.submit, work, *arguments)
            except RuntimeError:
                if self._lanes.get(name) is lane:
                    raise
            else:
                return  # (if not, `close` has closed the lane meanwhile)

    def _fly(self, airborne: _Airborne) -> None:
        future, flight = airborne.future, airborne.flight
        with self._lock:
            if airborne.has_departed:
                return  # from another lane
            airborne.has_departed = True
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self._depart(flight, airborne.carry, airborne.joined_at)
        except BaseException as error:  # noqa: BLE001  # its waiters raise it
            self._land(airborne)
            future.set_exception(error)
            del (
                future,
                airborne,
            )  # else the failure's traceback and the failure would hold each other
            if not isinstance(error, Unreachable):
                logger.error("a flight failed", exc_info=error)
        else:
            self._land(airborne)
            future.set_result(result)

    def _depart(self, flight: Flight, carry: Callable[[Flight], Any], joined_at: float) -> Any:
        is_late = time.monotonic() - joined_at > self._patience
        if is_late and flight.lane not in _RUN_EVEN_LATE:
            raise Unreachable("too much was asked before it")  # all waiters have given up
        return carry(flight)

    def _land(self, airborne: _Airborne) -> None:
        with self._lock:
            if self._airborne.get(airborne.flight.key) is airborne:
                del self._airborne[airborne.flight.key]

    def _lane(self, name: str) -> "ThreadPoolExecutor":
        lane = self._lanes.get(name)
        if lane is None:
            from concurrent.futures import ThreadPoolExecutor

            # If two are made at once, one is dropped; it has no threads yet.
            made = ThreadPoolExecutor(_WORKERS[name], f"amplify_mw-{name}")
            lane = self._lanes.setdefault(name, made)
        return lane

    def pause(self, seconds: float) -> None:
        """Wait in a flight. Raises `Unreachable` if the threads are to end."""
        is_over = self._closing.wait(seconds) or not threading.main_thread().is_alive()
        if is_over:  # these threads are to end, or the interpreter waits for them
            raise Unreachable("closing")

    def wait(self, future: "Future[T]", patience: float | None = None) -> T:
        """The result of a flight, waiting on this thread. `patience`: this waiter's, if less."""
        from concurrent.futures import CancelledError

        try:
            failure = future.exception(self._patience_of(patience))
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        except CancelledError as error:
            raise Unreachable(_NO_THREAD) from error
        return _result(future, failure)

    async def await_(self, future: "Future[T]", patience: float | None = None) -> T:
        """The same, awaited on the running loop."""
        if not future.done():
            await _landing(future, self._patience_of(patience))
        if future.cancelled():
            raise Unreachable(_NO_THREAD)
        return _result(future, future.exception())

    def _patience_of(self, patience: float | None) -> float:
        return self._patience if patience is None else min(patience, self._patience)

    def close(self) -> None:
        """Wait until all flights have landed, then end the threads."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
        self._closing.set()
        for lane in lanes.values():
            lane.shutdown(wait=True)
        self._closing = threading.Event()


async def _landing(future: "Future[Any]", patience: float) -> None:
    """Wait on the running loop until a flight has landed."""
    import asyncio

    loop = asyncio.get_running_loop()
    landed = asyncio.Event()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop was closed, and its waiters with it
            loop.call_soon_threadsafe(landed.set)

    future.add_done_callback(wake)
    try:
        await asyncio.wait_for(landed.wait(), patience)
    except TimeoutError as error:
        raise Unreachable("no answer in time") from error


def _result(future: "Future[T]", failure: BaseException | None) -> T:
    """The result of a flight, or an exception of this waiter's own.

    One exception raised by many threads would keep the frames, and the requests, of all.
    """
    if isinstance(failure, Unreachable):
        raise Unreachable(*failure.args) from failure
    return future.result()
