"""A site with sockets by Channels."""

from .common import *  # noqa: F403
from .common import BASE_APPS, BASE_MIDDLEWARE, database

INSTALLED_APPS = [
    "channels",
    *BASE_APPS,
    "amplify_mw.integrations.django.rows",
    "tests.django_sites.project.shelf",
]
MIDDLEWARE = BASE_MIDDLEWARE
DATABASES = database("sockets")
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "amplify_mw.integrations.django.backend.CognitoBackend",
]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
