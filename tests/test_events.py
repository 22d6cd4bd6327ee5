"""What `on_event` is told: each happening once, with both shells, and nothing secret."""

import asyncio
import copy
import gc
import json
import logging
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from amplify_mw import (
    AmplifyCookies,
    AuthError,
    ConfigurationError,
    StoredSession,
    aio,
    get_current_user,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.events import (
    Event,
    Notice,
    Outage,
    Refreshed,
    Refused,
    Revoked,
    SignedIn,
    SignedOut,
    SignInFailed,
)
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import CognitoError, Down
from tests.patience import PATIENCE
from tests.routes.going import Visitor, altered, auth_routes, code_of
from tests.shells import AppAnswer, ASGIShell, Ask, AwaitingShell, Shell, WSGIShell
from tests.sites import HOUR, KINDS, LASTING, NAME, STORED, Clock, Site, infos, session_of, town

NAMES = {"memory": "stored", "sqlite": "stored", "coordinated": "sealed"}
FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(params=[WSGIShell, ASGIShell, AwaitingShell], ids=["wsgi", "asgi", "awaiting"])
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


class Watched(Site):
    """A site whose events are kept."""

    def __init__(self, *facts: Any, **options: Any) -> None:
        self.events: list[Event] = []
        super().__init__(*facts, **{"on_event": self.events.append, **options})

    def told(self) -> list[Any]:
        """The events since the last time."""
        self.settle()
        told, self.events[:] = list(self.events), []
        return told


Build = Callable[..., Watched]


@pytest.fixture
def build(shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path) -> Iterator[Build]:
    made: list[Watched] = []

    def build(kind: Any = "token", routes: Any = None, **options: Any) -> Watched:
        session = session_of(kind, clock, tmp_path) if isinstance(kind, str) else kind
        if routes is not None:
            options["routes"] = auth_routes(**routes)
        made.append(Watched(shell, pool, clock, session, **options))
        return made[-1]

    yield build
    for site in made:
        site.close()


def of_pool(pool: LocalUserPool) -> tuple[str, str]:
    return pool.user_pool_id, pool.client_id


def sub_of(pool: LocalUserPool, name: str = "ada") -> str:
    return str(json.loads(_claims(pool.mint(name)))["sub"])


def _claims(token: str) -> bytes:
    from amplify_mw.web import base64url

    return base64url.decode(token.split(".")[1].encode())


def kept(event: Any) -> Any:
    """An event without the facts of its request."""
    return unnamed(event)._replace(method=None, path=None)


def unnamed(event: Any) -> Any:
    """An event without its session's handle."""
    return event._replace(handle=None) if hasattr(event, "handle") else event


# A session that begins and ends.


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_that_begins_and_one_that_ends(
    build: Build, pool: LocalUserPool, kind: str
) -> None:
    site = build(kind)
    browser = site.sign_in()
    facts = (NAMES.get(kind, kind), *of_pool(pool), sub_of(pool))
    assert [unnamed(event) for event in site.told()] == [SignedIn("app", *facts, "GET", "/")]
    browser.does(site.end(), path="/café", mount="/shop", method="POST", query="a=secret")
    told = site.told()  # in any order: revocations have threads of their own
    revoked = [Revoked(True, "", False, *facts[1:])] if kind in LASTING else []
    assert [unnamed(event) for event in told if isinstance(event, SignedOut)] == [
        SignedOut("here", *facts, "POST", r"/shop/caf\xe9")
    ]
    assert [event for event in told if not isinstance(event, SignedOut)] == revoked


def test_a_known_user_makes_no_event(build: Build) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    for _ in range(3):
        assert browser.does(site.who).body == "ada"
    assert site.told() == []


@pytest.mark.parametrize("kind", LASTING)
def test_one_sign_in_in_place_of_another(build: Build, pool: LocalUserPool, kind: str) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.told()
    browser.does(site.start(pool.sign_in("grace")))
    told = Counter((type(event), event.user_id) for event in site.told())
    ada, grace = sub_of(pool), sub_of(pool, "grace")
    assert told == {(SignedOut, ada): 1, (SignedIn, grace): 1, (Revoked, ada): 1}


def test_an_end_everywhere_is_one_event(build: Build, pool: LocalUserPool) -> None:
    site = build("memory")
    browser = site.sign_in()
    site.sign_in()
    site.told()
    browser.does(site.end(everywhere=True))
    told = site.told()
    [ended] = [event for event in told if isinstance(event, SignedOut)]
    assert kept(ended) == SignedOut("everywhere", "stored", *of_pool(pool), sub_of(pool))
    revoked = [event for event in told if isinstance(event, Revoked)]
    assert [event.everywhere for event in revoked] == [True, False]


@pytest.mark.parametrize("kind", STORED)
def test_an_end_by_handle(build: Build, pool: LocalUserPool, kind: str) -> None:
    site = build(kind)
    other, browser = site.sign_in(), site.sign_in()
    site.told()
    [info] = [info for info in infos(site, browser) if not info.is_current]
    browser.does(lambda: site.verbs.end_session_by_handle(info.handle))
    expected = SignedOut("handle", "stored", *of_pool(pool), sub_of(pool))
    assert [kept(event) for event in site.told()] == [expected]
    other.does(site.who)
    [refused] = site.told()
    assert (refused.reason, refused.at) == ("session_revoked", "cookie")
    [info] = infos(site, browser)
    browser.does(lambda: site.verbs.end_session_by_handle(info.handle))
    # Its `Revoked` may come first.
    assert [kept(event) for event in site.told() if type(event) is SignedOut] == [expected]


def test_what_was_not_there_does_not_end(build: Build) -> None:
    site = build("memory")
    site.browser().does(site.end())
    assert site.told() == []
    site.browser({NAME: "junk"}).does(site.end())
    assert [type(event) for event in site.told()] == [Refused]


def test_tokens_that_start_no_session(build: Build, pool: LocalUserPool) -> None:
    site = build("sealed")
    tokens = pool.sign_in("ada")
    with LocalUserPool(user_pool_id="eu-west-1_Other0001") as other:
        other.add_user("ada")
        foreign = other.sign_in("ada")
    for given, reason in (
        (foreign, "wrong_issuer"),
        ({"access_token": tokens.access_token}, "missing_token"),
    ):
        site.browser().does(site.start(given))
        failed = [event for event in site.told() if not isinstance(event, Notice)]
        assert [kept(event) for event in failed] == [
            SignInFailed(reason, "app", 401, None, "", "", "sealed", *of_pool(pool))
        ]


# Refreshes.


@pytest.mark.parametrize("kind", LASTING)
def test_a_refresh_is_told_once_however_many_wait(
    build: Build, pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.told()
    clock.advance(HOUR)
    copies = [browser.copy() for _ in range(4)]
    waiting = threading.Barrier(4)

    def ask(each: Any) -> None:
        waiting.wait(PATIENCE)
        each.does(site.who)

    threads = [threading.Thread(target=ask, args=(each,)) for each in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    told = [event for event in site.told() if not isinstance(event, Refused)]
    assert told == [Refreshed(NAMES.get(kind, kind), *of_pool(pool), sub_of(pool))]


def test_new_tokens_that_came_too_late_to_be_kept_are_no_event(build: Build, clock: Clock) -> None:
    class Overtaken(MemoryStore):
        """Lets another process refresh the session first, once the lease has run out."""

        rival: Callable[[], object] | None = None

        def replace_and_release(self, key: bytes, record: Any, fence: int) -> bool:
            rival, self.rival = self.rival, None
            if rival is not None:
                clock.advance(11)
                rival()
            return super().replace_and_release(key, record, fence)

    store = Overtaken(clock=clock)
    slow, quick = build(StoredSession(store)), build(StoredSession(store))
    browser = slow.sign_in()
    other = quick.browser(browser.jar)
    store.rival = lambda: other.does(quick.refresh)
    browser.does(slow.refresh)
    assert [type(event) for event in quick.told()] == [Refreshed]
    assert [type(event) for event in slow.told()] == [SignedIn]


def test_amplifys_cookies_are_a_kind_of_their_own(build: Build, pool: LocalUserPool) -> None:
    site = build(AmplifyCookies())
    browser = site.sign_in()
    site.told()
    browser.does(site.refresh)
    assert site.told() == [Refreshed("amplify", *of_pool(pool), sub_of(pool))]
    browser.does(site.end())
    [ended] = [event for event in site.told() if isinstance(event, SignedOut)]
    assert ended.session == "amplify"


# Refusals.


def caught(verb: Callable[[], Any]) -> str:
    """An app that asks, and is content with a no."""
    try:
        return str(verb())
    except AuthError as error:
        return error.reason


def test_a_refused_cookie_is_one_event_however_often_the_app_asks(
    build: Build, pool: LocalUserPool
) -> None:
    site = build("token", protect=["/account"])
    for path in ("/", "/account"):
        site.browser({NAME: "junk"}).ask(
            lambda: "".join(caught(get_current_user) for _ in range(10)), path=path
        )
        [event] = site.told()
        assert kept(event) == Refused("malformed_token", 401, "cookie", "", "token", *of_pool(pool))
        assert (event.method, event.path) == ("GET", path)


def test_a_visitor_whom_the_app_merely_asks_about_is_no_event(build: Build) -> None:
    site = build("token", protect=["/account"])
    site.browser().ask(lambda: caught(get_current_user))
    site.browser().ask(lambda: str(site.verbs.handle_server_auth()))
    assert site.told() == []


@pytest.mark.parametrize("kind", ["token", "memory"])
def test_a_visitor_who_is_kept_out_is_one(build: Build, pool: LocalUserPool, kind: str) -> None:
    site = build(kind, protect=["/account"])
    facts = (NAMES.get(kind, kind), *of_pool(pool))
    site.browser().ask(lambda: "page", path="/account", method="HEAD")
    assert site.told() == [
        Refused("no_session", 401, "answer", "", *facts, None, "HEAD", "/account")
    ]
    site.browser().ask(lambda: site.verbs.get_current_user().username)
    assert site.told() == [Refused("no_session", 401, "answer", "", *facts, None, "GET", "/")]
    site.browser().ask(lambda: caught(require_auth(lambda: "page")))
    assert site.told() == [Refused("no_session", 401, "require_auth", "", *facts, None, "GET", "/")]
    site.browser().ask(require_auth(lambda: "page"))
    [event] = site.told()
    assert event.at == "require_auth"


def test_a_user_without_the_group_is_named_to_the_auditor_alone(
    build: Build, pool: LocalUserPool
) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    for guard, reason in (
        (require_auth(groups=["admins"]), "missing_group"),
        (require_auth(scopes=["orders/write"]), "missing_scope"),
    ):
        browser.ask(guard(lambda: "page"))
        [event] = site.told()
        assert (event.reason, event.status, event.at) == (reason, 403, "require_auth")
        assert event.user_id == sub_of(pool)
        assert sub_of(pool) not in repr(event)


def test_a_page_of_another_site(build: Build) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    assert browser.ask(lambda: "done", method="POST", headers=FOREIGN).status == 403
    [event] = site.told()
    assert (event.reason, event.status, event.at) == ("foreign_origin", 403, "answer")
    assert "evil.example" in event.detail
    assert (event.method, event.path) == ("POST", "/")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [(FOREIGN, "cross_site"), ({"Sec-Purpose": "prefetch"}, "speculative_request")],
)
def test_a_verb_that_refuses(build: Build, headers: dict[str, str], reason: str) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    for verb in ("end_session", "start_session"):
        arguments = [None] if verb == "start_session" else []
        browser.ask(
            lambda verb=verb, arguments=arguments: caught(  # type: ignore[misc]
                partial(getattr(site.verbs, verb), *arguments)
            ),
            headers=headers,
        )
        [event] = site.told()
        assert (event.reason, event.status, event.at) == (reason, 403, verb)
        assert (event.method, event.path) == ("GET", "/")


def test_a_session_that_runs_out_while_it_is_answered(build: Build, clock: Clock) -> None:
    site = build("token")
    browser = site.sign_in()
    site.told()

    def later() -> None:
        clock.advance(2 * HOUR)
        assert caught(get_current_user) == caught(get_current_user) == "token_expired"

    browser.ask(lambda: AppAnswer(later={"streaming": later}))
    [event] = site.told()
    assert (event.reason, event.at) == ("token_expired", "app")


def test_a_user_whom_cognito_has_signed_out(build: Build, pool: LocalUserPool) -> None:
    site = build("memory")
    browser = site.sign_in()
    site.told()
    pool.disable_user("ada")
    browser.ask(lambda: caught(site.verbs.fetch_user_attributes) + caught(get_current_user))
    [event] = site.told()
    assert (event.reason, event.status, event.at) == ("session_revoked", 401, "app")


# The sign-in routes.


def test_a_sign_in_by_the_routes_from_end_to_end(build: Build, pool: LocalUserPool) -> None:
    site = build("memory", routes={"on_error": "/sorry"})
    visitor = Visitor(site)
    visitor.sign_in()
    facts = ("stored", *of_pool(pool), sub_of(pool))
    [begun] = site.told()
    assert kept(begun) == SignedIn("routes", *facts)
    visitor.go("/auth/sign-out", method="POST")
    told = {type(event): event for event in site.told()}
    assert kept(told.pop(SignedOut)) == SignedOut("here", *facts)
    assert told == {Revoked: Revoked(True, "", False, *facts[1:])}


def test_a_sign_in_that_fails(build: Build, pool: LocalUserPool) -> None:
    site = build("memory", routes={"on_error": "/sorry"})
    visitor = Visitor(site)
    back = altered(pool.authorize(visitor.leave(), "ada"), iss="https://evil.example")
    assert code_of(visitor.come_back(back)) == "issuer_mismatch"
    [event] = site.told()
    assert event._replace(mend="") == SignInFailed(
        *("issuer_mismatch", "routes", 400, None, "", "", "stored", *of_pool(pool)),
        *("GET", "/auth/sign-in-callback"),
    )
    assert "domain" in event.mend


def test_what_the_routes_refuse(build: Build) -> None:
    site = build("memory", routes={})
    visitor = Visitor(site)
    visitor.go("/auth/sign-in", headers={"Sec-Purpose": "prefetch"})
    visitor.go("/auth/sign-out", fetch_site="cross-site")
    assert [(event.reason, event.status, event.path) for event in site.told()] == [
        ("speculative_request", 403, "/auth/sign-in"),
        ("cross_site", 403, "/auth/sign-out"),
    ]


def test_the_function_for_failed_sign_ins_is_called_as_before(build: Build) -> None:
    failures: list[Any] = []
    site = build("memory", routes={"on_sign_in_failed": failures.append})
    Visitor(site).go("/auth/sign-in-callback")
    [event] = site.told()
    assert [failure.code for failure in failures] == [event.reason] == ["bad_request"]


# Outages.


def test_an_outage_and_its_end_are_told_once_to_each_listener(
    shell: Shell, pool: LocalUserPool
) -> None:
    told: tuple[list[Any], list[Any]] = ([], [])
    config = pool.config()
    apps = [
        shell.middleware(
            shell.app(lambda: caught(get_current_user)), config.replace(on_event=one.append)
        )
        for one in told
    ]
    token = pool.mint("ada")
    with pool.fault("jwks", Down()):
        for app in apps:
            shell.send(app, Ask(cookie=token))
    for events in told:
        assert [type(event) for event in events] == [Outage, Refused]
    assert told[0][0] == told[1][0]


def test_an_outage_of_the_refreshes_and_its_end(
    build: Build, pool: LocalUserPool, clock: Clock
) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    clock.advance(HOUR)
    with pool.fault("GetTokensFromRefreshToken", Down()):
        for _ in range(3):
            browser.does(site.who)
            clock.advance(HOUR)
    outages = [event for event in site.told() if isinstance(event, Outage)]
    assert [outage.over for outage in outages] == [False]
    assert browser.does(site.who).body == "ada"
    over, refreshed = site.told()
    assert (over, type(refreshed)) == (outages[0]._replace(why="", over=True), Refreshed)


def test_a_store_that_stops_and_answers_again(build: Build, clock: Clock) -> None:
    site = build("memory")
    browser = site.sign_in()
    site.told()
    store, load = site.session.store, site.session.store.load

    def broken(*_: Any) -> Any:
        raise StoreUnavailable("the store is down")

    store.load = broken
    for _ in range(3):
        assert "store_unavailable" in browser.does(site.who).body
        clock.advance(1)
    del store.load
    assert store.load == load
    assert browser.does(site.who).body == "ada"
    told = site.told()
    outages = [(event.what, event.over) for event in told if isinstance(event, Outage)]
    assert outages == [("the session store", False), ("the session store", True)]
    refusals = [(event.reason, event.status) for event in told if isinstance(event, Refused)]
    assert refusals == [("store_unavailable", 503)] * 3


def test_a_revocation_that_cognito_refuses(build: Build, pool: LocalUserPool) -> None:
    site = build("sealed")
    browser = site.sign_in()
    site.told()
    with pool.fault("RevokeToken", CognitoError("UnauthorizedException", "no")):
        browser.does(site.end())
        revoked = [event for event in site.told() if isinstance(event, Revoked)]
    assert [(event.is_done, bool(event.reason)) for event in revoked] == [(False, True)]


# Who is told.


def test_each_app_hears_of_its_own_requests_alone(shell: Shell, pool: LocalUserPool) -> None:
    one: list[Any] = []
    other: list[Any] = []
    config = pool.config(keys=pool.jwks())
    first = shell.middleware(shell.app(lambda: "home"), config.replace(on_event=one.append))
    second = shell.middleware(shell.app(lambda: "home"), config.replace(on_event=other.append))
    deaf = shell.middleware(shell.app(lambda: "home"), config)
    shared = {id(app.engine.authenticator.verdicts) for app in (first, second, deaf)}
    assert len(shared) == 1  # what one has verified, all know
    threads = [
        threading.Thread(target=shell.send, args=(app, Ask(path, cookie=f"junk{number}")))
        for number in range(10)
        for app, path in ((first, "/one"), (second, "/other"), (deaf, "/deaf"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [event.path for event in one] == ["/one"] * 10
    assert [event.path for event in other] == ["/other"] * 10


def test_middlewares_that_are_nested_tell_once(shell: Shell, pool: LocalUserPool) -> None:
    told: list[Event] = []
    config = pool.config(keys=pool.jwks(), on_event=told.append)
    for inner in (config, config.replace(cache_control="private")):
        app = shell.middleware(
            shell.middleware(shell.app(lambda: get_current_user().username), inner), config
        )
        assert shell.send(app, Ask(cookie="junk")).status == 401
        assert [type(event) for event in told] == [Refused]
        told.clear()


def test_middlewares_that_are_nested_tell_once_in_a_stream_too(
    shell: Shell, pool: LocalUserPool
) -> None:
    def handler() -> AppAnswer:
        moments = ("started", "streaming", "over")
        return AppAnswer("page", later=dict.fromkeys(moments, lambda: caught(get_current_user)))

    told: list[Event] = []
    config = pool.config(keys=pool.jwks(), on_event=told.append)
    inside = shell.middleware(shell.app(handler), config.replace(cache_control="private"))
    shell.send(shell.middleware(inside, config), Ask(cookie="junk"))
    assert [type(event) for event in told] == [Refused]


def test_a_configuration_that_is_dropped_tells_nobody_any_more(
    shell: Shell, pool: LocalUserPool
) -> None:
    told: list[Event] = []
    config = pool.config()
    app = shell.middleware(shell.app(lambda: "home"), config.replace(on_event=told.append))
    other = shell.middleware(shell.app(lambda: "home"), config)
    del app
    gc.collect()
    with pool.fault("jwks", Down()):
        shell.send(other, Ask(cookie=pool.mint("ada")))
    assert told == []


class Listener:
    """One that is an object, and can be told from another."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.told.append(event)


def module_listener(event: Event) -> None:
    """One that can be pickled."""


def test_copies_tell_the_same_listener(pool: LocalUserPool) -> None:
    listener = Listener()
    config = pool.config(on_event=listener)
    engine = Engine.of(config)
    for made in (copy.copy(config), copy.deepcopy(config), config.replace()):
        assert made == config
        assert made.on_event is listener
        assert Engine.of(made) is engine
    assert Engine.of(config.replace(on_event=Listener())) is not engine
    pickled = pool.config(on_event=module_listener)
    assert pickle.loads(pickle.dumps(pickled)) == pickled


# Listeners that fail.


def test_a_listener_that_raises_is_logged_and_fails_nothing(
    build: Build, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError(f"no room for a {type(event).__name__}")

    site = build("sealed", on_event=broken, protect=["/account"])
    browser = site.sign_in()
    assert browser.does(site.who).body == "ada"
    assert site.browser({NAME: "junk"}).ask(lambda: "page", path="/account").status == 401
    browser.does(site.refresh)
    browser.does(site.end())
    site.settle()
    failed = [record for record in caplog.records if "on_event has failed" in record.message]
    assert {record.message.split()[-1] for record in failed} == {
        *("SignedIn", "Refused", "Refreshed", "SignedOut", "Revoked"),
    }
    assert all(record.exc_info for record in failed)
    assert {record.levelname for record in failed} == {"ERROR"}


def test_of_several_listeners_each_is_told_in_its_order_whatever_another_raises(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def first(event: Event) -> None:
        told.append(f"first: {type(event).__name__}")
        raise RuntimeError("no room")

    def second(event: Event) -> None:
        told.append(f"second: {type(event).__name__}")

    class Metrics:
        def on_event(self, event: Event) -> None:
            told.append(f"metrics: {type(event).__name__}")

    build("sealed", on_event=[first, second], telemetry=Metrics()).sign_in()

    assert told == ["first: SignedIn", "second: SignedIn", "metrics: SignedIn"]
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        "on_event has failed at an event SignedIn"
    ]


def test_a_coroutine_function_is_refused_with_what_to_write(pool: LocalUserPool) -> None:
    async def listen(event: Event) -> None: ...

    class Awaited:
        async def __call__(self, event: Event) -> None: ...

    for listener in (listen, Awaited(), partial(listen)):
        with pytest.raises(ConfigurationError, match=r"^on_event: .*without async.*put_nowait"):
            pool.config(on_event=listener)
    for other in ("listen", Listener, {}, [print, "listen"]):
        with pytest.raises(ConfigurationError, match=r"^on_event: write a function"):
            pool.config(on_event=other)


def test_a_function_that_answers_with_a_coroutine_is_told(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    async def listen(event: Event) -> None: ...

    site = build("token", on_event=lambda event: listen(event))
    assert site.browser({NAME: "junk"}).does(site.who).status == 200
    assert "on_event has failed" in caplog.text
    assert "without async" in caplog.text


def test_a_function_that_hands_on_to_a_task_has_not_failed(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    futures: list[asyncio.Future[None]] = []

    def listen(event: Event) -> asyncio.Future[None]:  # as `loop.create_task` answers
        futures.append(loop.create_future())
        return futures[-1]

    loop = asyncio.new_event_loop()
    try:
        site = build("token", on_event=listen)
        site.browser({NAME: "junk"}).does(site.who)
    finally:
        loop.close()
    assert len(futures) == 1
    assert "on_event" not in caplog.text


def test_a_log_that_fails_keeps_nothing_from_the_listener(build: Build) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the log server is down")

    handler, ours = Broken(), logging.getLogger("amplify_mw")
    site, level = build("token"), ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        site.browser({NAME: "junk"}).does(site.who)
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
    assert [event.reason for event in site.told()] == ["malformed_token"]


def test_a_listener_may_ask_for_the_user(build: Build) -> None:
    said: list[str] = []
    site = build("token", on_event=lambda _: said.append(caught(get_current_user)))
    site.browser().ask(lambda: caught(require_auth(lambda: "page")))
    assert said == ["no_session"]


# Nothing that nobody looks at.


def test_without_a_listener_a_refusal_makes_no_event(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: Any, **__: Any) -> Any:
        raise AssertionError("an event was made")

    site = build("token", on_event=None)
    logger = logging.getLogger("amplify_mw")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setattr("amplify_mw.events.Refused", made)
    assert site.browser({NAME: "junk"}).ask(lambda: caught(get_current_user)).body
    logger.manager._clear_cache()  # type: ignore[attr-defined]


# Requests that are cancelled.


def test_a_sign_out_whose_request_is_cancelled_is_told(
    pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    told: list[Event] = []
    shell = AwaitingShell()
    session = session_of("memory", clock, tmp_path)
    site = Site(shell, pool, clock, session, on_event=told.append)
    browser = site.sign_in()
    told.clear()
    has_begun, may_go_on = threading.Event(), threading.Event()
    end = session.store.end

    def slow(*arguments: Any) -> Any:
        has_begun.set()
        may_go_on.wait(PATIENCE)
        return end(*arguments)

    session.store.end = slow

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await aio.end_session()

    async def cancelled() -> None:
        middleware = AmplifyASGIMiddleware(app, site.engine)
        task = asyncio.create_task(shell.serve(middleware, Ask(cookies=browser.header)))
        await asyncio.to_thread(has_begun.wait, PATIENCE)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert told == []
    may_go_on.set()
    site.settle()
    site.close()  # what was launched meanwhile
    assert {type(event) for event in told} == {SignedOut, Revoked}


# No secrets.


@pytest.mark.parametrize("kind", [*LASTING, "amplify"])
def test_no_event_of_a_whole_life_of_a_session_holds_a_secret(
    build: Build, pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    secrets: set[str] = {"ada@example.com"}
    pool.add_user("edsger", email="edsger@example.com", name="Edsger Dijkstra")
    secrets |= {"edsger", "edsger@example.com", "Edsger Dijkstra"}
    site = build(AmplifyCookies() if kind == "amplify" else kind, routes={}, protect=["/account"])
    visitor = Visitor(site)

    def note(*texts: str | None) -> None:
        for text in texts:
            if text:
                secrets.update(value for _, value in parse_qsl(urlsplit(text).query))
        for value in visitor.jar.values():
            secrets.add(value)
            secrets.update(part for part in value.split(".") if len(part) > 8)

    to_pool = visitor.leave(login_hint="edsger@example.com", next="/account?secret=in-the-query")
    note(to_pool)
    back = pool.authorize(to_pool, "edsger")
    note(back)
    visitor.come_back(back)
    note()
    visitor.come_back(back)  # the code again
    for _ in range(2):
        clock.advance(HOUR)
        visitor.ask(lambda: json.dumps(site.verbs.fetch_user_attributes()))
        note()
        tokens: list[Any] = []
        visitor.ask(
            lambda: str(tokens.extend([site.verbs.fetch_auth_session().tokens]))  # noqa: B023
        )
        for each in (tokens[0].id_token, tokens[0].access_token):
            secrets.update(each.encoded.split(".") if each else ())
    thief = visitor.copy()
    broken = {name: value[:-4] + "AAAA" for name, value in visitor.jar.items()}
    Visitor(site, broken).ask(lambda: "page", path="/account?secret=in-the-query")
    visitor.ask(lambda: "page", method="POST", headers=FOREIGN)
    visitor.go("/auth/sign-out", method="POST")
    note()
    thief.ask(lambda: "page", path="/account")
    visitor.come_back(altered(back, code="another-code"))
    told = site.told()
    kinds = {type(event) for event in told}
    assert {SignedIn, SignedOut, Refreshed, Revoked, Refused} <= kinds
    public = {"/account", "/", "edsger"[:0], "openid", "S256", "code", pool.client_id, "login"}
    secrets = {secret for secret in secrets - public if len(secret) > 2}
    for event in told:
        said = repr(event) + "".join(str(field) for field in event)
        held = [secret for secret in secrets if secret in said]
        assert not held, (type(event), held)


def test_no_import_of_a_middleware_loads_the_events() -> None:
    code = "import amplify_mw.wsgi, amplify_mw.asgi, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"amplify_mw.events", "amplify_mw.engine.refusals"} & set(done.stdout.split())
