"""Which node of a cluster a command goes to, and what its answer means for that. Pure.

Rules:
- Only primaries are asked: a replica may not know of a session's end yet.
- A cluster is described by any of its nodes. After a node has passed a command on, has failed or
  was silent, another is asked for a new description, but at most ten times a second.
- A command goes to a few nodes at most, however often these pass it on. It is sent again if it was
  refused, or if its connection broke: see `scripts`.
- `in_order`: one command at a time, for two may go to different nodes.
"""

import random
import time
from collections.abc import Generator
from typing import Any, Final, NamedTuple, TypeAlias

import redis
from redis.crc import key_slot

from .commands import Batch, Command
from .errors import kind
from .urls import Address

SLOTS: Final = 16_384
_SENDINGS: Final = 6  # of one command, at most
_PAUSE: Final = 0.05  # seconds before a command is sent again that a node could not answer yet
_REST: Final = 0.1  # seconds between two descriptions of the cluster


class TooManyMoves(redis.RedisError):
    """The nodes of a cluster pass a command on to each other, again and again."""


class NoOwner(redis.RedisError):
    """No primary has the slot of a key."""


class Trip(NamedTuple):
    """Where commands go. `is_asking`: each behind an `ASKING`, since its slot is moving there."""

    to: Address
    is_asking: bool = False


Round: TypeAlias = dict[Trip, list[Command]]
"""Commands to be sent at once. Is answered by the answers of each trip, or its failure."""


class Learn(NamedTuple):
    """Have a node describe the cluster. Is answered by None, or by the failure."""


class Pause(NamedTuple):
    """Wait."""

    seconds: float


Step: TypeAlias = Round | Learn | Pause
Routing: TypeAlias = Generator[Step, Any, list[Any]]


class Slots:
    """What is known of a cluster: the primary of each slot, and all nodes."""

    def __init__(self) -> None:
        self.nodes: tuple[Address, ...] = ()
        self.times_learned: int = 0
        self._owners: list[Address | None] = [None] * SLOTS
        self._doubted: set[Address] = set()
        self._is_old = True
        self._informed: Address | None = None  # it should know of the last move
        self._learned_at = -_REST

    def owner(self, key: bytes) -> Address | None:
        """The primary that has a key."""
        return self._owners[key_slot(key)]

    @property
    def primaries(self) -> tuple[Address, ...]:
        """The nodes that have slots."""
        return tuple(dict.fromkeys(owner for owner in self._owners if owner is not None))

    def move(self, key: bytes, to: Address) -> None:
        """A node has said that another has the slot of a key."""
        self._owners[key_slot(key)] = self._informed = to
        self._is_old = True

    def doubt(self, address: Address) -> None:
        """A node has failed: another may have its slots."""
        self._doubted.add(address)

    def grow_old(self) -> None:
        """Let the next command look for changes."""
        self._is_old = True

    def is_due(self, *addresses: Address | None) -> bool:
        """Whether to learn anew before a command is sent to these."""
        if not self.nodes:
            return True
        if not (self._is_old or self._doubted or None in addresses):
            return False
        if time.monotonic() < self._learned_at + _REST:
            return False
        return self._is_old or any(a is None or a in self._doubted for a in addresses)

    def sources(self) -> list[Address]:
        """The nodes to ask, in any order. Those in doubt are at the end."""
        nodes = random.sample(self.nodes, len(self.nodes))
        return sorted(nodes, key=lambda node: (node in self._doubted, node != self._informed))

    def tried(self) -> None:
        """A description was asked for, whether or not one came."""
        self._learned_at = time.monotonic()

    def learn(self, answer: Any, asked: Address) -> None:
        """The answer of a node to `CLUSTER SLOTS`. Raises `ValueError` if it is none."""
        owners: list[Address | None] = [None] * SLOTS
        nodes: dict[Address, None] = {}
        for first, last, addresses in parsed(answer, asked):
            nodes.update(dict.fromkeys(addresses))
            owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
        if not nodes:
            raise NoOwner
        self._owners = owners
        self.nodes = tuple(nodes)
        self._doubted = set()
        self._is_old = False
        self.times_learned += 1

    def direct(self, batch: Batch) -> Address | None:
        """Where a single command goes if nothing speaks against it: the way of nearly all."""
        if self._is_old or self._doubted or len(batch.commands) != 1:
            return None
        return self._owners[key_slot(batch.commands[0].key)]


def is_settled(answer: Any) -> bool:
    """Whether an answer is one, or a refusal for good."""
    return not _meaning(answer, False)


def parsed(answer: Any, asked: Address) -> list[tuple[int, int, list[Address]]]:
    """Ranges of slots, each with its primary and the replicas of that."""
    try:
        return [
            (_slot(first), _slot(last), [_address(node, asked) for node in nodes])
            for first, last, *nodes in answer
            if nodes and nodes[0][0] != b"?"
        ]
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError from error


def _slot(number: int) -> int:
    if not 0 <= number < SLOTS:
        raise ValueError
    return number


def _address(node: list[Any], asked: Address) -> Address:
    host, port = node[0], node[1]
    # A node that does not know its own name means the one by which it was asked.
    return (host.decode() if host else asked[0]), int(port)


def routed(slots: Slots, batch: Batch) -> Routing:
    """Send a batch to where its keys are: the answers, errors in their places."""
    if not batch.in_order or len(batch.commands) == 1:
        return (yield from _settled(slots, batch.commands))
    answers: list[Any] = []
    for command in batch.commands:
        answers += yield from _settled(slots, (command,))
        if isinstance(answers[-1], Exception) and kind(answers[-1]) != "WRONGTYPE":
            break
    return answers


def _settled(slots: Slots, commands: tuple[Command, ...]) -> Routing:
    """The answers to commands that are sent at once."""
    if slots.is_due(*[slots.owner(command.key) for command in commands]):
        failure = yield Learn()
        if not slots.nodes:
            raise failure or NoOwner()
    answers: list[Any] = [TooManyMoves()] * len(commands)
    waiting: dict[int, Address | None] = dict.fromkeys(range(len(commands)))  # for whom, if for one
    for _ in range(_SENDINGS):
        trips: dict[Trip, list[int]] = {}
        for number, asked in [*waiting.items()]:
            to = asked or slots.owner(commands[number].key)
            if to is None:
                answers[number] = NoOwner()
                del waiting[number]
            else:
                trips.setdefault(Trip(to, asked is not None), []).append(number)
        if not trips:
            return answers
        waiting = yield from _sent(slots, commands, trips, answers)
    for number in waiting:
        answers[number] = TooManyMoves()
    return answers


def _sent(
    slots: Slots, commands: tuple[Command, ...], trips: dict[Trip, list[int]], answers: list[Any]
) -> Generator[Step, Any, dict[int, Address | None]]:
    """Send commands, note their answers. Returns those to be sent again, and where to if known."""
    got = yield {trip: [commands[number] for number in trips[trip]] for trip in trips}
    again: dict[int, Address | None] = {}
    failed: dict[int, Address] = {}
    pause = False
    for trip, numbers in trips.items():
        found = got[trip]
        if isinstance(found, Exception):
            found = [found] * len(numbers)
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = answer
            match _meaning(answer, isinstance(got[trip], Exception)):
                case "moved":
                    slots.move(commands[number].key, _named(answer, trip.to))
                    again[number] = None
                case "ask":
                    again[number] = _named(answer, trip.to)
                case "again":
                    again[number] = trip.to if trip.is_asking else None
                    pause = True
                case "doubt":
                    slots.doubt(trip.to)
                    failed[number] = trip.to
    if failed:
        if slots.is_due(*failed.values()):
            yield Learn()
        for number, address in failed.items():
            if slots.owner(commands[number].key) not in (None, address):
                again[number] = None
    if pause:
        yield Pause(_PAUSE)
    return again


_MEANINGS: Final = {
    "MOVED": "moved",
    "ASK": "ask",
    "TRYAGAIN": "again",
    **dict.fromkeys(("CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING"), "doubt"),
}


def _meaning(answer: Any, is_failure: bool) -> str:
    """What to do about an answer; "" if it is one. `is_failure`: the connection's."""
    if is_failure:
        return "doubt"
    return _MEANINGS.get(kind(answer), "") if isinstance(answer, Exception) else ""


def _named(error: Any, asked: Address) -> Address:
    """The node that a refusal names."""
    return error.host or asked[0], error.port
