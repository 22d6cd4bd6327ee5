"""`integrations.answer_for`: the middleware's own answer, for a framework's error handler."""

import asyncio
from typing import Any

import pytest

from amplify_mw import (
    AuthError,
    ForbiddenException,
    InvalidRequestException,
    NetworkError,
    NotAuthorizedException,
    get_current_user,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations import answer_for, refuse_socket
from amplify_mw.testing import LocalUserPool
from tests.shells import AppAnswer, ASGIShell, Ask, Shell, WSGIShell, shells

shell = shells(WSGIShell, ASGIShell)


def test_it_is_the_very_answer_of_the_middleware(shell: Shell, pool: LocalUserPool) -> None:
    """To a program and to a browser, with and without a broken cookie."""
    config = pool.config(login_url="/login")
    asks = [
        Ask("/account", headers=headers, cookie=cookie)
        for headers in ({}, {"Accept": "text/html"})
        for cookie in (None, "junk")
    ]
    for ask in asks:
        request: Any = shell.environ(ask) if isinstance(shell, WSGIShell) else shell.scope(ask)

        def handled(request: Any = request) -> AppAnswer:
            try:
                return AppAnswer(get_current_user().username)
            except AuthError as error:
                answer = answer_for(request, error)
                return AppAnswer(answer.body.decode(), list(answer.headers), answer.status)

        def left_alone() -> str:
            return get_current_user().username

        got, expected = (
            shell.send(shell.middleware(shell.app(handler), config), ask)
            for handler in (handled, left_alone)
        )
        assert (got.status, got.body) == (expected.status, expected.body)
        assert sorted((n.lower(), v) for n, v in got.headers) == sorted(
            (n.lower(), v) for n, v in expected.headers
        )


def test_without_a_middleware_the_error_stays_an_error() -> None:
    error = AuthError(reason="no_session")
    with pytest.raises(AuthError) as raised:
        answer_for({"type": "http"}, error)
    assert raised.value is error


def socket_messages(pool: LocalUserPool, app: Any, *extensions: str) -> list[Any]:
    """What a server is sent by an app behind the middleware, for a WebSocket."""
    sent: list[Any] = []
    scope = {"type": "websocket", "path": "/socket", "query_string": b"", "headers": []}

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope["extensions"] = {name: {} for name in extensions}
    asyncio.run(AmplifyASGIMiddleware(app, pool.config())(scope, receive, send))
    return sent


def refusing(*, accepted: bool, error: AuthError | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if accepted:
            await send({"type": "websocket.accept"})
        try:
            if error is not None:
                raise error
            get_current_user()
        except AuthError as raised:
            await refuse_socket(scope, send, raised, accepted=accepted)

    return app


def test_a_socket_that_is_not_accepted_gets_the_very_answer(pool: LocalUserPool) -> None:
    async def left_alone(scope: Any, receive: Any, send: Any) -> None:
        get_current_user()

    for extensions in ([], ["websocket.http.response"]):
        got, expected = (
            socket_messages(pool, app, *extensions)
            for app in (refusing(accepted=False), left_alone)
        )
        assert got == expected
        assert got[0].get("status") == (401 if extensions else None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotAuthorizedException(reason="no_session"), 3000),
        (ForbiddenException(reason="missing_group"), 3003),
        (InvalidRequestException(reason="malformed_header"), 1008),
        (NetworkError(reason="keys_unavailable"), 1013),
        (AuthError(reason="cognito_error"), 1011),
    ],
    ids=lambda value: str(getattr(value, "reason", value)),
)
def test_an_accepted_socket_is_closed_with_a_code(
    pool: LocalUserPool, error: AuthError, code: int
) -> None:
    messages = socket_messages(pool, refusing(accepted=True, error=error))
    assert messages[1:] == [{"type": "websocket.close", "code": code}]


@pytest.mark.parametrize("accepted", [False, True])
def test_without_a_middleware_a_socket_is_not_refused(accepted: bool) -> None:
    async def send(message: Any) -> None:
        raise AssertionError(message)

    error = AuthError(reason="no_session")
    with pytest.raises(AuthError) as raised:
        asyncio.run(refuse_socket({"type": "websocket"}, send, error, accepted=accepted))
    assert raised.value is error
