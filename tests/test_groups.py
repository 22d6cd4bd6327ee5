"""`AuthUser.groups`, with each kind of session."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyCookies, SealedSession, TokenSession
from amplify_mw.testing import LocalUserPool
from tests.amplify import cookies_of
from tests.shells import WSGIShell
from tests.sites import HOUR, KEYS, KINDS, LASTING, NAME, Browser, Clock, Site, session_of

GROUPS = ("writers", "admins", "editors")
Build = Callable[[str], tuple[Site, Browser]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def build(clock: Clock, tmp_path: Path, request: pytest.FixtureRequest) -> Build:
    """A site with a kind of session, and the browser of a user with `GROUPS`."""

    def build(kind: str) -> tuple[Site, Browser]:
        pool = LocalUserPool(clock=clock)
        pool.__enter__()
        request.addfinalizer(lambda: pool.__exit__(None, None, None))
        pool.add_user("ada", groups=GROUPS)
        session: Any = AmplifyCookies()
        if kind == "several":
            session = [SealedSession(keys=KEYS[:1]), TokenSession()]
        elif kind != "amplify":
            session = session_of(kind, clock, tmp_path)
        site = Site(WSGIShell(), pool, clock, session)
        request.addfinalizer(site.close)
        tokens = pool.sign_in("ada")
        if kind == "amplify":
            return site, site.browser(cookies_of(tokens))
        if kind == "token":
            return site, site.browser({NAME: tokens.id_token})
        return site, site.sign_in()

    return build


def groups(site: Site) -> Callable[[], str]:
    return lambda: repr(site.verbs.get_current_user().groups)


@pytest.mark.parametrize("kind", [*KINDS, "amplify", "several"])
def test_a_user_has_the_groups_of_the_token_in_its_order(build: Build, kind: str) -> None:
    site, browser = build(kind)
    assert [browser.does(groups(site)).body for _ in range(2)] == [repr(GROUPS)] * 2


@pytest.mark.parametrize("kind", LASTING)
def test_a_change_in_the_pool_shows_after_the_next_refresh(
    build: Build, clock: Clock, kind: str
) -> None:
    site, browser = build(kind)
    browser.does(groups(site))
    users = site.pool._ledger.users
    users["ada"] = replace(users["ada"], groups=("editors",))
    assert browser.does(groups(site)).body == repr(GROUPS)
    clock.advance(HOUR)
    assert browser.does(groups(site)).body == repr(("editors",))


@pytest.mark.parametrize(
    ("claim", "seen"),
    [
        (["b", "a"], ("b", "a")),
        ([], ()),
        ("admins", ()),
        ({"admins": 1}, ()),
        (["a", 1, None, "", ["b"]], ("a",)),
        (None, ()),
    ],
)
def test_a_claim_that_is_no_list_of_names_gives_no_group(
    build: Build, claim: Any, seen: tuple[str, ...]
) -> None:
    site, browser = build("token")
    browser.jar[NAME] = site.pool.mint("ada", "access", claims={"cognito:groups": claim})
    assert browser.does(groups(site)).body == repr(seen)
