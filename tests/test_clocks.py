"""A machine whose clock differs from the pool's: nobody is signed out, and the log says so once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyCookies, SealedSession, StoredSession, TokenSession
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.amplify import cookies_of
from tests.shells import AwaitingShell, Shell, WSGIShell, shells
from tests.sites import HOUR, KEYS, LASTING, NAME, Browser, Build, Clock, Site, session_of, town

BEHIND = "NetworkError token_not_yet_valid"
REFRESH = "GetTokensFromRefreshToken"
LIFETIME = 3600.0


@pytest.fixture
def cognitos() -> Clock:
    """The pool's clock, which is right."""
    return Clock()


@pytest.fixture
def ours() -> Clock:
    """This machine's."""
    return Clock()


@pytest.fixture
def rotates() -> bool:
    """Whether a refresh brings a new refresh token."""
    return True


rotating_or_not = pytest.mark.parametrize("rotates", [False, True])


KINDS = ("token", *LASTING, "amplify", "amplify and sealed", "token and sealed")


shell = shells(WSGIShell, AwaitingShell)


@pytest.fixture
def clock(ours: Clock) -> Clock:
    return ours


@pytest.fixture
def pool(rotates: bool, cognitos: Clock) -> Iterator[LocalUserPool]:
    with town(cognitos, rotate_refresh_tokens=rotates, rotation_grace=60.0) as pool:
        yield pool


@pytest.fixture
def build(build: Build) -> Build:
    named: dict[str, list[Any]] = {
        "amplify and sealed": [SealedSession(keys=KEYS[:1]), AmplifyCookies()],
        "token and sealed": [SealedSession(keys=KEYS[:1]), TokenSession()],
    }
    return lambda kind, **options: build(*named.get(kind, [kind]), **options)


def signed_in(site: Site, kind: str) -> Browser:
    """A browser with the cookies of a session; nothing of it is remembered here."""
    if kind.startswith("amplify"):
        return site.browser(cookies_of(site.pool.sign_in("ada")))
    if kind.startswith("token"):
        return site.browser({NAME: site.pool.sign_in("ada").id_token})
    return site.sign_in()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the operator is told of clocks."""
    told = [record for record in caplog.records if record.name == "amplify_mw"]
    return [record.getMessage() for record in told if "clock" in record.getMessage()]


# --- behind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behind", [6, 30, 3600])
def test_behind_the_session_stays_and_counts_once_the_clock_has_caught_up(
    build: Build, ours: Clock, kind: str, behind: int, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(kind, protect=["/account"])
    browser = signed_in(site, kind)
    cookies = dict(browser.jar)
    ours.advance(-behind)
    site = build(kind, protect=["/account"])  # nothing is known here
    if kind == "memory":
        site.session.store._entries.update(browser.site.session.store._entries)
    browser = site.browser(cookies)
    for _ in range(3):
        got = browser.does()
        assert (got.body, got.all("set-cookie")) == (BEHIND, [])
        got = browser.ask(lambda: "the app", path="/account")
        assert (got.status, got.all("set-cookie")) == (503, [])
        assert 1 <= int(got.one("retry-after") or 0) <= 10
    assert lines(caplog) == [
        f"this machine's clock is {behind} s behind the pool's ({site.pool.issuer}); "
        "sessions are kept meanwhile: have the clock set by NTP"
    ]
    ours.advance(behind)
    assert browser.does().body == "ada"
    assert browser.jar == cookies


@pytest.mark.parametrize("kind", KINDS)
def test_within_the_leeway_nothing_is_amiss(
    build: Build, ours: Clock, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours.advance(-5)
    browser = signed_in(build(kind), kind)
    assert browser.does().body == "ada"
    assert lines(caplog) == []


@pytest.mark.parametrize("kind", KINDS)
def test_behind_a_session_cannot_be_started_now_and_the_one_that_is_there_goes_on(
    build: Build, ours: Clock, cognitos: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    assert browser.does().body == "ada"
    cookies = dict(browser.jar)
    cognitos.advance(30)
    got = browser.does(site.start(site.pool.sign_in("grace")), site.who)
    assert (got.body, got.all("set-cookie")) == (f"{BEHIND}, ada", [])
    ours.advance(30)
    assert browser.jar == cookies
    assert browser.does(site.start(site.pool.sign_in("grace")), site.who).body == "grace, grace"


@pytest.mark.parametrize("kind", KINDS)
def test_behind_one_may_sign_out(build: Build, ours: Clock, kind: str, pool: LocalUserPool) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    thief = browser.copy()
    ours.advance(-30)
    got = browser.does(site.end())
    assert got.body == "None"
    assert browser.jar == {} or kind.startswith("amplify")
    site.settle()
    ours.advance(30)
    if kind.startswith("token"):
        assert thief.does().body == "ada"  # as ever: nobody is asked about a token
    else:
        assert thief.does().body.startswith("NotAuthorizedException")
        assert pool.count("RevokeToken") == 1


@rotating_or_not
@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
def test_behind_a_refresh_loses_no_session(
    build: Build, ours: Clock, cognitos: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    ours.advance(LIFETIME)
    cognitos.advance(LIFETIME + 30)
    assert browser.does().body == BEHIND
    assert browser.does().body == BEHIND
    ours.advance(30)
    assert browser.does().body == "ada"
    assert site.pool.count(REFRESH) == 1


def test_behind_a_forged_token_is_as_invalid_as_ever(build: Build, ours: Clock) -> None:
    site = build("token")
    ours.advance(-30)
    for wrong in ({"client_id": "another"}, {"issuer": "https://evil.example"}):
        browser = site.browser({NAME: site.pool.mint("ada", **wrong)})
        assert browser.does().clears_cookie
    head, claims, _ = site.pool.mint("ada").split(".")
    signature = site.pool.mint("grace").split(".")[2]
    browser = site.browser({NAME: f"{head}.{claims}.{signature}"})
    assert browser.does().clears_cookie


# --- ahead


@rotating_or_not
@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
@pytest.mark.parametrize("ahead", [LIFETIME - 3, LIFETIME, LIFETIME + 100, 30 * HOUR])
def test_ahead_one_refresh_that_brought_nothing_better_is_enough_for_a_while(
    build: Build, ours: Clock, kind: str, ahead: float, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    ours.advance(ahead)
    holds = ahead < LIFETIME + 5
    for _ in range(20):
        assert browser.does().body == ("ada" if holds else "NetworkError token_expired")
        ours.advance(0.2)
    assert site.pool.count(REFRESH) == 1
    assert lines(caplog) == [
        f"this machine's clock is {ahead:.0f} s ahead of the pool's ({site.pool.issuer}); "
        "sessions are kept meanwhile: have the clock set by NTP"
    ]
    ours.advance(-ahead - 4)  # set right
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
@pytest.mark.parametrize("ahead", [HOUR - 250, HOUR - 70])
def test_ahead_tokens_that_could_be_refreshed_early_are_not_refreshed_again_and_again(
    build: Build, ours: Clock, cognitos: Clock, kind: str, ahead: float
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    ours.advance(ahead)
    for _ in range(10):
        assert browser.does().body == "ada"
        site.settle()
        for clock in (ours, cognitos):
            clock.advance(0.5)
    assert site.pool.count(REFRESH) == 1


@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
def test_ahead_tokens_are_refreshed_again_when_they_have_run_out_by_this_clock(
    build: Build, ours: Clock, cognitos: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    ours.advance(LIFETIME - 3)
    for _ in range(40):  # two minutes
        assert browser.does().body == "ada"
        for clock in (ours, cognitos):
            clock.advance(3)
    assert 2 <= site.pool.count(REFRESH) <= 1 + 120 // 5


@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
def test_ahead_the_app_may_insist_on_new_tokens(build: Build, ours: Clock, kind: str) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    ours.advance(LIFETIME - 3)
    assert browser.does().body == "ada"
    for count in (2, 3):
        assert browser.does(site.refresh).body.startswith("ey")
        assert site.pool.count(REFRESH) == count


@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
def test_two_processes_whose_clocks_are_ahead_do_not_make_each_other_refresh(
    shell: Shell, pool: LocalUserPool, ours: Clock, tmp_path: Path, kind: str
) -> None:
    session = AmplifyCookies() if kind == "amplify" else session_of(kind, ours, tmp_path)
    sites = [Site(shell, pool, ours, session) for _ in range(2)]
    browser = signed_in(sites[0], kind)
    ours.advance(LIFETIME - 3)
    for number in range(20):
        browser.site = sites[number % 2]
        assert browser.does().body == "ada"
    assert pool.count(REFRESH) <= 2
    for site in sites:
        site.close()


def test_a_pause_does_not_outlast_a_clock_that_is_set_back(
    shell: Shell, pool: LocalUserPool, ours: Clock, cognitos: Clock
) -> None:
    site = Site(shell, pool, ours, StoredSession(MemoryStore(clock=ours)))
    browser = site.sign_in()
    ours.advance(LIFETIME + 100)
    assert browser.does().body == "NetworkError token_expired"
    ours.advance(-LIFETIME - 30)
    for clock in (ours, cognitos):
        clock.advance(LIFETIME - 30)
    assert browser.does().body == "ada"
    assert pool.count(REFRESH) == 2
    site.close()
