"""Taking a JWT apart (RFC 7515, 7519), strictly.

Rules:
- Three segments of canonical base64url without padding. Header and payload are JSON objects without
  duplicate members, NaN or lone surrogates. At most `MAX_TOKEN_BYTES` in all; session kinds put
  tighter limits on a cookie.
- Nothing in a parsed token is verified yet.
- Whatever the bytes, the only refusal is `InvalidToken` (`malformed_token`).
"""

import binascii
import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NoReturn, TypeAlias

from ..web import base64url
from .invalid import Facts, InvalidToken, too_large

MAX_TOKEN_BYTES: Final = 262_144
_USUAL_HEADER: Final = 1024  # bytes: longer ones are not cached


# Header, claims, the bytes that were signed, and the signature. A tuple, which is never kept: every
# new token makes one, and an object with fields would cost 0.4 µs more.
ParsedToken: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any], bytes, bytes]


def parse_token(token: bytes) -> ParsedToken:
    """Take `token` apart. Raises `InvalidToken` (`malformed_token`)."""
    if len(token) > MAX_TOKEN_BYTES:
        raise too_large(len(token), MAX_TOKEN_BYTES)
    segments = token.split(b".", 3)
    if len(segments) != 3:
        raise InvalidToken("malformed_token", None, partial(_miscounted, token))
    header, claims, signature = segments
    try:
        raw = base64url.decode(signature)
    except ValueError:
        raise InvalidToken("malformed_token", None, _bad_signature) from None
    parse = _known_header if len(header) <= _USUAL_HEADER else _parse_header
    return parse(header), parse_segment(claims), token[: -len(signature) - 1], raw


def _miscounted(token: bytes) -> Facts:
    return "segments", str(token.count(b".") + 1), "3"


def _bad_signature() -> Facts:
    return "signature", "", "base64url without padding"


def parse_segment(segment: bytes, name: str = "payload") -> dict[str, Any]:
    """The JSON object in one segment. Raises `InvalidToken` (`malformed_token`)."""
    text = ""
    try:
        text = base64url.decode(segment).decode().strip(" \t\r\n")
        value, end = _scan(text, 0)
        if end != len(text):
            raise ValueError("more than one JSON value")
        if "\\u" in text:  # no other spelling makes a lone surrogate
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses them
    except (ValueError, RecursionError) as error:
        raise InvalidToken("malformed_token", None, partial(_flaw, name, error)) from None
    except StopIteration as stop:  # the scanner's word for "no value from here on"
        flaw = json.JSONDecodeError("no value", text, stop.value)
        raise InvalidToken("malformed_token", None, partial(_flaw, name, flaw)) from None
    if type(value) is not dict:
        raise InvalidToken("malformed_token", None, partial(_flaw, name, None))
    return value


def _flaw(name: str, error: Exception | None) -> Facts:
    """The facts of a malformed segment, without quoting it. None: it holds no object."""
    if error is None:
        flaw = "another JSON value"
    elif isinstance(error, json.JSONDecodeError):
        flaw = f"not JSON from character {error.pos}"
    elif isinstance(error, UnicodeError):
        flaw = "not UTF-8"
    elif isinstance(error, RecursionError):
        flaw = "nested too deep"
    else:
        flaw = "not canonical base64url" if isinstance(error, binascii.Error) else str(error)
    return name, flaw, "a JSON object in base64url without padding"


def _parse_header(segment: bytes) -> dict[str, Any]:
    return parse_segment(segment, "header")


_known_header = lru_cache(maxsize=16)(_parse_header)  # all tokens of one key have one header


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_JSON: Final[Any] = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_no_constant)
_scan: Final[Callable[[str, int], tuple[Any, int]]] = _JSON.scan_once  # its `raw_decode`, in C
