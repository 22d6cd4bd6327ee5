"""An HTTP proxy that leads out of the network: its address, read from text.

Rules:
- The text may hold a password: no message, repr or log shows any of it but the host and port.
- SOCKS is another protocol, which is refused by name.
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
    """Where a proxy is, and what it is told of the one who asks."""

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
    """The proxy at an address. Raises `ConfigurationError`, which does not quote it.

    >>> parse_proxy("http://ada:secret@proxy:3128")
    <Proxy proxy:3128>
    """
    if isinstance(text, str) and _SOCKS.match(text):
        raise ConfigurationError(f"SOCKS proxies are not supported; {_MEND}")
    is_clean = isinstance(text, str) and re.fullmatch(r"[!-~]+", text) is not None
    try:
        parts = urlsplit(str(text) if is_clean else "")
        port = parts.port
    except ValueError:  # which quotes it
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
