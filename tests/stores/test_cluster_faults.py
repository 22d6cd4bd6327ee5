"""`RedisStore` on a cluster in which something is wrong: an outage or a plain sign-in, never more.

Rules:
- A visitor is asked to come again (503) and keeps the cookie while the session may live; or is
  asked to sign in (401) where it is certainly gone.
- What works is served: the sessions of other primaries, and reads where only writes are refused.
- Each fault is named in the log, and told once, however many requests meet it.
- A site goes on by itself when the fault is over.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from amplify_mw.sessions.record import Record
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.store_contract import KEY, LONG
from tests.patience import until
from tests.shells import Shell
from tests.sites import Browser, Site
from tests.stores.cluster_tools import (
    HERE,
    NOT_NOW,
    OVER,
    PREFIX,
    Sites,
    comes_back,
    leaves,
    sees,
    signed_in_at,
    sites_of,
)
from tests.stores.redis_tools import Way, in_the_end
from tests.valkey import Node, ValkeyCluster, ValkeySentinels, slot_of
from tests.valkey import own_valkey_cluster as own_valkey_cluster
from tests.valkey import own_valkey_sentinels as own_valkey_sentinels

SOON = 1.0  # seconds that a store gives a server: one that is silent never answers
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])


@pytest.fixture
def sites(shell: Shell, pool: LocalUserPool) -> Iterator[Sites]:
    with sites_of(shell, pool) as sites:
        yield sites


@pytest.fixture
def nodes(own_valkey_cluster: ValkeyCluster) -> ValkeyCluster:
    return own_valkey_cluster


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster without replicas, so that nobody takes over. It is slow to take a node for dead."""
    folder = tmp_path / "lasting"
    folder.mkdir()
    cluster = ValkeyCluster(folder, replicas=0, node_timeout=60_000)
    yield cluster
    cluster.close()


@pytest.fixture(params=["stored", "sealed"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


class Trial:
    """Two visitors of a site: the fault concerns the primary of the first one's session alone."""

    def __init__(self, site: Site, cluster: ValkeyCluster, log: pytest.LogCaptureFixture) -> None:
        self.cluster = cluster
        self.site = site
        self.node, self.other = cluster.others()[:2]
        self.hit, self.spared = signed_in_at(site, cluster, self.node, self.other)
        self.slot = slot_of(self.hit.key)
        self._log = log
        log.clear()

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._log.records]

    def assert_outage(self, name: str) -> None:
        """The visitor is asked to come again, the other is served, the log says it once."""
        until(lambda: sees(self.hit) == NOT_NOW)
        for _ in range(5):
            assert sees(self.hit) == NOT_NOW
            comes_back(lambda: sees(self.spared))
        told = [line for line in self.lines if "does not answer" in line and name in line]
        assert len(told) == 1, self.lines
        assert len(self.lines) == len(set(self.lines)), self.lines

    def assert_recovery(self) -> None:
        """Both are served, and may end their sessions, with no help from an operator."""
        for visitor in (self.hit, self.spared):
            comes_back(lambda visitor=visitor: sees(visitor))
        comes_back(lambda: leaves(self.hit.copy()), (200, True))
        assert self.lines[-1] == "the session store answers again"


Try = Callable[..., Trial]


@pytest.fixture
def a_trial(sites: Sites, kind: str, caplog: pytest.LogCaptureFixture) -> Try:
    def make(cluster: ValkeyCluster, url: str = "", **options: Any) -> Trial:
        store = RedisStore(url or cluster.url, cluster=True, **options)
        caplog.set_level(logging.WARNING, "amplify_mw")
        return Trial(sites.on(store, kind), cluster, caplog)

    return make


# Nobody serves a slot


def test_a_slot_without_an_owner(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting)
    slot = trial.slot
    lasting.drop_slot(slot)

    trial.assert_outage("CLUSTERDOWN")

    for node in lasting.nodes:
        node.do("CLUSTER", "SETSLOT", slot, "NODE", trial.node.id)
    lasting.wait_until_well()
    trial.assert_recovery()


def test_a_primary_that_was_killed_and_has_no_replica(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting)
    trial.node.stop()

    trial.assert_outage("ConnectionError")

    trial.node.start()  # and has lost all
    expected = {"stored": OVER, "sealed": HERE}[kind_of(trial.site)]
    comes_back(lambda: sees(trial.hit), expected)
    assert sees(trial.spared) == HERE


def kind_of(site: Site) -> str:
    return "stored" if hasattr(site.session, "store") else "sealed"


def test_half_a_cluster(a_trial: Try, tmp_path: Path) -> None:
    cluster = ValkeyCluster(tmp_path, replicas=0, full_coverage=True)
    trial = a_trial(cluster, timeout=SOON)
    with cluster.paused(*[node for node in cluster.nodes if node is not trial.node]):
        until(lambda: trial.node.state["cluster_state"] == "fail")

        until(lambda: sees(trial.hit) == NOT_NOW)
        assert sees(trial.spared) == NOT_NOW
        assert any("CLUSTERDOWN" in line for line in trial.lines)

    cluster.wait_until_well()
    trial.assert_recovery()
    cluster.close()


# A node that is there, and does not do it


def test_a_node_that_hangs(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting, timeout=SOON)

    with lasting.paused(trial.node):
        trial.assert_outage("TimeoutError")

    trial.assert_recovery()


def test_a_node_that_hangs_is_replaced_and_its_word_does_not_count_when_it_wakes(
    nodes: ValkeyCluster, record: Record, ask: Way
) -> None:
    store = RedisStore(nodes.url, cluster=True, timeout=SOON)
    in_the_end(lambda: ask(store, "create", KEY, record))
    nodes.settle()
    node = nodes.owner(f"{PREFIX}s:".encode() + KEY)
    with nodes.paused(node):
        nodes.wait_for_heir(node)
        assert in_the_end(lambda: ask(store, "delete", KEY))

    for _ in range(50):
        assert in_the_end(lambda: [ask(store, "load", KEY)]) == [None]
    nodes.wait_until_well()
    assert in_the_end(lambda: [ask(store, "load", KEY)]) == [None]
    store.close()


def test_a_node_that_loads_its_data(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting)
    node = trial.node
    node.do("CONFIG", "SET", "key-load-delay", "500000")  # microseconds for each key
    node.do("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    tag = own_tag(lasting, node)
    with node.client() as client:
        for number in range(400):
            client.set(f"{{{tag}}}{number}", secrets.token_bytes(4096))
    loading = threading.Thread(target=reload, args=(node,))
    loading.start()
    with node.client() as client:
        until(lambda: client.info("persistence")["loading"])

    trial.assert_outage("LOADING")

    node.do("CONFIG", "SET", "key-load-delay", "0")
    loading.join()
    trial.assert_recovery()


def own_tag(cluster: ValkeyCluster, node: Node) -> str:
    """What leads keys to a node."""
    return next(tag for tag in map(str, range(1000)) if cluster.owner(tag) is node)


def reload(node: Node) -> None:
    with suppress(redis.RedisError):
        node.do("DEBUG", "RELOAD")


def test_a_password_that_was_changed(a_trial: Try, lasting: ValkeyCluster) -> None:
    url = lasting.allow("ACL SETUSER web on >a-secret ~* &* +@all")
    trial = a_trial(lasting, url)
    trial.node.do("ACL", "SETUSER", "web", "resetpass", ">another")
    trial.node.do("CLIENT", "KILL", "USER", "web")

    trial.assert_outage("wrong user name or password")
    assert "a-secret" not in "".join(trial.lines)

    trial.node.do("ACL", "SETUSER", "web", "resetpass", ">a-secret")
    trial.assert_recovery()


def test_a_full_node_refuses_writes_alone(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting)
    trial.node.do("CONFIG", "SET", "maxmemory", "1")

    for _ in range(5):
        assert sees(trial.hit) == HERE
        assert trial.hit.ask(lambda: str(trial.site.refresh())).status == 503
        assert sees(trial.spared) == HERE
    assert sum("OOM" in line for line in trial.lines) == 1

    trial.node.do("CONFIG", "SET", "maxmemory", "0")
    assert trial.hit.ask(lambda: str(trial.site.refresh())).status == 200


# What is gone


def flush(node: Node) -> None:
    node.do("FLUSHALL")


def evict(node: Node) -> None:
    node.do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    node.do("CONFIG", "SET", "maxmemory", "1")
    with suppress(redis.RedisError):
        node.do("SET", "filler", "")
    until(lambda: node.do("DBSIZE") == 0)
    node.do("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("lose", [flush, evict])
def test_a_node_that_lost_its_sessions_asks_for_a_plain_sign_in(
    a_trial: Try, lasting: ValkeyCluster, lose: Callable[[Node], None]
) -> None:
    trial = a_trial(lasting)
    lose(trial.node)

    # A sealed session is in its cookie.
    assert sees(trial.hit) == {"stored": OVER, "sealed": HERE}[kind_of(trial.site)]
    assert sees(trial.spared) == HERE
    assert sees(trial.site.sign_in("ada")) == HERE


# Slots that move


@contextmanager
def on_the_move(cluster: ValkeyCluster, slot: int) -> Iterator[threading.Event]:
    """A slot goes to and fro, step by step. What is yielded is set once it was everywhere."""
    been, ended = threading.Event(), threading.Event()

    def go_round() -> None:
        try:
            while not ended.is_set():
                for node in cluster.others():
                    if node is not cluster.owner(slot):
                        cluster.move(slot, node)
                been.set()
        finally:
            been.set()

    with ThreadPoolExecutor(1) as threads:
        moving = threads.submit(go_round)
        try:
            yield been
        finally:
            ended.set()
        moving.result()


def test_a_slot_that_moves_to_and_fro_is_noticed_by_nobody(
    lasting: ValkeyCluster, record: Record, ask: Way
) -> None:
    store = RedisStore(lasting.url, cluster=True)
    slot = slot_of(f"{PREFIX}s:".encode() + KEY)
    version = 0
    with on_the_move(lasting, slot) as been:
        while not been.is_set() or version < 20:
            version += 1
            newer = replace(record, version=version)
            assert ask(store, "create", KEY, newer)
            fence, found = ask(store, "acquire_and_load", KEY, LONG)
            assert found == newer
            assert ask(store, "acquire", KEY, LONG) is None
            assert ask(store, "replace_and_release", KEY, newer, fence)
            assert {each.version for each in ask.at_once(4, store, "load", KEY)} == {version}
            assert [key for key, _ in ask(store, "of_user", "ada")] == [KEY]
            assert ask(store, "delete", KEY)
            assert ask(store, "load", KEY) is None
    store.close()


def test_a_site_goes_on_while_a_slot_is_half_moved(a_trial: Try, lasting: ValkeyCluster) -> None:
    trial = a_trial(lasting)
    slot = trial.slot
    for step in (
        lambda: lasting.begin_to_move(slot, trial.other),
        lambda: lasting.move_keys(slot, trial.other),
        lambda: lasting.finish_moving(slot, trial.other),
    ):
        step()
        for visitor in (trial.hit, trial.spared):
            assert sees(visitor) == HERE
            assert visitor.ask(lambda: str(trial.site.refresh())).status == 200
    assert not trial.lines
    assert leaves(trial.hit) == (200, True)


# Clocks


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_clock_of_the_client_that_is_an_hour_off_ends_no_lease_and_no_session(
    nodes: ValkeyCluster,
    record: Record,
    ask: Way,
    off: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RedisStore(nodes.url, cluster=True)
    day = replace(record, expires_at=time.time() + 86_400)
    assert ask(store, "create", KEY, day)
    fence = ask(store, "acquire", KEY, LONG)
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + off)

    assert ask(store, "load", KEY) == day
    assert ask(store, "acquire", KEY, LONG) is None
    assert ask(store, "renew", KEY, fence, LONG)
    assert ask(store, "replace_and_release", KEY, replace(day, version=9), fence)
    assert ask(store, "acquire", KEY, LONG) > fence
    store.close()


# Sentinels whose primary is none


def test_a_primary_that_calls_itself_a_replica_is_named_and_left(
    own_valkey_sentinels: ValkeySentinels,
    sites: Sites,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = own_valkey_sentinels
    site = sites.on(RedisStore.sentinel(service.hosts, service=service.service), kind)
    ada: Browser = site.sign_in("ada")
    assert ada.ask(lambda: str(site.refresh())).status == 200
    service.settle()
    primary = service.primary
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        primary.do("CONFIG", "SET", "replica-serve-stale-data", "no")
        primary.do("REPLICAOF", "127.0.0.1", "1")
        while True:
            status = ada.copy().ask(lambda: str(site.refresh())).status
            assert status in (200, 503)
            if status == 200:
                break

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(set(lines)), lines
