"""`carry`: take the user of this context along, on purpose.

Rules:
- A call of a carried function has the user while it runs, during the request and after it, until
  the token expires. What merely goes on after the call (a task that it has left behind) has the
  user no longer than the request itself.
- A binding is never left behind: a function is called between bind and unbind, and so is each step
  of a coroutine or a generator. Between its steps, other tasks of its context do not see its user.
- All kinds of functions keep their kind: frameworks look whether one is to be awaited.
"""

import functools
import inspect
import types
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

from ..authenticator import Visit
from ..errors import OutsideRequestError
from .context import CARRIED, Call, bind, bound, is_left, unbind

P = ParamSpec("P")
R = TypeVar("R")


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """`function` with the user of this context, for a call elsewhere or after the request.

    For `executor.submit(carry(f))`, `loop.run_in_executor(None, carry(f))`,
    `threading.Thread(target=carry(f))`, and for a task that outlives its request:
    `create_task(carry(f)(...))`. Coroutine functions, generator functions and asynchronous ones
    stay what they are, and have the user at each step. After the request the call has the user
    until the token expires; then it gets `TokenExpiredException`. The worker thread itself keeps no
    user, and tasks started by the call need their own `carry`, if they outlive both.

    Outside a request, `function` itself is returned. Raises `OutsideRequestError` in code that has
    outlived its request: it is too late to take the user along.
    """
    if not callable(function):
        raise TypeError("carry: write carry(function), not carry(function())")
    visit = bound()
    if visit is None:
        return function
    if is_left(visit):
        raise OutsideRequestError(is_over=True)
    visit.outlive()  # it may be called at any time
    carried: Callable[P, R] = _kind_of(function)(function, visit)
    return functools.wraps(function)(carried)


def _kind_of(function: Callable[..., Any]) -> Callable[[Any, Visit], Callable[..., Any]]:
    call = getattr(function, "__call__", None)  # noqa: B004  # an object's may be async
    for each in (function, call):
        if inspect.iscoroutinefunction(each):
            return _coroutines
        if inspect.isasyncgenfunction(each):
            return _async_generators
        if inspect.isgeneratorfunction(each):
            return _generators
    return _plain


class _Binding:
    """Binds a call's user for a block. Taking it back tolerates another context: see `unbind`."""

    __slots__ = ("_call", "_tokens", "_visit")

    def __init__(self, call: Call, visit: Visit) -> None:
        self._call, self._visit = call, visit

    def __enter__(self) -> None:
        self._tokens = CARRIED.set(self._call), bind(self._visit)

    def __exit__(self, *_: object) -> None:
        carried, current = self._tokens
        unbind(current)
        with suppress(ValueError):
            CARRIED.reset(carried)


def _plain(function: Callable[..., Any], visit: Visit) -> Callable[..., Any]:
    def carried(*args: Any, **kwargs: Any) -> Any:
        call = Call(visit)
        try:
            with _Binding(call, visit):
                result = function(*args, **kwargs)
        finally:
            call.visit = None
        for is_unfinished, kind in _UNFINISHED:  # from a lambda, or a decorated function
            if is_unfinished(result):
                return kind(lambda: result, visit)()
        return result

    return carried


def _coroutines(function: Callable[..., Any], visit: Visit) -> Callable[..., Any]:
    async def awaited(args: Any, kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    async def carried(*args: Any, **kwargs: Any) -> Any:
        call = Call(visit)
        try:
            return await _awaited(awaited(args, kwargs), call, visit)
        finally:
            call.visit = None

    return carried


def _generators(function: Callable[..., Any], visit: Visit) -> Callable[..., Any]:
    def carried(*args: Any, **kwargs: Any) -> Any:
        call = Call(visit)
        try:
            return (yield from _stepping(function(*args, **kwargs), call, visit))
        finally:
            call.visit = None

    return carried


def _async_generators(function: Callable[..., Any], visit: Visit) -> Callable[..., Any]:
    async def carried(*args: Any, **kwargs: Any) -> Any:
        call, given = Call(visit), None
        steps = function(*args, **kwargs)
        advance = steps.asend
        try:
            while True:
                try:
                    item = await _awaited(advance(given), call, visit)
                except StopAsyncIteration:
                    return
                try:
                    given = yield item
                    advance = steps.asend
                except BaseException as error:
                    if steps.ag_frame is None:  # closed by the loop: it would answer None
                        raise
                    advance, given = steps.athrow, error
        finally:
            call.visit = given = None

    return carried


def _stepping(steps: Any, call: Call, visit: Visit) -> Generator[Any, Any, Any]:
    """The steps of a generator, or of what is awaited, each with the user.

    (Tasks may share a context, and a coroutine may be closed in another one.)
    """
    advance, given = steps.send, None
    try:
        while True:
            with _Binding(call, visit):
                try:
                    item = advance(given)
                except StopIteration as end:
                    return end.value
            try:
                given = yield item
                advance = steps.send
            except BaseException as error:  # noqa: BLE001  # thrown in, to be thrown on
                advance, given = steps.throw, error
    finally:
        given = None


_awaited: Final = types.coroutine(_stepping)
_UNFINISHED: Final = (
    (inspect.iscoroutine, _coroutines),
    (inspect.isgenerator, _generators),
    (inspect.isasyncgen, _async_generators),
)
