"""What the tests of the sign-in routes share: a pool with a clock, and sites with the routes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.testing import LocalUserPool
from tests.routes.going import Visitor, auth_routes
from tests.shells import Shell
from tests.sites import Clock, Site, session_of, town

Build = Callable[..., Site]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture
def build(shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path) -> Iterator[Build]:
    """Makes a site: `build(kind, routes={...}, **options)`."""
    made: list[Site] = []

    def build(kind: Any = "memory", routes: Any = (), **options: Any) -> Site:
        session = session_of(kind, clock, tmp_path) if isinstance(kind, str) else kind
        if routes is not None:
            options["routes"] = auth_routes(**dict(routes))
        made.append(Site(shell, options.pop("pool", pool), clock, session, **options))
        return made[-1]

    yield build
    for site in made:
        site.close()


@pytest.fixture
def site(build: Build) -> Site:
    """One whose failures go to `/sorry`."""
    return build(routes={"on_error": "/sorry"})


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)
