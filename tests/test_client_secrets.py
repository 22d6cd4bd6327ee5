"""An app client's secret is changed at Cognito, while sessions are refreshed, ended and begun."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from amplify_mw.events import Event, Outage, Refused, Rejection, Revoked
from amplify_mw.testing import LocalUserPool
from tests.patience import PATIENCE, until
from tests.routes.going import Visitor, auth_routes
from tests.sites import HOUR, Browser, Build, Clock, town

OLD, NEW, THIRD = (letter * 40 for letter in ("Old", "New", "Third"))
MANY = [f"user-{number}" for number in range(8)]
GET_TOKENS, INITIATE = "GetTokensFromRefreshToken", "InitiateAuth"
OPERATIONS = {GET_TOKENS: GET_TOKENS, INITIATE: INITIATE, "oauth": "token"}
APIS = [
    pytest.param(api, {"rotate_refresh_tokens": rotates}, id=f"{api}-{rotates}")
    for api in OPERATIONS
    for rotates in (False, True)
    if not (rotates and api == INITIATE)
]

every_api = pytest.mark.parametrize("api", OPERATIONS)


@pytest.fixture
def pool(clock: Clock, pool_options: dict[str, Any]) -> Iterator[LocalUserPool]:
    with town(clock, client_secret=OLD, **pool_options) as pool:
        for name in MANY:
            pool.add_user(name)
        yield pool


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def build(build: Build, events: list[Event]) -> Build:
    return lambda *kinds, **options: build(
        *kinds,
        **{
            "on_event": events.append,
            "http_timeout": 30,
            "client_secret": [OLD, NEW],
            "routes": auth_routes(),
            **options,
        },
    )


def rotate(pool: LocalUserPool) -> None:
    """The new secret is the only one from now on."""
    pool.add_client_secret(NEW)
    pool.delete_client_secret(OLD)


def troubles(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Outage | Rejection | Refused)]


# --- refreshes


@pytest.mark.parametrize(("api", "pool_options"), APIS)
@pytest.mark.parametrize("kind", ["memory", "sealed", "amplify"])
def test_a_rotation_under_load_loses_nobody_and_is_no_outage(
    build: Build, pool: LocalUserPool, events: list[Event], kind: str, api: str
) -> None:
    site = build(kind, refresh_api=api)
    browsers = [site.sign_in(name) for name in MANY]
    done: Counter[str] = Counter()
    over, said = threading.Event(), set()

    def go_on_refreshing(name: str, browser: Browser) -> None:
        while not over.is_set():
            body = browser.does(site.refresh, site.who).body
            said.add(body.rpartition(", ")[2] == name and body.startswith("eyJ"))
            done[name] += 1

    def let_all_go_on() -> None:
        before = Counter(done)
        until(lambda: all(done[name] >= before[name] + 2 for name in MANY) or False in said)

    with ThreadPoolExecutor(len(MANY)) as threads:
        try:
            pairs = zip(MANY, browsers, strict=True)
            tasks = [threads.submit(go_on_refreshing, *pair) for pair in pairs]
            let_all_go_on()
            pool.add_client_secret(NEW)
            let_all_go_on()
            pool.delete_client_secret(OLD)
            let_all_go_on()
        finally:
            over.set()
        for task in tasks:
            task.result(PATIENCE)
    assert (said, troubles(events)) == ({True}, [])
    assert [browser.does().body for browser in browsers] == MANY


@every_api
def test_the_secret_that_works_is_the_only_one_shown_from_then_on(
    build: Build, pool: LocalUserPool, api: str
) -> None:
    site = build(refresh_api=api)
    browser = site.sign_in()
    counts = []
    for turn in (None, rotate, None):
        if turn is not None:
            turn(pool)
        pool.requests.clear()
        assert browser.does(site.refresh).body.startswith("eyJ")
        counts.append(pool.count(OPERATIONS[api]))
    assert counts == [1, 2, 1]


@every_api
def test_the_new_secret_may_be_configured_before_cognito_knows_it(
    build: Build, pool: LocalUserPool, events: list[Event], api: str
) -> None:
    site = build(refresh_api=api, client_secret=[NEW, OLD])
    browser = site.sign_in()
    for turn in (None, rotate):
        if turn is not None:
            turn(pool)
        assert browser.does(site.refresh).body.startswith("eyJ")
    assert troubles(events) == []


@every_api
def test_only_if_all_are_refused_the_set_up_is(
    build: Build, pool: LocalUserPool, events: list[Event], api: str
) -> None:
    site = build(refresh_api=api, client_secret=[NEW, THIRD])
    browser = site.sign_in()
    site.clock.advance(2 * HOUR)
    for _ in range(3):
        got = browser.does()
        assert (got.body, got.all("set-cookie")) == ("NetworkError cognito_misconfigured", [])
    assert pool.count(OPERATIONS[api]) == 2
    (told,) = [event for event in events if isinstance(event, Rejection)]
    assert told.mend == "check client_id and client_secret"
    rotate(pool)
    site.clock.advance(2)
    assert browser.does().body == "ada"
    assert [event.over for event in events if isinstance(event, Rejection)] == [False, True]


# --- ends and beginnings


@every_api
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_sign_out_is_carried_out_with_the_secret_that_works(
    build: Build, pool: LocalUserPool, events: list[Event], api: str, everywhere: bool
) -> None:
    site = build(refresh_api=api)
    browser = site.sign_in()
    rotate(pool)
    browser.does(site.end(everywhere=everywhere))
    site.settle()
    ends = [event.is_done for event in events if isinstance(event, Revoked)]
    assert (ends, troubles(events)) == ([True] * (1 + everywhere), [])


def test_so_is_a_sign_in(build: Build, pool: LocalUserPool, events: list[Event]) -> None:
    site = build()
    for turn, count in ((None, 1), (rotate, 2), (None, 1)):
        if turn is not None:
            turn(pool)
        pool.requests.clear()
        visitor = Visitor(site)
        visitor.come_back(pool.authorize(visitor.leave(), "ada"))
        assert (visitor.user, pool.count("token")) == ("ada", count)
    assert troubles(events) == []


def test_a_secret_that_a_refresh_has_found_serves_the_next_sign_in(
    build: Build, pool: LocalUserPool
) -> None:
    site = build()
    browser = site.sign_in()
    rotate(pool)
    assert browser.does(site.refresh).body.startswith("eyJ")
    visitor = Visitor(site)
    visitor.come_back(pool.authorize(visitor.leave(), "ada"))
    assert (visitor.user, pool.count("token")) == ("ada", 1)


# --- what shows no secret


@every_api
def test_no_secret_is_logged_or_told(
    build: Build,
    pool: LocalUserPool,
    events: list[Event],
    caplog: pytest.LogCaptureFixture,
    api: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    site = build(refresh_api=api)
    browser = site.sign_in()
    rotate(pool)
    pool.add_client_secret(THIRD)
    browser.does(site.refresh)
    pool.delete_client_secret(NEW)
    got = browser.does(site.refresh, site.end())
    site.settle()
    ours = [record for record in caplog.records if record.name.startswith("amplify_mw")]
    shown = [repr(events), got.body, repr(site.config), repr(site.engine.authenticator.grants)]
    shown += [f"{record.getMessage()} {record.args} {record.exc_text}" for record in ours]
    assert len(ours) > 0
    assert not any(secret in text for secret in (OLD, NEW, THIRD) for text in shown)
