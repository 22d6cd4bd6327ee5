"""`require_auth`, `handle_server_auth` and `ServerAuthManager`, with and without `await`."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from amplify_mw import (
    AmplifyConfig,
    AuthUser,
    ConfigurationError,
    ForbiddenException,
    NotAuthorizedException,
    OutsideRequestError,
    ServerAuthManager,
    UserNotConfirmedException,
    aio,
    handle_server_auth,
    require_auth,
    user_or_none,
)
from amplify_mw.authenticator import ASKED, Visit
from amplify_mw.engine.context import CURRENT
from amplify_mw.engine.engine import Engine
from amplify_mw.errors import AuthError, NetworkError, Reason, TokenExpiredException
from amplify_mw.sessions.verdicts import NO_SESSION, Refused
from amplify_mw.testing import signed_in

CONFIG = AmplifyConfig(user_pool_id="eu-west-1_Guards", client_id="web", keys=None)


@pytest.fixture
def refused() -> Iterator[Any]:
    """Bind a visit of somebody who is not signed in: `refused(error, reason)`."""
    engine = Engine.of(CONFIG)
    visit = Visit.of(engine.authenticator, NO_SESSION)
    token = CURRENT.set(visit)

    def refuse(error: type[AuthError], reason: Reason) -> None:
        visit.verdict = Refused(error, reason)

    yield refuse
    CURRENT.reset(token)


@require_auth
def plain(*parts: str) -> str:
    return "-".join(parts)


@require_auth
async def awaited() -> str:
    return "awaited"


@require_auth
def generated() -> Iterator[str]:
    yield "generated"


@require_auth
async def streamed() -> AsyncIterator[str]:
    yield "streamed"


def test_a_signed_in_user_may_call() -> None:
    with signed_in("ada"):
        assert plain("a", "b") == "a-b"
        assert asyncio.run(awaited()) == "awaited"
        assert list(generated()) == ["generated"]


@pytest.mark.parametrize("guarded", [plain, generated, streamed])
def test_nobody_else_may_and_is_refused_at_the_call(refused: Any, guarded: Any) -> None:
    with pytest.raises(NotAuthorizedException):
        guarded()


def test_a_coroutine_function_stays_one_and_refuses_when_awaited(refused: Any) -> None:
    assert inspect.iscoroutinefunction(awaited)
    with pytest.raises(NotAuthorizedException):
        asyncio.run(awaited())


def test_methods_can_be_guarded() -> None:
    class Shop:
        @require_auth
        def owner(self) -> str:
            return "owner"

    with signed_in("ada"):
        assert Shop().owner() == "owner"


def test_one_of_the_groups_is_enough_and_all_scopes_are_needed() -> None:
    check = require_auth(groups=["a", "b"], scopes=["x", "y"])(lambda: "in")
    with signed_in("ada", groups=["b"], scopes=["x", "y", "z"]):
        assert check() == "in"
    with signed_in("ada", groups=["c"], scopes=["x", "y"]), pytest.raises(ForbiddenException) as no:
        check()
    assert no.value.reason == "missing_group"
    with signed_in("ada", groups=["a"], scopes=["x"]), pytest.raises(ForbiddenException) as no:
        check()
    assert (no.value.reason, no.value.status_code) == ("missing_scope", 403)


def test_a_guard_keeps_the_functions_name_and_signature() -> None:
    assert plain.__name__ == "plain"
    assert str(inspect.signature(plain)) == "(*parts: str) -> str"


@pytest.mark.parametrize("wrong", [{"groups": "admins"}, {"scopes": "email"}])
def test_a_bare_string_is_refused_with_the_mend(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"\['(admins|email)'\]"):
        require_auth(**wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize("wrong", [dict, staticmethod(len), classmethod(len), ["editors"]])
def test_what_is_no_function_cannot_be_guarded(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="right above a function"):
        require_auth(wrong)


@pytest.mark.parametrize("wrong", [{"groups": []}, {"scopes": ()}, {"groups": [1]}])
def test_an_empty_list_is_refused_since_it_would_let_everybody_in(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="let everybody in"):
        require_auth(**wrong)


def test_a_forgotten_await_of_the_manager_lets_nobody_through(refused: Any) -> None:
    with pytest.raises(NotAuthorizedException):
        aio.ServerAuthManager().require_authentication()


def test_without_a_middleware_a_guard_raises_no_auth_error() -> None:
    with pytest.raises(OutsideRequestError):
        plain()


def test_the_user_as_a_value() -> None:
    with signed_in("ada") as user:
        assert handle_server_auth() == {"success": True, "user": user}
        assert asyncio.run(_aio_handled()) == {"success": True, "user": user}


async def _aio_handled() -> Any:
    return await aio.handle_server_auth()


@pytest.mark.parametrize(
    ("error", "reason", "text", "status"),
    [
        (NotAuthorizedException, "no_session", "User not authenticated", 401),
        (TokenExpiredException, "token_expired", "Session expired", 401),
        (UserNotConfirmedException, "user_not_confirmed", "User not confirmed", 403),
        (NetworkError, "keys_unavailable", "Network error", 503),
        (AuthError, "cognito_error", "Authentication error", 500),
    ],
)
def test_an_error_as_a_value(
    refused: Any, error: type[AuthError], reason: Reason, text: str, status: int
) -> None:
    refused(error, reason)
    assert handle_server_auth() == {"success": False, "error": text, "status_code": status}


def test_without_a_middleware_there_is_no_value() -> None:
    with pytest.raises(OutsideRequestError):
        handle_server_auth()


def test_the_manager_knows_the_user_and_the_attributes() -> None:
    manager = ServerAuthManager()
    with signed_in("ada", email="ada@example.com") as user:
        assert manager.get_authenticated_user() == {
            "is_authenticated": True,
            "user": user,
            "profile": {"email": "ada@example.com", "sub": user.user_id},
        }
        assert manager.get_user_id() == user.user_id
        assert manager.get_user_attribute("email") == "ada@example.com"
        assert manager.get_user_attribute("nickname") is None


def test_the_awaited_manager_answers_the_same() -> None:
    manager, awaited = ServerAuthManager(), aio.ServerAuthManager()

    async def ask() -> list[Any]:
        return [
            await awaited.get_authenticated_user(),
            await awaited.require_authentication(),
            await awaited.get_user_id(),
            await awaited.get_user_attribute("email"),
        ]

    with signed_in("ada", email="ada@example.com"):
        assert asyncio.run(ask()) == [
            manager.get_authenticated_user(),
            manager.require_authentication(),
            manager.get_user_id(),
            manager.get_user_attribute("email"),
        ]


def test_the_manager_without_a_user(refused: Any) -> None:
    manager = ServerAuthManager()
    answer = manager.get_authenticated_user()
    assert answer == {
        "is_authenticated": False,
        "user": None,
        "profile": None,
        "error": "User needs to be authenticated to call this API.",
    }
    assert (manager.get_user_id(), manager.get_user_attribute("email")) == (None, None)
    with pytest.raises(NotAuthorizedException):
        manager.require_authentication()


def test_a_user_is_a_value() -> None:
    with signed_in("ada", attributes={"sub": "0f3c", "custom:plan": "gold"}) as user:
        assert user == AuthUser("ada", "0f3c")
        assert ServerAuthManager().get_user_attribute("custom:plan") == "gold"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotAuthorizedException, "no_session"),
        (NotAuthorizedException, "bad_signature"),
        (NotAuthorizedException, "duplicate_cookie"),
        (TokenExpiredException, "token_expired"),
    ],
)
def test_a_visitor_who_is_not_signed_in_is_none(refused: Any, error: Any, reason: Any) -> None:
    refused(error, reason)
    assert user_or_none() is None
    assert asyncio.run(aio.user_or_none()) is None


def test_a_user_who_cannot_be_told_now_is_not_none(refused: Any) -> None:
    refused(NetworkError, "keys_unavailable")
    with pytest.raises(NetworkError):
        user_or_none()
    with pytest.raises(NetworkError):
        aio.user_or_none()  # at the call


def test_the_user_is_none_once_the_token_has_expired(refused: Any) -> None:
    with signed_in("ada") as ada:
        assert user_or_none() is ada
        visit = CURRENT.get()
        assert visit is not None
        visit.outlive()
        visit.verdict.expires_at = 0  # type: ignore[union-attr, misc]
        assert user_or_none() is None


def test_a_page_that_asks_for_the_user_or_none_depends_on_the_user(refused: Any) -> None:
    assert user_or_none() is None
    visit = CURRENT.get()
    assert visit is not None
    assert visit.depends == ASKED
