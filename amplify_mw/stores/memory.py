"""`MemoryStore`: sessions in the memory of one process, for tests, the demo and a single worker.

Rules:
- Nothing here waits, so an event loop may ask inline.
- Reading takes no lock. Changes are made under one lock, shared by all stores of a process: it is
  held for microseconds, and across `fork()`, so that no child finds a change half made.
- Each write drops expired records, and beyond `max_sessions` the record written longest ago. (A
  session is written when it is seen.)
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from threading import RLock
from typing import Any, Final, NoReturn

from ..errors import ConfigurationError, check_number
from ..models.check import Check
from ..sessions.record import ENDED, LONGEST_LEASE, Record, tombstone
from .base import SessionStore, lease_clock

_CHANGING: Final = RLock()  # reentrant, for a signal's handler that forks amid a change


class MemoryStore(SessionStore):
    """Keeps sessions until the process ends; each process has its own.

    `max_sessions`: how many at most (a session with Cognito's tokens takes about 5 kB). `clock`:
    seconds since the epoch.
    """

    def __init__(
        self, *, max_sessions: int = 100_000, clock: Callable[[], float] = time.time
    ) -> None:
        check_number("max_sessions", max_sessions, 1, 10**9)
        self._max = max_sessions
        self._clock = clock
        self._lease_clock = lease_clock(clock)
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the last written comes last
        self._users: dict[str, set[bytes]] = {}
        self._expiring: list[tuple[float, bytes]] = []  # a heap; holds what was replaced as well

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "MemoryStore cannot be pickled: its sessions are in one process's memory. Share a "
            "SQLiteStore(path), a PostgresStore(dsn) or a RedisStore(url), or make the "
            "configuration in each process."
        )

    def __repr__(self) -> str:
        return f"<MemoryStore with {len(self._entries)} sessions>"

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        record = entry.record
        return record if record.expires_at > self._clock() else None

    def create(self, key: bytes, record: Record) -> bool:
        """Keep `record` under a key without a record; False if there is one."""
        with _CHANGING:
            if self._live(key) is not None:
                return False
            self._drop(key)  # it may be there still, expired
            self._entries[key] = _Entry(record)
            self._index(key, record)
            self._shrink()
            return True

    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one of the same or a lower version; False if there is none."""
        with _CHANGING:
            entry = self._live(key)
            if entry is None or entry.record.version > record.version:
                return False
            self._leave(key, entry.record.user)
            entry.record = record
            self._entries.move_to_end(key)
            self._index(key, record)
            self._shrink()
            return True

    def exchange(self, key: bytes, record: Record) -> Record | None:
        """Keep `record` in any case; returns the one it replaced, or None.

        Only this store has it: see `amplify_mw.sessions.store.Memory`.
        """
        with _CHANGING:
            entry = self._live(key)
            if entry is None:
                self.create(key, record)
                return None
            before, entry.record = entry.record, record
            self._leave(key, before.user)
            self._entries.move_to_end(key)
            self._index(key, record)
            self._shrink()
            return before

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        with _CHANGING:
            found = self._live(key) is not None
            self._drop(key)
            return found

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records with this `user`, the latest seen first. Empty for ""."""
        with _CHANGING:
            now = self._clock()
            found = [(key, self._entries[key].record) for key in self._users.get(user, ())]
        live = [(key, record) for key, record in found if record.expires_at > now]
        return sorted(live, key=lambda pair: pair[1].seen_at, reverse=True)

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for `seconds`: its fence, or None.

        None also for a tombstone: no fence is higher than its version.
        """
        with _CHANGING:
            entry, now = self._live(key), self._lease_clock()
            if entry is None or now < entry.held_until <= now + max(seconds, LONGEST_LEASE):
                return None
            fence = max(entry.fence, entry.record.version) + 1
            if fence >= ENDED:
                return None
            entry.fence, entry.held_until = fence, now + seconds
            return fence

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""
        with _CHANGING:
            entry, now = self._live(key), self._lease_clock()
            if entry is None or entry.fence != fence or entry.held_until <= now:
                return False
            entry.held_until = now + seconds
            return True

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""
        with _CHANGING:
            entry = self._live(key)
            if entry is not None and entry.fence == fence:
                entry.held_until = _NOT_HELD

    def acquire_and_load(self, key: bytes, seconds: float) -> tuple[int | None, Record | None]:
        """Take the lease on a record, and load the record."""
        with _CHANGING:
            return super().acquire_and_load(key, seconds)

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        """Replace a record, and give the lease back."""
        with _CHANGING:
            return super().replace_and_release(key, record, fence)

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        """End a session, and return its record; None if there is none."""
        with _CHANGING:
            entry = self._live(key)
            if entry is None or entry.record.version == ENDED:
                return None
            record = entry.record
            if asks_again:  # in place, as readers take no lock
                entry.held_until = _NOT_HELD
                self.replace(key, tombstone(record.expires_at, asks_again=True))
            else:
                self._drop(key)
            return record

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user: their keys."""
        with _CHANGING:
            return super().end_of_user(user)

    def examine(self) -> list[Check]:
        """What there is to say of this store: lines of a report."""
        alone = Check(
            "store_sharing",
            "warning",
            "MemoryStore: each process has one of its own, and a restart empties it",
            "a store that all processes share",
            "write SQLiteStore(path) for one machine, PostgresStore(dsn) or RedisStore(url) for "
            "many; a single process for tests may keep it",
        )
        return [*super().examine(), alone]

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Any of the above, at once."""
        return getattr(self, method)(*arguments)

    def _live(self, key: bytes) -> "_Entry | None":
        entry = self._entries.get(key)
        return entry if entry and entry.record.expires_at > self._clock() else None

    def _index(self, key: bytes, record: Record) -> None:
        heappush(self._expiring, (record.expires_at, key))
        if record.user:
            self._users.setdefault(record.user, set()).add(key)

    def _shrink(self) -> None:
        """Drop the expired, then the oldest beyond the bound."""
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now:
            _, key = heappop(self._expiring)
            if self._live(key) is None:
                self._drop(key)
        while len(self._entries) > self._max:
            self._drop(next(iter(self._entries)))
        if len(self._expiring) > 2 * len(self._entries) + 100:  # mostly of what was replaced
            self._expiring = [(e.record.expires_at, key) for key, e in self._entries.items()]
            heapify(self._expiring)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._leave(key, entry.record.user)

    def _leave(self, key: bytes, user: str) -> None:
        keys = self._users.get(user)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._users[user]


_NOT_HELD: Final = float("-inf")


class _Entry:
    """A record and its lease: the last fence given, and until when it holds."""

    __slots__ = ("fence", "held_until", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.fence = 0
        self.held_until = _NOT_HELD


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(
        before=_CHANGING.acquire,
        after_in_parent=_CHANGING.release,
        after_in_child=_CHANGING.release,
    )
