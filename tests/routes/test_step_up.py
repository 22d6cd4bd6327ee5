"""A page that asks for a recent or strong sign-in: there and back through the sign-in routes."""

from typing import Any

import pytest

from amplify_mw import Needs, SealedSession, StoredSession, TokenSession
from amplify_mw.stores.memory import MemoryStore
from tests.routes.going import (
    NAVIGATION,
    Visitor,
    again_of,
    altered,
    code_of,
    hop_of,
    pool_of,
    sent,
)
from tests.sites import KEYS, Build, Clock, Site

MFA, KEY = "urn:example:mfa", "urn:example:key"
PROTECT = {
    "/pay": Needs(fresh=300),
    "/keys": Needs(acr=[MFA, KEY]),
    "/both": Needs(fresh=300, acr=MFA),
}


def kind(name: str) -> Any:
    if name == "token":
        return TokenSession()
    return SealedSession(keys=KEYS[:1]) if name == "sealed" else StoredSession(MemoryStore())


@pytest.fixture
def site(request: Any, build: Build) -> Site:
    session = kind(getattr(request, "param", "token"))
    return build(session, routes={"on_error": "/sorry"}, protect=PROTECT)


every_kind = pytest.mark.parametrize("site", ["token", "sealed", "stored"], indirect=True)


def asked_of(visitor: Visitor, page: str) -> str:
    """The address at the pool that a page leads to."""
    got = visitor.go(page, headers=NAVIGATION)
    assert got.status == 302
    got = visitor.go(str(got.one("location")), headers=NAVIGATION)
    assert got.status == 303
    return str(got.one("location"))


@every_kind
@pytest.mark.parametrize("page", ["/pay", "/keys", "/both"])
def test_a_page_sends_to_the_pool_and_is_shown_afterwards(
    visitor: Visitor, clock: Clock, page: str
) -> None:
    cookies: dict[str, str] = {}
    pool = pool_of(visitor)
    visitor.come_back(pool.authorize(visitor.leave(), "ada", cookies=cookies))
    clock.advance(600)
    url = asked_of(visitor, f"{page}?order=7")
    members = sent(url)
    assert members.get("max_age") == (None if page == "/keys" else "300")
    assert members.get("acr_values") == {"/pay": None, "/keys": f"{MFA} {KEY}", "/both": MFA}[page]
    with pytest.raises(ValueError, match="form"):  # the pool asks for the password
        pool.authorize(url, None, cookies=dict(cookies))
    got = visitor.come_back(pool.authorize(url, "ada", cookies=cookies))
    assert hop_of(got) == f"{page}?order=7"
    assert visitor.go(f"{page}?order=7", headers=NAVIGATION).body == "the app"


@every_kind
@pytest.mark.parametrize(
    ("page", "claims", "code"),
    [
        ("/pay", {"auth_time": 1_800_000_000}, "sign_in_too_old"),
        ("/pay", {"auth_time": None}, "sign_in_too_old"),
        ("/pay", {"auth_time": 10**12}, "sign_in_too_old"),
        ("/keys", {"acr": None}, "sign_in_too_weak"),
        ("/keys", {"acr": "urn:example:pwd"}, "sign_in_too_weak"),
        ("/keys", {"acr": [MFA]}, "sign_in_too_weak"),
        ("/both", {"acr": KEY}, "sign_in_too_weak"),
    ],
)
def test_a_pool_that_does_not_do_it_ends_in_a_page_and_changes_nothing(
    visitor: Visitor, clock: Clock, page: str, claims: Any, code: str
) -> None:
    visitor.sign_in("grace")
    clock.advance(600)
    url = asked_of(visitor, page)
    with pool_of(visitor).tamper(claims=claims):
        got = visitor.come_back(pool_of(visitor).authorize(url, "ada"))
    assert code_of(got) == code
    assert visitor.user == "grace"


@pytest.mark.parametrize("page", ["/pay", "/keys"])
def test_nobody_on_the_way_can_lower_it(visitor: Visitor, clock: Clock, page: str) -> None:
    visitor.sign_in()
    clock.advance(600)
    url = altered(asked_of(visitor, page), max_age=None, acr_values=None)
    with pool_of(visitor).tamper(claims={"auth_time": 1_800_000_000}):
        got = visitor.come_back(pool_of(visitor).authorize(url, "ada"))
    assert code_of(got) in ("sign_in_too_old", "sign_in_too_weak")


@pytest.mark.parametrize(
    "values", ["", " ", "a  b", 'a"b', "a\\b", "a\nb", "a\tb", "ü", "a" * 257, "\x00", "a\x7f"]
)
def test_malformed_values_are_refused(visitor: Visitor, values: str) -> None:
    from urllib.parse import urlencode

    got = visitor.go(f"/auth/sign-in?{urlencode({'acr_values': values})}")
    assert code_of(got) == "bad_request"


def test_values_are_one_parameter_of_the_address(visitor: Visitor) -> None:
    url = visitor.leave(acr_values="a&max_age=9&state=x# b")
    assert sent(url)["acr_values"] == "a&max_age=9&state=x# b"
    assert "max_age" not in sent(url)


def test_a_lost_attempt_begins_again_with_the_same_demands(visitor: Visitor, clock: Clock) -> None:
    visitor.sign_in()
    clock.advance(600)
    url = asked_of(visitor, "/both")
    for name in visitor.attempts:
        del visitor.jar[name]
    got = visitor.come_back(pool_of(visitor).authorize(url, "ada"))
    again = again_of(got)
    assert again == {"max_age": "300", "acr_values": MFA, "next": "/both", "turns": "1"}
    got = visitor.sign_in(**again)
    assert hop_of(got) == "/both"


def test_a_browser_that_loses_every_attempt_ends_at_a_page(visitor: Visitor, clock: Clock) -> None:
    visitor.sign_in()
    clock.advance(600)
    url = asked_of(visitor, "/both")
    for _ in range(5):
        for name in visitor.attempts:
            del visitor.jar[name]
        again = again_of(visitor.come_back(pool_of(visitor).authorize(url, "ada")))
        assert again is not None
        url = visitor.leave(**again)
    for name in visitor.attempts:
        del visitor.jar[name]
    got = visitor.come_back(pool_of(visitor).authorize(url, "ada"))
    assert code_of(got) == "attempt_expired"


def test_a_second_tab_needs_no_second_step_up(visitor: Visitor, clock: Clock) -> None:
    visitor.sign_in()
    clock.advance(600)
    one, other = (asked_of(visitor, "/both") for _ in range(2))
    visitor.come_back(pool_of(visitor).authorize(one, "ada"))
    assert visitor.go("/both", headers=NAVIGATION).body == "the app"
    for name in visitor.attempts:
        del visitor.jar[name]
    got = visitor.come_back(pool_of(visitor).authorize(other, "ada"))
    assert hop_of(got) == "/both"  # the session is good enough


def test_another_sites_link_asks_first(visitor: Visitor, clock: Clock) -> None:
    visitor.sign_in()
    clock.advance(600)
    got = visitor.go("/auth/sign-in?max_age=300&acr_values=urn:a", fetch_site="cross-site")
    assert (got.status, "acr_values=urn%3Aa" in got.body) == (200, True)
