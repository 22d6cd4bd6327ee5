"""Why Amplify JS cannot be had, where it cannot."""

from pathlib import Path

import pytest

from tests.amplify_js.installation import Unavailable, installed, node

pytestmark = pytest.mark.node


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a `node` can be put; there is no other."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "node"


def test_without_node_the_reason_is_told(program: Path) -> None:
    with pytest.raises(Unavailable, match="node is not installed"):
        node()


def test_an_old_node_is_named(program: Path) -> None:
    program.write_text("#!/bin/sh\necho v20.8.1\n")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match=r"node 20\.9 or newer is needed; this is v20\.8\.1"):
        node()


def test_without_npm_the_reason_is_told(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\necho v20.9.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("AMPLIFY_TEST_NODE_CACHE", str(program.parent / "cache"))
    with pytest.raises(Unavailable, match="npm is not installed"):
        installed()


@pytest.mark.usefixtures("amplify")  # or there is no npm
def test_without_a_registry_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMPLIFY_TEST_NODE_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match=r"registry cannot be reached.*ECONNREFUSED"):
        installed()
    assert not list(tmp_path.glob("modules/*/node_modules/next"))
