"""`inspect_credential`: the answer to a request with a credential, explained check by check.

Rules:
- It changes nothing, and fetches nothing but the key set of a configured pool (see `looking`).
- For any bytes there is an answer, and no exception. At most `MAX_READ` bytes are looked at.
- No text holds a token, a signature, a key, a secret, a user's name or an attribute; claims only if
  they are asked for. Control characters are escaped.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from ...models.check import Check
from ...reasons import Explanation, explain
from ..report import as_dicts, as_text, printable
from .alone import explain_alone
from .facts import counted, mend_of
from .judgement import Judgement
from .recognition import MAX_READ, NAMES, Recognised, recognise
from .tokens import claims_in

if TYPE_CHECKING:
    from ...config.config import AmplifyConfig
    from ...engine.engine import Engine

_UNAVAILABLE: Final = 503
_OF_OUTAGES: Final = re.compile(r" As a 503[:,].*?(?= (?:In|For) a WebSocket|\Z)")
STATUS: Final = {"signed_in": 0, "refused": 1, "unknown": 3}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A credential, explained. `str()` of it is the text of `amplify-mw inspect`."""

    recognised: str
    """The input's form: `token`, `authorization`, `cookie_value`, `cookies`, `request`, `reason`,
    `answer` (the body of one), `handover`, `text` (none of
    these) or `nothing`."""

    outcome: str
    """`signed_in`, `refused`, or `unknown`: it cannot be told."""

    reason: str
    """The one reason; see `amplify_mw.errors.Reason`. Empty if there is none."""

    status: int | None
    """The HTTP status of the answer; None if the app answers, or if it cannot be told."""

    cookie: str
    """The fate of the session's cookie: `kept`, `cleared`, or `none`: it is about none, or it
    depends on the status, which is not known."""

    why: str
    """Why it cannot be told; else empty."""

    checks: tuple[Check, ...]
    """Every check, in the library's order, beyond the first failure too."""

    notices: tuple[str, ...] = ()
    """Notices to an operator, as in the library's log."""

    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """The claims of each token, unverified, by its name. Empty unless they were asked for.

    JSON without an infinite number. A text that may hold a token is not shown.
    """

    @property
    def exit_status(self) -> int:
        """0: signed in. 1: refused. 3: it cannot be told."""
        return STATUS[self.outcome]

    @property
    def mend(self) -> str:
        """The change to make; empty if there is none."""
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
            lines += [_wrapped(word, text) for word, text in _told(explanation, self.status)]
        wrong = [check.name for check in self.checks if check.outcome == "wrong"]
        if self.outcome == "unknown" and wrong:
            lines.append(f"  but    already wrong: {', '.join(wrong)}")
        return "\n".join(lines)

    def _headline(self) -> str:
        status = "" if self.status is None else f" ({_answered(self.status, self.cookie)})"
        if self.outcome == "signed_in":
            return f"Signed in{status}."
        if self.outcome == "refused":
            return f"Refused: {self.reason}{status or self._either()}."
        reason = f" ({self.reason})" if self.reason else ""
        return f"Cannot be told{reason}: {printable(self.why)}."

    def _either(self) -> str:
        """The answers that a reason may have, if a line of the log does not tell which."""
        explanation = explain(self.reason) if self.recognised == "reason" else None
        answers = () if explanation is None else explanation.answers
        said = "; or ".join(_answered(answer.status, answer.cookie) for answer in answers)
        return f" ({said})" if said else ""


def _answered(status: int, cookie: str) -> str:
    return f"{status}, the cookie is {cookie}" if cookie != "none" else f"{status}"


def _told(explanation: Explanation, status: int | None) -> list[tuple[str, str]]:
    """The explanation, without the sentences about another status."""
    words: tuple[tuple[str, str], ...] = (
        ("means", explanation.meaning),
        ("cause", explanation.cause),
        ("mend ", explanation.mend),
    )
    if status is not None and status != _UNAVAILABLE:
        words = tuple((word, _OF_OUTAGES.sub("", text)) for word, text in words)
    return [(word, printable(text)) for word, text in words if text]


def _wrapped(word: str, text: str) -> str:
    """A paragraph in a column of its own."""
    start = f"  {word}  "
    return fill(text, 100, initial_indent=start, subsequent_indent=" " * len(start))


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
    """Why a request with this credential is signed in, or refused. It changes nothing.

    `data`: a token, a cookie's value, a `Cookie` or `Authorization` header, a request's head, a
    reason, or a line of the log with one; recognised by its content. `config`: the middleware's;
    None: judge by the bytes alone. `clock`: seconds since the epoch. `offline`: do not even fetch
    the pool's key set. `show_claims`: with the tokens' claims, personal data. `elsewhere`: this is
    not the app's own process, and cannot see the memory of that.

    It may wait for the key set and the store: on an event loop, use a thread. No bytes make it
    raise; a wrong configuration is a `ConfigurationError`.

    >>> print(inspect_credential(b"eyJhbGciOiJub25lIn0.e30.").reason)
    unsupported_algorithm
    """
    found = recognise(data)
    if found.kind == "reason":
        return _of_reason(found)
    if config is None:
        explained = explain_alone(found, (clock or time.time)())
    else:
        from .explaining import explain_all  # the middleware, and all kinds of session
        from .looking import Looking

        with closing(Looking(config, clock, offline=offline)) as looking:
            explained = explain_all(found, looking, elsewhere=elsewhere, with_tokens=show_claims)
    return _inspection(found, explained, show_claims=show_claims)


def _inspection(
    found: Recognised,
    explained: tuple[Judgement, list[Check], dict[str, bytes]],
    *,
    show_claims: bool,
) -> Inspection:
    judgement, checks, tokens = explained
    mend = mend_of(judgement.reason)
    return Inspection(
        recognised="handover" if judgement.read_as == "handover" else found.kind,
        outcome=judgement.word,
        reason=judgement.reason,
        status=judgement.status,
        cookie=judgement.cookie,
        why=judgement.why,
        checks=tuple(_unlike(mend, check) for check in (*_input_checks(found), *checks)),
        notices=judgement.notices,
        claims={name: claims_in(token) for name, token in tokens.items() if show_claims},
    )


def _unlike(mend: str, check: Check) -> Check:
    """A check without the mend of the one reason, to say that once."""
    return check._replace(mend="") if mend and check.mend == mend else check


def _of_reason(found: Recognised) -> Inspection:
    """The answer to a bare reason, or a line of the log."""
    reason, status = found.value.decode("ascii"), found.status
    explanation = explain(reason)
    known = () if explanation is None else explanation.answers
    answers = [answer for answer in known if status in (None, answer.status)]
    cookies = {answer.cookie for answer in answers}
    return Inspection(
        recognised="reason",
        outcome="refused",
        reason=reason,
        status=answers[0].status if len(answers) == 1 else status,
        cookie=cookies.pop() if len(cookies) == 1 else "none",
        why="",
        checks=(),
    )


def _input_checks(found: Recognised) -> list[Check]:
    if not found.is_cut:
        return []
    text = f"more than {counted(MAX_READ)}; the rest was not looked at"
    return [Check("input", "warning", text)]
