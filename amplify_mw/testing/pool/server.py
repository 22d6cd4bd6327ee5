"""A small HTTP server on 127.0.0.1, and the faults to put in a request's way.

Rules:
- A request is noted first. Then it waits at every closed gate of its operation, then it meets the
  newest fault set for it, and only without one is it answered. So a held request sees the world
  as it is when it is released.
- A fault is a frozen value with one method, `meet`. For everything else it calls the `Exchange`.
- Closing ends everything: held requests are dropped unanswered, connections are cut, every thread
  is joined.
- `start` and `close` are for one thread at a time; everything else is for any.
- With a TLS context the one port speaks both: a connection that begins as TLS does is TLS.
"""

import json
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol
from uuid import uuid4

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST: Final = "127.0.0.1"
AMZ_JSON: Final = "application/x-amz-json-1.1"
ANY_OPERATION: Final = "*"
_TLS_HANDSHAKE: Final = b"\x16"  # the first byte of a TLS connection (RFC 8446 5.1)


@dataclass(frozen=True, slots=True)
class Call:
    """A request's operation: its name, and the function to answer it."""

    operation: str
    answer: Callable[[], Response]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, as a fault meets it.

    `request` came in; `answer()` carries the operation out after all; `hang_up()` cuts the
    connection and does not return; `closing` is set when the server ends.
    """

    request: Request
    answer: Callable[[], Response]
    hang_up: Callable[[], NoReturn]
    closing: threading.Event


class Fault(Protocol):
    """An event to happen to a request in place of its answer."""

    def meet(self, exchange: Exchange, /) -> Response:
        """The response to send instead."""
        ...


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is closed without an answer; the operation is not carried out."""

    def meet(self, exchange: Exchange, /) -> Response:
        """Hang up."""
        exchange.hang_up()


@dataclass(frozen=True, slots=True)
class Lost:
    """The operation is carried out, but its answer is lost: the connection closes."""

    def meet(self, exchange: Exchange, /) -> Response:
        """Answer to nobody, then hang up."""
        exchange.answer().close()
        exchange.hang_up()


@dataclass(frozen=True, slots=True)
class Status:
    """An answer with any status, such as a load balancer's 503."""

    code: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def meet(self, _exchange: Exchange, /) -> Response:
        """The bare answer."""
        return Response(self.body, self.code, self.headers)


@dataclass(frozen=True, slots=True)
class CognitoError:
    """An error as Cognito says it, whichever it is.

    Of an operation of the API: HTTP 400, the `code` (`ResourceNotFoundException`) as `__type` and
    as `x-amzn-ErrorType`. Of the domain's `token` and `revoke`: HTTP 400, the `code`
    (`invalid_client`) as `error`, the message as `error_description` (RFC 6749 5.2).
    """

    code: str
    message: str = ""

    def meet(self, exchange: Exchange, /) -> Response:
        """The error's answer."""
        return self._of_oauth() if exchange.request.path.startswith("/oauth2/") else self.response()

    def _of_oauth(self) -> Response:
        members = {"error": self.code} | (
            {"error_description": self.message} if self.message else {}
        )
        return Response(json.dumps(members), 400, content_type="application/json")

    def response(self) -> Response:
        """The error's answer."""
        response = amz_response({"__type": self.code, "message": self.message}, 400)
        response.headers["x-amzn-ErrorType"] = self.code
        return response


@dataclass(frozen=True, slots=True)
class Throttling:
    """Too many requests, as Cognito says it: HTTP 400 with a `__type`."""

    def meet(self, _exchange: Exchange, /) -> Response:
        """The error's answer, without an error type header."""
        code = "TooManyRequestsException"
        return amz_response({"__type": code, "message": "Too many requests"}, 400)


@dataclass(frozen=True, slots=True)
class Body:
    """An answer with status 200 and a foreign body: garbage, a login page."""

    content: bytes = field(repr=False)
    content_type: str = "application/json"

    def meet(self, _exchange: Exchange, /) -> Response:
        """The wrong answer."""
        return Response(self.content, content_type=self.content_type)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect to another address."""

    url: str
    code: int = 302

    def meet(self, _exchange: Exchange, /) -> Response:
        """The redirect."""
        return Response(b"", self.code, {"Location": self.url})


@dataclass(frozen=True, slots=True)
class Drip:
    """An endless answer: headers, a space, and one more every `interval` seconds.

    It stops when the client goes away, and breaks off when the server closes.
    """

    interval: float = 0.05

    def meet(self, exchange: Exchange, /) -> Response:
        """The endless answer."""
        return Response(self._drops(exchange), content_type="application/json")

    def _drops(self, exchange: Exchange) -> Iterator[bytes]:
        yield b" "
        while not exchange.closing.wait(self.interval):
            yield b" "
        exchange.hang_up()


class Gate:
    """Holds the requests of one operation until `release`. Made by `hold`."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self._changed = threading.Condition()
        self._arrivals = 0
        self._is_open = False

    @property
    def arrivals(self) -> int:
        """How many requests have come to the gate, released ones included."""
        with self._changed:
            return self._arrivals

    def wait_for_arrivals(self, count: int = 1, *, timeout: float = 60.0) -> None:
        """Wait until `count` requests have come. Raises `TimeoutError` after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrivals >= count, timeout):
                raise TimeoutError(
                    f"{self._arrivals} of {count} requests for {self.operation!r} came "
                    f"within {timeout} s"
                )

    def release(self) -> None:
        """Let the held requests go on, and all later ones."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def pass_through(self) -> None:
        """Arrive, and wait until the gate is open. For the server's request threads."""
        with self._changed:
            self._arrivals += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open)


class LoopbackServer:
    """Serves requests on 127.0.0.1, as `route` decides. Started again, it keeps its port.

    `port` 0: a free one. `tls`: makes the context for TLS when the server starts, or None.
    `finish`: changes every response, those of faults, too.
    """

    def __init__(
        self,
        route: Callable[[Request], Call],
        port: int = 0,
        tls: Callable[[], ssl.SSLContext] | None = None,
        finish: Callable[[Request, Response], Response] = lambda _, response: response,
    ) -> None:
        self._tls = tls
        self._finish = finish
        self.requests: list[str] = []
        self._route = route
        self._lock = threading.Lock()
        self._gates: list[Gate] = []
        self._faults: dict[object, tuple[str, Fault]] = {}
        self._closing = threading.Event()
        self._port = port
        self._running: tuple[_Listener, threading.Thread] | None = None

    @property
    def url(self) -> str:
        """The address, without a trailing slash. Raises `RuntimeError` before the first start."""
        if not self._port:
            raise RuntimeError("the server has no address yet: start it, or enter it using `with`")
        return f"http://{HOST}:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._running is not None

    def start(self) -> None:
        """Listen and serve, on a thread of its own. Does nothing if it serves already."""
        if self._running:
            return
        listener = _Listener(self._port, self._serve, self._tls() if self._tls else None)
        self._port = listener.port
        thread = threading.Thread(target=listener.serve, name="local-server", daemon=True)
        Context().run(thread.start)  # it keeps no user of a request that is being served here
        self._running = listener, thread

    def close(self) -> None:
        """End the server, its connections and its threads. Does nothing if it has ended."""
        if not self._running:
            return
        (listener, thread), self._running = self._running, None
        with self._lock:
            self._closing.set()
            for gate in self._gates:
                gate.release()
        listener.end()
        thread.join()
        listener.cut_connections()
        self._closing.clear()  # nobody is left to see it

    @contextmanager
    def hold(self, operation: str = ANY_OPERATION) -> Iterator[Gate]:
        """Hold the requests of `operation` (`*`: all) until the gate's `release` or the end."""
        gate = Gate(operation)
        with self._lock:
            self._gates.append(gate)
            if self._closing.is_set():
                gate.release()
        try:
            yield gate
        finally:
            with self._lock:
                self._gates.remove(gate)
            gate.release()

    def fault(self, operation: str, fault: Fault) -> "ExitStack[bool | None]":
        """Put `fault` in the way of `operation` (`*`: all): from now on, to the end of the `with`.

        Without a `with` it stays, until its `close()`. Of several faults the newest is met.
        """
        entry = object()
        with self._lock:
            self._faults[entry] = operation, fault
        lifted = ExitStack()
        lifted.callback(self._lift, entry)
        return lifted

    def count(self, operation: str) -> int:
        """How many requests for `operation` have come."""
        with self._lock:
            return self.requests.count(operation)

    def _lift(self, entry: object) -> None:
        with self._lock:
            del self._faults[entry]

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        request = Request(environ)
        request.get_data()  # read first: else hanging up would be a reset, not a clean end
        call = self._route(request)
        exchange = Exchange(request, call.answer, partial(_hang_up, environ), self._closing)
        for gate in self._note(call.operation):
            gate.pass_through()
        if self._closing.is_set():  # which has opened the gates
            exchange.hang_up()
        fault = self._newest_fault(call.operation)
        response = fault.meet(exchange) if fault else call.answer()
        return self._finish(request, response)(environ, start_response)

    def _note(self, operation: str) -> list[Gate]:
        """Note a request; the gates it has to pass."""
        with self._lock:
            self.requests.append(operation)
            return [gate for gate in self._gates if _concerns(gate.operation, operation)]

    def _newest_fault(self, operation: str) -> Fault | None:
        with self._lock:
            standing = reversed(self._faults.values())
            return next((fault for name, fault in standing if _concerns(name, operation)), None)


class _QuietHandler(WSGIRequestHandler):
    """Logs no requests."""

    def log(self, *_: object, **__: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        """Serve the connection, unless the client breaks off TLS."""
        with suppress(ssl.SSLError):
            super().handle()


class _Connection:
    """A connection, to be cut from another thread."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self._lock = threading.Lock()

    def secure(self, context: ssl.SSLContext) -> None:
        """Go on in TLS if the client begins it. Raises `OSError`."""
        if self.socket.recv(1, socket.MSG_PEEK) != _TLS_HANDSHAKE:
            return
        with self._lock:  # the socket of before is no good afterwards
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        assert isinstance(self.socket, ssl.SSLSocket)  # noqa: S101 - for the type
        self.socket.do_handshake()

    def cut(self) -> None:
        """End it."""
        with self._lock:
            _cut(self.socket)


class _Listener(ThreadedWSGIServer):
    """The listening socket and a thread for each connection, all of which can be ended."""

    def __init__(
        self, port: int, application: "WSGIApplication", tls: ssl.SSLContext | None
    ) -> None:
        self._tls = tls
        self._connections: dict[threading.Thread, _Connection] = {}  # by the serving thread alone
        # Bound here: werkzeug ends the process when it cannot bind.
        with socket.create_server((HOST, port)) as bound:
            super().__init__(HOST, port, application, _QuietHandler, fd=bound.fileno())
        self._ending, self._end = socket.socketpair()

    def serve(self) -> None:
        """Accept connections until `end` is called. (`serve_forever` would have to poll.)"""
        with self._ending, selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._ending, selectors.EVENT_READ)
            while all(key.fileobj is self for key, _ in selector.select()):
                self.handle_request()
        self.server_close()

    def end(self) -> None:
        """Accept no more connections."""
        self._end.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on its own thread."""
        self._connections = {
            thread: connection
            for thread, connection in self._connections.items()
            if thread.is_alive()
        }
        connection = _Connection(request)
        thread = threading.Thread(
            target=self._serve_connection,
            args=(connection, client_address),
            name="local-server-request",
            daemon=True,
        )
        thread.start()
        self._connections[thread] = connection

    def _serve_connection(self, connection: _Connection, client_address: Any) -> None:
        if self._tls is not None:
            try:
                connection.secure(self._tls)
            except OSError:  # the client is gone, or does not trust the certificate
                self.shutdown_request(connection.socket)
                return
        self.process_request_thread(connection.socket, client_address)

    def cut_connections(self) -> None:
        """End all open connections, after the last one was accepted."""
        for connection in self._connections.values():
            connection.cut()
        for thread in self._connections:
            thread.join()


def amz_response(members: Mapping[str, Any], status: int = 200) -> Response:
    """An answer in Amazon's JSON 1.1."""
    headers = {"x-amzn-RequestId": str(uuid4())}
    return Response(json.dumps(members), status, headers, content_type=AMZ_JSON)


def _concerns(name: str, operation: str) -> bool:
    return name in (ANY_OPERATION, operation)


def _hang_up(environ: "WSGIEnvironment") -> NoReturn:
    # Cut first: the handler would go on to wait for the connection's next request.
    _cut(environ["werkzeug.socket"])
    raise ConnectionAbortedError("hung up without an answer")


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)
