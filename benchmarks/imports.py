"""What does it cost to exist? Import time and memory, over the bare interpreter, and beside others.

Each program is started in fresh processes, by turns with the others and with an interpreter that
does nothing, whose time and memory are subtracted. The aims are ratios within one round: to the
bare interpreter's own start, and to importing two libraries that nearly every app here loads anyway
(werkzeug, and cryptography's RSA). `wall` is what a user waits for; `CPU` (user and
system time of the process) says the same with less noise where the machine is busy. `peak` is the
most that was resident (VmHWM), `own` what no other process shares at the end (USS). Files are
cached, and their bytecode is (in a folder of its own, whatever the environment says of it): a first
start after an installation, which compiles and reads them from the disk, takes longer.

What stands beside us is imported as its documentation says, and no more of it. It brings its
framework along, which its app has imported anyway; so the frameworks are shown, too.
"""

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import amplify_mw

from .harness import FULL, QUICK, TINY, Plan
from .others.imported import FRAMEWORKS, OTHERS
from .report import Aim, Spread, Table, at_least, at_most, installed, versions
from .tokens import CLIENT_ID, POOL_ID, Mint

STARTS = {FULL: 15, QUICK: 5, TINY: 1}
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
LIBRARIES = "import werkzeug and RSA"
SHELLS = ("import amplify_mw.wsgi", "import amplify_mw.asgi")
WHOLE = "import every module"
CONSTRUCT = "import, construct ("
FIRST = "import, construct, first request"
HEAD = ("ms wall", "ms CPU", "MiB peak", "MiB own")
# Tools, and what needs a package of its own: a framework, or Redis's client.
APART = ("__main__", "demo", "testing", "integrations", "stores.redis")

_LIBRARIES = "import werkzeug, cryptography.hazmat.primitives.asymmetric.rsa"
_CONSTRUCT = """
from amplify_mw import AmplifyConfig, get_current_user
from amplify_mw.{module} import {middleware}
{more}

{app}

config = AmplifyConfig(user_pool_id={pool!r}, client_id={client!r}, keys={keys!r}, **more)
app = {middleware}(app, config)
"""
_APPS = {
    "wsgi": """
def app(environ, start_response):
    assert get_current_user().username
    start_response("200 OK", [])
    return [b"ok"]
""",
    "asgi": """
async def app(scope, receive, send):
    assert get_current_user().username
""",
}
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
_REQUESTS = {
    "wsgi": """
environ = {{"REQUEST_METHOD": "GET", "HTTP_COOKIE": "amplify-session=" + {token!r}}}
assert app(environ, lambda *_: None) == [b"ok"]
""",
    "asgi": """
cookie = (b"cookie", b"amplify-session=" + {token!r}.encode())
scope = {{"type": "http", "method": "GET", "path": "/", "headers": [cookie]}}
try:
    app(scope, None, None).send(None)
except StopIteration:
    pass
""",
}
_TELL = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
# KiB. Where there is no such file, as on macOS, nothing is known.
_WEIGH = """
def weigh(file, *names):
    try:
        with open(file) as lines:
            found = [line.split() for line in lines]
    except OSError:
        return -1
    return sum(int(words[1]) for words in found if words[0] in names)

print(
    weigh("/proc/self/status", "VmHWM:"),
    weigh("/proc/self/smaps_rollup", "Private_Clean:", "Private_Dirty:"),
)
"""


class Start(NamedTuple):
    """One start: milliseconds of wall and of CPU time, MiB at its peak and of its own."""

    wall: float
    cpu: float
    peak: float
    own: float


def programs() -> dict[str, str]:
    """What is started, by name; the first ones each one step further than the last."""
    mint = Mint()
    (token,) = mint.tokens(1)
    found = {BARE: "pass", LIBRARIES: _LIBRARIES, **{name: name for name in SHELLS}}
    found[WHOLE] = f"import {', '.join(whole())}"
    for name, module, more in (
        ("keys preloaded)", "wsgi", _NO_MORE),
        ("keys preloaded), ASGI", "asgi", _NO_MORE),
        ("sealed session)", "wsgi", _SEALED),
        ("stored, SQLite)", "wsgi", _STORED),
    ):
        found[CONSTRUCT + name] = _CONSTRUCT.format(
            module=module,
            app=_APPS[module],
            middleware=f"Amplify{module.upper()}Middleware",
            pool=POOL_ID,
            client=CLIENT_ID,
            keys=mint.key_set,
            more=more,
        )
    for module, kind in (("wsgi", ""), ("asgi", ", ASGI")):
        constructed = found[f"{CONSTRUCT}keys preloaded){kind}"]
        found[FIRST + kind] = constructed + _REQUESTS[module].format(token=token)
    return found


def whole() -> list[str]:
    """The package's modules, but those of `APART`."""
    names = [each.name for each in pkgutil.walk_packages(amplify_mw.__path__, "amplify_mw.")]
    return [name for name in names if not name.removeprefix("amplify_mw.").startswith(APART)]


def others(plan: Plan) -> dict[str, str]:
    """What else is started, by name; a run of seconds does with one."""
    found = {
        name: program
        for name, (package, program) in {**OTHERS, **FRAMEWORKS}.items()
        if installed(package) is not None
    }
    return dict(list(found.items())[: 1 if plan == TINY else None])


def start(program: str, environ: dict[str, str]) -> Start:
    """What a fresh interpreter takes for `program`."""
    begun = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program + _WEIGH],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # where some warn of their own imports
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    output, errors = process.communicate()
    assert process.returncode == 0, f"this failed: {program}\n{errors.decode()}"
    peak, own = (int(word) / 1024 for word in output.split()[-2:])
    return Start(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, peak, own)


def heavy_modules(program: str, bare: set[str]) -> list[str]:
    """Which of `HEAVY` the program loads."""
    return _heavy(modules(program) - bare)


def _heavy(loaded: set[str]) -> list[str]:
    return [name for name in HEAVY if name in loaded]


def modules(program: str, environ: dict[str, str] | None = None) -> set[str]:
    command = [sys.executable, "-c", program + _TELL]
    run = subprocess.run(command, check=False, capture_output=True, env=environ)
    assert run.returncode == 0, f"this failed: {program}\n{run.stderr.decode()}"
    return set(json.loads(run.stdout))


def started(
    chosen: Mapping[str, str], times: int
) -> tuple[dict[str, set[str]], dict[str, list[Start]]]:
    """What each program loads, in a start that compiles it; and its starts after that."""
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        loads = {name: modules(program, environ) for name, program in chosen.items()}
        starts: dict[str, list[Start]] = {name: [] for name in chosen}
        for _ in range(times):
            for name, program in chosen.items():
                starts[name].append(start(program, environ))
    return loads, starts


def tables(plan: Plan = FULL) -> Iterator[Table]:
    own, beside = programs(), others(plan)
    loads, starts = started({**own, **beside}, STARTS.get(plan, 5))
    bare = Start(*map(median, zip(*starts[BARE], strict=True)))
    over = {
        name: [Start(*(one - less for one, less in zip(each, bare, strict=True))) for each in found]
        for name, found in starts.items()
        if name != BARE
    }
    about = f"Over the bare interpreter; medians of {len(starts[BARE])} starts."
    if bare.peak < 0:
        about += " This system does not tell a process's memory."
    heavy = {name: ", ".join(_heavy(loads[name] - loads[BARE])) or "-" for name in own}
    yield Table(
        "What importing costs",
        ("", *HEAD, "loads"),
        [
            (BARE, *_cells(starts[BARE]), "-"),
            *((name, *_cells(over[name]), heavy[name]) for name in own if name != BARE),
        ],
        about,
        notes=[f"`{WHOLE}`: all of the package but {', '.join(APART[1:])}."],
        aims=[*_own_aims(starts, over)],
    )
    yield _beside(beside, over, about)


def _own_aims(starts: Mapping[str, list[Start]], over: Mapping[str, list[Start]]) -> Iterator[Aim]:
    bare, libraries = starts[BARE], over[LIBRARIES]
    for name in SHELLS:
        yield Aim(f"{name}: of the bare interpreter's start", _times(over[name], bare), at_most(3))
        yield Aim(f"{name}: of werkzeug's and RSA's", _times(over[name], libraries), at_most(0.7))
    for name in over:
        if name.startswith(CONSTRUCT):
            aim = f"{name}: of importing werkzeug and RSA"
            yield Aim(aim, _times(over[name], libraries), at_most(2))
        if name.startswith(FIRST):  # a cold start, as of a function: keys at hand, one user
            aim = f"{name}: of importing werkzeug and RSA"
            yield Aim(aim, _times(over[name], libraries), at_most(1.2))


def _times(starts: Sequence[Start], unit: Sequence[Start]) -> Spread:
    """How many times the wall time of `unit`, in each round."""
    pairs = zip(starts, unit, strict=True)
    return Spread.of([one.wall / max(other.wall, 1e-9) for one, other in pairs])


def _beside(beside: Mapping[str, str], over: Mapping[str, list[Start]], about: str) -> Table:
    """Ratios are to the shell that takes longer, or more, of the same round."""
    ours = [
        Start(*map(max, zip(*pair, strict=True)))
        for pair in zip(*(over[name] for name in SHELLS), strict=True)
    ]

    def ratio(name: str, field: int) -> Spread:
        pairs = zip(over[name], ours, strict=True)
        return Spread.of([one[field] / max(unit[field], 1e-9) for one, unit in pairs])

    wall, own = Start._fields.index("wall"), Start._fields.index("own")
    rows = [
        (name, *_cells(over[name]), ratio(name, wall).text(), ratio(name, own).text())
        for name in beside
    ]
    named = [name for name in beside if name in OTHERS]
    cheapest = min(named, key=lambda name: ratio(name, wall).middle, default=None)
    aims = []
    if cheapest is not None:
        what = f"importing the cheapest of the others ({cheapest}): times either shell's wall time"
        aims.append(Aim(what, ratio(cheapest, wall), at_least(1)))
    notes = [versions(dict.fromkeys(package for package, _ in {**FRAMEWORKS, **OTHERS}.values()))]
    missing = {package for package, _ in OTHERS.values() if installed(package) is None}
    if missing:
        notes.append(f"Left out, for they are not installed: {', '.join(sorted(missing))}.")
    head = ("", *HEAD, "wall, times ours", "own, times ours")
    return Table("What importing others costs", head, rows, about, notes, aims)


def _spread(starts: Sequence[Start], field: int) -> Spread:
    return Spread.of([each[field] for each in starts])


def _cells(starts: Sequence[Start]) -> list[str]:
    return [_spread(starts, field).text(1) for field in range(len(Start._fields))]


if __name__ == "__main__":
    print(*tables(), sep="\n")
