"""Withholds a WSGI app's response to nobody if the app has read a protected path.

Rules:
- The check takes place when the response starts; the app's own response is dropped and its body
  closed.
- An app may start its response with the first item of its body.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..web.answers import Answer

Judge = Callable[[], Answer | None]
Starting = Callable[..., Any]


class Withheld:
    """One response. `judge`: gives the answer to send instead; mostly None. `start`: passes on."""

    def __init__(self, judge: Judge, start: Starting) -> None:
        self._judge = judge
        self._start = start
        self._has_begun = False
        self.answer: Answer | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """The app's `start_response`."""
        exc = () if exc_info is None else (exc_info,)
        if self.answer is not None:
            return _discard
        self._has_begun = True
        self.answer = self._judge()
        if self.answer is None:
            return self._start(status, headers, *exc)
        self._start(self.answer.status_line, list(self.answer.headers), *exc)
        return _discard

    def over(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """The app's body, or the answer's in its place."""
        if self.answer is None:
            return body if self._has_begun else _LateBody(body, self)
        _close(body)
        return [self.answer.body]


class _LateBody:
    """The body of an app whose response begins with the first item."""

    def __init__(self, body: Iterable[bytes], withheld: Withheld) -> None:
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
    """`write` of a withheld response."""
