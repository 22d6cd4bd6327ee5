"""Checks of the session store, or of the coordinator of sealed sessions.

Rules:
- What a store says of itself is the store's: `SessionStore.examine`. One without the method is
  tried with a made-up record.
- Stores are asked on this thread, with their own time limits.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..models.check import Check
from ..stores.examination import round_trip
from .cookie_checks import kinds_of
from .subject import Probe, Subject


def stores(subject: Subject) -> Iterator[Check]:
    """Each store that is configured, once."""
    seen: list[Any] = []
    for kind in kinds_of(subject.config):
        store = getattr(kind, "store", None) or getattr(kind, "coordinator", None)
        if store is None or any(store is each for each in seen):
            continue
        seen.append(store)
        examine = getattr(store, "examine", None)
        yield from round_trip(store) if examine is None else examine()


def sharing(subject: Subject) -> Iterator[Check]:
    """What one process cannot know of the others: refreshes and ends of sessions."""
    for kind in kinds_of(subject.config):
        if not hasattr(kind, "coordinator"):
            continue
        if kind.coordinator is None:
            yield Check(
                "coordinator",
                "ok",
                "none: a copied cookie works until its tokens expire, after a sign-out too, and "
                "two processes may refresh the same tokens; SealedSession(coordinator=store) "
                "prevents both",
            )
        else:
            yield Check("coordinator", "ok", type(kind.coordinator).__name__)


PROBES: Final[Sequence[Probe]] = (sharing,)
REMOTE_PROBES: Final[Sequence[Probe]] = (stores,)
