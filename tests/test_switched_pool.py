"""A pool switches its issuer under many sessions of each kind: nobody is signed out.

All in one process: the pool, the site's two processes (one from before the switch, one begun after
it) as engines of their own, and the browsers. Of sessions that are refreshed, half rotate.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from amplify_mw import AmplifyCookies
from amplify_mw.testing import LocalUserPool
from tests.amplify import cookies_of
from tests.shells import WSGIShell, shells
from tests.sites import HOUR, NAME, Browser, Build, Clock, Site, infos

POOL_ID = "us-east-1_Ab12Cd34E"
ORIGINAL = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
SESSIONS = 1000  # that are tokens alone
HALF = 100  # of the others: five of each user's
NAMES = [f"user{number}" for number in range(20)]
REFRESH = "GetTokensFromRefreshToken"
LASTING = ("sealed", "memory", "amplify")

shell = shells(WSGIShell)


@pytest.fixture
def rotates() -> bool:
    return False


@pytest.fixture
def pool_options(rotates: bool) -> dict[str, Any]:
    return {"user_pool_id": POOL_ID, "issuer": ORIGINAL, "rotate_refresh_tokens": rotates}


@pytest.fixture
def crowd(pool: LocalUserPool) -> Callable[..., list[tuple[str, Browser]]]:
    """Signs many browsers in, those of twenty users."""
    for name in NAMES:
        pool.add_user(name, email=f"{name}@example.com")

    def crowd(site: Site, kind: str, size: int) -> list[tuple[str, Browser]]:
        found = []
        for number in range(size):
            name = NAMES[number % len(NAMES)]
            found.append((name, signed_in(site, kind, name)))
        return found

    return crowd


def signed_in(site: Site, kind: str, name: str) -> Browser:
    if kind == "token":
        return site.browser({NAME: site.pool.mint(name, "access")})
    if kind == "amplify":
        return site.browser(cookies_of(site.pool.sign_in(name), name))
    return site.sign_in(name)


def strangers(crowd: list[tuple[str, Browser]]) -> Counter[str]:
    """What those are told who are not taken for themselves."""
    answers = ((name, browser.does().body) for name, browser in crowd)
    return Counter(answer for name, answer in answers if answer != name)


def begun_after(build: Build, site: Site, kind: str) -> Site:
    """Another process of the site, which has seen no request yet."""
    return build(AmplifyCookies() if kind == "amplify" else site.session, issuer=ORIGINAL)


def test_tokens_count_until_they_expire(
    build: Build, clock: Clock, pool: LocalUserPool, crowd: Any
) -> None:
    site = build("token")
    everybody = crowd(site, "token", SESSIONS)
    assert not strangers(everybody)
    pool.issuer = UPDATED
    other = begun_after(build, site, "token")
    for _, browser in everybody[::2]:
        browser.site = other
    clock.advance(HOUR - 60)
    assert not strangers(everybody)
    clock.advance(120)
    assert strangers(everybody) == {"TokenExpiredException token_expired": SESSIONS}


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("kind", LASTING)
def test_lasting_sessions_are_refreshed(
    build: Build, clock: Clock, pool: LocalUserPool, crowd: Any, kind: str
) -> None:
    site = build(kind)
    everybody = crowd(site, kind, HALF)
    pool.issuer = UPDATED
    assert not strangers(everybody[::10])  # nobody asks for new tokens because of it
    assert pool.count(REFRESH) == 0
    other = begun_after(build, site, kind)
    for _, browser in everybody[::2]:
        browser.site = other
    clock.advance(HOUR)
    assert not strangers(everybody)
    assert pool.count(REFRESH) == HALF
    assert not strangers(everybody[::10])
    if kind == "memory":
        newcomer = site.sign_in(NAMES[0])
        assert len(infos(site, newcomer)) == HALF // len(NAMES) + 1
        assert newcomer.does(site.end(everywhere=True)).body == "None"
        gone = strangers(everybody)
        assert gone == {"NotAuthorizedException session_revoked": HALF // len(NAMES)}
