"""The WSGI shell: `AmplifyWSGIMiddleware`.

Rules (PEP 3333):
- The app runs in a context of this request's own: the call, every step of its body, and `close()`.
  Nothing is bound in the server's context, so no worker thread ever keeps a user.
- What the app does with `start_response` (late, twice, not before the first item, `write`) reaches
  the server as it was; headers change only while `start_response` passes them on.
- A finished body (a list, a tuple, the server's own file wrapper) is handed on untouched.
- An `AuthError` that escapes before any body has gone gets the guard's answer; with `exc_info` if
  the app had called `start_response`, so that the server says whether that is still possible.
- Nothing depends on `close()`: some adapters never call it.
"""

# Annotations stay unevaluated: those of the function made for each request would cost 0.2 µs.
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from .access import SAFE_METHODS, Access, Answer, Asked
from .authenticator import Visit
from .config import AmplifyConfig
from .context import bind, bound
from .engine import Engine
from .errors import AuthError
from .headers import TEXT
from .shell import Shell, answer_here, answer_to, log_refusal

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
        self, app: WSGIApplication, /, config: AmplifyConfig | Engine, **options: Any
    ) -> None:
        super().__init__(config, **options)
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
                answer = self._guard(outer, asked_by(environ)) if access is _PROTECTED else None
                if answer is not None:
                    return _send(answer, start_response)
                return self.app(environ, start_response)
        if access is _IGNORED:
            return self.app(environ, start_response)
        if outer is not None and outer.pinned:
            visit = outer.pinned_at(self._home, cookies, environ)
        elif value is None:
            visit = Visit(self._home, self._nobody, cookies, environ, outer)
        elif (verdict := self._known(value)) and self._clock() < verdict.fresh_until:
            visit = Visit(self._home, verdict, cookies, environ, outer)
        else:
            visit = self.engine.driver.run(self._home.authenticate(value, self._clock()))
            visit.of_request(cookies, environ, outer)
            log_refusal(visit)
        environ[_VISIT] = visit

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            visit.begun = True
            visit.headers = None  # nobody asks for them now: no cycle is left for the collector
            if visit.asked or visit.writes is not None:
                if visit.writes is not None:
                    self.engine.driver.run(visit.home.settle(visit))
                headers = visit.home.finish(visit, headers, TEXT, environ)
            if exc_info is None:
                return start_response(status, headers)
            return start_response(status, headers, exc_info)

        if self._route is not None:
            name = self._route(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
            if name is not None:
                flow = self._answer_route(visit, asked_by(environ), name)
                return _send(self.engine.driver.run(flow), start)
        method = environ["REQUEST_METHOD"]
        if access is _PROTECTED or (method != "GET" and method not in SAFE_METHODS):
            path = _text(environ.get("PATH_INFO", "") or "/")
            answer = self._refusal(visit, access, asked_by(environ), path)
            if answer is not None:
                return _send(answer, start)
        context = copy_context()
        try:
            body = context.run(_call, visit, self.app, environ, start)
        except AuthError as error:
            return _instead(visit, environ, start, error)
        if type(body) is list or type(body) is tuple or _is_file(body, environ):
            return body
        return _Body(body, context, partial(_instead, visit, environ, start))

    def _call_unbound(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the app without the user of the request that this one is made within."""
        context = copy_context()
        return _Body(context.run(_call, None, self.app, environ, start_response), context)

    def close(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        self.engine.close()


def _call(
    visit: Visit | None, app: WSGIApplication, environ: WSGIEnvironment, start: StartResponse
) -> Iterable[bytes]:
    bind(visit)
    return app(environ, start)


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
        self._replacement: Iterator[bytes] | None = None
        self._is_closed = False

    # No generator: it would end with the first error of a body that can go on.
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
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
            return next(self._replacement, b"")
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


def _instead(
    visit: Visit, environ: WSGIEnvironment, start: Callable[..., Any], error: AuthError
) -> list[bytes]:
    """Answer in the app's place; with `exc_info` where it had begun, so that the server decides."""
    exc_info = (sys.exc_info(),) if visit.begun else ()
    return _send(answer_to(visit, asked_by(environ), error), start, *exc_info)


def _send(answer: Answer, start: Callable[..., Any], *exc_info: Any) -> list[bytes]:
    start(answer.status_line, list(answer.headers), *exc_info)
    return [answer.body] if answer.body else []


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


def asked_by(environ: WSGIEnvironment) -> Asked:
    """What a WSGI request asked for."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Asked(
        method=environ["REQUEST_METHOD"],
        path=_text(path) or path,
        query=environ.get("QUERY_STRING", ""),
        accept=environ.get("HTTP_ACCEPT", ""),
        sec_fetch_mode=environ.get("HTTP_SEC_FETCH_MODE", ""),
        sec_fetch_site=environ.get("HTTP_SEC_FETCH_SITE", ""),
        is_preflight=environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ,
    )


def answer_for(environ: WSGIEnvironment, error: AuthError) -> Answer:
    """The guard's answer to `error` in a request of this middleware; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    return answer_here(asked_by(environ), error)
