"""Sessions under attack: stolen records, late answers, hung refreshes, cancelled sign-ins."""

import asyncio
import base64
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from amplify_mw import ConfigurationError, CookiePolicy, SealedSession, StoredSession, aio, carry
from amplify_mw.effects import Flight, Flow, Unreachable
from amplify_mw.engine.engine import Engine
from amplify_mw.engine.flights import _WORKERS, Flights
from amplify_mw.sessions.base import Dependencies
from amplify_mw.sessions.bundle import Bundle
from amplify_mw.sessions.seal import Seal
from amplify_mw.sessions.sealed import SealedCodec
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import CognitoError, LocalUserPool, Throttling
from tests.patience import PATIENCE
from tests.shells import LOOP, AppAnswer, Ask, AwaitingShell, Shell
from tests.sites import (
    DAY,
    HOUR,
    KEYS,
    LASTING,
    NAME,
    STORED,
    Action,
    Build,
    Clock,
    Site,
    infos,
    outcome,
    town,
)

SIGNED_OUT = "NotAuthorizedException no_session"
ENDED = "NotAuthorizedException session_revoked"
REFRESH = "GetTokensFromRefreshToken"
FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest, build: Build) -> Site:
    """A site whose sessions are refreshed."""
    return build(request.param)


@pytest.fixture(params=STORED)
def stored(request: pytest.FixtureRequest, build: Build) -> Site:
    return build(request.param)


class HeldStore(MemoryStore):
    """Holds one method after it has done its work, when `holds` names it, until `gate` is set."""

    holds = ""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.reached, self.gate = threading.Event(), threading.Event()

    def create(self, key: bytes, record: Any) -> bool:
        return self._held("create", super().create(key, record))

    def replace_and_release(self, key: bytes, record: Any, fence: int) -> bool:
        return self._held("replace_and_release", super().replace_and_release(key, record, fence))

    def end(self, key: bytes, asks_again: bool = False) -> Any:
        return self._held("end", super().end(key, asks_again))

    def _held(self, method: str, result: Any) -> Any:
        if method == self.holds:
            self.holds = ""
            self.reached.set()
            assert self.gate.wait(PATIENCE)
        return result


KEPT: dict[str, Callable[[Any], Any]] = {
    "stored": StoredSession,
    "coordinated": lambda store: SealedSession(keys=KEYS[:1], coordinator=store),
}


@pytest.fixture(params=KEPT)
def held(request: pytest.FixtureRequest, build: Build, clock: Clock) -> tuple[Site, HeldStore]:
    """A site over a store that can be held, and the store."""
    store = HeldStore(clock)
    return build(KEPT[request.param](store)), store


# --- a stolen coordinator


def stolen_from(path: Path) -> list[bytes]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT * FROM sessions").fetchall()
    database.close()
    return [part for row in rows for part in row if isinstance(part, bytes)]


@pytest.fixture
def robbed(build: Build, tmp_path: Path, clock: Clock) -> tuple[Site, str, list[bytes]]:
    """A site, the cookie of a session that was refreshed, and what is in the coordinator."""
    path = tmp_path / "coordinator.db"
    site = build("coordinated", session={"coordinator": SQLiteStore(path, clock=clock)})
    browser = site.sign_in()
    clock.advance(HOUR - 30)
    assert browser.does().body == "ada"
    return site, browser.value, stolen_from(path)


def test_nothing_in_the_coordinator_is_a_cookie(robbed: tuple[Site, str, list[bytes]]) -> None:
    site, _, stolen = robbed
    assert max(map(len, stolen)) > 1000  # a record is among it
    for part in stolen:
        for cut in (part, part[12:], base64.urlsafe_b64encode(part), part[:-16]):
            thief = site.browser({NAME: cut.decode("latin-1")})
            assert thief.does().body.startswith("NotAuthorizedException")


def test_no_cookie_and_no_token_is_in_the_coordinator(
    robbed: tuple[Site, str, list[bytes]],
) -> None:
    _, cookie, stolen = robbed
    pieces = [piece.encode() for piece in cookie.split(".")]
    assert not [part for part in stolen for piece in pieces if piece and piece in part]


def place(sid: bytes) -> SealedCodec:
    return SealedCodec(Seal([bytes(range(32))], NAME, frozenset({"web"})), sid, "web")


@pytest.fixture
def bundle(pool: LocalUserPool, clock: Clock) -> Bundle:
    tokens = pool.sign_in("ada")
    return Bundle(
        sid=b"s" * 16,
        turn=3,
        created_at=clock.now,
        seen_at=clock.now,
        id_token=tokens.id_token.encode(),
        access_token=tokens.access_token.encode(),
        refresh_token=b"refresh",
    )


def test_a_coordinators_record_is_opened_by_its_own_session(bundle: Bundle, clock: Clock) -> None:
    record, cookie = place(bundle.sid).close(bundle, b"i" * 12, clock.now + DAY)
    assert place(bundle.sid).open(record) == (bundle, cookie)


def test_a_coordinators_record_is_not_opened_without_the_sid(bundle: Bundle, clock: Clock) -> None:
    mine, thiefs = place(bundle.sid), place(b"t" * 16)
    record, _ = mine.close(bundle, b"i" * 12, clock.now + DAY)
    thiefs.key = mine.key  # which the store shows
    assert thiefs.open(record) is None
    with pytest.raises(InvalidTag):  # nor is what is inside laid open
        thiefs._cipher().decrypt(b"i" * 12, record.value[12:], mine._bound_to(bundle.turn))


@pytest.mark.parametrize("version", [0, 2, 4, 2**53 - 2])
def test_a_coordinators_record_says_its_own_version_alone(
    bundle: Bundle, clock: Clock, version: int
) -> None:
    record, _ = place(bundle.sid).close(bundle, b"i" * 12, clock.now + DAY)
    assert place(bundle.sid).open(replace(record, version=version)) is None


@pytest.mark.parametrize("length", [0, 1, 12, 13, 27, 28, 29, -1])
def test_a_coordinators_record_that_was_cut_is_none(
    bundle: Bundle, clock: Clock, length: int
) -> None:
    record, _ = place(bundle.sid).close(bundle, b"i" * 12, clock.now + DAY)
    assert place(bundle.sid).open(replace(record, value=record.value[:length])) is None


# --- an access token that ran out, while no new one is to be had


def asked_for_attributes(site: Site) -> Action:
    return lambda: site.verbs.fetch_user_attributes()["email"]


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_outlives_a_token_that_runs_out_under_throttling(
    build: Build, kind: str, clock: Clock
) -> None:
    site = build(kind, attributes_ttl=0)
    browser = site.sign_in()
    clock.advance(HOUR + 1)
    with site.pool.fault(REFRESH, Throttling()):
        got = browser.does(asked_for_attributes(site), site.who)
    assert site.pool.count("GetUser") == 1
    assert (got.body, got.clears_cookie) == ("NetworkError cognito_unavailable, ada", False)
    clock.advance(120)
    assert browser.does(asked_for_attributes(site)).body == "ada@example.com"


@pytest.mark.parametrize("kind", LASTING)
def test_a_confirmed_session_outlives_a_token_that_runs_out_under_throttling(
    build: Build, kind: str, clock: Clock
) -> None:
    site = build(kind, session={"verify_with_cognito_every": 30})
    browser = site.sign_in()
    clock.advance(HOUR + 1)
    with site.pool.fault(REFRESH, Throttling()):
        got = browser.does()
    assert site.pool.count("GetUser") == 1
    assert (got.body, got.clears_cookie) == ("NetworkError cognito_unavailable", False)
    clock.advance(120)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", LASTING)
def test_a_session_that_was_just_started_is_confirmed_as_often(
    build: Build, kind: str, clock: Clock
) -> None:
    site = build(kind, session={"verify_with_cognito_every": 30})
    browser = site.sign_in()
    clock.advance(31)
    assert browser.does().body == "ada"
    assert site.pool.count("GetUser") == 1


@pytest.mark.parametrize("kind", LASTING)
def test_cognitos_word_that_the_user_is_out_ends_a_session_in_time(build: Build, kind: str) -> None:
    site = build(kind, attributes_ttl=0)
    browser = site.sign_in()
    before = browser.copy()
    out = CognitoError("NotAuthorizedException", "Access Token has been revoked")
    with site.pool.fault("GetUser", out):
        assert browser.does(asked_for_attributes(site)).clears_cookie
    assert before.does().body.startswith("NotAuthorizedException")


# --- ends that nothing holds up


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_a_session_is_ended_while_all_refreshes_hang(build: Build, kind: str, clock: Clock) -> None:
    site = build(kind, http_timeout=30)
    workers = _WORKERS["sessions"]
    others = [site.sign_in() for _ in range(workers)]
    clock.advance(HOUR - 30)
    victim = site.sign_in("grace")
    copied = victim.copy()
    with ThreadPoolExecutor(workers) as threads:
        with site.pool.hold(REFRESH) as gate:
            asking: list[Future[Any]] = [threads.submit(other.does) for other in others]
            gate.wait_for_arrivals(workers, timeout=PATIENCE)
            got = victim.does(site.end())
            assert (got.body, got.clears_cookie) == ("None", True)
            assert copied.does().body.startswith("NotAuthorizedException")
        assert {future.result().body for future in asking} == {"ada"}


def nothing(_: float) -> Flow[None]:
    yield from ()


@pytest.mark.parametrize("lane", ["ends", "revocations"])
def test_an_end_is_carried_out_however_late(lane: Any) -> None:
    flights = Flights(patience=-1)  # whatever departs is late
    flight = Flight(("end",), nothing, lane)
    assert flights.join(flight, repr).result(PATIENCE) == repr(flight)
    flights.close()


def test_a_refresh_that_is_too_late_is_not_carried_out() -> None:
    carried: list[Flight] = []
    flights = Flights(patience=-1)
    flight = Flight(("due",), nothing, "sessions")
    with pytest.raises(Unreachable):
        flights.join(flight, carried.append).result(PATIENCE)
    flights.close()
    assert carried == []


# --- what lands after the user of a request has changed


def meanwhile(action: Action, has_begun: Callable[[], object]) -> threading.Thread:
    """A thread that does this for the request's user; it is on its way."""
    thread = threading.Thread(target=carry(outcome), args=(action,))
    thread.start()
    has_begun()
    return thread


def with_late_refresh(site: Site, store: HeldStore, action: Action) -> Action:
    """Do this after new tokens were kept, and before whoever asked for them is told."""

    def act() -> str:
        store.holds = "replace_and_release"
        late = meanwhile(site.refresh, lambda: store.reached.wait(PATIENCE))
        said = outcome(action)
        store.gate.set()
        late.join()
        return said

    return act


def test_a_refresh_that_lands_after_the_end_signs_nobody_in(held: tuple[Site, HeldStore]) -> None:
    site, store = held
    browser = site.sign_in()
    before = browser.copy()
    got = browser.does(with_late_refresh(site, store, site.end()), site.who)
    assert (got.body, got.clears_cookie) == (f"None, {SIGNED_OUT}", True)
    assert before.does().body.startswith("NotAuthorizedException")


def test_a_refresh_that_lands_after_a_change_of_user_changes_nothing(
    held: tuple[Site, HeldStore],
) -> None:
    site, store = held
    browser = site.sign_in()
    switch = site.start(site.pool.sign_in("grace"))
    assert browser.does(with_late_refresh(site, store, switch), site.who).body == "grace, grace"
    assert browser.does().body == "grace"


def during(site: Site, operation: str, late: Action, action: Action) -> Action:
    """Do this while Cognito is asked something, of which the answer comes after."""

    def act() -> str:
        with site.pool.hold(operation) as gate:
            thread = meanwhile(late, gate.wait_for_arrivals)
            said = outcome(action)
            gate.release()
            thread.join()
        return said

    return act


def test_a_refresh_of_a_session_that_was_replaced_does_not_sign_out_the_new_user(
    lasting: Site,
) -> None:
    browser = lasting.sign_in()
    switch = lasting.start(lasting.pool.sign_in("grace"))
    got = browser.does(during(lasting, REFRESH, lasting.refresh, switch), lasting.who)
    assert got.body == "grace, grace"
    assert browser.does().body == "grace"


def test_attributes_that_land_after_a_change_of_user_are_not_the_new_ones(lasting: Site) -> None:
    browser = lasting.sign_in()
    fetch = asked_for_attributes(lasting)
    switch = lasting.start(lasting.pool.sign_in("grace"))
    got = browser.does(during(lasting, "GetUser", fetch, switch), fetch)
    assert got.body == "grace, grace@example.com"


def test_a_late_word_that_the_old_user_is_out_does_not_sign_out_the_new_one(lasting: Site) -> None:
    browser = lasting.sign_in()
    switch = lasting.start(lasting.pool.sign_in("grace"))
    late = during(lasting, "GetUser", asked_for_attributes(lasting), switch)
    out = CognitoError("NotAuthorizedException", "Access Token has been revoked")
    with lasting.pool.fault("GetUser", out):
        assert browser.does(late, lasting.who).body == "grace, grace"
    assert browser.does().body == "grace"


# --- two kinds of session under one name


def nested(outer: Site, inner: Site) -> Any:
    """An app behind two middlewares."""
    return outer.shell.middleware(inner.app(lambda: outcome(inner.who)), outer.engine)


@pytest.mark.parametrize(("outer", "inner"), [("memory", "token"), ("sealed", "memory")])
def test_two_kinds_of_session_under_one_name_are_a_mistake(
    build: Build, shell: Shell, outer: str, inner: str
) -> None:
    site = build(outer)
    value = site.sign_in().value
    with pytest.raises(ConfigurationError, match="different kinds of session"):
        shell.send(nested(site, build(inner)), Ask(cookie=value))


def test_two_kinds_of_session_under_two_names_go_together(build: Build, shell: Shell) -> None:
    inner = build("memory", cookie=CookiePolicy(name="inner"))
    got = shell.send(nested(build("sealed"), inner), Ask(cookie="junk"))
    assert got.body == SIGNED_OUT


# --- one old cookie, again and again


def test_an_old_cookie_is_rolled_to_the_same_one_each_time(build: Build, clock: Clock) -> None:
    site = build("sealed", session={"idle": HOUR})
    old = site.sign_in()
    clock.advance(HOUR / 10 + 1)
    rolled, believed = set(), set()
    for _ in range(5):
        browser = old.copy()
        assert browser.does().body == "ada"
        rolled.add(browser.value)
        believed.add(len(site.engine.authenticator.verdicts))  # type: ignore[arg-type]
    assert (len(rolled), len(believed)) == (1, 1)
    assert old.value not in rolled


# --- a sign-in that is cancelled


def cancelled(action: Callable[[], Any], when: threading.Event) -> str:
    """Await this on the request's loop, and cancel it once the event is set."""
    over = threading.Event()

    async def awaited() -> None:
        try:
            await action()
        finally:
            over.set()

    future = asyncio.run_coroutine_threadsafe(awaited(), LOOP.get())
    assert when.wait(PATIENCE)
    future.cancel()
    assert over.wait(PATIENCE)
    return "cancelled" if future.cancelled() else "done"


@pytest.mark.parametrize("kind", KEPT)
def test_a_change_of_user_that_is_cancelled_leaves_no_dead_session(
    pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    store = HeldStore(clock)
    site = Site(AwaitingShell(), pool, clock, KEPT[kind](store))
    browser = site.sign_in()
    before, tokens = browser.copy(), pool.sign_in("grace")

    def switch() -> str:
        store.holds = {"stored": "end", "coordinated": "create"}[kind]
        return cancelled(lambda: aio.start_session(tokens), store.reached)

    assert browser.does(switch, site.who).body == "cancelled, grace"
    store.gate.set()
    site.settle()
    assert browser.does().body == "grace"
    assert before.does().body.startswith("NotAuthorizedException")
    site.close()


class SlowToCreate(MemoryStore):
    """Keeps whoever awaits a new record waiting, once `reached` is there."""

    reached: threading.Event | None = None

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if method == "create" and self.reached is not None:
            self.reached.set()
            await asyncio.Event().wait()
        return await super().ask(method, arguments)


def test_a_sign_in_that_is_cancelled_before_it_is_kept_changes_nothing(
    pool: LocalUserPool, clock: Clock
) -> None:
    store = SlowToCreate(clock=clock)
    site = Site(AwaitingShell(), pool, clock, StoredSession(store))
    browser, tokens = site.sign_in(), pool.sign_in("grace")

    def switch() -> str:
        store.reached = threading.Event()
        return cancelled(lambda: aio.start_session(tokens), store.reached)

    assert browser.does(switch, site.who).body == "cancelled, ada"
    assert browser.does().body == "ada"
    site.close()


# --- one process, several middlewares


def test_an_end_is_known_to_all_middlewares_of_the_process(shell: Shell) -> None:
    session = SealedSession(keys=KEYS[2:])
    with town(time.time) as pool:  # what a process remembers goes by the real clock
        config = pool.config(session=session, keys=pool.jwks())
        one, other = (Site(shell, pool, time.time, session, attributes_ttl=n) for n in (60, 0))
        one.engine = Engine.of(config)
        browser = one.sign_in()
        copied = other.browser(browser.jar)
        assert copied.does().body == "ada"
        assert browser.does(one.end()).body == "None"
        later = Site(shell, pool, time.time, session, attributes_ttl=7).browser(copied.jar)
        assert later.does().body.startswith("NotAuthorizedException")
        assert copied.does().body.startswith("NotAuthorizedException")
        for site in (one, other, later.site):
            site.settle()


# --- a coordinator that is down


class FailingStore(MemoryStore):
    is_down = False

    def load(self, key: bytes) -> Any:
        self._refuse()
        return super().load(key)

    def replace(self, key: bytes, record: Any) -> bool:
        self._refuse()
        return super().replace(key, record)

    def create(self, key: bytes, record: Any) -> bool:
        self._refuse()
        return super().create(key, record)

    def _refuse(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


@pytest.mark.parametrize("staleness", [0, 60], ids=["cold", "warm"])
def test_a_sign_out_is_told_to_cognito_while_the_coordinator_is_down(
    build: Build, clock: Clock, staleness: float
) -> None:
    store = FailingStore(clock=clock)
    site = build("coordinated", session={"coordinator": store, "staleness": staleness})
    browser = site.sign_in()
    store.is_down = True
    got = browser.does(site.end())
    assert (got.body, got.clears_cookie) == ("NetworkError store_unavailable", True)
    site.settle()
    assert site.pool.count("RevokeToken") == 1


# --- handles


def by_handle(site: Site, handle: str, **options: Any) -> Action:
    return lambda: site.verbs.end_session_by_handle(handle, **options)


def test_ending_the_present_session_by_its_handle_signs_out(stored: Site) -> None:
    browser = stored.sign_in()
    before = browser.copy()
    (session,) = infos(stored, browser)
    got = browser.does(by_handle(stored, session.handle), stored.who)
    assert (got.body, got.clears_cookie) == (f"True, {SIGNED_OUT}", True)
    assert before.does().body == ENDED
    stored.settle()
    assert stored.pool.count("RevokeToken") == 1


def ended_late(site: Site, **options: Any) -> tuple[str, str]:
    """What comes of another page's end by handle in a stream, and who is signed in after."""
    browser, said = site.sign_in(), []
    end = by_handle(site, infos(site, browser)[0].handle, **options)
    answer = AppAnswer(later={"started": lambda: said.append(outcome(end))})
    browser.ask(lambda: answer, headers=FOREIGN)
    return said[0], browser.does().body


def test_another_site_ends_no_session_by_its_handle_in_a_stream(stored: Site) -> None:
    assert ended_late(stored) == ("ResponseStartedError", "ada")


def test_whoever_allows_it_ends_a_session_by_its_handle_in_a_stream(stored: Site) -> None:
    said, after = ended_late(stored, allow_cross_site=True)
    assert (said, after) == ("True", ENDED)


# --- what is shown


def test_what_a_session_works_with_shows_no_cookie(lasting: Site) -> None:
    value, home = lasting.sign_in().value, lasting.engine.authenticator
    around = Dependencies(
        *(home.verifier, home.verdicts, lambda: [home.verdicts], home.grants, NAME, None),
        memory=dict,
        places=dict,
    )
    assert home.verdicts.get(value.encode()) is not None
    assert value not in f"{home.verdicts!r} {around!r} {home.verdicts.get(value.encode())!r}"


def test_a_devices_name_loses_what_is_not_printable(stored: Site) -> None:
    browser = stored.sign_in(user_agent="Opera\r\nSet-Cookie: a=b\x1b[31m\x00\u202e\x85 née")
    assert [info.user_agent for info in infos(stored, browser)] == ["OperaSet-Cookie: a=b[31m née"]
