"""The visit bound to this context: the user of the current request.

Rules:
- One contextvar. Only the shells, `carry` and the testing package bind it, and each takes its
  binding back. A thread with a merely inherited context sees nobody.
- A visit ends with its request. Contexts left over from it may live on (a task, a queue, a copy):
  there every verb raises `OutsideRequestError`, unless a carried call is running (`CARRIED`).
- A visit that has ended has a stage, and no thread sets that back: with no stage, no look at the
  end is needed.
- Functions that may wait refuse to do so on an event loop's thread; `amplify_mw.aio` has them
  awaited.
- Outside a request a verb raises `OutsideRequestError`, which is no `AuthError`: a missing
  middleware must never look like a signed-out user.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ..authenticator import BEGUN, Visit
from ..errors import AuthError, BlockingCallError, OutsideRequestError
from ..sessions.verdicts import SignedIn


class Call:
    """A call of a carried function. `visit`: its user's; None once the call has ended."""

    __slots__ = ("visit",)

    def __init__(self, visit: Visit) -> None:
        self.visit: Visit | None = visit


CURRENT: ContextVar[Visit | None] = ContextVar("amplify_mw_visit", default=None)
CARRIED: ContextVar[Call | None] = ContextVar("amplify_mw_carried", default=None)
# Looked up once: called through an imported name, each would cost another 0.04 µs.
bound: Callable[[], Visit | None] = CURRENT.get
bind: Callable[[Visit | None], Any] = CURRENT.set
reset: Callable[[Any], None] = CURRENT.reset
if getattr(sys.flags, "thread_inherit_context", False):  # Python 3.14, if it is told to
    from .inheriting import guarded

    bound, bind, reset = guarded(CURRENT)


def current_visit() -> Visit:
    """The visit of this context, noted as asked for. Raises `OutsideRequestError`."""
    visit = bound()
    if visit is None:
        raise OutsideRequestError
    if visit.has_ended:
        refuse_ended(visit)
    visit.ask()
    return visit


def is_left(visit: Visit) -> bool:
    """Whether the request of this visit is over, and this is no carried call."""
    if not visit.has_ended:
        return False
    call = CARRIED.get()
    return call is None or call.visit is not visit


def refuse_ended(visit: Visit) -> None:
    """Raise `OutsideRequestError` if the request is over, and this is no carried call."""
    if is_left(visit):
        raise OutsideRequestError(is_over=True)


def signed_in_verdict(visit: Visit, by: str = "app") -> SignedIn:
    """The verdict of a signed-in user; raises the error of any other verdict.

    `by`: the asking function, for the event of a refusal.
    """
    if visit.has_ended:
        refuse_ended(visit)
    verdict = visit.verdict
    error: AuthError
    if not isinstance(verdict, SignedIn):
        error = verdict.exception()
    elif not visit.stage or (now := visit.now()) < verdict.expires_at:
        return verdict
    else:
        newer = visit.home.newer(verdict, visit.source, now)
        if newer is not None:
            return newer
        error = verdict.expired()
    from .reporting import report_verdict  # the first refusal loads it

    report_verdict(visit, error, at=by)
    try:
        raise error
    finally:
        del error  # its traceback holds this frame: a cycle would keep the request's memory


def refuse_on_event_loop(verb: str) -> None:
    """Raise `BlockingCallError` on the thread of a running event loop."""
    if is_on_event_loop():
        raise BlockingCallError(verb)


def is_on_event_loop() -> bool:
    """Whether this is the thread of a running event loop."""
    # While asyncio is not imported, or only halfway, no loop can be running.
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return running_loop is not None and running_loop() is not None


def unbind(token: Any) -> None:
    """Take a binding back. A coroutine may be closed from another context, without a binding."""
    try:  # noqa: SIM105  # `suppress` takes half a microsecond
        reset(token)
    except ValueError:
        pass


def leave(visit: Visit, token: Any) -> None:
    """The request is over: it ends, and its binding is taken back."""
    visit.has_ended, visit.stage, visit.headers = True, BEGUN, None  # `end`, without its call
    try:  # noqa: SIM105  # `unbind`, likewise
        reset(token)
    except ValueError:
        pass
