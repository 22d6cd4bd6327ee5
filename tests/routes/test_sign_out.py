"""Sign-out: the session ends here and at the pool, and no other site's page can do it."""

from html import unescape
from typing import Any

import pytest

from amplify_mw import AmplifyCookies, SealedSession, StoredSession
from amplify_mw.effects import Unreachable
from amplify_mw.stores.memory import MemoryStore
from tests.routes.going import ORIGIN, Visitor, pool_of, sent
from tests.shells import Got
from tests.sites import HOUR, KEYS, NAME, Build, Clock, town
from tests.trips import CountingStore

OUT = "/auth/sign-out"
EVIL = "https://evil.example"
PASSED_ON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty"}
KINDS: dict[str, Any] = {
    "sealed": lambda: SealedSession(keys=KEYS[:1]),
    "stored": lambda: StoredSession(MemoryStore()),
    "amplify": AmplifyCookies,
}


def logout_of(got: Got) -> str:
    """Where a sign-out goes on to: a form's by a page, for a policy may hold its redirects."""
    if got.status == 303:
        return str(got.one("location"))
    assert got.status == 200
    return unescape(got.body.partition('content="0;url=')[2].partition('"')[0])


def signed_in(build: Build, *args: Any, **options: Any) -> Visitor:
    visitor = Visitor(build(*args, **options))
    visitor.sign_in()
    assert visitor.user == "ada"
    return visitor


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_session_ends_here_and_there(build: Build, kind: str, method: str) -> None:
    visitor = signed_in(build, KINDS[kind]())
    got = visitor.go(OUT, method=method)
    assert visitor.user == "NotAuthorizedException no_session"
    visitor.site.settle()
    pool = pool_of(visitor)
    assert pool.count("revoke") + pool.count("RevokeToken") == 1
    url = logout_of(got)
    assert url.startswith(f"{pool.url}/logout?")
    uri = f"{ORIGIN}/auth/sign-out-callback"
    assert sent(url) == {"client_id": pool.client_id, "logout_uri": uri}


def test_the_pool_sends_people_back_to_after_sign_out(build: Build, clock: Clock) -> None:
    with town(clock, logout_uris=[f"{ORIGIN}/auth/sign-out-callback"]) as pool:
        visitor = signed_in(build, pool=pool, routes={"after_sign_out": "/bye?for=now"})
        back = pool.authorize(str(visitor.go(OUT).one("location")), None)
        got = visitor.come_back(back)
        assert (got.status, got.one("location")) == (303, "/bye?for=now")
        assert got.all("set-cookie") == []


def test_who_has_signed_out_has_to_show_a_password_again(visitor: Visitor) -> None:
    pool = pool_of(visitor)
    browser: dict[str, str] = {}
    visitor.come_back(pool.authorize(visitor.leave(), "ada", cookies=browser))
    pool.authorize(str(visitor.go(OUT).one("location")), None, cookies=browser)
    with pytest.raises(ValueError, match="nowhere"):
        pool.authorize(visitor.leave(), None, cookies=browser)


@pytest.mark.parametrize("cookie", [None, "junk"])
def test_nobody_is_signed_out_all_the_same(visitor: Visitor, cookie: str | None) -> None:
    if cookie:
        visitor.jar[NAME] = cookie
    got = visitor.go(OUT)
    assert str(got.one("location")).startswith(f"{pool_of(visitor).url}/logout?")
    assert NAME not in visitor.jar


# Whose page may ask.

REQUESTS: list[tuple[str, str, dict[str, str], bool]] = [
    ("same-origin", "GET", {"Sec-Fetch-Site": "same-origin"}, True),
    ("same-origin", "GET", {"Sec-Fetch-Site": "none"}, True),
    ("same-origin", "GET", {"Sec-Fetch-Site": "same-site"}, False),
    ("same-origin", "GET", {"Sec-Fetch-Site": "cross-site"}, False),
    ("same-origin", "GET", {"Sec-Fetch-Site": "same-origin, cross-site"}, False),
    ("same-origin", "GET", {"Sec-Fetch-Site": ""}, False),
    # A service worker passes the opening of a page on.
    ("same-origin", "GET", {"Sec-Fetch-Site": "same-origin", **PASSED_ON}, True),
    ("same-origin", "GET", {"Sec-Fetch-Site": "none", **PASSED_ON}, True),
    ("same-origin", "GET", {"Sec-Fetch-Site": "same-site", **PASSED_ON}, False),
    ("same-origin", "GET", {"Sec-Fetch-Site": "cross-site", **PASSED_ON}, False),
    ("same-origin", "GET", PASSED_ON, False),
    ("same-site", "GET", {"Sec-Fetch-Site": "same-site", **PASSED_ON}, True),
    ("never", "GET", {"Sec-Fetch-Site": "same-origin", **PASSED_ON}, False),
    ("same-origin", "GET", {}, False),  # an old browser does not tell
    ("same-origin", "GET", {"Referer": f"{ORIGIN}/"}, False),
    ("same-site", "GET", {"Sec-Fetch-Site": "same-origin"}, True),
    ("same-site", "GET", {"Sec-Fetch-Site": "same-site"}, True),
    ("same-site", "GET", {"Sec-Fetch-Site": "cross-site"}, False),
    ("same-site", "GET", {}, False),
    ("never", "GET", {"Sec-Fetch-Site": "same-origin"}, False),
    ("never", "GET", {"Sec-Fetch-Site": "none"}, False),
    ("never", "POST", {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, True),
    ("same-origin", "POST", {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, True),
    ("same-origin", "POST", {"Sec-Fetch-Site": "same-origin"}, True),
    ("same-origin", "POST", {"Origin": ORIGIN}, True),  # an old browser's own page
    ("same-origin", "POST", {}, True),  # no browser's, or a very old one's own page
    ("same-origin", "POST", {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
    ("same-origin", "POST", {"Sec-Fetch-Site": "cross-site"}, False),
    ("same-origin", "POST", {"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
    ("same-origin", "POST", {"Sec-Fetch-Site": "same-site", "Origin": "https://b.example.com"},
     False),
    ("same-site", "POST", {"Sec-Fetch-Site": "same-site", "Origin": "https://b.example.com"},
     False),
    ("same-origin", "POST", {"Origin": EVIL}, False),
    ("same-origin", "POST", {"Origin": "null"}, False),
    ("same-origin", "POST", {"Origin": f"{ORIGIN}.evil.example"}, False),
    ("same-origin", "POST", {"Origin": ""}, False),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "method", "headers", "is_good"), REQUESTS, ids=str)
def test_who_may_sign_somebody_out(
    build: Build, policy: str, method: str, headers: dict[str, str], is_good: bool
) -> None:
    site = build(routes={"get_sign_out": policy})
    visitor = Visitor(site, site.sign_in().jar)
    got = visitor.go(OUT, method=method, fetch_site=None, headers=headers)
    assert got.status == ((200 if method == "POST" else 303) if is_good else 403)
    assert visitor.user == ("NotAuthorizedException no_session" if is_good else "ada")
    if not is_good:
        assert got.one("content-type") == "application/problem+json"
        assert (got.all("set-cookie"), got.one("location")) == ([], None)


def test_another_origin_of_ones_own_may_post(build: Build) -> None:
    other = "https://www.example.com"
    headers = {"Origin": other, "Sec-Fetch-Site": "same-site"}
    for origins, status in (([], 403), ([other], 200)):
        site = build(origins=origins)
        visitor = Visitor(site, site.sign_in().jar)
        assert visitor.go(OUT, method="POST", fetch_site=None, headers=headers).status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_it_takes_no_other_method(visitor: Visitor, method: str) -> None:
    got = visitor.go(OUT, method=method)
    assert (got.status, got.one("allow")) == (405, "GET, POST")


class FailingStore(MemoryStore):
    """A store that can no longer end anything."""

    is_down = False

    def end(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_down:
            raise Unreachable("down")
        return super().end(*args, **kwargs)


def test_where_the_store_is_down_the_cookie_goes_and_the_rest_is_tried_again(
    build: Build,
) -> None:
    store = FailingStore()
    visitor = signed_in(build, StoredSession(store))
    store.is_down = True
    got = visitor.go(OUT)
    assert (got.status, got.one("retry-after") is not None) == (503, True)
    assert NAME not in visitor.jar
    assert visitor.go(OUT).status == 303


@pytest.mark.parametrize("is_known", [True, False])
def test_tokens_are_revoked_even_if_the_store_cannot_end_their_session(
    build: Build, *, is_known: bool
) -> None:
    store = FailingStore()
    visitor = signed_in(build, StoredSession(store))
    if not is_known:
        visitor = Visitor(build(StoredSession(store)), visitor.jar)
    store.is_down = True
    assert visitor.go(OUT).status == 503
    visitor.site.settle()
    pool = pool_of(visitor)
    assert pool.count("revoke") + pool.count("RevokeToken") == 1


def test_the_sign_in_of_another_site_cannot_be_finished_here(build: Build) -> None:
    """A page that sends people to a callback with its own code signs nobody in."""
    site = build(routes={"on_error": "/sorry"})
    attacker, victim = Visitor(site), Visitor(site)
    victim.sign_in()
    back = pool_of(attacker).authorize(attacker.leave(), "grace")
    victim.come_back(back)
    assert victim.user == "ada"
    assert pool_of(attacker).count("token") == 1  # the victim's own


# How often the store is asked.


@pytest.fixture
def counted(build: Build, clock: Clock) -> tuple[Visitor, CountingStore]:
    """A visitor who is signed in, and the store of the session."""
    store = CountingStore(clock)
    visitor = signed_in(build, StoredSession(store))
    assert store.asked
    return visitor, store


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_sign_out_is_one_trip_to_the_store(
    counted: tuple[Visitor, CountingStore], method: str
) -> None:
    visitor, store = counted
    got = visitor.go(OUT, method=method)
    assert logout_of(got).startswith(f"{pool_of(visitor).url}/logout?")
    assert (got.clears_cookie, store.asked) == (True, ["end"])


def test_tokens_that_are_due_are_not_refreshed_to_be_revoked(
    counted: tuple[Visitor, CountingStore], clock: Clock
) -> None:
    visitor, store = counted
    clock.advance(2 * HOUR)
    assert visitor.go(OUT).clears_cookie
    visitor.site.settle()
    pool = pool_of(visitor)
    assert store.asked == ["end"]
    assert pool.count("GetTokensFromRefreshToken") == 0
    assert pool.count("revoke") + pool.count("RevokeToken") == 1


def test_a_session_that_is_gone_is_looked_for_and_cleared(
    counted: tuple[Visitor, CountingStore],
) -> None:
    visitor, store = counted
    other = visitor.jar.copy()
    visitor.go(OUT)
    assert store.asked == ["end"]
    visitor.jar.update(other)
    assert visitor.go(OUT).clears_cookie
    assert store.asked == ["end", "load", "end"]


def test_another_sites_page_is_refused_as_ever_and_ends_nothing(
    counted: tuple[Visitor, CountingStore],
) -> None:
    visitor, store = counted
    got = visitor.go(OUT, method="POST", headers={"Sec-Fetch-Site": "cross-site"})
    assert (got.status, store.asked) == (403, ["reload"])
    assert visitor.user == "ada"
