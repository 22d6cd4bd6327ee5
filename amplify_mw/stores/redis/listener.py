"""A thread that tells a local cache of changes: it listens on the channel for them.

Rules:
- The thread starts when a process first needs it. It ends when it is told to, or soon after the
  cache is gone: it holds only a weak reference to the cache. It starts in an empty context, and
  while no lock is held: see `amplify_mw.engine.driver`.
- Its connection is trusted after a `PUBLISH` on it was allowed: if an ACL refused that, no changes
  would be published. It is given up together with the store's other connections.
- Silence is not trusted: after each `timeout` of silence the server is sent a `PING`, and after
  another the connection is given up.
- Any node of a cluster hears of all changes, as long as it is in touch with the others: it is asked
  for that once in each `timeout`. If it is not, or has died, another node is listened to.
"""

import math
import time
import weakref
from contextlib import suppress
from contextvars import Context
from threading import Event, Lock, Thread
from typing import Any, Final

from ...log import logger
from ..base import StoreUnavailable
from .cache import LocalCache
from .cluster import ClusterConnections
from .commands import Batch, Command
from .connections import Connections
from .errors import kind
from .server import FAILURES, Server

_PAUSE: Final = 0.5  # seconds before a lost connection is tried anew
_IN_TOUCH: Final = {"cluster_state:ok", "cluster_slots_pfail:0", "cluster_slots_fail:0"}


class Listener:
    """Tells its `cache` of the changes published on `channel`."""

    def __init__(self, server: Server, channel: bytes, cache: LocalCache) -> None:
        self.cache: LocalCache = cache
        self._channel = channel
        self._ended = Event()
        self._is_elsewhere = Event()
        self._begun = False
        self._lock = Lock()
        self._thread = Thread(
            target=_listen,
            args=(server, channel, weakref.ref(cache), self._ended, self._is_elsewhere),
            name="amplify_mw-changes",
            daemon=True,
        )

    def begin(self) -> None:
        """Start listening, unless it has started."""
        if self._begun:
            return
        with self._lock:
            has_begun, self._begun = self._begun, True
        if not has_begun:
            with suppress(RuntimeError):  # the interpreter ends, or is out of threads
                Context().run(self._thread.start)

    def move(self) -> None:
        """Serve nothing until the thread listens to the server that is there now."""
        self._is_elsewhere.set()
        self.cache.lose()

    def end(self, connections: Connections | ClusterConnections) -> None:
        """Stop listening, and wait for the thread's end. `connections`: to wake the thread."""
        self._ended.set()
        wake = Batch((Command(("PUBLISH", self._channel, b""), self._channel),))
        if self._thread.is_alive():
            with suppress(StoreUnavailable):
                connections.send(wake)
            self._thread.join()


def _listen(
    server: Server,
    channel: bytes,
    cache: "weakref.ref[LocalCache]",
    ended: Event,
    is_elsewhere: Event,
) -> None:
    is_refused = False  # and the log says so
    while cache() is not None and not ended.is_set():
        is_elsewhere.clear()
        client, address = server.listening()
        try:
            connection = client.connection_pool.get_connection()
            connection.send_command("PUBLISH", channel, b"")  # which changes nothing
            connection.read_response()
            connection.send_command("SUBSCRIBE", channel)
            look = client if server.slots is not None else None
            _hear(connection, server.timeout, cache, (ended, is_elsewhere), look)
        except FAILURES as error:
            server.doubt(address)
            if kind(error) == "NOPERM" and not is_refused:
                is_refused = True
                logger.warning(
                    "RedisStore at %s: local_cache is off, because the ACL refuses its channel: "
                    "allow +publish +subscribe +ping &PREFIXchanged, in a cluster +cluster|info",
                    server.place,
                )
            ended.wait(_PAUSE)
        finally:
            _lose(cache())
            client.close()


def _hear(
    connection: Any,
    timeout: float,
    cache: "weakref.ref[LocalCache]",
    until: tuple[Event, Event],
    node: Any,
) -> None:
    """Listen until told otherwise. `node`: a client of the same node, in a cluster."""
    asked, looked_at = False, -math.inf
    while cache() is not None and not any(event.is_set() for event in until):
        if node is not None and time.monotonic() >= looked_at + timeout:
            looked_at = time.monotonic()
            _check_touch(node)
        if connection.can_read(timeout):
            _tell(cache(), connection.read_response())
            asked = False
        elif asked:
            raise TimeoutError
        else:
            connection.send_command("PING")
            asked = True


def _check_touch(node: Any) -> None:
    """Raise if a node of a cluster may miss what others publish."""
    connection = node.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "INFO")
        told = connection.read_response().decode("latin1").split()
    finally:
        node.connection_pool.release(connection)
    if not set(told) >= _IN_TOUCH:
        raise TimeoutError


def _tell(cache: LocalCache | None, answer: Any) -> None:
    if cache is None:
        return
    match answer:
        case [b"message", _, bytes(key)]:
            cache.drop(key)
        case [b"subscribe", *_]:
            cache.hear()


def _lose(cache: LocalCache | None) -> None:
    if cache is not None:
        cache.lose()
