"""One process's connections to a Redis server: for its threads, and for each of its event loops.

Rules:
- Only this module imports redis-py. It is imported when a store is made.
- A connection is made when it is first needed, and belongs to the threads of a process, or to one
  event loop. The server is then asked for its kind: a cluster or a Sentinel is refused.
- Connections are closed when their last user lets go of them, and an event loop's before it ends.
  A child of `fork()` neither uses nor closes those it inherits.
- If a connection broke, its command is sent again, once.
- If a demoted primary refuses a command, it is sent again, once, on a new connection: the same host
  name may lead to another server by now. If that server takes it, all older connections are given
  up. They are given up every few minutes as well: a process that only reads is never refused.
- Every failure is a `StoreUnavailable` that names its kind, without any command or key.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...errors import ConfigurationError
from ...log import logger
from ..base import StoreUnavailable
from .commands import Batch
from .errors import CLUSTER, DEMOTED, OF_CLUSTERS, SENTINEL, kind, told
from .exchange import exchange, exchange_on_loop

_LIFE: Final = 300.0  # seconds for which connections are kept, at most
_CONNECTIONS: Final = 32  # at most, for the threads of a process, and for each event loop
_HELLO: Final = ("HELLO",)
_MEMORY: Final = ("INFO", "memory")  # since CONFIG is closed in most clouds
_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
_POLICIES: Final = {
    f"{keys}-{order}" for keys in ("allkeys", "volatile") for order in ("lru", "lfu", "random")
} | {"volatile-ttl"}

_REQUIRED: Final[dict[str, Any]] = {
    # With version 3 of the protocol redis-py would use an idle connection without checking whether
    # the server has closed it.
    "protocol": 2,
    "decode_responses": False,
    "driver_info": None,  # sending it would take two round trips for every new connection
}

FAILURES: Final = (redis.RedisError, OSError, EOFError, ValueError)  # of a server or connection


class WrongServer(redis.RedisError):
    """A server of the wrong kind. Its message is the sentence for the operator."""


class Server:
    """The server's address and options. Makes clients; holds none."""

    def __init__(self, url: str, timeout: float) -> None:
        self.timeout: float = timeout
        try:
            url = _with_redis_scheme(url)
            options = _parse(redis.connection, url)
            if options.get("max_connections", 1) < 1:
                raise ValueError
            self._options = self._options_of_threads(options)
            self._async_options = self._options_of_loops(_parse(redis.asyncio.connection, url))
            self.client().connection_pool.make_connection()  # no socket yet: options are checked
        except (ValueError, TypeError, AttributeError, redis.RedisError):
            # Its message, and the chain, may quote the password.
            raise ConfigurationError(
                "url: not one that redis-py understands, such as redis://:password@host:6379/0 "
                "(with what is special in a password percent-encoded)"
            ) from None
        _check_database(url)
        self.place: str = options.get("path") or options.get("host", "localhost")
        self._is_tls = url.startswith("rediss:")
        self._was_reached = False
        self._was_looked_at = False  # whether it may evict
        self._was_refused = False  # as a server of another kind, and the log says so

    def _options_of_threads(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options of a client for threads: the url's own where they are free."""
        return {
            **_defaults(self.timeout),
            "socket_timeout": self.timeout,
            **given,
            **_REQUIRED,
            "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            "redis_connect_func": self._greet,
        }

    def _options_of_loops(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options of a client for one event loop."""
        return {
            **_defaults(self.timeout),
            **given,
            **_REQUIRED,
            "retry": redis.asyncio.retry.Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            "redis_connect_func": self._greet_on_loop,
            # There is one deadline around everything; redis-py's own would cost a task each time.
            "socket_timeout": None,
        }

    def client(self) -> Any:
        """A client for threads: a `redis.Redis`, whose own types know little of commands."""
        pool: Any = redis.BlockingConnectionPool
        return redis.Redis.from_pool(pool(**self._options))

    def async_client(self) -> Any:
        """A client for one event loop: a `redis.asyncio.Redis`."""
        return redis.asyncio.Redis.from_pool(_Pool(**self._async_options))

    # Asking the server for its kind on a new connection: one round trip.

    def _greet(self, connection: Any) -> None:
        try:
            connection.on_connect()
        except redis.ResponseError:  # a Sentinel knows no SELECT; a cluster has one database
            _judge(self._answers(connection, [_HELLO]))
            raise
        self._meet(self._answers(connection, self._questions()))

    def _answers(self, connection: Any, questions: list[tuple[str, ...]]) -> list[Any]:
        for words in questions:
            connection.send_command(*words)
        answers = []
        for _ in questions:
            try:
                answers.append(connection.read_response())
            except redis.ResponseError:  # a proxy knows no HELLO, an ACL allows no INFO
                answers.append(None)
        return answers

    async def _greet_on_loop(self, connection: Any) -> None:
        try:
            await connection.on_connect()
        except redis.ResponseError:
            _judge(await self._answers_on_loop(connection, [_HELLO]))
            raise
        self._meet(await self._answers_on_loop(connection, self._questions()))

    async def _answers_on_loop(
        self, connection: Any, questions: list[tuple[str, ...]]
    ) -> list[Any]:
        for words in questions:
            await connection.send_command(*words)
        answers = []
        for _ in questions:
            try:
                answers.append(await connection.read_response())
            except redis.ResponseError:
                answers.append(None)
        return answers

    def _questions(self) -> list[tuple[str, ...]]:
        return [_HELLO] if self._was_looked_at else [_HELLO, _MEMORY]

    def _meet(self, answers: list[Any]) -> None:
        """Refuse a server of another kind; warn of one that evicts."""
        _judge(answers)
        self._was_reached = True
        policy = None if self._was_looked_at else _evicting(answers[1])
        self._was_looked_at = True
        if policy is not None:
            logger.warning(
                "RedisStore at %s: maxmemory-policy is %s, so the server may drop sessions and "
                "leases when it is full: set noeviction",
                self.place,
                policy,
            )

    def failure(self, error: BaseException) -> StoreUnavailable:
        """The error to raise for a failure. A server of the wrong kind is logged, once."""
        name = kind(error)
        if isinstance(error, WrongServer) or name in OF_CLUSTERS:
            why = str(error) if isinstance(error, WrongServer) else CLUSTER
            if not self._was_refused:
                self._was_refused = True
                logger.error("RedisStore at %s: %s", self.place, why)
            return StoreUnavailable(f"Redis: {name}: {why}")
        why = told(error, is_tls=self._is_tls, was_reached=self._was_reached)
        return StoreUnavailable(f"Redis: {why}")


def _judge(answers: list[Any]) -> None:
    """Raise if the server says that it is a cluster or a Sentinel."""
    mode = _mode(answers[0])
    if mode in ("cluster", "sentinel"):
        raise WrongServer(CLUSTER if mode == "cluster" else SENTINEL)


def _mode(hello: Any) -> str | None:
    """The mode in a server's answer to HELLO, if there is one."""
    if isinstance(hello, list):
        for name, value in zip(hello[::2], hello[1::2], strict=False):
            if name == b"mode" and isinstance(value, bytes):
                return value.decode("latin1")
    return None


def _evicting(memory: Any) -> str | None:
    """A server's eviction policy; None if it evicts nothing, or does not say."""
    if not isinstance(memory, bytes):
        return None
    lines = memory.decode("latin1").splitlines()
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    policy = said.get("maxmemory_policy")
    return policy if policy in _POLICIES and said.get("maxmemory", "0") != "0" else None


def _with_redis_scheme(url: str) -> str:
    """The url with redis-py's scheme in place of Valkey's."""
    scheme, separator, rest = url.partition("://")
    return _SCHEMES.get(scheme, scheme) + separator + rest


def _check_database(url: str) -> None:
    """Raise unless the path of a url is a number: redis-py takes anything else for database 0."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError(
            "url: what follows the host is the number of a database; write "
            "redis://host:6379/0, and set prefix= to tell two apps apart"
        )


def _defaults(timeout: float) -> dict[str, Any]:
    """The options that a url may change."""
    return {
        "max_connections": _CONNECTIONS,
        "timeout": timeout,
        "socket_connect_timeout": timeout,
        "client_name": "amplify_mw",
    }


def _parse(connection: Any, url: str) -> dict[str, Any]:
    options: dict[str, Any] = connection.parse_url(url)  # has no types
    return options


class _Pool(redis.asyncio.BlockingConnectionPool):
    """Notes the connections it makes, so that all can be closed without waiting for any."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made: list[Any] = []

    def make_connection(self) -> Any:
        self.made.append(super().make_connection())  # type: ignore[no-untyped-call]
        return self.made[-1]


class Connections:
    """The clients of one process. Made without any connection.

    `moved`: called when connections are given up, since the url may lead to another server.
    """

    def __init__(self, server: Server, moved: Callable[[], None]) -> None:
        self._server = server
        self._moved = moved
        self._client = server.client()  # of the threads
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._moves = 0
        self._until = time.monotonic() + _LIFE
        self._lock = threading.Lock()

    def send(self, batch: Batch) -> list[Any]:
        """The server's answers; None if there is a value of another type."""
        if time.monotonic() >= self._until:
            self._leave(self._moves)
        moves, client = self._moves, self._client
        try:
            answers = exchange(client, batch)
            if _is_demoted(answers):
                answers = self._send_anew(batch)
                self._leave(moves)
            return self._read(answers)
        except FAILURES as error:
            raise self._server.failure(error) from error

    def _send_anew(self, batch: Batch) -> list[Any]:
        """The answers on a new connection."""
        client = self._server.client()
        try:
            return _accepted(exchange(client, batch))
        finally:
            client.close()

    async def send_on_loop(self, batch: Batch) -> list[Any]:
        """The same, awaited on the running event loop."""
        if time.monotonic() >= self._until:
            self._leave(self._moves)
        moves, loop = self._moves, None
        try:
            async with asyncio.timeout(self._server.timeout):
                loop = await self._of_loop()
                answers = await exchange_on_loop(loop.client, batch)
                if _is_demoted(answers):
                    answers = await self._send_anew_on_loop(batch)
                    self._leave(moves)
                return self._read(answers)
        except FAILURES as error:
            raise self._server.failure(error) from error
        finally:
            loop = None  # else a traceback keeps it, until the collector drops it in any order

    async def _send_anew_on_loop(self, batch: Batch) -> list[Any]:
        new = await self._open()
        try:
            return _accepted(await exchange_on_loop(new.client, batch))
        finally:
            await new.end.aclose()

    def _read(self, answers: list[Any]) -> list[Any]:
        """The answers. Raises the first failure; a value of another type is none: no record."""
        for number, answer in enumerate(answers):
            if isinstance(answer, Exception):
                if kind(answer) != "WRONGTYPE":
                    raise answer
                answers[number] = None
        return answers

    def _leave(self, moves: int) -> None:
        """Replace the connections by new ones, unless another thread has, since `moves`."""
        new = self._server.client()
        with self._lock:
            if moves != self._moves:
                return
            self._moves += 1
            self._until = time.monotonic() + _LIFE
            left = self._client, dict(self._loops)
            self._client = new
            self.let_go()
        del left  # what is dropped may run code of asyncio's: not under the lock
        self._moved()

    def let_go(self) -> None:
        """Let go of the connections of event loops: the last user of each closes it.

        Dropping this object is not enough: the traceback of a failure may hold it for long.
        """
        self._loops.clear()

    async def _of_loop(self) -> "_Loop":
        running = asyncio.get_running_loop()
        found = self._loops.get(running)
        if found is not None:
            return found
        made = await self._open()  # goes there at once: no other task comes in between
        with self._lock:
            closed = [self._loops.pop(loop) for loop in [*self._loops] if loop.is_closed()]
            self._loops[running] = made
        closed.clear()  # what is dropped may run code of asyncio's: not under the lock
        return made

    async def _open(self) -> "_Loop":
        client = self._server.async_client()
        end = _closing(client.connection_pool)
        await anext(end)
        return _Loop(client, end)


def _is_demoted(answers: list[Any]) -> bool:
    """Whether a demoted primary has refused a command."""
    return any(isinstance(answer, Exception) and kind(answer) in DEMOTED for answer in answers)


def _accepted(answers: list[Any]) -> list[Any]:
    """The answers. Raises if this server has refused a command as well."""
    for answer in answers:
        if isinstance(answer, Exception) and kind(answer) in DEMOTED:
            raise answer
    return answers


class _Loop(NamedTuple):
    """The client of an event loop, and the generator that closes it, even if only dropped."""

    client: Any
    end: AsyncGenerator[None, None]


async def _closing(pool: _Pool) -> AsyncGenerator[None, None]:
    """Closes connections when their event loop shuts down its generators, or this one is dropped.

    asyncio does both: before a loop ends it closes the generators that were started on it; and if
    one is dropped, on any thread, its loop runs the rest of it. The loop may be about to end, so
    nothing is awaited, not even TLS's goodbye. (Only redis-py's private `_writer` allows that.)
    """
    try:
        yield
    finally:
        for connection in pool.made:
            writer = getattr(connection, "_writer", None)
            if writer is not None:
                writer.transport.abort()
            await connection.disconnect(nowait=True)
