"""The processes of a site, as a test sees them."""

import itertools
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE
from tests.processes.sites import Spec

ROOT = Path(__file__).parents[2]


class Journal:
    """What all processes have told, counted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, site: str, event: str) -> None:
        with self._changed:
            self._counts[site, event] += 1
            self._changed.notify_all()

    def count(self, site: str, event: str) -> int:
        with self._changed:
            return self._counts[site, event]

    def wait(self, site: str, event: str, count: int = 1) -> None:
        """Until so much has been told."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._counts[site, event] >= count, PATIENCE)
            told = {told: n for (of, told), n in self._counts.items() if of == site}
            assert came, f"{count} times {event!r} was waited for; what came is {told}"


class Answer:
    """A response, as a process tells of it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.status: int = told["status"]
        self.body: str = told["body"]
        self.pid: int = told["pid"]
        self._headers = told["headers"]

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:100]!r}>"

    def header(self, wanted: str) -> list[str]:
        return [value for name, value in self._headers if name == wanted]

    @property
    def new_cookie(self) -> str | None:
        """The value that the session's cookie is set to; "" where it is cleared."""
        lines = self.header("set-cookie")
        values = [line.partition(";")[0].partition("=")[2] for line in lines]
        assert len(list(filter(None, values))) < 2, "the cookie was set twice"
        return max(values) if values else None  # (others of its name are cleared)

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Its status; and `cleared` or `set`, if the cookie was."""
        new = self.new_cookie
        return self.status, None if new is None else ("set" if new else "cleared")


class Worker:
    """A process that serves sites."""

    def __init__(self, journal: Journal, log: Path) -> None:
        self._journal = journal
        self._log = log
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.processes.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
            )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "number" not in told:
                self._journal.note(**told)
            elif "error" in told:
                self._asked.pop(told["number"]).set_exception(AssertionError(told["error"]))
            else:
                self._asked.pop(told["number"]).set_result(told["answer"])
        for future in self._asked.values():
            future.set_exception(ConnectionError("the process has ended"))

    def do(self, order: str, **arguments: Any) -> "Future[Any]":
        number, future = next(self._numbers), Future[Any]()
        self._asked[number] = future
        assert self._process.stdin is not None
        order = json.dumps({"number": number, "do": order, "arguments": arguments})
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return future

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._end()

    def pause(self) -> None:
        """Let it do nothing, as a machine does that is moved or swaps."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> str:
        """End it; what it has complained about."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._end()
        return self._log.read_text()

    def _end(self) -> None:
        self._process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Member:
    """One process of one site."""

    def __init__(self, worker: Worker, spec: Spec, shell: str) -> None:
        self.worker = worker
        self.site = spec.name
        worker.do("open", spec=asdict(spec), shell=shell).result(PATIENCE)

    def begin(self, cookie: str | None, path: str = "/", count: int = 1, **headers: str) -> "Begun":
        """Send requests, all at once, and do not wait."""
        ask = {"path": path, "cookie": cookie, "headers": headers}
        return Begun(self.worker.do("ask", site=self.site, asks=[ask] * count))

    def ask(self, cookie: str | None, path: str = "/", **headers: str) -> Answer:
        """The answer to a request."""
        return self.begin(cookie, path, **headers).answers[0]

    def do(self, order: str, **arguments: Any) -> Any:
        return self.worker.do(order, site=self.site, **arguments).result(PATIENCE)

    def answers(self, order: str, *cookies: str, **arguments: Any) -> list[Answer]:
        """What came of an order to serve such requests in a particular way."""
        asks = [{"cookie": cookie} for cookie in cookies]
        return [Answer(told) for told in self.do(order, asks=asks, **arguments)]


class Begun:
    """Requests that have been sent."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    @property
    def answers(self) -> list[Answer]:
        return [Answer(told) for told in self._future.result(PATIENCE)]

    @property
    def answer(self) -> Answer:
        (answer,) = self.answers
        return answer


class Cluster:
    """Processes that serve one test's site after the other's."""

    def __init__(self, logs: Path) -> None:
        self.journal = Journal()
        self._logs = logs
        self._workers: list[Worker] = []
        self._members: list[Member] = []
        self._started = itertools.count()

    def members(self, spec: Spec | list[Spec], *shells: str) -> list[Member]:
        """A site in as many processes, behind these shells; `spec`: of all of them, or of each."""
        for worker in self._workers:
            if not worker.is_alive:
                worker.close()
        self._workers = [worker for worker in self._workers if worker.is_alive]
        while len(self._workers) < len(shells):
            log = self._logs / f"worker-{next(self._started)}.log"
            self._workers.append(Worker(self.journal, log))
        specs = spec if isinstance(spec, list) else [spec] * len(shells)
        each = zip(self._workers, specs, shells, strict=False)
        members = [Member(worker, spec, shell) for worker, spec, shell in each]
        self._members += members
        return members

    def clear(self) -> None:
        """Close all sites."""
        members, self._members = self._members, []
        for member in members:
            if member.worker.is_alive:
                member.do("close")

    def close(self) -> None:
        complaints = [worker.close() for worker in self._workers]
        assert not any(complaints), "\n".join(complaints)
