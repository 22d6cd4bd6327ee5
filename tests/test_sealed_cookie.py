"""A sealed session's cookies in the hands of an attacker, and of a browser that keeps old ones."""

import json
import random
import re
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AuthError,
    CookiePolicy,
    SealedSession,
    SessionTooLargeError,
    TokenSet,
    get_current_user,
)
from amplify_mw.cognito.verifier import MAX_TOKEN_BYTES
from amplify_mw.testing import LocalUserPool
from tests.shells import Got, Shell, WSGIShell
from tests.sites import DAY, HOUR, KEYS, NAME, Browser, Build, Clock, Site, attributes, town

INVALID = "NotAuthorizedException invalid_session"
UNKNOWN = "NotAuthorizedException unknown_session_key"
ANOTHER_KEY = re.compile(rb'\{"alg":"dir","enc":"A256GCM","kid":"[A-Za-z0-9_-]{8}"\}')
PROTECTED = "/account"
LETTERS = string.ascii_letters + string.digits


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        yield pool


@pytest.fixture
def build(open_site: Build) -> Build:
    """Makes a site with sealed sessions: `build({of SealedSession}, **of the configuration)`."""

    def build(sealed: "dict[str, Any] | None" = None, **options: Any) -> Site:
        session = SealedSession(**{"keys": KEYS[:1], **(sealed or {})})
        return open_site(session, protect=[PROTECTED], **options)

    return build


@pytest.fixture
def site(build: Build) -> Site:
    return build()


@pytest.fixture(scope="module")
def sealed(pool: LocalUserPool, clock: Clock) -> Iterator[tuple[Site, str]]:
    """A site behind the WSGI shell, and the value of a good cookie of it."""
    session = SealedSession(keys=KEYS[:1])
    site = Site(WSGIShell(), pool, clock, session, protect=[PROTECTED])
    yield site, site.sign_in().value
    site.settle()


def incompressible(length: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=length))


def large(pool: LocalUserPool, name: str = "ada", length: int = 4000, seed: int = 0) -> TokenSet:
    """Tokens that take two cookies or more when they are sealed."""
    claims = {"custom:notes": incompressible(length, seed)}
    return replace(pool.sign_in(name), id_token=pool.mint(name, claims=claims))


def huge(pool: LocalUserPool) -> TokenSet:
    """Tokens that take three cookies."""
    claims = {"notes": incompressible(3500, 2)}
    return replace(large(pool, length=4500), access_token=pool.mint("ada", "access", claims=claims))


def start_large(site: Site, tokens: TokenSet | None = None) -> Browser:
    browser = site.browser()
    got = browser.does(site.start(tokens or large(site.pool)))
    assert (got.body, len(browser.jar) > 1) == ("ada", True)
    return browser


def cleared(got: Got) -> set[str]:
    """The cookies that a response clears; it sets no others."""
    lines = got.all("set-cookie")
    assert all(attributes(line)["max-age"] == "0" for line in lines)
    return {line.partition("=")[0] for line in lines}


def assert_invalid(site: Site, cookies: dict[str, str]) -> None:
    """One reason, one status, one answer; all cookies of the family that were sent are cleared."""
    family = {NAME} | {name for name in cookies if name.startswith(f"{NAME}.")}
    inside = site.browser(cookies).does()
    assert (inside.body, cleared(inside)) == (INVALID, family)
    answered, junk = (site.browser(sent).does(path=PROTECTED) for sent in (cookies, {NAME: "junk"}))
    assert (answered.status, answered.body, cleared(answered)) == (401, junk.body, family)
    others = [header for header in answered.headers if header[0].lower() != "set-cookie"]
    assert others == [header for header in junk.headers if header[0].lower() != "set-cookie"]


def assert_kept(site: Site, cookies: dict[str, str]) -> None:
    """It signs nobody in, is answered as if it were not there, and stays."""
    inside = site.browser(cookies).does()
    assert (inside.body, inside.all("set-cookie")) == (UNKNOWN, [])
    answered, nobodys = (site.browser(sent).does(path=PROTECTED) for sent in (cookies, {}))
    assert (answered.status, answered) == (401, nobodys)


# --- a value that was changed


def who() -> str:
    try:
        return get_current_user().username
    except AuthError as error:
        return f"{type(error).__name__} {error.reason}"


def assert_all_invalid(sealed: tuple[Site, str], values: "Iterator[str]") -> None:
    """Each of these values is invalid and cleared, as junk is; but for those of another key."""
    site, good = sealed
    app = site.app(who)
    junk = site.browser({NAME: "junk"}).ask(who)
    assert (junk.body, cleared(junk)) == (INVALID, {NAME})
    plain = site.browser().ask(who).headers
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    tried = 0
    for value in values:
        started: list[Any] = []
        cookies = {"HTTP_COOKIE": f"a=b; {NAME}={value}; c=d"}
        body = app({**environ, **cookies}, lambda *given, seen=started: seen.extend(given))
        if names_another_key(value, good):
            assert (started[1], body) == (plain, [UNKNOWN.encode()]), value
        else:
            assert (started[1], body) == (junk.headers, [INVALID.encode()]), value
        tried += 1
    assert tried > 1000
    assert site.browser({NAME: good}).does().body == "ada"


def names_another_key(value: str, good: str) -> bool:
    """Whether all that is wrong with a value is in its key id."""
    head, _, rest = value.partition(".")
    ours, _, same = good.partition(".")
    try:
        named = urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except ValueError:
        return False
    is_canonical = urlsafe_b64encode(named).rstrip(b"=") == head.encode()
    is_name = ANOTHER_KEY.fullmatch(named) is not None
    return is_name and is_canonical and head != ours and rest == same


def test_every_value_with_one_bit_changed_is_invalid(sealed: tuple[Site, str]) -> None:
    good = sealed[1]
    assert_all_invalid(
        sealed,
        (
            f"{good[:at]}{chr(ord(good[at]) ^ (1 << bit))}{good[at + 1 :]}"
            for at in range(len(good))
            for bit in range(8)
            if ord(good[at]) ^ (1 << bit) != ord(",")  # a value with that is not there
        ),
    )


def test_every_beginning_and_end_of_a_value_is_invalid(sealed: tuple[Site, str]) -> None:
    good = sealed[1]
    assert_all_invalid(
        sealed, (part for at in range(1, len(good)) for part in (good[:at], good[at:]))
    )


def test_every_value_with_two_characters_exchanged_is_invalid(sealed: tuple[Site, str]) -> None:
    good = sealed[1]
    assert_all_invalid(
        sealed,
        (
            f"{good[:at]}{good[at + 1]}{good[at]}{good[at + 2 :]}"
            for at in range(len(good) - 1)
            if good[at] != good[at + 1]
        ),
    )


def test_every_value_with_a_character_more_or_less_is_invalid(sealed: tuple[Site, str]) -> None:
    good = sealed[1]
    assert_all_invalid(
        sealed,
        (
            changed
            for at in range(1, len(good))
            for changed in (f"{good[:at]}A{good[at:]}", good[:at] + good[at + 1 :])
        ),
    )


def test_segments_in_another_order_or_number_are_invalid(site: Site) -> None:
    header, key, iv, text, tag = site.sign_in().value.split(".")
    for segments in (
        (header, key, iv, tag, text),
        (header, key, text, iv, tag),
        (header, iv, key, text, tag),
        (header, key, iv, text),
        (header, key, iv, text, tag, ""),
        (header, "AAAA", iv, text, tag),
        (header, key, iv, text, ""),
        (header, key, iv, text + "==", tag),
    ):
        assert_invalid(site, {NAME: ".".join(segments)})


def test_parts_of_two_good_values_are_invalid_together(site: Site) -> None:
    one, other = (site.sign_in(name).value.split(".") for name in ("ada", "grace"))
    for at in range(2, 5):
        if at > 2:  # the first two are the same in both
            assert_invalid(site, {NAME: ".".join([*one[:at], *other[at:]])})
        assert_invalid(site, {NAME: ".".join([*one[:at], other[at], *one[at + 1 :]])})


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.binary(max_size=200))
def test_any_bytes_are_invalid(site: Site, value: bytes) -> None:
    assert_invalid(site, {NAME: value.decode("latin-1").replace(";", ".").replace(",", ".")})


# --- a value that was sealed elsewhere


@pytest.mark.parametrize(
    ("sealed_with", "options"),
    [
        ({"keys": KEYS[1:2]}, {}),
        ({}, {"cookie": CookiePolicy(name="another-session")}),
        ({}, {"client_id": ["local-client", "another"]}),
        ({}, {"client_id": None}),
    ],
    ids=["key", "cookie name", "same client, among others", "any client"],
)
def test_what_was_sealed_elsewhere_opens_only_for_the_same_client(
    build: Build, sealed_with: dict[str, Any], options: dict[str, Any]
) -> None:
    there = build(sealed_with, **options)
    [value] = there.sign_in().jar.values()
    here = build()
    if "client_id" in options and options["client_id"] is not None:
        assert here.browser({NAME: value}).does().body == "ada"
    else:
        assert_kept(here, {NAME: value})


def test_a_session_of_one_client_counts_for_no_other(build: Build) -> None:
    value = build().sign_in().value
    there = build(client_id="another")
    assert_kept(there, {NAME: value})


@pytest.mark.parametrize("at", range(5))
def test_what_has_not_the_form_of_a_sealed_value_is_invalid_whatever_key_it_names(
    build: Build, at: int
) -> None:
    site, [*segments] = build(), build({"keys": KEYS[1:2]}).sign_in().value.split(".")
    wrong = ["A", "*" * 8, segments[at] + "="] + ([] if at == 1 else [""])
    if at != 3:  # which may be of any length
        wrong += [segments[at] + "AAAA", "A" * 200]
    for text in wrong:
        assert_invalid(site, {NAME: ".".join([*segments[:at], text, *segments[at + 1 :]])})


def test_a_session_of_another_key_can_be_signed_out_and_signed_in_over(build: Build) -> None:
    site, there = build(), build({"keys": KEYS[1:2]})
    cookies = there.sign_in().jar
    browser = site.browser(cookies)
    assert browser.does(site.end()).clears_cookie
    browser = site.browser(cookies)
    assert browser.does(site.start(site.pool.sign_in("grace"))).body == "grace"
    assert browser.does().body == "grace"


def test_a_key_that_is_not_here_is_told_once(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site, there = build(), build({"keys": KEYS[1:2]})
    for _ in range(3):
        assert site.browser(there.sign_in().jar).does().body == UNKNOWN
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "keys=[old, new] first, then [new, old], then [new]" in text


@pytest.mark.parametrize("token_use", ["id", "access"])
def test_a_good_token_is_no_sealed_session(site: Site, token_use: Any) -> None:
    assert_invalid(site, {NAME: site.pool.mint("ada", token_use)})


# --- a value in several cookies


def test_a_session_above_one_cookie_takes_as_many_as_it_needs(site: Site) -> None:
    for tokens, names in ((large(site.pool), 2), (huge(site.pool), 3)):
        browser = start_large(site, tokens)
        assert sorted(browser.jar) == [f"{NAME}.{number}" for number in range(names)]
        assert all(len(name) + len(value) <= 4096 for name, value in browser.jar.items())
        assert browser.does().body == "ada"


@pytest.mark.parametrize("length", [1600, 1900, 2200, 2500, 2800])
def test_no_size_makes_a_cookie_that_browsers_drop(site: Site, length: int) -> None:
    browser = site.browser()
    browser.does(site.start(large(site.pool, length=length)))
    assert all(len(name) + len(value) <= 4096 for name, value in browser.jar.items())
    assert browser.does().body == "ada"


def test_chunks_are_all_or_nothing(site: Site) -> None:
    jar = start_large(site, huge(site.pool)).jar
    for missing in jar:
        assert_invalid(site, {name: value for name, value in jar.items() if name != missing})


def test_the_order_in_which_chunks_are_sent_does_not_matter(site: Site) -> None:
    jar = start_large(site, huge(site.pool)).jar
    assert site.browser(dict(reversed(jar.items()))).does().body == "ada"


def test_exchanged_chunks_are_invalid(site: Site) -> None:
    jar = start_large(site).jar
    assert_invalid(site, dict(zip(jar, reversed(jar.values()), strict=True)))


def test_a_chunk_of_another_user_is_invalid(site: Site) -> None:
    ada = start_large(site).jar
    grace = site.browser()
    grace.does(site.start(large(site.pool, "grace", seed=1)))
    for name in ada:
        assert_invalid(site, {**ada, name: grace.jar[name]})


def test_chunks_of_two_generations_are_invalid(site: Site) -> None:
    tokens = large(site.pool)
    first, second = start_large(site, tokens).jar, start_large(site, tokens).jar
    for name in first:
        assert_invalid(site, {**first, name: second[name]})


def test_a_surplus_chunk_is_invalid(site: Site) -> None:
    jar = start_large(site).jar
    assert_invalid(site, {**jar, f"{NAME}.2": jar[f"{NAME}.1"]})


def test_a_hostile_number_of_chunks_is_invalid_and_costs_no_more_than_ten(site: Site) -> None:
    sent = {f"{NAME}.{number}": "1" + "0" * 8 + "A" for number in range(2000)}
    got = site.browser(sent).does()
    assert got.body == INVALID
    assert cleared(got) == {NAME, *(f"{NAME}.{number}" for number in range(10))}


def test_a_chunk_that_was_sent_twice_signs_nobody_in_and_stays(site: Site) -> None:
    browser = start_large(site)
    browser.jar["theme"] = f"dark; {NAME}.0=tossed"
    got = browser.does()
    assert (got.body, got.all("set-cookie")) == ("NotAuthorizedException duplicate_cookie", [])


def test_a_single_cookie_is_read_whatever_chunks_there_are(site: Site) -> None:
    stale = start_large(site).jar
    browser = site.sign_in("grace")
    browser.jar.update(stale)
    assert browser.does().body == "grace"


def test_every_chunk_is_cleared_when_the_session_ends(site: Site) -> None:
    browser = start_large(site, huge(site.pool))
    sent = set(browser.jar)
    assert cleared(browser.does(site.end())) == {NAME, *sent}
    assert browser.jar == {}


def test_a_new_session_clears_the_chunks_of_the_one_before(site: Site) -> None:
    browser = start_large(site, huge(site.pool))
    browser.does(site.start(site.pool.sign_in("grace")))
    assert set(browser.jar) == {NAME}
    browser.does(site.start(large(site.pool)))
    assert set(browser.jar) == {f"{NAME}.0", f"{NAME}.1"}
    assert browser.does().body == "ada"


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(st.integers(0, 12), st.text(LETTERS + "-_.", max_size=40), min_size=1))
def test_any_chunks_are_invalid(site: Site, chunks: dict[int, str]) -> None:
    sent = {f"{NAME}.{number}": value for number, value in chunks.items()}
    got = site.browser(sent).does()
    known = {f"{NAME}.{number}" for number in chunks if number < 10}
    if known:
        assert (got.body, cleared(got)) == (INVALID, {NAME, *known})
    else:
        assert (got.body, got.all("set-cookie")) == ("NotAuthorizedException no_session", [])


# --- growth and shrinkage


@pytest.fixture
def growing(shell: Shell, clock: Clock) -> Iterator[Callable[..., Site]]:
    """A site whose pool is its own, so that its users can change."""
    with town(clock, rotate_refresh_tokens=True, rotation_grace=60) as pool:
        sites = []

        def make(**sealed: Any) -> Site:
            session = SealedSession(**{"keys": KEYS[:1], **sealed})
            sites.append(Site(shell, pool, clock, session))
            return sites[-1]

        yield make
        for site in sites:
            site.settle()


def change(pool: LocalUserPool, notes: str) -> None:
    """Give ada an attribute that all new ID tokens hold."""
    tokens = pool.sign_in("ada")
    sub = payload(tokens.id_token)["sub"]
    pool.delete_user("ada")
    pool.add_user("ada", attributes={"sub": sub, "custom:notes": notes})


def payload(token: str) -> Any:
    claims = token.split(".")[1]
    return json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))


def test_a_session_that_shrinks_leaves_no_chunk(growing: Callable[..., Site]) -> None:
    site = growing()
    browser = start_large(site, huge(site.pool))
    site.clock.advance(HOUR)
    got = browser.does()
    assert (got.body, set(browser.jar)) == ("ada", {NAME})
    assert len(got.all("set-cookie")) == 4
    assert browser.does().all("set-cookie") == []


def test_a_session_that_grows_leaves_no_single_cookie(growing: Callable[..., Site]) -> None:
    site = growing()
    browser = site.sign_in()
    change(site.pool, incompressible(4000))
    site.clock.advance(HOUR)
    assert browser.does().body == "ada"
    assert set(browser.jar) == {f"{NAME}.0", f"{NAME}.1"}
    assert browser.does().body == "ada"


def test_a_session_that_outgrows_its_cookies_goes_on_with_the_older_one(
    growing: Callable[..., Site],
) -> None:
    site = growing(max_bytes=4096)
    browser = site.sign_in()
    change(site.pool, incompressible(4000))
    site.clock.advance(HOUR)
    for _ in range(2):
        got = browser.does()
        assert (got.body, got.all("set-cookie")) == ("ada", [])
    assert site.pool.count("GetTokensFromRefreshToken") == 1


@pytest.mark.parametrize("max_bytes", [4096, 5000])
def test_a_session_that_is_too_large_is_refused_with_its_sizes(
    build: Build, max_bytes: int
) -> None:
    site = build({"max_bytes": max_bytes})
    browser, caught = site.sign_in("grace"), []

    def handler() -> str:
        with pytest.raises(SessionTooLargeError) as error:
            site.start(large(site.pool))()
        caught.append(error.value)
        return who()

    got = browser.ask(handler)
    assert (got.body, got.all("set-cookie")) == ("grace", [])
    assert (caught[0].limit, caught[0].size > max_bytes) == (max_bytes, True)
    assert all(str(number) in str(caught[0]) for number in (caught[0].size, max_bytes))


def test_the_largest_tokens_there_are_are_too_large_for_cookies(site: Site) -> None:
    tokens = replace(huge(site.pool), refresh_token=incompressible(MAX_TOKEN_BYTES))
    assert site.browser().does(site.start(tokens)).body == "SessionTooLargeError"
    longer = replace(tokens, refresh_token=incompressible(MAX_TOKEN_BYTES + 1))
    refusal = "NotAuthorizedException malformed_token"
    assert site.browser().does(site.start(longer)).body == refusal


# --- other keys


def test_the_first_key_seals_and_all_open(build: Build) -> None:
    old, both, new = (build({"keys": keys}) for keys in (KEYS[:1], KEYS[1::-1], KEYS[1:2]))
    browser = old.sign_in()
    assert new.browser(browser.jar).does().body == UNKNOWN
    rotated = both.browser(browser.jar)
    got = rotated.does()
    assert (got.body, got.all("set-cookie")) == ("ada", [])
    old.clock.advance(DAY)
    assert rotated.does().body == "ada"
    assert rotated.value != browser.value
    assert new.browser(rotated.jar).does().body == "ada"
    assert old.browser(rotated.jar).does().body == UNKNOWN


def test_a_roll_seals_with_the_first_key(build: Build) -> None:
    old = build({"idle": 600})
    both, new = (build({"keys": keys, "idle": 600}) for keys in (KEYS[1::-1], KEYS[1:2]))
    browser = both.browser(old.sign_in().jar)
    old.clock.advance(61)
    assert browser.does().body == "ada"
    assert new.browser(browser.jar).does().body == "ada"
    assert both.pool.requests == []
