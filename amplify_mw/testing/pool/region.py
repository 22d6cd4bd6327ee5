"""The server of a local user pool in one Region: its endpoints, and the faults put in their way.

Rules:
- All servers of a pool have the same users, keys and sign-ins, under one lock. It is never held
  while a request waits at a gate or meets a fault.
- Gates, faults and the record of requests are each server's own, and so is its end: the others
  serve on.
- A replica creates no user and changes none (developer guide: multi-Region replication).
- The host of updated issuers has a path of its own, and answers 403 unless the pool has switched.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Final, Self

from werkzeug.wrappers import Request, Response

from . import discovery, pages
from .codes import Codes
from .hosted import Hosted, PageOptions
from .keeping import Keeping
from .ledger import Ledger
from .oauth import Domain, Paths
from .operations import NOT_ENABLED, TARGET_PREFIX, Operations
from .origins import is_preflight, preflight, share
from .refusals import Refused
from .server import ANY_OPERATION, Call, Fault, Gate, LoopbackServer, amz_response
from .tracking import NOBODY, Visitor

UPDATED_HOST: Final = "issuer-cognito-idp"  # the path of its documents


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The common part of a pool's servers, and its options, as `LocalUserPool` describes them.

    `servers`: all of them, the pool's own first. `grace`: of rotation; None without one.
    """

    ledger: Ledger
    keeping: Keeping
    codes: Codes
    pages: PageOptions
    grace: float | None
    origins: tuple[str, ...]
    tls: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    servers: "list[RegionServer]" = field(default_factory=list)

    @contextmanager
    def changing(self, visitor: Visitor = NOBODY) -> Iterator[None]:
        """Hold the lock, and keep what has changed, even by an operation that is refused."""
        with self.lock:
            self.ledger.tracking.visitor = visitor
            try:
                yield
            finally:
                self.keeping.save()


class RegionServer:
    """A pool's server on 127.0.0.1, in one Region. `region`: None for the pool's own."""

    def __init__(self, shared: Shared, region: str | None, port: int) -> None:
        self._shared = shared
        self._ledger = shared.ledger
        self._region = region
        self.user_pool_id: str = shared.ledger.user_pool_id
        self.client_id: str = shared.ledger.client_id
        self._operations = Operations(shared.ledger, grace=shared.grace, region=region)
        self._paths: Paths = {**self._documents(), **self._domain()}
        tls = shared.keeping.context if shared.tls else None
        self._server = LoopbackServer(self._route, port, tls, self._share)
        shared.servers.append(self)

    def _documents(self) -> Paths:
        """The endpoints of the key set and of the OpenID configuration, at both issuers' hosts."""
        original = f"/{self.user_pool_id}/.well-known"
        updated = f"/{UPDATED_HOST}{original}"
        jwks, configuration = self._jwks, self._openid_configuration
        return {
            ("GET", "/"): ("home", lambda _: pages.home()),
            ("GET", f"{original}/jwks.json"): ("jwks", jwks),
            ("GET", f"{original}/openid-configuration"): ("openid-configuration", configuration),
            ("GET", f"{updated}/jwks.json"): ("updated-jwks", partial(self._once_updated, jwks)),
            ("GET", f"{updated}/openid-configuration"): (
                "updated-openid-configuration",
                partial(self._once_updated, configuration),
            ),
        }

    def _domain(self) -> Paths:
        """The endpoints of the pool's domain."""
        shared = self._shared
        hosted = Hosted(
            self._ledger,
            self._operations,
            shared.codes,
            shared.pages,
            lambda: self.issuer,
        )
        domain = Domain(self._ledger, self._operations, shared.codes, self._region)
        paths = {**domain.paths, **hosted.paths}
        if self._region is None:
            return paths
        refused = ("signup", lambda _: pages.problem("OperationNotEnabledException", NOT_ENABLED))
        return {**paths, ("GET", "/signup"): refused, ("POST", "/signup"): refused}

    def start(self) -> None:
        """Serve at the port. Does nothing if it serves already.

        Raises `OSError` if the port is taken, and `StateError` after the pool's `close()`, if
        another pool has taken the state file.
        """
        self._shared.keeping.open()
        try:
            self._server.start()
        except BaseException:
            if not any(server._server.is_running for server in self._shared.servers):
                self._shared.keeping.close()
            raise

    def stop(self) -> None:
        """End this server with its connections and threads. Does nothing if it has ended.

        The address stays known: tokens can be made for a server out of reach, and `start()` serves
        at the same address again. The pool's other servers go on.
        """
        self._server.close()

    @property
    def url(self) -> str:
        """The endpoint, without a trailing slash. Raises `RuntimeError` before the first start."""
        return self._server.url

    @property
    def issuer(self) -> str:
        """The `iss` of the tokens that are issued here from now on."""
        return self._ledger.issuers.of(self._region)

    @property
    def jwks_url(self) -> str:
        """The address of the key set."""
        return f"{self._home}/.well-known/jwks.json"

    @property
    def updated_url(self) -> str:
        """The address in place of `https://issuer-cognito-idp.REGION.amazonaws.com/ID`.

        The key set and the OpenID configuration are below it, as below Amazon's. They answer 403
        while `issuer_type` is not UPDATED.
        """
        return f"{self.url}/{UPDATED_HOST}/{self.user_pool_id}"

    @property
    def _home(self) -> str:
        return f"{self.url}/{self.user_pool_id}"

    @property
    def requests(self) -> list[str]:
        """The operations asked for, in order of arrival: `jwks`, `GetUser`, `InitiateAuth`, ...

        Those of the domain are `authorize`, `login`, `signup`, `logout`, `error`, `token`, `revoke`
        and `userInfo`, by the last part of their path; below `updated_url` it is `updated-jwks`.
        Anything else over HTTP is noted as its method and path. Clear the list to start afresh.
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
        with self._shared.lock:
            password = self._ledger.user(username).password
        if password is None:
            raise ValueError(f"password: of {username!r} the pool knows a verifier alone; write it")
        return password

    def _jwks(self, _request: Request) -> Response:
        return discovery.response(self._ledger.keys.jwks())

    def _openid_configuration(self, request: Request) -> Response:
        home = self.updated_url if request.path.startswith(f"/{UPDATED_HOST}/") else self._home
        members = discovery.configuration(
            self.url,
            self.issuer,
            f"{home}/.well-known/jwks.json",
            has_secret=bool(self._ledger.client_secrets.active),
            adds_iss=self._shared.pages.adds_iss,
        )
        return discovery.response(members)

    def _once_updated(self, document: Callable[[Request], Response], request: Request) -> Response:
        if self._ledger.issuers.known_type != "UPDATED":
            return Response(b'{"message":"Forbidden"}', 403, content_type="application/json")
        return document(request)

    def _route(self, request: Request) -> Call:
        name, endpoint = self._paths.get((request.method, request.path), ("", None))
        if endpoint:
            return Call(name, partial(self._locked, endpoint, request))
        if self._shared.origins and is_preflight(request):
            return Call(f"OPTIONS {request.path}", preflight)
        target = request.headers.get("X-Amz-Target")
        if request.method == "POST" and request.path == "/" and target:
            operation = target.removeprefix(TARGET_PREFIX)
            return Call(operation, partial(self._operate, target, request))
        return Call(f"{request.method} {request.path}", partial(Response, b"", 404))

    def _locked(self, endpoint: Callable[[Request], Response], request: Request) -> Response:
        with self._shared.changing(Visitor.of(request)):
            return endpoint(request)

    def _operate(self, target: str, request: Request) -> Response:
        try:
            with self._shared.changing(Visitor.of(request)):
                answer = self._operations.run(target, request.mimetype, request.get_data())
        except Refused as refused:
            return refused.error.response()
        return amz_response(answer)

    def _share(self, request: Request, response: Response) -> Response:
        return share(request, response, self._shared.origins)


class Replica(RegionServer):
    """A pool's server in another Region, made by `LocalUserPool.replica`.

    It is a context manager, too: it serves, and stops at the end of the `with`. Operations to
    create or change users are refused as `OperationNotEnabledException`.
    """

    def __init__(self, shared: Shared, region: str, port: int) -> None:
        super().__init__(shared, region, port)
        self.region: str = region
        """Its AWS Region, such as `us-west-2`."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
