"""A page of a front end with the real aws-amplify, at a local user pool.

The page is at localhost and the pool at 127.0.0.1: another site and another origin.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Request, Response

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.installation import Unavailable, bundled
from tests.browser.servers import wsgi_server
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.node]

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Starting</title>
<link rel="icon" href="data:,"></head><body><script src="/page.js"></script></body></html>"""
_ADA = {"username": "ada", "password": "correct horse"}


@pytest.fixture(scope="module")
def script() -> str:
    try:
        return bundled()
    except Unavailable as reason:
        pytest.skip(f"Amplify JS is not at hand: {reason}")


class FrontEnd:
    """A page's server. `pool`: the pool that its outputs are of."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.pool: LocalUserPool
        self.origin = ""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path = Request(environ).path
        if path == "/page.js":
            response = Response(self.script, content_type="text/javascript")
        elif path == "/amplify_outputs.json":
            response = Response(json.dumps(self.pool.outputs()), content_type="application/json")
        else:
            response = Response(_PAGE, content_type="text/html")
        return response(environ, start_response)


@pytest.fixture
def front_end(script: str) -> Iterator[FrontEnd]:
    page = FrontEnd(script)
    with wsgi_server(page) as port:
        page.origin = f"http://localhost:{port}"
        yield page


@pytest.fixture
def opened(chromium: "Browser", front_end: FrontEnd) -> Iterator[Callable[..., "Page"]]:
    """Opens the page in a browser of its own. Options: the pool's."""
    with ExitStack() as stack:

        def make(**options: Any) -> "Page":
            given = {"origins": [front_end.origin], **options}
            front_end.pool = stack.enter_context(LocalUserPool(**given))
            front_end.pool.add_user("ada", email="ada@example.com", groups=["admins"])
            # A person would accept the certificate once.
            context = chromium.new_context(ignore_https_errors="tls" in options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            page = context.new_page()
            page.goto(f"{front_end.origin}/")
            page.wait_for_function("document.title === 'configured'")
            return page

        yield make


def test_the_page_signs_in_refreshes_and_signs_out(
    opened: Callable[..., "Page"], front_end: FrontEnd
) -> None:
    page = opened()
    came = page.evaluate("given => auth.signIn(given)", _ADA)
    assert came == {"isSignedIn": True, "nextStep": {"signInStep": "DONE"}}
    assert page.evaluate("async () => (await auth.fetchUserAttributes()).email") == (
        "ada@example.com"
    )
    refreshed = "async () => (await auth.fetchAuthSession({forceRefresh: true})).tokens"
    assert page.evaluate(f"{refreshed}.accessToken.payload['cognito:groups']") == ["admins"]
    page.evaluate("() => auth.signOut()")
    asked = [name for name in front_end.pool.requests if not name.startswith("OPTIONS")]
    assert asked == [
        *("InitiateAuth", "RespondToAuthChallenge", "GetUser"),
        *("GetTokensFromRefreshToken", "RevokeToken"),
    ]


def test_a_wrong_password_is_told_as_cognito_tells_it(opened: Callable[..., "Page"]) -> None:
    page = opened()
    wrong = {**_ADA, "password": "wrong horse"}
    name = page.evaluate("given => auth.signIn(given).catch(error => error.name)", wrong)
    assert name == "NotAuthorizedException"


def test_a_page_of_another_origin_cannot_ask_the_pool(opened: Callable[..., "Page"]) -> None:
    page = opened(origins=["http://localhost:1"])
    name = page.evaluate("given => auth.signIn(given).catch(error => error.name)", _ADA)
    assert name == "NetworkError"


def test_the_page_signs_in_at_the_pools_own_pages_over_tls(
    opened: Callable[..., "Page"], front_end: FrontEnd
) -> None:
    page = opened(tls=True)
    page.evaluate("() => { auth.signInWithRedirect() }")
    page.wait_for_url("https://127.0.0.1:*/login**")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{front_end.origin}/**")
    page.wait_for_function("globalThis.heard?.includes('signInWithRedirect')")
    assert page.evaluate("async () => (await auth.getCurrentUser()).username") == "ada"
    page.evaluate("() => { auth.signOut() }")
    page.wait_for_function("globalThis.heard?.length === 0 && document.title === 'configured'")
    name = page.evaluate("() => auth.getCurrentUser().catch(error => error.name)")
    assert name == "UserUnAuthenticatedException"
