#!/usr/bin/env bash
# OpenTelemetry's Prometheus exporter puts values under wrong labels if two meters use one name.
#
# Version    PyPI opentelemetry-exporter-prometheus 0.66b1, opentelemetry-sdk 1.45.1.
# Behaviour  Two meters have an instrument of the same name, description and unit, with different
#            attributes. The label names of the first are used for both: the second's values are
#            laid under them in order, and what is left over is dropped. No warning.
# Expected   Each series with its own labels; a meter tells its series apart by otel_scope_name.
# Hurt       Whoever counts 401s by status: here one is found under status="/cart". It takes no
#            mistake of one's own: FastAPI's and Flask's instrumentation both record
#            http.server.duration, and a Flask application mounted in a FastAPI one is shown with
#            otel_scope_name="80".
# Way out    Give one of them another name, with a View of the MeterProvider; or let both record the
#            same attributes; or export by OTLP, and let a collector serve Prometheus.
# Source     open-telemetry/opentelemetry-python, exporter/opentelemetry-exporter-prometheus,
#            _get_or_create_family. https://github.com/open-telemetry/opentelemetry-python/issues/4418
#            was about different attributes within one meter, which is right today.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | as it is
#   |   requests_total method=GET otel_scope_name=site status=200
#   |   requests_total method=GET otel_scope_name=shop status=/cart
#   | with a View
#   |   requests_total method=GET otel_scope_name=site status=200
#   |   shop_requests_total method=GET otel_scope_name=shop route=/cart status=401
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  opentelemetry-exporter-prometheus==0.66b1 opentelemetry-sdk==1.45.1 \
  prometheus-client==0.26.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def show(title, views):
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, registry=registry)
    provider = MeterProvider(metric_readers=[reader], views=views)
    site = provider.get_meter("site").create_counter("requests")
    shop = provider.get_meter("shop").create_counter("requests")
    site.add(1, {"method": "GET", "status": "200"})
    shop.add(1, {"method": "GET", "route": "/cart", "status": "401"})
    print(title)
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = " ".join(f"{key}={value}" for key, value in sorted(sample.labels.items()) if value)
            print(f"  {sample.name} {labels}")


show("as it is", [])
show("with a View", [View(instrument_name="requests", meter_name="shop", name="shop.requests")])
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
