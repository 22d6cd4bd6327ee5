"""A WSGI app's response on its way out: `start_response`, and the body.

Rules (PEP 3333):
- The app's call to `start_response` is held until its body is there (a list, a tuple, the server's
  own file wrapper, which are handed on untouched), or the first item of a body made while it is
  sent; then it goes to the server, together with that item. `write` sends it at once. Several
  servers send the first start they get and ignore a later one, and some want it before the app
  returns, so the first step of a body is taken here.
- An `AuthError` before any part of the body has gone gets the guard's answer; with `exc_info` if a
  start has gone to the server, for the server to decide if another is still possible.
- A body of the library's own has one item, if an empty one: some servers send headers with it.
- The visit is bound around each step of an app's body, and its `close()`, and not between them.
- The visit ends when the body does: after its last item, with an error, or with `close()`. An app's
  `close()` that comes after the last item still sees the user, as a carried call does.
- Nothing depends on `close()`: some adapters never call it. A body that is dropped has ended.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..authenticator import BEGUN, Visit
from ..engine.context import CARRIED, Call, bind, reset
from ..errors import AuthError
from ..web.answers import Answer
from ..web.headers import varied
from .shell import answer_for
from .wsgi_request import asked_by

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Start:
    """The app's `start_response`: holds the response's start until `go`.

    `held`: the status and the headers. `to_server`: the server's own `start_response`. (The maker
    fills the slots: faster than `__init__`, or than closures.)
    """

    __slots__ = ("environ", "held", "to_server", "visit", "write_on")

    visit: Visit
    environ: WSGIEnvironment
    to_server: StartResponse
    held: Any  # or None, which a type checker would remember
    write_on: Callable[[bytes], object]

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """Note the start."""
        visit = self.visit
        if visit.stage == BEGUN:
            if self.held is None:  # it has gone: the server says whether there may be another
                return self.send(status, headers, exc_info)
            if exc_info is None:
                raise AssertionError("start_response was called twice without exc_info")
        visit.stage, visit.headers = BEGUN, None  # `begin_without_request`, without its call
        self.held = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """The app's `write`, which nothing may hold back."""
        if self.held is not None:
            self.go()
        self.write_on(data)

    def go(self) -> None:
        """Hand on the held start. From now on the app speaks to the server."""
        held, self.held = self.held, None
        if held is None:
            self.visit.begin_without_request()
            return
        status, headers = held
        self.write_on = self.to_server(status, self.finished(headers))

    def send(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Start the response at once; the server's `write`."""
        self.visit.begin_without_request()
        return self.to_server(status, self.finished(headers), *exc_info)

    def finished(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers, with the visit's own, now that they go."""
        visit = self.visit
        if visit.writes is not None:
            visit.run(visit.home.settle(visit))
            return visit.home.finish(visit, headers, visit.source.text, self.environ)
        if visit.depends:  # the usual answer, with fewer calls
            signed_in = visit.verdict.user is not None
            no_store = visit.home.no_store[visit.depends]
            return varied(headers, visit.source.text, signed_in, no_store)
        return headers

    def send_answer(self, answer: Answer, *exc_info: Any) -> list[bytes]:
        """Send an answer of the library's own. The request is over then."""
        self.held = None
        try:
            self.send(answer.status_line, list(answer.headers), *exc_info)
        finally:
            self.visit.end()
        return [answer.body]

    def send_answer_for(self, error: AuthError) -> list[bytes]:
        """Answer in the app's place; with `exc_info` if a start has gone to the server.

        The request is over then, even if that fails.
        """
        visit = self.visit
        has_gone = visit.stage == BEGUN and self.held is None
        try:
            asked = asked_by(self.environ, visit.home.mounts.place_of)
            answer = answer_for(visit, asked, error)
            return self.send_answer(answer, *((sys.exc_info(),) if has_gone else ()))
        finally:
            visit.end()


class Body:
    """An app's body, with the visit bound around each of its steps; it ends with the body.

    (The makers fill the slots, and ends are written out: each call costs every stream 0.1 µs.)
    """

    __slots__ = ("_body", "_first", "_is_closed", "_next", "_replacement", "_start", "_visit")

    _body: Iterable[bytes]
    _first: bytes | None
    _is_closed: bool
    _next: Callable[[], bytes] | None
    _replacement: Iterator[bytes] | None
    _start: Start | None  # as long as an answer of the library's own is possible
    _visit: Visit | None

    @staticmethod
    def apart(body: Iterable[bytes]) -> Body:
        """A body for whose steps nobody is bound."""
        made = Body()
        made._body = body
        made._first = made._next = made._replacement = made._start = made._visit = None
        made._is_closed = False
        return made

    @staticmethod
    def begun(body: Iterable[bytes], start: Start) -> Body:
        """A body whose first step has been taken, and whose start has gone; the visit is bound.

        If that fails the body is closed: the server will not see it.
        """
        made = Body()
        made._body, made._start, made._visit = body, start, start.visit
        made._next = made._replacement = None
        made._is_closed = False
        try:
            try:
                made._next = step = iter(body).__next__
                made._first = item = step()
                if item:
                    made._start = None
            except StopIteration:
                made._first = b""  # some servers send a start with an item
                made._end()
            except AuthError as error:
                made._first = made._replaced(error, start)
            start.go()
        except BaseException:
            made.close()
            raise
        return made

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
            token = bind(self._visit)
            try:
                if self._next is None:
                    self._next = iter(self._body).__next__
                item = self._next()
            finally:
                reset(token)
        except AuthError as error:
            if self._start is not None:
                return self._replaced(error, self._start)
            self._end()
            raise
        except BaseException:  # StopIteration too
            visit = self._visit
            if visit is not None:
                visit.has_ended, visit.stage, visit.headers = True, BEGUN, None  # `end`, likewise
            raise
        if item:
            self._start = None  # bytes have gone: too late for another answer
        return item

    def _replaced(self, error: AuthError, start: Start) -> bytes:
        """The body of the answer to an error; the request is over."""
        self._replacement = iter(start.send_answer_for(error))
        return next(self._replacement)

    def close(self) -> None:
        """Close the app's body, once."""
        if self._is_closed:
            return
        self._is_closed = True
        visit, close = self._visit, getattr(self._body, "close", None)
        call = None if visit is None or not visit.has_ended else Call(visit)
        try:
            if close is not None:
                carried, token = CARRIED.set(call), bind(visit)
                try:
                    close()
                finally:
                    reset(token)
                    CARRIED.reset(carried)
        finally:
            if call is not None:
                call.visit = None
            if visit is not None:
                visit.has_ended, visit.stage, visit.headers = True, BEGUN, None

    def _end(self) -> None:
        if self._visit is not None:
            self._visit.end()

    def __del__(self) -> None:
        visit = self._visit
        if visit is not None and not visit.has_ended:
            visit.end()


def is_file(body: object, environ: WSGIEnvironment) -> bool:
    """Whether a body is the server's own file wrapper."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)
