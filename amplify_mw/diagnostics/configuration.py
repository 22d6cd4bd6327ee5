"""The configuration that a command is about: from a file, a module, or the environment.

Rules:
- `--config amplify_outputs.json` is a file; `--config package.module:attribute` is an
  `AmplifyConfig`, or a function without arguments that returns one. Without it, the environment
  counts, as `AmplifyConfig.from_env()` reads it.
- A module is imported with the current directory in front of `sys.path`, as `python -m` does it.
- All that cannot be used is a `ConfigurationError` that says what to write.
"""

import sys
from importlib import import_module

from ..config.config import AmplifyConfig
from ..errors import ConfigurationError, kind_of


def configuration_of(source: str | None) -> AmplifyConfig:
    """The configuration that `--config` names. None: that of the environment."""
    if source is None:
        return AmplifyConfig.from_env()
    module, colon, attribute = source.partition(":")
    if not colon or source.endswith(".json"):
        return AmplifyConfig.from_outputs(source)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"--config {source}: {error}") from None
    value = found() if callable(found) else found
    if not isinstance(value, AmplifyConfig):
        raise ConfigurationError(
            f"--config {source}: write the name of an AmplifyConfig; got {kind_of(value)}"
        )
    return value
