"""What Cognito refuses: what the visitor sees, what is kept, who waits, and what the log says."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from amplify_mw.models.session import TokenSet
from amplify_mw.testing import CognitoError
from tests.shells import Got
from tests.sites import HOUR, NAME, Browser, Build, Site

GET_TOKENS, INITIATE = "GetTokensFromRefreshToken", "InitiateAuth"
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SECRET = "Unable to verify secret hash for client local-client"
NO_TRIGGER, NO_SUCH = "PreTokenGeneration failed.", "User pool client local-client does not exist."

# What ends the session of the user who met it, and is told: a page goes to sign-in.
ENDING = [("UserLambdaValidationException", NO_TRIGGER)]
# What keeps every session and holds up the users of the app client.
CLIENTS = [
    ("ResourceNotFoundException", NO_SUCH),
    ("InvalidParameterException", "1 validation error detected"),
    ("NotAuthorizedException", SECRET),
    ("OperationNotEnabledException", "Not in this Region."),
    ("ForbiddenException", "Request not allowed due to WAF block."),
    ("UnknownOperationException", ""),
]
OF_INITIATE = [
    ("UnsupportedOperationException", ""),
    ("InvalidUserPoolConfigurationException", ""),
    ("InvalidSmsRoleAccessPolicyException", ""),
    ("InvalidSmsRoleTrustRelationshipException", ""),
    ("InvalidEmailRoleAccessPolicyException", ""),
    ("FeatureUnavailableInTierException", ""),
]
OF_OAUTH = [
    ("invalid_client", "invalid_client_secret"),
    ("unauthorized_client", ""),
    ("unsupported_grant_type", ""),
    ("invalid_scope", ""),
]
# What keeps every session and holds up the user who met it alone.
USERS = [
    ("UnexpectedLambdaException", NO_TRIGGER),
    ("InvalidLambdaResponseException", NO_TRIGGER),
    ("AnErrorOfTomorrowException", ""),
]
USERS_OF_OAUTH = [("invalid_request", NO_TRIGGER), ("an_error_of_tomorrow", "")]


@pytest.fixture
def build(build: Build) -> Build:
    return partial(build, protect=["/account"], login_url="/login")


def ways(*groups: tuple[str, str, list[tuple[str, str]]]) -> Any:
    """`refresh_api`, the operation that is asked, and the error it answers."""
    return pytest.mark.parametrize(
        ("refresh_api", "operation", "error"),
        [
            pytest.param(api, operation, CognitoError(*error), id=f"{api}-{error[0]}")
            for api, operation, errors in groups
            for error in errors
        ],
    )


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the log says at its usual level since this was asked last."""
    caplog.set_level(logging.WARNING, "amplify_mw")

    def said() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return messages

    return said


Said = Callable[[], list[str]]


def page(browser: Browser) -> Got:
    """Open a page that needs a user."""
    return browser.ask(lambda: str(browser.site.who()), path="/account", headers=PAGE)


def due(site: Site, *names: str) -> list[Browser]:
    """Browsers of users whose tokens have run out."""
    browsers = [site.sign_in(name) for name in names]
    site.clock.advance(2 * HOUR)
    site.pool.requests.clear()
    return browsers


def no_secret(messages: list[str], browser: Browser) -> bool:
    tokens = [token for token in browser.jar.values() if len(token) > 20]
    return not any(token in message for token in tokens for message in messages)


@pytest.mark.parametrize("kind", ["memory", "sealed"])
@ways(
    (GET_TOKENS, GET_TOKENS, CLIENTS),
    (INITIATE, INITIATE, CLIENTS + OF_INITIATE),
    ("oauth", "token", OF_OAUTH),
)
def test_a_set_up_that_is_refused_is_told_once_and_asked_about_as_in_an_outage(
    build: Build, said: Said, kind: str, refresh_api: str, operation: str, error: CognitoError
) -> None:
    site = build(kind, refresh_api=refresh_api)
    ada, grace = due(site, "ada", "grace")
    with site.pool.fault(operation, error):
        got = [page(browser) for browser in [ada, grace] * 15]
        assert {(one.status, one.one("retry-after")) for one in got} == {(503, "1")}
        assert not any(one.all("set-cookie") for one in got)
        assert site.pool.count(operation) == 1
        site.clock.advance(1)
        assert page(grace).one("retry-after") == "2"
        assert site.pool.count(operation) == 2
    (message,) = messages = said()
    assert message.startswith("Cognito refuses token refresh at ")
    assert f"for app client local-client ({error.code}): " in message
    assert message.endswith("; sessions are kept meanwhile")
    assert no_secret(messages, ada)
    site.clock.advance(2)
    assert (page(ada).body, page(grace).body) == ("ada", "grace")
    (message,) = said()
    assert message.endswith("for app client local-client is accepted again")


@ways(
    (GET_TOKENS, GET_TOKENS, USERS),
    (INITIATE, INITIATE, USERS),
    ("oauth", "token", USERS_OF_OAUTH),
)
def test_what_fails_for_one_user_holds_up_nobody_else(
    build: Build, said: Said, refresh_api: str, operation: str, error: CognitoError
) -> None:
    site = build(refresh_api=refresh_api)
    ada, grace = due(site, "ada", "grace")
    with site.pool.fault(operation, error):
        got = [page(ada) for _ in range(30)]
    assert {(one.status, *one.all("set-cookie")) for one in got} == {(503,)}
    assert site.pool.count(operation) == 1
    assert page(grace).body == "grace"
    assert page(ada).status == 503
    site.clock.advance(1)
    assert page(ada).body == "ada"
    (message,) = said()
    assert f"for a user of app client local-client ({error.code}): " in message


@pytest.mark.parametrize("kind", ["memory", "sealed"])
@ways((GET_TOKENS, GET_TOKENS, ENDING), (INITIATE, INITIATE, ENDING))
def test_a_trigger_that_refuses_a_user_ends_that_session_and_no_other(
    build: Build, said: Said, kind: str, refresh_api: str, operation: str, error: CognitoError
) -> None:
    site = build(kind, refresh_api=refresh_api)
    ada, grace, other = due(site, "ada", "grace", "grace")
    copy = ada.copy()
    with site.pool.fault(operation, error):
        got = page(ada)
        page(grace)
    assert (got.status, got.one("location")) == (302, "/login?next=%2Faccount")
    assert got.clears_cookie
    assert NAME not in ada.jar
    assert page(other).body == "grace"
    assert page(copy).status == 302
    (message,) = said()
    assert "UserLambdaValidationException" in message
    assert message.endswith("such sessions end")


def test_a_client_that_is_gone_holds_up_no_other_client_of_the_pool(
    build: Build, said: Said
) -> None:
    site = build(client_id=["local-client", "gone"])
    tokens = site.pool.sign_in("grace")
    minted = [site.pool.mint("grace", use, client_id="gone") for use in ("id", "access")]
    stranded = site.browser()
    stranded.does(site.start(TokenSet(*minted, tokens.refresh_token)))
    (ada,) = due(site, "ada")
    assert page(stranded).status == 503
    assert page(ada).body == "ada"
    assert page(stranded).status == 503
    assert site.pool.count(GET_TOKENS) == 2
    (message,) = said()
    assert "for app client gone (ResourceNotFoundException): check user_pool_id" in message


@pytest.mark.parametrize("token", ["a b", "<script>", "a/b+c", "x" * 4097], ids=len)
@pytest.mark.parametrize(
    "error", [CognitoError("ForbiddenException"), CognitoError("ResourceNotFoundException")]
)
def test_a_refresh_token_that_is_none_of_cognitos_holds_up_and_tells_nobody_else(
    build: Build, said: Said, token: str, error: CognitoError
) -> None:
    site = build()
    grace = site.sign_in("grace")
    inventor = site.browser()
    tokens = site.pool.sign_in("ada")
    inventor.does(site.start(TokenSet(tokens.id_token, tokens.access_token, token)))
    site.clock.advance(2 * HOUR)
    with site.pool.fault(GET_TOKENS, error):
        page(inventor)
    assert page(grace).body == "grace"
    assert said() == []


def test_a_refresh_token_that_cognito_calls_malformed_ends_its_session_alone(
    build: Build, said: Said
) -> None:
    site = build()
    tokens = site.pool.sign_in("ada")
    browser = site.browser()
    browser.does(site.start(TokenSet(tokens.id_token, tokens.access_token, "a/b")))
    site.clock.advance(2 * HOUR)
    with site.pool.fault(GET_TOKENS, CognitoError("InvalidParameterException")):
        assert page(browser).clears_cookie
    assert said() == []


# --- GetUser

OF_GET_USER = [
    "ResourceNotFoundException",
    "InvalidParameterException",
    "OperationNotEnabledException",
    "ForbiddenException",
]


@pytest.mark.parametrize("code", OF_GET_USER)
def test_a_refused_question_for_attributes_is_asked_once_and_told_once(
    build: Build, said: Said, code: str
) -> None:
    site = build("token")
    browsers = [
        site.browser({NAME: site.pool.sign_in(name).access_token}) for name in ("ada", "grace")
    ]
    attributes = lambda: site.verbs.fetch_user_attributes()["email"]  # noqa: E731
    reason = "firewall_blocked" if code == "ForbiddenException" else "cognito_misconfigured"
    with site.pool.fault("GetUser", CognitoError(code)):
        got = [browser.does(attributes, site.who) for browser in browsers * 5]
    kind = "NetworkError" if code == "ForbiddenException" else "AuthError"
    assert [one.body for one in got] == [
        f"{kind} {reason}, {name}" for name in ("ada", "grace")
    ] * 5
    assert not any(one.all("set-cookie") for one in got)
    assert site.pool.count("GetUser") == 1
    (message,) = said()
    assert message.startswith(f"Cognito refuses GetUser at {site.pool.url}/ for the pool ")
    assert f"({code}): " in message
    site.clock.advance(1)
    assert browsers[0].does(attributes).body == "ada@example.com"


@pytest.mark.parametrize("code", OF_GET_USER)
def test_cognitos_word_holds_for_as_long_again_while_it_refuses_to_confirm_it(
    build: Build, code: str
) -> None:
    site = build("memory", session={"verify_with_cognito_every": 60})
    browser = site.sign_in()
    assert page(browser).body == "ada"
    with site.pool.fault("GetUser", CognitoError(code)):
        site.clock.advance(61)
        assert page(browser).body == "ada"
        site.clock.advance(60)
        got = page(browser)
    assert (got.status, got.all("set-cookie")) == (503, [])


# --- ends

OF_REVOKE = [
    "UnauthorizedException",
    "InvalidParameterException",
    "UnsupportedOperationException",
    "UnsupportedTokenTypeException",
    "ForbiddenException",
    "OperationNotEnabledException",
]


@pytest.mark.parametrize("code", OF_REVOKE)
def test_a_sign_out_that_cognito_does_not_carry_out_is_done_here_and_told_once(
    build: Build, said: Said, code: str
) -> None:
    site = build()
    browsers = [site.sign_in(name) for name in ("ada", "grace")]
    with site.pool.fault("RevokeToken", CognitoError(code)):
        got = [browser.does(site.end(), site.who) for browser in browsers]
        site.settle()
    assert {one.body for one in got} == {"None, NotAuthorizedException no_session"}
    assert all(one.clears_cookie for one in got)
    # A refusal is not asked again, unless it may mean that `LINKED` is not known there.
    times = 4 if code == "InvalidParameterException" else 2
    assert site.pool.count("RevokeToken") == times
    (message,) = said()
    assert message.startswith("Cognito refuses token revocation at ")
    assert f" app client local-client ({code}): " in message
    assert message.endswith("; what was copied of sessions that end now may live on")


@pytest.mark.parametrize("code", OF_GET_USER)
def test_a_sign_out_everywhere_that_cognito_refuses_is_told_once(
    build: Build, said: Said, code: str
) -> None:
    site = build()
    browsers = [site.sign_in(name) for name in ("ada", "grace")]
    with site.pool.fault("GlobalSignOut", CognitoError(code)):
        for browser in browsers:
            browser.does(site.end(everywhere=True))
        site.settle()
    (message,) = said()
    assert f"({code}): " in message
    assert site.pool.count("RevokeToken") == 2


def test_a_sign_out_everywhere_without_the_scope_says_which_is_needed(
    build: Build, said: Said
) -> None:
    site = build()
    browser = site.browser()
    browser.does(site.start(site.pool.sign_in("ada", scope="openid")))
    browser.does(site.end(everywhere=True))
    site.settle()
    (message,) = said()
    assert "needs sign-ins with the scope aws.cognito.signin.user.admin" in message


@pytest.mark.parametrize(
    "error",
    [
        CognitoError("NotAuthorizedException", "Access Token has been revoked"),
        CognitoError("PasswordResetRequiredException"),
        CognitoError("UserNotConfirmedException"),
    ],
    ids=lambda error: error.code,
)
def test_a_sign_in_that_is_over_at_cognito_already_is_nobodys_mistake(
    build: Build, said: Said, error: CognitoError
) -> None:
    site = build()
    browser = site.sign_in()
    with site.pool.fault("GlobalSignOut", error), site.pool.fault("RevokeToken", error):
        browser.does(site.end(everywhere=True))
        site.settle()
    assert said() == []


@pytest.mark.parametrize("code", ["invalid_client", "unsupported_token_type", "invalid_request"])
def test_the_domains_revocation_endpoint_is_heard_as_well(
    build: Build, said: Said, code: str
) -> None:
    site = build(refresh_api="oauth")
    browser = site.sign_in()
    with site.pool.fault("revoke", CognitoError(code)):
        browser.does(site.end())
        site.settle()
    (message,) = said()
    assert f"({code}): " in message
