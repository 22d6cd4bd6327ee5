"""What OpenTelemetry's SDK was given: spans and metrics, as an exporter would send them."""

import json
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from amplify_mw.otel import OpenTelemetry


class Recording:
    """Providers of an SDK, in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider(metric_readers=[self._reader])
        self.tracer = self.traces.get_tracer("tests")

    def telemetry(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(meter_provider=self.meters, tracer_provider=self.traces, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def clear(self) -> None:
        self._spans.clear()

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and value (of a histogram: the count) of each point of a metric."""
        return [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "count", None)))
            for metric in self._metrics()
            if metric.name == name
            for point in metric.data.data_points
        ]

    def _metrics(self) -> Iterator[Any]:
        data = self._reader.get_metrics_data()
        for resource in () if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics

    def everything(self) -> str:
        """All that an exporter would send, as text."""
        data = self._reader.get_metrics_data()
        spans = [span.to_json() for span in self.spans]
        return json.dumps([*spans, "" if data is None else data.to_json()])

    def close(self) -> None:
        self.traces.shutdown()
        self.meters.shutdown()


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: Any) -> int:
    return int(span.get_span_context().span_id)


def has_failed(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR
