"""A local pool's issuers, its switch from one to the other, and its servers in other Regions."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from amplify_mw.testing import Down, LocalUserPool, Replica
from amplify_mw.testing.pool.operations import CHANGES_USERS
from amplify_mw.testing.pool.region import RegionServer
from tests.testing.asking import (
    Clock,
    asked,
    call,
    client,
    code_for,
    get_user,
    members,
    redeem,
    returned,
)
from tests.testing.test_srp import SRPClient

POOL_ID = "us-east-1_Local0001"
ORIGINAL = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
WEST = f"https://cognito-idp.us-west-2.amazonaws.com/{POOL_ID}"


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(user_pool_id=POOL_ID, issuer_type="ORIGINAL", clock=clock) as pool:
        pool.add_user("ada", email="ada@example.com")
        yield pool


@pytest.fixture
def west(pool: LocalUserPool) -> Iterator[Replica]:
    with pool.replica("us-west-2") as west:
        yield west


def get(url: str) -> httpx2.Response:
    with client() as http:
        return http.get(url)


def refresh(server: RegionServer, token: str | None) -> httpx2.Response:
    return call(server, "GetTokensFromRefreshToken", ClientId=server.client_id, RefreshToken=token)


def refreshed(server: RegionServer, token: str | None) -> dict[str, Any]:
    found: dict[str, Any] = refresh(server, token).json()["AuthenticationResult"]
    return found


def issuers_of(tokens: dict[str, Any]) -> set[str]:
    return {members(tokens[name])["iss"] for name in ("IdToken", "AccessToken")}


def error_of(response: httpx2.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["__type"])


# --- the two issuers


@pytest.mark.parametrize(
    ("pool_id", "original", "updated"),
    [
        (POOL_ID, ORIGINAL, UPDATED),
        (
            "cn-north-1_Ab12",
            "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab12",
            "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab12",
        ),
        (
            "eusc-de-east-1_Ab12",
            "https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_Ab12",
            "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_Ab12",
        ),
    ],
)
def test_with_a_type_the_issuer_is_amazons(pool_id: str, original: str, updated: str) -> None:
    pool = LocalUserPool(user_pool_id=pool_id, issuer_type="ORIGINAL")
    assert (pool.issuer_type, pool.issuer) == ("ORIGINAL", original)
    pool = LocalUserPool(user_pool_id=pool_id, issuer_type="UPDATED")
    assert (pool.issuer_type, pool.issuer) == ("UPDATED", updated)


def test_without_one_it_is_the_pools_address() -> None:
    with LocalUserPool() as pool:
        assert pool.issuer_type is None
        assert pool.issuer == f"{pool.url}/eu-west-1_Local0001"
        assert pool.config().user_pools[0].iss == pool.issuer


@pytest.mark.parametrize(("text", "issuer_type"), [(ORIGINAL, "ORIGINAL"), (UPDATED, "UPDATED")])
def test_a_text_that_is_amazons_has_a_type(text: str, issuer_type: str) -> None:
    pool = LocalUserPool(user_pool_id=POOL_ID, issuer=text)
    assert pool.issuer_type == issuer_type
    pool.issuer_type = "UPDATED"
    assert pool.issuer == UPDATED


def test_a_pool_that_names_its_own_address_cannot_switch() -> None:
    with LocalUserPool() as pool:
        with pytest.raises(ValueError, match="LocalUserPool\\(issuer_type='ORIGINAL'\\)"):
            pool.issuer_type = "UPDATED"
        assert pool.issuer_type is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"issuer_type": "updated"}, "'ORIGINAL' or 'UPDATED'; got 'updated'"),
        ({"issuer_type": "UPDATED", "user_pool_id": "local"}, "of Amazon's form"),
        ({"issuer_type": "UPDATED", "issuer": "https://issuer.example"}, "leave out either"),
    ],
)
def test_a_type_that_does_not_fit_is_refused(options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LocalUserPool(**options)


def test_a_switch_ends_nothing(pool: LocalUserPool) -> None:
    before = pool.sign_in("ada")
    pool.issuer_type = "UPDATED"
    assert get_user(pool, str(before.access_token)).status_code == 200
    after = refreshed(pool, before.refresh_token)
    assert issuers_of(after) == {UPDATED}
    assert members(after["IdToken"])["origin_jti"] == members(str(before.id_token))["origin_jti"]
    assert get_user(pool, after["AccessToken"]).status_code == 200
    pool.issuer_type = "ORIGINAL"  # and back
    assert issuers_of(refreshed(pool, before.refresh_token)) == {ORIGINAL}
    assert get_user(pool, after["AccessToken"]).status_code == 200


def test_tokens_of_an_issuer_of_before_stay_good_whatever_its_form(clock: Clock) -> None:
    with LocalUserPool(clock=clock) as pool:
        pool.add_user("ada")
        tokens = [pool.sign_in("ada")]
        for issuer in ("https://one.example", "https://two.example"):
            pool.issuer = issuer
            tokens.append(pool.sign_in("ada"))
        assert {get_user(pool, str(one.access_token)).status_code for one in tokens} == {200}
        other = pool.mint("ada", "access", issuer="https://three.example")
        assert error_of(get_user(pool, other)) == "NotAuthorizedException"


@pytest.mark.parametrize("issuer_type", ["ORIGINAL", "UPDATED"])
def test_its_configuration_accepts_both(pool: LocalUserPool, issuer_type: Any) -> None:
    pool.issuer_type = issuer_type
    configured = pool.config().user_pools[0]
    assert set(configured.accepted_issuers) == {ORIGINAL, UPDATED}


@pytest.mark.parametrize("document", ["jwks.json", "openid-configuration"])
def test_the_updated_host_answers_403_unless_the_pool_has_switched(
    pool: LocalUserPool, west: Replica, document: str
) -> None:
    pages = [f"{server.updated_url}/.well-known/{document}" for server in (pool, west)]
    assert {get(page).status_code for page in pages} == {403}
    pool.issuer_type = "UPDATED"
    assert {get(page).status_code for page in pages} == {200}
    assert get(f"{pool.url}/{POOL_ID}/.well-known/{document}").status_code == 200
    pool.issuer_type = "ORIGINAL"
    assert {get(page).status_code for page in pages} == {403}
    assert pool.count(f"updated-{document.partition('.')[0]}") == 3


def test_the_updated_host_has_the_pools_keys_and_says_so(pool: LocalUserPool) -> None:
    pool.issuer_type = "UPDATED"
    found = get(f"{pool.updated_url}/.well-known/openid-configuration").json()
    assert found["issuer"] == UPDATED
    assert found["jwks_uri"] == f"{pool.updated_url}/.well-known/jwks.json"
    assert get(found["jwks_uri"]).json() == pool.jwks()


# --- replicas


def test_a_replica_has_the_same_users_keys_and_sign_ins(pool: LocalUserPool, west: Replica) -> None:
    assert west.region == "us-west-2"
    assert west.url != pool.url
    assert get(west.jwks_url).json() == pool.jwks()
    tokens = pool.sign_in("ada")
    assert (
        get_user(west, str(tokens.access_token)).json()
        == get_user(pool, str(tokens.access_token)).json()
    )
    pool.add_user("grace")
    assert SRPClient(west, "grace").sign_in().status_code == 200
    assert call(west, "GlobalSignOut", AccessToken=tokens.access_token).status_code == 200
    assert error_of(refresh(pool, tokens.refresh_token)) == "NotAuthorizedException"


def test_with_original_its_tokens_name_its_own_region(pool: LocalUserPool, west: Replica) -> None:
    token = pool.sign_in("ada").refresh_token
    assert west.issuer == WEST
    assert issuers_of(refreshed(west, token)) == {WEST}
    assert issuers_of(refreshed(pool, token)) == {ORIGINAL}
    answered = redeem(west, code_for(west)).json()
    assert members(answered["id_token"])["iss"] == members(answered["access_token"])["iss"] == WEST
    found = get(f"{west.url}/{POOL_ID}/.well-known/openid-configuration").json()
    assert (found["issuer"], found["token_endpoint"]) == (WEST, f"{west.url}/oauth2/token")


def test_its_tokens_are_good_everywhere(pool: LocalUserPool, west: Replica) -> None:
    access_token = refreshed(west, pool.sign_in("ada").refresh_token)["AccessToken"]
    assert get_user(pool, access_token).status_code == 200
    assert get_user(west, access_token).status_code == 200
    elsewhere = pool.mint("ada", "access", issuer=WEST.replace("west", "east"))
    assert error_of(get_user(west, elsewhere)) == "NotAuthorizedException"


def test_with_updated_they_name_the_pools_region(pool: LocalUserPool, west: Replica) -> None:
    pool.issuer_type = "UPDATED"
    assert west.issuer == UPDATED
    assert issuers_of(refreshed(west, pool.sign_in("ada").refresh_token)) == {UPDATED}


def test_without_a_type_they_name_the_pools_address() -> None:
    with LocalUserPool() as pool, pool.replica("us-west-2") as west:
        assert west.issuer == pool.issuer


def test_either_serves_while_the_other_is_down(pool: LocalUserPool, west: Replica) -> None:
    token = pool.sign_in("ada").refresh_token
    address = pool.url
    pool.stop()
    with pytest.raises(httpx2.ConnectError):
        refresh(pool, token)
    assert refresh(west, token).status_code == 200
    pool.start()
    assert pool.url == address
    west.stop()
    with pytest.raises(httpx2.ConnectError):
        refresh(west, token)
    assert refresh(pool, token).status_code == 200
    west.start()
    assert refresh(west, token).status_code == 200


def test_the_pools_end_is_the_end_of_all_its_servers(clock: Clock) -> None:
    with LocalUserPool(clock=clock) as pool:
        west = pool.replica("us-west-2")
        assert get(west.jwks_url).status_code == 200
    with pytest.raises(httpx2.ConnectError):
        get(west.jwks_url)


def test_gates_faults_and_the_record_are_each_servers_own(
    pool: LocalUserPool, west: Replica
) -> None:
    with pool.fault("*", Down()):
        assert get(west.jwks_url).status_code == 200
        with pytest.raises(httpx2.HTTPError):
            get(pool.jwks_url)
    assert (pool.requests, west.requests) == (["jwks"], ["jwks"])
    with pytest.raises(ValueError, match="SignUp"):  # the names that a replica knows
        west.hold("Nothing")


@pytest.mark.parametrize("operation", sorted(CHANGES_USERS))
def test_a_replica_changes_no_users(west: Replica, operation: str) -> None:
    assert error_of(call(west, operation)) == "OperationNotEnabledException"


def test_nor_does_its_sign_up_page(pool: LocalUserPool, west: Replica) -> None:
    with client() as http:
        for answer in (http.get(f"{west.url}/signup"), http.post(f"{west.url}/signup")):
            assert (answer.status_code, "OperationNotEnabled" in answer.text) == (400, True)
    assert pool.usernames == ("ada",)


def test_one_may_sign_in_at_its_pages_and_redeem_the_code_elsewhere(
    pool: LocalUserPool, west: Replica
) -> None:
    code = returned(west.authorize(asked(west), "ada"))["code"]
    assert redeem(pool, code).status_code == 200


@pytest.mark.parametrize("region", ["us-west-2", "us-east-1", "nowhere", "", None])
def test_a_region_has_one_server(pool: LocalUserPool, west: Replica, region: Any) -> None:
    with pytest.raises(ValueError, match="region: "):
        pool.replica(region)


def test_the_configuration_and_the_outputs_tell_the_replicas(
    pool: LocalUserPool, west: Replica
) -> None:
    local = pool.outputs()["custom"]["amplify_mw"]
    assert local["regions"] == {"us-west-2": west.url}
    assert "issuer" not in local
    configured = pool.config().user_pools[0]
    assert configured.api_urls == (f"{pool.url}/", f"{west.url}/")
    assert set(configured.accepted_issuers) == {ORIGINAL, UPDATED, WEST}


def test_a_port_that_is_taken_is_an_error_and_the_pool_goes_on(pool: LocalUserPool) -> None:
    with pytest.raises(OSError, match="in use"):
        pool.replica("us-west-2", port=int(pool.url.rpartition(":")[2]))
    assert get(pool.jwks_url).status_code == 200
    assert "regions" not in pool.outputs()["custom"]["amplify_mw"]
    with pool.replica("us-west-2") as west:
        assert get(west.jwks_url).status_code == 200
