"""Several kinds of session, tried in order: to move from one to another, or to accept both.

Rules:
- Each kind reads its own cookies. The first that signs somebody in counts; a later kind is asked
  where an earlier one says no, or cannot tell now.
- Where nobody is signed in, what cannot be told now is the answer before what is invalid.
- An invalid cookie is cleared as its kind says; not while another kind reads it with success, or
  cannot tell.
- A session is started in the first kind, and the cookies of the others are cleared. Signing out
  ends what all of them hold. A refresh leaves the others' cookies alone.

What all kinds read together is one value: `0:` and the first's, a separator, `1:` and the second's.
What is to be written is a list of the same form: `0:` sets, `1-` clears.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ..cookie_policy import CookiePolicy
from ..cookies import DUPLICATE, UNREADABLE, CookieLine, SessionCookies
from ..effects import Flow, Unreachable
from ..errors import NetworkError
from ..models import SessionInfo
from .base import (
    DUPLICATE_COOKIE,
    Entrance,
    Finding,
    NewCookie,
    Postponed,
    Refused,
    SessionKind,
    SessionList,
    Sessions,
    SignedIn,
    Surroundings,
)
from .bundle import Bundle

_BETWEEN: Final = "\x1d"
_DUPLICATE: Final = b"!"  # in the place of the colon


class Part(NamedTuple):
    """What one kind has read: None for a cookie that was sent twice."""

    kind: int
    value: bytes | None

    def __repr__(self) -> str:
        return f"<Part {self.kind}>"


def _joined(parts: Sequence[Part]) -> bytes:
    texts = [
        b"%d%b" % (index, _DUPLICATE if value is None else b":" + value) for index, value in parts
    ]
    return _BETWEEN.encode().join(texts)


def _parts(value: bytes) -> list[Part]:
    found = value.split(_BETWEEN.encode()) if value else []
    return [Part(part[0] - ord("0"), part[2:] if part[1:2] == b":" else None) for part in found]


@dataclass(frozen=True)
class Several:
    """Kinds of session, tried in order: what `AmplifyConfig(session=[...])` makes of a list."""

    kinds: tuple[SessionKind, ...]

    @property
    def verify_with_cognito_every(self) -> float | None:
        """The shortest that any of them asks for: it holds for all."""
        asked = [kind.verify_with_cognito_every for kind in self.kinds]
        return min((every for every in asked if every is not None), default=None)

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> "SeveralCookies":
        """The cookies of all kinds."""
        return SeveralCookies([kind.cookies(policy, clients) for kind in self.kinds])

    def bind(self, around: Surroundings) -> "SeveralSessions":
        """The kinds at work."""
        clients = None if around.client_ids is None else tuple(sorted(around.client_ids))
        cookies = self.cookies(CookiePolicy(name=around.cookie_name), clients)
        return SeveralSessions([kind.bind(around) for kind in self.kinds], cookies)


class SeveralCookies:
    """The cookies of several kinds."""

    def __init__(self, kinds: Sequence[SessionCookies]) -> None:
        self._kinds = kinds
        self.name = kinds[0].name
        self.names = frozenset().union(*(kind.names for kind in kinds))
        self.max_bytes = kinds[0].max_bytes

    def read(self, header: bytes) -> bytes | None:
        """What the kinds read, together; None if that is nothing."""
        parts = []
        for index, kind in enumerate(self._kinds):
            value = kind.read(header)
            if value is DUPLICATE:
                parts.append(Part(index, None))
            elif isinstance(value, bytes):
                is_clean = _BETWEEN.encode() not in value
                parts.append(Part(index, value if is_clean else UNREADABLE))
        return _joined(parts) if parts else None

    def size(self, value: str) -> int:
        """How much of the first kind's `max_bytes` a new session takes."""
        step, _, inner = value.split(_BETWEEN)[0].partition(":")
        return self._kinds[0].size(inner) if step == "0" else 0

    def setting(
        self, value: str, max_age: int | None, sent: bytes | None, path: str = "/"
    ) -> list[CookieLine]:
        """The lines that carry out what is to be written."""
        lines: list[CookieLine] = []
        for step in value.split(_BETWEEN):
            kind = self._kinds[int(step[0])]
            if step[1] == "-":
                lines += kind.clearing(sent, path)
            else:
                lines += kind.setting(step[2:], max_age, sent, path)
        return lines

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that clear all kinds' cookies."""
        return list(
            dict.fromkeys(line for kind in self._kinds for line in kind.clearing(sent, path))
        )

    def share(self, one: int, other: int) -> bool:
        """Whether two kinds read the same cookies."""
        return bool(self._kinds[one].names & self._kinds[other].names)


class SeveralSessions:
    """Several kinds at work."""

    def __init__(self, kinds: Sequence[Sessions], cookies: SeveralCookies) -> None:
        self._kinds = kinds
        self._cookies = cookies
        self.nobody = kinds[0].nobody
        self.in_cookie = any(kind.in_cookie for kind in kinds)
        lists = [(index, kind.listed) for index, kind in enumerate(kinds) if kind.listed]
        self.listed = _List(*lists[0]) if lists else None

    def resolve(self, value: bytes, now: float) -> Flow[Finding]:
        """A flow: what the first kind finds that signs somebody in; or what hinders."""
        parts = _parts(value)
        refusals: list[tuple[int, Refused]] = []
        for part in parts:
            finding = yield from self._resolve(part, now)
            verdict = finding.verdict
            if isinstance(verdict, SignedIn):
                known = _known(parts, part.kind, verdict)
                return Finding(known, self._steps(part.kind, finding.cookie, refusals, parts))
            refusals.append((part.kind, verdict))
        if not refusals:
            return Finding(self.nobody)
        later = [refused for _, refused in refusals if issubclass(refused.error, NetworkError)]
        first = (later or [refused for _, refused in refusals])[0]
        if all(refused.clears for _, refused in refusals):
            return Finding(first)
        return Finding(replace(first, clears=False), self._steps(None, None, refusals, parts))

    def _resolve(self, part: Part, now: float) -> Flow[Finding]:
        if part.value is None:
            return Finding(DUPLICATE_COOKIE)
        return (yield from self._kinds[part.kind].resolve(part.value, now))

    def _steps(
        self,
        index: int | None,
        cookie: NewCookie | None,
        refusals: list[tuple[int, Refused]],
        parts: list[Part],
    ) -> NewCookie | None:
        """What is to be written: a kind's new cookie; nothing of the invalid ones beside it."""
        cleared = {other for other, refused in refusals if refused.clears}
        kept = {part.kind for part in parts} - cleared
        steps = [
            f"{other}-"
            for other in sorted(cleared)
            if not any(self._cookies.share(other, one) for one in kept)
        ]
        if cookie is not None:
            steps.insert(0, f"{index}:{cookie.value}")
        return NewCookie(_BETWEEN.join(steps), cookie and cookie.max_age) if steps else None

    def start(self, entrance: Entrance, now: float) -> Flow[Finding]:
        """A flow: a new session of the first kind. Raises `Unreachable`."""
        finding = yield from self._kinds[0].start(entrance, now)
        verdict, cookie = finding.verdict, finding.cookie
        assert isinstance(verdict, SignedIn)  # noqa: S101  # so do all kinds
        assert cookie is not None  # noqa: S101
        others = [
            f"{other}-" for other in range(1, len(self._kinds)) if not self._cookies.share(0, other)
        ]
        value = _BETWEEN.join([f"0:{cookie.value}", *others])
        return Finding(_known([Part(0, b"")], 0, verdict), NewCookie(value, cookie.max_age))

    def contents(self, value: bytes) -> list[Bundle]:
        """What the cookies by themselves hold."""
        return [
            bundle
            for index, inner in _parts(value)
            if inner is not None
            for bundle in self._kinds[index].contents(inner)
        ]

    def end(self, value: bytes, now: float) -> Flow[list[Bundle]]:
        """A flow: end what all kinds hold; what it was made of. `Unreachable` is raised last."""
        bundles: list[Bundle] = []
        failure = None
        for index, inner in _parts(value):
            if inner is None:
                continue
            try:
                bundles += yield from self._kinds[index].end(inner, now)
            except Unreachable as error:
                failure = error
        if failure is not None:
            raise failure
        return bundles

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Finding | Postponed | None]:
        """A flow: the session with fresh tokens. Raises `Unreachable`."""
        parts = _parts(verdict.cookie)
        index = verdict.kind
        (inner,) = [part.value for part in parts if part.kind == index]
        outcome = yield from self._kinds[index].refresh(replace(verdict, cookie=inner or b""), now)
        if not isinstance(outcome, Finding):
            return outcome
        found = outcome.verdict
        if isinstance(found, SignedIn):
            cookie = outcome.cookie and outcome.cookie._replace(
                value=f"{index}:{outcome.cookie.value}"
            )
            return Finding(_known(parts, index, found), cookie)
        if not found.clears:
            return outcome
        return Finding(replace(found, clears=False), NewCookie(f"{index}-"))


def _known(parts: Sequence[Part], index: int, verdict: SignedIn) -> SignedIn:
    """A kind's verdict, known by all that was sent."""
    present = [Part(index, verdict.cookie) if part.kind == index else part for part in parts]
    return replace(verdict, cookie=_joined(present), kind=index)


class _List:
    """The list that one of the kinds keeps."""

    def __init__(self, index: int, sessions: SessionList) -> None:
        self._index = index
        self._sessions = sessions

    def of_user(self, user: str, current: SignedIn | None) -> Flow[dict[bytes, SessionInfo]]:
        """A flow: a user's sessions by their keys, the one seen last first."""
        own = None
        for index, value in _parts(current.cookie) if current is not None else ():
            if current is not None and index == self._index and value is not None:
                own = replace(current, cookie=value)
        return (yield from self._sessions.of_user(user, own))

    def end_by_key(self, key: bytes) -> Flow[bool]:
        """A flow: end a session; False if there is none."""
        return (yield from self._sessions.end_by_key(key))
