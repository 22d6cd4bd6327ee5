"""A site, as its processes agree on it: values that one process tells another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amplify_mw import AmplifyConfig, CookiePolicy, SealedSession, StoredSession
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore

KEY = "q1d8oS3uX5k3VwH0v1yXo1o0kq8J7m1tq1yYV3s0g9E"  # a sealing key


@dataclass(frozen=True)
class Spec:
    """A site's sessions.

    `kind`: `stored` or `sealed`. `store`: `memory`, `sqlite` (`where` is a path) or `redis` (a
    url), which is a sealed session's coordinator; `none` if it has none.
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
    timeout: float = 60.0
    margin: float = 600.0  # before the end of its tokens; a slow test is through by then
    keys: Sequence[str] = (KEY,)

    def open(self) -> Any:
        """A store of this process."""
        if self.store == "sqlite":
            return SQLiteStore(self.where, timeout=self.timeout)
        if self.store == "redis":
            prefix = f"{self.name}:"
            return RedisStore(
                self.where, prefix=prefix, timeout=self.timeout, local_cache=self.local_cache
            )
        return MemoryStore() if self.store == "memory" else None

    def config(self, store: Any) -> AmplifyConfig:
        times = {"lease": self.lease, "idle": self.idle, "refresh_margin": self.margin}
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
