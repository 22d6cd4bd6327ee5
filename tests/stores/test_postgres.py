"""`PostgresStore`: the contract on a real server, and what may happen to one."""

import secrets
from collections.abc import Iterator

import pytest

from amplify_mw.stores.postgres.questions import Questions
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.testing.store_contract import StoreContract
from tests.postgres import Postgres
from tests.postgres import own_postgres as own_postgres
from tests.postgres import postgres as postgres


@pytest.fixture
def table(postgres: Postgres) -> Iterator[str]:
    """The name of a table for one test, on the shared server."""
    name = f"test_{secrets.token_hex(8)}"
    yield name
    postgres.sql(f"DROP TABLE IF EXISTS {name}")


class TestPostgresStore(StoreContract):
    turns_clock = False  # it is the server's

    @pytest.fixture
    def store(self, postgres: Postgres, table: str) -> Iterator[PostgresStore]:
        store = PostgresStore(postgres.dsn, table=table)
        yield store
        store.close()
