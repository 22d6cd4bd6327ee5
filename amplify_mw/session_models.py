"""What a caller receives of a session: its tokens, and its place in a list of devices.

Rules:
- Values are frozen. What is handed out can be changed by its receiver without changing what
  another request sees: payloads are fresh dictionaries.
- No repr shows a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .models import SignInDetails


@dataclass(frozen=True, slots=True)
class Jwt:
    """A verified token: its claims, and the encoded text (never in its repr)."""

    encoded: str = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The tokens of a sign-in as Cognito gave them, encoded. Nothing in them is believed yet."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session; the kind of session decides which of them there are."""

    id_token: Jwt | None = None
    access_token: Jwt | None = None
    sign_in_details: SignInDetails | None = None


@dataclass(frozen=True, slots=True)
class AuthSession:
    """What `fetch_auth_session()` answers; both are None when nobody is signed in."""

    tokens: Tokens | None = None
    user_sub: str | None = None


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One of a user's sessions, for a list of devices; times are seconds since the epoch.

    `handle`: what it is called, to end it by; it gives no access. `user_agent`: what the site gave
    when the session was started. `is_current`: it is the session of this very request.
    """

    handle: str
    created_at: float
    seen_at: float
    expires_at: float
    user_agent: str
    is_current: bool
