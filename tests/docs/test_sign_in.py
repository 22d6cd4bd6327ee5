"""The program of the sign-in page, with kinds of session: in, out, again, and what goes wrong."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from amplify_mw import AmplifyConfig, AuthRoutes, SealedSession, StoredSession, TokenSession
from amplify_mw.reasons import EXPLANATIONS
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import AuthorizeError, Down
from tests.docs.conftest import KEY
from tests.docs.pages import PAGES, run
from tests.docs.visitor import Visitor, next_page

pytestmark = pytest.mark.usefixtures("surroundings")
SITE = "https://app.example.com"
KINDS: dict[str, Callable[[], Any]] = {
    "sealed": lambda: SealedSession(keys=[KEY]),
    "stored": lambda: StoredSession(MemoryStore()),
    "several": lambda: [SealedSession(keys=[KEY]), TokenSession()],
}


def program(pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """The app of the page, with other options than there."""
    local = staticmethod(lambda _, **given: pool.config(**given | options))
    monkeypatch.setattr(AmplifyConfig, "from_outputs", local)
    return run("sign-in", only=0)["app"]


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def browser(
    request: pytest.FixtureRequest, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> Visitor:
    routes = AuthRoutes(origin=SITE, keys=[KEY])
    app = program(pool, monkeypatch, session=request.param(), routes=routes)
    return Visitor(app.test_client(), SITE)


def test_the_link_leads_to_the_pool_and_back_to_next(browser: Visitor, pool: LocalUserPool) -> None:
    (link,) = re.findall('href="(.+?)"', browser.get("/").text)
    back = browser.get(pool.authorize(browser.get(link).location, "ada"), "cross-site")
    assert next_page(back) == "/account"
    assert browser.get("/account").text.startswith("Hello ada. ")


def test_a_guarded_page_leads_to_the_pool_and_back(browser: Visitor, pool: LocalUserPool) -> None:
    assert next_page(browser.sign_in(pool, "/account", "ada")) == "/account"


def test_the_button_signs_out_here_and_at_the_pool(browser: Visitor, pool: LocalUserPool) -> None:
    cookies: dict[str, str] = {}
    leaving = browser.get("/auth/sign-in?next=/account").location
    browser.get(pool.authorize(leaving, "ada", cookies=cookies), "cross-site")
    (action,) = re.findall('action="(.+?)"', browser.get("/account").text)
    home = pool.authorize(next_page(browser.post(action)), None, cookies=cookies)
    assert browser.get(home, "cross-site").location == "/"
    assert browser.get("/account").status_code == 302
    assert "local-pool-session" not in cookies


def test_other_sites_neither_sign_in_nor_out_nor_post(
    browser: Visitor, pool: LocalUserPool
) -> None:
    browser.sign_in(pool, "/account", "ada")
    asked = browser.get("/auth/sign-in", "cross-site")
    refused = [browser.get("/auth/sign-out", "cross-site"), browser.post("/", "cross-site")]
    assert (asked.status_code, "Location" in asked.headers) == (200, False)
    assert [answer.status_code for answer in refused] == [403, 403]
    assert browser.get("/account").status_code == 200


def test_the_step_up_asks_for_the_password_again(browser: Visitor, pool: LocalUserPool) -> None:
    (link,) = re.findall(r'"(/auth/sign-in\?prompt=.+?)"', PAGES["sign-in"])
    cookies: dict[str, str] = {}
    first = browser.get("/auth/sign-in").location
    browser.get(pool.authorize(first, "ada", cookies=cookies), "cross-site")
    with pytest.raises(ValueError, match="nowhere"):
        pool.authorize(browser.get(link).location, None, cookies=cookies)
    again = pool.authorize(browser.get(link).location, "ada", cookies=cookies)
    assert next_page(browser.get(again, "cross-site")) == "/account/delete"


@pytest.mark.parametrize(
    ("operation", "fault"), [("authorize", AuthorizeError("access_denied")), ("token", Down())]
)
def test_a_code_has_the_status_that_the_errors_page_says(
    browser: Visitor, pool: LocalUserPool, operation: str, fault: Any
) -> None:
    code = "access_denied" if operation == "authorize" else "provider_unavailable"
    leaving = browser.get("/auth/sign-in").location
    with pool.fault(operation, fault):
        back = browser.get(pool.authorize(leaving, "ada"), "cross-site")
    assert EXPLANATIONS[code].statuses[0] == back.status_code  # the page's table is made of these


def test_below_a_mount_the_routes_are_too(
    pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mount,) = re.findall(r'needs `mount="(/\w+)"`', PAGES["sign-in"])
    app = program(pool, monkeypatch, mount=mount)
    mounted = DispatcherMiddleware(app.wsgi_app, {mount: app.wsgi_app})
    away = Client(mounted).get(f"{mount}/auth/sign-in").location
    assert "%2Fshop%2Fauth%2Fsign-in-callback" in away
