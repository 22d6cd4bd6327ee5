"""A cache that is bounded by entries and by bytes.

Rules:
- Reading changes nothing and takes no lock.
- While the lock is held, only pure functions are called.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from ..effects import Sized


class BoundedCache:
    """Keeps at most `entries` values and `size` bytes; the oldest go first.

    `get(key)`: the value, or None; another thread may be writing meanwhile. (cachetools' caches
    have one bound, and take a microsecond longer of every new session and 0.1 of every known one.)
    """

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.held: int = 0  # bytes, roughly
        self.generation: int = 0
        self.get: Callable[[Hashable], Any] = self._values.get

    def __repr__(self) -> str:
        return f"<BoundedCache of {len(self)}>"

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, the oldest first."""
        return iter(list(self._values))

    def put(self, key: Hashable, value: Sized, generation: int | None = None) -> None:
        """Keep `value` in place of an older one, unless it alone is larger than the cache.

        Ignored if entries were dropped after `generation`.
        """
        with self._lock:
            if generation is not None and generation != self.generation:
                return
            size = value.size
            if size > self._size:
                self._take_out(key)
                return
            older = self._values.get(key)
            self._values[key] = value  # in one step: a reader finds the old value or the new one
            self.held += size
            if older is not None:
                self._values.move_to_end(key)
                self.held -= older.size
            while self.held > self._size or len(self._values) > self._entries:
                _, oldest = self._values.popitem(last=False)
                self.held -= oldest.size

    def discard(self, key: Hashable) -> None:
        """Drop `key`, if it is there."""
        with self._lock:
            self._take_out(key)

    def clear(self) -> None:
        """Drop everything, and ignore values begun before."""
        with self._lock:
            self.generation += 1
            self._values.clear()
            self.held = 0

    def drop(self, which: Callable[[Any], bool]) -> None:
        """Drop the values for which `which` holds, and ignore values begun before."""
        with self._lock:
            self.generation += 1
            for key in [key for key, value in self._values.items() if which(value)]:
                self._take_out(key)

    def _take_out(self, key: Hashable) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self.held -= value.size

    def renew_lock(self) -> None:
        """After a fork: a thread of the parent may have been in the middle of a change."""
        if self._lock.locked():
            self._values.clear()
            self.held = 0
        self._lock = threading.Lock()
