"""Ask every question: `python -m benchmarks [--quick] [question ...]`.

`python -m benchmarks plots` asks none, and draws the documentation's plots from the last results.
"""

import argparse
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

from . import plots
from .harness import FULL, QUICK, Plan
from .report import Table, aims, heading, write

RESULTS = Path(__file__).with_name("RESULTS.md")
QUESTIONS = {
    "overhead": "what does a request pay?",
    "bearer": "what does a Bearer token cost, beside a cookie?",
    "routes": "what do the sign-in routes cost other requests?",
    "telemetry": "what do listeners and OpenTelemetry cost?",
    "first_seen": "what does a session cost that was never seen, or that is refused?",
    "sealed": "what does a sealed session cost?",
    "stored": "what does a stored session cost?",
    "machines": "what does a stored session cost on many machines?",
    "amplify_cookies": "what do Amplify's cookies cost?",
    "refreshing": "who waits for a refresh?",
    "verification": "what does verifying a token cost, by its size?",
    "peers": "what would another library cost?",
    "servers": "what does it cost behind a real server?",
    "flood": "what does a flood of forged tokens cost?",
    "growth": "what grows with the header and the users?",
    "threads": "what grows with tasks and threads?",
    "many": "what grows with stored sessions?",
    "imports": "what does it cost to exist?",
    "memory": "what does a cache hold?",
}
PLOTS = "plots"
PACKAGES = (
    "amplify-mw",
    "asgiref",
    "authlib",
    "cachetools",
    "cryptography",
    "django",
    "fastapi",
    "flask",
    "httpx2",
    "joserfc",
    "opentelemetry-sdk",
    "redis",
    "starlette",
    "werkzeug",
)


def answer(questions: Iterable[str], plan: Plan, head: str, results: Path | None) -> bool:
    """Print each table as it is done, and all aims at last; whether all could be measured.

    `results`: where the page is kept, if anywhere.
    """
    print(head, flush=True)
    found: list[Table] = []
    is_whole = True
    for question in questions:
        begun = perf_counter()
        try:
            for table in import_module(f"benchmarks.{question}").tables(plan):
                print(table, flush=True)
                found.append(table)
                if results is not None:
                    write(results, head, found)
        except Exception:  # noqa: BLE001  # an hour's other tables are worth keeping
            traceback.print_exc()
            is_whole = False
        print(f"({question}: {perf_counter() - begun:.0f} s)\n", file=sys.stderr, flush=True)
    print(aims(found))
    return is_whole


def main(arguments: Sequence[str] | None = None) -> int:
    questions = "\n".join(f"  {name:17}{text}" for name, text in QUESTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="under ten minutes, noisier")
    parser.add_argument("--results", type=Path, help="where to write the page")
    parser.add_argument("questions", nargs="*", metavar="question", choices=[[], *QUESTIONS, PLOTS])
    chosen = parser.parse_args(arguments)
    if PLOTS in chosen.questions:
        if len(chosen.questions) > 1:
            parser.error("plots asks no question: write it alone")
        plots.draw(chosen.results or RESULTS)
        return 0
    words = [*(["--quick"] if chosen.quick else []), *chosen.questions]
    head = heading(shlex.join(["python", "-m", "benchmarks", *words]), PACKAGES)
    results = chosen.results or (None if chosen.questions else RESULTS)
    is_whole = answer(chosen.questions or QUESTIONS, QUICK if chosen.quick else FULL, head, results)
    if is_whole and results == RESULTS:
        plots.draw(RESULTS)
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
