"""`debug_headers=True`: `Server-Timing` and `Amplify-MW-Debug`, in both shells' responses."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyConfig, NotAuthorizedException, get_current_user, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import LocalUserPool, SignedInClients
from tests.routes.going import Visitor, altered, auth_routes
from tests.shells import AppAnswer, ASGIShell, Ask, Got, Shell, WSGIShell
from tests.sites import HOUR, LASTING, Build, Clock

DEBUG, TIMING = "amplify-mw-debug", "server-timing"
OURS = re.compile(r'amplify;desc="(.*)";dur=[0-9]+\.[0-9]{2}')
FACT = r"(?:state|reason|kind|cache|asked|refreshed|cookie)=[A-Za-z0-9_,]+"
FACTS = re.compile(rf"{FACT}(?:; {FACT})*")


def told(got: Got) -> dict[str, str]:
    text = got.one(DEBUG)
    assert text is not None
    assert FACTS.fullmatch(text)
    return dict(fact.split("=") for fact in text.split("; "))


def desc(got: Got) -> str:
    [text] = got.all(TIMING)
    found = OURS.fullmatch(text)
    assert found, text
    return found[1]


def test_without_the_option_there_are_none(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(protect=["/*"]))
    for cookie in (None, "junk", pool.mint("ada")):
        got = shell.send(app, Ask(cookie=cookie))
        assert not got.all(DEBUG)
        assert not got.all(TIMING)
    assert type(app) is shell.middleware
    assert "enter" not in vars(app)


def test_a_known_user(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(debug_headers=True))
    ask = Ask(cookie=pool.mint("ada"))
    first, second = shell.send(app, ask), shell.send(app, ask)
    assert told(first) == {
        "state": "signed_in", "kind": "token", "cache": "miss", "asked": "key_fetch",
    }  # fmt: skip
    assert told(second) == {"state": "signed_in", "kind": "token", "cache": "hit"}
    assert desc(first) == "signed in, token, not cached"
    assert desc(second) == "signed in, token, cached"
    assert isinstance(app, shell.middleware)


def test_a_refused_cookie_says_why_and_that_it_is_cleared(
    shell: Shell, pool: LocalUserPool
) -> None:
    config = pool.config(client_id="another", debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    got = shell.send(app, Ask(cookie=pool.mint("ada")))
    assert told(got) == {
        "state": "refused", "reason": "wrong_client", "kind": "token", "cache": "miss",
        "asked": "key_fetch", "cookie": "cleared",
    }  # fmt: skip
    assert desc(got) == "refused, token, not cached, cookie cleared"
    assert got.clears_cookie


def test_a_visitor_whom_nothing_stops(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(debug_headers=True))
    got = shell.send(app, Ask())
    assert told(got) == {"state": "nobody", "reason": "no_session", "kind": "token"}


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_answers_of_the_librarys_own(shell: Shell, pool: LocalUserPool, accept: str) -> None:
    config = pool.config(protect=["/*"], login_url="/login", debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    got = shell.send(app, Ask("/a", headers={"Accept": accept}))
    assert got.status == (302 if accept == "text/html" else 401)
    assert told(got)["reason"] == "no_session"
    got = shell.send(app, Ask("/a", cookie="junk", headers={"Accept": accept}))
    assert told(got)["reason"] == "malformed_token"


def test_a_guards_reason_is_the_one_that_counts(shell: Shell, pool: LocalUserPool) -> None:
    guarded = require_auth(groups=["admins"])(lambda: "home")
    app = shell.middleware(shell.app(guarded), pool.config(debug_headers=True))
    got = shell.send(app, Ask(cookie=pool.mint("ada")))
    assert got.status == 403
    assert (told(got)["state"], told(got)["reason"]) == ("signed_in", "missing_group")


def test_a_form_of_another_site(shell: Shell, pool: LocalUserPool) -> None:
    config = pool.config(debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    got = shell.send(app, Ask(cookie=pool.mint("ada"), method="POST", headers=headers))
    assert got.status == 403
    assert told(got)["reason"] == "foreign_origin"
    assert "evil" not in str(got.headers)


def test_an_outage(shell: Shell) -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        config, token = pool.config(debug_headers=True, protect=["/*"]), pool.mint("ada")
    app = shell.middleware(shell.app(lambda: "home"), config)
    got = shell.send(app, Ask(cookie=token))
    assert got.status == 503
    assert told(got) == {
        "state": "cannot_be_checked", "reason": "keys_unavailable", "kind": "token",
        "cache": "miss", "asked": "key_fetch",
    }  # fmt: skip


def test_a_response_that_streams(shell: Shell, pool: LocalUserPool) -> None:
    reached: list[str] = []
    answer = AppAnswer("home", later={"streaming": lambda: reached.append("it")})
    app = shell.middleware(shell.app(lambda: answer), pool.config(debug_headers=True))
    got = shell.send(app, Ask(cookie=pool.mint("ada")))
    assert (got.body, reached) == ("home", ["it"])
    assert told(got)["state"] == "signed_in"


def test_the_apps_own_timings_are_kept(shell: Shell, pool: LocalUserPool) -> None:
    answer = AppAnswer("home", headers=[("Server-Timing", "db;dur=3"), ("X-Own", "a")])
    app = shell.middleware(shell.app(lambda: answer), pool.config(debug_headers=True))
    got = shell.send(app, Ask())
    own, ours = got.all(TIMING)
    assert own == "db;dur=3"
    assert OURS.fullmatch(ours)
    assert got.one("x-own") == "a"
    assert answer.headers == [("Server-Timing", "db;dur=3"), ("X-Own", "a")]


def test_an_app_may_name_exc_info_on_a_path_that_is_ignored(pool: LocalUserPool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("500 Oh", [], exc_info=(ValueError, ValueError(), None))
        return [b"oh"]

    shell = WSGIShell()
    config = pool.config(ignore=["/health"], debug_headers=True)
    assert shell.send(shell.middleware(app, config), Ask("/health")).status == 500


# Sessions that are looked up, refreshed, started and ended.


def test_a_stored_session_is_looked_up_each_time(build: Build) -> None:
    site = build("memory", debug_headers=True)
    browser = site.sign_in()
    got = browser.does()
    assert told(got) == {
        "state": "signed_in", "kind": "stored", "cache": "stale", "asked": "store",
    }  # fmt: skip


@pytest.mark.parametrize("kind", LASTING)
def test_a_refresh_is_told_once(build: Build, clock: Clock, kind: str) -> None:
    site = build(kind, debug_headers=True)
    browser = site.sign_in()
    clock.advance(HOUR)
    got = browser.does()
    assert got.body == "ada"
    assert told(got)["refreshed"] == "yes"
    assert "refresh" in told(got)["asked"].split(",")
    assert "refreshed" in desc(got).split(", ")
    assert "refreshed" not in told(browser.does())


def test_a_session_that_the_app_starts_and_ends(build: Build) -> None:
    site = build("sealed", debug_headers=True)
    browser = site.browser()
    got = browser.does(site.start(site.pool.sign_in("ada")))
    assert (told(got)["state"], told(got)["cookie"]) == ("signed_in", "set")
    got = browser.does(site.end())
    assert told(got)["cookie"] == "cleared"
    assert "ada" not in str(got.all(DEBUG) + got.all(TIMING))


def test_a_cookie_of_the_apps_own_is_none_of_the_sessions(
    shell: Shell, pool: LocalUserPool
) -> None:
    answer = AppAnswer("home", headers=[("Set-Cookie", "amplify-session-2=a")])
    app = shell.middleware(shell.app(lambda: answer), pool.config(debug_headers=True))
    assert "cookie" not in told(shell.send(app, Ask()))


def test_the_sign_in_routes(build: Build) -> None:
    site = build("sealed", debug_headers=True, routes=auth_routes())
    visitor = Visitor(site)
    leaving = visitor.go("/auth/sign-in")
    assert leaving.status == 303
    assert told(leaving)["state"] == "nobody"
    location = leaving.one("location")
    assert location is not None
    got = visitor.come_back(site.pool.authorize(location, "ada"))
    facts = told(got)
    assert (facts["state"], facts["cookie"]) == ("signed_in", "set")
    assert "code_exchange" in facts["asked"]
    got = visitor.go(altered("/auth/sign-in-callback?state=a", code="b"), fetch_site="cross-site")
    got = visitor.go("/auth/sign-in-callback", fetch_site="same-origin")
    assert got.status == 400
    assert told(got)["reason"] == "bad_request"


# Which responses, and how often.


def test_an_ignored_path_has_none(shell: Shell, pool: LocalUserPool) -> None:
    config = pool.config(ignore=["/health"], debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    got = shell.send(app, Ask("/health", cookie=pool.mint("ada")))
    assert not got.all(DEBUG)


def test_middlewares_of_one_configuration_tell_once(shell: Shell, pool: LocalUserPool) -> None:
    engine = Engine.of(pool.config(debug_headers=True))
    inner = shell.middleware(shell.app(lambda: "home"), engine)
    got = shell.send(shell.middleware(inner, engine), Ask(cookie=pool.mint("ada")))
    assert told(got)["state"] == "signed_in"


def test_the_option_may_be_of_one_middleware(shell: Shell, pool: LocalUserPool) -> None:
    config = pool.config()
    app = shell.middleware(shell.app(lambda: "home"), config, debug_headers=True)
    assert told(shell.send(app, Ask()))["state"] == "nobody"


def test_a_bearer_token(shell: Shell, pool: LocalUserPool) -> None:
    config = pool.config(bearer=True, debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    ask = Ask(headers={"Authorization": f"Bearer {pool.mint('ada', 'access')}"})
    first, second = shell.send(app, ask), shell.send(app, ask)
    assert (told(first)["kind"], told(first)["cache"]) == ("bearer", "miss")
    assert (told(second)["kind"], told(second)["cache"]) == ("bearer", "hit")
    malformed = shell.send(app, Ask(headers={"Authorization": "Bearer a b"}))
    assert told(malformed)["reason"] == "malformed_header"


def test_a_websocket_that_is_accepted_and_one_that_is_refused(pool: LocalUserPool) -> None:
    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "chat"})

    app = AmplifyASGIMiddleware(chat, pool.config(debug_headers=True, protect=["/*"]))

    def opened(cookie: str | None) -> list[Any]:
        scope = ASGIShell().scope(Ask(cookie=cookie, headers={"Sec-Fetch-Site": "same-origin"}))
        del scope["method"]
        scope |= {"type": "websocket", "extensions": {"websocket.http.response": {}}}
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            said.append(message)

        asyncio.run(app(scope, receive, send))
        return said

    [accepted] = opened(pool.mint("ada"))
    assert accepted["subprotocol"] == "chat"
    assert dict(accepted["headers"])[DEBUG.encode()].startswith(b"state=signed_in; ")
    refused = opened("junk")[0]
    assert refused["type"] == "websocket.http.response.start"
    assert b"reason=malformed_token" in dict(refused["headers"])[DEBUG.encode()]


def test_a_lifespan_passes_untouched(pool: LocalUserPool) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((dict(scope), receive))

    scope, receive = {"type": "lifespan"}, object()
    middleware: Any = AmplifyASGIMiddleware(app, pool.config(debug_headers=True))
    asyncio.run(middleware(scope, receive, None))
    assert seen == [({"type": "lifespan"}, receive)]


def test_a_test_client_that_points_the_app_to_its_own_pool_tells_once(
    pool: LocalUserPool,
) -> None:
    shell = WSGIShell()
    config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="a", debug_headers=True)
    app = shell.middleware(shell.app(lambda: get_current_user().username), config)
    with SignedInClients(pool) as clients:
        response = clients.wsgi(app, "ada").get("/")
    assert response.headers.getlist("Amplify-MW-Debug") == [
        "state=signed_in; kind=token; cache=hit"
    ]


# What they never hold.


def test_names_that_are_no_words_are_left_out(shell: Shell, pool: LocalUserPool) -> None:
    def failing() -> str:
        raise NotAuthorizedException(reason='a"b\r\nSet-Cookie: c')  # type: ignore[arg-type]

    app = shell.middleware(shell.app(failing), pool.config(debug_headers=True))
    got = shell.send(app, Ask())
    assert told(got) == {"state": "nobody", "kind": "token"}


@pytest.mark.parametrize("kind", [WSGIShell, ASGIShell])
@given(
    path=st.text(max_size=40),
    method=st.sampled_from(["GET", "POST", "x\r\n"]),
    cookie=st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    header=st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
)
@example(path="/\r\n\x1b", method="GET", cookie='a.b.c"\r\nx', header='Bearer "\r\nx')
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_word_is_the_clients(
    pool: LocalUserPool, kind: type[Any], path: str, method: str, cookie: str, header: str
) -> None:
    shell = kind()
    config = pool.config(protect=["/*"], bearer=True, debug_headers=True)
    app = shell.middleware(shell.app(lambda: "home"), config)
    headers = {"Authorization": header, "Origin": header, "Server-Timing": header}
    got = shell.send(app, Ask("/" + path, cookie=cookie, method=method, headers=headers))
    assert told(got)
    assert desc(got)


# A public site.


@pytest.mark.parametrize(
    ("origin", "is_told"),
    [("https://app.example.com", True), ("https://localhost:5000", False)],
)
def test_a_public_site_with_the_option_is_warned_of_once(
    pool: LocalUserPool, origin: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        config = AmplifyConfig(
            user_pool_id="eu-west-1_Ab12Cd34E",
            client_id=name,
            origins=[origin.replace("app", f"app{is_told}".lower())],
            debug_headers=True,
        )
        Engine.of(config)
    said = [text for text in caplog.messages if "debug_headers" in text]
    assert len(said) == is_told
    for text in said:
        assert "leave it out" in text
