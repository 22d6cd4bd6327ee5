"""Origins and hosts, read strictly.

Rules:
- An origin is scheme, host and port, with no user, path or query.
- No message shows a password.
- A host is a name or an address of ASCII letters, digits, dots and hyphens.

Patterns are compiled on first use: they check configurations, of which most use few.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+"
_HOST: Final = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
_APP_ORIGIN: Final = r"([A-Za-z][A-Za-z0-9+.-]*)(://[A-Za-z0-9._~-]+(?::[0-9]{1,5})?)"
_OPAQUE: Final = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript"})
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def domains_above(host: str) -> tuple[str, ...]:
    """The domains whose cookies browsers send to `host`: its own, and those above it.

    A domain of a single label belongs to no site and is left out. An IP address has none.

    >>> domains_above("app.eu.example.com")
    ('app.eu.example.com', 'eu.example.com', 'example.com')
    >>> domains_above("localhost"), domains_above("192.0.2.1")
    ((), ())
    """
    labels = host.lower().split(".")
    found = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return tuple(domain for domain in found if is_domain(domain))


def is_domain(domain: object) -> bool:
    """Whether a cookie may name this as its Domain: a host name of two labels or more."""
    if not isinstance(domain, str) or not re.fullmatch(_DOMAIN, domain):
        return False
    return not domain.rpartition(".")[2].isdigit()  # an IPv4 address has no subdomains


def quoted(address: object) -> str:
    """An address for a message, without a user and a password in it.

    >>> print(quoted("https://ada:secret@example.com/"), quoted(None))
    'https://...@example.com/' None
    """
    return re.sub(r"(?s)^(b?['\"](?:[A-Za-z+.-]*://)?).*@", r"\1...@", repr(address))


def split_origin(origin: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of `origin`. Raises `ConfigurationError`."""
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
            f"'https://app.example.com'; got {quoted(origin)}"
        )
    return parts.scheme, parts.hostname, port


def app_origin(origin: str) -> str | None:
    """The origin of an app's web view or of a browser extension; None for the origin of a site.

    Only the scheme is lowered: these browsers write the rest as it is (`capacitor://localhost`).
    Raises `ConfigurationError` for an origin that many pages share or no page has.

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
    if scheme in _OPAQUE:
        raise ConfigurationError(
            f"browsers send 'null' for pages at {scheme}:, which cannot be told from others; write "
            "the origin of a site or an app, such as 'capacitor://localhost'"
        )
    match = re.fullmatch(_APP_ORIGIN, origin)
    if match is None or scheme in ("http", "https"):
        return None
    return scheme + match[2]


def is_loopback(host: str) -> bool:
    """Whether a host, as `urlsplit` writes it, is this machine."""
    return host in _LOOPBACK_HOSTS or host.endswith(".localhost")


def is_host(host: str) -> bool:
    """Whether this is a name to look up, of letters, digits and hyphens, or an IP address."""
    if ":" not in host:
        return re.fullmatch(_HOST, host) is not None
    from ipaddress import ip_address  # for IPv6 alone

    try:
        ip_address(host)
    except ValueError:
        return False
    return True
