"""Checks of a new middleware's arguments: an app of the other kind, or no `config`.

Rules:
- An app is refused only if it cannot be of the middleware's kind: a WSGI app is called with two
  values, an ASGI app with three, and a coroutine function is no WSGI app.
- No code of the app is called. An app with another signature, such as `*args`, is taken as it is.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

import inspect
from types import FunctionType, MethodType
from typing import Final

from ..errors import ConfigurationError
from .inside import cut_mount, django_settings, families_of, name_of

_NAMES: Final = {False: "AmplifyWSGIMiddleware", True: "AmplifyASGIMiddleware"}
_WAYS: Final = {
    "starlette": "app.add_middleware(AmplifyASGIMiddleware, config=config)",
    "litestar": "Litestar(..., plugins=[AmplifyPlugin(config)])",
    "quart": "app.asgi_app = AmplifyASGIMiddleware(app.asgi_app, config)",
    "flask": "app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)",
}


def check_config(*, is_missing: bool, is_asgi: bool) -> None:
    """Raise `ConfigurationError` if there is no `config`, as when Django makes the middleware."""
    if not is_missing:
        return
    name, kind = _NAMES[is_asgi], "asgi" if is_asgi else "wsgi"
    listed = getattr(django_settings(), "MIDDLEWARE", ())
    if any(str(each).endswith(f".{name}") for each in listed):
        raise ConfigurationError(
            f"{name} is in Django's MIDDLEWARE, whose layers are inside Django: take it out, and "
            f"put it around Django in {kind}.py: `from amplify_mw.{kind} import {name}` and "
            f"`application = {name}(get_{kind}_application(), config)`"
        )
    raise ConfigurationError(
        f"{name}: config is missing; write {name}(app, config) or config=config, with "
        "config = AmplifyConfig.from_outputs('amplify_outputs.json')"
    )


def check_app(app: object, *, is_asgi: bool) -> None:
    """Raise `ConfigurationError` if `app` cannot be of the middleware's kind."""
    function, bound = _called(app)
    fits_wsgi, fits_asgi = (True, True) if function is None else _fits(function, bound)
    if fits_wsgi == fits_asgi or fits_asgi is is_asgi:
        return
    ours, theirs = ("ASGI", "WSGI") if is_asgi else ("WSGI", "ASGI")
    name = _NAMES[not is_asgi]
    told = name_of(function if type(app) is MethodType else app)
    raise ConfigurationError(
        f"{_NAMES[is_asgi]} is for {ours} apps, and {told} is one of {theirs}: write "
        f"`from amplify_mw.{theirs.lower()} import {name}` and `{_way(app, is_asgi=not is_asgi)}`"
    )


def check_place(app: object) -> None:
    """Raise `ConfigurationError` if rules for paths cannot hold: a router has cut the path."""
    mount = cut_mount(app)
    if mount is not None:
        raise ConfigurationError(
            f"AmplifyASGIMiddleware: Litestar takes {mount!r} off the paths of the app mounted "
            "there before its middlewares run, so that rules for paths do not hold; write "
            "Litestar(..., plugins=[AmplifyPlugin(config)]), with AmplifyPlugin of "
            "amplify_mw.integrations.litestar"
        )


def way_to_wrap(app: object) -> str:
    """The line that puts a middleware around `app`."""
    function, bound = _called(app)
    fits_wsgi, fits_asgi = (True, False) if function is None else _fits(function, bound)
    return _way(app, is_asgi=fits_asgi and not fits_wsgi)


def _way(app: object, *, is_asgi: bool) -> str:
    """The line that puts the right middleware around `app`."""
    families = families_of(app.__self__ if type(app) is MethodType else app)
    if "django" in families:
        kind = "asgi" if is_asgi else "wsgi"
        return f"application = {_NAMES[is_asgi]}(get_{kind}_application(), config)"
    known = [way for family, way in _WAYS.items() if family in families]
    return known[0] if known else f"app = {_NAMES[is_asgi]}(app, config)"


def _fits(function: FunctionType, bound: int) -> tuple[bool, bool]:
    """Whether this function can be a WSGI app, and an ASGI app, by its signature."""
    code = function.__code__
    if code.co_kwonlyargcount > len(function.__kwdefaults__ or {}):
        return True, True
    most = code.co_argcount - bound
    least = most - len(function.__defaults__ or ())
    if code.co_flags & inspect.CO_VARARGS:
        most = max(most, 3)
    is_awaited = inspect.iscoroutinefunction(function)
    return least <= 2 <= most and not is_awaited, least <= 3 <= most


def _called(app: object) -> tuple[FunctionType | None, int]:
    """The function that is run when `app` is called, and the number of values bound to it."""
    kind = type(app)  # not `isinstance`: a proxy pretends to be another type
    call: object = None
    if kind is FunctionType:
        return app, 0  # type: ignore[return-value]
    if kind is MethodType:
        call = app.__func__  # type: ignore[attr-defined]
    elif not issubclass(kind, type):
        call = next(
            (vars(cls)["__call__"] for cls in kind.__mro__ if "__call__" in vars(cls)), None
        )
    return (call, 1) if type(call) is FunctionType else (None, 0)
