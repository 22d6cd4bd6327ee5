"""The fixtures of the sites' own tests: a user pool, a database, and clients of the wrapped app."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest

django.setup()

from django.conf import settings  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connections  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402
from werkzeug.test import Client  # noqa: E402

from amplify_mw.asgi import AmplifyASGIMiddleware  # noqa: E402
from amplify_mw.testing import LocalUserPool  # noqa: E402
from amplify_mw.wsgi import AmplifyWSGIMiddleware  # noqa: E402

pytest_plugins = ["amplify_mw.testing.plugin"]
HOST = "http://localhost"
USERS = {
    "ada": ["editors"],
    "grace": [],
    "root": ["admins"],
    "carl": ["clerks"],
}


@pytest.fixture(scope="session")
def cognito() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        for name, groups in USERS.items():
            details = {"given_name": name.title(), "family_name": "Lovelace"}
            details |= {"email": f"{name}@example.com", "email_verified": "true"}
            pool.add_user(name, groups=groups, **details)
        yield pool


@pytest.fixture(autouse=True)
def database() -> Iterator[None]:
    """A new database with the tables, and nothing remembered of another."""
    if not settings.DATABASES or not settings.DATABASES["default"].get("NAME"):
        yield
        return
    from amplify_mw.integrations.django import rights
    from amplify_mw.integrations.django.rows import known

    _migrate()
    known.forget_all()
    rights._permissions.forget_all()
    yield
    call_command("flush", verbosity=0, interactive=False)
    connections.close_all()


_done: list[None] = []


def _migrate() -> None:
    if not _done:
        call_command("migrate", run_syncdb=True, verbosity=0)
        _done.append(None)


class Site:
    """Django behind both middlewares, asked as one of the pool's users, or as nobody."""

    def __init__(self, pool: LocalUserPool, **options: Any) -> None:
        options.setdefault("login_url", "/auth/sign-in")
        self.pool = pool
        self.config = pool.config(**options)
        wrapped = AmplifyWSGIMiddleware(get_wsgi_application(), self.config)
        self.wsgi = Client(wrapped, use_cookies=False)
        app = AmplifyASGIMiddleware(get_asgi_application(), self.config)
        self.asgi = TestClient(app, HOST, follow_redirects=False)

    def cookie(self, user: str) -> dict[str, str]:
        return {"Cookie": f"amplify-session={self.pool.sign_in(user).id_token}"}

    def bearer(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.pool.sign_in(user).access_token}"}

    def get(self, path: str, user: str | None = None, **headers: str) -> Any:
        return self.ask("GET", path, user, headers)

    def post(self, path: str, user: str | None = None, data: Any = None, **headers: str) -> Any:
        return self.ask("POST", path, user, headers, data)

    def ask(
        self, method: str, path: str, user: str | None, headers: Any = (), data: Any = None
    ) -> Any:
        sent = {name.replace("_", "-"): value for name, value in dict(headers).items()}
        if user is not None:
            sent |= self.cookie(user)
        return self.wsgi.open(path, base_url=HOST, method=method, headers=sent, data=data)

    def aget(self, path: str, user: str | None = None, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.asgi.get(path, headers=sent | (self.cookie(user) if user else {}))


@pytest.fixture
def site(cognito: LocalUserPool) -> Site:
    return Site(cognito)


@pytest.fixture
def make(cognito: LocalUserPool) -> Callable[..., Site]:
    return lambda **options: Site(cognito, **options)


@pytest.fixture
def view() -> Iterator[Callable[[Any], None]]:
    """Puts a view at `/call`, or an async one at `/acall`."""
    from tests.django_sites.project import urls

    yield lambda function: urls.SEEN.update(view=function)
    urls.SEEN.clear()


@contextmanager
def queries(number: int) -> Iterator[None]:
    """This many queries are made."""
    with CaptureQueriesContext(connections["default"]) as made:
        yield
    assert len(made) == number, [query["sql"] for query in made]
