"""`RedisStore`: sessions in Redis or Valkey, for many processes and machines.

Rules:
- An operation is a `Command`, sent by blocking or awaiting; `redis_commands` has them all.
- A command may be sent a second time where its connection broke: see `redis_scripts`.
- What the local cache holds, a write by this process drops whether or not it seems to have failed.
- A load is one round trip, whether it mends the list of the session's user or not.
- Nothing that belongs to a process outlives it: a child of `fork()` begins anew.
"""

import math
import os
import time
import weakref
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from ...errors import ConfigurationError
from ...sessions.record import Record
from ..base import SessionStore
from .cache import LocalCache
from .commands import Command, Commands

if TYPE_CHECKING:
    from .connections import Connections


_LISTED_FOR: Final = 10.0  # seconds for which a session is taken to be in its user's list
_MAX_LISTED: Final = 10_000


class RedisStore(SessionStore):
    """Keeps sessions in Redis 7 or newer, or Valkey: one primary, not Redis Cluster.

    `url`: `redis://`, `rediss://` (TLS) or `unix://` (or Valkey's `valkey://`, `valkeys://`), with
    user name, password, number of the database, and redis-py's options in its query, such as
    `?max_connections=64` (default 32 for the threads of a process, and for each event loop; further
    callers wait for a free one). The name may lead to another server after a failover: writes find
    it at once, and processes that only read within five minutes. `prefix`: what all keys
    begin with. `timeout`: seconds for a free connection, for connecting, and for an answer; for all
    of these together when awaited.

    `local_cache`: for how many seconds this process may serve a record it has loaded without
    asking (default 0: not at all). A change by any process is published and drops the record
    everywhere, usually within a millisecond. While the listening connection is down nothing is
    served from memory; where it is lost without a trace, a change is seen after at most
    `local_cache` seconds, or twice the timeout if that is less. What the server evicts or loses by
    itself is seen after at most `local_cache` seconds.

    Event loops that are run by `asyncio.run`, a server or a framework close their connections as
    they end; whoever closes a loop by hand runs its `shutdown_asyncgens()` before, as they do.

    A Redis Cluster or a Sentinel is recognised at the first use: `StoreUnavailable`, and one error
    in the log.

    Raises `ConfigurationError` if redis-py is not installed or the url is none of its urls.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "amplify_mw:",
        timeout: float = 2.0,
        local_cache: float = 0.0,
    ) -> None:
        if not (0 < timeout < math.inf and 0 <= local_cache < math.inf):
            raise ConfigurationError("timeout must be above 0, and local_cache 0 or more: seconds")
        if find_spec("redis") is None:
            raise ConfigurationError("RedisStore needs redis-py: pip install 'amplify-mw[redis]'")
        from .connections import Server

        self._arguments = {
            "url": url,
            "prefix": prefix,
            "timeout": timeout,
            "local_cache": local_cache,
        }
        self._server = Server(url, timeout)
        self._prefix = prefix
        self._commands = Commands(prefix.encode())
        self._local_cache = local_cache
        self._begin()
        _stores.add(self)

    def _begin(self) -> None:
        """Have connections and a local cache of this process, and nothing in them."""
        from .connections import Connections
        from .listener import Listener

        self._listed = Listed()
        self._listener = (
            Listener(self._server, self._commands.channel, LocalCache(self._local_cache))
            if self._local_cache
            else None
        )
        moved = self._listener.move if self._listener is not None else _nothing
        self._connections = Connections(self._server, moved)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._pickled(**self._arguments)

    def __repr__(self) -> str:
        return f"<RedisStore {self._server.place} {self._prefix}>"

    def _command(self, method: str, arguments: tuple[Any, ...]) -> Command:
        if method == "load":
            return self._load(*arguments)
        command: Command = getattr(self._commands, method)(*arguments)
        return command

    def _load(self, key: bytes) -> Command:
        """The command that loads a record, unless that is near."""
        if self._listener is None:
            return self._load_from_server(key)
        self._listener.begin()
        cache = self._listener.cache
        near = cache.find(key)
        if near is not None:
            return Command((), lambda _: near)
        mark = cache.mark(key)
        command = self._load_from_server(key)

        def read(packed: Any) -> Record | None:
            record: Record | None = command.read(packed)
            if record is not None:
                cache.keep(key, record, mark)
            return record

        return Command(command.words, read)

    def _load_from_server(self, key: bytes) -> Command:
        """The command that asks for a record, and now and then mends its user's list."""
        if not self._listed.is_due(key):
            return self._commands.load(key)
        command = self._commands.load_listed(key)

        def read(packed: Any) -> Record | None:
            record: Record | None = command.read(packed)
            if record is not None:
                self._listed.note(key)
            return record

        return Command(command.words, read)

    def _send(self, method: str, *arguments: Any) -> Any:
        command = self._command(method, arguments)
        if not command.words:
            return command.read(None)
        try:
            answer = self._connections.execute(command.words)
        finally:
            self._forget(command.changes)
        return command.read(answer)

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Any of the operations, awaited on the running event loop."""
        command = self._command(method, arguments)
        if not command.words:
            return command.read(None)
        try:
            answer = await self._connections.execute_on_loop(command.words)
        finally:
            self._forget(command.changes)
        return command.read(answer)

    def _forget(self, key: bytes | None) -> None:
        """Drop from the local cache what a write may have changed, be it that it failed."""
        if key is not None and self._listener is not None:
            self._listener.cache.drop(key)

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        return cast("Record | None", self._send("load", key))

    def create(self, key: bytes, record: Record) -> bool:
        """Keep a record under a key that has none; False if there is one."""
        return cast(bool, self._send("create", key, record))

    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one whose version is not higher; False if there is none."""
        return cast(bool, self._send("replace", key, record))

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        return cast(bool, self._send("delete", key))

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records of a user, the one seen last first. Nobody ("") has none."""
        return cast(list[tuple[bytes, Record]], self._send("of_user", user))

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for so many seconds: its fence, or None.

        None as well for a session that has ended: no fence is higher than its version.
        """
        return cast("int | None", self._send("acquire", key, seconds))

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for so many seconds from now; False if it is held no longer."""
        return cast(bool, self._send("renew", key, fence, seconds))

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if it is held by this fence still."""
        self._send("release", key, fence)

    def close(self) -> None:
        """Close connections, those of event loops as soon as these run; a later call opens anew."""
        connections, listener = self._connections, self._listener
        self._begin()
        if listener is not None:
            listener.end(connections)
        connections.let_go()

    def begin_in_child(self) -> None:
        """Leave the parent's connections be, for good: closing them would need its locks."""
        _inherited.append(self._connections)
        self._begin()


class Listed:
    """Which sessions were in their users' lists a short time ago.

    The server may evict a list, and keep its sessions (`volatile-lru` evicts what is read least). A
    session that is missing from its list is not ended by "sign out everywhere". So each process has
    the list mended by the first load of a session, and then by one every ten seconds at most. Such
    a load is one round trip as well, which takes a quarter longer.
    """

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def is_due(self, key: bytes) -> bool:
        """Whether the next load is to mend the list."""
        return time.monotonic() >= self._until.get(key, 0.0)

    def note(self, key: bytes) -> None:
        """The session is in its list now."""
        if len(self._until) >= _MAX_LISTED:
            self._until.clear()
        self._until[key] = time.monotonic() + _LISTED_FOR


def _nothing() -> None:
    """There is no listener to be told."""


_stores: Final["weakref.WeakSet[RedisStore]"] = weakref.WeakSet()
_inherited: Final[list["Connections"]] = []


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.begin_in_child()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
