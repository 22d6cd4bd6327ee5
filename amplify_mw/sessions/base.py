"""The contract of a session kind: `SessionKind`, and the `Sessions` it becomes.

Rules:
- A session kind is a value of the configuration. Bound to its dependencies it becomes `Sessions`.
- `Sessions` take values and yield effects. They never wait, and bad bytes raise nothing.
- The verdicts are in `verdicts`; which cookies are cleared and which are kept is a part of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..effects import Cache, Flow, Unreachable
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import SessionCookies
from .verdicts import CookieValue, Refused, Resolution, SignedIn, Verdict, Write

if TYPE_CHECKING:
    from ..cognito.grants import Grants
    from ..cognito.verifier import VerifiedToken, Verifier
    from ..models.session import SessionInfo
    from .bundle import Bundle
    from .codec import LoadedSession
    from .store import Memory


class PartlyEnded(Unreachable):
    """A session could not be ended, or not all of several. `bundles`: tokens to be revoked."""

    def __init__(self, why: str, bundles: "list[Bundle]") -> None:
        super().__init__(why)
        self.bundles: list[Bundle] = bundles


class Postponed(NamedTuple):
    """No new tokens can be had now. `refused`: the answer if the present ones are expired.

    `kept`: the session with the present tokens and a newer refresh token, which Cognito gave all
    the same; `cookie`: the one to set for it.
    """

    refused: Refused
    kept: "LoadedSession | None" = None
    cookie: Write | None = None

    def __repr__(self) -> str:
        return f"<Postponed {self.refused.reason}>"


class NewSession(NamedTuple):
    """The verified tokens of a session to start. `user_agent`: the site's name for the device."""

    id_token: "VerifiedToken"
    access_token: "VerifiedToken"
    refresh_token: bytes | None
    user_agent: str = ""

    @property
    def tokens(self) -> tuple[bytes, bytes, bytes]:
        """The three tokens, encoded as they were given; b"" without a refresh token."""
        return self.id_token.encoded, self.access_token.encoded, self.refresh_token or b""

    def __repr__(self) -> str:
        return "<NewSession>"


class Sessions(Protocol):
    """A session kind at work. `now`: seconds since the epoch.

    Each kind has its own type of value: `value` comes from the `read` of its cookies, and `cookie`
    is for their `setting`. Callers pass both on and never look inside.
    """

    @property
    def nobody(self) -> Refused:
        """The verdict without a cookie."""
        ...

    @property
    def in_cookie(self) -> bool:
        """Whether new tokens need a new cookie."""
        ...

    @property
    def listed(self) -> "SessionList | None":
        """The list of a user's sessions, if the kind keeps one."""
        ...

    def at_once(self, value: Any, now: float) -> Verdict | None:
        """The verdict on a value, if it needs nothing from the world and sets no new cookie.

        None: `resolve` decides, and a flaw in how the cookies are set is reported. (A flow costs a
        new session 3 µs.)
        """
        ...

    def resolve(self, value: Any, now: float) -> Flow[Resolution]:
        """The verdict on a value; its `value` is the present one, which may be newer."""
        ...

    def look(self, value: Any, now: float) -> Flow[Resolution]:
        """The same where no response can set a new cookie: nothing is done that needs one.

        Tokens in a cookie are not refreshed (a rotated refresh token would be lost): they count
        until they expire. What a store keeps is refreshed as ever.
        """
        ...

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session. Raises `Unreachable` if it cannot be stored now."""
        ...

    def contents(self, value: Any) -> "list[Bundle]":
        """The bundles in the value itself."""
        ...

    def whose(self, value: Any, now: float) -> Flow[str | None]:
        """The `user_key` of the session's user; None if there is none. Changes nothing.

        Raises `KeysUnavailable` and `Unreachable` if this cannot be checked now.
        """
        ...

    def end(
        self, value: Any, now: float, keep: Any = b"", *, asks_again: bool = False
    ) -> "Flow[list[Bundle]]":
        """End the session for good, and return its bundles. Raises `Unreachable`.

        `keep`: the value of a session just started in its place, or empty. That one goes on, even
        if both are the same to the kind. `asks_again`: written to the tombstone; see `record`.
        """
        ...

    def unless_ended(self, cookie: Any, now: float) -> Flow[Write | None]:
        """The cookie, if its session has not ended meanwhile; else None.

        Called just before a response's headers go. If the store does not answer the cookie is set.
        """
        ...

    def own(self, verdict: SignedIn) -> tuple[CookieValue, Write]:
        """The value of the verdict's own session, and the write that clears its cookies."""
        ...

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The session with new tokens; None if it has no refresh token. Raises `Unreachable`."""
        ...


class SessionList(Protocol):
    """A user's sessions, of a kind that keeps a list. All methods raise `Unreachable`."""

    def of_user(self, user: str, current: SignedIn | None) -> "Flow[dict[bytes, SessionInfo]]":
        """A user's sessions by their keys, the one seen last first."""
        ...

    def end_by_key(self, key: bytes, now: float) -> Flow[bool]:
        """End one of the sessions from elsewhere; False if there is none with this key."""
        ...

    def end_of_user(self, user: str, now: float) -> Flow[None]:
        """End all of them from elsewhere."""
        ...


class Dependencies(NamedTuple):
    """The dependencies of a session kind."""

    verifier: "Verifier"
    verdicts: Cache
    """The cached verdicts of this configuration."""
    all_verdicts: Callable[[], list[Cache]]
    """Returns these, and the caches of this process that hold verdicts on the same sessions."""
    grants: "Grants"
    cookie_name: str
    client_ids: frozenset[str] | None
    """The app clients; None: any."""
    memory: Callable[[], "Memory"]
    """Returns a store of this process alone."""
    places: Callable[[], "Memory"]
    """Returns another, for keys that clients can make up in any number: a flood of them pushes no
    tombstone out of `memory`."""

    def __repr__(self) -> str:
        return "<Dependencies>"


class SessionKind(Protocol):
    """A kind of session, as a value of the configuration."""

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> SessionCookies:
        """Its cookies, as `policy` sets them. `clients`: the app clients, in order; None: any."""
        ...

    @property
    def verify_with_cognito_every(self) -> float | None:
        """Seconds after which to ask Cognito if the user is still signed in; None: never."""
        ...

    def bind(self, around: Dependencies) -> Sessions:
        """The kind at work."""
        ...
