"""A site without rows, without a database, without `django.contrib.auth`."""

from .common import *  # noqa: F403
from .common import TEMPLATES

INSTALLED_APPS = ["amplify_mw.integrations.django", "tests.django_sites.project.shelf"]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "amplify_mw.integrations.django.UserMiddleware",
]
DATABASES = {}
TEMPLATES[0]["OPTIONS"]["context_processors"] = [
    "django.contrib.auth.context_processors.auth",
]
AMPLIFY_MW = {
    "groups": {
        "editors": {"permissions": ["shelf.change_book"]},
        "admins": {"is_staff": True, "is_superuser": True},
    },
}
