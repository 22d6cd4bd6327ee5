"""Where the primary is, as Sentinels say.

Rules:
- A Sentinel is asked on a connection of its own, before each new connection to the primary.
- One that does not answer in its part of the time is passed over, and asked last from then on.
- A Sentinel's word may be old. So a server that calls itself a replica is not taken: see `server`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import redis
import redis.asyncio

from ...errors import ConfigurationError
from .errors import kind
from .urls import Address, Url, ask_once, ask_once_on_loop

_ASK: Final = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME")


class NoPrimary(redis.RedisError):
    """No Sentinel names a primary. Its message is the sentence for the operator."""


class Sentinels:
    """The Sentinels that watch over a `service`. `url`: how to log in there, without a host."""

    def __init__(
        self, addresses: Sequence[Address], service: str, url: str, timeout: float
    ) -> None:
        try:
            self._addresses = [(str(host), int(port)) for host, port in addresses]
        except (TypeError, ValueError):
            self._addresses = []
        if not self._addresses or not service:
            raise ConfigurationError(
                'write RedisStore.sentinel([("10.0.0.1", 26379), ...], service="mymaster")'
            )
        self.service: str = service
        self._url = Url(url, timeout, "sentinel_url")
        if self._url.host or self._url.path:
            raise ConfigurationError(
                "sentinel_url: the list names the hosts; write redis://user:password@, or leave it "
                "out"
            )
        self._seconds = timeout / (len(self._addresses) + 1)

    def primary(self) -> Address:
        """The present primary's address."""
        failure: Exception | None = None
        for address in [*self._addresses]:
            try:
                words = (*_ASK, self.service)
                found = ask_once(self._url.of_threads, address, words, self._seconds)
            except (redis.RedisError, OSError, ValueError) as error:
                failure = self._passed_over(address, error)
            else:
                if found is not None:
                    return _read(found)
        raise NoPrimary(_why(failure)) from failure

    async def primary_on_loop(self) -> Address:
        """The same, awaited."""
        failure: Exception | None = None
        for address in [*self._addresses]:
            try:
                words = (*_ASK, self.service)
                found = await ask_once_on_loop(self._url.of_loops, address, words, self._seconds)
            except (redis.RedisError, OSError, ValueError) as error:
                failure = self._passed_over(address, error)
            else:
                if found is not None:
                    return _read(found)
        raise NoPrimary(_why(failure)) from failure

    @property
    def hosts(self) -> list[str]:
        """Where they are."""
        return sorted({host for host, _ in self._addresses})

    def each(self) -> dict[str, Address | None]:
        """The primary as each of them names it; None for one that does not answer, or knows none.

        By their addresses, as text.
        """
        named: dict[str, Address | None] = {}
        for host, port in sorted(self._addresses):
            found = None
            with suppress(redis.RedisError, OSError, ValueError):
                words = (*_ASK, self.service)
                answer = ask_once(self._url.of_threads, (host, port), words, self._seconds)
                found = None if answer is None else _read(answer)
            named[f"{host}:{port}"] = found
        return named

    def _passed_over(self, address: Address, error: Exception) -> Exception:
        self._addresses = [*(a for a in self._addresses if a != address), address]
        return error


def _read(answer: Any) -> Address:
    try:
        host, port = answer
        return host.decode(), int(port)
    except (TypeError, ValueError, AttributeError):
        raise NoPrimary(_why(None)) from None


def _why(failure: Exception | None) -> str:
    """The sentence for the operator."""
    if failure is None:
        return "no Sentinel knows that service: is service= its name in sentinel.conf?"
    if isinstance(failure, redis.AuthenticationError):
        return "the Sentinels want a password of theirs: sentinel_url='redis://:password@'"
    if isinstance(failure, redis.ResponseError):
        if kind(failure) == "NOPERM":
            return "the Sentinels' ACL refuses it: allow +sentinel|get-master-addr-by-name"
        return "that is no Sentinel: write the ports of the Sentinels themselves, such as 26379"
    return "no Sentinel answers: are their hosts and ports right?"


class _Finding:
    """A connection that asks for the primary's address before it is made."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)

    def connect_check_health(self, *arguments: Any, **options: Any) -> None:
        """Connect, unless it is connected."""
        this: Any = self
        if not this.is_connected:
            this.host, this.port = self._sentinels.primary()
        parent: Any = super()
        parent.connect_check_health(*arguments, **options)


class _FindingOnLoop:
    """The same, awaited."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)

    async def connect_check_health(self, *arguments: Any, **options: Any) -> None:
        """Connect, unless it is connected."""
        this: Any = self
        if not this.is_connected:
            this.host, this.port = await self._sentinels.primary_on_loop()
        parent: Any = super()
        await parent.connect_check_health(*arguments, **options)


class Found(_Finding, redis.Connection):
    """A connection to the primary."""


class FoundWithTls(_Finding, redis.SSLConnection):
    """A connection to the primary, with TLS."""


class FoundOnLoop(_FindingOnLoop, redis.asyncio.Connection):
    """An awaited connection to the primary."""


class FoundWithTlsOnLoop(_FindingOnLoop, redis.asyncio.SSLConnection):
    """An awaited connection to the primary, with TLS."""
