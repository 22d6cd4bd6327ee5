"""A site, as its processes agree on it: values that one process tells another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amplify_mw import AmplifyConfig, CookiePolicy, SealedSession, StoredSession
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from tests.valkey.sentinels import SERVICE

KEY = "q1d8oS3uX5k3VwH0v1yXo1o0kq8J7m1tq1yYV3s0g9E"  # a sealing key


@dataclass(frozen=True)
class Spec:
    """A site's sessions.

    `kind`: `stored` or `sealed`. `store`: which is a sealed session's coordinator; one of `STORES`,
    or `none` if it has none. `where`: its path or url; the Sentinels as `host:port,host:port`.
    """

    name: str
    pool: dict[str, Any]
    kind: str = "stored"
    store: str = "sqlite"
    where: str = ""
    lease: float = 60.0  # nobody is so late with renewing it
    idle: float = 7 * 86_400.0
    staleness: float = 0.0
    local_cache: float = 0.0
    replicas: int = 0
    timeout: float = 60.0
    margin: float = 600.0  # before the end of its tokens; a slow test is through by then
    ahead: float = 0.0
    keys: Sequence[str] = (KEY,)

    def open(self) -> Any:
        """A store of this process."""
        return None if self.store == "none" else STORES[self.store](self)

    def config(self, store: Any) -> AmplifyConfig:
        times = {
            "lease": self.lease,
            "idle": self.idle,
            "refresh_margin": self.margin,
            "refresh_ahead": self.ahead,
            "patience": 60.0,
        }
        session: StoredSession | SealedSession
        if self.kind == "stored":
            session = StoredSession(store, **times)
        else:
            session = SealedSession(
                keys=self.keys, coordinator=store, staleness=self.staleness, **times
            )
        return AmplifyConfig(
            **self.pool, session=session, cookie=CookiePolicy(secure=False), http_timeout=60
        )


def _redis(spec: Spec) -> dict[str, Any]:
    """The options of a store in Redis."""
    own = {"prefix": f"{spec.name}:", "timeout": spec.timeout, "local_cache": spec.local_cache}
    return own if not spec.replicas else {**own, "replicas": spec.replicas}


def _sentinel(spec: Spec) -> Any:
    hosts = [place.split(":") for place in spec.where.split(",")]
    found = [(host, int(port)) for host, port in hosts]
    return RedisStore.sentinel(found, service=SERVICE, **_redis(spec))


STORES: dict[str, Callable[[Spec], Any]] = {
    "memory": lambda spec: MemoryStore(),
    "sqlite": lambda spec: SQLiteStore(spec.where, timeout=spec.timeout),
    "postgres": lambda spec: PostgresStore(
        spec.where, table=spec.name.replace("-", "_"), timeout=spec.timeout
    ),
    "redis": lambda spec: RedisStore(spec.where, **_redis(spec)),
    "cluster": lambda spec: RedisStore(spec.where, cluster=True, **_redis(spec)),
    "sentinel": _sentinel,
}
