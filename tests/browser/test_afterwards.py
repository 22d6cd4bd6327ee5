"""What a browser shows, and keeps, after a sign-out: in Chromium as people have it."""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from amplify_mw import CookiePolicy, end_session
from tests.browser.acts import enter, says, session
from tests.browser.chromium import unaltered
from tests.browser.site import ONE_SHELL, Door, Site
from tests.patience import PATIENCE
from tests.shells import ASGIShell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
AHEAD = """<script type="speculationrules">
{"prefetch": [{"source": "list", "urls": ["/account"], "eagerness": "immediate"}]}</script>"""
MANY = 260  # cookies: more than browsers keep of a domain
KEEPING = pytest.mark.parametrize("cache_control", [None, "no-store"])


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with unaltered() as browser:
        yield browser


def leave_elsewhere(browser: "BrowserContext", site: Site) -> None:
    """Sign out in another tab."""
    other = browser.new_page()
    other.goto(site.url("/"))
    other.get_by_role("button", name="Leave by a form").click()
    says(other, "nobody is at /")
    other.close()


def visit_and_move_on(tab: "Page", site: Site) -> None:
    """See the account, and then another page."""
    enter(tab, site)
    tab.get_by_role("link", name="My account").click()
    says(tab, "ada is at /account")
    tab.goto(site.url("/public"))
    says(tab, "ada is at /public")


@KEEPING
def test_back_shows_no_guarded_page_after_a_sign_out(
    new_site: Callable[..., Site], browser: "BrowserContext", tab: "Page", cache_control: Any
) -> None:
    site = new_site(cache_control=cache_control)
    visit_and_move_on(tab, site)
    leave_elsewhere(browser, site)
    site.asked.clear()
    tab.evaluate("history.back()")
    says(tab, "Sign in")
    assert site.asked == ["GET /account", "GET /auth/sign-in"]


@ONE_SHELL
def test_back_shows_a_private_page_without_asking(
    new_site: Callable[..., Site], browser: "BrowserContext", tab: "Page"
) -> None:
    site = new_site(cache_control="private")
    visit_and_move_on(tab, site)
    leave_elsewhere(browser, site)
    site.asked.clear()
    tab.evaluate("history.back()")
    says(tab, "ada is at /account")
    assert site.asked == []


class Ahead:
    """A site whose `/` has `/account` fetched ahead. `/leave` ends the session by itself.

    `fetched`: set once that has been answered.
    """

    def __init__(self, site: Site, door: Door) -> None:
        self.site, self.fetched = site, threading.Event()
        self._door_app, self._answer = door.app, site.answer
        door.app, site.answer = self.asgi, self.answer  # type: ignore[method-assign]

    def answer(self, method: str, path: str) -> bytes:
        if path == "/leave":
            end_session()
        page = self._answer(method, path)
        return page.replace(b"</body>", f"{AHEAD}</body>".encode()) if path == "/" else page

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        await self._door_app(scope, receive, send)
        if scope["path"] == "/account":
            self.fetched.set()


@pytest.fixture
def ahead(new_site: Callable[..., Site], doors: Callable[[str], Door], tab: "Page") -> Ahead:
    """One at which `ada` is, and her account has been fetched ahead."""
    ahead = Ahead(new_site(), doors(ASGIShell.kind))
    enter(tab, ahead.site)
    tab.goto(ahead.site.url("/"))
    assert ahead.fetched.wait(PATIENCE)
    says(tab, "ada is at /")
    ahead.site.asked.clear()
    return ahead


@ONE_SHELL
def test_a_page_that_was_fetched_ahead_is_shown_without_asking(ahead: Ahead, tab: "Page") -> None:
    tab.get_by_role("link", name="My account").click()
    says(tab, "ada is at /account")
    assert ahead.site.asked == []


@ONE_SHELL
def test_what_was_fetched_ahead_is_not_shown_after_a_sign_out_in_another_tab(
    ahead: Ahead, browser: "BrowserContext", tab: "Page"
) -> None:
    leave_elsewhere(browser, ahead.site)
    ahead.site.asked.clear()
    tab.get_by_role("link", name="My account").click()
    says(tab, "Sign in")
    assert ahead.site.asked == ["GET /account", "GET /auth/sign-in"]


@ONE_SHELL
def test_what_was_fetched_ahead_is_not_shown_after_a_script_has_signed_out(
    ahead: Ahead, tab: "Page"
) -> None:
    assert tab.evaluate("fetch('/leave', {method: 'POST'}).then(got => got.status)") == 200
    tab.get_by_role("link", name="My account").click()
    says(tab, "Sign in")
    assert ahead.site.asked == ["POST /leave", "GET /account", "GET /auth/sign-in"]


@ONE_SHELL
@pytest.mark.parametrize(("priority", "user"), [("High", "ada"), (None, "nobody")])
def test_a_flood_of_cookies_leaves_a_session_of_high_priority(
    new_site: Callable[..., Site], tab: "Page", priority: Any, user: str
) -> None:
    site = new_site(cookie=CookiePolicy(priority=priority))
    enter(tab, site)
    tab.goto(site.url("/"))
    flood = [("Set-Cookie", f"flood-{number}=1; Secure; Path=/") for number in range(MANY)]
    site.headers += flood
    tab.goto(site.url("/flood"))
    del site.headers[-MANY:]
    tab.goto(site.url("/"))
    says(tab, f"{user} is at /")
    assert (session(tab.context) is None) == (user == "nobody")
