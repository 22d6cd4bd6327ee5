"""`AmplifyCookies`: the cookies of an Amplify JS or Next.js front end, in its own ways.

Rules:
- Who the user is say the verified tokens alone. The access token is needed. An ID token that is
  missing or invalid counts as missing, as in Amplify; the access token then names the user.
- Both must be of one user, pool and client: of the client in the cookies' names.
- What is expired is looked at as strictly as what is not, before it may lead to a refresh; and
  `clockDrift`, which any script can write, prolongs nothing: it is not read.
- The front end owns these cookies. They are cleared where Cognito itself, or this server's app,
  has ended the session, and kept in every other case.
- A refresh token that somebody else has used already leaves the cookies as they are: newer ones may
  be on their way to the browser. Older tokens are never written over newer ones, nor over others of
  the same second: the front end refreshes, too.
- What has become of a session's tokens is remembered in this process: see `amplify_place`. An end
  is remembered by the sign-in that all tokens of it name, whatever comes beside them: in another
  memory than places, of which a client can make up any number by its refresh tokens.
"""

import hashlib
import math
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from ...cognito.keys import KeysUnavailable
from ...cognito.verifier import (
    MAX_TOKEN_BYTES,
    InvalidToken,
    NotYetValid,
    TokenUse,
    VerifiedToken,
    agree,
    parse_segment,
)
from ...effects import Flow, Forget
from ...errors import (
    ConfigurationError,
    NotAuthorizedException,
    Reason,
    SessionTooLargeError,
    TokenExpiredException,
    check_number,
)
from ...models import AuthUser
from ...web.cookie_policy import CookiePolicy
from ...web.cookies import NewCookie
from ..base import Dependencies, NewSession, Postponed
from ..bundle import Bundle
from ..client import StoreClient
from ..codec import LoadedSession
from ..lasting import LastingSessions
from ..lifetimes import LastingSession
from ..record import Record, has_ended, tombstone
from ..refreshing import Pair, revoked
from ..store import Memory, Store
from ..token import MAX_SENT, keys_unavailable, refused
from ..verdicts import Refused, Resolution, SignedIn, user_key
from .codec import B64TOKEN, LABEL, AmplifyCodec, Newest, sign_in_details
from .jar import AmplifyJar
from .wire import AmplifySet, sets_in, user_of

if TYPE_CHECKING:
    from ...web.cookies import SessionCookies

_YEAR: Final = 365 * 24 * 3600  # seconds; amplify-js, adapter-core/constants.ts
_KEPT: Final = 30 * 86_400.0  # seconds for which the end of a session is remembered
_ENDED: Final[frozenset[Reason]] = frozenset(
    {
        *("session_revoked", "user_not_found", "user_not_confirmed", "password_reset_required"),
        *("trigger_refused", "client_not_found"),
    }
)
_UNAUTHENTICATED: Final = "UserUnAuthenticatedException"
_NOT_REFRESHABLE: Final = "TokenRefreshException"
_NO_SET: Final = AmplifySet("", "", b"", b"", b"", b"")
NOBODY: Final = Refused(NotAuthorizedException, "no_session", name=_UNAUTHENTICATED)
_TWO_USERS: Final = Refused(NotAuthorizedException, "duplicate_cookie", name=_UNAUTHENTICATED)


@dataclass(frozen=True, kw_only=True)
class AmplifyCookies:
    """The session is in Amplify JS's own cookies, `CognitoIdentityServiceProvider.*`.

    They are read as Amplify's server does it, and written so that Amplify, in browsers and on
    servers, reads what was written. `AmplifyConfig(cookie=...)` has no part in it.

    `http_only`: False where a browser's Amplify JS signs in and must read the cookies; True where
    the Next adapter does (its server mode, with `AMPLIFY_APP_ORIGIN`), whose cookies no script
    reads: only the tokens' and `LastAuthUser` are then written.
    `same_site`: by default "Lax", and "Strict" with `http_only`. `secure`, `domain`, `path`, and
    `max_age` in seconds (a year): as Amplify was configured (`new CookieStorage({domain, path})`;
    the Next adapter knows no path but `/`). Where they differ a browser keeps two of each.
    `priority`: as in `CookiePolicy`; Amplify JS itself writes none.
    `former_domains`: domains that these cookies were once set for, and are deleted at.
    `refresh_margin`: tokens are refreshed when less than this is left of them (5 seconds).
    `verify_with_cognito_every`: seconds after which Cognito is asked whether the user is signed in
    still (None: only refreshes ask).

    With several app clients, the first counts whose cookies hold an access token. An end of a
    session is remembered by the process that was told of it. No `__Host-` protects these names: a
    sibling subdomain can plant a set of its own.
    `AuthUser.sign_in_details` is what the browser says, and nobody has verified it.
    """

    http_only: bool = False
    same_site: Literal["Strict", "Lax", "None"] | None = None
    secure: bool = True
    domain: str | None = None
    path: str = "/"
    max_age: int = _YEAR
    priority: Literal["Low", "Medium", "High"] | None = None
    former_domains: Sequence[str] = ()
    refresh_margin: float = 5.0
    verify_with_cognito_every: float | None = None

    def __post_init__(self) -> None:
        check_number("refresh_margin", self.refresh_margin, 0, 3600)
        if self.verify_with_cognito_every is not None:
            check_number("verify_with_cognito_every", self.verify_with_cognito_every, 1, 86_400)
        if isinstance(self.former_domains, str) or not isinstance(self.former_domains, Sequence):
            raise ConfigurationError("former_domains: write a list, such as ['example.com']")
        object.__setattr__(self, "former_domains", tuple(self.former_domains))
        for domain in self.former_domains:
            replace(self._policy(), domain=domain)
        self._policy()

    def _policy(self) -> CookiePolicy:
        default: Literal["Strict", "Lax"] = "Strict" if self.http_only else "Lax"
        return CookiePolicy(
            max_age=self.max_age,
            domain=self.domain,
            path=self.path,
            secure=self.secure,
            http_only=self.http_only,
            same_site=self.same_site or default,
            priority=self.priority,
        )

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> "SessionCookies":  # noqa: ARG002
        """Amplify's cookies of these app clients."""
        if clients is None:
            raise ConfigurationError(
                "AmplifyCookies: the cookies' names have the app client's id in them; write "
                "client_id='...' instead of None"
            )
        return AmplifyJar(self._policy(), clients, tuple(self.former_domains))

    def bind(self, around: Dependencies) -> "AmplifySessions":
        """The kind at work."""
        return AmplifySessions(self, around)


class AmplifySessions(LastingSessions):
    """Sessions in Amplify's cookies at work."""

    in_cookie = True
    listed = None
    nobody = NOBODY

    def __init__(self, kind: AmplifyCookies, around: Dependencies) -> None:
        lifetimes = LastingSession(idle=_KEPT, absolute=_KEPT, refresh_margin=kind.refresh_margin)
        super().__init__(lifetimes, around, around.places(), is_shared=False, staleness=None)
        ends = around.memory()
        self._graves = StoreClient(ends, ends, around.all_verdicts)
        self._all_verdicts = around.all_verdicts
        self._grants = around.grants
        clients = None if around.client_ids is None else tuple(sorted(around.client_ids))
        self._cookies = kind.cookies(CookiePolicy(), clients)
        self._newest = Newest()

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """A flow: the finding on the cookies that were sent."""
        try:
            sets = sets_in(value)
            mine = yield from self._fresher(sets, now)
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        if mine is None:
            return Resolution(_TWO_USERS)
        if not mine.access_token:
            return Resolution(NOBODY)
        try:
            details = sign_in_details(mine.sign_in_details)
        except ValueError:
            return Resolution(NOBODY)
        try:
            pair = yield from self._verified(mine, now)
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return _as_amplify(Resolution(refused(error)))
        codec = AmplifyCodec(mine, _owner(pair), details, now)
        loaded = codec.loaded(value=value if len(sets) == 1 else None)
        found = yield from self._successors(loaded, _sign_in(pair.access_token), now)
        if isinstance(found, Refused):
            return _as_amplify(Resolution(found))
        loaded = found[-1]
        if not loaded.is_newer:
            return _as_amplify((yield from self._settled(loaded, pair, now)))
        known: SignedIn | None = self._verdicts.get(loaded.sealed)
        if known is not None and known.held is not None and now < known.held.due_at:
            return Resolution(known, self._new_cookie(loaded, now))
        return (yield from self.settle(loaded, now))

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """A flow: whom the tokens name, good still or not. Raises `KeysUnavailable`."""
        mine = yield from self._fresher(sets_in(value), now)
        if mine is None or not mine.access_token:
            return None
        try:
            pair = yield from self._verified(mine, now)
        except InvalidToken:
            return None
        tombstone, _ = yield from self._graves.ask(Store.load, _sign_in(pair.access_token))
        return _owner(pair) if tombstone is None else None

    def settle(self, loaded: LoadedSession, now: float) -> Flow[Resolution]:
        """A flow: the finding on a session, with Amplify's names for what is wrong with it."""
        return _as_amplify((yield from super().settle(loaded, now)))

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """A flow: the session with fresh tokens; None if there is no refresh token."""
        outcome = yield from super().refresh(verdict, now)
        if not isinstance(outcome, Resolution):
            return outcome
        old = verdict.access_token
        if isinstance(outcome.verdict, SignedIn) and outcome.verdict.access_token != old:
            # Who comes with the old cookies is to hear of the newer ones, and of their end.
            yield from self._forget({old})
        return _as_amplify(outcome)

    def _forget(self, access_tokens: Container[bytes | None]) -> Flow[None]:
        """A flow: whoever comes with these is looked at anew."""
        yield Forget(self._all_verdicts(), lambda known: known.access_token in access_tokens)

    def _fresher(self, sets: tuple[AmplifySet, ...], now: float) -> Flow[AmplifySet | None]:
        """A flow: which set of one user's counts: Next's view, unless the other's tokens are newer.

        None if they are of two users. Raises `KeysUnavailable`.
        """
        if len(sets) < 2:
            return sets[0] if sets else _NO_SET
        good: list[tuple[AmplifySet, str]] = []
        for mine in sets:
            known: SignedIn | None = self._verdicts.get(mine.value)
            if known is not None and now < known.fresh_until:
                good.append((mine, known.user.user_id))
                continue
            try:
                pair = yield from self._verified(mine, now)
            except InvalidToken:
                continue
            good.append((mine, pair.access_token.sub))
        if len({sub for _, sub in good}) > 1:
            return None
        return max(
            [mine for mine, _ in good] or sets[:1], key=lambda mine: _issued_at(mine.access_token)
        )

    def _successors(
        self, loaded: LoadedSession, sign_in: bytes, now: float
    ) -> Flow[list[LoadedSession] | Refused]:
        """A flow: a session, and what refreshes have made of it since; or that it has ended."""
        record, now = yield from self._graves.ask(Store.load, sign_in)
        if record is not None:
            return revoked(record)
        found, known = [loaded], {loaded.codec.key}
        while True:
            record, now = yield from self._store.ask(Store.load, loaded.codec.key)
            if record is None:
                break
            if has_ended(record):
                return revoked(record)
            opened, here = loaded.codec.open(record), _place(loaded)
            if opened is None:
                found[-1] = loaded._replace(bundle=loaded.bundle._replace(turn=record.version))
                break
            bundle, sealed = opened
            (newer,) = sets_in(sealed)
            if not _is_newer(bundle, loaded.bundle):
                found[-1] = loaded._replace(bundle=loaded.bundle._replace(turn=record.version))
                break
            found[-1] = LoadedSession(here, bundle, sealed, is_newer=True)
            codec = here.successor(newer, now)
            if codec.key in known:
                break
            known.add(codec.key)
            loaded = codec.loaded(is_newer=True)
            found.append(loaded)
        return found

    def _read(self, loaded: LoadedSession, now: float) -> Flow[Pair]:
        bundle, mine = loaded.bundle, _place(loaded).mine
        newer = mine._replace(access_token=bundle.access_token, id_token=bundle.id_token)
        return (yield from self._verified(newer, now, most=MAX_TOKEN_BYTES))

    def _verified(self, mine: AmplifySet, now: float, *, most: int = MAX_SENT) -> Flow[Pair]:
        """A flow: what the tokens say. Raises `InvalidToken`, `KeysUnavailable`.

        `most`: bytes that a token may have, by where it comes from; longer ones are not looked at.
        """
        if len(mine.access_token) > most:
            raise InvalidToken("malformed_token")
        client = mine.client
        access, is_good = yield from self._checked(mine.access_token, "access", client, now)
        identity = access
        if 0 < len(mine.id_token) <= most:
            try:
                identity, counts = yield from self._checked(mine.id_token, "id", client, now)
            except InvalidToken:  # as if it had not been sent
                return Pair(access, access, is_good)
            agree(identity, access)
            is_good = is_good and counts
        return Pair(identity, access, is_good)

    def _checked(
        self, token: bytes, use: TokenUse, client: str, now: float
    ) -> Flow[tuple[VerifiedToken, bool]]:
        """A flow: a token that passed all checks, and whether it has not run out."""
        counts, early = True, None
        try:
            verified = yield from self._verifier.verify(token, now)
        except NotYetValid as error:
            verified, early = error.token, error
        except InvalidToken as error:
            if error.reason != "token_expired":  # said only once all else has passed
                raise
            verified, counts = self._verifier.read(token, now), False
        if verified.token_use != use:
            raise InvalidToken("wrong_token_use")
        if verified.client != client:
            raise InvalidToken("wrong_client", verified.client)
        if early is not None:
            raise early
        return verified, counts

    def _user(self, loaded: LoadedSession, pair: Pair) -> AuthUser:
        identity = pair.id_token
        return AuthUser(identity.username, identity.sub, _place(loaded).details)

    def _verdict(
        self, loaded: LoadedSession, pair: Pair, now: float, retry_at: float | None
    ) -> SignedIn:
        token = pair.access_token
        self._newest.note(token.encoded, _sign_in(token), _issued_at(token.encoded))
        return super()._verdict(loaded, pair, now, retry_at)

    def _new_cookie(self, loaded: LoadedSession, now: float) -> NewCookie | None:  # noqa: ARG002
        return None if self._too_large(loaded) else NewCookie(loaded.sealed.decode())

    def _too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:
        size, limit = self._cookies.size(NewCookie(loaded.sealed.decode())), self._cookies.max_bytes
        return SessionTooLargeError(size, limit) if size > limit else None

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A flow: a new session. Raises `SessionTooLargeError`."""
        access_token = new_session.access_token
        mine = AmplifySet(
            client=access_token.client,
            user=user_of(access_token.username, access_token.sub),
            access_token=access_token.encoded,
            id_token=new_session.id_token.encoded,
            refresh_token=new_session.refresh_token or b"",
            sign_in_details=b"",
        )
        if mine.refresh_token and not B64TOKEN.fullmatch(mine.refresh_token):
            raise NotAuthorizedException(reason="malformed_token")
        pair = Pair(new_session.id_token, new_session.access_token)
        codec = AmplifyCodec(mine, _owner(pair), None, now)
        if too_large := self._too_large(codec.loaded()):
            raise too_large
        # It may have been ended before.
        yield from self._store.ask(Store.delete, codec.key)
        _, now = yield from self._graves.ask(Store.delete, _sign_in(new_session.access_token))
        return self._begun(codec.loaded(is_newer=True), new_session, now)

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:
        """A flow: what is to be written, if its session has not ended since; else None.

        None as well if the browser has newer tokens of that sign-in by now: the front end, or
        another tab, may have refreshed while this answer was being made.
        """
        (mine,) = sets_in(cookie.value.encode())
        if self._newest.is_overtaken(mine.access_token):
            return None
        with suppress(InvalidToken):  # of a key that was withdrawn meanwhile: not for us to say
            access = self._verifier.read(mine.access_token, now)
            codec = AmplifyCodec(mine, user_key(access.pool, access.sub), None, now)
            for store, key in ((self._graves, _sign_in(access)), (self._store, codec.key)):
                record, now = yield from store.ask(Store.load, key)
                if has_ended(record):
                    return None
        return cookie

    def _load_again(self, verdict: SignedIn, now: float) -> Flow[LoadedSession | Refused]:
        (mine,) = sets_in(verdict.cookie)
        owner = user_key(verdict.pool, verdict.user.user_id)
        codec = AmplifyCodec(mine, owner, verdict.user.sign_in_details, now)
        sign_in = self._sign_in_of(mine.access_token, now)
        found = yield from self._successors(codec.loaded(), sign_in, now)
        return found if isinstance(found, Refused) else found[-1]

    def contents(self, value: bytes) -> list[Bundle]:  # noqa: ARG002
        """Nothing that could be believed unverified."""
        return []

    def end(
        self, value: bytes, now: float, keep: bytes = b"", *, asks_again: bool = False
    ) -> Flow[list[Bundle]]:
        """A flow: what the sessions were made of whose tokens are verified, and good still.

        Who brings expired ones is not known to be signed in: just their own refresh token is
        revoked.
        """
        bundles: list[Bundle] = []
        record = tombstone(now + _KEPT, asks_again=asks_again)
        for mine in sets_in(value):
            try:
                pair = yield from self._verified(mine, now)
            except NotYetValid as error:  # a clock that is behind keeps nobody from signing out
                pair = Pair(error.token, error.token)
            except (InvalidToken, KeysUnavailable):  # nobody's, as far as can be told
                continue
            codec = AmplifyCodec(mine, _owner(pair), None, now)
            kept = {codec.successor(one, now).key for one in sets_in(keep)}
            ended = yield from self._bury_all(codec.loaded(), record, kept, now)
            tokens = {mine.access_token, *(loaded.bundle.access_token for loaded in ended)}
            going_on = {self._sign_in_of(one.access_token, now) for one in sets_in(keep)}
            for key in {self._sign_in_of(token, now) for token in tokens} - going_on:
                yield from self._graves.ask_quietly(Memory.exchange, key, record)
            yield from self._forget_user(pair.access_token)
            for loaded in ended[-1:]:
                if pair.is_good:
                    bundles.append(loaded.bundle)
                elif loaded.bundle.refresh_token is not None and not keep:
                    yield from self._grants.revoke(pair.access_token, loaded.bundle.refresh_token)
        return bundles

    def _bury_all(
        self, loaded: LoadedSession, end: Record, kept: Container[bytes], now: float
    ) -> Flow[list[LoadedSession]]:
        """A flow: end a session with what refreshes have made of it; nothing if it has ended.

        The tombstone is swapped in at once; the record that it replaces is the last one written.
        """
        found, known = [loaded], {loaded.codec.key}
        while True:
            if loaded.codec.key in kept:
                return found[:-1]
            record, now = yield from self._store.ask_quietly(Memory.exchange, loaded.codec.key, end)
            if has_ended(record):
                return found[1:]
            opened = None if record is None else loaded.codec.open(record)
            if opened is None:
                break
            (newer,) = sets_in(opened[1])
            codec = _place(loaded).successor(newer, now)
            found.append(codec.loaded())
            if codec.key in known:
                break
            known.add(codec.key)
            loaded = found[-1]
        return found

    def _sign_in_of(self, access_token: bytes, now: float) -> bytes:
        """`_sign_in` of an access token that was verified before."""
        return _sign_in(self._verifier.read(access_token, now))

    def _forget_user(self, access: VerifiedToken) -> Flow[None]:
        """A flow: whoever comes with any tokens of this user is looked at anew."""
        owner = access.pool, access.sub
        yield Forget(self._all_verdicts(), lambda known: (known.pool, known.user.user_id) == owner)


def _place(loaded: LoadedSession) -> AmplifyCodec:
    assert isinstance(loaded.codec, AmplifyCodec)  # noqa: S101  # so are all of this kind
    return loaded.codec


def _as_amplify(resolution: Resolution) -> Resolution:
    """A finding with Amplify's name for what is wrong, and its ways of keeping cookies."""
    verdict = resolution.verdict
    if not isinstance(verdict, Refused):
        return resolution
    name = verdict.name
    if name is None and issubclass(verdict.error, NotAuthorizedException):
        is_over = verdict.error is TokenExpiredException
        name = _NOT_REFRESHABLE if is_over else _UNAUTHENTICATED
    clears = verdict.clears and verdict.reason in _ENDED
    return Resolution(verdict._replace(name=name, clears=clears), resolution.cookie)


def _sign_in(access: VerifiedToken) -> bytes:
    """The key of the grave of a sign-in, whatever refresh token comes with its access tokens.

    Cognito names the sign-in in all of its tokens; not where the app client has revocation off:
    there an access token stands for itself.
    """
    origin = access.claims.get("origin_jti")
    named = origin.encode() if isinstance(origin, str) else access.encoded
    owner = user_key(access.pool, access.sub)
    return hashlib.sha256(LABEL + f"sign-in {access.client} {owner} ".encode() + named).digest()


def _owner(pair: Pair) -> str:
    return user_key(pair.access_token.pool, pair.access_token.sub)


def _is_newer(known: Bundle, sent: Bundle) -> bool:
    """Whether what is known of a session is to take the place of what was sent.

    Both name one refresh token, unless the known one has replaced it. Of one second, what was sent
    stays: the browser may have refreshed as well, and later.
    """
    is_rotated = known.refresh_token != sent.refresh_token
    by = _issued_at(known.access_token) - _issued_at(sent.access_token)
    return known.access_token != sent.access_token and (by > 0 or (by == 0 and is_rotated))


def _issued_at(access_token: bytes) -> float:
    """When an access token says that it was issued."""
    try:
        issued_at = parse_segment(access_token.split(b".")[1]).get("iat")
    except (InvalidToken, IndexError):
        return -math.inf
    if isinstance(issued_at, int | float) and abs(issued_at) < 2**53:
        return float(issued_at)
    return -math.inf
