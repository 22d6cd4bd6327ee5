"""A session as one value in Redis: its lease and its record. The scripts read a few of its fields.

Rules:
- A packed session is a head of fixed size, three texts (each after its size), and the record's
  value, which takes the rest.
- The head: a byte for the format and the version (seven bytes), the stamp of this write (six), the
  lease (its fence in seven, the millisecond until which it is held in six, its taker in six), and
  three times. A lease is changed in place; its bytes are no part of the record.
- Every write has a stamp of its own: it tells whether a record has changed, and whether a write
  that is repeated has been carried out before.
- Anything else is not found.
"""

import secrets
import struct
from typing import Any, Final

from ...sessions.record import ENDED, Record

FORMAT: Final = 0xA7  # no text in ASCII or UTF-8 begins so
VERSION_AT: Final = 1  # the offset of each part of the head
STAMP_AT: Final = 8
FENCE_AT: Final = 14
HELD_UNTIL_AT: Final = 21
TAKER_AT: Final = 27
LEASE_END: Final = 33
EXPIRY_END: Final = 41

_HEAD: Final = struct.Struct(">Q6s19x3d")
HEAD_SIZE: Final = _HEAD.size
_FORMAT: Final = FORMAT << 56
_LONG: Final = 255  # in place of a size: the size follows in four bytes
_SIZE: Final = struct.Struct(">I")
_STAMP: Final = 6


def new_stamp() -> bytes:
    """A stamp for a write, or for the taker of a lease."""
    return secrets.token_bytes(_STAMP)


def pack(record: Record, stamp: bytes) -> bytes:
    """A record as bytes, with nobody's lease."""
    times = (record.expires_at, record.created_at, record.seen_at)
    head = _HEAD.pack(_FORMAT + record.version, stamp, *times)
    texts = [pack_text(text) for text in (record.user, record.handle, record.user_agent)]
    return b"".join((head, *texts, record.value))


def pack_text(text: str) -> bytes:
    """Any `str` as bytes, after their number."""
    encoded = text.encode("utf-8", "surrogatepass")
    size = len(encoded)
    return (bytes((size,)) if size < _LONG else b"\xff" + _SIZE.pack(size)) + encoded


def unpack(packed: Any) -> Record | None:
    """The record in packed bytes; None for anything else."""
    if not isinstance(packed, bytes) or len(packed) < HEAD_SIZE:
        return None
    version, stamp, expires_at, created_at, seen_at = _HEAD.unpack_from(packed)
    version -= _FORMAT
    if not 0 <= version <= ENDED:
        return None
    texts, at = [], HEAD_SIZE
    try:
        for _ in range(3):
            size, at = packed[at], at + 1
            if size == _LONG:
                (size,), at = _SIZE.unpack_from(packed, at), at + _SIZE.size
            texts.append(packed[at : at + size].decode("utf-8", "surrogatepass"))
            at += size
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    if at > len(packed):
        return None
    user, handle, user_agent = texts
    return Record(
        packed[at:], version, expires_at, user, handle, created_at, seen_at, user_agent, stamp
    )
