"""The cookies of a user's session, as the app's own middleware sets them.

Rules:
- A small app behind a middleware of the same configuration starts the session, so that its kind,
  its store, and the cookie's name and attributes are right.
- It runs on a thread of its own, in an empty context: a test may be in an event loop, or within
  `signed_in`.
- A browser sends `Secure` cookies to this machine over plain http, and a test client would not: for
  such an address the attribute is left out.
"""

from contextvars import Context
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ...config.config import AmplifyConfig
from ...models.session import TokenSet
from ...sessions.token import TokenSession
from ...verbs.start import start_session
from ...wsgi import AmplifyWSGIMiddleware


class Cookie(NamedTuple):
    """A cookie that the middleware has set. `attributes`: by their names in lower case."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def of(cls, line: str) -> "Cookie":
        """The cookie of a `Set-Cookie` line.

        >>> Cookie.of("sid=abc; Secure; Path=/").attributes
        {'secure': '', 'path': '/'}
        """
        pair, *rest = line.split("; ")
        name, _, value = pair.partition("=")
        attributes = [text.partition("=") for text in rest]
        return cls(name, value, {key.lower(): text for key, _, text in attributes})

    @property
    def line(self) -> str:
        """The `Set-Cookie` line."""
        said = [f"{name}={text}" if text else name for name, text in self.attributes.items()]
        return "; ".join([f"{self.name}={self.value}", *said])

    @property
    def is_end(self) -> bool:
        """Whether it ends a cookie."""
        return self.attributes.get("max-age") == "0"

    def at(self, url: str) -> "Cookie":
        """The cookie for clients without a browser's rule for this machine."""
        if urlsplit(url).scheme == "https":
            return self
        kept = {name: text for name, text in self.attributes.items() if name != "secure"}
        return self._replace(attributes=kept)

    def __repr__(self) -> str:
        return f"<Cookie {self.name!r}>"


def cookies_of(config: AmplifyConfig, tokens: TokenSet) -> list[Cookie]:
    """The cookies of a new session with these tokens. Raises what `start_session` raises."""
    kind = config.kind
    if isinstance(kind, TokenSession) and kind.verify_with_cognito_every is not None:
        # Cognito is asked with an access token, which another site than this one puts there.
        return [Cookie.of(config.cookie.setting(tokens.access_token))]
    bare = config.replace(
        protect=(), public=(), ignore=(), routes=None, login_url=None, resource_metadata=None
    )
    lines: list[str] = []
    failures: list[BaseException] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:  # noqa: ARG001
        try:
            start_session(tokens, user_agent="a test", allow_cross_site=True)
        except Exception as error:  # noqa: BLE001  # the middleware would answer it
            failures.append(error)
        start_response("204 No Content", [])
        return [b""]

    def ask() -> None:
        from werkzeug.test import EnvironBuilder

        def start(*start: Any) -> Any:
            lines.extend(value for name, value in start[1] if name == "Set-Cookie")

        try:
            environ = EnvironBuilder(base_url=home_of(config)).get_environ()
            list(AmplifyWSGIMiddleware(app, bare)(environ, start))
        except BaseException as error:  # noqa: BLE001  # it goes to the test
            failures.append(error)

    thread = Thread(target=Context().run, args=(ask,), name="amplify_client")
    thread.start()
    thread.join()
    for failure in failures:
        raise failure
    return [cookie for cookie in map(Cookie.of, lines) if not cookie.is_end]


def home_of(config: AmplifyConfig) -> str:
    """The address of the site: its first configured origin, or one its cookies go to."""
    configured = [] if config.routes is None else [config.routes.origin]
    for origin in (*configured, *config.origins):
        if urlsplit(origin).scheme in ("http", "https"):
            return origin
    host = config.cookie.domain or "localhost"
    return f"{'https' if config.cookie.secure else 'http'}://{host}"
