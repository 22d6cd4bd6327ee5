"""The servers that tests ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.valkey.cluster import ValkeyCluster
from tests.valkey.sentinels import ValkeySentinels
from tests.valkey.server import Valkey

PATIENT = 60_000  # milliseconds: on a busy machine a node may be silent for long


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server is that is shared by tests: each takes a prefix of its own."""
    named = os.environ.get("AMPLIFY_TEST_REDIS_URL")
    if named:
        yield named
        return
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server.url
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server that a test may break."""
    server = Valkey(tmp_path)
    yield server
    server.go_on()
    server.stop()


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """A cluster that is shared by tests: each takes a prefix of its own, and breaks nothing."""
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"), node_timeout=PATIENT)
    yield cluster
    cluster.close()


@pytest.fixture
def own_valkey_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster that a test may break."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = ValkeyCluster(folder)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def valkey_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeySentinels]:
    """A primary with Sentinels that is shared by tests, and never broken."""
    sentinels = ValkeySentinels(tmp_path_factory.mktemp("sentinels"), down_after=PATIENT)
    yield sentinels
    sentinels.close()


@pytest.fixture
def own_valkey_sentinels(tmp_path: Path) -> Iterator[ValkeySentinels]:
    """A primary with Sentinels that a test may break."""
    folder = tmp_path / "sentinels"
    folder.mkdir()
    sentinels = ValkeySentinels(folder)
    yield sentinels
    sentinels.close()
