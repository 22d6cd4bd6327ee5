"""Cognito's API on the wire: what is sent, and what each kind of answer means."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito.api import (
    AppClient,
    Failure,
    Refreshed,
    get_tokens_from_refresh_token,
    get_user,
    initiate_auth_refresh,
    read_failure,
    read_get_user,
    read_refreshed,
)
from amplify_mw.cognito.ending import global_sign_out, read_revoked, read_signed_out, revoke_token
from amplify_mw.effects import Request, Response
from amplify_mw.errors import (
    AuthError,
    NetworkError,
    NotAuthorizedException,
    UserNotConfirmedException,
)

ENDPOINT = "https://cognito-idp.eu-west-1.amazonaws.com/"
PUBLIC, SECRET = AppClient("web"), AppClient("web", "s3cret")
TOKENS = {"IdToken": "i.d.t", "AccessToken": "a.c.t", "RefreshToken": "r.e.f.r.e"}


def typed(code: object, status: int = 400) -> Response:
    """An error as Cognito says it, with its code in the body alone."""
    return Response(status, {}, json.dumps({"__type": code, "message": "for token ey.."}).encode())


def answer(body: object) -> Response:
    return Response(200, {}, json.dumps(body).encode())


def failure_of(response: Response) -> Failure:
    failure = read_failure(response)
    assert failure is not None
    return failure


# --- the request


def test_get_user_is_an_unsigned_amazon_json_call() -> None:
    request = get_user(ENDPOINT, b"a.b.c")
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert request.headers["x-amz-target"] == "AWSCognitoIdentityProviderService.GetUser"
    assert json.loads(request.content) == {"AccessToken": "a.b.c"}


def test_a_request_shows_no_token() -> None:
    assert "a.b.c" not in repr(get_user(ENDPOINT, b"a.b.c"))


def sent(request: Request) -> tuple[str, Any]:
    """The operation and the members of a request to Cognito."""
    assert (request.method, request.url) == ("POST", ENDPOINT)
    return request.headers["x-amz-target"].rpartition(".")[2], json.loads(request.content)


def test_a_refresh_shows_the_refresh_token_and_the_client() -> None:
    assert sent(get_tokens_from_refresh_token(ENDPOINT, PUBLIC, b"r.t")) == (
        "GetTokensFromRefreshToken",
        {"ClientId": "web", "RefreshToken": "r.t"},
    )


def test_a_refresh_shows_the_secret_and_the_device_where_there_is_one() -> None:
    _, members = sent(get_tokens_from_refresh_token(ENDPOINT, SECRET, b"r.t", "dev_1"))
    assert members == {
        "ClientId": "web",
        "ClientSecret": "s3cret",
        "RefreshToken": "r.t",
        "DeviceKey": "dev_1",
    }


def test_initiate_auth_refreshes_without_rotation() -> None:
    assert sent(initiate_auth_refresh(ENDPOINT, PUBLIC, b"r.t", "ada", "dev_1")) == (
        "InitiateAuth",
        {
            "AuthFlow": "REFRESH_TOKEN_AUTH",
            "ClientId": "web",
            "AuthParameters": {"REFRESH_TOKEN": "r.t", "DEVICE_KEY": "dev_1"},
        },
    )


@pytest.mark.parametrize("username", ["ada", "Åda", "ada@example.com"])
def test_initiate_auth_shows_a_hash_of_the_secret(username: str) -> None:
    _, members = sent(initiate_auth_refresh(ENDPOINT, SECRET, b"r.t", username))
    digest = hmac.new(b"s3cret", username.encode() + b"web", hashlib.sha256).digest()
    parameters = {"REFRESH_TOKEN": "r.t", "SECRET_HASH": base64.b64encode(digest).decode()}
    assert members["AuthParameters"] == parameters


@pytest.mark.parametrize(
    ("client", "members"),
    [(PUBLIC, {"ClientId": "web"}), (SECRET, {"ClientId": "web", "ClientSecret": "s3cret"})],
)
def test_a_refresh_token_is_revoked_by_its_client(
    client: AppClient, members: dict[str, str]
) -> None:
    request = revoke_token(ENDPOINT, client, b"r.t")
    assert sent(request) == ("RevokeToken", {"Token": "r.t", **members})


def test_a_global_sign_out_shows_the_access_token() -> None:
    assert sent(global_sign_out(ENDPOINT, b"a.b.c")) == ("GlobalSignOut", {"AccessToken": "a.b.c"})


def test_only_a_refresh_is_waited_for_longer() -> None:
    refreshes = (
        get_tokens_from_refresh_token(ENDPOINT, SECRET, b"r.t"),
        initiate_auth_refresh(ENDPOINT, SECRET, b"r.t", "ada"),
    )
    others = (revoke_token(ENDPOINT, SECRET, b"r.t"), global_sign_out(ENDPOINT, b"a.b.c"))
    assert {request.patience for request in refreshes} == {2.0}
    assert {request.patience for request in others} == {1.0}


def test_nothing_that_is_sent_or_read_shows_a_secret() -> None:
    shown = repr([SECRET, get_tokens_from_refresh_token(ENDPOINT, SECRET, b"r.t")])
    shown += repr([read_refreshed(answer({"AuthenticationResult": TOKENS})), str(SECRET)])
    assert not [secret for secret in ("s3cret", "r.t", *TOKENS.values()) if secret in shown]


# --- errors

MEANINGS: list[tuple[str, type[AuthError], int, str]] = [
    ("NotAuthorizedException", NotAuthorizedException, 401, "session_revoked"),
    ("UserNotFoundException", NotAuthorizedException, 401, "user_not_found"),
    ("UserNotConfirmedException", UserNotConfirmedException, 403, "user_not_confirmed"),
    ("PasswordResetRequiredException", AuthError, 403, "password_reset_required"),
    ("TooManyRequestsException", NetworkError, 503, "throttled"),
    ("ThrottlingException", NetworkError, 503, "throttled"),
    ("Throttling", NetworkError, 503, "throttled"),
    ("RequestLimitExceeded", NetworkError, 503, "throttled"),
    ("LimitExceededException", NetworkError, 503, "throttled"),
    ("InternalErrorException", NetworkError, 503, "cognito_unavailable"),
    ("ServiceUnavailableException", NetworkError, 503, "cognito_unavailable"),
    ("InvalidParameterException", AuthError, 500, "cognito_misconfigured"),
    ("ResourceNotFoundException", AuthError, 500, "cognito_misconfigured"),
    ("OperationNotEnabledException", AuthError, 500, "cognito_misconfigured"),
    ("UnknownOperationException", AuthError, 500, "cognito_misconfigured"),
    ("ForbiddenException", NetworkError, 503, "firewall_blocked"),
    ("AnErrorOfTomorrowException", AuthError, 500, "cognito_error"),
]


@pytest.mark.parametrize(("code", "kind", "status", "reason"), MEANINGS)
def test_an_error_becomes_the_error_that_says_what_to_do(
    code: str, kind: type[AuthError], status: int, reason: str
) -> None:
    error = failure_of(typed(code)).exception()
    assert type(error) is kind
    is_outage = reason in ("throttled", "cognito_unavailable")
    assert error.name == ("NetworkError" if is_outage else code)
    assert (error.status_code, error.reason) == (status, reason)


@pytest.mark.parametrize("code", [meaning[0] for meaning in MEANINGS])
def test_only_cognitos_word_that_the_user_is_out_ends_the_session(code: str) -> None:
    ends = code in ("NotAuthorizedException", "UserNotFoundException")
    assert failure_of(typed(code)).ends_session is ends


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("code", ["NotAuthorizedException", "UserNotFoundException", "Other"])
def test_a_server_error_never_ends_the_session(status: int, code: str) -> None:
    failure = failure_of(typed(code, status))
    assert (failure.reason, failure.ends_session) == ("cognito_unavailable", False)


def test_status_429_is_throttling_whatever_it_says() -> None:
    assert failure_of(Response(429, {}, b"<html>slow down</html>")).reason == "throttled"


def test_throttling_is_throttling_under_any_status() -> None:
    assert failure_of(typed("TooManyRequestsException", 500)).reason == "throttled"


@pytest.mark.parametrize(
    "spelling",
    [
        "NotAuthorizedException",
        "com.amazonaws.cognito.identity.idp.model#NotAuthorizedException",
        "NotAuthorizedException:http://internal.amazon.com/coral/com.amazon.coral.service/",
        "aws.protocoltests#NotAuthorizedException:http://internal.amazon.com/coral/#x",
        "NotAuthorizedException,http://internal.amazon.com/",
    ],
)
@pytest.mark.parametrize("place", ["__type", "code", "header"])
def test_a_code_is_found_in_any_place_and_spelling(place: str, spelling: str) -> None:
    body = json.dumps({} if place == "header" else {place: spelling}).encode()
    headers = {"x-amzn-errortype": spelling} if place == "header" else {}
    assert failure_of(Response(400, headers, body)).reason == "session_revoked"


def test_the_header_wins_over_the_body() -> None:
    headers = {"x-amzn-errortype": "TooManyRequestsException"}
    response = Response(400, headers, typed("NotAuthorizedException").content)
    assert failure_of(response).reason == "throttled"


NO_CODES = [
    *(
        b"",
        b"null",
        b"[]",
        b'"NotAuthorizedException"',
        b"7",
        b"{}",
        b'{"__type":null}',
        b"\xff\xfe",
    ),
    *(b'{"__type":["NotAuthorizedException"]}', b'{"code":{"a":1}}', b'{"__type":""}'),
    b'{"__type":null}',
    *(b"<html>NotAuthorizedException</html>", b"[" * 100_000, b'{"__type":"x', b"9" * 5000),
]


@pytest.mark.parametrize("body", NO_CODES, ids=lambda body: repr(body[:24]))
@pytest.mark.parametrize("status", [201, 204, 302, 400, 403, 404])
def test_an_answer_without_a_code_is_not_cognitos_word(status: int, body: bytes) -> None:
    failure = failure_of(Response(status, {}, body))
    assert (failure.error, failure.reason) == (NetworkError, "cognito_unavailable")
    assert not failure.ends_session


@pytest.mark.parametrize("code", ["Bad\r\nX: y", "a" * 65, "Não", "sk-1.2.3", "<script>"])
def test_an_error_name_unfit_for_a_log_is_not_repeated(code: str) -> None:
    error = failure_of(typed(code)).exception()
    assert (error.name, error.status_code) == ("UnknownError", 500)
    assert code not in str(error)


def test_cognitos_message_is_not_passed_on() -> None:
    error = failure_of(typed("NotAuthorizedException")).exception()
    assert "ey.." not in repr(error) + str(error) + str(vars(error))


def test_each_raise_gets_an_exception_of_its_own() -> None:
    failure = failure_of(typed("NotAuthorizedException"))
    assert failure.exception() is not failure.exception()


@given(st.integers(100, 599), st.dictionaries(st.just("x-amzn-errortype"), st.text()), st.binary())
def test_any_answer_has_a_meaning(status: int, headers: dict[str, str], body: bytes) -> None:
    failure = read_failure(Response(status, headers, body))
    assert (failure is None) == (status == 200)
    if failure is not None:
        assert isinstance(failure.exception(), AuthError)


# --- attributes


def test_attributes_are_read_by_name() -> None:
    members = [{"Name": "sub", "Value": "0f3c"}, {"Name": "email", "Value": "ada@example.com"}]
    attributes = read_get_user(answer({"Username": "ada", "UserAttributes": members}))
    assert attributes == {"sub": "0f3c", "email": "ada@example.com"}


def test_an_attribute_that_is_no_text_is_left_out() -> None:
    members = [
        {"Name": "sub", "Value": "0f3c"},
        {"Name": "x", "Value": 3},
        {"Name": 1, "Value": ""},
    ]
    assert read_get_user(answer({"UserAttributes": members})) == {"sub": "0f3c"}


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], 7, "x", {}, {"UserAttributes": None}, {"UserAttributes": 7}),
        *({"UserAttributes": members} for members in (["x"], [None], [[]], [{}], [{"Name": "a"}])),
    ],
)
def test_a_success_that_is_not_cognitos_is_an_outage(body: Any) -> None:
    outcome = read_get_user(answer(body))
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.ends_session) == ("cognito_unavailable", False)


@given(st.binary(max_size=200))
def test_any_success_body_is_attributes_or_an_outage(body: bytes) -> None:
    outcome = read_get_user(Response(200, {}, body))
    assert isinstance(outcome, dict) or outcome.reason == "cognito_unavailable"


# --- refreshed tokens


@pytest.mark.parametrize("rest", [{}, {"RefreshToken": None}])
def test_without_rotation_the_refresh_token_goes_on(rest: dict[str, None]) -> None:
    result = {"IdToken": "i.d.t", "AccessToken": "a.c.t", "ExpiresIn": 3600, **rest}
    assert read_refreshed(answer({"AuthenticationResult": result})) == (b"i.d.t", b"a.c.t", None)


def test_rotation_gives_another_refresh_token() -> None:
    outcome = read_refreshed(answer({"AuthenticationResult": TOKENS}))
    assert outcome == Refreshed(b"i.d.t", b"a.c.t", b"r.e.f.r.e")


NOT_COGNITOS: list[Any] = [
    *(None, [], 7, "x", {}, TOKENS),
    *({"AuthenticationResult": result} for result in (None, [TOKENS], "x")),
]
UNUSABLE: list[Any] = [
    {"ChallengeName": "SMS_MFA"},
    {"AuthenticationResult": {}},
    *(
        {"AuthenticationResult": {**TOKENS, name: value}}
        for name in TOKENS
        for value in ("", 7, ["x"], "a b", "a\n", "é", "\ud800", "\0", False)
    ),
    *({"AuthenticationResult": {**TOKENS, name: None}} for name in ("IdToken", "AccessToken")),
]


@pytest.mark.parametrize("body", NOT_COGNITOS, ids=lambda body: ascii(body)[:70])
def test_a_refresh_that_is_not_cognitos_is_an_outage(body: Any) -> None:
    outcome = read_refreshed(answer(body))
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.ends_session) == ("cognito_unavailable", False)


@pytest.mark.parametrize("body", UNUSABLE, ids=lambda body: ascii(body)[:70])
def test_a_success_of_cognitos_without_usable_tokens_is_no_outage(body: Any) -> None:
    outcome = read_refreshed(answer(body))
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.ends_session) == ("malformed_token", False)
    assert not outcome.is_outage


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_may_be_of_any_length(name: str) -> None:
    outcome = read_refreshed(answer({"AuthenticationResult": {**TOKENS, name: "x" * 100_000}}))
    assert isinstance(outcome, Refreshed)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_answer_to_a_refresh_has_a_meaning(status: int, body: bytes) -> None:
    outcome = read_refreshed(Response(status, {}, body))
    assert isinstance(outcome, Failure)
    assert not outcome.ends_session


ENDINGS: list[tuple[str, type[AuthError], int, str]] = [
    ("NotAuthorizedException", NotAuthorizedException, 401, "session_revoked"),
    ("TokenRevokedException", NotAuthorizedException, 401, "session_revoked"),
    ("RefreshTokenReuseException", NotAuthorizedException, 401, "refresh_token_reused"),
    ("UserNotFoundException", NotAuthorizedException, 401, "user_not_found"),
    ("PasswordResetRequiredException", AuthError, 403, "password_reset_required"),
    ("UserNotConfirmedException", UserNotConfirmedException, 403, "user_not_confirmed"),
    ("UserLambdaValidationException", NotAuthorizedException, 401, "trigger_refused"),
]


@pytest.mark.parametrize(("code", "kind", "status", "reason"), ENDINGS)
def test_a_refusal_to_refresh_ends_the_session(
    code: str, kind: type[AuthError], status: int, reason: str
) -> None:
    failure = read_refreshed(typed(code))
    assert isinstance(failure, Failure)
    error = failure.exception()
    assert failure.ends_session
    assert (type(error), error.name) == (kind, code)
    assert (error.status_code, error.reason) == (status, reason)


@pytest.mark.parametrize(
    "code",
    [
        *("TooManyRequestsException", "LimitExceededException", "InternalErrorException"),
        *("ForbiddenException", "InvalidParameterException", "ResourceNotFoundException"),
        *("OperationNotEnabledException", "InvalidLambdaResponseException", "Whatever"),
        *("UnexpectedLambdaException", "UnsupportedOperationException"),
        *("FeatureUnavailableInTierException", "InvalidUserPoolConfigurationException"),
        *("InvalidSmsRoleAccessPolicyException", "InvalidSmsRoleTrustRelationshipException"),
        *("InvalidEmailRoleAccessPolicyException", "UnknownOperationException", "Unsupported"),
    ],
)
def test_no_other_error_of_a_refresh_ends_the_session(code: str) -> None:
    failure = read_refreshed(typed(code))
    assert isinstance(failure, Failure)
    assert not failure.ends_session


@pytest.mark.parametrize("code", [ending[0] for ending in ENDINGS])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_that_is_none_of_cognitos_ends_nothing(code: str, status: int) -> None:
    failure = read_refreshed(typed(code, status))
    assert isinstance(failure, Failure)
    assert not failure.ends_session


@pytest.mark.parametrize(
    "message",
    [
        "Client 2ab3cd4ef5gh6ij7 is configured for secret but secret was not received",
        "Client 2ab3cd4ef5gh6ij7 is configured with secret but SECRET_HASH was not received",
        "Unable to verify secret hash for client 2ab3cd4ef5gh6ij7",
        "SecretHash does not match for the client: 2ab3cd4ef5gh6ij7",
    ],
)
@pytest.mark.parametrize("member", ["message", "Message"])
def test_a_refused_client_is_nobodys_signed_out_user(message: str, member: str) -> None:
    body = json.dumps({"__type": "NotAuthorizedException", member: message}).encode()
    failure = read_refreshed(Response(400, {}, body))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("cognito_misconfigured", False)
    assert failure.exception().recovery_suggestion == "check client_id and client_secret"
    assert "2ab3cd4ef5gh6ij7" not in str(vars(failure.exception()))


@pytest.mark.parametrize(
    "message",
    [
        *("Invalid Refresh Token", "Refresh Token has been revoked", "Refresh Token has expired"),
        *("User is disabled.", "", None, 7, ["secret"]),
    ],
)
def test_any_other_words_of_a_refusal_end_the_session(message: Any) -> None:
    body = json.dumps({"__type": "NotAuthorizedException", "message": message}).encode()
    failure = read_refreshed(Response(400, {}, body))
    assert isinstance(failure, Failure)
    assert failure.ends_session


def refused(code: str, message: object, status: int = 400) -> Response:
    return Response(status, {}, json.dumps({"__type": code, "message": message}).encode())


GONE = refused("ResourceNotFoundException", "User pool client 2ab3cd does not exist.")


def test_a_deleted_client_ends_the_session_where_the_endpoint_is_the_pools_own() -> None:
    failure = read_refreshed(GONE, own_client="2aB3cd")
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("client_not_found", True)
    assert (failure.code, failure.name) == ("ResourceNotFoundException", None)


@pytest.mark.parametrize(
    ("response", "own_client"),
    [
        (GONE, None),  # an emulator, or the endpoint of another Region
        (GONE, "2ab3c"),
        (GONE, "another"),
        (refused("ResourceNotFoundException", "User pool eu-west-1_x does not exist."), "2ab3cd"),
        (refused("ResourceNotFoundException", "App Client 2ab3cd not found"), "2ab3cd"),
        *((refused("ResourceNotFoundException", said), "2ab3cd") for said in ("", None, 7, [])),
    ],
)
def test_any_other_thing_that_cognito_misses_ends_no_session(
    response: Response, own_client: str | None
) -> None:
    failure = read_refreshed(response, own_client)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("cognito_misconfigured", False)


def test_a_forgotten_device_ends_the_session_as_its_refresh_token_does() -> None:
    failure = read_refreshed(refused("ResourceNotFoundException", "Device does not exist."))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("session_revoked", True)


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("code", ["CognitoLocal#Unsupported", "UnknownOperationException"])
def test_an_emulator_that_lacks_the_operation_says_what_to_write(code: str, status: int) -> None:
    failure = read_refreshed(refused(code, "no", status))
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.scope) == ("cognito_misconfigured", "client")
    assert 'refresh_api="InitiateAuth"' in failure.mend


# --- revocations


@pytest.mark.parametrize(
    ("code", "reason", "word"),
    [
        ("UnauthorizedException", "cognito_misconfigured", "client_secret"),
        ("InvalidParameterException", "cognito_misconfigured", "client_secret"),
        ("UnsupportedOperationException", "cognito_misconfigured", "token revocation"),
        ("UnsupportedTokenTypeException", "cognito_error", "refresh_token"),
        ("OperationNotEnabledException", "cognito_misconfigured", "primary"),
        ("ForbiddenException", "firewall_blocked", "WAF"),
        ("ResourceNotFoundException", "cognito_misconfigured", "client_id"),
    ],
)
def test_a_set_up_that_cannot_revoke_says_the_mend(code: str, reason: str, word: str) -> None:
    failure = read_revoked(typed(code))
    assert failure is not None
    assert (failure.reason, failure.code, failure.ends_session) == (reason, code, False)
    assert word in failure.mend


@pytest.mark.parametrize("read", [read_revoked, read_signed_out])
def test_a_sign_in_that_is_over_already_needs_no_mend(read: Any) -> None:
    assert read(answer({})) is None
    assert read(refused("NotAuthorizedException", "Access Token has been revoked")).mend == ""


def test_a_secret_that_is_wrong_at_a_revocation_is_the_operators_to_mend() -> None:
    failure = read_revoked(refused("NotAuthorizedException", "Unable to verify secret hash"))
    assert failure is not None
    assert failure.mend == "check client_id and client_secret"


def test_a_global_sign_out_without_the_scope_says_which() -> None:
    said = "Access Token does not have required scopes"
    failure = read_signed_out(refused("NotAuthorizedException", said))
    assert failure is not None
    assert failure.reason == "cognito_misconfigured"
    assert "aws.cognito.signin.user.admin" in failure.mend
