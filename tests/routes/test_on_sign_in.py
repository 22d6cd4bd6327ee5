"""`AuthRoutes(on_sign_in=...)`: the app's say in each sign-in, before it begins."""

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from amplify_mw import (
    AuthRoutes,
    ConfigurationError,
    ForbiddenException,
    NetworkError,
    NewSignIn,
    NotAuthorizedException,
    SignInFailure,
)
from amplify_mw.events import SignedIn, SignInFailed
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.routes.conftest import Build
from tests.routes.going import ORIGIN, Visitor, auth_routes, code_of, hop_of, pool_of
from tests.shells import ASGIShell, Got, WSGIShell
from tests.sites import KINDS

SECRET = "ada@example.com"  # in the text of an error


class Broken(Exception):
    pass


def raising(error: Exception) -> Callable[[NewSignIn], None]:
    def listener(sign_in: NewSignIn) -> None:
        raise error

    return listener


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_once_with_user_attributes_and_tokens(build: Build, kind: str) -> None:
    told: list[NewSignIn] = []
    visitor = Visitor(build(kind, routes={"on_sign_in": told.append}))
    got = visitor.sign_in(next="/orders")
    assert hop_of(got) == "/orders"
    assert visitor.user == "ada"
    [sign_in] = told
    assert (sign_in.user.username, sign_in.user.groups) == ("ada", ())
    assert sign_in.attributes["email"] == "ada@example.com"
    assert sign_in.attributes["sub"] == sign_in.user.user_id
    assert sign_in.tokens.access_token.count(".") == 2
    assert sign_in.tokens.refresh_token is not None


def test_its_repr_shows_no_token_and_no_attribute(build: Build) -> None:
    told: list[NewSignIn] = []
    Visitor(build(routes={"on_sign_in": told.append})).sign_in()
    [sign_in] = told
    assert sign_in.tokens.id_token not in repr(sign_in)
    assert SECRET not in repr(sign_in)
    assert "'ada'" in repr(sign_in)


def test_nothing_has_begun_when_it_is_called(build: Build) -> None:
    kept: list[int] = []
    visitor = Visitor(build(routes={"on_sign_in": lambda _: kept.append(len(site.kept()))}))
    site = visitor.site
    visitor.sign_in()
    assert (kept, len(site.kept())) == ([0], 1)


DENIALS = [
    PermissionError(SECRET),
    ForbiddenException(SECRET, reason="missing_group"),
    NotAuthorizedException(SECRET, reason="cognito_error"),
]


@pytest.mark.parametrize("error", DENIALS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["sealed", "memory", "token"])
def test_an_error_on_purpose_denies_the_sign_in(
    build: Build, kind: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Any] = []
    failures: list[SignInFailure] = []
    routes = {"on_sign_in": raising(error), "on_sign_in_failed": failures.append}
    visitor = Visitor(build(kind, routes=routes, on_event=events.append))
    got = visitor.sign_in(next="/orders")

    assert got.status == 403
    assert "not admitted" in got.body
    assert "<small>sign_in_denied</small>" in got.body
    assert 'href="/auth/sign-in?next=%2Forders&amp;prompt=login"' in got.body
    assert visitor.jar == {}
    assert [failure.code for failure in failures] == ["sign_in_denied"]
    assert [e.reason for e in events if isinstance(e, SignInFailed)] == ["sign_in_denied"]
    assert [e for e in events if isinstance(e, SignedIn)] == []
    said = [(r.levelname, r.getMessage()) for r in caplog.records if "sign-in failed" in r.message]
    assert said == [
        (
            "INFO",
            f"sign-in failed: sign_in_denied (on_sign_in raised {type(error).__name__}, "
            "GET '/auth/sign-in-callback')",
        )
    ]
    assert SECRET not in caplog.text + got.body
    assert "ERROR" not in {record.levelname for record in caplog.records}


FAULTS = [
    Broken("why"),
    StopIteration(),
    PermissionError(13, "Permission denied", "/var/lib/users.db"),
    NetworkError(reason="store_unavailable"),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_fault_ends_the_sign_in_and_is_logged_with_its_traceback(
    build: Build, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build(routes={"on_sign_in": raising(error)}))
    got = visitor.sign_in()
    assert (got.status, visitor.jar) == (500, {})
    assert "<small>sign_in_error</small>" in got.body
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "on_sign_in has failed, which has ended a sign-in"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_the_tokens_of_an_ended_sign_in_are_revoked_and_the_earlier_session_stays(
    build: Build, kind: str
) -> None:
    blocked = {"grace"}

    def admit(sign_in: NewSignIn) -> None:
        if sign_in.user.username in blocked:
            raise PermissionError

    site = build(kind, routes={"on_sign_in": admit})
    visitor = Visitor(site)
    visitor.sign_in("ada")
    assert visitor.sign_in("grace", prompt="login").status == 403
    site.settle()
    assert visitor.user == "ada"
    assert site.pool.count("RevokeToken") == 1


def test_a_page_of_the_apps_gets_the_code(build: Build) -> None:
    routes = {"on_sign_in": raising(PermissionError()), "on_error": "/sorry"}
    assert code_of(Visitor(build(routes=routes)).sign_in()) == "sign_in_denied"


def test_of_several_requests_with_one_code_one_calls_it(build: Build) -> None:
    told: list[NewSignIn] = []
    visitor = Visitor(build(routes={"on_sign_in": told.append}))
    back = pool_of(visitor).authorize(visitor.leave(), "ada")
    for each in (visitor.copy(), visitor.copy()):
        each.come_back(back)
    assert len(told) == 1


def test_it_is_not_asked_about_invalid_tokens(build: Build) -> None:
    told: list[NewSignIn] = []
    visitor = Visitor(build(routes={"on_sign_in": told.append}))
    with pool_of(visitor).tamper(claims={"nonce": "another"}):
        assert visitor.sign_in().status == 502
    assert told == []


# Async functions.


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_an_async_function_is_awaited_on_the_loop(build: Build) -> None:
    told: list[object] = []

    async def admit(sign_in: NewSignIn) -> None:
        await asyncio.sleep(0)
        told.extend([sign_in.user.username, threading.current_thread()])

    visitor = Visitor(build(routes={"on_sign_in": admit}))
    visitor.sign_in()
    assert told == ["ada", threading.current_thread()]
    assert visitor.user == "ada"


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_an_async_function_that_raises_denies_the_sign_in(build: Build) -> None:
    async def admit(sign_in: NewSignIn) -> None:
        await asyncio.sleep(0)
        raise PermissionError

    visitor = Visitor(build(routes={"on_sign_in": admit}))
    assert (visitor.sign_in().status, visitor.jar) == (403, {})


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_a_function_that_is_not_async_keeps_no_loop_waiting(build: Build) -> None:
    told: list[threading.Thread] = []
    Visitor(
        build(routes={"on_sign_in": lambda _: told.append(threading.current_thread())})
    ).sign_in()
    assert len(told) == 1
    assert told != [threading.current_thread()]


async def awaited(sign_in: NewSignIn) -> None: ...


class Awaited:
    async def __call__(self, sign_in: NewSignIn) -> None: ...


@pytest.mark.parametrize("listener", [awaited, Awaited()])
def test_wsgi_takes_no_async_function(pool: LocalUserPool, listener: Any) -> None:
    config = pool.config(routes=auth_routes(on_sign_in=listener))
    with pytest.raises(ConfigurationError, match="on_sign_in: WSGI awaits nothing"):
        AmplifyWSGIMiddleware(lambda *_: [], config)


@pytest.mark.parametrize("shell", [WSGIShell], indirect=True)
def test_a_check_that_wsgi_cannot_await_lets_nobody_in(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build(routes={"on_sign_in": lambda it: awaited(it)}))
    assert (visitor.sign_in().status, visitor.jar) == (500, {})
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


@pytest.mark.parametrize("listener", ["/sorry", 1, NewSignIn, []])
def test_what_is_no_function_is_refused(listener: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_sign_in: write a function that takes a NewS"):
        AuthRoutes(origin=ORIGIN, on_sign_in=listener)


def admit(sign_in: NewSignIn) -> None:
    """One of a module."""


def test_a_configuration_with_a_function_can_be_pickled(pool: LocalUserPool) -> None:
    config = pool.config(routes=auth_routes(on_sign_in=admit))
    assert pickle.loads(pickle.dumps(config)) == config
    assert config != pool.config(routes=auth_routes())


def test_a_page_that_denies_is_a_page(build: Build) -> None:
    got: Got = Visitor(build(routes={"on_sign_in": raising(PermissionError())})).sign_in()
    assert got.one("content-type") == "text/html; charset=utf-8"
    assert got.one("cache-control") == "no-store"
