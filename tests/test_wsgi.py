"""What only the WSGI shell does: PEP 3333, to the letter."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    NotAuthorizedException,
    get_current_user,
    require_auth,
)
from amplify_mw.context import CURRENT
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
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
    assert server.calls == [("200 OK", []), ("500 Oops", [], failure)]


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


def test_an_error_at_the_first_item_gets_the_guards_answer(wrap: Any, pool: LocalUserPool) -> None:
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


def test_a_context_that_the_app_copied_keeps_its_user(wrap: Any, pool: LocalUserPool) -> None:
    kept = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(copy_context())
        start_response("200 OK", [])
        return []

    wrap(app)(environ(pool), Server().start_response)
    assert kept[0].run(name) == b"ada"


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
            waiting.set()
            yield items.get(timeout=10)

        def close(self) -> None:
            super().close()
            items.put(b"last")

    body = Waiting()
    response = wrap(closing_app(body))(environ(pool), Server().start_response)
    thread = threading.Thread(target=lambda: next(iter(response)))
    thread.start()
    assert waiting.wait(10)
    response.close()
    thread.join(10)
    assert body.closed == [b"ada"]
