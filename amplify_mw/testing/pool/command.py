"""The command `amplify-mw pool`: a local user pool, until Ctrl-C or SIGTERM.

Rules:
- It listens on 127.0.0.1 only, and says that it is for development.
- `--group` and `--attribute` are for the `--user` before them. Without a user there is `ada`,
  unless the state file has users.
- It ends with 1 and one line if it cannot start. Nobody else's file is overwritten.
"""

import argparse
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from ...errors import ConfigurationError
from .certificate import is_own
from .issuers import IssuerType, is_region
from .origins import checked_origins
from .outputs import NotOurs, check_ours, write_outputs
from .pool import LocalUserPool
from .state import StateError, write_whole
from .tracking import MOST_PER_USER, checked_most

USUAL_PORT: Final = 9229
USUAL_OUTPUTS: Final = "amplify_outputs.json"
USUAL_PASSWORD: Final = "correct horse"  # noqa: S105 - printed at the start
_SCOPE: Final = re.compile(r"[!#-+\--\[\]-~]+")  # of RFC 6749 3.3, but for the comma


class CannotStart(Exception):
    """The pool cannot start: `str()` says why, and what to do."""


@dataclass(slots=True)
class Person:
    """A user of the command line."""

    username: str
    password: str = USUAL_PASSWORD
    groups: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    def completed(self) -> dict[str, str]:
        """The attributes, with an email made up unless there is one."""
        name = self.username
        email = name if "@" in name else f"{name}@example.com"
        return {"email": email, "email_verified": "true", **self.attributes}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the command line."""

    client_id: str
    scopes: tuple[str, ...]


def add_options(parser: argparse.ArgumentParser, port: Callable[[str], int]) -> None:
    """Declare the options of the command. `port`: reads a port's number."""
    parser.add_argument(
        "--port",
        type=port,
        default=USUAL_PORT,
        metavar="N",
        help="serve at this port of 127.0.0.1, 0 for any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--user",
        dest="people",
        action=_AddPerson,
        default=[],
        metavar="NAME:PASSWORD",
        help=f"a user; several are possible (default: ada:{USUAL_PASSWORD})",
    )
    parser.add_argument(
        "--group",
        dest="people",
        action=_AddGroup,
        metavar="NAME",
        help="a group of the --user before it; several are possible",
    )
    parser.add_argument(
        "--attribute",
        dest="people",
        action=_AddAttribute,
        metavar="NAME=VALUE",
        help="an attribute of the --user before it, such as name=Ada; several are possible",
    )
    _add_files(parser)
    _add_features(parser)
    _add_sessions(parser)


def _add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--machine",
        dest="machines",
        action="append",
        type=_machine,
        default=[],
        metavar="ID:SCOPE,SCOPE",
        help="a machine's app client, such as orders-job:orders/write; several are possible. Its "
        "secret is printed",
    )
    parser.add_argument(
        "--issuer-type",
        choices=get_args(IssuerType),
        help="let tokens name Amazon's issuer of this type, not the pool's address; with --state a "
        "pool may switch from one start to the next",
    )
    parser.add_argument(
        "--replica",
        dest="replicas",
        action="append",
        type=_region,
        default=[],
        metavar="REGION",
        help="serve another Region, too, such as us-west-2, at the port after the last one",
    )


def _add_sessions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--track-sessions",
        type=int,
        nargs="?",
        const=MOST_PER_USER,
        metavar="N",
        help="track Cognito's own sessions, at most N sign-ins of a user (%(const)s)",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep users, keys and sign-ins in this file: a restart signs nobody out",
    )
    parser.add_argument(
        "--outputs",
        type=Path,
        default=Path(USUAL_OUTPUTS),
        metavar="FILE",
        help="write the configuration for apps and pages here (default: %(default)s)",
    )
    parser.add_argument(
        "--origin",
        dest="origins",
        action="append",
        type=_origin,
        default=[],
        metavar="URL",
        help="let the pages of a front end ask the pool, such as http://localhost:5173",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="speak https at the port, too, for Amplify JS's hosted sign-in; needs --state",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, from the main thread; the exit code."""
    try:
        pool = _started(options)
    except (CannotStart, NotOurs, StateError) as error:
        sys.stderr.write(f"amplify-mw pool: {error}\n")
        return 1
    with pool:
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        _say("\n".join(_announcement(options, pool)))
        ended.wait()
    _say("The pool has ended.")
    return 0


def _started(options: argparse.Namespace) -> LocalUserPool:
    """The pool, serving, with its users and files. Raises `CannotStart` and the like."""
    if options.tls and options.state is None:
        raise CannotStart("--tls: write --state FILE, too; it keeps the certificate you trust")
    check_ours(options.outputs)
    _check_certificate(options)
    pool = LocalUserPool(
        port=options.port,
        state=options.state,
        origins=options.origins,
        tls=options.tls,
        issuer_type=options.issuer_type,
        **_tracking(options.track_sessions),
    )
    try:
        _serve(pool, options)
        for person in options.people or ([] if pool.usernames else [Person("ada")]):
            pool.ensure_user(
                person.username,
                person.password,
                groups=person.groups,
                attributes=person.completed(),
            )
        for machine in options.machines:
            pool.ensure_machine(machine.client_id, scopes=machine.scopes)
        if options.tls:
            write_whole(_certificate_path(options), pool.certificate.encode())
        write_outputs(options.outputs, pool.outputs())
    except BaseException as error:
        pool.close()
        if isinstance(error, OSError):
            raise CannotStart(f"{error.filename}: {error.strerror}") from error
        raise
    return pool


def _tracking(most: int | None) -> dict[str, Any]:
    """The options of `LocalUserPool`. Raises `CannotStart`."""
    try:
        checked_most(True, MOST_PER_USER if most is None else most)
    except ValueError as error:
        raise CannotStart(f"--track-sessions: {str(error).partition(': ')[2]}") from error
    return {} if most is None else {"track_sessions": True, "max_sessions_per_user": most}


def _serve(pool: LocalUserPool, options: argparse.Namespace) -> None:
    """Start the pool's servers. Raises `CannotStart`."""
    starts: list[Callable[[], object]] = [pool.start]
    for number, region in enumerate(options.replicas, 1):
        port = options.port + number if options.port else 0
        starts.append(partial(pool.replica, region, port=port))
    for number, start in enumerate(starts):
        try:
            start()
        except OSError as error:
            reason = error.strerror or error
            raise CannotStart(
                f"port {options.port + number} cannot be had ({reason}). Choose another with "
                "--port N"
            ) from error
        except ValueError as error:
            raise CannotStart(f"--replica: {str(error).partition(': ')[2]}") from error


def _announcement(options: argparse.Namespace, pool: LocalUserPool) -> Iterator[str]:
    yield "A user pool FOR DEVELOPMENT, on this machine alone. Never use it for real people."
    yield ""
    yield f"  Address   {pool.url}"
    given = {person.username: person for person in options.people}
    if not given and options.state is None:
        given = {"ada": Person("ada")}
    for region, url in pool.regions.items():
        yield f"  Replica   {url} is {region}"
    if pool.issuer_type is not None:
        yield f"  Issuer    {pool.issuer} ({pool.issuer_type})"
    if options.track_sessions is not None:
        yield f"  Sessions  are tracked, at most {options.track_sessions} sign-ins of a user"
    for number, name in enumerate(pool.usernames):
        yield f"  {'' if number else 'Users':<9} {name}{_about(given.get(name))}"
    for number, (name, secret) in enumerate(pool.machines.items()):
        yield f"  {'' if number else 'Machines':<9} {name}, secret: {secret}"
    yield f"  Outputs   {options.outputs}"
    yield f'            AmplifyConfig.from_outputs("{options.outputs}")'
    if options.state is None:
        yield "  State     none: users and sign-ins end with this command (--state FILE keeps them)"
    else:
        yield f"  State     {options.state} keeps users, keys and sign-ins"
    for number, origin in enumerate(options.origins):
        yield f"  {'' if number else 'Pages':<9} {origin}"
    if options.tls:
        address = f"https://{pool.url.partition('://')[2]}"
        path = _certificate_path(options)
        yield f"  TLS       {address}"
        yield f"            In a browser: open {address}/ once and accept its certificate."
        yield f"            For Node: NODE_EXTRA_CA_CERTS={path}; for curl: --cacert {path}"
    yield "  End       Ctrl-C"
    yield ""


def _about(person: Person | None) -> str:
    if person is None:
        return ""
    groups = f", in {', '.join(person.groups)}" if person.groups else ""
    return f", password: {person.password}{groups}"


def _certificate_path(options: argparse.Namespace) -> Path:
    state: Path = options.state
    return state.with_name(f"{state.name}.certificate.pem")


def _check_certificate(options: argparse.Namespace) -> None:
    """Refuse to overwrite a file that is no certificate of a local pool."""
    if not options.tls:
        return
    path = _certificate_path(options)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}") from error
    if not is_own(content):
        raise CannotStart(f"{path} is no certificate of a local pool, so it stays: move it away")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is a command


def _region(text: str) -> str:
    if not is_region(text):
        raise argparse.ArgumentTypeError("write an AWS Region, such as us-west-2")
    return text


def _machine(text: str) -> Machine:
    name, _, scopes = text.partition(":")
    found = tuple(scopes.split(","))
    if not re.fullmatch(r"[\w+-]{1,128}", name, re.ASCII) or not all(map(_SCOPE.fullmatch, found)):
        raise argparse.ArgumentTypeError("write ID:SCOPE,SCOPE, such as orders-job:orders/write")
    return Machine(name, found)


def _origin(text: str) -> str:
    try:
        return checked_origins([text])[0]
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None


class _PersonAction(argparse.Action):
    """An option about users: each changes the list of them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Note the option's value. Ends in a usage error if it is wrong."""
        people: list[Person] = list(getattr(namespace, self.dest) or [])
        try:
            self.note(people, str(values))
        except ValueError as error:
            parser.error(f"argument {option_string}: {error}")
        setattr(namespace, self.dest, people)

    def note(self, people: list[Person], value: str) -> None:
        """Change the list by a value. Raises `ValueError`."""
        raise NotImplementedError


class _AddPerson(_PersonAction):
    def note(self, people: list[Person], value: str) -> None:
        """A new user."""
        name, colon, password = value.partition(":")
        if not name or not name.isprintable() or " " in name or (colon and not password):
            raise ValueError("write NAME:PASSWORD, such as ada:password")
        if any(person.username == name for person in people):
            raise ValueError(f"there is a user {name} already")
        people.append(Person(name, password) if colon else Person(name))


class _AddGroup(_PersonAction):
    def note(self, people: list[Person], value: str) -> None:
        """A group of the last user."""
        _last(people).groups.append(value)


class _AddAttribute(_PersonAction):
    def note(self, people: list[Person], value: str) -> None:
        """An attribute of the last user."""
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise ValueError("write NAME=VALUE, such as name=Ada")
        _last(people).attributes[name] = text


def _last(people: list[Person]) -> Person:
    if not people:
        raise ValueError("write it after the --user it is for")
    return people[-1]
