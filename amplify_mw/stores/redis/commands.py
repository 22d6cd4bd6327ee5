"""The commands of a `RedisStore`, and how their answers are read. Pure, except for random numbers.

Rules:
- Each operation is described once, as a `Command`. Sending it takes no knowledge of sessions.
- Writes are scripts, so each is atomic.
- A user's list may be evicted before its sessions are. `load_listed` repairs it, in one round trip
  like `load`. A store uses it for sessions it has not seen listed for a while.

Keys, after the prefix: `s:` and a session's key (a packed record), `l:` and the same (its lease),
`u:` and the SHA-1 of a user (the keys of that user's sessions, by when they expire), `fence` (the
last fence given). Changes are published on `changed`. All but the channel expire by themselves.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ...sessions.record import Record
from . import scripts
from .records import encode, pack, unpack

Words: TypeAlias = tuple[bytes | str | int, ...]


class Command(NamedTuple):
    """A command's words, and how to read the answer. Without words, the answer is `read(None)`.

    `changes`: the key of a record that the command may change.
    """

    words: Words
    read: Callable[[Any], Any]
    changes: bytes | None = None


class Commands:
    """The commands of one prefix, named as the methods of the store."""

    def __init__(self, prefix: bytes) -> None:
        self.channel: bytes = prefix + b"changed"
        self._prefix = prefix
        self._user_prefix = prefix + b"u:"

    def load(self, key: bytes) -> Command:
        """The record under a key, or None."""
        return Command(("GET", self._session(key)), unpack)

    def load_listed(self, key: bytes) -> Command:
        """The same; puts the session back into its user's list if it is missing there."""
        return _script(scripts.LOAD, (self._session(key),), (key, self._user_prefix), unpack)

    def create(self, key: bytes, record: Record) -> Command:
        """Keeps a record under a key without a record: whether it was kept."""
        return self._write(scripts.CREATE, key, record)

    def replace(self, key: bytes, record: Record) -> Command:
        """Keeps a record in place of one of the same or a lower version: whether it was kept."""
        return self._write(scripts.REPLACE, key, record)

    def _write(self, script: str, key: bytes, record: Record) -> Command:
        keys = [self._session(key)]
        if record.user:
            keys.append(self._user(record.user))
        expiry = int(min(max(0.001, record.expires_at), 9e12) * 1000)
        arguments = (pack(record), expiry, key, self.channel)
        return _script(script, keys, arguments, bool, changes=key)

    def delete(self, key: bytes) -> Command:
        """Forgets a record: whether there was one."""
        keys = (self._session(key), self._lease(key))
        return _script(
            scripts.DELETE, keys, (key, self.channel, self._user_prefix), bool, changes=key
        )

    def of_user(self, user: str) -> Command:
        """The keys and records of a user, the latest seen first."""

        def read(found: list[bytes]) -> list[tuple[bytes, Record]]:
            records = [
                (key, unpack(packed)) for key, packed in zip(*[iter(found)] * 2, strict=True)
            ]
            own = [(key, r) for key, r in records if r is not None and user and r.user == user]
            return sorted(own, key=lambda pair: pair[1].seen_at, reverse=True)

        return _script(scripts.OF_USER, (self._user(user),), (self._session(b""),), read)

    def acquire(self, key: bytes, seconds: float) -> Command:
        """Takes the lease on a record: its fence, or None."""
        keys = (self._session(key), self._lease(key), self._prefix + b"fence")
        taker = secrets.token_hex(8)  # so that asking again does not find the lease taken
        return _script(
            scripts.ACQUIRE,
            keys,
            (taker, _milliseconds(seconds)),
            lambda f: None if f is None else int(f),
        )

    def renew(self, key: bytes, fence: int, seconds: float) -> Command:
        """Holds a lease for longer: whether this fence still held it."""
        keys = (self._session(key), self._lease(key))
        return _script(scripts.RENEW, keys, (fence, _milliseconds(seconds)), bool)

    def release(self, key: bytes, fence: int) -> Command:
        """Gives a lease back."""
        return _script(scripts.RELEASE, (self._lease(key),), (fence,), lambda _: None)

    def _session(self, key: bytes) -> bytes:
        return self._prefix + b"s:" + key

    def _lease(self, key: bytes) -> bytes:
        return self._prefix + b"l:" + key

    def _user(self, user: str) -> bytes:
        # SHA-1, since a script has no other; who collides shares a list, and sees nobody else's.
        name = hashlib.sha1(encode(user), usedforsecurity=False).hexdigest()
        return self._user_prefix + name.encode()


def _script(
    script: str,
    keys: tuple[bytes, ...] | list[bytes],
    arguments: Words,
    read: Callable[[Any], Any],
    changes: bytes | None = None,
) -> Command:
    # The whole text: the server knows it by its hash, and nothing breaks when it has forgotten.
    return Command(("EVAL", script, len(keys), *keys, *arguments), read, changes)


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, 9e12) * 1000))
