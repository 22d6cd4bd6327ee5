"""FastAPI's `/docs`: the Authorize button signs in at the user pool, in a browser."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI

from amplify_mw import AuthUser
from amplify_mw.integrations.fastapi import HOSTED, AmplifyAuth
from amplify_mw.testing import LocalUserPool
from tests.browser.acts import fill_in
from tests.browser.servers import asgi_server
from tests.browser.site import ONE_SHELL

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

pytestmark = [pytest.mark.browser, ONE_SHELL]

_CDN = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
_ICON = "https://fastapi.tiangolo.com/img/favicon.png"


class _Late:
    """An app behind its server's port, which it is told."""

    app: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture
def origin_and_app() -> Iterator[tuple[str, _Late]]:
    late = _Late()
    with asgi_server(late) as port:
        yield f"http://localhost:{port}", late


@pytest.fixture
def origin(origin_and_app: tuple[str, _Late]) -> str:
    return origin_and_app[0]


@pytest.fixture
def pool(origin: str) -> Iterator[LocalUserPool]:
    """A pool whose app client is told of the page, as one at Amazon would be."""
    redirects = [f"{origin}/docs/oauth2-redirect"]
    with LocalUserPool(redirect_uris=redirects, origins=[origin], scopes=["orders/read"]) as pool:
        pool.add_user("ada", groups=["editors"])
        yield pool


@pytest.fixture
def docs(
    pool: LocalUserPool, origin_and_app: tuple[str, _Late], new_browser: Callable[..., Any]
) -> "Page":
    """The page `/docs`, with FastAPI's own settings."""
    origin, late = origin_and_app
    auth = AmplifyAuth(pool.config(bearer=True))
    app = FastAPI()

    @app.get("/me")
    async def me(user: Annotated[AuthUser, Depends(auth.user)]) -> dict[str, str]:
        return {"hello": user.username}

    auth.init_app(app)
    late.app = app
    browser: BrowserContext = new_browser()
    browser.route(f"{_CDN}*", _fulfil)
    browser.route(_ICON, _fulfil)
    tab = browser.new_page()
    tab.set_viewport_size({"width": 1000, "height": 900})
    tab.goto(f"{origin}/docs")
    return tab


def _fulfil(route: "Route") -> None:
    """A file of Swagger UI, from this machine."""
    name = route.request.url.rpartition("/")[2]
    name = "favicon-32x32.png" if name == "favicon.png" else name
    types = {"js": "text/javascript", "css": "text/css", "png": "image/png"}
    body = files("fastapi_swagger").joinpath("resources", name).read_bytes()
    route.fulfill(body=body, content_type=types[name.rpartition(".")[2]])


def _try_out(tab: "Page") -> str:
    """Ask `/me` on the page; the status and body that it shows."""
    tab.locator("#operations-default-me_me_get").get_by_role("button", name="Execute").click()
    answer = tab.locator("#operations-default-me_me_get .live-responses-table .response")
    answer.wait_for()
    return answer.inner_text()


def test_the_authorize_button_signs_in_and_try_it_out_is_let_in(
    docs: "Page", pool: LocalUserPool
) -> None:
    docs.locator("#operations-default-me_me_get .opblock-summary-control").click()
    docs.get_by_role("button", name="Try it out").click()
    assert "401" in _try_out(docs)
    docs.get_by_role("button", name="Clear").click()

    docs.get_by_role("button", name="Authorize").click()
    dialog = docs.locator(".modal-ux .auth-container").filter(has_text=HOSTED)
    assert dialog.get_by_label("client_id").input_value() == "local-client"
    with docs.expect_popup() as opened:
        dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    fill_in(opened.value)
    dialog.get_by_text("Authorized").wait_for()
    docs.get_by_role("button", name="Close").first.click()

    shown = _try_out(docs)
    assert "200" in shown
    assert '"hello": "ada"' in shown
    assert pool.count("token") >= 1
