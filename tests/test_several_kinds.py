"""Several kinds of session at once, through both shells: accepting both, and moving."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from amplify_mw import (
    AmplifyCookies,
    ConfigurationError,
    SealedSession,
    SessionInfo,
    StoredSession,
    TokenSession,
    aio,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.sessions.amplify.wire import PREFIX
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import CognitoError, Down, LocalUserPool
from tests.patience import PATIENCE
from tests.shells import AppAnswer, ASGIShell, Ask, Got, Shell
from tests.sites import DAY, HOUR, KEYS, NAME, Browser, Build, Clock, Site, infos, town

SIGNED_OUT = "NotAuthorizedException no_session"
REFRESH = "GetTokensFromRefreshToken"
OURS = {NAME}
AMPLIFYS = {
    f"ada.{suffix}" for suffix in ("accessToken", "idToken", "refreshToken", "clockDrift")
} | {"LastAuthUser"}
RENEWED = AMPLIFYS - {"ada.clockDrift"}  # which is the browser's own

APART = [  # each reads cookies of its own
    ("amplify", "sealed"),
    ("sealed", "amplify"),
    ("amplify", "stored"),
    ("stored", "amplify"),
    ("amplify", "token"),
    ("token", "amplify"),
]
TOGETHER = [  # all read `amplify-session`
    ("sealed", "token"),
    ("token", "sealed"),
    ("stored", "token"),
    ("token", "stored"),
    ("stored", "sealed"),
    ("sealed", "stored"),
]
TRIPLES = [
    ("sealed", "token", "amplify"),
    ("amplify", "stored", "sealed"),
    ("token", "amplify", "stored"),
]
OUR_KINDS = ["sealed", "stored", "token"]
Jar = dict[str, str]
SignIn = Callable[..., Jar]


class FailingStore(MemoryStore):
    """A store that is down when it is told so."""

    is_down = False

    def load(self, key: bytes) -> Any:
        self._refuse()
        return super().load(key)

    def end(self, key: bytes, asks_again: bool = False) -> Any:
        self._refuse()
        return super().end(key, asks_again)

    def create(self, key: bytes, record: Any) -> bool:
        self._refuse()
        return super().create(key, record)

    def _refuse(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


@pytest.fixture
def store(clock: Clock) -> FailingStore:
    return FailingStore(clock=clock)


@pytest.fixture
def build(open_site: Build, store: FailingStore) -> Build:
    """Makes a site with kinds of session, named or given: `build("sealed", "amplify")`."""
    named: dict[str, Callable[[], Any]] = {
        "token": TokenSession,
        "sealed": lambda: SealedSession(keys=KEYS[:1]),
        "stored": lambda: StoredSession(store),
        "amplify": AmplifyCookies,
    }

    def build(*kinds: Any, **options: Any) -> Site:
        session = [named[kind]() if isinstance(kind, str) else kind for kind in kinds]
        return open_site(session, **options)

    return build


@pytest.fixture
def signed_in(build: Build) -> SignIn:
    """The cookies of a user who signed in where there is one kind of session only."""

    def sign_in(kind: str, name: str = "ada") -> Jar:
        return build(kind).sign_in(name).jar

    return sign_in


@pytest.fixture
def ended(build: Build, pool: LocalUserPool, clock: Clock) -> SignIn:
    """Cookies of each kind that are invalid for good, and are cleared."""

    def make(kind: str) -> Jar:
        if kind != "amplify":
            value = build(kind).sign_in("grace").value
            return {NAME: value[:-9] + "A" * 9}
        pool.add_user("gone")
        jar = build("amplify").sign_in("gone").jar
        pool.delete_user("gone")
        clock.advance(2 * HOUR)
        return jar

    return make


def written(got: Got) -> set[str]:
    """The names of the cookies that a response sets, without Amplify's prefix."""
    return _names(got, cleared=False)


def cleared(got: Got) -> set[str]:
    """And of those that it clears."""
    return _names(got, cleared=True)


def _names(got: Got, *, cleared: bool) -> set[str]:
    lines = [line for line in got.all("set-cookie") if ("Max-Age=0" in line) == cleared]
    return {line.partition("=")[0].removeprefix(f"{PREFIX}.local-client.") for line in lines}


def names_of(jar: Jar) -> set[str]:
    return {name.removeprefix(f"{PREFIX}.local-client.") for name in jar}


def token_of(site: Site) -> Callable[[], object]:
    return lambda: site.verbs.fetch_auth_session().tokens.access_token.encoded


# --- accepting both


@pytest.mark.parametrize("kinds", [*APART, *TOGETHER, *TRIPLES], ids="-".join)
def test_whoever_comes_with_the_cookies_of_one_kind_is_signed_in(
    build: Build, signed_in: SignIn, kinds: tuple[str, ...]
) -> None:
    site = build(*kinds)
    for kind in kinds:
        browser = site.browser(signed_in(kind))
        first, second = browser.does(), browser.does()
        assert (first.body, first.all("set-cookie")) == ("ada", [])
        assert second == first  # which was answered from memory


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_with_the_cookies_of_both_the_first_kind_counts(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in(kinds[0]) | signed_in(kinds[1]))
    first, second = browser.does(), browser.does()
    assert (first.body, first.all("set-cookie")) == ("ada", [])
    assert second == first


# --- two users


TWO_USERS = "NotAuthorizedException different_users"


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_cookies_of_two_users_sign_nobody_in_and_are_kept(
    build: Build,
    signed_in: SignIn,
    kinds: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = build(*kinds, protect=["/account"])
    one, other = signed_in(kinds[0], "ada"), signed_in(kinds[1], "grace")
    browser = site.browser(one | other)
    for _ in range(3):
        got = browser.does()
        assert (got.body, got.all("set-cookie")) == (TWO_USERS, [])
    assert browser.does(path="/account").status == 401
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert [("different_users" in text, "ada" in text) for text in said] == [(True, False)]
    assert [site.browser(jar).does().body for jar in (one, other)] == ["ada", "grace"]


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_a_sign_in_replaces_the_cookies_of_two_users(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in(kinds[0], "ada") | signed_in(kinds[1], "grace"))
    browser.does(site.start(site.pool.sign_in("grace")))
    assert browser.does().body == "grace"
    assert build(kinds[0]).browser(browser.jar).does().body == "grace"


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_a_sign_out_ends_the_sessions_of_two_users(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    old = signed_in(kinds[0], "ada") | signed_in(kinds[1], "grace")
    browser = site.browser(old)
    browser.does(site.end())
    assert (browser.jar, browser.does().body) == ({}, SIGNED_OUT)
    kept = {name: value for name, value in old.items() if "Token" in name or name == NAME}
    assert "token" in kinds or site.browser(kept).does().body not in ("ada", "grace")


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_a_session_that_is_to_be_refreshed_names_its_user(
    build: Build, signed_in: SignIn, clock: Clock, kinds: tuple[str, str]
) -> None:
    other = signed_in(kinds[1], "grace")
    clock.advance(2 * HOUR)
    site = build(*kinds)
    site.pool.requests.clear()
    browser = site.browser(signed_in(kinds[0], "ada") | other)
    is_over = kinds[1] == "token"
    assert [browser.does().body for _ in range(2)] == ["ada" if is_over else TWO_USERS] * 2
    assert site.pool.count(REFRESH) == (0 if is_over else 1)  # by which it is known


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
def test_a_later_kinds_session_of_the_same_user_is_not_refreshed(
    build: Build, signed_in: SignIn, clock: Clock, kinds: tuple[str, str]
) -> None:
    other = signed_in(kinds[1])
    clock.advance(2 * HOUR)
    site = build(*kinds)
    got = site.browser(signed_in(kinds[0]) | other).does()
    assert (got.body, got.all("set-cookie"), site.pool.count(REFRESH)) == ("ada", [], 0)


@pytest.mark.parametrize("kinds", [("amplify", "sealed"), ("sealed", "amplify")], ids="-".join)
def test_new_tokens_are_written_where_two_users_are_named(
    build: Build, signed_in: SignIn, clock: Clock, kinds: tuple[str, str]
) -> None:
    old = signed_in(kinds[0], "ada")
    clock.advance(HOUR - 3)
    browser = build(*kinds).browser(old | signed_in(kinds[1], "grace"))
    got = browser.does()
    names = RENEWED if kinds[0] == "amplify" else OURS
    assert (got.body, written(got), cleared(got)) == (TWO_USERS, names, set())


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_an_invalid_later_kind_names_nobody(
    build: Build, signed_in: SignIn, ended: SignIn, kinds: tuple[str, str]
) -> None:
    bad = ended(kinds[1])
    browser = build(*kinds).browser(bad | signed_in(kinds[0]))
    got = browser.does()
    # It is Cognito who says so of a user who was deleted: those cookies are cleared.
    is_cleared = kinds[1] == "amplify"
    assert (got.body, bool(cleared(got)), written(got)) == ("ada", is_cleared, set())
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
def test_a_later_kinds_session_that_has_ended_names_nobody(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site, other = build(*kinds), signed_in(kinds[1], "grace")
    site.browser(other).does(site.end())
    assert site.browser(signed_in(kinds[0]) | other).does().body == "ada"


def test_a_later_kind_that_cannot_tell_is_asked_again_soon(
    build: Build, signed_in: SignIn, store: FailingStore, clock: Clock
) -> None:
    browser = build("amplify", "stored").browser(
        signed_in("amplify") | signed_in("stored", "grace")
    )
    store.is_down = True
    assert browser.does().body == "ada"
    store.is_down = False
    clock.advance(2)
    assert browser.does().body == TWO_USERS


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_a_change_of_the_other_kinds_cookies_is_seen(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    ada, grace = signed_in(kinds[1], "ada"), signed_in(kinds[1], "grace")
    bodies = [site.browser(jar).does().body for jar in (ada, grace, {}, ada)]
    assert bodies == ["ada", "grace", SIGNED_OUT, "ada"]


@pytest.mark.parametrize("kinds", [("amplify", "sealed"), ("sealed", "amplify")], ids="-".join)
def test_nobody_is_the_first_kinds_nobody(build: Build, kinds: tuple[str, str]) -> None:
    errors: list[Any] = []
    site = build(*kinds)

    def handler() -> str:
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever its name is
            site.verbs.get_current_user()
        errors.append(caught.value)
        return ""

    assert site.browser().ask(handler).all("set-cookie") == []
    names = {"amplify": "UserUnAuthenticatedException", "sealed": "NotAuthorizedException"}
    assert errors[0].name == names[kinds[0]]


# --- moving under one name


def test_who_has_an_older_token_in_the_cookie_stays_signed_in(
    build: Build, signed_in: SignIn
) -> None:
    site = build("sealed", "token")
    browser = site.browser(signed_in("token"))
    for _ in range(2):
        got = browser.does()
        assert (got.body, got.all("set-cookie")) == ("ada", [])
    browser.does(site.start(site.pool.sign_in("ada")))
    assert build("sealed").browser(browser.jar).does().body == "ada"


@pytest.mark.parametrize("kinds", TOGETHER, ids="-".join)
@pytest.mark.parametrize("value", ["garbage", "", "a.b.c", "A" * 43])
def test_garbage_in_a_shared_cookie_is_cleared_once(
    build: Build, kinds: tuple[str, str], value: str
) -> None:
    got = build(*kinds).browser({NAME: value}).does()
    assert got.body.startswith("NotAuthorizedException")
    assert [line.partition("=")[0] for line in got.all("set-cookie")] == [NAME]
    assert got.clears_cookie


def test_garbage_that_two_of_three_kinds_read_is_cleared_once(
    build: Build, signed_in: SignIn
) -> None:
    got = build("sealed", "token", "amplify").browser({NAME: "junk"} | signed_in("amplify")).does()
    assert (got.body, len(got.all("set-cookie")), got.clears_cookie) == ("ada", 1, True)


def test_a_shared_cookie_is_kept_while_a_kind_that_reads_it_cannot_tell(
    build: Build, signed_in: SignIn, store: FailingStore
) -> None:
    browser = build("sealed", "stored").browser(signed_in("stored"))
    store.is_down = True
    got = browser.does()
    assert (got.body, got.all("set-cookie")) == ("NetworkError store_unavailable", [])
    store.is_down = False
    assert browser.does().body == "ada"


def test_a_session_in_one_cookie_leaves_no_chunks_of_the_one_before(
    build: Build, pool: LocalUserPool
) -> None:
    site, browser = build("stored", "sealed"), build("sealed").browser()
    large = pool.mint("ada", claims={"custom:notes": random.Random(4).randbytes(2000).hex()})
    browser.does(browser.site.start(replace(pool.sign_in("ada"), id_token=large)))
    assert {f"{NAME}.0", f"{NAME}.1"} <= browser.jar.keys()
    moved = site.browser(browser.jar)
    assert moved.does().body == "ada"
    moved.does(site.start(site.pool.sign_in("ada")))
    assert moved.jar.keys() == {NAME}


# --- invalid, and not to be told


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_an_invalid_first_kind_is_cleared_alone_and_the_seconds_user_is_signed_in(
    build: Build, signed_in: SignIn, ended: SignIn, kinds: tuple[str, str]
) -> None:
    bad = ended(kinds[0])
    browser = build(*kinds).browser(bad | signed_in(kinds[1]))
    got = browser.does()
    assert (got.body, written(got)) == ("ada", set())
    assert names_of(bad) <= cleared(got) | {"gone.clockDrift"}
    assert not cleared(got) & ({f"ada.{x}" for x in ("accessToken",)} | (OURS - names_of(bad)))
    assert browser.does().body == "ada"


def test_a_session_that_has_run_out_in_the_store_gives_way(
    build: Build, signed_in: SignIn, clock: Clock
) -> None:
    old = signed_in("stored", "grace")
    clock.advance(31 * DAY)
    got = build("stored", "amplify").browser(old | signed_in("amplify")).does()
    assert (got.body, cleared(got), written(got)) == ("ada", OURS, set())


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_of_two_invalid_kinds_both_are_cleared(
    build: Build, ended: SignIn, kinds: tuple[str, str]
) -> None:
    browser = build(*kinds).browser(ended(kinds[0]) | ended(kinds[1]))
    got = browser.does()
    assert got.body.startswith("NotAuthorizedException")
    assert cleared(got) >= OURS | {"LastAuthUser", "gone.accessToken", "gone.refreshToken"}
    assert browser.does().body == SIGNED_OUT


@pytest.mark.parametrize("ours", OUR_KINDS)
def test_of_an_invalid_kind_alone_no_other_is_cleared(
    build: Build, ended: SignIn, ours: str
) -> None:
    for kinds in (("amplify", ours), (ours, "amplify")):
        got = build(*kinds).browser(ended(ours)).does()
        assert cleared(got) == OURS


def test_cookies_that_were_not_sent_are_not_cleared(build: Build, ended: SignIn) -> None:
    got = build("amplify", "sealed").browser(ended("amplify")).does()
    assert "LastAuthUser" in cleared(got)
    assert NAME not in cleared(got)  # another response may just have set it


def test_a_first_kind_that_cannot_tell_gives_way_for_as_long_as_that(
    build: Build, signed_in: SignIn, store: FailingStore, clock: Clock
) -> None:
    jar = signed_in("stored", "ada") | signed_in("amplify", "grace")
    browser = build("stored", "amplify").browser(jar)
    store.is_down = True
    first, second = browser.does(), browser.does()
    assert (first.body, first.all("set-cookie")) == ("grace", [])
    assert second == first
    store.is_down = False
    clock.advance(2)
    assert browser.does().body == TWO_USERS


def test_a_first_kind_that_cannot_tell_is_kept_where_the_second_is_invalid(
    build: Build, ended: SignIn, signed_in: SignIn, store: FailingStore
) -> None:
    bad = ended("amplify")
    site = build("stored", "amplify", protect=["/*"])
    browser = site.browser(bad | signed_in("stored"))
    store.is_down = True
    got = browser.does()
    assert (got.status, got.one("retry-after")) == (503, "1")
    assert "LastAuthUser" in cleared(got)
    assert NAME not in cleared(got)
    store.is_down = False
    assert browser.does().body == "ada"


def test_a_second_kind_that_cannot_tell_is_the_answer_before_an_invalid_first(
    build: Build, ended: SignIn, signed_in: SignIn, store: FailingStore
) -> None:
    browser = build("amplify", "stored").browser(ended("amplify") | signed_in("stored"))
    store.is_down = True
    got = browser.does()
    assert got.body == "NetworkError store_unavailable"
    assert NAME not in cleared(got)


@pytest.fixture
def new_key(
    build: Build, signed_in: SignIn, pool: LocalUserPool, clock: Clock
) -> Callable[..., Any]:
    """A site that knows the key of a browser's session, and not the pool's new one."""

    def make(*kinds: str, knows: str, **options: Any) -> tuple[Site, Jar]:
        site, jar = build(*kinds, keys=None, **options), signed_in(knows)
        assert site.browser(jar).does().body == "ada"
        pool.rotate_keys()
        clock.advance(60)
        return site, jar

    return make


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_a_first_kind_without_its_keys_gives_way(
    new_key: Callable[..., Any], signed_in: SignIn, pool: LocalUserPool, kinds: tuple[str, str]
) -> None:
    site, jar = new_key(*kinds, knows=kinds[1])
    browser = site.browser(signed_in(kinds[0], "grace") | jar)
    with pool.fault("jwks", Down()):
        got = browser.does()
    assert (got.body, got.all("set-cookie")) == ("ada", [])
    site.clock.advance(60)
    assert browser.does().body == TWO_USERS


def test_tokens_that_were_refreshed_and_cannot_be_verified_now_are_written(
    new_key: Callable[..., Any], pool: LocalUserPool
) -> None:
    site, jar = new_key("amplify", "sealed", knows="sealed")
    browser = site.browser(jar)
    site.clock.advance(HOUR - 120)
    with pool.fault("jwks", Down()):
        got = browser.does()
    assert (got.body, written(got), cleared(got)) == ("NetworkError keys_unavailable", OURS, set())
    site.clock.advance(60)
    assert browser.does().body == "ada"


def test_so_are_those_of_a_forced_refresh(new_key: Callable[..., Any], pool: LocalUserPool) -> None:
    site, jar = new_key("amplify", "sealed", knows="sealed")
    browser = site.browser(jar)
    with pool.fault("jwks", Down()):
        got = browser.does(site.refresh)
    assert (got.body, written(got), cleared(got)) == ("NetworkError keys_unavailable", OURS, set())
    site.clock.advance(60)
    assert browser.does().body == "ada"


def test_a_first_kind_that_was_sent_twice_gives_way_and_is_kept(
    build: Build, signed_in: SignIn
) -> None:
    browser = build("sealed", "amplify").browser(
        signed_in("sealed", "grace") | signed_in("amplify")
    )
    browser.jar["theme"] = f"dark; {NAME}=tossed"
    got = browser.does()
    assert (got.body, got.all("set-cookie")) == ("ada", [])


@pytest.mark.parametrize("kinds", [*TOGETHER, ("sealed", "amplify")], ids="-".join)
def test_a_cookie_that_was_sent_twice_alone_signs_nobody_in_and_is_kept(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    browser = build(*kinds).browser(signed_in(kinds[0]) | {"theme": f"dark; {NAME}=tossed"})
    got = browser.does()
    assert (got.body, got.all("set-cookie")) == ("NotAuthorizedException duplicate_cookie", [])


def test_a_cookie_that_comes_twice_is_said_once(
    build: Build, signed_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    browser = build("stored").browser(signed_in("stored") | {"theme": f"dark; {NAME}=tossed"})
    for _ in range(3):
        assert browser.does().body == "NotAuthorizedException duplicate_cookie"
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert [("host_prefixed" in text, "tossed" in text) for text in said] == [(True, False)]


# --- refreshing


@pytest.mark.parametrize("ours", ["sealed", "stored"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_a_refresh_of_ours_leaves_amplifys_cookies_alone(
    build: Build, signed_in: SignIn, clock: Clock, ours: str, is_first: bool
) -> None:
    site = build(ours, "amplify") if is_first else build("amplify", ours)
    jar = signed_in(ours) | (signed_in("amplify") if is_first else {})
    clock.advance(HOUR - 30)
    got = site.browser(jar).does()
    assert (got.body, cleared(got)) == ("ada", set())
    assert written(got) == OURS
    site.settle()
    assert site.pool.count(REFRESH) == 1


@pytest.mark.parametrize("ours", OUR_KINDS)
def test_a_refresh_of_amplifys_leaves_our_cookie_alone(
    build: Build, signed_in: SignIn, clock: Clock, ours: str
) -> None:
    old = signed_in("amplify")
    clock.advance(HOUR - 3)
    browser = build("amplify", ours).browser(old | signed_in(ours))
    got = browser.does()
    assert (got.body, written(got), cleared(got)) == ("ada", RENEWED, set())
    assert browser.does().all("set-cookie") == []


def test_a_sealed_session_that_is_rolled_leaves_amplifys_cookies_alone(
    build: Build, signed_in: SignIn, clock: Clock
) -> None:
    session = SealedSession(keys=KEYS[:1], idle=HOUR, absolute=DAY)
    jar = build(session).sign_in("ada").jar | signed_in("amplify")
    clock.advance(HOUR / 2)
    browser = build(session, "amplify").browser(jar)
    got = browser.does()
    assert (got.body, written(got), cleared(got)) == ("ada", OURS, set())
    assert browser.jar[NAME] != jar[NAME]


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("amplify", "sealed"), RENEWED),
        (("amplify", "stored"), RENEWED),
        (("sealed", "amplify"), OURS),
        (("stored", "amplify"), OURS),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else "",
)
def test_a_forced_refresh_is_the_first_kinds(
    build: Build, signed_in: SignIn, kinds: tuple[str, str], names: set[str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in(kinds[0]) | signed_in(kinds[1]))
    got = browser.does(token_of(site), site.refresh, token_of(site), site.who)
    before, fresh, same, user = got.body.split(", ")
    assert before != fresh == same
    assert (user, written(got), cleared(got)) == ("ada", names, set())
    assert browser.does(token_of(site)).body == fresh


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("amplify", "sealed"), AMPLIFYS),
        (("amplify", "token"), AMPLIFYS),
        (("sealed", "amplify"), OURS),
        (("stored", "amplify"), OURS),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else "",
)
def test_a_forced_refresh_that_is_refused_clears_that_kind_alone(
    build: Build, signed_in: SignIn, kinds: tuple[str, str], names: set[str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in(kinds[0]) | signed_in(kinds[1]))
    with site.pool.fault(REFRESH, CognitoError("TokenRevokedException")):
        got = browser.does(site.refresh, site.who)
    assert got.body == ", ".join(["NotAuthorizedException session_revoked"] * 2)
    assert (written(got), cleared(got)) == (set(), names)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
def test_a_refresh_that_is_due_and_refused_clears_that_kind_alone(
    build: Build, signed_in: SignIn, clock: Clock, kinds: tuple[str, str]
) -> None:
    old = signed_in(kinds[0])
    clock.advance(2 * HOUR)
    site = build(*kinds)
    browser = site.browser(old | signed_in(kinds[1], "grace"))
    with site.pool.fault(REFRESH, CognitoError("TokenRevokedException")):
        got = browser.does()
    names = AMPLIFYS if kinds[0] == "amplify" else OURS
    assert (got.body, written(got), cleared(got)) == ("grace", set(), names)


# --- starting


@pytest.mark.parametrize("kinds", [*APART, *TRIPLES], ids="-".join)
def test_a_session_is_started_in_the_first_kind_and_the_others_are_cleared(
    build: Build, signed_in: SignIn, kinds: tuple[str, ...]
) -> None:
    site, jar = build(*kinds), {}
    for kind in reversed(kinds):
        jar |= signed_in(kind)
    browser = site.browser(jar)
    browser.does(site.start(site.pool.sign_in("ada")))
    assert names_of(browser.jar) == (AMPLIFYS if kinds[0] == "amplify" else OURS)
    assert browser.does().body == "ada"
    assert build(kinds[0]).browser(browser.jar).does().body == "ada"


@pytest.mark.parametrize("ours", ["sealed", "stored"])
def test_moving_the_same_sign_in_does_not_revoke_it(build: Build, ours: str, clock: Clock) -> None:
    site, tokens = build(ours, "amplify"), build("token").pool.sign_in("ada")
    alone = build("amplify").browser()
    alone.does(alone.site.start(tokens))
    browser = site.browser(alone.jar)
    assert browser.does(site.start(tokens)).body == "ada"
    site.settle()
    assert site.pool.count("RevokeToken") == 0
    clock.advance(2 * HOUR)
    assert browser.does().body == "ada"


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
def test_another_sign_in_revokes_the_old_ones_of_all_kinds(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    old = signed_in(kinds[0], "grace") | signed_in(kinds[1], "grace")
    site = build(*kinds)
    site.browser(old).does(site.start(site.pool.sign_in("ada")))
    site.settle()
    assert site.pool.count("RevokeToken") == 2
    assert site.browser(old).does().body.startswith("NotAuthorizedException")


@pytest.mark.parametrize("kinds", [("token", "amplify"), ("amplify", "token")], ids="-".join)
def test_what_does_not_fit_the_first_kinds_cookie_is_refused_and_nothing_has_changed(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in("amplify", "grace"))
    claims = {"custom:notes": "x" * 4000}
    large = {f"{use}_token": site.pool.mint("ada", use, claims=claims) for use in ("id", "access")}
    got = browser.does(site.start(large), site.who)
    assert (got.body, got.all("set-cookie")) == ("SessionTooLargeError, grace", [])


@pytest.mark.parametrize("ours", ["sealed", "stored"])
def test_a_refresh_after_a_start_clears_the_other_kinds_cookies_still(
    build: Build, signed_in: SignIn, ours: str
) -> None:
    site = build(ours, "amplify")
    browser = site.browser(signed_in("amplify", "grace"))
    browser.does(site.start(site.pool.sign_in("ada")), site.refresh)
    assert names_of(browser.jar) == OURS


def test_so_does_one_whose_new_tokens_cannot_be_used(shell: Shell, clock: Clock) -> None:
    pool_id, host = "us-east-1_Ab12Cd34E", "cognito-idp.us-east-1.amazonaws.com"
    options = {"user_pool_id": pool_id, "issuer": f"https://{host}/{pool_id}"}
    kinds = [SealedSession(keys=KEYS[:1]), AmplifyCookies()]
    with town(clock, rotate_refresh_tokens=True, **options) as pool:
        site = Site(shell, pool, clock, kinds, issuers="original")
        alone = Site(shell, pool, clock, AmplifyCookies(), issuers="original").browser()
        alone.does(alone.site.start(pool.sign_in("grace")))
        browser, tokens = site.browser(alone.jar), pool.sign_in("ada")
        pool.issuer = f"https://issuer-{host}/{pool_id}"
        got = browser.does(site.start(tokens), site.refresh)
        assert got.body == "ada, NetworkError wrong_issuer"
        assert names_of(browser.jar) == OURS
        assert browser.does().body == "ada"
        site.settle()


@pytest.mark.parametrize("kinds", APART, ids="-".join)
def test_started_and_ended_in_one_request_no_cookie_is_left(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    site = build(*kinds)
    browser = site.browser(signed_in(kinds[0]) | signed_in(kinds[1]))
    got = browser.does(site.start(site.pool.sign_in("ada")), site.end(), site.who)
    assert got.body == f"ada, None, {SIGNED_OUT}"
    assert browser.jar == {}


# --- ending


@pytest.mark.parametrize("kinds", [*APART, *TRIPLES], ids="-".join)
@pytest.mark.parametrize("everywhere", [False, True])
def test_an_end_is_that_of_all_kinds(
    build: Build, signed_in: SignIn, kinds: tuple[str, ...], everywhere: bool
) -> None:
    jars = [signed_in(kind) for kind in kinds]
    site, together = build(*kinds), {}
    for jar in jars:
        together |= jar
    browser = site.browser(together)
    got = browser.does(site.end(everywhere=everywhere), site.who)
    assert (got.body, written(got), browser.jar) == (f"None, {SIGNED_OUT}", set(), {})
    assert cleared(got) == AMPLIFYS | OURS
    if not {"token"} & set(kinds):  # of which nothing is kept anywhere
        kept = [site.browser(jar).does().body for jar in jars if jar.items() <= together.items()]
        assert [body for body in kept if body == "ada"] == []


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
def test_an_end_revokes_the_refresh_tokens_of_all_kinds(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    jar = signed_in(kinds[0], "ada") | signed_in(kinds[1], "grace")
    site = build(*kinds)
    site.browser(jar).does(site.end())
    site.settle()
    assert site.pool.count("RevokeToken") == 2


@pytest.mark.parametrize("ends_beside", [True, False], ids=["ended beside", "copied beside"])
def test_a_copy_with_other_cookies_beside_it_ends_as_well(
    shell: Shell, clock: Clock, ends_beside: bool
) -> None:
    with town(clock, rotate_refresh_tokens=True) as pool:
        site = Site(shell, pool, clock, [AmplifyCookies(), SealedSession(keys=KEYS[:1])])
        alone = site.sign_in()
        clock.advance(HOUR - 3)
        assert alone.does().body == "ada"  # with a new refresh token
        beside = site.browser(alone.jar | {NAME: "junk"})
        assert (alone.does().body, beside.does().body) == ("ada", "ada")
        browser, thief = (beside, alone) if ends_beside else (alone, beside)
        browser.does(site.end())
        assert thief.does().body == "NotAuthorizedException session_revoked"
        site.settle()


@pytest.mark.parametrize("kinds", APART[:4], ids="-".join)
@pytest.mark.parametrize(("other", "count"), [("ada", 2), ("grace", 0)])
def test_an_end_everywhere_is_all_kinds_of_one_user(
    build: Build, signed_in: SignIn, kinds: tuple[str, str], other: str, count: int
) -> None:
    jar = signed_in(kinds[0], "ada") | signed_in(kinds[1], other)
    site = build(*kinds)
    site.browser(jar).does(site.end(everywhere=True))
    site.settle()
    assert site.pool.count("GlobalSignOut") == count


@pytest.mark.parametrize("kinds", [("stored", "amplify"), ("amplify", "stored")], ids="-".join)
def test_an_end_while_one_store_is_down_clears_all_and_ends_the_others(
    build: Build, signed_in: SignIn, store: FailingStore, kinds: tuple[str, str]
) -> None:
    amplifys = signed_in("amplify")
    site = build(*kinds)
    browser = site.browser(signed_in("stored") | amplifys)
    store.is_down = True
    got = browser.does(site.end(), site.who)
    assert got.body == f"NetworkError store_unavailable, {SIGNED_OUT}"
    assert cleared(got) == AMPLIFYS | OURS
    assert site.browser(amplifys).does().body == "NotAuthorizedException session_revoked"


@pytest.mark.parametrize(
    "kinds",
    [
        ("amplify", "stored"),
        ("stored", "amplify"),
    ],
    ids="-".join,
)
def test_a_store_that_fails_meanwhile_keeps_no_other_kind_from_being_revoked(
    build: Build, signed_in: SignIn, store: FailingStore, clock: Clock, kinds: tuple[str, str]
) -> None:
    amplifys = signed_in("amplify")
    site = build(*kinds)

    def fail() -> str:
        store.is_down = True
        return "down"

    browser = site.browser(signed_in("stored", "grace") | amplifys)
    assert browser.does(fail, site.end()).body == "down, NetworkError store_unavailable"
    site.settle()
    clock.advance(2 * HOUR)
    elsewhere = build("amplify").browser(amplifys)
    assert elsewhere.does().body == "NotAuthorizedException session_revoked"


# --- lists


@pytest.mark.parametrize("kinds", [("stored", "amplify"), ("amplify", "stored")], ids="-".join)
def test_sessions_are_listed_whichever_kind_keeps_the_list(
    build: Build, signed_in: SignIn, kinds: tuple[str, str]
) -> None:
    here, _ = signed_in("stored"), signed_in("stored")
    site = build(*kinds)
    browser = site.browser(here | signed_in("amplify"))
    assert sorted(info.is_current for info in infos(site, browser)) == [False, True]
    assert [info.is_current for info in infos(site, site.browser(signed_in("amplify")))] == [
        False,
        False,
    ]


@pytest.mark.parametrize("kinds", [("stored", "amplify"), ("amplify", "stored")], ids="-".join)
@pytest.mark.parametrize("is_current", [True, False], ids=["this", "another"])
def test_a_listed_session_is_ended_by_its_handle(
    build: Build, signed_in: SignIn, kinds: tuple[str, str], is_current: bool
) -> None:
    here, there = signed_in("stored"), signed_in("stored")
    site = build(*kinds)
    browser = site.browser(here | signed_in("amplify"))
    (info,) = [info for info in infos(site, browser) if info.is_current == is_current]
    got = browser.does(lambda: site.verbs.end_session_by_handle(info.handle))
    assert (got.body, got.clears_cookie) == ("True", is_current)
    alive = [site.browser(jar).does().body == "ada" for jar in (here, there)]
    assert alive == [not is_current, is_current]


def test_who_ends_another_users_session_in_the_same_browser_stays_signed_in(
    build: Build, signed_in: SignIn
) -> None:
    site = build("amplify", "stored")
    browser = site.browser(signed_in("amplify") | signed_in("stored", "grace"))
    sub = (
        build("stored")
        .browser(signed_in("stored", "grace"))
        .does(lambda: site.verbs.get_current_user().user_id)
    )
    found: list[SessionInfo] = []
    browser.does(lambda: found.extend(site.verbs.list_sessions(user_id=sub.body)))
    assert [info.is_current for info in found] == [False, False]
    for info in found:
        browser.does(lambda: site.verbs.end_session_by_handle(info.handle, sub.body))  # noqa: B023
    assert browser.does().body == "ada"


def test_sessions_in_either_of_two_stores_are_listed_and_end_everywhere(
    build: Build, clock: Clock
) -> None:
    old, new = (StoredSession(MemoryStore(clock=clock)) for _ in range(2))
    before = build(old).sign_in("ada")
    clock.advance(1)
    site = build(new, old)
    browser = site.sign_in("ada")
    assert [info.is_current for info in infos(site, browser)] == [True, False]
    assert [info.is_current for info in infos(site, site.browser(before.jar))] == [False, True]
    browser.does(site.end(everywhere=True))
    assert before.does().body == "NotAuthorizedException session_revoked"


@pytest.mark.parametrize("kinds", [("sealed", "amplify"), ("token", "sealed")], ids="-".join)
def test_kinds_without_a_list_say_what_to_write(build: Build, kinds: tuple[str, str]) -> None:
    site = build(*kinds)

    def handler() -> str:
        with pytest.raises(ConfigurationError, match=r"session=StoredSession\(store\)"):
            site.verbs.list_sessions()
        return "told"

    assert site.sign_in().ask(handler).body == "told"


# --- asking Cognito


@pytest.mark.parametrize("asker", ["sealed", "amplify"])
def test_what_one_kind_asks_of_cognito_holds_for_all(
    build: Build, signed_in: SignIn, asker: str, clock: Clock
) -> None:
    kinds = {
        "sealed": SealedSession(keys=KEYS[:1], verify_with_cognito_every=60),
        "amplify": AmplifyCookies(verify_with_cognito_every=60),
    }
    other = "amplify" if asker == "sealed" else "sealed"
    site, jar = build(kinds[asker], other), signed_in(other)
    browser = site.browser(jar)
    assert browser.does().body == browser.does().body == "ada"
    assert site.pool.count("GetUser") == 1
    with site.pool.fault("GetUser", CognitoError("NotAuthorizedException")):
        assert browser.does().body == "ada"
        clock.advance(61)
        assert browser.does().body == "NotAuthorizedException session_revoked"


# --- WebSockets


@pytest.mark.parametrize("kinds", [("sealed", "amplify"), ("amplify", "stored")], ids="-".join)
@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
def test_a_websocket_is_signed_in_by_either_kind(
    pool: LocalUserPool, clock: Clock, store: FailingStore, kinds: tuple[str, str], which: int
) -> None:
    made = {
        "sealed": SealedSession(keys=KEYS[:1]),
        "stored": StoredSession(store),
        "amplify": AmplifyCookies(),
    }
    jar = Site(ASGIShell(), pool, clock, made[kinds[which]]).sign_in("ada").jar
    site = Site(ASGIShell(), pool, clock, [made[kind] for kind in kinds])
    accepted, user = converse(site, site.browser(jar))
    assert (user, accepted.get("headers", [])) == ("ada", [])
    clock.advance(HOUR - 3)
    accepted, user = converse(site, site.browser(jar))
    assert user == "ada"
    cookies = [value for name, value in accepted["headers"] if name == b"set-cookie"]
    assert cookies
    assert {value.split(b"=")[0].decode() for value in cookies} <= jar.keys()


def converse(site: Site, browser: Browser) -> tuple[Any, str]:
    """What a handshake was answered, and whom the app saw."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await aio.get_current_user()).username)
        await send({"type": "websocket.accept"})

    async def talk() -> Any:
        ask = Ask(cookies=browser.header, headers={"Sec-Fetch-Site": "same-origin"})
        scope = {**ASGIShell().scope(ask), "type": "websocket"}
        communicator = ApplicationCommunicator(AmplifyASGIMiddleware(app, site.engine), scope)
        await communicator.send_input({"type": "websocket.connect"})
        accepted = await communicator.receive_output(5)
        await communicator.wait(PATIENCE)
        return accepted

    accepted = asyncio.run(talk())
    return accepted, seen[0]


# --- configuration


@pytest.mark.parametrize("kind", ["token", "sealed", "stored", "amplify"])
def test_a_list_of_one_is_that_kind_alone(build: Build, kind: str, signed_in: SignIn) -> None:
    site = build(kind)
    alone = site.config.replace(session=site.config.session)
    assert not isinstance(site.config.session, list | tuple)
    assert (site.config, hash(site.config)) == (alone, hash(alone))
    assert site.browser(signed_in(kind)).does().body == "ada"


def nested(shell: Shell, pool: LocalUserPool, inner: Any, outer: Any) -> Got:
    app = shell.middleware(shell.app(lambda: AppAnswer()), pool.config(session=inner))
    return shell.send(shell.middleware(app, pool.config(session=outer)), Ask(cookie="junk"))


SEALED, TOKEN, AMPLIFY = SealedSession(keys=KEYS[:1]), TokenSession(), AmplifyCookies()


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ([SEALED, TOKEN], [TOKEN, SEALED]),
        ([SEALED, TOKEN], SEALED),
        ([SEALED, AMPLIFY], AMPLIFY),
        ([AMPLIFY, SEALED], [SEALED, AMPLIFY]),
    ],
)
def test_middlewares_that_read_one_cookie_for_different_lists_are_refused(
    shell: Shell, pool: LocalUserPool, inner: Any, outer: Any
) -> None:
    with pytest.raises(ConfigurationError, match="different kinds of session"):
        nested(shell, pool, inner, outer)


@pytest.mark.parametrize(
    ("inner", "outer"), [([SEALED, TOKEN], (SEALED, TOKEN)), ([SEALED], SEALED), (AMPLIFY, SEALED)]
)
def test_middlewares_of_equal_lists_or_other_cookies_go_together(
    shell: Shell, pool: LocalUserPool, inner: Any, outer: Any
) -> None:
    assert nested(shell, pool, inner, outer).status == 200
