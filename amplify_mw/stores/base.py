"""`SessionStore`: the contract of a store, whoever wrote it.

Rules, for every method:
- What is absent, expired, malformed or tampered with is *not found*, which is no error.
- `StoreUnavailable` is for systems that failed: no connection, no answer in time, a locked file, a
  full disk. It says what happened, and neither a key nor a value. The next call tries anew.
- A store may be used from several threads and event loops at once, and after `fork()`: a child
  opens connections of its own and leaves its parent's alone.
- A write is kept unless there is no record under the key, or one of a higher version. So a session
  that has ended (`ENDED`, the highest) stays so, and a slow writer never undoes a newer one's work.
- Keys are hashes of secrets: 32 bytes, as good as random. Texts may be any `str`.
- A store is a place, not a value: copied, it is the same store. A pickle holds what it was made
  with (a url with its password, too), and is the same store again within the process that has it.
- Sessions take leases of `LONGEST_LEASE` (300 s) at most. A clock that is set, an hour ahead or
  back, neither prolongs one nor lets two hold it.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from ..effects import Unreachable
from ..sessions.record import Record


def lease_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """What a machine's leases are counted by: a clock that nobody sets, unless a test brings one.

    The monotonic clock is one for all processes of a machine. It begins anew with a restart.
    """
    return time.monotonic if clock is time.time else clock


class StoreUnavailable(Unreachable):
    """A store that failed. Says what happened, never what was asked."""


class SessionStore(ABC):
    """Keeps records under keys (32 bytes). See the rules of this module."""

    @abstractmethod
    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""

    @abstractmethod
    def create(self, key: bytes, record: Record) -> bool:
        """Keep a record under a key that has none; False if there is one."""

    @abstractmethod
    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one whose version is not higher; False if there is none."""

    @abstractmethod
    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""

    @abstractmethod
    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records of a user, the one seen last first. Nobody ("") has none."""

    @abstractmethod
    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for so many seconds: its fence, or None.

        None if somebody holds it, or there is no record, or only that of an end. Each fence is
        higher than any before it and than the record's version, and lower than `ENDED`, so that it
        can be the version of what its holder writes.
        """

    @abstractmethod
    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for so many seconds from now; False if it is held no longer."""

    @abstractmethod
    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if it is held by this fence still."""

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Any of the above, awaited. Unless overridden, on a thread."""
        import asyncio  # a WSGI app never loads it

        return await asyncio.to_thread(getattr(self, method), *arguments)

    def close(self) -> None:  # noqa: B027  # not every store has something to close
        """Close connections; a later call opens them anew."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _pickled(self, **arguments: Any) -> tuple[Any, ...]:
        """What `__reduce__` gives for a store that was made with these arguments."""
        name = self.__dict__.setdefault("_name", os.urandom(16))
        _named.setdefault(name, self)
        return _unpickled, (type(self), name, arguments)


_named: Final[WeakValueDictionary[bytes, SessionStore]] = WeakValueDictionary()


def _unpickled(kind: type[SessionStore], name: bytes, arguments: dict[str, Any]) -> SessionStore:
    """The store of that name; one made anew in a process that has none."""
    store = _named.get(name)
    if store is None:
        made = kind(**arguments)
        made.__dict__["_name"] = name
        store = _named.setdefault(name, made)
    return store
