"""`integrations.answer_for`: the middleware's own answer, for a framework's error handler."""

from typing import Any

import pytest

from amplify_mw import AuthError, get_current_user
from amplify_mw.integrations import answer_for
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
