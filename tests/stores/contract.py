"""What every session store does, as a suite: inherit `StoreContract` and give it a store.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): ...                 # a new, or an emptied one, for each test

        def until(self, condition): ...      # let time pass until it holds; give what it gave

With a clock that a test turns, take `TurnedClock` along, and give its `clock` to the store.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw.sessions.record import ENDED, Record, asks_again, tombstone
from amplify_mw.stores.base import SessionStore
from tests.patience import PATIENCE

T = TypeVar("T")

KEY = hashlib.sha256(b"a session").digest()
OTHER = hashlib.sha256(b"another session").digest()
THIRD = hashlib.sha256(b"a third session").digest()
LONG = 3600.0  # seconds that no test waits for

ODD_TEXTS = {
    "empty": "",
    "accents": "Zo\u00eb \u0416\u4e2d",
    "astral": "\U0001f600",
    "nul": "a\x00b",
    "latin1 bytes": "\x80\xff",
    "lone surrogate": "a\ud800b",
    "escaped byte": "\udcff",
    "quotes": "'\";--\r\n\t{}:*?[]%_",
    "long": "x" * 5000,
}
ODD_VALUES = {
    "empty": b"",
    "nul": b"\x00",
    "every byte": bytes(range(256)),
    "large": os.urandom(100_000),
    "like text": b"'; DROP TABLE sessions; --\r\n",
}


def in_a_child(what: Callable[[], object]) -> bool:
    """Whether `what` came true in a forked child, which ends at once."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            signal.alarm(int(PATIENCE))  # a child that hangs
            status = 0 if what() else 1
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def at_once(count: int, what: Callable[[int], T]) -> list[T]:
    """What `what` gave on each of so many threads, started together."""
    barrier = Barrier(count)

    def run(number: int) -> T:
        barrier.wait(PATIENCE)
        return what(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


class TurnedClock:
    """A mixin for stores that are given a clock."""

    time = 1_800_000_000.0
    turnable = True

    def clock(self) -> float:
        return self.time

    now = clock

    def until(self, condition: Callable[[], T]) -> T:
        for _ in range(20):
            if came := condition():
                return came
            self.time += self.brief / 4  # type: ignore[attr-defined]
        raise AssertionError("it never came true")


class StoreContract:
    """The suite. See the module."""

    brief = 0.3  # seconds that are soon over
    turnable = False  # whether `time` can be set

    @pytest.fixture
    def store(self) -> Iterator[SessionStore]:
        raise NotImplementedError

    def now(self) -> float:
        """What time it is, by the store's clock."""
        raise NotImplementedError

    def until(self, condition: Callable[[], T]) -> T:
        """Let time pass until `condition()` is true, and give what it gave; fail after a while."""
        raise NotImplementedError

    def record(self, **changes: Any) -> Record:
        """A record that lives long, and has nothing left to its default."""
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
        """A record that `store` has under `key`."""
        record = self.record(**changes)
        assert store.create(key, record)
        return record

    def brief_life(self) -> dict[str, float]:
        return {"expires_at": self.now() + self.brief}

    def expired(self, store: SessionStore, key: bytes = KEY) -> None:
        """Let `store` have a record under `key` that has expired."""
        self.kept(store, key, **self.brief_life())
        self.until(lambda: store.load(key) is None)

    # What is found

    def test_what_was_created_is_found(self, store: SessionStore) -> None:
        record = self.kept(store)

        assert store.load(KEY) == record

    def test_a_record_with_defaults_alone_is_found(self, store: SessionStore) -> None:
        record = Record(value=b"v", version=0, expires_at=self.now() + LONG)

        assert store.create(KEY, record)
        assert store.load(KEY) == record

    @pytest.mark.parametrize("version", [0, 1, 2**31, 2**32, ENDED - 1, ENDED])
    def test_every_version_is_kept_exactly(self, store: SessionStore, version: int) -> None:
        self.kept(store, version=version)

        found = store.load(KEY)

        assert found is not None
        assert found.version == version

    @pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
    def test_any_value_is_kept_exactly(self, store: SessionStore, value: bytes) -> None:
        record = self.kept(store, value=value)

        assert store.load(KEY) == record

    @pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
    @pytest.mark.parametrize("member", ["user", "handle", "user_agent"])
    def test_any_text_is_kept_exactly(self, store: SessionStore, member: str, text: str) -> None:
        record = self.kept(store, **{member: text})

        assert store.load(KEY) == record
        assert store.delete(KEY)

    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS.values() if text])
    def test_a_user_of_any_name_is_found(self, store: SessionStore, text: str) -> None:
        record = self.kept(store, user=text)

        assert store.of_user(text) == [(KEY, record)]

    @pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, b"\n" * 32, b"%:*{}\\'\"" * 4])
    def test_any_key_is_told_from_others(self, store: SessionStore, key: bytes) -> None:
        record = self.kept(store, key, handle="h-2")
        self.kept(store, OTHER)

        assert store.load(key) == record

    def test_what_was_never_there_is_not_found(self, store: SessionStore) -> None:
        self.kept(store, OTHER)

        assert store.load(KEY) is None

    @pytest.mark.parametrize("key", [b"", b"k", KEY[:-1], KEY + b"\x00", b"x" * 10_000])
    def test_a_malformed_key_is_not_found(self, store: SessionStore, key: bytes) -> None:
        self.kept(store)

        assert store.load(key) is None
        assert not store.delete(key)
        assert not store.replace(key, self.record())
        assert store.acquire(key, LONG) is None

    def test_what_has_expired_is_not_found(self, store: SessionStore) -> None:
        record = self.kept(store, **self.brief_life())

        self.until(lambda: store.load(KEY) is None)

        assert self.now() >= record.expires_at - 0.05  # a store's clock may be a little ahead

    @pytest.mark.parametrize("age", [0.0, 1.0, 10.0**9])
    def test_what_comes_expired_is_never_found(self, store: SessionStore, age: float) -> None:
        store.create(KEY, self.record(expires_at=self.now() - age))

        self.until(lambda: store.load(KEY) is None)
        assert store.of_user("ada") == []

    # Creating

    def test_a_key_is_taken_once(self, store: SessionStore) -> None:
        first = self.kept(store)

        assert not store.create(KEY, self.record(version=9, handle="h-2"))
        assert store.load(KEY) == first

    def test_a_key_of_an_expired_record_is_free(self, store: SessionStore) -> None:
        self.expired(store)

        assert store.create(KEY, self.record(handle="h-2"))
        assert [found.handle for _, found in store.of_user("ada")] == ["h-2"]

    def test_a_key_of_a_deleted_record_is_free(self, store: SessionStore) -> None:
        self.kept(store)
        store.delete(KEY)

        assert store.create(KEY, self.record())

    # Replacing

    @pytest.mark.parametrize("version", [3, 4, 10_000, ENDED])
    def test_a_version_that_is_not_lower_replaces(self, store: SessionStore, version: int) -> None:
        self.kept(store, version=3)
        new = self.record(version=version, value=b"new")

        assert store.replace(KEY, new)
        assert store.load(KEY) == new

    @pytest.mark.parametrize(("old", "new"), [(3, 2), (3, 0), (10, 9), (ENDED, ENDED - 1)])
    def test_a_lower_version_never_replaces(self, store: SessionStore, old: int, new: int) -> None:
        there = self.kept(store, version=old)

        assert not store.replace(KEY, self.record(version=new, value=b"older"))
        assert store.load(KEY) == there

    def test_a_session_that_has_ended_stays_so(self, store: SessionStore) -> None:
        self.kept(store, version=7)
        ended = self.record(version=ENDED, value=b"")
        store.replace(KEY, ended)

        assert not store.replace(KEY, self.record(version=8))
        assert not store.create(KEY, self.record(version=8))
        assert store.load(KEY) == ended

    def test_what_is_left_of_a_session_says_how_it_ended_and_is_nobodys(
        self, store: SessionStore
    ) -> None:
        there = self.kept(store)
        ended = tombstone(there.expires_at, asks_again=True)

        assert store.delete(KEY)
        assert store.create(KEY, ended)

        assert store.load(KEY) == ended
        assert asks_again(store.load(KEY))
        assert store.of_user(there.user) == []
        assert store.acquire(KEY, LONG) is None
        assert not store.replace(KEY, there)
        assert not store.create(KEY, there)
        assert store.load(KEY) == ended

    def test_what_is_not_there_is_not_replaced(self, store: SessionStore) -> None:
        assert not store.replace(KEY, self.record())
        assert store.load(KEY) is None

    def test_what_has_expired_is_not_replaced(self, store: SessionStore) -> None:
        self.expired(store)

        assert not store.replace(KEY, self.record(version=9))
        assert store.load(KEY) is None
        assert store.of_user("ada") == []

    def test_what_was_deleted_does_not_come_back(self, store: SessionStore) -> None:
        self.kept(store)
        store.delete(KEY)

        assert not store.replace(KEY, self.record(version=9))
        assert store.load(KEY) is None
        assert store.of_user("ada") == []

    def test_a_replacement_brings_its_own_lifetime(self, store: SessionStore) -> None:
        self.kept(store, **self.brief_life())
        new = self.record()
        store.replace(KEY, new)
        self.expired(store, OTHER)  # which was to live as long as the first

        assert store.load(KEY) == new

    def test_a_replacement_may_live_shorter(self, store: SessionStore) -> None:
        self.kept(store)

        store.replace(KEY, self.record(**self.brief_life()))

        self.until(lambda: store.load(KEY) is None)
        assert store.of_user("ada") == []

    def test_a_replacement_may_be_another_users(self, store: SessionStore) -> None:
        self.kept(store)
        new = self.record(user="bob")

        store.replace(KEY, new)

        assert store.of_user("ada") == []
        assert store.of_user("bob") == [(KEY, new)]

    # Deleting

    def test_what_was_deleted_is_not_found(self, store: SessionStore) -> None:
        self.kept(store)

        assert store.delete(KEY)
        assert store.load(KEY) is None

    def test_what_is_not_there_is_not_deleted(self, store: SessionStore) -> None:
        self.kept(store)
        store.delete(KEY)

        assert not store.delete(KEY)
        assert not store.delete(OTHER)

    def test_what_has_expired_is_not_deleted(self, store: SessionStore) -> None:
        self.expired(store)

        assert not store.delete(KEY)

    def test_others_stay_when_one_is_deleted(self, store: SessionStore) -> None:
        self.kept(store)
        other = self.kept(store, OTHER)

        store.delete(KEY)

        assert store.of_user("ada") == [(OTHER, other)]

    # A user's

    def test_a_users_are_listed_the_last_seen_first(self, store: SessionStore) -> None:
        for key, seen_at in ((KEY, 20.0), (OTHER, 30.5), (THIRD, 10.0)):
            self.kept(store, key, seen_at=seen_at)

        assert [key for key, _ in store.of_user("ada")] == [OTHER, KEY, THIRD]

    def test_being_seen_again_changes_the_order(self, store: SessionStore) -> None:
        self.kept(store, KEY, seen_at=20.0)
        self.kept(store, OTHER, seen_at=30.0)

        store.replace(KEY, self.record(seen_at=40.0))

        assert [key for key, _ in store.of_user("ada")] == [KEY, OTHER]

    @pytest.mark.parametrize("other", ["bob", "", "ad", "adaa", "ADA", "ada ", "a*", "%"])
    def test_users_see_none_but_their_own(self, store: SessionStore, other: str) -> None:
        self.kept(store, OTHER, user="ada")
        self.kept(store, KEY, user=other)

        assert [key for key, _ in store.of_user("ada")] == [OTHER]

    def test_nobodys_are_not_listed(self, store: SessionStore) -> None:
        self.kept(store, user="")

        assert store.of_user("") == []

    def test_a_user_without_sessions_has_none(self, store: SessionStore) -> None:
        assert store.of_user("ada") == []

    def test_a_users_expired_ones_are_left_out(self, store: SessionStore) -> None:
        there = self.kept(store, OTHER)
        self.expired(store)

        assert store.of_user("ada") == [(OTHER, there)]

    def test_a_user_may_have_many(self, store: SessionStore) -> None:
        keys = [hashlib.sha256(bytes([number])).digest() for number in range(150)]
        for number, key in enumerate(keys):
            self.kept(store, key, seen_at=float(number))

        assert [key for key, _ in store.of_user("ada")] == keys[::-1]

    # Leases

    def test_a_lease_has_one_holder(self, store: SessionStore) -> None:
        self.kept(store)

        assert store.acquire(KEY, LONG) is not None
        assert store.acquire(KEY, LONG) is None

    def test_each_record_has_a_lease_of_its_own(self, store: SessionStore) -> None:
        self.kept(store)
        self.kept(store, OTHER)
        store.acquire(KEY, LONG)

        assert store.acquire(OTHER, LONG) is not None

    def test_there_is_no_lease_on_what_is_not_there(self, store: SessionStore) -> None:
        assert store.acquire(KEY, LONG) is None

    def test_there_is_no_lease_on_what_has_expired(self, store: SessionStore) -> None:
        self.expired(store)

        assert store.acquire(KEY, LONG) is None

    def test_there_is_no_lease_on_what_was_deleted(self, store: SessionStore) -> None:
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        store.delete(KEY)

        assert fence is not None
        assert store.acquire(KEY, LONG) is None
        assert not store.renew(KEY, fence, LONG)
        store.release(KEY, fence)

    def test_there_is_no_lease_on_a_session_that_has_ended(self, store: SessionStore) -> None:
        self.kept(store, version=ENDED)  # no fence is higher than that

        assert store.acquire(KEY, LONG) is None

    def test_a_new_record_is_not_held_by_the_holder_of_a_deleted_one(
        self, store: SessionStore
    ) -> None:
        self.kept(store)
        store.acquire(KEY, LONG)
        store.delete(KEY)
        self.kept(store)

        assert store.acquire(KEY, LONG) is not None

    def test_a_lease_runs_out(self, store: SessionStore) -> None:
        self.kept(store)
        first = store.acquire(KEY, self.brief)

        second = self.until(lambda: store.acquire(KEY, LONG))

        assert first is not None
        assert second > first

    def test_a_lease_that_ran_out_is_not_renewed(self, store: SessionStore) -> None:
        self.kept(store)
        self.kept(store, OTHER)
        fence = store.acquire(KEY, self.brief)
        store.acquire(OTHER, self.brief)
        self.until(lambda: store.acquire(OTHER, LONG))  # the later one has run out

        assert fence is not None
        assert not store.renew(KEY, fence, LONG)
        assert store.acquire(KEY, LONG) is not None

    def test_a_lease_is_renewed_by_its_holder(self, store: SessionStore) -> None:
        self.kept(store)
        self.kept(store, OTHER)
        fence = store.acquire(KEY, self.brief)
        assert fence is not None
        assert store.renew(KEY, fence, LONG)
        store.acquire(OTHER, self.brief)

        self.until(lambda: store.acquire(OTHER, LONG))

        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, fence, LONG)

    def test_a_lease_from_before_the_clock_was_set_back_is_held_by_nobody(
        self, store: SessionStore
    ) -> None:
        if not self.turnable:
            pytest.skip("nobody sets this store's clock")
        self.kept(store)
        first = store.acquire(KEY, 10)
        assert first is not None
        self.time -= 3600  # type: ignore[attr-defined]

        second = store.acquire(KEY, 10)

        assert second is not None
        assert second > first
        assert store.acquire(KEY, 10) is None
        assert not store.renew(KEY, first, 10)

    def test_a_lease_from_before_the_clock_was_set_ahead_has_run_out(
        self, store: SessionStore
    ) -> None:
        if not self.turnable:
            pytest.skip("nobody sets this store's clock")
        self.kept(store, expires_at=self.now() + 2 * LONG)
        first = store.acquire(KEY, 10)
        self.time += 3600  # type: ignore[attr-defined]

        second = store.acquire(KEY, 10)

        assert first is not None
        assert second is not None
        assert second > first

    def test_a_lease_may_be_cut_short(self, store: SessionStore) -> None:
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        assert store.renew(KEY, fence, self.brief)

        assert self.until(lambda: store.acquire(KEY, LONG)) > fence

    @pytest.mark.parametrize("off", [-1, 1, 1000])
    def test_nobody_else_renews_a_lease(self, store: SessionStore, off: int) -> None:
        self.kept(store)
        fence = store.acquire(KEY, LONG)

        assert fence is not None
        assert not store.renew(KEY, fence + off, LONG)

    @pytest.mark.parametrize("off", [-1, 1, 1000])
    def test_nobody_else_releases_a_lease(self, store: SessionStore, off: int) -> None:
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.release(KEY, fence + off)

        assert store.acquire(KEY, LONG) is None

    def test_a_lease_that_was_released_is_free(self, store: SessionStore) -> None:
        self.kept(store)
        first = store.acquire(KEY, LONG)
        assert first is not None

        store.release(KEY, first)

        assert not store.renew(KEY, first, LONG)
        second = store.acquire(KEY, LONG)
        assert second is not None
        assert second > first

    def test_a_former_holder_does_not_release_anothers(self, store: SessionStore) -> None:
        self.kept(store)
        first = store.acquire(KEY, LONG)
        assert first is not None
        store.release(KEY, first)
        second = store.acquire(KEY, LONG)
        assert second is not None

        store.release(KEY, first)

        assert not store.renew(KEY, first, LONG)
        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, second, LONG)

    def test_an_unleased_record_has_nothing_to_renew_or_release(self, store: SessionStore) -> None:
        record = self.kept(store)

        store.release(KEY, 0)
        store.release(OTHER, 0)

        assert not store.renew(KEY, 0, LONG)
        assert not store.renew(OTHER, 0, LONG)
        assert store.load(KEY) == record

    def test_a_lease_hinders_no_write(self, store: SessionStore) -> None:
        self.kept(store)
        store.acquire(KEY, LONG)
        ended = self.record(version=ENDED)

        assert store.replace(KEY, ended)
        assert store.load(KEY) == ended

    def test_a_write_ends_no_lease(self, store: SessionStore) -> None:
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.replace(KEY, self.record(version=fence))

        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, fence, LONG)

    def test_a_lease_does_not_lengthen_a_life(self, store: SessionStore) -> None:
        self.kept(store, **self.brief_life())
        fence = store.acquire(KEY, LONG)

        self.until(lambda: store.load(KEY) is None)

        assert fence is not None
        assert not store.renew(KEY, fence, LONG)

    @pytest.mark.parametrize("version", [0, 3, 2**40])
    def test_a_fence_is_higher_than_the_records_version(
        self, store: SessionStore, version: int
    ) -> None:
        self.kept(store, version=version)

        fence = store.acquire(KEY, LONG)

        assert fence is not None
        assert fence > version

    def test_fences_rise_over_releases_and_writes(self, store: SessionStore) -> None:
        self.kept(store, version=3)
        fences = []
        for written in (0, 4, 0, 2**40, 0, 0):  # 0 writes nothing: it is lower than what is there
            fence = store.acquire(KEY, LONG)
            assert fence is not None
            fences.append(fence)
            store.replace(KEY, self.record(version=written))
            store.release(KEY, fence)

        assert fences == sorted(set(fences))
        assert fences[4] > 2**40

    def test_what_a_holder_writes_is_newer_than_what_a_former_one_does(
        self, store: SessionStore
    ) -> None:
        self.kept(store)
        slow = store.acquire(KEY, self.brief)
        assert slow is not None
        quick = self.until(lambda: store.acquire(KEY, LONG))
        assert quick is not None
        new = self.record(version=quick, value=b"quick")

        assert store.replace(KEY, new)
        assert not store.replace(KEY, self.record(version=slow, value=b"slow"))
        assert store.load(KEY) == new

    # Many at once

    def test_of_many_that_create_at_once_one_does(self, store: SessionStore) -> None:
        records = [self.record(handle=f"h-{number}") for number in range(8)]

        created = at_once(8, lambda number: store.create(KEY, records[number]))

        assert created.count(True) == 1
        assert store.load(KEY) == records[created.index(True)]

    def test_of_many_that_acquire_at_once_one_does(self, store: SessionStore) -> None:
        self.kept(store)

        fences = at_once(8, lambda _: store.acquire(KEY, LONG))

        assert fences.count(None) == 7

    def test_of_many_that_delete_at_once_one_does(self, store: SessionStore) -> None:
        self.kept(store)

        assert at_once(8, lambda _: store.delete(KEY)).count(True) == 1

    def test_of_many_versions_written_at_once_the_highest_stays(self, store: SessionStore) -> None:
        self.kept(store, version=0)

        at_once(8, lambda number: store.replace(KEY, self.record(version=number + 1)))

        found = store.load(KEY)
        assert found is not None
        assert found.version == 8

    def test_a_lease_passes_from_thread_to_thread(self, store: SessionStore) -> None:
        self.kept(store)
        fences: list[int] = []

        def take_turns(_: int) -> None:
            taken = 0
            while taken < 5:
                if (fence := store.acquire(KEY, LONG)) is not None:
                    fences.append(fence)  # before it is released, so that the order tells
                    store.release(KEY, fence)
                    taken += 1

        at_once(4, take_turns)

        assert fences == sorted(set(fences))
        assert len(fences) == 20

    # Awaited

    async def walk(self, store: SessionStore, key: bytes) -> None:
        """Every method, awaited."""
        record = self.record(user=key.hex())
        assert await store.ask("load", (key,)) is None
        assert await store.ask("create", (key, record)) is True
        assert await store.ask("create", (key, record)) is False
        assert await store.ask("load", (key,)) == record
        fence = await store.ask("acquire", (key, LONG))
        assert await store.ask("acquire", (key, LONG)) is None
        assert await store.ask("renew", (key, fence, LONG)) is True
        new = replace(record, version=fence)
        assert await store.ask("replace", (key, new)) is True
        assert await store.ask("replace", (key, record)) is False
        assert await store.ask("release", (key, fence)) is None
        assert await store.ask("of_user", (key.hex(),)) == [(key, new)]
        assert await store.ask("delete", (key,)) is True
        assert await store.ask("delete", (key,)) is False

    def test_every_method_is_awaited(self, store: SessionStore) -> None:
        asyncio.run(self.walk(store, KEY))

        assert store.load(KEY) is None

    def test_event_loops_may_come_after_one_another(self, store: SessionStore) -> None:
        asyncio.run(self.walk(store, KEY))
        asyncio.run(self.walk(store, KEY))

        assert store.create(KEY, self.record())

    def test_event_loops_may_run_side_by_side(self, store: SessionStore) -> None:
        def loop(number: int) -> bool:
            asyncio.run(self.walk(store, hashlib.sha256(bytes([number])).digest()))
            return True

        assert at_once(3, loop) == [True] * 3

    def test_tasks_may_ask_at_once(self, store: SessionStore) -> None:
        async def ask() -> list[Any]:
            asked = (store.ask("create", (KEY, self.record())) for _ in range(10))
            return await asyncio.gather(*asked)

        assert asyncio.run(ask()).count(True) == 1

    def test_a_waiter_that_is_cancelled_spoils_nothing(self, store: SessionStore) -> None:
        record = self.kept(store)

        async def give_up() -> Any:
            tasks = [asyncio.create_task(store.ask("load", (KEY,))) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return await store.ask("load", (KEY,))

        assert asyncio.run(give_up()) == record

    # Forks

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_store_that_was_never_used_may_be_forked(self, store: SessionStore) -> None:
        def use() -> bool:
            record = self.kept(store)
            return store.load(KEY) == record and store.delete(KEY)

        assert in_a_child(use)
        assert use()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_store_that_was_used_may_be_forked(self, store: SessionStore) -> None:
        record = self.kept(store)
        asyncio.run(store.ask("load", (KEY,)))

        def use() -> bool:
            loaded = asyncio.run(store.ask("load", (KEY,)))
            made = asyncio.run(store.ask("create", (OTHER, record)))
            return loaded == record and made and store.delete(OTHER)

        assert in_a_child(use)
        assert use()
        assert in_a_child(use)
        assert store.load(KEY) == record

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_child_that_ends_takes_nothing_along(self, store: SessionStore) -> None:
        record = self.kept(store)

        def use_and_close() -> bool:
            found = store.load(KEY) == record
            store.close()
            return found

        assert in_a_child(use_and_close)
        assert store.load(KEY) == record
        assert store.replace(KEY, record)

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_fork_amid_other_threads_work_blocks_nobody(self, store: SessionStore) -> None:
        self.kept(store)
        over: list[bool] = []

        def work() -> bool:
            while not over:
                store.replace(KEY, self.record())
                store.load(KEY)
            return True

        with ThreadPoolExecutor(2) as threads:
            working = [threads.submit(work) for _ in range(2)]
            children = [in_a_child(lambda: store.load(KEY) and store.replace(KEY, self.record()))]
            children += [in_a_child(lambda: store.load(KEY)) for _ in range(4)]
            over.append(True)

        assert children == [True] * 5
        assert [done.result() for done in working] == [True] * 2

    # Closing

    def test_a_closed_store_opens_anew(self, store: SessionStore) -> None:
        store.close()
        store.close()

        record = self.kept(store)
        assert store.load(KEY) == record

    def test_closing_amid_work_spoils_none(self, store: SessionStore) -> None:
        record = self.kept(store)

        def work(number: int) -> bool:
            if number == 0:
                for _ in range(10):
                    store.close()
            return all(store.load(KEY) and store.replace(KEY, record) for _ in range(10))

        assert at_once(4, work) == [True] * 4

    # Secrets

    def test_no_repr_shows_what_is_kept(self, store: SessionStore) -> None:
        self.kept(store, value=b"a-secret-value", user="a-secret-user")

        shown = f"{store!r} {store} {store.load(KEY)!r}"

        assert "a-secret-value" not in shown
        assert "a-secret-user" not in f"{store!r} {store}"
        assert KEY.hex() not in shown
        assert repr(KEY) not in shown

    # All together

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(data=st.data())
    def test_a_store_does_what_a_dict_would(self, store: SessionStore, data: st.DataObject) -> None:
        salt = os.urandom(8)
        names = [name + salt.hex() for name in ("ada", "bob")]
        keys = [hashlib.sha256(salt + bytes([number])).digest() for number in range(3)]
        model = Model(self.now)
        steps = data.draw(st.lists(st.sampled_from(STEPS), max_size=25), label="steps")
        for step in steps:
            if step == "wait":
                if self.turnable:
                    self.time: float = self.now() + data.draw(st.sampled_from([1.0, 50.0, 500.0]))
                continue
            if step == "of_user":
                arguments: tuple[Any, ...] = (data.draw(st.sampled_from(names)),)
            else:
                key = data.draw(st.sampled_from(keys))
                arguments = (key, *self.drawn(step, data, names, model.fence(key)))
            asked = getattr(store, step)(*arguments)
            assert model.agrees(step, arguments, asked), (step, arguments[1:], asked)

    def drawn(
        self, step: str, data: st.DataObject, names: list[str], fence: int
    ) -> tuple[Any, ...]:
        """The further arguments of a step."""
        seconds = st.sampled_from([100.0, LONG])
        if step in ("create", "replace"):
            near = st.sampled_from([fence - 1, fence, fence + 1])  # drawn by their place
            versions = st.integers(0, 6) | st.just(ENDED) | near
            return (
                self.record(
                    value=data.draw(st.binary(max_size=20)),
                    version=max(0, data.draw(versions)),
                    user=data.draw(st.sampled_from([*names, ""])),
                    seen_at=float(data.draw(st.integers(0, 10**9))),
                    expires_at=self.now() + data.draw(seconds),
                ),
            )
        if step == "acquire":
            return (data.draw(seconds),)
        if step in ("renew", "release"):
            guess = data.draw(st.sampled_from([fence, fence, fence - 1, fence + 1]))
            return (guess, data.draw(seconds)) if step == "renew" else (guess,)
        return ()


STEPS = ["load", "create", "replace", "delete", "of_user", "acquire", "renew", "release", "wait"]


class Model:
    """What a store is, put as plainly as can be."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.records: dict[bytes, Record] = {}
        self.leases: dict[bytes, tuple[int, float]] = {}

    def agrees(self, step: str, arguments: tuple[Any, ...], answer: Any) -> bool:
        """Whether a store that is asked this may answer so."""
        for key in [key for key, held in self.records.items() if held.expires_at <= self.now()]:
            self.forget(key)
        if step == "acquire":
            return self.acquired(arguments[0], arguments[1], answer)
        if step == "of_user":
            return self.listed(arguments[0], answer)
        expected = getattr(self, step)(*arguments)
        return answer == expected and type(answer) is type(expected)

    def forget(self, key: bytes) -> None:
        del self.records[key]
        self.leases.pop(key, None)

    def fence(self, key: bytes) -> int:
        return self.leases.get(key, (1, 0.0))[0]

    def holds(self, key: bytes) -> bool:
        return self.leases.get(key, (0, 0.0))[1] > self.now()

    def load(self, key: bytes) -> Record | None:
        return self.records.get(key)

    def create(self, key: bytes, record: Record) -> bool:
        return self.records.setdefault(key, record) is record

    def replace(self, key: bytes, record: Record) -> bool:
        if key not in self.records or self.records[key].version > record.version:
            return False
        self.records[key] = record
        return True

    def delete(self, key: bytes) -> bool:
        if key not in self.records:
            return False
        self.forget(key)
        return True

    def listed(self, user: str, answer: list[tuple[bytes, Record]]) -> bool:
        own = {key: held for key, held in self.records.items() if held.user == user}
        seen = [held.seen_at for _, held in answer]
        return dict(answer) == own and seen == sorted(seen, reverse=True)

    def acquired(self, key: bytes, seconds: float, fence: int | None) -> bool:
        record = self.records.get(key)
        last = self.leases.get(key, (0, 0.0))[0]
        if record is None or self.holds(key) or record.version == ENDED:
            return fence is None
        if fence is None or fence <= last or fence <= record.version:
            return False
        self.leases[key] = (fence, self.now() + seconds)
        return True

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        if not self.holds(key) or self.leases[key][0] != fence:
            return False
        self.leases[key] = (fence, self.now() + seconds)
        return True

    def release(self, key: bytes, fence: int) -> None:
        if self.holds(key) and self.leases[key][0] == fence:
            self.leases[key] = (fence, 0.0)
