"""The table of frameworks: the versions are those tested here, and each cell has a test."""

import ast
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES

ROOT = DOCS.parent
PACKAGES = {"Django REST framework": "djangorestframework"}
EMPTY = "-"
_TEST = re.compile(r"- ([a-z ]+): `(tests/[\w/]+\.py)::([\w:]+)(?:\[(\w+)\])?`")


def table() -> dict[str, dict[str, str]]:
    """The cells of each framework in the page's tables, by the names of their columns."""
    found: dict[str, dict[str, str]] = {}
    names: list[str] = []
    for line in PAGES["frameworks/index"].splitlines():
        if not line.startswith("| "):
            continue
        first, *cells = line.strip("| ").split(" | ")
        if first == "framework":
            names = cells
        else:
            row = found.setdefault(first.partition("]")[0].removeprefix("["), {})
            row.update(zip(names, cells, strict=True))
    return found


def listed_tests() -> dict[str, list[tuple[str, str, str, str]]]:
    """The tests of each framework: the column, the file, the name, and its parameter or ""."""
    parts = re.split(r"^## (.+)\n", PAGES["frameworks/tested"], flags=re.MULTILINE)[1:]
    return {name: _TEST.findall(part) for name, part in zip(parts[::2], parts[1::2], strict=True)}


@cache
def defined(path: Path) -> set[str]:
    """The names of a file's tests; those of a class as `Class::test`."""
    found = set()
    for node in ast.parse(path.read_bytes()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + each.name for each in inside if isinstance(each, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("framework", table())
def test_the_version_is_the_one_tested_here(framework: str) -> None:
    installed = version(PACKAGES.get(framework, framework))
    assert table()[framework]["version"] == ".".join(installed.split(".")[:2])


@pytest.mark.parametrize("framework", table())
def test_each_cell_has_a_test_that_is_there(framework: str) -> None:
    cells = table()[framework]
    del cells["version"]
    listed = listed_tests()[framework]
    assert [column for column, *_ in listed] == [
        column for column, cell in cells.items() if cell != EMPTY
    ]
    for _, file, name, parameter in listed:
        assert name in defined(ROOT / file)
        assert not parameter or f"def {parameter}(" in (ROOT / file).read_text()


def test_each_integration_has_a_row() -> None:
    found = {
        path.stem
        for path in (ROOT / "amplify_mw" / "integrations").iterdir()
        if path.stem not in ("__init__", "__pycache__", "answering", "current", "signals", "mcp")
    }
    assert found <= {framework.lower() for framework in table()}
    assert set(table()) == set(listed_tests())
