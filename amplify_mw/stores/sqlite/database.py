"""An SQLite file as a process uses it: opened when needed, and anew when it is gone or failed.

Rules:
- Readers (WAL) never wait, so an event loop may read inline. Anything that may wait is done on a
  thread: writing, opening the file, and a rare read (of a database in recovery).
- Writes notice at once if the file was deleted or replaced; reads notice within a second.
- Every failure is a `StoreUnavailable` that names its kind; the next call starts afresh.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TypeVar

from ..base import StoreUnavailable
from .connections import Connections, RetiredError, Row, open_connections, opening
from .errors import unavailable, waiting_helps
from .file import connect

T = TypeVar("T")


class Database:
    """The database in the file at `path`, which is made when it is first used.

    `timeout`: seconds that a write waits for its turn, and again for another process. `prepare`:
    called with each writing connection, before any other use of the file.
    """

    def __init__(
        self, path: str, timeout: float, prepare: Callable[[sqlite3.Connection], None]
    ) -> None:
        self.path: str = os.path.abspath(path)  # a server may change its folder later
        self._timeout = timeout
        self._prepare = prepare
        self._connections: Connections | None = None  # the last; perhaps retired

    def peek(self, ask: Callable[[sqlite3.Connection], T]) -> T | None:
        """The answer of `ask` about the file as it is; None if it cannot be opened now."""
        with (
            suppress(sqlite3.Error),
            opening(self._timeout),
            closing(connect(os.path.realpath(self.path), timeout=0)) as connection,
        ):
            return ask(connection)
        return None

    def read(self, statement: str, arguments: Row) -> list[Row]:
        """The rows."""
        while True:
            connections = self._for_readers()
            try:
                return connections.read(statement, arguments)
            except RetiredError:
                continue  # closed just now
            except sqlite3.Error as error:
                if not waiting_helps(error):
                    raise _failed(connections, error) from error
            return self.write(lambda writer: writer.execute(statement, arguments).fetchall())

    def read_at_once(self, statement: str, arguments: Row) -> list[Row] | None:
        """The rows; None if `read` might wait for them or fail."""
        connections = self._connections
        if connections is None or not connections.is_usable():
            return None
        try:
            return connections.read(statement, arguments)
        except (RetiredError, sqlite3.Error):
            return None

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, called with the writing connection."""
        while True:
            connections = self._current()
            try:
                return connections.write(work)
            except RetiredError:
                continue  # closed just now
            except sqlite3.Error as error:
                raise _failed(connections, error) from error

    def close(self) -> None:
        """Close connections; a later call opens them anew."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.retire()

    def _for_readers(self) -> Connections:
        connections = self._connections
        if connections is not None and connections.is_usable():
            return connections
        return self._current()

    def _current(self) -> Connections:
        """The connections of this process to the file as it is now."""
        connections = self._connections
        if connections is not None and connections.is_current():
            return connections
        try:
            with opening(self._timeout):
                return self._open()
        except sqlite3.Error as error:
            raise unavailable(error) from error
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreUnavailable(f"SQLite: the database cannot be opened: {why}") from error

    def _open(self) -> Connections:
        last = self._connections
        if last is not None and last.is_current():
            return last  # another thread was quicker
        traces = None if last is None else last.traces
        opened = open_connections(self.path, self._timeout, self._prepare, traces)
        self._connections = opened
        if last is not None:
            last.retire()  # not before: while they were open, no other file could take their traces
        return opened


def _failed(connections: Connections, error: sqlite3.Error) -> StoreUnavailable:
    """The error to raise; the connections are given up, unless waiting helps."""
    if not waiting_helps(error):
        connections.retire()
    return unavailable(error)
