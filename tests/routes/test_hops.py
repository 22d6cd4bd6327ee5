"""Hops: what another site may not reach by the pages that go on by themselves."""

import threading

import pytest

from amplify_mw import end_session
from amplify_mw.web.requests import MAX_HOPS
from tests.routes.going import Visitor, hop_of, pool_of
from tests.sites import Build, outcome

LINK = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
BY_HAND = {**LINK, "Sec-Fetch-User": "?1"}
OUT = "/auth/sign-out"


def leaving() -> str:
    return str(outcome(end_session))


def arrive(visitor: Visitor, path: str, site: str = "cross-site") -> str:
    """What the app's page says that signs out; or where its guard's page goes on to."""
    got = visitor.does(leaving, path=path, headers={**LINK, "Sec-Fetch-Site": site})
    return hop_of(got) or got.body


def test_a_link_of_another_site_signs_nobody_out_by_way_of_a_hop(build: Build) -> None:
    site = build(protect=["/account/*"])
    assert arrive(Visitor(site), "/account/leave") == "/account/leave"
    visitor = Visitor(site, {**site.sign_in().jar, "amplify-hop": "1"})
    assert arrive(visitor, "/account/leave", "same-origin") == "ForbiddenException cross_site"
    assert visitor.user == "ada"


def test_who_has_done_something_since_may_sign_out(build: Build) -> None:
    site = build(protect=["/account/*"])
    visitor = Visitor(site, {**site.sign_in().jar, "amplify-hop": "1"})
    headers = {**BY_HAND, "Sec-Fetch-Site": "same-origin"}
    assert visitor.does(leaving, path="/account/leave", headers=headers).body == "None"


def test_a_link_that_is_opened_twice_within_seconds_hops_twice(build: Build) -> None:
    site = build(protect=["/account/*"])
    signed_in = site.sign_in().jar
    visitor = Visitor(site)
    for _ in range(2):
        assert arrive(visitor, "/account/a") == "/account/a"  # the Strict cookie stays at home
        both = Visitor(site, {**signed_in, **visitor.jar})
        got = both.does(path="/account/a", headers={**LINK, "Sec-Fetch-Site": "same-origin"})
        assert got.body == "ada"


def test_two_tabs_that_hop_at_once_are_both_another_sites_doing(build: Build) -> None:
    """The first one's way through leaves the cookie for the second one's request."""
    site = build(protect=["/account/*"])
    signed_in, tabs = site.sign_in().jar, Visitor(site)
    for _ in range(2):
        assert arrive(tabs, "/account/leave") == "/account/leave"
    for _ in range(2):
        tabs.jar |= signed_in
        assert arrive(tabs, "/account/leave", "same-origin") == "ForbiddenException cross_site"
    assert tabs.user == "ada"


def test_a_browser_that_always_says_cross_site_is_not_kept_hopping(build: Build) -> None:
    visitor = Visitor(build(protect=["/account/*"]))
    headers = {**LINK, "Sec-Fetch-Site": "cross-site"}
    ways = [visitor.does(path="/account/x", headers=headers) for _ in range(MAX_HOPS + 1)]
    assert [hop_of(got) for got in ways] == ["/account/x"] * MAX_HOPS + [None]
    assert ways[-1].status == 302


@pytest.mark.parametrize("value", ["", "99", "-1", "many", "\xff", "1" * 50_000, "\xb2"])
def test_a_cookie_that_no_hop_has_set_keeps_nobody_hopping(build: Build, value: str) -> None:
    visitor = Visitor(build(protect=["/account/*"]), {"amplify-hop": value})
    got = visitor.does(path="/account/x", headers={**LINK, "Sec-Fetch-Site": "cross-site"})
    assert (got.status, hop_of(got)) == (302, None)


def test_a_way_back_that_is_always_another_sites_is_answered_in_the_end(build: Build) -> None:
    visitor = Visitor(build())
    back = pool_of(visitor).authorize(visitor.leave(next="/a"), "ada")
    pages = [hop_of(visitor.go(back, fetch_site="cross-site")) for _ in range(MAX_HOPS + 1)]
    assert pages == [back.removeprefix("https://app.example.com")] * MAX_HOPS + ["/a"]
    assert visitor.user == "ada"


def test_two_ways_back_at_once_both_end_the_session_that_was_there(build: Build) -> None:
    visitor = Visitor(build())
    backs = [pool_of(visitor).authorize(visitor.leave(next=f"/{n}"), "ada") for n in "ab"]
    hops = [hop_of(visitor.go(back, fetch_site="cross-site")) or "" for back in backs]
    assert [hop.partition("?")[0] for hop in hops] == ["/auth/sign-in-callback"] * 2
    assert [hop_of(visitor.go(hop)) for hop in hops] == ["/a", "/b"]
    assert len(visitor.site.kept()) == 1
    assert "amplify-hop" not in visitor.jar


def test_a_new_sign_in_ends_the_session_that_was_there(build: Build) -> None:
    visitor = Visitor(build())
    pool_of(visitor).add_user("eve")
    visitor.sign_in()
    before = visitor.copy()
    visitor.sign_in("eve", prompt="login")
    assert visitor.user == "eve"
    assert before.does().body.startswith("NotAuthorizedException")


def test_requests_at_once_for_one_attempt_begin_one_session(build: Build) -> None:
    visitor = Visitor(build())
    pool = pool_of(visitor)
    back = pool.authorize(visitor.leave(), "ada")
    tabs = [Visitor(visitor.site, dict(visitor.jar)) for _ in range(3)]
    with pool.hold("token") as gate:
        threads = [threading.Thread(target=tab.go, args=[back]) for tab in tabs]
        for thread in threads:
            thread.start()
        gate.wait_for_arrivals(1)
        gate.release()
        for thread in threads:
            thread.join()
    assert [tab.user for tab in tabs].count("ada") == 1


def test_tokens_that_begin_no_session_are_revoked(build: Build) -> None:
    visitor = Visitor(build())
    pool = pool_of(visitor)
    with pool.tamper(claims={"nonce": "another"}):
        assert visitor.sign_in().status == 502
    visitor.site.settle()
    assert pool.count("RevokeToken") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors"},  # <link rel=prefetch>
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": ""},
        {"Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "empty, document", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_what_opens_no_page_signs_nobody_out(build: Build, headers: dict[str, str]) -> None:
    site = build()
    visitor = Visitor(site, site.sign_in().jar)
    assert visitor.go(OUT, headers=headers).status == 403
    assert visitor.user == "ada"
