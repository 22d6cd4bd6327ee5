"""The address of a client, in the header in which a trusted proxy says it.

Rules:
- The configuration names the header, and how many proxies add to it. Nothing is guessed, and the
  address of the connection is never taken: behind a proxy it is the proxy's.
- Each proxy writes its own client's address at the right end of the list. Entries further left than
  the trusted proxies have written are a client's own text, and are never read.
- The result is an IP address in its one spelling, or None: no other text leaves this file.
"""

import re
from functools import lru_cache
from typing import Final

from .requests import request_header

# An IPv4 address may have a port; an IPv6 address with one is in brackets.
_PORT: Final = r"(?::[0-9]{1,5})?"
_V6: Final = "([0-9A-Fa-f:.]{2,45})"
_ENTRY: Final = rf"([0-9.]{{7,15}}){_PORT}|\[{_V6}\]{_PORT}|{_V6}"
# Amazon CloudFront always adds the port, and writes no brackets.
_WITH_PORT: Final = frozenset({"cloudfront-viewer-address"})


def client_address(request: object, name: str, trusted: int = 1) -> str | None:
    """The client's IP address in the header `name`; None if there is none.

    `request`: as `request_header` takes it. `trusted`: the number of proxies that add an entry.

    >>> client_address({"HTTP_X_FORWARDED_FOR": "6.6.6.6, 203.0.113.7"}, "X-Forwarded-For")
    '203.0.113.7'
    >>> client_address([(b"x-real-ip", b"[2001:DB8::7]:4711")], "X-Real-IP")
    '2001:db8::7'
    """
    entries = ",".join(request_header(request, name)).rsplit(",", trusted)
    if len(entries) < trusted:
        return None
    entry = entries[-trusted].strip(" \t")
    if name.lower() in _WITH_PORT:
        entry, _, port = entry.rpartition(":")
        if not re.fullmatch("[0-9]{1,5}", port):
            return None
    return _address(entry)


def _address(text: str) -> str | None:
    """An IP address in its one spelling; None for anything else."""
    found = re.fullmatch(_ENTRY, text)
    return None if found is None else _spelled(found[1] or found[2] or found[3])


@lru_cache(maxsize=1024)  # of short texts; a flood comes from few addresses
def _spelled(text: str) -> str | None:
    from ipaddress import IPv6Address, ip_address  # 3 ms: with the first event

    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
