"""Steps: what a store does at once, and others by several calls.

Rules:
- A step answers as the calls it stands for, one after another.
- `reload` never returns an old record: each write is a change, even one of the same version.
- `end` returns a record to one caller, and nothing revives the session. (The default's callers at
  the same moment may all get the record of a session that asks again.)
"""

from dataclasses import replace
from typing import Any

import pytest

from ...sessions.record import ENDED, asks_again, tombstone
from ...stores.base import SessionStore
from .basis import KEY, LONG, OTHER, THIRD, Basis, leases, lists
from .records import ODD_TEXTS

MALFORMED = (b"", KEY[:-1], KEY + b"\x00")
both_ways: pytest.MarkDecorator = pytest.mark.parametrize(
    "again", [False, True], ids=["forgotten", "asks again"]
)


class Steps(Basis):
    """The cases about the steps. Each store has them: `SessionStore` has a default for each."""

    # Reloading

    def test_what_has_not_changed_is_the_known_record(self, store: SessionStore) -> None:
        """`reload` returns the very object, so that nothing has to be compared or opened again."""
        self.kept(store)
        known = store.load(KEY)
        assert known is not None

        assert store.reload(KEY, known) is known
        assert store.reload(KEY, known) is known

    def test_a_reloaded_record_can_be_reloaded(self, store: SessionStore) -> None:
        """What `reload` returns is as good as what `load` does."""
        old = self.kept(store)
        store.replace(KEY, self.record(value=b"new"))
        new = store.reload(KEY, old)
        assert new is not None

        assert store.reload(KEY, new) is new

    def test_a_record_that_no_store_made_is_reloaded(self, store: SessionStore) -> None:
        """`known` may have no stamp: its writer has it, and did not load it."""
        written = self.kept(store)

        assert store.reload(KEY, written) == written
        assert store.reload(KEY, replace(written, value=b"another")) == written

    @pytest.mark.parametrize(
        "changes",
        [
            {"value": b"new"},
            {"version": 4},
            {"version": ENDED, "value": b"", "user": ""},
            {"user": "bob"},
            {"handle": "h-2"},
            {"seen_at": 1_700_000_200.5},
            {"user_agent": "Chrome"},
        ],
        ids=lambda changes: "+".join(changes),
    )
    def test_whatever_another_wrote_is_a_change(
        self, store: SessionStore, changes: dict[str, Any]
    ) -> None:
        """A write of the same version, too: `replace` may write that again."""
        self.kept(store)
        known = store.load(KEY)
        assert known is not None
        new = replace(known, **changes)

        assert store.replace(KEY, new)

        assert store.reload(KEY, known) == new

    def test_the_stamp_of_a_written_record_means_nothing(self, store: SessionStore) -> None:
        """A record that is changed and written brings its old stamp along. Its store makes one."""
        self.kept(store)
        known = store.load(KEY)
        assert known is not None
        new, newer = replace(known, value=b"new"), replace(known, value=b"newer")

        assert store.replace(KEY, new)
        found = store.reload(KEY, known)
        assert found == new
        assert store.replace(KEY, newer)

        assert found is not None
        assert store.reload(KEY, found) == newer
        assert store.reload(KEY, new) == newer
        assert store.reload(KEY, known) == newer

    @pytest.mark.parametrize("stamp", [b"", b"\x00", b"a stamp of nobody's", b"\xff" * 100])
    def test_a_stamp_of_another_store_means_nothing(
        self, store: SessionStore, stamp: bytes
    ) -> None:
        """A store may be changed for another, or be lost, while a process knows a session."""
        there = self.kept(store)

        assert store.reload(KEY, self.record(value=b"another", stamp=stamp)) == there

    def test_a_new_record_is_not_taken_for_the_deleted_one(self, store: SessionStore) -> None:
        """A count of writes that starts anew with each record would be."""
        self.kept(store)
        known = store.load(KEY)
        assert known is not None
        store.delete(KEY)
        new = self.kept(store, value=b"new")

        assert store.reload(KEY, known) == new

    def test_what_is_gone_is_not_reloaded(self, store: SessionStore) -> None:
        """However well a process knows a session: a sign-out elsewhere ends it here."""
        self.kept(store)
        known = store.load(KEY)
        assert known is not None
        store.delete(KEY)

        assert store.reload(KEY, known) is None
        assert store.reload(OTHER, known) is None

    def test_what_has_expired_is_not_reloaded(self, store: SessionStore) -> None:
        """The store's clock decides, for a record that nobody has changed as well."""
        known = self.kept(store, expires_at=self.soon())
        self.until(lambda: store.load(KEY) is None)

        assert store.reload(KEY, known) is None

    def test_a_longer_life_is_reloaded(self, store: SessionStore) -> None:
        """Another process extended the session: `known` has expired, and the record has not."""
        new = self.record()

        def in_time() -> bool:
            store.create(KEY, self.record(expires_at=self.soon()))
            return store.replace(KEY, new)

        self.until(in_time)  # a slow store's first record may expire too soon
        known = self.record(expires_at=self.soon())
        self.expired(store, OTHER)  # created later, to expire after `known`

        assert store.reload(KEY, known) == new

    @pytest.mark.parametrize("key", MALFORMED)
    def test_a_malformed_key_has_no_steps(self, store: SessionStore, key: bytes) -> None:
        """It is not found, as in every method, and never an error."""
        known = self.kept(store)

        assert store.reload(key, known) is None
        assert store.end(key) is None
        assert store.end(key, True) is None
        assert store.replace_and_release(key, known, 1) is False
        if self.has_leases:
            assert store.acquire_and_load(key, LONG) == (None, None)
        assert store.load(KEY) == known

    # Acquiring and loading

    @leases
    def test_a_lease_comes_with_the_record(self, store: SessionStore) -> None:
        """Its holder refreshes what is there now, and writes with the fence."""
        there = self.kept(store)

        fence, record = store.acquire_and_load(KEY, LONG)

        assert record == there
        assert fence is not None
        assert fence > there.version
        assert store.renew(KEY, fence, LONG)
        assert store.acquire(KEY, LONG) is None

    @leases
    def test_the_record_comes_without_the_lease_too(self, store: SessionStore) -> None:
        """While another holds it: that one may have written already."""
        there = self.kept(store)
        held = store.acquire(KEY, LONG)

        assert held is not None
        assert store.acquire_and_load(KEY, LONG) == (None, there)
        assert store.renew(KEY, held, LONG)

    @leases
    def test_the_next_holder_loads_what_the_last_one_wrote(self, store: SessionStore) -> None:
        """Or else tokens that were refreshed a moment ago are refreshed again."""
        self.kept(store)
        first, _ = store.acquire_and_load(KEY, LONG)
        assert first is not None
        new = self.record(value=b"new", version=first)
        assert store.replace(KEY, new)
        store.release(KEY, first)

        second, record = store.acquire_and_load(KEY, LONG)

        assert record == new
        assert second is not None
        assert second > first

    @leases
    def test_a_lease_taken_with_its_record_runs_out(self, store: SessionStore) -> None:
        """It lasts its seconds, as any."""
        there = self.kept(store)
        first, _ = store.acquire_and_load(KEY, self.brief)

        second, record = self.until(
            lambda: taken if (taken := store.acquire_and_load(KEY, LONG))[0] is not None else None
        ) or (None, None)

        assert record == there
        assert first is not None
        assert second is not None
        assert second > first

    @leases
    def test_without_a_record_there_is_neither(self, store: SessionStore) -> None:
        """Never there, or expired."""
        self.expired(store)

        assert store.acquire_and_load(KEY, LONG) == (None, None)
        assert store.acquire_and_load(OTHER, LONG) == (None, None)

    @leases
    def test_a_tombstone_comes_without_a_lease(self, store: SessionStore) -> None:
        """It is loaded, so its session's end is known, and never refreshed."""
        ended = tombstone(self.now() + LONG, asks_again=True)
        store.create(KEY, ended)

        assert store.acquire_and_load(KEY, LONG) == (None, ended)

    # Replacing and releasing

    @leases
    def test_a_holder_writes_and_gives_the_lease_back(self, store: SessionStore) -> None:
        """The record is the new one, and the next one acquires the lease at once."""
        self.kept(store)
        first, _ = store.acquire_and_load(KEY, LONG)
        assert first is not None
        new = self.record(value=b"new", version=first)

        assert store.replace_and_release(KEY, new, first) is True

        assert store.load(KEY) == new
        assert not store.renew(KEY, first, LONG)
        second = store.acquire(KEY, LONG)
        assert second is not None
        assert second > first

    @leases
    def test_a_lease_is_given_back_if_the_write_is_refused(self, store: SessionStore) -> None:
        """The holder is done in any case: nobody has to wait for its lease to run out."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None
        newer = self.record(value=b"newer", version=fence + 1)
        store.replace(KEY, newer)

        assert store.replace_and_release(KEY, self.record(version=fence), fence) is False

        assert store.load(KEY) == newer
        assert not store.renew(KEY, fence, LONG)
        assert store.acquire(KEY, LONG) is not None

    @leases
    def test_a_former_holder_gives_no_others_lease_back(self, store: SessionStore) -> None:
        """Its write is refused by the version, once the new holder has written."""
        self.kept(store)
        slow = store.acquire(KEY, self.brief)
        assert slow is not None
        quick = self.until(lambda: store.acquire(KEY, LONG))
        assert quick is not None
        new = self.record(value=b"quick", version=quick)
        store.replace(KEY, new)

        assert store.replace_and_release(KEY, self.record(version=slow), slow) is False

        assert store.load(KEY) == new
        assert store.renew(KEY, quick, LONG)

    def test_a_write_that_gives_back_needs_a_record(self, store: SessionStore) -> None:
        """A session that was deleted meanwhile stays deleted."""
        assert store.replace_and_release(KEY, self.record(version=9), 9) is False
        assert store.load(KEY) is None

    @both_ways
    def test_a_refresh_does_not_revive_a_session_that_ended_meanwhile(
        self, store: SessionStore, again: bool
    ) -> None:
        """A sign-out wins over the refresh that it did not wait for."""
        self.kept(store)
        fence = store.acquire(KEY, LONG) if self.has_leases else 9
        assert fence is not None
        store.end(KEY, again)
        left = store.load(KEY)

        assert store.replace_and_release(KEY, self.record(version=fence), fence) is False
        assert store.load(KEY) == left
        assert store.of_user("ada") == []

    # Ending

    @both_ways
    def test_an_end_returns_the_record_once(self, store: SessionStore, again: bool) -> None:
        """Its caller revokes the tokens in it. The next one has nothing to revoke."""
        there = self.kept(store)
        other = self.kept(store, OTHER)

        assert store.end(KEY, again) == there
        assert store.end(KEY, again) is None
        assert store.end(KEY) is None
        assert store.load(OTHER) == other
        if self.has_lists:
            assert store.of_user("ada") == [(OTHER, other)]

    @both_ways
    def test_an_end_returns_what_was_written_last(self, store: SessionStore, again: bool) -> None:
        """A refresh may have rotated the tokens that are to be revoked."""
        self.kept(store)
        new = self.record(value=b"new", version=8)
        store.replace(KEY, new)

        assert store.end(KEY, again) == new

    def test_an_ended_session_is_forgotten(self, store: SessionStore) -> None:
        """Nothing is left, and no late write brings it back."""
        there = self.kept(store)
        store.end(KEY)

        assert store.load(KEY) is None
        assert not store.replace(KEY, self.record(version=9))
        assert not store.delete(KEY)
        assert store.reload(KEY, there) is None
        assert store.of_user("ada") == []

    @both_ways
    def test_there_is_no_end_of_what_is_not_there(self, store: SessionStore, again: bool) -> None:
        """Neither of a record that was never there, nor of an expired one. Nothing is left."""
        self.expired(store)

        assert store.end(KEY, again) is None
        assert store.end(OTHER, again) is None
        assert store.load(KEY) is None
        assert store.load(OTHER) is None

    @both_ways
    @pytest.mark.parametrize("asked", [False, True], ids=["", "asked"])
    def test_a_tombstone_does_not_end(self, store: SessionStore, again: bool, asked: bool) -> None:
        """Its session has ended. It stays as it is, and goes on telling how."""
        ended = tombstone(self.now() + LONG, asks_again=asked)
        store.create(KEY, ended)

        assert store.end(KEY, again) is None
        assert store.load(KEY) == ended

    def test_an_end_that_asks_again_leaves_a_tombstone(self, store: SessionStore) -> None:
        """It has the record's own life, and is in no list: nobody can revive or refresh it."""
        there = self.kept(store)

        store.end(KEY, True)

        left = store.load(KEY)
        assert left == tombstone(there.expires_at, asks_again=True)
        assert asks_again(left)
        assert store.of_user("ada") == []
        assert not store.replace(KEY, self.record(version=ENDED - 1))
        assert not store.create(KEY, there)
        assert store.reload(KEY, there) == left
        if self.has_leases:
            assert store.acquire_and_load(KEY, LONG) == (None, left)

    def test_a_tombstone_takes_the_place_of_another(self, store: SessionStore) -> None:
        """Only that does: its version is the highest."""
        self.kept(store)
        store.end(KEY, True)
        ended = tombstone(self.now() + 2 * LONG)

        assert store.replace(KEY, ended)
        assert store.load(KEY) == ended

    def test_a_tombstone_lives_as_long_as_its_record_would_have(self, store: SessionStore) -> None:
        """Until then a browser may come with the session's cookie; afterwards it is of no use."""

        def in_time() -> bool:
            store.create(KEY, self.record(expires_at=self.soon()))
            return store.end(KEY, True) is not None

        self.until(in_time)  # a slow store's first record may expire too soon
        self.expired(store, OTHER)  # created later, to expire after the first one would have

        assert store.load(KEY) is None

    @leases
    def test_a_lease_ends_with_its_session(self, store: SessionStore) -> None:
        """Its holder can neither renew it nor fail at its release."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.end(KEY)

        assert not store.renew(KEY, fence, LONG)
        assert store.acquire(KEY, LONG) is None
        store.release(KEY, fence)

    @leases
    def test_an_ended_sessions_lease_holds_up_no_new_one(self, store: SessionStore) -> None:
        """The next record under the key is free."""
        self.kept(store)
        store.acquire(KEY, LONG)
        store.end(KEY)
        self.kept(store)

        assert store.acquire(KEY, LONG) is not None

    # Ending all of a user's

    @lists
    def test_all_sessions_of_a_user_end(self, store: SessionStore) -> None:
        """Their keys are returned; each leaves a tombstone that asks again, with its own life."""
        lives = {KEY: self.now() + LONG, OTHER: self.now() + 2 * LONG}
        for key, until in lives.items():
            self.kept(store, key, expires_at=until)

        assert sorted(store.end_of_user("ada")) == sorted(lives)

        for key, until in lives.items():
            assert store.load(key) == tombstone(until, asks_again=True)
        assert store.of_user("ada") == []
        assert store.end_of_user("ada") == []

    @lists
    @pytest.mark.parametrize("other", ["bob", "", "ad", "adaa", "ADA", "ada ", "a*", "%"])
    def test_no_other_users_sessions_end(self, store: SessionStore, other: str) -> None:
        """Names are compared as they are."""
        self.kept(store, OTHER)
        others = self.kept(store, KEY, user=other)

        assert store.end_of_user("ada") == [OTHER]
        assert store.load(KEY) == others

    def test_nobodys_sessions_do_not_end(self, store: SessionStore) -> None:
        """`end_of_user("")` ends nothing: a coordinator's records are no sessions."""
        there = self.kept(store, user="")

        assert store.end_of_user("") == []
        assert store.load(KEY) == there

    @lists
    def test_a_session_ends_with_those_of_its_last_user(self, store: SessionStore) -> None:
        """It was another's before, and may still be in that one's list."""
        self.kept(store)
        new = self.record(user="bob")
        store.replace(KEY, new)

        assert store.end_of_user("ada") == []
        assert store.load(KEY) == new
        assert store.end_of_user("bob") == [KEY]

    @lists
    def test_what_has_ended_or_expired_does_not_end_again(self, store: SessionStore) -> None:
        """Only sessions that were there are returned."""
        self.kept(store, THIRD)
        self.kept(store, OTHER)
        store.end(OTHER)
        self.expired(store)

        assert store.end_of_user("ada") == [THIRD]
        assert store.load(OTHER) is None
        assert store.load(KEY) is None

    @lists
    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS.values() if text])
    def test_sessions_of_a_user_of_any_name_end(self, store: SessionStore, text: str) -> None:
        """A user's name is data."""
        self.kept(store, user=text)

        assert store.end_of_user(text) == [KEY]

    @lists
    @leases
    def test_a_refresh_that_runs_does_not_save_a_session(self, store: SessionStore) -> None:
        """Its holder's write is refused."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.end_of_user("ada")

        assert not store.replace_and_release(KEY, self.record(version=fence), fence)
        assert asks_again(store.load(KEY))

    @lists
    def test_all_of_a_users_many_sessions_end(self, store: SessionStore) -> None:
        """No page and no limit leaves a device signed in."""
        keys = self.many(150)
        for key in keys:
            self.kept(store, key)

        assert sorted(store.end_of_user("ada")) == sorted(keys)
        assert all(asks_again(store.load(key)) for key in keys)
