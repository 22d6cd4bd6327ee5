"""What does importing cost? Fresh processes over the bare interpreter, interleaved.

`wall` is what a user waits for; `CPU` (user and system time of the process) says the same with
less noise where the machine is busy. Files are cached: a first start after an installation, which
compiles and reads them from the disk, takes longer.
"""

import json
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

from .harness import FULL, QUICK, TINY, Plan, Spread
from .tokens import CLIENT_ID, POOL_ID, Mint

STARTS = {FULL: 15, QUICK: 7, TINY: 1}
HEAVY = ("asyncio", "authlib", "cachetools", "cryptography", "httpx2", "joserfc", "ssl", "werkzeug")
BARE = "bare interpreter"

_CONSTRUCT = """
from amplify_mw import AmplifyConfig
from amplify_mw.wsgi import AmplifyWSGIMiddleware

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]

config = AmplifyConfig(user_pool_id={pool!r}, client_id={client!r}, keys={keys!r})
app = AmplifyWSGIMiddleware(app, config)
"""
_REQUEST = """
app({{"HTTP_COOKIE": "amplify-session=" + {token!r}}}, lambda *_: None)
"""
_TELL = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def programs() -> dict[str, str]:
    """What is started, by name; each goes one step further than the one before."""
    mint = Mint()
    (token,) = mint.tokens(1)
    construct = _CONSTRUCT.format(pool=POOL_ID, client=CLIENT_ID, keys=mint.key_set)
    return {
        BARE: "pass",
        "import amplify_mw.wsgi": "import amplify_mw.wsgi",
        "import amplify_mw.asgi": "import amplify_mw.asgi",
        "import, construct (keys preloaded)": construct,
        "import, construct, first request": construct + _REQUEST.format(token=token),
    }


def start(program: str) -> tuple[float, float]:
    """Milliseconds of wall and of CPU time that a fresh interpreter takes for `program`."""
    begun = perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program])
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


def tables(plan: Plan = FULL) -> str:
    started = programs()
    bare_modules = modules(started[BARE])
    loads = {name: heavy_modules(program, bare_modules) for name, program in started.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in started}
    for _ in range(STARTS.get(plan, 5)):
        for name, program in started.items():
            taken[name].append(start(program))
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
