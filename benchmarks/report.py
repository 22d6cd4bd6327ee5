"""Tables, the aims that their rows are held to, and the page that is made of both.

Rules:
- A run prints every table as it is done. The page keeps the aims and the tables that a person asks
  for (`ON_THE_PAGE`), so that it can be read. The plots are drawn from it (`plots.py`).
- A table is Markdown that reads well unrendered: what the terminal shows is what the file says.
- An aim compares a median with a limit. It says whether it was met, and fails nothing.
- A row that cannot be measured here (a package or a program is missing) is left out, and a note
  under the table says why.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

# By the beginnings of their titles, in this order.
ON_THE_PAGE = (
    "What a request pays: WSGI",
    "What a request pays: ASGI",
    "What a first-seen session costs, and a refused one: WSGI",
    "What a stored session costs: SQLite",
    "What a stored session costs: Valkey",
    "Beside others, in an app: FastAPI",
    "Beside others, in an app: Flask",
    "Behind uvicorn: CPU",
    "What a flood leaves behind",
    "What importing costs",
    "What importing others costs",
)
HIDDEN = """\
## What a ratio hides

A ratio within one run is the same on a fast machine and on a slow one only if both of its sides
slow down alike. They do not quite: verifying a signature is arithmetic in C, the rest is Python
and memory. The same build has been seen at 1.98 to 2.10 raw verifications a first-seen token on one
machine and at 2.4 to 2.9 on a slower one, and importing a shell at 40 ms and at 57 to 103 ms. So
compare ratios of one machine, and take the microseconds as an order of magnitude. A ratio says
nothing of what both sides share, either: behind a real server, a known user's request costs a few
hundredths more than nobody's, whatever the multiples above say.
"""


@dataclass(frozen=True)
class Spread:
    """A median over processes, and the least and the greatest."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        return f"{self.middle:.{digits}f} [{self.least:.{digits}f}-{self.most:.{digits}f}]"


@dataclass(frozen=True)
class Limit:
    """What a figure should not exceed, or should not stay below."""

    value: float
    at_least: bool = False

    def is_met_by(self, figure: float) -> bool:
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


def at_most(value: float) -> Limit:
    return Limit(value)


def at_least(value: float) -> Limit:
    return Limit(value, at_least=True)


@dataclass(frozen=True)
class Aim:
    """A figure, and the limit it is held to. `what` says both in words: "known token, of the
    floor's overhead"."""

    what: str
    measured: Spread
    limit: Limit
    digits: int = 2

    @property
    def is_met(self) -> bool:
        return self.limit.is_met_by(self.measured.middle)

    @property
    def cells(self) -> tuple[str, ...]:
        is_met = "yes" if self.is_met else "no"
        return (self.what, self.measured.text(self.digits), str(self.limit), is_met)


@dataclass(frozen=True)
class Table:
    """One table: `head` and `rows` are cells, the first column is text, the others are figures.

    `about`: what is to be known before reading it. `notes`: what stands below it.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    about: str = ""
    notes: Sequence[str] = ()
    aims: Sequence[Aim] = field(default=())

    def __str__(self) -> str:
        parts = [f"## {self.title}", self.about, grid(self.head, self.rows), *self.notes]
        return "\n\n".join(part for part in parts if part) + "\n"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns as wide as their cells."""
    lines = [list(head), *([*row, *[""] * (len(head) - len(row))] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    texts = []
    for line in [lines[0], rule, *lines[1:]]:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        texts.append(f"| {' | '.join(cells)} |")
    return "\n".join(texts)


def installed(name: str) -> str | None:
    """The version of a package, where it is installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine() -> str:
    """What was measured on: Python, system, cores."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.platform()}, {os.cpu_count()} cores"


def versions(packages: Iterable[str]) -> str:
    found = [(name, installed(name)) for name in packages]
    return ", ".join(f"{name} {number}" for name, number in found if number is not None)


def heading(how: str, packages: Iterable[str]) -> str:
    """The head of a report: when, how, on what and with what."""
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return (
        f"# What the library costs\n\nMeasured on {date} by `{how}`.\n\n- {machine()}\n"
        f"- {versions(packages)}\n\n"
        "Times are microseconds where nothing else is said. A figure is a median, with the least "
        "and the\ngreatest of the processes it was measured in behind it; ratios are to what is "
        "in the same table.\n"
    )


def aims(tables: Iterable[Table]) -> Table:
    """All that the tables are held to, and whether it was met."""
    found = [aim for table in tables for aim in table.aims]
    met = sum(aim.is_met for aim in found)
    return Table(
        "Aims",
        ("aim", "measured", "limit", "met"),
        [aim.cells for aim in found],
        notes=[f"{met} of {len(found)} met."],
    )


def missed(tables: Iterable[Table]) -> str:
    """How many of the aims were met, and those that were not."""
    found = aims(tables)
    rows = [row for row in found.rows if row[-1] == "no"]
    parts = ["## Aims", *found.notes]
    if rows:
        parts += ["Missed:", grid(found.head[:-1], [row[:-1] for row in rows])]
    return "\n\n".join(parts) + "\n"


def page(head: str, tables: Sequence[Table]) -> str:
    """What is kept of a run: see the rules above."""
    chosen = [
        str(table) for title in ON_THE_PAGE for table in tables if table.title.startswith(title)
    ]
    return "\n".join([head, missed(tables), *chosen, HIDDEN])


def write(path: Path, head: str, tables: Sequence[Table]) -> None:
    """Keep the page. Written anew after each table, so that an interruption loses little."""
    path.write_text(page(head, tables), encoding="utf-8")
