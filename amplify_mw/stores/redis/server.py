"""A Redis server, or a cluster of them: how connections are made, and what a failure means.

Rules:
- A new connection asks the server for its kind. One of another kind than the store was told of is
  refused: a cluster, a Sentinel, a server that is no cluster.
- Behind Sentinels a server that calls itself a replica is refused as well.
- Every failure is a `StoreUnavailable` that names its kind, without any command or key.
"""

from typing import Any, Final

import redis

from ...errors import ConfigurationError
from ...log import logger
from ..base import StoreUnavailable
from .credentials import Asked, is_provider
from .errors import CLUSTER, NO_CLUSTER, OF_CLUSTERS, SENTINEL, Among, kind, told
from .sentinel import Found, FoundOnLoop, FoundWithTls, FoundWithTlsOnLoop, Sentinels
from .slots import Slots
from .urls import Address, Url, pool

_HELLO: Final = ("HELLO",)
_MEMORY: Final = ("INFO", "memory")  # since CONFIG is closed in most clouds
_POLICIES: Final = {
    f"{keys}-{order}" for keys in ("allkeys", "volatile") for order in ("lru", "lfu", "random")
} | {"volatile-ttl"}

FAILURES: Final = (redis.RedisError, OSError, EOFError, ValueError)  # of a server or connection


class WrongServer(redis.RedisError):
    """A server of the wrong kind. Its message is the sentence for the operator."""


class Demoted(redis.RedisError):
    """Sentinels have named a server that is not, or no longer, the primary."""


class Server:
    """The addresses and options of a store's servers. Makes clients; holds none.

    `slots`: what is known of the cluster, if it is one. That holds no connection either.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        is_cluster: bool = False,
        credentials: Any = None,
        sentinels: Sentinels | None = None,
    ) -> None:
        self.timeout: float = timeout
        self.slots: Slots | None = Slots() if is_cluster else None
        self.url: Url = Url(url, timeout)
        self.sentinels: Sentinels | None = sentinels
        self._check(credentials)
        self.options: dict[str, Any] = {
            **self.url.of_threads,
            "redis_connect_func": self._greet,
        }
        self.async_options: dict[str, Any] = {
            **self.url.of_loops,
            "redis_connect_func": self._greet_on_loop,
        }
        if credentials is not None:
            provider = Asked(credentials)
            self.options["credential_provider"] = provider
            self.async_options["credential_provider"] = provider
        if sentinels is not None:
            is_tls = self.url.is_tls
            kinds = (FoundWithTls, FoundWithTlsOnLoop) if is_tls else (Found, FoundOnLoop)
            self.options |= {"connection_class": kinds[0], "sentinels": sentinels}
            self.async_options |= {"connection_class": kinds[1], "sentinels": sentinels}
        self.address: Address = self.url.address
        self.place: str = self.url.path or self.url.host or "localhost"
        if sentinels is not None:
            self.place = sentinels.service
        self._was_reached = False
        self._was_looked_at = False  # whether it may evict
        self._was_refused = False  # as a server of another kind, and the log says so

    def _check(self, credentials: Any) -> None:
        url = self.url
        if self.slots is not None and url.path is not None:
            raise ConfigurationError("cluster: a cluster is not reached through a unix socket")
        if self.slots is not None and url.database:
            raise ConfigurationError(
                "cluster: a cluster has one database; write redis://host:6379/0, and set prefix= "
                "to tell two apps apart"
            )
        if self.sentinels is not None and self.slots is not None:
            raise ConfigurationError("cluster: a cluster has no Sentinels; write RedisStore(url)")
        if self.sentinels is not None and (url.host or url.path):
            raise ConfigurationError(
                "url: the Sentinels know the host; write redis://user:password@/0, or leave it out"
            )
        if credentials is not None and not is_provider(credentials):
            raise ConfigurationError(
                "credentials: a function, without async, that returns (user, password), or a "
                "CredentialProvider of redis-py's"
            )
        if credentials is not None and url.names_a_user:
            raise ConfigurationError("credentials: leave user and password out of the url")

    def client(self, address: Address | None = None) -> Any:
        """A client for threads: a `redis.Redis`, whose own types know little of commands."""
        return redis.Redis.from_pool(pool(self.options, address))

    def listening(self) -> tuple[Any, Address | None]:
        """A client that hears of changes, and where: all nodes of a cluster hear of all."""
        nodes = self.slots.sources() if self.slots is not None else []
        address = nodes[0] if nodes else None
        return self.client(address), address

    def doubt(self, address: Address | None) -> None:
        """A node of a cluster has failed."""
        if self.slots is not None and address is not None:
            self.slots.doubt(address)

    # Asking the server for its kind on a new connection: one round trip.

    def _greet(self, connection: Any) -> None:
        try:
            connection.on_connect()
        except redis.ResponseError:  # a Sentinel knows no SELECT; a cluster has one database
            self._judge(self._answers(connection, [_HELLO]))
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
            self._judge(await self._answers_on_loop(connection, [_HELLO]))
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

    def _judge(self, answers: list[Any]) -> None:
        judge(answers[0], in_cluster=self.slots is not None)

    def _meet(self, answers: list[Any]) -> None:
        """Refuse a server of another kind; warn of one that evicts."""
        self._judge(answers)
        if self.sentinels is not None and said(answers[0], b"role") not in (None, "master"):
            raise Demoted
        self._was_reached = True
        policy = None if self._was_looked_at else evicting(answers[1])
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
        among: Among = "" if self.sentinels is None else "sentinels"
        if self.slots is not None:
            among = "cluster"
        if isinstance(error, WrongServer) or (name in OF_CLUSTERS and among != "cluster"):
            why = str(error) if isinstance(error, WrongServer) else CLUSTER
            if not self._was_refused:
                self._was_refused = True
                logger.error("RedisStore at %s: %s", self.place, why)
            return StoreUnavailable(f"Redis: {name}: {why}")
        why = told(
            error,
            is_tls=self.url.is_tls,
            was_reached=self._was_reached,
            among=among,
        )
        return StoreUnavailable(f"Redis: {why}")


def judge(hello: Any, *, in_cluster: bool) -> None:
    """Raise if a server's answer to HELLO says that it is of another kind."""
    mode = said(hello, b"mode")
    if mode == "sentinel":
        raise WrongServer(SENTINEL)
    if mode == "cluster" and not in_cluster:
        raise WrongServer(CLUSTER)
    if mode == "standalone" and in_cluster:
        raise WrongServer(NO_CLUSTER)


def said(hello: Any, field: bytes) -> str | None:
    """A field of a server's answer to HELLO, if it is there."""
    if isinstance(hello, list):
        for name, value in zip(hello[::2], hello[1::2], strict=False):
            if name == field and isinstance(value, bytes):
                return value.decode("latin1")
    return None


def evicting(memory: Any) -> str | None:
    """A server's eviction policy; None if it evicts nothing, or does not say."""
    if not isinstance(memory, bytes):
        return None
    lines = memory.decode("latin1").splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    policy = found.get("maxmemory_policy")
    return policy if policy in _POLICIES and found.get("maxmemory", "0") != "0" else None
