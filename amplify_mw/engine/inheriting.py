"""A context variable that threads do not inherit, where Python has them inherit contexts.

Python 3.14 can be told to start each thread in a copy of its starter's context
(`-X thread_inherit_context=1`; free-threaded builds do it by themselves). A worker thread of a pool
would then go on seeing the user of the request that happened to start it, in others' jobs.

Rules:
- In the context that a thread was started in, only what was bound there on this thread counts.
- A context that is run on a thread (`asyncio.to_thread`, a task, `copy_context().run`) is another
  one, and what is bound in it counts, wherever that was done.
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
    """What gets, sets and resets `variable`, whose default is None."""
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
