"""The two secrets that a local pool's app client may have."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any

import httpx2
import pytest

from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.region import RegionServer
from tests.testing.asking import Clock, call, client, code_for, redeem

OLD = "the_old_secret"
REFRESH = "GetTokensFromRefreshToken"


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(client_secret=OLD, clock=clock) as pool:
        pool.add_user("ada")
        yield pool


def administer(pool: RegionServer, what: str, **body: Any) -> httpx2.Response:
    ids = {"UserPoolId": pool.user_pool_id, "ClientId": pool.client_id}
    return call(pool, f"{what}UserPoolClientSecret{'s' if what == 'List' else ''}", **(ids | body))


def ids(pool: RegionServer) -> list[str]:
    listed = administer(pool, "List").json()["ClientSecrets"]
    assert not [one for one in listed if "ClientSecretValue" in one]
    return [one["ClientSecretId"] for one in listed]


def error_of(response: httpx2.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["__type"])


# --- the ways to show a secret: each says whether it was right


def refreshes(pool: LocalUserPool, secret: str) -> bool:
    token = pool.sign_in("ada").refresh_token
    body = {"ClientId": pool.client_id, "RefreshToken": token}
    return is_right(call(pool, REFRESH, **body, ClientSecret=secret), "NotAuthorizedException")


def revokes(pool: LocalUserPool, secret: str) -> bool:
    token = pool.sign_in("ada").refresh_token
    body = {"ClientId": pool.client_id, "Token": token}
    answer = call(pool, "RevokeToken", **body, ClientSecret=secret)
    return is_right(answer, "UnauthorizedException")


def hash_of(pool: RegionServer, secret: str, username: str = "ada") -> str:
    """The `SECRET_HASH` of a user."""
    made = digest(secret.encode(), f"{username}{pool.client_id}".encode(), sha256)
    return b64encode(made).decode()


def signs_in(pool: LocalUserPool, secret: str) -> bool:
    parameters = {"USERNAME": "ada", "PASSWORD": "correct horse"}
    parameters["SECRET_HASH"] = hash_of(pool, secret)
    body = {"ClientId": pool.client_id, "AuthFlow": "USER_PASSWORD_AUTH"}
    answer = call(pool, "InitiateAuth", **body, AuthParameters=parameters)
    return is_right(answer, "NotAuthorizedException")


def redeems(pool: LocalUserPool, secret: str) -> bool:
    answer = redeem(pool, code_for(pool), auth=(pool.client_id, secret))
    return is_right(answer, "invalid_client")


def revokes_by_oauth(pool: LocalUserPool, secret: str) -> bool:
    fields = {"token": str(pool.sign_in("ada").refresh_token)}
    with client() as http:
        auth = (pool.client_id, secret)
        answer = http.post(f"{pool.url}/oauth2/revoke", data=fields, auth=auth)
    return is_right(answer, "invalid_client")


def is_right(answer: httpx2.Response, code: str) -> bool:
    if answer.status_code == 200:
        return True
    said = answer.json()
    assert (answer.status_code, said.get("__type", said.get("error"))) == (400, code)
    return False


WAYS = [refreshes, revokes, signs_in, redeems, revokes_by_oauth]


@pytest.mark.parametrize("way", WAYS)
def test_while_there_are_two_either_is_right(
    pool: LocalUserPool, way: Callable[[LocalUserPool, str], bool]
) -> None:
    assert way(pool, OLD)
    assert not way(pool, "another")
    new = pool.add_client_secret()
    assert way(pool, OLD)
    assert way(pool, new)
    assert not way(pool, "another")
    pool.delete_client_secret(OLD)
    assert not way(pool, OLD)
    assert way(pool, new)


def test_a_new_one_looks_like_cognitos(pool: LocalUserPool) -> None:
    new = pool.add_client_secret()
    assert re.fullmatch("[a-z0-9]{52}", new)
    assert pool.client_secrets == (new, OLD)
    assert pool.client_secret == new
    assert pool.config().user_pools[0].client_secrets == (new, OLD)
    pool.delete_client_secret()  # the older one
    assert pool.client_secrets == (new,)
    assert pool.config().user_pools[0].client_secrets == (new,)


def test_one_may_be_of_ones_own(pool: LocalUserPool) -> None:
    assert pool.add_client_secret("mine") == "mine"
    assert refreshes(pool, "mine")


def test_there_are_two_at_most_and_the_last_one_stays(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match="the last secret"):
        pool.delete_client_secret()
    with pytest.raises(ValueError, match="this secret already"):
        pool.add_client_secret(OLD)
    pool.add_client_secret()
    with pytest.raises(ValueError, match="2 secrets already"):
        pool.add_client_secret()
    with pytest.raises(LookupError):
        pool.delete_client_secret("another")
    assert len(pool.client_secrets) == 2


def test_a_public_client_stays_public() -> None:
    with LocalUserPool() as pool:
        assert (pool.client_secret, pool.client_secrets, ids(pool)) == (None, (), [])
        for change in (pool.add_client_secret, pool.delete_client_secret):
            with pytest.raises(LookupError):
                change()
        assert error_of(administer(pool, "Add")) == "InvalidParameterException"
        assert pool.config().user_pools[0].client_secret is None


# --- the operations


def test_the_operations_rotate_a_secret(pool: LocalUserPool, clock: Clock) -> None:
    (old_id,) = ids(pool)
    clock.now += 60
    added = administer(pool, "Add").json()["ClientSecretDescriptor"]
    assert added["ClientSecretId"] == f"{pool.client_id}--{int(clock.now)}"
    assert added["ClientSecretCreateDate"] == int(clock.now)
    assert refreshes(pool, added["ClientSecretValue"])
    assert ids(pool) == [old_id, added["ClientSecretId"]]
    assert administer(pool, "Delete", ClientSecretId=old_id).json() == {}
    assert ids(pool) == [added["ClientSecretId"]]
    assert not refreshes(pool, OLD)


def test_a_secret_of_the_callers_is_not_repeated(pool: LocalUserPool) -> None:
    mine = "a_secret_of_mine_with_24_characters"
    added = administer(pool, "Add", ClientSecret=mine).json()["ClientSecretDescriptor"]
    assert added.keys() == {"ClientSecretId", "ClientSecretCreateDate"}
    assert refreshes(pool, mine)


def test_ids_differ_even_of_one_second(pool: LocalUserPool) -> None:
    administer(pool, "Add")
    assert len(set(ids(pool))) == 2


@pytest.mark.parametrize("secret", ["", "short", "x" * 65, "with a blank, and 24 long", "ä" * 30])
def test_a_secret_of_another_form_is_refused(pool: LocalUserPool, secret: str) -> None:
    answer = administer(pool, "Add", ClientSecret=secret)
    assert error_of(answer) == "InvalidParameterException"


def test_what_the_operations_refuse(pool: LocalUserPool) -> None:
    (only,) = ids(pool)
    last = administer(pool, "Delete", ClientSecretId=only)
    assert error_of(last) == "InvalidParameterException"
    unknown = administer(pool, "Delete", ClientSecretId="local-client--1")
    assert error_of(unknown) == "ResourceNotFoundException"
    for what in ("Add", "List", "Delete"):
        for name in ("UserPoolId", "ClientId"):
            other = administer(pool, what, **{name: "other", "ClientSecretId": only})
            assert error_of(other) == "ResourceNotFoundException"
            missing = administer(pool, what, **{name: None, "ClientSecretId": only})
            assert error_of(missing) == "InvalidParameterException"
    administer(pool, "Add")
    assert error_of(administer(pool, "Add")) == "LimitExceededException"


def test_a_replica_has_the_same_and_changes_none(pool: LocalUserPool) -> None:
    with pool.replica("us-west-2") as west:
        assert error_of(administer(west, "Add")) == "InvalidParameterException"
        new = pool.add_client_secret()
        assert ids(west) == ids(pool)
        delete = administer(west, "Delete", ClientSecretId=ids(west)[0])
        assert error_of(delete) == "InvalidParameterException"
        token = pool.sign_in("ada").refresh_token
        body = {"ClientId": west.client_id, "RefreshToken": token}
        for secret in (OLD, new):
            assert call(west, REFRESH, **body, ClientSecret=secret).status_code == 200


def test_no_repr_and_no_error_shows_one(pool: LocalUserPool) -> None:
    shown = [repr(one) for one in pool._ledger.client_secrets.active]
    with pytest.raises(ValueError, match="secret") as caught:
        pool.add_client_secret(OLD)
    assert OLD not in " ".join([*shown, str(caught.value), repr(pool)])


# --- the state file


def test_both_outlive_the_pool(tmp_path: Path, clock: Clock) -> None:
    options: dict[str, Any] = {"state": tmp_path / "pool.json", "clock": clock}
    with LocalUserPool(client_secret=OLD, **options) as pool:
        pool.add_user("ada")
        new = pool.add_client_secret()
    with LocalUserPool(client_secret=OLD, **options) as pool:
        assert pool.client_secrets == (new, OLD)
        pool.delete_client_secret(OLD)
    with LocalUserPool(client_secret=OLD, **options) as pool:  # as it was written at first
        assert pool.client_secrets == (new,)


@pytest.mark.parametrize("given", ["another", None])
def test_a_pool_made_with_another_has_that_one_alone(
    tmp_path: Path, clock: Clock, given: str | None
) -> None:
    options: dict[str, Any] = {"state": tmp_path / "pool.json", "clock": clock}
    with LocalUserPool(client_secret=OLD, **options) as pool:
        pool.add_client_secret()
    with LocalUserPool(client_secret=given, **options) as pool:
        assert pool.client_secrets == ((given,) if given else ())


@pytest.mark.parametrize("active", [[], [{}], "?", [{"id": 1, "value": "x", "created_at": "?"}]])
def test_damaged_secrets_are_a_damaged_file(tmp_path: Path, clock: Clock, active: Any) -> None:
    path = tmp_path / "pool.json"
    LocalUserPool(client_secret=OLD, state=path).close()
    state = json.loads(path.read_text())
    state["client_secrets"]["active"] = active
    path.write_text(json.dumps(state))
    with pytest.raises(Exception, match="damaged"):
        LocalUserPool(client_secret=OLD, state=path)
