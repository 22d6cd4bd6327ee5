"""Verifying a JWT: issued by a configured pool for one of its app clients, and to which user.

Rules:
- The token is taken apart once, strictly (see `jwt`).
- RS256 only. The key comes from the configured key set, by `kid`. Keys and addresses in the token
  are ignored. A `crit` header is refused, since no extension is supported.
- `iss` is exactly an issuer of a configured pool (a pool may have two). `token_use` is id or
  access. `aud` (id) or `client_id` (access) is a configured client. With an `audience`, `aud` of an
  access token has one of its names. `exp` is present. "Expired" and "not yet valid" come last,
  after all other checks.
- A token from the future is good, even if it is far ahead (`NotYetValid`). If it was issued in the
  future (`iat`), this machine's clock is behind, and the operator is told once a day.
- A machine's token is an access token without a username, whose `sub` is its `client_id` (client
  credentials). Only a caller that says so gets it (`machines`), and its `username` is empty.
- For any bytes, the only refusal is `InvalidToken`. `KeysUnavailable` means: not checked.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..effects import Flow, Notice
from . import invalid
from .invalid import InvalidToken as InvalidToken
from .jwt import MAX_TOKEN_BYTES as MAX_TOKEN_BYTES
from .jwt import ParsedToken
from .jwt import parse_segment as parse_segment
from .jwt import parse_token as parse_token
from .keys import KeySource, UnknownKey

if TYPE_CHECKING:
    from .rsa import RSAKey

_DAY: Final = 86_400.0
_EXACT: Final = 2**53  # a float holds the whole numbers below it
TokenUse = Literal["id", "access"]
_USERNAME_CLAIM: Final[Mapping[TokenUse, str]] = {"id": "cognito:username", "access": "username"}
_CLIENT_CLAIM: Final[Mapping[TokenUse, str]] = {"id": "aud", "access": "client_id"}


class NotYetValid(InvalidToken):
    """The token is good, but begins in the future by this machine's clock.

    `token`: the verified token. `wait`: seconds until it counts. `is_behind`: the token has been
    issued, so this clock must be behind; if False, the pool makes it begin later (`nbf`).
    """

    def __init__(
        self, token: "VerifiedToken", now: float, leeway: float, *, is_behind: bool
    ) -> None:
        claim = "iat" if is_behind else "nbf"

        def facts() -> invalid.Facts:
            latest = f"at most {now + leeway:.0f} ({invalid.clock(now, leeway)})"
            return claim, invalid.shown(token.claims.get(claim)), latest

        super().__init__(reason="token_not_yet_valid", facts=facts)
        self.token = token
        self.wait: float = token.begins_at - leeway - now
        self.is_behind = is_behind


class TrustedPool(NamedTuple):
    """An accepted issuer, with its keys and app clients (None: any client).

    `pool`: the user pool's id; a pool may have several issuers.
    """

    issuer: str
    pool: str
    keys: KeySource
    client_ids: frozenset[str] | None


# Frozen by `Final`, for the type checker: every new token makes one, and a frozen dataclass would
# cost 1 µs more. (A named tuple's fields take five times as long to read as a slot.)
@dataclass(slots=True, eq=False, repr=False)
class VerifiedToken:
    """A verified token. `pool` (the user pool's id) and `sub` identify its user.

    `username`: empty if it is a machine's. `expires_at`: `exp` plus the leeway. `fresh_until`: the
    time to verify it again. `lifetime`: seconds from `iat` to `exp`. `begins_at`: the later of
    `iat` and `nbf`, by the pool's clock.
    """

    encoded: Final[bytes]
    claims: Final[Mapping[str, Any]]
    issuer: Final[str]
    pool: Final[str]
    client: Final[str]
    token_use: Final[TokenUse]
    username: Final[str]
    sub: Final[str]
    expires_at: Final[float]
    fresh_until: Final[float]
    lifetime: Final[float]
    begins_at: Final[float] = -math.inf

    def __repr__(self) -> str:
        return f"<VerifiedToken: {self.token_use} of {self.issuer}>"


class ClockWatch:
    """Tells the operator, once a day, if this machine's clock differs from a pool's."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}  # by issuer

    def noticed(self, issuer: str, ahead: float, now: float) -> Flow[None]:
        """Tell of a clock that is so many seconds `ahead` of the pool's (below 0: behind)."""
        if abs(now - self._told_at.get(issuer, -math.inf)) < _DAY:
            return
        self._told_at[issuer] = now
        way = "ahead of" if ahead > 0 else "behind"
        yield Notice(
            f"this machine's clock is {math.ceil(abs(ahead))} s {way} the pool's ({issuer}); "
            "sessions are kept meanwhile: have the clock set by NTP"
        )


class Verifier:
    """Verifies tokens of the configured pools. `leeway`: seconds by which clocks may differ.

    `audience`: the names of this API; an access token has to have one of them. Empty: any, or none.
    """

    def __init__(
        self, pools: Mapping[str, TrustedPool], leeway: float, audience: Collection[str] = ()
    ) -> None:
        self.pools: Mapping[str, TrustedPool] = pools
        self._audience = frozenset(audience)
        self.leeway = leeway
        self._clock_watch = ClockWatch()

    def at_once(self, token: bytes, now: float) -> VerifiedToken | None:
        """The verified token, if that needs nothing from the world. Raises `InvalidToken`.

        None: `verify` decides. The key has to be fetched first, or the token is from the future.
        """
        parsed, pool = self._parse(token)
        key = pool.keys.at_hand(parsed[0]["kid"], now)
        if key is None:
            return None
        verified = self._judge(token, parsed, pool, key, now)
        return verified if verified.begins_at <= now + self.leeway else None

    def verify(self, token: bytes, now: float, *, machines: bool = False) -> Flow[VerifiedToken]:
        """The verified token. Raises `InvalidToken` or `KeysUnavailable`.

        Raises `NotYetValid` for a good token from the future. `machines`: one may be a machine's.
        """
        parsed, pool = self._parse(token)
        header, claims, _, _ = parsed
        key = pool.keys.at_hand(header["kid"], now)
        if key is None:
            issued_at = _time(claims, "iat", default=-math.inf)
            try:
                # `iat` is in whole seconds, by Cognito's clock. A token from the future was issued
                # before this moment all the same.
                is_ahead = issued_at > now + self.leeway
                issued_by = now if is_ahead else issued_at + 1 + self.leeway
                key, now = yield from pool.keys.key_for(header["kid"], issued_by, now)
            except UnknownKey as error:
                raise invalid.unknown_key(header["kid"], error.known) from None
        verified = self._judge(token, parsed, pool, key, now, machines)
        if verified.begins_at > now + self.leeway:
            issued_at = _time(claims, "iat", default=-math.inf)
            is_behind = issued_at > now + self.leeway
            if is_behind:
                yield from self._clock_watch.noticed(verified.issuer, now - issued_at, now)
            raise NotYetValid(verified, now, self.leeway, is_behind=is_behind)
        return verified

    def _judge(
        self,
        token: bytes,
        parsed: ParsedToken,
        pool: TrustedPool,
        key: "RSAKey",
        now: float,
        machines: bool = False,
    ) -> VerifiedToken:
        """Check signature, claims and expiry; not whether the token is from the future."""
        header, claims, signed, signature = parsed
        issued_at = _time(claims, "iat", default=-math.inf)
        if not key.has_signed(signed, signature):
            raise invalid.bad_signature(header["kid"])
        verified = self._believe(token, claims, pool, issued_at, now, machines)
        if now >= verified.expires_at:
            raise invalid.expired(claims["exp"], now, self.leeway)
        return verified

    def verify_new(self, token: bytes, now: float) -> Flow[VerifiedToken]:
        """The same for a token that Cognito has just issued: one from the future is accepted.

        One that has already expired shows that this clock is ahead. It is refused all the same.
        """
        try:
            return (yield from self.verify(token, now))
        except NotYetValid as error:
            if not error.is_behind:
                raise
            return error.token
        except InvalidToken as error:
            if error.reason == "token_expired":
                yield from self.watch_clock(self.read(token, now), now)
            raise

    def watch_clock(self, new: VerifiedToken, now: float) -> Flow[None]:
        """Tell the operator if a token that was just issued seems old."""
        if now - new.begins_at > new.lifetime / 2 > 0:
            yield from self._clock_watch.noticed(new.issuer, now - new.begins_at, now)

    def read(self, token: bytes, now: float) -> VerifiedToken:
        """The content of a trusted token. Neither its signature nor its time is checked.

        For tokens from our own seal, or from Cognito's own answer. Raises `InvalidToken`.
        """
        (_, claims, _, _), pool = self._parse(token)
        issued_at = _time(claims, "iat", default=-math.inf)
        return self._believe(token, claims, pool, issued_at, now)

    def _parse(self, token: bytes) -> tuple[ParsedToken, TrustedPool]:
        """A token taken apart, and the pool of its `iss`."""
        parsed = parse_token(token)
        header, claims, _, _ = parsed
        if header.get("alg") != "RS256":
            raise invalid.unsupported_algorithm(header.get("alg"))
        if "crit" in header or type(header.get("kid")) is not str:
            raise invalid.bad_header(header)
        issuer = claims.get("iss")
        pool = self.pools.get(issuer) if type(issuer) is str else None
        if pool is None:
            raise invalid.wrong_issuer(issuer, self.pools)
        return parsed, pool

    def _believe(
        self,
        token: bytes,
        claims: Mapping[str, Any],
        pool: TrustedPool,
        issued_at: float,
        now: float,
        machines: bool = False,
    ) -> VerifiedToken:
        """Check the claims of a token with a good signature, or of a trusted one."""
        use = claims.get("token_use")
        if use == "id":
            client, username = claims.get("aud"), claims.get("cognito:username")
        elif use == "access":
            client, username = claims.get("client_id"), claims.get("username")
        else:
            raise invalid.wrong_token_use(use, expected="'id' or 'access'")
        clients = pool.client_ids
        if type(client) is not str or not client or (clients is not None and client not in clients):
            raise invalid.wrong_client(_CLIENT_CLAIM[use], client, clients)
        if self._audience:
            _check_audience(claims, use, self._audience)
        sub = claims.get("sub")
        if not (type(username) is str and username and type(sub) is str and sub):
            _refuse_unless_machine(claims, use, client, machines=machines)
            username, sub = "", client
        begins_at = issued_at
        if "nbf" in claims:  # Cognito writes none, and a call costs 0.2 µs
            begins_at = max(issued_at, _time(claims, "nbf", default=None))
        ends_at = _time(claims, "exp", default=None)
        expires_at = ends_at + self.leeway
        fresh_until = min(expires_at, pool.keys.fresh_until(now))
        lifetime = ends_at - issued_at
        issuer, pool_id = pool.issuer, pool.pool
        # In the order of the fields: keywords would take 0.25 µs of every new token.
        # fmt: off
        return VerifiedToken(
            token, claims, issuer, pool_id, client, use, username, sub,
            expires_at, fresh_until, lifetime, begins_at,
        )
        # fmt: on


def agree(one: VerifiedToken, other: VerifiedToken) -> None:
    """Raise `InvalidToken` unless an ID and an access token are of one user, pool and client."""
    if (one.token_use, other.token_use) != ("id", "access"):
        uses = one.token_use, other.token_use
        raise invalid.wrong_token_use(*uses, expected="'id' and 'access'")
    if (one.sub, one.pool, one.client) != (other.sub, other.pool, other.client):
        if one.pool != other.pool:
            raise invalid.mismatch("iss", one.issuer, other.issuer)
        if one.client != other.client:
            raise invalid.mismatch("client_id", one.client, other.client)
        raise invalid.mismatch("sub")


def _refuse_unless_machine(
    claims: Mapping[str, Any], use: TokenUse, client: str, *, machines: bool
) -> None:
    """Raise `InvalidToken` for a token without a user, unless it may be a machine's, and is."""
    sub = claims.get("sub")
    if not (machines and use == "access" and "username" not in claims and sub == client):
        raise invalid.missing_user(_USERNAME_CLAIM[use] if isinstance(sub, str) and sub else "sub")


def _check_audience(claims: Mapping[str, Any], use: TokenUse, names: frozenset[str]) -> None:
    """Raise `InvalidToken` for an access token without one of these names in `aud`."""
    audience = claims.get("aud")
    if use == "access" and not is_for(audience, names):
        raise invalid.wrong_audience(audience, names)


def is_for(audience: object, names: frozenset[str]) -> bool:
    """Whether an `aud` has one of these names (RFC 7519 4.1.3): a text, or a list of them."""
    if isinstance(audience, list):
        return any(isinstance(one, str) and one in names for one in audience)
    return isinstance(audience, str) and audience in names


def _time(claims: Mapping[str, Any], name: str, *, default: float | None) -> float:
    """A NumericDate (RFC 7519 2): a finite number."""
    value = claims.get(name)
    if type(value) is int and -_EXACT < value < _EXACT:
        return value
    if value is None and name not in claims and default is not None:
        return default
    if type(value) is float and math.isfinite(value):
        return value
    raise invalid.bad_time(name, value)
