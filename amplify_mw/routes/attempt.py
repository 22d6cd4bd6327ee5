"""One attempt to sign in: what a browser keeps between leaving for the pool and coming back.

Rules:
- Each attempt has a cookie of its own, so that several tabs finish their own: sealed, HttpOnly,
  SameSite=Lax (the way back is another site's redirect), for the routes' path alone, short-lived.
- The cookie is named after the attempt's `state`, begins no session, and opens for this site, user
  pool and app client only. It is deleted when it is used, whatever comes of it.
- There are at most `MOST_ATTEMPTS` of them, of at most `MOST_BYTES`: a new one takes the place of
  the oldest. Servers refuse a `Cookie` header that is much longer.
- Only a cookie that opens, is in time, and holds the very state that came back is an attempt.
"""

import hmac
import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from .. import base64url
from ..cookie_policy import CookiePolicy
from ..cookies import CookieReader
from ..sessions.seal import Seal
from .options import AuthRoutes

PREFIX: Final = "amplify-auth"
MOST_ATTEMPTS: Final = 8
MOST_BYTES: Final = 5120
RANDOM: Final = 16 + 16 + 32 + 12  # bytes: for the state, the nonce, the verifier, and the seal
_ID: Final = 12  # characters of the state in a cookie's name, after its time
_LONGEST_STATE: Final = 64


class Attempt(NamedTuple):
    """What has to come back, and what is to be done then.

    `begun_at`: seconds since the epoch. `target`: the page to go to. `max_age`: seconds since which
    the user must have shown who they are at most; None: any.
    """

    state: str
    nonce: str
    code_verifier: str
    begun_at: int
    target: str
    max_age: int | None

    def __repr__(self) -> str:
        return "<Attempt>"


class Attempts:
    """Attempts, as cookies of one site, one user pool (`issuer`) and one app client."""

    def __init__(
        self, routes: AuthRoutes, keys: Sequence[bytes], issuer: str, client_id: str
    ) -> None:
        self._owner = f"{client_id} {issuer} {routes.callback_url}"
        self._seal = Seal(keys, PREFIX, frozenset({self._owner}))
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
        self, random: bytes, target: str, max_age: int | None, now: float
    ) -> tuple[Attempt, bytes]:
        """A new attempt, and an initialization vector for its seal. `random`: `RANDOM` bytes."""
        state, nonce, verifier = random[:16], random[16:32], random[32:64]
        attempt = Attempt(
            state=f"{int(now):x}.{_text(state)}",
            nonce=_text(nonce),
            code_verifier=_text(verifier),
            begun_at=int(now),
            target=target,
            max_age=max_age,
        )
        return attempt, random[64:]

    def keep(self, attempt: Attempt, iv: bytes, sent: bytes | None) -> list[str]:
        """The `Set-Cookie` values that keep an attempt, and drop the oldest of too many."""
        text = json.dumps(attempt, separators=(",", ":")).encode()
        value = self._seal.seal(text, self._owner, iv).decode("ascii")
        oldest = _surplus(_sizes(sent), MOST_ATTEMPTS - 1, MOST_BYTES - len(value))
        return [self._policy(attempt.state).setting(value), *map(self.drop, oldest)]

    def drop(self, state: str) -> str:
        """The `Set-Cookie` value that deletes an attempt."""
        return self._policy(state).clearing

    def find(self, state: str, sent: bytes | None, now: float) -> Attempt | None:
        """The attempt that a `state` belongs to; None if there is none, or no longer."""
        if sent is None or not _is_state(state):
            return None
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


def _is_state(state: str) -> bool:
    """Whether this has the form of a state: what is looked for in cookies has no other."""
    began, dot, rest = state.partition(".")
    plain = rest.replace("-", "").replace("_", "")
    is_text = plain.isascii() and plain.isalnum()
    return bool(dot) and len(state) <= _LONGEST_STATE and is_text and _is_hex(began)


def _is_hex(text: str) -> bool:
    return bool(text) and set(text) <= set("0123456789abcdef")


def _name(state: str) -> str:
    """The name of an attempt's cookie. It tells when the attempt began."""
    began, _, rest = state.partition(".")
    return f"{PREFIX}.{began}.{rest[:_ID]}"


def _sizes(sent: bytes | None) -> dict[str, int]:
    """How long the cookies of attempts are that were sent, by the beginnings of their states."""
    start = f"{PREFIX}.".encode()
    found: dict[str, int] = {}
    for pair in (sent or b"").split(b";"):
        name = pair.partition(b"=")[0].strip(b" \t")
        state = name.removeprefix(start).decode("latin-1")
        if name.startswith(start) and _is_state(state) and len(state.partition(".")[2]) <= _ID:
            found[state] = found.get(state, 0) + len(pair)
    return found


def _surplus(sizes: dict[str, int], most: int, room: int) -> list[str]:
    """The oldest of them, beyond the `most` that have room. States sort by their time."""
    surplus = []
    for number, state in enumerate(sorted(sizes, reverse=True)):
        room -= sizes[state]
        if number >= most or room < 0:
            surplus.append(state)
    return surplus
