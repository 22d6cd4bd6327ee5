"""Values that have arrived are taken whole, in their order, and nothing else is."""

import asyncio
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.stores.redis import arrived
from amplify_mw.stores.redis.arrived import take_arrived, values_in

VALUES = st.lists(st.one_of(st.none(), st.binary(max_size=40)), max_size=6)
OTHERS = [
    b"",
    b"-ERR $1\r\n",
    b":7\r\n",
    b"*1\r\n$1\r\na\r\n",
    b"+OK\r\n",
    b"$",
    b"$4\r\nab",
    b"$x\r\n",
]


def sent(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


@given(VALUES, st.sampled_from(OTHERS), st.integers(0, 8))
def test_whole_values_are_found_up_to_anything_else(
    values: list[bytes | None], other: bytes, most: int
) -> None:
    wire = [sent(value) for value in values]
    expected = values[:most]
    assert values_in(b"".join(wire) + other, most) == (expected, sum(map(len, wire[:most])))


@given(VALUES, st.data())
def test_a_value_that_has_come_in_part_is_left(values: list[bytes | None], data: Any) -> None:
    wire = b"".join(map(sent, values))
    cut = data.draw(st.integers(0, len(wire)))
    found, size = values_in(wire[:cut], len(values))
    assert found == values[: len(found)]
    assert wire[:size] == b"".join(map(sent, found))
    assert values_in(wire[size:], len(values)) == (values[len(found) :], len(wire) - size)


class Connected:
    """A connection of redis-py's, as far as it is looked at."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader


def taken(wire: bytes, *, broken: bool = False) -> tuple[list[bytes | None], bytes]:
    """What was taken, and what is left to be read."""

    async def take() -> tuple[list[bytes | None], bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(wire)
        if broken:
            reader.set_exception(ConnectionResetError())
        else:
            reader.feed_eof()
        found = await take_arrived(Connected(reader), 2)
        return found, await reader.read()

    return asyncio.run(take())


def test_only_so_many_are_taken() -> None:
    assert taken(b"$1\r\na\r\n$-1\r\n$1\r\nb\r\n") == ([b"a", None], b"$1\r\nb\r\n")


def test_with_hiredis_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrived, "HIREDIS_AVAILABLE", True)
    assert taken(b"$1\r\na\r\n") == ([], b"$1\r\na\r\n")


@pytest.mark.parametrize("reader", [None, object()])
def test_nothing_is_taken_from_a_stream_of_another_make(reader: object) -> None:
    assert asyncio.run(take_arrived(Connected(reader), 2)) == []


def test_a_connection_that_broke_behind_its_last_values_is_told_as_such() -> None:
    with pytest.raises(redis.ConnectionError):
        taken(b"$1\r\na\r\n", broken=True)
