"""The users of the local user pool, their sign-ins, and the claims of their tokens.

Rules:
- A user is a frozen value; a change puts another in its place.
- All tokens of one sign-in, refreshed ones too, share an `origin_jti`. Revoking goes by it, and so
  does not depend on the time.
- The given clock decides every time in a token and every expiry.
- A user of another identity provider has no password here, and an `identities` attribute.
- A user read from a state file has a verifier and no password. Anybody else's verifier is made when
  it is first needed.
- Refresh tokens and the cookies of browsers are kept as hashes.
- The scope decides the attributes of an ID token, as at Cognito: all of them, unless it has
  `email` or `phone` without `profile`.
- Nothing here knows HTTP or locks; `LocalUserPool` does.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import uuid4

from .client_secrets import ClientSecrets
from .issuers import Issuers
from .machines import Machines
from .secrecy import fingerprint, is_same
from .signing import SigningKeys, merged, opaque_token
from .srp import Verifier, full_name
from .tracking import Session, Tracking

SELF_SERVICE_SCOPE: Final = "aws.cognito.signin.user.admin"
TOKEN_LIFETIME: Final = 3600  # seconds, as the others
BROWSER_LIFETIME: Final = 3600  # as at Cognito
_VERIFIED: Final = {"email": "email_verified", "phone_number": "phone_number_verified"}
_SCOPED: Final = {
    "email": frozenset({"email", "email_verified"}),
    "phone": frozenset({"phone_number", "phone_number_verified"}),
}
_SOCIAL: Final = frozenset({"Google", "Facebook", "LoginWithAmazon", "SignInWithApple"})

TokenUse = Literal["id", "access"]
UserStatus = Literal["CONFIRMED", "UNCONFIRMED", "RESET_REQUIRED"]


@dataclass(frozen=True, slots=True)
class LocalUser:
    """A user of the pool, as of now; a change makes a new one.

    `attributes` are text, as `GetUser` returns them, without `sub`. `identity_provider`: the other
    provider at which the user signs in, or None. `password`: None if only its `verifier` is known.
    """

    username: str
    sub: str
    password: str | None = field(repr=False)
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: UserStatus = "CONFIRMED"
    enabled: bool = True
    identity_provider: str | None = None
    verifier: Verifier | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The claims shared by all tokens of one sign-in."""

    username: str
    sub: str
    scope: str
    auth_time: int
    origin_jti: str = field(default_factory=lambda: str(uuid4()))
    event_id: str = field(default_factory=lambda: str(uuid4()))
    resource: str | None = None  # the API that access tokens are bound to (RFC 8707)
    acr: str | None = None  # the kind of sign-in, if the app has asked for some


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The sign-in behind a refresh token. Rotation ends it at `ends_at` (seconds)."""

    sign_in: SignIn
    ends_at: float = float("inf")


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """The user, the time and the kind of a browser's sign-in at the pool's domain."""

    username: str
    sub: str
    auth_time: int
    acr: str | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token's issuer, client, time of issue and lifetime."""

    issuer: str
    client_id: str
    issued_at: int
    expires_in: int

    @property
    def claims(self) -> dict[str, Any]:
        """The issuer and the times of a token for a sign-in at its issue."""
        begins, ends = self.issued_at, self.issued_at + self.expires_in
        return {"iss": self.issuer, "iat": begins, "exp": ends, "auth_time": begins}


@dataclass(frozen=True, slots=True)
class Tampering:
    """The change to each token of a kind, in the parameters of `LocalUserPool.mint`."""

    token_use: TokenUse
    key: str
    algorithm: str
    claims: Mapping[str, Any] | None
    header: Mapping[str, Any] | None


class Ledger:
    """The users, keys and sign-ins of one pool and its client.

    `token_lifetime`: of its tokens, in seconds. `region`, in its methods: of the server that issues
    a token, None for the pool's own.
    """

    def __init__(
        self,
        user_pool_id: str,
        client: ClientSecrets,
        issuers: Issuers,
        clock: Callable[[], float],
        token_lifetime: int,
        keys: SigningKeys,
        tracking: Tracking,
    ) -> None:
        self.user_pool_id = user_pool_id
        self.client_id: str = client.client_id
        self.client_secrets = client
        self.token_lifetime = token_lifetime
        self.issuers = issuers
        self.clock = clock
        self.keys = keys
        self.machines: Machines = Machines()
        self.tracking = tracking
        self.users: dict[str, LocalUser] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}  # by their fingerprints
        self.browsers: dict[str, BrowserSession] = {}  # by the fingerprints of their cookies
        self.tamperings: dict[object, Tampering] = {}  # of several for a kind the newest counts
        self._origins: dict[str, set[str]] = {}  # by sub: every origin_jti of the user's tokens
        self._revoked: set[str] = set()  # every origin_jti of a sign-in that has ended

    def user(self, username: str) -> LocalUser:
        """The user of a name. Raises `LookupError`."""
        try:
            return self.users[username]
        except KeyError:
            raise LookupError(f"the pool has no user {username!r}") from None

    def add(self, user: LocalUser) -> None:
        """Add a user. Raises `ValueError` if the name is taken."""
        if user.username in self.users:
            raise ValueError(f"the pool has a user {user.username!r} already")
        self.users[user.username] = user

    def name_of(self, username: str) -> str:
        """The name in a user's verifier."""
        return full_name(self.user_pool_id, username)

    def verifier(self, user: LocalUser) -> Verifier:
        """The verifier of a user's password, made when it is first needed."""
        if user.verifier is not None:
            return user.verifier
        verifier = Verifier.of(self.name_of(user.username), user.password or "")
        self.users[user.username] = replace(user, verifier=verifier)
        return verifier

    def is_password(self, user: LocalUser, password: str) -> bool:
        """Whether this is the user's password."""
        if user.password is None:
            return self.verifier(user).fits(self.name_of(user.username), password)
        return is_same(password, user.password)

    def stamp(self, region: str | None = None) -> Stamp:
        """An ordinary token's: from this pool for its client, from now on."""
        issuer = self.issuers.of(region)
        return Stamp(issuer, self.client_id, int(self.clock()), self.token_lifetime)

    def begin(self, user: LocalUser, scope: str, auth_time: int) -> SignIn:
        """Sign a user in."""
        sign_in = SignIn(user.username, user.sub, scope, auth_time)
        self.note_origin(user.sub, sign_in.origin_jti)
        return sign_in

    def begin_session(self, sign_in: SignIn, origin: str | None = None) -> None:
        """Count a sign-in among the user's sessions. `origin`: see `Session`."""
        for evicted in self.tracking.begin(sign_in.origin_jti, sign_in.sub, origin):
            self.revoke(evicted)

    def sessions_of(self, user: LocalUser) -> dict[str, Session]:
        """A user's sessions by their `origin_jti`, or the fingerprints of their cookies."""
        now = self.clock()
        found = self.tracking.active_tokens
        for key, session in self.tracking.browsers.items():
            browser = self.browsers.get(key)
            if browser is not None and now - browser.auth_time <= BROWSER_LIFETIME:
                found[key] = session
        return {key: session for key, session in found.items() if session.sub == user.sub}

    def end_browser(self, key: str, *, linked: bool = False) -> None:
        """End a browser's sign-in, by its cookie's fingerprint. `linked`: and those through it."""
        self.browsers.pop(key, None)
        session = self.tracking.browsers.pop(key, None)
        for origin_jti in self.tracking.through(session.id) if session and linked else ():
            self.revoke(origin_jti)

    def issue(self, sign_in: SignIn, region: str | None = None) -> tuple[str, str]:
        """A fresh ID token and access token."""
        user, stamp = self.user(sign_in.username), self.stamp(region)
        return (
            self.write("id", id_claims(user, sign_in, stamp)),
            self.write("access", access_claims(user, sign_in, stamp)),
        )

    def issue_bound(
        self, sign_in: SignIn, nonce: str | None, region: str | None = None
    ) -> tuple[str, str]:
        """An ID token and access token for an authorization code (OpenID Connect Core 3.1.3.6)."""
        user, stamp = self.user(sign_in.username), self.stamp(region)
        access_token = self.write("access", access_claims(user, sign_in, stamp))
        bound = {"at_hash": at_hash(access_token), "nonce": nonce}
        claims = merged(id_claims(user, sign_in, stamp), bound)
        return self.write("id", claims), access_token

    def write(self, token_use: TokenUse, claims: Mapping[str, Any]) -> str:
        """A token of this pool, changed by the newest tampering."""
        standing = reversed(self.tamperings.values())
        tampering = next((one for one in standing if one.token_use == token_use), None)
        if tampering is None:
            return self.keys.write(claims)
        return self.keys.write(
            merged(claims, tampering.claims),
            key=tampering.key,
            algorithm=tampering.algorithm,
            header=tampering.header,
        )

    def new_refresh_token(self, sign_in: SignIn) -> str:
        """A refresh token for a sign-in."""
        token = opaque_token()
        self.refresh_tokens[fingerprint(token)] = RefreshToken(sign_in)
        return token

    def refresh_token(self, token: str) -> RefreshToken | None:
        """The sign-in behind a refresh token; None for an unknown one."""
        return self.refresh_tokens.get(fingerprint(token))

    def rotate(self, token: str, grace: float) -> str:
        """A refresh token to go on with; `token` ends in `grace` seconds, or when it did."""
        old = self.refresh_tokens[fingerprint(token)]
        ends_at = min(old.ends_at, self.clock() + grace)
        self.refresh_tokens[fingerprint(token)] = replace(old, ends_at=ends_at)
        return self.new_refresh_token(old.sign_in)

    def note_origin(self, sub: str, origin_jti: str) -> None:
        """Note an `origin_jti` of a user's tokens."""
        self._origins.setdefault(sub, set()).add(origin_jti)

    def revoke(self, origin_jti: str, *, linked: bool = False) -> None:
        """End a sign-in. `linked`: and the browser's that it came through."""
        self._revoked.add(origin_jti)
        session = self.tracking.tokens.pop(origin_jti, None)
        browser = self.tracking.browser_of(session.origin) if session and linked else None
        if browser is not None:
            self.end_browser(browser)

    def revoke_all(self, user: LocalUser) -> None:
        """End all sign-ins of the user so far."""
        for origin_jti in self._origins.get(user.sub, ()):
            self.revoke(origin_jti)

    def is_revoked(self, origin_jti: str) -> bool:
        """Whether a sign-in has been revoked."""
        return origin_jti in self._revoked


def new_user(
    username: str,
    password: str | None,
    *,
    groups: Iterable[str],
    attributes: Mapping[str, str],
    status: UserStatus,
    identity_provider: str | None = None,
) -> LocalUser:
    """A user; `sub` is made unless it is among the attributes, `..._verified` are completed.

    So is `identities` for a user of another provider.
    """
    values = dict(attributes)
    sub = values.pop("sub", None) or str(uuid4())
    for name, verified in _VERIFIED.items():
        if name in values:
            values.setdefault(verified, "false")
    if identity_provider is not None:
        values.setdefault("identities", json.dumps([_identity(username, identity_provider)]))
    attributes = MappingProxyType(values)
    return LocalUser(
        username,
        sub,
        password,
        tuple(groups),
        attributes,
        status,
        identity_provider=identity_provider,
    )


def id_claims(user: LocalUser, sign_in: SignIn, stamp: Stamp) -> dict[str, Any]:
    """The claims of an ID token, which hold the user's attributes."""
    readable = scoped(user.attributes, sign_in.scope)
    attributes = {name: _claim(user, name, value) for name, value in readable.items()}
    return {
        **attributes,
        **_common_claims(user, sign_in, stamp),
        "cognito:username": user.username,
        "aud": stamp.client_id,
        "token_use": "id",
    }


def access_claims(user: LocalUser, sign_in: SignIn, stamp: Stamp) -> dict[str, Any]:
    """The claims of an access token."""
    return {
        **_common_claims(user, sign_in, stamp),
        "client_id": stamp.client_id,
        "token_use": "access",
        "scope": sign_in.scope,
        "username": user.username,
        **({} if sign_in.resource is None else {"aud": sign_in.resource}),
    }


CLAIMS: Final = {"id": id_claims, "access": access_claims}


def _common_claims(user: LocalUser, sign_in: SignIn, stamp: Stamp) -> dict[str, Any]:
    groups = {"cognito:groups": list(user.groups)} if user.groups else {}
    return {
        "sub": user.sub,
        **groups,
        "iss": stamp.issuer,
        "origin_jti": sign_in.origin_jti,
        "event_id": sign_in.event_id,
        "auth_time": sign_in.auth_time,
        **({} if sign_in.acr is None else {"acr": sign_in.acr}),
        "exp": stamp.issued_at + stamp.expires_in,
        "iat": stamp.issued_at,
        "jti": str(uuid4()),
    }


def scoped(attributes: Mapping[str, str], scope: str) -> dict[str, str]:
    """The attributes an app may read with a scope.

    >>> scoped({"email": "ada@example.com", "name": "Ada"}, "openid email")
    {'email': 'ada@example.com'}
    """
    scopes = set(scope.split())
    wanted = [names for name, names in _SCOPED.items() if name in scopes]
    if "profile" in scopes or not wanted:
        return dict(attributes)
    names = frozenset({"identities"}).union(*wanted)
    return {name: value for name, value in attributes.items() if name in names}


def at_hash(access_token: str) -> str:
    """The claim to bind an access token to its ID token (OpenID Connect Core 3.1.3.6)."""
    half = hashlib.sha256(access_token.encode("ascii")).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def _claim(user: LocalUser, name: str, value: str) -> Any:
    """An attribute as an ID token's claim: `..._verified` are booleans, `identities` a list."""
    if name == "identities" and user.identity_provider is not None:
        return json.loads(value)
    return value == "true" if name in _VERIFIED.values() else value


def _identity(username: str, identity_provider: str) -> Mapping[str, str | None]:
    """A member of `identities`, all of whose values are text at Cognito."""
    return {
        "userId": username.removeprefix(f"{identity_provider}_"),
        "providerName": identity_provider,
        "providerType": identity_provider if identity_provider in _SOCIAL else "OIDC",
        "issuer": None,
        "primary": "true",
        "dateCreated": "1700000000000",
    }
