"""Session stores: the contract (`SessionStore`), and the stores that fulfil it.

A new store is named here twice: for type checkers, and in `_LATER`.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .base import ENDED as ENDED
    from .base import Record as Record
    from .base import SessionStore as SessionStore
    from .base import StoreUnavailable as StoreUnavailable
    from .memory import MemoryStore as MemoryStore
    from .postgres.store import PostgresStore as PostgresStore
    from .redis.store import RedisStore as RedisStore
    from .sqlite.store import SQLiteStore as SQLiteStore

_LATER: Final = {
    "ENDED": ".base",
    "Record": ".base",
    "SessionStore": ".base",
    "StoreUnavailable": ".base",
    "MemoryStore": ".memory",
    "PostgresStore": ".postgres",
    "RedisStore": ".redis",
    "SQLiteStore": ".sqlite",
}


def __getattr__(name: str) -> Any:
    """Each store is loaded when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LATER[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
