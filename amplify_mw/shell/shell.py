"""What the two shells share: one middleware's engine, and the few questions around a visit.

Rules:
- A middleware inside another of the same configuration uses the outer one's visit, and adds its
  own rules for the path as it sees it. One of another configuration shadows; two pools, or two
  kinds of session, under one cookie name are refused: each would clear the other's sessions.
- The same request is known by what the outer middleware left in it. A request that an app makes
  within a request is another one, and sees nothing of the first.
- A visit a test has pinned (`signed_in`) wins over every middleware inside it.
- What the wrapped app says of its mount is taken over once, when the middleware is built. If it has
  read a protected path under another one, its response is sent to signed-in users alone.
- A CORS preflight of a protected path reaches the app with a signed-in user, or `preflight="app"`.
- Each refusal is told to the log at DEBUG (see `reports`); that of a foreign origin with the
  origin, and the first at WARNING: it may be one of the site's own that was not named.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ..authenticator import Visit
from ..config.config import AmplifyConfig
from ..config.routes import AuthRoutes
from ..effects import Flow
from ..engine.context import bound
from ..engine.engine import Engine
from ..engine.reporting import report_refusal
from ..engine.reports import tell_answer
from ..errors import AuthError, ConfigurationError
from ..log import logger
from ..sessions.verdicts import SignedIn
from ..web.answers import PREFLIGHT, Answer, Asked, problem
from ..web.mounts import PLAIN, Inside, Placing, gateway_path
from ..web.paths import Access, AccessRules
from ..web.requests import SAFE_METHODS, is_foreign, may_hop, page_of
from .inside import look_inside

_FORGED = (
    "A page of another site asked for this, so it was not done. To do it, open this site itself "
    "and do it there."
)
_READ_OTHERWISE = (
    "a response was withheld: the app has read the path %a as %a, which `protect` names. If it "
    "takes a prefix off by itself, write that into the configuration: mount='/...'"
)
_OTHER_MOUNT = (
    "API Gateway says that the public path begins with %a, and the configuration does not: write "
    "that as mount='/...'"
)
_OTHER_ROUTES = (
    "the path %a was asked for, which is none of the sign-in routes: they are at %a and beside it. "
    "If something stands in front of them in the site's public address, write that into the "
    "configuration: mount='/...'"
)
_CORS_INSIDE = (
    "%s is inside the middleware, and preflights of protected paths are answered without it. If it "
    "is to answer them, put it around the middleware, or write preflight='app'"
)
_PREFLIGHT = (
    "a CORS preflight of the protected path %a was answered without permission, and without the "
    "app. If pages of other origins may ask for it: put the CORS layer around this middleware, or "
    "write preflight='app' if one inside answers all preflights. (This is said once.)"
)
_LONGEST_SAID = 120  # characters of a path in the log


class Shell:
    """The part of a middleware that knows neither WSGI nor ASGI.

    `options`: fields of `AmplifyConfig` to change for this middleware alone.
    """

    _awaits = False  # whether what the app's functions return is awaited

    def __init__(self, app: object, config: AmplifyConfig | Engine, **options: Any) -> None:
        if options:
            if not isinstance(config, AmplifyConfig):
                raise ConfigurationError(
                    f"{', '.join(options)}: options go with an AmplifyConfig; write them into it"
                )
            config = config.replace(**options)
        inside = look_inside(app)
        self.engine = Engine.of(config).mounted(inside.mounts)
        self._clock = self.engine.clock
        self._home = self.engine.authenticator
        self._read = self._home.read
        self._known = self._home.known
        self._nobody = self._home.nobody
        self._inside = inside
        config = self._home.config
        self._rules = access_rules(config, inside)
        self._withholds = self._rules is not None and self._rules.protects
        # As with `ignore`: a path is exempt only if every reading of it is.
        self._exempt = AccessRules((), (), config.csrf_exempt, config.mount, inside)
        self._has_said: set[str] = set()
        self._own_origins = config.known_origins
        self._has_told = False  # of a foreign origin
        if inside.cors and self._withholds and config.preflight != "app":
            logger.warning(_CORS_INSIDE, ", ".join(inside.cors))
        self._routes: Mapping[str, Callable[[Visit, Asked], Flow[Answer]]] | None = None
        self._route_ends: tuple[str, ...] = ()
        self._is_mounted = bool(config.mount)
        routes = config.routes
        if routes is not None:
            from ..routes.handler import routes_of  # for those who use them

            self._refuse_ignored(routes)
            self._refuse_async(routes.on_sign_in_failed)
            self._routes = routes_of(self._home, routes)
            self._route_ends = tuple(routes.paths)

    def _refuse_ignored(self, routes: AuthRoutes) -> None:
        for path in routes.paths:
            if self._rules is not None and self._rules.of(path) is Access.IGNORED:
                raise ConfigurationError(
                    f"ignore: it covers {path!r}, one of the sign-in routes, which would not be "
                    "there; leave it out, or give AuthRoutes another prefix"
                )

    def _place(self, root: str, path: str, request: Mapping[str, Any]) -> tuple[str, str]:
        """The mount that a request came by, and its public path (see `Mounts.place`)."""
        told = gateway_path(request)
        mount, whole = self._home.mounts.place(root, path, told)
        if told and "mount" not in self._has_said:
            below = whole.removeprefix(mount)
            public = unquote(told)
            if public.endswith(below) and public.removesuffix(below) != mount:
                self._has_said.add("mount")
                logger.warning(_OTHER_MOUNT, public.removesuffix(below)[:_LONGEST_SAID])
        return mount, whole

    def _find_route(self, path: str) -> Callable[[Visit, Asked], Flow[Answer]] | None:
        """What answers at a public path, if it is one of the sign-in routes'."""
        assert self._routes is not None  # noqa: S101  # so say the shells
        found = self._routes.get(path)
        if found is None and path.endswith(self._route_ends) and "routes" not in self._has_said:
            self._has_said.add("routes")
            logger.warning(_OTHER_ROUTES, path[:_LONGEST_SAID], next(iter(self._routes)))
        return found

    def _refuse_async(self, listener: object) -> None:
        call = getattr(listener, "__call__", None)  # noqa: B004  # an object's may be async
        if not self._awaits and any(map(inspect.iscoroutinefunction, (listener, call))):
            raise ConfigurationError(
                "AuthRoutes.on_sign_in_failed: WSGI awaits nothing; write a function without async"
            )

    def _shares_visit(self, outer: Visit, cookies: bytes | None, *, is_same: bool) -> bool:
        """Whether `outer` is what this middleware would have found itself.

        `is_same`: it was made for this very request. Raises `ConfigurationError` for two pools
        under one cookie name.
        """
        if is_same and outer.home is self._home:
            return True
        if outer.pinned:  # no cookie was read for it, so that no two pools can be at odds
            return False
        # An adapter between the two makes the request anew, but not its cookies.
        if is_same or (cookies is not None and cookies == outer.cookies and not outer.begun):
            visit: Visit | None = outer
            while visit is not None:
                self._refuse_conflict(visit)
                visit = visit.outer
        return False

    def _refuse_conflict(self, outer: Visit) -> None:
        shared = outer.home.cookie.names & self._home.cookie.names
        if not shared:
            return
        if outer.home.issuers != self._home.issuers:
            differ = "different user pools"
        elif outer.home.config.session != self._home.config.session:
            differ = "different kinds of session"
        else:
            return
        raise ConfigurationError(
            f"two middlewares around one app read {min(shared)!r} for {differ}, and each "
            "would clear the other's sessions: give one of them a cookie of its own, "
            "AmplifyConfig(cookie=CookiePolicy(name='...')), or an app client of its own"
        )

    def _refusal(
        self, visit: Visit, access: Access, asked: Asked, path: str | None, root: str = ""
    ) -> Answer | None:
        """The answer to a request that may not pass; None if it may.

        `path`: None if it is no text. `root`: a mount that may be in it (ASGI).
        """
        if self._is_forged(visit, asked, path, root):
            self._tell_foreign(visit, asked)
            return problem(403, _FORGED)
        return self._guard(visit, asked) if access is Access.PROTECTED else None

    def _is_forged(self, visit: Visit, asked: Asked, path: str | None, root: str) -> bool:
        """Whether another origin's page made this request, in the name of who is signed in here."""
        if self._home.config.csrf is None or asked.method in SAFE_METHODS:
            return False
        if not isinstance(visit.verdict, SignedIn) or visit.pinned:
            return False
        exempt = self._exempt
        access = exempt.under(root, path) if root and path is not None else exempt.of(path)
        return access is not Access.IGNORED and is_foreign(visit.headers, self._own_origins)

    def _tell_foreign(self, visit: Visit, asked: Asked) -> None:
        """Tell the developer whose page was refused."""
        has_told, self._has_told = self._has_told, True
        report_refusal(
            *(visit, "foreign_origin", 403),
            at="answer",
            detail=page_of(visit.headers),
            asked=lambda: asked,
            loudly=not has_told,
        )

    def _guard(self, visit: Visit, asked: Asked) -> Answer | None:
        """The answer to a request for a protected path; None if it may pass."""
        passes = asked.is_preflight and self._home.config.preflight == "app"
        if passes or self._home.refusals.is_login_page(asked):
            return None
        visit.asked = visit.guarded = True
        if isinstance(visit.verdict, SignedIn):
            return None
        if asked.is_preflight:
            _say_preflight(asked)
            return PREFLIGHT
        if visit.verdict is self._nobody and self._withholds_cookies(visit, asked):
            from ..routes.pages import hop_here  # for those whose cookies are strict

            secure = self._home.config.cookie.secure
            answer = hop_here(asked.path, asked.query, visit.cookies, secure=secure)
            if answer is not None:
                return answer._replace(body=b"") if asked.method == "HEAD" else answer
        return answer_to(visit, asked, visit.verdict.exception())

    def _late_refusal(
        self, visit: Visit | None, paths: Sequence[str], asked: Asked
    ) -> Answer | None:
        """The answer in place of a response to nobody, if the app has read a protected path.

        `visit`: None on an ignored path: nobody was looked for. `paths`: what the app has read.
        """
        rules = self._rules
        read = [path for path in paths if rules and rules.of(path) is Access.PROTECTED]
        if not read or (visit is not None and isinstance(visit.verdict, SignedIn)):
            return None
        answer = self._guard(visit or Visit(self._home, self._nobody), asked)
        if answer is not None and "withheld" not in self._has_said:
            self._has_said.add("withheld")
            short = slice(_LONGEST_SAID)
            logger.warning(_READ_OTHERWISE, asked.path[short], read[0][short])
        return answer

    def _withholds_cookies(self, visit: Visit, asked: Asked) -> bool:
        """Whether a browser may have a cookie that it does not send with another site's link."""
        is_theirs = may_hop(asked.sec_fetch_site, visit.cookies)
        return is_theirs and asked.is_navigation and self._home.cookie.is_strict


def access_rules(config: AmplifyConfig, inside: Inside = PLAIN) -> AccessRules | None:
    """The rules of a configuration for an app; None if there are none."""
    if not config.protect and not config.ignore:
        return None
    return AccessRules(config.protect, config.public, config.ignore, config.mount, inside)


_said_preflight = False


def _say_preflight(asked: Asked) -> None:
    """Tell the log, once in a process, what became of a preflight."""
    global _said_preflight
    if not _said_preflight:
        _said_preflight = True
        logger.warning(_PREFLIGHT, asked.path[:_LONGEST_SAID])


def answer_here(asking: Callable[[Placing], Asked], error: AuthError) -> Answer:
    """The guard's answer to `error` in the request being handled; for framework handlers.

    Raises `error` itself where no middleware is around the app.
    """
    visit = bound()
    if visit is None:
        raise error
    return answer_to(visit, asking(visit.home.mounts.place_of), error)


def answer_to(visit: Visit, asked: Asked, error: AuthError) -> Answer:
    """The answer to a request of this visit that `error` stopped."""
    visit.asked = True
    signed_in = isinstance(visit.verdict, SignedIn)
    answer = visit.home.refusals.to(asked, error, signed_in=signed_in)
    tell_answer(visit, asked, answer, error)
    return answer


def only_auth_error(error: BaseException) -> AuthError | None:
    """The `AuthError` that `error` is, or that a task group made a group of."""
    if isinstance(error, AuthError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [only_auth_error(member) for member in error.exceptions]
        return found[0] if all(found) else None
    return None
