"""Sign-ins that come to nothing, and cookies that somebody has changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from amplify_mw.testing import AlteredRedirect, AuthorizeError, LocalUserPool, Status
from tests.browser.acts import cookies, enter, fill_in, says, session, sign_in
from tests.browser.site import ONE_SHELL, Clock, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
HOSTILE = "\"'><script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>&lt;"


def test_who_took_too_long_is_signed_in_by_another_attempt(
    site: Site, tab: "Page", clock: Clock, pool: LocalUserPool
) -> None:
    tab.goto(site.url("/account"))
    says(tab, "Sign in")
    clock.advance(301)
    fill_in(tab)
    says(tab, "ada is at /account")
    assert pool.count("token") == 1


@ONE_SHELL
def test_a_sign_in_that_the_identity_provider_began_is_made_good(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool
) -> None:
    sign_in(tab, site)
    browser.clear_cookies(name="amplify-session")
    tab.goto(site.url("/auth/sign-in-callback?code=of-somebody-else"))
    says(tab, "ada is at /")
    assert "of-somebody-else" not in str(pool.requests)


@ONE_SHELL
def test_after_trouble_one_can_sign_in_by_the_link_on_the_page(
    site: Site, tab: "Page", pool: LocalUserPool
) -> None:
    with pool.fault("authorize", AuthorizeError("server_error")):
        tab.goto(site.url("/account"))
        says(tab, "Not signed in")
    tab.get_by_role("link", name="Sign in").click()
    fill_in(tab)
    says(tab, "ada is at /account")


def test_nothing_of_a_providers_error_is_on_the_page(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool
) -> None:
    with pool.fault("authorize", AuthorizeError(HOSTILE, HOSTILE, f"javascript:{HOSTILE}")):
        answer = tab.goto(site.url("/account"))
    says(tab, "Not signed in")
    assert answer is not None
    assert answer.status == 502
    assert "harmed" in tab.url
    assert "harmed" not in tab.content()
    assert tab.evaluate("window.harmed") is None
    assert session(browser) is None


@ONE_SHELL
def test_on_error_is_told_codes_alone(
    new_site: Callable[..., Site], tab: "Page", pool: LocalUserPool
) -> None:
    site = new_site({"on_error": "/regret"})
    with pool.fault("authorize", AuthorizeError("access_denied", HOSTILE)):
        tab.goto(site.url("/account"))
    says(tab, "nobody is at /regret")
    assert tab.url == site.url("/regret?error=access_denied&pool_error=access_denied")


@ONE_SHELL
@pytest.mark.parametrize(
    "altered",
    [{"code": "another"}, {"code": None}, {"iss": "another"}],
    ids=["foreign-code", "no-code", "foreign-issuer"],
)
def test_an_answer_that_does_not_belong_to_the_attempt_signs_nobody_in(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool, altered: Any
) -> None:
    with pool.fault("login", AlteredRedirect(altered)):
        tab.goto(site.url("/account"))
        fill_in(tab)
        says(tab, "Not signed in")
    assert session(browser) is None


def test_a_sign_in_goes_on_by_a_reload_when_the_user_pool_is_back(
    site: Site, tab: "Page", pool: LocalUserPool
) -> None:
    with pool.fault("token", Status(503)):
        tab.goto(site.url("/account"))
        fill_in(tab)
        says(tab, "Not signed in")
    tab.reload()
    says(tab, "ada is at /account")


@ONE_SHELL
def test_a_user_pool_that_did_not_ask_anew_signs_nobody_in(
    site: Site, tab: "Page", pool: LocalUserPool
) -> None:
    tab.goto(site.url("/auth/sign-in?max_age=60"))
    with pool.tamper("id", claims={"auth_time": 1}):
        fill_in(tab)
        says(tab, "Not signed in")
    tab.goto(site.url("/"))
    says(tab, "nobody is at /")


def test_a_tampered_session_cookie_is_cleared(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    enter(tab, site)
    tamper(browser, session(browser))
    tab.goto(site.url("/"))
    says(tab, "nobody is at /")
    assert session(browser) is None


@ONE_SHELL
def test_who_has_a_tampered_session_cookie_can_sign_in(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    enter(tab, site)
    tamper(browser, session(browser))
    sign_in(tab, site)


def test_a_tampered_attempt_cookie_is_none(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool
) -> None:
    tab.goto(site.url("/account"))
    says(tab, "Sign in")
    tamper(browser, *cookies(browser, "amplify-auth"))
    fill_in(tab)
    says(tab, "ada is at /account")  # by another attempt
    assert pool.count("token") == 1


@ONE_SHELL
@pytest.mark.parametrize("state", [None, HOSTILE], ids=["none", "foreign"])
def test_an_answer_of_another_state_is_not_used(
    site: Site, tab: "Page", pool: LocalUserPool, state: str | None
) -> None:
    with pool.fault("login", AlteredRedirect({"state": state})):
        tab.goto(site.url("/account"))
        fill_in(tab)
        says(tab, "ada is at /")  # by another attempt
    assert tab.evaluate("window.harmed") is None
    assert pool.count("token") == 1


def tamper(browser: "BrowserContext", cookie: dict[str, Any] | None) -> None:
    """Change one character in the middle of a cookie."""
    assert cookie is not None
    value = cookie["value"]
    middle = len(value) // 2
    other = "A" if value[middle] != "A" else "B"
    changed = value[:middle] + other + value[middle + 1 :]
    browser.add_cookies([{**cookie, "value": changed}])
