"""Several kinds of session, tried in order: to accept them all, or to move from one to another.

Rules:
- Each kind reads its own cookies. The first kind to sign a user in wins. A later kind is tried only
  if the earlier ones refuse or are unavailable.
- If no kind signs a user in, "unavailable" is the answer before "invalid".
- If an earlier kind is unavailable, use a later kind's user until the earlier one can be retried.
- If a later kind's cookies are another user's, nobody is signed in: scripts in the page might show
  one user while the server acts for the other. All cookies are kept. A sign-in replaces them, a
  sign-out ends all sessions. (A later kind whose cookies name the same user is not resolved or
  refreshed.)
- Resolving a request clears a kind's cookies only if they were sent and the kind says so. They are
  kept if another kind reads the same cookies, and either accepts them or is unavailable.
- A sign-in starts a session of the first kind and clears the cookies of the others. A sign-out ends
  the sessions of all kinds. A refresh leaves the other kinds' cookies alone.

The cookies of a request read as a tuple of `Part`s, one for each kind whose cookies were sent. A
write is a tuple of `Change`s, one for each kind to set or to clear. Both name a kind by its index.

A verdict is cached twice: under the whole tuple of parts, for requests; and under the `Part` of its
own kind, for this kind. (The two keys never equal each other.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from ..cognito.keys import KeysUnavailable
from ..effects import Cache, Flow, Remember, Unreachable
from ..errors import NetworkError
from ..models.session import SessionInfo
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import DUPLICATE, CookieLine, SessionCookies
from .base import (
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
    DIFFERENT_USERS,
    DUPLICATE_COOKIE,
    STORE_UNAVAILABLE,
    Change,
    Part,
    Refused,
    Resolution,
    SignedIn,
    user_key,
)

MAX_KINDS: Final = 10  # each is one more look at the cookies of every request

Parts: TypeAlias = tuple[Part, ...]
Changes: TypeAlias = tuple[Change, ...]


@dataclass(frozen=True)
class Several:
    """The kinds of `AmplifyConfig(session=[...])`, in their order."""

    kinds: tuple[SessionKind, ...]

    @property
    def verify_with_cognito_every(self) -> float | None:
        """The shortest interval of any kind: it applies to all."""
        intervals = [kind.verify_with_cognito_every for kind in self.kinds]
        return min((seconds for seconds in intervals if seconds is not None), default=None)

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> "SeveralCookies":
        """The cookies of all kinds."""
        return SeveralCookies([kind.cookies(policy, clients) for kind in self.kinds])

    def bind(self, around: Dependencies) -> "SeveralSessions":
        """The kinds at work, each with its own view of the cached verdicts."""
        clients = None if around.client_ids is None else tuple(sorted(around.client_ids))
        cookies = self.cookies(CookiePolicy(name=around.cookie_name), clients)
        kinds = []
        for index, kind in enumerate(self.kinds):
            verdicts: Any = _OwnVerdicts(around.verdicts, index)  # a kind only reads them
            kinds.append(kind.bind(around._replace(verdicts=verdicts)))
        return SeveralSessions(kinds, cookies, around.verdicts)


class _OwnVerdicts:
    """The cached verdicts of one kind, by the values of its own cookies."""

    def __init__(self, verdicts: Cache, kind: int) -> None:
        self._verdicts = verdicts
        self._kind = kind

    def get(self, value: bytes) -> SignedIn | None:
        """The verdict, or None."""
        return self._verdicts.get(Part(self._kind, value))


class SeveralCookies:
    """The cookies of several kinds."""

    def __init__(self, kinds: Sequence[SessionCookies]) -> None:
        self._kinds = kinds
        self.name: str = kinds[0].name
        self.names: frozenset[str] = frozenset().union(*(kind.names for kind in kinds))
        self.scopes: frozenset[tuple[str | None, str]] = frozenset().union(
            *(kind.scopes for kind in kinds)
        )
        self.is_strict: bool = any(kind.is_strict for kind in kinds)
        self.max_bytes: int = kinds[0].max_bytes

    def read(self, header: bytes) -> Parts | None:
        """The parts of the kinds whose cookies were sent; None if there are none."""
        parts = []
        for index, kind in enumerate(self._kinds):
            value = kind.read(header)
            if value is not None:
                parts.append(Part(index, None if value is DUPLICATE else value))
        return tuple(parts) or None

    def ambiguous(self, sent: bytes) -> list[Parts]:
        """The values of every kind whose cookies have several, each by itself."""
        return [
            (Part(index, value),)
            for index, kind in enumerate(self._kinds)
            for value in kind.ambiguous(sent)
        ]

    def size(self, new: Changes) -> int:
        """Bytes of a new session; the limit is the first kind's `max_bytes`."""
        kind, cookie = new[0]
        return self._kinds[0].size(cookie) if kind == 0 and cookie is not None else 0

    def setting(self, new: Changes, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines for all changes. If one kind sets a cookie, no other kind clears it."""
        lines: list[CookieLine] = []
        cleared: list[CookieLine] = []
        for kind, cookie in new:
            cookies = self._kinds[kind]
            if cookie is None:
                cleared += cookies.clearing(sent, path)
            else:
                lines += cookies.setting(cookie, sent, path)
        written = {line.name for line in lines}
        return lines + [line for line in dict.fromkeys(cleared) if line.name not in written]

    def merged(self, earlier: Changes, later: Changes) -> Changes:
        """The changes of both; if both change a kind, the later counts."""
        return tuple({change.kind: change for change in (*earlier, *later)}.values())

    def complaint(self, sent: bytes) -> str | None:
        """The first complaint of any kind."""
        complaints = (kind.complaint(sent) for kind in self._kinds)
        return next(filter(None, complaints), None)

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


_Found: TypeAlias = list[tuple[int, Resolution]]  # by the index of the kind
_Way: TypeAlias = Callable[[Sessions, Any, float], Flow[Resolution]]


def _resolving(kind: Sessions, value: Any, now: float) -> Flow[Resolution]:
    return kind.resolve(value, now)


def _looking(kind: Sessions, value: Any, now: float) -> Flow[Resolution]:
    return kind.look(value, now)


class SeveralSessions:
    """Several kinds at work."""

    def __init__(self, kinds: Sequence[Sessions], cookies: SeveralCookies, verdicts: Cache) -> None:
        self._kinds = kinds
        self._verdicts = verdicts
        self._cookies = cookies
        self.nobody: Refused = kinds[0].nobody
        self.in_cookie: bool = any(kind.in_cookie for kind in kinds)
        lists = [(index, kind.listed) for index, kind in enumerate(kinds) if kind.listed]
        self.listed: SessionList | None = _Lists(lists) if lists else None

    def at_once(self, value: Parts, now: float) -> None:
        """None: each kind is asked in its turn."""

    def resolve(self, value: Parts, now: float) -> Flow[Resolution]:
        """The verdict of the first kind to sign a user in; or else one refusal for all kinds."""
        return (yield from self._find(value, now, _resolving))

    def look(self, value: Parts, now: float) -> Flow[Resolution]:
        """The same, by the `look` of each kind."""
        return (yield from self._find(value, now, _looking))

    def _find(self, value: Parts, now: float, by: _Way) -> Flow[Resolution]:
        """The outcome of the kinds. `by`: how each is asked."""
        found: _Found = []
        generation = self._verdicts.generation
        for part in value:
            resolution = yield from self._resolve(part, now, by)
            found.append((part.kind, resolution))
            verdict = resolution.verdict
            if isinstance(verdict, SignedIn):
                key = Part(part.kind, verdict.cookie)
                if verdict.held is not None and self._verdicts.get(key) is not verdict:
                    yield Remember(self._verdicts, key, verdict, generation)
                found += yield from self._others(verdict, value[len(found) :], now, by)
                return self._accepted(_among(value, part.kind, verdict), found, now)
        return self._refused(found, value)

    def _accepted(self, verdict: SignedIn, found: _Found, now: float) -> Resolution:
        """The outcome if one kind has signed a user in."""
        changes = self._changes(found, verdict.parts)
        verdicts = [resolution.verdict for _, resolution in found]
        if sum(isinstance(one, SignedIn) for one in verdicts) > 1:
            return Resolution(DIFFERENT_USERS._replace(name=self.nobody.name), changes)
        refusals = [one for one in verdicts if isinstance(one, Refused)]
        return Resolution(_until_retry(verdict, refusals, now), changes)

    def _refused(self, found: _Found, parts: Parts) -> Resolution:
        """The outcome if no kind has signed a user in."""
        refusals = [one.verdict for _, one in found if isinstance(one.verdict, Refused)]
        if not refusals:
            return Resolution(self.nobody)
        first = (_unavailable(refusals) or refusals)[0]
        asks_again = any(refused.asks_again for refused in refusals)
        answer = first._replace(clears=False, asks_again=asks_again)
        return Resolution(answer, self._changes(found, parts))

    def _others(self, verdict: SignedIn, parts: Parts, now: float, by: _Way) -> Flow[_Found]:
        """The outcomes of the later kinds whose cookies name another user than `verdict`."""
        user = user_key(verdict.pool, verdict.user.user_id)
        found: _Found = []
        for part in parts:
            if part.value is None:
                continue
            try:
                named = yield from self._kinds[part.kind].whose(part.value, now)
            except (KeysUnavailable, Unreachable):
                found.append((part.kind, Resolution(STORE_UNAVAILABLE)))
                continue
            if named not in (None, user):
                found.append((part.kind, (yield from self._resolve(part, now, by))))
        return found

    def whose(self, value: Parts, now: float) -> Flow[str | None]:
        """The user of the first kind whose cookies name one."""
        for part in value:
            if part.value is not None:
                named = yield from self._kinds[part.kind].whose(part.value, now)
                if named is not None:
                    return named
        return None

    def _resolve(self, part: Part, now: float, by: _Way) -> Flow[Resolution]:
        if part.value is None:
            return Resolution(DUPLICATE_COOKIE)
        return (yield from by(self._kinds[part.kind], part.value, now))

    def _changes(self, found: _Found, parts: Parts) -> Changes | None:
        """Set the kinds' new cookies; clear the invalid ones, unless another kind needs them."""
        invalid = {kind for kind, resolution in found if _clears(resolution)}
        kept = {part.kind for part in parts} - invalid
        changes = [Change(kind, one.cookie) for kind, one in found if one.cookie is not None]
        changes += [
            Change(kind, None)
            for kind in sorted(invalid)
            if not any(self._cookies.share(kind, other) for other in kept)
        ]
        return tuple(changes) or None

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session of the first kind. Raises `Unreachable`."""
        verdict, cookie = yield from self._kinds[0].start(new_session, now)
        assert isinstance(verdict, SignedIn)  # noqa: S101  # so do all kinds
        assert cookie is not None  # noqa: S101
        others = [Change(kind, None) for kind in range(1, len(self._kinds))]
        return Resolution(_among((Part(0, b""),), 0, verdict), (Change(0, cookie), *others))

    def contents(self, value: Parts) -> list[Bundle]:
        """The bundles in the cookies themselves."""
        return [
            bundle
            for kind, inner in value
            if inner is not None
            for bundle in self._kinds[kind].contents(inner)
        ]

    def end(
        self, value: Parts, now: float, keep: Parts = (), *, asks_again: bool = False
    ) -> Flow[list[Bundle]]:
        """End the sessions of all kinds, and return their bundles.

        Raises `PartlyEnded` once all were tried, if a kind could not end its own.
        """
        bundles: list[Bundle] = []
        failure = None
        kept = {part.kind: part.value or b"" for part in keep}
        for kind, inner in value:
            if inner is None:
                continue
            try:
                bundles += yield from self._kinds[kind].end(
                    inner, now, kept.get(kind, b""), asks_again=asks_again
                )
            except Unreachable as error:
                failure = error
        if failure is not None:
            raise PartlyEnded(str(failure), bundles) from failure
        return bundles

    def unless_ended(self, cookie: Changes, now: float) -> Flow[Changes | None]:
        """The changes, without the new cookies of sessions ended meanwhile.

        If one has ended, nothing is cleared either: a newer sign-in may have set these cookies.
        """
        kept = []
        for change in cookie:
            kind, new = change
            if new is None or (yield from self._kinds[kind].unless_ended(new, now)):
                kept.append(change)
        if len(kept) < len(cookie):
            kept = [change for change in kept if change.new is not None]
        return tuple(kept) or None

    def own(self, verdict: SignedIn) -> tuple[Parts, Changes]:
        """The value of the verdict's own kind alone, and the change that clears its cookies."""
        own = tuple(part for part in verdict.parts if part.kind == verdict.kind)
        return own, (Change(verdict.kind, None),)

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The verdict's session with new tokens. Raises `Unreachable`."""
        kind = verdict.kind
        outcome = yield from self._kinds[kind].refresh(verdict, now)
        if isinstance(outcome, Postponed) and outcome.cookie is not None:
            return outcome._replace(cookie=(Change(kind, outcome.cookie),))
        if not isinstance(outcome, Resolution):
            return outcome
        found, cookie = outcome
        if isinstance(found, Refused) and found.clears:
            return Resolution(found._replace(clears=False), (Change(kind, None),))
        changes = None if cookie is None else (Change(kind, cookie),)
        if isinstance(found, SignedIn):
            found = _among(verdict.parts, kind, found)
        return Resolution(found, changes)


def _clears(resolution: Resolution) -> bool:
    return isinstance(resolution.verdict, Refused) and resolution.verdict.clears


def _unavailable(refusals: list[Refused]) -> list[Refused]:
    """The refusals because a cookie cannot be checked now."""
    return [refused for refused in refusals if issubclass(refused.error, NetworkError)]


def _until_retry(verdict: SignedIn, refusals: list[Refused], now: float) -> SignedIn:
    """The verdict, fresh no longer than until the unavailable kinds can be retried."""
    waits = [refused.retry_after or 0.0 for refused in _unavailable(refusals)]
    if not waits:
        return verdict
    return replace(verdict, fresh_until=min(verdict.fresh_until, now + min(waits)))


def _among(parts: Parts, kind: int, verdict: SignedIn) -> SignedIn:
    """The verdict of one kind, with the parts of all: its own part has the verdict's value."""
    present = tuple(Part(kind, verdict.cookie) if part.kind == kind else part for part in parts)
    return replace(verdict, kind=kind, parts=present)


class _Lists:
    """The session lists of several kinds, as one list."""

    def __init__(self, lists: list[tuple[int, SessionList]]) -> None:
        self._lists = lists

    def of_user(self, user: str, current: SignedIn | None) -> Flow[dict[bytes, SessionInfo]]:
        """A user's sessions by their keys, the one seen last first."""
        own: dict[int, SignedIn] = {}
        if current is not None and user == user_key(current.pool, current.user.user_id):
            own = {
                kind: replace(current, cookie=value)
                for kind, value in current.parts
                if value is not None
            }
        found: dict[bytes, SessionInfo] = {}
        for kind, sessions in self._lists:
            found |= yield from sessions.of_user(user, own.get(kind))
        latest = sorted(found.items(), key=lambda pair: pair[1].seen_at, reverse=True)
        return dict(latest)

    def end_by_key(self, key: bytes, now: float) -> Flow[bool]:
        """End a session from elsewhere; False if there is none."""
        ended = False
        for _, sessions in self._lists:
            ended = (yield from sessions.end_by_key(key, now)) or ended
        return ended

    def end_of_user(self, user: str, now: float) -> Flow[None]:
        """End all of a user's sessions from elsewhere, even if one list fails."""
        failure: Unreachable | None = None
        for _, sessions in self._lists:
            try:
                yield from sessions.end_of_user(user, now)
            except Unreachable as error:
                failure = error
        if failure is not None:
            raise failure
