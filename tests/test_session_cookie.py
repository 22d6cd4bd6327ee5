"""The session's cookie, in one or in several: what a browser keeps of it reads as what was set."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyConfig, SealedSession, StoredSession, TokenSession
from amplify_mw.errors import ConfigurationError, SessionTooLargeError
from amplify_mw.stores import MemoryStore
from amplify_mw.web.cookie_policy import CookiePolicy
from amplify_mw.web.cookies import (
    DUPLICATE,
    MAX_CHUNKS,
    UNREADABLE,
    CookieLine,
    NewCookie,
    SessionCookie,
)

NAME = "amplify-session"
LIMIT = 12_288
OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\')
COOKIE = SessionCookie(CookiePolicy(), LIMIT)
SINGLE = SessionCookie(CookiePolicy())
PRODUCTION = SessionCookie(CookiePolicy.host_prefixed(), LIMIT)


class Jar(dict[str, str]):
    """What a browser keeps for our host and path (RFC 6265bis 5.6 and 5.7)."""

    def apply(self, lines: list[CookieLine]) -> None:
        names = [line.name for line in lines]
        assert len(set(names)) == len(names), "RFC 6265 4.1.1: one line for each name"
        for line in lines:
            pair, *attributes = [part.strip(" \t") for part in line.value.split(";")]
            name, _, value = pair.partition("=")
            assert name == line.name
            ages = [a.partition("=")[2] for a in attributes if a.lower().startswith("max-age=")]
            if len(name) + len(value) > 4096:
                continue
            if name.startswith("__Host-") and not {"Secure", "Path=/"} <= set(attributes):
                continue
            self.pop(name, None)
            if int(ages[-1]) > 0:
                self[name] = value

    def header(self) -> bytes:
        return "; ".join(f"{name}={value}" for name, value in self.items()).encode("ascii")


def jar_of(value: str, cookie: SessionCookie = COOKIE) -> Jar:
    jar = Jar()
    jar.apply(cookie.setting(NewCookie(value), None))
    return jar


def family(count: int, name: str = NAME) -> set[str]:
    """The names that `count` cookies of a value have."""
    return {name} if count == 1 else {f"{name}.{number}" for number in range(count)}


def stretched(seed: str, size: int) -> str:
    return (seed * (size // len(seed) + 1))[:size]


SEEDS = st.text(OCTETS, min_size=1, max_size=20)
LARGEST = LIMIT - 3 * (len(NAME) + 2 + 9)
VALUES = st.builds(stretched, SEEDS, st.integers(0, LARGEST))
LARGE = st.builds(stretched, SEEDS, st.integers(4096, LARGEST))


@pytest.mark.parametrize("cookie", [COOKIE, PRODUCTION], ids=["plain", "host"])
@settings(deadline=None)
@given(value=VALUES.map(lambda text: text[: LARGEST - 3 * len("__Host-")]))
def test_what_a_browser_keeps_reads_as_the_value(cookie: SessionCookie, value: str) -> None:
    assert cookie.read(jar_of(value, cookie).header()) == value.encode("ascii")


@settings(deadline=None)
@given(value=VALUES)
def test_the_size_is_that_of_the_names_and_values_a_browser_keeps(value: str) -> None:
    assert COOKIE.size(NewCookie(value)) == sum(
        len(name) + len(text) for name, text in jar_of(value).items()
    )


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 1), (4096 - len(NAME), 1), (4097 - len(NAME), 2), (8140, 2), (8141, 3), (LARGEST, 3)],
)
def test_a_value_takes_as_few_cookies_as_hold_it(size: int, count: int) -> None:
    assert jar_of("a" * size).keys() == family(count)


@settings(deadline=None)
@given(
    stale=st.dictionaries(
        st.sampled_from(sorted({NAME} | family(MAX_CHUNKS))), st.text(OCTETS, max_size=9)
    ),
    steps=st.lists(st.sampled_from([None, "a", "b" * 5000, "c" * 7000, "d" * 9000, "e" * 12_000])),
)
def test_nothing_stale_remains_whatever_came_before(
    stale: dict[str, str], steps: list[str | None]
) -> None:
    jar = Jar(theme="dark", **stale)
    for value in [*steps, None]:
        sent = jar.header()
        lines = COOKIE.clearing(sent) if value is None else COOKIE.setting(NewCookie(value), sent)
        jar.apply(lines)
        expected = Jar() if value is None else jar_of(value)
        assert jar == {"theme": "dark", **expected}
        assert COOKIE.read(jar.header()) == (None if value is None else value.encode("ascii"))


def test_chunks_clear_a_single_cookie_that_they_have_not_seen() -> None:
    # Another response may have set it meanwhile, and it would be the one that is read.
    jar = Jar({NAME: "old"})
    jar.apply(COOKIE.setting(NewCookie("a" * 5000), sent=None))
    assert jar.keys() == family(2)


def test_only_what_was_sent_is_cleared_beside_the_single_cookie() -> None:
    sent = b"theme=a; amplify-session.1=b; amplify-session.9=c; amplify-session.10=d"
    assert [line.name for line in COOKIE.clearing(sent)] == [NAME, f"{NAME}.1", f"{NAME}.9"]
    assert [line.name for line in COOKIE.clearing(None)] == [NAME]


# What comes back in another state than it was set.


@settings(deadline=None)
@given(one=LARGE, other=LARGE, choices=st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_mix_of_two_values_never_reads_as_either(
    one: str, other: str, choices: list[bool]
) -> None:
    jars = jar_of(one), jar_of(other)
    chosen = ((name, jars[choice]) for name, choice in zip(sorted(family(3)), choices, strict=True))
    mix = Jar({name: jar[name] for name, jar in chosen if name in jar})
    values = [value for value, jar in zip((one, other), jars, strict=True) if mix == jar]
    assert COOKIE.read(mix.header()) == (values[0].encode() if values else UNREADABLE)


def test_two_values_of_one_length_do_not_mix() -> None:
    jar = jar_of("a" * 4095 + "b" * 4000) | {
        f"{NAME}.1": jar_of("a" * 4095 + "c" * 4000)[NAME + ".1"]
    }
    assert COOKIE.read(Jar(jar).header()) == UNREADABLE


@pytest.mark.parametrize("missing", sorted(family(3)))
def test_a_missing_chunk_makes_the_value_unreadable(missing: str) -> None:
    jar = jar_of("a" * 9000)
    del jar[missing]
    assert COOKIE.read(jar.header()) == UNREADABLE


@pytest.mark.parametrize("joint", [b",", b", ", b",\t"])
@pytest.mark.parametrize("at", range(5))
def test_chunks_that_a_server_has_joined_by_a_comma_are_not_there(at: int, joint: bytes) -> None:
    # Never unreadable: that would be cleared.
    pairs = [b"theme=dark", *jar_of("a" * 9000).header().split(b"; "), b"lang=de"]
    header = b"; ".join(pairs[: at + 1])
    assert COOKIE.read(b"; ".join(pairs)) == b"a" * 9000
    if at < 4:
        header += joint + b"; ".join(pairs[at + 1 :])
    else:
        header = joint.join(pairs)
    assert COOKIE.read(header) is None


def test_commas_elsewhere_do_not_matter_to_chunks() -> None:
    header = jar_of("a" * 9000).header()
    for other in (b"a=b,c", b"a=b,amplify-session.0=evil", b"a=b, amplify-session=evil"):
        assert COOKIE.read(other + b"; " + header) == b"a" * 9000
    assert COOKIE.read(b"a=b,c; " + header.split(b"; ")[0]) is UNREADABLE


@pytest.mark.parametrize("number", [2, 3, 9])
def test_a_surplus_chunk_makes_the_value_unreadable(number: int) -> None:
    jar = jar_of("a" * 5000)
    jar[f"{NAME}.{number}"] = jar[f"{NAME}.1"]
    assert COOKIE.read(jar.header()) == UNREADABLE


@pytest.mark.parametrize("first", ["", "1", "1abcdef0", "0abcdef01", "2abcdef01", "é", "1abcdef02"])
def test_chunks_that_no_setting_wrote_are_unreadable(first: str) -> None:
    header = f"{NAME}.0={first}; {NAME}.1=1abcdef01rest".encode()
    assert COOKIE.read(header) == UNREADABLE


def test_one_chunk_alone_is_unreadable() -> None:
    assert COOKIE.read(b"amplify-session.0=0abcdef01value") == UNREADABLE


def test_more_chunks_than_allowed_are_unreadable() -> None:
    generous = SessionCookie(CookiePolicy(), MAX_CHUNKS * 4096)
    header = jar_of("a" * 16_000, generous).header()
    assert generous.read(header) == b"a" * 16_000
    assert COOKIE.read(header) == UNREADABLE


def test_what_is_unreadable_is_neither_absent_nor_ambiguous_and_is_cleared_whole() -> None:
    assert UNREADABLE is not None
    assert UNREADABLE is not DUPLICATE
    jar = Jar({f"{NAME}.{number}": "junk" for number in range(10)})
    jar.apply(COOKIE.clearing(jar.header()))
    assert jar == {}


def test_the_order_of_chunks_does_not_matter() -> None:
    jar = jar_of("ab" * 4500)
    assert COOKIE.read(Jar(reversed(jar.items())).header()) == b"ab" * 4500


@pytest.mark.parametrize("joint", [b"; ", b";", b"; theme=dark; ", b" ;\t"])
def test_chunks_sent_twice_alike_are_one(joint: bytes) -> None:
    header = jar_of("a" * 9000).header()
    assert COOKIE.read(header + joint + header) == b"a" * 9000


@pytest.mark.parametrize("chunk", sorted(family(3)))
@pytest.mark.parametrize("planted", ["", "2", "evil"])
def test_a_chunk_sent_twice_with_two_values_is_ambiguous(chunk: str, planted: str) -> None:
    header, pair = jar_of("a" * 9000).header(), f"{chunk}={planted}".encode()
    assert COOKIE.read(header + b"; " + pair) is DUPLICATE
    assert COOKIE.read(pair + b"; " + header) is DUPLICATE


@pytest.mark.parametrize("frame", [b"%b; amplify-session=abc", b"amplify-session=abc; %b"])
def test_a_single_cookie_wins_over_chunks(frame: bytes) -> None:
    chunks = jar_of("a" * 9000).header()
    assert COOKIE.read(frame % chunks) == b"abc"
    assert COOKIE.read(frame % (chunks + b"; amplify-session=other")) is DUPLICATE


@pytest.mark.parametrize(
    "suffix", [".00", ".01", ".10", ".a", ".", ".-1", ".+1", ". 1", ".1.", ".0.0", "0", "-0", "_0"]
)
def test_a_chunks_number_has_one_spelling(suffix: str) -> None:
    header = f"{NAME}{suffix}=1abcdef01a".encode()
    assert COOKIE.read(header) is None
    assert [line.name for line in COOKIE.clearing(header)] == [NAME]


# Kinds of session that keep to one cookie.


def test_a_session_in_one_cookie_leaves_everything_else_alone() -> None:
    header = jar_of("a" * 9000).header()
    assert SINGLE.read(header) is None
    assert SINGLE.read(header + b"; amplify-session=abc") == b"abc"
    assert [line.name for line in SINGLE.clearing(header)] == [NAME]
    assert [line.name for line in SINGLE.setting(NewCookie("abc"), header)] == [NAME]


@pytest.mark.parametrize("limit", [100, 4096])
def test_a_session_in_one_cookie_is_refused_beyond_its_bytes(limit: int) -> None:
    cookie = SessionCookie(CookiePolicy(), limit)
    largest = "a" * (limit - len(NAME))
    assert jar_of(largest, cookie) == {NAME: largest}
    with pytest.raises(SessionTooLargeError) as refused:
        cookie.setting(NewCookie(largest + "a"), None)
    assert (refused.value.size, refused.value.limit) == (limit + 1, limit)


# What is refused, and what the lines say.


def test_a_session_over_the_limit_is_refused_with_its_sizes() -> None:
    assert COOKIE.size(NewCookie("a" * LARGEST)) == LIMIT
    with pytest.raises(SessionTooLargeError) as refused:
        COOKIE.setting(NewCookie("a" * LARGEST + "a"), None)
    fourth = len(f"{NAME}.3") + 9 + 1  # its name, its mark, and one character
    assert (refused.value.size, refused.value.limit) == (LIMIT + fourth, LIMIT)


def test_no_value_takes_more_chunks_than_can_be_numbered() -> None:
    cookie = SessionCookie(CookiePolicy(), MAX_CHUNKS * 4096)
    largest = "a" * (MAX_CHUNKS * (4096 - len(NAME) - 2 - 9))
    assert cookie.read(jar_of(largest, cookie).header()) == largest.encode()
    with pytest.raises(SessionTooLargeError):
        cookie.setting(NewCookie(largest + "a"), None)


@pytest.mark.parametrize("wrong", [" ", '"', ",", ";", "\\", "\n", "\x7f", "é"])
@pytest.mark.parametrize("size", [1, 9000, 90_000])
def test_what_is_no_value_of_a_cookie_is_refused_without_quoting_it(wrong: str, size: int) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        COOKIE.setting(NewCookie("s3cret" * size + wrong), None)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("limit", [0, -1, MAX_CHUNKS * 4096 + 1, 1.5, True, None, "4096"])
def test_a_limit_that_cookies_cannot_hold_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_bytes"):
        SessionCookie(CookiePolicy(), limit)


@pytest.mark.parametrize(
    ("max_bytes", "needs", "longest"),
    [(4096, 1, 4095), (4096, 43, 4053), (4096, 1000, 3096), (LIMIT, 2500, 3251), (1024, 2500, 512)],
)
def test_a_name_leaves_room_for_a_session(max_bytes: int, needs: int, longest: int) -> None:
    kept = SessionCookie(CookiePolicy(name="a" * longest), max_bytes, needs)
    value = "b" * min(needs, max_bytes // 2)
    assert kept.read(jar_of(value, kept).header()) == value.encode()
    with pytest.raises(ConfigurationError, match=r"^CookiePolicy.name: .* write a short one"):
        SessionCookie(CookiePolicy(name="a" * (longest + 1)), max_bytes, needs)


@pytest.mark.parametrize(
    ("kind", "longest"),
    [
        (TokenSession(), 3096),
        (StoredSession(MemoryStore()), 4053),
        (SealedSession(keys=[bytes(32)]), 3155),
        (SealedSession(keys=[bytes(32)], max_bytes=4096), 2048),
    ],
    ids=["token", "stored", "sealed", "sealed in one"],
)
def test_a_name_that_no_session_fits_beside_is_refused_at_construction(
    kind: Any, longest: int
) -> None:
    options: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}
    options["session"] = kind
    AmplifyConfig(**options, cookie=CookiePolicy(name="a" * longest))
    with pytest.raises(ConfigurationError, match=r"^CookiePolicy.name"):
        AmplifyConfig(**options, cookie=CookiePolicy(name="a" * (longest + 1)))


@pytest.mark.parametrize("value", ["abc", "a" * 9000])
@pytest.mark.parametrize(("max_age", "said"), [(None, "86400"), (60, "60")])
def test_every_cookie_has_the_policys_attributes(
    value: str, max_age: int | None, said: str
) -> None:
    expected = f"Max-Age={said}; Secure; HttpOnly; Path=/; SameSite=Strict"
    lines = [
        line
        for line in COOKIE.setting(NewCookie(value, max_age), None)
        if "Max-Age=0" not in line.value
    ]
    assert {line.value.partition("; ")[2] for line in lines} == {expected}


def test_a_chunk_is_cleared_with_the_policys_attributes() -> None:
    policy = CookiePolicy(domain="example.com", path="/app", partitioned=True, priority="High")
    lines = SessionCookie(policy, LIMIT).clearing(b"amplify-session.0=a")
    single, chunk = (line.value.partition("; ")[2] for line in lines)
    assert single == chunk == policy.clearing.partition("; ")[2]


def test_every_chunk_has_the_policys_priority() -> None:
    cookie = SessionCookie(CookiePolicy(priority="High"), LIMIT)
    lines = cookie.setting(NewCookie("a" * 9000), b"amplify-session=a")
    assert [line.value.rpartition("; ")[2] for line in lines] == ["Priority=High"] * 4


def test_only_the_characters_of_a_cookie_are_written() -> None:
    value = stretched(OCTETS, 9000)
    for line in COOKIE.setting(NewCookie(value), None):
        text = line.value.partition("; ")[0].partition("=")[2]
        assert re.fullmatch(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*", text)


# Whatever a client sends.


def reference(header: bytes, limit: int) -> object:
    """The rules of reading, as naively as can be."""
    found: dict[str, set[bytes]] = {}
    for pair in header.split(b";"):
        name, equals, value = pair.partition(b"=")
        member = re.fullmatch(rb"[ \t]*(amplify-session(\.[0-9])?)[ \t]*", name)
        if equals and member:
            found.setdefault(member[1].decode(), set()).add(value.strip(b" \t"))
    family = [found[NAME]] if NAME in found else list(found.values())
    if any(len(values) > 1 for values in family):
        return DUPLICATE
    if not found or any(b"," in value for values in family for value in values):
        return None
    if NAME in found:
        return found[NAME].pop()
    value = together(found, limit)
    is_joined = re.search(rb",[ \t]*amplify-session(\.[0-9])?[ \t]*=", header)
    return None if value is UNREADABLE and is_joined else value


def together(found: dict[str, set[bytes]], limit: int) -> bytes:
    if found.keys() != {f"{NAME}.{number}" for number in range(len(found))} or len(found) < 2:
        return UNREADABLE
    chunks = [found[f"{NAME}.{number}"].pop() for number in range(len(found))]
    mark = re.match(rb"%d.{8}" % (len(chunks) - 1), chunks[0], re.DOTALL)
    if mark is None or len(chunks) > limit or {chunk[:9] for chunk in chunks} != {mark[0]}:
        return UNREADABLE
    return b"".join(chunk[9:] for chunk in chunks)


PIECES = st.sampled_from(
    [
        *(b"amplify-session", b"amplify-session=", b".0", b".1", b".00", b".9", b"=", b";", b"; "),
        *(b"amplify-session.0=1abcdef01", b"amplify-session.1=1abcdef01", b"amplify-session.2=2"),
        *(b"; amplify-session.0=1abcdef01x", b"; amplify-session.1=1abcdef01y;", b"1abcdef01"),
        *(b" ", b"\t", b"a", b"\xa0", b'"', b"\x00", b"theme=dark", b",", b", "),
    ]
)
HEADERS = st.lists(st.one_of(PIECES, PIECES, st.binary(max_size=3)), max_size=14).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(HEADERS)
def test_any_header_reads_as_the_rules_say(header: bytes) -> None:
    assert COOKIE.read(header) == reference(header, 3)


CHUNKS = st.tuples(
    st.sampled_from([b".0", b".1", b".2", b".3", b"", b".10"]),
    st.sampled_from([b"1abcdef01", b"2abcdef01", b"3abcdef01", b"1abcdef02", b"1abc"]),
    st.binary(max_size=2).map(lambda text: text.translate(None, b";")),
).map(lambda parts: b"amplify-session%b=%b%b" % parts)


@settings(max_examples=300, deadline=None)
@given(st.lists(CHUNKS, max_size=5), st.sampled_from([b"; ", b";", b" ;\t", b"; a=b; "]))
def test_any_chunks_read_as_the_rules_say(chunks: list[bytes], joint: bytes) -> None:
    header = joint.join(chunks)
    assert COOKIE.read(header) == reference(header, 3)


@settings(deadline=None)
@given(HEADERS)
def test_clearing_leaves_nothing_of_ours_whatever_was_sent(header: bytes) -> None:
    cleared = {line.name.encode() for line in COOKIE.clearing(header)}
    left = b";".join(
        pair for pair in header.split(b";") if pair.partition(b"=")[0].strip(b" \t") not in cleared
    )
    assert COOKIE.read(left) is None


@pytest.mark.parametrize("form", [b"amplify-session.%d=a", b"amplify-session.%d"])
def test_a_hostile_number_of_chunks_is_read_and_cleared_in_linear_time(form: bytes) -> None:
    header = b";".join(form % number for number in range(100_000))
    assert COOKIE.read(header) in (UNREADABLE, None)
    assert len(COOKIE.clearing(header)) <= 1 + MAX_CHUNKS


def test_many_values_of_one_chunk_are_ambiguous() -> None:
    header = b";".join(b"amplify-session.0=%d" % number for number in range(100_000))
    assert COOKIE.read(header) is DUPLICATE
