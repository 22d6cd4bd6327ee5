"""The basis of all cases: the store, its clock, and the options of a test class.

Rules:
- Each case gets a new store from `make_store`, or from a `store` fixture of the test class.
- By default the suite turns the store's clock, and no case waits. A store without a `clock` needs
  `turns_clock = False`; then a few cases wait for parts of a second.
- An option of the class skips the cases a store cannot pass by its nature. They show as skipped.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar

import pytest

from ...sessions.record import Record
from ...stores.base import SessionStore

T = TypeVar("T")

KEY: Final = hashlib.sha256(b"a session").digest()
OTHER: Final = hashlib.sha256(b"another session").digest()
THIRD: Final = hashlib.sha256(b"a third session").digest()
LONG: Final = 3600.0  # seconds; no case waits for them
PATIENCE: Final = 120.0  # seconds until something counts as hung

leases: pytest.MarkDecorator = pytest.mark.usefixtures("with_leases")
lists: pytest.MarkDecorator = pytest.mark.usefixtures("with_lists")
turned_clock: pytest.MarkDecorator = pytest.mark.usefixtures("with_turned_clock")
shared: pytest.MarkDecorator = pytest.mark.usefixtures("with_forks", "with_sharing")
forked: pytest.MarkDecorator = pytest.mark.usefixtures("with_forks")


class Basis:
    """The options, and helpers for cases of your own."""

    turns_clock: bool = True
    """Whether the store is made with `clock=self.clock`. If False, it has the system's time."""

    has_leases: bool = True
    """Whether a lease has one holder at a time.

    Without leases, `acquire` returns a fence to everybody, and tokens may be refreshed twice.
    """

    has_lists: bool = True
    """Whether `of_user` finds sessions.

    Without lists, it returns `[]`: nobody can list their sessions, or end all of them.
    """

    forks: bool = hasattr(os, "fork")
    """Whether a process that uses the store may fork."""

    is_shared: bool = True
    """Whether processes share its records. If False, each has its own, as in memory."""

    brief: float = 0.3
    """Seconds that are soon over: raise it for a store on a slow or distant server."""

    time: float = 1_800_000_000.0
    """The time that `clock` says. Each case starts with this one."""

    def make_store(self) -> SessionStore:
        """Make a store without records. Every case calls it once."""
        raise NotImplementedError(
            f"{type(self).__name__}: write make_store(self), which returns a new, empty store"
        )

    @pytest.fixture
    def store(self) -> Iterator[SessionStore]:
        """The store of a case, closed afterwards. Override it instead of `make_store`."""
        store = self.make_store()
        yield store
        store.close()

    @pytest.fixture
    def with_leases(self) -> None:
        """Skip the case if the store has no leases."""
        if not self.has_leases:
            pytest.skip("this store has no leases")

    @pytest.fixture
    def with_lists(self) -> None:
        """Skip the case if the store has no lists."""
        if not self.has_lists:
            pytest.skip("this store has no lists")

    @pytest.fixture
    def with_turned_clock(self) -> None:
        """Skip the case if nobody can turn the store's clock."""
        if not self.turns_clock:
            pytest.skip("nobody sets this store's clock")

    @pytest.fixture
    def with_forks(self) -> None:
        """Skip the case if the store does not bear a fork."""
        if not self.forks:
            pytest.skip("this store is not for processes that fork")

    @pytest.fixture
    def with_sharing(self) -> None:
        """Skip the case if each process has records of its own."""
        if not self.is_shared:
            pytest.skip("each process has its own records in this store")

    def clock(self) -> float:
        """Seconds since the epoch, as the suite turns them."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Turn the clock; back, if `seconds` are negative."""
        self.time += seconds

    def now(self) -> float:
        """The time by the store's clock."""
        return self.time if self.turns_clock else time.time()

    def until(self, condition: Callable[[], T]) -> T:
        """Let time pass until `condition()` is true, and return its result; fail after a while."""
        deadline = time.monotonic() + PATIENCE
        end = self.time + 5 * self.brief
        while not (result := condition()):
            if self.turns_clock:
                assert self.time < end, "it never came true"
                self.advance(self.brief / 4)
            else:
                assert time.monotonic() < deadline, "it never came true"
                time.sleep(0.01)
        return result

    def record(self, **changes: Any) -> Record:
        """A record with a long life and no member left to its default."""
        made = Record(
            value=b"sealed",
            version=3,
            expires_at=self.now() + LONG,
            user="ada",
            handle="h-1",
            created_at=1_700_000_000.25,
            seen_at=1_700_000_100.5,
            user_agent="Firefox",
        )
        return replace(made, **changes)

    def kept(self, store: SessionStore, key: bytes = KEY, **changes: Any) -> Record:
        """A record, created in `store` under `key`."""
        record = self.record(**changes)
        assert store.create(key, record)
        return record

    def soon(self) -> float:
        """An `expires_at` in the near future."""
        return self.now() + self.brief

    def many(self, count: int) -> list[bytes]:
        """So many keys."""
        return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]

    def expired(self, store: SessionStore, key: bytes = KEY) -> None:
        """Create a record in `store` under `key`, and let it expire."""
        self.kept(store, key, expires_at=self.soon())
        self.until(lambda: store.load(key) is None)
