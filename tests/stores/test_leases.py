"""Leases of the stores of one machine, when its wall clock is set while one is held."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.sqlite.store import SQLiteStore

KEY = b"k" * 32
STORES: dict[str, Callable[[Path], Any]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "sessions.db"),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = STORES[request.param](tmp_path)
    assert made.create(KEY, Record(b"sealed", 0, time.time() + 86_400))
    yield made
    made.close()


@pytest.mark.parametrize("jump", [-3600, -60, 60, 3600])
def test_a_lease_is_held_whatever_the_wall_clock_is_set_to(store: Any, jump: float) -> None:
    fence = store.acquire(KEY, 300)
    store._clock = lambda: time.time() + jump

    assert store.acquire(KEY, 300) is None
    assert store.renew(KEY, fence, 300)
    store.release(KEY, fence)
    assert store.acquire(KEY, 300) == fence + 1


def test_a_lease_from_before_the_machine_was_started_anew_is_held_by_nobody(store: Any) -> None:
    store._lease_clock = lambda: time.monotonic() + 1e6
    first = store.acquire(KEY, 300)
    store._lease_clock = time.monotonic  # which begins at 0

    assert store.acquire(KEY, 300) == first + 1
