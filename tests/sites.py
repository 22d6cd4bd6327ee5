"""A site behind either shell, for each kind of session: its engine, its clock, its browsers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any

from amplify_mw import AuthError, SealedSession, SessionInfo, StoredSession, TokenSession
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.seal import key_text
from amplify_mw.sessions.verdicts import user_key
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import LocalUserPool
from tests.shells import Ask, Got, Handler, Shell

NAME = "amplify-session"
HOUR, DAY = 3600.0, 86_400.0
KEYS = [key_text(bytes([number]) * 32) for number in range(1, 4)]

Action = Callable[[], object]
_HANDLER: ContextVar[Handler] = ContextVar("handler")
Build = Callable[..., "Site"]  # as the fixtures `build` and `open_site` make sites


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def town(clock: Callable[[], float], **options: Any) -> Iterator[LocalUserPool]:
    """A user pool with the users `ada` and `grace`."""
    with LocalUserPool(clock=clock, **options) as pool:
        for name in ("ada", "grace"):
            pool.add_user(name, email=f"{name}@example.com")
        yield pool


KINDS = ("token", "sealed", "coordinated", "memory", "sqlite")
LASTING = KINDS[1:]  # those that are refreshed
IN_COOKIE = ("sealed", "coordinated")
STORED = ("memory", "sqlite")


def session_of(
    kind: str, clock: Callable[[], float], folder: Path | Callable[[], Path], **options: Any
) -> Any:
    """A session kind of the configuration, with what it keeps sessions in."""
    if kind == "token":
        return TokenSession(**options)
    if kind == "sealed":
        return SealedSession(**{"keys": KEYS[:1], **options})
    if kind == "coordinated":
        store = MemoryStore(clock=clock)
        return SealedSession(**{"keys": KEYS[:1], "coordinator": store, **options})
    if kind == "memory":
        return StoredSession(MemoryStore(clock=clock), **options)
    folder = folder() if callable(folder) else folder
    return StoredSession(SQLiteStore(folder / "sessions.db", clock=clock), **options)


class Site:
    """An app behind `shell`, with one engine. `options`: fields of its configuration."""

    def __init__(
        self, shell: Shell, pool: LocalUserPool, clock: Any, session: Any, **options: Any
    ) -> None:
        self.shell = shell
        self.pool = pool
        self.clock = clock
        self.session = session
        self.verbs = shell.verbs
        pool.requests.clear()
        self.config = pool.config(**{"session": session, "keys": pool.jwks(), **options})
        # By the real clock, sites share what a process remembers; by another, each is alone.
        self.engine = Engine(self.config, clock=None if clock is time.time else clock)

    @cached_property
    def own_app(self) -> Any:
        """The app of all its visitors, which does what `send` is given."""
        return self.app(lambda: _HANDLER.get()())

    def send(self, handler: Handler, ask: Ask) -> Got:
        """Ask the site's own app, which does this for once."""
        token = _HANDLER.set(handler)
        try:
            return self.shell.send(self.own_app, ask)
        finally:
            _HANDLER.reset(token)

    def app(self, handler: Handler) -> Any:
        return self.shell.middleware(self.shell.app(handler), self.engine)

    def browser(self, cookies: "dict[str, str] | None" = None) -> "Browser":
        return Browser(self, dict(cookies or {}))

    def sign_in(self, name: str = "ada", **options: Any) -> "Browser":
        """A browser in which a user has just signed in."""
        browser = self.browser()
        assert browser.does(self.start(self.pool.sign_in(name), **options)).body == name
        return browser

    def start(self, tokens: Any, **options: Any) -> Action:
        return lambda: self.verbs.start_session(tokens, **options).username

    def end(self, **options: Any) -> Action:
        return lambda: self.verbs.end_session(**options)

    def who(self) -> object:
        return self.verbs.get_current_user().username

    def refresh(self) -> object:
        return self.verbs.fetch_auth_session(force_refresh=True).tokens.access_token.encoded

    def kept(self, name: str = "ada") -> list[Any]:
        """The records of a user's sessions in the store."""
        token = self.pool.mint(name).encode()  # a user's `sub` is in any of theirs
        claims = self.engine.authenticator.verifier.read(token, self.clock())
        return list(self.session.store.of_user(user_key(claims.pool, claims.sub)))

    def settle(self) -> None:
        """Wait until everything that nobody waits for has been done."""
        self.engine.close()

    def close(self) -> None:
        """End what the site has opened."""
        self.settle()
        if hasattr(self.session, "store"):
            self.session.store.close()


def outcome(action: Action) -> str:
    """What came of an action: its result, or the error and its reason."""
    try:
        return str(action())
    except AuthError as error:
        return f"{type(error).__name__} {error.reason}"
    except (RuntimeError, ValueError, TypeError) as error:
        return type(error).__name__


class Browser:
    """Keeps a site's cookies, as long as they are to be kept."""

    def __init__(self, site: Site, jar: dict[str, str]) -> None:
        self.site = site
        self.jar = jar

    @property
    def header(self) -> str:
        return "; ".join([f"{name}={value}" for name, value in self.jar.items()])

    @property
    def value(self) -> str:
        return self.jar[NAME]

    def copy(self) -> "Browser":
        """One with the same cookies, such as a thief's."""
        return self.site.browser(self.jar)

    def does(self, *actions: Action, **facts: Any) -> Got:
        """Ask an app that does this and says what came of it."""
        doing = actions or (self.site.who,)
        return self.ask(lambda: ", ".join([outcome(action) for action in doing]), **facts)

    def ask(self, handler: Handler, **facts: Any) -> Got:
        ask = Ask(cookies=self.header or None, **facts)
        got = self.site.send(handler, ask)
        self.keep(got)
        return got

    def keep(self, got: Got) -> None:
        for line in got.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if attributes(line).get("max-age") != "0":
                self.jar[name] = value


def attributes(line: str) -> dict[str, str]:
    """What a `Set-Cookie` line says beside name and value, names in lower case."""
    parts = [part.strip().partition("=") for part in line.split(";")[1:]]
    return {name.lower(): value for name, _, value in parts}


def infos(site: Site, browser: Browser) -> list[SessionInfo]:
    """What `list_sessions` says in a browser."""
    found: list[SessionInfo] = []
    browser.does(lambda: found.extend(site.verbs.list_sessions()))
    return found
