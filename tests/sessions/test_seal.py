"""What is sealed opens with its own keys, for its own cookie and client, and else not at all."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey

from amplify_mw import ConfigurationError
from amplify_mw.sessions.seal import MAX_SEALED, Seal, key_text, parse_key
from amplify_mw.web import base64url

NAME, CLIENT = "amplify-session", "client-1"
KEY, OLD_KEY, FOREIGN_KEY = (hashlib.sha256(word).digest() for word in (b"new", b"old", b"foreign"))
IV = bytes(range(12))
PLAIN = b"what a session is made of"


def a_seal(*keys: bytes, name: str = NAME, clients: set[str] | None = None) -> Seal:
    return Seal(keys or (KEY,), name, frozenset(clients or {CLIENT}))


SEAL = a_seal()
VALUE = SEAL.seal(PLAIN, CLIENT, IV)


# What opens.


@given(st.binary(max_size=3000), st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens(plain, iv):
    assert SEAL.open(SEAL.seal(plain, CLIENT, iv)) == (plain, CLIENT)


def test_each_client_is_told_by_what_opens():
    seal = a_seal(clients={"a", "b"})
    assert [seal.open(seal.seal(PLAIN, client, IV)) for client in "ab"] == [
        (PLAIN, "a"),
        (PLAIN, "b"),
    ]


def test_one_seal_serves_any_client_where_none_is_configured():
    seal = Seal([KEY], NAME, None)
    assert seal.open(seal.seal(PLAIN, "whoever", IV)) == (PLAIN, None)


def test_a_value_is_one_that_a_cookie_can_hold():
    assert VALUE.replace(b"-", b"").replace(b"_", b"").replace(b".", b"").isalnum()
    assert (
        len(VALUE) == 62 + len("..") + 16 + len(".") + len(base64url.encode(PLAIN)) + len(".") + 22
    )


def test_the_newest_key_seals():
    value = a_seal(KEY, OLD_KEY).seal(PLAIN, CLIENT, IV)
    assert a_seal(KEY).open(value) == (PLAIN, CLIENT)
    assert a_seal(OLD_KEY).open(value) is None


def test_an_older_key_opens_until_it_is_dropped():
    value = a_seal(OLD_KEY).seal(PLAIN, CLIENT, IV)
    assert a_seal(KEY, OLD_KEY).open(value) == (PLAIN, CLIENT)
    assert a_seal(KEY).open(value) is None


def test_a_key_that_is_listed_twice_does_no_harm():
    assert a_seal(KEY, OLD_KEY, KEY).open(VALUE) == (PLAIN, CLIENT)


# The format is JWE, and its keys are derived as it is written here.


def derived(label: bytes, client: str = CLIENT) -> bytes:
    content = label + b"\0" + NAME.encode() + b"\0" + client.encode()
    return hmac.digest(KEY, content, "sha256")


CONTENT_KEY = derived(b"amplify_mw sealed session v1")
HEADER = {
    "alg": "dir",
    "enc": "A256GCM",
    "kid": base64url.encode(derived(b"amplify_mw sealed session v1 kid")[:6]).decode(),
}


def by_joserfc(header: dict[str, Any], plain: bytes = PLAIN) -> bytes:
    return jwe.encrypt_compact(header, plain, OctKey.import_key(CONTENT_KEY)).encode()


def test_joserfc_opens_what_is_sealed():
    opened = jwe.decrypt_compact(VALUE, OctKey.import_key(CONTENT_KEY))
    assert (opened.plaintext, opened.protected) == (PLAIN, HEADER)


def test_what_joserfc_seals_opens():
    assert SEAL.open(by_joserfc(HEADER)) == (PLAIN, CLIENT)


@pytest.mark.parametrize(
    "header",
    [
        dict(reversed(HEADER.items())),
        {**HEADER, "typ": "JWT"},
        {**HEADER, "zip": "DEF"},
        {**HEADER, "kid": "AAAAAAAA"},
        {"alg": "dir", "enc": "A256GCM"},
    ],
    ids=lambda header: "-".join(header),
)
def test_another_header_is_refused_even_under_the_right_key(header):
    assert SEAL.open(by_joserfc(header)) is None


def test_another_encryption_is_refused_even_under_the_right_key():
    assert SEAL.open(by_joserfc({**HEADER, "enc": "A128CBC-HS256"})) is None


def test_an_encrypted_key_is_refused():
    header, _, rest = VALUE.partition(b"..")
    assert SEAL.open(header + b".AAAA." + rest) is None


# Whatever is wrong, there is one answer.


def test_every_one_bit_change_is_refused():
    for at in range(len(VALUE)):
        for bit in range(8):
            changed = bytearray(VALUE)
            changed[at] ^= 1 << bit
            assert SEAL.open(bytes(changed)) is None


def test_every_truncation_is_refused():
    cut = [VALUE[:size] for size in range(len(VALUE))] + [VALUE[at:] for at in range(1, len(VALUE))]
    assert {SEAL.open(value) for value in cut} == {None}


def test_every_transposition_of_two_neighbours_is_refused():
    swapped = {
        VALUE[:at] + VALUE[at : at + 2][::-1] + VALUE[at + 2 :] for at in range(len(VALUE) - 1)
    }
    assert {SEAL.open(value) for value in swapped - {VALUE}} == {None}


@pytest.mark.parametrize("at", range(5))
def test_a_segment_of_another_value_is_refused(at):
    other = a_seal().seal(PLAIN[::-1], CLIENT, IV[::-1]).split(b".")
    mixed = VALUE.split(b".")
    mixed[at] = other[at]
    is_same = at < 2  # one header, and no encrypted key
    assert (SEAL.open(b".".join(mixed)) is None) is not is_same


@pytest.mark.parametrize("more", [b"=", b"==", b".", b" ", b"\n", b"\0", b"A", b".AAAA", b"\xff"])
def test_nothing_may_stand_around_a_value(more):
    assert SEAL.open(VALUE + more) is None
    assert SEAL.open(more + VALUE) is None


ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("size", [1, 2, 4, 5])  # with spare bits at the text's end
def test_a_value_has_one_spelling(size):
    value = SEAL.seal(PLAIN[:size], CLIENT, IV)
    for at in (-1, value.rindex(b".") - 1):  # the last characters of tag and text
        others = [bytearray(value) for _ in ALPHABET]
        for other, character in zip(others, ALPHABET, strict=True):
            other[at] = character
        assert [bytes(other) for other in others if SEAL.open(bytes(other))] == [value]


@pytest.mark.parametrize("moved", [-12, -3, 3])
def test_text_and_tag_are_parted_in_one_place_only(moved):
    header, text, tag = VALUE.rsplit(b".", 2)
    both = base64url.decode(text) + base64url.decode(tag)
    parted = [base64url.encode(part) for part in (both[: moved - 16], both[moved - 16 :])]
    assert SEAL.open(b".".join([header, *parted])) is None


@pytest.mark.parametrize(
    "stranger",
    [
        a_seal(FOREIGN_KEY),
        a_seal(name="__Host-amplify-session"),
        a_seal(name="amplify-sessio", clients={"n" + CLIENT}),
        a_seal(clients={"client-2"}),
        Seal([KEY], NAME, None),
    ],
    ids=["key", "cookie name", "name and client cut elsewhere", "client", "any client"],
)
def test_what_is_foreign_is_refused(stranger):
    assert stranger.open(VALUE) is None


def test_a_foreign_client_is_refused_under_a_kid_that_is_known():
    both = a_seal(clients={CLIENT, "client-2"})
    own, other = (both.seal(PLAIN, client, IV).split(b".") for client in (CLIENT, "client-2"))
    assert both.open(b".".join([own[0], *other[1:]])) is None


@given(st.binary(max_size=300))
def test_bytes_are_refused(noise):
    assert SEAL.open(noise) is None


TEXT = st.text(ALPHABET.decode() + ".=+/ \n\0\xe9", max_size=60).map(str.encode)


@given(st.lists(TEXT | st.binary(max_size=30), min_size=1, max_size=5))
def test_bytes_behind_the_right_header_are_refused(segments):
    header = VALUE.partition(b".")[0]
    assert SEAL.open(b".".join([header, *segments])) is None


@pytest.mark.parametrize("noise", [b"", b"....", b"." * MAX_SEALED, b"A" * 10_000_000])
def test_dots_and_lengths_are_refused(noise):
    assert SEAL.open(noise) is None


def test_what_is_too_large_is_refused_under_the_right_key():
    assert SEAL.open(by_joserfc(HEADER, bytes(49_000))) == (bytes(49_000), CLIENT)
    assert SEAL.open(by_joserfc(HEADER, bytes(49_152))) is None


def test_what_is_too_large_to_be_opened_is_not_sealed():
    with pytest.raises(ValueError, match="too large"):
        SEAL.seal(bytes(MAX_SEALED), CLIENT, IV)


def test_a_client_that_is_not_configured_has_no_seal():
    with pytest.raises(KeyError):
        SEAL.seal(PLAIN, "client-2", IV)


@pytest.mark.parametrize("size", [0, 11, 13])
def test_an_iv_of_another_length_is_refused(size):
    with pytest.raises(ValueError, match="12 bytes"):
        SEAL.seal(PLAIN, CLIENT, bytes(size))


# Keys.


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_is_written(raw):
    text = key_text(raw)
    spellings = [raw, text, text + "=", f"{text}\n", text.encode()]
    assert [parse_key(key) for key in spellings] == [raw] * 5


TEXT_OF_KEY = key_text(KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        b"",
        TEXT_OF_KEY[:-1],
        TEXT_OF_KEY + "==",
        TEXT_OF_KEY + "A",
        "/" + TEXT_OF_KEY[1:],
        "\xe9" + TEXT_OF_KEY[1:],
        "A" * 42 + "B",
        "0123456789abcdef" * 2,
        KEY.hex(),
        KEY[1:],
        KEY + b"\0",
        32,
        None,
        [KEY],
    ],
)
def test_what_is_no_key_is_a_mistake_in_the_configuration(wrong):
    with pytest.raises(ConfigurationError, match="amplify-mw keygen"):
        parse_key(wrong)


def test_a_refused_key_is_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        parse_key(TEXT_OF_KEY[:-1] + "!")
    assert TEXT_OF_KEY[:8] not in f"{caught.value!r} {caught.value.__context__!r}"


def test_no_repr_shows_a_key():
    shown = f"{SEAL!r} {vars(SEAL)!r}"
    keys = [KEY, CONTENT_KEY]
    spelled = [text for key in keys for text in (repr(key)[2:-1], key.hex(), key_text(key))]
    assert [text for text in spelled if text in shown] == []


# Base64url.


@given(st.binary(max_size=100))
def test_base64url_is_read_as_it_is_written(content):
    assert base64url.decode(base64url.encode(content)) == content


@given(st.binary(max_size=12) | TEXT)
def test_base64url_has_one_spelling(text):
    try:
        content = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(content) == text


# --- values of another key


def test_a_value_of_another_key_can_be_told_from_junk() -> None:
    here, there = (Seal([bytes([number]) * 32], "sid", None) for number in (1, 2))
    value = there.seal(b"secret", "", bytes(12))
    assert here.open(value) is None
    assert here.is_of_another_key(value)
    assert not there.is_of_another_key(value)
    assert not there.is_of_another_key(value[:-1] + b"B")  # its own, but broken


@given(st.binary(max_size=300))
def test_any_bytes_are_of_no_other_key(junk: bytes) -> None:
    here = Seal([bytes(32)], "sid", None)
    assert not here.is_of_another_key(junk)
    assert not here.is_of_another_key(b"....".join([junk, junk]))
