"""How the session cookie is set and cleared, by environment.

Amplify's server API: the cookie configuration for server-side auth. Ages are in seconds here. Where
nothing but https is served, `CookiePolicy.host_prefixed()` is stronger still.
"""

from flask import Flask

from amplify_mw import AmplifyConfig, CookiePolicy, handle_server_auth
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def cookie_policy(environment: str) -> CookiePolicy:
    return CookiePolicy(
        http_only=True,
        secure=environment != "development",  # whatever is not known to be harmless is secure
        same_site="Strict",
        max_age=24 * 60 * 60,
    )


def create_app(config: AmplifyConfig, environment: str = "production") -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config, cookie=cookie_policy(environment))

    @app.get("/")
    def home() -> dict[str, bool]:
        return {"signedIn": handle_server_auth()["success"]}

    return app
