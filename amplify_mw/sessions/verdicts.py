"""What a credential was found to mean, and the values that say it.

Rules:
- A verdict is frozen: caches hold it, and every request gets a visit of its own around it.
- A refusal has one reason; it is not cached.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..errors import AuthError, NetworkError, NotAuthorizedException, Reason
from ..models import AuthUser
from ..web.cookies import NewCookie

if TYPE_CHECKING:
    from .bundle import Bundle


class Part(NamedTuple):
    """The value that one of several kinds has read; None: its cookie was sent with two values."""

    kind: int
    value: bytes | None

    def __repr__(self) -> str:
        return f"<Part {self.kind}>"


class Change(NamedTuple):
    """A change to the cookies of one of several kinds: the new one, or None to clear them."""

    kind: int
    new: "Write | None"

    def __repr__(self) -> str:
        return f"<Change {self.kind}>"


CookieValue: TypeAlias = bytes | tuple[Part, ...]  # as one kind reads it; as several do
Write: TypeAlias = NewCookie | tuple[Change, ...]


# Frozen by `Final`, for the type checker: at run time that would take 1 µs of every new session.
@dataclass(slots=True, eq=False, repr=False)
class SignedIn:
    """A user is signed in.

    `cookie`: the value of its kind's cookies. `issuer`: who
    vouches. `pool`: the user pool's id; with the user's it says who this is, for good. `held`: what
    the session is made of, where there is more to it than a token. `expires_at`: seconds since the
    epoch from which on the session no longer holds (the token's end, and the leeway).
    `fresh_until`: when the cookie is to be looked at again. `size`: bytes in a cache, roughly.
    `kind`, `parts`: of several kinds, the index of this one, and the values that all have read.
    """

    user: Final[AuthUser]
    cookie: Final[bytes]
    issuer: Final[str]
    pool: Final[str]
    id_token: Final[bytes | None]
    access_token: Final[bytes | None]
    groups: Final[frozenset[str]]
    scopes: Final[frozenset[str]]
    expires_at: Final[float]
    fresh_until: Final[float]
    size: Final[int]
    held: Final["LastingState | None"] = None
    kind: Final[int] = 0
    parts: Final[tuple[Part, ...]] = ()

    @property
    def value(self) -> CookieValue:
        """The value that a request with this session's cookies reads as."""
        return self.parts or self.cookie

    def __repr__(self) -> str:
        return f"<SignedIn {self.user!r}>"


class LastingState(NamedTuple):
    """What a session that lasts is made of.

    `sealed`: its bundle as it was kept. `due_at`: when there is something to be done about it.
    """

    bundle: "Bundle"
    sealed: bytes
    due_at: float

    def __repr__(self) -> str:
        return "<Held>"


class Refused(NamedTuple):
    """Nobody is signed in. `clears`: the cookie is invalid for good and is to be cleared.

    `name`: what to call it, where that is not the error's own name. `asks_again`: the session was
    ended from elsewhere, so that the next sign-in asks for the password. `message`: what to say
    instead of the error's own sentence. `claimed`: the issuer or app client that the token says it
    is of, where it is a wrong one; unverified, and for the log.
    """

    error: type[AuthError]
    reason: Reason
    clears: bool = False
    retry_after: float | None = None
    name: str | None = None
    asks_again: bool = False
    message: str | None = None
    claimed: str = ""

    @property
    def user(self) -> None:
        """Nobody."""

    def exception(self) -> AuthError:
        """A fresh exception: one that was raised before would carry that traceback."""
        return self.error(
            self.message, reason=self.reason, retry_after=self.retry_after, name=self.name
        )


Verdict = SignedIn | Refused


NO_SESSION: Final = Refused(NotAuthorizedException, "no_session")


DUPLICATE_COOKIE: Final = Refused(NotAuthorizedException, "duplicate_cookie")


STORE_UNAVAILABLE: Final = Refused(NetworkError, "store_unavailable", retry_after=1.0)


NO_COOKIE: Final = NewCookie("", 0)  # it is to be cleared


class Resolution(NamedTuple):
    """What a look at a session came to: the verdict, and the cookie that is to be set."""

    verdict: Verdict
    cookie: Write | None = None


def user_key(pool: str, sub: str) -> str:
    """What a store calls a user: a `sub` is one pool's own."""
    return f"{pool} {sub}"
