"""What an `Authorization` header says, whatever its bytes."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.web.authorization import MALFORMED, MAX_SENT, bearer_token, challenge

TOKEN68 = string.ascii_letters + string.digits + "-._~+/"
CASES = ["Bearer", "bearer", "BEARER", "bEaReR"]
tokens = st.builds(
    lambda text, end: (text + end).encode(),
    st.text(TOKEN68, min_size=1, max_size=300),
    st.text("=", max_size=3),
)


@given(tokens, st.sampled_from(CASES), st.integers(1, 20))
def test_a_token_is_read_in_any_case_and_behind_any_spaces(
    token: bytes, scheme: str, spaces: int
) -> None:
    assert bearer_token(scheme.encode() + b" " * spaces + token) == token


@pytest.mark.parametrize("around", [b" ", b"\t", b" \t "])
def test_blanks_around_the_value_do_not_count(around: bytes) -> None:
    assert bearer_token(around + b"Bearer a.b.c" + around) == b"a.b.c"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b",",
        b"Bearer",
        b"Bearer ",
        b"bearer\ttoken",
        b"Bearer \ttoken",
        b"Bearer a b",
        b"Bearer a,b",
        b"Bearer a, Bearer b",
        b"Bearer a,Bearer a",
        b"Bearer a, Basic YTpi",
        b"Basic YTpi, Bearer a",
        b"Basic YTpi,bearer a",
        b"Bearer,",
        b"Bearer=a",
        b"Bearer a=b",
        b"Bearer =",
        b'Bearer token="a"',
        b"Bearer caf\xc3\xa9",
        b"Bearer a\x00",
        b"Bearer a\r\nX: y",
        b'"Bearer a"',
        b"Bearer " + b"a" * (MAX_SENT + 1),
        b"Bearer " + b"a" * 100_000,
        b"Bearer" + b" " * 100_000,
    ],
)
def test_anything_else_of_the_scheme_is_malformed(value: bytes) -> None:
    assert bearer_token(value) is MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        b"Basic YTpi",
        b"Basic",
        b'Digest username="ada, bearers", realm="x"',
        b"Negotiate abc==",
        b"Bearertoken",
        b"Bearer-like abc",
        b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
        b"DPoP a.b.c",
        b"Basic bearer",
    ],
)
def test_another_scheme_is_not_ours(value: bytes) -> None:
    assert bearer_token(value) is None


def test_the_longest_token_is_read() -> None:
    assert bearer_token(b"Bearer " + b"a" * MAX_SENT) == b"a" * MAX_SENT


@given(st.binary(max_size=400))
def test_any_bytes_are_a_token_or_malformed_or_not_ours(value: bytes) -> None:
    found = bearer_token(value)
    assert found in (None, MALFORMED) or found in value


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_of_two_headers_none_is_ever_chosen(one: bytes, other: bytes) -> None:
    for first, second in ((b"Bearer " + one, other), (other, b"Bearer " + one)):
        joined = first + b", " + second
        assert bearer_token(joined) in (None, MALFORMED)


@given(tokens, tokens)
def test_two_tokens_are_malformed(one: bytes, other: bytes) -> None:
    assert bearer_token(b"Bearer " + one + b"," + b"bearer " + other) is MALFORMED


@given(st.text("abcBEARer ,\t=\"'Basic", max_size=80))
def test_a_header_that_is_not_ours_holds_no_bearer_of_its_own(text: str) -> None:
    value = text.encode()
    if bearer_token(value) is None:
        first = text.strip(" \t")
        assert not first.lower().startswith(("bearer ", "bearer,", "bearer\t"))
        assert first.lower() != "bearer"


def test_a_challenge_always_has_a_parameter() -> None:
    assert challenge() == 'Bearer realm="api"'
    assert challenge("invalid_token") == 'Bearer realm="api", error="invalid_token"'


@pytest.mark.parametrize("scope", ['a"b', "a\\b", "a b", "a\r\nX: y", "é"])
def test_a_scope_that_cannot_be_written_is_left_out(scope: str) -> None:
    said = challenge("insufficient_scope", [scope, "orders/read"])
    assert said == 'Bearer realm="api", error="insufficient_scope", scope="orders/read"'
