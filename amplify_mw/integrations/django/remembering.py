"""What a process has read from the database, for a time.

Rules:
- It is kept after the transaction has ended well: one that is taken back leaves nothing, and a
  `TestCase`, whose transaction never ends, keeps nothing for the next test.
- The times are those of a clock that nobody turns.
"""

import time
from collections.abc import Callable, Hashable
from typing import Any, Final

from django.db import transaction

_MOST: Final = 10_000

clock: Callable[[], float] = time.monotonic  # seconds


class Remembered:
    """Values by keys, each for some seconds. The oldest goes when there are too many."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable) -> Any:
        """The value, or None."""
        found = self._values.get(key)
        return None if found is None or clock() >= found[0] else found[1]

    def keep(self, key: Hashable, value: Any, seconds: float, using: str) -> None:
        """Keep a value, read by the connection `using`, from the end of its transaction on."""
        if seconds:
            ends_at = clock() + seconds
            transaction.on_commit(lambda: self._put(key, (ends_at, value)), using=using)

    def _put(self, key: Hashable, entry: tuple[float, Any]) -> None:
        self._values.pop(key, None)
        self._values[key] = entry
        while len(self._values) > _MOST:
            self._values.pop(next(iter(self._values)), None)

    def forget(self, key: Hashable) -> None:
        """Drop a value."""
        self._values.pop(key, None)

    def forget_all(self) -> None:
        """Drop all values."""
        self._values.clear()
