"""The file of an SQLite database: its identity, making it, and removing an earlier one's remains.

Rules:
- A file is identified by its device and inode, as long as it exists or is open.
- Processes take turns, by a lock on the folder, at making a database or removing remains of one.
- SQLite keeps files beside the database (`-wal`, `-shm`), and believes any it finds there. The
  remains of another database would be written into this one, so they are removed first.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .errors import TurnError

Identity: TypeAlias = tuple[int, int] | None  # a file's device and inode; None if there is none


class Traces(NamedTuple):
    """The identity of an opened database: its file, and the memory shared by its users."""

    file: Identity
    shared_memory: Identity


def identity(path: str) -> Identity:
    """The file at `path`, or at the end of a link there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def shared_memory(real: str) -> Identity:
    """The file that a database's users share memory through."""
    return identity(f"{real}-shm")


def connect(real: str, *, timeout: float) -> sqlite3.Connection:
    """Connect to an existing file. `timeout`: seconds to wait for others' locks."""
    connection = sqlite3.connect(
        f"{Path(real).as_uri()}?mode=rw",  # a file that was deleted is not made anew unnoticed
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes  # what is no UTF-8 is not found, rather than a failure
    return connection


@contextmanager
def alone_in(folder: str, timeout: float) -> Iterator[None]:
    """While no other process makes or removes a database in `folder`.

    Raises `TurnError` if others keep at it for `timeout` seconds.
    """
    if sys.platform == "win32":  # nobody can delete what is open there
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        give_up_at = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise TurnError from None
                time.sleep(0.005)
            except OSError:
                break  # a file system without such locks
            else:
                break
        yield
    finally:
        os.close(descriptor)


def make(real: str, last: Traces | None) -> Identity:
    """The file at `real`, made if there is none, after removing an earlier database's remains.

    `last`: the database that this process used there before. Call it when `alone_in` the folder.
    """
    if _is_strange(real, last):
        for suffix in ("-wal", "-shm", "-journal"):
            Path(real + suffix).unlink(missing_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return identity(real)


def _is_strange(real: str, last: Traces | None) -> bool:
    """Whether the files beside `real`, if any, are the remains of another database.

    They are if `real` itself is missing. If it is a new file, they are if we used them with the old
    one; else they belong to a process that opened the new file before us.
    """
    there = identity(real)
    if there is None:
        return True
    if last is None or last.file == there or last.shared_memory is None:
        return False
    return shared_memory(real) == last.shared_memory
