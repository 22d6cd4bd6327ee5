"""Verdicts: the meaning of a session's cookies, and until when it holds.

    no cookie                     Refused(NotAuthorizedException, "no_session")           kept
    good                          SignedIn
    a machine's Bearer token      KnownMachine
    malformed, forged, expired    Refused(NotAuthorizedException | TokenExpired..., why)  cleared
    cannot be checked now         Refused(NetworkError, "keys_unavailable", ...)          kept
    sent twice, two values        Refused(NotAuthorizedException, "duplicate_cookie")     kept
    two kinds, two users          Refused(NotAuthorizedException, "different_users")      kept
    a header that is no token     Refused(InvalidRequestException, "malformed_header")    kept
    a header, another's cookie    Refused(InvalidRequestException, "different_credentials")  kept

Rules:
- A verdict is frozen, but for a note of guards (`met`). Requests share it; each request keeps its
  own notes in a visit.
- Only `SignedIn` and `KnownMachine` are ever cached. A refusal has one reason and is not cached.
- A machine is no user: to code that asks for one, `KnownMachine` is a refusal (`not_a_person`).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..errors import (
    AuthError,
    InvalidRequestException,
    NetworkError,
    NotAuthorizedException,
    Reason,
    TokenExpiredException,
)
from ..models import AuthUser
from ..web.cookies import NewCookie

if TYPE_CHECKING:
    from ..models.machine import Machine
    from .bundle import Bundle
    from .record import Record


class Part(NamedTuple):
    """The value of one of several kinds; None: its cookie was sent with two values.

    `kind`: its index in the list of kinds.
    """

    kind: int
    value: bytes | None

    def __repr__(self) -> str:
        return f"<Part {self.kind}>"


class Change(NamedTuple):
    """The new value of one of several kinds' cookies, or None to clear them.

    `kind`: its index in the list of kinds.
    """

    kind: int
    new: "Write | None"

    def __repr__(self) -> str:
        return f"<Change {self.kind}>"


CookieValue: TypeAlias = bytes | tuple[Part, ...]  # as a single kind reads it; as several do
Write: TypeAlias = NewCookie | tuple[Change, ...]  # for a single kind; for several


# `Final` freezes it for the type checker; freezing at run time would cost 1 µs a new session.
@dataclass(slots=True, eq=False, repr=False)
class SignedIn:
    """A user is signed in."""

    user: Final[AuthUser]
    cookie: Final[bytes]
    """The value of the session's cookies."""
    issuer: Final[str]
    pool: Final[str]
    """The user pool's id. With the user's id it identifies the user for good."""
    id_token: Final[bytes | None]
    access_token: Final[bytes | None]
    scopes: Final[frozenset[str]]
    expires_at: Final[float]
    """Seconds since the epoch: the end of the tokens, plus the leeway."""
    fresh_until: Final[float]
    """Seconds since the epoch: look at the cookie again then."""
    size: Final[int]
    """Bytes in a cache, roughly."""
    held: Final["LastingState | None"] = None
    """The session behind the cookie, if it is more than a token."""
    kind: Final[int] = 0
    """With several kinds: the index of this one."""
    parts: Final[tuple[Part, ...]] = ()
    """With several kinds: the values of all of them."""
    met: dict[object, tuple[float, float]] | None = field(default=None, init=False)
    """The needs of guards that these tokens meet, with the times between which they do."""

    @property
    def value(self) -> CookieValue:
        """The value that a request with this session's cookies reads as."""
        return self.parts or self.cookie

    def expired(self) -> TokenExpiredException:
        """The error of code that runs on when the tokens have expired."""
        return TokenExpiredException(reason="token_expired")

    def __repr__(self) -> str:
        return f"<SignedIn {self.user!r}>"


class LastingState(NamedTuple):
    """The state of a lasting session."""

    bundle: "Bundle"
    sealed: bytes
    """The bundle as it is kept."""
    due_at: float
    """Seconds since the epoch: refresh, extend or verify the session then."""
    is_waiting: bool = False
    """A refresh is under way, or was put off: each request asks the store for newer tokens."""
    record: "Record | None" = None
    """The record it was found in, so that a store need not send it again: see `kept_record`."""
    key: bytes = b""
    """Its key in the store."""

    def __repr__(self) -> str:
        return "<LastingState>"


class Refused(NamedTuple):
    """Nobody is signed in."""

    error: type[AuthError]
    reason: Reason
    clears: bool = False
    """The cookie is invalid for good: clear it."""
    retry_after: float | None = None
    """Seconds after which a retry may succeed."""
    name: str | None = None
    """A name to show in place of the error's own."""
    asks_again: bool = False
    """The session was ended from elsewhere: the next sign-in asks for the password."""
    message: str | None = None
    """A message in place of the error's own."""
    claimed: str = ""
    """The wrong issuer or app client in the token; unverified, and for the log."""
    detail: str = ""
    """More about the end of a session, for the log."""

    @property
    def user(self) -> None:
        """Nobody."""

    def exception(self) -> AuthError:
        """A new exception each time: a raised one keeps its traceback."""
        return self.error(
            self.message, reason=self.reason, retry_after=self.retry_after, name=self.name
        )


class KnownMachine:
    """A machine, by its Bearer token. Nobody is signed in."""

    __slots__ = ("access_token", "expires_at", "fresh_until", "machine", "met", "pool", "size")

    user: None = None
    held: None = None
    error: type[AuthError] = NotAuthorizedException
    reason: Reason = "not_a_person"
    retry_after: float | None = None

    def __init__(
        self,
        machine: "Machine",
        *,
        pool: str,
        access_token: bytes,
        expires_at: float,
        fresh_until: float,
        size: int,
    ) -> None:
        self.machine: Final = machine
        self.pool: Final = pool
        self.access_token: Final = access_token
        self.expires_at: Final = expires_at
        self.fresh_until: Final = fresh_until
        self.size: Final = size
        self.met: dict[object, tuple[float, float]] | None = None

    def exception(self) -> AuthError:
        """The error of a function for people. 403, not 401: a new token would be no other."""
        return self.error(
            "This is a machine's token, and no user's.",
            reason="not_a_person",
            status_code=403,
            recovery_suggestion="Use the token of a user here.",
        )

    def __repr__(self) -> str:
        return f"<KnownMachine {self.machine.client_id!r}>"


Verdict: TypeAlias = SignedIn | KnownMachine | Refused

NO_SESSION: Final = Refused(NotAuthorizedException, "no_session")
DUPLICATE_COOKIE: Final = Refused(NotAuthorizedException, "duplicate_cookie")
MALFORMED_HEADER: Final = Refused(InvalidRequestException, "malformed_header")
DIFFERENT_CREDENTIALS: Final = Refused(InvalidRequestException, "different_credentials")
DIFFERENT_USERS: Final = Refused(NotAuthorizedException, "different_users")
STORE_UNAVAILABLE: Final = Refused(NetworkError, "store_unavailable", retry_after=1.0)
UNREAD: Final = Refused(NotAuthorizedException, "no_session")  # by identity: nobody has asked yet
NO_COOKIE: Final = NewCookie("", 0)  # compared by identity: clear all cookies of the session


class Resolution(NamedTuple):
    """The verdict on a session, and the cookie to set, if there is a new one."""

    verdict: Verdict
    cookie: Write | None = None


def user_key(pool: str, sub: str) -> str:
    """The key of a user in stores: a `sub` is unique in one pool only."""
    return f"{pool} {sub}"
