"""What the stores' tests share: real servers, and a store on one that a test may break."""

import time
from collections.abc import Iterator

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, LONG
from tests.stores.redis_tools import Way
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
    store = RedisStore(own_valkey.url, timeout=2.0)
    yield store
    store.close()


@pytest.fixture
def record() -> Record:
    return Record(b"sealed", 3, time.time() + LONG, "ada", "h-1", 1.0, 2.0, "Firefox")


@pytest.fixture
def kept(store: RedisStore, record: Record) -> Record:
    """A record that the store has."""
    assert store.create(KEY, record)
    return record
