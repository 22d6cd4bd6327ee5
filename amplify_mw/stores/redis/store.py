"""`RedisStore`: sessions in Redis or Valkey, for many processes and machines.

Rules:
- An operation is a generator of `commands`, run by blocking or awaiting.
- A command may be sent a second time after its connection broke: see `scripts`.
- A write by this process drops the record from the local cache, even if the write failed.
- A load is one round trip, with or without repairing the list of the session's user. A reload is
  one, and another if the record has changed.
- A child of `fork()` starts with connections and a cache of its own.
"""

import os
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from ...errors import ConfigurationError, check_number
from ...models.check import Check
from ...sessions.record import Record
from ..base import TIMEOUTS, SessionStore, StoreUnavailable
from .cache import LocalCache
from .commands import Commands, Listing, Operation
from .errors import may_be_the_lists

if TYPE_CHECKING:
    from .cluster import ClusterConnections
    from .connections import Connections
    from .credentials import Credentials


_LISTED_FOR: Final = 10.0  # seconds for which a session is taken to be in its user's list
_MAX_LISTED: Final = 10_000
_LONGEST_CACHED: Final = 86_400  # seconds
_OWN: Final = {"load", "reload", "end_of_user"}
_ENDS: Final = {"delete", "end"}
_KEEPS: Final = {"create", "replace", "replace_and_release"}


class RedisStore(SessionStore):
    """Keeps sessions in Redis 7 or newer, or Valkey: one primary, or a cluster.

    `url`: `redis://`, `rediss://` (TLS) or `unix://` (or Valkey's `valkey://`, `valkeys://`), with
    user name, password, number of the database, and redis-py's options in its query, such as
    `?max_connections=64` (default 32 for the threads of a process, and for each event loop; further
    callers wait for a free one). After a failover the host name may lead to another server: writes
    find it at once, processes that only read within five minutes. `prefix`: the beginning of all
    keys. `timeout`: seconds for a free connection, for connecting, and for an answer; when awaited,
    for all three together.

    `local_cache`: how many seconds this process may serve a loaded record without asking again
    (default 0: not at all). A change by any process is published and drops the record everywhere,
    usually within a millisecond. While the listening connection is down, nothing is served from
    memory. If it is lost unnoticed, a change is seen after at most `local_cache` seconds, or twice
    the timeout if that is less. Records that the server itself evicts or loses are missed after at
    most `local_cache` seconds.

    Event loops run by `asyncio.run`, a server or a framework close their connections when they end.
    Before you close a loop by hand, run its `shutdown_asyncgens()`, as they do.

    `cluster`: the url is that of a node of a Redis Cluster, which names the others. Replicas are
    never read. When awaited, `timeout` is then for all of a trip, wherever its keys are;
    `max_connections` is for each node. See `sentinel` for a primary that Sentinels name.

    `replicas`: how many have to confirm the end of a session, and a refresh of its tokens, before
    these count as done (default 0). If they do not in three quarters of `timeout`:
    `StoreUnavailable`, though the primary has done it.

    `credentials`: a function that returns `(user, password)`, or a `CredentialProvider` of
    redis-py's, in place of a password in the url. It is asked for each new connection, and on an
    event loop in a thread if it blocks. Connections live for five minutes at most. A pickle of the
    store holds a function's name, and nothing of any other provider.

    A server of another kind than this says is recognised at the first use: `StoreUnavailable`, and
    one error in the log.

    Raises `ConfigurationError` if redis-py is not installed or the url is none of its urls.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "amplify_mw:",
        timeout: float = 2.0,
        local_cache: float = 0.0,
        cluster: bool = False,
        replicas: int = 0,
        credentials: "Credentials | None" = None,
        _sentinels: tuple[Sequence[tuple[str, int]], str, str] | None = None,
    ) -> None:
        _check_options(prefix, timeout, local_cache, replicas)
        from .sentinel import Sentinels
        from .server import Server

        self._arguments = {
            "url": url,
            "prefix": prefix,
            "timeout": timeout,
            "local_cache": local_cache,
            "cluster": cluster,
            "replicas": replicas,
            "credentials": credentials,
            "_sentinels": _sentinels,
        }
        self._server = Server(
            url,
            timeout,
            is_cluster=cluster,
            credentials=credentials,
            sentinels=None if _sentinels is None else Sentinels(*_sentinels, timeout),
        )
        self._replicas = replicas
        self._prefix = prefix
        self._commands = Commands(prefix.encode(), is_apart=cluster)
        self._local_cache = local_cache
        self._begin()
        _stores.add(self)

    @classmethod
    def sentinel(
        cls,
        sentinels: Sequence[tuple[str, int]],
        *,
        service: str,
        url: str = "redis://",
        sentinel_url: str = "redis://",
        **options: Any,
    ) -> "RedisStore":
        """A store on the primary of a `service`, as its Sentinels name it.

        `sentinels`: their hosts and ports. They are asked before each new connection, so a failover
        needs no restart. `url`: like the constructor's, and without a host: user name, password,
        database and options for the primary; `rediss://` is TLS. `sentinel_url`: the same for the
        Sentinels. Other options are the constructor's.
        """
        return cls(url, _sentinels=(tuple(sentinels), service, sentinel_url), **options)

    def _begin(self) -> None:
        """Make new, empty connections and a new local cache, for this process."""
        from .cluster import ClusterConnections
        from .connections import Connections
        from .listener import Listener

        self._listed = Listed()
        self._listener = (
            Listener(self._server, self._commands.channel, LocalCache(self._local_cache))
            if self._local_cache
            else None
        )
        moved = self._listener.move if self._listener is not None else _nothing
        server, slots = self._server, self._server.slots
        self._connections: Connections | ClusterConnections = (
            Connections(server, moved, self._replicas)
            if slots is None
            else ClusterConnections(server, slots, moved, self._replicas)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        from .credentials import pickled

        given = pickled(self._arguments["credentials"])
        return self._pickled(**{**self._arguments, "credentials": given})

    def __repr__(self) -> str:
        return f"<RedisStore {self._server.place} {self._prefix}>"

    def _operation(self, method: str, arguments: tuple[Any, ...]) -> Operation[Any]:
        if method in _OWN:
            return cast("Operation[Any]", getattr(self, f"_{method}")(*arguments))
        if method in _KEEPS:
            return self._keep(method, *arguments)
        if method in _ENDS:
            return self._end(method, *arguments)
        operation: Operation[Any] = getattr(self._commands, method)(*arguments)
        return operation

    def _load(self, key: bytes) -> Operation[Record | None]:
        """Loads a record, from the local cache if it is there."""
        near = self._near(key)
        if near is not None:
            return near
        return (yield from self._caching(key, self._asking(key, partial(self._commands.load, key))))

    def _reload(self, key: bytes, known: Record) -> Operation[Record | None]:
        """The same; `known` itself if that is still the one."""
        near = self._near(key)
        if near is None:
            # Without a stamp nothing is known of it.
            load = partial(self._commands.load, key)
            reload = partial(self._commands.reload, key, known)
            asking = self._asking(key, reload if known.stamp else load, known)
            near = yield from self._caching(key, asking)
        return known if near is not None and near.stamp == known.stamp else near

    def _asks_stamp(self, method: str, arguments: tuple[Any, ...]) -> bool:
        """Whether only the stamp of a known record is asked for: the way of nearly all reads."""
        if method != "reload" or self._listener is not None:
            return False
        key, known = arguments
        return known.stamp and self._listed.is_well(key, known)

    def _changed(self, key: bytes, stamp: Any) -> Operation[Record | None]:
        """Loads a record that has another stamp than the known one."""
        if stamp:
            return (yield from self._load(key))
        self._listed.forget(key)
        return None

    def _near(self, key: bytes) -> Record | None:
        """The record in the local cache."""
        if self._listener is None:
            return None
        self._listener.begin()
        return self._listener.cache.find(key)

    def _caching(self, key: bytes, loading: Operation[Record | None]) -> Operation[Record | None]:
        """Keeps a loaded record in the local cache."""
        if self._listener is None:
            return (yield from loading)
        cache = self._listener.cache
        mark = cache.mark(key)
        record = yield from loading
        if record is not None:
            cache.keep(key, record, mark)
        return record

    def _asking(
        self,
        key: bytes,
        question: Callable[[Listing | None], Operation[Record | None]],
        known: Record | None = None,
    ) -> Operation[Record | None]:
        """Asks for a record, and now and then repairs its user's list in the same batch."""
        repair = self._listed.due(key)
        if known is not None and known.user and self._listed.of(key) is None:
            repair = self._commands.listing(known)
        try:
            record = yield from question(repair)
        except StoreUnavailable as error:
            if repair is None or not may_be_the_lists(error, is_apart=self._commands.is_apart):
                raise
            self._listed.pause()  # the list may be elsewhere, and out of reach
            repair, record = None, (yield from question(None))
        if record is None or not record.user:
            self._listed.forget(key)
        elif repair is not None or self._listed.of(key) is None:
            self._listed.note(key, self._commands.listing(record), repair)
        return record

    def _keep(self, method: str, key: bytes, record: Record, *more: Any) -> Operation[bool]:
        """Writes a record."""
        operation: Operation[bool] = getattr(self._commands, method)(key, record, *more)
        try:
            kept = yield from operation
        finally:
            self._forget(key)
        if kept and record.user:
            listing = self._commands.listing(record)
            self._listed.note(key, listing, listing)
        return kept

    def _end(self, method: str, key: bytes, *more: Any) -> Operation[Any]:
        """Ends a session."""
        listing = self._listed.of(key)
        listed = None if listing is None else listing.name
        try:
            return (yield from getattr(self._commands, method)(key, *more, listed=listed))
        finally:
            self._forget(key)

    def _end_of_user(self, user: str) -> Operation[list[bytes]]:
        """Ends all sessions of a user."""
        keys = yield from self._commands.listed(user)
        try:
            return (yield from self._commands.end_all(user, keys))
        finally:
            for key in keys:
                self._forget(key)

    def _run(self, method: str, *arguments: Any) -> Any:
        """The result of an operation, waiting on this thread."""
        if self._asks_stamp(method, arguments):
            key, known = arguments
            (stamp,) = self._connections.send(self._commands.stamp(key))
            if stamp == known.stamp:
                return known
            operation = self._changed(key, stamp)
        else:
            operation = self._operation(method, arguments)
        try:
            batch = next(operation)
            while True:
                try:
                    answers = self._connections.send(batch)
                except StoreUnavailable as error:
                    batch = operation.throw(error)
                else:
                    batch = operation.send(answers)
        except StopIteration as done:
            return done.value
        finally:
            operation.close()

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method by its name, awaited on the running event loop."""
        if self._asks_stamp(method, arguments):
            key, known = arguments
            (stamp,) = await self._connections.send_on_loop(self._commands.stamp(key))
            if stamp == known.stamp:
                return known
            operation = self._changed(key, stamp)
        else:
            operation = self._operation(method, arguments)
        try:
            batch = next(operation)
            while True:
                try:
                    answers = await self._connections.send_on_loop(batch)
                except StoreUnavailable as error:
                    batch = operation.throw(error)
                else:
                    batch = operation.send(answers)
        except StopIteration as done:
            return done.value
        finally:
            operation.close()

    def _forget(self, key: bytes) -> None:
        """Drop a key from the local cache."""
        if self._listener is not None:
            self._listener.cache.drop(key)

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        return cast("Record | None", self._run("load", key))

    def create(self, key: bytes, record: Record) -> bool:
        """Keep `record` under a key without a record; False if there is one."""
        return cast(bool, self._run("create", key, record))

    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one of the same or a lower version; False if there is none."""
        return cast(bool, self._run("replace", key, record))

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        return cast(bool, self._run("delete", key))

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records with this `user`, the latest seen first. Empty for ""."""
        return cast(list[tuple[bytes, Record]], self._run("of_user", user))

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for `seconds`: its fence, or None.

        None also for a tombstone: no fence is higher than its version.
        """
        return cast("int | None", self._run("acquire", key, seconds))

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""
        return cast(bool, self._run("renew", key, fence, seconds))

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""
        self._run("release", key, fence)

    def reload(self, key: bytes, known: Record) -> Record | None:
        """The record under `key`; `known` itself if that is still the one."""
        return cast("Record | None", self._run("reload", key, known))

    def acquire_and_load(self, key: bytes, seconds: float) -> tuple[int | None, Record | None]:
        """Take the lease on a record, and load the record: both answers."""
        return cast("tuple[int | None, Record | None]", self._run("acquire_and_load", key, seconds))

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        """`replace`, and give the lease back, whether or not the record was kept."""
        return cast(bool, self._run("replace_and_release", key, record, fence))

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        """End a session: forget its record, and return it. None if it is not found, or a tombstone.

        `asks_again`: leave a tombstone. If the connection breaks just then, it may be returned in
        place of the record.
        """
        return cast("Record | None", self._run("end", key, asks_again))

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user, as `end` with `asks_again` does. Returns their keys."""
        return cast(list[bytes], self._run("end_of_user", user))

    def examine(self) -> list[Check]:
        """What there is to say of this store and its servers: lines of a report."""
        from .examination import Examined

        more = Examined(self._server, self._prefix, self._replicas, bool(self._local_cache))
        return [*super().examine(), *more.checks()]

    def close(self) -> None:
        """Close connections, those of event loops as soon as these run; a later call opens anew."""
        connections, listener = self._connections, self._listener
        self._begin()
        if listener is not None:
            listener.end(connections)
        connections.let_go()

    def begin_in_child(self) -> None:
        """Never touch the parent's connections again: closing them would need its locks."""
        _inherited.append(self._connections)
        self._begin()


def _check_options(prefix: str, timeout: float, local_cache: float, replicas: int) -> None:
    """Raise `ConfigurationError` for an option that is out of range, or without redis-py."""
    check_number("timeout", timeout, *TIMEOUTS)
    check_number("local_cache", local_cache, 0, _LONGEST_CACHED)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise ConfigurationError("replicas: how many have to confirm a write: 0 or more")
    if not isinstance(prefix, str):
        raise ConfigurationError(f"prefix: write a text, such as 'shop:'; got {prefix!r}")
    if find_spec("redis") is None:
        raise ConfigurationError("RedisStore needs redis-py: pip install 'amplify-mw[redis]'")


class Listed:
    """The sessions that this process knows, and when they were last in their users' lists.

    The server may evict a list and keep its sessions (`volatile-lru` evicts the least read keys),
    and a server that holds a list may lose it. "Sign out everywhere" does not end a session that is
    missing from its list. So each process has the list repaired by its second load of a session,
    and then every ten seconds at most. It takes no round trip of its own.
    """

    def __init__(self) -> None:
        self._listings: dict[bytes, tuple[Listing, float]] = {}
        self._paused_until = 0.0

    def of(self, key: bytes) -> Listing | None:
        """Where a session is listed, as last heard."""
        found = self._listings.get(key)
        return None if found is None else found[0]

    def is_well(self, key: bytes, known: Record) -> bool:
        """Whether the list of a known record needs no repair."""
        found = self._listings.get(key)
        if found is None:
            return not known.user
        now = time.monotonic()
        return now < found[1] or now < self._paused_until

    def due(self, key: bytes) -> Listing | None:
        """The same, if the next load is to repair it."""
        found, now = self._listings.get(key), time.monotonic()
        if found is None or now < found[1] or now < self._paused_until:
            return None
        return found[0]

    def note(self, key: bytes, listing: Listing, repaired: Listing | None) -> None:
        """A session belongs there, and its list has been told so: of `repaired`."""
        if len(self._listings) >= _MAX_LISTED:
            self._listings.clear()
        is_told = listing == repaired
        self._listings[key] = listing, time.monotonic() + _LISTED_FOR if is_told else 0.0

    def forget(self, key: bytes) -> None:
        """A session has ended."""
        self._listings.pop(key, None)

    def pause(self) -> None:
        """A repair has failed: try none for a while, so that reads do not wait for it each time."""
        self._paused_until = time.monotonic() + _LISTED_FOR


def _nothing() -> None:
    """There is no listener to be told."""


_stores: Final["weakref.WeakSet[RedisStore]"] = weakref.WeakSet()
_inherited: Final[list["Connections | ClusterConnections"]] = []


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.begin_in_child()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
