"""The pace at which an endpoint is asked: pauses, and the telling of outages."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito.api import THROTTLING, UNAVAILABLE, Failure
from amplify_mw.cognito.pace import Pace, Paces
from amplify_mw.errors import NotAuthorizedException

T = 1000.0
ENDED = Failure(NotAuthorizedException, "session_revoked", ends_session=True)


@pytest.fixture
def pace() -> Pace:
    return Paces("refresh", ("throttled", "cognito_unavailable")).of("https://pool.example/")


def heed(pace: Pace, answer: object, at: float, departed: float | None = None) -> tuple[Any, int]:
    """What is passed on, and how often the operator is told."""
    flow: Generator[Any, Any, Any] = pace.heed(
        answer, "HTTP status 400", at if departed is None else departed, at
    )
    told = 0
    try:
        while True:
            next(flow)
            told += 1
    except StopIteration as done:
        return done.value, told


def test_nobody_waits_before_anything_has_gone_wrong(pace: Pace) -> None:
    heed(pace, "an answer", T)
    assert not pace.is_paused(T)


@pytest.mark.parametrize("answer", [THROTTLING, UNAVAILABLE])
def test_a_failure_that_pauses_says_for_how_long(pace: Pace, answer: Failure) -> None:
    passed_on, _ = heed(pace, answer, T)
    assert (passed_on.reason, passed_on.retry_after) == (answer.reason, 1)
    assert [pace.is_paused(T + later) for later in (0, 0.9, 1)] == [True, True, False]


def test_a_failure_that_does_not_pause_is_passed_on_as_it_is() -> None:
    pace = Paces("revocation").of("https://pool.example/")
    assert heed(pace, UNAVAILABLE, T)[0] is UNAVAILABLE
    assert not pace.is_paused(T)


def test_cognitos_word_that_a_sign_in_is_over_is_no_outage(pace: Pace) -> None:
    assert heed(pace, ENDED, T) == (ENDED, 0)
    assert not pace.is_paused(T)


def test_the_pause_doubles_up_to_30_seconds_and_an_answer_ends_that(pace: Pace) -> None:
    now, pauses = T, []
    for _ in range(7):
        pauses.append(heed(pace, UNAVAILABLE, now)[0].retry_after)
        now += 30
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    heed(pace, "an answer", now)
    assert heed(pace, UNAVAILABLE, now)[0].retry_after == 1


def test_what_departed_before_the_pause_began_neither_prolongs_nor_ends_it(pace: Pace) -> None:
    heed(pace, UNAVAILABLE, T)
    heed(pace, UNAVAILABLE, T + 1)
    assert heed(pace, UNAVAILABLE, T + 2, departed=T)[0].retry_after == 1
    heed(pace, "an answer", T + 2, departed=T)
    assert pace.is_paused(T + 2.9)
    assert heed(pace, UNAVAILABLE, T + 3)[0].retry_after == 4


def test_an_outage_is_told_once_and_its_end_once(pace: Pace) -> None:
    answers = [UNAVAILABLE, UNAVAILABLE, THROTTLING, "good", "good", UNAVAILABLE]
    assert [heed(pace, answer, T + n * 60)[1] for n, answer in enumerate(answers)] == [
        *(1, 0, 0),
        *(1, 0),
        1,
    ]


@pytest.mark.parametrize("back", [31, 3600, 1e6])
def test_a_clock_that_was_set_back_does_not_prolong_a_pause(pace: Pace, back: float) -> None:
    heed(pace, UNAVAILABLE, T)
    assert not pace.is_paused(T - back)
    assert heed(pace, UNAVAILABLE, T - back)[0].retry_after == 2
    assert pace.is_paused(T - back + 1.9)


def test_a_good_answer_after_a_clock_was_set_back_ends_the_pause(pace: Pace) -> None:
    heed(pace, UNAVAILABLE, T)
    heed(pace, "an answer", T - 3600)
    assert not pace.is_paused(T)


def test_each_endpoint_has_its_own_pace() -> None:
    paces = Paces("refresh")
    heed(paces.of("https://a.example/"), THROTTLING, T)
    assert paces.of("https://a.example/").is_paused(T)
    assert not paces.of("https://b.example/").is_paused(T)


@given(
    st.lists(
        st.tuples(st.sampled_from([UNAVAILABLE, THROTTLING, "good", ENDED]), st.floats(-100, 100))
    )
)
def test_whatever_the_answers_and_the_clock_nobody_is_told_to_wait_longer_than_30_seconds(
    steps: list[tuple[object, float]],
) -> None:
    pace = Paces("refresh", ("throttled", "cognito_unavailable")).of("https://pool.example/")
    now = T
    for answer, passed in steps:
        now += passed
        passed_on, _ = heed(pace, answer, now)
        if isinstance(passed_on, Failure) and passed_on.is_outage:
            assert 1 <= passed_on.retry_after <= 30
