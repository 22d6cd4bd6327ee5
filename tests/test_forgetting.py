"""What a browser may keep of a signed-in user, and what it is told to forget afterwards."""

from typing import Any

import pytest

from amplify_mw import AmplifyCookies, CookiePolicy, require_auth
from tests.routes.going import Visitor, auth_routes
from tests.shells import AppAnswer, ASGIShell, AwaitingShell, WSGIShell
from tests.sites import KINDS, LASTING, NAME, Browser, Build, Clock, Site

AHEAD = '"prefetchCache", "prerenderCache"'


class TestKeeping:
    """`cache_control`: the `Cache-Control` of signed-in answers that have none of their own."""

    @pytest.mark.parametrize(
        ("options", "guarded", "open_"),
        [
            ({}, "no-store", "private"),
            ({"cache_control": "no-store"}, "no-store", "no-store"),
            ({"cache_control": "private"}, "private", "private"),
        ],
    )
    def test_what_guards_let_through_is_stored_nowhere(
        self, build: Build, options: Any, guarded: str, open_: str
    ) -> None:
        site = build(protect=["/account/*"], **options)
        ada = site.sign_in()
        assert ada.does(path="/account/orders").one("cache-control") == guarded
        assert ada.does(require_auth(site.who), path="/").one("cache-control") == guarded
        assert ada.does(site.who, path="/").one("cache-control") == open_

    def test_a_protected_path_need_not_ask(self, build: Build) -> None:
        ada = build(protect=["/account"]).sign_in()
        got = ada.ask(lambda: "hello", path="/account")
        assert (got.one("cache-control"), got.one("vary")) == ("no-store", "Cookie")

    @pytest.mark.parametrize("said", ["max-age=60", "private", "no-cache", "public"])
    @pytest.mark.parametrize("option", [None, "no-store", "private"])
    def test_what_the_page_says_itself_stays(self, build: Build, said: str, option: Any) -> None:
        ada = build(protect=["/account"], cache_control=option).sign_in()
        answer = AppAnswer(headers=[("Cache-Control", said)])
        assert ada.ask(lambda: answer, path="/account").one("cache-control") == said

    def test_nobodys_pages_may_be_kept(self, build: Build) -> None:
        nobody = build(protect=["/account"], cache_control="no-store").browser()
        assert nobody.does(path="/").one("cache-control") is None

    def test_a_page_that_asks_nothing_says_nothing(self, build: Build) -> None:
        ada = build(cache_control="no-store").sign_in()
        got = ada.ask(lambda: "hello")
        assert (got.one("cache-control"), got.one("vary")) == (None, None)

    def test_a_user_who_may_not_see_it_gets_an_answer_that_is_not_stored(
        self, build: Build
    ) -> None:
        site = build(cache_control="private")
        guarded = require_auth(groups=["editors"])(site.who)
        got = site.sign_in().ask(lambda: str(guarded()))
        assert (got.status, got.one("cache-control")) == (403, "no-store")


class TestForgetting:
    """`Clear-Site-Data`, where a session begins or ends."""

    @pytest.fixture(params=[WSGIShell, ASGIShell, AwaitingShell], ids=["wsgi", "asgi", "awaiting"])
    def shell(self, request: pytest.FixtureRequest) -> Any:
        return request.param()

    @pytest.mark.parametrize("kind", [*KINDS, "amplify"])
    def test_what_the_former_user_was_to_see_is_forgotten_at_both_ends(
        self, build: Build, kind: str
    ) -> None:
        site = build(AmplifyCookies() if kind == "amplify" else kind)
        browser = site.browser()
        begun = browser.does(site.start(site.pool.sign_in("ada")))
        assert (begun.body, begun.one("clear-site-data")) == ("ada", AHEAD)
        assert browser.does().one("clear-site-data") is None
        ended = browser.does(site.end())
        assert (ended.one("clear-site-data"), ended.one("cache-control")) == (AHEAD, "no-store")
        assert browser.does().one("clear-site-data") is None

    def test_the_apps_own_word_is_added_to(self, build: Build) -> None:
        site = build()
        ada = site.sign_in()

        def leave() -> AppAnswer:
            site.verbs.end_session()
            return AppAnswer(headers=[("Clear-Site-Data", '"storage"')])

        assert ada.ask(leave).one("clear-site-data") == f'"storage", {AHEAD}'
        assert NAME not in ada.jar

    @pytest.mark.parametrize("kind", [*LASTING, "amplify"])
    def test_a_refresh_forgets_nothing(self, build: Build, clock: Clock, kind: str) -> None:
        site = build(AmplifyCookies() if kind == "amplify" else kind)
        ada = site.sign_in()
        clock.advance(2 * 3600)
        for got in (ada.does(), ada.does(site.refresh)):
            assert got.one("clear-site-data") is None
        assert ada.does().body == "ada"

    def test_a_session_that_was_ended_elsewhere_is_forgotten_here(self, build: Build) -> None:
        site = build("memory")
        here, there = site.sign_in(), site.sign_in()
        there.does(lambda: [_end(site, one) for one in site.verbs.list_sessions()])
        got = here.does()
        assert got.clears_cookie
        assert got.one("clear-site-data") == AHEAD

    def test_over_plain_http_browsers_are_not_told_what_they_do_not_obey(
        self, build: Build
    ) -> None:
        options = {"cookie": CookiePolicy(secure=False), "origins": ["http://intranet.example.com"]}
        site = build(**options)
        assert site.sign_in().does(site.end()).one("clear-site-data") is None

    def test_the_cookies_of_the_domain_are_never_named(self, build: Build) -> None:
        site = build()
        ada: Browser = site.sign_in()
        assert "cookies" not in str(ada.does(site.end()).one("clear-site-data"))


def _end(site: Site, one: Any) -> None:
    if not one.is_current:
        site.verbs.end_session_by_handle(one.handle)


class TestRoutes:
    """The sign-in routes send it as well."""

    @pytest.fixture
    def visitor(self, build: Build) -> Visitor:
        return Visitor(build(routes=auth_routes()))

    def test_at_the_end_of_a_sign_in(self, visitor: Visitor) -> None:
        got = visitor.sign_in()
        assert (visitor.user, got.one("clear-site-data")) == ("ada", AHEAD)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_at_a_sign_out(self, visitor: Visitor, method: str) -> None:
        visitor.sign_in()
        assert visitor.go("/auth/sign-out", method=method).one("clear-site-data") == AHEAD

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_at_a_sign_out_after_the_session_has_run_out(
        self, visitor: Visitor, method: str
    ) -> None:
        assert visitor.go("/auth/sign-out", method=method).one("clear-site-data") == AHEAD

    def test_not_where_a_sign_in_begins_or_comes_to_nothing(self, visitor: Visitor) -> None:
        assert visitor.go("/auth/sign-in").one("clear-site-data") is None
        got = visitor.come_back("/auth/sign-in-callback?state=1.a&error=access_denied")
        assert got.one("clear-site-data") is None
        assert visitor.go("/auth/sign-out", fetch_site="cross-site").status == 403
