"""The url of a server, as options of redis-py's connections.

Rules:
- No message here quotes a url: it may hold a password.
- A url's own options win where they are free. What this package relies on cannot be changed.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...errors import ConfigurationError

Address: TypeAlias = tuple[str, int]

_CONNECTIONS: Final = 32  # at most, for the threads of a process, and for each event loop
_BAD: Final = (
    "not one that redis-py understands, such as redis://:password@host:6379/0 or rediss:// for TLS "
    "(with what is special in a password percent-encoded, and redis-py's own names after a ?)"
)
_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss"}
_REQUIRED: Final[dict[str, Any]] = {
    # With version 3 of the protocol redis-py would use an idle connection without checking whether
    # the server has closed it.
    "protocol": 2,
    "decode_responses": False,
    "driver_info": None,  # sending it would take two round trips for every new connection
}


class Url:
    """A url's options: `of_threads` for blocking connections, `of_loops` for awaited ones.

    `name`: what an error calls it.
    """

    def __init__(self, url: str, timeout: float, name: str = "url") -> None:
        try:
            url = _with_redis_scheme(url)
            given = _parse(redis.connection, url)
            if given.get("max_connections", 1) < 1:
                raise ValueError
            self.of_threads: dict[str, Any] = {
                **_defaults(timeout),
                "socket_timeout": timeout,
                **given,
                **_REQUIRED,
                "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            }
            self.of_loops: dict[str, Any] = {
                **_defaults(timeout),
                **_parse(redis.asyncio.connection, url),
                **_REQUIRED,
                "retry": redis.asyncio.retry.Retry(NoBackoff(), 1, (redis.ConnectionError,)),
                # There is one deadline around everything; redis-py's own would cost a task each
                # time.
                "socket_timeout": None,
            }
            pool(self.of_threads).make_connection()  # no socket yet: options are checked
        except (ValueError, TypeError, AttributeError, redis.RedisError):
            # Its message, and the chain, may quote the password.
            raise ConfigurationError(f"{name}: {_BAD}") from None
        _check_database(url, name)
        self.host: str | None = given.get("host")
        self.path: str | None = given.get("path")
        self.address: Address = (self.host or "localhost", given.get("port", 6379))
        self.database: int = given.get("db") or 0
        self.is_tls: bool = url.startswith("rediss:")
        self.names_a_user: bool = "username" in given or "password" in given


def pool(options: dict[str, Any], address: Address | None = None) -> Any:
    """A pool of blocking connections, to the url's own server or to another address."""
    make: Any = redis.BlockingConnectionPool
    return make(**_at(options, address))


def pool_on_loop(options: dict[str, Any], address: Address | None = None) -> "Pool":
    """A pool of awaited connections."""
    return Pool(**_at(options, address))


def _at(options: dict[str, Any], address: Address | None) -> dict[str, Any]:
    if address is None:
        return options
    return {**options, "host": address[0], "port": address[1]}


class Pool(redis.asyncio.BlockingConnectionPool):
    """Notes the connections it makes, so that all can be closed without waiting for any."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made: list[Any] = []

    def make_connection(self) -> Any:
        """A new connection, not yet connected."""
        self.made.append(super().make_connection())  # type: ignore[no-untyped-call]
        return self.made[-1]


async def hang_up(connections: Iterable[Any]) -> None:
    """Close awaited connections, without waiting even for TLS's goodbye: their loop may be ending.

    (Only redis-py's private `_writer` allows that.)
    """
    for connection in connections:
        writer = getattr(connection, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await connection.disconnect(nowait=True)


def ask_once(
    options: dict[str, Any], address: Address, words: tuple[str, ...], seconds: float
) -> Any:
    """The answer to one question, on a connection of its own."""
    connection = pool(options, address).make_connection()
    connection.socket_timeout = connection.socket_connect_timeout = seconds
    try:
        connection.connect()
        connection.send_command(*words)
        return connection.read_response()
    finally:
        connection.disconnect()


async def ask_once_on_loop(
    options: dict[str, Any], address: Address, words: tuple[str, ...], seconds: float
) -> Any:
    """The same, awaited."""
    asked = pool_on_loop(options, address)
    connection = asked.make_connection()
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()
            await connection.send_command(*words)
            return await connection.read_response()
    finally:
        await hang_up(asked.made)


def _with_redis_scheme(url: str) -> str:
    """The url with redis-py's scheme in place of Valkey's."""
    scheme, separator, rest = url.partition("://")
    return _SCHEMES.get(scheme, scheme) + separator + rest


def _check_database(url: str, name: str) -> None:
    """Raise unless the path of a url is a number: redis-py takes anything else for database 0."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError(
            f"{name}: what follows the host is the number of a database; write "
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
