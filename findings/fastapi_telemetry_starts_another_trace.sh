#!/usr/bin/env bash
# FastAPI's own telemetry begins a new trace although a span is current, so that one request has two.
#
# Version    PyPI fastapi 0.165.0, opentelemetry-instrumentation-asgi 0.66b1, opentelemetry-sdk
#            1.45.1.
# Behaviour  Since FastAPI traces by itself (by default, once a tracer provider is set), it takes its
#            parent from the request's headers alone. Inside of OpenTelemetryMiddleware, or of any
#            span that was begun around the application, it begins a SERVER span without a parent,
#            in a trace of its own. It makes way only for an OpenTelemetryMiddleware inside of its
#            own stack.
# Expected   The current span is the parent, as with OpenTelemetry's instrumentations, which make
#            an INTERNAL child inside of a SERVER span.
# Hurt       ASGI middlewares in front of FastAPI (sign-in, a proxy's, a gateway's): to see what they
#            answer one traces from outside. Their spans, and those of the endpoint, are then in two
#            traces that nothing links, each request is shown as two, and a sampler decides twice.
# Way out    FastAPI(telemetry={"tracing": False}) where the outside is traced; or
#            FastAPIInstrumentor.instrument_app(app), which FastAPI makes way for.
# Source     fastapi/fastapi, fastapi/telemetry/_asgi.py (NativeTelemetry, _legacy_otel).
#            https://opentelemetry.io/docs/specs/otel/trace/api/#determining-the-parent-span-from-a-context
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | OpenTelemetryMiddleware(app): 2 traces
#   |   SERVER GET /me by fastapi, no parent
#   |   SERVER GET /me by opentelemetry.instrumentation.asgi, no parent
#   | a span of one's own around it: 2 traces
#   |   INTERNAL gateway by site, no parent
#   |   SERVER GET /me by fastapi, no parent
#   | telemetry={"tracing": False}: 1 trace
#   |   SERVER GET /me by opentelemetry.instrumentation.asgi, no parent
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  fastapi==0.165.0 starlette==1.10.0 opentelemetry-instrumentation-asgi==0.66b1 \
  opentelemetry-sdk==1.45.1 httpx==0.28.1 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio

import httpx
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, tracers = InMemorySpanExporter(), TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracers)


def site(**options):
    app = FastAPI(**options)
    app.add_api_route("/me", lambda: "ada")
    return app


def gateway(app):
    async def application(scope, receive, send):
        with trace.get_tracer("site").start_as_current_span("gateway"):
            await app(scope, receive, send)

    return application


async def show(title, app):
    exporter.clear()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://site") as browser:
        await browser.get("/me")
    spans = exporter.get_finished_spans()
    traces = len({span.context.trace_id for span in spans})
    print(f"{title}: {traces} {'trace' if traces == 1 else 'traces'}")
    entries = [span for span in spans if span.kind is trace.SpanKind.SERVER or span.name == "gateway"]
    for line in sorted(
        f"  {span.kind.name} {span.name} by {span.instrumentation_scope.name},"
        f" {'a parent' if span.parent else 'no parent'}"
        for span in entries
    ):
        print(line)


async def main():
    await show("OpenTelemetryMiddleware(app)", OpenTelemetryMiddleware(site()))
    await show("a span of one's own around it", gateway(site()))
    untraced = site(telemetry={"tracing": False})
    await show('telemetry={"tracing": False}', OpenTelemetryMiddleware(untraced))


asyncio.run(main())
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
