"""OpenTelemetry's API, or an error that says how to get it.

Rules:
- Only the API package is imported. Without an SDK, all of it does nothing.
"""

from ..errors import ConfigurationError

try:
    from opentelemetry import context as context
    from opentelemetry import metrics as metrics
    from opentelemetry import trace as trace
except ImportError as _missing:
    raise ConfigurationError(
        "amplify_mw.otel needs OpenTelemetry: pip install 'amplify-mw[otel]'"
    ) from _missing
