"""One span and one duration for each operation.

Rules:
- A span's kind is CLIENT. It has `server.address` of the host that was asked last, so that of the
  Region that has answered; `http.request.resend_count` if there was more than one request (another
  Region, another secret, a page of a list).
- A store's span has `db.system.name`, and its method's name. One of a store that is not this
  library's is INTERNAL.
- `error.type` is a reason ("throttled", "session_revoked"), or the name of an exception.
- The span is the current one while its operation runs, so that other instrumentations' spans are
  its children.
- Afterwards the thread or task has its former context again, whatever fails: an exporter, a
  sampler, an instrumentation that leaves its own span behind. On a server's thread the next request
  would be traced as a part of this one.
"""

from contextvars import ContextVar, Token
from functools import lru_cache
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from ..effects import OperationName
from .api import context, trace
from .instruments import Instruments

_SYSTEMS: Final = {
    "RedisStore": "redis",
    "PostgresStore": "postgresql",
    "SQLiteStore": "sqlite",
}
_PORTS: Final = {"https": 443, "http": 80}


class PassedOn:
    """Work that is not measured, in the context of a request."""

    def __init__(self, place: Any) -> None:
        self._way_back = attach(context.get_current() if place is None else place)

    def asked(self, url: str, status: int | None) -> None:
        """It is part of no operation."""

    def end(self, error: str | None) -> None:  # noqa: ARG002
        """Go back to the thread's own context."""
        self._way_back.take()


class Operation:
    """An operation under way. `place`: the context that it belongs to; None: the present one."""

    def __init__(
        self,
        tracer: trace.Tracer,
        instruments: Instruments,
        name: OperationName,
        place: Any,
        store: str,
    ) -> None:
        system, _, method = store.rpartition(".")
        self._duration = instruments.duration
        self._attributes: dict[str, str] = {"amplify_mw.operation": name}
        more: dict[str, str] = {}
        kind, full = trace.SpanKind.CLIENT, f"amplify_mw.{name}"
        if store:
            full = f"{full}.{method}"
            self._attributes["amplify_mw.store.method"] = method
            if system in _SYSTEMS:
                more["db.system.name"] = _SYSTEMS[system]
            else:
                kind = trace.SpanKind.INTERNAL
        self._asked = 0
        self._began = perf_counter()
        self._span = tracer.start_span(full, place, kind, {**self._attributes, **more})
        self._way_back = attach(trace.set_span_in_context(self._span, place))

    def asked(self, url: str, status: int | None) -> None:
        """A request was sent, the first one or another."""
        span, self._asked = self._span, self._asked + 1
        if not span.is_recording():
            return
        address, port = _server(url)
        span.set_attribute("server.address", address)
        span.set_attribute("server.port", port)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if self._asked > 1:
            span.set_attribute("http.request.resend_count", self._asked - 1)

    def end(self, error: str | None) -> None:
        """It is over."""
        took, span = perf_counter() - self._began, self._span
        try:
            if error is not None:
                self._attributes["error.type"] = error
                span.set_attribute("error.type", error)
                span.set_status(trace.StatusCode.ERROR)
            self._duration.record(took, self._attributes)  # within the span, for exemplars
        finally:
            try:
                span.end()
            finally:
                self._way_back.take()


_ATTACHED: Final[ContextVar[None]] = ContextVar("amplify_mw_attached", default=None)


class WayBack:
    """From an attached context to the one before. Made by `attach`."""

    __slots__ = ("_mark", "_token")

    def __init__(self, token: Any, mark: Token[None]) -> None:
        self._token = token
        self._mark = mark

    def take(self) -> None:
        """Go back. A coroutine that is closed from another context has nothing to go back from."""
        try:
            _ATTACHED.reset(self._mark)
        except ValueError:  # another context: OpenTelemetry would log an error
            return
        context.detach(self._token)


def attach(place: Any) -> WayBack:
    """Make a context the current one."""
    return WayBack(context.attach(place), _ATTACHED.set(None))


@lru_cache(maxsize=256)
def _server(url: str) -> tuple[str, int]:
    """The host and the port of a configured address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
