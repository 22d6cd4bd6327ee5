"""A page that asks for a recent or strong sign-in, in a browser: there and back."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from amplify_mw import Needs
from tests.browser.acts import fill_in, says, sign_in, until
from tests.browser.site import ONE_SHELL, Clock, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
PROTECT = {
    "/account": Needs(),
    "/orders": Needs(acr="urn:example:mfa"),
    "/notes": Needs(fresh=300),
}


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site(protect=PROTECT)


def test_a_page_leads_to_the_password_and_comes_back(site: Site, tab: "Page", clock: Clock) -> None:
    sign_in(tab, site)
    clock.advance(600)
    tab.goto(site.url("/notes?which=7"))
    fill_in(tab)
    says(tab, "ada is at /notes")
    assert tab.url == site.url("/notes?which=7")
    tab.goto(site.url("/notes"))  # and is asked no more
    says(tab, "ada is at /notes")


@ONE_SHELL
def test_a_stronger_sign_in_is_asked_for_by_its_name(site: Site, tab: "Page") -> None:
    sign_in(tab, site)
    tab.goto(site.url("/orders"))
    fill_in(tab)
    says(tab, "ada is at /orders")


@ONE_SHELL
def test_a_form_is_sent_once_more_after_a_sign_in_in_another_tab(
    site: Site, browser: "BrowserContext", tab: "Page", clock: Clock
) -> None:
    sign_in(tab, site)
    clock.advance(600)
    tab.goto(site.url("/account"))
    tab.get_by_role("button", name="Make a note").click()
    says(tab, "Please sign in again")
    assert site.notes == []
    with browser.expect_page() as opened:
        tab.get_by_role("link", name="Sign in again").click()
    fill_in(opened.value)
    says(opened.value, "ada is at /")
    tab.reload()
    says(tab, "ada is at /notes")
    assert site.notes == ["ada"]


@ONE_SHELL
def test_nobody_goes_round_in_circles(site: Site, tab: "Page", clock: Clock) -> None:
    """The pool writes an old time into its tokens, whatever it was asked."""
    sign_in(tab, site)
    clock.advance(600)
    with site.pool.tamper(claims={"auth_time": 1}):
        tab.goto(site.url("/notes"))
        fill_in(tab)
        says(tab, "Not signed in")
    asked = len(site.asked)
    tab.get_by_role("link", name="Sign in").click()
    fill_in(tab)
    until(tab, lambda: len(site.asked) > asked)
    says(tab, "ada is at /notes")
