"""Step-up at an OpenID provider that is not ours."""

from typing import Any

import pytest

from amplify_mw import Needs
from tests.oidc.conftest import Opening
from tests.oidc.provider import OpenIDProvider, Person, arrive, leave, parameters, refusal
from tests.shells import Got
from tests.sites import Browser

pytestmark = pytest.mark.node
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
MFA = "urn:example:mfa"


def shows(browser: Browser, page: str) -> Got:
    return browser.ask(lambda: "paid", path=page, headers=PAGE)


@pytest.fixture
def browser(open_site: Opening) -> Browser:
    protect = {"/pay": Needs(fresh=300), "/keys": Needs(acr=MFA)}
    return open_site(protect=protect).browser()


def asked_of(browser: Browser, page: str) -> str:
    """Where a page leads to in the end."""
    got = shows(browser, page)
    assert got.status == 302
    return leave(browser, str(got.one("location")).partition("?")[2])


def test_there_and_back(browser: Browser, person: Person) -> None:
    """This provider's ID tokens have an `auth_time` only if `max_age` asks for it."""
    arrive(browser, person.sign_in(leave(browser)))
    url = asked_of(browser, "/pay")
    assert parameters(url)["max_age"] == "300"
    assert 'url=/pay"' in arrive(browser, person.sign_in(url)).body
    assert shows(browser, "/pay").body == "paid"


def test_a_refresh_leaves_it_as_it_is(browser: Browser, person: Person) -> None:
    arrive(browser, person.sign_in(asked_of_nobody(browser, max_age="300")))
    site: Any = browser.site
    before = browser.does(lambda: site.verbs.get_claim("auth_time")).body
    assert before.isdigit()
    browser.does(site.refresh)
    assert browser.does(lambda: site.verbs.get_claim("auth_time")).body == before
    assert shows(browser, "/pay").body == "paid"


def asked_of_nobody(browser: Browser, **asked: str) -> str:
    return leave(browser, "&".join(f"{name}={value}" for name, value in asked.items()))


def test_a_provider_that_knows_no_acr_does_not_do(browser: Browser, person: Person) -> None:
    arrive(browser, person.sign_in(leave(browser)))
    url = asked_of(browser, "/keys")
    assert parameters(url)["acr_values"] == MFA
    assert refusal(arrive(browser, person.sign_in(url))) == "sign_in_too_weak"
    assert browser.does().body == "ada"


def test_one_that_knows_it_does(provider: OpenIDProvider, browser: Browser, person: Person) -> None:
    arrive(browser, person.sign_in(leave(browser)))
    url = asked_of(browser, "/keys")
    provider.alter(claims={"acr": MFA})
    assert 'url=/keys"' in arrive(browser, person.sign_in(url)).body
    assert shows(browser, "/keys").body == "paid"
