"""One process's connections to a Redis server: for its threads, and for each of its event loops.

Rules:
- This module alone imports redis-py, and is imported when a store is made.
- A connection is made when it is first needed, and belongs to the threads of a process, or to one
  event loop.
- Connections are closed when the last who uses them lets go; those of an event loop before it ends,
  too. What a fork took along is neither used nor closed.
- A command is sent again, once, where its connection broke.
- Every failure is a `StoreUnavailable` that names its kind, and not what was asked.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError
from .base import StoreUnavailable
from .redis_commands import Words

_CONNECTIONS: Final = 32  # at most, for the threads of a process, and for each event loop

FAILURES: Final = (redis.RedisError, OSError, EOFError, ValueError)  # of a server, or of the way


def _unless_harmless(error: Exception) -> None:
    """Raise what it means, unless a value of another type is there: that is no record."""
    kind = _kind(error)
    if kind != "WRONGTYPE":
        raise StoreUnavailable(f"Redis: {kind}") from error


def _kind(error: BaseException) -> str:
    """What kind of failure this is: the server's own word for it, or the exception's name."""
    word = str(error).partition(" ")[0]
    if (
        isinstance(error, redis.ResponseError)
        and word.isascii()
        and word.isalpha()
        and word.isupper()
    ):
        return word
    return type(error).__name__


class Server:
    """Where the server is, and how it is spoken to. Makes clients; holds none."""

    def __init__(self, url: str, timeout: float) -> None:
        self.timeout = timeout
        defaults = {
            "max_connections": _CONNECTIONS,
            "timeout": timeout,
            "socket_connect_timeout": timeout,
            "client_name": "amplify_mw",
        }
        required = {
            # Version 3 of the protocol would have redis-py use an idle connection without looking
            # whether the server has closed it.
            "protocol": 2,
            "decode_responses": False,
        }
        blocking = {"retry": Retry(NoBackoff(), 1, (redis.ConnectionError,))}
        awaited = {
            "retry": redis.asyncio.retry.Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            # One deadline is around it all; redis-py's own would cost a task each time.
            "socket_timeout": None,
        }
        try:
            options = _parse(redis.connection, url)
            if options.get("max_connections", 1) < 1:
                raise ValueError
            self._options = {
                **defaults,
                "socket_timeout": timeout,
                **options,
                **required,
                **blocking,
            }
            options_awaited = _parse(redis.asyncio.connection, url)
            self._async_options = {**defaults, **options_awaited, **required, **awaited}
            self.client().connection_pool.make_connection()  # no socket yet: options are checked
        except (ValueError, TypeError, AttributeError, redis.RedisError):
            # Its message, and the chain, may quote the password.
            raise ConfigurationError(
                "url: not one that redis-py understands, such as redis://:password@host:6379/0 "
                "(with what is special in a password percent-encoded)"
            ) from None
        self.place = options.get("path") or options.get("host", "localhost")

    def client(self) -> Any:
        """A client for threads: a `redis.Redis`, whose own types know little of commands."""
        pool: Any = redis.BlockingConnectionPool
        return redis.Redis.from_pool(pool(**self._options))

    def async_client(self) -> Any:
        """A client for one event loop: a `redis.asyncio.Redis`."""
        return redis.asyncio.Redis.from_pool(_Pool(**self._async_options))


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
    """The clients of one process. Made without any connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = server.client()  # of the threads
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._lock = threading.Lock()

    def execute(self, words: Words) -> Any:
        """What the server answers; None where a value of another type stands."""
        try:
            return self._client.execute_command(*words)
        except FAILURES as error:
            _unless_harmless(error)
            return None

    async def execute_on_loop(self, words: Words) -> Any:
        """The same, awaited on the running event loop."""
        loop: _Loop | None = None
        try:
            async with asyncio.timeout(self._server.timeout):
                loop = await self._of_loop()
                return await loop.client.execute_command(*words)
        except FAILURES as error:
            _unless_harmless(error)
            return None
        finally:
            loop = None  # else a traceback keeps it, until the collector drops it in any order

    def let_go(self) -> None:
        """Hold the connections of event loops no longer: who uses one closes it in the end.

        Dropping this object would not do: the traceback of a failure may hold it for long.
        """
        self._loops.clear()

    async def _of_loop(self) -> "_Loop":
        running = asyncio.get_running_loop()
        found = self._loops.get(running)
        if found is not None:
            return found
        client = self._server.async_client()
        end = _closing(client.connection_pool)
        await anext(end)  # goes there at once: no other task comes in between
        made = _Loop(client, end)
        with self._lock:
            closed = [self._loops.pop(loop) for loop in [*self._loops] if loop.is_closed()]
            self._loops[running] = made
        closed.clear()  # what is dropped may run code of asyncio's: not under the lock
        return made


class _Loop(NamedTuple):
    """The client of an event loop, and what closes it, if only by being dropped."""

    client: Any
    end: AsyncGenerator[None, None]


async def _closing(pool: _Pool) -> AsyncGenerator[None, None]:
    """Closes connections when their event loop shuts its generators down, or this is dropped.

    Both are asyncio's doing: a loop closes the generators that were begun on it before it ends, and
    where one is dropped, on whatever thread, its loop runs the rest of it. That loop may be about
    to end, so nothing is waited for: not even TLS's goodbye, which only redis-py's own member tells
    how to leave out.
    """
    try:
        yield
    finally:
        for connection in pool.made:
            writer = getattr(connection, "_writer", None)
            if writer is not None:
                writer.transport.abort()
            await connection.disconnect(nowait=True)
