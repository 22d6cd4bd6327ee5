"""Telling an app's telemetry of each request, where that is asked for.

Rules:
- It is told once the user is known, in the request's own context, before the app runs.
- A request passed on to the visit of an outer middleware was told there. So was one whose user an
  outer middleware of another configuration has told, with the same telemetry: it is one request.
- A request that the app makes within another one is not told. The server's span is that of the
  other request, whose user may be somebody else.
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


def telling(
    enter: Callable[..., Any], measuring: Measuring, is_same: Callable[..., bool]
) -> Callable[..., Any]:
    """The way in of a shell (`Shell.enter`), which also tells of the request.

    `is_same`: `Shell._is_same`.
    """

    def entered(access: Any, cookies: bytes | None, request: Any) -> Any:
        found = enter(access, cookies, request)
        if type(found) is Visit:
            tell(found, request)
        elif isinstance(found, Generator):
            return told(found, request)
        return found

    def told(flow: Flow[Visit], request: Any) -> Flow[Visit]:
        visit = yield from flow
        tell(visit, request)
        return visit

    def tell(visit: Visit, request: Any) -> None:
        outer = visit.outer
        if outer is None or outer.pinned or is_untold(visit, outer, request):
            measuring.on_request(seen(visit))

    def is_untold(visit: Visit, outer: Visit, request: Any) -> bool:
        # As in `Shell._shares_visit`: an adapter makes the request anew, but not its cookies.
        cookies = visit.cookies
        is_adapted = cookies is not None and cookies == outer.cookies and not outer.begun
        if not (is_adapted or is_same(outer, cookies, request)):
            return False
        ours, theirs = visit.home.config.telemetry, outer.home.config.telemetry
        return seen(outer) is None or ours != theirs

    return entered
