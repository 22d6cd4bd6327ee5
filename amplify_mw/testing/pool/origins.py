"""The web pages that may read the local user pool's answers (Cross-Origin Resource Sharing).

Rules:
- Cognito answers the pages of every origin. This pool answers those of the origins it is given: the
  machine's browser shows other sites, too.
- No answer allows credentials: the API depends on no cookie.
"""

from collections.abc import Iterable
from typing import Final

from werkzeug.wrappers import Request, Response

from ...config.checks import check_origin

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "*, Authorization",  # `*` leaves that one out (Fetch 4.9)
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "x-amzn-errortype, x-amzn-requestid, WWW-Authenticate"


def checked_origins(origins: Iterable[str]) -> tuple[str, ...]:
    """The origins, as browsers write them. Raises `ConfigurationError`."""
    if isinstance(origins, str):  # which would be a list of its characters
        origins = [origins]
    return tuple(dict.fromkeys(check_origin("origins", one, insecure=True) for one in origins))


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if a page may send a request (Fetch 4.8)."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def preflight() -> Response:
    """The answer to a preflight, before `share`."""
    return Response(b"", 204)


def share(request: Request, response: Response, origins: tuple[str, ...]) -> Response:
    """The response, for the page to read if its origin is one of these."""
    if not origins:
        return response
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin not in origins:
        return response
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if is_preflight(request):
        response.headers.update(_PREFLIGHT)
    return response
