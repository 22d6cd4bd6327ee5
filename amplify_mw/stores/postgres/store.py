"""`PostgresStore`: sessions in PostgreSQL, for many processes and machines.

Rules:
- An operation is a `Question`, asked by blocking or awaiting; `questions` has them all.
- A child of `fork()` starts with connections of its own.
"""

import os
import time
import weakref
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from ...errors import ConfigurationError, check_number
from ...models.check import Check
from ...sessions.record import Record
from ..base import TIMEOUTS, SessionStore, StoreUnavailable
from .questions import Questions
from .table import Table

if TYPE_CHECKING:
    from .connections import Connections

_TABLE: Final = "amplify_mw_sessions"


class PostgresStore(SessionStore):
    """Keeps sessions in PostgreSQL 15 or newer, in a table of their own.

    `dsn`: `postgresql://user:password@host:5432/database`, or libpq's `host=... dbname=...`, or
    `service=...`. libpq's environment variables fill in the rest. Unless it says otherwise, only a
    server that takes writes is used: write all of `host=a,b`, and after a failover the new primary
    is found. `table`: its name, or `schema.table`. `timeout`: seconds for a free connection and an
    answer, and for a server's own work on a statement; connecting may take as long for each host,
    and 2 seconds at least. `connections`: how many this process opens, at most; further callers
    wait for a free one.

    The table is made at the first use. If the user may not create one, run the SQL that
    `amplify-mw postgres-sql --user USER` prints as another user.

    The server's clock decides when sessions and leases end.

    Raises `ConfigurationError` if psycopg is not installed, or `dsn` or `table` is malformed.
    """

    def __init__(
        self, dsn: str, *, table: str = _TABLE, timeout: float = 2.0, connections: int = 5
    ) -> None:
        check_number("timeout", timeout, *TIMEOUTS)
        check_number("connections", connections, 1, 10_000)
        if find_spec("psycopg") is None:
            raise ConfigurationError(
                "PostgresStore needs psycopg: pip install 'amplify-mw[postgres]'"
            )
        from .link import Server

        self._arguments = {
            "dsn": dsn,
            "table": table,
            "timeout": timeout,
            "connections": connections,
        }
        self._size = connections
        self._table = Table(table)
        self._questions = Questions(self._table)
        self._server = Server(dsn, timeout)
        self._begin()
        _stores.add(self)

    def _begin(self) -> None:
        """Make new, empty connections for this process."""
        from .connections import Connections

        self._connections: Connections = Connections(self._server, self._table, self._size)

    @staticmethod
    def sql(table: str = _TABLE, *, user: str | None = None) -> str:
        """The SQL that makes the table, for whoever may run it; with the rights that `user` needs.

        It may be run again.
        """
        if user == "":
            raise ConfigurationError("user: write the name of the user who may use the table")
        return Table(table).sql_for(user)

    def create_table(self) -> None:
        """Make the table if it is missing; the first use does the same."""
        self._connections.make_table()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._pickled(**self._arguments)

    def __repr__(self) -> str:
        return f"<PostgresStore {self._server.place} {self._table.name}>"

    def _ask(self, method: str, *arguments: Any) -> Any:
        return self._connections.ask(getattr(self._questions, method)(*arguments))

    async def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method by its name, awaited on the running event loop."""
        question = getattr(self._questions, method)(*arguments)
        return await self._connections.ask_on_loop(question)

    def load(self, key: bytes) -> Record | None:
        """The record under `key`, or None."""
        return cast("Record | None", self._ask("load", key))

    def reload(self, key: bytes, known: Record) -> Record | None:
        """The record under `key`; `known` itself if that is still the one."""
        return cast("Record | None", self._ask("reload", key, known))

    def create(self, key: bytes, record: Record) -> bool:
        """Keep `record` under a key without a record; False if there is one."""
        return cast(bool, self._ask("create", key, record))

    def replace(self, key: bytes, record: Record) -> bool:
        """Keep `record` in place of one of the same or a lower version; False if there is none."""
        return cast(bool, self._ask("replace", key, record))

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> bool:
        """Replace a record, and give the lease back."""
        return cast(bool, self._ask("replace_and_release", key, record, fence))

    def delete(self, key: bytes) -> bool:
        """Forget the record under `key`; False if there was none."""
        return cast(bool, self._ask("delete", key))

    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        """End a session, and return its record; None if there is none."""
        return cast("Record | None", self._ask("end", key, asks_again))

    def end_of_user(self, user: str) -> list[bytes]:
        """End all sessions of a user: their keys."""
        return cast(list[bytes], self._ask("end_of_user", user))

    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        """The keys and records with this `user`, the latest seen first. Empty for ""."""
        return cast(list[tuple[bytes, Record]], self._ask("of_user", user))

    def acquire(self, key: bytes, seconds: float) -> int | None:
        """Take the lease on a record for `seconds`: its fence, or None.

        None also for a tombstone: no fence is higher than its version.
        """
        return cast("int | None", self._ask("acquire", key, seconds))

    def acquire_and_load(self, key: bytes, seconds: float) -> tuple[int | None, Record | None]:
        """Take the lease on a record, and load the record."""
        return cast("tuple[int | None, Record | None]", self._ask("acquire_and_load", key, seconds))

    def renew(self, key: bytes, fence: int, seconds: float) -> bool:
        """Hold a lease for `seconds` from now; False if this fence no longer holds it."""
        return cast(bool, self._ask("renew", key, fence, seconds))

    def release(self, key: bytes, fence: int) -> None:
        """Give a lease back, if this fence still holds it."""
        self._ask("release", key, fence)

    def examine(self) -> list[Check]:
        """What there is to say of this store, its server and its table: lines of a report.

        A missing table is not made.
        """
        from ..examination import failure
        from .examination import absent, checks, may_make, question, tls

        ask, asked = self._connections.ask_as_it_is, time.time()
        libpqs = {"host": os.environ.get("PGHOST"), "sslmode": os.environ.get("PGSSLMODE")}
        way = [*tls({**libpqs, **self._server.given})]
        try:
            told = ask(question(self._table))
            answered = time.time()
            if told is None:
                return [absent(self._table, may_make=ask(may_make(self._table))), *way]
        except StoreUnavailable as error:
            return [failure("store", error), *way]
        return [*super().examine(), *way, *checks(told, self._table, asked, answered)]

    def close(self) -> None:
        """Close connections; a later call opens them anew."""
        connections = self._connections
        self._begin()
        connections.close()

    def begin_in_child(self) -> None:
        """Never touch the parent's connections again."""
        _inherited.append(self._connections)
        self._begin()


_stores: Final["weakref.WeakSet[PostgresStore]"] = weakref.WeakSet()
_inherited: Final[list["Connections"]] = []


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.begin_in_child()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
