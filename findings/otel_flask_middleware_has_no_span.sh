#!/usr/bin/env bash
# OpenTelemetry's Flask instrumentation neither traces nor counts what a WSGI middleware answers,
# wherever the middleware stands.
#
# Version    PyPI opentelemetry-instrumentation-flask 0.66b1, Flask 3.1.3; with
#            opentelemetry-instrumentation-wsgi 0.66b1 to compare.
# Behaviour  It wraps app.wsgi_app, but begins its span later, in before_request, when every WSGI
#            middleware has been passed. A middleware that was put around app.wsgi_app first, and so
#            is inside of the wrapper, finds no current span; and a 401 of its own is in no trace and
#            not in http.server.duration.
# Expected   Those that pass the wrapper are traced and counted. The instrumentation's page says that
#            it builds on the WSGI middleware, which begins its span before it calls the application,
#            and does not say that it leaves out what never gets to Flask.
# Hurt       Flask sites that are guarded by a middleware: traces and metrics show only requests that
#            were let in. "How many 401s, and for whom" has the answer none, and attributes that the
#            middleware sets on the current span go nowhere.
# Way out    Put opentelemetry.instrumentation.wsgi.OpenTelemetryMiddleware around app.wsgi_app last.
#            Flask's own span is then a child of it, and what gets to Flask is counted twice.
# Source     open-telemetry/opentelemetry-python-contrib, instrumentation/
#            opentelemetry-instrumentation-flask, _rewrapped_app (its _should_trace) and
#            _wrapped_before_request.
#            https://opentelemetry-python-contrib.readthedocs.io/en/latest/instrumentation/flask/flask.html
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | guard, then instrument_app
#   |   /page: in the guard no span; SERVER GET /page 200
#   |   /refused: in the guard no span; no trace
#   |   counted: 200
#   | instrument_app, then guard
#   |   /page: in the guard no span; SERVER GET /page 200
#   |   /refused: in the guard no span; no trace
#   |   counted: 200
#   | guard, instrument_app, then OpenTelemetryMiddleware
#   |   /page: in the guard a span; SERVER GET /page 200, INTERNAL GET /page 200
#   |   /refused: in the guard a span; SERVER GET /refused 401
#   |   counted: 200, 200, 401
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  opentelemetry-instrumentation-flask==0.66b1 opentelemetry-instrumentation-wsgi==0.66b1 \
  opentelemetry-sdk==1.45.1 flask==3.1.3 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

found = []


def guard(inner):
    def application(environ, start_response):
        recording = trace.get_current_span().is_recording()
        found.append("a span" if recording else "no span")
        if environ["PATH_INFO"] == "/refused":
            start_response("401 Unauthorized", [("Content-Length", "0")])
            return []
        return inner(environ, start_response)

    return application


def show(title, *steps):
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = {"tracer_provider": tracers, "meter_provider": meters}
    app = Flask("site")
    app.add_url_rule("/page", view_func=lambda: "page")
    for step in steps:
        if step == "guard":
            app.wsgi_app = guard(app.wsgi_app)
        elif step == "instrument_app":
            FlaskInstrumentor().instrument_app(app, **telemetry)
        else:
            app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app, **telemetry)
    print(title)
    for path in ("/page", "/refused"):
        exporter.clear()
        app.test_client().get(path)
        spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)
        words = [
            f"{span.kind.name} {span.name} {span.attributes['http.status_code']}" for span in spans
        ]
        print(f"  {path}: in the guard {found.pop()}; {', '.join(words) or 'no trace'}")
    counted = [
        str(point.attributes["http.status_code"])
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.duration"
        for point in metric.data.data_points
        for _ in range(point.count)
    ]
    print(f"  counted: {', '.join(sorted(counted))}")


show("guard, then instrument_app", "guard", "instrument_app")
show("instrument_app, then guard", "instrument_app", "guard")
show("guard, instrument_app, then OpenTelemetryMiddleware", "guard", "instrument_app", "wrap")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
