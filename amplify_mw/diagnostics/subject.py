"""What the checks of a configuration get: the configuration, a clock, and a way to ask the pool.

Rules:
- A probe is a function from `Subject` to checks. It changes nothing, anywhere.
- Requests go out as the app's own do: with the configured proxy and timeout, without redirects, and
  with a limit of an answer's size.
- A request is sent once in an examination; other probes get the same answer. An origin that could
  not be reached is not asked again.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ..config.config import AmplifyConfig
from ..effects import Request, Response, Unreachable
from ..engine.http import HttpClient
from ..models.check import Check

MAX_BYTES: Final = 256 * 1024


class Answer(NamedTuple):
    """The outcome of a request. `response` is None if there was no answer: `why` has the cause.

    `departed` and `arrived`: this machine's clock before and after, in seconds since the epoch.
    """

    response: Response | None
    why: str
    departed: float
    arrived: float

    def __repr__(self) -> str:
        return f"<Answer {self.response if self.response is not None else self.why}>"


class Network:
    """Asks, with the client's own proxy and timeout, and remembers the answers."""

    def __init__(self, client: HttpClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[tuple[str, str, bytes], Answer] = {}
        self._down: dict[str, Answer] = {}

    def ask(self, request: Request) -> Answer:
        """The answer to a request; never raises for what the other side does."""
        key = request.method, request.url, request.content
        if key not in self._answers:
            self._answers[key] = self._down.get(origin_of(request.url)) or self._send(request)
        return self._answers[key]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Those of the requests that were answered so far."""
        return tuple(one for one in self._answers.values() if one.response is not None)

    def _send(self, request: Request) -> Answer:
        departed = self._clock()
        response, why = None, ""
        try:
            response = self._client.send(request._replace(max_bytes=MAX_BYTES))
        except Unreachable as error:
            why = str(error)
        answer = Answer(response, why, departed, self._clock())
        if response is None:
            self._down[origin_of(request.url)] = answer
        return answer


class Subject(NamedTuple):
    """What is examined, and the means. `network`: None if nothing may be asked."""

    config: AmplifyConfig
    clock: Callable[[], float] = time.time
    network: Network | None = None

    def __repr__(self) -> str:
        return "<Subject>"


Probe: TypeAlias = Callable[[Subject], Iterable[Check]]


def origin_of(url: str) -> str:
    """Scheme, host and port of an address.

    >>> origin_of("https://auth.example.com/logout?client_id=web")
    'https://auth.example.com'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
