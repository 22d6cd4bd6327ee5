"""A token, check by check, in the order of `cognito.verifier`.

Rules:
- Each check is made, even after one that fails. The verifier stops at the first; a reader wants
  them all.
- The refusals and their texts are the verifier's own (`cognito.invalid`). The first `wrong` one
  here is the verifier's reason; a property test compares them.
- Nothing of a user is shown: no name, no `sub`, no attribute.
- Without a configuration, a check against one is `unknown`.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...cognito import invalid
from ...cognito.invalid import InvalidToken, shown
from ...cognito.jwt import ParsedToken, parse_segment, parse_token
from ...cognito.keys import KeysUnavailable, UnknownKey
from ...models.check import Check
from .facts import counted, mend_of, when

if TYPE_CHECKING:
    from ...cognito.verifier import TrustedPool
    from .looking import Looking

_A_TOKEN: Final = shown("eyJ")  # of a text that may hold one
_DEEPEST: Final = 20  # levels of a claim
_EXACT: Final = 2**53
_CLIENTS: Final = {"id": "aud", "access": "client_id"}
_NAMES: Final = {"id": "cognito:username", "access": "username"}
_NO_CONFIGURATION: Final = "as configured: write --config"


class Subject(NamedTuple):
    """How a token is looked at.

    `limit`: the most bytes of it. `uses`: the accepted values of `token_use`. `machines`: whether
    it may be a machine's. `is_trusted`: signature and times do not count, as the library has got it
    from Cognito or from its own seal.
    """

    looking: "Looking | None"
    now: float
    limit: int
    uses: tuple[str, ...] = ("id", "access")
    machines: bool = False
    is_trusted: bool = False


def token_checks(token: bytes, subject: Subject) -> list[Check]:
    """All checks of a token."""
    checks = [_size(token, subject)]
    try:
        parsed = parse_token(token)
    except InvalidToken as error:
        return [*checks, _wrong("jwt", error), *_header_alone(token)]
    checks.append(Check("jwt", "ok", "three segments"))
    checks += _header(parsed[0])
    if subject.looking is None:
        return [*checks, *_claims_alone(parsed[1], subject)]
    pool, issuer = _issuer(parsed[1], subject.looking)
    checks += [issuer, *_signature(parsed, pool, subject)]
    return [*checks, *_claims(parsed[1], pool, subject)]


def claims_in(token: bytes) -> Mapping[str, Any]:
    """The claims of a token, verified or not, fit to be shown; none if it cannot be read."""
    try:
        claims = parse_token(token)[1]
    except InvalidToken:
        return {}
    return {_fit(name, 0): _fit(value, 1) for name, value in claims.items()}


def _fit(value: Any, depth: int) -> Any:
    """A part of the claims: without tokens, with finite numbers, and not too deep."""
    if isinstance(value, str):
        return value if shown(value) != _A_TOKEN else f"({_A_TOKEN})"
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, dict | list) and depth > _DEEPEST:
        return "(nested deeper)"
    if isinstance(value, dict):
        return {_fit(name, depth): _fit(part, depth + 1) for name, part in value.items()}
    return [_fit(part, depth + 1) for part in value] if isinstance(value, list) else value


def _wrong(name: str, error: InvalidToken, found: str = "") -> Check:
    """The check of a refusal."""
    actual = found or error.actual
    if name == "jwt":
        actual = ": ".join(filter(None, (error.claim, actual)))
    return Check(name, "wrong", actual, error.expected, mend_of(error.reason))


def _size(token: bytes, subject: Subject) -> Check:
    size, limit = len(token), subject.limit
    if size > limit:
        return _wrong("size", invalid.too_large(size, limit))
    return Check("size", "ok", counted(size), f"at most {counted(limit)}")


def _header_alone(token: bytes) -> Iterator[Check]:
    """The header of a token with unreadable other parts."""
    try:
        yield from _header(parse_segment(token.partition(b".")[0], "header"))
    except InvalidToken:
        return


def _header(header: Mapping[str, Any]) -> Iterator[Check]:
    alg, kid = header.get("alg"), header.get("kid")
    if alg == "RS256":
        yield Check("alg", "ok", shown(alg))
    else:
        yield _wrong("alg", invalid.unsupported_algorithm(alg))
    if "crit" in header:
        yield _wrong("crit", invalid.bad_header(header))
    if type(kid) is str:
        yield Check("kid", "ok", shown(kid))
    else:
        yield _wrong("kid", invalid.bad_header({"kid": kid}))
    if "typ" in header:
        yield Check("typ", "ok", shown(header["typ"]))


def _issuer(claims: Mapping[str, Any], looking: "Looking") -> "tuple[TrustedPool | None, Check]":
    pools = looking.engine.authenticator.verifier.pools
    issuer = claims.get("iss")
    pool = pools.get(issuer) if type(issuer) is str else None
    if pool is None:
        return None, _wrong("iss", invalid.wrong_issuer(issuer, pools))
    return pool, Check("iss", "ok", shown(issuer))


def _signature(
    parsed: ParsedToken, pool: "TrustedPool | None", subject: Subject
) -> Iterator[Check]:
    """The key and the signature. The one step to fetch something: the pool's key set."""
    header, claims, signed, signature = parsed
    issued_at, looking, kid = _number(claims.get("iat", 0)), subject.looking, header.get("kid")
    if issued_at is None:
        yield _wrong("iat", invalid.bad_time("iat", claims["iat"]))
    if subject.is_trusted:
        yield Check("signature", "ok", "not looked at: the session was sealed by this site")
        return
    if pool is None or looking is None or type(kid) is not str:
        yield Check("key", "unknown", "", "a key of the issuer's key set")
        yield Check("signature", "unknown")
        return
    leeway = looking.config.leeway
    issued_by = min(subject.now, (issued_at or 0) + 1 + leeway)
    try:
        key, _ = looking.run(pool.keys.key_for(kid, issued_by, subject.now))
    except UnknownKey as error:
        yield _wrong("key", invalid.unknown_key(kid, error.known))
        yield Check("signature", "unknown", "", "made with a key of the key set")
    except KeysUnavailable:
        said = "not fetched (--offline)" if looking.is_offline else "the key set does not answer"
        yield Check("key", "unknown", said, f"a key {shown(kid)} in the key set of {pool.pool}")
        yield Check("signature", "unknown")
    else:
        yield Check("key", "ok", f"{shown(kid)} is in the key set of {pool.pool}")
        if key.has_signed(signed, signature):
            yield Check("signature", "ok", "made with this key")
        else:
            yield _wrong("signature", invalid.bad_signature(kid), "another")


def _claims(
    claims: Mapping[str, Any], pool: "TrustedPool | None", subject: Subject
) -> Iterator[Check]:
    use = claims.get("token_use")
    yield _token_use(use, subject)
    yield from _client(claims, use, pool)
    if subject.looking is not None:
        yield from _audience(claims, use, frozenset(subject.looking.config.audience))
    yield _person(claims, use, subject)
    yield from _times(claims, subject)


def _claims_alone(claims: Mapping[str, Any], subject: Subject) -> Iterator[Check]:
    """The claims as they are, without a configuration to compare them with."""
    use = claims.get("token_use")
    yield Check("iss", "unknown", shown(claims.get("iss")), _NO_CONFIGURATION)
    yield Check("signature", "unknown", "", _NO_CONFIGURATION)
    yield _token_use(use, subject)
    name = _CLIENTS.get(str(use), "client_id")
    yield Check(name, "unknown", shown(claims.get(name)), _NO_CONFIGURATION)
    yield _person(claims, use, subject)
    yield from _times(claims, subject)


def _token_use(use: object, subject: Subject) -> Check:
    if use in subject.uses and type(use) is str:
        return Check("token_use", "ok", shown(use))
    expected = " or ".join(map(repr, subject.uses))
    return _wrong("token_use", invalid.wrong_token_use(use, expected=expected))


def _client(claims: Mapping[str, Any], use: object, pool: "TrustedPool | None") -> Iterator[Check]:
    name = _CLIENTS.get(use) if isinstance(use, str) else None
    if name is None:
        return
    client, clients = claims.get(name), None if pool is None else pool.client_ids
    if type(client) is not str or not client or (clients is not None and client not in clients):
        yield _wrong(name, invalid.wrong_client(name, client, clients))
    elif pool is None:
        yield Check(name, "unknown", shown(client), "an app client of the issuer")
    else:
        yield Check(name, "ok", shown(client))


def _audience(claims: Mapping[str, Any], use: object, names: frozenset[str]) -> Iterator[Check]:
    if not names or use != "access":
        return
    from ...cognito.verifier import is_for

    audience = claims.get("aud")
    if is_for(audience, names):
        yield Check("aud", "ok", shown(audience))
    else:
        yield _wrong("aud", invalid.wrong_audience(audience, names))


def _person(claims: Mapping[str, Any], use: object, subject: Subject) -> Check:
    """The user, without a name."""
    name = _NAMES.get(use, "username") if isinstance(use, str) else "username"
    has_sub = bool(claims.get("sub")) and type(claims.get("sub")) is str
    if has_sub and claims.get(name) and type(claims.get(name)) is str:
        return Check("user", "ok", "a username and a sub")
    is_machine = use == "access" and "username" not in claims
    if is_machine and claims.get("sub") == claims.get("client_id"):
        wanted = "" if subject.machines else "a user"
        if subject.machines:
            return Check("user", "ok", "none: a machine's token (client credentials)")
        error = invalid.missing_user("username")
        return Check("user", "wrong", "a machine's token", wanted, mend_of(error.reason))
    return _wrong(
        "user", invalid.missing_user(name if has_sub else "sub"), "no username, or no sub"
    )


def _times(claims: Mapping[str, Any], subject: Subject) -> Iterator[Check]:
    """`auth_time`, `iat`, `nbf`, `exp`, beside this clock."""
    now, leeway = subject.now, 5.0 if subject.looking is None else subject.looking.config.leeway
    if (signed_in := _number(claims.get("auth_time"))) is not None:
        yield Check("auth_time", "ok", when(signed_in, now))
    if "nbf" in claims and (begins := _number(claims["nbf"])) is None:
        yield _wrong("nbf", invalid.bad_time("nbf", claims["nbf"]))
    ends = _number(claims.get("exp"))
    if ends is None:
        yield _wrong("exp", invalid.bad_time("exp", claims.get("exp")))
    elif now >= ends + leeway:
        wanted = f"later than {_this_clock(now, leeway)}"
        yield Check("exp", "wrong", when(ends, now), wanted, mend_of("token_expired"))
    else:
        yield Check("exp", "ok", when(ends, now))
    for name in ("iat", "nbf"):
        if name in claims and (begins := _number(claims[name])) is not None:
            yield _begins(name, begins, now, leeway)


def _begins(name: str, begins: float, now: float, leeway: float) -> Check:
    if begins <= now + leeway:
        return Check(name, "ok", when(begins, now))
    wanted = f"no later than {_this_clock(now, leeway)}"
    return Check(name, "wrong", when(begins, now), wanted, mend_of("token_not_yet_valid"))


def _this_clock(now: float, leeway: float) -> str:
    return f"{when(now, now).removesuffix(', now')} by this clock (leeway {leeway:g} s)"


def _number(value: object) -> float | None:
    """A NumericDate as the verifier reads it; None if it reads none."""
    try:
        if type(value) is int and -_EXACT < value < _EXACT:
            return value
        return value if type(value) is float and abs(value) < float("inf") else None
    except OverflowError:
        return None
