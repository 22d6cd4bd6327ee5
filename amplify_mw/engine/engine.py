"""One engine per configuration and process: an `Authenticator` wired to its driver and caches.

Rules:
- Equal configurations share one engine. Configurations of equal cores (`config.Core`) share the
  key sets, caches and flights.
- A registry holds the engines of a process. An engine with a clock of its own has a registry of its
  own: it shares nothing with others.
- A broken configuration raises here, when the middleware is built. A dangerous one is logged, once
  in a process.
- No lock is held while something is built: of two engines built at once, the one registered first
  is used by both.
- After `fork()`, the child keeps the caches (they are values) and renews everything that a thread
  or a socket owns.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ..authenticator import Authenticator
from ..cognito.keys import BadKeySet, KeySource, import_key_set
from ..cognito.verifier import TrustedPool, Verifier
from ..config.config import AmplifyConfig, Core
from ..config.dangers import dangers
from ..config.pool import UserPool
from ..effects import Cache, OperationName
from ..errors import ConfigurationError
from ..log import logger
from ..sessions.base import Dependencies, Sessions

if TYPE_CHECKING:
    from ..cognito.grants import PoolApi
    from ..cognito.rsa import RSAKey
    from ..stores.memory import MemoryStore
    from ..telemetry import CacheName
    from .cache import BoundedCache
    from .driver import Driver
    from .measuring import Measuring
    from .reporting import Reporters

Clock = Callable[[], float]  # seconds since the epoch

_REMEMBERED: Final = {
    "ends": 1_000_000,  # about 500 bytes each, and successors, which are soon dropped
    "places": 100_000,  # of Amplify's cookies; clients can make up any number of them
}
_registries: "weakref.WeakSet[Registry]" = weakref.WeakSet()
_warned: Final[set[str]] = set()


class Registry:
    """The engines of one process, and the state they share. It does not keep them alive."""

    def __init__(self, clock: Clock) -> None:
        self.clock: Final = clock
        self._lock = threading.RLock()
        self._engines: weakref.WeakValueDictionary[AmplifyConfig, Engine] = (
            weakref.WeakValueDictionary()
        )
        self._shared: weakref.WeakValueDictionary[Core, SharedState] = weakref.WeakValueDictionary()
        self._memories: dict[str, MemoryStore] = {}
        _registries.add(self)

    def engine(self, config: AmplifyConfig) -> "Engine":
        """The engine of a configuration, or of an equal one."""
        with self._lock:
            engine = self._engines.get(config)
        if engine is None:
            made = Engine(config, registry=self)
            with self._lock:
                engine = self._engines.setdefault(config, made)
        return engine

    def shared_state(self, core: Core) -> "SharedState":
        """The shared part of engines whose configurations have this core."""
        with self._lock:
            shared = self._shared.get(core)
        if shared is None:
            made = SharedState(core, self)
            with self._lock:
                shared = self._shared.setdefault(core, made)
        return shared

    def all_verdicts(self) -> list[Cache]:
        """All caches of verdicts. A session's end removes it from each."""
        return [shared.verdicts for shared in self._shared_states()]

    def _shared_states(self) -> "list[SharedState]":
        # `values()` fails if another thread adds one meanwhile. `valuerefs()` takes one step.
        found = [reference() for reference in self._shared.valuerefs()]
        return [shared for shared in found if shared is not None]

    def memory(self, name: str) -> "MemoryStore":
        """The process's record of sessions in cookies, by its name in `_REMEMBERED`."""
        from ..stores.memory import MemoryStore

        with self._lock:
            if name not in self._memories:
                most = _REMEMBERED[name]
                self._memories[name] = MemoryStore(max_sessions=most, clock=self.clock)
            return self._memories[name]

    def after_fork(self) -> None:
        """In a child: use none of the parent's threads, locks and sockets."""
        self._lock = threading.RLock()
        for shared in self._shared_states():
            shared.after_fork()


class SharedState:
    """The part that verifies, fetches and remembers, for all configurations of one core."""

    def __init__(self, core: Core, registry: Registry) -> None:
        from ..cognito.attributes import AttributeSource  # all take 20 ms: on construction only
        from ..cognito.grants import Grants
        from ..cognito.regions import Settling
        from .cache import BoundedCache
        from .driver import Driver
        from .reporting import Reporter

        self.reporters: Reporters = {}
        self.driver: Driver = Driver(
            timeout=core.http_timeout,
            clock=registry.clock,
            proxy=core.proxy,
            reporter=Reporter(shared=self.reporters),
        )
        self._caches = [BoundedCache(core.cache_entries, core.cache_bytes) for _ in range(2)]
        self.verdicts: BoundedCache = self._caches[0]
        self.verifier: Verifier = Verifier(
            _trusted(core, self.verdicts), core.leeway, core.audience
        )
        attributes, ttl, settling = self._caches[1], core.attributes_ttl, Settling()
        self.attributes: AttributeSource = AttributeSource(attributes, ttl, settling)
        pools = core.pools_by_issuer
        apis = {issuer: _api(pool) for issuer, pool in pools.items()}
        self.grants: Grants = Grants(apis, settling)
        self.sessions: Sessions = core.kind.bind(
            Dependencies(
                verifier=self.verifier,
                verdicts=self.verdicts,
                all_verdicts=registry.all_verdicts,
                grants=self.grants,
                cookie_name=core.cookie_name,
                client_ids=None if core.clients is None else frozenset(core.clients),
                memory=partial(registry.memory, "ends"),
                places=partial(registry.memory, "places"),
            )
        )

    def after_fork(self) -> None:
        """In a child: use none of the parent's threads, locks and sockets."""
        self.driver.after_fork()
        for cache in self._caches:
            cache.renew_lock()

    def cache_sizes(self) -> "Mapping[CacheName, tuple[int, int]]":
        """Entries and bytes of each cache, for its telemetry."""
        sessions, attributes = [(len(cache), cache.held) for cache in self._caches]
        return {"sessions": sessions, "attributes": attributes}

    def failing(self) -> "Collection[OperationName]":
        """The operations that are in an outage now, likewise."""
        return self.driver.failing()


class Engine:
    """The authenticator of one configuration, with the driver and the clock it works with.

    `clock`: seconds since the epoch. Default: the process's; with one of its own, an engine shares
    nothing with others.
    """

    def __init__(
        self,
        config: AmplifyConfig,
        clock: Clock | None = None,
        *,
        registry: Registry | None = None,
        warns: bool = True,
    ) -> None:
        """`warns`: whether dangers of the configuration are logged."""
        from .reporting import Reporter

        self._registry = registry or (_here if clock is None else Registry(clock))
        self.clock: Clock = self._registry.clock
        if warns:
            _warn(config)
        self._shared = self._registry.shared_state(config.core)
        reporter = Reporter(
            *(config.listeners, self._shared.reporters),
            telemetry=config.telemetry,
            notes=config.debug_headers,
        )
        self.driver: Driver = self._shared.driver.reporting_to(reporter)
        self.measuring: Measuring | None = None
        if config.is_measured:
            self._measure(config)
        self.authenticator: Authenticator = Authenticator(
            config,
            verifier=self._shared.verifier,
            verdicts=self._shared.verdicts,
            attributes=self._shared.attributes,
            grants=self._shared.grants,
            sessions=self._shared.sessions,
            runner=self.driver,
            reporter=reporter,
        )

    def _measure(self, config: AmplifyConfig) -> None:
        from .measuring import Measuring, MeasuringDriver  # for apps that have telemetry

        assert config.telemetry is not None  # noqa: S101  # else this is not called
        self.measuring = Measuring(config.telemetry)
        if self.measuring.times_operations:
            self.driver = MeasuringDriver(self.driver, self.measuring)
        self.measuring.watch(self._shared)

    @classmethod
    def of(cls, config: "AmplifyConfig | Engine") -> "Engine":
        """The engine of `config` in this process. An engine is returned as it is."""
        if isinstance(config, Engine):
            return config
        if not isinstance(config, AmplifyConfig):
            raise ConfigurationError(
                "config: write AmplifyConfig(user_pool_id=..., client_id=...) or "
                "AmplifyConfig.from_outputs('amplify_outputs.json')"
            )
        return _here.engine(config)

    def mounted(self, mounts: Sequence[str]) -> "Engine":
        """The engine of the same configuration with these mounts too, if it lacks some."""
        config = self.authenticator.config
        added = [mount for mount in mounts if mount not in config.mount]
        if not added:
            return self
        try:
            config = config.replace(mount=(*config.mount, *added))
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (the app says that it is at {added[0]!r})") from None
        return self._registry.engine(config)

    def close(self) -> None:
        """End the threads and connections; a later request opens them anew."""
        self.driver.close()


_here: Final = Registry(time.time)


def registry_of(config: AmplifyConfig | Engine) -> Registry:
    """The registry of an engine, or that of the process."""
    return config._registry if isinstance(config, Engine) else _here


def _warn(config: AmplifyConfig) -> None:
    """Warn the operator, once, of settings that are for development only, or likely a mistake."""
    for warning in map(str, dangers(config)):
        with _here._lock:
            is_new = warning not in _warned
            _warned.add(warning)
        if is_new:
            logger.warning("%s", warning)


def consider_told(config: AmplifyConfig) -> None:
    """Warn of nothing in a configuration, such as that of a test."""
    with _here._lock:
        _warned.update(map(str, dangers(config)))


def _api(pool: UserPool) -> "PoolApi":
    from ..cognito.grants import PoolApi

    return PoolApi(
        endpoints=pool.api_urls,
        refresh_api=pool.refresh_api,
        client_secrets=pool.client_secrets,
        token_url=pool.token_url,
        revoke_url=pool.revoke_url,
        is_amazons=pool.endpoint_url is None,
    )


def _trusted(core: Core, verdicts: "BoundedCache") -> dict[str, TrustedPool]:
    """The pools whose tokens are accepted, by issuer. With the same addresses, one key set."""
    preloaded = {id(pool): _preloaded(pool) for pool in core.pools}
    sources: dict[tuple[tuple[str, ...], int], KeySource] = {}
    trusted = {}
    for issuer, pool in core.pools_by_issuer.items():
        urls, keys = pool.keys_urls_of(issuer), preloaded[id(pool)]
        key = (urls, 0 if keys is None else id(pool))
        source = sources.setdefault(key, KeySource(urls, verdicts, preloaded=keys))
        trusted[issuer] = TrustedPool(issuer, pool.user_pool_id, source, pool.client_ids)
    return trusted


def _preloaded(pool: UserPool) -> "dict[str, RSAKey] | None":
    if pool.keys is None:
        return None
    from ..config.files import read_keys

    try:
        return import_key_set(read_keys(pool.keys))
    except BadKeySet as error:
        raise ConfigurationError(f"keys: this is no usable key set: {error}") from error


def _after_fork_in_child() -> None:
    for registry in list(_registries):
        registry.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
