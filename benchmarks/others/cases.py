"""What is timed of each library, in processes of their own: requests of its app, and its `read`."""

import asyncio
import atexit
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from inspect import iscoroutinefunction
from itertools import cycle
from typing import Any, NamedTuple

from .. import requests
from ..harness import Call, drive
from ..report import installed
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users

PER_TASK = 20
LOOP = "an awaited nothing"
# What each framework is measured with: modules of `others`, and the package of each.
OTHERS = {
    "Starlette": {
        "starlette_session": "itsdangerous",
        "starlette_jwt": "pyjwt",
        "starsessions": "starsessions",
    },
    "FastAPI": {
        "fastapi_cognito": "fastapi-cognito",
        "clerk": "clerk-backend-api",
        "powertools": "aws-lambda-powertools",
        "sealed_by_scalekit": "scalekit-sdk-python",
        "auth0_api": "auth0-api-python",
        "auth0_server": "auth0-server-python",
    },
    "Flask": {
        "flask_session": "flask",
        "flask_login": "flask-login",
        "flask_cognito_lib": "flask-cognito-lib",
        "clerk": "clerk-backend-api",
        "powertools": "aws-lambda-powertools",
        "sealed_by_scalekit": "scalekit-sdk-python",
    },
    "Django": {"django_session": "django"},
}
IN_BOTH = {"clerk", "powertools", "sealed_by_scalekit"}  # told which framework they are in
WSGI = {"Flask", "Django"}
LOOPED = {"FastAPI"}


class Case(NamedTuple):
    """What is timed. As text, with tabs between, it is the key of its time."""

    what: str  # "app" or "read"
    bare: str
    name: str
    kind: str
    calls: int = 1

    def __str__(self) -> str:
        return "\t".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "Case":
        *others, calls = text.split("\t")
        return cls(*others, int(calls))

    @property
    def label(self) -> str:
        alone = f", {self.bare}" if self.bare == frameworks.BARE and self.what == "app" else ""
        return f"{self.name}{alone}{f', {FIRST}' if self.kind == FIRST else ''}"


def cases(framework: str, number: str) -> dict[str, Call]:
    users = Users(int(number))
    runner = _runner() if framework in LOOPED else None
    calls = PER_TASK if runner is not None else 1
    found: dict[str, Call] = {}
    if runner is not None:
        found[str(Case("read", "", LOOP, KNOWN, calls))] = called(_nothing, runner)
    for peer in _peers(framework, users):
        serve = _serve_wsgi if framework in WSGI else _serve_asgi
        _check(users, peer, serve, runner)
        for kind in peer.kinds:
            many = len(peer.headers) if kind == FIRST else 1
            case = Case("app", peer.bare, peer.name, kind, calls)
            found[str(case)] = called(serve(peer, peer.headers[:many]), runner)
            if peer.read is not None and peer.bare == framework:
                case = Case("read", "", peer.name, kind, 1)
                if runner is not None and iscoroutinefunction(peer.read):
                    case = case._replace(bare=LOOP, calls=calls)
                found[str(case)] = called(_look(peer, peer.given[:many]), runner)
    return found


def _peers(framework: str, users: Users) -> Iterator[Peer]:
    yield from frameworks.none(users, is_wsgi=framework in WSGI)
    yield from frameworks.SERVED[framework](users)
    for module, package in OTHERS[framework].items():
        if installed(package) is not None:
            build = import_module(f"benchmarks.others.{module}").peers
            yield from build(users, framework) if module in IN_BOTH else build(users)


async def _nothing() -> None:
    return None


def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def called(step: Callable[[], Any], runner: asyncio.Runner | None) -> Call:
    """A call of `step`, or a task's if it gives coroutines and there is a loop."""
    if not iscoroutinefunction(step):
        return step
    if runner is None:
        return lambda: drive(step())

    async def task() -> None:
        for _ in range(PER_TASK):
            await step()

    return lambda: runner.run(task())


def _serve_wsgi(peer: Peer, headers: Sequence[dict[str, str]]) -> Callable[[], Any]:
    models = []
    for each in headers:
        sent = {f"HTTP_{name.upper()}": value for name, value in each.items()}
        models.append({**requests.environ(None), **sent, "PATH_INFO": peer.path})
    following, app = cycle(models), peer.app

    def start_response(status, headers, exc_info=None):
        return None

    def serve() -> None:
        body = app(next(following).copy(), start_response)
        for _ in body:
            pass
        if (close := getattr(body, "close", None)) is not None:
            close()

    return serve


def _serve_asgi(peer: Peer, headers: Sequence[dict[str, str]]) -> Callable[[], Any]:
    models = []
    for each in headers:
        model = requests.scope(None)
        model["headers"] += [(name.encode(), value.encode()) for name, value in each.items()]
        models.append(model)
    following, app = cycle(models), peer.app

    async def serve() -> None:
        model = next(following)
        await app({**model, "headers": model["headers"].copy()}, requests.receive, requests.send)

    return serve


def _look(peer: Peer, given: Sequence[Any]) -> Callable[[], Any]:
    following, read = cycle(given), peer.read
    if iscoroutinefunction(read):

        async def look() -> Any:
            return await read(next(following))

        return look
    return lambda: read(next(following))


def _check(users: Users, peer: Peer, serve, runner: asyncio.Runner | None) -> None:
    """What is timed works: the users are known; who has a bad signature is not."""
    known = list(zip(users.names, peer.headers, peer.given, strict=False))[:2]
    samples = [*known, (None, *peer.refused)] if known else [(None, peer.headers[0], None)]
    for name, headers, given in samples:
        users.witness("not asked")
        called(serve(peer, [headers]), runner)()
        seen = users.witness.name
        if given is peer.refused[1] and seen == "not asked" and known:
            seen = None  # refused before the app
        assert seen == name, (peer.name, "in an app", seen, name)
        if peer.read is not None:
            found = _found(peer, given, runner)
            assert found == name, (peer.name, "from header to user", found, name)


def _found(peer: Peer, given: Any, runner: asyncio.Runner | None) -> str | None:
    found: list[str | None] = []
    look = _look(peer, [given])
    if iscoroutinefunction(look):

        async def step() -> None:
            found.append(await look())

    else:

        def step() -> None:
            found.append(look())

    called(step, runner)()
    return found[-1]
