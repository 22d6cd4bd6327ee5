"""Print every table: `python -m benchmarks [--quick | --million]`."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from . import (
    amplify_cookies,
    first_seen,
    imports,
    many,
    memory,
    overhead,
    routes,
    sealed,
    stored,
)
from .harness import FULL, QUICK, Plan

PACKAGES = (
    "amplify-mw",
    "asgiref",
    "cachetools",
    "cryptography",
    "httpx2",
    "joserfc",
    "redis",
    "werkzeug",
)
PARTS = (overhead, routes, first_seen, sealed, stored, amplify_cookies, many, imports, memory)


def installed(name: str) -> str:
    """The version, where it is installed: only some tables need redis."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def versions() -> str:
    """What was measured, and on what."""
    packages = ", ".join(f"{name} {installed(name)}" for name in PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python} on {platform.platform()}\n{packages}\n"


def report(plan: Plan) -> None:
    """Print what was measured, and every table."""
    print(versions())
    for part in PARTS:
        print(part.tables(plan), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--quick", action="store_true", help="a minute, noisier")
    choice.add_argument(
        "--million",
        action="store_true",
        help="only look-ups among a million sessions: some minutes, 7 GB of disk, 4 GB of memory",
    )
    chosen = parser.parse_args()
    if chosen.million:
        print(versions())
        for part in many.parts(FULL, many.MILLION):
            print(part, flush=True)
    else:
        report(QUICK if chosen.quick else FULL)


if __name__ == "__main__":
    main()
