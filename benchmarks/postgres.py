"""A PostgreSQL of a benchmark's own, started as the tests do: on a free port."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from .report import versions

SETTINGS = "shared_buffers = 1GB\nmax_wal_size = 8GB\nautovacuum = on\n"


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    if find_spec("psycopg") is None:
        return "not installed: psycopg"
    from tests import postgres

    return postgres.missing()


@contextmanager
def server() -> Iterator[Any]:
    """A server that keeps nothing safe from a power cut: a commit costs no write to the disk."""
    from tests.postgres import Postgres

    made = Postgres(SETTINGS)
    try:
        yield made
    finally:
        made.close()


def server_versions(made: Any) -> str:
    """The server and the client, for a table to say."""
    ((version,),) = made.sql("SHOW server_version")
    return f"PostgreSQL {version.split()[0]}, {versions(('psycopg',))} on 127.0.0.1, fsync off"


def size(made: Any, table: str) -> int:
    """Bytes that a table takes, with its indexes."""
    made.sql(f"VACUUM (ANALYZE, FREEZE) {table}")
    ((found,),) = made.sql(f"SELECT pg_total_relation_size('{table}')")
    return int(found)


def bare_select(dsn: str, table: str) -> Callable[[bytes], object]:
    """The value under a key, by libpq alone."""
    import psycopg
    from psycopg import pq

    connection = psycopg.connect(dsn, autocommit=True).pgconn
    statement = f"SELECT value FROM {table} WHERE key = $1".encode()

    def select(key: bytes) -> object:
        result = connection.exec_params(statement, [key], [17], [1], pq.Format.BINARY)
        return result.get_value(0, 0)

    return select
