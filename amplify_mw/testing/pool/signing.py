"""The signing keys of the local user pool, and the JWTs made with them.

Rules:
- The newest key signs; the published ones are in the key set. A key taken out of the set is kept
  for `mint`.
- Making an RSA key is slow, so the pools of a process share keys unless they are given one. Pools
  are told apart by `iss`; the key proves only which process a token is from.
- Each process makes its own keys. They are written nowhere but to a pool's state file, and a pool
  with one shares no key.
- `write` makes any token, wrong ones too: it signs by hand and checks nothing. `read` is strict.
- Nothing here locks; the pool does.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry

KEY_BITS: Final = 2048


class BadToken(ValueError):
    """The token is not signed by a published key."""


class SigningKeys:
    """The RSA keys of one pool: those it has signed with so far.

    `key`: the first of them. None: the keys are this process's, made when they are first needed
    and shared with its other pools. A pool with a key of its own shares none.
    """

    def __init__(self, key: RSAKey | None = None) -> None:
        self._shares = key is None
        self._ever: list[RSAKey] = []  # oldest first
        self._oldest_published = 0
        if key is not None:
            key.ensure_kid()
            self._ever.append(key)

    @classmethod
    def imported(cls, members: Mapping[str, Any]) -> Self:
        """The keys of a state file. Raises `ValueError` and the like if they are none."""
        keys = cls(RSAKey.import_key(members["keys"][0]))
        keys._ever += [RSAKey.import_key(one) for one in members["keys"][1:]]
        keys._oldest_published = int(members["oldest_published"])
        if not keys._published() or not all(key.is_private and key.kid for key in keys._ever):
            raise ValueError("a private key with a kid is missing")
        return keys

    def exported(self) -> dict[str, Any]:
        """The keys, private ones, for a state file."""
        return {
            "oldest_published": self._oldest_published,
            "keys": [key.as_dict(private=True) for key in self._used()],
        }

    def rotate(self, *, keep_old: bool) -> str:
        """Sign using a new key from now on; its `kid`. Unless `keep_old`, publish only this one."""
        number = len(self._used())
        key = _shared_key(number) if self._shares else new_signing_key()
        self._ever.append(key)
        if not keep_old:
            self._oldest_published = number
        return str(key.kid)

    def jwks(self) -> dict[str, Any]:
        """The published key set (RFC 7517), newest key first."""
        return {"keys": [key.as_dict(private=False) for key in self._published()]}

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
        """The claims of a token signed by a published key. Raises `BadToken`."""
        published = KeySet([*self._published()])
        try:
            return jwt.decode(token, published, algorithms=["RS256"]).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise BadToken("no token of a published key") from error

    def _choose(self, key: str) -> RSAKey:
        if key == "current":
            return self._used()[-1]
        if key == "unknown":
            return _shared_key("unknown")
        for used in self._used():
            if used.kid == key:
                return used
        raise ValueError(f"key: write 'current', 'unknown' or a kid; got {key!r}")

    def _published(self) -> list[RSAKey]:
        """The keys of the key set, newest first."""
        return self._used()[self._oldest_published :][::-1]

    def _used(self) -> list[RSAKey]:
        """The keys so far, oldest first. There is at least one."""
        if not self._ever:
            self._ever.append(_shared_key(0))
        return self._ever


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
    """A random token, in form and length like Cognito's refresh tokens (a compact JWE)."""
    header = _segment({"cty": "JWT", "enc": "A256GCM", "alg": "RSA-OAEP"})
    key, nonce, text, tag = (_base64url(secrets.token_bytes(size)) for size in (256, 12, 950, 16))
    return f"{header}.{key}.{nonce}.{text}.{tag}"


def new_signing_key() -> RSAKey:
    """A new RSA key, with a `kid` like Cognito's, for a pool with a key of its own.

    `LocalUserPool(key=new_signing_key())`. Making one takes about a tenth of a second.
    """
    kid = base64.b64encode(secrets.token_bytes(32)).decode()
    return RSAKey.generate_key(KEY_BITS, {"kid": kid, "use": "sig", "alg": "RS256"})


# A pool's first key is 0, the next one 1. A key "unknown" is in no key set.
_shared_keys: Final[dict[int | str, RSAKey]] = {}


def _shared_key(name: int | str) -> RSAKey:
    """The key of this process under a name, made when it is first needed.

    There is no lock, since a fork could leave one held for good: two threads at once may both make
    a key, and both get the same one.
    """
    key = _shared_keys.get(name)
    return key if key is not None else _shared_keys.setdefault(name, new_signing_key())


def _sign(signed: bytes, key: RSAKey, algorithm: str) -> bytes:
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        # The confusion attack: a careless verifier lets the token choose the algorithm, and takes
        # the public key for a shared secret (RFC 8725 2.1).
        return hmac.new(key.as_pem(private=False), signed, hashlib.sha256).digest()
    return JWSRegistry.algorithms[algorithm].sign(signed, key)


def _segment(members: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(members, separators=(",", ":")).encode())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
