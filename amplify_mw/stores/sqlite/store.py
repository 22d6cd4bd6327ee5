"""`SQLiteStore`: sessions in a file, shared by the processes of one machine.

Rules:
- Each write is one transaction, and so atomic. Expiry is judged by the time when its turn comes.
- An event loop loads inline, which costs an eighth of using a thread. All other calls go through a
  thread.
- Creating a record removes a few expired ones.
- A missing file is an empty store.
"""

import math
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from ...errors import ConfigurationError
from ...sessions.record import ENDED, LONGEST_LEASE, Record
from ..base import SessionStore, lease_clock
from .connections import Row
from .database import Database
from .table import from_row, number, prepare, to_row, to_text, why_foreign

_SWEEP_EVERY: Final = 16  # creations, each sweep removing
_SWEPT: Final = 64  # rows at most: more than were created since, so that none pile up

# What is a record's comes in the order of `to_row` and `from_row`.
_LOAD: Final = (
    "SELECT version, expires_at, user, handle, created_at, seen_at, user_agent, value"
    " FROM sessions WHERE number = ? AND key = ?"
)
_OF_USER: Final = (
    "SELECT key, version, expires_at, user, handle, created_at, seen_at, user_agent, value"
    " FROM sessions WHERE user = ? AND user != '' AND expires_at > ? ORDER BY seen_at DESC"
)
_CREATE: Final = (
    "INSERT INTO sessions VALUES (?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (number) DO UPDATE SET key = excluded.key, held_until = 0,"
    " version = excluded.version, expires_at = excluded.expires_at, user = excluded.user,"
    " handle = excluded.handle, created_at = excluded.created_at, seen_at = excluded.seen_at,"
    " user_agent = excluded.user_agent, value = excluded.value WHERE sessions.expires_at <= ?"
)
_REPLACE: Final = (
    "UPDATE sessions SET version = ?, expires_at = ?, user = ?, handle = ?, created_at = ?,"
    " seen_at = ?, user_agent = ?, value = ?"
    " WHERE number = ? AND key = ? AND expires_at > ? AND version <= ?"
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
        if not 0 < timeout < math.inf:
            raise ConfigurationError("SQLiteStore(timeout=...) must be above 0: seconds")
        self._database = Database(name, timeout, prepare)
        self._timeout = timeout
        self._clock = clock
        self._lease_clock = lease_clock(clock)
        self._created = 0
        if foreign := self._database.peek(why_foreign):
            raise ConfigurationError(f"{self._database.path!r} {foreign}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return self._pickled(path=self._database.path, timeout=self._timeout, clock=self._clock)

    def __repr__(self) -> str:
        return f"<SQLiteStore in {self._database.path!r}>"

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        return self._live(self._database.read(_LOAD, (number(key), key)))

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
        rows = self._database.read(_OF_USER, (to_text(user), self._clock()))
        found = [(row[0], from_row(row[1:])) for row in rows]
        return [(key, record) for key, record in found if record is not None]

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for `seconds`: its fence, or None.

        None also for a tombstone: no fence is higher than its version.
        """

        def write(connection: sqlite3.Connection) -> int | None:
            connection.execute("BEGIN IMMEDIATE")
            now, moment = self._clock(), self._lease_clock()
            latest = moment + max(seconds, LONGEST_LEASE)
            arguments = (number(key), key, now, moment, latest)
            row = connection.execute(_NEXT_FENCE, arguments).fetchone()
            fence = row[0] if row else None
            taken = isinstance(fence, int) and fence < ENDED
            if taken:
                connection.execute(_ACQUIRE, (fence, moment + seconds, number(key), key))
            connection.execute("COMMIT")
            return fence if taken else None

        return self._database.write(write)

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""

        def arguments(now: float) -> Row:
            moment = self._lease_clock()
            return (moment + seconds, number(key), key, fence, now, moment)

        return self._change(_RENEW, arguments)

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""
        self._change(_RELEASE, lambda _: (number(key), key, fence))

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method by its name, awaited: `load` inline if it need not wait."""
        if method == "load":
            (key,) = arguments
            rows = self._database.read_at_once(_LOAD, (number(key), key))
            if rows is not None:
                return self._live(rows)
        return await super().ask(method, arguments)

    def close(self) -> None:
        """Close connections; a later call opens them anew."""
        self._database.close()

    def _live(self, rows: list[Row]) -> Record | None:
        record = from_row(rows[0]) if rows else None
        return record if record is not None and record.expires_at > self._clock() else None

    def _change(self, statement: str, arguments: Callable[[float], Row]) -> bool:
        """Whether a statement changed a row. `arguments` gets the time when its turn comes."""
        return self._database.write(
            lambda writer: writer.execute(statement, arguments(self._clock())).rowcount == 1
        )
