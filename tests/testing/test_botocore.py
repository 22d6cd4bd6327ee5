"""A local pool's answers are those of Amazon's service model: botocore's own client reads them.

The model is botocore's, of the version that the test group asks for.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import Session
from botocore.validate import ParamValidator

from amplify_mw.models.session import TokenSet
from amplify_mw.testing import LocalUserPool, Replica
from amplify_mw.testing.pool.operations import CHANGES_USERS
from amplify_mw.testing.pool.region import RegionServer
from tests.patience import PATIENCE
from tests.testing.asking import Clock
from tests.testing.asking import call as ask
from tests.testing.test_client_secrets import hash_of
from tests.testing.test_srp import SRPClient

SECRET = "a_secret_of_24_characters_and_more"
UNKNOWN = "tkn" + "q" * 25
# Refusals before any operation is looked at, which the model lists nowhere.
OF_THE_PROTOCOL = {"SerializationException", "UnknownOperationException"}
# Amplify JS knows these of a refresh, as in InitiateAuth's list; see `operations.py`.
AS_AMPLIFY = {
    ("GetTokensFromRefreshToken", "PasswordResetRequiredException"),
    ("GetTokensFromRefreshToken", "UserNotConfirmedException"),
}
SESSION = Session()
MODEL = SESSION.get_service_model("cognito-idp")
SERVED = sorted(
    {
        *("InitiateAuth", "RespondToAuthChallenge", "GetTokensFromRefreshToken", "GetUser"),
        *("RevokeToken", "GlobalSignOut", "ListUserSessions", "RevokeUserSession"),
        *("AddUserPoolClientSecret", "ListUserPoolClientSecrets", "DeleteUserPoolClientSecret"),
    }
)
Members = dict[str, Any]
Callers = Callable[[RegionServer], "Caller"]


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    options: Members = {"client_id": "localclient", "client_secret": SECRET}
    with LocalUserPool(track_sessions=True, clock=clock, **options) as pool:
        pool.add_user("ada", email="ada@example.com", groups=["admins"])
        yield pool


@pytest.fixture
def west(pool: LocalUserPool) -> Iterator[Replica]:
    with pool.replica("us-west-2") as west:
        yield west


class Caller:
    """botocore's client of a server, and what it was answered: the raw bodies.

    It signs what the model wants signed, and nothing else.
    """

    def __init__(self, server: RegionServer) -> None:
        self.raw: list[Members] = []
        options: Members = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE, "proxies": {}}
        self._client = SESSION.create_client(
            "cognito-idp",
            region_name="eu-west-1",
            endpoint_url=server.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"max_attempts": 0}, parameter_validation=False, **options),
        )
        self._client.meta.events.register("before-parse.cognito-idp", self._note)

    def __call__(self, name: str, **body: Any) -> Members:
        answer: Members = getattr(self._client, xform_name(name))(**body)
        return answer

    def close(self) -> None:
        self._client.close()

    def _note(self, response_dict: Members, **_: Any) -> None:
        self.raw.append(json.loads(response_dict["body"]))


@pytest.fixture
def caller() -> Iterator[Callable[[RegionServer], Caller]]:
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(closing(Caller(server)))


def requests(pool: LocalUserPool) -> dict[str, Callable[[TokenSet], Members]]:
    """For each operation a good request, made with the tokens of a sign-in."""
    client = {"ClientId": pool.client_id, "ClientSecret": SECRET}
    ids = {"UserPoolId": pool.user_pool_id, "ClientId": pool.client_id}
    caller = pool.sign_in("ada")
    return {
        "InitiateAuth": lambda _: initiate(pool),
        "RespondToAuthChallenge": lambda _: respond(pool),
        "GetTokensFromRefreshToken": lambda it: {**client, "RefreshToken": it.refresh_token},
        "GetUser": lambda it: {"AccessToken": it.access_token},
        "RevokeToken": lambda it: {
            **client,
            "Token": it.refresh_token,
            "RevokeAssociatedSessions": "LINKED",
        },
        "GlobalSignOut": lambda it: {"AccessToken": it.access_token},
        "ListUserSessions": lambda it: {"AccessToken": it.access_token},
        "RevokeUserSession": lambda it: {
            "AccessToken": caller.access_token,
            "SessionId": newest(pool).id,
            "RevokeAssociatedSessions": "LINKED",
        },
        "AddUserPoolClientSecret": lambda _: ids,
        "ListUserPoolClientSecrets": lambda _: ids,
        "DeleteUserPoolClientSecret": lambda _: {
            **ids,
            "ClientSecretId": added(pool),
        },
    }


def newest(pool: LocalUserPool) -> Any:
    return [*pool._ledger.tracking.tokens.values()][-1]


def added(pool: LocalUserPool) -> str:
    pool.add_client_secret()
    return pool._ledger.client_secrets.active[-1].id


def initiate(pool: LocalUserPool) -> Members:
    parameters = {"USERNAME": "ada", "SRP_A": "2", "SECRET_HASH": secret_hash(pool)}
    flow = {"ClientId": pool.client_id, "AuthFlow": "USER_SRP_AUTH"}
    return {**flow, "AuthParameters": parameters}


def secret_hash(pool: LocalUserPool) -> str:
    return hash_of(pool, SECRET)


def respond(pool: LocalUserPool) -> Members:
    srp = SRPClient(pool)
    challenge = srp.begin(SECRET_HASH=secret_hash(pool)).json()["ChallengeParameters"]
    responses = {**srp.responses(challenge), "SECRET_HASH": secret_hash(pool)}
    names = {"ClientId": pool.client_id, "ChallengeName": "PASSWORD_VERIFIER"}
    return {**names, "ChallengeResponses": responses}


# --- answers


def test_these_are_all_the_operations(pool: LocalUserPool, west: Replica) -> None:
    assert sorted(pool._operations.names) == SERVED
    assert sorted(west._operations.names) == sorted({*SERVED, *CHANGES_USERS})
    assert set(requests(pool)) == set(SERVED)


def flaws(shape: Shape, value: Any, at: str = "") -> Iterator[str]:
    """Values that do not fit the patterns and choices of a shape. (botocore checks the rest.)"""
    if isinstance(shape, StructureShape):
        for name, one in value.items():
            yield from flaws(shape.members[name], one, f"{at}.{name}")
    elif isinstance(shape, ListShape):
        for number, one in enumerate(value):
            yield from flaws(shape.member, one, f"{at}[{number}]")
    elif isinstance(shape, MapShape):
        for key, one in value.items():
            yield from flaws(shape.value, one, f"{at}[{key}]")
    elif isinstance(value, str):
        # Java's spelling of two things.
        pattern = shape.metadata.get("pattern", ".*").replace("0-9-_", r"0-9\-_")
        if not re.fullmatch(re.sub(r"\\p\{\w\}", r"\\S", pattern), value, re.DOTALL):
            yield f"{at}: {pattern}"
        if value not in shape.metadata.get("enum", [value]):
            yield f"{at}: {value}"


@pytest.mark.parametrize("name", SERVED)
def test_an_answer_fits_the_model(caller: Callers, pool: LocalUserPool, name: str) -> None:
    call, operation = caller(pool), MODEL.operation_model(name)
    parsed = call(name, **requests(pool)[name](pool.sign_in("ada")))
    (raw,) = call.raw
    # Validated as an input would be: members of the model only, with their types and lengths.
    report = ParamValidator().validate(raw, operation.output_shape)
    assert not report.has_errors(), report.generate_report()
    assert not list(flaws(operation.output_shape, raw))
    assert parsed.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert parsed.keys() == raw.keys()  # its parser drops what it does not know


def test_the_pages_of_a_list_fit_the_model(caller: Callers, pool: LocalUserPool) -> None:
    pool.session_page_size = 1
    tokens = [pool.sign_in("ada") for _ in range(2)]
    call = caller(pool)
    first = call("ListUserSessions", AccessToken=tokens[0].access_token)
    token = first["NextToken"]
    rest = call("ListUserSessions", AccessToken=tokens[0].access_token, NextToken=token)
    assert "NextToken" not in rest
    (one,), (other,) = first["Sessions"], rest["Sessions"]
    assert one["SessionId"] != other["SessionId"]
    assert one["CreateDate"].timestamp() == pool._ledger.clock()
    for raw in call.raw:
        shape = MODEL.operation_model("ListUserSessions").output_shape
        assert not ParamValidator().validate(raw, shape).has_errors()
        assert not list(flaws(shape, raw))


def test_a_new_secret_is_told_once(caller: Callers, pool: LocalUserPool) -> None:
    call = caller(pool)
    ids = {"UserPoolId": pool.user_pool_id, "ClientId": pool.client_id}
    descriptor = call("AddUserPoolClientSecret", **ids)["ClientSecretDescriptor"]
    assert descriptor["ClientSecretValue"] == pool.client_secret
    listed = call("ListUserPoolClientSecrets", **ids)["ClientSecrets"]
    assert [one.keys() for one in listed] == [{"ClientSecretId", "ClientSecretCreateDate"}] * 2


# --- refusals


def refused(call: Caller, name: str, body: Members) -> str | None:
    """The error's code, as botocore's client raises it; None for a success."""
    try:
        call(name, **body)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def listed_errors(name: str) -> set[str]:
    return {shape.name for shape in MODEL.operation_model(name).error_shapes}


@pytest.mark.parametrize("name", sorted(CHANGES_USERS))
def test_a_replicas_refusal_is_in_the_model_of_each(name: str) -> None:
    assert "OperationNotEnabledException" in listed_errors(name)


STATES: dict[str, Callable[[LocalUserPool], None]] = {
    "as it was": lambda _: None,
    "disabled": lambda pool: pool.disable_user("ada"),
    "deleted": lambda pool: pool.delete_user("ada"),
    "reset": lambda pool: pool.require_password_reset("ada"),
    "unconfirmed": lambda pool: pool._change("ada", status="UNCONFIRMED"),
    "signed out": lambda pool: pool._ledger.revoke_all(pool._ledger.user("ada")),
    "expired": lambda pool: setattr(pool._ledger.clock, "now", pool._ledger.clock() + 4000),
}


def changed(name: str, body: Members, pool: LocalUserPool) -> Iterator[Members]:
    """A request of an operation, and others that are wrong in one member."""
    yield body
    known = MODEL.operation_model(name).input_shape.members
    other = pool.sign_in("grace")
    wrong: dict[str, list[Any]] = {
        "ClientId": ["other"],
        "ClientSecret": ["wrong_secret_of_24_characters", None],
        "UserPoolId": ["eu-west-1_Other"],
        "ClientSecretId": ["localclient--1", pool._ledger.client_secrets.active[0].id],
        "AccessToken": ["x.y.z", str(other.id_token), scopeless(pool)],
        "RefreshToken": ["unknown", "a.b.c"],
        "Token": ["unknown", "a.b.c"],
        "SessionId": [UNKNOWN, newest(pool).id],
        "NextToken": ["?"],
        "RevokeAssociatedSessions": ["SOME"],
        "AuthFlow": ["CUSTOM_AUTH", "REFRESH_TOKEN_AUTH"],
        "ChallengeName": ["SMS_MFA"],
        "AuthParameters": [{}, {"USERNAME": "ada", "SRP_A": "0", "SECRET_HASH": "x"}],
        "ChallengeResponses": [{}, {**body.get("ChallengeResponses", {}), "TIMESTAMP": "x"}],
    }
    for member, values in wrong.items():
        for value in values if member in known else ():
            made = {**body, member: value}
            yield {name: one for name, one in made.items() if one is not None}


def scopeless(pool: LocalUserPool) -> str:
    return str(pool.sign_in("grace", scope="openid").access_token)


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("state", STATES)
def test_each_error_is_in_the_model_of_its_operation(
    caller: Callers, pool: LocalUserPool, name: str, state: str
) -> None:
    pool.add_user("grace")
    made = requests(pool)
    tokens = pool.sign_in("ada")
    bodies = list(changed(name, made[name](tokens), pool))
    call = caller(pool)
    STATES[state](pool)
    codes = {refused(call, name, body) for body in bodies} - {None}
    assert codes <= listed_errors(name) | {code for of, code in AS_AMPLIFY if of == name}
    assert codes, "nothing was refused"


@pytest.mark.parametrize("name", SERVED)
def test_each_error_of_a_replica_is_in_the_model_of_its_operation(
    caller: Callers, pool: LocalUserPool, west: Replica, name: str
) -> None:
    pool.add_user("grace")
    bodies = list(changed(name, requests(pool)[name](pool.sign_in("ada")), pool))
    call = caller(west)
    codes = {refused(call, name, body) for body in bodies} - {None}
    assert codes <= listed_errors(name)
    assert codes, "nothing was refused"


def test_what_is_not_tracked_has_an_error_of_the_model(caller: Callers, clock: Clock) -> None:
    with LocalUserPool(clock=clock) as pool:
        pool.add_user("ada")
        token = pool.sign_in("ada").access_token
        call, body = caller(pool), {"AccessToken": token}
        of_one = {"SessionId": UNKNOWN}
        for name, more in (("ListUserSessions", {}), ("RevokeUserSession", of_one)):
            assert refused(call, name, {**body, **more}) == "OperationNotEnabledException"
            assert "OperationNotEnabledException" in listed_errors(name)


def test_a_reused_refresh_token_has_an_error_of_the_model(caller: Callers, clock: Clock) -> None:
    with LocalUserPool(clock=clock, rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        body = {"ClientId": pool.client_id, "RefreshToken": pool.sign_in("ada").refresh_token}
        call, name = caller(pool), "GetTokensFromRefreshToken"
        assert call(name, **body)["AuthenticationResult"]["RefreshToken"]
        assert refused(call, name, body) == "RefreshTokenReuseException"
        assert "RefreshTokenReuseException" in listed_errors(name)


def test_a_third_secret_has_an_error_of_the_model(caller: Callers, pool: LocalUserPool) -> None:
    call, name = caller(pool), "AddUserPoolClientSecret"
    ids = {"UserPoolId": pool.user_pool_id, "ClientId": pool.client_id}
    call(name, **ids)
    assert refused(call, name, ids) == "LimitExceededException"
    assert "LimitExceededException" in listed_errors(name)


@pytest.mark.parametrize("name", sorted(CHANGES_USERS))
def test_the_pool_itself_has_no_more_operations(pool: LocalUserPool, name: str) -> None:
    assert ask(pool, name).json()["__type"] in OF_THE_PROTOCOL
