"""The program of the page on Bearer tokens, served as it is: asked by a browser, and by curl."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool
from tests.browser.acts import fill_in
from tests.browser.servers import wsgi_server
from tests.browser.site import ONE_SHELL
from tests.docs.pages import run
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
    ONE_SHELL,  # the program has chosen its own; the site of the other tests is not asked
]


class _Late:
    """The program behind its server's port, which it is told in its configuration."""

    app: Any

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


@pytest.fixture
def address(pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The program's own address; it is another one than on the page in its port alone."""
    late = _Late()
    monkeypatch.setenv("SESSION_KEY", "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM")
    with wsgi_server(late) as port:
        origin = f"http://localhost:{port}"

        def from_outputs(cls: Any, source: str, /, **options: Any) -> AmplifyConfig:
            options["routes"] = replace(options["routes"], origin=origin)
            return pool.config(**{**options, "client_id": [pool.client_id, "orders-job"]})

        monkeypatch.setattr(AmplifyConfig, "from_outputs", classmethod(from_outputs))
        late.app = run("bearer", only=0)["app"]
        yield origin


def curl(*arguments: str) -> tuple[int, Any]:
    """The status that curl got, and the members of the document."""
    command = ["curl", "--silent", "--noproxy", "*", "--max-time", str(int(PATIENCE))]
    command += ["--write-out", "\n%{http_code}", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    body, _, status = said.stdout.rpartition("\n")
    return int(status), json.loads(body)


def test_one_program_serves_a_browser_a_person_s_program_and_a_machine(
    address: str, pool: LocalUserPool, browser: "BrowserContext"
) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/orders")
    fill_in(tab)
    tab.wait_for_url(f"{address}/orders")
    tab.get_by_text('{"orders of":"ada"}').wait_for()
    (cookie,) = [one for one in browser.cookies() if one["name"].endswith("amplify-session")]

    token = pool.sign_in("grace").access_token
    asked = ["--header", f"Authorization: Bearer {token}", f"{address}/orders"]
    assert curl(*asked) == (200, {"orders of": "grace"})
    both = ["--header", f"Cookie: {cookie['name']}={cookie['value']}"]
    assert curl(*both, f"{address}/orders") == (200, {"orders of": "ada"})
    assert curl(*both, *asked)[0] == 400

    secret = pool.add_machine("orders-job", scopes=["orders/write"])
    form = ["--user", f"orders-job:{secret}", "--data", "grant_type=client_credentials"]
    _, got = curl(*form, f"{pool.url}/oauth2/token")
    machine = ["--header", f"Authorization: Bearer {got['access_token']}", f"{address}/orders"]
    assert curl("--request", "POST", *machine) == (200, {"added by": "orders-job"})
    assert curl(*machine)[0] == 403

    # A script of the page may send a header, too. That leaves the session as it is.
    said = tab.evaluate(
        """async token => {
            const got = await fetch("/orders", {headers: {authorization: `Bearer ${token}`}});
            return [got.status, got.headers.get("vary"), got.headers.get("set-cookie")];
        }""",
        pool.sign_in("ada").access_token,
    )
    assert said == [200, "Authorization", None]
    tab.goto(f"{address}/orders")
    tab.get_by_text('{"orders of":"ada"}').wait_for()
