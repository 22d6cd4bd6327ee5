"""The configuration of a command: from a file, a module, or the environment.

    --config amplify_outputs.json       Amplify's own file
    --config app:config                 an `AmplifyConfig` in a module
    --config app:make_config            a function without arguments, returning one
    --config app:app                    a middleware, or an app with one: its configuration
    (nothing)                           the environment, as `AmplifyConfig.from_env()` reads it

Rules:
- A module is imported with the current directory in front of `sys.path`, as `python -m` does it.
  Its prints go to standard error: standard output is the command's.
- Anything unusable is a `ConfigurationError` with the words to write. Of an exception of the app's,
  its kind and its place are shown: its message may hold a secret.
"""

import os
import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from inspect import iscoroutinefunction
from sysconfig import get_path
from traceback import extract_tb
from typing import Any, Final

from ..config.config import AmplifyConfig
from ..config.files import VARIABLES
from ..engine.engine import Engine
from ..errors import ConfigurationError, kind_of
from ..shell.inside import own_of, things_in

_TELLING: Final = (ImportError, AttributeError, KeyError, ConfigurationError)  # by their messages
_LIBRARIES: Final = tuple({get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})
_PATH: Final = re.compile(r"[/\\]|\.py\Z|\A\.")
_VARIABLE: Final = re.compile("'[A-Z][A-Z0-9_]*'")


def configuration_of(source: str | None) -> AmplifyConfig:
    """The configuration named by `--config`. None: by the environment."""
    if source is None:
        return AmplifyConfig.from_env()
    module, colon, attribute = source.partition(":")
    is_file = not colon and os.path.exists(source) and not os.path.isdir(source)
    if source.endswith(".json") or (is_file and not source.endswith(".py")):
        return AmplifyConfig.from_outputs(source)
    if not (colon and module and attribute) or _PATH.search(module):
        example = _dotted(module) or "app"
        raise ConfigurationError(
            f"--config {source}: write the path of amplify_outputs.json, or module:attribute, such "
            f"as {example}:{attribute or 'config'}"
        )
    with redirect_stdout(sys.stderr):
        try:
            found = _imported(module, attribute)
            value = _called(found)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # of the app's module
            raise ConfigurationError(f"--config {source}: {_said(error)}") from None
    return _config_in(value, source)


def configuration_if_any(source: str | None) -> AmplifyConfig | None:
    """The same; None if no `--config` is given, and the environment names no pool."""
    if source is None and not any(os.environ.get(name) for name in VARIABLES):
        return None
    return configuration_of(source)


def _dotted(path: str) -> str:
    """A module as `import` has it; "" for no Python name."""
    name = re.sub(r"[/\\]+", ".", path.removesuffix(".py")).strip(".")
    return name if name.replace(".", "").isidentifier() else ""


def _imported(module: str, attribute: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    found: Any = import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def _called(found: Any) -> Any:
    """The result of a function without arguments; anything else as it is."""
    if isinstance(found, AmplifyConfig | Engine) or _configs_in(found):
        return found
    is_function = type(found).__name__ in ("function", "builtin_function_or_method", "method")
    takes = getattr(getattr(found, "__code__", None), "co_argcount", 0)
    defaults = len(getattr(found, "__defaults__", None) or ())
    is_function = is_function and not iscoroutinefunction(found)
    return found() if is_function and takes - defaults <= 0 else found


def _config_in(value: Any, source: str) -> AmplifyConfig:
    """The one configuration of an object."""
    found = _configs_in(value)
    if not found:
        raise ConfigurationError(
            f"--config {source}: write the name of an AmplifyConfig, of a function that returns "
            f"one, or of an app with the middleware around it; got {kind_of(value)}"
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"--config {source}: {len(found)} middlewares with different configurations are around "
            "this app; write the name of one AmplifyConfig"
        )
    return found[0]


def _configs_in(value: Any) -> list[AmplifyConfig]:
    """The configurations of an object: its own, or of the middlewares in and around an app."""
    if isinstance(value, AmplifyConfig):
        return [value]
    if isinstance(value, Engine):
        return [value.authenticator.config]
    found: list[AmplifyConfig] = []
    for thing, _ in things_in(value):
        own = own_of(thing)
        held = [*own.values(), *_added(own)]
        found += [each for each in held if isinstance(each, AmplifyConfig)]
        found += [each.authenticator.config for each in held if isinstance(each, Engine)]
    return list(dict.fromkeys(found))


def _added(own: dict[str, Any]) -> list[Any]:
    """The options of middlewares added to a Starlette app, and not built yet."""
    added = own.get("user_middleware")
    options = [own_of(each).get("kwargs") for each in added] if isinstance(added, list) else []
    return [value for kwargs in options if isinstance(kwargs, dict) for value in kwargs.values()]


def _said(error: BaseException) -> str:
    """An exception of the app's in words."""
    if isinstance(error, _TELLING) and not isinstance(error, KeyError):
        return str(error)
    name, mend = type(error).__name__, ""
    if isinstance(error, KeyError) and _VARIABLE.fullmatch(str(error)):
        name = f"{name} {error}"  # a variable of the environment that is not set
        mend = f": set {error.args[0]}, as where the app runs"
    elif isinstance(error, OSError) and error.errno:
        name = f"{name} ({os.strerror(error.errno)})"  # the system's own words
    return f"importing it has raised {name}{_place(error)}{mend}"


def _place(error: BaseException) -> str:
    """The innermost line of the app's own, or else of any other."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", __file__))]
    of_app = [frame for frame in own if not frame.filename.startswith(_LIBRARIES)]
    nearest = (of_app or own)[-1:]
    return "".join(f" in {frame.filename}, line {frame.lineno}" for frame in nearest)
