"""Amplify's default sign-in (SRP) at a local user pool, and its reading of the pool's outputs."""

import pytest

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.node import AmplifyJS, Outcome, Page

pytestmark = pytest.mark.node
WRONG = "Incorrect username or password."
SIGNED_IN = {"isSignedIn": True, "nextStep": {"signInStep": "DONE"}}


def sign_in(page: Page, pool: LocalUserPool, username: str, password: str) -> Outcome:
    return page.ask(pool, "signIn", {"username": username, "password": password})


def test_amplify_signs_in_without_sending_the_password(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    page = amplify.page()
    assert sign_in(page, pool, "ada", "correct horse").ok == SIGNED_IN
    assert pool.requests == ["InitiateAuth", "RespondToAuthChallenge"]
    assert page.ask(pool, "fetchUserAttributes").ok["email"] == "ada@example.com"
    details = page.ask(pool, "getCurrentUser").ok["signInDetails"]
    assert details == {"loginId": "ada", "authFlowType": "USER_SRP_AUTH"}


@pytest.mark.parametrize(
    ("username", "password"), [("ada", "wrong horse"), ("nobody", "correct horse")]
)
def test_a_wrong_password_and_an_unknown_user_get_one_answer(
    amplify: AmplifyJS, pool: LocalUserPool, username: str, password: str
) -> None:
    came = sign_in(amplify.page(), pool, username, password)
    assert came.error is not None
    assert (came.name, came.error["message"]) == ("NotAuthorizedException", WRONG)


@pytest.mark.parametrize("password", ["pässwörd €", " spaces ", "x" * 256, "日本"])
def test_any_password_goes_round(amplify: AmplifyJS, pool: LocalUserPool, password: str) -> None:
    pool.add_user("grace@example.com", password)
    page = amplify.page()
    assert sign_in(page, pool, "grace@example.com", password).ok == SIGNED_IN


def test_numbers_of_every_length_and_sign_go_round(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    for number in range(8):  # a salt, A, B, u or S begins with zero or a set sign bit now and then
        name = f"user{number}"
        pool.add_user(name, f"password{number}")
        assert sign_in(amplify.page(), pool, name, f"password{number}").ok == SIGNED_IN


def test_amplify_signs_out_at_the_pool(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    page = amplify.page()
    sign_in(page, pool, "ada", "correct horse")
    page.ask(pool, "signOut")
    assert pool.count("RevokeToken") == 1
    assert page.read(pool) is None


def test_amplify_refreshes_a_session_that_began_with_srp(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    page = amplify.page()
    sign_in(page, pool, "ada", "correct horse")
    assert page.ask(pool, "fetchAuthSession", {"forceRefresh": True}).ok["tokens"]
    assert pool.requests[-1] == "GetTokensFromRefreshToken"


def test_amplify_is_configured_by_the_outputs(amplify: AmplifyJS) -> None:
    with LocalUserPool(origins=["http://localhost:5173"], tls=True) as pool:
        made = amplify.configure(pool.outputs())["Auth"]["Cognito"]
        assert made["userPoolId"] == pool.user_pool_id
        assert made["userPoolClientId"] == pool.client_id
        assert made["loginWith"]["oauth"]["domain"] == pool.url.removeprefix("http://")
        assert made["loginWith"]["oauth"]["redirectSignIn"] == ["http://localhost:5173/"]


def test_without_tls_amplify_is_told_of_no_sign_in_pages(amplify: AmplifyJS) -> None:
    with LocalUserPool(origins=["http://localhost:5173"]) as pool:
        made = amplify.configure(pool.outputs())["Auth"]["Cognito"]
        assert "oauth" not in made["loginWith"]
