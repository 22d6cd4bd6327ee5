"""Records: found, created, replaced and deleted.

Rules:
- A record comes back as it was written, every member exactly.
- Absent, expired, malformed and deleted are all *not found*, in every method.
- A key is created once; a write counts only over an equal or a lower version.
"""

import os
from typing import Final

import pytest

from ...sessions.record import ENDED, Record, asks_again, tombstone
from ...stores.base import SessionStore
from .basis import KEY, LONG, OTHER, Basis, lists

ODD_TEXTS: Final = {
    "empty": "",
    "accents": "Zo\u00eb \u0416\u4e2d",
    "astral": "\U0001f600",
    "nul": "a\x00b",
    "latin1 bytes": "\x80\xff",
    "lone surrogate": "a\ud800b",
    "escaped byte": "\udcff",
    "quotes": "'\";--\r\n\t{}:*?[]%_",
    "long": "x" * 5000,
}
ODD_VALUES: Final = {
    "empty": b"",
    "nul": b"\x00",
    "every byte": bytes(range(256)),
    "large": os.urandom(100_000),
    "like text": b"'; DROP TABLE sessions; --\r\n",
}


class Records(Basis):
    """The cases about records."""

    # Finding

    def test_what_was_created_is_found(self, store: SessionStore) -> None:
        """`load` returns a record equal to the one given to `create`."""
        record = self.kept(store)

        assert store.load(KEY) == record

    def test_a_record_with_defaults_alone_is_found(self, store: SessionStore) -> None:
        """Defaults survive: no user, no handle, times of 0. A coordinator's records are such."""
        record = Record(value=b"v", version=0, expires_at=self.now() + LONG)

        assert store.create(KEY, record)
        assert store.load(KEY) == record

    @pytest.mark.parametrize("version", [0, 1, 2**31, 2**32, ENDED - 1, ENDED])
    def test_every_version_is_kept_exactly(self, store: SessionStore, version: int) -> None:
        """Versions go up to 2**53 - 1; a rounded one would decide writes wrongly."""
        self.kept(store, version=version)

        found = store.load(KEY)

        assert found is not None
        assert found.version == version

    @pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
    def test_any_value_is_kept_exactly(self, store: SessionStore, value: bytes) -> None:
        """Values are encrypted: any bytes, none at all, and up to a few 100 kB."""
        record = self.kept(store, value=value)

        assert store.load(KEY) == record

    @pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
    @pytest.mark.parametrize("member", ["user", "handle", "user_agent"])
    def test_any_text_is_kept_exactly(self, store: SessionStore, member: str, text: str) -> None:
        """Texts are any `str`, lone surrogates too: a browser chooses its `user_agent`."""
        record = self.kept(store, KEY, **{member: text})

        assert store.load(KEY) == record
        assert store.delete(KEY)

    @lists
    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS.values() if text])
    def test_a_user_of_any_name_is_found(self, store: SessionStore, text: str) -> None:
        """A user's name is data: it is no pattern, no query and no path."""
        record = self.kept(store, user=text)

        assert store.of_user(text) == [(KEY, record)]

    @pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, b"\n" * 32, b"%:*{}\\'\"" * 4])
    def test_any_key_is_told_from_others(self, store: SessionStore, key: bytes) -> None:
        """Keys are 32 bytes of any value, as good as random."""
        record = self.kept(store, key, handle="h-2")
        self.kept(store, OTHER)

        assert store.load(key) == record

    def test_what_was_never_there_is_not_found(self, store: SessionStore) -> None:
        """A key without a record is None, not an error."""
        self.kept(store, OTHER)

        assert store.load(KEY) is None

    @pytest.mark.parametrize("key", [b"", b"k", KEY[:-1], KEY + b"\x00", b"x" * 10_000])
    def test_a_malformed_key_is_not_found(self, store: SessionStore, key: bytes) -> None:
        """A key of another length is not found, in every method, and never an error."""
        self.kept(store)

        assert store.load(key) is None
        assert not store.delete(key)
        assert not store.replace(key, self.record())
        if self.has_leases:
            assert store.acquire(key, LONG) is None

    def test_what_has_expired_is_not_found(self, store: SessionStore) -> None:
        """A record is gone from `expires_at` on, and not before."""
        record = self.kept(store, expires_at=self.soon())

        self.until(lambda: store.load(KEY) is None)

        assert self.now() >= record.expires_at - 0.05  # a store's clock may be a little ahead

    @pytest.mark.parametrize("age", [0.0, 1.0, 10.0**9])
    def test_what_comes_expired_is_never_found(self, store: SessionStore, age: float) -> None:
        """A record may have expired before it is written, by a slow request."""
        store.create(KEY, self.record(expires_at=self.now() - age))

        self.until(lambda: store.load(KEY) is None)
        assert store.of_user("ada") == []

    # Creating

    def test_a_key_is_taken_once(self, store: SessionStore) -> None:
        """`create` never overwrites: it returns False, and the first record stays."""
        first = self.kept(store)

        assert not store.create(KEY, self.record(version=9, handle="h-2"))
        assert store.load(KEY) == first

    def test_a_key_of_an_expired_record_is_free(self, store: SessionStore) -> None:
        """An expired record does not hinder `create`, even if it is not cleaned up yet."""
        self.expired(store)

        assert store.create(KEY, self.record(handle="h-2"))
        found = store.load(KEY)
        assert found is not None
        assert found.handle == "h-2"
        if self.has_lists:
            assert [found.handle for _, found in store.of_user("ada")] == ["h-2"]

    def test_a_key_of_a_deleted_record_is_free(self, store: SessionStore) -> None:
        """After `delete` the key can be created again."""
        self.kept(store)
        store.delete(KEY)

        assert store.create(KEY, self.record())

    # Replacing

    @pytest.mark.parametrize("version", [3, 4, 10_000, ENDED])
    def test_a_version_that_is_not_lower_replaces(self, store: SessionStore, version: int) -> None:
        """`replace` writes over an equal or a lower version."""
        self.kept(store, version=3)
        new = self.record(version=version, value=b"new")

        assert store.replace(KEY, new)
        assert store.load(KEY) == new

    @pytest.mark.parametrize(("old", "new"), [(3, 2), (3, 0), (10, 9), (ENDED, ENDED - 1)])
    def test_a_lower_version_never_replaces(self, store: SessionStore, old: int, new: int) -> None:
        """A slow writer does not undo a newer write: it would bring back used refresh tokens."""
        there = self.kept(store, version=old)

        assert not store.replace(KEY, self.record(version=new, value=b"older"))
        assert store.load(KEY) == there

    def test_a_session_that_has_ended_stays_so(self, store: SessionStore) -> None:
        """`ENDED` is the highest version: nothing revives a session after its end."""
        self.kept(store, version=7)
        ended = self.record(version=ENDED, value=b"")
        store.replace(KEY, ended)

        assert not store.replace(KEY, self.record(version=8))
        assert not store.create(KEY, self.record(version=8))
        assert store.load(KEY) == ended

    def test_what_is_left_of_a_session_says_how_it_ended_and_is_nobodys(
        self, store: SessionStore
    ) -> None:
        """A tombstone is an ordinary record: kept, found, in no list, without a lease."""
        there = self.kept(store)
        ended = tombstone(there.expires_at, asks_again=True)

        assert store.delete(KEY)
        assert store.create(KEY, ended)

        assert store.load(KEY) == ended
        assert asks_again(store.load(KEY))
        assert store.of_user(there.user) == []
        if self.has_leases:
            assert store.acquire(KEY, LONG) is None
        assert not store.replace(KEY, there)
        assert not store.create(KEY, there)
        assert store.load(KEY) == ended

    def test_what_is_not_there_is_not_replaced(self, store: SessionStore) -> None:
        """`replace` creates nothing: a deleted session must stay deleted."""
        assert not store.replace(KEY, self.record())
        assert store.load(KEY) is None

    def test_what_has_expired_is_not_replaced(self, store: SessionStore) -> None:
        """An expired record counts as absent for `replace`, too."""
        self.expired(store)

        assert not store.replace(KEY, self.record(version=9))
        assert store.load(KEY) is None
        assert store.of_user("ada") == []

    def test_what_was_deleted_does_not_come_back(self, store: SessionStore) -> None:
        """A write after `delete` is lost, even with a higher version."""
        self.kept(store)
        store.delete(KEY)

        assert not store.replace(KEY, self.record(version=9))
        assert store.load(KEY) is None
        assert store.of_user("ada") == []

    def test_a_replacement_brings_its_own_lifetime(self, store: SessionStore) -> None:
        """A longer `expires_at` counts from the write on: sessions are extended this way."""
        new = self.record()

        def in_time() -> bool:
            store.create(KEY, self.record(expires_at=self.soon()))
            return store.replace(KEY, new)

        self.until(in_time)  # a slow store's first record may expire too soon
        self.expired(store, OTHER)  # created later, to expire after the first one would have

        assert store.load(KEY) == new

    def test_a_replacement_may_live_shorter(self, store: SessionStore) -> None:
        """So does an earlier one."""
        self.kept(store)

        store.replace(KEY, self.record(expires_at=self.soon()))

        self.until(lambda: store.load(KEY) is None)
        assert store.of_user("ada") == []

    @lists
    def test_a_replacement_may_be_another_users(self, store: SessionStore) -> None:
        """The lists follow: the record leaves the old user's list and joins the new one's."""
        self.kept(store)
        new = self.record(user="bob")

        store.replace(KEY, new)

        assert store.of_user("ada") == []
        assert store.of_user("bob") == [(KEY, new)]

    # Deleting

    def test_what_was_deleted_is_not_found(self, store: SessionStore) -> None:
        """`delete` returns True, and the record is gone at once."""
        self.kept(store)

        assert store.delete(KEY)
        assert store.load(KEY) is None

    def test_what_is_not_there_is_not_deleted(self, store: SessionStore) -> None:
        """A second `delete` returns False: so of two sign-outs one revokes the tokens."""
        self.kept(store)
        store.delete(KEY)

        assert not store.delete(KEY)
        assert not store.delete(OTHER)

    def test_what_has_expired_is_not_deleted(self, store: SessionStore) -> None:
        """An expired record counts as absent for `delete`, too."""
        self.expired(store)

        assert not store.delete(KEY)

    def test_others_stay_when_one_is_deleted(self, store: SessionStore) -> None:
        """`delete` takes one record, not the user's others."""
        self.kept(store)
        other = self.kept(store, OTHER)

        store.delete(KEY)

        assert store.load(OTHER) == other
        if self.has_lists:
            assert store.of_user("ada") == [(OTHER, other)]

    # Secrets

    def test_no_repr_shows_what_is_kept(self, store: SessionStore) -> None:
        """A store's `repr` ends up in logs: no key, no value and no user is in it."""
        self.kept(store, value=b"a-secret-value", user="a-secret-user")

        shown = f"{store!r} {store} {store.load(KEY)!r}"

        assert "a-secret-value" not in shown
        assert "a-secret-user" not in f"{store!r} {store}"
        assert KEY.hex() not in shown
        assert repr(KEY) not in shown
