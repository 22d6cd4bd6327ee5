"""`RedisStore.sentinel`: the primary is where the Sentinels say, before and after a failover."""

import copy
import pickle
import secrets
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, OTHER
from tests.patience import until
from tests.stores.redis_tools import CALLS, Way, in_the_end
from tests.stores.test_redis import RedisContract
from tests.valkey import Valkey, ValkeySentinels, free_port
from tests.valkey import own_valkey_sentinels as own_valkey_sentinels
from tests.valkey import valkey_sentinels as valkey_sentinels

SOON = 1.0  # seconds: for Sentinels and servers that stay silent


class TestRedisStoreBehindSentinels(RedisContract):
    @pytest.fixture
    def store(self, valkey_sentinels: ValkeySentinels) -> Iterator[RedisStore]:
        prefix = f"{secrets.token_hex(8)}:"
        store = of(valkey_sentinels, prefix=prefix)
        yield store
        store.close()


def of(sentinels: ValkeySentinels, **options: Any) -> RedisStore:
    return RedisStore.sentinel(sentinels.hosts, service=sentinels.service, **options)


@pytest.fixture
def found(own_valkey_sentinels: ValkeySentinels) -> Iterator[RedisStore]:
    """A store behind Sentinels that a test may break."""
    store = of(own_valkey_sentinels, timeout=SOON)
    yield store
    store.close()


def test_a_planned_failover_goes_unnoticed_by_reads_and_writes(
    own_valkey_sentinels: ValkeySentinels, record: Record, ask: Way
) -> None:
    found = of(own_valkey_sentinels)
    assert ask(found, "create", KEY, record)
    old = own_valkey_sentinels.primary
    heir = own_valkey_sentinels.fail_over()

    assert ask(found, "load", KEY) == record
    for method, arguments in CALLS.items():
        ask(found, method, *arguments)
    until(lambda: old.visitors() == 0)
    assert heir.visitors() > 0
    found.close()


def test_a_primary_that_was_killed_is_an_outage_until_there_is_another(
    own_valkey_sentinels: ValkeySentinels, found: RedisStore, record: Record, ask: Way
) -> None:
    in_the_end(lambda: ask(found, "create", KEY, record))
    own_valkey_sentinels.primary.stop()

    with pytest.raises(StoreUnavailable, match=r"^Redis: ConnectionError: the primary is gone"):
        ask(found, "load", KEY)

    assert in_the_end(lambda: ask(found, "load", KEY)) == record
    assert in_the_end(lambda: ask(found, "replace", KEY, record))


def test_sentinels_that_are_gone_or_hang_are_passed_over(
    own_valkey_sentinels: ValkeySentinels, ask: Way
) -> None:
    own_valkey_sentinels.sentinels[0].stop()
    own_valkey_sentinels.sentinels[1].pause()
    hosts = [("127.0.0.1", free_port()), *own_valkey_sentinels.hosts]
    found = RedisStore.sentinel(hosts, service=own_valkey_sentinels.service, timeout=SOON)

    assert in_the_end(lambda: ask(found, "load", OTHER)) is None
    own_valkey_sentinels.sentinels[1].go_on()
    found.close()


def test_a_replica_that_sentinels_still_name_is_not_taken(
    own_valkey_sentinels: ValkeySentinels, ask: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of(own_valkey_sentinels)
    (replica, *_) = own_valkey_sentinels.replicas
    sentinels = found._server.sentinels
    monkeypatch.setattr(sentinels, "primary", lambda: ("127.0.0.1", replica.port))

    async def old_word() -> tuple[str, int]:
        return "127.0.0.1", replica.port

    monkeypatch.setattr(sentinels, "primary_on_loop", old_word)
    with pytest.raises(StoreUnavailable, match=r"^Redis: READONLY: the Sentinels' word is old"):
        ask(found, "load", KEY)
    found.close()


# Logging in


def test_sentinels_and_servers_have_passwords_of_their_own(tmp_path: Path, ask: Way) -> None:
    sentinels = ValkeySentinels(tmp_path, replicas=0, sentinels=1)
    sentinels.primary.do("CONFIG", "SET", "requirepass", "a-secret")
    sentinels.sentinels[0].do("ACL", "SETUSER", "default", "resetpass", ">another-secret")
    right = {"url": "redis://:a-secret@/0", "sentinel_url": "redis://:another-secret@"}
    said = {"url": "it wants a password", "sentinel_url": "the Sentinels want a password"}

    store = of(sentinels, **right)
    assert ask(store, "load", KEY) is None
    for name, sentence in said.items():
        wrong = of(sentinels, **{**right, name: "redis://"})
        with pytest.raises(StoreUnavailable, match=sentence) as failed:
            ask(wrong, "load", KEY)
        assert "secret" not in "".join(traceback.format_exception(failed.value))

    store.close()
    for server in (*sentinels.servers, *sentinels.sentinels):
        server.stop()


def test_credentials_are_the_servers(
    own_valkey_sentinels: ValkeySentinels, record: Record, ask: Way
) -> None:
    for server in own_valkey_sentinels.servers:
        server.do(*["ACL", "SETUSER", "web", "on", ">a-secret", "~*", "&*", "+@all"])
    store = of(own_valkey_sentinels, credentials=lambda: ("web", "a-secret"))

    assert ask(store, "create", KEY, record)
    store.close()


# What goes wrong


def test_a_service_that_no_sentinel_knows_is_said(
    valkey_sentinels: ValkeySentinels, ask: Way
) -> None:
    store = RedisStore.sentinel(valkey_sentinels.hosts, service="another")

    with pytest.raises(StoreUnavailable, match="no Sentinel knows that service"):
        ask(store, "load", KEY)


def test_a_server_that_is_no_sentinel_is_said(redis_url: str, own_valkey: Valkey, ask: Way) -> None:
    store = RedisStore.sentinel([("127.0.0.1", own_valkey.port)], service="mymaster")

    with pytest.raises(StoreUnavailable, match="that is no Sentinel: write the ports"):
        ask(store, "load", KEY)


def test_sentinels_that_are_not_there_are_said(ask: Way) -> None:
    store = RedisStore.sentinel([("127.0.0.1", 1), ("127.0.0.1", 2)], service="mymaster")

    with pytest.raises(StoreUnavailable, match="no Sentinel answers"):
        ask(store, "load", KEY)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sentinels": []}, r"RedisStore\.sentinel\(\[\("),
        ({"service": ""}, r"RedisStore\.sentinel\(\[\("),
        ({"sentinels": ["host:26379"]}, r"RedisStore\.sentinel\(\[\("),
        ({"url": "redis://host"}, "the Sentinels know the host"),
        ({"url": "unix:///socket"}, "the Sentinels know the host"),
        ({"url": "redis:///name"}, "the number of a database"),
        ({"sentinel_url": "http://"}, "sentinel_url: not one that redis-py understands"),
        (
            {"sentinel_url": "redis://:a-secret@host:26379"},
            "sentinel_url: the list names the hosts",
        ),
        ({"cluster": True}, "cluster: a cluster has no Sentinels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    arguments = {"sentinels": [("127.0.0.1", 26379)], "service": "mymaster", **options}
    with pytest.raises(ConfigurationError, match=said):
        RedisStore.sentinel(arguments.pop("sentinels"), **arguments)


def test_a_copy_is_the_same_store_and_a_pickle_finds_its_way_elsewhere(
    valkey_sentinels: ValkeySentinels, record: Record
) -> None:
    store = of(valkey_sentinels, url="redis:///0", sentinel_url="redis://")
    assert copy.deepcopy(store) is store
    assert pickle.loads(pickle.dumps(store)) is store
    kind, _, arguments = store.__reduce__()[1]

    other = kind(**arguments)

    assert other.create(OTHER, record)
    assert store.load(OTHER) == record
    store.delete(OTHER)
    assert repr(store) == "<RedisStore mymaster amplify_mw:>"
    store.close()
    other.close()


# The local cache


@pytest.mark.usefixtures("attentive")
def test_a_cache_listens_to_the_primary_that_there_is(
    own_valkey_sentinels: ValkeySentinels, record: Record
) -> None:
    near = of(own_valkey_sentinels, local_cache=3600, timeout=SOON)
    writer = of(own_valkey_sentinels, timeout=SOON)
    in_the_end(lambda: writer.create(KEY, record))
    in_the_end(lambda: until(lambda: is_near(near)))
    own_valkey_sentinels.primary.stop()
    in_the_end(lambda: writer.replace(KEY, record))
    in_the_end(lambda: until(lambda: is_near(near)))

    in_the_end(lambda: writer.delete(KEY))

    until(lambda: in_the_end(lambda: near.load(KEY)) is None)
    near.close()
    writer.close()


def is_near(store: RedisStore) -> bool:
    """Whether the record is served from memory."""
    store.load(KEY)
    assert store._listener is not None
    return store._listener.cache.find(KEY) is not None
