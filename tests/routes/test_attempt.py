"""Attempts to sign in, as cookies: whose they are, how long they last, how many there are."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw import SealedSession
from amplify_mw.routes.attempt import MAX_ATTEMPTS, MAX_BYTES, RANDOM, Attempt, Attempts, Way
from tests.routes.going import (
    CALLBACK,
    Visitor,
    again_of,
    altered,
    auth_routes,
    code_of,
    hop_of,
    sent,
)
from tests.sites import KEYS, NAME, Build, Clock, attributes

NOW = 1_800_000_000.5
BYTES = [bytes([number]) * 32 for number in range(1, 4)]
POOL = "eu-west-1_Ab12Cd34E"


def attempts(
    keys: tuple[bytes, ...] = (BYTES[0],),
    pool: str = POOL,
    client_id: str = "web",
    **options: Any,
) -> Attempts:
    return Attempts(auth_routes(**options), keys, pool, client_id)


def begun(
    some: Attempts, seed: int = 0, now: float = NOW, sent: bytes | None = None
) -> tuple[Attempt, list[str]]:
    """A new attempt, and the `Set-Cookie` values that keep it."""
    random = bytes((seed * 7 + at) % 256 for at in range(RANDOM))
    attempt, iv = some.begin(random, "/orders?page=2", None, now)
    return attempt, some.keep(attempt, iv, sent)


def pair(line: str) -> bytes:
    return line.partition(";")[0].encode()


def test_an_attempt_comes_back_as_it_was() -> None:
    attempt, [line] = begun(attempts())
    assert attempts().find(attempt.state, b"a=b; " + pair(line) + b"; c=d", NOW) == attempt


def test_state_nonce_and_verifier_have_nothing_in_common_and_128_bits_or_more() -> None:
    attempt, _ = begun(attempts())
    _, state = attempt.state.split(".")
    assert (len(state), len(attempt.nonce), len(attempt.code_verifier)) == (22, 22, 43)
    assert len({state, attempt.nonce, attempt.code_verifier[:22]}) == 3


def test_the_cookie_says_nothing_of_what_is_in_it() -> None:
    attempt, [line] = begun(attempts())
    secrets = (attempt.state.partition(".")[2], attempt.nonce, attempt.code_verifier, "/orders")
    assert not any(secret in line for secret in secrets)
    assert repr(attempt) == "<Attempt>"


@pytest.mark.parametrize(
    "other",
    [
        attempts(keys=(BYTES[1],)),
        attempts(client_id="another"),
        attempts(pool="eu-west-1_Another00"),
        attempts(origin="https://another.example"),
        attempts(prefix="/account/auth"),
    ],
    ids=["key", "client", "user pool", "site", "place"],
)
def test_an_attempt_is_good_at_one_place_alone(other: Attempts) -> None:
    attempt, [line] = begun(attempts())
    assert other.find(attempt.state, pair(line), NOW) is None


def test_the_first_key_seals_and_all_open() -> None:
    attempt, [line] = begun(attempts(keys=(BYTES[0],)))
    assert attempts(keys=(BYTES[1], BYTES[0])).find(attempt.state, pair(line), NOW) == attempt
    attempt, [line] = begun(attempts(keys=(BYTES[1], BYTES[0])))
    assert attempts(keys=(BYTES[0],)).find(attempt.state, pair(line), NOW) is None


def test_keys_are_changed_in_three_steps_that_lose_no_attempt() -> None:
    old, new = BYTES[:2]
    for before, after in pairwise([(old,), (old, new), (new, old), (new,)]):
        for here, there in ((before, after), (after, before)):
            attempt, [line] = begun(attempts(keys=here))
            assert attempts(keys=there).find(attempt.state, pair(line), NOW) == attempt


@settings(deadline=None)
@given(st.data())
def test_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    attempt, [line] = begun(attempts())
    name, _, value = pair(line).partition(b"=")
    at, bit = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(0, 7))
    wrong = value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :]
    assert attempts().find(attempt.state, name + b"=" + wrong, NOW) is None


@pytest.mark.parametrize(
    ("later", "is_good"),
    [(0, True), (299.4, True), (300.6, False), (3600, False), (-60, True), (-61.6, False)],
)
def test_an_attempt_lasts_five_minutes_and_forgives_a_clock_a_minute(
    later: float, is_good: bool
) -> None:
    attempt, [line] = begun(attempts())
    assert (attempts().find(attempt.state, pair(line), NOW + later) is not None) is is_good


def test_its_lifetime_can_be_chosen() -> None:
    short = attempts(attempt_lifetime=30)
    attempt, [line] = begun(short)
    assert attributes(line)["max-age"] == "30"
    assert short.find(attempt.state, pair(line), NOW + 29) == attempt
    assert short.find(attempt.state, pair(line), NOW + 31) is None


def test_the_state_of_another_tab_is_another_attempts() -> None:
    one, [first] = begun(attempts(), 1)
    two, [second] = begun(attempts(), 2, sent=pair(first))
    both = pair(first) + b"; " + pair(second)
    assert [attempts().find(tab.state, both, NOW) for tab in (one, two)] == [one, two]
    assert attempts().find(two.state, pair(first), NOW) is None


def test_a_state_that_differs_where_the_name_does_not_tell_is_another() -> None:
    attempt, [line] = begun(attempts())
    last = "A" if attempt.state[-1] != "A" else "B"
    assert attempts().find(attempt.state[:-1] + last, pair(line), NOW) is None


def test_another_attempts_value_under_this_ones_name_is_refused() -> None:
    one, [first] = begun(attempts(), 1)
    _, [second] = begun(attempts(), 2)
    swapped = pair(first).partition(b"=")[0] + b"=" + pair(second).partition(b"=")[2]
    assert attempts().find(one.state, swapped, NOW) is None


def test_a_cookie_sent_twice_counts_only_if_both_say_the_same() -> None:
    attempt, [line] = begun(attempts())
    name, _, value = pair(line).partition(b"=")
    assert attempts().find(attempt.state, pair(line) + b"; " + pair(line), NOW) == attempt
    for double in (b"%b=%b; %b=x", b"%b=x; %b=%b"):
        parts = (name, value, name) if double.startswith(b"%b=%b") else (name, name, value)
        assert attempts().find(attempt.state, double % parts, NOW) is None


def test_there_are_eight_at_most_and_the_oldest_goes() -> None:
    jar: dict[str, bytes] = {}
    kept: list[Attempt] = []
    for number in range(MAX_ATTEMPTS + 3):
        header = b"; ".join(jar.values()) or None
        attempt, lines = begun(attempts(), number, NOW + number, header)
        kept.append(attempt)
        for line in lines:
            jar.pop(line.partition("=")[0], None)
            if attributes(line)["max-age"] != "0":
                jar[line.partition("=")[0]] = pair(line)
    header = b"; ".join(jar.values())
    found = [attempts().find(each.state, header, NOW + 12) is not None for each in kept]
    assert found == [False] * 3 + [True] * MAX_ATTEMPTS


@pytest.mark.parametrize("step", [0.0, 1e-6], ids=["of one microsecond", "of one second"])
def test_the_newest_of_many_at_once_are_kept(step: float) -> None:
    some, jar = attempts(), dict[str, bytes]()
    kept = []
    for number in range(30):
        header = b"; ".join(jar.values()) or None
        attempt, lines = begun(some, 29 - number, NOW + number * step, header)
        kept.append(attempt.state)
        for line in lines:
            jar.pop(line.partition("=")[0], None)
            if attributes(line)["max-age"] != "0":
                jar[line.partition("=")[0]] = pair(line)
    header = b"; ".join(jar.values())
    found = [state for state in kept if some.find(state, header, NOW) is not None]
    assert found == kept[-MAX_ATTEMPTS:]


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[0-9a-f]{1,17}\.[\w.-]{0,60}"))
def test_no_state_makes_the_way_stumble(state: str) -> None:
    way = attempts().way(state)
    assert (way.query, 0 <= way.turns <= 9) == ("", True)


@settings(deadline=None)
@given(st.text(alphabet="abc=&%/", max_size=900), st.integers(0, 5), st.data())
def test_a_way_comes_back_as_it_was_unless_it_is_long(
    query: str, turns: int, data: st.DataObject
) -> None:
    some = attempts()
    attempt, ivs = some.begin(bytes(RANDOM), "/", None, NOW)
    state = some.sent(attempt, Way(query, turns), ivs)
    assert len(state) <= 1024
    assert some.way(state) == (query if state.count(".") > 2 else "", turns)
    if state.count(".") > 2:
        at = data.draw(st.integers(state.rindex(".") + 1, len(state) - 2))
        wrong = state[:at] + ("A" if state[at] != "A" else "B") + state[at + 1 :]
        assert some.way(wrong) == ("", turns)


def test_they_leave_room_for_other_cookies() -> None:
    some, header = attempts(), b""
    for number in range(4):
        attempt, iv = some.begin(bytes(number for _ in range(RANDOM)), "/" + "a" * 2047, None, NOW)
        line, *dropped = some.keep(attempt, iv, header)
        assert len(dropped) == min(number, 1)
        header = pair(line)
        assert len(header) < MAX_BYTES


def test_an_ordinary_one_is_short_enough_for_all_of_them() -> None:
    _, [line] = begun(attempts())
    assert len(pair(line)) * MAX_ATTEMPTS < MAX_BYTES


def test_a_dropped_attempts_cookie_is_cleared_with_its_own_attributes() -> None:
    some = attempts()
    attempt, [line] = begun(some)
    cleared = some.drop(attempt.state)
    assert cleared.partition("=")[0] == line.partition("=")[0]
    both = attributes(line), attributes(cleared)
    assert both[1].pop("expires").endswith("1970 00:00:00 GMT")
    assert [each.pop("max-age") for each in both] == ["300", "0"]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"secure": "", "path": "/auth"}),
        ({"origin": "http://localhost:8000"}, {"path": "/auth"}),
        ({"prefix": "/a/b"}, {"secure": "", "path": "/a/b"}),
    ],
)
def test_the_cookies_attributes(options: dict[str, str], expected: dict[str, str]) -> None:
    _, [line] = begun(attempts(**options))
    always = {"httponly": "", "samesite": "Lax", "max-age": "300"}
    assert attributes(line) == always | expected


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[0-9a-f]{1,14}\.[\w-]{0,30}"), st.binary() | st.none())
def test_no_state_and_no_cookies_make_it_stumble(state: str, cookies: bytes | None) -> None:
    assert attempts().find(state, cookies, NOW) is None
    named = b"amplify-auth." + state.encode("utf-8", "replace") + b"=" + (cookies or b"")
    assert attempts().find(state, named, NOW) is None
    attempt, lines = begun(attempts(), sent=cookies)
    assert attempts().find(attempt.state, pair(lines[0]), NOW) == attempt


@settings(deadline=None)
@given(st.lists(st.from_regex(rb"[ \t]*amplify-auth\.[\x00-\xff]{0,12}", fullmatch=True)))
def test_whatever_names_cookies_have_only_cookies_of_attempts_are_dropped(
    names: list[bytes],
) -> None:
    _, lines = begun(attempts(), sent=b"=; ".join(names))
    assert all(line.startswith("amplify-auth.") for line in lines)
    assert all(line.isascii() and line.isprintable() for line in lines)


# In a browser.


def test_several_tabs_each_finish_their_own(visitor: Visitor) -> None:
    pool = visitor.site.pool
    tabs = [f"/tab/{number}" for number in range(3)]
    backs = [pool.authorize(visitor.leave(next=tab), "ada") for tab in tabs]
    assert len(visitor.attempts) == 3
    for number, (tab, back) in enumerate(zip(tabs, backs, strict=True)):
        assert f"0;url={tab}" in visitor.come_back(back).body
        assert len(visitor.attempts) == 2 - number
    assert visitor.user == "ada"


class Tab:
    """A tab that wants to see a page, one request at a time."""

    def __init__(self, visitor: Visitor, page: str, pool_knows: dict[str, str]) -> None:
        self._visitor = visitor
        self._pool_knows = pool_knows
        self.page = page
        self.steps = 0
        self.at = f"/auth/sign-in?{urlencode({'next': page})}"

    @property
    def is_done(self) -> bool:
        return self.at == self.page

    def step(self) -> None:
        visitor, at = self._visitor, self.at
        self.steps += 1
        if at.startswith("/auth/sign-in?"):
            self.at = str(visitor.go(at).one("location"))
        elif at.startswith(("/", CALLBACK)):
            got = visitor.come_back(at)
            assert got.status == 200, got.body
            self.at = str(hop_of(got))
        else:
            self.at = visitor.site.pool.authorize(at, "ada", cookies=self._pool_knows)


ORDERS: dict[str, Callable[[list[Tab]], Tab]] = {
    "the first first": lambda tabs: tabs[0],
    "the newest first": lambda tabs: tabs[-1],
    "in turns": lambda tabs: min(tabs, key=lambda tab: tab.steps),
    "at random": random.Random(7).choice,
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_thirty_tabs_at_once_end_signed_in_each_at_its_page(
    build: Build, order: Callable[[list[Tab]], Tab]
) -> None:
    visitor, pool_knows = Visitor(build()), dict[str, str]()
    tabs = [Tab(visitor, f"/tab/{number}", pool_knows) for number in range(30)]
    for tab in tabs:
        tab.step()  # away to the pool: of 30 attempts eight are kept
    assert len(visitor.attempts) == MAX_ATTEMPTS
    while waiting := [tab for tab in tabs if not tab.is_done]:
        order(waiting).step()
    assert visitor.user == "ada"
    assert max(tab.steps for tab in tabs) < 20


def test_an_attempt_is_dropped_when_it_is_used(visitor: Visitor) -> None:
    visitor.leave()
    [name] = visitor.attempts
    got = visitor.come_back(altered(CALLBACK, state="x", error="access_denied"))
    assert code_of(got) == "attempt_expired"
    assert name in visitor.attempts  # not this one's
    visitor.sign_in()
    assert visitor.attempts.keys() == {name}


def expired(clock: Clock) -> None:
    clock.advance(301)


def set_back(clock: Clock) -> None:
    clock.advance(-62)


@pytest.mark.parametrize("change", [expired, set_back])
def test_an_attempt_out_of_its_time_signs_nobody_in(
    visitor: Visitor, clock: Clock, change: Callable[[Clock], None]
) -> None:
    back = visitor.site.pool.authorize(visitor.leave(), "ada")
    change(clock)
    assert again_of(visitor.come_back(back)) == {"next": "/", "turns": "1"}
    assert NAME not in visitor.jar
    assert visitor.site.pool.count("token") == 0


def test_an_attempt_is_no_session_and_a_session_no_attempt(build: Build) -> None:
    site = build(SealedSession(keys=KEYS[:1]), routes={"keys": KEYS[:1], "on_error": "/sorry"})
    visitor = Visitor(site)
    back = site.pool.authorize(visitor.leave(), "ada")
    [(name, value)] = visitor.attempts.items()
    thief = Visitor(site, {NAME: value})
    assert thief.user == "NotAuthorizedException unknown_session_key"
    visitor.come_back(back)
    thief = Visitor(site, {name: visitor.value})
    assert again_of(thief.come_back(back)) is not None


def test_the_browser_of_somebody_else_cannot_finish_an_attempt(build: Build) -> None:
    site = build(routes={"on_error": "/sorry"})
    attacker, victim = Visitor(site), Visitor(site)
    back = site.pool.authorize(attacker.leave(), "grace")
    victim.leave()
    assert again_of(victim.come_back(back)) is not None
    assert (NAME in victim.jar, site.pool.count("token")) == (False, 0)
    assert sent(back)["state"] not in str(victim.jar)
