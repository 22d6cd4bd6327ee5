"""`AmplifyCookies`: the cookies of an Amplify JS or Next.js front end, read and written as it does.

Rules:
- Only verified tokens say who the user is: see `tokens`. `clockDrift` is not read, since any script
  can write it: it prolongs nothing.
- The front end owns these cookies. They are cleared if Cognito itself or this server's app has
  ended the session, and kept in every other case.
- If the refresh token was used already, the cookies stay: newer ones may be on their way to the
  browser.
- This process remembers what came of a session's tokens: see `memory`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ...cognito.grants import Grants
from ...cognito.keys import KeysUnavailable
from ...cognito.verifier import InvalidToken, NotYetValid
from ...effects import Flow
from ...errors import (
    ConfigurationError,
    NotAuthorizedException,
    Reason,
    SessionTooLargeError,
    TokenExpiredException,
    check_number,
)
from ...models import AuthUser
from ...naming import named_options
from ...web.cookie_policy import CookiePolicy
from ...web.cookies import NewCookie
from ..base import Dependencies, NewSession, Postponed
from ..bundle import Bundle
from ..codec import LoadedSession
from ..lifetimes import AHEAD, DEFAULT_TOKEN_BYTES, PATIENCE, check_refreshing
from ..record import Record, tombstone
from ..refreshing import Pair
from ..settling import Settler
from ..token import keys_unavailable, refused, user_in
from ..verdicts import NO_COOKIE, Refused, Resolution, SignedIn, Verdict, user_key
from .codec import AmplifyCodec, is_b64token, sign_in_details
from .jar import AmplifyJar
from .memory import SessionMemory, sign_in_key
from .tokens import AmplifyTokens, DifferentUsers
from .wire import AmplifySet, SetsValue, sets_in, user_of

if TYPE_CHECKING:
    from ...web.cookies import SessionCookies

_YEAR: Final = 365 * 24 * 3600  # seconds; amplify-js, adapter-core/constants.ts
_KEPT: Final = 30 * 86_400.0  # seconds for which the end of a session is remembered
_LEASE: Final = 10.0  # seconds
_ENDED: Final[frozenset[Reason]] = frozenset(
    {
        *("session_revoked", "user_not_found", "user_not_confirmed", "password_reset_required"),
        *("trigger_refused", "client_not_found"),
    }
)
_UNAUTHENTICATED: Final = "UserUnAuthenticatedException"
_NOT_REFRESHABLE: Final = "TokenRefreshException"
_Settle: TypeAlias = Callable[[LoadedSession, Pair, float], Flow[Resolution]]
NOBODY: Final = Refused(NotAuthorizedException, "no_session", name=_UNAUTHENTICATED)
_TWO_USERS: Final = Refused(NotAuthorizedException, "duplicate_cookie", name=_UNAUTHENTICATED)


@named_options
@dataclass(frozen=True, kw_only=True)
class AmplifyCookies:
    """The session is in Amplify JS's own cookies, `CognitoIdentityServiceProvider.*`.

    They are read as Amplify's server reads them, and written so that Amplify can read them, in
    browsers and on servers. `AmplifyConfig(cookie=...)` has no effect on them.

    With several app clients, the first one with an access token in its cookies counts. The end of
    a session is remembered by the process that handled it. No `__Host-` prefix protects these
    names: a sibling subdomain can plant a set of its own.
    `AuthUser.sign_in_details` comes from the browser and is not verified.
    """

    http_only: bool = False
    """Whether scripts are kept from the cookies. Default: False.

    False if Amplify JS signs in in the browser, and has to read them. True if the Next adapter does
    (its server mode, with `AMPLIFY_APP_ORIGIN`): only the tokens' cookies and `LastAuthUser` are
    written then.
    """

    same_site: Literal["Strict", "Lax", "None"] | None = None
    """As in `CookiePolicy`. Default: None, which is "Lax", or "Strict" with `http_only`.

    Like the next four, as Amplify is configured: a browser would keep two of each cookie otherwise.
    """

    secure: bool = True
    """Sent over https only. Default: True. False is for a site on plain http."""

    domain: str | None = None
    """The cookies' domain, as in `new CookieStorage({domain})`. Default: None, their own host."""

    path: str = "/"
    """The cookies' path, as in `new CookieStorage({path})`. Default: `/`, the Next adapter's."""

    max_age: int = _YEAR
    """Seconds for which a browser keeps the cookies. Default: a year."""

    priority: Literal["Low", "Medium", "High"] | None = None
    """As in `CookiePolicy`. Default: None, as Amplify JS writes them."""

    former_domains: Sequence[str] = ()
    """Domains of these cookies in the past; the cookies are deleted there. Default: none."""

    refresh_margin: float = 5.0
    """Seconds before their expiry at which a request waits for new tokens.

    Default: 5, at most 3,600, and half of the tokens' life.
    """

    refresh_ahead: float = AHEAD
    """Seconds before their expiry at which tokens are refreshed, while requests go on with them.

    Default: 300, at most 3,600, and a quarter of the tokens' life. The next response has the new
    cookies. 0 turns it off.
    """

    patience: float = PATIENCE
    """Seconds for which a request waits for new tokens while the present ones are good.

    Then it goes on with those. Default: 0.3, at most 60.
    """

    verify_with_cognito_every: float | None = None
    """Seconds after which Cognito is asked again whether the user is still signed in.

    Default: None, only refreshes ask. From 1 to 86,400.
    """

    def __post_init__(self) -> None:
        check_refreshing(self.refresh_margin, self.refresh_ahead, self.patience)
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


class _Lifetimes:
    """Cognito alone decides how long these sessions last; this process forgets ends after a while.

    The lease is one among the threads of this process.
    """

    def __init__(self, kind: AmplifyCookies) -> None:
        self.refresh_margin: float = kind.refresh_margin
        self.refresh_ahead: float = kind.refresh_ahead
        self.patience: float = kind.patience
        self.lease: float = _LEASE
        self.longest_token: float = DEFAULT_TOKEN_BYTES

    def ends_at(self, bundle: Bundle) -> float:  # noqa: ARG002
        return math.inf

    def extends_at(self, bundle: Bundle) -> float:  # noqa: ARG002
        return math.inf

    def gone_at(self, bundle: Bundle) -> float:
        return bundle.created_at + _KEPT


class _Form:
    """How these sessions read their tokens and write their cookies."""

    def __init__(self, tokens: AmplifyTokens, memory: SessionMemory, jar: "SessionCookies") -> None:
        self._tokens = tokens
        self._memory = memory
        self._jar = jar

    def read(self, loaded: LoadedSession, now: float) -> Flow[Pair]:
        bundle, mine = loaded.bundle, _codec(loaded).mine
        newer = mine._replace(access_token=bundle.access_token, id_token=bundle.id_token)
        return self._tokens.verify_kept(newer, now)

    def user(self, loaded: LoadedSession, pair: Pair) -> AuthUser:
        """The user that the ID token names. The sign-in's newest access token is noted."""
        self._memory.note(pair.access_token, _codec(loaded).sign_in)
        return user_in(pair.id_token, _codec(loaded).details)

    def new_cookie(self, loaded: LoadedSession, now: float) -> NewCookie | None:  # noqa: ARG002
        return None if self.too_large(loaded) else NewCookie(loaded.sealed.decode())

    def too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:
        size, limit = self._jar.size(NewCookie(loaded.sealed.decode())), self._jar.max_bytes
        return SessionTooLargeError(size, limit) if size > limit else None


class AmplifySessions:
    """Sessions in Amplify's cookies at work."""

    in_cookie: bool = True
    listed: None = None
    nobody: Refused = NOBODY

    def __init__(self, kind: AmplifyCookies, around: Dependencies) -> None:
        clients = None if around.client_ids is None else tuple(sorted(around.client_ids))
        jar = kind.cookies(CookiePolicy(), clients)
        self._verdicts = around.verdicts
        self._grants: Grants = around.grants
        self._tokens = AmplifyTokens(around.verifier, around.verdicts)
        self._memory = SessionMemory(around, self._tokens)
        self._form = _Form(self._tokens, self._memory, jar)
        self._settler = Settler(
            self._form,
            _Lifetimes(kind),
            around,
            self._memory.places,
            is_shared=False,
            staleness=None,
        )

    def at_once(self, value: bytes, now: float) -> Verdict | None:
        """The verdict on one set of cookies with good tokens, and nothing due or remembered."""
        if not isinstance(value, SetsValue) or not value.is_plain or self._waiting(value, now):
            return None
        (mine,) = value.sets
        try:
            details = sign_in_details(mine.sign_in_details)
            pair = self._tokens.at_once(mine, now)
        except ValueError:
            return None
        except InvalidToken as error:
            expired = error.reason == "token_expired"  # which a refresh may mend
            return None if expired else _as_amplify(Resolution(refused(error))).verdict
        if pair is None:
            return None
        codec = AmplifyCodec(mine, _owner(pair), details, now)
        codec.sign_in = sign_in_key(pair.access_token)
        if self._memory.knows_more(codec.key, codec.sign_in):
            return None
        return self._settler.at_once(codec.loaded(value=value), pair, now)

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """The resolution of the cookies that were sent."""
        return (yield from self._answer(value, now, self._settle))

    def look(self, value: bytes, now: float) -> Flow[Resolution]:
        """The same without a refresh."""
        return (yield from self._answer(value, now, self._look))

    def _answer(self, value: bytes, now: float, settle: _Settle) -> Flow[Resolution]:
        """The resolution of cookies, in Amplify's words. `settle`: of a session's tokens."""
        try:
            return _as_amplify((yield from self._resolve(value, now, settle)))
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return _as_amplify(Resolution(refused(error)))

    def _resolve(self, value: bytes, now: float, settle: _Settle) -> Flow[Resolution]:
        """The same. Raises `InvalidToken` and `KeysUnavailable`."""
        sets = sets_in(value)
        try:
            mine = yield from self._tokens.choose(sets, now)
        except DifferentUsers:
            return Resolution(_TWO_USERS)
        if mine is None or not mine.access_token:
            return Resolution(NOBODY)
        try:
            details = sign_in_details(mine.sign_in_details)
        except ValueError:
            return Resolution(NOBODY)
        waiting, pair = self._waiting(mine.value, now), None
        if waiting is not None:
            latest = yield from self._load_again(waiting, now)
        else:
            pair = yield from self._tokens.verify_sent(mine, now)
            codec = AmplifyCodec(mine, _owner(pair), details, now)
            loaded = codec.loaded(value=value if len(sets) == 1 else None)
            latest = yield from self._memory.latest(loaded, pair.access_token, now)
        if isinstance(latest, Refused):
            return Resolution(latest)
        if waiting is not None and not latest.is_newer:
            return Resolution(waiting)
        if pair is not None and not latest.is_newer:
            return (yield from settle(latest, pair, now))
        known: SignedIn | None = self._verdicts.get(latest.sealed)
        if known is not None and known.held is not None and now < known.held.due_at:
            return Resolution(known, self._form.new_cookie(latest, now))
        return (yield from settle(latest, (yield from self._form.read(latest, now)), now))

    def _waiting(self, value: bytes, now: float) -> SignedIn | None:
        """The verdict on tokens whose refresh is under way, or was put off: they are known."""
        known: SignedIn | None = self._verdicts.get(value)
        held = None if known is None else known.held
        return known if held is not None and held.is_waiting and now < held.due_at else None

    def _look(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[Resolution]:
        """The resolution of a session as it is: its cookies cannot be set."""
        yield from ()
        return self._settler.as_sent(loaded, pair, now)

    def _settle(self, loaded: LoadedSession, pair: Pair, now: float) -> Flow[Resolution]:
        """The resolution of a session, which is refreshed if that is due."""
        resolution, retry_at, now = yield from self._settler.renew(loaded, pair, now)
        if resolution is not None:
            return resolution
        return self._settler.resolution(loaded, pair, now, retry_at)

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """The `user_key` of the tokens, even if they have expired. Raises `KeysUnavailable`."""
        try:
            mine = yield from self._tokens.choose(sets_in(value), now)
            if mine is None or not mine.access_token:
                return None
            pair = yield from self._tokens.verify_sent(mine, now)
        except (DifferentUsers, InvalidToken):
            return None
        has_ended = yield from self._memory.is_ended(pair.access_token)
        return None if has_ended else _owner(pair)

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The session with fresh tokens; None if there is no refresh token."""
        loaded = yield from self._load_again(verdict, now)
        outcome = yield from self._settler.refresh(loaded, now)
        if not isinstance(outcome, Resolution):
            return outcome
        old = verdict.access_token
        if isinstance(outcome.verdict, SignedIn) and outcome.verdict.access_token != old:
            # Requests with the old cookies get the newer ones, and hear of their end.
            yield from self._memory.forget(old)
        return _as_amplify(outcome)

    def _load_again(self, verdict: SignedIn, now: float) -> Flow[LoadedSession | Refused]:
        """The session of a verdict as it is now, or its end."""
        (mine,) = sets_in(verdict.cookie)
        owner = user_key(verdict.pool, verdict.user.user_id)
        codec = AmplifyCodec(mine, owner, verdict.user.sign_in_details, now)
        access = self._tokens.read(mine.access_token, now)
        return (yield from self._memory.latest(codec.loaded(), access, now))

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session. Raises `SessionTooLargeError`."""
        access_token = new_session.access_token
        mine = AmplifySet(
            client=access_token.client,
            user=user_of(access_token.username, access_token.sub),
            access_token=access_token.encoded,
            id_token=new_session.id_token.encoded,
            refresh_token=new_session.refresh_token or b"",
            sign_in_details=b"",
        )
        if mine.refresh_token and not is_b64token(mine.refresh_token):
            raise NotAuthorizedException(reason="malformed_token")
        pair = Pair(new_session.id_token, access_token)
        codec = AmplifyCodec(mine, _owner(pair), None, now)
        if too_large := self._form.too_large(codec.loaded()):
            raise too_large
        now = yield from self._memory.begin(codec, access_token)
        return self._settler.resolution(codec.loaded(is_newer=True), pair, now)

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:
        """The cookies to be written, if their session has not ended since; else None.

        None as well if the browser has newer tokens of that sign-in by now: the front end, or
        another tab, may have refreshed while this answer was being made.
        """
        (mine,) = sets_in(cookie.value.encode())
        return None if (yield from self._memory.is_outdated(mine, now)) else cookie

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of a verdict's session alone, and what clears its cookies."""
        return verdict.cookie, NO_COOKIE

    def contents(self, value: bytes) -> list[Bundle]:  # noqa: ARG002
        """Nothing: unverified tokens are not believed."""
        return []

    def end(
        self, value: bytes, now: float, keep: bytes = b"", *, asks_again: bool = False
    ) -> Flow[list[Bundle]]:
        """End the sessions whose tokens are verified; the bundles of those that are still good.

        Expired tokens do not prove that their sender is signed in: only their own refresh token is
        revoked.
        """
        bundles: list[Bundle] = []
        record = tombstone(now + _KEPT, asks_again=asks_again)
        for mine in sets_in(value):
            try:
                pair = yield from self._tokens.verify_sent(mine, now)
            except NotYetValid as error:  # a clock that is behind keeps nobody from signing out
                pair = Pair(error.token, error.token)
            except (InvalidToken, KeysUnavailable):  # nobody's, as far as can be told
                continue
            bundle = yield from self._end(mine, pair, record, keep, now)
            if bundle is not None:
                bundles.append(bundle)
        return bundles

    def _end(
        self, mine: AmplifySet, pair: Pair, record: Record, keep: bytes, now: float
    ) -> Flow[Bundle | None]:
        """End the session of a verified set; its newest bundle, if its tokens were good."""
        loaded = AmplifyCodec(mine, _owner(pair), None, now).loaded()
        latest = yield from self._memory.end(loaded, record, sets_in(keep), now)
        yield from self._memory.forget_user(pair.access_token)
        if latest is None or pair.is_good:
            return None if latest is None else latest.bundle
        if latest.bundle.refresh_token is not None and not keep:
            yield from self._grants.revoke(pair.access_token, latest.bundle.refresh_token)
        return None


def _codec(loaded: LoadedSession) -> AmplifyCodec:
    assert isinstance(loaded.codec, AmplifyCodec)  # noqa: S101  # so are all of this kind
    return loaded.codec


def _as_amplify(resolution: Resolution) -> Resolution:
    """A resolution with Amplify's error name, and its rules for clearing cookies."""
    verdict = resolution.verdict
    if not isinstance(verdict, Refused):
        return resolution
    name = verdict.name
    if name is None and issubclass(verdict.error, NotAuthorizedException):
        is_over = verdict.error is TokenExpiredException
        name = _NOT_REFRESHABLE if is_over else _UNAUTHENTICATED
    clears = verdict.clears and verdict.reason in _ENDED
    return Resolution(verdict._replace(name=name, clears=clears), resolution.cookie)


def _owner(pair: Pair) -> str:
    return user_key(pair.access_token.pool, pair.access_token.sub)
