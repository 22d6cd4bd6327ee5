"""`MemoryStore`: the contract, and its bounds."""

import hashlib

import pytest

from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing.store_contract import KEY, LONG, OTHER, THIRD, StoreContract


class TestMemoryStore(StoreContract):
    is_shared = False

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(clock=self.clock)

    @pytest.fixture
    def small(self) -> MemoryStore:
        """A store that holds two sessions."""
        return MemoryStore(max_sessions=2, clock=self.clock)

    def test_beyond_the_bound_the_one_written_longest_ago_goes(self, small: MemoryStore) -> None:
        for key in (KEY, OTHER):
            self.kept(small, key)
        small.replace(KEY, self.record())

        self.kept(small, THIRD)

        assert small.load(OTHER) is None
        assert {key for key, _ in small.of_user("ada")} == {KEY, THIRD}

    def test_what_has_expired_goes_before_what_has_not(self, small: MemoryStore) -> None:
        self.kept(small, KEY)
        self.expired(small, OTHER)

        self.kept(small, THIRD)

        assert small.load(KEY) is not None
        assert small.load(THIRD) is not None

    def test_what_has_expired_takes_no_memory_after_the_next_write(
        self, store: MemoryStore
    ) -> None:
        for number in range(50):
            self.kept(store, hashlib.sha256(bytes([number])).digest(), expires_at=self.soon())
        self.time += self.brief

        self.kept(store)

        assert repr(store) == "<MemoryStore with 1 sessions>"

    def test_writing_one_session_over_and_over_takes_no_memory(self, store: MemoryStore) -> None:
        self.kept(store)
        for number in range(1000):
            store.replace(KEY, self.record(expires_at=self.time + LONG + number))

        assert len(store._expiring) < 200

    def test_a_session_that_was_made_to_live_longer_outlives_its_first_end(
        self, store: MemoryStore
    ) -> None:
        self.kept(store, expires_at=self.soon())
        store.replace(KEY, self.record())
        self.time += self.brief

        self.kept(store, OTHER)  # which drops what has expired

        assert store.load(KEY) is not None
        assert len(store.of_user("ada")) == 2

    def test_two_stores_share_nothing(self, store: MemoryStore, small: MemoryStore) -> None:
        self.kept(store)

        assert small.load(KEY) is None
