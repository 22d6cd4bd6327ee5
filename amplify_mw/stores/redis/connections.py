"""One process's connections to a server: for its threads, and for each of its event loops.

Rules:
- A connection is made when it is first needed, and belongs to the threads of a process, or to one
  event loop.
- Connections are closed when their last user lets go of them, and an event loop's before it ends.
  A child of `fork()` neither uses nor closes those it inherits.
- If a connection broke, its command is sent again, once.
- If a demoted primary refuses a command, it is sent again, once, on a new connection: the same host
  name may lead to another server by now. If that server takes it, all older connections are given
  up. They are given up every few minutes as well: a process that only reads is never refused.
- `replicas`: how many have to confirm what must not be lost, before it is taken as written.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, Final, NamedTuple

import redis

from .batching import Sharing
from .commands import Batch, Command
from .errors import DEMOTED, kind
from .exchange import Lending
from .server import FAILURES, Server
from .urls import Address, Pool, hang_up, pool, pool_on_loop

_LIFE: Final = 300.0  # seconds for which connections are kept, at most
_WAIT: Final = 0.75  # of the timeout, for replicas


class TooFewReplicas(redis.RedisError):
    """A write is on the primary, and not on as many replicas as it has to be."""


class Pools:
    """What one process sends by, for each address. Made without any connection.

    The address None is the url's own.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._threads: dict[Address | None, Lending] = {}
        self._loops: dict[asyncio.AbstractEventLoop, dict[Address | None, OnLoop]] = {}
        self._times_left = 0
        self._until = time.monotonic() + _LIFE
        self._lock = threading.Lock()

    @property
    def times_left(self) -> int:
        """How often the connections were given up."""
        return self._times_left

    def is_old(self) -> bool:
        """Whether it is time to give up the connections."""
        return time.monotonic() >= self._until

    def of_threads(self, address: Address | None = None) -> Lending:
        """What this process's threads send by."""
        found = self._threads.get(address)
        if found is None:
            found = self._threads.setdefault(address, self.open_for_threads(address))
        return found

    def open_for_threads(self, address: Address | None = None) -> Lending:
        """The same, made anew."""
        return Lending(pool(self._server.options, address))

    async def on_loop(self, address: Address | None = None) -> "OnLoop":
        """What the running event loop sends by."""
        running = asyncio.get_running_loop()
        found = self.found_on(running, address)
        if found is not None:
            return found
        made = await self.open(address)  # goes there at once: no other task comes in between
        with self._lock:
            closed = [self._loops.pop(loop) for loop in [*self._loops] if loop.is_closed()]
            self._loops.setdefault(running, {})[address] = made
        closed.clear()  # what is dropped may run code of asyncio's: not under the lock
        return made

    def found_on(
        self, loop: asyncio.AbstractEventLoop, address: Address | None = None
    ) -> "OnLoop | None":
        """The same, if that was made before."""
        return self._loops.get(loop, _NONE).get(address)

    async def open(self, address: Address | None = None) -> "OnLoop":
        """The same, made anew."""
        connections = pool_on_loop(self._server.async_options, address)
        sharing = Sharing(connections)
        end = _closing(connections, sharing)
        await anext(end)
        return OnLoop(sharing, end)

    def leave(self, times_left: int) -> bool:
        """Give up all connections, unless another thread has, since `times_left`."""
        with self._lock:
            if times_left != self._times_left:
                return False
            self._times_left += 1
            self._until = time.monotonic() + _LIFE
            left = self._threads, dict(self._loops)
            self._threads = {}
            self.let_go()
        del left  # what is dropped may run code of asyncio's: not under the lock
        return True

    def keep(self, addresses: Collection[Address]) -> None:
        """Give up the connections to all other addresses."""
        with self._lock:
            left: list[Any] = []
            found: list[dict[Address | None, Any]] = [self._threads, *self._loops.values()]
            for of_all in found:
                left += [of_all.pop(each) for each in [*of_all] if each not in addresses]
        left.clear()

    def let_go(self) -> None:
        """Let go of the connections of event loops: the last user of each closes it.

        Dropping this object is not enough: the traceback of a failure may hold it for long.
        """
        self._loops.clear()


class OnLoop(NamedTuple):
    """What an event loop sends by, and the generator that closes it, even if only dropped."""

    sharing: Sharing
    end: AsyncGenerator[None, None]


_NONE: Final[dict[Address | None, OnLoop]] = {}


async def _closing(pool: Pool, sharing: Sharing) -> AsyncGenerator[None, None]:
    """Closes connections when their event loop shuts down its generators, or this one is dropped.

    asyncio does both: before a loop ends it closes the generators that were started on it; and if
    one is dropped, on any thread, its loop runs the rest of it.
    """
    try:
        yield
    finally:
        sharing.end()
        await hang_up(pool.made)


class Connections:
    """Sends batches to the server of a url. Made without any connection.

    `moved`: called when connections are given up, since the url may lead to another server.
    """

    def __init__(self, server: Server, moved: Callable[[], None], replicas: int = 0) -> None:
        self._server = server
        self._moved = moved
        self._replicas = replicas
        self._pools = Pools(server)

    def send(self, batch: Batch) -> list[Any]:
        """The server's answers; None if there is a value of another type."""
        if self._pools.is_old():
            self._leave(self._pools.times_left)
        asked = with_wait(batch, self._replicas, self._server.timeout)
        times_left, lending = self._pools.times_left, self._pools.of_threads()
        try:
            answers = lending.send(asked)
            if asked is batch and not has_failure(answers):
                return answers
            if _is_demoted(answers):
                answers = self._send_anew(asked)
                self._leave(times_left)
            return read(answers, len(batch.commands), self._replicas)
        except FAILURES as error:
            raise self._server.failure(error) from error

    def _send_anew(self, batch: Batch) -> list[Any]:
        """The answers on a new connection."""
        lending = self._pools.open_for_threads()
        try:
            return _accepted(lending.send(batch))
        finally:
            lending.close()

    async def send_on_loop(self, batch: Batch) -> list[Any]:
        """The same, awaited on the running event loop."""
        if self._pools.is_old():
            self._leave(self._pools.times_left)
        pools, timeout = self._pools, self._server.timeout
        asked = with_wait(batch, self._replicas, timeout)
        times_left, loop, running = pools.times_left, None, asyncio.get_running_loop()
        begun = running.time()
        try:
            loop = pools.found_on(running) or await pools.on_loop()
            answers = await loop.sharing.send(asked, timeout)
            if asked is batch and not has_failure(answers):
                return answers
            if _is_demoted(answers):
                async with asyncio.timeout_at(begun + timeout):
                    answers = await self._send_anew_on_loop(asked)
                self._leave(times_left)
            return read(answers, len(batch.commands), self._replicas)
        except FAILURES as error:
            raise self._server.failure(error) from error
        finally:
            loop = None  # else a traceback keeps it, until the collector drops it in any order

    async def _send_anew_on_loop(self, batch: Batch) -> list[Any]:
        new = await self._pools.open()
        try:
            return _accepted(await new.sharing.send(batch, self._server.timeout))
        finally:
            await new.end.aclose()

    def _leave(self, times_left: int) -> None:
        """Replace the connections by new ones."""
        if self._pools.leave(times_left):
            self._moved()

    def let_go(self) -> None:
        """Let go of the connections of event loops: the last user of each closes it."""
        self._pools.let_go()


def with_wait(batch: Batch, replicas: int, timeout: float) -> Batch:
    """The batch, and behind it the wait for replicas if it has to reach them."""
    if not (replicas and batch.to_replicas):
        return batch
    wait = Command(("WAIT", replicas, max(1, int(timeout * _WAIT * 1000))), b"")
    return batch._replace(commands=(*batch.commands, wait))


def read(answers: list[Any], count: int, replicas: int) -> list[Any]:
    """The answers to so many commands. Raises the first failure.

    A value of another type is none: no record.
    """
    for number, answer in enumerate(answers):
        if isinstance(answer, Exception):
            if kind(answer) != "WRONGTYPE":
                raise answer
            answers[number] = None
    for confirmed in answers[count:]:
        if confirmed < replicas:
            raise TooFewReplicas
    return answers[:count]


def has_failure(answers: list[Any]) -> bool:
    """Whether one of these answers is an error."""
    for answer in answers:  # noqa: SIM110  # `any` takes twice as long
        if isinstance(answer, Exception):
            return True
    return False


def _is_demoted(answers: list[Any]) -> bool:
    """Whether a demoted primary has refused a command."""
    return any(isinstance(answer, Exception) and kind(answer) in DEMOTED for answer in answers)


def _accepted(answers: list[Any]) -> list[Any]:
    """The answers. Raises if this server has refused a command as well."""
    for answer in answers:
        if isinstance(answer, Exception) and kind(answer) in DEMOTED:
            raise answer
    return answers
