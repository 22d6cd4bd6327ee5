"""The README's programs run, and print what it says. (Its `>>>` examples run as doctests.)"""

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from amplify_mw import AmplifyConfig, AuthRoutes
from amplify_mw.routes.failures import Code
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import AuthorizeError, Down

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    if ">>>" not in block
]
[OWN_STORE] = [program for program in PROGRAMS if "(SessionStore)" in program]
[OWN_STORES_TESTS] = [program for program in PROGRAMS if "StoreContract" in program]
PROGRAMS = [program for program in PROGRAMS if program not in (OWN_STORE, OWN_STORES_TESTS)]
OUTPUTS = re.compile(r'\.from_outputs\(\s*"amplify_outputs\.json"')


def run(program: str, pool: LocalUserPool) -> dict[str, Any]:
    """Run a program, with what names Amazon pointed at the local pool."""
    local = f"(user_pool_id={pool.user_pool_id!r}, client_id={pool.client_id!r}, "
    local += f"endpoint_url={pool.url!r}, issuer={pool.issuer!r}, domain={pool.url!r}"
    assert OUTPUTS.search(program)
    amazon = f'boto3.client("cognito-idp", endpoint_url={pool.url!r}, region_name="eu-west-1")'
    program = OUTPUTS.sub(lambda _: local, program).replace(
        'boto3.client("cognito-idp", region_name="eu-west-1")', amazon
    )
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(program, namespace)
    return namespace


def test_there_are_four_flask_programs_and_one_of_fastapi() -> None:
    found = [re.search(r"^from (flask|fastapi)", program, re.MULTILINE) for program in PROGRAMS]
    assert [match and match[1] for match in found] == [
        "flask",
        "fastapi",
        "flask",
        "flask",
        "flask",
    ]


def test_the_flask_program_prints_what_the_readme_says(pool: LocalUserPool) -> None:
    client = run(PROGRAMS[0], pool)["app"].test_client()
    shown = re.findall(r"\$ curl .*\n(.*)\n", README.read_text())[:2]
    refused = client.get("/")
    client.set_cookie("amplify-session", pool.sign_in("ada").access_token)
    assert [client.get("/").text, refused.text] == shown


def test_the_fastapi_program_knows_the_user(pool: LocalUserPool) -> None:
    client = TestClient(run(PROGRAMS[1], pool)["app"])
    assert client.get("/api/me").status_code == 401
    client.cookies.set("amplify-session", pool.sign_in("ada").access_token)
    assert client.get("/api/me").json()["email"] == "ada@example.com"


KEY = "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM"
KINDS = [
    'StoredSession(SQLiteStore("sessions.db"))',
    f"__import__('amplify_mw').SealedSession(keys=[{KEY!r}])",
    "StoredSession(__import__('amplify_mw.stores').stores.MemoryStore())",
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_that_signs_people_in_does_so_and_out(
    kind: str, pool: LocalUserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert KINDS[0] in PROGRAMS[2]
    program = PROGRAMS[2].replace(KINDS[0], kind)
    with run(program, pool)["app"].test_client() as client:
        form = {"name": "ada", "password": "correct horse"}
        site = {"base_url": "https://localhost"}
        wrong = client.post("/sign-in", data={**form, "password": "guessed"}, **site)
        assert (wrong.status_code, client.get("/", **site).status_code) == (401, 401)
        assert client.post("/sign-in", data=form, **site).text == "Hello ada."
        assert client.get("/", **site).text == "Hello ada."
        assert client.post("/sign-out", **site).text == "Goodbye."
        assert client.get("/", **site).status_code == 401


SITE = "https://app.example.com"
SEALED = 'SealedSession(keys=[os.environ["SESSION_KEY"]])'
ROUTES = f'AuthRoutes(origin="{SITE}")'
STORE = "__import__('amplify_mw.stores').stores.MemoryStore()"
ROUTES_WITH_KEY = f'AuthRoutes(origin="{SITE}", keys=[{KEY!r}])'
HOSTED_KINDS = {
    SEALED: ROUTES,
    f"__import__('amplify_mw').StoredSession({STORE})": ROUTES_WITH_KEY,
    f"[{SEALED}, __import__('amplify_mw').TokenSession()]": ROUTES,
}


class Browser:
    """A browser at the site of the program that has the sign-in routes."""

    def __init__(self, app: Any) -> None:
        self._client = app.test_client()

    def get(self, url: str, site: str = "same-origin") -> Any:
        """Open a page. `site`: where it is opened from."""
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": site}
        path = url.removeprefix(SITE)
        page = self._client.get(path, base_url=SITE, headers=headers)
        if f'content="0;url={escape(path)}"' not in page.text:
            return page
        headers["Sec-Fetch-Site"] = "same-origin"  # a page that goes to itself, with all cookies
        return self._client.get(path, base_url=SITE, headers=headers)

    def post(self, path: str, site: str = "same-origin") -> Any:
        """Send an empty form."""
        return self._client.post(path, base_url=SITE, headers={"Sec-Fetch-Site": site})


def next_page(page: Any) -> str:
    """Where a page leads to by itself."""
    (url,) = re.findall('content="0;url=(.+?)"', page.text)
    return unescape(url)


@pytest.fixture(params=HOSTED_KINDS.items(), ids=["sealed", "stored", "several"])
def browser(
    request: pytest.FixtureRequest, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> Browser:
    monkeypatch.setenv("SESSION_KEY", KEY)
    kind, routes = request.param
    assert SEALED in PROGRAMS[3]
    assert ROUTES in PROGRAMS[3]
    program = PROGRAMS[3].replace(SEALED, kind).replace(ROUTES, routes)
    return Browser(run(program, pool)["app"])


def test_the_program_with_the_routes_signs_people_in_and_takes_them_back(
    browser: Browser, pool: LocalUserPool
) -> None:
    (link,) = re.findall('href="(.+?)"', browser.get("/").text)
    back = browser.get(pool.authorize(browser.get(link).location, "ada"), "cross-site")
    target = next_page(back)
    assert target == "/account"
    assert browser.get(target).text.startswith("Hello ada. ")


def test_the_programs_guarded_page_leads_to_the_pool_and_back(
    browser: Browser, pool: LocalUserPool
) -> None:
    leaving = browser.get(browser.get("/account").location).location
    assert leaving.startswith(f"{pool.url}/oauth2/authorize?")
    back = browser.get(pool.authorize(leaving, "ada"), "cross-site")
    assert next_page(back) == "/account"


def test_the_programs_button_signs_out_here_and_at_the_pool(
    browser: Browser, pool: LocalUserPool
) -> None:
    cookies: dict[str, str] = {}
    leaving = browser.get("/auth/sign-in?next=/account").location
    browser.get(pool.authorize(leaving, "ada", cookies=cookies), "cross-site")
    (action,) = re.findall('action="(.+?)"', browser.get("/account").text)
    home = pool.authorize(next_page(browser.post(action)), None, cookies=cookies)
    assert browser.get(home, "cross-site").location == "/"
    assert browser.get("/account").status_code == 302
    assert "local-pool-session" not in cookies


def test_below_a_mount_the_routes_are_too(
    pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = re.findall(r'needs\n`(mount="/shop")`', README.read_text())[0]
    monkeypatch.setenv("SESSION_KEY", KEY)
    routes = f"{ROUTES}, {mount}"
    app = run(PROGRAMS[3].replace(ROUTES, routes), pool)["app"]
    mounted = DispatcherMiddleware(app.wsgi_app, {"/shop": app.wsgi_app})
    away = Client(mounted).get("/shop/auth/sign-in").location
    assert "%2Fshop%2Fauth%2Fsign-in-callback" in away


def test_other_sites_neither_sign_in_nor_out_nor_post(
    browser: Browser, pool: LocalUserPool
) -> None:
    browser.get(pool.authorize(browser.get("/auth/sign-in").location, "ada"))
    asked = browser.get("/auth/sign-in", "cross-site")
    refused = [browser.get("/auth/sign-out", "cross-site"), browser.post("/", "cross-site")]
    assert (asked.status_code, "Location" in asked.headers) == (200, False)
    assert [answer.status_code for answer in refused] == [403, 403]
    assert browser.get("/account").status_code == 200


def test_the_step_up_of_the_readme_asks_for_the_password_again(
    browser: Browser, pool: LocalUserPool
) -> None:
    (link,) = re.findall(r"`(/auth/sign-in\?prompt=.+?)`", README.read_text())
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
def test_a_code_of_the_readme_has_the_status_that_it_says(
    browser: Browser, pool: LocalUserPool, operation: str, fault: Any
) -> None:
    code = "access_denied" if operation == "authorize" else "provider_unavailable"
    leaving = browser.get("/auth/sign-in").location
    with pool.fault(operation, fault):
        back = browser.get(pool.authorize(leaving, "ada"), "cross-site")
    assert f"| `{code}` | {back.status_code} |" in README.read_text()


def test_the_readme_has_every_code_of_a_sign_in_that_comes_to_nothing() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", README.read_text(), re.MULTILINE)
    documented = {code: int(status) for code, status in rows}
    assert documented == {str(code): code.status for code in Code}


def test_the_oauth_block_of_the_readme_configures_the_routes() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    auth = {"user_pool_id": "eu-west-1_Ab12Cd34E", "user_pool_client_id": "web"}
    outputs = {"version": "1.4", "auth": {**auth, "oauth": json.loads(block)}}
    routes = AuthRoutes(origin=SITE, keys=[KEY])
    config = AmplifyConfig.from_outputs(outputs, routes=routes)
    assert config.domain == "https://myapp.auth.eu-west-1.amazoncognito.com"
    assert config.routes is not None
    assert config.routes.redirect_sign_in == (config.routes.callback_url,)
    assert config.routes.redirect_sign_out == (config.routes.sign_out_callback_url,)
    assert config.routes.scope == AuthRoutes(origin=SITE).scope


def test_the_readme_counts_the_cases_of_the_comparison() -> None:
    table = README.with_name("tests") / "amplify_js" / "PARITY.md"
    counted = re.search(r"^(\d+) cases", table.read_text(), re.MULTILINE)
    assert counted is not None
    assert f"{counted[1]} cases one by one" in README.read_text()


OWN: dict[str, Any] = {"__name__": "own_store"}
exec(OWN_STORE + OWN_STORES_TESTS, OWN)
TestStoreOfTheReadme = OWN["TestDictStore"]
