"""A guard in front of single routes, and a route that tells who is there.

Amplify's server API: the Express.js integration, `requireAuth` with `/api/profile` and `/api/user`.
"""

from typing import Any

from flask import Flask

from amplify_mw import (
    AmplifyConfig,
    NotAuthorizedException,
    fetch_user_attributes,
    get_current_user,
    require_auth,
)
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    handle_auth_errors(app)  # what a guard raises becomes 401, 403 or 503

    @app.get("/api/profile")
    @require_auth
    def profile() -> dict[str, Any]:
        return {"user": get_current_user().to_dict(), "profile": fetch_user_attributes()}

    @app.get("/api/user")
    def user() -> dict[str, Any]:
        try:
            user, attributes = get_current_user(), fetch_user_attributes()
        except NotAuthorizedException:
            return {"authenticated": False, "user": None}
        shown = {key: attributes.get(key) for key in ("email", "name")}
        return {"authenticated": True, "user": user.to_dict() | shown}

    return app
