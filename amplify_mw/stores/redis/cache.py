"""The local cache of a `RedisStore`: records kept in one process while it hears of changes.

Rules:
- A record is served only while changes are heard of, and for a bounded time.
- A load may bring a record that has changed since: it is kept only if its mark, made before the
  record was asked for, still holds. It does not where a change was heard of, or where hearing began
  or ended: what happened just before is not known.
- Reading takes no lock.
"""

import time
from threading import Lock
from typing import Final

from cachetools import FIFOCache

from ...sessions.record import Record

_KEPT: Final = 10_000  # records at most
_DRAWERS: Final = 1024  # changes are counted for all keys of one drawer together


class LocalCache:
    """Keeps records for so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._records: FIFOCache[bytes, tuple[Record, float]] = FIFOCache(_KEPT)
        self._changes = [0] * _DRAWERS
        self._hearing = False
        self._spells = 0  # how often hearing began or ended
        self._lock = Lock()

    def find(self, key: bytes) -> Record | None:
        """The record under `key`, if it is here and may be served."""
        try:
            record, until = self._records[key]
        except KeyError:
            return None
        return record if until > time.monotonic() and self._hearing else None

    def mark(self, key: bytes) -> tuple[int, int]:
        """To be made before the record under `key` is asked for."""
        return self._spells, self._changes[hash(key) % _DRAWERS]

    def keep(self, key: bytes, record: Record, mark: tuple[int, int]) -> None:
        """Keep a record that was asked for, if its mark still holds."""
        seconds = min(self._seconds, record.expires_at - time.time())
        with self._lock:
            if self._hearing and mark == self.mark(key):
                self._records[key] = record, time.monotonic() + seconds

    def drop(self, key: bytes) -> None:
        """The record under `key` has changed."""
        with self._lock:
            self._changes[hash(key) % _DRAWERS] += 1
            self._records.pop(key, None)

    def hear(self) -> None:
        """Every change is told from now on."""
        with self._lock:
            self._hearing = True
            self._spells += 1

    def lose(self) -> None:
        """Changes may be missed from now on."""
        with self._lock:
            self._hearing = False
            self._spells += 1
            self._records.clear()
