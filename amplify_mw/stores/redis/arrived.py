"""Values that have arrived on an awaited connection, taken all at once.

Awaiting each of them through redis-py takes several times as long as asking for it.

Rules:
- Only whole values are taken, and only those asked for. Errors, numbers, lists, and what has come
  in part are redis-py's to read: nothing is taken that it would have to have back.
- A value is looked at before it is taken, in the buffer of asyncio's stream. redis-py's own reader
  is empty between two answers. That is not so with hiredis, which reads ahead: it reads alone then.
- Both buffers are private. If one is not found as it is known here, redis-py reads everything.
"""

from typing import Any, Final

import redis
from redis.utils import HIREDIS_AVAILABLE

_SIZE: Final = 12  # bytes of a value's first line, at most


async def take_arrived(connection: Any, most: int) -> list[bytes | None]:
    """So many values at most, which are the next answers. Waits for nothing."""
    reader: Any = getattr(connection, "_reader", None)  # asyncio.StreamReader
    buffer = getattr(reader, "_buffer", None)
    if HIREDIS_AVAILABLE or type(buffer) is not bytearray:
        return []
    found, size = values_in(bytes(buffer), most)
    if size:
        try:
            await reader.readexactly(size)
        except OSError as error:  # the connection broke behind them
            raise redis.ConnectionError(type(error).__name__) from error
    return found


def values_in(buffer: bytes, most: int) -> tuple[list[bytes | None], int]:
    """The values at the beginning of some bytes, and how many bytes they take."""
    found: list[bytes | None] = []
    at, size = 0, len(buffer)
    for _ in range(most):
        line = buffer.find(b"\r\n", at, at + _SIZE) + 2
        if line < 2 or buffer[at] != 0x24:  # "$"
            break
        length = buffer[at + 1 : line - 2]
        if length == b"-1":
            found.append(None)
            at = line
            continue
        if not length.isdigit():
            break
        end = line + int(length)
        if end + 2 > size:
            break
        found.append(buffer[line:end])
        at = end + 2
    return found, at
