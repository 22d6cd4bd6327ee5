"""The WSGI shell: `AmplifyWSGIMiddleware`.

Rules (PEP 3333):
- The app runs in a context of this request's own: the call, every step of its body, and `close()`.
  Nothing is bound in the server's context, so no worker thread ever keeps a user.
- What the app calls `start_response` with is held until its body is there (a list, a tuple, the
  server's own file wrapper, which are handed on untouched), or the first item of one that is made
  as it is sent; then it goes to the server, with that item. `write` sends it at once. Several
  servers send what they were told first whatever comes later, and some want it before the app
  returns, so the first step of a body is taken here.
- An `AuthError` that escapes before any body has gone gets the guard's answer; with `exc_info` if a
  start has gone to the server, so that it says whether that is still possible.
- A body of the library's own has one item, if an empty one: some servers send headers with it.
- From the start on, a user is gone when the token runs out: a body or a thread may go on for long.
- Nothing depends on `close()`: some adapters never call it.
- An app that has read a protected path under a mount of its own has its response withheld, if
  nobody is signed in.
"""

# Annotations stay unevaluated: those of the function made for each request would cost 0.2 µs.
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from .authenticator import Visit
from .config.config import AmplifyConfig
from .engine.context import bind, bound
from .engine.engine import Engine
from .engine.reports import tell_cookie
from .errors import AuthError
from .shell.shell import Shell, answer_here, answer_to
from .web.answers import Answer, Asked
from .web.headers import TEXT, varied
from .web.mounts import Before, Placing, before_environ, reread_environ, server_mount
from .web.paths import Access
from .web.requests import SAFE_METHODS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Read off its Enum on each request, a member costs 0.05 µs on Python 3.11.
_OPEN, _PROTECTED, _IGNORED = Access.OPEN, Access.PROTECTED, Access.IGNORED
_VISIT = "amplify_mw.visit"


class AmplifyWSGIMiddleware(Shell):
    """Puts the signed-in user around a WSGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config, protect=["/account/*"])
    """

    def __init__(
        self, app: WSGIApplication, config: AmplifyConfig | Engine, **options: Any
    ) -> None:
        super().__init__(app, config, **options)
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        access = _OPEN
        if self._rules is not None:
            access = self._rules.of(_text(environ.get("PATH_INFO", "") or "/"))
        cookie = environ.get("HTTP_COOKIE")
        if cookie is None:
            cookies = value = None
        else:
            cookies = cookie.encode("latin-1", "replace")
            value = self._read(cookies)
        outer = bound()
        if outer is not None:
            is_same = outer.cookies == cookies and environ.get(_VISIT) is outer
            if access is _IGNORED and not (is_same or outer.pinned):
                return self._call_unbound(environ, start_response)
            if self._shares_visit(outer, cookies, is_same=is_same):
                answer = self._guard(outer, self._asked(environ)) if access is _PROTECTED else None
                if answer is not None:
                    start_response(answer.status_line, list(answer.headers))
                    return [answer.body]
                return self._pass(outer, environ, start_response)
        if access is _IGNORED:
            return self._pass(None, environ, start_response)
        if outer is not None and outer.pinned:
            visit = outer.pinned_at(self._home, cookies, environ)
        elif value is None:
            visit = Visit(self._home, self._nobody, cookies, environ, outer)
        elif (verdict := self._known(value)) and self._clock() < verdict.fresh_until:
            visit = Visit(self._home, verdict, cookies, environ, outer)
        else:
            visit = self.engine.driver.run(self._home.authenticate(value, self._clock()))
            visit.of_request(cookies, environ, outer)
            tell_cookie(visit, self._asked, environ)
        environ[_VISIT] = visit
        start = _Start()
        start.visit, start.environ, start.to_server = visit, environ, start_response
        start.held = None
        if self._routes is not None:
            path = environ.get("PATH_INFO", "")
            if self._is_mounted or environ.get("SCRIPT_NAME"):
                path = self._place(*_split_path(environ), environ)[1]
            route = self._find_route(path)
            if route is not None:
                flow = route(visit, self._asked(environ))
                return start.answer(self.engine.driver.run(flow))
        method = environ["REQUEST_METHOD"]
        if access is _PROTECTED or (method != "GET" and method not in SAFE_METHODS):
            path = _text(environ.get("PATH_INFO", "") or "/")
            answer = self._refusal(visit, access, self._asked(environ), path)
            if answer is not None:
                return start.answer(answer)
        context = copy_context()
        app = self.app
        if self._withholds and visit.verdict.user is None:
            app = partial(self._pass, visit)
        context.run(bind, visit)
        try:
            body = context.run(app, environ, start)
            if not (type(body) is list or type(body) is tuple or _is_file(body, environ)):
                body = _Body(body, context, start.answer_instead)
                body.begin(start)
        except AuthError as error:
            return start.answer_instead(error)
        except BaseException:
            visit.begun = visit.lapses = True  # for what the app may have left running
            visit.headers = None
            raise
        if start.held is not None:  # a finished body's: `start.go`, without four more calls
            status, headers = start.held
            if visit.writes is not None:
                headers = start.finished(headers)
            elif visit.asked:
                signed_in = visit.verdict.user is not None
                no_store = self._home.no_store[visit.guarded]
                headers = varied(headers, TEXT, signed_in=signed_in, no_store=no_store)
            start_response(status, headers)
        return body

    def _call_unbound(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the app without the user of the request that this one is made within."""
        context = copy_context()
        context.run(bind, None)
        return _Body(context.run(self._pass, None, environ, start_response), context)

    def _pass(
        self, visit: Visit | None, environ: WSGIEnvironment, start: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Call the app, and withhold what it has made of a protected path for nobody.

        `visit`: None on an ignored path.
        """
        if not self._withholds or (visit is not None and visit.verdict.user is not None):
            return self.app(environ, start)
        withholding = _Withholding(self, visit, environ, start)
        return withholding.over(self.app(environ, withholding.start))

    def _read_otherwise(
        self, visit: Visit | None, before: Before, environ: WSGIEnvironment
    ) -> Answer | None:
        """The answer to nobody in place of what the app has made of another path; mostly None."""
        paths = reread_environ(before, environ, routes=self._inside.routes)
        if not paths:
            return None
        asked = asked_by(before.over(environ), self._place)
        return self._late_refusal(visit, paths, asked)

    def _asked(self, environ: WSGIEnvironment) -> Asked:
        return asked_by(environ, self._place)

    def close(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        self.engine.close()


class _Start:
    """The app's `start_response`: holds what it is told until `go`.

    `held`: the status and the headers. `to_server`: the server's own `start_response`. (Slots that
    are filled by who makes it: that is faster than `__init__`, or than closures.)
    """

    __slots__ = ("environ", "held", "to_server", "visit", "write_on")

    visit: Visit
    environ: WSGIEnvironment
    to_server: StartResponse
    held: Any  # or None, which a type checker would remember
    write_on: Callable[[bytes], object]

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        visit = self.visit
        if visit.begun:
            if self.held is None:  # it has gone: the server says whether there may be another
                return self.send(status, headers, exc_info)
            if exc_info is None:
                raise AssertionError("start_response was called twice without exc_info")
        visit.begun = visit.lapses = True
        visit.headers = None  # nobody asks for them now: no cycle is left for the collector
        self.held = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """The app's `write`, which nothing may hold back."""
        if self.held is not None:
            self.go()
        self.write_on(data)

    def go(self) -> None:
        """Hand on what is held. From now on the app speaks to the server."""
        self.visit.begun = True
        held, self.held = self.held, None
        if held is not None:
            self.write_on = self.send(*held)

    def send(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Start the response, with what the visit has to say; the server's `write`."""
        visit = self.visit
        visit.begun = visit.lapses = True
        visit.headers = None
        if visit.asked or visit.writes is not None:
            headers = self.finished(headers)
        return self.to_server(status, headers, *exc_info)

    def finished(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers, with what the visit has to say now that they go."""
        visit = self.visit
        if visit.writes is not None:
            visit.home.runner.run(visit.home.settle(visit))
        return visit.home.finish(visit, headers, TEXT, self.environ)

    def answer(self, answer: Answer, *exc_info: Any) -> list[bytes]:
        """Send an answer of the library's own."""
        self.send(answer.status_line, list(answer.headers), *exc_info)
        return [answer.body]  # one item, if an empty one

    def answer_instead(self, error: AuthError) -> list[bytes]:
        """Answer in the app's place; with `exc_info` where a start has gone to the server."""
        has_gone = self.visit.begun and self.held is None
        exc_info = (sys.exc_info(),) if has_gone else ()
        self.held = None
        asked = asked_by(self.environ, self.visit.home.mounts.place_of)
        return self.answer(answer_to(self.visit, asked, error), *exc_info)


class _Withholding:
    """Withholds the response of an app that has read a protected path where nobody is signed in."""

    def __init__(
        self,
        middleware: AmplifyWSGIMiddleware,
        visit: Visit | None,
        environ: WSGIEnvironment,
        start: Callable[..., Any],
    ) -> None:
        self._middleware = middleware
        self._visit = visit
        self._environ = environ
        self._start = start
        self._before = before_environ(environ)
        self._has_begun = False
        self.answer: Answer | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """The app's `start_response`."""
        exc = () if exc_info is None else (exc_info,)
        if self.answer is not None:
            return _discard
        self._has_begun = True
        self.answer = self._middleware._read_otherwise(self._visit, self._before, self._environ)
        if self.answer is None:
            return self._start(status, headers, *exc)
        self._start(self.answer.status_line, list(self.answer.headers), *exc)
        return _discard

    def over(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """The app's body, or what is sent in its place."""
        if self.answer is None:
            return body if self._has_begun else _LateBody(body, self)
        _close(body)
        return [self.answer.body]


class _LateBody:
    """The body of an app that begins its response with the first item."""

    def __init__(self, body: Iterable[bytes], withheld: _Withholding) -> None:
        self._body = body
        self._withheld = withheld
        self._next: Callable[[], bytes] | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        if self._next is None:
            self._next = iter(self._body).__next__
        try:
            item = self._next()
        except StopIteration:
            if self._withheld.answer is None:
                raise
        if self._withheld.answer is None:
            return item
        self._is_over = True
        return self._withheld.answer.body

    def close(self) -> None:
        """Close the app's body."""
        _close(self._body)


def _close(body: object) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _discard(data: bytes) -> None:
    """`write` of a response that was withheld."""


class _Body:
    """An app's body, every step of which runs in its request's context.

    `answer`: gives what is sent in the app's place when an `AuthError` escapes before any bytes.
    """

    def __init__(
        self,
        body: Iterable[bytes],
        context: Context,
        answer: Callable[[AuthError], list[bytes]] | None = None,
    ) -> None:
        self._body = body
        self._context = context
        self._answer = answer
        self._next: Callable[[], bytes] | None = None
        self._first: bytes | None = None
        self._replacement: Iterator[bytes] | None = None
        self._is_closed = False

    def begin(self, start: _Start) -> None:
        """Take the first step, then let the start go.

        Where that fails the body is closed: the server will not see it.
        """
        try:
            self._first = next(self, b"")  # if an empty one: some servers send a start with it
            start.go()
        except BaseException:
            self.close()
            raise

    # No generator: it would end with the first error of a body that can go on.
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            item, self._first = self._first, None
            return item
        if self._replacement is not None:
            return next(self._replacement)
        try:
            if self._next is None:
                self._next = self._context.run(iter, self._body).__next__
            item = self._context.run(self._next)
        except AuthError as error:
            if self._answer is None:
                raise
            self._replacement = iter(self._answer(error))
            return next(self._replacement)
        if item:
            self._answer = None  # bytes have gone: too late for another answer
        return item

    def close(self) -> None:
        """Close the app's body, once."""
        close = getattr(self._body, "close", None)
        if close is None or self._is_closed:
            return
        self._is_closed = True
        entered = False

        def closing() -> None:
            nonlocal entered
            entered = True
            close()

        try:
            self._context.run(closing)
        except RuntimeError:
            if entered:
                raise
            self._context.copy().run(close)  # another thread is waiting for the next item


def _is_file(body: object, environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _text(path: str) -> str | None:
    """A path as text: WSGI spells its bytes in Latin-1 (PEP 3333). None if they are no UTF-8."""
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeEncodeError:
        return path  # a framework has decoded it already
    except UnicodeDecodeError:
        return None


def _split_path(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The server's mount and the path below it, as WSGI spells them."""
    return server_mount(environ.get("SCRIPT_NAME", "")), environ.get("PATH_INFO", "")


def asked_by(environ: Mapping[str, Any], place: Placing) -> Asked:
    """What a WSGI request asked for. `place`: tells its mount and public path."""
    mount, path = place(*_split_path(environ), environ)
    return Asked(
        method=environ["REQUEST_METHOD"],
        path=_text(path) or path,
        query=environ.get("QUERY_STRING", ""),
        accept=environ.get("HTTP_ACCEPT", ""),
        sec_fetch_mode=environ.get("HTTP_SEC_FETCH_MODE", ""),
        sec_fetch_site=environ.get("HTTP_SEC_FETCH_SITE", ""),
        is_preflight=environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ,
        mount=mount,
        is_speculative="HTTP_SEC_PURPOSE" in environ,
    )


def answer_for(environ: WSGIEnvironment, error: AuthError) -> Answer:
    """The guard's answer to `error` in a request of this middleware; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    return answer_here(partial(asked_by, environ), error)
