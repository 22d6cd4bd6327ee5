"""One object for all questions, which answers with values instead of exceptions.

Amplify's server API: `ServerAuthManager`, its four methods, and the API handler that uses it.
"""

from typing import Any

from flask import Flask

from amplify_mw import AmplifyConfig, NotAuthorizedException, ServerAuthManager
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware

auth_manager = ServerAuthManager()  # it holds nothing: one will do for all requests


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    handle_auth_errors(app)

    @app.get("/api/handler")
    def handler() -> Any:
        try:
            result = auth_manager.require_authentication()
        except NotAuthorizedException:
            return {"error": "Unauthorized"}, 401
        return {"user": result["user"].to_dict(), "profile": result["profile"]}

    @app.get("/api/session")
    def session() -> dict[str, Any]:
        result = auth_manager.get_authenticated_user()
        if result["is_authenticated"] is False:
            return {"isAuthenticated": False, "error": result["error"]}
        return {"isAuthenticated": True, "user": result["user"].to_dict()}

    @app.get("/api/greeting")
    def greeting() -> dict[str, str | None]:
        return {
            "userId": auth_manager.get_user_id(),
            "name": auth_manager.get_user_attribute("name"),
        }

    return app
