"""Amplify JS's cookies behind both shells: who is signed in, and what becomes of the cookies."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from amplify_mw import (
    AmplifyCookies,
    ConfigurationError,
    SealedSession,
    StoredSession,
    TokenSession,
    TokenSet,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import Body, CognitoError, Down, LocalUserPool, Status
from tests.amplify import (
    CLIENT,
    PREFIX,
    AmplifyBrowser,
    Jar,
    cleared,
    cookies_of,
    details_of,
    header_of,
    http_only_cookies_of,
    last_auth_user,
    name_of,
    named,
    names_of,
    set_names,
    signed_in,
    spelled_value,
    written,
)
from tests.shells import Ask, Got, Shell
from tests.sites import DAY, HOUR, KEYS, Build, Clock, Site, attributes, outcome, town
from tests.test_one_refresh import WAYS, Way, everybody

REFRESH = "GetTokensFromRefreshToken"
NOBODY = "UserUnAuthenticatedException"
ALL = ("accessToken", "idToken", "refreshToken", "signInDetails", "clockDrift")
TOKENS = ALL[:3]
SIGNED_OUT = f"{NOBODY} no_session"
LEEWAY = 5.0
DUE = HOUR - 4  # seconds after a sign-in: tokens are to be refreshed, and good for some time still
OVER = HOUR + LEEWAY + 1  # seconds after a sign-in: they are good no longer


@pytest.fixture
def build(open_site: Build) -> Build:
    """Makes a site: `build(session={...}, pool=pool, **fields of its configuration)`."""

    def build(session: Any = (), kinds: Any = None, **options: Any) -> Site:
        return open_site(kinds or AmplifyCookies(**dict(session)), **options)

    return build


@pytest.fixture
def rotating(clock: Clock) -> Iterator[LocalUserPool]:
    """A pool whose refresh tokens are good once."""
    with town(clock, rotate_refresh_tokens=True, rotation_grace=0) as pool:
        yield pool


@pytest.fixture
def site(build: Build) -> Site:
    return build()


@pytest.fixture(params=[False, True], ids=["", "rotating"])
def either(
    request: pytest.FixtureRequest, build: Build, pool: LocalUserPool, rotating: LocalUserPool
) -> Site:
    """A site whose refresh tokens go on, and one where each is good once."""
    return build(pool=rotating if request.param else pool)


def user(site: Site) -> Any:
    """The user as JSON, or the error's name and reason."""
    return named(lambda: site.verbs.get_current_user().to_dict())


def who(site: Site) -> Any:
    """The user's name, or the error's name and reason."""
    return named(site.who)


def visit(browser: AmplifyBrowser, **facts: Any) -> Got:
    """Ask who is signed in."""
    return browser.does(who(browser.site), **facts)


def come(site: Site, cookies: "dict[str, str]") -> Got:
    """The answer to who comes with these cookies."""
    return visit(AmplifyBrowser(site, cookies))


def kept(got: Got) -> bool:
    """Whether a response leaves all cookies alone."""
    return got.all("set-cookie") == []


# --- who is signed in


def test_the_user_is_who_the_tokens_say(site: Site) -> None:
    browser = signed_in(site, signInDetails=details_of("Ada@Example.com", "USER_PASSWORD_AUTH"))
    sub = site.engine.authenticator.verifier.read(
        browser.token("accessToken").encode(), site.clock()
    ).sub
    details = {"loginId": "Ada@Example.com", "authFlowType": "USER_PASSWORD_AUTH"}
    said = {"username": "ada", "userId": sub, "groups": [], "signInDetails": details}
    got = browser.does(user(site))
    assert (got.body, kept(got)) == (str(said), True)


def test_known_cookies_are_not_looked_at_again(site: Site) -> None:
    browser = signed_in(site)
    assert [visit(browser).body for _ in range(3)] == ["ada"] * 3
    assert site.pool.requests == []


def test_the_answer_may_be_kept_by_the_browser_alone(site: Site) -> None:
    got = visit(signed_in(site))
    assert (got.one("cache-control"), got.one("vary")) == ("private", "Cookie")


def test_the_attributes_are_cognitos(site: Site) -> None:
    got = signed_in(site).does(lambda: site.verbs.fetch_user_attributes()["email"])
    assert (got.body, site.pool.requests) == ("ada@example.com", ["GetUser"])


def test_the_session_has_both_tokens_and_the_details_but_no_refresh_token(site: Site) -> None:
    browser = signed_in(site)
    sessions: list[Any] = []
    browser.does(lambda: sessions.append(site.verbs.fetch_auth_session()))
    tokens = sessions[0].tokens
    assert tokens.id_token.encoded == browser.token("idToken")
    assert tokens.access_token.encoded == browser.token("accessToken")
    assert tokens.sign_in_details.login_id == "ada"
    assert sessions[0].user_sub == tokens.access_token.payload["sub"]
    assert not hasattr(tokens, "refresh_token")


def test_a_next_servers_cookies_have_no_details(site: Site) -> None:
    cookies = http_only_cookies_of(site.pool.sign_in("ada"))
    got = AmplifyBrowser(site, cookies).does(lambda: site.verbs.get_current_user().sign_in_details)
    assert got.body == "None"


def test_the_name_in_the_cookies_names_is_not_the_user(site: Site) -> None:
    cookies = cookies_of(site.pool.sign_in("ada"), "grace")
    assert come(site, cookies).body == "ada"


def test_a_user_may_have_signed_in_by_an_address(site: Site) -> None:
    cookies = cookies_of(site.pool.sign_in("ada"), "a(d)a+x@example.com")
    assert come(site, cookies).body == "ada"


def test_where_no_user_is_named_it_is_the_one_called_username(site: Site) -> None:
    cookies = cookies_of(site.pool.sign_in("ada"), "username")
    del cookies[last_auth_user()]
    assert come(site, cookies).body == "ada"


@pytest.mark.parametrize("others", [{"user": "grace"}, {"client": "another"}])
def test_other_users_and_clients_cookies_are_not_looked_at(
    site: Site, others: dict[str, str]
) -> None:
    theirs = cookies_of(site.pool.sign_in("grace"), **others)
    assert come(site, theirs | cookies_of(site.pool.sign_in("ada"))).body == "ada"
    cookies = theirs | {last_auth_user(): "ada"}
    assert come(site, cookies).body == SIGNED_OUT


def test_nobodys_session_is_empty(site: Site) -> None:
    got = site.browser().does(who(site), site.verbs.fetch_auth_session)
    assert got.body == f"{NOBODY} no_session, AuthSession(tokens=None, user_sub=None)"
    assert kept(got)


# --- tokens that do not count

Make = Callable[[LocalUserPool], "str | None"]
FOREIGN = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Foreign"


def forged(token: str) -> str:
    return token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")


def wrong(use: Any, **facts: Any) -> Make:
    """Makes a token of ada's."""
    return lambda pool: pool.mint("ada", use, **facts)


def wrong_ones(use: Any) -> dict[str, tuple[Make, str]]:
    """Tokens that count nowhere, and why."""
    other = "access" if use == "id" else "id"
    return {
        "garbage": (lambda _: "garbage", "malformed_token"),
        "three dots": (lambda _: "a.b.c.d", "malformed_token"),
        "forged": (lambda pool: forged(pool.mint("ada", use)), "bad_signature"),
        "unsigned": (wrong(use, algorithm="none"), "unsupported_algorithm"),
        "signed with the public key": (wrong(use, algorithm="HS256"), "unsupported_algorithm"),
        "of an unknown key": (wrong(use, key="unknown"), "unknown_key"),
        "another client's": (wrong(use, client_id="another"), "wrong_client"),
        "another pool's": (wrong(use, issuer=FOREIGN), "wrong_issuer"),
        "of the other use": (wrong(other), "wrong_token_use"),
        "of no use": (wrong(use, claims={"token_use": "refresh"}), "wrong_token_use"),
        "without a user": (wrong(use, claims={"sub": None}), "missing_claim"),
        "expired, forged": (
            lambda pool: forged(pool.mint("ada", use, expires_in=-60)),
            "bad_signature",
        ),
        "expired, another client's": (wrong(use, client_id="x", expires_in=-60), "wrong_client"),
        "expired, another pool's": (wrong(use, issuer=FOREIGN, expires_in=-60), "wrong_issuer"),
        "expired, of the other use": (wrong(other, expires_in=-60), "wrong_token_use"),
        "expired, of an unknown key": (wrong(use, key="unknown", expires_in=-60), "unknown_key"),
    }


ID_TOKENS: dict[str, tuple[Make, str]] = {"none": (lambda _: None, ""), **wrong_ones("id")}
ACCESS_TOKENS: dict[str, tuple[Make, str]] = {
    "none": (lambda _: None, "no_session"),
    **wrong_ones("access"),
}


@pytest.mark.parametrize("which", ID_TOKENS)
def test_without_a_good_id_token_the_access_token_names_the_user(site: Site, which: str) -> None:
    tokens = site.pool.sign_in("ada")
    browser = AmplifyBrowser(site, cookies_of(tokens, idToken=ID_TOKENS[which][0](site.pool)))
    known: list[Any] = []
    got = browser.does(
        lambda: known.append(site.verbs.get_current_user()),
        lambda: known.append(site.verbs.fetch_auth_session().tokens),
    )
    assert (known[0].username, len(known[0].user_id)) == ("ada", 36)
    assert (known[1].id_token, known[1].access_token.encoded) == (None, tokens.access_token)
    assert (kept(got), site.pool.count(REFRESH)) == (True, 0)


@pytest.mark.parametrize("which", ACCESS_TOKENS)
def test_without_a_good_access_token_nobody_is_signed_in(site: Site, which: str) -> None:
    make, reason = ACCESS_TOKENS[which]
    cookies = cookies_of(site.pool.sign_in("ada"), accessToken=make(site.pool))
    got = come(site, cookies)
    assert (got.body, kept(got)) == (f"{NOBODY} {reason}", True)
    assert site.pool.count(REFRESH) == 0


@pytest.mark.parametrize("seconds", [0, OVER])
def test_tokens_of_two_users_are_refused(site: Site, clock: Clock, seconds: float) -> None:
    cookies = cookies_of(site.pool.sign_in("ada"), idToken=site.pool.sign_in("grace").id_token)
    clock.advance(seconds)
    got = come(site, cookies)
    assert (got.body, kept(got)) == (f"{NOBODY} token_mismatch", True)
    assert site.pool.count(REFRESH) == 0


@pytest.mark.parametrize("text", ["{", "loginId", "{'a': 1}", "NaN", "[" * 900, "%FF", "%"])
def test_with_malformed_details_nobody_is_signed_in(site: Site, text: str) -> None:
    cookies = cookies_of(site.pool.sign_in("ada"))
    cookies[name_of("signInDetails")] = text if text == "%FF" else spelled_value(text)
    got = come(site, cookies)
    assert (got.body, kept(got)) == (SIGNED_OUT, True)


@pytest.mark.parametrize("text", ["null", "7", "[]", '"ada"', "{}", '{"loginId":7}'])
def test_odd_details_say_nothing(site: Site, text: str) -> None:
    browser = signed_in(site, signInDetails=text)
    assert visit(browser).body == "ada"
    got = browser.does(lambda: site.verbs.get_current_user().to_dict().get("signInDetails"))
    assert got.body in ("None", "{}")


def test_a_guard_answers_401_and_keeps_the_cookies(build: Build) -> None:
    site = build(protect=["/account"])
    cookies = cookies_of(site.pool.sign_in("ada"), accessToken=None)
    got = AmplifyBrowser(site, cookies).ask(lambda: "secret", path="/account")
    assert (got.status, got.one("cache-control"), kept(got)) == (401, "no-store", True)
    assert last_auth_user() in str(got.one("www-authenticate"))


# --- what a script can write


DRIFTS = [
    "-3600000000", "3600000000", "-9" * 400, "9" * 400, "abc", "", "NaN", "Infinity", "-Infinity",
    "1e999", "0x10", "null", "%FF", "-0", " 5 ",
]  # fmt: skip


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_clock_drift_changes_nothing(site: Site, clock: Clock, drift: str) -> None:
    tokens = replace(site.pool.sign_in("ada"), refresh_token=None)
    cookies = cookies_of(tokens) | {name_of("clockDrift"): drift}
    assert come(site, cookies).body == "ada"
    clock.advance(OVER)
    got = come(site, cookies)
    assert (got.body, kept(got)) == ("TokenRefreshException token_expired", True)
    assert site.pool.requests == []


@pytest.mark.parametrize("drift", ["-3600000000", "3600000000", "NaN"])
def test_no_clock_drift_puts_a_refresh_off_or_brings_one_on(
    site: Site, clock: Clock, drift: str
) -> None:
    browser = signed_in(site, clockDrift=drift)
    clock.advance(HOUR - 301)
    assert (visit(browser).body, site.pool.count(REFRESH)) == ("ada", 0)
    clock.advance(297)
    assert (visit(browser).body, site.pool.count(REFRESH)) == ("ada", 1)


# --- what is expired


@pytest.mark.parametrize("which", ["idToken", "accessToken"])
def test_one_expired_token_is_enough_to_end_what_cannot_be_refreshed(
    site: Site, which: str
) -> None:
    use = "id" if which == "idToken" else "access"
    expired = site.pool.mint("ada", use, expires_in=-60)  # type: ignore[arg-type]
    got = come(site, cookies_of(site.pool.sign_in("ada"), refreshToken=None, **{which: expired}))
    assert (got.body, kept(got)) == ("TokenRefreshException token_expired", True)


@pytest.mark.parametrize("which", ["idToken", "accessToken"])
def test_one_expired_token_is_enough_for_a_refresh(site: Site, which: str) -> None:
    use = "id" if which == "idToken" else "access"
    expired = site.pool.mint("ada", use, expires_in=-60)  # type: ignore[arg-type]
    got = come(site, cookies_of(site.pool.sign_in("ada"), **{which: expired}))
    assert (got.body, site.pool.count(REFRESH)) == ("ada", 1)


def test_tokens_that_cannot_be_refreshed_serve_until_their_end(site: Site, clock: Clock) -> None:
    browser = signed_in(site, refreshToken=None)
    clock.advance(HOUR - 1)
    assert visit(browser).body == "ada"


@pytest.mark.parametrize("margin", [5.0, 300.0])
@pytest.mark.parametrize(("early", "refreshes"), [(0.1, 0), (-0.1, 1)])
def test_tokens_are_refreshed_when_less_than_the_margin_is_left(
    build: Build, clock: Clock, margin: float, early: float, refreshes: int
) -> None:
    clock.now = float(int(clock.now))
    site = build({"refresh_margin": margin, "refresh_ahead": 0})
    browser = signed_in(site)
    clock.advance(HOUR - margin - early)
    assert (visit(browser).body, site.pool.count(REFRESH)) == ("ada", refreshes)


# --- keys


def test_while_keys_cannot_be_had_the_answer_is_503_and_all_is_kept(build: Build) -> None:
    site = build(keys=None, protect=["/account"])
    browser = signed_in(site)
    with site.pool.fault("jwks", Down()):
        assert visit(browser).body == "NetworkError keys_unavailable"
        got = browser.ask(lambda: "secret", path="/account")
    assert (got.status, kept(got)) == (503, True)
    assert int(got.one("retry-after") or 0) > 0


def test_and_signs_the_user_in_when_they_can(build: Build, clock: Clock) -> None:
    site = build(keys=None)
    browser = signed_in(site)
    with site.pool.fault("jwks", Down()):
        assert visit(browser).body == "NetworkError keys_unavailable"
    clock.advance(60)
    assert visit(browser).body == "ada"


# --- what a refresh writes


def test_a_refresh_writes_the_tokens_and_leaves_the_clock_drift(either: Site, clock: Clock) -> None:
    browser = signed_in(either, clockDrift="-77")
    before = browser.copy()
    clock.advance(DUE)
    got = visit(browser)
    assert (got.body, got.one("cache-control")) == ("ada", "no-store")
    assert set_names(got) == sorted(names_of(*TOKENS, "signInDetails"))
    assert (cleared(got), browser.token("clockDrift")) == (set(), "-77")
    assert browser.token("signInDetails") == before.token("signInDetails")
    assert browser.token("accessToken") != before.token("accessToken")


def test_a_refresh_begins_a_missing_clock_drift_with_0(site: Site, clock: Clock) -> None:
    browser = signed_in(site, clockDrift=None)
    clock.advance(DUE)
    assert written(visit(browser)) == names_of(*TOKENS, "signInDetails", "clockDrift")
    assert browser.token("clockDrift") == "0"


def test_a_refresh_in_a_next_servers_mode_writes_its_four_cookies(
    build: Build, clock: Clock
) -> None:
    site = build({"http_only": True})
    browser = AmplifyBrowser(site, http_only_cookies_of(site.pool.sign_in("ada")))
    clock.advance(DUE)
    got = visit(browser)
    assert set_names(got) == sorted(names_of(*TOKENS))
    assert {tuple(sorted(attributes(line).items())) for line in got.all("set-cookie")} == {
        (
            ("httponly", ""), ("max-age", "31536000"), ("path", "/"), ("samesite", "Strict"),
            ("secure", ""),
        )
    }  # fmt: skip


def test_a_refresh_for_a_browsers_amplify_js_writes_what_scripts_read(
    build: Build, clock: Clock
) -> None:
    site = build({"domain": "example.com", "max_age": 3600})
    jar = Jar()
    jar.put(cookies_of(site.pool.sign_in("ada")), domain="example.com")
    browser = AmplifyBrowser(site, jar)
    clock.advance(DUE)
    got = visit(browser)
    lines = [line for line in got.all("set-cookie") if attributes(line)["max-age"] != "0"]
    assert {tuple(sorted(attributes(line).items())) for line in lines} == {
        (
            ("domain", "example.com"), ("max-age", "3600"), ("path", "/"), ("samesite", "Lax"),
            ("secure", ""),
        )
    }  # fmt: skip
    assert browser.cookies.names() == sorted(names_of(*ALL))


def test_what_was_refreshed_is_read_again_by_anybody(
    either: Site, build: Build, clock: Clock
) -> None:
    browser = signed_in(either)
    clock.advance(OVER)
    visit(browser)
    afterwards = build(pool=either.pool)
    assert (visit(AmplifyBrowser(afterwards, browser.cookies)).body) == "ada"
    assert afterwards.pool.requests == []


def test_a_user_whose_id_token_was_missing_has_one_after_a_refresh(
    site: Site, clock: Clock
) -> None:
    browser = signed_in(site, idToken=None)
    clock.advance(DUE)
    assert written(visit(browser)) >= names_of("idToken")


def test_names_stay_in_the_spelling_of_who_wrote_them(site: Site, clock: Clock) -> None:
    name = "a(d)a"
    browser = AmplifyBrowser(site, cookies_of(site.pool.sign_in("ada"), name))
    clock.advance(DUE)
    got = visit(browser)
    js = {f"{PREFIX}.{CLIENT}.a%28d%29a.{suffix}" for suffix in (*TOKENS, "signInDetails")}
    assert (cleared(got), written(got) >= js) == (set(), True)
    assert not [name for name in written(got) if "(" in name]
    assert visit(browser).body == "ada"


# --- one refresh


def test_in_one_request_there_is_one_refresh(either: Site, clock: Clock) -> None:
    browser = signed_in(either)
    clock.advance(DUE)
    got = browser.does(
        who(either), lambda: either.verbs.fetch_user_attributes()["email"],
        lambda: either.verbs.fetch_auth_session().user_sub is not None, who(either),
    )  # fmt: skip
    assert got.body == "ada, ada@example.com, True, ada"
    assert either.pool.count(REFRESH) == 1


def test_a_forced_refresh_writes_the_new_tokens(either: Site) -> None:
    browser = signed_in(either)
    got = browser.does(either.refresh, who(either))
    assert got.body == f"{browser.token('accessToken')}, ada"
    assert set_names(got) == sorted(names_of(*TOKENS, "signInDetails"))
    assert either.pool.count(REFRESH) == 1


def test_a_forced_refresh_without_a_refresh_token_says_so(site: Site) -> None:
    got = signed_in(site, refreshToken=None).does(named(site.refresh), who(site))
    assert got.body.endswith(" not_refreshable, ada")


def test_ended_after_a_forced_refresh_all_of_it_is_over(
    either: Site, build: Build, clock: Clock
) -> None:
    browser = signed_in(either)
    before = browser.copy()
    got = browser.does(lambda: bool(either.refresh()), either.end(), who(either))
    assert got.body == f"True, None, {SIGNED_OUT}"
    assert cleared(got) == names_of(*ALL)
    assert visit(before).body == f"{NOBODY} session_revoked"
    either.settle()
    assert either.pool.count("RevokeToken") == 1


def test_who_comes_late_gets_the_new_cookies_without_another_grant(
    either: Site, clock: Clock
) -> None:
    first = signed_in(either)
    late = first.copy()
    clock.advance(DUE)
    visit(first)
    got = visit(late)
    assert (got.body, either.pool.count(REFRESH)) == ("ada", 1)
    assert set_names(got) == sorted(names_of(*TOKENS, "signInDetails"))
    assert late.cookies.kept == first.cookies.kept


def test_and_so_does_who_comes_two_refreshes_late(either: Site) -> None:
    first = signed_in(either)
    late = first.copy()
    for _ in range(2):
        either.clock.advance(1)
        first.does(either.refresh)
    assert (visit(late).body, either.pool.count(REFRESH)) == ("ada", 2)
    assert late.cookies.kept == first.cookies.kept


def test_newer_tokens_from_elsewhere_are_not_replaced_by_those_of_here(
    site: Site, clock: Clock
) -> None:
    browser = signed_in(site)
    clock.advance(1)
    browser.does(site.refresh)
    clock.advance(1)
    newer = site.pool.mint("ada", "access")
    browser.cookies.put({name_of("accessToken"): newer})
    got = browser.does(lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded)
    assert (got.body, kept(got)) == (newer, True)


# --- many at once


@pytest.fixture(params=[way for way in WAYS if way != "loops"])
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture(params=[False, True], ids=["", "rotating"])
def busy(
    request: pytest.FixtureRequest,
    way: Way,
    pool: LocalUserPool,
    rotating: LocalUserPool,
    clock: Clock,
) -> Iterator[Site]:
    """A site that many come to at once."""
    site = Site(way[0](), rotating if request.param else pool, clock, AmplifyCookies())
    yield site
    site.settle()


def test_one_session_is_refreshed_once_for_all_who_come(busy: Site, way: Way, clock: Clock) -> None:
    first = signed_in(busy)
    browsers = [first.copy() for _ in range(50)]
    clock.advance(OVER)
    got = everybody(busy, way, list(browsers))
    assert {(answer.status, answer.body) for answer in got} == {(200, "ada")}
    assert busy.pool.count(REFRESH) == 1
    assert len({frozenset(one.cookies.kept.items()) for one in browsers}) == 1
    assert browsers[0].token("accessToken") != first.token("accessToken")


def test_when_two_users_are_due_at_once_each_gets_their_own(
    busy: Site, way: Way, clock: Clock
) -> None:
    firsts = [signed_in(busy, name) for name in ("ada", "grace")]
    clock.advance(OVER)
    browsers = [first.copy() for _ in range(10) for first in firsts]
    got = everybody(busy, way, list(browsers))
    assert [answer.body for answer in got] == ["ada", "grace"] * 10
    assert busy.pool.count(REFRESH) == 2
    fresh = Site(busy.shell, busy.pool, clock, AmplifyCookies())
    assert [visit(AmplifyBrowser(fresh, one.cookies)).body for one in browsers[:4]] == [
        "ada", "grace"
    ] * 2  # fmt: skip
    assert fresh.pool.requests == []
    fresh.settle()


# --- nothing of somebody else's


def site_token(site: Site) -> str:
    """The access token of the session, as text."""
    tokens = site.verbs.fetch_auth_session().tokens
    return "" if tokens is None else str(tokens.access_token.encoded)


def stolen(pool: LocalUserPool, old: TokenSet) -> "dict[str, TokenSet]":
    """What an attacker makes of parts of a victim's old cookies."""
    own = pool.sign_in("grace")
    return {
        "old tokens, junk to refresh": replace(old, refresh_token="junk"),
        "old tokens, nothing to refresh": replace(old, refresh_token=None),
        "old tokens, the attacker's refresh token": replace(old, refresh_token=own.refresh_token),
        "old tokens, one of another sign-in": replace(
            old, refresh_token=pool.sign_in("ada").refresh_token
        ),
        "the attacker's tokens, the victim's refresh token": replace(
            own, refresh_token=old.refresh_token
        ),
        "forged tokens, the victim's refresh token": TokenSet(
            forged(old.id_token), forged(old.access_token), old.refresh_token
        ),
        "garbage, the victim's refresh token": TokenSet("a.b.c", "a.b.c", old.refresh_token),
    }


STOLEN = [
    "old tokens, junk to refresh",
    "old tokens, nothing to refresh",
    "old tokens, the attacker's refresh token",
    "old tokens, one of another sign-in",
    "the attacker's tokens, the victim's refresh token",
    "forged tokens, the victim's refresh token",
    "garbage, the victim's refresh token",
]


@pytest.mark.parametrize("which", STOLEN)
def test_parts_of_old_cookies_lead_to_no_new_tokens(either: Site, clock: Clock, which: str) -> None:
    old = either.pool.sign_in("ada")
    victim = AmplifyBrowser(either, cookies_of(old))
    clock.advance(DUE)
    visit(victim)  # the memory knows what became of the old tokens
    thief = AmplifyBrowser(either, cookies_of(stolen(either.pool, old)[which]))
    shown: list[str] = []
    got = thief.does(lambda: shown.append(site_token(either)), who(either))
    new = victim.token("accessToken")
    assert new not in shown
    assert "attacker's" not in which or not got.body.endswith("ada")
    assert new not in str(got.headers)
    assert victim.token("refreshToken") == old.refresh_token or (
        victim.token("refreshToken") not in str(got.headers)
    )
    assert visit(victim).body == "ada"


def test_a_foreign_refresh_token_brings_nobody_elses_tokens(either: Site) -> None:
    ada, grace = either.pool.sign_in("ada"), either.pool.sign_in("grace")
    mixed = AmplifyBrowser(either, cookies_of(replace(grace, refresh_token=ada.refresh_token)))
    got = mixed.does(who(either), named(either.refresh))
    assert (got.body, kept(got)) == (f"grace, {NOBODY} token_mismatch", True)


def test_and_ends_nobody_elses_session(site: Site) -> None:
    ada, grace = site.pool.sign_in("ada"), site.pool.sign_in("grace")
    mixed = AmplifyBrowser(site, cookies_of(replace(grace, refresh_token=ada.refresh_token)))
    mixed.does(named(site.refresh))
    victim = AmplifyBrowser(site, cookies_of(ada))
    assert victim.does(lambda: bool(site.refresh()), who(site)).body == "True, ada"


def test_who_joins_a_refresh_with_a_foreign_token_is_not_its_user(site: Site, clock: Clock) -> None:
    ada, grace = site.pool.sign_in("ada"), site.pool.sign_in("grace")
    victim = AmplifyBrowser(site, cookies_of(ada))
    thief = AmplifyBrowser(site, cookies_of(replace(grace, refresh_token=ada.refresh_token)))
    clock.advance(OVER)
    with site.pool.hold(REFRESH) as gate, ThreadPoolExecutor(2) as threads:
        refreshing = [threads.submit(visit, browser) for browser in (victim, thief)]
        gate.wait_for_arrivals(2)
        gate.release()
        got = [one.result().body for one in refreshing]
    assert got == ["ada", f"{NOBODY} token_mismatch"]


# --- a refresh that fails


ENDS = {  # Cognito's word that the sign-in is over: the name, the reason
    "NotAuthorizedException": (NOBODY, "session_revoked"),
    "TokenRevokedException": ("TokenRevokedException", "session_revoked"),
    "UserNotFoundException": ("UserNotFoundException", "user_not_found"),
    "PasswordResetRequiredException": (
        "PasswordResetRequiredException",
        "password_reset_required",
    ),
    "UserNotConfirmedException": ("UserNotConfirmedException", "user_not_confirmed"),
    "UserLambdaValidationException": ("UserLambdaValidationException", "trigger_refused"),
}
UNAVAILABLE = ("NetworkError", "cognito_unavailable")
DELAYS: dict[str, tuple[Any, tuple[str, str]]] = {  # everything else
    "TooManyRequestsException": (
        CognitoError("TooManyRequestsException"),
        ("NetworkError", "throttled"),
    ),
    "429": (Status(429), ("NetworkError", "throttled")),
    "InternalErrorException": (
        Status(500, b'{"__type":"InternalErrorException"}', {"x-amzn-errortype": "InternalError"}),
        UNAVAILABLE,
    ),
    "503": (Status(503), UNAVAILABLE),
    "no answer": (Down(), UNAVAILABLE),
    "InvalidParameterException": (
        CognitoError("InvalidParameterException"),
        ("InvalidParameterException", "cognito_misconfigured"),
    ),
    "UnexpectedLambdaException": (
        CognitoError("UnexpectedLambdaException", "no"),
        ("UnexpectedLambdaException", "trigger_failed"),
    ),
    "ForbiddenException": (
        CognitoError("ForbiddenException", "Request not allowed due to WAF block."),
        ("ForbiddenException", "firewall_blocked"),
    ),
    "ResourceNotFoundException": (
        CognitoError("ResourceNotFoundException"),
        ("ResourceNotFoundException", "cognito_misconfigured"),
    ),
    "garbage": (Body(b"<html>Sign in to the hotel's network"), UNAVAILABLE),
    "tokens that are none": (
        Body(b'{"AuthenticationResult":{"IdToken":"a","AccessToken":"b"}}'),
        ("NetworkError", "malformed_token"),
    ),
}
later = pytest.mark.parametrize("seconds", [DUE, OVER], ids=["due", "over"])


@later
@pytest.mark.parametrize("code", ENDS)
def test_when_cognito_ends_the_sign_in_the_cookies_are_cleared(
    site: Site, clock: Clock, code: str, seconds: float
) -> None:
    browser = signed_in(site, oauthMetadata='{"oauthSignIn":true}', deviceKey="d")
    clock.advance(seconds)
    with site.pool.fault(REFRESH, CognitoError(code)):
        got = visit(browser)
    assert got.body == " ".join(ENDS[code])
    assert set_names(got) == sorted(cleared(got)) == sorted(names_of(*ALL, "oauthMetadata"))
    assert got.one("cache-control") == "no-store"
    assert browser.cookies.names() == [name_of("deviceKey")]


@pytest.mark.parametrize("code", ENDS)
def test_and_who_comes_late_is_told_so_without_another_question(
    site: Site, clock: Clock, code: str
) -> None:
    browser = signed_in(site)
    late = browser.copy()
    clock.advance(OVER)
    with site.pool.fault(REFRESH, CognitoError(code)):
        visit(browser)
    got = visit(late)
    assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))
    assert site.pool.count(REFRESH) == 1


@pytest.mark.parametrize("code", ENDS)
def test_in_a_next_servers_mode_its_four_cookies_are_cleared(
    build: Build, clock: Clock, code: str
) -> None:
    site = build({"http_only": True})
    browser = signed_in(site)  # with a browser's two more
    clock.advance(OVER)
    with site.pool.fault(REFRESH, CognitoError(code)):
        got = visit(browser)
    assert set_names(got) == sorted(names_of(*TOKENS))
    assert browser.cookies.names() == sorted({name_of("signInDetails"), name_of("clockDrift")})


@pytest.mark.parametrize("state", ["disabled", "deleted", "reset"])
def test_a_user_who_is_out_is_out_at_the_next_refresh(
    build: Build, clock: Clock, state: str
) -> None:
    with town(clock) as pool:
        site = build(pool=pool)
        browser = signed_in(site)
        {
            "disabled": pool.disable_user,
            "deleted": pool.delete_user,
            "reset": pool.require_password_reset,
        }[state]("ada")
        assert visit(browser).body == "ada"
        clock.advance(DUE)
        got = visit(browser)
    names = {"disabled": NOBODY, "deleted": "UserNotFoundException"}
    assert got.body.split()[0] == names.get(state, "PasswordResetRequiredException")
    assert cleared(got) == names_of(*ALL)


@pytest.mark.parametrize("why", DELAYS)
def test_when_cognito_cannot_tell_the_answer_is_503_and_all_is_kept(
    build: Build, clock: Clock, why: str
) -> None:
    site = build(protect=["/account"])
    fault, (name, reason) = DELAYS[why]
    browser = signed_in(site)
    clock.advance(OVER)
    with site.pool.fault(REFRESH, fault):
        got = visit(browser)
        guarded = browser.ask(lambda: "secret", path="/account")
    assert (got.body, kept(got)) == (f"{name} {reason}", True)
    assert (guarded.status, kept(guarded)) == (503, True)
    assert int(guarded.one("retry-after") or 0) > 0
    clock.advance(120)
    assert visit(browser).body == "ada"


@pytest.mark.parametrize("why", DELAYS)
def test_and_tokens_that_are_still_good_serve(site: Site, clock: Clock, why: str) -> None:
    browser = signed_in(site)
    clock.advance(DUE)
    with site.pool.fault(REFRESH, DELAYS[why][0]):
        got = visit(browser)
    assert (got.body, kept(got), site.pool.count(REFRESH)) == ("ada", True, 1)
    assert visit(browser).body == "ada"
    assert site.pool.count(REFRESH) == 1  # not asked with each request
    clock.advance(5)
    assert (visit(browser).body, site.pool.count(REFRESH)) == ("ada", 2)


@pytest.mark.parametrize("seconds", [DUE, OVER], ids=["due", "over"])
def test_when_cognito_is_not_there_or_does_not_answer(
    build: Build, clock: Clock, seconds: float
) -> None:
    with town(clock) as pool:
        site = build(pool=pool, http_timeout=0.1)
        browser, other = signed_in(site), signed_in(site, "grace")
        clock.advance(seconds)
        with pool.hold(REFRESH):
            got = visit(browser)
        pool.close()
        clock.advance(0.5 if seconds == DUE else 120)
        refused = visit(other)
    outage = " ".join(UNAVAILABLE)
    assert got.body == ("ada" if seconds == DUE else outage)
    assert refused.body == ("grace" if seconds == DUE else outage)
    assert (kept(got), kept(refused)) == (True, True)


@later
def test_a_refresh_token_that_was_used_elsewhere_clears_nothing(
    site: Site, clock: Clock, seconds: float
) -> None:
    browser = signed_in(site)
    clock.advance(seconds)
    with site.pool.fault(REFRESH, CognitoError("RefreshTokenReuseException")):
        got = visit(browser)
    reused = "RefreshTokenReuseException refresh_token_reused"
    assert (got.body, kept(got)) == ("ada" if seconds == DUE else reused, True)


def test_and_the_newer_cookies_count_when_they_come(
    rotating: LocalUserPool, build: Build, clock: Clock
) -> None:
    one, other = (
        build(pool=rotating),
        build(pool=rotating),
    )  # two processes, without a common memory
    browser = signed_in(one)
    late = AmplifyBrowser(other, browser.cookies)
    clock.advance(OVER)
    assert visit(browser).body == "ada"
    assert visit(late).body == "RefreshTokenReuseException refresh_token_reused"
    assert visit(AmplifyBrowser(other, browser.cookies)).body == "ada"


def test_a_forced_refresh_that_fails_keeps_the_user(site: Site) -> None:
    browser = signed_in(site)
    with site.pool.fault(REFRESH, Status(503)):
        got = browser.does(named(site.refresh), who(site))
    assert (got.body, kept(got)) == ("NetworkError cognito_unavailable, ada", True)


# --- a question to Cognito now and then


def test_cognito_is_asked_whether_the_user_is_signed_in_still(build: Build, clock: Clock) -> None:
    site = build({"verify_with_cognito_every": 60})
    browser = signed_in(site)
    assert [visit(browser).body for _ in range(2)] == ["ada"] * 2
    clock.advance(61)
    with site.pool.fault("GetUser", CognitoError("NotAuthorizedException", "revoked")):
        got = visit(browser)
    assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))
    assert site.pool.requests == ["GetUser", "GetUser"]


# --- signing out


def test_who_is_signed_out_has_no_cookies_left(site: Site) -> None:
    browser = signed_in(site, oauthMetadata="{}", deviceKey="d")
    browser.cookies.put({"theme": "dark"})
    got = browser.does(site.end(), who(site))
    assert got.body == f"None, {SIGNED_OUT}"
    assert set_names(got) == sorted(cleared(got)) == sorted(names_of(*ALL, "oauthMetadata"))
    assert got.one("cache-control") == "no-store"
    assert browser.cookies.names() == [name_of("deviceKey"), "theme"]
    site.settle()
    assert site.pool.requests == ["RevokeToken"]


def test_what_was_copied_of_a_session_ends_with_it(site: Site, clock: Clock) -> None:
    browser = signed_in(site)
    thief = browser.copy()
    assert visit(thief).body == "ada"
    browser.does(site.end())
    for _ in range(2):
        got = visit(thief.copy())
        assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))
        clock.advance(2 * DAY)
    assert site.pool.count(REFRESH) == 0


@pytest.mark.parametrize("force", [False, True])
def test_old_cookies_of_before_a_refresh_are_signed_out_too(
    either: Site, clock: Clock, force: bool
) -> None:
    browser = signed_in(either)
    late = browser.copy()
    assert visit(late).body == "ada"
    clock.advance(10 if force else DUE)
    browser.does(either.refresh if force else who(either))
    browser.does(either.end())
    got = visit(late)
    assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))
    assert either.pool.count(REFRESH) == 1


def test_and_an_end_with_old_cookies_ends_what_came_of_them(either: Site, clock: Clock) -> None:
    browser = signed_in(either)
    late = browser.copy()
    clock.advance(DUE)
    visit(browser)
    late.does(either.end())
    assert visit(browser).body == f"{NOBODY} session_revoked"
    either.settle()
    assert either.pool.count("RevokeToken") == 1


def test_what_cannot_be_refreshed_ends_as_well(site: Site) -> None:
    browser = signed_in(site, refreshToken=None)
    thief = browser.copy()
    assert visit(thief).body == "ada"
    browser.does(site.end())
    got = visit(thief)
    assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))
    site.settle()
    assert site.pool.requests == []


def test_an_end_revokes_what_could_not_be_refreshed_just_now(site: Site, clock: Clock) -> None:
    browser = signed_in(site)
    late = browser.copy()
    clock.advance(OVER)
    with site.pool.fault(REFRESH, Status(503)):
        got = browser.does(who(site), site.end())
    assert (got.body, cleared(got)) == ("NetworkError cognito_unavailable, None", names_of(*ALL))
    site.settle()
    assert site.pool.count("RevokeToken") == 1
    assert visit(late).body == f"{NOBODY} session_revoked"


def test_an_end_of_one_sign_in_leaves_the_users_others(site: Site) -> None:
    here, there = signed_in(site), signed_in(site)
    here.does(site.end())
    assert there.does(lambda: bool(site.refresh()), who(site)).body == "True, ada"


def test_a_sign_in_after_a_sign_out_is_another_session(site: Site) -> None:
    browser = signed_in(site)
    browser.does(site.end())
    browser.cookies.put(cookies_of(site.pool.sign_in("ada")))
    assert visit(browser).body == "ada"


def test_signed_out_everywhere_other_browsers_are_out_at_their_next_refresh(
    site: Site, clock: Clock
) -> None:
    here, there = signed_in(site), signed_in(site)
    here.does(site.end(everywhere=True))
    site.settle()
    assert sorted(site.pool.requests) == ["GlobalSignOut", "RevokeToken"]
    clock.advance(DUE)
    got = visit(there)
    assert (got.body, cleared(got)) == (f"{NOBODY} session_revoked", names_of(*ALL))


def test_who_is_not_signed_in_is_not_signed_out(site: Site) -> None:
    got = site.browser().does(site.end())
    assert (got.body, kept(got)) == ("None", True)


@pytest.mark.parametrize("which", [name for name in ACCESS_TOKENS if name != "none"])
def test_an_end_with_cookies_that_nobody_vouches_for_tells_cognito_nothing(
    site: Site, which: str
) -> None:
    tokens = site.pool.sign_in("ada")
    victim = AmplifyBrowser(site, cookies_of(tokens))
    assert visit(victim).body == "ada"
    cookies = cookies_of(tokens, accessToken=ACCESS_TOKENS[which][0](site.pool))
    got = AmplifyBrowser(site, cookies).does(site.end(everywhere=True))
    assert cleared(got) == names_of(*ALL)
    site.settle()
    assert site.pool.requests in ([], ["jwks"])  # an unknown key is looked for
    assert visit(victim).body == "ada"


def stored_beside(build: Build, clock: Clock, **options: Any) -> Site:
    """A site that reads Amplify's cookies, and sessions in a store."""
    return build(kinds=[AmplifyCookies(), StoredSession(MemoryStore(clock=clock))], **options)


@pytest.mark.parametrize("which", ["forged", "unsigned", "another client's", "expired"])
def test_and_ends_no_stored_session_of_the_user(build: Build, clock: Clock, which: str) -> None:
    site = stored_beside(build, clock)
    tokens = site.pool.sign_in("ada")
    plain = Site(site.shell, site.pool, clock, site.session[1])
    owner = plain.browser()
    assert owner.does(plain.start(tokens)).body == "ada"
    made = {**ACCESS_TOKENS, "expired": (wrong("access", expires_in=-60), "")}[which][0]
    cookies = cookies_of(replace(tokens, refresh_token=None), accessToken=made(site.pool))
    AmplifyBrowser(site, cookies).does(site.end(everywhere=True))
    site.settle()
    plain.settle()
    assert owner.does().body == "ada"


def test_a_page_of_another_site_signs_nobody_out(site: Site) -> None:
    browser = signed_in(site)
    got = browser.does(site.end(), who(site), headers={"Sec-Fetch-Site": "cross-site"})
    assert (got.body, kept(got)) == ("ForbiddenException cross_site, ada", True)


def test_an_end_wins_over_a_refresh_in_flight(either: Site, clock: Clock) -> None:
    browser = signed_in(either)
    ending = browser.copy()
    clock.advance(DUE)
    with ThreadPoolExecutor(2) as threads, either.pool.hold(REFRESH) as gate:
        refreshed = threads.submit(visit, browser)
        gate.wait_for_arrivals()
        ended = threads.submit(ending.does, either.end())
        gate.release()
        assert cleared(ended.result()) == names_of(*ALL)
        refreshed.result()
    assert visit(browser).body.startswith(NOBODY)
    assert visit(signed_in(either)).body == "ada"  # only that session has ended


def test_an_end_before_its_answer_is_told_to_who_refreshes(either: Site) -> None:
    browser = signed_in(either)
    ending = browser.copy()
    with ThreadPoolExecutor(1) as threads, either.pool.hold(REFRESH) as gate:
        refreshed = threads.submit(browser.does, named(either.refresh), who(either))
        gate.wait_for_arrivals()
        ending.does(either.end())
        gate.release()
        got = refreshed.result()
    assert got.body == f"{NOBODY} session_revoked, {NOBODY} session_revoked"
    assert cleared(got) == names_of(*ALL)


# --- signing in


def test_a_started_session_is_what_amplify_reads(site: Site) -> None:
    tokens = site.pool.sign_in("ada")
    browser = AmplifyBrowser(site)
    got = browser.does(site.start(tokens), who(site))
    assert (got.body, got.one("cache-control")) == ("ada, ada", "no-store")
    assert set_names(got) == sorted(names_of(*TOKENS, "clockDrift"))
    expected = cookies_of(tokens, signInDetails=None)
    assert {place.name: value for place, value in browser.cookies.kept.items()} == expected
    assert visit(browser).body == "ada"


def test_in_a_next_servers_mode_it_is_its_four_cookies(build: Build) -> None:
    site = build({"http_only": True})
    tokens = site.pool.sign_in("ada")
    browser = AmplifyBrowser(site)
    got = browser.does(site.start(tokens))
    assert set_names(got) == sorted(names_of(*TOKENS))
    assert browser.cookies.names() == sorted(http_only_cookies_of(tokens))


def test_a_new_session_replaces_another_users(site: Site) -> None:
    browser = signed_in(site, "grace")
    before = browser.copy()
    got = browser.does(site.start(site.pool.sign_in("ada")), who(site))
    assert got.body == "ada, ada"
    graces = names_of(*ALL, user="grace") - {last_auth_user()}
    assert cleared(got) == graces
    assert written(got) == names_of(*TOKENS, "clockDrift")
    assert browser.cookies.names() == sorted(names_of(*TOKENS, "clockDrift"))
    assert visit(before).body == f"{NOBODY} session_revoked"
    site.settle()
    assert site.pool.count("RevokeToken") == 1


def test_a_new_session_of_the_same_user_revokes_the_one_before(site: Site) -> None:
    browser = signed_in(site)
    before = browser.copy()
    assert browser.does(site.start(site.pool.sign_in("ada")), who(site)).body == "ada, ada"
    assert visit(browser).body == "ada"
    assert visit(before).body == f"{NOBODY} session_revoked"
    site.settle()
    assert site.pool.count("RevokeToken") == 1


def test_started_and_ended_in_one_request_nobody_is_signed_in(site: Site) -> None:
    browser, tokens = AmplifyBrowser(site), site.pool.sign_in("ada")
    got = browser.does(site.start(tokens), site.end())
    assert (got.body, browser.cookies.names()) == ("ada, None", [])
    assert visit(AmplifyBrowser(site, cookies_of(tokens))).body == f"{NOBODY} session_revoked"


def test_a_new_session_clears_the_same_users_old_details(site: Site) -> None:
    browser = signed_in(site)
    got = browser.does(site.start(site.pool.sign_in("ada")))
    assert cleared(got) == {name_of("signInDetails")}
    assert browser.does(lambda: site.verbs.get_current_user().sign_in_details).body == "None"


def test_started_with_the_tokens_that_are_there_the_session_goes_on(site: Site) -> None:
    tokens = site.pool.sign_in("ada")
    browser = AmplifyBrowser(site, cookies_of(tokens))
    assert browser.does(who(site), site.start(tokens)).body == "ada, ada"
    assert visit(browser).body == "ada"
    site.settle()
    assert site.pool.count("RevokeToken") == 0


def test_started_with_newer_tokens_of_the_same_sign_in_the_session_goes_on(
    site: Site, clock: Clock
) -> None:
    tokens = site.pool.sign_in("ada")
    browser = AmplifyBrowser(site, cookies_of(tokens))
    clock.advance(60)
    newer = TokenSet(site.pool.mint("ada"), site.pool.mint("ada", "access"), tokens.refresh_token)
    assert browser.does(who(site), site.start(newer)).body == "ada, ada"
    assert visit(browser).body == "ada"


@pytest.mark.parametrize("use", ["access", "refresh"])
def test_tokens_that_no_cookie_holds_are_refused(site: Site, use: str) -> None:
    tokens = site.pool.sign_in("ada")
    if use == "access":
        large = site.pool.mint("ada", "access", claims={"cognito:groups": ["g" * 4000]})
        tokens = replace(tokens, access_token=large)
    else:
        tokens = replace(tokens, refresh_token="r" * 4090)
    browser = signed_in(site, "grace")
    got = browser.does(site.start(tokens), who(site))
    assert (got.body, kept(got)) == ("SessionTooLargeError, grace", True)


def test_an_id_token_that_no_cookie_holds_is_left_out(site: Site) -> None:
    large = site.pool.mint("ada", claims={"custom:notes": "x" * 4000})
    browser = AmplifyBrowser(site)
    got = browser.does(site.start(replace(site.pool.sign_in("ada"), id_token=large)))
    assert cleared(got) == {name_of("idToken")}
    assert visit(browser).body == "ada"


def test_a_page_of_another_site_signs_nobody_in(site: Site) -> None:
    tokens = site.pool.sign_in("ada")
    got = AmplifyBrowser(site).does(site.start(tokens), headers={"Origin": "https://evil.example"})
    assert (got.body, kept(got)) == ("ForbiddenException cross_site", True)


def test_a_refresh_that_grows_beyond_a_cookie_goes_on_with_the_older_ones(
    build: Build, clock: Clock
) -> None:
    with town(clock) as pool:
        site = build(pool=pool)
        pool.add_user("eve")
        browser = signed_in(site, "eve")
        late = browser.copy()
        large = pool.mint("eve", "access", issued_at=clock() + DUE, claims={"notes": "x" * 4000})
        small = pool.mint("eve", issued_at=clock() + DUE)
        answer = f'{{"AuthenticationResult":{{"IdToken":"{small}","AccessToken":"{large}"}}}}'
        clock.advance(DUE)
        with pool.fault(REFRESH, Body(answer.encode())):
            got = visit(browser)
        assert (got.status, got.body, kept(got)) == (200, "eve", True)
        assert (visit(late).body, pool.count(REFRESH)) == ("eve", 1)


# --- cookies that were sent twice


def twice(
    site: Site, first: "dict[str, str]", second: "dict[str, str]", path: str = "/app"
) -> AmplifyBrowser:
    """A browser that sends `first` (of a longer path) before `second`."""
    browser = AmplifyBrowser(site)
    browser.cookies.put(second)
    browser.cookies.put(first, path=path)
    return browser


@pytest.mark.parametrize("fresher_first", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_of_one_users_tokens_the_fresher_count(
    site: Site, clock: Clock, fresher_first: bool, is_known: bool
) -> None:
    old = cookies_of(site.pool.sign_in("ada"))
    clock.advance(100)
    tokens = site.pool.sign_in("ada")
    new = cookies_of(tokens)
    if is_known:
        come(site, old)
        come(site, new)
    browser = twice(site, *((new, old) if fresher_first else (old, new)))
    got = browser.does(
        lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded, path="/app/x"
    )
    assert (got.body, kept(got)) == (tokens.access_token, True)


@pytest.mark.parametrize("known", ["old", "new"])
def test_the_fresher_count_whatever_their_id_tokens_say(
    site: Site, clock: Clock, known: str
) -> None:
    old = site.pool.sign_in("ada")
    clock.advance(100)
    new = replace(site.pool.sign_in("ada"), id_token=site.pool.mint("ada", expires_in=600))
    come(site, cookies_of(old if known == "old" else new))
    got = twice(site, cookies_of(old), cookies_of(new)).does(
        lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded, path="/app/x"
    )
    assert got.body == new.access_token


@pytest.mark.parametrize("good_first", [True, False])
def test_tokens_that_do_not_count_stand_behind_those_that_do(site: Site, good_first: bool) -> None:
    tokens = site.pool.sign_in("ada")
    good = cookies_of(tokens)
    bad = cookies_of(replace(tokens, access_token=forged(tokens.access_token)))
    browser = twice(site, *((good, bad) if good_first else (bad, good)))
    assert visit(browser, path="/app/x").body == "ada"


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("name", ["ada", "grace"])
def test_of_two_users_nobody_is_signed_in(site: Site, is_known: bool, name: str) -> None:
    ada, grace = cookies_of(site.pool.sign_in("ada")), cookies_of(site.pool.sign_in("grace"), name)
    if is_known:
        come(site, ada)
        come(site, grace)
    for browser in (twice(site, ada, grace), twice(site, grace, ada)):
        got = visit(browser, path="/app/x")
        assert (got.body, kept(got)) == (f"{NOBODY} duplicate_cookie", True)


def test_a_refresh_leaves_one_of_each(build: Build, clock: Clock) -> None:
    site = build({"former_domains": ["example.com"]})
    first, second = (cookies_of(site.pool.sign_in("ada")) for _ in range(2))
    browser = twice(site, first, second)
    browser.cookies.put(first, domain="example.com")
    browser.cookies.put(first, domain="example.com", path="/app")
    clock.advance(DUE)
    assert visit(browser, path="/app/page").body == "ada"
    assert browser.cookies.names() == sorted(names_of(*ALL))
    assert {place[1:] for place in browser.cookies.kept if "Token" in place.name} == {("", "/")}
    assert visit(browser, path="/app/page").body == "ada"


@pytest.mark.parametrize("session", [{}, {"domain": "example.com"}])
def test_a_sign_out_leaves_none(build: Build, session: dict[str, Any]) -> None:
    site = build({**session, "former_domains": ["example.com"]})
    first, second = (cookies_of(site.pool.sign_in("ada")) for _ in range(2))
    browser = twice(site, first, second, "/app/deep")
    browser.cookies.put(first, domain="example.com")
    browser.cookies.put(second, domain="example.com", path="/app")
    browser.does(site.end(), path="/app/deep/page")
    assert browser.cookies.names() == []


def test_cookies_of_a_domain_are_cleared_there(build: Build) -> None:
    site = build({"domain": "example.com"})
    browser = AmplifyBrowser(site)
    browser.cookies.put(cookies_of(site.pool.sign_in("ada")), domain="example.com")
    browser.does(site.end())
    assert browser.cookies.names() == []


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.levelname == "WARNING"]


@pytest.mark.parametrize("domain", ["", "example.com"])
def test_names_that_come_twice_are_said_once_with_the_mend(
    build: Build, domain: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = build()
    for name in ("ada", "grace"):
        browser = AmplifyBrowser(site)
        for place in ("", domain):
            browser.cookies.put(cookies_of(site.pool.sign_in(name), name), domain=place)
        assert [visit(browser).body for _ in range(2)] == [name, name]
    said = warnings(caplog)
    assert len(said) == (1 if domain else 0)
    assert all("AmplifyCookies(domain='example.com')" in text for text in said)
    assert not any(secret in text for text in said for secret in (".ada", "eyJ"))


@pytest.mark.parametrize("place", ["first", "last"])
def test_so_they_are_beside_other_kinds(
    build: Build, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = [AmplifyCookies(), SealedSession(keys=KEYS[:1])]
    site = build(kinds=kinds if place == "first" else kinds[::-1])
    browser = twice(site, *[cookies_of(site.pool.sign_in("ada"))] * 2)
    assert visit(browser, path="/app/x").body == "ada"
    assert len(warnings(caplog)) == 1


# --- `Cookie` fields that a server has joined


@pytest.mark.parametrize("joint", [",", ", "])
@pytest.mark.parametrize("is_due", [False, True])
def test_fields_joined_by_a_comma_lose_a_session_at_most(
    site: Site, clock: Clock, joint: str, is_due: bool
) -> None:
    cookies = {"theme": "dark", **cookies_of(site.pool.sign_in("ada")), "lang": "de"}
    if is_due:
        clock.advance(OVER)
    pairs = [f"{name}={value}" for name, value in cookies.items()]
    headers = ["; ".join(pairs[:at]) + joint + "; ".join(pairs[at:]) for at in range(1, len(pairs))]
    for header in [*headers, joint.join(pairs)]:
        got = site.browser({"a": f"b; {header}"}).does(who(site))
        assert got.body == "ada" or got.body.split()[0] in (NOBODY, "TokenRefreshException")
        assert "Max-Age=0" not in str(got.all("set-cookie"))


# --- tokens of the front end's own, of about the same time


@pytest.mark.parametrize(("earlier", "whose"), [(0, "theirs"), (-1, "theirs"), (1, "ours")])
def test_older_tokens_are_never_written_over_newer_ones(
    site: Site, clock: Clock, earlier: int, whose: str
) -> None:
    browser = signed_in(site)
    clock.advance(100)
    late = browser.copy()
    got = browser.does(site.refresh)  # ours; late has the older ones still, and refreshes itself
    ours = browser.token("accessToken")
    at = clock() - earlier
    new = {use: site.pool.mint("ada", use, issued_at=at) for use in ("access", "id")}
    late.cookies.put({name_of("accessToken"): new["access"], name_of("idToken"): new["id"]})
    got = late.does(lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded)
    assert got.body == (ours if whose == "ours" else new["access"])
    assert kept(got) is (whose == "theirs")


@pytest.mark.parametrize("whose", ["the front end's", "another tab's"])
@pytest.mark.parametrize("beside", [[], ["sealed"]], ids=["alone", "beside another kind"])
def test_a_slow_answer_does_not_write_over_newer_tokens(
    build: Build, clock: Clock, whose: str, beside: list[str]
) -> None:
    kinds = [AmplifyCookies(), *(SealedSession(keys=KEYS[:1]) for _ in beside)]
    site = build(kinds=kinds if beside else kinds[0])
    elsewhere = build({"refresh_margin": 6})  # which shares nothing with the site
    browser = signed_in(site)
    clock.advance(100)
    other = browser.copy()

    def meanwhile() -> str:
        clock.advance(1)
        if whose == "another tab's":
            return str(kept(other.does(site.refresh)))
        apart = AmplifyBrowser(elsewhere, other.cookies)
        with ThreadPoolExecutor() as threads:  # or it would be within this request
            threads.submit(apart.does, elsewhere.refresh).result()
        return str(kept(visit(AmplifyBrowser(site, apart.cookies))))

    got = browser.does(site.refresh, meanwhile)
    assert got.body.split(", ")[1] == str(whose == "the front end's")
    assert kept(got)


# --- other middlewares, other kinds


def nested(outer: Site, inner: Site) -> Any:
    """An app behind two middlewares."""
    return outer.shell.middleware(inner.app(lambda: outcome(inner.who)), outer.engine)


@pytest.mark.parametrize("is_outer", [True, False])
def test_amplifys_cookies_go_together_with_a_session_of_another_name(
    build: Build, shell: Shell, is_outer: bool
) -> None:
    amplify, token = build(), build(kinds=TokenSession())
    value = token.sign_in("grace").value
    cookies = header_of(cookies_of(amplify.pool.sign_in("ada"))) + f"; amplify-session={value}"
    pair = (amplify, token) if is_outer else (token, amplify)
    got = shell.send(nested(*pair), Ask(cookies=cookies))
    assert got.body == ("grace" if is_outer else "ada")


def test_two_pools_under_the_same_cookies_are_a_mistake(
    build: Build, shell: Shell, clock: Clock
) -> None:
    outer = build()
    with town(clock) as pool:
        inner = build(pool=pool)
        cookies = header_of(cookies_of(outer.pool.sign_in("ada")))
        with pytest.raises(ConfigurationError, match="different user pools"):
            shell.send(nested(outer, inner), Ask(cookies=cookies))


def test_two_modes_of_the_same_cookies_are_a_mistake(build: Build, shell: Shell) -> None:
    outer, inner = build(), build({"http_only": True})
    cookies = header_of(cookies_of(outer.pool.sign_in("ada")))
    with pytest.raises(ConfigurationError, match="different kinds of session"):
        shell.send(nested(outer, inner), Ask(cookies=cookies))


def test_two_clients_of_different_pools_go_together(
    build: Build, shell: Shell, clock: Clock
) -> None:
    outer = build()
    with town(clock, client_id="another") as pool:
        inner = build(pool=pool)
        cookies = cookies_of(pool.sign_in("grace"), "grace", "another")
        cookies |= cookies_of(outer.pool.sign_in("ada"))
        assert shell.send(nested(outer, inner), Ask(cookies=header_of(cookies))).body == "grace"


def test_of_two_clients_the_first_that_is_signed_in_counts(build: Build) -> None:
    site = build(client_id=["another", CLIENT])
    cookies = cookies_of(site.pool.sign_in("ada"))
    assert come(site, cookies).body == "ada"
    tokens = TokenSet(
        site.pool.mint("grace", client_id="another"),
        site.pool.mint("grace", "access", client_id="another"),
    )
    assert come(site, cookies | cookies_of(tokens, "grace", "another")).body == "grace"


def test_a_token_of_one_client_does_not_count_in_the_cookies_of_another(build: Build) -> None:
    site = build(client_id=["another", CLIENT])
    got = come(site, cookies_of(site.pool.sign_in("ada"), client="another"))
    assert (got.body, kept(got)) == (f"{NOBODY} wrong_client", True)


@pytest.mark.parametrize("kinds", ["amplify first", "amplify last"])
def test_amplifys_cookies_and_sealed_sessions_are_read_side_by_side(
    build: Build, kinds: str
) -> None:
    sealed = SealedSession(keys=KEYS[:1])
    both = [AmplifyCookies(), sealed]
    site = build(kinds=both if kinds == "amplify first" else both[::-1])
    assert visit(signed_in(site)).body == "ada"
    old = build(kinds=sealed).sign_in("grace")
    assert AmplifyBrowser(site, old.jar).does(who(site)).body == "grace"


# --- configurations that cannot work


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AmplifyCookies(same_site="lax"), "same_site"),  # type: ignore[arg-type]
        (lambda: AmplifyCookies(same_site="None", secure=False), "same_site"),
        (lambda: AmplifyCookies(domain="https://example.com"), "domain"),
        (lambda: AmplifyCookies(path="shop"), "path"),
        (lambda: AmplifyCookies(path=None), "path"),  # type: ignore[arg-type]
        (lambda: AmplifyCookies(former_domains="example.com"), "write a list"),
        (lambda: AmplifyCookies(former_domains=["https://x"]), "domain"),
        (lambda: AmplifyCookies(max_age=0), "max_age"),
        (lambda: AmplifyCookies(refresh_margin=-1), "refresh_margin"),
        (lambda: AmplifyCookies(refresh_ahead=3601), "refresh_ahead"),
        (lambda: AmplifyCookies(patience=61), "patience"),
        (lambda: AmplifyCookies(http_only="yes"), "http_only"),  # type: ignore[arg-type]
        (lambda: AmplifyCookies(verify_with_cognito_every=0), "verify_with_cognito_every"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("kinds", [AmplifyCookies(), [AmplifyCookies(), TokenSession()]])
def test_without_a_client_there_are_no_cookies_to_read(pool: LocalUserPool, kinds: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"write\s+client_id='...' instead of None"):
        Engine(pool.config(client_id=None, session=kinds))


@pytest.mark.parametrize("kinds", [AmplifyCookies, [AmplifyCookies]])
def test_a_class_is_no_kind_of_session(pool: LocalUserPool, kinds: Any) -> None:
    with pytest.raises(ConfigurationError, match="the class AmplifyCookies"):
        pool.config(session=kinds)


# --- secrets


def test_no_log_shows_a_token(either: Site, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = either.pool.sign_in("ada")
    browser = AmplifyBrowser(either, cookies_of(tokens))
    visit(browser)
    clock.advance(DUE)
    with either.pool.fault(REFRESH, Down()):
        visit(browser)
    clock.advance(OVER)
    visit(browser)
    browser.does(either.end())
    visit(AmplifyBrowser(either, cookies_of(replace(tokens, access_token="a.b.c"))))
    either.settle()
    assert caplog.text
    for secret in (*tokens.id_token.split("."), *tokens.access_token.split(".")):
        assert secret not in caplog.text
    assert str(tokens.refresh_token) not in caplog.text
