"""The host names under which sign-ins begin: browsers send an attempt's cookie to no other.

Rules:
- `Host` is compared and logged, and decides nothing: redirects go to places in the configuration.
- A proxy may write another `Host` than the browser has sent. Sign-ins then begin and end under its
  name, and nothing is logged.
- The latest few names are remembered. A header without a valid name is ignored.
"""

import re
from typing import Final

from .requests import excerpt, request_header

_MAX: Final = 8
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


def _asked(request: object, origin: str) -> str | None:
    """The host of a request, without the default port; None without a valid one."""
    sent = request_header(request, "Host")
    host = sent[0].lower() if len(sent) == 1 else ""
    plain = host.removesuffix(":443" if origin.startswith("https:") else ":80")
    return plain if re.fullmatch(_HOST, plain) else None
