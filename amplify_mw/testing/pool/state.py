"""The state file of a local user pool: one JSON document, one process at a time.

Rules:
- The file is written beside and moved into place, so it is whole at every moment. Only its owner
  may read it (mode 0600): it holds the private signing keys.
- A lock beside the file (`FILE.lock`) is held while the pool has it open. A process that has
  ended, in any way, holds no lock.
- A damaged file is moved to another name, and is an error. A JSON file of another program is an
  error, too, and stays in its place. Neither is ever overwritten.
"""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

VERSION: Final = 2
_READ: Final = (1, 2)  # an older program would drop what is new in 2
MARK: Final = "amplify_mw_local_pool"  # the document's member with its version


class StateError(Exception):
    """The state file cannot be used: `str()` says why, and what to do."""


class StateFile:
    """A state file. `open` before anything else, `close` at the end."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self._lock: int | None = None  # a descriptor of the lock file
        self._written: str | None = None

    def open(self) -> Mapping[str, Any] | None:
        """Lock the file and read it; None if there is none yet. Raises `StateError`."""
        self._lock = self._locked()
        try:
            return self._read()
        except BaseException:
            self.close()
            raise

    def save(self, members: Mapping[str, Any]) -> None:
        """Write the state if it has changed. Does nothing unless open. Raises `OSError`."""
        if self._lock is None:
            return
        text = json.dumps({MARK: VERSION, **members}, indent=1)
        if text == self._written:
            return
        write_whole(self.path, text.encode(), mode=0o600)
        self._written = text

    def close(self) -> None:
        """Release the file. Does nothing if it is released."""
        if self._lock is not None:
            os.close(self._lock)  # and with it the lock goes
            self._lock = None

    def set_aside(self, reason: str) -> StateError:
        """Move the file to a new name; the error to raise."""
        for number in range(1, 1000):
            name = self.path.with_name(f"{self.path.name}.damaged-{number}")
            if not name.exists():
                break
        os.replace(self.path, name)
        return StateError(
            f"{self.path} is damaged ({reason}). It is kept as {name}; nothing was overwritten. "
            "Mend it and move it back, or start again with a new, empty state"
        )

    def _read(self) -> Mapping[str, Any] | None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror}") from error
        if not content:
            return None
        try:
            members = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.set_aside(f"it is not JSON: {error}") from error
        version = members.get(MARK) if isinstance(members, dict) else None
        if version not in _READ:
            reason = (
                "is not a state file of a local pool"
                if version is None
                else f"is of version {version!r}, and this amplify-mw reads up to {VERSION}"
            )
            raise StateError(f"{self.path} {reason}. It is left as it is: choose another file")
        return dict(members)

    def _locked(self) -> int:
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            _lock(opened)
        except OSError:
            os.close(opened)
            raise StateError(
                f"{self.path} is in use by another local pool. End that one, or choose another file"
            ) from None
        return opened


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file at once: others see the old content or the new. Raises `OSError`."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(beside, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _lock(file: int) -> None:
    """Lock a file for this process. Raises `OSError` if another has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
