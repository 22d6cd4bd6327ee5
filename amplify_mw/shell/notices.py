"""Notices for the operator: a middleware and its app do not fit together.

Rules:
- Each notice is told once per middleware (those on preflights and on threads: once per process),
  and names the setting to write. The one on threads is at INFO, and no event: nothing is amiss.
  Later refusals of foreign origins are logged at DEBUG.
- Paths and headers come from a client: they are escaped and cut.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..authenticator import Visit
from ..log import Once, logger
from ..web.answers import Asked
from ..web.requests import page_of

if TYPE_CHECKING:
    from ..events import Reporting

_LONGEST: Final = 120  # characters of a path
_IN_THIS_PROCESS: Final = Once()


class Notices:
    """The notices of one middleware."""

    def __init__(self, reporter: Reporting) -> None:
        self._reporter = reporter
        self._once = Once()

    def inheriting_threads(self) -> None:
        """Python starts threads in copies of contexts; the library's users are not handed on so."""
        is_inherited = getattr(sys.flags, "thread_inherit_context", False)  # Python 3.14
        if is_inherited and _IN_THIS_PROCESS.is_first("threads"):
            logger.info(
                "Python starts each thread in a copy of its starter's context "
                "(thread_inherit_context). The user is not inherited that way: a thread has one by "
                "carry(function), or asyncio.to_thread. A context that you copy yourself while a "
                "request is served has its user until that is over, on any thread"
            )

    def cors_inside(self, layers: Sequence[str]) -> None:
        """CORS layers are inside the middleware, and never see preflights of protected paths."""
        self._reporter.notice(
            f"{', '.join(layers)} is inside the middleware, and preflights of protected paths are "
            "answered without it. If it is to answer them, put it around the middleware, or write "
            "preflight='app'"
        )

    def other_mount(self, mount: str) -> None:
        """API Gateway names a mount that is not configured."""
        if self._once.is_first("mount"):
            self._reporter.notice(
                f"API Gateway says that the public path begins with {mount[:_LONGEST]!a}, and the "
                "configuration does not: write that as mount='/...'"
            )

    def other_routes(self, path: str, route: str) -> None:
        """A path ends like a sign-in route, and is none. `route`: one of them."""
        if self._once.is_first("routes"):
            self._reporter.notice(
                f"the path {path[:_LONGEST]!a} was asked for, which is none of the sign-in routes: "
                f"they are at {route!a} and beside it. If something stands in front of them in the "
                "site's public address, write that into the configuration: mount='/...'"
            )

    def withheld(self, path: str, read: str) -> None:
        """A response was withheld: the app has read `path` as the protected path `read`."""
        if self._once.is_first("withheld"):
            self._reporter.notice(
                f"a response was withheld: the app has read the path {path[:_LONGEST]!a} as "
                f"{read[:_LONGEST]!a}, which `protect` names. If it takes a prefix off by itself, "
                "write that into the configuration: mount='/...'"
            )

    def unmatched(self, patterns: Sequence[str], routes: Sequence[str]) -> None:
        """Patterns of `protect` match no route. `routes`: the app's, up to a parameter."""
        listed = ", ".join(map(repr, patterns))
        if not self._reporter.is_first("unmatched", listed):
            return
        from difflib import get_close_matches  # only for typing errors

        near = {close for path in patterns for close in get_close_matches(path, routes, n=1)}
        mend = f"; did you mean {' or '.join(map(repr, sorted(near)))}?" if near else ""
        self._reporter.notice(
            f"protect: the app has no route for {listed}, so nothing is guarded by it{mend} "
            "(Paths are written as the app's own routes are; '/*' behind one covers all below it.)"
        )

    def unguarded(self, views: Sequence[tuple[str, str]]) -> None:
        """`require_auth` is above a route's decorator. `views`: their names and paths."""
        listed = ", ".join(f"{name} ({path})" for name, path in views)
        if self._reporter.is_first("unguarded", listed):
            self._reporter.notice(
                f"@require_auth guards nothing at {listed}: it stands above the route's decorator, "
                "which has registered the function without it. Write it right above the function, "
                "below the route's decorator"
            )

    def foreign_origin(self, visit: Visit, asked: Asked) -> None:
        """A page of another origin was refused: it may be the site's own, and not configured."""
        from ..engine.reporting import report_refusal  # loaded with the first refusal

        report_refusal(
            *(visit, "foreign_origin", 403),
            at="answer",
            detail=page_of(visit.headers),
            asked=asked,
            loudly=self._once.is_first("foreign_origin"),
        )

    def preflight(self, path: str) -> None:
        """The first CORS preflight of a protected path was answered without the app."""
        if _IN_THIS_PROCESS.is_first("preflight"):
            self._reporter.notice(
                f"a CORS preflight of the protected path {path[:_LONGEST]!a} was answered without "
                "permission, and without the app. If pages of other origins may ask for it: put "
                "the CORS layer around this middleware, or write preflight='app' if one inside "
                "answers all preflights. (This is said once.)"
            )
