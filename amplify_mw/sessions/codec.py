"""Where a session that lasts is kept: its place in a store, and which view of it is the newest.

A session is a bundle of tokens. The newest of its bundles is kept in a store, under a key that only
the session's cookie leads to; a sealed session's own bundle is in its cookie besides.

Rules:
- The newest bundle is the one of the highest turn, wherever it was found.
- A session that has ended has no record, or a tombstone, which no write comes after.
- This process remembers an end by itself as well, whether or not the store could be told, so that
  no slow answer sets a cookie of that session.
- A record that was tampered with counts as if it were not there.
- The operator is told once that the store does not answer, and once that it does again. Where it
  answers reads alone, only a write ends that. The same failure is told once a minute at most.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from ..effects import Ask, Cache, Flow, Forget, Outage, Unreachable
from .bundle import Bundle
from .record import Record, asks_again, has_ended, tombstone

_STORE: Final = "the session store"
_REMEMBERED: Final = 3600.0  # seconds in which a slow answer may come
_READS: Final = frozenset(("load", "of_user"))
_TOLD_FOR: Final = 60.0  # seconds for which a failure is not told again
_MAX_TOLD: Final = 100


class RecordCodec(Protocol):
    """Where one session is kept, and how its bundle is sealed there.

    `in_cookie`: the session lives in its cookie, so that no record need be there; the store tells
    of what has become of it since.
    """

    key: bytes
    in_cookie: bool

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:
        """The record that keeps a bundle, and what `LoadedSession` calls sealed."""
        ...

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same from a record; None if it is not this session's."""
        ...

    def cookie(self, sealed: bytes) -> bytes:
        """The value of the cookie that leads to what was sealed so."""
        ...


class LoadedSession(NamedTuple):
    """A session as it was found.

    `sealed`: its bundle as it is kept: the cookie's value, or that of the record. `is_newer`: than
    what the cookie, or whoever asks, knows.
    """

    codec: RecordCodec
    bundle: Bundle
    sealed: bytes
    is_newer: bool = False

    def __repr__(self) -> str:
        return "<Seen>"


def newest(loaded: LoadedSession, record: Record | None) -> LoadedSession | None:
    """The newer of what is known of a session and of its record; None if it has ended."""
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


class StoreClient:
    """The store, as flows ask it.

    `memory`: a store of this process alone; it may be the same. `verdicts`: where this process
    believes in its sessions.
    """

    def __init__(self, store: Any, memory: Any, verdicts: Callable[[], list[Cache]]) -> None:
        self._store = store
        self._memory = memory
        self._verdicts = verdicts
        self._failing: str | None = None  # "reads", or "writes" alone; and the operator knows
        self._told: dict[str, float] = {}  # failures, and when they were told

    def ask(self, method: str, *arguments: Any) -> Ask:
        """A question to the store."""
        return Ask(self._store, method, arguments)

    def tell(self, method: str, *arguments: Any) -> Flow[tuple[Any, float]]:
        """A flow: the answer to a question, and when it came. Raises `Unreachable`."""
        reads = method in _READS
        try:
            answer, now = yield self.ask(method, *arguments)
        except Unreachable as error:
            yield from self._failed(str(error), error.now or 0.0, reads=reads)
            raise
        if self._failing == "reads" or (self._failing and not reads):
            self._failing = None
            yield Outage(_STORE, over=True)
        return answer, now

    def _failed(self, why: str, now: float, *, reads: bool) -> Flow[None]:
        """A flow: tell the operator, unless that is known or was told a short time ago."""
        if self._failing == "reads" or (self._failing and not reads):
            return
        told_at = self._told.get(why)
        is_known = told_at is not None and abs(now - told_at) < _TOLD_FOR
        if self._failing or not is_known:
            self._failing = "reads" if reads else "writes"
        if not is_known:
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told[why] = now
            yield Outage(_STORE, why)

    def leave_tombstone(
        self,
        codec: RecordCodec,
        bundle: Bundle,
        until: float,
        now: float,
        *,
        asks_again: bool = False,
    ) -> Flow[None]:
        """A flow: end a session for good, for all who know it. Raises `Unreachable`.

        `until`: when no cookie of it is good any more.
        """
        if not codec.in_cookie:
            yield from self.delete(codec.key, until, now, asks_again=asks_again)
            return
        yield from self.note(codec.key, now)
        record = tombstone(until, asks_again=asks_again)
        for method in ("replace", "create", "replace"):
            kept, _ = yield from self.tell(method, codec.key, record)
            if kept:
                break
        sid = bundle.sid
        # What is being made now is not believed either.
        yield Forget(self._verdicts(), lambda verdict: _has_sid(verdict, sid))

    def delete(
        self, key: bytes, until: float, now: float, *, asks_again: bool = False
    ) -> Flow[bool]:
        """A flow: end a session that is nowhere but in the store; False if there is none.

        Raises `Unreachable`.
        """
        yield from self.note(key, now)
        ended, _ = yield from self.tell("delete", key)
        if ended and asks_again:
            with suppress(Unreachable):  # it has ended all the same
                yield from self.tell("create", key, tombstone(until, asks_again=True))
        return bool(ended)

    def note(self, key: bytes, now: float) -> Flow[None]:
        """A flow: have this process remember an end for a while, whatever becomes of the store.

        Only that of a session that was there: anybody may send ids that are none.
        """
        if not (yield from self._is_noted(key)):
            yield Ask(self._memory, "exchange", (key, tombstone(now + _REMEMBERED)))

    def _is_noted(self, key: bytes) -> Flow[bool]:
        """A flow: whether this process remembers an end by itself, or need not."""
        if self._memory is self._store:
            return True
        noted, _ = yield Ask(self._memory, "load", (key,))
        return has_ended(noted)

    def is_over(self, codec: RecordCodec) -> Flow[bool]:
        """A flow: whether a session has ended, as far as can be told now."""
        if self._memory is not self._store and (yield from self._is_noted(codec.key)):
            return True
        try:
            record, _ = yield from self.tell("load", codec.key)
        except Unreachable:
            return False
        return has_ended(record) or (record is None and not codec.in_cookie)

    def asks_again(self, codec: RecordCodec) -> Flow[bool]:
        """A flow: whether a session that is over was ended from elsewhere."""
        try:
            record, _ = yield from self.tell("load", codec.key)
        except Unreachable:
            return False
        return asks_again(record)


def _has_sid(verdict: Any, sid: bytes) -> bool:
    return verdict.held is not None and verdict.held.bundle.sid == sid
