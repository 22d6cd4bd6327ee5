"""What every test may use: a user pool on this machine, and a configuration for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool
from tests.certificates import Authority
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


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine knows, as long as the test takes."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority


@pytest.fixture(params=[WSGIShell, ASGIShell], ids=["wsgi", "asgi"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """One of the two shells."""
    made: Shell = request.param()
    return made
