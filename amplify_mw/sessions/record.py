"""`Record`: the value that a session store keeps under a key.

Rules:
- `value` is sealed before it is stored; a store never sees a token.
- The other fields are for finding and listing sessions. Anybody who can read the store can see
  them. They are bound to `value`: if one was changed, the session does not open. (Listing sessions
  opens none, and trusts the fields.)
- `version` decides which of two writes is newer, even if they arrive late.
- A session that has ended leaves a tombstone: a record of version `ENDED` without a user. Its value
  is empty, or says in two bytes (a format, and flags) how the session ended. A value in an unknown
  format says nothing.
"""

from dataclasses import dataclass, field
from typing import Final

ENDED: Final = 2**53 - 1  # a tombstone's version, the highest: no write replaces it
LONGEST_LEASE: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Record:
    """One session's record.

    `version`: from 0 to 2**53 - 1. `expires_at`: from then on it is not found. `user`: its user
    ("": none, as in a coordinator). `handle`: the session's name in lists. `user_agent`: as the
    site gave it. All times are seconds since the epoch. `stamp`: the mark of the write it came
    from, by which its store recognises it; empty if the store has none, or has not written it yet.
    """

    value: bytes = field(repr=False)
    version: int
    expires_at: float
    user: str = ""
    handle: str = ""
    created_at: float = 0.0
    seen_at: float = 0.0
    user_agent: str = ""
    stamp: bytes = field(default=b"", repr=False, compare=False)


_ASKS_AGAIN: Final = b"\x01\x01"  # the format, and its one flag


def tombstone(until: float, *, asks_again: bool = False) -> Record:
    """The record of a session that has ended, kept until `until`.

    `asks_again`: it was ended from elsewhere, so its browser must ask for the password again.
    """
    return Record(_ASKS_AGAIN if asks_again else b"", ENDED, until)


def has_ended(record: Record | None) -> bool:
    """Whether a record is a tombstone."""
    return record is not None and record.version == ENDED


def asks_again(record: Record | None) -> bool:
    """Whether a record is the tombstone of a session ended from elsewhere."""
    return record is not None and record.version == ENDED and record.value == _ASKS_AGAIN
