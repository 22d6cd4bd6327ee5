"""Attributes: by hand over the flows, and against a real pool through the driver."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from amplify_mw import TokenSession
from amplify_mw.authenticator import Visit
from amplify_mw.cognito.api import Failure
from amplify_mw.cognito.attributes import (
    SELF_SERVICE_SCOPE,
    Attributes,
    AttributeSource,
    attributes_of_claims,
)
from amplify_mw.cognito.regions import Settling
from amplify_mw.effects import Join, Outage, Request, Response, Unreachable
from amplify_mw.engine.cache import BoundedCache
from amplify_mw.engine.engine import Engine
from amplify_mw.errors import AuthError
from amplify_mw.models import AuthUser
from amplify_mw.sessions.verdicts import Refused, SignedIn
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Body, CognitoError, Down, Status, Throttling
from amplify_mw.verbs.user import attributes_result
from tests.visits import is_known, visiting

ENDPOINT = "https://pool.example/"
T = 1000.0
GOOD = Response(200, {}, b'{"UserAttributes":[{"Name":"email","Value":"ada@example.com"}]}')
SLOW = Response(400, {}, b'{"__type":"TooManyRequestsException"}')
REVOKED = Response(400, {}, b'{"__type":"NotAuthorizedException"}')
DOWN = Unreachable("ConnectError")


def verdict(
    access_token: bytes | None = b"access.ada",
    id_token: bytes | None = None,
    scopes: tuple[str, ...] = (SELF_SERVICE_SCOPE,),
) -> SignedIn:
    return SignedIn(
        user=AuthUser("ada", "0f3c"),
        cookie=b"cookie",
        issuer="https://issuer.example",
        pool="eu-west-1_Ab12Cd34E",
        id_token=id_token,
        access_token=access_token,
        scopes=frozenset(scopes),
        expires_at=T + 3600,
        fresh_until=T + 3600,
        size=0,
    )


@pytest.fixture
def cache() -> BoundedCache:
    return BoundedCache(100, 1_000_000)


@pytest.fixture
def source(cache: BoundedCache) -> AttributeSource:
    return AttributeSource(cache, 60, Settling())


def result_of(flow: Generator[Any, Any, Any]) -> Any:
    """What a flow answers without asking the world."""
    with pytest.raises(StopIteration) as done:
        next(flow)
    return done.value.value


def departing(
    source: AttributeSource, now: float, asked: SignedIn | None = None, endpoint: str = ENDPOINT
) -> Generator[Any, Any, Any]:
    """The flight that a request for attributes asks for."""
    effect = next(source.fetch(asked or verdict(), (endpoint,), now))
    assert isinstance(effect, Join)
    return effect.flight.flow(now)


def landing(
    flight: Generator[Any, Any, Any], got: Response | Unreachable, now: float, cache: BoundedCache
) -> tuple[Any, list[Outage]]:
    """Let a flight that has asked land with `got`: its result, and what the operator is told."""
    told: list[Outage] = []
    try:
        effect = flight.throw(got) if isinstance(got, Unreachable) else flight.send((got, now))
        while True:
            if isinstance(effect, Outage):
                told.append(effect)
            elif effect.value is None:
                cache.discard(effect.key)
            else:
                cache.put(effect.key, effect.value)
            effect = flight.send((None, now))
    except StopIteration as done:
        return done.value, told


@dataclass
class Pilot:
    """Flies one request after another."""

    source: AttributeSource
    cache: BoundedCache

    def __call__(
        self, got: Response | Unreachable, now: float, asked: SignedIn | None = None, **where: str
    ) -> tuple[Any, list[Outage]]:
        flight = departing(self.source, now, asked, **where)
        assert isinstance(next(flight), Request)
        return landing(flight, got, now, self.cache)


@pytest.fixture
def fly(source: AttributeSource, cache: BoundedCache) -> Pilot:
    return Pilot(source, cache)


# --- where attributes come from

CLAIMS: dict[str, Any] = {
    "sub": "0f3c",
    "email": "ada@example.com",
    "email_verified": True,
    "phone_number_verified": False,
    "custom:seats": 3,
    "address": {"formatted": "1 Long Street", "locale": {"x": [1, None]}},
    "identities": [{"providerName": "Google", "primary": "true"}],
}
PROTOCOL = [
    *("iss", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "acr", "amr", "at_hash", "c_hash"),
    *("s_hash", "auth_time", "token_use", "event_id", "origin_jti", "client_id", "scope"),
    *("version", "cognito:username", "cognito:groups", "cognito:roles", "cognito:x"),
]


def test_all_claims_but_the_protocols_own_are_attributes_as_text() -> None:
    assert attributes_of_claims(CLAIMS) == {
        "sub": "0f3c",
        "email": "ada@example.com",
        "email_verified": "true",
        "phone_number_verified": "false",
        "custom:seats": "3",
        "address": '{"formatted":"1 Long Street","locale":{"x":[1,null]}}',
        "identities": '[{"providerName":"Google","primary":"true"}]',
    }


@pytest.mark.parametrize("name", PROTOCOL)
def test_a_claim_of_the_protocol_is_no_attribute(name: str) -> None:
    assert attributes_of_claims({**CLAIMS, name: "x"}) == attributes_of_claims(CLAIMS)


def id_token() -> bytes:
    return b"e30." + urlsafe_b64encode(json.dumps(CLAIMS).encode()).rstrip(b"=") + b".AA"


def test_a_session_of_an_id_token_answers_from_its_claims(source: AttributeSource) -> None:
    flow = source.fetch(verdict(None, id_token(), ()), (ENDPOINT,), T)
    assert result_of(flow) == attributes_of_claims(CLAIMS)


def test_a_session_of_both_without_the_scope_answers_from_claims(source: AttributeSource) -> None:
    flow = source.fetch(verdict(b"a.b.c", id_token(), ("openid",)), (ENDPOINT,), T)
    assert result_of(flow)["email"] == "ada@example.com"


def test_a_session_of_both_with_the_scope_asks_cognito(source: AttributeSource) -> None:
    flow = source.fetch(verdict(b"a.b.c", id_token()), (ENDPOINT,), T)
    assert isinstance(next(flow), Join)


@pytest.mark.parametrize("scopes", [(), ("openid",), (SELF_SERVICE_SCOPE + "x",)])
def test_an_access_token_without_the_scope_says_nothing(
    source: AttributeSource, scopes: tuple[str, ...]
) -> None:
    failure = result_of(source.fetch(verdict(scopes=scopes), (ENDPOINT,), T))
    assert (failure.reason, failure.ends_session) == ("missing_scope", False)
    assert f"sign in with the scope {SELF_SERVICE_SCOPE}, or" in failure.exception().message


# --- what is kept


def test_an_answer_is_kept_under_a_digest_of_the_token(fly: Pilot, cache: BoundedCache) -> None:
    fly(GOOD, T)
    assert list(cache) == [sha256(b"access.ada").digest()]


@pytest.mark.parametrize(("later", "asks"), [(0.0, False), (59.9, False), (60.0, True)])
def test_an_answer_is_kept_for_its_time(fly: Pilot, later: float, asks: bool) -> None:
    fly(GOOD, T)
    flow = fly.source.fetch(verdict(), (ENDPOINT,), T + later)
    if asks:
        assert isinstance(next(flow), Join)
    else:
        assert result_of(flow) == {"email": "ada@example.com"}


def test_with_a_ttl_of_0_nothing_is_kept(cache: BoundedCache) -> None:
    fly = Pilot(AttributeSource(cache, 0, Settling()), cache)
    assert fly(GOOD, T)[0].values == {"email": "ada@example.com"}
    assert not cache


def test_one_users_two_tokens_are_asked_for_separately(fly: Pilot) -> None:
    fly(GOOD, T)
    other = fly.source.fetch(verdict(b"access.other"), (ENDPOINT,), T)
    assert isinstance(next(other), Join)


def test_a_token_has_one_flight_key_and_another_token_another(source: AttributeSource) -> None:
    def key(token: bytes) -> Any:
        return next(source.fetch(verdict(token), (ENDPOINT,), T)).flight.key

    assert key(b"a") == key(b"a") != key(b"b")
    assert b"a" not in key(b"a")


def test_a_newcomer_whose_flight_departs_after_another_landed_asks_nothing(fly: Pilot) -> None:
    late = departing(fly.source, T)
    fly(GOOD, T)
    assert result_of(late).values == {"email": "ada@example.com"}


def test_sizes_grow_with_what_is_kept() -> None:
    small, large = Attributes({"a": "b"}, T), Attributes({"a": "b" * 1000}, T)
    assert large.size >= small.size + 1000


# --- throttling


def pauses(fly: Pilot, count: int) -> list[float]:
    """How long nobody is asked after each of so many throttled calls, one as soon as allowed."""
    now, found = T, []
    for _ in range(count):
        failure, _ = fly(SLOW, now)
        found.append(failure.retry_after)
        assert result_of(fly.source.fetch(verdict(), (ENDPOINT,), now + failure.retry_after - 0.1))
        now += failure.retry_after
    return found


def test_the_pause_doubles_from_1_to_30_seconds(fly: Pilot) -> None:
    assert pauses(fly, 7) == [1, 2, 4, 8, 16, 30, 30]


def test_a_success_resets_the_pause(fly: Pilot) -> None:
    pauses(fly, 4)
    fly(GOOD, T + 100)
    failure, _ = fly(SLOW, T + 200)
    assert failure.retry_after == 1


@pytest.mark.parametrize("got", [DOWN, Response(503, {}, b"")])
def test_an_outage_makes_no_pause_and_does_not_reset_one(
    fly: Pilot, got: Response | Unreachable
) -> None:
    pauses(fly, 2)
    fly(got, T + 100)
    failure, _ = fly(SLOW, T + 100)
    assert failure.retry_after == 4


def test_during_a_pause_nobody_is_asked_for_anybody(fly: Pilot) -> None:
    fly(SLOW, T)
    failure = result_of(fly.source.fetch(verdict(b"access.bob"), (ENDPOINT,), T + 0.5))
    assert (failure.reason, failure.ends_session) == ("throttled", False)


def test_during_a_pause_what_is_kept_goes_on_serving(fly: Pilot) -> None:
    fly(GOOD, T)
    fly(SLOW, T, verdict(b"access.bob"))
    assert (
        result_of(fly.source.fetch(verdict(), (ENDPOINT,), T + 0.5))["email"] == "ada@example.com"
    )


def test_a_flight_that_departs_during_a_pause_asks_nothing(fly: Pilot) -> None:
    late = departing(fly.source, T + 0.5, verdict(b"access.bob"))
    fly(SLOW, T)
    assert result_of(late).reason == "throttled"


def test_flights_throttled_together_count_as_one(fly: Pilot, cache: BoundedCache) -> None:
    flights = [departing(fly.source, T, verdict(b"%d" % n)) for n in range(8)]
    for flight in flights:
        next(flight)
    failures = [landing(flight, SLOW, T + 0.1, cache)[0] for flight in flights]
    assert {failure.retry_after for failure in failures} == {1.0}


def test_a_success_that_departed_before_the_pause_does_not_reset_it(
    fly: Pilot, cache: BoundedCache
) -> None:
    pauses(fly, 3)
    early = departing(fly.source, T + 50, verdict(b"access.bob"))
    next(early)
    fly(SLOW, T + 50)
    landing(early, GOOD, T + 50, cache)
    failure, _ = fly(SLOW, T + 100)
    assert failure.retry_after == 16


def test_one_pools_throttling_does_not_pause_another(fly: Pilot) -> None:
    fly(SLOW, T)
    elsewhere = fly.source.fetch(verdict(), "https://other.example/", T)
    assert isinstance(next(elsewhere), Join)


# --- outages


def test_an_outage_is_told_once_and_so_is_its_end(fly: Pilot) -> None:
    told = [fly(got, T + n * 60)[1] for n, got in enumerate((DOWN, SLOW, DOWN, GOOD))]
    assert [[outage.over for outage in each] for each in told] == [[False], [], [], [True]]
    assert "ConnectError" in told[0][0].why


def test_one_pools_answer_does_not_end_anothers_outage(fly: Pilot) -> None:
    fly(DOWN, T)
    assert fly(GOOD, T, endpoint="https://other.example/")[1] == []
    assert [outage.over for outage in fly(GOOD, T + 61)[1]] == [True]


def test_a_refused_user_is_an_answer_that_ends_an_outage(fly: Pilot) -> None:
    fly(DOWN, T)
    failure, told = fly(REVOKED, T + 1)
    assert (failure.ends_session, [outage.over for outage in told]) == (True, [True])


def test_a_refused_users_attributes_are_dropped(fly: Pilot, cache: BoundedCache) -> None:
    fly(GOOD, T)
    fly(REVOKED, T + 61)
    assert not cache


def test_a_waiter_whose_flight_never_landed_cannot_tell(source: AttributeSource) -> None:
    waiter = source.fetch(verdict(), (ENDPOINT,), T)
    next(waiter)
    with pytest.raises(StopIteration) as done:
        waiter.throw(Unreachable("no answer in time"))
    assert done.value.value.reason == "cognito_unavailable"


# --- asking Cognito every so often whether the user is signed in still


def confirming(
    fly: Pilot, now: float, got: Response | Unreachable | None, asked: SignedIn | None = None
) -> Any:
    """What comes of it; `got`: what Cognito answers, None where it must not be asked."""
    flow = fly.source.confirm(asked or verdict(), (ENDPOINT,), 300, now)
    if got is None:
        return result_of(flow)
    effect = next(flow)
    assert isinstance(effect, Join)
    flight = effect.flight.flow(now)
    assert isinstance(next(flight), Request)
    answer, _ = landing(flight, got, now, fly.cache)
    with pytest.raises(StopIteration) as done:
        flow.send((answer, now))
    return done.value.value


def test_cognitos_word_holds_for_so_many_seconds(fly: Pilot) -> None:
    assert confirming(fly, T, GOOD) == T + 300
    assert confirming(fly, T + 299, None) == T + 300
    assert confirming(fly, T + 300, GOOD) == T + 600


def test_a_user_whom_cognito_refuses_is_not_confirmed(fly: Pilot) -> None:
    confirming(fly, T, GOOD)
    failure = confirming(fly, T + 300, REVOKED)
    assert (failure.reason, failure.ends_session) == ("session_revoked", True)


def test_an_older_word_does_not_outlive_a_refusal(fly: Pilot) -> None:
    confirming(fly, T, GOOD)
    confirming(fly, T + 300, REVOKED)
    assert confirming(fly, T + 301, DOWN).reason == "cognito_unavailable"


@pytest.mark.parametrize("got", [DOWN, SLOW, Response(503, {}, b"")], ids=repr)
def test_while_cognito_cannot_be_asked_its_word_holds_for_as_long_again(
    fly: Pilot, got: Response | Unreachable
) -> None:
    confirming(fly, T, GOOD)
    assert confirming(fly, T + 300, got) == T + 302
    assert confirming(fly, T + 599, got) == T + 601
    assert confirming(fly, T + 630, got).is_outage


def test_in_a_pause_the_older_word_holds_and_nobody_is_asked(fly: Pilot) -> None:
    confirming(fly, T, GOOD)
    confirming(fly, T + 300, SLOW)
    assert confirming(fly, T + 300.5, None) == T + 302.5


def test_who_was_never_confirmed_is_not_believed_while_cognito_cannot_be_asked(fly: Pilot) -> None:
    failure = confirming(fly, T, DOWN)
    assert (failure.reason, failure.ends_session) == ("cognito_unavailable", False)


@pytest.mark.parametrize(
    "asked", [verdict(None), verdict(scopes=("openid",))], ids=["no access token", "no scope"]
)
def test_a_session_that_may_not_ask_cannot_be_confirmed(fly: Pilot, asked: SignedIn) -> None:
    failure = confirming(fly, T, None, asked)
    assert (failure.reason, failure.ends_session) == ("missing_scope", False)


def test_attributes_that_were_just_fetched_are_cognitos_word_too(fly: Pilot) -> None:
    fly(GOOD, T)
    assert confirming(fly, T + 100, None) == T + 300


# --- against a real pool, through the driver


@dataclass
class Site:
    """A pool, an engine, and a clock that stands still."""

    pool: LocalUserPool
    engine: Engine
    now: list[float]

    def visit(self, cookie: str) -> Visit:
        header = b"amplify-session=" + cookie.encode()
        home = self.engine.authenticator
        return self.engine.driver.run(visiting(home, header, self.now[0]))

    def attributes(self, visit: Visit) -> Any:
        assert isinstance(visit.verdict, SignedIn)
        home = self.engine.authenticator
        return self.engine.driver.run(home.fetch_attributes(visit, visit.verdict, self.now[0]))


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    now = [1_800_000_000.0]
    with LocalUserPool(clock=lambda: now[0]) as pool:
        pool.add_user("ada", email="ada@example.com")
        made: list[Engine] = []

        def make(**options: Any) -> Site:
            made.append(Engine(pool.config(**options), clock=lambda: now[0]))
            return Site(pool, made[-1], now)

        yield make
        for engine in made:
            engine.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def token(site: Site) -> str:
    return site.pool.sign_in("ada").access_token


def test_cognito_is_asked_once_while_its_answer_is_fresh(site: Site, token: str) -> None:
    first = site.attributes(site.visit(token))
    assert first == site.attributes(site.visit(token))
    assert first["email_verified"] == "false"
    assert site.pool.count("GetUser") == 1


def test_cognito_is_asked_again_when_its_answer_is_old(site: Site, token: str) -> None:
    site.attributes(site.visit(token))
    site.now[0] += 60
    site.attributes(site.visit(token))
    assert site.pool.count("GetUser") == 2


def test_with_a_ttl_of_0_each_visit_asks_once(make_site: Callable[..., Site]) -> None:
    site = make_site(attributes_ttl=0)
    token = site.pool.sign_in("ada").access_token
    visits = [site.visit(token) for _ in range(2)]
    for visit in [*visits, *visits]:
        site.attributes(visit)
    assert site.pool.count("GetUser") == 2


def test_many_threads_share_one_get_user(site: Site, token: str) -> None:
    visit = site.visit(token)
    with site.pool.hold("GetUser") as gate, ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(site.attributes, Visit.of(visit.home, visit.verdict)) for _ in range(8)
        ]
        gate.wait_for_arrivals(1)
        gate.release()
    assert {future.result()["email"] for future in asked} == {"ada@example.com"}
    assert site.pool.count("GetUser") == 1


def test_a_user_whom_cognito_refuses_is_signed_out_and_forgotten(site: Site, token: str) -> None:
    visit = site.visit(token)
    site.pool.disable_user("ada")
    assert site.attributes(visit).reason == "session_revoked"
    assert isinstance(visit.verdict, Refused)
    assert visit.clears
    home = site.engine.authenticator
    assert not is_known(home, b"amplify-session=" + token.encode(), site.now[0])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Down(), "cognito_unavailable"),
        (Status(500), "cognito_unavailable"),
        (Status(400, b"<html>"), "cognito_unavailable"),
        (Body(b"<html>Sign in to this Wi-Fi</html>"), "cognito_unavailable"),
        (Throttling(), "throttled"),
        (CognitoError("InvalidParameterException"), "cognito_misconfigured"),
        (CognitoError("OperationNotEnabledException"), "cognito_misconfigured"),
        (CognitoError("ForbiddenException"), "firewall_blocked"),
        (CognitoError("AnErrorOfTomorrowException"), "cognito_error"),
        (CognitoError("PasswordResetRequiredException"), "password_reset_required"),
    ],
    ids=repr,
)
def test_no_outage_signs_anybody_out(site: Site, token: str, fault: Any, reason: str) -> None:
    visit = site.visit(token)
    with site.pool.fault("GetUser", fault):
        failure = site.attributes(visit)
    assert (failure.reason, visit.clears, visit.verdict.user) == (
        reason,
        False,
        AuthUser("ada", visit.verdict.user.user_id),
    )
    assert isinstance(failure.exception(), AuthError)


def test_throttling_is_not_answered_by_asking_more(site: Site, token: str) -> None:
    visit = site.visit(token)
    with site.pool.fault("GetUser", Throttling()):
        for _ in range(5):
            assert site.attributes(visit).retry_after == 1
    assert site.pool.count("GetUser") == 1
    site.now[0] += 1
    assert site.attributes(visit)["email"] == "ada@example.com"


def test_what_a_caller_was_given_is_not_what_the_next_is_given(site: Site, token: str) -> None:
    mine = attributes_result(site.attributes(site.visit(token)))
    mine["email"] = "mallory@example.com"
    assert site.attributes(site.visit(token))["email"] == "ada@example.com"


def test_a_failure_is_no_attributes(site: Site) -> None:
    visit = site.visit(site.pool.sign_in("ada", scope="openid").access_token)
    failure = site.attributes(visit)
    assert isinstance(failure, Failure)
    assert (failure.reason, site.pool.count("GetUser")) == ("missing_scope", 0)


def test_cognitos_word_does_not_prolong_a_verdict(make_site: Callable[..., Site]) -> None:
    site = make_site(session=TokenSession(verify_with_cognito_every=300))
    token = site.pool.sign_in("ada").access_token
    verdict = site.visit(token).verdict
    assert isinstance(verdict, SignedIn)
    assert verdict.fresh_until == site.now[0] + 300
    site.now[0] = verdict.expires_at - 10
    later = site.visit(token).verdict
    assert isinstance(later, SignedIn)
    assert later.fresh_until <= verdict.expires_at < site.now[0] + 300
