"""Checks as text for a person, as JSON for a program, and as an exit status.

    wrong    issuer        found  'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other'
                           wanted 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
                           mend   correct user_pool_id

Rules:
- Texts of checks are printable, whatever they were made of: no newline, no terminal escape.
- The worst outcome decides the exit status.
- A reader that has read enough (`| head`) is no failure. An answer that cannot be written is one.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from ..models.check import Check as Check  # for the folder's face
from ..models.check import Outcome

EXIT_STATUS: Final[dict[Outcome, int]] = {"ok": 0, "warning": 0, "wrong": 1, "unknown": 3}
"""The exit status of each outcome."""

UNUSABLE: Final = 2
"""The exit status without an answer: of a command line, an input or an output of no use."""


def exit_status(checks: Iterable[Check], *, strict: bool = False) -> int:
    """The exit status of all of them: 1 if something is wrong, 3 if something cannot be told.

    `strict`: a warning counts as wrong.
    """
    table = {**EXIT_STATUS, "warning": EXIT_STATUS["wrong"]} if strict else EXIT_STATUS
    found = {table[check.outcome] for check in checks}
    return 1 if 1 in found else max(found, default=0)


def put(text: str, status: int, command: str) -> int:
    """Write a command's answer to standard output; the exit status.

    `status`: that of the answer. An answer that cannot be written has `UNUSABLE`.
    """
    if sys.stdout is None:
        return complain(command, "standard output is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at exit
        if not isinstance(error, BrokenPipeError):
            return complain(command, f"standard output: {error.strerror or error}")
    return status


def complain(command: str, text: str) -> int:
    """Say on standard error why there is no answer; the exit status."""
    if sys.stderr is not None:  # it is closed
        sys.stderr.write(f"amplify-mw {command}: {text}\n")
    return UNUSABLE


def as_text(checks: Sequence[Check]) -> str:
    """The checks in lines for a person."""
    width = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for check in checks:
        start = f"{check.outcome:<8} {check.name:<{width}}  "
        told = [(word, getattr(check, word)) for word in ("found", "wanted", "mend")]
        parts = [f"{word:<6} {printable(text)}" for word, text in told if text] or [""]
        lines.append((start + parts[0]).rstrip())
        lines += [" " * len(start) + part for part in parts[1:]]
    return "\n".join(lines)


def as_dicts(checks: Iterable[Check]) -> list[dict[str, str]]:
    """The checks as JSON has them; empty texts are left out."""
    return [
        {name: printable(text) for name, text in check._asdict().items() if text}
        for check in checks
    ]


def printable(text: str) -> str:
    r"""A text without control characters: these are escaped.

    >>> print(printable("a\nb"), printable("\x1b[2J"))
    a\nb \x1b[2J
    """
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")
