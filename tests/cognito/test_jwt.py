"""Reading a segment's JSON: the same as by a plain reader that is stricter than it is quick."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amplify_mw.cognito.invalid import InvalidToken
from amplify_mw.cognito.jwt import parse_segment, parse_token
from amplify_mw.web import base64url

# --- the oracle: base64 and json of the standard library, and each rule as a check of its own

ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def plain_decode(text: bytes) -> bytes:
    if not ALPHABET.issuperset(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    content = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(content).rstrip(b"=") != text:
        raise ValueError("spare bits")
    return content


def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def plain_parse(segment: bytes) -> dict[str, Any] | None:
    try:
        text = plain_decode(segment).decode("utf-8", "strict").strip(" \t\r\n")
        value = json.loads(text, object_pairs_hook=no_doubles, parse_constant=no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parsed(segment: bytes) -> dict[str, Any] | None:
    try:
        return parse_segment(segment)
    except InvalidToken as error:
        if error.reason != "malformed_token" or not error.actual:
            raise
        return None


def same(one: object, other: object) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three values."""
    return one == other and repr(one) == repr(other)


# --- hostile bytes

PIECES = [
    *('{"a":1', '"a":1', '"a" : 2', ',"a":{"b":1,"b":2}', '"iss":"https:\\/\\/x"', '{"":0,"":1}'),
    *("{", "}", "[", "]", '"', ":", ",", " ", "\t", "\n", "\r", "\f", "\v", "\u00a0", "\ufeff"),
    *("\\u", "d800", "\\ud83d\\ude00", "\\udead", "\\\\u", "\\/", '\\"', "\\x", "\0", "\x1f", "é"),
    *("NaN", "-Infinity", "Infinity", "1e999", "-0", "01", "1.", "9" * 5000, "true", "nul", "null"),
    *("[" * 2000, "{}" * 3, '{"a":' * 2000, "/*", "#", "'"),
]
NAMES = st.sampled_from(["a", "b", "", ":", "a:", " ", '"', "iss", "\u00e9", "\ud800", "\\", "/"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), NAMES)


def spelled(value: Any, colon: str = ":", comma: str = ",") -> str:
    """JSON with members in pairs, so that a name may come twice."""
    if isinstance(value, tuple):
        inner = comma.join(f"{json.dumps(name)}{colon}{spelled(each)}" for name, each in value)
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + comma.join(spelled(each) for each in value) + "]"
    return json.dumps(value)


VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(NAMES, inner), max_size=4).map(tuple),
    ),
    max_leaves=12,
)
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(tuple)
SPACES = st.sampled_from(["", " ", "\n", "\t \r", "\x0b", "\ufeff"])
TEXTS = st.one_of(
    st.builds(
        lambda value, before, after, colon: before + spelled(value, colon) + after,
        OBJECTS,
        SPACES,
        SPACES,
        st.sampled_from([":", " :", ": ", "\n:\t"]),
    ),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.text(max_size=20),
)
CONTENTS = st.one_of(
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    TEXTS.map(lambda text: text.encode("utf-16", "surrogatepass")),
    st.binary(max_size=30),
)


@given(CONTENTS)
@example(b"")
@example(b'{"a":{"b":1,"c":[{"d":1,"d":1}]}}')
@example(b'{"a":"\\ud83d"}')
@example(b'{"\\udead":1}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":1}{"a":1}')
@example(b'\xef\xbb\xbf{"a":1}')
@example(b'{"a":1}\0')
@example(b'{"a":' + b"9" * 5000 + b"}")
@example(b'{"a":' + b"[" * 100_000)
@example(b'{"a":NaN}')
@example(b'{"a":"\\\\ud800"}')
def test_any_content_reads_as_by_the_plain_reader(content: bytes) -> None:
    segment = base64url.encode(content)
    assert same(parsed(segment), plain_parse(segment))


@given(
    st.one_of(st.binary(max_size=24), st.text("AQgwB-_+/= \n\u00e9", max_size=9).map(str.encode))
)
@example(b"e30=")
@example(b"e31")
@example(b"e3")
@example(b"e30==")
@example(b"e30A=")
@example(b"eyJhIjoiPz8_In0=")
@example(b"eyJhIjoiPz8/In0")
def test_any_spelling_decodes_as_by_the_plain_reader(text: bytes) -> None:
    def decoded(decode: Callable[[bytes], bytes]) -> bytes | None:
        try:
            return decode(text)
        except ValueError:
            return None

    assert decoded(base64url.decode) == decoded(plain_decode)
    assert same(parsed(text), plain_parse(text))


@given(st.binary(max_size=64), st.binary(max_size=3))
def test_only_one_spelling_decodes_to_a_content(content: bytes, change: bytes) -> None:
    text = base64url.encode(content)
    assert base64url.decode(text) == content
    if change and ALPHABET.issuperset(change):
        changed = text + change
        with suppress(ValueError):
            assert base64url.encode(base64url.decode(changed)) == changed


@pytest.mark.parametrize("at", range(3))
def test_a_token_is_read_in_three_parts(at: int) -> None:
    parts = [b"eyJhbGciOiJSUzI1NiJ9", b"eyJhIjoxfQ", b"AAAA"]
    assert parse_token(b".".join(parts)) == (
        *({"alg": "RS256"}, {"a": 1}),
        *(b"eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ", b"\0\0\0"),
    )
    parts[at] = b"!"
    with pytest.raises(InvalidToken):
        parse_token(b".".join(parts))
