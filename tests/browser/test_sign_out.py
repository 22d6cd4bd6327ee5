"""Signing out, here and at the user pool."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from amplify_mw.testing import LocalUserPool
from tests.browser.acts import enter, fill_in, says, session, sign_in
from tests.browser.site import ONE_SHELL, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
WAYS = pytest.mark.parametrize(
    ("role", "name"),
    [("button", "Leave by a form"), ("link", "Leave by a link")],
    ids=["form", "link"],
)


@WAYS
def test_signing_out_ends_the_session(
    site: Site, browser: "BrowserContext", tab: "Page", role: str, name: str
) -> None:
    enter(tab, site)
    tab.get_by_role(role, name=name).click()
    says(tab, "nobody is at /")
    assert session(browser) is None


@ONE_SHELL
def test_the_user_pool_asks_for_the_password_again_afterwards(site: Site, tab: "Page") -> None:
    sign_in(tab, site)
    tab.get_by_role("button", name="Leave by a form").click()
    says(tab, "nobody is at /")
    tab.get_by_role("link", name="My account").click()
    says(tab, "Sign in")


@ONE_SHELL
@pytest.mark.parametrize("first", ["/", "/account"])
def test_the_pool_asks_a_browser_again_whose_session_was_ended_from_another(
    site: Site, new_browser: "Callable[..., BrowserContext]", tab: "Page", first: str
) -> None:
    sign_in(tab, site)
    elsewhere = new_browser().new_page()
    enter(elsewhere, site)
    elsewhere.goto(site.url("/end-others"))
    tab.goto(site.url(first))
    if first == "/":
        says(tab, "nobody is at /")
        tab.get_by_role("link", name="My account").click()
    fill_in(tab, "ada")
    says(tab, "ada is at /account")
    says(elsewhere, "ada is at /end-others")


@ONE_SHELL
def test_signing_out_revokes_the_refresh_token(
    site: Site, tab: "Page", pool: LocalUserPool
) -> None:
    enter(tab, site)
    pool.requests.clear()
    tab.get_by_role("button", name="Leave by a form").click()
    says(tab, "nobody is at /")
    site.engine.close()  # which waits for what nobody waited for
    assert sorted(pool.requests) == ["RevokeToken", "logout"]


@ONE_SHELL
@WAYS
def test_who_signs_out_in_one_tab_is_signed_out_in_the_other(
    site: Site, browser: "BrowserContext", tab: "Page", role: str, name: str
) -> None:
    enter(tab, site)
    other = browser.new_page()
    other.goto(site.url("/account"))
    other.get_by_role(role, name=name).click()
    says(other, "nobody is at /")
    tab.bring_to_front()
    tab.get_by_role("link", name="My account").click()
    fill_in(tab, "grace")
    says(tab, "grace is at /account")


@ONE_SHELL
def test_a_copy_of_the_cookie_is_worth_nothing_afterwards(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    enter(tab, site)
    copy = browser.cookies()
    tab.get_by_role("button", name="Leave by a form").click()
    says(tab, "nobody is at /")
    browser.add_cookies(copy)
    tab.goto(site.url("/"))
    says(tab, "nobody is at /")


def test_a_form_signs_out_where_the_app_allows_forms_to_itself_alone(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    site.headers.append(("Content-Security-Policy", "form-action 'self'"))
    enter(tab, site)
    tab.get_by_role("button", name="Leave by a form").click()
    says(tab, "nobody is at /")
    assert session(browser) is None
