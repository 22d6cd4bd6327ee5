"""Amplify JS and its adapter for Next.js, asked from a test.

`AmplifyJS` runs Node processes: one is a Next.js server whose cookies scripts can read, one is a
Next.js server with HttpOnly cookies (Amplify keeps that choice for the life of a process), one is
a browser. Each starts when it is first asked. Everything of Amplify in them is unmodified.

A Cookie header is text of one character a byte (Latin-1), as WSGI has it and as Node reads it.
"""

import itertools
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.installation import node
from tests.patience import PATIENCE

ORIGIN = "https://app.example.com"  # an AMPLIFY_APP_ORIGIN

Operation = Literal[
    "getCurrentUser", "getCurrentUser twice", "fetchUserAttributes", "fetchAuthSession"
]
PageOperation = Operation | Literal["signIn", "signOut"]
Context = Literal["NextResponse", "Response", "pages", "action", "component"]


def issuer(user_pool_id: str = "eu-west-1_Local0001") -> str:
    """The only `iss` that the adapter believes: make a `LocalUserPool` with it."""
    region = user_pool_id.partition("_")[0]
    return f"https://cognito-idp.{region}.amazonaws.com/{user_pool_id}"


@dataclass(frozen=True)
class Tokens:
    """What Amplify's token store holds. `username` is the one in the cookies' names."""

    username: str
    access_token: str
    id_token: str | None = None
    refresh_token: str | None = None
    clock_drift: int = 0  # milliseconds
    sign_in_details: Mapping[str, str] | None = None

    @classmethod
    def of(cls, pool: LocalUserPool, username: str, *, age: float = 0.0, **changes: Any) -> Self:
        """Those of a user of the pool who signed in `age` seconds ago; `changes` are any fields."""
        start = time.time() - age
        fields = {
            "username": username,
            "access_token": pool.mint(username, "access", issued_at=start),
            "id_token": pool.mint(username, "id", issued_at=start),
            "refresh_token": pool.sign_in(username).refresh_token,
            "sign_in_details": {"loginId": username, "authFlowType": "USER_SRP_AUTH"},
        }
        return cls(**(fields | changes))

    def told(self) -> dict[str, Any]:
        return {
            "username": self.username,
            "accessToken": self.access_token,
            "idToken": self.id_token,
            "refreshToken": self.refresh_token,
            "clockDrift": self.clock_drift,
            "signInDetails": self.sign_in_details,
        }


@dataclass(frozen=True)
class Outcome:
    """What a function of Amplify came to.

    `ok`: what it returned, as JSON: a token is {"token", "payload"}, `undefined` is None.
    `error`: the "name", "message" and "recoverySuggestion" of what it threw, or None.
    `set_cookies`: the Set-Cookie lines that a server sends, or what a page's script assigned to
    `document.cookie`, in order.
    """

    ok: Any
    error: Mapping[str, str | None] | None
    set_cookies: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """The error's."""
        return None if self.error is None else self.error["name"]


@dataclass(frozen=True)
class RouteAnswer:
    """The answer of one of the adapter's own routes."""

    status: int
    location: str | None
    set_cookies: tuple[str, ...]


class Process:
    """A script in a Node process, which carries out orders."""

    def __init__(self, script: Path) -> None:
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        self._writing = threading.Lock()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - until the process ends
        self._process = subprocess.Popen(
            [node(), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={"PATH": os.environ["PATH"], "NODE_ENV": "production"},
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, order: str, **arguments: Any) -> Any:
        """The answer to an order; threads may ask at once."""
        number, future = next(self._numbers), Future[Any]()
        line = json.dumps({"number": number, "do": order, "arguments": arguments}) + "\n"
        assert self._process.stdin is not None
        with self._writing:
            self._asked[number] = future
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        return future.result(PATIENCE)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            future = self._asked.pop(told["number"])
            if "error" in told:
                future.set_exception(AssertionError(told["error"]))
            else:
                future.set_result(told["answer"])
        with self._writing:
            for future in self._asked.values():
                future.set_exception(ConnectionError(f"node has ended: {self._read_complaints()}"))

    def _read_complaints(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")

    def close(self) -> None:
        """End the process. Does nothing if it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(PATIENCE)
        self._process.stdout.close()
        self._complaints.close()


class AmplifyJS:
    """Amplify JS; `scripts` is what `installed()` returned. A context manager."""

    def __init__(self, scripts: Path) -> None:
        self._scripts = scripts
        self._processes: dict[str, Process] = {}
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.close()

    def _process(self, role: str, script: str) -> Process:
        with self._starting:
            if role not in self._processes:
                self._processes[role] = Process(self._scripts / script)
            return self._processes[role]

    def _server(self, origin: str | None) -> Process:
        return self._process("server" if origin is None else "HttpOnly server", "server.mjs")

    @property
    def browser(self) -> Process:
        """The process that pages are in."""
        return self._process("browser", "browser.mjs")

    def versions(self) -> Mapping[str, str]:
        """Of node, and of the packages that are asked here."""
        told: Mapping[str, str] = self._server(None).do("versions")
        return told

    def ask(
        self,
        pool: LocalUserPool,
        cookie: str,
        operation: Operation = "getCurrentUser",
        *,
        context: Context = "NextResponse",
        origin: str | None = None,
        cookies: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> Outcome:
        """What Amplify's server function answers to a request with this Cookie header.

        `context`: what Next gives it: `NextResponse` (a proxy; a route handler), `Response` (a
        route handler), `pages` (getServerSideProps; an API route), `action` or `component`.
        `origin`: the AMPLIFY_APP_ORIGIN, with which cookies become HttpOnly.
        `cookies`: the `runtimeOptions.cookies` of `createServerRunner`.
        `options`: of `fetchAuthSession`, such as {"forceRefresh": True}.
        `fresh`: a server that has not seen the pool's keys yet, nor failed to.
        """
        told = self._server(origin).do(
            "ask",
            **_runner(pool, origin, cookies, fresh),
            cookie=_wire(cookie),
            context=context,
            operation=operation,
            options=options,
        )
        return _outcome(told, "setCookies")

    def write(
        self,
        pool: LocalUserPool,
        tokens: Tokens,
        *,
        context: Context = "NextResponse",
        origin: str | None = None,
        cookies: Mapping[str, Any] | None = None,
        cookie: str | None = None,
    ) -> Outcome:
        """The Set-Cookie lines with which the adapter stores tokens, as after a refresh.

        `cookie`: the request's; by default its LastAuthUser is the tokens' user. Without that the
        adapter names the cookies for a user `username`.
        """
        told = self._server(origin).do(
            "write",
            **_runner(pool, origin, cookies, False),
            cookie=None if cookie is None else _wire(cookie),
            context=context,
            tokens=tokens.told(),
        )
        return _outcome(told, "setCookies")

    def route(
        self, pool: LocalUserPool, cookie: str, slug: str, *, origin: str = ORIGIN
    ) -> RouteAnswer:
        """The answer of an App Router route of the adapter, such as `sign-out-callback`."""
        runner = _runner(pool, origin, None, False)
        told = self._server(origin).do("route", **runner, cookie=_wire(cookie), slug=slug)
        return RouteAnswer(told["status"], told["location"], tuple(told["setCookies"]))

    def bench(
        self,
        pool: LocalUserPool,
        cookie: str,
        *,
        calls: int = 1000,
        context: Context = "NextResponse",
        origin: str | None = None,
    ) -> list[float]:
        """Microseconds of each of so many `getCurrentUser`, one after the other."""
        told: list[float] = self._server(origin).do(
            "bench",
            **_runner(pool, origin, None, False),
            cookie=_wire(cookie),
            context=context,
            calls=calls,
        )
        return told

    def read(self, pool: LocalUserPool, document_cookie: str) -> Any:
        """What a page's token store loads if `document.cookie` is this; None: nobody.

        A dictionary: username, accessToken, idToken, refreshToken, clockDrift, signInDetails, ...
        """
        page = {"cookie": _script(document_cookie)}
        told = self.browser.do("read", page=page, **_pool(pool))
        return _outcome(told, "written").ok

    def ask_page(
        self,
        pool: LocalUserPool,
        document_cookie: str,
        operation: PageOperation = "getCurrentUser",
        options: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """What Amplify's function answers in a page if `document.cookie` is this."""
        page = {"cookie": _script(document_cookie)}
        told = self.browser.do(
            "ask", page=page, operation=operation, options=options or {}, **_pool(pool)
        )
        return _outcome(told, "written")

    def cookie(self, pool: LocalUserPool, tokens: Tokens) -> str:
        """The Cookie header of a browser in which Amplify has stored these tokens."""
        page = self.page()
        page.write(pool, tokens)
        return page.cookie

    def configure(self, outputs: Mapping[str, Any]) -> Any:
        """What `Amplify.configure` makes of an amplify_outputs.json."""
        return self.browser.do("configure", outputs=outputs)

    def page(self, url: str = f"{ORIGIN}/", **storage: Any) -> "Page":
        """A page of a browser without any cookies.

        `storage`: options of the `CookieStorage` that it makes (`domain`, `path`, `expires`,
        `sameSite`, `secure`); without any it is what `Amplify.configure(..., {ssr: true})` makes.
        """
        return Page(self, url, storage or None)


@dataclass
class Page:
    """A page of a browser with a cookie jar."""

    amplify: AmplifyJS = field(repr=False)
    url: str
    storage: Mapping[str, Any] | None = None
    received: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def receive(self, set_cookies: Sequence[str], url: str | None = None) -> None:
        """Take the Set-Cookie lines of a response from `url`."""
        self.received += [(url or self.url, _script(line)) for line in set_cookies]

    @property
    def cookie(self) -> str:
        """The Cookie header that it sends; "" for none."""
        told: str = self._look()["cookie"]
        return told.encode().decode("latin-1")

    @property
    def document_cookie(self) -> str:
        """Likewise, of the cookies that are not HttpOnly."""
        told: str = self._look()["documentCookie"]
        return told.encode().decode("latin-1")

    @property
    def jar(self) -> list[Mapping[str, Any]]:
        """The cookies: key, value, domain, path, hostOnly, httpOnly, secure, sameSite, ..."""
        told: list[Mapping[str, Any]] = self._look()["jar"]
        return told

    def write(self, pool: LocalUserPool, tokens: Tokens) -> Outcome:
        """Let Amplify store tokens, as after a sign-in."""
        return self._do("write", pool, tokens=tokens.told())

    def read(self, pool: LocalUserPool) -> Any:
        """What Amplify's token store loads; None: nobody."""
        return self._do("read", pool).ok

    def ask(
        self,
        pool: LocalUserPool,
        operation: PageOperation = "getCurrentUser",
        options: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """What Amplify's function answers in the page; `signIn`, too, with its input."""
        return self._do("ask", pool, operation=operation, options=options or {})

    def sign_in(self, pool: LocalUserPool, username: str, password: str) -> Outcome:
        """Let Amplify sign a user in with a password."""
        options = {"authFlowType": "USER_PASSWORD_AUTH"}
        given = {"username": username, "password": password, "options": options}
        return self.ask(pool, "signIn", given)

    def _look(self) -> Any:
        return self.amplify.browser.do("look", page=self._told())

    def _do(self, order: str, pool: LocalUserPool, **arguments: Any) -> Outcome:
        told = self.amplify.browser.do(
            order, page=self._told(), storage=self.storage, **_pool(pool), **arguments
        )
        self.received += [(self.url, line) for line in told["written"]]
        return _outcome(told, "written")

    def _told(self) -> dict[str, Any]:
        return {"url": self.url, "received": self.received}


def _outcome(told: Mapping[str, Any], cookies: str) -> Outcome:
    return Outcome(told.get("ok"), told.get("error"), tuple(told[cookies]))


def _pool(pool: LocalUserPool) -> dict[str, Any]:
    config = {"userPoolId": pool.user_pool_id, "userPoolClientId": pool.client_id}
    return {"config": config, "endpoint": pool.url}


def _runner(
    pool: LocalUserPool, origin: str | None, cookies: Mapping[str, Any] | None, fresh: bool
) -> dict[str, Any]:
    return {**_pool(pool), "origin": origin, "cookies": cookies, "fresh": fresh}


def _wire(header: str) -> str:
    """A header, of which every character has to be a byte."""
    header.encode("latin-1")
    return header


def _script(header: str) -> str:
    """A header's text as a browser's scripts see it: its bytes are UTF-8."""
    return header.encode("latin-1").decode("utf-8", "replace")
