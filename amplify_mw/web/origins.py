"""Origins and hosts, read strictly.

Rules:
- An origin is scheme, host and port, with no user, path or query.
- A host is a name or an address of ASCII letters, digits, dots and hyphens.
"""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+")


_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


_APP_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://[A-Za-z0-9._~-]+(?::[0-9]{1,5})?)")


_NOBODYS: Final = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript"})


_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def domains_above(host: str) -> tuple[str, ...]:
    """The domains whose cookies browsers send to `host`: its own, and those above it.

    None of a single label, which is no site's, and none of an IP address, whose cookies have none.

    >>> domains_above("app.eu.example.com")
    ('app.eu.example.com', 'eu.example.com', 'example.com')
    >>> domains_above("localhost"), domains_above("192.0.2.1")
    ((), ())
    """
    labels = host.lower().split(".")
    found = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return tuple(domain for domain in found if _is_domain(domain))


def _is_domain(domain: object) -> bool:
    if not isinstance(domain, str) or not _DOMAIN.fullmatch(domain):
        return False
    return not domain.rpartition(".")[2].isdigit()  # an IPv4 address has no subdomains


def split_origin(origin: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of `origin`, or a ConfigurationError."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except (ValueError, TypeError, AttributeError):
        parts, port = urlsplit(""), None
    bare = isinstance(origin, str) and origin == f"{parts.scheme}://{parts.netloc}"
    bare = bare and origin.isascii() and not set(" @*") & set(origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise ConfigurationError(
            "write an origin, which is scheme, host and port without the slash after them, such as "
            f"'https://app.example.com'; got {origin!r}"
        )
    return parts.scheme, parts.hostname, port


def app_origin(origin: str) -> str | None:
    """The origin of an app's web view or of a browser's extension; None for a site's.

    They are compared as they stand, which is how these browsers write them: `capacitor://localhost`.
    Raises `ConfigurationError` for what no page that can be told from others has.

    >>> app_origin("tauri://localhost"), app_origin("https://app.example.com")
    ('tauri://localhost', None)
    """
    if origin == "null":
        raise ConfigurationError(
            "'null' is what every sandboxed page sends, whoever made it; where a page of your own "
            "sends it, have that page answered with `Referrer-Policy: same-origin` in place of "
            "`no-referrer`, or write csrf_exempt=['/that/path'] and check a token of your own"
        )
    scheme = origin.partition(":")[0].lower()
    if scheme in ("ws", "wss"):
        raise ConfigurationError(
            "a WebSocket comes from a page, whose origin begins with https://; write that; got "
            f"{origin!r}"
        )
    if scheme in _NOBODYS:
        raise ConfigurationError(
            f"browsers send 'null' for pages at {scheme}:, which cannot be told from others; write "
            "the origin of a site or an app, such as 'capacitor://localhost'"
        )
    match = _APP_ORIGIN.fullmatch(origin)
    if match is None or scheme in ("http", "https"):
        return None
    return scheme + match[2]


def is_loopback(host: str) -> bool:
    """Whether a host, as `urlsplit` writes it, is this very machine."""
    return host in _LOOPBACK_HOSTS or host.endswith(".localhost")


def is_host(host: str) -> bool:
    """Whether this can be looked up: labels of letters, digits and hyphens, or an IP address."""
    if ":" not in host:
        return _HOST.fullmatch(host) is not None
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
