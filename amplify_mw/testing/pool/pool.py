"""`LocalUserPool`: an Amazon Cognito user pool in this process, with a real HTTP server.

Rules:
- Tokens, answers and errors have the shapes of Cognito's, down to the names of their members.
- One lock guards users, keys and sign-ins (`ledger.py`). It is never held while a request waits at
  a gate or meets a fault.
- The pool's clock decides every time in a token and every expiry.
- What changes is in the state file, if there is one, before anybody is answered (`keeping.py`).
- No repr shows a token, a password or an attribute.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.wrappers import Request, Response

from ...models.session import TokenSet
from . import discovery, pages
from .authorization import AppClient
from .codes import Codes
from .hosted import Hosted
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
from .oauth import Domain, Paths
from .operations import TARGET_PREFIX, Operations, Refused
from .origins import checked_origins, is_preflight, preflight, share
from .outputs import outputs
from .redirects import AlteredRedirect as AlteredRedirect
from .redirects import AuthorizeError as AuthorizeError
from .server import ANY_OPERATION, Call, LoopbackServer, amz_response
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

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

    from ...config.config import AmplifyConfig


class LocalUserPool:
    """A user pool with one app client, served on 127.0.0.1 between `start()` and `close()`.

    It is a context manager, too. After `close()` the address stays known: tokens can be made for a
    pool out of reach, and `start()` serves at the same address again.

    `client_secret`: the app client has a secret and has to show it: as `ClientSecret`, as
    `SECRET_HASH` (InitiateAuth), or by Basic authentication (`/oauth2/token`, `/oauth2/revoke`).
    `issuer`: the `iss` of its tokens, for readers who accept Amazon's address alone and are sent
    here by other means. By default it is the pool's address.
    `clock`: seconds since the epoch, for every time in a token.
    `token_lifetime`: seconds from the issue of an ID or access token until it expires.
    `rotate_refresh_tokens`: a refresh returns a new refresh token, and the old one ends
    `rotation_grace` seconds later.

    The pool's domain, for signing in with a browser, is at `url`, too. `redirect_uris` and
    `logout_uris`: the addresses it may redirect to afterwards (None: any). `identity_providers`:
    the other providers' names, each with its identifiers (`idp_identifier`); those of the users
    count as well. `adds_iss`: `iss` goes with the code or error (RFC 9207), which Cognito does not
    do. `notes`: what the sign-in page says of users, by their names, such as a password.

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
        clock: Callable[[], float] = time.time,
        token_lifetime: int = TOKEN_LIFETIME,
        rotate_refresh_tokens: bool = False,
        rotation_grace: float = 0.0,
        redirect_uris: Iterable[str] | None = None,
        logout_uris: Iterable[str] | None = None,
        identity_providers: Mapping[str, Iterable[str]] = MappingProxyType({}),
        adds_iss: bool = False,
        notes: Mapping[str, str] = MappingProxyType({}),
        key: "RSAKey | None" = None,
        port: int = 0,
        state: str | os.PathLike[str] | None = None,
        origins: Iterable[str] = (),
        tls: bool = False,
    ) -> None:
        self.user_pool_id = user_pool_id
        self.client_id = client_id
        self.client_secret = client_secret
        self._issuer = issuer
        self._adds_iss = adds_iss
        self._origins, self._tls = checked_origins(origins), tls
        self._lock = threading.Lock()
        # A key shared by this process would end with it.
        keys = SigningKeys(key if state is None or key is not None else new_signing_key())
        issuing = (lambda: self.issuer), clock, token_lifetime, keys
        self._ledger = Ledger(user_pool_id, client_id, *issuing)
        grace = rotation_grace if rotate_refresh_tokens else None
        self._operations = Operations(self._ledger, client_secret=client_secret, grace=grace)
        client = _app_client(client_id, redirect_uris, logout_uris)
        self._paths = {**self._documents(), **self._domain(client, identity_providers, notes)}
        self._keeping = Keeping(self._ledger, state)
        self._server = self._new_server(port)
        self._keeping.open()

    def _new_server(self, port: int) -> LoopbackServer:
        tls = self._keeping.context if self._tls else None
        return LoopbackServer(self._route, port, tls, self._share)

    def _documents(self) -> Paths:
        """The endpoints of the key set and of the OpenID configuration."""
        folder = f"/{self.user_pool_id}/.well-known"
        return {
            ("GET", "/"): ("home", lambda _: pages.home()),
            ("GET", f"{folder}/jwks.json"): ("jwks", self._jwks),
            ("GET", f"{folder}/openid-configuration"): (
                "openid-configuration",
                self._openid_configuration,
            ),
        }

    def _domain(
        self,
        client: AppClient,
        identity_providers: Mapping[str, Iterable[str]],
        notes: Mapping[str, str],
    ) -> Paths:
        """The endpoints of the pool's domain."""
        codes = Codes(self._ledger)
        hosted = Hosted(
            self._ledger,
            self._operations,
            codes,
            client,
            identity_providers,
            lambda: self.issuer if self._adds_iss else None,
            notes,
        )
        domain = Domain(self._ledger, self._operations, codes, self.client_secret)
        return {**domain.paths, **hosted.paths}

    def start(self) -> None:
        """Serve at the port. Does nothing if it serves already.

        Raises `OSError` if the port is taken, and `StateError` after a `close()`, if another pool
        has taken the state file.
        """
        self._keeping.open()
        try:
            self._server.start()
        except BaseException:
            self._keeping.close()
            raise

    def close(self) -> None:
        """End the server with its connections and threads. Does nothing if it has ended.

        It lets go of the state file, too; changes from now on are not kept.
        """
        self._server.close()
        self._keeping.close()

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
    def url(self) -> str:
        """The pool's endpoint, without a trailing slash. Raises `RuntimeError` before a start."""
        return self._server.url

    @property
    def issuer(self) -> str:
        """The `iss` of the pool's tokens. Set it to switch the pool to another, as Amazon's may."""
        return self._home if self._issuer is None else self._issuer

    @issuer.setter
    def issuer(self, issuer: str) -> None:
        self._issuer = issuer

    @property
    def jwks_url(self) -> str:
        """The address of the key set."""
        return f"{self._home}/.well-known/jwks.json"

    @property
    def _home(self) -> str:
        return f"{self.url}/{self.user_pool_id}"

    def config(self, **overrides: Any) -> "AmplifyConfig":
        """A configuration for this pool; `overrides` are any of its fields.

        Its `domain` is the pool's own address: `refresh_api="oauth"` needs no more.
        """
        from ...config.config import AmplifyConfig

        pool: dict[str, Any] = {
            "user_pool_id": self.user_pool_id,
            "client_id": self.client_id,
            "endpoint_url": self.url,
            "issuer": self.issuer,
            "client_secret": self.client_secret,
            "domain": self.url,
        }
        return AmplifyConfig(**(pool | overrides))

    def outputs(self) -> dict[str, Any]:
        """The content of an `amplify_outputs.json`, for `from_outputs` and for Amplify JS.

        Amplify's file has no place for an endpoint. A page takes it from the section `custom`:
        `config.Auth.Cognito.userPoolEndpoint = outputs.custom.amplify_mw.endpoint_url`.
        """
        return outputs(
            url=self.url,
            issuer=self.issuer,
            user_pool_id=self.user_pool_id,
            client_id=self.client_id,
            pages=self._origins,
            tls=self._tls,
        )

    @property
    def certificate(self) -> str:
        """The certificate of the pool's `tls`, in PEM, for a browser or a client to trust."""
        with self._lock:
            return self._keeping.certificate().certificate

    @property
    def requests(self) -> list[str]:
        """The operations asked for, in order of arrival: `jwks`, `GetUser`, `InitiateAuth`, ...

        Those of the domain are `authorize`, `login`, `signup`, `logout`, `token`, `revoke` and
        `userInfo`, by the last part of their path. Anything else over HTTP is noted as its method
        and path. Clear the list to start afresh.
        """
        return self._server.requests

    def count(self, operation: str) -> int:
        """How many requests for `operation` have come."""
        return self._server.count(operation)

    def hold(self, operation: str = "*") -> AbstractContextManager[Gate]:
        """Hold the requests of `operation` (`*`: all), in place of sleeping in a test.

        `with pool.hold("GetUser") as gate:` holds them until `gate.release()` or the end of the
        `with`; `gate.wait_for_arrivals(1)` waits until they are there. A held request sees the
        faults, users and keys of the moment when it is released.
        """
        self._check_operation(operation)
        return self._server.hold(operation)

    def fault(self, operation: str, fault: Fault) -> "ExitStack[bool | None]":
        """Put `fault` in the way of `operation` (`*`: all): from now on, to the end of the `with`.

        `fault`: `Down()`, `Lost()`, `Status(503)`, `Throttling()`, `CognitoError(code, message)`,
        `Body(content)`, `Redirect(url)` or `Drip()`; at the domain's pages also
        `AuthorizeError(error, description)` or `AlteredRedirect(parameters)`. Without a `with` it
        stays, until `close()` of the result. Of several faults the newest is met.
        """
        if isinstance(fault, type) or not callable(getattr(fault, "meet", None)):
            name = fault.__name__ if isinstance(fault, type) else "Down"
            raise TypeError(f"fault: write an instance, such as {name}(); got {fault!r}")
        self._check_operation(operation)
        return self._server.fault(operation, fault)

    def _check_operation(self, operation: str) -> None:
        endpoints = {name for name, _ in self._paths.values()}
        known = sorted({ANY_OPERATION} | endpoints | self._operations.names)
        if operation not in known:
            raise ValueError(f"operation: write one of {', '.join(known)}; got {operation!r}")

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
        with self._lock:
            self._ledger.keys.write({}, key=key, algorithm=algorithm)  # which checks the two
            tampering = Tampering(token_use, key, algorithm, claims, header)
            self._ledger.tamperings[entry] = tampering
        ended = ExitStack()
        ended.callback(self._end_tampering, entry)
        return ended

    def _end_tampering(self, entry: object) -> None:
        with self._lock:
            del self._ledger.tamperings[entry]

    def authorize(
        self,
        url: str,
        username: str | None,
        password: str | None = None,
        *,
        cookies: dict[str, str] | None = None,
    ) -> str:
        """Sign a user in at an authorize URL; the address the browser is sent to in the end.

        No browser is needed: redirects and forms go over HTTP, the way a browser would. The result
        is a URL of the app, with `code` or `error`; nothing is asked of the app. `password`: by
        default the right one. `username=None`: nobody fills in a form. `cookies`: the browser's,
        changed in place; by default it is a new one each time.

        Raises `ValueError`, with the page's text, if the pool does not redirect the browser.
        """
        from .browserless import walk  # an HTTP client, which only this needs

        answers = {}
        if username is not None:
            if password is None:
                password = self._password_of(username)
            answers = {"username": username, "password": password}
        return walk(self.url, url, answers, {} if cookies is None else cookies)

    def _password_of(self, username: str) -> str:
        with self._lock:
            password = self._ledger.user(username).password
        if password is None:
            raise ValueError(f"password: of {username!r} the pool knows a verifier alone; write it")
        return password

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
        with self._changing():
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
        with self._changing():
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

    @property
    def usernames(self) -> tuple[str, ...]:
        """The names of the users, in the order of their making."""
        with self._lock:
            return tuple(self._ledger.users)

    def disable_user(self, username: str) -> None:
        """Refuse the user everything from now on."""
        self._change(username, enabled=False)

    def require_password_reset(self, username: str) -> None:
        """Refuse the user everything until a new password is set."""
        self._change(username, status="RESET_REQUIRED")

    def delete_user(self, username: str) -> None:
        """Forget the user. A new one of the same name is somebody else, with another `sub`."""
        with self._changing():
            del self._ledger.users[self._ledger.user(username).username]

    def _change(self, username: str, **changes: Any) -> None:
        with self._changing():
            user = self._ledger.user(username)
            self._ledger.users[username] = replace(user, **changes)

    def jwks(self) -> dict[str, Any]:
        """The public key set, as it is served now."""
        with self._lock:
            return self._ledger.keys.jwks()

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Sign using a new key from now on; its `kid`.

        `keep_old=False` takes the others out of the key set: their tokens are no longer good.
        `mint(..., key=kid)` still signs using them.
        """
        with self._changing():
            return self._ledger.keys.rotate(keep_old=keep_old)

    def sign_in(self, username: str, *, scope: str = SELF_SERVICE_SCOPE) -> TokenSet:
        """Fresh tokens for a user in any state; nothing goes over HTTP."""
        with self._changing():
            ledger = self._ledger
            sign_in = ledger.begin(ledger.user(username), scope, int(ledger.clock()))
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
        with self._lock:
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

    def _jwks(self, _request: Request) -> Response:
        return discovery.response(self._ledger.keys.jwks())

    def _openid_configuration(self, _request: Request) -> Response:
        members = discovery.configuration(
            self.url,
            self.issuer,
            self.jwks_url,
            has_secret=self.client_secret is not None,
            adds_iss=self._adds_iss,
        )
        return discovery.response(members)

    def _route(self, request: Request) -> Call:
        name, endpoint = self._paths.get((request.method, request.path), ("", None))
        if endpoint:
            return Call(name, partial(self._locked, endpoint, request))
        if self._origins and is_preflight(request):
            return Call(f"OPTIONS {request.path}", preflight)
        target = request.headers.get("X-Amz-Target")
        if request.method == "POST" and request.path == "/" and target:
            operation = target.removeprefix(TARGET_PREFIX)
            return Call(operation, partial(self._operate, target, request))
        return Call(f"{request.method} {request.path}", partial(Response, b"", 404))

    def _locked(self, endpoint: Callable[[Request], Response], request: Request) -> Response:
        with self._changing():
            return endpoint(request)

    def _operate(self, target: str, request: Request) -> Response:
        try:
            with self._changing():
                answer = self._operations.run(target, request.mimetype, request.get_data())
        except Refused as refused:
            return refused.error.response()
        return amz_response(answer)

    def _share(self, request: Request, response: Response) -> Response:
        return share(request, response, self._origins)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, and keep what has changed, even by an operation that is refused."""
        with self._lock:
            try:
                yield
            finally:
                self._keeping.save()


def _check_token_use(token_use: object) -> None:
    if token_use not in CLAIMS:
        raise ValueError(f"token_use: write 'id' or 'access'; got {token_use!r}")


def _app_client(
    client_id: str, redirect_uris: Iterable[str] | None, logout_uris: Iterable[str] | None
) -> AppClient:
    return AppClient(
        client_id, _listed("redirect_uris", redirect_uris), _listed("logout_uris", logout_uris)
    )


def _listed(name: str, uris: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(uris, str):  # which would be a list of its characters
        raise TypeError(f"{name}: write a list, such as [{uris!r}]")
    return None if uris is None else frozenset(uris)
