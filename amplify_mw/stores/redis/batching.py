"""The batches of one event loop for one server: those asked together go out together.

Rules:
- All batches asked in one turn of the loop are one packet over one connection: one round trip. If
  they are several, those of the next few turns join them: on a cluster, whose nodes answer one
  after another, packets would fall to pieces otherwise. Who asks alone does not wait.
- Each asker has its own answers, its own deadline and its own failure. One that is cancelled or
  late leaves its place in the packet: its answers are read and dropped.
- A connection carries one packet at a time. It carries another only when every answer to the last
  one was read; otherwise it is closed.
- If the connection broke, the batches without an answer are sent again, once: see `scripts`.
- A packet has about `PACKET` bytes at most. A larger batch, and one that waits for replicas, go
  alone: nobody else waits for them.
- `SHARED` packets are on their way at most. Those asked meanwhile wait for the first to come back.
- A batch's commands stay together, in their order, on one connection.
- Nothing here keeps the context of a request, nor the frames of another's failure.
"""

import asyncio
import copy
import weakref
from collections import deque
from contextvars import Context
from typing import Any, Final

import redis

from .arrived import take_arrived
from .commands import Batch
from .exchange import packed

PACKET: Final = 65_536  # bytes
LARGE: Final = 16_384  # bytes of a batch that goes alone
GATHERING: Final = 3  # turns: an answer that has arrived is read, and its asker asks again
SHARED: Final = 8  # packets on their way; a packet that got lost stops no other


class Asked:
    """One asker's batch, as bytes, and the future of its `count` answers."""

    __slots__ = ("answers", "count", "deadline", "words")

    def __init__(
        self, words: bytes, count: int, deadline: float, answers: "asyncio.Future[list[Any]]"
    ) -> None:
        self.words: bytes = words
        self.count: int = count
        self.deadline: float = deadline
        self.answers: asyncio.Future[list[Any]] = answers

    def fail(self, error: BaseException) -> None:
        """Give the asker this failure, unless it has its answers, or has left."""
        if not self.answers.done():
            self.answers.set_exception(error)


class Lane:
    """Batches that wait for a packet. `most`: packets on their way. `room`: bytes in one."""

    def __init__(self, most: int, room: int) -> None:
        self.most = most
        self.flying = 0
        self.waiting: deque[Asked] = deque()
        self.has_next = False  # a packet that takes those who wait, in the loop's next turn
        self._room = room

    def has_waiting(self) -> bool:
        """Whether anybody waits."""
        while self.waiting and self.waiting[0].answers.done():
            self.waiting.popleft()
        return bool(self.waiting)

    def take(self) -> list[Asked]:
        """As many as one packet holds, in the order of asking; at least one if anybody waits."""
        taken: list[Asked] = []
        room = self._room
        while self.has_waiting() and (not taken or len(self.waiting[0].words) <= room):
            taken.append(self.waiting.popleft())
            room -= len(taken[-1].words)
        return taken


class Packet:
    """Batches that are on their way together, and the task that sends them."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.asked: list[Asked] = []
        self.has_begun: bool = False
        self.is_given_up: bool = False
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> list[Asked]:
        """Take those who wait."""
        self.has_begun = True
        self.lane.has_next = False
        self.asked = self.lane.take()
        return self.asked

    def left(self) -> list[Asked]:
        """Those who wait for their answers."""
        return [asked for asked in self.asked if not asked.answers.done()]

    def fail(self, error: BaseException) -> None:
        """Give all who wait their own copy of a failure."""
        for asked in self.left():
            asked.fail(_copy(error))

    def give_up(self) -> None:
        """Stop: all have left, and the last of them long enough ago."""
        if self.task is not None:
            self.is_given_up = True
            self.task.cancel()


class Sharing:
    """Sends the batches of the running event loop over the connections that `pool` makes."""

    def __init__(self, pool: Any) -> None:
        most: int = pool.max_connections
        shared = max(1, min(SHARED, most // 2))
        self._pool = pool
        self._most = most
        self._shared = Lane(shared, PACKET)
        self._alone = Lane(max(1, most - shared), 0)
        self._loop = asyncio.get_running_loop()
        self._idle: list[Any] = []  # connections, the last used at the end
        self._air: set[Packet] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_starting = False

    def send(self, batch: Batch, timeout: float) -> "asyncio.Future[list[Any]]":
        """The future of a batch's answers: an error is returned in its place.

        A failure of the connection is raised, and `TimeoutError` after so many seconds.
        """
        words = packed(batch)
        deadline = self._loop.time() + timeout
        asked = Asked(words, len(batch.commands), deadline, self._loop.create_future())
        lane = self._alone if batch.to_replicas or len(words) > LARGE else self._shared
        lane.waiting.append(asked)
        if not lane.has_next:
            self._launch(lane)
        if self._timer is None or deadline < self._timer.when():
            self._watch(deadline)
        return asked.answers

    def end(self) -> None:
        """Stop what is on its way: nobody waits for it any more."""
        for packet in self._air:
            packet.give_up()

    # The way of a packet.

    def _launch(self, lane: Lane) -> None:
        """Start a packet for those who wait, if one more may be on its way."""
        if lane.flying < lane.most and len(self._air) < self._most:
            packet = Packet(lane)
            self._air.add(packet)
            lane.flying += 1
            lane.has_next = True
            Context().run(self._start, packet)

    def _start(self, packet: Packet) -> None:
        self._is_starting = True
        packet.task = self._loop.create_task(self._carry(packet))
        self._is_starting = False
        packet.task.add_done_callback(lambda _: self._land(packet))

    def _land(self, packet: Packet) -> None:
        """A packet is no longer on its way: others may be. A task may end before it began."""
        self._air.discard(packet)
        packet.lane.flying -= 1
        if not packet.has_begun:
            packet.lane.has_next = False
        for lane in (self._shared, self._alone):
            if not lane.has_next and lane.has_waiting():
                self._launch(lane)

    async def _carry(self, packet: Packet) -> None:
        """Carry those who have asked in the turn of the loop that started this task."""
        if self._is_starting:  # an eager task, within that turn
            await asyncio.sleep(0)
        if len(packet.lane.waiting) > 1:
            for _ in range(GATHERING):
                await asyncio.sleep(0)
        if not packet.begin():
            return
        if packet.lane.waiting:  # more than one packet holds
            self._launch(packet.lane)
        connection = self._idle.pop() if self._idle else self._pool.make_connection()
        try:
            await _exchange_twice(connection, packet)
        except BaseException as error:
            is_failure = isinstance(error, Exception)
            packet.fail(error if is_failure else redis.ConnectionError("The loop is ending."))
            await connection.disconnect(nowait=True)
            if not is_failure and not packet.is_given_up:
                raise
        self._idle.append(connection)

    # Deadlines: one timer for all, which is mostly late, since most have their answers by then.

    def _watch(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Context().run(self._loop.call_at, deadline, _sweep, weakref.ref(self))

    def sweep(self) -> None:
        """Give up whose deadline has come, and wait for the next."""
        self._timer = None
        now = self._loop.time()
        deadlines = []
        for packet in self._air:
            _expire(packet.asked, now)
            last = max((asked.deadline for asked in packet.asked), default=now)
            left = packet.left()
            if packet.asked and not left and last <= now:
                packet.give_up()
            deadlines += [asked.deadline for asked in left] or ([last] if last > now else [])
        for lane in (self._shared, self._alone):
            _expire(lane.waiting, now)
            deadlines += [each.deadline for each in lane.waiting if not each.answers.done()]
        if deadlines:
            self._watch(min(deadlines))


def _sweep(sharing: "weakref.ref[Sharing]") -> None:
    found = sharing()
    if found is not None:
        found.sweep()


def _expire(all_asked: "deque[Asked] | list[Asked]", now: float) -> None:
    for asked in all_asked:
        if asked.deadline <= now:
            asked.fail(TimeoutError())


async def _exchange_twice(connection: Any, packet: Packet) -> None:
    """Send a packet and read its answers; on a new connection, once, if this one broke."""
    await _make_ready(connection)
    try:
        await _exchange(connection, packet)
    except redis.ConnectionError:
        await connection.disconnect(nowait=True)
        if not packet.left():
            raise
        await connection.connect()
        await _exchange(connection, packet)


async def _make_ready(connection: Any) -> None:
    """Connect, if that was not done, or if the server has closed the connection meanwhile."""
    if connection.is_connected:
        try:
            if not await connection.can_read():
                return
        except redis.ConnectionError:
            pass
        await connection.disconnect(nowait=True)
    await connection.connect()


async def _exchange(connection: Any, packet: Packet) -> None:
    """Send those who wait, and read all their answers."""
    sent = packet.left()
    await connection.send_packed_command(b"".join([asked.words for asked in sent]))
    awaited = sum([asked.count for asked in sent])
    arrived: list[Any] = []  # the next answers, the first of them last
    for asked in sent:
        answers: list[Any] = []
        for _ in range(asked.count):
            if arrived:
                answers.append(arrived.pop())
                continue
            try:
                answers.append(await connection.read_response())
            except redis.ResponseError as error:
                answers.append(error.with_traceback(None))  # else it holds this frame
            awaited -= 1
            if awaited:
                arrived = await take_arrived(connection, awaited)
                awaited -= len(arrived)
                arrived.reverse()
        if not asked.answers.done():
            asked.answers.set_result(answers)


def _copy(error: BaseException) -> BaseException:
    """A failure for one asker, with its causes, and without the frames that all of it holds."""
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or found.__context__
    cause: BaseException | None = None
    for each in reversed(chain):
        try:
            copied = copy.copy(each)
        except Exception:  # noqa: BLE001  # a class with a constructor of its own
            copied = redis.ConnectionError(type(each).__name__)
        copied.__cause__ = cause
        cause = copied
    return cause or error
