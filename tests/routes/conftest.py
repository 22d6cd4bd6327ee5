"""What the tests of the sign-in routes share: a pool with a clock, and sites with the routes."""

from typing import Any

import pytest

from tests.routes.going import Visitor, auth_routes
from tests.sites import Build, Site


@pytest.fixture
def build(build: Build) -> Build:
    """Makes a site with the sign-in routes: `build(kind, routes={...}, **options)`."""

    def make(*kinds: Any, routes: Any = (), **options: Any) -> Site:
        if routes is not None:
            options["routes"] = auth_routes(**dict(routes))
        return build(*kinds, **options)

    return make


@pytest.fixture
def site(build: Build) -> Site:
    """One whose failures go to `/sorry`."""
    return build(routes={"on_error": "/sorry"})


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)
