"""No request without a user: one check in front of all routes.

Amplify's server API: `getCurrentUser` in an Express middleware, `app.use(...)`.
"""

from typing import Any

from flask import Flask

from amplify_mw import AmplifyConfig, NotAuthorizedException, get_current_user
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    handle_auth_errors(app)

    @app.before_request
    def refuse_strangers() -> Any:
        try:
            get_current_user()
        except NotAuthorizedException:
            return {"error": "Unauthorized"}, 401
        return None

    @app.get("/api/orders")
    def orders() -> dict[str, Any]:
        # No need to hand the user on: whoever asks, however deep, is told.
        return {"customer": get_current_user().user_id, "orders": []}

    return app
