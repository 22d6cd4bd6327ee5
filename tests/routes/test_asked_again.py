"""A session that was ended from elsewhere: its browser is asked for the password again."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import SealedSession, StoredSession
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import Down
from tests.routes.going import NAVIGATION, Visitor, hop_of, pool_of, sent
from tests.shells import AppAnswer, Got
from tests.sites import HOUR, KEYS, NAME, Build, Clock, Site, attributes, infos, outcome
from tests.valkey import redis_url as redis_url

MARK = "amplify-ask-again"
MEMBERS = "/members"
ENDED = "NotAuthorizedException session_revoked"
Stores = Callable[[str], Any]


@pytest.fixture
def store_of(clock: Clock, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stores]:
    made: list[Any] = []

    def make(kind: str) -> Any:
        if kind == "memory":
            store: Any = MemoryStore(clock=clock)
        elif kind == "sqlite":
            store = SQLiteStore(tmp_path / "sessions.db", clock=clock)
        else:
            url = request.getfixturevalue("redis_url")
            store = RedisStore(url, prefix=f"{secrets.token_hex(8)}:")
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, build: Build, store_of: Stores) -> Site:
    """A site with a store, where `/members` is protected."""
    session = StoredSession(store_of(getattr(request, "param", "memory")))
    return build(session, routes={"on_error": "/sorry"}, protect=["/members/*"])


every_store = pytest.mark.parametrize("site", ["memory", "sqlite", "redis"], indirect=True)


class Person(Visitor):
    """Somebody with a browser that the user pool remembers, too."""

    def __init__(self, site: Site, jar: dict[str, str] | None = None) -> None:
        super().__init__(site, jar)
        self.pool_cookies: dict[str, str] = {}

    def sign_in_at(self, url: str, name: str | None = "ada") -> Got:
        """Sign in at the pool, and come back."""
        return self.come_back(pool_of(self).authorize(url, name, cookies=self.pool_cookies))

    def is_asked_at(self, url: str) -> bool:
        """Whether the pool wants a password there."""
        try:
            pool_of(self).authorize(url, None, cookies=dict(self.pool_cookies))
        except ValueError:  # it sends nobody anywhere without one
            return True
        return False

    def away(self, url: str) -> str:
        """Where a page leads to in the end: to the pool."""
        got = self.go(url, headers=NAVIGATION)
        while str(got.one("location")).startswith("/"):
            got = self.go(str(got.one("location")), headers=NAVIGATION)
        return str(got.one("location"))


def person(site: Site) -> Person:
    """Somebody who has just signed in."""
    somebody = Person(site)
    somebody.sign_in_at(somebody.leave())
    assert somebody.user == "ada"
    return somebody


def end_by_handle(here: Person) -> None:
    """End the user's one other session."""
    verbs, site = here.site.verbs, here.site
    (handle,) = [one.handle for one in infos(site, here) if not one.is_current]
    assert here.does(lambda: verbs.end_session_by_handle(handle)).body == "True"


def end_everywhere(here: Person) -> None:
    assert here.does(here.site.end(everywhere=True)).body == "None"


ways = pytest.mark.parametrize("end", [end_by_handle, end_everywhere])


def mark_of(got: Got) -> str | None:
    """The line that sets or clears the mark."""
    lines = [line for line in got.all("set-cookie") if line.startswith(f"{MARK}=")]
    assert len(lines) < 2
    return lines[0] if lines else None


# --- asked again


def test_a_browser_that_the_pool_remembers_is_asked_for_nothing(site: Site) -> None:
    """Which is why there is all this."""
    there = person(site)
    del there.jar[NAME]
    assert not there.is_asked_at(there.away(MEMBERS))


@every_store
@ways
def test_a_protected_page_leads_to_the_password(site: Site, end: Any) -> None:
    here, there = person(site), person(site)
    end(here)
    url = there.away(MEMBERS)
    assert sent(url)["prompt"] == "login"
    assert there.is_asked_at(url)


@ways
def test_so_does_the_link_to_sign_in_after_the_first_page(site: Site, end: Any) -> None:
    here, there = person(site), person(site)
    end(here)
    assert there.user == ENDED
    assert NAME not in there.jar
    assert there.is_asked_at(there.leave())


def test_so_does_the_link_as_the_very_first_request(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    assert there.is_asked_at(there.leave())
    assert NAME not in there.jar


def test_it_stays_so_until_a_sign_in_has_come_to_something(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    there.go(MEMBERS, headers=NAVIGATION)
    for _ in range(3):  # back, and the link again
        assert there.is_asked_at(there.leave())
    with pool_of(there).fault("token", Down()):
        assert hop_of(there.sign_in_at(there.leave())) == "/sorry?error=provider_unavailable"
    assert there.is_asked_at(there.leave())
    got = there.sign_in_at(there.leave())
    assert attributes(str(mark_of(got)))["max-age"] == "0"
    assert there.user == "ada"


def test_after_that_nobody_is_asked_any_more(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    there.sign_in_at(there.away(MEMBERS))
    assert (there.user, MARK in there.jar) == ("ada", False)
    del there.jar[NAME]
    assert not there.is_asked_at(there.leave())


def test_a_sign_in_that_comes_back_with_the_ended_sessions_cookie_leaves_no_mark(
    site: Site,
) -> None:
    here, there = person(site), person(site)
    url = there.leave(prompt="login")
    end_by_handle(here)
    there.sign_in_at(url)
    assert (MARK in there.jar, there.user) == (False, "ada")


@pytest.mark.parametrize("asked", ["none", "select_account", "consent"])
def test_no_link_has_it_otherwise(site: Site, asked: str) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    assert there.user == ENDED
    assert sent(there.leave(prompt=asked))["prompt"] == "login"


@ways
def test_the_browser_that_ended_them_goes_on_as_it_was(site: Site, end: Any) -> None:
    here, _ = person(site), person(site)
    end(here)
    if end is end_by_handle:
        assert (here.user, MARK in here.jar) == ("ada", False)
    else:  # all of them, this one as well
        assert here.is_asked_at(here.leave())


def test_who_ends_this_very_device_by_its_handle_is_asked_again(site: Site) -> None:
    here = person(site)
    (current,) = infos(site, here)
    got = here.does(lambda: site.verbs.end_session_by_handle(current.handle))
    assert got.body == "True"
    assert here.is_asked_at(here.leave())


def test_who_signs_out_leaves_no_mark(site: Site) -> None:
    here = person(site)
    here.does(site.end())
    assert MARK not in here.jar


def test_a_session_that_has_only_run_out_leaves_no_mark(build: Build, clock: Clock) -> None:
    site = build(StoredSession(MemoryStore(clock=clock), idle=HOUR))
    here = person(site)
    clock.advance(2 * HOUR)
    got = here.does()
    assert (got.clears_cookie, mark_of(got)) == (True, None)


def test_a_session_of_the_coordinator_that_was_ended_everywhere_is_marked(
    build: Build, store_of: Stores
) -> None:
    site = build(SealedSession(keys=KEYS[:1], coordinator=store_of("sqlite"), staleness=0))
    here = person(site)
    copy = Person(site, dict(here.jar))
    here.does(site.end(everywhere=True))
    got = copy.does()
    assert got.body == ENDED
    assert attributes(str(mark_of(got)))["path"] == "/auth"


@pytest.mark.parametrize("first", ["sealed", "stored"])
def test_of_several_kinds_the_one_that_was_ended_elsewhere_is_enough(
    build: Build, store_of: Stores, first: str
) -> None:
    kinds: list[Any] = [SealedSession(keys=KEYS[:1]), StoredSession(store_of("memory"))]
    site = build(kinds if first == "sealed" else kinds[::-1])
    alone = build(kinds[1])
    there, here = Person(site, person(alone).jar), Person(site, person(alone).jar)
    assert there.user == "ada"
    end_everywhere(here)
    got = there.does()
    assert NAME not in there.jar
    assert mark_of(got) is not None


# --- the mark


def test_the_mark_is_for_the_routes_alone_and_for_as_long_as_the_pool_remembers(
    site: Site,
) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    line = str(mark_of(there.does()))
    assert line.startswith(f"{MARK}=1;")
    said = attributes(line)
    assert (said["path"], said["max-age"], said["samesite"]) == ("/auth", "3600", "Lax")
    assert said.keys() >= {"httponly", "secure"}


def test_a_site_without_the_routes_has_no_mark(build: Build, store_of: Stores) -> None:
    site = build(StoredSession(store_of("memory")), routes=None)
    here, there = site.sign_in(), site.sign_in()
    here.does(site.end(everywhere=True))
    got = there.does()
    assert (got.body, got.clears_cookie, mark_of(got)) == (ENDED, True, None)


def test_an_answer_in_which_somebody_signs_in_has_no_mark(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    got = there.does(site.start(site.pool.sign_in("grace")))
    assert (got.body, mark_of(got)) == ("grace", None)


def test_an_answer_whose_app_sets_the_session_itself_has_no_mark(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    own = f"{NAME}=the-apps-own"
    got = there.ask(lambda: AppAnswer(outcome(site.who), [("Set-Cookie", own)]))
    assert (got.body, got.all("set-cookie")) == (ENDED, [own])


def test_who_signs_out_of_a_session_that_was_ended_elsewhere_is_asked_again(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    there.does(site.end())
    assert there.is_asked_at(there.leave())


@pytest.mark.parametrize(
    "mark", ["1", "", "x" * 3000, '"', "\xff", "1; " + MARK + "=2"], ids=lambda mark: mark[:5]
)
def test_a_mark_that_somebody_has_planted_costs_a_password_and_nothing_else(
    site: Site, mark: str
) -> None:
    here = person(site)
    here.jar[MARK] = mark
    assert here.go("/auth/sign-in?next=/x").one("location") == "/x"  # who is signed in stays so
    assert here.user == "ada"
    del here.jar[NAME]
    assert here.is_asked_at(here.leave())
    here.sign_in_at(here.leave())
    assert here.user == "ada"


@pytest.mark.parametrize("name", [MARK + "-x", "x-" + MARK, MARK.upper()])
def test_a_cookie_of_another_name_is_no_mark(site: Site, name: str) -> None:
    here = person(site)
    here.jar = {name: "1", "theme": MARK + "=1"}
    assert "prompt" not in sent(here.leave())


def test_signing_up_is_left_as_it_is(site: Site) -> None:
    here, there = person(site), person(site)
    end_by_handle(here)
    assert there.user == ENDED
    assert "prompt" not in sent(there.leave("/auth/sign-up"))


# --- the store


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_what_is_left_of_a_session_is_small_and_names_nobody(
    build: Build, store_of: Stores, kind: str
) -> None:
    store = store_of(kind)
    site = build(StoredSession(store))
    here, _ = person(site), person(site)
    (other,) = [one.handle for one in infos(site, here) if not one.is_current]
    [(key, before)] = [(key, one) for key, one in site.kept() if one.handle == other]
    end_by_handle(here)
    left = store.load(key)
    assert (left.value, left.user, left.handle, left.user_agent) == (b"\x01\x01", "", "", "")
    assert left.expires_at == pytest.approx(before.expires_at, abs=0.001)
    assert len(site.kept()) == 1


def test_a_tombstone_in_a_format_of_later_says_only_that_it_is_one(
    build: Build, clock: Clock
) -> None:
    store = MemoryStore(clock=clock)
    site = build(StoredSession(store))
    there = person(site)
    [(key, record)] = site.kept()
    ended = type(record)(b"\x02anything", 2**53 - 1, record.expires_at)
    assert store.replace(key, ended)
    got = there.does()
    assert (got.body, got.clears_cookie, mark_of(got)) == (ENDED, True, None)


def test_an_ended_session_is_neither_listed_nor_ended_again(site: Site) -> None:
    here, there = person(site), person(site)
    handle = next(one.handle for one in infos(site, here) if not one.is_current)
    end_by_handle(here)
    assert [one.is_current for one in infos(site, here)] == [True]
    assert here.does(lambda: site.verbs.end_session_by_handle(handle)).body == "False"
    assert there.does().body == ENDED


@pytest.mark.parametrize("mount", ["/shop", ["/other", "/shop"]])
def test_below_a_mount_the_mark_is_for_its_routes(
    build: Build, store_of: Stores, mount: Any
) -> None:
    site = build(StoredSession(store_of("memory")), mount=mount)
    here, there = [person_below(site, "/shop") for _ in range(2)]
    end_by_handle(here)
    line = mark_of(there.go("/shop/auth/sign-in", mount="/shop"))
    assert line is not None
    assert attributes(line)["path"] == "/shop/auth"


def person_below(site: Site, mount: str) -> Person:
    somebody = Person(site)
    got = somebody.go(f"{mount}/auth/sign-in", mount=mount)
    somebody.come_back(pool_of(somebody).authorize(str(got.one("location")), "ada"), mount=mount)
    assert somebody.user == "ada"
    return somebody
