"""Does what Python 3.14 does with `-X thread_inherit_context=1`: `pytest -p tests.inheriting ...`.

Where that is the interpreter's own doing, this changes nothing.
"""

import sys
import threading
from contextvars import copy_context
from typing import Any

import pytest


class Flags:
    """`sys.flags`, and one more."""

    thread_inherit_context = True

    def __getattr__(self, name: str) -> Any:
        return getattr(_flags, name)


_flags, _start = sys.flags, threading.Thread.start


def _inherit(thread: Any) -> None:
    if not hasattr(thread, "_context"):
        thread._context = context = copy_context()
        run = thread.run
        thread.run = lambda: context.run(run)
    _start(thread)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Begin, where this is a plugin: before anything imports the library. (Nothing at import.)"""
    if not getattr(_flags, "thread_inherit_context", False):
        sys.flags = Flags()  # type: ignore[assignment]
        threading.Thread.start = _inherit  # type: ignore[method-assign]
