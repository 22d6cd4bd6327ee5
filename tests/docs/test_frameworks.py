"""The complete apps of the documentation do what their pages say, by their frameworks' clients."""

import asyncio
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bottle
import pytest
from fastapi.testclient import TestClient
from flask import Flask
from starlette.testclient import WebSocketDenialResponse
from werkzeug.test import Client

from amplify_mw import (
    AmplifyConfig,
    AuthUser,
    NewSignIn,
    PageContext,
    SealedSession,
    StoredSession,
    TokenSet,
    get_current_user,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.events import SignedIn
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.docs.pages import PAGES, blocks, run
from tests.docs.visitor import Visitor, next_page

pytestmark = pytest.mark.usefixtures("surroundings")
HTTPS = {"base_url": "https://localhost"}


@pytest.fixture
def ada(pool: LocalUserPool) -> str:
    return pool.sign_in("ada").id_token


@pytest.fixture
def grace(pool: LocalUserPool) -> str:
    return pool.sign_in("grace").id_token


def as_user(client: Any, token: str, path: str) -> Any:
    """What a client gets with a token in its cookie."""
    return client.get(path, headers={"Cookie": f"amplify-session={token}"})


def statuses(client: Any, path: str, *tokens: str) -> list[int]:
    """The status for nobody, and for each token."""
    found = [client.get(path).status_code]
    return found + [as_user(client, token, path).status_code for token in tokens]


def test_flask(ada: str, grace: str) -> None:
    page = run("frameworks/flask")
    client = page["app"].test_client(use_cookies=False)
    assert client.get("/").text == "Hello, stranger"
    assert as_user(client, ada, "/").text == "Hello ada"
    assert as_user(client, ada, "/api/me").json["username"] == "ada"
    assert [client.get("/account").status_code, client.get("/api/me").status_code] == [401, 401]
    assert statuses(client, "/admin/", ada, grace) == [401, 200, 403]
    app = page["create_app"]()
    app.get("/account")(lambda: "the account")
    assert statuses(app.test_client(use_cookies=False), "/account", ada) == [401, 200]


def test_flask_tells_of_sign_ins(capsys: pytest.CaptureFixture[str]) -> None:
    page = run("frameworks/flask")
    page["user_signed_in"].send(page["app"], event=SignedIn("routes", user_id="0f3c"))
    assert capsys.readouterr().out == "0f3c has signed in\n"


def test_quart(ada: str, grace: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = run("frameworks/quart")
    app = page["app"]

    async def ask(path: str, token: str | None = None, method: str = "GET") -> tuple[int, str]:
        headers = {} if token is None else {"Cookie": f"amplify-session={token}"}
        client = app.test_client(use_cookies=False)
        answer = await client.open(path, method=method, headers=headers)
        return answer.status_code, await answer.get_data(as_text=True)

    async def visit() -> None:
        assert [await ask("/", token) for token in (None, ada)] == [
            (200, "Hello, stranger"),
            (200, "Hello ada"),
        ]
        assert await ask("/account", ada) == (200, "The account of ada@example.com")
        assert (await ask("/account"))[0] == 401
        assert [(await ask("/api/me", token))[0] for token in (None, ada, grace)] == [401, 200, 403]
        async with app.test_app():
            await ask("/orders", ada, "POST")
        headers = {"Cookie": f"amplify-session={ada}"}
        async with app.test_client().websocket("/updates", headers=headers) as socket:
            assert await socket.receive() == "Hello ada"

    asyncio.run(visit())
    assert capsys.readouterr().out == "to ada@example.com\n"


def test_pyramid(ada: str, grace: str) -> None:
    client = Client(run("frameworks/pyramid")["app"], use_cookies=False)
    assert (client.get("/").json, as_user(client, ada, "/").json) == (
        {"hello": "stranger"},
        {"hello": "ada"},
    )
    assert statuses(client, "/account", ada) == [401, 200]
    assert statuses(client, "/edit", ada, grace) == [401, 200, 403]


def test_fastapi(ada: str, grace: str) -> None:
    client = TestClient(run("frameworks/fastapi")["app"])
    assert client.get("/").json() == {"hello": "stranger"}
    assert as_user(client, ada, "/").json() == {"hello": "ada"}
    assert as_user(client, ada, "/api/me").json()["email"] == "ada@example.com"
    assert client.get("/api/me").status_code == 401
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
    headers = {"Cookie": f"amplify-session={ada}"}
    with client.websocket_connect("/feed", headers=headers) as socket:
        assert socket.receive_text() == "hello ada"


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["added", "wrapped"])
def test_starlette(ada: str, grace: str, is_wrapped: bool) -> None:
    page = run("frameworks/starlette")
    app = page["app"]
    if is_wrapped:
        bare = page["Starlette"](routes=app.routes)
        page["handle_auth_errors"](bare)
        app = AmplifyASGIMiddleware(bare, page["config"])
    client = TestClient(app)
    assert client.get("/").text == "Hello, stranger"
    assert as_user(client, ada, "/api/me").json()["username"] == "ada"
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
    assert client.get("/greeting").text == "Hello stranger"
    assert as_user(client, ada, "/greeting").text == "Hello ada"
    assert statuses(client, "/drafts", ada, grace) == [403, 200, 403]


def test_bottle(ada: str, grace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottle, "DEBUG", False)
    page = run("frameworks/bottle")
    client = Client(page["app"], use_cookies=False)
    assert client.get("/").text == "Hello, stranger"
    assert as_user(client, ada, "/").text == "Hello ada"
    assert statuses(client, "/account", ada) == [401, 200]
    assert statuses(client, "/admin/x", ada) == [401, 404]
    assert statuses(client, "/api/me", ada, grace) == [401, 200, 403]
    site = Client(page["site"], use_cookies=False)
    assert statuses(site, "/shop/cart", ada) == [401, 200]


def first_of(client: Any, path: str, token: str | None = None) -> str:
    """The first thing that a WebSocket says."""
    headers = {} if token is None else {"Cookie": f"amplify-session={token}"}
    with client.websocket_connect(path, headers=headers) as socket:
        said: str = socket.receive_text()
    return said


def test_litestar(ada: str, grace: str) -> None:
    page = run("frameworks/litestar")
    extra = [page[name] for name in ("greeting", "desk", "summary")]
    app = page["app"]
    for handler in extra:
        app.register(handler)
    client = TestClient(app)
    assert client.get("/").text == client.get("/greeting").text == "Hello, stranger"
    assert as_user(client, ada, "/").text == as_user(client, ada, "/greeting").text == "Hello ada"
    assert as_user(client, ada, "/account").json() == {"name": "ada", "email": "ada@example.com"}
    assert statuses(client, "/account", ada) == [401, 200]
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
    assert statuses(client, "/desk", ada, grace) == [401, 200, 403]
    summaries = [as_user(client, token, "/summary").text for token in (ada, grace, ada)]
    assert summaries == [f"The summary of {name}" for name in ("ada", "grace", "ada")]
    assert first_of(client, "/updates", ada) == "Hello ada"
    with pytest.raises(WebSocketDenialResponse):
        first_of(client, "/updates")
    assert TestClient(page["wrapped"]).get("/private/unknown").status_code == 401


def test_falcon(ada: str, grace: str) -> None:
    page = run("frameworks/falcon")
    client = TestClient(page["app"])
    assert client.get("/").text == "Hello, stranger"
    assert as_user(client, ada, "/").text == "Hello ada"
    assert as_user(client, ada, "/account").json() == {"name": "ada", "email": "ada@example.com"}
    assert statuses(client, "/account", ada) == [401, 200]
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
    assert as_user(client, ada, "/report").text == "of ada"
    assert first_of(client, "/reports", ada) == "Hello ada"
    wsgi = Client(page["wsgi_app"], use_cookies=False)
    assert statuses(wsgi, "/api/me", ada, grace) == [401, 200, 403]


def test_blacksheep(ada: str, grace: str) -> None:
    page = run("frameworks/blacksheep")
    client = TestClient(page["app"])
    assert client.get("/").text == "Hello, stranger"
    assert as_user(client, ada, "/").text == "Hello ada"
    assert as_user(client, ada, "/account").text == "ada: ada@example.com"
    assert statuses(client, "/account", ada) == [401, 200]
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
    assert statuses(client, "/billing", ada) == [401, 200]
    assert first_of(client, "/updates", ada) == "Hello ada"


def test_sanic(ada: str, grace: str) -> None:
    page = run("frameworks/sanic")
    page["site"].config.TOUCHUP = False  # (it rewrites the class, and is for one app a process)
    with TestClient(page["app"]) as client:
        assert client.get("/").text == "Hello, stranger"
        assert as_user(client, ada, "/").text == "Hello ada"
        assert as_user(client, ada, "/account").text == "We write to ada@example.com."
        assert statuses(client, "/account", ada) == [401, 200]
        assert statuses(client, "/reports", ada, grace) == [401, 200, 403]
        assert statuses(client, "/native", ada) == [401, 200]
        assert first_of(client, "/updates", ada) == "Hello ada"
        with pytest.raises(WebSocketDenialResponse):
            first_of(client, "/updates", grace)


def test_a_framework_that_is_not_on_the_list_and_plain_apps(ada: str, grace: str) -> None:
    page = run("frameworks/others")
    client = Client(page["app"], use_cookies=False)
    assert as_user(client, ada, "/reports").text == "all reports, ada"
    assert statuses(client, "/reports", ada, grace) == [401, 200, 403]

    @page["guarded_socket"]
    async def handler(socket: Any) -> None:
        get_current_user()

    async def sockets(scope: Any, receive: Any, send: Any) -> None:
        await handler(SimpleNamespace(scope=scope, send=send, accepted=False))

    with pytest.raises(WebSocketDenialResponse):
        first_of(TestClient(AmplifyASGIMiddleware(sockets, page["config"])), "/")
    plain = Client(page["wsgi_app"], use_cookies=False)
    assert as_user(plain, ada, "/").text == "Hello ada"
    assert plain.get("/").status_code == 401
    assert as_user(TestClient(page["asgi_app"]), ada, "/").text == "Hello ada"


DJANGO = """
import sys
from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool

pool = LocalUserPool()
pool.start()
pool.add_user("ada", email="ada@example.com", email_verified="true", groups=["editors"])
pool.add_user("grace", email="grace@example.com")
AmplifyConfig.from_outputs = classmethod(lambda cls, source, **given: pool.config(**given))

import django
django.setup()
from django.core.management import call_command
from starlette.testclient import TestClient
from tests.docs.visitor import Visitor, next_page
from werkzeug.test import Client


def browser(page, name):
    \"\"\"A browser in which somebody has signed in on the way to a page.\"\"\"
    from mysite import asgi

    client = TestClient(asgi.application, "https://localhost:8000")
    visitor = Visitor(client, "http://localhost:8000")
    assert next_page(visitor.sign_in(pool, page, name)) == page
    return visitor
"""

WITHOUT_ROWS = """
from mysite import wsgi

call_command("check", fail_level="INFO")
site = Client(wsgi.application, use_cookies=False)
assert "Hello, stranger" in site.get("/", base_url="http://localhost").text
for page in ("/account/", "/edit/"):
    assert "/auth/sign-in?next=" in site.get(page, base_url="http://localhost").location
assert site.get("/api/me", base_url="http://localhost").status_code == 401
ada, grace = browser("/account/", "ada"), browser("/account/", "grace")
assert ada.get("/account/").text == "The account of ada: ada@example.com"
assert "Hello ada" in ada.get("/").text and "Edit</a>" in ada.get("/").text
assert "Hello grace" in grace.get("/").text and "Edit</a>" not in grace.get("/").text
assert [each.get("/edit/").status_code for each in (ada, grace)] == [200, 403]
assert ada.get("/api/me").json()["username"] == "ada"
cookies = "; ".join(f"{name}={value}" for name, value in ada.client.cookies.items())
behind_wsgi = site.get("/account/", base_url="http://localhost", headers={"Cookie": cookies})
assert behind_wsgi.text == "The account of ada: ada@example.com"
ada.post("/auth/sign-out")
assert "Hello, stranger" in ada.get("/").text

from django.test.utils import override_settings

with override_settings(LOGIN_URL="/login"):
    call_command("check")

import unittest
from django.test.utils import setup_test_environment
setup_test_environment()
from mysite import tests
found = unittest.defaultTestLoader.loadTestsFromModule(tests)
result = unittest.TextTestRunner(stream=sys.stderr).run(found)
assert result.testsRun == 3 and result.wasSuccessful()
pool.close()
"""

WITH_ROWS = """
call_command("migrate", verbosity=0)
call_command("check", fail_level="INFO")
ada, grace = browser("/account/", "ada"), browser("/account/", "grace")
assert "Hello ada" in ada.get("/").text
assert ada.get("/admin/auth/user/").status_code == 200
assert grace.get("/admin/login/?next=/admin/").status_code == 403
assert grace.get("/account/").text == "The account of grace: grace@example.com"
from django.contrib.auth.models import User
assert sorted(User.objects.values_list("username", "email")) == [
    ("ada", "ada@example.com"), ("grace", "")  # hers is not verified
]
form = ada.get("/admin/")
token = ada.client.cookies["csrftoken"]
answer = ada.client.post(
    "/admin/logout/",
    data={"csrfmiddlewaretoken": token},
    headers={"Referer": "https://localhost:8000/admin/"},
    follow_redirects=False,
)
assert answer.headers["Location"] == "/auth/sign-out"
assert ada.get("/admin/").status_code == 302
pool.close()
"""


def run_django(folder: Path, settings: str, program: str) -> str:
    """What a program prints in the project of the page."""
    for block in blocks("frameworks/django", "python", "html"):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(PAGES_ROOT), *sys.path])
    command = [sys.executable, "-c", DJANGO + program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


PAGES_ROOT = Path(__file__).parent.parent.parent


def test_django(tmp_path: Path) -> None:
    said = run_django(tmp_path, "mysite.settings", WITHOUT_ROWS)
    for block in blocks("frameworks/django", "console"):
        assert block.text.partition("\n")[2] in said


def test_django_with_rows(tmp_path: Path) -> None:
    run_django(tmp_path, "mysite.settings_rows", WITH_ROWS)


@pytest.mark.parametrize("number", [0, 1], ids=["flask", "fastapi"])
def test_the_quickstart_signs_in_and_out(pool: LocalUserPool, number: int) -> None:
    page = run("quickstart", only=number)
    app, site = page["app"], page["SITE"]
    browser = Visitor(app.test_client() if number == 0 else TestClient(app, site), site)
    assert next_page(browser.sign_in(pool, "/account", "ada")) == "/account"
    assert "Hello ada, we write to ada@example.com." in browser.get("/account").text
    browser.post("/auth/sign-out")
    assert browser.get("/account").status_code == 302


def test_a_password_is_asked_again_before_an_account_is_deleted(pool: LocalUserPool) -> None:
    page = run("sign-in")
    browser = Visitor(page["app"].test_client(), "https://app.example.com")
    browser.sign_in(pool, "/account", "ada")
    assert browser.post("/account/delete").text == "deleted"


def test_the_sign_in_page_asks_the_app_before_a_sign_in() -> None:
    page = run("sign-in")
    ada = NewSignIn(AuthUser("ada", "0f3c"), {"email": "ada@example.com"}, TokenSet("a", "b"))
    page["admit"](ada)
    assert page["users"] == {"0f3c": "ada@example.com"}
    page["blocked"].add("0f3c")
    with pytest.raises(PermissionError):
        page["admit"](ada)


def test_curl_prints_what_the_sessions_page_says(pool: LocalUserPool, ada: str) -> None:
    app = Flask(__name__)
    handle_auth_errors(app)
    app.get("/")(run("index")["greeting"])
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, pool.config())  # type: ignore[method-assign]
    client = app.test_client(use_cookies=False)
    shown = re.findall(r"\$ curl .*\n(.*)\n", PAGES["sessions"])
    assert [as_user(client, ada, "/").text, client.get("/").text] == shown


def test_the_guards_of_the_page_answer_with_pages_of_its_own() -> None:
    page = run("guards", AmplifyConfig=AmplifyConfig)
    assert page["forbidden_page"](PageContext(403, "", "", "/")) == (
        "<h1>This is not for you, visitor</h1>"
    )
    assert page["config"].pages.keys() == {401, 403, 503}
    client = page["app"].test_client()
    assert client.get("/orders").text == "<h1>Please sign in</h1>"
    assert client.get("/account").status_code == client.get("/api").status_code == 401
    opened = client.get("/account", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert opened.location == "/login?next=%2Faccount"
    assert client.get("/api/health").status_code == 404  # which is the app's own answer


def test_the_functions_of_the_user_page_answer() -> None:
    page = run("user")
    with signed_in("ada", groups=["editors"], email="ada@example.com"):
        assert page["profile"]() == {"email": "ada@example.com"}


def test_behind_the_proxy_of_the_page_people_sign_in_below_its_prefix() -> None:
    config = run("deployment")["config"]
    client = Client(AmplifyWSGIMiddleware(run("frameworks/others")["site"], config))
    opened = client.get("/account", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert opened.location == "/app/auth/sign-in?next=%2Fapp%2Faccount"
    away = client.get("/auth/sign-in").location
    assert "https%3A%2F%2Fwww.example.com%2Fapp%2Fauth%2Fsign-in-callback" in away


def refuse(environ: Any, start_response: Any) -> Any:
    raise AssertionError("this app is not called")


def test_the_listeners_of_the_events_page_are_told(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    page = run("events")
    with caplog.at_level("INFO", logger="audit"):
        for listener in (page["count"], page["note"]):
            listener(page["SignedIn"]("routes", user_id="0f3c"))
            listener(page["SignInFailed"]("access_denied", "routes", 403))
    assert page["counts"] == {"SignedIn": 1, "SignInFailed": 1, "access_denied": 1}
    assert caplog.messages == ["signed in: 0f3c"]
    app = AmplifyWSGIMiddleware(refuse, page["config"], protect=["/*"], on_event=page["watch"])
    as_user(Client(app, use_cookies=False), "no-token", "/")
    page["watch"](page["Outage"]("the store", over=True))
    assert page["refusals"] == {"malformed_token": 1}
    assert capsys.readouterr().out == "the store answers again\n"


KINDS: list[Callable[[], Any]] = [
    lambda: StoredSession(MemoryStore()),
    lambda: SealedSession(keys=[b"k" * 32]),
]


@pytest.mark.parametrize("kind", [None, *KINDS], ids=["of the page", "stored", "sealed"])
def test_the_session_page_signs_in_and_out(
    kind: Callable[[], Any] | None, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind:
        local = staticmethod(lambda _, **given: pool.config(**given | {"session": kind()}))
        monkeypatch.setattr(AmplifyConfig, "from_outputs", local)
    with run("sessions")["app"].test_client() as client:
        form = {"name": "ada", "password": "correct horse"}
        wrong = client.post("/sign-in", data={**form, "password": "guessed"}, **HTTPS)
        assert (wrong.status_code, client.get("/", **HTTPS).status_code) == (401, 401)
        assert client.post("/sign-in", data=form, **HTTPS).text == "Hello ada."
        assert client.get("/", **HTTPS).text == "Hello ada."
        assert client.post("/sign-out", **HTTPS).text == "Goodbye."
        assert client.get("/", **HTTPS).status_code == 401


def test_the_devices_page_ends_one_and_all(pool: LocalUserPool) -> None:
    page = run("devices", pool=pool)
    phone, laptop = page["app"].test_client(), page["app"].test_client()
    for client in (phone, laptop):
        assert client.post("/start", **HTTPS).status_code == 200
    assert laptop.get("/devices", **HTTPS).text.count("a phone") == 2
    forms = laptop.get("/devices", **HTTPS).text.split("<form")[1:]
    (other,) = [form for form in forms if "(this one)" not in form]
    action = other.split('action="')[1].split('"')[0]
    assert laptop.post(action, **HTTPS).status_code == 303
    assert phone.get("/devices", **HTTPS).status_code == 401
    assert laptop.post("/devices/nothing/end", **HTTPS).status_code == 404
    user_id = str(uuid.uuid4())
    assert laptop.post(f"/admin/users/{user_id}/sign-out", **HTTPS).status_code == 303


def test_amplify_js_beside_tells_nobody_from_somebody() -> None:
    assert run("amplify-js")["app"].test_client().get("/api/me").status_code == 401


def test_the_cors_layer_of_the_page_answers_preflights() -> None:
    client = TestClient(run("other-sites")["app"])
    asked = {"Origin": "https://admin.example.com", "Access-Control-Request-Method": "GET"}
    answer = client.options("/", headers=asked)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://admin.example.com"
