"""How long sessions last: the options that sealed and stored ones share.

Rules:
- `idle` and `absolute` are enforced by the server; the cookie's own age does not matter.
- Sliding expiry: a session is extended (kept and set anew) once a tenth of `idle` has passed since
  the last time, not on each request.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..errors import ConfigurationError, check_number, kind_of
from .bundle import Bundle
from .record import LONGEST_LEASE

_DAY: Final = 86_400.0
DEFAULT_TOKEN_BYTES: Final = 65_536
_EXTENSIONS: Final = 10  # per idle time


class Lifetimes(Protocol):
    """How long sessions of one kind last, and when to refresh them. Times are in seconds."""

    @property
    def refresh_margin(self) -> float:
        """Tokens are refreshed when less than this is left of them."""
        ...

    @property
    def lease(self) -> float:
        """How long a refreshing process keeps others from doing the same."""
        ...

    @property
    def longest_token(self) -> float:
        """The largest token that a session takes, in bytes."""
        ...

    def ends_at(self, bundle: Bundle) -> float:
        """When a session is over."""
        ...

    def extends_at(self, bundle: Bundle) -> float:
        """When a session is extended."""
        ...

    def gone_at(self, bundle: Bundle) -> float:
        """When the last cookie of a session has expired, so that its end may be forgotten."""
        ...


@dataclass(frozen=True, kw_only=True)
class LastingSession:
    """The options of session kinds with a refresh token; times are in seconds.

    `idle`: a session ends after this long without a request (default 7 days).
    `absolute`: a session ends this long after sign-in in any case (default 30 days, the default
    life of Cognito's refresh tokens).
    `refresh_margin`: tokens are refreshed when less than this is left of them (default 60).
    `lease`: how long a refreshing process keeps others from doing the same, in case it dies
    meanwhile (default 10). The pool's rotation grace period should be longer.
    `verify_with_cognito_every`: Cognito is asked again after this long whether the user is still
    signed in (default None: only refreshes ask).
    """

    idle: float = 7 * _DAY
    absolute: float = 30 * _DAY
    refresh_margin: float = 60.0
    lease: float = 10.0
    verify_with_cognito_every: float | None = None

    def __post_init__(self) -> None:
        check_number("idle", self.idle, 60, 400 * _DAY)
        check_number("absolute", self.absolute, 60, 400 * _DAY)
        check_number("refresh_margin", self.refresh_margin, 0, 3600)
        check_number("lease", self.lease, 1, LONGEST_LEASE)
        if self.verify_with_cognito_every is not None:
            check_number("verify_with_cognito_every", self.verify_with_cognito_every, 1, _DAY)

    @property
    def longest_token(self) -> float:
        """The largest token that a session takes, in bytes. (Cookies have limits of their own.)"""
        return DEFAULT_TOKEN_BYTES

    def ends_at(self, bundle: Bundle) -> float:
        """When a session is over."""
        return min(bundle.seen_at + self.idle, self.gone_at(bundle))

    def extends_at(self, bundle: Bundle) -> float:
        """When a session is extended."""
        return bundle.seen_at + self.idle / _EXTENSIONS

    def gone_at(self, bundle: Bundle) -> float:
        """When the last cookie of a session has expired, so that its end may be forgotten."""
        return bundle.created_at + self.absolute


def check_store(name: str, store: Any) -> None:
    """Raise `ConfigurationError` unless this looks like a session store."""
    if isinstance(store, type) or not hasattr(store, "acquire"):
        raise ConfigurationError(
            f"{name}: write a session store, such as SQLiteStore('sessions.db') or "
            f"RedisStore('redis://...'); got {kind_of(store)}"
        )
