"""What pages of other sites, and of other origins of this site, can bring a browser to do."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2
import pytest

from amplify_mw import CookiePolicy
from amplify_mw.testing import LocalUserPool
from tests.browser.acts import cookies, enter, fill_in, says, session
from tests.browser.site import ELSEWHERE, NEIGHBOUR, ONE_SHELL, Door, Site, Stranger
from tests.patience import PATIENCE
from tests.shells import Shell

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
LINK = '<a href="{url}">Go</a>'
FORM = '<form method="post" action="{url}"><button>Go</button></form>'
# A form of a page without an origin.
SANDBOXED = (
    '<iframe sandbox="allow-forms allow-scripts allow-top-navigation" srcdoc="<form method=post '
    "target=_top action='{url}'></form><script>document.forms[0].submit()</script>\"></iframe>"
)
IMAGE = '<img src="{url}">'


@pytest.fixture
def lax(new_site: Callable[..., Site]) -> Site:
    """A site whose session cookie comes along with other sites' links."""
    return new_site(cookie=CookiePolicy(secure=False, same_site="Lax"))


def go(tab: "Page") -> None:
    tab.get_by_text("Go", exact=True).click()


def test_a_link_to_a_guarded_page_opens_it_for_who_is_signed_in(
    site: Site, tab: "Page", elsewhere: Stranger
) -> None:
    enter(tab, site)
    tab.goto(elsewhere.shows(LINK.format(url=site.url("/account"))))
    site.asked.clear()
    go(tab)
    says(tab, "ada is at /account")
    assert site.asked == ["GET /account", "GET /account"]


def test_a_link_to_a_guarded_page_leads_who_is_signed_out_to_sign_in(
    site: Site, tab: "Page", elsewhere: Stranger
) -> None:
    tab.goto(elsewhere.shows(LINK.format(url=site.url("/account?page=2"))))
    site.asked.clear()
    go(tab)
    fill_in(tab)
    says(tab, "ada is at /account")
    assert tab.url == site.url("/account?page=2")
    assert site.asked == [
        "GET /account",
        "GET /account",
        "GET /auth/sign-in",
        *["GET /auth/sign-in-callback"] * 2,
        "GET /account",
    ]


@ONE_SHELL
def test_back_from_such_a_page_leads_to_the_other_site(
    site: Site, tab: "Page", elsewhere: Stranger
) -> None:
    enter(tab, site)
    page = elsewhere.shows(LINK.format(url=site.url("/account")))
    tab.goto(page)
    go(tab)
    says(tab, "ada is at /account")
    tab.go_back()
    assert tab.url == page


@ONE_SHELL
def test_a_link_to_sign_in_asks_first(
    site: Site, browser: "BrowserContext", tab: "Page", elsewhere: Stranger
) -> None:
    tab.goto(elsewhere.shows(LINK.format(url=site.url("/auth/sign-in?next=/orders"))))
    go(tab)
    says(tab, "Sign in to this site?")
    assert cookies(browser, "amplify-auth") == []
    tab.get_by_role("link", name="Go on to sign in").click()
    fill_in(tab)
    says(tab, "ada is at /orders")


@ONE_SHELL
@pytest.mark.parametrize(
    ("html", "host"),
    [(LINK, ELSEWHERE), (FORM, ELSEWHERE), (LINK, NEIGHBOUR), (FORM, NEIGHBOUR)],
    ids=["link-elsewhere", "form-elsewhere", "link-next-door", "form-next-door"],
)
def test_no_other_origin_signs_anybody_out(
    lax: Site, tab: "Page", elsewhere: Stranger, html: str, host: str
) -> None:
    enter(tab, lax)
    tab.goto(elsewhere.shows(html.format(url=lax.url("/auth/sign-out")), host))
    with tab.expect_response("**/auth/sign-out") as answer:
        go(tab)
    assert answer.value.status == 403
    tab.goto(lax.url("/"))
    says(tab, "ada is at /")


@ONE_SHELL
def test_an_image_signs_nobody_out(site: Site, tab: "Page", elsewhere: Stranger) -> None:
    enter(tab, site)
    # Of this very site, so that the Strict cookie comes along.
    tab.goto(elsewhere.shows(IMAGE.format(url=site.url("/auth/sign-out")), NEIGHBOUR))
    assert "GET /auth/sign-out" in site.asked
    tab.goto(site.url("/"))
    says(tab, "ada is at /")


@ONE_SHELL
def test_a_page_without_an_origin_signs_nobody_out(
    lax: Site, tab: "Page", elsewhere: Stranger
) -> None:
    enter(tab, lax)
    tab.goto(elsewhere.shows(SANDBOXED.format(url=lax.url("/auth/sign-out"))))
    tab.wait_for_url(lax.url("/auth/sign-out"))
    assert "POST /auth/sign-out" in lax.asked
    tab.goto(lax.url("/"))
    says(tab, "ada is at /")


def test_another_sites_form_acts_for_nobody(site: Site, tab: "Page", elsewhere: Stranger) -> None:
    enter(tab, site)
    tab.goto(elsewhere.shows(FORM.format(url=site.url("/notes"))))
    go(tab)
    says(tab, "nobody is at /notes")  # the cookie stayed at home
    assert site.notes == ["nobody"]


def test_a_form_of_this_sites_other_origin_is_refused(
    site: Site, tab: "Page", elsewhere: Stranger
) -> None:
    enter(tab, site)
    tab.goto(elsewhere.shows(FORM.format(url=site.url("/notes")), NEIGHBOUR))
    with tab.expect_response("**/notes") as answer:
        go(tab)
    assert answer.value.status == 403
    assert answer.value.headers["content-type"] == "text/html; charset=utf-8"
    assert "A page of another site asked for this" in tab.inner_text("body")
    assert site.notes == []


@ONE_SHELL
def test_the_sites_own_form_acts(site: Site, tab: "Page") -> None:
    enter(tab, site)
    tab.get_by_role("button", name="Make a note").click()
    says(tab, "ada is at /notes")
    assert site.notes == ["ada"]


# Over plain http on a host that is not this machine's own, no browser sends `Sec-Fetch-Site`.


@pytest.fixture
def plain(new_site: Callable[..., Site], doors: Callable[[str], Door], shell: Shell) -> Site:
    """A site at another name of its own, over plain http."""
    origin = f"http://intranet.test:{doors(shell.kind).port}"
    site = new_site(origins=[origin], cookie=CookiePolicy(secure=False))
    site.origin = origin
    return site


def test_a_form_of_a_site_on_plain_http_acts(plain: Site, tab: "Page") -> None:
    enter(tab, plain)
    with tab.expect_request("**/notes") as asked:
        tab.get_by_role("button", name="Make a note").click()
    says(tab, "ada is at /notes")
    assert plain.notes == ["ada"]
    assert asked.value.all_headers()["origin"] == plain.origin
    assert "sec-fetch-site" not in asked.value.all_headers()


@pytest.mark.parametrize(
    ("policy", "origin"),
    [("no-referrer", "null"), ("same-origin", None), ("strict-origin-when-cross-origin", None)],
)
@ONE_SHELL
def test_a_referrer_policy_may_hide_that_it_is_the_sites_own(
    plain: Site, tab: "Page", policy: str, origin: str | None
) -> None:
    plain.headers.append(("Referrer-Policy", policy))
    enter(tab, plain)
    with tab.expect_response("**/notes") as answer:
        tab.get_by_role("button", name="Make a note").click()
    assert answer.value.request.all_headers()["origin"] == (origin or plain.origin)
    assert plain.notes == (["ada"] if origin is None else [])
    assert answer.value.status == (200 if origin is None else 403)


def way_back_of_another(site: Site, pool: LocalUserPool) -> str:
    """The callback's address with a code and state that `grace` got in a browser of hers."""
    begun = httpx2.get(site.url("/auth/sign-in"), trust_env=False, verify=False, timeout=PATIENCE)
    return pool.authorize(begun.headers["location"], "grace")


@pytest.mark.parametrize("html", [LINK, IMAGE], ids=["link", "image"])
def test_the_way_back_of_another_signs_nobody_in(
    site: Site,
    browser: "BrowserContext",
    tab: "Page",
    pool: LocalUserPool,
    elsewhere: Stranger,
    html: str,
) -> None:
    url = way_back_of_another(site, pool).replace("&", "&amp;")
    tab.goto(elsewhere.shows(html.format(url=url)))
    if html == LINK:
        go(tab)
        says(tab, "Sign in")  # at the user pool, which asks for who one is
    assert "GET /auth/sign-in-callback" in site.asked
    assert session(browser) is None
    assert pool.count("token") == 0


def test_the_way_back_of_another_does_not_change_who_is_signed_in(
    site: Site, tab: "Page", pool: LocalUserPool, elsewhere: Stranger
) -> None:
    enter(tab, site)
    url = way_back_of_another(site, pool).replace("&", "&amp;")
    tab.goto(elsewhere.shows(LINK.format(url=url)))
    go(tab)
    says(tab, "ada is at /")


@ONE_SHELL
def test_the_way_back_of_another_does_not_end_ones_own_attempt(
    site: Site, browser: "BrowserContext", tab: "Page", pool: LocalUserPool, elsewhere: Stranger
) -> None:
    tab.goto(site.url("/account"))
    url = way_back_of_another(site, pool).replace("&", "&amp;")
    other = browser.new_page()
    other.goto(elsewhere.shows(LINK.format(url=url)))
    go(other)
    says(other, "Sign in")
    tab.bring_to_front()
    fill_in(tab)
    says(tab, "ada is at /account")


@ONE_SHELL
def test_no_page_of_the_routes_can_be_framed(
    site: Site, tab: "Page", elsewhere: Stranger, complaints: list[str]
) -> None:
    tab.goto(elsewhere.shows(f'<iframe src="{site.url("/auth/sign-in")}"></iframe>'))
    tab.wait_for_function("document.readyState === 'complete'")
    assert complaints != []
    assert all("frame-ancestors" in text for text in complaints)
    complaints.clear()
