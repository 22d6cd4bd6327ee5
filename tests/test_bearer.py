"""`Authorization: Bearer` beside the cookie, behind both shells."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    ConfigurationError,
    SealedSession,
    StoredSession,
    carry,
    events,
    fetch_auth_session,
    fetch_user_attributes,
    get_current_user,
    handle_server_auth,
    require_auth,
    user_or_none,
)
from amplify_mw.credentials import Credential
from amplify_mw.engine.engine import Engine
from amplify_mw.errors import AuthError
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import Down, LocalUserPool, signed_in
from tests.shells import AppAnswer, ASGIShell, Ask, Got, Shell, WSGIShell
from tests.sites import KINDS, Build, Clock, Site

OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
KEY = "A" * 43
BARE = 'Bearer realm="api"'


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada", email="ada@example.com", groups=["editors"])
        pool.add_user("bob")
        yield pool


def who() -> str:
    try:
        return get_current_user().username
    except AuthError as error:
        return error.reason


def asking() -> str:
    return get_current_user().username


def bearing(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


def problem(got: Got) -> Any:
    assert got.one("content-type") == "application/problem+json"
    return json.loads(got.body)


_DJANGO = """
import sys
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from amplify_mw import AmplifyConfig, get_current_user
from amplify_mw.wsgi import AmplifyWSGIMiddleware

def view(request):
    get_current_user()

urlpatterns = [path("", view)]
middleware = ["amplify_mw.integrations.django.AuthErrorMiddleware"]
names = {"ROOT_URLCONF": __name__, "SECRET_KEY": "x", "MIDDLEWARE": middleware}
settings.configure(ALLOWED_HOSTS=["*"], **names)
django.setup()
config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", bearer=True)
app = AmplifyWSGIMiddleware(get_wsgi_application(), config)
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "a", "SERVER_PORT": "80"}
environ["wsgi.input"] = sys.stdin.buffer

def start_response(status, headers, exc_info=None):
    print(status, [value for name, value in headers if name == "WWW-Authenticate"])

list(app(environ, start_response))
"""


def test_django_has_both_challenges_in_one_header() -> None:
    command = [sys.executable, "-c", _DJANGO]
    said = subprocess.run(command, capture_output=True, text=True, check=True, input="")
    status, _, challenges = said.stdout.partition(" Unauthorized ")
    assert status == "401"
    assert challenges.strip() == (
        """['Bearer realm="api", Cookie realm="sign-in", cookie-name="amplify-session"']"""
    )


class Api:
    """An app with `bearer=True`. `heard`: its events."""

    def __init__(
        self, shell: Shell, pool: LocalUserPool, handler: Any = who, **options: Any
    ) -> None:
        self.heard: list[Any] = []
        self.shell = shell
        self.pool = pool
        options = {"bearer": True, "keys": pool.jwks(), "on_event": self.heard.append, **options}
        self.engine = Engine(pool.config(**options), time.time)  # it shares nothing
        self.app: Any = shell.middleware(shell.app(handler), self.engine)

    def ask(self, authorization: str | None = None, **facts: Any) -> Got:
        headers = dict(facts.pop("headers", {}))
        if authorization is not None:
            headers["Authorization"] = authorization
        return self.shell.send(self.app, Ask(headers=headers, **facts))

    def token(self, name: str = "ada", **facts: Any) -> str:
        return self.pool.mint(name, "access", **facts)

    def by(self, name: str = "ada", **facts: Any) -> Got:
        return self.ask("Bearer " + self.token(name), **facts)


@pytest.fixture
def api(shell: Shell, pool: LocalUserPool) -> Callable[..., Api]:
    def api(handler: Any = who, **options: Any) -> Api:
        return Api(shell, pool, handler, **options)

    return api


Make = Callable[..., Api]


class TestRead:
    def test_it_signs_in_at_first_sight_and_again(self, api: Make) -> None:
        site = api()
        header = "Bearer " + site.token()
        assert [site.ask(header).body for _ in range(2)] == ["ada", "ada"]

    @pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "bEARER    "])
    def test_the_scheme_has_any_case(self, api: Make, scheme: str) -> None:
        site = api()
        token = site.token()
        assert [site.ask(scheme + token).body for _ in range(2)] == ["ada", "ada"]
        assert len(site.engine.authenticator.verdicts) == 1  # type: ignore[arg-type]

    def test_without_the_option_it_is_not_read(self, api: Make) -> None:
        assert api(bearer=False).by().body == "no_session"

    @pytest.mark.parametrize("header", ["Basic YTpi", "Negotiate abc", "AWS4-HMAC-SHA256 a=b"])
    def test_another_scheme_is_as_if_absent(self, api: Make, header: str) -> None:
        site = api()
        assert site.ask(header).body == "no_session"
        assert site.ask(header, cookie=site.pool.mint("bob")).body == "bob"

    @pytest.mark.parametrize(
        "header",
        [
            *("", "Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer a, Bearer b"),
            *("Bearer \xff", "Bearer " + "a" * 100_000),
        ],
        ids=lambda text: text[:20],
    )
    def test_a_malformed_one_has_one_reason(self, api: Make, header: str) -> None:
        assert api().ask(header).body == "malformed_header"
        got = api(asking).ask(header, cookie=api().pool.mint("ada"))
        assert (got.status, got.one("www-authenticate")) == (
            400,
            f'{BARE}, error="invalid_request"',
        )
        assert got.all("set-cookie") == []

    @pytest.mark.parametrize("other", ["Bearer {}", "Basic YTpi", "bearer x"])
    def test_two_headers_are_malformed(self, api: Make, other: str) -> None:
        site = api()
        token = site.token()
        one, two = f"Bearer {token}", other.format(token)
        for pair in ((one, two), (two, one)):
            if isinstance(site.shell, WSGIShell):
                body = site.ask(",".join(pair)).body
            else:
                scope = site.shell.scope(Ask())
                scope["headers"] = [(b"authorization", each.encode()) for each in pair]
                body = asyncio.run(_sent(site.app, scope))
            assert body == "malformed_header"

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"algorithm": "none"}, "unsupported_algorithm"),
            ({"algorithm": "HS256"}, "unsupported_algorithm"),
            ({"key": "unknown"}, "unknown_key"),
            ({"expires_in": -100}, "token_expired"),
            ({"client_id": "other"}, "wrong_client"),
            ({"issuer": "https://evil.example"}, "wrong_issuer"),
            ({"claims": {"token_use": "refresh"}}, "wrong_token_use"),
            ({"claims": {"sub": None}}, "missing_claim"),
            ({"claims": {"username": None}}, "missing_claim"),
            ({"claims": {"exp": "soon"}}, "malformed_token"),
            ({"header": {"crit": ["b64"]}}, "malformed_token"),
        ],
    )
    def test_a_wrong_token_is_refused_for_its_reason(
        self, api: Make, wrong: dict[str, Any], reason: str
    ) -> None:
        token = api().token(**wrong)
        assert api().ask(f"Bearer {token}").body == reason
        got = api(asking).ask(f"Bearer {token}", cookie="junk")
        assert (got.status, got.one("www-authenticate")) == (401, f'{BARE}, error="invalid_token"')
        assert reason not in got.body
        assert got.all("set-cookie") == got.all("clear-site-data") == []

    def test_an_id_token_is_none(self, api: Make) -> None:
        token = api().pool.mint("ada")
        assert api().ask(f"Bearer {token}").body == "wrong_token_use"
        assert api(asking).ask(f"Bearer {token}").status == 401

    def test_a_token_of_a_cookie_and_one_of_a_header_share_no_verdict(self, api: Make) -> None:
        site = api()
        token = site.pool.mint("ada")
        assert site.ask(cookie=token).body == "ada"
        assert site.ask(f"Bearer {token}").body == "wrong_token_use"
        access = site.token()
        assert site.ask(f"Bearer {access}").body == "ada"
        assert site.ask(cookie=access).body == "ada"
        assert site.ask(cookie=f"Bearer {access}").body == "malformed_token"
        assert len(site.engine.authenticator.verdicts) == 3  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_value_of_a_sessions_cookie_is_no_token(
        self, build: Build, kind: str, clock: Clock
    ) -> None:
        site = build(kind, bearer=True, pool=_town(clock))
        value = site.sign_in().value
        got = site.browser().does(lambda: who(), headers=bearing(value))
        assert got.body in ("malformed_token", "wrong_token_use")
        assert got.all("set-cookie") == []

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60))
    def test_any_header_has_one_answer_and_clears_nothing(self, api: Make, text: str) -> None:
        for header in (text, "Bearer " + text):
            got = api(asking).ask(header, cookie=api().pool.mint("ada"))
            assert got.status in (200, 400, 401)
            assert got.all("set-cookie") == []

    def test_an_ignored_path_reads_none(self, api: Make) -> None:
        def handler() -> str:
            with pytest.raises(RuntimeError):
                get_current_user()
            return "open"

        assert api(handler, ignore=["/static/*"]).by(path="/static/a").body == "open"


async def _sent(app: Any, scope: Any) -> str:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body: bytes = b"".join(message.get("body", b"") for message in sent)
    return body.decode()


_POOLS: list[LocalUserPool] = []


def _town(clock: Clock) -> LocalUserPool:
    pool = LocalUserPool(clock=clock)
    pool.start()
    _POOLS.append(pool)
    pool.add_user("ada")
    return pool


@pytest.fixture(autouse=True)
def end_pools() -> Iterator[None]:
    yield
    while _POOLS:
        _POOLS.pop().close()


class TestAnswers:
    def test_without_a_credential_both_are_asked_for(self, api: Make) -> None:
        got = api(asking).ask()
        assert got.status == 401
        bearer, cookie = got.all("www-authenticate")  # MCP's clients want it first
        assert cookie.startswith("Cookie ")
        assert bearer == BARE
        vary = (got.one("vary") or "").lower()
        assert "cookie" in vary
        assert "authorization" in vary

    def test_without_the_option_only_the_cookie_is(self, api: Make) -> None:
        got = api(asking, bearer=False).ask()
        assert (got.one("www-authenticate") or "").startswith("Cookie ")
        assert "authorization" not in (got.one("vary") or "").lower()

    def test_the_answer_varies_by_the_header_that_counted(self, api: Make) -> None:
        site = api()
        assert site.by().one("vary") == "Authorization"
        assert site.ask(cookie=site.pool.mint("ada")).one("vary") == "Cookie, Authorization"
        assert site.ask().one("vary") == "Cookie, Authorization"
        assert site.ask("Bearer junk").one("vary") == "Authorization"

    def test_an_apps_own_vary_is_completed(self, api: Make) -> None:
        def handler() -> AppAnswer:
            who()
            return AppAnswer(headers=[("Vary", "Accept, authorization")])

        assert api(handler).by().one("vary") == "Accept, authorization"
        assert api(handler).ask().one("vary") == "Accept, authorization,Cookie"

    def test_an_app_that_does_not_ask_gets_no_vary(self, api: Make) -> None:
        site = api(lambda: "same for all")
        for header in ("Bearer junk", "Bearer", "Bearer " + site.token()):
            got = site.ask(header)
            assert (got.status, got.body, got.one("vary")) == (200, "same for all", None)

    def test_every_answer_to_a_token_is_private(self, api: Make) -> None:
        assert api().by().one("cache-control") == "private"
        assert api(protect=["/*"]).by().one("cache-control") == "no-store"
        assert api(asking).ask("Bearer junk").one("cache-control") == "no-store"
        assert (
            api(lambda: str(user_or_none())).ask("Bearer a.b.c").one("cache-control") == "private"
        )

    @pytest.mark.parametrize("header", ["Bearer junk", "Bearer a b"])
    def test_a_program_gets_no_page_and_no_redirect(self, api: Make, header: str) -> None:
        for options in ({"protect": ["/*"]}, {"protect": ["/*"], "login_url": "/login"}):
            got = api(asking, **options).ask(header, headers=PAGE)
            assert got.status in (400, 401)
            assert problem(got)["status"] == got.status
            assert got.one("vary") == "Authorization"

    def test_a_browser_without_one_still_goes_to_the_login_page(self, api: Make) -> None:
        got = api(protect=["/*"], login_url="/login").ask(headers=PAGE)
        assert (got.status, got.one("location")) == (302, "/login?next=%2F")
        assert "Authorization" in (got.one("vary") or "")

    def test_the_login_page_is_open_with_any_header(self, api: Make) -> None:
        site = api(protect=["/*"], login_url="/login")
        assert site.ask("Bearer junk", path="/login").body == "malformed_token"

    def test_a_protected_path_lets_a_user_pass(self, api: Make) -> None:
        site = api(protect=["/*"])
        assert site.by().body == "ada"
        assert site.ask("Bearer junk").status == 401

    def test_a_missing_scope_is_named(self, api: Make) -> None:
        got = api(require_auth(scopes=["orders/write", "orders/read"])(who)).by()
        said = f'{BARE}, error="insufficient_scope", scope="orders/read orders/write"'
        assert (got.status, got.one("www-authenticate")) == (403, said)
        assert problem(got)["status"] == 403

    def test_a_missing_group_is_no_scope(self, api: Make) -> None:
        got = api(require_auth(groups=["admins"])(who)).by()
        assert (got.status, got.one("www-authenticate")) == (403, None)

    def test_a_user_has_groups_and_scopes(self, api: Make) -> None:
        guard = require_auth(groups=["editors"], scopes=["aws.cognito.signin.user.admin"])
        assert api(guard(who)).by().body == "ada"

    def test_a_cookies_missing_scope_has_no_challenge(self, api: Make) -> None:
        site = api(require_auth(scopes=["orders/write"])(who))
        got = site.ask(cookie=site.token())
        assert (got.status, got.one("www-authenticate")) == (403, None)

    def test_without_keys_it_is_503_and_no_challenge(
        self, shell: Shell, pool: LocalUserPool
    ) -> None:
        with pool.fault("jwks", Down()):
            site = Api(shell, pool, asking, keys=None)
            got = site.by()
        assert (got.status, got.one("www-authenticate")) == (503, None)
        assert int(got.one("retry-after") or "") > 0

    def test_head_has_no_body(self, api: Make) -> None:
        got = api(asking).ask("Bearer junk", method="HEAD")
        assert (got.status, got.body) == (401, "")

    def test_a_server_auth_failure_has_the_status(self, api: Make) -> None:
        site = api(lambda: json.dumps(handle_server_auth()))
        assert json.loads(site.ask("Bearer a b").body)["status_code"] == 400
        assert json.loads(site.ask("Bearer a.b.c").body)["status_code"] == 401


class TestNotACookie:
    def test_no_page_forges_it(self, api: Make) -> None:
        site = api()
        got = site.by(method="POST", headers=OTHER_SITE)
        assert (got.status, got.body) == (200, "ada")
        cookie = site.pool.mint("ada")
        assert site.ask(cookie=cookie, method="POST", headers=OTHER_SITE).status == 403

    def test_a_refused_header_does_not_fall_back_to_the_cookie(self, api: Make) -> None:
        site = api()
        cookie = site.pool.mint("ada")
        assert site.ask("Bearer a.b.c", cookie=cookie).body == "malformed_token"
        got = site.ask("Bearer a.b.c", cookie=cookie, method="POST", headers=OTHER_SITE)
        assert got.body == "malformed_token"

    @pytest.mark.parametrize("verb", ["start", "end", "everywhere", "handle"])
    def test_it_starts_and_ends_no_session(
        self, build: Build, verb: str, clock: Clock, shell: Shell
    ) -> None:
        site = build("memory", bearer=True, pool=_town(clock))
        browser = site.sign_in()
        (info,) = list_of(site, browser)
        actions: dict[str, Any] = {
            "start": site.start(site.pool.sign_in("ada")),
            "end": site.end(),
            "everywhere": site.end(everywhere=True),
            "handle": lambda: site.verbs.end_session_by_handle(info.handle),
        }
        header = bearing(site.pool.mint("ada", "access"))
        for asked in (browser, site.browser()):
            got = asked.does(actions[verb], headers=header)
            assert got.body == "InvalidRequestException bearer_request"
            assert got.all("set-cookie") == []
        assert browser.does().body == "ada"

    def test_an_administrators_program_may_end_a_named_users_session(
        self, build: Build, clock: Clock
    ) -> None:
        site = build("memory", bearer=True, pool=_town(clock))
        browser = site.sign_in()
        (info,) = list_of(site, browser)
        sub = site.pool.add_user("root").sub
        assert sub
        user = str(browser.does(lambda: site.verbs.get_current_user().user_id).body)
        got = site.browser().does(
            lambda: site.verbs.end_session_by_handle(info.handle, user),
            headers=bearing(site.pool.mint("root", "access")),
        )
        assert got.body == "True"
        assert browser.does().body == "NotAuthorizedException session_revoked"

    def test_a_user_may_list_sessions(self, build: Build, clock: Clock) -> None:
        site = build("memory", bearer=True, pool=_town(clock))
        site.sign_in()
        got = site.browser().does(
            lambda: [one.is_current for one in site.verbs.list_sessions()],
            headers=bearing(site.pool.mint("ada", "access")),
        )
        assert got.body == "[False]"

    @pytest.mark.parametrize("route", ["sign-in", "sign-in-callback", "sign-out"])
    def test_a_sign_in_route_refuses_it(self, api: Make, route: str) -> None:
        from amplify_mw import AuthRoutes

        site = api(
            session=SealedSession(keys=[KEY]), routes=AuthRoutes(origin="http://localhost:8000")
        )
        for header in ("Bearer " + site.token(), "Bearer junk", "Bearer a b"):
            got = site.ask(header, path=f"/auth/{route}", method="GET", cookie="junk")
            assert (got.status, got.all("set-cookie")) == (400, [])
        assert site.ask(path="/auth/sign-in").status == 303

    def test_its_tokens_are_the_access_token(self, api: Make) -> None:
        def handler() -> str:
            tokens = fetch_auth_session(required=True).tokens.held
            return f"{tokens.id_token} {tokens.access_token.payload['token_use']}"  # type: ignore[union-attr]

        with_it = api(handler)
        if isinstance(with_it.shell, WSGIShell):
            assert with_it.by().body == "None access"

    def test_it_cannot_be_refreshed(self, build: Build, clock: Clock) -> None:
        for kind in ("sealed", "memory"):
            site = build(kind, bearer=True, pool=_town(clock))
            browser = site.sign_in()
            got = browser.does(site.refresh, headers=bearing(site.pool.mint("ada", "access")))
            assert got.body == "NotAuthorizedException not_refreshable"
            assert got.all("set-cookie") == []

    def test_attributes_come_from_cognito(self, api: Make) -> None:
        site = api(lambda: fetch_user_attributes()["email"])
        assert site.by().body == "ada@example.com"

    def test_a_user_signed_out_at_cognito_is_refused_and_no_cookie_cleared(
        self, build: Build, clock: Clock
    ) -> None:
        site = build("memory", bearer=True, pool=_town(clock))
        tokens = site.pool.sign_in("ada")
        site.pool.disable_user("ada")
        got = site.browser().does(
            lambda: site.verbs.fetch_user_attributes(), headers=bearing(tokens.access_token)
        )
        assert got.body.startswith("NotAuthorizedException ")
        assert got.all("set-cookie") == []


def list_of(site: Site, browser: Any) -> list[Any]:
    found: list[Any] = []
    browser.does(lambda: found.extend(site.verbs.list_sessions()))
    return found


class TestBoth:
    def test_of_one_user_the_header_counts(self, api: Make) -> None:
        site = api()
        cookie = site.pool.mint("ada")
        got = site.by(cookie=cookie, method="POST", headers=OTHER_SITE)
        assert (got.status, got.body, got.one("vary")) == (200, "ada", "Authorization")

    @pytest.mark.parametrize("known", [False, True])
    def test_of_two_users_it_is_refused_and_nothing_cleared(self, api: Make, known: bool) -> None:
        site = api()
        cookie, header = site.pool.mint("ada"), "Bearer " + site.token("bob")
        if known:
            assert (site.ask(cookie=cookie).body, site.ask(header).body) == ("ada", "bob")
        assert site.ask(header, cookie=cookie).body == "different_credentials"
        got = api(asking).ask(header, cookie=cookie)
        assert (got.status, got.one("www-authenticate")) == (
            400,
            f'{BARE}, error="invalid_request"',
        )
        assert got.all("set-cookie") == []

    @pytest.mark.parametrize(
        "kinds", [*((kind,) for kind in KINDS), ("amplify",), ("sealed", "token")]
    )
    @pytest.mark.parametrize("later", [0, 3700])
    def test_every_kind_of_session_is_compared(
        self, build: Build, kinds: tuple[str, ...], later: float, clock: Clock
    ) -> None:
        if later and kinds == ("token",):
            return  # it has ended by then
        pool = _town(clock)
        pool.add_user("bob")
        site = build(*kinds, bearer=True, pool=pool)
        browser = site.sign_in()
        clock.advance(later)
        refused = "InvalidRequestException different_credentials"
        for user, said in (("ada", "ada"), ("bob", refused)):
            token = pool.mint(user, "access")
            for _ in range(2):
                got = browser.does(headers=bearing(token))
                assert (got.body, got.all("set-cookie")) == (said, [])
        assert browser.does().body == "ada"

    def test_a_session_is_neither_refreshed_nor_extended(self, build: Build, clock: Clock) -> None:
        pool = _town(clock)
        site = build("memory", bearer=True, pool=pool)
        browser = site.sign_in()
        clock.advance(3590)
        before = [(one.seen_at, one.expires_at) for one in list_of(site, site.browser())]
        token = pool.mint("ada", "access")
        refreshes = [name for name in pool.requests if "Auth" in name or "Refresh" in name]
        got = browser.does(headers=bearing(token))
        assert (got.body, got.all("set-cookie")) == ("ada", [])
        site.settle()
        after = [name for name in pool.requests if "Auth" in name or "Refresh" in name]
        assert after == refreshes
        assert before == [(one.seen_at, one.expires_at) for one in list_of(site, site.browser())]

    def test_a_token_known_before_is_not_verified_again(
        self, api: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = api()
        cookie, header = site.pool.mint("ada"), "Bearer " + site.token()
        assert site.ask(cookie=cookie).body == site.ask(header, cookie=cookie).body == "ada"
        verifier = site.engine.authenticator.verifier
        monkeypatch.setattr(type(verifier), "verify", None)
        assert site.ask(header, cookie=cookie).body == "ada"

    @pytest.mark.parametrize("cookies", ["junk", "expired", "twice"])
    def test_an_invalid_cookie_does_not_count_and_stays(self, api: Make, cookies: str) -> None:
        site = api()
        sent = {
            "junk": "amplify-session=junk",
            "expired": "amplify-session=" + site.pool.mint("bob", expires_in=-100),
            "twice": f"amplify-session={site.pool.mint('bob')}; amplify-session=other",
        }[cookies]
        for _ in range(2):
            got = site.ask("Bearer " + site.token(), cookies=sent)
            assert (got.body, got.all("set-cookie")) == ("ada", [])

    def test_an_uncheckable_cookie_does_not_count_and_stays(
        self, shell: Shell, pool: LocalUserPool
    ) -> None:
        class Failing(MemoryStore):
            def load(self, key: bytes) -> Any:
                from amplify_mw.stores import StoreUnavailable

                raise StoreUnavailable("down")

        site = Api(shell, pool, session=StoredSession(Failing()))
        got = site.by(cookie="A" * 43)
        assert (got.body, got.all("set-cookie")) == ("ada", [])


class TestAround:
    def test_nested_middlewares_share_it(self, api: Make, shell: Shell) -> None:
        site = api()
        outer = shell.middleware(site.app, site.engine)
        for _ in range(2):
            got = shell.send(outer, Ask(headers=bearing(site.token())))
            assert (got.body, got.one("vary")) == ("ada", "Authorization")
        got = shell.send(outer, Ask(headers=bearing("a.b.c")))
        assert got.body == "malformed_token"

    def test_one_inside_reads_it_where_the_outer_does_not(
        self, api: Make, shell: Shell, pool: LocalUserPool
    ) -> None:
        site = api()
        outer = shell.middleware(site.app, pool.config(protect=["/none"]))
        assert shell.send(outer, Ask(headers=bearing(site.token()))).body == "ada"

    def test_a_request_within_a_request_sees_its_own(self, shell: Shell, api: Make) -> None:
        if not isinstance(shell, WSGIShell):
            return
        site = api()
        inner = site.app

        def relaying(environ: Any, start_response: Any) -> Any:
            bodies = [get_current_user().username]
            for change in ("Bearer " + site.token("bob"), "Basic x", None):
                environ = dict(environ)
                environ.pop("HTTP_AUTHORIZATION", None)
                if change is not None:
                    environ["HTTP_AUTHORIZATION"] = change
                bodies += [part.decode() for part in inner(environ, lambda *_: None)]
            start_response("200 OK", [])
            return [" ".join(bodies).encode()]

        outer = shell.middleware(relaying, site.engine)
        got = shell.send(outer, Ask(headers=bearing(site.token("ada"))))
        assert got.body == "ada bob no_session no_session"

    def test_a_pinned_user_wins(self, api: Make) -> None:
        site = api()
        with signed_in("grace"):
            assert site.by().body == "grace"
            assert site.ask("Bearer junk").body == "grace"

    def test_the_public_path_has_its_mount(self, api: Make) -> None:
        site = api(protect=["/a"], mount="/prod")
        assert site.ask("Bearer junk", mount="/prod", path="/a").status == 401
        assert site.by(mount="/prod", path="/a").body == "ada"

    def test_it_is_carried_to_a_thread(self, api: Make) -> None:
        from concurrent.futures import ThreadPoolExecutor

        def handler() -> str:
            with ThreadPoolExecutor(1) as executor:
                return executor.submit(carry(who)).result()

        assert api(handler).by().body == "ada"

    def test_after_the_response_it_lasts_as_long_as_the_token(
        self, build: Build, clock: Clock
    ) -> None:
        pool = _town(clock)
        site = build("token", bearer=True, pool=pool)
        said: list[str] = []

        def handler() -> AppAnswer:
            def late() -> None:
                said.append(who())
                clock.advance(4000)
                said.append(who())

            return AppAnswer(later={"streaming": late})

        site.browser().ask(handler, headers=bearing(pool.mint("ada", "access")))
        assert said == ["ada", "token_expired"]


class TestEvents:
    def test_a_refusal_is_of_the_kind_bearer(self, api: Make) -> None:
        site = api(asking)
        site.ask("Bearer a.b.c")
        event = site.heard[0]
        assert isinstance(event, events.Refused)
        assert (event.reason, event.at, event.session) == ("malformed_token", "header", "bearer")

    def test_a_users_refusal_names_the_user(self, api: Make) -> None:
        site = api(require_auth(scopes=["orders/write"])(who))
        site.by()
        event = site.heard[0]
        assert (event.reason, event.session) == ("missing_scope", "bearer")
        assert event.user_id

    def test_no_token_reaches_the_log(self, api: Make, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG", logger="amplify_mw")
        site = api(require_auth(scopes=["orders/write"])(who))
        tokens = [site.token(), site.pool.mint("ada"), site.token(client_id="other")]
        for token in tokens:
            site.ask(f"Bearer {token}", cookie=site.pool.mint("bob"))
            site.ask(f"Bearer {token} {token}")
        assert caplog.text
        for token in tokens:
            for part in token.split("."):
                assert part not in caplog.text
                assert part not in repr(site.heard)

    def test_no_repr_shows_a_value(self, pool: LocalUserPool) -> None:
        home = Engine(pool.config(bearer=True)).authenticator
        assert repr(Credential(home.source, b"secret")) == "<Credential from a cookie>"
        assert home.bearer is not None
        assert repr(Credential(home.bearer, (b"secret",))) == "<Credential from a bearer>"

    def test_the_notice_of_a_header_that_is_not_read_names_the_option(
        self, api: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        api(asking, bearer=False, attributes_ttl=17).by()
        assert "bearer=True" in caplog.text


@pytest.mark.parametrize("pair", [tuple, list])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_asgi_finds_it_among_headers_that_come_more_than_once(
    pool: LocalUserPool, pair: Any, count: int
) -> None:
    site = Api(ASGIShell(), pool)
    others = [(b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b"), (b"accept", b"*/*")]
    field = (b"authorization", b"Bearer " + site.token().encode())
    headers = [pair(each) for each in [field] * count + others]
    expected = {0: None, 1: field[1], 2: field[1] + b", " + field[1]}[count]
    for order in permutations(headers):
        assert site.app._authorization({"headers": list(order)}) == expected


class TestSockets:
    def test_a_foreign_origin_may_bring_it(self, pool: LocalUserPool) -> None:
        site = Api(ASGIShell(), pool)
        said: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            said.append(who())
            await receive()
            await send({"type": "websocket.accept"})

        app = type(site.app)(app, site.engine)
        for headers, status in (
            ([(b"authorization", b"Bearer " + site.token().encode())], "websocket.accept"),
            ([(b"cookie", b"amplify-session=" + pool.mint("ada").encode())], "websocket.close"),
        ):
            scope = {
                "type": "websocket",
                "path": "/",
                "query_string": b"",
                "headers": [*headers, (b"origin", b"https://evil.example")],
            }
            assert asyncio.run(_socket(app, scope)) == status
        assert said == ["ada"]

    @pytest.mark.parametrize("token", ["a.b.c", "a b"])
    def test_a_guarded_one_is_refused(self, pool: LocalUserPool, token: str) -> None:
        site = Api(ASGIShell(), pool, protect=["/*"])
        scope = {
            "type": "websocket",
            "path": "/",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {token}".encode())],
        }
        assert asyncio.run(_socket(site.app, scope)) == "websocket.close"


async def _socket(app: Any, scope: Any) -> str:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    kind: str = sent[0]["type"]
    return kind


class TestVerifyWithCognito:
    def test_a_users_token_is_asked_about_and_no_cookie_touched(self, shell: Shell) -> None:
        from amplify_mw import TokenSession

        with LocalUserPool() as pool:
            pool.add_user("ada")
            site = Api(shell, pool, session=TokenSession(verify_with_cognito_every=60))
            header = "Bearer " + site.token()
            assert site.ask(header).body == "ada"
            assert pool.count("GetUser") == 1
            assert site.ask(header).body == "ada"
            assert pool.count("GetUser") == 1


@pytest.mark.parametrize("value", ["yes", None, 2])
def test_the_option_is_a_truth_value(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="bearer"):
        AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", bearer=value)
