"""What the two shells share: from a request to the visit it is served with, or to an answer.

    enter    the request's visit; a flow for it; or a `PassOn`: it is not for this middleware
    stop     what is answered in the app's place: a sign-in route, a refusal; None lets it pass

Rules:
- A middleware inside another of the same configuration uses the outer one's visit, and adds its own
  rules for the path as it sees it. One of another configuration has a visit of its own, which hides
  the outer one. Two pools, or two kinds of session, under one cookie name are refused: each would
  clear the other's sessions.
- The same request is recognised by the mark that the outer middleware left in it. A request made by
  the app within a request is another one, and sees nothing of the first.
- A request made in a context left over from a request that has ended sees nothing of that one.
- A visit pinned by a test (`signed_in`) wins over every middleware inside it.
- The mounts named by the wrapped app are taken over once, when the middleware is built. If it has
  read a protected path under another mount, only signed-in users get its response.
- A CORS preflight of a protected path reaches the app with a signed-in user, or `preflight="app"`.
- With `bearer=True`, `enter` reads the Authorization header first. A visit by that has another
  source than the cookie's, and notes the value (`brought`): a middleware inside knows it by both.
- With `resource_metadata`, that document is answered before `enter` looks at anything: no
  credential is read for it.
- Where signing out needs no more than the cookie, its route gets a visit that is not read yet
  (`UNREAD`): the store is asked once, to end the session.
- Each refusal is an event (see `engine.reporting`). The first one of a foreign origin is logged at
  WARNING: it may be the site's own and missing in the configuration (see `notices`).
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from ..authenticator import Visit
from ..config.checks import MISSING
from ..config.config import AmplifyConfig
from ..credentials import Source
from ..effects import Flow
from ..engine.context import bound, is_left
from ..engine.engine import Engine
from ..errors import AuthError, ConfigurationError, bearer_request
from ..sessions.verdicts import UNREAD, Refused, SignedIn, Verdict
from ..web.answers import PREFLIGHT, Answer, Asked, problem
from ..web.mounts import PLAIN, Inside, gateway_path
from ..web.paths import Access, AccessRules
from ..web.requests import SAFE_METHODS

if TYPE_CHECKING:
    from typing import Unpack

    from ..config.options import Options
    from ..config.routes import AuthRoutes
    from ..needs import Needs

    Route: TypeAlias = Callable[[Visit, Asked], Flow[Answer]]
    # A WSGI environ or an ASGI scope. Frameworks leave things in both.
    Request: TypeAlias = Any

# Read off its Enum on each request, a member costs 0.05 µs on Python 3.11.
_PROTECTED, _IGNORED = Access.PROTECTED, Access.IGNORED
_visit_of = Visit.of  # likewise: looked up in the class, 0.03 µs
_BEARER = b"Bearer "  # in its usual spelling
_FORGED = (
    "A page of another site asked for this, so it was not done. To do it, open this site itself "
    "and do it there."
)


class PassOn:
    """The request goes on without a visit of this middleware's own.

    `visit`: the outer middleware's; None on an ignored path. `answer`: sent in the app's place.
    `is_apart`: it is made within another request, whose user the app must not see.
    """

    __slots__ = ("answer", "is_apart", "visit")

    def __init__(
        self, visit: Visit | None, answer: Answer | None = None, *, is_apart: bool = False
    ) -> None:
        self.visit: Visit | None = visit
        self.answer: Answer | None = answer
        self.is_apart: bool = is_apart


class Shell:
    """The part of a middleware that knows neither WSGI nor ASGI.

    `options`: fields of `AmplifyConfig` to change for this middleware alone.
    """

    _awaits = False  # whether the results of the app's functions are awaited

    def __init__(
        self, app: object, config: AmplifyConfig | Engine, **options: Unpack[Options]
    ) -> None:
        # Loaded with the first middleware.
        from ..engine.refusals import report_credential
        from .inside import look_inside
        from .kinds import check_app, check_config
        from .notices import Notices

        check_config(is_missing=config is MISSING, is_asgi=self._awaits)
        check_app(app, is_asgi=self._awaits)
        config = _changed(config, options)
        inside = look_inside(app)
        self.engine: Engine = Engine.of(config).mounted(inside.mounts)
        self._clock = self.engine.clock
        self._home = self.engine.authenticator
        self._report_credential = report_credential
        self._read = self._home.read
        self._known = self._home.known
        self._nobody = self._home.nobody
        self._bearer = self._home.bearer
        self._serve_programs()
        self._tell_of_requests()
        self._notices = Notices(self._home.reporter)
        self._notices.inheriting_threads()
        config = self._home.config
        self._keep_rules(app, config, inside)
        self._routes: Mapping[str, Route] | None = None
        self._route_ends: tuple[str, ...] = ()
        self._sign_outs: frozenset[str] = frozenset()
        # Requests to open paths by these methods pass without another look.
        self._unchecked = SAFE_METHODS if config.routes is None else frozenset[str]()
        self._is_mounted = bool(config.mount)
        if config.routes is not None:
            self._serve_routes(config.routes)
        self._look_at(app)
        if config.debug_headers:
            from .debugging import tell_in_headers  # for development

            tell_in_headers(self)

    def _tell_of_requests(self) -> None:
        """Have the telemetry told of each request, if it asks for that."""
        measuring = self.engine.measuring
        if measuring is not None and measuring.sees_requests:
            from .telling import telling  # for apps that ask for it

            self.enter = telling(self.enter, measuring, self._is_same)  # type: ignore[method-assign]

    def _keep_rules(self, app: object, config: AmplifyConfig, inside: Inside) -> None:
        from .kinds import check_place  # with the first middleware

        self._inside = inside
        self._rules = access_rules(config, inside)
        if self._rules is not None:
            check_place(app)
        self._withholds = self._rules is not None and self._rules.protects
        # As with `ignore`: a path is exempt only if every reading of it is.
        self._exempt = AccessRules((), (), config.csrf_exempt, config.mount, inside)
        if inside.cors and self._withholds and config.preflight != "app":
            self._notices.cors_inside(inside.cors)

    def _look_at(self, app: object) -> None:
        """Look at the app once more at the first request, when its routes are there."""
        from .first import FirstLook, FirstRules  # with the first middleware

        rules = self._rules
        self._demands = rules is not None and rules.demands
        first = FirstLook(app, self._home.config, self._notices)

        def look() -> None:
            if first.take(self):
                self._rules = rules

        self._rules = FirstRules(rules, look)

    # What WSGI and ASGI spell differently.

    def _authorization(self, request: Request) -> bytes | None:
        """The `Authorization` header; several of them joined by a comma."""
        raise NotImplementedError

    def _access(self, rules: AccessRules, request: Request) -> Access:
        """The rules' word on a request's path."""
        raise NotImplementedError

    def _needs_at(self, rules: AccessRules, request: Request) -> list[Needs]:
        """The rules' needs for a request's path."""
        raise NotImplementedError

    def _asked(self, request: Request) -> Asked:
        """The request as a value."""
        raise NotImplementedError

    def _public_path(self, request: Request) -> str:
        """The path in the site's public address."""
        raise NotImplementedError

    def _is_same(self, outer: Visit, cookies: bytes | None, request: Request) -> bool:
        """Whether `outer` was made for this very request."""
        raise NotImplementedError

    def _socket_refusal(self, visit: Visit, access: Access, request: Request) -> Answer | None:
        """The answer to a WebSocket that may not pass; None if it may."""
        raise NotImplementedError

    # The way in.

    def enter(
        self, access: Access, cookies: bytes | None, request: Request
    ) -> Visit | PassOn | Flow[Visit]:
        """The visit of a request, at once if its credential is known.

        `cookies`: the `Cookie` header. Raises `ConfigurationError` for two pools under one cookie
        name.
        """
        outer = bound()
        if outer is not None:
            found = self._within(outer, access, cookies, request)
            if found is not None:
                return found
            if is_left(outer):
                outer = None
        if access is _IGNORED:
            return PassOn(None)
        value = None if cookies is None else self._read(cookies)
        if value is None:
            return _visit_of(self._home, self._nobody, cookies, request, outer)
        verdict = self._known(value)
        if verdict is not None and self._clock() < verdict.fresh_until:
            return _visit_of(self._home, verdict, cookies, request, outer)
        return self._first_sight(value, cookies, outer, request)

    def _first_sight(
        self, value: Any, cookies: bytes | None, outer: Visit | None, request: Request
    ) -> Visit | Flow[Visit]:
        """The visit of a request whose session is not known yet, at once if nothing is needed."""
        home = self._home
        if self._sign_outs and type(value) is bytes and self._signs_out(request):
            return _visit_of(home, UNREAD, cookies, request, outer)
        generation = home.verdicts.generation
        visit = home.at_once(value, cookies, request, outer, self._clock())
        if visit is None:
            return self._look_up(home.source, value, cookies, outer, request)
        verdict = visit.verdict
        if isinstance(verdict, SignedIn):
            home.verdicts.put(verdict.value, verdict, generation)
        else:
            self._report_credential(visit, self._asked, request)
        return visit

    def _signs_out(self, request: Request) -> bool:
        """Whether an HTTP request is for a route that ends the session in its store."""
        is_http = request.get("type") != "websocket"  # (an environ has no such key)
        return is_http and self._public_path(request) in self._sign_outs

    def _within(
        self,
        outer: Visit,
        access: Access,
        cookies: bytes | None,
        request: Request,
        brought: object = None,
    ) -> Visit | PassOn | None:
        """How a request is served while `outer` is bound; None: as if it were not.

        `brought`: the value of its Bearer header.
        """
        if is_left(outer):
            return PassOn(None, is_apart=True) if access is _IGNORED else None
        is_same = self._is_same(outer, cookies, request)
        if is_same and self._bearer is not None and outer.home is self._home and not outer.pinned:
            is_same = getattr(outer, "brought", None) == brought
        if access is _IGNORED and not (is_same or outer.pinned):
            return PassOn(None, is_apart=True)
        if self._shares_visit(outer, cookies, is_same=is_same):
            answer = self._guarded(outer, access, request)
            return PassOn(outer, answer)
        if outer.pinned and access is not _IGNORED:
            return outer.pinned_at(self._home, cookies, request)
        return None

    def _enter_by_header(
        self, access: Access, cookies: bytes | None, request: Request
    ) -> Visit | PassOn | Flow[Visit]:
        """The same with `bearer=True`: a Bearer header comes first."""
        header = self._authorization(request)
        if header is None:
            return Shell.enter(self, access, cookies, request)
        value: Any = (header[7:],)
        verdict = self._known(value) if header[:7] == _BEARER else None
        if verdict is None:  # seldom: a known value is well formed
            assert self._bearer is not None  # noqa: S101  # else this is not called
            value = self._bearer.read(header)
            if value is None:
                return Shell.enter(self, access, cookies, request)
            verdict = self._known(value)
        outer = bound()
        if outer is not None:
            found = self._within(outer, access, cookies, request, value)
            if found is not None:
                return found
            if is_left(outer):
                outer = None
        if access is _IGNORED:
            return PassOn(None)
        source = self._bearer
        assert source is not None  # noqa: S101  # likewise
        cookie = None if cookies is None else self._read(cookies)
        if cookie is None and verdict is not None and self._clock() < verdict.fresh_until:
            visit = _visit_of(self._home, verdict, cookies, request, outer)
            visit.bring(value, source)
            return visit
        return self._look_up(source, value, cookies, outer, request, cookie)

    def _serve_programs(self) -> None:
        """With `bearer=True`: read such headers, and answer requests for the metadata."""
        if self._bearer is None:
            return
        self.enter = self._enter_by_header  # type: ignore[method-assign]
        config = self._home.config
        members = config.resource_metadata
        if members is None:
            return
        from ..web.resource import ResourceMetadata  # for sites that use it

        issuers = [pool.iss for pool in config.user_pools]
        metadata = ResourceMetadata(config.audience[0], issuers, members)
        enter = self.enter
        rules = access_rules(config)
        if rules is not None and rules.of(metadata.path) is _IGNORED:
            raise ConfigurationError(
                f"ignore: it covers {metadata.path!r}, the resource's metadata, which would not be "
                "there; leave it out"
            )

        def enter_unless_metadata(
            access: Access, cookies: bytes | None, request: Request
        ) -> Visit | PassOn | Flow[Visit]:
            if self._is_at(metadata.path, request):
                return PassOn(None, metadata.answer(self._asked(request).method))
            return enter(access, cookies, request)

        self.enter = enter_unless_metadata  # type: ignore[method-assign]

    def _is_at(self, path: str, request: Request) -> bool:
        """Whether an HTTP request is for a path of this very site, by any mount."""
        # A proxy may pass a path of the site on to an app below a mount as it is.
        if not self._public_path(request).endswith(path) or request.get("type") == "websocket":
            return False
        asked = self._asked(request)
        return path in (asked.path, asked.path.removeprefix(asked.mount))

    def _look_up(
        self,
        source: Source,
        value: Any,
        cookies: bytes | None,
        outer: Visit | None,
        request: Request,
        cookie: Any = None,
    ) -> Flow[Visit]:
        """The visit of a request whose credential is not known yet.

        `cookie`: the value of a session's cookie beside it.
        """
        known = self._known(value)
        found = yield from self._home.look_up(source, value, cookie, self._clock())
        found.of_request(cookies, request, outer)
        if found.verdict is not known:  # a stored session is looked up each time
            self._report_credential(found, self._asked, request)
        return found

    def _shares_visit(self, outer: Visit, cookies: bytes | None, *, is_same: bool) -> bool:
        """Whether this middleware would have found the same as `outer`.

        `is_same`: it was made for this very request. Raises `ConfigurationError` for two pools
        under one cookie name.
        """
        if is_same and outer.home is self._home:
            return True
        if outer.pinned:  # no cookie was read for it, so two pools cannot conflict
            return False
        # An adapter between the two makes the request anew, but not its cookies.
        if is_same or (cookies is not None and cookies == outer.cookies and not outer.begun):
            visit: Visit | None = outer
            while visit is not None:
                self._home.source.refuse_conflict(visit.home.source)
                visit = visit.outer
        return False

    # In the app's place.

    def stop(
        self, visit: Visit, access: Access, method: str | None, request: Request
    ) -> Answer | Flow[Answer] | None:
        """The answer of a sign-in route, or a refusal; None lets the request pass.

        `method`: None for a WebSocket.
        """
        if method is None:
            return self._socket_refusal(visit, access, request)
        if self._routes is not None:
            route = self._find_route(self._public_path(request), self._routes)
            if route is not None:
                return self._at_route(route, visit, self._asked(request))
        if access is _PROTECTED or method not in SAFE_METHODS:
            return self._refusal(visit, access, request)
        return None

    def _refusal(self, visit: Visit, access: Access, request: Request) -> Answer | None:
        """The answer to a request that may not pass; None if it may."""
        asked = self._asked(request)
        if self._is_forged(visit, asked, request):
            self._notices.foreign_origin(visit, asked)
            from ..engine.pages import for_reader  # loaded with the first refusal

            return for_reader(visit, asked, problem(403, _FORGED), _FORGED)
        return self._guarded(visit, access, request, asked)

    def _guarded(
        self, visit: Visit, access: Access, request: Request, asked: Asked | None = None
    ) -> Answer | None:
        """The answer to a request that the path rules do not let pass; None if they do."""
        if access is not _PROTECTED:
            return None
        rules = self._rules
        needs = self._needs_at(rules, request) if self._demands and rules is not None else ()
        return self._guard(visit, self._asked(request) if asked is None else asked, needs)

    def _is_forged(self, visit: Visit, asked: Asked, request: Request) -> bool:
        """Whether another origin's page made this request in the signed-in user's name."""
        return (
            asked.method not in SAFE_METHODS
            and isinstance(visit.verdict, SignedIn)
            and visit.source.is_forged(visit.headers)
            and self._access(self._exempt, request) is not _IGNORED
        )

    def _guard(self, visit: Visit, asked: Asked, needs: Sequence[Needs] = ()) -> Answer | None:
        """The answer to a request for a protected path; None if it may pass."""
        passes = asked.is_preflight and self._home.config.preflight == "app"
        if passes or visit.source.refusals.is_login_page(asked):
            return None
        verdict = visit.guard()
        error = _error_of(visit, verdict, needs)
        if error is None:
            return None
        if asked.is_preflight:
            self._notices.preflight(asked.path)
            return PREFLIGHT
        if verdict is self._nobody and visit.source.is_withheld(asked, visit.cookies):
            from ..routes.pages import hop_here  # for sites with strict cookies

            secure = self._home.config.cookie.secure
            answer = hop_here(asked.path, asked.query, visit.cookies, secure=secure)
            if answer is not None:
                return answer._replace(body=b"") if asked.method == "HEAD" else answer
        return answer_for(visit, asked, error)

    def _late_refusal(
        self, visit: Visit | None, paths: Sequence[str], asked: Asked
    ) -> Answer | None:
        """The answer in place of the app's response, if that is of a path not for this user.

        `visit`: None on an ignored path: no credential was read. `paths`: those the app has read.
        """
        rules = self._rules
        read = [path for path in paths if rules and rules.of(path) is _PROTECTED]
        needs = [each for path in read if rules and rules.demands for each in rules.needs(path)]
        is_user = visit is not None and isinstance(visit.verdict, SignedIn)
        if not read or (is_user and not needs):
            return None
        answer = self._guard(visit or Visit.of(self._home, self._nobody), asked, needs)
        if answer is not None:
            self._notices.withheld(asked.path, read[0])
        return answer

    # Sign-in routes, and mounts.

    def _at_route(self, route: Route, visit: Visit, asked: Asked) -> Answer | Flow[Answer]:
        """A sign-in route's answer. A Bearer header starts and ends no session there."""
        if visit.source is self._bearer:
            return answer_for(visit, asked, bearer_request())
        return route(visit, asked)

    def _serve_routes(self, routes: AuthRoutes) -> None:
        from ..routes.handler import routes_of, sign_outs  # for sites that use them

        for path in routes.paths:
            if self._rules is not None and self._rules.of(path) is _IGNORED:
                raise ConfigurationError(
                    f"ignore: it covers {path!r}, one of the sign-in routes, which would not be "
                    "there; leave it out, or give AuthRoutes another prefix"
                )
        self._refuse_closed(routes)
        for name in ("on_sign_in", "on_sign_in_failed"):
            listener = getattr(routes, name)
            call = getattr(listener, "__call__", None)  # noqa: B004  # an object's may be async
            if not self._awaits and any(map(inspect.iscoroutinefunction, (listener, call))):
                raise ConfigurationError(
                    f"AuthRoutes.{name}: WSGI awaits nothing; write a function without async"
                )
        self._routes = routes_of(self._home, routes)
        self._route_ends = tuple(routes.paths)
        if not self._home.sessions.in_cookie:
            self._sign_outs = sign_outs(self._routes)

    def _refuse_closed(self, routes: AuthRoutes) -> None:
        """Raise `ConfigurationError` for a page of failed sign-ins that leads to another one."""
        place = unquote((routes.on_error or "").partition("?")[0])
        path = place if self._is_mounted else place.removeprefix(routes.origin)
        if not path.startswith("/") or self._rules is None:  # none, or outside of the mount
            return
        is_open = self._home.source.refusals.is_login_page(Asked("GET", path, ""))
        if self._rules.of(path) is _PROTECTED and not is_open:
            raise ConfigurationError(
                f"protect: it covers {path!r}, AuthRoutes.on_error, for visitors who could not "
                "sign in: it would send them to sign in again, without end; name it in public"
            )

    def _find_route(self, path: str, routes: Mapping[str, Route]) -> Route | None:
        """The sign-in route at a public path, if there is one."""
        found = routes.get(path)
        if found is None and path.endswith(self._route_ends):
            self._notices.other_routes(path, next(iter(routes)))
        return found

    def _place(self, root: str, path: str, request: Mapping[str, Any]) -> tuple[str, str]:
        """The mount that a request came by, and its public path (see `Mounts.place`)."""
        told = gateway_path(request)
        mount, whole = self._home.mounts.place(root, path, told)
        if told:
            below = whole.removeprefix(mount)
            public = unquote(told)
            if public.endswith(below) and public.removesuffix(below) != mount:
                self._notices.other_mount(public.removesuffix(below))
        return mount, whole


def _changed(config: AmplifyConfig | Engine, options: Options) -> AmplifyConfig | Engine:
    """`config` with a middleware's own options."""
    if not options:
        return config
    if not isinstance(config, AmplifyConfig):
        raise ConfigurationError(
            f"{', '.join(options)}: options go with an AmplifyConfig; write them into it"
        )
    return config.replace(**options)


def access_rules(config: AmplifyConfig, inside: Inside = PLAIN) -> AccessRules | None:
    """The rules of a configuration for an app; None if there are none."""
    if not config.protect and not config.ignore:
        return None
    return AccessRules(config.protect, config.public, config.ignore, config.mount, inside)


def _error_of(visit: Visit, verdict: Verdict, needs: Sequence[Needs]) -> AuthError | None:
    """The error of a visitor at a protected path; None for one who may pass."""
    if isinstance(verdict, Refused):
        return verdict.exception()
    if not needs:
        return None if isinstance(verdict, SignedIn) else verdict.exception()
    from ..needs import unmet  # for sites that have some

    now, leeway = visit.now(), visit.home.verifier.leeway
    try:
        errors = (unmet(each, verdict, now, leeway) for each in needs)
        return next((error for error in errors if error is not None), None)
    except AuthError as error:  # of the app's own `check`
        return error.with_traceback(None)  # which would keep the request's memory


def visit_around(error: AuthError) -> Visit:
    """The visit of the request being handled; raises `error` if no middleware is around the app."""
    visit = bound()
    if visit is None or is_left(visit):
        raise error
    return visit


def answer_for(visit: Visit, asked: Asked, error: AuthError) -> Answer:
    """The answer to a request of this visit that `error` stopped; it is logged."""
    verdict = visit.ask()
    signed_in = isinstance(verdict, SignedIn)
    answer = visit.source.refusals.answer_for(asked, error, signed_in=signed_in)
    from ..engine.pages import for_reader  # both are loaded with the first refusal
    from ..engine.refusals import report_answer_to

    report_answer_to(visit, asked, answer, error)
    return for_reader(visit, asked, answer, error=error)
