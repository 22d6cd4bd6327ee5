"""Lists: the sessions of a user.

Rules:
- `of_user` returns the live records of exactly one user, the last seen first.
- A record of nobody (`user=""`) is in no list.
"""

import pytest

from ...stores.base import SessionStore
from .basis import KEY, OTHER, THIRD, Basis, lists


class Lists(Basis):
    """The cases about lists. A store without them says `has_lists = False`."""

    @lists
    def test_a_users_are_listed_the_last_seen_first(self, store: SessionStore) -> None:
        """They are sorted by `seen_at`, fractions of a second included."""
        for key, seen_at in ((KEY, 20.0), (OTHER, 30.5), (THIRD, 10.0)):
            self.kept(store, key, seen_at=seen_at)

        assert [key for key, _ in store.of_user("ada")] == [OTHER, KEY, THIRD]

    @lists
    def test_being_seen_again_changes_the_order(self, store: SessionStore) -> None:
        """A write with a later `seen_at` moves the record to the front."""
        self.kept(store, KEY, seen_at=20.0)
        self.kept(store, OTHER, seen_at=30.0)

        store.replace(KEY, self.record(seen_at=40.0))

        assert [key for key, _ in store.of_user("ada")] == [KEY, OTHER]

    @lists
    @pytest.mark.parametrize("other", ["bob", "", "ad", "adaa", "ADA", "ada ", "a*", "%"])
    def test_users_see_none_but_their_own(self, store: SessionStore, other: str) -> None:
        """Names are compared as they are: no prefix, no pattern, no other case."""
        self.kept(store, OTHER, user="ada")
        self.kept(store, KEY, user=other)

        assert [key for key, _ in store.of_user("ada")] == [OTHER]

    def test_nobodys_are_not_listed(self, store: SessionStore) -> None:
        """`of_user("")` is empty: tombstones and a coordinator's records belong to nobody."""
        self.kept(store, user="")

        assert store.of_user("") == []

    def test_a_user_without_sessions_has_none(self, store: SessionStore) -> None:
        """An unknown user has an empty list."""
        assert store.of_user("ada") == []

    @lists
    def test_a_users_expired_ones_are_left_out(self, store: SessionStore) -> None:
        """Expired records are in no list, even if they are not cleaned up yet."""
        there = self.kept(store, OTHER)
        self.expired(store)

        assert store.of_user("ada") == [(OTHER, there)]

    @lists
    def test_a_user_may_have_many(self, store: SessionStore) -> None:
        """No page and no limit cuts a list: ending all sessions has to reach them all."""
        keys = self.many(150)
        for number, key in enumerate(keys):
            self.kept(store, key, seen_at=float(number))

        assert [key for key, _ in store.of_user("ada")] == keys[::-1]
