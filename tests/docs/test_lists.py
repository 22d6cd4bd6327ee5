"""What the documentation lists is what there is."""

import re
from typing import get_args

import pytest

from amplify_mw.config.files import VARIABLES
from amplify_mw.errors import Reason
from amplify_mw.events import Event
from amplify_mw.routes.failures import Code
from tests.docs.pages import DOCS, PAGES

ERRORS = PAGES["errors"]
ANCHORS = re.findall(r"^\[`(\w+)`\]\{#(\w+)\}", ERRORS, re.MULTILINE)


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_has_its_anchor(reason: str) -> None:
    assert ANCHORS.count((reason, reason)) == 1


def test_an_anchor_is_a_reason_or_a_code() -> None:
    known = {*get_args(Reason), *map(str, Code), "foreign_origin"}
    assert {name for pair in ANCHORS for name in pair} == known


def test_every_code_of_a_failed_sign_in_has_its_status() -> None:
    section = ERRORS.partition("## Codes of a failed sign-in")[2].partition("\n## ")[0]
    rows = re.findall(r"^\[?`(\w+)`(?:\]\{#\w+\})? \((\d{3})\)$", section, re.MULTILINE)
    documented = {code: int(status) for code, status in rows}
    assert documented == {str(code): code.status for code in Code}


def test_every_environment_variable_is_there() -> None:
    rows = re.findall(r"^\| `(AMPLIFY_\w+)` \|", PAGES["configuration"], re.MULTILINE)
    assert rows == list(VARIABLES)


def test_every_event_is_there() -> None:
    rows = re.findall(r"^\| `(\w+)` \| \w", PAGES["events"], re.MULTILINE)
    assert set(rows) == {event.__name__ for event in get_args(Event)}


def test_the_cases_of_the_comparison_are_counted() -> None:
    table = (DOCS.parent / "tests" / "amplify_js" / "PARITY.md").read_text()
    counted = re.search(r"^(\d+) cases", table, re.MULTILINE)
    assert counted is not None
    assert f"{counted[1]} cases one by one" in PAGES["amplify-js"]


def test_a_page_is_in_the_contents() -> None:
    named = re.findall(
        r"^```\{toctree\}\n(.*?)^```", "\n".join(PAGES.values()), re.DOTALL | re.MULTILINE
    )
    lines = {line for block in named for line in block.splitlines() if not line.startswith(":")}
    for page in PAGES.keys() - {"index", "README"}:
        parts = page.split("/")
        assert page in lines or parts[-1] in lines, page
