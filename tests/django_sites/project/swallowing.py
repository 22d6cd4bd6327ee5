"""A site whose views, and a middleware of its own, swallow and repeat what they catch."""

from .plain import *  # noqa: F403
from .plain import INSTALLED_APPS as PLAIN
from .plain import MIDDLEWARE as INNER

ROOT_URLCONF = "tests.django_sites.project.swallowing_urls"
INSTALLED_APPS = [*PLAIN, "rest_framework"]
MIDDLEWARE = ["tests.django_sites.project.swallowing_urls.CatchAll", *INNER]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "amplify_mw.integrations.django.rest_framework.AmplifyAuthentication",
    ],
}
