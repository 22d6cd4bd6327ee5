"""What sealed and stored sessions share: their age, sliding expiry, beginning and end.

Rules:
- A session is settled in one order: has it ended by its age; do its tokens count; are they due for
  a refresh; is the session due for an extension.
- Tokens were verified before they were sealed. The ID token's signature is checked again when a
  bundle is first seen, so that a withdrawn key no longer counts; the access token's is not.
"""

import math
from collections.abc import Callable
from typing import Final

from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import InvalidToken, Verifier, agree
from ..effects import Draw, Flow, Unreachable
from ..errors import NotAuthorizedException, SessionTooLargeError, TokenExpiredException
from ..models import AuthUser
from ..web.cookies import NewCookie
from .base import Dependencies, NewSession
from .bundle import Bundle
from .client import StoreClient
from .codec import LoadedSession, RecordCodec, kept_record, newest
from .lifetimes import LastingSession
from .refreshing import IV, RETRY, Pair
from .settling import Settler
from .store import Memory, Store
from .token import keys_unavailable, refused, user_in
from .verdicts import STORE_UNAVAILABLE, Refused, Resolution, user_key

_SID: Final = 16  # bytes
_MAX_EXTENDED: Final = 1_000  # of 8 kB each

INVALID: Final = Resolution(Refused(NotAuthorizedException, "invalid_session", clears=True))
_EXPIRED: Final = Resolution(Refused(TokenExpiredException, "session_expired", clears=True))
STORE_DOWN: Final = Resolution(STORE_UNAVAILABLE)


def _fits(loaded: LoadedSession) -> None:
    """The cookie is always small enough."""
    del loaded


def _as_of(resolution: Resolution, asked_at: float) -> Resolution:
    """A resolution whose session was known to be good at that time, and not since."""
    verdict, cookie = resolution
    if not isinstance(cookie, NewCookie):
        return resolution
    return Resolution(verdict, cookie._replace(made_at=asked_at))


class LastingForm:
    """How these sessions read their tokens and write their cookie.

    `too_large`: says why a session's cookie is too large, if it is.
    """

    def __init__(
        self,
        kind: LastingSession,
        verifier: Verifier,
        too_large: Callable[[LoadedSession], SessionTooLargeError | None] = _fits,
    ) -> None:
        self._kind = kind
        self._verifier = verifier
        self._too_large = too_large

    def read(self, loaded: LoadedSession, now: float) -> Flow[Pair]:
        """The tokens of a session, verified. Raises `InvalidToken` and `KeysUnavailable`."""
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

    def user(self, loaded: LoadedSession, pair: Pair) -> AuthUser:  # noqa: ARG002
        """The user of the ID token."""
        return user_in(pair.id_token)

    def new_cookie(self, loaded: LoadedSession, now: float) -> NewCookie | None:
        """The cookie for a session, until the session ends; None if it is too large."""
        if self._too_large(loaded) is not None:
            return None
        max_age = max(1, math.ceil(self._kind.ends_at(loaded.bundle) - now))
        return NewCookie(loaded.codec.cookie(loaded.sealed).decode("ascii"), max_age, now)

    def too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:
        """Why no cookie can hold a session; None if one can."""
        return self._too_large(loaded)


class Lasting:
    """Sessions of one kind in a store: what happens to them between sign-in and sign-out.

    `store`: that of all processes, or else `memory`, this process's own. `staleness`: how many
    seconds a verdict is believed without asking the store; None: as long as the verdict is good.
    """

    def __init__(
        self,
        kind: LastingSession,
        form: LastingForm,
        around: Dependencies,
        store: Store,
        memory: Memory,
        *,
        staleness: float | None,
    ) -> None:
        is_shared = store is not memory
        self.store: StoreClient[Store] = StoreClient(store, memory, around.all_verdicts)
        self.settler: Settler = Settler(
            form, kind, around, self.store, is_shared=is_shared, staleness=staleness
        )
        self._kind = kind
        self._form = form
        self._verifier = around.verifier
        self._extended: dict[tuple[bytes, int], LoadedSession] = {}

    # A session that was found.

    def settle(self, loaded: LoadedSession, now: float) -> Flow[Resolution]:
        """The resolution of a session, after a refresh and an extension if they are due."""
        loaded = self._latest_extension(loaded, now)
        pair = yield from self._read(loaded, now)
        if isinstance(pair, Resolution):
            return pair
        asked_at = now  # the store; Cognito may take its time
        resolution, retry_at, now = yield from self.settler.renew(loaded, pair, now)
        if resolution is not None:
            return resolution
        if now < self._kind.extends_at(loaded.bundle):
            resolution = self.settler.resolution(loaded, pair, now, retry_at)
        else:
            resolution = yield from self._settle_extended(loaded, pair, now, retry_at)
        return _as_of(resolution, asked_at) if loaded.codec.in_cookie else resolution

    def look(self, loaded: LoadedSession, now: float) -> Flow[Resolution]:
        """The resolution of a session as it is: its cookie cannot be set."""
        loaded = self._latest_extension(loaded, now)
        pair = yield from self._read(loaded, now)
        return pair if isinstance(pair, Resolution) else self.settler.as_sent(loaded, pair, now)

    def _read(self, loaded: LoadedSession, now: float) -> Flow[Pair | Resolution]:
        """The tokens of a session, or why they cannot be read."""
        if now >= self._kind.ends_at(loaded.bundle):
            return _EXPIRED
        try:
            return (yield from self._form.read(loaded, now))
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return Resolution(refused(error))

    def _settle_extended(
        self, loaded: LoadedSession, pair: Pair, now: float, retry_at: float | None
    ) -> Flow[Resolution]:
        """The resolution of a session after it was extended."""
        extended, now = yield from self._extend(loaded, now)
        if extended is None:
            return (yield from self.settler.over(loaded.codec))
        if extended.bundle.turn != loaded.bundle.turn:  # another request has refreshed it
            return (yield from self.settle(extended, now))
        if extended is loaded:
            retry_at = now + RETRY
        return self.settler.resolution(extended, pair, now, retry_at)

    def _extend(
        self, loaded: LoadedSession, now: float
    ) -> Flow[tuple[LoadedSession | None, float]]:
        """The session, seen just now; None if it has ended meanwhile."""
        bundle = loaded.bundle._replace(seen_at=float(math.floor(now)))
        iv, now = yield Draw(IV)
        record, sealed = loaded.codec.close(bundle, iv, self._kind.ends_at(bundle))
        kept = kept_record(loaded.codec, record)
        extended = LoadedSession(loaded.codec, bundle, sealed, is_newer=True, record=kept)
        if loaded.codec.in_cookie:
            self._note_extension(extended)
            return extended, now
        try:
            is_kept, now = yield from self.store.ask(Store.replace, loaded.codec.key, record)
            if is_kept:
                return extended, now
            found, now = yield from self.store.ask_quietly(Store.load, loaded.codec.key)
        except Unreachable as error:  # a later request extends it
            return loaded, error.now or now
        return newest(loaded, found), now

    def _latest_extension(self, loaded: LoadedSession, now: float) -> LoadedSession:
        """The session as last extended here, for requests with the cookie from before."""
        if now < self._kind.extends_at(loaded.bundle):
            return loaded
        extended = self._extended.get((loaded.codec.key, loaded.bundle.turn))
        if extended is None or now >= self._kind.extends_at(extended.bundle):
            return loaded
        return extended

    def _note_extension(self, extended: LoadedSession) -> None:
        if len(self._extended) >= _MAX_EXTENDED:
            self._extended.clear()
        self._extended[extended.codec.key, extended.bundle.turn] = extended

    def owner(self, loaded: LoadedSession | None, now: float) -> str | None:
        """The `user_key` of a session, even with expired tokens; None if the session has ended."""
        if loaded is None or now >= self._kind.ends_at(loaded.bundle):
            return None
        try:
            token = self._verifier.read(loaded.bundle.access_token, now)
        except InvalidToken:
            return None
        return user_key(token.pool, token.sub)

    # Its beginning and its end.

    def begin(self, new_session: NewSession, now: float) -> Flow[tuple[Bundle, bytes]]:
        """The bundle of a new session, and an initialization vector to seal it with."""
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

    def unless_ended(
        self, codec: RecordCodec | None, cookie: NewCookie, now: float
    ) -> Flow[NewCookie | None]:
        """A cookie, unless its session has ended. `codec`: of that session, if it is one."""
        if codec is None:
            return cookie
        is_over = yield from self.store.is_over(codec, cookie.made_at, now)
        return None if is_over else cookie
