"""The tokens of a session, and a session in a list of devices.

Rules:
- `Tokens` and `AuthSession` are Amplify's: anything in them may be None.
- `SignedInTokens` and `SignedInSession` are for code that needs a user: nothing in them is None. A
  token that the session does not have raises when it is read.

Only a few of the functions need them, and they would take a tenth of the time to import the
middlewares: so nothing imports this file until one of those functions is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NotAuthorizedException
from .user import AuthUser, SignInDetails


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
    """The ID token: the user's attributes, for this app."""

    access_token: str = field(repr=False)
    """The access token: groups and scopes, for APIs."""

    refresh_token: str | None = field(default=None, repr=False)
    """The refresh token, which gets new ones; None if the session is to end with its tokens."""


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """A sign-in that is about to begin, for `AuthRoutes(on_sign_in=...)`. All of it is verified."""

    user: AuthUser
    """The user, with its groups."""

    attributes: Mapping[str, str] = field(repr=False)
    """The user's attributes in the ID token, such as `email`; all values are text."""

    tokens: TokenSet
    """The tokens that Cognito has just issued."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. Its kind decides which of them it has; the others are None.

    A `TokenSession` has the one in its cookie, `SealedSession` and `StoredSession` have both, and
    `AmplifyCookies` those of the front end.
    """

    id_token: Jwt | None = None
    """The ID token, whose claims are the user's attributes."""

    access_token: Jwt | None = None
    """The access token, whose claims are groups and scopes."""

    sign_in_details: SignInDetails | None = None
    """None, except with `AmplifyCookies`: the browser's word, which nobody has verified."""


@dataclass(frozen=True, slots=True)
class AuthSession:
    """The answer of `fetch_auth_session()`. Both fields are None if nobody is signed in."""

    tokens: Tokens | None = None
    """The session's tokens."""

    user_sub: str | None = None
    """The user's `sub`."""


@dataclass(frozen=True, slots=True)
class SignedInTokens:
    """The tokens of a signed-in user. Reading one that the session does not have raises.

    Raises `NotAuthorizedException` (`missing_token`), which names the token.
    """

    held: Tokens
    """The same as `Tokens`, with None for a token that the session does not have."""

    @property
    def id_token(self) -> Jwt:
        """The ID token, whose claims are the user's attributes."""
        return _present(self.held.id_token, "ID token")

    @property
    def access_token(self) -> Jwt:
        """The access token, whose claims are groups and scopes."""
        return _present(self.held.access_token, "access token")

    @property
    def sign_in_details(self) -> SignInDetails | None:
        """See `Tokens`."""
        return self.held.sign_in_details


def _present(token: Jwt | None, name: str) -> Jwt:
    if token is None:
        raise NotAuthorizedException(
            f"This session has no {name}: put that one in its cookie, or use a kind of session "
            "that keeps both.",
            reason="missing_token",
        )
    return token


@dataclass(frozen=True, slots=True)
class SignedInSession:
    """The answer of `fetch_auth_session(required=True)`."""

    tokens: SignedInTokens
    """The session's tokens."""

    user_sub: str
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
