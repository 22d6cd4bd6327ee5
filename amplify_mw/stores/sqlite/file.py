"""The file of an SQLite database: which one it is, making it, and what one that is gone left.

Rules:
- A file is known by its device and inode, as long as somebody has it open or it is there.
- Processes that make a database, or remove what is left of one, take turns by a lock on its folder.
- SQLite keeps files beside it (`-wal`, `-shm`), and takes those it finds for the database's own.
  What another database left there would be written into this one, so it is removed before.
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
    """By what a database is known that was opened: its file, and the memory its users share."""

    file: Identity
    shared_memory: Identity


def identity(path: str) -> Identity:
    """Which file is at `path`, or where a link there leads to."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def shared_memory(real: str) -> Identity:
    """Which file the users of a database share."""
    return identity(f"{real}-shm")


def connect(real: str, *, timeout: float) -> sqlite3.Connection:
    """Connect to a file that is there. `timeout`: seconds to wait for others' locks."""
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
    """The file at `real`, made if there is none, beside which nothing is left of another.

    `last`: the database that this process used there before. To be called when alone.
    """
    if _is_strange(real, last):
        for suffix in ("-wal", "-shm", "-journal"):
            Path(real + suffix).unlink(missing_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return identity(real)


def _is_strange(real: str, last: Traces | None) -> bool:
    """Whether the files beside `real`, if any, belong to another database that was there before.

    They do if there is no file. If there is, but another than we used, they do if they are those we
    used: else they belong to a process that found the new one first.
    """
    there = identity(real)
    if there is None:
        return True
    if last is None or last.file == there or last.shared_memory is None:
        return False
    return shared_memory(real) == last.shared_memory
