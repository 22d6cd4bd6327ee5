"""How one lasting session is kept in a store, and which known version of it is the newest.

A session is a bundle of tokens. Its newest bundle is in a store, under a key derived from the
session's cookie. A sealed session has a bundle in the cookie itself as well.

Rules:
- The newest bundle is the one with the highest turn, in the cookie or in the store.
- A session that has ended has no record, or a tombstone; nothing replaces a tombstone.
- A record that was tampered with counts as absent.
"""

from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from .bundle import Bundle
from .record import Record, has_ended

_RECORD_SIZE: Final = 400  # bytes of a record's own, beside its texts


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
    the cookie, or than the caller's version. `record`: the one it was found in; see `kept_record`.
    """

    codec: RecordCodec
    bundle: Bundle
    sealed: bytes
    is_newer: bool = False
    record: Record | None = None

    @property
    def record_size(self) -> int:
        """Bytes of the record in memory, roughly, beside its value (which is `sealed`)."""
        record = self.record
        if record is None:
            return 0
        texts = len(record.user) + len(record.handle) + len(record.user_agent)
        return _RECORD_SIZE + texts + len(record.stamp)

    def __repr__(self) -> str:
        return "<LoadedSession>"


def kept_record(codec: RecordCodec, record: Record | None) -> Record | None:
    """What to keep of a session's record, so that its store can answer that it is unchanged.

    Of a session in its cookie only the mark of the record's last write: its value is not needed.
    """
    if record is None or not codec.in_cookie:
        return record
    return replace(record, value=b"") if record.stamp else None


def newest(loaded: LoadedSession, record: Record | None) -> LoadedSession | None:
    """The newer of a session and its record in the store; None if the session has ended."""
    codec = loaded.codec
    if record is None:
        return loaded if codec.in_cookie else None
    if has_ended(record):
        return None
    if codec.in_cookie and record.version <= loaded.bundle.turn:
        return loaded._replace(record=kept_record(codec, record))
    opened = codec.open(record)
    if opened is None:
        return loaded if codec.in_cookie else None
    bundle, sealed = opened
    if bundle.turn < loaded.bundle.turn:
        return loaded
    is_newer = bundle.turn > loaded.bundle.turn
    return LoadedSession(codec, bundle, sealed, is_newer, kept_record(codec, record))
