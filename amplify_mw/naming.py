"""Options by name: an unknown one is a `ConfigurationError` with the nearest name.

Rule: the dataclasses of a configuration are decorated with `named_options`, above `@dataclass`.
"""

from collections.abc import Collection
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

from .errors import ConfigurationError

T = TypeVar("T")


def named_options(cls: type[T]) -> type[T]:
    """Let a dataclass name the nearest option if it gets an unknown one."""
    init: Any = cls.__init__

    @wraps(init)
    def __init__(self: T, *values: Any, **options: Any) -> None:  # noqa: N807
        check_names(cls, options)
        init(self, *values, **options)

    cls.__init__ = __init__  # type: ignore[assignment]
    return cls


def check_names(cls: type[Any], options: Collection[str]) -> None:
    """Raise `ConfigurationError` for a name that is no field of the dataclass `cls`."""
    known = [field.name for field in fields(cls) if field.init]
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{cls.__name__} has no field {name!r}; {_mend(name, known)}")


def _mend(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only for typing errors

    nearest = get_close_matches(name, known, n=1)
    if nearest:
        return f"did you mean to write {nearest[0]!r}?"
    return f"write one of {', '.join(known)}"
