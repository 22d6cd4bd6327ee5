"""What the tests of stores on a cluster share: sites there, and sessions on a primary of choice."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from amplify_mw import SealedSession, StoredSession
from amplify_mw.sessions.verdicts import user_key
from amplify_mw.stores.redis.commands import Commands
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing import LocalUserPool
from tests.patience import until
from tests.shells import Got, Shell
from tests.sites import KEYS, Browser, Site
from tests.valkey import Node, ValkeyCluster

PREFIX = "amplify_mw:"
Outcome = tuple[int, bool]
HERE: Outcome = (200, False)
"""A status, and whether the cookie was touched."""
NOT_NOW: Outcome = (503, False)
OVER: Outcome = (401, True)


class Sites:
    """Makes sites on one pool, by the real time."""

    def __init__(self, shell: Shell, pool: LocalUserPool) -> None:
        self._shell = shell
        self._pool = pool
        self._made: list[Site] = []

    def on(self, store: RedisStore, kind: str = "stored") -> Site:
        session: Any = StoredSession(store)
        if kind == "sealed":
            session = SealedSession(keys=KEYS[:1], coordinator=store, staleness=0)
        # By a clock of its own, a site remembers nothing of the others, as in another process.
        self._made.append(Site(self._shell, self._pool, lambda: time.time(), session))
        return self._made[-1]

    def close(self) -> None:
        for site in self._made:
            site.close()


@contextmanager
def sites_of(shell: Shell, pool: LocalUserPool) -> Iterator[Sites]:
    sites = Sites(shell, pool)
    yield sites
    sites.close()


def session_key(keys: list[bytes], before: list[bytes]) -> bytes:
    """The one key of a session that is new."""
    (new,) = (key for key in set(keys) - set(before) if key.startswith(f"{PREFIX}s:".encode()))
    return new


class Visitor(Browser):
    """A browser. `key`: what the store has its session under."""

    def __init__(self, browser: Browser, key: bytes) -> None:
        super().__init__(browser.site, browser.jar)
        self.key = key


def user_listed_at(site: Site, cluster: ValkeyCluster, node: Node) -> str:
    """The name of a new user whose list of sessions will be on this primary."""
    while True:
        name = f"user-{secrets.token_hex(4)}"
        user = site.pool.add_user(name)
        owned = Commands(PREFIX.encode()).list_of(user_key(site.pool.user_pool_id, user.sub))
        if cluster.owner(owned) is node:
            return name


def signed_in_at(
    site: Site, cluster: ValkeyCluster, *nodes: Node, user: str = "ada"
) -> list[Visitor]:
    """Browsers whose sessions are on these primaries, one each, and on their replicas."""
    found: dict[Node, Visitor] = {}
    while not found.keys() >= set(nodes):
        before = cluster.keys(f"{PREFIX}s:")
        browser = site.sign_in(user)
        if isinstance(site.session, SealedSession):  # there is a record of it after a refresh
            assert browser.ask(lambda: str(site.refresh())).status == 200
        key = session_key(cluster.keys(f"{PREFIX}s:"), before)
        found.setdefault(cluster.owner(key), Visitor(browser, key))
    cluster.settle()
    return [found[node] for node in nodes]


def sees(browser: Browser) -> Outcome:
    """What comes of a visit, whose app leaves errors to the middleware."""
    return outcome(browser.ask(lambda: str(browser.site.who())))


def leaves(browser: Browser) -> Outcome:
    return outcome(browser.ask(lambda: str(browser.site.verbs.end_session())))


def outcome(got: Got) -> Outcome:
    assert got.status != 503 or int(got.one("retry-after") or 0) > 0
    return got.status, bool(got.all("set-cookie"))


def comes_back(act: Callable[[], Outcome], expected: Outcome = HERE) -> None:
    """Until it is so; a visitor who comes again meanwhile is asked to come again, at most."""

    def is_back() -> bool:
        found = act()
        assert found in (expected, NOT_NOW)
        return found == expected

    until(is_back)
