"""Telling an app's telemetry of each request, where that is asked for.

Rules:
- It is told once the user is known, in the request's own context, before the app runs.
- A request passed on to the visit of an outer middleware was told there.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..authenticator import Visit
from ..engine.measuring import Measuring
from ..engine.reporting import seen

if TYPE_CHECKING:
    from ..effects import Flow


def telling(enter: Callable[..., Any], measuring: Measuring) -> Callable[..., Any]:
    """The way in of a shell (`Shell.enter`), which also tells of the request."""

    def entered(*request: Any) -> Any:
        found = enter(*request)
        if type(found) is Visit:
            measuring.on_request(seen(found))
        elif isinstance(found, Generator):
            return told(found)
        return found

    def told(flow: Flow[Visit]) -> Flow[Visit]:
        visit = yield from flow
        measuring.on_request(seen(visit))
        return visit

    return entered
