"""`AuditLog`: a listener of events, which writes an audit.

Rules:
- A request goes on, however the audit fares: nothing is raised, and a loss is counted and said, in
  the log and, once lines can be written again, in the audit.
- Lines are written at once, on the thread of the event. There is no thread and no queue: a line is
  in the file when the request is answered, and `fork()` has nothing to lose.
- Sums of refusals are written with the first event after their period, by `flush` and `close`, and
  at the end of the interpreter: a fork would stop a timer's thread.
- Nothing comes amid a line. An event or a `close()` from a signal's handler, a finalizer or the
  stream itself, while its thread writes, is put off until the line is written.
- Nothing is opened before the first line: a command of another user of the system, with the same
  configuration and no events, makes no file.
"""

import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from threading import RLock
from typing import IO, Any, Final, Literal, Self, TypeAlias

from ..errors import ConfigurationError, check_number, kind_of
from ..events import Event, Refused, SignInFailed
from ..log import Once, logger
from .fields import line_of, line_of_loss, line_of_many
from .limits import Limits
from .targets import File, Stream

Fsync: TypeAlias = Literal["never", "each"] | float
_MAX_PERIOD: Final = 24 * 3600.0  # seconds
_MAX_PUT_OFF: Final = 1000  # jobs; more come from a stream that causes events itself


class AuditLog:
    """Writes one JSON object a line about each sign-in, sign-out and refusal.

    For `AmplifyConfig(on_event=...)`; `docs/audit.md` lists the fields. It never raises.

    `target`: the path of a file, which is made with the mode 0600 and may be rotated, or a stream
    of text or bytes, such as `sys.stdout`. `fsync`: "never" leaves it to the system when a line
    reaches the disk, "each" waits for it with each line, and a number of seconds waits for it once
    in so many seconds. `summary_every`: seconds of a period, in which further refusals of one kind
    are only counted. `clock`: gives seconds since the epoch.

    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        target: "str | os.PathLike[str] | IO[str] | IO[bytes]",
        *,
        fsync: Fsync = "never",
        summary_every: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_number("AuditLog.summary_every", summary_every, 1, _MAX_PERIOD)
        interval = _interval(fsync)
        found = _target(target, is_synced=interval is not None)
        if interval is not None and isinstance(found, Stream):
            raise ConfigurationError(
                "AuditLog.fsync: a stream is not synced here; write a path, or leave fsync out"
            )
        self._arguments: dict[str, Any] = {
            "target": found.name,
            "fsync": fsync,
            "summary_every": summary_every,
        }
        self._writer: _Writer = _Writer(found, interval, summary_every, clock)
        # At the end of the interpreter, or with the last reference.
        self._end: Any = weakref.finalize(self, self._writer.close)

    @property
    def lost(self) -> int:
        """The number of lines that this process could not write."""
        return self._writer.lost

    def __call__(self, event: Event) -> None:
        """Write the line of an event, if it has one."""
        self._writer.tell(event)

    def flush(self) -> None:
        """Write the sums of refusals now, and sync the file unless `fsync="never"`."""
        self._writer.flush()

    def close(self) -> None:
        """The same, and close the file. A later event opens it again. A stream stays open."""
        self._writer.close()

    def __repr__(self) -> str:
        return f"<AuditLog {self._writer.target.name!r}>"

    # A copied configuration writes to the same log; an unpickled one too, or, in another process,
    # to one of its own for the same path.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._writer.target, Stream):
            raise TypeError("an AuditLog of a stream cannot be pickled: give it a path")
        name = self.__dict__.setdefault("_name", os.urandom(16))
        _named.setdefault(name, self)
        return _unpickled, (name, self._arguments)


class _Writer:
    """The work of an `AuditLog`, apart from it: it is closed when the log is no longer in use.

    `interval`: seconds between two syncs at least; None: no syncs.
    """

    def __init__(
        self,
        target: File | Stream,
        interval: float | None,
        every: float,
        clock: Callable[[], float],
    ) -> None:
        self.target: File | Stream = target
        self._interval = interval
        self._every = every
        self._clock = clock
        self._once = Once()
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """Count from zero."""
        self._lock = RLock()  # reentrant, for the handler of a signal
        self._is_busy = False
        self._put_off: deque[Callable[[], None]] = deque()
        self._put_off_now = 0  # amid the line that is being written
        self._limits = Limits(self._every)
        self.lost = 0
        self._unsaid = 0  # lines lost since the last one that was written
        self._lost_since = 0.0
        self._is_dirty = False
        self._synced_at = float("-inf")
        self._to_sync: list[int] = []  # descriptors, synced after the lock was released
        self._news: list[str] = []  # for the log, which is told after the lock was released

    def after_fork(self) -> None:
        """In the child: the parent writes its own sums, and has the file open for itself."""
        self._begin()
        self.target.close()

    def tell(self, event: Event) -> None:
        self._do(partial(self._tell, event))

    def flush(self) -> None:
        self._do(self._flush)

    def close(self) -> None:
        self._do(self._close)

    def _do(self, job: Callable[[], None]) -> None:
        """Do a job when no other one is being done."""
        with self._lock:
            if self._is_busy:  # on this very thread
                self._do_later(job)
                return
            self._is_busy = True
            try:
                job()
                while self._put_off:
                    self._put_off.popleft()()
            finally:
                self._is_busy, self._put_off_now = False, 0
            descriptors, self._to_sync = self._to_sync, []
        self._after(descriptors)

    def _do_later(self, job: Callable[[], None]) -> None:
        self._put_off_now += 1
        if self._put_off_now <= _MAX_PUT_OFF:
            self._put_off.append(job)
        else:
            self._lose(RecursionError("the stream itself causes events"), self._clock())

    def _tell(self, event: Event) -> None:
        now = self._clock()
        if self._limits.is_over(now):
            self._summarize(now)
        if not isinstance(event, Refused | SignInFailed) or self._limits.admits(event, now):
            self._write(partial(line_of, event, now), now)
        self._want_sync(now)

    def _flush(self) -> None:
        now = self._clock()
        self._summarize(now)
        self._want_sync(now, is_last=True)

    def _close(self) -> None:
        self._flush()
        self.target.close()

    def _summarize(self, now: float) -> None:
        for each in self._limits.sums():
            self._write(partial(line_of_many, each, now), now)

    def _write(self, make: Callable[[], bytes | None], now: float) -> None:
        """Write a line, and first how many were lost before it."""
        try:
            line = make()
            if line is None:
                return
            if self._unsaid:
                self.target.write(line_of_loss(self._unsaid, self._lost_since, now))
                self._is_dirty = True
                self._found_again(now)
            self.target.write(line)
            self._is_dirty = True
        except BaseException as error:
            self._lose(error, now)
            if not isinstance(error, Exception):  # an exit, or a time limit of the app
                raise

    def _lose(self, error: BaseException, now: float) -> None:
        if not self._unsaid:
            self._lost_since = now
        self.lost += 1
        self._unsaid += 1
        if self._once.is_news(type(error).__name__, now):
            self._news.append(
                f"the audit log {self.target.name!r} cannot be written ({_why(error)}): its lines "
                "are lost until it can be, and counted; requests go on"
            )

    def _found_again(self, now: float) -> None:
        lost, self._unsaid = self._unsaid, 0
        if self._once.is_news("written again", now):
            self._news.append(
                f"the audit log {self.target.name!r} is written again; {lost} of its lines were "
                "lost"
            )

    def _want_sync(self, now: float, *, is_last: bool = False) -> None:
        """Note the descriptor to sync, if that is due."""
        interval = self._interval
        if interval is None or not self._is_dirty:
            return
        if not is_last and 0 <= now - self._synced_at < interval:
            return
        try:
            descriptor = self.target.duplicate()
        except OSError as error:
            self._lose(error, now)
            return
        self._is_dirty, self._synced_at = False, now
        if descriptor is not None:
            self._to_sync.append(descriptor)

    def _after(self, descriptors: list[int]) -> None:
        """Sync and tell the log, without the lock: neither delays another thread's line."""
        for descriptor in descriptors:
            self._sync(descriptor)
        if self._news:
            with self._lock:
                news, self._news = self._news, []
            for text in news:
                logger.warning("%s", text)

    def _sync(self, descriptor: int) -> None:
        try:
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            with self._lock:
                self._lose(error, self._clock())


def _why(error: BaseException) -> str:
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _interval(fsync: object) -> float | None:
    """Seconds between two syncs at least; None: no syncs."""
    if fsync == "never":
        return None
    if fsync == "each":
        return 0.0
    if isinstance(fsync, str):
        raise ConfigurationError(
            f"AuditLog.fsync: write 'never', 'each' or seconds, such as 1.0; got {fsync!r}"
        )
    check_number("AuditLog.fsync", fsync, 0.001, _MAX_PERIOD)
    return float(str(fsync))


def _target(target: object, *, is_synced: bool) -> File | Stream:
    if isinstance(target, str | os.PathLike):
        path = os.fspath(target)
        if not isinstance(path, str) or not path or "\0" in path:
            raise ConfigurationError("AuditLog: write a path as text, such as 'audit.jsonl'")
        return File(os.path.abspath(path), is_synced=is_synced)
    write = getattr(target, "write", None)
    if not callable(write) or isinstance(target, type) or iscoroutinefunction(write):
        raise ConfigurationError(
            "AuditLog: write a path, such as 'audit.jsonl', or a stream, such as sys.stdout; got "
            + kind_of(target)
        )
    return Stream(target)


_named: Final[weakref.WeakValueDictionary[bytes, AuditLog]] = weakref.WeakValueDictionary()
_writers: Final[weakref.WeakSet[_Writer]] = weakref.WeakSet()


def _unpickled(name: bytes, arguments: dict[str, Any]) -> AuditLog:
    """The log of this name; a new one in a process without it."""
    log = _named.get(name)
    if log is None:
        made = AuditLog(**arguments)
        made.__dict__["_name"] = name
        log = _named.setdefault(name, made)
    return log


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        with suppress(Exception):
            writer.after_fork()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
