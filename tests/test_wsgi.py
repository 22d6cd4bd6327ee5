"""What only the WSGI shell does: PEP 3333, to the letter."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from asgiref.testing import ApplicationCommunicator
from asgiref.wsgi import WsgiToAsgi
from werkzeug.test import create_environ, run_wsgi_app

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthError,
    NotAuthorizedException,
    OutsideRequestError,
    SealedSession,
    StoredSession,
    TokenSession,
    get_current_user,
    require_auth,
    start_session,
)
from amplify_mw.engine.context import CURRENT
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.shells import Ask, WSGIShell

SHELL = WSGIShell()
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server:
    """As much of a WSGI server as these tests look at."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        self.headers_sent = False

    def start_response(self, status: str, headers: Any, *exc_info: Any) -> Any:
        if exc_info and exc_info[0] and self.headers_sent:
            raise exc_info[0][1]
        self.calls.append((status, headers, *exc_info))
        return self.written.append


def name() -> bytes:
    try:
        return get_current_user().username.encode()
    except AuthError as error:
        return error.reason.encode()


@pytest.fixture
def wrap(config: AmplifyConfig) -> Callable[[App], AmplifyWSGIMiddleware]:
    return lambda app: AmplifyWSGIMiddleware(app, config)  # type: ignore[arg-type]


def environ(pool: LocalUserPool, **more: Any) -> dict[str, Any]:
    return {**SHELL.environ(Ask(cookie=pool.mint("ada"))), **more}


def test_a_body_is_iterated_in_its_requests_context(wrap: Any, pool: LocalUserPool) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield name()
        yield name()

    body = wrap(app)(environ(pool), Server().start_response)
    seen = []
    for item in body:
        assert CURRENT.get() is None, "the server's own context has a user"
        seen.append(item)
    assert seen == [b"ada", b"ada"]


def test_start_response_may_come_with_the_first_item(wrap: Any, pool: LocalUserPool) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        item = name()
        start_response("200 OK", [])
        yield item

    server = Server()
    assert list(wrap(app)(environ(pool), server.start_response)) == [b"ada"]
    assert ("Vary", "Cookie") in server.calls[0][1]


def test_start_response_may_be_called_again_with_exc_info(wrap: Any, pool: LocalUserPool) -> None:
    failure = (ValueError, ValueError("late"), None)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 Oops", [], failure)
        return []

    server = Server()
    wrap(app)(environ(pool), server.start_response)
    assert server.calls == [("500 Oops", [])]  # it has heard of no other


def test_start_response_may_not_be_called_again_without_exc_info(
    wrap: Any, pool: LocalUserPool
) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="twice"):
        wrap(app)(environ(pool), Server().start_response)


def test_what_comes_after_a_start_that_has_gone_is_the_servers_to_judge(
    wrap: Any, pool: LocalUserPool
) -> None:
    failure = (ValueError, ValueError("late"), None)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        start_response("500 Oops", [], failure)(b"written")
        yield b"sorry"

    server = Server()
    body = wrap(app)(environ(pool), server.start_response)
    assert list(body) == [b"", b"sorry"]
    assert server.calls == [("200 OK", []), ("500 Oops", [], failure)]
    assert server.written == [b"written"]


def streaming_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield name()


def test_a_streams_start_is_with_the_server_when_the_app_returns(
    wrap: Any, pool: LocalUserPool
) -> None:
    """There granian takes it, whatever comes later."""
    server = Server()
    body = wrap(streaming_app)(environ(pool), server.start_response)
    assert [status for status, _ in server.calls] == ["200 OK"]
    assert list(body) == [b"ada"]


def test_what_the_first_step_asks_for_is_said_in_the_headers(
    wrap: Any, pool: LocalUserPool
) -> None:
    server = Server()
    wrap(streaming_app)(environ(pool), server.start_response)
    assert set(server.calls[0][1]) == {("Vary", "Cookie"), ("Cache-Control", "private")}


def test_a_first_item_is_not_waited_for_longer_than_it_takes(
    wrap: Any, pool: LocalUserPool
) -> None:
    """An event stream's next item may come much later."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise AssertionError("asked for the second")

    body = wrap(app)(environ(pool), Server().start_response)
    assert next(body) == b"first"


@pytest.mark.parametrize("items", [[], [b""], [b"", b"late"]])
def test_a_body_without_a_first_item_gives_an_empty_one(
    wrap: Any, pool: LocalUserPool, items: list[bytes]
) -> None:
    """hypercorn sends a start with the first item."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield from items

    server = Server()
    assert list(wrap(app)(environ(pool), server.start_response)) == (items or [b""])
    assert len(server.calls) == 1


def test_a_first_step_that_fails_closes_the_body_and_starts_nothing(
    wrap: Any, pool: LocalUserPool
) -> None:
    class Failing(Closing):
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError("broken")

    body, server = Failing(), Server()
    with pytest.raises(ValueError, match="broken"):
        wrap(closing_app(body))(environ(pool), server.start_response)
    assert (body.closed, server.calls) == ([b"ada"], [])
    assert CURRENT.get() is None


def test_a_server_that_refuses_the_start_closes_the_body(wrap: Any, pool: LocalUserPool) -> None:
    def refuse(status: str, headers: Any, *exc_info: Any) -> Any:
        raise ValueError("a bad header")

    body = Closing()
    with pytest.raises(ValueError, match="a bad header"):
        wrap(closing_app(body))(environ(pool), refuse)
    assert body.closed == [b"ada"]


@pytest.mark.parametrize("path", ["/", "/private", "/raises", "/stream", "/late"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_app_and_a_server_that_keep_to_the_letter_are_content(
    config: AmplifyConfig, pool: LocalUserPool, path: str, method: str
) -> None:
    def inner(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/raises":
            raise NotAuthorizedException(reason="no_session")
        return streamed(environ, start_response)

    def streamed(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/late":
            yield b""
            require_auth(groups=["admins"])(name)()
        elif environ["PATH_INFO"] == "/stream":
            require_auth(groups=["admins"])(name)()
        yield b"" if environ["REQUEST_METHOD"] == "HEAD" else b"done"

    app = AmplifyWSGIMiddleware(validator(inner), config, protect=["/private"])
    given = environ(pool, PATH_INFO=path, REQUEST_METHOD=method)
    setup_testing_defaults(given)
    if path == "/private":
        del given["HTTP_COOKIE"]
    server = Server()
    body = validator(app)(given, server.start_response)
    content = b"".join(body)
    body.close()
    status = server.calls[-1][0]
    assert status[:3] == {"/": "200", "/private": "401", "/raises": "401"}.get(path, "403")
    assert (content == b"") is (method == "HEAD")


def answers_of_our_own(pool: LocalUserPool) -> Iterator[tuple[dict[str, Any], str]]:
    nobody = {**SHELL.environ(Ask()), "PATH_INFO": "/private"}
    yield nobody, "401"
    yield {**nobody, "REQUEST_METHOD": "HEAD"}, "401"
    yield {**nobody, "HTTP_ACCEPT": "text/html"}, "302"
    yield environ(pool, REQUEST_METHOD="POST", HTTP_SEC_FETCH_SITE="cross-site"), "403"


def test_every_answer_of_the_librarys_own_has_one_item(pool: LocalUserPool) -> None:
    """hypercorn sends a start with the first item."""
    config = pool.config(protect=["/private"], login_url="/login")
    app = AmplifyWSGIMiddleware(streaming_app, config)
    for given, status in answers_of_our_own(pool):
        server = Server()
        body = app(given, server.start_response)
        assert (server.calls[0][0][:3], len(list(body))) == (status, 1)


def test_what_is_written_goes_at_once_with_the_headers_of_the_visit(
    wrap: Any, pool: LocalUserPool
) -> None:
    server = Server()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(name())
        assert server.written == [b"ada"]
        assert ("Vary", "Cookie") in server.calls[0][1]
        return [b"and more"]

    assert wrap(app)(environ(pool), server.start_response) == [b"and more"]
    assert len(server.calls) == 1


def test_the_write_callable_is_the_servers_own(wrap: Any, pool: LocalUserPool) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(name())
        return []

    server = Server()
    wrap(app)(environ(pool), server.start_response)
    assert server.written == [b"ada"]


class Closing:
    """A body that counts its closings, and knows who was signed in then."""

    def __init__(self) -> None:
        self.closed: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    def close(self) -> None:
        self.closed.append(name())


def closing_app(body: Closing) -> App:
    def app(environ: Any, start_response: Any) -> Closing:
        start_response("200 OK", [])
        return body

    return app


def test_close_is_called_once_in_the_requests_context(wrap: Any, pool: LocalUserPool) -> None:
    body = Closing()
    response = wrap(closing_app(body))(environ(pool), Server().start_response)
    assert list(response) == [b"one", b"two"]
    response.close()
    response.close()
    assert body.closed == [b"ada"]


def test_a_client_that_goes_away_still_closes_the_body(wrap: Any, pool: LocalUserPool) -> None:
    body = Closing()
    response = wrap(closing_app(body))(environ(pool), Server().start_response)
    next(iter(response))
    response.close()
    assert body.closed == [b"ada"]
    assert CURRENT.get() is None


def test_nothing_depends_on_close(wrap: Any, pool: LocalUserPool) -> None:
    list(wrap(closing_app(Closing()))(environ(pool), Server().start_response))
    assert CURRENT.get() is None


@pytest.mark.parametrize("body", [[b"one"], (b"one",), []])
def test_a_finished_body_is_handed_on_untouched(wrap: Any, pool: LocalUserPool, body: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    assert wrap(app)(environ(pool), Server().start_response) is body


def test_the_servers_file_wrapper_is_handed_on_untouched(wrap: Any, pool: LocalUserPool) -> None:
    with open(__file__, "rb") as file:
        wrapper = FileWrapper(file)

        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return wrapper

        given = environ(pool, **{"wsgi.file_wrapper": FileWrapper})
        assert wrap(app)(given, Server().start_response) is wrapper


def test_a_body_can_be_stepped_through_and_can_go_on_after_an_error(
    wrap: Any, pool: LocalUserPool
) -> None:
    class Stumbling:
        def __init__(self) -> None:
            self.steps = iter((b"1", ValueError("once"), b"2"))

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            step = next(self.steps)
            if isinstance(step, ValueError):
                raise step
            return step

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return Stumbling()

    body = wrap(app)(environ(pool), Server().start_response)
    assert iter(body) is body
    assert next(body) == b"1"
    with pytest.raises(ValueError, match="once"):
        next(body)
    assert list(body) == [b"2"]
    assert list(body) == []


def test_the_guards_answer_is_sent_once_however_often_a_body_is_iterated(
    wrap: Any, pool: LocalUserPool
) -> None:
    class Refusing:
        def __iter__(self) -> Iterator[bytes]:
            raise NotAuthorizedException(reason="no_cookie")

    def app(environ: Any, start_response: Any) -> Any:
        return Refusing()

    server = Server()
    body = wrap(app)(environ(pool), server.start_response)
    assert len([*body, *body, *body]) == 1
    assert [call[0] for call in server.calls] == ["401 Unauthorized"]


def test_an_error_after_an_empty_item_gets_the_guards_answer(
    wrap: Any, pool: LocalUserPool
) -> None:
    @require_auth(groups=["admins"])
    def secret() -> bytes:
        raise AssertionError("called")

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        yield secret()

    server = Server()
    body = b"".join(wrap(app)(environ(pool), server.start_response))
    assert [call[0] for call in server.calls] == ["200 OK", "403 Forbidden"]
    assert b'"status": 403' in body


def test_of_an_error_in_the_first_step_the_server_hears_the_guards_answer_alone(
    wrap: Any, pool: LocalUserPool
) -> None:
    """Some servers send the status they were told first, and another's body."""

    class Refusing(Closing):
        def __iter__(self) -> Iterator[bytes]:
            yield require_auth(groups=["admins"])(name)()

    body, server = Refusing(), Server()
    response = wrap(closing_app(body))(environ(pool), server.start_response)
    [(status, headers)] = server.calls
    assert status == "403 Forbidden"
    content = b"".join(response)
    assert dict(headers)["Content-Length"] == str(len(content))
    response.close()
    assert body.closed == [b"ada"]


def test_an_error_after_the_first_bytes_is_the_servers(wrap: Any, pool: LocalUserPool) -> None:
    @require_auth(groups=["admins"])
    def secret() -> bytes:
        raise AssertionError("called")

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        yield secret()

    with pytest.raises(AuthError):
        list(wrap(app)(environ(pool), Server().start_response))
    assert CURRENT.get() is None


def test_an_error_after_written_bytes_is_the_servers(wrap: Any, pool: LocalUserPool) -> None:
    server = Server()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"begun")
        server.headers_sent = True
        return [require_auth(groups=["admins"])(name)()]

    with pytest.raises(AuthError):
        wrap(app)(environ(pool), server.start_response)


def test_a_context_that_the_app_copied_has_no_user_afterwards(
    wrap: Any, pool: LocalUserPool
) -> None:
    kept = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(copy_context())
        start_response("200 OK", [])
        return []

    wrap(app)(environ(pool), Server().start_response)
    with pytest.raises(OutsideRequestError, match="is over"):
        kept[0].run(name)


def test_a_cookie_header_that_is_no_latin_1_is_anonymous(wrap: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [name()]

    given = {**SHELL.environ(Ask()), "HTTP_COOKIE": "amplify-session=\N{SNOWMAN}"}
    assert wrap(app)(given, Server().start_response) == [b"malformed_token"]


def test_a_path_that_is_no_utf_8_does_not_get_around_the_guard(config: AmplifyConfig) -> None:
    """Bottle drops such bytes, Flask replaces them: `/acc\\xffount` would be `/account` there."""
    app = AmplifyWSGIMiddleware(closing_app(Closing()), config, protect=["/account"])
    server = Server()
    app({**SHELL.environ(Ask()), "PATH_INFO": "/acc\xffount"}, server.start_response)
    assert server.calls[0][0] == "401 Unauthorized"


def test_a_copied_environ_with_another_cookie_is_another_request(
    wrap: Any, pool: LocalUserPool
) -> None:
    pool.add_user("grace")

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [name()]

    wrapped = wrap(inner)

    def outer(environ: Any, start_response: Any) -> Any:
        cookie = f"amplify-session={pool.mint('grace')}"
        return wrapped({**environ, "HTTP_COOKIE": cookie}, start_response)

    assert wrap(outer)(environ(pool), Server().start_response) == [b"grace"]


def test_close_reaches_a_body_whose_next_item_another_thread_waits_for(
    wrap: Any, pool: LocalUserPool
) -> None:
    items: queue.Queue[bytes] = queue.Queue()
    waiting = threading.Event()

    class Waiting(Closing):
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            waiting.set()
            yield items.get(timeout=PATIENCE)

        def close(self) -> None:
            super().close()
            items.put(b"last")

    body = Waiting()
    response = wrap(closing_app(body))(environ(pool), Server().start_response)
    assert next(response) == b"first"
    thread = threading.Thread(target=lambda: next(response))
    thread.start()
    assert waiting.wait(PATIENCE)
    response.close()
    thread.join(PATIENCE)
    assert body.closed == [b"ada"]


@pytest.mark.parametrize("kind", ["token", "sealed", "stored", "amplify"])
def test_cookies_that_an_adapter_joins_by_a_comma_are_not_cleared(
    pool: LocalUserPool, kind: str
) -> None:
    # An HTTP/2 server hands each cookie over by itself; the adapter makes one header of them.
    sessions: dict[str, Any] = {
        "token": TokenSession(),
        "sealed": SealedSession(keys=[bytes(32)]),
        "stored": StoredSession(MemoryStore()),
        "amplify": AmplifyCookies(),
    }

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/enter":
            start_session(pool.sign_in("ada"))
        start_response("200 OK", [])
        return [name()]

    inside = AmplifyWSGIMiddleware(app, pool.config(session=sessions[kind]))
    body, _, headers = run_wsgi_app(inside, create_environ("/enter"))
    assert b"".join(body) == b"ada"
    crumbs = [line.partition(";")[0].encode() for line in headers.getlist("Set-Cookie")]
    for cookies in ([*crumbs, b"lang=de"], [b"theme=dark", *crumbs], crumbs * 2):
        got = asyncio.run(ask(WsgiToAsgi(inside), cookies))
        assert got["body"] == b"no_session"
        assert not [key for key, _ in got["headers"] if key.lower() == b"set-cookie"]


async def ask(app: Any, cookies: list[bytes]) -> dict[str, Any]:
    """The answer to a request with `Cookie` fields of their own for each cookie."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "2",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"app.example.com"), *((b"cookie", each) for each in cookies)],
    }
    communicator = ApplicationCommunicator(app, scope)
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(10)
    body = await communicator.receive_output(10)
    await communicator.wait()
    return {"headers": start["headers"], "body": body["body"]}
