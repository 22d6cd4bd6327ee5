"""Headless Chromium, a browser that is new in each test, and a site to open in it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from amplify_mw.testing import LocalUserPool
from tests.browser.chromium import launched
from tests.browser.site import Clock, Door, Site, Stranger, door, serving, stranger
from tests.patience import PATIENCE
from tests.shells import Shell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

_SIZE: Any = {"width": 480, "height": 400}  # less to paint
# What Chromium says of every page whose status is an error.
_STATUS = "Failed to load resource: the server responded with a status of "
_TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    event => console.error("policy: " + event.violatedDirective + " " + event.blockedURI))"""


# For a module and no longer: as long as Playwright is there, its event loop counts as running in
# this thread, and tests elsewhere run loops of their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """The browser; the tests that need it are skipped where it is not at hand."""
    with launched() as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has to say against the pages: errors, and breaches of their policies."""
    return []


@pytest.fixture
def new_browser(
    chromium: "Browser", complaints: list[str], new_site: object
) -> Iterator[Callable[..., "BrowserContext"]]:
    """Makes browsers with nothing in them. No page may give cause for complaint.

    They end before the site does: browsers ask for icons when they like.
    """
    with ExitStack() as stack:

        def make(**options: Any) -> "BrowserContext":
            context = chromium.new_context(viewport=_SIZE, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            context.add_init_script(_TELL_VIOLATIONS)
            context.on("console", lambda message: _note(message, complaints))
            context.on("weberror", lambda error: complaints.append(str(error.error)))
            return context

        yield make
    assert complaints == []


def _note(message: "ConsoleMessage", complaints: list[str]) -> None:
    is_known = message.text.startswith(_STATUS)
    if message.type in ("error", "warning") and not is_known:
        complaints.append(f"{message.text} ({message.location['url']})")


@pytest.fixture
def browser(new_browser: Callable[..., "BrowserContext"]) -> "BrowserContext":
    return new_browser()


@pytest.fixture
def tab(browser: "BrowserContext") -> "Page":
    return browser.new_page()


@pytest.fixture
def clock() -> Clock:
    """The site's and the user pool's."""
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock) as pool:
        for name in ("ada", "grace"):
            pool.add_user(name, email=f"{name}@example.com")
        pool.add_user("Google_1234", identity_provider="Google")
        yield pool


@pytest.fixture(scope="module")
def doors() -> Iterator[Callable[[str], Door]]:
    """The servers of this module, by the kind of their shell."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(door(kind)))


@pytest.fixture
def new_site(
    shell: Shell, pool: LocalUserPool, clock: Clock, doors: Callable[[str], Door]
) -> Iterator[Callable[..., Site]]:
    """Makes the site on this pool. `routes`: options of `AuthRoutes`; the rest are the config's."""
    with ExitStack() as stack:

        def make(routes: dict[str, Any] | None = None, **options: Any) -> Site:
            served = serving(doors(shell.kind), shell, pool, clock, routes or {}, options)
            return stack.enter_context(served)

        yield make


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Stranger]:
    """Somebody else's pages."""
    with stranger() as pages:
        yield pages
