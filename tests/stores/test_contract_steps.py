"""Each case about the steps catches a store that breaks it.

Rules:
- A breach is one method of a store that keeps the contract otherwise.
- Its case passes on a store without the breach, and fails on one with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from threading import Barrier
from typing import Any, Final

import pytest

from amplify_mw.sessions.record import Record, tombstone
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing.store_contract import LONG, StoreContract
from amplify_mw.testing.store_contract.steps import Steps

Case = Callable[..., object]
Taken = tuple[int | None, Record | None]
BREACHES: Final[list[Any]] = []


def breach(method: str, *cases: Case) -> Callable[[Callable[..., Any]], None]:
    """Register a function as a breach of these cases, in place of a store's method."""

    def register(broken: Callable[..., Any]) -> None:
        for case in cases:
            name = f"{broken.__name__}-{case.__name__}"
            BREACHES.append(pytest.param(method, broken, case, id=name))

    return register


def with_(case: Case, *arguments: Any) -> Case:
    """A case with these parameters."""

    @wraps(case)
    def run(suite: Any, store: MemoryStore) -> object:
        return case(suite, store, *arguments)

    return run


# Reloading


@breach(
    "reload",
    StoreContract.test_what_has_not_changed_is_the_known_record,
    StoreContract.test_a_reloaded_record_can_be_reloaded,
)
def copies(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    record = store.load(key)
    return replace(record) if record else None


@breach(
    "reload",
    StoreContract.test_a_record_that_no_store_made_is_reloaded,
    StoreContract.test_a_new_record_is_not_taken_for_the_deleted_one,
    with_(StoreContract.test_whatever_another_wrote_is_a_change, {"value": b"new"}),
    with_(StoreContract.test_whatever_another_wrote_is_a_change, {"seen_at": 9.0}),
)
def compares_versions(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    record = store.load(key)
    return known if record and record.version == known.version else record


@breach(
    "reload",
    with_(StoreContract.test_whatever_another_wrote_is_a_change, {"user_agent": "Chrome"}),
    StoreContract.test_a_longer_life_is_reloaded,
)
def compares_values(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    record = store.load(key)
    return known if record and record.value == known.value else record


@breach(
    "reload",
    StoreContract.test_the_stamp_of_a_written_record_means_nothing,
    StoreContract.test_no_thread_reloads_what_is_older_than_it_knows,
)
def compares_the_writers_stamps(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    record = store.load(key)
    return known if record and record.stamp == known.stamp else record


@breach("reload", with_(StoreContract.test_a_stamp_of_another_store_means_nothing, b"x"))
def believes_in_any_stamp(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    return known if known.stamp else store.load(key)


@breach(
    "reload",
    StoreContract.test_what_is_gone_is_not_reloaded,
    StoreContract.test_what_has_expired_is_not_reloaded,
    StoreContract.test_an_ended_session_is_forgotten,
)
def remembers(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    return MemoryStore.reload(store, key, known) or known


@breach("reload", StoreContract.test_a_longer_life_is_reloaded)
def goes_by_the_known_life(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    live = known.expires_at > store._clock()
    return MemoryStore.reload(store, key, known) if live else None


@breach("reload", with_(StoreContract.test_a_malformed_key_has_no_steps, b""))
def takes_any_key(store: MemoryStore, key: bytes, known: Record) -> Record | None:
    return MemoryStore.reload(store, key, known) or (None if len(key) == 32 else known)


# Acquiring and loading


@breach(
    "acquire_and_load",
    StoreContract.test_a_lease_comes_with_the_record,
    StoreContract.test_the_record_comes_without_the_lease_too,
    StoreContract.test_of_many_that_acquire_and_load_at_once_one_gets_the_lease,
)
def loads_alone(store: MemoryStore, key: bytes, seconds: float) -> Taken:
    record = store.load(key)
    return (record.version + 1 if record else None), record


@breach(
    "acquire_and_load",
    StoreContract.test_the_record_comes_without_the_lease_too,
    StoreContract.test_a_tombstone_comes_without_a_lease,
)
def withholds_the_record(store: MemoryStore, key: bytes, seconds: float) -> Taken:
    fence = store.acquire(key, seconds)
    return fence, None if fence is None else store.load(key)


@breach(
    "acquire_and_load",
    StoreContract.test_the_next_holder_loads_what_the_last_one_wrote,
    StoreContract.test_no_holder_misses_what_the_one_before_wrote,
)
def loads_what_it_loaded_before(store: MemoryStore, key: bytes, seconds: float) -> Taken:
    before = store.__dict__.setdefault("before", {})
    return store.acquire(key, seconds), before.setdefault(key, store.load(key))


@breach("acquire_and_load", StoreContract.test_a_lease_taken_with_its_record_runs_out)
def holds_for_long(store: MemoryStore, key: bytes, seconds: float) -> Taken:
    return store.acquire(key, LONG), store.load(key)


@breach("acquire_and_load", StoreContract.test_without_a_record_there_is_neither)
def leases_what_is_not_there(store: MemoryStore, key: bytes, seconds: float) -> Taken:
    fence, record = MemoryStore.acquire_and_load(store, key, seconds)
    return (1 if record is None else fence), record


# Replacing and releasing


@breach(
    "replace_and_release",
    StoreContract.test_a_holder_writes_and_gives_the_lease_back,
)
def keeps_the_lease(store: MemoryStore, key: bytes, record: Record, fence: int) -> bool:
    return store.replace(key, record)


@breach(
    "replace_and_release",
    StoreContract.test_a_lease_is_given_back_if_the_write_is_refused,
)
def releases_what_was_kept(store: MemoryStore, key: bytes, record: Record, fence: int) -> bool:
    return store.replace(key, record) and store.release(key, fence) is None


@breach(
    "replace_and_release",
    StoreContract.test_a_former_holder_gives_no_others_lease_back,
)
def releases_anybodys(store: MemoryStore, key: bytes, record: Record, fence: int) -> bool:
    kept = store.replace(key, record)
    store.release(key, store._entries[key].fence)
    return kept


@breach(
    "replace_and_release",
    StoreContract.test_a_write_that_gives_back_needs_a_record,
    with_(StoreContract.test_a_refresh_does_not_revive_a_session_that_ended_meanwhile, False),
)
def creates(store: MemoryStore, key: bytes, record: Record, fence: int) -> bool:
    return store.replace(key, record) or store.create(key, record)


@breach(
    "replace_and_release",
    StoreContract.test_a_lease_is_given_back_if_the_write_is_refused,
    with_(StoreContract.test_a_refresh_does_not_revive_a_session_that_ended_meanwhile, True),
)
def overwrites(store: MemoryStore, key: bytes, record: Record, fence: int) -> bool:
    return store.exchange(key, record) is not None


# Ending


@breach(
    "end",
    with_(StoreContract.test_an_end_returns_the_record_once, False),
    with_(StoreContract.test_no_write_outlives_an_end_at_the_same_moment, False),
    StoreContract.test_an_ended_session_is_forgotten,
    StoreContract.test_a_lease_ends_with_its_session,
)
def ends_nothing(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    return store.load(key)


@breach("end", with_(StoreContract.test_an_end_returns_what_was_written_last, False))
def returns_what_was_created(
    store: MemoryStore, key: bytes, asks_again: bool = False
) -> Record | None:
    record = MemoryStore.end(store, key, asks_again)
    return replace(record, value=b"sealed") if record else None


@breach(
    "end",
    StoreContract.test_an_end_that_asks_again_leaves_a_tombstone,
    StoreContract.test_a_tombstone_takes_the_place_of_another,
    StoreContract.test_all_sessions_of_a_user_end,
    StoreContract.test_all_of_a_users_many_sessions_end,
)
def leaves_nothing(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    return MemoryStore.end(store, key)


@breach(
    "end",
    StoreContract.test_an_ended_session_is_forgotten,
    StoreContract.test_an_ended_sessions_lease_holds_up_no_new_one,
)
def leaves_a_tombstone(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    return MemoryStore.end(store, key, True)


@breach("end", with_(StoreContract.test_there_is_no_end_of_what_is_not_there, True))
def buries_what_is_not_there(
    store: MemoryStore, key: bytes, asks_again: bool = False
) -> Record | None:
    store.create(key, tombstone(store._clock() + LONG, asks_again=True))
    return None


@breach("end", with_(StoreContract.test_a_tombstone_does_not_end, True, False))
def digs_up(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    record = store.load(key)
    return record if store.delete(key) else None


@breach("end", StoreContract.test_a_tombstone_lives_as_long_as_its_record_would_have)
def buries_for_long(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    record = MemoryStore.end(store, key, asks_again)
    store.replace(key, tombstone(store._clock() + LONG, asks_again=True))
    return record


@breach(
    "end",
    StoreContract.test_an_end_that_asks_again_leaves_a_tombstone,
    with_(StoreContract.test_a_refresh_does_not_revive_a_session_that_ended_meanwhile, True),
)
def leaves_the_next_version(
    store: MemoryStore, key: bytes, asks_again: bool = False
) -> Record | None:
    record = MemoryStore.end(store, key)
    if record and asks_again:
        low = tombstone(record.expires_at, asks_again=True)
        store.create(key, replace(low, version=record.version + 1))
    return record


LOOKED: Final = Barrier(8)


@breach(
    "end", with_(StoreContract.test_of_many_that_end_a_session_at_once_one_gets_its_record, True)
)
def looks_before_it_ends(store: MemoryStore, key: bytes, asks_again: bool = False) -> Record | None:
    record = store.load(key)
    LOOKED.wait()
    MemoryStore.end(store, key, asks_again)
    return record


@breach("ask", StoreContract.test_tasks_may_end_a_session_at_once)
async def ends_what_it_has_looked_at(
    store: MemoryStore, method: str, arguments: tuple[Any, ...]
) -> Any:
    record = store.load(arguments[0])
    await asyncio.sleep(0)
    getattr(store, method)(*arguments)
    return record


# Ending all of a user's


@breach(
    "end_of_user",
    StoreContract.test_all_sessions_of_a_user_end,
    StoreContract.test_all_of_a_users_many_sessions_end,
)
def ends_the_latest(store: MemoryStore, user: str) -> list[bytes]:
    return [key for key, _ in store.of_user(user)[:1] if store.end(key, True)]


@breach("end_of_user", StoreContract.test_all_of_a_users_many_sessions_end)
def ends_a_page(store: MemoryStore, user: str) -> list[bytes]:
    return [key for key, _ in store.of_user(user)[:100] if store.end(key, True)]


@breach(
    "end_of_user",
    with_(StoreContract.test_no_other_users_sessions_end, "adaa"),
    StoreContract.test_nobodys_sessions_do_not_end,
)
def ends_by_prefix(store: MemoryStore, user: str) -> list[bytes]:
    keys = [key for key, held in store._entries.items() if held.record.user.startswith(user)]
    return [key for key in keys if store.end(key, True)]


@breach("end_of_user", with_(StoreContract.test_sessions_of_a_user_of_any_name_end, "a\ud800b"))
def ends_by_utf8(store: MemoryStore, user: str) -> list[bytes]:
    return MemoryStore.end_of_user(store, user.encode("utf-8", "replace").decode())


@breach("end_of_user", StoreContract.test_a_session_ends_with_those_of_its_last_user)
def ends_whatever_was_the_users(store: MemoryStore, user: str) -> list[bytes]:
    return [key for key in list(store._entries) if store.end(key, True)]


@breach("end_of_user", StoreContract.test_what_has_ended_or_expired_does_not_end_again)
def ends_the_expired(store: MemoryStore, user: str) -> list[bytes]:
    return list(store._entries)


@breach(
    "end_of_user",
    StoreContract.test_a_refresh_that_runs_does_not_save_a_session,
    StoreContract.test_all_sessions_of_a_user_end,
)
def deletes(store: MemoryStore, user: str) -> list[bytes]:
    return [key for key, _ in store.of_user(user) if store.delete(key)]


LISTED: Final = Barrier(8)


@breach("end_of_user", StoreContract.test_of_many_that_end_all_sessions_at_once_one_gets_each)
def lists_before_it_ends(store: MemoryStore, user: str) -> list[bytes]:
    keys = [key for key, _ in store.of_user(user)]
    LISTED.wait()
    MemoryStore.end_of_user(store, user)
    return keys


def test_every_case_about_the_steps_has_its_breach() -> None:
    caught = {each.values[2].__name__ for each in BREACHES}
    cases = [name for name in dir(Steps) if name.startswith("test_")]
    assert [name for name in cases if name not in caught] == []


@pytest.mark.parametrize(("method", "broken", "case"), BREACHES)
def test_a_breach_is_caught(method: str, broken: Callable[..., Any], case: Case) -> None:
    suite = StoreContract()
    case(suite, MemoryStore(clock=suite.clock))

    store = type("Broken", (MemoryStore,), {method: broken})(clock=suite.clock)
    with pytest.raises(AssertionError):
        case(suite, store)
