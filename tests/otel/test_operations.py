"""Calls to Cognito and to stores: a span and a duration each, in the trace of their request."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from amplify_mw import AmplifyConfig, ConfigurationError, StoredSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.driver import Driver
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import CognitoError, Down, LocalUserPool
from tests.otel.recording import Recording, has_failed, id_of, parent_of
from tests.routes.going import Visitor, auth_routes
from tests.shells import ASGIShell, Ask
from tests.sites import HOUR, Browser, Build, Clock, Site


def traced(recording: Recording, browser: Browser, *actions: Callable[[], object]) -> Any:
    """The span of a request in which an app did this, after all that it has started."""
    with recording.tracer.start_as_current_span("request", kind=SpanKind.SERVER) as span:
        browser.does(*actions)
    browser.site.settle()
    return span


@pytest.fixture
def site(build: Build, recording: Recording) -> Callable[..., Site]:
    def site(*kinds: Any, **options: Any) -> Site:
        return build(*kinds, telemetry=recording.telemetry(), **options)

    return site


def test_a_key_fetch_is_a_child_of_the_request_that_needed_it(
    site: Callable[..., Site], pool: LocalUserPool, recording: Recording
) -> None:
    opened = site("token", keys=None)
    browser = opened.browser({"amplify-session": pool.sign_in("ada").id_token})
    request = traced(recording, browser)

    (span,) = recording.named("amplify_mw.key_fetch")
    assert (parent_of(span), span.kind) == (id_of(request), SpanKind.CLIENT)
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "amplify_mw.operation": "key_fetch",
        "server.address": "127.0.0.1",
        "server.port": int(pool.url.rpartition(":")[2]),
        "http.response.status_code": 200,
    }
    assert recording.points("amplify_mw.operation.duration") == [
        ({"amplify_mw.operation": "key_fetch"}, 1)
    ]
    recording.clear()
    traced(recording, browser)
    assert [span.name for span in recording.spans] == ["request"]  # it is known now


def test_a_refresh_has_its_store_calls_inside(
    site: Callable[..., Site], clock: Clock, recording: Recording
) -> None:
    opened = site("sqlite")
    browser = opened.sign_in()
    opened.settle()
    recording.clear()
    clock.advance(HOUR + 60)
    request = traced(recording, browser)

    (span,) = recording.named("amplify_mw.refresh")
    assert parent_of(span) == id_of(request)
    assert not has_failed(span)
    inside = [each for each in recording.spans if parent_of(each) == id_of(span)]
    assert {each.name for each in inside} >= {"amplify_mw.store.acquire_and_load"}
    for each in inside:
        assert (each.attributes or {})["db.system.name"] == "sqlite"
        assert each.kind is SpanKind.CLIENT
    traces = {each.get_span_context().trace_id for each in recording.spans}  # type: ignore[union-attr]
    assert len(traces) == 1


def test_a_refused_refresh_says_why(
    site: Callable[..., Site], clock: Clock, pool: LocalUserPool, recording: Recording
) -> None:
    opened = site("sealed")
    browser = opened.sign_in()
    pool.disable_user("ada")
    clock.advance(HOUR + 60)
    traced(recording, browser)

    (span,) = recording.named("amplify_mw.refresh")
    assert has_failed(span)
    attributes = dict(span.attributes or {})
    assert (attributes["error.type"], attributes["http.response.status_code"]) == (
        "session_revoked",
        400,
    )
    assert ({"amplify_mw.operation": "refresh", "error.type": "session_revoked"}, 1) in (
        recording.points("amplify_mw.operation.duration")
    )


def test_another_region_is_asked_in_the_same_span(
    site: Callable[..., Site], pool: LocalUserPool, recording: Recording
) -> None:
    with pool.replica("us-west-2") as replica:
        opened = site("sealed", regions=pool.regions, attributes_ttl=0)
        browser = opened.sign_in()
        with pool.fault("GetUser", Down()):
            traced(recording, browser, opened.verbs.fetch_user_attributes)
        (span,) = recording.named("amplify_mw.get_user")
        attributes = dict(span.attributes or {})
        assert attributes["server.port"] == int(replica.url.rpartition(":")[2])
        assert attributes["http.request.resend_count"] == 1
        assert not has_failed(span)


def test_get_user_and_its_failure(
    site: Callable[..., Site], pool: LocalUserPool, recording: Recording
) -> None:
    opened = site("sealed", attributes_ttl=0)
    browser = opened.sign_in()
    request = traced(recording, browser, opened.verbs.fetch_user_attributes)
    (span,) = recording.named("amplify_mw.get_user")
    assert (parent_of(span), has_failed(span)) == (id_of(request), False)
    recording.clear()
    with pool.fault("GetUser", CognitoError("TooManyRequestsException")):
        traced(recording, browser, opened.verbs.fetch_user_attributes)
    (span,) = recording.named("amplify_mw.get_user")
    assert (span.attributes or {})["error.type"] == "throttled"


def test_a_sign_in_and_a_sign_out_by_the_routes(
    build: Build, pool: LocalUserPool, recording: Recording
) -> None:
    opened = build("sqlite", telemetry=recording.telemetry(), routes=auth_routes())
    visitor = Visitor(opened)
    with recording.tracer.start_as_current_span("sign-in") as request:
        visitor.sign_in()
    (span,) = recording.named("amplify_mw.code_exchange")
    assert (parent_of(span), has_failed(span)) == (id_of(request), False)
    with recording.tracer.start_as_current_span("sign-out") as request:
        visitor.go("/auth/sign-out", method="POST")
    opened.settle()
    (span,) = recording.named("amplify_mw.revoke")
    assert span.context is not None
    assert span.context.trace_id == request.get_span_context().trace_id
    (ended,) = recording.named("amplify_mw.store.end")
    assert parent_of(ended) == id_of(request)  # though it is asked in a flight, which has no span


def test_waiters_share_one_span_in_the_trace_of_the_first(
    site: Callable[..., Site], pool: LocalUserPool, recording: Recording
) -> None:
    opened = site("token", keys=None)
    browser = opened.browser({"amplify-session": pool.sign_in("ada").id_token})
    with ThreadPoolExecutor(3) as threads, pool.hold("jwks") as gate:
        waiting = [threads.submit(traced, recording, browser.copy()) for _ in range(3)]
        gate.wait_for_arrivals(1)
        gate.release()
        requests = [id_of(each.result()) for each in waiting]
    (span,) = recording.named("amplify_mw.key_fetch")
    assert parent_of(span) in requests


def test_nothing_of_a_request_stays_on_the_librarys_threads(
    site: Callable[..., Site], pool: LocalUserPool, recording: Recording
) -> None:
    opened = site("sealed", attributes_ttl=0)
    browser = opened.sign_in()
    for _ in range(2):
        traced(recording, browser, opened.verbs.fetch_user_attributes)
    recording.clear()
    with recording.tracer.start_as_current_span("request") as request:
        browser.does(opened.verbs.fetch_user_attributes)
    opened.settle()
    (span,) = recording.named("amplify_mw.get_user")
    assert parent_of(span) == id_of(request)


# Stores.


class Failing(SQLiteStore):
    """A store of the app's own, which is down."""

    def load(self, key: bytes) -> Any:
        raise StoreUnavailable("down for now")


def test_a_stores_failure_is_in_its_span(
    build: Build, clock: Clock, tmp_path: Path, recording: Recording
) -> None:
    store = Failing(tmp_path / "failing.db", clock=clock)
    opened = build(StoredSession(store), telemetry=recording.telemetry())
    request = traced(recording, opened.browser({"amplify-session": "A" * 43}))

    (span,) = recording.named("amplify_mw.store.load")
    attributes = dict(span.attributes or {})
    assert (parent_of(span), span.kind) == (id_of(request), SpanKind.INTERNAL)
    assert attributes["error.type"] == "store_unavailable"
    assert "db.system.name" not in attributes
    assert ({"amplify_mw.dependency": "store"}, 1) in recording.points("amplify_mw.outage")


def test_a_store_in_memory_is_not_measured(site: Callable[..., Site], recording: Recording) -> None:
    browser = site("memory").sign_in()
    traced(recording, browser, browser.site.end())
    assert {span.name for span in recording.spans} == {"request", "amplify_mw.revoke"}


class Slow(SQLiteStore):
    """A store whose answer is awaited for ever."""

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if method != "load":
            return await super().ask(method, arguments)
        self.is_asked.set()
        return await asyncio.Event().wait()

    is_asked: asyncio.Event


async def no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("it is never reached")


def test_a_cancelled_wait_ends_its_span(
    pool: LocalUserPool, tmp_path: Path, recording: Recording
) -> None:
    store = Slow(tmp_path / "slow.db")
    config = pool.config(session=StoredSession(store), telemetry=recording.telemetry())
    app = AmplifyASGIMiddleware(no_app, Engine(config))
    shell = ASGIShell()

    async def cancel() -> None:
        store.is_asked = asyncio.Event()
        task = asyncio.create_task(shell.serve(app, Ask(cookie="A" * 43)))
        await store.is_asked.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    store.close()
    (span,) = recording.named("amplify_mw.store.load")
    assert (span.attributes or {})["error.type"] == "CancelledError"


def test_a_flight_goes_on_after_its_waiter_and_so_does_its_span(
    pool: LocalUserPool, recording: Recording
) -> None:
    config = pool.config(keys=None, telemetry=recording.telemetry())
    engine = Engine(config)
    app = AmplifyASGIMiddleware(no_app, engine)
    token = pool.sign_in("ada").id_token

    async def cancel(gate: Any) -> None:
        task = asyncio.create_task(ASGIShell().serve(app, Ask(cookie=token)))
        await asyncio.to_thread(gate.wait_for_arrivals, 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with pool.hold("jwks") as gate:
        asyncio.run(cancel(gate))
        assert recording.spans == ()
    engine.close()
    (span,) = recording.named("amplify_mw.key_fetch")
    assert not has_failed(span)


# Telemetry that fails, or measures less.


class Broken:
    sees_requests = True

    def on_event(self, event: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def broken(*arguments: Any, **options: Any) -> Any:
            raise RuntimeError("no room")

        return broken


class BrokenLater(Broken):
    def begin(self, *arguments: Any, **options: Any) -> Any:
        return Broken()


@pytest.mark.parametrize("telemetry", [Broken(), BrokenLater()])
def test_its_failure_fails_no_request_and_is_logged_once(
    build: Build, pool: LocalUserPool, telemetry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    opened = build("sqlite", telemetry=telemetry, keys=None)
    browser = opened.sign_in()
    for action in (opened.who, opened.refresh, opened.end()):
        assert browser.does(action).status == 200
    opened.settle()
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["telemetry has failed; this is said once"]


class Leaving(SQLiteStore):
    """A store whose instrumentation leaves a span of its own behind."""

    def load(self, key: bytes) -> Any:
        context.attach(context.set_value("left", "behind"))
        return super().load(key)


class Full(SpanProcessor):
    """An exporter without room."""

    def on_end(self, span: Any) -> None:
        raise OSError("no room")


@pytest.mark.parametrize("is_full", [True, False])
def test_a_servers_thread_has_its_own_context_again_whatever_fails(
    build: Build, clock: Clock, tmp_path: Path, recording: Recording, is_full: bool
) -> None:
    store = (SQLiteStore if is_full else Leaving)(tmp_path / "sessions.db", clock=clock)
    opened = build(StoredSession(store), telemetry=recording.telemetry())
    browser = opened.sign_in()
    if is_full:
        recording.traces.add_span_processor(Full())
    before = context.get_current()
    assert browser.does(opened.who).body == "ada"
    assert context.get_current() == before


def test_a_telemetry_is_asked_only_for_what_it_has(
    build: Build, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    class Events:
        def on_event(self, event: Any) -> None:
            pass

    class Requests(Events):
        sees_requests = True
        told: list[Any] = []  # noqa: RUF012

        def on_request(self, user: Any) -> None:
            self.told.append(user)

    class Operations(Events):
        begun: list[str] = []  # noqa: RUF012

        def begin(self, operation: Any, place: Any = None, *, store: str = "") -> None:
            self.begun.append(store)

    class Claiming(Events):
        sees_requests = True

    for telemetry in (Requests(), Operations(), Claiming()):
        opened = build("sqlite", telemetry=telemetry)
        assert opened.sign_in().does(opened.who).body == "ada"
        opened.settle()
    assert [type(user).__name__ for user in Requests.told] == ["NoneType", "Seen"]
    assert "SQLiteStore.create" in Operations.begun
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_one_without_a_hash_is_refused() -> None:
    @dataclass
    class Metrics:
        def on_event(self, event: Any) -> None:
            pass

    with pytest.raises(ConfigurationError, match=r"telemetry: Metrics has no hash.*eq=False"):
        AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="a", telemetry=Metrics())  # type: ignore[arg-type]


def test_it_counts_a_refusal_once_and_without_an_event(build: Build) -> None:
    class Counting:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def on_event(self, event: Any) -> None:
            self.told.append(type(event))

        def on_refusal(self, reason: str, status: int, session: str | None) -> None:
            self.told.append((reason, status, session))

    counting, events = Counting(), list[Any]()
    for listeners in ([], [events.append]):
        opened = build("sealed", telemetry=counting, on_event=listeners, protect=["/private"])
        opened.browser({"amplify-session": "junk"}).does(opened.who, path="/private")
        assert counting.told == [("invalid_session", 401, "sealed")]
        counting.told.clear()
    assert [event.reason for event in events] == ["invalid_session"]


def test_its_failure_to_count_a_refusal_is_logged_once(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    opened = build("sealed", telemetry=Broken())
    for _ in range(2):
        opened.browser({"amplify-session": "junk"}).does()
    assert [record.message for record in caplog.records].count(
        "telemetry has failed; this is said once"
    ) == 2  # its `on_request`, and this


def test_one_that_only_counts_events_is_asked_for_nothing_else(build: Build) -> None:
    class Counting:
        def on_event(self, event: Any) -> None:
            pass

    opened = build("sealed", telemetry=Counting())
    assert opened.engine.measuring is None
    assert opened.sign_in().does().body == "ada"


def test_without_telemetry_a_driver_measures_nothing(build: Build) -> None:
    assert type(build("sealed").engine.driver) is Driver
