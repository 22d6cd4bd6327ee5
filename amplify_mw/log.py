"""The library's log: the one place that speaks to `logging`.

Rules:
- Telling the log never fails a request. What a handler, filter or formatter of the app's raises is
  printed to standard error, as `logging` itself does it, unless `logging.raiseExceptions` is off.
- No secret is told. What a client wrote is escaped and cut before it gets here.
"""

import logging
import traceback
from contextlib import suppress
from typing import Final


class Log:
    """The methods of a `logging.Logger` that the library uses, which here never raise."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, *values: object) -> None:
        """Tell what is of interest while something is being looked into."""
        self._tell(logging.DEBUG, message, values)

    def info(self, message: str, *values: object) -> None:
        """Tell what a visitor did, and nobody has to mend."""
        self._tell(logging.INFO, message, values)

    def warning(self, message: str, *values: object) -> None:
        """Tell what somebody should look at."""
        self._tell(logging.WARNING, message, values)

    def error(self, message: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Tell of a fault, with its traceback."""
        self._tell(logging.ERROR, message, values, exc_info)

    def _tell(
        self,
        level: int,
        message: str,
        values: tuple[object, ...],
        error: BaseException | None = None,
    ) -> None:
        try:
            if self._logger.isEnabledFor(level):
                self._logger.log(level, message, *values, exc_info=error, stacklevel=3)
        except Exception:  # noqa: BLE001  # whatever the app's handlers do
            if logging.raiseExceptions:
                with suppress(Exception):  # there may be no standard error to print to
                    traceback.print_exc()


logger: Final = Log("amplify_mw")
