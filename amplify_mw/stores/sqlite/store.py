"""`SQLiteStore`: sessions in a file, shared by the processes of one machine.

Rules:
- Each write is one transaction, and so atomic. Expiry is judged by the time when its turn comes.
- An event loop loads and reloads inline, which costs an eighth of using a thread. All other calls
  go through a thread.
- A record is reloaded by its stamp alone. Only if that has changed, it is read.
- Creating a record removes a few expired ones.
- A missing file is an empty store.
"""

import math
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ...errors import ConfigurationError, check_number
from ...models.check import Check
from ...sessions.record import ENDED, LONGEST_LEASE, Record, tombstone
from ..base import TIMEOUTS, SessionStore, lease_clock
from .connections import Row
from .database import Database
from .table import from_row, number, prepare, to_row, to_text, why_foreign

T = TypeVar("T")

_SWEEP_EVERY: Final = 16  # creations, each sweep removing
_SWEPT: Final = 64  # rows at most: more than were created since, so that none pile up

# What is a record's comes in the order of `to_row` and `from_row`.
_LOAD: Final = (
    "SELECT stamp, version, expires_at, user, handle, created_at, seen_at, user_agent, value"
    " FROM sessions WHERE number = ? AND key = ?"
)
_SAME: Final = (
    "SELECT 1 FROM sessions WHERE number = ? AND key = ? AND stamp = ? AND expires_at > ?"
)
_OF_USER: Final = (
    "SELECT key, stamp, version, expires_at, user, handle, created_at, seen_at, user_agent, value"
    " FROM sessions WHERE user = ? AND user != '' AND expires_at > ? ORDER BY seen_at DESC"
)
_CREATE: Final = (
    "INSERT INTO sessions VALUES (?, ?, 0, 0, randomblob(8), ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (number) DO UPDATE SET key = excluded.key, held_until = 0,"
    " stamp = excluded.stamp, version = excluded.version, expires_at = excluded.expires_at,"
    " user = excluded.user,"
    " handle = excluded.handle, created_at = excluded.created_at, seen_at = excluded.seen_at,"
    " user_agent = excluded.user_agent, value = excluded.value WHERE sessions.expires_at <= ?"
)
_REPLACE: Final = (
    "UPDATE sessions SET stamp = randomblob(8), version = ?, expires_at = ?, user = ?, handle = ?,"
    " created_at = ?, seen_at = ?, user_agent = ?, value = ?"
    " WHERE number = ? AND key = ? AND expires_at > ? AND version <= ?"
)
_BURY: Final = (
    "UPDATE sessions SET stamp = randomblob(8), held_until = 0, version = ?, expires_at = ?,"
    " user = ?, handle = ?, created_at = ?, seen_at = ?, user_agent = ?, value = ?"
    " WHERE number = ? AND key = ?"
)
_DELETE: Final = "DELETE FROM sessions WHERE number = ? AND key = ? AND expires_at > ?"
_NEXT_FENCE: Final = (
    "SELECT max(fence, version) + 1 FROM sessions"
    " WHERE number = ? AND key = ? AND expires_at > ? AND NOT (held_until > ? AND held_until <= ?)"
)
_ACQUIRE: Final = "UPDATE sessions SET fence = ?, held_until = ? WHERE number = ? AND key = ?"
_RENEW: Final = (
    "UPDATE sessions SET held_until = ?"
    " WHERE number = ? AND key = ? AND fence = ? AND expires_at > ? AND held_until > ?"
)
_RELEASE: Final = "UPDATE sessions SET held_until = 0 WHERE number = ? AND key = ? AND fence = ?"
_SWEEP: Final = (
    "DELETE FROM sessions"
    " WHERE number IN (SELECT number FROM sessions WHERE expires_at <= ? LIMIT ?)"
)


class SQLiteStore(SessionStore):
    """Keeps sessions in the SQLite file at `path`. A missing file is made, readable by its owner.

    `timeout`: seconds that a write waits for its turn, and again for another process. `clock`:
    seconds since the epoch.

    Raises `ConfigurationError` if `path` is empty, `:memory:`, a URI or a folder, or if the file is
    another application's database or has a newer schema. The constructor does nothing else with the
    file, and nothing stays open. If it cannot be reached (its folder may be mounted later), is no
    database, or turns out foreign later, each use raises `StoreUnavailable`: sessions are kept.

    The file must be on a local disk (WAL needs memory shared by its users). If processes are forked
    without Python's knowledge, use the store only in the children.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        name = os.fspath(path)
        if not name or name.startswith((":", "file:")) or os.path.isdir(name):
            raise ConfigurationError(
                "SQLiteStore(path) takes the path of a file, which all processes share. To keep "
                "sessions in one process's memory, use MemoryStore()."
            )
        check_number("timeout", timeout, *TIMEOUTS)
        self._database = Database(name, timeout, prepare)
        self._timeout = timeout
        self._clock = clock
        self._lease_clock = lease_clock(clock)
        self._created = 0
        if foreign := self._database.peek(why_foreign):
            raise ConfigurationError(f"{self._database.path!r} {foreign}.")

    @property
    def path(self) -> str:
        """The file's absolute path. It may not be there yet."""
        return self._database.path

    def __reduce__(self) -> tuple[Any, ...]:
        return self._pickled(path=self.path, timeout=self._timeout, clock=self._clock)

    def __repr__(self) -> str:
        return f"<SQLiteStore in {self.path!r}>"

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        return self._live(self._database.read(_LOAD, (number(key), key)))

    def reload(self, key: bytes, known: Record) -> Record | None:
        """The record under `key`; `known` itself if that is still the one."""
        return known if self._database.read(_SAME, self._same(key, known)) else self.load(key)

    def create(self, key: bytes, record: Record) -> bool:
        """Keep `record` under a key without a record; False if there is one."""
        row = (number(key), key, *to_row(record))

        def write(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            self._created += 1
            if self._created % _SWEEP_EVERY == 0:
                connection.execute(_SWEEP, (now, _SWEPT))
            return connection.execute(_CREATE, (*row, now)).rowcount == 1

        return self._database.write(write)

    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one of the same or a lower version; False if there is none."""
        row = to_row(record)
        return self._change(_REPLACE, lambda now: (*row, number(key), key, now, record.version))

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        return self._change(_DELETE, lambda now: (number(key), key, now))

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records with this `user`, the latest seen first. Empty for ""."""
        return _listed(self._database.read(_OF_USER, (to_text(user), self._clock())))

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for `seconds`: its fence, or None.

        None also for a tombstone: no fence is higher than its version.
        """
        return self._transact(lambda writer: self._acquired(writer, key, seconds))

    def acquire_and_load(self, key: bytes, seconds: float) -> tuple[int | None, Record | None]:
        """Take the lease on a record, and load the record."""

        def work(writer: sqlite3.Connection) -> tuple[int | None, Record | None]:
            return self._acquired(writer, key, seconds), self._found(writer, key)

        return self._transact(work)

    def _acquired(self, writer: sqlite3.Connection, key: bytes, seconds: float) -> int | None:
        now, moment = self._clock(), self._lease_clock()
        latest = moment + max(seconds, LONGEST_LEASE)
        row = writer.execute(_NEXT_FENCE, (number(key), key, now, moment, latest)).fetchone()
        fence = row[0] if row else None
        if not isinstance(fence, int) or fence >= ENDED:
            return None
        writer.execute(_ACQUIRE, (fence, moment + seconds, number(key), key))
        return fence

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""

        def arguments(now: float) -> Row:
            moment = self._lease_clock()
            return (moment + seconds, number(key), key, fence, now, moment)

        return self._change(_RENEW, arguments)

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""
        self._change(_RELEASE, lambda _: (number(key), key, fence))

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        """Replace a record, and give the lease back."""
        row = to_row(record)

        def work(writer: sqlite3.Connection) -> bool:
            arguments = (*row, number(key), key, self._clock(), record.version)
            kept = writer.execute(_REPLACE, arguments).rowcount == 1
            writer.execute(_RELEASE, (number(key), key, fence))
            return kept

        return self._transact(work)

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        """End a session, and return its record; None if there is none."""

        def work(writer: sqlite3.Connection) -> Record | None:
            record = self._found(writer, key)
            if record is None or record.version == ENDED:
                return None
            if asks_again:
                _bury(writer, key, record)
            else:
                writer.execute(_DELETE, (number(key), key, -math.inf))
            return record

        return self._transact(work)

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user: their keys."""

        def work(writer: sqlite3.Connection) -> list[bytes]:
            rows = writer.execute(_OF_USER, (to_text(user), self._clock())).fetchall()
            found = [pair for pair in _listed(rows) if pair[1].version != ENDED]
            for key, record in found:
                _bury(writer, key, record)
            return [key for key, _ in found]

        return self._transact(work)

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method by its name, awaited: `load` and `reload` inline if they need not wait."""
        if method == "reload":
            key, known = arguments
            rows = self._database.read_at_once(_SAME, self._same(key, known))
            if rows:
                return known
            if rows is not None:
                method, arguments = "load", (key,)
        if method == "load":
            (key,) = arguments
            rows = self._database.read_at_once(_LOAD, (number(key), key))
            if rows is not None:
                return self._live(rows)
        return await super().ask(method, arguments)

    def examine(self) -> list[Check]:
        """What there is to say of this store and its file: lines of a report.

        A missing file is not made: it would be the property of whoever asks.
        """
        from .examination import absent, checks

        path = self._database.path
        used = super().examine() if os.path.exists(path) else [absent(path)]
        return [*used, *checks(path, self._database.peek)]

    def close(self) -> None:
        """Close connections; a later call opens them anew."""
        self._database.close()

    def _same(self, key: bytes, known: Record) -> Row:
        return (number(key), key, known.stamp, self._clock())

    def _found(self, writer: sqlite3.Connection, key: bytes) -> Record | None:
        return self._live(writer.execute(_LOAD, (number(key), key)).fetchall())

    def _live(self, rows: list[Row]) -> Record | None:
        record = from_row(rows[0]) if rows else None
        return record if record is not None and record.expires_at > self._clock() else None

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, which is one transaction."""

        def whole(writer: sqlite3.Connection) -> T:
            writer.execute("BEGIN IMMEDIATE")
            result = work(writer)
            writer.execute("COMMIT")
            return result

        return self._database.write(whole)

    def _change(self, statement: str, arguments: Callable[[float], Row]) -> bool:
        """Whether a statement changed a row. `arguments` gets the time when its turn comes."""
        return self._database.write(
            lambda writer: writer.execute(statement, arguments(self._clock())).rowcount == 1
        )


def _bury(writer: sqlite3.Connection, key: bytes, record: Record) -> None:
    """Put a tombstone in the place of a record. Its lease ends."""
    row = to_row(tombstone(record.expires_at, asks_again=True))
    writer.execute(_BURY, (*row, number(key), key))


def _listed(rows: list[Row]) -> list[tuple[bytes, Record]]:
    """The keys and records in rows; those that hold none are left out."""
    found = [(row[0], from_row(row[1:])) for row in rows]
    return [(key, record) for key, record in found if record is not None]
