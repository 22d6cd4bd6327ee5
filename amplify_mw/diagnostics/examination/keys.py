"""Checks of the keys that seal: their strength, their order, and who else has them.

Rules:
- No text here holds a key, a part of one, or its hash: a key is named by its place in its list.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from ...models.check import Check
from .cookies import kinds_of, sites_of
from .subject import Probe, Subject

_MOST: Final = 100  # keys that are compared: lists are short
_FEW: Final = 16  # different bytes: of 32 random ones, about 30 differ; so few never come
_NEW: Final = "write keys that `amplify-mw keygen` prints"


def keys(subject: Subject) -> Iterator[Check]:
    """The keys of each list."""
    lists = _lists(subject)
    sites = sites_of(subject.config)
    is_here = bool(sites) and all(site.is_here for site in sites)
    for option, given in lists.items():
        yield _strength(option, given, is_here=is_here)
        yield _order(option, given)
    yield from _shared(lists)


def _lists(subject: Subject) -> dict[str, Sequence[bytes]]:
    """The lists of keys that are configured, by their options."""
    config = subject.config
    found: dict[str, Sequence[bytes]] = {}
    sealed = [tuple(kind.keys) for kind in kinds_of(config) if getattr(kind, "keys", ())]
    for number, given in enumerate(sealed, 1):
        found["SealedSession.keys" + (f" ({number})" if len(sealed) > 1 else "")] = given
    if config.routes is not None and config.routes.keys:
        found["AuthRoutes.keys"] = tuple(bytes(key) for key in config.routes.keys)  # type: ignore[arg-type]
    if config.handover_keys:
        found["handover_keys"] = tuple(bytes(key) for key in config.handover_keys)  # type: ignore[arg-type]
    return {option: given[:_MOST] for option, given in found.items()}


def _strength(option: str, given: Sequence[bytes], *, is_here: bool) -> Check:
    """`is_here`: the site is in development."""
    for number, key in enumerate(given, 1):
        why = _weakness(key)
        if why:
            return Check(
                "key_strength",
                "warning" if is_here else "wrong",
                f"{option}: key {number} {why}: it can be guessed, and sessions made up with it",
                "32 random bytes",
                f"{_NEW} in its place, at once: what it has sealed ends, and people sign in again",
            )
    return Check("key_strength", "ok", f"{option}: nothing in them can be guessed at sight")


def _weakness(key: bytes) -> str:
    """Why a key is not random; "" if it may be. Random ones are never told so."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    if len(steps) == 1:
        return "counts, or repeats one byte"
    if any(key == key[:size] * (len(key) // size) for size in (2, 4, 8, 16)):
        return "repeats a part of itself"
    if all(32 <= byte < 127 or byte in (9, 10, 13) for byte in key):
        return "is text"
    return "has few different bytes" if len(set(key)) < _FEW else ""


def _order(option: str, given: Sequence[bytes]) -> Check:
    seen: dict[bytes, int] = {}
    for number, key in enumerate(given, 1):
        if key in seen:
            return Check(
                "key_order",
                "warning",
                f"{option}: key {number} is the same as key {seen[key]}, so there is one less to "
                "change to",
                "different keys, the one that seals first",
                f"leave one out; {_NEW}",
            )
        seen[key] = number
    if len(given) == 1:
        return Check(
            "key_order",
            "ok",
            f"{option}: one key; to change it, give all processes [old, new] first, then "
            "[new, old], then [new]",
        )
    return Check("key_order", "ok", f"{option}: {len(given)} keys; the first one seals")


def _shared(lists: dict[str, Sequence[bytes]]) -> Iterator[Check]:
    handed = set(lists.get("handover_keys", ()))
    if not handed:
        return
    others = [option for option, given in lists.items() if option != "handover_keys"]
    sharing = [option for option in others if handed & set(lists[option])]
    if sharing:
        yield Check(
            "key_sharing",
            "warning",
            f"handover_keys has a key of {', '.join(sharing)}: the workers that open hand-overs "
            "could make up sessions",
            "keys of their own",
            _NEW,
        )
    else:
        yield Check("key_sharing", "ok", "hand-overs have keys of their own")


PROBES: Final[Sequence[Probe]] = (keys,)
