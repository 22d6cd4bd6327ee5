"""What do listeners and OpenTelemetry cost?

The aims are microseconds over the same request with nobody to tell: 0.5 for a known user, whether
with a listener or with OpenTelemetry's metrics; 3 for a refusal with the metrics. A refusal with a
listener has none: its event is made for it.

- A request of a known user makes no event, so nobody is told: `on_event` and `OpenTelemetry()`
  cost it nothing. `count_users=True` and `user_on_span=` are told of each.
- A refusal is one event for a listener; `OpenTelemetry()` counts it without one.
- The meters and traces are an SDK's, with a reader that collects when it is asked.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from amplify_mw import SealedSession, StoredSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.otel import OpenTelemetry
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Aim, Spread, Table, at_most
from .requests import asgi_app, asgi_call, cookie_header, wsgi_app, wsgi_call
from .sessions import sign_in
from .tokens import Mint

KINDS = ("known token", "known sealed session", "known stored session", "refused token")
WAYS = ("again", "a listener", "OpenTelemetry", "users counted", "users on spans")
MOST = {  # microseconds
    **{(kind, way): 0.5 for kind in KINDS[:3] for way in ("a listener", "OpenTelemetry")},
    ("refused token", "OpenTelemetry"): 3.0,
}
_folders: list[object] = []


def asgi_cases() -> dict[str, Call]:
    return _cases(asgi_call, asgi_app, AmplifyASGIMiddleware)


def wsgi_cases() -> dict[str, Call]:
    return _cases(wsgi_call, wsgi_app, AmplifyWSGIMiddleware)


def options() -> dict[str, dict]:
    """What is configured, by the name of the way."""
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
    own = {"meter_provider": meters, "tracer_provider": TracerProvider()}
    return {
        "nothing": {},
        "again": {},
        "a listener": {"on_event": lambda event: None},
        "OpenTelemetry": {"telemetry": OpenTelemetry(**own)},
        "users counted": {"telemetry": OpenTelemetry(**own, count_users=True)},
        "users on spans": {"telemetry": OpenTelemetry(**own, user_on_span="plain")},
    }


def _cases(request, app, middleware) -> dict[str, Call]:
    mint = Mint()
    sets = mint.sets(1)
    folder = TemporaryDirectory(prefix="amplify_mw-benchmark-")
    store = SQLiteStore(os.path.join(folder.name, "sessions.db"))
    _folders.extend((folder, store))
    sealed = mint.config.replace(session=SealedSession(keys=[bytes(32)]))
    stored = mint.config.replace(session=StoredSession(store))
    cookies = {
        "known token": (mint.config, sets[0]["id_token"]),
        "known sealed session": (sealed, sign_in(Engine(sealed), sets)[0]),
        "known stored session": (stored, sign_in(Engine(stored), sets)[0]),
        "refused token": (mint.config, "junk"),
    }
    cases: dict[str, Call] = {}
    for kind, (config, cookie) in cookies.items():
        for way, more in options().items():
            wrapped = middleware(app, Engine(config.replace(**more)))
            cases[f"{kind}: {way}"] = request(wrapped, cookie_header(cookie))
            cases[f"{kind}: {way}"]()
    return cases


def rows() -> list[Row]:
    """`again` tells how far two measurements of the same thing are apart."""
    found = []
    for kind in KINDS:
        nothing = Row(f"{kind}: nothing")
        found += [nothing, *(Row(f"{kind}: {way}", None, nothing) for way in WAYS)]
    return found


def aims(shell: str, runs: Sequence[Mapping[str, float]]) -> list[Aim]:
    return [
        Aim(
            f"{shell}, {kind}, {way}: µs over the same with nobody to tell",
            Spread.of([run[f"{kind}: {way}"] - run[f"{kind}: nothing"] for run in runs]),
            at_most(most),
        )
        for (kind, way), most in MOST.items()
    ]


def tables(plan: Plan = FULL) -> Iterator[Table]:
    for shell in ("WSGI", "ASGI"):
        runs = in_processes(f"benchmarks.telemetry:{shell.lower()}_cases", plan)
        title, unit = f"What listeners and OpenTelemetry cost: {shell}", "same with nobody to tell"
        yield replace(table(title, rows(), runs, unit=unit), aims=aims(shell, runs))


if __name__ == "__main__":
    print(*tables(), sep="\n")
