"""The page on the audit says what the lines hold: no field more, and none less."""

import io
import json
import re
from typing import Any

from amplify_mw.audit import AuditLog
from amplify_mw.events import Event, Refused, Revoked, SignedIn, SignedOut, SignInFailed
from tests.docs.pages import PAGES, blocks

REQUEST = ("stored", "eu-west-1_Ab12Cd34E", "web", "0f3c9d52", "GET", "/")
FAILED = SignInFailed(
    *("provider_error", "routes", 502, "invalid_scope", "why", "mend"),
    *("stored", "eu-west-1_Ab12Cd34E", "web", "GET", "/", "203.0.113.7"),
)
REFUSED = Refused("not_permitted", 403, "require_auth", "why", *REQUEST, "abc", "203.0.113.7")
EVENTS: list[Event] = [
    SignedIn("app", *REQUEST, "abc", "203.0.113.7"),
    SignedOut("here", *REQUEST, "abc", "203.0.113.7"),
    *[REFUSED] * 2,
    *[FAILED] * 102,
    Revoked(True, "", False, *REQUEST[1:4]),
    Revoked(False, "throttled", True, *REQUEST[1:4]),
]


class Broken(io.BytesIO):
    """Does not take its first line."""

    is_full = True

    def write(self, data: Any) -> int:
        was_full, self.is_full = self.is_full, False
        if was_full:
            raise OSError(28, "No space left on device")
        return super().write(data)


def lines() -> list[dict[str, Any]]:
    """Lines of every kind, with all that can be known."""
    stream = Broken()
    log = AuditLog(stream)
    for event in (EVENTS[0], *EVENTS):
        log(event)
    log.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def names(value: object, prefix: str = "") -> set[str]:
    """The dotted names of the fields of an object."""
    if not isinstance(value, dict):
        return {prefix}
    inner = {f"{prefix}.{key}".lstrip("."): each for key, each in value.items()}
    return set().union(*(names(each, name) for name, each in inner.items()))


def table(head: str) -> dict[str, str]:
    """The rows of a table of the page, by the names in their first column."""
    rows = PAGES["audit"].partition(f"| {head} |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| (`.*?) \| (.*) \|$", rows, re.MULTILINE)
    return {name: said for cell, said in found for name in re.findall("`([^`]+)`", cell)}


def test_every_field_is_in_the_table_and_no_other() -> None:
    written = set().union(*map(names, lines()))
    assert written == table("field").keys()


def test_every_action_is_in_the_table_and_no_other() -> None:
    assert {line["event"]["action"] for line in lines()} == table("`event.action`").keys()


def test_the_values_that_the_table_names_are_the_ones_there_are() -> None:
    said = table("field")
    found = lines()
    for name, values in (
        ("event.kind", {line["event"]["kind"] for line in found}),
        ("event.outcome", {line["event"]["outcome"] for line in found}),
        ("event.type", {each for line in found for each in line["event"]["type"]}),
        ("event.category", {c for line in found for c in line["event"].get("category", [])}),
    ):
        assert set(re.findall('"([a-z_]+)"', said[name])) == values


def test_the_line_on_the_page_is_one() -> None:
    [example] = blocks("audit", "json")
    shown, [line, *_] = json.loads(example.text), lines()[1:]
    assert names(shown) == names(line)
    assert shown["event"] == line["event"]
    assert shown["ecs"] == line["ecs"]
