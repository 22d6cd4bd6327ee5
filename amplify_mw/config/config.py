"""`AmplifyConfig`: the one spelling of every option, checked when it is made.

Rules:
- A value that cannot work is refused here, with the option's name and what to write instead.
- A weaker check is spelled out: `client_id=None` accepts any app client; leaving it out is an
  error.
- The library asks, and sends browsers to, https addresses, or http on this machine; http on other
  machines needs `allow_insecure_http`, and is refused for a site on https. All addresses are
  configured here. An issuer that is only compared is plain text.
- A configuration is a value. Equal ones share key sets and caches within a process (see `Core`). A
  copied or unpickled one equals its original; a store in it stays the same store in its process.
- Fields hold the user's options, in one form each; values derived from them are properties.
"""

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Unpack, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, check_number, kind_of
from ..naming import check_names, named_options
from ..sessions.base import SessionKind
from ..sessions.token import TokenSession
from ..web.cookie_policy import CookiePolicy
from ..web.mounts import is_below, parse_mounts
from ..web.origins import domains_above, is_loopback
from .checks import (
    check_address_header,
    check_audience,
    check_flag,
    check_listeners,
    check_login_url,
    check_needs,
    check_origin,
    check_page_origin,
    check_pages,
    check_paths,
    check_proxy,
    check_seal_keys,
    check_strings,
    set_fields,
)
from .pool import PoolOptions, UserPool, check_pools
from .routes import AuthRoutes, check_scopes, check_site

if TYPE_CHECKING:
    from ..events import Event
    from ..needs import Needs
    from ..telemetry import Telemetry
    from ..web.pages import PageContext
    from .options import Options
else:  # for tools that read annotations at run time
    Needs = Telemetry = object
    Event = PageContext = tuple  # as all of them are
    Options = dict

MAX_LEEWAY: Final = 60.0
MEBIBYTE: Final = 1024 * 1024
_MAX_DOMAINS: Final = 8  # of a site: each is a few lines of a response that ends its session
_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "leeway": (0, MAX_LEEWAY),
    "attributes_ttl": (0, 24 * 3600),
    "http_timeout": (0.1, 60),
    "cache_entries": (1, 10**9),
    "cache_bytes": (1, 10**12),
}
_KINDS: Final = {
    "TokenSession": "token",
    "SealedSession": "sealed",
    "StoredSession": "stored",
    "AmplifyCookies": "amplify",
}
_PATHS: Final = ("protect", "public", "ignore", "csrf_exempt")


class Origin(NamedTuple):
    """Where a configuration's sessions are from, as events name it. None: of several.

    `kinds`: the names of the kinds of session. `session`: that of the only one.
    """

    kinds: tuple[str, ...]
    session: str | None
    pool_id: str | None
    client_id: str | None


class Core(NamedTuple):
    """The part of a configuration that decides how sessions are verified, fetched and remembered.

    Configurations of equal cores share key sets, caches and flights within a process; their paths,
    guards and cookie attributes may differ. The cookie's name belongs to the core: a value sealed
    for one cookie is not valid in another.
    """

    pools: tuple[UserPool, ...]
    kind: SessionKind
    cookie_name: str
    audience: tuple[str, ...]
    leeway: float
    attributes_ttl: float
    http_timeout: float
    proxy: str | None
    cache_entries: int
    cache_bytes: int

    def __repr__(self) -> str:
        return f"<Core of {self.pools}>"  # the proxy may hold a password

    @property
    def pools_by_issuer(self) -> dict[str, UserPool]:
        """The pool of each issuer that counts. A pool's configured issuer is no other pool's."""
        found = {pool.iss: pool for pool in self.pools}
        for pool in self.pools:
            for issuer in pool.accepted_issuers:
                found.setdefault(issuer, pool)
        return found

    @property
    def clients(self) -> tuple[str, ...] | None:
        """The app clients whose tokens are accepted, in order; None: any."""
        if any(pool.client_ids is None for pool in self.pools):
            return None
        return tuple(dict.fromkeys(c for pool in self.pools for c in pool.client_id or ()))


@named_options
@dataclass(frozen=True, kw_only=True)
class AmplifyConfig(PoolOptions):
    """Every option of the middlewares and functions. Each has a docstring of its own.

    One pool is written with `user_pool_id`, `client_id` and the other options of `UserPool`;
    several with `pools=[UserPool(...), ...]`.

    >>> AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web").user_pools[0].iss
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """

    pools: Sequence[UserPool] = ()
    """Several user pools, as `UserPool(...)` each. Default: none, there is one pool.

    Instead of `user_pool_id`, `client_id` and the other options of a single pool.
    """

    cookie: CookiePolicy = field(default_factory=CookiePolicy)
    """The session cookie's name and attributes. Default: `CookiePolicy()`.

    `CookiePolicy.host_prefixed()` is the one for production. `AmplifyCookies` has its own.
    """

    session: SessionKind | Sequence[SessionKind] = field(default_factory=TokenSession)
    """The kind of session in the cookie. Default: `TokenSession()`.

    `TokenSession`, `SealedSession`, `StoredSession` or `AmplifyCookies`; a list of them is tried
    in order.
    """

    leeway: float = 5.0
    """Seconds that this machine's clock may differ from the pool's. Default: 5, at most 60.

    A token is accepted from `leeway` before its `iat` until `leeway` after its `exp`. With a larger
    difference no session ends, but requests get 503 (`token_not_yet_valid`, `token_expired`), and
    the log says so.
    """

    protect: Sequence[str] | Mapping[str, Needs] = field(default=(), hash=False)
    """Paths that need a signed-in user, such as `/account` or `/api/*`. Default: none.

    `/api/*` covers `/api` too. Others get 401, or go to the `login_url` if a browser opens a page.
    A mapping asks for more: `{"/account/*": Needs(), "/billing/*": Needs(groups=["billing"],
    fresh=600)}`. If several patterns match a path, what each of them needs has to be there.
    """

    public: Sequence[str] = ()
    """Paths that need no user although `protect` covers them. Default: none."""

    ignore: Sequence[str] = ()
    """Paths that the middleware passes on untouched, such as `/static/*`. Default: none.

    `get_current_user()` raises `OutsideRequestError` there.
    """

    mount: str | Sequence[str] = ()
    """The start of the app's public address, such as `/prod`. Default: none.

    Set it if the server does not say so itself (`SCRIPT_NAME`, `root_path`): for a stage of API
    Gateway, a prefix that a proxy removes, a framework's own `root_path`. A list if there are
    several, the usual one first. It is put in front of `login_url` and of the paths in `routes`:
    all paths here are below it.
    """

    login_url: str | None = None
    """The page that browsers are sent to from a protected page, with `?next=`. Default: None.

    A path (below the `mount`, if any), or an https address. With `routes`, the default is their
    `sign-in`.
    """

    routes: AuthRoutes | None = None
    """The routes of hosted sign-in: `AuthRoutes(origin="https://app.example.com")`. Default: None.

    They need the pool's `domain`. Their `sign-in` becomes the `login_url`, unless another is given.
    """

    pages: Mapping[Literal[401, 403, 503, "sign_in_failed"], str | Callable[[PageContext], str]] = (
        field(default_factory=dict, hash=False)
    )
    """Pages of your own for people in browsers, as `{403: page, ...}`. Default: none, plain pages.

    401: nobody is signed in, and there is no `login_url`. 403: a group, a scope or another site.
    503: it cannot be checked now. "sign_in_failed": a sign-in at the `routes` came to nothing, and
    they have no `on_error`. Programs get `application/problem+json` all the same.

    A page is a whole HTML document: a template, in which `$title`, `$text`, `$path`, `$status`,
    `$sign_in_url`, `$retry_after`, `$code` and `$username` stand for the facts (`$$` for a dollar
    sign), or a function that takes a `PageContext` and returns HTML. It is not awaited, and has to
    be quick. If it raises, that is logged, and the plain page goes. Browsers load only files of
    this site in it, and run no script in its text.
    """

    bearer: bool = False
    """Whether programs may send an access token as `Authorization: Bearer`. Default: False.

    It is read before the cookie. No rule for cookies holds for such a request (CSRF, clearing, a
    redirect to a page), and it starts, refreshes and ends no session.
    """

    audience: str | Sequence[str] = ()
    """The names of this API, one of which access tokens have to have in `aud`. Default: none.

    Such as `https://orders.example.com` (RFC 8707; Cognito's resource binding). It holds for Bearer
    tokens and for the access tokens of sessions, new and refreshed. ID tokens name the app client
    there, and nothing else. Without it, `aud` of an access token is not looked at: set it if the
    pool has other APIs, whose tokens are not to work here.
    """

    resource_metadata: Mapping[str, str | Sequence[str]] | None = field(default=None, hash=False)
    """Members of the metadata by which programs find out how to get tokens. Default: None, it is
    not served.

    `{}` serves it at `/.well-known/oauth-protected-resource` (RFC 9728), with the path of the first
    `audience` behind that, and 401s name the address. MCP's clients ask for it. The resource and
    the pools' issuers are written into it. Yours are `scopes_supported`, `resource_name`,
    `resource_documentation`, `resource_policy_uri` and `resource_tos_uri`. It needs `bearer=True`,
    and an address as the first `audience`.
    """

    handover_keys: Sequence[str | bytes] = field(default=(), repr=False)
    """Keys that seal users for jobs (`hand_over_user`), as `amplify-mw keygen` prints them.

    Default: those of the `SealedSession`, or of the `routes`. The workers need the same. The first
    one seals, all of them open. To change keys, give all processes `[old, new]`, then `[new, old]`,
    then `[new]` once the last hand-over has expired.
    """

    csrf: Literal["origin"] | None = "origin"
    """Protection against cross-site request forgery. Default: "origin".

    A signed-in request with an unsafe method from another origin's page, as browsers report it, is
    refused. `origins` and the routes' own origin are allowed. None: the app does it itself.
    """

    csrf_exempt: Sequence[str] = ()
    """Paths that `csrf` does not apply to, written as in `protect`. Default: none.

    For webhooks and the like, which have a signature of their sender.
    """

    origins: Sequence[str] = ()
    """The site's own origins, such as `https://app.example.com`. Default: none.

    Also those of its mobile apps, as their web views write them (`capacitor://localhost`). A
    WebSocket handshake with a session cookie is refused from any other origin, unless the browser
    vouches for it (`Sec-Fetch-Site: same-origin`). `start_session` and the functions that end
    sessions accept them too; they need them if a browser does not vouch (old browsers; any over
    plain http). `http://` on another machine is for a site served there itself, with
    `CookiePolicy(secure=False)`.
    """

    preflight: Literal["answer", "app"] = "answer"
    """The answer to CORS preflights of protected paths. Default: "answer".

    "answer": the middleware answers 204 without any permission, and the app does not see them.
    "app": the app gets them. Write it only if a CORS layer inside the middleware answers every
    preflight: a view that takes any method would run without a signed-in user. With a user, a
    preflight always goes to the app.
    """

    cache_control: Literal["no-store", "private"] | None = None
    """The `Cache-Control` of signed-in answers that have none of their own. Default: None.

    None: "no-store" behind `protect` and `require_auth`, so that a browser's Back button asks again
    after a sign-out, and "private" elsewhere. "no-store" or "private": the same for all of them.
    """

    attributes_ttl: float = 60.0
    """Seconds that a user's attributes are cached. Default: 60; 0 turns the cache off."""

    http_timeout: float = 5.0
    """Seconds for a whole answer of Cognito's, connecting included. Default: 5, from 0.1 to 60."""

    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    """The HTTP proxy for requests to Cognito, such as `http://proxy:3128`. Default: None.

    "environment": the one in `HTTPS_PROXY`, except for the hosts in `NO_PROXY`. Addresses on this
    machine are asked directly.
    """

    on_event: Callable[[Event], object] | Sequence[Callable[[Event], object]] | None = None
    """A function that is called with each event; see `amplify_mw.events`. Default: None.

    Or a list of functions: if one raises, the others are called all the same. A function is called
    at once, on the thread of the event: a request's, the event loop's or one of the library's own,
    several at a time. It has to be quick, and cannot be async. An exception of its own is logged.
    """

    client_address: str | None = None
    """The header in which your proxy says a client's address, for events. Default: None, they have
    no address.

    Such as `X-Forwarded-For`, if the proxy adds to it or sets it in each request. Anybody can send
    the header to a server without such a proxy. Only an IP address gets into an event.
    """

    trusted_proxies: int = 1
    """How many proxies add to the `client_address` header, each at its right end. Default: 1.

    2 takes the second entry from the right. From 1 to 16; with fewer entries there is no address.
    A number that is too large takes a client's own text.
    """

    telemetry: Telemetry | None = None
    """Metrics and traces: `OpenTelemetry()` of `amplify_mw.otel`. Default: None, none are made."""

    debug_headers: bool = False
    """Whether responses say why a user is signed in or not, for development. Default: False.

    `Server-Timing` and `Amplify-MW-Debug`: anybody who sees the response can read them.
    """

    cache_entries: int = 10_000
    """The most entries of each cache: known sessions, users' attributes. Default: 10,000."""

    cache_bytes: int = 32 * MEBIBYTE
    """The most bytes of each cache. Default: 32 MiB."""

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            check_number(name, getattr(self, name), least, most)
        if not isinstance(self.cookie, CookiePolicy):
            raise ConfigurationError("cookie: write a CookiePolicy(...)")
        self._set_pools()
        given = self.protect
        set_fields(self, protect=tuple(given) if isinstance(given, Mapping) else given)
        set_fields(
            self,
            session=_check_session(self.session),
            mount=parse_mounts(self.mount),
            **{name: check_paths(name, getattr(self, name)) for name in _PATHS},
        )
        if isinstance(given, Mapping):
            set_fields(self, protect=check_needs(given))
        set_fields(self, origins=self._check_origins(), pages=check_pages(self.pages))
        set_fields(self, audience=check_audience(self.audience))
        set_fields(self, handover_keys=check_seal_keys("handover_keys", self.handover_keys))
        self._check_choices()
        self._check_metadata()
        scopes = self.kind.cookies(self.cookie, self.clients).scopes
        if self.routes is not None:
            self._check_routes(self.routes)
        if self.login_url is not None:
            check_login_url(self.login_url, insecure=self._allows_http)
        for mount in self.mount:
            self._check_below(mount)
        if self.routes is not None:
            for mount in self.mount or ("",):
                placed = self.routes.at(mount)
                placed.check_listed()
                check_scopes(scopes, placed, mount)

    def _set_pools(self) -> None:
        """Check the pool's options, or `pools`, and keep each in its one form."""
        pools = check_pools(self.pools)
        single = {field.name: getattr(self, field.name) for field in fields(PoolOptions)}
        set_fields(self, pools=pools)
        if pools:
            if any(getattr(PoolOptions, name, None) != value for name, value in single.items()):
                raise ConfigurationError(
                    "pools: write either pools=[UserPool(...), ...] or user_pool_id=... and "
                    "client_id=..., not both"
                )
            return
        if self.user_pool_id is None:
            raise ConfigurationError(
                "user_pool_id is missing: write AmplifyConfig(user_pool_id='eu-west-1_Ab12Cd34E', "
                "client_id='...') or AmplifyConfig.from_outputs('amplify_outputs.json')"
            )
        pool = UserPool(**single)
        set_fields(self, **{name: getattr(pool, name) for name in single})

    def _check_origins(self) -> tuple[str, ...]:
        secure = [
            kind.secure for kind in self._kinds if hasattr(kind, "secure")
        ]  # `AmplifyCookies`
        insecure = self._allows_http or not (self.cookie.secure and all(secure))
        origins = check_strings("origins", self.origins)
        return tuple(check_page_origin(origin, insecure=insecure) for origin in origins)

    def _check_choices(self) -> None:
        if self.public and not self.protect:
            raise ConfigurationError(
                "public: it exempts paths from protect, which is empty; write protect=['/*'] too, "
                "or leave public out"
            )
        check_proxy(self.proxy)
        set_fields(self, on_event=check_listeners(self.on_event))
        check_address_header(self.client_address, self.trusted_proxies)
        self._check_telemetry()
        check_flag("debug_headers", self.debug_headers)
        if self.bearer not in (True, False):
            raise ConfigurationError(f"bearer: write True or False; got {self.bearer!r}")
        if self.csrf not in ("origin", None):
            raise ConfigurationError("csrf: write 'origin', or None to leave it to the app")
        if self.preflight not in ("answer", "app"):
            raise ConfigurationError(
                "preflight: write 'app' where a CORS layer inside the middleware answers "
                f"preflights, or leave it out; got {self.preflight!r}"
            )
        if self.cache_control not in ("no-store", "private", None):
            raise ConfigurationError(
                "cache_control: write 'no-store' or 'private', or None for 'no-store' behind a "
                "guard and 'private' elsewhere; a page's own Cache-Control is left alone"
            )

    def _check_metadata(self) -> None:
        """Check the option `resource_metadata`, and copy it."""
        if self.resource_metadata is None:
            return
        from .resource import check_resource_metadata  # only with the option

        members = check_resource_metadata(
            self.resource_metadata,
            self.audience,
            bearer=self.bearer,
            insecure=self._allows_http,
        )
        set_fields(self, resource_metadata=members)

    def _check_below(self, mount: str) -> None:
        """Raise `ConfigurationError` for a path that begins with a mount."""
        paths: list[tuple[str, str | None]] = []
        if self.routes is not None:
            names = ("prefix", "after_sign_in", "after_sign_out", "on_error")
            paths += [(f"AuthRoutes.{name}", getattr(self.routes, name)) for name in names]
        paths.append(("login_url", self.login_url))
        for name in _PATHS:
            paths += [(name, path) for path in getattr(self, name)]
        for name, path in paths:
            if path is not None and mount and is_below(path.partition("?")[0], mount):
                raise ConfigurationError(
                    f"{name}: {path!r} begins with the mount {mount!r}, below which all paths are "
                    f"written; write {path.removeprefix(mount) or '/'!r}"
                )

    def _check_routes(self, routes: AuthRoutes) -> None:
        """Check what they need of the pool and the session; fill in the `login_url`."""
        if not isinstance(routes, AuthRoutes):
            raise ConfigurationError("routes: write AuthRoutes(origin='https://app.example.com')")
        check_site(routes, insecure=self._allows_http)
        pool = self.user_pools[0]
        if pool.domain is None:
            raise ConfigurationError(
                "routes: hosted sign-in is at the pool's domain; write domain='auth.example.com'"
            )
        if pool.client_id is None:
            raise ConfigurationError("routes: sign-in is an app client's; write client_id='...'")
        if not self.route_keys:
            raise ConfigurationError(
                "routes: write AuthRoutes(keys=['...']), as `amplify-mw keygen` prints one; all "
                "processes need the same"
            )
        if self.audience and routes.resource not in self.audience:
            raise ConfigurationError(
                "audience: sign-ins have to ask for such tokens; write "
                f"AuthRoutes(resource={self.audience[0]!r})"
            )
        if self.login_url is None:
            set_fields(self, login_url=f"{routes.prefix}/sign-in")

    def _check_telemetry(self) -> None:
        telemetry = self.telemetry
        if telemetry is None:
            return
        if isinstance(telemetry, type) or not callable(getattr(telemetry, "on_event", None)):
            raise ConfigurationError(
                "telemetry: write OpenTelemetry() of amplify_mw.otel; got " + kind_of(telemetry)
            )
        if not isinstance(telemetry, Hashable):  # configurations are compared
            raise ConfigurationError(
                f"telemetry: {type(telemetry).__name__} has no hash, since it defines __eq__; "
                "leave that out, or for a dataclass write @dataclass(eq=False)"
            )

    @cached_property
    def listeners(self) -> tuple[Callable[[Event], object], ...]:
        """The functions of `on_event`."""
        own = self.on_event
        return () if own is None else own if isinstance(own, tuple) else (own,)

    @cached_property
    def origin(self) -> Origin:
        """Where its sessions are from, for events."""
        kinds = self.session if isinstance(self.session, tuple) else (self.session,)
        names = tuple(_KINDS.get(type(kind).__name__, type(kind).__name__) for kind in kinds)
        pools, clients = {pool.user_pool_id for pool in self.user_pools}, self.clients or ()
        return Origin(
            names,
            names[0] if len(names) == 1 else None,
            next(iter(pools)) if len(pools) == 1 else None,
            clients[0] if len(clients) == 1 else None,
        )

    @property
    def is_measured(self) -> bool:
        """Whether the `telemetry` is told of more than events."""
        methods = (getattr(self.telemetry, name, None) for name in ("begin", "watch", "on_request"))
        return any(map(callable, methods))

    @cached_property
    def user_pools(self) -> tuple[UserPool, ...]:
        """The pools whose tokens are accepted: `pools`, or the single one."""
        single = {field.name: getattr(self, field.name) for field in fields(PoolOptions)}
        return tuple(self.pools) or (UserPool(**single),)

    @cached_property
    def kind(self) -> SessionKind:
        """The session kind at work: that of `session`, or one that tries several."""
        if len(self._kinds) == 1:
            return self._kinds[0]
        from ..sessions.several import Several

        return cast("SessionKind", Several(self._kinds))

    @cached_property
    def core(self) -> Core:
        """The part that decides how sessions are verified, fetched and remembered."""
        return Core(
            pools=self.user_pools,
            kind=self.kind,
            cookie_name=self.cookie.name,
            audience=tuple(self.audience),
            leeway=self.leeway,
            attributes_ttl=self.attributes_ttl,
            http_timeout=self.http_timeout,
            proxy=self.proxy,
            cache_entries=self.cache_entries,
            cache_bytes=self.cache_bytes,
        )

    @property
    def pools_by_issuer(self) -> dict[str, UserPool]:
        """See `Core`."""
        return self.core.pools_by_issuer

    @property
    def clients(self) -> tuple[str, ...] | None:
        """See `Core`."""
        return self.core.clients

    @property
    def route_keys(self) -> tuple[bytes, ...]:
        """The keys that seal attempts to sign in: the routes' own, or a sealed session's."""
        own = () if self.routes is None else self.routes.keys
        found = [own, *(getattr(kind, "keys", ()) for kind in self._kinds)]
        return tuple(next(filter(None, found), ()))

    @property
    def keys_for_handovers(self) -> tuple[bytes, ...]:
        """The keys that seal hand-overs: their own, a sealed session's, or the routes'."""
        kinds = [getattr(kind, "keys", ()) for kind in self._kinds]
        found = [self.handover_keys, *kinds, () if self.routes is None else self.routes.keys]
        return tuple(next(filter(None, found), ()))

    @cached_property  # requests ask for it
    def known_origins(self) -> frozenset[str]:
        """The site's own origins."""
        if self.routes is None:
            return frozenset(self.origins)
        own = check_origin("AuthRoutes.origin", self.routes.origin, insecure=True)
        return frozenset((*self.origins, own))

    @property
    def metadata_url(self) -> str | None:
        """The address of the resource's metadata; None if it is not served."""
        if self.resource_metadata is None:
            return None
        from ..web.resource import metadata_url

        return metadata_url(self.audience[0])

    @property
    def is_insecure(self) -> bool:
        """Whether the site is configured on plain http, so that browsers restrict its pages.

        (They do not on this machine.)
        """
        found = [urlsplit(origin) for origin in self.known_origins]
        return any(one.scheme == "http" and not is_loopback(one.hostname or "") for one in found)

    @property
    def has_own_login(self) -> bool:
        """Whether the login page is the routes' own."""
        return self.routes is not None and self.login_url == f"{self.routes.prefix}/sign-in"

    @cached_property  # requests ask for it
    def cookie_domains(self) -> tuple[str, ...]:
        """The domains whose cookies browsers may send to this site, by its configured names.

        Request headers have no say in it. Browsers ignore domains of other sites.
        """
        routes = () if self.routes is None else (self.routes.origin,)
        hosts = [urlsplit(origin).hostname or "" for origin in (*routes, *self.origins)]
        hosts.insert(0, self.cookie.domain or "")
        found = dict.fromkeys(domain for host in hosts for domain in domains_above(host))
        return tuple(found)[:_MAX_DOMAINS]

    @property
    def _kinds(self) -> tuple[SessionKind, ...]:
        return _kinds(self.session)

    @property
    def _allows_http(self) -> bool:
        return any(pool.allow_insecure_http for pool in self.user_pools)

    def __deepcopy__(self, memo: dict[int, Any]) -> "AmplifyConfig":
        """The same object: a copied listener would take the events of the first one."""
        return self

    def replace(self, **changes: "Unpack[Options]") -> "AmplifyConfig":
        """The same configuration with some options changed, checked again."""
        check_names(AmplifyConfig, changes)
        if self.has_own_login:
            changes.setdefault("login_url", None)  # it goes with the routes
        return replace(self, **changes)

    @classmethod
    def from_outputs(
        cls, source: str | os.PathLike[str] | Mapping[str, Any], **options: "Unpack[Options]"
    ) -> "AmplifyConfig":
        """The configuration in `amplify_outputs.json`, or Gen 1's `amplifyconfiguration.json`.

        `source`: the file's path, or its parsed content. `options`: any option; it overrides the
        file. Raises `ConfigurationError` if the file names no user pool.
        """
        from .files import from_outputs

        return from_outputs(cls, source, options)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **options: "Unpack[Options]"
    ) -> "AmplifyConfig":
        """The configuration in environment variables; see `amplify_mw.config.files.VARIABLES`."""
        from .files import from_env

        return from_env(cls, environ, options)


def _kinds(session: object) -> tuple[Any, ...]:
    return tuple(session) if isinstance(session, list | tuple) else (session,)


def _check_session(session: object) -> SessionKind | tuple[SessionKind, ...]:
    """Return the option `session`: one kind, or a tuple of several."""
    kinds: tuple[SessionKind, ...] = _kinds(session)
    for kind in kinds:
        if isinstance(kind, type) or not hasattr(kind, "bind"):
            raise ConfigurationError(
                "session: write StoredSession(store), SealedSession(keys=[...]), AmplifyCookies(), "
                f"TokenSession(), or a list of these; got {kind_of(kind)}"
            )
    if not kinds:
        raise ConfigurationError("session: the list is empty; write one kind, or leave it out")
    if len(kinds) == 1:
        return kinds[0]
    from ..sessions.several import MAX_KINDS

    if len(kinds) > MAX_KINDS:
        raise ConfigurationError(f"session: write at most {MAX_KINDS} kinds; got {len(kinds)}")
    return kinds
