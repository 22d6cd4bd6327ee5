"""Real servers in threads of this process, each on a free port of this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # the base's name
        pass


@contextmanager
def wsgi_server(app: Any) -> Iterator[int]:
    """Werkzeug's server; the port it is on."""
    server = make_server(HOST, 0, app, threaded=True, request_handler=_Quiet)
    # It looks this often whether it is to end.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def asgi_server(app: Any, ws: str = "none") -> Iterator[int]:
    """Uvicorn; the port it is on."""
    options = {
        "interface": "asgi3",
        "lifespan": "off",
        "ws": ws,
        "log_config": None,
        "access_log": False,
    }
    config = uvicorn.Config(app, timeout_graceful_shutdown=1, **options)
    server = uvicorn.Server(config)
    # It listens before the thread runs: whoever comes early waits in the queue.
    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
