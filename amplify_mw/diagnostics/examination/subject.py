"""The arguments of all checks: the configuration, a clock, and a way to ask the pool.

Rules:
- A probe is a function from `Subject` to checks. It changes nothing, anywhere.
- Requests go out as the app's own do: with the configured proxy and timeout, without redirects, and
  with a limit of an answer's size.
- A request is sent once in an examination; other probes get the same answer. An unreachable
  origin is not asked again.
- Text of an answer is quoted only if it is short and made of harmless characters.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ...cognito.api import json_object
from ...config.config import AmplifyConfig
from ...effects import Request, Response, Unreachable
from ...engine.http import HttpClient
from ...models.check import Check

LATER: Final = "mend what keeps the pool from answering, and look again"
MAX_BYTES: Final = 256 * 1024
_SHOWN: Final = 300  # characters of an address in an answer


class Answer(NamedTuple):
    """The outcome of a request. `response` is None if there was no answer: `why` has the cause.

    `departed` and `arrived`: this machine's clock before and after, in seconds since the epoch.
    `follows`: nothing was asked, since the origin gave no answer before: another line has said so.
    """

    request: Request
    response: Response | None
    why: str
    departed: float
    arrived: float
    follows: bool = False

    def __repr__(self) -> str:
        return f"<Answer {self.told}>"

    @property
    def told(self) -> str:
        """The outcome in a few words, for an unexpected answer."""
        if self.response is None:
            return f"no answer: {self.why}"
        status = f"HTTP status {self.response.status}"
        if 300 <= self.response.status < 400:
            return f"{status}, a redirect"
        if not json_object(self.response):
            return f"{status}, without a JSON object"
        return status


class Network:
    """Asks, with the client's own proxy and timeout, and remembers the answers."""

    def __init__(self, client: HttpClient, clock: Callable[[], float] = time.time) -> None:
        self.client: HttpClient = client
        self._clock = clock
        self._answers: dict[tuple[str, bytes, tuple[tuple[str, str], ...]], Answer] = {}
        self._down: dict[str, Answer] = {}

    def ask(self, request: Request) -> Answer:
        """The answer to a request; never raises for a fault of the other side."""
        key = request.url, request.content, tuple(request.headers.items())
        if key not in self._answers:
            known = self._down.get(origin_of(request.url))
            self._answers[key] = (
                known._replace(request=request, follows=True) if known else self._send(request)
            )
        return self._answers[key]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers so far."""
        return tuple(one for one in self._answers.values() if one.response is not None)

    def _send(self, request: Request) -> Answer:
        departed = self._clock()
        response, why = None, ""
        try:
            response = self.client.send(request._replace(max_bytes=MAX_BYTES, patience=1.0))
        except Unreachable as error:
            why = str(error)
        answer = Answer(request, response, why, departed, self._clock())
        if response is None:
            self._down[origin_of(request.url)] = answer
        return answer


class Subject(NamedTuple):
    """The configuration, and the means to examine it. `network`: None if nothing may be asked."""

    config: AmplifyConfig
    clock: Callable[[], float] = time.time
    network: Network | None = None

    def __repr__(self) -> str:
        return "<Subject>"

    def ask(self, request: Request) -> Answer:
        """The answer to a request. For remote probes only."""
        if self.network is None:
            raise RuntimeError("nothing may be asked")
        return self.network.ask(request)


Probe: TypeAlias = Callable[[Subject], Iterable[Check]]


def origin_of(url: str) -> str:
    """Scheme, host and port of an address; empty for a malformed one.

    >>> origin_of("https://auth.example.com/logout?client_id=web")
    'https://auth.example.com'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def quoted(text: object) -> str:
    """A text from an answer, cut.

    >>> quoted("https://example.com"), quoted(None)
    ("'https://example.com'", 'nothing')
    """
    return repr(text[:_SHOWN]) if isinstance(text, str) else "nothing"
