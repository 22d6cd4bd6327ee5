"""The library's log: the only module that uses `logging`. (The lines of events: `engine.lines`.)

Rules:
- Writing to the log never fails a request. An exception of the app's handlers, filters or
  formatters is printed to standard error, as `logging` itself does it, unless
  `logging.raiseExceptions` is off.
- No secret is written. Text of a client is escaped and cut before it gets here.
- Each record has the attributes of `FIELDS`, for formatters that write JSON; None for what is not
  known. A value that the app's `LogRecordFactory` or a filter has set under such a name stays.
- Details that a client can make up, such as ids, are written a few times for each kind and no more,
  or a client could fill the log. If the first few were made up, later ones are at DEBUG alone.
"""

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import logging

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # the levels of `logging`
_MAX_DETAILS: Final = 4
_HOUR: Final = 3600.0  # seconds

# The attributes of each record, and an event's fields for them.
FIELDS: Final = {
    "reason": "reason",
    "kind": "session",
    "path": "path",
    "pool": "pool_id",
    "client": "client_id",
}


class About(NamedTuple):
    """The facts of a line that tells of no event: the fields of events under the same names."""

    reason: str | None = None
    session: str | None = None
    path: str | None = None
    pool_id: str | None = None
    client_id: str | None = None


class Log:
    """The methods of a `logging.Logger` that the library uses. These never raise.

    `about`: an event, or an `About`, for the attributes of the record. It is read only if there is
    a record.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _logger(self) -> "logging.Logger":
        import logging  # 5 ms: with the first engine, and not with the package

        return logging.getLogger(self._name)

    def debug(self, message: str, *values: object, about: object = None) -> None:
        """Write a detail that helps during an investigation."""
        self._write(_DEBUG, message, values, about)

    def info(self, message: str, *values: object, about: object = None) -> None:
        """Write an event that needs no operator."""
        self._write(_INFO, message, values, about)

    def warning(self, message: str, *values: object, about: object = None) -> None:
        """Write a matter for an operator."""
        self._write(_WARNING, message, values, about)

    def error(
        self,
        message: str,
        *values: object,
        exc_info: BaseException | None = None,
        about: object = None,
    ) -> None:
        """Write a fault, with its traceback."""
        self._write(_ERROR, message, values, about, exc_info)

    def is_enabled(self, level: int = _DEBUG) -> bool:
        """Whether lines of a level are written anywhere."""
        return self._logger.isEnabledFor(level)

    def _write(
        self,
        level: int,
        message: str,
        values: tuple[object, ...],
        about: object,
        error: BaseException | None = None,
    ) -> None:
        try:
            ours = self._logger
            if ours.isEnabledFor(level):
                # Not `ours.log(extra=...)`: that raises if a LogRecordFactory has set one of them.
                file, line, function, _ = ours.findCaller(stacklevel=3)
                raised = None if error is None else (type(error), error, error.__traceback__)
                record = ours.makeRecord(
                    ours.name, level, file, line, message, values, raised, function
                )
                _describe(record, about)
                ours.handle(record)
        except Exception:  # noqa: BLE001  # of the app's handlers
            import logging
            import traceback

            if logging.raiseExceptions:
                with suppress(Exception):  # there may be no standard error to print to
                    traceback.print_exc()


def _describe(record: "logging.LogRecord", about: object) -> None:
    """Give a record the attributes of `FIELDS`, but for those that have a value already."""
    for name, field in FIELDS.items():
        if getattr(record, name, None) is None:
            with suppress(Exception):  # of a record of the app's own class
                setattr(record, name, getattr(about, field, None) or None)


logger: Final = Log("amplify_mw")


class Once:
    """Remembers the details that were written already.

    >>> once = Once()
    >>> once.is_first("wrong_client", "abc"), once.is_first("wrong_client", "abc")
    (True, False)
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[str, object]] = {}
        self._said_at: dict[object, float] = {}

    def is_first(self, kind: str, detail: str = "") -> bool:
        """Whether to write this: it was not written before, nor too much of its kind."""
        said = self._said.setdefault(kind, {})
        if len(said) >= _MAX_DETAILS:
            return False
        mark = object()
        return said.setdefault(detail, mark) is mark  # of several threads, one is the first

    def is_news(self, kind: object, now: float) -> bool:
        """Whether to write this again: not if it was in the last hour. `kind`: one of a few."""
        said_at = self._said_at.get(kind)
        if said_at is not None and abs(now - said_at) < _HOUR:
            return False
        self._said_at[kind] = now
        return True
