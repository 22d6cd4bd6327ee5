"""A small HTTP proxy: CONNECT, and plain http by whole addresses. Hosts lead where it is told."""

import re
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.certificates import listening, read_head
from tests.patience import PATIENCE

HOST = "127.0.0.1"


class Proxy:
    """What a proxy does and has seen.

    `leads`: the ports on this machine that hosts lead to. `asked`: the first lines of the requests
    that have come. `password`: `user:password` that it wants. `instead`: what it does with a
    request in place of an answer.
    """

    def __init__(self, leads: Mapping[str, int], password: str | None) -> None:
        self.leads = dict(leads)
        self.asked: list[str] = []
        self.password = password
        self.instead: Callable[[socket.socket], None] | None = None
        self.url = ""

    def serve(self, client: socket.socket) -> None:
        head = read_head(client)
        if not head:
            return
        line = head.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        if self.instead is not None:
            self.instead(client)
            return
        if not self._knows(head):
            challenge = b"Proxy-Authenticate: Basic realm=x\r\n"
            client.sendall(
                b"HTTP/1.1 407 Who Are You\r\n" + challenge + b"Content-Length: 0\r\n\r\n"
            )
            return
        method, target, _ = line.split(" ")
        if method == "CONNECT":
            host = target.rpartition(":")[0]
        else:
            host = re.match(r"http://([^:/]+)", target)[1]  # type: ignore[index]
        if host not in self.leads:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection((HOST, self.leads[host])) as server:
            server.settimeout(PATIENCE)
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                assert b"proxy-authorization" not in own_head(head).lower()
                server.sendall(own_head(head))
            relay(client, server)

    def _knows(self, head: bytes) -> bool:
        if self.password is None:
            return b"proxy-authorization:" not in head.lower()
        wanted = b"Proxy-Authorization: Basic " + b64encode(self.password.encode())
        return wanted.lower() in head.lower()


def own_head(head: bytes) -> bytes:
    """A request's head, as it goes on to the server."""
    head = re.sub(rb"^(\w+) http://[^/]+", rb"\1 ", head)
    return re.sub(rb"(?i)\r\nproxy-authorization:[^\r]*", b"", head)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until both have ended."""
    back = threading.Thread(target=pump, args=(other, one))
    back.start()
    pump(one, other)
    back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until there are no more."""
    try:
        while received := source.recv(65536):
            sink.sendall(received)
    except OSError:
        pass  # one of the two has gone away, and the other is told
    try:
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@contextmanager
def proxying(
    leads: Mapping[str, int], *, password: str | None = None, certificate: Path | None = None
) -> Iterator[Proxy]:
    """A proxy; one that is asked by TLS if it has a certificate."""
    proxy = Proxy(leads, password)
    with listening(proxy.serve, certificate) as port:
        proxy.url = f"{'http' if certificate is None else 'https'}://{HOST}:{port}"
        yield proxy


@contextmanager
def fronted(port: int, certificate: Path) -> Iterator[int]:
    """A server that shows a certificate, before one without TLS; its port."""

    def pass_on(client: socket.socket) -> None:
        with socket.create_connection((HOST, port)) as server:
            server.settimeout(PATIENCE)
            relay(client, server)

    with listening(pass_on, certificate) as front:
        yield front
