"""What a browser asks for ahead of a click: nothing begins or ends by it, and the click counts."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from amplify_mw.testing import LocalUserPool
from tests.browser.acts import ahead, asks_ahead, cookies, enter, fill_in, says, session, until
from tests.browser.chromium import unaltered
from tests.browser.site import NEIGHBOUR, ONE_SHELL, Site, Stranger

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
KINDS = pytest.mark.parametrize("kind", ["prefetch", "prerender"])


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with unaltered() as browser:
        yield browser


def is_answered(site: Site, answer: str) -> Callable[[], bool]:
    return lambda: answer in site.answered


@KINDS
@pytest.mark.parametrize(
    ("name", "path", "way"),
    [
        ("Leave by the app", "/leave", ["/leave"]),
        ("Leave by a link", "/auth/sign-out", ["/auth/sign-out", "/auth/sign-out-callback", "/"]),
    ],
    ids=["end_session", "sign-out"],
)
def test_a_link_that_signs_out_does_so_when_it_is_clicked(
    site: Site,
    browser: "BrowserContext",
    tab: "Page",
    kind: str,
    name: str,
    path: str,
    way: list[str],
) -> None:
    enter(tab, site)
    site.asked.clear()
    asks_ahead(tab, ahead(kind, path))
    until(tab, is_answered(site, f"GET {path} (prefetch) 403"))
    assert session(browser) is not None
    tab.get_by_role("link", name=name).click()
    says(tab, f"nobody is at {way[-1]}")
    assert site.asked == [f"GET {path} (prefetch)", *[f"GET {step}" for step in way]]
    assert session(browser) is None


@ONE_SHELL
@pytest.mark.parametrize("path", ["/leave", "/auth/sign-out"])
def test_no_neighbours_page_signs_out_by_a_prefetch(
    site: Site, tab: "Page", elsewhere: Stranger, path: str
) -> None:
    enter(tab, site)
    site.asked.clear()
    rules = ahead("prefetch", site.url(path))
    tab.goto(elsewhere.shows(f'<script type="speculationrules">{rules}</script>', NEIGHBOUR))
    until(tab, is_answered(site, f"GET {path} (prefetch) 403"))
    tab.goto(site.url("/"))
    says(tab, "ada is at /")
    assert site.asked == [f"GET {path} (prefetch)", "GET /"]


@ONE_SHELL
def test_a_page_that_was_prerendered_acts_once_it_is_shown(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    enter(tab, site)
    site.asked.clear()
    asks_ahead(tab, ahead("prerender", "/account"))
    until(tab, is_answered(site, "GET /account (prefetch) 200"))
    tab.get_by_role("link", name="My account").click()
    says(tab, "ada is at /account")
    tab.get_by_role("link", name="Leave by the app").click()
    says(tab, "nobody is at /leave")
    assert site.asked == ["GET /account (prefetch)", "GET /leave"]


@ONE_SHELL
@pytest.mark.parametrize("eagerness", ["moderate", "conservative"])
def test_a_hand_on_its_way_to_the_link_signs_nobody_out(
    site: Site, browser: "BrowserContext", tab: "Page", eagerness: str
) -> None:
    enter(tab, site)
    site.asked.clear()
    asks_ahead(tab, ahead("prefetch", "/leave", eagerness=eagerness))
    tab.get_by_role("link", name="Leave by the app").hover()
    if eagerness == "conservative":
        tab.mouse.down()
    until(tab, is_answered(site, "GET /leave (prefetch) 403"))
    assert session(browser) is not None
    if eagerness == "moderate":
        tab.mouse.down()
    tab.mouse.up()
    says(tab, "nobody is at /leave")
    assert site.asked == ["GET /leave (prefetch)", "GET /leave"]


def test_twelve_prefetched_links_leave_the_attempt_that_is_in_use(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    tab.goto(site.url("/account"))
    says(tab, "Sign in")
    begun = cookies(browser, "amplify-auth")
    other = browser.new_page()
    other.goto(site.url("/"))
    site.asked.clear()
    asks_ahead(other, ahead("prefetch", *[f"/auth/sign-in?next=/{n}" for n in range(12)]))
    until(other, lambda: site.answered.count("GET /auth/sign-in (prefetch) 403") == 12)
    assert (len(begun), cookies(browser, "amplify-auth")) == (1, begun)
    tab.bring_to_front()
    fill_in(tab)
    says(tab, "ada is at /account")
    assert site.asked == [
        *["GET /auth/sign-in (prefetch)"] * 12,
        *["GET /auth/sign-in-callback"] * 2,
        "GET /account",
    ]


@ONE_SHELL
@KINDS
def test_the_click_on_a_prefetched_link_begins_one_attempt(
    site: Site, browser: "BrowserContext", tab: "Page", kind: str
) -> None:
    tab.goto(site.url("/"))
    site.asked.clear()
    asks_ahead(tab, ahead(kind, "/auth/sign-in?next=/account"))
    until(tab, is_answered(site, "GET /auth/sign-in (prefetch) 403"))
    assert cookies(browser, "amplify") == []
    tab.get_by_role("link", name="Sign in", exact=True).click()
    fill_in(tab)
    says(tab, "ada is at /account")
    assert site.asked[:2] == ["GET /auth/sign-in (prefetch)", "GET /auth/sign-in"]


@KINDS
@pytest.mark.parametrize(
    ("name", "path", "seen"),
    [
        ("My account", "/account", ["GET /account (prefetch) 401"]),
        ("Members", "/members",
         ["GET /members (prefetch) 302", "GET /auth/sign-in (prefetch) 403"]),
    ],
    ids=["guarded", "the app redirects"],
)  # fmt: skip
def test_a_page_for_members_that_is_prefetched_begins_no_attempt(
    site: Site,
    browser: "BrowserContext",
    tab: "Page",
    kind: str,
    name: str,
    path: str,
    seen: list[str],
) -> None:
    tab.goto(site.url("/"))
    site.asked.clear()
    site.answered.clear()
    asks_ahead(tab, ahead(kind, path))
    until(tab, is_answered(site, seen[-1]))
    assert cookies(browser, "amplify") == []
    tab.get_by_role("link", name=name).click()
    says(tab, "Sign in")
    clicked = [f"GET {path} 302", "GET /auth/sign-in 303"]
    assert site.answered == [*seen, *clicked]
    assert len(cookies(browser, "amplify")) == 1
    fill_in(tab)
    says(tab, "ada is at /account")


@ONE_SHELL
def test_another_sites_prefetch_of_a_protected_page_makes_no_hop(
    site: Site, browser: "BrowserContext", tab: "Page", elsewhere: Stranger
) -> None:
    rules = ahead("prefetch", site.url("/account"))
    link = f'<a href="{site.url("/account")}">Go</a>'
    tab.goto(elsewhere.shows(f'{link}<script type="speculationrules">{rules}</script>'))
    until(tab, is_answered(site, "GET /account (prefetch) 401"))
    assert cookies(browser, "amplify") == []
    tab.get_by_text("Go", exact=True).click()
    says(tab, "Sign in")
    assert site.asked == ["GET /account (prefetch)", *["GET /account"] * 2, "GET /auth/sign-in"]


@ONE_SHELL
def test_a_prefetched_way_back_uses_up_no_code(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool
) -> None:
    tab.goto(site.url("/account"))
    says(tab, "Sign in")
    back = pool.authorize(tab.url, "ada")
    other = browser.new_page()
    other.goto(site.url("/"))
    asks_ahead(other, ahead("prefetch", back))
    until(other, is_answered(site, "GET /auth/sign-in-callback (prefetch) 403"))
    assert (pool.count("token"), session(browser)) == (0, None)
    other.evaluate("back => { location.href = back }", back)
    says(other, "ada is at /account")
    assert pool.count("token") == 1
