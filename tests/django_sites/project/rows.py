"""A site with a row for each user, and the admin."""

from .common import *  # noqa: F403
from .common import BASE_APPS, BASE_MIDDLEWARE, database

INSTALLED_APPS = [
    "django.contrib.admin",
    *BASE_APPS,
    "amplify_mw.integrations.django.rows",
    "tests.django_sites.project.shelf",
    "rest_framework",
]
MIDDLEWARE = BASE_MIDDLEWARE
DATABASES = database("rows")
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "amplify_mw.integrations.django.backend.CognitoBackend",
]
LOGIN_URL = "/auth/sign-in"
LOGOUT_REDIRECT_URL = "/auth/sign-out"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "amplify_mw.integrations.django.rest_framework.AmplifyAuthentication",
    ],
    "DEFAULT_THROTTLE_RATES": {"user": "2/day"},
}
