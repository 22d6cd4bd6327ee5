"""The signed-in user on the server's span, for those who ask for it.

Rules:
- A span outside of the middleware is the current one when a request comes in. One inside of it is
  seen when it begins: a span processor of ours looks at spans of kind SERVER. It is added to the
  provider at the first request, if that is an SDK's.
- A user is put on a span of its own request alone: the visit is asked that is bound where the span
  begins. Outside of a visit, and after its end, nothing is put on any span.
- "hashed": HMAC-SHA-256 under a key of the operator's, in hexadecimal. Without the key nobody can
  tell whose it is, even with a list of all users; with it the same user has the same hash in every
  process.
"""

import hmac
import threading
import weakref
from typing import Any, Final, Literal, TypeAlias

from ..engine.context import bound
from ..engine.reporting import seen
from ..telemetry import Seen
from .api import trace

UserOnSpan: TypeAlias = Literal["plain", "hashed"]
_SERVER: Final = trace.SpanKind.SERVER


class SpanUsers:
    """Puts users on spans. `key`: for hashes; None: plain ids."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._prepared: object = None  # the provider whose spans are seen as they begin

    def on_request(self, user: Seen | None, provider: trace.TracerProvider) -> None:
        """Put a user on the current span, if that is the server's. `provider`: of such spans."""
        if provider is not self._prepared:
            _see_spans_of(provider)
            self._prepared = provider
        span = trace.get_current_span()
        if user is not None and span.is_recording() and getattr(span, "kind", _SERVER) is _SERVER:
            self.put(user, span)

    def put(self, user: Seen, span: trace.Span) -> None:
        """Put a user on a span."""
        name, handle = "user.id", user.handle
        user_id = user.user_id
        if self._key is not None:
            name, user_id = "user.hash", _hashed(self._key, user_id)
            handle = None if handle is None else _hashed(self._key, handle)
        span.set_attribute(name, user_id)
        if handle is not None:
            span.set_attribute("session.id", handle)


def _hashed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


_seen_providers: "Final[weakref.WeakSet[Any]]" = weakref.WeakSet()
_adding: Final = threading.Lock()


def _see_spans_of(provider: Any) -> None:
    """Have the spans of a provider seen as they begin, if it is an SDK's."""
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return
    try:
        from opentelemetry.sdk.trace import SpanProcessor
    except ImportError:  # another SDK's
        return

    class Processor(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002
            _on_start(span)

    with _adding:
        if provider in _seen_providers:
            return
        _seen_providers.add(provider)
    add(Processor())


def _on_start(span: Any) -> None:
    """Put the user of the present request on a server's span that begins."""
    visit = bound() if span.kind is _SERVER else None
    if visit is None or visit.has_ended:
        return
    users = getattr(visit.home.config.telemetry, "span_users", None)
    if isinstance(users, SpanUsers) and (user := seen(visit)) is not None:
        users.put(user, span)
