"""A site with sign-in routes on a real server, and a page of somebody else's beside it.

The user pool is at 127.0.0.1 and the site at localhost: for a browser, these are different sites,
as an app and its user pool's domain are. `elsewhere.localhost` is a third one. The site's own host
with another port is the same site and another origin.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from amplify_mw import (
    AuthRoutes,
    CookiePolicy,
    NotAuthorizedException,
    StoredSession,
    end_session,
    end_session_by_handle,
    get_current_user,
    list_sessions,
    start_session,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.seal import key_text
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.requests import request_header
from tests.browser.servers import asgi_server, wsgi_server
from tests.shells import ASGIShell, Shell

SESSION = "amplify-session"
KEYS = [key_text(bytes([7]) * 32)]
ELSEWHERE = "elsewhere.localhost"
NEIGHBOUR = "localhost"
# For what the browser alone decides, or what both shells hand to the same code.
ONE_SHELL = pytest.mark.parametrize("shell", [ASGIShell()], ids=["asgi"])

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The site</title></head>
<body><h1>{user} is at {path}</h1>
<p><a href="/account">My account</a> <a href="/auth/sign-in?next=/account">Sign in</a>
<a href="/auth/sign-in?next=/account&amp;prompt=login">Show who you are</a>
<a href="/auth/sign-in?next=/account&amp;max_age=60">Show it if that is long ago</a>
<a href="/auth/sign-in?next=/account&amp;provider=google">Sign in with Google</a>
<a href="/auth/sign-out">Leave by a link</a> <a href="/leave">Leave by the app</a>
<a href="/members">Members</a></p>
<form method="post" action="/auth/sign-out"><button>Leave by a form</button></form>
<form method="post" action="/notes"><button>Make a note</button></form></body></html>
"""


_WORKER = b"""self.addEventListener("activate", event => event.waitUntil(clients.claim()));
self.addEventListener("fetch", event => event.respondWith(fetch(event.request)));
"""


class Clock:
    """This machine's time when it was made (browsers judge cookies by that), moved by hand."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Site:
    """An app behind one of the shells.

    `asked`: the requests that have come; behind it `(prefetch)`, where a browser asks ahead, and
    `(passed on)`, where a service worker does for a page. `answered`: the same with their statuses.
    `notes`: who has made notes by its form. `headers`: what it says of its pages.

    `/enter` signs `ada` in at once, for tests of what comes afterwards; `/leave` signs out;
    `/end-others` ends the user's sessions in other browsers; `/members` sends everybody to the
    sign-in routes; `/worker.js` is a service worker that passes on whatever it is asked.
    """

    def __init__(
        self, pool: LocalUserPool, clock: Clock, port: int, host: str = "localhost"
    ) -> None:
        self.pool = pool
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.notes: list[str] = []
        self.headers = [("Content-Type", "text/html; charset=utf-8")]
        self.origin = f"http://{host}:{port}"
        self.engine: Engine
        self.store = MemoryStore(clock=clock)

    def url(self, path: str) -> str:
        return self.origin + path

    def answer(self, method: str, path: str) -> bytes:
        """The app: a page that says who has come where."""
        if path == "/worker.js":
            return _WORKER
        if path == "/enter":
            start_session(self.pool.sign_in("ada"))
        if path == "/leave":
            end_session()
        if path == "/end-others":
            for one in list_sessions():
                assert one.is_current or end_session_by_handle(one.handle)
        try:
            user = get_current_user().username
        except NotAuthorizedException:
            user = "nobody"
        if (method, path) == ("POST", "/notes"):
            self.notes.append(user)
        return _PAGE.format(user=user, path=path).encode()

    def _head(self, path: str) -> tuple[int, list[tuple[str, str]]]:
        if path == "/members":
            return 302, [*self.headers, ("Location", "/auth/sign-in?next=/account")]
        if path == "/worker.js":
            return 200, [("Content-Type", "text/javascript")]
        return 200, self.headers

    def wsgi(self, environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        body = self.answer(environ["REQUEST_METHOD"], path)
        status, headers = self._head(path)
        start_response(f"{status} Said", headers)
        return [body]

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        body = await asyncio.to_thread(self.answer, scope["method"], scope["path"])
        status, said = self._head(scope["path"])
        headers = [(name.lower().encode(), value.encode()) for name, value in said]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(
    door: "Door", shell: Shell, pool: LocalUserPool, clock: Clock, routes: Any, options: Any
) -> Iterator[Site]:
    """A site behind a door. `routes`, `options`: of `AuthRoutes`, and of the configuration.

    `options` may have the `host` under which it is known, too.
    """
    site = Site(pool, clock, door.port, options.pop("host", "localhost"))
    given = {
        "session": StoredSession(site.store),
        "cookie": CookiePolicy.for_origin(site.origin),
        "protect": ["/account", "/orders"],
        "routes": AuthRoutes(origin=site.origin, keys=KEYS, **routes),
    }
    site.engine = Engine(pool.config(**{**given, **options}), clock=clock)
    app = site.asgi if shell.kind == "asgi" else site.wsgi
    door.app, door.asked = shell.middleware(app, site.engine), site.asked
    door.answered = site.answered
    try:
        yield site
    finally:
        site.engine.close()
        site.store.close()


class Door:
    """A server that outlives the app it serves."""

    app: Any
    asked: list[str]
    answered: list[str]
    port: int

    def wsgi(self, environ: Any, start_response: Any) -> Any:
        request = self._note(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ)
        statuses: list[str] = []

        def start(status: str, *args: Any) -> Any:
            statuses.append(status)
            return start_response(status, *args)

        body = self.app(environ, start)
        self._note_answer(request, statuses[-1][:3])
        return body

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        request = self._note(scope["method"], scope["path"], scope["headers"])
        statuses: list[int] = []

        async def noting_send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])
            await send(message)

        await self.app(scope, receive, noting_send)
        self._note_answer(request, str(statuses[-1]))

    def _note(self, method: str, path: str, headers: object) -> str | None:
        """Note a request; what it is called. None: the browser asks for this when it likes."""
        if path in ("/favicon.ico", "/worker.js"):
            return None
        ahead = " (prefetch)" if request_header(headers, "Sec-Purpose") else ""
        sent = [request_header(headers, f"Sec-Fetch-{name}") for name in ("Mode", "Dest")]
        passed_on = " (passed on)" if sent == [["navigate"], ["empty"]] else ""
        self.asked.append(f"{method} {path}{passed_on}{ahead}")
        return self.asked[-1]

    def _note_answer(self, request: str | None, status: str) -> None:
        if request is not None:
            self.answered.append(f"{request} {status}")


@contextmanager
def door(kind: str) -> Iterator[Door]:
    """A door on a server of a shell's kind."""
    made = Door()
    serve = asgi_server(made.asgi) if kind == "asgi" else wsgi_server(made.wsgi)
    with serve as made.port:
        yield made


class Stranger:
    """Pages of somebody else, by what is to be in their bodies."""

    def __init__(self, port: int, pages: dict[str, str]) -> None:
        self.port = port
        self._pages = pages

    def shows(self, html: str, host: str = ELSEWHERE) -> str:
        """The address of a page with this body."""
        path = f"/{len(self._pages)}"
        self._pages[path] = html
        return f"http://{host}:{self.port}{path}"


@contextmanager
def stranger() -> Iterator[Stranger]:
    pages: dict[str, str] = {}

    def app(environ: Any, start_response: Any) -> Any:
        html = pages.get(environ["PATH_INFO"], "")
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [f"<!doctype html><title>Another's</title><body>{html}".encode()]

    with wsgi_server(app) as port:
        yield Stranger(port, pages)
