r"""A line of the audit: one JSON object, in the field names of the Elastic Common Schema (ECS).

Rules:
- A line is printable ASCII, ended by its one newline. Control characters, terminal escapes, bidi
  marks and all other text of a client are escapes of JSON. No half of a surrogate pair is left:
  strict readers refuse it.
- Unknown fields are left out. ECS names are used as ECS means them; the others are below
  `amplify_mw`. `docs/audit.md` lists them all.
- Fields are added and never change their meaning. If one had to, `SCHEMA` would be another number.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from json import JSONEncoder
from time import gmtime, strftime
from typing import Any, Final, NamedTuple, TypeAlias

from ..events import Refused, Revoked, SignedIn, SignedOut, SignInFailed

Fields: TypeAlias = dict[str, Any]

SCHEMA: Final = 1
_ECS: Final[Fields] = {"version": "8.17.0"}
_LONGEST: Final = 500  # characters of a text that is no id
_encode: Final = JSONEncoder(separators=(",", ":")).encode


class Group(NamedTuple):
    """The common facts of refusals or failed sign-ins that are counted together."""

    kind: type[Any]
    reason: str
    status: int
    session: str | None
    pool_id: str | None
    client_id: str | None


class Sum(NamedTuple):
    """So many of a group, from the first to the last of them (seconds since the epoch)."""

    group: Group
    number: int
    since: float
    until: float


def _event(action: str, outcome: str, kind: str = "event", **more: object) -> Fields:
    """The fields of `event` that all lines of a kind have."""
    said = {"kind": kind, "module": "amplify_mw", "dataset": "amplify_mw.audit"}
    return {**said, "action": action, "outcome": outcome, **more}


_BOTH: Final = ["authentication", "session"]
_IN: Final = _event("signed_in", "success", category=_BOTH, type=["start"])
_OUT: Final = _event("signed_out", "success", category=_BOTH, type=["end"])
_FAILED: Final = _event("sign_in_failed", "failure", category=["authentication"], type=["start"])
_REFUSED: Final = _event("refused", "failure", category=["session"], type=["info"])
_REVOKED: Final = _event("revoked", "success", category=["session"], type=["info"])
_NOT_REVOKED: Final = {**_REVOKED, "action": "revocation_failed", "outcome": "failure"}
_MANY: Final[Mapping[type[Any], Fields]] = {
    Refused: {**_REFUSED, "kind": "metric"},
    SignInFailed: {**_FAILED, "kind": "metric", "type": ["info"]},
}
_LOST: Final = _event("lines_lost", "failure", type=["error"])


def line_of(event: object, now: float) -> bytes | None:
    """The line for an event at the time `now`; None if the audit is not about such events."""
    make = _MADE.get(type(event))
    return None if make is None else _line(now, make(event))


def line_of_many(many: Sum, now: float) -> bytes:
    """The line for refusals or failed sign-ins that have no line of their own."""
    group, number, since, until = many
    of_period = {"reason": group.reason, "start": time_of(since), "end": time_of(until)}
    fields: Fields = {
        "event": {**_MANY[group.kind], **of_period},
        "http": {"response": {"status_code": group.status}},
        "amplify_mw": _own(group, count=number),
    }
    return _line(now, fields)


def line_of_loss(lost: int, since: float, now: float) -> bytes:
    """The line for lines that could not be written. `since`: the time of the first."""
    said = {**_LOST, "start": time_of(since)}
    return _line(now, {"event": said, "amplify_mw": {"schema": SCHEMA, "lost": lost}})


def time_of(now: float) -> str:
    """A time as RFC 3339 writes it, in UTC.

    >>> time_of(1_800_000_000.25)
    '2027-01-15T08:00:00.250Z'
    """
    return f"{_second(int(now // 1))}.{int(now % 1 * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(now: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(now))


def _line(now: float, fields: Fields) -> bytes:
    fields = {"@timestamp": time_of(now), "ecs": _ECS, "process": {"pid": os.getpid()}, **fields}
    text = _encode(fields)
    if "\\ud" in text:  # perhaps half of a pair
        text = _encode(_whole(fields))
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _whole(value: Any) -> Any:
    """The same fields, with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _signed_in(event: SignedIn) -> Fields:
    return _fields(event, _IN, _own(event, by=event.by))


def _signed_out(event: SignedOut) -> Fields:
    return _fields(event, _OUT, _own(event, how=event.how))


def _refused(event: Refused) -> Fields:
    fields = _fields(event, {**_REFUSED, "reason": event.reason}, _own(event, at=event.at))
    return _said(fields, event)


def _sign_in_failed(event: SignInFailed) -> Fields:
    fields = _fields(event, {**_FAILED, "reason": event.reason}, _own(event, by=event.by))
    if event.pool_error:
        fields["error"] = {"code": event.pool_error[:_LONGEST]}
    return _said(fields, event)


def _revoked(event: Revoked) -> Fields:
    said = _REVOKED if event.is_done else {**_NOT_REVOKED, "reason": event.reason}
    fields: Fields = {"event": said}
    if event.user_id is not None:
        fields["user"] = {"id": event.user_id}
    fields["amplify_mw"] = _own(event, everywhere=event.everywhere)
    return fields


_MADE: Final[Mapping[type[Any], Callable[[Any], Fields]]] = {
    SignedIn: _signed_in,
    SignedOut: _signed_out,
    Refused: _refused,
    SignInFailed: _sign_in_failed,
    Revoked: _revoked,
}


def _fields(event: Any, said: Fields, own: Fields) -> Fields:
    """The fields for a request's event. `said`: those of `event`. `own`: those of `amplify_mw`."""
    fields: Fields = {"event": said}
    user_id = getattr(event, "user_id", None)
    if user_id is not None:
        fields["user"] = {"id": user_id}
    if event.address is not None:
        fields["source"] = {"ip": event.address}
    if event.method is not None:
        fields["http"] = {"request": {"method": event.method}}
    if event.path is not None:
        fields["url"] = {"path": event.path}
    fields["amplify_mw"] = own
    return fields


def _said(fields: Fields, event: Refused | SignInFailed) -> Fields:
    """The same fields, with the status, and the event's detail in words."""
    http = fields.setdefault("http", {})
    http["response"] = {"status_code": event.status}
    if event.detail:
        fields["message"] = event.detail[:_LONGEST]
    return fields


def _own(event: Any, **values: object) -> Fields:
    """The fields below `amplify_mw`, of an event or a group."""
    own: Fields = {"schema": SCHEMA, **values}
    if event.pool_id is not None:
        own["pool"] = event.pool_id
    if event.client_id is not None:
        own["client"] = event.client_id
    session = {"kind": getattr(event, "session", None), "handle": getattr(event, "handle", None)}
    session = {name: value for name, value in session.items() if value is not None}
    if session:
        own["session"] = session
    return own
