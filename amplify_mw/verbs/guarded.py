"""The functions inside guards: those wrapped by `require_auth`.

Rule: nothing is written to a function, since its wrappers would copy it, and none is kept alive.
"""

import weakref
from contextlib import suppress
from typing import Any, Final

_WRAPPED: Final[dict[int, "weakref.ref[Any]"]] = {}


def note_guarded(function: object) -> None:
    """Remember a wrapped function."""
    key = id(function)
    with suppress(TypeError):  # of some callables there are no weak references
        _WRAPPED[key] = weakref.ref(function, lambda _: _WRAPPED.pop(key, None))


def is_guarded_elsewhere(function: object) -> bool:
    """Whether this very function was wrapped: a direct call of it passes no guard."""
    found = _WRAPPED.get(id(function))
    return found is not None and found() is function
