"""The signed-in user's attributes: from Cognito if the session may ask, else from claims.

Rules:
- With an access token of the scope `aws.cognito.signin.user.admin`: Cognito's `GetUser`. Without
  it, an ID token's claims. With neither: `missing_scope`.
- One `GetUser` at a time per access token. Its answer is cached for `ttl` seconds (0: not at all)
  under a digest of the token, never under the user.
- The pool's Regions are asked in turn, see `regions`.
- When Cognito throttles or refuses the set-up, this process does not ask the endpoint again for a
  while: 1 s, doubling up to 30 s. Cached answers stay in use.
- Only Cognito ends the session, by saying that the user is signed out. An outage never does.
- If Cognito has to confirm the sign-in regularly (`confirm`), a confirmation lasts twice as long
  while Cognito cannot be asked.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from ..effects import Cache, Flight, Flow, Join, Operation, Remember, Unreachable
from ..errors import NotAuthorizedException, Reason
from .api import UNAVAILABLE, Failure, failure_of, get_user, read_get_user
from .pace import Caller, Paces
from .regions import Call, Regions, Settling, plain_call
from .verifier import parse_segment

SELF_SERVICE_SCOPE: Final = "aws.cognito.signin.user.admin"
_GET_USER: Final = Operation("get_user", failure_of)
_RETRY: Final = 2.0  # seconds between questions while Cognito cannot be asked
_MISSING_SCOPE: Final = Failure(
    NotAuthorizedException,
    "missing_scope",
    message=(
        f"The session may not read attributes: sign in with the scope {SELF_SERVICE_SCOPE}, "
        "or put the ID token in the cookie."
    ),
)
_NOT_ATTRIBUTES: Final = frozenset(  # the protocol's own claims (RFC 7519, OpenID Connect, Cognito)
    {
        *("iss", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "acr", "amr", "at_hash"),
        *("c_hash", "s_hash", "auth_time", "token_use", "event_id", "origin_jti", "client_id"),
        *("scope", "version", "device_key", "sid"),
    }
)


class TokenHolder(Protocol):
    """The tokens of a session, with their pool and the access token's scopes."""

    @property
    def id_token(self) -> bytes | None:
        """The ID token, if there is one."""
        ...

    @property
    def access_token(self) -> bytes | None:
        """The access token, if there is one."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """The access token's scopes."""
        ...

    @property
    def pool(self) -> str:
        """The user pool's id."""
        ...


class Attributes(NamedTuple):
    """The attributes of one user, as of `asked_at` (seconds since the epoch)."""

    values: Mapping[str, str]
    asked_at: float

    def __repr__(self) -> str:
        return f"<Attributes as of {self.asked_at}>"

    @property
    def size(self) -> int:
        """Bytes in the cache, roughly."""
        return 400 + sum(len(name) + 2 * len(value) + 100 for name, value in self.values.items())


def attributes_of_claims(claims: Mapping[str, Any]) -> dict[str, str]:
    """The attributes among an ID token's claims, all as text.

    >>> attributes_of_claims({"sub": "0f3c", "email_verified": True, "cognito:username": "ada"})
    {'sub': '0f3c', 'email_verified': 'true'}
    """
    return {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in claims.items()
        if name not in _NOT_ATTRIBUTES and not name.startswith("cognito:")
    }


class AttributeSource:
    """Fetches attributes, and limits the calls to Cognito. `settling`: shared with `Grants`."""

    def __init__(self, cache: Cache, ttl: float, settling: Settling) -> None:
        self._cache = cache
        self._ttl = ttl
        pausing: tuple[Reason, ...] = ("throttled", "cognito_misconfigured", "firewall_blocked")
        self._regions = Regions(Paces("GetUser", pausing, name="get_user"), settling)

    def fetch(
        self, session: TokenHolder, endpoints: tuple[str, ...], now: float
    ) -> Flow[Mapping[str, str] | Failure]:
        """The attributes, or the failure. `endpoints`: the pool's, its own Region's first."""
        if session.access_token is not None and SELF_SERVICE_SCOPE in session.scopes:
            answer = yield from self._ask(
                session.access_token, session.pool, endpoints, self._ttl, now
            )
            return answer.values if isinstance(answer, Attributes) else answer
        if session.id_token is not None:
            return attributes_of_claims(parse_segment(session.id_token.split(b".")[1]))
        return _MISSING_SCOPE

    def confirm(
        self, session: TokenHolder, endpoints: tuple[str, ...], every: float, now: float
    ) -> Flow[float | Failure]:
        """Ask Cognito whether the user is still signed in; returns the end of its confirmation.

        An answer from the last `every` seconds is used again.
        """
        if session.access_token is None or SELF_SERVICE_SCOPE not in session.scopes:
            return _MISSING_SCOPE
        answer = yield from self._ask(session.access_token, session.pool, endpoints, every, now)
        if isinstance(answer, Attributes):
            return answer.asked_at + every
        known: Attributes | None = self._cache.get(_digest(session.access_token))
        if answer.scope != "user" and known is not None and now < known.asked_at + 2 * every:
            return now + _RETRY
        return answer

    def _ask(
        self, access_token: bytes, pool: str, endpoints: tuple[str, ...], max_age: float, now: float
    ) -> Flow[Attributes | Failure]:
        digest = _digest(access_token)
        known = self._fresh(digest, max_age, now)
        if known is not None:
            return known
        paused = self._regions.meanwhile(endpoints, Caller(pool), now)
        if paused is not None:
            return paused
        call = plain_call(endpoints, lambda place: get_user(place, access_token), read_get_user)
        flight = Flight(
            ("GetUser", endpoints, digest),
            lambda now: self._get_user(digest, call, Caller(pool), max_age, now),
            operation=_GET_USER,
        )
        try:
            answer, _ = yield Join(flight)
        except Unreachable:
            return UNAVAILABLE
        result: Attributes | Failure = answer
        return result

    def _fresh(self, digest: bytes, max_age: float, now: float) -> Attributes | None:
        known: Attributes | None = self._cache.get(digest)
        return known if known is not None and now < known.asked_at + max_age else None

    def _get_user(
        self,
        digest: bytes,
        call: Call[dict[str, str]],
        caller: Caller,
        max_age: float,
        now: float,
    ) -> Flow[Attributes | Failure]:
        """The flight."""
        known = self._fresh(digest, max_age, now)
        if known is not None:  # another flight has ended while this one waited to start
            return known
        read, now = yield from self._regions.ask(call, caller, now)
        answer = read if isinstance(read, Failure) else Attributes(read, now)
        if isinstance(answer, Attributes):
            if max_age > 0:
                yield Remember(self._cache, digest, answer)
        elif answer.scope == "user":
            yield Remember(self._cache, digest, None)
        return answer


def _digest(access_token: bytes) -> bytes:
    from hashlib import sha256  # 4 ms: loaded for the first call

    return sha256(access_token).digest()
