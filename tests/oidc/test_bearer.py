"""Bearer tokens of an OpenID provider that is not ours: bound to a resource, and a machine's.

oidc-provider binds by resource indicators (RFC 8707), and its access tokens for a resource are
JWTs. For client credentials their `sub` is the client's id, as Cognito's. Two claims of Cognito's
it is told to add: `token_use`, and a user's `username`.
"""

import json
from typing import Any

import pytest

from amplify_mw import (
    AuthRoutes,
    Machine,
    TokenSession,
    fetch_auth_session,
    get_current_principal,
    get_current_user,
    require_auth,
)
from amplify_mw.cognito.jwt import parse_segment
from tests.oidc.conftest import Opening
from tests.oidc.provider import (
    JOB,
    ORIGIN,
    OTHER,
    PUBLIC,
    OIDCSite,
    OpenIDProvider,
    Person,
    altered,
    arrive,
    leave,
    refusal,
)
from tests.shells import Got
from tests.sites import KEYS, NAME

pytestmark = pytest.mark.node
ORDERS, BILLING = "https://orders.example.com", "https://billing.example.com"


def user() -> str:
    return get_current_user().username


@require_auth(machines=True)
def principal() -> str:
    found = get_current_principal()
    if isinstance(found, Machine):
        return json.dumps([found.client_id, sorted(found.scopes)])
    return found.username


def access_token() -> str:
    return fetch_auth_session(required=True).tokens.access_token.encoded


@require_auth(machines=True, scopes=["orders/write"])
def written() -> str:
    return principal()


def ask(site: OIDCSite, token: str, handler: Any = principal) -> Got:
    return site.browser().ask(handler, headers={"Authorization": f"Bearer {token}"})


def routes(resource: str | None) -> AuthRoutes:
    return AuthRoutes(origin=ORIGIN, keys=KEYS[:1], on_error="/sorry", resource=resource)


def test_a_users_token_for_a_resource_is_good_there_alone(
    open_site: Opening, person: Person
) -> None:
    at = {
        name: open_site(bearer=True, audience=name, routes=routes(name))
        for name in (ORDERS, BILLING)
    }
    browser = at[ORDERS].browser()
    arrive(browser, person.sign_in(leave(browser)))
    token = browser.does(access_token).body
    assert parse_segment(token.split(".")[1].encode())["aud"] == ORDERS
    assert ask(at[ORDERS], token).body == "ada"
    got = ask(at[BILLING], token)
    assert (got.status, "wrong_audience" in got.body) == (401, False)
    assert ask(open_site(bearer=True), token).body == "ada"


def test_a_sign_in_for_another_resource_begins_no_session(
    open_site: Opening, person: Person
) -> None:
    site = open_site(audience=ORDERS, routes=routes(ORDERS))
    browser = site.browser()
    back = person.sign_in(altered(leave(browser), resource=None))
    assert refusal(arrive(browser, back)) == "provider_misconfigured"  # so says invalid_target
    assert NAME not in browser.jar


@pytest.mark.parametrize(
    ("client_id", "audience", "status"),
    [
        ([PUBLIC, JOB], ORDERS, 200),
        ([PUBLIC, JOB], (), 200),
        ([PUBLIC, JOB], BILLING, 401),
        ([PUBLIC, OTHER], ORDERS, 401),
    ],
)
def test_a_machines_token(
    open_site: Opening, provider: OpenIDProvider, client_id: Any, audience: Any, status: int
) -> None:
    token = provider.machine_token(resource=ORDERS, scope="orders/read orders/write")
    site = open_site(client_id, bearer=True, audience=audience, routes=None)
    got = ask(site, token)
    assert got.status == status
    if status == 200:
        assert got.body == json.dumps([JOB, ["orders/read", "orders/write"]])
        assert ask(site, token, written).body == got.body
        assert ask(site, token, user).status == 403


def test_a_machine_without_the_scope_is_told_which(
    open_site: Opening, provider: OpenIDProvider
) -> None:
    site = open_site([PUBLIC, JOB], bearer=True)
    got = ask(site, provider.machine_token(resource=ORDERS, scope="orders/read"), written)
    assert got.status == 403
    assert 'error="insufficient_scope", scope="orders/write"' in str(got.one("www-authenticate"))


def test_a_machines_token_in_a_cookie_is_refused(
    open_site: Opening, provider: OpenIDProvider
) -> None:
    token = provider.machine_token(resource=ORDERS, scope="orders/read")
    site = open_site([PUBLIC, JOB], bearer=True, session=TokenSession(), routes=None)
    got = site.browser().ask(principal, cookie=token)
    assert got.status == 401
