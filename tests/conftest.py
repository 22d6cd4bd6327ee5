"""What every test may use: a user pool on this machine, and a configuration for it."""

from collections.abc import Iterator

import pytest

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool
from tests.shells import ASGIShell, Shell, WSGIShell


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    """A user pool with one user, `ada`."""
    with LocalUserPool() as pool:
        pool.add_user("ada", email="ada@example.com", name="Ada")
        yield pool


@pytest.fixture
def config(pool: LocalUserPool) -> AmplifyConfig:
    return pool.config()


@pytest.fixture(params=[WSGIShell, ASGIShell], ids=["wsgi", "asgi"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """One of the two shells."""
    made: Shell = request.param()
    return made
