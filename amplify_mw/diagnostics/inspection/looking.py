"""Looking without touching: the library's own flows, run without an effect.

    looking = Looking(config, clock)
    looking.ask(environ)     the real middleware's word on a request

Rules:
- The verdict is the middleware's own. Its driver carries out reads and withholds writes: there is
  no refresh, no write to a store, no call of Cognito's API, no event, no line in the log.
- The one request to leave is for a configured pool's key set, at its configured address. Nothing in
  the input names an address. `offline`: not even this one.
- A withheld step fails for the flow as an outage does, and is noted (`withheld`). The answer then
  is "cannot be told", and no guess.
- The process's record of ended sessions is read; its caches and key sets are not.
"""

import os
from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ...authenticator import Visit
from ...config.config import AmplifyConfig
from ...effects import (
    Ask,
    Draw,
    Effect,
    Flight,
    Flow,
    Join,
    Notice,
    Outage,
    Rejection,
    Report,
    Request,
    Unreachable,
)
from ...engine.context import bound
from ...engine.driver import Driver
from ...engine.engine import Engine, Registry, registry_of
from ...engine.flights import T
from ...events import Event, Refused, SignInFailed
from ...wsgi import AmplifyWSGIMiddleware

if TYPE_CHECKING:
    from ...stores.memory import MemoryStore

_READS: Final = frozenset({"load", "reload", "of_user"})
Clock = Callable[[], float]


class LookingDriver(Driver):
    """Runs flows on this thread, and carries out reads alone.

    `key_sets`: the addresses to fetch, if any. `told`: the events of the flows.
    """

    def __init__(self, config: AmplifyConfig, clock: Clock, key_sets: frozenset[str]) -> None:
        super().__init__(timeout=config.http_timeout, clock=clock, proxy=config.proxy)
        self._key_sets = key_sets
        self.withheld: list[str] = []
        self.told: list[Event] = []

    def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        advance: Callable[[Any], Effect] = flow.send
        argument: Any = None
        while True:
            try:
                effect = advance(argument)
            except StopIteration as done:
                result: T = done.value
                return result
            try:
                advance, argument = flow.send, (self._act(effect), self.clock())
            except Unreachable as failure:
                failure.now = self.clock()
                advance, argument = flow.throw, failure

    async def arun(self, flow: Flow[T]) -> T:
        """The same; it waits for nothing else."""
        return self.run(flow)

    def _act(self, effect: Effect) -> Any:
        match effect:
            case Join(flight):
                return self._join(flight)
            case Request():
                if effect.url not in self._key_sets:
                    raise self._withhold("network")
                return self._http.send(effect)
            case Ask():
                return self._ask(effect)
            case Draw(size):
                return os.urandom(size)
            case Report(event):
                self.told.append(cast("Event", event))
            case Outage() | Rejection() | Notice():
                self.told.append(effect)
            case _:  # a cache's, a listener's, a flight's that nobody waits for
                pass
        return None

    def _join(self, flight: Flight) -> Any:
        if flight.lane != "keys":
            raise self._withhold(flight.lane)
        if not self._key_sets:
            raise self._withhold("keys")
        return self.run(flight.flow(self.clock()))

    def _ask(self, ask: Ask[Any]) -> Any:
        if ask.method not in _READS:
            raise self._withhold("store")
        if (file := missing_file(ask.store)) is not None:
            raise Unreachable(f"there is nothing in {file}")  # asking would make a database
        return getattr(ask.store, ask.method)(*ask.arguments)

    def _withhold(self, step: str) -> Unreachable:
        self.withheld.append(step)
        return Unreachable("an inspection changes nothing")


def missing_file(store: Any) -> str | None:
    """The file of an `SQLiteStore`, if it is missing or empty."""
    if type(store).__name__ != "SQLiteStore":  # (importing it would load sqlite3)
        return None
    path = Path(store.path)
    return None if path.exists() and path.stat().st_size else str(path)


class _Listening:
    """A `Reporting` without a log and listeners."""

    listeners: tuple[Callable[[Event], object], ...] = ()
    counts = notes = False

    def __init__(self, told: list[Event]) -> None:
        self._told = told

    def is_heard(self) -> bool:
        return True

    def report(
        self,
        event: Event,
        *,
        loudly: bool = False,  # noqa: ARG002
        error: BaseException | None = None,  # noqa: ARG002
        is_new: bool = True,  # noqa: ARG002
    ) -> None:
        self._told.append(event)

    def count_refusal(self, reason: str, status: int, session: str | None) -> None:
        pass

    def notice(self, text: str, reason: str | None = None) -> None:
        self._told.append(Notice(text, reason))

    def is_first(self, kind: str, detail: str = "") -> bool:  # noqa: ARG002
        return True

    def is_news(self, kind: object, now: float) -> bool:  # noqa: ARG002
        return True


class _Apart(Registry):
    """A registry of its own, but for the process's record of ended sessions."""

    def __init__(self, around: Registry, clock: Clock) -> None:
        super().__init__(clock)
        self._around = around

    def memory(self, name: str) -> "MemoryStore":
        return self._around.memory(name)


class _LookingEngine(Engine):
    """An engine with flows that change nothing."""

    def __init__(self, config: AmplifyConfig, registry: Registry, driver: LookingDriver) -> None:
        super().__init__(config, registry=registry, warns=False)
        self.driver = driver
        self.authenticator.runner = driver
        self.authenticator.reporter = _Listening(driver.told)
        # Nobody gets the response: writing its cookies would load werkzeug, which takes 60 ms.
        self.authenticator.finish = _unfinished  # type: ignore[method-assign,assignment]


def _unfinished(_: Visit, headers: Any, *__: Any) -> Any:
    """The response's headers as they are."""
    return list(headers)


class Outcome(NamedTuple):
    """The middleware's treatment of a request.

    `visit`: None if it was not read (an ignored path). `status`: of the answer in the app's place;
    None if the request reached the app. `refusals`: the events of it, in order. `withheld`: steps
    left out.
    """

    visit: Visit | None
    status: int | None
    refusals: tuple[Refused | SignInFailed, ...]
    notices: tuple[str, ...]
    withheld: tuple[str, ...]


class _Middleware(AmplifyWSGIMiddleware):
    """The middleware itself; it notes the visit."""

    seen: Visit | None = None

    def stop(self, visit: Visit, *request: Any) -> Any:
        self.seen = visit
        return super().stop(visit, *request)


class Looking:
    """Asks the middleware of a configuration, and changes nothing.

    `config`: an `AmplifyConfig`, or the `Engine` of one, with its record of ended sessions.
    `clock`: seconds since the epoch; None: the engine's, or the process's.
    """

    def __init__(
        self, config: "AmplifyConfig | Engine", clock: Clock | None = None, *, offline: bool = False
    ) -> None:
        self._around = registry_of(config)
        if isinstance(config, Engine):
            config = config.authenticator.config
        self.config: AmplifyConfig = config
        self.clock: Clock = clock or self._around.clock
        self.is_offline: bool = offline
        urls = {
            url
            for issuer, pool in self.config.pools_by_issuer.items()
            for url in pool.keys_urls_of(issuer)
        }
        allowed = frozenset() if offline else frozenset(urls)
        self.driver: LookingDriver = LookingDriver(self.config, self.clock, allowed)
        self._registry = _Apart(self._around, self.clock)
        self.engine: Engine = self._engine()

    def _engine(self, **options: Any) -> Engine:
        quiet: dict[str, Any] = {"on_event": None, "telemetry": None, "debug_headers": False}
        if self.config.routes is not None:  # an ASGI app's functions may be async
            routes = replace(self.config.routes, on_sign_in=None, on_sign_in_failed=None)
            quiet["routes"] = routes
        config = self.config.replace(**{**quiet, **options})
        return _LookingEngine(config, self._registry, self.driver)

    def run(self, flow: Flow[T]) -> T:
        """A flow's result."""
        return self.driver.run(flow)

    def close(self) -> None:
        """Close the connection to the key set."""
        self.driver.close()

    def ask(self, environ: dict[str, Any], *, with_rules: bool) -> Outcome:
        """The middleware's word on a request. `with_rules`: those for its path and origin hold."""
        engine = self.engine if with_rules else self._engine(**_NO_RULES)
        reached: list[Visit | None] = []
        statuses: list[str] = []

        def app(_: Any, start_response: Any) -> Iterable[bytes]:
            reached.append(bound())
            start_response("200 OK", [])
            return []

        middleware = _Middleware(app, engine)
        self.driver.told.clear()
        self.driver.withheld.clear()

        def start(status: str, *_: Any) -> Any:
            statuses.append(status)

        Context().run(lambda: b"".join(middleware(environ, start)))
        visit = reached[0] if reached else middleware.seen
        told = self.driver.told
        return Outcome(
            visit=visit,
            status=None if reached else int(statuses[0][:3]),
            refusals=tuple(e for e in told if isinstance(e, Refused | SignInFailed)),
            notices=tuple(e.text for e in told if isinstance(e, Notice)),
            withheld=tuple(dict.fromkeys(self.driver.withheld)),
        )


_NO_RULES: Final[dict[str, Any]] = {"protect": (), "public": (), "ignore": ()}


def environ_of(
    config: AmplifyConfig, method: str, path: str, query: str, fields: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """A WSGI environ. `fields`: names in lower case; each once."""
    origin = min(config.known_origins, default="https://localhost")
    scheme, _, host = origin.partition("://")
    sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields}
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(),
        "wsgi.errors": StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": True,
        **sent,
    }
