"""Every reason: it is explained, and a request gets what the explanation says."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from amplify_mw.errors import Reason
from amplify_mw.events import Refused, SignInFailed
from amplify_mw.reasons import EXPLANATIONS, Answer, explain
from amplify_mw.routes.failures import Code
from amplify_mw.testing import LocalUserPool
from tests.scenarios import SCENARIOS, Stage
from tests.shells import Shell
from tests.sites import Clock

CODES = {str(code) for code in Code}
CASES = [
    pytest.param(code, answer, id=f"{code}-{answer.status}")
    for code, each in EXPLANATIONS.items()
    for answer in each.answers
]


@pytest.fixture
def stage(
    shell: Shell,
    pool: LocalUserPool,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    made = Stage(shell, pool, clock, tmp_path, monkeypatch)
    yield made
    made.close()


# The table.


def test_each_reason_and_each_code_is_explained_and_nothing_else() -> None:
    assert set(EXPLANATIONS) == {*get_args(Reason), *CODES, "foreign_origin"}
    assert all(code == each.code for code, each in EXPLANATIONS.items())


def test_a_code_of_a_failed_sign_in_has_its_status() -> None:
    for code in Code:
        assert code.status in EXPLANATIONS[str(code)].statuses


def test_each_is_a_few_whole_sentences() -> None:
    for each in EXPLANATIONS.values():
        for text in (each.meaning, each.cause, each.mend):
            assert text == "" or (text[0].isupper() or text[0] == "`"), each.code
            assert text == "" or text.endswith("."), each.code
            assert text.count("`") % 2 == 0, each.code
        assert each.meaning, each.code
        assert each.mend, each.code
        assert len(each.short_meaning) <= 170, each.code
        assert len(each.short_mend) <= 120, each.code


def test_what_is_not_known_now_clears_no_cookie() -> None:
    for each in EXPLANATIONS.values():
        cookies = {answer.cookie for answer in each.answers if answer.status == 503}
        assert cookies <= {"kept"}, each.code


def test_a_word_that_is_no_reason_has_no_explanation() -> None:
    assert explain("wrong_client") is EXPLANATIONS["wrong_client"]
    assert explain("of_tomorrow") is None


# The requests.


def test_each_answer_has_its_scenario() -> None:
    assert set(SCENARIOS) == {
        (code, status) for code, each in EXPLANATIONS.items() for status in each.statuses
    }


@pytest.mark.parametrize(("code", "answer"), CASES)
def test_a_request_gets_the_answer_the_event_and_the_line_of_its_reason(
    stage: Stage, code: str, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="amplify_mw")
    scene = SCENARIOS[code, answer.status](stage)
    assert Answer(scene.status, scene.cookie) == answer
    is_sign_in = code in CODES and (code, answer.status) != ("duplicate_cookie", 401)
    events = scene.told(SignInFailed if is_sign_in else Refused)
    assert events == [(code, answer.status)]
    assert code in said(caplog)


def said(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The words of reasons in the log's lines."""
    lines = " ".join(record.getMessage() for record in caplog.records)
    return set(re.findall(r"(?:refused|answered \d+|sign-in failed): (\w+)", lines))
