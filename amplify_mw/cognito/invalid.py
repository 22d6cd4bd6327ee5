"""Refused tokens: the one exception, and the facts a developer needs to explain a refusal.

Rules:
- Every refusal has a stable `reason`. `claim`, `actual` and `expected` say more, as text for a log
  at DEBUG or for `inspect`; never for a response.
- No text holds a token, a signature or a user. Values are escaped, and cut after 100 characters.
- The texts are built when somebody reads them. Neither good tokens nor floods of bad ones pay.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from ..errors import Reason
from ..web.requests import excerpt

Facts: TypeAlias = tuple[str, str, str]  # claim, actual, expected
_LONGEST_NUMBER: Final = 24  # characters
_KINDS: Final[Mapping[type, str]] = {dict: "an object", list: "an array"}


class InvalidToken(Exception):
    """The token is refused, for `reason`.

    `claimed`: the token's own issuer or app client, if it is the wrong one. Anybody can write that.
    It is empty if it may hold a token: the log and the events name it.
    """

    def __init__(
        self, reason: Reason, claimed: object = None, facts: Callable[[], Facts] | None = None
    ) -> None:
        """`facts`: builds the texts below, in this order."""
        super().__init__(reason)
        self.reason: Reason = reason
        is_shown = isinstance(claimed, str) and not _may_hold_token(claimed)
        self.claimed: str = str(claimed) if is_shown else ""
        self._facts = facts

    @property
    def claim(self) -> str:
        """The part of the token behind the refusal; empty if none is known.

        A claim, a parameter of the header, or `size`, `segments`, `header`, `payload`, `signature`.
        """
        return self._texts[0]

    @property
    def actual(self) -> str:
        """The value of this part; empty if it is not shown."""
        return self._texts[1]

    @property
    def expected(self) -> str:
        """The accepted values."""
        return self._texts[2]

    @property
    def _texts(self) -> Facts:
        return ("", shown(self.claimed or None), "") if self._facts is None else self._facts()


def shown(value: object) -> str:
    """A value from a token as text: escaped and cut. A value that may hold a token is not shown.

    >>> print(shown("web"), shown(7), shown(["web"]), shown(None), shown("eyJhbGciOiJub25lIn0"))
    'web' 7 an array absent a token
    """
    if isinstance(value, str):
        return "a token" if _may_hold_token(value) else excerpt(value)
    if isinstance(value, int | float):
        return str(value)[:_LONGEST_NUMBER]
    return _KINDS.get(type(value), "absent")


def _may_hold_token(text: str) -> bool:
    return "eyJ" in text  # base64url of `{"`


def listed(names: Iterable[str]) -> str:
    """The accepted values as text: the first three of them.

    >>> print(listed({"web", "mobile"}))
    'mobile' or 'web'
    """
    some = sorted(names)
    return " or ".join(map(shown, some[:3])) + (" or others" if len(some) > 3 else "")


def clock(now: float, leeway: float) -> str:
    """The current time, as text beside an expected one."""
    return f"now {now:.0f}, leeway {leeway:g} s"


# The refusals, one function each.


def too_large(size: int, limit: int) -> InvalidToken:
    """The token has `size` bytes."""
    return InvalidToken(
        "malformed_token", None, lambda: ("size", f"{size:,} bytes", f"at most {limit:,} bytes")
    )


def bad_header(header: Mapping[str, Any]) -> InvalidToken:
    """The header has a `crit`, or no `kid`."""
    claim, expected = ("crit", "absent") if "crit" in header else ("kid", "text")
    return InvalidToken(
        "malformed_token", None, lambda: (claim, shown(header.get(claim)), expected)
    )


def unsupported_algorithm(alg: object) -> InvalidToken:
    """The header's `alg` is not RS256."""
    return InvalidToken("unsupported_algorithm", None, lambda: ("alg", shown(alg), "'RS256'"))


def wrong_issuer(issuer: object, issuers: Iterable[str]) -> InvalidToken:
    """The issuer is not one of a configured pool's."""
    return InvalidToken("wrong_issuer", issuer, lambda: ("iss", shown(issuer), listed(issuers)))


def unknown_key(kid: str, known: Iterable[str]) -> InvalidToken:
    """The pool has no key of this id."""
    return InvalidToken("unknown_key", None, lambda: ("kid", shown(kid), listed(known)))


def bad_signature(kid: str) -> InvalidToken:
    """The signature was not made with the pool's key of this id."""
    return InvalidToken(
        "bad_signature", None, lambda: ("signature", "", f"made with the key {shown(kid)}")
    )


def wrong_token_use(*uses: object, expected: str) -> InvalidToken:
    """It is another kind of token, or two tokens are."""
    return InvalidToken(
        "wrong_token_use", None, lambda: ("token_use", " and ".join(map(shown, uses)), expected)
    )


def wrong_client(claim: str, client: object, clients: Iterable[str] | None) -> InvalidToken:
    """The token is another app client's. `clients`: None accepts any."""

    def facts() -> Facts:
        return claim, shown(client), "an app client" if clients is None else listed(clients)

    return InvalidToken("wrong_client", client, facts)


def wrong_audience(audience: object, names: Iterable[str]) -> InvalidToken:
    """The access token is for another API."""
    return InvalidToken("wrong_audience", None, lambda: ("aud", shown(audience), listed(names)))


def missing_user(claim: str) -> InvalidToken:
    """The user's `sub` or name is missing. Its value is not shown."""
    return InvalidToken("missing_claim", None, lambda: (claim, "absent, empty or not text", "text"))


def bad_time(claim: str, value: object) -> InvalidToken:
    """A time is missing, or not a finite number."""
    return InvalidToken("malformed_token", None, lambda: (claim, shown(value), "a finite number"))


def expired(exp: object, now: float, leeway: float) -> InvalidToken:
    """The token has run out."""

    def facts() -> Facts:
        return "exp", shown(exp), f"more than {now - leeway:.0f} ({clock(now, leeway)})"

    return InvalidToken("token_expired", None, facts)


def mismatch(claim: str, *values: str) -> InvalidToken:
    """The two tokens of one sign-in differ in a claim. `values`: theirs, if they may be shown."""
    expected = "the same in both tokens"
    return InvalidToken(
        "token_mismatch", None, lambda: (claim, " and ".join(map(shown, values)), expected)
    )
