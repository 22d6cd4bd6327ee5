"""Two session cookies of one name: a sign-in or a sign-out clears the other, if it can."""

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyCookies,
    ConfigurationError,
    CookiePolicy,
    SealedSession,
    StoredSession,
    TokenSession,
)
from amplify_mw.effects import Unreachable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.web.cookie_policy import paths_above
from amplify_mw.web.cookies import SessionCookie
from amplify_mw.web.origins import domains_above
from tests.routes.going import ORIGIN
from tests.routes.jar import HOST, Keeper, Place
from tests.sites import KEYS, NAME, Browser, Build, Clock, Site, attributes

OWN = Place()
ACCOUNT = "GET /account"
IN, BACK = "GET /auth/sign-in", "GET /auth/sign-in-callback"
ROUND = [ACCOUNT, IN, "the pool", BACK, BACK]  # a callback without its cookies goes round once
EVERYWHERE = {  # one that a browser sends to the routes, too
    "the parent's": Place("example.com"),
    "the host's, to its subdomains": Place(HOST),
    "partitioned": Place(is_partitioned=True),
    "the parent's, partitioned": Place("example.com", is_partitioned=True),
}
BELOW = {  # one that is sent to pages below its path alone
    "the page's": Place(path="/account"),
    "the page's, of the parent": Place("example.com", "/account"),
    "the page's, partitioned": Place(path="/account", is_partitioned=True),
}


@pytest.fixture
def keeper(build: Build) -> Keeper:
    return Keeper(build(protect=["/account"]))


def signed_in(keeper: Keeper) -> Keeper:
    assert keeper.open("/account").body == "the app"
    assert keeper.places() == {OWN}
    keeper.requests.clear()
    return keeper


@pytest.mark.parametrize("place", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_sign_in_clears_the_other(keeper: Keeper, place: Place) -> None:
    signed_in(keeper).plant(place)
    assert keeper.open("/account").body == "the app"
    assert keeper.requests == [*ROUND, ACCOUNT]
    assert keeper.places() == {OWN}


@pytest.mark.parametrize("place", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_sign_in_leaves_no_other_behind_that_had_been_there_alone(
    keeper: Keeper, place: Place
) -> None:
    keeper.plant(place)
    assert keeper.open("/account").body == "the app"
    assert keeper.places() == {OWN}


@pytest.mark.parametrize("place", BELOW.values(), ids=BELOW)
def test_one_that_only_the_page_brings_is_cleared_without_another_sign_in(
    keeper: Keeper, place: Place
) -> None:
    signed_in(keeper).plant(place)
    assert keeper.open("/account").body == "the app"
    assert keeper.requests == [ACCOUNT, IN, ACCOUNT]
    assert keeper.places() == {OWN}


def test_one_of_the_routes_path_is_cleared(keeper: Keeper) -> None:
    keeper.plant(Place("example.com", "/auth"))
    keeper.plant(Place(path="/auth/"), "another")
    assert keeper.open("/account").body == "the app"
    assert keeper.places() == {OWN}


@pytest.mark.parametrize("routes", [{}, {"on_error": "/sorry"}], ids=["", "on_error"])
@pytest.mark.parametrize("place", EVERYWHERE.values(), ids=EVERYWHERE)
def test_what_a_browser_does_not_give_up_ends_at_a_page_that_says_what_to_do(
    build: Build, routes: Any, place: Place
) -> None:
    keeper = Keeper(build(protect=["/account"], routes=routes), stubborn=frozenset({place}))
    signed_in(keeper).plant(place)
    got = keeper.open("/account")
    assert (got.status, got.one("cache-control")) == (409, "no-store")
    assert "Delete the cookies of this site" in got.body
    assert (got.one("location"), got.all("set-cookie")) == (None, [])
    assert keeper.requests == [*ROUND, ACCOUNT, IN]


def test_what_only_the_page_brings_and_stays_ends_there_as_well(build: Build) -> None:
    place = Place("example.com", "/account")
    keeper = Keeper(build(protect=["/account"]), stubborn=frozenset({place}))
    signed_in(keeper).plant(place)
    assert keeper.open("/account").status == 409
    assert keeper.requests == [ACCOUNT, IN, ACCOUNT, IN]
    assert keeper.open("/").body == "the app"  # where it is not sent, the user is who it was


@pytest.mark.parametrize("path", ["/", "/auth", "/auth/sign-in"])
@pytest.mark.parametrize("stray", ["/", "/account"])
def test_a_second_cookie_of_what_was_tried_leads_in_no_circle(
    build: Build, stray: str, path: str
) -> None:
    place = Place("example.com", stray)
    keeper = Keeper(build(protect=["/account"]), stubborn=frozenset({place}))
    signed_in(keeper).plant(place)
    keeper.plant(Place("example.com", path), "a sibling's", name="amplify-tried")
    assert keeper.open("/account").status == 409
    assert keeper.requests.count("the pool") == (stray == "/")


def test_both_kinds_at_once_are_both_tried(keeper: Keeper) -> None:
    signed_in(keeper).plant(Place("example.com"))
    keeper.plant(Place("example.com", "/account"), "another")
    assert keeper.open("/account").body == "the app"
    assert keeper.places() == {OWN}
    assert keeper.requests.count("the pool") == 1


def test_below_a_mount_it_comes_to_the_same(build: Build) -> None:
    keeper = Keeper(build(protect=["/account"], mount="/shop"))
    assert keeper.open("/shop/account").body == "the app"
    keeper.plant(Place("example.com"))
    keeper.plant(Place(path="/shop/account"), "another")
    assert keeper.open("/shop/account").body == "the app"
    assert keeper.places() == {OWN}
    assert ("amplify-tried", Place(path="/shop/auth")) in keeper.cookies
    keeper.stubborn = frozenset({Place("example.com")})
    keeper.plant(Place("example.com"))
    assert keeper.open("/shop/account").status == 409


def test_a_minute_later_it_is_tried_again(build: Build) -> None:
    place = Place("example.com")
    keeper = Keeper(build(protect=["/account"]), stubborn=frozenset({place}))
    signed_in(keeper).plant(place)
    assert keeper.open("/account").status == 409
    ((name, at),) = [key for key in keeper.cookies if key[0] == "amplify-tried"]
    keeper.stubborn = frozenset()
    assert keeper.open("/account").status == 409
    del keeper.cookies[name, at]  # it lasts for that long
    assert keeper.open("/account").body == "the app"


def test_the_mark_of_a_try_is_for_the_routes_alone_and_lasts_a_minute(keeper: Keeper) -> None:
    signed_in(keeper).plant(Place("example.com"))
    keeper.open("/account")
    assert ("amplify-tried", Place(path="/auth")) in keeper.cookies
    policy = keeper.site.config.routes.tried
    assert (policy.max_age, policy.secure, policy.http_only) == (60, True, True)


def test_a_try_that_worked_keeps_nobody_from_signing_in_again(keeper: Keeper) -> None:
    signed_in(keeper).plant(Place("example.com"))
    assert keeper.open("/account").body == "the app"
    keeper.cookies.pop((NAME, OWN))
    assert keeper.open("/account").body == "the app"


@pytest.mark.parametrize("value", ["", "0", "3", "12", "1,2", "\xff" * 9])
def test_a_mark_that_is_none_of_ours_counts_for_nothing(keeper: Keeper, value: str) -> None:
    signed_in(keeper).plant(Place("example.com"))
    keeper.plant(Place(path="/auth"), value, "amplify-tried")
    assert keeper.open("/account").body == "the app"


def test_who_is_signed_in_is_sent_on_by_the_route_itself(keeper: Keeper) -> None:
    signed_in(keeper)
    assert keeper.open("/auth/sign-in?next=/account").body == "the app"
    assert keeper.requests == [IN, ACCOUNT]
    assert ("amplify-tried", Place(path="/auth")) not in keeper.cookies


@pytest.mark.parametrize("way", ["route", "verb"])
@pytest.mark.parametrize("place", [*EVERYWHERE.values(), None], ids=[*EVERYWHERE, "alone"])
def test_a_sign_out_clears_both(keeper: Keeper, way: str, place: Place | None) -> None:
    if place is not None:
        signed_in(keeper).plant(place)
    else:  # what an earlier policy has set is all there is
        keeper.plant(Place("example.com"))
    keeper.place = "/"
    if way == "route":
        keeper.go("/auth/sign-out")
    else:
        keeper.does(keeper.site.end())
    assert keeper.places() == set()


def test_a_sign_in_of_the_apps_own_clears_the_other(build: Build) -> None:
    site = build(routes=None, origins=[ORIGIN])
    keeper = Keeper(site)
    keeper.place = "/"
    keeper.plant(OWN, "old")
    keeper.plant(Place("example.com"))
    keeper.does(site.start(site.pool.sign_in("ada")))
    assert keeper.places() == {OWN}
    assert keeper.does().body == "ada"


def test_without_a_name_for_the_site_no_domain_is_tried(build: Build) -> None:
    site = build(routes=None)
    keeper = Keeper(site)
    keeper.plant(OWN, "old")
    keeper.place = "/"
    got = keeper.does(site.end(), headers={"Host": "app.evil.example"})
    assert [line for line in got.all("set-cookie") if "omain" in line] == []
    assert keeper.places() == set()


def test_a_requests_host_has_no_say(keeper: Keeper) -> None:
    signed_in(keeper)
    keeper.place = "/"
    facts = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    got = keeper.does(keeper.site.end(), headers=facts)
    domains = {attributes(line).get("domain") for line in got.all("set-cookie")}
    assert domains == {None, HOST, "example.com"}


def test_no_other_response_clears_anything(keeper: Keeper, clock: Clock) -> None:
    signed_in(keeper).plant(Place("example.com"))
    keeper.place = "/"
    assert keeper.does().all("set-cookie") == []
    keeper.cookies.pop((NAME, Place("example.com")))
    clock.advance(3600)
    renewed = keeper.does(keeper.site.refresh)
    assert all("Max-Age=0" not in line for line in renewed.all("set-cookie"))


def test_a_host_prefixed_cookie_is_looked_for_at_its_one_place(build: Build) -> None:
    site = build(cookie=CookiePolicy.host_prefixed(), protect=["/account"])
    keeper, name = Keeper(site), "__Host-amplify-session"
    assert keeper.open("/account").body == "the app"
    keeper.plant(Place(is_partitioned=True), name=name)
    got = keeper.open("/account")
    assert got.body == "the app"
    assert keeper.places(name) == {OWN}
    keeper.place = "/"
    lines = keeper.does(site.end()).all("set-cookie")
    assert {Place.of(line) for line in lines} == {OWN, Place(is_partitioned=True)}


def test_the_pieces_of_a_large_session_are_cleared_wherever_they_are(build: Build) -> None:
    site = build(SealedSession(keys=KEYS[:1]), protect=["/account"])
    keeper = Keeper(site)
    for number in range(3):
        keeper.plant(Place("example.com"), f"2{'0' * 8}{number}", f"{NAME}.{number}")
    assert keeper.open("/account").body == "the app"
    assert {place for name, place in keeper.cookies if name.startswith(NAME)} == {OWN}


def test_a_session_in_amplifys_cookies_comes_out_of_the_circle_too(build: Build) -> None:
    site = build(AmplifyCookies(), protect=["/account"])
    keeper, other = Keeper(site), Keeper(site)
    assert keeper.open("/account").body == other.open("/account", "grace").body == "the app"
    names = {name for name, _ in keeper.cookies if name.startswith("CognitoIdentity")}
    for (name, _), value in other.cookies.items():
        if name.startswith("CognitoIdentity"):
            keeper.plant(Place("example.com"), value, name)
    for _ in range(2):
        assert keeper.open("/account").body == "the app"
    keeper.place = "/"
    assert (keeper.does().body, keeper.requests.count("the pool")) == ("ada", 2)
    last = next(name for name in names if name.endswith("LastAuthUser"))
    keeper.plant(Place("example.com"), "ada", last)
    keeper.does(site.end())
    assert {name.rpartition(".")[2] for name, _ in keeper.cookies if name in names} <= {
        "clockDrift"
    }


def test_only_the_routes_own_page_is_told_of_two_cookies(build: Build) -> None:
    keeper = Keeper(build(protect=["/account"], login_url="/login"))
    keeper.plant(OWN, "one")
    keeper.plant(Place("example.com"), "other")
    keeper.place = "/account"
    got = keeper.go("/account", headers={"Accept": "text/html"})
    assert got.one("location") == "/login?next=%2Faccount"


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("app.example.com", ["app.example.com", "example.com"]),
        ("APP.Example.com", ["app.example.com", "example.com"]),
        ("example.com", ["example.com"]),
        ("app.localhost", ["app.localhost"]),
        *(
            (host, [])
            for host in ("localhost", "192.0.2.1", "::1", "", ".", "a..b", "com", "-a.b-")
        ),
    ],
)
def test_the_domains_whose_cookies_a_host_gets(host: str, domains: list[str]) -> None:
    assert [*domains_above(host)] == domains


def test_the_configuration_tells_the_domains_of_the_site(build: Build) -> None:
    site = build(
        cookie=CookiePolicy(domain="example.com"),
        origins=["https://admin.eu.example.com", "https://192.0.2.1:8443", "http://localhost:3000"],
    )
    assert site.config.cookie_domains == (
        *("example.com", HOST, "admin.eu.example.com", "eu.example.com"),
    )


def test_many_origins_make_no_long_response(build: Build) -> None:
    origins = [f"https://{number}.a.b.c.example.com" for number in range(50)]
    keeper = Keeper(build(origins=origins, protect=["/account"]))
    signed_in(keeper).plant(Place("example.com"))
    keeper.place = "/a/b/c/d/e"
    got = keeper.does(keeper.site.end(), path=keeper.place)
    assert len(got.all("set-cookie")) <= 49
    assert sum(map(len, got.all("set-cookie"))) < 6000


POLICIES = [
    CookiePolicy(),
    CookiePolicy(domain="example.com", path="/app", partitioned=True, same_site="None"),
    CookiePolicy.host_prefixed(),
    CookiePolicy(secure=False),
]
HEADERS = st.lists(
    st.sampled_from([NAME, "__Host-" + NAME, f"{NAME}.0", "=", ";", "a", " ", "\xff"])
)


@settings(deadline=None)
@given(st.sampled_from(POLICIES), HEADERS.map("".join), st.text(max_size=40), st.booleans())
def test_whatever_is_sent_the_lines_are_ours_and_few(
    policy: CookiePolicy, sent: str, path: str, anywhere: bool
) -> None:
    cookie = SessionCookie(policy, 12_000)
    header = sent.encode("latin-1")
    lines = cookie.elsewhere(
        header, f"/{path}", ("app.example.com", "example.com"), anywhere=anywhere
    )
    assert len(lines) <= 48
    own = Place(policy.domain, policy.path, policy.partitioned)
    for name, line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert line.startswith(f"{name}=; Max-Age=0; Path=/")
        assert name.startswith(policy.name)
        assert Place.of(line) != own
        assert set(attributes(line)) <= {
            *("max-age", "path", "domain", "secure", "httponly", "samesite", "partitioned"),
        }
    assert bool(lines) <= (policy.name.encode() in header)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_the_paths_above_any_path_are_few_and_plain(path: str) -> None:
    found = paths_above(path)
    assert len(found) <= 6
    for above in found:
        CookiePolicy(path=above)


def test_a_policy_still_refuses_what_no_browser_keeps() -> None:
    with pytest.raises(ConfigurationError):
        CookiePolicy(name="__Host-a", domain="example.com")


def two_sessions(site: Site, *names: str) -> tuple[Keeper, Browser, Browser]:
    """A browser with the cookies of two sessions under one name, and copies of each."""
    own, other = map(site.sign_in, names or ("ada", "grace"))
    keeper = Keeper(site)
    keeper.place = "/"
    for place, browser in ((OWN, own), (Place("example.com"), other)):
        for name, value in browser.jar.items():
            keeper.plant(place, value, name)
    assert keeper.does().body == "NotAuthorizedException duplicate_cookie"
    return keeper, own.copy(), other.copy()


TWO_KINDS: dict[str, Any] = {
    "stored": lambda _: "memory",
    "sealed": lambda _: "sealed",
    "several": lambda clock: [StoredSession(MemoryStore(clock=clock)), TokenSession()],
}


@pytest.mark.parametrize("kind", TWO_KINDS.values(), ids=TWO_KINDS)
@pytest.mark.parametrize("way", ["route", "verb", "everywhere", "sign-in"])
def test_both_sessions_end_so_that_no_copy_is_good(
    build: Build, clock: Clock, kind: Any, way: str
) -> None:
    site = build(kind(clock), origins=[ORIGIN])
    elsewhere = site.sign_in("ada")
    keeper, own, other = two_sessions(site)
    if way == "route":
        keeper.go("/auth/sign-out")
    elif way == "sign-in":
        keeper.does(site.start(site.pool.sign_in("ada")))
    else:
        keeper.does(site.end(everywhere=way == "everywhere"))
    for copy in (own, other):
        assert copy.does().body.startswith("NotAuthorizedException")
    assert elsewhere.does().body == "ada"  # nobody knows who is meant
    assert keeper.does().body != "grace"


def test_sessions_in_pieces_end_both(build: Build) -> None:
    site = build("sealed")
    names = ("joan", "jean")
    for name in names:
        site.pool.add_user(name, groups=[os.urandom(20).hex() for _ in range(100)])
    keeper, own, other = two_sessions(site, *names)
    assert f"{NAME}.0" in own.jar
    keeper.does(site.end())
    for copy in (own, other):
        assert copy.does().body == "NotAuthorizedException session_revoked"


def test_one_in_pieces_ends_beside_a_single_one_that_is_read(build: Build) -> None:
    site = build("sealed")
    site.pool.add_user("joan", groups=[os.urandom(20).hex() for _ in range(100)])
    own, other = site.sign_in("ada"), site.sign_in("joan")
    copies = own.copy(), other.copy()
    own.jar |= other.jar
    assert own.does().body == "ada"
    own.does(site.end())
    for copy in copies:
        assert copy.does().body == "NotAuthorizedException session_revoked"


def test_both_sign_ins_are_revoked(build: Build) -> None:
    site = build()
    keeper, *_ = two_sessions(site)
    keeper.does(site.end())
    site.settle()
    assert site.pool.requests.count("RevokeToken") == 2


def test_a_store_that_is_down_is_told_and_both_cookies_are_cleared(
    build: Build, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(clock=clock)
    site = build(StoredSession(store))
    keeper, *_ = two_sessions(site)

    def down(*_: Any) -> Any:
        raise Unreachable("down")

    monkeypatch.setattr(store, "end", down)
    assert keeper.does(site.end()).body == "NetworkError store_unavailable"
    assert keeper.places() == set()


def test_of_many_values_few_are_looked_up() -> None:
    sent = "; ".join([f"{NAME}={number}" for number in range(1000)]).encode()
    cookie = SessionCookie(CookiePolicy())
    assert cookie.ambiguous(sent) == [b"%d" % number for number in range(10)]
    assert cookie.ambiguous(f"{NAME}=a; {NAME}=a".encode()) == []
