"""One connection to PostgreSQL: questions go out by libpq, and are awaited in either way.

Rules:
- Only this module imports psycopg. It is imported when a store is made.
- A question is sent as one unnamed statement: nothing is prepared, so pgbouncer may stand between.
- What waits for the socket is a generator: it yields what it waits for. A blocking and an awaiting
  driver run it. Both end at a deadline, whatever the server does.
- A connection belongs to no event loop. It is used by one question at a time.
- No failure quotes psycopg: its words, and the connection they hold, know the address.
"""

import asyncio
import contextlib
import math
import os
import select
import time
from collections.abc import Generator, Mapping
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from ...errors import ConfigurationError
from .errors import LOST, STARTUP_PARAMETER, TIMEOUT, Failed, code_of_connecting
from .questions import Question, Row

READ, WRITE = 1, 2
Flow: TypeAlias = Generator[int, int, Any]
"""Yields what it waits for, and is sent what has come: `READ`, `WRITE` or both."""

_CHOICES: Final = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "target_session_attrs": {
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
    },
}
_SETTINGS: Final = (
    "-c default_transaction_isolation=read\\ committed -c statement_timeout={milliseconds}"
)
_BAD: Final = (
    "dsn: not one that libpq understands, such as postgresql://user:password@host:5432/database "
    "(without a +driver, and with what is special in a password percent-encoded), or "
    "'host=... dbname=... user=...'"
)


class Server:
    """The server's address, with our options. Makes connections; holds none.

    `given`: the words of the dsn, a password among them.
    """

    def __init__(self, dsn: str, timeout: float) -> None:
        self.timeout: float = timeout
        given = _parsed(dsn)
        self.place: str = _place(given)
        self._settings = _SETTINGS.format(milliseconds=math.ceil(timeout * 1000))
        self.given: Mapping[str, Any] = given
        self._takes_settings = True  # pgbouncer does not

    def connect(self) -> "Link":
        """A new connection. Raises `Failed`."""
        settles = self._takes_settings
        try:
            return Link(_Connection.connect(**self._options(settles), autocommit=True))
        except (psycopg.Error, OSError, UnicodeError) as error:
            code = getattr(error, "sqlstate", None) or code_of_connecting(str(error))
        if code == STARTUP_PARAMETER and settles:
            self._takes_settings = False
            return self.connect()
        raise Failed(code, is_lost=True)

    def _options(self, settles: bool) -> dict[str, Any]:
        options: dict[str, Any] = {
            "connect_timeout": max(2, math.ceil(self.timeout)),
            "fallback_application_name": "amplify_mw",
            **self.given,
        }
        if not os.environ.get("PGTARGETSESSIONATTRS"):
            options.setdefault("target_session_attrs", "read-write")
        has_service = self.given.get("service") or os.environ.get("PGSERVICE")
        if settles and not has_service:  # its own options would be lost, such as a search_path
            theirs = self.given.get("options") or os.environ.get("PGOPTIONS") or ""
            options["options"] = f"{self._settings} {theirs}".strip()
        return options


def _parsed(dsn: str) -> dict[str, Any]:
    """The words of a dsn. Raises `ConfigurationError`, which shows none of them."""
    found: dict[str, Any] | None = None
    with contextlib.suppress(psycopg.Error, ValueError, TypeError, AttributeError):
        if "\0" in dsn:  # libpq would read on to there
            raise ValueError
        found = dict(conninfo_to_dict(dsn))
        _check(found)
        return found
    # Outside of what was caught: its message and the chain may quote the password.
    raise ConfigurationError(_BAD)


def _check(found: dict[str, Any]) -> None:
    """Raise `ValueError` for a value that no connection can be made with."""
    for name, choices in _CHOICES.items():
        if found.get(name, "any" if name != "sslmode" else "prefer") not in choices:
            raise ValueError
    for port in str(found.get("port", "")).split(","):
        if port and not 0 < int(port) < 65536:
            raise ValueError
    int(found.get("connect_timeout", 2))


def _place(found: dict[str, Any]) -> str:
    """Where the server is, for people to read."""
    host = found.get("host") or found.get("hostaddr")
    if host:
        return str(host)
    return f"service={found['service']}" if found.get("service") else "libpq's default host"


class _Connection(psycopg.Connection[Any]):
    def __del__(self, *_: Any) -> None:
        """Say nothing of it: libpq's half closes itself, in the process that has made it."""


class Link:
    """A connection. `was_used`: whether it has answered before."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection  # which would close it when it is dropped
        self._pgconn: Any = connection.pgconn
        self._socket: int = self._pgconn.socket
        self._process = os.getpid()
        self.made_at: float = time.monotonic()
        self.was_used: bool = False

    def is_silent(self) -> bool:
        """Whether an idle connection is well: the server has said nothing, not even goodbye."""
        return not _wait(self._socket, READ, 0.0)

    def is_ours(self) -> bool:
        """Whether this process has made it; if not, its parent may be using it."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Close it, without waiting; not in a child of the process that has made it."""
        if self.is_ours():
            self._connection.close()

    def exchange(self, question: Question) -> Flow:
        """Send a question: the rows of the answer. Raises `Failed`."""
        code: str | None = None
        try:
            result = yield from self._exchange(question)
            code = _refusal(result)
        except (psycopg.Error, OSError):
            code = LOST
        if code is not None:
            raise Failed(code, is_lost=self._pgconn.status != pq.ConnStatus.OK)
        self.was_used = True
        return _rows(result)

    def _exchange(self, question: Question) -> Flow:
        pgconn = self._pgconn
        if question.types is None:
            pgconn.send_query(question.statement)
        else:
            formats = [pq.Format.BINARY] * len(question.types)
            pgconn.send_query_params(
                question.statement, question.values, question.types, formats, pq.Format.BINARY
            )
        while pgconn.flush():
            if (yield READ | WRITE) & READ:
                pgconn.consume_input()
        result = None
        while True:
            while pgconn.is_busy():  # or else libpq waits by itself, for ever
                yield READ
                pgconn.consume_input()
            following = pgconn.get_result()
            if following is None:
                return result
            if result is None or _refusal(result) is None:
                result = following

    def ask(self, flow: Flow, deadline: float, wants: int = 0) -> list[Row]:
        """The rows of the answer. `wants`: what a flow that has begun may wait for.

        Raises `Failed`.
        """
        if not wants and deadline <= time.monotonic():  # connecting took so long
            raise Failed(TIMEOUT, is_lost=False)
        try:
            wants = wants or next(flow)
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not (came := _wait(self._socket, wants, left)):
                    raise Failed(TIMEOUT, is_lost=True)
                wants = flow.send(came)
        except StopIteration as done:
            rows: list[Row] = done.value
            return rows

    async def ask_on_loop(self, flow: Flow, deadline: float) -> list[Row]:
        """The same, awaited on an event loop that watches sockets."""
        loop = asyncio.get_running_loop()
        try:
            wants = next(flow)
            while True:
                if not (came := await self._come(loop, wants, deadline - time.monotonic())):
                    raise Failed(TIMEOUT, is_lost=True)
                wants = flow.send(came)
        except StopIteration as done:
            rows: list[Row] = done.value
            return rows

    async def _come(self, loop: asyncio.AbstractEventLoop, wants: int, left: float) -> int:
        """What has come of what is waited for; 0 if nothing does in the seconds left."""
        coming: asyncio.Future[int] = loop.create_future()
        timer = loop.call_later(max(0.0, left), _set, coming, 0)
        if wants & READ:
            loop.add_reader(self._socket, _set, coming, READ)
        if wants & WRITE:
            loop.add_writer(self._socket, _set, coming, WRITE)
        try:
            return await coming
        finally:
            timer.cancel()
            if self.is_ours():  # or else this loop is a copy: the parent's would wait for ever
                if wants & READ:
                    loop.remove_reader(self._socket)
                if wants & WRITE:
                    loop.remove_writer(self._socket)


def _set(coming: "asyncio.Future[int]", what: int) -> None:
    if not coming.done():
        coming.set_result(what)


def _wait(socket: int, wants: int, seconds: float) -> int:
    """What has come of what is waited for; 0 if nothing does in time."""
    if hasattr(select, "poll"):  # looked up now: gevent has one of its own
        poll = select.poll()
        poll.register(socket, _poll_flags(wants))
        events = poll.poll(math.ceil(seconds * 1000))
        return wants if events else 0
    writing = [socket] if wants & WRITE else []
    reading, writing, _ = select.select([socket] if wants & READ else [], writing, [], seconds)
    return (READ if reading else 0) | (WRITE if writing else 0)


def _poll_flags(wants: int) -> int:
    return (select.POLLIN if wants & READ else 0) | (select.POLLOUT if wants & WRITE else 0)


def _refusal(result: Any) -> str | None:
    """The code of an answer that is a refusal; None for rows."""
    if result is None:
        return LOST
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return None
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    return code.decode("ascii", "replace") if code else LOST


def _rows(result: Any) -> list[Row]:
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
