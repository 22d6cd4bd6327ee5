"""Key sets: what is imported, when one is fetched, and that nothing bad takes good keys away.

Flows are stepped by hand: `next`, `send((answer, now))`, `throw`.
"""

import json
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey
from joserfc.jwk import RSAKey as JoseRSAKey

from amplify_mw.cognito.keys import (
    COOL_DOWN,
    MAX_AGE,
    MAX_KEY_SET_BYTES,
    RETRY_PAUSE,
    STALE_LIMIT,
    BadKeySet,
    KeySource,
    KeysUnavailable,
    UnknownKey,
    import_key_set,
)
from amplify_mw.cognito.rsa import RSAKey
from amplify_mw.effects import ForgetAll, Join, Launch, Outage, Request, Response, Unreachable

URL = "https://pool.example/.well-known/jwks.json"
T = 1000.0


def rsa_jwk(kid: str) -> dict[str, Any]:
    return JoseRSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}).as_dict()


A, B, C = (rsa_jwk(kid) for kid in "abc")


def document(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def answer(*keys: object) -> Response:
    return Response(200, {}, document(*keys))


@dataclass
class Verdicts:
    """Where a key source's verdicts would be."""

    kept: dict[bytes, Any] = field(default_factory=dict)

    def get(self, key: bytes) -> Any:
        return self.kept.get(key)

    def put(self, key: bytes, value: Any) -> None:
        self.kept[key] = value

    def discard(self, key: bytes) -> None:
        self.kept.pop(key, None)

    def clear(self) -> None:
        self.kept.clear()


@pytest.fixture
def source() -> KeySource:
    return KeySource((URL,), Verdicts())


@pytest.fixture
def loaded(source: KeySource) -> KeySource:
    """A source that fetched keys `a` and `b` at `T`."""
    land(source, answer(A, B), T)
    return source


def flight_of(source: KeySource, now: float) -> Generator[Any, Any, Any]:
    """The flight that a lookup of a key nobody knows asks for."""
    effect = next(source.key_for("nobody's", now + 1, now))
    assert isinstance(effect, Join)
    return effect.flight.flow(now)


def land(source: KeySource, got: Response | Unreachable, now: float) -> list[Any]:
    """Let the flight depart at `now` and land with `got`; the effects after its request."""
    return step_on(flight_of(source, now), got, now)


def step_on(flight: Generator[Any, Any, Any], got: Response | Unreachable, now: float) -> list[Any]:
    assert isinstance(next(flight), Request)
    effects: list[Any] = []
    try:
        effect = flight.throw(got) if isinstance(got, Unreachable) else flight.send((got, now))
        while True:
            effects.append(effect)
            effect = flight.send((None, now))
    except StopIteration:
        return effects


def look_up(source: KeySource, kid: str, issued_by: float, now: float) -> Any:
    """The key that a source knows, without asking the world."""
    with pytest.raises(StopIteration) as done:
        next(source.key_for(kid, issued_by, now))
    return done.value.value[0]


def asks(source: KeySource, kid: str, issued_by: float, now: float) -> type[Any]:
    """What a lookup does first: the kind of its effect or error, or RSAKey."""
    try:
        return type(next(source.key_for(kid, issued_by, now)))
    except StopIteration as done:
        return type(done.value[0])
    except (UnknownKey, KeysUnavailable) as error:
        return type(error)


# --- the first fetch


def test_the_first_lookup_joins_the_one_flight(source: KeySource) -> None:
    first, second = (next(source.key_for(kid, T, T)) for kid in "ab")
    assert isinstance(first, Join)
    assert first.flight.lane == "keys"
    assert first.flight is second.flight


def test_a_flight_asks_for_the_configured_address_and_bounds_the_answer(source: KeySource) -> None:
    assert next(flight_of(source, T)) == Request("GET", URL, max_bytes=MAX_KEY_SET_BYTES)


def test_a_waiter_gets_its_key_when_the_flight_lands(source: KeySource) -> None:
    waiter = source.key_for("a", T, T)
    next(waiter)
    land(source, answer(A), T)
    with pytest.raises(StopIteration) as done:
        waiter.send((source.state, T + 0.2))
    key, now = done.value.value
    assert (key, now) == (import_key_set(document(A))["a"], T + 0.2)


def test_a_waiter_whose_flight_failed_cannot_tell(source: KeySource) -> None:
    waiter = source.key_for("a", T, T)
    next(waiter)
    with pytest.raises(KeysUnavailable) as unavailable:
        waiter.throw(Unreachable("no answer in time"))
    assert unavailable.value.retry_after > 0


def test_a_first_fetch_that_fails_makes_no_key_unknown(source: KeySource) -> None:
    waiter = source.key_for("a", T - 500, T)
    next(waiter)
    land(source, Unreachable("refused"), T)
    with pytest.raises(KeysUnavailable):
        waiter.send((source.state, T))


# --- key ids that the set lacks


def test_a_known_key_is_found_without_asking(loaded: KeySource) -> None:
    assert look_up(loaded, "a", T - 5, T + 1) is loaded.state.keys["a"]


def test_a_key_lacked_by_a_set_fetched_after_the_token_is_unknown(loaded: KeySource) -> None:
    assert asks(loaded, "z", T - 1, T + COOL_DOWN) is UnknownKey


@pytest.mark.parametrize("issued_by", [T, T + 1, T + 1e9])
def test_a_key_may_be_newer_than_the_set_when_its_token_is(
    loaded: KeySource, issued_by: float
) -> None:
    assert asks(loaded, "z", issued_by, T + COOL_DOWN - 0.1) is KeysUnavailable
    assert asks(loaded, "z", issued_by, T + COOL_DOWN) is Join


def test_the_time_that_counts_is_when_the_request_left(source: KeySource) -> None:
    flight = flight_of(source, T)
    step_on(flight, answer(A), T + 4)  # the answer was made somewhere between
    assert asks(source, "z", T + 1, T + 4) is KeysUnavailable


def test_a_fetch_timed_by_a_clock_that_was_fast_rules_no_key_out(source: KeySource) -> None:
    land(source, answer(A), T + 600)  # the clock is set back to T after that
    assert asks(source, "z", T - 1, T) is Join
    assert asks(source, "z", T - 1, T + 600) is UnknownKey


def test_preloaded_keys_rule_every_other_out_at_any_time() -> None:
    preloaded = import_key_set(document(A))
    assert asks(KeySource((URL,), Verdicts(), preloaded=preloaded), "z", T, T) is UnknownKey


def test_a_token_without_iat_is_judged_by_any_set(loaded: KeySource) -> None:
    assert asks(loaded, "z", float("-inf"), T + 1) is UnknownKey


def test_a_rotation_is_picked_up(loaded: KeySource) -> None:
    now = T + COOL_DOWN
    waiter = loaded.key_for("c", now - 1, now)
    next(waiter)
    land(loaded, answer(A, B, C), now)
    with pytest.raises(StopIteration) as done:
        waiter.send((loaded.state, now))
    assert done.value.value[0] is loaded.state.keys["c"]


def test_a_waiter_whose_key_is_still_missing_after_the_flight_is_refused(loaded: KeySource) -> None:
    now = T + COOL_DOWN
    waiter = loaded.key_for("z", now - 1, now)
    next(waiter)
    land(loaded, answer(A, B), now)
    with pytest.raises(UnknownKey):
        waiter.send((loaded.state, now))


def test_a_flood_of_junk_kids_fetches_once_a_cool_down_and_takes_nothing_away(
    loaded: KeySource,
) -> None:
    loaded._verdicts.put(b"cookie", "a verdict")  # type: ignore[arg-type]
    effects = land(loaded, answer(A, B), T + COOL_DOWN)
    junk = {asks(loaded, f"junk{n}", T + 1e6, T + COOL_DOWN + n / 100) for n in range(999)}
    assert (effects, junk) == ([], {KeysUnavailable})
    assert loaded._verdicts.get(b"cookie") == "a verdict"
    assert sorted(loaded.state.keys) == ["a", "b"]


def test_retry_after_says_when_the_next_fetch_may_be(loaded: KeySource) -> None:
    with pytest.raises(KeysUnavailable) as unavailable:
        next(loaded.key_for("z", T + 2, T + 3))
    assert unavailable.value.retry_after == COOL_DOWN - 3


def test_a_flight_that_departs_after_another_landed_asks_nothing(source: KeySource) -> None:
    late = flight_of(source, T + 1)
    land(source, answer(A), T)
    with pytest.raises(StopIteration) as done:
        next(late)
    assert done.value.value is source.state


# --- answers that are not key sets

BAD_ANSWERS = {
    "empty": Response(200, {}, b""),
    "no keys": Response(200, {}, b'{"keys":[]}'),
    "html": Response(200, {"content-type": "text/html"}, b"<html>Sign in to this Wi-Fi</html>"),
    "binary": Response(200, {}, bytes(range(256))),
    "nested": Response(200, {}, b"[" * 100_000),
    "only others": answer(ECKey.generate_key("P-256", {"kid": "e"}).as_dict(private=False)),
    "one malformed": answer(A, B, {**C, "n": "!"}),
    "partial content": Response(206, {}, document(C)),
    "redirect": Response(302, {"location": "https://evil.example/"}, document(C)),
    "not found": Response(404, {}, document(C)),
    "broken": Response(500, {}, document(C)),
    "unreachable": Unreachable("ConnectError"),
}


@pytest.fixture(params=BAD_ANSWERS)
def bad(request: pytest.FixtureRequest) -> Response | Unreachable:
    return BAD_ANSWERS[request.param]


def test_a_bad_answer_never_replaces_good_keys(
    loaded: KeySource, bad: Response | Unreachable
) -> None:
    before = loaded.state
    land(loaded, bad, T + COOL_DOWN)
    assert loaded.state.keys is before.keys
    assert asks(loaded, "a", T, T + COOL_DOWN + 1) is RSAKey


def test_a_bad_answer_rules_no_key_out(loaded: KeySource, bad: Response | Unreachable) -> None:
    now = T + COOL_DOWN
    waiter = loaded.key_for("z", now - 1, now)
    next(waiter)
    land(loaded, bad, now)
    with pytest.raises(KeysUnavailable):
        waiter.send((loaded.state, now))


def test_a_bad_answer_is_asked_for_again_after_a_pause(
    source: KeySource, bad: Response | Unreachable
) -> None:
    land(source, bad, T)
    assert asks(source, "a", T, T + RETRY_PAUSE - 0.1) is KeysUnavailable
    assert asks(source, "a", T, T + RETRY_PAUSE) is Join


def test_an_outage_is_told_once_and_so_is_its_end(
    loaded: KeySource, bad: Response | Unreachable
) -> None:
    times = [T + COOL_DOWN + n * RETRY_PAUSE for n in range(3)]
    (told,), *later = (land(loaded, bad, now) for now in times)
    assert (told.what, told.over, later) == (URL, False, [[], []])
    assert land(loaded, answer(A, B), times[-1] + RETRY_PAUSE) == [
        Outage(URL, over=True, dependency="key_fetch")
    ]


def test_an_outage_says_why_without_quoting_the_answer(source: KeySource) -> None:
    (told,) = land(source, BAD_ANSWERS["html"], T)
    assert told.why
    assert "Wi-Fi" not in repr(told)


# --- keys that grow old


def test_old_keys_serve_while_new_ones_are_fetched_in_the_background(loaded: KeySource) -> None:
    now = T + MAX_AGE + 1
    lookup = loaded.key_for("a", T, now)
    assert isinstance(next(lookup), Launch)
    with pytest.raises(StopIteration) as done:
        lookup.send((None, now))
    assert done.value.value == (loaded.state.keys["a"], now)


def test_old_keys_serve_even_if_no_flight_can_be_launched(loaded: KeySource) -> None:
    lookup = loaded.key_for("a", T, T + MAX_AGE + 1)
    next(lookup)
    with pytest.raises(StopIteration) as done:
        lookup.throw(Unreachable("no thread could be started"))
    assert done.value.value[0] is loaded.state.keys["a"]


def test_keys_are_not_old_before_their_time(loaded: KeySource) -> None:
    assert asks(loaded, "a", T, T + MAX_AGE) is RSAKey


def test_during_an_outage_old_keys_serve_up_to_the_limit(loaded: KeySource) -> None:
    end = T + STALE_LIMIT
    land(loaded, Unreachable("down"), end - 1)
    assert asks(loaded, "a", T, end) is RSAKey
    assert asks(loaded, "a", T, end + 0.1) is KeysUnavailable


@pytest.mark.parametrize("kid", ["a", "z"])
def test_keys_past_the_limit_are_fetched_before_they_are_used(loaded: KeySource, kid: str) -> None:
    assert asks(loaded, kid, T + 1, T + STALE_LIMIT + 0.1) is Join


def test_a_key_past_the_limit_is_not_unknown_while_the_endpoint_is_down(loaded: KeySource) -> None:
    now = T + STALE_LIMIT + 1
    waiter = loaded.key_for("a", T - 1, now)
    next(waiter)
    land(loaded, Unreachable("down"), now)
    with pytest.raises(KeysUnavailable):
        waiter.send((loaded.state, now))


def test_a_verdict_is_fresh_until_the_keys_are_old(loaded: KeySource) -> None:
    assert loaded.fresh_until(T + 1) == T + MAX_AGE


def test_while_old_keys_cannot_be_renewed_a_verdict_is_fresh_until_the_next_try(
    loaded: KeySource,
) -> None:
    now = T + MAX_AGE + 10
    land(loaded, BAD_ANSWERS["broken"], now)
    assert loaded.fresh_until(now + 1) == now + RETRY_PAUSE
    assert loaded.fresh_until(now + 99) == now + 99


# --- keys that leave


@pytest.mark.parametrize(
    "keys",
    [(A,), (B, C), (A, {**B, "n": C["n"]})],
    ids=["one left", "one of two was replaced", "one changed under its kid"],
)
def test_a_key_that_leaves_takes_the_verdicts_along(loaded: KeySource, keys: tuple[Any]) -> None:
    assert land(loaded, answer(*keys), T + COOL_DOWN) == [ForgetAll(loaded._verdicts)]


@pytest.mark.parametrize("keys", [(A, B), (B, A), (C, B, A)], ids=["same", "turned", "one more"])
def test_keys_that_stay_leave_the_verdicts_alone(loaded: KeySource, keys: tuple[Any]) -> None:
    assert land(loaded, answer(*keys), T + COOL_DOWN) == []


def test_a_key_that_has_left_is_used_no_more(loaded: KeySource) -> None:
    land(loaded, answer(A), T + COOL_DOWN)
    assert asks(loaded, "b", T, T + COOL_DOWN + 1) is UnknownKey


def test_a_key_that_left_during_an_outage_takes_the_verdicts_along(loaded: KeySource) -> None:
    land(loaded, Unreachable("down"), T + COOL_DOWN)
    effects = land(loaded, answer(A), T + COOL_DOWN + RETRY_PAUSE)
    assert effects == [ForgetAll(loaded._verdicts), Outage(URL, over=True, dependency="key_fetch")]


# --- preloaded keys


@pytest.mark.parametrize("now", [0.0, T, 1e12])
@pytest.mark.parametrize("issued_by", [float("-inf"), 0.0, T, 1e13])
def test_preloaded_keys_are_never_fetched(now: float, issued_by: float) -> None:
    source = KeySource((URL,), Verdicts(), preloaded=import_key_set(document(A)))
    assert asks(source, "a", issued_by, now) is RSAKey
    assert asks(source, "z", issued_by, now) is UnknownKey
    assert source.fresh_until(now) == float("inf")


# --- importing


def imported(*keys: object) -> list[str]:
    return sorted(import_key_set(document(*keys)))


def why_not(text: bytes | str) -> str:
    with pytest.raises(BadKeySet) as bad:
        import_key_set(text)
    return str(bad.value)


PASSED_OVER: dict[str, object] = {
    "EC": ECKey.generate_key("P-256", {"kid": "x"}).as_dict(private=False),
    "oct": OctKey.generate_key(256, {"kid": "x"}).as_dict(),
    "for encryption": {**C, "use": "enc"},
    "for another algorithm": {**C, "alg": "RS512"},
    "without kid": {name: C[name] for name in ("kty", "n", "e")},
    "of an empty kid": {**C, "kid": ""},
    "of a number as kid": {**C, "kid": 3},
    "of a list as kid": {**C, "kid": ["x"]},
    "of an odd kty": {**C, "kty": ["RSA"]},
    "a text": "key",
    "a null": None,
    "a list": [],
}


@pytest.mark.parametrize("other", PASSED_OVER.values(), ids=PASSED_OVER)
def test_what_is_no_key_for_rs256_is_passed_over(other: object) -> None:
    assert imported(other, A, other) == ["a"]


@pytest.mark.parametrize("absent", ["use", "alg"])
def test_a_key_need_not_say_what_it_is_for(absent: str) -> None:
    assert imported({name: value for name, value in A.items() if name != absent}) == ["a"]


def test_two_keys_of_one_kid_are_refused() -> None:
    assert "one kid" in why_not(document(A, {**B, "kid": "a"}))


def test_a_short_key_is_refused() -> None:
    assert "2048" in why_not(document(A, {**B, "n": "_" * 170 + "w"}))  # 1024 bits


MALFORMED = [
    *({"n": bad} for bad in (None, "", 7, [], {}, "!", "AA", "A", "\ud800", "+" * 342)),
    *({"e": bad} for bad in (None, "", 3, [], "AA", "AQ", "Ag", "AAAA", "\u00e9")),
]


@pytest.mark.parametrize("change", MALFORMED, ids=repr)
def test_a_key_of_malformed_numbers_is_refused(change: dict[str, Any]) -> None:
    assert why_not(document(A, {**B, **change}))


@pytest.mark.parametrize("absent", ["n", "e"])
def test_a_key_without_its_numbers_is_refused(absent: str) -> None:
    assert why_not(document({name: value for name, value in A.items() if name != absent}))


@pytest.mark.parametrize("private", [{}, {"d": "AQAB"}, {"p": "!", "q": 7, "d": None}])
def test_private_members_are_ignored(private: dict[str, Any]) -> None:
    assert import_key_set(document({**A, **private})) == import_key_set(document(A))


def test_a_key_is_known_for_what_its_numbers_are() -> None:
    key = import_key_set(document({**A, "x5c": ["nonsense"], "key_ops": ["encrypt"], "more": 1}))
    assert key == import_key_set(document(A))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        "",
        b"null",
        b"[]",
        b"7",
        b'"keys"',
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_key_set_is_refused(text: bytes | str) -> None:
    assert why_not(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_key_set(junk: bytes) -> None:
    assert why_not(junk)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just([])


@given(st.dictionaries(st.sampled_from([*A]), VALUES, min_size=1))
def test_any_members_make_a_key_or_are_refused(members: dict[str, Any]) -> None:
    with suppress(BadKeySet):
        assert "b" in import_key_set(document({**A, **members}, B))


# --- several addresses

OTHER = "https://replica.example/.well-known/jwks.json"


@pytest.fixture
def doubled() -> KeySource:
    return KeySource((URL, OTHER), Verdicts())


def fetch(
    source: KeySource, answers: dict[str, Response | Unreachable], now: float
) -> tuple[list[Request], list[Any]]:
    """Let the flight depart and land: what it asks, and what else it does."""
    flight, asked, effects = flight_of(source, now), [], []
    try:
        effect = next(flight)
        while True:
            if isinstance(effect, Request):
                asked.append(effect)
                got = answers[effect.url]
                effect = (
                    flight.throw(got) if isinstance(got, Unreachable) else flight.send((got, now))
                )
            else:
                effects.append(effect)
                effect = flight.send((None, now))
    except StopIteration:
        return asked, effects


DOWN = Unreachable("ConnectError")
LOGIN_PAGE = Response(200, {}, b"<html>")
FORBIDDEN = Response(403, {}, b"")
BAD = [DOWN, LOGIN_PAGE, FORBIDDEN, Response(503, {}, b""), answer()]


def test_the_first_address_is_asked_and_no_other(doubled: KeySource) -> None:
    asked, effects = fetch(doubled, {URL: answer(A)}, T)
    assert [request.url for request in asked] == [URL]
    assert (effects, look_up(doubled, "a", T, T)) == ([], import_key_set(document(A))["a"])


@pytest.mark.parametrize("got", BAD, ids=repr)
def test_the_next_is_asked_in_the_same_flight(doubled: KeySource, got: Any) -> None:
    asked, _ = fetch(doubled, {URL: got, OTHER: answer(A)}, T)
    assert [request.url for request in asked] == [URL, OTHER]
    assert asks(doubled, "a", T, T) is RSAKey


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_address_has_its_share_of_the_time(count: int) -> None:
    urls = (URL, *(f"{OTHER}{number}" for number in range(1, count)))
    asked, _ = fetch(KeySource(urls, Verdicts()), dict.fromkeys(urls, DOWN), T)
    assert [request.url for request in asked] == list(urls)
    assert sum(request.patience for request in asked) <= 2.0
    assert all(request.patience <= 1.0 for request in asked)


@pytest.mark.parametrize("got", BAD, ids=repr)
def test_a_key_that_another_address_lacks_is_not_unknown(doubled: KeySource, got: Any) -> None:
    """It may lag behind, and a session must not end because the first is down."""
    fetch(doubled, {URL: got, OTHER: answer(A)}, T + 100)
    assert asks(doubled, "b", T, T + 100) is KeysUnavailable
    fetch(doubled, {URL: answer(A)}, T + 200)
    assert asks(doubled, "b", T, T + 200) is UnknownKey


def test_a_key_that_the_first_lacked_stays_unknown(doubled: KeySource) -> None:
    fetch(doubled, {URL: answer(A)}, T)
    fetch(doubled, {URL: DOWN, OTHER: answer(A)}, T + 100)
    assert asks(doubled, "b", T - 1, T + 100) is UnknownKey
    assert asks(doubled, "b", T + 1, T + 100) is KeysUnavailable


def test_another_address_adds_keys_and_removes_none(doubled: KeySource) -> None:
    fetch(doubled, {URL: answer(A, B)}, T)
    _, effects = fetch(doubled, {URL: DOWN, OTHER: answer(A, C)}, T + 100)
    assert [asks(doubled, kid, T, T + 100) for kid in "abc"] == [RSAKey] * 3
    assert not any(isinstance(effect, ForgetAll) for effect in effects)


def test_the_first_removes_them_when_it_answers_again(doubled: KeySource) -> None:
    fetch(doubled, {URL: answer(A, B)}, T)
    fetch(doubled, {URL: DOWN, OTHER: answer(A, C)}, T + 100)
    _, effects = fetch(doubled, {URL: answer(A, C)}, T + 200)
    assert any(isinstance(effect, ForgetAll) for effect in effects)
    assert asks(doubled, "b", T, T + 200) is UnknownKey


def test_without_the_first_for_long_the_keys_of_another_are_the_set(doubled: KeySource) -> None:
    fetch(doubled, {URL: answer(A, B)}, T)
    _, effects = fetch(doubled, {URL: DOWN, OTHER: answer(A)}, T + STALE_LIMIT + 1)
    assert any(isinstance(effect, ForgetAll) for effect in effects)
    assert asks(doubled, "b", T, T + STALE_LIMIT + 1) is KeysUnavailable


def test_with_all_addresses_down_good_keys_stay_and_it_is_one_outage(doubled: KeySource) -> None:
    fetch(doubled, {URL: answer(A)}, T)
    told = []
    for later, own, other in [(20, DOWN, FORBIDDEN), (40, LOGIN_PAGE, DOWN), (60, DOWN, answer(A))]:
        _, effects = fetch(doubled, {URL: own, OTHER: other}, T + later)
        told += effects
        assert asks(doubled, "a", T, T + later) is RSAKey
    _, effects = fetch(doubled, {URL: answer(A)}, T + 80)
    both = f"{URL} and {OTHER}"
    assert [(event.what, event.over) for event in told + effects] == [
        *((both, False), (both, True), (URL, False), (URL, True)),
    ]
    assert told[0].why == "ConnectError"
    assert "another address" in told[2].meanwhile
