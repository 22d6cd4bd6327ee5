"""A site that wants rows, without Django's users. Its checks say so."""

from .common import *  # noqa: F403

INSTALLED_APPS = ["amplify_mw.integrations.django.rows"]
MIDDLEWARE = ["amplify_mw.integrations.django.UserMiddleware"]
DATABASES = {}
ROOT_URLCONF = "tests.django_sites.project.nowhere"
