"""Each kind of failure its own status and text, ready to be answered.

Amplify's server API: `handleServerAuth`, its switch over `error.name`, and the API route that uses
it. The switch is in the library.
"""

from typing import Any

from flask import Flask

from amplify_mw import AmplifyConfig, handle_server_auth
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)

    @app.get("/api/me")
    def me() -> Any:
        result = handle_server_auth()
        if result["success"] is False:
            return {"error": result["error"]}, result["status_code"]
        return {"user": result["user"].to_dict()}

    return app
