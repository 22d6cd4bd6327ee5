"""RSA keys and RS256, held against joserfc: both import the same keys, and know one signature."""

import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import assume, given
from hypothesis import strategies as st
from joserfc import jwk
from joserfc.errors import SecurityWarning
from joserfc.jws import JWSRegistry

from amplify_mw.cognito.rsa import RSAKey, import_key
from amplify_mw.web import base64url

PRIVATE = jwk.RSAKey.generate_key(2048, auto_kid=True)
JWK: dict[str, Any] = PRIVATE.as_dict(private=False)
KEY = import_key(JWK)
RS256 = JWSRegistry.algorithms["RS256"]


def ours(jwk_: dict[str, Any]) -> RSAPublicNumbers | None:
    try:
        return import_key(jwk_).numbers
    except ValueError:
        return None


def joserfcs(jwk_: dict[str, Any]) -> RSAPublicNumbers | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of short keys, which `keys` refuses
            key = jwk.RSAKey.import_key({"kty": "RSA", "n": jwk_["n"], "e": jwk_["e"]})
        return key.public_key.public_numbers()
    except Exception:  # noqa: BLE001  # it raises many kinds
        return None


def spelled(number: int, leading_zeros: int = 0) -> str:
    length = (number.bit_length() + 7) // 8 + leading_zeros
    return base64url.encode(number.to_bytes(length)).decode()


numbers = st.builds(spelled, st.integers(0, 2**80), st.integers(0, 2))
exponents = st.one_of(
    numbers, st.builds(spelled, st.sampled_from([0, 1, 2, 3, 4, 65537, 65538, 2**2048]))
)
moduli = st.one_of(
    numbers,
    st.just(JWK["n"]),
    st.builds(spelled, st.integers(2**2046, 2**2049), st.integers(0, 2)),
    st.builds(spelled, st.integers(2**1023, 2**1025)),
)
odd_text = st.one_of(
    st.text("AQgwBCD-_+/=. \n", max_size=12),
    st.text(max_size=6),
    st.builds("".join, st.tuples(st.sampled_from(["AQAB", JWK["n"]]), st.text(max_size=3))),
)
odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text()), st.binary()
)


@given(st.one_of(moduli, odd_text, odd_values), st.one_of(exponents, odd_text, odd_values))
def test_the_keys_that_joserfc_imports_are_imported_and_no_others(n: object, e: object) -> None:
    # (joserfc takes bytes for text. JSON has none.)
    assume(not isinstance(n, bytes) and not isinstance(e, bytes))
    assert ours({"n": n, "e": e}) == joserfcs({"n": n, "e": e})


@pytest.mark.parametrize("e", ["AQAB", "Aw", "AAEAAQ"])
def test_usual_exponents_are_imported(e: str) -> None:
    key = ours({**JWK, "e": e})
    assert key is not None
    assert key == joserfcs({**JWK, "e": e})


@pytest.mark.parametrize("e", ["AA", "AQ", "Ag", "BA", "AQAB=", "AQAC", "AR", "A", ""])
def test_exponents_that_make_no_key_or_are_spelled_in_two_ways_are_refused(e: str) -> None:
    assert ours({**JWK, "e": e}) is None
    assert joserfcs({**JWK, "e": e}) is None


def test_the_public_half_alone_is_read() -> None:
    assert import_key(PRIVATE.as_dict(private=True)) == KEY
    assert import_key({**JWK, "d": "!", "key_ops": ["encrypt"], "x5c": [7]}) == KEY


@given(st.binary(max_size=100))
def test_a_signature_of_joserfcs_is_good(content: bytes) -> None:
    assert KEY.has_signed(content, RS256.sign(content, PRIVATE))


@given(st.binary(max_size=100), st.integers(0, 8 * 256 - 1))
def test_one_flipped_bit_makes_it_bad(content: bytes, bit: int) -> None:
    signature = bytearray(RS256.sign(content, PRIVATE))
    signature[bit // 8] ^= 1 << bit % 8
    assert not KEY.has_signed(content, bytes(signature))
    assert not RS256.verify(content, bytes(signature), PRIVATE)


@given(st.binary(max_size=600))
def test_any_other_bytes_are_no_signature(signature: bytes) -> None:
    assert not KEY.has_signed(b"content", signature)
    assert not RS256.verify(b"content", signature, PRIVATE)


def test_a_signature_counts_for_its_own_content_alone() -> None:
    signature = PRIVATE.private_key.sign(b"content", PKCS1v15(), SHA256())
    assert KEY.has_signed(b"content", signature)
    assert not KEY.has_signed(b"content ", signature)
    assert not KEY.has_signed(b"content", b"\0" + signature)


def test_keys_are_equal_if_their_numbers_are() -> None:
    again, other = import_key(dict(JWK)), import_key({**JWK, "e": "Aw"})
    assert (again, hash(again)) == (KEY, hash(KEY))
    assert len({KEY, again, other}) == 2
    assert KEY != JWK
    assert isinstance(KEY, RSAKey)


def test_no_key_is_shown() -> None:
    assert repr(KEY) == "<RSAKey of 2048 bits>"
