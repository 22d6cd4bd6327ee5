"""Writing Amplify JS's cookies: what a browser keeps of it, and what Amplify reads there."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.errors import SessionTooLargeError
from amplify_mw.sessions.amplify.jar import AmplifyJar
from amplify_mw.sessions.amplify.wire import AmplifySet, js_value, sets_in
from amplify_mw.web.cookie_policy import MAX_PAIR_BYTES, CookiePolicy
from amplify_mw.web.cookies import CookieLine, NewCookie
from tests.sessions.amplify_writers import (
    CLIENT,
    OTHER_CLIENT,
    PREFIX,
    USERS,
    adapter_name,
    js_cookie_get,
    js_cookie_name,
    js_cookie_value,
    next_get,
)

YEAR = 31_536_000
BROWSER = CookiePolicy(max_age=YEAR, http_only=False, same_site="Lax")
SERVER = CookiePolicy(max_age=YEAR, http_only=True, same_site="Strict")
POLICIES = {"browser": BROWSER, "server": SERVER}
TOKENS = ("accessToken", "idToken", "refreshToken")
OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\')
HOST = "app.example.com"


class Kept(NamedTuple):
    """A cookie in a browser. `domain`: with a dot where subdomains get it as well."""

    name: str
    domain: str
    path: str


class Browser:
    """A browser at `https://app.example.com`, as RFC 6265bis 5.6 to 5.8 has it."""

    def __init__(self) -> None:
        self.kept: dict[Kept, str] = {}  # in the order of their creation

    def take(self, lines: Iterable[CookieLine], path: str = "/") -> "Browser":
        for line in lines:
            assert line.value.startswith(f"{line.name}=")
            self.take_one(line.value, path)
        return self

    def take_one(self, line: str, path: str = "/") -> None:
        if re.search("[\x00-\x08\x0a-\x1f\x7f]", line):
            return
        pair, *parts = [part.strip(" \t") for part in line.split(";")]
        said = {key.strip().lower(): value for key, _, value in (p.partition("=") for p in parts)}
        name, _, value = pair.partition("=")
        domain = said.get("domain", "").lstrip(".")
        if len(name) + len(value) > 4096 or not self._is_ours(domain):
            return
        if said.get("samesite") == "None" and "secure" not in said:
            return
        place = said.get("path", "")
        place = place if place.startswith("/") else path.rpartition("/")[0] or "/"
        kept = Kept(name, f".{domain}" if domain else HOST, place)
        if int(said.get("max-age", "1")) > 0:
            self.kept[kept] = value
        else:
            self.kept.pop(kept, None)

    def _is_ours(self, domain: str) -> bool:
        return not domain or f".{HOST}".endswith(f".{domain}")

    def plant(self, header: bytes, attributes: str = "") -> "Browser":
        """Keep what another writer has set."""
        for pair in header.split(b"; "):
            self.take_one(pair.decode("latin-1") + attributes)
        return self

    def header(self, path: str = "/") -> bytes:
        """What a request for a path brings: the longest paths first, then the oldest cookies."""
        sent = [kept for kept in self.kept if self._matches(path, kept.path)]
        sent.sort(key=lambda kept: -len(kept.path))
        return "; ".join(f"{kept.name}={self.kept[kept]}" for kept in sent).encode("latin-1")

    @staticmethod
    def _matches(path: str, place: str) -> bool:
        return path == place or path.startswith(place.rstrip("/") + "/")

    def names(self) -> list[str]:
        """What is kept of this client, by the rest of its names."""
        start = f"{PREFIX}.{CLIENT}."
        return sorted(k.name.removeprefix(start) for k in self.kept if k.name.startswith(start))


def jar_of(
    policy: CookiePolicy = BROWSER, *domains: str, clients: tuple[str, ...] = (CLIENT,)
) -> AmplifyJar:
    return AmplifyJar(policy, clients, domains)


def tokens_of(user: str, token: str = "A", details: str = "", client: str = CLIENT) -> AmplifySet:
    tokens = (token.encode(), f"{token}.I".encode(), f"{token}.R".encode())
    return AmplifySet(client, user, *tokens, js_value(details).encode())


def write(jar: AmplifyJar, mine: AmplifySet, sent: bytes | None = None, path: str = "/") -> Any:
    return jar.setting(NewCookie(mine.value.decode()), sent, path)


def read(jar: AmplifyJar, browser: Browser, path: str = "/") -> list[AmplifySet]:
    value = jar.read(browser.header(path))
    assert value is None or isinstance(value, bytes)
    return list(sets_in(value or b""))


def signed_in(user: str, *suffixes: str, name: str | None = None, client: str = CLIENT) -> bytes:
    """What a front end has written for a user."""
    start = f"{PREFIX}.{client}."
    name = adapter_name(user) if name is None else name
    pairs = [f"{start}LastAuthUser={js_value(user)}"]
    pairs += [f"{start}{name}.{suffix}=old-{suffix}" for suffix in (*TOKENS, *suffixes)]
    return "; ".join(pairs).encode("latin-1")


def names_of(user: str, *suffixes: str, spelled: Any = js_cookie_name) -> list[str]:
    return sorted(["LastAuthUser", *(f"{spelled(user)}.{suffix}" for suffix in suffixes)])


def attributes(line: CookieLine) -> set[str]:
    return {part.strip() for part in line.value.split(";")[1:]}


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> CookiePolicy:
    return POLICIES[request.param]


# What is written is what Amplify reads.


@pytest.mark.parametrize("user", USERS)
def test_the_browser_then_holds_just_these_cookies(user: str, browser: Browser) -> None:
    browser.take(write(jar_of(), tokens_of(user, details='{"loginId":"x"}')))
    assert browser.names() == names_of(user, *TOKENS, "signInDetails", "clockDrift")
    browser = Browser().take(write(jar_of(SERVER), tokens_of(user, details='{"loginId":"x"}')))
    assert browser.names() == names_of(user, *TOKENS, spelled=adapter_name)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("mode", "name"), [("browser", js_cookie_name), ("server", adapter_name)])
def test_names_are_spelled_as_their_reader_does_and_values_as_js_cookie_does(
    user: str, mode: str, name: Any
) -> None:
    lines = write(jar_of(POLICIES[mode]), tokens_of(user, details="{}"))
    pairs = [line.value.partition(";")[0].removeprefix(f"{PREFIX}.{CLIENT}.") for line in lines]
    values = {"accessToken": "A", "idToken": "A.I", "refreshToken": "A.R"}
    if mode == "browser":
        values |= {"signInDetails": "{}", "clockDrift": "0"}
    expected = [f"{name(user)}.{suffix}={value}" for suffix, value in values.items()]
    assert pairs == [f"LastAuthUser={js_cookie_value(user)}", *expected]


@pytest.mark.parametrize("mode", POLICIES)
@pytest.mark.parametrize("name", [adapter_name, js_cookie_name])
def test_names_stay_spelled_as_they_were_sent(mode: str, name: Any, browser: Browser) -> None:
    browser.plant(signed_in("a(b)", name=name("a(b)")))
    browser.take(write(jar_of(POLICIES[mode]), tokens_of("a(b)"), browser.header()))
    tokens = [each for each in browser.names() if each.endswith("Token")]
    assert tokens == sorted(f"{name('a(b)')}.{suffix}" for suffix in TOKENS)


@pytest.mark.parametrize(("mode", "name"), [("browser", js_cookie_name), ("server", adapter_name)])
def test_of_two_spellings_that_were_sent_one_is_left(
    mode: str, name: Any, browser: Browser
) -> None:
    for each in (adapter_name, js_cookie_name):
        browser.plant(signed_in("a(b)", name=each("a(b)")))
    browser.take(write(jar_of(POLICIES[mode]), tokens_of("a(b)"), browser.header()))
    tokens = [each for each in browser.names() if each.endswith("Token")]
    assert tokens == sorted(f"{name('a(b)')}.{suffix}" for suffix in TOKENS)
    browser.take(jar_of(POLICIES[mode]).clearing(browser.header()))
    assert browser.names() in ([], ["a%28b%29.clockDrift"])


@pytest.mark.parametrize("user", ["a b", "a,b", "a\\b", "jos\u00e9"])
def test_a_last_auth_user_that_was_not_encoded_stays_so(user: str, browser: Browser) -> None:
    # The adapter's sign-out decodes none: what its sign-in wrote it finds again.
    raw = signed_in(user).decode("latin-1").replace(js_value(user), user, 1).encode("latin-1")
    browser.plant(raw)
    lines = write(jar_of(SERVER), tokens_of(user), browser.header())
    assert not [line for line in lines if line.name.endswith("LastAuthUser")]
    assert read(jar_of(), browser.take(lines)) == [tokens_of(user)]


def test_a_last_auth_user_that_no_reader_finds_is_written(browser: Browser) -> None:
    raw = signed_in("100%a").replace(b"100%25a", b"100%a", 1)
    lines = write(jar_of(SERVER), tokens_of("100%a"), browser.plant(raw).header())
    assert "LastAuthUser=100%25a;" in lines[0].value


@pytest.mark.parametrize("user", USERS)
def test_js_cookie_and_next_read_what_is_written(user: str, browser: Browser) -> None:
    details = json.dumps({"loginId": user}, ensure_ascii=False)
    header = browser.take(write(jar_of(), tokens_of(user, "A.B.C", details))).header()
    served = Browser().take(write(jar_of(SERVER), tokens_of(user, "A.B.C", details))).header()
    start = f"{PREFIX}.{CLIENT}."
    for get, sent in ((js_cookie_get, header), (next_get, served), (js_cookie_get, served)):
        assert get(sent, f"{start}LastAuthUser") == user
        assert get(sent, f"{start}{user}.accessToken") == "A.B.C"
        assert get(sent, f"{start}{user}.refreshToken") == "A.B.C.R"
    for get in (js_cookie_get, *([] if "(" in user else [next_get])):
        assert get(header, f"{start}{user}.accessToken") == "A.B.C"
        assert get(header, f"{start}{user}.clockDrift") == "0"
        assert get(header, f"{start}{user}.signInDetails") == details


@pytest.mark.parametrize("user", USERS)
def test_it_is_read_back(user: str, policy: CookiePolicy, browser: Browser) -> None:
    jar = jar_of(policy)
    details = "" if policy.http_only else json.dumps({"loginId": user})
    browser.take(write(jar, tokens_of(user, details=details)))
    assert read(jar, browser) == [tokens_of(user, details=details)]


NAMES = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
TEXTS = st.text(OCTETS, min_size=1, max_size=60)


@settings(deadline=None)
@given(user=NAMES, texts=st.tuples(TEXTS, TEXTS | st.just(""), TEXTS | st.just("")))
def test_any_session_is_read_back(user: str, texts: tuple[str, str, str]) -> None:
    mine = AmplifySet(CLIENT, user, *[text.encode() for text in texts], b"")
    browser = Browser().take(write(jar_of(), mine))
    assert read(jar_of(), browser) == [mine]


@settings(deadline=None)
@given(st.lists(st.none() | st.tuples(NAMES, TEXTS), max_size=5), st.sampled_from([*POLICIES]))
def test_nothing_stale_remains_whatever_came_before(steps: list[Any], mode: str) -> None:
    jar, browser = jar_of(POLICIES[mode]), Browser().plant(b"theme=dark")
    for step in [*steps, None]:
        sent = browser.header()
        if step is None:
            browser.take(jar.clearing(sent))
            assert browser.header() == b"theme=dark"
        else:
            browser.take(write(jar, tokens_of(*step), sent))
            assert read(jar, browser) == [tokens_of(*step)]
            assert browser.names() == Browser().take(write(jar, tokens_of(*step))).names()


# Attributes.


def test_a_browsers_cookies_have_the_attributes_that_amplify_js_gives_them() -> None:
    for line in write(jar_of(), tokens_of("a@b")):
        assert attributes(line) == {"Max-Age=31536000", "Secure", "Path=/", "SameSite=Lax"}


def test_a_servers_cookies_have_the_attributes_that_the_next_adapter_gives_them() -> None:
    expected = {"Max-Age=31536000", "Secure", "Path=/", "SameSite=Strict", "HttpOnly"}
    for line in write(jar_of(SERVER), tokens_of("a@b")):
        assert attributes(line) == expected


def test_the_policys_own_attributes_are_written() -> None:
    policy = CookiePolicy(
        http_only=False, same_site="Lax", domain="example.com", secure=False, max_age=60
    )
    for line in write(jar_of(policy), tokens_of("a@b")):
        assert attributes(line) == {"Max-Age=60", "Domain=example.com", "Path=/", "SameSite=Lax"}


def test_clearing_repeats_path_domain_and_the_rest() -> None:
    policy = CookiePolicy(http_only=True, domain="example.com", max_age=60)
    epoch = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    common = {epoch, "Max-Age=0", "Secure", "HttpOnly", "Path=/", "SameSite=Strict"}
    domains = {frozenset(attributes(one)) for one in jar_of(policy).clearing(signed_in("a"))}
    assert frozenset({*common, "Domain=example.com"}) in domains
    assert domains <= {frozenset({*common, "Domain=example.com"}), frozenset(common)}


def test_sessions_own_age_does_not_shorten_the_cookies() -> None:
    lines = jar_of().setting(NewCookie(tokens_of("a").value.decode(), 60), None)
    assert all("Max-Age=31536000" in attributes(line) for line in lines)


# What is cleared beside it.


def test_a_sign_in_clears_the_previous_users_cookies(browser: Browser) -> None:
    browser.plant(signed_in("eve", "signInDetails", "clockDrift", "oauthMetadata"))
    browser.take(write(jar_of(), tokens_of("a@b"), browser.header()))
    assert browser.names() == names_of("a@b", *TOKENS, "clockDrift")


def test_a_sign_in_clears_the_previous_users_tokens_unseen(browser: Browser) -> None:
    # Another response may have just set them.
    sent = f"{PREFIX}.{CLIENT}.LastAuthUser=eve; {PREFIX}.{CLIENT}.eve.accessToken=A".encode()
    browser.plant(signed_in("eve"))
    browser.take(write(jar_of(), tokens_of("a@b"), sent))
    assert browser.names() == names_of("a@b", *TOKENS, "clockDrift")


def test_device_keys_and_stale_users_of_long_ago_are_left(browser: Browser) -> None:
    browser.plant(signed_in("old"))
    browser.plant(signed_in("eve", "deviceKey"))
    before = set(browser.names())
    browser.take(jar_of().clearing(browser.header()))
    left = {f"old.{suffix}" for suffix in TOKENS} | {"eve.deviceKey"}
    assert set(browser.names()) == left < before


def test_other_apps_cookies_are_left_and_those_of_configured_clients_are_cleared(
    browser: Browser,
) -> None:
    third = "third"
    for client in (CLIENT, OTHER_CLIENT, third):
        browser.plant(signed_in("a", client=client))
    jar = jar_of(clients=(CLIENT, OTHER_CLIENT))
    browser.take(write(jar, tokens_of("a"), browser.header()))
    clients = {kept.name.split(".")[1] for kept in browser.kept}
    assert clients == {CLIENT, third}
    assert read(jar, browser) == [tokens_of("a")]


@pytest.mark.parametrize("user", ["a(b)", "a@b", "jos\u00e9", "a b", "a|b"])
def test_other_spellings_of_the_users_cookies_are_cleared(user: str, browser: Browser) -> None:
    for name in {js_cookie_name(user), user, adapter_name(user).lower()}:
        browser.plant(signed_in(user, "signInDetails", name=name))
    browser.take(write(jar_of(), tokens_of(user), browser.header()))
    assert browser.names() == names_of(user, *TOKENS, "clockDrift")


def test_a_name_of_raw_utf_8_is_cleared_by_its_bytes(browser: Browser) -> None:
    user = "\u674e\u96f7"
    raw = user.encode().decode("latin-1")
    browser.plant(signed_in(user, name=raw))
    browser.take(jar_of().clearing(browser.header()))
    assert browser.names() == []


def test_what_a_session_does_not_bring_is_cleared(browser: Browser) -> None:
    browser.plant(signed_in("a", "signInDetails"))
    mine = AmplifySet(CLIENT, "a", b"A", b"", b"", b"")
    browser.take(write(jar_of(), mine, browser.header()))
    assert read(jar_of(), browser) == [mine]


def test_the_clocks_drift_is_begun_with_nothing(browser: Browser) -> None:
    browser.take(write(jar_of(), tokens_of("a")))
    assert b"a.clockDrift=0" in browser.header()


@pytest.mark.parametrize("name", ["a(b)", "a%28b%29"])
def test_the_clocks_drift_is_left_as_the_browser_measured_it(name: str, browser: Browser) -> None:
    browser.plant(signed_in("a(b)", "clockDrift", name=name))
    lines = write(jar_of(), tokens_of("a(b)"), browser.header())
    assert not [line for line in lines if "clockDrift" in line.name]


@pytest.mark.parametrize("suffixes", [(), ("signInDetails", "clockDrift", "oauthMetadata")])
def test_the_server_mode_touches_only_the_four(suffixes: tuple[str, ...], browser: Browser) -> None:
    browser.plant(signed_in("a", *suffixes)).plant(signed_in("eve", *suffixes), ";Path=/app")
    jar, sent = jar_of(SERVER, "example.com"), browser.header("/app/x")
    lines = [*write(jar, tokens_of("a"), sent, "/app/x"), *jar.clearing(sent, "/app/x")]
    touched = {line.name.rpartition(".")[2] for line in lines}
    assert touched == {*TOKENS, "LastAuthUser"}


# Too large.

ROOM = MAX_PAIR_BYTES - len(f"{PREFIX}.{CLIENT}.a.idToken")


@pytest.mark.parametrize(("size", "is_kept"), [(ROOM, True), (ROOM + 1, False)])
def test_an_id_token_that_no_browser_keeps_is_cleared(
    size: int, is_kept: bool, browser: Browser
) -> None:
    browser.plant(signed_in("a"))
    mine = tokens_of("a")._replace(id_token=b"I" * size)
    browser.take(write(jar_of(), mine, browser.header()))
    assert read(jar_of(), browser) == [mine if is_kept else mine._replace(id_token=b"")]


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
def test_another_token_that_no_browser_keeps_is_refused_with_its_size(field: str) -> None:
    mine = tokens_of("a@b")._replace(**{field: b"x" * 4096})
    with pytest.raises(SessionTooLargeError) as caught:
        write(jar_of(), mine)
    suffix = "accessToken" if field == "access_token" else "refreshToken"
    assert caught.value.size == len(f"{PREFIX}.{CLIENT}.a%40b.{suffix}") + 4096
    assert caught.value.limit == MAX_PAIR_BYTES


def test_the_largest_that_is_allowed_is_kept(browser: Browser) -> None:
    size = MAX_PAIR_BYTES - len(f"{PREFIX}.{CLIENT}.a.accessToken")
    mine = tokens_of("a")._replace(access_token=b"x" * size)
    assert jar_of().size(NewCookie(mine.value.decode())) == jar_of().max_bytes
    assert read(jar_of(), browser.take(write(jar_of(), mine))) == [mine]


def test_sign_in_details_that_no_browser_keeps_are_cleared(browser: Browser) -> None:
    browser.plant(signed_in("a", "signInDetails"))
    mine = tokens_of("a", details=json.dumps({"loginId": "x" * 4096}))
    browser.take(write(jar_of(), mine, browser.header()))
    assert read(jar_of(), browser) == [mine._replace(sign_in_details=b"")]


# Signing out.


@pytest.mark.parametrize("user", USERS)
def test_signing_out_leaves_nothing_to_read(
    user: str, policy: CookiePolicy, browser: Browser
) -> None:
    jar = jar_of(policy)
    browser.take(write(jar, tokens_of(user, details="{}")))
    browser.take(jar.clearing(browser.header()))
    assert browser.kept == {}


def test_signing_out_does_not_uncover_the_user_called_username(browser: Browser) -> None:
    # Whom Amplify reads where LastAuthUser is missing.
    browser.plant(signed_in("username")).plant(signed_in("a"))
    browser.take(jar_of().clearing(browser.header()))
    assert read(jar_of(), browser) == []


def test_signing_out_clears_both_users_of_doubled_cookies(browser: Browser) -> None:
    start = f"{PREFIX}.{CLIENT}.LastAuthUser="
    browser.plant(signed_in("a")).plant(signed_in("eve"))
    browser.plant(f"{start}a".encode(), ";Path=/app")
    browser.take(jar_of().clearing(browser.header("/app/x"), "/app/x"))
    assert browser.kept == {}


def test_without_a_cookie_of_ours_there_is_nothing_to_clear(policy: CookiePolicy) -> None:
    theirs = signed_in("a", client=OTHER_CLIENT)
    for sent in (None, b"", b"theme=dark", theirs):
        assert jar_of(policy).clearing(sent) == []


PLACES = ["", ";Path=/app", ";Path=/app/x", ";Domain=example.com", ";Path=/app;Domain=example.com"]


@pytest.mark.parametrize("place", PLACES[1:])
def test_multiplied_cookies_are_cleared_where_they_are(
    place: str, policy: CookiePolicy, browser: Browser
) -> None:
    jar = jar_of(policy, "example.com")
    browser.plant(signed_in("a@b")).plant(signed_in("a@b"), place)
    browser.take(jar.clearing(browser.header("/app/x/page"), "/app/x/page"))
    assert browser.kept == {}


@pytest.mark.parametrize("place", PLACES[1:])
def test_multiplied_cookies_are_not_added_to(
    place: str, policy: CookiePolicy, browser: Browser
) -> None:
    jar = jar_of(policy, "example.com")
    browser.plant(signed_in("a@b")).plant(signed_in("a@b"), place)
    browser.take(write(jar, tokens_of("a@b"), browser.header("/app/x"), "/app/x"))
    assert read(jar, browser, "/app/x") == [tokens_of("a@b")]
    assert {(kept.domain, kept.path) for kept in browser.kept} == {(HOST, "/")}


def test_cookies_of_a_former_domain_alone_are_cleared(browser: Browser) -> None:
    # They were sent once, so that nothing in the header tells where they are.
    jar = jar_of(BROWSER, "example.com")
    browser.plant(signed_in("a@b"), ";Path=/;Domain=example.com")
    browser.take(jar.clearing(browser.header()))
    assert browser.kept == {}


def test_cookies_of_a_former_domain_alone_are_replaced(browser: Browser) -> None:
    jar = jar_of(BROWSER, "example.com")
    browser.plant(signed_in("a@b"), ";Path=/;Domain=example.com")
    browser.take(write(jar, tokens_of("a@b"), browser.header()))
    assert {kept.domain for kept in browser.kept} == {HOST}


def test_cookies_of_the_host_alone_are_replaced_by_a_domains(browser: Browser) -> None:
    policy = CookiePolicy(http_only=False, same_site="Lax", domain="example.com")
    browser.plant(signed_in("a@b"), ";Path=/")
    browser.take(write(jar_of(policy), tokens_of("a@b"), browser.header()))
    assert {kept.domain for kept in browser.kept} == {".example.com"}


@pytest.mark.parametrize("path", ["/app", "/app/x"])
def test_a_cookie_of_another_path_alone_is_no_longer_who_is_signed_in(
    path: str, browser: Browser
) -> None:
    browser.plant(signed_in("a@b"), f";Path={path}")
    browser.take(jar_of().clearing(browser.header("/app/x/page"), "/app/x/page"))
    assert read(jar_of(), browser, "/app/x/page") == []


# What a client sends is not repeated to it as it stands.

HOSTILE = st.sampled_from(
    [
        *(f"{PREFIX}.{CLIENT}.", f"{PREFIX}.{CLIENT}.LastAuthUser=a", ".accessToken=", ".idToken="),
        *("a", "%61", "%0D%0A", "\r\n", "\n", "; ", ";", "=", "\t", " ", ",", '"', "\x00", "\x7f"),
        *("\xe9", "Set-Cookie: x=y", "%3B", "\x85", "\x1e", "\x1f", "Domain=evil.example"),
    ]
)
PATHS = st.lists(
    st.sampled_from(["/", "a", "..", ";", "\r\n", "%2F", "\xe9", ",", " ", "Domain=evil.example"]),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("hostile", ["\r\n", "\n", "\t", "\x00", "\x7f", "\r\nSet-Cookie: x"])
def test_a_name_that_would_end_a_header_is_not_repeated(hostile: str) -> None:
    user = f"a{hostile}b"
    raw = f"{PREFIX}.{CLIENT}.{user}.accessToken=A"
    sent = b"; ".join([signed_in(user), raw.encode()])
    for lines in (jar_of().clearing(sent), write(jar_of(), tokens_of("a"), sent)):
        assert f"{PREFIX}.{CLIENT}.{adapter_name(user)}.accessToken" in {one.name for one in lines}
        assert not [line for line in lines if hostile in line.value]


@settings(max_examples=200, deadline=None)
@given(
    sent=st.lists(HOSTILE, max_size=14).map(lambda parts: "".join(parts).encode("latin-1")),
    path=PATHS,
    mode=st.sampled_from([*POLICIES]),
)
def test_no_client_adds_anything_to_a_header(sent: bytes, path: str, mode: str) -> None:
    jar = jar_of(POLICIES[mode], "example.com", clients=(CLIENT, OTHER_CLIENT))
    known = {"Secure", "HttpOnly", "SameSite", "Path", "Domain", "Max-Age", "Expires"}
    for line in [*jar.clearing(sent, path), *write(jar, tokens_of("a"), sent, path)]:
        assert line.name.startswith(tuple(f"{PREFIX}.{c}." for c in (CLIENT, OTHER_CLIENT)))
        assert not re.search("[\x00-\x1f\x7f;=]", line.name)
        assert not re.search("[\x00-\x1f\x7f]", line.value)
        assert {said.partition("=")[0] for said in attributes(line)} <= known
        assert "evil" not in "".join(a for a in attributes(line) if a.startswith("Domain"))
        assert line.value.encode("latin-1").startswith(line.name.encode("latin-1") + b"=")


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
@pytest.mark.parametrize("text", ["a;b", "a\r\nb", "a b", 'a"', "a,b", "a\\b", "caf\u00e9"])
def test_a_token_that_a_browser_would_misread_is_refused(field: str, text: str) -> None:
    with pytest.raises(ValueError, match="cookie's value"):
        write(jar_of(), tokens_of("a")._replace(**{field: text.encode()}))


@pytest.mark.parametrize("text", ["a;b", "a\r\nb", "a b", "caf\u00e9"])
def test_an_id_token_that_a_browser_would_misread_is_cleared(text: str, browser: Browser) -> None:
    browser.plant(signed_in("a"))
    mine = tokens_of("a")._replace(id_token=text.encode())
    browser.take(write(jar_of(), mine, browser.header()))
    assert read(jar_of(), browser) == [mine._replace(id_token=b"")]


@pytest.mark.parametrize("repeat", [1, 2])
def test_the_number_of_lines_is_bounded(repeat: int) -> None:
    start = f"{PREFIX}.{CLIENT}."
    letters = [("a", "%61")[number >> bit & 1] for number in range(1024) for bit in range(10)]
    spelled = ["".join(letters[at : at + 10]) for at in range(0, len(letters), 10)]
    pairs = [f"{start}{name}.accessToken=x" for name in spelled] * repeat
    sent = "; ".join([f"{start}LastAuthUser={'a' * 10}", *pairs]).encode()
    jar = jar_of(BROWSER, "example.com")
    for lines in (jar.clearing(sent, "/a/b/c/d"), write(jar, tokens_of("b"), sent, "/a/b/c/d")):
        assert len(lines) < 250
