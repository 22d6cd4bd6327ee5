"""PEP 3333, as `wsgiref.validate` reads it, on both sides of the WSGI shell.

The outer validator plays a strict server, the inner one a strict app, around the standard library's
own server. An answer that breaks a rule raises `AssertionError`; a body that nobody closes, a
warning.
"""

import json
import sys
from io import BytesIO, StringIO
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client

from amplify_mw import AmplifyConfig, NotAuthorizedException, get_current_user, require_auth
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Down
from amplify_mw.wsgi import AmplifyWSGIMiddleware

TEXT = [("Content-Type", "text/plain")]


class Server(SimpleHandler):
    """The standard library's way to run an app, which lets errors through."""

    wsgi_run_once = False
    os_environ: dict[str, str] = {}  # noqa: RUF012  # declared so by the base class

    def handle_error(self) -> None:
        raise  # it is called while an exception is being handled


class Output(BytesIO):
    """What the server sent."""

    @property
    def head(self) -> str:
        return self.getvalue().partition(b"\r\n\r\n")[0].decode()

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def body(self) -> bytes:
        return self.getvalue().partition(b"\r\n\r\n")[2]


class Gone(Output):
    """A client that goes away after the first part of the body."""

    def write(self, data: Any) -> int:
        if self.getvalue().endswith(b"hello "):
            raise BrokenPipeError
        return super().write(data)


def serve(app: Any, cookie: str | None = None, output: Output | None = None, **more: str) -> Output:
    """Serve one request, with the outer validator around `app`."""
    output = output or Output()
    environ: dict[str, Any] = {"QUERY_STRING": "", **more}
    if cookie is not None:
        environ["HTTP_COOKIE"] = f"theme=dark; amplify-session={cookie}"
    setup_testing_defaults(environ)
    Server(BytesIO(), output, StringIO(), environ).run(validator(app))
    return output


def bare(app: Any) -> Any:
    """No inner validator, which would turn every body into an iterator of its own."""
    return app


@pytest.fixture(params=[validator, bare], ids=["inner validator", "bare app"])
def inner(request: pytest.FixtureRequest) -> Any:
    return request.param


def whoami() -> bytes:
    try:
        return get_current_user().username.encode()
    except NotAuthorizedException:
        return b"nobody"


@require_auth
def secret() -> bytes:
    return b"secret"


# --- apps that answer anybody


def listed(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [b"hello ", whoami()]


def streamed(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return (part() for part in (lambda: b"hello ", whoami))


def started_late(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    yield b"hello "
    yield whoami()


def started_again(environ: Any, start_response: Any) -> Any:
    start_response("500 Not this one", TEXT)
    try:
        raise LookupError
    except LookupError:
        start_response("200 OK", TEXT, sys.exc_info())
    return [b"hello ", whoami()]


def written(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", TEXT)
    write(b"hello ")
    return [whoami()]


def filed(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](BytesIO(b"hello " + whoami()), 6)


ANSWERING = [listed, streamed, started_late, started_again, written, filed]


@pytest.mark.parametrize("app", ANSWERING)
def test_a_users_response_is_valid(
    app: Any, inner: Any, pool: LocalUserPool, config: AmplifyConfig
) -> None:
    output = serve(AmplifyWSGIMiddleware(inner(app), config), pool.mint("ada"))
    assert (output.status, output.body) == (200, b"hello ada")


@pytest.mark.parametrize("app", ANSWERING)
def test_an_invalid_cookies_response_is_valid_and_clears_it(
    app: Any, inner: Any, config: AmplifyConfig
) -> None:
    output = serve(AmplifyWSGIMiddleware(inner(app), config), "no.such.token")
    assert (output.status, output.body) == (200, b"hello nobody")
    assert "set-cookie: amplify-session=; " in output.head.lower()


@pytest.mark.parametrize("app", ANSWERING)
def test_a_response_whose_client_goes_away_is_valid_and_closed(
    app: Any, inner: Any, pool: LocalUserPool, config: AmplifyConfig
) -> None:
    output = serve(AmplifyWSGIMiddleware(inner(app), config), pool.mint("ada"), Gone())
    assert output.body == b"hello "


# --- apps whose guard refuses


def refusing_at_once(environ: Any, start_response: Any) -> Any:
    return [secret()]


def refusing_once_started(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [secret()]


def refusing_in_the_first_step(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    yield secret()


REFUSING = [refusing_at_once, refusing_once_started, refusing_in_the_first_step]


@pytest.mark.parametrize("app", REFUSING)
def test_the_answer_to_an_escaping_auth_error_is_valid(
    app: Any, inner: Any, config: AmplifyConfig
) -> None:
    output = serve(AmplifyWSGIMiddleware(inner(app), config))
    assert output.status == 401
    assert json.loads(output.body)["status"] == 401


def test_an_auth_error_after_the_first_bytes_reaches_the_server(
    inner: Any, config: AmplifyConfig
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)(b"some of it")
        return [secret()]

    with pytest.raises(NotAuthorizedException):
        serve(AmplifyWSGIMiddleware(inner(app), config))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_the_guards_own_answer_is_valid(method: str, inner: Any, config: AmplifyConfig) -> None:
    app = AmplifyWSGIMiddleware(inner(listed), config, protect=["/*"])
    output = serve(app, REQUEST_METHOD=method)
    assert output.status == 401
    assert bool(output.body) is (method != "HEAD")


def test_the_guards_redirect_is_valid(inner: Any, config: AmplifyConfig) -> None:
    app = AmplifyWSGIMiddleware(inner(listed), config, protect=["/*"], login_url="/login")
    output = serve(app, HTTP_ACCEPT="text/html")
    assert output.status == 302
    assert "Location: /login?next=" in output.head


def test_the_answer_to_an_outage_is_valid_and_keeps_the_cookie(
    inner: Any, pool: LocalUserPool, config: AmplifyConfig
) -> None:
    app = AmplifyWSGIMiddleware(inner(listed), config, protect=["/*"])
    with pool.fault("jwks", Down()):
        output = serve(app, pool.mint("ada"))
    assert output.status == 503
    assert "set-cookie" not in output.head.lower()


def test_an_auth_error_before_the_start_is_answered_in_werkzeugs_test_client_too(
    config: AmplifyConfig,
) -> None:
    # That client raises whatever comes as `exc_info`, even before a response has begun.
    client = Client(AmplifyWSGIMiddleware(refusing_at_once, config))
    assert client.get("/").status_code == 401
