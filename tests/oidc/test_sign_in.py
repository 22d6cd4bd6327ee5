"""Sign-in through an OpenID provider that is not ours: what completes."""

import pytest

from tests.oidc.conftest import Opening
from tests.oidc.provider import (
    CONFIDENTIAL,
    PUBLIC,
    OIDCSite,
    OpenIDProvider,
    Person,
    altered,
    arrive,
    leave,
    parameters,
    refusal,
)
from tests.sites import Browser

pytestmark = pytest.mark.node


@pytest.mark.parametrize(("client_id", "scheme"), [(PUBLIC, "none"), (CONFIDENTIAL, "Basic")])
def test_the_code_flow_begins_a_session(
    open_site: Opening, provider: OpenIDProvider, person: Person, client_id: str, scheme: str
) -> None:
    browser = open_site(client_id).browser()
    back = person.sign_in(leave(browser))
    assert parameters(back)["iss"] == provider.issuer
    got = arrive(browser, back)
    assert (got.status, 'url=/orders"' in got.body) == (200, True)
    assert browser.does().body == "ada"
    assert provider.asked == [scheme]


def test_the_user_is_the_one_of_the_providers_tokens(
    site: OIDCSite, browser: Browser, person: Person
) -> None:
    arrive(browser, person.sign_in(leave(browser)))
    user = browser.does(lambda: site.verbs.get_current_user().user_id)
    assert user.body == "sub-of-ada"


def test_an_answer_without_iss_is_accepted(browser: Browser, person: Person) -> None:
    back = altered(person.sign_in(leave(browser)), iss=None)  # as Cognito's
    assert arrive(browser, back).status == 200
    assert browser.does().body == "ada"


def test_two_tabs_each_finish_their_own(browser: Browser, person: Person) -> None:
    one, other = (leave(browser, f"next=/{tab}") for tab in ("one", "other"))
    first = arrive(browser, person.sign_in(other))
    second = arrive(browser, person.sign_in(one))
    assert ('url=/other"' in first.body, 'url=/one"' in second.body) == (True, True)
    assert browser.does().body == "ada"


def test_the_way_back_taken_twice_asks_the_provider_once(
    provider: OpenIDProvider, browser: Browser, person: Person
) -> None:
    back = person.sign_in(leave(browser))
    assert [arrive(browser, back).status for _ in range(2)] == [200, 200]
    assert len(provider.asked) == 1
    assert browser.does().body == "ada"


def test_a_user_who_has_just_shown_who_they_are_is_recent_enough(
    browser: Browser, person: Person
) -> None:
    person.sign_in(leave(browser))
    assert arrive(browser, person.sign_in(leave(browser, "max_age=0"))).status == 200
    assert browser.does().body == "ada"


def test_a_sign_in_of_no_known_time_is_not_recent(browser: Browser, person: Person) -> None:
    url = altered(leave(browser, "max_age=60"), max_age=None)
    assert refusal(arrive(browser, person.sign_in(url))) == "sign_in_too_old"
    assert browser.does().body == "NotAuthorizedException no_session"


@pytest.mark.parametrize("client_id", [PUBLIC, CONFIDENTIAL])
def test_the_session_is_refreshed_at_the_provider(
    open_site: Opening, provider: OpenIDProvider, person: Person, client_id: str
) -> None:
    site = open_site(client_id)
    browser = site.browser()
    arrive(browser, person.sign_in(leave(browser)))
    outcomes = browser.does(site.refresh, site.who).body.split(", ")
    assert (len(outcomes[0].split(".")), outcomes[1]) == (3, "ada")
    assert len(provider.asked) == 2


@pytest.mark.parametrize("client_id", [PUBLIC, CONFIDENTIAL])
def test_sign_out_revokes_the_sign_in_at_the_provider(
    open_site: Opening, provider: OpenIDProvider, person: Person, client_id: str
) -> None:
    site = open_site(client_id)
    browser = site.browser()
    arrive(browser, person.sign_in(leave(browser)))
    got = browser.ask(lambda: "", path="/auth/sign-out", method="POST")
    site.settle()  # the provider is not waited for
    assert (got.status, provider.revoked) == (200, 1)
    assert browser.does().body == "NotAuthorizedException no_session"
