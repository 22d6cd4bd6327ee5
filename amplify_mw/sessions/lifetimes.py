"""How long sessions last: the options that sealed and stored ones have in common.

Rules:
- `idle` and `absolute` are enforced by the server, whatever the cookie's own age says.
- A session is rolled (kept and set anew) once a tenth of `idle` has passed since the last time, not
  on each request.
"""

from dataclasses import dataclass
from typing import Any, Final

from ..errors import ConfigurationError, check_number, kind_of
from .bundle import Bundle
from .record import LONGEST_LEASE

_DAY: Final = 86_400.0
DEFAULT_TOKEN_BYTES: Final = 65_536
_ROLLS: Final = 10  # per idle time


@dataclass(frozen=True, kw_only=True)
class LastingSession:
    """The options of session kinds that are refreshed; times are in seconds.

    `idle`: after so long without a request a session is over (default 7 days).
    `absolute`: it is over so long after sign-in, whatever happens (default 30 days, which is how
    long Cognito's refresh tokens are good by default).
    `refresh_margin`: tokens are refreshed when less than this is left of them (default 60).
    `lease`: for how long a process that refreshes keeps others from doing the same, should it die
    meanwhile (default 10). The pool's rotation grace period should be longer.
    `verify_with_cognito_every`: after so long Cognito is asked whether the user is signed in still
    (default None: only refreshes ask).
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
        """Bytes of a token that a session takes at most; what fits a cookie is told elsewhere."""
        return DEFAULT_TOKEN_BYTES

    def ends_at(self, bundle: Bundle) -> float:
        """When a session is over."""
        return min(bundle.seen_at + self.idle, bundle.created_at + self.absolute)

    def extends_at(self, bundle: Bundle) -> float:
        """When it is to be rolled."""
        return bundle.seen_at + self.idle / _ROLLS


def check_store(name: str, store: Any) -> None:
    """Raise `ConfigurationError` unless this looks like a session store."""
    if isinstance(store, type) or not hasattr(store, "acquire"):
        raise ConfigurationError(
            f"{name}: write a session store, such as SQLiteStore('sessions.db') or "
            f"RedisStore('redis://...'); got {kind_of(store)}"
        )
