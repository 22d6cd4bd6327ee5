"""Settling a session: a verdict on its tokens, after a refresh if one is due.

Rules:
- While Cognito cannot be asked, the tokens count until they expire; after that the answer is "not
  now". The same holds for tokens from the future: a clock that is behind ends no session.
- A verdict is renewed when something is due: a refresh, an extension, the session's end, or the
  retry of a postponed refresh.
- While tokens are good, a refresh ahead of time is waited for by nobody, and one that is due for
  `patience` at most. Until new tokens are found in the store, each request looks there.
- Nobody with good tokens is refused, unless the session is over.
"""

from dataclasses import replace
from typing import Final, Protocol, TypeGuard

from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import InvalidToken
from ..effects import Cache, Flow, Notice
from ..errors import NetworkError, SessionTooLargeError, TokenExpiredException
from ..models import AuthUser
from ..web.cookies import NewCookie
from .base import Dependencies, Postponed
from .client import StoreClient
from .codec import LoadedSession, RecordCodec
from .lifetimes import Lifetimes
from .refreshing import RETRY, REVOKED, Outcome, Pair, Refresher
from .store import Store
from .token import keys_unavailable, refused, scopes_of, size_of
from .verdicts import LastingState, Refused, Resolution, SignedIn

_RETRY_AHEAD: Final = 10.0  # seconds until a refresh ahead of time is tried again
_TOKEN_EXPIRED: Final = Resolution(Refused(TokenExpiredException, "token_expired", clears=True))
_STILL_EXPIRED: Final = Refused(NetworkError, "token_expired", retry_after=RETRY)
_NOT_REFRESHED: Final = Refused(
    TokenExpiredException,
    "token_expired",
    message="The session has expired here. Reload the page: a request of the browser renews it.",
)


class SessionForm(Protocol):
    """How one kind of session reads its tokens and writes its cookie."""

    def read(self, loaded: LoadedSession, now: float) -> Flow[Pair]:
        """The tokens of a session, verified. Raises `InvalidToken` and `KeysUnavailable`.

        Tokens are read even if they no longer count, as long as a refresh may replace them.
        """
        ...

    def user(self, loaded: LoadedSession, pair: Pair) -> AuthUser:
        """The user of the tokens. Called for each new verdict."""
        ...

    def new_cookie(self, loaded: LoadedSession, now: float) -> NewCookie | None:
        """The cookie for a session; None if no cookie can hold it."""
        ...

    def too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:
        """Why no cookie can hold a session; None if one can."""
        ...


class Settler:
    """Settles sessions of one kind.

    `is_shared`: other processes write to the store, too. `staleness`: how many seconds a verdict is
    believed without asking the store; None: as long as the verdict is good.
    """

    def __init__(
        self,
        form: SessionForm,
        lifetimes: Lifetimes,
        around: Dependencies,
        store: StoreClient[Store],
        *,
        is_shared: bool,
        staleness: float | None,
    ) -> None:
        self._form = form
        self._lifetimes = lifetimes
        self._verdicts: Cache = around.verdicts
        self._store = store
        self._staleness = staleness
        self._refresher = Refresher(
            lifetimes, around.verifier, around.grants, store, is_shared=is_shared
        )
        self._has_told_size = False

    # Refreshing.

    def renew(
        self, loaded: LoadedSession, pair: Pair, now: float
    ) -> Flow[tuple[Resolution | None, float | None, float]]:
        """Refresh a session if that is due: its resolution, when to retry, and the time.

        No resolution: the session goes on with the tokens it has.
        """
        if loaded.bundle.refresh_token is None:
            return (None if pair.is_good else _TOKEN_EXPIRED), None, now
        if not pair.is_good:
            outcome, now = yield from self._refresher.renewed(loaded, now)
            return (yield from self._instead(loaded, outcome, now)), None, now
        if now < self._refresher.ahead_at(pair):
            return None, None, now
        due_at, can_launch = self._refresher.due_at(pair), self._refresher.can_launch(pair)
        if now < due_at and can_launch:
            now = yield from self._refresher.launch(loaded, now)
            return None, min(now + _RETRY_AHEAD, due_at), now
        outcome, now = yield from self._refresher.renewed(
            loaded, now, patience=self._lifetimes.patience, can_launch=can_launch
        )
        if not _is_postponed(outcome):
            return (yield from self._adopt(loaded, outcome, now)), None, now
        if now >= min(pair.id_token.expires_at, pair.access_token.expires_at):  # meanwhile
            outcome, now = yield from self._refresher.renewed(loaded, now)
            return (yield from self._instead(loaded, outcome, now)), None, now
        if isinstance(outcome, Postponed) and outcome.kept is not None:
            return self.resolution(outcome.kept, pair, now, now + RETRY), None, now
        return None, now + RETRY, now

    def _instead(self, loaded: LoadedSession, outcome: Outcome, now: float) -> Flow[Resolution]:
        """The resolution of a session whose tokens have expired."""
        if isinstance(outcome, Postponed):
            return Resolution(outcome.refused, self._cookie_for(outcome, now))
        return (yield from self._adopt(loaded, outcome, now))

    def _cookie_for(self, postponed: Postponed, now: float) -> NewCookie | None:
        """The cookie with a newer refresh token, if there is one."""
        return None if postponed.kept is None else self._form.new_cookie(postponed.kept, now)

    def refresh(
        self, loaded: LoadedSession | Refused, now: float
    ) -> Flow[Resolution | Postponed | None]:
        """The session with fresh tokens, due or not; None if it holds no refresh token."""
        if isinstance(loaded, Refused):
            return Resolution(loaded)
        if loaded.bundle.refresh_token is None:
            return None
        outcome, now = yield from self._refresher.renewed(loaded, now, insists=True)
        if isinstance(outcome, Postponed):
            return outcome._replace(cookie=self._cookie_for(outcome, now))
        return (yield from self._adopt(loaded, outcome, now))

    def _adopt(self, before: LoadedSession, outcome: Outcome, now: float) -> Flow[Resolution]:
        """The resolution after a refresh, here or by another process."""
        if isinstance(outcome, Postponed):
            return Resolution(outcome.refused)
        if outcome == REVOKED:
            return (yield from self.over(before.codec))
        if isinstance(outcome, Refused):
            return Resolution(outcome)
        if not self._has_told_size and (too_large := self._form.too_large(outcome)):
            self._has_told_size = True
            yield Notice(f"a refresh brought tokens that their cookie does not hold: {too_large}")
        cookie = self._form.new_cookie(outcome, now)
        known: SignedIn | None = self._verdicts.get(outcome.codec.cookie(outcome.sealed))
        if is_current(known, outcome.sealed, now):
            return Resolution(known, cookie)  # another request that waited was quicker
        try:
            pair = yield from self._form.read(outcome, now)
        except KeysUnavailable as error:  # the tokens are kept, and verified later
            return Resolution(keys_unavailable(error), cookie)
        except InvalidToken as error:
            why = refused(error)
            return Resolution(why, None if why.clears else cookie)
        if not pair.is_good:
            return Resolution(_STILL_EXPIRED, cookie)
        return self.resolution(outcome, pair, now)

    def over(self, codec: RecordCodec) -> Flow[Resolution]:
        """The resolution of a session that ended meanwhile."""
        again = yield from self._store.asks_again(codec)
        return Resolution(REVOKED._replace(asks_again=again))

    # Verdicts.

    def as_sent(self, loaded: LoadedSession, pair: Pair, now: float) -> Resolution:
        """The resolution of a session with the tokens it has: no response can set new ones."""
        if pair.is_good and now < min(pair.id_token.expires_at, pair.access_token.expires_at):
            return self.resolution(loaded, pair, now)
        is_over = loaded.bundle.refresh_token is None
        return _TOKEN_EXPIRED if is_over else Resolution(_NOT_REFRESHED)

    def at_once(self, loaded: LoadedSession, pair: Pair, now: float) -> SignedIn | None:
        """The verdict on a session as it was sent; None if something is due: see `renew`."""
        if not pair.is_good:
            return None
        due_at = self._due_at(loaded, pair, None)
        if now >= due_at:
            return None
        held = _state(loaded, due_at)
        return self._verdict(loaded, pair, now, held)

    def resolution(
        self, loaded: LoadedSession, pair: Pair, now: float, retry_at: float | None = None
    ) -> Resolution:
        """The resolution of a session with good tokens. `retry_at`: if something was postponed."""
        due_at = self._due_at(loaded, pair, retry_at)
        is_waiting = retry_at is not None
        held = _state(loaded, due_at, is_waiting=is_waiting)
        verdict = self._verdict(loaded, pair, now, held)
        return Resolution(verdict, self._form.new_cookie(loaded, now) if loaded.is_newer else None)

    def believed(self, known: SignedIn, held: LastingState, now: float) -> SignedIn:
        """A known verdict with nothing due, after the store was asked. `held`: what it holds."""
        if held.is_waiting:
            return known if held == known.held else replace(known, held=held)
        return replace(known, fresh_until=self._fresh(held, now), held=held)

    def _fresh(self, held: LastingState, now: float) -> float:
        """Until when a verdict is believed without asking the store."""
        if held.is_waiting:
            return now
        return held.due_at if self._staleness is None else min(held.due_at, now + self._staleness)

    def _verdict(
        self, loaded: LoadedSession, pair: Pair, now: float, held: LastingState
    ) -> SignedIn:
        bundle, (id_token, access_token, _) = loaded.bundle, pair
        user, scopes = self._form.user(loaded, pair), scopes_of(access_token)
        cookie = loaded.codec.cookie(loaded.sealed)
        length = len(bundle.id_token) + len(bundle.access_token) + len(bundle.refresh_token or b"")
        kept = len(cookie) if cookie == loaded.sealed else len(cookie) + len(loaded.sealed)
        return SignedIn(
            user=user,
            cookie=cookie,
            issuer=id_token.issuer,
            pool=id_token.pool,
            id_token=id_token.encoded if id_token is not access_token else None,
            access_token=bundle.access_token,
            scopes=scopes,
            expires_at=min(id_token.expires_at, access_token.expires_at),
            fresh_until=self._fresh(held, now),
            size=length + kept + loaded.record_size + size_of(user.groups, scopes),
            held=held,
        )

    def _due_at(self, loaded: LoadedSession, pair: Pair, retry_at: float | None) -> float:
        """When the next step is due for a session with good tokens."""
        bundle, (id_token, access_token, _) = loaded.bundle, pair
        limit = min(id_token.fresh_until, access_token.expires_at, self._lifetimes.ends_at(bundle))
        if retry_at is not None:
            return min(limit, retry_at)
        limit = min(limit, self._lifetimes.extends_at(bundle))
        if bundle.refresh_token is None:
            return limit
        return min(limit, self._refresher.ahead_at(pair))


def _is_postponed(outcome: Outcome) -> bool:
    """Whether good tokens go on: no newer ones can be had now, but the session is not over."""
    is_refusal = isinstance(outcome, Refused) and not outcome.clears
    return is_refusal or isinstance(outcome, Postponed)


def is_current(known: SignedIn | None, sealed: bytes, now: float) -> TypeGuard[SignedIn]:
    """Whether a cached verdict is of this very bundle, with nothing due about it."""
    held = None if known is None else known.held
    return held is not None and held.sealed == sealed and now < held.due_at


def _state(loaded: LoadedSession, due_at: float, *, is_waiting: bool = False) -> LastingState:
    """The state of a session as it was found."""
    codec, bundle, sealed, _, record = loaded
    return LastingState(bundle, sealed, due_at, is_waiting, record, codec.key)
