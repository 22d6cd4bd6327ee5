"""Every example of Amplify's server API, run against a user pool on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from starlette.testclient import TestClient

from amplify_mw import AmplifyConfig
from amplify_mw.testing import Down, LocalUserPool
from tests.examples import (
    api_route,
    cookie_configuration,
    error_switch,
    every_request,
    optional_user,
    page_with_redirect,
    require_auth_fastapi,
    require_auth_flask,
    server_auth_manager,
    server_side_user,
    session_validation,
)

ADAS_ID = "0f3c2a6e-0000-4000-8000-00000000ada0"
ADA: dict[str, object] = {"username": "ada", "userId": ADAS_ID, "groups": []}
ADAS_NAME = "Welcome, Ada &lt;Countess&gt;"
GUARDED = pytest.mark.parametrize("example", [require_auth_flask, require_auth_fastapi])


@dataclass
class Browser:
    """Asks an app, be it Flask's or Starlette's, with a token in the session cookie."""

    app: Any
    token: str | None = None

    def get(self, path: str) -> Any:
        headers = {"Cookie": f"amplify-session={self.token}"} if self.token else {}
        if isinstance(self.app, Flask):
            return self.app.test_client(use_cookies=False).get(path, headers=headers)
        return TestClient(self.app, follow_redirects=False).get(path, headers=headers)

    def read(self, path: str) -> tuple[int, Any]:
        """Status and JSON."""
        answer = self.get(path)
        return answer.status_code, json.loads(answer.text)


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", sub=ADAS_ID, email="ada@example.com", name="Ada <Countess>")
        yield pool


@pytest.fixture
def token(pool: LocalUserPool) -> str:
    return pool.sign_in("ada").id_token


# --- page_with_redirect


def test_the_page_greets_the_user(config: AmplifyConfig, token: str) -> None:
    answer = Browser(page_with_redirect.create_app(config), token).get("/")
    assert (answer.status_code, answer.text) == (200, "<h1>Hello, ada</h1>")


def test_the_page_sends_a_stranger_to_sign_in(config: AmplifyConfig) -> None:
    answer = Browser(page_with_redirect.create_app(config)).get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")


def test_the_page_sends_nobody_to_sign_in_during_an_outage(
    pool: LocalUserPool, config: AmplifyConfig, token: str
) -> None:
    with pool.fault("jwks", Down()):
        answer = Browser(page_with_redirect.create_app(config), token).get("/")
    assert answer.status_code == 503


# --- every_request


def test_every_request_has_a_user(config: AmplifyConfig, token: str) -> None:
    browser = Browser(every_request.create_app(config), token)
    assert browser.read("/api/orders") == (200, {"customer": ADAS_ID, "orders": []})


def test_a_request_without_a_user_is_refused(config: AmplifyConfig) -> None:
    browser = Browser(every_request.create_app(config))
    assert browser.read("/api/orders") == (401, {"error": "Unauthorized"})


# --- api_route


def test_the_api_route_answers_with_the_profile(config: AmplifyConfig, token: str) -> None:
    status, body = Browser(api_route.create_app(config), token).read("/api/profile")
    ada = {"email": "ada@example.com", "name": "Ada <Countess>", "phoneNumber": None}
    assert (status, body) == (200, {"profile": ada})


def test_the_api_route_refuses_a_stranger(config: AmplifyConfig) -> None:
    browser = Browser(api_route.create_app(config))
    assert browser.read("/api/profile") == (401, {"error": "User not authenticated"})


# --- optional_user


def test_the_welcome_page_knows_its_visitor(config: AmplifyConfig, token: str) -> None:
    answer = Browser(optional_user.create_app(config), token).get("/")
    assert ADAS_NAME in answer.text
    assert "Email: ada@example.com" in answer.text


def test_the_welcome_page_asks_a_stranger_to_sign_in(config: AmplifyConfig) -> None:
    answer = Browser(optional_user.create_app(config)).get("/")
    assert (answer.status_code, answer.text) == (200, "<div>Please sign in</div>")


@pytest.mark.parametrize("example", [optional_user, server_side_user])
def test_the_dashboard_shows_name_and_id(example: Any, config: AmplifyConfig, token: str) -> None:
    answer = Browser(example.create_app(config), token).get("/dashboard")
    assert ADAS_NAME in answer.text
    assert f"User ID: {ADAS_ID}" in answer.text


@pytest.mark.parametrize("example", [optional_user, server_side_user])
def test_the_dashboard_sends_a_stranger_to_sign_in(example: Any, config: AmplifyConfig) -> None:
    answer = Browser(example.create_app(config)).get("/dashboard")
    assert answer.status_code in (302, 303)
    assert answer.headers["Location"] == "/login"


# --- server_side_user


def test_me_is_user_and_attributes(config: AmplifyConfig, token: str) -> None:
    status, body = Browser(server_side_user.create_app(config), token).read("/api/me")
    assert (status, body["user"]) == (200, ADA)
    assert body["attributes"]["email"] == "ada@example.com"


def test_me_refuses_a_stranger(config: AmplifyConfig) -> None:
    browser = Browser(server_side_user.create_app(config))
    assert browser.read("/api/me") == (401, {"error": "Unauthorized"})


# --- require_auth_flask, require_auth_fastapi


@GUARDED
def test_the_guarded_route_answers_its_user(
    example: Any, config: AmplifyConfig, token: str
) -> None:
    status, body = Browser(example.create_app(config), token).read("/api/profile")
    assert (status, body["user"]) == (200, ADA)
    assert body["profile"]["name"] == "Ada <Countess>"


@GUARDED
def test_the_guarded_route_refuses_a_stranger(example: Any, config: AmplifyConfig) -> None:
    answer = Browser(example.create_app(config)).get("/api/profile")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


@GUARDED
def test_the_open_route_tells_who_is_there(example: Any, config: AmplifyConfig, token: str) -> None:
    shown = ADA | {"email": "ada@example.com", "name": "Ada <Countess>"}
    browser = Browser(example.create_app(config), token)
    assert browser.read("/api/user") == (200, {"authenticated": True, "user": shown})


@GUARDED
def test_the_open_route_tells_that_nobody_is_there(example: Any, config: AmplifyConfig) -> None:
    browser = Browser(example.create_app(config))
    assert browser.read("/api/user") == (200, {"authenticated": False, "user": None})


# --- server_auth_manager


def test_the_manager_knows_its_user(config: AmplifyConfig, token: str) -> None:
    browser = Browser(server_auth_manager.create_app(config), token)
    status, body = browser.read("/api/handler")
    assert (status, body["user"], body["profile"]["name"]) == (200, ADA, "Ada <Countess>")
    assert browser.read("/api/session") == (200, {"isAuthenticated": True, "user": ADA})
    assert browser.read("/api/greeting") == (200, {"userId": ADAS_ID, "name": "Ada <Countess>"})


def test_the_manager_knows_no_stranger(config: AmplifyConfig) -> None:
    browser = Browser(server_auth_manager.create_app(config))
    assert browser.read("/api/handler") == (401, {"error": "Unauthorized"})
    assert browser.read("/api/greeting") == (200, {"userId": None, "name": None})
    message = "User needs to be authenticated to call this API."
    assert browser.read("/api/session") == (200, {"isAuthenticated": False, "error": message})


# --- cookie_configuration


@pytest.mark.parametrize(
    ("environment", "is_secure"), [("production", True), ("development", False)]
)
def test_the_cookie_is_cleared_as_it_was_configured(
    config: AmplifyConfig, environment: str, is_secure: bool
) -> None:
    app = cookie_configuration.create_app(config, environment)
    cookie = Browser(app, "no.such.token").get("/").headers["Set-Cookie"]
    assert cookie.startswith("amplify-session=; ")
    assert {"HttpOnly", "SameSite=Strict", "Max-Age=0"} <= set(cookie.split("; "))
    assert ("Secure" in cookie.split("; ")) is is_secure


def test_the_cookie_lives_for_a_day() -> None:
    assert cookie_configuration.cookie_policy("production").max_age == 86_400


# --- session_validation


def test_a_valid_session_reaches_the_account(config: AmplifyConfig, token: str) -> None:
    browser = Browser(session_validation.create_app(config), token)
    assert browser.read("/account") == (200, {"user": ADA})


def test_no_session_is_refused_and_nothing_is_cleared(config: AmplifyConfig) -> None:
    answer = Browser(session_validation.create_app(config)).get("/account")
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (401, None)


def test_an_invalid_session_is_refused_and_cleared(config: AmplifyConfig) -> None:
    answer = Browser(session_validation.create_app(config), "no.such.token").get("/account")
    assert answer.status_code == 401
    assert answer.headers["Set-Cookie"].startswith("amplify-session=; ")


# --- error_switch


def test_the_switch_lets_the_user_through(config: AmplifyConfig, token: str) -> None:
    browser = Browser(error_switch.create_app(config), token)
    assert browser.read("/api/me") == (200, {"user": ADA})


def test_the_switch_tells_a_stranger(config: AmplifyConfig) -> None:
    browser = Browser(error_switch.create_app(config))
    assert browser.read("/api/me") == (401, {"error": "User not authenticated"})


def test_the_switch_tells_an_expired_session(pool: LocalUserPool, config: AmplifyConfig) -> None:
    expired = pool.mint("ada", issued_at=1_000_000_000)
    browser = Browser(error_switch.create_app(config), expired)
    assert browser.read("/api/me") == (401, {"error": "Session expired"})


def test_the_switch_tells_an_outage(pool: LocalUserPool, config: AmplifyConfig, token: str) -> None:
    with pool.fault("jwks", Down()):
        browser = Browser(error_switch.create_app(config), token)
        assert browser.read("/api/me") == (503, {"error": "Network error"})
