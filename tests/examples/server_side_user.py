"""User and attributes in one call, for pages and API routes.

Amplify's server API: `getServerSideUser`, `pages/dashboard.js` and `pages/api/me.js`.
"""

from typing import Any

from flask import Flask, redirect
from markupsafe import escape
from werkzeug.wrappers import Response

from amplify_mw import (
    AmplifyConfig,
    AuthUser,
    NotAuthorizedException,
    fetch_user_attributes,
    get_current_user,
)
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def get_server_side_user() -> tuple[AuthUser | None, dict[str, str]]:
    try:
        return get_current_user(), fetch_user_attributes()
    except NotAuthorizedException:
        return None, {}


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    handle_auth_errors(app)

    @app.get("/dashboard")
    def dashboard() -> str | Response:
        user, profile = get_server_side_user()
        if user is None:
            return redirect("/login")
        name = escape(profile.get("name", ""))
        return f"<h1>Welcome, {name}</h1><p>User ID: {escape(user.user_id)}</p>"

    @app.get("/api/me")
    def me() -> Any:
        user, attributes = get_server_side_user()
        if user is None:
            return {"error": "Unauthorized"}, 401
        return {"user": user.to_dict(), "attributes": attributes}

    return app
