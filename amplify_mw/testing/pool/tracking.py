"""Cognito's own sessions of a local pool's users, if it tracks them.

Rules:
- A sign-in is a token session, as long as its refresh tokens last. A browser's sign-in at the
  pool's pages is an SSO session, as long as its cookie counts.
- The origin of a token session is the SSO session behind it; a sign-in by the API has none.
- A user's token sessions have a limit. The next sign-in first ends those least recently used.
- Without tracking nothing is noted, and nothing is evicted.
- A guess: sign-ins from before the tracking are in no list.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

SESSION_ID: Final = re.compile(r"(tkn|sso)[a-z0-9]{25}")
MOST_PER_USER: Final = 20
PAGE_SIZE: Final = 125
REFRESH_LIFETIME: Final = 30 * 24 * 3600  # seconds, as at Cognito by default
_LIMITS: Final = range(1, 101)
_SYSTEMS: Final = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
_BROWSERS: Final = {"Edg": "Edge", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}


@dataclass(frozen=True, slots=True)
class Visitor:
    """The maker of a request: the device by its user agent, and the IP address."""

    device: str = "unknown"
    ip_address: str = "127.0.0.1"

    @classmethod
    def of(cls, request: "Request") -> "Visitor":
        """The maker of an HTTP request."""
        return cls(device(request.headers.get("User-Agent", "")), request.remote_addr or "")


NOBODY: Final = Visitor()


@dataclass(frozen=True, slots=True)
class Session:
    """A session. Times are seconds. `origin`: the id of the SSO session behind it, or None."""

    id: str
    sub: str
    created_at: float
    seen_at: float
    device: str
    ip_address: str
    origin: str | None = None

    @property
    def type(self) -> Literal["TOKEN", "SSO"]:
        """`TOKEN` or `SSO`."""
        return "SSO" if self.id.startswith("sso") else "TOKEN"


class Tracking:
    """The sessions of a pool. `most`: token sessions of a user; None: it does not track.

    `visitor`: the maker of the request at hand, under the pool's lock.
    """

    def __init__(self, most: int | None, clock: Callable[[], float]) -> None:
        self.is_on: bool = most is not None
        self.visitor: Visitor = NOBODY
        self.tokens: dict[str, Session] = {}  # by the origin_jti of their tokens
        self.browsers: dict[str, Session] = {}  # by the fingerprints of their cookies
        self._most = most or 0
        self._clock = clock

    @property
    def active_tokens(self) -> dict[str, Session]:
        """The token sessions of the last 30 days, the lifetime of refresh tokens."""
        since = self._clock() - REFRESH_LIFETIME
        return {key: one for key, one in self.tokens.items() if one.created_at > since}

    def begin(self, origin_jti: str, sub: str, origin: str | None) -> list[str]:
        """Begin a token session; the `origin_jti` of the evicted ones, for the caller to revoke."""
        if not self.is_on:
            return []
        own = [jti for jti, session in self.active_tokens.items() if session.sub == sub]
        own.sort(key=lambda jti: self.tokens[jti].seen_at)
        self.tokens[origin_jti] = self._new("tkn", sub, origin)
        self._see_browser(origin)
        return own[: max(0, len(own) + 1 - self._most)]

    def begin_browser(self, fingerprint: str, sub: str) -> None:
        """Begin an SSO session."""
        if self.is_on:
            self.browsers[fingerprint] = self._new("sso", sub, None)

    def see(self, origin_jti: str) -> None:
        """Note a refresh in a token session, and so in its SSO session."""
        session = self.tokens.get(origin_jti)
        if session is not None:
            self.tokens[origin_jti] = self._seen(session)
            self._see_browser(session.origin)

    def browser_of(self, session_id: str | None) -> str | None:
        """The fingerprint of the SSO session's cookie; None if there is no such session."""
        found = (key for key, session in self.browsers.items() if session.id == session_id)
        return next(found, None)

    def through(self, session_id: str) -> list[str]:
        """The `origin_jti` of the token sessions with this origin."""
        return [jti for jti, session in self.tokens.items() if session.origin == session_id]

    def _see_browser(self, session_id: str | None) -> None:
        key = self.browser_of(session_id)
        if key is not None:
            self.browsers[key] = self._seen(self.browsers[key])

    def _seen(self, session: Session) -> Session:
        visitor = self.visitor
        return replace(
            session,
            seen_at=self._clock(),
            device=visitor.device,
            ip_address=visitor.ip_address,
        )

    def _new(self, prefix: str, sub: str, origin: str | None) -> Session:
        session_id = prefix + "".join(secrets.choice(ascii_lowercase + digits) for _ in range(25))
        now = self._clock()
        return Session(session_id, sub, now, now, **asdict(self.visitor), origin=origin)

    def exported(self, since: float) -> dict[str, Any]:
        """The sessions for a state file, without those begun before a time."""
        kinds = {"tokens": self.tokens, "browsers": self.browsers}
        return {
            kind: {key: asdict(one) for key, one in sessions.items() if one.created_at > since}
            for kind, sessions in kinds.items()
        }

    def restore(self, tokens: dict[str, Session], browsers: dict[str, Session]) -> None:
        """Take kept sessions, if they are tracked still."""
        if self.is_on:
            self.tokens, self.browsers = tokens, browsers


def checked_most(track_sessions: bool, most: int) -> int | None:
    """The limit of a tracking pool, else None. Raises `ValueError`."""
    if most not in _LIMITS:
        raise ValueError(
            f"max_sessions_per_user: write a number from {_LIMITS[0]} to {_LIMITS[-1]}; got {most}"
        )
    return most if track_sessions else None


def device(user_agent: str) -> str:
    """The system and the browser named by a user agent.

    >>> device("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    'Linux Firefox'
    >>> device("curl/8.0")
    'unknown'
    """
    system = next((name for name in _SYSTEMS if name in user_agent), None)
    browser = next((name for mark, name in _BROWSERS.items() if f"{mark}/" in user_agent), None)
    return " ".join(filter(None, (system, browser))) or "unknown"


def read_sessions(kept: Mapping[str, Any]) -> tuple[dict[str, Session], dict[str, Session]]:
    """Read what `exported` wrote. Raises `KeyError`, `TypeError` and the like if it is damaged."""
    tokens, browsers = (
        {str(key): _read(one) for key, one in kept.get(kind, {}).items()}
        for kind in ("tokens", "browsers")
    )
    return tokens, browsers


def _read(members: Mapping[str, Any]) -> Session:
    session = Session(
        id=str(members["id"]),
        sub=str(members["sub"]),
        created_at=float(members["created_at"]),
        seen_at=float(members["seen_at"]),
        device=str(members["device"]),
        ip_address=str(members["ip_address"]),
        origin=None if members["origin"] is None else str(members["origin"]),
    )
    if not SESSION_ID.fullmatch(session.id):
        raise ValueError("a session's id")
    return session
