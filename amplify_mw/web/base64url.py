"""Base64url without padding (RFC 7515 2), in its one canonical spelling.

Rules:
- Decode only text that encodes back to itself: no padding, no white space, no other alphabet, no
  spare bits. So each value has one spelling.
- Raise nothing but `ValueError`.
"""

from binascii import a2b_base64, b2a_base64
from typing import Final

_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/   ")  # a space is in neither alphabet
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", b"", b"==", b"=")  # by the length modulo 4
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")  # the characters whose spare bits are zero


def encode(content: bytes) -> bytes:
    """Encode bytes as base64url.

    >>> encode(b"amplify?")
    b'YW1wbGlmeT8'
    """
    return b2a_base64(content, newline=False).translate(_TO_URL, b"=")


def decode(text: bytes) -> bytes:
    """Decode the output of `encode`. Raises `ValueError` for any other spelling."""
    surplus = len(text) % 4
    if surplus and text[-1] not in _LAST[surplus]:
        raise ValueError("not canonical base64url")
    if not text.isalnum():  # letters and digits are the same in both alphabets
        text = text.translate(_TO_STANDARD)
    return a2b_base64(text + _PADDING[surplus], strict_mode=True)
