"""The WSGI shell: `AmplifyWSGIMiddleware`.

Rules (PEP 3333):
- The visit is bound around the call, every step of the body, and `close()`, in the server's own
  context: the app's contextvars behave as without us. Between these nothing is bound, so no worker
  thread keeps a user.
- The visit ends with a finished body (a list, a tuple, the server's file wrapper) or the call's
  error at once, else with the body: see `shell.wsgi_response`. A body may go on for long: from the
  start of the response on, the user is gone when the token expires.
- An app that has read a protected path under a mount of its own has its response withheld, if
  nobody is signed in.
- How a response is held, answered in the app's place and closed is in `shell.wsgi_response`.
"""

# Annotations stay unevaluated: those of the function made for each request would cost 0.2 µs.
from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from .authenticator import BEGUN, Visit
from .config.checks import MISSING
from .config.config import AmplifyConfig
from .engine.context import bind, unbind
from .engine.engine import Engine
from .errors import AuthError
from .shell.shell import PassOn, Shell
from .shell.wsgi_request import asked_by, split_path, text_of
from .shell.wsgi_response import Body, Start, is_file
from .web.answers import Answer, Asked
from .web.mounts import Before, before_environ, reread_environ
from .web.paths import Access, AccessRules

if TYPE_CHECKING:
    from typing import Unpack

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .config.options import Options
    from .effects import Flow
    from .needs import Needs

# Read off its Enum on each request, a member costs 0.05 µs on Python 3.11.
_OPEN = Access.OPEN
_VISIT = "amplify_mw.visit"
_WHOLE = (list, tuple)  # bodies that are there before they are sent


class AmplifyWSGIMiddleware(Shell):
    """Puts the signed-in user around a WSGI app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this middleware.

        app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config, protect=["/account/*"])
    """

    @overload
    def __init__(
        self, app: WSGIApplication, /, config: AmplifyConfig | Engine, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self, *, app: WSGIApplication, config: AmplifyConfig | Engine, **options: Unpack[Options]
    ) -> None: ...

    # (`config` has a default for the error that says what to write without one.)
    def __init__(
        self,
        app: WSGIApplication,
        config: AmplifyConfig | Engine = MISSING,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(app, config, **options)
        self.app: WSGIApplication = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        access = _OPEN if self._rules is None else self._access(self._rules, environ)
        cookie = environ.get("HTTP_COOKIE")
        cookies = None if cookie is None else cookie.encode("latin-1", "replace")
        visit = self.enter(access, cookies, environ)
        if type(visit) is not Visit:
            if isinstance(visit, PassOn):
                return self._pass_on(visit, environ, start_response)
            visit = self.engine.driver.run(visit)
        start = Start()
        start.visit, start.environ, start.to_server = visit, environ, start_response
        start.held = None
        if access is not _OPEN or environ["REQUEST_METHOD"] not in self._unchecked:
            answer = self.stop(visit, access, environ["REQUEST_METHOD"], environ)
            if answer is not None:
                return start.send_answer(self._made(answer))
        environ[_VISIT] = visit
        app = self._guarded_app(visit) if self._withholds else self.app
        try:
            token = bind(visit)
            try:
                body = app(environ, start)
                if type(body) in _WHOLE or is_file(body, environ):
                    visit.has_ended, visit.stage, visit.headers = True, BEGUN, None  # `end`
                else:
                    body = Body.begun(body, start)
            finally:
                unbind(token)
        except AuthError as error:
            return start.send_answer_for(error)
        except BaseException:
            visit.end()
            raise
        if start.held is not None:
            status, headers = start.held  # `start.go`, without its calls
            if visit.depends or visit.writes is not None:
                headers = start.finished(headers)
            start_response(status, headers)
        return body

    def _made(self, answer: Answer | Flow[Answer]) -> Answer:
        return answer if isinstance(answer, Answer) else self.engine.driver.run(answer)

    def _guarded_app(self, visit: Visit) -> WSGIApplication:
        """The app, whose response to nobody is withheld if it has read a protected path."""
        is_let_in = visit.verdict.user is not None and not self._demands
        return self.app if is_let_in else partial(self._pass, visit)

    def _pass_on(
        self, passed: PassOn, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request without a visit of this middleware's own."""
        if passed.answer is not None:
            start_response(passed.answer.status_line, list(passed.answer.headers))
            return [passed.answer.body]
        if not passed.is_apart:
            return self._pass(passed.visit, environ, start_response)
        token = bind(None)
        try:
            return Body.apart(self._pass(None, environ, start_response))
        finally:
            unbind(token)

    def _pass(
        self, visit: Visit | None, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        """Call the app, and withhold its response to nobody if it has read a protected path.

        `visit`: None on an ignored path.
        """
        is_user = visit is not None and visit.verdict.user is not None
        if not self._withholds or (is_user and not self._demands):
            return self.app(environ, start)
        from .shell.wsgi_withheld import Withheld  # for apps with protected paths

        before = before_environ(environ)
        withheld = Withheld(partial(self._read_otherwise, visit, before, environ), start)
        return withheld.over(self.app(environ, withheld.start))

    def _read_otherwise(
        self, visit: Visit | None, before: Before, environ: WSGIEnvironment
    ) -> Answer | None:
        """The answer to nobody if the app has read a protected path, and not the one seen here."""
        paths = reread_environ(before, environ, routes=self._inside.routes)
        if not paths:
            return None
        return self._late_refusal(visit, paths, self._asked(before.over(environ)))

    def _authorization(self, request: Any) -> bytes | None:
        header: str | None = request.get("HTTP_AUTHORIZATION")
        return None if header is None else header.encode("latin-1", "replace")

    def _access(self, rules: AccessRules, request: Any) -> Access:
        return rules.of(text_of(request.get("PATH_INFO", "") or "/"))

    def _needs_at(self, rules: AccessRules, request: Any) -> list[Needs]:
        return rules.needs(text_of(request.get("PATH_INFO", "") or "/"))

    def _asked(self, request: Any) -> Asked:
        return asked_by(request, self._place)

    def _public_path(self, request: Any) -> str:
        path: str = request.get("PATH_INFO", "")
        if self._is_mounted or request.get("SCRIPT_NAME"):
            path = self._place(*split_path(request), request)[1]
        return path

    def _is_same(self, outer: Visit, cookies: bytes | None, request: Any) -> bool:
        return outer.cookies == cookies and request.get(_VISIT) is outer

    def close(self) -> None:
        """End the library's threads and connections; never required. A later request works."""
        self.engine.close()
