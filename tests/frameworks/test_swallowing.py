"""A framework, or a view, that swallows, repeats, logs, keeps or copies an exception.

The answer is the documented 401, 403 or 503, or the framework's own to its own errors: never
another user's page, and never a token in a page or in the log.
"""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient
from werkzeug.test import Client

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool
from tests.frameworks.swallowing import ALL_IS_WELL, ASGI, SWALLOWED, WSGI, kept, name
from tests.shells import ASGIShell, Ask, Got, WSGIShell


@dataclass(frozen=True)
class Page:
    """An answer; where the app lets an exception out, status 500 and what a server logs."""

    status: int
    text: str
    cookies: list[str]

    @property
    def clears(self) -> bool:
        return any(line.startswith("amplify-session=;") for line in self.cookies)


class Site:
    """A framework's app, asked with a session cookie or without."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def get(self, path: str, cookie: str | None = None) -> Page:
        headers = {} if cookie is None else {"Cookie": f"amplify-session={cookie}"}
        try:
            answer = self._client.get(path, headers={"Accept": "text/html", **headers})
        except (ZeroDivisionError, RuntimeError):
            return Page(500, traceback.format_exc(), [])
        lines = getattr(answer.headers, "getlist", None) or answer.headers.get_list
        return Page(answer.status_code, answer.text, lines("set-cookie"))


Build = Callable[..., Site]


@pytest.fixture(params=[*WSGI, *ASGI])
def build(request: pytest.FixtureRequest, pool: LocalUserPool) -> Iterator[Build]:
    """Makes a framework's site."""
    framework = request.param
    with ExitStack() as open_clients:

        def build(config: AmplifyConfig | None = None, **options: bool) -> Site:
            config = config or pool.config(protect=["/private/*"])
            app = (WSGI | ASGI)[framework](config, **{"catches": False, "debug": False} | options)
            if framework in WSGI:
                return Site(Client(app, use_cookies=False))
            client = TestClient(app, "http://localhost", raise_server_exceptions=False)
            return Site(open_clients.enter_context(client))

        yield build
        kept.clear()


@pytest.fixture
def site(build: Build) -> Site:
    return build()


@pytest.fixture
def bob(pool: LocalUserPool) -> str:
    return pool.sign_in("bob").access_token


def shows(text: str, token: str) -> bool:
    """Whether a text has a token, or a part of one."""
    return any(part in text for part in token.split("."))


@pytest.mark.parametrize("path", ["/name", "/retry", "/log", "/copied"])
def test_an_error_that_leaves_the_view_is_a_401_and_each_user_sees_itself(
    site: Site, path: str, ada: str, bob: str
) -> None:
    cookies = [None, ada, "junk", bob, None, ada]
    seen = [site.get(path, cookie) for cookie in cookies]
    assert [page.status for page in seen] == [401, 200, 401, 200, 401, 200]
    assert [page.text for page in seen if page.status == 200] == ["ada", "bob", "ada"]
    assert [page.clears for page in seen] == [cookie == "junk" for cookie in cookies]


def test_a_view_that_swallows_the_error_has_nobody(site: Site, ada: str, bob: str) -> None:
    cookies = [None, ada, "junk", bob, None]
    seen = [site.get("/swallow", cookie) for cookie in cookies]
    assert [page.text for page in seen] == [SWALLOWED, "ada", SWALLOWED, "bob", SWALLOWED]
    assert [page.clears for page in seen] == [cookie == "junk" for cookie in cookies]


def test_a_protected_path_is_refused_before_a_view_could_swallow_it(site: Site, ada: str) -> None:
    for cookie in (None, "junk"):
        page = site.get("/private/page", cookie)
        assert (page.status, SWALLOWED in page.text) == (401, False)
    assert site.get("/private/page", ada).text == "ada"


def test_a_user_without_the_group_gets_403(site: Site, ada: str, pool: LocalUserPool) -> None:
    assert [site.get("/edit", cookie).status for cookie in (None, "junk", ada)] == [401, 401, 403]
    assert site.get("/edit", pool.sign_in("eve").access_token).text == "eve"


@pytest.mark.parametrize("catches", [False, True])
def test_a_user_who_cannot_be_told_now_gets_503_and_keeps_the_cookie(
    build: Build, catches: bool
) -> None:
    with LocalUserPool() as gone:
        gone.add_user("ada")
        token = gone.sign_in("ada").access_token
        config = gone.config(protect=["/private/*"])
    site = build(config, catches=catches)
    paths = ["/name", "/retry", "/log", "/copied", "/edit", "/private/page", "/swallow"]
    seen = {path: site.get(path, token) for path in paths}
    assert [page.status for page in seen.values()] == [503] * 6 + [200]
    assert seen["/swallow"].text == SWALLOWED
    assert not any(page.cookies or shows(page.text, token) for page in seen.values())


def test_a_handler_for_every_exception_gets_no_refusal(build: Build, ada: str) -> None:
    """It would turn a 401 into a 200; the app's other faults are its own."""
    site = build(catches=True)
    for path in ("/name", "/retry", "/edit", "/copied", "/private/page"):
        page = site.get(path, "junk")
        assert (path, page.status, page.clears) == (path, 401, True)
        assert ALL_IS_WELL not in page.text
    assert site.get("/edit", ada).status == 403
    for path in ("/crash", "/wrapped"):
        assert site.get(path, ada if path == "/crash" else None).text == ALL_IS_WELL


def test_another_requests_error_is_answered_as_this_requests(
    site: Site, ada: str, bob: str
) -> None:
    """An app that keeps an exception raises it where another visitor asks."""
    assert site.get("/keep", "junk").clears
    for cookie in (ada, bob, None):
        page = site.get("/keep", cookie)
        assert (page.status, page.clears) == (401, False)
        assert "ada" not in page.text
        assert "bob" not in page.text


def test_a_fault_made_of_a_refusal_is_the_apps_own(site: Site) -> None:
    for cookie in (None, "junk"):
        assert site.get("/wrapped", cookie).status == 500


@pytest.mark.parametrize("debug", [False, True])
def test_no_page_and_no_log_shows_a_token(
    build: Build,
    ada: str,
    debug: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("bottle.DEBUG", debug)
    site = build(debug=debug)
    forged = f"{ada[:-6]}AAAAAA"
    pages = [site.get(path, ada) for path in ("/crash", "/wrapped", "/log", "/edit")]
    pages += [site.get(path, forged) for path in ("/crash", "/wrapped", "/log", "/keep")]
    assert [page.status for page in pages] == [500, 200, 200, 403, 401, 500, 401, 401]
    assert not [page.text for page in pages if shows(page.text, ada) or shows(page.text, forged)]
    assert not shows(caplog.text, ada)
    assert not shows(caplog.text, forged)


# --- apps without a framework, in which another middleware stands


def repeating_wsgi(app: Any) -> Any:
    """Calls the app once more if it fails."""

    def called(environ: Any, start_response: Any) -> Any:
        try:
            return app(environ, start_response)
        except Exception:  # noqa: BLE001  # that is what it is here for
            return app(environ, start_response)

    return called


def repeating_asgi(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception:  # noqa: BLE001  # likewise
            await app(dict(scope), receive, send)

    return called


@pytest.mark.parametrize(
    ("shell", "repeat"),
    [(WSGIShell(), repeating_wsgi), (ASGIShell(), repeating_asgi)],
    ids=["wsgi", "asgi"],
)
def test_an_app_that_is_called_again_is_refused_once(
    shell: Any, repeat: Any, pool: LocalUserPool, ada: str, bob: str
) -> None:
    app = shell.middleware(repeat(shell.app(name)), pool.config())
    seen: list[Got] = [shell.send(app, Ask(cookie=cookie)) for cookie in (None, ada, "junk", bob)]
    assert [page.status for page in seen] == [401, 200, 401, 200]
    assert [page.clears_cookie for page in seen] == [False, False, True, False]
    assert [page.body for page in seen if page.status == 200] == ["ada", "bob"]
