"""The routes of an app, as far as its framework tells them.

    Flask, Quart, Bottle, Starlette, FastAPI, Litestar, Django

Rules:
- No framework is imported, and no code of the app is called.
- A route is its path up to the first parameter. An unknown part, such as a mounted app, stands for
  every path below it.
- Django's routes are read once Django has imported them.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MethodType
from typing import Any, Final, NamedTuple

from ..web.mounts import without
from .inside import django_settings, families_of, own_of, things_in

_PARAMETER: Final = re.compile(r"[<{]")
_BOTTLES: Final = re.compile(r"[<:]")  # `/:name` is its older spelling
_LITERAL: Final = re.compile(r"\^?((?:\\?[/.-]|\w)*)(.?)")
_SERVING: Final = r"(?i)whitenoise|fallback"  # layers of Django's that answer paths of their own
_PASSING: Final = frozenset({"ProxyFix", "DebuggedApplication"})  # Werkzeug's, without pages


class Route(NamedTuple):
    """One route. `is_start`: paths below it may match too. `view`: its function, if it is told."""

    path: str
    is_start: bool = False
    view: object = None


class Routes(NamedTuple):
    """The routes of an app. `is_whole`: it has no others."""

    found: list[Route]
    is_whole: bool


class NotYet(Exception):
    """The routes are not there yet."""


def routes_in(app: object) -> Routes:
    """The routes of `app` and of the apps inside it. Raises `NotYet`."""
    found: list[Route] = []
    tables, is_whole = 0, True
    for thing, width in things_in(app):
        families = families_of(thing)
        table = next((_TABLES[name] for name in _TABLES if name in families), None)
        rows = [] if table is None else list(table(thing))
        found += rows
        tables += bool(rows)
        is_passing = type(thing) is MethodType or "amplify_mw" in families
        is_passing = is_passing or ("werkzeug" in families and type(thing).__name__ in _PASSING)
        is_whole = is_whole and width <= 1 and (table is not None or is_passing)
    return Routes(found, is_whole and tables == 1)


def unmatched(
    patterns: Iterable[str], routes: Iterable[Route], mounts: Iterable[str] = ()
) -> list[str]:
    """The patterns of `protect` without a route.

    `mounts`: prefixes that routes may have and patterns have not.

    >>> unmatched(["/acount", "/api/*", "/u/me"], [Route("/account"), Route("/u/", True)])
    ['/acount', '/api/*']
    """
    known = {(route.path, route.is_start) for route in routes}
    known |= {(without(path, mount), is_start) for path, is_start in known for mount in mounts}
    return [pattern for pattern in patterns if not any(_meets(pattern, *route) for route in known)]


def _meets(pattern: str, path: str, is_start: bool) -> bool:
    """Whether some path matches both a pattern and a route."""
    below = pattern.removesuffix("*") if pattern.endswith("/*") else None
    bare = (pattern if below is None else below).rstrip("/") + "/"
    if is_start and bare.startswith(path):
        return True
    if below is not None and path.startswith(below):
        return True
    return not is_start and path.rstrip("/") + "/" == bare


def _cut(rule: str, parameter: re.Pattern[str] = _PARAMETER, view: object = None) -> Route:
    """The route of a rule, which is cut at its first parameter."""
    match = parameter.search(rule)
    return Route(rule, view=view) if match is None else Route(rule[: match.start()], True, view)


def _werkzeugs(thing: object) -> Iterator[Route]:
    """Flask's and Quart's."""
    own = own_of(thing)
    rules: Iterable[Any] = own["url_map"].iter_rules() if "url_map" in own else ()
    views: Mapping[str, object] = own.get("view_functions", {})
    for rule in rules:
        yield _cut(rule.rule, view=views.get(rule.endpoint))


def _bottles(thing: object) -> Iterator[Route]:
    for route in own_of(thing).get("routes", ()):
        yield _cut(route.rule, _BOTTLES, route.callback)


def _starlettes(thing: object, prefix: str = "") -> Iterator[Route]:
    """Starlette's and FastAPI's: those of a router."""
    own = own_of(thing)
    routes = own.get("routes")
    if not isinstance(routes, list):
        return
    default = getattr(own.get("default"), "__name__", "not_found")
    if default != "not_found" or own.get("_low_priority_routes"):
        yield Route(prefix or "/", True)
    for route in routes:
        row = own_of(route)
        included = own_of(row.get("include_context")).get("prefix")
        if isinstance(included, str):  # FastAPI's `include_router`
            yield from _starlettes(row.get("original_router"), prefix + included)
        elif "endpoint" in row and isinstance(row.get("path"), str):
            yield _cut(prefix + row["path"], view=row["endpoint"])
        else:
            mounted = row.get("path")
            yield Route(f"{prefix}{mounted if isinstance(mounted, str) else ''}/", True)


def _litestars(thing: object) -> Iterator[Route]:
    for route in getattr(thing, "routes", ()):  # (in a slot)
        found = _cut(route.path)
        yield found if type(route).__name__ == "HTTPRoute" else found._replace(is_start=True)


def _djangos(thing: object) -> Iterator[Route]:
    urlconf = getattr(django_settings(), "ROOT_URLCONF", None)
    if not any(cls.__name__ in ("WSGIHandler", "ASGIHandler") for cls in type(thing).__mro__):
        return
    module = sys.modules.get(urlconf) if isinstance(urlconf, str) else urlconf
    if module is None:
        raise NotYet
    if re.search(_SERVING, " ".join(getattr(django_settings(), "MIDDLEWARE", ()))):
        yield Route("/", True)
    yield from _patterns(getattr(module, "urlpatterns", ()), "/")


def _patterns(patterns: Iterable[Any], prefix: str) -> Iterator[Route]:
    for each in patterns:
        pattern = each.pattern
        kind = type(pattern).__name__
        if kind == "RoutePattern":
            route = _cut(prefix + str(pattern._route))
        elif kind == "RegexPattern":
            route = Route(prefix + _literal(str(pattern._regex)), True)
        else:  # a language's prefix
            route = Route(prefix, True)
        inner = None if route.is_start else getattr(each, "url_patterns", None)
        if inner is None:
            yield route._replace(view=getattr(each, "callback", None))
        else:
            yield from _patterns(inner, route.path)


def _literal(regex: str) -> str:
    """The text at the beginning of each path that matches an expression."""
    match = _LITERAL.match(regex)
    if match is None or "|" in regex:
        return ""
    text = match[1][:-1] if match[2] in ("?", "*", "{") else match[1]
    return text.replace("\\", "")


_TABLES: Final[Mapping[str, Callable[[object], Iterator[Route]]]] = {
    "quart": _werkzeugs,
    "flask": _werkzeugs,
    "bottle": _bottles,
    "starlette": _starlettes,
    "fastapi": _starlettes,
    "litestar": _litestars,
    "django": _djangos,
}
