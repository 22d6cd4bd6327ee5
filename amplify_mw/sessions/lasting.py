"""Sessions that last: what sealed and stored ones have in common.

Rules:
- A session that was found is looked at in one order: is it over by its age, do its tokens count,
  are they to be refreshed, is it to be rolled.
- While Cognito cannot be asked the tokens serve as long as they are good, and after that the answer
  is "not now". So it is while they are from the future: a clock that is behind ends no session.
- What was sealed was verified before. The ID token's signature is checked again when a bundle is
  first seen, so that a key which was withdrawn counts no more; the access token's is not.
"""

import math
from typing import Any, Final

from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import InvalidToken, agree
from ..effects import Draw, Flow, Notice, Unreachable
from ..errors import (
    NetworkError,
    NotAuthorizedException,
    SessionTooLargeError,
    TokenExpiredException,
)
from ..models import AuthUser
from ..web.cookies import NewCookie
from .base import Dependencies, NewSession, Postponed
from .bundle import Bundle
from .client import StoreClient
from .codec import LoadedSession, RecordCodec, newest
from .lifetimes import LastingSession
from .refreshing import IV, RETRY, REVOKED, Pair, Refresher
from .store import Store
from .token import groups_of, keys_unavailable, refused, scopes_of, size_of
from .verdicts import (
    NO_COOKIE,
    NO_SESSION,
    STORE_UNAVAILABLE,
    LastingState,
    Refused,
    Resolution,
    SignedIn,
    user_key,
)

_SID: Final = 16  # bytes
_MAX_EXTENDED: Final = 1_000  # of 8 kB each

INVALID: Final = Resolution(Refused(NotAuthorizedException, "invalid_session", clears=True))
_EXPIRED: Final = Resolution(Refused(TokenExpiredException, "session_expired", clears=True))
STORE_DOWN: Final = Resolution(STORE_UNAVAILABLE)


class LastingSessions:
    """Sessions that last, in a store.

    `is_shared`: other processes write to it, too. `staleness`: for so many seconds a verdict is
    believed without a look at the store; None: as long as it is good.
    """

    in_cookie: bool
    nobody = NO_SESSION

    def __init__(
        self,
        kind: LastingSession,
        around: Dependencies,
        store: Any,
        *,
        is_shared: bool,
        staleness: float | None,
    ) -> None:
        self._kind = kind
        self._verifier = around.verifier
        self._verdicts = around.verdicts
        self._staleness = staleness
        self._extended: dict[tuple[bytes, int], LoadedSession] = {}
        self._has_told_size = False
        self._store = StoreClient(
            store, around.memory() if is_shared else store, around.all_verdicts
        )
        self._refresher = Refresher(
            kind, around.verifier, around.grants, self._store, is_shared=is_shared
        )

    # A session that was found: what it means, and what is to be done about it.

    def settle(self, loaded: LoadedSession, now: float) -> Flow[Resolution]:
        """A flow: the finding on a session, which is refreshed or rolled where that is due."""
        loaded = self._latest_extension(loaded, now)
        if now >= self._kind.ends_at(loaded.bundle):
            return _EXPIRED
        try:
            pair = yield from self._read(loaded, now)
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return Resolution(refused(error))
        return (yield from self._settled(loaded, pair, now))

    def _settled(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[Resolution]:
        """A flow: the finding on a session whose tokens were read."""
        retry_at = None
        if loaded.bundle.refresh_token is None:
            if not pair.is_good:
                return Resolution(Refused(TokenExpiredException, "token_expired", clears=True))
        elif not pair.is_good or now >= self._refresher.due_at(pair):
            outcome, now = yield from self._refresher.renewed(loaded, now)
            if not isinstance(outcome, Postponed):
                return (yield from self._adopt(loaded, outcome, now))
            ends_at = min(pair.id_token.expires_at, pair.access_token.expires_at)
            if not pair.is_good or now >= ends_at:  # while Cognito was asked, perhaps
                return Resolution(outcome.refused)
            retry_at = now + RETRY
        if now >= self._kind.extends_at(loaded.bundle):
            extended, now = yield from self._extend(loaded, now)
            if extended is None:
                return (yield from self._over(loaded.codec))
            if extended is loaded:
                retry_at = now + RETRY
            if extended.bundle.turn != loaded.bundle.turn:  # refreshed by somebody else meanwhile
                return (yield from self.settle(extended, now))
            loaded = extended
        return self._finding(loaded, pair, now, retry_at)

    def _read(self, loaded: LoadedSession, now: float) -> Flow[Pair]:
        """A flow: what the tokens of a session say. Raises `InvalidToken`, `KeysUnavailable`.

        Tokens that a refresh may replace are read even if they count no more.
        """
        bundle, is_good = loaded.bundle, True
        try:
            id_token = yield from self._verifier.verify(bundle.id_token, now)
        except InvalidToken as error:
            is_over = error.reason == "token_expired"
            if not is_over and (error.reason != "unknown_key" or bundle.refresh_token is None):
                raise
            is_good = False
            id_token = self._verifier.read(bundle.id_token, now)
        access_token = self._verifier.read(bundle.access_token, now)
        agree(id_token, access_token)
        return Pair(id_token, access_token, is_good and now < access_token.expires_at)

    def _finding(
        self, loaded: LoadedSession, pair: Pair, now: float, retry_at: float | None = None
    ) -> Resolution:
        """The finding on a session whose tokens count. `retry_at`: something was put off."""
        verdict = self._verdict(loaded, pair, now, retry_at)
        return Resolution(verdict, self._new_cookie(loaded, now) if loaded.is_newer else None)

    def _verdict(
        self, loaded: LoadedSession, pair: Pair, now: float, retry_at: float | None
    ) -> SignedIn:
        bundle, (id_token, access_token, _) = loaded.bundle, pair
        due_at = min(id_token.fresh_until, access_token.expires_at, self._kind.ends_at(bundle))
        if retry_at is not None:
            due_at = min(due_at, retry_at)
        else:
            due_at = min(due_at, self._kind.extends_at(bundle))
            if bundle.refresh_token is not None:
                due_at = min(due_at, self._refresher.due_at(pair))
        groups, scopes = groups_of(id_token), scopes_of(access_token)
        cookie = loaded.codec.cookie(loaded.sealed)
        length = len(bundle.id_token) + len(bundle.access_token) + len(bundle.refresh_token or b"")
        kept = len(cookie) if cookie == loaded.sealed else len(cookie) + len(loaded.sealed)
        return SignedIn(
            user=self._user(loaded, pair),
            cookie=cookie,
            issuer=id_token.issuer,
            pool=id_token.pool,
            id_token=id_token.encoded if id_token is not access_token else None,
            access_token=bundle.access_token,
            groups=groups,
            scopes=scopes,
            expires_at=min(id_token.expires_at, access_token.expires_at),
            fresh_until=self._fresh_until(due_at, now),
            size=length + kept + size_of(groups, scopes),
            held=LastingState(bundle, loaded.sealed, due_at),
        )

    def _user(self, loaded: LoadedSession, pair: Pair) -> AuthUser:  # noqa: ARG002
        """Whom the tokens name."""
        return AuthUser(pair.id_token.username, pair.id_token.sub)

    def _fresh_until(self, due_at: float, now: float) -> float:
        return due_at if self._staleness is None else min(due_at, now + self._staleness)

    def _new_cookie(self, loaded: LoadedSession, now: float) -> NewCookie | None:
        """What leads to the session from now on; None if there is no such cookie."""
        max_age = max(1, math.ceil(self._kind.ends_at(loaded.bundle) - now))
        return NewCookie(loaded.codec.cookie(loaded.sealed).decode("ascii"), max_age)

    def _too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:  # noqa: ARG002
        """Why no cookie holds the session; None if one does."""
        return None

    def _extend(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[LoadedSession | None, float]]:
        """A flow: the session, seen just now; None if it has ended meanwhile."""
        bundle = loaded.bundle._replace(seen_at=float(math.floor(now)))
        iv, now = yield Draw(IV)
        record, sealed = loaded.codec.close(bundle, iv, self._kind.ends_at(bundle))
        extended = LoadedSession(loaded.codec, bundle, sealed, is_newer=True)
        if loaded.codec.in_cookie:
            self._note_extension(extended)
            return extended, now
        try:
            kept, now = yield from self._store.ask(Store.replace, loaded.codec.key, record)
            if kept:
                return extended, now
            found, now = yield from self._store.ask_quietly(Store.load, loaded.codec.key)
        except Unreachable as error:  # a later request will do
            return loaded, error.now or now
        return newest(loaded, found), now

    def _latest_extension(self, loaded: LoadedSession, now: float) -> LoadedSession:
        """The session as it was last rolled here, for those who come with the cookie before."""
        extended = self._extended.get((loaded.codec.key, loaded.bundle.turn))
        is_due = now >= self._kind.extends_at(loaded.bundle)
        return (
            extended
            if is_due and extended and now < self._kind.extends_at(extended.bundle)
            else loaded
        )

    def _note_extension(self, extended: LoadedSession) -> None:
        if len(self._extended) >= _MAX_EXTENDED:
            self._extended.clear()
        self._extended[extended.codec.key, extended.bundle.turn] = extended

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """A flow: the session with fresh tokens; None if it holds no refresh token."""
        loaded = yield from self._load_again(verdict, now)
        if isinstance(loaded, Refused):
            return Resolution(loaded)
        if loaded.bundle.refresh_token is None:
            return None
        outcome, now = yield from self._refresher.renewed(loaded, now, insists=True)
        if isinstance(outcome, Postponed):
            return outcome
        return (yield from self._adopt(loaded, outcome, now))

    def _owner(self, loaded: LoadedSession | None, now: float) -> str | None:
        """Whom the tokens of a session name that has not ended, good still or not."""
        if loaded is None or now >= self._kind.ends_at(loaded.bundle):
            return None
        try:
            token = self._verifier.read(loaded.bundle.access_token, now)
        except InvalidToken:
            return None
        return user_key(token.pool, token.sub)

    def _load_again(self, verdict: SignedIn, now: float) -> Flow[LoadedSession | Refused]:
        """A flow: the session of a verdict, as it is now; or that it has ended."""
        raise NotImplementedError

    def _adopt(
        self, before: LoadedSession, outcome: LoadedSession | Refused, now: float
    ) -> Flow[Resolution]:
        """A flow: the finding on what a refresh came to, here or elsewhere."""
        if outcome == REVOKED:
            return (yield from self._over(before.codec))
        if isinstance(outcome, Refused):
            return Resolution(outcome)
        if not self._has_told_size and (too_large := self._too_large(outcome)):
            self._has_told_size = True
            yield Notice(f"a refresh brought tokens that their cookie does not hold: {too_large}")
        cookie = self._new_cookie(outcome, now)
        known = self._verdicts.get(outcome.codec.cookie(outcome.sealed))
        if known is not None and known.held.sealed == outcome.sealed and now < known.held.due_at:
            return Resolution(known, cookie)  # another who waited was quicker
        try:
            pair = yield from self._read(outcome, now)
        except KeysUnavailable as error:  # they are kept, and verified when that can be done
            return Resolution(keys_unavailable(error), cookie)
        except InvalidToken as error:
            why = refused(error)
            return Resolution(why, None if why.clears else cookie)
        if not pair.is_good:
            return Resolution(Refused(NetworkError, "token_expired", retry_after=RETRY), cookie)
        return self._finding(outcome, pair, now)

    # Its beginning and its end.

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of a verdict's session alone, and what clears its cookies."""
        return verdict.cookie, NO_COOKIE

    def _begin(self, new_session: NewSession, now: float) -> Flow[tuple[Bundle, bytes]]:
        """A flow: the bundle of a new session, and an initialization vector to seal it with."""
        sid, _ = yield Draw(_SID)
        iv, _ = yield Draw(IV)
        seen_at = float(math.floor(now))
        bundle = Bundle(
            sid=sid,
            turn=0,
            created_at=seen_at,
            seen_at=seen_at,
            id_token=new_session.id_token.encoded,
            access_token=new_session.access_token.encoded,
            refresh_token=new_session.refresh_token,
        )
        return bundle, iv

    def _begun(self, loaded: LoadedSession, new_session: NewSession, now: float) -> Resolution:
        return self._finding(loaded, Pair(new_session.id_token, new_session.access_token), now)

    def _over(self, codec: RecordCodec) -> Flow[Resolution]:
        """A flow: the finding on a session that has ended while it was looked at."""
        again = yield from self._store.asks_again(codec)
        return Resolution(REVOKED._replace(asks_again=again))

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:  # noqa: ARG002
        """A flow: a cookie that is to be set, if its session has not ended since; else None."""
        codec = self._place(cookie.value.encode("ascii"))
        is_over = codec is not None and (yield from self._store.is_over(codec))
        return None if is_over else cookie

    def _place(self, value: bytes) -> RecordCodec | None:
        """Where the session of a cookie's value is; None if the value means nothing."""
        raise NotImplementedError

    def _leave_tombstone(
        self, loaded: LoadedSession, now: float, *, asks_again: bool
    ) -> Flow[None]:
        """A flow: end a session for good. Raises `Unreachable`."""
        until = loaded.bundle.created_at + self._kind.absolute
        yield from self._store.leave_tombstone(
            loaded.codec, loaded.bundle, until, now, asks_again=asks_again
        )
