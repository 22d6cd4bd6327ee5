"""How tests are shared out among workers."""

from pathlib import Path

import pytest

from tests.scheduling import FIRST, TOGETHER, Indexed

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("scope", [*FIRST, *TOGETHER])
def test_what_is_given_out_first_or_together_is_there(scope: str) -> None:
    """One that has moved would come last again."""
    assert (ROOT / scope).is_file() or (scope in TOGETHER and (ROOT / "tests" / scope).is_dir())


def test_each_name_is_found_at_its_place() -> None:
    names = Indexed(["a", "b", "c"])
    assert [names.index(name) for name in names] == [0, 1, 2]
