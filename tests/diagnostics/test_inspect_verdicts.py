"""The one reason of an inspection is the middleware's own, for whatever a browser sends."""

import random
import string
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyCookies,
    AuthError,
    AuthRoutes,
    Needs,
    SealedSession,
    StoredSession,
    TokenSession,
    get_current_user,
    hand_over_user,
)
from amplify_mw.diagnostics import Inspection, inspect_credential
from amplify_mw.errors import Reason
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.shells import Ask, WSGIShell
from tests.sites import DAY, HOUR, KEYS, Clock, Site, town

SHELL = WSGIShell()
ALL = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture
def shell() -> WSGIShell:
    """One of them: other tests hold both to the same answers."""
    return SHELL


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture(scope="module")
def sites(pool: LocalUserPool, clock: Clock) -> Iterator[dict[str, Site]]:
    """A site for each kind of session, all of one pool."""
    kinds: dict[str, Any] = {
        "token": TokenSession(),
        "sealed": SealedSession(keys=KEYS[:2]),
        "stored": StoredSession(MemoryStore(clock=clock)),
        "amplify": AmplifyCookies(),
        "several": [SealedSession(keys=KEYS[:1]), AmplifyCookies()],
    }
    with ExitStack() as stack:
        made = {name: Site(SHELL, pool, clock, kind) for name, kind in kinds.items()}
        for site in made.values():
            stack.callback(site.close)
        yield made


def said(site: Site, cookies: str, **facts: Any) -> str:
    """What the middleware makes of these cookies: a reason, or nothing for a user."""

    def ask() -> str:
        try:
            get_current_user()
        except AuthError as error:
            return error.reason
        return ""

    return site.send(ask, Ask(cookies=cookies, **facts)).body


def status(site: Site, cookies: str, **facts: Any) -> int:
    """The status of the middleware's answer."""
    return site.send(lambda: "", Ask(cookies=cookies, **facts)).status


def inspected(site: Site, cookies: str, **options: Any) -> Inspection:
    head = f"GET / HTTP/1.1\r\nCookie: {cookies}".encode("latin-1")
    return inspect_credential(head, site.engine, **options)


def agrees(site: Site, cookies: str) -> Inspection:
    """The inspection, which says what the middleware says."""
    found = inspected(site, cookies)
    assert found.reason == said(site, cookies)
    assert (found.outcome == "signed_in") == (found.reason == "")
    return found


def first_wrong(found: Inspection) -> str:
    return next((check.name for check in found.checks if check.outcome == "wrong"), "")


@pytest.mark.parametrize("kind", ["token", "sealed", "stored", "amplify", "several"])
def test_a_signed_in_user_is_said_to_be_one(sites: dict[str, Site], kind: str) -> None:
    found = agrees(sites[kind], sites[kind].sign_in().header)
    assert (found.outcome, found.exit_status, first_wrong(found)) == ("signed_in", 0, "")


CLAIMS = st.sampled_from(
    ["iss", "aud", "client_id", "token_use", "sub", "cognito:username", "exp", "iat", "nbf"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.integers(1_799_999_980, 1_800_000_020)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["id", "access", "local-client"])
    | st.lists(st.integers(), max_size=2)
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["RS256", "none", "HS256", 7]),
        "kid": st.text(max_size=5) | st.none() | st.integers(),
        "crit": st.just(["exp"]),
        "typ": st.text(max_size=5),
    },
)
WRONG_CHECKS = {  # the checks of each reason
    "malformed_token": {"jwt", "size", "crit", "kid", "iat", "nbf", "exp"},
    "unsupported_algorithm": {"alg"},
    "wrong_issuer": {"iss"},
    "unknown_key": {"key"},
    "bad_signature": {"signature"},
    "wrong_token_use": {"token_use"},
    "wrong_client": {"aud", "client_id"},
    "missing_claim": {"user"},
    "token_expired": {"exp"},
    "token_not_yet_valid": {"iat", "nbf"},
}


@settings(parent=ALL, max_examples=80)
@given(st.dictionaries(CLAIMS, VALUES, max_size=3), HEADERS)
@example({"exp": 1}, {})
@example({"iat": 1_900_000_000}, {})
@example({"nbf": 1_900_000_000}, {})
@example({"nbf": 1_900_000_000, "exp": 1}, {"alg": "none"})
def test_the_reason_of_a_made_up_token_is_the_middlewares(
    sites: dict[str, Site], pool: LocalUserPool, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    token = pool.mint("ada", claims=claims, header=header)
    found = agrees(sites["token"], f"amplify-session={token}")
    expected = WRONG_CHECKS.get(found.reason, {""})
    assert first_wrong(found) in expected


@ALL
@given(at=st.integers(0, 900), byte=st.integers(33, 126), use=st.sampled_from(["id", "access"]))
def test_the_reason_of_a_token_with_a_changed_byte_is_the_middlewares(
    sites: dict[str, Site], pool: LocalUserPool, at: int, byte: int, use: Any
) -> None:
    token = pool.mint("ada", use)
    at %= len(token)
    agrees(sites["token"], f"amplify-session={token[:at]}{chr(byte)}{token[at + 1 :]}")


@ALL
@given(
    kind=st.sampled_from(["sealed", "stored", "amplify", "several"]),
    at=st.integers(0, 4_000),
    byte=st.integers(33, 126),
    cut=st.integers(0, 3),
)
def test_the_reason_of_changed_cookies_is_the_middlewares(
    sites: dict[str, Site], headers: dict[str, str], kind: str, at: int, byte: int, cut: int
) -> None:
    header = headers[kind]
    at %= len(header)
    agrees(sites[kind], header[:at] + chr(byte) * (cut < 3) + header[at + max(1, cut) :])


@pytest.fixture(scope="module")
def headers(sites: dict[str, Site]) -> dict[str, str]:
    """The cookies of a signed-in user, for each site."""
    return {name: site.sign_in().header for name, site in sites.items()}


@ALL
@given(st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_the_reason_of_any_cookies_is_the_middlewares(sites: dict[str, Site], cookies: str) -> None:
    cookies = "".join(c for c in cookies if c not in "\r\n").strip(" \t\0")
    for site in sites.values():
        found = inspected(site, f"a=b; amplify-session={cookies}")
        assert found.reason == said(site, f"a=b; amplify-session={cookies}".strip(" \t\0"))


# The outcomes that need time, or somebody else.


@pytest.mark.parametrize(
    ("kind", "reason"), [("sealed", "session_expired"), ("memory", "invalid_session")]
)
def test_a_session_left_alone_is_over(build: Any, kind: str, reason: str, clock: Clock) -> None:
    site = build(kind)
    browser = site.sign_in()
    clock.advance(8 * DAY)
    found = agrees(site, browser.header)
    assert (found.reason, found.exit_status) == (reason, 1)


@pytest.mark.parametrize(
    ("kind", "reason", "said"),
    [("memory", "invalid_session", "none"), ("coordinated", "session_revoked", "it has ended")],
)
def test_a_session_that_was_ended_is_said_to_be(
    build: Any, kind: str, reason: str, said: str
) -> None:
    site = build(kind)
    browser = site.sign_in()
    header = browser.header
    browser.does(site.end())
    found = agrees(site, header)
    assert (found.outcome, found.reason) == ("refused", reason)
    assert said in {check.found for check in found.checks if check.outcome == "wrong"}


def test_an_explanation_is_about_the_status_at_hand(build: Any, pool: LocalUserPool) -> None:
    for reason in get_args(Reason):
        bare = replace(inspect_credential(reason.encode()), recognised="token")
        assert "503" not in str(replace(bare, status=401))
    for line, answer in (
        ("answered 503: token_expired", (503, "kept")),
        ("answered 401: token_expired", (401, "cleared")),
        ("token_expired", (None, "none")),
    ):
        found = inspect_credential(line.encode())
        assert (found.status, found.cookie) == answer
        assert ("As a 503" in str(found)) == (answer[0] != 401)
    found = inspect_credential(pool.mint("ada", expires_in=-60).encode(), build("token").engine)
    assert found.reason == "token_expired"
    assert "clock is ahead" not in str(found)


def test_times_are_beside_this_clock(build: Any, pool: LocalUserPool, clock: Clock) -> None:
    now = f"{datetime.fromtimestamp(clock.now, UTC):%Y-%m-%d %H:%M:%S} UTC by this clock"
    for claims, name, wanted in (
        ({"exp": 1}, "exp", f"later than {now} (leeway 5 s)"),
        ({"nbf": 2e9}, "nbf", f"no later than {now} (leeway 5 s)"),
    ):
        token = pool.mint("ada", claims=claims)
        found = inspect_credential(token.encode(), build("token").engine)
        (wrong,) = [check for check in found.checks if check.outcome == "wrong"]
        assert (wrong.name, wrong.wanted) == (name, wanted)


def test_tokens_that_are_due_make_it_a_request_to_tell(build: Any, clock: Clock) -> None:
    for kind in ("sealed", "memory"):
        site = build(kind)
        browser = site.sign_in()
        clock.advance(2 * HOUR)
        found = inspected(site, browser.header)
        assert (found.outcome, found.exit_status) == ("unknown", 3)
        assert (found.reason, found.status) == ("", None)  # Cognito was not asked
        assert "a request would get new ones" in found.why or "write to the" in found.why
        assert (found.reason, found.status) == ("", None)  # no outage: nothing is amiss
        assert browser.does().body == "ada"


def test_a_store_is_asked_no_more_than_needed(build: Any) -> None:
    site = build("memory")
    data, asked = site.sign_in().header.encode(), list[bytes]()
    load = site.session.store.load

    def counted(key: bytes) -> Any:
        asked.append(key)
        return load(key)

    site.session.store.load = counted
    for show_claims, times in ((False, 2), (True, 3)):
        asked.clear()
        found = inspect_credential(data, site.engine, show_claims=show_claims)
        assert (found.outcome, len(asked), bool(found.claims)) == ("signed_in", times, show_claims)


def test_a_key_that_is_not_here_is_named_by_its_place(build: Any, clock: Clock) -> None:
    old, new = (
        build("sealed", session={"keys": [KEYS[0]]}),
        build("sealed", session={"keys": [KEYS[1], KEYS[0]]}),
    )
    browser = old.sign_in()
    found = inspected(new, browser.header)
    assert found.outcome == "signed_in"
    assert "keys[1] opens it, an older one of 2" in {check.found for check in found.checks}
    other = build("sealed", session={"keys": [KEYS[2]]})
    assert agrees(other, browser.header).reason == "unknown_session_key"


def test_a_token_from_the_future_is_laid_on_no_server(
    sites: dict[str, Site], pool: LocalUserPool, clock: Clock
) -> None:
    token = pool.mint("ada", issued_at=clock() + 1000)
    found = agrees(sites["token"], f"amplify-session={token}")
    assert (found.outcome, found.reason) == ("unknown", "token_not_yet_valid")
    assert found.why.endswith("the token is of a time to come")


def test_a_token_that_no_request_brings_here_is_checked_as_a_token_alone(
    build: Any, pool: LocalUserPool
) -> None:
    for kind in ("sealed", "memory"):
        found = inspect_credential(pool.mint("ada", expires_in=-60).encode(), build(kind).engine)
        assert (found.outcome, found.reason) == ("refused", "token_expired")
        assert [check.name for check in found.checks if check.outcome == "wrong"] == ["exp"]


def test_a_hand_over_that_opens_is_told(build: Any) -> None:
    site = build("sealed")
    text = site.sign_in().ask(hand_over_user).body.encode()
    found = inspect_credential(text, site.engine)
    assert (found.recognised, found.outcome, found.exit_status) == ("handover", "signed_in", 0)
    assert str(found).startswith("This is a hand-over to a job.")
    changed = inspect_credential(text[:-4] + b"AAAA", site.engine)
    assert (changed.recognised, changed.reason) == ("cookie_value", "unknown_session_key")


# Requests.


def asked(site: Site, head: str) -> Inspection:
    return inspect_credential(head.encode(), site.engine)


def test_what_the_path_asks_for_is_held_against_the_claims(build: Any) -> None:
    site = build("token", protect={"/admin/*": Needs(groups=["admins"])})
    cookies = site.sign_in().header
    found = asked(site, f"GET /admin/a HTTP/1.1\nCookie: {cookies}")
    assert (found.outcome, found.reason, found.status) == ("refused", "missing_group", 403)
    needs = next(check for check in found.checks if check.name == "needs")
    assert (needs.outcome, needs.wanted) == ("wrong", "Needs(groups=['admins'])")


def test_another_sites_page_is_named(build: Any) -> None:
    site = build("token", origins=["https://app.example.com"])
    head = f"POST /a HTTP/1.1\nOrigin: https://evil.example\nCookie: {site.sign_in().header}"
    found = asked(site, head)
    assert (found.reason, found.status, found.cookie) == ("foreign_origin", 403, "kept")
    origin = next(check for check in found.checks if check.name == "origin")
    assert (origin.outcome, origin.found) == ("wrong", "Origin 'https://evil.example'")


def test_a_protected_path_without_a_cookie_is_no_session(build: Any) -> None:
    found = asked(build("token", protect=["/*"]), "GET /a HTTP/2\nHost: a.example")
    assert (found.outcome, found.reason, found.status, found.cookie) == (
        *("refused", "no_session", 401),
        "none",
    )


def test_an_ignored_path_is_told(build: Any) -> None:
    site = build("token", protect=["/*"], ignore=["/static/*"])
    found = asked(site, "GET /static/a.css HTTP/1.1\nCookie: amplify-session=a")
    assert (found.outcome, found.exit_status) == ("unknown", 3)
    assert "ignored" in found.why


@pytest.mark.parametrize(
    ("use", "reason"), [("access", ""), ("id", "wrong_token_use")], ids=["access", "id"]
)
def test_a_bearer_token_is_looked_at_as_one(
    build: Any, pool: LocalUserPool, use: Any, reason: str
) -> None:
    site = build("sealed", bearer=True)
    token = pool.mint("ada", use)
    for given_as in (token, f"Bearer {token}", f"Authorization: bearer {token}"):
        found = inspect_credential(given_as.encode(), site.engine)
        assert (found.reason, found.cookie) == (reason, "none")


@pytest.mark.parametrize("kind", ["token", "sealed", "memory"])
def test_the_reason_of_a_header_beside_cookies_is_the_middlewares(
    build: Any, pool: LocalUserPool, kind: str
) -> None:
    site = build(kind, bearer=True, mount="/shop", protect=["/a/*"])
    good = site.sign_in().header
    sent = [pool.mint("ada", "access"), pool.mint("grace", "access"), pool.mint("ada"), "a b"]
    reasons = set()
    for path in ("/", "/shop/a/b"):
        for cookies in (good, "amplify-session=x", f"{good}; amplify-session=x"):
            for token in sent:
                head = f"GET {path} HTTP/1.1\nAuthorization: Bearer {token}\nCookie: {cookies}"
                found = asked(site, head)
                facts = {"path": path, "headers": {"Authorization": f"Bearer {token}"}}
                got = said(site, cookies, **facts)
                if path == "/" or found.outcome == "signed_in":
                    assert (found.reason, found.outcome == "signed_in") == (got, got == "")
                    reasons.add(got)
                else:
                    assert found.status == status(site, cookies, **facts)
    assert reasons == {"", "different_credentials", "wrong_token_use", "malformed_header"}


def test_a_header_that_is_not_read_says_what_to_write(build: Any, pool: LocalUserPool) -> None:
    found = inspect_credential(
        b"Bearer " + pool.mint("ada", "access").encode(), build("token").engine
    )
    assert (found.outcome, found.reason) == ("refused", "no_session")
    assert next(check for check in found.checks if check.name == "bearer").wanted == "bearer=True"


@pytest.mark.parametrize(
    ("header", "outcome"),
    [("Authorization: {}", "warning"), ("Basic: x", ""), ("Authorization: Bearer a {}", "wrong")],
)
def test_a_header_without_a_token_says_its_form(
    build: Any, pool: LocalUserPool, header: str, outcome: str
) -> None:
    data = header.format(pool.mint("ada", "access")).encode()
    for config in (None, build("token", bearer=True).engine):
        found = inspect_credential(data, config)
        form = next((check for check in found.checks if check.name == "bearer"), None)
        assert (form.outcome if form else "") == outcome
        assert "eyJ" not in str(found)


@pytest.mark.parametrize("shape", ["{}", "GET / HTTP/2\nCookie: a=b; {}; c=d"])
def test_a_cookie_tells_as_much_as_its_value_without_a_configuration(
    build: Any, pool: LocalUserPool, shape: str
) -> None:
    for header, told in (
        (f"amplify-session={pool.mint('ada', client_id='web')}", ("aud", "'web'")),
        (build("memory").sign_in().header, ("value", "43 characters of base64url: the id of a")),
    ):
        found = inspect_credential(shape.format(header).encode())
        assert any(check.name == told[0] and told[1] in check.found for check in found.checks)


def test_a_cookie_that_came_twice_or_under_another_name_is_named(build: Any) -> None:
    site = build("token")
    assert agrees(site, "amplify-session=a; amplify-session=b").reason == "duplicate_cookie"
    found = agrees(site, "__Host-amplify-session=a; amplifysession=b; theme=amplify")
    near = [check.found for check in found.checks if check.name == "cookie_name"]
    assert near == ["'__Host-amplify-session'", "'amplifysession'"]


def test_a_missing_chunk_is_named(build: Any, pool: LocalUserPool) -> None:
    site = build("sealed")
    notes = "".join(random.Random(7).choices(string.ascii_letters, k=6000))
    large = replace(pool.sign_in("ada"), id_token=pool.mint("ada", claims={"custom:n": notes}))
    browser = site.browser()
    browser.does(site.start(large))
    chunks = sorted(browser.jar)
    assert len(chunks) > 2
    browser.jar.pop("amplify-session.1")
    found = agrees(site, browser.header)
    check = next(check for check in found.checks if check.name == "chunks")
    assert check.outcome == "wrong"
    assert "missing: 1" in check.found


def test_a_value_that_is_not_read_is_said_to_be(build: Any) -> None:
    for data in (b"a,b", b"amplify-session=a,b"):
        found = inspect_credential(data, build("token").engine)
        told = [check.name for check in found.checks if check.outcome != "ok"]
        assert (found.reason, told) == ("no_session", ["cookie"])


def test_one_chunk_alone_is_none_of_this_library(build: Any) -> None:
    found = agrees(build("sealed"), "amplify-session.0=0aaaaaaaab")
    assert (found.reason, first_wrong(found)) == ("invalid_session", "chunks")


def test_names_of_many_cookies_are_no_flood(build: Any) -> None:
    found = agrees(build("token"), "; ".join(f"amplify-sessio{n % 90}=a" for n in range(200)))
    assert len([check for check in found.checks if check.name == "cookie_name"]) == 10


def test_a_value_of_another_kind_of_session_is_named(build: Any) -> None:
    header = build("sealed").sign_in().header
    found = agrees(build("token"), header)
    assert found.reason == "malformed_token"
    form = next(check for check in found.checks if check.name == "form")
    assert form.found.endswith("a sealed session")


def test_an_end_in_this_process_is_seen_from_within_it(build: Any) -> None:
    site = build("sealed")
    browser = site.sign_in()
    header = browser.header
    browser.does(site.end())
    assert agrees(site, header).reason == "session_revoked"


def test_asking_cognito_each_time_is_left_to_a_request(build: Any) -> None:
    site = build("sealed", session={"verify_with_cognito_every": 60})
    found = inspected(site, site.sign_in().header)
    assert (found.outcome, found.why) == ("unknown", "a request would ask Cognito")


def test_an_app_whose_functions_are_async_is_looked_at_too(build: Any) -> None:
    async def told(_: object) -> None:
        raise AssertionError("nobody signs in")

    routes = AuthRoutes(origin="https://app.example.com", keys=KEYS[:1], on_sign_in=told)
    config = build("token").config.replace(routes=routes, protect=["/*"])
    head = b"GET /auth/sign-in HTTP/1.1\nHost: app.example.com\nSec-Purpose: prefetch"
    found = inspect_credential(head, config)
    assert (found.outcome, found.reason, found.status) == ("refused", "speculative_request", 403)
    assert {check.name for check in found.checks} == {"path", "purpose"}


def test_what_the_apps_own_check_raises_is_said_by_its_name(build: Any) -> None:
    def check(_: object) -> bool:
        raise LookupError("of ada@example.com")

    site = build("token", protect={"/a": Needs(check=check)})
    found = asked(site, f"GET /a HTTP/1.1\nCookie: {site.sign_in().header}")
    assert (found.outcome, found.why) == ("unknown", "the app's own code has raised LookupError")
    assert "ada@" not in str(found)
