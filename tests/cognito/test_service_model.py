"""Every error that Amazon's service model lists for our calls has been decided upon.

The model is botocore's, of the version that the test group asks for. An error that is new in a
later one fails here, and waits for its line in `cognito.api.FAILURES`.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from amplify_mw import cognito
from amplify_mw.cognito.api import (
    FAILURES,
    THROTTLED,
    UNKNOWN,
    AppClient,
    Failure,
    get_tokens_from_refresh_token,
    get_user,
    initiate_auth_refresh,
    read_get_user,
    read_refreshed,
)
from amplify_mw.cognito.ending import global_sign_out, read_revoked, read_signed_out, revoke_token
from amplify_mw.cognito.sessions import (
    list_user_sessions,
    read_ended,
    read_page,
    revoke_user_session,
)
from amplify_mw.effects import Request, Response

READERS: dict[str, Any] = {
    "GetUser": read_get_user,
    "GetTokensFromRefreshToken": read_refreshed,
    "InitiateAuth": read_refreshed,
    "RevokeToken": read_revoked,
    "GlobalSignOut": read_signed_out,
    "ListUserSessions": read_page,
    "RevokeUserSession": read_ended,
}
CLIENT, ID = AppClient("web", "s" * 30), "tkn" + "0a1b2" * 5
REQUESTS = [
    get_user("https://pool.example/", b"a.b.c"),
    get_tokens_from_refresh_token("https://pool.example/", CLIENT, b"r.t", "device-1"),
    initiate_auth_refresh("https://pool.example/", CLIENT, b"r.t", "ada", "device-1"),
    revoke_token("https://pool.example/", CLIENT, b"r.t"),
    revoke_token("https://pool.example/", CLIENT, b"r.t", linked=True),
    global_sign_out("https://pool.example/", b"a.b.c"),
    list_user_sessions("https://pool.example/", b"a.b.c", None),
    list_user_sessions("https://pool.example/", b"a.b.c", "the-next"),
    revoke_user_session("https://pool.example/", b"a.b.c", ID),
]


def service_model() -> dict[str, Any]:
    """botocore's newest model of the user pool API."""
    folder = Path(botocore.__file__).parent / "data" / "cognito-idp"
    newest = max(path for path in folder.iterdir() if path.is_dir())
    model: dict[str, Any] = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    return model


MODEL = service_model()
LISTED = {
    operation: [error["shape"] for error in MODEL["operations"][operation]["errors"]]
    for operation in READERS
}
EACH = [(operation, error) for operation, errors in LISTED.items() for error in errors]


def test_each_operation_that_is_called_has_its_table_and_its_reader() -> None:
    """Called is what the source writes into a request."""
    sources = Path(cognito.__file__).parent.glob("*.py")
    called = {
        found
        for source in sources
        for found in re.findall(r'\bcall\(\w+, "(\w+)"', source.read_text(encoding="utf-8"))
    }
    assert called == FAILURES.keys() == READERS.keys()
    assert called == {operation_of(request) for request in REQUESTS}


def test_the_model_is_new_enough_to_list_what_we_call() -> None:
    assert all(LISTED.values())
    assert "OperationNotEnabledException" in LISTED["GetTokensFromRefreshToken"]


@pytest.mark.parametrize(("operation", "error"), EACH)
def test_an_error_of_the_model_has_its_decision(operation: str, error: str) -> None:
    assert error in FAILURES[operation] or error in THROTTLED
    failure = READERS[operation](Response(400, {}, json.dumps({"__type": error}).encode()))
    assert isinstance(failure, Failure)
    assert failure.reason != UNKNOWN.reason or failure.mend != UNKNOWN.mend


def operation_of(request: Request) -> str:
    return request.headers["x-amz-target"].rpartition(".")[2]


@pytest.mark.parametrize("request_", REQUESTS, ids=operation_of)
def test_a_request_is_as_the_model_has_it(request_: Request) -> None:
    """botocore would send these very members, and all of the required ones."""
    shape = ServiceModel(MODEL).operation_model(operation_of(request_)).input_shape
    assert shape is not None
    members = json.loads(request_.content)
    assert members.keys() <= set(shape.members)
    report = ParamValidator().validate(members, shape)
    assert not report.has_errors(), report.generate_report()
    for name in members:
        choices = getattr(shape.members[name], "enum", None)
        assert not choices or members[name] in choices


@pytest.mark.parametrize("operation", READERS)
def test_an_error_that_the_model_lacks_is_not_decided_upon_in_passing(operation: str) -> None:
    failure = READERS[operation](Response(400, {}, b'{"__type":"AnErrorOfTomorrowException"}'))
    assert failure == UNKNOWN._replace(
        name="AnErrorOfTomorrowException", code="AnErrorOfTomorrowException"
    )


@pytest.mark.parametrize(("operation", "error"), EACH)
def test_what_an_operator_can_mend_says_how(operation: str, error: str) -> None:
    failure = READERS[operation](Response(400, {}, json.dumps({"__type": error}).encode()))
    assert bool(failure.mend) or failure.is_outage or failure.error.status_code in (401, 403, 500)
    if failure.scope == "client":
        assert failure.mend
        assert failure.code == error
        assert not failure.ends_session
