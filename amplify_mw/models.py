"""The values that users of the library see: the user, the tokens, a session on a device.

Rules:
- Values are frozen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SignInDetails:
    """How the user signed in, as far as the front end said (Amplify's `AuthSignInDetails`)."""

    login_id: str | None = None
    auth_flow_type: str | None = None

    def to_dict(self) -> dict[str, str]:
        """In Amplify's spelling; what is None is left out."""
        facts = {"loginId": self.login_id, "authFlowType": self.auth_flow_type}
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class AuthUser:
    """The signed-in user.

    `username`: the pool's name of the user (`cognito:username`), never empty.
    `user_id`: the `sub` claim, which never changes.
    `sign_in_details`: only where the session kind knows them.

    >>> AuthUser("ada", "0f3c").to_dict()
    {'username': 'ada', 'userId': '0f3c'}
    """

    username: str
    user_id: str
    sign_in_details: SignInDetails | None = None

    def to_dict(self) -> dict[str, Any]:
        """In Amplify's spelling, for JSON: `userId`, and `signInDetails` where it is known."""
        user: dict[str, Any] = {"username": self.username, "userId": self.user_id}
        if self.sign_in_details is not None:
            user["signInDetails"] = self.sign_in_details.to_dict()
        return user


@dataclass(frozen=True, slots=True)
class SignInFailure:
    """A sign-in that came to nothing, as `AuthRoutes(on_sign_in_failed=...)` is told of it.

    `code`: the stable code, as in the README's table. `pool_error`: the user pool's own code, such
    as `invalid_scope` (letters, digits and `_`), or None. `status`: the HTTP status of the code.
    `method`, `path`: the request's. Nothing here is a secret, or names the visitor.
    """

    code: str
    pool_error: str | None
    status: int
    method: str
    path: str


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
