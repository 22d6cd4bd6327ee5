"""Metrics and traces by OpenTelemetry: `AmplifyConfig(telemetry=OpenTelemetry())`."""

from .telemetry import OpenTelemetry as OpenTelemetry
