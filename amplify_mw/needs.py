"""`Needs`: the demands of a guard beside a signed-in user, and the refusal if they are not met.

    unmet    the error for a user or a machine, or None
    claims   the verified claims of a verdict

Rules:
- `auth_time` and `acr` are claims of the token which names the user: the ID token of a
  session, or the access token where there is no other (Bearer, an access token in a
  `TokenSession`). Neither is looked up in the other token, which may be of another sign-in.
- A refresh renews neither. A session counts as no younger than its start, even if a provider writes
  a new `auth_time` into refreshed tokens.
- An `auth_time` that is missing, no number, negative, or ahead by more than the leeway is not
  fresh.
- A demand met by the tokens of a verdict is noted with it (`met`), until a sign-in gets too old. A
  `check` is asked each time.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from .cognito.invalid import InvalidToken
from .cognito.jwt import parse_segment
from .errors import (
    AuthError,
    ConfigurationError,
    ForbiddenException,
    NotHandedOverError,
    StepUpRequiredException,
    check_number,
)
from .sessions.handed import HandedOver
from .sessions.verdicts import KnownMachine, SignedIn

LONGEST_ACR: Final = 256  # characters of all `acr_values` together
_YEAR: Final = 366 * 86_400
_SHORTEST: Final = 10  # seconds: the way back from the sign-in page takes some
ACR: Final = re.compile(r"[!#-\[\]-~]+")  # fit for a challenge's text, and without a space
_MAX_MET: Final = 64  # needs noted with a verdict
ALWAYS: Final = (-math.inf, math.inf)
_SCALARS: Final = (str, bool, int, float)

Value: TypeAlias = str | bool | int | float
Check: TypeAlias = Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The demands of a guard beside a signed-in user: for `require_auth` and `protect`.

    All of them have to be met. `Needs()` asks for a signed-in user alone.

    >>> Needs(groups=["billing"], fresh=600).fresh
    600
    """

    groups: Iterable[str] | None = None
    """The user is in one of these groups. Default: None, any."""

    scopes: Iterable[str] | None = None
    """The access token has all of these scopes. Default: None, any."""

    machines: bool = False
    """Whether a machine is let in as well (client credentials; `bearer=True`). Default: False."""

    fresh: float | None = None
    """The most seconds since the user has signed in (`auth_time`). Default: None, any.

    From 10 to a year; the `leeway` is added. A refresh is no sign-in.
    """

    acr: str | Iterable[str] | None = None
    """How the user has shown it: the token's `acr` is this, or one of these. Default: None, any.

    Written in the order of preference, they become `acr_values` of a new sign-in.
    """

    claims: Mapping[str, Value | Iterable[Value]] | None = None
    """Claims of the ID token (or of the access token, if there is no other) with their values.

    A list: one of the values. Default: None, any. Types count: `"1"` is not `1`.
    """

    check: Check | None = None
    """A function that gets the `AuthUser` (or `Machine`), and returns whether it may pass.

    It is not awaited, and asked each time. Default: None.
    """

    key: object = field(default_factory=object, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.groups is not None:
            put(self, "groups", _names("groups", self.groups))
        if self.scopes is not None:
            put(self, "scopes", _names("scopes", self.scopes))
        if self.acr is not None:
            put(self, "acr", _acr_values(self.acr))
        if self.claims is not None:
            put(self, "claims", _claims(self.claims))
        if self.fresh is not None:
            check_number("require_auth: fresh", self.fresh, _SHORTEST, _YEAR)
        if not isinstance(self.machines, bool):
            raise ConfigurationError(f"machines: write True or False; got {self.machines!r}")
        _check_callable(self.check)
        if self.machines and self.groups:
            raise ConfigurationError(
                "require_auth: machines are in no group, so that none would get in; ask for "
                "scopes=[...], or leave machines out"
            )
        if self.machines and self.is_about_sign_in:
            raise ConfigurationError(
                "require_auth: machines have no sign-in to be fresh or strong, so that none would "
                "get in; leave fresh and acr out, or machines"
            )

    @property
    def is_about_sign_in(self) -> bool:
        """Whether a new sign-in may help."""
        return self.fresh is not None or bool(self.acr)

    @property
    def is_empty(self) -> bool:
        """Whether a signed-in user is enough."""
        asked = self.groups or self.scopes or self.claims or self.machines or self.check
        return not (asked or self.is_about_sign_in)

    def __hash__(self) -> int:
        return hash((self.groups, self.scopes, self.machines, self.fresh, self.acr, self.check))


def _names(field: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ConfigurationError(f"require_auth: write {field}=[{names!r}], a list")
    found = frozenset(names)
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ConfigurationError(
            f"require_auth: write {field} as a list of names; an empty one would let everybody in"
        )
    return found


def _acr_values(values: str | Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys([values] if isinstance(values, str) else values))
    is_clean = all(isinstance(value, str) and ACR.fullmatch(value) for value in found)
    if not found or not is_clean or len(" ".join(found)) > LONGEST_ACR:
        raise ConfigurationError(
            "require_auth: write acr='urn:...' or a list of such names, without spaces and quotes, "
            f"of at most {LONGEST_ACR} characters together; got {values!r}"
        )
    return found


def _claims(claims: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    found = {}
    for name, values in claims.items() if isinstance(claims, Mapping) else [("", None)]:
        listed = (values,) if isinstance(values, _SCALARS) else tuple(values or ())
        if not name or not listed or not all(isinstance(value, _SCALARS) for value in listed):
            raise ConfigurationError(
                "require_auth: write claims={'custom:tenant': 'a1'}, with text, a number, True or "
                f"False, or a list of these; got {claims!r}"
            )
        found[name] = listed
    if not found:
        raise ConfigurationError("require_auth: claims is empty, which would let everybody in")
    return found


def _check_callable(check: object) -> None:
    import inspect

    call = getattr(check, "__call__", None)  # noqa: B004  # an object's may be async
    is_async = any(map(inspect.iscoroutinefunction, (check, call)))
    if check is not None and (not callable(check) or is_async or isinstance(check, type)):
        raise ConfigurationError(
            "require_auth: check is called with the user and not awaited; write a function without "
            "async that returns whether the user may pass"
        )


# Claims.


def claims(
    verdict: SignedIn | KnownMachine, token_use: Literal["id", "access"] | None = None
) -> dict[str, Any]:
    """The claims of the token which names the user; or of one kind, empty without such a token."""
    if isinstance(verdict, HandedOver):
        return verdict.claims(token_use)
    id_token = verdict.id_token if isinstance(verdict, SignedIn) else None
    if token_use is None:
        token = id_token or verdict.access_token
    else:
        token = id_token if token_use == "id" else verdict.access_token  # noqa: S105  # no password
    if not token:
        return {}
    try:
        return parse_segment(token.split(b".")[1])
    except InvalidToken:  # pragma: no cover  # it was verified
        return {}


def signed_in_at(
    verdict: SignedIn | KnownMachine, found: Mapping[str, Any], latest: float
) -> float | None:
    """The time of the sign-in; None if not known. `latest`: later is absurd."""
    told = found.get("auth_time")
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    if not 0 <= told <= latest:  # NaN is neither
        return None
    held = verdict.held
    return float(told) if held is None else min(float(told), held.bundle.created_at)


# Refusals.


def unmet(
    needs: Needs, verdict: SignedIn | KnownMachine, now: float, leeway: float
) -> AuthError | None:
    """The error for a principal without these needs; None lets it in."""
    span = None if verdict.met is None else verdict.met.get(needs.key)
    if span is not None and span[0] <= now < span[1]:
        return None
    forbidden = _forbidden(needs, verdict)
    if forbidden is not None:
        return forbidden
    if needs.is_about_sign_in and isinstance(verdict, HandedOver):
        raise NotHandedOverError("the time and the kind of the sign-in")
    found = claims(verdict) if needs.claims or needs.is_about_sign_in else {}
    if needs.claims and not _fits(needs.claims, found):
        return ForbiddenException(reason="unmet_claim")
    if needs.acr and not _has_acr(needs.acr, found):
        return step_up(needs, reason="acr_too_low")
    span = ALWAYS if needs.fresh is None else _span(needs.fresh, verdict, found, now, leeway)
    if span is None:
        return step_up(needs, reason="not_fresh")
    if needs.check is not None:
        return _not_permitted(needs.check, verdict)
    _note(verdict, needs, span)
    return None


def _forbidden(needs: Needs, verdict: SignedIn | KnownMachine) -> AuthError | None:
    """The error for a principal of the wrong kind, or without a group or scope."""
    if isinstance(verdict, KnownMachine):
        if not needs.machines:
            return verdict.exception()
        scopes = verdict.machine.scopes
    else:
        if needs.groups and frozenset(needs.groups).isdisjoint(verdict.user.groups):
            return ForbiddenException(reason="missing_group")
        if not needs.scopes:
            return None
        scopes = verdict.scopes
    if frozenset(needs.scopes or ()) <= scopes:
        return None
    error = ForbiddenException(reason="missing_scope")
    error.scopes = tuple(sorted(needs.scopes or ()))
    return error


def step_up(
    needs: Needs, *, reason: Literal["not_fresh", "acr_too_low"]
) -> StepUpRequiredException:
    """The error asking for a new sign-in."""
    error = StepUpRequiredException(reason=reason)
    error.max_age = None if needs.fresh is None else math.floor(needs.fresh)
    error.acr_values = tuple(needs.acr or ())
    return error


def _fits(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether each claim has one of its values, of the same type."""
    return all(
        any(type(found.get(name)) is type(value) and found[name] == value for value in values)
        for name, values in wanted.items()
    )


def _has_acr(wanted: Iterable[str], found: Mapping[str, Any]) -> bool:
    acr = found.get("acr")
    return isinstance(acr, str) and acr in wanted


def _span(
    fresh: float,
    verdict: SignedIn | KnownMachine,
    found: Mapping[str, Any],
    now: float,
    leeway: float,
) -> tuple[float, float] | None:
    """From when until when a sign-in is fresh, if it is so now."""
    began = signed_in_at(verdict, found, now + leeway)
    if began is None or now >= began + fresh + leeway:
        return None
    return found["auth_time"] - leeway, began + fresh + leeway  # before `auth_time` it is absurd


def _not_permitted(check: Check, verdict: SignedIn | KnownMachine) -> AuthError | None:
    """The error if the app's function says no. Raises `TypeError` for one to be awaited."""
    answer = check(verdict.user if isinstance(verdict, SignedIn) else verdict.machine)
    if hasattr(answer, "__await__"):
        if hasattr(answer, "close"):
            answer.close()  # else Python warns of it
        raise TypeError("require_auth: check is not awaited: write a function without async")
    return None if answer else ForbiddenException(reason="not_permitted")


def _note(verdict: SignedIn | KnownMachine, needs: Needs, span: tuple[float, float]) -> None:
    """Note these needs with a verdict: it meets them."""
    met = verdict.met
    if met is None or len(met) >= _MAX_MET:
        met = verdict.met = {}
    met[needs.key] = span
