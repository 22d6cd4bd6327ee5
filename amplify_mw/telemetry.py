"""`Telemetry`: what the library tells of its work, to be measured and traced.

Rules:
- The library measures nothing by itself. `AmplifyConfig(telemetry=...)` takes an object with these
  methods, such as `amplify_mw.otel.OpenTelemetry()`.
- Without one, nothing here costs a request anything.
"""

from typing import Protocol

from .events import Event


class Telemetry(Protocol):
    """Measures events and operations."""

    def on_event(self, event: Event) -> None:
        """Count an event."""
        ...
