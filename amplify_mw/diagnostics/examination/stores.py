"""Checks of the session store, or of the coordinator of sealed sessions.

Rules:
- What a store says of itself is the store's: `SessionStore.examine`. One without the method is
  tried with a made-up record.
- Stores are asked on this thread, with their own time limits.
- A store that breaks its contract makes a line, and no other store is without its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...models.check import Check
from ...stores.examination import round_trip
from .cookies import kinds_of
from .subject import Probe, Subject


def store(subject: Subject) -> Iterator[Check]:
    """Each store that is configured, once."""
    seen: list[Any] = []
    for kind in kinds_of(subject.config):
        own = getattr(kind, "store", None) or getattr(kind, "coordinator", None)
        if own is None or any(own is each for each in seen):
            continue
        seen.append(own)
        yield from _told(own)


def _told(store: Any) -> Iterator[Check]:
    examine = getattr(store, "examine", None)
    try:
        yield from round_trip(store) if examine is None else examine()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a store of the app's own
        yield Check(
            "store",
            "wrong",
            f"{type(store).__name__} raises {type(error).__name__}",
            "StoreUnavailable, if it cannot answer: sessions are kept then",
            "raise StoreUnavailable(...) from it; see the contract, amplify_mw.stores.base",
        )


def coordinator(subject: Subject) -> Iterator[Check]:
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


PROBES: Final[Sequence[Probe]] = (coordinator,)
REMOTE_PROBES: Final[Sequence[Probe]] = (store,)
