from collections.abc import Iterator

import httpx2
import pytest

from amplify_mw.testing import LocalUserPool
from tests.testing.asking import Clock, client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock) as pool:
        pool.add_user("ada", email="ada@example.com", name="Ada")
        pool.add_user("Google_17", identity_provider="Google", name="Grace")
        yield pool


@pytest.fixture
def browser() -> Iterator[httpx2.Client]:
    with client() as browser:
        yield browser
