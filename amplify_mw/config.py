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

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from .cookie_policy import (
    CookiePolicy,
    app_origin,
    domains_above,
    is_covered,
    is_host,
    is_loopback,
    split_origin,
)
from .errors import ConfigurationError, check_number, kind_of
from .mounts import is_below, parse_mounts
from .routes.options import AuthRoutes
from .sessions.base import SessionKind
from .sessions.token import TokenSession

_POOL_ID = re.compile(r"([a-z]{2,4}(?:-[a-z]+)+-[0-9])_[0-9A-Za-z]+")
_PATTERN = re.compile(r"(?!.*//)/[^*?%\\\x00-\x1F]*(?:(?<=/)\*)?")  # a path, or all below one
_PARTITIONS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_NO_PATH = re.compile(r"\s*(?:https?://|[{\[])", re.IGNORECASE)  # an address, or JSON text
_ISSUER = re.compile(r"https?://[!-~]{1,1000}")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
RefreshApi = Literal["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]
_REFRESH_API: Final = "GetTokensFromRefreshToken"
MAX_LEEWAY: Final = 60.0
_MOST_DOMAINS: Final = 8  # of a site: each is a few lines of a response that ends its session
MEBIBYTE: Final = 1024 * 1024


class _Missing(Enum):
    """What was not given. A member of an Enum stays itself when it is copied or pickled."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "<required>"


_MISSING: Final[Any] = _Missing.MISSING


@dataclass(frozen=True, kw_only=True)
class UserPool:
    """One Amazon Cognito user pool, and which of its app clients' tokens count.

    `user_pool_id`: such as `eu-west-1_Ab12Cd34E`; its first part is the region. Users are known by
    it and their `sub`, whichever issuer their tokens name.
    `client_id`: an app client id, several, or None for any client of the pool.
    `endpoint_url`: where the pool's API is, if not at Amazon (an emulator).
    `issuer`: the `iss` of its tokens, if not Amazon's. Beside `endpoint_url` or `keys` it is only
    compared, and may be any http or https text; else the key set is fetched below it. Of Amazon's
    both count for a pool, ORIGINAL and UPDATED (`IssuerConfiguration`), so that it may switch.
    `keys`: a key set (JWKS) that is never fetched: a mapping, or the path of a JSON file.
    `client_secret`: of the app client, if it has one; it belongs to one client.
    `domain`: where the pool's hosted sign-in is: `auth.example.com`, or
    `myapp.auth.eu-west-1.amazoncognito.com`.
    `refresh_api`: how tokens are refreshed: `GetTokensFromRefreshToken` (the default, which knows
    refresh token rotation), `InitiateAuth` (`REFRESH_TOKEN_AUTH`), or `oauth`: the token endpoint
    of the `domain`. Never does one stand in for another.
    `allow_insecure_http`: tokens and codes may go over plain http to other machines, such as
    `http://cognito:9229` in a compose file. For emulators; refused for a site on https.
    """

    user_pool_id: str
    client_id: str | Sequence[str] | None = _MISSING
    endpoint_url: str | None = None
    issuer: str | None = None
    keys: Mapping[str, Any] | str | os.PathLike[str] | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    domain: str | None = None
    refresh_api: RefreshApi = _REFRESH_API
    allow_insecure_http: bool = False
    iss: str = field(init=False)  # the exact issuer of its tokens, as it is configured
    issuers: tuple[str, ...] = field(init=False)  # all that may issue them, that one first
    client_ids: frozenset[str] | None = field(init=False)  # None: any
    api_url: str = field(init=False)
    keys_url: str = field(init=False)
    token_url: str | None = field(init=False)  # at the domain (RFC 6749 3.2)
    revoke_url: str | None = field(init=False)  # at the domain (RFC 7009 2)

    def __post_init__(self) -> None:
        match = (
            _POOL_ID.fullmatch(self.user_pool_id) if isinstance(self.user_pool_id, str) else None
        )
        if match is None and (self.issuer is None or self.endpoint_url is None):
            raise ConfigurationError(
                f"user_pool_id: write the pool's id, such as 'eu-west-1_Ab12Cd34E'; got "
                f"{self.user_pool_id!r} (other forms need both endpoint_url and issuer)"
            )
        region = match[1] if match else ""
        suffix = _PARTITIONS.get(region.partition("-")[0], "amazonaws.com")
        amazon = f"https://cognito-idp.{region}.{suffix}"
        original = f"{amazon}/{self.user_pool_id}"
        updated = f"https://issuer-cognito-idp.{region}.{suffix}/{self.user_pool_id}"
        insecure = _flag("allow_insecure_http", self.allow_insecure_http)
        endpoint = _address(
            "endpoint_url", _given(self.endpoint_url, amazon), insecure=insecure
        ).rstrip("/")
        issuer = _given(self.issuer, original)
        if self.endpoint_url is None and self.keys is None:  # the keys are below it
            _address("issuer", issuer, insecure=insecure)
        _check_issuer(issuer)
        others = (original, updated) if match and issuer in (original, updated) else ()
        client_id = _client_id(self.client_id)
        domain = _domain(self.domain, insecure=insecure)
        _check_client_secret(self.client_secret, client_id)
        _check_refresh_api(self.refresh_api, domain)
        _set(
            self,
            iss=issuer,
            issuers=tuple(dict.fromkeys((issuer, *others))),
            client_id=client_id,
            client_ids=None if client_id is None else frozenset(client_id),
            api_url=f"{endpoint}/",
            keys_url=_keys_url(issuer, self.endpoint_url and f"{endpoint}/{self.user_pool_id}"),
            keys=_keys(self.keys),
            domain=domain,
            token_url=domain and f"{domain}/oauth2/token",
            revoke_url=domain and f"{domain}/oauth2/revoke",
        )

    @property
    def insecure_addresses(self) -> tuple[str, ...]:
        """The origins on other machines that are asked over plain http."""
        asked = [self.api_url, "" if self.keys else self.keys_url, self.domain or ""]
        parts = [urlsplit(url) for url in asked if _is_insecure(url)]
        return tuple(dict.fromkeys(f"http://{part.netloc}" for part in parts))

    def keys_url_of(self, issuer: str) -> str:
        """Where the key set of one of its issuers is."""
        return self.keys_url if self.endpoint_url is not None else _keys_url(issuer)


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
    `cache_entries`, `cache_bytes`: the bounds of each cache (default 10,000 and 32 MiB).

    >>> AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web").user_pools[0].iss
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """

    user_pool_id: str | None = None
    client_id: str | Sequence[str] | None = _MISSING
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
        _set(
            self,
            **_session(self.session),
            user_pools=user_pools,
            pools=_pools(self.pools),
            client_id=self.client_id if self.client_id is _MISSING else _client_id(self.client_id),
            keys=_keys(self.keys),
            domain=_domain(self.domain, insecure=insecure),
            protect=_paths("protect", self.protect),
            public=_paths("public", self.public),
            ignore=_paths("ignore", self.ignore),
            csrf_exempt=_paths("csrf_exempt", self.csrf_exempt),
            mount=parse_mounts(self.mount),
            origins=tuple(
                _page_origin(origin, insecure=in_the_clear)
                for origin in _strings("origins", self.origins)
            ),
        )
        if self.public and not self.protect:
            raise ConfigurationError(
                "public: it exempts paths from protect, which is empty; write protect=['/*'] too, "
                "or leave public out"
            )
        _check_proxy(self.proxy)
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
                _set(self, login_url=f"{self.routes.prefix}/sign-in")
        if self.login_url is not None:
            _check_login_url(self.login_url, insecure=insecure)
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
            () if routes is None else (_origin("AuthRoutes.origin", routes.origin, insecure=True),)
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
        return tuple(found)[:_MOST_DOMAINS]

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
        from .loading import from_outputs

        return from_outputs(source, **options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> "AmplifyConfig":
        """The configuration in environment variables; see `amplify_mw.loading.VARIABLES`."""
        from .loading import from_env

        return from_env(environ, **options)


def _unknown_field(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only those who mistype pay

    nearest = get_close_matches(name, known, n=1, cutoff=0)
    return f"AmplifyConfig has no field {name!r}; write {nearest[0]!r}, if that is what was meant"


def _set(target: object, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(target, name, value)


def _keys_url(issuer: str, home: str | None = None) -> str:
    return f"{(home or issuer).rstrip('/')}/.well-known/jwks.json"


def _given(url: str | None, default: str) -> str:
    return default if url is None else url


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: write True or False; got {value!r}")
    return value


_ELSEWHERE: Final = "http:// only for localhost, or for an emulator with allow_insecure_http=True"


def _address(name: str, url: Any, *, insecure: bool) -> str:
    """An address that may be trusted to be the one that is meant. `insecure`: http will do."""
    # urlsplit passes over some of what is not printable
    is_clean = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url if is_clean else "")
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: write an address; got {url!r}") from error
    host = parts.hostname or ""
    is_http = parts.scheme == "http" and (insecure or is_loopback(host))
    if is_http:  # compose files name their services so, and no certificate can
        host = host.replace("_", "-")
    is_bare = not parts.query and not parts.fragment and "@" not in parts.netloc
    if not ((is_http or parts.scheme == "https") and is_bare and is_host(host)):
        raise ConfigurationError(
            f"{name}: write an https:// address ({_ELSEWHERE}), without user, query or fragment; "
            f"got {url!r}"
        )
    return str(url)


def _is_in_the_clear(cookie: CookiePolicy, session: object) -> bool:
    """Whether the session's cookies are for a site over plain http."""
    kinds = session if isinstance(session, list | tuple) else (session,)
    own = [kind.secure for kind in kinds if hasattr(kind, "secure")]  # `AmplifyCookies`
    return not (cookie.secure and all(own))


def _is_insecure(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _check_proxy(proxy: object) -> None:
    if proxy is None or proxy == "environment":
        return
    from .proxy import parse_proxy  # for those who have one

    try:
        parse_proxy(proxy)
    except ConfigurationError as error:
        raise ConfigurationError(f"proxy: {error}; or write 'environment'") from None


def _check_issuer(issuer: object) -> None:
    if not isinstance(issuer, str) or not _ISSUER.fullmatch(issuer):
        raise ConfigurationError(
            "issuer: write the `iss` of the pool's tokens, which begins with https:// or http://; "
            f"got {issuer!r}"
        )


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


def _client_id(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value is _MISSING:
        raise ConfigurationError(
            "client_id is missing: write the app client's id, several as a list, or "
            "client_id=None to accept the tokens of any client of the pool"
        )
    try:
        clients = _strings("client_id", [value] if isinstance(value, str) else value)
    except ConfigurationError:
        clients = ()
    if not clients:
        raise ConfigurationError(
            "client_id: write the app client's id, several as a list, or None for any client of "
            f"the pool; got {value!r}"
        )
    return clients


def _check_client_secret(secret: object, client_id: tuple[str, ...] | None) -> None:
    if secret is None:
        return
    is_text = isinstance(secret, str) and secret.isascii() and secret.isprintable()
    if not is_text or not secret or " " in str(secret):
        raise ConfigurationError(
            "client_secret: write the app client's secret as Cognito shows it, or leave it out for "
            "a client without one"
        )
    if client_id is None or len(client_id) != 1:
        raise ConfigurationError(
            "client_secret: a secret belongs to one app client; write client_id='...' with that "
            "one alone"
        )


def _domain(domain: object, *, insecure: bool) -> str | None:
    """The hosted sign-in's origin."""
    if domain is None:
        return None
    is_bare = isinstance(domain, str) and "://" not in domain
    url = _address("domain", f"https://{domain}" if is_bare else domain, insecure=insecure)
    return _origin("domain", url, insecure=insecure)


def _check_refresh_api(api: object, domain: str | None) -> None:
    known = get_args(RefreshApi)
    if api not in known:
        raise ConfigurationError(f"refresh_api: write one of {', '.join(known)}; got {api!r}")
    if api == "oauth" and domain is None:
        raise ConfigurationError(
            "refresh_api: 'oauth' asks the token endpoint of the pool's domain; write "
            "domain='auth.example.com' too"
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
    from .sessions.several import MOST_KINDS, Several

    if len(kinds) > MOST_KINDS:
        raise ConfigurationError(f"session: write at most {MOST_KINDS} kinds; got {len(kinds)}")
    return {"session": kinds, "kind": Several(kinds)}


def _strings(name: str, values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence | frozenset | set):
        raise ConfigurationError(f"{name}: write a list of strings; got {values!r}")
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"{name}: write a list of strings that are not empty")
    return tuple(values if isinstance(values, Sequence) else sorted(values))


def _pools(pools: object) -> tuple[UserPool, ...]:
    if isinstance(pools, Sequence) and all(isinstance(pool, UserPool) for pool in pools):
        return tuple(pools)
    raise ConfigurationError("pools: write a list of UserPool(...)")


def _keys(keys: object) -> str | os.PathLike[str] | None:
    """Preloaded keys in a form that can be compared: JSON text, or the path of a file."""
    if isinstance(keys, str) and not isinstance(keys, KeyText) and _NO_PATH.match(keys):
        raise ConfigurationError(
            "keys: write a file's path or a mapping; key sets at an address are fetched without "
            "being told"
        )
    if keys is None or isinstance(keys, os.PathLike | str):
        return keys
    if isinstance(keys, Mapping):
        try:
            return KeyText(json.dumps(dict(keys), sort_keys=True))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError("keys: this mapping is no JSON; write a key set") from error
    raise ConfigurationError("keys: write a key set (a mapping) or the path of its JSON file")


class KeyText(str):
    """A key set as JSON text, as opposed to the path of one."""

    __slots__ = ()


def _paths(name: str, patterns: object) -> tuple[str, ...]:
    patterns = _strings(name, patterns)
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern) or {".", ".."} & set(pattern.split("/")):
            raise ConfigurationError(
                f"{name}: write decoded paths such as '/account' or '/api/*' ('*' only as the last "
                f"segment; no '?', '%', backslash or dot segment); got {pattern!r}"
            )
    return patterns


def _page_origin(origin: str, *, insecure: bool) -> str:
    """One of the `origins`. `insecure`: the site itself is over plain http."""
    try:
        apps = app_origin(origin)
    except ConfigurationError as error:
        raise ConfigurationError(f"origins: {error}") from None
    return _origin("origins", origin, insecure=insecure) if apps is None else apps


def _origin(name: str, origin: str, *, insecure: bool) -> str:
    """An origin as browsers write it (RFC 6454 6.2)."""
    try:
        scheme, host, port = split_origin(origin.lower())
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if scheme == "http" and not (insecure or is_loopback(host)):
        raise ConfigurationError(
            f"{name}: write an https:// origin (http:// only for localhost, or where the site "
            f"itself is over plain http: CookiePolicy(secure=False)); got {origin!r}"
        )
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}"


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


def _check_login_url(url: object, *, insecure: bool) -> None:
    is_clean = isinstance(url, str) and re.fullmatch(r'[!"$-~]+', url)  # printable, without '#'
    if is_clean and re.match(r"/(?![/\\])", str(url)):
        return
    try:  # a sign-in page elsewhere may need its query (`?client_id=...`)
        _address("login_url", str(url).partition("?")[0] if is_clean else "", insecure=insecure)
    except ConfigurationError:
        raise ConfigurationError(
            f"login_url: write a path such as '/login', or an https:// address ({_ELSEWHERE}), "
            f"without user and '#'; got {url!r}"
        ) from None
