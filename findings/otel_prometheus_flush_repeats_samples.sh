#!/usr/bin/env bash
# OpenTelemetry's Prometheus exporter serves a series several times after force_flush(), the oldest
# value first.
#
# Version    PyPI opentelemetry-exporter-prometheus 0.66b1, opentelemetry-sdk 1.45.1.
# Behaviour  MeterProvider.force_flush() collects from every reader. The Prometheus reader puts what
#            it gets into a queue, and the next scrape has all of it: each flush since the last
#            scrape adds the whole series again, more than once.
# Expected   One sample for each series with its value now. To flush is nothing to a reader that is
#            asked for its numbers.
# Hurt       Programs that serve Prometheus and also push, and flush after each job or request (as
#            one does for OTLP in short-lived workers). A scrape has samples of one series that
#            contradict each other: Prometheus can keep but one of them for that moment, and the old
#            one comes first. Where nobody scrapes, the queue grows with each flush.
# Way out    Call force_flush() on the reader that pushes, not on the provider; or a provider of its
#            own for Prometheus.
# Source     open-telemetry/opentelemetry-python, exporter/opentelemetry-exporter-prometheus,
#            _CustomCollector.collect.
#            https://github.com/open-telemetry/opentelemetry-python/pull/5258 (closed) tells of it.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | scrape: 1
#   | scrape after 1 flush: 1, 1, 2
#   | scrape after no flush: 3
#   | scrape after 3 flushes: 10 samples, first 3, last 6
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
from prometheus_client import CollectorRegistry, generate_latest

registry = CollectorRegistry()
provider = MeterProvider(metric_readers=[PrometheusMetricReader(registry=registry)])
jobs = provider.get_meter("worker").create_counter("jobs")


def scrape():
    lines = generate_latest(registry).decode().splitlines()
    return [int(float(line.split()[-1])) for line in lines if line.startswith("jobs_total")]


jobs.add(1)
print(f"scrape: {', '.join(map(str, scrape()))}")
provider.force_flush()
jobs.add(1)
print(f"scrape after 1 flush: {', '.join(map(str, scrape()))}")
jobs.add(1)
print(f"scrape after no flush: {', '.join(map(str, scrape()))}")
for _ in range(3):
    provider.force_flush()
    jobs.add(1)
seen = scrape()
print(f"scrape after 3 flushes: {len(seen)} samples, first {seen[0]}, last {seen[-1]}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
