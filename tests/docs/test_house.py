"""How the documentation reads this package's docstrings."""

import sys
from typing import Any

import pytest

from tests.docs.pages import DOCS

pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install --group docs")


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    monkeypatch.delitem(sys.modules, "house", raising=False)
    import house  # type: ignore[import-not-found]  # Sphinx's path has it

    return house


def rst(house: Any, text: str) -> str:
    made: str = "\n".join(house.as_rst(text.split("\n")))
    return made


def test_an_option_is_an_item_of_a_list(house: Any) -> None:
    text = "A line.\n\n`one`: the first,\nin two lines. `two`, `three`: more.\nRaises `ValueError`."
    assert rst(house, text) == (
        "A line.\n\n- `one`: the first, in two lines.\n\n- `two`, `three`: more.\n\n"
        "Raises `ValueError`."
    )


def test_a_list_gets_its_blank_line(house: Any) -> None:
    assert rst(house, "Rules:\n- one\n  more\n- two") == "Rules:\n\n- one\n  more\n\n- two"


def test_an_indented_block_is_code(house: Any) -> None:
    text = "Such as:\n\n    a = 1\n\n    b = 2\n\nAnd so on."
    assert rst(house, text) == "Such as:\n\n::\n\n    a = 1\n\n    b = 2\n\nAnd so on."


def test_a_doctest_stays(house: Any) -> None:
    assert rst(house, "A line.\n\n>>> 1 + 1\n2") == "A line.\n\n>>> 1 + 1\n2"


def test_a_public_name_is_found_by_the_module_that_defines_it(house: Any) -> None:
    assert house._is_same("amplify_mw.AuthUser", "amplify_mw.models.AuthUser")
    assert not house._is_same("amplify_mw.AuthUser", "amplify_mw.models.Jwt")
    assert not house._is_same("amplify_mw.AuthUser", "amplify_mw.nowhere.AuthUser")


def test_a_reason_is_a_definition_with_its_anchor_and_answers(house: Any) -> None:
    (each,) = [each for each in house.reasons() if each.code == "wrong_audience"]
    assert house.entry(each) == (
        "[`wrong_audience`]{#wrong_audience} [401, cookie cleared]{.answer}\n"
        f": {each.meaning}\n\n"
        f"  [Usual cause]{{.label}} {each.cause}\n\n"
        f"  [To mend it]{{.label}} {each.mend} See [](/bearer.md#bound-to-this-api).\n"
    )
