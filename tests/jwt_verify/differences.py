"""Where our answer to a token is meant to differ from aws-jwt-verify's, and why.

Rules:
- Every difference has cases, named without their issuer if they are of both.
- In every case that is named here the answers differ, ours being what is written here: the reason
  of a refusal, or the name of a user.
- A difference that is not here, or that is here and no longer there, fails the tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.jwt_verify.cases import HOSTS, NOW

ADA: Final = "ada"


@dataclass(frozen=True)
class Difference:
    """`ours`: our answer to its cases."""

    reason: str
    ours: str
    cases: tuple[str, ...]


DIFFERENCES: Final[Mapping[str, tuple[Difference, ...]]] = {
    "partition": (
        Difference(
            "aws-jwt-verify writes amazonaws.com for every Region. botocore has other hosts for "
            "the European Sovereign Cloud (amazonaws.eu) and China (amazonaws.com.cn).",
            ADA,
            ("eusc-de-east-1", "cn-north-1", "cn-northwest-1"),
        ),
        Difference(
            "Likewise: no issuer of these partitions is at amazonaws.com.",
            "wrong_issuer",
            (
                "eusc-de-east-1 at amazonaws.com",
                "cn-north-1 at amazonaws.com",
                "cn-northwest-1 at amazonaws.com",
            ),
        ),
    ),
    "issuers": (
        Difference(
            'aws-jwt-verify takes both issuers at all times. `issuers="original"`, or "updated", '
            "leaves one of them out for those who want that.",
            "wrong_issuer",
            (
                *("updated, original alone", "original, updated alone"),
                *("updated, a replica, original", "original, a replica, updated"),
            ),
        ),
    ),
    "regions": (
        Difference(
            "Under ORIGINAL, a replica's tokens name the Region that was asked. aws-jwt-verify has "
            'no option for it yet (its pull request 285); here it is `regions=["us-west-2"]`.',
            ADA,
            tuple(
                f"original, {setting}: named by the replica{use}"
                for setting in ("a replica", "a replica, original", "a replica, both")
                for use in ("", ", access")
            ),
        ),
    ),
    "end": (
        Difference(
            "A session that never ends is none of Cognito's: its tokens always have `exp`.",
            "malformed_token",
            ("no exp", "access: no exp"),
        ),
        Difference(
            'A token is not to be accepted "on or after" its end (RFC 7519 4.1.4).',
            "token_expired",
            (f"exp {NOW - 5}",),
        ),
    ),
    "beginning": (
        Difference(
            "aws-jwt-verify does not read `iat`. A token that was issued in the future shows a "
            "clock that is behind: it is kept, does not count yet, and the operator is told.",
            "token_not_yet_valid",
            (f"iat {NOW + 6}", f"iat {NOW + 3600}"),
        ),
    ),
    "numbers": (
        Difference(
            "JSON's readers agree about integers below 2^53 (RFC 8259 6).",
            "malformed_token",
            ("exp 9007199254740993", "iat 9007199254740993"),
        ),
    ),
    "crit": (
        Difference(
            "A header that has to be understood, and is not, makes a token invalid; an empty list "
            "of such is not allowed (RFC 7515 4.1.11).",
            "malformed_token",
            ("header: crit", "header: crit empty", "header: crit unknown"),
        ),
    ),
    "algorithm": (
        Difference(
            "Cognito signs with RS256 alone. aws-jwt-verify leaves the choice to the token where "
            "the key names no algorithm; Cognito's keys do.",
            "unsupported_algorithm",
            ("signed by RS384, keys without alg", "signed by RS512, keys without alg"),
        ),
    ),
    "user": (
        Difference(
            "A session is a user's: without `sub` and a name there is nobody to be signed in. "
            "Tokens of machines (client credentials) are such, and open no session.",
            "missing_claim",
            (
                *("no sub", "sub empty", "no user name", "user name empty"),
                *("user name a number", "user name a list", "access: no user name"),
                *("access: named as an ID token is", "access: of a machine"),
            ),
        ),
    ),
    "any client": (
        Difference(
            "`client_id=None` accepts any one client. A token has to name it all the same: it is "
            "refreshed and revoked for that client.",
            "wrong_client",
            ("any client: no aud", "any client: aud a list", "any client: aud empty"),
        ),
    ),
    "unread claims": (
        Difference(
            "aws-jwt-verify checks the types of registered claims that nobody asks for. Here a "
            "`scope` that is no text grants nothing; `jti`, and `aud` beside `client_id`, are "
            "not read. Cognito signs no such token.",
            ADA,
            (
                *("scope a list", "access: scope a list", "access: scope a number"),
                *("jti a number", "access: aud a number besides"),
            ),
        ),
    ),
    "one spelling": (
        Difference(
            "A token has one spelling, without padding and spare bits (RFC 7515 2, RFC 4648 3.5): "
            "verdicts are kept, and sessions are ended, by a token's bytes.",
            "malformed_token",
            (
                *("signature with padding", "signature with a spare bit"),
                *("header with padding, and signed so", "header with a spare bit, and signed so"),
                *("payload with padding, and signed so", "payload with a spare bit, and signed so"),
            ),
        ),
    ),
    "one meaning": (
        Difference(
            "A member that occurs twice means one thing to this reader and another to the next "
            "(RFC 7515 4, RFC 8725 2.4).",
            "malformed_token",
            (
                "payload with a member twice",
                "payload with a member twice, one of them escaped",
                "payload with the issuer twice, ours last",
                "payload with the client twice",
                "payload with the end twice",
                "payload with the user twice",
                "header with a member twice",
                "header with the algorithm twice",
            ),
        ),
        Difference(
            "JSON is UTF-8 (RFC 8259 8.1). aws-jwt-verify puts U+FFFD in the place of what is not, "
            "so that two users may have one name. A lone surrogate is no character.",
            "malformed_token",
            (
                *("payload with a byte that is not UTF-8", "payload with an overlong letter"),
                *("payload with a surrogate in bytes", "payload with a lone surrogate"),
                *("header with a byte that is not UTF-8", "header with a lone surrogate"),
            ),
        ),
    ),
    "size": (
        Difference(
            "A client may send what it likes: of more than 256 KiB nothing is read.",
            "malformed_token",
            ("263 kB",),
        ),
    ),
}


def _by_case() -> Iterator[tuple[str, str]]:
    for group in DIFFERENCES.values():
        for difference in group:
            for case in difference.cases:
                is_of_one = case.startswith(tuple(f"{kind}, " for kind in HOSTS))
                for name in [case] if is_of_one else [f"{kind}, {case}" for kind in HOSTS]:
                    yield name, difference.ours


OURS: Final[Mapping[str, str]] = dict(_by_case())

# What our reasons are called there. (A token that is malformed to both may be so in other ways.)
NAMES: Final[Mapping[str, frozenset[str]]] = {
    "JwtParseError": frozenset(
        {
            "malformed_token",
            "unsupported_algorithm",
            "wrong_issuer",
            "wrong_client",
            "missing_claim",
            "bad_signature",
        }
    ),
    "ParameterValidationError": frozenset({"wrong_issuer", "malformed_token"}),
    "JwtWithoutValidKidError": frozenset({"malformed_token", "unsupported_algorithm"}),
    "KidNotFoundInJwksError": frozenset({"unknown_key"}),
    "JwtInvalidSignatureAlgorithmError": frozenset({"unsupported_algorithm"}),
    "JwtInvalidSignatureError": frozenset({"bad_signature", "malformed_token"}),
    "JwtExpiredError": frozenset({"token_expired"}),
    "JwtNotBeforeError": frozenset({"token_not_yet_valid"}),
    "CognitoJwtInvalidTokenUseError": frozenset({"wrong_token_use"}),
    "CognitoJwtInvalidClientIdError": frozenset({"wrong_client"}),
}
