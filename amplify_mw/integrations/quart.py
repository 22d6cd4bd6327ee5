"""Quart: `AmplifyAuth(app, config)`, `current_user`, and signals, as in Flask.

    from amplify_mw.integrations.quart import AmplifyAuth, current_user

    auth = AmplifyAuth()
    auth.init_app(app, AmplifyConfig.from_outputs("amplify_outputs.json"))

Quart turns every exception of a view or a WebSocket into a 500 before the middleware could see it.
`handle_auth_errors(app)` is the part of `AmplifyAuth` for that alone.

Rules:
- An `AuthError` is answered wherever it is raised: in a view, `before_request`, a template, an
  error handler, `after_request`. The app's own handlers for it come first.
- A WebSocket's handshake is refused with that answer. An open one is closed, with the code that the
  middleware has for it.
- The signals are those of `integrations.signals`, with the app as their sender. They are sent
  without `await`: a receiver cannot be async.
"""

from contextlib import suppress
from typing import Any, Unpack

from quart import Quart, Response, has_websocket_context, request, websocket
from werkzeug.datastructures import Headers

from ..asgi import AmplifyASGIMiddleware
from ..config.config import AmplifyConfig
from ..config.options import Options
from ..engine.context import bound
from ..errors import AuthError, ConfigurationError
from ..shell.shell import visit_around
from ..verbs.request_user import RequestUser
from .answering import answer_for, close_code
from .current import current_user as current_user
from .signals import EXTENSION, extension_config
from .signals import request_refused as request_refused
from .signals import session_refreshed as session_refreshed
from .signals import session_revoked as session_revoked
from .signals import sign_in_failed as sign_in_failed
from .signals import user_signed_in as user_signed_in
from .signals import user_signed_out as user_signed_out


class AmplifyAuth:
    """Quart's extension: the middleware, the answers to errors, and `current_user` in templates.

    `app`: or None, and `init_app` for each app. `config`: an `AmplifyConfig`; None:
    `app.config["AMPLIFY_MW"]`, which is one, or a path of `amplify_outputs.json`, or a dict of
    options. `options`: any field of `AmplifyConfig`, changed for these apps.
    `add_context_processor`: whether templates get `current_user`.

        AmplifyAuth(app, config, protect=["/account/*"])
    """

    def __init__(
        self,
        app: Quart | None = None,
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
        self, app: Quart, config: AmplifyConfig | None = None, **options: Unpack[Options]
    ) -> None:
        """Put the middleware around `app.asgi_app`, and the rest into the app.

        `config`, `options`: for this app, before those of the extension.
        Raises `ConfigurationError`, for an app that has a middleware as well.
        """
        options = {**self._options, **options}
        found = extension_config(Quart, app, config or self._config, options)
        if isinstance(app.asgi_app, AmplifyASGIMiddleware):
            raise ConfigurationError(
                "AmplifyAuth: app.asgi_app is an AmplifyASGIMiddleware already; leave that line "
                "out, the extension does it"
            )
        middleware: Any = AmplifyASGIMiddleware(app.asgi_app, found)
        handle_auth_errors(app)
        if self._adds_context_processor:
            app.context_processor(_template_names)
        app.asgi_app = middleware  # type: ignore[method-assign]
        app.extensions[EXTENSION] = self


def handle_auth_errors(app: Quart) -> None:
    """Answer an `AuthError` from anywhere in the app, sockets too, as the middleware would.

    A handler of the app's own for a subclass, such as `NetworkError`, comes first.
    """
    app.register_error_handler(AuthError, _answered)
    last_resort, last_of_sockets = app.handle_exception, app.handle_websocket_exception

    async def handle_exception(error: Exception) -> Any:
        """Quart's last resort, for errors of error handlers and of `after_request`."""
        if isinstance(error, AuthError) and bound() is not None:
            response = _response(request.scope, error)
            return await app.finalize_request(response, from_error_handler=True)
        return await last_resort(error)

    async def handle_websocket_exception(error: Exception) -> Any:
        if isinstance(error, AuthError) and bound() is not None:
            return await _refused(error)
        return await last_of_sockets(error)

    app.handle_exception = handle_exception  # type: ignore[method-assign]
    app.handle_websocket_exception = handle_websocket_exception  # type: ignore[method-assign]


class _Response(Response):
    default_mimetype = None  # type: ignore[assignment]  # a redirect has no body, and so no type


async def _answered(error: AuthError) -> Any:
    return await _refused(error) if has_websocket_context() else _response(request.scope, error)


def _response(scope: Any, error: AuthError) -> Response:
    answer = answer_for(scope, error)
    return _Response(answer.body, answer.status, Headers(list(answer.headers)))


async def _refused(error: AuthError) -> Response | None:
    """The answer to a handshake; None if the socket was open, and is closed now."""
    if not visit_around(error).begun:
        return _response(websocket.scope, error)
    with suppress(Exception):  # it is over: each server has an error of its own
        await websocket.close(close_code(error))
    return None


async def _template_names() -> dict[str, RequestUser]:
    return {"current_user": current_user}
