"""Random walks: a store does, step by step, the same as a model of a few lines.

Rules:
- A walk is made from its number alone, so a failed one can be walked again.
- Each walk has keys and users of its own: records of earlier walks do not matter.
"""

import hashlib
import os
import random
from collections.abc import Callable
from typing import Any, Final

from ...sessions.record import ENDED, LONGEST_LEASE, Record, tombstone
from ...stores.base import SessionStore
from .basis import LONG, Basis

WALKS: Final = 25
STEPS: Final = 100
_LEASES: Final = ("acquire", "renew", "release", "acquire_and_load", "replace_and_release")
_LISTS: Final = ("of_user", "of_user", "end_of_user")


class Walk(Basis):
    """The case of all methods together."""

    def test_a_store_does_what_a_dict_would(self, store: SessionStore) -> None:
        """Each answer of each walk is the model's, in value and type."""
        for number in range(WALKS):
            self._walk(store, random.Random(number), f"walk {number}")

    def _walk(self, store: SessionStore, chance: random.Random, name: str) -> None:
        salt = os.urandom(8)
        users = [user + salt.hex() for user in ("ada", "bob")]
        keys = [hashlib.sha256(salt + bytes([number])).digest() for number in range(3)]
        model = Model(self.now)
        methods = ["load", "reload", "create", "create", "replace", "delete", "end", "wait"]
        methods += _LISTS if self.has_lists else []
        methods += _LEASES if self.has_leases else []
        known: dict[bytes, Record] = {}
        taken: list[str] = []
        for method in chance.choices(methods, k=STEPS):
            taken.append(method)
            if method == "wait":
                if self.turns_clock:
                    self.advance(chance.choice([1.0, 50.0, 500.0]))
                continue
            key = chance.choice(keys)
            if method in _LISTS:
                arguments: tuple[Any, ...] = (chance.choice(users),)
            elif method == "reload":
                arguments = (key, known.get(key) or self.record())
            else:
                arguments = (key, *self._drawn(method, chance, users, model.fence(key)))
            answer = getattr(store, method)(*arguments)
            assert model.agrees(method, arguments, answer), (name, taken, arguments[1:], answer)
            loaded = answer[1] if method == "acquire_and_load" else answer
            if isinstance(loaded, Record) and method != "end":
                known[key] = loaded  # with the store's stamp, for a later `reload`

    def _drawn(
        self, method: str, chance: random.Random, users: list[str], fence: int
    ) -> tuple[Any, ...]:
        """The further arguments of a step; fences and versions are near the last fence."""
        held = chance.choice([100.0, LONGEST_LEASE])
        if method in ("create", "replace", "replace_and_release"):
            near = chance.choice([fence - 1, fence, fence + 1])
            version = max(0, chance.choice([chance.randrange(7), ENDED, near]))
            record = self.record(
                value=chance.randbytes(chance.randrange(20)),
                version=version,
                user=chance.choice([*users, ""]) if version < ENDED else "",
                seen_at=float(chance.randrange(10**9)),
                expires_at=self.now() + chance.choice([100.0, LONG]),
            )
            return (record, near) if method == "replace_and_release" else (record,)
        if method in ("acquire", "acquire_and_load"):
            return (held,)
        if method == "end":
            return (chance.random() < 0.5,)
        if method in ("renew", "release"):
            guess = chance.choice([fence, fence, fence - 1, fence + 1])
            return (guess, held) if method == "renew" else (guess,)
        return ()


class Model:
    """A store, put as plainly as can be. `now`: the time by the store's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._records: dict[bytes, Record] = {}
        self._leases: dict[bytes, tuple[int, float]] = {}

    def fence(self, key: bytes) -> int:
        """The last fence of a record's leases; 1 without any."""
        return self._leases.get(key, (1, 0.0))[0]

    def agrees(self, method: str, arguments: tuple[Any, ...], answer: Any) -> bool:
        """Carry out a step. Whether a store may answer so."""
        expired = [key for key, held in self._records.items() if held.expires_at <= self._now()]
        for key in expired:
            self._forget(key)
        if method == "acquire":
            return self._acquired(arguments[0], arguments[1], answer)
        if method == "reload":
            return bool(answer == self._load(arguments[0]))
        if method == "acquire_and_load":
            fence, record = answer
            there = self._load(arguments[0])
            return record == there and self._acquired(arguments[0], arguments[1], fence)
        if method == "end_of_user":
            return sorted(answer) == sorted(self._end_of_user(arguments[0]))
        if method == "of_user":
            return self._listed(arguments[0], answer)
        if method == "renew" and self._has_ended(arguments[0]):
            return isinstance(answer, bool)  # a tombstone's lease is of no use to anybody
        expected = getattr(self, f"_{method}")(*arguments)
        return bool(answer == expected) and type(answer) is type(expected)

    def _forget(self, key: bytes) -> None:
        del self._records[key]
        self._leases.pop(key, None)

    def _has_ended(self, key: bytes) -> bool:
        return key in self._records and self._records[key].version == ENDED

    def _holds(self, key: bytes) -> bool:
        return self._leases.get(key, (0, 0.0))[1] > self._now()

    def _load(self, key: bytes) -> Record | None:
        return self._records.get(key)

    def _create(self, key: bytes, record: Record) -> bool:
        return self._records.setdefault(key, record) is record

    def _replace(self, key: bytes, record: Record) -> bool:
        if key not in self._records or self._records[key].version > record.version:
            return False
        self._records[key] = record
        return True

    def _delete(self, key: bytes) -> bool:
        if key not in self._records:
            return False
        self._forget(key)
        return True

    def _listed(self, user: str, answer: list[tuple[bytes, Record]]) -> bool:
        own = {key: held for key, held in self._records.items() if held.user == user}
        seen = [held.seen_at for _, held in answer]
        return dict(answer) == own and seen == sorted(seen, reverse=True)

    def _acquired(self, key: bytes, seconds: float, fence: int | None) -> bool:
        record = self._records.get(key)
        last = self._leases.get(key, (0, 0.0))[0]
        if record is None or self._holds(key) or self._has_ended(key):
            return fence is None
        if fence is None or fence <= last or fence <= record.version:
            return False
        self._leases[key] = (fence, self._now() + seconds)
        return True

    def _renew(self, key: bytes, fence: int, seconds: float) -> bool:
        if not self._holds(key) or self._leases[key][0] != fence:
            return False
        self._leases[key] = (fence, self._now() + seconds)
        return True

    def _release(self, key: bytes, fence: int) -> None:
        if self._holds(key) and self._leases[key][0] == fence:
            self._leases[key] = (fence, 0.0)

    def _replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        kept = self._replace(key, record)
        self._release(key, fence)
        return kept

    def _end(self, key: bytes, asks_again: bool) -> Record | None:
        record = self._records.get(key)
        if record is None or record.version == ENDED:
            return None
        self._forget(key)
        if asks_again:
            self._records[key] = tombstone(record.expires_at, asks_again=True)
        return record

    def _end_of_user(self, user: str) -> list[bytes]:
        own = [key for key, held in self._records.items() if held.user == user]
        return [key for key in own if self._end(key, True) is not None]
