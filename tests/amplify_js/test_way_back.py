"""Cookies that we write, in a browser, as Amplify's own readers find them there."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import amplify_mw
from amplify_mw import AmplifyCookies
from amplify_mw.testing import LocalUserPool
from tests.amplify_js.cases import PREFIX, USERS
from tests.amplify_js.node import ORIGIN, AmplifyJS, Context, Page, Tokens, issuer
from tests.amplify_js.ours import Site, refresh, site
from tests.shells import Shell, WSGIShell

pytestmark = pytest.mark.node

NOBODY = "UserUnAuthenticatedException"
REFRESH = "GetTokensFromRefreshToken"
HOUR = 3600
HTTP_ONLY_KINDS = {"accessToken", "idToken", "refreshToken", "LastAuthUser"}

every_user = pytest.mark.parametrize("user", USERS.values(), ids=USERS)


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    """A pool with users of every kind."""
    with LocalUserPool(issuer=issuer()) as pool:
        for user in USERS.values():
            pool.add_user(user)
        yield pool


@pytest.fixture(scope="module")
def scripted(pool: LocalUserPool) -> Iterator[Site]:
    """A site whose cookies scripts can read."""
    with site(WSGIShell(), pool.config(session=AmplifyCookies())) as ours:
        yield ours


@pytest.fixture(scope="module")
def http_only(pool: LocalUserPool) -> Iterator[Site]:
    """A site beside a Next server in its server mode."""
    with site(WSGIShell(), pool.config(session=AmplifyCookies(http_only=True))) as ours:
        yield ours


def expired(pool: LocalUserPool, user: str) -> Tokens:
    return Tokens.of(pool, user, age=2 * HOUR)


def in_server_mode(amplify: AmplifyJS, pool: LocalUserPool, tokens: Tokens) -> Page:
    """A browser whose cookies a Next server in its server mode has set."""
    page = amplify.page()
    page.receive(amplify.write(pool, tokens, origin=ORIGIN).set_cookies)
    return page


def kinds(page: Page) -> Counter[str]:
    """How many cookies of each kind there are in a browser."""
    names = [cookie["key"] for cookie in page.jar if cookie["key"].startswith(PREFIX)]
    return Counter(name.rpartition(".")[2] for name in names)


def multiplied(page: Page) -> set[str]:
    """What there is more than once."""
    return {kind for kind, count in kinds(page).items() if count > 1}


def starting(pool: LocalUserPool, user: str) -> Any:
    return lambda: amplify_mw.start_session(pool.sign_in(user))


# --- after a refresh


@every_user
def test_a_browser_reads_what_we_have_refreshed(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, user: str
) -> None:
    page, old = amplify.page(), expired(pool, user)
    page.write(pool, old)
    said = scripted.visit(page)
    loaded = page.read(pool)
    assert said["username"] == loaded["username"] == user
    assert loaded["accessToken"]["token"] != old.access_token
    assert loaded["idToken"]["token"] != old.id_token
    assert loaded["refreshToken"] == old.refresh_token
    assert loaded["signInDetails"] == old.sign_in_details == said["signInDetails"]


@every_user
def test_amplify_has_nothing_to_refresh_after_us(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, user: str
) -> None:
    page = amplify.page()
    page.write(pool, expired(pool, user))
    said = scripted.visit(page)
    pool.requests.clear()
    assert page.ask(pool).ok == said
    # The adapter does not find those details, nor what is spelled as the browser spells it.
    if user not in (USERS["a key's name"], USERS["parentheses"]):
        assert amplify.ask(pool, page.cookie).ok == said
    assert pool.count(REFRESH) == 0


@every_user
def test_a_next_server_reads_what_we_have_refreshed_in_its_mode(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site, user: str
) -> None:
    page = in_server_mode(amplify, pool, expired(pool, user))
    said = http_only.visit(page)
    pool.requests.clear()
    assert amplify.ask(pool, page.cookie, origin=ORIGIN).ok == said
    assert said["username"] == user
    assert pool.count(REFRESH) == 0
    assert page.document_cookie == ""


def test_in_server_mode_there_are_four_cookies(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site
) -> None:
    page = in_server_mode(amplify, pool, expired(pool, "ada"))
    http_only.visit(page)
    assert kinds(page) == dict.fromkeys(HTTP_ONLY_KINDS, 1)


def test_no_cookie_is_left_in_another_spelling(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    page = amplify.page()
    page.write(pool, expired(pool, USERS["parentheses"]))  # js-cookie writes %28
    scripted.visit(page)
    tokens = [kind for kind in kinds(page).elements() if kind.endswith("Token")]
    assert sorted(tokens) == ["accessToken", "idToken", "refreshToken"]


def test_what_the_browser_measured_of_its_clock_is_left(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    page = amplify.page()
    page.write(pool, Tokens.of(pool, "ada", age=2 * HOUR, clock_drift=-1234))
    scripted.visit(page)
    assert page.read(pool)["clockDrift"] == -1234


def test_cookies_are_set_as_amplify_sets_them(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    ours, theirs = amplify.page(), amplify.page()
    for page in (ours, theirs):
        page.write(pool, expired(pool, "ada"))
    scripted.visit(ours)
    theirs.receive(amplify.ask(pool, theirs.cookie).set_cookies)
    assert ways(ours) == ways(theirs)


def test_in_server_mode_cookies_are_set_as_the_adapter_sets_them(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site
) -> None:
    ours, theirs = (in_server_mode(amplify, pool, expired(pool, "ada")) for _ in range(2))
    http_only.visit(ours)
    theirs.receive(amplify.ask(pool, theirs.cookie, origin=ORIGIN).set_cookies)
    assert ways(ours) == ways(theirs)


def ways(page: Page) -> dict[str, Any]:
    """With which attributes each cookie is kept in a browser."""
    attributes = ("domain", "path", "hostOnly", "httpOnly", "secure", "sameSite", "maxAge")
    tokens = [each for each in page.jar if not each["key"].endswith("clockDrift")]
    return {each["key"]: [each.get(name) for name in attributes] for each in tokens}


# --- a session that we have started


@every_user
def test_a_browser_and_a_server_know_whom_we_have_signed_in(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, user: str
) -> None:
    page = amplify.page()
    said = scripted.visit(page, starting(pool, user))
    assert said["username"] == user
    assert page.ask(pool).ok == amplify.ask(pool, page.cookie).ok == said == scripted.visit(page)


@every_user
def test_a_server_in_its_mode_knows_whom_we_have_signed_in(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site, user: str
) -> None:
    page = amplify.page()
    said = http_only.visit(page, starting(pool, user))
    assert amplify.ask(pool, page.cookie, origin=ORIGIN).ok == said == http_only.visit(page)
    assert said["username"] == user
    assert (page.document_cookie, page.ask(pool).name) == ("", NOBODY)


@pytest.mark.parametrize("operation", ["fetchUserAttributes", "fetchAuthSession"])
def test_amplify_can_use_the_tokens_of_a_session_that_we_started(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, operation: Any
) -> None:
    page = amplify.page()
    sub = scripted.visit(page, starting(pool, "ada"))["userId"]
    for outcome in (page.ask(pool, operation), amplify.ask(pool, page.cookie, operation)):
        assert sub in (outcome.ok.get("sub"), outcome.ok.get("userSub"))


def test_another_user_takes_the_place_of_the_one_before(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    page = amplify.page()
    page.write(pool, Tokens.of(pool, "ada"))
    said = scripted.visit(page, starting(pool, "李雷"))
    assert page.ask(pool).ok == amplify.ask(pool, page.cookie).ok == said
    assert kinds(page)["accessToken"] == 1


# --- a session that we have ended


@every_user
def test_nobody_is_found_after_we_have_signed_a_user_out(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, user: str
) -> None:
    page = amplify.page()
    page.write(pool, Tokens.of(pool, user))
    assert scripted.visit(page, amplify_mw.end_session) == scripted.visit(page) == NOBODY
    assert page.read(pool) is None
    assert page.ask(pool).name == amplify.ask(pool, page.cookie).name == NOBODY
    assert not kinds(page)


@every_user
def test_nobody_is_found_after_we_have_signed_a_user_out_in_server_mode(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site, user: str
) -> None:
    page = in_server_mode(amplify, pool, Tokens.of(pool, user))
    assert http_only.visit(page, amplify_mw.end_session) == http_only.visit(page) == NOBODY
    assert amplify.ask(pool, page.cookie, origin=ORIGIN).name == NOBODY
    assert not kinds(page)


def test_a_refresh_token_that_we_have_ended_is_of_no_use_to_amplify(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    page, thief = amplify.page(), amplify.page()
    tokens = expired(pool, "ada")
    for each in (page, thief):
        each.write(pool, tokens)
    scripted.visit(page, amplify_mw.end_session)
    scripted.settle()
    assert amplify.ask(pool, thief.cookie).name == NOBODY


def test_whom_amplify_signs_out_in_the_browser_we_do_not_find(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site
) -> None:
    page = amplify.page()
    scripted.visit(page, starting(pool, "ada"))
    assert page.ask(pool, "signOut").error is None
    assert scripted.visit(page) == NOBODY


def sign_out_at_next(amplify: AmplifyJS, pool: LocalUserPool, page: Page) -> None:
    page.receive(amplify.route(pool, page.cookie, "sign-out").set_cookies)
    for _ in range(2):  # the first goes by way of the site itself
        page.receive(amplify.route(pool, page.cookie, "sign-out-callback").set_cookies)


@every_user
def test_the_adapters_own_sign_out_ends_a_session_that_we_started(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site, user: str
) -> None:
    page = amplify.page()
    assert http_only.visit(page, starting(pool, user))["username"] == user
    sign_out_at_next(amplify, pool, page)
    assert http_only.visit(page) == NOBODY
    assert not kinds(page)


# Whom it does not find after its own sign-in, or in some of Next's contexts only: it writes them
# unencoded into its `Set-Cookie` lines, which breaks them, or reads them so.
BEYOND_IT = {
    *("percent", "percent code", "semicolon", "equals", "quotes"),
    *("accent", "Chinese", "Arabic", "emoji"),
}


@pytest.mark.parametrize("name", [each for each in USERS if each not in BEYOND_IT])
def test_the_adapters_own_sign_out_ends_its_session_that_we_refreshed(
    amplify: AmplifyJS, pool: LocalUserPool, http_only: Site, name: str
) -> None:
    user = USERS[name]
    page = amplify.page()
    written = amplify.write(pool, expired(pool, user), origin=ORIGIN, context="Response")
    page.receive(written.set_cookies)
    assert http_only.visit(page)["username"] == user
    sign_out_at_next(amplify, pool, page)
    assert http_only.visit(page) == NOBODY
    assert not kinds(page)


@pytest.mark.parametrize("act", [None, refresh], ids=["a visit", "a forced refresh"])
def test_a_browsers_session_of_any_user_stays_one_set(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, act: Any
) -> None:
    for user in USERS.values():
        page = amplify.page()
        page.write(pool, expired(pool, user))
        assert scripted.visit(page, act)["username"] == user
        again = page.ask(pool, "fetchAuthSession", {"forceRefresh": True})
        assert (again.error, multiplied(page)) == (None, set())
        assert scripted.visit(page, refresh)["username"] == user
        assert (multiplied(page), page.ask(pool, "signOut").error) == (set(), None)
        assert "accessToken" not in kinds(page)
        assert scripted.visit(page) == NOBODY


@every_user
def test_a_session_that_we_started_stays_one_set_in_the_browser(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, user: str
) -> None:
    page = amplify.page()
    scripted.visit(page, starting(pool, user))
    assert page.ask(pool, "fetchAuthSession", {"forceRefresh": True}).error is None
    assert amplify.ask(pool, page.cookie).ok["username"] == user
    assert multiplied(page) == set()
    assert page.ask(pool, "signOut").error is None
    assert scripted.visit(page) == amplify.ask(pool, page.cookie).name == NOBODY


def test_cookies_of_the_front_ends_path_are_read_back(
    amplify: AmplifyJS, pool: LocalUserPool
) -> None:
    page = amplify.page(f"{ORIGIN}/shop/cart", path="/shop")
    page.write(pool, expired(pool, "ada"))
    with site(WSGIShell(), pool.config(session=AmplifyCookies(path="/shop"))) as ours:
        said = ours.visit(page, None, "/shop/cart")
        assert {cookie["path"] for cookie in page.jar} == {"/shop"}
        assert (multiplied(page), page.ask(pool).ok) == (set(), said)
        ours.visit(page, amplify_mw.end_session, "/shop/cart")
    assert not kinds(page)


# --- cookies that have multiplied


@pytest.mark.parametrize("act", [None, amplify_mw.end_session], ids=["refresh", "sign-out"])
def test_cookies_of_another_path_are_cleaned(
    amplify: AmplifyJS, pool: LocalUserPool, scripted: Site, act: Any
) -> None:
    page = amplify.page(f"{ORIGIN}/account/settings")
    page.write(pool, expired(pool, "ada"))
    page.receive([f"{cookie};Path=/account" for cookie in page.cookie.split("; ")])
    assert kinds(page)["accessToken"] == 2
    scripted.visit(page, act, "/account/settings")
    assert not multiplied(page)
    assert kinds(page)["accessToken"] == (1 if act is None else 0)


def test_cookies_of_a_former_domain_are_cleaned(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    session = AmplifyCookies(former_domains=["example.com"])
    page = amplify.page()
    page.write(pool, expired(pool, "ada"))
    page.receive([f"{cookie};Path=/;Domain=example.com" for cookie in page.cookie.split("; ")])
    assert kinds(page)["accessToken"] == 2
    with site(WSGIShell(), pool.config(session=session)) as ours:
        assert ours.visit(page)["username"] == "ada"
    assert not multiplied(page)
    assert page.ask(pool).ok == amplify.ask(pool, page.cookie).ok


def test_cookies_of_a_domain_are_read_back(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    page = amplify.page(domain="example.com")
    page.write(pool, expired(pool, "ada"))
    config = pool.config(session=AmplifyCookies(domain="example.com"))
    with site(WSGIShell(), config) as ours:
        said = ours.visit(page)
        assert set(kinds(page).values()) == {1}
        assert page.ask(pool).ok == amplify.ask(pool, page.cookie).ok == said
        ours.visit(page, amplify_mw.end_session)
    assert not kinds(page)


# --- round trips


@pytest.mark.parametrize(
    ("user", "context"),
    [
        *(("ada@example.com", each) for each in ("NextResponse", "Response", "pages", "action")),
        *(("李雷", each) for each in ("NextResponse", "action")),  # the others cannot write that
    ],
)
def test_a_session_goes_from_hand_to_hand(
    amplify: AmplifyJS, shell: Shell, user: str, context: Context
) -> None:
    with LocalUserPool(issuer=issuer(), rotate_refresh_tokens=True) as pool:
        pool.add_user(user)
        page = amplify.page()
        with site(shell, pool.config(session=AmplifyCookies())) as ours:
            assert page.sign_in(pool, user, "correct horse").ok["isSignedIn"]
            said = ours.visit(page, refresh)
            assert (said["username"], said["signInDetails"]["loginId"]) == (user, user)
            assert amplify.ask(pool, page.cookie, context=context).ok == said
            again = amplify.ask(
                pool,
                page.cookie,
                "fetchAuthSession",
                context=context,
                options={"forceRefresh": True},
            )
            page.receive(again.set_cookies)
            assert ours.visit(page) == page.ask(pool).ok == said
            assert ours.visit(page, refresh) == page.ask(pool).ok == said
            assert page.ask(pool, "fetchAuthSession", {"forceRefresh": True}).error is None
            assert ours.visit(page) == said
            assert ours.visit(page, amplify_mw.end_session) == ours.visit(page) == NOBODY
            assert amplify.ask(pool, page.cookie, context=context).name == NOBODY
        assert pool.count(REFRESH) == 4
