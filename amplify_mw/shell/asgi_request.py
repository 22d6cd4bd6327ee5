"""An ASGI connection as values: its cookies, its paths, and what it asked for."""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..web.answers import Asked
from ..web.mounts import Placing, server_mount, without

Headers = Iterable[tuple[bytes, bytes]]


def joined_cookies(headers: Headers) -> bytes:
    """Several `Cookie` fields as one (RFC 9113 8.2.3)."""
    return b"; ".join([value for name, value in headers if name == b"cookie"])


def split_path(scope: Any) -> tuple[str, str]:
    """The mount and the path below it: servers and frameworks include `root_path` in the path."""
    root = server_mount(scope.get("root_path", ""))
    return root, without(scope["path"], root) or "/"


def asked_by(scope: Any, place: Placing) -> Asked:
    """An ASGI request as an `Asked`. `place`: gives its mount and public path."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    method = scope.get("method", "GET")
    mount, path = place(*split_path(scope), scope)
    return Asked(
        method=method,
        path=path,
        query=scope.get("query_string", b"").decode("latin-1"),
        accept=headers.get(b"accept", ""),
        sec_fetch_mode=headers.get(b"sec-fetch-mode", ""),
        sec_fetch_site=headers.get(b"sec-fetch-site", ""),
        is_preflight=method == "OPTIONS" and b"access-control-request-method" in headers,
        mount=mount,
        is_speculative=b"sec-purpose" in headers,
    )


def is_foreign_socket(headers: Headers, origins: set[bytes]) -> bool:
    """Whether a browser page of another origin opens this WebSocket. `origins`: the site's own."""
    sent = {value for name, value in headers if name == b"origin"}
    if not sent or sent <= origins:
        return False
    return not any(name == b"sec-fetch-site" and value == b"same-origin" for name, value in headers)
