"""`fetch_auth_session(required=True)`: tokens, or an error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import NotAuthorizedException, SignedInSession, SignedInTokens
from amplify_mw.models.session import Jwt, Tokens
from amplify_mw.testing import LocalUserPool
from tests.shells import AwaitingShell, Shell, WSGIShell
from tests.sites import HOUR, NAME, Clock, Site, session_of, town


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture(params=[WSGIShell, AwaitingShell], ids=["wsgi", "awaiting"])
def shell(request: pytest.FixtureRequest) -> Shell:
    made: Shell = request.param()
    return made


@pytest.fixture(params=["token", "sealed", "memory"])
def site(
    shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path, request: Any
) -> Iterator[Site]:
    made = Site(shell, pool, clock, session_of(request.param, clock, tmp_path))
    yield made
    made.close()


def username(site: Site) -> str:
    session = site.verbs.fetch_auth_session(required=True)
    assert isinstance(session, SignedInSession)
    assert session.user_sub == session.tokens.id_token.payload["sub"]
    return str(session.tokens.id_token.payload["cognito:username"])


def test_a_user_has_tokens(site: Site) -> None:
    browser = site.sign_in()
    assert browser.does(lambda: username(site)).body == "ada"


def test_nobody_gets_the_error_of_get_current_user(site: Site) -> None:
    got = site.browser().does(lambda: username(site))
    assert got.body == "NotAuthorizedException no_session"


def test_an_ended_session_is_an_error(site: Site, clock: Clock) -> None:
    browser = site.sign_in()
    clock.advance(400 * 24 * HOUR)
    got = browser.does(lambda: username(site))
    assert got.body.split()[0] in ("NotAuthorizedException", "TokenExpiredException")


def test_a_token_that_the_session_lacks_is_an_error_when_it_is_read(
    shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    site = Site(shell, pool, clock, session_of("token", clock, tmp_path))
    browser = site.browser({NAME: pool.sign_in("ada").access_token})
    got = browser.does(lambda: username(site))
    assert got.body == "NotAuthorizedException missing_token"
    got = browser.does(
        lambda: site.verbs.fetch_auth_session(required=True).tokens.access_token.payload["username"]
    )
    assert got.body == "ada"
    site.close()


def test_a_refresh_can_be_asked_for_too(
    shell: Shell, pool: LocalUserPool, clock: Clock, tmp_path: Path
) -> None:
    site = Site(shell, pool, clock, session_of("memory", clock, tmp_path))
    browser = site.sign_in()
    before, after = (
        browser.does(
            lambda refresh=refresh: (
                site.verbs.fetch_auth_session(  # type: ignore[misc]
                    required=True, force_refresh=refresh
                ).tokens.access_token.encoded
            )
        ).body
        for refresh in (False, True)
    )
    assert before != after
    site.close()


def test_its_repr_shows_no_token() -> None:
    jwt = Jwt("eyJ.secret.sig", {"email": "secret@example.com"})
    session = SignedInSession(SignedInTokens(Tokens(jwt, jwt)), "0f3c")
    assert "secret" not in repr(session)
    with pytest.raises(NotAuthorizedException, match="no ID token"):
        _ = SignedInTokens(Tokens(None, jwt)).id_token
