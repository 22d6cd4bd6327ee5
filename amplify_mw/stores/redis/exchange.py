"""A batch of commands over one connection: sent together, and all answers read.

Rules:
- A batch is one packet, and one round trip.
- An answer that is an error is returned in its place. A failure of the connection is raised.
- If the connection broke, the batch is sent again, once: see `scripts`.
- A connection is lent to one thread at a time. It is used again only when every answer was read;
  otherwise it is closed, so that nobody reads another's answer.
- redis-py's pool makes the connections; its own lending takes half of the time of a short read.
"""

import threading
import time
from collections import deque
from functools import lru_cache
from typing import Any

import redis

from .commands import Batch


class Lending:
    """Sends the batches of a process's threads over the connections that `pool` makes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._most: int = pool.max_connections
        self._made = 0
        self._idle: deque[Any] = deque()  # the last used at the end
        self._returned = threading.Condition()
        self._waiting = 0

    def send(self, batch: Batch) -> list[Any]:
        """The server's answers, waiting on this thread."""
        words = [packed(batch)]
        connection = self.take()
        try:
            return _exchange_twice(connection, words, len(batch.commands))
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self.give_back(connection)

    def begin(self, batch: Batch) -> "Sent":
        """Send a batch, and let its answers be read later."""
        return Sent(self, packed(batch), len(batch.commands))

    def close(self) -> None:
        """Close all connections."""
        self._pool.disconnect()

    def take(self) -> Any:
        """A connection, for this thread alone."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._wait_for_one()

    def _wait_for_one(self) -> Any:
        """A new connection, or one that another thread gives back in time."""
        until = time.monotonic() + self._pool.timeout
        with self._returned:
            self._waiting += 1  # before the look: whoever gives one back later sees it
            try:
                while not self._idle:
                    if self._made < self._most:
                        self._made += 1
                        return self._pool.make_connection()
                    if not self._returned.wait(until - time.monotonic()):
                        raise redis.ConnectionError("No connection available.")
                return self._idle.pop()
            finally:
                self._waiting -= 1

    def give_back(self, connection: Any) -> None:
        """Let others have a connection. All its answers were read, or it was closed."""
        self._idle.append(connection)
        if self._waiting:
            with self._returned:
                self._returned.notify()


class Sent:
    """A batch that was sent, and whose answers are to be read."""

    def __init__(self, lending: Lending, words: bytes, count: int) -> None:
        self._lending = lending
        self._words = [words]
        self._count = count
        self._is_read = False
        self._connection = lending.take()
        try:
            _make_ready(self._connection)
            try:
                self._connection.send_packed_command(self._words)
            except redis.ConnectionError:
                self._send_again()
        except BaseException:
            self.end()
            raise

    def answers(self, until: float) -> list[Any]:
        """The answers, errors in their places. If the connection broke, asks once more."""
        try:
            return self._read(until)
        except redis.ConnectionError:
            self._send_again()
            return self._read(until)

    def _send_again(self) -> None:
        self._connection.disconnect()
        self._connection.connect()
        self._connection.send_packed_command(self._words)

    def _read(self, until: float) -> list[Any]:
        answers: list[Any] = []
        for _ in range(self._count):
            try:
                left = max(0.001, until - time.monotonic())
                answers.append(self._connection.read_response(timeout=left))
            except redis.ResponseError as error:
                answers.append(error.with_traceback(None))
        self._is_read = True
        return answers

    def end(self) -> None:
        """Give the connection back; close it if it may yet bring an answer."""
        if not self._is_read:
            self._connection.disconnect()
        self._lending.give_back(self._connection)


def _exchange_twice(connection: Any, words: list[bytes], count: int) -> list[Any]:
    """Send the bytes of so many commands, and read their answers; twice if the connection broke."""
    _make_ready(connection)
    try:
        return _exchange(connection, words, count)
    except redis.ConnectionError:
        connection.disconnect()
        connection.connect()
        return _exchange(connection, words, count)


def _make_ready(connection: Any) -> None:
    """Connect, if that was not done, or if the server has closed the connection meanwhile."""
    if connection.is_connected:
        try:
            if not connection.can_read():
                return
        except (redis.ConnectionError, redis.TimeoutError):
            pass
        connection.disconnect()
    connection.connect()


def _exchange(connection: Any, words: list[bytes], count: int) -> list[Any]:
    connection.send_packed_command(words)
    answers: list[Any] = []
    for _ in range(count):
        try:
            answers.append(connection.read_response())
        except redis.ResponseError as error:
            answers.append(error.with_traceback(None))
    return answers


def packed(batch: Batch) -> bytes:
    """The bytes of a batch's commands, in the server's protocol."""
    parts = []
    for command in batch.commands:
        words = command.words
        parts.append(b"*%d\r\n" % len(words))
        for word in words:
            if type(word) is bytes:
                parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
            else:
                parts.append(_packed(word))
    return b"".join(parts)


@lru_cache(maxsize=256)  # names of commands, scripts, offsets
def _packed(word: str | int | bytes) -> bytes:
    bare = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(bare), bare)
