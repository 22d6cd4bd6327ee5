"""What any session store can be asked about itself: whether it keeps, leases and ends a record.

Rules:
- The record is made up, under a random key and a random user, and gone afterwards. If the store
  fails in between, it expires within a minute.
- A failure is told with the store's own words, which name a remedy and no key.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ..effects import Unreachable
from ..models.check import Check
from ..sessions.record import Record
from ..sessions.store import Store

_LIVES: Final = 60.0  # seconds
_APART: Final = 5.0  # seconds that two clocks may differ


def round_trip(store: Store) -> Iterator[Check]:
    """Keep a made-up record, take its lease, find it, list it, and end it."""
    try:
        missing = _tried(store)
    except Unreachable as error:
        yield failure("store", error)
        return
    if missing:
        yield Check(
            "store",
            "wrong",
            f"a made-up record {missing}",
            "one that is kept, leased, found, listed and ended",
            "see the contract, amplify_mw.stores.base; amplify_mw.testing.store_contract tests it",
        )
    else:
        yield Check(
            "store", "ok", f"{type(store).__name__} keeps, leases, finds, lists and ends a record"
        )


def _tried(store: Store) -> str:
    """What went wrong with a record; "" if nothing did."""
    key, user = secrets.token_bytes(32), f"amplify-mw doctor {secrets.token_hex(8)}"
    now = time.time()
    record = Record(secrets.token_bytes(32), 1, now + _LIVES, user, "doctor", now, now)
    if not store.create(key, record):
        return "is not kept under a new key"
    try:
        flaw = _used(store, key, user, record)
    except BaseException:
        with suppress(Unreachable):
            store.end(key)
        raise
    has_ended = store.end(key) is not None and store.load(key) is None
    return flaw or ("" if has_ended else "does not end")


def _used(store: Store, key: bytes, user: str, record: Record) -> str:
    fence = store.acquire(key, _LIVES)
    found = store.load(key)
    if found is None or found.value != record.value:
        return "is not found again: is the clock right, and do all nodes share the data?"
    if fence is None:
        return "cannot be leased"
    store.release(key, fence)
    if [each for each, _ in store.of_user(user)] != [key]:
        return "is not in the list of its user"
    return ""


def failure(name: str, error: Unreachable) -> Check:
    """The line for a store's failure: what it says, and the remedy at the end of that.

    The sentences are of the form `Redis: OOM: its memory is full: raise maxmemory`.
    """
    parts = str(error).split(": ", 3)
    return Check(
        name,
        "wrong",
        ": ".join(parts[:3]),
        "a store that answers",
        parts[3]
        if len(parts) > 3
        else "bring it back, or correct its address; sessions are kept meanwhile (503)",
    )


def clock(theirs: float, asked: float, answered: float) -> Check:
    """The line for the clock of a store's server, which judges when sessions expire.

    `asked`, `answered`: this machine's clock before and after. All are seconds since the epoch.
    """
    apart = max(asked - theirs, theirs - answered, 0.0)
    if apart <= _APART:
        return Check("store_clock", "ok", f"within {_APART:.0f} s of this machine's")
    return Check(
        "store_clock",
        "warning",
        f"{apart:.0f} s {'behind' if theirs < asked else 'ahead of'} this machine's: sessions end "
        "that much later or sooner",
        f"within {_APART:.0f} s",
        "let NTP set the clocks of both machines",
    )
