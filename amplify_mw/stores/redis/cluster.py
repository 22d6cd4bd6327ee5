"""One process's connections to a cluster: a batch goes to the nodes that have its keys.

Rules:
- The rules of `connections` hold for each node. `slots` decides who is asked; here it is done.
- Nodes are asked at once: a thread writes to all before it reads.
- One deadline is around everything: finding the nodes, and following a key from one to another.
- A node that did not answer is in doubt: the next command for it looks for a successor first.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import redis

from .commands import Batch, Command
from .connections import Pools, TooFewReplicas, has_failure, read, with_wait
from .exchange import Sent
from .server import FAILURES, Server
from .slots import Learn, Pause, Round, Routing, Slots, Step, Trip, is_settled, routed
from .urls import Address, ask_once, ask_once_on_loop

_ASKING: Final = Command(("ASKING",), b"")
_DESCRIBE: Final = ("CLUSTER", "SLOTS")  # known to all versions, and to every cloud
_SHARE: Final = 0.25  # of the timeout, at least, for a node to describe the cluster


class Done(NamedTuple):
    """All is sent, and answered."""

    answers: list[Any]


class ClusterConnections:
    """Sends batches to a cluster. Made without any connection.

    `moved`: called when connections are given up.
    """

    def __init__(
        self, server: Server, slots: Slots, moved: Callable[[], None], replicas: int = 0
    ) -> None:
        self._server = server
        self._slots = slots
        self._moved = moved
        self._replicas = replicas
        self._pools = Pools(server)
        self._learning = threading.Lock()
        self._learning_on: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    def send(self, batch: Batch) -> list[Any]:
        """The answers; None if there is a value of another type."""
        self._grow_old()
        until = time.monotonic() + self._server.timeout
        sent: dict[Trip, Any] = {}
        try:
            to = self._direct(batch)
            if to is not None:
                answers = self._sent(to, batch)
                if isinstance(answers, list):
                    if not has_failure(answers):
                        return answers
                    if is_settled(answers[0]):
                        return read(answers, 1, 0)
                sent[Trip(to)] = answers
            return self._follow(batch, sent, until)
        except FAILURES as error:
            raise self._server.failure(error) from error

    def _follow(self, batch: Batch, sent: dict[Trip, Any], until: float) -> list[Any]:
        """Go the whole way of a batch. `sent`: the answers to its first step, if it was taken."""
        flow = routed(self._slots, batch)
        answered: Any = None
        while True:
            match _next(flow, answered):
                case Done(answers):
                    return read(answers, len(answers), 0)
                case Learn():
                    answered = self._learn(until)
                case Pause(seconds):
                    _pause(seconds, until)
                    answered = None
                case trips:
                    was_sent = trips.keys() == sent.keys()
                    answered = sent if was_sent else self._round(trips, batch, until)
                    sent = {}

    async def send_on_loop(self, batch: Batch) -> list[Any]:
        """The same, awaited on the running event loop."""
        self._grow_old()
        pools, loop, timeout = self._pools, None, self._server.timeout
        until = time.monotonic() + timeout
        sent: dict[Trip, Any] = {}
        try:
            to = self._direct(batch)
            if to is not None:
                try:
                    loop = pools.found_on(asyncio.get_running_loop(), to) or await pools.on_loop(to)
                    answers: Any = await loop.sharing.send(batch, timeout)
                except FAILURES as error:
                    answers = error.with_traceback(None)  # else it holds this frame
                if type(answers) is list:
                    if not has_failure(answers):
                        return answers
                    if is_settled(answers[0]):
                        return read(answers, 1, 0)
                sent[Trip(to)] = answers
            return await self._follow_on_loop(batch, sent, until)
        except FAILURES as error:
            raise self._server.failure(error) from error
        finally:
            loop = None  # else a traceback keeps it

    async def _follow_on_loop(self, batch: Batch, sent: dict[Trip, Any], until: float) -> list[Any]:
        flow = routed(self._slots, batch)
        step: Any = None
        answered: Any = None
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                while True:
                    match step := _next(flow, answered):
                        case Done(answers):
                            return read(answers, len(answers), 0)
                        case Learn():
                            answered = await self._learn_on_loop()
                        case Pause(seconds):
                            await asyncio.sleep(seconds)
                            answered = None
                        case trips:
                            was_sent = trips.keys() == sent.keys()
                            answered = sent if was_sent else await self._round_on_loop(trips, batch)
                            sent = {}
        except TimeoutError:
            for trip in step if isinstance(step, dict) else ():
                self._slots.doubt(trip.to)
            raise

    def _direct(self, batch: Batch) -> Address | None:
        """The only node to ask, if it is known, and replicas need not be waited for."""
        if self._replicas and batch.to_replicas:
            return None
        return self._slots.direct(batch)

    def _sent(self, to: Address, batch: Batch) -> Any:
        """The answers of one node, or its failure."""
        try:
            return self._pools.of_threads(to).send(batch)
        except FAILURES as error:
            return error

    def _grow_old(self) -> None:
        if self._pools.is_old() and self._pools.leave(self._pools.times_left):
            self._slots.grow_old()
            self._moved()

    def let_go(self) -> None:
        """Let go of the connections of event loops: the last user of each closes it."""
        self._pools.let_go()

    # Having the cluster described

    def _learn(self, until: float) -> Exception | None:
        before = self._slots.times_learned
        if not self._learning.acquire(timeout=max(0.0, until - time.monotonic())):
            return redis.TimeoutError()
        failure: Exception | None = None
        try:
            if self._slots.times_learned != before:
                return None
            for address, share in self._sources():
                left = until - time.monotonic()
                if left <= 0:
                    return failure or redis.TimeoutError()
                self._slots.tried()
                try:
                    seconds = min(left, max(left * share, self._server.timeout * _SHARE))
                    options = self._server.options
                    self._note(address, ask_once(options, address, _DESCRIBE, seconds))
                except FAILURES as error:
                    failure = error
                else:
                    return None
        finally:
            self._learning.release()
        return failure

    async def _learn_on_loop(self) -> Exception | None:
        before = self._slots.times_learned
        timeout = self._server.timeout
        failure: Exception | None = None
        async with self._lock_on_loop():
            if self._slots.times_learned != before:
                return None
            self._slots.tried()
            for address, share in self._sources():
                try:
                    seconds = timeout * max(share, _SHARE)
                    options = self._server.async_options
                    found = await ask_once_on_loop(options, address, _DESCRIBE, seconds)
                    self._note(address, found)
                except FAILURES as error:
                    failure = error
                else:
                    return None
        return failure

    def _sources(self) -> list[tuple[Address, float]]:
        """Nodes to ask in turn, and the share of what time is left for each. The url's is last."""
        nodes = list(dict.fromkeys((*self._slots.sources(), self._server.address)))
        return [(node, 1 / (len(nodes) - number)) for number, node in enumerate(nodes)]

    def _note(self, asked: Address, answer: Any) -> None:
        self._slots.learn(answer, asked)
        self._pools.keep(self._slots.nodes)

    def _lock_on_loop(self) -> asyncio.Lock:
        running = asyncio.get_running_loop()
        if running not in self._learning_on:
            locks = [*self._learning_on.items()]
            self._learning_on = {loop: lock for loop, lock in locks if not loop.is_closed()}
        return self._learning_on.setdefault(running, asyncio.Lock())

    # Sending to several nodes at once

    def _round(self, trips: Round, batch: Batch, until: float) -> dict[Trip, Any]:
        answers: dict[Trip, Any] = {}
        sent: list[tuple[Trip, Sent]] = []
        try:
            for trip in sorted(trips):  # else two threads may wait for each other's connections
                commands = trips[trip]
                asked = self._asked(trip, commands, batch)
                try:
                    sent.append((trip, self._pools.of_threads(trip.to).begin(asked)))
                except FAILURES as error:
                    answers[trip] = error
            for trip, exchange in sent:
                try:
                    found = exchange.answers(until)
                    answers[trip] = self._found(trip, len(trips[trip]), found)
                except FAILURES as error:
                    answers[trip] = error
        finally:
            for _, exchange in sent:
                exchange.end()
        return answers

    async def _round_on_loop(self, trips: Round, batch: Batch) -> dict[Trip, Any]:
        talks = [self._talk(trip, commands, batch) for trip, commands in trips.items()]
        answers = [await talks[0]] if len(talks) == 1 else await asyncio.gather(*talks)
        return dict(zip(trips, answers, strict=True))

    async def _talk(self, trip: Trip, commands: list[Command], batch: Batch) -> Any:
        """The answers of one node, or its failure."""
        loop = None
        try:
            loop = await self._pools.on_loop(trip.to)
            asked = self._asked(trip, commands, batch)
            answers = await loop.sharing.send(asked, self._server.timeout)
            return self._found(trip, len(commands), answers)
        except FAILURES as error:
            return error
        finally:
            loop = None  # else a traceback keeps it

    def _asked(self, trip: Trip, commands: list[Command], batch: Batch) -> Batch:
        """What is sent to one node."""
        if trip.is_asking:
            commands = [each for command in commands for each in (_ASKING, command)]
        part = batch._replace(commands=tuple(commands))
        return with_wait(part, self._replicas, self._server.timeout)

    def _found(self, trip: Trip, count: int, answers: list[Any]) -> list[Any]:
        """The answers of a node to so many commands."""
        step = 2 if trip.is_asking else 1
        confirmed = answers[count * step :]
        found = []
        for number in range(count):
            first, answer = answers[number * step], answers[number * step + step - 1]
            if step == 2 and isinstance(first, Exception):
                answer = first
            if confirmed and not isinstance(answer, Exception):
                answer = self._confirmed(answer, confirmed[0])
            found.append(answer)
        return found

    def _confirmed(self, answer: Any, replicas: Any) -> Any:
        """The answer to a write, if so many replicas have it."""
        if isinstance(replicas, Exception):
            return replicas
        return answer if replicas >= self._replicas else TooFewReplicas()


def _next(flow: Routing, answered: Any) -> Step | Done:
    """The next step of a flow."""
    try:
        return flow.send(answered)
    except StopIteration as done:
        return Done(done.value)


def _pause(seconds: float, until: float) -> None:
    if time.monotonic() + seconds >= until:
        raise redis.TimeoutError
    time.sleep(seconds)
