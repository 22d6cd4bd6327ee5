"""Signing in at the user pool's own pages, and coming back."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from amplify_mw import CookiePolicy, SealedSession, TokenSession
from amplify_mw.testing import LocalUserPool
from tests.browser.acts import cookies, fill_in, says, session, sign_in, until
from tests.browser.site import KEYS, ONE_SHELL, Clock, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
ATTEMPT = "amplify-auth"


def test_the_first_page_after_sign_in_is_signed_in(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/"))
    site.asked.clear()
    tab.get_by_role("link", name="My account").click()
    fill_in(tab)
    says(tab, "ada is at /account")
    assert site.asked == [
        "GET /account",
        "GET /auth/sign-in",
        *["GET /auth/sign-in-callback"] * 2,
        "GET /account",
    ]


def test_the_session_cookie_is_strict_and_of_this_host_alone(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    sign_in(tab, site)
    cookie = session(browser)
    assert cookie is not None
    assert cookie["sameSite"] == "Strict"
    assert cookie["httpOnly"]
    assert (cookie["domain"], cookie["path"]) == ("localhost", "/")
    assert cookie["expires"] > time.time()


@ONE_SHELL
def test_the_attempt_cookie_is_lax_short_and_for_the_routes_alone(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    tab.goto(site.url("/account"))
    says(tab, "Sign in")
    (cookie,) = cookies(browser, ATTEMPT)
    assert cookie["sameSite"] == "Lax"
    assert cookie["httpOnly"]
    assert (cookie["domain"], cookie["path"]) == ("localhost", "/auth")
    assert time.time() < cookie["expires"] <= time.time() + 301


@ONE_SHELL
def test_nothing_is_left_of_an_attempt(site: Site, browser: "BrowserContext", tab: "Page") -> None:
    sign_in(tab, site)
    assert cookies(browser, ATTEMPT) == []


@ONE_SHELL
def test_the_cookies_for_production_are_kept(
    new_site: Callable[..., Site], browser: "BrowserContext", tab: "Page"
) -> None:
    site = new_site(cookie=CookiePolicy.host_prefixed())
    sign_in(tab, site)
    (cookie,) = cookies(browser, "__Host-amplify-session")
    assert cookie["secure"]


@ONE_SHELL
@pytest.mark.parametrize(
    "kind", [TokenSession(), SealedSession(keys=KEYS)], ids=["token", "sealed"]
)
def test_every_kind_of_session_is_kept(
    new_site: Callable[..., Site], tab: "Page", kind: object
) -> None:
    site = new_site(session=kind)
    sign_in(tab, site)
    tab.goto(site.url("/"))
    says(tab, "ada is at /")


def test_one_comes_back_to_the_very_page_with_its_query(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/orders?page=2&of=%C3%A9%20%26%20%22more%22"))
    fill_in(tab)
    says(tab, "ada is at /orders")
    assert tab.url == site.url("/orders?page=2&of=%C3%A9%20%26%20%22more%22")


@ONE_SHELL
def test_next_leads_to_no_other_site(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/auth/sign-in?next=/%09/elsewhere.localhost"))
    fill_in(tab)
    says(tab, "ada is at /")
    assert tab.url == site.url("/")


def test_two_tabs_that_sign_in_at_once_each_come_to_their_own_page(
    site: Site, browser: "BrowserContext"
) -> None:
    first, second = browser.new_page(), browser.new_page()
    first.goto(site.url("/account"))
    second.goto(site.url("/orders"))
    first.bring_to_front()
    fill_in(first)
    says(first, "ada is at /account")
    second.bring_to_front()
    fill_in(second)
    says(second, "ada is at /orders")


@ONE_SHELL
def test_back_after_sign_in_leads_to_the_form_and_that_to_no_harm(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/"))
    tab.get_by_role("link", name="My account").click()
    fill_in(tab)
    says(tab, "ada is at /account")
    tab.go_back()
    fill_in(tab)
    says(tab, "ada is at /account")


@ONE_SHELL
def test_the_way_back_taken_twice_leaves_one_signed_in(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    ways: list[str] = []
    browser.on("request", lambda request: ways.append(request.url))
    sign_in(tab, site)
    before = session(browser)
    (way,) = {url for url in ways if "/auth/sign-in-callback" in url}
    tab.goto(way)
    says(tab, "ada is at /account")
    assert session(browser) == before


@ONE_SHELL
def test_who_is_signed_in_is_not_asked_again(site: Site, tab: "Page", pool: LocalUserPool) -> None:
    sign_in(tab, site, path="/orders")
    pool.requests.clear()
    tab.get_by_role("link", name="Sign in", exact=True).click()
    says(tab, "ada is at /account")
    assert pool.requests == []


def test_prompt_login_asks_for_the_password_again(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    sign_in(tab, site)
    before = session(browser)
    tab.goto(site.url("/"))
    tab.get_by_role("link", name="Show who you are").click()
    fill_in(tab)
    says(tab, "ada is at /account")
    assert session(browser) != before


def test_max_age_asks_for_the_password_when_that_is_long_ago(
    site: Site, tab: "Page", clock: Clock
) -> None:
    sign_in(tab, site)
    clock.advance(120)
    tab.get_by_role("link", name="Show it if that is long ago").click()
    fill_in(tab)
    says(tab, "ada is at /account")


@ONE_SHELL
def test_max_age_asks_for_nothing_when_that_is_not_long_ago(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    sign_in(tab, site, path="/orders")
    before = session(browser)
    tab.get_by_role("link", name="Show it if that is long ago").click()
    says(tab, "ada is at /account")
    assert session(browser) != before


@ONE_SHELL
def test_a_user_of_another_provider_signs_in_there(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/"))
    tab.get_by_role("link", name="Sign in with Google").click()
    says(tab, "Sign in at Google")
    tab.get_by_role("button", name="Google_1234").click()
    says(tab, "Google_1234 is at /account")


@ONE_SHELL
def test_a_new_user_signs_up(site: Site, tab: "Page") -> None:
    tab.goto(site.url("/auth/sign-up?next=/orders"))
    says(tab, "Create an account")
    tab.get_by_label("User name").fill("hedy")
    tab.get_by_label("E-mail").fill("hedy@example.com")
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Sign up").click()
    says(tab, "hedy is at /orders")


def test_no_script_is_needed(site: Site, new_browser: "Callable[..., BrowserContext]") -> None:
    tab = new_browser(java_script_enabled=False).new_page()
    sign_in(tab, site)
    tab.get_by_role("button", name="Leave by a form").click()
    says(tab, "nobody is at /")


@ONE_SHELL
@pytest.mark.parametrize(
    ("kind", "is_slow"),
    [(None, False), (None, True), (SealedSession(keys=KEYS), True)],
    ids=["one after the other", "all at once", "all at once, sealed"],
)
def test_thirty_tabs_that_are_restored_end_signed_in_each_at_its_page(
    new_site: Callable[..., Site],
    browser: "BrowserContext",
    pool: LocalUserPool,
    kind: object,
    is_slow: bool,
) -> None:
    options = {} if kind is None else {"session": kind}
    site = new_site(protect=["/account", "/tab/*"], **options)
    opener = browser.new_page()
    sign_in(opener, site)
    browser.clear_cookies(name="amplify-session")  # the user pool still knows the browser
    opener.goto(site.url("/"))
    site.asked.clear()
    with pool.hold("authorize") as gate:
        if not is_slow:
            gate.release()
        opener.evaluate("for (let n = 0; n < 30; n++) window.open(`/tab/${n}`)")
        if is_slow:  # all attempts but the eight newest are gone when the first comes back
            until(opener, lambda: site.asked.count("GET /auth/sign-in") == 30)
    until(opener, lambda: len(browser.pages) == 31)
    tabs = [tab for tab in browser.pages if tab is not opener]
    for tab in tabs:
        tab.get_by_role("heading", name="ada is at /tab/").wait_for()
    assert sorted(tab.url for tab in tabs) == sorted(site.url(f"/tab/{n}") for n in range(30))
    opener.goto(site.url("/account"))
    says(opener, "ada is at /account")
