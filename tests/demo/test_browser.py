"""A walk through the demo in Chromium, on a phone: what its pages say, and that they fit."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from amplify_mw.demo.people import PASSWORD
from tests.browser.chromium import launched
from tests.demo.command import Demo
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
_WIDTH = 390
_TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
    event => console.error("policy: " + event.violatedDirective + " " + event.blockedURI))"""


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    with launched() as browser:
        yield browser


@pytest.fixture(params=[[], ["--fastapi"]], ids=["flask", "fastapi"])
def demo(request: pytest.FixtureRequest, chromium: "Browser") -> Iterator[Demo]:
    with closing(Demo("--port", "0", *request.param)) as demo:
        yield demo


@pytest.fixture
def new_phone(chromium: "Browser", demo: Demo) -> Iterator[Callable[[], "Page"]]:
    """Makes browsers on phones. No page may breach its policy."""
    contexts = []
    breaches: list[str] = []

    def make() -> "Page":
        context = chromium.new_context(viewport={"width": _WIDTH, "height": 800})
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.add_init_script(_TELL_VIOLATIONS)
        context.on(
            "console", lambda said: breaches.append(said.text) if "policy" in said.text else None
        )
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    assert breaches == []


def sign_in(phone: "Page", username: str) -> None:
    phone.get_by_label("User name").fill(username)
    phone.get_by_label("Password").fill(PASSWORD)
    phone.get_by_role("button", name="Sign in", exact=True).click()


def says(phone: "Page", text: str) -> None:
    """The page says so, and fits the phone."""
    phone.get_by_text(text).first.wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= _WIDTH


def test_a_walk_through_the_demo(demo: Demo, new_phone: Callable[[], "Page"]) -> None:
    phone = new_phone()
    phone.goto(demo.url.replace("localhost", "127.0.0.1"))
    assert phone.url == demo.url
    says(phone, "Who is signed in?")

    phone.get_by_role("link", name="Admins", exact=True).click()
    says(phone, "Ada Lovelace. Password: correct horse. In the group admins")
    sign_in(phone, "grace")
    says(phone, "This page is for admins.")
    phone.get_by_role("link", name="Sign in as somebody else").click()
    sign_in(phone, "ada")
    says(phone, "Welcome, ada.")

    phone.get_by_role("link", name="Profile").click()
    says(phone, "Hello, Ada Lovelace.")
    phone.get_by_role("link", name="Home").click()
    phone.get_by_role("button", name="Refresh the tokens now").click()
    says(phone, "The tokens are new.")

    other = new_phone()
    other.goto(f"{demo.url}members")
    sign_in(other, "ada")
    says(other, "For members")
    phone.get_by_role("link", name="Devices").first.click()
    phone.get_by_role("button", name="End").click()
    says(phone, "That device is signed out.")
    other.get_by_role("link", name="Home").click()
    says(other, "Another device has ended this session.")

    phone.get_by_role("button", name="Sign out", exact=True).click()
    says(phone, "You are signed out, here and at the user pool.")
    phone.goto(f"{demo.url}nowhere")
    says(phone, "This site has no page at this address.")


def test_no_value_of_the_profile_is_broken(demo: Demo, new_phone: Callable[[], "Page"]) -> None:
    phone = new_phone()
    phone.goto(f"{demo.url}profile")
    sign_in(phone, "ada")
    says(phone, "Hello, Ada Lovelace.")
    heights = phone.eval_on_selector_all(
        ".value", "all => all.map(one => Math.round(one.getBoundingClientRect().height))"
    )
    assert len(heights) == 8
    assert len(set(heights)) == 1  # each is one line
