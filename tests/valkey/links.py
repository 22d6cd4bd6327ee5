"""A relay before a server, which can be stalled, lead elsewhere, or speak TLS."""

import select
import socket
import ssl
import threading
from contextlib import suppress


class Link:
    """Passes bytes on in both directions, until it is told to stall.

    `leads_to`: the port that new connections go to. `tls`: how it shows a certificate; the server
    behind it speaks plainly.
    """

    def __init__(self, leads_to: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.leads_to = leads_to
        self._tls = tls
        self._flows = threading.Event()
        self._flows.set()
        self._is_closed = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stall(self) -> None:
        """Pass nothing on, and keep all connections."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """End the connections there are."""
        for opened in list(self._open):
            _shut(opened)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        self._open.append(client)
        with (
            suppress(OSError, ValueError),  # ValueError: `select` with one that is closed
            client,
            self._speaking(client) as spoken,
            socket.create_connection(("127.0.0.1", self.leads_to)) as server,
        ):
            self._open += [spoken, server]
            self._pump(spoken, server)
            _shut(spoken)

    def _speaking(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """One thread for both directions: a TLS connection is not for two threads."""
        other = {client: server, server: client}
        while True:
            for source in select.select([client, server], [], [])[0]:
                passed = source.recv(65536)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    passed += source.recv(65536)
                self._flows.wait()
                if not passed or self._is_closed:
                    return
                other[source].sendall(passed)

    def close(self) -> None:
        self._is_closed = True
        self._flows.set()
        for opened in (self._listener, *self._open):
            _shut(opened)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
