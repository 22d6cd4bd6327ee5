"""The documentation's pages and the README, and their programs.

A fenced `python` block of a page is run after the blocks before it, with their names. One that
begins with `>>>` is a doctest. One that begins with `# folder/file.py` is a file of a project. A
comment `<!-- python ... -->` is run, too, and not shown: it stands for the page's surroundings.
"""

import doctest
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text()
    for path in sorted(DOCS.rglob("*.md"))
}
PAGES["README"] = (DOCS.parent / "README.md").read_text()
_BLOCK = re.compile(r"^(?:```(\w+)|<!-- (python))\n(.*?)^(?:```|-->)$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"(?:# |<!-- )(\w+/\w+\.\w+)(?: -->)?\n")


class Block(NamedTuple):
    """A block of a page. `file`: which file of a project it is."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        match = _FILE.match(self.text)
        return match and match[1]


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages."""
    text = PAGES[page]
    found = [
        Block(match[1] or match[2], match[3], text.count("\n", 0, match.start()) + 1)
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in found if block.language in languages]


PROGRAMS = [page for page in PAGES if any(not block.file for block in blocks(page, "python"))]


def run(page: str, only: int | None = None, **names: Any) -> dict[str, Any]:
    """Run the programs of a page; the names in the end. `names`: those in the beginning."""
    module = sys.modules["page"] = ModuleType("page")  # where Litestar looks for a function's names
    namespace: dict[str, Any] = module.__dict__
    namespace.update(names)
    found = blocks(page, "python")
    for block in found if only is None else found[only : only + 1]:
        if block.text.startswith(">>>"):
            _check(block, page, namespace)
        elif not block.file:
            lines = "\n" * block.line  # so that a traceback says where
            exec(compile(lines + block.text, str(DOCS / f"{page}.md"), "exec"), namespace)
    return namespace


def _check(block: Block, page: str, namespace: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, {}, page, f"{page}.md", block.line)
    test.globs = namespace
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append, clear_globs=False)
    assert not said, "".join(said)
