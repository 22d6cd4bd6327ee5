"""A site behind each shell whose events are kept, and a user pool for all tests of a module."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplify_mw import StoredSession
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.shells import ASGIShell, Shell, WSGIShell
from tests.sites import Clock, Site, town

Build = Callable[..., Site]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture(params=[WSGIShell, ASGIShell], ids=["wsgi", "asgi"])
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param()
    return made


@pytest.fixture
def build(shell: Shell, pool: LocalUserPool, clock: Clock) -> Iterator[Build]:
    """Makes sites with sessions in a store, unless another `session` is given."""
    made: list[Site] = []

    def build(**options: Any) -> Site:
        session = options.pop("session", None) or StoredSession(MemoryStore(clock=clock))
        made.append(Site(shell, pool, clock, session, **options))
        return made[-1]

    yield build
    for site in made:
        site.close()
