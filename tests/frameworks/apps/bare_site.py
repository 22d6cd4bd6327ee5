"""A bare WSGI app, which does with `start_response` and its body whatever PEP 3333 allows."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import shared

from amplify_mw import AuthError
from amplify_mw.wsgi import AmplifyWSGIMiddleware

TEXT = [("Content-Type", "text/plain")]
closed = threading.Semaphore(0)  # one for each body that was closed by its user


class Closing:
    """A body that is closed as the user of its request."""

    def __iter__(self) -> Iterator[bytes]:
        yield from shared.names()

    def close(self) -> None:
        shared.name()
        closed.release()


def streamed(environ: Any, start: Any) -> Iterator[bytes]:
    start("200 OK", TEXT)
    yield from shared.names()


def announced(environ: Any, start: Any) -> Iterator[bytes]:
    """One whose headers may go before its body: with an empty item."""
    start("200 OK", TEXT)
    yield b""
    yield from shared.names()


def late(environ: Any, start: Any) -> Iterator[bytes]:
    name = shared.name()
    start("200 OK", TEXT)
    yield name.encode()


def written(environ: Any, start: Any) -> list[bytes]:
    name = shared.name()
    start("200 OK", TEXT)(f"{name} wrote, ".encode())
    return [f"{name} returned".encode()]


def started_again(environ: Any, start: Any) -> list[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "1")])
    try:
        raise ValueError
    except ValueError:
        start("409 Conflict", TEXT, sys.exc_info())
    return [b"started again"]


def nothing(environ: Any, start: Any) -> Iterator[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "0")])
    yield from ()


def no_content(environ: Any, start: Any) -> list[bytes]:
    start("204 No Content", [])
    return [b""]


def file(environ: Any, start: Any) -> Any:
    shared.name()
    start("200 OK", TEXT)
    opened = open(__file__, "rb")  # noqa: SIM115  # the server closes it
    wrap = environ.get("wsgi.file_wrapper")
    return wrap(opened) if wrap else [opened.read()]


def is_closed(environ: Any, start: Any) -> list[bytes]:
    start("200 OK", TEXT)
    return [str(closed.acquire(timeout=60)).encode()]


def closing(environ: Any, start: Any) -> Closing:
    start("200 OK", TEXT)
    return Closing()


def caught(environ: Any, start: Any) -> Iterator[bytes]:
    """One that deals with its error itself."""
    start("200 OK", TEXT)
    try:
        yield shared.name().encode()
    except AuthError as error:
        yield error.name.encode()


PATHS = {
    "/stream": streamed,
    "/announced": announced,
    "/late": late,
    "/written": written,
    "/started-again": started_again,
    "/nothing": nothing,
    "/no-content": no_content,
    "/file": file,
    "/closing": closing,
    "/is-closed": is_closed,
    "/caught": caught,
}


def site(environ: Any, start: Any) -> Any:
    return PATHS.get(environ["PATH_INFO"], late)(environ, start)


app = AmplifyWSGIMiddleware(site, shared.config)
