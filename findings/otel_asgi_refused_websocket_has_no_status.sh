#!/usr/bin/env bash
# OpenTelemetry's ASGI instrumentation loses the status of a refused WebSocket, and says 200 of one
# that was closed for a violation.
#
# Version    PyPI opentelemetry-instrumentation-asgi 0.66b1, opentelemetry-sdk 1.45.1.
# Behaviour  An application that refuses a handshake by ASGI's extension websocket.http.response has
#            sent a 401, and the span has no status code at all. Nor has one that refuses by
#            websocket.close, which servers answer with 403. A connection that was accepted and then
#            closed with 1008 has the code 200. The metric http.server.duration has none of them.
# Expected   http.status_code 401 as for the HTTP request beside it (and 403, 101). OpenTelemetry's
#            conventions want the status code if one was sent.
# Hurt       Sites whose WebSockets need a signed-in user: refusals cannot be found or counted by
#            status in traces, and look like the connections that went well.
# Way out    Set the attribute oneself where the refusal is sent, on the current span.
# Source     open-telemetry/opentelemetry-python-contrib, instrumentation/
#            opentelemetry-instrumentation-asgi, _get_otel_send.
#            https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | HTTP, 401: span status code 401
#   | WebSocket, 401 by websocket.http.response: span status code none
#   | WebSocket, refused by websocket.close: span status code none
#   | WebSocket, accepted, answered, closed with 1008: span status code 200
#   | counted in http.server.duration: 401
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  opentelemetry-instrumentation-asgi==0.66b1 opentelemetry-sdk==1.45.1 \
  2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracers, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
tracers.add_span_processor(SimpleSpanProcessor(exporter))

http = [{"type": "http.response.start", "status": 401, "headers": []}, {"type": "http.response.body"}]
denied = [{**message, "type": f"websocket.{message['type']}"} for message in http]
closed = [{"type": "websocket.close"}]
served = [
    {"type": "websocket.accept"},
    {"type": "websocket.send", "text": "who are you?"},
    {"type": "websocket.close", "code": 1008},
]


async def show(title, kind, messages):
    async def app(scope, receive, send):
        await receive()
        for message in messages:
            await send(message)

    async def receive():
        return {"type": "http.request" if kind == "http" else "websocket.connect"}

    async def send(message):
        pass

    scope = {
        "type": kind,
        "path": "/feed",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "server": ("127.0.0.1", 80),
        "extensions": {"websocket.http.response": {}},
    }
    if kind == "http":
        scope["method"] = "GET"
    exporter.clear()
    traced = OpenTelemetryMiddleware(app, tracer_provider=tracers, meter_provider=meters)
    await traced(scope, receive, send)
    (span,) = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    print(f"{title}: span status code {span.attributes.get('http.status_code', 'none')}")


asyncio.run(show("HTTP, 401", "http", http))
asyncio.run(show("WebSocket, 401 by websocket.http.response", "websocket", denied))
asyncio.run(show("WebSocket, refused by websocket.close", "websocket", closed))
asyncio.run(show("WebSocket, accepted, answered, closed with 1008", "websocket", served))
counted = [
    str(point.attributes["http.status_code"])
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
    if metric.name == "http.server.duration"
    for point in metric.data.data_points
    for _ in range(point.count)
]
print(f"counted in http.server.duration: {', '.join(counted)}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
