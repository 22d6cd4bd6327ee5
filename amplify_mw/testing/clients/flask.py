"""Flask's own test client for a signed-in user."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.testing import FlaskClient

from ...errors import ConfigurationError
from ...shell.inside import things_in
from .cookies import Cookie
from .wsgi import at_home, fill

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def flask_client(
    app: "Flask | WSGIApplication", cookies: Iterable[Cookie], url: str
) -> FlaskClient:
    """The app's client, of its `test_client_class`. `app`: Flask's, or a wrapped one."""
    flask_app = next((one for one, _ in things_in(app) if issubclass(type(one), Flask)), None)
    if not isinstance(flask_app, Flask):
        raise ConfigurationError(
            f"amplify_client.flask: there is no Flask app in this {type(app).__name__}; for other "
            "WSGI apps write amplify_client.wsgi(...)"
        )
    kind: Any = at_home(flask_app.test_client_class or FlaskClient, url)
    if flask_app is not app:
        kind = _around(kind, app)
    client: FlaskClient = kind(flask_app, flask_app.response_class, use_cookies=True)
    fill(client, cookies, url)
    return client


def _around(kind: type[FlaskClient], app: Any) -> type[FlaskClient]:
    """A client's class whose requests go through `app`, which is around the Flask app."""

    class Around(kind):  # type: ignore[valid-type, misc]  # a class of the app's own
        application: Any

        def run_wsgi_app(self, environ: Any, buffered: bool = False) -> Any:
            inside, self.application = self.application, app
            try:
                return super().run_wsgi_app(environ, buffered)
            finally:
                self.application = inside

    Around.__name__ = Around.__qualname__ = kind.__name__
    return Around
