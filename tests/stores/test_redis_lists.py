"""The list of a user's sessions in Redis, where the server may evict it and keep the sessions."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from amplify_mw import StoredSession
from amplify_mw.sessions.record import Record, asks_again
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis import store as redis_module
from amplify_mw.stores.redis.commands import Batch, Listing
from amplify_mw.stores.redis.connections import TooFewReplicas
from amplify_mw.stores.redis.store import Listed, RedisStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.store_contract import KEY, OTHER
from tests.shells import Shell
from tests.sites import Site, infos
from tests.stores.redis_tools import Trips, Way
from tests.valkey import Valkey


@pytest.fixture
def store(own_valkey: Valkey) -> Iterator[RedisStore]:
    store = RedisStore(own_valkey.url)
    yield store
    store.close()


@pytest.fixture
def another(own_valkey: Valkey) -> Iterator[RedisStore]:
    """The store of another process, which has not seen any session yet."""
    store = RedisStore(own_valkey.url)
    yield store
    store.close()


def evict_lists(server: Valkey) -> None:
    """What a server under `volatile-lru` does first: lists are used less often than sessions."""
    with server.client() as client:
        assert client.delete(*client.keys("amplify_mw:u:*"))


def lists(server: Valkey) -> dict[bytes, tuple[Any, int]]:
    """The users' lists, and when they expire."""
    with server.client() as client:
        return {
            name: (client.zrange(name, 0, -1, withscores=True), client.pexpiretime(name))
            for name in client.keys("amplify_mw:u:*")
        }


def read_twice(ask: Way, store: RedisStore, key: bytes = KEY) -> Record:
    """The first read tells a process of a session's list, the second repairs it."""
    known = ask(store, "load", key)
    found = ask(store, "load", key)
    assert found == known
    return known


def test_a_read_session_is_in_its_users_list_again(
    store: RedisStore, another: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    brief = replace(kept, handle="h-2", expires_at=kept.expires_at - 1000, seen_at=9.0)
    store.create(OTHER, brief)
    whole = lists(own_valkey)
    evict_lists(own_valkey)

    assert read_twice(ask, another) == kept
    assert ask(another, "of_user", "ada") == [(KEY, kept)]
    assert read_twice(ask, another, OTHER) == brief

    assert ask(another, "of_user", "ada") == [(OTHER, brief), (KEY, kept)]
    assert lists(own_valkey) == whole


def test_a_session_that_goes_on_being_read_is_listed_again_some_seconds_later(
    store: RedisStore,
    own_valkey: Valkey,
    kept: Record,
    ask: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_module, "_LISTED_FOR", 0.0)  # they are over
    ask(store, "replace", KEY, kept)
    evict_lists(own_valkey)

    ask(store, "load", KEY)

    assert ask(store, "of_user", "ada") == [(KEY, kept)]


def test_a_known_read_is_one_command_and_no_write(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    ask(store, "load", KEY)
    with own_valkey.client() as client:
        client.config_resetstat()

        for _ in range(10):
            ask(store, "load", KEY)

        stats = client.info("commandstats")
    assert stats["cmdstat_get"]["calls"] == 10
    assert not {"cmdstat_eval", "cmdstat_zadd"} & set(stats)


def test_a_list_that_is_whole_is_not_written_when_a_session_is_read(
    store: RedisStore, another: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    with own_valkey.client() as client:
        before = client.info("persistence")["rdb_changes_since_last_save"]

        read_twice(ask, another)

        assert client.info("persistence")["rdb_changes_since_last_save"] == before


def test_what_nobody_has_is_looked_for_and_not_listed(
    store: RedisStore, own_valkey: Valkey, record: Record, ask: Way
) -> None:
    assert ask(store, "load", KEY) is None
    assert ask(store, "create", OTHER, replace(record, user=""))
    assert ask(store, "load", OTHER) is not None

    assert lists(own_valkey) == {}


@pytest.mark.parametrize("garbage", [b"\xa7", b"\xa7" + bytes(40), b"\xa7" + b"\xff" * 60, b"x"])
def test_garbage_is_not_listed(
    store: RedisStore, own_valkey: Valkey, ask: Way, garbage: bytes
) -> None:
    with own_valkey.client() as client:
        client.set(b"amplify_mw:s:" + KEY, garbage)

    ask(store, "load", KEY)

    assert KEY not in str(lists(own_valkey)).encode()


def test_a_list_of_another_type_is_replaced_when_a_session_is_read(
    another: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    with own_valkey.client() as client:
        (name,) = client.keys("amplify_mw:u:*")
        client.set(name, "garbage")

    read_twice(ask, another)

    assert ask(another, "of_user", "ada") == [(KEY, kept)]


@pytest.mark.parametrize(
    "fault",
    ["REPLICAOF 127.0.0.1 1", "CONFIG SET maxmemory 1", "CONFIG SET min-replicas-to-write 1"],
)
def test_a_server_that_takes_no_writes_is_read_all_the_same(
    another: RedisStore, own_valkey: Valkey, kept: Record, ask: Way, fault: str
) -> None:
    evict_lists(own_valkey)
    with own_valkey.client() as client:
        client.execute_command(*fault.split())

    assert read_twice(ask, another) == kept


@pytest.mark.parametrize("failure", [redis.TimeoutError, redis.ConnectionError, TooFewReplicas])
@pytest.mark.parametrize("call", ["load", "end"])
def test_a_server_that_fails_is_not_asked_again_without_the_list(
    store: RedisStore,
    kept: Record,
    ask: Way,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    failure: type[Exception],
) -> None:
    """The list is on the same server: the request would wait for twice the timeout."""
    monkeypatch.setattr(redis_module, "_LISTED_FOR", 0.0)
    store.replace(KEY, kept)
    trips = Trips(store)

    def fail(_number: int, _batch: Batch) -> None:
        raise StoreUnavailable("Redis: a failure") from failure()

    trips.before = fail
    with pytest.raises(StoreUnavailable):
        ask(store, call, KEY)

    assert len(trips.batches) == 1


def test_a_reload_repairs_the_list_in_the_same_trip(
    store: RedisStore,
    own_valkey: Valkey,
    kept: Record,
    ask: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_module, "_LISTED_FOR", 0.0)  # the seconds since a look at the list
    store.replace(KEY, kept)
    known = ask(store, "load", KEY)
    whole = lists(own_valkey)
    evict_lists(own_valkey)
    trips = Trips(store)

    assert trips.of(lambda: ask(store, "reload", KEY, known)) == 1

    assert lists(own_valkey) == whole


def test_a_list_that_is_out_of_reach_hinders_no_read_and_is_not_tried_again_at_once(
    another: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    another._commands.is_apart = True  # as in a cluster
    trips = Trips(another)

    def fail(_: int, batch: Batch) -> None:
        if any(command.key.startswith(b"amplify_mw:u:") for command in batch.commands):
            raise StoreUnavailable("its server is down")

    trips.before = fail
    known = read_twice(ask, another)
    assert known == kept
    assert ask(another, "reload", KEY, known) is known

    assert trips.of(lambda: ask(another, "reload", KEY, known)) <= 1

    another._listed._paused_until = 0.0  # the pause is over
    assert ask(another, "reload", KEY, known) is known


def test_a_session_ends_whose_list_is_out_of_reach(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    store._commands.is_apart = True  # as in a cluster
    trips = Trips(store)

    def fail(_: int, batch: Batch) -> None:
        if any(command.key.startswith(b"amplify_mw:u:") for command in batch.commands):
            raise StoreUnavailable("its server is down")

    trips.before = fail

    assert ask(store, "end", KEY) == kept

    trips.before = lambda _number, _batch: None
    assert ask(store, "load", KEY) is None
    assert ask(store, "of_user", "ada") == []


def test_a_shorter_life_shortens_no_list(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    before = lists(own_valkey)

    ask(store, "replace", KEY, replace(kept, expires_at=kept.expires_at - 1000))

    assert lists(own_valkey) == before


def test_a_longer_life_lengthens_the_list(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    until = int(kept.expires_at) + 1000

    ask(store, "replace", KEY, replace(kept, expires_at=float(until)))

    ((entries, expiry),) = lists(own_valkey).values()
    assert entries == [(KEY, until)]
    assert expiry == until * 1000


def test_what_has_expired_leaves_the_list_at_the_next_sign_in(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    with own_valkey.client() as client:
        (name,) = client.keys("amplify_mw:u:*")
        client.zadd(name, {b"x" * 32: time.time() - 2})

    ask(store, "create", OTHER, kept)

    ((entries, _),) = lists(own_valkey).values()
    assert {key for key, _ in entries} == {KEY, OTHER}


def test_whoever_reads_a_list_takes_out_nobody_who_is_about_to_come(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    creating = store._commands.create(OTHER, kept)
    enlist, keep = next(creating).commands
    store._connections.send(Batch((enlist,)))

    assert ask(store, "of_user", "ada") == [(KEY, kept)]
    assert ask(store, "end_of_user", "ada") == [KEY]

    store._connections.send(Batch((keep,)))
    assert ask(store, "of_user", "ada") == [(OTHER, kept)]


def test_nobody_elses_sessions_end_with_a_users(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    theirs = replace(kept, user="bob")
    store.create(OTHER, theirs)
    with own_valkey.client() as client:
        client.zadd(store._commands.list_of("ada"), {OTHER: kept.expires_at})

    assert ask(store, "of_user", "ada") == [(KEY, kept)]
    assert ask(store, "end_of_user", "ada") == [KEY]

    assert ask(store, "load", OTHER) == theirs
    assert asks_again(ask(store, "load", KEY))
    assert ask(store, "end_of_user", "ada") == []
    assert ask(store, "end_of_user", "") == []


@pytest.mark.parametrize("user", ["x" * 254, "x" * 255, "x" * 5000, "\x00", "a\ud800b"])
def test_a_user_of_any_name_is_ended(
    store: RedisStore, own_valkey: Valkey, record: Record, ask: Way, user: str
) -> None:
    store.create(KEY, replace(record, user=user))
    store.create(OTHER, replace(record, user=user + "x"))

    assert ask(store, "end_of_user", user) == [KEY]


def test_so_many_sessions_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "_MAX_LISTED", 3)
    listed = Listed()

    for key in (b"1", b"2", b"3", b"4"):
        assert listed.due(key) is None
        listed.note(key, Listing(b"list of " + key, 9), Listing(b"list of " + key, 9))

    assert len(listed._listings) <= 3
    assert listed.of(b"4") == (b"list of 4", 9)
    listed.note(b"4", Listing(b"list of 4", 10), Listing(b"list of 4", 9))
    assert listed.due(b"4") == (b"list of 4", 10)
    listed.forget(b"4")
    assert listed.of(b"4") is None


# A site


def test_everywhere_means_a_device_whose_list_was_evicted_too(
    own_valkey: Valkey, shell: Shell, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "_LISTED_FOR", 0.0)  # the seconds since a look at the list
    site = Site(shell, pool, time.time, StoredSession(RedisStore(own_valkey.url)))
    here, there = site.sign_in("ada"), site.sign_in("ada")
    evict_lists(own_valkey)

    assert (here.does(site.who).body, there.does(site.who).body) == ("ada", "ada")
    assert len(infos(site, here)) == 2
    assert here.does(site.end(everywhere=True)).body == "None"

    assert there.does(site.who).body.startswith("NotAuthorizedException ")
    site.close()


# The warning


def policy(server: Valkey, name: str, memory: str = "100mb") -> None:
    with server.client() as client:
        client.config_set("maxmemory", memory)
        client.config_set("maxmemory-policy", name)


@pytest.mark.parametrize(
    "name", ["volatile-lru", "volatile-ttl", "volatile-random", "allkeys-lru", "allkeys-lfu"]
)
def test_a_server_that_may_evict_is_warned_of_once(
    store: RedisStore, own_valkey: Valkey, ask: Way, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    policy(own_valkey, name)

    with caplog.at_level(logging.WARNING, "amplify_mw"):
        ask.at_once(6, store, "load", KEY)
        ask.at_once(6, store, "load", KEY)

    (warning,) = [found.getMessage() for found in caplog.records]
    assert f"maxmemory-policy is {name}" in warning
    assert "set noeviction" in warning


@pytest.mark.parametrize(("name", "memory"), [("noeviction", "100mb"), ("allkeys-lru", "0")])
def test_a_server_that_evicts_nothing_is_not_warned_of(
    store: RedisStore,
    own_valkey: Valkey,
    ask: Way,
    caplog: pytest.LogCaptureFixture,
    name: str,
    memory: str,
) -> None:
    policy(own_valkey, name, memory)

    with caplog.at_level(logging.WARNING, "amplify_mw"):
        ask(store, "load", KEY)

    assert not caplog.records
