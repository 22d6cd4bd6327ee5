"""Reading our cookie out of whatever bytes a client calls a `Cookie` header."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw.web.cookie_policy import CookiePolicy
from amplify_mw.web.cookies import DUPLICATE, CookieReader, Duplicate, SessionCookie

NAME = b"amplify-session"
SIZE = 1_000_000  # bytes: a quadratic reader would need 10^12 steps and not come back

# Bytes in which the name, what looks like it, and all that could delimit it occur often.
PIECES = st.sampled_from(
    [
        *(
            NAME,
            NAME[:-1],
            NAME[1:],
            NAME.upper(),
            b"=",
            b";",
            b"; ",
            b" ",
            b"\t",
            b'"',
            b"%3D",
            b",",
        ),
        *(b"a", b"b", b"\x00", b"\r\n", b"\xa0", b"\x85", b"\\", b"__Host-", b"\x0b", b"\x0c"),
    ]
)
HEADERS = st.lists(st.one_of(PIECES, PIECES, st.binary(max_size=3)), max_size=14).map(b"".join)


def read_cookie(header: bytes, name: bytes) -> bytes | Duplicate | None:
    return CookieReader(name).read(header)


def reference(header: bytes, name: bytes) -> object:
    """The rules, written down as naively as can be, byte by byte."""
    values = []
    for pair in header.split(b";"):
        where = pair.find(b"=")
        if where >= 0 and trimmed(pair[:where]) == name:
            values.append(trimmed(pair[where + 1 :]))
    if not values:
        return None
    if any(value != values[0] for value in values):
        return DUPLICATE
    return None if b"," in values[0] else values[0]


def trimmed(text: bytes) -> bytes:
    while text and text[0] in (0x20, 0x09):
        text = text[1:]
    while text and text[-1] in (0x20, 0x09):
        text = text[:-1]
    return text


@settings(max_examples=300, deadline=None)
@given(HEADERS)
def test_any_header_reads_as_the_rules_say(header: bytes) -> None:
    assert read_cookie(header, NAME) == reference(header, NAME)


@pytest.mark.parametrize("max_bytes", [4096, 12_288])
@settings(deadline=None)
@given(header=HEADERS)
def test_a_sessions_cookie_that_is_no_chunk_reads_alike(max_bytes: int, header: bytes) -> None:
    cookie = SessionCookie(CookiePolicy(), max_bytes)
    assert cookie.read(header) == reference(header, NAME)


@settings(deadline=None)
@given(HEADERS, st.binary(min_size=1, max_size=3))
def test_any_name_reads_as_the_rules_say(header: bytes, name: bytes) -> None:
    # A name of the header's own alphabet, which may overlap itself ("aa" in "aaa=").
    name = name.translate(None, b"=; \t") or b"aa"
    header = header.replace(NAME, name)
    assert read_cookie(header, name) == reference(header, name)


@settings(deadline=None)
@given(before=HEADERS, value=st.binary(max_size=40), after=HEADERS)
def test_bytes_around_the_cookie_change_nothing(before: bytes, value: bytes, after: bytes) -> None:
    before, after = before.replace(NAME, b"theme"), after.replace(NAME, b"theme")
    value = value.translate(None, b";,").strip(b" \t")
    header = b"%b; %b=%b; %b" % (before, NAME, value, after)
    assert read_cookie(header, NAME) == value


@pytest.mark.parametrize(
    "header",
    [
        b"amplify-session=abc",
        b"amplify-session=abc; theme=dark",
        b"theme=dark; amplify-session=abc",
        b"theme=dark;amplify-session=abc",
        b"theme=dark;\t amplify-session\t = \tabc \t;",
        b" amplify-session=abc",
        b";;; ;amplify-session=abc;;",
        b"xamplify-session=1; amplify-session=abc; amplify-session-2=2",
    ],
)
def test_the_cookie_is_found(header: bytes) -> None:
    assert read_cookie(header, NAME) == b"abc"


@pytest.mark.parametrize(
    "pair",
    [
        b"xamplify-session=stolen",
        b"amplify-session-2=stolen",
        b"amplify-session2=stolen",
        b"amplify-sessio=stolen",
        b"\xa0amplify-session=stolen",
        b"amplify-session\xa0=stolen",
        b"\x85amplify-session=stolen",
        b"\x0bamplify-session=stolen",
        b"\x0camplify-session=stolen",
        b"\x00amplify-session=stolen",
        b"\namplify-session=stolen",
        b"\r\namplify-session=stolen",
        b"amplify-session\x00=stolen",
        b"Amplify-Session=stolen",
        b"AMPLIFY-SESSION=stolen",
        b'"amplify-session"=stolen',
        b"amplify%2Dsession=stolen",
        b"amplify-session%3Dstolen",
        b"amplify session=stolen",
        b"x amplify-session=stolen",
        b"theme=dark amplify-session=stolen",
        b"theme=dark, amplify-session=stolen",
        b"amplify_session=stolen",
        b"__Host-amplify-session=stolen",
        b"$amplify-session=stolen",
        b"=amplify-session=stolen",
        b"theme=amplify-session=stolen",
        b"amplify-session: stolen",
    ],
)
@pytest.mark.parametrize("frame", [b"%b", b"a=b; %b", b"%b; a=b", b"a=b;%b;c=d"])
def test_a_look_alike_is_never_taken(pair: bytes, frame: bytes) -> None:
    assert read_cookie(frame % pair, NAME) is None


@pytest.mark.parametrize("header", [b"", b";", b"=", b"amplify-session", b"a; amplify-session; b"])
def test_without_name_and_equals_sign_there_is_no_cookie(header: bytes) -> None:
    assert read_cookie(header, NAME) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"=",
        b"a=b=c",
        b'"quoted"',
        b'"',
        b"%41%3B",
        b"a b",
        b"\xa0abc\xa0",
        b"\x00abc\x00",
        b"\x0babc\x0c",
        b"abc\r\n",
        b"\\073",
        b"caf\xc3\xa9",
        b"\xff\xfe",
        b"amplify-session",
        b"amplify-session=",
    ],
)
@pytest.mark.parametrize("frame", [b"a=b; amplify-session=%b; c=d", b"a=b;amplify-session =%b;c=d"])
def test_a_value_is_taken_byte_for_byte(value: bytes, frame: bytes) -> None:
    assert read_cookie(frame % value, NAME) == value


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t \t"])
def test_only_spaces_and_tabs_around_a_value_are_trimmed(blanks: bytes) -> None:
    header = b"amplify-session=" + blanks + b"\xa0a b" + blanks
    assert read_cookie(header, NAME) == b"\xa0a b"


def test_an_empty_value_is_not_an_absent_cookie() -> None:
    assert read_cookie(b"amplify-session=; a=b", NAME) == b""


@pytest.mark.parametrize("joint", [b"; ", b";", b"; theme=dark; "])
def test_the_same_cookie_twice_is_one(joint: bytes) -> None:
    assert read_cookie(joint.join([b"amplify-session=abc"] * 3), NAME) == b"abc"


@pytest.mark.parametrize("second", [b"abd", b"", b"ABC", b'"abc"', b"abc\x00", b"abc=", b"%61bc"])
@pytest.mark.parametrize("joint", [b"; ", b";", b"; theme=dark; "])
def test_two_values_are_ambiguous_in_either_order(second: bytes, joint: bytes) -> None:
    one, two = b"amplify-session=abc", b"amplify-session=" + second
    assert read_cookie(one + joint + two, NAME) is DUPLICATE
    assert read_cookie(two + joint + one, NAME) is DUPLICATE


def test_a_look_alike_beside_the_cookie_makes_no_duplicate() -> None:
    header = b"amplify-session=abc; Amplify-Session=x; xamplify-session=y; z=amplify-session=w"
    assert read_cookie(header, NAME) == b"abc"


@pytest.mark.parametrize("joint", [b",", b", "])
@pytest.mark.parametrize("after", [b"", b"; a=b", b" ; amplify-session-2=x"])
def test_fields_joined_with_a_comma_give_no_user(joint: bytes, after: bytes) -> None:
    # Some servers and adapters join repeated Cookie fields so: the value then holds a comma, which
    # no session's does, or the second cookie is part of another's value.
    for first in (b"amplify-session=mine", b"theme=dark"):
        for second in (b"amplify-session=theirs", b"lang=de"):
            assert read_cookie(first + joint + second + after, NAME) is None


@pytest.mark.parametrize(
    "unit",
    [
        NAME,
        NAME + b"=",
        NAME + b";",
        NAME + b"=a;",
        b"; " + NAME,
        b";",
        b"=",
        b" ",
        b"\t;",
        b"a=b; ",
        b"\\",
        b'"',
        b"\xff",
        NAME[:-1],
        b"amplify-sessioa",
        b"a" + NAME + b"=",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(unit: bytes) -> None:
    hostile = unit * (SIZE // len(unit))
    assert read_cookie(hostile + b"; amplify-session=a", NAME) in (b"a", DUPLICATE)
    assert read_cookie(b"amplify-session=a; " + hostile, NAME) in (b"a", DUPLICATE)
    read_cookie(hostile, NAME)


def test_many_different_cookies_of_our_name_are_ambiguous() -> None:
    header = b";".join(b"amplify-session=%d" % number for number in range(100_000))
    assert read_cookie(header, NAME) is DUPLICATE
