"""Processes that all tests of this directory share, and what they work with."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import start_session
from amplify_mw.engine.engine import Engine
from amplify_mw.models.session import TokenSet
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.postgres import postgres as postgres
from tests.processes.cluster import Cluster, Member
from tests.processes.sites import Spec
from tests.shells import Ask, WSGIShell
from tests.valkey import own_valkey as own_valkey
from tests.valkey import own_valkey_cluster as own_valkey_cluster
from tests.valkey import own_valkey_sentinels as own_valkey_sentinels
from tests.valkey import redis_url as redis_url
from tests.valkey import valkey_cluster as valkey_cluster
from tests.valkey import valkey_sentinels as valkey_sentinels

collect_ignore = ["apps"]  # they belong to the servers
HOUR = 3600.0
DUE = HOUR - 500  # the age of tokens that a site refreshes, though they are good for long yet


@dataclass
class Cognito:
    """A user pool, and a clock of it that can be set back."""

    pool: LocalUserPool
    shift: list[float]
    sub: str  # Ada's

    def tokens(self, *, age: float = 0.0, name: str = "ada") -> TokenSet:
        """Tokens that are so old."""
        self.shift[0] = -age
        try:
            return self.pool.sign_in(name)
        finally:
            self.shift[0] = 0.0

    @property
    def grants(self) -> int:
        """How often new tokens were asked for."""
        return self.pool.count("GetTokensFromRefreshToken")

    @property
    def fields(self) -> dict[str, Any]:
        """What a configuration says of it."""
        return {
            "user_pool_id": self.pool.user_pool_id,
            "client_id": self.pool.client_id,
            "endpoint_url": self.pool.url,
            "issuer": self.pool.issuer,
        }


@pytest.fixture(scope="session")
def pools() -> Iterator[Callable[..., Cognito]]:
    """Starts a pool with such options, once."""
    with ExitStack() as stack:

        @cache
        def start(**options: Any) -> Cognito:
            shift = [0.0]
            pool = LocalUserPool(clock=lambda: time.time() + shift[0], **options)
            stack.enter_context(pool)
            pool.add_user("bob")
            return Cognito(pool, shift, pool.add_user("ada").sub)

        yield start


@pytest.fixture
def make_cognito(pools: Callable[..., Cognito]) -> Callable[..., Cognito]:
    """A pool with such options, that has been asked for nothing yet."""

    def make(**options: Any) -> Cognito:
        cognito = pools(**options)
        cognito.pool.requests.clear()
        return cognito

    return make


@pytest.fixture
def cognito(make_cognito: Callable[..., Cognito]) -> Cognito:
    """A pool whose refresh tokens go on."""
    return make_cognito()


@pytest.fixture
def rotating(make_cognito: Callable[..., Cognito]) -> Cognito:
    """A pool that takes each refresh token once."""
    return make_cognito(rotate_refresh_tokens=True)


@pytest.fixture
def cluster(processes: Cluster) -> Iterator[Cluster]:
    """Processes without any site."""
    yield processes
    processes.clear()


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(Path(tmp_path_factory.mktemp("workers")))
    yield cluster
    cluster.close()


@dataclass
class Places:
    """Makes sites, each with a name and a store of its own."""

    folder: Path
    fixture: Callable[[str], Any]  # the servers that tests share

    def site(self, cognito: Cognito, kind: str, store: str, **options: Any) -> Spec:
        name = f"test-{secrets.token_hex(8)}"
        where = ""
        if store == "redis":
            where = self.fixture("redis_url")
        elif store == "cluster":
            where = self.fixture("valkey_cluster").url
        elif store == "sentinel":
            where = self.fixture("valkey_sentinels").where
        elif store == "postgres":
            where = self.fixture("postgres").dsn
        elif store == "sqlite":
            where = str(self.folder / f"{name}.db")
        return Spec(name, cognito.fields, kind, store, where, **options)


@pytest.fixture
def places(tmp_path: Path, request: pytest.FixtureRequest) -> Places:
    return Places(tmp_path, request.getfixturevalue)


def enter(spec: Spec, tokens: TokenSet, age: float = 0.0) -> str:
    """The cookie of a session that was started so many seconds ago, in this process."""

    def app() -> str:
        return start_session(tokens).username

    store = spec.open()
    engine = Engine(spec.config(store), clock=lambda: time.time() - age)
    shell = WSGIShell()
    got = shell.send(AmplifyWSGIMiddleware(shell.app(app), engine), Ask())
    engine.close()
    if store is not None:
        store.close()
    line = got.one("set-cookie")
    assert line is not None
    return line.partition(";")[0].partition("=")[2]


def sign_in(member: Member, tokens: TokenSet) -> str:
    """The cookie of a session that this process has started."""
    names = ("id_token", "access_token", "refresh_token")
    text = json.dumps({name: getattr(tokens, name) for name in names})
    cookie = member.ask(None, "/in", **{"X-Tokens": text}).new_cookie
    assert cookie
    return cookie


def expired_session(spec: Spec, cognito: Cognito) -> str:
    """The cookie of a session whose tokens have expired."""
    age = HOUR + 600
    return enter(spec, cognito.tokens(age=age), age)
