"""Bottle: the plugin `AmplifyAuth(config)`, and `current_user`.

    app = bottle.Bottle()
    app.install(AmplifyAuth(config))

    @app.get("/account")
    def account(user):  # asks for a signed-in user; with `user=None`, for one or None
        return f"Hello {user.username}"

Bottle turns every exception into a 500 before the middleware could see it. A plugin comes earlier,
but sees only exceptions of a route's function; those of hooks and generators reach the handler of
that 500. `handle_auth_errors(app)` is the part of `AmplifyAuth` for both alone.

Rules:
- The plugin puts the middleware around `app.wsgi`. A mounted or merged app is served by the outer
  one's: its routes are refused (a 500) unless the outer app has the same plugin, since the path
  rules of another would not hold for them.
- A part of the path never becomes the user: a route with both is refused.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, Never, Unpack

import bottle

from ..config.config import AmplifyConfig
from ..config.options import Options
from ..engine.context import bound
from ..errors import AuthError, ConfigurationError
from ..verbs.guards import require_auth
from ..verbs.user import get_current_user, user_or_none
from ..wsgi import AmplifyWSGIMiddleware
from .answering import answer_for
from .current import current_user as current_user

Route = Callable[..., Any]


class AmplifyAuth:
    """Bottle's plugin: the middleware, the answers to errors, and the user as an argument.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for these apps. `keyword`:
    the name of a route's argument for the user, an `AuthUser`. Without a default it guards the
    route: nobody signed in is a 401. With a default, `def home(user=None)`, visitors are None.
    Templates have `current_user`, a `RequestUser`.

    Install it after setting an error handler for 500, which still gets all other errors. Install
    the same object in each app that you mount or merge.
    """

    name: Final = "amplify"
    api: Final = 2

    def __init__(
        self,
        config: AmplifyConfig,
        *others: Never,
        keyword: str = "user",
        **options: Unpack[Options],
    ) -> None:
        if others or not isinstance(config, AmplifyConfig):
            raise ConfigurationError(
                "AmplifyAuth: write app.install(AmplifyAuth(config)), with config = "
                "AmplifyConfig.from_outputs('amplify_outputs.json')"
            )
        if not keyword.isidentifier():
            raise ConfigurationError(f"keyword: write the name of an argument; got {keyword!r}")
        self.keyword: str = keyword
        self._config = config.replace(**options) if options else config

    def setup(self, app: Any) -> None:
        """Bottle calls this when the plugin is installed. `app`: a `bottle.Bottle`."""
        if "wsgi" in vars(app):
            raise ConfigurationError(
                "AmplifyAuth: app.wsgi is wrapped already; install one AmplifyAuth, once"
            )
        app.wsgi = AmplifyWSGIMiddleware(_letting_out(app.wsgi), self._config)
        _answer_internal_errors(app)
        bottle.BaseTemplate.defaults.setdefault("current_user", current_user)

    def apply(self, callback: Route, route: Any) -> Route:
        """Bottle calls this for each route. `route`: a `bottle.Route`."""
        served = self._with_user(callback, _parameters(route.callback))
        owner = route.app

        @wraps(callback)
        def checked(*args: Any, **kwargs: Any) -> Any:
            app = bottle.request.app
            if app is not owner and self not in app.plugins:
                raise ConfigurationError(
                    "AmplifyAuth: this route's app is mounted or merged in another one, so its own "
                    "middleware does not run; install the same AmplifyAuth object in both"
                )
            return served(*args, **kwargs)

        return _answering(checked)

    def _with_user(self, callback: Route, parameters: Mapping[str, inspect.Parameter]) -> Route:
        """`callback`, called with the user if it has an argument for that."""
        asked = parameters.get(self.keyword)
        if asked is None or asked.kind in (asked.VAR_POSITIONAL, asked.VAR_KEYWORD):
            return callback
        is_guarded = asked.default is asked.empty
        find = get_current_user if is_guarded else user_or_none

        def with_user(*args: Any, **kwargs: Any) -> Any:
            if self.keyword in kwargs:
                raise ConfigurationError(
                    f"AmplifyAuth: {self.keyword!r} is both a part of this route's path and the "
                    "argument for the user; rename one, or write AmplifyAuth(config, keyword='...')"
                )
            return callback(*args, **kwargs, **{self.keyword: find()})

        return require_auth(with_user) if is_guarded else with_user


def _parameters(function: Route) -> Mapping[str, inspect.Parameter]:
    """A function's parameters; none for a builtin that does not tell."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}


def handle_auth_errors(app: Any) -> None:
    """Answer an `AuthError` from a route, a hook or a body as the middleware would.

    `app`: a `bottle.Bottle`. Call this after setting an error handler for 500, which still gets all
    other errors. Each mounted or merged app needs its own call.
    """
    app.install(_answering)
    _answer_internal_errors(app)


def _answer_internal_errors(app: Any) -> None:
    internal_error = app.error_handler.get(500, app.default_error_handler)

    def answer_or_error(failure: Any) -> Any:
        error = failure.exception
        is_ours = isinstance(error, AuthError) and bound() is not None
        return _response(error) if is_ours else internal_error(failure)

    app.error(500)(answer_or_error)


def _letting_out(wsgi: Any) -> Any:
    """Bottle's own `wsgi`, but an `AuthError` of an error handler reaches the middleware."""

    def let_out(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            error = exc_info and exc_info[1]
            if isinstance(error, AuthError) and bound() is not None:
                raise error
            return start_response(status, headers, exc_info)

        return wsgi(environ, start)

    return let_out


def _answering(route: Route) -> Route:
    """The plugin for errors."""

    @wraps(route)
    def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return route(*args, **kwargs)
        except AuthError as error:
            raise _response(error) from error

    return answered


def _response(error: AuthError) -> Any:
    answer = answer_for(bottle.request.environ, error)
    return bottle.HTTPResponse(answer.body, answer.status, list(answer.headers))
