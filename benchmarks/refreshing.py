"""Who waits for a refresh? A session's slowest request while its tokens are renewed.

A site is served by uvicorn, in a process of its own. Its user pool answers a refresh after half a
second. A browser sends a request every ten milliseconds, over one kept-alive connection, with the
cookies that it was given. Its tokens are good all the time: they get old while it asks, and are
renewed once. A request's time is measured at the browser, and so is what other processes of this
machine do to it: before each session comes one with young tokens, which asks as often and is never
refreshed. Before the first session, the process refreshes another one.

The figure is the slowest request of a session in multiples of the same session's median; the table
shows the median over sessions. On a machine that does other things the slowest of some hundred
requests is theirs: compare it with that of the quiet sessions.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from amplify_mw import AmplifyConfig, AmplifyCookies, CookiePolicy, SealedSession, StoredSession
from amplify_mw.aio import fetch_auth_session, start_session
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import LocalUserPool

from .harness import FULL, TINY, Plan
from .load import PATIENCE, child, free_port
from .report import Aim, Spread, Table, at_most

SERVED = "BENCHMARK_REFRESHING"
REFRESH = "GetTokensFromRefreshToken"
ANSWERS_AFTER = 0.5  # seconds
LIFETIME = 3600.0
KEY = "q1d8oS3uX5k3VwH0v1yXo1o0kq8J7m1tq1yYV3s0g9E"
MARGINS = {"stored": 60.0, "sealed": 60.0, "amplify": 5.0}
LEFT = 2.5  # seconds until the tokens are due, when a browser comes (theirs are whole ones)
PACE = 0.01  # seconds between its requests
NAMES = {
    "stored": "stored session, SQLite",
    "sealed": "sealed session",
    "amplify": "Amplify's cookies",
}
LIMIT = at_most(5.0)


# The site.


def served():
    """The site's app, as `SERVED` describes it."""
    facts = json.loads(os.environ[SERVED])
    return AmplifyASGIMiddleware(app, AmplifyConfig(**facts["pool"], session=kind(facts), **PLAIN))


PLAIN = {"cookie": CookiePolicy(secure=False), "http_timeout": 60}


def kind(facts: dict):
    if facts["kind"] == "stored":
        return StoredSession(SQLiteStore(facts["path"]))
    if facts["kind"] == "sealed":
        return SealedSession(keys=[KEY])
    return AmplifyCookies(secure=False)


async def app(scope, receive, send):
    headers = dict(scope["headers"])
    if scope["path"] == "/in":
        await start_session(json.loads(headers[b"x-tokens"]))
    session = await fetch_auth_session(force_refresh=scope["path"] == "/refresh")
    body = session.tokens.access_token.encoded[-40:].encode()
    lengths = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": lengths})
    await send({"type": "http.response.body", "body": body})


# The browser.


class Browser:
    """One connection, and the cookies that it was given."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._jar: dict[str, str] = {}

    def ask(self, path: str = "/", **headers: str) -> str:
        """What says which tokens the request had."""
        cookies = {"Cookie": "; ".join(map("=".join, self._jar.items()))} if self._jar else {}
        self._connection.request("GET", path, headers=cookies | headers)
        answer = self._connection.getresponse()
        said = answer.read().decode()
        assert answer.status == 200, (answer.status, said)
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, text = value.partition(";")[0].partition("=")
                self._jar[key] = text
        return said

    def close(self) -> None:
        self._connection.close()

    def wait_until_ready(self) -> None:
        deadline = perf_counter() + PATIENCE
        while perf_counter() < deadline:
            with suppress(OSError):
                self._connection.connect()
                self.close()
                return
            time.sleep(0.05)
        raise AssertionError("the site does not come up")


class Slow:
    """A fault: the pool's answer comes late."""

    def meet(self, exchange):
        exchange.closing.wait(ANSWERS_AFTER)
        return exchange.answer()


class Shifted:
    """The clock of a pool whose tokens may be old when they are new."""

    age = 0.0

    def __call__(self) -> float:
        return time.time() - self.age


def slowest(browser: Browser, seconds: float, *, is_due: bool) -> tuple[float, float]:
    """The slowest request and the median, in seconds.

    `is_due`: goes on until the tokens are others, too.
    """
    taken, said = [], []
    begun = perf_counter()
    while perf_counter() < begun + seconds or (is_due and said[0] == said[-1]):
        assert perf_counter() < begun + seconds + PATIENCE, "the session was not refreshed"
        start = perf_counter()
        said.append(browser.ask())
        taken.append(perf_counter() - start)
        time.sleep(PACE)
    browser.close()
    return max(taken), median(taken)


def entered(port: int, pool: LocalUserPool, clock: Shifted, age: float) -> Browser:
    """A browser whose session has tokens of this age."""
    clock.age = age
    tokens = pool.sign_in("ada")
    clock.age = 0.0
    browser = Browser(port)
    names = ("id_token", "access_token", "refresh_token")
    text = json.dumps({name: getattr(tokens, name) for name in names})
    browser.ask("/in", **{"X-Tokens": text})
    return browser


def measure(kind: str, sessions: int, seconds: float) -> list[dict[str, float]]:
    """For each session its median, its slowest request, and that of a quiet session before it."""
    clock = Shifted()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="amplify_mw-benchmark-"))
        pool = stack.enter_context(LocalUserPool(clock=clock))
        pool.add_user("ada")
        stack.enter_context(pool.fault(REFRESH, Slow()))
        port = free_port()
        facts = {
            "kind": kind,
            "path": str(Path(folder) / "sessions.db"),
            "pool": {
                "user_pool_id": pool.user_pool_id,
                "client_id": pool.client_id,
                "endpoint_url": pool.url,
                "issuer": pool.issuer,
            },
        }
        words = f"-m uvicorn --factory benchmarks.refreshing:served --port {port} --lifespan off"
        arguments = [*words.split(), "--no-access-log", "--log-level", "warning"]
        server = child(arguments, env={**os.environ, SERVED: json.dumps(facts)})
        stack.callback(server.wait)
        stack.callback(server.terminate)
        Browser(port).wait_until_ready()
        first = entered(port, pool, clock, 0.0)
        first.ask("/refresh")
        first.close()
        age = LIFETIME - MARGINS[kind] - LEFT
        found = []
        for _ in range(sessions):
            fresh = entered(port, pool, clock, 0.0)
            quiet, usual = slowest(fresh, seconds, is_due=False)
            due = entered(port, pool, clock, age)
            most, middle = slowest(due, seconds, is_due=True)
            found.append({"slowest": most, "median": middle, "quiet": quiet / usual})
        return found


def tables(plan: Plan = FULL) -> Iterator[Table]:
    sessions, seconds = (1, LEFT + 2) if plan == TINY else (max(3, plan.processes), LEFT + 2)
    rows, aims = [], []
    for name, title in NAMES.items():
        found = measure(name, sessions, seconds)
        ratio = Spread.of([each["slowest"] / each["median"] for each in found])
        rows.append(
            (
                title,
                Spread.of([each["median"] * 1e3 for each in found]).text(),
                Spread.of([each["slowest"] * 1e3 for each in found]).text(),
                ratio.text(1),
                Spread.of([each["quiet"] for each in found]).text(1),
                str(LIMIT),
            )
        )
        aims.append(Aim(f"{title}: slowest request in a refresh, of the median", ratio, LIMIT))
    head = ("", "median, ms", "slowest, ms", "times the median", "without a refresh", "aim")
    about = f"uvicorn; {sessions} sessions each; a refresh takes {ANSWERS_AFTER:g} s."
    yield Table("Who waits for a refresh", head, rows, about, (), aims)


if __name__ == "__main__":
    print(*tables(), sep="\n")
