import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import FrozenInstanceError
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from amplify_mw.testing.pool.pool import (
    Body,
    CognitoError,
    Down,
    Drip,
    Fault,
    LocalUserPool,
    Lost,
    Redirect,
    Status,
    Throttling,
)
from tests.patience import PATIENCE
from tests.testing.asking import AMZ_JSON, TARGET, Clock, call, client, get_user

ATTRIBUTES = {"email": "ada@example.com", "email_verified": "true", "name": "Ada"}


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock) as pool:
        pool.add_user("ada", attributes={**ATTRIBUTES, "custom:plan": "pro"}, groups=["admins"])
        yield pool


@pytest.fixture
def rotating(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock, rotate_refresh_tokens=True, rotation_grace=10) as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def confidential(clock: Clock) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=clock, client_secret="s3cret:+") as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with client() as http:
        yield http


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def refresh(pool: LocalUserPool, refresh_token: str) -> httpx2.Response:
    return call(
        pool, "GetTokensFromRefreshToken", ClientId=pool.client_id, RefreshToken=refresh_token
    )


def initiate_auth(pool: LocalUserPool, flow: str, **parameters: str) -> httpx2.Response:
    return call(
        pool, "InitiateAuth", ClientId=pool.client_id, AuthFlow=flow, AuthParameters=parameters
    )


def form(pool: LocalUserPool, endpoint: str, auth: Any = None, **fields: str) -> httpx2.Response:
    """Ask an endpoint of the domain; `auth`: the id and the secret to show."""
    client_id = {} if auth else {"client_id": pool.client_id}
    with client() as http:
        return http.post(f"{pool.url}/oauth2/{endpoint}", auth=auth, data=client_id | fields)


def oauth_refresh(pool: LocalUserPool, token: str, auth: Any = None) -> httpx2.Response:
    return form(pool, "token", auth, grant_type="refresh_token", refresh_token=token)


def secret_hash(username: str) -> str:
    message = f"{username}local-client".encode()
    return base64.b64encode(hmac.new(b"s3cret:+", message, hashlib.sha256).digest()).decode()


def oauth_error_of(response: httpx2.Response) -> str:
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    error: str = response.json()["error"]
    return error


def error_of(response: httpx2.Response) -> tuple[str, str]:
    assert response.status_code == 400
    body = response.json()
    assert response.headers["x-amzn-errortype"] == body["__type"]
    return body["__type"], body["message"]


def segment(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def claims(token: str) -> dict[str, Any]:
    return segment(token, 1)


def verified(pool: LocalUserPool, token: str) -> dict[str, Any]:
    return jwt.decode(token, KeySet.import_key_set(pool.jwks()), algorithms=["RS256"]).claims


# The server.


def test_it_serves_its_key_set(pool: LocalUserPool, http: httpx2.Client) -> None:
    response = http.get(pool.jwks_url)
    assert response.headers["content-type"] == "application/json"
    assert response.json() == pool.jwks()
    [key] = response.json()["keys"]
    assert set(key) == {"kid", "kty", "alg", "use", "n", "e"}
    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")


def test_it_serves_its_openid_configuration(pool: LocalUserPool, http: httpx2.Client) -> None:
    document = http.get(f"{pool.issuer}/.well-known/openid-configuration").json()
    assert (document["issuer"], document["jwks_uri"]) == (pool.issuer, pool.jwks_url)
    assert document["token_endpoint_auth_methods_supported"] == ["none"]
    assert document["authorization_response_iss_parameter_supported"] is False
    assert document["code_challenge_methods_supported"] == ["S256"]


def test_its_endpoints_are_where_the_openid_configuration_says(
    pool: LocalUserPool, http: httpx2.Client
) -> None:
    document = http.get(f"{pool.issuer}/.well-known/openid-configuration").json()
    pool.requests.clear()
    for name in ("authorization", "userinfo", "end_session"):
        http.get(document[f"{name}_endpoint"])
    for name in ("token", "revocation"):
        http.post(document[f"{name}_endpoint"])
    assert pool.requests == ["authorize", "userInfo", "logout", "token", "revoke"]


def test_other_paths_and_methods_are_not_found(pool: LocalUserPool, http: httpx2.Client) -> None:
    assert http.get(pool.url + "/elsewhere").status_code == 404
    assert http.post(pool.jwks_url).status_code == 404
    assert http.post(pool.url).status_code == 404
    assert pool.requests[0] == "GET /elsewhere"


def test_it_has_no_address_before_it_starts() -> None:
    with pytest.raises(RuntimeError, match="start it"):
        _ = LocalUserPool().url


def test_closing_ends_every_thread_and_the_socket(http: httpx2.Client) -> None:
    before = set(threading.enumerate())
    with LocalUserPool() as pool:
        http.get(pool.jwks_url)
    pool.close()
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx2.ConnectError):
        http.get(pool.jwks_url)


def test_closing_ends_held_requests(threads: ThreadPoolExecutor) -> None:
    with LocalUserPool() as pool, pool.hold() as gate:
        answer = threads.submit(get_user, pool, "x")
        gate.wait_for_arrivals()
        pool.close()
        with pytest.raises(httpx2.TransportError):
            answer.result()


def test_a_gate_made_while_closed_holds_after_a_start(threads: ThreadPoolExecutor) -> None:
    pool = LocalUserPool()
    with pool:
        pass
    with pool.hold() as gate, pool:
        answer = threads.submit(get_user, pool, "x")
        gate.wait_for_arrivals()
        assert not answer.done()
        gate.release()
        assert answer.result().status_code == 400


def test_closing_ends_idle_connections() -> None:
    with LocalUserPool() as pool:
        address = urlsplit(pool.url)
        place = address.hostname, address.port
        with socket.create_connection(place, timeout=PATIENCE) as connection:
            connection.sendall(b"GET / HT")
            pool.close()
            with suppress(ConnectionResetError):  # if it was not accepted yet
                assert connection.recv(1) == b""


def test_it_starts_again_at_the_same_address(http: httpx2.Client) -> None:
    pool = LocalUserPool()
    with pool:
        url = pool.url
    assert pool.url == url
    with pool:
        assert http.get(pool.jwks_url).status_code == 200
        assert pool.url == url


def test_starting_twice_is_starting_once(http: httpx2.Client) -> None:
    pool = LocalUserPool()
    pool.start()
    with pool:
        assert http.get(pool.jwks_url).status_code == 200


def test_requests_are_noted_in_order(pool: LocalUserPool, http: httpx2.Client) -> None:
    http.get(pool.jwks_url)
    get_user(pool, "x")
    http.get(pool.jwks_url)
    assert pool.requests == ["jwks", "GetUser", "jwks"]
    assert pool.count("jwks") == 2


def test_the_config_is_this_pools(pool: LocalUserPool) -> None:
    config = pool.config(leeway=1)
    assert type(config).__name__ == "AmplifyConfig"
    assert config.leeway == 1
    assert config.domain == pool.url


def test_its_tokens_may_name_another_issuer(clock: Clock, http: httpx2.Client) -> None:
    issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Local0001"
    with LocalUserPool(issuer=issuer, clock=clock) as pool:
        pool.add_user("ada", name="Ada")
        tokens = pool.sign_in("ada")
        assert verified(pool, tokens.id_token)["iss"] == pool.issuer == issuer
        assert get_user(pool, tokens.access_token).json()["Username"] == "ada"
        assert http.get(pool.jwks_url).json() == pool.jwks()
        assert pool.config().user_pools[0].keys_url == pool.jwks_url


def test_the_config_knows_the_clients_secret(confidential: LocalUserPool) -> None:
    assert confidential.config().user_pools[0].client_secrets == ("s3cret:+",)
    assert "s3cret" not in repr(confidential)


# Users.


def test_a_user_has_a_sub_of_its_own_or_a_given_one(pool: LocalUserPool) -> None:
    bob, eve = pool.add_user("bob"), pool.add_user("eve", sub="0f3c")
    assert len(bob.sub) == 36
    assert eve.sub == "0f3c"
    assert "sub" not in eve.attributes


def test_a_user_cannot_be_added_twice(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match="already"):
        pool.add_user("ada")


@pytest.mark.parametrize(
    "change", ["disable_user", "delete_user", "require_password_reset", "sign_in", "mint"]
)
def test_a_user_who_is_not_there_is_named(pool: LocalUserPool, change: str) -> None:
    with pytest.raises(LookupError, match="'nobody'"):
        getattr(pool, change)("nobody")


def test_no_repr_shows_a_secret(pool: LocalUserPool) -> None:
    user = pool.add_user("bob", "hunter22", email="bob@example.com")
    assert repr(pool.sign_in("bob")) == "TokenSet()"
    assert "hunter22" not in repr(user)
    assert "bob@example.com" not in repr(user)


def test_users_and_tokens_are_frozen(pool: LocalUserPool) -> None:
    user, tokens = pool.add_user("bob", email="bob@example.com"), pool.sign_in("bob")
    with pytest.raises(FrozenInstanceError):
        user.enabled = False  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        tokens.id_token = ""  # type: ignore[misc]
    with pytest.raises(TypeError):
        user.attributes["email"] = ""  # type: ignore[index]


# Tokens.


def test_an_id_token_has_cognitos_shape(pool: LocalUserPool, clock: Clock) -> None:
    token = pool.sign_in("ada").id_token
    assert segment(token, 0) == {"kid": pool.jwks()["keys"][0]["kid"], "alg": "RS256"}
    found = verified(pool, token)
    assert set(found) == {
        *("sub", "email", "email_verified", "name", "custom:plan", "cognito:groups", "iss"),
        *("cognito:username", "origin_jti", "aud", "event_id", "token_use", "auth_time"),
        *("exp", "iat", "jti"),
    }
    assert found["email_verified"] is True
    assert found["cognito:username"] == "ada"
    assert found["cognito:groups"] == ["admins"]
    assert (found["iss"], found["aud"]) == (pool.issuer, "local-client")
    assert found["iat"] == found["auth_time"] == int(clock.now)
    assert found["exp"] == found["iat"] + 3600


def test_an_access_token_has_cognitos_shape(pool: LocalUserPool) -> None:
    found = verified(pool, pool.sign_in("ada").access_token)
    assert set(found) == {
        *("sub", "cognito:groups", "iss", "client_id", "origin_jti", "event_id", "token_use"),
        *("scope", "auth_time", "exp", "iat", "jti", "username"),
    }
    assert found["token_use"] == "access"
    assert found["scope"] == "aws.cognito.signin.user.admin"


def test_tokens_live_as_long_as_the_pool_says(clock: Clock) -> None:
    with LocalUserPool(clock=clock, token_lifetime=300) as pool:
        pool.add_user("ada")
        tokens = pool.sign_in("ada")
        result = refresh(pool, tokens.refresh_token).json()["AuthenticationResult"]
    assert result["ExpiresIn"] == 300
    for token in (tokens.id_token, result["AccessToken"], pool.mint("ada")):
        assert claims(token)["exp"] == int(clock.now) + 300


def test_a_refresh_token_looks_like_cognitos(pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").refresh_token
    assert token.count(".") == 4
    assert segment(token, 0)["enc"] == "A256GCM"


def test_the_tokens_of_one_sign_in_belong_together(pool: LocalUserPool) -> None:
    one, other = pool.sign_in("ada"), pool.sign_in("ada")
    assert claims(one.id_token)["origin_jti"] == claims(one.access_token)["origin_jti"]
    assert claims(one.id_token)["jti"] != claims(one.access_token)["jti"]
    assert claims(one.id_token)["origin_jti"] != claims(other.id_token)["origin_jti"]


def test_without_groups_and_email_there_are_no_such_claims(pool: LocalUserPool) -> None:
    pool.add_user("bob")
    found = claims(pool.sign_in("bob").id_token)
    assert not {"cognito:groups", "email", "email_verified"} & set(found)


def test_an_email_is_unverified_unless_said_otherwise(pool: LocalUserPool) -> None:
    pool.add_user("bob", email="bob@example.com", phone_number="+15550100")
    found = claims(pool.sign_in("bob").id_token)
    assert found["email_verified"] is False
    assert found["phone_number_verified"] is False


def test_a_minted_token_is_right_by_default(pool: LocalUserPool) -> None:
    assert verified(pool, pool.mint("ada"))["token_use"] == "id"
    assert get_user(pool, pool.mint("ada", "access")).status_code == 200


def test_a_minted_token_may_be_of_any_time_client_and_issuer(pool: LocalUserPool) -> None:
    token = pool.mint(
        "ada", issued_at=100.9, expires_in=50, client_id="other", issuer="https://elsewhere"
    )
    found = verified(pool, token)
    assert (found["iat"], found["exp"]) == (100, 150)
    assert (found["aud"], found["iss"]) == ("other", "https://elsewhere")


def test_claims_and_header_are_merged_last(pool: LocalUserPool) -> None:
    token = pool.mint("ada", claims={"exp": None, "x": 1}, header={"kid": None, "crit": ["x"]})
    assert "exp" not in claims(token)
    assert claims(token)["x"] == 1
    assert segment(token, 0) == {"alg": "RS256", "crit": ["x"]}


def test_an_unknown_key_is_in_no_key_set(pool: LocalUserPool) -> None:
    token = pool.mint("ada", key="unknown")
    assert segment(token, 0)["kid"] not in {key["kid"] for key in pool.jwks()["keys"]}
    with pytest.raises((JoseError, ValueError)):
        verified(pool, token)


def test_a_key_that_never_was_is_refused(pool: LocalUserPool) -> None:
    with pytest.raises(ValueError, match="key:"):
        pool.mint("ada", key="no such kid")


def test_a_token_without_signature_can_be_minted(pool: LocalUserPool) -> None:
    token = pool.mint("ada", algorithm="none")
    assert segment(token, 0)["alg"] == "none"
    assert token.endswith(".")


def test_a_token_of_the_confusion_attack_can_be_minted(pool: LocalUserPool) -> None:
    token = pool.mint("ada", "access", algorithm="HS256")
    assert segment(token, 0)["alg"] == "HS256"
    assert error_of(get_user(pool, token))[0] == "NotAuthorizedException"


def test_rotated_keys_overlap(pool: LocalUserPool) -> None:
    old = pool.mint("ada")
    kid = pool.rotate_keys()
    assert segment(pool.mint("ada"), 0)["kid"] == kid
    assert len(pool.jwks()["keys"]) == 2
    assert verified(pool, old)["sub"] == verified(pool, pool.mint("ada"))["sub"]


def test_dropped_keys_leave_the_set_but_can_still_sign(pool: LocalUserPool) -> None:
    old_kid = pool.jwks()["keys"][0]["kid"]
    old = pool.mint("ada", "access")
    kid = pool.rotate_keys(keep_old=False)
    assert [key["kid"] for key in pool.jwks()["keys"]] == [kid]
    assert segment(pool.mint("ada", key=old_kid), 0)["kid"] == old_kid
    assert error_of(get_user(pool, old)) == ("NotAuthorizedException", "Invalid Access Token")


def test_tokens_can_be_made_after_closing() -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
    assert verified(pool, pool.mint("ada"))["iss"] == pool.issuer


# Signing in.


def test_a_password_signs_in(pool: LocalUserPool) -> None:
    answer = initiate_auth(
        pool, "USER_PASSWORD_AUTH", USERNAME="ada", PASSWORD="correct horse"
    ).json()
    result = answer["AuthenticationResult"]
    assert answer["ChallengeParameters"] == {}
    assert (result["ExpiresIn"], result["TokenType"]) == (3600, "Bearer")
    assert verified(pool, result["IdToken"])["cognito:username"] == "ada"
    assert get_user(pool, result["AccessToken"]).status_code == 200
    assert refresh(pool, result["RefreshToken"]).status_code == 200


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong"), ("nobody", "x")])
def test_a_wrong_password_and_an_unknown_user_look_alike(
    pool: LocalUserPool, username: str, password: str
) -> None:
    answer = initiate_auth(pool, "USER_PASSWORD_AUTH", USERNAME=username, PASSWORD=password)
    assert error_of(answer) == ("NotAuthorizedException", "Incorrect username or password.")


def test_an_unconfirmed_user_cannot_sign_in(pool: LocalUserPool) -> None:
    pool.add_user("bob", "pw", confirmed=False)
    answer = initiate_auth(pool, "USER_PASSWORD_AUTH", USERNAME="bob", PASSWORD="pw")
    assert error_of(answer) == ("UserNotConfirmedException", "User is not confirmed.")


def test_an_unknown_flow_is_refused(pool: LocalUserPool) -> None:
    assert error_of(initiate_auth(pool, "USER_SRP_AUTH"))[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "InvalidParameterException"),
        ({"USERNAME": "ada"}, "InvalidParameterException"),
        ({"USERNAME": 5, "PASSWORD": "x"}, "SerializationException"),
        ({"USERNAME": "ada", "PASSWORD": "\ud800"}, "NotAuthorizedException"),
        (None, "InvalidParameterException"),
    ],
)
def test_wrong_parameters_are_refused(pool: LocalUserPool, parameters: Any, code: str) -> None:
    answer = call(
        pool,
        "InitiateAuth",
        ClientId=pool.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters=parameters,
    )
    assert error_of(answer)[0] == code


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("InitiateAuth", "ResourceNotFoundException"),
        ("GetTokensFromRefreshToken", "ResourceNotFoundException"),
        ("RevokeToken", "UnauthorizedException"),
    ],
)
def test_another_client_is_not_found(pool: LocalUserPool, operation: str, code: str) -> None:
    message = "User pool client other does not exist."
    assert error_of(call(pool, operation, ClientId="other")) == (code, message)


# Refreshing.


@pytest.mark.parametrize("flow", ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"])
def test_initiate_auth_refreshes(pool: LocalUserPool, flow: str) -> None:
    tokens = pool.sign_in("ada")
    answer = initiate_auth(pool, flow, REFRESH_TOKEN=tokens.refresh_token)
    result = answer.json()["AuthenticationResult"]
    assert "RefreshToken" not in result
    assert claims(result["IdToken"])["origin_jti"] == claims(tokens.id_token)["origin_jti"]


def test_a_refresh_makes_new_tokens_of_the_same_sign_in(pool: LocalUserPool, clock: Clock) -> None:
    tokens = pool.sign_in("ada", scope="openid")
    clock.now += 100
    result = refresh(pool, tokens.refresh_token).json()["AuthenticationResult"]
    old, new = claims(tokens.access_token), verified(pool, result["AccessToken"])
    assert "RefreshToken" not in result
    assert new["iat"] == old["iat"] + 100
    assert new["jti"] != old["jti"]
    for name in ("auth_time", "origin_jti", "event_id", "scope", "sub"):
        assert new[name] == old[name]


def test_an_unknown_refresh_token_is_refused(pool: LocalUserPool) -> None:
    assert error_of(refresh(pool, "x")) == ("NotAuthorizedException", "Invalid Refresh Token")


def test_rotation_returns_a_new_refresh_token(rotating: LocalUserPool) -> None:
    first = rotating.sign_in("ada").refresh_token
    second = refresh(rotating, first).json()["AuthenticationResult"]["RefreshToken"]
    assert second != first
    assert refresh(rotating, second).status_code == 200


def test_a_rotated_refresh_token_serves_until_the_grace_period_ends(
    rotating: LocalUserPool, clock: Clock
) -> None:
    token = rotating.sign_in("ada").refresh_token
    refresh(rotating, token)
    clock.now += 9
    assert refresh(rotating, token).status_code == 200  # which does not prolong it
    clock.now += 1
    assert error_of(refresh(rotating, token))[0] == "RefreshTokenReuseException"


def test_without_a_grace_period_a_rotated_refresh_token_ends_at_once(clock: Clock) -> None:
    with LocalUserPool(clock=clock, rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        token = pool.sign_in("ada").refresh_token
        assert refresh(pool, token).status_code == 200
        assert error_of(refresh(pool, token))[0] == "RefreshTokenReuseException"


def test_with_rotation_initiate_auth_does_not_refresh(rotating: LocalUserPool) -> None:
    token = rotating.sign_in("ada").refresh_token
    answer = initiate_auth(rotating, "REFRESH_TOKEN_AUTH", REFRESH_TOKEN=token)
    assert error_of(answer)[0] == "InvalidParameterException"


# The client's secret.


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("GetTokensFromRefreshToken", "NotAuthorizedException"),
        ("RevokeToken", "UnauthorizedException"),
    ],
)
def test_a_client_with_a_secret_has_to_show_it(
    confidential: LocalUserPool, operation: str, code: str
) -> None:
    token = confidential.sign_in("ada").refresh_token
    body = {"ClientId": "local-client", "RefreshToken": token, "Token": token}
    assert error_of(call(confidential, operation, **body)) == (
        code,
        "Client local-client is configured for secret but secret was not received",
    )
    assert error_of(call(confidential, operation, **body, ClientSecret="wrong")) == (
        code,
        "Unable to verify secret hash for client local-client",
    )
    assert call(confidential, operation, **body, ClientSecret="s3cret:+").status_code == 200


def test_signing_in_takes_a_hash_of_the_secret(confidential: LocalUserPool) -> None:
    parameters = {"USERNAME": "ada", "PASSWORD": "correct horse"}
    without = initiate_auth(confidential, "USER_PASSWORD_AUTH", **parameters)
    assert "secret was not received" in error_of(without)[1]
    parameters["SECRET_HASH"] = secret_hash("ada")
    assert initiate_auth(confidential, "USER_PASSWORD_AUTH", **parameters).status_code == 200


@pytest.mark.parametrize(("username", "status"), [("ada", 200), ("ada@example.com", 400)])
def test_a_refresh_takes_a_hash_for_the_users_own_name(
    confidential: LocalUserPool, username: str, status: int
) -> None:
    token = confidential.sign_in("ada").refresh_token
    parameters = {"REFRESH_TOKEN": token, "SECRET_HASH": secret_hash(username)}
    answer = initiate_auth(confidential, "REFRESH_TOKEN_AUTH", **parameters)
    assert answer.status_code == status


def test_an_unknown_refresh_token_is_told_from_a_wrong_secret(confidential: LocalUserPool) -> None:
    parameters = {"REFRESH_TOKEN": "x", "SECRET_HASH": secret_hash("ada")}
    answer = initiate_auth(confidential, "REFRESH_TOKEN_AUTH", **parameters)
    assert error_of(answer)[1] == "Invalid Refresh Token"


# The domain.


def test_the_domain_refreshes(pool: LocalUserPool) -> None:
    tokens = pool.sign_in("ada")
    answer = oauth_refresh(pool, tokens.refresh_token)
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"id_token", "access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)
    found = verified(pool, answer.json()["id_token"])
    assert found["origin_jti"] == claims(tokens.id_token)["origin_jti"]
    assert pool.requests == ["token"]


def test_the_domain_rotates_as_the_api_does(rotating: LocalUserPool, clock: Clock) -> None:
    first = rotating.sign_in("ada").refresh_token
    second = oauth_refresh(rotating, first).json()["refresh_token"]
    clock.now += 10
    assert oauth_error_of(oauth_refresh(rotating, first)) == "invalid_grant"
    assert error_of(refresh(rotating, first))[0] == "RefreshTokenReuseException"
    assert refresh(rotating, second).status_code == 200


@pytest.mark.parametrize("change", ["disable_user", "delete_user", "require_password_reset"])
def test_the_domain_has_one_word_for_any_user_who_is_out(pool: LocalUserPool, change: str) -> None:
    token = pool.sign_in("ada").refresh_token
    getattr(pool, change)("ada")
    assert oauth_error_of(oauth_refresh(pool, token)) == "invalid_grant"


def test_the_domain_revokes_a_sign_in(pool: LocalUserPool) -> None:
    tokens = pool.sign_in("ada")
    answer = form(pool, "revoke", token=tokens.refresh_token)
    assert (answer.status_code, answer.content) == (200, b"")
    assert oauth_error_of(oauth_refresh(pool, tokens.refresh_token)) == "invalid_grant"
    assert error_of(get_user(pool, tokens.access_token))[1] == "Access Token has been revoked"
    assert pool.count("revoke") == 1


def test_the_domain_revokes_refresh_tokens_alone(pool: LocalUserPool) -> None:
    assert form(pool, "revoke", token="unknown").status_code == 200
    answer = form(pool, "revoke", token=pool.sign_in("ada").access_token)
    assert oauth_error_of(answer) == "unsupported_token_type"


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
@pytest.mark.parametrize(
    "auth", [None, ("local-client", "wrong"), ("other", "s3cret%3A%2B"), ("local-client", "")]
)
def test_a_client_with_a_secret_authenticates_at_the_domain(
    confidential: LocalUserPool, endpoint: str, auth: Any
) -> None:
    answer = form(confidential, endpoint, auth, token="x", grant_type="refresh_token")
    assert oauth_error_of(answer) == "invalid_client"


def test_the_id_and_the_secret_come_form_encoded(confidential: LocalUserPool) -> None:
    token = confidential.sign_in("ada").refresh_token
    auth = ("local-client", "s3cret%3A%2B")
    assert oauth_refresh(confidential, token, auth).status_code == 200
    assert form(confidential, "revoke", auth, token=token).status_code == 200


@pytest.mark.parametrize("auth", [("local-client", "s3cret"), ("other", "")])
def test_a_client_without_a_secret_shows_none(pool: LocalUserPool, auth: Any) -> None:
    token = pool.sign_in("ada").refresh_token
    assert oauth_error_of(oauth_refresh(pool, token, auth)) == "invalid_client"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"grant_type": "refresh_token", "client_id": "other"}, "invalid_client"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ],
)
def test_a_wrong_form_is_refused(pool: LocalUserPool, fields: dict[str, str], code: str) -> None:
    assert oauth_error_of(form(pool, "token", **fields)) == code


def test_what_is_no_form_is_refused(pool: LocalUserPool, http: httpx2.Client) -> None:
    token = pool.sign_in("ada").refresh_token
    fields = {"client_id": pool.client_id, "grant_type": "refresh_token", "refresh_token": token}
    answer = http.post(f"{pool.url}/oauth2/token", json=fields)
    assert oauth_error_of(answer) == "invalid_request"


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
def test_the_domain_takes_posts_alone(
    pool: LocalUserPool, http: httpx2.Client, endpoint: str
) -> None:
    assert http.get(f"{pool.url}/oauth2/{endpoint}").status_code == 404


def test_the_domain_can_be_held_and_broken(pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").refresh_token
    with pool.fault("token", Status(503)):
        assert oauth_refresh(pool, token).status_code == 503
    with pool.hold("revoke") as gate:
        gate.release()
        assert form(pool, "revoke", token=token).status_code == 200
        assert gate.arrivals == 1


# GetUser.


def test_get_user_returns_the_attributes_as_text(pool: LocalUserPool) -> None:
    tokens = pool.sign_in("ada")
    answer = get_user(pool, tokens.access_token)
    assert answer.headers["content-type"] == AMZ_JSON
    assert answer.json()["Username"] == "ada"
    attributes = {member["Name"]: member["Value"] for member in answer.json()["UserAttributes"]}
    sub = claims(tokens.id_token)["sub"]
    assert attributes == {**ATTRIBUTES, "sub": sub, "custom:plan": "pro"}


@pytest.mark.parametrize(
    "options",
    [
        {"token_use": "id"},
        {"key": "unknown"},
        {"algorithm": "none"},
        {"algorithm": "RS512"},
        {"issuer": "https://elsewhere"},
        {"claims": {"exp": None}},
        {"claims": {"exp": "soon"}},
        {"header": {"kid": "other"}},
    ],
    ids=str,
)
def test_get_user_refuses_what_is_no_access_token(
    pool: LocalUserPool, options: dict[str, Any]
) -> None:
    token = pool.mint("ada", **{"token_use": "access", **options})
    assert error_of(get_user(pool, token)) == ("NotAuthorizedException", "Invalid Access Token")


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 10_000, "W10.W10.W10"])
def test_get_user_refuses_what_is_no_token(pool: LocalUserPool, token: str) -> None:
    assert error_of(get_user(pool, token)) == ("NotAuthorizedException", "Invalid Access Token")


def test_get_user_refuses_an_expired_token(pool: LocalUserPool, clock: Clock) -> None:
    token = pool.mint("ada", "access", expires_in=60)
    clock.now += 60
    assert error_of(get_user(pool, token)) == (
        "NotAuthorizedException",
        "Access Token has expired",
    )


@pytest.mark.parametrize("scope", ["openid", None])
def test_get_user_needs_its_scope(pool: LocalUserPool, scope: str | None) -> None:
    token = pool.mint("ada", "access", claims={"scope": scope})
    assert error_of(get_user(pool, token)) == (
        "NotAuthorizedException",
        "Access Token does not have required scopes",
    )


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("disable_user", "NotAuthorizedException", "User is disabled."),
        ("delete_user", "UserNotFoundException", "User does not exist."),
        (
            "require_password_reset",
            "PasswordResetRequiredException",
            "Password reset required for the user",
        ),
    ],
)
def test_a_changed_user_is_refused_everywhere(
    pool: LocalUserPool, change: str, code: str, message: str
) -> None:
    tokens = pool.sign_in("ada")
    getattr(pool, change)("ada")
    assert error_of(get_user(pool, tokens.access_token)) == (code, message)
    assert error_of(refresh(pool, tokens.refresh_token)) == (code, message)


def test_an_unconfirmed_user_is_refused(pool: LocalUserPool) -> None:
    pool.add_user("bob", confirmed=False)
    answer = get_user(pool, pool.sign_in("bob").access_token)
    assert error_of(answer)[0] == "UserNotConfirmedException"


def test_a_new_user_of_an_old_name_is_somebody_else(pool: LocalUserPool) -> None:
    tokens = pool.sign_in("ada")
    pool.delete_user("ada")
    pool.add_user("ada")
    assert error_of(get_user(pool, tokens.access_token))[0] == "UserNotFoundException"
    assert error_of(refresh(pool, tokens.refresh_token))[0] == "UserNotFoundException"


# Revoking.


def test_revoking_ends_the_sign_in_and_no_other(rotating: LocalUserPool) -> None:
    tokens, other = rotating.sign_in("ada"), rotating.sign_in("ada")
    fresh = refresh(rotating, tokens.refresh_token).json()["AuthenticationResult"]
    answer = call(rotating, "RevokeToken", ClientId=rotating.client_id, Token=tokens.refresh_token)
    assert answer.json() == {}
    for refresh_token in (tokens.refresh_token, fresh["RefreshToken"]):
        assert error_of(refresh(rotating, refresh_token)) == (
            "NotAuthorizedException",
            "Refresh Token has been revoked",
        )
    for access_token in (tokens.access_token, fresh["AccessToken"]):
        assert error_of(get_user(rotating, access_token))[1] == "Access Token has been revoked"
    assert get_user(rotating, other.access_token).status_code == 200


def test_revoking_an_unknown_token_is_no_error(pool: LocalUserPool) -> None:
    answer = call(pool, "RevokeToken", ClientId=pool.client_id, Token="unknown")
    assert answer.status_code == 200


def test_an_access_token_cannot_be_revoked(pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").access_token
    answer = call(pool, "RevokeToken", ClientId=pool.client_id, Token=token)
    assert error_of(answer)[0] == "UnsupportedTokenTypeException"


def test_a_global_sign_out_ends_all_tokens_so_far(pool: LocalUserPool) -> None:
    pool.add_user("bob")
    tokens, bobs = pool.sign_in("ada"), pool.sign_in("bob")
    minted = pool.mint("ada", "access", claims={"origin_jti": "mine"})
    assert call(pool, "GlobalSignOut", AccessToken=tokens.access_token).json() == {}
    for token in (tokens.access_token, minted):
        assert error_of(get_user(pool, token)) == (
            "NotAuthorizedException",
            "Access Token has been revoked",
        )
    assert error_of(refresh(pool, tokens.refresh_token))[0] == "NotAuthorizedException"
    assert get_user(pool, bobs.access_token).status_code == 200
    assert get_user(pool, pool.sign_in("ada").access_token).status_code == 200


def test_a_token_without_origin_is_of_no_sign_in_that_could_end(pool: LocalUserPool) -> None:
    token = pool.mint("ada", "access", claims={"origin_jti": None})
    call(pool, "GlobalSignOut", AccessToken=token)
    assert get_user(pool, token).status_code == 200


# What is no proper request.


@pytest.mark.parametrize(
    ("target", "content_type"),
    [
        (TARGET + "NoSuchOperation", AMZ_JSON),
        ("GetUser", AMZ_JSON),
        (TARGET + "GetUser", "application/json"),
    ],
)
def test_an_unknown_operation_is_refused(
    pool: LocalUserPool, http: httpx2.Client, target: str, content_type: str
) -> None:
    headers = {"X-Amz-Target": target, "Content-Type": content_type}
    answer = http.post(pool.url, headers=headers, content="{}")
    assert error_of(answer)[0] == "UnknownOperationException"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_malformed_body_is_refused(
    pool: LocalUserPool, http: httpx2.Client, content: bytes
) -> None:
    headers = {"X-Amz-Target": TARGET + "GetUser", "Content-Type": AMZ_JSON}
    answer = http.post(pool.url, headers=headers, content=content)
    assert error_of(answer)[0] == "SerializationException"


# Faults.


def test_a_fault_is_over_with_its_block(pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").access_token
    with pool.fault("GetUser", Status(503, b"busy", {"Retry-After": "7"})):
        answer = get_user(pool, token)
        assert (answer.status_code, answer.content) == (503, b"busy")
        assert answer.headers["retry-after"] == "7"
    assert get_user(pool, token).status_code == 200
    assert pool.count("GetUser") == 2


def test_a_fault_without_a_block_stays_until_it_is_closed(
    pool: LocalUserPool, http: httpx2.Client
) -> None:
    fault = pool.fault("jwks", Status(500))
    assert http.get(pool.jwks_url).status_code == 500
    fault.close()
    assert http.get(pool.jwks_url).status_code == 200


def test_a_fault_concerns_its_operation_only(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("GetUser", Status(500)):
        assert http.get(pool.jwks_url).status_code == 200


def test_a_fault_for_all_concerns_everything(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("*", Status(500)):
        assert http.get(pool.jwks_url).status_code == 500
        assert get_user(pool, "x").status_code == 500


def test_the_newest_fault_is_met(pool: LocalUserPool, http: httpx2.Client) -> None:
    first, second = Status(500), Status(503)
    with pool.fault("jwks", first) as older, pool.fault("*", second):
        assert http.get(pool.jwks_url).status_code == 503
        older.close()
        assert http.get(pool.jwks_url).status_code == 503


def test_down_answers_nothing(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("*", Down()):
        with pytest.raises(httpx2.TransportError):
            http.get(pool.jwks_url)
        with pytest.raises(httpx2.TransportError):
            refresh(pool, pool.sign_in("ada").refresh_token)


def test_a_lost_answer_has_been_carried_out(clock: Clock) -> None:
    with LocalUserPool(clock=clock, rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        token = pool.sign_in("ada").refresh_token
        with (
            pool.fault("GetTokensFromRefreshToken", Lost()),
            pytest.raises(httpx2.TransportError),
        ):
            refresh(pool, token)
        assert error_of(refresh(pool, token))[0] == "RefreshTokenReuseException"


def test_throttling_is_http_400_with_a_type(pool: LocalUserPool) -> None:
    with pool.fault("GetUser", Throttling()):
        answer = get_user(pool, "x")
    assert answer.status_code == 400
    assert answer.json()["__type"] == "TooManyRequestsException"


def test_a_cognito_error_is_said_as_cognito_does(pool: LocalUserPool) -> None:
    with pool.fault("GetUser", CognitoError("ForbiddenException", "no")):
        assert error_of(get_user(pool, "x")) == ("ForbiddenException", "no")


@pytest.mark.parametrize("endpoint", ["token", "revoke"])
@pytest.mark.parametrize("more", [{}, {"error_description": "no"}])
def test_an_error_of_the_domain_is_said_as_oauth_does(
    pool: LocalUserPool, http: httpx2.Client, endpoint: str, more: dict[str, str]
) -> None:
    with pool.fault(endpoint, CognitoError("invalid_client", more.get("error_description", ""))):
        answer = http.post(f"{pool.url}/oauth2/{endpoint}")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_client", **more})


def test_a_wrong_body_comes_with_status_200(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("jwks", Body(b"<html>", "text/html")):
        answer = http.get(pool.jwks_url)
    assert (answer.status_code, answer.content) == (200, b"<html>")
    assert answer.headers["content-type"].startswith("text/html")


def test_a_huge_body_can_be_sent(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("jwks", Body(b"x" * 5_000_000)):
        assert len(http.get(pool.jwks_url).content) == 5_000_000


def test_a_redirect_leads_elsewhere(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("jwks", Redirect("http://elsewhere.example/")):
        answer = http.get(pool.jwks_url)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/")


def test_a_drip_never_ends(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.fault("jwks", Drip(0.001)), http.stream("GET", pool.jwks_url) as answer:
        assert answer.status_code == 200
        drops = answer.iter_raw()
        assert next(drops) + next(drops) == b"  "


def test_closing_ends_a_drip(http: httpx2.Client) -> None:
    with LocalUserPool() as pool:
        pool.fault("jwks", Drip(30))
        with http.stream("GET", pool.jwks_url) as answer:
            pool.close()
            with pytest.raises(httpx2.TransportError):
                answer.read()


@pytest.mark.parametrize(
    "fault",
    [
        Down(),
        Lost(),
        Status(500),
        Throttling(),
        CognitoError("X"),
        Body(b""),
        Redirect("/"),
        Drip(),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_faults_are_values(fault: Fault) -> None:
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        fault.anything = 1  # type: ignore[attr-defined]


# Gates.


def test_a_gate_holds_requests_until_it_is_released(
    pool: LocalUserPool, threads: ThreadPoolExecutor
) -> None:
    token = pool.sign_in("ada").access_token
    with pool.hold("GetUser") as gate:
        answers = [threads.submit(get_user, pool, token) for _ in range(5)]
        gate.wait_for_arrivals(5, timeout=PATIENCE)
        assert not any(answer.done() for answer in answers)
        assert gate.arrivals == pool.count("GetUser") == 5
        gate.release()
        assert [answer.result().status_code for answer in answers] == [200] * 5


def test_leaving_the_block_releases(pool: LocalUserPool, threads: ThreadPoolExecutor) -> None:
    with pool.hold("GetUser") as gate:
        answer = threads.submit(get_user, pool, "x")
        gate.wait_for_arrivals()
    assert answer.result().status_code == 400


def test_a_released_gate_lets_later_requests_pass(pool: LocalUserPool) -> None:
    with pool.hold("GetUser") as gate:
        gate.release()
        get_user(pool, "x")
        assert gate.arrivals == 1


def test_a_gate_holds_its_operation_only(pool: LocalUserPool, http: httpx2.Client) -> None:
    with pool.hold("GetUser"):
        assert http.get(pool.jwks_url).status_code == 200


def test_waiting_for_requests_that_do_not_come_says_so(pool: LocalUserPool) -> None:
    with (
        pool.hold("GetUser") as gate,
        pytest.raises(TimeoutError, match="0 of 1 requests for 'GetUser'"),
    ):
        gate.wait_for_arrivals(1, timeout=0)


def test_a_held_request_sees_the_world_as_it_is_when_released(
    pool: LocalUserPool, http: httpx2.Client, threads: ThreadPoolExecutor
) -> None:
    with pool.hold("jwks") as gate:
        answer = threads.submit(http.get, pool.jwks_url)
        gate.wait_for_arrivals()
        kid = pool.rotate_keys(keep_old=False)
        gate.release()
        assert [key["kid"] for key in answer.result().json()["keys"]] == [kid]


def test_a_held_request_meets_a_fault_set_meanwhile(
    pool: LocalUserPool, threads: ThreadPoolExecutor
) -> None:
    with pool.hold("GetUser") as gate:
        answer = threads.submit(get_user, pool, "x")
        gate.wait_for_arrivals()
        with pool.fault("GetUser", Status(503)):
            gate.release()
            assert answer.result().status_code == 503


def test_many_requests_at_once_are_all_noted(
    pool: LocalUserPool, threads: ThreadPoolExecutor
) -> None:
    tokens = [pool.sign_in("ada") for _ in range(4)]
    answers: list[Future[httpx2.Response]] = []
    for pair in tokens * 5:
        answers.append(threads.submit(get_user, pool, pair.access_token))
        answers.append(threads.submit(refresh, pool, pair.refresh_token))
    assert {answer.result().status_code for answer in answers} == {200}
    assert pool.count("GetUser") == pool.count("GetTokensFromRefreshToken") == 20


# --- what is mistyped


@pytest.mark.parametrize("fault", [Down, Throttling, "Down", None, 503])
def test_what_is_no_fault_is_refused_at_the_call(pool: LocalUserPool, fault: Any) -> None:
    with pytest.raises(TypeError, match=r"^fault: write an instance, such as \w+\(\)"):
        pool.fault("jwks", fault)


@pytest.mark.parametrize("operation", ["GetUsr", "getuser", "", "SignUp"])
def test_an_operation_that_the_pool_lacks_is_refused_at_the_call(
    pool: LocalUserPool, operation: str
) -> None:
    for put in (pool.hold, lambda name: pool.fault(name, Down())):
        with pytest.raises(ValueError, match=r"^operation: write one of .*GetUser.*jwks"):
            put(operation)


@pytest.mark.parametrize("token_use", ["refresh", "ID", "", None])
def test_a_kind_of_token_that_there_is_not_is_refused(pool: LocalUserPool, token_use: Any) -> None:
    with pytest.raises(ValueError, match=r"^token_use: write 'id' or 'access'"):
        pool.mint("ada", token_use)


def test_a_user_may_be_changed() -> None:
    with LocalUserPool() as pool:
        before = pool.add_user("ada", "a password", groups=["editors"], name="Ada")
        after = pool.change_user("ada", attributes={"email": "ada@example.com"})
        assert after.attributes == {"name": "Ada", "email": "ada@example.com"}
        assert pool.change_user("ada", groups=()).groups == ()
        assert (after.sub, after.password, after.groups) == (before.sub, "a password", ("editors",))
        with pytest.raises(LookupError, match="grace"):
            pool.change_user("grace", groups=["editors"])
