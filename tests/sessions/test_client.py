"""What the operator is told of a store: once, however it fails."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any, cast, get_type_hints

import pytest

from amplify_mw.effects import Ask, Outage, Unreachable
from amplify_mw.sessions.client import StoreClient
from amplify_mw.sessions.record import Record
from amplify_mw.sessions.store import Memory, Store
from amplify_mw.stores.base import SessionStore
from amplify_mw.stores.memory import MemoryStore


class Log:
    """A client whose store answers as it is told to, and what the operator reads of it."""

    def __init__(self) -> None:
        self._store = StoreClient(cast("Any", object()), cast("Any", object()), list)
        self.now = 1_000_000.0
        self.lines: list[str] = []

    def ask(self, method: str, why: str = "") -> None:
        """Ask the store; `why` it fails, if it does."""
        flow: Generator[Any, Any, Any] = self._store.ask(getattr(Store, method), b"key")
        assert isinstance(next(flow), Ask)
        failure = Unreachable(why)
        failure.now = self.now
        with suppress(StopIteration, Unreachable):
            effect = flow.throw(failure) if why else flow.send(("answer", self.now))
            while True:
                assert isinstance(effect, Outage)
                self.lines.append("again" if effect.over else effect.why)
                effect = flow.send((None, self.now))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.mark.parametrize("method", ["load", "replace"])
def test_an_outage_and_its_end_are_told_once(log: Log, method: str) -> None:
    for _ in range(3):
        log.ask(method, "no answer")
    for _ in range(3):
        log.ask(method)

    assert log.lines == ["no answer", "again"]


def test_reads_that_are_answered_end_no_outage_of_writes(log: Log) -> None:
    for _ in range(9):
        log.ask("replace", "READONLY")
        log.ask("load")
        log.ask("of_user")

    assert log.lines == ["READONLY"]
    log.ask("create")
    assert log.lines == ["READONLY", "again"]


def test_an_outage_that_a_write_noticed_ends_with_a_read_where_reads_failed_too(log: Log) -> None:
    log.ask("create", "no answer")
    log.ask("load", "no answer")
    log.ask("load")

    assert log.lines == ["no answer", "again"]


def test_a_store_that_fails_every_other_time_is_told_of_once_a_minute(log: Log) -> None:
    for _ in range(180):
        log.ask("load", "MOVED")
        log.ask("load")
        log.now += 1

    assert log.lines == ["MOVED", "again"] * 3


def test_another_cause_is_told_at_once(log: Log) -> None:
    log.ask("load", "no answer")
    log.ask("load")
    log.ask("load", "wrong password")

    assert log.lines == ["no answer", "again", "wrong password"]


def test_a_clock_that_was_set_back_silences_nothing(log: Log) -> None:
    log.ask("load", "no answer")
    log.ask("load")
    log.now -= 3600
    log.ask("load", "no answer")

    assert log.lines == ["no answer", "again", "no answer"]


def test_causes_without_end_are_not_all_kept(log: Log) -> None:
    for number in range(1000):
        log.ask("load", f"cause {number}")
        log.ask("load")

    assert len(log._store._told) <= 100


# What sessions ask for. (`amplify-mw doctor` examines, an app closes.)
NO_CALLS = ("close", "examine")
CALLS = sorted(
    name for name in vars(SessionStore) if not name.startswith("_") and name not in NO_CALLS
)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_the_types_of_the_contract(name: str) -> None:
    def types(kind: type) -> dict[str, Any]:
        return get_type_hints(getattr(kind, name), localns={"Record": Record})

    assert types(Store) == types(SessionStore)


def test_the_calls_are_all_of_the_contract_and_one_of_this_process() -> None:
    def calls(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert calls(Store) == set(CALLS)
    assert calls(Memory) == {*CALLS, "exchange"} <= calls(MemoryStore)
