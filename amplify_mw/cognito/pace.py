"""How often an endpoint may be asked while it does not answer, and the telling of it, once.

Rules:
- When Cognito throttles (or, where this is asked for, is unavailable), nobody of this process asks
  that endpoint again for a while that doubles from 1 to 30 s.
- Flights that were in the air together count as one: what one says that departed before the
  present pause began is no news.
- An outage is told to the operator once, and its end once.
- Only flights change a pace.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from ..effects import Flow, Outage
from ..errors import Reason
from .api import UNAVAILABLE, Failure

T = TypeVar("T")
_SHORTEST: Final = 1.0
_LONGEST: Final = 30.0


class Pace:
    """When one endpoint may be asked again, and whether it is failing."""

    def __init__(self, what: str, pausing: frozenset[Reason], meanwhile: str) -> None:
        self._what = what
        self._meanwhile = meanwhile
        self._pausing = pausing
        self._pause = 0.0
        self._paused_until = 0.0
        self._last = UNAVAILABLE
        self._is_failing = False

    def is_paused(self, now: float) -> bool:
        """Whether nobody is to ask now. A clock that was set back does not prolong the pause."""
        return self._paused_until - _LONGEST <= now < self._paused_until

    def meanwhile(self, now: float) -> Failure:
        """What whoever would ask in a pause is told."""
        return self._last._replace(retry_after=min(max(self._paused_until - now, 1.0), _LONGEST))

    def heed(self, answer: T | Failure, why: str, departed: float, now: float) -> Flow[T | Failure]:
        """A flow: note an answer to what was asked at `departed`; the answer to pass on."""
        if isinstance(answer, Failure) and answer.is_outage:
            if answer.reason in self._pausing:
                self._slow_down(answer, departed, now)
                answer = self.meanwhile(now)
            if not self._is_failing:
                self._is_failing = True
                yield Outage(self._what, why, meanwhile=self._meanwhile)
            return answer
        if not self.is_paused(departed):
            self._pause = self._paused_until = 0.0
        if self._is_failing:
            self._is_failing = False
            yield Outage(self._what, over=True)
        return answer

    def _slow_down(self, answer: Failure, departed: float, now: float) -> None:
        self._last = answer
        if not self.is_paused(departed):
            self._pause = min(max(self._pause * 2, _SHORTEST), _LONGEST)
            self._paused_until = now + self._pause


class Paces:
    """The pace of `operation` at each endpoint; they are as many as the pools.

    `pausing`: after which answers there is a pause. `meanwhile`: what an outage means.
    """

    def __init__(
        self,
        operation: str,
        pausing: Iterable[Reason] = ("throttled",),
        meanwhile: str = "sessions are kept meanwhile",
    ) -> None:
        self._operation = operation
        self._meanwhile = meanwhile
        self._pausing = frozenset(pausing)
        self._by_endpoint: dict[str, Pace] = {}

    def of(self, endpoint: str) -> Pace:
        """The pace at an endpoint."""
        what = f"{self._operation} at {endpoint}"
        return self._by_endpoint.setdefault(endpoint, Pace(what, self._pausing, self._meanwhile))
