"""Signing in: the cookies of sessions that last, as an app gets them from `start_session`."""

from collections.abc import Sequence

from amplify_mw import start_session
from amplify_mw.engine.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .requests import environ
from .tokens import COOKIE


def sign_in(engine: Engine, sets: Sequence[dict[str, str]]) -> list[str]:
    """The session cookies that the users with these tokens are given, one cookie each."""
    values = []

    def app(environ, start_response):
        start_session(environ["benchmark.tokens"])
        start_response("204 No Content", [])
        return []

    def start_response(status, headers, exc_info=None):
        assert status.startswith("204"), status
        (line,) = [value for name, value in headers if name.lower() == "set-cookie"]
        name, _, value = line.partition(";")[0].partition("=")
        assert name == COOKIE.decode()
        values.append(value)

    middleware = AmplifyWSGIMiddleware(app, engine)
    for tokens in sets:
        list(middleware({**environ(None), "benchmark.tokens": tokens}, start_response))
    assert len(values) == len(sets)
    return values
