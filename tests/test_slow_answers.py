"""A slow answer whose session has ended when its headers go: it sets no cookie of that session.

A slow request does something, and waits within the app while others come and go.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from amplify_mw import AmplifyCookies, SealedSession, StoredSession, aio
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.shells import AppAnswer, ASGIShell, Ask, AwaitingShell, Got, WSGIShell, shells
from tests.sites import (
    HOUR,
    KEYS,
    NAME,
    Action,
    Browser,
    Build,
    Clock,
    Site,
    attributes,
    infos,
    outcome,
    session_of,
)

PATIENCE = 60  # seconds; nothing here takes one
SHARED = ("coordinated", "memory", "sqlite")
OURS = ("sealed", *SHARED)
IDLE = 600.0


shell = shells(WSGIShell, ASGIShell, AwaitingShell)


class FailingStore(MemoryStore):
    """A store that is down when it is told so."""

    is_down = False

    def load(self, key: bytes) -> Any:
        self._refuse()
        return super().load(key)

    def end(self, key: bytes, asks_again: bool = False) -> Any:
        self._refuse()
        return super().end(key, asks_again)

    def _refuse(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


def another_process(site: Site) -> Site:
    """One that shares a site's stores, and no memory."""
    return Site(site.shell, site.pool, site.clock, site.session)


class Slow:
    """A request that has done something, and waits."""

    def __init__(self, got: "Future[Got]", go_on: threading.Event) -> None:
        self._got = got
        self._go_on = go_on

    def answer(self) -> Got:
        """Let it go on; what it is answered."""
        self._go_on.set()
        return self._got.result(PATIENCE)


@contextmanager
def waiting(browser: Browser, *actions: Action, ends: "dict[str, str] | None" = None) -> Any:
    """A slow request with the browser's cookies as they are now; the browser keeps no answer."""
    reached, go_on = threading.Event(), threading.Event()
    slow = browser.copy()

    def handler() -> AppAnswer:
        said = ", ".join([outcome(action) for action in actions])
        reached.set()
        assert go_on.wait(PATIENCE)
        return AppAnswer(said, list((ends or {}).items()))

    with ThreadPoolExecutor(1) as threads:
        got = threads.submit(slow.ask, handler)
        try:
            assert reached.wait(PATIENCE)
            yield Slow(got, go_on)
        finally:
            go_on.set()


def cookies_set(got: Got) -> list[str]:
    """The names of the cookies that a response sets or clears."""
    return [line.partition("=")[0] for line in got.all("set-cookie")]


def is_signed_out(browser: Browser) -> bool:
    return "Exception" in browser.does().body


# --- an answer with fresh tokens


KINDS = [*[(kind,) for kind in (*OURS, "amplify")], ("sealed", "amplify"), ("amplify", "memory")]
every_kind = pytest.mark.parametrize("kinds", KINDS, ids="-".join)


@every_kind
def test_an_answer_without_an_end_sets_its_cookie(build: Build, kinds: Any) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    with waiting(browser, site.refresh) as slow:
        got = slow.answer()
    assert cookies_set(got)
    browser.keep(got)
    assert browser.does().body == "ada"


@every_kind
def test_a_refresh_from_before_an_end_sets_no_cookie_after_it(build: Build, kinds: Any) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    with waiting(browser, site.refresh, site.who) as slow:
        assert browser.does(site.end()).body == "None"
        got = slow.answer()
    assert got.body.endswith(", ada")
    assert cookies_set(got) == []


@every_kind
def test_tokens_that_were_refreshed_because_they_were_due_are_not_set_after_an_end(
    build: Build, kinds: Any, clock: Clock
) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    clock.advance(HOUR - 3)
    with waiting(browser, site.who) as slow:
        browser.does(site.end())
        got = slow.answer()
    assert (got.body, cookies_set(got)) == ("ada", [])


@pytest.mark.parametrize("kind", OURS)
def test_a_rolled_session_is_not_set_after_its_end(build: Build, kind: str, clock: Clock) -> None:
    site = build(kind, session={"idle": IDLE})
    browser = site.sign_in()
    clock.advance(IDLE / 10)
    with waiting(browser, site.who) as rolled:
        pass
    assert cookies_set(rolled.answer()) == [NAME]
    clock.advance(IDLE / 10)
    with waiting(browser, site.who) as slow:
        browser.does(site.end())
        got = slow.answer()
    assert (got.body, cookies_set(got)) == ("ada", [])


@pytest.mark.parametrize("kind", ["sealed", "coordinated"])
def test_an_end_by_a_cookie_that_has_run_out_ends_the_one_that_was_rolled_since(
    build: Build, kind: str, clock: Clock
) -> None:
    site = build(kind, session={"idle": IDLE})
    browser = site.sign_in()
    clock.advance(IDLE * 0.9)
    with waiting(browser, site.who) as slow:
        clock.advance(IDLE * 0.2)
        browser.does(site.end())
        got = slow.answer()
    assert (got.body, cookies_set(got)) == ("ada", [])


@every_kind
def test_a_session_that_another_sign_in_has_replaced_is_not_set_again(
    build: Build, kinds: Any
) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    with waiting(browser, site.refresh) as slow:
        assert browser.does(site.start(site.pool.sign_in("grace"))).body == "grace"
        browser.keep(slow.answer())
    assert browser.does().body == "grace"


@every_kind
@pytest.mark.parametrize("name", ["ada", "grace"])
def test_who_has_signed_in_anew_since_the_end_stays_so(build: Build, kinds: Any, name: str) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    with waiting(browser, site.refresh) as slow:
        browser.does(site.end())
        assert browser.does(site.start(site.pool.sign_in(name))).body == name
        got = slow.answer()
    assert cookies_set(got) == []
    browser.keep(got)
    assert browser.does().body == name


@pytest.mark.parametrize("end", [False, True], ids=["", "ended"])
def test_a_sign_in_that_has_ended_clears_no_other_kinds_cookies(build: Build, end: bool) -> None:
    """They may be those of a newer sign-in by then."""
    amplify = build("amplify").sign_in()
    site = build("memory", "amplify")
    device = site.sign_in()
    with waiting(site.browser(amplify.jar), site.start(site.pool.sign_in("ada"))) as slow:
        if end:
            device.does(site.end(everywhere=True))
        names = cookies_set(slow.answer())
    assert names == [] if end else {NAME, *amplify.jar} <= set(names)


# --- a sign-in


def test_a_token_that_was_ended_meanwhile_is_not_set(build: Build) -> None:
    site = build("token")
    tokens = site.pool.sign_in("ada")
    browser = site.browser({NAME: tokens.id_token})
    with waiting(browser, site.start(tokens), site.who) as slow:
        browser.does(site.end())
        got = slow.answer()
    assert (got.body, cookies_set(got)) == ("ada, ada", [])


@pytest.mark.parametrize("kind", ["token", "amplify"])
def test_tokens_may_be_signed_in_with_again_after_an_end(build: Build, kind: str) -> None:
    site = build(kind)
    tokens = site.pool.sign_in("ada")
    browser = site.browser()
    for _ in range(3):
        assert browser.does(site.start(tokens)).body == "ada"
        assert browser.does().body == "ada"
        browser.does(site.end())
        assert is_signed_out(browser)


def test_a_token_that_is_started_over_itself_is_set(build: Build) -> None:
    site = build("token")
    tokens = site.pool.sign_in("ada")
    got = site.browser({NAME: tokens.id_token}).does(site.start(tokens))
    kept = [line for line in got.all("set-cookie") if "Max-Age=0" not in line]
    assert (got.body, [line.partition(";")[0] for line in kept]) == (
        "ada",
        [f"{NAME}={tokens.id_token}"],
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("way", ["by handle", "everywhere"])
@pytest.mark.parametrize("doing", ["sign-in", "refresh"])
def test_what_another_device_has_ended_before_the_answer_is_not_set(
    build: Build, kind: str, way: str, doing: str
) -> None:
    site = build(kind)
    device = site.sign_in()
    browser = site.browser() if doing == "sign-in" else site.sign_in()
    action = site.start(site.pool.sign_in("ada")) if doing == "sign-in" else site.refresh
    with waiting(browser, action, site.who) as slow:
        if way == "everywhere":
            device.does(site.end(everywhere=True))
        else:
            (handle,) = [one.handle for one in infos(site, device) if not one.is_current]
            ended = device.does(lambda: site.verbs.end_session_by_handle(handle))
            assert ended.body == "True"
        got = slow.answer()
    assert got.body.endswith(", ada")
    assert cookies_set(got) == []


@every_kind
def test_a_sign_in_goes_on_when_the_session_that_it_replaces_is_ended(
    build: Build, kinds: Any
) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    with waiting(browser, site.start(site.pool.sign_in("grace"))) as slow:
        browser.does(site.end())
        got = slow.answer()
    browser.keep(got)
    assert browser.does().body == "grace"


# --- other processes, and a store that is down


@pytest.mark.parametrize("kind", SHARED)
def test_an_end_in_another_process_is_known_where_they_share_a_store(
    build: Build, clock: Clock, kind: str
) -> None:
    site = build(kind)
    other = another_process(site)
    browser = site.sign_in()
    with waiting(browser, site.refresh, site.who) as slow:
        other.browser(browser.jar).does(other.end())
        clock.advance(1)  # for as long the store's word counts that it is there
        got = slow.answer()
    assert got.body.endswith(", ada")
    assert cookies_set(got) == []
    other.settle()


@pytest.mark.parametrize("kind", ["coordinated", "memory"])
@pytest.mark.parametrize("end", [False, True], ids=["", "ended"])
def test_a_store_that_does_not_answer_stops_no_cookie_but_what_this_process_has_ended(
    build: Build, clock: Clock, kind: str, end: bool
) -> None:
    store = FailingStore(clock=clock)
    made = {
        "coordinated": lambda: SealedSession(keys=KEYS[:1], coordinator=store),
        "memory": lambda: StoredSession(store),
    }
    site = build(made[kind]())
    browser = site.sign_in()
    with waiting(browser, site.refresh, site.who) as slow:
        if end:
            browser.does(site.end())
        store.is_down = True
        got = slow.answer()
    assert cookies_set(got) == ([] if end else [NAME])


@pytest.mark.parametrize("kind", ["coordinated", "memory"])
def test_an_end_that_the_store_could_not_be_told_of_is_known_to_this_process(
    build: Build, clock: Clock, kind: str
) -> None:
    store = FailingStore(clock=clock)
    made = {
        "coordinated": lambda: SealedSession(keys=KEYS[:1], coordinator=store),
        "memory": lambda: StoredSession(store),
    }
    site = build(made[kind]())
    browser = site.sign_in()
    assert browser.does().body == "ada"
    with waiting(browser, site.refresh) as slow:

        def end_while_down() -> None:
            store.is_down = True
            site.end()()

        got = browser.does(end_while_down)
        assert (got.body, got.clears_cookie) == ("NetworkError store_unavailable", True)
        store.is_down = False
        assert cookies_set(slow.answer()) == []


# --- what is not ours to decide


@pytest.mark.parametrize("kind", OURS)
def test_a_cookie_that_the_app_itself_sets_is_left_to_it(build: Build, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    own = {"Set-Cookie": f"{NAME}=the-apps-own"}
    with waiting(browser, site.refresh, ends=own) as slow:
        browser.does(site.end())
        got = slow.answer()
    assert got.all("set-cookie") == [own["Set-Cookie"]]


def test_nobody_fills_this_processs_memory_with_sessions_that_never_were(build: Build) -> None:
    site = build("memory")
    remembered = site.engine.authenticator.sessions._store._memory
    for number in range(20):
        value = f"{number:043d}"
        assert site.browser({NAME: value}).does(site.end()).clears_cookie
    assert len(remembered._entries) == 0


def test_nor_with_tokens_that_are_none(build: Build) -> None:
    site = build("token")
    tokens = site.pool.sign_in("ada")
    for value in ("junk", tokens.id_token[:-8] + "AAAAAAAA"):
        site.browser({NAME: value}).does(site.end())
    assert len(site.engine.authenticator.sessions._memory._entries) == 0


# --- WebSockets


@pytest.mark.parametrize("kind", [*OURS, "amplify"])
@pytest.mark.parametrize("end", [False, True], ids=["", "ended"])
def test_the_accept_of_a_websocket_sets_no_cookie_of_a_session_that_has_ended(
    pool: LocalUserPool, clock: Clock, tmp_path: Path, kind: str, end: bool
) -> None:
    session = AmplifyCookies() if kind == "amplify" else session_of(kind, clock, tmp_path)
    site = Site(AwaitingShell(), pool, clock, session)
    browser = site.sign_in()
    ending = browser.copy()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await aio.fetch_auth_session(force_refresh=True)
        if end:
            await asyncio.to_thread(_elsewhere, lambda: ending.does(site.end()))
        await send({"type": "websocket.accept", "headers": [(b"x-app", b"1")]})

    async def converse() -> Any:
        ask = Ask(cookies=browser.header, headers={"Sec-Fetch-Site": "same-origin"})
        scope = {**ASGIShell().scope(ask), "type": "websocket"}
        communicator = ApplicationCommunicator(AmplifyASGIMiddleware(app, site.engine), scope)
        await communicator.send_input({"type": "websocket.connect"})
        accepted = await communicator.receive_output(PATIENCE)
        await communicator.wait(PATIENCE)
        return accepted

    headers = asyncio.run(converse())["headers"]
    assert headers[0] == (b"x-app", b"1")
    assert (b"set-cookie" in dict(headers)) is not end
    site.close()


def _elsewhere(what: Callable[[], Got]) -> Got:
    """Do this on a thread that knows nothing of the request."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(what).result(PATIENCE)


# --- the cookie's attributes stay what they were


@pytest.mark.parametrize("kind", OURS)
def test_an_answer_that_took_long_says_how_long_the_session_lasts(build: Build, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    with waiting(browser, site.refresh) as slow:
        (line,) = slow.answer().all("set-cookie")
    assert attributes(line)["max-age"] == "604800"
