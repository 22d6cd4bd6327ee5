"""Amplify's recorded answers, and ours to the same cookies: no Node is needed.

`tests/amplify_js` records them, and holds that Amplify still answers so.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.amplify_js.asking import ask_us, check
from tests.amplify_js.cases import CASES, USERS
from tests.amplify_js.differences import DIFFERENCES, OF_CASE
from tests.amplify_js.parity import TABLE, table
from tests.amplify_js.record import VECTORS, recorded, written
from tests.amplify_js.world import Pools
from tests.shells import Shell

RECORDED = recorded()


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    with Pools() as pools:
        yield pools


@pytest.mark.parametrize("vector", RECORDED["vectors"], ids=lambda vector: vector["id"])
def test_we_answer_as_amplify_did_or_differ_as_we_mean_to(
    vector: dict[str, Any], pools: Pools, shell: Shell
) -> None:
    check(vector, ask_us(shell, pools, vector))


def test_every_case_has_its_vector() -> None:
    assert [vector["id"] for vector in RECORDED["vectors"]] == [case.id for case in CASES]


def test_there_are_cases_enough() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 150
    assert len(USERS) >= 10


def test_every_difference_has_cases_and_a_case_has_one_difference() -> None:
    named = [case for difference in DIFFERENCES.values() for case in difference.cases]
    assert all(difference.cases for difference in DIFFERENCES.values())
    assert sorted(named) == sorted(OF_CASE)
    assert OF_CASE.keys() <= {case.id for case in CASES}


def test_no_vector_holds_a_token() -> None:
    assert "eyJ" not in VECTORS.read_text()


def test_the_file_is_as_the_command_writes_it() -> None:
    assert VECTORS.read_text() == written(RECORDED)


def test_the_parity_table_is_as_the_command_writes_it() -> None:
    assert TABLE.read_text() == table()
