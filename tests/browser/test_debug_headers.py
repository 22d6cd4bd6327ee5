"""What a browser's developer tools say of a session, with `debug_headers=True`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.acts import enter
from tests.browser.site import ONE_SHELL, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

_TIMINGS = """performance.getEntriesByType('navigation')[0].serverTiming
    .map(each => [each.name, each.description, each.duration >= 0])"""


@ONE_SHELL
def test_the_timing_of_a_page_says_who_is_signed_in(
    new_site: Callable[..., Site], tab: "Page"
) -> None:
    site = new_site(debug_headers=True)
    tab.goto(site.url("/"))
    assert tab.evaluate(_TIMINGS) == [["amplify", "nobody, stored", True]]
    enter(tab, site)
    answered = tab.goto(site.url("/"))
    assert tab.evaluate(_TIMINGS) == [["amplify", "signed in, stored, looked up again", True]]
    assert answered is not None
    assert answered.headers["amplify-mw-debug"] == (
        "state=signed_in; kind=stored; cache=stale; asked=store"
    )
