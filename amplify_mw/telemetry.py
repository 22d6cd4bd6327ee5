"""`Telemetry`: what the library tells of its work, to be measured and traced.

Rules:
- The library measures nothing by itself. `AmplifyConfig(telemetry=...)` takes an object with these
  methods, such as `amplify_mw.otel.OpenTelemetry()`.
- Without one, nothing here costs a request anything.
- Only `on_event` is required. An object without the others is not asked for them.
- With `on_refusal`, `on_event` is not told of refusals: no event is made for the telemetry alone.
- What these methods raise fails no request. It is logged: of `on_event` as of any listener, of the
  others the first time.
- No method is given a token, a cookie's value, a code, an attribute, or text that a client made.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

from .effects import OperationName
from .events import Event

CacheName: TypeAlias = Literal["sessions", "attributes"]


class Seen(NamedTuple):
    """The user of a request, as it came in.

    `session`: the kind of session, as in events. `handle`: the session's name in `list_sessions`;
    None for a bare token.
    """

    user_id: str
    session: str
    handle: str | None

    def __repr__(self) -> str:
        return f"<Seen in a {self.session} session>"


class Ongoing(Protocol):
    """An operation that has begun."""

    def asked(self, url: str, status: int | None) -> None:
        """A request was sent to this address. `status`: the answer's; None without an answer."""
        ...

    def end(self, error: str | None) -> None:
        """It is over. `error`: a reason of `amplify_mw.errors`, or an exception's name."""
        ...


class Watched(Protocol):
    """The state that apps of equal pools and limits share. It may be gone any time."""

    def cache_sizes(self) -> Mapping[CacheName, tuple[int, int]]:
        """Entries and bytes of each cache."""
        ...

    def failing(self) -> Collection[OperationName]:
        """The operations that are in an outage now."""
        ...


class Telemetry(Protocol):
    """Measures events and operations. Several threads call it at a time."""

    sees_requests: bool
    """Whether `on_request` is to be called."""

    def on_event(self, event: Event) -> None:
        """Count an event."""
        ...

    def on_refusal(self, reason: str, status: int, session: str | None) -> None:
        """Count a refusal, once per request and reason. The arguments: as in `Refused`."""
        ...

    def context(self) -> object:
        """The caller's place in a trace, for `begin` on another thread."""
        ...

    def begin(
        self, operation: OperationName | None, place: object = None, *, store: str = ""
    ) -> Ongoing:
        """Begin an operation on this thread, in this task; its `end` is called there, too.

        `operation`: None for work that only passes a context on. `place`: from `context()`, where
        it was asked for; None: here. `store`: "RedisStore.load", for a store's.
        """
        ...

    def watch(self, watched: Watched) -> None:
        """Show the state of these caches and outages, without keeping them alive."""
        ...

    def on_request(self, user: Seen | None) -> None:
        """A request came in, in the caller's context. None: nobody is signed in."""
        ...
