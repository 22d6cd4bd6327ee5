"""The user, and a failed sign-in."""

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class SignInDetails:
    """How the user signed in, as the front end reports it (Amplify's `AuthSignInDetails`)."""

    login_id: str | None = None
    """The text typed as the user name."""

    auth_flow_type: str | None = None
    """The authentication flow, such as `USER_SRP_AUTH`."""

    def to_dict(self) -> dict[str, str]:
        """In Amplify's spelling, without what is None."""
        facts = {"loginId": self.login_id, "authFlowType": self.auth_flow_type}
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True, slots=True)
class AuthUser:
    """The signed-in user.

    >>> AuthUser("ada", "0f3c", groups=("editors",)).to_dict()
    {'username': 'ada', 'userId': '0f3c', 'groups': ['editors']}
    """

    username: str
    """The pool's name for the user (`cognito:username`), never empty."""

    user_id: str
    """The `sub` claim, which never changes."""

    sign_in_details: SignInDetails | None = None
    """None, except with `AmplifyCookies`: the browser's word, which nobody has verified."""

    groups: tuple[str, ...] = ()
    """The pool's groups of the user, from the verified token, in its order (`cognito:groups`).

    They are as old as the token: a change in the pool shows after the next refresh or sign-in.
    """

    def has_group(self, name: str) -> bool:
        """Whether the user is in a group of the pool.

        >>> AuthUser("ada", "0f3c", groups=("editors",)).has_group("editors")
        True
        """
        return name in self.groups

    def to_dict(self) -> dict[str, Any]:
        """In Amplify's spelling, for JSON: `userId`, and `signInDetails` if they are known.

        `groups` is always there, if only as an empty list. (Amplify's own value has none.)
        """
        user: dict[str, Any] = {
            "username": self.username,
            "userId": self.user_id,
            "groups": list(self.groups),
        }
        if self.sign_in_details is not None:
            user["signInDetails"] = self.sign_in_details.to_dict()
        return user


class SignInFailure(NamedTuple):
    """A failed sign-in, for `AuthRoutes(on_sign_in_failed=...)`.

    It holds no secret, and nothing about the visitor.
    """

    code: str
    """The stable code, as the page "Errors and reasons" lists it."""

    pool_error: str | None
    """The user pool's own code, such as `invalid_request` (letters, digits and `_`), or None."""

    status: int
    """The HTTP status of the code."""

    method: str
    """The request's method."""

    path: str
    """The request's path."""
