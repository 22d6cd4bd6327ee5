"""Flask: `AmplifyAuth(app, config)`, `current_user`, and signals.

    from amplify_mw.integrations.flask import AmplifyAuth, current_user

    auth = AmplifyAuth()
    auth.init_app(app, AmplifyConfig.from_outputs("amplify_outputs.json"))

Flask turns every exception of a view into a 500 before the middleware could see it.
`handle_auth_errors(app)` is the part of `AmplifyAuth` for that alone.

    flask amplify-mw doctor     what `amplify-mw doctor` says of the app's configuration
    flask amplify-mw inspect    why a credential is refused by it, as `amplify-mw inspect` says

Rules:
- An `AuthError` is answered wherever it is raised: in a view, `before_request`, a template, an
  error handler, `after_request`, a teardown. Handlers of the app's own, registered with Flask, come
  first; those of an extension that replaces Flask's (Flask-RESTX) are not asked.
- Flask 3.2 passes a context to the methods that are replaced here; earlier ones do not.
- The signals are those of `integrations.signals`, with the app as their sender.
"""

from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final, Unpack

import click
from flask import Flask, Response, request

from ..config.config import AmplifyConfig
from ..config.options import Options
from ..engine.context import bound
from ..errors import AuthError, ConfigurationError
from ..verbs.request_user import RequestUser
from ..wsgi import AmplifyWSGIMiddleware
from .answering import answer_for
from .current import current_user as current_user
from .signals import EXTENSION, extension_config
from .signals import request_refused as request_refused
from .signals import session_refreshed as session_refreshed
from .signals import session_revoked as session_revoked
from .signals import sign_in_failed as sign_in_failed
from .signals import user_signed_in as user_signed_in
from .signals import user_signed_out as user_signed_out

_as_json: Final = click.option("--json", is_flag=True, help="Print JSON.")


class AmplifyAuth:
    """Flask's extension: the middleware, the answers to errors, and `current_user` in templates.

    `app`: or None, and `init_app` for each app. `config`: an `AmplifyConfig`; None:
    `app.config["AMPLIFY_MW"]`, which is one, or a path of `amplify_outputs.json`, or a dict of
    options. `options`: any field of `AmplifyConfig`, changed for these apps.
    `add_context_processor`: whether templates get `current_user`.

        AmplifyAuth(app, config, protect=["/account/*"])
    """

    def __init__(
        self,
        app: Flask | None = None,
        config: AmplifyConfig | None = None,
        *,
        add_context_processor: bool = True,
        **options: Unpack[Options],
    ) -> None:
        self._config = config
        self._options = options
        self._adds_context_processor = add_context_processor
        if app is not None:
            self.init_app(app)

    def init_app(
        self, app: Flask, config: AmplifyConfig | None = None, **options: Unpack[Options]
    ) -> None:
        """Put the middleware around `app.wsgi_app`, and the rest into the app.

        `flask amplify-mw doctor` and `inspect` have this configuration then.

        `config`, `options`: for this app, before those of the extension.
        Raises `ConfigurationError`, for an app that has a middleware as well.
        """
        options = {**self._options, **options}
        found = extension_config(Flask, app, config or self._config, options)
        if isinstance(app.wsgi_app, AmplifyWSGIMiddleware):
            raise ConfigurationError(
                "AmplifyAuth: app.wsgi_app is an AmplifyWSGIMiddleware already; leave that line "
                "out, the extension does it"
            )
        middleware = AmplifyWSGIMiddleware(app.wsgi_app, found)
        handle_auth_errors(app)
        if self._adds_context_processor:
            app.context_processor(_template_names)
        app.cli.add_command(_commands(found))
        app.wsgi_app = middleware  # type: ignore[method-assign]
        app.extensions[EXTENSION] = self


def _commands(config: AmplifyConfig) -> click.Group:
    """The commands `flask amplify-mw ...` of an app with this configuration."""
    group = click.Group("amplify-mw", help="Sign-in with Amazon Cognito.")

    @group.command()
    @_as_json
    @click.option("--offline", is_flag=True, help="Ask neither the pool nor the store's server.")
    @click.option("--strict", is_flag=True, help="A warning counts as wrong.")
    @click.pass_context
    def doctor(context: click.Context, /, **options: Any) -> None:
        """Examine the configuration. Exit status: 0, 1 if a line is wrong, else 3 if unknown."""
        from ..diagnostics.examination.command import run  # a server never loads it

        context.exit(run(Namespace(**options), config))

    @group.command()
    @_as_json
    @click.option("--offline", is_flag=True, help="Do not fetch the pool's key set.")
    @click.option("--file", metavar="PATH", help="Read this file, not standard input.")
    @click.option("--show-claims", is_flag=True, help="Print the tokens' claims.")
    @click.pass_context
    def inspect(context: click.Context, /, **options: Any) -> None:
        """Say why a request is signed in (0), or refused (1); 3: it cannot be told."""
        from ..diagnostics.inspection.command import run

        context.exit(run(Namespace(**options), config))

    return group


def handle_auth_errors(app: Flask) -> None:
    """Answer an `AuthError` from anywhere in the app, blueprints too, as the middleware would.

    A handler of the app's own for a subclass, such as `NetworkError`, comes first.
    """
    app.register_error_handler(AuthError, _response)
    app.preprocess_request = _handled(app, app.preprocess_request)  # type: ignore[method-assign]
    app.dispatch_request = _handled(app, app.dispatch_request)  # type: ignore[method-assign]
    last_resort: Any = app.handle_exception
    finalize: Any = app.finalize_request

    def handle_exception(*given: Any) -> Any:
        """Flask's last resort, for errors of error handlers and of `after_request`."""
        *context, error = given
        if isinstance(error, AuthError) and bound() is not None:
            return finalize(*context, _response(error), from_error_handler=True)
        return last_resort(*given)

    app.handle_exception = handle_exception  # type: ignore[method-assign,assignment]


def _handled(app: Flask, step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of a request, whose `AuthError` goes to the handlers registered with Flask.

    (Flask-RESTX and Flask-RESTful put themselves before those, and make it a 500.)
    """
    flask: Any = type(app)

    def handled(*context: Any) -> Any:
        try:
            return step(*context)
        except AuthError as error:
            answer = flask.handle_user_exception(app, *context, error)
            if answer is None:  # of a broken handler: with None, Flask would go on to the view
                raise
            return answer

    return handled


class _Response(Response):
    default_mimetype = None  # a redirect has no body, and so no type


def _response(error: AuthError) -> Response:
    answer = answer_for(request.environ, error)
    return _Response(answer.body, answer.status, list(answer.headers))


def _template_names() -> dict[str, RequestUser]:
    return {"current_user": current_user}
