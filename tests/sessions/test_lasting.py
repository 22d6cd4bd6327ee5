"""Sessions that last: refreshed once, never lost, never brought back. Flows are stepped by hand."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw.authenticator import Visit
from amplify_mw.effects import Ask, Pause, Response, Unreachable
from amplify_mw.errors import NetworkError
from amplify_mw.sessions.record import has_ended
from amplify_mw.sessions.verdicts import NO_COOKIE, NO_SESSION, Refused, SignedIn
from amplify_mw.testing import LocalUserPool
from amplify_mw.verbs.start import starting
from tests.sessions.steps import (
    Process,
    T,
    World,
    access_token,
    asks,
    cookie_after,
    error,
    finish,
    is_refresh,
    step_to,
    told,
)
from tests.visits import visiting

KINDS = ["sealed", "coordinated", "stored"]
SHARED = ["coordinated", "stored"]
HOUR = 3600.0
DUE = T + HOUR - 60  # when the tokens of a sign-in at T are to be refreshed
OVER = T + HOUR + 5  # when they are no longer good
DOWN = Unreachable("ConnectError")
REUSED = error("RefreshTokenReuseException")
REFUSED = error("NotAuthorizedException", "Refresh Token has been revoked")

GET_USER = Response(200, {}, b'{"UserAttributes":[]}')

shared = pytest.mark.parametrize("kind", SHARED)
stored = pytest.mark.parametrize("kind", ["stored"])
in_cookies = pytest.mark.parametrize("kind", ["sealed", "coordinated"])
coordinated = pytest.mark.parametrize("kind", ["coordinated"])


@pytest.fixture(scope="module")
def time() -> list[float]:
    return [T]


@pytest.fixture(scope="module")
def pool(time: list[float]) -> LocalUserPool:
    """A pool that nobody can reach; it signs tokens."""
    pool = LocalUserPool(clock=lambda: time[0])
    pool.start()
    pool.close()
    for name in ("ada", "bob"):
        pool.add_user(name)
    return pool


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make(pool: LocalUserPool, time: list[float], kind: str) -> Iterator[Callable[..., World]]:
    """Makes worlds at `T`."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(pool, time, kind, **options))
        return made[-1]

    yield make
    for world in made:
        for engine in world.engines:
            engine.close()


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()


@pytest.fixture
def process(world: World) -> Process:
    return world.process()


@pytest.fixture
def cookie(process: Process) -> str:
    return process.start()


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- when tokens are refreshed


@pytest.mark.parametrize(
    ("at", "refreshes"), [(0, 0), (3539.9, 0), (3540, 1), (3604.9, 1), (1e5, 1)]
)
def test_tokens_are_refreshed_when_less_than_the_margin_is_left(
    world: World, at: float, refreshes: int
) -> None:
    process = world.process(refresh_ahead=0)
    cookie = process.start()
    world.now = T + at
    assert told(process.visit(cookie)) == (None, False)
    assert len(world.used) == refreshes


@shared
@pytest.mark.parametrize(("at", "launches"), [(0, 0), (3299.9, 0), (3300, 1), (3539.9, 1)])
def test_tokens_are_refreshed_ahead_when_less_than_that_is_left(
    world: World, process: Process, cookie: str, at: float, launches: int
) -> None:
    world.now = T + at
    assert told(process.visit(cookie)) == (None, False)
    assert (len(world.launched), world.used) == (launches, [])


@shared
@pytest.mark.parametrize(("life", "at", "launches"), [(600, 449, 0), (600, 450, 1), (200, 150, 0)])
def test_ahead_is_at_most_a_quarter_of_the_tokens_life(
    world: World, process: Process, life: int, at: float, launches: int
) -> None:
    cookie = process.start(world.tokens(expires_in=life))
    world.now = T + at
    process.visit(cookie)
    assert (len(world.launched), world.used == ["refresh-0"]) == (launches, life == 200)


@pytest.mark.parametrize(("at", "refreshes"), [(29.9, 0), (30, 1)])
def test_short_lived_tokens_serve_for_half_of_their_life(
    world: World, process: Process, at: float, refreshes: int
) -> None:
    cookie = process.start(world.tokens(expires_in=60))
    world.now = T + at
    process.visit(cookie)
    assert len(world.used) == refreshes


@pytest.mark.parametrize("use", ["id", "access"])
def test_the_token_that_ends_first_decides(world: World, process: Process, use: str) -> None:
    lives = {"id": 7200, "access": 7200} | {use: 600}
    tokens = [world.token(name, expires_in=life) for name, life in lives.items()]
    cookie = process.start(world.tokens().__class__(*tokens, "refresh-0"))
    world.now = T + 540
    process.visit(cookie)
    assert world.used == ["refresh-0"]


def test_a_refresh_gives_the_request_new_tokens(
    world: World, process: Process, cookie: str
) -> None:
    old = access_token(process.visit(cookie))
    world.now = DUE
    assert access_token(process.visit(cookie)) != old


def test_what_was_refreshed_is_refreshed_again_when_that_is_due(
    world: World, process: Process, cookie: str
) -> None:
    for turn in range(1, 6):
        world.now = T + turn * HOUR
        cookie = cookie_after(process.visit(cookie), cookie)
        cookie = cookie_after(process.visit(cookie), cookie)
        assert len(world.used) == turn


def test_new_tokens_come_with_a_cookie(world: World, process: Process, cookie: str) -> None:
    world.now = DUE
    writes = process.visit(cookie).writes
    assert writes is not None
    assert (writes.value == cookie, writes.max_age) == (world.kind == "stored", 7 * 86_400)


def test_the_next_request_asks_nobody(world: World, process: Process, cookie: str) -> None:
    world.now = DUE
    visit = process.visit(cookie)
    again = process.visit(cookie_after(visit, cookie))
    assert (access_token(again), again.writes) == (access_token(visit), None)
    assert len(world.used) == 1


def test_a_session_without_a_refresh_token_ends_with_its_tokens(
    world: World, process: Process
) -> None:
    cookie = process.start(world.tokens(None))
    world.now = OVER - 0.1
    assert told(process.visit(cookie)) == (None, False)
    world.now = OVER
    assert told(process.visit(cookie)) == ("token_expired", True)
    assert world.used == []


def test_a_rotated_refresh_token_is_used_from_then_on(
    make: Callable[..., World],
) -> None:
    world = make(rotates=True)
    process = world.process()
    cookie = process.start()
    for turn in range(1, 4):
        world.now = T + turn * HOUR
        cookie = cookie_after(process.visit(cookie), cookie)
    assert world.used == ["refresh-0", "refresh-1", "refresh-2"]


def test_a_refresh_token_that_is_not_rotated_goes_on(
    world: World, process: Process, cookie: str
) -> None:
    for turn in range(1, 4):
        world.now = T + turn * HOUR
        cookie = cookie_after(process.visit(cookie), cookie)
    assert world.used == ["refresh-0"] * 3


def test_a_forced_refresh_does_not_wait_until_it_is_due(
    world: World, process: Process, cookie: str
) -> None:
    old = access_token(process.visit(cookie))
    session = process.force(cookie)
    assert session.tokens is not None
    assert session.tokens.access_token is not None
    assert session.tokens.access_token.encoded != old


# --- which failures end a session

ENDING = [
    ("NotAuthorizedException", "session_revoked"),
    ("TokenRevokedException", "session_revoked"),
    ("UserNotFoundException", "user_not_found"),
    ("PasswordResetRequiredException", "password_reset_required"),
    ("UserNotConfirmedException", "user_not_confirmed"),
    ("UserLambdaValidationException", "trigger_refused"),
]
JUNK = [b"", b"<html>", b"{}", b"[]"]
UNUSABLE = [
    b'{"AuthenticationResult":{"IdToken":1,"AccessToken":"x"}}',
    b'{"AuthenticationResult":{"IdToken":"x.y.z","AccessToken":"x.y.z"}}',
    b'{"ChallengeName":"SMS_MFA"}',
]
PASSING = [
    (error("TooManyRequestsException"), "throttled"),
    (error("ThrottlingException"), "throttled"),
    (Response(429, {}, b""), "throttled"),
    (Response(500, {}, b'{"__type":"InternalErrorException"}'), "cognito_unavailable"),
    (Response(503, {}, b""), "cognito_unavailable"),
    (error("InternalErrorException"), "cognito_unavailable"),
    (DOWN, "cognito_unavailable"),
    (Response(403, {}, b"<html>"), "cognito_unavailable"),
    *((Response(200, {}, junk), "cognito_unavailable") for junk in JUNK),
    *((Response(200, {}, unusable), "malformed_token") for unusable in UNUSABLE),
    (error("ResourceNotFoundException"), "cognito_misconfigured"),
    (
        error("NotAuthorizedException", "Unable to verify secret hash for client x"),
        "cognito_misconfigured",
    ),
    (error("ForbiddenException"), "firewall_blocked"),
    (error("UnexpectedLambdaException"), "trigger_failed"),
    (error("AnErrorOfTomorrowException"), "cognito_error"),
]


@pytest.mark.parametrize(("code", "reason"), ENDING)
@pytest.mark.parametrize("at", [DUE, OVER])
def test_cognitos_word_ends_a_session(
    world: World, process: Process, cookie: str, code: str, reason: str, at: float
) -> None:
    world.now, world.script = at, [error(code)]
    assert told(process.visit(cookie)) == (reason, True)
    assert told(process.visit(cookie))[1] is True
    assert len(world.used) == 1


@pytest.mark.parametrize(("answer", "reason"), PASSING)
def test_any_other_failure_lets_the_good_tokens_serve(
    world: World, process: Process, cookie: str, answer: Any, reason: str
) -> None:
    old = access_token(process.visit(cookie))
    world.now, world.script = DUE, [answer]
    visit = process.visit(cookie)
    assert (access_token(visit), visit.writes) == (old, None), reason


@pytest.mark.parametrize(("answer", "reason"), PASSING)
def test_any_other_failure_keeps_a_session_whose_tokens_are_over(
    world: World, process: Process, cookie: str, answer: Any, reason: str
) -> None:
    world.now, world.script = OVER, [answer]
    visit = process.visit(cookie)
    assert told(visit) == (reason, False)
    assert isinstance(visit.verdict, Refused)
    assert visit.verdict.error is NetworkError
    world.now += 30
    assert told(process.visit(cookie)) == (None, False)


def test_a_refresh_that_failed_is_tried_again_two_seconds_later(
    world: World, process: Process, cookie: str
) -> None:
    world.now, world.script = DUE, [DOWN]
    process.visit(cookie)
    world.now += 1.9
    process.visit(cookie)
    assert len(world.used) == 1
    world.now += 0.1
    process.visit(cookie)
    assert len(world.used) == 2


@pytest.mark.parametrize("first", ["id", "access"])
def test_tokens_that_ran_out_while_cognito_was_asked_serve_no_more(
    world: World, process: Process, first: str
) -> None:
    lives = {"id": 7200, "access": 7200} | {first: 3600}
    tokens = [world.token(name, expires_in=life) for name, life in lives.items()]
    cookie = process.start(world.tokens().__class__(*tokens, "refresh-0"))
    world.now, world.slow, world.script = OVER - 1, 9, [Response(503, {}, b"")]
    assert told(process.visit(cookie)) == ("cognito_unavailable", False)


@in_cookies
def test_a_reuse_error_of_a_sealed_session_clears_nothing(
    world: World, process: Process, cookie: str
) -> None:
    world.now, world.script = OVER, [REUSED]
    visit = process.visit(cookie)
    assert told(visit) == ("refresh_token_reused", False)
    assert isinstance(visit.verdict, Refused)
    assert visit.verdict.exception().status_code == 401


@in_cookies
def test_a_reuse_error_refuses_nobody_whose_tokens_are_good(
    world: World, process: Process, cookie: str
) -> None:
    world.now, world.script = DUE, [REUSED]
    for _ in range(5):
        assert told(process.visit(cookie)) == (None, False)
        world.now += 5
    assert len(world.used) == 1


@in_cookies
def test_a_cookie_that_was_used_up_asks_cognito_once_a_minute(
    world: World, process: Process, cookie: str
) -> None:
    world.now, world.script = OVER, [REUSED]
    for _ in range(5):
        assert told(process.visit(cookie)) == ("refresh_token_reused", False)
    assert len(world.used) == 1
    world.now, world.script = OVER + 90, [REUSED]
    process.visit(cookie)
    assert len(world.used) == 2


@stored
def test_a_reuse_error_ends_a_stored_session_when_nobody_has_newer_tokens(
    world: World, process: Process, cookie: str
) -> None:
    world.now, world.script = DUE, [REUSED]
    assert told(process.visit(cookie)) == ("refresh_token_reused", True)
    assert world.now >= DUE + 10


MISMATCHES: list[dict[str, Any]] = [
    {"username": "bob"},
    {"client_id": "another-client"},
    {"issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other0001"},
    {"claims": {"sub": "somebody else"}},
]


@pytest.mark.parametrize("changes", MISMATCHES, ids=str)
def test_new_tokens_of_somebody_else_end_the_session(
    world: World, process: Process, cookie: str, changes: dict[str, Any]
) -> None:
    world.now = DUE
    world.script = [world.good(**changes)]
    assert told(process.visit(cookie)) == ("token_mismatch", True)
    assert told(process.visit(cookie))[1] is True


def test_new_tokens_that_do_not_agree_with_each_other_end_the_session(
    world: World, process: Process, cookie: str
) -> None:
    world.now = DUE
    mixed = {"IdToken": world.token("id"), "AccessToken": world.token("access", username="bob")}
    world.script = [Response(200, {}, json_bytes({"AuthenticationResult": mixed}))]
    assert told(process.visit(cookie)) == ("token_mismatch", True)


def test_new_tokens_too_large_to_keep_lose_nothing(
    world: World, process: Process, cookie: str
) -> None:
    world.now = DUE
    result = {"IdToken": world.token("id"), "AccessToken": world.token("access")}
    result["RefreshToken"] = "r" * 50_000
    world.script = [Response(200, {}, json_bytes({"AuthenticationResult": result}))]
    assert told(process.visit(cookie)) == (None, False)


# --- keys


@pytest.fixture
def keyless(world: World) -> Process:
    """A process that has to fetch the key set."""
    return world.process(config={"keys": None})


def test_keys_that_cannot_be_had_after_a_refresh_lose_nothing(
    world: World, keyless: Process, pool: LocalUserPool
) -> None:
    world.script = [Response(200, {}, json_bytes(pool.jwks()))]
    cookie = keyless.start()
    world.now = T + 40
    pool.rotate_keys()
    try:
        world.now = DUE
        world.script = [world.good(), DOWN]
        visit = keyless.visit(cookie)
        assert told(visit) == ("keys_unavailable", False)
        assert visit.writes is not None
        world.now += 60
        world.script = [Response(200, {}, json_bytes(pool.jwks()))]
        assert told(keyless.visit(cookie_after(visit, cookie))) == (None, False)
        assert len(world.used) == 1
    finally:
        world.script = []


def test_keys_that_cannot_be_had_keep_the_session(
    world: World, keyless: Process, cookie: str
) -> None:
    world.script = [DOWN]
    assert told(keyless.visit(cookie)) == ("keys_unavailable", False)


# --- several processes: the lease


def due(world: World, count: int = 2, **options: Any) -> tuple[str, list[Process]]:
    """A session whose tokens are due, and processes that know it."""
    processes = [world.process(**options) for _ in range(count)]
    cookie = processes[0].start()
    for process in processes:
        process.visit(cookie)
    world.now = DUE
    return cookie, processes


def outcome(visit: Visit) -> str:
    """The access token of a signed-in visit, or why there is none."""
    return access_token(visit) if isinstance(visit.verdict, SignedIn) else visit.verdict.reason


@shared
def test_who_comes_second_waits_and_takes_the_first_ones_tokens(world: World) -> None:
    cookie, (one, other) = due(world)
    first, second = (world.steps(each.visiting(cookie)) for each in (one, other))
    step_to(first, is_refresh)
    step_to(second, lambda effect: isinstance(effect, Pause))
    visits = finish(first), finish(second)
    assert outcome(visits[0]) == outcome(visits[1])
    assert visits[0].writes.value == visits[1].writes.value
    assert world.used == ["refresh-0"]


@shared
def test_a_holder_that_dies_holds_nobody_up_beyond_its_lease(world: World) -> None:
    cookie, (one, other) = due(world)
    step_to(world.steps(one.visiting(cookie)), is_refresh)
    assert told(other.visit(cookie)) == (None, False)
    assert DUE + 10 <= world.now < DUE + 11
    assert world.used == ["refresh-0"]


@shared
def test_a_lease_is_held_while_cognito_is_slow(world: World) -> None:
    cookie, (one, _) = due(world)
    first = world.steps(one.visiting(cookie))
    key = step_to(first, asks("acquire_and_load")).arguments[0]
    world.slow = 60
    step_to(first, is_refresh)
    next(first)  # Cognito has answered; what is to come is the write
    assert world.store.acquire(key, 10) is None
    assert told(finish(first)) == (None, False)
    assert world.store.acquire(key, 10)


@coordinated
def test_a_lease_outlives_the_record_that_it_was_taken_on(world: World) -> None:
    cookie, (one, other) = due(world)
    newer = cookie_after(one.visit(cookie), cookie)
    other.visit(newer)
    world.now = DUE + HOUR + 5 - 2  # its record is no longer needed 2 seconds from now
    first, second = (world.steps(each.visiting(newer)) for each in (one, other))
    step_to(first, is_refresh)
    world.now += 4
    step_to(second, lambda effect: isinstance(effect, Pause))
    assert outcome(finish(first)) == outcome(finish(second))
    assert len(world.used) == 2


@shared
@pytest.mark.parametrize("late", [REUSED, REFUSED])
def test_after_a_takeover_the_slow_first_ones_tokens_are_waited_for(
    world: World, late: Response
) -> None:
    cookie, (one, other) = due(world)
    slow = world.steps(one.visiting(cookie))
    step_to(slow, is_refresh)
    next(slow)  # its answer has come; it was stopped before it could write
    takeover = world.steps(other.visiting(cookie))
    step_to(takeover, is_refresh)
    world.script = [late]
    step_to(takeover, lambda effect: isinstance(effect, Pause))
    visits = finish(slow), finish(takeover)
    assert outcome(visits[0]) == outcome(visits[1])
    assert told(one.visit(cookie)) == told(other.visit(cookie)) == (None, False)


@stored
def test_after_a_takeover_nobodys_tokens_are_waited_for_longer_than_a_lease(world: World) -> None:
    cookie, (one, other) = due(world)
    step_to(world.steps(one.visiting(cookie)), is_refresh)
    world.script = [REFUSED]
    assert told(other.visit(cookie)) == ("session_revoked", True)
    assert DUE + 20 <= world.now < DUE + 22


@shared
@pytest.mark.parametrize("lease", [1, 10, 60])
def test_a_slow_older_answer_never_overwrites_a_newer_one(make: Any, lease: float) -> None:
    world = make(rotates=True)
    cookie, (one, other) = due(world, lease=lease)
    slow = world.steps(one.visiting(cookie))
    step_to(slow, is_refresh)
    newer = other.visit(cookie)
    late = finish(slow)
    assert outcome(late) == outcome(newer)
    for process in (one, other):
        assert outcome(process.visit(cookie_after(late, cookie))) == outcome(newer)
        assert outcome(process.visit(cookie)) == outcome(newer)


@shared
def test_wherever_the_first_one_is_stopped_the_second_gets_tokens_and_both_agree(
    make: Callable[..., World],
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=True)
        cookie, (one, other) = due(world)
        first = world.steps(one.visiting(cookie))
        is_over = not advance(first, point)
        newer = other.visit(cookie)
        late = None if is_over else finish(first)
        assert told(newer) == (None, False), point
        assert late is None or told(late) == (None, False), point
        assert outcome(one.visit(cookie)) == outcome(other.visit(cookie)), point
        assert len(world.used) <= 2
        return is_over

    assert exhaust(play) > 6


def advance(steps: Any, count: int) -> bool:
    """Let a flow have so many effects; False if it came to its end before."""
    try:
        for _ in range(count + 1):
            next(steps)
    except StopIteration:
        return False
    return True


def exhaust(play: Callable[[int], bool]) -> int:
    """Play with each point in turn until the flow has none that late; how many there were."""
    point = 0
    while not play(point):
        point += 1
    return point


@shared
@pytest.mark.parametrize(("at", "reason"), [(DUE, None), (OVER, "cognito_unavailable")])
def test_a_lease_that_is_held_for_long_holds_nobody_up_for_ever(
    world: World, at: float, reason: str | None
) -> None:
    cookie, (one, other) = due(world)
    world.now = at
    first = world.steps(one.visiting(cookie))
    key = step_to(first, asks("acquire_and_load")).arguments[0]
    step_to(first, is_refresh)
    world.now += 11
    assert world.store.acquire(key, 300)  # the longest there is
    assert told(other.visit(cookie)) == (reason, False)
    assert world.now < at + 11 + 10 + 35


@shared
def test_what_another_process_has_refreshed_is_seen_at_once(world: World) -> None:
    cookie, (one, other) = due(world)
    world.now = T + 10
    old = access_token(one.visit(cookie))
    session = other.force(cookie)
    assert session.tokens is not None
    assert session.tokens.access_token is not None
    assert access_token(one.visit(cookie)) == session.tokens.access_token.encoded != old


@coordinated
def test_a_coordinators_record_of_another_session_is_no_record(world: World) -> None:
    cookie, (one, other) = due(world)
    world.now = T
    bobs = other.start(world.tokens(username="bob"))
    world.script = [world.good(username="bob")]
    other.force(bobs)
    keys = [
        step_to(world.steps(other.home.sessions.resolve(each.encode(), T)), asks("load"))
        for each in (cookie, bobs)
    ]
    record = world.store.load(keys[1].arguments[0])
    assert record is not None
    assert world.store.create(keys[0].arguments[0], record)
    user = one.visit(cookie).verdict.user
    assert user is not None
    assert user.username == "ada"


# --- whoever ends a session wins


def assert_over(world: World, processes: list[Process], *cookies: str) -> None:
    for process in processes:
        for cookie in cookies:
            assert not isinstance(process.visit(cookie).verdict, SignedIn)
    assert not world.script


def interrupted(world: World, options: dict[str, Any], later: float) -> tuple[Any, ...]:
    """A request that refreshes (or rolls), one that signs out, and who is to know of it.

    Where processes share a store the two are in different ones.
    """
    processes = [world.process(**options) for _ in range(1 if world.kind == "sealed" else 2)]
    cookie = processes[0].start()
    visit = processes[-1].visit(cookie)
    world.now = T + later
    going_on = world.steps(processes[0].visiting(cookie))
    signing_out = world.steps(processes[-1].ending(visit))
    return cookie, processes, going_on, signing_out


BUSY = {
    "refresh": ({}, HOUR),
    "refresh while tokens are good": ({}, HOUR - 30),
    "roll": ({"idle": 600}, 300.0),
}
busy = pytest.mark.parametrize(("options", "later"), BUSY.values(), ids=BUSY)
rotating = pytest.mark.parametrize("rotates", [False, True], ids=["kept", "rotated"])


@busy
@rotating
def test_an_end_wins_at_whatever_point_of_a_request_it_comes(
    make: Callable[..., World], options: dict[str, Any], later: float, rotates: bool
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=rotates)
        cookie, processes, going_on, signing_out = interrupted(world, options, later)
        is_over = not advance(going_on, point)
        finish(signing_out)
        cookies = [cookie]
        if not is_over:
            visit = finish(going_on)
            cookies += [] if visit.writes is None else [visit.writes.value]
        assert_over(world, processes, *filter(None, cookies))
        newest = f"refresh-{len(world.used) if rotates else 0}"
        assert newest in world.revoked, point
        return is_over

    assert exhaust(play) >= 2


@busy
@rotating
def test_an_end_wins_wherever_it_is_held_up(
    make: Callable[..., World], options: dict[str, Any], later: float, rotates: bool
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=rotates)
        cookie, processes, going_on, signing_out = interrupted(world, options, later)
        is_over = not advance(signing_out, point)
        visit = finish(going_on)
        if not is_over:
            finish(signing_out)
        after = None if visit.writes is None else visit.writes.value
        assert_over(world, processes, *filter(None, [cookie, after]))
        assert world.revoked
        return is_over

    assert exhaust(play) >= 2


def test_a_cookie_of_before_a_refresh_ends_the_session_too(
    world: World, process: Process, cookie: str
) -> None:
    world.now = DUE
    newer = cookie_after(process.visit(cookie), cookie)
    process.end(cookie)
    assert_over(world, [process], cookie, newer)


@stored
def test_a_roll_does_not_bring_back_a_session_that_ended_meanwhile(
    make: Callable[..., World],
) -> None:
    world = make()
    cookie, processes, going_on, signing_out = interrupted(world, *BUSY["roll"])
    step_to(going_on, asks("replace"))
    finish(signing_out)
    assert told(finish(going_on)) == ("session_revoked", True)
    assert_over(world, processes, cookie)


@stored
def test_a_roll_does_not_undo_a_refresh_of_meanwhile(make: Callable[..., World]) -> None:
    world = make()
    cookie, (one, other) = due(world, idle=600)
    world.now = T + 100
    rolling = world.steps(one.visiting(cookie))
    step_to(rolling, asks("replace"))
    world.now = T + 110
    newer = other.force(cookie).tokens
    assert newer is not None
    assert newer.access_token is not None
    visit = finish(rolling)
    assert access_token(visit) == newer.access_token.encoded
    assert visit.verdict.expires_at == T + 110 + HOUR + 5
    assert access_token(other.visit(cookie)) == newer.access_token.encoded


def test_new_tokens_that_come_after_an_end_are_revoked(make: Callable[..., World]) -> None:
    world = make(rotates=True)
    _, _, going_on, signing_out = interrupted(world, {}, HOUR)
    step_to(going_on, is_refresh)
    finish(signing_out)
    assert told(finish(going_on)) == ("session_revoked", True)
    assert world.revoked == ["refresh-0", "refresh-1"]


def test_an_end_that_could_not_be_kept_is_told(world: World, process: Process, cookie: str) -> None:
    visit = process.visit(cookie)
    world.breaks = lambda _: True
    with pytest.raises(NetworkError):
        world.run(process.ending(visit))
    assert visit.writes is NO_COOKIE
    assert world.revoked == ["refresh-0"]


@coordinated
def test_an_idle_cookie_ends_the_session_that_went_on_with_a_newer_one(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process(idle=600)
    cookie = process.start(world.tokens(expires_in=300))
    world.now = T + 299
    newer = cookie_after(process.visit(cookie), cookie)
    world.now = T + 600
    world.run(process.home.sessions.end(cookie.encode(), world.now))
    assert_over(world, [process], newer)


@coordinated
def test_a_coordinator_is_asked_again_when_an_answer_is_stale(make: Callable[..., World]) -> None:
    world = make()
    cookie, (one, other) = due(world, staleness=60)
    world.now = T
    asked: list[Ask] = []
    world.breaks = lambda ask: bool(asked.append(ask))
    for later in (59, 60, 119, 120, 121):
        world.now = T + later
        one.visit(cookie)
    assert [ask.method for ask in asked] == ["load", "load"]
    other.end(cookie)
    world.now = T + 180
    assert_over(world, [one], cookie)


# --- a store that fails


@pytest.mark.parametrize("later", [HOUR - 30, HOUR + 30], ids=["good", "over"])
@pytest.mark.parametrize("length", [1, 3, 8, 1000])
@rotating
def test_a_store_that_fails_at_any_question_loses_nothing(
    make: Callable[..., World], later: float, length: int, rotates: bool
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=rotates)
        process = world.process()
        cookie = process.start()
        world.now = T + later
        asked: list[Ask] = []
        world.breaks = lambda ask: asked.append(ask) or point < len(asked) <= point + length
        visit = process.visit(cookie)
        assert told(visit) in [(None, False), ("store_unavailable", False)], point
        is_over = len(asked) <= point
        world.breaks = lambda _: False
        world.now += 40
        kept = process.visit(cookie_after(visit, cookie))
        assert told(kept) == (None, False), point
        assert world.now < T + HOUR + 200
        return is_over

    assert exhaust(play) >= 3


@pytest.mark.parametrize("length", [1, 2, 3])
def test_new_tokens_are_written_when_the_store_is_there_again(
    make: Callable[..., World], length: int
) -> None:
    world = make(rotates=True)
    cookie, (process,) = due(world, 1)
    steps = world.steps(process.visiting(cookie))
    step_to(steps, asks("replace_and_release"))
    asked: list[Ask] = []
    world.breaks = lambda ask: asked.append(ask) or len(asked) <= length
    visit = finish(steps)
    assert told(visit) == (None, False)
    world.now += HOUR
    assert told(process.visit(cookie_after(visit, cookie))) == (None, False)
    assert world.used == ["refresh-0", "refresh-1"]


@stored
def test_a_roll_that_could_not_be_kept_is_made_up_for_later(make: Callable[..., World]) -> None:
    world = make()
    process = world.process(idle=600)
    cookie = process.start()
    world.now = T + 60
    world.breaks = asks("replace")
    visit = process.visit(cookie)
    assert (told(visit), visit.writes) == ((None, False), None)
    world.breaks = lambda _: False
    assert process.visit(cookie).writes is None  # nobody waits for a locked store each time
    world.now += 2
    assert process.visit(cookie).writes is not None


@stored
def test_the_lease_is_given_back_when_new_tokens_could_not_be_kept(world: World) -> None:
    cookie, (process,) = due(world, 1)
    world.breaks = asks("replace_and_release")
    assert told(process.visit(cookie)) == (None, False)
    world.breaks = lambda _: False
    world.now += 5
    before = world.now
    process.visit(cookie)
    assert (len(world.used), world.now) == (2, before)


# --- lifetimes


@pytest.mark.parametrize(("later", "is_in"), [(599.9, True), (600, False)])
def test_a_session_that_is_not_used_ends(
    make: Callable[..., World], later: float, is_in: bool
) -> None:
    world = make()
    process = world.process(idle=600)
    cookie = process.start()
    world.now = T + later
    visit = process.visit(cookie)
    assert (isinstance(visit.verdict, SignedIn), visit.clears) == (is_in, not is_in)


def test_a_session_that_is_used_lasts_until_its_absolute_end(make: Callable[..., World]) -> None:
    world = make()
    process = world.process(idle=600, absolute=1800)
    cookie = process.start()
    for later in range(0, 1800, 100):
        world.now = T + later
        cookie = cookie_after(process.visit(cookie), cookie)
    world.now = T + 1800
    assert not isinstance(process.visit(cookie).verdict, SignedIn)


def test_the_cookie_lives_no_longer_than_the_session(make: Callable[..., World]) -> None:
    world = make()
    process = world.process(idle=600, absolute=1000)
    cookie = process.start()
    ages = []
    for later in (0, 300, 599, 899):
        world.now = T + later
        visit = process.visit(cookie)
        cookie = cookie_after(visit, cookie)
        ages.append(visit.writes and visit.writes.max_age)
    assert ages == [None, 600, 401, 101]


def test_a_session_is_rolled_at_most_once_per_tenth_of_its_idle_time(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process(idle=600)
    cookie, rolls = process.start(), 0
    for later in range(0, 601, 5):
        world.now = T + later
        visit = process.visit(cookie)
        rolls += visit.writes is not None
        cookie = cookie_after(visit, cookie)
    assert rolls == 10


def test_a_cookie_from_before_a_roll_serves_on(make: Callable[..., World]) -> None:
    world = make()
    process = world.process(idle=600)
    cookie = process.start()
    world.now = T + 100
    process.visit(cookie)
    assert told(process.visit(cookie)) == (None, False)


# --- late requests, and coordinators that forget


@in_cookies
def test_a_late_request_with_the_cookie_before_is_given_the_newer_one(
    make: Callable[..., World],
) -> None:
    world = make(rotates=True)
    cookie, (process,) = due(world, 1)
    newer = process.visit(cookie)
    world.now += 59
    late = process.visit(cookie)
    assert (outcome(late), late.writes.value) == (outcome(newer), newer.writes.value)
    assert world.used == ["refresh-0"]


@in_cookies
def test_once_the_coordinator_has_forgotten_an_old_cookie_is_refused_but_not_cleared(
    make: Callable[..., World],
) -> None:
    world = make(rotates=True)
    cookie, (process,) = due(world, 1)
    newer = cookie_after(process.visit(cookie), cookie)
    world.now += 2 * HOUR
    process.home.sessions._store._store._entries.clear()
    world.script = [REUSED]
    assert told(process.visit(cookie)) == ("refresh_token_reused", False)
    assert told(process.visit(newer)) == (None, False)


@in_cookies
def test_a_rotated_token_is_kept_for_a_cookie_that_never_came(make: Callable[..., World]) -> None:
    """Its response may have been lost: without the record the session would be, too."""
    world = make(rotates=True)
    cookie, (process,) = due(world, 1)
    process.visit(cookie)
    world.now += 48 * HOUR
    visit = process.visit(cookie)
    assert told(visit) == (None, False)
    assert world.used == ["refresh-0", "refresh-1"]


@in_cookies
def test_an_older_cookie_in_an_empty_coordinator_does_not_hide_a_newer_one(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process()
    cookies = [process.start()]
    for turn in range(1, 4):
        world.now = T + turn * HOUR
        cookies.append(cookie_after(process.visit(cookies[-1]), cookies[-1]))
    world.now += 2 * HOUR  # all is forgotten
    for cookie in [*cookies, *reversed(cookies)]:
        assert told(process.visit(cookie)) == (None, False)
    tokens = {outcome(process.visit(cookie)) for cookie in cookies}
    assert len(tokens) <= 2


@in_cookies
def test_a_newer_cookie_is_renewed_beyond_what_an_older_one_has_left_in_the_coordinator(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process()
    cookies = [process.start()]
    for turn in range(1, 4):
        world.now = T + turn * HOUR
        cookies.append(cookie_after(process.visit(cookies[-1]), cookies[-1]))
    world.now += 2 * HOUR  # all is forgotten
    process.visit(cookies[0])
    newest = process.visit(cookies[3])
    assert len(world.used) == 5
    assert outcome(process.visit(cookies[3])) == outcome(newest)
    assert len(world.used) == 5


@coordinated
def test_what_a_coordinator_forgot_during_a_refresh_is_told_to_it_again(world: World) -> None:
    cookie, (process,) = due(world, 1)
    steps = world.steps(process.visiting(cookie))
    key = step_to(steps, asks("acquire_and_load")).arguments[0]
    step_to(steps, is_refresh)
    world.store.delete(key)
    newer = finish(steps)
    assert outcome(process.visit(cookie)) == outcome(newer)
    assert world.used == ["refresh-0"]


def test_a_session_rolled_since_its_refresh_lasts_from_the_roll_on(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process(idle=600)
    cookie = process.start(world.tokens(expires_in=300))
    for later in (299, 800, 1300, 1800):
        world.now = T + later
        cookie = cookie_after(process.visit(cookie), cookie)
    assert told(process.visit(cookie)) == (None, False)
    assert len(world.used) == 1


def test_an_end_is_remembered_for_as_long_as_the_session_might_have_lasted(
    world: World, process: Process, cookie: str
) -> None:
    process.end(cookie)
    day = 86_400
    for later in (60, HOUR, 3 * HOUR, day, 6 * day, 7 * day):
        world.now = T + later
        assert_over(world, [process], cookie)
    assert world.used == []


@in_cookies
def test_rolled_and_refreshed_to_the_last_a_session_that_ended_stays_so(
    make: Callable[..., World],
) -> None:
    world = make()
    process = world.process(idle=10 * 86_400, absolute=20 * 86_400)
    cookie = process.start()
    world.now = T + 9 * 86_400
    cookie = cookie_after(process.visit(cookie), cookie)
    process.end(cookie)
    for day in (10, 18, 18.99, 20):
        world.now = T + day * 86_400
        assert_over(world, [process], cookie)


# --- clocks that are set back


def test_a_clock_that_is_set_back_signs_nobody_out(
    world: World, process: Process, cookie: str
) -> None:
    world.now = DUE
    cookie = cookie_after(process.visit(cookie), cookie)
    for back in (1, 4, 60, HOUR, 30 * HOUR):
        world.now = DUE - back
        visit = world.process().visit(cookie) if world.kind != "sealed" else process.visit(cookie)
        assert visit.writes is not NO_COOKIE


def test_a_clock_that_is_behind_cognitos_loses_no_session(
    world: World, process: Process, cookie: str
) -> None:
    world.now = DUE + 600
    ahead = world.good()
    world.now, world.script = DUE, [ahead]
    visit = process.visit(cookie)
    assert told(visit) == ("token_not_yet_valid", False)
    assert visit.writes is not None
    world.now += 600
    assert told(process.visit(cookie_after(visit, cookie))) == (None, False)
    assert len(world.used) == 1


# --- Cognito is asked every so often


def test_whom_cognito_refuses_right_after_a_refresh_is_signed_out(
    make: Callable[..., World],
) -> None:
    world = make()
    cookie, (process,) = due(world, 1, verify_with_cognito_every=300)
    world.now = T + HOUR
    world.script = [world.good(), REFUSED]
    assert told(process.visit(cookie)) == ("session_revoked", True)
    assert_over(world, [process], cookie)


def test_new_tokens_reach_the_browser_though_cognito_cannot_confirm_them(
    make: Callable[..., World],
) -> None:
    world = make(rotates=True)
    cookie, (process,) = due(world, 1, verify_with_cognito_every=300)
    world.now = T + HOUR
    world.script = [world.good(), DOWN]
    visit = process.visit(cookie)
    assert told(visit) == ("cognito_unavailable", False)
    assert visit.writes is not None
    world.now += 60
    world.script = [GET_USER]
    assert told(process.visit(cookie_after(visit, cookie))) == (None, False)


# --- everything at once


@shared
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    schedule=st.lists(st.integers(0, 3), max_size=80),
    ends_at=st.integers(0, 80) | st.none(),
    dying=st.sets(st.integers(0, 1)),
    broken=st.sets(st.integers(0, 60), max_size=6),
    answers=st.lists(st.sampled_from([World.regular, DOWN, PASSING[0][0]]), max_size=3),
    rotates=st.booleans(),
)
def test_in_whatever_order_processes_go_on_nobody_is_lost_or_brought_back(
    make: Callable[..., World],
    schedule: list[int],
    ends_at: int | None,
    dying: set[int],
    broken: set[int],
    answers: list[Any],
    rotates: bool,
) -> None:
    world = make(rotates=rotates)
    cookie, processes = due(world, 3)
    world.now = T
    signing_out = world.steps(processes[2].ending(processes[2].visit(cookie)))
    world.now, world.script, asked, visits = DUE + 55, answers, [], []
    world.breaks = lambda ask: asked.append(ask) or len(asked) in broken
    running = dict(enumerate([world.steps(process.visiting(cookie)) for process in processes]))
    is_over = False
    for turn, which in enumerate([*schedule, -1, *[0, 1, 2, 3] * 2000]):
        if turn == ends_at:
            running[3] = signing_out
        if which == -1:
            running = {name: steps for name, steps in running.items() if name not in dying}
        steps = running.get(which)
        if steps is None:
            continue
        try:
            next(steps)
        except StopIteration as done:
            del running[which]
            is_over |= which == 3
            visits += [] if which == 3 else [done.value]
        except NetworkError:  # the sign-out could not be kept, or not for as long as it has to be
            del running[which]
            is_over |= any(has_ended(entry.record) for entry in world.store._entries.values())
    assert not running
    assert world.used or is_over or broken
    world.breaks, world.script = (lambda _: False), []
    world.now += 60
    cookies = {cookie, *(visit.writes.value for visit in visits if visit.writes)} - {""}
    for process in processes:
        for each in cookies:
            assert isinstance(process.visit(each).verdict, SignedIn) is not is_over


# --- one process, as it runs


@pytest.mark.parametrize("kind", ["sealed", "stored"])
def test_many_threads_share_one_refresh(kind: str) -> None:
    now = [T]
    with LocalUserPool(clock=lambda: now[0], rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        world = World(pool, now, kind)
        process = world.process()
        run, home = process.engine.driver.run, process.home
        visit = Visit.of(home, NO_SESSION)
        run(starting(visit, pool.sign_in("ada"), user_agent="", allow_cross_site=True))
        header = b"amplify-session=" + cookie_after(visit, "").encode()
        now[0] = OVER
        with pool.hold("GetTokensFromRefreshToken") as gate, ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(run, visiting(home, header, now[0])) for _ in range(8)]
            gate.wait_for_arrivals(1)
            gate.release()
        visits = [each.result() for each in asked]
        late = run(visiting(home, header, now[0]))
        process.engine.close()
    assert len({access_token(each) for each in [*visits, late]}) == 1
    assert pool.count("GetTokensFromRefreshToken") == 1


# --- an answer whose headers go late


def answering(process: Process, cookie: str, begun: list[Visit]) -> Any:
    """A flow: a request, its response's beginning noted in `begun`, and what becomes of it.

    Its app takes a second: for as long the store's last word on the session counts.
    """
    visit = yield from process.visiting(cookie)
    yield Pause(1.0)
    visit.begin()
    begun.append(visit)
    yield from process.home.settle(visit)
    return visit


def sets_cookie(visit: Visit) -> bool:
    return visit.writes is not None and visit.writes is not NO_COOKIE


@coordinated
def test_an_answer_that_waited_for_cognito_in_vain_asks_whether_its_session_has_ended(
    make: Callable[..., World],
) -> None:
    world = make(slow=5.0, script=[Response(500, {}, b"")])
    cookie, (one, other) = due(world, idle=7200)
    world.now = T
    signing_out = world.steps(other.ending(other.visit(cookie)))
    world.now = DUE
    waiting = world.steps(one.visiting(cookie))
    step_to(waiting, is_refresh)
    finish(signing_out)
    visit = finish(waiting)
    assert sets_cookie(visit)  # the session was extended
    world.run(one.home.settle(visit))
    assert visit.writes is None


@busy
@rotating
def test_what_an_answer_sets_wherever_an_end_is_held_up_signs_nobody_in(
    make: Callable[..., World], options: dict[str, Any], later: float, rotates: bool
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=rotates)
        cookie, processes, _, signing_out = interrupted(world, options, later)
        answer = world.steps(answering(processes[0], cookie, []))
        is_over = not advance(signing_out, point)
        visit = finish(answer)
        assert not (is_over and sets_cookie(visit)), point
        if not is_over:
            finish(signing_out)
        after = visit.writes.value if sets_cookie(visit) else None
        assert_over(world, processes, *filter(None, [cookie, after]))
        return is_over

    assert exhaust(play) >= 2


@busy
@rotating
def test_an_end_at_whatever_point_of_an_answer_leaves_nothing_that_signs_in(
    make: Callable[..., World], options: dict[str, Any], later: float, rotates: bool
) -> None:
    def play(point: int) -> bool:
        world = make(rotates=rotates)
        cookie, processes, _, signing_out = interrupted(world, options, later)
        begun: list[Visit] = []
        answer = world.steps(answering(processes[0], cookie, begun))
        is_over = not advance(answer, point)
        is_begun = bool(begun)
        finish(signing_out)
        if is_over:
            return True
        visit = finish(answer)
        assert is_begun or not sets_cookie(visit), point
        after = visit.writes.value if sets_cookie(visit) else None
        assert_over(world, processes, *filter(None, [cookie, after]))
        return False

    assert exhaust(play) >= 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    turns=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), max_size=20),
    rotates=st.booleans(),
)
def test_in_whatever_order_answers_and_ends_go_on_none_sets_what_was_ended_before(
    make: Callable[..., World], turns: list[tuple[int, int]], rotates: bool
) -> None:
    world = make(rotates=rotates)
    one = world.process()
    other = one if world.kind == "sealed" else world.process()
    cookie = one.start()
    world.now = T
    ends = [process.ending(process.visit(cookie)) for process in (one, other)]
    world.now = DUE
    begun: list[Visit] = []
    flows = [*ends, *[answering(process, cookie, begun) for process in (one, other)]]
    running = dict(enumerate([world.steps(flow) for flow in flows]))
    late: list[Visit] = []  # whose headers go after an end
    has_ended = False
    schedule = [which for which, times in turns for _ in range(times)]
    for which in [*schedule, *[2, 3, 0, 1] * 2000]:
        if which not in running:
            continue
        before, had_ended = len(begun), has_ended
        try:
            next(running[which])
        except StopIteration:
            del running[which]
            has_ended |= which < 2
        late += begun[before:] if had_ended else []
    assert not running
    assert not any(sets_cookie(visit) for visit in late)
    cookies = [visit.writes.value for visit in begun if visit.writes and sets_cookie(visit)]
    assert_over(world, [one, other], cookie, *cookies)
