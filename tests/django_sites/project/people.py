"""A site with a user model of its own, whose user name is the address."""

from .common import *  # noqa: F403
from .common import BASE_APPS, BASE_MIDDLEWARE, database

INSTALLED_APPS = [
    *BASE_APPS,
    "tests.django_sites.project.members",
    "amplify_mw.integrations.django.rows",
    "tests.django_sites.project.shelf",
]
AUTH_USER_MODEL = "members.Person"
MIDDLEWARE = [
    *BASE_MIDDLEWARE,
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
DATABASES = database("people")
AUTHENTICATION_BACKENDS = ["amplify_mw.integrations.django.backend.CognitoBackend"]
AMPLIFY_MW = {
    "groups": {"editors": {"permissions": ["shelf.change_book"]}},
    "new_row": "tests.django_sites.project.members.models.new_row",
    "database_ttl": 0,
}
