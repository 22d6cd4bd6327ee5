"""`RedisStore` on a cluster: real nodes that fail, move their slots, hang and come back."""

import asyncio
import logging
import os
import pickle
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.commands import Batch, Command
from amplify_mw.stores.redis.slots import (
    SLOTS,
    Learn,
    NoOwner,
    Pause,
    Routing,
    Slots,
    TooManyMoves,
    Trip,
    parsed,
    routed,
)
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, at_once
from tests.patience import until
from tests.stores.redis_tools import IMPATIENT, Way, certificate, in_the_end
from tests.stores.test_redis import RedisContract
from tests.stores.test_redis_refusals import (
    FOR_A_CLUSTER,
    FOR_LOCAL_CACHE,
    LEAST,
    tls_context,
)
from tests.valkey import Node, ValkeyCluster, slot_of
from tests.valkey import own_valkey_cluster as own_valkey_cluster
from tests.valkey import valkey_cluster as valkey_cluster

PREFIX = "amplify_mw:"


class TestRedisStoreOnACluster(RedisContract):
    @pytest.fixture
    def store(self, valkey_cluster: ValkeyCluster) -> Iterator[RedisStore]:
        prefix = f"{secrets.token_hex(8)}:"
        store = RedisStore(valkey_cluster.url, prefix=prefix, cluster=True)
        yield store
        store.close()


class TestRedisStoreOnAClusterWithLocalCache(RedisContract):
    @pytest.fixture
    def store(self, valkey_cluster: ValkeyCluster) -> Iterator[RedisStore]:
        prefix = f"{secrets.token_hex(8)}:"
        store = RedisStore(valkey_cluster.url, prefix=prefix, cluster=True, local_cache=60)
        yield store
        store.close()


class TestRedisStoreOnAClusterWithTheLeastACL(RedisContract):
    @pytest.fixture
    def store(self, valkey_cluster: ValkeyCluster) -> Iterator[RedisStore]:
        url = valkey_cluster.allow(" ".join(LEAST), " ".join(FOR_A_CLUSTER))
        store = RedisStore(url, prefix=f"amplify_mw:{secrets.token_hex(8)}:", cluster=True)
        yield store
        store.close()


# Batches, which are what an operation is made of


class Sender:
    """Sends batches of commands by a store, in one way or the other."""

    def __init__(self, store: RedisStore, way: Way) -> None:
        self.store = store
        self._way = way

    def __call__(
        self, *commands: tuple[Any, ...], to_replicas: bool = False, **options: bool
    ) -> list[Any]:
        """Each command with its key as the second word."""
        marked = (Command(words, words[1], to_replicas) for words in commands)
        batch = Batch(tuple(marked), **options)
        connections = self.store._connections
        if self._way.loop is None:
            return _bare(connections.send(batch))
        return _bare(self._way.loop.run(connections.send_on_loop(batch)))

    def in_the_end(self, *commands: tuple[Any, ...], **options: bool) -> list[Any]:
        """The answers, however often the cluster has none at first."""
        return in_the_end(lambda: self(*commands, **options))


def _bare(answers: list[Any]) -> list[Any]:
    return [b"OK" if answer is True else answer for answer in answers]


@pytest.fixture
def own(own_valkey_cluster: ValkeyCluster, ask: Way) -> Iterator[Sender]:
    """Sends to a cluster that a test may break."""
    store = RedisStore(own_valkey_cluster.url, cluster=True)
    yield Sender(store, ask)
    store.close()


@pytest.fixture
def hasty(own_valkey_cluster: ValkeyCluster, ask: Way) -> Iterator[Sender]:
    """The same, and gives up a silent node soon."""
    store = RedisStore(own_valkey_cluster.url, cluster=True, timeout=IMPATIENT)
    yield Sender(store, ask)
    store.close()


def key_at(node: Node, cluster: ValkeyCluster) -> bytes:
    """A key that a node has."""
    (slots,) = (seen.slots for seen in cluster.view() if seen.id == node.id)
    numbers = (b"%d" % number for number in range(100_000))
    return next(key for key in numbers if slot_of(key) in slots)


def keys_of_all(cluster: ValkeyCluster) -> list[bytes]:
    """One key of each primary."""
    return [key_at(node, cluster) for node in cluster.others()]


def test_each_primary_is_examined(valkey_cluster: ValkeyCluster) -> None:
    store = RedisStore(valkey_cluster.url, cluster=True, replicas=1)
    found = store.examine()
    store.close()
    bare = [check.found for check in found if check.name == "store_persistence"]  # no disk is used
    assert len({place.partition(" ")[0] for place in bare}) == 3
    others = {check.name: check.outcome for check in found if check.name != "store_persistence"}
    assert set(others.values()) == {"ok"}
    assert len(others) == len(found) - 3
    assert "store_cluster" in others


def test_a_batch_for_several_nodes_is_answered_in_its_order(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    keys = keys_of_all(own_valkey_cluster) * 3

    assert own(*[("SET", key, key) for key in keys]) == [b"OK"] * 9
    assert own(*[("GET", key) for key in keys]) == keys
    assert own(*[("GET", key) for key in keys], in_order=True) == keys


def test_in_order_nothing_is_done_after_a_failure(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    first, second, third = keys_of_all(own_valkey_cluster)
    with pytest.raises(StoreUnavailable):
        own(("SET", first, 1), ("NONSENSE", second), ("SET", third, 1), in_order=True)

    assert own(("GET", first), ("GET", third)) == [b"1", None]


def test_a_slot_on_the_move_is_followed(own_valkey_cluster: ValkeyCluster, own: Sender) -> None:
    cluster, (key, *_) = own_valkey_cluster, keys_of_all(own_valkey_cluster)
    absent = b"{%b}absent" % key
    own(("SET", key, "value"))
    source = cluster.owner(key)
    to = cluster.others(source)[0]

    cluster.begin_to_move(slot_of(key), to)
    assert own(("GET", key), ("GET", absent), ("SET", absent, 1)) == [b"value", None, b"OK"]
    cluster.move_keys(slot_of(key), to)
    assert own(("GET", key), ("GET", absent)) == [b"value", b"1"]
    cluster.finish_moving(slot_of(key), to)
    assert own(("GET", key), ("GET", absent)) == [b"value", b"1"]

    rejected = source.do("INFO", "errorstats").get("errorstat_MOVED", {"count": 0})["count"]
    own(("GET", key))
    assert source.do("INFO", "errorstats").get("errorstat_MOVED", {"count": 0})["count"] == rejected


def test_a_planned_failover_goes_unnoticed(own_valkey_cluster: ValkeyCluster, own: Sender) -> None:
    (key, *_) = keys_of_all(own_valkey_cluster)
    assert own(("SET", key, "before"))
    heir = own_valkey_cluster.fail_over(own_valkey_cluster.owner(key))

    assert own(("GET", key)) == [b"before"]
    assert own(("SET", key, "after"))
    assert heir.do("GET", key) == "after"


def test_a_primary_that_was_killed_fails_its_own_keys_alone_until_it_has_an_heir(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    cluster = own_valkey_cluster
    keys = keys_of_all(cluster)
    own(*[("SET", key, 1) for key in keys])
    dead = cluster.owner(keys[0])
    cluster.replicas_of(dead)[0].pause()  # so that nobody takes over
    dead.stop()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"^Redis: (ConnectionError: one of its nodes|)"):
            own(("GET", keys[0]))
        assert own(("GET", keys[1]), ("GET", keys[2])) == [b"1", b"1"]

    for node in cluster.nodes:
        node.go_on()
    assert own.in_the_end(("GET", keys[0])) == [b"1"]
    assert own(("SET", keys[0], 2)) == [b"OK"]


def test_a_node_that_hangs_holds_up_nobody_elses_sessions(
    own_valkey_cluster: ValkeyCluster, hasty: Sender
) -> None:
    cluster = own_valkey_cluster
    keys = keys_of_all(cluster)
    hasty.in_the_end(*[("SET", key, 1) for key in keys])
    hung = cluster.owner(keys[0])
    hung.pause()

    with pytest.raises(StoreUnavailable, match=r"^Redis: TimeoutError"):
        hasty(("GET", keys[0]))
    assert hasty.in_the_end(("GET", keys[1])) == [b"1"]
    assert hasty.in_the_end(("GET", keys[0])) == [b"1"]  # of the replica that has taken over

    hung.go_on()
    assert hasty.in_the_end(("SET", keys[0], 2)) == [b"OK"]
    assert hasty.in_the_end(("GET", keys[0])) == [b"2"]


def test_a_whole_cluster_that_was_restarted_is_found_again(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    keys = keys_of_all(own_valkey_cluster)
    own(*[("SET", key, 1) for key in keys])
    for node in own_valkey_cluster.nodes:
        node.stop()
    with pytest.raises(StoreUnavailable, match=r"^Redis: ConnectionError: "):
        own(("GET", keys[0]))
    for node in own_valkey_cluster.nodes:
        node.start()
    own_valkey_cluster.wait_until_well()

    assert own(*[("SET", key, 1) for key in keys]) == [b"OK"] * 3


def test_a_slot_without_an_owner_is_an_outage_of_its_keys(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    keys = keys_of_all(own_valkey_cluster)
    own(*[("SET", key, 1) for key in keys])
    own_valkey_cluster.drop_slot(slot_of(keys[0]))

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"^Redis: CLUSTERDOWN: nobody serves its slot"):
            own(("GET", keys[0]))
    assert own(("GET", keys[1])) == [b"1"]


def test_half_a_cluster_is_an_outage_that_ends(
    tmp_path: Path, ask: Way, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = ValkeyCluster(tmp_path, replicas=0, full_coverage=True)
    store = RedisStore(cluster.url, cluster=True)
    send = Sender(store, ask)
    keys = keys_of_all(cluster)
    send(*[("SET", key, 1) for key in keys])
    dead = cluster.owner(keys[0])
    dead.stop()

    def is_down() -> bool:
        try:
            send(("GET", keys[1]))
        except StoreUnavailable as error:
            return str(error).startswith("Redis: CLUSTERDOWN: nobody serves its slot")
        return False

    until(is_down)
    dead.start()
    assert send.in_the_end(("GET", keys[1])) == [b"1"]
    assert not caplog.records
    store.close()
    cluster.close()


def test_a_node_that_was_demoted_and_knows_of_no_other_is_asked_once(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    (key, *_) = keys_of_all(own_valkey_cluster)
    owner = own_valkey_cluster.owner(key)
    own(("SET", key, 1))
    with owner.client() as client:
        client.config_set("min-replicas-to-write", "5")

    with pytest.raises(StoreUnavailable, match=r"^Redis: NOREPLICAS: "):
        own(("SET", key, 2))
    assert own(("GET", key)) == [b"1"]


# What must not be lost


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster whose replication can be stalled."""
    cluster = ValkeyCluster(tmp_path, links=True, node_timeout=60_000)
    yield cluster
    cluster.close()


def test_a_write_that_no_replica_has_confirmed_is_an_outage(
    linked: ValkeyCluster, ask: Way
) -> None:
    store = RedisStore(linked.url, cluster=True, replicas=1, timeout=2.0)
    send = Sender(store, ask)
    keys = keys_of_all(linked)
    writes = [("SET", key, 1) for key in keys]
    assert send.in_the_end(*writes, to_replicas=True) == [b"OK"] * 3
    stalled = linked.owner(keys[0])
    assert stalled.link is not None
    stalled.link.stall()

    with pytest.raises(StoreUnavailable, match=r"^Redis: NOREPLICAS: fewer replicas than"):
        send(*writes, to_replicas=True)
    assert in_the_end(lambda: send(*writes)) == [b"OK"] * 3  # nobody asked for more

    stalled.link.flow()
    assert send.in_the_end(*writes, to_replicas=True) == [b"OK"] * 3
    store.close()


# Threads, loops, forks


def test_threads_and_loops_share_a_store_during_a_failover(
    own_valkey_cluster: ValkeyCluster,
) -> None:
    store = RedisStore(own_valkey_cluster.url, cluster=True)
    keys = keys_of_all(own_valkey_cluster)
    batches = [Batch((Command(("GET", key), key),)) for key in keys]
    failures: list[StoreUnavailable] = []
    ended = threading.Event()

    def blocking() -> None:
        while not ended.is_set():
            for batch in batches:
                try:
                    store._connections.send(batch)
                except StoreUnavailable as error:
                    failures.append(error)

    async def awaiting() -> None:
        while not ended.is_set():
            got = await asyncio.gather(
                *[store._connections.send_on_loop(batch) for batch in batches * 4],
                return_exceptions=True,
            )
            failures.extend(each for each in got if isinstance(each, StoreUnavailable))

    threads = [threading.Thread(target=blocking) for _ in range(3)]
    threads += [threading.Thread(target=lambda: asyncio.run(awaiting())) for _ in range(2)]
    for thread in threads:
        thread.start()
    own_valkey_cluster.fail_over(own_valkey_cluster.owner(keys[0]))
    ended.set()
    for thread in threads:
        thread.join()

    assert failures == []
    store.close()


def test_threads_that_need_the_same_nodes_do_not_wait_for_each_other(
    valkey_cluster: ValkeyCluster,
) -> None:
    store = RedisStore(f"{valkey_cluster.url}?max_connections=1", cluster=True, timeout=20.0)
    reads = [Command(("GET", key), key) for key in keys_of_all(valkey_cluster)]

    def ask(number: int) -> None:
        batch = Batch(tuple(reads[::-1] if number % 2 else reads))
        for _ in range(100):
            assert store._connections.send(batch) == [None] * 3

    ask(0)
    at_once(6, ask)
    store.close()


def test_a_child_has_connections_of_its_own(own_valkey_cluster: ValkeyCluster, own: Sender) -> None:
    keys = keys_of_all(own_valkey_cluster)
    own(*[("SET", key, 1) for key in keys])
    before = [node.visitors() for node in own_valkey_cluster.nodes]
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            batch = Batch(tuple(Command(("SET", key, 2), key) for key in keys))
            os._exit(0 if own.store._connections.send(batch) == [b"OK"] * 3 else 1)
        os._exit(2)

    assert os.waitpid(child, 0)[1] == 0
    assert own(*[("GET", key) for key in keys]) == [b"2"] * 3
    until(lambda: [node.visitors() for node in own_valkey_cluster.nodes] == before)


def test_close_and_the_end_of_a_loop_leave_no_connection(
    own_valkey_cluster: ValkeyCluster,
) -> None:
    store = RedisStore(own_valkey_cluster.url, cluster=True)
    batch = Batch(tuple(Command(("GET", key), key) for key in keys_of_all(own_valkey_cluster)))
    store._connections.send(batch)
    asyncio.run(store._connections.send_on_loop(batch))
    assert sum(node.visitors() for node in own_valkey_cluster.nodes) >= 3

    store.close()

    until(lambda: not any(node.visitors() for node in own_valkey_cluster.nodes))


def test_connections_are_renewed_after_some_minutes(
    own_valkey_cluster: ValkeyCluster, own: Sender
) -> None:
    keys = keys_of_all(own_valkey_cluster)
    gets = [("GET", key) for key in keys]
    own(*gets)
    before = ids(own_valkey_cluster)
    own.store._connections._pools._until = 0.0

    own(*gets)

    until(lambda: ids(own_valkey_cluster) and not ids(own_valkey_cluster) & before)


def ids(cluster: ValkeyCluster) -> set[tuple[int, str]]:
    """The connections of stores to the nodes."""
    found = set()
    for node in cluster.others():
        with node.client() as client:
            found |= {
                (node.port, c["id"]) for c in client.client_list() if c["name"] == "amplify_mw"
            }
    return found


def test_nothing_is_shown_in_a_repr_and_a_pickle_makes_a_cluster_again(
    valkey_cluster: ValkeyCluster,
) -> None:
    store = RedisStore(valkey_cluster.url.replace("//", "//web:a-secret@"), cluster=True)

    assert pickle.loads(pickle.dumps(store)) is store
    kind, arguments = store.__reduce__()[1][0], store.__reduce__()[1][2]
    assert kind(**arguments)._server.slots is not None
    assert "a-secret" not in repr(store)


# The local cache


@pytest.mark.usefixtures("attentive")
def test_the_least_acl_is_enough_for_a_local_cache_and_a_slot_on_the_move(
    own_valkey_cluster: ValkeyCluster, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = own_valkey_cluster
    lines = (LEAST, FOR_LOCAL_CACHE, FOR_A_CLUSTER, ["ACL", "SETUSER", "web", "+wait"])
    url = cluster.allow(*[" ".join(line) for line in lines])
    writer = RedisStore(url, cluster=True, replicas=1)
    near = RedisStore(url, cluster=True, local_cache=3600)
    name = b"amplify_mw:s:" + KEY
    assert writer.create(KEY, record)
    until(lambda: is_near(near))
    to = cluster.others(cluster.owner(name))[0]
    cluster.begin_to_move(slot_of(name), to)
    with cluster.owner(name).client() as client:
        client.execute_command("MIGRATE", "127.0.0.1", to.port, name, 0, 60_000)

    assert writer.delete(KEY)

    until(lambda: near.load(KEY) is None)
    assert not caplog.records
    near.close()
    writer.close()


def is_near(store: RedisStore) -> bool:
    """Whether the record is served from memory."""
    store.load(KEY)
    assert store._listener is not None
    return store._listener.cache.find(KEY) is not None


def is_listened_to(node: Node) -> bool:
    """Whether a node has a listener."""
    with node.client() as client:
        return bool(client.pubsub_numsub(f"{PREFIX}changed")[0][1])


@pytest.mark.usefixtures("attentive")
def test_a_cache_hears_of_changes_wherever_they_are_made(
    own_valkey_cluster: ValkeyCluster, record: Record, ask: Way
) -> None:
    cluster = own_valkey_cluster
    near = RedisStore(cluster.url, prefix=PREFIX, cluster=True, local_cache=3600)
    writer = RedisStore(cluster.url, prefix=PREFIX, cluster=True)
    ask(writer, "create", KEY, record)
    until(lambda: is_near(near))

    ask(writer, "delete", KEY)

    until(lambda: near.load(KEY) is None)
    near.close()
    writer.close()


@pytest.mark.usefixtures("attentive")
@pytest.mark.parametrize("fault", [Node.stop, Node.pause])
def test_a_cache_whose_node_fails_serves_nothing_until_it_hears_from_another(
    own_valkey_cluster: ValkeyCluster, record: Record, fault: Callable[[Node], None]
) -> None:
    cluster = own_valkey_cluster
    options: dict[str, Any] = {"prefix": PREFIX, "cluster": True, "timeout": 1.0}
    near = RedisStore(cluster.url, **options, local_cache=3600)
    writer = RedisStore(cluster.url, **options)
    in_the_end(lambda: writer.load(KEY))  # it knows all nodes
    in_the_end(lambda: near.create(KEY, record))
    in_the_end(lambda: until(lambda: is_near(near)))
    assert near._listener is not None
    (first,) = [node for node in cluster.running if is_listened_to(node)]

    fault(first)

    def is_elsewhere() -> bool:
        others = [node for node in cluster.running if node is not first]
        return any(is_listened_to(node) for node in others)

    until(is_elsewhere)
    in_the_end(lambda: until(lambda: is_near(near)))
    in_the_end(lambda: writer.delete(KEY))
    until(lambda: in_the_end(lambda: near.load(KEY)) is None)
    for node in cluster.running:
        node.go_on()
    near.close()
    writer.close()


# What is refused when the store is made


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://127.0.0.1:6379/1", "a cluster has one database; write redis://host:6379/0"),
        ("redis://127.0.0.1:6379?db=3", "a cluster has one database"),
        ("unix:///tmp/redis.sock", "not reached through a unix socket"),
        ("valkey://127.0.0.1/name", "the number of a database"),
    ],
)
def test_a_url_that_no_cluster_has_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RedisStore(url, cluster=True)


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
@pytest.mark.parametrize("path", ["", "/", "/0"])
def test_a_url_of_a_cluster_is_taken(scheme: str, path: str) -> None:
    RedisStore(f"{scheme}://127.0.0.1:6379{path}", cluster=True)


@pytest.mark.parametrize("replicas", [-1, 0.5, "1", True])
def test_a_number_of_replicas_that_is_none_is_refused(replicas: Any) -> None:
    with pytest.raises(ConfigurationError, match="replicas: how many"):
        RedisStore("redis://127.0.0.1", replicas=replicas)


def test_a_server_that_is_no_cluster_is_told_of_once(
    redis_url: str, ask: Way, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(redis_url, cluster=True)

    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="and no cluster: write RedisStore"):
            ask(store, "load", KEY)

    (error,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert "this is a server of its own" in error


def test_a_wrong_password_is_said(valkey_cluster: ValkeyCluster, ask: Way) -> None:
    store = RedisStore(valkey_cluster.url.replace("//", "//nobody:a-secret@"), cluster=True)

    with pytest.raises(StoreUnavailable, match="wrong user name or password") as failed:
        ask(store, "load", KEY)
    assert "a-secret" not in str(failed.value)


def test_a_cluster_is_reached_through_tls(tmp_path: Path, record: Record, ask: Way) -> None:
    file = certificate(tmp_path)
    cluster = ValkeyCluster(tmp_path, primaries=3, replicas=0, tls=tls_context(file))
    store = RedisStore(f"{cluster.url}?ssl_ca_certs={file}", cluster=True)
    send = Sender(store, ask)
    keys = keys_of_all(cluster)

    assert send(*[("SET", key, 1) for key in keys]) == [b"OK"] * 3

    store.close()
    cluster.close()


# Routing, by hand


HERE, THERE = ("here", 1), ("there", 2)


def moved(to: tuple[str, int], kind: type[Exception] = redis.exceptions.MovedError) -> Exception:
    return kind(f"5 {to[0]}:{to[1]}")


def known(owner: tuple[str, int] | None = HERE) -> Slots:
    slots = Slots()
    slots.learn([[0, SLOTS - 1, [b"here", 1], [b"copy", 3]]], HERE)
    if owner is None:
        slots.learn([[0, 0, [b"here", 1]]], HERE)
    slots.tried()
    return slots


GET = Command(("GET", b"k"), b"k")


def flow(slots: Slots, *commands: Command, **options: bool) -> Routing:
    return routed(slots, Batch(commands or (GET,), **options))


def ended(routing: Routing, answered: Any) -> list[Any]:
    with pytest.raises(StopIteration) as done:
        routing.send(answered)
    found: list[Any] = done.value.value
    return found


def test_before_the_first_command_the_cluster_is_described() -> None:
    slots = Slots()
    routing = flow(slots)

    assert next(routing) == Learn()
    slots.learn([[0, SLOTS - 1, [b"", 7]]], ("asked", 1))
    assert routing.send(None) == {Trip(("asked", 7)): [GET]}
    assert ended(routing, {Trip(("asked", 7)): [b"v"]}) == [b"v"]


def test_who_cannot_be_asked_is_the_failure() -> None:
    routing = flow(Slots())
    next(routing)

    with pytest.raises(redis.ConnectionError):
        routing.send(redis.ConnectionError())


def test_a_moved_command_goes_where_it_is_sent_and_the_next_one_at_once() -> None:
    slots = known()
    routing = flow(slots)
    assert next(routing) == {Trip(HERE): [GET]}

    assert routing.send({Trip(HERE): [moved(THERE)]}) == {Trip(THERE): [GET]}
    assert ended(routing, {Trip(THERE): [b"v"]}) == [b"v"]
    assert slots.owner(b"k") == THERE


def test_an_asked_command_goes_elsewhere_once() -> None:
    slots = known()
    routing = flow(slots)
    next(routing)

    ask = moved(THERE, redis.exceptions.AskError)
    assert routing.send({Trip(HERE): [ask]}) == {Trip(THERE, is_asking=True): [GET]}
    assert ended(routing, {Trip(THERE, is_asking=True): [b"v"]}) == [b"v"]
    assert slots.owner(b"k") == HERE


@pytest.mark.parametrize("kind", [redis.exceptions.MovedError, redis.exceptions.AskError])
def test_a_storm_ends(kind: type[Exception]) -> None:
    routing = flow(known())
    step: Any = next(routing)
    for _ in range(5):
        ((trip, _),) = step.items()
        to = THERE if trip.to == HERE else HERE
        step = routing.send({trip: [moved(to, kind)]})

    ((trip, _),) = step.items()
    (answer,) = ended(routing, {trip: [moved(THERE, kind)]})
    assert isinstance(answer, TooManyMoves)


def test_what_cannot_be_answered_yet_is_asked_again_after_a_pause() -> None:
    routing = flow(known())
    next(routing)

    again = redis.exceptions.TryAgainError("")
    assert isinstance(routing.send({Trip(HERE): [again]}), Pause)
    assert routing.send(None) == {Trip(HERE): [GET]}
    assert ended(routing, {Trip(HERE): [b"v"]}) == [b"v"]


@pytest.mark.parametrize(
    "failure",
    [
        redis.ConnectionError(),
        redis.TimeoutError(),
        [redis.exceptions.ClusterDownError("")],
        [redis.exceptions.MasterDownError("")],
        [redis.ReadOnlyError("")],
    ],
)
@pytest.mark.parametrize("heir", [THERE, None])
def test_a_node_that_failed_has_an_heir_or_not(failure: Any, heir: tuple[str, int] | None) -> None:
    slots = known()
    slots._learned_at = -1e9
    routing = flow(slots)
    next(routing)

    assert routing.send({Trip(HERE): failure}) == Learn()
    if heir is not None:
        slots.learn([[0, SLOTS - 1, [b"there", 2]]], THERE)
        assert routing.send(None) == {Trip(THERE): [GET]}
        assert ended(routing, {Trip(THERE): [b"v"]}) == [b"v"]
    else:
        (answer,) = ended(routing, redis.ConnectionError())
        assert answer is (failure if isinstance(failure, Exception) else failure[0])


def test_a_failure_of_one_node_leaves_the_answers_of_another() -> None:
    slots = Slots()
    slots.learn([[0, 8000, [b"here", 1]], [8001, SLOTS - 1, [b"there", 2]]], HERE)
    slots.tried()
    low, high = (
        next(b"%d" % n for n in range(9999) if (key_slot(b"%d" % n) <= 8000) == is_low)
        for is_low in (True, False)
    )
    commands = (Command(("GET", high), high), Command(("GET", low), low))
    routing = flow(slots, *commands)
    next(routing)

    failure = redis.ConnectionError()
    answers = ended(routing, {Trip(HERE): [b"low"], Trip(THERE): failure})
    assert answers == [failure, b"low"]


def test_a_slot_without_an_owner_is_asked_of_nobody() -> None:
    slots = known(owner=None)

    with pytest.raises(StopIteration) as done:
        next(flow(slots))
    assert isinstance(done.value.value[0], NoOwner)


junk = st.recursive(
    st.none() | st.integers() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=5),
)


@given(junk)
def test_whatever_a_node_says_of_its_cluster_it_is_a_description_or_none(answer: Any) -> None:
    with suppress(ValueError, NoOwner):
        Slots().learn(answer, HERE)
    with suppress(ValueError):
        assert all(0 <= first < SLOTS for first, *_ in parsed(answer, HERE))
