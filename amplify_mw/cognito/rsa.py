"""RSA public keys from JWKs (RFC 7518 6.3.1), and RS256 signatures (RFC 7518 3.3).

Rules:
- Modulus and exponent are canonical base64url, as in every JWK. cryptography refuses numbers that
  make no RSA key (an even exponent, one below 3, one above the modulus).
- Only `n` and `e` are read: a private member changes nothing.
- `import_key` is called with keys of the configured address or file alone. Errors quote nothing.
- Importing this file loads cryptography's RSA (16 ms): import it when the first key is.
  (joserfc's keys would load X.509 and elliptic curves beside it, in three times as long.)
"""

from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from ..web import base64url

_PADDING: Final = PKCS1v15()  # made once: both only name what is to be done
_DIGEST: Final = SHA256()


class RSAKey:
    """A public key that checks RS256 signatures. Two are equal if their numbers are."""

    __slots__ = ("_verify", "bits", "numbers")

    def __init__(self, key: RSAPublicKey) -> None:
        self._verify = key.verify
        self.bits: int = key.key_size
        self.numbers: RSAPublicNumbers = key.public_numbers()

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether `signature` is one of `content`, made with the private half of this key."""
        try:
            self._verify(signature, content, _PADDING, _DIGEST)
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RSAKey) and self.numbers == other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)

    def __repr__(self) -> str:
        return f"<RSAKey of {self.bits} bits>"


def import_key(jwk: Mapping[str, Any]) -> RSAKey:
    """The key in a JWK of the type RSA. Raises `ValueError`."""
    try:
        numbers = RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
        return RSAKey(numbers.public_key())
    except Exception as error:  # cryptography promises no kind of error for bad numbers
        raise ValueError("malformed RSA key") from error


def _number(text: str) -> int:
    """A number as JWKs spell it (Base64urlUInt): big-endian bytes in base64url."""
    return int.from_bytes(base64url.decode(text.encode("ascii")))
