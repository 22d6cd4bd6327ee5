"""Django, and its REST framework, with views that swallow, repeat, log and keep exceptions."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from amplify_mw.testing import LocalUserPool
from tests.django_sites.inside import Site
from tests.frameworks.swallowing import ALL_IS_WELL, SWALLOWED, kept

KINDS = pytest.mark.parametrize("kind", ["", "/rest"])


@pytest.fixture
def guarded(cognito: LocalUserPool) -> Iterator[Site]:
    yield Site(cognito, login_url=None, protect=["/private/*", "/rest/private/*"])
    kept.clear()


def get(site: Site, path: str, cookie: str | None = None) -> Any:
    """An answer to somebody with this in the session's cookie."""
    sent = {} if cookie is None else {"Cookie": f"amplify-session={cookie}"}
    return site.get(path, **sent)


def clears(answer: Any) -> bool:
    return any(
        line.startswith("amplify-session=;") for line in answer.headers.getlist("set-cookie")
    )


def shows(text: str, token: str) -> bool:
    return any(part in text for part in token.split("."))


@pytest.fixture
def ada(cognito: LocalUserPool) -> str:
    return cognito.sign_in("ada").id_token


@pytest.fixture
def grace(cognito: LocalUserPool) -> str:
    return cognito.sign_in("grace").id_token


@KINDS
@pytest.mark.parametrize("catches", [False, True])
def test_an_error_that_leaves_the_view_is_a_401_and_each_user_sees_itself(
    guarded: Site, kind: str, catches: bool, ada: str, grace: str
) -> None:
    cookies = [None, ada, "junk", grace, None]
    with override_settings(CATCHES=catches):
        for path in ("/name", "/retry", "/log", "/copied"):
            seen = [get(guarded, kind + path, cookie) for cookie in cookies]
            assert [page.status_code for page in seen] == [401, 200, 401, 200, 401]
            assert [page.text.strip('"') for page in (seen[1], seen[3])] == ["ada", "grace"]
            assert [clears(page) for page in seen] == [cookie == "junk" for cookie in cookies]
        assert get(guarded, f"{kind}/edit", grace).status_code == 403
        assert get(guarded, f"{kind}/edit", ada).text.strip('"') == "ada"


@KINDS
def test_a_view_that_swallows_the_error_has_nobody(guarded: Site, kind: str, ada: str) -> None:
    seen = [get(guarded, f"{kind}/swallow", cookie) for cookie in (None, ada, "junk")]
    assert [page.text.strip('"') for page in seen] == [SWALLOWED, "ada", SWALLOWED]
    assert [clears(page) for page in seen] == [False, False, True]
    for cookie in (None, "junk"):
        page = get(guarded, f"{kind}/private/page", cookie)
        assert (page.status_code, SWALLOWED in page.text) == (401, False)


@KINDS
def test_a_user_who_cannot_be_told_now_gets_503_and_keeps_the_cookie(kind: str) -> None:
    with LocalUserPool() as gone:
        gone.add_user("ada")
        token = gone.sign_in("ada").id_token
        site = Site(gone, login_url=None)
    seen = [get(site, kind + path, token) for path in ("/name", "/retry", "/copied", "/swallow")]
    assert [page.status_code for page in seen[:3]] == [503, 503, 503]
    assert not any(clears(page) or shows(page.text, token) for page in seen)


@KINDS
def test_another_requests_error_is_answered_as_this_requests(
    guarded: Site, kind: str, ada: str
) -> None:
    assert clears(get(guarded, f"{kind}/keep", "junk"))
    for cookie in (ada, None):
        page = get(guarded, f"{kind}/keep", cookie)
        assert (page.status_code, clears(page), "ada" in page.text) == (401, False, False)


@KINDS
@pytest.mark.parametrize("debug", [False, True])
def test_no_page_and_no_log_shows_a_token(
    guarded: Site, kind: str, debug: bool, ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    forged = f"{ada[:-6]}AAAAAA"
    with override_settings(DEBUG=debug):
        pages = [get(guarded, kind + path, ada) for path in ("/crash", "/edit")]
        pages += [get(guarded, kind + path, forged) for path in ("/crash", "/wrapped", "/log")]
    assert [page.status_code for page in pages] == [500, 200, 401, 500, 401]
    for shown in (caplog.text, *(page.text for page in pages)):
        assert not shows(shown, ada)
        assert not shows(shown, forged)


@KINDS
def test_a_fault_made_of_a_refusal_is_the_apps_own(guarded: Site, kind: str) -> None:
    assert get(guarded, f"{kind}/wrapped").status_code == 500
    with override_settings(CATCHES=True):
        assert get(guarded, f"{kind}/wrapped").text == ALL_IS_WELL
