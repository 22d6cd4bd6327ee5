"""A pool has two issuers, and may switch from one to the other: nobody is signed out by that."""

from typing import Any

import pytest

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    ConfigurationError,
    StoredSession,
    TokenSession,
    UserPool,
)
from amplify_mw.effects import Join, Request
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.amplify import cookies_of
from tests.routes.going import Visitor, auth_routes, code_of, sent
from tests.sites import HOUR, LASTING, NAME, Browser, Build, Clock, Site, infos

POOL_ID = "us-east-1_Ab12Cd34E"
ORIGINAL = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
ELSEWHERE = [  # what is not this pool's
    f"https://cognito-idp.us-west-2.amazonaws.com/{POOL_ID}",
    f"https://issuer-cognito-idp.us-west-2.amazonaws.com/{POOL_ID}",
    "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_Other0001",
    f"https://issuer-cognito-idp.us-east-1.amazonaws.com.evil.example/{POOL_ID}",
    f"http://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}",
    UPDATED + "/",
]
HERE = "http://127.0.0.1:9229"
REFRESH = "GetTokensFromRefreshToken"
KINDS = (*LASTING, "amplify")


@pytest.fixture
def pool_options(rotates: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"rotate_refresh_tokens": rotates, "adds_iss": True}
    return {"user_pool_id": POOL_ID, "issuer": ORIGINAL, **options}


@pytest.fixture
def rotates() -> bool:
    return False


def signed_in(site: Site, kind: str, name: str = "ada") -> Browser:
    if kind == "amplify":
        return site.browser(cookies_of(site.pool.sign_in(name), name))
    return site.sign_in(name)


# --- which issuers count


@pytest.mark.parametrize(
    ("pool_id", "original", "updated"),
    [
        (
            "eu-west-1_Ab12Cd34E",
            "https://cognito-idp.eu-west-1.amazonaws.com/",
            "https://issuer-cognito-idp.eu-west-1.amazonaws.com/",
        ),
        (
            "us-gov-west-1_Ab12Cd34E",
            "https://cognito-idp.us-gov-west-1.amazonaws.com/",
            "https://issuer-cognito-idp.us-gov-west-1.amazonaws.com/",
        ),
        (
            "cn-north-1_Ab12Cd34E",
            "https://cognito-idp.cn-north-1.amazonaws.com.cn/",
            "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/",
        ),
        (
            "eusc-de-east-1_Ab12Cd34E",
            "https://cognito-idp.eusc-de-east-1.amazonaws.eu/",
            "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/",
        ),
    ],
)
def test_both_of_amazons_issuers_are_a_pools_in_every_partition(
    pool_id: str, original: str, updated: str
) -> None:
    both = {original + pool_id, updated + pool_id}
    for issuer in (None, *both):
        made = UserPool(user_pool_id=pool_id, client_id="web", issuer=issuer)
        assert made.iss == (issuer or original + pool_id)
        assert set(made.accepted_issuers) == both
        assert made.api_url == original
        for each in both:
            assert made.keys_urls_of(each)[0] == f"{each}/.well-known/jwks.json"


def test_an_issuer_of_ones_own_is_the_only_one() -> None:
    made = UserPool(user_pool_id=POOL_ID, client_id="web", issuer="https://issuer.example/pool")
    assert made.accepted_issuers == ("https://issuer.example/pool",)
    local = UserPool(
        user_pool_id="local", client_id="web", issuer=ORIGINAL, endpoint_url="http://localhost:9229"
    )
    assert local.accepted_issuers == (ORIGINAL,)


def test_at_an_endpoint_of_ones_own_both_have_its_keys() -> None:
    made = UserPool(
        user_pool_id=POOL_ID, client_id="web", issuer=UPDATED, endpoint_url="http://localhost:9229"
    )
    keys = f"http://localhost:9229/{POOL_ID}/.well-known/jwks.json"
    assert [made.keys_urls_of(issuer) for issuer in made.accepted_issuers] == [(keys,), (keys,)]


def entry(**options: Any) -> UserPool:
    return UserPool(**{"user_pool_id": POOL_ID, "client_id": "web", **options})


def test_two_entries_of_a_pool_may_differ_in_their_issuer() -> None:
    one, other = entry(issuer=UPDATED), entry(issuer=ORIGINAL)
    assert AmplifyConfig(pools=[one, other]).pools_by_issuer == {UPDATED: one, ORIGINAL: other}
    one, other = entry(issuers="updated"), entry(issuers="original")
    assert AmplifyConfig(pools=[one, other]).pools_by_issuer == {UPDATED: one, ORIGINAL: other}
    one, other = (entry(issuer=issuer, endpoint_url=HERE) for issuer in (UPDATED, f"{HERE}/pool"))
    assert set(AmplifyConfig(pools=[one, other]).pools_by_issuer) == {
        *(UPDATED, ORIGINAL, f"{HERE}/pool")
    }


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"client_id": "ios"},
        {"endpoint_url": HERE},
        {"endpoint_url": HERE, "issuer": f"{HERE}/{POOL_ID}"},
        {"issuer": f"https://cognito-idp.example/{POOL_ID}"},
        {"issuer": ELSEWHERE[0]},  # a replica is one of the `regions`
        {"regions": {"us-west-2": HERE}, "issuer": UPDATED},
        {"keys": {"keys": []}, "issuer": UPDATED},
        {"client_id": "ios", "issuer": UPDATED},  # a switch would sign out the users of each
        {"client_secret": "s3cret", "issuers": "updated"},
        {"domain": "auth.example.com", "issuers": "updated"},
    ],
    ids=str,
)
def test_two_pools_of_one_id_are_not_taken_for_one(other: dict[str, Any]) -> None:
    for pools in ([entry(), entry(**other)], [entry(**other), entry()]):
        with pytest.raises(
            ConfigurationError, match=rf"^pools: '{POOL_ID}' occurs twice, .*client_id="
        ):
            AmplifyConfig(pools=pools)


@pytest.mark.parametrize("issuer", [ORIGINAL, UPDATED])
def test_an_issuer_is_one_pools(issuer: str) -> None:
    other = entry(user_pool_id="us-east-1_Other0001", endpoint_url=HERE, issuer=issuer)
    for pools in ([entry(), other], [other, entry()]):
        with pytest.raises(ConfigurationError, match=r"^pools: the issuer .*; correct the issuer="):
            AmplifyConfig(pools=pools)


@pytest.mark.parametrize("issuer", [ORIGINAL, UPDATED])
def test_a_token_of_either_is_the_users(build: Build, pool: LocalUserPool, issuer: str) -> None:
    site = build(TokenSession())
    for use in ("id", "access"):
        browser = site.browser({NAME: pool.mint("ada", use, issuer=issuer)})  # type: ignore[arg-type]
        assert browser.does().body == "ada"


@pytest.mark.parametrize("issuer", ELSEWHERE)
def test_a_token_of_any_other_is_invalid(build: Build, pool: LocalUserPool, issuer: str) -> None:
    got = build(TokenSession()).browser({NAME: pool.mint("ada", issuer=issuer)}).does()
    assert got.body == "NotAuthorizedException wrong_issuer"
    assert got.clears_cookie


@pytest.mark.parametrize(
    ("issuer", "option"),
    [
        (UPDATED, "issuers= or regions="),
        (ELSEWHERE[0], "issuers= or regions="),
        (ELSEWHERE[2], "user_pool_id"),
    ],
)
def test_the_log_says_which_option_to_correct(
    build: Build, pool: LocalUserPool, issuer: str, option: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(TokenSession(), issuers="original")
    site.browser({NAME: pool.mint("ada", issuer=issuer)}).does()
    assert f"it claims to be of issuer {issuer!r}" in caplog.text
    assert f"; correct {option}, or" in caplog.text


@pytest.mark.parametrize(("issuer", "other"), [(ORIGINAL, UPDATED), (UPDATED, ORIGINAL)])
def test_the_keys_of_an_issuer_are_fetched_when_a_token_names_it(
    pool: LocalUserPool, issuer: str, other: str
) -> None:
    engine = Engine(AmplifyConfig(user_pool_id=POOL_ID, client_id="local-client"), lambda: 2e9)
    token = pool.mint("ada", issuer=issuer, issued_at=2e9).encode()
    effect = next(engine.authenticator.verifier.verify(token, 2e9))
    assert isinstance(effect, Join)
    request = next(effect.flight.flow(2e9))
    assert isinstance(request, Request)
    assert request.url == f"{issuer}/.well-known/jwks.json"
    assert request.url != f"{other}/.well-known/jwks.json"


# --- a pool that switches


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("issuer", [ORIGINAL, UPDATED])
def test_a_switch_signs_nobody_out(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str, issuer: str
) -> None:
    site = build(kind, issuer=issuer)
    browser = signed_in(site, kind)
    assert browser.does().body == "ada"
    pool.issuer = UPDATED
    assert browser.does().body == "ada"
    assert browser.does(site.refresh).body.startswith("ey")
    for _ in range(3):
        assert browser.does().body == "ada"
        clock.advance(HOUR)
    pool.issuer = ORIGINAL  # and back
    assert browser.does(site.refresh).body.startswith("ey")
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", KINDS)
def test_nor_does_a_configuration_that_follows(
    build: Build, pool: LocalUserPool, kind: str, clock: Clock
) -> None:
    before = build(kind)
    browser = signed_in(before, kind)
    assert browser.does().body == "ada"
    session = AmplifyCookies() if kind == "amplify" else before.session
    browser.site = build(session, issuer=UPDATED)
    pool.issuer = UPDATED
    clock.advance(HOUR)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_to_one_that_does_not_count_ends_no_session(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = build(kind, issuers="original")
    browser = signed_in(before, kind)
    assert browser.does().body == "ada"
    pool.issuer = UPDATED
    clock.advance(HOUR + 60)
    for _ in range(3):
        assert browser.does().body == "NetworkError wrong_issuer"
        clock.advance(HOUR)
    assert f"{UPDATED!r}: correct issuers= or regions=" in caplog.text
    corrected(build, browser, kind)
    assert browser.does().body == "ada"


def corrected(build: Build, browser: Browser, kind: str) -> None:
    """The site with another configuration, in which both issuers count."""
    session = AmplifyCookies() if kind == "amplify" else browser.site.session
    browser.site = build(session, issuers="both", issuer=ORIGINAL)


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("insists", [False, True])
def test_meanwhile_the_present_tokens_count_until_they_expire(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str, *, insists: bool
) -> None:
    browser = signed_in(build(kind, issuers="original"), kind)
    assert browser.does().body == "ada"
    pool.issuer = UPDATED
    if insists:
        assert browser.does(browser.site.refresh).body == "NetworkError wrong_issuer"
    clock.advance(HOUR - 10)  # a refresh is due
    assert browser.does().body == "ada"
    clock.advance(60)
    corrected(build, browser, kind)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_users_sessions_are_listed_together_whichever_issuer_they_began_with(
    build: Build, pool: LocalUserPool, kind: str
) -> None:
    site = build(kind)
    laptop = site.sign_in()
    pool.issuer = UPDATED
    phone = site.sign_in()
    assert len(infos(site, laptop)) == len(infos(site, phone)) == 2
    assert len(site.kept()) == 2
    assert phone.does(site.end(everywhere=True)).body == "None"
    assert laptop.does().body.startswith("NotAuthorizedException")


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_counts_for_what_came_before_the_switch(
    build: Build, pool: LocalUserPool, kind: str
) -> None:
    site = build(kind)
    browser = signed_in(site, kind)
    assert browser.does().body == "ada"
    thief = browser.copy()
    assert thief.does().body == "ada"
    pool.issuer = UPDATED
    assert browser.does(site.refresh).body.startswith("ey")
    assert browser.does(site.end()).body == "None"
    assert thief.does().body.startswith("NotAuthorizedException")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("older_ends", [True, False])
def test_a_sign_out_everywhere_ends_sessions_begun_under_either(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str, *, older_ends: bool
) -> None:
    site = build(kind)
    older = signed_in(site, kind)
    pool.issuer = UPDATED
    newer = signed_in(site, kind)
    assert (older.does().body, newer.does().body) == ("ada", "ada")
    ends, other = (older, newer) if older_ends else (newer, older)
    assert ends.does(site.end(everywhere=True)).body == "None"
    site.settle()
    clock.advance(HOUR)
    assert other.does().body == "NotAuthorizedException session_revoked"


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_with_the_old_cookie_follows_the_switch_too(
    build: Build, clock: Clock, pool: LocalUserPool, kind: str
) -> None:
    browser = signed_in(build(kind), kind)
    tab = browser.copy()
    clock.advance(HOUR)
    pool.issuer = UPDATED
    assert browser.does().body == "ada"
    assert tab.does().body == "ada"
    assert pool.count(REFRESH) == 1


@pytest.mark.parametrize("kind", [*KINDS, "token"])
def test_attributes_are_those_of_the_user_before_and_after(
    build: Build, pool: LocalUserPool, kind: str
) -> None:
    site = build(kind)

    def email() -> object:
        return site.verbs.fetch_user_attributes()["email"]

    browser = (
        site.browser({NAME: pool.mint("ada", "access")})
        if kind == "token"
        else signed_in(site, kind)
    )
    pool.issuer = UPDATED
    assert browser.does(email).body == "ada@example.com"
    if kind != "token":
        assert browser.does(site.refresh).body.startswith("ey")
        assert browser.does(email).body == "ada@example.com"


def test_tokens_of_both_may_be_mixed_but_not_of_two_users(
    build: Build, pool: LocalUserPool
) -> None:
    site = build("memory")
    old = pool.sign_in("ada")
    pool.issuer = UPDATED
    new, others = pool.sign_in("ada"), pool.sign_in("grace")
    mixed = {"id_token": old.id_token, "access_token": new.access_token}
    assert site.browser().does(site.start(mixed)).body == "ada"
    wrong = {"id_token": old.id_token, "access_token": others.access_token}
    assert site.browser().does(site.start(wrong)).body == "NotAuthorizedException token_mismatch"


# --- the sign-in routes


@pytest.mark.parametrize("configured", [ORIGINAL, UPDATED])
@pytest.mark.parametrize("switches", [False, True])
def test_one_may_sign_in_whichever_issuer_the_pool_has(
    build: Build, pool: LocalUserPool, configured: str, switches: bool
) -> None:
    session = StoredSession(MemoryStore())
    visitor = Visitor(build(session, issuer=configured, routes=auth_routes(on_error="/sorry")))
    leaving = visitor.leave()
    if switches:
        pool.issuer = UPDATED  # while somebody is at the pool's page
    back = pool.authorize(leaving, "ada")
    assert sent(back)["iss"] == pool.issuer
    visitor.come_back(back)
    assert visitor.user == "ada"


@pytest.mark.parametrize("issuer", ELSEWHERE)
def test_an_answer_of_another_issuer_is_not_believed(
    build: Build, pool: LocalUserPool, issuer: str
) -> None:
    site = build(StoredSession(MemoryStore()), routes=auth_routes(on_error="/sorry"))
    visitor = Visitor(site)
    leaving = visitor.leave()
    pool.issuer = issuer
    assert code_of(visitor.come_back(pool.authorize(leaving, "ada"))) == "issuer_mismatch"
