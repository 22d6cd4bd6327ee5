"""Checks of the paths: patterns without effect, pages out of reach, and what stands in front.

Rules:
- A pattern is compared with patterns alone. What an app has at a path is not known here.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from ...config.config import AmplifyConfig
from ...models.check import Check
from ...sessions.amplify.sessions import AmplifyCookies
from ...web.paths import Paths
from .cookies import kinds_of, sites_of
from .subject import Probe, Subject

_PLACEHOLDER: Final = re.compile(r"\{[^/]*\}|<[^/]*>|/:[A-Za-z_]|/\[[A-Za-z_.]+\]|\^|\.\+|\$$")


def patterns(subject: Subject) -> Iterator[Check]:
    """Path patterns that match nothing, or have no effect."""
    config = subject.config
    found = [*_unmatched(config), *_hidden(config), *_without_effect(config)]
    if found:
        yield from found
    elif config.protect or config.ignore or config.csrf_exempt:
        count = sum(map(len, (config.protect, config.public, config.ignore, config.csrf_exempt)))
        yield Check("patterns", "ok", f"{count} of them, each with an effect of its own")


def _unmatched(config: AmplifyConfig) -> Iterator[Check]:
    for option in ("protect", "public", "ignore", "csrf_exempt"):
        for pattern in getattr(config, option):
            if _PLACEHOLDER.search(pattern):
                yield Check(
                    "patterns",
                    "wrong",
                    f"{option}: {pattern!r} is no path: a router's placeholders and regular "
                    "expressions are read as they stand",
                    "a path, or /path/*",
                    _as_path(option, pattern),
                )


def _as_path(option: str, pattern: str) -> str:
    """The mend of a router's pattern. It opens nothing that the pattern was not to open."""
    bare = pattern.removesuffix("$").replace("^", "")
    if not _PLACEHOLDER.search(bare):
        return f"write {bare!r}"
    above = _PLACEHOLDER.split(bare, maxsplit=1)[0].rpartition("/")[0] + "/*"
    if option == "protect":
        return f"write {above!r}"
    return "write each path" + ("" if above == "/*" else f"; or {above!r}, if you mean all of it")


def _hidden(config: AmplifyConfig) -> Iterator[Check]:
    for option in ("protect", "public", "csrf_exempt"):
        for pattern in getattr(config, option):
            by = _covering(pattern, config.ignore)
            if by is None:
                continue
            yield Check(
                "patterns",
                "wrong" if option == "protect" else "warning",
                f"{option}: {pattern!r} is never looked at, since ignore has {by!r}"
                + (": nobody has to be signed in there" if option == "protect" else ""),
                mend=f"take {by!r} out of ignore, or narrow it; or take {pattern!r} out of "
                f"{option}",
            )


def _without_effect(config: AmplifyConfig) -> Iterator[Check]:
    for pattern in config.protect:
        by = _covering(pattern, config.public)
        if by is not None:
            yield Check(
                "patterns",
                "wrong",
                f"protect: {pattern!r} is open to everybody, since public has {by!r}",
                mend=f"narrow {by!r}, or take one of them out",
            )
    for pattern in config.public:
        if not any(_covers(each, pattern) or _covers(pattern, each) for each in config.protect):
            yield Check(
                "patterns",
                "warning",
                f"public: {pattern!r} has no effect, since protect does not cover it",
                mend=f"correct it, or take {pattern!r} out of public",
            )
    if config.csrf is None and config.csrf_exempt:
        yield Check(
            "patterns",
            "warning",
            "csrf_exempt has no effect with csrf=None",
            mend="leave out one of the two",
        )


def _covering(pattern: str, others: Sequence[str]) -> str | None:
    return next((other for other in others if _covers(other, pattern)), None)


def _covers(pattern: str, other: str) -> bool:
    """Whether all paths of `other` are paths of `pattern`."""
    if not other.endswith("/*"):
        return Paths([pattern]).match(other)
    return pattern.endswith("/*") and Paths([pattern]).match(other.removesuffix("*"))


def login_url(subject: Subject) -> Iterator[Check]:
    """The sign-in page, and the pages after it, against the rules for paths."""
    config = subject.config
    if config.login_url is None:
        yield from _no_login(config)
        return
    found = list(_shut_out(config))
    yield from found or [Check("login_url", "ok", config.login_url)]


def _no_login(config: AmplifyConfig) -> Iterator[Check]:
    if any(isinstance(kind, AmplifyCookies) for kind in kinds_of(config)):
        return  # its front end signs people in
    if config.protect and not config.bearer and 401 not in config.pages:
        yield Check(
            "login_url",
            "warning",
            "none: a browser at a protected page gets a bare 401",
            "the page at which people sign in",
            "write login_url='/login', routes=AuthRoutes(...), or pages={401: page}; an API alone "
            "needs none",
        )


def _shut_out(config: AmplifyConfig) -> Iterator[Check]:
    """What keeps people from signing in, or goes round in circles."""
    ignored, login = Paths(config.ignore), _path(config.login_url)
    routes = [] if config.routes is None else list(config.routes.paths)
    for route in routes:
        if ignored.match(route):
            yield Check(
                "login_url",
                "wrong",
                f"ignore covers {route!r}, one of the sign-in routes, which is not there then",
                mend="take it out of ignore, or give AuthRoutes another prefix",
            )
            return
    if login is not None and login not in routes and ignored.match(login):
        yield Check(
            "login_url",
            "warning",
            f"ignore covers {login!r}: start_session raises OutsideRequestError there",
            mend="take it out of ignore; the sign-in page is open to everybody in any case",
        )
    path = None if config.routes is None else _path(config.routes.on_error)
    if path is not None and path != login and _is_guarded(path, config):
        yield Check(
            "login_url",
            "wrong",
            f"protect covers {path!r}, AuthRoutes.on_error: a failed sign-in leads to another one",
            "a page that is open to everybody",
            f"write public=[{path!r}], or on_error= another page",
        )


def _is_guarded(path: str, config: AmplifyConfig) -> bool:
    if Paths(config.ignore).match(path) or Paths(config.public).match(path):
        return False
    return Paths(tuple(config.protect)).match(path)


def _path(url: str | None) -> str | None:
    """The path of a page of this site, decoded; None if it is elsewhere."""
    parts = urlsplit(url or "")
    return unquote(parts.path) if parts.path and not parts.netloc else None


def public_address(subject: Subject) -> Iterator[Check]:
    """What a proxy in front of the app has to be told, and is not asked."""
    config = subject.config
    unread = "X-Forwarded-Host, -Proto and -Prefix are not read"
    mount = ", ".join(config.mount) or "none"
    if not config.known_origins:
        yield Check("public_address", "ok", f"not configured, and not needed so far; {unread}")
        return
    sites = ", ".join(site.origin for site in sites_of(config)) or "none on the web"
    yield Check("public_address", "ok", f"origins {sites}; mount {mount}; {unread}")


PROBES: Final[Sequence[Probe]] = (patterns, login_url, public_address)
