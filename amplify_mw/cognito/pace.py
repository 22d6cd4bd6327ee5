"""Pauses while Cognito does not answer or refuses, and the events of them.

Rules:
- A failure has a scope (`Failure.scope`): all requests to an endpoint (an outage), the users of an
  app client (Cognito refuses the set-up), or one user (a Lambda trigger failed). A pause has the
  same scope.
- During a pause this process sends no request in its scope. Each pause is twice as long as the one
  before, from 1 to 30 s.
- Flights that were in the air together count as one: an answer to a request from before the present
  pause starts no new one.
- With several Regions (see `regions`), others are asked during the pause of one. After it, a single
  request finds out whether that Region is up, and all others still pass it over.
- An outage makes one event at its start and one at its end; so does a refused set-up, for each of
  Cognito's codes, and no more than once a minute if it comes and goes. Failures of single users
  make one event an hour for each app client and code.
- With several Regions, it is an outage of one if another answers, and a single outage of all if
  none does. A failure of an odd refresh token (`Caller.is_odd`) says nothing of a Region.
- Only flights change a pace.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeVar

from ..effects import Flow, OperationName, Outage, Rejection
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
_ELSEWHERE: Final = "another Region is asked meanwhile"
NOT_HERE: Final = "OperationNotEnabledException"


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
    """The present pause of one scope, and the failures that were told.

    `is_firm`: there are no requests during the pause, even without another Region to ask.
    `why`: the beginning of the present outage.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._begun_at = 0.0
        self._paused_until = 0.0
        self._tried_until = 0.0
        self.last: Failure = UNAVAILABLE
        self.is_firm: bool = True
        self.is_failing: bool = False
        self.why: str = ""
        self.told: dict[str, float] = {}  # times by Cognito's codes

    @property
    def is_longest(self) -> bool:
        """Whether pauses have got longest: it has failed for about a minute."""
        return self._pause >= _LONGEST

    def is_paused(self, now: float) -> bool:
        """Whether there is a pause now. Setting the clock back does not prolong it."""
        return self._paused_until - _LONGEST <= now < self._paused_until

    def is_avoided(self, now: float) -> bool:
        """Whether there is a pause, or a single request finds out if it is over."""
        return self.is_paused(now) or self._tried_until - _LONGEST <= now < self._tried_until

    def try_again(self, now: float) -> None:
        """Avoid this for others while a request finds out if a pause is over."""
        if self._pause:
            self._tried_until = now + _LONGEST

    def meanwhile(self, now: float) -> Failure:
        """The answer to a request during the pause."""
        return self.last._replace(retry_after=min(max(self._paused_until - now, 1.0), _LONGEST))

    def slow_down(
        self, answer: Failure, departed: float, now: float, *, is_firm: bool = True
    ) -> Failure:
        """Pause, for longer each time; returns the answer with the time of the next try."""
        self.last, self.is_firm = answer, is_firm
        if not self.is_paused(departed):
            self._pause = min(max(self._pause * 2, _SHORTEST), _LONGEST)
            self._begun_at, self._paused_until = now, now + self._pause
            self._tried_until = 0.0
        return self.meanwhile(now)

    def recover(self, departed: float) -> None:
        """End the pause, unless it began while the answer was on its way."""
        if not self._paused_until - _LONGEST <= departed <= self._begun_at:
            self._pause = self._paused_until = self._tried_until = 0.0


class Paces:
    """The paces of `operation`: at each endpoint, for each app client, and for failing users.

    `pausing`: the reasons that cause a pause. `meanwhile`: the consequence of an outage, in words.
    `name`: the operation's name in metrics.
    """

    def __init__(
        self,
        operation: str,
        pausing: Iterable[Reason] = (),
        meanwhile: str = _KEPT,
        *,
        name: OperationName | None = None,
    ) -> None:
        self._operation = operation
        self._name = name
        self._meanwhile = meanwhile
        self._pausing = frozenset(pausing)
        self._endpoints: dict[str, Pace] = {}
        self._clients: dict[tuple[str, str, str], Pace] = {}
        self._users: dict[tuple[str, str, str, str], Pace] = {}
        self._all_down: set[tuple[str, ...]] = set()

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
        return next((p for p in paces if p is not None and p.is_firm and p.is_paused(now)), None)

    def heed(
        self,
        endpoint: str,
        caller: Caller,
        answer: T | Failure,
        why: str,
        departed: float,
        now: float,
        *,
        is_alone: bool = True,
    ) -> Flow[T | Failure]:
        """Note an answer; returns the one to pass on.

        `is_alone`: there is no other endpoint to ask. If there is, a failure is told only when the
        result is known (`tell_of_others`, `tell_all_down`).
        """
        if not isinstance(answer, Failure):
            yield from self._accepted(endpoint, caller, departed)
            return answer
        scope: Scope = "user" if caller.is_odd else answer.scope
        if scope == "endpoint":
            pace = self._endpoint(endpoint)
            pace.why = pace.why or why
            if is_alone or not self.passes_over(endpoint, caller, answer):
                yield from self._tell_outage(pace, endpoint, self._meanwhile)
        else:
            if not caller.is_odd:
                yield from self._answered(endpoint, departed)
            pace = self._client(endpoint, caller)
            if answer.mend and not caller.is_odd and (is_alone or answer.code != NOT_HERE):
                yield from self._tell(pace, endpoint, caller, answer, scope, now)
        is_firm = answer.reason in self._pausing
        if not is_firm and (is_alone or not self.passes_over(endpoint, caller, answer)):
            return answer
        if scope == "user":
            pace = self._user(endpoint, caller)
        return pace.slow_down(answer, departed, now, is_firm=is_firm)

    # Several Regions.

    def passes_over(self, endpoint: str, caller: Caller, answer: Failure) -> bool:
        """Whether to ask another Region after this failure of one.

        Not after a refusal that was put off (it is the only outage with a code).
        """
        if answer.reason == "throttled":
            return not caller.is_odd and self._endpoint(endpoint).is_longest
        is_down = answer.reason == "cognito_unavailable" and not answer.code
        return (is_down and not caller.is_odd) or answer.code == NOT_HERE

    def passed_over(self, endpoint: str, caller: Caller, now: float) -> Failure | None:
        """The last failure of a Region to pass over; None: ask it."""
        pool, client, _, _ = caller
        for pace in (self._endpoints.get(endpoint), self._clients.get((endpoint, pool, client))):
            if pace is not None and pace.is_avoided(now):
                answer = pace.meanwhile(now)
                if self.passes_over(endpoint, caller, answer):
                    return answer
        return None

    def try_again(self, endpoint: str, caller: Caller, now: float) -> None:
        """Pass this Region over for others while a request finds out if it is up."""
        if endpoint in self._endpoints and not caller.is_odd:  # whose failure would not tell
            self._endpoints[endpoint].try_again(now)

    def put_off(
        self, endpoint: str, caller: Caller, answer: Failure, departed: float, now: float
    ) -> Failure:
        """Say "not now" in place of a refusal, and pause for this user, if the caller has one."""
        later = UNAVAILABLE._replace(code=answer.code, retry_after=_SHORTEST)
        if not caller.sub:
            return later
        return self._user(endpoint, caller).slow_down(later, departed, now)

    def tell_of_others(
        self, endpoints: tuple[str, ...], number: int, caller: Caller, answer: object
    ) -> Flow[None]:
        """Tell of an answer by the Region of this number, after those before were passed over."""
        failure = answer if isinstance(answer, Failure) else None
        if failure and (caller.is_odd or self.passes_over(endpoints[number], caller, failure)):
            return
        is_over = failure is None or not failure.is_outage
        if is_over and endpoints in self._all_down:
            self._all_down.discard(endpoints)
            yield Outage(self._at_all(endpoints), over=True, dependency=self._name)
        for endpoint in endpoints[:number]:
            pace = self._endpoints.get(endpoint)
            if pace is not None and pace.why:
                yield from self._tell_outage(pace, endpoint, _ELSEWHERE)

    def tell_all_down(
        self, endpoints: tuple[str, ...], caller: Caller, answer: Failure, now: float
    ) -> Flow[None]:
        """Tell of a call that no Region has carried out. `answer`: its failure."""
        if answer.code == NOT_HERE:
            place = endpoints[-1]
            pace = self._client(place, caller)
            yield from self._tell(pace, place, caller, answer, "client", now)
        elif answer.is_outage and endpoints not in self._all_down:
            self._all_down.add(endpoints)
            whys = [self._endpoint(endpoint).why for endpoint in endpoints]
            why = next(filter(None, whys), answer.reason)
            what, meanwhile = self._at_all(endpoints), self._meanwhile
            yield Outage(what, why, meanwhile=meanwhile, dependency=self._name)

    def _at_all(self, endpoints: tuple[str, ...]) -> str:
        return f"{self._operation} at {' and '.join(endpoints)}"

    # One endpoint.

    def _tell_outage(self, pace: Pace, endpoint: str, meanwhile: str) -> Flow[None]:
        if not pace.is_failing:
            pace.is_failing = True
            what = f"{self._operation} at {endpoint}"
            yield Outage(what, pace.why, meanwhile=meanwhile, dependency=self._name)

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
        pace.why = ""
        if pace.is_failing:
            pace.is_failing = False
            what = f"{self._operation} at {endpoint}"
            yield Outage(what, over=True, dependency=self._name)

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
