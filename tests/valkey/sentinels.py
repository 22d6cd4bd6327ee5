"""A primary with replicas, and Sentinels that watch them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis
from redis.sentinel import Sentinel as Client

from tests.patience import until
from tests.valkey.server import Valkey, program, settle

SERVICE: Final = "mymaster"
_OFTEN: Final = ("info-period", 200, "publish-period", 200, "ask-period", 200, "ping-period", 100)


class Sentinel(Valkey):
    """A process that watches a primary. `lines`: of its configuration, without `sentinel`."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self._lines = lines
        super().__init__(folder)

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self._file = self._folder / f"sentinel-{self.port}.conf"
        head = [f"port {self.port}", "bind 127.0.0.1", f'dir "{self._folder}"']
        told = [f"sentinel {line}" for line in self._lines]
        self._file.write_text("\n".join([*head, *told]) + "\n")

    def _command(self) -> list[str]:
        return [program(), str(self._file), "--sentinel"]

    def start(self) -> None:
        """Start it, with what it has written down, and let it look around more often."""
        super().start()
        self.do("SENTINEL", "DEBUG", *_OFTEN)

    def sees(self) -> dict[str, Any]:
        """What it says of the primary."""
        told = self.do("SENTINEL", "MASTER", SERVICE)
        return told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))


class ValkeySentinels:
    """A primary, `replicas` of it, and `sentinels` that agree by majority.

    `down_after`: milliseconds of silence after which the primary is taken for dead. `options`: of
    the servers with data; `lines`: further ones of the Sentinels' configuration.
    """

    service = SERVICE

    def __init__(
        self,
        folder: Path,
        *options: str,
        replicas: int = 1,
        sentinels: int = 3,
        down_after: int = 1_000,
        lines: tuple[str, ...] = (),
    ) -> None:
        self.servers: list[Valkey] = []
        self.sentinels: list[Sentinel] = []
        common = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options)
        try:
            first = Valkey(folder, *common)
            self.servers.append(first)
            for _ in range(replicas):
                of = ("--replicaof", "127.0.0.1", str(first.port))
                self.servers.append(Valkey(folder, *common, *of))
            watched = (
                f"monitor {SERVICE} 127.0.0.1 {first.port} {sentinels // 2 + 1}",
                f"down-after-milliseconds {SERVICE} {down_after}",
                f"failover-timeout {SERVICE} 3000",
                *lines,
            )
            for _ in range(sentinels):
                self.sentinels.append(Sentinel(folder, *watched))
            self.wait_until_well()
        except BaseException:
            self.close()
            raise

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Where the Sentinels are."""
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    @property
    def where(self) -> str:
        """The same, as one text."""
        return ",".join(f"{host}:{port}" for host, port in self.hosts)

    @property
    def running(self) -> list[Valkey]:
        """The servers that can answer."""
        return [server for server in self.servers if server.is_running]

    @property
    def primary(self) -> Valkey:
        """The primary, once the running Sentinels agree on it."""

        def agreed() -> Valkey | None:
            named = {int(each.sees()["port"]) for each in self.sentinels if each.is_running}
            port = named.pop()
            return None if named else self._at(port)

        found = until(agreed)
        assert found is not None
        return found

    @property
    def replicas(self) -> list[Valkey]:
        primary = self.primary
        return [server for server in self.running if server is not primary]

    def _at(self, port: int) -> Valkey:
        (found,) = (server for server in self.servers if server.port == port)
        return found

    def client(self, **options: Any) -> Client:
        """redis-py's own client of Sentinels."""
        hosts = [("127.0.0.1", each.port) for each in self.sentinels if each.is_running]
        return Client(hosts, **options)

    def is_well(self) -> bool:
        """Whether all Sentinels know each other and all servers, and the replicas are linked."""
        watching = [each for each in self.sentinels if each.is_running]
        for seen in (each.sees() for each in watching):
            counts = int(seen["num-other-sentinels"]), int(seen["num-slaves"])
            flags = str(seen["flags"])
            if counts[0] < len(watching) - 1 or counts[1] < len(self.running) - 1:
                return False
            if any(bad in flags for bad in ("down", "failover", "disconnected")):
                return False
        primary = self.primary
        linked = [
            server.replication.get("master_link_status") == "up"
            and server.replication.get("master_port") == primary.port
            for server in self.replicas
        ]
        return all(linked) and primary.replication["role"] == "master"

    def wait_until_well(self) -> None:
        def is_well() -> bool:
            with suppress(redis.RedisError):
                return self.is_well()
            return False

        until(is_well)

    def settle(self) -> None:
        """Until replicas have all that was written before."""
        settle(self.primary, self.replicas)

    def fail_over(self) -> Valkey:
        """A planned failover; the new primary. A busy Sentinel gives one up now and then."""
        old, first = self.primary, self.sentinels[0]

        def has_moved() -> bool:
            is_under_way = "failover_in_progress" in str(first.do("SENTINEL", "MASTER", SERVICE))
            if self.primary is not old:
                return True
            if not is_under_way:
                with suppress(redis.ResponseError):  # INPROG, or NOGOODSLAVE for a moment yet
                    first.do("SENTINEL", "FAILOVER", SERVICE)
            return False

        until(has_moved)
        return self.wait_for_heir(old)

    def wait_for_heir(self, old: Valkey) -> Valkey:
        """The new primary, once all running Sentinels name it, and it says so itself."""
        until(lambda: self.primary is not old and self._is_primary(self.primary))
        self.wait_until_well()
        return self.primary

    @staticmethod
    def _is_primary(server: Valkey) -> bool:
        with suppress(redis.RedisError):
            return bool(server.replication["role"] == "master")
        return False

    def close(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()


Make = Callable[..., ValkeySentinels]
