"""Werkzeug's test client, which Flask's is made of, for a signed-in user.

Rules:
- Requests for a path are made at the site's own address, unless the test names another one.
- If the middleware is around a Flask app and not in it, requests go through the middleware.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from werkzeug.test import Client

from .cookies import Cookie

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def wsgi_client(app: "WSGIApplication", cookies: Iterable[Cookie], url: str) -> Client:
    """Werkzeug's client of any WSGI app."""
    client = at_home(Client, url)(app)
    fill(client, cookies, url)
    return client


def at_home(kind: type[Client], url: str) -> type[Client]:
    """A client's class whose requests are made at `url`."""

    class Home(kind):  # type: ignore[valid-type, misc]  # a class of the app's own
        def open(self, *args: Any, **kwargs: Any) -> Any:
            return super().open(*args, **_at(url, args, kwargs))

        def session_transaction(self, *args: Any, **kwargs: Any) -> Any:  # Flask's
            return super().session_transaction(*args, **_at(url, args or ("/",), kwargs))

    Home.__name__ = Home.__qualname__ = kind.__name__
    return Home


def _at(url: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name of a request, at `url` if it is for a path alone."""
    path = args[0] if args else kwargs.get("path")
    is_path = isinstance(path, str) and path.startswith("/")
    if is_path and not kwargs.keys() & {"base_url", "subdomain", "url_scheme"}:
        return {**kwargs, "base_url": url}
    return kwargs


def fill(client: Client, cookies: Iterable[Cookie], url: str) -> None:
    """Give a client the cookies."""
    for cookie in cookies:
        said = cookie.attributes
        client.set_cookie(
            cookie.name,
            cookie.value,
            domain=said.get("domain") or urlsplit(url).hostname or "localhost",
            origin_only="domain" not in said,
            path=said.get("path", "/"),
        )
