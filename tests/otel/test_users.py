"""The user on the server's span: with real instrumentations outside and inside, and with both."""

import asyncio
import hmac
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as ASGITraces
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WSGITraces
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from amplify_mw import get_current_user, user_or_none
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.telemetry import Seen
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.base64url import decode
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.otel.recording import Recording
from tests.patience import PATIENCE
from tests.shells import ASGIShell, Ask, WSGIShell
from tests.sites import Build

HERE = Path(__file__).parent
KEY = bytes(range(32))
NAMES = ("ada", "grace")


@pytest.fixture
def pool(pool: LocalUserPool) -> LocalUserPool:
    if "grace" not in pool.usernames:
        pool.add_user("grace")
    return pool


@pytest.fixture
def config(pool: LocalUserPool, recording: Recording) -> Any:
    return pool.config(keys=pool.jwks(), telemetry=recording.telemetry(user_on_span="plain"))


def sub_of(token: str) -> str:
    return str(json.loads(decode(token.split(".")[1].encode()))["sub"])


def servers(recording: Recording) -> list[ReadableSpan]:
    """The spans of requests, in the order of their ends."""
    return [span for span in recording.spans if span.kind is SpanKind.SERVER]


def users(recording: Recording) -> list[str | None]:
    return [(span.attributes or {}).get("user.id") for span in servers(recording)]  # type: ignore[misc]


# The instrumentations, and the middleware inside of each, outside of it, and between two.


def flask_app(recording: Recording) -> Flask:
    app = Flask("traced")

    @app.get("/")
    def root() -> str:
        user = user_or_none()
        return "nobody" if user is None else user.username

    FlaskInstrumentor().instrument_app(app, tracer_provider=recording.traces)
    return app


def starlette_app(_: Recording) -> Starlette:
    async def root(request: Any) -> PlainTextResponse:
        user = user_or_none()
        return PlainTextResponse("nobody" if user is None else user.username)

    return Starlette(routes=[Route("/", root)])


def flask_inside(recording: Recording, config: Any) -> Any:
    return AmplifyWSGIMiddleware(flask_app(recording), config)


def flask_wrapped_before(recording: Recording, config: Any) -> Any:
    """As the documentation writes it: around `wsgi_app`, before the instrumentation."""
    app = Flask("traced")
    app.add_url_rule("/", view_func=lambda: getattr(user_or_none(), "username", "nobody"))
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)  # type: ignore[method-assign]
    FlaskInstrumentor().instrument_app(app, tracer_provider=recording.traces)
    return app


def wsgi_outside(recording: Recording, config: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [getattr(user_or_none(), "username", "nobody").encode()]

    return WSGITraces(AmplifyWSGIMiddleware(app, config), tracer_provider=recording.traces)


def wsgi_on_both_sides(recording: Recording, config: Any) -> Any:
    inner = AmplifyWSGIMiddleware(flask_app(recording), config)
    return WSGITraces(inner, tracer_provider=recording.traces)


def asgi_outside(recording: Recording, config: Any) -> Any:
    inner = AmplifyASGIMiddleware(starlette_app(recording), config)
    return ASGITraces(inner, tracer_provider=recording.traces)


def asgi_inside(recording: Recording, config: Any) -> Any:
    inner = ASGITraces(starlette_app(recording), tracer_provider=recording.traces)
    return AmplifyASGIMiddleware(inner, config)


def fastapi_outside(recording: Recording, config: Any) -> Any:
    """As the documentation writes it: a middleware of an instrumented app."""
    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    async def root() -> str:
        user = user_or_none()
        return "nobody" if user is None else user.username

    app.add_middleware(AmplifyASGIMiddleware, config=config)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=recording.traces)
    return app


def fastapi_inside(recording: Recording, config: Any) -> Any:
    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    async def root() -> str:
        user = user_or_none()
        return "nobody" if user is None else user.username

    FastAPIInstrumentor.instrument_app(app, tracer_provider=recording.traces)
    return AmplifyASGIMiddleware(app, config)


SITES = (
    *(flask_inside, flask_wrapped_before, wsgi_outside, wsgi_on_both_sides),
    *(asgi_outside, asgi_inside, fastapi_outside, fastapi_inside),
)


def ask(app: Any, token: str | None, **facts: Any) -> str:
    is_wsgi = isinstance(app, Flask | WSGITraces | AmplifyWSGIMiddleware)
    shell: Any = Sent() if is_wsgi else ASGIShell()
    return str(shell.send(app, Ask(cookie=token, **facts)).body)


class Sent(WSGIShell):
    def environ(self, ask: Ask) -> dict[str, Any]:
        from io import BytesIO, StringIO

        more = {"SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.input": BytesIO()}
        more |= {"wsgi.errors": StringIO(), "HTTP_HOST": "localhost"}
        return {**super().environ(ask), **more}


@pytest.mark.parametrize("make", SITES)
def test_the_user_is_on_the_servers_span(
    make: Callable[..., Any], pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    app = make(recording, config)
    tokens = {name: pool.sign_in(name).id_token for name in NAMES}
    assert [ask(app, tokens[name]) for name in NAMES] == list(NAMES)
    assert ask(app, None) == ask(app, "junk") == "nobody"
    assert users(recording) == [sub_of(tokens["ada"]), sub_of(tokens["grace"]), None, None]


@pytest.mark.parametrize("make", [flask_inside, wsgi_outside])
def test_threads_have_each_their_own(
    make: Callable[..., Any], pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    app = make(recording, config)
    tokens = [None, *(pool.sign_in(name).id_token for name in NAMES)] * 2
    together = Barrier(len(tokens))

    def visit(token: str | None) -> None:
        for number in range(5):
            together.wait(PATIENCE)
            ask(app, token, headers={"Traceparent": f"00-{_trace(token)}-{number + 1:016x}-01"})

    with ThreadPoolExecutor(len(tokens)) as threads:
        list(threads.map(visit, tokens))
    check_each(recording, tokens, 5)


@pytest.mark.parametrize("make", [asgi_outside, asgi_inside])
def test_tasks_have_each_their_own(
    make: Callable[..., Any], pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    app = make(recording, config)
    tokens = [None, *(pool.sign_in(name).id_token for name in NAMES)] * 2

    async def visit(token: str | None) -> None:
        for number in range(5):
            headers = {"Traceparent": f"00-{_trace(token)}-{number + 1:016x}-01"}
            await ASGIShell().serve(app, Ask(cookie=token, headers=headers))
            await asyncio.sleep(0)

    async def visit_all() -> None:
        await asyncio.gather(*map(visit, tokens))

    asyncio.run(visit_all())
    check_each(recording, tokens, 5)


def _trace(token: str | None) -> str:
    """A trace's id by which a request's user is known."""
    return "1" * 32 if token is None else sub_of(token).replace("-", "").rjust(32, "2")


def check_each(recording: Recording, tokens: list[str | None], times: int) -> None:
    by_trace = {_trace(token): None if token is None else sub_of(token) for token in tokens}
    found = servers(recording)
    assert len(found) == len(tokens) * times
    for span in found:
        assert span.context is not None
        expected = by_trace[f"{span.context.trace_id:032x}"]
        assert (span.attributes or {}).get("user.id") == expected


def test_no_user_is_on_spans_of_other_kinds_or_after_the_request(
    pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    async def later() -> None:
        with recording.tracer.start_as_current_span("later", kind=SpanKind.SERVER):
            pass

    async def root(request: Any) -> PlainTextResponse:
        with recording.tracer.start_as_current_span("inner"):
            name = get_current_user().username
        asyncio.get_running_loop().create_task(outlive())
        return PlainTextResponse(name)

    async def outlive() -> None:
        await over.wait()
        await later()

    async def visit() -> None:
        nonlocal over
        over = asyncio.Event()
        await ASGIShell().serve(app, Ask(cookie=pool.sign_in("ada").id_token))
        over.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others)

    over = asyncio.Event()
    app = asgi_inside_of(Starlette(routes=[Route("/", root)]), recording, config)
    asyncio.run(visit())
    named = {span.name: span.attributes or {} for span in recording.spans}
    assert {"inner", "later"} <= named.keys()
    assert [name for name, attributes in named.items() if "user.id" in attributes] == ["GET /"]


def asgi_inside_of(app: Any, recording: Recording, config: Any) -> Any:
    return AmplifyASGIMiddleware(ASGITraces(app, tracer_provider=recording.traces), config)


@pytest.mark.parametrize("who", ["ada", None])
@pytest.mark.parametrize("options", [{}, {"protect": ["/private"]}])
def test_the_user_of_a_request_that_the_app_makes_is_not_on_the_span_around_it(
    pool: LocalUserPool, config: Any, recording: Recording, who: str | None, options: Any
) -> None:
    def inner(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [getattr(user_or_none(), "username", "nobody").encode()]

    other = AmplifyWSGIMiddleware(inner, config.replace(**options))
    tokens = {name: pool.sign_in(name).id_token for name in NAMES}

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [Sent().send(other, Ask(cookie=tokens["grace"])).body.encode()]

    traced = WSGITraces(AmplifyWSGIMiddleware(app, config), tracer_provider=recording.traces)
    assert ask(traced, tokens[who] if who else None) == "grace"
    assert users(recording) == [sub_of(tokens[who]) if who else None]


@pytest.mark.parametrize("has_outer", [True, False])
def test_a_request_through_two_middlewares_is_told_of_once(
    pool: LocalUserPool, recording: Recording, has_outer: bool
) -> None:
    counted = pool.config(keys=pool.jwks(), telemetry=recording.telemetry(count_users=True))
    around = counted if has_outer else counted.replace(telemetry=None)
    app = AmplifyWSGIMiddleware(flask_app(recording), counted, ignore=["/health"])
    assert ask(AmplifyWSGIMiddleware(app, around), pool.sign_in("ada").id_token) == "ada"
    assert recording.points("amplify_mw.requests") == [({"amplify_mw.session.kind": "token"}, 1)]


def test_nobody_is_named_unless_that_is_asked_for(
    pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    naming = asgi_inside(recording, config)
    token = pool.sign_in("ada").id_token
    ask(naming, token)  # from now on spans of this provider are seen as they begin
    plain = config.replace(telemetry=recording.telemetry())
    for make in (asgi_inside, asgi_outside):
        assert ask(make(recording, plain), token) == "ada"
    assert ask(asgi_inside(recording, config.replace(telemetry=None)), token) == "ada"
    assert users(recording) == [sub_of(token), None, None, None]


def test_without_the_sdk_of_such_a_provider_the_span_around_has_the_user(
    monkeypatch: pytest.MonkeyPatch, recording: Recording
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    telemetry = recording.telemetry(user_on_span="plain")
    with recording.tracer.start_as_current_span("request", kind=SpanKind.SERVER):
        telemetry.on_request(Seen("a", "token", None))
    assert users(recording) == ["a"]


def test_a_hash_is_the_same_everywhere_and_tells_no_user(
    pool: LocalUserPool, config: Any, recording: Recording
) -> None:
    telemetry = recording.telemetry(user_on_span="hashed", hash_key=KEY)
    token = pool.sign_in("ada").id_token
    ask(asgi_outside(recording, config.replace(telemetry=telemetry)), token)
    (span,) = servers(recording)
    attributes = span.attributes or {}
    assert attributes["user.hash"] == hmac.digest(KEY, sub_of(token).encode(), "sha256").hex()
    assert sub_of(token) not in recording.everything()


@pytest.mark.parametrize("way", ["plain", "hashed"])
def test_a_stored_sessions_handle_is_there_and_no_other_sessions(
    build: Build, recording: Recording, way: str
) -> None:
    key = {"hash_key": KEY} if way == "hashed" else {}
    telemetry = recording.telemetry(user_on_span=way, **key)
    handles: dict[str, str] = {}
    for kind in ("memory", "sealed"):
        site = build(kind, telemetry=telemetry)
        browser = site.sign_in()
        recording.clear()
        with recording.tracer.start_as_current_span("request", kind=SpanKind.SERVER):
            browser.does(site.who)
        (span,) = servers(recording)
        handles[kind] = str((span.attributes or {}).get("session.id"))
        if kind == "memory":
            (handle,) = (record.handle for _, record in site.kept())
    shown = handle if way == "plain" else hmac.digest(KEY, handle.encode(), "sha256").hex()
    assert handles == {"memory": shown, "sealed": "None"}


def test_a_session_that_had_to_be_looked_up_is_there_too(
    build: Build, recording: Recording
) -> None:
    site = build("sqlite", telemetry=recording.telemetry(user_on_span="plain"))
    browser = site.sign_in()
    site.engine.authenticator.verdicts.clear()  # type: ignore[attr-defined]
    with recording.tracer.start_as_current_span("request", kind=SpanKind.SERVER):
        browser.does(site.who)
    (span,) = recording.named("request")
    assert "user.id" in (span.attributes or {})


def test_django_inside_of_the_middleware_and_between() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "traced_django.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parents[1],
    )
    assert (done.stdout, done.returncode) == ("inside: ada\noutside: ada\nnobody: None\n", 0), (
        done.stderr
    )
