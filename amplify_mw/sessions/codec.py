"""How one lasting session is kept in a store, and which known version of it is the newest.

A session is a bundle of tokens. Its newest bundle is in a store, under a key derived from the
session's cookie. A sealed session has a bundle in the cookie itself as well.

Rules:
- The newest bundle is the one with the highest turn, in the cookie or in the store.
- A session that has ended has no record, or a tombstone; nothing replaces a tombstone.
- A record that was tampered with counts as absent.
"""

from typing import NamedTuple, Protocol

from .bundle import Bundle
from .record import Record, has_ended


class RecordCodec(Protocol):
    """One session's key in the store, and how its bundle is sealed there.

    `in_cookie`: the cookie holds the session itself. Such a session may have no record; a record
    says how it has changed since.
    """

    key: bytes
    in_cookie: bool
    session: str  # the kind of session, as events call it

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:
        """The record for a bundle, and the bundle as sealed: `LoadedSession.sealed`."""
        ...

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same two from a record; None if it belongs to another session."""
        ...

    def cookie(self, sealed: bytes) -> bytes:
        """The value of the cookie for a bundle sealed so."""
        ...


class LoadedSession(NamedTuple):
    """A session as it was found.

    `sealed`: its bundle as it is kept: the cookie's value, or the record's. `is_newer`: newer than
    the cookie, or than the caller's version.
    """

    codec: RecordCodec
    bundle: Bundle
    sealed: bytes
    is_newer: bool = False

    def __repr__(self) -> str:
        return "<LoadedSession>"


def newest(loaded: LoadedSession, record: Record | None) -> LoadedSession | None:
    """The newer of a session and its record in the store; None if the session has ended."""
    codec = loaded.codec
    if record is None:
        return loaded if codec.in_cookie else None
    if has_ended(record):
        return None
    if codec.in_cookie and record.version <= loaded.bundle.turn:
        return loaded
    opened = codec.open(record)
    if opened is None:
        return loaded if codec.in_cookie else None
    bundle, sealed = opened
    if bundle.turn < loaded.bundle.turn:
        return loaded
    return LoadedSession(codec, bundle, sealed, is_newer=bundle.turn > loaded.bundle.turn)
