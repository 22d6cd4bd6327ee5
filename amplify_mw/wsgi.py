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

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from .access import Access, Answer, Asked
from .authenticator import Visit
from .config import AmplifyConfig
from .context import CURRENT
from .engine import Engine
from .errors import AuthError
from .headers import TEXT
from .shell import Shell, answer_to, log_refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_VISIT = "amplify_mw.visit"


class AmplifyWSGIMiddleware(Shell):
    """Puts the signed-in user around a WSGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config, protect=["/account/*"])
    """

    def __init__(
        self, app: "WSGIApplication", /, config: AmplifyConfig | Engine, **options: Any
    ) -> None:
        super().__init__(config, **options)
        self.app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        outer = CURRENT.get()
        if (
            outer is not None
            and (outer.pinned or environ.get(_VISIT) is outer)
            and self._passes_through(outer)
        ):
            return self.app(environ, start_response)
        access = Access.OPEN
        if self._rules is not None:
            access = self._rules.of(_text(environ.get("PATH_INFO", "")) or "/")
            if access is Access.IGNORED:
                return self.app(environ, start_response)
        header = environ.get("HTTP_COOKIE", "").encode("latin-1", "replace")
        visit = self._peek(header, self._clock())
        if visit is None:
            visit = self.engine.driver.run(self._home.authenticate(header, self._clock()))
            log_refusal(visit)
        environ[_VISIT] = visit

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            visit.begun = True
            if visit.asked or visit.clears:
                headers = visit.home.finish(visit, headers, TEXT)
            return start_response(status, headers, *exc_info)

        if access is Access.PROTECTED:
            answer = self._guard(visit, access, asked_by(environ))
            if answer is not None:
                return _send(answer, environ, start)
        context = copy_context()
        try:
            body = context.run(_call, visit, self.app, environ, start)
        except AuthError as error:
            return _instead(visit, error, environ, start)
        if type(body) is list or type(body) is tuple or _is_file(body, environ):
            return body
        return _Body(body, context, visit, environ, start)

    def close(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        self.engine.close()


def _call(
    visit: Visit, app: "WSGIApplication", environ: "WSGIEnvironment", start: "StartResponse"
) -> Iterable[bytes]:
    CURRENT.set(visit)
    return app(environ, start)


class _Body:
    """An app's body, every step of which runs in its request's context."""

    def __init__(
        self,
        body: Iterable[bytes],
        context: Context,
        visit: Visit,
        environ: "WSGIEnvironment",
        start: Callable[..., Any],
    ) -> None:
        self._body = body
        self._run = context.run
        self._visit = visit
        self._environ = environ
        self._start = start
        self._next: Callable[[], bytes] | None = None
        self._begun = False
        self._instead: Iterator[bytes] | None = None
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._instead is not None:
            return next(self._instead)
        try:
            if self._next is None:
                self._next = self._run(iter, self._body).__next__
            item = self._run(self._next)
        except AuthError as error:
            if self._begun:
                raise
            self._instead = iter(_instead(self._visit, error, self._environ, self._start))
            return next(self._instead, b"")
        self._begun = self._begun or bool(item)
        return item

    def close(self) -> None:
        """Close the app's body, once."""
        close = getattr(self._body, "close", None)
        if close is not None and not self._closed:
            self._closed = True
            self._run(close)


def _is_file(body: object, environ: "WSGIEnvironment") -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _instead(
    visit: Visit, error: AuthError, environ: "WSGIEnvironment", start: Callable[..., Any]
) -> list[bytes]:
    """Answer in the app's place; with `exc_info` where it had begun, so that the server decides."""
    exc_info = (sys.exc_info(),) if visit.begun else ()
    return _send(answer_to(visit, asked_by(environ), error), environ, start, *exc_info)


def _send(
    answer: Answer, environ: "WSGIEnvironment", start: Callable[..., Any], *exc_info: Any
) -> list[bytes]:
    start(answer.status_line, list(answer.headers), *exc_info)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]


def _text(path: str) -> str:
    """A path as text: WSGI spells its bytes in Latin-1 (PEP 3333); a framework may have decoded."""
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return path


def asked_by(environ: "WSGIEnvironment") -> Asked:
    """What a WSGI request asked for."""
    return Asked(
        method=environ.get("REQUEST_METHOD", "GET"),
        path=_text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
        query=environ.get("QUERY_STRING", ""),
        accept=environ.get("HTTP_ACCEPT", ""),
        sec_fetch_mode=environ.get("HTTP_SEC_FETCH_MODE", ""),
        is_preflight=environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ,
    )


def answer_for(environ: "WSGIEnvironment", error: AuthError) -> Answer:
    """The guard's answer to `error` in a request of this middleware; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    visit = CURRENT.get()
    if visit is None:
        raise error
    return answer_to(visit, asked_by(environ), error)
