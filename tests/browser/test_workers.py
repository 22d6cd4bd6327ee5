"""A service worker that passes on what it is asked: signing in and out goes on as without it."""

from typing import TYPE_CHECKING

import pytest

from tests.browser.acts import ahead, asks_ahead, enter, says, session, sign_in, until
from tests.browser.chromium import unaltered
from tests.browser.site import ELSEWHERE, NEIGHBOUR, ONE_SHELL, Site, Stranger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
OUT = "/auth/sign-out"


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    with unaltered() as browser:
        yield browser


@pytest.fixture
def worked(site: Site, tab: "Page") -> Site:
    """A site whose worker answers for it in this browser."""
    tab.goto(site.url("/"))
    tab.evaluate(
        """async () => {
            const taken = new Promise(
                done => navigator.serviceWorker.addEventListener("controllerchange", done));
            await navigator.serviceWorker.register("/worker.js");
            if (!navigator.serviceWorker.controller) await taken;
        }"""
    )
    site.asked.clear()
    return site


def passed_on(*paths: str) -> list[str]:
    return [f"GET {path} (passed on)" for path in paths]


def test_a_link_signs_out(worked: Site, browser: "BrowserContext", tab: "Page") -> None:
    enter(tab, worked)
    tab.get_by_role("link", name="Leave by a link").click()
    says(tab, "nobody is at /")
    assert session(browser) is None
    assert worked.asked == passed_on("/enter", OUT, f"{OUT}-callback", "/")


@ONE_SHELL
def test_signing_in_goes_on_as_without_it(worked: Site, tab: "Page") -> None:
    sign_in(tab, worked)
    back = "/auth/sign-in-callback"
    assert worked.asked == passed_on("/account", "/auth/sign-in", back, back, "/account")


@ONE_SHELL
@pytest.mark.parametrize("host", [ELSEWHERE, NEIGHBOUR])
def test_no_other_origins_link_signs_out(
    worked: Site, tab: "Page", elsewhere: Stranger, host: str
) -> None:
    enter(tab, worked)
    tab.goto(elsewhere.shows(f'<a href="{worked.url(OUT)}">Go</a>', host))
    with tab.expect_response(f"**{OUT}") as answer:
        tab.get_by_text("Go", exact=True).click()
    assert answer.value.status == 403
    tab.goto(worked.url("/"))
    says(tab, "ada is at /")


@ONE_SHELL
@pytest.mark.parametrize("host", [ELSEWHERE, NEIGHBOUR])
def test_no_frame_in_another_origins_page_signs_out(
    worked: Site, tab: "Page", elsewhere: Stranger, host: str, complaints: list[str]
) -> None:
    enter(tab, worked)
    tab.goto(elsewhere.shows(f'<iframe src="{worked.url(OUT)}"></iframe>', host))
    # A frame of another site's has no worker of this one's.
    request = f"GET {OUT} (passed on)" if host == NEIGHBOUR else f"GET {OUT}"
    until(tab, lambda: f"{request} 403" in worked.answered)
    until(tab, lambda: any("frame-ancestors 'none'" in one for one in complaints))
    complaints.clear()  # the page of the refusal may be framed by nobody
    tab.goto(worked.url("/"))
    says(tab, "ada is at /")


@ONE_SHELL
@pytest.mark.parametrize("kind", ["prefetch", "prerender"])
def test_no_prefetch_that_it_passes_on_signs_out(worked: Site, tab: "Page", kind: str) -> None:
    enter(tab, worked)
    asks_ahead(tab, ahead(kind, OUT))
    until(tab, lambda: f"GET {OUT} (passed on) (prefetch) 403" in worked.answered)
    tab.goto(worked.url("/"))
    says(tab, "ada is at /")


@ONE_SHELL
def test_no_request_of_a_scripts_own_making_opens_a_page(worked: Site, tab: "Page") -> None:
    """What a script may ask as is decided by the browser."""
    enter(tab, worked)
    made = tab.evaluate(
        """url => fetch(url, {mode: "navigate"}).then(() => "asked", error => error.name)""",
        worked.url(OUT),
    )
    assert made == "TypeError"
    status = tab.evaluate("url => fetch(url).then(answer => answer.status)", worked.url(OUT))
    assert status == 403
    says(tab, "ada is at /enter")
