"""Back from the pool: a session, or an answer that says why not and leaves what was there."""

import asyncio
import json
from typing import Any

import pytest

from amplify_mw import AmplifyCookies, CookiePolicy, SealedSession, StoredSession, TokenSession
from amplify_mw.effects import Unreachable
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import (
    AlteredRedirect,
    AuthorizeError,
    Body,
    CognitoError,
    Down,
    LocalUserPool,
    Lost,
    Status,
)
from tests.routes.going import (
    CALLBACK,
    NAVIGATION,
    ORIGIN,
    Visitor,
    again_of,
    altered,
    code_of,
    hop_of,
    pool_of,
    sent,
)
from tests.shells import ASGIShell, Ask, Got
from tests.sites import KEYS, NAME, Build, Clock, attributes, infos, town

MARKUP = "\"'><script>alert(1)</script>\r\nSet-Cookie: a=b"

KINDS: dict[str, Any] = {
    "token": TokenSession,
    "sealed": lambda: SealedSession(keys=KEYS[:1]),
    "stored": lambda: StoredSession(MemoryStore()),
    "amplify": AmplifyCookies,
    "several": lambda: [SealedSession(keys=KEYS[:1]), AmplifyCookies()],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_the_configured_kind_begins(build: Build, kind: str) -> None:
    visitor = Visitor(build(KINDS[kind]()))
    got = visitor.sign_in()
    assert got.status == 200
    assert visitor.user == "ada"
    assert not visitor.attempts


@pytest.mark.parametrize("kind", KINDS)
def test_signing_in_anew_ends_the_session_that_was_there(build: Build, kind: str) -> None:
    visitor = Visitor(build(KINDS[kind]()))
    visitor.sign_in()
    before = visitor.copy()
    assert visitor.sign_in("grace", prompt="login").status == 200
    assert visitor.user == "grace"
    if kind != "amplify":  # some of whose cookies only say that there is a session
        assert visitor.value != before.value
    if kind == "stored":
        assert before.user == "NotAuthorizedException invalid_session"


def test_a_session_id_that_was_sent_is_never_adopted(visitor: Visitor) -> None:
    planted = visitor.site.sign_in("grace").value
    visitor.jar[NAME] = planted
    visitor.sign_in(prompt="login")
    assert visitor.jar[NAME] != planted
    assert visitor.user == "ada"


def test_the_device_is_named_by_its_browser(build: Build) -> None:
    visitor = Visitor(build())
    back = pool_of(visitor).authorize(visitor.leave(), "ada")
    visitor.come_back(back, headers={"User-Agent": "Firefox/150 " + "x" * 300})
    [info] = infos(visitor.site, visitor)
    assert info.user_agent == ("Firefox/150 " + "x" * 300)[:256]


def test_the_answer_is_a_page_that_goes_on_by_itself(visitor: Visitor) -> None:
    got = visitor.sign_in(next="/a?b='c'&d=e;f")
    assert got.status == 200
    assert got.one("location") is None
    assert got.one("content-type") == "text/html; charset=utf-8"
    assert got.one("content-length") == str(len(got.body.encode()))
    assert got.one("cache-control") == "no-store"
    assert got.one("referrer-policy") == "no-referrer"
    assert got.one("x-content-type-options") == "nosniff"
    assert str(got.one("content-security-policy")).split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    target = "/a?b=&#x27;c&#x27;&amp;d=e;f"
    assert f'<meta http-equiv="refresh" content="0;url={target}">' in got.body
    assert f'<a href="{target}">' in got.body
    assert "<script" not in got.body


def test_it_sets_the_session_and_drops_the_attempt(visitor: Visitor) -> None:
    back = pool_of(visitor).authorize(visitor.leave(), "ada")
    [attempt] = visitor.attempts
    lines = {line.partition("=")[0]: line for line in visitor.come_back(back).all("set-cookie")}
    assert lines.keys() == {attempt, NAME, "amplify-hop"}
    assert attributes(lines[attempt])["max-age"] == "0"
    assert attributes(lines[attempt])["path"] == "/auth"
    assert attributes(lines[NAME])["samesite"] == "Strict"


def test_the_way_back_taken_twice_is_where_one_is_already(visitor: Visitor) -> None:
    back = pool_of(visitor).authorize(visitor.leave(next="/orders"), "ada")
    visitor.come_back(back)
    got = visitor.come_back(back)
    assert (got.status, got.all("set-cookie"), hop_of(got)) == (200, [], "/orders")
    assert visitor.user == "ada"
    assert pool_of(visitor).count("token") == 1


# A code without this browser's attempt: it is not used, and another attempt begins.

FOREIGN: dict[str, dict[str, str | None]] = {
    "no state": {"state": None},
    "an empty state": {"state": ""},
    "an old state": {"state": "6b49d200.AAAAAAAAAAAAAAAAAAAAAA"},
    "any state": {"state": MARKUP},
    "a state of many turns": {"state": f"6b49d200.{'A' * 22}.9{'9' * 99}"},
    "a state that is sealed with nothing": {"state": f"6b49d200.{'A' * 22}.0.a..b.c.d"},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_a_code_that_was_not_asked_for_begins_a_sign_in(
    visitor: Visitor, changes: dict[str, str | None]
) -> None:
    pool = pool_of(visitor)
    back = altered(pool.authorize(visitor.leave(next="/orders"), "grace"), **changes)
    got = visitor.come_back(back)
    assert again_of(got) == {"next": "/", "turns": "1"}
    assert (NAME in visitor.jar, pool.count("token")) == (False, 0)
    assert not {"alert", sent(back)["code"]} & set(got.body.split())
    visitor.come_back(pool.authorize(visitor.leave(str(hop_of(got))), "ada"))
    assert visitor.user == "ada"  # whose answer this browser has asked for


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_a_code_that_was_not_asked_for_leaves_who_is_signed_in(
    visitor: Visitor, changes: dict[str, str | None]
) -> None:
    visitor.sign_in()
    before = visitor.value
    pool = pool_of(visitor)
    back = altered(pool.authorize(visitor.leave(prompt="login"), "grace"), **changes)
    got = visitor.come_back(back)
    assert (hop_of(got), got.all("set-cookie")) == ("/", [])
    assert (visitor.user, visitor.value, pool.count("token")) == ("ada", before, 1)


def test_a_strict_session_that_the_way_back_did_not_bring_is_found(build: Build) -> None:
    visitor = Visitor(build())
    back = pool_of(visitor).authorize(visitor.leave(next="/orders", prompt="login"), "ada")
    signed_in = Visitor(visitor.site)
    signed_in.sign_in()  # in another tab; this one's attempt has given way to newer ones
    got = Visitor(visitor.site).go(back, fetch_site="cross-site")
    assert signed_in.go(str(hop_of(got))).one("location") == "/orders"


def test_sign_in_goes_on_to_its_page_when_its_attempt_is_gone(visitor: Visitor) -> None:
    asked = {"next": "/orders?page=2", "lang": "de", "login_hint": "ada@example.com"}
    back = pool_of(visitor).authorize(visitor.leave(**asked), "ada")
    visitor.jar.clear()
    assert again_of(visitor.come_back(back)) == {**asked, "turns": "1"}


def test_how_fresh_a_sign_in_has_to_be_is_asked_again(visitor: Visitor) -> None:
    back = pool_of(visitor).authorize(visitor.leave(max_age="60"), "ada")
    visitor.jar.clear()
    again = hop_of(visitor.come_back(back))
    assert sent(visitor.leave(str(again)))["max_age"] == "60"


def test_a_page_whose_address_is_long_is_forgotten_with_its_attempt(visitor: Visitor) -> None:
    leaving = visitor.leave(next="/" + "a" * 2000)
    assert len(sent(leaving)["state"]) < 100
    visitor.jar.clear()
    got = visitor.come_back(pool_of(visitor).authorize(leaving, "ada"))
    assert again_of(got) == {"next": "/", "turns": "1"}


def test_a_way_that_another_site_has_sealed_leads_nowhere(build: Build) -> None:
    one, other = (Visitor(build(routes={"keys": [key]})) for key in KEYS[:2])
    back = pool_of(one).authorize(one.leave(next="/theirs"), "ada")
    assert again_of(other.come_back(back)) == {"next": "/", "turns": "1"}


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS[1:2]], ids=["its own", "not its own"])
def test_a_browser_that_keeps_no_cookies_is_told_so_in_the_end(
    build: Build, keys: list[str]
) -> None:
    here = Visitor(build(routes={"keys": KEYS[:1]}))
    there = Visitor(build(routes={"keys": keys}))
    leave = "/auth/sign-in?next=/orders"
    for _ in range(5):
        back = pool_of(here).authorize(here.leave(leave), "ada")
        here.jar.clear()
        leave = str(hop_of(there.come_back(back)))
    got = there.come_back(pool_of(here).authorize(here.leave(leave), "ada"))
    assert (got.status, "took too long" in got.body) == (400, True)


# Failures: each has its code and status; none begins a session or ends one.

TEXTS: dict[str, Any] = {
    "access_denied": 403,
    "provider_error": 502,
    "attempt_expired": 400,
    "bad_request": 400,
    "issuer_mismatch": 400,
    "code_rejected": 400,
    "token_refused": 502,
    "sign_in_too_old": 403,
    "session_too_large": 500,
    "provider_unavailable": 503,
    "provider_misconfigured": 502,
}


def url_changes(**changes: str | None) -> Any:
    """A way back with other parameters."""
    return lambda visitor: altered(pool_of(visitor).authorize(visitor.leave(), "grace"), **changes)


def error_of(error: str, description: str | None = None) -> Any:
    def back(visitor: Visitor) -> str:
        with pool_of(visitor).fault("authorize", AuthorizeError(error, description)):
            return pool_of(visitor).authorize(visitor.leave(), "grace")

    return back


def tampered(use: Any = "id", **how: Any) -> Any:
    def back(visitor: Visitor) -> str:
        url = pool_of(visitor).authorize(visitor.leave(), "grace")
        pool_of(visitor).tamper(use, **how)
        return url

    return back


def fault(some: Any) -> Any:
    def back(visitor: Visitor) -> str:
        url = pool_of(visitor).authorize(visitor.leave(), "grace")
        pool_of(visitor).fault("token", some)
        return url

    return back


def swapped(visitor: Visitor) -> str:
    """The code of one attempt with the state of another."""
    one = pool_of(visitor).authorize(visitor.leave(), "grace")
    two = pool_of(visitor).authorize(visitor.leave(), "grace")
    return altered(two, code=sent(one)["code"])


def used_code(visitor: Visitor) -> str:
    """A code that another browser has redeemed."""
    url = pool_of(visitor).authorize(visitor.leave(), "grace")
    Visitor(visitor.site, visitor.attempts).come_back(url)
    return url


def other_pool(visitor: Visitor) -> str:
    """A way back whose ID token another pool has made."""
    with LocalUserPool(user_pool_id="eu-west-1_Other0001") as other:
        other.add_user("grace")
        token = other.mint("grace")
    url = pool_of(visitor).authorize(visitor.leave(), "grace")
    answer = {"id_token": token, "access_token": pool_of(visitor).mint("grace", "access")}
    pool_of(visitor).fault("token", Body(json.dumps(answer).encode()))
    return url


def stranger(visitor: Visitor) -> str:
    """A way back whose access token is another user's."""
    url = pool_of(visitor).authorize(visitor.leave(), "grace")
    pool_of(visitor).tamper("access", claims={"sub": "somebody-else"})
    return url


FAILURES: dict[str, tuple[Any, str]] = {
    "denied": (error_of("access_denied"), "access_denied"),
    "not signed in there": (error_of("login_required"), "access_denied"),
    "an error": (error_of("invalid_scope"), "provider_error"),
    "an error that passes": (error_of("server_error"), "provider_unavailable"),
    "another": (error_of("temporarily_unavailable"), "provider_unavailable"),
    "an error of any text": (error_of(MARKUP, MARKUP), "provider_error"),
    "an empty error": (url_changes(code=None, error=""), "provider_error"),
    "no code": (url_changes(code=None), "bad_request"),
    "code and error": (url_changes(error="access_denied"), "bad_request"),
    "an error without a state": (
        url_changes(code=None, error="invalid_request", state=None),
        "bad_request",
    ),
    "an error of any state": (
        url_changes(code=None, error="access_denied", state=MARKUP),
        "attempt_expired",
    ),
    "wrong iss": (url_changes(iss="https://evil.example"), "issuer_mismatch"),
    "empty iss": (url_changes(iss=""), "issuer_mismatch"),
    "any iss": (url_changes(iss=MARKUP), "issuer_mismatch"),
    "wrong code": (url_changes(code="guessed"), "code_rejected"),
    "empty code": (url_changes(code=""), "bad_request"),
    "any code": (url_changes(code=MARKUP), "code_rejected"),
    "swapped code": (swapped, "code_rejected"),
    "used code": (used_code, "code_rejected"),
    "no nonce": (tampered(claims={"nonce": None}), "token_refused"),
    "wrong nonce": (tampered(claims={"nonce": "AAAAAAAAAAAAAAAAAAAAAA"}), "token_refused"),
    "strange nonce": (tampered(claims={"nonce": ["\ud800"]}), "token_refused"),
    "unwritable nonce": (tampered(claims={"nonce": "\ud800"}), "token_refused"),
    "alg none": (tampered(algorithm="none"), "token_refused"),
    "alg HS256": (tampered(algorithm="HS256"), "token_refused"),
    "wrong aud": (tampered(claims={"aud": "another"}), "token_refused"),
    "wrong iss claim": (tampered(claims={"iss": "https://evil.example"}), "token_refused"),
    "an access token in its place": (tampered(claims={"token_use": "access"}), "token_refused"),
    "expired token": (tampered(claims={"exp": 1}), "token_refused"),
    "bad access token": (tampered("access", algorithm="none"), "token_refused"),
    "access token of another client": (
        tampered("access", claims={"client_id": "another"}),
        "token_refused",
    ),
    "access token of another user": (stranger, "token_refused"),
    "another pool's": (other_pool, "token_refused"),
    "outage": (fault(Status(503)), "provider_unavailable"),
    "500": (fault(Status(500)), "provider_unavailable"),
    "throttling": (fault(Status(429)), "provider_unavailable"),
    "down": (fault(Down()), "provider_unavailable"),
    "lost": (fault(Lost()), "provider_unavailable"),
    "garbage": (fault(Body(b"<html>")), "provider_unavailable"),
    "no JSON object": (fault(Body(b"[1]")), "provider_unavailable"),
    "no id token": (fault(Body(b'{"access_token": "a"}')), "provider_unavailable"),
}


@pytest.mark.parametrize("failure", ["outage", "wrong nonce", "alg none", "used code", "any code"])
def test_a_failure_leaves_no_secret_in_the_log(
    visitor: Visitor, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = FAILURES[failure][0](visitor)
    secrets = [sent(url)["code"], sent(url)["state"], *visitor.attempts.values()]
    caplog.clear()
    visitor.come_back(url)
    visitor.site.settle()
    ours = [record for record in caplog.records if record.name.startswith("amplify_mw")]
    written = "".join(f"{record.getMessage()} {record.exc_info}" for record in ours)
    assert not [secret for secret in secrets if secret in written]


KEEPS = {"bad_request", "attempt_expired", "provider_unavailable"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_goes_to_on_error_with_its_code(visitor: Visitor, failure: str) -> None:
    prepare, code = FAILURES[failure]
    url = prepare(visitor)
    before = set(visitor.attempts)
    assert code_of(visitor.come_back(url)) == code
    assert visitor.user == "NotAuthorizedException no_session"
    # An attempt is used up once the provider has answered.
    assert len(before - set(visitor.attempts)) == (0 if code in KEEPS else 1)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_a_page_that_repeats_nothing(build: Build, failure: str) -> None:
    prepare, code = FAILURES[failure]
    visitor = Visitor(build())
    got = visitor.come_back(prepare(visitor))
    assert got.status == TEXTS[code]
    assert got.one("cache-control") == "no-store"
    assert "default-src 'none'" in str(got.one("content-security-policy"))
    assert '<a href="/auth/sign-in' in got.body
    assert "alert" not in got.body + str(got.headers)
    may_retry = code in KEEPS and got.status == 503
    assert (got.one("retry-after") is not None) is may_retry


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_the_session_that_was_there(visitor: Visitor, failure: str) -> None:
    prepare, code = FAILURES[failure]
    visitor.sign_in()
    before = visitor.value
    leave = visitor.leave
    visitor.leave = lambda *path, **asked: leave(*path, prompt="login", **asked)  # type: ignore[method-assign]
    got = visitor.come_back(prepare(visitor))
    # The way back from an attempt that is over leads who is signed in to the site.
    assert code_of(got) == (None if code == "attempt_expired" else code)
    assert (visitor.value, visitor.user) == (before, "ada")


@pytest.mark.parametrize("outage", [Status(503), Status(429), Down(), Body(b"<html>")], ids=repr)
def test_after_an_outage_the_page_can_be_loaded_again(
    build: Build, pool: LocalUserPool, outage: Any
) -> None:
    visitor = Visitor(build())
    back = pool.authorize(visitor.leave(), "ada")
    with pool.fault("token", outage):
        assert visitor.come_back(back).status == 503
    assert visitor.come_back(back).status == 200
    assert visitor.user == "ada"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behind", [6, 600])
def test_behind_the_pools_clock_a_session_begins_that_counts_once_the_clock_has_caught_up(
    build: Build, kind: str, behind: int, caplog: pytest.LogCaptureFixture
) -> None:
    cognitos = Clock()
    with town(cognitos) as pool:
        cognitos.advance(behind)
        visitor = Visitor(build(KINDS[kind](), pool=pool, protect=["/account"]))
        back = pool.authorize(visitor.leave(next="/account"), "ada")
        got = visitor.come_back(back)
        seconds = min(behind - 5, 60)
        assert got.status == 200
        assert f'content="{seconds};url=/account"' in got.body
        assert "the clock of this site is behind" in got.body
        assert not visitor.attempts
        told = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
        assert [text.partition("behind")[0] for text in told] == [
            f"this machine's clock is {behind} s "
        ]
        assert visitor.go("/account").status == 503
        again = visitor.come_back(back)
        assert f'content="{min(seconds, 10)};url=/account"' in again.body
        visitor.site.clock.advance(behind - 5)
        assert visitor.user == "ada"
        assert visitor.go("/account").body == "the app"


def test_behind_the_pools_clock_an_answer_to_another_request_is_refused_as_ever(
    build: Build,
) -> None:
    cognitos = Clock()
    with town(cognitos) as pool:
        cognitos.advance(30)
        visitor = Visitor(build(routes={"on_error": "/sorry"}, pool=pool))
        for wrong in ({"nonce": None}, {"aud": "another"}):
            with pool.tamper(claims=wrong):
                assert code_of(visitor.sign_in()) == "token_refused"
        assert visitor.user == "NotAuthorizedException no_session"


def test_far_ahead_of_the_pools_clock_the_log_says_why_nobody_can_sign_in(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    cognitos = Clock()
    with town(cognitos) as pool:
        cognitos.advance(-3700)
        visitor = Visitor(build(routes={"on_error": "/sorry"}, pool=pool))
        assert code_of(visitor.sign_in()) == "token_refused"
        assert "this machine's clock is 3700 s ahead of the pool's" in caplog.text


def test_the_right_issuer_is_accepted(build: Build, clock: Clock) -> None:
    with town(clock, adds_iss=True) as pool:
        visitor = Visitor(build(pool=pool))
        back = pool.authorize(visitor.leave(), "ada")
        assert sent(back)["iss"] == pool.issuer
        visitor.come_back(back)
        assert visitor.user == "ada"


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
def test_an_error_of_another_issuer_is_not_believed(visitor: Visitor, iss: str) -> None:
    back = error_of("access_denied")(visitor)
    assert code_of(visitor.come_back(altered(back, iss=iss))) == "issuer_mismatch"


def test_what_the_provider_adds_does_no_harm(visitor: Visitor, pool: LocalUserPool) -> None:
    with pool.fault("login", AlteredRedirect({"session_state": "x", "scope": "openid"})):
        assert visitor.sign_in().status == 200


def test_a_client_that_is_not_accepted_is_a_mistake_of_the_site(build: Build, clock: Clock) -> None:
    with town(clock, client_secret="right") as pool:
        visitor = Visitor(build(pool=pool, client_secret="wrong", routes={"on_error": "/sorry"}))
        assert code_of(visitor.sign_in()) == "provider_misconfigured"
        assert not visitor.attempts


@pytest.mark.parametrize(
    "code",
    [
        *("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"),
        *("invalid_request", "an_error_of_tomorrow"),
    ],
)
def test_a_token_endpoint_that_refuses_this_site_is_told_once_with_its_code(
    visitor: Visitor, pool: LocalUserPool, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    with pool.fault("token", CognitoError(code, "sécret")):
        got = [code_of(visitor.sign_in()) for _ in range(3)]
    assert got == ["provider_misconfigured"] * 3
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert f"app client {pool.client_id} ({code}): " in record.getMessage()
    assert "sécret" not in caplog.text


def test_a_token_endpoint_that_is_down_is_told_once_and_its_end_once(
    visitor: Visitor, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pool.fault("token", Status(503)):
        assert {code_of(visitor.sign_in()) for _ in range(3)} == {"provider_unavailable"}
    visitor.sign_in()
    assert [record.getMessage() for record in caplog.records] == [
        f"sign-in at {pool.url}/oauth2/token does not answer (HTTP status 503); "
        "sign-ins come to nothing meanwhile",
        f"sign-in at {pool.url}/oauth2/token answers again",
    ]


def test_a_code_that_is_not_good_any_more_is_nobodys_mistake(
    visitor: Visitor, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pool.fault("token", CognitoError("invalid_grant")):
        assert code_of(visitor.sign_in()) == "code_rejected"
    assert caplog.records == []


def test_a_client_with_a_secret_signs_people_in(build: Build, clock: Clock) -> None:
    with town(clock, client_secret="se:cret/+%") as pool:
        visitor = Visitor(build(pool=pool))
        visitor.sign_in()
        assert visitor.user == "ada"


@pytest.mark.parametrize(
    ("max_age", "claims", "code"),
    [
        ("60", {}, None),
        ("60", {"auth_time": 1_800_000_000 - 65}, None),  # with the leeway
        ("60", {"auth_time": 1_800_000_000 - 66}, "sign_in_too_old"),
        ("0", {"auth_time": 1_800_000_000 - 6}, "sign_in_too_old"),
        ("60", {"auth_time": None}, "sign_in_too_old"),
        ("60", {"auth_time": "1800000000"}, "sign_in_too_old"),
        ("60", {"auth_time": True}, "sign_in_too_old"),
        ("60", {"auth_time": 1_800_000_000 + 5}, None),
        ("60", {"auth_time": 1_800_000_000 + 6}, "sign_in_too_old"),
        ("60", {"auth_time": 10**400}, "sign_in_too_old"),
        ("60", {"auth_time": -(10**400)}, "sign_in_too_old"),
        (None, {"auth_time": 1}, None),
    ],
)
def test_step_up_is_checked_on_return(
    visitor: Visitor, max_age: str | None, claims: dict[str, Any], code: str | None
) -> None:
    asked = {} if max_age is None else {"max_age": max_age}
    with pool_of(visitor).tamper(claims=claims):
        got = visitor.sign_in(**asked)
    assert code_of(got) == code
    assert (visitor.user == "ada") is (code is None)


def test_step_up_of_a_pool_that_knows_the_browser_asks_again(
    visitor: Visitor, clock: Clock
) -> None:
    browser: dict[str, str] = {}
    pool = pool_of(visitor)
    visitor.come_back(pool.authorize(visitor.leave(), "ada", cookies=browser))
    clock.advance(120)
    back = pool.authorize(visitor.leave(max_age="60"), "ada", cookies=browser)
    assert visitor.come_back(back).status == 200
    assert visitor.user == "ada"


def test_tokens_that_fit_no_cookie_are_said_to_be_too_large(build: Build) -> None:
    visitor = Visitor(build("token"))
    with pool_of(visitor).tamper(claims={"custom:note": "x" * 4000}):
        got = visitor.sign_in()
    assert (got.status, NAME in visitor.jar) == (500, False)
    assert "too much in its tokens" in got.body
    assert not visitor.attempts


class BrokenStore(MemoryStore):
    """A store that can be taken away."""

    is_down = False

    def create(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_down:
            raise Unreachable("down")
        return super().create(*args, **kwargs)


def test_a_store_that_is_down_begins_no_session(build: Build) -> None:
    store = BrokenStore()
    visitor = Visitor(build(StoredSession(store)))
    back = pool_of(visitor).authorize(visitor.leave(), "ada")
    store.is_down = True
    got = visitor.come_back(back)
    assert (got.status, NAME in visitor.jar) == (503, False)
    assert not visitor.attempts  # its code is used up
    store.is_down = False
    visitor.sign_in()
    assert visitor.user == "ada"


@pytest.mark.parametrize("operation", ["jwks"])
def test_keys_that_cannot_be_had_begin_no_session(build: Build, operation: str) -> None:
    visitor = Visitor(build(keys=None, routes={"on_error": "/sorry"}))
    with pool_of(visitor).fault(operation, Down()):
        assert code_of(visitor.sign_in()) == "provider_unavailable"
    assert NAME not in visitor.jar


@pytest.mark.parametrize("keep_old", [True, False])
def test_keys_may_change_while_somebody_signs_in(
    build: Build, clock: Clock, keep_old: bool
) -> None:
    visitor = Visitor(build(keys=None))
    visitor.copy().sign_in("grace")  # so that the old ones are known
    back = pool_of(visitor).authorize(visitor.leave(), "ada")
    pool_of(visitor).rotate_keys(keep_old=keep_old)
    clock.advance(120)
    visitor.come_back(back)
    assert visitor.user == "ada"


# Only on an event loop is it known when the second has begun to wait.
@pytest.mark.parametrize("shell", [ASGIShell], indirect=True)
def test_two_callbacks_with_one_code_at_once_make_one_grant(build: Build, shell: ASGIShell) -> None:
    visitor = Visitor(build())
    pool = pool_of(visitor)
    path, _, query = pool.authorize(visitor.leave(), "ada").removeprefix(ORIGIN).partition("?")
    ask = Ask(path, cookies=visitor.header, query=query)
    app = visitor.site.app(lambda: "the app")

    async def both() -> list[Got]:
        with pool.hold("token") as gate:
            twins = [asyncio.create_task(shell.serve(app, ask)) for _ in range(2)]
            await asyncio.to_thread(gate.wait_for_arrivals, 1)
            gate.release()
            return await asyncio.gather(*twins)

    assert [got.status for got in asyncio.run(both())] == [200, 200]
    assert pool.count("token") == 1


def test_on_error_may_have_a_query_of_its_own(build: Build) -> None:
    visitor = Visitor(build(routes={"on_error": "/sorry?from=auth"}))
    got = visitor.come_back(altered(CALLBACK, state="x", error="access_denied"))
    assert hop_of(got) == "/sorry?from=auth&error=attempt_expired"


# The hop: another site's link to a page that needs a user.

GUARDED: dict[str, Any] = {"protect": ["/account/*"]}
CROSS = {**NAVIGATION, "Sec-Fetch-Dest": "document"}
LAX = CookiePolicy(same_site="Lax")


def arrive(visitor: Visitor, path: str = "/account", **facts: Any) -> Any:
    return visitor.go(path, **{"fetch_site": "cross-site", "headers": CROSS, **facts})


def test_a_link_of_another_site_to_a_guarded_page_takes_a_hop(build: Build) -> None:
    visitor = Visitor(build(**GUARDED))
    got = arrive(visitor, "/account/a'b?c=d&e=%20;f")
    assert (got.status, got.one("location")) == (200, None)
    assert got.one("cache-control") == "no-store"
    assert "default-src 'none'" in str(got.one("content-security-policy"))
    assert 'content="0;url=/account/a&#x27;b?c=d&amp;e=%20;f"' in got.body
    assert "Cookie" in str(got.one("vary"))
    attributes = "Max-Age=10; Secure; HttpOnly; Path=/account/a'b; SameSite=Lax"
    assert got.all("set-cookie") == [f"amplify-hop=1; {attributes}"]


def test_after_the_hop_comes_the_page_or_the_guards_answer(build: Build) -> None:
    visitor = Visitor(build(**GUARDED))
    assert arrive(visitor).status == 200
    got = visitor.go("/account", headers=NAVIGATION)
    assert (got.status, got.one("location")) == (302, "/auth/sign-in?next=%2Faccount")
    visitor.sign_in()
    assert visitor.go("/account", headers=NAVIGATION).body == "the app"


@pytest.mark.parametrize(
    "facts",
    [
        {"fetch_site": "same-origin"},
        {"fetch_site": "same-site"},
        {"fetch_site": "none"},
        {"fetch_site": None},
        {"headers": {**CROSS, "Sec-Fetch-Mode": "cors"}},
        {"headers": {**CROSS, "Sec-Fetch-Mode": "no-cors"}},
        {"headers": {**CROSS, "Accept": "application/json"}},
        {"headers": {"Accept": "*/*"}},
        {"method": "POST"},
        {"path": "/open"},
    ],
    ids=str,
)
def test_only_such_a_link_takes_one(build: Build, facts: dict[str, Any]) -> None:
    got = arrive(Visitor(build(**GUARDED)), **facts)
    assert "refresh" not in got.body


def test_a_lax_cookie_would_have_come(build: Build) -> None:
    got = arrive(Visitor(build(cookie=LAX, **GUARDED)))
    assert got.status == 302


@pytest.mark.parametrize("value", ["junk", ""])
def test_who_has_sent_a_cookie_takes_none(build: Build, value: str) -> None:
    visitor = Visitor(build(**GUARDED))
    visitor.jar[NAME] = value
    assert "refresh" not in arrive(visitor).body
    signed_in = Visitor(visitor.site)
    signed_in.sign_in()
    assert arrive(signed_in).body == "the app"


def test_other_cookies_tell_nothing(build: Build) -> None:
    visitor = Visitor(build(**GUARDED))
    visitor.jar["theme"] = "dark"
    assert "refresh" in arrive(visitor).body


def test_a_head_request_gets_the_headers_of_a_hop(build: Build) -> None:
    got = arrive(Visitor(build(**GUARDED)), method="HEAD")
    assert (got.status, got.body) == (200, "")


def test_the_hop_needs_no_routes(build: Build) -> None:
    visitor = Visitor(build(routes=None, **GUARDED))
    assert "refresh" in arrive(visitor).body


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/account\\..\\..//evil.example", "//auth/sign-out"),
        *("/account/../auth/sign-out", "/account/..\\auth/sign-out", "/./auth/sign-in"),
    ],
)
def test_there_is_no_hop_to_what_may_be_read_as_another_path(build: Build, path: str) -> None:
    got = arrive(Visitor(build(protect=["/*"])), path)
    assert (hop_of(got), got.status) == (None, 302)
    assert str(got.one("location")).startswith("/auth/sign-in?next=%2F")
