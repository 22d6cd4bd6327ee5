"""What people do in a browser, and what they then see."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.browser.site import SESSION, Site
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


def says(tab: "Page", text: str) -> None:
    """Wait for a page whose heading is this."""
    tab.get_by_role("heading", name=text, exact=True).wait_for()


def until(tab: "Page", condition: Callable[[], bool]) -> None:
    """Wait until it holds, while a browser does something."""
    for _ in range(int(PATIENCE * 100)):
        if condition():
            return
        tab.evaluate("new Promise(resolve => setTimeout(resolve, 10))")
    raise AssertionError("it never came to that")


def ahead(kind: str, *urls: str, eagerness: str = "immediate") -> str:
    """What a page says that has a browser ask for these ahead. `kind`: prefetch or prerender."""
    return json.dumps({kind: [{"urls": urls, "eagerness": eagerness}]})


def asks_ahead(tab: "Page", rules: str) -> None:
    """Put rules into the page, as a script of its own would."""
    tab.evaluate(
        """rules => {
            const script = document.createElement("script");
            script.type = "speculationrules";
            script.textContent = rules;
            document.head.append(script);
        }""",
        rules,
    )


def fill_in(tab: "Page", name: str = "ada") -> None:
    """Fill in the user pool's form, and send it."""
    says(tab, "Sign in")
    tab.get_by_label("User name").fill(name)
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Sign in", exact=True).click()


def sign_in(tab: "Page", site: Site, name: str = "ada", path: str = "/account") -> None:
    """Open a guarded page, and sign in for it."""
    tab.goto(site.url(path))
    fill_in(tab, name)
    says(tab, f"{name} is at {path}")


def enter(tab: "Page", site: Site) -> None:
    """Be signed in as `ada`, without the user pool's pages."""
    tab.goto(site.url("/enter"))
    says(tab, "ada is at /enter")


def cookies(browser: "BrowserContext", prefix: str) -> list[dict[str, Any]]:
    """What the browser's jar has under names that begin so."""
    return [dict(cookie) for cookie in browser.cookies() if cookie["name"].startswith(prefix)]


def session(browser: "BrowserContext") -> dict[str, Any] | None:
    """The session's cookie."""
    found = cookies(browser, SESSION)
    assert len(found) < 2
    return found[0] if found else None
