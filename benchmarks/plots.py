"""Draws the documentation's plots from the page of the last run, and from nothing else.

`python -m benchmarks plots` draws them anew; a whole run does so by itself.

Rules:
- The same page gives the same plots, byte for byte. A test holds that they agree.
- A bar is a median. All bars of a plot have one scale, which begins at 0.
- Colours are classes of the documentation's style sheet, so that a plot is readable in the dark.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "docs" / "_diagrams"
OURS = "amplify_mw"
FIRST = ", first seen"

_WIDTH, _BARS_FROM, _BARS_TO = 400, 204, 358
_ROW, _GROUP, _BAR = 24, 38, 14


class Bar(NamedTuple):
    name: str
    value: float
    is_ours: bool


class Group(NamedTuple):
    name: str
    bars: Sequence[Bar]


class Results:
    """The tables of a page, by their titles: rows of cells, each by the head of its column."""

    def __init__(self, page: str) -> None:
        parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
        self._tables = {
            title.strip(): _rows(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)
        }

    def column(self, title: str, head: str) -> dict[str, float]:
        """The medians of a column by the rows' names. Raises `LookupError`."""
        if title not in self._tables:
            raise LookupError(f"the page has no table {title!r}")
        cells = {row[""]: row[head] for row in self._tables[title]}
        return {name: float(cell.split()[0]) for name, cell in cells.items() if cell}


def _rows(text: str) -> list[dict[str, str]]:
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def request(results: Results) -> list[Group]:
    """What a request pays."""
    kinds = ("no cookie", "known token", "known sealed session", "known Amplify cookies")
    groups = []
    for shell in ("WSGI", "ASGI"):
        over = results.column(f"What a request pays: {shell}", "µs over bare")
        bars = [Bar(kind, over[f"{kind}: {OURS}"], is_ours=True) for kind in kinds]
        groups.append(Group(f"{shell}, µs a request", bars))
    return groups


def known(results: Results) -> list[Group]:
    """What a known user's request pays, beside others."""
    return list(_beside(results, ""))


def first_seen(results: Results) -> list[Group]:
    """What a user's first request pays, beside others."""
    return list(_beside(results, FIRST))


def _beside(results: Results, ending: str) -> Iterator[Group]:
    for framework, shell in (("Flask", "WSGI"), ("FastAPI", "ASGI")):
        title = f"Beside others, in an app: {framework} ({shell})"
        over = results.column(title, "µs over bare")
        theirs = results.column(title, "times the library")
        names = [OURS + ending, *(name for name in theirs if name.endswith(FIRST) == bool(ending))]
        bars = [Bar(name.removesuffix(FIRST), over[name], name.startswith(OURS)) for name in names]
        yield Group(f"{framework}, µs a request", bars)


def importing(results: Results) -> list[Group]:
    """What an import takes, beside others."""
    ours = results.column("What importing costs", "ms wall")[f"import {OURS}.wsgi"]
    others = results.column("What importing others costs", "ms wall")
    alone = {name: value for name, value in others.items() if name.startswith("import ")}
    return [
        Group("this library, ms", [Bar(f"{OURS}.wsgi", ours, is_ours=True)]),
        Group(
            "frameworks alone, ms",
            [Bar(name.split()[1].partition(".")[0], value, False) for name, value in alone.items()],
        ),
        Group(
            "other libraries with their frameworks, ms",
            [
                Bar(_short(name), value, False)
                for name, value in others.items()
                if name not in alone
            ],
        ),
    ]


def _short(name: str) -> str:
    return {"Starlette, AuthenticationMiddleware and PyJWT": "Starlette, PyJWT"}.get(name, name)


PLOTS = {
    "cost-request": request,
    "cost-known": known,
    "cost-first-seen": first_seen,
    "cost-import": importing,
}


def svg(groups: Sequence[Group]) -> str:
    """A plot of horizontal bars."""
    scale = (_BARS_TO - _BARS_FROM) / max(bar.value for group in groups for bar in group.bars)
    lines, y = [], 0
    for group in groups:
        y += _GROUP if y else _ROW
        lines.append(f'<text class="strong" x="0" y="{y - 6}">{escape(group.name)}</text>')
        for bar in group.bars:
            y += _ROW
            lines.append(_bar(bar, y, max(bar.value * scale, 1.0)))
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 4}"'
    return "\n".join([f"<svg {box}>", *(f"  {line}" for line in lines), "</svg>", ""])


def _bar(bar: Bar, y: int, length: float) -> str:
    kind, weight = ("bar", " strong") if bar.is_ours else ("faint", "")
    value = f"{bar.value:.1f}" if bar.value < 10 else f"{bar.value:.0f}"
    return (
        f'<text class="small{weight}" x="0" y="{y - 6}">{escape(_short(bar.name))}</text>'
        f'<rect class="{kind}" x="{_BARS_FROM}" y="{y - 17}" width="{length:.1f}" '
        f'height="{_BAR}" rx="2"/>'
        f'<text class="small{weight}" x="{_BARS_FROM + length + 6:.1f}" y="{y - 6}">{value}</text>'
    )


def drawn(page: str) -> dict[str, str]:
    """All plots of a page, by their names. Raises `LookupError` if it lacks a table."""
    results = Results(page)
    return {name: svg(groups(results)) for name, groups in PLOTS.items()}


def draw(page: Path, folder: Path = FOLDER) -> None:
    for name, plot in drawn(page.read_text(encoding="utf-8")).items():
        (folder / f"{name}.svg").write_text(plot, encoding="utf-8")
