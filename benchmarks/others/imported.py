"""What an app imports for each library, and for a framework alone."""

_DJANGO = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
)
django.setup()
import django.contrib.sessions.middleware
import django.contrib.auth.middleware
"""
# Of each: its package, and the program.
FRAMEWORKS = {
    "import flask": ("flask", "import flask"),
    "import starlette.applications": ("starlette", "import starlette.applications"),
    "import fastapi": ("fastapi", "import fastapi"),
}
OTHERS = {
    "Starlette, SessionMiddleware": ("itsdangerous", "import starlette.middleware.sessions"),
    "Starlette, AuthenticationMiddleware and PyJWT": (
        "pyjwt",
        "import starlette.middleware.authentication, jwt",
    ),
    "starsessions": ("starsessions", "import starsessions"),
    "Flask, its session": ("flask", "from flask import Flask, session"),
    "Flask-Login": ("flask-login", "import flask_login"),
    "flask-cognito-lib": ("flask-cognito-lib", "import flask_cognito_lib"),
    "fastapi-cognito": ("fastapi-cognito", "import fastapi_cognito"),
    "Clerk": ("clerk-backend-api", "import clerk_backend_api.security"),
    "Powertools, auth_alpha": (
        "aws-lambda-powertools",
        "from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier",
    ),
    "Scalekit, Flask": ("scalekit-sdk-python", "import scalekit.frameworks.flask"),
    "Auth0, auth0-api-python": ("auth0-api-python", "import auth0_api_python"),
    "Auth0, auth0-server-python": (
        "auth0-server-python",
        "import auth0_server_python.auth_server.server_client",
    ),
    "Django, sessions and auth": ("django", _DJANGO),
}
