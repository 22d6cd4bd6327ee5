"""What the settings of all sites begin with."""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("SITE_FOLDER", "/tmp"))
SECRET_KEY = "not a secret"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
ROOT_URLCONF = "tests.django_sites.project.urls"
USE_TZ = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
BASE_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
BASE_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "amplify_mw.integrations.django.UserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
AMPLIFY_MW = {
    "groups": {
        "editors": {"permissions": ["shelf.change_book"], "groups": ["Readers"]},
        "admins": {"is_staff": True, "is_superuser": True},
        "clerks": {"is_staff": True, "permissions": ["shelf.view_book", "shelf.change_book"]},
    },
}


def database(name):
    return {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / f"{name}.sqlite3",
            "OPTIONS": {"timeout": 60, "init_command": "PRAGMA synchronous=OFF;"},
        }
    }
