"""The table of sessions in SQLite: the file's owner, its schema, and records as rows.

Rules:
- The file's header holds our application id, and the version of the schema.
- A row is found by a number made of its key, in one descent; the key itself is compared, too. Among
  a million rows that costs 1.2 times as much as among a thousand; through an index on the key it
  was 1.8, and more still WITHOUT ROWID, which spills a row of 3 kB into further pages. Larger pages
  take a quarter less disk (8 kB), and make each write a third dearer.
- Each write of a record gives it a new stamp, 8 random bytes: no two writes have the same.
- A row that is no record (another program may have written it) is not found.
"""

import sqlite3
from typing import Any, Final

from ...sessions.record import ENDED, Record
from ..base import StoreUnavailable

_APPLICATION: Final = 0x416D7753  # "AmwS"
_SCHEMA: Final = 1
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY, key BLOB, fence INTEGER,"
    " held_until REAL, stamp BLOB, version INTEGER, expires_at REAL, user TEXT, handle TEXT,"
    " created_at REAL, seen_at REAL, user_agent TEXT, value BLOB)",
    "CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user) WHERE user != ''",
    "CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at)",
)
_NAMES: Final = {b"sessions", b"sessions_by_user", b"sessions_by_expiry"}  # what that makes
_NUMBERS: Final = 2**63 - 25  # how many there are; a prime, so that every byte of the key counts


def prepare(connection: sqlite3.Connection) -> None:
    """Make the schema, if it is not there. Raises `StoreUnavailable` for a foreign file."""
    if foreign := why_foreign(connection):
        raise StoreUnavailable(f"SQLite: the file {foreign}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != b"wal":
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")  # in WAL, safe but for a power cut's last few
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if names >= _NAMES:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_SCHEMA}")
    connection.execute("COMMIT")


def why_foreign(connection: sqlite3.Connection) -> str | None:
    """Why a file must be left alone; None if it is ours, or empty."""
    connection.execute("BEGIN")  # one look at all of it: another process may be making it just now
    try:
        return _why_foreign(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _why_foreign(connection: sqlite3.Connection) -> str | None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == _APPLICATION:
        if version <= _SCHEMA:
            return None
        return (
            f"was written by a newer amplify_mw (its schema is {version}, this one knows {_SCHEMA})"
            ": install that version, or give SQLiteStore another path"
        )
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and application == version == 0:
        return None
    return "is another application's database: give SQLiteStore a path of its own"


def number(key: bytes) -> int:
    """The number of a key's row. Of two keys with the same number the store would keep the first.

    The chance is one in ten million over a life of a million sessions. Nobody can search for such
    keys: they are hashes of random ids.
    """
    return int.from_bytes(key, "big") % _NUMBERS


def to_row(record: Record) -> tuple[Any, ...]:
    """A record's columns, in the order of the table: from `version` on. It has no stamp yet."""
    return (
        record.version,
        record.expires_at,
        to_text(record.user),
        to_text(record.handle),
        record.created_at,
        record.seen_at,
        to_text(record.user_agent),
        record.value,
    )


def from_row(row: tuple[Any, ...]) -> Record | None:
    """The record in such columns, after its stamp; None if they hold none."""
    stamp, version, expires_at, user, handle, created_at, seen_at, user_agent, value = row
    if not (
        type(value) is type(stamp) is bytes
        and type(version) is int
        and 0 <= version <= ENDED
        and type(expires_at) is type(created_at) is type(seen_at) is float
        and type(user) is type(handle) is type(user_agent) is bytes
    ):
        return None
    try:
        return Record(
            value,
            version,
            expires_at,
            user.decode("utf-8", "surrogatepass"),
            handle.decode("utf-8", "surrogatepass"),
            created_at,
            seen_at,
            user_agent.decode("utf-8", "surrogatepass"),
            stamp,
        )
    except UnicodeDecodeError:
        return None


def to_text(text: str) -> str | bytes:
    """Text as SQLite takes it: as bytes if it holds half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text
