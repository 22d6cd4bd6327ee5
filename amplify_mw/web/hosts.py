"""The host names under which sign-ins begin: an attempt's cookie is sent to no other.

Rules:
- `Host` is compared and told, and decides nothing: where anybody is sent is in the configuration.
- A proxy may write another `Host` than the browser has sent. Then sign-ins begin and end under that
  one, and nothing is told.
- A few names are remembered, the latest ones; a header that is no name is passed over.
"""

import re
from typing import Final

from .requests import excerpt, request_header

_MAX: Final = 8
_HOST: Final = re.compile(r"([a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")


class Hosts:
    """Where sign-ins have begun. `request`: as `request_header` takes it. `origin`: the site's."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def note(self, request: object, origin: str) -> None:
        """A sign-in begins."""
        host = _asked(request, origin)
        if host is not None:
            self._seen.pop(host, None)
            self._seen[host] = None
            for oldest in list(self._seen)[:-_MAX]:
                self._seen.pop(oldest, None)

    def elsewhere(self, request: object, origin: str) -> str:
        """Why a sign-in that ends in this request may have no cookie; empty: not for its host."""
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
    """The host of a request, without a port that goes without saying."""
    sent = request_header(request, "Host")
    host = sent[0].lower() if len(sent) == 1 else ""
    plain = host.removesuffix(":443" if origin.startswith("https:") else ":80")
    return plain if _HOST.fullmatch(plain) else None
