"""Certificates made on the spot: an authority of one's own, and servers that show what it signs."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.patience import PATIENCE

HOUR = timedelta(hours=1)


class Authority:
    """Signs certificates. `path`: the file of its own, for `SSL_CERT_FILE`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key.public_key(), -HOUR, HOUR)
        signed = builder.add_extension(x509.BasicConstraints(True, 0), critical=True).sign(
            self._key, SHA256()
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(
        self,
        *names: str,
        begins: timedelta = -HOUR,
        ends: timedelta = HOUR,
        by_itself: bool = False,
    ) -> Path:
        """The file of a certificate for these hosts, and its key. `begins`, `ends`: from now on."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = _named(names[0])
        issuer, signer = (own, key) if by_itself else (self._name, self._key)
        signed = (
            _builder(issuer, own, key.public_key(), begins, ends)
            .add_extension(x509.SubjectAlternativeName([_host(name) for name in names]), False)
            .sign(signer, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self._folder / f"{len(list(self._folder.iterdir()))}.pem"
        path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
        return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(
    issuer: x509.Name, own: x509.Name, key: Any, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, own, key, x509.random_serial_number())
    return builder.not_valid_before(now + begins).not_valid_after(now + ends)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(certificate: Path) -> ssl.SSLContext:
    """How a server shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextmanager
def listening(
    serve: Callable[[socket.socket], None], certificate: Path | None = None
) -> Iterator[int]:
    """A server that does this with each connection, on a thread of its own; its port."""
    context = None if certificate is None else server_context(certificate)
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:  # the client may hang up on us
            if context is None:
                serve(connection)
            else:
                with context.wrap_socket(connection, server_side=True) as secured:
                    serve(secured)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE)
            if ended.is_set():
                connection.close()
                return
            threads.append(threading.Thread(target=handle, args=(connection,)))
            threads[-1].start()

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield port
        finally:
            ended.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
            for thread in threads:
                thread.join()


def read_head(connection: socket.socket) -> bytes:
    """The first line and the headers of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            break
        head += received
    return head


def say_hi(connection: socket.socket) -> None:
    """Answer every request with `hi`."""
    while read_head(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
