"""`Record`: what a session store keeps under a key.

Rules:
- `value` is sealed before it gets here; a store never sees a token.
- The other members are for finding and listing sessions. They are visible to whoever can read the
  store, and bound to `value`: a session is refused when it is opened and one of them was changed.
  (A list opens nothing, and believes them.)
- `version` decides which of two writes is newer, however late they come.
- What is left of a session that has ended is a tombstone: a record of the version `ENDED` that
  names nobody. Its value is empty, or says in two bytes (a format, and flags) how it ended. A value
  in an unknown format says nothing.
"""

from dataclasses import dataclass, field
from typing import Final

ENDED: Final = 2**53 - 1  # the version that no write comes after: that of a session that has ended
LONGEST_LEASE: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Record:
    """One session's record.

    `version`: from 0 to 2**53 - 1. `expires_at`: from when on it is not found. `user`: whose it
    is ("": nobody's, as it is with a coordinator's). `handle`: what the session is called in lists.
    `user_agent`: as the site gave it. All times are seconds since the epoch.
    """

    value: bytes = field(repr=False)
    version: int
    expires_at: float
    user: str = ""
    handle: str = ""
    created_at: float = 0.0
    seen_at: float = 0.0
    user_agent: str = ""


_ASKS_AGAIN: Final = b"\x01\x01"  # the format, and its one flag


def tombstone(until: float, *, asks_again: bool = False) -> Record:
    """The record of a session that has ended, kept until then.

    `asks_again`: it was ended from elsewhere, so that its browser is to ask for the password again.
    """
    return Record(_ASKS_AGAIN if asks_again else b"", ENDED, until)


def has_ended(record: Record | None) -> bool:
    """Whether a record is a tombstone."""
    return record is not None and record.version == ENDED


def asks_again(record: Record | None) -> bool:
    """Whether a record is the tombstone of a session that was ended from elsewhere."""
    return record is not None and record.version == ENDED and record.value == _ASKS_AGAIN
