"""The signing keys of the local user pool, and the JWTs that are made with them.

Rules:
- The newest key signs; the published ones are in the key set. A key that has left the set is kept,
  so that tokens can still be made with it.
- `write` makes any token, wrong ones too: it signs by hand and checks nothing. `read` is strict.
- Nothing here locks; the pool does.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry

KEY_BITS: Final = 2048


class BadToken(ValueError):
    """No token that one of the published keys has signed."""


class SigningKeys:
    """RSA keys by `kid`."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAKey] = {}
        self._published: list[str] = []
        self._stranger: RSAKey | None = None
        self.rotate(keep_old=False)

    def rotate(self, *, keep_old: bool) -> str:
        """Sign using a new key from now on; its `kid`. Else than `keep_old`, publish only it."""
        key = _new_key()
        kid = str(key.kid)
        self._keys[kid] = key
        self._published = [kid, *(self._published if keep_old else ())]
        return kid

    def jwks(self) -> dict[str, Any]:
        """The published key set (RFC 7517), newest key first."""
        return {"keys": [self._keys[kid].as_dict(private=False) for kid in self._published]}

    def write(
        self,
        claims: Mapping[str, Any],
        *,
        key: str = "current",
        algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """A JWT of `claims`, as `LocalUserPool.mint` describes it."""
        chosen = self._choose(key)
        members = merged({"kid": chosen.kid, "alg": algorithm}, header)
        signed = f"{_segment(members)}.{_segment(claims)}"
        return f"{signed}.{_base64url(_sign(signed.encode(), chosen, algorithm))}"

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a token that a published key has signed. Raises `BadToken`."""
        published = KeySet([self._keys[kid] for kid in self._published])
        try:
            return jwt.decode(token, published, algorithms=["RS256"]).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise BadToken("no token of a published key") from error

    def _choose(self, key: str) -> RSAKey:
        if key == "current":
            return self._keys[self._published[0]]
        if key == "unknown":
            self._stranger = self._stranger or _new_key()
            return self._stranger
        try:
            return self._keys[key]
        except KeyError:
            raise ValueError(f"key: write 'current', 'unknown' or a kid; got {key!r}") from None


def merged(members: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """`members` with `changes` applied; a change to None removes the member.

    >>> merged({"alg": "RS256", "kid": "a"}, {"kid": None, "typ": "JWT"})
    {'alg': 'RS256', 'typ': 'JWT'}
    """
    changes = changes or {}
    result = {**members, **changes}
    return {
        name: value for name, value in result.items() if value is not None or name not in changes
    }


def opaque_token() -> str:
    """A random token that looks like Cognito's refresh tokens (a compact JWE) and is as long."""
    header = _segment({"cty": "JWT", "enc": "A256GCM", "alg": "RSA-OAEP"})
    key, nonce, text, tag = (_base64url(secrets.token_bytes(size)) for size in (256, 12, 950, 16))
    return f"{header}.{key}.{nonce}.{text}.{tag}"


def _new_key() -> RSAKey:
    kid = base64.b64encode(secrets.token_bytes(32)).decode()  # of the form Cognito's have
    return RSAKey.generate_key(KEY_BITS, {"kid": kid, "use": "sig", "alg": "RS256"})


def _sign(signed: bytes, key: RSAKey, algorithm: str) -> bytes:
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        # The confusion attack: a verifier that lets the token choose would take the public key
        # for the shared secret (RFC 8725 2.1).
        return hmac.new(key.as_pem(private=False), signed, hashlib.sha256).digest()
    return JWSRegistry.algorithms[algorithm].sign(signed, key)


def _segment(members: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(members, separators=(",", ":")).encode())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
