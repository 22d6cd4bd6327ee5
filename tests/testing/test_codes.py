"""What the local user pool's domain gives for an authorization code, and what it then tells."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from amplify_mw.testing import LocalUserPool
from tests.testing.asking import (
    APP,
    Clock,
    asked,
    client,
    code_for,
    id_claims,
    members,
    redeem,
    returned,
)


@pytest.fixture
def confidential(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock, client_secret="s3cret:+") as pool:
        pool.add_user("ada")
        yield pool


def error_of(answer: httpx2.Response) -> str:
    assert answer.status_code == 400
    error: str = answer.json()["error"]
    return error


def tokens(pool: LocalUserPool, username: str = "ada", **changes: str | None) -> dict[str, Any]:
    answer = redeem(pool, code_for(pool, username, **changes))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def user_info(pool: LocalUserPool, token: str, scheme: str = "Bearer") -> httpx2.Response:
    with client() as http:
        url = f"{pool.url}/oauth2/userInfo"
        return http.get(url, headers={"Authorization": f"{scheme} {token}"})


def refresh(pool: LocalUserPool, token: str) -> httpx2.Response:
    fields = {
        "grant_type": "refresh_token",
        "client_id": pool.client_id,
        "refresh_token": token,
    }
    with client() as http:
        return http.post(f"{pool.url}/oauth2/token", data=fields)


# The tokens.


def test_a_code_gives_tokens(pool: LocalUserPool) -> None:
    answer = redeem(pool, code_for(pool))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    members = {"id_token", "access_token", "refresh_token", "expires_in", "token_type"}
    assert answer.json().keys() == members
    assert (answer.json()["expires_in"], answer.json()["token_type"]) == (3600, "Bearer")
    assert refresh(pool, answer.json()["refresh_token"]).status_code == 200


def test_the_id_token_is_bound_to_the_request_and_the_access_token(
    pool: LocalUserPool, clock: Clock
) -> None:
    given = tokens(pool)
    keys = KeySet.import_key_set(pool.jwks())
    claims = jwt.decode(given["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["nonce"], claims["auth_time"]) == ("no", int(clock.now))
    assert (claims["aud"], claims["iss"]) == (pool.client_id, pool.issuer)
    access = members(given["access_token"])
    assert (access["scope"], access["sub"]) == ("openid", claims["sub"])
    assert access["origin_jti"] == claims["origin_jti"]
    half = hashlib.sha256(given["access_token"].encode()).digest()[:16]
    assert base64.urlsafe_b64decode(claims["at_hash"] + "==") == half


def test_without_a_nonce_there_is_none(pool: LocalUserPool) -> None:
    assert "nonce" not in id_claims(pool, nonce=None)


def test_without_openid_there_is_no_id_token(pool: LocalUserPool) -> None:
    assert "id_token" not in tokens(pool, scope="aws.cognito.signin.user.admin")


def test_without_a_scope_all_are_meant(pool: LocalUserPool) -> None:
    scope = members(tokens(pool, scope=None)["access_token"])["scope"]
    assert scope == "openid email phone profile aws.cognito.signin.user.admin"


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", {"email", "email_verified", "name"}),
        ("openid profile email", {"email", "email_verified", "name"}),
        ("openid email", {"email", "email_verified"}),
        ("openid phone", set()),
    ],
)
def test_the_scope_says_what_an_app_may_read(
    pool: LocalUserPool, scope: str, names: set[str]
) -> None:
    given = tokens(pool, scope=scope)
    readable = {"email", "email_verified", "name", "phone_number"}
    assert members(given["id_token"]).keys() & readable == names
    assert user_info(pool, given["access_token"]).json().keys() & readable == names


# The code.


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": f"{APP}/"},
        {"code_verifier": "another-verifier-of-43-characters-or-more-abc"},
        {"code_verifier": None},
        {"code_verifier": ""},
    ],
)
def test_a_code_is_worth_nothing_with_anything_wrong(
    pool: LocalUserPool, changes: dict[str, str]
) -> None:
    assert error_of(redeem(pool, code_for(pool), **changes)) == "invalid_grant"


@pytest.mark.parametrize("changes", [{"redirect_uri": None}, {"grant_type": None}])
def test_a_request_for_tokens_has_to_be_whole(
    pool: LocalUserPool, changes: dict[str, None]
) -> None:
    assert error_of(redeem(pool, code_for(pool), **changes)) == "invalid_request"
    assert error_of(redeem(pool, None)) == "invalid_request"


@pytest.mark.parametrize("code", ["made-up", "", "c" * 1_000_000])
def test_a_code_that_never_was_is_worth_nothing(pool: LocalUserPool, code: str) -> None:
    assert error_of(redeem(pool, code)) == "invalid_grant"


def test_a_failed_attempt_uses_the_code_up(pool: LocalUserPool) -> None:
    code = code_for(pool)
    assert error_of(redeem(pool, code, code_verifier=None)) == "invalid_grant"
    assert error_of(redeem(pool, code)) == "invalid_grant"


def test_another_client_does_not_use_a_code_up(pool: LocalUserPool) -> None:
    code = code_for(pool)
    assert error_of(redeem(pool, code, client_id="another")) == "invalid_client"
    assert redeem(pool, code).status_code == 200


def test_a_code_without_a_challenge_takes_no_verifier(pool: LocalUserPool) -> None:
    plain = {"code_challenge": None, "code_challenge_method": None}
    assert error_of(redeem(pool, code_for(pool, **plain))) == "invalid_grant"
    assert redeem(pool, code_for(pool, **plain), code_verifier=None).status_code == 200


@pytest.mark.parametrize(("age", "status"), [(299, 200), (300, 400)])
def test_a_code_lasts_five_minutes(
    pool: LocalUserPool, clock: Clock, age: int, status: int
) -> None:
    code = code_for(pool)
    clock.now += age
    assert redeem(pool, code).status_code == status


@pytest.mark.parametrize("change", ["disable_user", "delete_user"])
def test_a_code_ends_with_its_user(pool: LocalUserPool, change: str) -> None:
    code = code_for(pool)
    getattr(pool, change)("ada")
    assert error_of(redeem(pool, code)) == "invalid_grant"


def test_a_replayed_code_ends_what_it_gave(pool: LocalUserPool) -> None:
    other, code = tokens(pool), code_for(pool)
    given = redeem(pool, code).json()
    assert user_info(pool, given["access_token"]).status_code == 200
    assert error_of(redeem(pool, code)) == "invalid_grant"
    assert user_info(pool, given["access_token"]).status_code == 401
    assert error_of(refresh(pool, given["refresh_token"])) == "invalid_grant"
    assert user_info(pool, other["access_token"]).status_code == 200


def test_of_many_at_once_exactly_one_gets_tokens(pool: LocalUserPool) -> None:
    code = code_for(pool)
    with ThreadPoolExecutor(8) as threads, pool.hold("token") as gate:
        answers = [threads.submit(redeem, pool, code) for _ in range(8)]
        gate.wait_for_arrivals(8)
        gate.release()
        assert sorted(answer.result().status_code for answer in answers) == [200] + 7 * [400]


def test_a_client_with_a_secret_shows_it(confidential: LocalUserPool) -> None:
    for auth, status in ((("local-client", "s3cret%3A%2B"), 200), (("local-client", "no"), 400)):
        answer = redeem(confidential, code_for(confidential), auth, client_id=None)
        assert answer.status_code == status
    assert error_of(redeem(confidential, code_for(confidential))) == "invalid_client"


# userInfo.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_user_info_tells_the_claims_as_text(pool: LocalUserPool, method: str) -> None:
    given = tokens(pool, "Google_17", identity_provider="Google")
    with client() as http:
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        answer = http.request(method, f"{pool.url}/oauth2/userInfo", headers=headers)
    told = answer.json()
    assert told["sub"] == members(given["id_token"])["sub"]
    assert (told["username"], told["name"]) == ("Google_17", "Grace")
    assert told["identities"].startswith('[{"userId": "17"')


def test_user_info_needs_the_scope_openid(pool: LocalUserPool) -> None:
    answer = user_info(pool, pool.sign_in("ada").access_token)
    assert answer.status_code == 401
    assert "openid" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("token", "scheme"), [("x", "Basic"), ("x.y.z", "Bearer")])
def test_user_info_refuses_what_is_no_access_token(
    pool: LocalUserPool, token: str, scheme: str
) -> None:
    answer = user_info(pool, token, scheme)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_user_info_refuses_a_request_without_a_token(pool: LocalUserPool) -> None:
    with client() as http:
        assert http.get(f"{pool.url}/oauth2/userInfo").status_code == 401
        assert http.post(f"{pool.url}/oauth2/userInfo").status_code == 401


def test_user_info_refuses_an_id_token_and_an_expired_one(
    pool: LocalUserPool, clock: Clock
) -> None:
    given = tokens(pool)
    assert user_info(pool, given["id_token"]).status_code == 401
    clock.now += 3601
    assert user_info(pool, given["access_token"]).status_code == 401


# Tampering.


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"nonce": "another"}, "nonce", "another"),
        ({"nonce": None}, "nonce", None),
        ({"aud": "another"}, "aud", "another"),
        ({"sub": "somebody"}, "sub", "somebody"),
        ({"at_hash": "x"}, "at_hash", "x"),
    ],
)
def test_id_tokens_can_be_wrong(
    pool: LocalUserPool, changes: dict[str, Any], name: str, value: str | None
) -> None:
    with pool.tamper(claims=changes):
        assert id_claims(pool).get(name) == value
    assert id_claims(pool).get(name) != value


def test_id_tokens_can_be_unsigned_or_of_a_key_that_nobody_knows(pool: LocalUserPool) -> None:
    with pool.tamper(algorithm="none"):
        token = tokens(pool)["id_token"]
        assert (members(token, 0)["alg"], token.rpartition(".")[2]) == ("none", "")
    with pool.tamper(key="unknown"):
        kid = members(tokens(pool)["id_token"], 0)["kid"]
    assert kid not in {key["kid"] for key in pool.jwks()["keys"]}


def test_tampering_concerns_one_kind_of_token(pool: LocalUserPool) -> None:
    with pool.tamper("access", claims={"sub": "somebody"}):
        given = tokens(pool)
    assert members(given["access_token"])["sub"] == "somebody"
    assert members(given["id_token"])["sub"] != "somebody"


def test_the_newest_tampering_counts(pool: LocalUserPool) -> None:
    older = pool.tamper(claims={"nonce": "older"})
    with pool.tamper(claims={"nonce": "newer"}):
        assert id_claims(pool)["nonce"] == "newer"
    assert id_claims(pool)["nonce"] == "older"
    older.close()
    assert id_claims(pool)["nonce"] == "no"


def test_tampering_that_cannot_be_is_refused_at_the_call(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match=r"^token_use"):
        pool.tamper("refresh")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^key"):
        pool.tamper(key="no such key")
    assert "nonce" in id_claims(pool)


# Federated users have no password.


def test_a_user_of_another_provider_has_no_password_here(pool: LocalUserPool) -> None:
    url = asked(pool)
    with pytest.raises(ValueError, match="Incorrect username or password"):
        pool.authorize(url, "Google_17", "correct horse")
    assert returned(pool.authorize(url, "ada"))["code"]
