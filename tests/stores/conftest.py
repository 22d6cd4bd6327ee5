"""What the stores' tests share: real servers, and a store on one that a test may break."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.redis import listener
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, LONG
from tests.stores.redis_tools import IMPATIENT, Way
from tests.valkey import Valkey
from tests.valkey import own_valkey as own_valkey
from tests.valkey import redis_url as redis_url


@pytest.fixture(params=["blocking", "awaiting"])
def ask(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Asks a store, in one way or the other; the event loop stays the same."""
    if request.param == "blocking":
        yield Way(None)
        return
    with Way.awaiting() as way:
        yield way


@pytest.fixture
def store(own_valkey: Valkey) -> Iterator[RedisStore]:
    """A store on a server that a test may break."""
    store = RedisStore(own_valkey.url)
    yield store
    store.close()


@pytest.fixture
def impatient(own_valkey: Valkey) -> Iterator[RedisStore]:
    """A store that gives up a silent server soon, and a busy one as well: see `in_the_end`."""
    store = RedisStore(own_valkey.url, timeout=IMPATIENT)
    yield store
    store.close()


@pytest.fixture
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local caches look up from listening each second, though their stores wait for a minute."""
    hear = listener._hear

    def look_up(connection: Any, _: float, *others: Any) -> None:
        hear(connection, 1.0, *others)

    monkeypatch.setattr(listener, "_hear", look_up)


@pytest.fixture
def record() -> Record:
    return Record(b"sealed", 3, time.time() + LONG, "ada", "h-1", 1.0, 2.0, "Firefox")


@pytest.fixture
def kept(store: RedisStore, record: Record) -> Record:
    """A record that the store has."""
    assert store.create(KEY, record)
    return record
