"""The local cache of a `RedisStore`: records kept in one process while it hears of changes.

Rules:
- A record is served only while the listener hears of changes, and for a bounded time.
- A loaded record may have changed meanwhile. It is kept only if its mark, made before the load,
  still holds. A mark is void after a change to its record, and when hearing began or ended, since
  changes just before are unknown.
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
        """The cached record under `key`, if it may be served."""
        try:
            record, until = self._records[key]
        except KeyError:
            return None
        return record if until > time.monotonic() and self._hearing else None

    def mark(self, key: bytes) -> tuple[int, int]:
        """The present mark of `key`. Make it before the load."""
        return self._spells, self._changes[hash(key) % _DRAWERS]

    def keep(self, key: bytes, record: Record, mark: tuple[int, int]) -> None:
        """Keep a loaded record, if its mark still holds."""
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
        """The listener hears of every change from now on."""
        with self._lock:
            self._hearing = True
            self._spells += 1

    def lose(self) -> None:
        """The listener may miss changes from now on."""
        with self._lock:
            self._hearing = False
            self._spells += 1
            self._records.clear()
