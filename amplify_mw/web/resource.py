"""The metadata of a protected resource: where programs get tokens for this API (RFC 9728).

Rules:
- The resource comes from the configuration, and with it the address of its metadata; never from
  `Host`.
- The document is public, and the same for all: no credential is read for it, no cookie is set, and
  pages of every origin may read it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from .answers import Answer, problem

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_METHODS: Final = "GET, HEAD, OPTIONS"
_ANY_ORIGIN: Final = ("Access-Control-Allow-Origin", "*")
_MAX_AGE: Final = 3600  # seconds: a changed configuration shows after an hour


def metadata_url(resource: str) -> str:
    """The address of a resource's metadata (RFC 9728 3.1).

    >>> metadata_url("https://orders.example.com/mcp")
    'https://orders.example.com/.well-known/oauth-protected-resource/mcp'
    """
    parts = urlsplit(resource)
    path = "" if parts.path == "/" else parts.path
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{path}"


class ResourceMetadata:
    """The document of one resource, and the answers to requests for it.

    `issuers`: those of its user pools. `members`: more of RFC 9728 2. `path`: its path, decoded.
    """

    def __init__(self, resource: str, issuers: Sequence[str], members: Mapping[str, Any]) -> None:
        self.path: str = unquote(urlsplit(metadata_url(resource)).path)
        document = {
            "resource": resource,
            "authorization_servers": list(issuers),
            "bearer_methods_supported": ["header"],
            **members,
        }
        self._body = json.dumps(document).encode()

    def answer(self, method: str) -> Answer:
        """The answer to a request by `method`."""
        if method == "OPTIONS":
            return Answer(204, _PREFLIGHT, b"")
        if method not in ("GET", "HEAD"):
            return problem(405, headers=[("Allow", _METHODS), _ANY_ORIGIN])
        headers = (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self._body))),
            ("Cache-Control", f"public, max-age={_MAX_AGE}"),
            _ANY_ORIGIN,
        )
        return Answer(200, headers, b"" if method == "HEAD" else self._body)


# MCP's clients send a header of their own, for which browsers ask first.
_PREFLIGHT: Final = (
    ("Allow", _METHODS),
    _ANY_ORIGIN,
    ("Access-Control-Allow-Methods", _METHODS),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", str(_MAX_AGE)),
)
