"""Prefetched sign-in routes: nothing is begun, used up or ended, and no cookie is set."""

from typing import Any

import pytest

from tests.routes.going import NAVIGATION, Visitor, hop_of, pool_of
from tests.shells import Got
from tests.sites import Build

TYPED = {**NAVIGATION, "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
ROUTES = [
    "/auth/sign-in?next=/a",
    "/auth/sign-up",
    "/auth/sign-in-callback?code=a&state=b",
    "/auth/sign-out",
    "/auth/sign-out-callback",
]
PURPOSES = ["prefetch", "prefetch;prerender", "", "anything", "\xff, ;=", "a" * 100_000]


def prefetch(visitor: Visitor, url: str, purpose: str = "prefetch", **facts: Any) -> Got:
    headers = {**TYPED, "Sec-Purpose": purpose}
    return visitor.go(url, fetch_site=None, headers=headers, **facts)


@pytest.mark.parametrize("url", ROUTES)
def test_each_is_answered_403(visitor: Visitor, url: str) -> None:
    for purpose in PURPOSES:
        got = prefetch(visitor, url, purpose)
        assert (got.status, got.all("set-cookie"), got.one("location")) == (403, [], None)
        kind, cached = got.one("content-type"), got.one("cache-control")
        assert (kind, cached) == ("application/problem+json", "no-store")


@pytest.mark.parametrize("url", ROUTES)
def test_who_asks_for_the_head_alone_gets_no_body(visitor: Visitor, url: str) -> None:
    got = prefetch(visitor, url, method="HEAD")
    assert (got.status in (403, 405), got.body) == (True, "")


def test_twelve_prefetched_links_leave_the_attempt_that_is_in_use(visitor: Visitor) -> None:
    back = pool_of(visitor).authorize(visitor.leave(next="/mine"), "ada")
    begun = visitor.attempts
    for number in range(12):
        prefetch(visitor, f"/auth/sign-in?next=/{number}")
        prefetch(visitor, f"/auth/sign-up?next=/{number}")
    assert (len(begun), visitor.attempts) == (1, begun)
    assert hop_of(visitor.come_back(back)) == "/mine"
    assert visitor.user == "ada"


def test_a_prefetched_callback_uses_up_no_code(visitor: Visitor) -> None:
    pool = pool_of(visitor)
    back = pool.authorize(visitor.leave(next="/mine"), "ada")
    assert prefetch(visitor, back).status == 403
    assert pool.count("token") == 0
    assert hop_of(visitor.come_back(back)) == "/mine"
    assert visitor.user == "ada"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_prefetched_sign_out_signs_nobody_out(visitor: Visitor, method: str) -> None:
    visitor.sign_in()
    assert prefetch(visitor, "/auth/sign-out", method=method).status == 403
    assert visitor.user == "ada"
    assert visitor.go("/auth/sign-out").status == 303


def test_a_browser_that_has_to_sign_in_again_still_has_to(build: Build) -> None:
    """What a refused session's answer notes for the next sign-in is kept with a 403, too."""
    site = build()
    visitor, other = Visitor(site), Visitor(site)
    visitor.sign_in()
    other.sign_in()
    other.does(site.end(everywhere=True))
    prefetch(visitor, "/auth/sign-in")
    assert "prompt=login" in visitor.leave()


def test_the_log_says_which_route(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")
    prefetch(visitor, "/auth/sign-in", "pre\x1bfetch")
    line = "answered 403: speculative_request (GET '/auth/sign-in', a prefetch)"
    assert line in caplog.messages
    assert "\x1b" not in caplog.text
