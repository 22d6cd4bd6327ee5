"""`TokenSession`: the cookie holds a Cognito ID or access token from another site's sign-in.

Rules:
- The session ends with its token, an hour after sign-in by default. It cannot be refreshed: there
  is no refresh token.
- It cannot be revoked before, unless `verify_with_cognito_every` has Cognito asked.
- A sign-out clears the cookie. This process then sets the same token in no later response, unless
  a new session is started with it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..cognito.keys import KeysUnavailable
from ..cognito.verifier import InvalidToken, NotYetValid, VerifiedToken, Verifier
from ..effects import Ask, Flow
from ..errors import NetworkError, NotAuthorizedException, TokenExpiredException, check_number
from ..models import AuthUser, SignInDetails
from ..naming import named_options
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import NewCookie, SessionCookie
from .base import Dependencies, NewSession
from .record import has_ended, tombstone
from .store import Memory
from .verdicts import NO_COOKIE, NO_SESSION, Refused, Resolution, SignedIn, Verdict, user_key

if TYPE_CHECKING:
    from .bundle import Bundle

MAX_SENT: Final = 8192  # bytes of a token in a cookie: twice what a browser keeps
_OVERHEAD: Final = 1000  # bytes of a verdict's objects beside its token; measured with tracemalloc
_SCOPE: Final = 150  # bytes of a scope in its set, beside its text
_GROUP: Final = 70  # bytes of a group in its tuple, likewise
_SHORTEST: Final = 1_000  # bytes: Cognito's tokens have more
_NONE: Final[frozenset[str]] = frozenset()
_LONGEST_WAIT: Final = 10.0  # seconds: a clock may be set any moment


@named_options
@dataclass(frozen=True)
class TokenSession:
    """The cookie's value is an ID token or an access token of the pool (a JWT)."""

    verify_with_cognito_every: float | None = None
    """Seconds after which to ask Cognito (`GetUser`) if the user is still signed in. It needs
    access tokens with the scope `aws.cognito.signin.user.admin` in the cookie. None (the default):
    never; a token is good until it expires."""

    def __post_init__(self) -> None:
        if self.verify_with_cognito_every is not None:
            check_number("verify_with_cognito_every", self.verify_with_cognito_every, 1, 86_400)

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> SessionCookie:  # noqa: ARG002
        """Its one cookie."""
        return SessionCookie(policy, needs=_SHORTEST)

    def bind(self, around: Dependencies) -> "TokenSessions":
        """The kind at work."""
        return TokenSessions(around.verifier, around.memory())


class TokenSessions:
    """Sessions of a token and nothing else."""

    in_cookie: bool = True
    listed: None = None
    nobody: Refused = NO_SESSION

    def __init__(self, verifier: Verifier, memory: Memory) -> None:
        self._verifier = verifier
        self._memory = memory

    def at_once(self, value: bytes, now: float) -> Verdict | None:
        """The verdict on the token, if its key is at hand."""
        if len(value) > MAX_SENT:
            return refused(InvalidToken("malformed_token"))
        try:
            token = self._verifier.at_once(value, now)
        except InvalidToken as error:
            return refused(error)
        return None if token is None else _signed_in(token)

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """The verdict on the token in the cookie."""
        if len(value) > MAX_SENT:
            return Resolution(refused(InvalidToken("malformed_token")))
        try:
            token = yield from self._verifier.verify(value, now)
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return Resolution(refused(error))
        return Resolution(_signed_in(token))

    def look(self, value: bytes, now: float) -> Flow[Resolution]:
        """The same: there is nothing to refresh."""
        return self.resolve(value, now)

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """The user of the token, if it is valid. Raises `KeysUnavailable`."""
        try:
            token = yield from self._verifier.verify(value, now)
        except InvalidToken:
            return None
        return user_key(token.pool, token.sub)

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:  # noqa: ARG002
        """A session with the ID token in the cookie."""
        verdict = _signed_in(new_session.id_token)
        # It may have been ended before.
        yield Ask(self._memory, Memory.delete, _key(verdict.cookie))
        return Resolution(verdict, NewCookie(verdict.cookie.decode("ascii")))

    def contents(self, value: bytes) -> "list[Bundle]":  # noqa: ARG002
        """None: a token is no bundle."""
        return []

    def end(
        self,
        value: bytes,
        now: float,
        keep: bytes = b"",
        *,
        asks_again: bool = False,  # noqa: ARG002
    ) -> "Flow[list[Bundle]]":
        """Have this process remember the end: no later response sets this token."""
        if value == keep:
            return []
        try:
            token = yield from self._verifier.verify(value, now)
        except (InvalidToken, KeysUnavailable):  # no response would set it
            return []
        yield Ask(self._memory, Memory.exchange, _key(value), tombstone(token.expires_at))
        return []

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:  # noqa: ARG002
        """The cookie, if its session has not ended meanwhile; else None."""
        key = _key(cookie.value.encode("ascii"))
        record, _ = yield Ask(self._memory, Memory.load, key)
        return None if has_ended(record) else cookie

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of the session, and the write that clears its cookie."""
        return verdict.cookie, NO_COOKIE

    def refresh(self, verdict: SignedIn, now: float) -> Flow[None]:  # noqa: ARG002
        """None: there is no refresh token."""
        yield from ()


def _key(value: bytes) -> bytes:
    """The key of a token in this process's memory."""
    import hashlib  # for a sign-in or a sign-out alone

    return hashlib.sha256(b"amplify_mw token session\0" + value).digest()


def keys_unavailable(error: KeysUnavailable) -> Refused:
    """The keys cannot be fetched: the token cannot be checked now."""
    return Refused(NetworkError, "keys_unavailable", retry_after=error.retry_after)


def refused(error: InvalidToken) -> Refused:
    """The token is invalid for good; except one from the future: this machine's clock is behind."""
    if isinstance(error, NotYetValid):
        return not_yet_valid(error)
    expired = error.reason == "token_expired"
    kind = TokenExpiredException if expired else NotAuthorizedException
    return Refused(kind, error.reason, clears=True, claimed=error.claimed)


def not_yet_valid(error: NotYetValid) -> Refused:
    """The token cannot be checked until this machine's clock has caught up with the pool's."""
    wait = min(max(error.wait, 1.0), _LONGEST_WAIT)
    return Refused(NetworkError, error.reason, retry_after=wait)


def _signed_in(token: VerifiedToken) -> SignedIn:
    user, cookie, size = user_in(token), token.encoded, _OVERHEAD
    id_token: bytes | None = cookie
    access_token, scopes = None, _NONE
    if token.token_use == "access":  # noqa: S105  # no password
        id_token, access_token, scopes = None, cookie, scopes_of(token)
    if user.groups or scopes:
        size = size_of(user.groups, scopes)
    issuer, pool, ends, fresh = token.issuer, token.pool, token.expires_at, token.fresh_until
    size += len(cookie)
    # In the order of the fields: keywords would cost 0.25 µs a new session.
    return SignedIn(user, cookie, issuer, pool, id_token, access_token, scopes, ends, fresh, size)


def user_in(token: VerifiedToken, details: SignInDetails | None = None) -> AuthUser:
    """The user and the groups in a token."""
    groups = token.claims.get("cognito:groups")
    groups = () if groups is None else _names(groups)
    return AuthUser(token.username, token.sub, details, groups)


def scopes_of(token: VerifiedToken) -> frozenset[str]:
    """The scopes in an access token."""
    scope = token.claims.get("scope")
    return frozenset(_names(scope.split(" "))) if isinstance(scope, str) else _NONE


def size_of(groups: tuple[str, ...], scopes: frozenset[str]) -> int:
    """Bytes of a verdict beside its tokens, roughly."""
    size = _OVERHEAD
    for name in groups:
        size += _GROUP + len(name)
    for name in scopes:
        size += _SCOPE + len(name)
    return size


def _names(claim: Any) -> tuple[str, ...]:
    """The names in a claim, if it is a list of strings as it should be."""
    if not claim or not isinstance(claim, list):
        return ()
    return tuple([name for name in claim if type(name) is str and name])
