"""Mounts: the prefixes in front of an app's own paths in its public address.

The server may name a mount (`SCRIPT_NAME`, `root_path`), the configuration may (`mount=`), and an
app may strip one by itself. Only the server's is known to the middleware and the app alike.

Rules:
- A mount is written as `/prod`: a slash in front and none at the end. "/" is no mount.
- A mount counts once: it is not added to a path that has it, or if the server names it.
- To learn which path the app has read, look at the mount and the path in the request when its
  response starts. An app's own routing (Starlette's `Mount`, a WSGI dispatcher) is no mount of the
  whole app.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import ConfigurationError, kind_of
from .cookie_policy import is_path

_EVENTS: Final = ("aws.event", "serverless.event", "apig_wsgi.full_event")


class Mounts:
    """The mounts of one app, the default one first.

    >>> Mounts(["/prod"]).place("", "/account")
    ('/prod', '/prod/account')
    >>> Mounts(["/prod"]).place("/prod", "/account")
    ('/prod', '/prod/account')
    """

    def __init__(self, prefixes: Sequence[str] = ()) -> None:
        self.prefixes: tuple[str, ...] = tuple(prefixes)
        self.first: str = self.prefixes[0] if self.prefixes else ""
        self._longest_first = sorted(filter(None, self.prefixes), key=len, reverse=True)

    def of(self, path: str) -> str:
        """The longest mount in front of `path`; "" if there is none."""
        return next((mount for mount in self._longest_first if is_below(path, mount)), "")

    def place(self, root: str, path: str, told: str = "") -> tuple[str, str]:
        """The mount of a request, and its path in the public address.

        `root`: the server's own mount, in front of `path`. `told`: the public path from elsewhere
        in the request (see `gateway_path`), or "".
        """
        whole = root + path
        if not self.prefixes:
            return "", whole
        named = self.of(whole)
        if named:
            is_doubled = (
                root == named and self.of(path) == named
            )  # serverless-wsgi, HTTP API stages
            return named, path if is_doubled else whole
        mount = self.of(told) or self.first
        return mount, mount + whole

    def place_of(self, root: str, path: str, request: Mapping[str, Any]) -> tuple[str, str]:
        """The same; `request`, a WSGI environ or an ASGI scope, may tell the public path."""
        return self.place(root, path, gateway_path(request) if self.prefixes else "")


Placing: TypeAlias = Callable[[str, str, Mapping[str, Any]], tuple[str, str]]


def is_below(path: str, mount: str) -> bool:
    """Whether `path` is `mount`, or below it."""
    return path == mount or path.startswith(mount + "/")


def without(path: str, mount: str) -> str:
    """`path` without `mount` in front; all of `path` if it is not below the mount.

    >>> without("/api/account", "/api"), without("/apis", "/api"), without("/api", "/api")
    ('/account', '/apis', '/')
    """
    return path[len(mount) :] or "/" if is_below(path, mount) else path


def server_mount(root: object) -> str:
    """The server's `SCRIPT_NAME` or `root_path`, as a mount.

    API Gateway's `$default` stage is in no address, though serverless-wsgi names it.
    """
    mount = root.rstrip("/") if isinstance(root, str) else ""
    return "" if mount == "/$default" else mount


def parse_mounts(mounts: object, name: str = "mount") -> tuple[str, ...]:
    """The option `mount`, as a tuple. Raises `ConfigurationError`.

    >>> parse_mounts("/prod/"), parse_mounts(["/", "/prod"]), parse_mounts("/")
    (('/prod',), ('', '/prod'), ())
    """
    given = (mounts,) if isinstance(mounts, str) else mounts
    if not isinstance(given, Sequence):
        raise ConfigurationError(
            f"{name}: write the path that the app's public address begins with, such as '/prod', "
            f"or a list of such; got {kind_of(given)}"
        )
    found = tuple(dict.fromkeys(_parse_mount(mount, name) for mount in given))
    return () if found == ("",) else found


def _parse_mount(mount: object, name: str) -> str:
    text = mount.rstrip("/") if isinstance(mount, str) else None
    if text == "":
        return ""
    is_plain = is_path(text) and "//" not in str(text) and "%" not in str(text)
    if not is_plain or {".", ".."} & set(str(text).split("/")):
        raise ConfigurationError(
            f"{name}: write decoded ASCII paths such as '/prod' or '/shop/api' (one slash in "
            f"front, no '%' and no dot segment); got {mount!r}"
        )
    return str(text)


def gateway_path(request: Mapping[str, Any]) -> str:
    """The public path in an event of Amazon API Gateway; "" without one.

    `request`: a WSGI environ or an ASGI scope, of mangum, apig-wsgi or serverless-wsgi. A REST
    API's stage is in `requestContext.path`, and not in the path that an app gets; an HTTP API's
    is in `requestContext.http.path`, and adapters may strip it.
    """
    event = next((request[key] for key in _EVENTS if key in request), None)
    context = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(context, dict):
        return ""
    path = context.get("path")
    if path is None and isinstance(context.get("http"), dict):
        path = context["http"].get("path")
    return path if isinstance(path, str) else ""


class Inside(NamedTuple):
    """The app inside a middleware, as far as it is known: its mounts, and how it reads a path."""

    mounts: tuple[str, ...] = ()
    """The mounts that the app itself names."""
    stripped: tuple[str, ...] = ()
    """Those of `mounts` that the app strips by itself, from all paths."""
    possible: tuple[str, ...] = ()
    """Prefixes that some part of the app may strip."""
    splits: bool = False
    """The app reads everything behind the server's mount as its path (Litestar, old Quarts)."""
    routes: bool = True
    """Something inside may route by moving a path's beginning to `SCRIPT_NAME`. False if there are
    only middlewares around one app of a framework that never does so."""
    cors: tuple[str, ...] = ()
    """The layers inside that answer CORS preflights."""


PLAIN: Final = Inside()  # an app of which nothing is known


class Before(NamedTuple):
    """A request's mount and path, before the app had it."""

    root: str
    path: str
    app_root: str | None = None
    """ASGI: the mount of the app itself, if Starlette's routing names it."""

    def over(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        """A WSGI environ as it was."""
        return {**environ, "SCRIPT_NAME": self.root, "PATH_INFO": self.path}

    def of(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """An ASGI scope as it was."""
        return {**scope, "root_path": self.root, "path": self.path}


def before_scope(scope: Mapping[str, Any]) -> Before:
    """The mount and path in an ASGI scope now."""
    return Before(scope.get("root_path", ""), scope["path"], scope.get("app_root_path"))


def reread_scope(before: Before, scope: Mapping[str, Any]) -> list[str]:
    """The paths that an ASGI app has read, other than the one the middleware saw.

    Starlette's `Mount` adds its path to `root_path`, and leaves the app's own in `app_root_path`.
    A FastAPI app writes its own `root_path` over the server's.
    """
    now = before_scope(scope)
    app_root = getattr(scope.get("app"), "root_path", None)
    if now == before and not app_root:
        return []
    roots = []
    if before.app_root is None:
        roots.append(now.root if now.app_root is None else now.app_root)
    elif not is_below(now.root, before.root):
        roots.append(now.root)
    if app_root and isinstance(app_root, str):
        roots.append(app_root)
    foreign = {server_mount(root) for root in roots} - {server_mount(before.root)}
    found = {without(before.path, root) for root in foreign}
    if now.path != before.path and not _has_routed(now, before, scope):
        found |= {now.path, without(now.path, server_mount(now.root))}
        found |= _read_as_mount(now, before, scope)
    return sorted(found)


def _has_routed(now: Before, before: Before, scope: Mapping[str, Any]) -> bool:
    """Whether a framework changed the path to route to an app mounted in it."""
    if _is_litestars_mount(scope):
        return now.path.startswith("/")
    return now.app_root is not None and now.root + now.path == before.path  # old Starlettes


def _is_litestars_mount(scope: Mapping[str, Any]) -> bool:
    return bool(getattr(scope.get("route_handler"), "is_mount", False))


def _read_as_mount(now: Before, before: Before, scope: Mapping[str, Any]) -> set[str]:
    """The path below a mount of Litestar's, which takes `/filesa` for `a` below `/files`."""
    rest = now.path.strip("/")
    whole = re.sub("//+", "/", before.path).rstrip("/")
    if not _is_litestars_mount(scope) or not whole.endswith(rest):
        return set()
    path = f"{whole.removesuffix(rest)}/{rest}"
    return {path, without(path, server_mount(now.root))}


def before_environ(environ: Mapping[str, Any]) -> Before:
    """The mount and path in a WSGI environ now."""
    return Before(environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", ""))


def reread_environ(before: Before, environ: Mapping[str, Any], *, routes: bool) -> list[str]:
    """The paths that a WSGI app has read, other than the one the middleware saw.

    `routes`: something inside may route by moving the path's beginning to `SCRIPT_NAME`, as PEP
    3333 allows. A move then counts as routing, unless a header names the moved part, alone or in a
    list: the client may have chosen it. Without `routes`, the moved part is the app's mount.
    """
    now = before_environ(environ)
    if now.path == before.path:
        return []
    moved = now.root.removeprefix(before.root)
    is_shift = now.root.startswith(before.root) and _plain(now) == _plain(before)
    if is_shift and routes and not _is_named(moved, environ):
        return []
    return sorted({now.path, *_decoded(now.path)})


def _plain(at: Before) -> list[str]:
    """The whole path's segments, without the empty and "." ones `shift_path_info` drops."""
    return [part for part in (at.root + at.path).split("/") if part not in ("", ".")]


def _is_named(moved: str, environ: Mapping[str, Any]) -> bool:
    name = moved.strip("/")
    return any(
        isinstance(value, str) and name in [item.strip(" \t/") for item in value.split(",")]
        for key, value in environ.items()
        if key.startswith("HTTP_")
    )


def _decoded(path: str) -> list[str]:
    """A WSGI path as text, if it decodes: Bottle leaves text, others Latin-1."""
    try:
        return [path.encode("latin-1").decode("utf-8")]
    except UnicodeError:
        return []
