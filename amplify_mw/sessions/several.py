"""Several kinds of session, tried in order: to move from one to another, or to accept both.

Rules:
- Each kind reads its own cookies. The first that signs somebody in counts; a later kind is asked
  where an earlier one says no, or cannot tell now.
- Where nobody is signed in, what cannot be told now is the answer before what is invalid.
- Where an earlier kind cannot tell now, a later one's user is believed until it is asked again.
- If a later kind signs another user in, nobody is signed in: a page's script may show the one while
  the server acts for the other. All cookies are kept. A sign-in replaces them, a sign-out ends all.
  (A later kind is only looked at, and not refreshed, as long as its cookies name the same user.)
- An invalid cookie is cleared as its kind says; not while another kind reads it with success, or
  cannot tell. What was not sent is not cleared.
- A session is started in the first kind, and the cookies of the others are cleared. Signing out
  ends what all of them hold. A refresh leaves the others' cookies alone.

What all kinds read together is one value: `0:` and the first's, a separator, `1:` and the second's.
What is to be written is a list of such steps: `0:600:` and a value sets for so many seconds (`0::`:
for the policy's own), `1-` clears. The index is one digit: there are at most `MAX_KINDS`.

A verdict is remembered under all that was read, and once more for its kind: under that kind's part
of it and a separator, which nothing that is read ends with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from ..cognito.keys import KeysUnavailable
from ..effects import Cache, Flow, Remember, Unreachable
from ..errors import NetworkError
from ..models import SessionInfo
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import DUPLICATE, UNREADABLE, CookieLine, SessionCookies
from .base import (
    DIFFERENT_USERS,
    Dependencies,
    NewSession,
    PartlyEnded,
    Postponed,
    SessionKind,
    SessionList,
    Sessions,
)
from .bundle import Bundle
from .verdicts import (
    DUPLICATE_COOKIE,
    STORE_UNAVAILABLE,
    NewCookie,
    Refused,
    Resolution,
    SignedIn,
    user_key,
)

MAX_KINDS: Final = 10
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

    def bind(self, around: Dependencies) -> "SeveralSessions":
        """The kinds at work."""
        clients = None if around.client_ids is None else tuple(sorted(around.client_ids))
        cookies = self.cookies(CookiePolicy(name=around.cookie_name), clients)
        kinds = []
        for index, kind in enumerate(self.kinds):
            verdicts: Any = _OwnVerdicts(around.verdicts, index)
            kinds.append(kind.bind(around._replace(verdicts=verdicts)))
        return SeveralSessions(kinds, cookies, around.verdicts)


def _own_key(index: int, value: bytes) -> bytes:
    return _joined([Part(index, value)]) + _BETWEEN.encode()


class _OwnVerdicts:
    """What is believed of one kind's sessions, by their values as that kind knows them."""

    def __init__(self, verdicts: Cache, index: int) -> None:
        self._verdicts = verdicts
        self._index = index

    def get(self, value: bytes) -> SignedIn | None:
        """The verdict, or None."""
        return self._verdicts.get(_own_key(self._index, value))


class SeveralCookies:
    """The cookies of several kinds."""

    def __init__(self, kinds: Sequence[SessionCookies]) -> None:
        self._kinds = kinds
        self.name = kinds[0].name
        self.names = frozenset().union(*(kind.names for kind in kinds))
        self.scopes = frozenset().union(*(kind.scopes for kind in kinds))
        self.is_strict = any(kind.is_strict for kind in kinds)
        self.max_bytes = kinds[0].max_bytes

    def read(self, header: bytes) -> bytes | None:
        """What the kinds read, together; None if that is nothing.

        A value with the separator in it, a control character that no browser sends, is unreadable.
        """
        parts = []
        for index, kind in enumerate(self._kinds):
            value = kind.read(header)
            if value is DUPLICATE:
                parts.append(Part(index, None))
            elif isinstance(value, bytes):
                is_clean = _BETWEEN.encode() not in value
                parts.append(Part(index, value if is_clean else UNREADABLE))
        return _joined(parts) if parts else None

    def ambiguous(self, sent: bytes) -> list[bytes]:
        """The values of all kinds' cookies that have several, each alone."""
        return [
            _joined([Part(index, value)])
            for index, kind in enumerate(self._kinds)
            for value in kind.ambiguous(sent)
            if _BETWEEN.encode() not in value
        ]

    def size(self, value: str) -> int:
        """How much of the first kind's `max_bytes` a new session takes."""
        step = value.split(_BETWEEN)[0]
        return self._kinds[0].size(step.split(":", 2)[2]) if step.startswith("0:") else 0

    def setting(
        self,
        value: str,
        max_age: int | None,  # noqa: ARG002  # each step has its own
        sent: bytes | None,
        path: str = "/",
    ) -> list[CookieLine]:
        """The lines that carry out what is to be written."""
        lines: list[CookieLine] = []
        stale: list[CookieLine] = []
        for step in value.split(_BETWEEN):
            kind, cookie = self._kinds[int(step[0])], _new_cookie(step)
            if cookie is None:
                stale += kind.clearing(sent, path)
            else:
                lines += kind.setting(*cookie, sent, path)
        written = {line.name for line in lines}
        return lines + [line for line in dict.fromkeys(stale) if line.name not in written]

    def merged(self, earlier: str, later: str) -> str:
        """What is to be written after both: of each kind, what came last."""
        steps = {step[0]: step for value in (earlier, later) for step in value.split(_BETWEEN)}
        return _BETWEEN.join(steps.values())

    def complaint(self, sent: bytes) -> str | None:
        """What one of the kinds has to say."""
        said = (kind.complaint(sent) for kind in self._kinds)
        return next(filter(None, said), None)

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that clear all kinds' cookies."""
        return list(
            dict.fromkeys(line for kind in self._kinds for line in kind.clearing(sent, path))
        )

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines of all kinds."""
        found = (kind.elsewhere(sent, path, domains, anywhere=anywhere) for kind in self._kinds)
        return list(dict.fromkeys(line for lines in found for line in lines))

    def share(self, one: int, other: int) -> bool:
        """Whether two kinds read the same cookies."""
        return bool(self._kinds[one].names & self._kinds[other].names)


class SeveralSessions:
    """Several kinds at work."""

    def __init__(self, kinds: Sequence[Sessions], cookies: SeveralCookies, verdicts: Cache) -> None:
        self._kinds = kinds
        self._verdicts = verdicts
        self._cookies = cookies
        self.nobody = kinds[0].nobody
        self.in_cookie = any(kind.in_cookie for kind in kinds)
        lists = [(index, kind.listed) for index, kind in enumerate(kinds) if kind.listed]
        self.listed = _Lists(lists) if lists else None

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """A flow: what the first kind finds that signs somebody in; or what hinders."""
        parts = _parts(value)
        resolutions: list[tuple[int, Resolution]] = []
        refusals: list[Refused] = []
        generation = self._verdicts.generation
        for part in parts:
            resolution = yield from self._resolve(part, now)
            resolutions.append((part.kind, resolution))
            verdict = resolution.verdict
            if isinstance(verdict, SignedIn):
                key = _own_key(part.kind, verdict.cookie)
                if verdict.held is not None and self._verdicts.get(key) is not verdict:
                    yield Remember(self._verdicts, key, verdict, generation)
                others = yield from self._others(verdict, parts[len(resolutions) :], now)
                steps = self._steps([*resolutions, *others], parts)
                if any(isinstance(other.verdict, SignedIn) for _, other in others):
                    return Resolution(DIFFERENT_USERS._replace(name=self.nobody.name), steps)
                refusals += [
                    other.verdict for _, other in others if isinstance(other.verdict, Refused)
                ]
                return Resolution(_doubted(_known(parts, part.kind, verdict), refusals, now), steps)
            refusals.append(verdict)
        if not refusals:
            return Resolution(self.nobody)
        first = (_not_now(refusals) or refusals)[0]
        again = any(refused.asks_again for refused in refusals)
        said = first._replace(clears=False, asks_again=again)
        return Resolution(said, self._steps(resolutions, parts))

    def _others(
        self, verdict: SignedIn, parts: list[Part], now: float
    ) -> Flow[list[tuple[int, Resolution]]]:
        """A flow: what later kinds find whose cookies name another user than a verdict."""
        user = user_key(verdict.pool, verdict.user.user_id)
        found: list[tuple[int, Resolution]] = []
        for part in parts:
            if part.value is None:
                continue
            try:
                named = yield from self._kinds[part.kind].whose(part.value, now)
            except (KeysUnavailable, Unreachable):
                found.append((part.kind, Resolution(STORE_UNAVAILABLE)))
                continue
            if named not in (None, user):
                found.append((part.kind, (yield from self._resolve(part, now))))
        return found

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """A flow: whom the first kind's cookies name that name somebody."""
        for part in _parts(value):
            if part.value is not None:
                named = yield from self._kinds[part.kind].whose(part.value, now)
                if named is not None:
                    return named
        return None

    def _resolve(self, part: Part, now: float) -> Flow[Resolution]:
        if part.value is None:
            return Resolution(DUPLICATE_COOKIE)
        return (yield from self._kinds[part.kind].resolve(part.value, now))

    def _steps(
        self, resolutions: list[tuple[int, Resolution]], parts: list[Part]
    ) -> NewCookie | None:
        """What is to be written: the kinds' new cookies; nothing of the invalid ones."""
        cleared = {index for index, resolution in resolutions if _clears(resolution)}
        kept = {part.kind for part in parts} - cleared
        steps = [_setting(index, found.cookie) for index, found in resolutions if found.cookie]
        steps += [
            f"{index}-"
            for index in sorted(cleared)
            if not any(self._cookies.share(index, one) for one in kept)
        ]
        return NewCookie(_BETWEEN.join(steps)) if steps else None

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A flow: a new session of the first kind. Raises `Unreachable`."""
        resolution = yield from self._kinds[0].start(new_session, now)
        verdict, cookie = resolution.verdict, resolution.cookie
        assert isinstance(verdict, SignedIn)  # noqa: S101  # so do all kinds
        assert cookie is not None  # noqa: S101
        others = [f"{other}-" for other in range(1, len(self._kinds))]
        value = _BETWEEN.join([_setting(0, cookie), *others])
        return Resolution(_known([Part(0, b"")], 0, verdict), NewCookie(value))

    def contents(self, value: bytes) -> list[Bundle]:
        """What the cookies by themselves hold."""
        return [
            bundle
            for index, inner in _parts(value)
            if inner is not None
            for bundle in self._kinds[index].contents(inner)
        ]

    def end(
        self, value: bytes, now: float, keep: bytes = b"", *, asks_again: bool = False
    ) -> Flow[list[Bundle]]:
        """A flow: end what all kinds hold; what it was made of. `PartlyEnded` is raised last."""
        bundles: list[Bundle] = []
        failure = None
        kept = {part.kind: part.value or b"" for part in _parts(keep)}
        for index, inner in _parts(value):
            if inner is None:
                continue
            try:
                bundles += yield from self._kinds[index].end(
                    inner, now, kept.get(index, b""), asks_again=asks_again
                )
            except Unreachable as error:
                failure = error
        if failure is not None:
            raise PartlyEnded(str(failure), bundles) from failure
        return bundles

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:
        """A flow: what is to be written of those kinds whose session has not ended since.

        If one has, nothing is cleared: the cookies may be a newer sign-in's by now.
        """
        steps = cookie.value.split(_BETWEEN)
        kept = []
        for step in steps:
            index, inner = int(step[0]), _new_cookie(step)
            if inner is None or (yield from self._kinds[index].unless_ended(inner, now)):
                kept.append(step)
        if len(kept) < len(steps):
            kept = [step for step in kept if _new_cookie(step) is not None]
        return NewCookie(_BETWEEN.join(kept)) if kept else None

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of a verdict's session alone, and what clears its cookies."""
        own = [part for part in _parts(verdict.cookie) if part.kind == verdict.kind]
        return _joined(own), NewCookie(f"{verdict.kind}-")

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """A flow: the session with fresh tokens. Raises `Unreachable`."""
        parts = _parts(verdict.cookie)
        index = verdict.kind
        (inner,) = [part.value for part in parts if part.kind == index]
        outcome = yield from self._kinds[index].refresh(replace(verdict, cookie=inner or b""), now)
        if not isinstance(outcome, Resolution):
            return outcome
        found = outcome.verdict
        if isinstance(found, Refused) and found.clears:
            return Resolution(found._replace(clears=False), NewCookie(f"{index}-"))
        cookie = outcome.cookie and NewCookie(_setting(index, outcome.cookie))
        if isinstance(found, Refused):
            return Resolution(found, cookie)
        return Resolution(_known(parts, index, found), cookie)


def _setting(index: int, cookie: NewCookie) -> str:
    """The step that sets a kind's new cookie."""
    return f"{index}:{'' if cookie.max_age is None else cookie.max_age}:{cookie.value}"


def _new_cookie(step: str) -> NewCookie | None:
    """The new cookie that a step sets; None if it clears."""
    if step[1] == "-":
        return None
    age, _, value = step[2:].partition(":")
    return NewCookie(value, int(age) if age else None)


def _clears(resolution: Resolution) -> bool:
    return isinstance(resolution.verdict, Refused) and resolution.verdict.clears


def _not_now(refusals: list[Refused]) -> list[Refused]:
    """Those that say that it cannot be told now."""
    return [refused for refused in refusals if issubclass(refused.error, NetworkError)]


def _doubted(verdict: SignedIn, refusals: list[Refused], now: float) -> SignedIn:
    """A verdict, until those kinds are to be asked again that cannot tell now."""
    waits = [refused.retry_after or 0.0 for refused in _not_now(refusals)]
    if not waits:
        return verdict
    return replace(verdict, fresh_until=min(verdict.fresh_until, now + min(waits)))


def _known(parts: Sequence[Part], index: int, verdict: SignedIn) -> SignedIn:
    """A kind's verdict, known by all that was sent."""
    present = [Part(index, verdict.cookie) if part.kind == index else part for part in parts]
    return replace(verdict, cookie=_joined(present), kind=index)


class _Lists:
    """The lists that some of the kinds keep, as one."""

    def __init__(self, lists: list[tuple[int, SessionList]]) -> None:
        self._lists = lists

    def of_user(self, user: str, current: SignedIn | None) -> Flow[dict[bytes, SessionInfo]]:
        """A flow: a user's sessions by their keys, the one seen last first."""
        own: dict[int, SignedIn] = {}
        if current is not None and user == user_key(current.pool, current.user.user_id):
            own = {
                index: replace(current, cookie=value)
                for index, value in _parts(current.cookie)
                if value is not None
            }
        found: dict[bytes, SessionInfo] = {}
        for index, sessions in self._lists:
            found |= yield from sessions.of_user(user, own.get(index))
        latest = sorted(found.items(), key=lambda pair: pair[1].seen_at, reverse=True)
        return dict(latest)

    def end_by_key(self, key: bytes, until: float, now: float) -> Flow[bool]:
        """A flow: end a session from elsewhere; False if there is none."""
        ended = False
        for _, sessions in self._lists:
            ended = (yield from sessions.end_by_key(key, until, now)) or ended
        return ended
