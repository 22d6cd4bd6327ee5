"""A credential of another kind is one small class. Neither shell changes for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from amplify_mw import get_current_user
from amplify_mw.credentials import Credential, Source
from amplify_mw.engine.engine import Engine
from amplify_mw.errors import AuthError
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.headers import Spelling
from amplify_mw.web.requests import request_header
from tests.shells import Ask, Got, Shell

OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


class BearerSource(Source):
    """`Authorization: Bearer`, as it might be built."""

    text = Spelling(str, str.title, varies_by="Authorization")
    octets = Spelling(str.encode, bytes.lower, varies_by="Authorization")

    def read(self, headers: object) -> Any:
        for value in request_header(headers, "Authorization"):
            if value.startswith("Bearer "):
                return value.removeprefix("Bearer ").encode()
        return None


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", "correct horse")
        pool.add_user("bob", "battery staple")
        yield pool


@pytest.fixture
def app(shell: Shell, pool: LocalUserPool) -> Any:
    engine = Engine(pool.config(cache_entries=99))
    home = engine.authenticator
    home.other_sources = (BearerSource(home.known, home.sessions.resolve, home.source.refusals),)
    return shell.middleware(shell.app(who), engine)


def who() -> str:
    try:
        return get_current_user().username
    except AuthError as error:
        return error.reason


def bearing(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


def get(shell: Shell, app: Any, **facts: Any) -> Got:
    return shell.send(app, Ask(**facts))


def test_it_signs_in_at_first_sight_and_again(shell: Shell, app: Any, pool: LocalUserPool) -> None:
    headers = bearing(pool.mint("ada"))
    assert [get(shell, app, headers=headers).body for _ in range(2)] == ["ada", "ada"]


def test_the_answer_varies_by_its_header(shell: Shell, app: Any, pool: LocalUserPool) -> None:
    assert get(shell, app, headers=bearing(pool.mint("ada"))).one("vary") == "Authorization"
    assert get(shell, app, cookie=pool.mint("ada")).one("vary") == "Cookie"


@pytest.mark.parametrize("token", ["junk", "a.b.c"])
def test_an_invalid_one_clears_no_cookie(shell: Shell, app: Any, token: str) -> None:
    got = get(shell, app, headers=bearing(token))
    assert (got.body, got.all("set-cookie")) == ("malformed_token", [])
    assert get(shell, app, cookie=token).clears_cookie


def test_no_page_forges_it(shell: Shell, app: Any, pool: LocalUserPool) -> None:
    token = pool.mint("ada")
    got = get(shell, app, method="POST", headers=bearing(token, **OTHER_SITE))
    assert (got.status, got.body) == (200, "ada")
    assert get(shell, app, method="POST", cookie=token, headers=OTHER_SITE).status == 403


def test_the_sessions_cookie_comes_first(shell: Shell, app: Any, pool: LocalUserPool) -> None:
    got = get(shell, app, cookie=pool.mint("ada"), headers=bearing(pool.mint("bob")))
    assert got.body == "ada"


def test_a_request_without_either_is_nobodys(shell: Shell, app: Any) -> None:
    got = get(shell, app)
    assert (got.body, got.one("vary")) == ("no_session", "Cookie")


def test_no_repr_shows_a_value(pool: LocalUserPool) -> None:
    home = Engine(pool.config()).authenticator
    assert repr(Credential(home.source, b"secret")) == "<Credential from a cookie>"
