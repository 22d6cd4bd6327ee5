"""`TokenSession`: the cookie holds a Cognito ID or access token, as somebody else's sign-in set it.

What such a session cannot do: be refreshed (it holds no refresh token), or be revoked before its
token runs out (nobody is asked). It ends with its token, an hour after sign-in by default.
"""

from dataclasses import dataclass
from typing import Any, Final

from ..effects import Flow
from ..errors import NetworkError, NotAuthorizedException, TokenExpiredException
from ..models import AuthUser
from ..tokens.jwks import KeysUnavailable
from ..tokens.verifier import InvalidToken, VerifiedToken, Verifier
from .base import Refused, SignedIn, Verdict

_OVERHEAD: Final = 1000  # bytes of a verdict's objects beside its token; measured with tracemalloc
_NAME: Final = 150  # bytes of a group or scope and its place in the set, beside its text
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class TokenSession:
    """The cookie's value is an ID token or an access token of the pool (a JWT)."""

    def resolve(self, value: bytes, verifier: Verifier, now: float) -> Flow[Verdict]:
        """A flow: the verdict on the token in the cookie."""
        try:
            token = yield from verifier.verify(value, now)
        except KeysUnavailable as error:
            return Refused(NetworkError, "keys_unavailable", retry_after=error.retry_after)
        except InvalidToken as error:
            expired = error.reason == "token_expired"
            kind = TokenExpiredException if expired else NotAuthorizedException
            return Refused(kind, error.reason, clears=True)
        return _signed_in(token)


def _signed_in(token: VerifiedToken) -> SignedIn:
    is_id = token.token_use == "id"  # noqa: S105  # no password
    scope = token.claims.get("scope")
    groups = _names(token.claims.get("cognito:groups"))
    scopes = _names(scope.split(" ")) if not is_id and isinstance(scope, str) else _NONE
    return SignedIn(
        user=AuthUser(token.username, token.sub),
        cookie=token.encoded,
        issuer=token.issuer,
        id_token=token.encoded if is_id else None,
        access_token=None if is_id else token.encoded,
        groups=groups,
        scopes=scopes,
        expires_at=token.expires_at,
        fresh_until=token.fresh_until,
        size=len(token.encoded) + _OVERHEAD + _size(groups) + _size(scopes),
    )


def _names(claim: Any) -> frozenset[str]:
    """The names in a claim that should be a list of strings."""
    if not claim or not isinstance(claim, list):
        return _NONE
    return frozenset(name for name in claim if isinstance(name, str) and name)


def _size(names: frozenset[str]) -> int:
    return sum([_NAME + len(name) for name in names])
