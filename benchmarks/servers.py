"""What does it cost behind a real server? Bare, with the hand-written floor, and with the library.

Compared: the CPU time of a request, user and system, over all the processes and threads of a server
(`load` says how it is read), and beside it requests per second and latencies. The baseline is the
same server with the bare app, in the same round; the aim is against the server with the floor.

How it is fair:
- The three servers of a kind are started together, equally, and stay; short windows of load go to
  them by turns, forwards in one round and backwards in the next. A ratio is formed within a round.
  A set's figure is the median of its rounds; the table shows the median over sets, each of fresh
  processes, and in brackets the least and the greatest.
- One process with one worker each, no access log, kept-alive connections, and no more of them than
  a threaded server has threads: else waitress logs each request that has to wait.
- The servers run on one CPU and the load generator on another, where there are two.
- Before and after a set's rounds each server is asked who the user is.
"""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .harness import FULL, Plan
from .load import Generator, child, cpu_seconds, free_port
from .report import Aim, Spread, Table, at_most, versions
from .requests import HEADERS, cookie_header
from .served import NOBODY, SHARED
from .tokens import Mint

CONNECTIONS = 16
PATIENCE = 120.0  # seconds for a server to start, or to answer a question
NONE, KNOWN = "no cookie", "known token"
BARE, FLOOR, OURS = "bare app", "floor", "amplify_mw"
FACTORIES = {BARE: "bare", FLOOR: "floor", OURS: "ours"}
CASES = [(kind, candidate) for kind in (NONE, KNOWN) for candidate in FACTORIES]
LIMIT = at_most(1.15)

Case = tuple[str, str]  # the kind of request, and who answers it
Figures = dict[str, float]  # what one window of load shows, by name
Sets = Sequence[Sequence[dict[Case, Figures]]]  # the rounds of each set


@dataclass(frozen=True)
class Kind:
    """A server as one would start it; `command` holds `{port}`, and `{app}` for the factory."""

    name: str
    shell: str
    command: str
    packages: tuple[str, ...]  # the first is the server, the others what it runs on where present

    @property
    def is_installed(self) -> bool:
        return find_spec(self.packages[0]) is not None

    def arguments(self, candidate: str, port: int) -> list[str]:
        app = f"benchmarks.served:{self.shell}_{FACTORIES[candidate]}"
        return ["-m", *self.command.format(port=port, app=app).split()]


SERVERS = (
    Kind(
        "uvicorn",
        "asgi",
        "uvicorn --factory {app} --port {port} --no-access-log --log-level warning --lifespan off",
        ("uvicorn", "uvloop", "httptools"),
    ),
    Kind(
        "granian, ASGI",
        "asgi",
        "granian --factory {app} --port {port} --interface asgi --no-ws --no-access-log --no-log",
        ("granian", "uvloop"),
    ),
    Kind(
        "granian, WSGI",
        "wsgi",
        "granian --factory {app} --port {port} --interface wsgi --no-ws --no-access-log --no-log "
        f"--blocking-threads {CONNECTIONS}",
        ("granian",),
    ),
    Kind(
        "gunicorn, gthread",
        "wsgi",
        f"gunicorn {{app}}() --bind 127.0.0.1:{{port}} --worker-class gthread --workers 1 "
        f"--threads {CONNECTIONS} --timeout 300 --keep-alive 75 --log-level warning "
        "--no-control-socket",
        ("gunicorn",),
    ),
    Kind(
        "waitress",
        "wsgi",
        f"waitress --call --listen 127.0.0.1:{{port}} --threads {CONNECTIONS} {{app}}",
        ("waitress",),
    ),
)


class Server:
    """A server of its own process group, on a free port."""

    def __init__(self, kind: Kind, candidate: str, folder: Path) -> None:
        self.port = free_port()
        self.name = f"{kind.name}, {candidate}"
        self._log = folder / f"{self.port}.log"
        with self._log.open("wb") as log:
            self._process = child(
                kind.arguments(candidate, self.port),
                env={**os.environ, SHARED: str(folder / "shared.json")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def who(self, cookie: str | None) -> str:
        """The name of the user that a request with this cookie is answered for."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            client.request("GET", "/account/orders?who", headers=headers(cookie))
            return client.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"{self.name}: {error!r}\n{self._log.read_text()}") from error
        finally:
            client.close()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not start:\n{self._log.read_text()}")

    @property
    def pids(self) -> list[int]:
        """The server's process and its descendants."""
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(ProcessLookupError):
                if os.getpgid(int(name)) == self._process.pid:
                    found.append(int(name))
        return found

    def pin(self, cpu: int) -> None:
        for pid in self.pids:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), {cpu})

    def end(self) -> None:
        self._process.terminate()

    def wait_until_ended(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def headers(cookie: str | None) -> dict[str, str]:
    return HEADERS if cookie is None else {**HEADERS, "cookie": cookie}


def request(cookie: str | None) -> str:
    lines = [f"{name.title()}: {value}" for name, value in headers(cookie).items()]
    return "\r\n".join(["GET /account/orders?page=2 HTTP/1.1", *lines, "", ""])


@contextmanager
def started(kind: Kind, folder: Path) -> Iterator[tuple[dict[str, Server], Generator]]:
    """A server for each candidate and a load generator, ready, and stopped at last."""
    with ExitStack() as stack:
        generator = Generator()
        stack.callback(generator.stop)
        servers: dict[str, Server] = {}
        for candidate in FACTORIES:
            servers[candidate] = Server(kind, candidate, folder)
            stack.callback(servers[candidate].wait_until_ended)
        stack.callback(lambda: [server.end() for server in servers.values()])
        for server in servers.values():
            server.wait_until_ready()
        yield servers, generator


def a_set(kind: Kind, plan: Plan, folder: Path) -> list[dict[Case, Figures]]:
    """The rounds of fresh servers: each case's figures in each."""
    facts = json.loads((folder / "shared.json").read_text(encoding="utf-8"))
    cookies = {NONE: None, KNOWN: cookie_header(facts["token"])}
    rounds = []
    with started(kind, folder) as (servers, generator):
        check(servers, cookies, facts["username"])
        pin(servers, generator)
        for number in range(rounds_of(plan)):
            rounds.append({})
            for case in CASES[::-1] if number % 2 else CASES:
                name, candidate = case
                rounds[-1][case] = window(generator, servers[candidate], cookies[name], plan)
        check(servers, cookies, facts["username"])
    return rounds


def window(generator: Generator, server: Server, cookie: str | None, plan: Plan) -> Figures:
    found = generator.measure(
        port=server.port,
        request=request(cookie),
        connections=CONNECTIONS,
        seconds=seconds_of(plan),
        pids=server.pids,
    )
    return {
        "cpu": found["cpu"] / found["requests"],
        "rate": found["requests"] / found["seconds"],
        "p50": found["p50"],
        "p99": found["p99"],
    }


def rounds_of(plan: Plan) -> int:
    return max(plan.rounds // 4, 1)


def seconds_of(plan: Plan) -> float:
    """A window's: long enough for a thousand requests in a full run."""
    return plan.batch * 20


def check(servers: dict[str, Server], cookies: dict[str, str | None], username: str) -> None:
    """What is timed works: both recognise the token's user, and nobody without it."""
    for candidate, server in servers.items():
        for kind, cookie in cookies.items():
            expected = NOBODY if cookie is None or candidate == BARE else username
            assert server.who(cookie) == expected, (server.name, kind)


def cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def pin(servers: dict[str, Server], generator: Generator) -> None:
    """Only once they are up: starting may take all CPUs."""
    if len(cpus()) < 2:
        return
    for server in servers.values():
        server.pin(cpus()[0])
    generator.pin(cpus()[1])


def cpu_table(kind: Kind, sets: Sets, notes: list[str]) -> Table:
    rows, aims = [], []
    for case in CASES:
        cells = [": ".join(case), middle(sets, "cpu", case, 1e6).text(), of_bare(sets, "cpu", case)]
        name, candidate = case
        if candidate == OURS:
            of_floor = ratio(sets, "cpu", case, FLOOR)
            cells.append(of_floor.text())
            if name == KNOWN:
                what = f"{kind.name}, {name}: CPU of a request, of the floor's"
                aims.append(Aim(what, of_floor, LIMIT))
                cells.append(str(LIMIT))
        rows.append(cells)
    head = ("", "CPU µs a request", "times bare", "times the floor", "aim")
    return Table(f"Behind {kind.name}: CPU of a request", head, rows, "", notes, aims)


def rate_table(kind: Kind, sets: Sets) -> Table:
    head = ("", "requests/s", "of bare", "p50 µs", "times bare", "p99 µs", "times bare")
    rows = []
    for case in CASES:
        cells = [": ".join(case)]
        for figure, scale in (("rate", 1.0), ("p50", 1e6), ("p99", 1e6)):
            cells.append(f"{middle(sets, figure, case, scale).middle:.0f}")
            cells.append(of_bare(sets, figure, case))
        rows.append(cells)
    return Table(f"Behind {kind.name}: requests per second, and latency", head, rows)


def middle(sets: Sets, figure: str, case: Case, scale: float) -> Spread:
    return Spread.of([median(each[case][figure] * scale for each in rounds) for rounds in sets])


def ratio(sets: Sets, figure: str, case: Case, candidate: str) -> Spread:
    """To that of another candidate on the same kind of request, in the same round."""
    unit = (case[0], candidate)
    return Spread.of(
        [median(each[case][figure] / each[unit][figure] for each in rounds) for rounds in sets]
    )


def of_bare(sets: Sets, figure: str, case: Case) -> str:
    return "" if case[1] == BARE else ratio(sets, figure, case, BARE).text()


def missing() -> str | None:
    """Why nothing can be measured here; None if it can."""
    try:
        cpu_seconds([os.getpid()])
        os.sched_getaffinity(0)
        os.listdir("/proc")
    except (AttributeError, OSError):
        return "Left out: the CPU time of other processes is read as Linux gives it."
    return None


def share(folder: Path) -> None:
    """Put down what the servers are to know: a token, its user, and the key."""
    mint = Mint()
    (token,) = mint.tokens(1)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    facts = {"token": token, "username": claims["cognito:username"], "keys": mint.key_set}
    (folder / "shared.json").write_text(json.dumps(facts), encoding="utf-8")


def notes_of(kind: Kind, plan: Plan) -> list[str]:
    settings = kind.command.format(port="PORT", app="APP")
    pinned = "the servers on one CPU, the load on another" if len(cpus()) > 1 else "nothing pinned"
    return [
        f"{versions(kind.packages)}: `{settings}`.",
        f"{CONNECTIONS} connections, {pinned}; {rounds_of(plan)} rounds in each of "
        f"{plan.processes} sets, windows of {seconds_of(plan):g} s.",
    ]


def tables(plan: Plan = FULL) -> Iterator[Table]:
    left_out = sorted({kind.packages[0] for kind in SERVERS if not kind.is_installed})
    why = missing() or (f"Not installed: {', '.join(left_out)}." if left_out else None)
    if why is not None:
        yield Table("Behind real servers", ("", "left out"), [], notes=[why])
    if missing() is not None:
        return
    for kind in SERVERS:
        if not kind.is_installed:
            continue
        with TemporaryDirectory() as folder:
            share(Path(folder))
            sets = [a_set(kind, plan, Path(folder)) for _ in range(plan.processes)]
        yield cpu_table(kind, sets, notes_of(kind, plan))
        yield rate_table(kind, sets)


if __name__ == "__main__":
    print(*tables(), sep="\n")
