"""Every error that Amazon's service model lists for our calls has been decided upon.

The model is botocore's, of the version that the test group asks for. An error that is new in a
later one fails here, and waits for its line in `cognito.api.FAILURES`.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import botocore
import pytest

from amplify_mw.cognito.api import (
    FAILURES,
    THROTTLED,
    UNKNOWN,
    Failure,
    read_get_user,
    read_refreshed,
    read_revoked,
    read_signed_out,
)
from amplify_mw.effects import Response

READERS: dict[str, Any] = {
    "GetUser": read_get_user,
    "GetTokensFromRefreshToken": read_refreshed,
    "InitiateAuth": read_refreshed,
    "RevokeToken": read_revoked,
    "GlobalSignOut": read_signed_out,
}


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


def test_the_model_is_new_enough_to_list_what_we_call() -> None:
    assert READERS.keys() == FAILURES.keys()
    assert all(LISTED.values())
    assert "OperationNotEnabledException" in LISTED["GetTokensFromRefreshToken"]


@pytest.mark.parametrize(("operation", "error"), EACH)
def test_an_error_of_the_model_has_its_decision(operation: str, error: str) -> None:
    assert error in FAILURES[operation] or error in THROTTLED
    failure = READERS[operation](Response(400, {}, json.dumps({"__type": error}).encode()))
    assert isinstance(failure, Failure)
    assert failure.reason != UNKNOWN.reason or failure.mend != UNKNOWN.mend


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
