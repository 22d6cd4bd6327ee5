"""The contract suite: it needs little, catches breaches, and skips what a store cannot do."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import SessionStore
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing.store_contract import KEY, OTHER, StoreContract


class DefaultStore(SessionStore):
    """Has the abstract methods alone; all steps are the defaults."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._kept = MemoryStore(clock=clock)

    def load(self, key: bytes) -> Record | None:
        return self._kept.load(key)

    def create(self, key: bytes, record: Record) -> bool:
        return self._kept.create(key, record)

    def replace(self, key: bytes, record: Record) -> bool:
        return self._kept.replace(key, record)

    def delete(self, key: bytes) -> bool:
        return self._kept.delete(key)

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        return self._kept.of_user(user)

    def acquire(self, key: bytes, seconds: float) -> int | None:
        return self._kept.acquire(key, seconds)

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        return self._kept.renew(key, fence, seconds)

    def release(self, key: bytes, fence: int) -> None:
        self._kept.release(key, fence)


class TestDefaults(StoreContract):
    """A store that was written without the steps keeps the contract."""

    is_shared = False

    def make_store(self) -> DefaultStore:
        return DefaultStore(self.clock)


class LeastStore(MemoryStore):
    """Keeps records, and has neither leases nor lists."""

    def acquire(self, key: bytes, seconds: float) -> int | None:
        record = self.load(key)
        return record.version + 1 if record else 1

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        return True

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        return []


class TestLeastStore(StoreContract):
    """Every option that there is."""

    turns_clock = False
    has_leases = False
    has_lists = False
    forks = False
    is_shared = False
    brief = 0.01

    def make_store(self) -> LeastStore:
        return LeastStore()


class Overwriting(MemoryStore):
    def create(self, key: bytes, record: Record) -> bool:
        self.delete(key)
        return super().create(key, record)


class Reviving(MemoryStore):
    def replace(self, key: bytes, record: Record) -> bool:
        return super().replace(key, record) or super().create(key, record)


class Undoing(MemoryStore):
    def replace(self, key: bytes, record: Record) -> bool:
        return super().delete(key) and super().create(key, record)


class Immortal(MemoryStore):
    def load(self, key: bytes) -> Record | None:
        entry = self._entries.get(key)
        return entry.record if entry else None


class Ordered(MemoryStore):
    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        return super().of_user(user)[::-1]


class Generous(MemoryStore):
    def acquire(self, key: bytes, seconds: float) -> int | None:
        record = self.load(key)
        return record.version + 1 if record else None


class Talkative(MemoryStore):
    def __repr__(self) -> str:
        return f"<{list(self._entries)}>"


Case = Callable[[Any, MemoryStore], object]
BREACHES: dict[type[MemoryStore], Case] = {
    Overwriting: StoreContract.test_a_key_is_taken_once,
    Reviving: StoreContract.test_what_was_deleted_does_not_come_back,
    Undoing: lambda suite, store: suite.test_a_lower_version_never_replaces(store, 3, 2),
    Immortal: StoreContract.test_what_has_expired_is_not_found,
    Ordered: StoreContract.test_a_users_are_listed_the_last_seen_first,
    Generous: StoreContract.test_a_lease_has_one_holder,
    Talkative: StoreContract.test_no_repr_shows_what_is_kept,
}


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_is_caught_by_its_case(kind: type[MemoryStore]) -> None:
    suite = StoreContract()
    BREACHES[kind](suite, MemoryStore(clock=suite.clock))
    with pytest.raises(AssertionError):
        BREACHES[kind](suite, kind(clock=suite.clock))


@pytest.mark.parametrize("kind", [kind for kind in BREACHES if kind not in (Talkative, Immortal)])
def test_a_breach_is_caught_by_a_walk(kind: type[MemoryStore]) -> None:
    suite = StoreContract()
    suite.test_a_store_does_what_a_dict_would(MemoryStore(clock=suite.clock))
    with pytest.raises(AssertionError, match="walk"):
        suite.test_a_store_does_what_a_dict_would(kind(clock=suite.clock))


def test_a_class_that_makes_no_store_is_told_what_to_write() -> None:
    with pytest.raises(NotImplementedError, match=r"^StoreContract: write make_store\(self\)"):
        StoreContract().make_store()


def test_cases_of_ones_own_have_the_helpers() -> None:
    suite = StoreContract()
    store = MemoryStore(clock=suite.clock)
    record = suite.kept(store, OTHER, user="bob")
    suite.expired(store, KEY)

    assert store.of_user("bob") == [(OTHER, record)]
    assert suite.now() == suite.time > StoreContract.time


def test_every_case_says_what_it_holds() -> None:
    cases = {name: getattr(StoreContract, name) for name in dir(StoreContract)}
    silent = [n for n, case in cases.items() if n.startswith("test_") and not case.__doc__]

    assert silent == []


def test_it_needs_pytest_and_nothing_of_these_tests() -> None:
    script = """
import sys
import amplify_mw.testing.store_contract
print(sorted({name.partition(".")[0] for name in sys.modules} & {"hypothesis", "tests", "redis"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
