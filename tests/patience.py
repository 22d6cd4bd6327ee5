"""How long a test waits for what must come: for what hangs, and never for what is slow."""

from typing import Final

PATIENCE: Final = 120.0  # seconds; a machine may have eight other things to do
