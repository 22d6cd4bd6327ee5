"""Calls to a pool of several Regions, and of an app client with several secrets, by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.cognito.api import (
    AppClient,
    Failure,
    get_tokens_from_refresh_token,
    read_refreshed,
)
from amplify_mw.cognito.pace import Caller, Paces
from amplify_mw.cognito.regions import (
    SETTLING,
    Call,
    Regions,
    Said,
    Secrets,
    Settling,
    exchange,
    within,
)
from amplify_mw.effects import Flow, Outage, Rejection, Request, Response, Unreachable

T = 1000.0
OWN, WEST, EAST = "https://own.example/", "https://west.example/", "https://east.example/"
BOTH = (OWN, WEST)
ADA, BOB = Caller("pool", "web", "ada"), Caller("pool", "web", "bob")
PAUSING: Any = ("throttled", "cognito_unavailable", "cognito_misconfigured", "firewall_blocked")

Answer = Response | Unreachable


def error(code: str, message: str = "") -> Response:
    return Response(400, {}, json.dumps({"__type": code, "message": message}).encode())


GOOD = Response(200, {}, b'{"AuthenticationResult":{"IdToken":"a.b.c","AccessToken":"d.e.f"}}')
DOWN = Unreachable("ConnectError")
BROKEN = Response(503, {}, b"")
LOGIN_PAGE = Response(200, {}, b"<html>")
SLOW = error("TooManyRequestsException")
NOT_HERE = error("OperationNotEnabledException")
REVOKED = error("NotAuthorizedException", "Refresh Token has been revoked")
REUSED = error("RefreshTokenReuseException")
UNKNOWN_USER = error("UserNotFoundException")
BLOCKED = error("ForbiddenException")
NO_POOL = error("ResourceNotFoundException")
TRIGGER = error("UnexpectedLambdaException")
WRONG_SECRET = error("NotAuthorizedException", "Unable to verify secret hash for client web")
OUTAGES = [DOWN, BROKEN, LOGIN_PAGE]
REFUSALS = [REVOKED, REUSED, UNKNOWN_USER]


@dataclass
class World:
    """Regions that answer as they are told, and what is asked and told meanwhile."""

    regions: Regions = field(default_factory=lambda: Regions(Paces("refresh", PAUSING), Settling()))
    asked: list[str] = field(default_factory=list)
    shown: list[str | None] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def call(self, places: tuple[str, ...], secrets: Secrets) -> Call[Any]:
        def talk(place: str, secret: str | None, patience: float) -> Flow[Said[Any]]:
            client = AppClient("web", secret)
            request = within(get_tokens_from_refresh_token(place, client, b"r"), patience)
            return (yield from exchange(request, read_refreshed))

        return Call(places, talk, secrets)

    def __call__(
        self,
        answers: dict[str, Any],
        now: float = T,
        *,
        caller: Caller = ADA,
        secrets: Secrets | None = None,
        meanwhile: Callable[[str], None] = lambda _: None,
    ) -> Any:
        """What comes of a call to these places, which answer so (or by the secret)."""
        self.asked, self.shown, self.shares, self.told = [], [], [], []
        places = tuple(answers)
        flow = self.regions.ask(self.call(places, secrets or Secrets()), caller, now)
        try:
            effect = next(flow)
            while True:
                if not isinstance(effect, Request):
                    self.told.append(effect)
                    effect = flow.send((None, now))
                    continue
                secret = json.loads(effect.content).get("ClientSecret")
                self.asked.append(effect.url)
                self.shown.append(secret)
                self.shares.append(effect.patience)
                meanwhile(effect.url)
                answer = answers[effect.url]
                answer = answer(secret) if callable(answer) else answer
                failed = isinstance(answer, Unreachable)
                effect = flow.throw(answer) if failed else flow.send((answer, now))
        except StopIteration as done:
            return done.value[0]


@pytest.fixture
def ask() -> World:
    return World()


def is_kept(answer: Any) -> bool:
    """Whether it is "not now"."""
    return isinstance(answer, Failure) and answer.is_outage and not answer.ends_session


def is_good(answer: Any) -> bool:
    return not isinstance(answer, Failure)


# --- which Region is asked


def test_the_own_region_is_asked_and_no_other(ask: World) -> None:
    assert is_good(ask({OWN: GOOD, WEST: GOOD}))
    assert ask.asked == [OWN]


@pytest.mark.parametrize("got", [*OUTAGES, NOT_HERE], ids=repr)
def test_a_region_that_is_down_or_does_not_do_it_is_passed_over(ask: World, got: Answer) -> None:
    assert is_good(ask({OWN: got, WEST: GOOD}))
    assert ask.asked == [OWN, WEST]


def test_so_is_a_replica(ask: World) -> None:
    assert is_good(ask({OWN: DOWN, WEST: BROKEN, EAST: GOOD}))
    assert ask.asked == [OWN, WEST, EAST]


@pytest.mark.parametrize("got", [*REFUSALS, SLOW, BLOCKED, NO_POOL, TRIGGER], ids=repr)
def test_another_failure_is_the_own_regions_answer(ask: World, got: Response) -> None:
    assert not is_good(ask({OWN: got, WEST: GOOD}))
    assert ask.asked == [OWN]


@pytest.mark.parametrize("got", REFUSALS)
def test_nobody_who_was_refused_by_the_own_region_gets_tokens_elsewhere(
    ask: World, got: Response
) -> None:
    """A replica may not know yet of a revocation."""
    for later in (0, 1, 30, 400):
        assert ask({OWN: got, WEST: GOOD}, T + later).ends_session
        assert ask.asked == [OWN]


def test_a_region_that_throttles_is_passed_over_once_the_pauses_are_at_their_longest(
    ask: World,
) -> None:
    now, asked = T, []
    for _ in range(7):
        ask({OWN: SLOW, WEST: GOOD}, now)
        asked.append(len(ask.asked))
        now += 31
    assert asked == [1, 1, 1, 1, 1, 2, 2]


def test_a_region_that_was_passed_over_is_asked_again_after_its_pause(ask: World) -> None:
    asked = []
    for later in (0, 0.5, 1, 2, 2.9, 3):
        assert is_good(ask({OWN: DOWN, WEST: GOOD}, T + later))
        asked.append(ask.asked[0])
    assert asked == [OWN, WEST, OWN, WEST, WEST, OWN]
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 30))
    assert ask.asked == [OWN]


def test_one_request_finds_out_whether_a_region_is_up_again(ask: World) -> None:
    asked: list[list[str]] = []
    ask({OWN: DOWN, WEST: GOOD})
    other = World(ask.regions)

    def ask_meanwhile(place: str) -> None:
        if place == OWN:
            assert is_good(other({OWN: DOWN, WEST: GOOD}, T + 2, caller=BOB))
            asked.append(other.asked)

    assert is_good(ask({OWN: DOWN, WEST: GOOD}, T + 2, meanwhile=ask_meanwhile))
    assert (ask.asked, asked) == ([OWN, WEST], [[WEST]])
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 5, meanwhile=ask_meanwhile))
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 5.1))
    assert ask.asked == [OWN]


def test_flights_that_were_in_the_air_when_the_pause_began_go_on_too(ask: World) -> None:
    def fail_first(place: str) -> None:
        if place == OWN:
            World(ask.regions)({OWN: DOWN, WEST: GOOD})

    assert is_good(ask({OWN: DOWN, WEST: GOOD}, meanwhile=fail_first))
    assert ask.asked == [OWN, WEST]


@pytest.mark.parametrize("back", [100.0, 1e6])
def test_a_clock_that_was_set_back_keeps_no_region_waiting(ask: World, back: float) -> None:
    ask({OWN: DOWN, WEST: GOOD})
    ask({OWN: DOWN, WEST: GOOD}, T + 2)
    ask({OWN: GOOD, WEST: GOOD}, T - back)
    assert ask.asked == [OWN]


def test_every_region_has_its_share_of_the_time(ask: World) -> None:
    ask({OWN: GOOD})
    assert ask.shares == [2.0]
    ask({OWN: DOWN, WEST: DOWN, EAST: GOOD})
    assert sum(ask.shares) == pytest.approx(2.0)
    ask({OWN: DOWN, WEST: DOWN, EAST: GOOD}, T + 0.1)
    assert (ask.asked, ask.shares) == ([EAST], [2.0])


def test_with_nobody_left_the_answer_is_the_own_regions_and_says_when_to_try_again(
    ask: World,
) -> None:
    first = ask({OWN: BROKEN, WEST: DOWN})
    assert (first.reason, first.retry_after, ask.asked) == ("cognito_unavailable", 1, [OWN, WEST])
    assert is_kept(ask({OWN: GOOD, WEST: GOOD}, T + 0.5))
    assert ask.asked == []


def test_the_next_try_is_when_the_first_of_them_may_be_asked_again(ask: World) -> None:
    for later in (0, 30, 60, 90):
        ask({OWN: DOWN, WEST: GOOD}, T + later)
    assert ask({OWN: DOWN, WEST: DOWN}, T + 90.1).retry_after == 1


def test_a_call_without_firm_pauses_asks_all_of_them_again() -> None:
    ask = World(Regions(Paces("revocation")))
    for later in (0, 0.1):
        assert is_kept(ask({OWN: DOWN, WEST: DOWN}, T + later))
        assert ask.asked == [OWN, WEST]
    assert is_good(ask({OWN: DOWN, WEST: GOOD}, T + 0.2))
    assert is_good(ask({OWN: DOWN, WEST: GOOD}, T + 0.3))
    assert ask.asked == [WEST]


@pytest.mark.parametrize("got", [SLOW, BLOCKED, NO_POOL, TRIGGER], ids=repr)
def test_a_replica_that_complains_is_no_reason_for_more_than_not_now(
    ask: World, got: Response
) -> None:
    assert is_kept(ask({OWN: DOWN, WEST: got}))
    assert is_good(ask({OWN: DOWN, WEST: got, EAST: GOOD}, T + 2))


def test_a_token_that_cognito_cannot_have_issued_takes_nobody_elsewhere(ask: World) -> None:
    """Such a token, which any browser can send, may break a server."""
    odd = ADA._replace(is_odd=True)
    assert is_kept(ask({OWN: BROKEN, WEST: GOOD}, caller=odd))
    assert (ask.asked, ask.told) == ([OWN], [])
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, caller=BOB))
    assert ask({OWN: REVOKED, WEST: GOOD}, caller=BOB).ends_session


@pytest.mark.parametrize("got", [*OUTAGES, *REFUSALS, TRIGGER], ids=repr)
def test_nor_does_it_keep_others_from_a_region_that_is_up_again(ask: World, got: Answer) -> None:
    odd = ADA._replace(is_odd=True)
    ask({OWN: DOWN, WEST: GOOD}, caller=BOB)
    ask({OWN: got, WEST: GOOD}, T + 2, caller=odd)
    assert ask.asked == [OWN]
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 2.1, caller=BOB))
    assert ask.asked == [OWN]


# --- what may end a session


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("got", OUTAGES, ids=repr)
def test_a_replicas_refusal_ends_nothing_while_the_own_region_is_down(
    ask: World, got: Answer, refusal: Response
) -> None:
    """It may lag; or the lost request has used up the refresh token."""
    answer = ask({OWN: got, WEST: refusal})
    assert (is_kept(answer), ask.asked) == (True, [OWN, WEST])
    assert is_kept(ask({OWN: got, WEST: refusal}, T + 0.1))


def test_who_was_refused_by_a_replica_asks_it_no_more_for_a_while_and_others_do(
    ask: World,
) -> None:
    ask({OWN: DOWN, WEST: REVOKED})
    assert is_kept(ask({OWN: DOWN, WEST: GOOD}, T + 0.5))
    assert ask.asked == []
    assert is_good(ask({OWN: DOWN, WEST: GOOD}, T + 0.5, caller=BOB))
    assert ask.told == []
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 1))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_replicas_refusal_ends_a_session_if_the_own_region_points_there(
    ask: World, refusal: Response
) -> None:
    assert ask({OWN: NOT_HERE, WEST: refusal}).ends_session
    assert ask({OWN: NOT_HERE, WEST: refusal}, T + 0.5).ends_session
    assert ask.asked == [WEST]


def test_it_does_not_point_to_a_region_behind_one_that_is_down(ask: World) -> None:
    assert is_kept(ask({OWN: NOT_HERE, WEST: DOWN, EAST: REVOKED}))
    assert is_good(ask({OWN: NOT_HERE, WEST: DOWN, EAST: GOOD}, T, caller=BOB))


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("got", OUTAGES, ids=repr)
def test_the_own_regions_refusal_ends_nothing_until_it_has_caught_up(
    ask: World, got: Answer, refusal: Response
) -> None:
    assert is_good(ask({OWN: got, WEST: GOOD}))
    assert is_kept(ask({OWN: refusal, WEST: GOOD}, T + 10))
    assert ask.asked == [OWN]
    assert is_kept(ask({OWN: refusal, WEST: GOOD}, T + SETTLING - 1))
    assert ask({OWN: refusal, WEST: GOOD}, T + SETTLING + 1).ends_session


def test_a_user_whom_it_refuses_meanwhile_is_asked_about_nowhere_else(ask: World) -> None:
    ask({OWN: DOWN, WEST: GOOD}, caller=BOB)
    ask({OWN: REVOKED, WEST: GOOD}, T + 10)
    for later in (10.1, 10.9, 11, 13):
        assert is_kept(ask({OWN: REVOKED, WEST: GOOD}, T + later))
        assert WEST not in ask.asked


def test_a_new_token_in_that_time_is_passed_on(ask: World) -> None:
    ask({OWN: DOWN, WEST: GOOD})
    assert is_good(ask({OWN: GOOD, WEST: GOOD}, T + 10))


def test_a_refusal_after_operation_not_enabled_needs_no_time_to_catch_up(ask: World) -> None:
    ask({OWN: NOT_HERE, WEST: GOOD})
    assert ask({OWN: REVOKED, WEST: GOOD}, T + 10).ends_session


@pytest.mark.parametrize("got", OUTAGES, ids=repr)
def test_a_pool_without_replicas_knows_no_such_time(ask: World, got: Answer) -> None:
    assert is_kept(ask({OWN: got}))
    assert ask({OWN: REVOKED}, T + 2).ends_session


def test_another_operation_knows_of_that_time_too() -> None:
    settling = Settling()
    ask, other = (World(Regions(Paces(name, PAUSING), settling)) for name in ("refresh", "GetUser"))
    assert is_good(ask({OWN: DOWN, WEST: GOOD}))
    assert is_kept(other({OWN: REVOKED, WEST: GOOD}, T + 10))
    assert other({OWN: REVOKED, EAST: GOOD}, T + 10, caller=BOB).ends_session  # another pool's
    assert other({OWN: REVOKED}, T + 10, caller=BOB).ends_session


@pytest.mark.parametrize("back", [SETTLING + 1, 1e6])
def test_a_clock_that_was_set_back_prolongs_it_not(ask: World, back: float) -> None:
    ask({OWN: DOWN, WEST: GOOD})
    assert ask({OWN: REVOKED, WEST: GOOD}, T - back).ends_session


ANY = st.sampled_from([*OUTAGES, *REFUSALS, NOT_HERE, SLOW, BLOCKED, NO_POOL, TRIGGER, GOOD])
STEPS = st.lists(st.tuples(st.floats(0, 400), ANY, ANY, ANY), max_size=12)


@given(STEPS)
def test_a_session_ends_by_the_word_of_the_own_region_or_of_one_to_which_it_points(
    steps: list[tuple[float, Any, Any, Any]],
) -> None:
    ask, now = World(), T
    passed_at, points = -1e9, False
    for wait, *answers in steps:
        now += wait
        got = ask(dict(zip((OWN, WEST, EAST), answers, strict=True)), now)
        if OWN in ask.asked:
            points = answers[0] is NOT_HERE
            passed_at = now if answers[0] in OUTAGES else passed_at
        if isinstance(got, Failure) and got.ends_session:
            asked, answer = ask.asked[-1], answers[(OWN, WEST, EAST).index(ask.asked[-1])]
            assert answer in REFUSALS
            assert asked == OWN or points
            assert now - passed_at >= SETTLING or asked != OWN
        if isinstance(got, Failure) and OWN in ask.asked and answers[0] in REFUSALS:
            assert ask.asked == [OWN]


# --- what is told


def overs(told: list[Any]) -> list[tuple[str, bool]]:
    return [(event.what, event.over) for event in told]


def test_all_down_is_one_outage_with_one_event_and_its_end_is_told_once(ask: World) -> None:
    told: list[Any] = []
    steps = [(0, DOWN, BROKEN), (2, BROKEN, DOWN), (9, GOOD, DOWN), (9, GOOD, GOOD)]
    for later, own, west in steps:
        ask({OWN: own, WEST: west}, T + later)
        told += ask.told
    assert overs(told) == [(f"refresh at {OWN} and {WEST}", False), (told[0].what, True)]
    assert told[0] == Outage(told[0].what, "ConnectError")


@pytest.mark.parametrize("got", [*OUTAGES, REVOKED], ids=repr)
def test_a_token_that_cognito_cannot_have_issued_ends_no_outage_of_all(
    ask: World, got: Answer
) -> None:
    told: list[Any] = []
    odd = ADA._replace(is_odd=True)
    for later, own, caller in [(0, DOWN, BOB), (2, got, odd), (2.1, DOWN, BOB), (9, GOOD, BOB)]:
        ask({OWN: own, WEST: DOWN}, T + later, caller=caller)
        told += ask.told
    both = f"refresh at {OWN} and {WEST}"
    assert overs(told) == [(both, False), (both, True)]


def test_a_region_that_throttles_ends_no_outage_of_all(ask: World) -> None:
    told: list[Any] = []
    for later, own in [(0, DOWN), (2, SLOW), (9, DOWN), (20, SLOW), (40, GOOD)]:
        ask({OWN: own, WEST: DOWN}, T + later)
        told += ask.told
    alone, both = f"refresh at {OWN}", f"refresh at {OWN} and {WEST}"
    assert overs(told) == [(both, False), (alone, False), (alone, True), (both, True)]


def test_a_region_that_is_passed_over_is_told_once_and_so_is_its_end(ask: World) -> None:
    told: list[Any] = []
    for later, own in [(0, DOWN), (0.5, DOWN), (2, BROKEN), (9, GOOD), (9, GOOD)]:
        ask({OWN: own, WEST: GOOD}, T + later)
        told += ask.told
    assert overs(told) == [(f"refresh at {OWN}", False), (f"refresh at {OWN}", True)]
    assert "another Region" in told[0].meanwhile


def test_a_replica_that_fails_later_makes_it_an_outage_of_all(ask: World) -> None:
    told: list[Any] = []
    steps = [(0, DOWN, GOOD), (2, DOWN, DOWN), (9, DOWN, DOWN), (20, DOWN, GOOD), (40, GOOD, GOOD)]
    for later, own, west in steps:
        ask({OWN: own, WEST: west}, T + later)
        told += ask.told
    alone, both = f"refresh at {OWN}", f"refresh at {OWN} and {WEST}"
    assert overs(told) == [(alone, False), (both, False), (both, True), (alone, True)]


def test_a_refusal_by_a_replica_is_no_outage_of_it(ask: World) -> None:
    ask({OWN: DOWN, WEST: REVOKED})
    assert overs(ask.told) == [(f"refresh at {OWN}", False)]


def test_an_operation_that_one_region_does_not_do_is_no_event(ask: World) -> None:
    ask({OWN: NOT_HERE, WEST: GOOD})
    assert ask.told == []


def test_an_operation_that_no_region_does_is_told_as_a_refused_set_up(ask: World) -> None:
    answer = ask({OWN: NOT_HERE, WEST: NOT_HERE})
    assert answer.reason == "cognito_misconfigured"
    (event,) = ask.told
    assert isinstance(event, Rejection)
    assert event.code == "OperationNotEnabledException"
    ask({OWN: NOT_HERE, WEST: NOT_HERE}, T + 2)
    assert ask.told == []


def test_throttling_is_told_as_ever(ask: World) -> None:
    ask({OWN: SLOW, WEST: GOOD})
    assert ask.told == [Outage(f"refresh at {OWN}", "HTTP status 400")]


# --- secrets


def accepting(*good: str) -> Callable[[str | None], Response]:
    return lambda secret: GOOD if secret in good else WRONG_SECRET


def test_the_next_secret_is_tried_when_one_is_refused_and_is_then_the_first(ask: World) -> None:
    secrets = Secrets(("s-old", "s-new"))
    assert is_good(ask({OWN: accepting("s-new")}, secrets=secrets))
    assert (ask.shown, ask.told) == (["s-old", "s-new"], [])
    assert is_good(ask({OWN: accepting("s-new")}, secrets=secrets))
    assert ask.shown == ["s-new"]


def test_a_secret_that_is_refused_later_is_forgotten(ask: World) -> None:
    secrets = Secrets(("s-new", "s-old"))
    for good, shown in [
        ("s-old", ["s-new", "s-old"]),
        ("s-old", ["s-old"]),
        ("s-new", ["s-old", "s-new"]),
        ("s-new", ["s-new"]),
    ]:
        assert is_good(ask({OWN: accepting(good)}, secrets=secrets))
        assert (ask.shown, ask.told) == (shown, [])


def test_only_if_all_are_refused_the_set_up_is_refused(ask: World) -> None:
    secrets = Secrets(("s-1", "s-2"))
    answer = ask({OWN: accepting(), WEST: GOOD}, secrets=secrets)
    assert (answer.reason, ask.shown, ask.asked) == (
        *("cognito_misconfigured", ["s-1", "s-2"]),
        [OWN, OWN],
    )
    (event,) = ask.told
    assert isinstance(event, Rejection)
    assert "s-1" not in repr(ask.told)
    assert ask({OWN: GOOD, WEST: GOOD}, secrets=secrets).reason == "cognito_misconfigured"
    assert is_good(ask({OWN: GOOD}, T + 2, secrets=secrets))


def test_if_all_are_refused_none_of_them_is_remembered(ask: World) -> None:
    secrets = Secrets(("s-1", "s-2"))
    ask({OWN: accepting("s-2")}, secrets=secrets)
    ask({OWN: accepting()}, secrets=secrets)
    assert secrets.in_order() == ["s-1", "s-2"]


@pytest.mark.parametrize("got", [*OUTAGES, SLOW, REVOKED, BLOCKED, NO_POOL], ids=repr)
def test_no_other_failure_is_a_reason_to_show_another_secret(ask: World, got: Answer) -> None:
    ask({OWN: got}, secrets=Secrets(("s-1", "s-2")))
    assert ask.shown == ["s-1"]


@pytest.mark.parametrize("got", OUTAGES, ids=repr)
def test_an_outage_says_nothing_of_a_secret(ask: World, got: Answer) -> None:
    secrets = Secrets(("s-1", "s-2"))
    ask({OWN: accepting("s-2")}, secrets=secrets)
    ask({OWN: got}, secrets=secrets)
    assert secrets.in_order() == ["s-2", "s-1"]


def test_a_token_that_cognito_cannot_have_issued_says_nothing_of_a_secret(ask: World) -> None:
    """A revocation of such a token is refused as if the secret were wrong."""
    secrets = Secrets(("s-1", "s-2"))
    ask({OWN: accepting("s-2")}, secrets=secrets)
    ask({OWN: accepting()}, caller=ADA._replace(is_odd=True), secrets=secrets)
    assert secrets.in_order() == ["s-2", "s-1"]


def test_a_replica_may_know_another_secret_than_the_own_region(ask: World) -> None:
    secrets = Secrets(("s-new", "s-old"))
    assert is_good(ask({OWN: DOWN, WEST: accepting("s-old")}, secrets=secrets))
    assert ask.shown == ["s-new", "s-new", "s-old"]


def test_no_repr_shows_a_secret(ask: World) -> None:
    secrets = Secrets(("the-secret",))
    assert "the-secret" not in repr([secrets, ask.call(BOTH, secrets)])


def test_no_repr_of_an_answer_shows_what_is_in_it() -> None:
    assert "ada@example.com" not in repr(Said({"email": "ada@example.com"}, "HTTP status 200", 7.0))
