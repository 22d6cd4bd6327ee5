"""How flows ask a session store, and how they end a session in it.

Rules:
- Each call names a method of the store's type (`Store.load`), so a type checker knows its arguments
  and its answer.
- The operator is told once when the store stops answering, and once when it answers again. If only
  writes failed, only a write ends the outage. The same failure is told at most once a minute.
- This process remembers the end of a session by itself as well, even if the store could not be
  told: no slow answer may set that session's cookie again. Another process's end is asked for,
  unless the store knew the session a moment ago.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, TypeVarTuple

from ..effects import Ask, Cache, Flow, Forget, Outage, Unreachable
from .bundle import Bundle
from .codec import RecordCodec
from .record import Record, asks_again, has_ended, tombstone
from .store import Memory, Store

S_co = TypeVar("S_co", bound=Store, covariant=True)  # all calls of a `Store` are a `Memory`'s, too
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STORE: Final = "the session store"
_REMEMBERED: Final = 3600.0  # seconds in which a slow answer may come
_A_MOMENT: Final = 1.0  # seconds: an answer can spend as long on its way to the browser
_READS: Final[frozenset[Callable[..., Any]]] = frozenset((Store.load, Store.reload, Store.of_user))
_TOLD_FOR: Final = 60.0  # seconds for which a failure is not told again
_MAX_TOLD: Final = 100


class StoreClient(Generic[S_co]):
    """Asks a store, and tells the operator of its outages.

    `memory`: the store of this process; it may be the same. `verdicts`: gives all verdict caches of
    this process.
    """

    def __init__(self, store: S_co, memory: Memory, verdicts: Callable[[], list[Cache]]) -> None:
        self._store = store
        self._memory = memory
        self._verdicts = verdicts
        self._failing: str | None = None  # "reads", or "writes" alone; and the operator knows
        self._told: dict[str, float] = {}  # failures, and when they were told

    def call(self, call: Callable[[S_co, *Ts], T], *arguments: *Ts) -> Ask[T]:
        """A call of the store, as an effect."""
        return Ask(self._store, call, *arguments)

    def ask(self, call: Callable[[S_co, *Ts], T], *arguments: *Ts) -> Flow[tuple[T, float]]:
        """The store's answer, and its time. An outage is told. Raises `Unreachable`."""
        answered: tuple[T, float]
        try:
            answered = yield Ask(self._store, call, *arguments)
        except Unreachable as error:
            yield from self._failed(str(error), error.now or 0.0, reads=call in _READS)
            raise
        if self._failing and (self._failing == "reads" or call not in _READS):
            self._failing = None
            yield Outage(_STORE, over=True, dependency="store")
        return answered

    def ask_quietly(self, call: Callable[[S_co, *Ts], T], *arguments: *Ts) -> Flow[tuple[T, float]]:
        """The same, without telling an outage: for a call next to another one."""
        answered: tuple[T, float] = yield Ask(self._store, call, *arguments)
        return answered

    def _failed(self, why: str, now: float, *, reads: bool) -> Flow[None]:
        """Tell the operator, unless it was told already or a short time ago."""
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
            yield Outage(_STORE, why, dependency="store")

    # The end of a session.

    def leave_tombstone(
        self,
        codec: RecordCodec,
        bundle: Bundle,
        until: float,
        now: float,
        *,
        asks_again: bool = False,
    ) -> Flow[None]:
        """End a session for good, in every process that shares the store. Raises `Unreachable`.

        `until`: when its last cookie has expired.
        """
        if not codec.in_cookie:
            yield from self.end(codec.key, now, asks_again=asks_again)
            return
        yield from self.note(codec.key, now)
        record = tombstone(until, asks_again=asks_again)
        for call in (Store.replace, Store.create, Store.replace):
            kept, _ = yield from self.ask(call, codec.key, record)
            if kept:
                break
        yield from self._forget(bundle)

    def take(
        self, codec: RecordCodec, bundle: Bundle, until: float, now: float, *, asks_again: bool
    ) -> Flow[tuple[Record | None, bool]]:
        """End a session that is in its cookie: its record, and whether it had ended before.

        In one step, since another process may write newer tokens until then, which are to be
        revoked. In place of a record the store's own tombstone is left, which lives no longer: call
        `leave_tombstone` next. Raises `Unreachable`.
        """
        yield from self.note(codec.key, now)
        record, _ = yield from self.ask(Store.end, codec.key, True)
        if record is not None:
            return record, False
        grave = tombstone(until, asks_again=asks_again)
        if (yield from self.ask(Store.create, codec.key, grave))[0]:
            yield from self._forget(bundle)
            return None, False
        record, _ = yield from self.ask(Store.end, codec.key, True)  # it was made meanwhile
        return record, record is None

    def _forget(self, bundle: Bundle) -> Flow[None]:
        """Drop the verdicts on a session. Those that are being made now are not kept either."""
        sid = bundle.sid
        yield Forget(self._verdicts(), lambda verdict: _has_sid(verdict, sid))

    def end(
        self, key: bytes, now: float, *, asks_again: bool = False, is_known: bool = True
    ) -> Flow[Record | None]:
        """End a session that is only in the store: its record; None if there is none.

        `is_known`: it existed a short time ago. Raises `Unreachable`.
        """
        if is_known:
            yield from self.note(key, now)
        record, now = yield from self.ask(Store.end, key, asks_again)
        if record is not None and not is_known:
            yield from self.note(key, now)
        return record

    def note(self, key: bytes, now: float) -> Flow[None]:
        """Have this process remember an end for a while, even if the store fails.

        Only for a session that existed: anybody can send made-up ids.
        """
        if not (yield from self._is_noted(key)):
            yield Ask(self._memory, Memory.exchange, key, tombstone(now + _REMEMBERED))

    def _is_noted(self, key: bytes) -> Flow[bool]:
        """Whether this process remembers an end by itself, or need not."""
        if self._memory is self._store:
            return True
        noted: tuple[Record | None, float] = yield Ask(self._memory, Memory.load, key)
        return has_ended(noted[0])

    def is_over(self, codec: RecordCodec, seen_at: float, now: float) -> Flow[bool]:
        """Whether a session has ended; False if the store does not answer.

        `seen_at`: the time of the store's last answer that it had not.
        """
        if self._memory is not self._store:
            if (yield from self._is_noted(codec.key)):
                return True
            if 0 <= now - seen_at < _A_MOMENT:
                return False
        try:
            record, _ = yield from self.ask(Store.load, codec.key)
        except Unreachable:
            return False
        return has_ended(record) or (record is None and not codec.in_cookie)

    def asks_again(self, codec: RecordCodec) -> Flow[bool]:
        """Whether a session was ended from elsewhere; False if the store does not answer."""
        try:
            record, _ = yield from self.ask(Store.load, codec.key)
        except Unreachable:
            return False
        return asks_again(record)


def _has_sid(verdict: Any, sid: bytes) -> bool:
    return verdict.held is not None and verdict.held.bundle.sid == sid
