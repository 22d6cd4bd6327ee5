"""`inspect_credential`: what a request with a credential gets, and why, check by check.

Rules:
- It changes nothing, and fetches nothing but the key set of a configured pool (see `looking`).
- For any bytes there is an answer, and no exception. At most `MAX_READ` bytes are looked at.
- No text holds a token, a signature, a key, a secret, a user's name or an attribute; claims only if
  they are asked for. Control characters are escaped.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ...config.config import AmplifyConfig
from ...models.check import Check
from ...reasons import Explanation, explain
from ...sessions.token import MAX_SENT
from ...web.authorization import MALFORMED, bearer_token
from ..report import as_dicts, as_text, printable
from .cookies import cookie_checks
from .facts import counted, mend_of
from .judging import NO_CONFIGURATION, Judgement, environ_with, judge, judge_alone, read_as
from .looking import Looking
from .recognition import MAX_READ, NAMES, Recognised, recognise
from .requests import request_checks
from .sessions import bare_checks, session_checks, tokens_of
from .tokens import Subject, claims_in, token_checks

if TYPE_CHECKING:
    from ...engine.engine import Engine

STATUS: Final = {"signed_in": 0, "refused": 1, "unknown": 3}
_READ_AS: Final = {
    "cookie": "the session's cookie",
    "header": "an Authorization header",
    "token": "a token by itself",
    "request": "a request",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A credential, explained. `str()` of it is the text that `amplify-mw inspect` prints."""

    recognised: str
    """What was given: `token`, `authorization`, `cookie_value`, `cookies`, `request`, `reason`,
    `answer` (the body of one) or `nothing`."""

    outcome: str
    """`signed_in`, `refused`, or `unknown`: it cannot be told."""

    reason: str
    """The one reason; see `amplify_mw.errors.Reason`. Empty if there is none."""

    status: int | None
    """The HTTP status that goes with it; None if there is no answer in the app's place."""

    cookie: str
    """What becomes of the session's cookie: `kept`, `cleared`, or `none`: it is about none."""

    why: str
    """Why it cannot be told; else empty."""

    checks: tuple[Check, ...]
    """Every check, in the library's order; not only the first one that fails."""

    notices: tuple[str, ...] = ()
    """What the library's log would tell an operator."""

    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The claims of each token, unverified, by its name. Empty unless they were asked for."""

    @property
    def exit_status(self) -> int:
        """0: signed in. 1: refused. 3: it cannot be told."""
        return STATUS[self.outcome]

    @property
    def mend(self) -> str:
        """What to write or do; empty if there is nothing, or no word on it."""
        return mend_of(self.reason)

    def to_dict(self) -> dict[str, Any]:
        """The same for a program, as JSON has it."""
        found: dict[str, Any] = {
            "recognised": self.recognised,
            "outcome": self.outcome,
            "reason": self.reason,
            "status": self.status,
            "cookie": self.cookie,
            "why": self.why,
            "mend": self.mend,
            "checks": as_dicts(self.checks),
            "notices": [printable(notice) for notice in self.notices],
        }
        return {**found, "claims": dict(self.claims)} if self.claims else found

    def __str__(self) -> str:
        parts = [f"This is {NAMES[self.recognised]}.", as_text(self.checks)]  # type: ignore[index]
        parts += [f"{name}: {_as_json(claims)}" for name, claims in self.claims.items()]
        parts += [f"The log would say: {printable(notice)}" for notice in self.notices]
        return "\n\n".join(filter(None, [*parts, self._conclusion()])) + "\n"

    def _conclusion(self) -> str:
        """The last lines: the one reason, and the mend."""
        explanation = explain(self.reason) if self.reason else None
        lines = [self._headline()]
        if explanation is not None:
            lines += [f"  {word}  {text}" for word, text in _told(explanation)]
        wrong = [check.name for check in self.checks if check.outcome == "wrong"]
        if self.outcome == "unknown" and wrong:
            lines.append(f"  but    already wrong: {', '.join(wrong)}")
        return "\n".join(lines)

    def _headline(self) -> str:
        status = "" if self.status is None else f" ({self.status}"
        status += f", the cookie is {self.cookie})" if status and self.cookie != "none" else ""
        status += ")" if status and not status.endswith(")") else ""
        if self.outcome == "signed_in":
            return f"Signed in{status}."
        if self.outcome == "refused":
            return f"Refused: {self.reason}{status}."
        reason = f" ({self.reason})" if self.reason else ""
        return f"Cannot be told{reason}: {printable(self.why)}."


def _told(explanation: Explanation) -> list[tuple[str, str]]:
    words = (
        ("means", explanation.meaning),
        ("cause", explanation.cause),
        ("mend ", explanation.mend),
    )
    return [(word, printable(text)) for word, text in words if text]


def _as_json(claims: Mapping[str, Any]) -> str:
    return json.dumps(claims, indent=2)


def inspect_credential(
    data: bytes,
    config: "AmplifyConfig | Engine | None" = None,
    *,
    clock: Callable[[], float] | None = None,
    offline: bool = False,
    show_claims: bool = False,
    elsewhere: bool = False,
) -> Inspection:
    """What a request with this credential gets, and why. It changes nothing, and raises nothing.

    `data`: a token, a cookie's value, a `Cookie` or `Authorization` header, a request's head, a
    reason, or a line of the log with one. What it is is seen from its content. `config`: the
    middleware's; None: what the bytes alone say. `clock`: seconds since the epoch. `offline`: do
    not fetch the pool's key set either. `show_claims`: with the tokens' claims, which are about
    the user. `elsewhere`: this is not the app's own process, so what that keeps in memory is not
    here.

    >>> print(inspect_credential(b"eyJhbGciOiJub25lIn0.e30.").reason)
    unsupported_algorithm
    """
    found = recognise(data)
    if found.kind == "reason":
        return _of_reason(found)
    looking = None if config is None else Looking(config, clock, offline=offline)
    now = (clock or time.time)() if looking is None else looking.clock()
    checks = _input_checks(found)
    if looking is None:
        judgement, more, tokens = _without_configuration(found, now)
    else:
        judgement = judge(found, looking, elsewhere=elsewhere)
        more, tokens = _with_configuration(found, looking, judgement, now)
    claims = {name: claims_in(token) for name, token in tokens.items()} if show_claims else {}
    return Inspection(
        recognised=found.kind,
        outcome=judgement.word,
        reason=judgement.reason,
        status=judgement.status,
        cookie=judgement.cookie,
        why=judgement.why,
        checks=(*checks, *more),
        notices=judgement.notices,
        claims=claims,
    )


def _of_reason(found: Recognised) -> Inspection:
    """The answer to a bare reason, or a line of the log."""
    reason = found.value.decode("ascii")
    explanation = explain(reason)
    status = explanation.statuses[0] if explanation and explanation.statuses else None
    cookie = "none" if explanation is None else explanation.cookie
    return Inspection("reason", "refused", reason, status, cookie, "", ())


def _input_checks(found: Recognised) -> list[Check]:
    if not found.is_cut:
        return []
    text = f"more than {counted(MAX_READ)}; the rest was not looked at"
    return [Check("input", "warning", text)]


_Found = tuple[Judgement, list[Check], dict[str, bytes]]


def _without_configuration(found: Recognised, now: float) -> _Found:
    """What the bytes alone say."""
    token = _token_in(found)
    if token is not None:
        subject = Subject(None, now, MAX_SENT)
        return judge_alone(token), token_checks(token, subject), {"token": token}
    judgement = Judgement("unknown", why=_nothing_said(found) or NO_CONFIGURATION)
    cookies = found.field("cookie") if found.kind == "request" else found.value
    if found.kind in ("cookies", "request") and cookies:
        return judgement, cookie_checks(cookies, None), {}
    return judgement, bare_checks(found.value) if found.kind == "cookie_value" else [], {}


def _nothing_said(found: Recognised) -> str:
    """Why there is nothing to judge."""
    if found.kind == "nothing":
        return "there was nothing to read: give it on standard input, or by --file"
    if found.kind == "answer":
        return "answers never say the reason; the log does, at DEBUG, and events do"
    return ""


def _token_in(found: Recognised) -> bytes | None:
    """The token that was given, alone or in a Bearer header."""
    if found.kind == "token":
        return found.value
    header = found.value if found.kind == "authorization" else found.field("authorization")
    token = None if header is None else bearer_token(header)
    return None if token == MALFORMED else token


def _with_configuration(
    found: Recognised, looking: Looking, judgement: Judgement, now: float
) -> tuple[list[Check], dict[str, bytes]]:
    """All checks, and the tokens by their names."""
    if judgement.read_as == "nothing":
        return [], {}
    checks = [Check("read_as", "ok", _READ_AS[judgement.read_as])]
    tokens: dict[str, bytes] = {}
    environ = environ_with(found, looking)
    token, header = _token_in(found), environ.get("HTTP_AUTHORIZATION")
    if header is not None and not looking.config.bearer:
        checks.append(Check("bearer", "wrong", "not read", "bearer=True", _NOT_READ))
    if token is not None and read_as(found, looking) != "cookie":
        tokens["token"] = token
        is_header = judgement.read_as != "token"
        uses = ("access",) if is_header and looking.config.bearer else ("id", "access")
        subject = Subject(looking, now, MAX_SENT, uses, machines=True)
        checks += token_checks(token, subject)
    elif header is not None and looking.config.bearer:
        checks.append(Check("bearer", "wrong", "malformed", "Bearer, and one token"))
    is_bare = found.kind in ("token", "cookie_value")
    checks += _cookie_checks(environ.get("HTTP_COOKIE"), looking, now, tokens)[2 * is_bare :]
    if judgement.read_as == "request":
        checks += request_checks(environ, looking.config, judgement.verdict, now)
    return checks, tokens


_NOT_READ: Final = "if programs may send access tokens, write bearer=True"


def _cookie_checks(
    cookie: str | None, looking: Looking, now: float, tokens: dict[str, bytes]
) -> list[Check]:
    """The checks of a request's cookies. Their tokens are added to `tokens`."""
    if cookie is None:
        return []
    header, cookies = cookie.encode("latin-1"), looking.engine.authenticator.cookie
    checks = cookie_checks(header, cookies)
    value = cookies.read(header)
    if value is None:
        return checks
    tokens |= tokens_of(value, looking)
    return checks + session_checks(value, looking, now)
