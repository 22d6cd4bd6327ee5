"""Client credentials and resource binding at the local pool."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from amplify_mw.cognito.jwt import parse_segment
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.state import StateError

ORDERS = "https://orders.example.com"
CALLBACK = "https://app.example.com/callback"


@pytest.fixture
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        yield pool


def claims(token: str) -> dict[str, Any]:
    return parse_segment(token.split(".")[1].encode())


def ask(pool: LocalUserPool, **form: str) -> httpx2.Response:
    headers = {}
    if "client_id" in form and form.pop("way", "basic") == "basic":
        pair = f"{form.pop('client_id')}:{form.pop('client_secret')}"
        headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
    return httpx2.post(f"{pool.url}/oauth2/token", data=form, headers=headers, timeout=60)


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a_machine_gets_a_token_for_its_credentials(pool: LocalUserPool, way: str) -> None:
    secret = pool.add_machine("job", scopes=["orders/read", "orders/write"])
    form = {"grant_type": "client_credentials", "client_id": "job", "client_secret": secret}
    answer = ask(pool, way=way, **form)
    assert answer.status_code == 200
    members = answer.json()
    assert set(members) == {"access_token", "expires_in", "token_type"}
    found = claims(members["access_token"])
    assert (found["sub"], found["client_id"], found["token_use"]) == ("job", "job", "access")
    assert found["scope"] == "orders/read orders/write"
    assert not {"username", "origin_jti", "cognito:groups", "aud"} & found.keys()
    bound = ask(pool, way=way, scope="orders/write", resource=ORDERS, **form).json()
    found = claims(bound["access_token"])
    assert (found["scope"], found["aud"]) == ("orders/write", ORDERS)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "other"}, "invalid_client"),
        ({"scope": "orders/delete"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
def test_a_wrong_request_gets_oauths_error(
    pool: LocalUserPool, change: dict[str, str], error: str
) -> None:
    secret = pool.add_machine("job", scopes=["orders/read"])
    form = {"grant_type": "client_credentials", "client_id": "job", "client_secret": secret}
    answer = ask(pool, **(form | change))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_apps_own_client_has_no_such_grant(pool: LocalUserPool) -> None:
    form = {"grant_type": "client_credentials", "client_id": pool.client_id, "client_secret": ""}
    assert ask(pool, **form).json()["error"] == "invalid_client"


def test_a_machine_has_no_other_grant(pool: LocalUserPool) -> None:
    secret = pool.add_machine("job", scopes=["orders/read"])
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = ask(pool, client_id="job", client_secret=secret, **form)
    assert answer.json()["error"] == "invalid_client"
    revoked = httpx2.post(
        f"{pool.url}/oauth2/revoke",
        data={"grant_type": "client_credentials", "token": "x"},
        timeout=60,
    )
    assert revoked.status_code == 400


def test_two_of_one_name_are_refused(pool: LocalUserPool) -> None:
    pool.add_machine("job", "s3cret", scopes=["a/b"])
    with pytest.raises(ValueError, match="job"):
        pool.add_machine("job", scopes=["a/b"])


def authorize(pool: LocalUserPool, **more: str) -> dict[str, list[str]]:
    query = {"response_type": "code", "client_id": pool.client_id, "redirect_uri": CALLBACK}
    url = f"{pool.url}/oauth2/authorize?{urlencode(query | more)}"
    return parse_qs(urlsplit(pool.authorize(url, "ada")).query)


def test_tokens_are_bound_to_the_resource_refreshed_ones_too(pool: LocalUserPool) -> None:
    (code,) = authorize(pool, resource=ORDERS)["code"]
    own = {"client_id": pool.client_id, "way": "post"}
    first = ask(
        pool, grant_type="authorization_code", code=code, redirect_uri=CALLBACK, **own
    ).json()
    assert claims(first["access_token"])["aud"] == ORDERS
    assert claims(first["id_token"])["aud"] == pool.client_id
    again = ask(
        pool, grant_type="refresh_token", refresh_token=first["refresh_token"], **own
    ).json()
    assert claims(again["access_token"])["aud"] == ORDERS


@pytest.mark.parametrize("resource", ["orders", "http://a.example", "//a"])
def test_a_resource_is_an_address(pool: LocalUserPool, resource: str) -> None:
    assert authorize(pool, resource=resource)["error"] == ["invalid_request"]


def token_of(pool: LocalUserPool, secret: str) -> httpx2.Response:
    form = {"grant_type": "client_credentials", "client_id": "job", "client_secret": secret}
    return ask(pool, **form)


def test_a_restart_keeps_a_machine_and_its_secret(tmp_path: Path) -> None:
    state = tmp_path / "pool.json"
    with LocalUserPool(state=state) as pool:
        secret = pool.add_machine("job", scopes=["orders/read"])
    with LocalUserPool(state=state) as pool:
        assert pool.machines == {"job": secret}
        assert token_of(pool, secret).json()["token_type"] == "Bearer"
        assert pool.ensure_machine("job", scopes=["orders/write"]) == secret
        assert pool.ensure_machine("job", "another", scopes=["orders/write"]) == "another"
        assert token_of(pool, secret).status_code == 400
        found = claims(token_of(pool, "another").json()["access_token"])
        assert found["scope"] == "orders/write"
    members = json.loads(state.read_text())
    del members["machines"]  # as an earlier build wrote it
    state.write_text(json.dumps(members))
    with LocalUserPool(state=state) as pool:
        assert pool.machines == {}


@pytest.mark.parametrize("damage", [1, [1], [{}], [{"client_id": "job", "secret": "a"}]])
def test_damaged_machines_damage_the_file(tmp_path: Path, damage: Any) -> None:
    state = tmp_path / "pool.json"
    with LocalUserPool(state=state):
        pass
    state.write_text(json.dumps({**json.loads(state.read_text()), "machines": damage}))
    with pytest.raises(StateError, match="damaged"), LocalUserPool(state=state):
        pass
