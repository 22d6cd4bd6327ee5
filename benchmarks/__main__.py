"""Print every table: `python -m benchmarks [--quick]`."""

import argparse
import platform
from importlib.metadata import version

from . import first_seen, imports, memory, overhead
from .harness import FULL, QUICK, Plan

PACKAGES = ("amplify-mw", "asgiref", "cachetools", "cryptography", "httpx2", "joserfc", "werkzeug")


def versions() -> str:
    """What was measured, and on what."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python} on {platform.platform()}\n{packages}\n"


def report(plan: Plan) -> None:
    """Print what was measured, and every table."""
    print(versions())
    for part in (overhead, first_seen, imports, memory):
        print(part.tables(plan), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute, noisier")
    plan = QUICK if parser.parse_args().quick else FULL
    report(plan)


if __name__ == "__main__":
    main()
