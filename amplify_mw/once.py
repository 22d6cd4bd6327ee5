"""What is said once in a process, or once an hour.

Rules:
- Of each kind a few details are said, such as different ids, once each, so that clients cannot fill
  the log. If the first few were made up, a later one is told at DEBUG alone.
"""

from typing import Final

_MAX_DETAILS: Final = 4
_HOUR: Final = 3600.0  # seconds


class Once:
    """What has been said.

    >>> once = Once()
    >>> once.is_first("wrong_client", "abc"), once.is_first("wrong_client", "abc")
    (True, False)
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[str, object]] = {}
        self._said_at: dict[object, float] = {}

    def is_first(self, kind: str, detail: str = "") -> bool:
        """Whether to say this now: it was not said, nor too much of its kind."""
        said = self._said.setdefault(kind, {})
        if len(said) >= _MAX_DETAILS:
            return False
        mark = object()
        return said.setdefault(detail, mark) is mark  # of several threads, one is the first

    def is_news(self, kind: object, now: float) -> bool:
        """Whether to say this again: it was not said within the last hour. `kind`: of a few."""
        said_at = self._said_at.get(kind)
        if said_at is not None and abs(now - said_at) < _HOUR:
            return False
        self._said_at[kind] = now
        return True
