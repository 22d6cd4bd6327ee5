"""A process of a site: it serves requests, as it is told line by line on its standard input.

It answers each line, in any order, and tells of every call of a store that was answered.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from amplify_mw import (
    aio,
    end_session,
    end_session_by_handle,
    fetch_auth_session,
    get_current_user,
    list_sessions,
    start_session,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.base import SessionStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.processes.sites import Spec
from tests.shells import ASGIShell, Ask, WSGIShell

OPERATIONS = (
    *("load", "create", "replace", "delete", "of_user", "acquire", "renew", "release"),
    *("reload", "acquire_and_load", "replace_and_release", "end", "end_of_user"),
)
LOOKS = ("load", "reload")  # a request begins with one of them: each says `look`, too
Answer = dict[str, Any]


class Voice:
    """Tells the test what happens here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_silent = False

    def say(self, **message: Any) -> None:
        if self.is_silent:
            return
        with self._lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()


VOICE = Voice()


class Gates:
    """Where calls of a store are held: `before replace`, `after load by request`, ..."""

    def __init__(self) -> None:
        self._closed: dict[str, threading.Event] = {}

    def close(self, place: str) -> None:
        self._closed[place] = threading.Event()

    def open(self, place: str) -> None:
        self._closed.pop(place).set()

    def pass_through(self, site: str, when: str, method: str, by: str) -> None:
        for place in (f"{when} {method}", f"{when} {method} by {by}"):
            gate = self._closed.get(place)
            if gate is not None:
                VOICE.say(site=site, event=f"held {place}")
                gate.wait()


class WatchedStore:
    """Another store, whose calls are told of, and may be held."""

    def __init__(self, site: str, store: SessionStore, gates: Gates) -> None:
        self._site = site
        self._store = store
        self._gates = gates

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        by = "library" if threading.current_thread().name.startswith("amplify_mw") else "request"
        self._gates.pass_through(self._site, "before", method, by)
        answer = getattr(self._store, method)(*arguments)
        self._tell(method, by)
        self._gates.pass_through(self._site, "after", method, by)
        return answer

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        pass_through = partial(asyncio.to_thread, self._gates.pass_through, self._site)
        await pass_through("before", method, "request")
        answer = await self._store.ask(method, arguments)
        self._tell(method, "request")
        await pass_through("after", method, "request")
        return answer

    def _tell(self, method: str, by: str) -> None:
        VOICE.say(site=self._site, event=f"{method} by {by}")
        if method in LOOKS:
            VOICE.say(site=self._site, event=f"look by {by}")

    def close(self) -> None:
        self._store.close()


def _watched(method: str) -> Any:
    return lambda self, *arguments: self.call(method, arguments)


for _operation in OPERATIONS:
    setattr(WatchedStore, _operation, _watched(_operation))


def app(environ: Any, start_response: Any) -> list[bytes]:
    """Does with the session what the path says; else it says who is signed in."""
    path, body = environ["PATH_INFO"], "done"
    match path:
        case "/in":
            body = start_session(json.loads(environ["HTTP_X_TOKENS"])).username
        case "/out":
            end_session()
        case "/out-everywhere":
            end_session(everywhere=True)
        case "/out-elsewhere":
            others = [session.handle for session in list_sessions() if not session.is_current]
            body = str(sum(map(end_session_by_handle, others)))
        case "/refresh":
            fetch_auth_session(force_refresh=True)
        case _:
            body = get_current_user().username
    start_response("200 OK", [])
    return [body.encode()]


async def async_app(scope: Any, receive: Any, send: Any) -> None:
    """The same, awaited."""
    path, body = scope["path"], "done"
    match path:
        case "/in":
            tokens = json.loads(dict(scope["headers"])[b"x-tokens"])
            body = (await aio.start_session(tokens)).username
        case "/out":
            await aio.end_session()
        case "/out-everywhere":
            await aio.end_session(everywhere=True)
        case "/out-elsewhere":
            others = [each.handle for each in await aio.list_sessions() if not each.is_current]
            body = str(sum([await aio.end_session_by_handle(handle) for handle in others]))
        case "/refresh":
            await aio.fetch_auth_session(force_refresh=True)
        case _:
            body = (await aio.get_current_user()).username
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


class Site:
    """A site in this process, behind one of the shells."""

    def __init__(self, spec: Spec, shell: str) -> None:
        self.gates = Gates()
        self.shift = 0.0
        store = spec.open()
        self.store = None if store is None else WatchedStore(spec.name, store, self.gates)
        self.engine = Engine(spec.config(self.store), clock=lambda: time.time() + self.shift)
        self.is_async = shell == "asgi"
        if self.is_async:
            self.app: Any = AmplifyASGIMiddleware(async_app, self.engine)
        else:
            self.app = AmplifyWSGIMiddleware(app, self.engine)

    def ask_all(self, asks: list[Ask]) -> list[Answer]:
        """The answers to requests that come all at once."""
        if self.is_async:
            return asyncio.run_coroutine_threadsafe(self._gathered(asks), loop()).result()
        with ThreadPoolExecutor(len(asks)) as threads:
            return list(threads.map(self._ask, asks))

    def ask_all_on_a_loop(self, asks: list[Ask]) -> list[Answer]:
        """Likewise; awaited on an event loop of their own, which ends."""
        return asyncio.run(self._gathered(asks)) if self.is_async else self.ask_all(asks)

    def _ask(self, ask: Ask) -> Answer:
        got = WSGIShell().send(self.app, ask)
        return answer(got.status, got.headers, got.body)

    async def _gathered(self, asks: list[Ask]) -> list[Answer]:
        return await asyncio.gather(*map(self._aask, asks))

    async def _aask(self, ask: Ask) -> Answer:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(ASGIShell().scope(ask), None, send)
        head, *rest = messages
        headers = [(name.decode(), value.decode()) for name, value in head["headers"]]
        return answer(head["status"], headers, b"".join(m["body"] for m in rest).decode())

    def close(self) -> None:
        self.engine.close()
        if self.store is not None:
            self.store.close()


class Log(logging.Handler):
    """Keeps warnings, for the test to ask for. Errors are complaints, which fail it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if record.levelno >= logging.ERROR:
            sys.stderr.write(f"{record.getMessage()}\n")


LOG = Log()


def answer(status: int, headers: list[tuple[str, str]], body: str) -> Answer:
    told = [(name.lower(), value) for name, value in headers]
    return {"status": status, "headers": told, "body": body, "pid": os.getpid()}


_loops: list[asyncio.AbstractEventLoop] = []
_making = threading.Lock()


def loop() -> asyncio.AbstractEventLoop:
    """The event loop of this process's server."""
    with _making:
        if not _loops:
            _loops.append(asyncio.new_event_loop())
            threading.Thread(target=_loops[0].run_forever, daemon=True).start()
        return _loops[0]


SITES: dict[str, Site] = {}


def do_open(spec: dict[str, Any], shell: str) -> None:
    SITES[spec["name"]] = Site(Spec(**spec), shell)


def do_close(site: str) -> None:
    closing = SITES.pop(site)
    closing.close()


def do_ask(site: str, asks: list[dict[str, Any]]) -> list[Answer]:
    return SITES[site].ask_all([Ask(**ask) for ask in asks])


def do_shift(site: str, seconds: float) -> None:
    SITES[site].shift = seconds


def do_log(site: str) -> list[str]:
    """The lines of this process's log since it was asked for them."""
    lines, LOG.lines = LOG.lines, []
    return lines


def do_hold(site: str, place: str) -> None:
    SITES[site].gates.close(place)


def do_release(site: str, place: str) -> None:
    SITES[site].gates.open(place)


def do_fork(site: str, asks: list[dict[str, Any]]) -> list[Answer]:
    """The answers of a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        VOICE.is_silent = True
        _serve_child(site, asks, writing)
    os.close(writing)
    with os.fdopen(reading) as told:
        answers = json.loads(told.read() or "[]")
    os.waitpid(child, 0)
    return answers


def _serve_child(site: str, asks: list[dict[str, Any]], writing: int) -> None:
    try:
        answers = SITES[site].ask_all_on_a_loop([Ask(**ask) for ask in asks])
        with os.fdopen(writing, "w") as telling:
            json.dump(answers, telling)
    finally:
        os._exit(0)


def do_loops(site: str, asks: list[dict[str, Any]], count: int) -> list[Answer]:
    """The answers on some event loops, one after the other, and then on as many at once."""
    requests = [Ask(**ask) for ask in asks]
    serve = SITES[site].ask_all_on_a_loop
    answers = [answer for _ in range(count) for answer in serve(requests)]
    with ThreadPoolExecutor(count) as threads:
        return answers + [a for some in threads.map(serve, [requests] * count) for a in some]


def obey(number: int, do: str, arguments: dict[str, Any]) -> None:
    try:
        VOICE.say(number=number, answer=globals()[f"do_{do}"](**arguments))
    except BaseException as error:
        VOICE.say(number=number, error=repr(error))
        raise


def main() -> None:
    logging.getLogger("amplify_mw").addHandler(LOG)  # outages are what is tried here
    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # so are forks
    for line in sys.stdin:
        order = json.loads(line)
        threading.Thread(target=obey, kwargs=order, daemon=True).start()
    for site in list(SITES):
        do_close(site)
    if _loops:
        running = _loops[0]
        asyncio.run_coroutine_threadsafe(running.shutdown_asyncgens(), running).result()


if __name__ == "__main__":
    main()
