"""Who the user is: the values that every request may ask for.

Rules:
- Values are frozen. `session_models` has those that fewer ask for.
"""

from dataclasses import dataclass
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
