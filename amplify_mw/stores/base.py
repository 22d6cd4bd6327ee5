"""`SessionStore`: the contract of a session store. Read this to write one of your own.

A store keeps records under keys, and gives leases on them. It knows nothing of sessions: keys are
hashes of secrets (32 bytes, as good as random), and values are encrypted before they get here.

Not found. A record is *not found*, which is never an error, if it is
- absent: never written, deleted, or evicted (so is every key that is not 32 bytes long);
- expired: the store's clock has reached its `expires_at`;
- malformed: the bytes under the key are no record, whoever wrote them.
A record that was tampered with may be returned as it is: its session does not open.

Versions. A write is kept unless the record under its key has a higher version. (So an equal version
may be written again. `replace` also needs a record to be found.) A late writer therefore never
undoes newer work. A session that has ended leaves a tombstone, a record of the highest version
(`ENDED`), which only a tombstone can replace. `create` keeps a record of any version, and only if
none is found under the key.

Steps. `reload`, `acquire_and_load`, `replace_and_release`, `end` and `end_of_user` do at once what
takes several calls otherwise. Each has a default made of these calls, and may be overridden.
- `reload` takes a record as this store returned it, and returns that very object until the next
  write. Every write is a change, even of the same version. A store may give each write a mark that
  no other write has (`Record.stamp`), so that an unchanged record is not fetched. Stamps are the
  store's: one that comes with a record to be written means nothing.
- `end` returns a record to one caller. The lease is gone, or of no use to the tombstone.
- The defaults cost the calls they are made of: `reload` one, with the whole record; the others two;
  `end_of_user` one, and two for each session. Between two calls of `end` another process may write
  tokens that its caller does not get; and with `asks_again`, callers at the same moment may all get
  the record. Nothing else is lost by a default but time.

Lists. A list may hold a session that has just ended, and may miss one that began within the last
second: no store has to write two places at once. It misses none for longer, unless the list itself
was lost; then the store says how it is mended. `end_of_user` ends the sessions in the list.

Clocks. Whether a record has expired is judged by the store's clock: its server's if it has one, or
else this machine's. `expires_at` was reckoned by a client's: as far as that is ahead, the session
lives longer. Leases run by the store's clock, too, and no client's time is in them. A store without
a clock of its own, whose clients' clocks decide, says by how much these may differ.

Leases. Refreshing a session's tokens takes a lease, so that one process does it at a time.
- A lease belongs to a record that is found, and is gone with it. It lasts `LONGEST_LEASE` (300 s)
  at most, unless it is renewed. Writes need no lease, and end none.
- Its *fence* is a number higher than the record's version and than every earlier fence of that
  record, and lower than `ENDED`. The holder writes with its fence as the version: a slow holder's
  write is refused once a later holder has written.
- A clock that is set an hour ahead or back neither prolongs a lease nor lets two hold it. See
  `lease_clock`.

Errors. A store raises one error, `StoreUnavailable`, for a system that failed: no connection, no
answer in time, a locked file, a full disk. It says what happened, without any key or value. The
next call tries again, and sessions are kept meanwhile. Any other exception is a bug, and fails the
request.

Processes and threads. A store is used by several threads and event loops at once, and after
`fork()`: a child opens connections of its own and leaves its parent's alone. Each write is atomic.
Connections are opened when they are needed.

Values. Text may be any `str`, even half a surrogate pair, and comes back unchanged. A copy of a
store is the same store. So is a pickle, within the process that has the store. It contains the
arguments of the constructor, including a password in a url.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from ..effects import Unreachable
from ..models.check import Check
from ..sessions.record import ENDED as ENDED
from ..sessions.record import Record as Record
from ..sessions.record import tombstone

TIMEOUTS: Final = (0.001, 3_600.0)
"""The least and the most seconds of a store's `timeout`."""


def lease_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """The clock for leases: the monotonic one, which nobody can set; or the test's own `clock`.

    All processes of a machine share the monotonic clock. It restarts when the machine does.
    """
    return time.monotonic if clock is time.time else clock


class StoreUnavailable(Unreachable):
    """A store failed. The message says what happened, without any key or value."""


class SessionStore(ABC):
    """Keeps records under keys of 32 bytes. This module's docstring is the contract."""

    @abstractmethod
    def load(self, key: bytes) -> Record | None:
        """The record under `key`; None if it is not found."""

    @abstractmethod
    def create(self, key: bytes, record: Record) -> bool:
        """Keep `record` under a key without a record; False, and no change, if there is one."""

    @abstractmethod
    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one of the same or a lower version.

        False, and no change, if no record is found or its version is higher.
        """

    @abstractmethod
    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`, whatever its version; False if none was found."""

    @abstractmethod
    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records with this `user`, the latest `seen_at` first.

        Empty for "": records without a user are not listed.
        """

    @abstractmethod
    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on the record under `key` for `seconds`: its fence.

        None if the lease is held, if no record is found, or if the record is a tombstone.
        """

    @abstractmethod
    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""

    @abstractmethod
    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""

    # The same in fewer steps.

    def reload(self, key: bytes, known: Record) -> Record | None:
        """The record under `key`; `known` itself if that is still the one.

        `known`: as this store returned it, unchanged.
        """
        record = self.load(key)
        return known if record is known or record == known else record

    def acquire_and_load(self, key: bytes, seconds: float) -> tuple[int | None, Record | None]:
        """Take the lease on a record, then load the record: both answers."""
        fence = self.acquire(key, seconds)
        return fence, self.load(key)

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        """`replace`, then give the lease back, whether or not the record was kept."""
        kept = self.replace(key, record)
        self.release(key, fence)
        return kept

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        """End a session: forget its record, and return it. None if it is not found, or a tombstone.

        `asks_again`: leave a tombstone that says so, for as long as the record would have lived.
        """
        record = self.load(key)
        if record is None or record.version == ENDED:
            return None
        if asks_again:  # in its place: a visitor in between would not be asked again
            ended = self.replace(key, tombstone(record.expires_at, asks_again=True))
        else:
            ended = self.delete(key)
        return record if ended else None

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user, as `end` with `asks_again` does. Returns their keys."""
        return [key for key, _ in self.of_user(user) if self.end(key, True) is not None]

    def examine(self) -> list[Check]:
        """What there is to say of this store, for `amplify-mw doctor`: lines of a report.

        Tries it with a made-up record of its own, which is gone afterwards. It may wait. Override
        it to tell more; it never raises `StoreUnavailable`, but says so in a line.
        """
        from .examination import round_trip  # for this alone

        return list(round_trip(self))

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call the method of this name and await its answer. Runs it on a thread.

        Override it if the store can be awaited by itself, or never waits.
        """
        import asyncio  # a WSGI app never loads it

        return await asyncio.to_thread(getattr(self, method), *arguments)

    def close(self) -> None:  # noqa: B027  # not every store has something to close
        """Close all connections; a later call opens new ones."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _pickled(self, **arguments: Any) -> tuple[Any, ...]:
        """The result of `__reduce__` for a store that was made with these arguments."""
        name = self.__dict__.setdefault("_name", os.urandom(16))
        _named.setdefault(name, self)
        return _unpickled, (type(self), name, arguments)


_named: Final[WeakValueDictionary[bytes, SessionStore]] = WeakValueDictionary()


def _unpickled(kind: type[SessionStore], name: bytes, arguments: dict[str, Any]) -> SessionStore:
    """The store of this name; a new one in a process without it."""
    store = _named.get(name)
    if store is None:
        made = kind(**arguments)
        made.__dict__["_name"] = name
        store = _named.setdefault(name, made)
    return store
