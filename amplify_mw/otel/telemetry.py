"""`OpenTelemetry`: the library's metrics and traces.

Rules:
- It names no user, path, address or client's text in any metric. See `otel.instruments`.
- Two objects of equal options are equal, so that equal configurations share their caches.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from .. import events
from ..effects import OperationName
from ..errors import ConfigurationError
from ..events import Event
from ..sessions.seal import parse_key
from ..telemetry import Ongoing, Seen, Watched
from .api import context, metrics, trace
from .instruments import instruments_of
from .operations import Operation, PassedOn
from .users import SpanUsers, UserOnSpan

_WAYS: Final = (None, "plain", "hashed")


class OpenTelemetry:
    """Metrics and traces by OpenTelemetry, for `AmplifyConfig(telemetry=OpenTelemetry())`.

    Counts sign-ins, refusals and the like by reason; measures each call to Cognito and to the
    session store, with a span of its own in the trace of the request that has started it; shows
    caches and outages. "Metrics and traces" lists the names. No metric names a user, a path, or
    text of a client.

    `meter_provider`, `tracer_provider`: default the global ones, even if they are set later.
    `count_users`: whether requests of signed-in users are counted, too. Default: False.
    `user_on_span`: "plain" or "hashed" puts the user on the server's span as `user.id` or
    `user.hash`, and a stored session's handle as `session.id`. Default: None, nobody is named.
    `hash_key`: a secret for "hashed", as `amplify-mw keygen` prints one; all processes need the
    same. With it, hashes can be told apart from those of other sites, and nobody without it can
    try out users.

    Raises `ConfigurationError` for options that cannot be. The import of `amplify_mw.otel` raises
    it without OpenTelemetry's API: `pip install 'amplify-mw[otel]'`.

        config = AmplifyConfig.from_outputs("amplify_outputs.json", telemetry=OpenTelemetry())
    """

    def __init__(
        self,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        count_users: bool = False,
        user_on_span: UserOnSpan | None = None,
        hash_key: str | bytes | None = None,
    ) -> None:
        key = _check(user_on_span, hash_key)
        self._options: dict[str, Any] = {
            "meter_provider": meter_provider,
            "tracer_provider": tracer_provider,
            "count_users": count_users,
            "user_on_span": user_on_span,
            "hash_key": key,
        }
        self._version: str = _version()
        self._instruments = instruments_of(meter_provider, self._version)
        self.on_refusal: Callable[[str, int, str | None], None] = self._instruments.count_refusal
        """For the library."""
        self._tracer = trace.get_tracer("amplify_mw", self._version, tracer_provider)
        self._tracer_provider = tracer_provider
        self._counts_users: bool = count_users
        self.span_users: SpanUsers | None = None if user_on_span is None else SpanUsers(key)
        """For the library."""
        self.sees_requests: bool = count_users or user_on_span is not None
        """Whether each request is counted or put on a span."""

    # It is a value, whose copies are itself.

    def __repr__(self) -> str:
        given = {name: value for name, value in self._options.items() if value}
        given.pop("hash_key", None)
        return f"OpenTelemetry({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenTelemetry):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        # Providers are compared by identity: an SDK's have no other.
        given = self._options
        providers = (id(given["meter_provider"]), id(given["tracer_provider"]))
        return (*providers, self._counts_users, given["user_on_span"], given["hash_key"])

    def __copy__(self) -> "OpenTelemetry":
        return self

    def __deepcopy__(self, memo: object) -> "OpenTelemetry":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._options["meter_provider"] or self._options["tracer_provider"]:
            raise ConfigurationError(
                "OpenTelemetry(meter_provider=..., tracer_provider=...) cannot be pickled: a "
                "provider is of one process. Set the global ones there, and write OpenTelemetry()"
            )
        return _made, (self._options,)

    # What the library calls; see `amplify_mw.telemetry`.

    def on_event(self, event: Event) -> None:
        """Count an event."""
        count = self._instruments.count
        match event:
            case events.SignedIn():
                count("signed_in", "", event.session)
            case events.SignInFailed():
                count("sign_in_failed", event.reason, event.session, event.status)
            case events.SignedOut():
                count("signed_out", "", event.session)
            case events.Refreshed():
                count("refreshed", "", event.session)
            case events.Revoked():
                count("revoked" if event.is_done else "revocation_failed", event.reason)
            case _:
                pass  # refusals have `on_refusal`; outages are read when metrics are collected

    def context(self) -> object:
        """The caller's context."""
        return context.get_current()

    def begin(
        self, operation: OperationName | None, place: object = None, *, store: str = ""
    ) -> Ongoing:
        """Begin an operation."""
        if operation is None:
            return PassedOn(place)
        return Operation(self._tracer, self._instruments, operation, place, store)

    def watch(self, watched: Watched) -> None:
        """Show the state of caches and outages."""
        self._instruments.watch(watched)

    def on_request(self, user: Seen | None) -> None:
        """Count a request, and put its user on the server's span, as configured."""
        if self._counts_users and user is not None:
            self._instruments.count_request(user.session)
        if self.span_users is not None:
            self.span_users.on_request(user, self._tracer_provider or trace.get_tracer_provider())


def _made(options: dict[str, Any]) -> OpenTelemetry:
    return OpenTelemetry(**options)


def _check(way: object, hash_key: str | bytes | None) -> bytes | None:
    if way not in _WAYS:
        raise ConfigurationError(f"user_on_span: write 'plain' or 'hashed', or None; got {way!r}")
    if (way == "hashed") != (hash_key is not None):
        raise ConfigurationError(
            "hash_key: user_on_span='hashed' needs a secret key; write hash_key='...', as "
            "`amplify-mw keygen` prints one"
            if way == "hashed"
            else "hash_key: it is for user_on_span='hashed' alone"
        )
    return None if hash_key is None else parse_key(hash_key)


def _version() -> str:
    try:
        return version("amplify-mw")
    except PackageNotFoundError:  # run from its sources
        return ""
