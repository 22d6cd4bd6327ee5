"""Servers and a user pool that all tests of this directory share; the pool runs in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amplify_mw.testing import LocalUserPool
from tests.frameworks.servers import Servers

collect_ignore = ["apps"]  # they belong to the servers, and want their environment
USERS = [f"user-{number}" for number in range(10)]


@pytest.fixture(scope="session")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        for name in ("ada", "bob", *USERS):
            pool.add_user(name, email=f"{name}@example.com")
        pool.add_user("eve", groups=["editors"])
        yield pool


@pytest.fixture(scope="session")
def servers(pool: LocalUserPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(pool, Path(tmp_path_factory.mktemp("servers")))
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def ada(pool: LocalUserPool) -> str:
    """An access token: attributes come from Cognito."""
    return pool.sign_in("ada").access_token
