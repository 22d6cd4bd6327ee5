"""The sign-in routes: the function behind each path, and the rules for all of them.

    sign-in, sign-up     begin an attempt, and go to the pool         sign_in.py
    sign-in-callback     back from there: a session, or a page        callback.py, exchange.py
    sign-out             end the session here, and go to the pool     sign_out.py
    sign-out-callback    back from there                              sign_out.py

Rules:
- The names of the routes are in `config.routes` too, which the middleware looks for.
- Other methods than a route's own get 405.
- A prefetch or a prerender does nothing and gets 403, without a cookie. Browsers mark it as typed
  by the user (`Sec-Fetch-Site: none`), throw the answer away, and ask again at the click.
- HEAD gets the headers of GET.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from ..authenticator import Authenticator, Visit
from ..config.routes import AuthRoutes
from ..effects import Flow
from ..engine.pages import for_reader
from ..engine.reporting import escaped, report_answer, request_line
from ..log import About, logger
from ..web.answers import Answer, Asked, problem
from ..web.requests import is_speculative
from .callback import callback
from .sign_in import sign_in, sign_up
from .sign_out import read_late, sign_out, signed_out
from .site import Site

_OTHER_METHOD: Final = "This address does not support this method."
_AHEAD: Final = "This address does nothing until somebody opens it."


class Route(NamedTuple):
    """A route's function, and the methods it answers."""

    answer: Callable[[Site, Visit, Asked], Flow[Answer]]
    methods: tuple[str, ...] = ("GET", "HEAD")


ROUTES: Final[Mapping[str, Route]] = {
    "sign-in": Route(sign_in),
    "sign-up": Route(sign_up),
    "sign-in-callback": Route(callback, ("GET",)),
    "sign-out": Route(sign_out, ("GET", "POST")),
    "sign-out-callback": Route(signed_out),
}

Answering: TypeAlias = partial[Flow[Answer]]  # of a visit and an `Asked`


def routes_of(home: Authenticator, routes: AuthRoutes) -> dict[str, Answering]:
    """The functions that answer, by public path, below each of the app's mounts."""
    placed = [routes.at(mount) for mount in home.mounts.prefixes or ("",)]
    barred = {path.lower() for each in (routes, *placed) for path in each.paths}
    return {
        path: partial(_answer, Site(home, each, barred), ROUTES[name])
        for each in placed
        for path, name in each.paths.items()
    }


def sign_outs(routes: Mapping[str, Answering]) -> frozenset[str]:
    """The paths of the routes that end a session unread."""
    return frozenset(path for path, each in routes.items() if each.args[1].answer is sign_out)


def _answer(site: Site, route: Route, visit: Visit, asked: Asked) -> Flow[Answer]:
    is_served = asked.method in route.methods and not is_speculative(visit.headers)
    if not is_served:
        yield from read_late(visit, asked)
    if asked.method not in route.methods:
        logger.debug("answered 405 (%s)", request_line(asked), about=About(path=escaped(asked)[1]))
        answer = problem(405, headers=[("Allow", ", ".join(route.methods))])
        answer = for_reader(visit, asked, answer, _OTHER_METHOD)
    elif not is_served:
        report_answer(visit, asked, "speculative_request", 403, "a prefetch")
        answer = problem(403, _AHEAD)
    else:
        answer = yield from route.answer(site, visit, asked)
    return answer._replace(body=b"") if asked.method == "HEAD" else answer
