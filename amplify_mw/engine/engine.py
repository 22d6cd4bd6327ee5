"""One engine per configuration and process: an `Authenticator` wired to its driver and caches.

Rules:
- Equal configurations share one engine. Those that differ in paths or in the cookie's policy alone
  share what verifies, fetches and remembers: one key set, one cache and one flight between them.
- What a broken configuration can show is shown here, when the middleware is built; what a
  dangerous one allows is told to the log, once in a process.
- Nothing is built while the lock of a registry is held: of two that are built at once, both use the
  one that was registered first.
- `fork()` leaves the caches (they are values) and renews everything that a thread or a socket owns.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..authenticator import Authenticator
from ..cognito.attributes import AttributeSource
from ..cognito.keys import BadKeySet, KeySource, import_key_set
from ..cognito.verifier import TrustedPool, Verifier
from ..config.config import AmplifyConfig
from ..config.pool import UserPool
from ..effects import Cache
from ..errors import ConfigurationError
from ..log import logger
from ..sessions.base import Dependencies
from ..web.cookie_policy import CookiePolicy
from ..web.origins import is_loopback

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

    from ..cognito.grants import PoolApi
    from ..stores.memory import MemoryStore
    from .cache import BoundedCache
    from .reporting import Reporters

_REMEMBERED = {
    "ends": 1_000_000,  # about 500 bytes each, and successors, which are soon dropped
    "places": 100_000,  # of Amplify's cookies, by whatever refresh tokens were sent
}
_remembered: "dict[str, MemoryStore]" = {}
_registering = threading.RLock()
_engines: "weakref.WeakValueDictionary[AmplifyConfig, Engine]" = weakref.WeakValueDictionary()
_shared_states: "weakref.WeakValueDictionary[AmplifyConfig, SharedState]" = (
    weakref.WeakValueDictionary()
)
_living: "weakref.WeakSet[SharedState]" = weakref.WeakSet()
_warned: Final[set[str]] = set()


class SharedState:
    """What verifies, fetches and remembers for all configurations of the same pools and limits."""

    def __init__(self, config: AmplifyConfig, clock: Callable[[], float]) -> None:
        from ..cognito.grants import Grants  # as the next, only for those who build a middleware
        from .cache import BoundedCache  # 15 ms
        from .driver import Driver

        self.driver = Driver(timeout=config.http_timeout, clock=clock, proxy=config.proxy)
        self.reporters: Reporters = {}
        self._caches = [BoundedCache(config.cache_entries, config.cache_bytes) for _ in range(2)]
        self.verdicts, attributes = self._caches
        self.verifier = Verifier(_trusted(config, self.verdicts), config.leeway)
        self.attributes = AttributeSource(attributes, config.attributes_ttl)
        pools = config.pools_by_issuer
        self.grants = Grants({issuer: _api(pool) for issuer, pool in pools.items()})
        self.sessions = config.kind.bind(
            Dependencies(
                verifier=self.verifier,
                verdicts=self.verdicts,
                all_verdicts=_all_verdicts if clock is time.time else lambda: [self.verdicts],
                grants=self.grants,
                cookie_name=config.cookie.name,
                client_ids=_clients(config),
                memory=partial(_memory, "ends", clock),
                places=partial(_memory, "places", clock),
            )
        )
        _living.add(self)

    @classmethod
    def of(cls, config: AmplifyConfig, clock: Callable[[], float]) -> "SharedState":
        """The workshop of this process for `config`, whatever its paths and its cookie's ways.

        Not its name: what is sealed for one cookie is not to be believed in another.
        """
        if clock is not time.time:
            return cls(config, clock)
        key = config.replace(
            protect=(),
            public=(),
            ignore=(),
            mount=(),
            login_url=None,
            routes=None,
            csrf=None,
            csrf_exempt=(),
            cache_control=None,
            on_event=None,
            origins=(),
            preflight="answer",
            cookie=CookiePolicy(name=config.cookie.name),
        )
        with _registering:
            shared = _shared_states.get(key)
        if shared is None:
            made = cls(key, clock)
            with _registering:
                shared = _shared_states.setdefault(key, made)
        return shared

    def after_fork(self) -> None:
        """In a child: nothing of the parent's threads, locks or sockets is used."""
        self.driver.after_fork()
        for cache in self._caches:
            cache.renew_lock()


class Engine:
    """What a middleware of one configuration works with. `clock`: seconds since the epoch."""

    def __init__(
        self,
        config: AmplifyConfig,
        clock: Callable[[], float] = time.time,
        shared: SharedState | None = None,
    ) -> None:
        self.clock = clock
        from .reporting import Reporter

        _warn(config)
        self._shared = shared or SharedState.of(config, clock)
        reporter = Reporter(config.on_event, self._shared.reporters)
        self.driver = self._shared.driver.reporting_to(reporter)
        self.authenticator = Authenticator(
            config,
            verifier=self._shared.verifier,
            verdicts=self._shared.verdicts,
            attributes=self._shared.attributes,
            grants=self._shared.grants,
            sessions=self._shared.sessions,
            runner=self.driver,
            reporter=reporter,
        )

    @classmethod
    def of(cls, config: "AmplifyConfig | Engine") -> "Engine":
        """The engine of `config`, or of one that equals it; an engine is its own."""
        if isinstance(config, Engine):
            return config
        if not isinstance(config, AmplifyConfig):
            raise ConfigurationError(
                "config: write AmplifyConfig(user_pool_id=..., client_id=...) or "
                "AmplifyConfig.from_outputs('amplify_outputs.json')"
            )
        with _registering:
            engine = _engines.get(config)
        if engine is None:
            made = cls(config)
            with _registering:
                engine = _engines.setdefault(config, made)
        return engine

    def mounted(self, mounts: Sequence[str]) -> "Engine":
        """The engine of the same configuration with more mounts, if it has not all of them."""
        config = self.authenticator.config
        added = [mount for mount in mounts if mount not in config.mount]
        if not added:
            return self
        try:
            config = config.replace(mount=(*config.mount, *added))
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (the app says that it is at {added[0]!r})") from None
        if self.clock is time.time:
            return Engine.of(config)
        return Engine(config, self.clock, self._shared)

    def close(self) -> None:
        """End the threads and connections; a later request opens them anew."""
        self.driver.close()


def _warn(config: AmplifyConfig) -> None:
    """Tell the operator what is for development alone."""
    for warning in _dangers(config):
        with _registering:
            is_new = warning not in _warned
            _warned.add(warning)
        if is_new:
            logger.warning("%s", warning)


def _dangers(config: AmplifyConfig) -> Iterator[str]:
    addresses = [url for pool in config.user_pools for url in pool.insecure_addresses]
    if config.routes is not None and not (
        config.routes.is_secure or _is_here(config.routes.origin)
    ):
        addresses.append(config.routes.origin)
    if addresses:
        yield (
            f"allow_insecure_http: tokens and codes go over plain http to {', '.join(addresses)}; "
            "that is for emulators and tests, never for people's accounts"
        )
    site = next((origin for origin in sorted(config.known_origins) if _is_public(origin)), None)
    for pool in config.user_pools:
        if site is not None and pool.api_url.startswith("http:") and _is_here(pool.api_url):
            yield (
                f"the user pool at {pool.api_url} is on this machine, as a LocalUserPool or an "
                f"emulator is, and the site is {site}: who can reach such a pool can sign in as "
                "anybody; it is for development and tests alone"
            )


def _is_public(origin: str) -> bool:
    return origin.startswith("https:") and not _is_here(origin)


def _is_here(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")


def _api(pool: UserPool) -> "PoolApi":
    from ..cognito.grants import PoolApi

    return PoolApi(
        endpoint=pool.api_url,
        refresh_api=pool.refresh_api,
        client_secret=pool.client_secret,
        token_url=pool.token_url,
        revoke_url=pool.revoke_url,
        is_amazons=pool.endpoint_url is None,
    )


def _clients(config: AmplifyConfig) -> frozenset[str] | None:
    """Whose sessions count; None: those of any client."""
    return None if config.clients is None else frozenset(config.clients)


def _all_verdicts() -> list[Cache]:
    """Where this process believes in sessions: one that has ended is forgotten everywhere."""
    return [shared.verdicts for shared in list(_living)]


def _memory(what: str, clock: Callable[[], float]) -> "MemoryStore":
    """What this process knows of sessions in cookies, whichever middleware has heard of it."""
    from ..stores.memory import MemoryStore

    if clock is not time.time:
        return MemoryStore(max_sessions=_REMEMBERED[what], clock=clock)
    with _registering:
        if what not in _remembered:
            _remembered[what] = MemoryStore(max_sessions=_REMEMBERED[what])
        return _remembered[what]


def _trusted(config: AmplifyConfig, verdicts: "BoundedCache") -> dict[str, TrustedPool]:
    """Whose tokens count, by issuer. Each issuer has its key set, unless they share one."""
    preloaded = {id(pool): _preloaded(pool) for pool in config.user_pools}
    sources: dict[tuple[str, int], KeySource] = {}
    trusted = {}
    for issuer, pool in config.pools_by_issuer.items():
        url, keys = pool.keys_url_of(issuer), preloaded[id(pool)]
        key = (url, 0 if keys is None else id(pool))
        source = sources.setdefault(key, KeySource(url, verdicts, preloaded=keys))
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
    global _registering
    _registering = threading.RLock()
    for shared in list(_living):
        shared.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
