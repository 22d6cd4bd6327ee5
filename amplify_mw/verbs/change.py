"""Changing a request's session: whether it is allowed, and the session in place.

Rules:
- A change after the response's headers have gone raises `ResponseStartedError`; it is never lost
  silently.
- Another site's page starts and ends no session: a request with a foreign `Sec-Fetch-Site` or
  `Origin` is refused, unless the call says `allow_cross_site=True` (login CSRF).
- A request with a Bearer token never does: no header starts, refreshes or ends a cookie's session.
- A prefetch or a prerender (`Sec-Purpose`) never does: nobody has opened the page, and browsers
  call the request typed even if another site's page caused it.
"""

from typing import Final

from ..authenticator import Authenticator, Visit
from ..cognito.invalid import InvalidToken
from ..cognito.verifier import VerifiedToken
from ..engine.reporting import report_refusal
from ..errors import (
    ForbiddenException,
    NotHandedOverError,
    ResponseStartedError,
    bearer_request,
)
from ..sessions.handed import HandedOver
from ..sessions.verdicts import CookieValue, SignedIn
from ..web.cookies import Duplicate
from ..web.requests import came_by_hop, is_foreign, is_speculative, page_of

_AHEAD: Final = (
    "The browser asked for this ahead of any click (Sec-Purpose: a prefetch, a prerender). It asks "
    "again when somebody opens the page; a form (POST) is never asked for ahead."
)
_CROSS_SITE: Final = (
    "Another site's page asked for this. If it is one of your own, name it in "
    "AmplifyConfig(origins=['https://app.example.com']); where any site may, write "
    "allow_cross_site=True."
)


def refuse_bearer(visit: Visit, verb: str) -> None:
    """Raise `InvalidRequestException` in a request with a Bearer token.

    Raises `NotHandedOverError` in a job, which has no session.
    """
    if isinstance(visit.verdict, HandedOver):
        raise NotHandedOverError("the session")
    if not visit.source.is_ambient:
        error = bearer_request()
        report_refusal(visit, error.reason, error.status_code, at=verb)
        raise error


def refuse_late(visit: Visit, verb: str) -> None:
    """Raise `ResponseStartedError` once the response has begun."""
    if visit.begun:
        raise ResponseStartedError(verb)


def refuse_speculative(visit: Visit, verb: str) -> None:
    """Raise `ForbiddenException` for a prefetch or a prerender."""
    if is_speculative(visit.headers):
        said = "a prefetch or a prerender"
        report_refusal(visit, "speculative_request", 403, at=verb, detail=said)
        raise ForbiddenException(_AHEAD, reason="speculative_request")


def refuse_foreign(visit: Visit, verb: str, *, allow_cross_site: bool) -> None:
    """Raise `ForbiddenException` for another site's request, unless any site's is allowed.

    Raises `ResponseStartedError` once the response has begun: the request's headers are gone then.
    """
    if allow_cross_site:
        return
    refuse_late(visit, verb)
    hopped = came_by_hop(visit.headers, visit.cookies)
    if hopped or is_foreign(visit.headers, visit.home.config.known_origins):
        why = "another site's link has led here" if hopped else page_of(visit.headers)
        report_refusal(visit, "cross_site", 403, at=verb, detail=why)
        raise ForbiddenException(_CROSS_SITE, reason="cross_site")


def sent_cookie(visit: Visit) -> CookieValue | Duplicate | None:
    """The value of the session cookie in the request."""
    return None if visit.cookies is None else visit.home.cookie.read(visit.cookies)


def present_cookie(visit: Visit) -> CookieValue | None:
    """The cookie value of the present session."""
    if isinstance(visit.verdict, SignedIn):
        return visit.verdict.value or None
    value = None if visit.by_app or visit.pinned else sent_cookie(visit)
    return None if isinstance(value, Duplicate) else value


def present_cookies(visit: Visit) -> tuple[CookieValue, ...]:
    """The same, and every value of a cookie that was sent more than once.

    All of these sessions end together: otherwise a copy of one would stay valid.
    """
    value = present_cookie(visit)
    own = () if value is None else (value,)
    if visit.cookies is None or visit.by_app or visit.pinned:
        return own
    return tuple(dict.fromkeys((*own, *visit.home.cookie.ambiguous(visit.cookies))))


def readable(home: Authenticator, token: bytes | None, now: float) -> VerifiedToken | None:
    """The content of a session's access token; None if it is no longer one of ours."""
    try:
        return home.verifier.read(token, now) if token else None
    except InvalidToken:
        return None
