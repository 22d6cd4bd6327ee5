r"""`?next=`: which page of this very site somebody is to go to.

Rules:
- A target is a path of this site, with a query and fragment if it has them. However it is spelled,
  no reader may take it for another site: no second slash or backslash at its beginning, and in the
  path no backslash, control character or lone surrogate, however often it is percent-decoded. What
  a query or fragment has encoded is nobody's address.
- It is none of the sign-in routes, in no spelling: that would go round in circles.
- What is none becomes the default; nobody is told.
- What is written to a header is printable ASCII.
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
    """Where to go: `wanted`, if that is a page of this site, or else `default`.

    `routes`: paths that nobody is sent to, in lower case.

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
    """Whether no reading of a path leaves this site."""
    for _ in range(_MAX_DECODINGS):
        if not text.startswith("/") or text.startswith("//") or _FORBIDDEN.search(text):
            return False
        decoded = unquote(text, errors="surrogateescape")
        if decoded == text:
            return True
        text = decoded
    return False
