"""Reading what is pasted into a terminal.

Rules:
- No line is too long. By itself, a terminal keeps 4,095 bytes of a line (macOS: 1,024) and drops
  the rest of it: of most `Cookie` headers, the end.
- The terminal is as it was before, however the reading ends.
"""

import os
from typing import BinaryIO, Final

_AT_ONCE: Final = 65_536  # bytes


def read_pasted(file: BinaryIO, limit: int) -> bytes:
    """The bytes up to Ctrl-D (Windows: to the file's end): at most `limit`, or a little more."""
    try:
        import termios
    except ImportError:  # Windows
        return file.read(limit)
    descriptor = file.fileno()
    before, during = termios.tcgetattr(descriptor), termios.tcgetattr(descriptor)
    during[3] &= ~termios.ICANON
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0
    end: bytes = before[6][termios.VEOF]
    termios.tcsetattr(descriptor, termios.TCSANOW, during)
    try:
        return _until(descriptor, limit, end)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _until(descriptor: int, limit: int, end: bytes) -> bytes:
    found = bytearray()
    while len(found) < limit:
        read = os.read(descriptor, _AT_ONCE)
        text, ended, _ = read.partition(end)
        found += text
        if ended or not read:
            break
    return bytes(found)
