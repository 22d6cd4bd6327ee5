"""The keys of the cases' pools: made for a recording, of which the public halves alone are kept.

`k1` and `k2` are the keys of two pools on one host; `same` is the id of a key of either, and they
are two keys. `stranger` is nobody's.
"""

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from amplify_mw.web import base64url

POOL_OF: Final = {
    "k1": "ours",
    "same, ours": "ours",
    "k2": "theirs",
    "same, theirs": "theirs",
    "stranger": None,
}
HASHES: Final[Mapping[str, type[HashAlgorithm]]] = {
    "RS256": SHA256,
    "RS384": SHA384,
    "RS512": SHA512,
    "PS256": SHA256,
}
Jwk = Mapping[str, str]


class Public:
    """Public keys, by name. It signs nothing: a signature is one byte."""

    def __init__(self, jwks: Mapping[str, Jwk]) -> None:
        self.jwks = jwks

    def sign(self, name: str, signed: bytes, kind: str = "RS256") -> bytes:
        return b"\0"

    def set_of(self, pool: str, *, says_alg: bool = True) -> dict[str, Any]:
        """The key set of one of the pools, as Cognito's; `says_alg`: or without `alg` and `use`."""
        own = [self.jwks[name] for name in self.jwks if POOL_OF[name] == pool]
        left_out = () if says_alg else ("alg", "use")
        return {"keys": [{k: v for k, v in jwk.items() if k not in left_out} for jwk in own]}


class Pairs(Public):
    """New key pairs, which sign."""

    def __init__(self) -> None:
        self._private = {name: rsa.generate_private_key(65537, 2048) for name in POOL_OF}
        super().__init__({name: _jwk_of(name, key) for name, key in self._private.items()})

    def sign(self, name: str, signed: bytes, kind: str = "RS256") -> bytes:
        digest = HASHES[kind]()
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        scheme = pss if kind.startswith("PS") else padding.PKCS1v15()
        return self._private[name].sign(signed, scheme, digest)


def _jwk_of(name: str, key: rsa.RSAPrivateKey) -> Jwk:
    numbers = key.public_key().public_numbers()
    texts = {"n": numbers.n.to_bytes(256), "e": numbers.e.to_bytes(3)}
    return {
        "alg": "RS256",
        "kid": name.partition(",")[0],
        "kty": "RSA",
        "use": "sig",
        **{member: base64url.encode(value).decode() for member, value in texts.items()},
    }
