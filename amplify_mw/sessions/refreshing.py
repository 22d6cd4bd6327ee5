"""New tokens, once, whoever asks for them.

Rules:
- Within a process there is one flight for a session; among processes there is a lease on its
  record, whose fence becomes the version of what its holder writes. Who comes later finds the newer
  bundle there, and a slow holder's never takes the place of a newer one.
- Whoever ends a session wins: what cannot be kept any more is revoked.
- Only Cognito's word ends a session. Before a refresh token that was used up does, the lease is
  waited out: somebody else may be about to write the newer one.
- New tokens must name the user, the pool and the client of those that they replace. They are kept
  before anything else is made of them: a refresh token that was rotated is the only one there is.
- A refresh that brought nothing better is not asked for again for a while, unless the app insists.
  So it is with a clock that is far ahead (new tokens are as due as those before), and with tokens
  that the session does not take: that user alone hears of it.
- No pause outlasts a clock that is set back.
"""

import math
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from ..cognito.api import UNUSABLE, Failure, Refreshed
from ..cognito.grants import Grants
from ..cognito.verifier import InvalidToken, VerifiedToken, Verifier, agree
from ..effects import Draw, Flight, Flow, Join, Notice, Pause, Unreachable
from ..errors import NetworkError, NotAuthorizedException, SessionTooLargeError
from .base import Postponed
from .bundle import Bundle
from .client import StoreClient
from .codec import LoadedSession, RecordCodec, newest
from .lifetimes import Lifetimes
from .record import Record, asks_again, has_ended
from .store import Store
from .token import refused
from .verdicts import STORE_UNAVAILABLE, Refused

IV: Final = 12  # bytes
RETRY: Final = 2.0  # seconds after which a refresh that was not possible is tried again
_LOOKS: Final = (0.05, 0.5)  # seconds between looks at what another process is doing: first, last
_MISSES: Final = 3  # records that were made, and are not there
_WRITE_AGAIN: Final = (0.1, 0.5, 1.5)  # seconds to wait for a store that is to take new tokens
_GRACE: Final = 60.0  # seconds: Cognito's longest RetryGracePeriodSeconds
_MAX_NOTED: Final = 10_000
_IN_VAIN: Final = (5.0, 60.0)  # seconds until what brought nothing better is asked again
_HOLDER_TAKES: Final = 30.0  # seconds for which somebody's renewed lease is waited for, at most
_LEASE_LIVES: Final = 600.0  # seconds for which a coordinator remembers that there was a lease

REVOKED: Final = Refused(NotAuthorizedException, "session_revoked", clears=True)
_TOO_LARGE: Final = Refused(NetworkError, "token_too_large", retry_after=5 * RETRY)
_MISMATCH: Final = Refused(NotAuthorizedException, "token_mismatch", clears=True)
_REUSED: Final = Refused(
    NotAuthorizedException, "refresh_token_reused", name="RefreshTokenReuseException"
)
_SOMEBODY_ELSES: Final = {"token_mismatch", "wrong_issuer", "wrong_client"}
_NOTHING_BETTER: Final = Refused(NetworkError, "token_expired", retry_after=5 * RETRY)
_BUSY: Final = Postponed(Refused(NetworkError, "cognito_unavailable", retry_after=RETRY))


Outcome = LoadedSession | Refused | Postponed  # newer tokens; the session is over; not now


def revoked(record: Record | None) -> Refused:
    """The session is over; how it was ended is in its record, if there is one."""
    return REVOKED._replace(asks_again=asks_again(record))


class Lease(NamedTuple):
    """The right to ask for new tokens. `was_taken_over`: from somebody who may be at it still."""

    fence: int
    was_taken_over: bool


class Pair(NamedTuple):
    """The tokens of a bundle, read. `is_good`: they count now.

    Where there is no ID token, the access token stands in its place.
    """

    id_token: VerifiedToken
    access_token: VerifiedToken
    is_good: bool = True

    def __repr__(self) -> str:
        return "<Pair>"


class Pauses:
    """What is not to be asked again for a while: so many seconds at most, by whatever clock."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._noted: dict[Hashable, tuple[float, float, Refused]] = {}

    def note(self, what: Hashable, now: float, seconds: float, answer: Refused) -> None:
        """Not for so many seconds. `answer`: what to say instead."""
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
        self._noted[what] = now + seconds, seconds, answer

    def note_again(self, what: Hashable, now: float, answer: Refused) -> None:
        """Not for twice as long as the last time, if that was not long ago."""
        until, last, _ = self._noted.get(what, (-math.inf, 0.0, None))
        is_new = abs(now - until) > self._longest
        seconds = _IN_VAIN[0] if is_new else min(2 * last, self._longest)
        self.note(what, now, seconds, answer)

    def answer(self, what: Hashable, now: float) -> Refused | None:
        """What to say in a pause; None if there is none."""
        noted = self._noted.get(what)
        if noted is None or not 0 < noted[0] - now <= self._longest:
            return None
        until, _, answer = noted
        wait = answer.retry_after and min(until - now, answer.retry_after)
        return answer._replace(retry_after=wait)


class Refresher:
    """Gets new tokens for sessions. `is_shared`: other processes write to the shelf, too."""

    def __init__(
        self,
        lifetimes: Lifetimes,
        verifier: Verifier,
        grants: Grants,
        store: StoreClient[Store],
        *,
        is_shared: bool,
    ) -> None:
        self._lifetimes = lifetimes
        self._verifier = verifier
        self._grants = grants
        self._store = store
        self._is_shared = is_shared
        self._used_up = Pauses(_GRACE)  # refresh tokens, whoever sends the old cookie
        self._in_vain = Pauses(_IN_VAIN[1])  # sign-ins, whichever of their tokens are sent
        self._has_told_unusable = False

    def due_at(self, pair: Pair) -> float:
        """When tokens are to be refreshed: soon enough, but not in the first half of a life."""
        margin, (id_token, access_token, _) = self._lifetimes.refresh_margin, pair
        return (
            min(
                id_token.expires_at - min(margin, id_token.lifetime / 2),
                access_token.expires_at - min(margin, access_token.lifetime / 2),
            )
            - self._verifier.leeway
        )

    def renewed(
        self, loaded: LoadedSession, now: float, *, insists: bool = False
    ) -> Flow[tuple[Outcome, float]]:
        """A flow: what came of the refresh, one for all who ask; and when.

        `insists`: the app wants new tokens, whatever is left of the present ones.
        """
        if reused := self._used_up.answer((loaded.codec.key, loaded.bundle.turn), now):
            return reused, now
        in_vain = None if insists else self._in_vain.answer(self._sign_in_of(loaded, now), now)
        if in_vain is not None:
            return Postponed(in_vain), now
        key = ("refresh", loaded.codec.key)
        flight = Flight(key, lambda departed: self._refresh(loaded, departed), "sessions")
        try:
            outcome, now = yield Join(flight)
        except Unreachable as error:
            return _BUSY, error.now or now
        return outcome, now

    def _sign_in_of(self, loaded: LoadedSession, now: float) -> Hashable:
        """What all tokens of a session have in common, or else its place.

        (The place of Amplify's cookies changes with each refresh token.)
        """
        with suppress(InvalidToken):
            access = self._verifier.read(loaded.bundle.access_token, now)
            origin = access.claims.get("origin_jti")
            if isinstance(origin, str):
                return access.sub, origin
        return loaded.codec.key

    def _refresh(self, loaded: LoadedSession, now: float) -> Flow[Outcome]:
        """The flight."""
        try:
            lease, latest, now = yield from self._lease(loaded, now)
            if latest is None:
                return REVOKED
            if lease is None:
                return _BUSY if self._is_wanting(latest, now) else latest
        except Unreachable:
            return Postponed(STORE_UNAVAILABLE)
        outcome: Outcome
        try:
            outcome = yield from self._exchange(latest, lease, now)
        except Unreachable:
            outcome = Postponed(STORE_UNAVAILABLE)
        with suppress(Unreachable):  # it runs out
            yield from self._store.ask_quietly(Store.release, loaded.codec.key, lease.fence)
        return outcome

    def _lease(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[Lease | None, LoadedSession | None, float]]:
        """A flow: the lease, and the session as it is then (None: it has ended).

        Without a lease, somebody else has new tokens, or has been at it for too long.
        """
        key, lease = loaded.codec.key, self._lifetimes.lease
        waited, missed, (look, longest) = 0.0, 0, _LOOKS
        while True:
            fence, now = yield from self._store.ask(Store.acquire, key, lease)
            record, now = yield from self._store.ask_quietly(Store.load, key)
            latest = newest(loaded, record)
            is_done = latest is None or (latest.is_newer and not self._is_wanting(latest, now))
            if fence is not None and is_done:
                yield from self._store.ask_quietly(Store.release, key, fence)
                fence = None
            if fence is not None:
                if record and loaded.codec.in_cookie and record.expires_at < now + _LEASE_LIVES:
                    longer = replace(record, expires_at=now + _LEASE_LIVES)
                    with suppress(Unreachable):  # a lease goes with its record
                        yield from self._store.ask_quietly(Store.replace, key, longer)
                return Lease(fence, was_taken_over=waited > 0), latest, now
            if is_done or waited > lease + _HOLDER_TAKES:
                return None, latest, now
            if record is None:  # a coordinator has heard nothing of this session
                record = Record(b"", loaded.bundle.turn, now + _LEASE_LIVES)
                yield from self._store.ask(Store.create, key, record)
                missed += 1
                if missed < _MISSES:
                    continue
            _, now = yield Pause(look)
            waited, look = waited + look, min(look * 1.5, longest)

    def _exchange(self, loaded: LoadedSession, lease: Lease, now: float) -> Flow[Outcome]:
        """A flow: ask for new tokens, holding the lease."""
        bundle = loaded.bundle
        try:
            access_token = self._verifier.read(bundle.access_token, now)
        except InvalidToken as error:
            return refused(error)
        renewal = self._store.call(
            Store.renew, loaded.codec.key, lease.fence, self._lifetimes.lease
        )
        answer, now = yield from self._grants.refresh(
            access_token, bundle.refresh_token or b"", (self._lifetimes.lease / 3, renewal), now
        )
        if isinstance(answer, Failure):
            if answer.ends_session:
                return (yield from self._ended_by_cognito(loaded, lease, answer, now))
            refusal = Refused(
                NetworkError, answer.reason, retry_after=answer.retry_after, name=answer.name
            )
            if answer.reason == UNUSABLE.reason:
                return (yield from self._unusable(loaded, refusal, str(answer.message), now))
            return Postponed(refusal)
        size, limit = max(map(len, filter(None, answer))), self._lifetimes.longest_token
        if size > limit:
            yield from self._keep_refresh_token(loaded, lease, answer, now)
            why = str(SessionTooLargeError(size, int(limit), of="token"))
            return (yield from self._unusable(loaded, _TOO_LARGE, why, now))
        new = bundle._replace(
            turn=max(lease.fence, bundle.turn + 1),  # a coordinator may have forgotten earlier ones
            seen_at=float(math.floor(now)),
            id_token=answer.id_token,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or bundle.refresh_token,
        )
        try:
            pair = self._pair(new, now)
            agree(pair.id_token, access_token)
        except InvalidToken as error:
            if error.reason not in _SOMEBODY_ELSES:
                yield from self._keep_refresh_token(loaded, lease, answer, now)
                refusal = Refused(NetworkError, error.reason, retry_after=RETRY)
                return (yield from self._unusable(loaded, refusal, str(UNUSABLE.message), now))
            yield from self._leave_tombstone(loaded, now)
            return _MISMATCH
        if now >= self.due_at(pair):
            yield from self._note_in_vain(loaded, pair, now)
        return (yield from self._keep(loaded, new, pair, now))

    def _unusable(
        self, loaded: LoadedSession, refusal: Refused, why: str, now: float
    ) -> Flow[Outcome]:
        """A flow: Cognito's answer is of no use for what it holds. Nobody else is concerned."""
        refusal = refusal._replace(message=why)
        self._in_vain.note_again(self._sign_in_of(loaded, now), now, refusal)
        if not self._has_told_unusable:
            self._has_told_unusable = True
            yield Notice(f"a session could not be refreshed, and is kept: {why}")
        return Postponed(refusal)

    def _keep_refresh_token(
        self, loaded: LoadedSession, lease: Lease, answer: Refreshed, now: float
    ) -> Flow[None]:
        """A flow: keep a new refresh token beside the tokens that go on; the old one is used up."""
        if (
            answer.refresh_token is None
            or len(answer.refresh_token) > self._lifetimes.longest_token
        ):
            return
        new = loaded.bundle._replace(
            turn=max(lease.fence, loaded.bundle.turn + 1), refresh_token=answer.refresh_token
        )
        with suppress(InvalidToken):
            yield from self._keep(loaded, new, self._pair(new, now), now)

    def _note_in_vain(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[None]:
        """A flow: new tokens are due already: this machine's clock is ahead of the pool's.

        They are replaced when they have run out, by this clock. If they have by now, there is
        nothing to be gained before the clock is mended.
        """
        shortest, longest = _IN_VAIN
        left = min(pair.id_token.expires_at, pair.access_token.expires_at) - now
        pause = longest if left <= 0 else min(max(left, shortest), longest)
        self._in_vain.note(self._sign_in_of(loaded, now), now, pause, _NOTHING_BETTER)
        yield from self._verifier.watch_clock(pair.access_token, now)

    def _keep(self, old: LoadedSession, bundle: Bundle, pair: Pair, now: float) -> Flow[Outcome]:
        """A flow: keep new tokens, unless the session has ended or somebody has newer ones."""
        iv, now = yield Draw(IV)
        until = self._kept_until(old.codec, bundle, pair, now)
        record, sealed = old.codec.close(bundle, iv, until)
        new = LoadedSession(old.codec, bundle, sealed, is_newer=True)
        kept, now = yield from self._write(old.codec, record, now)
        if kept:
            return new
        found, now = yield from self._store.ask_quietly(Store.load, old.codec.key)
        latest = newest(new, found)
        if latest is None:
            if bundle.refresh_token is not None:
                yield from self._grants.revoke(pair.access_token, bundle.refresh_token)
            return REVOKED
        if found is None:
            yield from self._store.ask(Store.create, old.codec.key, record)
        return latest

    def _write(self, codec: RecordCodec, record: Record, now: float) -> Flow[tuple[bool, float]]:
        """A flow: whether the record was kept. New tokens are not given up at once."""
        for pause in (*_WRITE_AGAIN, None):
            try:
                kept, now = yield from self._store.ask(Store.replace, codec.key, record)
            except Unreachable as error:
                if pause is None and not codec.in_cookie:
                    raise
                now = error.now or now
            else:
                return kept, now
            if pause is not None:
                _, now = yield Pause(pause)
        return True, now  # its cookie has them

    def _ended_by_cognito(
        self, loaded: LoadedSession, lease: Lease, answer: Failure, now: float
    ) -> Flow[Outcome]:
        """A flow: Cognito says that the sign-in is over, or that somebody else has refreshed it."""
        if self._is_shared and (answer.may_be_reuse or lease.was_taken_over):
            newer, now = yield from self._await_newer(loaded, now)
            if newer is not None:
                return newer
        if answer.may_be_reuse and loaded.codec.in_cookie:  # a newer cookie may be on its way
            self._used_up.note((loaded.codec.key, loaded.bundle.turn), now, _GRACE, _REUSED)
            return _REUSED
        found, now = yield from self._store.ask_quietly(Store.load, loaded.codec.key)
        if has_ended(found):  # which is why; how it ended is to be remembered
            return revoked(found)
        yield from self._leave_tombstone(loaded, now)
        return Refused(NotAuthorizedException, answer.reason, clears=True, name=answer.name)

    def _await_newer(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[LoadedSession | None, float]]:
        """A flow: what a holder before us may yet write, for as long as a lease lasts."""
        waited, (look, longest) = 0.0, _LOOKS
        while waited <= self._lifetimes.lease:
            found, now = yield from self._store.ask_quietly(Store.load, loaded.codec.key)
            latest = newest(loaded, found)
            if latest is None or latest.bundle.turn > loaded.bundle.turn:
                return latest, now
            _, now = yield Pause(look)
            waited, look = waited + look, min(look * 1.5, longest)
        return None, now

    def _is_wanting(self, latest: LoadedSession, now: float) -> bool:
        """Whether new tokens are to be asked for. Not if another process has them just now."""
        is_new = latest.is_newer and 0 <= now - latest.bundle.seen_at < _IN_VAIN[0]
        return not is_new and self._is_due(latest.bundle, now)

    def _is_due(self, bundle: Bundle, now: float) -> bool:
        try:
            return now >= self.due_at(self._pair(bundle, now))
        except InvalidToken:
            return True

    def _pair(self, bundle: Bundle, now: float) -> Pair:
        """What the tokens of a bundle say, whoever vouches for them. Raises `InvalidToken`."""
        id_token = self._verifier.read(bundle.id_token, now)
        access_token = self._verifier.read(bundle.access_token, now)
        agree(id_token, access_token)
        return Pair(id_token, access_token)

    def _kept_until(self, codec: RecordCodec, bundle: Bundle, pair: Pair, now: float) -> float:
        """When a record is no longer needed: late requests come with the cookie before."""
        ends_at = self._lifetimes.ends_at(bundle)
        if not codec.in_cookie:
            return ends_at
        return min(ends_at, max(pair.access_token.expires_at, now + _GRACE))

    def _leave_tombstone(self, loaded: LoadedSession, now: float) -> Flow[None]:
        until = self._lifetimes.gone_at(loaded.bundle)
        yield from self._store.leave_tombstone(loaded.codec, loaded.bundle, until, now)
