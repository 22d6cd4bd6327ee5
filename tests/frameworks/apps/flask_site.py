"""Flask."""

from typing import Any

import shared
from flask import Flask, Response, jsonify
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from amplify_mw.integrations.flask import AmplifyAuth, handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def build() -> Flask:
    app = Flask(__name__)

    @app.get("/whoami")
    @app.get("/private/page")
    def whoami() -> Any:
        body, status = shared.profile()
        return jsonify(body), status

    @app.get("/async")
    async def awaited() -> Any:
        body, status = await shared.awaited_profile()
        return jsonify(body), status

    @app.get("/escape/<path:rest>")
    def escape(rest: str) -> str:
        return shared.name()

    app.add_url_rule("/publish", view_func=shared.publish)
    app.add_url_rule("/thread", view_func=shared.name_on_a_thread)
    app.add_url_rule("/static/name", view_func=shared.name_or_outside)
    app.add_url_rule("/static/refuse", view_func=shared.refuse)

    @app.get("/stream")
    def stream() -> Response:
        return Response(shared.names(), mimetype="text/plain")

    return app


bare, app, extended = build(), build(), build()
handle_auth_errors(bare)
handle_auth_errors(app)
AmplifyAuth(extended, shared.config)
app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, shared.config)  # type: ignore[method-assign]
bearer = AmplifyWSGIMiddleware(bare.wsgi_app, shared.config, bearer=True)
mounted = DispatcherMiddleware(NotFound(), {"/mounted": app})
