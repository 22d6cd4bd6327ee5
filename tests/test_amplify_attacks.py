"""Attacks on sessions in Amplify's cookies: what once outlived its end, ended others, or was kept.

A second site is another process: it has an engine of its own, and remembers nothing of the first's.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from amplify_mw import AmplifyCookies, ConfigurationError, SealedSession, StoredSession, TokenSet
from amplify_mw.sessions.amplify import codec as amplify_codec
from amplify_mw.sessions.amplify import wire as amplify_wire
from amplify_mw.sessions.record import ENDED, Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.cookies import NewCookie
from tests.amplify import (
    AmplifyBrowser,
    cleared,
    cookies_of,
    header_of,
    last_auth_user,
    name_of,
    named,
    names_of,
    signed_in,
    spelled_value,
    written,
)
from tests.shells import Got
from tests.sites import HOUR, KEYS, NAME, Build, Clock, Site, town

Left = Callable[..., AmplifyBrowser]
REVOKED = "UserUnAuthenticatedException session_revoked"
ALL = ("accessToken", "idToken", "refreshToken", "signInDetails", "clockDrift")
MORE_THAN_EVER = 105  # refreshes within the life of a token
LONG = 600  # bytes; more than any front end writes
SEALED = SealedSession(keys=KEYS[:1])
BOTH_ORDERS = [(AmplifyCookies(), SEALED), (SEALED, AmplifyCookies())]
ORDERS = ["amplify-sealed", "sealed-amplify"]


class SickStore(MemoryStore):
    """A store that is down when it is told so."""

    is_down = False

    def load(self, key: bytes) -> Record | None:
        self._refuse()
        return super().load(key)

    def reload(self, key: bytes, known: Record) -> Record | None:
        self._refuse()
        return super().reload(key, known)

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        self._refuse()
        return super().end(key, asks_again)

    def _refuse(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


@pytest.fixture
def build(open_site: Build) -> Build:
    """Makes a site: `build(AmplifyCookies(), ..., pool=pool)`."""

    def build(*kinds: Any, **options: Any) -> Site:
        session = list(kinds) if len(kinds) > 1 else (*kinds, AmplifyCookies())[0]
        return open_site(session, **options)

    return build


@pytest.fixture
def rotating(clock: Clock) -> Iterator[LocalUserPool]:
    """A pool whose refresh tokens are good once."""
    with town(clock, rotate_refresh_tokens=True, rotation_grace=0) as pool:
        yield pool


@pytest.fixture
def site(build: Build) -> Site:
    return build()


@pytest.fixture
def left(build: Build, pool: LocalUserPool) -> Callable[..., AmplifyBrowser]:
    """Makes a browser with both kinds' sessions of a user who was deleted."""

    def make(first: Any, second: Any) -> AmplifyBrowser:
        pool.add_user("eve")
        site = build(first, second)
        cookies = cookies_in(build(first), "eve") | cookies_in(build(second), "eve")
        known = come(site, cookies).body
        pool.delete_user("eve")
        assert known == "eve"
        return AmplifyBrowser(site, cookies)

    return make


def names_in(kind: Any, user: str) -> set[str]:
    """The names of a user's cookies in a kind of session."""
    return names_of(*ALL, user=user) if isinstance(kind, AmplifyCookies) else {NAME}


def cookies_in(site: Site, user: str) -> dict[str, str]:
    """The cookies of a user who has signed in on a site of one kind of session."""
    return cookies_with(site, site.pool.sign_in(user), user)


def cookies_with(site: Site, tokens: TokenSet, user: str) -> dict[str, str]:
    if isinstance(site.session, AmplifyCookies):
        return cookies_of(tokens, user)
    browser = site.browser()
    browser.does(site.start(tokens))
    return browser.jar


def visit(browser: AmplifyBrowser) -> Got:
    """Ask who is signed in."""
    return browser.does(named(browser.site.who))


def come(site: Site, cookies: dict[str, str]) -> Got:
    """The answer to who comes with these cookies."""
    return visit(AmplifyBrowser(site, cookies))


def looked_up(module: ModuleType) -> int:
    """How often something was looked for in a module's caches."""
    infos = [kept.cache_info() for kept in vars(module).values() if hasattr(kept, "cache_info")]
    assert infos
    return sum(info.hits + info.misses for info in infos)


# --- a copy of cookies outlives no sign-out

PARTS: dict[str, dict[str, Any]] = {
    "no refresh token": {"refreshToken": None},
    "junk for a refresh token": {"refreshToken": "junk"},
    "no token for a refresh token": {"refreshToken": "j{u}n,k"},
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_known", [False, True])
def test_a_copy_without_its_refresh_token_is_signed_out(
    site: Site, part: str, is_known: bool
) -> None:
    tokens = site.pool.sign_in("ada")
    thief = AmplifyBrowser(site, cookies_of(tokens, **PARTS[part]))
    if is_known:
        assert visit(thief).body == "ada"
    AmplifyBrowser(site, cookies_of(tokens)).does(site.end())
    assert visit(thief).body == REVOKED


@pytest.mark.parametrize("part", PARTS)
def test_an_end_without_the_refresh_token_is_that_of_all_copies(site: Site, part: str) -> None:
    tokens = site.pool.sign_in("ada")
    whole = AmplifyBrowser(site, cookies_of(tokens))
    assert visit(whole).body == "ada"
    AmplifyBrowser(site, cookies_of(tokens, **PARTS[part])).does(site.end())
    assert visit(whole).body == REVOKED


def test_a_copy_of_before_a_refresh_elsewhere_is_signed_out(
    build: Build, rotating: LocalUserPool
) -> None:
    site, elsewhere = build(pool=rotating), build(pool=rotating)
    old = signed_in(site)
    browser = AmplifyBrowser(elsewhere, old.cookies)
    assert visit(old).body == "ada"
    browser.does(elsewhere.refresh)
    assert browser.token("refreshToken") != old.token("refreshToken")
    AmplifyBrowser(site, browser.cookies).does(site.end())
    got = visit(old)
    assert (got.body, cleared(got)) == (REVOKED, names_of(*ALL))


@pytest.mark.parametrize("changes", [{}, {"origin_jti": None}], ids=["", "unnamed"])
def test_a_copy_of_before_many_refreshes_is_signed_out(
    build: Build, rotating: LocalUserPool, changes: dict[str, Any]
) -> None:
    site = build(pool=rotating)
    with rotating.tamper("access", claims=changes), rotating.tamper("id", claims=changes):
        browser = signed_in(site)
        old = browser.copy()
        browser.does(*[site.refresh] * MORE_THAN_EVER)
    assert rotating.count("GetTokensFromRefreshToken") == MORE_THAN_EVER
    browser.does(site.end())
    assert visit(old).body == REVOKED


@pytest.mark.parametrize("kinds", [(), *BOTH_ORDERS], ids=["alone", *ORDERS])
def test_no_number_of_made_up_refresh_tokens_brings_an_ended_session_back(
    build: Build, kinds: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = {"ends": 20, "places": 20}
    monkeypatch.setattr("amplify_mw.engine.engine._REMEMBERED", most)
    site = build(*kinds)
    ada, tokens = signed_in(site), site.pool.sign_in("grace")
    copy = AmplifyBrowser(site, ada.cookies)
    assert visit(copy).body == "ada"
    ada.does(site.end())
    for number in range(2 * most["places"]):
        made_up = cookies_of(tokens, "grace", refreshToken=f"made-up-{number}")
        AmplifyBrowser(site, made_up).does(site.end())
    assert "session_revoked" in visit(AmplifyBrowser(site, copy.cookies)).body


def test_where_tokens_do_not_name_their_sign_in_a_copy_of_them_is_signed_out(site: Site) -> None:
    with site.pool.tamper("access", claims={"origin_jti": None}):
        tokens = [site.pool.sign_in("ada") for _ in range(2)]
    browser, other = (AmplifyBrowser(site, cookies_of(mine)) for mine in tokens)
    thief = AmplifyBrowser(site, cookies_of(tokens[0], refreshToken=None))
    assert (visit(thief).body, visit(other).body) == ("ada", "ada")
    browser.does(site.end())
    assert (visit(thief).body, visit(other).body) == (REVOKED, "ada")


# --- the end of one kind's session is not that of another's


@pytest.mark.parametrize("kinds", BOTH_ORDERS, ids=ORDERS)
def test_cognitos_word_about_one_kinds_user_ends_that_session_alone(
    left: Left, kinds: tuple[Any, Any]
) -> None:
    browser = left(*kinds)
    got = browser.does(named(browser.site.verbs.fetch_user_attributes))
    assert got.body.endswith(" user_not_found")
    assert cleared(got) == names_in(kinds[0], "eve")
    assert visit(browser).body == "eve"  # by the other kind, of which nothing was asked


@pytest.mark.parametrize("kinds", BOTH_ORDERS, ids=ORDERS)
def test_and_so_does_its_answer_to_whether_the_user_is_signed_in_still(
    left: Left, clock: Clock, kinds: tuple[Any, Any]
) -> None:
    browser = left(*[replace(kind, verify_with_cognito_every=60) for kind in kinds])
    clock.advance(61)
    for kind in kinds:
        got = visit(browser)
        assert got.body.endswith(" user_not_found")
        assert cleared(got) == names_in(kind, "eve")


@pytest.mark.parametrize("kinds", BOTH_ORDERS, ids=ORDERS)
def test_where_two_users_are_named_an_end_everywhere_is_one_in_this_browser(
    build: Build, clock: Clock, kinds: tuple[Any, Any]
) -> None:
    theirs = cookies_in(build(kinds[0]), "ada") | cookies_in(build(kinds[1]), "grace")
    elsewhere = [signed_in(build(), name) for name in ("ada", "grace")]
    site = build(*kinds)
    AmplifyBrowser(site, theirs).does(site.end(everywhere=True))
    site.settle()
    assert sorted(site.pool.requests) == ["RevokeToken", "RevokeToken"]
    clock.advance(2 * HOUR)
    assert [visit(browser).body for browser in elsewhere] == ["ada", "grace"]


def test_a_sign_in_whose_old_session_ended_in_part_restores_nobody(
    build: Build, clock: Clock
) -> None:
    store = SickStore(clock=clock)
    amplifys = cookies_in(build(), "ada")
    stored = cookies_in(build(StoredSession(store)), "ada")
    site = build(AmplifyCookies(), StoredSession(store))
    browser = AmplifyBrowser(site, amplifys | stored)
    assert visit(browser).body == "ada"
    store.is_down = True
    got = browser.does(site.start(site.pool.sign_in("grace")), site.who)
    store.is_down = False
    assert (got.body, visit(browser).body) == ("grace, grace", "grace")
    assert (NAME in cleared(got), name_of("accessToken", "grace") in written(got)) == (True, True)
    assert come(site, amplifys).body == REVOKED
    site.settle()
    assert site.pool.count("RevokeToken") == 1


@pytest.mark.parametrize("kinds", BOTH_ORDERS, ids=ORDERS)
def test_tokens_that_two_kinds_hold_are_revoked_once(build: Build, kinds: tuple[Any, Any]) -> None:
    site = build(*kinds)
    tokens = site.pool.sign_in("ada")
    alone = TokenSet(tokens.id_token, tokens.access_token)
    held = cookies_of(tokens) | cookies_with(build(SEALED), alone, "ada")
    AmplifyBrowser(site, held).does(site.end())
    site.settle()
    assert site.pool.requests == ["RevokeToken"]


# --- nothing that a client makes up is kept at length


@pytest.mark.parametrize(("length", "kept"), [(40, True), (LONG, False)])
def test_long_sign_in_details_are_not_kept(site: Site, length: int, kept: bool) -> None:
    details = json.dumps({"loginId": "x" * length})
    cookies = cookies_of(site.pool.sign_in("ada"), signInDetails=details)
    before = looked_up(amplify_codec)
    assert come(site, cookies).body == "ada"
    assert (looked_up(amplify_codec) > before) == kept


@pytest.mark.parametrize(("length", "kept"), [(128, True), (129, False)])
def test_the_spellings_of_long_users_are_not_kept(site: Site, length: int, kept: bool) -> None:
    user = "(" + "\U0001f600" * (length - 1)
    cookies = {name_of("idToken", user): "x", last_auth_user(): spelled_value(user)}
    before = looked_up(amplify_wire)
    assert come(site, cookies).body.endswith(" no_session")
    assert (looked_up(amplify_wire) > before) == kept


def test_a_session_that_ends_over_and_over_takes_no_more_memory(clock: Clock) -> None:
    store = MemoryStore(clock=clock)
    for _ in range(600):
        store.exchange(b"key", Record(b"", ENDED, clock() + HOUR))
    assert len(store._expiring) < 200


# --- what cannot be written is refused


@pytest.mark.parametrize("member", ["loginId", "authFlowType"])
def test_sign_in_details_can_be_encoded(site: Site, member: str) -> None:
    browser = signed_in(site, signInDetails=f'{{"{member}":"\\ud800"}}')
    users: list[Any] = []
    browser.does(lambda: users.append(site.verbs.get_current_user().to_dict()))
    assert b'"ada"' in json.dumps(users[0], ensure_ascii=False).encode()


@pytest.mark.parametrize("refresh_token", ["a;b", 'a"b', "a,b", "a\\b", "a b", "a\r\nb", "ä"])
def test_a_refresh_token_that_is_none_starts_no_session(site: Site, refresh_token: str) -> None:
    tokens = site.pool.sign_in("ada")
    wrong = TokenSet(tokens.id_token, tokens.access_token, refresh_token)
    got = site.browser().does(site.start(wrong))
    assert (got.status, got.body) == (200, "NotAuthorizedException malformed_token")
    assert got.all("set-cookie") == []


@pytest.mark.parametrize("path", ["/app/", "/app/x/"])
def test_cookies_of_a_folder_are_deleted_too(site: Site, path: str) -> None:
    browser = signed_in(site)
    browser.cookies.put(cookies_of(site.pool.sign_in("ada")), path=path)
    browser.does(site.end(), path="/app/x/y")
    assert browser.cookies.names() == []


@pytest.mark.parametrize("former", [None, 5, "example.com", {"example.com"}])
def test_former_domains_that_are_no_list_are_refused(former: Any) -> None:
    with pytest.raises(ConfigurationError, match="former_domains: write a list"):
        AmplifyCookies(former_domains=former)


def test_no_repr_shows_a_token(site: Site) -> None:
    tokens = site.pool.sign_in("ada")
    cookie = site.engine.authenticator.cookie
    value: Any = cookie.read(header_of(cookies_of(tokens)).encode())
    lines = cookie.setting(NewCookie(value.decode()), sent=None)
    assert tokens.access_token in "".join(line.value for line in lines)
    shown = repr([value, lines])
    secrets = (tokens.id_token, tokens.access_token, str(tokens.refresh_token))
    assert [token for token in secrets if token in shown] == []
