"""The library's log: the only module that uses `logging`. (The lines of events: `engine.lines`.)

Rules:
- Writing to the log never fails a request. An exception of the app's handlers, filters or
  formatters is printed to standard error, as `logging` itself does it, unless
  `logging.raiseExceptions` is off.
- No secret is written. Text of a client is escaped and cut before it gets here.
- Details that a client can make up, such as ids, are written a few times for each kind and no more,
  or a client could fill the log. If the first few were made up, later ones are at DEBUG alone.
"""

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # the levels of `logging`
_MAX_DETAILS: Final = 4
_HOUR: Final = 3600.0  # seconds


class Log:
    """The methods of a `logging.Logger` that the library uses. These never raise."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _logger(self) -> "logging.Logger":
        import logging  # 5 ms: with the first engine, and not with the package

        return logging.getLogger(self._name)

    def debug(self, message: str, *values: object) -> None:
        """Write a detail that helps during an investigation."""
        self._write(_DEBUG, message, values)

    def info(self, message: str, *values: object) -> None:
        """Write an event that needs no operator."""
        self._write(_INFO, message, values)

    def warning(self, message: str, *values: object) -> None:
        """Write a matter for an operator."""
        self._write(_WARNING, message, values)

    def error(self, message: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Write a fault, with its traceback."""
        self._write(_ERROR, message, values, exc_info)

    def is_enabled(self, level: int = _DEBUG) -> bool:
        """Whether lines of a level are written anywhere."""
        return self._logger.isEnabledFor(level)

    def _write(
        self,
        level: int,
        message: str,
        values: tuple[object, ...],
        error: BaseException | None = None,
    ) -> None:
        try:
            if self._logger.isEnabledFor(level):
                self._logger.log(level, message, *values, exc_info=error, stacklevel=3)
        except Exception:  # noqa: BLE001  # of the app's handlers
            import logging
            import traceback

            if logging.raiseExceptions:
                with suppress(Exception):  # there may be no standard error to print to
                    traceback.print_exc()


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
