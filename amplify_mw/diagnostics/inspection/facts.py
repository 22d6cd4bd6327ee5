"""Facts in words: times beside a clock, sizes, and the mend of a reason.

Rules:
- Nothing here sees a token. The texts are for the `found`, `wanted` and `mend` of a `Check`.
- Any claim becomes a short text; no number is too large.
"""

import math
from datetime import UTC, datetime
from typing import Final

from ...models.check import Check
from ...reasons import explain

_UNITS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_LATEST: Final = 253_402_300_799  # the end of the year 9999


def mend_of(reason: str) -> str:
    """The mend of a reason; empty if it has no explanation."""
    explanation = explain(reason)
    return "" if explanation is None else explanation.mend


def when(moment: float, now: float) -> str:
    """A time, and how far it is from this clock's.

    >>> when(1_800_000_000, 1_800_000_000 + 7_500)
    '2027-01-15 08:00:00 UTC, 2 h 5 min ago'
    """
    ahead = moment - now
    if not 0 <= moment <= _LATEST:
        return f"{moment:.0f}"[:24]
    text = f"{datetime.fromtimestamp(int(moment), UTC):%Y-%m-%d %H:%M:%S} UTC"
    if abs(ahead) < 1:
        return f"{text}, now"
    return f"{text}, in {span(ahead)}" if ahead > 0 else f"{text}, {span(-ahead)} ago"


def span(seconds: float) -> str:
    """A length of time, in its two largest units.

    >>> span(59.9), span(90_061), span(0.2)
    ('59 s', '1 d 1 h', '0 s')
    """
    if not math.isfinite(seconds):
        return "for ever"
    left, parts = seconds, list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count:.0f} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0 s"


def counted(size: int) -> str:
    """A number of bytes.

    >>> counted(4096)
    '4,096 bytes'
    """
    return f"{size:,} bytes"


def prefixed(prefix: str, checks: list[Check]) -> list[Check]:
    """The checks under longer names, such as `id_token.exp`."""
    return [check._replace(name=f"{prefix}.{check.name}") for check in checks]
