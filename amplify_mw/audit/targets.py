"""The targets of an audit: a file, which may be rotated, or a stream.

Rules:
- One line is one `write()`. A file is opened with `O_APPEND`, for several processes not to tear
  each other's lines, and with the mode 0600.
- Before each line the path is looked at: if another file is there, or none (logrotate's `create`),
  it is opened again. A truncated file (`copytruncate`) goes on from its new end.
- The part of a line that still fitted on a full disk is cut off again. If it cannot be, the next
  line begins with a newline.
- Opening and writing never wait for the reader of a named pipe. A stream waits for its own.
- Links are followed. The rights of a file that is there already stay as they are.
- With a policy to sync, a file that was moved away is synced before it is left, and so is the
  folder of a new one.
- A child of `fork()` opens the file for itself.
- A stream that could not be flushed gets no further line until it can be: its buffer would fill up
  with lines that were counted as lost.
"""

import os
import time
from contextlib import suppress
from io import BufferedIOBase, RawIOBase
from stat import S_ISREG
from typing import Any, Final

_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | _NO_WAIT
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_MODE: Final = 0o600
_SETTLED: Final = 5.0  # seconds: no line takes that long to write


class File:
    """A file by its absolute path, opened with the first line. `is_synced`: as the rules say."""

    def __init__(self, path: str, *, is_synced: bool = False) -> None:
        self.name: str = path
        self._is_synced = is_synced
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Append a line. Raises `OSError`."""
        descriptor = self._opened()
        rest = line = b"\n" + line if self._is_torn else line
        try:
            while rest:  # once, unless the disk is full
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            if rest is not line:
                self._is_torn = not _cut(descriptor, len(line) - len(rest))
            raise
        self._is_torn = False

    def _opened(self) -> int:
        """The descriptor of the file now at the path."""
        try:
            found = os.stat(self.name)
        except FileNotFoundError:
            self._leave()
        else:
            if (found.st_dev, found.st_ino) != self._identity:
                self._leave()
        if self._descriptor is None:
            self._descriptor = os.open(self.name, _FLAGS, _MODE)
            found = os.fstat(self._descriptor)
            self._identity = found.st_dev, found.st_ino
            if self._is_synced and found.st_size == 0:
                _sync_folder(self.name)
            # Younger, and another process may be writing its end just now.
            is_old = S_ISREG(found.st_mode) and time.time() - found.st_mtime > _SETTLED
            self._is_torn = is_old and _ends_amid_a_line(self.name)
        return self._descriptor

    def _leave(self) -> None:
        """Close a file that was moved away."""
        try:
            if self._is_synced and self._descriptor is not None:
                os.fsync(self._descriptor)
        finally:
            self.close()

    def duplicate(self) -> int | None:
        """A descriptor of the open file, for `fsync`; None if none is open. Raises `OSError`."""
        return None if self._descriptor is None else os.dup(self._descriptor)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        descriptor, self._descriptor, self._identity = self._descriptor, None, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def _cut(descriptor: int, written: int) -> bool:
    """Cut off the last bytes written, unless others have written since; whether they are gone."""
    try:
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        if os.fstat(descriptor).st_size != end:
            return False
        os.ftruncate(descriptor, end - written)
    except OSError:
        return False
    return True


def _sync_folder(path: str) -> None:
    """Sync the folder of a new file, which has its name."""
    with suppress(OSError):  # Windows opens no folder; some file systems sync none
        descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _ends_amid_a_line(path: str) -> bool:
    """Whether a file ends without a newline, as after a loss of power."""
    try:
        with open(path, "rb", opener=_opened_at_once) as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # it may be written and not read
        return False


def _opened_at_once(path: str, flags: int) -> int:
    """Open for reading, without waiting: there may be a pipe by now."""
    return os.open(path, flags | _NO_WAIT)


def _nothing() -> None:
    """For streams without `flush`."""


class Stream:
    """A stream of text or bytes, such as `sys.stdout`."""

    def __init__(self, stream: Any) -> None:
        self.name: str = f"<{type(stream).__name__}>"
        self._stream = stream
        is_binary = isinstance(stream, RawIOBase | BufferedIOBase)
        self._takes_bytes = is_binary or "b" in str(getattr(stream, "mode", ""))
        self._is_raw = isinstance(stream, RawIOBase)  # and may take a part of a line
        self._is_torn = False
        self._is_stuck = False  # the last line may be in the stream's buffer still

    def write(self, line: bytes) -> None:
        """Write a line and flush it. Raises the stream's own errors."""
        stream = self._stream
        flush = getattr(stream, "flush", None) or _nothing
        if self._is_stuck:
            flush()
        self._is_stuck = True
        line = b"\n" + line if self._is_torn else line
        written = stream.write(line if self._takes_bytes else line.decode("ascii"))
        if self._is_raw and written != len(line):
            self._is_torn = self._is_torn or bool(written)
            raise OSError("a part of the line was not taken")
        self._is_torn = False
        flush()
        self._is_stuck = False

    def duplicate(self) -> None:
        """None: a stream is its owner's to sync."""

    def close(self) -> None:
        """Nothing: a stream is its owner's to close."""
