"""Real servers, each a process of its own, and the apps on them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import httpx2

from amplify_mw.testing import LocalUserPool
from tests.patience import PATIENCE

APPS: Final = Path(__file__).parent / "apps"
_PYTHON: Final = (sys.executable, "-m")
# A worker that is busy for long, if only with its start, is not to be killed by its parent.
_GUNICORN: Final = (
    *(*_PYTHON, "gunicorn", "--no-control-socket", "--timeout", "300"),
    *("--bind", "fd://{fd}"),
)
_UWSGI: Final = (
    *(str(Path(sys.executable).with_name("uwsgi")), "--http-socket", "127.0.0.1:{port}"),
    *("--enable-threads", "--need-app", "--disable-logging"),
)
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "gunicorn-sync": (*_GUNICORN, "-w2", "wsgi_sites:app"),
    "gunicorn-gthread": (*_GUNICORN, "-kgthread", "--threads=4", "wsgi_sites:app"),
    "gunicorn-preload": (*_GUNICORN, "-w2", "--preload", "wsgi_sites:app"),
    "gunicorn-preload-warm": (*_GUNICORN, "-w2", "--preload", "warm_sites:app"),
    "waitress": (sys.executable, "serve_waitress.py", "{fd}"),
    "uvicorn": (*_PYTHON, "uvicorn", "--fd", "{fd}", "asgi_sites:app"),
    "hypercorn": (*_PYTHON, "hypercorn", "--bind", "fd://{fd}", "asgi_sites:app"),
    # Asked in `test_wsgi_servers` only. Some take no socket, but a port.
    "gunicorn-gevent": (*_GUNICORN, "-kgevent", "wsgi_sites:app"),
    "gunicorn-gevent-preload": (*_GUNICORN, "-kgevent", "-w2", "--preload", "wsgi_sites:app"),
    "werkzeug": (sys.executable, "serve_werkzeug.py", "{fd}"),
    "cheroot": (sys.executable, "serve_cheroot.py", "{fd}"),
    "hypercorn-wsgi": (*_PYTHON, "hypercorn", "--bind", "fd://{fd}", "wsgi:wsgi_sites:app"),
    "uvicorn-wsgi": (*_PYTHON, "uvicorn", "--interface", "wsgi", "--fd", "{fd}", "wsgi_sites:app"),
    "granian-wsgi": (
        *(*_PYTHON, "granian", "--interface", "wsgi", "--port", "{port}", "--no-log"),
        *("--blocking-threads", "8", "wsgi_sites:app"),
    ),
    "granian": (
        *(*_PYTHON, "granian", "--interface", "asgi", "--port", "{port}", "--no-log"),
        "asgi_sites:app",
    ),
    "uwsgi": (*_UWSGI, "--threads", "4", "--module", "wsgi_sites:app"),
    "uwsgi-gevent": (
        *(*_UWSGI, "--gevent", "64", "--gevent-monkey-patch", "--module", "wsgi_sites:app"),
        *("-p2", "--master", "--die-on-term"),
    ),
}
WSGI_SERVERS: Final = ("gunicorn-sync", "gunicorn-gthread", "gunicorn-preload", "waitress")
ASGI_SERVERS: Final = ("uvicorn", "hypercorn")
# frameworks that let no error out, each answered by its integration
HANDLED: Final = ("litestar", "falcon", "blacksheep", "sanic")


class Server:
    """A server process on a free port of 127.0.0.1.

    The listening socket is made here and inherited: no port is raced for, and a request that
    comes before the server is ready waits in the queue. One that takes but a port is given one that
    was free, and another if it was not so lucky. `log`: the file for what it prints.
    """

    def __init__(self, kind: str, pool: LocalUserPool, log: Path, **environment: str) -> None:
        command = COMMANDS[kind]
        environment = {**os.environ, **_environment(pool), **environment}
        if not any("{port}" in part for part in command):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.port = listener.getsockname()[1]
                fd = listener.fileno()
                self._start([part.format(fd=fd) for part in command], log, environment, fd)
        else:
            for _ in range(5):
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    self.port = listener.getsockname()[1]
                self._start([part.format(port=self.port) for part in command], log, environment)
                if self._is_listening():
                    break
            else:
                raise AssertionError(f"{kind} does not start:\n{log.read_text()}")
        # A connection for each request: uvicorn closes one after an error that reached it, and
        # lets what is sent on it again inherit a context that asgiref's `WsgiToAsgi` cannot bear.
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
            verify=False,  # plain HTTP: no certificates to read
            timeout=PATIENCE,
        )

    def _start(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], *fds: int
    ) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=APPS, env=environment, pass_fds=fds, stdout=output, stderr=output
            )

    def _is_listening(self) -> bool:
        """Whether it takes connections, as soon as it does; it may end instead."""
        while self._process.poll() is None:
            with suppress(OSError), self.connect():
                return True
            time.sleep(0.02)
        return False

    def terminate(self) -> None:
        """Ask the process to end."""
        self.client.close()
        self._process.terminate()

    def close(self) -> None:
        """End the process; what it could not end in time is killed."""
        self.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def exchange(self, requests: bytes) -> bytes:
        """All that comes back over one connection, whose last request must end it."""
        with self.connect() as connection:
            connection.sendall(requests)
            return rest_of(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


def rest_of(connection: socket.socket) -> bytes:
    """What still comes, until the server ends the connection."""
    return b"".join(iter(partial(connection.recv, 65536), b""))


def _environment(pool: LocalUserPool) -> dict[str, str]:
    return {
        # (the caller's own, too: the package may be elsewhere than where it is installed)
        "PYTHONPATH": os.pathsep.join([str(APPS), os.environ.get("PYTHONPATH", "")]),
        "AMPLIFY_USER_POOL_ID": pool.user_pool_id,
        "AMPLIFY_CLIENT_ID": pool.client_id,
        "AMPLIFY_ENDPOINT_URL": pool.url,
        "AMPLIFY_ISSUER": pool.issuer,
    }


@dataclass(frozen=True)
class Site:
    """One app on a server. `mount` goes before each path, `cookie` is the session's value."""

    server: Server
    name: str
    mount: str = ""

    def get(
        self, path: str, cookie: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        return self.server.client.get(
            self.mount + path, headers={**(headers or {}), **self.headers(cookie)}
        )

    def headers(self, cookie: str | None = None) -> dict[str, str]:
        own = {} if cookie is None else {"Cookie": f"theme=dark; amplify-session={cookie}"}
        return {"X-Site": self.name, **own}

    def request(self, path: str, cookie: str | None = None) -> bytes:
        """A request as it goes over the wire."""
        return self._written("GET", path, self.headers(cookie))

    def upload(self, path: str, cookie: str, body: bytes) -> bytes:
        """A request with a body."""
        headers = {**self.headers(cookie), "Content-Length": str(len(body))}
        return self._written("POST", path, headers) + body

    def last_request(self, path: str, method: str = "GET") -> bytes:
        """One that asks the server to close the connection after it."""
        return self._written(method, path, {**self.headers(), "Connection": "close"})

    def _written(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        lines = map(": ".join, {"Host": "127.0.0.1", **headers}.items())
        return "\r\n".join([f"{method} {self.mount}{path} HTTP/1.1", *lines, "\r\n"]).encode()


@dataclass
class Servers:
    """Starts each kind of server when it is first asked for."""

    pool: LocalUserPool
    logs: Path
    running: dict[str, Server] = field(default_factory=dict)

    def site(self, server: str, name: str, mount: str = "") -> Site:
        if server not in self.running:
            self.running[server] = self.start(server)
        return Site(self.running[server], name, mount)

    def start(self, kind: str, **environment: str) -> Server:
        return Server(kind, self.pool, self.logs / f"{kind}.log", **environment)

    def close(self) -> None:
        for server in self.running.values():
            server.terminate()
        for server in self.running.values():
            server.close()
