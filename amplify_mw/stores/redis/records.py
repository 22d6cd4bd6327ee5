"""A record as one value in Redis. The scripts read a few of its fields.

Rules:
- A packed record is a header, three texts, and the record's value, which takes the rest.
- The header: magic and format, version, a random number for this write (so that a repeated write is
  recognised), three times, the sizes of the texts.
- Anything else is not found.
"""

import secrets
import struct
from typing import Any, Final

from ...sessions.record import ENDED, Record

MAGIC: Final = b"amw1"
_HEADER: Final = struct.Struct(">4sQ8s3d3I")
HEADER_SIZE: Final = _HEADER.size
EXPIRES_AT: Final = struct.calcsize(">4sQ8s")  # the offset of the expiry in the header
USER_SIZE_AT: Final = struct.calcsize(">4sQ8s3d")  # the offset of the user's size


def pack(record: Record) -> bytes:
    """A record as bytes; never the same twice."""
    texts = [encode(text) for text in (record.user, record.handle, record.user_agent)]
    times = (record.expires_at, record.created_at, record.seen_at)
    sizes = [len(text) for text in texts]
    header = _HEADER.pack(MAGIC, record.version, secrets.token_bytes(8), *times, *sizes)
    return b"".join((header, *texts, record.value))


def unpack(packed: Any) -> Record | None:
    """The record in packed bytes; None for anything else."""
    if not isinstance(packed, bytes) or len(packed) < HEADER_SIZE:
        return None
    magic, version, _, expires_at, created_at, seen_at, *sizes = _HEADER.unpack_from(packed)
    if magic != MAGIC or version > ENDED or HEADER_SIZE + sum(sizes) > len(packed):
        return None
    texts, start = [], HEADER_SIZE
    for size in sizes:
        texts.append(packed[start : start + size])
        start += size
    try:
        user, handle, user_agent = (text.decode("utf-8", "surrogatepass") for text in texts)
    except UnicodeDecodeError:
        return None
    return Record(
        packed[start:], version, expires_at, user, handle, created_at, seen_at, user_agent
    )


def encode(text: str) -> bytes:
    """Any `str` as bytes."""
    return text.encode("utf-8", "surrogatepass")
