"""How long a session lasts: `idle`, `absolute` and rolling, whatever a client does with cookies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import CookiePolicy
from amplify_mw.testing import LocalUserPool
from tests.shells import Got, Shell
from tests.sites import (
    DAY,
    HOUR,
    IN_COOKIE,
    LASTING,
    NAME,
    STORED,
    Build,
    Clock,
    Site,
    attributes,
    session_of,
)

# A stored session that has run out is not found; a sealed one says itself that it has.
OVER = {
    **dict.fromkeys(IN_COOKIE, "TokenExpiredException session_expired"),
    **dict.fromkeys(STORED, "NotAuthorizedException invalid_session"),
}
REVOKED = "NotAuthorizedException session_revoked"


@pytest.fixture
def build(build: Build) -> Build:
    """Makes a site: `build(kind, **options of the session)`."""

    def make(kind: str, **session: Any) -> Site:
        # What lasts longer than a day is the session, not the cookie's policy.
        return build(kind, session=session, cookie=CookiePolicy(max_age=60))

    return make


def max_age(got: Got) -> int | None:
    """The age that a response gives the cookie; None if it sets none."""
    ages = [int(attributes(line)["max-age"]) for line in got.all("set-cookie")]
    (kept,) = [age for age in ages if age > 0] or [None]  # (others of its name are cleared)
    return kept


def is_over(got: Got, kind: str) -> bool:
    return got.body == OVER[kind] and got.clears_cookie


# --- idle


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_that_is_not_used_ends_on_the_second(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY)
    browser, other = site.sign_in(), site.sign_in()
    site.clock.advance(DAY - 1)
    assert browser.does().body == "ada"
    site.clock.advance(1)
    assert is_over(other.does(), kind)
    assert browser.does().body == "ada"  # which was used a second ago


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_that_is_used_does_not_end(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY)
    browser = site.sign_in()
    for _ in range(5):
        site.clock.advance(DAY - 1)
        assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_that_is_over_asks_cognito_for_nothing(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY)
    browser = site.sign_in()
    site.clock.advance(2 * DAY)
    assert is_over(browser.does(), kind)
    assert site.pool.requests == []


@pytest.mark.parametrize("kind", LASTING)
def test_ending_what_is_over_clears_it_and_tells_nobody(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY)
    browser = site.sign_in()
    site.clock.advance(2 * DAY)
    got = browser.does(site.end(everywhere=True))
    site.settle()
    assert (got.body, got.clears_cookie, site.pool.requests) == ("None", True, [])


@pytest.mark.parametrize("kind", LASTING)
def test_requests_within_the_tokens_life_count_as_use(build: Build, kind: str) -> None:
    """The verdict is cached then, and the session must be rolled all the same."""
    site = build(kind, idle=600)
    browser = site.sign_in()
    for _ in range(30):
        site.clock.advance(59)
        assert browser.does().body == "ada"
    assert site.pool.requests == []


# --- absolute


@pytest.mark.parametrize("kind", LASTING)
def test_no_use_keeps_a_session_beyond_its_absolute_end(build: Build, kind: str) -> None:
    site = build(kind, idle=3 * DAY, absolute=10 * DAY)
    browser = site.sign_in()
    for _ in range(9):
        site.clock.advance(DAY)
        assert browser.does().body == "ada"
    site.clock.advance(DAY - 1)
    assert browser.does().body == "ada"
    site.clock.advance(1)
    assert is_over(browser.does(), kind)


@pytest.mark.parametrize("kind", LASTING)
def test_a_forced_refresh_moves_no_absolute_end(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY, absolute=DAY)
    browser = site.sign_in()
    site.clock.advance(DAY - 1)
    assert max_age(browser.does(site.refresh)) == 1
    site.clock.advance(1)
    assert is_over(browser.does(), kind)


@pytest.mark.parametrize("kind", LASTING)
def test_a_new_sign_in_is_a_new_session(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY, absolute=DAY)
    browser = site.sign_in()
    site.clock.advance(DAY - 1)
    got = browser.does(site.start(site.pool.sign_in("ada")))
    assert max_age(got) == DAY
    site.clock.advance(DAY - 1)
    assert browser.does().body == "ada"


# --- the cookie's age


@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize(("idle", "absolute"), [(DAY, 30 * DAY), (7 * DAY, 2 * DAY), (60, 60)])
def test_the_cookie_lives_as_long_as_its_session(
    build: Build, kind: str, idle: float, absolute: float
) -> None:
    site = build(kind, idle=idle, absolute=absolute)
    got = site.browser().does(site.start(site.pool.sign_in("ada")))
    assert max_age(got) == min(idle, absolute)


@pytest.mark.parametrize("kind", LASTING)
def test_the_cookies_age_shrinks_towards_the_absolute_end(build: Build, kind: str) -> None:
    site = build(kind, idle=3 * DAY, absolute=5 * DAY)
    browser, ages = site.sign_in(), []
    for _ in range(4):
        site.clock.advance(DAY)
        ages.append(max_age(browser.does()))
    assert ages == [3 * DAY, 3 * DAY, 2 * DAY, DAY]


@pytest.mark.parametrize("kind", STORED)
def test_a_record_lives_as_long_as_its_session(build: Build, kind: str) -> None:
    site = build(kind, idle=3 * DAY, absolute=5 * DAY)
    browser, created = site.sign_in(), site.clock.now
    for expected in (3, 4, 5, 5):
        [(_, record)] = site.kept()
        assert (record.created_at, record.expires_at - created) == (created, expected * DAY)
        site.clock.advance(DAY)
        browser.does()


# --- rolling


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_is_rolled_once_in_a_tenth_of_its_idle_time(build: Build, kind: str) -> None:
    site = build(kind, idle=1000)
    browser, rolled = site.sign_in(), []
    for _ in range(30):
        site.clock.advance(10)
        rolled.append(max_age(browser.does()))
    assert [at for at, age in enumerate(rolled, 1) if age is not None] == [10, 20, 30]
    assert {age for age in rolled if age is not None} == {1000}


@pytest.mark.parametrize("kind", STORED)
def test_a_request_between_rolls_writes_nothing(build: Build, kind: str) -> None:
    site = build(kind, idle=1000)
    browser = site.sign_in()
    before = site.kept()
    for _ in range(9):
        site.clock.advance(10)
        browser.does()
    assert site.kept() == before
    site.clock.advance(10)
    browser.does()
    assert site.kept() != before


@pytest.mark.parametrize("kind", LASTING)
def test_a_process_that_sees_a_session_first_rolls_it_no_sooner(build: Build, kind: str) -> None:
    site = build(kind, idle=1000)
    browser = site.sign_in()
    for age, is_rolled in ((99, False), (100, True)):
        elsewhere = Site(site.shell, site.pool, site.clock, site.session)
        there = elsewhere.browser(browser.jar)
        site.clock.advance(age)
        assert (max_age(there.does()) is not None) is is_rolled
        site.clock.advance(-age)
        elsewhere.settle()


@pytest.mark.parametrize("kind", LASTING)
def test_a_refresh_rolls_as_well(build: Build, kind: str) -> None:
    site = build(kind, idle=DAY)
    browser = site.sign_in()
    site.clock.advance(HOUR)  # less than a tenth of a day
    assert max_age(browser.does()) == DAY
    site.clock.advance(DAY - 1)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", STORED)
def test_a_roll_does_not_bring_an_ended_session_back(build: Build, kind: str) -> None:
    site = build(kind, idle=1000)
    browser = site.sign_in()
    thief = browser.copy()
    browser.does(site.end())
    site.clock.advance(100)
    assert thief.does().body == "NotAuthorizedException invalid_session"
    assert site.kept() == []


# --- old cookies


def test_a_cookie_from_before_a_roll_ends_at_its_own_time(build: Build) -> None:
    site = build("sealed", idle=1000)
    browser = site.sign_in()
    old = browser.copy()
    for _ in range(9):
        site.clock.advance(100)
        browser.does()
    old_jar = dict(old.jar)
    site.clock.advance(100)
    assert is_over(site.browser(old_jar).does(), "sealed")
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", IN_COOKIE)
def test_no_old_cookie_outlives_the_absolute_end(build: Build, kind: str) -> None:
    site = build(kind, idle=1000, absolute=3000)
    browser = site.sign_in()
    jars: list[dict[str, str]] = []
    for _ in range(29):
        site.clock.advance(100)
        browser.does()
        jars.append(dict(browser.jar))
    site.clock.advance(100)
    assert len({jar[NAME] for jar in jars}) > 20
    assert all(is_over(site.browser(jar).does(), kind) for jar in jars)


@pytest.mark.parametrize("kind", IN_COOKIE)
def test_a_cookie_from_before_a_refresh_leads_to_the_newer_one(build: Build, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    old = browser.copy()
    site.clock.advance(HOUR)
    browser.does()
    assert old.does().body == "ada"
    assert old.value == browser.value
    assert site.pool.count("GetTokensFromRefreshToken") == 1


@pytest.mark.parametrize("kind", IN_COOKIE)
def test_no_cookie_of_an_ended_session_is_good_again(build: Build, kind: str) -> None:
    """Neither those from before a refresh or a roll, nor at any time that they would last."""
    site = build(kind)
    browser = site.sign_in()
    jars = [dict(browser.jar)]
    for _ in range(3):
        site.clock.advance(DAY)
        browser.does()
        jars.append(dict(browser.jar))
    browser.does(site.end())
    for _ in range(28):
        assert {site.browser(jar).does().body for jar in jars} <= {REVOKED, OVER[kind]}
        site.clock.advance(DAY)


@pytest.mark.parametrize("kind", IN_COOKIE)
def test_an_old_cookie_ends_the_session_for_the_newer_ones(build: Build, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    old = browser.copy()
    site.clock.advance(HOUR)
    browser.does()
    assert old.does(site.end()).clears_cookie
    assert browser.does().body == REVOKED


# --- sessions that are not refreshed


def test_a_tokens_session_ends_with_it_whatever_the_cookie_says(
    shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    site = Site(shell, pool, clock, session_of("token", clock, tmp_path))
    browser = site.sign_in()
    clock.advance(HOUR + 4)  # the leeway
    assert browser.does().body == "ada"
    clock.advance(1)
    got = browser.does()
    assert (got.body, got.clears_cookie) == ("TokenExpiredException token_expired", True)


@pytest.mark.parametrize("kind", LASTING)
def test_without_a_refresh_token_a_session_is_rolled_and_ends_with_its_tokens(
    build: Build, kind: str
) -> None:
    site = build(kind, idle=1000)
    browser = site.browser()
    tokens = replace(site.pool.sign_in("ada"), refresh_token=None)
    browser.does(site.start(tokens))
    for _ in range(4):
        site.clock.advance(900)
        last = browser.does()
        assert last.body == "ada"
    site.clock.advance(6)
    got = browser.does()
    assert (got.body, got.clears_cookie) == ("TokenExpiredException token_expired", True)


# --- a clock that was set


@pytest.mark.parametrize("kind", LASTING)
def test_a_clock_that_is_set_back_signs_nobody_out(build: Build, kind: str) -> None:
    site = build(kind, idle=1000)
    browser = site.sign_in()
    site.clock.advance(-4)  # within the leeway
    assert browser.does().body == "ada"
    site.clock.advance(4)
    assert browser.does().body == "ada"
