"""`RedisStore` when another server takes over behind the same name, as in a managed failover."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import SealedSession, StoredSession
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.commands import Batch
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.store_contract import KEY, LONG, OTHER
from tests.patience import until
from tests.shells import Shell
from tests.sites import KEYS, Site
from tests.stores.redis_tools import (
    CALLS,
    Endpoint,
    Relay,
    Trips,
    Way,
    connections,
    in_the_end,
)
from tests.valkey import Valkey
from tests.valkey.server import settle


class Pair:
    """A primary and its replica, behind one name."""

    def __init__(self, folder: Path) -> None:
        for name in ("first", "second"):
            (folder / name).mkdir()
        self.first = Valkey(folder / "first", "--repl-diskless-sync-delay", "0")
        self.second = Valkey(folder / "second", "--replicaof", "127.0.0.1", str(self.first.port))
        self.endpoint = Endpoint(self.first.port)
        self.url = self.endpoint.url
        until(lambda: replication(self.first).get("slave0", {}).get("state") == "online")

    def fail_over(self) -> None:
        """Let the replica be the primary, and the name lead there."""
        with self.first.client() as client:
            client.set("filler", "", px=1)  # it waits for what the replica says of a write
            client.execute_command("FAILOVER", "TO", "127.0.0.1", str(self.second.port))
        until(lambda: replication(self.first)["role"] == "slave")
        until(lambda: replication(self.second)["role"] == "master")
        until(lambda: replication(self.first)["master_link_status"] == "up")
        self.endpoint.leads_to = self.second.port

    def close(self) -> None:
        self.endpoint.close()
        self.first.stop()
        self.second.stop()


def replication(server: Valkey) -> dict[str, Any]:
    with server.client() as client:
        found: dict[str, Any] = client.info("replication")
        return found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


@pytest.fixture
def store(pair: Pair) -> Iterator[RedisStore]:
    """A store that knows nothing but the name."""
    store = RedisStore(pair.url)
    yield store
    store.close()


def held_by(server: Valkey) -> Record | None:
    """The record under `KEY` on this very server."""
    store = RedisStore(server.url)
    try:
        return store.load(KEY)
    finally:
        store.close()


# Replicas that have to confirm


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("end", (KEY,)),
        ("end", (KEY, True)),
        ("delete", (KEY,)),
        ("end_of_user", ("ada",)),
        ("replace_and_release", (KEY, Record(b"new", 9, 4e9, "ada"), 1)),
    ],
)
def test_what_is_sent_again_after_a_lost_answer_is_confirmed_by_replicas_as_well(
    pair: Pair, record: Record, ask: Way, method: str, arguments: tuple[Any, ...]
) -> None:
    relay = Relay(pair.first.port)
    store = RedisStore(f"redis://127.0.0.1:{relay.port}", replicas=1, timeout=2.0)
    in_the_end(lambda: ask(store, "create", KEY, record))
    settle(pair.first, [pair.second])
    in_the_end(lambda: ask(store, "load", KEY))
    trips = Trips(store)

    def lose(_: int, batch: Batch) -> None:
        relay.lossy = batch.to_replicas

    trips.before = lose
    pair.second.pause()

    with pytest.raises(StoreUnavailable):  # the relay passes on one answer, or both
        ask(store, method, *arguments)

    assert not relay.lossy
    pair.second.go_on()
    store.close()
    relay.close()


@pytest.mark.parametrize("asks_again", [False, True])
def test_who_ends_what_has_just_ended_waits_for_replicas_as_well(
    pair: Pair, record: Record, ask: Way, asks_again: bool
) -> None:
    store = RedisStore(pair.url, replicas=1, timeout=2.0)
    in_the_end(lambda: ask(store, "create", KEY, record))
    pair.second.pause()
    store.close()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="NOREPLICAS: fewer replicas"):
            ask(store, "end", KEY, asks_again)
        store.close()  # another connection has written nothing yet

    pair.second.go_on()
    settle(pair.first, [pair.second])

    assert in_the_end(lambda: ask(store, "end", KEY, asks_again)) is None
    assert held_by(pair.second) == held_by(pair.first)
    store.close()


# Operations


def test_after_a_failover_nothing_fails_on_any_pooled_connection(
    pair: Pair, kept: Record, ask: Way
) -> None:
    stores = {method: RedisStore(pair.url) for method in CALLS}
    for store in stores.values():
        ask.at_once(6, store, "load", KEY)
    assert connections(pair.first) > 2 * len(stores)
    pair.fail_over()

    for method, store in stores.items():
        ask.at_once(12, store, method, *CALLS[method])

    for store in stores.values():
        store.close()


def test_after_a_failover_a_write_goes_to_the_new_primary_and_the_old_one_is_left(
    pair: Pair, store: RedisStore, kept: Record, ask: Way
) -> None:
    ask.at_once(6, store, "load", KEY)
    pair.fail_over()
    newer = replace(kept, version=9)

    assert ask(store, "replace", KEY, newer)

    assert held_by(pair.second) == newer
    ask.at_once(6, store, "load", KEY)
    until(lambda: connections(pair.first) == 0)


def test_a_failover_that_one_way_noticed_is_known_to_the_other(
    pair: Pair, store: RedisStore, kept: Record
) -> None:
    with Way.awaiting() as awaiting:
        awaiting.at_once(4, store, "load", KEY)
        store.load(KEY)
        pair.fail_over()

        assert store.replace(KEY, kept)  # blocking

        awaiting(store, "load", KEY)
        until(lambda: connections(pair.first) == 0)


def test_a_failover_and_a_failover_back(
    pair: Pair, store: RedisStore, kept: Record, ask: Way
) -> None:
    assert ask(store, "replace", KEY, kept)
    pair.fail_over()
    assert ask(store, "replace", KEY, kept)
    pair.first, pair.second = pair.second, pair.first
    until(lambda: replication(pair.first).get("slave0", {}).get("state") == "online")
    pair.fail_over()

    assert ask(store, "replace", KEY, replace(kept, version=9))
    assert held_by(pair.second) == replace(kept, version=9)


def test_a_lease_lives_through_a_failover(
    pair: Pair, store: RedisStore, kept: Record, ask: Way
) -> None:
    fence = ask(store, "acquire", KEY, LONG)
    pair.fail_over()

    assert ask(store, "acquire", KEY, LONG) is None
    assert ask(store, "renew", KEY, fence, LONG)


@pytest.mark.usefixtures("attentive")
def test_who_only_reads_finds_the_new_primary_after_some_minutes(
    pair: Pair, store: RedisStore, kept: Record, ask: Way
) -> None:
    near = RedisStore(pair.url, local_cache=3600)
    until(lambda: is_near(near))
    ask.at_once(4, near, "load", OTHER)
    store.close()
    pair.fail_over()
    near._connections._pools._until = 0.0

    ask(near, "load", OTHER)

    until(lambda: connections(pair.first) == 0)
    until(lambda: subscribers(pair.second) == 1)
    near.close()


# What is asked again elsewhere, and what is not


def demote(server: Valkey) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")


def demote_and_fall_silent(server: Valkey) -> None:
    with server.client() as client:
        client.config_set("replica-serve-stale-data", "no")
    demote(server)


def lose_replicas(server: Valkey) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", "1")


def fill(server: Valkey) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Valkey, Valkey, Endpoint]]:
    """Two servers that know nothing of each other, and a name that leads to the first."""
    servers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        servers.append(Valkey(tmp_path / name))
    endpoint = Endpoint(servers[0].port)
    yield servers[0], servers[1], endpoint
    endpoint.close()
    for server in servers:
        server.stop()


@pytest.mark.parametrize("fault", [demote, demote_and_fall_silent, lose_replicas])
def test_a_refusal_that_says_not_the_primary_is_asked_again_elsewhere(
    two: tuple[Valkey, Valkey, Endpoint],
    record: Record,
    ask: Way,
    fault: Callable[[Valkey], None],
) -> None:
    first, second, endpoint = two
    store = RedisStore(endpoint.url)
    ask(store, "load", KEY)
    fault(first)
    endpoint.leads_to = second.port

    assert ask(store, "create", KEY, record)

    assert held_by(second) == record
    store.close()


def test_a_refusal_of_the_right_server_is_not_asked_again(
    two: tuple[Valkey, Valkey, Endpoint], record: Record, ask: Way
) -> None:
    first, second, endpoint = two
    store = RedisStore(endpoint.url)
    ask(store, "load", KEY)
    fill(first)
    endpoint.leads_to = second.port

    with pytest.raises(StoreUnavailable, match=r"^Redis: OOM"):
        ask(store, "create", KEY, record)

    assert held_by(second) is None
    store.close()


def test_a_server_that_stays_read_only_keeps_its_connections(
    own_valkey: Valkey, record: Record, ask: Way
) -> None:
    store = RedisStore(own_valkey.url)
    ask(store, "load", KEY)
    with own_valkey.client() as client:
        demote(own_valkey)
        before = ids(client)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=r"^Redis: READONLY: a replica"):
                ask(store, "create", KEY, record)
            assert ask(store, "load", KEY) is None
        until(lambda: ids(client) == before)
    store.close()


def ids(client: Any) -> list[str]:
    return [found["id"] for found in client.client_list() if found["name"] == "amplify_mw"]


# The local cache


@pytest.fixture
def near(pair: Pair) -> Iterator[RedisStore]:
    """A store of another process, which serves what it has loaded."""
    store = RedisStore(pair.url, local_cache=3600)
    yield store
    store.close()


def subscribers(server: Valkey) -> int:
    with server.client() as client:
        return int(client.pubsub_numsub("amplify_mw:changed")[0][1])


def is_near(store: RedisStore) -> bool:
    """Whether the record is served from memory."""
    store.load(KEY)
    assert store._listener is not None
    return store._listener.cache.find(KEY) is not None


def test_a_cache_that_noticed_no_failover_hears_of_changes_at_the_new_primary(
    pair: Pair, store: RedisStore, near: RedisStore, kept: Record, ask: Way
) -> None:
    until(lambda: is_near(near))
    pair.fail_over()
    assert subscribers(pair.first) == 1

    ask(store, "delete", KEY)

    until(lambda: near.load(KEY) is None)


@pytest.mark.usefixtures("attentive")
def test_a_cache_whose_process_noticed_a_failover_listens_to_the_new_primary(
    pair: Pair, near: RedisStore, kept: Record, ask: Way
) -> None:
    until(lambda: is_near(near))
    ask(near, "load", OTHER)
    pair.fail_over()

    assert ask(near, "create", OTHER, kept)

    until(lambda: (subscribers(pair.first), subscribers(pair.second)) == (0, 1))
    until(lambda: is_near(near))
    pair.first.stop()
    elsewhere = RedisStore(pair.second.url)
    assert elsewhere.delete(KEY)
    until(lambda: near.load(KEY) is None)
    elsewhere.close()


# A site


@pytest.fixture(params=["stored", "sealed"])
def site(
    request: pytest.FixtureRequest, shell: Shell, pool: LocalUserPool, store: RedisStore
) -> Iterator[Site]:
    kinds = {
        "stored": StoredSession(store),
        "sealed": SealedSession(keys=KEYS[:1], coordinator=store, staleness=0),
    }
    site = Site(shell, pool, time.time, kinds[request.param])
    yield site
    site.close()


def test_a_site_goes_on_after_a_failover_without_a_word(
    pair: Pair, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    ada, leaving = site.sign_in("ada"), site.sign_in("ada")
    assert (ada.does(site.who).body, leaving.does(site.who).body) == ("ada", "ada")
    thief = leaving.copy()
    pair.fail_over()

    with caplog.at_level(logging.WARNING, "amplify_mw"):
        assert len(ada.does(site.refresh).body) > 500  # a token
        assert site.sign_in("ada").does(site.who).body == "ada"
        assert leaving.does(site.end()).body == "None"

    assert thief.does(site.who).body.startswith("NotAuthorizedException ")
    assert ada.does(site.who).body == "ada"
    assert not caplog.records
