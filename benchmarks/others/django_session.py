"""Django's sessions and auth middleware, without a database: users come from a dictionary.

The session is in a signed cookie (`signed_cookies`), or in the process's own memory (`cache`, with
Django's default, `LocMemCache`). Django checks the user's session hash at each request.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from ..requests import environ
from . import Peer
from .users import Users, cookies, spoilt

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ENGINES = ("signed_cookies", "cache")
BACKEND = f"{__name__}.Backend"
PATH = "/account/orders/of-"  # and who asks
BY_ID: dict[int, Any] = {}
ASKS: dict[str, Callable[[Any], str | None]] = {}
urlpatterns: list[Any] = []


class Backend:
    def get_user(self, user_id: int) -> Any:
        return BY_ID.get(user_id)


def handler(users: Users, name: str, ask: Callable[[Any], str | None], *middleware: str) -> Any:
    """A Django app of these middlewares; at `PATH` and `name`, it asks so.

    One process has one URL configuration: all apps share a route, and each has its part of it.
    """

    def orders(request, name: str):
        users.witness(ASKS[name](request))
        return HttpResponse("ok", content_type="text/plain")

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            AUTHENTICATION_BACKENDS=[BACKEND],
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
            ROOT_URLCONF=__name__,
            SECRET_KEY=users.secret,
        )
        django.setup()
        urlpatterns.append(path("account/orders/of-<slug:name>", orders))
    from django.core.handlers.wsgi import WSGIHandler

    ASKS[name] = ask
    settings.MIDDLEWARE = list(middleware)  # read as the handler is made
    return WSGIHandler()


def ask(request) -> str | None:
    return request.user.get_username() if request.user.is_authenticated else None


def peers(users: Users) -> Iterator[Peer]:
    from django.contrib.auth.models import User

    user = BY_ID[1] = User(pk=1, username=users.names[0], email=users.profile["email"])
    user.set_unusable_password()
    for engine in ENGINES:
        # As each handler's, this is read when its middleware is made.
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
        app = handler(users, engine, ask, *MIDDLEWARE)
        cookie = _signed_in(user)
        headers, bad = cookies(sessionid=cookie), cookies(sessionid=spoilt(cookie))
        yield Peer(
            f"Django's sessions and auth, {engine}",
            "Django",
            app,
            [headers],
            _reader(),
            [environ(headers["cookie"])],
            (bad, environ(bad["cookie"])),
            path=PATH + engine,
        )


def _signed_in(user: Any) -> str:
    """The session's cookie of a user, with what `login` writes into it."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key


def _reader() -> Callable[[dict], str | None]:
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.core.handlers.wsgi import WSGIRequest

    sessions, auth = (
        kind(lambda _: None) for kind in (SessionMiddleware, AuthenticationMiddleware)
    )

    def read(sent: dict) -> str | None:
        request = WSGIRequest(sent)
        sessions.process_request(request)
        auth.process_request(request)
        return ask(request)

    return read
