"""What does importing cost? Fresh processes over the bare interpreter, interleaved.

`wall` is what a user waits for; `CPU` (user and system time of the process) says the same with
less noise where the machine is busy. Files are cached, and their bytecode is (in a folder of its
own, whatever the environment says of it): a first start after an installation, which compiles and
reads them from the disk, takes longer.
"""

import json
import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from .harness import FULL, QUICK, TINY, Plan, Spread
from .tokens import CLIENT_ID, POOL_ID, Mint

STARTS = {FULL: 15, QUICK: 7, TINY: 1}
HEAVY = (
    "asyncio",
    "authlib",
    "cachetools",
    "cryptography",
    "hashlib",
    "httpx2",
    "joserfc",
    "redis",
    "sqlite3",
    "ssl",
    "werkzeug",
)
BARE = "bare interpreter"

_CONSTRUCT = """
from amplify_mw import AmplifyConfig
from amplify_mw.wsgi import AmplifyWSGIMiddleware
{more}

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]

config = AmplifyConfig(user_pool_id={pool!r}, client_id={client!r}, keys={keys!r}, **more)
app = AmplifyWSGIMiddleware(app, config)
"""
_NO_MORE = "more = {}"
_SEALED = """
from amplify_mw import SealedSession
more = {"session": SealedSession(keys=[bytes(32)])}
"""
_STORED = """
from amplify_mw import StoredSession
from amplify_mw.stores.sqlite import SQLiteStore
more = {"session": StoredSession(SQLiteStore("/nowhere/sessions.db"))}
"""
_REQUEST = """
app({{"HTTP_COOKIE": "amplify-session=" + {token!r}}}, lambda *_: None)
"""
_TELL = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def programs() -> dict[str, str]:
    """What is started, by name; the first ones each one step further than the last."""
    mint = Mint()
    (token,) = mint.tokens(1)
    construct, sealed, stored = (
        _CONSTRUCT.format(pool=POOL_ID, client=CLIENT_ID, keys=mint.key_set, more=more)
        for more in (_NO_MORE, _SEALED, _STORED)
    )
    return {
        BARE: "pass",
        "import amplify_mw.wsgi": "import amplify_mw.wsgi",
        "import amplify_mw.asgi": "import amplify_mw.asgi",
        "import, construct (keys preloaded)": construct,
        "import, construct, first request": construct + _REQUEST.format(token=token),
        "import, construct (sealed session)": sealed,
        "import, construct (stored, SQLite)": stored,
    }


def start(program: str, environ: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of wall and of CPU time that a fresh interpreter takes for `program`."""
    begun = perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program], env=environ)
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"this failed: {program}"
    return wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def heavy_modules(program: str, bare: set[str]) -> list[str]:
    """Which of `HEAVY` the program loads."""
    loaded = modules(program) - bare
    return [name for name in HEAVY if name in loaded]


def modules(program: str) -> set[str]:
    command = [sys.executable, "-c", program + _TELL]
    return set(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def timed(started: dict[str, str], times: int) -> dict[str, list[tuple[float, float]]]:
    """Starts of each program by turns, after one that compiles what it imports."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in started}
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for program in started.values():
            start(program, environ)
        for _ in range(times):
            for name, program in started.items():
                taken[name].append(start(program, environ))
    return taken


def tables(plan: Plan = FULL) -> str:
    started = programs()
    bare_modules = modules(started[BARE])
    loads = {name: heavy_modules(program, bare_modules) for name, program in started.items()}
    taken = timed(started, STARTS.get(plan, 5))
    width = max(map(len, started))
    lines = [
        "What importing costs (ms over the bare interpreter; medians of "
        f"{len(taken[BARE])} starts, least and greatest in brackets)",
        "",
        f"{'':{width}}{'wall':>24}{'CPU':>24}  loads",
    ]
    floor = [median(column) for column in zip(*taken[BARE], strict=True)]
    for name, starts in taken.items():
        base = [0.0, 0.0] if name == BARE else floor
        columns = zip(zip(*starts, strict=True), base, strict=True)
        spreads = [Spread.of([one - less for one in column]).text(1) for column, less in columns]
        texts = "".join(f"{text:>24}" for text in spreads)
        lines.append(f"{name:{width}}{texts}  {', '.join(loads[name]) or '-'}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(tables())
