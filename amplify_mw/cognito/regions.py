"""Calls to a pool: one Region after another, and one secret of the app client after another.

Rules:
- The pool's own Region comes first, then its replicas in their order. A Region is passed over if it
  is down (no connection, no answer, a 5xx, not Cognito's answer), if it does not do the operation
  (`OperationNotEnabledException`), or if it has throttled until the pauses got longest (a minute).
  Anything else is its answer, refusals too. After a pause it is asked again (see `pace`).
- Each Region has its share of the time, so that one without an answer leaves some to the next.
- Only the pool's own Region ends a session, or a Region to which it points (by
  `OperationNotEnabledException`). A refusal by a replica means "not now": replicas lag behind.
- For `SETTLING` seconds after it was passed over, a refusal by the own Region means "not now", too:
  a lost answer may have used up the refresh token, or a replica has issued it, and the news is
  still on its way. Refreshes and `GetUser` know of each other: it may be asked with the replica's
  tokens. (This process knows of its own calls alone.)
- After a refusal by the own Region no replica is asked: it may not know of the end of a sign-in.
- A call with a refused secret is sent again with the next one. The secret accepted last comes
  first, in this process, until it is refused. It is a failure only if all are refused.
"""

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from ..effects import Flow, Request, Response, Unreachable
from .api import UNAVAILABLE, Failure
from .pace import NOT_HERE, Caller, Paces

T = TypeVar("T")
SETTLING: Final = 300.0  # seconds; Amazon calls the delay of replicas short
_WAITED: Final = 2.0  # how many times the configured timeout callers wait for a flight


class Secrets:
    """The secrets of an app client, in the order to try them; empty for a client without one."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._accepted: str | None = None

    def in_order(self) -> list[str | None]:
        """The secret accepted last, then the others; `[None]` without any."""
        accepted = self._accepted
        others = [secret for secret in self._secrets if secret != accepted]
        return [*others] or [None] if accepted is None else [accepted, *others]

    def note(self, secret: str | None, answer: object) -> None:
        """Note the answer to a call with a secret."""
        if not isinstance(answer, Failure) or not (answer.is_outage or answer.refuses_client):
            self._accepted = secret
        elif answer.refuses_client and self._accepted == secret:
            self._accepted = None


NO_SECRETS: Final = Secrets()


class Said(NamedTuple, Generic[T]):
    """A place's answer, its description in case of an outage, and its time."""

    answer: T | Failure
    why: str
    now: float

    def __repr__(self) -> str:
        return f"<Said at {self.now}>"  # attributes and tokens are for no log


class Call(NamedTuple, Generic[T]):
    """A call to a pool, at any of `places`, the endpoint of its own Region first.

    `talk`: carries it out at a place, with a secret, in so many times the configured timeout.
    """

    places: tuple[str, ...]
    talk: Callable[[str, str | None, float], Flow[Said[T]]]
    secrets: Secrets = NO_SECRETS

    def __repr__(self) -> str:
        return f"<Call to {' or '.join(self.places)}>"


def plain_call(
    places: tuple[str, ...],
    request: Callable[[str], Request],
    read: Callable[[Response], T | Failure],
) -> Call[T]:
    """A call of one request without app client. `request`: makes it for a place."""

    def talk(place: str, _: str | None, patience: float) -> Flow[Said[T]]:
        return (yield from exchange(within(request(place), patience), read))

    return Call(places, talk)


def within(request: Request, patience: float) -> Request:
    """The request, with at most this much patience."""
    return request._replace(patience=min(request.patience, patience))


def exchange(request: Request, read: Callable[[Response], T | Failure]) -> Flow[Said[T]]:
    """Talk to a place by one request."""
    response, now = yield request
    return Said(read(response), f"HTTP status {response.status}", now)


class Settling:
    """When the pools' own Regions were passed over last, by operations whose refusals count."""

    def __init__(self) -> None:
        self._passed_at: dict[tuple[str, ...], float] = {}

    def begin(self, places: tuple[str, ...], now: float) -> None:
        """The own Region of these was passed over."""
        self._passed_at[places] = now

    def is_on(self, places: tuple[str, ...], now: float) -> bool:
        """Whether a refusal by the own Region means "not now"."""
        return abs(now - self._passed_at.get(places, -SETTLING)) < SETTLING


class Regions:
    """Carries out the calls of one operation.

    `settling`: given if its refusals end sessions, and shared by all such operations.
    """

    def __init__(self, paces: Paces, settling: Settling | None = None) -> None:
        self._paces = paces
        self._settling = settling

    def meanwhile(self, places: tuple[str, ...], caller: Caller, now: float) -> Failure | None:
        """The answer to a caller during a pause; None: ask."""
        return self._paces.of(places[0], caller).meanwhile(now) if len(places) == 1 else None

    def ask(self, call: Call[T], caller: Caller, now: float) -> Flow[tuple[T | Failure, float]]:
        """Inside a flight: the answer or the failure, and its time."""
        places, paces = call.places, self._paces
        skipped = self._skipped(places, caller, now)
        failures: list[Failure] = []
        decider = 0  # its word counts
        for number, place in enumerate(places):
            departed, failure = now, skipped[number]
            if failure is None:
                answer, now = yield from self._try(call, number, caller, skipped.count(None), now)
                if not isinstance(answer, Failure):
                    return answer, now
                failure = answer
            failures.append(failure)
            ends = self._settling is not None and failure.ends_session
            if number == decider:
                if not paces.passes_over(place, caller, failure):
                    if ends and self._is_settling(places, now):
                        failure = paces.put_off(place, caller, failure, departed, now)
                    return failure, now
                decider += self._points_on(places, failure, now)
            elif ends:
                paces.put_off(place, caller, failure, departed, now)
        return (yield from self._in_vain(places, caller, failures, decider, now)), now

    def _points_on(self, places: tuple[str, ...], failure: Failure, now: float) -> bool:
        """Whether the deciding Region points to the next one. If not, it is down."""
        if failure.code != NOT_HERE and self._settling is not None and len(places) > 1:
            self._settling.begin(places, now)
        return failure.code == NOT_HERE

    def _is_settling(self, places: tuple[str, ...], now: float) -> bool:
        return self._settling is not None and self._settling.is_on(places, now)

    def _in_vain(
        self,
        places: tuple[str, ...],
        caller: Caller,
        failures: list[Failure],
        decider: int,
        now: float,
    ) -> Flow[Failure]:
        """The failure to pass on after all places have failed."""
        failure = failures[min(decider, len(places) - 1)]
        if len(places) == 1:
            return failure
        pairs = zip(places, failures, strict=True)
        if all(self._paces.passes_over(place, caller, one) for place, one in pairs):
            yield from self._paces.tell_all_down(places, caller, failure, now)
        waits = [one.retry_after for one in failures if one.retry_after is not None]
        return failure._replace(retry_after=min(waits, default=None))

    def _skipped(self, places: tuple[str, ...], caller: Caller, now: float) -> list[Failure | None]:
        """For each place its last failure if it is not asked now, or else None."""
        paces = self._paces
        firmly = [paces.of(place, caller).meanwhile(now) for place in places]
        if len(places) == 1:
            return firmly
        passed = [paces.passed_over(place, caller, now) for place in places]
        found = [one or another for one, another in zip(passed, firmly, strict=True)]
        return found if None in found else firmly  # with nowhere else to go, only these count

    def _try(
        self, call: Call[T], number: int, caller: Caller, shares: int, now: float
    ) -> Flow[tuple[T | Failure, float]]:
        """The answer of one place, noted, and its time. `shares`: the number of places to ask."""
        paces, places, place = self._paces, call.places, call.places[number]
        if shares > 1:
            paces.try_again(place, caller, now)
        said: Said[T] = Said(UNAVAILABLE, "", now)
        for secret in call.secrets.in_order():
            departed = said.now
            try:
                said = yield from call.talk(place, secret, _WAITED / shares)
            except Unreachable as error:
                said = Said(UNAVAILABLE, str(error), error.now or departed)
            if not caller.is_odd:
                call.secrets.note(secret, said.answer)
            if not (isinstance(said.answer, Failure) and said.answer.refuses_client):
                break
        answer, why, now = said
        is_alone = len(places) == 1
        answer = yield from paces.heed(place, caller, answer, why, departed, now, is_alone=is_alone)
        yield from paces.tell_of_others(places, number, caller, answer)
        return answer, now
