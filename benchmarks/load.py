"""The load generator: a process that asks a server the same request over and over.

`python -m benchmarks.load` reads orders from its input, a JSON object a line, and answers each with
one: `{"port", "request", "connections", "seconds", "pids"}`, and `{"requests", "seconds", "cpu",
"p50", "p99"}` (all times in seconds). One process takes many orders, so that none of them pays for
its start.

Rules:
- A closed loop over so many kept-alive connections: the next request goes out on a connection as
  soon as the answer to the last has come.
- Each connection has been answered once before the clock starts, and every answer that was asked
  for comes in before it stops: a window holds whole requests only.
- A window goes on until the server's CPU clock has moved: some systems' clocks tick slowly.
- The server's CPU time is that of the processes `pids`, user and system, of threads that have ended
  too, read from their clocks in nanoseconds right where the window begins and ends.
- Every answer is checked: its status, and its body to the byte. The first that is wrong, or that
  does not come, ends this process with a traceback.
"""

import gc
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
# Linux's prctl(PR_SET_PDEATHSIG, SIGTERM), which the program that is run next inherits.
TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
BODY = b"ok"
PATIENCE = 120.0  # seconds without any answer


def child(arguments: list[str], **options) -> subprocess.Popen:
    """This Python with these arguments, terminated with this process, however this one ends."""
    command = [sys.executable, "-IS", "-c", TIED, *arguments]
    return subprocess.Popen(command, cwd=ROOT, process_group=0, **options)


def free_port() -> int:
    """A port that nobody takes while its server starts: systems give none below 32768 away."""
    for port in random.sample(range(10_000, 20_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class Generator:
    """The process that takes the orders, from the side of the one who gives them."""

    def __init__(self) -> None:
        arguments = ["-m", "benchmarks.load"]
        self._process = child(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, **order: object) -> dict[str, float]:
        """The answer to one order."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the load generator gave up on port {order['port']}"
        return json.loads(answer)

    def pin(self, cpu: int) -> None:
        os.sched_setaffinity(self._process.pid, {cpu})

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(eq=False)
class Connection:
    """A kept-alive connection, and what has come of its answer so far."""

    socket: socket.socket
    request: bytes
    asked_at: float = 0.0
    answer: bytes = b""

    def ask(self) -> None:
        self.answer = b""
        self.asked_at = perf_counter()
        sent = self.socket.send(self.request)  # far less than a socket's buffer
        assert sent == len(self.request)

    def is_answered(self) -> bool:
        """Whether what there is to be read completes the answer."""
        part = self.socket.recv(65536)
        self.answer += part
        head, gap, body = self.answer.partition(b"\r\n\r\n")
        if part and BODY.startswith(body) and (not gap or head.startswith(b"HTTP/1.1 200 ")):
            return body == BODY
        raise AssertionError(f"a wrong answer: {self.answer!r}")


@dataclass
class Load:
    """The connections of one order."""

    connections: dict[int, Connection]
    poll: "select.epoll" = field(default_factory=lambda: select.epoll())

    def until(self, deadline: float) -> list[float]:
        """The latencies of all requests that were sent before `deadline`, one at the least."""
        latencies = []
        for connection in self.connections.values():
            connection.ask()
        waiting = len(self.connections)
        while waiting:
            ready = self.poll.poll(PATIENCE)
            assert ready, f"no answer within {PATIENCE} seconds"
            for number, _ in ready:
                connection = self.connections[number]
                if not connection.is_answered():
                    continue
                now = perf_counter()
                latencies.append(now - connection.asked_at)
                if now < deadline:
                    connection.ask()
                else:
                    waiting -= 1
        return latencies


def opened(port: int, request: bytes, count: int) -> Load:
    load = Load({})
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        load.connections[client.fileno()] = Connection(client, request)
        load.poll.register(client, select.EPOLLIN)
    return load


def closed(load: Load) -> None:
    load.poll.close()
    for connection in load.connections.values():
        connection.socket.close()


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have computed for so far; an `OSError` where one of them is gone."""
    # What Linux's clock_getcpuclockid(3) answers: the pid's complement, and two for "CPU time".
    return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids) / 1e9


def measured(
    port: int, request: str, connections: int, seconds: float, pids: list[int]
) -> dict[str, float]:
    """One order's answer."""
    load = opened(port, request.encode(), connections)
    try:
        load.until(0.0)
        gc.collect()
        cpu = cpu_seconds(pids)
        start = perf_counter()
        latencies = load.until(start + seconds)
        while (spent := cpu_seconds(pids) - cpu) <= 0:
            assert perf_counter() < start + PATIENCE, "the server's CPU clock stands still"
            latencies += load.until(perf_counter() + seconds)
        taken = perf_counter() - start
    finally:
        closed(load)
    latencies.sort()
    return {
        "requests": len(latencies),
        "seconds": taken,
        "cpu": spent,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
    }


def main() -> None:
    gc.disable()
    for line in sys.stdin:
        print(json.dumps(measured(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
