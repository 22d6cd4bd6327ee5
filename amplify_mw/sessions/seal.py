"""Sealing a cookie's content: compact JWE (RFC 7516), `dir`, `A256GCM`, with a `kid`.

Rules:
- Content keys are derived from the configured ones, one for each cookie name and app client: a
  value sealed for one opens with no other. The `kid` is derived from the same, and reveals neither.
- The protected header has one spelling for each content key, and is looked up verbatim: no JSON
  from a client is read, and no algorithm is chosen.
- Everything is canonical base64url, so that one sealed value has one spelling.
- Any value that does not open gives the same answer: None. A well-formed value under another key
  can be recognised by its `kid`: another process may have that key.
- No more than 2**32 values should be sealed with one key (NIST SP 800-38D 8.3, for random IVs).
"""

import hmac
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import ConfigurationError
from ..web import base64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_SEALED: Final = 65_536  # characters; servers refuse longer headers, and browsers keep less
KEY_BYTES: Final = 32
_IV = 12  # bytes, as the next two
_TAG = 16
_KID = 6
_CONTENT_KEY: Final = b"amplify_mw sealed session v1"
_HEADER: Final = re.compile(rb'\{"alg":"dir","enc":"A256GCM","kid":"[\w-]{8}"\}', re.ASCII)
_KEY_ID: Final = b"amplify_mw sealed session v1 kid"


def parse_key(key: str | bytes) -> bytes:
    """The 32 bytes of a key, given raw or as `key_text` spells them.

    White space around it (a file's last newline) and one `=` at its end do not matter. Raises
    `ConfigurationError`, which does not show the key.
    """
    if isinstance(key, bytes) and len(key) == KEY_BYTES:
        return key
    try:
        text = key.encode("ascii") if isinstance(key, str) else key
        raw = base64url.decode(text.strip().removesuffix(b"="))
    except (ValueError, AttributeError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigurationError(
            "keys: write 32 random bytes, base64url-encoded, as `amplify-mw keygen` prints them"
        )
    return raw


def key_text(raw: bytes) -> str:
    """A key as text: 43 characters.

    >>> key_text(bytes(32))
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return base64url.encode(raw).decode("ascii")


class _Context(NamedTuple):
    """Seals for one client: the encoded header, which names the key, and the cipher."""

    header: bytes
    cipher: "AESGCM"
    client_id: str | None

    def __repr__(self) -> str:
        return "<_Context>"


class Seal:
    """Seals with the first of `keys` (32 bytes each), opens with any.

    `cookie_name`: the cookie for the values. `client_ids`: the app clients to seal for; None: one
    seal for any client. `max_sealed`: characters of a value.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        cookie_name: str,
        client_ids: frozenset[str] | None,
        max_sealed: int = MAX_SEALED,
    ) -> None:
        self._max_sealed = max_sealed
        self._sealing: dict[str | None, _Context] = {}
        self._by_header: dict[bytes, _Context] = {}
        self._is_for_any = client_ids is None
        for client_id in [None] if client_ids is None else client_ids:
            for key in keys:
                context = _context(key, cookie_name, client_id)
                self._sealing.setdefault(client_id, context)
                self._by_header.setdefault(context.header, context)

    def seal(self, plain: bytes, client_id: str, iv: bytes) -> bytes:
        """`plain` sealed for a client. `iv`: 12 random bytes, never used before.

        Raises `ValueError` if the result would be longer than `open` accepts (`max_sealed`), and
        `KeyError` for a client that is not configured.
        """
        if len(iv) != _IV:
            raise ValueError("iv: 12 bytes are needed")
        header, cipher, _ = self._sealing[None if self._is_for_any else client_id]
        sealed = cipher.encrypt(iv, plain, header)
        text, tag = base64url.encode(sealed[:-_TAG]), base64url.encode(sealed[-_TAG:])
        value = b"%b..%b.%b.%b" % (header, base64url.encode(iv), text, tag)
        if len(value) > self._max_sealed:
            raise ValueError("too large to be sealed")
        return value

    def open(self, value: bytes) -> tuple[bytes, str | None] | None:
        """The sealed bytes, and their client (None: any); None for a value that does not open."""
        if len(value) > self._max_sealed:
            return None
        segments = value.split(b".", 4)
        if len(segments) != 5:
            return None
        header, key, iv, text, tag = segments
        context = self._by_header.get(header)
        if context is None or key:
            return None
        plain = _decrypted(context, iv, text, tag)
        return None if plain is None else (plain, context.client_id)

    def is_of_another_key(self, value: bytes) -> bool:
        """Whether a value that did not open is well-formed and names an unknown key.

        Anybody can write such a value. It proves nothing.
        """
        segments = value.split(b".", 4)
        if len(value) > self._max_sealed or len(segments) != 5 or segments[0] in self._by_header:
            return False
        header, key, iv, text, tag = segments
        try:
            sizes = len(base64url.decode(iv)), len(base64url.decode(tag))
            named = _HEADER.fullmatch(base64url.decode(header))
            base64url.decode(text)
        except ValueError:
            return False
        return named is not None and not key and bool(text) and sizes == (_IV, _TAG)


def _decrypted(context: _Context, iv: bytes, text: bytes, tag: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    try:
        nonce, sealed, mark = base64url.decode(iv), base64url.decode(text), base64url.decode(tag)
        if len(nonce) != _IV or len(mark) != _TAG:  # text and tag are parted in one place only
            return None
        return context.cipher.decrypt(nonce, sealed + mark, context.header)
    except (ValueError, InvalidTag):
        return None


def _context(key: bytes, cookie_name: str, client_id: str | None) -> _Context:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 30 ms, once

    # No cookie's name has a NUL in it, so that name and client cannot be taken for others.
    purpose = b"\0%b\0%b" % (cookie_name.encode("ascii"), (client_id or "").encode())
    kid = base64url.encode(hmac.digest(key, _KEY_ID + purpose, "sha256")[:_KID])
    header = base64url.encode(b'{"alg":"dir","enc":"A256GCM","kid":"%b"}' % kid)
    content_key = hmac.digest(key, _CONTENT_KEY + purpose, "sha256")
    return _Context(header, AESGCM(content_key), client_id)
