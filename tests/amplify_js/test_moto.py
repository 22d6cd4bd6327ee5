"""The same with moto for a user pool: it issues the tokens, Amplify and we live on them.

What moto cannot be asked: Amplify refreshes by `GetTokensFromRefreshToken`, and revokes by
`RevokeToken`; it has neither. Refreshes go through us, by `InitiateAuth`.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import amplify_mw
from amplify_mw import AmplifyCookies
from tests.amplify_js.node import AmplifyJS, Page
from tests.amplify_js.ours import Site, refresh, site
from tests.moto.test_moto import Moto, call
from tests.moto.test_moto import moto as moto
from tests.moto.test_moto import moto_url as moto_url
from tests.shells import Shell

pytestmark = pytest.mark.node

NOBODY = "UserUnAuthenticatedException"


@pytest.fixture
def pool(moto: Moto) -> Any:
    """Moto's, as far as Amplify is to know it."""
    return SimpleNamespace(user_pool_id=moto.pool_id, client_id=moto.web, url=moto.url)


@pytest.fixture
def ours(shell: Shell, moto: Moto) -> Iterator[Site]:
    config = moto.config.replace(session=AmplifyCookies(), refresh_api="InitiateAuth")
    with site(shell, config) as ours:
        yield ours


@pytest.fixture
def page(amplify: AmplifyJS, pool: Any) -> Page:
    """A browser in which Amplify has signed `ada` in at moto."""
    page = amplify.page()
    assert page.sign_in(pool, "ada", "Corr3ct!horse").ok["isSignedIn"]
    return page


def test_a_user_whom_amplify_signs_in_at_moto_is_one_for_all(
    amplify: AmplifyJS, pool: Any, ours: Site, page: Page
) -> None:
    said = ours.visit(page)
    assert said["username"] == "ada"
    assert said == page.ask(pool).ok == amplify.ask(pool, page.cookie).ok


def test_motos_attributes_are_the_same_to_all(
    amplify: AmplifyJS, pool: Any, ours: Site, page: Page
) -> None:
    found: list[Any] = []
    ours.visit(page, lambda: found.append(amplify_mw.fetch_user_attributes()))
    assert found[0]["email"] == "ada@example.com"
    for outcome in (
        page.ask(pool, "fetchUserAttributes"),
        amplify.ask(pool, page.cookie, "fetchUserAttributes"),
    ):
        assert outcome.ok == found[0]


def test_tokens_that_we_have_refreshed_at_moto_are_amplifys(
    amplify: AmplifyJS, pool: Any, ours: Site, page: Page
) -> None:
    before = page.read(pool)
    said = ours.visit(page, refresh)
    after = page.read(pool)
    assert after["accessToken"]["token"] != before["accessToken"]["token"]
    assert after["refreshToken"] == before["refreshToken"]
    assert said == page.ask(pool).ok == amplify.ask(pool, page.cookie).ok


def test_whom_we_sign_out_amplify_does_not_find(
    amplify: AmplifyJS, pool: Any, ours: Site, page: Page
) -> None:
    assert ours.visit(page, amplify_mw.end_session) == ours.visit(page) == NOBODY
    assert page.ask(pool).name == amplify.ask(pool, page.cookie).name == NOBODY


def test_a_global_sign_out_at_moto_ends_the_session_at_the_next_refresh(
    moto: Moto, ours: Site, page: Page, pool: Any
) -> None:
    call(moto.url, "GlobalSignOut", AccessToken=page.read(pool)["accessToken"]["token"])
    assert ours.visit(page)["username"] == "ada"
    assert ours.visit(page, refresh) == NOBODY
    assert page.read(pool) is None
