"""Runs the demo: a user pool with a few users, and the site, until Ctrl-C or SIGTERM."""

import logging
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from amplify_mw.testing import LocalUserPool

from .host import ASGIOneHost, WSGIOneHost
from .people import NOTES, PASSWORD, PEOPLE, add_people

HOST: Final = "127.0.0.1"
NAME: Final = "localhost"  # another site than the pool's 127.0.0.1, as it would be at Amazon
USUAL_PORT: Final = 8000
_POLL_INTERVAL: Final = 0.2  # seconds; ending waits for one at most
_TOKEN_LIFETIME: Final = 300  # seconds; the least Cognito allows, to show a refresh soon


def run(port: int | None = None, *, fastapi: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, from the main thread. The site is in Flask, or in FastAPI.

    `port` None: 8000, or a free one if it is taken. Raises `OSError` if `port` cannot be bound, and
    `ModuleNotFoundError` if a framework is not installed.
    """
    serve = _fastapi if fastapi else _flask
    with (
        LocalUserPool(token_lifetime=_TOKEN_LIFETIME, notes=NOTES) as pool,
        _listen(port) as listening,
    ):
        add_people(pool)
        origin = f"http://{NAME}:{listening.getsockname()[1]}"
        serving = serve(pool, origin, listening)
        _show_log()
        code = "app_fastapi.py" if fastapi else "app_flask.py"
        _say(_announcement(origin, pool, Path(__file__).with_name(code)))
        serving()
    _say("The demo has ended.")


def _listen(port: int | None) -> socket.socket:
    # Bound here: werkzeug ends the process when it cannot bind.
    if port is not None:
        return socket.create_server((HOST, port))
    try:
        return socket.create_server((HOST, USUAL_PORT))
    except OSError:
        return socket.create_server((HOST, 0))


def _flask(pool: LocalUserPool, origin: str, listening: socket.socket) -> Callable[[], None]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    from .app_flask import create_app

    class QuietHandler(WSGIRequestHandler):
        """Logs no requests, to keep the library's own log readable."""

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    server = make_server(
        HOST,
        listening.getsockname()[1],
        WSGIOneHost(create_app(pool, origin), origin),
        threaded=True,
        request_handler=QuietHandler,
        fd=listening.fileno(),
    )

    def end(*_: Any) -> None:
        # On a thread: shutdown() waits for the serving to end, and this handler interrupts it.
        threading.Thread(target=server.shutdown, name="demo-end").start()

    _on_signals(end)
    return lambda: server.serve_forever(_POLL_INTERVAL)


def _fastapi(pool: LocalUserPool, origin: str, listening: socket.socket) -> Callable[[], None]:
    import uvicorn

    from .app_fastapi import create_app

    app = ASGIOneHost(create_app(pool, origin), origin)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    # uvicorn ends by itself, and then raises the signal anew for these.
    _on_signals(lambda *_: None)
    return lambda: server.run([listening])


def _on_signals(end: Callable[..., None]) -> None:
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)


def _show_log() -> None:
    """Show the library's log: the page never says why a cookie was refused, the log does."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(name)s  %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("amplify_mw")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _announcement(origin: str, pool: LocalUserPool, code: Path) -> str:
    width = max(len(person.username) for person in PEOPLE)
    people = [f"{person.username:<{width}}   {person.name}. {person.shows}" for person in PEOPLE]
    return "\n".join(
        [
            "A small site with sign-in, and a user pool for it, on this machine alone.",
            "",
            f"  Open      {origin}/",
            "  Sign in   " + "\n            ".join(people),
            f"  Password  {PASSWORD}",
            f"  Code      {code}",
            "  End       Ctrl-C",
            "",
            f"The user pool, with its sign-in page and Cognito's API, is at {pool.url}/",
            "What the library logs follows.",
            "",
        ]
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is a command
