"""The log's lines: how the log, the first listener, puts each event in words.

Rules:
- A refusal is a line at DEBUG; a fault that no visitor can mend (500) at ERROR, with its traceback.
- A failed sign-in is a line at INFO, or at WARNING if an operator can do something about it. An
  address that belongs to no sign-in, which anybody can open, is one at DEBUG.
- Outages, set-ups that Cognito refuses, and notices are at WARNING.
- Other events have no line: a busy site would log little else.
- The record of a line has the event's facts as attributes (see `log.FIELDS`).
"""

from typing import Final

from ..events import Event, Notice, Outage, Refused, Rejection, SignInFailed
from ..log import logger

LONGEST_PATH: Final = 120  # characters
CUT: Final = "..."


def write_line(event: Event, *, loudly: bool = False, error: BaseException | None = None) -> None:
    """Write the line of an event, if it has one. `loudly`: at WARNING. `error`: a fault's."""
    match event:
        case Refused():
            _write_refusal(event, loudly=loudly, error=error)
        case SignInFailed():
            _write_failed_sign_in(event, loudly=loudly)
        case Outage(what, over=True):
            logger.warning("%s answers again", what)
        case Outage(what, why, meanwhile=meanwhile):
            logger.warning("%s does not answer (%s); %s", what, why, meanwhile)
        case Rejection(what, over=True):
            logger.warning("%s is accepted again", what)
        case Rejection(what, code, mend, outcome):
            logger.warning("Cognito refuses %s (%s): %s; %s", what, code, mend, outcome)
        case Notice(text):
            logger.warning("%s", text, about=event)
        case _:
            pass


def _write_refusal(event: Refused, *, loudly: bool, error: BaseException | None) -> None:
    if not (loudly or error or logger.is_enabled()):
        return
    status, reason, detail = event.status, event.reason, event.detail
    tell = logger.warning if loudly else logger.debug
    if error is not None:
        logger.error(
            "answered %d: %s (%s)",
            status,
            reason,
            line_of(event.method, event.path),
            exc_info=error,
            about=event,
        )
    elif event.at in ("cookie", "header"):
        said = detail if reason == "session_revoked" else f"claims {detail}"
        more = f", {said}" if detail else ""
        tell(
            "%s refused: %s%s (%s)",
            event.at,
            reason,
            more,
            line_of(event.method, event.path),
            about=event,
        )
    elif event.at == "answer":
        more = f", {detail}" if detail else ""
        tell(
            "answered %d: %s (%s%s)",
            status,
            reason,
            line_of(event.method, event.path),
            more,
            about=event,
        )
    elif event.at == "acting_as":  # a job has no answer
        tell("%s refused: %s", event.at, reason, about=event)
    elif detail:
        tell("%s refused: %s (%s)", event.at, reason, detail, about=event)


def _write_failed_sign_in(event: SignInFailed, *, loudly: bool) -> None:
    if event.by == "app":
        return  # its error says so to the app
    said = [event.detail] if event.detail else []
    if event.pool_error:
        said.append(f"the user pool's error is {event.pool_error}")
    line = (
        f"sign-in failed: {event.reason} ({', '.join([*said, line_of(event.method, event.path)])})"
    )
    if event.reason == "bad_request":
        logger.debug("%s", line, about=event)
    elif not event.mend:
        logger.info("%s", line, about=event)
    else:
        tell = logger.warning if loudly else logger.info
        tell("%s: %s", line, event.mend, about=event)


def line_of(method: str | None, path: str | None) -> str:
    r"""A request in a line of the log: its method, and its path in quotes. Both are escaped.

    >>> print(line_of("GET", r"/a\nb"))
    GET '/a\nb'
    """
    path, cut = path or "", ""
    if path.endswith(CUT) and len(path) >= LONGEST_PATH + len(CUT):
        path, cut = path.removesuffix(CUT), CUT
    quote = '"' if "'" in path and '"' not in path else "'"
    return f"{method} {quote}{path}{quote}{cut}"
