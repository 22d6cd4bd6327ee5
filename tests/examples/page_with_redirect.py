"""A page for signed-in users; everybody else is sent to the sign-in page.

Amplify's server API: `getCurrentUser` in `getServerSideProps`, with its redirect to `/login`.
Where many pages are like this, `protect=["/account/*"], login_url="/login"` does it for all.
"""

from flask import Flask, redirect
from markupsafe import escape
from werkzeug.wrappers import Response

from amplify_mw import AmplifyConfig, NotAuthorizedException, get_current_user
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def create_app(config: AmplifyConfig) -> Flask:
    app = Flask(__name__)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    handle_auth_errors(app)  # an outage is answered by 503, not by a sign-in page

    @app.get("/")
    def home() -> str | Response:
        try:
            user = get_current_user()
        except NotAuthorizedException:
            return redirect("/login")
        return f"<h1>Hello, {escape(user.username)}</h1>"

    return app
