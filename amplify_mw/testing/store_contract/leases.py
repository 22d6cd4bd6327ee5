"""Leases: one refresh of a session's tokens at a time, over all processes.

Rules:
- A lease is on a live record, has one holder, and runs out by itself.
- Its fence is higher than every fence before and than the record's version. The holder writes with
  the fence as the version, so a former holder's late write loses.
- A lease hinders no write.
"""

import pytest

from ...sessions.record import ENDED
from ...stores.base import SessionStore
from .basis import KEY, LONG, OTHER, Basis, leases, turned_clock


class Leases(Basis):
    """The cases about leases. A store without them says `has_leases = False`."""

    # Holding

    @leases
    def test_a_lease_has_one_holder(self, store: SessionStore) -> None:
        """While a lease is held, `acquire` returns None."""
        self.kept(store)

        assert store.acquire(KEY, LONG) is not None
        assert store.acquire(KEY, LONG) is None

    @leases
    def test_each_record_has_a_lease_of_its_own(self, store: SessionStore) -> None:
        """One session's refresh does not hold up another's."""
        self.kept(store)
        self.kept(store, OTHER)
        store.acquire(KEY, LONG)

        assert store.acquire(OTHER, LONG) is not None

    @leases
    def test_there_is_no_lease_on_what_is_not_there(self, store: SessionStore) -> None:
        """Without a record there is nothing to refresh."""
        assert store.acquire(KEY, LONG) is None

    @leases
    def test_there_is_no_lease_on_what_has_expired(self, store: SessionStore) -> None:
        """An expired record counts as absent."""
        self.expired(store)

        assert store.acquire(KEY, LONG) is None

    @leases
    def test_there_is_no_lease_on_what_was_deleted(self, store: SessionStore) -> None:
        """`delete` ends the lease; its holder can neither renew it nor fail at its release."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        store.delete(KEY)

        assert fence is not None
        assert store.acquire(KEY, LONG) is None
        assert not store.renew(KEY, fence, LONG)
        store.release(KEY, fence)

    @leases
    def test_there_is_no_lease_on_a_session_that_has_ended(self, store: SessionStore) -> None:
        """A tombstone is not refreshed; no fence is higher than its version."""
        self.kept(store, version=ENDED)

        assert store.acquire(KEY, LONG) is None

    @leases
    def test_a_new_record_is_not_held_by_the_holder_of_a_deleted_one(
        self, store: SessionStore
    ) -> None:
        """A lease goes with its record: the next one under the key is free."""
        self.kept(store)
        store.acquire(KEY, LONG)
        store.delete(KEY)
        self.kept(store)

        assert store.acquire(KEY, LONG) is not None

    # Running out

    @leases
    def test_a_lease_runs_out(self, store: SessionStore) -> None:
        """A killed holder holds up the others for the lease's seconds only."""
        self.kept(store)
        first = store.acquire(KEY, self.brief)

        second = self.until(lambda: store.acquire(KEY, LONG))

        assert first is not None
        assert second is not None
        assert second > first

    @leases
    def test_a_lease_that_ran_out_is_not_renewed(self, store: SessionStore) -> None:
        """Somebody else may have had it since."""
        self.kept(store)
        self.kept(store, OTHER)
        fence = store.acquire(KEY, self.brief)
        store.acquire(OTHER, self.brief)
        self.until(lambda: store.acquire(OTHER, LONG))  # the later one has run out

        assert fence is not None
        assert not store.renew(KEY, fence, LONG)
        assert store.acquire(KEY, LONG) is not None

    @leases
    def test_a_lease_is_renewed_by_its_holder(self, store: SessionStore) -> None:
        """`renew` counts its seconds from now on."""
        self.kept(store)
        self.kept(store, OTHER)

        def in_time() -> int | None:
            fence = store.acquire(KEY, self.brief)
            return fence if fence is not None and store.renew(KEY, fence, LONG) else None

        fence = self.until(in_time)  # a slow store's first lease may run out too soon
        assert fence is not None
        store.acquire(OTHER, self.brief)

        self.until(lambda: store.acquire(OTHER, LONG))

        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, fence, LONG)

    @leases
    @turned_clock
    def test_a_lease_from_before_the_clock_was_set_back_is_held_by_nobody(
        self, store: SessionStore
    ) -> None:
        """A clock set back an hour must not hold up refreshes for an hour."""
        self.kept(store)
        first = store.acquire(KEY, 10)
        assert first is not None
        self.advance(-3600)

        second = store.acquire(KEY, 10)

        assert second is not None
        assert second > first
        assert store.acquire(KEY, 10) is None
        assert not store.renew(KEY, first, 10)

    @leases
    @turned_clock
    def test_a_lease_from_before_the_clock_was_set_ahead_has_run_out(
        self, store: SessionStore
    ) -> None:
        """A clock set ahead ends the lease; the fence keeps the two holders apart."""
        self.kept(store, expires_at=self.now() + 2 * LONG)
        first = store.acquire(KEY, 10)
        self.advance(3600)

        second = store.acquire(KEY, 10)

        assert first is not None
        assert second is not None
        assert second > first

    @leases
    def test_a_lease_may_be_cut_short(self, store: SessionStore) -> None:
        """`renew` may shorten a lease as well."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        assert store.renew(KEY, fence, self.brief)

        again = self.until(lambda: store.acquire(KEY, LONG))
        assert again is not None
        assert again > fence

    @leases
    def test_a_lease_does_not_lengthen_a_life(self, store: SessionStore) -> None:
        """A record expires in time, held or not."""

        def in_time() -> int | None:
            store.create(KEY, self.record(expires_at=self.soon()))
            return store.acquire(KEY, LONG)

        fence = self.until(in_time)  # a slow store's first record may expire too soon

        self.until(lambda: store.load(KEY) is None)

        assert fence is not None
        assert not store.renew(KEY, fence, LONG)

    # Whose it is

    @leases
    @pytest.mark.parametrize("off", [-1, 1, 1000])
    def test_nobody_else_renews_a_lease(self, store: SessionStore, off: int) -> None:
        """The fence is the proof: another number renews nothing."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)

        assert fence is not None
        assert not store.renew(KEY, fence + off, LONG)

    @leases
    @pytest.mark.parametrize("off", [-1, 1, 1000])
    def test_nobody_else_releases_a_lease(self, store: SessionStore, off: int) -> None:
        """Nor does it release anything."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.release(KEY, fence + off)

        assert store.acquire(KEY, LONG) is None

    @leases
    def test_a_lease_that_was_released_is_free(self, store: SessionStore) -> None:
        """After `release` the next one acquires it at once, with a higher fence."""
        self.kept(store)
        first = store.acquire(KEY, LONG)
        assert first is not None

        store.release(KEY, first)

        assert not store.renew(KEY, first, LONG)
        second = store.acquire(KEY, LONG)
        assert second is not None
        assert second > first

    @leases
    def test_a_former_holder_does_not_release_anothers(self, store: SessionStore) -> None:
        """A late `release` with an old fence leaves the new holder alone."""
        self.kept(store)
        first = store.acquire(KEY, LONG)
        assert first is not None
        store.release(KEY, first)
        second = store.acquire(KEY, LONG)
        assert second is not None

        store.release(KEY, first)

        assert not store.renew(KEY, first, LONG)
        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, second, LONG)

    @leases
    def test_an_unleased_record_has_nothing_to_renew_or_release(self, store: SessionStore) -> None:
        """A guessed fence does nothing, with a record and without."""
        record = self.kept(store)

        store.release(KEY, 0)
        store.release(OTHER, 0)

        assert not store.renew(KEY, 0, LONG)
        assert not store.renew(OTHER, 0, LONG)
        assert store.load(KEY) == record

    # Writing meanwhile

    @leases
    def test_a_lease_hinders_no_write(self, store: SessionStore) -> None:
        """A sign-out does not wait for a refresh."""
        self.kept(store)
        store.acquire(KEY, LONG)
        ended = self.record(version=ENDED)

        assert store.replace(KEY, ended)
        assert store.load(KEY) == ended

    @leases
    def test_a_write_ends_no_lease(self, store: SessionStore) -> None:
        """Only `release`, `delete` and time end a lease."""
        self.kept(store)
        fence = store.acquire(KEY, LONG)
        assert fence is not None

        store.replace(KEY, self.record(version=fence))

        assert store.acquire(KEY, LONG) is None
        assert store.renew(KEY, fence, LONG)

    @leases
    @pytest.mark.parametrize("version", [0, 3, 2**40])
    def test_a_fence_is_higher_than_the_records_version(
        self, store: SessionStore, version: int
    ) -> None:
        """So the holder's write counts over the record it has read."""
        self.kept(store, version=version)

        fence = store.acquire(KEY, LONG)

        assert fence is not None
        assert fence > version

    @leases
    def test_fences_rise_over_releases_and_writes(self, store: SessionStore) -> None:
        """No fence comes twice, however high a version was written in between."""
        self.kept(store, version=3)
        fences = []
        for written in (0, 4, 0, 2**40, 0, 0):  # 0 writes nothing: the record's version is higher
            fence = store.acquire(KEY, LONG)
            assert fence is not None
            fences.append(fence)
            store.replace(KEY, self.record(version=written))
            store.release(KEY, fence)

        assert fences == sorted(set(fences))
        assert fences[4] > 2**40

    @leases
    def test_what_a_holder_writes_is_newer_than_what_a_former_one_does(
        self, store: SessionStore
    ) -> None:
        """A slow holder loses to its successor, even if it writes last."""
        self.kept(store)
        slow = store.acquire(KEY, self.brief)
        assert slow is not None
        quick = self.until(lambda: store.acquire(KEY, LONG))
        assert quick is not None
        new = self.record(version=quick, value=b"quick")

        assert store.replace(KEY, new)
        assert not store.replace(KEY, self.record(version=slow, value=b"slow"))
        assert store.load(KEY) == new
