"""How often a request asks its store: each call is a trip to another machine."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from amplify_mw import SealedSession, StoredSession
from amplify_mw.sessions.record import Record
from amplify_mw.testing import LocalUserPool
from tests.shells import AwaitingShell, Shell, WSGIShell, shells
from tests.sites import HOUR, KEYS, Clock, Site, infos, town
from tests.trips import BareStore, CountingStore

shell = shells(WSGIShell, AwaitingShell)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture
def store(clock: Clock) -> CountingStore:
    return CountingStore(clock)


@pytest.fixture
def site(shell: Shell, pool: LocalUserPool, clock: Clock, store: CountingStore) -> Iterator[Site]:
    site = Site(shell, pool, clock, StoredSession(store))
    yield site
    site.close()


def test_a_sign_in_is_one_trip(site: Site, store: CountingStore) -> None:
    site.sign_in()

    assert store.asked == ["create"]


def test_a_known_session_asks_whether_its_record_has_changed(
    site: Site, store: CountingStore
) -> None:
    browser = site.sign_in()
    assert store.asked

    assert browser.does().body == browser.does().body == "ada"

    assert store.asked == ["reload", "reload"]


def test_a_session_that_is_new_to_a_process_is_loaded_once(
    site: Site, store: CountingStore
) -> None:
    browser = site.sign_in()
    other = Site(site.shell, site.pool, site.clock, site.session)
    assert store.asked

    for _ in range(2):
        assert other.browser(browser.jar).does().body == "ada"

    assert store.asked == ["load", "reload"]
    other.settle()


def test_an_extension_is_one_trip_more(
    shell: Shell, pool: LocalUserPool, clock: Clock, store: CountingStore
) -> None:
    site = Site(shell, pool, clock, StoredSession(store, idle=600))
    browser = site.sign_in()
    assert store.asked
    clock.advance(60)

    assert browser.does().one("set-cookie")

    assert store.asked == ["reload", "replace"]
    assert browser.does().one("set-cookie") is None
    assert store.asked == ["reload"]
    site.settle()


def test_a_refresh_on_a_read_is_three_trips(site: Site, store: CountingStore, clock: Clock) -> None:
    browser = site.sign_in()
    assert store.asked
    clock.advance(HOUR - 30)

    assert browser.does().body == "ada"

    assert store.asked == ["reload", "acquire_and_load", "replace_and_release"]
    assert browser.does().body == "ada"
    assert store.asked == ["reload"]


def test_a_sign_out_by_the_app_is_two_trips(site: Site, store: CountingStore) -> None:
    browser = site.sign_in()
    copy = browser.copy()
    assert store.asked

    assert browser.does(site.end()).clears_cookie

    assert store.asked == ["reload", "end"]
    assert copy.does().body.startswith("NotAuthorizedException")


def test_a_sign_out_everywhere_is_three_trips_however_many_devices_there_are(
    site: Site, store: CountingStore
) -> None:
    browser, *others = [site.sign_in() for _ in range(5)]
    grace = site.sign_in("grace")
    assert store.asked

    assert browser.does(site.end(everywhere=True)).clears_cookie

    assert store.asked == ["reload", "end", "end_of_user"]
    assert all(other.does().body.startswith("NotAuthorizedException") for other in others)
    assert grace.does().body == "grace"


def test_the_end_of_another_device_is_one_trip_beside_the_list(
    site: Site, store: CountingStore
) -> None:
    browser, other = site.sign_in(), site.sign_in()
    (handle,) = [one.handle for one in infos(site, browser) if not one.is_current]
    assert store.asked

    assert browser.does(lambda: site.verbs.end_session_by_handle(handle)).body == "True"

    assert store.asked == ["reload", "of_user", "end"]
    assert other.does().body.startswith("NotAuthorizedException")


def test_a_slow_answer_asks_once_more(site: Site, store: CountingStore, clock: Clock) -> None:
    def sign_in_slowly() -> str:
        name = str(site.start(site.pool.sign_in("ada"))())
        clock.advance(1)
        return name

    assert site.browser().does(sign_in_slowly).body == "ada"

    assert store.asked == ["create", "load"]


def test_a_sealed_session_asks_its_coordinator_for_the_mark_of_the_record_alone(
    shell: Shell, pool: LocalUserPool, clock: Clock, store: CountingStore
) -> None:
    session = SealedSession(keys=KEYS[:1], coordinator=store, staleness=0)
    site = Site(shell, pool, clock, session)
    browser = site.sign_in()
    assert store.asked == []
    browser.does()
    assert store.asked == ["load"]
    clock.advance(HOUR - 30)
    browser.does()
    assert store.asked[0] == "load"
    browser.does(site.end())
    assert store.asked == ["load", "end", "replace"]
    site.settle()


# --- a store that marks its writes


class MarkingStore(BareStore):
    """A store that marks each write, and knows by that if a record has changed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.writes = 0
        self.sent = 0

    def create(self, key: bytes, record: Record) -> bool:
        return super().create(key, self._marked(record))

    def replace(self, key: bytes, record: Record) -> bool:
        return super().replace(key, self._marked(record))

    def reload(self, key: bytes, known: Record) -> Record | None:
        record = self.inner.load(key)
        if record is None or record.stamp == known.stamp:
            return record and known
        self.sent += 1
        return record

    def _marked(self, record: Record) -> Record:
        self.writes += 1
        return replace(record, stamp=b"%d" % self.writes)


@pytest.mark.parametrize("kind", ["stored", "coordinated"])
def test_a_record_is_sent_once_after_each_write(
    shell: Shell, pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    store = MarkingStore(clock)
    session = (
        StoredSession(store)
        if kind == "stored"
        else SealedSession(keys=KEYS[:1], coordinator=store, staleness=0)
    )
    site = Site(shell, pool, clock, session)
    browser = site.sign_in()
    for _ in range(3):
        assert browser.does().body == "ada"
    assert store.sent == (1 if kind == "stored" else 0)

    clock.advance(HOUR - 30)
    for _ in range(4):
        assert browser.does().body == "ada"

    assert store.sent == (2 if kind == "stored" else 0)  # (there the cookie has what is new)
    site.settle()


# --- a store that has only what it must have


@pytest.mark.parametrize("kind", ["stored", "coordinated"])
def test_a_store_without_steps_of_its_own_serves_a_whole_journey(
    shell: Shell, pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    store = BareStore(clock)
    session = (
        StoredSession(store, idle=2 * HOUR)
        if kind == "stored"
        else SealedSession(keys=KEYS[:1], coordinator=store, staleness=0, idle=2 * HOUR)
    )
    site = Site(shell, pool, clock, session)
    first, second, third = [site.sign_in() for _ in range(3)]
    clock.advance(0.1 * 2 * HOUR)
    assert first.does().body == second.does().body == "ada"
    clock.advance(HOUR - 0.1 * 2 * HOUR - 30)
    assert first.does().body == third.does().body == "ada"
    assert first.does(site.refresh).status == 200
    copy = first.copy()
    assert first.does(site.end()).clears_cookie
    assert copy.does().body.startswith("NotAuthorizedException")
    copy = second.copy()
    assert second.does(site.end(everywhere=True)).clears_cookie
    assert copy.does().body.startswith("NotAuthorizedException")
    assert third.does().body.startswith("NotAuthorizedException") is (kind == "stored")
    site.settle()
