"""Stores that count their calls, or have no more of them than they must."""

from typing import Any

from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import SessionStore
from amplify_mw.stores.memory import MemoryStore
from tests.sites import Clock


class BareStore(SessionStore):
    """A store that has what it must have, and no more."""

    def __init__(self, clock: Clock) -> None:
        self.inner = MemoryStore(clock=clock)

    def load(self, key: bytes) -> Record | None:
        return self.inner.load(key)

    def create(self, key: bytes, record: Record) -> bool:
        return self.inner.create(key, record)

    def replace(self, key: bytes, record: Record) -> bool:
        return self.inner.replace(key, record)

    def delete(self, key: bytes) -> bool:
        return self.inner.delete(key)

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        return self.inner.of_user(user)

    def acquire(self, key: bytes, seconds: float) -> int | None:
        return self.inner.acquire(key, seconds)

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        return self.inner.renew(key, fence, seconds)

    def release(self, key: bytes, fence: int) -> None:
        self.inner.release(key, fence)

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return getattr(self, method)(*arguments)


class CountingStore(BareStore):
    """A store with all steps of its own, and what it was asked for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.calls: list[str] = []

    @property
    def asked(self) -> list[str]:
        """What it was asked for since."""
        asked, self.calls = self.calls, []
        return asked


def _counted(method: str) -> Any:
    def call(self: CountingStore, *arguments: Any) -> Any:
        self.calls.append(method)
        return getattr(self.inner, method)(*arguments)

    return call


for _method in vars(SessionStore):
    if not _method.startswith("_") and _method not in ("ask", "close"):
        setattr(CountingStore, _method, _counted(_method))
