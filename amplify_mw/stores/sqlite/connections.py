"""One process's connections to one file: several readers and one writer.

Rules:
- A connection is used by one thread at a time, and only by the process that opened it.
- Reading never waits for a lock. The threads of a process take turns at writing.
- Retired connections are no longer lent: idle ones are closed at once, others when they come back.
- No connection is open across `fork()`: two processes with the same SQLite locks would corrupt the
  file. If a child inherits one all the same, it neither uses nor closes it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock, RLock
from typing import Any, ClassVar, Final, TypeAlias, TypeVar
from weakref import WeakSet

from .errors import TurnError
from .file import Traces, alone_in, connect, identity, make, shared_memory

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

_LOOK_EVERY: Final = 1.0  # seconds between a reader's looks at whether the file is still there
_IDLE_READERS: Final = 8  # kept at most
_READERS_CACHE: Final = 256  # kB. A larger one is rarely hit among many sessions, and is slower:
# it does not fit into the processor's. The system's own cache has the pages.


class RetiredError(Exception):
    """These connections are no longer lent: open new ones."""


@contextmanager
def opening(timeout: float) -> Iterator[None]:
    """While this process opens nothing else, and does not fork. Raises `TurnError` in the end."""
    lock = _opening
    if not lock.acquire(timeout=timeout):
        raise TurnError
    try:
        yield
    finally:
        lock.release()


def open_connections(
    path: str, timeout: float, prepare: Callable[[sqlite3.Connection], None], last: Traces | None
) -> "Connections":
    """Connect to the file at `path`, making it if it is missing, and `prepare` it.

    `last`: the database that this process used there before. Call it within `opening`.
    """
    real = os.path.realpath(path)  # where SQLite puts the files beside it
    with alone_in(os.path.dirname(real), timeout):
        file = make(real, last)  # known first: should another take its place, that will be noticed
        writer = connect(real, timeout=timeout)
        try:
            prepare(writer)
        except BaseException:
            writer.close()
            raise
        opened = Connections(path, real, Traces(file, shared_memory(real)), timeout, writer)
        _opened.add(opened)
        return opened


class Connections:
    """Connections to the file `traces.file`, found at `path`. `timeout`: to wait for a turn."""

    _inherited: ClassVar[list["Connections"]] = []  # kept for good, so that nothing closes them
    # What is collected with a cycle is finalized in any order: these wait for `__del__`.
    _held: ClassVar[dict[int, tuple[list[sqlite3.Connection], sqlite3.Connection]]] = {}

    def __init__(
        self, path: str, real: str, traces: Traces, timeout: float, writer: sqlite3.Connection
    ) -> None:
        self.traces: Traces = traces
        self._pid = os.getpid()
        self._path = path
        self._real = real
        self._timeout = timeout
        self._retired = False
        self._look_at = time.monotonic() + _LOOK_EVERY
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._returned = Condition()
        self._writer = writer
        self._writing = Lock()
        self._held[id(self)] = (self._idle, writer)

    def is_current(self) -> bool:
        """Whether this process may use them, and their file is still in its place."""
        if self._retired or self._pid != os.getpid():
            return False
        if identity(self._path) != self.traces.file:
            self._look_at = 0.0  # readers look at once, too
            return False
        self._look_at = time.monotonic() + _LOOK_EVERY
        return True

    def is_usable(self) -> bool:
        """The same for readers, which check the file only once a second."""
        if time.monotonic() < self._look_at:
            return not self._retired and self._pid == os.getpid()
        return self.is_current()

    def read(self, statement: str, arguments: Row) -> list[Row]:
        """The rows."""
        with self._returned:
            if self._retired:
                raise RetiredError
            self._lent += 1
            reader = self._idle.pop() if self._idle else None
        try:
            if reader is None:
                reader = self._open_reader()
            rows = reader.execute(statement, arguments).fetchall()
        except BaseException:
            self._take_back(reader, keep=False)
            raise
        self._take_back(reader, keep=True)
        return rows

    def _open_reader(self) -> sqlite3.Connection:
        reader = connect(self._real, timeout=0)
        try:
            if identity(self._path) != self.traces.file:  # it may have opened another file
                self._look_at = 0.0
                raise RetiredError
            reader.execute("PRAGMA query_only = ON")
            reader.execute(f"PRAGMA cache_size = -{_READERS_CACHE}")
        except BaseException:
            reader.close()
            raise
        return reader

    def _take_back(self, reader: sqlite3.Connection | None, *, keep: bool) -> None:
        with self._returned:
            self._lent -= 1
            if self._retired:
                self._returned.notify_all()
            elif keep and reader is not None and len(self._idle) < _IDLE_READERS:
                self._idle.append(reader)
                return
            if reader is not None:
                reader.close()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, called with the writing connection when this thread's turn comes.

        Anything `work` begins and does not commit is rolled back.
        """
        if not self._writing.acquire(timeout=self._timeout):
            raise TurnError
        try:
            if self._retired:
                raise RetiredError
            return work(self._writer)
        except BaseException:
            with suppress(sqlite3.Error):
                self._writer.rollback()
            raise
        finally:
            self._writing.release()
            if self._retired:  # perhaps meanwhile, by a thread that did not wait
                self._close_writer()

    def retire(self) -> None:
        """Lend no more. Connections in use are closed when they come back."""
        self._retire(wait=0.0)

    def retire_for_fork(self) -> None:
        """The same, but wait until all are closed, up to the timeout."""
        self._retire(wait=self._timeout)

    def _retire(self, wait: float) -> None:
        if self._pid != os.getpid():
            return
        with self._returned:
            self._retired = True
            while self._idle:
                self._idle.pop().close()
            self._returned.wait_for(lambda: self._lent == 0, wait)
        self._close_writer(wait)

    def _close_writer(self, wait: float = 0.0) -> None:
        """Close it, unless it is in use for longer: then its user closes it."""
        if self._writing.acquire(timeout=wait):
            self._writer.close()
            self._writing.release()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            try:
                self.retire()
            finally:
                self._held.pop(id(self), None)
        else:
            self._inherited.append(self)


_opening = RLock()  # reentrant, for a signal's handler that forks amid an opening
_opened: Final["WeakSet[Connections]"] = WeakSet()  # perhaps retired, and still in use


def _before_fork() -> None:
    _opening.acquire()
    for connections in list(_opened):
        connections.retire_for_fork()


def _after_fork_in_parent() -> None:
    _opening.release()


def _after_fork_in_child() -> None:
    global _opening
    _opening = RLock()  # a new one: who forks in C may have run this hook alone


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
