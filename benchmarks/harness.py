"""Measuring small things fairly on a machine that does other things too.

Rules:
- All candidates of a table run in one process, in rounds (A B C, A B C, ...): what slows the
  machine down for a while slows them all. The median of the rounds is a candidate's time.
- The whole is repeated in several fresh processes, because memory layout and hash seeds differ
  between them. Overheads and ratios are formed within a process; the table shows the median
  over processes, and in brackets the least and the greatest.
- A candidate is called so often in a batch that a batch takes about as long for each.
- The garbage collector runs before each batch and never within one, for all alike.
- A coroutine is stepped by hand: no event loop's work is measured.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from .report import Aim, Limit, Spread, Table

_ROOT = Path(__file__).parents[1]  # where `python -m benchmarks` finds itself


@dataclass(frozen=True)
class Plan:
    """How long to measure: fresh processes, rounds in each, seconds for one batch."""

    processes: int
    rounds: int
    batch: float

    @property
    def shorter(self) -> "Plan":
        """For tables that matter less than what each request pays, of which there are many."""
        return Plan(min(self.processes, 5), min(self.rounds, 15), self.batch)


FULL = Plan(processes=7, rounds=40, batch=0.008)
QUICK = Plan(processes=3, rounds=12, batch=0.004)
TINY = Plan(processes=1, rounds=2, batch=0.0002)

Call = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of a table: the time of `case`, less that of `bare`, in multiples of `unit`'s.

    `limit`: what that multiple is held to, and `aim` what the report calls it.
    """

    case: str
    bare: str | None = None
    unit: "Row | None" = None
    limit: Limit | None = None
    aim: str = ""

    def overhead(self, run: Mapping[str, float]) -> float:
        return run[self.case] - (run[self.bare] if self.bare else 0.0)

    def ratio(self, runs: Sequence[Mapping[str, float]]) -> Spread | None:
        if self.unit is None:
            return None
        return Spread.of([self.overhead(run) / self.unit.overhead(run) for run in runs])


def drive(coroutine) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a coroutine that should not wait did")


def interleaved(cases: Mapping[str, Call], rounds: int, batch: float) -> dict[str, float]:
    """Microseconds a call of each case, in this process: the medians of the rounds."""
    counts = {name: calibrated(call, batch) for name, call in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    gc.freeze()  # what is there by now is not looked at again and again
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in cases.items():
                gc.collect()
                times[name].append(timed(call, counts[name]) / counts[name])
    finally:
        gc.enable()
    return {name: median(taken) * 1e6 for name, taken in times.items()}


def timed(call: Call, count: int) -> float:
    start = perf_counter()
    for _ in repeat(None, count):
        call()
    return perf_counter() - start


def calibrated(call: Call, batch: float) -> int:
    """How many calls take about `batch` seconds."""
    count = 1
    while (taken := timed(call, count)) < batch:
        count = max(count * 2, int(count * batch / max(taken, 1e-7)))
    return count


def in_processes(cases: str, plan: Plan, *arguments: str) -> list[dict[str, float]]:
    """`interleaved` in fresh processes; `cases` names a function, as `module:function`."""
    command = [sys.executable, "-m", "benchmarks.harness", cases, str(plan.rounds), str(plan.batch)]
    command += arguments
    runs = (
        subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=_ROOT)
        for _ in range(plan.processes)
    )
    return [json.loads(run.stdout) for run in runs]


def in_fresh_processes(measure: Callable[..., dict], plan: Plan, *arguments: Any) -> list[dict]:
    """What `measure(plan, *arguments)` gives, in fresh processes one after the other."""
    runs = []
    for _ in range(plan.processes):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            runs.append(process.submit(measure, plan, *arguments).result())
    return runs


def compared(
    cases: Sequence[tuple[str, str | None]], limit: Limit | None = None, aim: str = ""
) -> list[Row]:
    """Rows for these cases and their bare apps, in multiples of the first; `limit`: the last's."""
    first = Row(*cases[0])
    *between, last = [Row(case, bare, first) for case, bare in cases[1:]]
    return [first, *between, replace(last, limit=limit, aim=aim)]


def table(
    title: str,
    rows: Sequence[Row],
    runs: Sequence[Mapping[str, float]],
    unit: str = "floor",
    about: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """The time, the overhead over the bare app, and the ratio to the unit's, of each row."""
    head = ("", "µs a call", "µs over bare", f"times the {unit}", "aim")
    aims = []
    for row in rows:
        ratio = row.ratio(runs)
        if row.limit is not None and ratio is not None:
            aims.append(Aim(row.aim or f"{title}: {row.case}", ratio, row.limit))
    return Table(title, head, [_cells(row, runs) for row in rows], about, notes, aims)


def _cells(row: Row, runs: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    ratio = row.ratio(runs)
    return (
        row.case,
        Spread.of([run[row.case] for run in runs]).text(),
        Spread.of([row.overhead(run) for run in runs]).text() if row.bare is not None else "",
        ratio.text() if ratio is not None else "",
        str(row.limit or ""),
    )


def main() -> None:
    cases, rounds, batch, *arguments = sys.argv[1:]
    module, _, function = cases.partition(":")
    found = getattr(import_module(module), function)(*arguments)
    json.dump(interleaved(found, int(rounds), float(batch)), sys.stdout)


if __name__ == "__main__":
    main()
