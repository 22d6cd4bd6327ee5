"""The visit bound to this context: the user of the current request.

Rules:
- One contextvar. Only the shells, `carry` and the testing package bind it, and each takes its
  binding back. A thread with a merely inherited context sees nobody.
- Functions that may wait refuse to do so on an event loop's thread; `amplify_mw.aio` has them
  awaited.
- Outside a request a verb raises `OutsideRequestError`, which is no `AuthError`: a missing
  middleware must never look like a signed-out user.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from ..authenticator import BEGUN, Visit
from ..errors import AuthError, BlockingCallError, OutsideRequestError
from ..sessions.verdicts import SignedIn

P = ParamSpec("P")
R = TypeVar("R")

CURRENT: ContextVar[Visit | None] = ContextVar("amplify_mw_visit", default=None)
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
    visit.ask()
    return visit


def signed_in_verdict(visit: Visit, by: str = "app") -> SignedIn:
    """The verdict of a signed-in user; raises the error of any other verdict.

    `by`: the asking function, for the event of a refusal.
    """
    verdict = visit.verdict
    error: AuthError
    if not isinstance(verdict, SignedIn):
        error = verdict.exception()
    elif visit.stage and visit.now() >= verdict.expires_at:
        error = verdict.expired()
    else:
        return verdict
    from .reporting import report_verdict  # the first refusal loads it

    report_verdict(visit, error, at=by)
    raise error


def refuse_on_event_loop(verb: str) -> None:
    """Raise `BlockingCallError` on the thread of a running event loop."""
    # While asyncio is not imported, or only halfway, no loop can be running.
    running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if running_loop is not None and running_loop() is not None:
        raise BlockingCallError(verb)


def unbind(token: Any) -> None:
    """Take a binding back. A coroutine may be closed from another context, without a binding."""
    with suppress(ValueError):
        reset(token)


def leave(visit: Visit, token: Any) -> None:
    """The request is over: take its binding back."""
    visit.stage = BEGUN  # `begin`, without its call
    try:  # noqa: SIM105  # `unbind`, likewise
        reset(token)
    except ValueError:
        pass


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """`function` with the user of this context, for a call on any thread.

    For `executor.submit(carry(f))`, `loop.run_in_executor(None, carry(f))` and
    `threading.Thread(target=carry(f))`; a coroutine function stays one. The worker thread itself
    keeps no user. Code that runs on after the response has the user until the token expires.
    Outside a request, `function` itself is returned.
    """
    if not callable(function):
        raise TypeError("carry: write carry(function), not carry(function())")
    visit = bound()
    if visit is None:
        return function
    visit.outlive()  # it may be called at any time
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def carried_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            token = bind(visit)
            try:
                return await function(*args, **kwargs)
            finally:
                unbind(token)

        return carried_async  # type: ignore[return-value]  # R is that coroutine

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        token = bind(visit)
        try:
            return function(*args, **kwargs)
        finally:
            unbind(token)

    return carried
