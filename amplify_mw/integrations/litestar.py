"""Litestar: `AmplifyPlugin(config)`, and the guard `require(...)`.

    app = Litestar([home, reports], plugins=[AmplifyPlugin(config)])

    @get("/reports", guards=[require(groups=["editors"])])
    async def reports(current_user: NamedDependency[AuthUser]) -> str: ...

The plugin adds the middleware, outermost of the app's own; the sign-in routes; answers to an
`AuthError`, in WebSockets too; the dependency `current_user`; and OpenAPI's account of all that.

Rules:
- Litestar runs its middlewares when it has found a route, and hides a mount from them. Rules for
  paths are held against the whole path all the same.
- An `AuthError` that stops a WebSocket leaves Litestar by a hook (`after_exception`), and the
  middleware answers it.
- A response that depends on the user is not kept in Litestar's cache, unless the app has its own
  keys for that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Final, Unpack
from urllib.parse import unquote, urlsplit

from litestar import Response, asgi
from litestar.config.app import AppConfig
from litestar.config.response_cache import ResponseCacheConfig, default_cache_key_builder
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, OAuthFlow, OAuthFlows, SecurityScheme
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import ASGIRoute, BaseRoute, HTTPRoute

from ..asgi import AmplifyASGIMiddleware
from ..config.config import AmplifyConfig
from ..config.options import Options
from ..config.pool import UserPool
from ..engine.context import bound
from ..errors import AuthError, ConfigurationError
from ..needs import Check, Value
from ..sessions.amplify.sessions import AmplifyCookies
from ..shell.asgi_response import only_auth_error, send_answer
from ..shell.inside import things_in
from ..shell.shell import access_rules
from ..verbs.guarded import is_guarded_elsewhere
from ..verbs.guards import require_auth
from ..verbs.user import get_current_user
from ..web.answers import Answer
from ..web.paths import Access
from ..web.resource import metadata_url
from .answering import answer_for

USER: Final = "current_user"  # the dependency


def require(
    *,
    groups: Iterable[str] | None = None,
    scopes: Iterable[str] | None = None,
    machines: bool = False,
    fresh: float | None = None,
    acr: str | Iterable[str] | None = None,
    claims: Mapping[str, Value | Iterable[Value]] | None = None,
    check: Check | None = None,
) -> "Guard":
    """A guard for `guards=[...]`: only signed-in users get on. Options: those of `require_auth`.

    For handlers, controllers, routers and apps; for WebSockets too, whose handshake it refuses.
    """
    return Guard(
        require_auth(
            groups=groups,
            scopes=scopes,
            machines=machines,
            fresh=fresh,
            acr=acr,
            claims=claims,
            check=check,
        )(_pass)
    )


def _pass() -> None:
    pass


class Guard:
    """Litestar's kind of guard. (It is awaited: others run on a thread.)"""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    async def __call__(self, _connection: Any, _route_handler: Any) -> None:
        """Raise the `AuthError` of a request that may not pass."""
        self._check()


@dataclass
class Problem:
    """The body of a refusal (RFC 9457)."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


_REFUSALS: Final = {
    401: "Nobody is signed in, or no longer.",
    403: "The user may not do this.",
    503: "The user cannot be told now. Try again in a moment.",
}


class AmplifyPlugin(InitPlugin, ReceiveRoutePlugin):
    """Makes the signed-in user known to a Litestar app.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for this app.
    """

    def __init__(self, config: AmplifyConfig, **options: Unpack[Options]) -> None:
        if not isinstance(config, AmplifyConfig):
            raise ConfigurationError("AmplifyPlugin: write AmplifyPlugin(config)")
        self.config: AmplifyConfig = config.replace(**options) if options else config
        self._rules = access_rules(self.config)
        self._schemes = _schemes(self.config)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add to the app all that it needs; Litestar calls this."""
        app_config.middleware = [
            DefineMiddleware(_layer, config=self.config),
            *app_config.middleware,
        ]
        app_config.exception_handlers = {AuthError: _response, **app_config.exception_handlers}
        app_config.after_exception = [*app_config.after_exception, _let_out]
        own = Provide(get_current_user, sync_to_thread=False)
        app_config.dependencies = {USER: own, **app_config.dependencies}
        paths = _own_paths(self.config)
        if paths:
            app_config.route_handlers = [
                *app_config.route_handlers,
                asgi(paths, copy_scope=True)(_nothing),
            ]
        if app_config.response_cache_config:
            app_config.response_cache_config = _careful(app_config.response_cache_config)
        if app_config.openapi_config is not None:
            app_config.openapi_config = copied = copy(app_config.openapi_config)
            given = copied.components
            others = given if isinstance(given, list) else [given]
            copied.components = [Components(security_schemes=dict(self._schemes)), *others]
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Note in OpenAPI which routes need a user; Litestar calls this."""
        if not isinstance(route, HTTPRoute):
            return
        is_protected = self._rules is not None and self._rules.of(route.path) is Access.PROTECTED
        for handler in route.route_handlers:
            if is_protected or _needs_user(handler):
                self._describe(handler)

    def _describe(self, handler: HTTPRouteHandler) -> None:
        """Add what the guard asks for and answers to a handler's description."""
        wanted: list[dict[str, list[str]]] = [{name: []} for name in self._schemes]
        known = list(handler.security or [])
        handler.security = known + [each for each in wanted if each not in known]
        handler.responses = {
            **{
                status: ResponseSpec(
                    Problem,
                    generate_examples=False,
                    description=text,
                    media_type="application/problem+json",
                )
                for status, text in _REFUSALS.items()
            },
            **(handler.responses or {}),
        }


# The middleware, within Litestar's routing.


def _layer(app: Any, *, config: AmplifyConfig) -> Any:
    """The middleware around what Litestar has found for a route."""
    routes = [thing for thing, _ in things_in(app) if isinstance(thing, BaseRoute)]
    if len(routes) == 1 and not isinstance(routes[0], ASGIRoute):
        return AmplifyASGIMiddleware(app, config)
    return _Mounted(app, config, routes)


class _Mounted:
    """The middleware around an app mounted in Litestar, whose prefix Litestar has taken off.

    `routes`: the one route that was found behind the app's middlewares, or none.
    """

    def __init__(self, app: Any, config: AmplifyConfig, routes: list[BaseRoute]) -> None:
        self._within = app
        self._route = routes[0] if len(routes) == 1 else None
        self._ours = AmplifyASGIMiddleware(self._pass_on, config)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if getattr(scope["route_handler"], "is_mount", False):
            if self._route is None:
                raise ConfigurationError(
                    "AmplifyPlugin: a middleware hides which app is mounted here; wrap the whole "
                    "app, as in AmplifyASGIMiddleware(app, config)"
                )
            path = f"{self._route.path.rstrip('/')}/{path.strip('/')}".rstrip("/") or "/"
        await self._ours({**scope, "path": path, _CUT: scope["path"]}, receive, send)

    async def _pass_on(self, scope: Any, receive: Any, send: Any) -> None:
        await self._within({**scope, "path": scope[_CUT], _WHOLE: scope["path"]}, receive, send)


_CUT: Final = "amplify_mw.cut_path"  # keys in the scope
_WHOLE: Final = "amplify_mw.whole_path"


async def _nothing(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001  # by name
    """The app at the paths of the sign-in routes: the middleware answers before it."""
    raise NotFoundException


def _own_paths(config: AmplifyConfig) -> list[str]:
    """The paths that the middleware answers by itself."""
    paths = [] if config.routes is None else list(config.routes.paths)
    if config.resource_metadata is not None:
        paths.append(unquote(urlsplit(metadata_url(config.audience[0])).path))
    return paths


# Errors.


def _response(request: Any, error: AuthError) -> Response[bytes]:
    """Litestar's kind of error handler."""
    scope = request.scope
    return _Refusal(answer_for({**scope, "path": scope.get(_WHOLE, scope["path"])}, error))


class _Refusal(Response[bytes]):
    """The middleware's answer as it is: a response of Litestar's would add a type."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, status_code=answer.status)
        self._answer = answer

    def to_asgi_response(self, *_args: Any, **_kwargs: Any) -> Any:
        """An ASGI app that sends it."""

        async def send_it(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001  # by name
            await send_answer(self._answer, scope, None, send)

        return send_it


async def _let_out(raised: Exception, scope: Any) -> None:
    """A hook: Litestar would close a WebSocket, and say nothing."""
    error = only_auth_error(raised)
    if error is not None and scope["type"] == "websocket" and bound() is not None:
        raise error


def _careful(config: ResponseCacheConfig) -> ResponseCacheConfig:
    """A configuration of the cache which keeps no page of a user's for others."""
    if config.key_builder is not default_cache_key_builder:
        return config
    given = config.cache_response_filter

    def is_kept(scope: Any, status: int) -> bool:
        visit = bound()
        is_personal = visit is not None and visit.depends
        if is_personal and scope["route_handler"].cache_key_builder is None:
            return False
        return given(scope, status)

    return replace(config, cache_response_filter=is_kept)


# OpenAPI.


def _needs_user(handler: HTTPRouteHandler) -> bool:
    """Whether a handler lets in nobody but users: by a guard, a decorator, or the dependency."""
    if any(isinstance(guard, Guard) for guard in handler.resolve_guards()):
        return True
    if any(map(is_guarded_elsewhere, _inside(handler.fn))):
        return True
    dependencies = handler.resolve_dependencies()
    own = dependencies.get(USER)
    if own is None or own.dependency is not get_current_user:
        return False
    pending, seen = [handler.parsed_fn_signature], set[str]()
    while pending:
        wanted = pending.pop().parameters.keys() & dependencies.keys() - seen
        seen |= wanted
        pending += [dependencies[name].parsed_fn_signature for name in wanted]
    return USER in seen


def _inside(function: Any) -> Iterator[Any]:
    """The functions in a wrapped one."""
    function = getattr(function, "func", function)  # Litestar's, for those on threads
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


def _schemes(config: AmplifyConfig) -> dict[str, SecurityScheme]:
    """The ways to show who one is, by their names in OpenAPI: what the configuration accepts."""
    login = f" Sign in at {config.login_url}" if config.login_url else ""
    found = {
        "AmplifySession": SecurityScheme(
            type="apiKey",
            name=_cookie_of(config),
            security_scheme_in="cookie",
            description=f"The session's cookie, which browsers send by themselves.{login}",
        )
    }
    if not config.bearer:
        return found
    text = "An access token of the user pool."
    found["AmplifyBearer"] = SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description=text
    )
    hosted = "AmplifyHostedSignIn"
    for pool in config.user_pools:
        if pool.domain is not None:
            name = f"{hosted}.{pool.user_pool_id}" if hosted in found else hosted
            found[name] = _hosted(pool)
    return found


def _hosted(pool: UserPool) -> SecurityScheme:
    flow = OAuthFlow(
        authorization_url=f"{pool.domain}/oauth2/authorize", token_url=pool.token_url, scopes={}
    )
    return SecurityScheme(
        type="oauth2",
        flows=OAuthFlows(authorization_code=flow),
        description="Sign in at the user pool, for an access token.",
    )


def _cookie_of(config: AmplifyConfig) -> str:
    """The name of the cookie that a session has."""
    if isinstance(config.kind, AmplifyCookies):
        client = next(iter(config.clients or ()), "CLIENT_ID")
        return f"CognitoIdentityServiceProvider.{client}.LastAuthUser"
    return config.cookie.name
