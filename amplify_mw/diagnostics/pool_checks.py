"""Checks of the pool, from outside."""

from collections.abc import Sequence
from typing import Final

from .subject import Probe

REMOTE_PROBES: Final[Sequence[Probe]] = ()
