"""Tokens, as an attacker would write them: what is refused, why, and that nothing else happens.

All of it holds for tokens of either issuer of a pool: the fixture `issuer` goes through them.
"""

import hashlib
import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from amplify_mw.cognito.keys import KeySource, KeyState, import_key_set
from amplify_mw.cognito.verifier import (
    MAX_TOKEN_BYTES,
    InvalidToken,
    NotYetValid,
    TrustedPool,
    VerifiedToken,
    Verifier,
    agree,
    parse_segment,
)
from amplify_mw.effects import Join
from amplify_mw.engine.cache import BoundedCache

NOW = 1_800_000_000
LEEWAY = 5
ORIGINAL = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
UPDATED = "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
ISSUER = ORIGINAL  # of the tokens that a test makes
OTHER_ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other0001"
ACCESS = {"token_use": "access", "client_id": "web", "username": "ada", "aud": None}


@pytest.fixture(
    autouse=True, scope="module", params=[ORIGINAL, UPDATED], ids=["original", "updated"]
)
def issuer(request: pytest.FixtureRequest) -> None:
    global ISSUER
    ISSUER = request.param


def b64(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def jwk_of(key: rsa.RSAPrivateKey, kid: str) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "kid": kid,
        "n": b64(numbers.n.to_bytes(key.key_size // 8)).decode(),
        "e": b64(numbers.e.to_bytes(3)).decode(),
    }


OURS = rsa.generate_private_key(65537, 2048)
THEIRS = rsa.generate_private_key(65537, 2048)
OTHER_POOLS = rsa.generate_private_key(65537, 2048)


def key_source(key: rsa.RSAPrivateKey, kid: str) -> KeySource:
    keys = import_key_set(json.dumps({"keys": [jwk_of(key, kid)]}))
    return KeySource(("https://unused.example",), BoundedCache(10, 10_000), preloaded=keys)


def verifier_for(client_ids: frozenset[str] | None = frozenset({"web", "mobile"})) -> Verifier:
    ours, theirs = key_source(OURS, "k1"), key_source(OTHER_POOLS, "k2")
    pools = [
        TrustedPool(ORIGINAL, "ours", ours, client_ids),
        TrustedPool(UPDATED, "ours", ours, client_ids),
        TrustedPool(OTHER_ISSUER, "theirs", theirs, client_ids),
    ]
    return Verifier({pool.issuer: pool for pool in pools}, LEEWAY)


VERIFIER = verifier_for()


def rs(signed: bytes, key: rsa.RSAPrivateKey = OURS, hashing: HashAlgorithm | None = None) -> bytes:
    return key.sign(signed, padding.PKCS1v15(), hashing or SHA256())


def members(changes: dict[str, Any], ordinary: dict[str, Any]) -> bytes:
    merged = ordinary | changes
    return json.dumps({name: value for name, value in merged.items() if value is not None}).encode()


def header(**changes: Any) -> bytes:
    """A good header with changes; None takes a member out."""
    return members(changes, {"alg": "RS256", "kid": "k1"})


def claims(**changes: Any) -> bytes:
    """A good ID token's claims with changes; None takes a member out."""
    ordinary = {
        "iss": ISSUER,
        "aud": "web",
        "token_use": "id",
        "sub": "0f3c",
        "cognito:username": "ada",
        "iat": NOW - 60,
        "exp": NOW + 3540,
    }
    return members(changes, ordinary)


def token(head: bytes | None = None, body: bytes | None = None, sign: Any = rs) -> bytes:
    """A token of raw JSON texts; a good one without arguments."""
    signed = b64(head or header()) + b"." + b64(body or claims())
    return signed + b"." + b64(sign(signed))


def with_raw(name: str, value: str) -> bytes:
    """Claims in which one member's value is that JSON text."""
    return claims(**{name: "@"}).replace(b'"@"', value.encode())


def verify(jwt: bytes, now: float = NOW, verifier: Verifier = VERIFIER) -> VerifiedToken:
    """What comes of a token, when all keys are known and the world need not be asked."""
    flow: Generator[Any, Any, VerifiedToken] = verifier.verify(jwt, now)
    with pytest.raises(StopIteration) as done:
        next(flow)
    result: VerifiedToken = done.value.value
    assert facts(verifier.at_once(jwt, now)) == facts(result)
    return result


def facts(verified: VerifiedToken | None) -> list[Any]:
    assert verified is not None
    return [getattr(verified, name) for name in VerifiedToken.__slots__]


def at_once(jwt: bytes, now: float, verifier: Verifier) -> str:
    """The reason for which it is refused without a flow; or the two that leave it to the flow."""
    try:
        assert verifier.at_once(jwt, now) is None
    except InvalidToken as error:
        return error.reason
    return "token_not_yet_valid or unknown_key"


def refused(
    jwt: bytes, now: float = NOW, verifier: Verifier = VERIFIER
) -> tuple[InvalidToken, list[str]]:
    """How a token is refused, and what the operator is told."""
    flow: Generator[Any, Any, VerifiedToken] = verifier.verify(jwt, now)
    told: list[str] = []
    try:
        effect = next(flow)
        while True:
            told.append(effect.text)
            effect = flow.send((None, now))
    except InvalidToken as error:
        found = error
    except StopIteration:
        pytest.fail("the token was believed")
    assert found.reason in at_once(jwt, now, verifier)
    return found, told


def refusal(jwt: bytes, now: float = NOW, verifier: Verifier = VERIFIER) -> str:
    """The reason for which a token is refused."""
    return refused(jwt, now, verifier)[0].reason


# --- good tokens


def test_a_good_id_token_says_who_it_is() -> None:
    verified = verify(token())
    assert (verified.username, verified.sub, verified.token_use) == ("ada", "0f3c", "id")
    assert verified.expires_at == NOW + 3540 + LEEWAY


def test_a_good_access_token_says_who_it_is() -> None:
    verified = verify(token(body=claims(**ACCESS)))
    assert (verified.username, verified.token_use) == ("ada", "access")


def test_a_second_pool_vouches_with_its_own_key() -> None:
    jwt = token(header(kid="k2"), claims(iss=OTHER_ISSUER), lambda text: rs(text, OTHER_POOLS))
    assert verify(jwt).issuer == OTHER_ISSUER


def test_one_pools_key_does_not_vouch_for_another_pool() -> None:
    jwt = token(header(kid="k2"), claims(iss=ISSUER), lambda text: rs(text, OTHER_POOLS))
    assert refusal(jwt) == "unknown_key"


def test_a_token_is_shown_by_no_repr() -> None:
    jwt = token()
    shown = repr(verify(jwt))
    assert not any(part.decode() in shown for part in jwt.split(b"."))


# --- algorithms


def hs256_with_public_key(signed: bytes) -> bytes:
    pem = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.new(pem, signed, hashlib.sha256).digest()


def es256(signed: bytes) -> bytes:
    r, s = utils.decode_dss_signature(
        ec.generate_private_key(ec.SECP256R1()).sign(signed, ec.ECDSA(SHA256()))
    )
    return r.to_bytes(32) + s.to_bytes(32)


def ps256(signed: bytes) -> bytes:
    return OURS.sign(signed, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())


ALGORITHMS = {
    "none": lambda signed: b"",
    "HS256": hs256_with_public_key,
    "RS384": lambda signed: rs(signed, hashing=SHA384()),
    "RS512": lambda signed: rs(signed, hashing=SHA512()),
    "PS256": ps256,
    "ES256": es256,
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_rs256_is_accepted(algorithm: str) -> None:
    jwt = token(header(alg=algorithm), sign=ALGORITHMS[algorithm])
    assert refusal(jwt) == "unsupported_algorithm"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_of_another_kind_under_the_name_rs256_is_bad(algorithm: str) -> None:
    assert refusal(token(sign=ALGORITHMS[algorithm])) == "bad_signature"


@pytest.mark.parametrize("algorithm", [None, "", "rs256", "RS256 ", "NONE", 256, ["RS256"], {}])
def test_a_misspelt_algorithm_is_refused(algorithm: object) -> None:
    assert refusal(token(header(alg=algorithm))) == "unsupported_algorithm"


@pytest.mark.parametrize("length", [0, 1, 255, 257, 512])
def test_a_signature_of_any_length_but_the_keys_is_bad(length: int) -> None:
    assert refusal(token(sign=lambda _: b"\x01" * length)) == "bad_signature"


def test_another_tokens_signature_is_bad() -> None:
    stolen = b64decode(token().split(b".")[2] + b"==", b"-_")
    assert refusal(token(body=claims(sub="root"), sign=lambda _: stolen)) == "bad_signature"


# --- keys named or brought by the token


@pytest.mark.parametrize(
    "brought",
    [
        {"jwk": jwk_of(THEIRS, "k1")},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
    ],
    ids=lambda brought: next(iter(brought)),
)
def test_a_key_that_the_token_brings_is_not_looked_at(brought: dict[str, Any]) -> None:
    forged = token(header(**brought), sign=lambda text: rs(text, THEIRS))
    assert refusal(forged) == "bad_signature"
    assert verify(token(header(**brought))).username == "ada"


@pytest.mark.parametrize("crit", [[], ["b64"], ["exp"], "b64", None, 0])
def test_a_crit_header_is_refused_whatever_it_names(crit: object) -> None:
    head = b'{"alg":"RS256","kid":"k1","crit":%b}' % json.dumps(crit).encode()
    assert refusal(token(head)) == "malformed_token"


@pytest.mark.parametrize("kid", [None, 1, ["k1"], {"k1": 1}, True])
def test_a_kid_that_is_missing_or_no_text_is_malformed(kid: object) -> None:
    assert refusal(token(header(kid=kid))) == "malformed_token"


@pytest.mark.parametrize("kid", ["", "k2", "K1", "k1 ", "../k1", "k1\0", "\U0001f511"])
def test_a_key_that_the_pool_lacks_is_unknown(kid: str) -> None:
    assert refusal(token(header(kid=kid))) == "unknown_key"


def test_a_strangers_signature_under_our_kid_is_bad() -> None:
    assert refusal(token(sign=lambda text: rs(text, THEIRS))) == "bad_signature"


# --- issuer, use, client, names


@pytest.mark.parametrize(
    "issuer",
    [
        *(None, "", 7, True, "https://evil.example/eu-west-1_Ab12Cd34E"),
        *([ORIGINAL], {"iss": ORIGINAL}, [ORIGINAL, UPDATED]),
        *(ORIGINAL + "/", ORIGINAL + " ", ORIGINAL.upper(), ORIGINAL[:-1]),
        *(UPDATED + "/", UPDATED + " ", UPDATED.upper(), UPDATED[:-1]),
        *(ORIGINAL.replace("https", "http"), UPDATED.replace("https", "http")),
        *(ORIGINAL + "@evil.example", UPDATED + "@evil.example"),
    ],
)
def test_the_issuer_is_exactly_the_pools(issuer: object) -> None:
    assert refusal(token(body=claims(iss=issuer))) == "wrong_issuer"


@pytest.mark.parametrize("use", [None, "", "ID", "refresh", "id ", ["id"], 1, {}])
def test_a_token_that_is_neither_id_nor_access_is_refused(use: object) -> None:
    assert refusal(token(body=claims(token_use=use))) == "wrong_token_use"


WRONG_CLIENTS = [None, "", "other", "WEB", "web ", ["web"], ["web", "other"], [], 3, True, {}]


@pytest.mark.parametrize("client", WRONG_CLIENTS)
def test_an_id_tokens_aud_is_a_configured_client(client: object) -> None:
    assert refusal(token(body=claims(aud=client))) == "wrong_client"


@pytest.mark.parametrize("client", WRONG_CLIENTS)
def test_an_access_tokens_client_id_is_a_configured_client(client: object) -> None:
    assert refusal(token(body=claims(**ACCESS | {"client_id": client}))) == "wrong_client"


def test_an_id_tokens_client_id_does_not_stand_in_for_aud() -> None:
    assert refusal(token(body=claims(aud="other", client_id="web"))) == "wrong_client"


def test_an_access_tokens_aud_does_not_stand_in_for_client_id() -> None:
    body = claims(**ACCESS | {"aud": "web", "client_id": None})
    assert refusal(token(body=body)) == "wrong_client"


@pytest.mark.parametrize("client", ["web", "mobile"])
def test_each_of_several_clients_counts(client: str) -> None:
    assert verify(token(body=claims(aud=client))).claims["aud"] == client


def test_without_configured_clients_any_client_counts() -> None:
    assert verify(token(body=claims(aud="x")), verifier=verifier_for(None)).username == "ada"


@pytest.mark.parametrize("client", [None, "", ["x"], 3, False])
def test_without_configured_clients_there_still_has_to_be_one(client: object) -> None:
    jwt = token(body=claims(aud=client))
    assert refusal(jwt, verifier=verifier_for(None)) == "wrong_client"


@pytest.mark.parametrize("name", ["sub", "cognito:username"])
@pytest.mark.parametrize("value", [None, "", 5, ["ada"], True, {}])
def test_a_user_without_a_name_is_nobody(name: str, value: object) -> None:
    assert refusal(token(body=claims(**{name: value}))) == "missing_claim"


def test_an_id_tokens_username_is_not_read_from_an_access_tokens_claim() -> None:
    assert refusal(token(body=claims(**{"cognito:username": None, "username": "root"}))) == (
        "missing_claim"
    )


# --- times

NO_TIMES = ["null", "true", "false", '"1800003600"', "[]", "{}", "1e999", "-1e999", "9" * 400]


def test_a_token_without_exp_is_refused() -> None:
    assert refusal(token(body=claims(exp=None))) == "malformed_token"


@pytest.mark.parametrize("value", [*NO_TIMES, "9" * 5000, "NaN", "Infinity", "-Infinity", "1_0"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_is_a_finite_number(name: str, value: str) -> None:
    assert refusal(token(body=with_raw(name, value))) == "malformed_token"


@pytest.mark.parametrize("value", ["0", "-0", "-1", "-1.5e300", str(NOW - LEEWAY)])
def test_a_time_in_the_past_is_expired(value: str) -> None:
    assert refusal(token(body=with_raw("exp", value))) == "token_expired"


@pytest.mark.parametrize("value", [str(2**53 - 1), "1e300", "1800000000.5", "18e8"])
def test_any_finite_number_ahead_is_an_exp(value: str) -> None:
    assert verify(token(body=with_raw("exp", value))).expires_at == float(value) + LEEWAY


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("value", ["0", "-1", str(NOW), str(NOW + LEEWAY)])
def test_a_token_counts_from_its_beginning_on_within_the_leeway(name: str, value: str) -> None:
    assert verify(token(body=with_raw(name, value))).username == "ada"


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("value", [str(NOW + LEEWAY + 1), str(NOW + LEEWAY + 0.001), "1e300"])
def test_a_token_from_the_future_is_not_yet_valid(name: str, value: str) -> None:
    assert refusal(token(body=with_raw(name, value))) == "token_not_yet_valid"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("ahead", [LEEWAY + 1, 30, 3600, 10**9])
def test_a_token_from_the_future_says_how_long_that_is(claim: str, ahead: int) -> None:
    early = token(body=claims(**{claim: NOW + ahead, "exp": NOW + 2 * ahead}))
    error, _ = refused(early, NOW, verifier_for())
    assert isinstance(error, NotYetValid)
    assert error.wait == ahead - LEEWAY
    assert error.is_behind is (claim == "iat")
    assert error.token.username == "ada"
    assert verify(early, NOW + error.wait).username == "ada"


def test_a_clock_that_is_behind_is_told_once_a_day_and_pool() -> None:
    some = verifier_for()
    early = token(body=claims(iat=NOW + 30, exp=NOW + 10**6))
    others = token(
        header(kid="k2"),
        claims(iss=OTHER_ISSUER, iat=NOW + 9.5),
        lambda text: rs(text, OTHER_POOLS),
    )
    assert refused(early, NOW, some)[1] == [
        f"this machine's clock is 30 s behind the pool's ({ISSUER}); sessions are kept meanwhile: "
        "have the clock set by NTP"
    ]
    [text] = refused(others, NOW, some)[1]
    assert f"10 s behind the pool's ({OTHER_ISSUER})" in text
    for jwt, now in [(early, NOW), (early, NOW + 20), (others, NOW), (early, NOW - 3600)]:
        assert refused(jwt, now, some)[1] == []
    late = token(body=claims(iat=NOW + 86_430, exp=NOW + 10**6))
    assert len(refused(late, NOW + 86_400, some)[1]) == 1


FORGERIES = [
    ("bad_signature", {"sign": lambda text: rs(text, THEIRS)}),
    ("unknown_key", {"head": {"kid": "k9"}}),
    ("wrong_client", {"body": {"aud": "other"}}),
    ("wrong_issuer", {"body": {"iss": "https://evil.example"}}),
]


@pytest.mark.parametrize(("reason", "flaw"), FORGERIES)
@pytest.mark.parametrize("ahead", [30, 10**9])
def test_a_forged_token_from_the_future_is_invalid_and_nobody_is_told(
    reason: str, flaw: dict[str, Any], ahead: int
) -> None:
    error, told = refused(flawed({"body": {"iat": NOW + ahead}}, flaw), NOW, verifier_for())
    assert (error.reason, told) == (reason, [])
    assert not isinstance(error, NotYetValid)


def test_an_unknown_key_of_a_token_from_the_future_is_unknown_once_the_key_set_was_fetched() -> (
    None
):
    keys = KeySource(("https://unused.example",), BoundedCache(10, 10_000))
    some = Verifier({ISSUER: TrustedPool(ISSUER, "ours", keys, None)}, LEEWAY)
    jwt = token(header(kid="k9"), claims(iat=NOW + 10**9))
    known = import_key_set(json.dumps({"keys": [jwk_of(OURS, "k1")]}))
    flow = some.verify(jwt, NOW)
    assert isinstance(next(flow), Join)
    keys.state = KeyState(known, NOW + 0.1, NOW + 10)
    with pytest.raises(InvalidToken) as error:
        flow.send((keys.state, NOW + 0.2))
    assert error.value.reason == "unknown_key"


def test_what_cognito_has_just_issued_counts_though_it_is_from_the_future() -> None:
    some = verifier_for()
    flow = some.verify_new(token(body=claims(iat=NOW + 30)), NOW)
    assert "30 s behind" in next(flow).text
    with pytest.raises(StopIteration) as done:
        flow.send((None, NOW))
    assert done.value.value.username == "ada"


def test_what_the_pool_has_begin_later_does_not_count_and_blames_no_clock() -> None:
    some = verifier_for()
    jwt = token(body=claims(nbf=NOW + 30))
    assert refused(jwt, NOW, some)[1] == []
    with pytest.raises(NotYetValid):
        next(some.verify_new(jwt, NOW))


def test_what_cognito_has_just_issued_shows_a_clock_that_is_ahead() -> None:
    flow = verifier_for().verify_new(token(body=claims(iat=NOW - 4000, exp=NOW - 400)), NOW)
    assert "4000 s ahead of the pool's" in next(flow).text
    with pytest.raises(InvalidToken) as error:
        flow.send((None, NOW))
    assert error.value.reason == "token_expired"


def test_a_token_that_is_read_counts_whatever_the_time() -> None:
    for times in ({"iat": NOW + 999}, {"nbf": NOW + 999}, {"exp": NOW - 999}):
        assert VERIFIER.read(token(body=claims(**times)), NOW).username == "ada"


def test_neither_iat_nor_nbf_has_to_be_there() -> None:
    assert verify(token(body=claims(iat=None, nbf=None))).username == "ada"


def test_the_leeway_ends_exactly() -> None:
    jwt = token(body=claims(exp=NOW))
    assert verify(jwt, NOW + LEEWAY - 0.001).expires_at == NOW + LEEWAY
    assert refusal(jwt, NOW + LEEWAY) == "token_expired"


def test_a_verdict_is_fresh_no_longer_than_the_token_with_its_leeway() -> None:
    assert verify(token(body=claims(exp=NOW + 10))).fresh_until == NOW + 10 + LEEWAY


# --- which reason is said: an expired token is told only to whom it belonged

FLAWS: list[tuple[str, dict[str, Any]]] = [
    ("unsupported_algorithm", {"head": {"alg": "RS512"}}),
    ("wrong_issuer", {"body": {"iss": "https://evil.example"}}),
    ("unknown_key", {"head": {"kid": "k9"}}),
    ("bad_signature", {"sign": lambda text: rs(text, THEIRS)}),
    ("wrong_token_use", {"body": {"token_use": "refresh"}}),
    ("wrong_client", {"body": {"aud": "other"}}),
    ("missing_claim", {"body": {"sub": ""}}),
    ("token_expired", {"body": {"exp": NOW - 999}}),
    ("token_not_yet_valid", {"body": {"nbf": NOW + 999}}),
    ("token_not_yet_valid", {"body": {"iat": NOW + 999}}),
]


def flawed(*flaws: dict[str, Any]) -> bytes:
    head: dict[str, Any] = {}
    body: dict[str, Any] = {}
    sign = rs
    for flaw in flaws:
        head |= flaw.get("head", {})
        body |= flaw.get("body", {})
        sign = flaw.get("sign", sign)
    return token(header(**head), claims(**body), sign)


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in range(10) for b in range(a, 10)])
def test_of_several_flaws_the_first_in_order_is_the_reason(first: int, second: int) -> None:
    (reason, flaw), (_, other) = FLAWS[first], FLAWS[second]
    assert refusal(flawed(other, flaw)) == reason


# --- spelling

NOT_OBJECTS = [b"", b" ", b"[]", b'"x"', b"1", b"null", b"true", b"{", b"{}{}", b"{'a':1}", b"\xff"]


@pytest.mark.parametrize("text", [*NOT_OBJECTS, b"\xef\xbb\xbf{}", b'{"a":1,}', b"{}\0", b"\xa0{}"])
def test_header_and_payload_are_json_objects(text: bytes) -> None:
    good = token().split(b".")
    for place in (0, 1):
        segments = [*good]
        segments[place] = b64(text)
        assert refusal(b".".join(segments)) == "malformed_token"


@pytest.mark.parametrize(
    "text",
    [
        b'{"alg":"none","alg":"RS256","kid":"k1"}',
        b'{"kid":"k1","kid":"k1","alg":"RS256"}',
        b'{"alg":"RS256","kid":"k1","a":{"b":1,"b":1}}',
        b'{"alg":"RS256","kid":"k1","a":[{"b":1,"\\u0062":1}]}',
    ],
)
def test_a_header_that_says_something_twice_is_malformed(text: bytes) -> None:
    assert refusal(token(text)) == "malformed_token"


@pytest.mark.parametrize("more", [b'"sub":"root"', b'"sub":"0f3c"', b'"s\\u0075b":"root"'])
def test_a_payload_that_says_something_twice_is_malformed(more: bytes) -> None:
    assert refusal(token(body=claims()[:-1] + b"," + more + b"}")) == "malformed_token"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]"])
def test_what_json_lacks_is_malformed_wherever_it_stands(text: str) -> None:
    assert refusal(token(body=with_raw("custom:x", text))) == "malformed_token"


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00\\ud800"', '{"\\udfff":1}', '["\\ud83d!"]'])
def test_a_lone_surrogate_is_malformed_wherever_it_stands(text: str) -> None:
    assert refusal(token(body=with_raw("custom:x", text))) == "malformed_token"


def test_a_surrogate_pair_is_a_character() -> None:
    body = with_raw("cognito:username", '"\\ud83d\\ude00"')
    assert verify(token(body=body)).username == "\U0001f600"


def test_an_escaped_backslash_is_no_surrogate() -> None:
    body = with_raw("cognito:username", '"\\\\ud800"')
    assert verify(token(body=body)).username == "\\ud800"


@pytest.mark.parametrize("bracket", ["[]", "{}"])
def test_deep_nesting_is_malformed(bracket: str) -> None:
    opening = bracket[0] if bracket == "[]" else '{"":'
    depth = 5000 // len(opening)
    value = opening * depth + "0" + bracket[1] * depth if bracket == "[]" else opening * depth
    assert refusal(b64(header()) + b"." + b64(with_raw("x", value)) + b".AA") == "malformed_token"


def test_deep_nesting_with_an_escape_is_refused_or_forged_but_no_other_error() -> None:
    for depth in range(300, 1000, 20):
        value = "[" * depth + '"\\u0061"' + "]" * depth
        jwt = token(body=with_raw("x", value), sign=lambda _: b"")
        assert refusal(jwt) in ("malformed_token", "bad_signature")


def test_a_token_at_the_size_limit_is_read_and_one_byte_more_is_not() -> None:
    room = MAX_TOKEN_BYTES - len(token(body=claims(pad="")))
    pads = (room * 3 // 4 + delta for delta in range(-4, 8))
    jwts = [token(body=claims(pad="x" * pad)) for pad in pads]
    fitting = [jwt for jwt in jwts if len(jwt) <= MAX_TOKEN_BYTES]
    assert 0 < len(fitting) < len(jwts)
    assert {verify(jwt).username for jwt in fitting} == {"ada"}
    assert {refusal(jwt) for jwt in jwts if jwt not in fitting} == {"malformed_token"}


@pytest.mark.parametrize("dots", [0, 1, 3, 4, 5000])
def test_a_token_has_three_segments(dots: int) -> None:
    assert refusal(b"." * dots) == "malformed_token"


@pytest.mark.parametrize("junk", [b"=", b"==", b"====", b"\n", b" ", b"\r\n", b"\t", b"\0", b"*"])
@pytest.mark.parametrize("place", ["start", "middle", "end"])
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_padding_whitespace_and_junk_are_malformed(junk: bytes, place: str, segment: int) -> None:
    segments = token().split(b".")
    text = segments[segment]
    at = {"start": 0, "middle": len(text) // 2, "end": len(text)}[place]
    segments[segment] = text[:at] + junk + text[at:]
    assert refusal(b".".join(segments)) == "malformed_token"


def test_the_standard_alphabet_is_malformed() -> None:
    body = json.loads(claims(**{"custom:x": "\u00fb\u00ff\u00bf?>~" * 4}))
    jwt = token(body=json.dumps(body, ensure_ascii=False).encode())
    respelt = jwt.replace(b"-", b"+").replace(b"_", b"/")
    assert respelt != jwt
    assert verify(jwt).username == "ada"
    assert refusal(respelt) == "malformed_token"


def test_trailing_bits_that_are_set_are_malformed() -> None:
    """A 256-byte signature leaves four spare bits, which a lax reader ignores."""
    jwt = token()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(jwt[-1])
    assert last % 16 == 0
    respelt = [jwt[:-1] + alphabet[last + bits : last + bits + 1] for bits in range(1, 16)]
    assert {refusal(other) for other in respelt} == {"malformed_token"}


@given(st.binary(max_size=400))
def test_any_bytes_at_all_are_an_invalid_token(junk: bytes) -> None:
    assert refusal(junk) == "malformed_token"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = ["alg", "kid", "iss", "iat", "nbf", "exp", "aud", "sub", "token_use", "cognito:username"]


@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1))
def test_any_values_in_a_signed_token_are_verified_or_an_invalid_token(
    values: dict[str, Any],
) -> None:
    both = [json.dumps(json.loads(text) | values).encode() for text in (header(), claims())]
    with suppress(InvalidToken):
        assert verify(token(*both)).issuer == ISSUER


@given(st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\u", b"d8", b"1e9"])))
def test_any_almost_json_is_an_object_or_malformed(pieces: list[bytes]) -> None:
    with suppress(InvalidToken):
        assert type(parse_segment(b64(b"".join(pieces)))) is dict


def test_every_truncation_of_a_good_token_is_invalid() -> None:
    good = token()
    for length in range(len(good)):
        assert refusal(good[:length]) in ("malformed_token", "bad_signature")


@pytest.mark.parametrize("change", [1, 0x20, 0x80])
def test_every_flipped_bit_of_a_good_token_is_invalid(change: int) -> None:
    good = token()
    for at in range(len(good)):
        assert refusal(good[:at] + bytes([good[at] ^ change]) + good[at + 1 :])


@given(st.data(), st.integers(0, 255), st.sampled_from(["put", "add", "cut"]))
def test_a_good_token_with_one_byte_changed_is_invalid(
    data: st.DataObject, byte: int, how: str
) -> None:
    good = token()
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + (b"" if how == "cut" else bytes([byte])) + good[at + (how != "add") :]
    if changed != good:
        assert refusal(changed)


# --- the facts behind a refusal, for a developer


CLOCK = f"now {NOW}, leeway {LEEWAY} s"
ISSUERS = f"'{ORIGINAL}' or '{OTHER_ISSUER}' or '{UPDATED}'"
JSON_TEXT = "a JSON object in base64url without padding"
FACTS: dict[str, tuple[bytes, tuple[str, str, str]]] = {
    "too large": (
        b"a" * (MAX_TOKEN_BYTES + 1),
        ("size", "262,145 bytes", "at most 262,144 bytes"),
    ),
    "one segment": (b"abcd", ("segments", "1", "3")),
    "four segments": (token() + b".abcd", ("segments", "4", "3")),
    "bad signature text": (token()[:-3] + b"=!?", ("signature", "", "base64url without padding")),
    "bad base64url": (
        b"!!!." + token().partition(b".")[2],
        ("header", "not canonical base64url", JSON_TEXT),
    ),
    "not JSON": (token(body=b'{"iss"'), ("payload", "not JSON from character 6", JSON_TEXT)),
    "not UTF-8": (token(body=b'{"iss":"\xff"}'), ("payload", "not UTF-8", JSON_TEXT)),
    "too deep": (token(body=b"[" * 10**5), ("payload", "nested too deep", JSON_TEXT)),
    "twice": (token(b'{"a":1,"a":1}'), ("header", "a member occurs twice", JSON_TEXT)),
    "two values": (token(b"{}{}"), ("header", "more than one JSON value", JSON_TEXT)),
    "a list": (token(b"[]"), ("header", "another JSON value", JSON_TEXT)),
    "alg": (token(header(alg="none")), ("alg", "'none'", "'RS256'")),
    "no alg": (token(header(alg=None)), ("alg", "absent", "'RS256'")),
    "crit": (token(header(crit=["b64"])), ("crit", "an array", "absent")),
    "no kid": (token(header(kid=None)), ("kid", "absent", "text")),
    "kid": (token(header(kid="k9")), ("kid", "'k9'", "'k1'")),
    "signature": (
        token(sign=lambda text: rs(text, THEIRS)),
        ("signature", "", "made with the key 'k1'"),
    ),
    "issuer": (
        token(body=claims(iss="https://evil.example")),
        ("iss", "'https://evil.example'", ISSUERS),
    ),
    "no issuer": (token(body=claims(iss=None)), ("iss", "absent", ISSUERS)),
    "use": (
        token(body=claims(token_use="refresh")),
        ("token_use", "'refresh'", "'id' or 'access'"),
    ),
    "client of an ID token": (
        token(body=claims(aud="other")),
        ("aud", "'other'", "'mobile' or 'web'"),
    ),
    "two audiences": (
        token(body=claims(aud=["web", "other"])),
        ("aud", "an array", "'mobile' or 'web'"),
    ),
    "client of an access token": (
        token(body=claims(**ACCESS | {"client_id": "other"})),
        ("client_id", "'other'", "'mobile' or 'web'"),
    ),
    "no user": (token(body=claims(sub=7)), ("sub", "absent, empty or not text", "text")),
    "no name": (
        token(body=claims(**{"cognito:username": ""})),
        ("cognito:username", "absent, empty or not text", "text"),
    ),
    "no end": (token(body=claims(exp=None)), ("exp", "absent", "a finite number")),
    "odd end": (token(body=with_raw("exp", '"soon"')), ("exp", "'soon'", "a finite number")),
    "huge end": (
        token(body=with_raw("exp", "9" * 4000)),
        ("exp", "9" * 24, "a finite number"),
    ),
    "expired": (
        token(body=claims(exp=NOW - 60)),
        ("exp", str(NOW - 60), f"more than {NOW - LEEWAY} ({CLOCK})"),
    ),
    "issued in the future": (
        token(body=claims(iat=NOW + 60)),
        ("iat", str(NOW + 60), f"at most {NOW + LEEWAY} ({CLOCK})"),
    ),
    "begins later": (
        token(body=claims(nbf=NOW + 60)),
        ("nbf", str(NOW + 60), f"at most {NOW + LEEWAY} ({CLOCK})"),
    ),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_refusal_names_the_claim_its_value_and_the_accepted_ones(name: str) -> None:
    jwt, facts = FACTS[name]
    error = refused(jwt, verifier=verifier_for())[0]
    assert (error.claim, error.actual, error.expected) == facts


@pytest.mark.parametrize("name", FACTS)
def test_the_message_of_a_refusal_is_its_reason_alone(name: str) -> None:
    error = refused(FACTS[name][0], verifier=verifier_for())[0]
    assert str(error) == error.reason
    assert error.__cause__ is None or "eyJ" not in str(error.__cause__)


def test_a_refusal_for_any_client_lists_none() -> None:
    error = refused(token(body=claims(aud="")), verifier=verifier_for(None))[0]
    assert (error.claim, error.actual, error.expected) == ("aud", "''", "an app client")


def test_of_many_accepted_values_three_are_shown() -> None:
    some = verifier_for(frozenset("abcde"))
    assert refused(token(), verifier=some)[0].expected == "'a' or 'b' or 'c' or others"


def test_two_tokens_that_disagree_show_the_claim_and_no_user() -> None:
    def facts(**changes: Any) -> tuple[str, str, str]:
        one = VERIFIER.read(token(), NOW)
        other = VERIFIER.read(token(body=claims(**ACCESS | changes)), NOW)
        with pytest.raises(InvalidToken) as error:
            agree(one, other)
        return error.value.claim, error.value.actual, error.value.expected

    same = "the same in both tokens"
    assert facts(iss=OTHER_ISSUER) == ("iss", f"'{ISSUER}' and '{OTHER_ISSUER}'", same)
    assert facts(client_id="mobile") == ("client_id", "'web' and 'mobile'", same)
    assert facts(sub="another") == ("sub", "", same)
    with pytest.raises(InvalidToken) as error:
        agree(VERIFIER.read(token(), NOW), VERIFIER.read(token(), NOW))
    shown = error.value.actual, error.value.expected
    assert shown == ("'id' and 'id'", "'id' and 'access'")


HOSTILE_VALUES = {
    "long": "a" * 10**5,
    "line breaks": "a\nWARNING all is well\x1b[2J",
    "a token": token().decode(),
    "a bearer token": "Bearer " + token().decode(),
    "not ASCII": "\u202e\U0001f600" * 50,
}


@pytest.mark.parametrize("claim", ["iss", "aud", "token_use"])
@pytest.mark.parametrize("name", HOSTILE_VALUES)
def test_a_shown_value_is_escaped_cut_and_no_token(claim: str, name: str) -> None:
    error = refused(token(body=claims(**{claim: HOSTILE_VALUES[name]})))[0]
    assert error.claim == claim
    for text in (error.actual, error.expected):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 1100
        assert "eyJ" not in text
    assert "eyJ" not in error.claimed  # the log and the events name it


@given(st.binary(max_size=200))
@example(b"\xff" * 200)
def test_a_hostile_algorithm_is_escaped_and_cut(value: bytes) -> None:
    error = refused(token(header(alg=value.decode("latin-1") + "?")))[0]
    assert error.claim == "alg"
    assert error.actual.isprintable()
    assert len(error.actual) <= 500
