"""The shop of the page "Background jobs": its files, a web app that hands over, and a worker."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, AuthUser, hand_over_user
from amplify_mw.sessions.handover import Handovers
from amplify_mw.sessions.seal import parse_key
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.docs.pages import blocks
from tests.patience import PATIENCE
from tests.shells import Ask, WSGIShell
from tests.valkey import Valkey
from tests.valkey import own_valkey as own_valkey

KEY = "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM"
ROOT = Path(__file__).parent.parent.parent


class Shop:
    """A folder with the page's files, and what the web app does to start a job."""

    def __init__(self, folder: Path, pool: LocalUserPool, broker: Valkey) -> None:
        self.folder = folder
        self.url = broker.url
        self.environ = {
            **os.environ,
            "HANDOVER_KEY": KEY,
            "REDIS_URL": broker.url,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        }
        self._pool = pool
        self._config = pool.config(handover_keys=[KEY])
        self.write("amplify_outputs.json", json.dumps(pool.outputs()))
        for block in blocks("jobs", "python"):
            if block.file:
                self.write(block.file, block.text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def request(self, username: str, view: Callable[[], str]) -> str:
        """What a view answers in a request of a user."""
        shell = WSGIShell()
        app = AmplifyWSGIMiddleware(shell.app(view), self._config)
        cookie = f"amplify-session={self._pool.mint(username)}"
        return shell.send(app, Ask(cookies=cookie)).body

    def handed(self, username: str) -> str:
        """What a request of a user hands over."""
        return self.request(username, lambda: hand_over_user(expires_in=900))

    def expired(self) -> str:
        """What was handed over long ago."""
        config: AmplifyConfig = self._config
        (pool,) = config.user_pools
        sealing = Handovers([parse_key(KEY)], {pool.user_pool_id: pool.iss})
        user, end = AuthUser("ada", "1"), int(time.time()) - 1
        return sealing.seal(user, pool.user_pool_id, {}, expires_at=end, iv=os.urandom(12))

    @contextmanager
    def worker(self, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker: a process of its own, which ends with the block."""
        words = [sys.executable, "-m", *command]
        with (self.folder / "worker.log").open("wb") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, env=self.environ, stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(PATIENCE)

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()


@pytest.fixture
def shop(tmp_path: Path, own_valkey: Valkey) -> Iterator[Shop]:
    with LocalUserPool() as pool:
        pool.add_user("ada", groups=["editors"])
        pool.add_user("bob", groups=["editors"])
        pool.add_user("grace")
        yield Shop(tmp_path, pool, own_valkey)


def raised(action: Callable[[], Any]) -> str:
    """The error that a job's result raises, by its class and reason."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # of the frameworks' own kinds
        action()
    return f"{type(caught.value).__name__} {caught.value}"
