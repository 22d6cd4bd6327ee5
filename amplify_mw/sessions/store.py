"""The calls of a session store, as types. Their contract is in `amplify_mw.stores.base`.

Rules:
- A type checker sees every call of a store by them: `client.ask(Store.load, key)`. A store need not
  inherit from them; stores of users inherit from `SessionStore`.
- Only the store in this process's own memory can `exchange`.
"""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .record import Record


class Store(Protocol):
    """A session store."""

    def load(self, key: bytes) -> "Record | None":
        """The record under `key`, or None."""
        ...

    def create(self, key: bytes, record: "Record") -> bool:
        """Keep a record under a key that has none; False if there is one."""
        ...

    def replace(self, key: bytes, record: "Record") -> bool:
        """Keep `record` in place of one of no higher version; False if there is none."""
        ...

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        ...

    def of_user(self, user: str) -> "list[tuple[bytes, Record]]":
        """The keys and records of a user."""
        ...

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record: its fence, or None."""
        ...

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for longer; False if it is no longer held."""
        ...

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back."""
        ...

    def reload(self, key: bytes, known: "Record") -> "Record | None":
        """The record under `key`; `known` itself if that is still the one."""
        ...

    def acquire_and_load(self, key: bytes, seconds: float) -> "tuple[int | None, Record | None]":
        """Take the lease on a record, then load the record: both answers."""
        ...

    def replace_and_release(self, key: bytes, record: "Record", fence: int) -> bool:
        """`replace`, then `release`."""
        ...

    def end(self, key: bytes, asks_again: bool = False) -> "Record | None":
        """End a session, and return its record; None if there is none."""
        ...

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user: their keys."""
        ...

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Any of these, awaited."""
        ...


class Memory(Store, Protocol):
    """The store in this process's memory."""

    def exchange(self, key: bytes, record: "Record") -> "Record | None":
        """Keep `record` in any case; returns the one it replaced, or None."""
        ...
