"""What the pages' programs find: a user pool, a file of Amplify's, keys, a folder of their own."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sanic import Sanic

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool

KEY = "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM"


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    """A user pool for all pages: `ada` is an editor and an admin, `grace` is neither."""
    with LocalUserPool() as pool:
        pool.add_user("ada", email="ada@example.com", name="Ada", groups=["editors", "admins"])
        pool.add_user("grace", email="grace@example.com")
        yield pool


@pytest.fixture
def surroundings(pool: LocalUserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs take the local pool for the one in `amplify_outputs.json`, and for Amazon's."""

    def from_outputs(cls: Any, source: str, **options: Any) -> AmplifyConfig:
        assert source == "amplify_outputs.json"
        return pool.config(**options)

    def client(service: str, region_name: str) -> Any:
        return make(service, endpoint_url=pool.url, region_name=region_name)

    make = boto3.client
    monkeypatch.setattr(AmplifyConfig, "from_outputs", classmethod(from_outputs))
    monkeypatch.setattr(boto3, "client", client)
    monkeypatch.setattr(Sanic, "test_mode", True)  # a page's app is made twice, under one name
    for name in ("SESSION_KEY", "AUTH_KEY"):
        monkeypatch.setenv(name, KEY)
    for name in ("AMPLIFY_USER_POOL_ID", "AMPLIFY_CLIENT_ID"):
        monkeypatch.setenv(name, "eu-west-1_Ab12Cd34E")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("METRICS_PORT", "0")  # a free one
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(logging.getLogger("amplify_mw"), "level", logging.NOTSET)
