"""A pool of several Regions, each a server of its own, while some of them are down.

`SETTLING` and the other rules are tested by hand in `cognito/test_regions.py`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from amplify_mw.cognito.regions import SETTLING
from amplify_mw.events import Event, Outage, Revoked
from amplify_mw.testing import CognitoError, Down, LocalUserPool, Status
from amplify_mw.testing.pool.pool import Lost
from tests.patience import PATIENCE
from tests.sites import HOUR, LASTING, Browser, Build, Clock, Site, town

REFRESH = "GetTokensFromRefreshToken"
KINDS = (*LASTING, "amplify")
NOBODY = "NotAuthorizedException session_revoked"
NOT_NOW = "NetworkError cognito_unavailable"
MANY = [f"user-{number}" for number in range(8)]

every_kind = pytest.mark.parametrize("kind", KINDS)
rotating = pytest.mark.parametrize(
    "pool_options", [{}, {"rotate_refresh_tokens": True}], ids=["", "rotating"]
)


@pytest.fixture
def pool(clock: Clock, pool_options: dict[str, Any]) -> Iterator[LocalUserPool]:
    """A pool whose own Region and replica serve, with many users."""
    with town(clock, **pool_options) as pool:
        for name in MANY:
            pool.add_user(name)
        pool.replica("us-west-2")
        yield pool


@pytest.fixture
def replica(pool: LocalUserPool) -> Any:
    return pool._replicas["us-west-2"]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def build(build: Build, events: list[Event]) -> Build:
    return lambda *kinds, **options: build(
        *kinds, **{"on_event": events.append, "http_timeout": 30, **options}
    )


def due(site: Site, *names: str) -> list[Browser]:
    """Browsers of users whose tokens have run out."""
    browsers = [site.sign_in(name) for name in names or ("ada",)]
    site.clock.advance(2 * HOUR)
    return browsers


def outages(events: list[Event]) -> list[tuple[str, bool]]:
    return [(event.what, event.over) for event in events if isinstance(event, Outage)]


# --- one Region is down


@rotating
@every_kind
def test_sessions_are_refreshed_by_a_replica_while_the_own_region_is_down(
    build: Build, pool: LocalUserPool, replica: Any, kind: str, events: list[Event]
) -> None:
    site = build(kind)
    (browser,) = due(site)
    pool.stop()
    assert browser.does().body == "ada"
    site.clock.advance(2 * HOUR)
    assert browser.does().body == "ada"
    assert (replica.count(REFRESH), len(outages(events))) == (2, 1)
    pool.start()
    pool.requests.clear()
    site.clock.advance(2 * HOUR)
    assert browser.does().body == "ada"
    assert (pool.count(REFRESH), replica.count(REFRESH)) == (1, 2)
    (begun, over) = outages(events)
    assert begun == (f"token refresh at {pool.url}/", False)
    assert over == (begun[0], True)


@pytest.mark.parametrize("fault", [Down(), Status(503), Status(500)], ids=repr)
@pytest.mark.parametrize("refresh_api", [REFRESH, "InitiateAuth"])
def test_so_they_are_while_it_fails(
    build: Build, pool: LocalUserPool, replica: Any, fault: Any, refresh_api: str
) -> None:
    site = build(refresh_api=refresh_api)
    (browser,) = due(site)
    with pool.fault("*", fault):
        assert browser.does().body == "ada"
    assert (pool.count(refresh_api), replica.count(refresh_api)) == (1, 1)


def test_and_if_it_does_not_do_that_any_more(
    build: Build, pool: LocalUserPool, replica: Any, events: list[Event]
) -> None:
    site = build()
    (browser,) = due(site)
    with pool.fault(REFRESH, CognitoError("OperationNotEnabledException")):
        assert browser.does().body == "ada"
    assert (replica.count(REFRESH), outages(events)) == (1, [])


def test_a_region_that_never_answers_leaves_time_for_the_next(
    build: Build, pool: LocalUserPool, replica: Any
) -> None:
    """With one replica, each of the two has the configured time-out."""
    site = build(http_timeout=10)
    ada, grace = due(site, "ada", "grace")
    with pool.hold("*"):
        assert ada.does().body == "ada"
        assert grace.does().body == "grace"
    assert (pool.count(REFRESH), replica.count(REFRESH)) == (1, 2)


def test_a_replica_that_is_down_matters_to_nobody(build: Build, replica: Any) -> None:
    site = build()
    (browser,) = due(site)
    replica.stop()
    assert browser.does().body == "ada"


def test_attributes_come_from_a_replica(build: Build, pool: LocalUserPool, replica: Any) -> None:
    site = build()
    browser = site.sign_in()

    def email() -> object:
        return site.verbs.fetch_user_attributes()["email"]

    pool.stop()
    assert browser.does(email).body == "ada@example.com"
    pool.start()
    site.clock.advance(HOUR / 2)
    assert browser.does(email).body == "ada@example.com"
    assert (pool.count("GetUser"), replica.count("GetUser")) == (1, 1)


def test_so_does_the_confirmation_that_a_user_is_signed_in(
    build: Build, pool: LocalUserPool, replica: Any
) -> None:
    site = build("memory", session={"verify_with_cognito_every": 60})
    browser = site.sign_in()
    pool.stop()
    for _ in range(3):
        site.clock.advance(61)
        assert browser.does().body == "ada"
    assert replica.count("GetUser") == 3


@pytest.mark.parametrize("way", ["first", "later"])
def test_key_sets_come_from_a_replica(
    build: Build, pool: LocalUserPool, replica: Any, way: str
) -> None:
    site = build("token", keys=None)
    if way == "later":
        assert site.sign_in().does().body == "ada"
        pool.rotate_keys()
        site.clock.advance(60)
    pool.stop()
    assert site.sign_in().does().body == "ada"
    assert replica.count("jwks") == 1


def test_a_key_set_that_never_comes_leaves_time_for_the_next(
    build: Build, pool: LocalUserPool, replica: Any
) -> None:
    site = build("token", keys=None, http_timeout=10)
    with pool.hold("*"):
        assert site.sign_in().does().body == "ada"
    assert (pool.count("jwks"), replica.count("jwks")) == (1, 1)


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_sign_out_is_carried_out_by_a_replica(
    build: Build, pool: LocalUserPool, replica: Any, events: list[Event], everywhere: bool
) -> None:
    site = build()
    browser = site.sign_in()
    pool.stop()
    assert browser.does(site.end(everywhere=everywhere)).body == "None"
    site.settle()
    revoked = [event for event in events if isinstance(event, Revoked)]
    assert [event.is_done for event in revoked] == [True] * (1 + everywhere)
    assert (replica.count("RevokeToken"), replica.count("GlobalSignOut")) == (1, everywhere)


# --- all of them are down


def test_all_regions_down_is_one_outage_and_nobody_is_signed_out(
    build: Build, pool: LocalUserPool, replica: Any, events: list[Event]
) -> None:
    site = build()
    browsers = due(site, *MANY)
    pool.stop()
    replica.stop()
    for _ in range(2):
        got = [browser.does() for browser in browsers]
        assert {one.body for one in got} == {NOT_NOW}
        assert not any(one.all("set-cookie") for one in got)
        site.clock.advance(2)
    both = f"token refresh at {pool.url}/ and {replica.url}/"
    assert outages(events) == [(both, False)]
    replica.start()
    pool.start()
    site.clock.advance(60)
    assert [browser.does().body for browser in browsers] == MANY
    assert outages(events) == [(both, False), (both, True)]


# --- what ends no session


@pytest.mark.parametrize("pool_options", [{"rotate_refresh_tokens": True, "rotation_grace": 60}])
@every_kind
def test_a_refresh_whose_answer_was_lost_and_that_a_replica_refuses_ends_nothing(
    build: Build, pool: LocalUserPool, replica: Any, kind: str
) -> None:
    """The own Region has used the refresh token up, and the replica knows of that or does not."""
    site = build(kind)
    (browser,) = due(site)
    for code in ("RefreshTokenReuseException", "NotAuthorizedException"):
        with pool.fault(REFRESH, Lost()), replica.fault(REFRESH, CognitoError(code, "Revoked")):
            got = browser.does()
        assert (got.body, got.all("set-cookie")) == (NOT_NOW, [])
        site.clock.advance(10)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("pool_options", [{"rotate_refresh_tokens": True}])
@every_kind
def test_nor_does_the_own_regions_refusal_until_it_has_caught_up(
    build: Build, pool: LocalUserPool, replica: Any, kind: str
) -> None:
    """A replica has issued the refresh token, and the own Region does not know it yet."""
    site = build(kind)
    (browser,) = due(site)
    pool.stop()
    assert browser.does().body == "ada"
    pool.start()
    site.clock.advance(10)
    with pool.fault(REFRESH, CognitoError("NotAuthorizedException", "Invalid Refresh Token")):
        got = browser.does(site.refresh, site.who)
        assert (got.body, got.clears_cookie) == (f"{NOT_NOW}, ada", False)
    site.clock.advance(10)
    assert browser.does(site.refresh).status == 200
    assert browser.does().body == "ada"


def test_nor_does_its_refusal_of_the_new_access_token(build: Build, pool: LocalUserPool) -> None:
    """Asked for attributes, it may not know yet what a replica has issued."""
    site = build()
    (browser,) = due(site)
    pool.stop()
    assert browser.does().body == "ada"
    pool.start()
    site.clock.advance(10)
    asking = (site.verbs.fetch_user_attributes, site.who)
    with pool.fault("GetUser", CognitoError("NotAuthorizedException", "Invalid Access Token")):
        got = browser.does(*asking)
        assert (got.body, got.all("set-cookie")) == (f"{NOT_NOW}, ada", [])
        site.clock.advance(SETTLING)
        assert browser.does(*asking).body == f"{NOBODY}, {NOBODY}"


def test_a_session_that_is_over_ends_once_the_own_region_has_caught_up(
    build: Build, pool: LocalUserPool
) -> None:
    site = build()
    (browser,) = due(site)
    pool.stop()
    assert browser.does().body == "ada"
    pool.start()
    pool.disable_user("ada")
    site.clock.advance(10)
    assert browser.does(site.refresh).body == NOT_NOW
    site.clock.advance(SETTLING)
    got = browser.does(site.refresh)
    assert (got.body, got.clears_cookie) == (NOBODY, True)


@every_kind
def test_a_session_that_is_over_is_over_at_the_own_regions_word(
    build: Build, pool: LocalUserPool, replica: Any, kind: str
) -> None:
    """A replica that does not know it yet is not asked."""
    site = build(kind)
    (browser,) = due(site)
    pool.disable_user("ada")
    assert browser.does().body == NOBODY
    assert browser.jar == {}
    assert replica.count(REFRESH) == 0


def test_attributes_refused_by_a_replica_end_nothing(
    build: Build, pool: LocalUserPool, replica: Any
) -> None:
    site = build()
    browser = site.sign_in()
    pool.stop()
    with replica.fault("GetUser", CognitoError("NotAuthorizedException", "Revoked")):
        got = browser.does(site.verbs.fetch_user_attributes, site.who)
    assert (got.body, got.all("set-cookie")) == (f"{NOT_NOW}, ada", [])


# A Region that stops may have rotated a token whose answer is lost. Within the grace, another one
# gives the answer anew; without a grace that session is lost, as it is with a single Region.
@pytest.mark.parametrize("pool_options", [{"rotate_refresh_tokens": True, "rotation_grace": 60}])
def test_many_at_once_lose_nobody_while_regions_come_and_go(
    build: Build, pool: LocalUserPool, replica: Any
) -> None:
    site = build()
    browsers = due(site, *MANY)
    turns: list[Callable[[], object]] = [pool.stop, pool.start, replica.stop, replica.start]
    with ThreadPoolExecutor(len(browsers)) as threads:
        for turn in [*turns, *turns]:
            asked = [threads.submit(browser.does) for browser in browsers]
            turn()
            for one in asked:
                assert one.result(PATIENCE).status in (200, 503)
            site.clock.advance(2 * HOUR)
    assert [browser.does().body for browser in browsers] == MANY
