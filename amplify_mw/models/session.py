"""The tokens of a session, and a session in a list of devices.

Only a few of the functions need them, and they would take a tenth of the time to import the
middlewares: so nothing imports this file until one of those functions is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .user import SignInDetails


@dataclass(frozen=True, slots=True)
class Jwt:
    """A verified token: its claims, and its encoded text, which no repr shows."""

    encoded: str = field(repr=False)
    """The token as Cognito signed it."""

    payload: Mapping[str, Any] = field(repr=False)
    """Its claims."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The encoded tokens of a sign-in, as Cognito gave them. Nothing in them is verified yet."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. Its kind decides which of them it has; the others are None."""

    id_token: Jwt | None = None
    access_token: Jwt | None = None
    sign_in_details: SignInDetails | None = None


@dataclass(frozen=True, slots=True)
class AuthSession:
    """The answer of `fetch_auth_session()`. Both fields are None if nobody is signed in."""

    tokens: Tokens | None = None
    """The session's tokens."""

    user_sub: str | None = None
    """The user's `sub`."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One of a user's sessions, for a list of devices. Times are seconds since the epoch."""

    handle: str
    """The session's name, for `end_session_by_handle`. It gives no access."""

    created_at: float
    """The time of the sign-in."""

    seen_at: float
    """The time of the last request, to within a tenth of the session's `idle`."""

    expires_at: float
    """The end of the session, without another request."""

    user_agent: str
    """The site's own text for this device, from `start_session`; "" if none."""

    is_current: bool
    """Whether it is the session of this request."""
