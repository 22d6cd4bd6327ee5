"""Refusals as people see them in a browser, and `AmplifyConfig(pages=...)`."""

import json
from typing import Any

import bottle
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from werkzeug.test import Client

from amplify_mw import (
    AmplifyConfig,
    ConfigurationError,
    ForbiddenException,
    NetworkError,
    PageContext,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations import bottle as for_bottle
from amplify_mw.integrations import flask as for_flask
from amplify_mw.integrations import starlette as for_starlette
from amplify_mw.testing import AuthorizeError, signed_in
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.routes.going import Visitor, auth_routes, pool_of
from tests.shells import Got
from tests.sites import Build, Site

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
PROGRAMS = [
    {},
    {"Accept": "*/*"},
    {"Accept": "application/json"},
    {**PERSON, "Sec-Fetch-Mode": "cors"},
    {**PERSON, "Sec-Purpose": "prefetch"},
]
HTML, PROBLEM = "text/html; charset=utf-8", "application/problem+json"
VARY = "Cookie, Accept, Sec-Fetch-Mode, Sec-Purpose"


def raising(error: Exception) -> Any:
    def handler() -> str:
        raise error

    return handler


FORBIDDEN = raising(ForbiddenException(reason="missing_group"))
UNAVAILABLE = raising(NetworkError(reason="store_unavailable", retry_after=3))


def asked(site: Site, handler: Any = lambda: "the app", **facts: Any) -> Got:
    facts = {"path": "/private", "headers": PERSON, **facts}
    return site.browser().ask(handler, **facts)


def private(build: Build, **options: Any) -> Site:
    return build("token", protect=["/private"], **options)


@pytest.mark.parametrize(
    ("handler", "path", "status", "title"),
    [
        (FORBIDDEN, "/", 403, "Not allowed"),
        (UNAVAILABLE, "/", 503, "Please try again"),
        (FORBIDDEN, "/private", 401, "Please sign in"),
    ],
)
def test_a_person_gets_a_page(
    build: Build, handler: Any, path: str, status: int, title: str
) -> None:
    got = asked(private(build), handler, path=path)
    assert (got.status, got.one("content-type")) == (status, HTML)
    assert f"<h1>{title}</h1>" in got.body
    assert int(got.one("content-length") or 0) == len(got.body.encode())
    assert (got.one("cache-control"), got.one("vary")) == ("no-store", VARY)
    assert "default-src 'none'" in (got.one("content-security-policy") or "")
    assert (got.one("www-authenticate") is not None) is (status == 401)
    assert got.one("retry-after") == ("3" if status == 503 else None)
    for word in ("missing_group", "no_session", "store_unavailable", "<script"):
        assert word not in got.body


@pytest.mark.parametrize("headers", PROGRAMS)
@pytest.mark.parametrize("handler", [FORBIDDEN, UNAVAILABLE])
def test_a_program_gets_a_problem_document(
    build: Build, headers: dict[str, str], handler: Any
) -> None:
    for path in ("/", "/private"):
        got = asked(private(build, pages={401: "<p>a</p>"}), handler, path=path, headers=headers)
        assert (got.one("content-type"), got.one("vary")) == (PROBLEM, VARY)
        assert json.loads(got.body)["status"] == got.status


def test_head_gets_the_headers_of_the_page(build: Build) -> None:
    site = private(build)
    page, head = asked(site), asked(site, method="HEAD")
    assert head.body == ""
    assert (head.status, head.headers) == (page.status, page.headers)


def test_a_form_of_a_person_gets_a_page_without_a_way_back_to_it(build: Build) -> None:
    got = asked(private(build, login_url="/login"), method="POST", path="/private")
    assert (got.status, got.one("content-type")) == (401, HTML)
    assert '<a href="/login">Sign in</a>' in got.body


def test_a_person_is_still_sent_to_sign_in(build: Build) -> None:
    got = asked(private(build, login_url="/login", pages={401: "<p>mine</p>"}))
    assert (got.status, got.one("location")) == (302, "/login?next=%2Fprivate")


def test_a_foreign_form_gets_a_page_that_says_so(build: Build) -> None:
    site = build("memory")
    headers = {**PERSON, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    got = site.sign_in().does(method="POST", path="/a", headers=headers)
    assert (got.status, got.one("content-type")) == (403, HTML)
    assert "A page of another site asked for this" in got.body
    assert "evil" not in got.body


def test_try_again_leads_to_the_same_page(build: Build) -> None:
    got = asked(private(build), UNAVAILABLE, path="/<b>", query="a=1&b=<i>")
    assert "<b>" not in got.body
    assert "<i>" not in got.body
    assert 'href="/%3Cb%3E?a=1&amp;b=%3Ci%3E"' in got.body


# Pages of the app's own.


def test_a_template_is_filled_and_escaped(build: Build) -> None:
    template = "<h1>$title</h1> <p>$text ${path} $status $sign_in_url $retry_after $code</p> $$5"
    site = private(build, pages={503: template}, login_url="/login")
    got = asked(site, UNAVAILABLE, path='/"<b>', query="a=1")
    assert (got.status, got.one("content-type")) == (503, HTML)
    assert got.body == (
        "<h1>Please try again</h1> <p>This site cannot check right now who is signed in. Please "
        "try again in a moment. /&quot;&lt;b&gt; 503 "
        "/login?next=%2F%2522%253Cb%253E%3Fa%3D1 3 </p> $5"
    )


def test_a_function_gets_the_facts(build: Build) -> None:
    told: list[PageContext] = []

    def page(context: PageContext) -> str:
        told.append(context)
        return "<p>Grüße</p>"

    site = build("memory", pages={403: page})
    got = site.sign_in().ask(FORBIDDEN, path="/a", query="secret=1", headers=PERSON)
    assert got.body == "<p>Grüße</p>"
    assert got.one("content-length") == str(len("<p>Grüße</p>".encode()))
    assert "default-src 'self'" in (got.one("content-security-policy") or "")
    [context] = told
    assert context.user is not None
    assert (context.user.username, context.path, context.status) == ("ada", "/a", 403)
    assert "missing_group" not in repr(context)


async def awaited(context: PageContext) -> str:
    return "<p>late</p>"


class Broken(Exception):
    pass


def broken(context: PageContext) -> str:
    raise Broken


@pytest.mark.parametrize(
    "page", [broken, lambda _: None, lambda _: b"<p>", lambda _: "\ud800", lambda c: awaited(c)]
)
def test_a_page_that_fails_is_logged_and_the_plain_one_goes(
    build: Build, page: Any, caplog: pytest.LogCaptureFixture
) -> None:
    got = asked(private(build, pages={401: page}))
    assert (got.status, got.one("content-type")) == (401, HTML)
    assert "<h1>Please sign in</h1>" in got.body
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "the app's page for 401 has failed"
    assert record.exc_info is not None


def failed(build: Build, **options: Any) -> Got:
    routes = auth_routes(**options.pop("routes", {}))
    visitor = Visitor(build("memory", routes=routes, **options))
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied", "ada said no")):
        return visitor.come_back(pool_of(visitor).authorize(visitor.leave(next="/orders"), "ada"))


def test_a_failed_sign_in_has_a_page_of_its_own(build: Build) -> None:
    template = '<h1>$title</h1><a href="$sign_in_url">$code</a><p>$path</p>'
    got = failed(build, pages={"sign_in_failed": template})
    assert got.status == 403
    assert got.body == (
        '<h1>Not signed in</h1><a href="/auth/sign-in?next=%2Forders">access_denied</a>'
        "<p>/auth/sign-in-callback</p>"
    )
    assert any("Max-Age=0" in line for line in got.all("set-cookie"))  # the attempt is used up


def test_on_error_comes_first(build: Build) -> None:
    page = {"sign_in_failed": "<p>mine</p>"}
    assert "mine" not in failed(build, pages=page, routes={"on_error": "/sorry"}).body


def test_a_failed_page_of_a_failed_sign_in_is_the_plain_one(build: Build) -> None:
    assert "<h1>Not signed in</h1>" in failed(build, pages={"sign_in_failed": broken}).body


def test_a_sign_out_link_of_another_site_gets_a_page(build: Build) -> None:
    visitor = Visitor(build("memory", routes=auth_routes()))
    got = visitor.go("/auth/sign-out", fetch_site="cross-site", headers=PERSON)
    assert (got.status, got.one("content-type")) == (403, HTML)
    assert "Only this site&#x27;s own pages can sign you out." in got.body


# Frameworks.


CONFIG = AmplifyConfig(
    user_pool_id="eu-west-1_Pages0001", client_id="web", pages={403: "<p>$username: no</p>"}
)


@require_auth(groups=["admins"])
def admins_only() -> str:
    return "secret"


def flask_site() -> Any:
    app = Flask(__name__)
    for_flask.handle_auth_errors(app)
    app.get("/")(admins_only)
    return Client(AmplifyWSGIMiddleware(app, CONFIG))


def bottle_site() -> Any:
    app = bottle.Bottle()
    app.get("/")(admins_only)
    for_bottle.handle_auth_errors(app)
    return Client(AmplifyWSGIMiddleware(app, CONFIG))


def fastapi_site() -> Any:
    app = FastAPI()
    for_starlette.handle_auth_errors(app)
    app.get("/")(admins_only)
    return TestClient(AmplifyASGIMiddleware(app, CONFIG))


@pytest.mark.parametrize("made", [flask_site, bottle_site, fastapi_site])
def test_the_integrations_answer_with_the_page(made: Any) -> None:
    client = made()
    with signed_in("ada"):
        got, program = client.get("/", headers=PERSON), client.get("/")
    assert (got.status_code, got.headers["content-type"]) == (403, HTML)
    assert got.text == "<p>ada: no</p>"
    assert program.headers["content-type"] == PROBLEM


# Options.


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ("<p>a</p>", "write a mapping"),
        ({404: "<p>a</p>"}, "there is none for 404; write 401, 403, 503 or 'sign_in_failed'"),
        ({"401": "<p>a</p>"}, "there is none for '401'"),
        ({403: "templates/403.html"}, "write the page itself"),
        ({403: "<p>$titel</p>"}, r"write \$code, .*; got \$titel"),
        ({403: "<script>$(1)</script>"}, "got a lone"),
        ({403: awaited}, "it is not awaited"),
        ({403: 7}, "write HTML text, or a function .*; got int"),
        ({403: PageContext}, "got the class PageContext"),
    ],
)
def test_pages_that_cannot_work_are_refused(pages: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"pages: .*{said}"):
        CONFIG.replace(pages=pages)


def test_pages_are_compared_and_the_configuration_can_be_hashed() -> None:
    mine: dict[Any, Any] = {403: "<p>$username: no</p>"}
    assert CONFIG == CONFIG.replace(pages=mine) != CONFIG.replace(pages={})
    assert hash(CONFIG) == hash(CONFIG.replace(pages=mine))
    mine[401] = "<p>later</p>"
    assert 401 not in CONFIG.replace(pages={403: broken}).pages
