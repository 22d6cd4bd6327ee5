"""Refused tokens: the one exception, and the facts a developer needs to explain a refusal.

Rules:
- Every refusal has a stable `reason`. `claim`, `actual` and `expected` say more, as text for a log
  at DEBUG or for `inspect`; never for a response.
- No text holds a token, a signature or a user. Values are escaped, and cut after 100 characters.
- These texts are built when a token is refused. Checking a good token builds none.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..errors import Reason
from ..web.requests import excerpt

_LONGEST_NUMBER: Final = 24  # characters
_KINDS: Final[Mapping[type, str]] = {dict: "an object", list: "an array"}


class InvalidToken(Exception):
    """The token is refused, for `reason`.

    `claim`: the part of the token behind the refusal: a claim, a parameter of the header, or
    `size`, `segments`, `header`, `payload`, `signature`. `actual`, `expected`: its value and the
    accepted ones, as text for a developer: escaped, short, never a token, signature or user. Each
    is empty if there is nothing to show. They are for a log at DEBUG, never for a response.
    `claimed`: the token's own issuer or app client, if it is the wrong one. Anybody can write that.
    """

    def __init__(
        self,
        reason: Reason,
        claimed: object = None,
        *,
        claim: str = "",
        actual: str = "",
        expected: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.claimed: str = claimed if isinstance(claimed, str) else ""
        self.claim = claim
        self.actual: str = actual or (shown(self.claimed) if self.claimed else "")
        self.expected = expected


def shown(value: object) -> str:
    """A value from a token as text: escaped and cut. A value that may hold a token is not shown.

    >>> print(shown("web"), shown(7), shown(["web"]), shown(None), shown("eyJhbGciOiJub25lIn0"))
    'web' 7 an array absent a token
    """
    if isinstance(value, str):
        return "a token" if "eyJ" in value else excerpt(value)
    if isinstance(value, int | float):
        return str(value)[:_LONGEST_NUMBER]
    return _KINDS.get(type(value), "absent")


def listed(names: Iterable[str]) -> str:
    """The accepted values as text: the first three of them.

    >>> print(listed({"web", "mobile"}))
    'mobile' or 'web'
    """
    some = sorted(names)
    return " or ".join(map(shown, some[:3])) + (" or others" if len(some) > 3 else "")


def clock(now: float, leeway: float) -> str:
    """The time that a claim was compared with, as text."""
    return f"now {now:.0f}, leeway {leeway:g} s"


# The refusals that take a few lines to build, away from the checks: those run for good tokens too.


def too_large(size: int, limit: int) -> InvalidToken:
    """The token has `size` bytes."""
    return InvalidToken(
        "malformed_token",
        claim="size",
        actual=f"{size:,} bytes",
        expected=f"at most {limit:,} bytes",
    )


def bad_segment(name: str, flaw: str) -> InvalidToken:
    """The header or the payload is malformed."""
    expected = "a JSON object in base64url without padding"
    return InvalidToken("malformed_token", claim=name, actual=flaw, expected=expected)


def bad_header(header: Mapping[str, Any]) -> InvalidToken:
    """The header has a `crit`, or no `kid`."""
    claim, expected = ("crit", "absent") if "crit" in header else ("kid", "text")
    actual = shown(header.get(claim))
    return InvalidToken("malformed_token", claim=claim, actual=actual, expected=expected)


def unsupported_algorithm(alg: object) -> InvalidToken:
    """The header's `alg` is not RS256."""
    actual = shown(alg)
    return InvalidToken("unsupported_algorithm", claim="alg", actual=actual, expected="'RS256'")


def wrong_issuer(issuer: object, issuers: Iterable[str]) -> InvalidToken:
    """The issuer is not one of a configured pool's."""
    actual, expected = shown(issuer), listed(issuers)
    return InvalidToken("wrong_issuer", issuer, claim="iss", actual=actual, expected=expected)


def unknown_key(kid: str, known: Iterable[str]) -> InvalidToken:
    """The pool has no key of this id."""
    return InvalidToken("unknown_key", claim="kid", actual=shown(kid), expected=listed(known))


def bad_signature(kid: str) -> InvalidToken:
    """The signature was not made with the pool's key of this id."""
    expected = f"made with the key {shown(kid)}"
    return InvalidToken("bad_signature", claim="signature", expected=expected)


def wrong_token_use(actual: str, expected: str) -> InvalidToken:
    """It is another kind of token. Both values are text already."""
    return InvalidToken("wrong_token_use", claim="token_use", actual=actual, expected=expected)


def wrong_client(claim: str, client: object, clients: Iterable[str] | None) -> InvalidToken:
    """The token is another app client's. `clients`: None accepts any."""
    expected = "an app client" if clients is None else listed(clients)
    actual = shown(client)
    return InvalidToken("wrong_client", client, claim=claim, actual=actual, expected=expected)


def missing_user(claim: str) -> InvalidToken:
    """The user's `sub` or name is missing. Its value is not shown."""
    actual = "absent, empty or not text"
    return InvalidToken("missing_claim", claim=claim, actual=actual, expected="text")


def bad_time(claim: str, value: object) -> InvalidToken:
    """A time is missing, or not a finite number."""
    actual = shown(value)
    return InvalidToken("malformed_token", claim=claim, actual=actual, expected="a finite number")


def expired(exp: object, now: float, leeway: float) -> InvalidToken:
    """The token has run out."""
    expected = f"more than {now - leeway:.0f} ({clock(now, leeway)})"
    return InvalidToken("token_expired", claim="exp", actual=shown(exp), expected=expected)


def mismatch(claim: str, *values: str) -> InvalidToken:
    """The two tokens of one sign-in differ in a claim. `values`: theirs, if they may be shown."""
    actual = " and ".join(map(shown, values))
    expected = "the same in both tokens"
    return InvalidToken("token_mismatch", claim=claim, actual=actual, expected=expected)
