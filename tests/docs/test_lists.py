"""What the documentation lists is what there is."""

import re
from typing import get_args

from amplify_mw.config.files import VARIABLES
from amplify_mw.events import Event
from amplify_mw.reasons import EXPLANATIONS
from tests.docs.pages import DOCS, PAGES

ERRORS = PAGES["errors"]
ANCHORS = set(EXPLANATIONS)
LINKS = [
    (page, anchor)
    for page, text in PAGES.items()
    for anchor in re.findall(r"errors\.md#(\w*_\w*)\)", text)
]


def test_each_group_of_reasons_is_on_its_page_once() -> None:
    groups = re.findall(r"^```\{reasons\} (\w+)$", ERRORS, re.MULTILINE)
    assert sorted(groups) == sorted({each.group for each in EXPLANATIONS.values()})
    assert ERRORS.count("```{reason-table}") == 1


def test_a_link_to_a_reason_leads_to_one() -> None:
    assert len(LINKS) > 10
    for page, anchor in LINKS:
        assert anchor in ANCHORS, page


def test_more_about_a_reason_is_a_page_and_a_heading() -> None:
    for each in EXPLANATIONS.values():
        path, _, slug = each.see.partition("#")
        if path:
            headings = re.findall(r"^#+ (.*)$", PAGES[path.removesuffix(".md")], re.MULTILINE)
            assert not slug or slug in {_slug(heading) for heading in headings}, each.see


def _slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


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
