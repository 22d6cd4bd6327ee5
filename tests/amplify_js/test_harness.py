"""Is what tests ask here Amplify, does it believe the pool alone, and do its cookies go round?"""

import json
from dataclasses import replace
from typing import Any

import pytest

from amplify_mw.testing import LocalUserPool, new_signing_key
from amplify_mw.testing.pool.pool import CognitoError, Down
from tests.amplify_js.installation import HERE
from tests.amplify_js.node import ORIGIN, AmplifyJS, Context, Tokens

pytestmark = pytest.mark.node

PREFIX = "CognitoIdentityServiceProvider.local-client."
HOUR = 3600


def fresh(pool: LocalUserPool, username: str = "ada") -> Tokens:
    return Tokens.of(pool, username)


def expired(pool: LocalUserPool, username: str = "ada") -> Tokens:
    return Tokens.of(pool, username, age=2 * HOUR)


def names_of(lines: tuple[str, ...]) -> list[str]:
    return [line.partition("=")[0].removeprefix(PREFIX) for line in lines]


def test_the_pinned_packages_are_what_answers(amplify: AmplifyJS) -> None:
    pinned = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert {**amplify.versions(), "node": ""} == {**pinned, "node": ""}


def test_the_lock_file_names_no_place(amplify: AmplifyJS) -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]


def test_a_server_understands_what_a_browser_has_written(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    sub = pool.add_user("bob@example.com").sub
    cookie = amplify.cookie(pool, fresh(pool, "bob@example.com"))
    outcome = amplify.ask(pool, cookie)
    details = {"loginId": "bob@example.com", "authFlowType": "USER_SRP_AUTH"}
    assert outcome.ok == {"username": "bob@example.com", "userId": sub, "signInDetails": details}
    assert outcome.set_cookies == ()


def test_a_browser_understands_what_it_has_written(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    tokens = fresh(pool)
    loaded = amplify.read(pool, amplify.cookie(pool, tokens))
    assert loaded["username"] == "ada"
    assert loaded["accessToken"]["token"] == tokens.access_token
    assert loaded["idToken"]["token"] == tokens.id_token
    assert loaded["refreshToken"] == tokens.refresh_token
    assert (loaded["clockDrift"], loaded["signInDetails"]) == (0, tokens.sign_in_details)


def test_a_user_whom_amplify_signs_in_is_known_to_the_server(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    page = amplify.page()
    assert page.sign_in(pool, "ada", "correct horse").ok["isSignedIn"]
    details = {"loginId": "ada", "authFlowType": "USER_PASSWORD_AUTH"}
    assert amplify.ask(pool, page.cookie).ok["signInDetails"] == details


def test_attributes_come_from_the_pool(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    cookie = amplify.cookie(pool, fresh(pool))
    attributes = amplify.ask(pool, cookie, "fetchUserAttributes").ok
    assert (attributes["name"], attributes["email_verified"]) == ("Ada", "false")
    assert pool.count("GetUser") == 1


def test_a_session_is_the_tokens(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    tokens = fresh(pool)
    session = amplify.ask(pool, amplify.cookie(pool, tokens), "fetchAuthSession").ok
    assert session["tokens"]["accessToken"]["token"] == tokens.access_token
    assert session["userSub"] == session["tokens"]["idToken"]["payload"]["sub"]
    assert session["credentials"] is None


@pytest.mark.parametrize(
    "wrong", [{"key": "unknown"}, {"algorithm": "none"}, {"client_id": "other"}]
)
def test_a_server_refuses_a_wrong_token(
    amplify: AmplifyJS, pool: LocalUserPool, wrong: dict[str, Any]
) -> None:
    tokens = replace(fresh(pool), access_token=pool.mint("ada", "access", **wrong))
    outcome = amplify.ask(pool, amplify.cookie(pool, tokens))
    assert outcome.error == {
        "name": "UserUnAuthenticatedException",
        "message": "User needs to be authenticated to call this API.",
        "recoverySuggestion": "Sign in before calling this API again.",
    }


def test_a_server_without_the_keys_knows_nobody(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    cookie = amplify.cookie(pool, fresh(pool))
    with pool.fault("jwks", Down()):
        assert amplify.ask(pool, cookie).name == "UserUnAuthenticatedException"
    assert amplify.ask(pool, cookie).name is None


def test_a_fresh_server_has_no_memory_of_unknown_keys(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    forged = replace(fresh(pool), access_token=pool.mint("ada", "access", key="unknown"))
    amplify.ask(pool, amplify.cookie(pool, forged))
    pool.rotate_keys()
    cookie = amplify.cookie(pool, fresh(pool))
    assert amplify.ask(pool, cookie).name == "UserUnAuthenticatedException"
    assert amplify.ask(pool, cookie, fresh=True).name is None


def test_pools_of_one_name_are_told_apart(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    cookie = amplify.cookie(pool, fresh(pool))
    with LocalUserPool(issuer=pool.issuer, key=new_signing_key()) as other:
        assert amplify.ask(other, cookie).name == "UserUnAuthenticatedException"
    assert amplify.ask(pool, cookie).ok["username"] == "ada"


@pytest.mark.parametrize("context", ["NextResponse", "Response", "pages", "action"])
def test_an_expired_token_leads_to_a_refresh_and_to_cookies_that_last(
    amplify: AmplifyJS, pool: LocalUserPool, context: Context
) -> None:
    page = amplify.page()
    page.write(pool, expired(pool))
    outcome = amplify.ask(pool, page.cookie, context=context)
    page.receive(outcome.set_cookies)
    assert amplify.ask(pool, page.cookie).ok == outcome.ok == page.ask(pool).ok
    assert outcome.ok["username"] == "ada"
    assert pool.count("GetTokensFromRefreshToken") == 1


def test_a_component_loses_the_refreshed_tokens(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    cookie = amplify.cookie(pool, expired(pool))
    outcome = amplify.ask(pool, cookie, context="component")
    assert (outcome.ok["username"], outcome.set_cookies) == ("ada", ())


def test_a_refused_refresh_clears_the_cookies(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    page = amplify.page()
    page.write(pool, expired(pool))
    with pool.fault("GetTokensFromRefreshToken", CognitoError("NotAuthorizedException")):
        outcome = amplify.ask(pool, page.cookie)
    page.receive(outcome.set_cookies)
    assert outcome.name == "UserUnAuthenticatedException"
    assert page.cookie == ""


@pytest.mark.parametrize("context", ["NextResponse", "Response", "pages", "action"])
def test_with_an_origin_cookies_are_http_only_and_of_four_kinds(
    amplify: AmplifyJS, pool: LocalUserPool, context: Context
) -> None:
    lines = amplify.write(pool, fresh(pool), context=context, origin=ORIGIN).set_cookies
    written = tuple(line for line in lines if "01 Jan 1970" not in line)
    kinds = ["LastAuthUser", "ada.accessToken", "ada.idToken", "ada.refreshToken"]
    assert names_of(written) == kinds
    assert all("HttpOnly" in line and "SameSite=strict" in line for line in written)


def test_the_two_kinds_of_server_do_not_mix(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    amplify.write(pool, fresh(pool), origin=ORIGIN)
    lines = amplify.write(pool, fresh(pool)).set_cookies
    assert not [line for line in lines if "HttpOnly" in line]


def test_a_runners_own_cookie_options_are_its_own(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    options = {"domain": "example.com", "sameSite": "strict"}
    lines = amplify.write(pool, fresh(pool), cookies=options).set_cookies
    assert all("Domain=example.com" in line and "SameSite=strict" in line for line in lines)
    assert not [line for line in amplify.write(pool, fresh(pool)).set_cookies if "Domain" in line]


def test_the_adapters_sign_out_revokes_and_clears(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    page = amplify.page()
    page.write(pool, fresh(pool))
    page.receive(amplify.route(pool, page.cookie, "sign-out").set_cookies)
    for _ in range(2):  # the first goes by way of the site itself
        answer = amplify.route(pool, page.cookie, "sign-out-callback")
        page.receive(answer.set_cookies)
    assert (answer.status, answer.location) == (302, "/")
    assert pool.count("revoke") == 1
    assert amplify.ask(pool, page.cookie).name == "UserUnAuthenticatedException"


def test_a_page_does_not_see_http_only_cookies(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    page = amplify.page()
    page.receive(amplify.write(pool, fresh(pool), origin=ORIGIN).set_cookies)
    assert page.document_cookie == ""
    assert page.read(pool) is None
    assert amplify.ask(pool, page.cookie, origin=ORIGIN).ok["username"] == "ada"


def test_calls_are_timed_one_by_one(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    times = amplify.bench(pool, amplify.cookie(pool, fresh(pool)), calls=20)
    assert len(times) == 20
    assert min(times) > 0


def test_what_cannot_be_done_is_told(amplify: AmplifyJS) -> None:
    with pytest.raises(AssertionError, match="TypeError"):
        amplify.browser.do("no such order")
