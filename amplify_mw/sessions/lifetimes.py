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
from .store import Store

_DAY: Final = 86_400.0
DEFAULT_TOKEN_BYTES: Final = 65_536
_EXTENSIONS: Final = 10  # per idle time
AHEAD: Final = 300.0  # seconds
PATIENCE: Final = 0.3  # seconds


class Lifetimes(Protocol):
    """How long sessions of one kind last, and when to refresh them. Times are in seconds."""

    @property
    def refresh_margin(self) -> float:
        """Tokens are refreshed when less than this is left of them."""
        ...

    @property
    def refresh_ahead(self) -> float:
        """Tokens are refreshed behind a request's back when less than this is left of them."""
        ...

    @property
    def patience(self) -> float:
        """How long a request waits for a refresh while its tokens are good."""
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
    """The options of session kinds with a refresh token. Times are in seconds."""

    idle: float = 7 * _DAY
    """Seconds without a request after which a session ends. Default: 7 days.

    From 1 minute to 400 days.
    """

    absolute: float = 30 * _DAY
    """Seconds after sign-in at which a session ends in any case. Default: 30 days.

    Cognito's refresh tokens live that long by default. From 1 minute to 400 days.
    """

    refresh_margin: float = 60.0
    """Seconds before their expiry at which a request waits for new tokens.

    Default: 60, at most 3,600, and half of the tokens' life.
    """

    refresh_ahead: float = AHEAD
    """Seconds before their expiry at which tokens are refreshed, while requests go on with them.

    Default: 300, at most 3,600, and a quarter of the tokens' life. From `refresh_margin` on a
    request waits, so a smaller value has no effect. 0 turns it off.
    """

    patience: float = PATIENCE
    """Seconds for which a request waits for new tokens while the present ones are good.

    Then it goes on with those. Default: 0.3, at most 60.
    """

    lease: float = 10.0
    """Seconds for which a refreshing process keeps others from doing the same. Default: 10.

    It limits the wait if that process dies meanwhile. The grace period of the pool's refresh token
    rotation should be longer.
    """

    verify_with_cognito_every: float | None = None
    """Seconds after which Cognito is asked again whether the user is still signed in.

    Default: None, only refreshes ask. From 1 to 86,400.
    """

    def __post_init__(self) -> None:
        check_number("idle", self.idle, 60, 400 * _DAY)
        check_number("absolute", self.absolute, 60, 400 * _DAY)
        check_refreshing(self.refresh_margin, self.refresh_ahead, self.patience)
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


def check_refreshing(refresh_margin: float, refresh_ahead: float, patience: float) -> None:
    """Raise `ConfigurationError` for an option of this name that is out of range."""
    check_number("refresh_margin", refresh_margin, 0, 3600)
    check_number("refresh_ahead", refresh_ahead, 0, 3600)
    check_number("patience", patience, 0, 60)


_CALLS: Final = tuple(call for call in vars(Store) if not call.startswith("_"))


def check_store(name: str, store: Any) -> None:
    """Raise `ConfigurationError` unless this has the methods of a session store."""
    if isinstance(store, type) or not hasattr(store, "acquire"):
        raise ConfigurationError(
            f"{name}: write a session store, such as SQLiteStore('sessions.db'), "
            f"PostgresStore('postgresql://...') or RedisStore('redis://...'); got {kind_of(store)}"
        )
    missing = [call for call in _CALLS if not callable(getattr(store, call, None))]
    if missing:
        raise ConfigurationError(
            f"{name}: {kind_of(store)} has no {', '.join(missing)}; let its class inherit from "
            "amplify_mw.stores.SessionStore, which has all that a store need not write itself"
        )
