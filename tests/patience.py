"""How long a test waits for what must come: for what hangs, and never for what is slow."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 120.0  # seconds; a machine may have eight other things to do


def until(condition: Callable[[], T]) -> T:
    """What `condition()` gave when it came true, for what tells nobody when it happens.

    The breaks are for the others on the machine, such as the server that is waited for.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if came := condition():
            return came
        time.sleep(0.002)
    raise AssertionError("it never came true")
