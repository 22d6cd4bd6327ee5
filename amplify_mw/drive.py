"""Running flows: the two drivers, the flights they wait for, and the caches they fill.

Rules:
- The drivers differ in how they wait for a flight or a store, and in nothing else.
- A flight is carried by a thread of this module's own, never by a caller's thread or loop: a
  waiter may be cancelled or its loop closed, and the flight lands all the same.
- At most one flight per key is in the air in a process. A waiter gives up after `patience`.
- After `fork()` the child starts with no flights, threads or connections of its parent.
- Caches are bounded by entries and by bytes. Reading one changes nothing and takes no lock.
- While a lock is held no thread is started, nothing is waited for, and nothing is called but pure
  functions. gevent may patch after these locks were made (gunicorn's `--preload`, uWSGI): if a
  greenlet switched while it held one, its worker would stop for good.
- Threads start in an empty context: none keeps the user of the request that happened to start it.
"""

import inspect
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .effects import (
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
    Outage,
    Pause,
    Rejection,
    Remember,
    Request,
    Sized,
    Tell,
    Unreachable,
)
from .http import HttpClient
from .log import logger

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
_WORKERS: Final = {"keys": 4, "calls": 16, "sessions": 16, "codes": 8, "ends": 4, "revocations": 4}
_HOWEVER_LATE: Final = {"ends", "revocations"}
_NO_THREAD: Final = "no thread could be started"


class BoundedCache:
    """Keeps at most `entries` values and `size` bytes; the oldest go first.

    `get(key)`: the value, or None; another thread may be writing meanwhile. (cachetools' caches
    have one bound, and take a microsecond longer of every new session and 0.1 of every known one.)
    """

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._values: OrderedDict[bytes, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.held = 0  # bytes, roughly
        self.generation = 0
        self.get = self._values.get

    def __repr__(self) -> str:
        return f"<BoundedCache of {len(self)}>"

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[bytes]:
        """The keys, the oldest first."""
        return iter(list(self._values))

    def put(self, key: bytes, value: Sized, generation: int | None = None) -> None:
        """Keep `value` in place of an older one, unless it alone is larger than the cache.

        Nor if everything was dropped since the cache was of `generation`.
        """
        with self._lock:
            if generation is not None and generation != self.generation:
                return
            size = value.size
            if size > self._size:
                self._take_out(key)
                return
            older = self._values.get(key)
            self._values[key] = value  # at once: no reader finds it gone meanwhile
            self.held += size
            if older is not None:
                self._values.move_to_end(key)
                self.held -= older.size
            while self.held > self._size or len(self._values) > self._entries:
                _, oldest = self._values.popitem(last=False)
                self.held -= oldest.size

    def discard(self, key: bytes) -> None:
        """Drop `key`, if it is there."""
        with self._lock:
            self._take_out(key)

    def clear(self) -> None:
        """Drop everything, and what is being made of it."""
        with self._lock:
            self.generation += 1
            self._values.clear()
            self.held = 0

    def drop(self, which: Callable[[Any], bool]) -> None:
        """Drop those values for which `which` holds, and what is being made of them."""
        with self._lock:
            self.generation += 1
            for key in [key for key, value in self._values.items() if which(value)]:
                self._take_out(key)

    def _take_out(self, key: bytes) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self.held -= value.size

    def renew_lock(self) -> None:
        """After a fork: another thread of the parent may have been in the middle of a change."""
        if self._lock.locked():
            self._values.clear()
            self.held = 0
        self._lock = threading.Lock()


class Driver:
    """Runs flows, blocking (`run`) or awaiting (`arun`).

    `timeout`: seconds for one HTTP request. `clock`: seconds since the epoch. `proxy`: as
    `HttpClient` takes it.
    """

    def __init__(
        self, *, timeout: float, clock: Callable[[], float], proxy: str | None = None
    ) -> None:
        self.clock = clock
        self._flights = Flights(patience=2 * timeout)
        self._http = HttpClient(timeout, proxy=proxy)

    def run(self, flow: Flow[T]) -> T:
        """The flow's result, waiting on this thread."""
        advance: Callable[[Any], Effect] = flow.send
        argument: Any = None
        while True:
            try:
                effect = advance(argument)
            except StopIteration as done:
                result: T = done.value
                return result
            try:
                if isinstance(effect, Join):
                    value = self._flights.wait(self._flights.join(effect.flight, self._carry))
                elif isinstance(effect, Ask):
                    value = _ask(effect)
                elif isinstance(effect, Tell):
                    value = None
                    _tell(effect)
                else:
                    value = self._act(effect)
                advance, argument = flow.send, (value, self.clock())
            except Unreachable as failure:
                failure.now = self.clock()
                advance, argument = flow.throw, failure

    async def arun(self, flow: Flow[T]) -> T:
        """The flow's result, awaited."""
        advance: Callable[[Any], Effect] = flow.send
        argument: Any = None
        while True:
            try:
                effect = advance(argument)
            except StopIteration as done:
                result: T = done.value
                return result
            try:
                if isinstance(effect, Join):
                    value = await self._flights.await_(
                        self._flights.join(effect.flight, self._carry)
                    )
                elif isinstance(effect, Ask):
                    value = await effect.store.ask(effect.method, effect.arguments)
                elif isinstance(effect, Tell):
                    value = None
                    await _atell(effect)
                else:
                    value = self._act(effect)
                advance, argument = flow.send, (value, self.clock())
            except Unreachable as failure:
                failure.now = self.clock()
                advance, argument = flow.throw, failure

    def _carry(self, flight: Flight) -> Any:
        """What a flight's thread does."""
        return self.run(flight.flow(self.clock()))

    def _act(self, effect: Effect) -> Any:
        """Do what needs no waiting, or (in a flight) what does."""
        if isinstance(effect, Remember):  # every new session: a pattern would cost 0.3 µs
            cache, key, value, generation = effect
            if value is None:
                cache.discard(key)
            else:
                cache.put(key, value, generation)
            return None
        match effect:
            case Request():
                return self._http.send(effect)
            case Draw(size):
                return os.urandom(size)
            case Pause(seconds):
                self._flights.pause(seconds)
            case Meanwhile(request, every, ask):
                with _repeating(ask, every):
                    return self._http.send(request)
            case Launch():
                self._flights.join(effect.flight, self._carry)
            case ForgetAll(cache):
                cache.clear()
            case Forget(caches, which):
                for cache in caches:
                    cache.drop(which)
            case Outage():
                _report(effect)
            case Rejection():
                _report_rejection(effect)
            case Notice(text):
                logger.warning("%s", text)
            case _:
                raise AssertionError(f"a driver waits for {type(effect).__name__} itself")
        return None

    def after_fork(self) -> None:
        """In a child: let go of what belongs to the parent, without closing it."""
        self._flights.after_fork()
        self._http.after_fork()

    def close(self) -> None:
        """Wait for what is in the air and close connections. A later use opens them anew."""
        close_connections = self._http.retire()  # those of what is in the air; newcomers make new
        self._flights.close()
        close_connections()


def _ask(effect: Ask) -> Any:
    return getattr(effect.store, effect.method)(*effect.arguments)


def _tell(effect: Tell) -> None:
    """Call the app's function, on this thread."""
    answer = _call_listener(effect)
    if isinstance(answer, Awaitable):
        if inspect.iscoroutine(answer):
            answer.close()  # one that is never awaited warns
        _report_listener(effect, TypeError("WSGI awaits nothing: write a function without async"))


async def _atell(effect: Tell) -> None:
    """The same, awaited; on a thread, unless it is a coroutine function."""
    import asyncio

    if inspect.iscoroutinefunction(effect.listener):
        answer = _call_listener(effect)
    else:
        answer = await asyncio.to_thread(_call_listener, effect)
    if isinstance(answer, Awaitable):
        try:
            await answer
        except Exception as error:  # noqa: BLE001  # whatever the app does
            _report_listener(effect, error)


def _call_listener(effect: Tell) -> object:
    # Caught where it is raised: no thread hands on a StopIteration.
    try:
        return effect.listener(effect.value)
    except Exception as error:  # noqa: BLE001  # whatever the app does
        _report_listener(effect, error)
        return None


def _report_listener(effect: Tell, error: Exception) -> None:
    what = type(effect.value).__name__
    logger.error("the app's function that is told of a %s has failed", what, exc_info=error)


@contextmanager
def _repeating(ask: Ask, every: float) -> Iterator[None]:
    """Ask again and again on a thread, first after `every` seconds, until the block ends."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(every):
            with suppress(Unreachable):  # the next time may do
                _ask(ask)

    thread = threading.Thread(target=repeat, name="amplify_mw-lease", daemon=True)
    with suppress(RuntimeError):  # out of threads: what is asked again and again can do without
        Context().run(thread.start)
    try:
        yield
    finally:
        done.set()


def _report(outage: Outage) -> None:
    if outage.over:
        logger.warning("%s answers again", outage.what)
    else:
        logger.warning("%s does not answer (%s); %s", outage.what, outage.why, outage.meanwhile)


def _report_rejection(rejection: Rejection) -> None:
    what, code, mend, outcome, over = rejection
    if over:
        logger.warning("%s is accepted again", what)
    else:
        logger.warning("Cognito refuses %s (%s): %s; %s", what, code, mend, outcome)


class Flights:
    """What is in the air, on threads of this object's own."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self.after_fork()

    def after_fork(self) -> None:
        """Start with nothing in the air."""
        self._lock = threading.Lock()
        self._airborne: dict[Any, Future[Any]] = {}
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._closing = threading.Event()

    def join(self, flight: Flight, carry: Callable[[Flight], Any]) -> "Future[Any]":
        """The future of the flight with this key; unless it is in the air, `carry` runs it.

        Raises `Unreachable` if no thread can be had for it.
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
            if future.cancel():  # (else another thread of that lane has taken it up)
                self._land(flight, future)
                raise Unreachable(_NO_THREAD) from error
        return future

    def _submit(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Have a thread of this lane do some work. Raises `RuntimeError` if none can be had."""
        while True:
            lane = self._lane(name)
            try:
                Context().run(lane.submit, work, *arguments)
            except RuntimeError:
                if self._lanes.get(name) is lane:
                    raise
            else:
                return  # (if not, `close` has closed that lane meanwhile)

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
        except BaseException as error:  # noqa: BLE001  # whoever waits for it raises it
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
        if is_late and flight.lane not in _HOWEVER_LATE:
            raise Unreachable("too much was asked before it")  # nobody waits for it any more
        return carry(flight)

    def _land(self, flight: Flight, future: "Future[Any]") -> None:
        with self._lock:
            if self._airborne.get(flight.key) is future:
                del self._airborne[flight.key]

    def _lane(self, name: str) -> "ThreadPoolExecutor":
        lane = self._lanes.get(name)
        if lane is None:
            from concurrent.futures import ThreadPoolExecutor

            # Of two that are made at once one is left over; it has no threads yet.
            made = ThreadPoolExecutor(_WORKERS[name], f"amplify_mw-{name}")
            lane = self._lanes.setdefault(name, made)
        return lane

    def pause(self, seconds: float) -> None:
        """Let time pass in a flight. Raises `Unreachable` when the threads are to end."""
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
        """The result of a flight, awaited on whatever loop is running."""
        import asyncio

        loop = asyncio.get_running_loop()
        landed = asyncio.Event()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # that loop was closed: nobody waits there any more
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
        """Let what is in the air land, then end the threads."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
        self._closing.set()
        for lane in lanes.values():
            lane.shutdown(wait=True)
        self._closing = threading.Event()


def _result(future: "Future[T]", failure: BaseException | None) -> T:
    """The result of a flight that has landed, or a failure of this waiter's own.

    One exception raised by many threads would gather the frames, and the requests, of them all.
    """
    if isinstance(failure, Unreachable):
        raise Unreachable(*failure.args) from failure
    return future.result()
