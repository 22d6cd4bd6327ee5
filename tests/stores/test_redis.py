"""`RedisStore`: the contract on a real server, and what may happen to one."""

import asyncio
import gc
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import ENDED, Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.cache import LocalCache
from amplify_mw.stores.redis.records import (
    FENCE_AT,
    HELD_UNTIL_AT,
    LEASE_END,
    STAMP_AT,
    TAKER_AT,
    pack,
    unpack,
)
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, LONG, OTHER, StoreContract, at_once
from tests.patience import PATIENCE, until
from tests.stores.redis_tools import (
    CALLS,
    IMPATIENT,
    Ask,
    Relay,
    certificate,
    connections,
    in_the_end,
)
from tests.valkey import DebiansRedis, Valkey

SESSION = b"amplify_mw:s:" + KEY


class RedisContract(StoreContract):
    turns_clock = False  # it is the server's


class TestRedisStore(RedisContract):
    @pytest.fixture
    def store(self, redis_url: str) -> Iterator[RedisStore]:
        store = RedisStore(redis_url, prefix=f"test:{secrets.token_hex(8)}:")
        yield store
        store.close()


class TestRedisStoreWithLocalCache(RedisContract):
    @pytest.fixture
    def store(self, redis_url: str) -> Iterator[RedisStore]:
        prefix = f"test:{secrets.token_hex(8)}:"
        store = RedisStore(redis_url, prefix=prefix, local_cache=60)
        yield store
        store.close()


@pytest.fixture(scope="module")
def debians_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebiansRedis]:
    """Redis itself, the oldest that is supported."""
    server = DebiansRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


class TestRedisStoreOnRedis(RedisContract):
    @pytest.fixture
    def store(self, debians_redis: DebiansRedis) -> Iterator[RedisStore]:
        store = RedisStore(debians_redis.url, prefix=f"test:{secrets.token_hex(8)}:")
        yield store
        store.close()


# A server that fails


@pytest.mark.parametrize("method", CALLS)
def test_a_server_that_is_gone_is_no_answer(
    store: RedisStore, own_valkey: Valkey, ask: Ask, method: str
) -> None:
    own_valkey.stop()

    with pytest.raises(StoreUnavailable, match=r"^Redis: ConnectionError: nothing listens there"):
        ask(store, method, *CALLS[method])


def test_a_server_that_is_started_again_is_found_again(
    store: RedisStore, own_valkey: Valkey, record: Record, ask: Ask
) -> None:
    ask(store, "load", KEY)
    own_valkey.stop()
    with pytest.raises(StoreUnavailable):
        ask(store, "load", KEY)
    own_valkey.start()

    assert ask(store, "create", KEY, record)
    assert ask(store, "load", KEY) == record


def test_a_store_may_be_made_before_its_server_starts(
    own_valkey: Valkey, record: Record, ask: Ask
) -> None:
    own_valkey.stop()
    store = RedisStore(own_valkey.url)
    own_valkey.start()

    assert ask(store, "create", KEY, record)


@pytest.mark.parametrize("method", CALLS)
def test_a_restart_between_two_calls_goes_unnoticed(
    store: RedisStore, own_valkey: Valkey, ask: Ask, method: str
) -> None:
    ask(store, "load", KEY)
    own_valkey.stop()
    own_valkey.start()

    ask(store, method, *CALLS[method])


def test_a_server_that_does_not_answer_is_given_up(
    impatient: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    in_the_end(lambda: ask(impatient, "load", KEY))
    own_valkey.pause()
    for _ in range(2):  # an open connection, then a new one
        with pytest.raises(StoreUnavailable, match=r"^Redis: TimeoutError$"):
            ask(impatient, "load", KEY)
    own_valkey.go_on()

    assert in_the_end(lambda: ask(impatient, "load", KEY)) == kept


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next(
    store: RedisStore, impatient: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    other = replace(kept, handle="h-2")
    store.create(OTHER, other)
    in_the_end(lambda: ask(impatient, "load", OTHER))
    own_valkey.pause()
    with pytest.raises(StoreUnavailable):
        ask(impatient, "load", OTHER)
    own_valkey.go_on()

    assert in_the_end(lambda: ask(impatient, "load", KEY)) == kept


def test_a_full_server_takes_nothing_new_and_lets_go_of_the_old(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    fence = store.acquire(KEY, LONG)
    with own_valkey.client() as client:
        client.config_set("maxmemory", "1")
        for method, key in (("create", OTHER), ("replace", KEY)):
            with pytest.raises(StoreUnavailable, match=r"^Redis: OOM: its memory is full"):
                ask(store, method, key, replace(kept, value=b"new"))

        assert ask(store, "load", KEY) == kept
        assert ask(store, "of_user", "ada") == [(KEY, kept)]
        ask(store, "release", KEY, fence)
        assert ask(store, "delete", KEY)
        client.config_set("maxmemory", "0")

    assert ask(store, "create", KEY, kept)


@pytest.mark.parametrize(
    ("broken", "mended", "word"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
    ],
)
def test_a_server_that_takes_no_writes_answers_reads(
    store: RedisStore,
    own_valkey: Valkey,
    kept: Record,
    ask: Ask,
    broken: str,
    mended: str,
    word: str,
) -> None:
    with own_valkey.client() as client:
        client.execute_command(*broken.split())
        with pytest.raises(StoreUnavailable, match=f"^Redis: {word}: "):
            ask(store, "replace", KEY, kept)
        assert ask(store, "load", KEY) == kept
        client.execute_command(*mended.split())

    assert ask(store, "replace", KEY, kept)


def test_a_server_that_is_loading_is_unavailable(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    with own_valkey.client() as client:
        client.config_set("key-load-delay", "500000")  # microseconds for each key
        client.config_set("loading-process-events-interval-bytes", "1024")
        client.mset({f"filler:{number}": secrets.token_bytes(4096) for number in range(400)})
        loading = threading.Thread(target=reload, args=(own_valkey,))
        loading.start()
        until(lambda: client.info("persistence")["loading"])

        with pytest.raises(StoreUnavailable, match=r"^Redis: LOADING: "):
            ask(store, "load", KEY)
        own_valkey.stop()
        loading.join()


def reload(server: Valkey) -> None:
    with server.client() as client, suppress(Exception):
        client.execute_command("DEBUG", "RELOAD")


def test_a_wrong_password_is_no_answer_and_never_shown(own_valkey: Valkey, ask: Ask) -> None:
    with own_valkey.client() as client:
        client.config_set("requirepass", "right")
    store = RedisStore(own_valkey.url.replace("//", "//:a-secret@"))

    with pytest.raises(
        StoreUnavailable, match=r"^Redis: AuthenticationError: wrong user name"
    ) as caught:
        ask(store, "load", KEY)

    shown = repr(store) + "".join(traceback.format_exception(caught.value))
    assert "a-secret" not in shown


def test_a_server_that_asks_for_a_password_is_no_answer(
    store: RedisStore, own_valkey: Valkey, ask: Ask
) -> None:
    with own_valkey.client() as client:
        client.config_set("requirepass", "right")

        with pytest.raises(
            StoreUnavailable, match=r"^Redis: AuthenticationError: it wants a password"
        ):
            ask(store, "load", KEY)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b":x\r\n" * 9, b"", b"\xff" * 99]
)
def test_what_is_no_redis_is_no_answer(ask: Ask, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=say, args=(listener, said))
        answering.start()
        store = RedisStore(f"redis://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3)

        with pytest.raises(StoreUnavailable):
            ask(store, "load", KEY)

        listener.shutdown(socket.SHUT_RDWR)
        answering.join()


def say(listener: socket.socket, said: bytes) -> None:
    """Answer whatever comes with this."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)


# Connections that break


@pytest.mark.parametrize("method", CALLS)
def test_a_connection_that_was_closed_meanwhile_goes_unnoticed(
    store: RedisStore, own_valkey: Valkey, ask: Ask, method: str
) -> None:
    ask(store, "load", KEY)
    with own_valkey.client() as client:
        assert client.client_kill_filter(_type="normal", skipme=True)

    ask(store, method, *CALLS[method])


@pytest.fixture
def relay(own_valkey: Valkey) -> Iterator[Relay]:
    relay = Relay(own_valkey.port)
    yield relay
    relay.close()


@pytest.fixture
def relayed(relay: Relay) -> Iterator[RedisStore]:
    """A store whose answers may be lost."""
    store = RedisStore(f"redis://127.0.0.1:{relay.port}")
    yield store
    store.close()


@pytest.mark.parametrize("method", ["load", "create", "replace", "of_user", "renew"])
def test_a_lost_answer_is_asked_for_again(
    relay: Relay, relayed: RedisStore, record: Record, ask: Ask, method: str
) -> None:
    relayed.create(KEY, record)
    renewal = (KEY, relayed.acquire(KEY, LONG), LONG)
    arguments = {**CALLS, "create": (OTHER, record), "replace": (KEY, record), "renew": renewal}
    ask(relayed, "load", KEY)
    relay.lossy = True

    answer = ask(relayed, method, *arguments[method])

    assert answer in (record, True, [(KEY, record)])
    assert not relay.lossy


def test_a_lease_whose_answer_was_lost_is_held_all_the_same(
    relay: Relay, relayed: RedisStore, record: Record, ask: Ask
) -> None:
    ask(relayed, "create", KEY, record)
    relay.lossy = True

    fence = ask(relayed, "acquire", KEY, LONG)

    assert ask(relayed, "renew", KEY, fence, LONG)
    assert ask(relayed, "acquire", KEY, LONG) is None


def test_a_deletion_whose_answer_was_lost_is_carried_out(
    relay: Relay, relayed: RedisStore, record: Record, ask: Ask
) -> None:
    ask(relayed, "create", KEY, record)
    relay.lossy = True

    ask(relayed, "delete", KEY)

    assert ask(relayed, "load", KEY) is None


# Connections, how many


def test_a_burst_of_tasks_neither_fails_nor_opens_a_connection_each(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    another = RedisStore(own_valkey.url)

    async def burst() -> tuple[list[Any], int]:
        found = await asyncio.gather(*(another.ask("load", (KEY,)) for _ in range(500)))
        return found, await asyncio.to_thread(connections, own_valkey)

    found, opened = asyncio.run(burst())

    assert found == [kept] * 500
    assert 1 < opened <= 33  # 32, and that of the store which made the record


def test_a_burst_of_threads_opens_as_many_connections_as_the_url_allows(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    small = RedisStore(f"{own_valkey.url}?max_connections=3")

    assert at_once(40, lambda _: small.load(KEY)) == [kept] * 40
    assert 2 <= connections(own_valkey) <= 4


def test_event_loops_that_come_and_go_leave_no_connection(
    store: RedisStore, own_valkey: Valkey
) -> None:
    for _ in range(5):
        asyncio.run(store.ask("load", (KEY,)))

    until(lambda: connections(own_valkey) == 0)


def test_a_loop_closed_by_hand_leaves_no_connection_once_its_generators_are_shut(
    store: RedisStore, own_valkey: Valkey
) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.ask("load", (KEY,)))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()

    until(lambda: connections(own_valkey) == 0)
    assert asyncio.run(store.ask("load", (KEY,))) is None


def test_loops_that_have_ended_are_not_kept(store: RedisStore) -> None:
    for _ in range(5):
        asyncio.run(store.ask("load", (KEY,)))

    gc.collect()
    assert len(store._connections._pools._loops) == 1  # the last, until another comes


def test_closing_a_store_closes_its_connections(store: RedisStore, own_valkey: Valkey) -> None:
    async def use_and_close() -> None:
        await store.ask("load", (KEY,))
        store.load(KEY)
        assert connections(own_valkey) == 2
        store.close()
        while connections(own_valkey):
            await asyncio.sleep(0)

    asyncio.run(use_and_close())


def test_a_failure_that_somebody_keeps_keeps_no_connection(
    store: RedisStore, own_valkey: Valkey
) -> None:
    async def fail_and_close() -> None:
        await asyncio.gather(*[store.ask("load", (KEY,)) for _ in range(3)])
        assert connections(own_valkey) == 1
        store._server.timeout = IMPATIENT
        own_valkey.pause()
        with pytest.raises(StoreUnavailable) as failed:
            await store.ask("load", (KEY,))
        own_valkey.go_on()
        store.close()
        ticks = 0
        while connections(own_valkey) and ticks < 1000:
            await asyncio.sleep(0)
            ticks += 1
        assert (connections(own_valkey), failed.type) == (0, StoreUnavailable)

    asyncio.run(fail_and_close())


@pytest.mark.parametrize("last", [RedisStore.close, id], ids=["closed", "dropped"])
def test_a_store_may_end_as_the_last_thing_its_loop_sees(
    own_valkey: Valkey, last: Callable[[RedisStore], object], caplog: pytest.LogCaptureFixture
) -> None:
    async def use() -> None:
        store = RedisStore(own_valkey.url)
        await asyncio.gather(*(store.ask("load", (KEY,)) for _ in range(5)))
        last(store)

    for _ in range(5):
        asyncio.run(use())
    gc.collect()

    assert not caplog.records  # asyncio logs what it had to leave pending
    until(lambda: connections(own_valkey) == 0)


@pytest.mark.usefixtures("attentive")
def test_a_store_that_nobody_holds_closes_its_connections(own_valkey: Valkey) -> None:
    async def use_and_drop() -> None:
        store = RedisStore(own_valkey.url, local_cache=60)
        await store.ask("load", (KEY,))
        store.load(KEY)

    asyncio.run(use_and_drop())
    gc.collect()

    until(lambda: connections(own_valkey) == 0)
    for thread in listeners():
        thread.join(PATIENCE)
    assert not listeners()


# TLS


@pytest.fixture
def tls_url(own_valkey: Valkey, tmp_path: Path) -> Iterator[str]:
    """Where TLS is spoken; the wheel's server itself does not."""
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    relay = Relay(own_valkey.port, context)
    yield f"rediss://127.0.0.1:{relay.port}/0?ssl_ca_certs={file}"
    relay.close()


def test_a_store_speaks_tls(tls_url: str, record: Record, ask: Ask) -> None:
    store = RedisStore(tls_url)

    assert ask(store, "create", KEY, record)
    assert ask(store, "load", KEY) == record
    store.close()


def test_event_loops_that_speak_tls_come_and_go(tls_url: str, own_valkey: Valkey) -> None:
    store = RedisStore(tls_url)

    for _ in range(3):
        assert asyncio.run(store.ask("load", (KEY,))) is None

    until(lambda: connections(own_valkey) == 0)


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_url: str, ask: Ask) -> None:
    store = RedisStore(tls_url.partition("?")[0])

    with pytest.raises(StoreUnavailable):
        ask(store, "load", KEY)


# What is not a record


GARBAGE = {
    "nothing": ("SET", SESSION, b""),
    "text": ("SET", SESSION, b"garbage"),
    "the beginning of a record": ("SET", SESSION, b"\xa7" + bytes(31)),
    "another format": ("SET", SESSION, b"\xa8" + bytes(80)),
    "a list": ("RPUSH", SESSION, b"garbage"),
    "a hash": ("HSET", SESSION, b"garbage", b"garbage"),
    "a number": ("INCR", SESSION),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_not_found(
    store: RedisStore, own_valkey: Valkey, record: Record, ask: Ask, garbage: tuple[Any, ...]
) -> None:
    with own_valkey.client() as client:
        client.execute_command(*garbage)

    assert ask(store, "load", KEY) is None
    assert not ask(store, "replace", KEY, record)
    assert ask(store, "acquire", KEY, LONG) is None
    assert not ask(store, "renew", KEY, 1, LONG)
    assert ask(store, "create", KEY, record)
    assert ask(store, "load", KEY) == record


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_can_be_deleted(
    store: RedisStore, own_valkey: Valkey, ask: Ask, garbage: tuple[Any, ...]
) -> None:
    with own_valkey.client() as client:
        client.execute_command(*garbage)

        assert not ask(store, "delete", KEY)
        assert not client.exists(SESSION)


@pytest.mark.parametrize("garbage", [("RPUSH", b"x"), ("SET", b"x"), ("SADD", b"x")])
def test_garbage_in_a_users_list_is_written_over(
    store: RedisStore, own_valkey: Valkey, kept: Record, garbage: tuple[str, bytes]
) -> None:
    with own_valkey.client() as client:
        (users_list,) = client.keys("amplify_mw:u:*")
        client.delete(users_list)
        client.execute_command(garbage[0], users_list, *garbage[1:])

    assert store.of_user("ada") == []
    assert store.replace(KEY, kept)
    assert store.of_user("ada") == [(KEY, kept)]


@pytest.mark.parametrize("byte", [b"\x00", b"\x01", b"\x20", b"\x7f", b"\xff"])
def test_garbage_for_a_lease_is_written_over(
    store: RedisStore, own_valkey: Valkey, kept: Record, byte: bytes
) -> None:
    with own_valkey.client() as client:
        client.setrange(SESSION, FENCE_AT, byte * (LEASE_END - FENCE_AT))

    fence = store.acquire(KEY, LONG)

    assert fence is not None
    assert kept.version < fence < ENDED
    assert store.renew(KEY, fence, LONG)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\xa7\x00" + rest))
def test_no_bytes_make_reading_fail(packed: bytes) -> None:
    found = unpack(packed)

    assert found is None or packed.startswith(b"\xa7")


texts = st.text(st.characters(), max_size=20) | st.sampled_from(["x" * n for n in (254, 255, 256)])
times = st.floats(0, 1e12)
records = st.builds(
    Record, st.binary(max_size=50), st.integers(0, ENDED), times, texts, texts, times, times, texts
)


stamps = st.binary(min_size=6, max_size=6)
leases = st.binary(min_size=LEASE_END - FENCE_AT, max_size=LEASE_END - FENCE_AT)


@given(records, stamps, leases)
def test_every_record_comes_back_with_its_stamp_whoever_has_its_lease(
    record: Record, stamp: bytes, lease: bytes
) -> None:
    packed = pack(record, stamp)
    found = unpack(packed[:FENCE_AT] + lease + packed[LEASE_END:])

    assert found == record
    assert found is not None
    assert found.stamp == stamp == packed[STAMP_AT:FENCE_AT]


@given(records, st.data())
def test_what_was_cut_short_is_not_found_or_another_value(
    record: Record, data: st.DataObject
) -> None:
    packed = pack(record, b"stamps")
    cut = data.draw(st.integers(0, len(packed) - 1))

    found = unpack(packed[:cut])

    assert found is None or (
        found.value != record.value and found == replace(record, value=found.value)
    )


# What the server loses, and what it keeps


def test_what_the_server_lost_is_not_found(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    with own_valkey.client() as client:
        client.flushdb()

    assert ask(store, "load", KEY) is None
    assert ask(store, "of_user", "ada") == []
    assert not ask(store, "replace", KEY, kept)


def test_scripts_that_the_server_forgot_run_all_the_same(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Ask
) -> None:
    with own_valkey.client() as client:
        client.script_flush()

    assert ask(store, "replace", KEY, kept)


def test_fences_rise_even_when_the_server_lost_the_last_one(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    before = store.acquire(KEY, LONG)
    with own_valkey.client() as client:
        client.flushdb()
    store.create(KEY, kept)

    after = until(lambda: store.acquire(KEY, 0.001))

    assert before is not None
    assert after >= before  # the time in milliseconds, of which some may have passed


def test_nothing_stays_for_ever(store: RedisStore, own_valkey: Valkey, kept: Record) -> None:
    store.acquire(KEY, LONG)

    with own_valkey.client() as client:
        lives = {name: client.pttl(name) for name in client.scan_iter()}

    assert len(lives) == 2
    assert min(lives.values()) > 0


def test_a_users_list_ends_with_the_last_of_its_sessions(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    store.create(OTHER, replace(kept, expires_at=kept.expires_at - 1000))

    with own_valkey.client() as client:
        (users_list,) = client.keys("amplify_mw:u:*")
        assert 0 <= client.pexpiretime(users_list) - client.pexpiretime(SESSION) < 1000


def test_a_users_list_holds_no_session_that_is_gone(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    for number in range(20):
        key = bytes([number]) * 32
        store.create(key, kept)
        store.delete(key)

    with own_valkey.client() as client:
        (users_list,) = client.keys("amplify_mw:u:*")
        assert client.zrange(users_list, 0, -1) == [KEY]


def test_no_name_of_a_key_shows_a_user(store: RedisStore, own_valkey: Valkey, kept: Record) -> None:
    with own_valkey.client() as client:
        assert not [name for name in client.scan_iter() if b"ada" in name]


def test_a_lease_counts_by_the_servers_clock(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    with own_valkey.client() as client:
        begun = milliseconds(client)
        store.acquire(KEY, 300)
        assert begun + 300_000 <= held_until(client) <= milliseconds(client) + 300_000


def milliseconds(client: Any) -> int:
    """The server's time."""
    seconds, microseconds = client.time()
    return int(seconds * 1000 + microseconds // 1000)


def held_until(client: Any) -> int:
    """Until when the lease is held, by the server's time."""
    return int.from_bytes(client.getrange(SESSION, HELD_UNTIL_AT, TAKER_AT - 1), "big")


def test_of_many_stores_that_race_for_a_lease_one_gets_it(own_valkey: Valkey, kept: Record) -> None:
    stores = [RedisStore(own_valkey.url) for _ in range(8)]

    fences = at_once(8, lambda number: stores[number].acquire(KEY, LONG))

    assert fences.count(None) == 7


def test_stores_of_different_prefixes_share_nothing(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    other = RedisStore(own_valkey.url, prefix="another:")

    assert other.load(KEY) is None
    assert other.of_user("ada") == []


# The local cache


@pytest.fixture
def near(own_valkey: Valkey) -> Iterator[RedisStore]:
    """A store that serves what it has loaded for an hour."""
    store = RedisStore(own_valkey.url, local_cache=3600)
    yield store
    store.close()


def gets(server: Valkey) -> int:
    """How often the server was asked for a record."""
    with server.client() as client:
        stats = client.info("commandstats")
        return stats["cmdstat_get"]["calls"] if "cmdstat_get" in stats else 0


def served_from_memory(store: RedisStore, server: Valkey) -> bool:
    """Whether the next load asks nobody."""
    before = gets(server)
    store.load(KEY)
    return gets(server) == before


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "amplify_mw-changes"]


@pytest.fixture
def cached(near: RedisStore, own_valkey: Valkey, kept: Record) -> Record:
    """A record that `near` holds in memory."""
    until(lambda: served_from_memory(near, own_valkey))
    return kept


def test_without_a_local_cache_every_load_asks(
    store: RedisStore, own_valkey: Valkey, kept: Record
) -> None:
    assert not any(served_from_memory(store, own_valkey) for _ in range(3))
    assert not listeners()


def test_what_was_loaded_is_served_from_memory(
    near: RedisStore, own_valkey: Valkey, cached: Record, ask: Ask
) -> None:
    before = gets(own_valkey)

    assert ask(near, "load", KEY) == cached
    assert gets(own_valkey) == before


@pytest.mark.parametrize("method", ["replace", "delete"])
def test_a_change_elsewhere_drops_what_is_in_memory(
    store: RedisStore, near: RedisStore, cached: Record, ask: Ask, method: str
) -> None:
    new = replace(cached, version=9)

    ask(store, method, KEY, *([new] if method == "replace" else []))

    until(lambda: near.load(KEY) == (new if method == "replace" else None))


def test_a_change_by_another_process_drops_what_is_in_memory(
    near: RedisStore, own_valkey: Valkey, cached: Record
) -> None:
    code = "import sys; from amplify_mw.stores.redis import RedisStore; "
    code += "RedisStore(sys.argv[1]).delete(bytes.fromhex(sys.argv[2]))"

    subprocess.run([sys.executable, "-c", code, own_valkey.url, KEY.hex()], check=True)

    until(lambda: near.load(KEY) is None)


def test_a_change_of_ones_own_is_seen_at_once(near: RedisStore, cached: Record, ask: Ask) -> None:
    new = replace(cached, version=9)
    ask(near, "replace", KEY, new)
    assert ask(near, "load", KEY) == new

    ask(near, "delete", KEY)
    assert ask(near, "load", KEY) is None


def test_a_write_that_failed_may_have_been_one(own_valkey: Valkey, kept: Record, ask: Ask) -> None:
    near = RedisStore(own_valkey.url, timeout=IMPATIENT, local_cache=3600)
    in_the_end(lambda: until(lambda: served_from_memory(near, own_valkey)))
    own_valkey.pause()
    with pytest.raises(StoreUnavailable):
        ask(near, "delete", KEY)

    with pytest.raises(StoreUnavailable):
        ask(near, "load", KEY)
    own_valkey.go_on()
    near.close()


def test_a_load_that_began_before_a_change_brings_nothing_old_into_memory(
    store: RedisStore, near: RedisStore, cached: Record
) -> None:
    near._listener.cache.drop(KEY)
    load = near._operation("load", (KEY,))
    old = near._connections.send(next(load))
    mark = near._listener.cache.mark(KEY)
    store.replace(KEY, replace(cached, version=9))
    until(lambda: near._listener.cache.mark(KEY) != mark)  # it has been heard of

    with pytest.raises(StopIteration) as done:
        load.send(old)
    assert done.value.value == cached  # as it was asked for

    assert near.load(KEY) == replace(cached, version=9)


def test_a_load_that_began_before_hearing_did_brings_nothing_into_memory(record: Record) -> None:
    cache = LocalCache(60)
    mark = cache.mark(KEY)
    cache.hear()  # the record may have changed just before

    cache.keep(KEY, record, mark)

    assert cache.find(KEY) is None


def test_a_load_while_hearing_was_lost_for_a_while_brings_nothing_into_memory(
    record: Record,
) -> None:
    cache = LocalCache(60)
    cache.hear()
    mark = cache.mark(KEY)
    cache.lose()
    cache.hear()

    cache.keep(KEY, record, mark)

    assert cache.find(KEY) is None
    cache.keep(KEY, record, cache.mark(KEY))
    assert cache.find(KEY) == record


def test_without_hearing_of_changes_nothing_is_served_from_memory(
    store: RedisStore, near: RedisStore, own_valkey: Valkey, cached: Record
) -> None:
    with own_valkey.client() as client:
        assert client.client_kill_filter(_type="pubsub") == 1
        client.delete(SESSION)  # which is published nowhere

    until(lambda: near.load(KEY) is None)


def test_a_lost_connection_is_listened_on_again(
    near: RedisStore, own_valkey: Valkey, cached: Record
) -> None:
    before = near._listener.cache.mark(KEY)
    with own_valkey.client() as client:
        client.client_kill_filter(_type="pubsub")
    until(lambda: near._listener.cache.mark(KEY) != before)  # its loss has been noticed

    until(lambda: served_from_memory(near, own_valkey))


def test_a_server_that_fell_silent_is_not_trusted_with_news(
    own_valkey: Valkey, kept: Record
) -> None:
    near = RedisStore(own_valkey.url, timeout=IMPATIENT, local_cache=3600)
    in_the_end(lambda: until(lambda: served_from_memory(near, own_valkey)))
    own_valkey.pause()

    def refused() -> bool:
        try:
            return near.load(KEY) is None
        except StoreUnavailable:
            return True

    until(refused)
    own_valkey.go_on()
    near.close()


def test_a_record_in_memory_ends_when_it_expires(
    store: RedisStore, near: RedisStore, own_valkey: Valkey, cached: Record
) -> None:
    near.replace(KEY, replace(cached, expires_at=time.time() + 0.3))

    until(lambda: near.load(KEY) is None)


def test_what_the_server_lost_is_not_served_for_longer_than_allowed(
    own_valkey: Valkey, kept: Record
) -> None:
    brief = RedisStore(own_valkey.url, local_cache=0.5)
    until(lambda: served_from_memory(brief, own_valkey))
    with own_valkey.client() as client:
        client.flushdb()

    until(lambda: brief.load(KEY) is None)
    brief.close()


def test_the_listening_thread_starts_without_a_lock_and_in_no_requests_context(
    near: RedisStore, cached: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    start, seen = threading.Thread.start, list[object]()

    def watched(thread: threading.Thread) -> None:
        if thread.name == "amplify_mw-changes":
            seen.extend((user.get(), near._listener._lock.locked()))  # type: ignore[union-attr]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", watched)
    near.close()  # so that listening begins anew
    copy_context().run(lambda: (user.set("ada"), near.load(KEY)))
    assert seen == ["nobody", False]


def test_closing_ends_the_listening_thread(near: RedisStore, cached: Record) -> None:
    near.close()

    assert not listeners()


def test_closing_ends_the_listening_thread_of_a_server_that_is_gone(
    near: RedisStore, own_valkey: Valkey, cached: Record
) -> None:
    own_valkey.stop()
    near.close()

    assert not listeners()


# Set-up


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a-secret",
        "http://:a-secret@127.0.0.1",
        "redis://:a-secret/with-slash@127.0.0.1",
        "redis://:x@127.0.0.1:a-secret",
        "redis://127.0.0.1/0?a-secret=1",
        "redis://127.0.0.1/0?max_connections=a-secret",
        "redis://127.0.0.1/0?max_connections=0",
        "redis://[a-secret",
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^url: ") as caught:
        RedisStore(url)

    assert "a-secret" not in "".join(traceback.format_exception(caught.value, limit=0))


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": "2"},
        {"local_cache": -1},
        {"local_cache": "30"},
        {"prefix": None},
        {"prefix": b"shop:"},
    ],
    ids=str,
)
def test_an_impossible_option_is_refused(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(ConfigurationError, match=f"^{name}: write "):
        RedisStore("redis://127.0.0.1", **option)


def test_no_option_in_the_url_changes_what_records_need(own_valkey: Valkey, record: Record) -> None:
    store = RedisStore(f"{own_valkey.url}?decode_responses=true&protocol=3&max_connections=5")

    assert store.create(KEY, replace(record, value=b"\xff"))
    assert store.load(KEY) == replace(record, value=b"\xff")


def test_without_redis_py_the_mend_is_said() -> None:
    code = "import sys; sys.modules['redis'] = None\n"
    code += "from amplify_mw.stores.redis import RedisStore\nRedisStore('redis://127.0.0.1')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (
        "ConfigurationError: RedisStore needs redis-py: pip install 'amplify-mw[redis]'"
        in done.stderr
    )
