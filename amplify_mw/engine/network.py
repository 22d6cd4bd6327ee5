"""Connections with one deadline for all their waits, and messages about failed TLS.

Rules:
- An exchange has one deadline: connecting, TLS, writing and reading count towards it, through a
  proxy too. Only the lookup of a host name cannot be cut short.
- The message about a refused certificate has its cause and the remedy. Text from a system's
  verifier is escaped and cut.
"""

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import httpcore2

T = TypeVar("T")
Resolve = Callable[..., list[Any]]  # such as socket.getaddrinfo
_LONGEST: Final = 200  # characters of a message that is not ours
_RECORD: Final = 16_384  # bytes, the most that a TLS record holds (RFC 8446 5.1)
_UNKNOWN: Final = (
    "its certificate comes from an authority that this machine does not know; if that is your own, "
    "or a proxy's that opens TLS, name the file of its certificate in SSL_CERT_FILE"
)
_OTHER_HOST: Final = (
    "its certificate is for another host name; look at the address in the configuration, and at "
    "what the name leads to"
)
# By OpenSSL's X509_V_ERR_... numbers.
_CAUSES: Final = {
    2: _UNKNOWN,
    9: "its certificate is not valid yet; look at this machine's clock",
    10: "its certificate has expired, or this machine's clock is ahead",
    18: _UNKNOWN,  # signed by itself
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    62: _OTHER_HOST,
    64: _OTHER_HOST,  # an IP address
}


class TlsFailure(Exception):
    """TLS could not be established. The message has the host, the cause and the remedy."""


class Deadline(threading.local):
    """The end of this thread's exchange, on the monotonic clock."""

    at: float = math.inf

    def left(self) -> float:
        """The seconds left. Raises `TimeoutError` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Network(httpcore2.NetworkBackend):
    """Makes connections with the deadline for every wait; `timeout` is ignored."""

    def __init__(self, deadline: Deadline, resolve: Resolve | None = None) -> None:
        self._backend = httpcore2.SyncBackend()
        self.deadline: Deadline = deadline
        self._resolve: Resolve = resolve or socket.getaddrinfo

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> "Stream":
        """Connect to one of the host's addresses."""
        # One address at a time: the backend would give each of a host's addresses the time anew.
        failure: Exception = OSError("the host has no address")
        for *_, address in self._resolve(host, port, type=socket.SOCK_STREAM):
            left = self.deadline.left()
            try:
                stream = self._backend.connect_tcp(
                    address[0], port, left, local_address, socket_options
                )
            except httpcore2.ConnectError as error:
                failure = error
            else:
                return Stream(stream, self.deadline)
        raise failure


class Stream(httpcore2.NetworkStream):
    """A connection with the deadline for every wait; `timeout` is ignored."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Some bytes; none at the end."""
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all bytes."""
        self._stream.write(buffer, self._deadline.left())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        """The connection with TLS from here on. Raises `TlsFailure`."""
        try:
            if self._stream.get_extra_info("ssl_object") is not None:
                return TlsWithinTls(self, ssl_context, server_hostname)
            left = self._deadline.left()
            secured = self._stream.start_tls(ssl_context, server_hostname, left)
        except (httpcore2.ConnectError, ssl.SSLError) as error:
            cause = error if isinstance(error, ssl.SSLError) else error.__cause__
            if not isinstance(cause, ssl.SSLError):
                raise
            raise TlsFailure(f"TLS with {server_hostname} failed: {why_tls(cause)}") from error
        return Stream(secured, self._deadline)

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """The underlying connection's own value."""
        return self._stream.get_extra_info(info)


class TlsWithinTls(httpcore2.NetworkStream):
    """TLS on a connection with TLS: through a proxy with an https address.

    (Python's sockets cannot do it, and httpcore's own way restarts the time for each part of a
    record.)
    """

    def __init__(self, stream: Stream, context: ssl.SSLContext, hostname: str | None) -> None:
        self._stream = stream
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sent, server_hostname=hostname)
        try:
            self._do(self._tls.do_handshake)
        except BaseException:
            self.close()
            raise

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Some bytes; none at the end."""
        with suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return self._do(lambda: self._tls.read(max_bytes))
        return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all bytes."""
        while buffer:
            written = self._do(lambda: self._tls.write(buffer))  # noqa: B023  # called at once
            buffer = buffer[written:]

    def start_tls(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        """Two layers are all that a proxy needs."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """The underlying connection's own value."""
        return self._tls if info == "ssl_object" else self._stream.get_extra_info(info)

    def _do(self, step: Callable[[], T]) -> T:
        """Do a step of TLS, with the reading and writing it needs."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._stream.read(_RECORD)
                if received:
                    self._received.write(received)
                else:
                    self._received.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        waiting = self._sent.read()
        if waiting:
            self._stream.write(waiting)


def why_tls(error: ssl.SSLError) -> str:
    """The cause of a TLS failure, and the remedy."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # The system's own verifiers (macOS, Windows) have other numbers, and quote certificates.
        known = _CAUSES.get(getattr(error, "verify_code", 0))
        message = ascii(str(getattr(error, "verify_message", ""))[:_LONGEST])
        return known or f"its certificate is refused: {message}"
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return "it does not speak TLS; look at the port, and whether it is to be http://"
    if isinstance(error, ssl.SSLEOFError):
        return "it closed the connection; a firewall may have done so"
    return (error.reason or type(error).__name__).replace("_", " ").lower()
