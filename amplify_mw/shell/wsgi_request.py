"""A WSGI request as values: its paths as text, and what it asked for (PEP 3333)."""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..web.answers import Asked
from ..web.mounts import Placing, server_mount


def text_of(path: str) -> str | None:
    """A path as text: WSGI spells its bytes in Latin-1. None if they are no UTF-8."""
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode("utf-8")
    except UnicodeEncodeError:
        return path  # a framework has decoded it already
    except UnicodeDecodeError:
        return None


def split_path(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The server's mount and the path below it, as WSGI spells them."""
    return server_mount(environ.get("SCRIPT_NAME", "")), environ.get("PATH_INFO", "")


def asked_by(environ: Mapping[str, Any], place: Placing) -> Asked:
    """A WSGI request as an `Asked`. `place`: gives its mount and public path."""
    mount, path = place(*split_path(environ), environ)
    return Asked(
        method=environ["REQUEST_METHOD"],
        path=text_of(path) or path,
        query=environ.get("QUERY_STRING", ""),
        accept=environ.get("HTTP_ACCEPT", ""),
        sec_fetch_mode=environ.get("HTTP_SEC_FETCH_MODE", ""),
        sec_fetch_site=environ.get("HTTP_SEC_FETCH_SITE", ""),
        is_preflight=environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ,
        mount=mount,
        is_speculative="HTTP_SEC_PURPOSE" in environ,
    )
