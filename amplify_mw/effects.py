"""Effects: a flow's requests to the outside world.

A *flow* is a decision, written as a generator. When it needs the world it yields an effect, and is
sent `(value, now)`: the answer, and the time of the answer, since the flow may have waited. If the
effect failed, `Unreachable` is thrown into the flow, which can go on without it. The drivers of
flows are in `engine.driver`; a test steps one by hand:

    flow = source.key_for("kid-1", issued_by=90.0, now=100.0)
    effect = next(flow)                      # Join(...): fetch the key set
    flow.send((state, 100.2))                # the answer, and its time

Rules:
- Effects are values. No repr shows a secret. Nothing here acts. (Most are named tuples: a frozen
  dataclass costs every import six times as much to make.)
- `Request` and `Pause` are only yielded inside a flight: callers wait for flights, never for
  sockets.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    TypeVarTuple,
)

T = TypeVar("T")
S = TypeVar("S")
Ts = TypeVarTuple("Ts")


class Unreachable(Exception):
    """An endpoint gave no usable answer in time. The message never quotes the request.

    `now`: the time of the failure, as noted by the driver.
    """

    now: float | None = None


_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Request(NamedTuple):
    """Send this HTTP request; the answer is a `Response` of at most `max_bytes`."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = _NO_HEADERS
    content: bytes = b""
    max_bytes: int = 1024 * 1024
    patience: float = 1.0  # how many times the configured timeout the answer may take

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


class Response(NamedTuple):
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


# The threads for a flight. Keys have their own, so that nothing else can delay a verification. So
# have ends of sessions, which are carried out however late, and refreshes that nobody waits for
# ("ahead"), which delay none that somebody needs.
Lane: TypeAlias = Literal["keys", "calls", "sessions", "ahead", "codes", "ends", "revocations"]


# Work that waits for another system, as metrics and traces name it (see `telemetry`).
OperationName: TypeAlias = Literal[
    "key_fetch",
    "refresh",
    "get_user",
    "code_exchange",
    "revoke",
    "list_sessions",
    "end_session",
    "store",
]


class Operation(NamedTuple):
    """An operation to be measured. `error_of`: from a flight's result, the reason if it failed."""

    name: OperationName
    error_of: Callable[[Any], str | None]


class Flight(NamedTuple):
    """Work shared by all flows that ask for the same `key`.

    `flow` is called with the time of departure. `lane`: the threads that carry it. `operation`:
    None for work that is not measured as a whole.
    """

    key: Hashable
    flow: "Callable[[float], Flow[Any]]"
    lane: Lane = "calls"
    operation: Operation | None = None

    def __repr__(self) -> str:
        return f"<Flight in {self.lane}>"


class Join(NamedTuple):
    """Wait for this flight, which starts unless it is in the air; the answer is its result.

    `patience`: how many seconds to wait at most; None: as long as any waiter does. The flight goes
    on.
    """

    flight: Flight
    patience: float | None = None


class Launch(NamedTuple):
    """Start this flight unless it is in the air, and do not wait."""

    flight: Flight


class Sized(Protocol):
    """A value in a cache: it knows its rough size in bytes."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        ...


class Cache(Protocol):
    """A cache. Reading changes nothing and never waits.

    `generation` counts how often everything, or a kind of value, was dropped.
    """

    generation: int

    @property
    def get(self) -> Callable[[Any], Any | None]:
        """Gets the value under a key, or None."""
        ...

    def put(self, key: Hashable, value: Sized, generation: int | None = None) -> None:
        """Keep a value, if the cache is of this generation. For drivers and shells.

        The next three are for drivers.
        """
        ...

    def discard(self, key: Hashable) -> None:
        """Drop one value, if it is there."""
        ...

    def clear(self) -> None:
        """Drop them all."""
        ...

    def drop(self, which: Callable[[Any], bool]) -> None:
        """Drop the values chosen by `which`."""
        ...


class Remember(NamedTuple):
    """Keep `value` in `cache` under `key`; None drops it.

    `generation`: the cache's generation when work on the value began. If values have been dropped
    since, this one is not kept: it may rest on a key that was removed. None: it is always kept.
    """

    cache: Cache
    key: Hashable
    value: Sized | None
    generation: int | None = None

    def __repr__(self) -> str:
        return "<Remember>"


class ForgetAll(NamedTuple):
    """Drop everything in `cache`."""

    cache: Cache

    def __repr__(self) -> str:
        return "<ForgetAll>"


class Forget(NamedTuple):
    """Drop the values in `caches` chosen by `which`."""

    caches: Sequence[Cache]
    which: Callable[[Any], bool]

    def __repr__(self) -> str:
        return "<Forget>"


class Draw(NamedTuple):
    """Draw `size` random bytes, good enough for a key."""

    size: int


class Ask(Generic[T]):
    """Ask a session store: call a method of it, or await it. See `amplify_mw.stores`.

    It is the operation "store", unless the store is in this process's memory.

    `call`: a method of the store's type, such as `Store.load`, so that a type checker knows its
    arguments and its answer. It is called by its name: a store need not inherit from the type.
    """

    __slots__ = ("arguments", "method", "store")

    def __init__(self, store: S, call: Callable[[S, *Ts], T], *arguments: *Ts) -> None:
        self.store: Any = store
        self.method: str = call.__name__
        self.arguments: tuple[Any, ...] = arguments

    def __repr__(self) -> str:
        return f"<Ask {self.method}>"


class Pause(NamedTuple):
    """Let so many seconds pass."""

    seconds: float


class Meanwhile(NamedTuple):
    """Send `request`. Until there is an answer, do `ask` every `every` seconds."""

    request: Request
    every: float
    ask: Ask[Any]


class Report(NamedTuple):
    """Tell the log and the app's listener of an event; see `amplify_mw.events`.

    `loudly`: an operator should look at it now.
    (`Outage`, `Rejection` and `Notice` are events, too; a flow yields them as they are.)
    """

    event: object
    loudly: bool = False


class Outage(NamedTuple):
    """`what` has stopped answering, or (`over`) answers again. Told once.

    `why`: how it failed. `meanwhile`: what becomes of sessions. `dependency`: the operation that
    fails, such as "key_fetch", "refresh" or "store".
    """

    what: str
    why: str = ""
    over: bool = False
    meanwhile: str = "sessions are kept meanwhile"
    dependency: OperationName | None = None


class Rejection(NamedTuple):
    """Cognito refuses `what`, for how it is set up, or (`over`) accepts it again. Told once.

    `code`: Cognito's own name for it. `mend`: the change to make. `outcome`: what becomes of
    sessions.
    """

    what: str
    code: str = ""
    mend: str = ""
    outcome: str = "sessions are kept meanwhile"
    over: bool = False


class Notice(NamedTuple):
    """Something else for an operator to look at. Told once.

    `text`: a sentence with no secret in it. `reason`: that of the refusals it is about, if it is
    about any.
    """

    text: str
    reason: str | None = None


class Tell(NamedTuple):
    """Call a function of the app with `value`; await the result if it is awaitable.

    The answer is the exception that it raised, or None. Nothing is logged.
    """

    listener: Callable[[Any], object]
    value: object

    def __repr__(self) -> str:
        return f"<Tell {type(self.value).__name__}>"


Effect: TypeAlias = (
    Request
    | Join
    | Launch
    | Remember
    | ForgetAll
    | Forget
    | Draw
    | Ask[Any]
    | Pause
    | Meanwhile
    | Report
    | Outage
    | Rejection
    | Notice
    | Tell
)
Flow: TypeAlias = Generator[Effect, Any, T]


class FlowRunner(Protocol):
    """Runs flows, blocking or awaiting, and has a clock."""

    def clock(self) -> float:
        """Seconds since the epoch."""
        ...

    def run(self, flow: Flow[T]) -> T:
        """The flow's result, waiting on this thread."""
        ...

    async def arun(self, flow: Flow[T]) -> T:
        """The flow's result, awaited."""
        ...
