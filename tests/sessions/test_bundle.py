"""What a session holds, in few bytes and restored to the last one."""

import json
import os
import random
import tracemalloc
import zlib
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw.sessions import bundle as bundles
from amplify_mw.sessions.bundle import MAX_PACKED, MAX_TOKENS, MAX_TURN, Bundle, pack, unpack
from amplify_mw.sessions.seal import Seal
from amplify_mw.testing import LocalUserPool
from amplify_mw.web import base64url

JWE_HEADER = {"cty": "JWT", "enc": "A256GCM", "alg": "RSA-OAEP"}


def encode(*segments: bytes) -> bytes:
    return b".".join(base64url.encode(segment) for segment in segments)


def bundle(
    id_token: bytes = b"..", access_token: bytes = b"..", refresh_token: bytes | None = None
) -> Bundle:
    return Bundle(
        b"s" * 16, 3, 1_790_000_000.0, 1_790_000_300.0, id_token, access_token, refresh_token
    )


# Tokens of the sizes that were seen in the wild: 1,745 + 1,077 + 1,852 characters.


class Wild:
    """Makes tokens as Cognito does, slashes escaped, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids = [self.uuid() for _ in range(3)]

    def uuid(self) -> str:
        return str(UUID(bytes=self.random.randbytes(16), version=4))

    def words(self, size: int) -> str:
        words = ["the", "engine", "of", "customer", "number", "Berlin", "account", "premium"]
        return " ".join(self.random.choices(words, k=size))[:size]

    def uuids(self, size: int) -> str:
        return ",".join(self.uuid() for _ in range(size // 36 + 1))[:size]

    def noise(self, size: int) -> str:
        return base64url.encode(self.random.randbytes(size)).decode()[:size]

    def token(self, claims: Callable[[str], dict[str, object]], padding: str, size: int) -> bytes:
        """A token of `size` characters: one of its claims is as long as that takes."""
        kid = self.noise(43)
        header = b'{"kid":"%b=","alg":"RS256"}' % kid.encode()
        room = (size - len(encode(header, b"", bytes(256)))) * 3 // 4
        make = getattr(self, padding)
        text = make(room - len(self.text(claims(""))))
        return encode(header, self.text(claims(text)), self.random.randbytes(256))

    def text(self, claims: dict[str, object]) -> bytes:
        return json.dumps(claims, separators=(",", ":")).replace("/", "\\/").encode()

    def common(self) -> dict[str, object]:
        issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Xy7PqLm2A"
        return {"sub": self.ids[0], "iss": issuer}

    def times(self, use: str) -> dict[str, object]:
        times = {"auth_time": 1_790_000_000, "exp": 1_790_003_600, "iat": 1_790_000_000}
        return {"event_id": self.ids[2], "token_use": use, **times, "jti": self.ids[1]}

    def id_claims(self, text: str) -> dict[str, object]:
        return {
            **self.common(),
            "cognito:groups": ["admins", "editors"],
            "email_verified": True,
            "cognito:username": self.ids[0],
            "given_name": "Ada",
            "family_name": "Lovelace",
            "phone_number": "+4915112345678",
            "custom:tenant": "7c1f2d",
            "custom:note": text,
            "origin_jti": self.ids[1],
            "aud": "3hk8f0q2m7c5v1t9b6x4z0r8yd",
            **self.times("id"),
            "email": "ada.lovelace@example.com",
        }

    def access_claims(self, text: str) -> dict[str, object]:
        return {
            **self.common(),
            "client_id": "3hk8f0q2m7c5v1t9b6x4z0r8yd",
            "origin_jti": self.ids[1],
            **self.times("access"),
            "scope": "aws.cognito.signin.user.admin" + text,
            "username": self.ids[0],
        }

    def refresh_token(self, size: int) -> bytes:
        header = json.dumps(JWE_HEADER, separators=(",", ":")).encode()
        rest = [self.random.randbytes(count) for count in (256, 12, 16)]
        room = size - len(encode(header, *rest)) - 1
        text = self.noise(room)
        return b".".join([encode(header, *rest[:2]), text.encode()[:-1] + b"A", encode(rest[2])])

    def bundle(self, padding: str = "words") -> Bundle:
        return bundle(
            self.token(self.id_claims, padding, 1745),
            self.token(self.access_claims, "noise", 1077),
            self.refresh_token(1852),
        )


@pytest.fixture(scope="module")
def wild() -> Bundle:
    return Wild(1).bundle()


@pytest.fixture(scope="module")
def packed(wild: Bundle) -> bytes:
    return pack(wild)


def test_the_examples_have_the_sizes_seen_in_the_wild(wild):
    assert [len(token) for token in wild[-3:]] == [1745, 1077, 1852]


@pytest.mark.parametrize("padding", ["words", "uuids", "noise"])
def test_tokens_of_4700_bytes_are_restored_to_the_last_one(padding):
    example = Wild(2).bundle(padding)
    assert unpack(pack(example)) == example


@pytest.mark.parametrize("name", ["amplify-session", "__Host-amplify-session"])
@pytest.mark.parametrize(("padding", "most"), [("words", 3450), ("uuids", 3550), ("noise", 3700)])
def test_tokens_of_4700_bytes_fit_one_cookie_when_sealed(name, padding, most):
    seal = Seal([os.urandom(32)], name, frozenset({"client"}))
    value = seal.seal(pack(Wild(3).bundle(padding)), "client", os.urandom(12))
    assert len(name) + len(value) <= most < 4096


def test_the_largest_bundle_can_be_sealed():
    packed = pack(bundle(refresh_token=b"?" * (MAX_TOKENS - len("...."))))
    assert len(packed) <= MAX_PACKED
    seal = Seal([os.urandom(32)], "amplify-session", None, MAX_PACKED * 3 // 2)
    assert seal.open(seal.seal(packed, "", os.urandom(12))) == (packed, None)


def test_a_local_pools_tokens_are_restored(pool: LocalUserPool):
    tokens = pool.sign_in("ada")
    example = bundle(
        tokens.id_token.encode(), tokens.access_token.encode(), tokens.refresh_token.encode()
    )
    assert unpack(pack(example)) == example


def test_a_cognito_refresh_token_takes_its_bytes_and_nine_more(wild):
    segments = [base64url.decode(segment) for segment in wild.refresh_token.split(b".")[1:]]
    without = pack(wild._replace(refresh_token=None))
    assert len(pack(wild)) - len(without) <= sum(map(len, segments)) + 9


# What is compressed, and what is not.


def secrets(made: Bundle) -> list[bytes]:
    """The signatures, and the refresh token's segments behind its header."""
    signatures = [token.rpartition(b".")[2] for token in (made.id_token, made.access_token)]
    return [*signatures, *made.refresh_token.split(b".")[1:]]


def test_secrets_share_no_stream_with_what_a_user_can_choose():
    mine = Wild(4).bundle()
    theirs, expected = mine, pack(mine)
    for old, new in zip(secrets(mine), secrets(Wild(5).bundle()), strict=True):
        theirs = theirs._replace(
            **{name: getattr(theirs, name).replace(old, new) for name in Bundle._fields[-3:]}
        )
        assert expected.count(base64url.decode(old)) == 1
        expected = expected.replace(base64url.decode(old), base64url.decode(new))
    assert pack(theirs) == expected  # what is compressed has not changed


# Whatever the tokens say.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])


@st.composite
def json_segments(draw: st.DrawFn) -> bytes:
    value = draw(st.dictionaries(st.text(), JSON))
    separators, is_ascii = draw(SEPARATORS), draw(st.booleans())
    text = json.dumps(value, separators=separators, ensure_ascii=is_ascii)
    return text.encode("utf-8", "surrogatepass")


CONTENTS = json_segments() | st.binary(max_size=300)
TOKENS = st.builds(encode, CONTENTS, CONTENTS, st.binary(max_size=300))
OPAQUE = st.one_of(
    st.none(),
    st.binary(max_size=100),
    st.text("abcdef0123456789-", max_size=60).map(str.encode),
    st.lists(st.binary(max_size=40), max_size=8).map(lambda parts: encode(*parts)),
    st.lists(st.binary(max_size=40), max_size=8).map(
        lambda parts: encode(json.dumps(JWE_HEADER, separators=(",", ":")).encode(), *parts)
    ),
)
TIMES = st.floats(0, 2**40, exclude_max=True)
BUNDLES = st.builds(
    Bundle,
    st.binary(min_size=16, max_size=16),
    st.integers(0, MAX_TURN),
    TIMES,
    TIMES,
    TOKENS,
    TOKENS,
    OPAQUE,
)


@given(BUNDLES)
def test_any_bundle_is_restored_with_whole_seconds(example):
    whole = example._replace(
        created_at=float(int(example.created_at)), seen_at=float(int(example.seen_at))
    )
    assert unpack(pack(example)) == whole


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"...",
        b"a..b.",
        b"7a9b1e52-6c1d-4f3a-9a57-0d4f2b0f7c11",
        b"d0" * 32,
        b"opaque token \xff\x00",
        b"not+base64url/=",
        b"eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ",
        b"eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.",
        b"eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.AB.*",
    ],
)
def test_any_refresh_token_is_restored(token):
    packed = pack(bundle(refresh_token=token))
    assert unpack(packed).refresh_token == token
    assert len(packed) <= len(EMPTY) + len(token)


# What is refused.


@pytest.mark.parametrize(
    "token", [b"", b"e30", b"e30.e30", b"e30.e30.e30.e30", b"e31.e30.", b"e30=.e30.", b"e+0.e30."]
)
@pytest.mark.parametrize("member", ["id_token", "access_token"])
def test_a_token_that_could_not_be_restored_is_not_packed(member, token):
    with pytest.raises(ValueError, match=r"."):
        pack(bundle()._replace(**{member: token}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sid": b""},
        {"sid": b"s" * 17},
        {"turn": -1},
        {"turn": MAX_TURN + 1},
        {"created_at": -1.0},
        {"created_at": float("nan")},
        {"seen_at": float("inf")},
        {"refresh_token": b"." * MAX_TOKENS},
        {"id_token": b".." + base64url.encode(bytes(MAX_TOKENS))},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_out_of_range_is_not_packed(wrong):
    with pytest.raises(ValueError, match=r"range|characters"):
        pack(bundle()._replace(**wrong))


def test_no_refusal_shows_a_token(wild):
    with pytest.raises(ValueError, match=r".") as caught:
        pack(wild._replace(id_token=wild.id_token + b"!"))
    assert wild.id_token[-20:].decode() not in str(caught.value)


def unpacked(packed: bytes) -> Bundle | None:
    """The bundle, which can be packed again, or None: nothing else may happen."""
    try:
        found = unpack(packed)
    except ValueError:
        return None
    assert unpack(pack(found)) == found
    return found


@given(st.binary(max_size=200))
def test_unpacking_bytes_raises_value_error_at_most(noise):
    assert unpacked(noise) is None


@given(st.binary(min_size=40, max_size=300), st.sampled_from([b"\x01", b"\x02"]))
def test_unpacking_bytes_that_begin_well_raises_value_error_at_most(noise, version):
    unpacked(version + bytes(16) + noise)


def test_unpacking_any_one_bit_change_raises_value_error_at_most(packed):
    found = set()
    for at in range(len(packed)):
        for bit in range(8):
            changed = bytearray(packed)
            changed[at] ^= 1 << bit
            try:
                found.add(type(unpack(bytes(changed))))
            except ValueError:
                found.add(ValueError)
    assert found == {Bundle, ValueError}


def test_no_truncation_is_a_bundle(packed):
    assert {unpacked(packed[:size]) for size in range(len(packed))} == {None}


@pytest.mark.parametrize("more", [b"\0", b"\x03\0", b"more"])
def test_what_follows_a_bundle_is_refused(packed, more):
    assert unpacked(packed + more) is None


def test_another_version_is_refused(packed):
    for version in (0, 2, 3, 255):
        assert unpacked(bytes([version]) + packed[1:]) is None


EMPTY = pack(bundle())
HEAD = len(EMPTY) - len(b"\x03\x00")  # which is how nothing is deflated


def deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(content) + deflater.flush()


def head(*lengths: int, form: int = 0) -> bytes:
    """The head of a bundle: lengths are of headers, claims, signatures, and the refresh token."""
    numbers = [*lengths, *[0] * (7 - len(lengths))]
    return EMPTY[: HEAD - 15] + b"".join(n.to_bytes(2, "big") for n in numbers) + bytes([form])


def large_head(*lengths: int, form: int = 0) -> bytes:
    """That of a bundle in which a length takes four bytes."""
    numbers = [*lengths, *[0] * (7 - len(lengths))]
    start = b"\x02" + EMPTY[1 : HEAD - 15]
    return start + b"".join(n.to_bytes(4, "big") for n in numbers) + bytes([form])


@pytest.mark.parametrize("size", [49_000, 49_151, 49_152, 70_000, 190_000])
def test_large_tokens_are_restored(size):
    for wild in (bytes(size), os.urandom(size)):
        token = encode(b"{}", b'{"a":"%b"}' % wild.hex().encode()[:size], b"s" * 256)
        for example in (
            bundle(id_token=token),
            bundle(access_token=token, refresh_token=token),
            bundle(refresh_token=base64url.encode(wild)),
            bundle(token, token, token),
        ):
            assert unpack(pack(example)) == example


def test_a_large_bundle_is_read_as_strictly_as_any():
    packed = pack(bundle(encode(b"{}", b"x" * 66_000, b""), refresh_token=b"?"))
    start = large_head(2, 0, 66_000, 0, 0, 0, 1, form=1)
    assert packed.startswith(start + b"?")
    for wrong in (packed + b"\0", packed[:-1], packed[: len(start)], b"\x01" + packed[1:]):
        assert unpacked(wrong) is None


def test_a_head_is_what_is_packed():
    packed = pack(bundle(encode(b"{}", b"{}", b""), encode(b"{}", b"{}", b""), b"?"))
    assert packed.startswith(head(2, 2, 2, 2, 0, 0, 1, form=1) + b"?")
    assert unpacked(packed) is not None


@pytest.mark.parametrize("lengths", [[0] * 4, [10_000] * 4, [65_535] * 4, [10**6] * 4])
def test_a_bomb_is_refused_before_it_goes_off(lengths):
    start = head(*lengths) if max(lengths) < 2**16 else large_head(*lengths)
    bomb = start + deflate(bytes(20_000_000))
    tracemalloc.start()
    assert unpacked(bomb) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * sum(lengths) + 100_000
    assert peak < 2 * MAX_TOKENS


@pytest.mark.parametrize("size", [0, 1, 7, 9, 40])
def test_text_of_another_length_than_was_written_down_is_refused(size):
    assert unpacked(head(2, 2, 2, 2) + deflate(b"x" * size)) is None


def test_tokens_of_more_than_the_bound_are_not_inflated():
    too_long = MAX_TOKENS // 4 + 1
    assert unpacked(large_head(*[too_long] * 4) + deflate(bytes(4 * too_long))) is None


@pytest.mark.parametrize("at", [17, 25, 33])  # turn, created_at, seen_at
def test_a_number_out_of_range_is_refused(at):
    assert unpacked(EMPTY[:at] + b"\xff" * 8 + EMPTY[at + 8 :]) is None


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        *[(0, b"?"), (4, b""), (4, b"?"), (255, b"?")],
        *[(form, stored) for form in (2, 3) for stored in (b"", b"\0", b"\0\2?", b"\0\0\0")],
    ],
)
def test_a_refresh_token_in_no_form_is_refused(form, stored):
    refused = head(0, 0, 0, 0, 0, 0, len(stored), form=form) + stored + b"\x03\0"
    assert unpacked(refused) is None


def test_tokens_that_together_are_too_large_are_refused():
    each = MAX_TOKENS * 3 // 8 + 10  # a token takes four thirds of it
    assert unpacked(large_head(0, 0, each, each) + deflate(bytes(2 * each))) is None


# What stays as it is.


def test_a_bundle_that_was_stored_long_ago_is_read():
    assert unpack(GOLDEN) == bundle(*GOLDEN_TOKENS)


def test_the_known_text_belongs_to_the_format():
    # Whoever changes the text signs everybody out, unless the format gets a new number.
    assert (bundles._FORMAT, zlib.crc32(bundles._KNOWN)) == (1, KNOWN_CRC)


def test_its_repr_shows_nothing(wild):
    assert repr(wild) == f"{wild}" == "<Bundle>"


GOLDEN_TOKENS = (
    encode(b'{"kid":"k=","alg":"RS256"}', b'{"sub":"ada","token_use":"id"}', b"first"),
    encode(b'{"kid":"l=","alg":"RS256"}', b'{"sub":"ada","token_use":"access"}', b"second"),
    b"eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.a2V5.aXY.dGV4dA.dGFn",
)
GOLDEN = bytes.fromhex(
    "01737373737373737373737373737373730000000000000003000000006ab13b80000000006ab13c"
    "ac001a001a001e00220005000600140366697273747365636f6e6400036b65790002697600047465"
    "7874000374616783a5966c9ce928078b0c243c13531231630a8f2cd447b500"
)
KNOWN_CRC = 0xD37CFA6E
