"""Reading Amplify JS's cookies, in the spelling of every writer, out of any bytes."""

import json
import tracemalloc
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.sessions.amplify.wire import (
    AmplifySet,
    CookieFamily,
    FamilyReader,
    decoded,
    js_name,
    js_value,
    server_name,
    sets_in,
)
from tests.sessions.amplify_writers import (
    CLIENT,
    NAMES,
    OTHER_CLIENT,
    PREFIX,
    USERS,
    VALUES,
    adapter_name,
    js_cookie_name,
    js_cookie_value,
)

START = f"{PREFIX}.{CLIENT}.".encode()
TEXTS = st.text(max_size=20).filter(lambda text: text.isprintable())
SIZE = 1_000_000  # bytes: a quadratic reader would need 10^12 steps and not come back


def cookie(rest: str | bytes, value: str | bytes, client: str = CLIENT) -> bytes:
    rest, value = (part.encode() if isinstance(part, str) else part for part in (rest, value))
    return f"{PREFIX}.{client}.".encode() + rest + b"=" + value


def header(*cookies: bytes) -> bytes:
    return b"; ".join(cookies)


def signed_in(user: str, token: str = "A", client: str = CLIENT) -> list[bytes]:
    """What a front end keeps for a user, without `LastAuthUser`."""
    name = adapter_name(user)
    tokens = {"accessToken": token, "idToken": f"{token}.I", "refreshToken": f"{token}.R"}
    return [cookie(f"{name}.{suffix}", value, client) for suffix, value in tokens.items()]


def last(user: str, client: str = CLIENT) -> bytes:
    return cookie("LastAuthUser", js_cookie_value(user), client)


def expected(user: str, token: str = "A", client: str = CLIENT) -> AmplifySet:
    tokens = (token.encode(), f"{token}.I".encode(), f"{token}.R".encode())
    return AmplifySet(client, user, *tokens, b"")


def reader(*clients: str) -> FamilyReader:
    return FamilyReader([CookieFamily(client) for client in clients or (CLIENT,)])


def read(sent: bytes, *clients: str) -> list[AmplifySet]:
    return list(sets_in(reader(*clients).read(sent) or b""))


# Names and values.


@pytest.mark.parametrize(
    ("user", "server", "browser", "value"),
    [
        ("a@b.com", "a%40b.com", "a%40b.com", "a@b.com"),
        ("a+b@c.d", "a+b%40c.d", "a+b%40c.d", "a+b@c.d"),
        ("jos\u00e9", "jos%C3%A9", "jos%C3%A9", "jos%C3%A9"),
        ("\u674e\u96f7", *["%E6%9D%8E%E9%9B%B7"] * 3),
        ("a%40b", "a%2540b", "a%2540b", "a%2540b"),
        ("a(b)", "a(b)", "a%28b%29", "a(b)"),
        ("a;b", "a%3Bb", "a%3Bb", "a%3Bb"),
        ("a,b", "a%2Cb", "a%2Cb", "a%2Cb"),
        ('a"b', "a%22b", "a%22b", "a%22b"),
        ("a=b", "a%3Db", "a%3Db", "a=b"),
        ("a:b", "a%3Ab", "a%3Ab", "a:b"),
        ("a/b", "a%2Fb", "a%2Fb", "a/b"),
    ],
)
def test_golden_vectors(user: str, server: str, browser: str, value: str) -> None:
    assert (server_name(user), js_name(user), js_value(user)) == (server, browser, value)


def test_sign_in_details_are_spelled_as_js_cookie_spells_them() -> None:
    details = '{"loginId":"a@b.com","authFlowType":"USER_SRP_AUTH"}'
    spelled = "{%22loginId%22:%22a@b.com%22%2C%22authFlowType%22:%22USER_SRP_AUTH%22}"
    assert js_value(details) == spelled
    assert decoded(spelled.encode()) == details


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_spelled_as_the_writers_spell_it_and_read_back(text: str) -> None:
    assert server_name(text) == adapter_name(text)
    assert js_name(text) == js_cookie_name(text)
    assert js_value(text) == js_cookie_value(text)
    for spelled in (server_name(text), js_name(text), js_value(text)):
        assert decoded(spelled.encode("ascii")) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"%E6%9D%8E", "\u674e"),
        (b"jos%c3%a9", "jos\u00e9"),
        (b"jos\xc3\xa9", "jos\u00e9"),
        (b"jos\xe9", "jos\u00e9"),
        (b"100%", "100%"),
        (b"a%2", "a%2"),
        (b"a%zz", "a%zz"),
        (b"a+b", "a+b"),
        (b"a%2540b", "a%40b"),
        (b"", ""),
        (b"%E9", None),
        (b"%ED%A0%80", None),
        (b"%C0%AF", None),
    ],
)
def test_a_value_decodes_once_as_utf_8_or_not_at_all(raw: bytes, text: str | None) -> None:
    assert decoded(raw) == text


# Every kind of username, as every writer spells it.


def as_written(user: str, names: str, values: str) -> bytes | None:
    """The header of a browser to which a writer has given a session; None if it has no spelling."""
    details = json.dumps({"loginId": user}, ensure_ascii=False)
    try:
        name, value, said = NAMES[names](user), VALUES[values](user), VALUES[values](details)
    except UnicodeEncodeError:
        return None
    tokens = {b"accessToken": b"A", b"idToken": b"A.I", b"refreshToken": b"A.R"}
    parts = [(name + b"." + suffix, token) for suffix, token in tokens.items()]
    pairs = [(b"LastAuthUser", value), *parts, (name + b".signInDetails", said)]
    # RFC 6265bis 5.6: a cookie ends at the first `;`, and its name at the first `=`.
    kept = dict((left + b"=" + right).split(b";")[0].partition(b"=")[::2] for left, right in pairs)
    return header(b"theme=dark", *[cookie(left, right) for left, right in kept.items()])


def survives(user: str, names: str, values: str) -> bool:
    """Whether a browser keeps the cookies apart and whole, under names that mean this user."""
    is_encoded = names in ("js-cookie", "adapter")
    is_name = is_encoded or (not set(";=") & set(user) and unquote(user) == user)
    return is_name and (not values.startswith("raw") or ";" not in user)


CASES = [
    (user, names, values)
    for user in USERS
    for names in NAMES
    for values in VALUES
    if as_written(user, names, values) is not None
]


@pytest.mark.parametrize(("user", "names", "values"), [c for c in CASES if survives(*c)])
def test_a_user_is_read_in_every_writers_spelling(user: str, names: str, values: str) -> None:
    (mine,) = read(as_written(user, names, values) or b"")
    assert mine._replace(sign_in_details=b"") == expected(user)
    said = json.dumps({"loginId": user}, ensure_ascii=False)
    assert mine.details == (unquote(said) if values.startswith("raw") else said)


# A raw `;` ends a cookie, a raw `=` its name, in any browser. A raw `%40` is `@`, to Amplify too.
@pytest.mark.parametrize(("user", "names", "values"), [c for c in CASES if not survives(*c)])
def test_what_no_browser_keeps_whole_is_nobodys(user: str, names: str, values: str) -> None:
    found = read(as_written(user, names, values) or b"")
    assert [mine for mine in found if mine.access_token and mine.user == user] == []


def test_an_unencoded_percent_code_is_read_as_amplify_reads_it() -> None:
    (mine,) = read(as_written("a%40b", "adapter before 1.7, UTF-8", "raw, UTF-8") or b"")
    assert mine.user == "a@b"


def test_a_raw_last_auth_user_with_a_percent_code_still_finds_its_cookies() -> None:
    sent = header(cookie("LastAuthUser", "a%40b"), *signed_in("a%40b"))
    assert read(sent) == [expected("a%40b")]


def test_of_what_last_auth_user_may_mean_the_one_with_an_access_token_counts() -> None:
    sent = header(cookie("LastAuthUser", "a%40b"), cookie("a%40b.refreshToken", "R"))
    assert [mine.user for mine in read(sent)] == ["a@b"]
    sent = header(sent, *signed_in("a%40b"))
    assert read(sent) == [expected("a%40b")]


def test_a_name_that_was_encoded_twice_is_the_user_it_decodes_to_once() -> None:
    # The first releases of Amplify 6 encoded the username, and js-cookie did it again.
    twice = header(last("a%40b"), cookie("a%2540b.accessToken", "A"))
    assert [mine.user for mine in read(twice)] == ["a%40b"]
    assert read(header(last("a@b"), cookie("a%2540b.accessToken", "A"))) == []


def test_codes_in_small_letters_are_the_same_name() -> None:
    sent = header(last("jos\u00e9"), cookie("jos%c3%a9.accessToken", "A"))
    assert [mine.access_token for mine in read(sent)] == [b"A"]


@settings(deadline=None)
@given(user=TEXTS.filter(bool))
def test_any_username_is_read_back(user: str) -> None:
    assert read(header(last(user), *signed_in(user))) == [expected(user)]


# Whose cookies count.


def test_other_clients_and_other_users_are_not_looked_at() -> None:
    others = [last("eve", OTHER_CLIENT), *signed_in("eve", "X", OTHER_CLIENT)]
    stale = [pair for number in range(20) for pair in signed_in(f"old{number}", "Y")]
    assert read(header(*others, *stale, last("a@b"), *signed_in("a@b"))) == [expected("a@b")]


@pytest.mark.parametrize("user", ["a@b.co", "a@b.com.x", "A@b.com", "x.a@b.com", "b.com", ""])
def test_a_user_who_is_only_called_alike_is_somebody_else(user: str) -> None:
    assert read(header(last("a@b.com"), *signed_in(user))) == []


@pytest.mark.parametrize("client", [CLIENT[:-1], CLIENT + "x", CLIENT.upper(), "", f"{CLIENT}.a"])
def test_a_client_that_is_only_called_alike_is_another(client: str) -> None:
    assert read(header(last("a", client), *signed_in("a", "A", client))) == []


@pytest.mark.parametrize("sent", [[], [cookie("LastAuthUser", "")]], ids=["missing", "empty"])
def test_without_last_auth_user_the_user_is_called_username(sent: list[bytes]) -> None:
    both = [*signed_in("username"), *signed_in("eve", "X")]
    assert read(header(*sent, *both)) == [expected("username")]


def test_a_last_auth_user_that_does_not_decode_names_nobody_else() -> None:
    undecodable = cookie("LastAuthUser", "%E9")
    assert read(header(undecodable, *signed_in("username"), *signed_in("\u00e9"))) == []


def test_an_empty_value_is_none() -> None:
    sent = header(last("a"), cookie("a.accessToken", "A"), cookie("a.idToken", ""))
    assert read(sent) == [AmplifySet(CLIENT, "a", b"A", b"", b"", b"")]


@pytest.mark.parametrize("suffix", ["accessToken", "idToken", "refreshToken", "signInDetails"])
def test_empty_values_alone_are_no_session(suffix: str) -> None:
    assert reader().read(header(last("a"), cookie(f"a.{suffix}", ""))) is None


@pytest.mark.parametrize("suffix", ["clockDrift", "deviceKey", "oauthMetadata", "AccessToken", ""])
def test_what_is_no_token_makes_no_session(suffix: str) -> None:
    assert reader().read(header(last("a"), cookie(f"a.{suffix}", "A"))) is None


def test_a_set_without_access_token_is_a_set() -> None:
    sent = header(last("a"), cookie("a.refreshToken", "R"))
    assert read(sent) == [AmplifySet(CLIENT, "a", b"", b"", b"R", b"")]


# Cookies that were sent twice.


def test_cookies_that_agree_give_one_view() -> None:
    twice = [last("a"), *signed_in("a")] * 2
    assert read(header(*twice)) == [expected("a")]


def test_cookies_that_differ_give_nexts_view_and_js_cookies() -> None:
    sent = header(last("a"), *signed_in("a", "OLD"), last("a"), *signed_in("a", "NEW"))
    assert read(sent) == [expected("a", "NEW"), expected("a", "OLD")]


def test_of_three_the_last_and_the_first_are_seen() -> None:
    sent = header(last("a"), *signed_in("a", "1"), *signed_in("a", "2"), *signed_in("a", "3"))
    assert read(sent) == [expected("a", "3"), expected("a", "1")]


def test_two_users_give_each_view_its_own() -> None:
    sent = header(last("eve"), *signed_in("a"), last("a"), *signed_in("eve", "E"))
    assert read(sent) == [expected("a"), expected("eve", "E")]


def test_two_spellings_of_one_name_are_two_of_one_cookie() -> None:
    tokens = [cookie("a(b).accessToken", "NEXT"), cookie("a%28b%29.accessToken", "BROWSER")]
    found = read(header(last("a(b)"), *tokens))
    assert [mine.access_token for mine in found] == [b"BROWSER", b"NEXT"]


def test_an_unrelated_name_that_is_sent_twice_changes_nothing() -> None:
    drifts = [cookie("a.clockDrift", "1"), cookie("a.clockDrift", "2")]
    assert read(header(*drifts, last("a"), *signed_in("a"))) == [expected("a")]


# Several clients.


def test_the_first_client_that_is_signed_in_counts() -> None:
    mine = [last("a"), *signed_in("a")]
    theirs = [last("b", OTHER_CLIENT), *signed_in("b", "B", OTHER_CLIENT)]
    sent = header(*mine, *theirs)
    assert read(sent, CLIENT, OTHER_CLIENT) == [expected("a")]
    assert read(sent, OTHER_CLIENT, CLIENT) == [expected("b", "B", OTHER_CLIENT)]


def test_a_client_with_an_access_token_goes_before_one_without() -> None:
    partial = [last("a"), cookie("a.refreshToken", "R")]
    theirs = [last("b", OTHER_CLIENT), *signed_in("b", "B", OTHER_CLIENT)]
    found = read(header(*partial, *theirs), CLIENT, OTHER_CLIENT)
    assert found == [expected("b", "B", OTHER_CLIENT)]


# Any bytes.

PIECES = st.sampled_from(
    [
        *(START, START, START[:-1], START + b"a.", START + b"%61.", START + b"LastAuthUser="),
        *(START + b"a.accessToken=", START + b"%E9.idToken=", START.upper(), b"LastAuthUser"),
        *(b"accessToken", b".idToken=", b"=", b";", b"; ", b" ", b"\t", b",", b'"', b"%", b"%1E"),
        *(b"a", b"b", b".", b"\x00", b"\r\n", b"\x1e", b"\x1f", b"\xe9", b"\xc3\xa9", b"%C3%A9"),
    ]
)
HEADERS = st.lists(st.one_of(PIECES, PIECES, PIECES, st.binary(max_size=3)), max_size=16).map(
    b"".join
)


@pytest.mark.parametrize("between", [b";", b" ;", b";\t", b"; \t ", b";;; ", b" ; ;"])
def test_odd_separators_are_read_alike(between: bytes) -> None:
    cookies = [b"theme=dark", last("a@b"), *signed_in("a@b"), b"x"]
    assert read(between.join(cookies)) == [expected("a@b")]
    assert read(between + between.join(cookies) + between) == [expected("a@b")]


def test_blanks_around_names_and_values_are_no_part_of_them() -> None:
    sent = b"; ".join(pair.replace(b"=", b" \t=\t ") for pair in [last("a"), *signed_in("a")])
    assert read(sent) == [expected("a")]


def test_a_value_may_look_like_a_cookie() -> None:
    sent = header(b"x=" + cookie("LastAuthUser", "eve"), last("a"), *signed_in("a", "A=B"))
    assert read(sent) == [expected("a", "A=B")]


BETWEEN = st.sampled_from([b"; ", b"; ", b"; ", b";", b" ; ", b";\t", b""])
COOKIES = st.sampled_from(
    [cookie("a", "1"), cookie("LastAuthUser", "a"), cookie("b ", " 2"), cookie("c", START), b"x=y"]
)
ROWS = st.lists(st.tuples(BETWEEN, COOKIES), max_size=6).map(lambda row: b"".join(sum(row, ())))


@settings(max_examples=200, deadline=None)
@given(HEADERS | ROWS)
def test_the_fast_way_to_find_cookies_finds_what_the_slow_one_does(sent: bytes) -> None:
    family = CookieFamily(CLIENT)
    assert family.sent(sent) == family._sent_in_any_spelling(sent)


@settings(max_examples=200, deadline=None)
@given(HEADERS)
def test_what_is_read_of_any_bytes_is_sets_of_the_client(sent: bytes) -> None:
    value = reader(CLIENT, OTHER_CLIENT).read(sent)
    found = sets_in(value or b"")
    assert len(found) in ((1, 2) if value is not None else (0,))
    for mine in found:
        assert mine.client in (CLIENT, OTHER_CLIENT)
        assert any(mine[2:])
        assert mine.details is None or isinstance(mine.details, str)
        assert sets_in(mine.value) == (mine,)


@settings(deadline=None)
@given(st.lists(HEADERS, max_size=5))
def test_a_reader_remembers_nothing_of_other_headers(sent: list[bytes]) -> None:
    used = reader()
    for one in [*sent, *sent]:
        assert used.read(one) == reader().read(one)


def test_a_header_that_differs_in_one_byte_is_read_anew() -> None:
    sent = header(b"theme=dark", last("a"), *signed_in("a", "A" * 100))
    used = reader()
    for at in range(len(sent)):
        changed = sent[:at] + b"B" + sent[at + 1 :]
        for one in (sent, changed, sent[:at]):
            assert used.read(one) == reader().read(one)


def test_nothing_of_a_memo_outgrows_its_bound() -> None:
    used = reader()
    for number in range(20):
        sent = header(last("a"), *signed_in("a", f"A{number}"), b"%02d" % number * 500_000)
        assert sets_in(used.read(sent) or b"") == (expected("a", f"A{number}"),)
    assert sum(len(sample) + len(known[0]) for sample, known in used._memo.items()) < 6_000_000


@pytest.mark.parametrize("control", ["\x1e", "\x1f", "\x00", "\r\n", "\x7f"])
@pytest.mark.parametrize("place", ["user", "value", "raw name", "suffix"])
def test_control_characters_never_make_another_set(control: str, place: str) -> None:
    hostile = f"a{control}eve{control}A{control}I{control}R{control}"
    raw, name = hostile.encode(), adapter_name(hostile).encode()
    sent = {
        "user": header(last(hostile), cookie(name + b".accessToken", "X")),
        "value": header(last("a"), cookie("a.accessToken", raw), cookie("a.idToken", raw)),
        "raw name": header(cookie("LastAuthUser", raw), cookie(raw + b".accessToken", "X")),
        "suffix": header(last("a"), cookie(b"a." + raw, "X"), *signed_in("a")),
    }[place]
    for mine in read(sent):
        assert mine.user in ("a", hostile)
        assert b"eve" not in (mine.access_token, mine.id_token, mine.refresh_token)


LARGE = {
    "one name": cookie("a.accessToken", "x" * SIZE),
    "starts": START * (SIZE // len(START)),
    "started values": b"; ".join([START + b"=" + START] * (SIZE // 2 // len(START))),
    "separators": START + b"=" + b";" * SIZE,
    "blanks": START + b" \t" * (SIZE // 2) + b"=",
    "dots": cookie(b"." * SIZE, "x"),
    "codes": cookie("LastAuthUser", "%41" * (SIZE // 3)),
    "a long user": header(
        cookie("LastAuthUser", "," * (SIZE // 2)),
        *[cookie(f"{number}.accessToken", "A") for number in range(SIZE // 130)],
    ),
    "a user who is spelled in many ways": header(
        last("a"), *[cookie(b"%61.accessToken", b"%d" % number) for number in range(SIZE // 70)]
    ),
    "many users": header(*[last(f"u{number}") for number in range(SIZE // 60)]),
}


@pytest.mark.parametrize("case", LARGE)
def test_it_takes_linear_time(case: str) -> None:
    value = reader(CLIENT, OTHER_CLIENT).read(LARGE[case])
    assert len(sets_in(value or b"")) <= 2


def test_what_it_keeps_of_usernames_is_bounded() -> None:
    used = reader()
    tracemalloc.start()
    try:
        for number in range(30):
            used.read(header(last(f"{number}" + "," * 20_000), *signed_in("a")))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3_000_000  # 30 headers of 20 kB, not all their spellings


def test_no_token_shows_in_a_repr() -> None:
    sent = header(last("a"), *signed_in("a", "SECRET"))
    found = [CookieFamily(CLIENT).sent(sent), *read(sent)]
    assert [repr(one) for one in found] == ["<SentCookies>", "<AmplifySet>"]
