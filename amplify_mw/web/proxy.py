"""The address of an HTTP proxy that leads out of the network, read from text.

Rules:
- The text may hold a password: messages, reprs and logs show the host and the port, nothing else.
- SOCKS is another protocol and is refused by name.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import ConfigurationError
from .origins import is_host

_PORTS: Final = {"http": 80, "https": 443}
_SOCKS: Final = re.compile(r"socks\w*:", re.IGNORECASE)
_MEND: Final = (
    "write the address of an HTTP proxy, such as 'http://proxy:3128' (user and password go before "
    "the host, percent-encoded: 'http://user:password@proxy:3128')"
)


class Proxy(NamedTuple):
    """The address of a proxy, and the user and password to send it."""

    scheme: str
    host: str
    port: int
    credentials: tuple[bytes, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Proxy {self}>"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_proxy(text: object) -> Proxy:
    """Parse a proxy's address. Raises `ConfigurationError`, without quoting the text.

    >>> parse_proxy("http://ada:secret@proxy:3128")
    <Proxy proxy:3128>
    """
    if isinstance(text, str) and _SOCKS.match(text):
        raise ConfigurationError(f"SOCKS proxies are not supported; {_MEND}")
    is_clean = isinstance(text, str) and re.fullmatch(r"[!-~]+", text) is not None
    try:
        parts = urlsplit(str(text) if is_clean else "")
        port = parts.port
    except ValueError:  # its message quotes the text
        raise ConfigurationError(_MEND) from None
    host = parts.hostname or ""
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in _PORTS or not is_bare or not is_host(host.replace("_", "-")):
        raise ConfigurationError(_MEND)
    credentials = None
    if parts.username is not None:
        password = unquote_to_bytes(parts.password or "")
        credentials = (unquote_to_bytes(parts.username), password)
    return Proxy(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, credentials)
