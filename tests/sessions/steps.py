"""Flows of lasting sessions, stepped by hand: in a world with one clock, one store and one Cognito.

`World.steps(flow)` stops before every effect of a flow and of the flights that it waits for, so
that a test may let something else happen there. A `Process` has caches and flights of its own.
"""

import json
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from amplify_mw import SealedSession, StoredSession
from amplify_mw.authenticator import Visit
from amplify_mw.effects import (
    Ask,
    Draw,
    Flight,
    Forget,
    ForgetAll,
    Join,
    Launch,
    Meanwhile,
    Notice,
    Outage,
    Pause,
    Rejection,
    Remember,
    Report,
    Request,
    Response,
    Unreachable,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.models.session import AuthSession, TokenSet
from amplify_mw.sessions.verdicts import NO_COOKIE, NO_SESSION, SignedIn
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.verbs.end import ending
from amplify_mw.verbs.fetch import fetching
from amplify_mw.verbs.start import starting
from tests.visits import visiting

T = 1_800_000_000.0
KEYS = [bytes(range(32))]
Steps = Generator[Any, None, Any]
Answer = Response | Unreachable | Callable[["World", str], Response]


def error(code: str, message: str = "") -> Response:
    """Cognito's answer for an error of its own."""
    return Response(400, {}, json.dumps({"__type": code, "message": message}).encode())


def finish(steps: Steps) -> Any:
    """What a flow comes to when nothing holds it up."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def step_to(steps: Steps, which: Callable[[Any], bool]) -> Any:
    """Let a flow go on until it is about to have an effect of which this holds."""
    for effect in steps:
        if which(effect):
            return effect
    raise AssertionError("the flow came to its end before")


def asks(method: str) -> Callable[[Any], bool]:
    """Whether an effect asks a store this."""
    return lambda effect: isinstance(effect, Ask) and effect.method == method


def is_refresh(effect: Any) -> bool:
    """Whether an effect asks Cognito for new tokens."""
    return isinstance(effect, Meanwhile)


@dataclass
class World:
    """One clock, one store, one Cognito.

    `script`: Cognito's next answers; when it is used up, new tokens are given. `rotates`: with a
    new refresh token. `used`: the refresh tokens that were asked with. `breaks`: which questions to
    the store fail. `slow`: seconds that Cognito takes.
    """

    pool: LocalUserPool
    time: list[float]
    kind: str = "stored"
    rotates: bool = False
    slow: float = 0.0
    drawn: int = 0
    script: list[Answer] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    launched: list[Flight] = field(default_factory=list)
    told: list[Outage | Rejection] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    breaks: Callable[[Ask[Any]], bool] = lambda _: False
    engines: list[Engine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.time[0] = T
        self.store = MemoryStore(clock=lambda: self.now)

    @property
    def now(self) -> float:
        return self.time[0]

    @now.setter
    def now(self, now: float) -> None:
        self.time[0] = now

    # Processes of a site.

    def process(self, **options: Any) -> "Process":
        """A process of the site; the `options` are its session kind's."""
        makers: dict[str, Callable[..., Any]] = {
            "sealed": lambda **more: SealedSession(keys=KEYS, **more),
            "coordinated": lambda **more: SealedSession(
                **{"keys": KEYS, "coordinator": self.store, "staleness": 0} | more
            ),
            "stored": lambda **more: StoredSession(self.store, **more),
        }
        config = {"keys": self.pool.jwks()} | options.pop("config", {})
        session = makers[self.kind](**options)
        engine = Engine(self.pool.config(session=session, **config), clock=lambda: self.now)
        self.engines.append(engine)
        return Process(self, engine)

    # Tokens.

    def token(self, use: Any, **changes: Any) -> str:
        """A token of ada's, made now."""
        return self.pool.mint(**{"username": "ada", "token_use": use} | changes)

    def tokens(self, refresh_token: str | None = "refresh-0", **changes: Any) -> TokenSet:
        """A sign-in's tokens, made now."""
        id_token, access_token = (self.token(use, **changes) for use in ("id", "access"))
        return TokenSet(id_token, access_token, refresh_token)

    def good(self, **changes: Any) -> Response:
        """Cognito's answer with new tokens."""
        fresh = self.tokens(**changes)
        result = {"IdToken": fresh.id_token, "AccessToken": fresh.access_token}
        if self.rotates:
            result["RefreshToken"] = f"refresh-{len(self.used)}"
        return Response(200, {}, json.dumps({"AuthenticationResult": result}).encode())

    @property
    def revoked(self) -> list[str]:
        """The refresh tokens whose revocation was launched."""
        return [flight.key[2].decode() for flight in self.launched if flight.key[0] == "revoke"]

    # Effects.

    def run(self, flow: Any) -> Any:
        """What a flow comes to."""
        return finish(self.steps(flow))

    def steps(self, flow: Any) -> Steps:
        """Run a flow, stopping before each effect; a flight's are among them."""
        advance, argument = flow.send, None
        while True:
            try:
                effect = advance(argument)
            except StopIteration as done:
                return done.value
            yield effect
            try:
                if isinstance(effect, Join):
                    value = yield from self.steps(effect.flight.flow(self.now))
                else:
                    value = self._act(effect)
                advance, argument = flow.send, (value, self.now)
            except Unreachable as failure:
                failure.now = self.now
                advance, argument = flow.throw, failure

    def _act(self, effect: Any) -> Any:
        match effect:
            case Ask():
                return self._ask(effect)
            case Meanwhile(request, every, ask):
                return self._refresh(request, every, ask)
            case Request():
                return self._next_answer("")
            case Pause(seconds):
                self.now += seconds
            case Draw(size):
                self.drawn += 1
                return self.drawn.to_bytes(size, "big")
            case Launch(flight):
                self.launched.append(flight)
            case Outage() | Rejection():
                self.told.append(effect)
            case Notice(text):
                self.notices.append(text)
            case Report(event):
                self.events.append(event)
            case Remember(cache, key, value, generation) if value is not None:
                cache.put(key, value, generation)
            case Remember(cache, key):
                cache.discard(key)
            case Forget(caches, which):
                for cache in caches:
                    cache.drop(which)
            case ForgetAll(cache):
                cache.clear()
            case _:
                raise AssertionError(effect)
        return None

    def _ask(self, ask: Ask[Any]) -> Any:
        if self.breaks(ask):
            raise StoreUnavailable("the store is down")
        return getattr(ask.store, ask.method)(*ask.arguments)

    def _refresh(self, request: Request, every: float, ask: Ask[Any]) -> Any:
        body = json.loads(request.content)
        self.used.append(body.get("RefreshToken"))
        answer = self._next_answer(self.used[-1])
        waited = every
        while waited < self.slow:
            self.now += every
            waited += every
            with suppress(Unreachable):
                self._ask(ask)
        self.now += self.slow % every
        return answer

    def _next_answer(self, refresh_token: str) -> Response:
        answer: Answer = self.script.pop(0) if self.script else World.regular
        if isinstance(answer, Unreachable):
            raise Unreachable(*answer.args)
        return answer if isinstance(answer, Response) else answer(self, refresh_token)

    def regular(self, refresh_token: str) -> Response:
        """What Cognito answers when nothing is scripted."""
        del refresh_token
        return self.good()


@dataclass
class Process:
    """One process of a site, and what its requests come to."""

    world: World
    engine: Engine

    @property
    def home(self) -> Any:
        return self.engine.authenticator

    def visiting(self, cookie: str) -> Any:
        """A flow: a request with this cookie."""
        header = b"amplify-session=" + cookie.encode()
        return visiting(self.home, header, self.world.now)

    def visit(self, cookie: str) -> Visit:
        visit: Visit = self.world.run(self.visiting(cookie))
        return visit

    def start(self, tokens: TokenSet | None = None) -> str:
        """Sign in; the cookie."""
        visit = Visit.of(self.home, NO_SESSION)
        tokens = tokens or self.world.tokens()
        self.world.run(starting(visit, tokens, user_agent="test", allow_cross_site=True))
        assert visit.writes is not None
        return visit.writes.value

    def ending(self, visit: Visit) -> Any:
        """A flow: sign out in a request of before."""
        return ending(visit, everywhere=False, allow_cross_site=True)

    def end(self, cookie: str) -> None:
        self.world.run(self.ending(self.visit(cookie)))

    def force(self, cookie: str) -> AuthSession:
        session: AuthSession = self.world.run(fetching(self.visit(cookie), force_refresh=True))
        return session


def cookie_after(visit: Visit, cookie: str) -> str:
    """What the browser has after a response: the cookie that it had, unless another was set."""
    assert visit.writes is not NO_COOKIE
    return cookie if visit.writes is None else visit.writes.value


def access_token(visit: Visit) -> str:
    """The access token of a visit whose user is signed in."""
    assert isinstance(visit.verdict, SignedIn), visit.verdict
    assert visit.verdict.access_token is not None
    return visit.verdict.access_token.decode()


def told(visit: Visit) -> tuple[str | None, bool]:
    """Why nobody is signed in (None: somebody is), and whether the cookie is cleared."""
    verdict = visit.verdict
    return (None if isinstance(verdict, SignedIn) else verdict.reason), visit.clears
