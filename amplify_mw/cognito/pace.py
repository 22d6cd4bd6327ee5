"""Pauses while Cognito does not answer or refuses, and the events of them.

Rules:
- A failure has a scope (`Failure.scope`): all requests to an endpoint (an outage), the users of an
  app client (Cognito refuses the set-up), or one user (a Lambda trigger failed). A pause has the
  same scope.
- During a pause this process sends no request in its scope. Each pause is twice as long as the one
  before, from 1 to 30 s.
- Flights that were in the air together count as one: an answer to a request from before the present
  pause starts no new one.
- An outage makes one event at its start and one at its end; so does a refused set-up, for each of
  Cognito's codes, and no more than once a minute if it comes and goes. Failures of single users
  make one event an hour for each app client and code.
- Only flights change a pace.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeVar

from ..effects import Flow, Outage, Rejection
from ..errors import Reason
from .api import UNAVAILABLE, Failure, Scope

T = TypeVar("T")
_SHORTEST: Final = 1.0
_LONGEST: Final = 30.0
_TOLD_AGAIN: Final = {"client": 60.0, "user": 3600.0}  # seconds
_MAX_USERS: Final = 10_000
_MAX_CLIENTS: Final = 1_000  # if any client counts, a browser may name one of its own
_MAX_CODES: Final = 32
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9_+:/.~%-]{1,256}")  # fit for a log
_KEPT: Final = "sessions are kept meanwhile"


class Caller(NamedTuple):
    """The pool's id, the app client and the user (`sub`) of a request to Cognito.

    `client` is empty if an operation names none. `is_odd`: the refresh token has no form that
    Cognito issues, so a failure concerns this user alone, and makes no event.
    """

    pool: str
    client: str = ""
    sub: str = ""
    is_odd: bool = False


class Pace:
    """The present pause of one scope, and the failures that were told."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._paused_until = 0.0
        self._last = UNAVAILABLE
        self.is_failing: bool = False
        self.told: dict[str, float] = {}  # times by Cognito's codes

    def is_paused(self, now: float) -> bool:
        """Whether there is a pause now. Setting the clock back does not prolong it."""
        return self._paused_until - _LONGEST <= now < self._paused_until

    def meanwhile(self, now: float) -> Failure:
        """The answer to a request during the pause."""
        return self._last._replace(retry_after=min(max(self._paused_until - now, 1.0), _LONGEST))

    def slow_down(self, answer: Failure, departed: float, now: float) -> Failure:
        """Pause, for longer each time; returns the answer with the time of the next try."""
        self._last = answer
        if not self.is_paused(departed):
            self._pause = min(max(self._pause * 2, _SHORTEST), _LONGEST)
            self._paused_until = now + self._pause
        return self.meanwhile(now)

    def recover(self, departed: float) -> None:
        """End the pause, unless it began while the answer was on its way."""
        if not self.is_paused(departed):
            self._pause = self._paused_until = 0.0


class Paces:
    """The paces of `operation`: at each endpoint, for each app client, and for failing users.

    `pausing`: the reasons that cause a pause. `meanwhile`: the consequence of an outage, in words.
    """

    def __init__(
        self,
        operation: str,
        pausing: Iterable[Reason] = ("throttled",),
        meanwhile: str = _KEPT,
    ) -> None:
        self._operation = operation
        self._meanwhile = meanwhile
        self._pausing = frozenset(pausing)
        self._endpoints: dict[str, Pace] = {}
        self._clients: dict[tuple[str, str, str], Pace] = {}
        self._users: dict[tuple[str, str, str, str], Pace] = {}

    def of(self, endpoint: str, caller: Caller) -> "Asking":
        """The paces of one caller at an endpoint."""
        return Asking(self, endpoint, caller)

    def paused(self, endpoint: str, caller: Caller, now: float) -> Pace | None:
        """The pace whose pause a caller has to wait for; None: ask."""
        pool, client, sub, _ = caller
        paces = (
            self._users.get((endpoint, pool, client, sub)) if self._users else None,
            self._endpoints.get(endpoint),
            self._clients.get((endpoint, pool, client)),
        )
        return next((pace for pace in paces if pace is not None and pace.is_paused(now)), None)

    def heed(
        self,
        endpoint: str,
        caller: Caller,
        answer: T | Failure,
        why: str,
        departed: float,
        now: float,
    ) -> Flow[T | Failure]:
        """Note an answer; returns the one to pass on."""
        if not isinstance(answer, Failure):
            yield from self._accepted(endpoint, caller, departed)
            return answer
        scope: Scope = "user" if caller.is_odd else answer.scope
        if scope == "endpoint":
            pace = self._endpoint(endpoint)
            if not pace.is_failing:
                pace.is_failing = True
                what = f"{self._operation} at {endpoint}"
                yield Outage(what, why, meanwhile=self._meanwhile)
        else:
            if not caller.is_odd:
                yield from self._answered(endpoint, departed)
            pace = self._client(endpoint, caller)
            if answer.mend and not caller.is_odd:
                yield from self._tell(pace, endpoint, caller, answer, scope, now)
        if answer.reason not in self._pausing:
            return answer
        if scope == "user":
            pace = self._user(endpoint, caller)
        return pace.slow_down(answer, departed, now)

    def _accepted(self, endpoint: str, caller: Caller, departed: float) -> Flow[None]:
        """Cognito has carried out a request."""
        yield from self._answered(endpoint, departed)
        pool, client, sub, _ = caller
        self._users.pop((endpoint, pool, client, sub), None)
        pace = self._clients.get((endpoint, pool, client))
        if pace is None:
            return
        pace.recover(departed)
        if pace.is_failing:
            pace.is_failing = False
            yield Rejection(self._what(endpoint, caller, "client"), over=True)

    def _answered(self, endpoint: str, departed: float) -> Flow[None]:
        """Cognito has answered, if only to refuse."""
        pace = self._endpoints.get(endpoint)
        if pace is None:
            return
        pace.recover(departed)
        if pace.is_failing:
            pace.is_failing = False
            yield Outage(f"{self._operation} at {endpoint}", over=True)

    def _tell(
        self,
        pace: Pace,
        endpoint: str,
        caller: Caller,
        answer: Failure,
        scope: Literal["client", "user"],
        now: float,
    ) -> Flow[None]:
        """Tell of a refusal, unless it was told already."""
        told_at = pace.told.get(answer.code)
        if told_at is not None and (
            (scope == "client" and pace.is_failing) or abs(now - told_at) < _TOLD_AGAIN[scope]
        ):
            return
        if scope == "client":
            pace.is_failing = True
        if len(pace.told) >= _MAX_CODES:
            pace.told.clear()
        pace.told[answer.code] = now
        outcome = "such sessions end" if answer.ends_session else self._meanwhile
        what = self._what(endpoint, caller, scope)
        yield Rejection(what, answer.code, answer.mend, outcome)

    def _what(self, endpoint: str, caller: Caller, scope: Scope) -> str:
        client = caller.client if _CLIENT_ID.fullmatch(caller.client) else "of an odd name"
        whose = f"app client {client}" if caller.client else f"the pool {caller.pool}"
        one = "a user of " if scope == "user" else ""
        return f"{self._operation} at {endpoint} for {one}{whose}"

    def _endpoint(self, endpoint: str) -> Pace:
        return self._endpoints.setdefault(endpoint, Pace())

    def _client(self, endpoint: str, caller: Caller) -> Pace:
        key = (endpoint, caller.pool, caller.client)
        if len(self._clients) >= _MAX_CLIENTS and key not in self._clients:
            self._clients.clear()
        return self._clients.setdefault(key, Pace())

    def _user(self, endpoint: str, caller: Caller) -> Pace:
        pool, client, sub, _ = caller
        key = (endpoint, pool, client, sub)
        if len(self._users) >= _MAX_USERS and key not in self._users:
            self._users.clear()
        return self._users.setdefault(key, Pace())


class Asking(NamedTuple):
    """A caller at an endpoint, and the paces that apply."""

    paces: Paces
    endpoint: str
    caller: Caller

    def meanwhile(self, now: float) -> Failure | None:
        """The answer to this caller during a pause; None: there is none, ask."""
        pace = self.paces.paused(self.endpoint, self.caller, now)
        return None if pace is None else pace.meanwhile(now)

    def heed(self, answer: T | Failure, why: str, departed: float, now: float) -> Flow[T | Failure]:
        """Note the answer to a request sent at `departed`; returns the answer to pass on."""
        return self.paces.heed(self.endpoint, self.caller, answer, why, departed, now)
