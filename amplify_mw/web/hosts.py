"""The addresses under which browsers open the site, compared with the configured ones for the log.

Rules:
- Browsers send an attempt's cookie to the host name alone under which its sign-in began.
- `Host` is compared and logged, and decides nothing: redirects go to places in the configuration.
- A proxy may write another `Host` than the browser has sent. Sign-ins then begin and end under its
  name, and nothing is logged.
- An origin is believed if the browser itself names it: by the `Referer` of its own page
  (`Sec-Fetch-Site: same-origin`). In development, on this machine, `Host` will do.
- Browsers send `Sec-Fetch-Site` over https, and to this machine. One that does not send it, with no
  proxy in between, has asked over plain http.
- The latest few names are remembered. A header without a valid name is ignored.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from .origins import is_loopback
from .requests import excerpt, request_header

_MAX: Final = 8
_PROXIES: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")
_HOST: Final = r"([a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?"


class Hosts:
    """The hosts of recent sign-ins.

    `request`: a WSGI environ or an ASGI scope. `origin`: the site's.
    """

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def note(self, request: object, origin: str) -> None:
        """Remember the host of a request that begins a sign-in."""
        host = _asked(request, origin)
        if host is not None:
            self._seen.pop(host, None)
            self._seen[host] = None
            for oldest in list(self._seen)[:-_MAX]:
                self._seen.pop(oldest, None)

    def elsewhere(self, request: object, origin: str) -> str:
        """Why a sign-in may lack its cookie at the end, for the log; "" if the host is not why."""
        host = _asked(request, origin)
        others = [seen for seen in list(self._seen) if seen != host]
        if host is None or not others:
            return ""
        return (
            f"sign-ins were begun under the Host {excerpt(others[-1])}, and this one ends under "
            f"{excerpt(host)}, where its cookie is not sent; open the site under the origin of "
            f"AuthRoutes, {origin!r}, alone"
        )


def other_origin(request: object, origin: str) -> str:
    """The origin at which a browser begins a sign-in; "" if it is `origin`, or unknown.

    >>> sent = {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_REFERER": "http://localhost:5000/a"}
    >>> other_origin(sent, "http://localhost:3000")
    'http://localhost:5000'
    """
    referers = request_header(request, "Referer")
    if request_header(request, "Sec-Fetch-Site") == ["same-origin"] and len(referers) == 1:
        found = _origin_of(referers[0])
        return found if found != _origin_of(origin) else ""
    host, (scheme, _, configured) = _asked(request, origin) or "", origin.partition("://")
    (name, port), (own_name, own_port) = _parts(host), _parts(configured)
    if not (is_loopback(name) and is_loopback(own_name)) or port == own_port:
        return ""  # (another name of this machine is told when the sign-in ends)
    return f"{scheme}://{host}"


def _origin_of(url: str) -> str:
    """The origin of an address, without the default port; "" if it has none."""
    scheme, colon, rest = url.lower().partition("://")
    host = re.match(_HOST, rest)
    if not colon or scheme not in ("http", "https") or host is None:
        return ""
    return f"{scheme}://{host[0].removesuffix(':443' if scheme == 'https' else ':80')}"


def _parts(host: str) -> tuple[str, str]:
    """The name and the port of a `Host`. (A client may have sent it: `urlsplit` would raise.)"""
    match = re.fullmatch(_HOST, host.lower())
    return ("", "") if match is None else (match[1].strip("[]"), match[2] or "")


def plain_http_host(request: Mapping[str, Any]) -> str:
    """The host that a browser has asked over plain http; "" if it is this machine, or unknown.

    `request`: a WSGI environ or an ASGI scope.
    """
    scheme = request.get("wsgi.url_scheme") or request.get("scheme", "http")
    told = request_header(request, "X-Forwarded-Proto")
    is_between = not told and any(request_header(request, name) for name in _PROXIES)
    is_plain = told == ["http"] or (scheme in ("http", "ws") and not told and not is_between)
    agent = request_header(request, "User-Agent")
    is_browser = any(value.startswith("Mozilla/") for value in agent)
    if not is_plain or not is_browser or request_header(request, "Sec-Fetch-Site"):
        return ""
    host = _asked(request, "http:") or ""
    return "" if is_loopback(_parts(host)[0]) else host


def _asked(request: object, origin: str) -> str | None:
    """The host of a request, without the default port; None without a valid one."""
    sent = request_header(request, "Host")
    host = sent[0].lower() if len(sent) == 1 else ""
    plain = host.removesuffix(":443" if origin.startswith("https:") else ":80")
    return plain if re.fullmatch(_HOST, plain) else None
