"""Sign-in through an OpenID provider that is not ours: what is refused, and begins no session."""

from typing import Any

import pytest

from amplify_mw import StoredSession
from amplify_mw.stores.memory import MemoryStore
from tests.amplify_js.node import Process
from tests.oidc.conftest import Opening
from tests.oidc.provider import (
    CONFIDENTIAL,
    OTHER,
    OIDCSite,
    OpenIDProvider,
    Person,
    altered,
    arrive,
    begins_anew,
    leave,
    parameters,
    refusal,
)
from tests.sites import NAME, Browser

pytestmark = pytest.mark.node


def refused(site: OIDCSite, browser: Browser, back: str) -> str:
    """Why an answer is refused; it has begun nothing, and its attempt is used up."""
    code = refusal(arrive(browser, back))
    assert NAME not in browser.jar
    assert site.sessions_of("ada") == site.sessions_of("mallory") == 0
    again = arrive(browser, back)
    is_code = "code" in parameters(back)
    assert begins_anew(again) if is_code else refusal(again) == "attempt_expired"
    assert NAME not in browser.jar
    return code


@pytest.mark.parametrize("nonce", [None, "of-another-attempt"], ids=["missing", "wrong"])
def test_an_id_token_for_another_nonce(
    site: OIDCSite, browser: Browser, person: Person, nonce: str | None
) -> None:
    back = person.sign_in(altered(leave(browser), nonce=nonce))
    assert refused(site, browser, back) == "token_refused"


def test_an_id_token_for_the_nonce_of_another_attempt(
    site: OIDCSite, browser: Browser, person: Person
) -> None:
    url, other = leave(browser), leave(browser)
    back = person.sign_in(altered(url, nonce=parameters(other)["nonce"]))
    assert refused(site, browser, back) == "token_refused"


@pytest.mark.parametrize(
    "issuer", ["https://evil.example", "{}/", "{}#", "HTTP{}", "", "\u00e9"], ids=ascii
)
def test_an_answer_of_another_issuer(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person, issuer: str
) -> None:
    iss = issuer.replace("HTTP{}", provider.issuer.upper()).format(provider.issuer)
    back = altered(person.sign_in(leave(browser)), iss=iss)
    assert refused(site, browser, back) == "issuer_mismatch"
    assert provider.asked == []


def test_the_code_of_another_provider_is_shown_to_nobody(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person, process: Process
) -> None:
    foreign = OpenIDProvider(process)
    back = person.sign_in(leave(browser).replace(provider.origin, foreign.origin))
    assert refused(site, browser, back) == "issuer_mismatch"
    assert (provider.asked, foreign.asked) == ([], [])


def test_the_code_of_another_tab(site: OIDCSite, browser: Browser, person: Person) -> None:
    back, other = (person.sign_in(leave(browser)) for _ in range(2))
    swapped = altered(back, code=parameters(other)["code"])
    assert refused(site, browser, swapped) == "code_rejected"


def test_the_code_of_another_person(site: OIDCSite, browser: Browser, person: Person) -> None:
    with Person("mallory") as mallory:
        stolen = parameters(mallory.sign_in(leave(site.browser())))["code"]
    swapped = altered(person.sign_in(leave(browser)), code=stolen)
    assert refused(site, browser, swapped) == "code_rejected"


def test_the_code_of_another_app_client(site: OIDCSite, browser: Browser, person: Person) -> None:
    back = person.sign_in(altered(leave(browser), client_id=OTHER))
    assert refused(site, browser, back) == "code_rejected"


def test_the_whole_answer_to_another_browser(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser
) -> None:
    with Person("mallory") as mallory:
        back = mallory.sign_in(leave(site.browser()))
    assert begins_anew(arrive(browser, back))
    assert (NAME in browser.jar, site.sessions_of("mallory"), provider.asked) == (False, 0, [])


def test_a_code_that_was_used(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person
) -> None:
    back = person.sign_in(leave(browser))
    thief = browser.copy()
    assert arrive(browser, back).status == 200
    assert refusal(arrive(thief, back)) == "code_rejected"
    assert (NAME in thief.jar, site.sessions_of("ada"), len(provider.asked)) == (False, 1, 2)


def test_a_code_that_is_used_again_ends_the_session_that_it_began(
    open_site: Opening, person: Person
) -> None:
    site = open_site(session=StoredSession(MemoryStore(), lease=1))
    browser = site.browser()
    back = person.sign_in(leave(browser))
    thief = browser.copy()
    arrive(browser, back)
    arrive(thief, back)  # for which the provider revokes what the code has bought
    assert browser.does(site.refresh).body == "NotAuthorizedException session_revoked"


def test_a_sign_in_without_pkce(site: OIDCSite, browser: Browser, person: Person) -> None:
    url = altered(leave(browser), code_challenge=None, code_challenge_method=None)
    assert refused(site, browser, person.sign_in(url)) == "provider_error"


FORGED: dict[str, Any] = {
    "alg none": {"header": {"alg": "none"}, "signer": "none"},
    "alg none without kid": {"header": {"alg": "none", "kid": None}, "signer": "none"},
    "no signature": {"signer": "none"},
    "another's key": {"signer": "foreign"},
    "the public key as a secret": {"header": {"alg": "HS256"}, "signer": "confused"},
    "another audience": {"claims": {"aud": OTHER}},
    "no audience": {"claims": {"aud": None}},
    "one audience of several": {"claims": {"aud": ["public", OTHER]}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": {"iat": 1_700_000_000, "exp": 1_700_003_600}},
    "without an end": {"claims": {"exp": None}},
    "not yet valid": {"claims": {"nbf": 4_000_000_000}},
    "another user's": {"claims": {"sub": "sub-of-mallory"}},
    "no nonce": {"claims": {"nonce": None}},
    "a nonce that is no text": {"claims": {"nonce": 1}},
    "an access token": {"claims": {"token_use": "access"}},
}


@pytest.mark.parametrize("alteration", FORGED.values(), ids=FORGED)
def test_a_forged_id_token(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person, alteration: Any
) -> None:
    provider.alter(**alteration)
    assert refused(site, browser, person.sign_in(leave(browser))) == "token_refused"


def test_an_id_token_of_an_unknown_key(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person
) -> None:
    provider.alter(header={"kid": "unknown"}, signer="foreign")
    # The key set was fetched in the second in which the token was made: the key may yet come.
    back = person.sign_in(leave(browser))
    assert refused(site, browser, back) == "provider_unavailable"


def test_an_id_token_that_is_signed_anew_is_accepted(
    provider: OpenIDProvider, browser: Browser, person: Person
) -> None:
    provider.alter(claims={"unknown": "claim"})  # or the test above would show nothing
    assert arrive(browser, person.sign_in(leave(browser))).status == 200
    assert browser.does().body == "ada"


def test_a_secret_that_is_not_the_clients(open_site: Opening, person: Person) -> None:
    site = open_site(CONFIDENTIAL, client_secret="another")
    browser = site.browser()
    back = person.sign_in(leave(browser))
    assert refused(site, browser, back) == "provider_misconfigured"


def test_somebody_who_cancels(site: OIDCSite, browser: Browser, person: Person) -> None:
    back = person.sign_in(leave(browser), cancels=True)
    assert refused(site, browser, back) == "access_denied"


def test_somebody_who_would_have_to_be_asked(
    site: OIDCSite, browser: Browser, person: Person
) -> None:
    back = person.sign_in(leave(browser, "prompt=none"))
    assert parameters(back)["error"] == "login_required"
    assert refused(site, browser, back) == "access_denied"


def test_what_is_refused_leaves_the_session_that_was_there(
    site: OIDCSite, provider: OpenIDProvider, browser: Browser, person: Person
) -> None:
    arrive(browser, person.sign_in(leave(browser)))
    kept = browser.value
    provider.alter(header={"alg": "none"}, signer="none")
    back = person.sign_in(leave(browser, "prompt=login"))
    assert refusal(arrive(browser, back)) == "token_refused"
    assert (browser.value, browser.does().body) == (kept, "ada")
