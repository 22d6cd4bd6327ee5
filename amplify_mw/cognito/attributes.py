"""The signed-in user's attributes: from Cognito where the session may ask it, else from claims.

Rules:
- With an access token that has the scope `aws.cognito.signin.user.admin`: Cognito's `GetUser`.
  Else, with an ID token: its claims. With neither: `missing_scope`.
- One `GetUser` in the air per access token; its answer is kept for `ttl` seconds (0: not at all)
  under a digest of the token, never under the user.
- When Cognito throttles, nobody of this process asks that endpoint again for a while that doubles
  from 1 to 30 s; an answer that is still in the cache goes on serving.
- Only Cognito's word that the user is out ends the session. No outage ever does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..effects import Cache, Flight, Flow, Join, Outage, Remember, Unreachable
from ..errors import NetworkError, NotAuthorizedException
from ..sessions.base import SignedIn
from ..tokens.verifier import parse_segment
from .api import UNAVAILABLE, Failure, get_user, read_get_user

SELF_SERVICE_SCOPE: Final = "aws.cognito.signin.user.admin"
_PAUSE: Final = (1.0, 30.0)
_THROTTLED: Final = Failure(NetworkError, "throttled")
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


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one user, until `fresh_until` (seconds since the epoch)."""

    values: Mapping[str, str] = field(repr=False)
    fresh_until: float

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


@dataclass(slots=True)
class _Pace:
    """When an endpoint may be asked again, and whether it is failing. Only flights change it.

    Flights that were in the air together count as one: what one says that departed before the
    present pause began is no news.
    """

    pause: float = 0.0
    paused_until: float = 0.0
    is_failing: bool = False

    def slow_down(self, departed: float, now: float) -> None:
        if departed >= self.paused_until:
            shortest, longest = _PAUSE
            self.pause = min(max(self.pause * 2, shortest), longest)
            self.paused_until = now + self.pause

    def recover(self, departed: float) -> None:
        if departed >= self.paused_until:
            self.pause = 0.0

    def is_paused(self, now: float) -> bool:
        # A clock that was set back does not prolong the pause.
        return self.paused_until - _PAUSE[1] <= now < self.paused_until

    def throttled(self, now: float) -> Failure:
        return replace(_THROTTLED, retry_after=max(self.paused_until - now, 1.0))


class AttributeSource:
    """Where attributes come from, and how often Cognito may be asked for them."""

    def __init__(self, cache: Cache, ttl: float) -> None:
        self._cache = cache
        self._ttl = ttl
        self._paces: dict[str, _Pace] = {}  # by endpoint; they are as many as the pools

    def fetch(
        self, verdict: SignedIn, endpoint: str, now: float
    ) -> Flow[Mapping[str, str] | Failure]:
        """A flow: the attributes, or what hindered."""
        if verdict.access_token is not None and SELF_SERVICE_SCOPE in verdict.scopes:
            return (yield from self._ask(verdict.access_token, endpoint, now))
        if verdict.id_token is not None:
            return attributes_of_claims(parse_segment(verdict.id_token.split(b".")[1]))
        return _MISSING_SCOPE

    def _ask(
        self, access_token: bytes, endpoint: str, now: float
    ) -> Flow[Mapping[str, str] | Failure]:
        from hashlib import sha256  # 4 ms: only those who ask Cognito pay

        digest = sha256(access_token).digest()
        known = self._fresh(digest, now)
        if known is not None:
            return known
        pace = self._paces.setdefault(endpoint, _Pace())
        if pace.is_paused(now):
            return pace.throttled(now)
        key = ("GetUser", endpoint, digest)
        flight = Flight(key, lambda now: self._get_user(digest, access_token, endpoint, now))
        try:
            answer, _ = yield Join(flight)
        except Unreachable:
            return UNAVAILABLE
        result: Mapping[str, str] | Failure = answer
        return result

    def _fresh(self, digest: bytes, now: float) -> Mapping[str, str] | None:
        known: Attributes | None = self._cache.get(digest)
        return known.values if known is not None and now < known.fresh_until else None

    def _get_user(
        self, digest: bytes, access_token: bytes, endpoint: str, now: float
    ) -> Flow[Mapping[str, str] | Failure]:
        """The flight."""
        pace = self._paces.setdefault(endpoint, _Pace())
        known = self._fresh(digest, now)
        if known is not None:  # another flight landed while this one waited to depart
            return known
        if pace.is_paused(now):
            return pace.throttled(now)
        departed = now
        try:
            response, now = yield get_user(endpoint, access_token)
            answer = read_get_user(response)
            why = f"HTTP status {response.status}"
        except Unreachable as error:
            answer, why, now = UNAVAILABLE, str(error), error.now or now
        if isinstance(answer, Failure) and answer.reason in ("throttled", "cognito_unavailable"):
            if answer.reason == "throttled":
                pace.slow_down(departed, now)
                answer = pace.throttled(now)
            if not pace.is_failing:
                pace.is_failing = True
                yield Outage(f"GetUser at {endpoint}", why)
            return answer
        pace.recover(departed)
        if pace.is_failing:
            pace.is_failing = False
            yield Outage(f"GetUser at {endpoint}", over=True)
        if isinstance(answer, Failure):
            yield Remember(self._cache, digest, None)
        elif self._ttl > 0:
            yield Remember(self._cache, digest, Attributes(answer, now + self._ttl))
        return answer
