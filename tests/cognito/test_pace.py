"""The pace at which Cognito is asked: pauses and how far they reach, and what is told of it."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito.api import REJECTED_CLIENT, THROTTLING, UNAVAILABLE, Failure
from amplify_mw.cognito.pace import Asking, Caller, Paces
from amplify_mw.effects import Outage, Rejection
from amplify_mw.errors import NetworkError, NotAuthorizedException

T = 1000.0
HERE, THERE = "https://a.example/", "https://b.example/"
ADA = Caller("https://issuer.example", "web", "ada")
BOB, CAM = ADA._replace(sub="bob"), ADA._replace(client="app")
ENDED = Failure(NotAuthorizedException, "session_revoked", ends_session=True)
REFUSED = REJECTED_CLIENT._replace(code="NotAuthorizedException")
CLOSED = REJECTED_CLIENT._replace(code="OperationNotEnabledException", mend="elsewhere")
TRIGGER = Failure(NetworkError, "trigger_failed", code="UnexpectedLambdaException", mend="its log")
BARRED = Failure(
    NotAuthorizedException, "trigger_refused", ends_session=True, code="Barred", mend="its log"
)
PAUSING = ("throttled", "cognito_unavailable", "cognito_misconfigured", "trigger_failed")


@pytest.fixture
def paces() -> Paces:
    return Paces("refresh", PAUSING)


@pytest.fixture
def ada(paces: Paces) -> Asking:
    return paces.of(HERE, ADA)


def heed(asking: Asking, answer: object, at: float, departed: float | None = None) -> Any:
    """What is passed on, and what the operator is told."""
    flow: Generator[Any, Any, Any] = asking.heed(
        answer, "HTTP status 400", at if departed is None else departed, at
    )
    told = []
    try:
        while True:
            told.append(next(flow))
    except StopIteration as done:
        return done.value, told


def is_paused(asking: Asking, now: float) -> bool:
    return asking.meanwhile(now) is not None


def test_nobody_waits_before_anything_has_gone_wrong(ada: Asking) -> None:
    heed(ada, "an answer", T)
    assert not is_paused(ada, T)


# --- how long


@pytest.mark.parametrize("answer", [THROTTLING, UNAVAILABLE, REFUSED, TRIGGER])
def test_a_failure_that_pauses_says_for_how_long(ada: Asking, answer: Failure) -> None:
    passed_on, _ = heed(ada, answer, T)
    assert (passed_on.reason, passed_on.retry_after) == (answer.reason, 1)
    assert [is_paused(ada, T + later) for later in (0, 0.9, 1)] == [True, True, False]


def test_a_failure_that_does_not_pause_is_passed_on_as_it_is() -> None:
    asking = Paces("revocation").of(HERE, ADA)
    for answer in (UNAVAILABLE, REFUSED, TRIGGER):
        assert heed(asking, answer, T)[0] is answer
    assert not is_paused(asking, T)


@pytest.mark.parametrize("answer", [ENDED, BARRED])
def test_cognitos_word_that_a_sign_in_is_over_pauses_nobody(ada: Asking, answer: Failure) -> None:
    assert heed(ada, answer, T)[0] is answer
    assert not is_paused(ada, T)


@pytest.mark.parametrize("answer", [UNAVAILABLE, REFUSED, TRIGGER])
def test_the_pause_doubles_up_to_30_seconds_and_an_answer_ends_that(
    ada: Asking, answer: Failure
) -> None:
    now, pauses = T, []
    for _ in range(7):
        pauses.append(heed(ada, answer, now)[0].retry_after)
        now += 30
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    heed(ada, "an answer", now)
    assert heed(ada, answer, now)[0].retry_after == 1


@pytest.mark.parametrize("answer", [UNAVAILABLE, REFUSED])
def test_what_departed_before_the_pause_began_neither_prolongs_nor_ends_it(
    ada: Asking, answer: Failure
) -> None:
    heed(ada, answer, T)
    heed(ada, answer, T + 1)
    assert heed(ada, answer, T + 2, departed=T)[0].retry_after == 1
    heed(ada, "an answer", T + 2, departed=T)
    assert is_paused(ada, T + 2.9)
    assert heed(ada, answer, T + 3)[0].retry_after == 4


@pytest.mark.parametrize("back", [31, 3600, 1e6])
def test_a_clock_that_was_set_back_does_not_prolong_a_pause(ada: Asking, back: float) -> None:
    heed(ada, UNAVAILABLE, T)
    assert not is_paused(ada, T - back)
    assert heed(ada, UNAVAILABLE, T - back)[0].retry_after == 2
    assert is_paused(ada, T - back + 1.9)


def test_a_good_answer_after_a_clock_was_set_back_ends_the_pause(ada: Asking) -> None:
    heed(ada, UNAVAILABLE, T)
    heed(ada, "an answer", T - 3600)
    assert not is_paused(ada, T)


# --- how far


@pytest.mark.parametrize(
    ("answer", "reach"),
    [
        (THROTTLING, {"ada", "bob", "cam"}),
        (UNAVAILABLE, {"ada", "bob", "cam"}),
        (REFUSED, {"ada", "bob"}),
        (TRIGGER, {"ada"}),
    ],
)
def test_a_pause_reaches_as_far_as_what_it_is_about(
    paces: Paces, ada: Asking, answer: Failure, reach: set[str]
) -> None:
    heed(ada, answer, T)
    asking = {"ada": ada, "bob": paces.of(HERE, BOB), "cam": paces.of(HERE, CAM)}
    assert {name for name, one in asking.items() if is_paused(one, T)} == reach
    assert not is_paused(paces.of(THERE, ADA), T)


def test_the_same_client_id_in_another_pool_is_another_client(paces: Paces, ada: Asking) -> None:
    heed(ada, REFUSED, T)
    elsewhere = paces.of(HERE, ADA._replace(pool="https://other.example"))
    assert not is_paused(elsewhere, T)


@pytest.mark.parametrize("answer", [THROTTLING, UNAVAILABLE, REFUSED, TRIGGER])
def test_what_a_browsers_invention_brings_about_is_its_own_and_not_told(
    paces: Paces, answer: Failure
) -> None:
    odd = paces.of(HERE, ADA._replace(is_odd=True))
    _, told = heed(odd, answer, T)
    assert (is_paused(odd, T), told) == (True, [])
    assert not is_paused(paces.of(HERE, BOB), T)


def test_a_refused_client_shows_that_the_endpoint_answers(paces: Paces, ada: Asking) -> None:
    heed(ada, UNAVAILABLE, T)
    _, told = heed(ada, REFUSED, T + 1)
    assert [type(one) for one in told] == [Outage, Rejection]
    assert not is_paused(paces.of(HERE, CAM), T + 1)


def test_a_sign_in_that_is_over_does_not_show_that_the_client_is_accepted(ada: Asking) -> None:
    heed(ada, REFUSED, T)
    _, told = heed(ada, ENDED, T + 1)
    assert told == []
    assert heed(ada, REFUSED, T + 1)[0].retry_after == 2


def test_users_in_trouble_are_forgotten_beyond_a_bound(paces: Paces) -> None:
    for number in range(10_001):
        heed(paces.of(HERE, ADA._replace(sub=str(number))), TRIGGER, T)
    held = sum(
        is_paused(paces.of(HERE, ADA._replace(sub=str(number))), T) for number in range(10_001)
    )
    assert held == 1


# --- what is told


def test_an_outage_is_told_once_and_its_end_once(ada: Asking) -> None:
    answers = [UNAVAILABLE, UNAVAILABLE, THROTTLING, "good", "good", UNAVAILABLE]
    told = [heed(ada, answer, T + n * 60)[1] for n, answer in enumerate(answers)]
    assert [len(each) for each in told] == [1, 0, 0, 1, 0, 1]


def test_a_refused_client_is_told_once_with_its_code_and_its_end_once(
    paces: Paces, ada: Asking
) -> None:
    answers = [REFUSED, REFUSED, CLOSED, REFUSED, "good", "good"]
    told = [heed(ada, answer, T + n * 7200)[1] for n, answer in enumerate(answers)]
    what = f"refresh at {HERE} for app client web"
    kept = "sessions are kept meanwhile"
    assert told == [
        [Rejection(what, REFUSED.code, REFUSED.mend, kept)],
        *([], [Rejection(what, CLOSED.code, "elsewhere", kept)], []),
        *([Rejection(what, over=True)], []),
    ]
    assert heed(paces.of(HERE, BOB), "good", T)[1] == []


def test_a_client_that_is_refused_now_and_then_is_told_once_a_minute(ada: Asking) -> None:
    told = []
    for second in range(0, 120, 2):
        told += heed(ada, REFUSED, T + second)[1]
        told += heed(ada, "good", T + second + 1)[1]
    assert len([one for one in told if not one.over]) == 2


@pytest.mark.parametrize("answer", [TRIGGER, BARRED])
def test_what_concerns_single_users_is_told_once_an_hour(
    paces: Paces, ada: Asking, answer: Failure
) -> None:
    _, told = heed(ada, answer, T)
    (rejection,) = told
    assert rejection.what == f"refresh at {HERE} for a user of app client web"
    assert rejection.outcome.endswith("end" if answer.ends_session else "meanwhile")
    told = [
        heed(paces.of(HERE, ADA._replace(sub=str(second))), answer, T + second)[1]
        for second in range(1, 3601)
    ]
    assert [len(each) for each in told] == [0] * 3599 + [1]
    assert len(heed(paces.of(HERE, CAM), answer, T)[1]) == 1


def test_a_pool_is_named_where_no_client_is(paces: Paces) -> None:
    _, (told,) = heed(paces.of(HERE, Caller("https://issuer.example")), REFUSED, T)
    assert told.what == f"refresh at {HERE} for the pool https://issuer.example"


@pytest.mark.parametrize("client", ["a\nb", "\x1b[31m", "é", "x" * 257, " "])
def test_a_client_id_that_is_none_is_not_written_to_the_log(paces: Paces, client: str) -> None:
    _, (told,) = heed(paces.of(HERE, ADA._replace(client=client)), REFUSED, T)
    assert told.what == f"refresh at {HERE} for app client of an odd name"


ANSWERS = [UNAVAILABLE, THROTTLING, REFUSED, TRIGGER, "good", ENDED, BARRED]


@given(
    st.lists(
        st.tuples(st.sampled_from([ADA, BOB, CAM]), st.sampled_from(ANSWERS), st.floats(-100, 100))
    )
)
def test_whatever_the_answers_and_the_clock_nobody_is_told_to_wait_longer_than_30_seconds(
    steps: list[tuple[Caller, object, float]],
) -> None:
    paces, now = Paces("refresh", PAUSING), T
    for caller, answer, passed in steps:
        now += passed
        passed_on, _ = heed(paces.of(HERE, caller), answer, now)
        if isinstance(passed_on, Failure) and passed_on.reason in PAUSING:
            assert 1 <= passed_on.retry_after <= 30
