"""The `Authorization` header: the Bearer token in it, and the answers to it (RFC 6750).

Rules:
- A header of another scheme (Basic, Digest, ...) is not ours. It passes as if it were not there.
- A Bearer header is one field with one token in the spelling of RFC 6750 2.1, of at most `MAX_SENT`
  bytes. Anything else of that scheme is `MALFORMED`: two fields (an ASGI server hands on both, a
  WSGI server joins them by a comma), no token, a space, a comma or another character in it.
- The answers are for programs: no redirect to a page, and always a problem document. They say which
  of RFC 6750's errors it is, and never why a token was refused.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Final

from ..errors import StepUpRequiredException
from .answers import BEARER_CHALLENGE, Answer, Asked, Refusals, insufficient, problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import AuthError

MAX_SENT: Final = 8192  # bytes of a token: many servers take no longer header
MALFORMED: Final = b""  # in place of a token
_SCHEME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_TOKEN: Final = re.compile(rb" +([A-Za-z0-9\-._~+/]+=*)")  # RFC 6750 2.1, RFC 9110 11.4
_JOINED: Final = re.compile(rb"(?i),[ \t]*bearer(?![!#$%&'*+\-.^_`|~0-9A-Za-z])")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 3.3
_CODES: Final = {400: "invalid_request", 401: "invalid_token"}


def bearer_token(value: bytes) -> bytes | None:
    """The token in the value of an `Authorization` header.

    None: the header is of another scheme. `MALFORMED`: it is an unreadable Bearer header.

    >>> bearer_token(b"bearer abc.def"), bearer_token(b"Basic YTpi"), bearer_token(b"Bearer a b")
    (b'abc.def', None, b'')
    """
    value = value.strip(b" \t")
    scheme = _SCHEME.match(value)
    if scheme is None:
        return MALFORMED
    if scheme[0].lower() != b"bearer":
        return MALFORMED if _JOINED.search(value, scheme.end()) else None
    token = _TOKEN.fullmatch(value, scheme.end())
    return token[1] if token is not None and len(token[1]) <= MAX_SENT else MALFORMED


def challenge(code: str = "", scopes: Sequence[str] = (), metadata: str | None = None) -> str:
    """The value of `WWW-Authenticate`. `code`: of RFC 6750 3.1. `scopes`: those that are needed.

    `metadata`: the address of the resource's metadata (RFC 9728 5.1).

    >>> print(challenge("insufficient_scope", ["orders/write"]))
    Bearer realm="api", error="insufficient_scope", scope="orders/write"
    """
    named = " ".join(scope for scope in scopes if _SCOPE.fullmatch(scope))
    parts = [
        BEARER_CHALLENGE,
        *([f'error="{code}"'] if code else []),
        *([f'scope="{named}"'] * bool(named)),
        *([f'resource_metadata="{metadata}"'] if metadata else []),
    ]
    return ", ".join(parts)


class BearerRefusals(Refusals):
    """The answers to requests with a Bearer token that may not pass."""

    def __init__(
        self, *, login_url: str | None, origins: Sequence[str], metadata: str | None = None
    ) -> None:
        """`metadata`: as that of `challenge`."""
        super().__init__(cookie_name="", login_url=login_url, origins=origins)
        self._metadata = metadata

    def answer_for(self, asked: Asked, error: AuthError, *, signed_in: bool = False) -> Answer:  # noqa: ARG002
        """The answer to a request stopped by `error`."""
        status, code = error.status_code, _CODES.get(error.status_code)
        if error.reason == "missing_scope":
            status, code = 403, "insufficient_scope"
        headers = []
        if isinstance(error, StepUpRequiredException):
            bare = challenge(metadata=self._metadata)
            headers.append(("WWW-Authenticate", f"{bare}, {insufficient(error)}"))
        elif code is not None:
            headers.append(("WWW-Authenticate", challenge(code, error.scopes, self._metadata)))
        if status == 503:
            headers.append(("Retry-After", str(max(1, ceil(error.retry_after or 2)))))
        answer = problem(status, headers=headers, vary="Authorization")
        return answer._replace(body=b"") if asked.method == "HEAD" else answer
