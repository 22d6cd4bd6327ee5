"""The command `amplify-mw`, and `python -m amplify_mw`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from . import __version__

_MAX_PORT = 65_535
_INTERRUPTED = 130  # as shells have it
_INSPECTS = (
    "Say why a request is signed in, or refused. Paste a token, a cookie, a Cookie or "
    "Authorization header, a request from the browser's developer tools, or a line of the log, "
    "into standard input. It prints no token and no claim, changes nothing, and fetches nothing "
    "but the pool's key set. Exit status: 0 signed in, 1 refused, 3 it cannot be told, 2 wrong "
    "usage."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. `arguments`: those of the process, unless given."""
    options = _parser().parse_args(arguments)
    try:
        exit_code: int = options.run(options)
    except KeyboardInterrupt:
        return 0 if options.run in (_demo, _pool) else _INTERRUPTED  # a server's usual end
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="amplify-mw",  # under `python -m amplify_mw`, too
        description="The signed-in Amazon Cognito user, anywhere in a Python web app.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )
    _add_demo(commands)
    _add_pool(commands)
    _add_keygen(commands)
    _add_postgres_sql(commands)
    _add_inspect(commands)
    _add_doctor(commands)
    return parser


def _add_demo(commands: "_Commands") -> None:
    demo = commands.add_parser(
        "demo",
        help="a small site with sign-in on this machine; no AWS account needed",
        description=(
            "Serve a small site with sign-in, and a user pool for it, on this machine. It needs "
            "Flask, or FastAPI and uvicorn: pip install 'amplify-mw[demo]'"
        ),
    )
    demo.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="serve at this port, 0 for any free one (default: 8000, a free one if it is taken)",
    )
    demo.add_argument(
        "--fastapi", action="store_true", help="serve the site written in FastAPI, not in Flask"
    )
    demo.set_defaults(run=_demo)


def _add_pool(commands: "_Commands") -> None:
    pool = commands.add_parser(
        "pool",
        help="a user pool on this machine, for development; no AWS account needed",
        description=(
            "Serve a user pool for development on this machine, and write an amplify_outputs.json "
            "for it."
        ),
    )
    pool.fill = _add_pool_options
    pool.set_defaults(run=_pool)


def _add_keygen(commands: "_Commands") -> None:
    keygen = commands.add_parser(
        "keygen",
        help="a new key for sealed sessions",
        description=(
            "Print a new random key for SealedSession(keys=[...]), AuthRoutes(keys=[...]) and "
            "AmplifyConfig(handover_keys=[...]). Keep it secret. The first key of a list seals, "
            "all of them open. To change keys without signing anybody out, give all processes "
            "keys=[old, new] first, then [new, old], and [new] when the sessions of the old one "
            "may end."
        ),
    )
    keygen.set_defaults(run=_keygen)


def _add_postgres_sql(commands: "_Commands") -> None:
    sql = commands.add_parser(
        "postgres-sql",
        help="the SQL that makes the table of a PostgresStore",
        description=(
            "Print the SQL that makes the table of a PostgresStore, for a database in which the "
            "app may not do so: amplify-mw postgres-sql --user web | psql. It may be run again."
        ),
    )
    sql.add_argument("--table", metavar="NAME", default="amplify_mw_sessions")
    sql.add_argument("--user", metavar="NAME", help="grant this user the rights that it needs")
    sql.set_defaults(run=_postgres_sql)


def _add_inspect(commands: "_Commands") -> None:
    inspect = commands.add_parser(
        "inspect",
        help="why a cookie, a token or a request is signed in, or refused",
        description=_INSPECTS,
    )
    inspect.fill = _add_inspect_options
    inspect.surplus = (
        "a credential is not read from here, since shells remember it: give it on standard input, "
        "or write --file PATH; for the options see --help"
    )
    inspect.set_defaults(run=_inspect)


def _add_doctor(commands: "_Commands") -> None:
    doctor = commands.add_parser("doctor", help="what is wrong with a configuration")
    doctor.fill = _add_doctor_options
    doctor.set_defaults(run=_doctor)


class _Parser(argparse.ArgumentParser):
    """A command's parser. `fill` declares its options when it has something to read.

    `surplus`: the error of arguments that it does not know, in place of argparse's, which repeats
    them: one may be a token.
    """

    fill: Callable[[argparse.ArgumentParser], None] | None = None
    surplus = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the base does."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        known, unknown = super().parse_known_args(args, namespace)
        if unknown and self.surplus:
            self.error(self.surplus)
        return known, unknown


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _add_pool_options(parser: argparse.ArgumentParser) -> None:
    from .testing.pool.command import add_options  # a server, and RSA keys: only the pool pays

    add_options(parser, _port)


def _add_inspect_options(parser: argparse.ArgumentParser) -> None:
    from .diagnostics.inspection.command import add_options  # a middleware, and all session kinds

    add_options(parser)


def _inspect(options: argparse.Namespace) -> int:
    from .diagnostics.inspection.command import run

    return run(options)


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    from .diagnostics.examination import command

    parser.description = command.DESCRIPTION
    command.add_options(parser)


def _doctor(options: argparse.Namespace) -> int:
    from .diagnostics.examination.command import run

    return run(options)


def _pool(options: argparse.Namespace) -> int:
    from .testing.pool.command import run

    return run(options)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"write a number from 0 to {_MAX_PORT}")
    return int(text)


def _keygen(_: argparse.Namespace) -> int:
    from .sessions.seal import KEY_BYTES, key_text

    sys.stdout.write(f"{key_text(os.urandom(KEY_BYTES))}\n")
    return 0


def _postgres_sql(options: argparse.Namespace) -> int:
    from .errors import ConfigurationError
    from .stores import PostgresStore

    try:
        sys.stdout.write(PostgresStore.sql(options.table, user=options.user))
    except ConfigurationError as error:
        sys.stderr.write(f"amplify-mw postgres-sql: {error}\n")
        return 1
    return 0


def _demo(options: argparse.Namespace) -> int:
    from .demo.server import run  # a framework, a server, RSA keys: only the demo pays

    try:
        run(options.port, fastapi=options.fastapi)
    except OSError as error:
        sys.stderr.write(f"amplify-mw demo: port {options.port}: {error.strerror or error}\n")
        return 1
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"amplify-mw demo: {error.name} is not installed: pip install 'amplify-mw[demo]'\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
