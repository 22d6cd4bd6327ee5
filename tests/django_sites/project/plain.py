"""A site without rows and without a database; `django.contrib.auth` is there for its guards."""

from .bare import *  # noqa: F403
from .bare import INSTALLED_APPS as BARE

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", *BARE]
AUTHENTICATION_BACKENDS = ["amplify_mw.integrations.django.backend.CognitoBackend"]
LOGIN_URL = "login"
