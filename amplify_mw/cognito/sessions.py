"""Cognito's own sessions of a user: listed, and ended one by one.

Rules:
- The user's own access token is asked with, with the scope `aws.cognito.signin.user.admin`. So only
  the signed-in user's sessions can be listed and ended.
- An end takes the linked sessions along: with a sign-in, the single sign-on session that it came
  through, so that its browser has to enter the password; with a single sign-on session, the
  sign-ins that came through it.
- Cognito does not end the sign-in of the access token itself.
- An entry without a usable id is left out; any other flaw leaves a field empty. An answer without a
  list is not Cognito's.
- A refusal here ends no session of ours: a refresh or `GetUser` says whether the sign-in is over.
- While Cognito throttles, is unavailable or refuses the set-up, this process makes no further calls
  (see `pace`). The pool's Regions are asked in turn (see `regions`).
"""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

from ..effects import (
    Flight,
    Flow,
    Join,
    Operation,
    OperationName,
    Request,
    Response,
    Unreachable,
)
from ..errors import NotAuthorizedException, TokenExpiredException
from ..models.cognito import CognitoSession
from .api import (
    FAILURES,
    TRACKING_OFF,
    UNAVAILABLE,
    Failure,
    call,
    failure_of,
    json_object,
    read_failure,
    said,
)
from .attributes import SELF_SERVICE_SCOPE
from .pace import Caller
from .regions import Regions, plain_call

T = TypeVar("T")
_MAX_PAGES: Final = 10  # Cognito gives all in one, of up to 125
_ID: Final = re.compile(r"(?:tkn|sso)[a-z0-9]{25}")  # SessionIdType of its service model
_PAGE_TOKEN: Final = re.compile(r"\S{1,131072}")  # PaginationKey
_KINDS: Final[dict[str, Literal["token", "sso"]]] = {"tkn": "token", "sso": "sso"}
_EXPIRED: Final = Failure(TokenExpiredException, "token_expired")
MISSING_SCOPE: Final = Failure(
    NotAuthorizedException,
    "missing_scope",
    message=(
        "Cognito's sessions are listed and ended with an access token: sign in with the scope "
        f"{SELF_SERVICE_SCOPE}, and use a kind of session that keeps this token."
    ),
)


class Page(NamedTuple):
    """A part of the list. `next_token`: asks for the next part."""

    sessions: tuple[CognitoSession, ...]
    next_token: str | None = None

    def __repr__(self) -> str:
        return f"<Page of {len(self.sessions)}>"


def is_handle(handle: object) -> bool:
    """Whether this has the form of a session's id at Cognito."""
    return isinstance(handle, str) and _ID.fullmatch(handle) is not None


# Requests and answers.


def list_user_sessions(endpoint: str, access_token: bytes, next_token: str | None) -> Request:
    """Ask for sessions of an access token's user. `read_page` reads the answer."""
    more = {} if next_token is None else {"NextToken": next_token}
    body = {"AccessToken": access_token.decode("ascii"), **more}
    return call(endpoint, "ListUserSessions", body)


def read_page(response: Response) -> Page | Failure:
    """The sessions in an answer to ListUserSessions, or its failure."""
    failure = _failure(response, "ListUserSessions")
    if failure is not None:
        return failure
    body = json_object(response)
    listed, token = body.get("Sessions"), body.get("NextToken")
    is_token = token is None or (isinstance(token, str) and _PAGE_TOKEN.fullmatch(token))
    if not isinstance(listed, list) or not is_token:
        return UNAVAILABLE  # a 200, but not from Cognito: a captive portal, a broken proxy
    return Page(tuple(filter(None, map(_session, listed))), token)


def revoke_user_session(endpoint: str, access_token: bytes, session_id: str) -> Request:
    """End one of the user's sessions, and those linked to it. `read_ended` reads the answer."""
    body = {
        "AccessToken": access_token.decode("ascii"),
        "SessionId": session_id,
        "RevokeAssociatedSessions": "LINKED",
    }
    return call(endpoint, "RevokeUserSession", body)


def read_ended(response: Response) -> Failure | None:
    """The failure in an answer to RevokeUserSession; None for a success."""
    return _failure(response, "RevokeUserSession")


def _failure(response: Response, operation: str) -> Failure | None:
    failure = read_failure(response, FAILURES[operation])
    if failure is None or failure.is_outage:
        return failure
    words, code = said(response), failure.code
    if "tracking" in words:
        return TRACKING_OFF._replace(code=code)
    if code == "NotAuthorizedException" and "scope" in words:
        return MISSING_SCOPE._replace(code=code)
    if code == "NotAuthorizedException" and "expired" in words:
        return _EXPIRED._replace(code=code)
    return failure


def _session(entry: object) -> CognitoSession | None:
    """An entry of the list; None without a usable id."""
    if not isinstance(entry, dict) or not is_handle(entry.get("SessionId")):
        return None
    handle, origin, place = (
        entry["SessionId"],
        entry.get("OriginSessionId"),
        entry.get("LastLocation"),
    )
    place = place if isinstance(place, dict) else {}
    return CognitoSession(
        handle=handle,
        kind=_KINDS[handle[:3]],
        client_id=_text(entry, "ClientId"),
        created_at=_time(entry, "CreateDate"),
        seen_at=_time(entry, "LastActiveDate"),
        device=_text(entry, "DeviceType"),
        ip_address=_text(entry, "LastIPAddress"),
        city=_text(place, "City"),
        country=_text(place, "Country"),
        origin=origin if is_handle(origin) else None,
        is_current=entry.get("IsCurrentSession") is True,
    )


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _time(members: dict[str, Any], name: str) -> float:
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if abs(value) < 2**53 and math.isfinite(value) else 0.0


# Flows.


class Holder(NamedTuple):
    """A user (`sub`) with an access token, and the addresses of the user pool's API."""

    access_token: bytes
    sub: str
    pool: str
    endpoints: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Holder in {self.pool}>"

    @property
    def caller(self) -> Caller:
        """The user as a caller of Cognito."""
        return Caller(self.pool, sub=self.sub)


def listing(
    regions: Regions, holder: Holder, now: float
) -> Flow[dict[str, CognitoSession] | Failure]:
    """A user's sessions by their handles, the one seen last first; or the failure."""
    return (yield from _fly("list_sessions", "ListUserSessions", "", holder, regions, _list, now))


def ending(regions: Regions, holder: Holder, session_id: str, now: float) -> Flow[Failure | None]:
    """End one of the sessions, which is not that of the access token; returns the failure."""

    def end(holder: Holder, regions: Regions, now: float) -> Flow[Failure | None]:
        token = holder.access_token
        call = plain_call(
            holder.endpoints,
            lambda place: revoke_user_session(place, token, session_id),
            read_ended,
        )
        return (yield from regions.ask(call, holder.caller, now))[0]

    fly = partial(_fly, "end_session", "RevokeUserSession", session_id)
    return (yield from fly(holder, regions, end, now))


def _fly(
    name: OperationName,
    operation: str,
    what: str,
    holder: Holder,
    regions: Regions,
    flow: Callable[[Holder, Regions, float], Flow[T]],
    now: float,
) -> Flow[T | Failure]:
    """The result of a flight, shared by all who ask the same meanwhile."""
    from hashlib import sha256

    paused = regions.meanwhile(holder.endpoints, holder.caller, now)
    if paused is not None:
        return paused
    key = (operation, holder.endpoints, sha256(holder.access_token).digest(), what)
    try:
        carry_out = partial(flow, holder, regions)
        result, _ = yield Join(Flight(key, carry_out, operation=Operation(name, failure_of)))
    except Unreachable:
        return UNAVAILABLE
    answer: T | Failure = result
    return answer


def _list(
    holder: Holder, regions: Regions, now: float
) -> Flow[dict[str, CognitoSession] | Failure]:
    """The flight: all parts of the list."""
    found: list[CognitoSession] = []
    token: str | None = None
    for _ in range(_MAX_PAGES):
        ask = partial(_ask_for_page, holder, token)
        answer, now = yield from regions.ask(
            plain_call(holder.endpoints, ask, read_page), holder.caller, now
        )
        if isinstance(answer, Failure):
            return answer
        found += answer.sessions
        if answer.next_token in (None, token):
            break
        token = answer.next_token
    found.sort(key=lambda session: session.seen_at, reverse=True)
    return {session.handle: session for session in found}


def _ask_for_page(holder: Holder, next_token: str | None, place: str) -> Request:
    return list_user_sessions(place, holder.access_token, next_token)
