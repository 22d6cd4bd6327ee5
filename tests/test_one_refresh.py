"""Many requests at once on sessions that are due: one refresh each, and to everybody their own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.testing import CognitoError, Down, LocalUserPool
from tests.patience import PATIENCE
from tests.shells import ASGIShell, Ask, Got, WSGIShell
from tests.sites import HOUR, IN_COOKIE, LASTING, STORED, Browser, Clock, Site, session_of, town

REFRESH = "GetTokensFromRefreshToken"
CROWD = 50
LOOPS = 5
MANY = [f"user-{number}" for number in range(20)]
REVOKED = "NotAuthorizedException session_revoked"


def on_threads(shell: Any, app: Any, asks: list[Ask]) -> list[Got]:
    together = threading.Barrier(len(asks))

    def send(ask: Ask) -> Got:
        together.wait(PATIENCE)
        got: Got = shell.send(app, ask)
        return got

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(send, asks))


def on_a_loop(shell: Any, app: Any, asks: list[Ask]) -> list[Got]:
    async def send_all() -> list[Got]:
        return list(await asyncio.gather(*[shell.serve(app, ask) for ask in asks]))

    return asyncio.run(send_all())


def on_several_loops(shell: Any, app: Any, asks: list[Ask]) -> list[Got]:
    parts = [asks[number::LOOPS] for number in range(LOOPS)]
    with ThreadPoolExecutor(LOOPS) as loops:
        answers = list(loops.map(lambda part: on_a_loop(shell, app, part), parts))
    return [answers[number % LOOPS][number // LOOPS] for number in range(len(asks))]


Way = tuple[type[Any], Callable[..., list[Got]]]
WAYS: dict[str, Way] = {
    "threads": (WSGIShell, on_threads),
    "tasks": (ASGIShell, on_a_loop),
    "loops": (ASGIShell, on_several_loops),
}


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    """A refresh token is good once: whoever refreshes twice loses the session."""
    with town(clock, rotate_refresh_tokens=True, rotation_grace=0) as pool:
        for name in MANY:
            pool.add_user(name)
        yield pool


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture(params=LASTING)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(kind: str, way: Way, pool: LocalUserPool, clock: Clock, tmp_path: Path) -> Iterator[Site]:
    site = Site(way[0](), pool, clock, session_of(kind, clock, tmp_path))
    yield site
    site.close()


def everybody(site: Site, way: Way, browsers: list[Browser]) -> list[Got]:
    """What all of them get when they come while Cognito takes its time."""
    asks = [Ask(cookies=browser.header) for browser in browsers]
    app = site.app(lambda: str(site.who()))
    with site.pool.hold(REFRESH) as gate, ThreadPoolExecutor(1) as crowd:
        answers = crowd.submit(way[1], site.shell, app, asks)
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        gate.release()
        got = answers.result()
    for browser, answer in zip(browsers, got, strict=True):
        browser.keep(answer)
    return got


def test_one_session_is_refreshed_once_for_all_who_come(site: Site, kind: str, way: Way) -> None:
    first = site.sign_in()
    browsers = [first.copy() for _ in range(CROWD)]
    site.clock.advance(2 * HOUR)
    got = everybody(site, way, browsers)
    assert {(answer.status, answer.body) for answer in got} == {(200, "ada")}
    assert site.pool.count(REFRESH) == 1
    assert len({browser.value for browser in browsers}) == 1
    assert (browsers[0].value != first.value) is (kind in IN_COOKIE)


def test_and_once_again_when_the_new_tokens_are_due(site: Site, way: Way) -> None:
    first = site.sign_in()
    browsers = [first.copy() for _ in range(10)]
    for times in (1, 2, 3):
        site.clock.advance(2 * HOUR)
        assert {answer.body for answer in everybody(site, way, browsers)} == {"ada"}
        assert site.pool.count(REFRESH) == times


def test_who_comes_late_with_the_old_cookie_gets_the_new_one(site: Site, way: Way) -> None:
    first = site.sign_in()
    browsers, late = [first.copy() for _ in range(5)], [first.copy() for _ in range(5)]
    site.clock.advance(2 * HOUR)
    everybody(site, way, browsers)
    assert {browser.does().body for browser in late} == {"ada"}
    assert {browser.value for browser in late} == {browsers[0].value}
    assert site.pool.count(REFRESH) == 1


def test_when_many_users_are_due_at_once_each_gets_their_own(site: Site, way: Way) -> None:
    firsts = [site.sign_in(name) for name in MANY]
    site.clock.advance(2 * HOUR)
    browsers = [first.copy() for _ in range(3) for first in firsts]
    got = everybody(site, way, browsers)
    assert [answer.body for answer in got] == MANY * 3
    assert site.pool.count(REFRESH) == len(MANY)
    afterwards = Site(site.shell, site.pool, site.clock, site.session)
    assert [afterwards.browser(one.jar).does().body for one in browsers] == MANY * 3
    assert site.pool.requests == []
    afterwards.settle()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Down(), "cognito_unavailable"), (CognitoError("TooManyRequestsException"), "throttled")],
)
def test_while_cognito_is_down_nobody_loses_the_session(
    site: Site, way: Way, fault: Any, reason: str
) -> None:
    first = site.sign_in()
    browsers = [first.copy() for _ in range(20)]
    site.clock.advance(2 * HOUR)
    with site.pool.fault(REFRESH, fault):
        asks = [Ask(cookies=browser.header) for browser in browsers]
        got = way[1](site.shell, site.app(lambda: str(site.who())), asks)
    assert {(answer.status, tuple(answer.all("set-cookie"))) for answer in got} == {(503, ())}
    site.clock.advance(120)
    assert {browser.does().body for browser in browsers} == {"ada"}


def test_when_cognito_ends_the_session_it_is_over_for_all(site: Site, way: Way) -> None:
    first = site.sign_in()
    browsers = [first.copy() for _ in range(20)]
    site.clock.advance(2 * HOUR)
    with site.pool.fault(REFRESH, CognitoError("NotAuthorizedException", "revoked")):
        got = everybody(site, way, browsers)
    assert {(answer.status, answer.clears_cookie) for answer in got} == {(401, True)}


# --- an end that comes while tokens are on their way


def test_who_ends_a_session_wins_over_a_refresh_in_flight(site: Site) -> None:
    browser = site.sign_in()
    refreshing, ending = browser.copy(), browser.copy()
    with ThreadPoolExecutor(1) as threads, site.pool.hold(REFRESH) as gate:
        refreshed = threads.submit(refreshing.does, site.refresh, site.who)
        gate.wait_for_arrivals()
        assert ending.does(site.end()).clears_cookie
        gate.release()
        got = refreshed.result()
    assert got.body == f"{REVOKED}, {REVOKED}"
    assert browser.does().body.startswith("NotAuthorizedException")
    site.clock.advance(2 * HOUR)
    assert browser.does().body.startswith("NotAuthorizedException")
    assert not hasattr(site.session, "store") or site.kept() == []


def test_tokens_that_came_too_late_for_their_session_are_revoked(site: Site) -> None:
    browser = site.sign_in()
    ending = browser.copy()
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(1))
        revocations = stack.enter_context(site.pool.hold("RevokeToken"))
        gate = stack.enter_context(site.pool.hold(REFRESH))
        refreshed = threads.submit(browser.does, site.refresh)
        gate.wait_for_arrivals()
        ending.does(site.end())
        revocations.wait_for_arrivals(1)  # of the tokens there were
        gate.release()
        revocations.wait_for_arrivals(2)  # and of those that came
        assert refreshed.result().body == REVOKED


def test_who_signs_in_anew_wins_over_a_refresh_in_flight(site: Site) -> None:
    browser = site.sign_in()
    old = browser.copy()
    with ThreadPoolExecutor(1) as threads, site.pool.hold(REFRESH) as gate:
        refreshed = threads.submit(old.does, site.refresh)
        gate.wait_for_arrivals()
        assert browser.does(site.start(site.pool.sign_in("grace"))).body == "grace"
        gate.release()
        assert refreshed.result().body == REVOKED
    assert browser.does().body == "grace"
    assert old.does().body.startswith("NotAuthorizedException")


@pytest.mark.parametrize("kind", STORED, indirect=True)
def test_a_roll_in_one_request_and_an_end_in_another_leave_no_session(site: Site) -> None:
    browser = site.sign_in()
    site.clock.advance(site.session.idle / 10)
    thief = browser.copy()
    rolling = [Ask(cookies=browser.header)] * 8
    ending = threading.Thread(target=browser.does, args=[site.end()])
    ending.start()
    on_threads(site.shell, site.app(lambda: "x"), rolling)
    ending.join()
    assert thief.does().body == "NotAuthorizedException invalid_session"
    assert site.kept() == []
