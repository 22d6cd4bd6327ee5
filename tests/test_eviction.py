"""A session that the pool's limit has evicted: it is over, and the log says by what.

Nobody has published Cognito's message for it. If one names it the log does, in words of its own;
with any other message the session is over just the same.
"""

import logging
from typing import Any

import pytest

from amplify_mw import SealedSession, events
from amplify_mw.cognito.api import EVICTED, names_eviction
from amplify_mw.testing import CognitoError
from tests.sites import HOUR, KEYS, Build, Site

NAMED = [
    "Refresh Token has been revoked: the session was EVICTED by user pool us-east-1_quoted",
    "Maximum number of token sessions per user us-east-1_quoted exceeded",
    "Session limit of us-east-1_quoted exceeded",
]
REVOKED = "NotAuthorizedException session_revoked"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "amplify_mw")
    return lambda: [record.getMessage() for record in caplog.records]


def evicted(site: Site, operation: str, error: CognitoError) -> Any:
    """What a browser gets whose session is refreshed after that."""
    browser = site.sign_in()
    site.clock.advance(2 * HOUR)
    with site.pool.fault(operation, error):
        got = browser.does()
    assert (got.body, browser.jar) == (REVOKED, {})
    return got


@pytest.mark.parametrize("kind", ["sealed", "coordinated", "memory", "amplify"])
@pytest.mark.parametrize("message", NAMED)
def test_the_log_says_that_the_limit_has_ended_it_in_its_own_words(
    build: Build, said: Any, kind: str, message: str
) -> None:
    told: list[Any] = []
    site = build(kind, on_event=told.append)
    error = CognitoError("NotAuthorizedException", message)
    evicted(site, "GetTokensFromRefreshToken", error)
    lines = [line for line in said() if line.startswith("cookie refused")]
    assert lines == [f"cookie refused: session_revoked, {EVICTED} (GET '/')"]
    assert not any("us-east-1_quoted" in line for line in said())
    (refused,) = [event for event in told if isinstance(event, events.Refused)]
    assert (refused.reason, refused.detail) == ("session_revoked", EVICTED)


@pytest.mark.parametrize("message", ["Refresh Token has been revoked", "", "Invalid Refresh Token"])
def test_with_any_other_message_it_is_over_just_the_same(
    build: Build, said: Any, message: str
) -> None:
    site = build("memory")
    evicted(site, "GetTokensFromRefreshToken", CognitoError("NotAuthorizedException", message))
    assert "cookie refused: session_revoked (GET '/')" in said()


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_initiate_auth_says_it_as_well(build: Build, said: Any, kind: str) -> None:
    site = build(kind, refresh_api="InitiateAuth")
    evicted(site, "InitiateAuth", CognitoError("NotAuthorizedException", NAMED[0]))
    assert any(EVICTED in line for line in said())


def test_at_the_token_endpoint_it_is_no_token_used_twice(build: Build, said: Any) -> None:
    """There `invalid_grant` may be a refresh token used twice, whose cookie would be kept."""
    site = build(SealedSession(keys=KEYS[:1]), refresh_api="oauth")
    evicted(site, "token", CognitoError("invalid_grant", NAMED[0]))
    assert any(EVICTED in line for line in said())
    assert not any("us-east-1_quoted" in line for line in said())


def test_the_attributes_say_it_as_well(build: Build, said: Any) -> None:
    site = build("memory")
    browser = site.sign_in()
    fault = site.pool.fault("GetUser", CognitoError("NotAuthorizedException", NAMED[1]))
    with fault:
        got = browser.does(site.verbs.fetch_user_attributes)
    assert (got.body, got.clears_cookie) == (REVOKED, True)
    assert f"app refused: session_revoked ({EVICTED})" in said()


@pytest.mark.parametrize(
    "words",
    [
        *("", "refresh token has been revoked", "access token has expired", "invalid session"),
        *("rate limit exceeded", "user is disabled.", "the maximum length is 4096"),
    ],
)
def test_other_messages_name_no_eviction(words: str) -> None:
    assert not names_eviction(words)
