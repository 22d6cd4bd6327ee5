"""`AmplifyConfig`: the one spelling of every option, checked when it is made.

Rules:
- A value that cannot work is refused here, by name, with what to write instead.
- A weaker check is spelled out: `client_id=None` accepts any app client; leaving it out is an
  error.
- Addresses that are asked, and those that a browser is sent to, are https, or http on this very
  machine; on others only by `allow_insecure_http`, and never for a site on https. They come from
  nowhere but here. An issuer that is only compared is text like any other.
- Configurations are values: two that are equal share key sets and caches within a process. One that
  was copied or pickled equals itself; a store in it stays the same store where it is the same
  process's.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from ..errors import ConfigurationError, check_number, kind_of
from ..sessions.base import SessionKind
from ..sessions.token import TokenSession
from ..web.cookie_policy import CookiePolicy, is_covered
from ..web.mounts import is_below, parse_mounts
from ..web.origins import domains_above, is_loopback, split_origin
from .checks import (
    MISSING,
    check_keys,
    check_listener,
    check_login_url,
    check_origin,
    check_page_origin,
    check_paths,
    check_proxy,
    check_strings,
    set_fields,
)
from .pool import (
    _REFRESH_API,
    RefreshApi,
    UserPool,
    _client_id,
    _domain,
)
from .routes import AuthRoutes

if TYPE_CHECKING:
    from ..events import Event
else:
    Event = tuple  # as all of them are: for tools that read annotations at run time

MAX_LEEWAY: Final = 60.0
_MAX_DOMAINS: Final = 8  # of a site: each is a few lines of a response that ends its session
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class AmplifyConfig:
    """Everything the middlewares and verbs need to know.

    One pool is written with `user_pool_id`, `client_id` and the other fields of `UserPool`; several
    with `pools=[UserPool(...), ...]`.

    `cookie`: the `CookiePolicy`. `session`: what the cookie means; a list of kinds is tried in
    order (see `amplify_mw.sessions.several`).
    `leeway`: seconds that this machine's clock may differ from the pool's (default 5, at most 60).
    A token counts from so long before its `iat` until so long after its `exp`. Beyond that no
    session ends, but there are 503s (`token_not_yet_valid`, `token_expired`), and the log says so.
    `protect`, `public`, `ignore`: paths such as `/account` or `/api/*` (which covers `/api` too)
    that need a user, that need none after all, and that are not even looked at.
    `mount`: what the app's public address begins with, such as `/prod`, where the server does not
    say so (`SCRIPT_NAME`, `root_path`): a stage of API Gateway, a prefix that a proxy takes off, a
    framework's own `root_path`. A list if there are several, the usual one first. It is put in
    front of `login_url` and of the paths of `routes`: all paths here are below it.
    `login_url`: where a browser that opens a protected page is sent, with `?next=`: a path (below
    the `mount`, if there is one), or an https address.
    `origins`: the site's own origins, such as `https://app.example.com`, and those of its apps, as
    their web views write them (`capacitor://localhost`); a WebSocket handshake
    with a session cookie from any other is refused, unless the browser vouches for it
    (`Sec-Fetch-Site: same-origin`). `start_session` and the verbs that end sessions believe them,
    too, and name them where a browser does not vouch (old ones; any over plain http).
    `http://` on another machine is for a site that is there itself, `CookiePolicy(secure=False)`.
    `routes`: an `AuthRoutes(origin=...)` serves the routes of hosted sign-in; it needs the pool's
    `domain`. Its `sign-in` is then the `login_url`, unless another is given.
    `csrf`: "origin" (the default) refuses requests with a signed-in user and an unsafe method that
    another origin's page has made, as browsers tell; None leaves that to the app. `csrf_exempt`:
    paths, as in `protect`, where it is not looked at. `origins` and the routes' own are believed.
    `preflight`: "answer" (the default): a CORS preflight of a protected path is answered with 204
    and no permission, and the app does not see it. "app": it goes to the app. Write that only
    where a CORS layer inside answers every preflight: a view that takes any method would run for
    somebody who is not signed in. With a signed-in user it goes to the app in any case.
    `cache_control`: the `Cache-Control` of signed-in answers that have none of their own. None (the
    default): "no-store" behind `protect` and `require_auth`, so that a browser's Back button asks
    again after a sign-out, and "private" elsewhere; or one of these two for all of them.
    `attributes_ttl`: seconds for which a user's attributes are kept (default 60, 0 turns it off).
    `http_timeout`: seconds in which Cognito must have answered, in all (default 5).
    `proxy`: the HTTP proxy that Cognito is asked through, such as `http://proxy:3128`; or
    "environment": the one in `HTTPS_PROXY`, but for the hosts in `NO_PROXY`. By default none. What
    is on this very machine is asked without.
    `on_event`: a function that is called with each event (see `amplify_mw.events`), at once, on the
    thread on which it happens: a request's, the event loop's or one of the library's own. It has to
    be quick, and may be called by several threads at a time. It cannot be async. An exception that
    it raises is logged.
    `cache_entries`, `cache_bytes`: the bounds of each cache (default 10,000 and 32 MiB).

    >>> AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web").user_pools[0].iss
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """

    user_pool_id: str | None = None
    client_id: str | Sequence[str] | None = MISSING
    endpoint_url: str | None = None
    issuer: str | None = None
    keys: Mapping[str, Any] | str | os.PathLike[str] | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    domain: str | None = None
    refresh_api: RefreshApi = _REFRESH_API
    allow_insecure_http: bool = False
    pools: Sequence[UserPool] = ()
    user_pools: tuple[UserPool, ...] = field(init=False)
    cookie: CookiePolicy = field(default_factory=CookiePolicy)
    session: SessionKind | Sequence[SessionKind] = field(default_factory=TokenSession)
    kind: SessionKind = field(init=False)  # what `session` comes to
    leeway: float = 5.0
    protect: Sequence[str] = ()
    public: Sequence[str] = ()
    ignore: Sequence[str] = ()
    mount: str | Sequence[str] = ()
    login_url: str | None = None
    routes: AuthRoutes | None = None
    csrf: Literal["origin"] | None = "origin"
    csrf_exempt: Sequence[str] = ()
    origins: Sequence[str] = ()
    preflight: Literal["answer", "app"] = "answer"
    cache_control: Literal["no-store", "private"] | None = None
    attributes_ttl: float = 60.0
    http_timeout: float = 5.0
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    on_event: Callable[[Event], object] | None = None
    cache_entries: int = 10_000
    cache_bytes: int = 32 * MEBIBYTE

    def __post_init__(self) -> None:
        check_number("leeway", self.leeway, 0, MAX_LEEWAY)
        check_number("attributes_ttl", self.attributes_ttl, 0, 24 * 3600)
        check_number("http_timeout", self.http_timeout, 0.1, 60)
        check_number("cache_entries", self.cache_entries, 1, 10**9)
        check_number("cache_bytes", self.cache_bytes, 1, 10**12)
        if not isinstance(self.cookie, CookiePolicy):
            raise ConfigurationError("cookie: write a CookiePolicy(...)")
        user_pools = self._user_pools(_pools(self.pools))
        insecure = any(pool.allow_insecure_http for pool in user_pools)
        in_the_clear = insecure or _is_in_the_clear(self.cookie, self.session)
        set_fields(
            self,
            **_session(self.session),
            user_pools=user_pools,
            pools=_pools(self.pools),
            client_id=self.client_id if self.client_id is MISSING else _client_id(self.client_id),
            keys=check_keys(self.keys),
            domain=_domain(self.domain, insecure=insecure),
            protect=check_paths("protect", self.protect),
            public=check_paths("public", self.public),
            ignore=check_paths("ignore", self.ignore),
            csrf_exempt=check_paths("csrf_exempt", self.csrf_exempt),
            mount=parse_mounts(self.mount),
            origins=tuple(
                check_page_origin(origin, insecure=in_the_clear)
                for origin in check_strings("origins", self.origins)
            ),
        )
        if self.public and not self.protect:
            raise ConfigurationError(
                "public: it exempts paths from protect, which is empty; write protect=['/*'] too, "
                "or leave public out"
            )
        check_proxy(self.proxy)
        check_listener(self.on_event)
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
        cookies = self.kind.cookies(self.cookie, self.clients)
        if self.routes is not None:
            self._check_routes(self.routes, insecure=insecure)
            if self.login_url is None:
                set_fields(self, login_url=f"{self.routes.prefix}/sign-in")
        if self.login_url is not None:
            check_login_url(self.login_url, insecure=insecure)
        for mount in self.mount:
            self._check_below(mount)
        if self.routes is not None:
            for mount in self.mount or ("",):
                placed = self.routes.at(mount)
                placed.check_listed()
                _check_scopes(cookies.scopes, placed, mount)

    def _check_below(self, mount: str) -> None:
        """Raise `ConfigurationError` for a path that begins with a mount."""
        paths: list[tuple[str, str | None]] = []
        if self.routes is not None:
            names = ("prefix", "after_sign_in", "after_sign_out", "on_error")
            paths += [(f"AuthRoutes.{name}", getattr(self.routes, name)) for name in names]
        paths.append(("login_url", self.login_url))
        for name in ("protect", "public", "ignore", "csrf_exempt"):
            paths += [(name, path) for path in getattr(self, name)]
        for name, path in paths:
            if path is not None and mount and is_below(path.partition("?")[0], mount):
                raise ConfigurationError(
                    f"{name}: {path!r} begins with the mount {mount!r}, below which all paths are "
                    f"written; write {path.removeprefix(mount) or '/'!r}"
                )

    def _check_routes(self, routes: AuthRoutes, *, insecure: bool) -> None:
        if not isinstance(routes, AuthRoutes):
            raise ConfigurationError("routes: write AuthRoutes(origin='https://app.example.com')")
        _check_site(routes, insecure=insecure)
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

    @property
    def route_keys(self) -> tuple[bytes, ...]:
        """What seals attempts to sign in: the routes' own keys, or else a sealed session's."""
        kinds = self.session if isinstance(self.session, tuple) else (self.session,)
        own = () if self.routes is None else self.routes.keys
        found = [own, *(getattr(kind, "keys", ()) for kind in kinds)]
        return tuple(next(filter(None, found), ()))

    @property
    def known_origins(self) -> frozenset[str]:
        """The site's own origins."""
        routes = self.routes
        own = (
            ()
            if routes is None
            else (check_origin("AuthRoutes.origin", routes.origin, insecure=True),)
        )
        return frozenset((*self.origins, *own))

    @property
    def is_insecure(self) -> bool:
        """Whether the site itself is said to be on plain http, where browsers trust it with less.

        They do trust one of this very machine.
        """
        found = [urlsplit(origin) for origin in self.known_origins]
        return any(one.scheme == "http" and not is_loopback(one.hostname or "") for one in found)

    @property
    def has_own_login(self) -> bool:
        """Whether the login page is the routes' own."""
        return self.routes is not None and self.login_url == f"{self.routes.prefix}/sign-in"

    @property
    def cookie_domains(self) -> tuple[str, ...]:
        """The domains whose cookies browsers may send to this site, as far as it is told its name.

        No header of a request has a say in that. Browsers pass over domains that are not theirs.
        """
        routes = () if self.routes is None else (self.routes.origin,)
        hosts = [urlsplit(origin).hostname or "" for origin in (*routes, *self.origins)]
        hosts.insert(0, self.cookie.domain or "")
        found = dict.fromkeys(domain for host in hosts for domain in domains_above(host))
        return tuple(found)[:_MAX_DOMAINS]

    def _user_pools(self, pools: tuple[UserPool, ...]) -> tuple[UserPool, ...]:
        single = {field.name: getattr(self, field.name) for field in fields(UserPool) if field.init}
        if pools:
            if any(getattr(type(self), name, None) != value for name, value in single.items()):
                raise ConfigurationError(
                    "pools: write either pools=[UserPool(...), ...] or user_pool_id=... and "
                    "client_id=..., not both"
                )
            if len({pool.iss for pool in pools}) != len(pools):
                raise ConfigurationError(
                    "pools: one issuer occurs twice; write its client ids as one "
                    "UserPool(client_id=[...])"
                )
            return pools
        if self.user_pool_id is None:
            raise ConfigurationError(
                "user_pool_id is missing: write AmplifyConfig(user_pool_id='eu-west-1_Ab12Cd34E', "
                "client_id='...') or AmplifyConfig.from_outputs('amplify_outputs.json')"
            )
        return (UserPool(**single),)

    def __deepcopy__(self, memo: dict[int, Any]) -> "AmplifyConfig":
        """Itself: it is frozen, and a copied listener would hear of what the first is to hear."""
        return self

    def replace(self, **changes: Any) -> "AmplifyConfig":
        """The same configuration with some fields changed, checked again."""
        known = [field.name for field in fields(self) if field.init]
        for name in changes.keys() - known:
            raise ConfigurationError(_unknown_field(name, known))
        if self.has_own_login:
            changes = {"login_url": None, **changes}  # it goes with the routes
        return replace(self, **changes)

    @property
    def pools_by_issuer(self) -> dict[str, UserPool]:
        """The pool of each issuer that counts. One that a pool was given is no other's."""
        found = {pool.iss: pool for pool in self.user_pools}
        for pool in self.user_pools:
            for issuer in pool.issuers:
                found.setdefault(issuer, pool)
        return found

    @property
    def clients(self) -> tuple[str, ...] | None:
        """The app clients whose tokens count, in their order; None: any."""
        if any(pool.client_ids is None for pool in self.user_pools):
            return None
        return tuple(dict.fromkeys(c for pool in self.user_pools for c in pool.client_id or ()))

    @classmethod
    def from_outputs(
        cls, source: str | os.PathLike[str] | Mapping[str, Any], **options: Any
    ) -> "AmplifyConfig":
        """The configuration in `amplify_outputs.json`, or Gen 1's `amplifyconfiguration.json`.

        `source`: the file's path, or its parsed content. `options`: any field, which wins over
        the file. Raises `ConfigurationError` when the file names no user pool.
        """
        from .files import from_outputs

        return from_outputs(cls, source, options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> "AmplifyConfig":
        """The configuration in environment variables; see `amplify_mw.config.files.VARIABLES`."""
        from .files import from_env

        return from_env(cls, environ, options)


def _unknown_field(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only those who mistype pay

    nearest = get_close_matches(name, known, n=1, cutoff=0)
    return f"AmplifyConfig has no field {name!r}; write {nearest[0]!r}, if that is what was meant"


def _is_in_the_clear(cookie: CookiePolicy, session: object) -> bool:
    """Whether the session's cookies are for a site over plain http."""
    kinds = session if isinstance(session, list | tuple) else (session,)
    own = [kind.secure for kind in kinds if hasattr(kind, "secure")]  # `AmplifyCookies`
    return not (cookie.secure and all(own))


def _check_site(routes: AuthRoutes, *, insecure: bool) -> None:
    """Refuse a site that would sign in over plain http, and one on https with such a pool."""
    _, host, _ = split_origin(routes.origin)
    if is_loopback(host):
        return
    if not routes.is_secure and not insecure:
        raise ConfigurationError(
            f"AuthRoutes.origin: {routes.origin!r} would send codes and cookies in the clear; "
            "write an https:// origin, or http://localhost for development (tests in a compose "
            "file: allow_insecure_http=True)"
        )
    if routes.is_secure and insecure:
        raise ConfigurationError(
            "allow_insecure_http: it is for emulators, and AuthRoutes.origin "
            f"{routes.origin!r} is a site for people, whose tokens may not go over plain http; "
            "leave it out and write https:// addresses of the pool"
        )


def _session(session: SessionKind | Sequence[SessionKind]) -> dict[str, Any]:
    """The fields `session` and `kind`."""
    kinds = tuple(session) if isinstance(session, list | tuple) else (session,)
    for kind in kinds:
        if isinstance(kind, type) or not hasattr(kind, "bind"):
            raise ConfigurationError(
                "session: write StoredSession(store), SealedSession(keys=[...]), AmplifyCookies(), "
                f"TokenSession(), or a list of these; got {kind_of(kind)}"
            )
    if not kinds:
        raise ConfigurationError("session: the list is empty; write one kind, or leave it out")
    if len(kinds) == 1:
        return {"session": kinds[0], "kind": kinds[0]}
    from ..sessions.several import MAX_KINDS, Several

    if len(kinds) > MAX_KINDS:
        raise ConfigurationError(f"session: write at most {MAX_KINDS} kinds; got {len(kinds)}")
    return {"session": kinds, "kind": Several(kinds)}


def _pools(pools: object) -> tuple[UserPool, ...]:
    if isinstance(pools, Sequence) and all(isinstance(pool, UserPool) for pool in pools):
        return tuple(pools)
    raise ConfigurationError("pools: write a list of UserPool(...)")


def _check_scopes(
    scopes: frozenset[tuple[str | None, str]], routes: AuthRoutes, mount: str
) -> None:
    """Raise unless browsers keep these cookies of the sign-in routes, and send them there.

    `routes`: with whole paths, `mount` and all.
    """
    _, host, _ = split_origin(routes.origin.lower())
    for domain, path in scopes:
        if not is_covered(f"{routes.prefix}/", path):
            elsewhere = (
                f"path={mount!r}"
                if mount
                else f"AuthRoutes(prefix={path.rstrip('/') + routes.prefix!r})"
            )
            raise ConfigurationError(
                f"cookie: browsers do not send a cookie of the path {path!r} to the sign-in routes "
                f"at {routes.prefix!r}, so that nobody could sign out; write path='/' "
                f"(CookiePolicy and AmplifyCookies have it by default), or {elsewhere}"
            )
        if domain is not None and not f".{host}".endswith(f".{domain.lower()}"):
            raise ConfigurationError(
                f"cookie: browsers drop a cookie of the domain {domain!r} that {routes.origin!r} "
                f"sets; write domain={host!r}, one above it, or None"
            )
