"""Limits for refusals and failed sign-ins: a line for the first ones, and a sum of the others.

Rules:
- Anybody can cause them, as many as they like: their share of disk and memory is bounded.
- In a period, the first refusal of a kind is written at once: of a reason, a status, a user, a
  session and an address. Of one reason that are 20 lines at most. So are the first 100 failed
  sign-ins of a reason. The others are counted, and written as sums when the period is over.
- A line and a count never tell of the same request: their sum is the number of all.
- A period begins with the first of them: silence writes nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

from ..events import Refused, SignInFailed
from .fields import Group, Sum

MAX_REFUSALS: Final = 20  # lines of one reason in a period
MAX_FAILURES: Final = 100
MAX_GROUPS: Final = 200  # sums in a period
OTHERS: Final = "other"  # the reason of a sum beyond


class Limits:
    """Admits or counts refusals and failed sign-ins. `every`: the length of a period in seconds."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._begin(None)

    def _begin(self, now: float | None) -> None:
        self._since = now
        self._lines: dict[tuple[type[Any], str], int] = {}
        self._seen: set[tuple[Any, ...]] = set()
        self._counts: dict[Group, list[Any]] = {}

    def is_over(self, now: float) -> bool:
        """Whether a period has ended. (Or the clock was set back.)"""
        since = self._since
        return since is not None and not since <= now < since + self._every

    def admits(self, event: Refused | SignInFailed, now: float) -> bool:
        """Whether an event gets a line of its own. If not, it is counted."""
        if self._since is None:
            self._since = now
        kind, most, key = type(event), MAX_FAILURES, None
        if isinstance(event, Refused):
            most = MAX_REFUSALS
            key = event.reason, event.status, event.user_id, event.handle, event.address
        lines = self._lines.get((kind, event.reason), 0)
        if lines >= most or key in self._seen or len(self._lines) >= MAX_GROUPS:
            self._count(event, now)
            return False
        if key is not None:
            self._seen.add(key)
        self._lines[kind, event.reason] = lines + 1
        return True

    def _count(self, event: Refused | SignInFailed, now: float) -> None:
        group = Group(
            *(type(event), event.reason, event.status),
            *(event.session, event.pool_id, event.client_id),
        )
        found = self._counts.get(group)
        if found is None:
            if len(self._counts) >= MAX_GROUPS:
                group = Group(type(event), OTHERS, 0, None, None, None)
            found = self._counts.setdefault(group, [0, now, now])
        found[0] += 1
        found[2] = now

    def sums(self) -> Iterator[Sum]:
        """The sums of the period, which ends."""
        counts = self._counts
        self._begin(None)
        for group, (number, since, until) in counts.items():
            yield Sum(group, number, since, until)
