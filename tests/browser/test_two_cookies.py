"""Two session cookies of one name, in a real browser: the sign-in comes to an end."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.acts import cookies, enter, fill_in, says
from tests.browser.site import ONE_SHELL, SESSION, Door, Site
from tests.shells import ASGIShell

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser
HOST, PARENT = "www.app.localhost", "app.localhost"
ROUND = ["GET /account", "GET /auth/sign-in", "GET /auth/sign-in-callback"]
KINDS = {
    "the parent's": f"Path=/; Domain={PARENT}",
    "the host's, to its subdomains": f"Path=/; Domain={HOST}",
    "partitioned": "Path=/; Secure; SameSite=None; Partitioned",
    "the parent's, partitioned": f"Path=/; Domain={PARENT}; Secure; SameSite=None; Partitioned",
    "the routes'": f"Path=/auth; Domain={PARENT}",
}


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site(host=HOST, protect=["/account", "/a/*"])


def plant(tab: "Page", site: Site, kind: str) -> None:
    """Have the browser keep another kind of session cookie, as one of a sibling's."""
    site.headers.append(("Set-Cookie", f"{SESSION}=planted; {kind}"))
    tab.goto(site.url("/"))
    site.headers.pop()
    site.asked.clear()


def alone(browser: "BrowserContext") -> bool:
    """Whether the browser keeps one session cookie: the site's own."""
    found = [(cookie["domain"], cookie["path"]) for cookie in cookies(browser, SESSION)]
    return found == [(HOST, "/")]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_sign_in_leaves_one_of_two(
    site: Site, browser: "BrowserContext", tab: "Page", kind: str
) -> None:
    enter(tab, site)
    plant(tab, site, kind)
    tab.goto(site.url("/account"))
    if not kind.startswith("Path=/auth"):
        fill_in(tab)
        says(tab, "ada is at /account")
        assert site.asked == [*ROUND, ROUND[-1], ROUND[0]]
    tab.goto(site.url("/auth/sign-out"))
    says(tab, "nobody is at /")
    assert cookies(browser, SESSION) == []


@ONE_SHELL
def test_one_that_a_page_alone_gets_is_cleared_without_another_sign_in(
    site: Site, browser: "BrowserContext", tab: "Page"
) -> None:
    enter(tab, site)
    plant(tab, site, f"Path=/account; Domain={PARENT}")
    tab.goto(site.url("/account"))
    says(tab, "ada is at /account")
    assert site.asked == ["GET /account", "GET /auth/sign-in", "GET /account"]
    assert alone(browser)


@ONE_SHELL
def test_one_that_is_out_of_reach_ends_at_a_page(site: Site, tab: "Page") -> None:
    enter(tab, site)
    plant(tab, site, "Path=/a/b/c/d")
    tab.goto(site.url("/a/b/c/d"))
    says(tab, "Not signed in")
    assert tab.get_by_text("Delete the cookies of this site").is_visible()
    assert site.asked == ["GET /a/b/c/d", "GET /auth/sign-in"] * 2


@ONE_SHELL
def test_one_that_is_set_again_and_again_ends_at_a_page(
    site: Site, doors: Callable[[str], Door], tab: "Page"
) -> None:
    door = doors(ASGIShell.kind)
    inner = door.app

    async def planting(scope: Any, receive: Any, send: Any) -> None:
        async def planting_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                line = f"{SESSION}=planted; {KINDS['partitioned']}".encode()
                message = {**message, "headers": [*message["headers"], (b"set-cookie", line)]}
            await send(message)

        await inner(scope, receive, planting_send)

    enter(tab, site)
    door.app = planting
    tab.goto(site.url("/"))
    site.asked.clear()
    tab.goto(site.url("/account"))
    fill_in(tab)
    says(tab, "Not signed in")
    assert site.asked == [*ROUND, ROUND[-1], *ROUND[:2]]
