"""A server of an app on 127.0.0.1, on threads of this process, for a browser.

Rules:
- A WSGI app is served by Werkzeug, an ASGI app by Uvicorn, which has to be installed.
- The server listens before its address is known to anybody, so that no client comes too early.
"""

import socket
from collections.abc import Callable
from importlib.util import find_spec
from threading import Thread
from typing import Any, Final

from ...errors import ConfigurationError

HOST: Final = "127.0.0.1"
_LOOKS_EVERY: Final = 0.02  # seconds: at the sign to end
_GRACE: Final = 1  # seconds for a browser's open requests

Served = tuple[str, Callable[[], None]]  # the address, and the end


def serve_wsgi(app: Any) -> Served:
    """Serve a WSGI app."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *args: Any) -> None:
            pass

    server = make_server(HOST, 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever, args=(_LOOKS_EVERY,), name="amplify_client")
    thread.start()

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return f"http://{HOST}:{server.server_port}", end


def serve_asgi(app: Any) -> Served:
    """Serve an ASGI app. Raises `ConfigurationError` without Uvicorn."""
    if find_spec("uvicorn") is None:
        raise ConfigurationError("amplify_client.serve: Uvicorn is missing; pip install uvicorn")
    import uvicorn

    config = uvicorn.Config(
        app, interface="asgi3", log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE
    )
    server = uvicorn.Server(config)
    listener = socket.create_server((HOST, 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="amplify_client")
    thread.start()

    def end() -> None:
        server.should_exit = True
        thread.join()
        listener.close()

    return f"http://{HOST}:{listener.getsockname()[1]}", end
