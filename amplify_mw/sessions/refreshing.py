"""New tokens for sessions, fetched once for all waiting requests.

Rules:
- Within a process there is one flight per session. Among processes there is a lease on the
  session's record; its fence becomes the version of the record that its holder writes. Processes
  that come later find the newer bundle there; a slow holder never overwrites a newer one.
- Ending a session wins over refreshing it: new tokens that can no longer be kept are revoked.
- Only Cognito's answer ends a session. If the answer may mean a refresh token used twice, the lease
  is waited out first: another process may be about to write the newer token.
- New tokens must name the same user, pool and client as those they replace. They are kept before
  anything else is done with them: a rotated refresh token exists nowhere else.
- The lease is given back in the step that keeps new tokens, or else at the end: whatever happens
  meanwhile. If the store cannot be told it runs out.
- An issuer of the pool's that does not count here is a mistake in the configuration, and ends no
  session.
- A refresh in vain is not repeated for a while, unless the app insists. It is in vain if this
  machine's clock is far ahead (new tokens are due at once, too), and if the session cannot take the
  new tokens: only its user is affected.
- A request waits for as long as it has patience, and the flight goes on. For some seconds after
  patience has run out, no other request waits that has good tokens.
- A rotated refresh token exists only in the answer and the store. Without a store of all processes,
  nothing is refreshed behind the back of a client whose tokens rotate: the response of the request
  that waits brings the cookie home. Cognito's first answer tells; that one is waited for.
- Ahead of time a refresh is tried once if it brings tokens for which it is time again: this
  machine's clock is ahead.
- A pause ends early if the clock is set back.
"""

import math
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from .. import events
from ..cognito.api import UNUSABLE, Failure, Refreshed
from ..cognito.grants import Grants
from ..cognito.verifier import InvalidToken, VerifiedToken, Verifier, agree
from ..effects import (
    Draw,
    Flight,
    Flow,
    Join,
    Lane,
    Launch,
    Notice,
    Operation,
    Pause,
    Report,
    Unreachable,
)
from ..errors import NetworkError, NotAuthorizedException, SessionTooLargeError
from ..web.requests import excerpt
from .base import Postponed
from .bundle import Bundle
from .client import StoreClient
from .codec import LoadedSession, RecordCodec, kept_record, newest
from .lifetimes import Lifetimes
from .record import Record, asks_again, has_ended
from .store import Store
from .token import refused
from .verdicts import STORE_UNAVAILABLE, Refused

IV: Final = 12  # bytes
RETRY: Final = 2.0  # seconds after which a refresh that was not possible is tried again
_LOOKS: Final = (0.05, 0.5)  # seconds between looks at another process's progress: first, last
_MISSES: Final = 3  # records that were made, and are not there
_WRITE_AGAIN: Final = (0.1, 0.5, 1.5)  # seconds to wait for a store that is to take new tokens
_GRACE: Final = 60.0  # seconds: Cognito's longest RetryGracePeriodSeconds
_MAX_NOTED: Final = 10_000
_IN_VAIN: Final = (5.0, 60.0)  # seconds until a refresh in vain is repeated: shortest, longest
_HOLDER_TAKES: Final = 30.0  # seconds to wait for a holder that renews its lease, at most
_IMPATIENT: Final = 5.0  # seconds for which nobody waits after patience has run out
_LONGEST_AHEAD: Final = 3600.0  # seconds
_LEASE_LIVES: Final = 600.0  # seconds for which a coordinator remembers that there was a lease

REVOKED: Final = Refused(NotAuthorizedException, "session_revoked", clears=True)
_TOO_LARGE: Final = Refused(NetworkError, "token_too_large", retry_after=5 * RETRY)
_MISMATCH: Final = Refused(NotAuthorizedException, "token_mismatch", clears=True)
_REUSED: Final = Refused(
    NotAuthorizedException, "refresh_token_reused", name="RefreshTokenReuseException"
)
_UNLISTED: Final = "Cognito's new tokens name an issuer that does not count here"
_SOMEBODY_ELSES: Final = {"token_mismatch", "wrong_issuer", "wrong_client"}
_NOTHING_BETTER: Final = Refused(NetworkError, "token_expired", retry_after=5 * RETRY)
_BUSY: Final = Postponed(Refused(NetworkError, "cognito_unavailable", retry_after=RETRY))


Outcome = LoadedSession | Refused | Postponed  # newer tokens; the session is over; not now


def _reason_of(outcome: Outcome) -> str | None:
    refused = outcome.refused if isinstance(outcome, Postponed) else outcome
    return refused.reason if isinstance(refused, Refused) else None


_REFRESH: Final = Operation("refresh", _reason_of)


def revoked(record: Record | None) -> Refused:
    """The session is over. Its record, if there is one, says how it ended."""
    return REVOKED._replace(asks_again=asks_again(record))


class Lease:
    """The right to ask for new tokens. `was_taken_over`: another holder may still be at work.

    `is_held`: it has to be given back.
    """

    __slots__ = ("fence", "is_held", "was_taken_over")

    def __init__(self, fence: int, *, was_taken_over: bool) -> None:
        self.fence: Final = fence
        self.was_taken_over: Final = was_taken_over
        self.is_held: bool = True


class Pair(NamedTuple):
    """The tokens of a bundle, read. `is_good`: they count now.

    Without an ID token, the access token stands in its place.
    """

    id_token: VerifiedToken
    access_token: VerifiedToken
    is_good: bool = True

    def __repr__(self) -> str:
        return "<Pair>"


class Pauses:
    """Refreshes not to be repeated for a while: at most `longest` seconds by any clock."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._noted: dict[Hashable, tuple[float, float, Refused]] = {}

    def note(self, key: Hashable, now: float, seconds: float, answer: Refused) -> None:
        """Begin a pause of so many seconds, with this answer meanwhile."""
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
        self._noted[key] = now + seconds, seconds, answer

    def note_again(self, key: Hashable, now: float, answer: Refused) -> None:
        """Begin a pause twice as long as the last one, if that was not long ago."""
        until, last, _ = self._noted.get(key, (-math.inf, 0.0, None))
        is_new = abs(now - until) > self._longest
        seconds = _IN_VAIN[0] if is_new else min(2 * last, self._longest)
        self.note(key, now, seconds, answer)

    def answer(self, key: Hashable, now: float) -> Refused | None:
        """The answer during a pause; None if there is no pause."""
        noted = self._noted.get(key)
        if noted is None or not 0 < noted[0] - now <= self._longest:
            return None
        until, _, answer = noted
        wait = answer.retry_after and min(until - now, answer.retry_after)
        return answer._replace(retry_after=wait)


class Refresher:
    """Gets new tokens for sessions. `is_shared`: other processes write to the store, too."""

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
        self._used_up = Pauses(_GRACE)  # by refresh token: any browser may send the old cookie
        self._in_vain = Pauses(_IN_VAIN[1])  # by sign-in: any of its tokens may be sent
        self._ahead_in_vain = Pauses(_LONGEST_AHEAD)
        self._rotates: dict[str, bool] = {}  # by app client, as Cognito's last answer told
        self._impatient_since = -math.inf
        self._has_told_unusable = False

    def due_at(self, pair: Pair) -> float:
        """When tokens are to be refreshed: soon enough, but not in the first half of their life."""
        margin, (id_token, access_token, _) = self._lifetimes.refresh_margin, pair
        return (
            min(
                id_token.expires_at - min(margin, id_token.lifetime / 2),
                access_token.expires_at - min(margin, access_token.lifetime / 2),
            )
            - self._verifier.leeway
        )

    def ahead_at(self, pair: Pair) -> float:
        """When tokens may be refreshed ahead: not in the first three quarters of their life.

        It is `due_at` if that is earlier, or they are not to be refreshed ahead.
        """
        due_at, (id_token, access_token, _) = self.due_at(pair), pair
        if self._rotates.get(access_token.client) and not self._is_shared:
            return due_at
        ahead = self._lifetimes.refresh_ahead
        id_ahead = id_token.expires_at - min(ahead, id_token.lifetime / 4)
        access_ahead = access_token.expires_at - min(ahead, access_token.lifetime / 4)
        return min(due_at, min(id_ahead, access_ahead) - self._verifier.leeway)

    def can_launch(self, pair: Pair) -> bool:
        """Whether nothing can be lost if nobody waits for a refresh."""
        return self._is_shared or self._rotates.get(pair.access_token.client) is False

    def launch(self, loaded: LoadedSession, now: float) -> Flow[float]:
        """Start a refresh that nobody waits for, unless there is a pause. Gives the time."""
        if self._pause(loaded, now) or self._ahead_in_vain.answer(
            self._sign_in_of(loaded, now), now
        ):
            return now
        with suppress(Unreachable):  # out of threads
            _, now = yield Launch(self._flight(loaded, "ahead"))
        return now

    def renewed(
        self,
        loaded: LoadedSession,
        now: float,
        *,
        insists: bool = False,
        patience: float | None = None,
        can_launch: bool = True,
    ) -> Flow[tuple[Outcome, float]]:
        """The outcome of a refresh, shared by all who ask meanwhile; and its time.

        `insists`: the app wants new tokens, however long the present ones last. `patience`: how
        many seconds to wait, if they are good. `can_launch`: see the method of this name.
        """
        if paused := self._pause(loaded, now, insists=insists):
            return paused, now
        is_impatient = 0 <= now - self._impatient_since < _IMPATIENT
        if patience is not None and is_impatient:
            return _BUSY, ((yield from self.launch(loaded, now)) if can_launch else now)
        try:
            outcome, now = yield Join(self._flight(loaded, "sessions"), patience)
        except Unreachable as error:
            now = error.now or now
            if patience is not None:
                self._impatient_since = now
            return _BUSY, now
        return outcome, now

    def _pause(
        self, loaded: LoadedSession, now: float, *, insists: bool = False
    ) -> Refused | Postponed | None:
        """The outcome without a refresh, if none is to be tried now."""
        if reused := self._used_up.answer((loaded.codec.key, loaded.bundle.turn), now):
            return reused
        in_vain = None if insists else self._in_vain.answer(self._sign_in_of(loaded, now), now)
        return None if in_vain is None else Postponed(in_vain)

    def _flight(self, loaded: LoadedSession, lane: Lane) -> Flight:
        key = ("refresh", loaded.codec.key)
        return Flight(key, partial(self._refresh, loaded), lane, _REFRESH)

    def _sign_in_of(self, loaded: LoadedSession, now: float) -> Hashable:
        """A key shared by all tokens of a sign-in, or else the session's key in the store.

        (For Amplify's cookies the latter changes with each refresh token.)
        """
        with suppress(InvalidToken):
            access = self._verifier.read(loaded.bundle.access_token, now)
            origin = access.claims.get("origin_jti")
            if isinstance(origin, str):
                return access.sub, origin
        return loaded.codec.key

    def _refresh(self, loaded: LoadedSession, now: float) -> Flow[Outcome]:
        """The flight: take the lease, ask for new tokens, give the lease back."""
        try:
            lease, latest, now = yield from self._lease(loaded, now)
        except Unreachable:
            return Postponed(STORE_UNAVAILABLE)
        if latest is None:
            return REVOKED
        if lease is None:
            return _BUSY if self._is_wanting(latest, now) else latest
        outcome: Outcome
        try:
            outcome = yield from self._exchange(latest, lease, now)
        except Unreachable:
            outcome = Postponed(STORE_UNAVAILABLE)
        if lease.is_held:
            with suppress(Unreachable):  # it runs out
                yield from self._store.ask_quietly(Store.release, loaded.codec.key, lease.fence)
        return outcome

    # The lease.

    def _lease(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[Lease | None, LoadedSession | None, float]]:
        """The lease, the session as it is then (None: it has ended), and the time.

        No lease: another process has new tokens, or has held the lease for too long.
        """
        key, seconds = loaded.codec.key, self._lifetimes.lease
        waited, misses, (look, longest) = 0.0, 0, _LOOKS
        while True:
            (fence, record), now = yield from self._store.ask(Store.acquire_and_load, key, seconds)
            latest = newest(loaded, record)
            is_done = latest is None or (latest.is_newer and not self._is_wanting(latest, now))
            if fence is not None and not is_done:
                yield from self._outlive_lease(loaded.codec, record, now)
                return Lease(fence, was_taken_over=waited > 0), latest, now
            if fence is not None:
                yield from self._store.ask_quietly(Store.release, key, fence)
            if is_done or waited > seconds + _HOLDER_TAKES:
                return None, latest, now
            if record is None:
                yield from self._make_record(loaded, now)
                misses += 1
                if misses < _MISSES:
                    continue
            _, now = yield Pause(look)
            waited, look = waited + look, min(look * 1.5, longest)

    def _outlive_lease(self, codec: RecordCodec, record: Record | None, now: float) -> Flow[None]:
        """Keep a coordinator's record longer: a lease goes with its record."""
        if record is None or not codec.in_cookie or record.expires_at >= now + _LEASE_LIVES:
            return
        longer = replace(record, expires_at=now + _LEASE_LIVES)
        with suppress(Unreachable):
            yield from self._store.ask_quietly(Store.replace, codec.key, longer)

    def _make_record(self, loaded: LoadedSession, now: float) -> Flow[None]:
        """Make a record in a coordinator, to take the lease on."""
        record = Record(b"", loaded.bundle.turn, now + _LEASE_LIVES)
        yield from self._store.ask(Store.create, loaded.codec.key, record)

    # Asking Cognito.

    def _exchange(self, loaded: LoadedSession, lease: Lease, now: float) -> Flow[Outcome]:
        """Ask for new tokens, holding the lease."""
        bundle, seconds = loaded.bundle, self._lifetimes.lease
        try:
            access_token = self._verifier.read(bundle.access_token, now)
        except InvalidToken as error:
            return refused(error)
        renewal = self._store.call(Store.renew, loaded.codec.key, lease.fence, seconds)
        answer, now = yield from self._grants.refresh(
            access_token, bundle.refresh_token or b"", (seconds / 3, renewal), now
        )
        if isinstance(answer, Failure):
            return (yield from self._failed(loaded, lease, answer, now))
        rotates = answer.refresh_token not in (None, bundle.refresh_token)
        self._rotates[access_token.client] = rotates
        size, limit = max(map(len, filter(None, answer))), self._lifetimes.longest_token
        if size > limit:
            kept = yield from self._keep_refresh_token(loaded, lease, answer, now)
            why = str(SessionTooLargeError(size, int(limit), of="token"))
            return (yield from self._unusable(loaded, _TOO_LARGE, why, now, kept))
        return (yield from self._accept(loaded, lease, access_token, answer, now))

    def _failed(
        self, loaded: LoadedSession, lease: Lease, answer: Failure, now: float
    ) -> Flow[Outcome]:
        """Cognito gave no new tokens."""
        if answer.ends_session:
            return (yield from self._ended_by_cognito(loaded, lease, answer, now))
        refusal = Refused(
            NetworkError, answer.reason, retry_after=answer.retry_after, name=answer.name
        )
        if answer.reason == UNUSABLE.reason:
            return (yield from self._unusable(loaded, refusal, str(answer.message), now))
        return Postponed(refusal)

    def _accept(
        self,
        loaded: LoadedSession,
        lease: Lease,
        access_token: VerifiedToken,
        answer: Refreshed,
        now: float,
    ) -> Flow[Outcome]:
        """Keep new tokens, if they name the user, pool and client of `access_token`."""
        new = loaded.bundle._replace(
            turn=_next_turn(loaded, lease),
            seen_at=float(math.floor(now)),
            id_token=answer.id_token,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or loaded.bundle.refresh_token,
        )
        try:
            pair = self._pair(new, now)
            agree(pair.id_token, access_token)
        except InvalidToken as error:
            is_this_pools = error.claimed.endswith(f"/{access_token.pool}")
            if error.reason in _SOMEBODY_ELSES and not is_this_pools:
                yield from self._leave_tombstone(loaded, now)
                return _MISMATCH
            kept = yield from self._keep_refresh_token(loaded, lease, answer, now)
            refusal = Refused(NetworkError, error.reason, retry_after=RETRY)
            why = str(UNUSABLE.message)
            if is_this_pools:
                why = f"{_UNLISTED}, {excerpt(error.claimed)}: correct issuers= or regions="
            return (yield from self._unusable(loaded, refusal, why, now, kept))
        yield from self._note_if_due(loaded, pair, now)
        outcome = yield from self._keep(loaded, lease, new, pair, now)
        if isinstance(outcome, LoadedSession) and outcome.bundle is new:  # not a later holder's
            name, access = loaded.codec.session, pair.access_token
            yield Report(events.Refreshed(name, access.pool, access.client, access.sub))
        return outcome

    def _note_if_due(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[None]:
        """Note new tokens that are due at once, or would be refreshed ahead at once."""
        if now >= self.due_at(pair):
            yield from self._note_in_vain(loaded, pair, now)
        elif now >= self.ahead_at(pair):
            sign_in, left = self._sign_in_of(loaded, now), self.due_at(pair) - now
            self._ahead_in_vain.note(sign_in, now, left, _NOTHING_BETTER)
            yield from self._verifier.watch_clock(pair.access_token, now)

    def _unusable(
        self,
        loaded: LoadedSession,
        refusal: Refused,
        why: str,
        now: float,
        kept: LoadedSession | None = None,
    ) -> Flow[Outcome]:
        """The session cannot use Cognito's answer. No other session is affected."""
        refusal = refusal._replace(message=why)
        self._in_vain.note_again(self._sign_in_of(loaded, now), now, refusal)
        if not self._has_told_unusable:
            self._has_told_unusable = True
            yield Notice(f"a session could not be refreshed, and is kept: {why}")
        return Postponed(refusal, kept)

    def _note_in_vain(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[None]:
        """Pause: new tokens are due already, since this machine's clock is ahead of the pool's.

        They are replaced when they have expired by this clock. If they have already, a refresh
        brings nothing until the clock is corrected.
        """
        shortest, longest = _IN_VAIN
        left = min(pair.id_token.expires_at, pair.access_token.expires_at) - now
        pause = longest if left <= 0 else min(max(left, shortest), longest)
        self._in_vain.note(self._sign_in_of(loaded, now), now, pause, _NOTHING_BETTER)
        yield from self._verifier.watch_clock(pair.access_token, now)

    # Keeping new tokens.

    def _keep_refresh_token(
        self, loaded: LoadedSession, lease: Lease, answer: Refreshed, now: float
    ) -> Flow[LoadedSession | None]:
        """Keep a new refresh token beside the present tokens: the old one is used up."""
        token, outcome = answer.refresh_token, None
        if token is None or len(token) > self._lifetimes.longest_token:
            return None
        new = loaded.bundle._replace(turn=_next_turn(loaded, lease), refresh_token=token)
        with suppress(InvalidToken):
            outcome = yield from self._keep(loaded, lease, new, self._pair(new, now), now)
        return outcome if isinstance(outcome, LoadedSession) else None

    def _keep(
        self, old: LoadedSession, lease: Lease, bundle: Bundle, pair: Pair, now: float
    ) -> Flow[Outcome]:
        """Keep new tokens, unless the session has ended or the store has newer ones."""
        iv, now = yield Draw(IV)
        until = self._kept_until(old, bundle, pair, now)
        record, sealed = old.codec.close(bundle, iv, until)
        known = kept_record(old.codec, record)
        new = LoadedSession(old.codec, bundle, sealed, is_newer=True, record=known)
        kept, now = yield from self._write(old.codec, lease, record, now)
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

    def _write(
        self, codec: RecordCodec, lease: Lease, record: Record, now: float
    ) -> Flow[tuple[bool, float]]:
        """Whether the record was kept. A failing store is tried again, a few times.

        Its answer may have been lost. Then the lease may be another's by now, which this one's
        fence does not give back, and whose newer record is not replaced.
        """
        for pause in (*_WRITE_AGAIN, None):
            try:
                kept, now = yield from self._store.ask(
                    Store.replace_and_release, codec.key, record, lease.fence
                )
            except Unreachable as error:
                if pause is None and not codec.in_cookie:
                    raise
                now = error.now or now
            else:
                lease.is_held = False
                return kept, now
            if pause is not None:
                _, now = yield Pause(pause)
        return True, now  # its cookie has them

    # Refused by Cognito.

    def _ended_by_cognito(
        self, loaded: LoadedSession, lease: Lease, answer: Failure, now: float
    ) -> Flow[Outcome]:
        """Cognito's answer: the sign-in is over, or its refresh token was used already."""
        if self._is_shared and (answer.may_be_reuse or lease.was_taken_over):
            newer, now = yield from self._await_newer(loaded, now)
            if newer is not None:
                return newer
        if answer.may_be_reuse and loaded.codec.in_cookie:  # a newer cookie may be on its way
            self._used_up.note((loaded.codec.key, loaded.bundle.turn), now, _GRACE, _REUSED)
            return _REUSED
        found, now = yield from self._store.ask_quietly(Store.load, loaded.codec.key)
        if has_ended(found):  # the reason for Cognito's answer; the record says how it ended
            return revoked(found)
        yield from self._leave_tombstone(loaded, now)
        reason, name, detail = answer.reason, answer.name, answer.detail
        return Refused(NotAuthorizedException, reason, clears=True, name=name, detail=detail)

    def _await_newer(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[LoadedSession | None, float]]:
        """Wait as long as a lease for a newer version by its earlier holder."""
        waited, (look, longest) = 0.0, _LOOKS
        while waited <= self._lifetimes.lease:
            found, now = yield from self._store.ask_quietly(Store.load, loaded.codec.key)
            latest = newest(loaded, found)
            if latest is None or latest.bundle.turn > loaded.bundle.turn:
                return latest, now
            _, now = yield Pause(look)
            waited, look = waited + look, min(look * 1.5, longest)
        return None, now

    # Small questions.

    def _is_wanting(self, latest: LoadedSession, now: float) -> bool:
        """Whether new tokens are needed: not if another process got them just now."""
        is_new = latest.is_newer and 0 <= now - latest.bundle.seen_at < _IN_VAIN[0]
        return not is_new and self._is_due(latest.bundle, now)

    def _is_due(self, bundle: Bundle, now: float) -> bool:
        try:
            return now >= self.due_at(self._pair(bundle, now))
        except InvalidToken:
            return True

    def _pair(self, bundle: Bundle, now: float) -> Pair:
        """The tokens of a bundle, read without checking signatures. Raises `InvalidToken`."""
        id_token = self._verifier.read(bundle.id_token, now)
        access_token = self._verifier.read(bundle.access_token, now)
        agree(id_token, access_token)
        return Pair(id_token, access_token)

    def _kept_until(self, old: LoadedSession, bundle: Bundle, pair: Pair, now: float) -> float:
        """When a record may be forgotten: late requests bring the cookie from before.

        They may bring it at any time if no response has the new one. A rotated refresh token is
        needed then; an expired access token is not.
        """
        ends_at = min(self._lifetimes.ends_at(bundle), self._lifetimes.gone_at(bundle))
        if not old.codec.in_cookie or bundle.refresh_token != old.bundle.refresh_token:
            return ends_at
        return min(ends_at, max(pair.access_token.expires_at, now + _GRACE))

    def _leave_tombstone(self, loaded: LoadedSession, now: float) -> Flow[None]:
        until = self._lifetimes.gone_at(loaded.bundle)
        yield from self._store.leave_tombstone(loaded.codec, loaded.bundle, until, now)


def _next_turn(loaded: LoadedSession, lease: Lease) -> int:
    """The turn of new tokens. A coordinator may have forgotten earlier fences."""
    return max(lease.fence, loaded.bundle.turn + 1)
