"""Verdicts: what a cookie means, and until when that may be believed.

    no cookie                    Refused(NotAuthorizedException, "no_session")          kept
    good                         SignedIn
    malformed, forged, expired   Refused(NotAuthorizedException | TokenExpired..., why) cleared
    cannot be checked now        Refused(NetworkError, "keys_unavailable", ...)         kept
    sent twice, differently      Refused(NotAuthorizedException, "duplicate_cookie")    kept

Rules:
- Verdicts are frozen and shared between requests; nothing of one request is noted on them.
- Only `SignedIn` is ever cached.
- A session kind reads values and yields effects; it never waits and never raises at bad bytes.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from ..effects import Flow
from ..errors import AuthError, NotAuthorizedException, Reason
from ..models import AuthUser

if TYPE_CHECKING:
    from ..tokens.verifier import Verifier


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user is signed in.

    `cookie`: the value that said so. `issuer`: the pool that vouches.
    `expires_at`: seconds since the epoch from which on the session no longer holds (the token's
    end, and the leeway). `fresh_until`: when the cookie is to be looked at again. `size`: bytes in
    a cache, roughly.
    """

    user: AuthUser
    cookie: bytes = field(repr=False)
    issuer: str
    id_token: bytes | None = field(repr=False)
    access_token: bytes | None = field(repr=False)
    groups: frozenset[str]
    scopes: frozenset[str]
    expires_at: float
    fresh_until: float
    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody is signed in. `clears`: the cookie is invalid for good and is to be cleared."""

    error: type[AuthError]
    reason: Reason
    clears: bool = False
    retry_after: float | None = None
    user: None = field(default=None, init=False)

    def exception(self) -> AuthError:
        """A fresh exception: one that was raised before would carry that traceback."""
        return self.error(reason=self.reason, retry_after=self.retry_after)


Verdict = SignedIn | Refused

NO_SESSION: Final = Refused(NotAuthorizedException, "no_session")
DUPLICATE_COOKIE: Final = Refused(NotAuthorizedException, "duplicate_cookie")


class SessionKind(Protocol):
    """What the value of the session cookie means."""

    def resolve(self, value: bytes, verifier: "Verifier", now: float) -> Flow[Verdict]:
        """A flow: the verdict on a cookie's value."""
        ...
