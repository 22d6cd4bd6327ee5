"""Verdicts: what a cookie means, and until when that may be believed.

    no cookie                    Refused(NotAuthorizedException, "no_session")          kept
    good                         SignedIn
    malformed, forged, expired   Refused(NotAuthorizedException | TokenExpired..., why) cleared
    cannot be checked now        Refused(NetworkError, "keys_unavailable", ...)         kept
    sent twice, differently      Refused(NotAuthorizedException, "duplicate_cookie")    kept
    two kinds', of two users     Refused(NotAuthorizedException, "different_users")     kept

Rules:
- Verdicts are frozen and shared between requests; nothing of one request is noted on them.
- Only `SignedIn` is ever cached.
- A session kind is a value of the configuration. Bound to what it works with it becomes `Sessions`,
  which read values and yield effects; they never wait and never raise at bad bytes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ..effects import Cache, Flow, Unreachable
from ..errors import NotAuthorizedException
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import SessionCookies
from .verdicts import CookieValue, Refused, Resolution, SignedIn, Write

if TYPE_CHECKING:
    from ..cognito.grants import Grants
    from ..cognito.verifier import VerifiedToken, Verifier
    from ..models import SessionInfo
    from .bundle import Bundle
    from .store import Memory


DIFFERENT_USERS: Final = Refused(NotAuthorizedException, "different_users")


class PartlyEnded(Unreachable):
    """Some of several sessions could not be ended; `bundles`: what the others were made of."""

    def __init__(self, why: str, bundles: "list[Bundle]") -> None:
        super().__init__(why)
        self.bundles = bundles


class Postponed(NamedTuple):
    """No new tokens now: what to answer if the present ones are no longer good."""

    refused: Refused


class NewSession(NamedTuple):
    """What a session is started with: verified tokens, and how the site calls the device."""

    id_token: "VerifiedToken"
    access_token: "VerifiedToken"
    refresh_token: bytes | None
    user_agent: str = ""

    @property
    def tokens(self) -> tuple[bytes, bytes, bytes]:
        """The three, as they were given."""
        return self.id_token.encoded, self.access_token.encoded, self.refresh_token or b""

    def __repr__(self) -> str:
        return "<Entrance>"


class Sessions(Protocol):
    """A session kind at work. All of it but the properties are flows.

    `value`: as its cookies' `read` gives it. `cookie`: as their `setting` takes it.
    """

    @property
    def nobody(self) -> Refused:
        """What it means that no cookie was sent."""
        ...

    @property
    def in_cookie(self) -> bool:
        """Whether fresh tokens go into a new cookie."""
        ...

    @property
    def listed(self) -> "SessionList | None":
        """The list of a user's sessions, if one is kept."""
        ...

    def resolve(self, value: Any, now: float) -> Flow[Resolution]:
        """What a cookie's value means. `resolution.verdict` knows the present value."""
        ...

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session. Raises `Unreachable` where it cannot be kept now."""
        ...

    def contents(self, value: Any) -> "list[Bundle]":
        """What a cookie's value by itself holds: no flow."""
        ...

    def whose(self, value: Any, now: float) -> Flow[str | None]:
        """The `user_key` of the session in a cookie's value; None: nobody's. Changes nothing.

        Raises `KeysUnavailable` and `Unreachable` where that cannot be told now.
        """
        ...

    def end(
        self, value: Any, now: float, keep: Any = b"", *, asks_again: bool = False
    ) -> "Flow[list[Bundle]]":
        """End the session for good; what it was made of, if it was one. Raises `Unreachable`.

        `keep`: the value of one that was just started in its place. It goes on, even if a kind
        takes the two for one. `asks_again`: as the tombstone says; see `record`.
        """
        ...

    def unless_ended(self, cookie: Any, now: float) -> Flow[Write | None]:
        """A cookie that is to be set, if its session has not ended since; else None.

        Asked just before a response's headers go. A store that does not answer stops no cookie.
        """
        ...

    def own(self, verdict: SignedIn) -> tuple[CookieValue, Write]:
        """The value of a verdict's session alone, and what clears its cookies: no flow."""
        ...

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The session with fresh tokens; None: it holds no refresh token. Raises `Unreachable`."""
        ...


class SessionList(Protocol):
    """A kind that can tell a user's sessions. Both are flows and raise `Unreachable`."""

    def of_user(self, user: str, current: SignedIn | None) -> "Flow[dict[bytes, SessionInfo]]":
        """A user's sessions by their keys, the one seen last first."""
        ...

    def end_by_key(self, key: bytes, until: float, now: float) -> Flow[bool]:
        """End one of them from elsewhere; False if there is none.

        `until`: when no browser has its cookie any more.
        """
        ...


class Dependencies(NamedTuple):
    """What a session kind works with.

    `verdicts`: what is believed of sessions; `all_verdicts`: that, and what else of this process
    believes in the same. `memory`: gives a store for this process alone. `places`: another, for
    keys that a client can make up any number of: no end gives way to them.
    """

    verifier: "Verifier"
    verdicts: Cache
    all_verdicts: Callable[[], list[Cache]]
    grants: "Grants"
    cookie_name: str
    client_ids: frozenset[str] | None
    memory: Callable[[], "Memory"]
    places: Callable[[], "Memory"]

    def __repr__(self) -> str:
        return "<Surroundings>"


class SessionKind(Protocol):
    """What the session cookie means: a value of the configuration.

    `verify_with_cognito_every`: seconds after which Cognito is asked whether the user is signed in
    still; None: never.
    """

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> SessionCookies:
        """Its cookies, as `policy` sets them. `clients`: the app clients, in order; None: any."""
        ...

    @property
    def verify_with_cognito_every(self) -> float | None:
        """Seconds, or None."""
        ...

    def bind(self, around: Dependencies) -> Sessions:
        """The kind at work."""
        ...
