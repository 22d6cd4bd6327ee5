"""A pytest plugin: `pytest_plugins = ["amplify_mw.testing.plugin"]` in a conftest.

Fixtures: `user_pool`, a `LocalUserPool` of this test's own.
"""

from collections.abc import Iterator

import pytest

from .pool.pool import LocalUserPool


@pytest.fixture
def user_pool() -> Iterator[LocalUserPool]:
    """A user pool on 127.0.0.1, without users."""
    with LocalUserPool() as pool:
        yield pool
