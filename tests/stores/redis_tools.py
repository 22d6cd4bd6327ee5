"""What the tests of `RedisStore` share: ways to ask it, and what stands before its server."""

import asyncio
import secrets
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.commands import Batch, Command
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, LONG, at_once
from tests.patience import until
from tests.valkey import Valkey

T = TypeVar("T")

IMPATIENT = 0.3  # seconds, which a healthy server may exceed

CALLS: dict[str, tuple[Any, ...]] = {
    "load": (KEY,),
    "create": (KEY, Record(b"sealed", 3, 4e9, "ada")),
    "replace": (KEY, Record(b"sealed", 3, 4e9, "ada")),
    "delete": (KEY,),
    "of_user": ("ada",),
    "acquire": (KEY, LONG),
    "renew": (KEY, 1, LONG),
    "release": (KEY, 1),
}


class Way:
    """One of the two ways to ask a store. `loop` runs what is awaited; None: blocking."""

    def __init__(self, loop: asyncio.Runner | None) -> None:
        self.loop = loop

    def __call__(self, store: RedisStore, method: str, *arguments: Any) -> Any:
        if self.loop is None:
            return getattr(store, method)(*arguments)
        return self.loop.run(store.ask(method, arguments))

    @classmethod
    @contextmanager
    def awaiting(cls) -> Iterator["Way"]:
        with asyncio.Runner() as runner:
            yield cls(runner)

    def at_once(self, count: int, store: RedisStore, method: str, *arguments: Any) -> list[Any]:
        """The same question so many times together, each on a connection of its own."""
        if self.loop is None:
            return at_once(count, lambda _: self(store, method, *arguments))

        async def gathered() -> list[Any]:
            tasks = []
            for _ in range(count):
                tasks.append(asyncio.ensure_future(store.ask(method, arguments)))
                await asyncio.sleep(0)  # those asked in one turn of the loop share a connection
            return await asyncio.gather(*tasks)

        return self.loop.run(gathered())


Ask = Way


def in_the_end(ask: Callable[[], T]) -> T:
    """The answer that an impatient store gets, however often its server is too late for it."""
    answers: list[T] = []

    def came() -> bool:
        with suppress(StoreUnavailable):
            answers.append(ask())
        return bool(answers)

    until(came)
    return answers[0]


def connections(server: Valkey) -> int:
    """How many connections of stores the server has."""
    with server.client() as client:
        return sum(found["name"] == "amplify_mw" for found in client.client_list())


class Trips:
    """Watches the batches that a store sends, and may do something before one is sent."""

    def __init__(self, store: RedisStore) -> None:
        self.batches: list[Batch] = []
        self.before: Callable[[int, Batch], None] = lambda _number, _batch: None
        connections = weakref.ref(store._connections)  # which are closed when nobody holds them
        kind = type(store._connections)

        def watched(batch: Batch) -> list[Any]:
            self._see(batch)
            return kind.send(connections(), batch)  # type: ignore[arg-type]

        async def watched_on_loop(batch: Batch) -> list[Any]:
            self._see(batch)
            return await kind.send_on_loop(connections(), batch)  # type: ignore[arg-type]

        store._connections.send = watched  # type: ignore[method-assign]
        store._connections.send_on_loop = watched_on_loop  # type: ignore[method-assign]

    def _see(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.before(len(self.batches), batch)

    @property
    def commands(self) -> list[Command]:
        return [command for batch in self.batches for command in batch.commands]

    def of(self, ask: Callable[[], object]) -> int:
        """The round trips that it takes."""
        self.batches.clear()
        ask()
        return len(self.batches)


class Relay:
    """Stands before a server; told to, it loses the next answer and the connection with it."""

    def __init__(self, server: int, tls: ssl.SSLContext | None = None) -> None:
        self.lossy = False
        self._server = server
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with suppress(OSError), client, self._speaking(client) as client:
            self._answer(client)

    def _speaking(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client

    def _answer(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._server)) as server:
            while asked := client.recv(65536):
                server.sendall(asked)
                answer = server.recv(65536)
                if self.lossy:
                    self.lossy = False
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


class Endpoint:
    """A name that leads to a server, and later to another: new connections go to `port`."""

    def __init__(self, leads_to: int) -> None:
        self.leads_to = leads_to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.leads_to))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    thread = threading.Thread(target=_pump, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()

    def close(self) -> None:
        for opened in (self._listener, *self._open):
            _shut(opened)
        for thread in self._threads:
            thread.join()
        for opened in (self._listener, *self._open):
            opened.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while sent := source.recv(65536):
            sink.sendall(sent)
    _shut(source)
    _shut(sink)


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)


def certificate(folder: Path, *, begins: float = 0, ends: float = 1) -> Path:
    """A key and a certificate for 127.0.0.1 that vouches for itself, in one file.

    It is valid from `begins` to `ends` days from now.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / f"tls-{secrets.token_hex(4)}.pem"
    file.write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    return file
