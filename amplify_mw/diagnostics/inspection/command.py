"""The command `amplify-mw inspect`: its options, its input and its exit status.

Rules:
- A credential comes from standard input or a file, never from the command line: shells keep that.
- Exit status: 0 signed in, 1 refused, 3 it cannot be told, 2 the command line, the configuration,
  the input or the output cannot be used.
- The library's notices are part of the answer, and no lines on standard error.
"""

import argparse
import json
import sys
from typing import BinaryIO, Final

from ...config.config import AmplifyConfig
from ...errors import ConfigurationError
from ..configuration import configuration_if_any
from ..report import complain, put
from .inspection import inspect_credential
from .recognition import MAX_READ
from .terminal import read_pasted

_COMMAND: Final = "inspect"
_PROMPT: Final = (
    "Paste a token, a cookie, or a request's headers; then Enter and Ctrl-D (on Windows Ctrl-Z and "
    "Enter):\n"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config",
        metavar="SOURCE",
        help="amplify_outputs.json, or module:attribute of an AmplifyConfig, a function that "
        "returns one, or an app (default: the environment)",
    )
    parser.add_argument("--file", metavar="PATH", help="read this file, not standard input")
    parser.add_argument("--offline", action="store_true", help="do not fetch the pool's key set")
    parser.add_argument(
        "--show-claims", action="store_true", help="print the tokens' claims, which name the user"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: argparse.Namespace, config: AmplifyConfig | None = None) -> int:
    """Run the command; its exit status. `config`: in place of `--config`."""
    try:
        config = config or configuration_if_any(options.config)
        data = _read(options.file)
        found = inspect_credential(
            data,
            config,
            offline=options.offline,
            show_claims=options.show_claims,
            elsewhere=True,
        )
    except ConfigurationError as error:
        return complain(_COMMAND, str(error))
    except OSError as error:
        name = options.file or "standard input"
        return complain(_COMMAND, f"{name}: {error.strerror or error}")
    text = f"{json.dumps(found.to_dict(), indent=2)}\n" if options.json else str(found)
    return put(text, found.exit_status, _COMMAND)


def _read(path: str | None) -> bytes:
    """At most a little more than is looked at."""
    if path is None:
        if sys.stdin is None:  # closed
            return b""
        if sys.stdin.isatty():
            if sys.stderr is not None:
                sys.stderr.write(_PROMPT)
                sys.stderr.flush()
            return read_pasted(sys.stdin.buffer, MAX_READ + 1)
        return _some(sys.stdin.buffer)
    with open(path, "rb") as file:
        return _some(file)


def _some(file: BinaryIO) -> bytes:
    return file.read(MAX_READ + 1)
