"""An app's middlewares, pointed at another user pool as long as a test takes.

Rules:
- The middlewares are found in the app as it stands, by following the references of its objects.
  Neither modules nor the globals of functions are followed: another app may be there.
- Starlette makes its middlewares with the first request; here they are made at once.
- A middleware keeps its place, its app and every option but those of the pool: it is built anew
  in the same object, and gets its former state back in the end.
- Of several pools the first is replaced; the app client is that of the local pool.
"""

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import fields, replace
from types import FunctionType, ModuleType
from typing import Any, Final, Unpack
from urllib.parse import urlsplit

from ...asgi import AmplifyASGIMiddleware
from ...config.config import AmplifyConfig
from ...config.options import Options
from ...config.pool import PoolOptions, UserPool
from ...config.routes import TARGETS, AuthRoutes
from ...engine.engine import consider_told
from ...errors import ConfigurationError
from ...shell.inside import own_of
from ...shell.kinds import way_to_wrap
from ...web.origins import domains_above
from ...wsgi import AmplifyWSGIMiddleware
from ..pool.pool import LocalUserPool

Middleware = AmplifyWSGIMiddleware | AmplifyASGIMiddleware

_KINDS: Final = (AmplifyWSGIMiddleware, AmplifyASGIMiddleware)
_MOST: Final = 500_000  # objects to look at
_APPS_OWN: Final = frozenset({"refresh_api", "issuers"})
_LEAVES: Final = (type, ModuleType, str, bytes, int, float)


class Pointing:
    """Middlewares pointed at `pool`, until `end`."""

    def __init__(self, pool: LocalUserPool) -> None:
        self._pool = pool
        self._before: list[tuple[Middleware, dict[str, Any]]] = []
        self._found: dict[int, tuple[object, list[Middleware]]] = {}  # by the app's id

    def point(self, app: object, **options: Unpack[Options]) -> Middleware:
        """Point the middlewares of an app at the pool; the outermost of them.

        `options`: other options of the configuration to change. Raises `ConfigurationError` if the
        app has no middleware.
        """
        _, found = self._found.get(id(app)) or (app, list(middlewares_in(app)))
        if not found:
            raise ConfigurationError(_mend(app))
        self._found[id(app)] = app, found
        for middleware in found:
            config = middleware.engine.authenticator.config
            wanted = pointed(config, self._pool).replace(**options)
            if wanted != config:
                self._rebuild(middleware, wanted)
        return found[0]

    def _rebuild(self, middleware: Middleware, config: AmplifyConfig) -> None:
        before = dict(vars(middleware))
        consider_told(config)
        for name in [name for name in before if hasattr(type(middleware), name)]:
            delattr(middleware, name)  # a method of the former configuration
        self._before.append((middleware, before))
        # A class of the app's own may take other arguments.
        kind: Any = next(kind for kind in _KINDS if isinstance(middleware, kind))
        kind.__init__(middleware, before["app"], config)

    def end(self) -> None:
        """Give the middlewares their former state back."""
        self._found.clear()
        while self._before:
            middleware, before = self._before.pop()
            vars(middleware).clear()
            vars(middleware).update(before)


def pointed(config: AmplifyConfig, pool: LocalUserPool) -> AmplifyConfig:
    """The same configuration with this pool; `config` itself, if it has it already."""
    if config.user_pools[0].api_url == f"{pool.url}/":
        return config
    local = pool.config()
    names = [field.name for field in fields(PoolOptions) if field.name not in _APPS_OWN]
    options: dict[str, Any] = {name: getattr(local, name) for name in names}
    if config.pools:
        first = UserPool(refresh_api=config.pools[0].refresh_api, **options)
        return config.replace(pools=[first, *config.pools[1:]])
    return config.replace(issuers="both", **options)


def served_at(config: AmplifyConfig, url: str) -> Options:
    """The options to change for a site that is served at the origin `url` in a test."""
    if url in config.known_origins:
        return {}
    host = urlsplit(url).hostname or ""
    changed: Options = {"origins": (*config.origins, url)}
    if config.cookie.domain not in (None, *domains_above(host)):
        changed["cookie"] = replace(config.cookie, domain=None)
    if config.routes is not None:
        changed["routes"] = _routes_at(config.routes, url)
    return changed


def _routes_at(routes: AuthRoutes, url: str) -> AuthRoutes:
    targets = {name: getattr(routes, name) for name in TARGETS}
    moved = {
        name: url + target.removeprefix(routes.origin)
        for name, target in targets.items()
        if target is not None and target.startswith(routes.origin)
    }
    # The local pool leads back to any address.
    return replace(routes, origin=url, redirect_sign_in=None, redirect_sign_out=None, **moved)


def middlewares_in(app: object) -> Iterator[Middleware]:
    """The middlewares around and in an app, the outermost first."""
    pending = deque([app])
    seen = {id(app)}
    kept = []  # so that no id is used again
    while pending and len(seen) < _MOST:
        thing = pending.popleft()
        kind = type(thing)  # not `isinstance`: a proxy pretends to be another type
        if issubclass(kind, _KINDS):
            yield thing  # type: ignore[misc]
        for inner in _inside(thing, kind):
            if id(inner) not in seen and not issubclass(type(inner), _LEAVES):
                seen.add(id(inner))
                kept.append(inner)
                pending.append(inner)


def _inside(thing: object, kind: type) -> list[Any]:
    if issubclass(kind, _KINDS):
        return [own_of(thing)["app"]]
    if kind is FunctionType:
        return [*(getattr(thing, "__closure__", None) or ()), own_of(thing)]
    _build_stack(thing)
    return gc.get_referents(thing)


def _build_stack(thing: Any) -> None:
    """Have Starlette make the middlewares that it has only noted so far."""
    own = own_of(thing)
    added = own.get("user_middleware")
    if own.get("middleware_stack", added) is None and isinstance(added, list):
        noted = [own_of(each).get("cls") for each in added]
        if any(isinstance(each, type) and issubclass(each, _KINDS) for each in noted):
            thing.middleware_stack = thing.build_middleware_stack()


def _mend(app: object) -> str:
    name = type(app).__name__
    return (
        f"amplify_client: there is no AmplifyWSGIMiddleware or AmplifyASGIMiddleware in this {name}"
        ", so that its tests would pass without a sign-in and fail with one. Build it as your site "
        f"does, such as `{way_to_wrap(app)}`, and give the whole app"
    )
