"""A look at the app at the first request: its routes are there by then.

Rules:
- It is taken once, by access rules which stand in for the plain ones until then: no later request
  pays for it. (Until Django's routes are there, it is tried again, a few times.)
- An app calling itself raises `ConfigurationError`. Anything else is a notice, once, and no error
  of the look fails a request.
- `@require_auth` above a route's decorator guards nothing: the decorator has registered the
  function without it. The sign: a registered function is wrapped by `require_auth` elsewhere.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigurationError
from ..verbs.guarded import is_guarded_elsewhere
from ..web.paths import Access, AccessRules
from .inside import own_of
from .routes import NotYet, Route, Routes, routes_in, unmatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.config import AmplifyConfig
    from .notices import Notices

_MAX_TRIES: Final = 8
_OWN_APPS: Final = ("wsgi_app", "asgi_app")


class FirstRules(AccessRules):
    """The access rules of the first request. `rules`: None if there are none. `look`: is called."""

    def __init__(self, rules: AccessRules | None, look: Callable[[], None]) -> None:
        self._rules = rules
        self._look = look
        self.protects: bool = rules is not None and rules.protects
        self.demands: bool = rules is not None and rules.demands

    def of(self, path: str | None) -> Access:
        """The access to `path`."""
        self._look()
        return Access.OPEN if self._rules is None else self._rules.of(path)

    def under(self, root: str, path: str) -> Access:
        """The access to `path`, for a server's mount `root`."""
        self._look()
        return Access.OPEN if self._rules is None else self._rules.under(root, path)

    def needs(self, path: str | None) -> list[Any]:
        """The needs of `path`."""
        return [] if self._rules is None else self._rules.needs(path)

    def needs_under(self, root: str, path: str) -> list[Any]:
        """The needs of `path`, likewise."""
        return [] if self._rules is None else self._rules.needs_under(root, path)


class FirstLook:
    """The look of one middleware at `app`. `config`: the middleware's."""

    def __init__(self, app: object, config: AmplifyConfig, notices: Notices) -> None:
        self._app = app
        self._config = config
        self._notices = notices
        self._tries = 0

    def take(self, middleware: object) -> bool:
        """Whether it is over; False: try again. Raises `ConfigurationError` for a circle."""
        _refuse_circle(self._app, middleware)
        self._tries += 1
        try:
            self._tell(routes_in(self._app))
        except NotYet:
            return self._tries >= _MAX_TRIES
        except Exception:  # noqa: BLE001  # an app whose routes look otherwise than expected
            return True
        return True

    def _tell(self, routes: Routes) -> None:
        config = self._config
        own = () if config.routes is None else config.routes.paths
        if routes.is_whole:
            known = [*routes.found, *map(Route, own)]
            lost = unmatched(config.protect, known, config.mount)
            if lost:
                self._notices.unmatched(lost, [route.path for route in known])
        views = [route.view for route in routes.found]
        guarded = [own_of(view).get("__wrapped__") for view in views]  # on purpose, both ways
        bare = [
            (getattr(route.view, "__qualname__", "a function"), route.path)
            for route in routes.found
            if is_guarded_elsewhere(route.view) and not any(route.view is one for one in guarded)
        ]
        if bare:
            self._notices.unguarded(bare)


def _refuse_circle(app: object, middleware: object) -> None:
    """Raise `ConfigurationError` if the middleware is around an app that calls it."""
    for name in _OWN_APPS:
        if own_of(app).get(name) is middleware:
            kind = type(middleware).__name__
            raise ConfigurationError(
                f"app.{name} = {kind}(app, config) calls itself without end; write "
                f"app.{name} = {kind}(app.{name}, config)"
            )
