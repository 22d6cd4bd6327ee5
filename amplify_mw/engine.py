"""One engine per configuration and process: an `Authenticator` wired to its driver and caches.

Rules:
- Equal configurations share one engine, so that both shells and a nested middleware have one key
  set, one cache and one flight between them.
- What a broken configuration can show is shown here, when the middleware is built.
- `fork()` leaves the caches (they are values) and renews everything that a thread or a socket owns.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable

from .authenticator import Authenticator
from .cognito.attributes import AttributeSource
from .config import AmplifyConfig, UserPool
from .drive import BoundedCache, Driver
from .errors import ConfigurationError
from .loading import read_keys
from .tokens.jwks import BadKeySet, KeySource, import_key_set
from .tokens.verifier import TrustedPool, Verifier

_engines: "weakref.WeakValueDictionary[AmplifyConfig, Engine]" = weakref.WeakValueDictionary()
_registering = threading.Lock()
_living: "weakref.WeakSet[Engine]" = weakref.WeakSet()


class Engine:
    """What a middleware of one configuration works with. `clock`: seconds since the epoch."""

    def __init__(self, config: AmplifyConfig, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.driver = Driver(timeout=config.http_timeout, clock=clock)
        self._caches = [BoundedCache(config.cache_entries, config.cache_bytes) for _ in range(2)]
        verdicts, attributes = self._caches
        pools = {pool.iss: _trusted(pool, verdicts) for pool in config.user_pools}
        self.authenticator = Authenticator(
            config,
            verifier=Verifier(pools, config.leeway),
            verdicts=verdicts,
            attributes=AttributeSource(attributes, config.attributes_ttl),
            runner=self.driver,
        )
        _living.add(self)

    @classmethod
    def of(cls, config: "AmplifyConfig | Engine") -> "Engine":
        """The engine of `config`, or of one that equals it; an engine is its own."""
        if isinstance(config, Engine):
            return config
        if not isinstance(config, AmplifyConfig):
            raise ConfigurationError("config: write AmplifyConfig(user_pool_id=..., client_id=...)")
        with _registering:
            engine = _engines.get(config)
            if engine is None:
                engine = _engines[config] = cls(config)
            return engine

    def after_fork(self) -> None:
        """In a child: nothing of the parent's threads, locks or sockets is used."""
        self.driver.after_fork()
        for cache in self._caches:
            cache.renew_lock()

    def close(self) -> None:
        """End the threads and connections; a later request opens them anew."""
        self.driver.close()


def _trusted(pool: UserPool, verdicts: BoundedCache) -> TrustedPool:
    preloaded = None
    if pool.keys is not None:
        try:
            preloaded = import_key_set(read_keys(pool.keys))
        except BadKeySet as error:
            raise ConfigurationError(f"keys: this is no usable key set: {error}") from error
    source = KeySource(pool.keys_url, verdicts, preloaded=preloaded)
    return TrustedPool(pool.iss, source, pool.client_ids)


def _after_fork_in_child() -> None:
    global _registering
    _registering = threading.Lock()
    for engine in list(_living):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
