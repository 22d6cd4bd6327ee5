"""aws-jwt-verify, asked now what it was asked for the recording, with the same keys and clock."""

from typing import Any

import pytest

from tests.amplify_js.installation import Unavailable, installed
from tests.jwt_verify.cases import CASES
from tests.jwt_verify.keys import Public
from tests.jwt_verify.record import HERE, ask, recorded

pytestmark = pytest.mark.node

RECORDED = recorded()


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    try:
        installed(HERE)
    except Unavailable as reason:
        pytest.skip(f"aws-jwt-verify is not at hand: {reason}")
    settings = [case.setting for case in CASES]
    tokens = [vector["token"] for vector in RECORDED["vectors"]]
    return ask(Public(RECORDED["keys"]), zip(settings, tokens, strict=True))


def test_the_recorded_package_is_the_one_that_answers(asked: dict[str, Any]) -> None:
    assert asked["version"] == RECORDED["version"]


def test_every_recorded_answer_is_what_it_says_now(asked: dict[str, Any]) -> None:
    for vector, answer in zip(RECORDED["vectors"], asked["answers"], strict=True):
        assert vector["answer"] == answer, vector["id"]


def test_it_asked_nobody_for_anything(asked: dict[str, Any]) -> None:
    """An address that a token names, or a connection, would be an `Error` of `ask.mjs`."""
    assert {"error": "Error"} not in asked["answers"]
