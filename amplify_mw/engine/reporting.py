"""The reporter, which tells the log and an app's listeners of events, and the events of requests.

Rules:
- The log is told first, then the app's listeners (`AmplifyConfig(on_event=...)`) in their order, on
  the thread of the event. An exception of any is logged and goes no further.
- The listeners are told of a refusal once per request and reason, the log each time.
- Each app has listeners of its own. They are told of the app's requests, and of work started for
  them. An outage, a refused set-up or a notice of shared work concerns all apps that share it: all
  their listeners are told, and the log once.
- Without listeners, and with the log above DEBUG, no event of a request is made. The session's
  handle and the client's address are only looked up for a listener.
- Telemetry that counts refusals (`on_refusal`) is told of them first, once per request and reason,
  and needs no event for it: in an attack there are many.
"""

import inspect
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import unquote

from .. import events
from ..authenticator import Authenticator, Visit
from ..cognito.verifier import VerifiedToken
from ..effects import Report
from ..errors import AuthError
from ..events import Event, Notice
from ..log import Once, logger
from ..sessions.verdicts import KnownMachine, Refused, SignedIn, Verdict
from ..web import base64url
from ..web.answers import Asked
from ..web.client_address import client_address
from ..web.requests import excerpt, request_path
from .lines import CUT, LONGEST_PATH, line_of, write_line

if TYPE_CHECKING:
    from ..telemetry import Seen, Telemetry

Listener: TypeAlias = Callable[[Event], object]
Reporters: TypeAlias = "dict[int, weakref.ref[Reporter]]"

_APART: Final = frozenset({"bearer", "handover"})  # sources that belong to no session
_LISTED: Final = "stored"  # the kind of session that `list_sessions` lists
_LONGEST_METHOD: Final = 16


class Reporter:
    """Tells the log, one app's listeners and its telemetry of events.

    `shared`: the reporters of all apps that share caches and flights. `notes`: whether each refusal
    is noted with its request, for a response that tells the reason.
    """

    def __init__(
        self,
        listeners: tuple[Listener, ...] = (),
        shared: "Reporters | None" = None,
        *,
        telemetry: "Telemetry | None" = None,
        notes: bool = False,
    ) -> None:
        count = getattr(telemetry, "on_refusal", None)
        told = () if telemetry is None else (telemetry.on_event,)
        readers = listeners if count is not None else (*listeners, *told)
        self.listeners: tuple[Listener, ...] = (*listeners, *told)
        self.counts: bool = count is not None
        self.notes: bool = notes or self.counts
        self._count: Callable[[str, int, str | None], object] | None = count
        self._readers: tuple[Listener, ...] = readers  # of refusals
        self._once = Once()
        table = self._shared = {} if shared is None else shared
        if self.listeners:
            own = id(self)
            table[own] = weakref.ref(self, lambda _: table.pop(own, None))

    def is_heard(self) -> bool:
        """Whether there is a reader for the event of a refusal: a listener, or the log at DEBUG."""
        return bool(self._readers) or logger.is_enabled()

    def report(
        self,
        event: Event,
        *,
        loudly: bool = False,
        error: BaseException | None = None,
        is_new: bool = True,
    ) -> None:
        """Tell of an event, at once. `loudly`: at WARNING. `error`: its traceback, for the log.

        `is_new`: False for the log alone.
        """
        write_line(event, loudly=loudly, error=error)
        if is_new:
            for listener in self._readers if isinstance(event, events.Refused) else self.listeners:
                _call(listener, event)

    def count_refusal(self, reason: str, status: int, session: str | None) -> None:
        """Tell telemetry that counts refusals. Its failure is logged, the first time."""
        try:
            if self._count is not None:
                self._count(reason, status, session)
        except Exception as error:  # noqa: BLE001  # of the app's object
            if self._once.is_first("on_refusal"):
                logger.error("telemetry has failed; this is said once", exc_info=error)

    def report_to_all(self, event: Event) -> None:
        """Tell all listeners of apps that share work, and the log once."""
        write_line(event)
        told: list[Listener] = []
        for reference in list(self._shared.values()):
            reporter = reference()
            for listener in () if reporter is None else reporter.listeners:
                if listener not in told:
                    told.append(listener)
                    _call(listener, event)

    def is_first(self, kind: str, detail: str = "") -> bool:
        """Whether this is to be told: it was not yet, nor too many details of its kind."""
        return self._once.is_first(kind, detail)

    def notice(self, text: str, reason: str | None = None) -> None:
        """Tell an operator something else. `reason`: that of the refusals it is about."""
        self.report(Notice(text, reason))

    def is_news(self, kind: object, now: float) -> bool:
        """Whether this is to be told again: not if it was within the last hour."""
        return self._once.is_news(kind, now)


def _call(listener: Listener, event: Event) -> None:
    try:
        answer = listener(event)
        # A task or a future needs nobody to await it.
        if answer is None:
            return
        if isinstance(answer, Awaitable) and not hasattr(answer, "add_done_callback"):
            if inspect.iscoroutine(answer):
                answer.close()  # else Python warns of it
            raise TypeError("on_event is not awaited: write a function without async")
    except Exception as error:  # noqa: BLE001  # of the app's function
        name = type(event).__name__
        logger.error("on_event has failed at an event %s", name, exc_info=error)


# The events of requests, each made here.


def report_refusal(
    visit: Visit,
    reason: str,
    status: int,
    *,
    at: str,
    detail: str = "",
    asked: Asked | None = None,
    asking: Callable[[], Asked] | None = None,
    loudly: bool = False,
    error: BaseException | None = None,
) -> None:
    """A request was refused. `asked`: its facts, if they are at hand. `asking`: gives them."""
    home, reporter = visit.home, visit.home.reporter
    is_heard = reporter.is_heard() or loudly or error is not None
    if not (is_heard or reporter.notes):
        return
    is_new = _is_new(visit, reason)
    if is_new and reporter.counts:
        reporter.count_refusal(reason, status, kind_of(visit))
    if not is_heard:
        return
    verdict, source = visit.verdict, visit.source.name
    request = _request(visit, asking) if asked is None else escaped(asked)
    more = _handle(home, verdict, source), _address(visit)
    event = events.Refused(
        reason, status, at, detail, *_origin(home, verdict, source), *request, *more
    )
    reporter.report(event, loudly=loudly, error=error, is_new=is_new)


def report_answer(visit: Visit, asked: Asked, reason: str, status: int, detail: str = "") -> None:
    """A request was refused, and answered here."""
    report_refusal(visit, reason, status, at="answer", detail=detail, asked=asked)


def report_verdict(visit: Visit, error: AuthError, *, at: str, detail: str = "") -> None:
    """The app asked for the user of a request, and got an error.

    A visitor without a session is no event, unless a guard has asked.
    """
    if error.reason != "no_session" or visit.guarded:
        report_refusal(visit, error.reason, error.status_code, at=at, detail=detail)


def signed_in(
    visit: Visit, verdict: SignedIn, token: VerifiedToken, by: Literal["routes", "app"]
) -> Report:
    """A session was started with a verified token. `verdict`: of the new session."""
    name = visit.home.config.origin.kinds[0]
    event = events.SignedIn(
        *(by, name, token.pool, token.client, token.sub, *_request(visit)),
        handle=_handle(visit.home, verdict),
        address=_address(visit),
    )
    return Report(event)


def sign_in_failed(
    visit: Visit,
    reason: str,
    status: int,
    by: Literal["routes", "app"],
    *,
    asked: Asked | None = None,
    pool_error: str | None = None,
    detail: str = "",
    mend: str = "",
) -> events.SignInFailed:
    """A sign-in came to nothing. `asked`: the request's facts, if they are at hand."""
    _, pool_id, client_id, _ = _origin(visit.home, None)
    method, path = _request(visit) if asked is None else escaped(asked)
    session = visit.home.config.origin.kinds[0]
    return events.SignInFailed(
        *(reason, by, status, pool_error, detail, mend, session, pool_id, client_id, method, path),
        address=_address(visit),
    )


def signed_out(
    visit: Visit, before: Verdict, how: Literal["here", "everywhere", "handle", "replaced"]
) -> Report | None:
    """A session has ended. None if it was none: there was no cookie, or an invalid one."""
    if isinstance(before, Refused) and (before.clears or before.reason == "no_session"):
        return None
    event = events.SignedOut(
        *(how, *_origin(visit.home, before), *_request(visit)),
        handle=_handle(visit.home, before),
        address=_address(visit),
    )
    return Report(event)


def signed_out_unread(visit: Visit) -> Callable[[VerifiedToken, bytes], Report]:
    """Makes the event of a session of this request that has ended.

    From its access token and its bundle's `sid`.
    """
    session, _, client_id, _ = _origin(visit.home, None)
    request, address = _request(visit), _address(visit)

    def made(token: VerifiedToken, sid: bytes) -> Report:
        event = events.SignedOut(
            *("here", session, token.pool, client_id, token.sub, *request),
            handle=_named(sid) if session == _LISTED else None,
            address=address,
        )
        return Report(event)

    return made


def signed_out_elsewhere(visit: Visit, pool_id: str, user_id: str, handle: str) -> Report:
    """A user's session has ended, and it is not the one of this request."""
    session, _, client_id, _ = _origin(visit.home, None)
    event = events.SignedOut(
        *("handle", session, pool_id, client_id, user_id, *_request(visit)),
        handle=handle,
        address=_address(visit),
    )
    return Report(event)


def seen(visit: Visit) -> "Seen | None":
    """The signed-in user of a visit, for its telemetry."""
    verdict = visit.verdict
    if not isinstance(verdict, SignedIn):
        return None
    from ..telemetry import Seen  # for apps that ask for it

    session = _origin(visit.home, verdict, visit.source.name)[0] or ""
    # Only a stored session's name is no secret: a sealed one's opens its records in a coordinator.
    held = verdict.held if session == _LISTED else None
    handle = None if held is None else _named(held.bundle.sid)
    return Seen(verdict.user.user_id, session, handle)


def request_line(asked: Asked) -> str:
    """A request in a line of the log."""
    return line_of(*escaped(asked))


def escaped(asked: Asked) -> tuple[str, str]:
    r"""The method and the path of a request, fit for a log.

    >>> print(*escaped(Asked("GET", "/a\nb", "code=secret")))
    GET /a\nb
    """
    return _escaped(asked.method, asked.path)


def _escaped(method: str, path: str) -> tuple[str, str]:
    path = path or "/"
    is_plain = method.isascii() and method.isalpha() and len(method) <= _LONGEST_METHOD
    if len(path) <= LONGEST_PATH and path.isascii() and path.isprintable() and "\\" not in path:
        text = path  # a quick way for almost all
    else:
        text = ascii(path[:LONGEST_PATH])[1:-1] + (CUT if len(path) > LONGEST_PATH else "")
    return method if is_plain else excerpt(method, _LONGEST_METHOD), text


def _request(
    visit: Visit, asking: Callable[[], Asked] | None = None
) -> tuple[str | None, str | None]:
    """The method and the path of a visit's request; None once its response has begun.

    `asking`: gives its facts, before the app has had the request.
    """
    request: Any = visit.headers
    if not isinstance(request, dict):
        return (None, None) if asking is None else escaped(asking())
    mounts = visit.home.mounts
    path = None if mounts.prefixes else _plain_path(request)
    if path is None:
        if asking is not None:
            return escaped(asking())
        _, path = mounts.place_of("", unquote(request_path(request)), request)
    return _escaped(request.get("REQUEST_METHOD") or request.get("method", "GET"), path)


def _plain_path(request: dict[str, Any]) -> str | None:
    """The path of a WSGI environ or an ASGI scope that has it in one spelling; else None."""
    path: str = request.get("PATH_INFO") or request.get("path") or ""
    if not path.isascii() or request.get("SCRIPT_NAME") or request.get("root_path"):
        return None
    if "PATH_INFO" in request:
        return path or None
    return path if "%" not in path and request.get("raw_path") == path.encode("ascii") else None


def _address(visit: Visit) -> str | None:
    """The client's address, if the configuration names its header and a listener is there."""
    config = visit.home.config
    if config.client_address is None or not visit.home.reporter.listeners:
        return None
    return client_address(visit.headers, config.client_address, config.trusted_proxies)


def _handle(home: Authenticator, verdict: Verdict, source: str = "") -> str | None:
    """The handle of a listed session, if a listener is there. `source`: as `_origin` takes it."""
    # (A job's verdict refuses to tell what it was not handed, such as what is held.)
    if not isinstance(verdict, SignedIn) or source in _APART or verdict.held is None:
        return None
    is_listed = home.config.origin.kinds[verdict.kind] == _LISTED
    return _named(verdict.held.bundle.sid) if is_listed and home.reporter.listeners else None


def _named(sid: bytes) -> str:
    """The handle of a stored session, as `StoredCodec` writes it into the record."""
    return base64url.encode(sid).decode("ascii")


def _origin(
    home: Authenticator, verdict: Verdict | None, source: str = ""
) -> tuple[str | None, str | None, str | None, str | None]:
    """The kind of session, the pool's and the app client's ids, and the user's.

    `source`: the name of the credential's source, if a request is at hand.
    """
    names, session, pool_id, client_id = home.config.origin
    if source in _APART:
        session = source
    if isinstance(verdict, KnownMachine):
        return session, verdict.pool, verdict.machine.client_id, None
    if not isinstance(verdict, SignedIn):
        return session, pool_id, client_id, None
    if source in _APART:
        return session, verdict.pool, client_id, verdict.user.user_id
    return names[verdict.kind], verdict.pool, client_id, verdict.user.user_id


def _is_new(visit: Visit, reason: str) -> bool:
    """Note a reason with its request; whether it is the first time.

    Middlewares of one app that are nested in one request count as one, if their listeners are the
    same.
    """
    told = getattr(visit, "told", ())
    if reason in told:
        return False
    listeners, outer = visit.home.reporter.listeners, visit.outer
    while outer is not None and outer.cookies == visit.cookies:
        # A request made after the outer response has begun, say in its stream, is another one.
        if outer.begun and not visit.begun:
            break
        if reason in getattr(outer, "told", ()) and outer.home.reporter.listeners == listeners:
            return False
        outer = outer.outer
    visit.told = (*told, reason)
    return True


def kind_of(visit: Visit) -> str | None:
    """The kind of a visit's session, as events name it."""
    source, verdict, origin = visit.source.name, visit.verdict, visit.home.config.origin
    if source in _APART:
        return source
    return origin.kinds[verdict.kind] if isinstance(verdict, SignedIn) else origin.session
