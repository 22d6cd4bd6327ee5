"""The operations of a `RedisStore`. Pure, except for random numbers.

Rules:
- Each operation is written once, as a generator: it yields a `Batch` of commands, is sent their
  answers, and returns the result. One batch is one round trip to a single server. Sending it takes
  no knowledge of sessions. If a batch fails, `StoreUnavailable` is thrown in.
- Writes are scripts with one key, so each is atomic, wherever its key is.
- All of a session is under one key: record, version, stamp and lease.
- A user's list is a key of its own, perhaps on another server. It is written before a session is
  created, and after it has ended: so it holds every session that lives, and some that have ended.
  Those leave it when they expire. Nobody who reads a list takes anything out: a session may be
  about to be created.
- A list may be lost and its sessions kept. `load` and `reload` repair it.

Keys, after the prefix: `s:` and a session's key (a packed session), `u:` and the hash of a user (a
sorted set: the keys of that user's sessions, by the second in which they expire). Changes are
published on `changed`. All but the channel expire by themselves.
"""

import hashlib
import math
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ...sessions.record import ENDED, Record, tombstone
from ..base import StoreUnavailable
from . import scripts
from .errors import may_be_the_lists
from .records import FENCE_AT, STAMP_AT, new_stamp, pack, pack_text, unpack

T = TypeVar("T")
Words: TypeAlias = tuple[bytes | str | int, ...]

_NAME: Final = 16  # bytes of a hash


class Command(NamedTuple):
    """A command's words, and the one key that it touches: that decides the node of a cluster.

    `to_replicas`: what it writes must not be lost with a primary, as far as the store was told to
    see to that. A user's list may be lost: replicas of its node are not waited for.
    """

    words: Words
    key: bytes
    to_replicas: bool = False


class Batch(NamedTuple):
    """Commands to be sent together.

    `in_order`: none is carried out before the one in front of it, and none on another node after a
    failure. Without it the nodes of a cluster are asked at once.
    """

    commands: tuple[Command, ...]
    in_order: bool = False

    @property
    def to_replicas(self) -> bool:
        """Whether one of the commands has to reach replicas."""
        for command in self.commands:  # noqa: SIM110  # `any` takes twice as long
            if command.to_replicas:
                return True
        return False


class Listing(NamedTuple):
    """The name of the list that holds a session, and the second until which it does."""

    name: bytes
    until: int


Operation: TypeAlias = Generator[Batch, list[Any], T]


class Commands:
    """The commands of one prefix, named as the methods of the store.

    `is_apart`: a session and its user's list may be on different nodes.
    """

    def __init__(self, prefix: bytes, *, is_apart: bool = False) -> None:
        self.is_apart: bool = is_apart
        self.channel: bytes = prefix + b"changed"
        self._session_prefix = prefix + b"s:"
        self._list_prefix = prefix + b"u:"

    # Reading

    def load(self, key: bytes, repair: Listing | None = None) -> Operation[Record | None]:
        """The record under a key, or None. `repair`: have it listed there, in the same batch."""
        packed, *_ = yield self._reading(self._get(key), key, repair)
        return unpack(packed)

    def reload(
        self, key: bytes, known: Record, repair: Listing | None = None
    ) -> Operation[Record | None]:
        """The same; `known` itself if that is still the one."""
        stamp, *_ = yield self._reading(self._stamp(key), key, repair)
        if stamp == known.stamp:
            return known
        return (yield from self.load(key)) if stamp else None

    def stamp(self, key: bytes) -> Batch:
        """Asks for the stamp of the record under a key; it is b"" if there is none."""
        return Batch((self._stamp(key),))

    def _reading(self, question: Command, key: bytes, repair: Listing | None) -> Batch:
        return Batch((question,) if repair is None else (question, _enlist(key, repair)))

    def listed(self, user: str) -> Operation[list[bytes]]:
        """The keys in a user's list. Some of these sessions may have ended."""
        if not user:
            return []
        name = self.list_of(user)
        (keys,) = yield Batch((Command(("ZRANGE", name, 0, -1), name),))
        return keys or []

    def of_user(self, user: str) -> Operation[list[tuple[bytes, Record]]]:
        """The keys and records of a user, the latest seen first."""
        keys = yield from self.listed(user)
        if not keys:
            return []
        found = yield Batch(tuple(self._get(key) for key in keys))
        records = zip(keys, map(unpack, found), strict=True)
        own = [(key, r) for key, r in records if r is not None and r.user == user]
        return sorted(own, key=lambda pair: pair[1].seen_at, reverse=True)

    # Writing

    def create(self, key: bytes, record: Record) -> Operation[bool]:
        """Keeps a record under a key without a record: whether it was kept."""
        commands = [self._keep(scripts.CREATE, key, record)]
        if record.user:
            commands.insert(0, _enlist(key, self.listing(record)))
        answers = yield Batch(tuple(commands), in_order=True)
        return bool(answers[-1])

    def replace(self, key: bytes, record: Record) -> Operation[bool]:
        """Keeps a record in place of one of the same or a lower version: whether it was kept."""
        return self._replace(key, record, "", record.version == ENDED)

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> Operation[bool]:
        """The same, and gives a lease back."""
        return self._replace(key, record, fence, True)

    def _replace(
        self, key: bytes, record: Record, fence: int | str, to_replicas: bool
    ) -> Operation[bool]:
        # In any order: the session has been in the list since it was created.
        keep = self._keep(scripts.REPLACE, key, record, fence)
        commands = [keep._replace(to_replicas=to_replicas)]
        if record.user:
            commands.insert(0, _enlist(key, self.listing(record)))
        answers = yield Batch(tuple(commands))
        return bool(answers[-1])

    def delete(self, key: bytes, listed: bytes | None) -> Operation[bool]:
        """Forgets a record: whether there was one. `listed`: the list that it may be in."""
        arguments = (new_stamp(), key, self.channel, "")
        removal = _run(scripts.REMOVE, self._session(key), *arguments)
        return (yield from self._end(key, removal, listed)) is not None

    def end(
        self, key: bytes, asks_again: bool = False, *, listed: bytes | None
    ) -> Operation[Record | None]:
        """Ends a session: its record, or None. `listed`: the list that it may be in."""
        if asks_again:
            return self._end(key, self._bury(key, ""), listed)
        arguments = (new_stamp(), key, self.channel, "1")
        removal = _run(scripts.REMOVE, self._session(key), *arguments)
        return self._end(key, removal, listed)

    def _end(self, key: bytes, ending: Command, listed: bytes | None) -> Operation[Record | None]:
        """Carries out an ending, then takes the session out of its user's list."""
        ending = ending._replace(to_replicas=True)
        commands = [ending]
        if listed is not None:
            commands.append(_run(scripts.UNLIST, listed, key))
        try:
            packed, *_ = yield Batch(tuple(commands), in_order=True)
        except StoreUnavailable as error:
            if listed is None or not may_be_the_lists(error, is_apart=self.is_apart):
                raise
            # The list may be elsewhere, and out of reach. It does no harm there.
            (packed,) = yield Batch((ending,))
        record = unpack(packed)
        name = self.list_of(record.user) if record is not None and record.user else listed
        if name is not None and name != listed:
            with suppress(StoreUnavailable):
                yield Batch((_run(scripts.UNLIST, name, key),))
        return record

    def end_all(self, user: str, keys: Sequence[bytes]) -> Operation[list[bytes]]:
        """Ends those of these sessions that are a user's: their keys."""
        if not keys:
            return []
        burials = (self._bury(key, user)._replace(to_replicas=True) for key in keys)
        ended = yield Batch(tuple(burials))
        return [key for key, has_ended in zip(keys, ended, strict=True) if has_ended]

    # Leases

    def acquire(self, key: bytes, seconds: float) -> Operation[int | None]:
        """Takes the lease on a record: its fence, or None."""
        ((fence, _),) = yield self._acquire(key, seconds, "")
        return None if fence is None else int(fence)

    def acquire_and_load(
        self, key: bytes, seconds: float
    ) -> Operation[tuple[int | None, Record | None]]:
        """Takes the lease on a record, and loads the record."""
        ((fence, packed),) = yield self._acquire(key, seconds, "1")
        return None if fence is None else int(fence), unpack(packed)

    def _acquire(self, key: bytes, seconds: float, and_load: str) -> Batch:
        # A taker, so that asking again does not find the lease taken.
        arguments = (new_stamp(), _milliseconds(seconds), and_load)
        return Batch((_run(scripts.ACQUIRE, self._session(key), *arguments),))

    def renew(self, key: bytes, fence: int, seconds: float) -> Operation[bool]:
        """Holds a lease for longer: whether this fence still held it."""
        milliseconds = _milliseconds(seconds)
        (held,) = yield Batch((_run(scripts.RENEW, self._session(key), fence, milliseconds),))
        return bool(held)

    def release(self, key: bytes, fence: int) -> Operation[None]:
        """Gives a lease back."""
        yield Batch((_run(scripts.RENEW, self._session(key), fence, 0),))

    # Commands

    def list_of(self, user: str) -> bytes:
        """The name of a user's list. Users whose hashes collide share one, and see their own."""
        return self._list_prefix + hashlib.sha256(pack_text(user)).digest()[:_NAME]

    def listing(self, record: Record) -> Listing:
        """The place of somebody's record in their list."""
        return Listing(self.list_of(record.user), math.ceil(_bounded(record.expires_at)))

    def _session(self, key: bytes) -> bytes:
        return self._session_prefix + key

    def _get(self, key: bytes) -> Command:
        name = self._session(key)
        return Command(("GET", name), name)

    def _stamp(self, key: bytes) -> Command:
        name = self._session_prefix + key
        return Command(("GETRANGE", name, STAMP_AT, FENCE_AT - 1), name)

    def _keep(self, script: str, key: bytes, record: Record, *more: int | str) -> Command:
        expiry = int(_bounded(record.expires_at) * 1000)
        arguments = (pack(record, new_stamp()), expiry, key, self.channel, *more)
        return _run(script, self._session(key), *arguments)

    def _bury(self, key: bytes, user: str) -> Command:
        """Ends a session; with a `user`, only one of theirs."""
        buried = pack(tombstone(0.0, asks_again=True), new_stamp())
        owner = pack_text(user) if user else b""
        return _run(scripts.BURY, self._session(key), buried, key, self.channel, owner)


def _run(script: str, key: bytes, *arguments: bytes | str | int) -> Command:
    # The whole text: the server knows it by its hash, and nothing breaks when it has forgotten.
    return Command(("EVAL", script, 1, key, *arguments), key)


def _enlist(key: bytes, listing: Listing) -> Command:
    return _run(scripts.ENLIST, listing.name, listing.until, key)


def _bounded(time: float) -> float:
    return min(max(0.001, time), 9e12)


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, 1e9) * 1000))
