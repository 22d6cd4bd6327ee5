"""What a flow may ask of the world.

A *flow* is a generator that takes a decision. Where it needs the world it yields an effect and is
sent `(value, now)`: the answer, and the time at which it came, since a flow may have waited. Where
the effect failed, `Unreachable` is thrown into it, so that the flow decides what that means. The
drivers that run flows are in `drive.py`; a test steps one by hand:

    flow = source.key_for("kid-1", issued_at=90.0, now=100.0)
    effect = next(flow)                      # Join(...): fetch the key set
    flow.send((state, 100.2))                # what came of it, and when

Rules:
- Effects are values. Nothing here acts.
- `Request` is only yielded inside a flight: callers wait for flights, never for sockets.
"""

from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Unreachable(Exception):
    """An endpoint gave no usable answer in time. Says what happened, never what was sent.

    `now`: the time at which that was known, as the drivers note it.
    """

    now: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Send this HTTP request; the answer is a `Response` of at most `max_bytes`."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)
    max_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Flight:
    """Work that all who ask for the same `key` share.

    `flow` is called with the time of departure. `lane` says which threads carry it: keys have
    their own, so that nothing else can delay a verification.
    """

    key: Hashable = field(repr=False)
    flow: "Callable[[float], Flow[Any]]" = field(repr=False)
    lane: Literal["keys", "calls"] = "calls"


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for this flight, which starts unless it is in the air; the answer is its result."""

    flight: Flight


@dataclass(frozen=True, slots=True)
class Launch:
    """Start this flight unless it is in the air, and do not wait."""

    flight: Flight


class Sized(Protocol):
    """What a cache holds: it knows its rough size in bytes."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        ...


class Cache(Protocol):
    """What is known already. Reading changes nothing and never waits.

    `generation` counts how often everything was dropped.
    """

    generation: int

    def __getitem__(self, key: bytes) -> Any:
        """The value, or a `KeyError`."""
        ...

    def get(self, key: bytes) -> Any | None:
        """The value, or None."""
        ...

    def put(self, key: bytes, value: Sized, generation: int | None = None) -> None:
        """Keep a value, if the cache is of that generation. For drivers, as are the two below."""
        ...

    def discard(self, key: bytes) -> None:
        """Drop one value, if it is there."""
        ...

    def clear(self) -> None:
        """Drop them all."""
        ...


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep `value` in `cache` under `key`; None drops it.

    `generation`: that of the cache when the value was begun. If everything has been dropped since,
    it is not kept: it may rest on what was withdrawn. None keeps it in any case.
    """

    cache: Cache = field(repr=False)
    key: bytes = field(repr=False)
    value: Sized | None = field(repr=False)
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class ForgetAll:
    """Drop everything in `cache`."""

    cache: Cache = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outage:
    """Tell the operator, once, that `what` has stopped answering, or (`over`) answers again."""

    what: str
    why: str = ""
    over: bool = False


Effect: TypeAlias = Request | Join | Launch | Remember | ForgetAll | Outage
Flow: TypeAlias = Generator[Effect, Any, T]


class FlowRunner(Protocol):
    """Runs flows: blocking, or awaiting; knows what time it is."""

    def clock(self) -> float:
        """Seconds since the epoch."""
        ...

    def run(self, flow: Flow[T]) -> T:
        """The flow's result, waiting on this thread."""
        ...

    async def arun(self, flow: Flow[T]) -> T:
        """The flow's result, awaited."""
        ...
