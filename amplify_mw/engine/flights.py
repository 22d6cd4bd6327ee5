"""Flights: work shared by several requests, on threads of this module's own.

Rules:
- At most one flight per key is in the air in a process. A waiter gives up after `patience`.
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
_WORKERS: Final = {"keys": 4, "calls": 16, "sessions": 16, "codes": 8, "ends": 4, "revocations": 4}
_RUN_EVEN_LATE: Final = {"ends", "revocations"}
_NO_THREAD: Final = "no thread could be started"


class Flights:
    """The flights in the air, and their threads. `patience`: seconds until a waiter gives up."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self.after_fork()

    def after_fork(self) -> None:
        """Start with no flights and no threads."""
        self._lock = threading.Lock()
        self._airborne: dict[Any, Future[Any]] = {}
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._closing = threading.Event()

    def join(self, flight: Flight, carry: Callable[[Flight], Any]) -> "Future[Any]":
        """The future of the flight with this key. `carry` runs it, unless it is in the air.

        Raises `Unreachable` if no thread can be started for it.
        """
        from concurrent.futures import Future

        with self._lock:
            future = self._airborne.get(flight.key)
            if future is not None and not future.done():
                return future
            future = self._airborne[flight.key] = Future()
        try:
            self._submit(flight.lane, self._fly, future, flight, carry, time.monotonic())
        except RuntimeError as error:  # the interpreter is shutting down, or out of threads
            if future.cancel():  # (else another thread of the lane has begun it)
                self._land(flight, future)
                raise Unreachable(_NO_THREAD) from error
        return future

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

    def _fly(
        self,
        future: "Future[Any]",
        flight: Flight,
        carry: Callable[[Flight], Any],
        joined_at: float,
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self._depart(flight, carry, joined_at)
        except BaseException as error:  # noqa: BLE001  # its waiters raise it
            self._land(flight, future)
            future.set_exception(error)
            del future  # else the failure's traceback and the failure would hold each other
            if not isinstance(error, Unreachable):
                logger.error("a flight failed", exc_info=error)
        else:
            self._land(flight, future)
            future.set_result(result)

    def _depart(self, flight: Flight, carry: Callable[[Flight], Any], joined_at: float) -> Any:
        is_late = time.monotonic() - joined_at > self._patience
        if is_late and flight.lane not in _RUN_EVEN_LATE:
            raise Unreachable("too much was asked before it")  # all waiters have given up
        return carry(flight)

    def _land(self, flight: Flight, future: "Future[Any]") -> None:
        with self._lock:
            if self._airborne.get(flight.key) is future:
                del self._airborne[flight.key]

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

    def wait(self, future: "Future[T]") -> T:
        """The result of a flight, waiting on this thread."""
        from concurrent.futures import CancelledError

        try:
            failure = future.exception(self._patience)
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        except CancelledError as error:
            raise Unreachable(_NO_THREAD) from error
        return _result(future, failure)

    async def await_(self, future: "Future[T]") -> T:
        """The result of a flight, awaited on the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        landed = asyncio.Event()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # the loop was closed, and its waiters with it
                loop.call_soon_threadsafe(landed.set)

        future.add_done_callback(wake)
        try:
            await asyncio.wait_for(landed.wait(), self._patience)
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        if future.cancelled():
            raise Unreachable(_NO_THREAD)
        return _result(future, future.exception())

    def close(self) -> None:
        """Wait until all flights have landed, then end the threads."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
        self._closing.set()
        for lane in lanes.values():
            lane.shutdown(wait=True)
        self._closing = threading.Event()


def _result(future: "Future[T]", failure: BaseException | None) -> T:
    """The result of a flight, or an exception of this waiter's own.

    One exception raised by many threads would keep the frames, and the requests, of all.
    """
    if isinstance(failure, Unreachable):
        raise Unreachable(*failure.args) from failure
    return future.result()
