"""`SignedInClients`: a user's client of an app, in one line.

Rules:
- The client is the framework's own, and its requests go through the app's own middleware. The user
  comes by the cookie of a session that this middleware has started.
- From the first client of an app until `close()` its middlewares are pointed at the local pool.
- A framework is imported by its own method alone.
"""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, Unpack, overload

from ...config.config import AmplifyConfig
from ...wsgi import AmplifyWSGIMiddleware
from ..pool.pool import LocalUserPool
from .browser import browser_cookies
from .cookies import Cookie, cookies_of, home_of
from .people import Person, tokens_of
from .pointing import Pointing, pointed, served_at
from .serving import serve_asgi, serve_wsgi

if TYPE_CHECKING:
    import httpx2
    from _typeshed.wsgi import WSGIApplication
    from flask import Flask
    from flask.testing import FlaskClient
    from starlette.testclient import TestClient
    from werkzeug.test import Client

    from ...config.options import Options

    ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

T = TypeVar("T")
_Made: TypeAlias = tuple[AmplifyConfig, list[Cookie], str]


class SignedInClients:
    """Test clients of your app, each signed in as a user, through the app's own middleware.

        client = amplify_client.flask(app, "ada", groups=["editors"])

    A new user is added to the `pool`, a known one has the groups and attributes given here from now
    on; `Person` lists all options. Without a username the client is a visitor's.

    The app may be the one in production, with any user pool and any kind of session: until
    `close()` its middlewares get their keys and tokens from the `pool`. All else stays as it is
    configured. Raises `ConfigurationError` if there is no middleware around the app.

    `pool`: a running one; by default one is made here.

    >>> def app(environ, start_response):
    ...     start_response("200 OK", [])
    ...     return [get_current_user().username.encode()]
    >>> from amplify_mw import AmplifyConfig, get_current_user
    >>> from amplify_mw.wsgi import AmplifyWSGIMiddleware
    >>> config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web")
    >>> with SignedInClients() as clients:
    ...     clients.wsgi(AmplifyWSGIMiddleware(app, config), "ada").get("/").text
    'ada'
    """

    def __init__(self, pool: LocalUserPool | None = None) -> None:
        self._owns = pool is None
        self.pool: LocalUserPool = LocalUserPool() if pool is None else pool
        if self._owns:
            self.pool.start()
        self._pointing = Pointing(self.pool)
        self._served: dict[int, tuple[object, str]] = {}  # by the app's id
        self._ends = ExitStack()

    def close(self) -> None:
        """End the servers, and give the middlewares their own pools back."""
        self._ends.close()
        self._served.clear()
        self._pointing.end()
        if self._owns:
            self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def point(self, app: object, **options: "Unpack[Options]") -> AmplifyConfig:
        """Point the middlewares of an app at the pool, and return their configuration.

        The clients do it by themselves. `options`: other options to change for the test, such as
        `session=StoredSession(MemoryStore())`. `app` may be a configuration, of an app in another
        process: it is returned with the pool.
        """
        if isinstance(app, AmplifyConfig):
            return pointed(app, self.pool).replace(**options)
        return self._pointing.point(app, **options).engine.authenticator.config

    def flask(
        self, app: "Flask | WSGIApplication", username: str | None = None, **person: Unpack[Person]
    ) -> "FlaskClient":
        """Flask's `app.test_client()`."""
        from .flask import flask_client

        _, cookies, url = self._made(app, username, person)
        return flask_client(app, cookies, url)

    def starlette(
        self, app: "ASGIApp", username: str | None = None, **person: Unpack[Person]
    ) -> "TestClient":
        """The `TestClient(app)` of Starlette and FastAPI."""
        from .starlette import starlette_client

        _, cookies, url = self._made(app, username, person)
        return starlette_client(app, cookies, url)

    fastapi = starlette

    def django(
        self, username: str | None = None, *, app: object = None, **person: Unpack[Person]
    ) -> Any:
        """Django's `Client()`, through the middleware.

        `app`: the wrapped application, if the settings do not name it (`WSGI_APPLICATION`, or
        `ASGI_APPLICATION`).
        """
        from django.test import Client

        return self._of_django(Client, username, app, person)

    def django_async(
        self, username: str | None = None, *, app: object = None, **person: Unpack[Person]
    ) -> Any:
        """Django's `AsyncClient()`, likewise."""
        from django.test import AsyncClient

        return self._of_django(AsyncClient, username, app, person)

    def drf(
        self, username: str | None = None, *, app: object = None, **person: Unpack[Person]
    ) -> Any:
        """The `APIClient()` of Django REST framework, likewise."""
        from rest_framework.test import APIClient

        return self._of_django(APIClient, username, app, person)

    @overload
    def httpx(
        self, app: "ASGIApp", username: str | None = None, **person: Unpack[Person]
    ) -> "httpx2.AsyncClient": ...

    @overload
    def httpx(
        self, app: "WSGIApplication", username: str | None = None, **person: Unpack[Person]
    ) -> "httpx2.Client": ...

    def httpx(self, app: Any, username: str | None = None, **person: Unpack[Person]) -> Any:
        """HTTPX's client without a server: an `AsyncClient` of an ASGI app, a `Client` of WSGI."""
        from .httpx import asgi_client, wsgi_client

        _, cookies, url = self._made(app, username, person)
        is_wsgi = isinstance(self._pointing.point(app), AmplifyWSGIMiddleware)
        return (wsgi_client if is_wsgi else asgi_client)(app, cookies, url)

    def wsgi(
        self, app: "WSGIApplication", username: str | None = None, **person: Unpack[Person]
    ) -> "Client":
        """Werkzeug's `Client(app)`, for any WSGI app: Bottle's, Pyramid's, Falcon's."""
        from .wsgi import wsgi_client

        _, cookies, url = self._made(app, username, person)
        return wsgi_client(app, cookies, url)

    def cookies(self, app: object, username: str, **person: Unpack[Person]) -> dict[str, str]:
        """The cookies of a new session by their names, for a client of any other kind.

        `app`: or the configuration of one in another process, from `amplify_pool.config()`.
        """
        _, cookies, _ = self._made(app, username, person)
        return {cookie.name: cookie.value for cookie in cookies}

    def serve(self, app: object) -> str:
        """Serve an app on this machine until `close()`, and return its address.

        Such as `http://127.0.0.1:40123`. Werkzeug serves WSGI apps, Uvicorn ASGI apps.
        """
        known = self._served.get(id(app))
        if known is not None:
            return known[1]
        is_wsgi = isinstance(self._pointing.point(app), AmplifyWSGIMiddleware)
        url, end = (serve_wsgi if is_wsgi else serve_asgi)(app)
        self._ends.callback(end)
        self._served[id(app)] = app, url
        self._move(app, url)
        return url

    def browser(
        self,
        page: T,
        app: object,
        username: str | None = None,
        *,
        url: str | None = None,
        **person: Unpack[Person],
    ) -> T:
        """Sign a browser in: `page` is Playwright's, or a whole context. Returns it.

        `url`: the address at which this process serves the app; None: that of `serve`. It is the
        origin of the sign-in routes meanwhile, so that signing in and out works there, too. For a
        server in another process, give its `url`, and its configuration as `app`. With Playwright's
        awaited objects write `browser_cookies`.
        """
        cookies = self.browser_cookies(app, username, url=url, **person)
        context: Any = getattr(page, "context", page)
        context.add_cookies(cookies)
        return page

    def browser_cookies(
        self,
        app: object,
        username: str | None = None,
        *,
        url: str | None = None,
        **person: Unpack[Person],
    ) -> list[Any]:
        """The cookies for Playwright's `context.add_cookies(...)`, likewise."""
        site = self.serve(app) if url is None else url
        self._move(app, site)
        return browser_cookies(self._made(app, username, person)[1], site)

    def _move(self, app: object, url: str) -> None:
        """Have the app's middlewares know that it is at this address."""
        self.point(app, **served_at(self.point(app), url))

    def _of_django(self, kind: Any, username: str | None, app: object, person: Person) -> Any:
        from .django import client_of, project_application

        config, cookies, _ = self._made(app or project_application(), username, person)
        return client_of(kind, config, cookies)

    def _made(self, app: object, username: str | None, person: Person) -> _Made:
        config = self.point(app)
        url = home_of(config)
        if username is None:
            if person:
                raise TypeError(f"amplify_client: {', '.join(person)}: of whom? Write a username")
            return config, [], url
        audience = config.audience[0] if config.audience else None
        tokens = tokens_of(self.pool, username, person, audience)
        return config, cookies_of(config, tokens), url
