"""Checks of the session's cookies against the site: its origins, its mounts, its forms.

Rules:
- A browser drops, or does not send, a cookie that does not fit its page, and says so to nobody.
  The configuration refuses part of that; the rest is told here.
- `AmplifyCookies` have attributes of their own. Their names are Amplify's, so no prefix is asked of
  them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ...config.config import AmplifyConfig
from ...models.check import Check
from ...sessions.amplify.sessions import AmplifyCookies
from ...web.cookie_policy import is_covered
from ...web.origins import is_loopback
from ...web.requests import HOP_COOKIE
from .subject import Probe, Subject, origin_of

_OTHERS: Final = {
    "session": "Flask's and Starlette's sessions",
    "sessionid": "Django's sessions",
    "csrftoken": "Django's CSRF protection",
    "csrf_token": "several frameworks' CSRF protection",
    "remember_token": "Flask-Login",
    "AWSALB": "Amazon's load balancers",
    "AWSALBCORS": "Amazon's load balancers",
    "AWSELBAuthSessionCookie": "Amazon's load balancers",
}
_OURS: Final = ("amplify-auth", "amplify-ask-again", "amplify-tried", HOP_COOKIE)
_AMPLIFYS: Final = "CognitoIdentityServiceProvider"


class Site(NamedTuple):
    """One of the site's origins."""

    origin: str
    scheme: str
    host: str

    @property
    def is_https(self) -> bool:
        """Whether its pages come over https."""
        return self.scheme == "https"

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, for development."""
        return is_loopback(self.host)


class Jar(NamedTuple):
    """Cookies of the session, with the attributes they are set with. `option`: their class."""

    option: str
    name: str | None
    secure: bool
    domain: str | None
    path: str
    same_site: str
    partitioned: bool


def sites_of(config: AmplifyConfig) -> list[Site]:
    """The site's origins on the web, in order; those of apps (`capacitor://`) are left out."""
    found = []
    for origin in sorted(config.known_origins):
        parts = urlsplit(origin)
        if parts.scheme in ("http", "https"):
            found.append(Site(origin, parts.scheme, parts.hostname or ""))
    return found


def jars_of(config: AmplifyConfig) -> list[Jar]:
    """The cookies of the configured session kinds."""
    kinds = kinds_of(config)
    found = []
    if any(not isinstance(kind, AmplifyCookies) for kind in kinds):
        own = config.cookie
        attributes = own.secure, own.domain, own.path, own.same_site, own.partitioned
        found.append(Jar("CookiePolicy", own.name, *attributes))
    for kind in kinds:
        if isinstance(kind, AmplifyCookies):
            same_site = kind.same_site or ("Strict" if kind.http_only else "Lax")
            attributes = kind.secure, kind.domain, kind.path, same_site, False
            found.append(Jar("AmplifyCookies", None, *attributes))
    return found


def kinds_of(config: AmplifyConfig) -> tuple[Any, ...]:
    """The session kinds, in the order in which they are tried."""
    session = config.session
    return tuple(session) if isinstance(session, list | tuple) else (session,)


def cookie_secure(subject: Subject) -> Iterator[Check]:
    """`Secure` against the schemes of the origins."""
    sites = sites_of(subject.config)
    for jar in jars_of(subject.config):
        yield _secure(jar, sites)


def _secure(jar: Jar, sites: list[Site]) -> Check:
    plain = [site for site in sites if not site.is_https]
    away = [site.origin for site in plain if not site.is_here]
    if jar.secure:
        return _with_secure(jar, plain, away)
    public = [site.origin for site in sites if site.is_https and not site.is_here]
    return _without_secure(jar, plain, away, public)


def _with_secure(jar: Jar, plain: list[Site], away: list[str]) -> Check:
    name = "cookie_secure"
    if away:
        return Check(
            name,
            "wrong",
            f"browsers keep no Secure cookie of {', '.join(away)}",
            "https, or a cookie without Secure",
            f"serve the site over https, or write {jar.option}(secure=False) for it",
        )
    if plain:
        return Check(
            name,
            "warning",
            f"a Secure cookie at {plain[0].origin}, which Safari does not keep",
            "a cookie without Secure in development",
            f"write {_for_plain(jar, plain[0])} there",
        )
    return Check(name, "ok", "Secure")


def _without_secure(jar: Jar, plain: list[Site], away: list[str], public: list[str]) -> Check:
    name = "cookie_secure"
    if public:
        return Check(
            name,
            "wrong",
            f"no Secure, though {public[0]} is on https: a request over plain http shows the "
            "session to the network",
            "Secure",
            "write cookie=CookiePolicy.host_prefixed()"
            if jar.name is not None
            else "write AmplifyCookies(secure=True), and the same at the front end",
        )
    if away:
        return Check(
            name,
            "warning",
            f"no Secure, since {away[0]} is on plain http: the network sees the session",
            "https",
            "serve the site over https, and write cookie=CookiePolicy.host_prefixed()",
        )
    if not plain:
        return Check(
            name,
            "warning",
            "no Secure, and the site's origin is not known",
            "Secure, except in development",
            f"write {jar.option}(secure=True), or the origin, origins=['http://localhost:8000']",
        )
    return Check(name, "ok", f"no Secure, at {plain[0].origin}")


def _for_plain(jar: Jar, site: Site) -> str:
    if jar.name is None:
        return "AmplifyCookies(secure=False)"
    return f"cookie=CookiePolicy.for_origin({site.origin!r})"


def cookie_prefix(subject: Subject) -> Iterator[Check]:
    """`__Host-`, which no sibling subdomain can plant."""
    if not any(site.is_https and not site.is_here for site in sites_of(subject.config)):
        return
    for jar in jars_of(subject.config):
        if jar.name is None:
            continue
        if jar.name.lower().startswith("__host-"):
            yield Check("cookie_prefix", "ok", jar.name)
            continue
        yield Check(
            "cookie_prefix",
            "warning",
            f"{jar.name}: a sibling subdomain can plant a cookie of this name",
            "__Host-" + jar.name.removeprefix("__Secure-"),
            "write cookie=CookiePolicy.host_prefixed(): everybody signs in once more"
            + (", and no subdomain gets the cookie" if jar.domain is not None else ""),
        )


def cookie_name(subject: Subject) -> Iterator[Check]:
    """The cookie's name against those of others."""
    for jar in jars_of(subject.config):
        if jar.name is None:
            continue
        bare = jar.name.removeprefix("__Host-").removeprefix("__Secure-")
        if bare.startswith(_AMPLIFYS):
            whose, outcome = "Amplify JS's cookies", "wrong"
        elif bare in _OURS or bare.startswith("amplify-auth."):
            whose, outcome = "a cookie of the sign-in routes", "wrong"
        else:
            whose, outcome = _OTHERS.get(jar.name, ""), "warning"
        if not whose:
            yield Check("cookie_name", "ok", jar.name)
            continue
        yield Check(
            "cookie_name",
            "wrong" if outcome == "wrong" else "warning",
            f"{jar.name}: the name of {whose}; two cookies of one name end each other",
            "a name of its own",
            "write CookiePolicy(name='amplify-session'), or host_prefixed()",
        )


def cookie_domain(subject: Subject) -> Iterator[Check]:
    """The cookie's domain against the origins."""
    sites = sites_of(subject.config)
    for jar in jars_of(subject.config):
        if jar.domain is None:
            yield Check("cookie_domain", "ok", "none: the cookie is the host's own")
            continue
        yield _domain(jar, jar.domain.lower(), sites)


def _domain(jar: Jar, domain: str, sites: list[Site]) -> Check:
    name, mend = "cookie_domain", f"write {jar.option}(domain=None)"
    outside = [site.origin for site in sites if not f".{site.host}".endswith(f".{domain}")]
    if outside:
        return Check(
            name,
            "wrong",
            f"{domain}: browsers drop such a cookie of {', '.join(outside)}",
            "a domain of all origins, or none",
            f"{mend}, or leave these origins out if the app is not served there",
        )
    if len({site.host for site in sites}) == 1 and jar.name is not None:
        return Check(
            name,
            "warning",
            f"{domain}: each of its subdomains gets the session, and only {sites[0].host} is known",
            "none",
            f"{mend}, and another name (a browser keeps the old cookie beside the new one); or add "
            "the other hosts to origins=[...]",
        )
    return Check(name, "ok", f"{domain}, which all its subdomains get")


def cookie_path(subject: Subject) -> Iterator[Check]:
    """The cookie's path against the mounts, and against the guarded paths."""
    config = subject.config
    mounts = config.mount or ("",)
    for jar in jars_of(config):
        left_out = [mount for mount in mounts if not is_covered(f"{mount}/", jar.path)]
        unseen = [
            mount + pattern
            for mount in mounts
            if mount not in left_out
            for pattern in config.protect
            if not is_covered(mount + pattern.removesuffix("*"), jar.path)
        ]
        if not any(left_out) and not config.mount:  # "" only says that `path` is below the root
            unseen = [p for p in config.protect if not is_covered(p.removesuffix("*"), jar.path)]
            left_out = []
        if not left_out and not unseen:
            yield Check("cookie_path", "ok", jar.path)
            continue
        where = ", ".join(left_out or unseen)
        yield Check(
            "cookie_path",
            "wrong",
            f"{jar.path}: browsers do not send such a cookie to {where}",
            "a path above all of the app",
            f"write {jar.option}(path='/'), and another name (a browser keeps the old cookie "
            "beside the new one)",
        )


def cookie_same_site(subject: Subject) -> Iterator[Check]:
    """`SameSite` against the protection of forms."""
    config = subject.config
    for jar in jars_of(config):
        if jar.same_site != "None":
            yield Check("cookie_same_site", "ok", jar.same_site)
        elif config.csrf is None:
            yield Check(
                "cookie_same_site",
                "wrong",
                "None, with csrf=None: any site can send forms in your users' names, unless the "
                "app itself sees to that",
                "Strict or Lax, or csrf='origin'",
                "leave csrf=None out, and write the origins that may send forms, origins=[...]",
            )
        elif not jar.partitioned:
            yield Check(
                "cookie_same_site",
                "warning",
                "None: it is for pages in frames of other sites, where browsers drop it more and "
                "more",
                "Strict or Lax; or Partitioned in frames",
                f"write {jar.option}(same_site='Lax')"
                + (", or partitioned=True if it is for frames" if jar.name is not None else ""),
            )
        else:
            yield Check("cookie_same_site", "ok", "None, partitioned")


def origins(subject: Subject) -> Iterator[Check]:
    """The pages that are known to send forms here, against `origins`."""
    config = subject.config
    if config.csrf is None:
        yield Check("origins", "ok", "csrf=None: the app checks where forms come from")
        return
    found, missing = sorted(config.known_origins), []
    login = config.login_url or ""
    if not login.startswith("/") and login and origin_of(login) not in config.known_origins:
        missing.append(f"the sign-in page is at {origin_of(login)}, which may not send a form here")
    jars = jars_of(config)
    if not found and any(jar.same_site == "None" for jar in jars):
        missing.append("SameSite=None is for requests from other sites, and none may send one")
    if not found and any(jar.name is None and jar.domain is not None for jar in jars):
        missing.append(
            "a front end with Amplify JS on another subdomain sends requests, and its origin is "
            "not known"
        )
    if missing:
        yield Check(
            "origins",
            "warning",
            "; ".join(missing),
            "the origins of all pages that send forms or open WebSockets",
            "write origins=['https://app.example.com', ...]",
        )
    else:
        yield Check("origins", "ok", ", ".join(found) or "none but the page's own")


PROBES: Final[Sequence[Probe]] = (
    cookie_secure,
    cookie_prefix,
    cookie_name,
    cookie_domain,
    cookie_path,
    cookie_same_site,
    origins,
)
