"""The option `resource_metadata`: more members of a protected resource's metadata (RFC 9728).

Rules:
- The resource is the first name in `audience`: an address, to which RFC 9728 gives another.
- Addresses of the resource and of its pages are https, or http on this machine.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..web.origins import is_loopback

_ADDRESS: Final = re.compile(r"https?://[!$&-;=@-\[\]_a-z~]+")  # no query, escape or quote
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 3.3
_NAME: Final = "resource_name"
_PAGES: Final = ("resource_documentation", "resource_policy_uri", "resource_tos_uri")
_SCOPES: Final = "scopes_supported"


def check_resource_metadata(
    members: object, audience: Sequence[str], *, bearer: bool, insecure: bool
) -> dict[str, Any]:
    """Return the option, copied. `insecure`: the pool has `allow_insecure_http`."""
    if not isinstance(members, Mapping):
        raise ConfigurationError(
            "resource_metadata: write a mapping, such as {'scopes_supported': ['openid']}, or {}; "
            f"got {members!r}"
        )
    if not bearer:
        raise ConfigurationError(
            "resource_metadata: it tells programs how to get Bearer tokens; write bearer=True too"
        )
    resource = audience[0] if audience else None
    if resource is None or not _is_address(resource, insecure=insecure):
        raise ConfigurationError(
            "resource_metadata: it describes the first name in audience, which has to be the API's "
            "https:// address (http:// on this machine) without '?' and '%', such as "
            f"audience='https://orders.example.com/mcp'; got {resource!r}"
        )
    for name, value in members.items():
        _check_member(name, value, insecure=insecure)
    return {name: list(one) if name == _SCOPES else one for name, one in members.items()}


def _check_member(name: object, value: Any, *, insecure: bool) -> None:
    """Raise `ConfigurationError` for a member that is wrong, or the library's to write."""
    if name == _SCOPES:
        is_list = isinstance(value, list | tuple)
        good = is_list and all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in value)
        wanted = "a list of scopes, such as ['openid', 'orders/read']"
    elif name in _PAGES:
        good, wanted = _is_address(value, insecure=insecure), "an https:// address"
    elif isinstance(name, str) and name.partition("#")[0] == _NAME:  # `#`: a language
        good, wanted = isinstance(value, str) and bool(value), "a text"
    else:
        raise ConfigurationError(
            f"resource_metadata: {name!r} is not yours to write; the members are "
            f"{', '.join((_SCOPES, _NAME, *_PAGES))}"
        )
    if not good:
        raise ConfigurationError(f"resource_metadata: {name}: write {wanted}; got {value!r}")


def _is_address(value: object, *, insecure: bool) -> bool:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # parsed only now
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or insecure or is_loopback(parts.hostname)
