"""Hops: what another site may not reach by the pages that go on by themselves."""

import threading

import pytest

from amplify_mw import end_session
from tests.routes.conftest import Build
from tests.routes.going import Visitor, hop_of, pool_of
from tests.sites import outcome

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


def test_a_browser_that_always_says_cross_site_gets_one_hop(build: Build) -> None:
    visitor = Visitor(build(protect=["/account/*"]))
    headers = {**LINK, "Sec-Fetch-Site": "cross-site"}
    first, second = (visitor.does(path="/account/x", headers=headers) for _ in range(2))
    assert (hop_of(first), hop_of(second)) == ("/account/x", None)
    assert second.status == 302


def test_a_way_back_that_is_always_another_sites_is_answered_the_second_time(build: Build) -> None:
    visitor = Visitor(build())
    back = pool_of(visitor).authorize(visitor.leave(next="/a"), "ada")
    pages = [hop_of(visitor.go(back, fetch_site="cross-site")) for _ in range(2)]
    assert pages == [back.removeprefix("https://app.example.com"), "/a"]
    assert visitor.user == "ada"


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
        {**LINK, "Sec-Purpose": "prefetch"},
    ],
)
def test_what_opens_no_page_signs_nobody_out(build: Build, headers: dict[str, str]) -> None:
    site = build()
    visitor = Visitor(site, site.sign_in().jar)
    assert visitor.go(OUT, headers=headers).status == 403
    assert visitor.user == "ada"
