"""The HTTP client: one, kept, synchronous, made when first needed; only flights use it.

Rules:
- Only the configured addresses are asked: no redirects, no proxies or credentials from the
  environment, no cookies. So it is httpcore, the transport under httpx, which knows none of them.
- An answer has one deadline in all, which every wait on the socket counts towards: a server that
  goes on sending byte after byte, of a body or of its headers, gains nothing by it. Only looking a
  host name up cannot be cut short.
- An answer has a size it may not pass. Anything else than an answer is `Unreachable`.
- After `fork()` the child makes connections of its own and leaves the parent's alone.
"""

import math
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from .effects import Request, Response, Unreachable

if TYPE_CHECKING:
    import ssl

    import httpcore2

_KEEP_ALIVE: Final = 5.0  # seconds that an idle connection is kept
Resolve = Callable[..., list[Any]]  # such as socket.getaddrinfo
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "amplify-mw"}


class HttpClient:
    """Sends requests; each must be answered within `timeout` seconds times its patience.

    `resolve` looks the addresses of a host up.
    """

    def __init__(self, timeout: float, *, resolve: Resolve = socket.getaddrinfo) -> None:
        self._timeout = timeout
        self._resolve = resolve
        self._deadline = _Deadline()
        self._pool: httpcore2.ConnectionPool | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._parents: list[httpcore2.ConnectionPool | None] = []
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        """The answer. Raises `Unreachable`, which says what happened and not what was sent."""
        import httpcore2  # 70 ms: only those who fetch pay

        failures = (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            OSError,
            UnicodeError,  # a host name that cannot be looked up
        )
        self._deadline.at = time.monotonic() + self._timeout * request.patience
        try:
            return _exchange(self._open(), request)
        except failures as error:
            raise Unreachable(type(error).__name__) from error

    def _open(self) -> "httpcore2.ConnectionPool":
        import httpcore2

        with self._lock:
            if self._pool is None:
                network = cast(httpcore2.NetworkBackend, _Network(self._deadline, self._resolve))
                self._pool = httpcore2.ConnectionPool(
                    httpcore2.default_ssl_context(),  # once, not for each connection
                    keepalive_expiry=_KEEP_ALIVE,
                    max_connections=None,
                    network_backend=network,
                )
                self._end = weakref.finalize(self, self._pool.close)
            return self._pool

    def after_fork(self) -> None:
        """In a child: leave the parent's connections be; closing them would need its locks."""
        self._parents.append(self._pool)
        if self._end is not None:
            self._end.detach()
        self._pool, self._end, self._lock = None, None, threading.Lock()

    def retire(self) -> Callable[[], object]:
        """Let the next request open new connections; what is returned closes the old ones."""
        with self._lock:
            end, self._pool, self._end = self._end, None, None
        return end or (lambda: None)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self.retire()()


def _exchange(pool: "httpcore2.ConnectionPool", request: Request) -> Response:
    content = bytearray()
    with pool.stream(
        request.method,
        request.url,
        headers=list({**_HEADERS, **request.headers}.items()),
        content=request.content or None,
    ) as response:
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > request.max_bytes:
                raise Unreachable(f"its answer is larger than {request.max_bytes} bytes")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        return Response(response.status, headers, bytes(content))


class _Deadline(threading.local):
    """Until when this thread's exchange may take, on the monotonic clock."""

    at = math.inf

    def left(self) -> float:
        """The seconds left. Raises `TimeoutError` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Network:
    """An `httpcore2.NetworkBackend` whose every wait ends at the deadline, whatever `timeout`."""

    def __init__(self, deadline: _Deadline, resolve: Resolve) -> None:
        import httpcore2

        self._backend = httpcore2.SyncBackend()
        self._deadline = deadline
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        **options: Any,
    ) -> "_Stream":
        import httpcore2

        # One address at a time: the backend would give each of a host's addresses the time anew.
        failure: Exception = OSError("the host has no address")
        for *_, address in self._resolve(host, port, type=socket.SOCK_STREAM):
            left = self._deadline.left()
            try:
                stream = self._backend.connect_tcp(address[0], port, left, **options)
            except httpcore2.ConnectError as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream:
    """An `httpcore2.NetworkStream` whose every wait ends at the deadline, whatever `timeout`."""

    def __init__(self, stream: "httpcore2.NetworkStream", deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

    def start_tls(
        self,
        ssl_context: "ssl.SSLContext",
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> "_Stream":
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _Stream(stream, self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
