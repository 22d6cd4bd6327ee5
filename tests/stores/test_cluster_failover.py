"""`RedisStore` on a cluster or with Sentinels when a primary dies: what is kept, lost, and said.

Replication is asynchronous. So what a primary has confirmed alone may be lost with it; what it must
confirm together with a replica (`replicas=1`) is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.store_contract import KEY, LONG, OTHER
from tests.patience import until
from tests.shells import Shell
from tests.sites import Browser
from tests.stores.cluster_tools import (
    HERE,
    OVER,
    PREFIX,
    Sites,
    comes_back,
    leaves,
    sees,
    signed_in_at,
    sites_of,
    user_listed_at,
)
from tests.stores.redis_tools import Way, in_the_end
from tests.valkey import Node, ValkeyCluster
from tests.valkey import own_valkey_cluster as own_valkey_cluster
from tests.valkey import own_valkey_sentinels as own_valkey_sentinels

SOON = 1.0  # seconds that a store gives replicas and a primary: these never answer in time
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])


@pytest.fixture
def sites(shell: Shell, pool: LocalUserPool) -> Iterator[Sites]:
    with sites_of(shell, pool) as sites:
        yield sites


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster whose replicas can be kept from hearing of writes."""
    folder = tmp_path / "linked"
    folder.mkdir()
    cluster = ValkeyCluster(folder, links=True)
    yield cluster
    cluster.close()


def stall(primary: Node) -> None:
    assert primary.link is not None
    primary.link.stall()


def flow(primary: Node) -> None:
    assert primary.link is not None
    primary.link.flow()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# What asynchronous replication may lose


@kinds
def test_a_session_that_was_ended_on_a_primary_alone_comes_back_after_its_loss(
    linked: ValkeyCluster, sites: Sites, kind: str
) -> None:
    site = sites.on(RedisStore(linked.url, cluster=True), kind)
    primary = linked.nodes[1]
    (ada,) = signed_in_at(site, linked, primary)
    thief = ada.copy()
    stall(primary)
    assert leaves(ada) == (200, True)
    assert sees(thief.copy()) == OVER

    primary.stop()
    linked.wait_for_heir(primary)

    elsewhere = sites.on(RedisStore(linked.urls[0], cluster=True), kind)
    comes_back(lambda: sees(Browser(elsewhere, thief.jar)))


@kinds
def test_with_replicas_to_wait_for_such_an_end_is_an_outage(
    linked: ValkeyCluster, sites: Sites, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    patient = sites.on(RedisStore(linked.url, cluster=True, replicas=1), kind)
    hasty = sites.on(RedisStore(linked.url, cluster=True, replicas=1, timeout=SOON), kind)
    primary = linked.nodes[1]
    stuck, leaving = signed_in_at(patient, linked, primary, primary), []
    assert leaves(stuck[0].copy()) == (200, True)  # a replica that hears of it confirms it

    def is_told_of() -> bool:
        (ada,) = signed_in_at(patient, linked, primary)
        stall(primary)
        assert leaves(Browser(hasty, ada.jar))[0] == 503
        flow(primary)
        leaving.append(ada)
        return any("NOREPLICAS" in line for line in told(caplog))

    until(is_told_of)

    said = [line for line in told(caplog) if "NOREPLICAS" in line]
    assert len(said) == 1
    assert "fewer replicas than replicas= says" in said[0]


@pytest.mark.parametrize("listed_at", [0, 1])
def test_with_replicas_to_wait_for_reads_and_other_primaries_go_on(
    linked: ValkeyCluster, sites: Sites, listed_at: int
) -> None:
    site = sites.on(RedisStore(linked.url, cluster=True, replicas=1))
    first, second = linked.nodes[:2]
    user = user_listed_at(site, linked, linked.nodes[listed_at])
    ada, elsewhere = signed_in_at(site, linked, first, second, user=user)
    stall(first)

    assert sees(ada) == HERE
    assert sees(elsewhere) == HERE
    assert leaves(elsewhere) == (200, True)

    flow(first)
    assert leaves(ada) == (200, True)


def test_an_end_that_a_replica_has_confirmed_outlives_the_primary(
    linked: ValkeyCluster, sites: Sites
) -> None:
    site = sites.on(RedisStore(linked.url, cluster=True, replicas=1))
    primary = linked.nodes[1]
    (ada,) = signed_in_at(site, linked, primary)
    thief = ada.copy()

    assert leaves(ada) == (200, True)
    primary.stop()
    linked.wait_for_heir(primary)

    elsewhere = sites.on(RedisStore(linked.urls[0], cluster=True))
    comes_back(lambda: sees(Browser(elsewhere, thief.jar)), OVER)


# Leases and records


@pytest.fixture
def clustered(own_valkey_cluster: ValkeyCluster) -> Iterator[RedisStore]:
    store = RedisStore(own_valkey_cluster.url, cluster=True)
    yield store
    store.close()


def test_a_record_and_its_lease_outlive_a_planned_failover(
    own_valkey_cluster: ValkeyCluster, clustered: RedisStore, record: Record, ask: Way
) -> None:
    assert ask(clustered, "create", KEY, record)
    fence = ask(clustered, "acquire", KEY, LONG)

    own_valkey_cluster.fail_over(home(own_valkey_cluster))

    assert ask(clustered, "acquire", KEY, LONG) is None
    assert ask(clustered, "renew", KEY, fence, LONG)
    newer = replace(record, version=9)
    assert ask(clustered, "replace_and_release", KEY, newer, fence)
    assert ask(clustered, "load", KEY) == newer


def home(cluster: ValkeyCluster, key: bytes = KEY) -> Node:
    """The primary that has a session."""
    return cluster.owner(PREFIX.encode() + b"s:" + key)


def test_a_fence_after_a_failover_is_higher_than_any_before(
    own_valkey_cluster: ValkeyCluster, clustered: RedisStore, record: Record, ask: Way
) -> None:
    assert ask(clustered, "create", KEY, record)
    before = ask(clustered, "acquire", KEY, LONG)
    ask(clustered, "release", KEY, before)

    own_valkey_cluster.fail_over(home(own_valkey_cluster))

    assert ask(clustered, "acquire", KEY, LONG) > before


# The local cache


def near_of(store: RedisStore, key: bytes = KEY) -> Record | None:
    """What this process serves from memory."""
    assert store._listener is not None
    return store._listener.cache.find(key)


def is_near(store: RedisStore, key: bytes = KEY) -> bool:
    in_the_end(lambda: store.load(key))
    return near_of(store, key) is not None


def listened_to(nodes: list[Node]) -> Node:
    """The node that a listener of this test is at."""
    (found,) = (n for n in nodes if n.do("PUBSUB", "NUMSUB", f"{PREFIX}changed")[1])
    return found


@pytest.mark.usefixtures("attentive")
@pytest.mark.parametrize("kill", [Node.stop, Node.pause])
def test_nothing_stale_is_served_after_the_node_that_is_listened_to_has_gone(
    own_valkey_cluster: ValkeyCluster,
    record: Record,
    ask: Way,
    kill: Callable[[Node], None],
) -> None:
    nodes = own_valkey_cluster
    far = RedisStore(nodes.url, cluster=True, timeout=SOON)
    near = RedisStore(nodes.url, cluster=True, timeout=SOON, local_cache=3600)
    for key in (KEY, OTHER):
        assert in_the_end(lambda key=key: ask(far, "create", key, record))
        until(lambda key=key: is_near(near, key))
    nodes.settle()
    node = listened_to(nodes.running)
    kill(node)
    until(lambda: near_of(near) is None)

    running = [each for each in nodes.nodes if each is not node]
    until(lambda: sum(subscribers(each) for each in running) == 1)
    for key in (KEY, OTHER):
        in_the_end(lambda key=key: ask(far, "delete", key))
        until(lambda key=key: near_of(near, key) is None)
        assert in_the_end(lambda key=key: near.load(key)) is None

    node.go_on()
    far.close()
    near.close()


def subscribers(node: Node) -> int:
    return int(node.do("PUBSUB", "NUMSUB", f"{PREFIX}changed")[1])
