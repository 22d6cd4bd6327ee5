"""The targets of an audit: a file, which may be rotated, or a stream.

Rules:
- One line is one `write()`. A file is opened with `O_APPEND`, for several processes not to tear
  each other's lines, and with the mode 0600.
- Before each line the path is looked at: if another file is there, or none (logrotate's `create`),
  it is opened again. A truncated file (`copytruncate`) goes on from its new end.
- The part of a line that still fitted on a full disk is cut off again. If it cannot be, the next
  line begins with a newline.
- Opening and writing never wait for the reader of a pipe.
- A child of `fork()` opens the file for itself.
"""

import os
import time
from contextlib import suppress
from io import BufferedIOBase, RawIOBase
from stat import S_ISREG
from typing import Any, Final

_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_MODE: Final = 0o600
_SETTLED: Final = 5.0  # seconds: no line takes that long to write


class File:
    """A file by its absolute path, opened with the first line."""

    def __init__(self, path: str) -> None:
        self.name: str = path
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
            self.close()
        else:
            if (found.st_dev, found.st_ino) != self._identity:
                self.close()
        if self._descriptor is None:
            self._descriptor = os.open(self.name, _FLAGS, _MODE)
            found = os.fstat(self._descriptor)
            self._identity = found.st_dev, found.st_ino
            # Younger, and another process may be writing its end just now.
            is_old = S_ISREG(found.st_mode) and time.time() - found.st_mtime > _SETTLED
            self._is_torn = is_old and _ends_amid_a_line(self.name)
        return self._descriptor

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


def _ends_amid_a_line(path: str) -> bool:
    """Whether a file ends without a newline, as after a loss of power."""
    try:
        with open(path, "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # it may be written and not read
        return False


class Stream:
    """A stream of text or bytes, such as `sys.stdout`."""

    def __init__(self, stream: Any) -> None:
        self.name: str = f"<{type(stream).__name__}>"
        self._stream = stream
        is_binary = isinstance(stream, RawIOBase | BufferedIOBase)
        self._takes_bytes = is_binary or "b" in str(getattr(stream, "mode", ""))

    def write(self, line: bytes) -> None:
        """Write a line and flush it. Raises the stream's own errors."""
        stream = self._stream
        written = stream.write(line if self._takes_bytes else line.decode("ascii"))
        if isinstance(self._stream, RawIOBase) and written != len(line):
            raise OSError("a part of the line was not taken")
        flush = getattr(stream, "flush", None)
        if flush is not None:
            flush()

    def duplicate(self) -> None:
        """None: a stream is its owner's to sync."""

    def close(self) -> None:
        """Nothing: a stream is its owner's to close."""
