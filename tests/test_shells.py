"""What both shells do, by one suite: cookies in, the user downstream, headers out."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    ConfigurationError,
    CookiePolicy,
    NetworkError,
    OutsideRequestError,
    carry,
    fetch_auth_session,
    fetch_user_attributes,
    get_current_user,
    require_auth,
)
from amplify_mw.engine.context import CURRENT
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import CognitoError, Down, LocalUserPool, signed_in, signed_out
from tests.shells import AppAnswer, Ask, Got, Shell

Asking = Callable[..., Got]


def who() -> str:
    """Three calls deep would look the same: no request in hand."""
    try:
        return get_current_user().username
    except AuthError as error:
        return f"{type(error).__name__} {error.reason}"


@pytest.fixture
def asking(shell: Shell, config: AmplifyConfig) -> Asking:
    """Ask an app behind the middleware: `asking(handler, cookie=..., protect=[...])`."""

    def ask(handler: Callable[[], str | AppAnswer] = who, /, **facts: object) -> Got:
        options = {
            name: facts.pop(name)
            for name in ("protect", "public", "ignore", "login_url", "preflight", "cookie_policy")
            if name in facts
        }
        if "cookie_policy" in options:
            options["cookie"] = options.pop("cookie_policy")
        app = shell.middleware(shell.app(handler), config, **options)
        return shell.send(app, Ask(**facts))  # type: ignore[arg-type]

    return ask


def test_a_middleware_takes_its_app_by_name(shell: Shell, config: AmplifyConfig) -> None:
    app = shell.middleware(app=shell.app(who), config=config, protect=["/private"])
    assert shell.send(app, Ask("/private")).status == 401


# --- the outcomes of a cookie


def test_without_a_cookie_nobody_is_signed_in_and_nothing_is_set(asking: Asking) -> None:
    got = asking(who)
    assert got.body == "NotAuthorizedException no_session"
    assert got.all("set-cookie") == []


@pytest.mark.parametrize("token_use", ["id", "access"])
def test_a_good_token_is_its_user(asking: Asking, pool: LocalUserPool, token_use: str) -> None:
    got = asking(who, cookie=pool.mint("ada", token_use))
    assert (got.body, got.all("set-cookie")) == ("ada", [])


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"expires_in": -60}, "TokenExpiredException token_expired"),
        ({"client_id": "another"}, "NotAuthorizedException wrong_client"),
        ({"issuer": "https://cognito-idp.eu-west-1.amazonaws.com/x"}, "wrong_issuer"),
        ({"key": "unknown", "issued_at": 1}, "NotAuthorizedException unknown_key"),
        ({"algorithm": "none"}, "NotAuthorizedException unsupported_algorithm"),
        ({"algorithm": "HS256"}, "NotAuthorizedException unsupported_algorithm"),
        ({"claims": {"token_use": "refresh"}}, "NotAuthorizedException wrong_token_use"),
        ({"claims": {"cognito:username": None}}, "NotAuthorizedException missing_claim"),
    ],
)
def test_an_invalid_token_is_cleared_and_says_why_inside(
    asking: Asking, pool: LocalUserPool, facts: dict[str, object], reason: str
) -> None:
    if facts.get("issued_at"):
        facts = {**facts, "expires_in": 10**10}
    got = asking(who, cookie=pool.mint("ada", **facts))  # type: ignore[arg-type]
    assert got.body.endswith(reason)
    assert got.clears_cookie


def test_every_invalid_cookie_gets_the_very_same_answer(
    asking: Asking, pool: LocalUserPool
) -> None:
    good = pool.mint("ada")
    bad = [
        pool.mint("ada", expires_in=-60),
        pool.mint("ada", client_id="another"),
        good[:-8] + "AAAAAAAA",
        "nonsense",
        "",
    ]
    got = [asking(who, cookie=value, path="/api", protect=["/api/*"]) for value in bad]
    assert all(one == got[0] for one in got)
    assert (got[0].status, got[0].clears_cookie) == (401, True)


def test_clearing_repeats_the_attributes_the_cookie_was_set_with(asking: Asking) -> None:
    policy = CookiePolicy(path="/app", domain="example.com", same_site="Lax")
    line = asking(who, cookie="junk", cookie_policy=policy).one("set-cookie")
    assert line is not None
    assert {part.strip() for part in line.split(";")} == {
        "amplify-session=",
        "Path=/app",
        "Domain=example.com",
        "SameSite=Lax",
        "Secure",
        "HttpOnly",
        "Max-Age=0",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    }


def test_two_different_cookies_sign_nobody_in_and_stay(asking: Asking, pool: LocalUserPool) -> None:
    good = pool.mint("ada")
    got = asking(who, cookies=f"amplify-session={good}; amplify-session=tossed")
    assert got.body == "NotAuthorizedException duplicate_cookie"
    assert got.all("set-cookie") == []


def test_the_same_cookie_twice_is_one(asking: Asking, pool: LocalUserPool) -> None:
    good = pool.mint("ada")
    assert asking(who, cookies=f"amplify-session={good};amplify-session={good}").body == "ada"


def test_joined_cookie_fields_are_never_another_user(asking: Asking, pool: LocalUserPool) -> None:
    good = pool.mint("ada")
    for joined in (f"a=b, amplify-session={good}", f"amplify-session={good}, a=b"):
        assert asking(who, cookies=joined).body.startswith("NotAuthorizedException")


def test_an_outage_keeps_the_cookie_and_is_no_sign_out(asking: Asking, pool: LocalUserPool) -> None:
    with pool.fault("jwks", Down()):
        got = asking(who, cookie=pool.mint("ada"))
        assert got.body == "NetworkError keys_unavailable"
        assert got.all("set-cookie") == []


def test_an_outage_is_503_where_a_user_is_needed(asking: Asking, pool: LocalUserPool) -> None:
    with pool.fault("jwks", Down()):
        got = asking(who, cookie=pool.mint("ada"), path="/api", protect=["/api/*"])
    assert (got.status, got.all("set-cookie")) == (503, [])
    assert int(got.one("retry-after") or 0) >= 1


def test_after_an_outage_the_user_is_back(shell: Shell, pool: LocalUserPool) -> None:
    now = [time.time()]
    app = shell.middleware(shell.app(who), Engine(pool.config(), clock=lambda: now[0]))
    token = pool.mint("ada")
    with pool.fault("jwks", Down()):
        assert shell.send(app, Ask(cookie=token)).body.startswith("NetworkError")
    now[0] += 5
    assert shell.send(app, Ask(cookie=token)).body == "ada"


def test_a_rotated_key_is_picked_up(shell: Shell, pool: LocalUserPool) -> None:
    now = [time.time()]
    app = shell.middleware(shell.app(who), Engine(pool.config(), clock=lambda: now[0]))
    assert shell.send(app, Ask(cookie=pool.mint("ada"))).body == "ada"
    pool.rotate_keys()
    now[0] += 60
    assert shell.send(app, Ask(cookie=pool.mint("ada", issued_at=int(now[0])))).body == "ada"
    assert pool.count("jwks") == 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.binary(max_size=200))
def test_any_bytes_as_the_cookie_are_anonymous_and_cleared(asking: Asking, value: bytes) -> None:
    text = value.decode("latin-1")
    got = asking(who, cookies=f"amplify-session={text}")
    assert got.status == 200
    assert got.body.startswith("NotAuthorizedException")
    # Up to its end, a value with a comma is that of two `Cookie` fields which a server has joined.
    assert got.clears_cookie is ("," not in text.partition(";")[0])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=st.binary(max_size=60), after=st.binary(max_size=60))
def test_any_bytes_around_the_cookie_change_nothing(
    asking: Asking, pool: LocalUserPool, before: bytes, after: bytes
) -> None:
    around = [text.decode("latin-1") for text in (before, after)]
    token = pool.mint("ada", issued_at=1_700_000_000, expires_in=10**9)
    assert asking(who, cookies=f"{around[0]}; amplify-session={token}; {around[1]}").body == "ada"


# --- what the response gains


def test_a_response_that_asked_varies_and_is_private(asking: Asking, pool: LocalUserPool) -> None:
    got = asking(who, cookie=pool.mint("ada"))
    assert (got.one("vary"), got.one("cache-control")) == ("Cookie", "private")


def test_an_anonymous_response_that_asked_varies_only(asking: Asking) -> None:
    got = asking(who)
    assert (got.one("vary"), got.one("cache-control")) == ("Cookie", None)


def test_a_response_that_did_not_ask_is_left_alone(asking: Asking, pool: LocalUserPool) -> None:
    answer = AppAnswer(headers=[("Cache-Control", "public"), ("X-Own", "1")])
    assert asking(lambda: answer, cookie=pool.mint("ada")).headers == answer.headers


def test_vary_is_merged(asking: Asking, pool: LocalUserPool) -> None:
    def handler() -> AppAnswer:
        who()
        return AppAnswer(headers=[("Vary", "Accept-Encoding"), ("Cache-Control", "max-age=60")])

    got = asking(handler, cookie=pool.mint("ada"))
    assert [part.strip() for part in (got.one("vary") or "").split(",")] == [
        "Accept-Encoding",
        "Cookie",
    ]
    assert got.one("cache-control") == "max-age=60"


def test_a_clearing_response_is_never_stored(asking: Asking) -> None:
    answer = AppAnswer(headers=[("Cache-Control", "public, s-maxage=600")])
    got = asking(lambda: answer, cookie="junk")
    assert got.clears_cookie
    assert got.one("cache-control") == "no-store"


def test_the_apps_own_cookie_of_that_name_wins(asking: Asking) -> None:
    answer = AppAnswer(headers=[("Set-Cookie", "amplify-session=new"), ("Cache-Control", "public")])
    got = asking(lambda: answer, cookie="junk")
    assert got.all("set-cookie") == ["amplify-session=new"]
    assert got.one("cache-control") == "public"


# --- verbs


def test_attributes_come_from_cognito_with_an_access_token(
    asking: Asking, pool: LocalUserPool
) -> None:
    got = asking(lambda: fetch_user_attributes()["email"], cookie=pool.sign_in("ada").access_token)
    assert (got.body, pool.count("GetUser")) == ("ada@example.com", 1)


def test_attributes_come_from_the_claims_of_an_id_token(
    asking: Asking, pool: LocalUserPool
) -> None:
    got = asking(lambda: fetch_user_attributes()["email"], cookie=pool.sign_in("ada").id_token)
    assert (got.body, pool.count("GetUser")) == ("ada@example.com", 0)


def test_attributes_are_a_dictionary_of_the_callers_own(
    asking: Asking, pool: LocalUserPool
) -> None:
    def handler() -> str:
        fetch_user_attributes()["email"] = "eve@example.com"
        return fetch_user_attributes()["email"]

    for _ in range(2):
        got = asking(handler, cookie=pool.sign_in("ada").access_token)
        assert got.body == "ada@example.com"


def test_one_get_user_serves_many_requests_of_one_token(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(lambda: str(fetch_user_attributes())), pool.config())
    token = pool.sign_in("ada").access_token
    for _ in range(3):
        shell.send(app, Ask(cookie=token))
    assert pool.count("GetUser") == 1


def test_without_a_cache_each_request_asks_once(shell: Shell, pool: LocalUserPool) -> None:
    def handler() -> str:
        return str(fetch_user_attributes() and fetch_user_attributes())

    app = shell.middleware(shell.app(handler), pool.config(), attributes_ttl=0)
    token = pool.sign_in("ada").access_token
    for _ in range(2):
        shell.send(app, Ask(cookie=token))
    assert pool.count("GetUser") == 2


def test_a_session_that_cognito_refuses_is_over_and_cleared(
    asking: Asking, pool: LocalUserPool
) -> None:
    def handler() -> str:
        try:
            return str(fetch_user_attributes())
        except AuthError as error:
            return f"{error.reason}, then {who()}"

    with pool.fault("GetUser", CognitoError("NotAuthorizedException", "revoked")):
        got = asking(handler, cookie=pool.sign_in("ada").access_token)
    assert got.body == "session_revoked, then NotAuthorizedException session_revoked"
    assert got.clears_cookie


def test_an_outage_of_cognito_ends_nothing(asking: Asking, pool: LocalUserPool) -> None:
    def handler() -> str:
        with pytest.raises(NetworkError):
            fetch_user_attributes()
        return who()

    with pool.fault("GetUser", Down()):
        got = asking(handler, cookie=pool.sign_in("ada").access_token)
    assert (got.body, got.all("set-cookie")) == ("ada", [])


def test_the_session_holds_the_tokens_that_were_verified(
    asking: Asking, pool: LocalUserPool
) -> None:
    token = pool.sign_in("ada").id_token

    def handler() -> str:
        tokens = fetch_auth_session().tokens
        assert tokens is not None
        assert tokens.id_token is not None
        assert tokens.access_token is None
        return tokens.id_token.encoded

    assert asking(handler, cookie=token).body == token


def test_without_a_user_the_session_is_empty(asking: Asking) -> None:
    assert asking(lambda: repr(fetch_auth_session())).body == (
        "AuthSession(tokens=None, user_sub=None)"
    )


def test_a_token_session_cannot_be_refreshed(asking: Asking, pool: LocalUserPool) -> None:
    def handler() -> str:
        with pytest.raises(AuthError) as caught:
            fetch_auth_session(force_refresh=True)
        return caught.value.reason

    assert asking(handler, cookie=pool.mint("ada")).body == "not_refreshable"


# --- access rules and escaping errors


def test_a_protected_path_is_answered_before_the_app(asking: Asking) -> None:
    def handler() -> str:
        raise AssertionError("the app was called")

    got = asking(handler, path="/api/orders", protect=["/api/*"])
    assert got.status == 401
    assert got.one("content-type") == "application/problem+json"
    assert got.one("www-authenticate") is not None
    assert "Cookie" in (got.one("vary") or "")


def test_a_signed_in_user_passes(asking: Asking, pool: LocalUserPool) -> None:
    got = asking(who, path="/api", protect=["/api/*"], cookie=pool.mint("ada"))
    assert (got.status, got.body) == (200, "ada")


def test_rules_are_for_the_path_below_the_mount(asking: Asking) -> None:
    assert asking(who, mount="/shop", path="/api", protect=["/api/*"]).status == 401
    assert asking(who, mount="/api", path="/shop", protect=["/api/*"]).status == 200


def test_public_wins_over_protect(asking: Asking) -> None:
    assert asking(who, path="/", protect=["/*"], public=["/"]).status == 200


def test_an_ignored_path_is_not_even_looked_at(asking: Asking, pool: LocalUserPool) -> None:
    def handler() -> str:
        with pytest.raises(OutsideRequestError):
            get_current_user()
        return "seen"

    got = asking(handler, path="/static/x", ignore=["/static/*"], cookie="junk")
    assert (got.body, got.headers) == ("seen", [])


def test_a_page_is_sent_to_sign_in_and_back(asking: Asking) -> None:
    got = asking(
        who,
        path="/account",
        query="tab=1",
        headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"},
        protect=["/account"],
        login_url="/login",
    )
    assert (got.status, got.one("location")) == (302, "/login?next=%2Faccount%3Ftab%3D1")
    assert got.one("cache-control") == "no-store"


@pytest.mark.parametrize("mount", ["", "/shop"])
def test_the_login_page_itself_is_reached(asking: Asking, mount: str) -> None:
    facts = {"mount": mount, "path": "/login", "login_url": f"{mount}/login"}
    assert asking(who, protect=["/*"], **facts).status == 200


def test_a_script_gets_a_status_and_no_redirect(asking: Asking) -> None:
    headers = {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}
    got = asking(who, headers=headers, protect=["/*"], login_url="/login")
    assert got.status == 401


def test_a_preflight_is_answered_without_the_app(asking: Asking) -> None:
    def handler() -> str:
        raise AssertionError("the app was called")

    headers = {"Access-Control-Request-Method": "PUT", "Origin": "https://other.example"}
    got = asking(handler, method="OPTIONS", headers=headers, protect=["/*"])
    assert (got.status, got.body, got.one("vary")) == (204, "", "Cookie")
    assert not [name for name, _ in got.headers if name.lower().startswith("access-control")]
    assert asking(handler, method="OPTIONS", protect=["/*"]).status == 401


def test_a_preflight_goes_to_the_app_where_that_is_said(
    asking: Asking, pool: LocalUserPool
) -> None:
    facts: dict[str, Any] = {
        "method": "OPTIONS",
        "headers": {"Access-Control-Request-Method": "PUT"},
        "protect": ["/*"],
    }
    assert asking(lambda: "the app", preflight="app", **facts).body == "the app"
    assert asking(who, cookie=pool.mint("ada"), **facts).body == "ada"
    facts["headers"] = {}
    assert asking(who, preflight="app", **facts).status == 401


def test_an_answer_to_head_has_no_body(asking: Asking) -> None:
    got = asking(who, method="HEAD", protect=["/*"])
    assert (got.status, got.body) == (401, "")


def test_an_escaping_error_gets_the_guards_answer(asking: Asking) -> None:
    got = asking(lambda: get_current_user().username)
    assert (got.status, got.one("content-type")) == (401, "application/problem+json")


def test_a_missing_group_is_403(asking: Asking, pool: LocalUserPool) -> None:
    pool.add_user("grace", groups=["editors"])
    handler = require_auth(groups=["editors", "admins"])(who)
    assert asking(handler, cookie=pool.mint("ada")).status == 403
    assert asking(handler, cookie=pool.mint("grace")).body == "grace"


def test_other_errors_of_the_app_pass_as_they_are(asking: Asking) -> None:
    def handler() -> str:
        raise LookupError("the app's own")

    with pytest.raises(LookupError, match="the app's own"):
        asking(handler)
    assert CURRENT.get() is None


# --- middlewares within middlewares


def test_the_same_configuration_twice_is_one(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    inner = shell.middleware(shell.app(who), pool.config())
    outer = shell.middleware(inner, config)
    got = shell.send(outer, Ask(cookie="junk"))
    assert len(got.all("set-cookie")) == 1
    assert shell.send(outer, Ask(cookie=pool.mint("ada"))).body == "ada"


def test_two_pools_under_one_cookie_name_are_refused(shell: Shell, config: AmplifyConfig) -> None:
    other = AmplifyConfig(user_pool_id="eu-west-1_Other", client_id="web")
    outer = shell.middleware(shell.middleware(shell.app(who), other), config)
    with pytest.raises(ConfigurationError, match=r"CookiePolicy\(name="):
        shell.send(outer, Ask())


def test_the_inner_of_two_cookies_is_the_one_that_counts(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    inner = shell.middleware(shell.app(who), config, cookie=CookiePolicy(name="inner-session"))
    outer = shell.middleware(inner, config)
    cookies = f"amplify-session=junk; inner-session={pool.mint('ada')}"
    got = shell.send(outer, Ask(cookies=cookies))
    assert (got.body, got.clears_cookie) == ("ada", True)


def test_a_request_made_inside_a_request_is_its_own(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    pool.add_user("grace")
    app = shell.middleware(shell.app(who), config)

    def handler() -> str:
        return f"{shell.send(app, Ask(cookie=pool.mint('grace'))).body} within {who()}"

    outer = shell.middleware(shell.app(handler), config)
    assert shell.send(outer, Ask(cookie=pool.mint("ada"))).body == "grace within ada"


def test_an_inner_middleware_guards_the_paths_it_sees(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    """A mount shows the inner one another path than the outer one saw."""
    inner = shell.middleware(shell.app(who), config, protect=["/account"])
    outer = shell.middleware(mounting(shell, inner), config, protect=["/account"])
    assert shell.send(outer, Ask(path="/shop/account")).status == 401
    assert shell.send(outer, Ask(path="/shop/account", cookie=pool.mint("ada"))).body == "ada"


def mounting(shell: Shell, app: Any) -> Any:
    """What a framework does that mounts `app` at `/shop`."""
    if shell.kind == "wsgi":

        def mounted(environ: Any, start_response: Any) -> Any:
            environ["SCRIPT_NAME"] = "/shop"
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/shop")
            return app(environ, start_response)

        return mounted

    async def mounted_async(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/shop"}, receive, send)

    return mounted_async


def test_two_pools_are_refused_behind_a_third_cookie_too(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    other = AmplifyConfig(user_pool_id="eu-west-1_Other", client_id="web")
    inner = shell.middleware(shell.app(who), other)
    between = shell.middleware(inner, config, cookie=CookiePolicy(name="between"))
    with pytest.raises(ConfigurationError, match=r"CookiePolicy\(name="):
        shell.send(shell.middleware(between, config), Ask(cookie=pool.mint("ada")))


def test_a_request_made_inside_a_request_sees_nobody_where_nobody_looks(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    def outside() -> str:
        with pytest.raises(OutsideRequestError):
            get_current_user()
        return "nobody"

    static = shell.middleware(shell.app(outside), config, ignore=["/static/*"])
    app = shell.middleware(
        shell.app(lambda: f"{shell.send(static, Ask(path='/static/x')).body} within {who()}"),
        config,
    )
    assert shell.send(app, Ask(cookie=pool.mint("ada"))).body == "nobody within ada"


def test_a_pinned_visit_goes_through_the_guard(asking: Asking) -> None:
    with signed_out():
        assert asking(who, protect=["/*"]).status == 401
        assert asking(lambda: get_current_user().username).status == 401


def test_what_a_test_has_pinned_is_no_second_pool(shell: Shell, config: AmplifyConfig) -> None:
    inner = shell.middleware(shell.app(who), config, protect=["/account"])
    outer = shell.middleware(inner, config)
    with signed_in("grace"):
        assert shell.send(outer, Ask(path="/account")).body == "grace"


def test_options_beside_an_engine_are_refused(shell: Shell, config: AmplifyConfig) -> None:
    with pytest.raises(ConfigurationError, match="protect: options go with an AmplifyConfig"):
        shell.middleware(shell.app(who), Engine(config), protect=["/*"])


def test_middlewares_that_differ_in_paths_alone_share_what_they_know(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    apps = [shell.middleware(shell.app(who), config, protect=[path]) for path in ("/a", "/b")]
    token = pool.mint("ada")
    assert [shell.send(app, Ask(cookie=token)).body for app in apps] == ["ada", "ada"]
    assert pool.count("jwks") == 1


def test_a_user_who_lacks_a_scope_is_not_sent_round_to_sign_in(
    asking: Asking, pool: LocalUserPool
) -> None:
    token = pool.sign_in("ada", scope="openid").access_token
    handler = lambda: str(fetch_user_attributes())  # noqa: E731
    got = asking(handler, cookie=token, headers={"Accept": "text/html"}, login_url="/login")
    assert (got.status, got.one("location")) == (401, None)


def test_a_test_says_who_is_signed_in(asking: Asking, pool: LocalUserPool) -> None:
    with signed_in("grace"):
        assert asking(who, cookie=pool.mint("ada"), protect=["/*"]).body == "grace"
    assert asking(who, cookie=pool.mint("ada")).body == "ada"


def test_options_on_the_middleware_are_fields_of_the_configuration(
    shell: Shell, config: AmplifyConfig
) -> None:
    with pytest.raises(ConfigurationError, match="protekt"):
        shell.middleware(shell.app(who), config, protekt=["/api/*"])


# --- what goes on after the response has begun


@dataclass
class Turning:
    """An engine's clock that can be turned."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now

    def after_the_token(self) -> str:
        """Whom the verbs see before and after an ID token has run out."""
        before = who()
        self.now += 7200
        return f"{before}, {who()}"


GONE = "ada, TokenExpiredException token_expired"


@pytest.mark.parametrize("moment", ["started", "streaming", "over"])
def test_a_user_is_gone_from_a_stream_when_the_token_runs_out(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool, moment: str
) -> None:
    clock, seen = Turning(), list[str]()
    answer = AppAnswer(later={moment: lambda: seen.append(clock.after_the_token())})
    app = shell.middleware(shell.app(lambda: answer), Engine(config, clock))
    shell.send(app, Ask(cookie=pool.mint("ada")))
    assert seen == [GONE]


def test_a_stream_asks_for_attributes_once(shell: Shell, pool: LocalUserPool) -> None:
    fetched = list[str]()

    def fetch() -> None:
        fetched.append(fetch_user_attributes()["name"])

    answer = AppAnswer(later=dict.fromkeys(["started", "streaming", "over"], fetch))
    app = shell.middleware(shell.app(lambda: answer), pool.config(attributes_ttl=0))
    shell.send(app, Ask(cookie=pool.mint("ada", "access")))
    assert fetched == ["Ada"] * 3
    assert pool.count("GetUser") == 1


def test_a_context_that_lives_on_has_no_user_once_the_request_is_over(
    asking: Asking, pool: LocalUserPool
) -> None:
    contexts = list[Context]()

    def handler() -> str:
        contexts.append(copy_context())
        return contexts[0].run(who)

    assert asking(handler, cookie=pool.mint("ada")).body == "ada"
    with ThreadPoolExecutor(1) as worker, pytest.raises(OutsideRequestError, match="is over"):
        worker.submit(contexts[0].run, who).result()


def test_a_context_of_a_request_that_failed_has_no_user_either(
    asking: Asking, pool: LocalUserPool
) -> None:
    contexts = list[Context]()

    def handler() -> str:
        contexts.append(copy_context())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asking(handler, cookie=pool.mint("ada"))
    with pytest.raises(OutsideRequestError, match="is over"):
        contexts[0].run(who)


def test_who_is_carried_elsewhere_is_gone_when_the_token_runs_out(
    shell: Shell, config: AmplifyConfig, pool: LocalUserPool
) -> None:
    clock = Turning()

    def handler() -> str:
        with ThreadPoolExecutor(1) as worker:  # and the response has not begun
            return worker.submit(carry(clock.after_the_token)).result()

    app = shell.middleware(shell.app(handler), Engine(config, clock))
    assert shell.send(app, Ask(cookie=pool.mint("ada"))).body == GONE
