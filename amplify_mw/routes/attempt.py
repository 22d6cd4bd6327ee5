"""One attempt to sign in, kept by the browser while it is at the pool's pages.

Rules:
- Each attempt has its own cookie, so several tabs can sign in side by side. The cookie is sealed,
  HttpOnly, SameSite=Lax (the callback is another site's redirect), short-lived, and limited to the
  routes' path.
- The cookie is named after the attempt's `state`. It starts no session, and opens only for this
  site, user pool and app client. Using it deletes it, even if the sign-in fails.
- At most `MAX_ATTEMPTS` are kept, of `MAX_BYTES` together: a new one replaces the oldest. Servers
  refuse much longer `Cookie` headers.
- An attempt is valid if its cookie opens, is in time, and holds exactly the returned state.
- The `state` sent to the pool also says how to begin again, for a browser that has lost the cookie:
  the query, sealed, and the number of tries, in the clear (it only ends a loop). It signs nobody
  in.
"""

import hmac
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..config.routes import AuthRoutes
from ..sessions.seal import Seal
from ..web import base64url
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import CookieReader

PREFIX: Final = "amplify-auth"
MAX_ATTEMPTS: Final = 8
MAX_BYTES: Final = 5120
RANDOM: Final = 16 + 16 + 32 + 12 + 12  # bytes: state, nonce, verifier, and for two seals
_ID: Final = 12  # characters of the state in a cookie's name, after its time
_MICRO: Final = 1_000_000
_LONGEST_SENT: Final = 1024  # characters: providers are known to accept these
_WAY: Final = "amplify-way"
_STATE: Final = re.compile(r"([0-9a-f]{1,16})\.([A-Za-z0-9_-]{1,40})")
_SENT: Final = re.compile(rf"({_STATE.pattern})(?:\.([0-9])(?:\.([A-Za-z0-9._-]{{0,1024}}))?)?")


class Attempt(NamedTuple):
    """The values to compare with the callback, and the page to go to afterwards.

    `state`: the microsecond of its beginning, and 128 random bits. `begun_at`: seconds since the
    epoch. `target`: the page to go to. `max_age`: the most seconds since the user entered the
    password; None: any. `with_two`: it began with two session cookies of one name. `acr_values`:
    the accepted `acr` claims, separated by spaces; empty: any.
    """

    state: str
    nonce: str
    code_verifier: str
    begun_at: int
    target: str
    max_age: int | None
    with_two: bool = False
    acr_values: str = ""

    def __repr__(self) -> str:
        return "<Attempt>"


class Way(NamedTuple):
    """How to begin again without an attempt's cookie.

    `query`: of the sign-in route; empty if unknown. `turns`: the attempts begun in a row.
    """

    query: str
    turns: int

    def __repr__(self) -> str:
        return "<Way>"


class Attempts:
    """Attempts, as cookies of one site, one user pool (its id) and one app client."""

    def __init__(
        self, routes: AuthRoutes, keys: Sequence[bytes], pool: str, client_id: str
    ) -> None:
        self._owner = f"{client_id} {pool} {routes.callback_url}"
        self._seal = Seal(keys, PREFIX, frozenset({self._owner}))
        self._way_seal = Seal(keys, _WAY, frozenset({self._owner}))
        self._lifetime = routes.attempt_lifetime
        self._routes = routes

    def _policy(self, state: str) -> CookiePolicy:
        return CookiePolicy(
            name=_name(state),
            max_age=self._lifetime,
            path=self._routes.prefix,
            secure=self._routes.is_secure,
            same_site="Lax",
        )

    def begin(
        self,
        random: bytes,
        target: str,
        max_age: int | None,
        now: float,
        *,
        with_two: bool = False,
        acr_values: str = "",
    ) -> tuple[Attempt, bytes]:
        """A new attempt, and initialization vectors for its seals. `random`: `RANDOM` bytes."""
        state, nonce, verifier = random[:16], random[16:32], random[32:64]
        attempt = Attempt(
            state=f"{int(now * _MICRO):x}.{_text(state)}",
            nonce=_text(nonce),
            code_verifier=_text(verifier),
            begun_at=int(now),
            target=target,
            max_age=max_age,
            with_two=with_two,
            acr_values=acr_values,
        )
        return attempt, random[64:]

    def sent(self, attempt: Attempt, way: Way, ivs: bytes) -> str:
        """The `state` for the pool. A `way` too long for it is left out."""
        bare = f"{attempt.state}.{way.turns}"
        sealed = self._way_seal.seal(way.query.encode(), self._owner, ivs[12:]).decode("ascii")
        whole = f"{bare}.{sealed}"
        return whole if len(whole) <= _LONGEST_SENT else bare

    def way(self, sent: str) -> Way:
        """The way in a returned `state`. Anybody can have made it."""
        match = _SENT.fullmatch(sent)
        if match is None:
            return Way("", 0)
        opened = self._way_seal.open((match[5] or "").encode())
        return Way(opened[0].decode() if opened else "", int(match[4] or 0))

    def keep(self, attempt: Attempt, ivs: bytes, sent: bytes | None) -> list[str]:
        """The `Set-Cookie` values to keep an attempt, and to drop the oldest of too many."""
        text = json.dumps(attempt, separators=(",", ":")).encode()
        value = self._seal.seal(text, self._owner, ivs[:12]).decode("ascii")
        oldest = _surplus(_sizes(sent), MAX_ATTEMPTS - 1, MAX_BYTES - len(value))
        return [self._policy(attempt.state).setting(value), *map(self.drop, oldest)]

    def drop(self, state: str) -> str:
        """The `Set-Cookie` value that deletes an attempt."""
        return self._policy(state).clearing

    def find(self, came_back: str, sent: bytes | None, now: float) -> Attempt | None:
        """The attempt with this `state`; None if there is none, or it is too old."""
        match = _SENT.fullmatch(came_back)
        if sent is None or match is None:
            return None
        state = match[1]
        value = CookieReader(_name(state).encode("ascii")).read(sent)
        opened = self._seal.open(value) if isinstance(value, bytes) else None
        if opened is None:
            return None
        attempt = Attempt(*json.loads(opened[0]))
        is_same = hmac.compare_digest(attempt.state.encode(), state.encode())
        age = now - attempt.begun_at
        return attempt if is_same and -60 <= age <= self._lifetime else None


def _text(random: bytes) -> str:
    return base64url.encode(random).decode("ascii")


def _name(state: str) -> str:
    """The name of an attempt's cookie. It contains the time of its beginning."""
    began, _, rest = state.partition(".")
    return f"{PREFIX}.{began}.{rest[:_ID]}"


def _sizes(sent: bytes | None) -> dict[str, int]:
    """The sizes of the attempts' cookies in a request, by the beginnings of their states.

    In the order of the header: browsers send older cookies first.
    """
    start = f"{PREFIX}.".encode()
    found: dict[str, int] = {}
    for pair in (sent or b"").split(b";"):
        name = pair.partition(b"=")[0].strip(b" \t")
        state = name.removeprefix(start).decode("latin-1")
        match = _STATE.fullmatch(state) if name.startswith(start) else None
        if match is not None and len(match[2]) <= _ID:
            found[state] = found.get(state, 0) + len(pair)
    return found


def _surplus(sizes: dict[str, int], most: int, room: int) -> list[str]:
    """The oldest attempts: those beyond the newest `most`, or beyond the `room` in bytes.

    States contain the time. Of one microsecond, the last one in the header is the newest.
    """
    surplus = []
    newest_first = sorted(sizes, key=_began_at)[::-1]
    for number, state in enumerate(newest_first):
        room -= sizes[state]
        if number >= most or room < 0:
            surplus.append(state)
    return surplus


def _began_at(state: str) -> int:
    return int(state.partition(".")[0], 16)
