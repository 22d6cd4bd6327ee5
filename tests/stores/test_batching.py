"""Batches that share packets: each asker gets its own answers, and never those of another.

A server of the tests' own answers each name with a value made of that name; the name also says how
the server is to misbehave. The clock of the event loop is the tests', so nobody waits for it.
"""

import asyncio
import gc
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest
import redis
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.stores.redis import batching
from amplify_mw.stores.redis.batching import LARGE, PACKET, SHARED, Sharing
from amplify_mw.stores.redis.commands import Batch, Command
from amplify_mw.stores.redis.exchange import Lending, packed
from amplify_mw.testing.store_contract import at_once
from tests.patience import PATIENCE, until
from tests.valkey import Valkey

T = TypeVar("T")

TIMEOUT = 1000.0  # seconds by the tests' clock
SOON = 50  # turns of a loop, in which an answer may have come


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock that can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work())


def put_forward(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    loop.ahead += seconds


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class FakeServer:
    """Answers names with their values, and misbehaves as they say."""

    def __init__(self) -> None:
        self.packets: list[int] = []  # how many commands came at once
        self.opened = 0
        self.script: list[bytes | None] = []  # for each connection: what it says before it closes
        self._released = asyncio.Event()
        self._seen: set[bytes] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def release(self) -> None:
        """Answer what was held back."""
        self._released.set()
        self._released = asyncio.Event()

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        said = self.script[self.opened] if self.opened < len(self.script) else None
        self.opened += 1
        unread = b""
        with suppress(ConnectionError, asyncio.CancelledError):
            while read := await reader.read(1 << 20):
                commands, unread = parsed(unread + read)
                self.packets.append(len(commands))
                if said is not None:
                    writer.write(said)
                    break
                if not await self._answer_all(commands, writer):
                    break
        writer.close()

    async def _answer_all(self, commands: list[list[bytes]], writer: asyncio.StreamWriter) -> bool:
        for words in commands:
            name = words[1]
            _, fault, _ = name.split(b":")
            if fault.startswith(b"once-"):
                fault = b"" if name in self._seen else fault.removeprefix(b"once-")
                self._seen.add(name)
            answer = answer_to(name)
            if fault == b"drop":
                return False
            if fault == b"cut":
                writer.write(answer[: len(answer) // 2])
                return False
            if fault == b"held":
                await self._released.wait()
            if fault == b"dripping":
                for number in range(len(answer)):
                    writer.write(answer[number : number + 1])
                    await asyncio.sleep(0)
            else:
                writer.write(answer)
        return True


def parsed(sent: bytes) -> tuple[list[list[bytes]], bytes]:
    """The commands in some bytes, and what is left of them."""
    commands, at = [], 0
    while at < len(sent):
        end = sent.find(b"\r\n", at)
        if end < 0:
            break
        words, here = [], end + 2
        for _ in range(int(sent[at + 1 : end])):
            end = sent.find(b"\r\n", here)
            if end < 0:
                return commands, sent[at:]
            size = int(sent[here + 1 : end])
            words.append(sent[end + 2 : end + 2 + size])
            here = end + 4 + size
        if here > len(sent):
            break
        commands.append(words)
        at = here
    return commands, sent[at:]


def answer_to(name: bytes) -> bytes:
    kind = name.split(b":")[2]
    if kind == b"nothing":
        return b"$-1\r\n"
    if kind == b"error":
        return b"-ERR of %b\r\n" % name
    if kind == b"loading":
        return b"-LOADING of %b\r\n" % name
    if kind == b"list":
        return b"*2\r\n$%d\r\n%b\r\n*1\r\n:7\r\n" % (len(name), name)
    value = b"value\r\n of " + name
    return b"$%d\r\n%b\r\n" % (len(value), value)


def expected(name: bytes) -> object:
    kind = name.split(b":")[2]
    if kind == b"nothing":
        return None
    if kind == b"error":
        return f"of {name.decode()}"
    if kind == b"list":
        return [name, [7]]
    return b"value\r\n of " + name


def read(answers: list[Any]) -> list[object]:
    return [str(each) if isinstance(each, Exception) else each for each in answers]


def get(*names: bytes, to_replicas: bool = False) -> Batch:
    return Batch(tuple(Command(("GET", name), name, to_replicas) for name in names))


class Pool(redis.asyncio.ConnectionPool):
    """Notes the connections it makes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(protocol=2, driver_info=None, socket_timeout=None, **options)
        self.made: list[Any] = []

    def make_connection(self) -> Any:
        self.made.append(super().make_connection())  # type: ignore[no-untyped-call]
        return self.made[-1]


@asynccontextmanager
async def sharing(most: int = 32) -> AsyncIterator[tuple[FakeServer, Sharing]]:
    """A server on this very event loop, and what sends to it."""
    server = FakeServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    pool = Pool(host=host, port=port, max_connections=most)
    yield server, Sharing(pool)
    server.hang_up()
    for connection in pool.made:
        await connection.disconnect(nowait=True)
    listening.close()
    await listening.wait_closed()


# Whatever happens, in any order

FAULTS = st.sampled_from(
    [
        *[b""] * 6,
        b"once-drop",
        b"once-cut",
        b"drop",
        b"cut",
        b"held",
        b"dripping",
    ]
)
KINDS = st.sampled_from([b"value", b"value", b"nothing", b"error", b"list", b"loading"])
COMMANDS = st.lists(st.tuples(FAULTS, KINDS), min_size=1, max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("ask"), COMMANDS, st.booleans()),
    st.tuples(st.just("ask"), COMMANDS, st.just(False)),
    st.tuples(st.just("turns"), st.integers(1, 12)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("put forward"), st.floats(0.0, TIMEOUT)),
    st.tuples(st.just("release")),
    st.tuples(st.just("hang up")),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), most=st.sampled_from([1, 2, 3, 32]))
def test_each_asker_gets_its_own_answers_or_a_failure(steps: list[Any], most: int) -> None:
    async def program() -> None:
        async with sharing(most) as (server, ours):
            asked: list[tuple[list[bytes], asyncio.Task[list[Any]]]] = []
            cancelled: set[int] = set()
            for step, *arguments in steps:
                if step == "ask":
                    commands, to_replicas = arguments
                    names = [
                        b"%d.%d:%b:%b" % (len(asked), at, *each) for at, each in enumerate(commands)
                    ]
                    asked.append(
                        (
                            names,
                            asyncio.create_task(wait(ours, get(*names, to_replicas=to_replicas))),
                        )
                    )
                elif step == "turns":
                    await turns(*arguments)
                elif step == "cancel" and arguments[0] < len(asked):
                    cancelled.add(arguments[0])
                    asked[arguments[0]][1].cancel()
                elif step == "put forward":
                    put_forward(*arguments)
                elif step == "release":
                    server.release()
                elif step == "hang up":
                    server.hang_up()
            await turns(SOON)
            while not all(task.done() for _, task in asked):
                put_forward(TIMEOUT / 2)
                await turns(SOON)
            for number, (names, task) in enumerate(asked):
                check(names, task, was_cancelled=number in cancelled)
            # Nothing is left behind that could be read by somebody else.
            clean = [b"last.%d::value" % number for number in range(3)]
            server.release()
            found = await asyncio.gather(*[wait(ours, get(name)) for name in clean])
            assert found == [[expected(name)] for name in clean]
            assert len(ours._pool.made) <= most

    run(program)


async def wait(ours: Sharing, batch: Batch) -> list[Any]:
    return await ours.send(batch, TIMEOUT)


def check(names: list[bytes], task: "asyncio.Task[list[Any]]", *, was_cancelled: bool) -> None:
    try:
        answers = task.result()
    except asyncio.CancelledError:
        assert was_cancelled
    except (redis.ConnectionError, redis.TimeoutError, TimeoutError):
        pass
    else:
        assert read(answers) == [expected(name) for name in names]


# Packets


def test_those_who_ask_in_one_turn_share_a_packet() -> None:
    async def ask_together() -> None:
        async with sharing() as (server, ours):
            names = [b"%d::value" % number for number in range(64)]
            found = await asyncio.gather(*[wait(ours, get(name)) for name in names])
            assert found == [[expected(name)] for name in names]
            assert (server.packets, server.opened) == ([64], 1)

    run(ask_together)


@pytest.mark.parametrize(("first", "packets"), [(1, [1, 2]), (2, [4])])
def test_those_of_the_next_turns_join_a_packet_of_several(first: int, packets: list[int]) -> None:
    async def ask_in_turns() -> None:
        async with sharing() as (server, ours):
            names = [b"%d::value" % number for number in range(first + 2)]
            asked = [asyncio.create_task(wait(ours, get(name))) for name in names[:first]]
            await turns(2)
            asked += [asyncio.create_task(wait(ours, get(name))) for name in names[first:]]
            assert await asyncio.gather(*asked) == [[expected(name)] for name in names]
            assert sorted(server.packets) == packets

    run(ask_in_turns)


def test_who_asks_while_a_packet_waits_is_sent_at_once_on_another_connection() -> None:
    async def ask_one_by_one() -> None:
        async with sharing() as (server, ours):
            held = asyncio.create_task(wait(ours, get(b"1:held:value")))
            await turns(SOON)
            assert await wait(ours, get(b"2::value")) == [expected(b"2::value")]
            assert (held.done(), server.opened) == (False, 2)
            server.release()
            assert await held == [expected(b"1:held:value")]

    run(ask_one_by_one)


def test_so_many_packets_are_on_their_way_and_the_next_takes_all_who_wait() -> None:
    async def ask_many_times() -> None:
        async with sharing() as (server, ours):
            tasks = []
            for number in range(SHARED + 5):
                tasks.append(asyncio.create_task(wait(ours, get(b"%d:held:value" % number))))
                await turns(SOON)
            assert server.packets == [1] * SHARED
            while not all(task.done() for task in tasks):
                server.release()
                await turns(1)
            assert server.packets == [*[1] * SHARED, 5]
            assert server.opened == SHARED

    run(ask_many_times)


def test_a_packet_is_bounded_and_a_large_batch_goes_alone() -> None:
    async def ask_much() -> None:
        async with sharing() as (server, ours):
            size = PACKET // 10
            small = [b"%d::value%b" % (number, b"x" * size) for number in range(30)]
            large = b"large:held:value" + b"x" * LARGE
            alone = asyncio.create_task(wait(ours, get(large)))
            found = await asyncio.gather(*[wait(ours, get(name)) for name in small])
            assert found == [[expected(name)] for name in small]
            assert not alone.done()
            server.release()
            assert await alone == [expected(large)]

    run(ask_much)


def test_who_waits_for_replicas_holds_up_nobody() -> None:
    async def ask() -> None:
        async with sharing() as (server, ours):
            slow = [
                asyncio.create_task(wait(ours, get(b"%d:held:value" % number, to_replicas=True)))
                for number in range(40)
            ]
            for number in range(3):
                name = b"%d::value" % number
                assert await wait(ours, get(name)) == [expected(name)]
            assert not any(task.done() for task in slow)
            while not all(task.done() for task in slow):
                server.release()
                await turns(1)
            assert max(server.packets) == 1
            assert server.opened <= 32

    run(ask)


def test_the_commands_of_a_batch_stay_together_in_their_order(own_valkey: Valkey) -> None:
    async def ask() -> None:
        pool = Pool(host="127.0.0.1", port=own_valkey.port, max_connections=8)
        ours = Sharing(pool)

        async def count(number: int) -> list[Any]:
            name = b"counter"
            words = [("SET", name, number), ("APPEND", name, b"!"), ("GET", name)]
            return await wait(ours, Batch(tuple(Command(each, name) for each in words)))

        found = await asyncio.gather(*[count(number) for number in range(200)])
        assert [answers[-1] for answers in found] == [b"%d!" % number for number in range(200)]
        for connection in pool.made:
            await connection.disconnect()

    run(ask)


# Askers that leave


def test_a_cancelled_asker_leaves_its_answer_to_nobody() -> None:
    async def ask_and_leave() -> None:
        async with sharing() as (server, ours):
            names = [b"%d:%b:value" % (at, b"held" if at == 0 else b"") for at in range(3)]
            tasks = [asyncio.create_task(wait(ours, get(name))) for name in names]
            await turns(SOON)
            tasks[0].cancel()
            tasks[1].cancel()
            await turns(SOON)
            server.release()
            assert await tasks[2] == [expected(names[2])]
            assert await wait(ours, get(b"4::value")) == [expected(b"4::value")]
            assert server.opened == 1  # and was in step

    run(ask_and_leave)


def test_who_was_cancelled_before_the_packet_left_is_not_asked_for() -> None:
    async def ask_and_leave() -> None:
        async with sharing() as (server, ours):
            gone = ours.send(get(b"1::value"), TIMEOUT)
            stays = ours.send(get(b"2::value"), TIMEOUT)
            gone.cancel()
            assert await stays == [expected(b"2::value")]
            assert server.packets == [1]

    run(ask_and_leave)


def test_each_asker_has_its_own_deadline() -> None:
    async def ask_and_wait() -> None:
        async with sharing() as (server, ours):
            early = asyncio.create_task(wait(ours, get(b"1:held:value")))
            await turns(SOON)
            put_forward(TIMEOUT / 2)
            late = asyncio.create_task(wait(ours, get(b"2:held:value")))
            await turns(SOON)
            put_forward(TIMEOUT / 2)
            with pytest.raises(TimeoutError):
                await early
            await turns(SOON)
            assert not late.done()
            server.release()
            assert await late == [expected(b"2:held:value")]

    run(ask_and_wait)


def test_a_shorter_deadline_that_is_asked_later_comes_first() -> None:
    async def ask_and_wait() -> None:
        async with sharing() as (_, ours):
            patient = asyncio.ensure_future(ours.send(get(b"1:held:value"), TIMEOUT))
            impatient = ours.send(get(b"2::value"), TIMEOUT / 10)
            await turns(SOON)
            put_forward(TIMEOUT / 5)
            with pytest.raises(TimeoutError):
                await impatient
            assert not patient.done()
            put_forward(TIMEOUT)
            with pytest.raises(TimeoutError):
                await patient

    run(ask_and_wait)


def test_a_connection_that_owes_an_answer_to_nobody_is_closed() -> None:
    async def ask_and_wait() -> None:
        async with sharing(most=1) as (server, ours):
            owed = asyncio.create_task(wait(ours, get(b"1:held:value")))
            await turns(SOON)
            put_forward(TIMEOUT + 1)
            with pytest.raises(TimeoutError):
                await owed
            server.release()
            assert await wait(ours, get(b"2::value")) == [expected(b"2::value")]
            assert server.opened == 2

    run(ask_and_wait)


def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    async def ask() -> None:
        async with sharing() as (server, ours):
            assert await wait(ours, get(b"1::value")) == [expected(b"1::value")]
            server._writers[0].write(answer_to(b"2::value"))
            await turns(SOON)
            assert await wait(ours, get(b"3::value")) == [expected(b"3::value")]
            assert server.opened == 2

    run(ask)


# Connections that break

NAMES = (b"1::value", b"2::error", b"3::nothing", b"4::list", b"5::value")
SAID = b"".join(map(answer_to, NAMES))


@pytest.mark.parametrize("cut", range(len(SAID)))
def test_a_connection_that_breaks_at_any_byte_is_asked_for_the_rest(cut: int) -> None:
    async def ask() -> None:
        async with sharing() as (server, ours):
            server.script = [SAID[:cut]]
            found = await asyncio.gather(*[wait(ours, get(name)) for name in NAMES])
            assert [read(answers) for answers in found] == [[expected(name)] for name in NAMES]
            answered = sum(
                len(b"".join(map(answer_to, NAMES[: number + 1]))) <= cut
                for number in range(len(NAMES))
            )
            assert server.packets == [5, 5 - answered]

    run(ask)


@pytest.mark.parametrize("cut", range(0, len(SAID), 7))
def test_a_connection_that_breaks_twice_fails_those_without_an_answer(cut: int) -> None:
    async def ask() -> None:
        async with sharing() as (server, ours):
            server.script = [SAID[:cut], b""]
            tasks = [asyncio.create_task(wait(ours, get(name))) for name in NAMES]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert server.opened == 2
            for number, (name, task) in enumerate(zip(NAMES, tasks, strict=True)):
                check([name], task, was_cancelled=False)
                is_answered = len(b"".join(map(answer_to, NAMES[: number + 1]))) <= cut
                assert isinstance(found[number], BaseException) is not is_answered

    run(ask)


def test_answers_may_come_in_any_pieces() -> None:
    names = [b"%d:dripping:%b" % (at, name.split(b":")[2]) for at, name in enumerate(NAMES)]

    async def ask() -> None:
        async with sharing() as (_, ours):
            found = await asyncio.gather(*[wait(ours, get(name)) for name in names])
            assert [read(answers) for answers in found] == [[expected(name)] for name in names]

    run(ask)


def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    async def ask() -> None:
        async with sharing() as (server, ours):
            await wait(ours, get(b"1::value"))
            server.hang_up()
            await turns(SOON)
            assert await wait(ours, get(b"2::value")) == [expected(b"2::value")]
            assert server.packets == [1, 1]

    run(ask)


def test_a_failure_is_each_askers_own_and_holds_no_frames() -> None:
    async def fail() -> None:
        async with sharing() as (server, ours):
            server.script = [b"", b""]
            tasks = [asyncio.create_task(wait(ours, get(b"%d::value" % at))) for at in range(3)]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert len({id(error) for error in found}) == 3
            for error in found:
                assert isinstance(error, redis.ConnectionError)
                frames = []
                trace = error.__traceback__
                while trace is not None:
                    frames.append(trace.tb_frame.f_code.co_name)
                    trace = trace.tb_next
                assert frames == ["wait"]
                cause = error.__cause__
                while cause is not None:
                    assert cause.__traceback__ is None
                    cause = cause.__cause__

    run(fail)


def test_a_failure_of_a_class_that_cannot_be_copied_still_tells_its_name() -> None:
    class Peculiar(redis.RedisError):
        def __init__(self, *, needed: str) -> None:
            super().__init__(needed)

    copied = batching._copy(Peculiar(needed="secret"))

    assert str(copied) == "Peculiar"


# Event loops


def test_nothing_of_a_request_is_kept() -> None:
    user: ContextVar[object] = ContextVar("user")

    class User:
        pass

    async def ask() -> None:
        async with sharing() as (server, ours):
            user.set(someone := User())
            alive = weakref.ref(someone)
            asking = asyncio.create_task(wait(ours, get(b"1:held:value")))
            await turns(SOON)
            user.set(None)
            del someone
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            del asking
            await turns(3)
            gc.collect()
            assert alive() is None  # though the packet is on its way, and the timer waits
            server.release()

    run(ask)


def test_a_task_that_ends_before_it_begins_holds_nobody_up() -> None:
    async def ask() -> None:
        async with sharing() as (_, ours):
            asked = ours.send(get(b"1::value"), TIMEOUT)
            (packet,) = ours._air
            assert packet.task is not None
            packet.task.cancel()
            assert await asked == [expected(b"1::value")]

    run(ask)


def test_who_asks_on_a_loop_that_ends_is_told_so() -> None:
    async def ask() -> None:
        async with sharing() as (_, ours):
            asked = asyncio.create_task(wait(ours, get(b"1:held:value")))
            await turns(SOON)
            (packet,) = ours._air
            assert packet.task is not None
            packet.task.cancel()
            with pytest.raises(redis.ConnectionError):
                await asked
            assert await wait(ours, get(b"2::value")) == [expected(b"2::value")]

    run(ask)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_many_askers_that_come_and_go_on_a_real_server(own_valkey: Valkey, kind: str) -> None:
    factory = None if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with own_valkey.client() as client:
        for number in range(300):
            client.set(f"key-{number}", f"value-{number}")

    async def ask() -> None:
        pool = Pool(host="127.0.0.1", port=own_valkey.port, max_connections=8)
        ours = Sharing(pool)

        async def one(number: int) -> None:
            name = b"key-%d" % (number % 300)
            for _ in range(5):
                asked = asyncio.ensure_future(ours.send(get(name, name), PATIENCE))
                if number % 3 == 0:
                    await turns(number % 7)
                    asked.cancel()
                    continue
                assert await asked == [b"value-%d" % (number % 300)] * 2

        await asyncio.gather(*[one(number) for number in range(600)])
        assert len(pool.made) <= 8
        for connection in pool.made:
            await connection.disconnect()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(ask())


# Threads


@contextmanager
def lending(server: Valkey, most: int = 3, timeout: float = PATIENCE) -> Iterator[Lending]:
    pool = redis.BlockingConnectionPool(
        host="127.0.0.1", port=server.port, protocol=2, max_connections=most, timeout=timeout
    )
    ours = Lending(pool)
    yield ours
    ours.close()


def test_threads_get_their_own_answers(own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        for number in range(40):
            client.set(f"key-{number}", f"value-{number}")
    with lending(own_valkey) as ours:

        def ask(number: int) -> list[list[Any]]:
            return [ours.send(get(b"key-%d" % number, b"none")) for _ in range(20)]

        found = at_once(40, ask)

        assert sorted(map(repr, found)) == sorted(
            repr([[b"value-%d" % number, None]] * 20) for number in range(40)
        )
        assert len(ours._idle) <= 3


def test_an_answer_that_was_not_read_is_nobodys(
    own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_valkey.client() as client:
        client.mset({"one": "1", "two": "2"})
    with lending(own_valkey) as ours:
        ours.send(get(b"one"))
        (connection,) = ours._idle
        read_response = connection.read_response

        def interrupted() -> Any:
            read_response()
            raise KeyboardInterrupt

        monkeypatch.setattr(connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ours.send(get(b"one", b"one"))
        monkeypatch.setattr(connection, "read_response", read_response)

        assert ours.send(get(b"two")) == [b"2"]


def test_who_waits_too_long_for_a_connection_is_told_so(own_valkey: Valkey) -> None:
    with lending(own_valkey, most=1, timeout=0.01) as ours:
        borrowed = ours.take()
        with pytest.raises(redis.ConnectionError, match="No connection available"):
            ours.send(get(b"one"))
        ours.give_back(borrowed)

        assert ours.send(get(b"one")) == [None]


def test_who_waits_for_a_connection_gets_the_one_that_comes_back(own_valkey: Valkey) -> None:
    with lending(own_valkey, most=1) as ours:
        borrowed = ours.take()
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(ours.send(get(b"one"))))
        waiting.start()
        until(lambda: ours._waiting)
        ours.give_back(borrowed)
        waiting.join(PATIENCE)

        assert found == [[None]]


@pytest.mark.parametrize("cut", range(len(SAID)))
def test_a_threads_connection_that_breaks_at_any_byte_is_asked_again(cut: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for said in (SAID[:cut], SAID):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(said)
                    if said == SAID:
                        connection.recv(65_536)

        answering = threading.Thread(target=answer)
        answering.start()
        pool = redis.BlockingConnectionPool(
            host="127.0.0.1",
            port=listener.getsockname()[1],
            protocol=2,
            driver_info=None,
            socket_timeout=PATIENCE,
        )
        ours = Lending(pool)

        assert read(ours.send(get(*NAMES))) == [expected(name) for name in NAMES]
        ours.close()
        answering.join()


@given(
    st.lists(st.lists(st.binary(max_size=20) | st.integers() | st.text("ab\r\n*$é"), min_size=1))
)
def test_what_is_packed_reads_the_same(commands: list[list[Any]]) -> None:
    batch = Batch(tuple(Command(tuple(words), b"") for words in commands))
    bare = [
        [word if isinstance(word, bytes) else str(word).encode() for word in words]
        for words in commands
    ]

    assert parsed(packed(batch)) == (bare, b"")
