"""The verdict on a user handed over to a job: an identity without tokens.

Rule: code asking for more than the job was given gets `NotHandedOverError`. A scope, claim or
sign-in unknown to the job must never count as one the user does not have.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

from ..errors import NotHandedOverError, TokenExpiredException
from ..models import AuthUser
from .verdicts import SignedIn

_NONE: Final[Any] = object()


class HandedOver(SignedIn):
    """A user handed over: an identity without tokens.

    `claims`: those handed over, by their names.
    """

    __slots__ = ("_claims",)

    _claims: dict[str, Any]

    def __init__(
        self,
        user: AuthUser,
        *,
        issuer: str,
        pool: str,
        expires_at: float,
        claims: Mapping[str, Any],
    ) -> None:
        members = {"user": user, "issuer": issuer, "pool": pool, "expires_at": expires_at}
        nothing = {"cookie": b"", "size": 0, "kind": 0, "parts": (), "met": None}
        for name, value in {**members, "fresh_until": expires_at, **nothing}.items():
            object.__setattr__(self, name, value)
        self._claims = HandedClaims(claims)

    # In the place of the base's fields.

    @property  # type: ignore[misc]
    def id_token(self) -> NoReturn:
        """There is none."""
        raise NotHandedOverError("the ID token")

    @property  # type: ignore[misc]
    def access_token(self) -> NoReturn:
        """There is none."""
        raise NotHandedOverError("the access token")

    @property  # type: ignore[misc]
    def scopes(self) -> frozenset[str]:
        """They are the access token's."""
        raise NotHandedOverError("a scope of the access token")

    @property  # type: ignore[misc]
    def held(self) -> NoReturn:
        """There is no session."""
        raise NotHandedOverError("the session")

    def claims(self, token_use: Literal["id", "access"] | None) -> dict[str, Any]:
        """The claims handed over, from the token naming the user."""
        if token_use is not None:
            raise NotHandedOverError(f"the {token_use} token")
        return self._claims

    def expired(self) -> TokenExpiredException:
        """The error of a job running for too long."""
        return expired()


class HandedClaims(dict[str, Any]):
    """Claims handed over; asking for another one raises `NotHandedOverError`."""

    def get(self, name: str, default: Any = None) -> Any:
        """A claim; None if the token had none of this name."""
        found = super().get(name, _NONE)
        if found is _NONE:
            raise NotHandedOverError(f"the claim {name!r}")
        return default if found is None else found


def expired() -> TokenExpiredException:
    """The error of a hand-over whose time is over."""
    return TokenExpiredException(
        "The hand-over has expired.",
        reason="handover_expired",
        recovery_suggestion="Hand the user over again, in a request, or for longer (expires_in).",
    )
