"""Sign-in, refresh and sign-out over HTTP, for each kind of session on real servers."""

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
import pytest

from amplify_mw.models.session import TokenSet
from tests.patience import PATIENCE, until
from tests.processes.conftest import DUE, HOUR, Cognito, Places
from tests.processes.sites import Spec

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[2]
_PYTHON = (sys.executable, "-m")
# A worker that is busy for long, if only with its start, is not to be killed by its parent.
_GUNICORN = (
    *(*_PYTHON, "gunicorn", "--no-control-socket", "--timeout", "300"),
    *("--bind", "fd://{fd}"),
)
COMMANDS = {
    "gunicorn": (*_GUNICORN, "-kgthread", "--threads=4", "flask_sessions:app"),
    "gunicorn-workers": (*_GUNICORN, "-w2", "flask_sessions:app"),
    "gunicorn-preload": (*_GUNICORN, "-w2", "--preload", "warm_flask_sessions:app"),
    # gevent patches after the app was imported, and the second has even served by then
    "gunicorn-gevent": (*_GUNICORN, "-kgevent", "-w2", "--preload", "flask_sessions:app"),
    "gunicorn-gevent-warm": (*_GUNICORN, "-kgevent", "-w2", "--preload", "warm_flask_sessions:app"),
    "uvicorn": (*_PYTHON, "uvicorn", "--fd", "{fd}", "starlette_sessions:app"),
    "hypercorn": (*_PYTHON, "hypercorn", "--bind", "fd://{fd}", "starlette_sessions:app"),
    "hypercorn-workers": (
        *(*_PYTHON, "hypercorn", "-w2", "--bind", "fd://{fd}"),
        "starlette_sessions:app",
    ),
}
ONE_PROCESS = ("gunicorn", "uvicorn", "hypercorn")
GEVENT = ("gunicorn-gevent", "gunicorn-gevent-warm")
SEVERAL = ("gunicorn-workers", "gunicorn-preload", *GEVENT, "hypercorn-workers")
# Each half has both kinds and both stores.
HALVES = [
    [("stored", "sqlite"), ("sealed", "redis")],
    [("stored", "redis"), ("sealed", "sqlite")],
]
KINDS = [*HALVES[0], *HALVES[1]]
ALONE = [("stored", "memory"), ("sealed", "none")]


def by_turns(servers: tuple[str, ...], *halves: list[tuple[str, str]]) -> Any:
    """Each server with a half: a server starts in a second or two, and knows no store."""
    cases = [
        (server, *site)
        for number, server in enumerate(servers)
        for site in halves[number % len(halves)]
    ]
    return pytest.mark.parametrize(("server", "kind", "store"), cases)


def body(tokens: TokenSet) -> str:
    names = ("id_token", "access_token", "refresh_token")
    return json.dumps({name: getattr(tokens, name) for name in names})


class Server:
    """A server's processes. Its socket is made here, so that no port is raced for."""

    def __init__(self, kind: str, spec: Spec, log: Path, warm_up: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            told = {"SITE": json.dumps(asdict(spec)), "WARM_UP": warm_up}
            self._process = subprocess.Popen(
                [part.format(fd=listener.fileno()) for part in COMMANDS[kind]],
                cwd=APPS,
                env={**os.environ, **told, "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}"},
                pass_fds=[listener.fileno()],
                stdout=output,
                stderr=output,
            )

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def visitor(self, agent: str = "laptop", cookie: str | None = None) -> httpx2.Client:
        """A browser; each of its requests opens a connection, as far as the workers are told."""
        return httpx2.Client(
            base_url=self.url,
            headers={"User-Agent": agent},
            cookies=None if cookie is None else {"amplify-session": cookie},
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
            verify=False,  # plain HTTP: no certificates to read
            timeout=PATIENCE,
        )


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path, places: Places, cognito: Cognito) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(server: str, kind: str, store: str, **options: Any) -> Server:
            spec = places.site(cognito, kind, store, **options)
            warm_up = body(cognito.tokens(age=DUE))
            started = Server(server, spec, tmp_path / "server.log", warm_up)
            stack.callback(started.close)
            return started

        yield start


@by_turns(ONE_PROCESS, [*HALVES[0], ALONE[0]], [*HALVES[1], ALONE[1]])
def test_a_visit_from_sign_in_to_sign_out(
    serve: Serve, cognito: Cognito, server: str, kind: str, store: str
) -> None:
    with serve(server, kind, store).visitor() as visitor:
        assert visitor.get("/").status_code == 401
        signed_in = visitor.post("/in", content=body(cognito.tokens(age=DUE)), headers=JSON)
        assert (signed_in.status_code, signed_in.text) == (200, "ada")
        first = visitor.cookies["amplify-session"]
        assert visitor.get("/").json()["user"] == "ada"
        assert cognito.grants == 1
        assert (visitor.cookies["amplify-session"] == first) == (kind == "stored")
        last = visitor.cookies["amplify-session"]
        assert [visitor.get("/").status_code for _ in range(3)] == [200] * 3
        assert cognito.grants == 1
        assert visitor.post("/out").text == "bye"
        assert "amplify-session" not in visitor.cookies
        for cookie in (first, last):
            refused = visitor.get("/", headers={"Cookie": f"amplify-session={cookie}"})
            assert refused.status_code == 401
            assert "Max-Age=0" in refused.headers["set-cookie"]


JSON = {"Content-Type": "application/json"}


@by_turns(SEVERAL, *HALVES)
def test_workers_of_a_server_refresh_once_and_end_together(
    serve: Serve, cognito: Cognito, server: str, kind: str, store: str
) -> None:
    running = serve(server, kind, store)
    with running.visitor() as visitor:
        visitor.post("/in", content=body(cognito.tokens(age=DUE)), headers=JSON)
        cookie = visitor.cookies["amplify-session"]
    before = cognito.grants  # a parent's that warms up
    with ThreadPoolExecutor(20) as threads, running.visitor(cookie=cookie) as visitor:
        got = list(threads.map(lambda _: visitor.get("/", headers=same(cookie)), range(20)))
        assert [(each.status_code, each.json()["user"]) for each in got] == [(200, "ada")] * 20
        assert cognito.grants == before + 1
        assert visitor.post("/out", headers=same(cookie)).status_code == 200
        late = list(threads.map(lambda _: visitor.get("/", headers=same(cookie)), range(20)))
        assert {each.status_code for each in late} == {401}


@by_turns(GEVENT, *HALVES)
def test_greenlets_sign_in_and_out_at_once(
    serve: Serve, cognito: Cognito, server: str, kind: str, store: str
) -> None:
    """Each sign-out starts a thread: a revocation need not be waited for."""
    running = serve(server, kind, store, local_cache=HOUR)
    tokens = [body(cognito.tokens()) for _ in range(24)]

    def visit(tokens: str) -> list[int]:
        with running.visitor() as visitor:
            answers = [visitor.post("/in", content=tokens, headers=JSON), visitor.get("/")]
            return [each.status_code for each in (*answers, visitor.post("/out"))]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(visit, tokens)) == [[200] * 3] * 24


def same(cookie: str) -> dict[str, str]:
    """A cookie, whatever has been set since."""
    return {"Cookie": f"amplify-session={cookie}"}


@pytest.mark.parametrize(("kind", "store"), [*KINDS, *ALONE[1:]])
def test_each_worker_that_was_forked_refreshes_sessions(
    serve: Serve, cognito: Cognito, kind: str, store: str
) -> None:
    running = serve("gunicorn-preload", kind, store)
    with running.visitor() as laptop, running.visitor() as phone, ThreadPoolExecutor(2) as threads:
        for visitor in (laptop, phone):
            visitor.post("/in", content=body(cognito.tokens(age=DUE)), headers=JSON)
        with cognito.pool.hold("GetTokensFromRefreshToken") as gate:
            asked = [threads.submit(visitor.get, "/") for visitor in (laptop, phone)]
            # A synchronous worker that waits for one takes no other: both are waiting now.
            gate.wait_for_arrivals(2, timeout=PATIENCE)
            gate.release()
            answers = [future.result().json() for future in asked]
    assert [answer["user"] for answer in answers] == ["ada", "ada"]
    assert len({answer["pid"] for answer in answers}) == 2


@pytest.mark.parametrize("server", ["gunicorn-preload", "hypercorn-workers"])
def test_devices_are_listed_by_whatever_worker(serve: Serve, cognito: Cognito, server: str) -> None:
    running = serve(server, "stored", "redis")
    with running.visitor("laptop") as laptop, running.visitor("phone") as phone:
        for visitor in (laptop, phone):
            visitor.post("/in", content=body(cognito.tokens(name="bob")), headers=JSON)
        for _ in range(5):
            assert sorted(laptop.get("/devices").json()) == ["laptop", "phone"]
        phone.post("/out")
        assert laptop.get("/devices").json() == ["laptop"]


def test_forked_workers_hear_what_their_local_caches_are_to_forget(
    serve: Serve, cognito: Cognito
) -> None:
    running = serve("gunicorn-preload", "stored", "redis", local_cache=HOUR)
    with running.visitor() as visitor, ThreadPoolExecutor(20) as threads:
        visitor.post("/in", content=body(cognito.tokens()), headers=JSON)
        cookie = same(visitor.cookies["amplify-session"])

        def ask_all(_: int) -> list[httpx2.Response]:
            return list(threads.map(lambda _: visitor.get("/", headers=cookie), range(20)))

        def is_over() -> bool:
            return all({each.status_code for each in ask_all(_)} == {401} for _ in range(20))

        served = Counter(each.json()["pid"] for batch in map(ask_all, range(20)) for each in batch)
        assert len(served) == 2
        assert min(served.values()) > 3  # the local cache of each has the session
        visitor.post("/out", headers=cookie)
        until(is_over)  # the news travels beside the requests
