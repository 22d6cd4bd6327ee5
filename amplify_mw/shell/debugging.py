"""`debug_headers=True`: responses say what became of their request's session.

    Server-Timing: amplify;desc="refused, token, not cached";dur=0.42
    Amplify-MW-Debug: state=refused; reason=wrong_client; kind=token; cache=miss; cookie=cleared

Rules:
- For development. A middleware without the option has none of this in its way: one with it gets a
  class and methods of its own, when it is built.
- All words are the library's own: printable ASCII, no user, nothing that a client has sent.
- A response to a request that is not for the middleware (`ignore`), or which an outer middleware of
  the same configuration serves, gets no headers here. Those of the app stay, `Server-Timing` too.
- `dur` is the time that the middleware took to tell who is signed in, its waits included. `cache`
  is HTTP's (RFC 9211): "hit", "miss", or "stale" for a known session that was looked up again.
- `asked`, `refreshed`: before the app was called, or by a sign-in route. `cookie`: the change to
  the session's cookie in this very response.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

import re
from collections.abc import Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..authenticator import Visit
from ..effects import Ask, Flow, Join, Report, Unreachable
from ..engine.reporting import kind_of
from ..events import SignInFailed
from ..sessions.verdicts import UNREAD, KnownMachine, Refused, SignedIn
from ..web.headers import OCTETS, TEXT, Spelling

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import AnyStr, TypeVar

    T = TypeVar("T")

_NOTE: Final = "amplify_mw.debugging"  # in an environ or a scope
_STARTS: Final = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,40}")
_CACHED: Final = {"hit": "cached", "miss": "not cached", "stale": "looked up again"}
_FLIGHTS: Final = {
    "keys": "key_fetch",
    "refresh": "refresh",
    "GetUser": "get_user",
    "code": "code_exchange",
}


class Note:
    """What is known of one request. `visit`: None as long as it is not this middleware's."""

    __slots__ = ("asked", "cache", "reason", "refreshed", "seconds", "visit")

    def __init__(self) -> None:
        self.visit: Visit | None = None
        self.cache: str = ""
        self.seconds: float = 0.0
        self.asked: list[str] = []
        self.refreshed: bool = False
        self.reason: str = ""

    def watch(self, flow: Flow[T]) -> Flow[T]:
        """The flow, whose effects are noted."""
        advance: Any = flow.send
        answer: Any = None
        try:
            while True:
                try:
                    effect = advance(answer)
                except StopIteration as done:
                    result: T = done.value
                    return result
                self._see(effect)
                try:
                    answer = yield effect
                except Unreachable as failure:
                    advance, answer = flow.throw, failure
                else:
                    advance = flow.send
                    if isinstance(effect, Join) and getattr(answer[0], "is_newer", False):
                        self.refreshed = True
        finally:
            answer = None  # a failure, whose traceback holds this frame: no cycle
            flow.close()

    def _see(self, effect: object) -> None:
        match effect:
            case Join(flight) if isinstance(flight.key, tuple):
                asked = _FLIGHTS.get(flight.key[0], "")
            case Ask():
                asked = "store"
            case Report(SignInFailed(reason)):
                self.reason = reason
                return
            case _:
                return
        if asked and asked not in self.asked:
            self.asked.append(asked)

    def headers(
        self, sent: Iterable[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]
    ) -> list[tuple[AnyStr, AnyStr]]:
        """The headers that are sent, and those which tell of the visit."""
        found, visit = list(sent), self.visit
        if visit is None:
            return found
        state, reason = _state_of(visit)
        reason = self.reason or (getattr(visit, "told", None) or (reason,))[-1]
        kind, cookie = kind_of(visit) or "", _change(found, visit, words)
        facts = {
            "state": state.replace(" ", "_"),
            "reason": _own_word(reason),
            "kind": _own_word(kind),
            "cache": self.cache,
            "asked": ",".join(self.asked),
            "refreshed": "yes" if self.refreshed else "",
            "cookie": cookie,
        }
        said = [state, facts["kind"], _CACHED.get(self.cache, "")]
        said += ["refreshed" if self.refreshed else "", f"cookie {cookie}" if cookie else ""]
        desc = ", ".join(filter(None, said))
        timing = f'amplify;desc="{desc}";dur={self.seconds * 1000:.2f}'
        debug = "; ".join(f"{name}={value}" for name, value in facts.items() if value)
        for name, value in (("Server-Timing", timing), ("Amplify-MW-Debug", debug)):
            spelt = name if words is TEXT else name.lower()
            found.append((words.write(spelt), words.write(value)))
        return found


def tell_in_headers(shell: Any) -> None:
    """Have a middleware's responses tell of their visits."""
    kind = type(shell)
    if not issubclass(kind, _WSGI | _ASGI):  # a test may build one anew
        # `__call__` is looked up in the class: a method of the instance would not do.
        telling = _ASGI if shell._awaits else _WSGI
        shell.__class__ = type(kind.__name__, (telling, kind), {"__module__": kind.__module__})
    enter, stop = shell.enter, shell.stop

    def noting_enter(access: Any, cookies: bytes | None, request: Any) -> Any:
        note = request.get(_NOTE)
        value = _value_of(shell, cookies, request)
        known = None if value is None else shell._known(value)
        began = perf_counter()
        found = enter(access, cookies, request)
        if note is None:
            return found
        if isinstance(found, Generator):
            note.cache = "stale" if known is not None else "miss"
            return _noted(note, note.watch(found), began)
        if isinstance(found, Visit):
            if value is not None and found.verdict is not UNREAD:
                note.cache = "hit" if found.verdict is known else "miss"
            note.visit, note.seconds = found, perf_counter() - began
        return found

    def noting_stop(visit: Visit, access: Any, method: str | None, request: Any) -> Any:
        answer, note = stop(visit, access, method, request), request.get(_NOTE)
        return note.watch(answer) if note and isinstance(answer, Generator) else answer

    shell.enter, shell.stop = noting_enter, noting_stop


def _noted(note: Note, flow: Flow[Visit], began: float) -> Flow[Visit]:
    visit = yield from flow
    note.visit, note.seconds = visit, perf_counter() - began
    return visit


def _value_of(shell: Any, cookies: bytes | None, request: Any) -> Any:
    """The value of a request's credential; None if there is none."""
    header = None if shell._bearer is None else shell._authorization(request)
    value = None if header is None else shell._bearer.read(header)
    return shell._read(cookies) if value is None and cookies is not None else value


def _state_of(visit: Visit) -> tuple[str, str]:
    """How the request stands, in words, and the reason if nobody is signed in."""
    match visit.verdict:
        case SignedIn():
            return "signed in", ""
        case KnownMachine():
            return "machine", ""
        case verdict if verdict is UNREAD:
            return "not read", ""
        case Refused() as verdict if verdict.reason == "no_session":
            return "nobody", verdict.reason
        case Refused() as verdict if verdict.error.status_code == 503:
            return "cannot be checked", verdict.reason
        case verdict:
            return "refused", verdict.reason


def _change(headers: Iterable[tuple[AnyStr, AnyStr]], visit: Visit, words: Spelling[AnyStr]) -> str:
    """What becomes of the session's cookies: "set", "cleared" or ""."""
    names = tuple(words.write(f"{name}{end}") for name in visit.home.cookie.names for end in "=.")
    lines = [value for name, value in headers if name.lower() == words.set_cookie]
    ours = [line for line in lines if line.startswith(names)]
    gone = words.write("Max-Age=0")
    if not ours:
        return ""
    return "cleared" if all(gone in line for line in ours) else "set"


def _own_word(text: str) -> str:
    """The text, if it is a word: an app's class of sessions or errors may have any name."""
    return text if _WORD.fullmatch(text) else ""


class _WSGI:
    """The WSGI middleware's way in and out."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Serve one request."""
        note = environ[_NOTE] = Note()

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            more = () if exc_info is None else (exc_info,)
            return start_response(status, note.headers(headers, TEXT), *more)

        return super().__call__(environ, start)  # type: ignore[misc]


class _ASGI:
    """The ASGI middleware's way in and out."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        note = Note()
        if scope["type"] in ("http", "websocket"):
            scope[_NOTE] = note

        async def telling(message: Any) -> None:
            if message["type"] in _STARTS:
                headers = note.headers(message.get("headers") or (), OCTETS)
                message = {**message, "headers": headers}
            await send(message)

        await super().__call__(scope, receive, telling)  # type: ignore[misc]
