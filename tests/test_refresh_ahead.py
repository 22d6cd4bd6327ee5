"""Refreshes ahead of time: the tokens are good, and nobody waits for the newer ones.

While a pool holds a refresh (`pool.hold(REFRESH)`), whoever is answered has not waited for it.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.events import Refreshed
from amplify_mw.sessions.refreshing import Refresher
from amplify_mw.testing import Body, CognitoError, Down, LocalUserPool, Throttling
from tests.shells import ASGIShell, Ask
from tests.sites import HOUR, LASTING, NAME, STORED, Browser, Build, Clock, Site, town
from tests.test_one_refresh import WAYS

REFRESH = "GetTokensFromRefreshToken"
EARLY = HOUR - 301  # seconds after a sign-in: nothing is due
AHEAD = HOUR - 200  # a refresh may begin
DUE = HOUR - 3  # it is due, and the tokens are good
OVER = HOUR + 6  # they are good no longer
CROWD = 50
KINDS = (*LASTING, "amplify")

every_kind = pytest.mark.parametrize("kind", KINDS)
in_cookies = pytest.mark.parametrize("kind", ["sealed", "coordinated", "amplify"])
without_reuse = pytest.mark.parametrize("kind", ["sealed", "amplify"])


@pytest.fixture
def rotating(clock: Clock) -> Iterator[LocalUserPool]:
    """A pool whose refresh tokens are good once."""
    with town(clock, rotate_refresh_tokens=True, rotation_grace=0) as pool:
        yield pool


def token(site: Site) -> Callable[[], object]:
    """Says which access token a request has."""
    return lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded


def come(browser: Browser) -> tuple[str, bool]:
    """The access token of a request, and whether its response sets a cookie."""
    got = browser.does(browser.site.who, token(browser.site))
    who, _, said = got.body.partition(", ")
    assert (got.status, who) == (200, "ada")
    return said, bool(got.all("set-cookie"))


def signed_in(site: Site) -> Browser:
    """A browser whose session was refreshed just now: it is known that its tokens do not rotate."""
    browser = site.sign_in()
    browser.does(site.refresh)
    site.settle()
    site.pool.requests.clear()
    return browser


def send_ahead(browser: Browser) -> str:
    """Let a request start a refresh, and wait until it has landed; the token of the request."""
    with browser.site.pool.hold(REFRESH) as gate:
        had, sets = come(browser)
        gate.wait_for_arrivals()
    browser.site.settle()
    assert not sets
    return had


def shows_new_tokens(browser: Browser, had: str) -> bool:
    """Whether the next response has newer tokens; it alone sets a cookie, if there is one."""
    fresh, sets = come(browser)
    is_in_store = NAME in browser.jar and browser.site.session.__class__.__name__ == "StoredSession"
    assert (fresh != had, sets) == (True, not is_in_store)
    return come(browser) == (fresh, False)


# --- the window


@every_kind
def test_a_request_goes_on_with_its_tokens_and_the_next_has_newer_ones(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(EARLY)
    come(browser)
    site.settle()
    assert site.pool.count(REFRESH) == 0
    clock.advance(AHEAD - EARLY)
    assert shows_new_tokens(browser, send_ahead(browser))
    assert site.pool.count(REFRESH) == 1


@every_kind
def test_so_it_goes_on_for_hours(build: Build, clock: Clock, kind: str) -> None:
    browser = signed_in(build(kind))
    for times in range(1, 4):
        clock.advance(AHEAD)
        assert shows_new_tokens(browser, send_ahead(browser))
        assert browser.site.pool.count(REFRESH) == times


@pytest.mark.parametrize("kinds", [("sealed", "amplify"), ("amplify", "memory")], ids="-".join)
def test_several_kinds_refresh_ahead_too(build: Build, clock: Clock, kinds: Any) -> None:
    site = build(*kinds)
    browser = signed_in(site)
    clock.advance(AHEAD)
    had = send_ahead(browser)
    fresh, sets = come(browser)
    assert (fresh != had, sets) == (True, True)
    assert come(browser) == (fresh, False)
    assert site.pool.count(REFRESH) == 1


@every_kind
def test_it_can_be_turned_off(build: Build, clock: Clock, kind: str) -> None:
    site = build(kind, session={"refresh_ahead": 0})
    browser = signed_in(site)
    clock.advance(HOUR - 61)
    had, _ = come(browser)
    site.settle()
    assert site.pool.count(REFRESH) == 0
    clock.advance(58)
    assert come(browser)[0] != had


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_with_questions_to_cognito_in_between(build: Build, clock: Clock, kind: str) -> None:
    site = build(kind, session={"verify_with_cognito_every": 300})
    browser = signed_in(site)
    clock.advance(AHEAD)
    assert shows_new_tokens(browser, send_ahead(browser))


@every_kind
def test_one_event_tells_of_it(build: Build, clock: Clock, kind: str) -> None:
    told: list[Any] = []
    site = build(kind, on_event=told.append)
    browser = signed_in(site)
    told.clear()
    clock.advance(AHEAD)
    assert shows_new_tokens(browser, send_ahead(browser))
    assert sum(isinstance(event, Refreshed) for event in told) == 1


TIMES = st.floats(0, 3600)


@given(
    lives=st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)),
    margin=TIMES,
    ahead=TIMES,
    leeway=st.floats(0, 60),
)
def test_tokens_are_never_renewed_in_the_first_half_of_their_life(
    lives: tuple[float, float], margin: float, ahead: float, leeway: float
) -> None:
    tokens = [
        SimpleNamespace(expires_at=life + leeway, lifetime=life, client="c") for life in lives
    ]
    times: Any = SimpleNamespace(refresh_margin=margin, refresh_ahead=ahead)
    around: Any = SimpleNamespace(leeway=leeway)
    refresher = Refresher(times, around, None, None, is_shared=True)  # type: ignore[arg-type]
    pair: Any = (*tokens, True)
    due_at, ahead_at, shortest = refresher.due_at(pair), refresher.ahead_at(pair), min(lives)
    near = pytest.approx
    assert ahead_at <= due_at <= shortest + 1e-6
    assert due_at >= shortest / 2 - 1e-6
    assert due_at >= shortest - margin - 1e-6
    if ahead_at < due_at:
        assert ahead_at >= shortest * 0.75 - 1e-6
        assert ahead_at >= shortest - ahead - 1e-6
    if not ahead:
        assert ahead_at == near(due_at)


# --- nobody waits


@pytest.mark.parametrize("kind", ["sealed", "memory", "amplify"])
@pytest.mark.parametrize("way", WAYS)
def test_a_crowd_is_served_while_cognito_hangs(
    pool: LocalUserPool, clock: Clock, open_site: Build, kind: str, way: str, build: Build
) -> None:
    shell, together = WAYS[way]
    site = build(kind)
    first = signed_in(site)
    made = shell()
    app = made.middleware(made.app(lambda: str(site.who())), site.engine)
    clock.advance(AHEAD)
    with site.pool.hold(REFRESH) as gate:
        got = together(made, app, [Ask(cookies=first.header)] * CROWD)
        gate.wait_for_arrivals()
        assert {(one.status, one.body) for one in got} == {(200, "ada")}
        assert not any(one.all("set-cookie") for one in got)
    site.settle()
    late = first.copy()
    assert come(first)[0] == come(late)[0]
    assert first.jar == late.jar
    assert site.pool.count(REFRESH) == 1


@pytest.mark.parametrize("at", [AHEAD, DUE], ids=["ahead", "due"])
@pytest.mark.parametrize("kind", ["sealed", "memory", "amplify"])
def test_a_cognito_that_hangs_delays_none_of_a_thousand_requests(
    build: Build, clock: Clock, kind: str, at: float
) -> None:
    site = build(kind, session={"patience": 0.01})
    browsers = [signed_in(site) for _ in range(40)]
    clock.advance(at)
    with site.pool.hold(REFRESH) as gate:
        for _ in range(25):
            assert {browser.does().body for browser in browsers} == {"ada"}
        gate.wait_for_arrivals()
    site.settle()
    clock.advance(20)
    assert {browser.does().body for browser in browsers} == {"ada"}


@every_kind
def test_a_due_refresh_is_waited_for_as_long_as_there_is_patience(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind, session={"patience": 0.01})
    browser = signed_in(site)
    clock.advance(DUE)
    with site.pool.hold(REFRESH) as gate:
        had, sets = come(browser)
        gate.wait_for_arrivals()
        assert not sets
        assert come(browser) == (had, False)
    site.settle()
    assert shows_new_tokens(browser, had)
    assert site.pool.count(REFRESH) == 1


@every_kind
def test_while_patience_lasts_a_due_refresh_is_waited_for(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    had, _ = come(browser)
    clock.advance(DUE)
    assert come(browser)[0] != had


@every_kind
def test_an_app_that_insists_on_new_tokens_waits_for_those_on_their_way(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(AHEAD)
    with site.pool.hold(REFRESH) as gate, ThreadPoolExecutor(1) as threads:
        had, _ = come(browser)
        gate.wait_for_arrivals()
        insisting = threads.submit(browser.copy().does, site.refresh)
        gate.release()
        assert insisting.result().body != had


@in_cookies
def test_expired_tokens_wait_for_a_refresh_that_began_ahead(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind, session={"patience": 0.01})
    browser = signed_in(site)
    clock.advance(AHEAD)
    with site.pool.hold(REFRESH) as gate, ThreadPoolExecutor(1) as threads:
        had, _ = come(browser)
        gate.wait_for_arrivals()
        clock.advance(OVER - AHEAD)
        late = threads.submit(come, browser)
        gate.release()
        assert late.result()[0] != had
    assert site.pool.count(REFRESH) == 1


def test_a_request_that_is_cancelled_takes_no_refresh_along(build: Build, clock: Clock) -> None:
    site, shell = build("sealed"), ASGIShell()
    browser = signed_in(site)
    clock.advance(AHEAD)

    async def cancelled() -> None:
        reached = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        ask = Ask(cookies=browser.header)
        request = asyncio.create_task(shell.serve(shell.middleware(app, site.engine), ask))
        await reached.wait()
        request.cancel()
        await asyncio.wait([request])
        assert request.cancelled()

    with site.pool.hold(REFRESH) as gate:
        asyncio.run(cancelled())
        gate.wait_for_arrivals()
    site.settle()
    _, sets = come(browser)
    assert sets
    assert site.pool.count(REFRESH) == 1


# --- refusals


FAULTS = {
    "down": Down(),
    "throttled": Throttling(),
    "garbage": Body(b"<html>"),
    "error": CognitoError("InternalErrorException"),
}


@every_kind
@pytest.mark.parametrize("at", [AHEAD, DUE], ids=["ahead", "due"])
@pytest.mark.parametrize("fault", FAULTS)
def test_nobody_with_good_tokens_is_refused(
    build: Build, clock: Clock, kind: str, at: float, fault: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(at)
    with site.pool.fault(REFRESH, FAULTS[fault]):
        for _ in range(3):
            got = browser.does()
            site.settle()
            assert (got.body, got.all("set-cookie")) == ("ada", [])
    clock.advance(120)
    assert browser.does().body == "ada"
    site.settle()
    assert browser.does().body == "ada"


@without_reuse
@pytest.mark.parametrize("at", [AHEAD, DUE], ids=["ahead", "due"])
def test_a_refresh_token_that_was_used_elsewhere_costs_no_request_either(
    build: Build, clock: Clock, kind: str, at: float
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(at)
    with site.pool.fault(REFRESH, CognitoError("RefreshTokenReuseException")):
        for _ in range(3):
            got = browser.does()
            site.settle()
            assert (got.body, got.all("set-cookie")) == ("ada", [])
    assert site.pool.count(REFRESH) == 1


@every_kind
def test_a_failing_cognito_is_asked_once_in_ten_seconds(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(AHEAD)
    with site.pool.fault(REFRESH, CognitoError("UserLambdaValidationException_")):
        for _ in range(30):
            assert browser.does().body == "ada"
            site.settle()
            clock.advance(1)
    assert site.pool.count(REFRESH) <= 3


@every_kind
def test_when_cognito_says_that_it_is_over_the_next_request_is_signed_out(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(AHEAD)
    with site.pool.fault(REFRESH, CognitoError("NotAuthorizedException", "revoked")):
        assert browser.does().body == "ada"
        site.settle()
    got = browser.does()
    assert "Exception" in got.body
    assert [line for line in got.all("set-cookie") if "Max-Age=0" in line]
    assert not browser.jar


# --- the end of a session


@every_kind
def test_who_signs_out_wins_over_a_refresh_in_the_air(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site)
    clock.advance(AHEAD)
    with site.pool.hold("RevokeToken") as revocations, site.pool.hold(REFRESH) as gate:
        come(browser)
        gate.wait_for_arrivals()
        thief = browser.copy()
        assert browser.does(site.end()).body == "None"
        gate.release()
        revocations.wait_for_arrivals(2)  # of the tokens there were, and of those that came
    site.settle()
    for later in (0, 30, HOUR):
        clock.advance(later)
        assert "Exception" in thief.copy().does().body
    assert not hasattr(site.session, "store") or site.kept() == []


@pytest.mark.parametrize("kind", ["coordinated", *STORED])
def test_what_landed_after_the_visitor_had_gone_is_kept(
    build: Build, clock: Clock, rotating: LocalUserPool, kind: str
) -> None:
    site = build(kind, pool=rotating)
    browser = site.sign_in()
    clock.advance(AHEAD)
    had = send_ahead(browser)
    clock.advance(48 * HOUR)
    other = Site(site.shell, rotating, clock, site.session)  # another process
    assert come(other.browser(browser.jar))[0] != had
    other.settle()


# --- refresh tokens that rotate


@pytest.mark.parametrize("kind", ["coordinated", *STORED])
def test_a_rotating_token_is_renewed_ahead_where_all_processes_share_a_store(
    build: Build, clock: Clock, rotating: LocalUserPool, kind: str
) -> None:
    browser = build(kind, pool=rotating).sign_in()
    for times in range(1, 4):
        clock.advance(AHEAD)
        assert shows_new_tokens(browser, send_ahead(browser))
        assert rotating.count(REFRESH) == times


@without_reuse
def test_without_one_a_rotated_token_goes_home_with_the_response_that_asked_for_it(
    build: Build, clock: Clock, rotating: LocalUserPool, kind: str
) -> None:
    """The process might end before the next one."""
    site = build(kind, pool=rotating)
    browser = site.sign_in()
    clock.advance(DUE)
    assert come(browser)[1]  # from now on it is known that they rotate
    clock.advance(AHEAD)
    had, sets = come(browser)
    site.settle()
    assert (sets, site.pool.count(REFRESH)) == (False, 1)
    clock.advance(DUE - AHEAD)
    fresh, sets = come(browser)
    assert (fresh != had, sets) == (True, True)


@without_reuse
def test_without_one_nothing_is_refreshed_behind_a_request_that_cannot_wait(
    build: Build, clock: Clock, rotating: LocalUserPool, kind: str
) -> None:
    site = build(kind, session={"patience": 0}, pool=rotating)
    browsers = [site.sign_in(), site.sign_in()]
    clock.advance(DUE)
    with rotating.hold(REFRESH) as gate:
        come(browsers[0])
        gate.wait_for_arrivals()  # and all patience is gone
        come(browsers[1])
    site.settle()
    assert rotating.count(REFRESH) == 1
    clock.advance(OVER - DUE)
    for browser in browsers:
        assert come(browser)[1]


@without_reuse
def test_who_cannot_know_whether_they_rotate_waits_for_the_first_answer(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browsers = [site.sign_in(), site.sign_in()]
    clock.advance(AHEAD)
    assert come(browsers[0])[1]
    assert shows_new_tokens(browsers[1], send_ahead(browsers[1]))


# --- where no response sets a cookie


@in_cookies
def test_who_only_looks_refreshes_nothing(build: Build, clock: Clock, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    clock.advance(AHEAD)
    home = site.engine.authenticator
    value = home.read(browser.header.encode())
    found = site.engine.driver.run(home.sessions.look(value, clock.now))
    site.settle()
    assert found.verdict.user.username == "ada"
    assert site.pool.count(REFRESH) == 0
