"""A sign-in that comes to nothing: one line of the log, a code on the page, the app's function."""

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import AuthRoutes, ConfigurationError, SignInFailure
from amplify_mw.testing import AlteredRedirect, AuthorizeError, CognitoError, LocalUserPool, Status
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.routes.going import ORIGIN, Visitor, altered, auth_routes, hop_of, pool_of, sent
from tests.shells import ASGIShell, Ask, Got, WSGIShell
from tests.sites import Build, Clock

CALLBACK = "/auth/sign-in-callback"
CALLBACK_LINE = f"GET '{CALLBACK}'"
MEND = {
    "provider_error": "allow the scopes that are asked for in the app client",
    "issuer_mismatch": "domain and user_pool_id have to be of one pool; else somebody mixes up "
    "two providers",
    "token_refused": "user_pool_id and client_id have to be those of domain, and this machine's "
    "clock right",
    "sign_in_too_weak": "the sign-in service gave tokens without an acr that was asked for: see "
    "its acr_values",
    "session_too_large": "have fewer claims and groups in the tokens, or keep sessions in a store: "
    "StoredSession",
}


def way_back(visitor: Visitor, **asked: str) -> str:
    return pool_of(visitor).authorize(visitor.leave(**asked), "ada")


def denied(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied", "ada said no")):
        return visitor.come_back(way_back(visitor))


def refused_scope(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("authorize", AuthorizeError("invalid_scope", "of ada")):
        return visitor.come_back(way_back(visitor))


def busy(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("authorize", AuthorizeError("server_error", "of ada")):
        return visitor.come_back(way_back(visitor))


def foreign_issuer(visitor: Visitor) -> Got:
    change = AlteredRedirect({"iss": "https://evil.example"})
    with pool_of(visitor).fault("login", change):
        return visitor.come_back(way_back(visitor))


def refused_code(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("token", CognitoError("invalid_grant", "of ada")):
        return visitor.come_back(way_back(visitor))


def wrong_client(visitor: Visitor) -> Got:
    with pool_of(visitor).tamper(claims={"aud": "somebody\nelse"}):
        return visitor.come_back(way_back(visitor))


def old_sign_in(visitor: Visitor) -> Got:
    with pool_of(visitor).tamper(claims={"auth_time": 1}):
        return visitor.come_back(way_back(visitor, max_age="60"))


def weak_sign_in(visitor: Visitor) -> Got:
    with pool_of(visitor).tamper(claims={"acr": None}):
        return visitor.come_back(way_back(visitor, acr_values="urn:mfa"))


def too_large(visitor: Visitor) -> Got:
    with pool_of(visitor).tamper(claims={"custom:note": "x" * 4000}):
        return visitor.come_back(way_back(visitor))


def outage(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("token", Status(503)):
        return visitor.come_back(way_back(visitor))


def misconfigured(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("token", CognitoError("invalid_client", "of ada")):
        return visitor.come_back(way_back(visitor))


def lost_attempt(visitor: Visitor) -> Got:
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied")):
        back = way_back(visitor)
    return Visitor(visitor.site).come_back(back)


def no_sign_in(visitor: Visitor) -> Got:
    visitor.leave()
    return visitor.go("/auth/sign-in-callback?state=c0de-c0de")


def two_cookies(visitor: Visitor) -> Got:
    visitor.leave()
    tried = auth_routes().tried.setting("1").partition(";")[0]
    cookies = f"amplify-session=c0de-1; amplify-session=c0de-2; {tried}"
    app = visitor.site.app(lambda: "the app")
    return visitor.site.shell.send(app, Ask("/auth/sign-in", cookies=cookies))


# What happens; the code, the pool's, the status; the line's level and what it says beside the code
# and the request; and whether the attempt is kept.
Row = tuple[Callable[[Visitor], Got], str, str | None, int, str, str | None, bool]
ROWS: dict[str, Row] = {
    "denied": (denied, "access_denied", "access_denied", 403, "INFO", "", False),
    "scope": (refused_scope, "provider_error", "invalid_scope", 502, "WARNING", "", False),
    "busy": (busy, "provider_unavailable", "server_error", 503, "WARNING", "", True),
    "issuer": (foreign_issuer, "issuer_mismatch", None, 400, "WARNING", "", False),
    "code": (refused_code, "code_rejected", "invalid_grant", 400, "INFO", "", False),
    "client": (
        *(wrong_client, "token_refused", None, 502, "WARNING"),
        *(
            r"wrong_client, its token claims to be of 'somebody\nelse', and 'local-client' "
            "counts, ",
            False,
        ),
    ),
    "old": (old_sign_in, "sign_in_too_old", None, 403, "INFO", "", False),
    "weak": (weak_sign_in, "sign_in_too_weak", None, 403, "WARNING", "", False),
    "large": (too_large, "session_too_large", None, 500, "WARNING", None, False),
    "outage": (outage, "provider_unavailable", None, 503, "INFO", "cognito_unavailable, ", True),
    "secret": (
        *(misconfigured, "provider_misconfigured", "invalid_client", 502, "INFO"),
        *("cognito_misconfigured, ", False),
    ),
    "attempt": (lost_attempt, "attempt_expired", None, 400, "INFO", "", True),
    "two": (two_cookies, "duplicate_cookie", None, 409, "INFO", "", True),
    "address": (no_sign_in, "bad_request", None, 400, "DEBUG", "", True),
}


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What the log says of failed sign-ins."""
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    return [(level, text) for level, text in said if text.startswith("sign-in failed: ")]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="amplify_mw")


@pytest.mark.parametrize("row", ROWS)
def test_each_failure_is_one_line_with_its_code_and_on_the_page(
    build: Build, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    happen, code, pool_error, status, level, why, keeps = ROWS[row]
    path = "/auth/sign-in" if row == "two" else CALLBACK
    told: list[SignInFailure] = []
    visitor = Visitor(build("token", routes={"on_sign_in_failed": told.append}))
    got = happen(visitor)

    [(said_at, text)] = lines(caplog)
    assert said_at == level
    assert text.isascii()
    assert text.isprintable()
    if why is not None:
        error = f"the user pool's error is {pool_error}, " if pool_error else ""
        line = CALLBACK_LINE.replace(CALLBACK, path)
        start = f"sign-in failed: {code} ({why}{error}{line})"
        mend = MEND.get(
            code, "the user pool itself is down or overloaded, which passes; attempts are kept"
        )
        assert text == (f"{start}: {mend}" if level == "WARNING" else start)

    assert got.status == status
    assert f"<p><small>{code}</small></p>" in got.body
    assert (got.one("retry-after") is not None) is (status == 503)
    assert bool(visitor.attempts) is keeps
    assert told == [SignInFailure(code, pool_error, status, "GET", path)]
    assert "ada" not in caplog.text
    assert "c0de" not in caplog.text


def test_every_code_is_provoked() -> None:
    from amplify_mw.routes.failures import Code

    by_the_app = {"sign_in_denied", "sign_in_error"}  # see test_on_sign_in.py
    assert {row[1] for row in ROWS.values()} | by_the_app == {str(code) for code in Code}


def test_the_size_of_what_is_too_large_is_told(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    too_large(Visitor(build("token")))
    [(_, text)] = lines(caplog)
    assert " bytes, where 4,096 fit, GET " in text
    assert text.endswith(MEND["session_too_large"])


# The app.


def test_a_page_of_the_apps_gets_both_codes(build: Build) -> None:
    visitor = Visitor(build(routes={"on_error": "/sorry?a=b"}))
    assert (
        hop_of(refused_scope(visitor)) == "/sorry?a=b&error=provider_error&pool_error=invalid_scope"
    )
    assert hop_of(no_sign_in(visitor)) == "/sorry?a=b&error=bad_request"


class Broken(Exception):
    pass


def raises(error: BaseException) -> Callable[[object], None]:
    def listener(failure: object) -> None:
        raise error

    return listener


@pytest.mark.parametrize("error", [Broken("why"), StopIteration(), AssertionError()], ids=repr)
def test_a_function_that_raises_is_logged_and_fails_nothing(
    build: Build, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build(routes={"on_sign_in_failed": raises(error)}))
    assert refused_scope(visitor).status == 502
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "the app's function that is told of a SignInFailure has failed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_an_async_function_is_awaited_on_the_loop(build: Build) -> None:
    told: list[object] = []

    async def listener(failure: SignInFailure) -> None:
        await asyncio.sleep(0)
        told.extend([failure.code, threading.current_thread()])

    refused_scope(Visitor(build(routes={"on_sign_in_failed": listener})))
    assert told == ["provider_error", threading.current_thread()]


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_a_function_that_is_not_async_keeps_no_loop_waiting(build: Build) -> None:
    told: list[threading.Thread] = []
    listener = lambda _: told.append(threading.current_thread())  # noqa: E731
    refused_scope(Visitor(build(routes={"on_sign_in_failed": listener})))
    assert told != [threading.current_thread()]
    assert len(told) == 1


@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_an_async_function_that_raises_fails_nothing(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    async def listener(failure: object) -> None:
        raise Broken

    visitor = Visitor(build(routes={"on_sign_in_failed": listener}))
    assert refused_scope(visitor).status == 502
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def awaited(failure: object) -> None: ...


class Awaited:
    async def __call__(self, failure: object) -> None: ...


@pytest.mark.parametrize("listener", [awaited, Awaited()])
def test_wsgi_takes_no_async_function(pool: LocalUserPool, listener: Any) -> None:
    config = pool.config(routes=auth_routes(on_sign_in_failed=listener))
    with pytest.raises(ConfigurationError, match="on_sign_in_failed: WSGI awaits nothing"):
        AmplifyWSGIMiddleware(lambda *_: [], config)


@pytest.mark.parametrize("shell", [WSGIShell], indirect=True)
def test_what_wsgi_cannot_await_is_logged(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    visitor = Visitor(build(routes={"on_sign_in_failed": lambda it: awaited(it)}))
    assert refused_scope(visitor).status == 502
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


@pytest.mark.parametrize("listener", ["/sorry", 1, SignInFailure, {}.__class__, []])
def test_what_is_no_function_is_refused(listener: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_sign_in_failed: write a function"):
        AuthRoutes(origin=ORIGIN, on_sign_in_failed=listener)


def listen(failure: SignInFailure) -> None:
    """One of a module."""


def test_a_configuration_with_a_function_can_be_pickled(pool: LocalUserPool) -> None:
    config = pool.config(routes=auth_routes(on_sign_in_failed=listen))
    assert pickle.loads(pickle.dumps(config)) == config
    assert config != pool.config(routes=auth_routes())


# What passes by itself.


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_an_error_of_the_pool_that_passes_keeps_the_attempt(build: Build, error: str) -> None:
    visitor = Visitor(build())
    leaving = visitor.leave(next="/orders")
    with pool_of(visitor).fault("authorize", AuthorizeError(error)):
        back = pool_of(visitor).authorize(leaving, "ada")
    for _ in range(2):  # it may be loaded again
        got = visitor.come_back(back)
        assert (got.status, got.one("retry-after")) == (503, "2")
        assert "/auth/sign-in?next=%2Forders" in got.body
    assert hop_of(visitor.come_back(pool_of(visitor).authorize(leaving, "ada"))) == "/orders"
    assert visitor.user == "ada"


@pytest.mark.parametrize(
    "error", ["login_required", "interaction_required", "account_selection_required"]
)
def test_nobody_there_with_prompt_none_is_no_fault(
    build: Build, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    with pool_of(visitor).fault("authorize", AuthorizeError(error)):
        assert visitor.come_back(way_back(visitor, prompt="none")).status == 403
    [(level, _)] = lines(caplog)
    assert level == "INFO"


# The pool's words.

SENTENCES = {
    "PreSignUp failed with error Only ada@example.com may. ": "Lambda trigger PreSignUp refused",
    "PostConfirmation invocation failed due to ada": "Lambda trigger PostConfirmation refused",
    "attributes required: [ada]": "an attribute that the pool requires did not come",
    "Already found an entry for username google_ada": "can sign in at the second try",
    "invalid_scope": "allow the scopes that are asked for in the app client",
    "ada": "see the app client's settings",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_cognitos_sentences_are_understood_and_not_repeated(
    build: Build, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    with pool_of(visitor).fault("authorize", AuthorizeError("invalid_request", sentence)):
        got = visitor.come_back(way_back(visitor))
    [(level, text)] = lines(caplog)
    assert (level, got.status) == ("WARNING", 502)
    assert SENTENCES[sentence] in text
    assert "ada" not in caplog.text + got.body


def test_the_first_of_a_kind_in_an_hour_is_loud(
    build: Build, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    levels = []
    for seconds in (0, 3599, 1):
        clock.advance(seconds)
        caplog.clear()
        refused_scope(visitor)
        levels += [level for level, _ in lines(caplog)]
    assert levels == ["WARNING", "INFO", "WARNING"]


def test_a_flood_of_made_up_errors_is_loud_once(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied")):
        for number in range(30):
            visitor.come_back(altered(way_back(visitor), error=f"made_up_{number}"))
    levels = [level for level, _ in lines(caplog)]
    assert (len(levels), levels.count("WARNING")) == (30, 1)


@given(error=st.text(max_size=300), description=st.text(max_size=300))  # as fits a query
@example(error="\U0010ffff" * 300, description="\U0010ffff" * 300)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_back_is_one_line_that_cannot_be_misread(
    build: Build, caplog: pytest.LogCaptureFixture, error: str, description: str
) -> None:
    caplog.clear()
    visitor = Visitor(build(routes={"on_error": "/sorry"}))
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied")):
        back = way_back(visitor)
    error, description = (text.encode("utf-8", "replace").decode() for text in (error, description))
    got = visitor.come_back(altered(back, error=error, error_description=description))
    [(_, text)] = lines(caplog)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 600
    told = sent(hop_of(got) or "")
    assert told["error"] in ("access_denied", "provider_error", "provider_unavailable")
    assert told["pool_error"].replace("_", "").isalnum()


def test_a_method_and_an_address_of_any_size_are_answered(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    got = visitor.go(f"/auth/sign-in-callback?code=a&state={'x' * 100_000}")
    assert got.status == 400
    got = visitor.go("/auth/sign-in", method="A\x1b[31m")
    assert got.status == 405
    assert "\x1b" not in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 600


# Another host name.

LOCAL = "http://localhost:5000"


def local(build: Build) -> Visitor:
    return Visitor(build(routes={"origin": LOCAL}))


def begin(visitor: Visitor, host: str) -> str:
    got = visitor.go("/auth/sign-in", headers={"Host": host})
    with pool_of(visitor).fault("authorize", AuthorizeError("access_denied")):
        back = pool_of(visitor).authorize(str(got.one("location")), "ada")
    return back.removeprefix(LOCAL)


def end(visitor: Visitor, back: str, host: str) -> Got:
    """Come back under a host name whose cookies the browser has not."""
    return Visitor(visitor.site).go(back, headers={"Host": host})


def test_a_sign_in_that_began_under_another_host_is_told_with_both(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = local(build)
    back = begin(visitor, "127.0.0.1:5000")
    for _ in range(2):
        got = end(visitor, back, "localhost:5000")
        assert got.status == 400
        assert "with www. in front, or 127.0.0.1 in place of localhost" in got.body
    (loud, text), (quiet, _) = lines(caplog)
    assert (loud, quiet) == ("WARNING", "INFO")
    assert "begun under the Host '127.0.0.1:5000', and this one ends under 'localhost:5000'" in text
    assert "the origin of AuthRoutes, 'http://localhost:5000'" in text


def test_a_code_that_came_without_its_attempt_is_told_and_no_failure(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    visitor = Visitor(build(routes={"origin": LOCAL, "on_sign_in_failed": told.append}))
    for host in ("localhost:5000", "127.0.0.1:5000"):
        got = visitor.go("/auth/sign-in", headers={"Host": host})
        back = pool_of(visitor).authorize(str(got.one("location")), "ada").removeprefix(LOCAL)
        hop = hop_of(end(visitor, back, "localhost:5000")) or ""
        assert hop.startswith("/auth/sign-in?next=%2F")
    assert (lines(caplog), told) == ([], [])
    quiet = f"sign-in begins again: no attempt of this browser ({CALLBACK_LINE})"
    said = [record for record in caplog.records if record.getMessage().startswith(quiet)]
    assert [record.levelname for record in said] == ["DEBUG", "WARNING"]
    assert "begun under the Host '127.0.0.1:5000'" in said[1].getMessage()


def test_a_browser_that_keeps_no_cookie_is_told_as_a_failure(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build(routes={"on_error": "/sorry"}))
    at, rounds = "/auth/sign-in?next=/orders", 0
    while not at.startswith("/sorry"):
        got = visitor.go(at)
        back = pool_of(visitor).authorize(str(got.one("location")), "ada")
        at, rounds = hop_of(Visitor(visitor.site).come_back(back)) or "", rounds + 1
        assert rounds < 20
    assert at == "/sorry?error=attempt_expired"
    assert [level for level, _ in lines(caplog)] == ["INFO"]


def test_a_proxy_that_writes_another_host_is_no_fault(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = local(build)
    end(visitor, begin(visitor, "backend:8080"), "backend:8080")
    [(level, text)] = lines(caplog)
    assert level == "INFO"
    assert "backend" not in text


@pytest.mark.parametrize(("one", "other"), [("Example.com:443", "example.com"), ("a", "a:443")])
def test_a_port_that_goes_without_saying_makes_no_other_host(
    build: Build, one: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = Visitor(build())
    end(visitor, begin(visitor, one).removeprefix(ORIGIN), other)
    assert [level for level, _ in lines(caplog)] == ["INFO"]


ODD = [
    "",
    "a b",
    "\x1b[31m",
    "h\xc3\xb6st",
    "a\x85b",
    "x" * 100_000,
    "a, b",
    "[::1",
    "a:b:c",
    "<b>",
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_a_host_that_is_none_is_passed_over(
    build: Build, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = local(build)
    back = begin(visitor, odd)
    for host in ("localhost:5000", odd):
        got = end(visitor, back, host)
        assert got.status == 400
        assert "5000" not in got.body
    begin(visitor, "127.0.0.1:5000")
    end(visitor, back, odd)
    assert [level for level, _ in lines(caplog)] == ["INFO"] * 3


def test_many_hosts_make_no_flood(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    visitor = local(build)
    back = begin(visitor, "127.0.0.1:5000")
    for number in range(40):
        visitor.go("/auth/sign-in", headers={"Host": f"host-{number}"})
        end(visitor, back, f"host-{number}.example")
    levels = [level for level, _ in lines(caplog)]
    assert (len(levels), levels.count("WARNING")) == (40, 1)
