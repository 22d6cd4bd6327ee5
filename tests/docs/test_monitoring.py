"""The page on monitoring: its formatter of the log, and the names that it lists."""

import json
import logging
import re
from typing import get_args

from amplify_mw.effects import OperationName
from amplify_mw.engine.lines import write_line
from amplify_mw.events import Refused
from amplify_mw.log import FIELDS
from tests.docs.pages import PAGES, blocks, run

PAGE = PAGES["monitoring"]


def test_the_formatter_writes_one_line_of_json_with_all_there_is() -> None:
    [number] = [
        number
        for number, block in enumerate(blocks("monitoring", "python"))
        if "JSONLines" in block.text
    ]
    names = run("monitoring", only=number)
    ours, lines = logging.getLogger("amplify_mw"), []
    handler = names["handler"]
    handler.emit = lambda record: lines.append(handler.format(record))
    try:
        refused = Refused("bad_signature", 401, "cookie", session="token", path="/a\u2028\nb")
        write_line(refused, loudly=True)
        write_line(refused, error=ValueError("why\nso"))
    finally:
        ours.removeHandler(handler)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
    first, second = map(json.loads, lines)
    [example] = blocks("monitoring", "json")
    assert first.keys() == json.loads(example.text).keys()
    assert {name: first[name] for name in FIELDS} == {
        "reason": "bad_signature", "kind": "token", "path": "/a\u2028\nb",
        "pool": None, "client": None,
    }  # fmt: skip
    assert "ValueError: why" in second["traceback"]


def test_the_page_lists_each_operation() -> None:
    listed = re.search(r"- Operations are .*?\n-", PAGE, re.DOTALL)
    assert listed
    assert set(get_args(OperationName)) == set(re.findall(r"`(\w+)`", listed[0]))
