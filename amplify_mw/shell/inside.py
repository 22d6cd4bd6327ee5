"""Inspection of a wrapped app: its mount, its way of reading a path below one, its CORS layers.

Rules:
- Only stored attributes and loaded modules are read. No framework is imported, and no code of the
  app is called.
- A chain of wrapping middlewares is followed by the attributes in which they keep the next app, by
  bound methods and closures; a router is followed only to apps mounted at the very top.
- A value that cannot be a mount is a `ConfigurationError`, with the value to write.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from ..web.mounts import Inside, parse_mounts

_NEXT: Final = (
    *("app", "_app", "application", "wsgi_app", "asgi_app", "wsgi_application"),
    *("other_asgi_app", "wrapped_app", "wsgi_handler", "router"),
)
_CORS: Final = r"(?i)\bcorsheaders\.|cors\w*\Z"
_MAX: Final = 256  # objects to look at
_WSGI_FRAMEWORKS: Final = frozenset({"flask", "bottle", "django", "pyramid", "falcon"})


def look_inside(app: object) -> Inside:
    """The facts stored in `app` and in the apps inside it."""
    found: dict[str, bool] = {}
    is_line, families = True, set()
    cors: list[str] = []
    for thing, width in things_in(app):
        own = families_of(thing)
        families |= own
        is_line = is_line and width <= 1 and not isinstance(own_of(thing).get("mounts"), dict)
        cors += _cors_layers(thing, own)
        for mount, is_stripped in _said(thing, own):
            found[mount] = found.get(mount, False) or is_stripped
    stripped = {mount for mount, is_stripped in found.items() if is_stripped}
    possible = set() if is_line else stripped
    forced = _forced_script_name()
    if forced is not None and "django" not in families:
        possible = {*possible, forced}  # Django is there, and somewhere out of sight
    return Inside(
        mounts=tuple(found),
        stripped=tuple(sorted(stripped - possible)),
        possible=tuple(sorted(possible)),
        splits=bool(families & {"litestar", "quart"}),
        routes=not (is_line and families & _WSGI_FRAMEWORKS),
        cors=tuple(dict.fromkeys(cors)),
    )


def _said(thing: object, families: set[str]) -> Iterator[tuple[str, bool]]:
    """The mounts of one object, each with whether it takes them off a path."""
    root = own_of(thing).get("root_path")
    if root and families & {"fastapi", "starlette"}:  # (Flask's is a folder)
        name = f"{type(thing).__name__}.root_path (or mount=, in its place)"
        yield from ((mount, True) for mount in parse_mounts(root, name))
    if "django" in families:
        forced = _forced_script_name()
        if forced is not None:
            yield forced, any(cls.__name__ == "ASGIHandler" for cls in type(thing).__mro__)


def _cors_layers(thing: object, families: set[str]) -> list[str]:
    """Layers answering CORS preflights: the object itself, or those added to an app."""
    own = own_of(thing)
    found: list[object] = [thing]
    added = own.get("user_middleware")  # Starlette, FastAPI
    found += [own_of(each).get("cls") for each in added] if isinstance(added, list) else []
    hooks = own.get("after_request_funcs")  # Flask, Quart: by blueprint
    if isinstance(hooks, dict):
        found += [hook for some in hooks.values() for hook in some]
    names = [name_of(each) for each in found]
    if "django" in families:
        names += getattr(django_settings(), "MIDDLEWARE", ())
    if "litestar" in families and own.get("cors_config") is not None:
        names.append("litestar.CORSConfig")
    return [name for name in names if re.search(_CORS, name)]


def name_of(thing: object) -> str:
    """The full name of a class or function, or of an object's class."""
    is_named = issubclass(type(thing), type) or type(thing) is FunctionType
    named: Any = thing if is_named else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def django_settings() -> object:
    """Django's settings, where it is in use; None elsewhere."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    return settings if getattr(settings, "configured", False) else None


def _forced_script_name() -> str | None:
    """Django's setting `FORCE_SCRIPT_NAME`, where Django is in use."""
    name = getattr(django_settings(), "FORCE_SCRIPT_NAME", None)
    found = parse_mounts(name, "FORCE_SCRIPT_NAME (or mount=, in its place)") if name else ()
    return next(iter(found), None)


def things_in(app: object) -> Iterator[tuple[object, int]]:
    """`app` and all apps inside it, each once, with the number of apps directly inside."""
    seen: set[int] = set()
    pending = [app]
    while pending and len(seen) < _MAX:
        thing = pending.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        inner = _inner(thing)
        pending += inner
        yield thing, len(inner)


def _inner(thing: object) -> list[object]:
    kind = type(thing)  # not `isinstance`: a proxy pretends to be another type
    if kind is partial:
        return [thing.func]  # type: ignore[attr-defined]
    if kind is MethodType:
        return [thing.__self__]  # type: ignore[attr-defined]
    if kind is FunctionType:
        cells = [_content(cell) for cell in thing.__closure__ or ()]  # type: ignore[attr-defined]
        return [cell for cell in cells if _is_app(cell)]
    own = own_of(thing)
    found = [own[name] for name in _NEXT if _is_app(own.get(name))]
    for table in (own.get("application_mapping"), own.get("mounts")):
        found += table.values() if isinstance(table, dict) else ()
    if isinstance(own.get("routes"), list):
        found += [own_of(route)["app"] for route in own["routes"] if _is_at_top(route)]
    return found


def cut_mount(app: object) -> str | None:
    """The mount that Litestar takes off all paths before it calls `app`; None for none."""
    for thing, _ in things_in(app):
        if type(thing).__name__ == "ASGIRoute" and "litestar" in families_of(thing):
            route: Any = thing  # its attributes are in slots
            return str(route.path) if route.route_handler.is_mount else None
    return None


def _is_at_top(route: object) -> bool:
    """Whether a route of Starlette's hands all paths on as they are (`Mount("/")`, `Host`)."""
    name = type(route).__name__
    is_whole = name == "Host" or (name == "Mount" and own_of(route).get("path") == "")
    return is_whole and "starlette" in families_of(route) and "app" in own_of(route)


def _is_app(thing: object) -> bool:
    return callable(thing) and not issubclass(type(thing), type)


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


def own_of(thing: object) -> dict[str, Any]:
    """Stored attributes: no property and no `__getattr__` of the app runs."""
    try:
        found = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def families_of(thing: object) -> set[str]:
    """The packages of an object's classes."""
    return {str(cls.__module__).partition(".")[0] for cls in type(thing).__mro__}
