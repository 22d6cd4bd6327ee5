"""SQLite's failures, and the sentence for each: it names the kind, and no statement or value."""

import sqlite3
from typing import Final

from ..base import StoreUnavailable

_FAILURES: Final = {
    sqlite3.SQLITE_BUSY: "the database is locked",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CORRUPT: "the database is corrupt",
    sqlite3.SQLITE_NOTADB: "the file is no database, or a corrupt one",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_PERM: "the database cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write",
}
_WAITING_HELPS: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class TurnError(sqlite3.OperationalError):
    """A thread of this process, or a process opening the file, kept us waiting for too long."""

    sqlite_errorcode: int = sqlite3.SQLITE_BUSY
    sqlite_errorname: str = "SQLITE_BUSY"


def waiting_helps(error: sqlite3.Error) -> bool:
    """Whether this is only a lock: nothing is wrong with the file or its connections."""
    return _kind(error) in _WAITING_HELPS


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """The error to raise. SQLite's own words are left out: they may quote a statement."""
    known = _FAILURES.get(_kind(error), "the database failed")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreUnavailable(f"SQLite: {known} ({name})")


def _kind(error: sqlite3.Error) -> int:
    """The primary result code, without the details of an extended one."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
