"""A context variable which threads do not inherit, even if Python lets them inherit contexts.

Python 3.14 can start each thread in a copy of its starter's context (`-X thread_inherit_context=1`;
free-threaded builds do it by themselves). A worker thread of a pool would then keep the user of the
request during which it was started, in jobs of other requests.

Rules:
- In the context a thread was started in, only bindings made on this thread count.
- Any other context run on a thread (`asyncio.to_thread`, a task, `copy_context().run`) counts as it
  is, no matter on which thread its bindings were made.
"""

import threading
from collections.abc import Callable
from contextvars import Context, ContextVar, Token
from typing import Any, TypeVar

T = TypeVar("T")
Tokens = tuple[Token[Any], Token[Any]]


def guarded(
    variable: ContextVar[T | None],
) -> tuple[Callable[[], T | None], Callable[[T | None], Tokens], Callable[[Tokens], None]]:
    """Functions to get, set and reset `variable`. Its default is None."""
    binder: ContextVar[threading.Thread] = ContextVar(f"{variable.name}_binder")
    probe: ContextVar[object] = ContextVar(f"{variable.name}_probe")

    def get() -> T | None:
        value = variable.get()
        if value is None:
            return None
        thread = threading.current_thread()
        started_in: Context | None = getattr(thread, "_context", None)
        if (
            started_in is None
            or binder.get(None) is thread
            or started_in.get(variable) is not value
            or not is_running(started_in)
        ):
            return value
        return None

    def is_running(context: Context) -> bool:
        mark = object()
        token = probe.set(mark)
        try:
            return context.get(probe) is mark
        finally:
            probe.reset(token)

    def bind(value: T | None) -> Tokens:
        return variable.set(value), binder.set(threading.current_thread())

    def reset(tokens: Tokens) -> None:
        variable.reset(tokens[0])
        binder.reset(tokens[1])

    return get, bind, reset
