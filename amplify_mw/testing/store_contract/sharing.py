"""Sharing: threads, event loops, forked children, and `close` amid work.

Rules:
- Every change is atomic: of many at once, one wins, and the others know it.
- An event loop never ends up with another loop's connection, nor a child with its parent's.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier
from typing import Any, TypeVar

import pytest

from ...sessions.record import Record, asks_again
from ...stores.base import SessionStore
from .basis import KEY, LONG, OTHER, PATIENCE, Basis, forked, leases, lists, shared
from .steps import both_ways

T = TypeVar("T")
_quiet = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_a_child(act: Callable[[], object]) -> bool:
    """Whether `act` came true in a forked child, which ends at once."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            signal.alarm(int(PATIENCE))  # in case it hangs
            status = 0 if act() else 1
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    """The results of `act` on so many threads, started together."""
    barrier = Barrier(count)

    def run(number: int) -> T:
        barrier.wait(PATIENCE)
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


class Sharing(Basis):
    """The cases about sharing. A store not made for forks says `forks = False`."""

    # Threads

    def test_of_many_that_create_at_once_one_does(self, store: SessionStore) -> None:
        """Looking and writing are one step: one `create` returns True, and its record stays."""
        records = [self.record(handle=f"h-{number}") for number in range(8)]

        created = at_once(8, lambda number: store.create(KEY, records[number]))

        assert created.count(True) == 1
        assert store.load(KEY) == records[created.index(True)]

    @leases
    def test_of_many_that_acquire_at_once_one_does(self, store: SessionStore) -> None:
        """One thread gets the lease, the others None."""
        self.kept(store)

        fences = at_once(8, lambda _: store.acquire(KEY, LONG))

        assert fences.count(None) == 7

    def test_of_many_that_delete_at_once_one_does(self, store: SessionStore) -> None:
        """One `delete` returns True."""
        self.kept(store)

        assert at_once(8, lambda _: store.delete(KEY)).count(True) == 1

    def test_of_many_versions_written_at_once_the_highest_stays(self, store: SessionStore) -> None:
        """Comparing versions and writing are one step."""
        self.kept(store, version=0)

        at_once(8, lambda number: store.replace(KEY, self.record(version=number + 1)))

        found = store.load(KEY)
        assert found is not None
        assert found.version == 8

    @leases
    def test_a_lease_passes_from_thread_to_thread(self, store: SessionStore) -> None:
        """Fences rise in the order of the holders."""
        self.kept(store)
        fences: list[int] = []

        def take_turns(_: int) -> None:
            taken = 0
            while taken < 5:
                if (fence := store.acquire(KEY, LONG)) is not None:
                    fences.append(fence)  # before the release: their order counts
                    store.release(KEY, fence)
                    taken += 1

        at_once(4, take_turns)

        assert fences == sorted(set(fences))
        assert len(fences) == 20

    def _skip_the_default(self, store: SessionStore) -> None:
        """Skip the case if the store's `end` is that of `SessionStore`."""
        if type(store).end is SessionStore.end:
            pytest.skip("this store's `end` is the default, which is not one step")

    @both_ways
    def test_of_many_that_end_a_session_at_once_one_gets_its_record(
        self, store: SessionStore, again: bool
    ) -> None:
        """So its tokens are revoked once."""
        if again:
            self._skip_the_default(store)
        there = self.kept(store)

        ended = at_once(8, lambda _: store.end(KEY, again))

        assert ended.count(None) == 7
        assert there in ended
        assert asks_again(store.load(KEY)) is again

    @lists
    def test_of_many_that_end_all_sessions_at_once_one_gets_each(self, store: SessionStore) -> None:
        """Each session is ended, and its key returned, once."""
        self._skip_the_default(store)
        keys = self.many(20)
        for key in keys:
            self.kept(store, key)

        ended = at_once(8, lambda _: store.end_of_user("ada"))

        assert sorted(key for each in ended for key in each) == sorted(keys)
        assert all(asks_again(store.load(key)) for key in keys)

    @both_ways
    def test_no_write_outlives_an_end_at_the_same_moment(
        self, store: SessionStore, again: bool
    ) -> None:
        """Refreshes and requests write on while a session ends. None of them revives it."""
        self.kept(store, version=0)

        def act(number: int) -> object:
            if number == 0:
                return store.end(KEY, again)
            return [
                store.replace_and_release(KEY, self.record(version=number), number)
                for _ in range(10)
            ]

        assert at_once(6, act)[0] is not None
        assert asks_again(store.load(KEY)) is again
        assert store.of_user("ada") == []

    def test_no_thread_reloads_what_is_older_than_it_knows(self, store: SessionStore) -> None:
        """Whatever the others write: each reads on, and never back."""
        self.kept(store, version=0)
        records = [self.record(version=number, value=b"%d" % number) for number in range(1, 41)]

        def act(number: int) -> Record | None:
            known = store.load(KEY)
            for record in records:
                assert known is not None
                if number == 0:
                    store.replace(KEY, record)
                found = store.reload(KEY, known)
                assert found is not None
                assert found.version >= known.version
                assert found is known or found.value == b"%d" % found.version
                known = found
            return known

        known = at_once(4, act)

        assert [each and store.reload(KEY, each) for each in known] == [records[-1]] * 4

    @leases
    def test_of_many_that_acquire_and_load_at_once_one_gets_the_lease(
        self, store: SessionStore
    ) -> None:
        """The others get the record without it."""
        there = self.kept(store)

        taken = at_once(8, lambda _: store.acquire_and_load(KEY, LONG))

        assert [fence for fence, _ in taken].count(None) == 7
        assert [record for _, record in taken] == [there] * 8

    @leases
    def test_no_holder_misses_what_the_one_before_wrote(self, store: SessionStore) -> None:
        """Four threads count in one record. A stale record, or a second holder, would lose some."""
        self.kept(store, value=b"0")

        def count(_: int) -> None:
            counted = 0
            while counted < 5:
                fence, record = store.acquire_and_load(KEY, LONG)
                if fence is not None:
                    assert record is not None
                    new = replace(record, value=b"%d" % (int(record.value) + 1), version=fence)
                    assert store.replace_and_release(KEY, new, fence)
                    counted += 1

        at_once(4, count)

        found = store.load(KEY)
        assert found is not None
        assert found.value == b"20"

    # Event loops

    async def walk(self, store: SessionStore, key: bytes) -> None:
        """Await every method."""
        record = self.record(user=key.hex())
        assert await store.ask("load", (key,)) is None
        assert await store.ask("create", (key, record)) is True
        assert await store.ask("create", (key, record)) is False
        assert await store.ask("load", (key,)) == record
        assert await store.ask("reload", (key, record)) == record
        new = record
        if self.has_leases:
            fence = await store.ask("acquire", (key, LONG))
            assert await store.ask("acquire", (key, LONG)) is None
            assert await store.ask("renew", (key, fence, LONG)) is True
            new = replace(record, version=fence)
            assert await store.ask("replace", (key, new)) is True
            assert await store.ask("replace", (key, record)) is False
            assert await store.ask("release", (key, fence)) is None
            fence, loaded = await store.ask("acquire_and_load", (key, LONG))
            assert loaded == new
            new = replace(record, version=fence)
            assert await store.ask("replace_and_release", (key, new, fence)) is True
        if self.has_lists:
            assert await store.ask("of_user", (key.hex(),)) == [(key, new)]
        assert await store.ask("delete", (key,)) is True
        assert await store.ask("delete", (key,)) is False
        assert await store.ask("create", (key, record)) is True
        assert await store.ask("end", (key,)) == record
        assert await store.ask("end", (key,)) is None
        if self.has_lists:
            assert await store.ask("create", (key, record)) is True
            assert await store.ask("end_of_user", (key.hex(),)) == [key]
            assert await store.ask("end_of_user", (key.hex(),)) == []
            assert asks_again(await store.ask("reload", (key, record)))
            assert await store.ask("delete", (key,)) is True

    def test_every_method_is_awaited(self, store: SessionStore) -> None:
        """`ask` awaits each method by its name, with the same results."""
        asyncio.run(self.walk(store, KEY))

        assert store.load(KEY) is None

    def test_event_loops_may_come_after_one_another(self, store: SessionStore) -> None:
        """A second loop, and calls without any, work after the first loop has ended."""
        asyncio.run(self.walk(store, KEY))
        asyncio.run(self.walk(store, KEY))

        assert store.create(KEY, self.record())

    def test_event_loops_may_run_side_by_side(self, store: SessionStore) -> None:
        """Several threads run a loop each, on one store."""

        def loop(number: int) -> bool:
            asyncio.run(self.walk(store, hashlib.sha256(bytes([number])).digest()))
            return True

        assert at_once(3, loop) == [True] * 3

    def test_tasks_may_ask_at_once(self, store: SessionStore) -> None:
        """The tasks of one loop are as atomic as threads."""

        async def ask() -> list[Any]:
            asked = (store.ask("create", (KEY, self.record())) for _ in range(10))
            return await asyncio.gather(*asked)

        assert asyncio.run(ask()).count(True) == 1

    def test_tasks_may_end_a_session_at_once(self, store: SessionStore) -> None:
        """One of them gets its record."""
        self._skip_the_default(store)
        there = self.kept(store)

        async def ask() -> list[Any]:
            return await asyncio.gather(*(store.ask("end", (KEY, True)) for _ in range(10)))

        ended = asyncio.run(ask())
        assert ended.count(None) == 9
        assert there in ended

    def test_a_waiter_that_is_cancelled_spoils_nothing(self, store: SessionStore) -> None:
        """A task is cancelled when its visitor leaves; the next one must not get its answer."""
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

    @forked
    @_quiet
    def test_a_store_that_was_never_used_may_be_forked(self, store: SessionStore) -> None:
        """Servers load the app first and fork their workers then."""

        def use() -> bool:
            record = self.kept(store)
            return store.load(KEY) == record and store.delete(KEY)

        assert in_a_child(use)
        assert use()

    @forked
    @_quiet
    def test_a_store_that_was_used_may_be_forked(self, store: SessionStore) -> None:
        """Parent and child go on without each other, by threads and by event loops."""
        record = self.kept(store)
        asyncio.run(store.ask("load", (KEY,)))

        def use() -> bool:
            loaded = asyncio.run(store.ask("load", (KEY,)))
            made = asyncio.run(store.ask("create", (OTHER, record)))
            return loaded == record and bool(made) and store.delete(OTHER)

        assert in_a_child(use)
        assert use()
        assert in_a_child(use)
        assert store.load(KEY) == record

    @forked
    @_quiet
    def test_a_child_that_ends_takes_nothing_along(self, store: SessionStore) -> None:
        """Closing the store in a child closes nothing of its parent's."""
        record = self.kept(store)

        def use_and_close() -> bool:
            found = store.load(KEY) == record
            store.close()
            return found

        assert in_a_child(use_and_close)
        assert store.load(KEY) == record
        assert store.replace(KEY, record)

    @forked
    @_quiet
    def test_a_fork_amid_other_threads_work_blocks_nobody(self, store: SessionStore) -> None:
        """A lock held by another thread at the fork would be held in the child for good."""
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

    @shared
    @_quiet
    def test_a_child_ends_its_parents_session(self, store: SessionStore) -> None:
        """Processes see one another's writes: `reload` finds them, whatever this one knows."""
        written = self.kept(store)
        known = store.load(KEY)
        assert known is not None
        new = replace(written, value=b"new")

        assert in_a_child(lambda: store.replace(KEY, new))
        found = store.reload(KEY, known)
        assert found == new
        assert in_a_child(lambda: store.end(KEY, True) == new)

        assert found is not None
        assert asks_again(store.reload(KEY, found))
        assert store.end(KEY) is None

    # Closing

    def test_a_closed_store_opens_anew(self, store: SessionStore) -> None:
        """`close` may be called twice, and a later call opens the store again."""
        store.close()
        store.close()

        record = self.kept(store)
        assert store.load(KEY) == record

    def test_closing_amid_work_spoils_none(self, store: SessionStore) -> None:
        """A `close` in one thread makes no call of another one fail."""
        record = self.kept(store)

        def work(number: int) -> bool:
            if number == 0:
                for _ in range(10):
                    store.close()
            return all(store.load(KEY) and store.replace(KEY, record) for _ in range(10))

        assert at_once(4, work) == [True] * 4
