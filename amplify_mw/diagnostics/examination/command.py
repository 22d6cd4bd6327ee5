"""The command `amplify-mw doctor`: a configuration, examined.

Rules:
- Whatever is wrong with the configuration is a line, too: the command writes no traceback.
"""

import argparse
import json
from typing import Final

from ...config.config import AmplifyConfig
from ...errors import ConfigurationError
from ...models.check import Check
from ..configuration import configuration_of
from ..report import put
from .examination import Examination, examine

DESCRIPTION: Final = (
    "Examine a configuration: the user pool behind it, as far as it can be seen without signing "
    "in, the settings of the site, the keys and the store. Nothing is changed anywhere. Exit "
    "status: 0, or 1 if something is wrong, or else 3 if something cannot be told."
)

_NAME_IT: Final = "or write --config amplify_outputs.json, or --config module:attribute"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--config",
        metavar="SOURCE",
        help="amplify_outputs.json, or module:attribute of an AmplifyConfig, a function that "
        "returns one, or an app (default: the environment)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--offline", action="store_true", help="ask neither the pool nor the store's server"
    )
    parser.add_argument("--strict", action="store_true", help="a warning counts as wrong")


def run(options: argparse.Namespace, config: AmplifyConfig | None = None) -> int:
    """Print the lines; the exit status. `config`: in place of `--config`."""
    found = _examined(options, config or _configuration(options.config))
    text = json.dumps(found.to_dict(), indent=2) if options.json else str(found)
    return put(f"{text}\n", found.exit_status, "doctor")


def _examined(options: argparse.Namespace, config: AmplifyConfig | Check) -> Examination:
    if isinstance(config, Check):
        return Examination((config,), options.strict)
    return examine(config, network=not options.offline, strict=options.strict)


def _configuration(source: str | None) -> AmplifyConfig | Check:
    """The configuration, or the line about its fault."""
    try:
        return configuration_of(source)
    except ConfigurationError as error:
        mend = _NAME_IT if source is None else ""
        return Check("configuration", "wrong", str(error), mend=mend)
