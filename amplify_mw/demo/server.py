"""Runs the demo: a user pool with a few users, and the site, until Ctrl-C or SIGTERM."""

import logging
import signal
import socket
import threading
from contextlib import closing
from typing import Any, Final

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from amplify_mw.testing import LocalUserPool

from .people import PASSWORD, PEOPLE, add_people
from .site import make_app

HOST: Final = "127.0.0.1"
NAME: Final = "localhost"  # another site than the pool's 127.0.0.1, as it would be at Amazon
USUAL_PORT: Final = 8000
_POLL_INTERVAL: Final = 0.2  # seconds; ending waits for one at most
_TOKEN_LIFETIME: Final = 300  # seconds; the least Cognito allows, to show a refresh soon


def run(port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM, from the main thread.

    `port` None: 8000, or a free one if it is taken. Raises `OSError` if `port` cannot be bound.
    """
    with LocalUserPool(token_lifetime=_TOKEN_LIFETIME) as pool, _listen(port) as listening:
        add_people(pool)
        chosen = listening.getsockname()[1]
        with closing(make_app(pool, _origin(chosen))) as app:
            server = make_server(
                HOST,
                chosen,
                app,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
            _show_log()
            _end_on_signals(server)
            _say(_announcement(chosen, pool))
            server.serve_forever(_POLL_INTERVAL)
    _say("The demo has ended.")


def _listen(port: int | None) -> socket.socket:
    # Bound here: werkzeug ends the process when it cannot bind.
    if port is not None:
        return socket.create_server((HOST, port))
    try:
        return socket.create_server((HOST, USUAL_PORT))
    except OSError:
        return socket.create_server((HOST, 0))


def _end_on_signals(server: BaseWSGIServer) -> None:
    def end(*_: Any) -> None:
        # On a thread: shutdown() waits for the serving to end, and this handler interrupts it.
        threading.Thread(target=server.shutdown, name="demo-end").start()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)


def _show_log() -> None:
    """Show the library's log: the page never says why a cookie was refused, the log does."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(name)s  %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("amplify_mw")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _origin(port: int) -> str:
    return f"http://{NAME}:{port}"


def _announcement(port: int, pool: LocalUserPool) -> str:
    origin = _origin(port)
    width = max(len(person.username) for person in PEOPLE)
    people = [f"{person.username:<{width}}   {person.about}" for person in PEOPLE]
    return "\n".join(
        [
            "A small site with sign-in, and a user pool for it, on this machine alone.",
            "",
            f"  Open      {origin}/",
            f"            (by this name: to a browser http://{HOST}:{port}/ is another site)",
            "  Sign in   " + "\n            ".join(people),
            f"  Password  {PASSWORD}",
            "  End       Ctrl-C",
            "",
            f"The user pool, with its sign-in page and Cognito's API, is at {pool.url}/",
            "What the library logs follows.",
            "",
        ]
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is a command


class _QuietHandler(WSGIRequestHandler):
    """Logs no requests, to keep the library's own log readable."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""
