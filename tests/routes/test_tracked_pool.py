"""A pool that tracks sessions, all the way: what is listed, what ends with it, who is asked again.

Two apps of one pool share browsers. Each browser has cookies at the sites and at the pool.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from amplify_mw import CognitoSession
from tests.routes.going import Visitor, pool_of
from tests.shells import ASGIShell, AwaitingShell, WSGIShell, shells
from tests.sites import HOUR, Build, Clock, Site, town

shell = shells(WSGIShell, ASGIShell, AwaitingShell)
OUT = "/auth/sign-out"
REVOKED = "NotAuthorizedException session_revoked"


@pytest.fixture
def pool_options() -> dict[str, Any]:
    return {"track_sessions": True, "max_sessions_per_user": 3}


@pytest.fixture(params=["sealed", "memory", "amplify"])
def site(build: Build, request: pytest.FixtureRequest) -> Site:
    return build(request.param)


@dataclass
class Person:
    """A browser with cookies at a site and at the pool."""

    visitor: Visitor
    at_pool: dict[str, str] = field(default_factory=dict)

    def sign_in(self, name: str | None = "ada") -> "Person":
        """Sign in by the routes. None: the pool has to know the browser."""
        back = pool_of(self.visitor).authorize(self.visitor.leave(), name, cookies=self.at_pool)
        self.visitor.come_back(back)
        assert self.visitor.user == "ada"
        return self

    @property
    def is_asked(self) -> bool:
        """Whether the pool's sign-in page asks for the password."""
        visitor = Visitor(self.visitor.site)  # one who is not signed in at the site
        try:
            pool_of(visitor).authorize(visitor.leave(), None, cookies=dict(self.at_pool))
        except ValueError:
            return True
        return False


def arrive(site: Site) -> Person:
    return Person(Visitor(site)).sign_in()


def listed(person: Person) -> list[CognitoSession]:
    found: list[CognitoSession] = []
    verbs = person.visitor.site.verbs
    person.visitor.does(lambda: found.extend(verbs.list_sessions(source="cognito")))
    return found


def own(person: Person) -> CognitoSession:
    (current,) = [one for one in listed(person) if one.is_current]
    return current


def ends(person: Person, handle: str) -> str:
    verbs = person.visitor.site.verbs
    got = person.visitor.does(lambda: verbs.end_session_by_handle(handle, source="cognito"))
    person.visitor.site.settle()
    return got.body


def test_a_sign_in_is_listed_with_the_browsers_session_that_it_came_through(site: Site) -> None:
    person, elsewhere = arrive(site), site.sign_in()
    assert elsewhere.does().body == "ada"
    found = listed(person)
    assert sorted(one.kind for one in found) == ["sso", "token", "token"]
    (sso,) = [one.handle for one in found if one.kind == "sso"]
    assert own(person).origin == sso
    others = [one for one in found if one.kind == "token" and not one.is_current]
    assert [one.origin for one in others] == [None]
    assert all(one.created_at == site.clock.now == one.seen_at for one in found)
    assert {one.client_id for one in found} == {site.pool.client_id}


def test_after_a_sign_out_by_the_app_the_pool_asks_again(site: Site) -> None:
    person = arrive(site)
    assert not person.is_asked
    person.visitor.does(site.end())
    site.settle()
    assert person.is_asked


def test_after_a_sign_in_in_its_place_the_pool_does_not_ask(site: Site) -> None:
    """It may have come through the same session of the browser."""
    person = arrive(site)
    person.visitor.does(site.start(site.pool.sign_in("ada")))
    site.settle()
    assert site.pool.count("RevokeToken") == 1
    assert not person.is_asked


def test_a_sign_out_leaves_the_browsers_other_app_signed_in(build: Build) -> None:
    here, there = build("sealed"), build("memory")
    person = arrive(here)
    other = Person(Visitor(there), person.at_pool).sign_in(None)
    person.visitor.does(here.end())
    here.settle()
    here.clock.advance(2 * HOUR)
    assert (other.visitor.user, other.is_asked) == ("ada", True)


def test_another_device_ends_and_has_to_enter_the_password(site: Site) -> None:
    here, there = arrive(site), arrive(site)
    assert ends(here, own(there).handle) == "True"
    assert (here.is_asked, there.is_asked) == (False, True)
    site.clock.advance(2 * HOUR)
    assert there.visitor.user == REVOKED
    assert here.visitor.user == "ada"


def test_ones_own_ends_here_and_there(site: Site) -> None:
    person, watching = arrive(site), arrive(site)
    handle = own(person).handle
    assert ends(person, handle) == "True"
    assert person.visitor.user == "NotAuthorizedException no_session"
    assert person.is_asked
    assert handle not in [one.handle for one in listed(watching)]


def test_with_the_browsers_session_all_that_came_through_it_ends(build: Build) -> None:
    here, there = build("sealed"), build("memory")
    person = arrive(here)
    other = Person(Visitor(there), person.at_pool).sign_in(None)
    origin = own(person).origin
    assert origin is not None
    assert ends(person, origin) == "True"
    assert person.visitor.user == "NotAuthorizedException no_session"
    assert person.is_asked
    here.clock.advance(2 * HOUR)
    assert other.visitor.user == REVOKED


def test_another_users_session_is_not_found(site: Site) -> None:
    ada = arrive(site)
    grace = site.sign_in("grace")
    found: list[CognitoSession] = []
    grace.does(lambda: found.extend(site.verbs.list_sessions(source="cognito")))
    (session,) = found
    assert ends(ada, session.handle) == "False"
    site.clock.advance(2 * HOUR)
    assert grace.does().body == "grace"


def test_a_sign_in_above_the_limit_evicts_one_which_ends_at_its_refresh(site: Site) -> None:
    oldest = site.sign_in()
    site.clock.advance(1)
    for _ in range(3):
        site.sign_in()
    assert oldest.does().body == "ada"  # its tokens count
    site.clock.advance(2 * HOUR)
    assert (oldest.does().body, oldest.jar) == (REVOKED, {})
    newest = site.sign_in()
    assert newest.does().body == "ada"


def test_many_sessions_come_in_pages(site: Site) -> None:
    site.pool.session_page_size = 1
    people = [arrive(site) for _ in range(3)]
    assert len({one.handle for one in listed(people[0])}) == 6


def test_a_pool_that_does_not_track_says_what_to_do(
    build: Build, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "amplify_mw")
    with town(clock) as pool:
        site = build("memory", pool=pool)
        browser = site.sign_in()
        got = browser.does(lambda: site.verbs.list_sessions(source="cognito"), site.who)
        assert got.body == "AuthError cognito_misconfigured, ada"
        assert "switch session tracking on" in caplog.text
        browser.does(site.end())
        site.settle()
        assert pool.count("RevokeToken") == 1  # asked for in vain, and not refused
