"""Amplify JS beside this library: installed once, and asked by all tests of this directory."""

from collections.abc import Iterator

import pytest

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.installation import Unavailable, installed
from tests.amplify_js.node import AmplifyJS, issuer


@pytest.fixture(scope="session")
def amplify() -> Iterator[AmplifyJS]:
    """Amplify JS; without it, the tests that need it are skipped."""
    try:
        scripts = installed()
    except Unavailable as reason:
        pytest.skip(f"Amplify JS is not at hand: {reason}")
    with AmplifyJS(scripts) as amplify:
        yield amplify


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    """A user pool that Amplify JS takes for Amazon's, with one user, `ada`."""
    with LocalUserPool(issuer=issuer()) as pool:
        pool.add_user("ada", email="ada@example.com", name="Ada")
        yield pool
