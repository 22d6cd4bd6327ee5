"""The operations on Cognito's own sessions: a user lists them, and ends one.

Rules:
- They need an access token with the scope of self-service, and know its user's sessions alone.
- The session of the access token itself is not ended here.
- `LINKED` ends the direct links, too: with a token session its origin, the SSO session; with an SSO
  session all token sessions of this origin.
- Known, by the API's reference: members, ids, links, and the refusal of the caller's own session.
- Guesses, since no error is documented: `OperationNotEnabledException` without tracking ("not
  available [...] for the current user pool configuration"), `InvalidParameterException` for the
  caller's own session, `ResourceNotFoundException` for an unknown one and another user's. An SSO
  session ended as `LINKED` may end the caller's own with it.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

from .ledger import Ledger, LocalUser
from .refusals import Members, Operation, Refused, refuse_parameter, text
from .tracking import PAGE_SIZE, SESSION_ID, Session

# By a request's access token: its user, and the origin_jti of its sign-in. Raises `Refused`.
Holder = Callable[[Members], tuple[LocalUser, str]]


class SessionOperations:
    """The operations, by name. `page_size`: sessions in one answer."""

    def __init__(self, ledger: Ledger, holder: Holder) -> None:
        self._ledger = ledger
        self._holder = holder
        self.page_size: int = PAGE_SIZE
        self.by_name: Mapping[str, Operation] = {
            "ListUserSessions": self._list,
            "RevokeUserSession": self._revoke,
        }

    def _list(self, body: Members) -> Members:
        user, own_jti = self._holder(body)
        self._check_tracking()
        after = _position(body)
        sessions = sorted(self._ledger.sessions_of(user).values(), key=_place)
        rest = [one for one in sessions if after is None or _place(one) > after]
        page, own = rest[: self.page_size], self._ledger.tracking.tokens.get(own_jti)
        more = {"NextToken": _page_token(page[-1])} if len(rest) > len(page) else {}
        return {"Sessions": [self._described(one, own) for one in page], **more}

    def _revoke(self, body: Members) -> Members:
        user, own_jti = self._holder(body)
        self._check_tracking()
        session_id = text(body, "SessionId")
        if not SESSION_ID.fullmatch(session_id):
            refuse_parameter("SessionId has to be 28 characters that begin with tkn or sso")
        is_linked = linked(body)
        own = self._ledger.tracking.tokens.get(own_jti)
        if own is not None and own.id == session_id:
            refuse_parameter("The current session cannot be revoked.")
        found = self._ledger.sessions_of(user)
        key = next((key for key, session in found.items() if session.id == session_id), None)
        if key is None:
            raise Refused("ResourceNotFoundException", "Session does not exist.")
        if found[key].type == "TOKEN":
            self._ledger.revoke(key, linked=is_linked)
        else:
            self._ledger.end_browser(key, linked=is_linked)
        return {}

    def _check_tracking(self) -> None:
        if not self._ledger.tracking.is_on:
            message = "Session tracking is not enabled for this user pool."
            raise Refused("OperationNotEnabledException", message)

    def _described(self, session: Session, own: Session | None) -> dict[str, Any]:
        origin = {} if session.origin is None else {"OriginSessionId": session.origin}
        return {
            "SessionId": session.id,
            "SessionType": session.type,
            "ClientId": self._ledger.client_id,
            "CreateDate": session.created_at,
            "LastActiveDate": session.seen_at,
            "DeviceType": session.device,
            "LastIPAddress": session.ip_address,
            "LastLocation": {"Country": "unknown"},
            **origin,
            "IsCurrentSession": own is not None and own.id == session.id,
        }


def linked(body: Members) -> bool:
    """Whether `RevokeAssociatedSessions` is LINKED. Raises `Refused`."""
    value = body.get("RevokeAssociatedSessions", "NONE")
    if value not in ("NONE", "LINKED"):
        refuse_parameter("RevokeAssociatedSessions has to be NONE or LINKED")
    return bool(value == "LINKED")


def _place(session: Session) -> tuple[float, str]:
    """The newest first. Activity does not change it, so that pages fit together."""
    return -session.created_at, session.id


def _page_token(last: Session) -> str:
    return urlsafe_b64encode(json.dumps(_place(last)).encode()).decode()


def _position(body: Members) -> tuple[float, str] | None:
    """The place behind a NextToken. Raises `Refused`."""
    if body.get("NextToken") is None:
        return None
    try:
        place, session_id = json.loads(urlsafe_b64decode(text(body, "NextToken")))
        return float(place), str(session_id)
    except (ValueError, TypeError, OverflowError, RecursionError):
        refuse_parameter("Invalid pagination token given.")
