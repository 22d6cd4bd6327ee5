"""The store of the documentation keeps the contract, by the tests that its page shows."""

from typing import Any

from tests.docs.pages import blocks

NAMES: dict[str, Any] = {"__name__": "page"}
for block in blocks("stores", "python")[:2]:
    exec(block.text, NAMES)
TestStoreOfThePage = NAMES["TestDictStore"]
