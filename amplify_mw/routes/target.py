r"""`?next=`: the page of this site to go to after the sign-in.

Rules:
- A target is a path of this site, with or without a query and fragment. No reader may take it for
  another site: it has no second slash or backslash at its beginning, and no backslash, control
  character or lone surrogate in its path, even after several rounds of percent-decoding. Encoded
  text in a query or fragment is no address.
- It is not a sign-in route, in any spelling: this would be a loop.
- Anything else becomes the default, silently.
- The target in a header is printable ASCII.
"""

import re
from collections.abc import Container
from typing import Final
from urllib.parse import quote, unquote

from ..web.paths import spellings

_LONGEST: Final = 2048  # characters, as it is written: it has to fit a cookie
_MAX_DECODINGS: Final = 4
_FORBIDDEN: Final = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_END_OF_PATH: Final = re.compile(r"[?#]")
_SAFE: Final = "/~!$&'()*+,;=:@?%#-._"


def safe_target(wanted: str | None, routes: Container[str], default: str) -> str:
    """`wanted`, if it is a page of this site, else `default`.

    `routes`: forbidden paths, in lower case.

    >>> safe_target("/orders?page=2", (), "/")
    '/orders?page=2'
    >>> safe_target("//evil.example", (), "/"), safe_target("/%5Cevil.example", (), "/")
    ('/', '/')
    """
    if not wanted or len(wanted) > _LONGEST or _FORBIDDEN.search(wanted):
        return default
    path = _END_OF_PATH.split(wanted, maxsplit=1)[0]
    readings = spellings(unquote(path)) if _is_here(path) else None
    if readings is None or any(reading.rstrip("/").lower() in routes for reading in readings):
        return default
    target = quote(wanted, safe=_SAFE)
    return target if len(target) <= _LONGEST else default


def _is_here(text: str) -> bool:
    """Whether every reading of a path stays on this site."""
    for _ in range(_MAX_DECODINGS):
        if not text.startswith("/") or text.startswith("//") or _FORBIDDEN.search(text):
            return False
        decoded = unquote(text, errors="surrogateescape")
        if decoded == text:
            return True
        text = decoded
    return False
