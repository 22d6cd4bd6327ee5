"""What every test may use: a user pool, a clock, a shell, and sites behind it.

Each test has its own of all of these. A file that needs another overrides the fixture, and may take
the one it overrides: `def build(build): return partial(build, protect=["/account"])`.
"""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from amplify_mw import AmplifyConfig, AmplifyCookies
from amplify_mw.testing import LocalUserPool
from tests import scheduling
from tests.certificates import Authority
from tests.patience import be_patient
from tests.shells import ASGIShell, Shell, WSGIShell, shells
from tests.sites import Build, Clock, Site, session_of, town

# Workers, and the processes that tests start, read what one of them has compiled already.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """With `-n auto`, unless the environment names a number."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else scheduling.workers()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`."""
    is_ours = config.getvalue("dist") == "loadfile"
    return scheduling.Scheduling(config, log) if is_ours else None


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: the search for garbage need not look at it again."""
    gc.collect()
    gc.freeze()


be_patient()

# How long an example takes, and is in the making, depends on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """The root logger as it was: some frameworks set it up when an app of theirs starts."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


@pytest.fixture
def clock() -> Clock:
    """The time of this test's pool and sites, which only the test moves."""
    return Clock()


@pytest.fixture
def pool_options() -> dict[str, Any]:
    """Options of `LocalUserPool` for the pool."""
    return {}


@pytest.fixture
def pool(request: pytest.FixtureRequest, pool_options: dict[str, Any]) -> Iterator[LocalUserPool]:
    """A user pool with `ada`. In a test with a `clock` it goes by that, and has `grace`, too."""
    if "clock" in request.fixturenames:
        with town(request.getfixturevalue("clock"), **pool_options) as pool:
            yield pool
    else:
        with LocalUserPool(**pool_options) as pool:
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


shell = shells(WSGIShell, ASGIShell)


@pytest.fixture
def open_site(shell: Shell, pool: LocalUserPool, clock: Clock) -> Iterator[Build]:
    """Makes a site: `open_site(session, **fields of its configuration)`. It ends with the test."""
    made: list[Site] = []

    def open_site(session: Any, *, pool: LocalUserPool = pool, **options: Any) -> Site:
        made.append(Site(shell, pool, clock, session, **options))
        return made[-1]

    yield open_site
    for site in made:
        site.close()


@pytest.fixture
def build(open_site: Build, clock: Clock, request: pytest.FixtureRequest) -> Build:
    """Makes a site: `build("sealed", session={...}, **fields of its configuration)`.

    Kinds of session are given or named: those of `session_of`, and "amplify". Several are a list.
    """

    def kind_of(kind: Any, options: dict[str, Any]) -> Any:
        if not isinstance(kind, str):
            return kind
        if kind == "amplify":
            return AmplifyCookies(**options)
        return session_of(kind, clock, lambda: request.getfixturevalue("tmp_path"), **options)

    def build(*kinds: Any, session: Any = (), **options: Any) -> Site:
        made = [kind_of(kind, dict(session)) for kind in kinds or ("memory",)]
        return open_site(made if len(made) > 1 else made[0], **options)

    return build
