"""Amplify's own server functions and our middleware, asked the same at the same moment."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.amplify_js.asking import ask_us, check
from tests.amplify_js.cases import CASES
from tests.amplify_js.node import AmplifyJS
from tests.amplify_js.record import record, recorded
from tests.amplify_js.world import Pools
from tests.shells import ASGIShell, WSGIShell

pytestmark = pytest.mark.node

SHELLS = (WSGIShell(), ASGIShell())
IDS = [case.id for case in CASES]


@pytest.fixture(scope="module")
def live(amplify: AmplifyJS) -> Mapping[str, Any]:
    """Every case as Amplify writes and answers it now."""
    return record(amplify)


@pytest.fixture(scope="module")
def answers(live: Mapping[str, Any]) -> Mapping[str, Any]:
    return {vector["id"]: vector for vector in live["vectors"]}


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    with Pools() as pools:
        yield pools


@pytest.mark.parametrize("name", IDS)
def test_we_answer_as_amplify_does_or_differ_as_we_mean_to(
    answers: Mapping[str, Any], pools: Pools, name: str
) -> None:
    for shell in SHELLS:
        check(answers[name], ask_us(shell, pools, answers[name]))


def test_the_recorded_packages_are_those_that_answer(live: Mapping[str, Any]) -> None:
    assert recorded()["versions"] == live["versions"]


@pytest.mark.parametrize("name", IDS)
def test_the_recorded_vector_is_what_amplify_says_now(
    answers: Mapping[str, Any], name: str
) -> None:
    (vector,) = [vector for vector in recorded()["vectors"] if vector["id"] == name]
    assert vector == answers[name]
