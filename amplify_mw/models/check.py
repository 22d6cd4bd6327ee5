"""`Check`: one line of an inspection, or of an examination of a configuration.

Rules:
- A check is a value: what was looked at, what was found, what was wanted, and what to write to
  mend it. No text holds a token, a cookie's value, a key, a secret or an attribute.
- `name` is stable, for programs. The other texts may change.
"""

from typing import Literal, NamedTuple, TypeAlias

Outcome: TypeAlias = Literal["ok", "warning", "wrong", "unknown"]
"""`warning`: it works, and should be changed. `unknown`: it cannot be told from here, or now."""


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    """Such as `issuer`; lower case, stable."""

    outcome: Outcome

    found: str = ""
    """What is there, in a few words."""

    wanted: str = ""
    """What should be there; empty if that is plain."""

    mend: str = ""
    """What to write or do; empty if there is nothing to do."""
