"""What there is to say of an SQLite file: its place, its rights, its journal, its disk.

Rules:
- The file is looked at, and never changed.
- What a system does not tell (`/proc/mounts` is Linux's) makes no line.
"""

import os
import shlex
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ...models.check import Check

_OLDEST: Final = (3, 24)  # the first with upserts
_NETWORK: Final = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.")
_MOUNTS: Final = "/proc/mounts"
_OTHERS: Final = stat.S_IRWXO
ROOM: Final = 100 << 20
"""Bytes that should be free on the disk."""


def checks(
    path: str, peek: Callable[[Callable[[sqlite3.Connection], str]], str | None]
) -> Iterator[Check]:
    """The lines about the file at `path`. `peek`: see `Database`."""
    yield _version()
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    yield _place(real, folder)
    if os.path.exists(real):
        yield _rights(real, folder)
        yield from _journal(peek(_mode))
    if os.path.isdir(folder):
        yield _disk(folder)


def absent(path: str) -> Check:
    """The line about a missing file, which is made by its first use."""
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        mend = f"mkdir -p {shlex.quote(folder)}, as the app's user, or correct the path"
        return Check("store", "wrong", f"there is no folder {folder!r}", mend=mend)
    if not os.access(folder, os.W_OK | os.X_OK):
        mend = "run this as the app's user, or let it write there: " + shlex.join(
            ["chown", "APP_USER", folder]
        )
        return Check("store", "wrong", f"this user may not make a file in {folder!r}", mend=mend)
    return Check("store", "ok", "there is no file yet: its first use makes it, and this user may")


def _version() -> Check:
    here = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _OLDEST:
        return Check("store_server", "wrong", f"SQLite {here}", "3.24 or newer", "upgrade Python")
    return Check("store_server", "ok", f"SQLite {here}")


def _place(real: str, folder: str) -> Check:
    kind = file_system(folder, _text(_MOUNTS))
    if kind.startswith(_NETWORK):
        return Check(
            "store_place",
            "wrong",
            f"{real!r} is on a network file system ({kind}), where two machines corrupt it",
            "a local disk",
            "write a path on a local disk; for many machines PostgresStore or RedisStore",
        )
    temporary = {"/tmp", "/var/tmp", "/dev/shm", os.path.realpath(tempfile.gettempdir())}  # noqa: S108
    if kind in ("tmpfs", "ramfs") or any(Path(real).is_relative_to(each) for each in temporary):
        return Check(
            "store_place",
            "warning",
            f"{real!r} is in a temporary place: a restart or the system's cleaning ends all "
            "sessions",
            "a folder that is kept",
            "write a path such as /var/lib/mysite/sessions.db",
        )
    return Check("store_place", "ok", repr(real))


def file_system(folder: str, mounts: str) -> str:
    r"""The kind of the file system of a folder, by the lines of `/proc/mounts`; "" if unknown.

    >>> file_system("/srv/site", "disk / ext4 rw 0 0\nnas:/x /srv nfs4 rw 0 0\n")
    'nfs4'
    """
    found, longest = "", -1
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) > 2 and len(words[1]) >= longest:
            point = words[1].replace("\\040", " ")
            if Path(folder).is_relative_to(point):
                found, longest = words[2], len(words[1])
    return found


def _rights(real: str, folder: str) -> Check:
    mode, around = os.stat(real).st_mode, os.stat(folder).st_mode
    if mode & _OTHERS:
        return Check(
            "store_rights",
            "warning",
            f"{real!r}: everybody on this machine may open it ({stat.filemode(mode)}), and see who "
            "is signed in",
            "its owner alone, or a group",
            f"chmod o-rwx {shlex.join([real, f'{real}-wal', f'{real}-shm'])}",
        )
    if around & stat.S_IWOTH and not around & stat.S_ISVTX:
        return Check(
            "store_rights",
            "wrong",
            f"{folder!r}: everybody on this machine may replace the file",
            "a folder of the site's own",
            f"chmod o-w {shlex.quote(folder)}",
        )
    return Check("store_rights", "ok", stat.filemode(mode))


def _mode(connection: sqlite3.Connection) -> str:
    found = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return found.decode() if isinstance(found, bytes) else str(found)


def _journal(mode: str | None) -> Iterator[Check]:
    if mode == "wal":
        yield Check("store_journal", "ok", "wal")
    elif mode is not None:
        yield Check(
            "store_journal",
            "warning",
            f"{mode}: readers wait for writers",
            "wal",
            "use a local disk, and let no other program change it (PRAGMA journal_mode)",
        )


def _disk(folder: str) -> Check:
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        return Check(
            "store_disk",
            "warning",
            f"{free >> 20} MiB free: when the disk is full, sign-ins and refreshes get a 503",
            f"{ROOM >> 20} MiB",
            "make room, or give SQLiteStore a path on another disk",
        )
    return Check("store_disk", "ok", f"{free >> 20} MiB free")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
