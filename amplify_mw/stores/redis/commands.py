"""The operations of a `RedisStore`. Pure, except for random numbers.

Rules:
- Each operation is written once, as a generator: it yields a `Batch` of commands, is sent their
  answers, and returns the result. One batch is one round trip to a single server. Sending it takes
  no knowledge of sessions.
- Writes are scripts, so each is atomic.
- A user's list may be evicted before its sessions are. `load_listed` repairs it, in one round trip
  like `load`. A store uses it for sessions it has not seen listed for a while.

Keys, after the prefix: `s:` and a session's key (a packed record), `l:` and the same (its lease),
`u:` and the SHA-1 of a user (the keys of that user's sessions, by when they expire), `fence` (the
last fence given). Changes are published on `changed`. All but the channel expire by themselves.
"""

import hashlib
import secrets
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ...sessions.record import Record
from . import scripts
from .records import encode, pack, unpack

T = TypeVar("T")
Words: TypeAlias = tuple[bytes | str | int, ...]


class Command(NamedTuple):
    """A command's words, and the one key that it touches: that decides the node of a cluster."""

    words: Words
    key: bytes


class Batch(NamedTuple):
    """Commands to be sent together.

    `in_order`: none is carried out before the one in front of it, and none after a failure. Without
    it the nodes of a cluster are asked at once. `to_replicas`: what it writes must not be lost with
    a primary, as far as the store was told to see to that.
    """

    commands: tuple[Command, ...]
    in_order: bool = False
    to_replicas: bool = False


Operation: TypeAlias = Generator[Batch, list[Any], T]


class Commands:
    """The commands of one prefix, named as the methods of the store."""

    def __init__(self, prefix: bytes) -> None:
        self.channel: bytes = prefix + b"changed"
        self._prefix = prefix
        self._user_prefix = prefix + b"u:"

    def load(self, key: bytes) -> Operation[Record | None]:
        """The record under a key, or None."""
        name = self._session(key)
        (packed,) = yield Batch((Command(("GET", name), name),))
        return unpack(packed)

    def load_listed(self, key: bytes) -> Operation[Record | None]:
        """The same; puts the session back into its user's list if it is missing there."""
        (packed,) = yield _script(scripts.LOAD, (self._session(key),), (key, self._user_prefix))
        return unpack(packed)

    def create(self, key: bytes, record: Record) -> Operation[bool]:
        """Keeps a record under a key without a record: whether it was kept."""
        return self._write(scripts.CREATE, key, record)

    def replace(self, key: bytes, record: Record) -> Operation[bool]:
        """Keeps a record in place of one of the same or a lower version: whether it was kept."""
        return self._write(scripts.REPLACE, key, record)

    def _write(self, script: str, key: bytes, record: Record) -> Operation[bool]:
        keys = [self._session(key)]
        if record.user:
            keys.append(self._user(record.user))
        expiry = int(min(max(0.001, record.expires_at), 9e12) * 1000)
        (kept,) = yield _script(script, keys, (pack(record), expiry, key, self.channel))
        return bool(kept)

    def delete(self, key: bytes) -> Operation[bool]:
        """Forgets a record: whether there was one."""
        keys = (self._session(key), self._lease(key))
        (found,) = yield _script(scripts.DELETE, keys, (key, self.channel, self._user_prefix))
        return bool(found)

    def of_user(self, user: str) -> Operation[list[tuple[bytes, Record]]]:
        """The keys and records of a user, the latest seen first."""
        (found,) = yield _script(scripts.OF_USER, (self._user(user),), (self._session(b""),))
        records = [(key, unpack(packed)) for key, packed in zip(*[iter(found)] * 2, strict=True)]
        own = [(key, r) for key, r in records if r is not None and user and r.user == user]
        return sorted(own, key=lambda pair: pair[1].seen_at, reverse=True)

    def acquire(self, key: bytes, seconds: float) -> Operation[int | None]:
        """Takes the lease on a record: its fence, or None."""
        keys = (self._session(key), self._lease(key), self._prefix + b"fence")
        taker = secrets.token_hex(8)  # so that asking again does not find the lease taken
        (fence,) = yield _script(scripts.ACQUIRE, keys, (taker, _milliseconds(seconds)))
        return None if fence is None else int(fence)

    def renew(self, key: bytes, fence: int, seconds: float) -> Operation[bool]:
        """Holds a lease for longer: whether this fence still held it."""
        keys = (self._session(key), self._lease(key))
        (held,) = yield _script(scripts.RENEW, keys, (fence, _milliseconds(seconds)))
        return bool(held)

    def release(self, key: bytes, fence: int) -> Operation[None]:
        """Gives a lease back."""
        yield _script(scripts.RELEASE, (self._lease(key),), (fence,))

    def _session(self, key: bytes) -> bytes:
        return self._prefix + b"s:" + key

    def _lease(self, key: bytes) -> bytes:
        return self._prefix + b"l:" + key

    def _user(self, user: str) -> bytes:
        # SHA-1, since a script has no other; who collides shares a list, and sees nobody else's.
        name = hashlib.sha1(encode(user), usedforsecurity=False).hexdigest()
        return self._user_prefix + name.encode()


def _script(script: str, keys: Sequence[bytes], arguments: Words) -> Batch:
    # The whole text: the server knows it by its hash, and nothing breaks when it has forgotten.
    return Batch((Command(("EVAL", script, len(keys), *keys, *arguments), keys[0]),))


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, 9e12) * 1000))
