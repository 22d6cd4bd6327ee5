"""A real PostgreSQL for tests: the system's binaries, started as an unprivileged user.

Debian installs them (`apt-get install postgresql`) below /usr/lib/postgresql. Tests skip themselves
where there are none. The shared server keeps nothing safe from a power cut (`fsync = off`); each
test has a table of its own there. What breaks a server is done to one that was started for it.
Servers and their files go with the test process, however it ends.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.patience import until
from tests.valkey import free_port
from tests.valkey.endings import (
    end_with_this_process,
    has_ended,
    is_removed,
    remove_with_this_process,
)

PASSWORD: Final = "a-secret-password"
_UNPRIVILEGED: Final = ("postgres", "nobody")
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
shared_buffers = 16MB
autovacuum = off
log_destination = stderr
"""


def binaries() -> Path | None:
    """The folder of the newest server's programs; None if there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    named = shutil.which("postgres")
    if named is not None:
        found.append(Path(named).resolve().parent)
    return max(found, key=_version, default=None)


def _version(folder: Path) -> int:
    numbers = re.findall(r"\d+", folder.parent.name)
    return int(numbers[0]) if numbers else 0


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    if binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no other user to run it"
    return None


def _unprivileged() -> pwd.struct_passwd | None:
    for name in _UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def folder_of_its_user() -> Path:
    """A new folder for the user that runs servers."""
    folder = Path(tempfile.mkdtemp(prefix="amplify_mw-postgres-"))
    user = _unprivileged() if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    remove_with_this_process(folder)
    return folder


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    is_removed(folder)


_templates: Final[list[Path]] = []


def _template(server: "Postgres") -> Path:
    """The files of a server that was never started: making them takes longer than copying them."""
    if not _templates:
        folder = folder_of_its_user()
        server.initialise(folder / "data")
        _templates.append(folder / "data")
    return _templates[0]


class Postgres:
    """A server of one's own, on a free port. Its superuser is `postgres`, with a password."""

    def __init__(self, settings: str = "", *, certificate: bytes = b"") -> None:
        self._settings = settings
        self._certificate = certificate
        self.folder = folder_of_its_user()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            stat = self.folder.stat()
            self._user = {"user": stat.st_uid, "group": stat.st_gid, "extra_groups": []}
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._prepare()
            self._start_somewhere()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self._run("cp", "-a", str(_template(self)), str(self.data))
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS + self._settings)
            if self._certificate:
                file.write("ssl = on\nssl_cert_file = 'tls.pem'\nssl_key_file = 'tls.pem'\n")
        if self._certificate:
            pem = self.data / "tls.pem"
            pem.write_bytes(self._certificate)
            pem.chmod(0o600)
            os.chown(pem, self.data.stat().st_uid, self.data.stat().st_gid)

    def initialise(self, data: Path) -> None:
        """Make a server's files."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            *(self._program("initdb"), "--pgdata", str(data), "--username", "postgres"),
            *("--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8"),
            *("--locale", "C", "--no-sync"),
        )

    def _start_somewhere(self) -> None:
        for _ in range(3):  # between a look at a port and its use another program may take it
            self.port = free_port()
            with suppress(AssertionError):
                return self.start()
        return self.start()

    def _program(self, name: str) -> str:
        folder = binaries()
        assert folder is not None
        return str(folder / name)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=_environment(),
            **self._user,
        )
        assert done.returncode == 0, done.stderr

    @property
    def dsn(self) -> str:
        """Its address, for the superuser."""
        return self.dsn_of("postgres")

    def dsn_of(self, user: str, *, password: str = PASSWORD, port: int | None = None) -> str:
        """Its address, for a user."""
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/postgres"

    def start(self) -> None:
        """Start it, at the same port as ever, with what it has on disk."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.data), "-p", str(self.port)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment(),
                **self._user,
            )
        end_with_this_process(self._process.pid)
        until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            has_ended(self._process.pid)
            raise AssertionError((self.folder / "log").read_text())
        with suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().split()
            return lines[:1] == [str(self._process.pid)] and lines[-1] == "ready"
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it and its connections: "fast", or with SIGQUIT at once."""
        if self._process is not None:
            self.go_on()
            self._process.send_signal(how)
            self._process.wait()
            has_ended(self._process.pid)
            self._process = None

    def runs(self) -> bool:
        """Whether it has been started, and not stopped."""
        return self._process is not None

    def standby(self) -> "Postgres":
        """A server that follows this one, and takes no writes until it is promoted."""
        return _Standby(self)

    def run_beside(self, *command: str) -> "subprocess.Popen[bytes]":
        """Run another program as the same user."""
        process = subprocess.Popen(
            command, cwd=self.folder, env=_environment(), stderr=subprocess.DEVNULL, **self._user
        )
        end_with_this_process(process.pid)
        return process

    def processes(self) -> list[int]:
        """The server's processes: its first one, and those it has started."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def pause(self) -> None:
        """Let the system accept connections for it, and answer nothing."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        if self._process is not None and self._process.poll() is None:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Do something behind the store's back."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """End it, and remove what it has on disk."""
        self.stop(signal.SIGQUIT)
        _remove(self.folder)


class _Standby(Postgres):
    def __init__(self, primary: Postgres) -> None:
        self._primary = primary
        super().__init__()

    def _prepare(self) -> None:
        self._run(
            *(self._program("pg_basebackup"), "--dbname", self._primary.dsn),
            *("--pgdata", str(self.data), "--write-recovery-conf", "--checkpoint", "fast"),
            "--no-sync",
        )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server that tests share: each takes a table of its own."""
    yield from _served()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may break."""
    yield from _served()


def _served() -> Iterator[Postgres]:
    why = missing()
    if why is not None:
        pytest.skip(why)
    server = Postgres()
    yield server
    server.close()
