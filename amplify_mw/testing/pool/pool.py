"""`LocalUserPool`: an Amazon Cognito user pool in this process, with a real HTTP server.

Rules:
- Tokens, answers and errors have the shapes of Cognito's, down to the names of their members.
- One lock guards users, keys and sign-ins (`ledger.py`). The endpoints are in `region.py`: a pool
  is the server of its own Region, and may have others.
- The pool's clock decides every time in a token and every expiry.
- What changes is in the state file, if there is one, before anybody is answered (`keeping.py`).
- No repr shows a token, a password or an attribute.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...models.session import TokenSet
from .authorization import SCOPES, AppClient
from .client_secrets import ClientSecrets
from .codes import Codes
from .hosted import PageOptions
from .issuers import Issuers, IssuerType, is_region
from .keeping import Keeping
from .ledger import (
    CLAIMS,
    SELF_SERVICE_SCOPE,
    TOKEN_LIFETIME,
    Ledger,
    Stamp,
    Tampering,
    TokenUse,
    new_user,
)
from .ledger import LocalUser as LocalUser
from .origins import checked_origins
from .outputs import outputs
from .redirects import AlteredRedirect as AlteredRedirect
from .redirects import AuthorizeError as AuthorizeError
from .region import RegionServer, Shared
from .region import Replica as Replica
from .server import Body as Body
from .server import CognitoError as CognitoError
from .server import Down as Down
from .server import Drip as Drip
from .server import Fault as Fault
from .server import Gate as Gate
from .server import Lost as Lost
from .server import Redirect as Redirect
from .server import Status as Status
from .server import Throttling as Throttling
from .signing import SigningKeys, merged, new_signing_key
from .state import StateError as StateError
from .tracking import MOST_PER_USER, Tracking, checked_most

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

    from ...config.config import AmplifyConfig


class LocalUserPool(RegionServer):
    """A user pool with one app client, served on 127.0.0.1 between `start()` and `close()`.

    It is a context manager, too. After `close()` the address stays known: tokens can be made for a
    pool out of reach, and `start()` serves at the same address again.

    `client_secret`: the app client has a secret and has to show it: as `ClientSecret`, as
    `SECRET_HASH` (InitiateAuth), or by Basic authentication (`/oauth2/token`, `/oauth2/revoke`).
    There may be two for a time (`add_client_secret`), which are kept in `state`.
    `issuer`: the `iss` of its tokens, for readers who accept Amazon's address alone and are sent
    here by other means. By default it is the pool's address.
    `issuer_type`: the tokens name Amazon's issuer of this type, and the pool may be switched from
    one to the other while people are signed in. `config()` accepts both.
    `clock`: seconds since the epoch, for every time in a token.
    `token_lifetime`: seconds from the issue of an ID or access token until it expires.
    `rotate_refresh_tokens`: a refresh returns a new refresh token, and the old one ends
    `rotation_grace` seconds later.
    `track_sessions`: users list and end their sessions at Cognito (`ListUserSessions`,
    `RevokeUserSession`, `RevokeAssociatedSessions`). They have at most `max_sessions_per_user`
    sign-ins (1 to 100): the next one ends the one least recently used. Without it the two answer
    `OperationNotEnabledException`, a guess from that error's description; Cognito documents none.

    The pool's domain, for signing in with a browser, is at `url`, too. `redirect_uris` and
    `logout_uris`: the addresses it may redirect to afterwards (None: any). `identity_providers`:
    the other providers' names, each with its identifiers (`idp_identifier`); those of the users
    count as well. `scopes`: those of resource servers, such as `orders/read`, that the app client
    may ask for, beside the usual ones. `adds_iss`: `iss` goes with the code or error (RFC 9207),
    which Cognito does not do. `notes`: what the sign-in page says of users, by their names, such as
    a password.

    `key`: an RSA key to sign with. By default all pools of this process share one, made when the
    first of them needs it; their tokens differ in `iss`. If two pools of one `issuer` have to
    refuse each other's tokens, write `key=new_signing_key()`.

    `port`: to serve at; by default any free one. `state`: the path of a file for users (without
    their passwords), keys and sign-ins. They are there again in the next process, and nobody is
    signed out meanwhile; the address has to stay, so name a `port`, too. One pool at a time may use
    the file. Raises `StateError` if the file cannot be used.
    `origins`: web pages that may ask the pool, such as `http://localhost:5173`. `tls`: https is
    spoken at the same port, too, with a `certificate` of the pool's own, which is kept in `state`.

    >>> with LocalUserPool() as pool:
    ...     user = pool.add_user("ada", email="ada@example.com", groups=["admins"])
    ...     tokens = pool.sign_in("ada")
    >>> user.username, user.groups, tokens
    ('ada', ('admins',), TokenSet())
    """

    def __init__(
        self,
        *,
        user_pool_id: str = "eu-west-1_Local0001",
        client_id: str = "local-client",
        client_secret: str | None = None,
        issuer: str | None = None,
        issuer_type: IssuerType | None = None,
        clock: Callable[[], float] = time.time,
        token_lifetime: int = TOKEN_LIFETIME,
        rotate_refresh_tokens: bool = False,
        rotation_grace: float = 0.0,
        track_sessions: bool = False,
        max_sessions_per_user: int = MOST_PER_USER,
        redirect_uris: Iterable[str] | None = None,
        logout_uris: Iterable[str] | None = None,
        identity_providers: Mapping[str, Iterable[str]] = MappingProxyType({}),
        scopes: Iterable[str] = (),
        adds_iss: bool = False,
        notes: Mapping[str, str] = MappingProxyType({}),
        key: "RSAKey | None" = None,
        port: int = 0,
        state: str | os.PathLike[str] | None = None,
        origins: Iterable[str] = (),
        tls: bool = False,
    ) -> None:
        secrets = ClientSecrets(client_id, client_secret, clock)
        issuers = Issuers(user_pool_id, lambda: self._home, issuer, issuer_type)
        tracking = Tracking(checked_most(track_sessions, max_sessions_per_user), clock)
        kept = issuers, clock, token_lifetime, _keys(key, state), tracking
        ledger = Ledger(user_pool_id, secrets, *kept)
        client = _app_client(client_id, redirect_uris, logout_uris, scopes)
        options = PageOptions(client, identity_providers, adds_iss, notes)
        parts = ledger, Keeping(ledger, state), Codes(ledger), options
        grace = rotation_grace if rotate_refresh_tokens else None
        shared = Shared(*parts, grace, checked_origins(origins), tls)
        super().__init__(shared, None, port)
        shared.keeping.open()

    def close(self) -> None:
        """End all servers of the pool with their connections and threads, if they have not ended.

        It lets go of the state file, too; changes from now on are not kept. `stop()` ends only the
        server of the pool's own Region.
        """
        for server in self._shared.servers:
            server.stop()
        self._shared.keeping.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def issuer(self) -> str:
        """The `iss` of the pool's tokens. Set it for another, of any form."""
        return super().issuer

    @issuer.setter
    def issuer(self, issuer: str) -> None:
        with self._shared.changing():
            self._ledger.issuers.name(issuer)

    @property
    def issuer_type(self) -> IssuerType | None:
        """The type of `issuer`: `ORIGINAL`, `UPDATED`, or None if it is not one of Amazon's.

        Set it to switch the pool. Tokens from now on name the other issuer; those of before stay
        good until they expire, and refresh tokens go on. Raises `ValueError` if it was None.
        """
        return self._ledger.issuers.known_type

    @issuer_type.setter
    def issuer_type(self, issuer_type: IssuerType) -> None:
        with self._shared.changing():
            self._ledger.issuers.switch(issuer_type)

    def replica(self, region: str, *, port: int = 0) -> Replica:
        """A server of this pool in another Region, such as `us-west-2`. It serves at once.

        It has the same users, keys and sign-ins, and serves until `stop()`, or until the pool's
        `close()`; it can be started again. `pool.stop()` leaves it alone. With the issuer type
        ORIGINAL its tokens name its own Region. `config()` and `outputs()` tell its address.

        `port`: to serve at; by default any free one. Raises `ValueError` if the Region has a server
        already, and `OSError` if the port is taken.
        """
        if not is_region(region):
            raise ValueError(f"region: write an AWS Region, such as 'us-west-2'; got {region!r}")
        if region in {self._ledger.issuers.own_region, *self._replicas}:
            raise ValueError(f"region: the pool has a server in {region} already")
        replica = Replica(self._shared, region, port)
        try:
            replica.start()
        except BaseException:
            self._shared.servers.remove(replica)
            raise
        with self._shared.changing():
            self._ledger.issuers.regions.add(region)
        return replica

    @property
    def _replicas(self) -> dict[str, Replica]:
        servers = self._shared.servers
        return {server.region: server for server in servers if isinstance(server, Replica)}

    @property
    def regions(self) -> dict[str, str]:
        """The addresses of the replicas by Region, as the option `regions` of `AmplifyConfig`."""
        return {region: replica.url for region, replica in self._replicas.items()}

    def config(self, **overrides: Any) -> "AmplifyConfig":
        """A configuration for this pool; `overrides` are any of its fields.

        Its `domain` is the pool's own address: `refresh_api="oauth"` needs no more. Without an
        issuer type the one `issuer` of now is accepted, with one both of Amazon's. `regions` are
        those of the replicas so far.
        """
        from ...config.config import AmplifyConfig

        pool: dict[str, Any] = {
            "user_pool_id": self.user_pool_id,
            "client_id": self.client_id,
            "endpoint_url": self.url,
            "domain": self.url,
        }
        if self._ledger.issuers.type is None:
            pool["issuer"] = self.issuer
        secrets = self.client_secrets
        if secrets:
            pool["client_secret"] = secrets[0] if len(secrets) == 1 else list(secrets)
        if self.regions:
            pool["regions"] = self.regions
        return AmplifyConfig(**(pool | overrides))

    def outputs(self) -> dict[str, Any]:
        """The content of an `amplify_outputs.json`, for `from_outputs` and for Amplify JS.

        Amplify's file has no place for an endpoint. A page takes it from the section `custom`:
        `config.Auth.Cognito.userPoolEndpoint = outputs.custom.amplify_mw.endpoint_url`.
        """
        return outputs(
            url=self.url,
            issuer=self.issuer if self._ledger.issuers.type is None else None,
            regions=self.regions,
            user_pool_id=self.user_pool_id,
            client_id=self.client_id,
            pages=self._shared.origins,
            tls=self._shared.tls,
        )

    @property
    def client_secrets(self) -> tuple[str, ...]:
        """The app client's secrets, the newest first; none for a public client."""
        with self._shared.lock:
            return tuple(secret.value for secret in self._ledger.client_secrets.active[::-1])

    @property
    def client_secret(self) -> str | None:
        """The newest of `client_secrets`; None for a public client."""
        return next(iter(self.client_secrets), None)

    def add_machine(
        self, client_id: str, secret: str | None = None, *, scopes: Iterable[str]
    ) -> str:
        """Add an app client for client credentials, and return its secret.

        A program gets a token at `/oauth2/token` with both. `scopes`: those it may have, such as
        `orders/write`. `secret`: by default a random one. Name the client in the configuration,
        too: `pool.config(client_id=[pool.client_id, "orders-job"])`. Raises `ValueError` if the
        pool has this client already.
        """
        with self._shared.changing():
            return self._ledger.machines.add(client_id, secret, scopes)

    def ensure_machine(
        self, client_id: str, secret: str | None = None, *, scopes: Iterable[str]
    ) -> str:
        """The same for a client that may be there already: it gets these scopes.

        It keeps its secret, unless it is given another.
        """
        with self._shared.changing():
            return self._ledger.machines.ensure(client_id, scopes, secret)

    @property
    def machines(self) -> dict[str, str]:
        """The secrets of the machines, by their clients' ids."""
        with self._shared.lock:
            return self._ledger.machines.secrets

    def add_client_secret(self, secret: str | None = None) -> str:
        """Give the app client a second secret, by default one like Cognito's, and return it.

        From now on both are right everywhere. Raises `ValueError` if there are two already, and
        `LookupError` for a client without a secret.
        """
        with self._shared.changing():
            return self._ledger.client_secrets.add(secret).value

    def delete_client_secret(self, secret: str | None = None) -> None:
        """Delete one of the app client's two secrets; by default the older one.

        Raises `ValueError` if it is the last one, and `LookupError` if there is no such secret.
        """
        with self._shared.changing():
            secrets = self._ledger.client_secrets
            if not secrets.active:
                raise LookupError("the client has no secret")
            wanted = secrets.active[0].value if secret is None else secret
            ids = [one.id for one in secrets.active if one.value == wanted]
            secrets.delete(ids[0] if ids else "none of that value")

    @property
    def session_page_size(self) -> int:
        """The most sessions in one answer to ListUserSessions: 125. Set less to see pages of it."""
        return self._operations.sessions.page_size

    @session_page_size.setter
    def session_page_size(self, size: int) -> None:
        self._operations.sessions.page_size = size

    @property
    def certificate(self) -> str:
        """The certificate of the pool's `tls`, in PEM, for a browser or a client to trust."""
        with self._shared.lock:
            return self._shared.keeping.certificate().certificate

    def tamper(
        self,
        token_use: TokenUse = "id",  # noqa: S107 - a kind of token, not a secret
        *,
        key: str = "current",
        algorithm: str = "RS256",
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> "ExitStack[bool | None]":
        """Issue wrong tokens of a kind: from now on, to the end of the `with`.

        The words are those of `mint`: `claims={"nonce": None}`, `claims={"aud": "another"}`,
        `algorithm="none"`. Without a `with` it stays, until `close()` of the result. Of several for
        one kind the newest counts.
        """
        _check_token_use(token_use)
        entry = object()
        with self._shared.lock:
            self._ledger.keys.write({}, key=key, algorithm=algorithm)  # which checks the two
            tampering = Tampering(token_use, key, algorithm, claims, header)
            self._ledger.tamperings[entry] = tampering
        ended = ExitStack()
        ended.callback(self._end_tampering, entry)
        return ended

    def _end_tampering(self, entry: object) -> None:
        with self._shared.lock:
            del self._ledger.tamperings[entry]

    def add_user(
        self,
        username: str,
        password: str = "correct horse",  # noqa: S107 - a made-up one, for made-up users
        *,
        groups: Iterable[str] = (),
        confirmed: bool = True,
        identity_provider: str | None = None,
        attributes: Mapping[str, str] | None = None,
        **more_attributes: str,
    ) -> LocalUser:
        """Add a user. Attributes are keywords (`email=...`) or, for any name, `attributes`.

        A `sub` is made unless one is among them; with `email` goes an `email_verified` of
        "false", likewise for `phone_number`. Raises `ValueError` if the user exists.

        `identity_provider`: the user signs in there (`Google`, or any name) and has no password
        here. Such a user has an `identities` attribute and is in a group of the provider's; Cognito
        would name it `Google_1234`.
        """
        if identity_provider is not None:
            groups = (*groups, f"{self.user_pool_id}_{identity_provider}")
        user = new_user(
            username,
            password,
            groups=groups,
            attributes={**(attributes or {}), **more_attributes},
            status="CONFIRMED" if confirmed else "UNCONFIRMED",
            identity_provider=identity_provider,
        )
        with self._shared.changing():
            self._ledger.add(user)
        return user

    def ensure_user(
        self,
        username: str,
        password: str = "correct horse",  # noqa: S107 - a made-up one, for made-up users
        *,
        groups: Iterable[str] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> LocalUser:
        """Add a user, or give the user of this name this password, these groups and attributes.

        The `sub` of a user that is there stays, and so do the sign-ins: for a pool with a `state`.
        """
        with self._shared.changing():
            old = self._ledger.users.get(username)
            user = new_user(
                username,
                password,
                groups=groups,
                attributes={**({"sub": old.sub} if old else {}), **(attributes or {})},
                status="CONFIRMED",
            )
            if old is not None and self._ledger.is_password(old, password):
                user = replace(user, verifier=self._ledger.verifier(old))
            self._ledger.users[username] = user
        return user

    def change_user(
        self,
        username: str,
        *,
        groups: Iterable[str] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> LocalUser:
        """Give a user other groups, and these attributes in place of those of the same names.

        None leaves them. Tokens from now on have them; password and sign-ins stay. Raises
        `LookupError` if there is no such user.
        """
        with self._shared.changing():
            user = self._ledger.user(username)
            user = replace(
                user,
                groups=user.groups if groups is None else tuple(groups),
                attributes=MappingProxyType({**user.attributes, **(attributes or {})}),
            )
            self._ledger.users[username] = user
        return user

    @property
    def usernames(self) -> tuple[str, ...]:
        """The names of the users, in the order of their making."""
        with self._shared.lock:
            return tuple(self._ledger.users)

    def disable_user(self, username: str) -> None:
        """Refuse the user everything from now on."""
        self._change(username, enabled=False)

    def require_password_reset(self, username: str) -> None:
        """Refuse the user everything until a new password is set."""
        self._change(username, status="RESET_REQUIRED")

    def delete_user(self, username: str) -> None:
        """Forget the user. A new one of the same name is somebody else, with another `sub`."""
        with self._shared.changing():
            del self._ledger.users[self._ledger.user(username).username]

    def _change(self, username: str, **changes: Any) -> None:
        with self._shared.changing():
            user = self._ledger.user(username)
            self._ledger.users[username] = replace(user, **changes)

    def jwks(self) -> dict[str, Any]:
        """The public key set, as it is served now."""
        with self._shared.lock:
            return self._ledger.keys.jwks()

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Sign using a new key from now on; its `kid`.

        `keep_old=False` takes the others out of the key set: their tokens are no longer good.
        `mint(..., key=kid)` still signs using them.
        """
        with self._shared.changing():
            return self._ledger.keys.rotate(keep_old=keep_old)

    def sign_in(self, username: str, *, scope: str = SELF_SERVICE_SCOPE) -> TokenSet:
        """Fresh tokens for a user in any state; nothing goes over HTTP."""
        with self._shared.changing():
            ledger = self._ledger
            sign_in = ledger.begin(ledger.user(username), scope, int(ledger.clock()))
            ledger.begin_session(sign_in)
            return TokenSet(*ledger.issue(sign_in), ledger.new_refresh_token(sign_in))

    def mint(
        self,
        username: str,
        token_use: TokenUse = "id",  # noqa: S107 - a kind of token, not a secret
        *,
        expires_in: float | None = None,
        issued_at: float | None = None,
        client_id: str | None = None,
        issuer: str | None = None,
        key: str = "current",
        algorithm: str = "RS256",
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """A token for a user, right or wrong in any way.

        `expires_in`: seconds (default: the pool's `token_lifetime`) after `issued_at` (default:
        now); both are whole seconds in the token.
        `key`: `current`, a `kid` the pool ever had, or `unknown`, which is in no key set.
        `algorithm`: `RS256` and its like, `none` (no signature), or `HS256` with the public key
        (PEM) as its secret. `claims` and `header` are merged last; None removes a member.
        """
        _check_token_use(token_use)
        with self._shared.lock:
            ordinary = self._ledger.stamp()
            stamp = Stamp(
                issuer or ordinary.issuer,
                client_id or ordinary.client_id,
                ordinary.issued_at if issued_at is None else int(issued_at),
                ordinary.expires_in if expires_in is None else int(expires_in),
            )
            user = self._ledger.user(username)
            sign_in = self._ledger.begin(user, SELF_SERVICE_SCOPE, stamp.issued_at)
            members = merged(CLAIMS[token_use](user, sign_in, stamp), claims)
            if "origin_jti" in members:
                self._ledger.note_origin(user.sub, str(members["origin_jti"]))
            return self._ledger.keys.write(members, key=key, algorithm=algorithm, header=header)


def _check_token_use(token_use: object) -> None:
    if token_use not in CLAIMS:
        raise ValueError(f"token_use: write 'id' or 'access'; got {token_use!r}")


def _keys(key: "RSAKey | None", state: object) -> SigningKeys:
    # A key shared by this process would end with it.
    return SigningKeys(key if state is None or key is not None else new_signing_key())


def _app_client(
    client_id: str,
    redirect_uris: Iterable[str] | None,
    logout_uris: Iterable[str] | None,
    scopes: Iterable[str],
) -> AppClient:
    return AppClient(
        client_id,
        _listed("redirect_uris", redirect_uris),
        _listed("logout_uris", logout_uris),
        (*SCOPES, *sorted(_listed("scopes", scopes) or ())),
    )


def _listed(name: str, values: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(values, str):  # which would be a list of its characters
        raise TypeError(f"{name}: write a list, such as [{values!r}]")
    return None if values is None else frozenset(values)
