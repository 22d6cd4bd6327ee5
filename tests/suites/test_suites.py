"""The frameworks' own tests pass behind our middleware as they pass without it.

Each framework's source comes from the registry, in the version installed here. Its tests run as
they are, and with each app wrapped: for nobody, and for a user with a session. Whole suites that
take longer run on request:

    SUITE_FASTAPI=all          all tests of FastAPI, about ten minutes; without it, a part of them
    SUITE_QUART=/path/to/quart its tests, of a checkout: its releases have had none since 0.15
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.suites

HERE = Path(__file__).parent

# What the tests need beside what is installed here.
NEEDS = [
    "pytest>=9,<9.1",  # Flask's import a private name that 9.1 lacks
    *("blinker", "greenlet", "python-dotenv"),
    *("blockbuster", "importlib-metadata", "itsdangerous", "opentelemetry-sdk"),
    *("python-multipart", "pyyaml", "inline-snapshot", "dirty-equals", "pytest-timeout"),
]


@dataclass(frozen=True)
class Suite:
    """One framework's tests.

    `arguments`: of pytest. `at_least`: as many pass. `served`: at least as many requests go through
    the middleware. `known`: tests that end otherwise behind it, by the reason. One that does and is
    not here fails, and one that is here and no longer does, too.
    """

    framework: str
    arguments: list[str]
    at_least: int
    served: int
    known: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    seconds: float = 6 * PATIENCE  # for one that hangs: three run at once, beside other tests

    def differing(self, visitor: str) -> set[str]:
        """The known tests for a visitor."""
        found = [tests for (who, _), tests in self.known.items() if who in ("all", visitor)]
        return {test for tests in found for test in tests}


BOTTLE = Suite("bottle", ["test"], at_least=360, served=150)
FLASK = Suite(
    "flask",
    ["tests"],
    at_least=480,
    served=400,
    known={
        ("all", "an app held by its own `wsgi_app` is a cycle, with any wrapping"): [
            "tests/test_basic.py::test_app_freed_on_zero_refcount"
        ],
    },
)
STARLETTE = Suite(
    "starlette",
    ["tests", "-panyio", "-knot trio"],  # nothing of ours runs on trio
    at_least=700,
    served=300,
    known={
        ("ada", "a POST of another origin with a session in a cookie gets 403"): [
            "tests/middleware/test_cors.py::test_cors_allow_all_methods[asyncio]"
        ],
    },
)
OPTIONS_OF_FASTAPI = ("-panyio", "-pxdist", "-ptimeout", "-otimeout=0")
FASTAPI = Suite(
    "fastapi",
    [
        *(
            f"tests/test_{part}*.py"
            for part in ("dependency", "exception", "http", "router", "security", "stream", "ws")
        ),
        *OPTIONS_OF_FASTAPI,
    ],
    at_least=500,
    served=500,
)
ALL_OF_FASTAPI = replace(
    FASTAPI,
    arguments=["tests", *OPTIONS_OF_FASTAPI],
    at_least=5000,
    served=6000,
    needs=[
        *("pyjwt", "sqlmodel", "strawberry-graphql", "pwdlib[argon2]", "typer", "a2wsgi", "trio"),
        *("email-validator", "pydantic-settings", "pydantic-extra-types", "python-slugify"),
        *("fastapi-cli", "orjson", "ujson", "opentelemetry-instrumentation-fastapi"),
    ],
    seconds=12 * PATIENCE,
)
QUART = Suite(
    "quart",
    ["tests", "-pasyncio", "-oaddopts="],
    at_least=200,
    served=100,
    needs=["pytest-asyncio"],
)
SUITES = [
    BOTTLE,
    FLASK,
    QUART,
    STARLETTE,
    ALL_OF_FASTAPI if os.environ.get("SUITE_FASTAPI") == "all" else FASTAPI,
]


class Place:
    """A folder for sources, and an environment that adds to this one what their tests need."""

    def __init__(self, folder: Path, needs: list[str]) -> None:
        self.folder = folder
        self.python = folder / "environment" / "bin" / "python"
        venv.create(folder / "environment", with_pip=False)
        [packages] = (folder / "environment" / "lib").glob("*/site-packages")
        (packages / "this.pth").write_text(sysconfig.get_path("purelib"))
        self._pip("--python", self.python, "install", *NEEDS, *needs)

    def source(self, framework: str) -> Path:
        """The unpacked source of a framework, in the version that is installed."""
        package = f"{framework}=={version(framework)}"
        self._pip("download", "--no-deps", "--no-binary", framework, "-d", self.folder, package)
        [archive] = self.folder.glob(f"{framework}-*.tar.gz")
        with tarfile.open(archive) as found:
            found.extractall(self.folder, filter="data")
        return self.folder / archive.name.removesuffix(".tar.gz")

    def start(self, suite: Suite, source: Path, visitor: str, tests: list[str]) -> "Run":
        """Start tests, wrapped for a visitor, in a copy of the source: they write files there."""
        copied = self.folder / f"{suite.framework}-{visitor}"
        if not copied.exists():
            shutil.copytree(source, copied)
        outcomes = copied.with_suffix(".json")
        outcomes.unlink(missing_ok=True)
        environment = os.environ | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
            "SUITE_OUTCOMES": str(outcomes),
            "SUITE_WRAPS": "" if visitor == "plain" else f"{suite.framework}:{visitor}",
        }
        environment.pop("PYTEST_ADDOPTS", None)
        options = [argument for argument in suite.arguments if argument.startswith("-")]
        given = tests or [argument for argument in suite.arguments if argument not in options]
        paths = [path for each in given for path in _found(source, each)]
        command = [self.python, "-m", "pytest", "-q", "-pwrapping", *options]
        command += ["--continue-on-collection-errors", *paths]
        with open(outcomes.with_suffix(".log"), "w") as log:
            process = subprocess.Popen(
                command, cwd=copied, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        return Run(process, outcomes, suite.seconds)

    def _pip(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "connection" in done.stderr.lower():
            pytest.skip(f"no registry: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr


def _found(source: Path, pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    return sorted(str(path.relative_to(source)) for path in source.glob(pattern))


@dataclass(frozen=True)
class Run:
    """Tests that are running."""

    process: "subprocess.Popen[bytes]"
    path: Path
    seconds: float

    def end(self) -> tuple[dict[str, str], int]:
        """The outcome of each test, and the number of requests served by the middleware."""
        try:
            self.process.wait(self.seconds)
        finally:
            self.process.kill()
            self.process.wait()
        assert self.path.exists(), self.log()
        ended = json.loads(self.path.read_text())
        return ended["outcomes"], ended["served"]

    def log(self) -> str:
        """What pytest has printed."""
        return self.path.with_suffix(".log").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    needs = [need for suite in SUITES for need in suite.needs]
    return Place(tmp_path_factory.mktemp("suites"), needs)


def differing(plain: dict[str, str], wrapped: dict[str, str]) -> set[str]:
    return {test for test in plain.keys() | wrapped.keys() if plain.get(test) != wrapped.get(test)}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.framework)
def test_their_tests_pass_behind_the_middleware(suite: Suite, place: Place) -> None:
    source = _source(suite, place)
    running = {who: place.start(suite, source, who, []) for who in ("plain", "nobody", "ada")}
    ended = {who: run.end() for who, run in running.items()}
    plain, _ = ended.pop("plain")
    assert list(plain.values()).count("passed") >= suite.at_least, running["plain"].log()
    for who, (wrapped, served) in ended.items():
        assert served >= suite.served, running[who].log()
        found, known = differing(plain, wrapped), suite.differing(who)
        if found - known:  # once more: some depend on what else the machine does
            tests = sorted(found - known)
            again = [place.start(suite, source, way, tests).end()[0] for way in ("plain", who)]
            found = (found & known) | differing(*again)
        assert (who, found) == (who, known)


def _source(suite: Suite, place: Place) -> Path:
    """The place of a suite."""
    if suite is not QUART:
        return place.source(suite.framework)
    if "SUITE_QUART" not in os.environ:
        pytest.skip("Quart's releases have no tests: name a checkout, SUITE_QUART=/path/to/quart")
    return Path(os.environ["SUITE_QUART"])
