"""Links of another site to a guarded page, one soon after the other."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.acts import enter, says
from tests.browser.chromium import unaltered
from tests.browser.site import ONE_SHELL, Site, Stranger

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with unaltered() as browser:
        yield browser


@pytest.fixture
def mail(site: Site, elsewhere: Stranger) -> str:
    """A page of somebody else's, with two links to one guarded page of the site."""
    links = [f'<a href="{site.url("/account")}?{n}">{n}</a>' for n in ("first", "second")]
    return elsewhere.shows(" ".join(links))


def follow(tab: "Page", name: str = "first") -> None:
    tab.get_by_role("link", name=name).click()


def test_back_and_the_link_again_opens_the_page_again(site: Site, tab: "Page", mail: str) -> None:
    enter(tab, site)
    tab.goto(mail)
    site.asked.clear()
    for name in ("first", "first", "second"):
        follow(tab, name)
        says(tab, "ada is at /account")
        tab.go_back(wait_until="commit")
        assert tab.url == mail
    assert site.asked == ["GET /account"] * 6


@ONE_SHELL
def test_a_link_that_is_opened_in_two_tabs_opens_the_page_in_both(
    site: Site, browser: "BrowserContext", tab: "Page", mail: str
) -> None:
    enter(tab, site)
    tab.goto(mail)
    site.asked.clear()
    tabs = []
    for name in ("first", "second"):
        with browser.expect_page() as opened:
            tab.get_by_role("link", name=name).click(modifiers=["Control"])
        tabs.append(opened.value)
    for one in tabs:
        says(one, "ada is at /account")
    assert site.asked == ["GET /account"] * 4


@ONE_SHELL
def test_who_is_signed_out_is_asked_to_sign_in_each_time(
    site: Site, tab: "Page", mail: str
) -> None:
    tab.goto(mail)
    for _ in range(2):
        follow(tab)
        says(tab, "Sign in")
        tab.goto(mail)
    assert site.asked == ["GET /account", "GET /account", "GET /auth/sign-in"] * 2


@ONE_SHELL
def test_the_site_may_be_left_soon_after_it_was_come_to_by_a_link(
    site: Site, browser: "BrowserContext", tab: "Page", mail: str
) -> None:
    enter(tab, site)
    tab.goto(mail)
    follow(tab)
    says(tab, "ada is at /account")
    tab.get_by_role("link", name="Leave by the app").click()
    says(tab, "nobody is at /leave")
