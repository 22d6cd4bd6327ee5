"""`csrf="origin"`: what pages of other origins may not do for who is signed in."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar import post as litestar_post

from amplify_mw import ConfigurationError, CookiePolicy
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.testing import LocalUserPool, signed_in
from tests.mounts.apps import ask_asgi
from tests.routes.going import ORIGIN, auth_routes
from tests.shells import ASGIShell, Ask, Got, WSGIShell
from tests.sites import Build, Clock, Site, session_of, town

EVIL, SIBLING = "https://evil.example", "https://other.example.com"
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}


@pytest.fixture
def build(build: Build) -> Build:
    """Makes a site with sealed sessions, if no other kind is named."""
    return lambda kind="sealed", **options: build(kind, **options)


def asks(site: Site, path: str = "/a", method: str = "POST", **facts: Any) -> Got:
    """A request of who is signed in; of a foreign page's, unless `headers` say otherwise."""
    facts = {"headers": FOREIGN, **facts}
    return site.sign_in().does(path=path, method=method, **facts)


METHODS = ["POST", "PUT", "PATCH", "DELETE", "BREW", "post", ""]


@pytest.mark.parametrize("method", METHODS)
def test_unsafe_methods_of_a_foreign_page_are_refused(build: Build, method: str) -> None:
    got = asks(build(), method=method)
    assert got.status == 403
    assert (got.one("content-type"), got.one("cache-control")) == (
        "application/problem+json",
        "no-store",
    )
    problem = json.loads(got.body)
    assert (problem["status"], problem["title"]) == (403, "Forbidden")
    assert problem["detail"].startswith(
        "A page of another site asked for this, so it was not done."
    )
    assert EVIL not in got.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_are_not(build: Build, method: str) -> None:
    assert asks(build(), method=method).body == "ada"


@pytest.mark.parametrize("kind", ["token", "sealed", "memory"])
def test_it_is_so_for_each_kind_of_session(build: Build, kind: str) -> None:
    assert asks(build(kind)).status == 403


def test_the_sites_origins_are_read_once_and_not_on_each_request(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> str:
        raise AssertionError("an origin was read again")

    site = build(routes=auth_routes())
    browser = site.sign_in()
    monkeypatch.setattr("amplify_mw.config.config.check_origin", read)
    monkeypatch.setattr("amplify_mw.config.config.domains_above", read)
    assert browser.does(path="/a", method="POST", headers={"Origin": ORIGIN}).body == "ada"
    assert browser.does(path="/a", method="POST", headers=FOREIGN).status == 403
    assert browser.does(site.end(), method="POST").body == "None"


def test_a_refusal_changes_nothing(build: Build) -> None:
    site = build("memory")
    browser = site.sign_in()
    got = browser.does(site.end(), method="POST", headers=FOREIGN)
    assert (got.status, got.all("set-cookie")) == (403, [])
    assert browser.does().body == "ada"


@pytest.mark.parametrize("cookie", [None, "junk"])
def test_who_is_not_signed_in_is_the_apps_business(build: Build, cookie: str | None) -> None:
    site = build()
    browser = site.browser({} if cookie is None else {"amplify-session": cookie})
    assert browser.does(method="POST", headers=FOREIGN).status == 200


PAGES: list[tuple[dict[str, str], list[str], bool]] = [
    ({}, [], True),  # no browser
    ({"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, [], True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, [], True),
    ({"Sec-Fetch-Site": "none"}, [], True),
    ({"Sec-Fetch-Site": "same-site", "Origin": SIBLING}, [], False),
    ({"Sec-Fetch-Site": "same-site", "Origin": SIBLING}, [SIBLING], True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": SIBLING}, [SIBLING], True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, [SIBLING], False),
    ({"Sec-Fetch-Site": "cross-site"}, [SIBLING], False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, [], False),
    ({"Sec-Fetch-Site": "same-site", "Origin": "null"}, [SIBLING], False),
    ({"Sec-Fetch-Site": "same-origin, cross-site"}, [], False),
    ({"Sec-Fetch-Site": "Same-Origin"}, [], False),  # no browser spells it so
    ({"Sec-Fetch-Site": ""}, [], False),
    ({"Origin": ORIGIN}, [ORIGIN], True),  # an old browser
    ({"Origin": ORIGIN}, ["https://APP.example.com:443"], True),
    ({"Origin": ORIGIN}, [], False),
    ({"Origin": "null"}, [ORIGIN], False),
    ({"Origin": ""}, [ORIGIN], False),
    ({"Origin": f"{ORIGIN}, {EVIL}"}, [ORIGIN], False),
    ({"Origin": f"{ORIGIN}:8443"}, [ORIGIN], False),
    ({"Origin": "http://app.example.com"}, [ORIGIN], False),
]


@pytest.mark.parametrize(("headers", "origins", "is_good"), PAGES, ids=str)
def test_whose_page_it_is_browsers_tell(
    build: Build, headers: dict[str, str], origins: list[str], is_good: bool
) -> None:
    got = asks(build(origins=origins), headers=headers)
    assert (got.status == 200) is is_good


@pytest.mark.parametrize("origin", [ORIGIN, "https://APP.example.com:443"])
def test_the_routes_own_origin_is_known(build: Build, origin: str) -> None:
    site = build(routes=auth_routes(origin=origin))
    assert asks(site, headers={"Origin": ORIGIN}).body == "ada"
    assert asks(site, headers={"Origin": EVIL}).status == 403


# A WSGI server joins them, which is among the pages above.
@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_every_origin_that_is_sent_must_be_known(build: Build, shell: ASGIShell) -> None:
    site = build(origins=[ORIGIN])
    scope = shell.scope(Ask(cookies=site.sign_in().header, method="POST"))
    scope["headers"] += [(b"origin", ORIGIN.encode()), (b"origin", EVIL.encode())]
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(site.app(lambda: "hello")(scope, receive, send))
    assert messages[0]["status"] == 403


def test_it_can_be_left_to_the_app(build: Build) -> None:
    assert asks(build(csrf=None)).body == "ada"


@pytest.mark.parametrize("wrong", ["", "token", True, False])
def test_csrf_is_one_of_two_words(pool: LocalUserPool, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^csrf: write 'origin', or None"):
        pool.config(csrf=wrong)


# Exemptions.


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/a", "/hooks/a/b", "/paid", "/paid/"])
def test_a_path_can_be_exempt(build: Build, path: str) -> None:
    assert asks(build(csrf_exempt=["/hooks/*", "/paid"]), path).body == "ada"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/hook", "/hooksa", "/paid/a", "/HOOKS/a", "/a/hooks/b"),
        # read further down as /account, in one way or another
        "/hooks/../account",
        "/hooks/%2e%2e/account",
        "/hooks/..%2faccount",
        "/hooks/%252e%252e%252faccount",
        "/hooks\\..\\account",
        "/hooks/x/..//../account",
        "/hooks/%" + "25" * 40 + "41",  # in too many to tell
    ],
)
def test_no_spelling_widens_an_exemption(build: Build, path: str) -> None:
    assert asks(build(csrf_exempt=["/hooks/*", "/paid"]), path).status == 403


def test_no_mount_inside_a_path_widens_an_exemption(pool: LocalUserPool) -> None:
    """Litestar takes what stands behind the mount, wherever that is."""

    @litestar_post("/transfer")
    async def transfer() -> str:
        return "done"

    app = Litestar([transfer], openapi_config=None, logging_config=None)
    site = AmplifyASGIMiddleware(app, pool.config(csrf_exempt=["/hooks/*"]))
    cookie = f"amplify-session={pool.sign_in('ada').access_token}"
    facts: Any = {"method": "POST", "headers": {**FOREIGN, "Cookie": cookie}}
    for path in ("/api/transfer", "/hooks/api/transfer"):
        assert ask_asgi(app, path, "/api", **facts).status == 201
        assert ask_asgi(site, path, "/api", **facts).status == 403
    assert ask_asgi(site, "/api/hooks/a", "/api", **facts).status == 404


@pytest.mark.parametrize("path", ["/hooks//a", "/hooks/./a", "/hooks/a%20b", "/hooks/%61"])
def test_an_exempt_path_is_exempt_in_spellings_that_lead_nowhere_else(
    build: Build, path: str
) -> None:
    assert asks(build(csrf_exempt=["/hooks/*"]), path).body == "ada"


@pytest.mark.parametrize("shell", [WSGIShell], indirect=True)
@pytest.mark.parametrize(
    ("path", "status"), [("/\xc3\xa9", "200 Said"), ("/\xff", "403 Forbidden")]
)
def test_bytes_that_are_no_text_are_not_exempt(
    build: Build, shell: WSGIShell, path: str, status: str
) -> None:
    site = build(csrf_exempt=["/*"])
    environ = shell.environ(Ask("/", cookies=site.sign_in().header, method="POST"))
    environ |= {"PATH_INFO": path, "HTTP_SEC_FETCH_SITE": "cross-site"}
    statuses: list[str] = []
    site.app(lambda: "hello")(environ, lambda status, headers: statuses.append(status))
    assert statuses == [status]


def test_exemptions_are_below_the_mount_as_other_paths_are(build: Build) -> None:
    site = build(csrf_exempt=["/hooks/*"], protect=["/account"])
    assert asks(site, "/hooks/a", mount="/shop").body == "ada"
    assert asks(site, "/a", mount="/hooks").status == 403


@pytest.mark.parametrize("wrong", ["/a", ["a"], ["/a*"], ["/a/../b"], ["/a%2f"], [""], [1]])
def test_exemptions_are_written_as_other_paths_are(pool: LocalUserPool, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^csrf_exempt: "):
        pool.config(csrf_exempt=wrong)


def test_a_guarded_path_is_no_exception(build: Build) -> None:
    site = build(protect=["/account"])
    assert asks(site, "/account").status == 403
    assert asks(site, "/account", headers={"Sec-Fetch-Site": "same-origin"}).body == "ada"
    assert site.browser().does(path="/account", method="POST", headers=FOREIGN).status == 401


def test_an_ignored_path_is_not_looked_at(build: Build) -> None:
    assert asks(build(ignore=["/hooks/*"]), "/hooks/a").status == 200


# Around it.


def send(site: Site, app: Any, **facts: Any) -> Got:
    cookies = site.sign_in().header
    return site.shell.send(app, Ask(cookies=cookies, method="POST", headers=FOREIGN, **facts))


def test_of_two_middlewares_of_one_configuration_the_outer_one_asks(build: Build) -> None:
    site = build()
    app = site.shell.middleware(site.app(lambda: "hello"), site.engine)
    assert send(site, app).status == 403


def test_each_of_two_configurations_asks(build: Build) -> None:
    site, lenient = build(), build(csrf=None)
    for inner, outer in ((site, lenient), (lenient, site)):
        app = site.shell.middleware(inner.app(lambda: "hello"), outer.engine)
        assert send(site, app).status == 403


def test_a_test_may_say_who_is_signed_in(build: Build) -> None:
    site = build()
    with signed_in("grace"):
        assert site.browser().does(method="POST", headers=FOREIGN).body == "grace"


NAME_IT = "if that page is one of your own, write its origin into origins=[...]"


def refusals(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    return [(level, text) for level, text in said if "foreign_origin" in text]


def test_the_log_names_the_origin_and_the_option(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")
    asks(build())
    page = f"Origin '{EVIL}', Sec-Fetch-Site 'cross-site'"
    assert refusals(caplog) == [
        ("WARNING", f"answered 403: foreign_origin (POST '/a', {page}; {NAME_IT})"),
    ]


def test_only_the_first_of_a_middleware_is_loud(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")
    site = build()
    app = site.app(lambda: "hello")
    for _ in range(3):
        assert send(site, app).status == 403
    assert [level for level, _ in refusals(caplog)] == ["WARNING", "DEBUG", "DEBUG"]


def test_an_origin_of_null_has_a_mend_of_its_own(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(origins=[ORIGIN])
    assert asks(site, headers={"Origin": "null"}).status == 403
    [(_, said)] = refusals(caplog)
    assert "Origin 'null'; a page in a sandbox, or one with Referrer-Policy: no-referrer" in said
    assert (
        "answer it with Referrer-Policy: same-origin, or write its target into csrf_exempt" in said
    )
    # That mend: the path alone, and whatever its page's origin.
    site = build(origins=[ORIGIN], csrf_exempt=["/hooks/*"])
    assert asks(site, "/hooks/a", headers={"Origin": "null"}).body == "ada"
    assert asks(site, "/a", headers={"Origin": "null"}).status == 403


@pytest.mark.parametrize(
    "sent",
    ["\x1b[2J\x00", "https://a\xe9.example", "'\"%s{}", "https://" + "a" * 100_000, "", "null "],
)
def test_what_a_client_sends_is_escaped_and_cut_in_the_log(
    build: Build, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Origin": sent, "Sec-Fetch-Site": sent or "cross-site"}
    assert asks(build(), headers=headers).status == 403
    [(_, said)] = refusals(caplog)
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 500


# A site over plain http: browsers send it no `Sec-Fetch-Site`, but an `Origin` with every form.


@pytest.mark.parametrize("named", ["origins", "routes"])
def test_a_site_on_plain_http_takes_its_own_forms(build: Build, named: str) -> None:
    own = "http://intranet.example.com"
    options: dict[str, Any] = {"origins": {"origins": [own], "cookie": CookiePolicy(secure=False)}}
    options["routes"] = {
        "routes": auth_routes(origin=own),
        "cookie": CookiePolicy(secure=False),
        "allow_insecure_http": True,
    }
    site = build(**options[named])
    assert asks(site, headers={"Origin": own}).body == "ada"
    for foreign in (
        EVIL,
        "http://evil.example",
        "null",
        f"{own}:8080",
        own.replace("http", "https"),
    ):
        assert asks(site, headers={"Origin": foreign}).status == 403
    browser = site.sign_in()
    assert browser.does(site.end(), method="POST", headers={"Origin": own}).body == "None"
    assert browser.does().body == "NotAuthorizedException no_session"


# Web views of apps, and extensions of browsers.

APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://11111111-2222-3333-4444-555555555555",
]


@pytest.mark.parametrize("app", APPS)
def test_an_apps_origin_can_be_named(build: Build, app: str) -> None:
    site = build(origins=[app], cookie=CookiePolicy(same_site="None"))
    for fetch_site in ({}, {"Sec-Fetch-Site": "cross-site"}):
        assert asks(site, headers={"Origin": app, **fetch_site}).body == "ada"
    for other in (app + "x", app.upper(), app.replace("://", ":/"), f"https://{app}", f"{app}:1"):
        assert asks(site, headers={"Origin": other}).status == 403
    assert asks(build(), headers={"Origin": app}).status == 403


@pytest.mark.parametrize("app", APPS)
def test_an_app_starts_and_ends_sessions(build: Build, app: str) -> None:
    site = build("memory", origins=[app])
    foreign = {"headers": {"Sec-Fetch-Site": "cross-site", "Origin": app}, "method": "POST"}
    browser = site.browser()
    assert browser.does(site.start(site.pool.sign_in("ada")), **foreign).body == "ada"
    assert browser.does(site.end(), **foreign).body == "None"
    assert browser.does().body == "NotAuthorizedException no_session"


@pytest.mark.parametrize("app", APPS)
def test_an_app_opens_websockets(tmp_path: Path, app: str) -> None:
    with town(clock := Clock()) as pool:
        site = Site(ASGIShell(), pool, clock, session_of("sealed", clock, tmp_path), origins=[app])
        answers = [_shake_hands(site, origin) for origin in (app, app + "x", "null")]
        assert answers == ["websocket.accept", "websocket.close", "websocket.close"]
        site.close()


def test_a_refused_websocket_is_told_with_its_origin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with town(clock := Clock()) as pool:
        site = Site(ASGIShell(), pool, clock, session_of("sealed", clock, tmp_path))
        assert _shake_hands(site, EVIL) == "websocket.close"
        site.close()
    assert refusals(caplog) == [
        ("WARNING", f"answered 403: foreign_origin (GET '/', Origin '{EVIL}'; {NAME_IT})")
    ]


def test_a_function_that_refuses_tells_the_log_why(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")
    site = build("memory", csrf=None)
    site.browser().does(site.start(site.pool.sign_in("ada")), headers=FOREIGN)
    page = f"Origin '{EVIL}', Sec-Fetch-Site 'cross-site'"
    assert f"start_session refused: cross_site ({page}; {NAME_IT})" in caplog.messages


@pytest.mark.parametrize("csrf", ["origin", None])
def test_websockets_have_a_rule_of_their_own(tmp_path: Path, csrf: Any) -> None:
    with town(clock := Clock()) as pool:
        kind = session_of("sealed", clock, tmp_path)
        site = Site(ASGIShell(), pool, clock, kind, csrf=csrf, csrf_exempt=["/*"])
        for origin, answer in ((EVIL, "websocket.close"), (None, "websocket.accept")):
            assert _shake_hands(site, origin) == answer
        site.close()


def _shake_hands(site: Site, origin: str | None) -> str:
    headers = {} if origin is None else {"Origin": origin}
    scope = site.shell.scope(Ask(cookies=site.sign_in().header, headers=headers))  # type: ignore[union-attr]
    del scope["method"]
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def keep(message: Any) -> None:
        messages.append(message)

    middleware: Any = site.shell.middleware(app, site.engine)
    asyncio.run(middleware({**scope, "type": "websocket"}, receive, keep))
    return str(messages[0]["type"])
