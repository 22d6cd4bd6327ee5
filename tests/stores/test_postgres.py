"""`PostgresStore`: the contract on a real server, its table, and what is told of an address."""

import asyncio
import copy
import gc
import os
import pickle
import secrets
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import ENDED, Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.postgres.questions import Questions, look
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.stores.postgres.table import Table
from amplify_mw.testing.store_contract import KEY, LONG, StoreContract, at_once, in_a_child
from tests.patience import PATIENCE, until
from tests.postgres import PASSWORD, Postgres, binaries
from tests.postgres import postgres as postgres

RECORD = Record(b"sealed", 3, 4e9, "ada", "h-1", 1.0, 2.0, "Firefox")
forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def table(postgres: Postgres) -> Iterator[str]:
    """The name of a table for one test, on the shared server."""
    name = f"test_{secrets.token_hex(8)}"
    yield name
    postgres.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture
def store(postgres: Postgres, table: str) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres.dsn, table=table)
    yield store
    store.close()


class TestPostgresStore(StoreContract):
    turns_clock = False  # it is the server's

    @pytest.fixture
    def store(self, store: PostgresStore) -> PostgresStore:
        return store


class Turned:
    """The questions of a store whose server's clock the suite turns."""

    def __init__(self, table: str, suite: StoreContract) -> None:
        self._table = Table(table)
        self._suite = suite

    def __getattr__(self, method: str) -> Any:
        now = f"{self._suite.clock()!r}::double precision"
        return getattr(Questions(self._table, now), method)


class TestPostgresStoreOfATurnedClock(StoreContract):
    @pytest.fixture
    def store(self, store: PostgresStore, table: str) -> PostgresStore:
        store._questions = Turned(table, self)  # type: ignore[assignment]
        return store


# Records


@given(
    record=st.builds(
        Record,
        value=st.binary(max_size=5000),
        version=st.integers(0, ENDED),
        expires_at=st.floats(3e9, 1e300),
        user=st.text(st.characters()),
        handle=st.text(st.characters()),
        created_at=st.floats(-1e300, 1e300),
        seen_at=st.floats(-1e300, 1e300),
        user_agent=st.text(st.characters(categories=None)),
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_record_comes_back_as_it_was(store: PostgresStore, record: Record) -> None:
    store.delete(KEY)
    assert store.create(KEY, record)

    assert store.load(KEY) == record
    assert store.end(KEY) == (None if record.version == ENDED else record)


@pytest.mark.parametrize("expires_at", [-1e300, -1.0, 0.0])
def test_a_record_of_any_past_is_kept_and_not_found(
    store: PostgresStore, expires_at: float
) -> None:
    assert store.create(KEY, replace(RECORD, expires_at=expires_at))

    assert store.load(KEY) is None


def test_a_record_that_is_known_is_not_sent_again(store: PostgresStore) -> None:
    store.create(KEY, RECORD)
    known = store.load(KEY)
    assert known is not None
    seen = []
    question = store._questions.reload(KEY, known)
    question = question._replace(
        read=lambda rows, read=question.read: seen.extend(rows) or read(rows)
    )

    assert store._connections.ask(question) is known
    assert [value for row in seen for value in row].count(None) == 1  # its value


def test_a_record_without_this_writes_stamp_is_answered_with_it(store: PostgresStore) -> None:
    """A process knows what it wrote itself by no stamp, and would be sent all of it each time."""
    store.create(KEY, RECORD)

    first = store.reload(KEY, RECORD)
    assert first == RECORD
    assert first is not None
    assert first.stamp
    assert store.reload(KEY, first) is first

    store.replace(KEY, RECORD)  # as it was: a change all the same
    second = store.reload(KEY, first)
    assert second == RECORD
    assert second is not None
    assert second.stamp not in (b"", first.stamp)


@pytest.mark.parametrize("column", ["version = -1", "version = 9.1e15", "handle = '\\xff'"])
def test_a_row_that_is_no_record_is_not_found(
    store: PostgresStore, postgres: Postgres, table: str, column: str
) -> None:
    store.create(KEY, RECORD)
    postgres.sql(f"UPDATE {table} SET {column}")

    assert store.load(KEY) is None
    assert store.of_user("ada") == []


def test_expired_rows_are_removed_a_few_at_a_time_as_others_are_created(
    store: PostgresStore, postgres: Postgres, table: str
) -> None:
    store.create(KEY, RECORD)
    postgres.sql(
        f"INSERT INTO {table} SELECT sha256(n::text::bytea), 0, 0, 0, '', 1, 1, \"user\", handle,"
        f" 0, 0, '', '', '' FROM {table}, generate_series(1, 100) AS n"
    )

    for number in range(15):
        store.create(bytes([number]) * 32, RECORD)
    assert postgres.sql(f"SELECT count(*) FROM {table} WHERE expires_at = 1") == [(36,)]
    for number in range(16, 32):
        store.create(bytes([number]) * 32, RECORD)
    assert postgres.sql(f"SELECT count(*) FROM {table} WHERE expires_at = 1") == [(0,)]


def test_rolling_a_session_leaves_the_indexes_alone(
    store: PostgresStore, postgres: Postgres, table: str
) -> None:
    day = 50_000 * 86_400.0  # where it begins
    store.create(KEY, replace(RECORD, expires_at=day + 1))
    for number in range(10):
        store.replace(KEY, replace(RECORD, expires_at=day + 2 + number))
    fence = store.acquire(KEY, LONG)
    assert fence is not None
    store.replace_and_release(KEY, replace(RECORD, version=fence, expires_at=day + 99), fence)
    store.close()  # a server's process counts as it ends

    look = f"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '{table}'"
    until(lambda: postgres.sql(look) == [(12, 12)])


def test_a_client_whose_clock_is_an_hour_off_judges_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    soon = replace(RECORD, expires_at=now + LONG / 2)
    for off in (LONG, -LONG):
        monkeypatch.setattr(time, "time", lambda off=off: now + off)
        assert store.create(KEY, soon)
        fence = store.acquire(KEY, 100)
        assert fence is not None
        assert store.acquire(KEY, 100) is None
        assert store.renew(KEY, fence, 100)
        assert store.load(KEY) == soon
        assert store.end(KEY) == soon


def test_everywhere_ends_what_is_refreshed_just_then(store: PostgresStore) -> None:
    keys = [bytes([number]) * 32 for number in range(8)]
    for key in keys:
        store.create(key, RECORD)

    def act(number: int) -> list[bytes]:
        if number < 2:
            return store.end_of_user("ada")
        for _ in range(10):
            for key in keys:
                store.replace(key, RECORD)
        return []

    ended = [key for found in at_once(4, act) for key in found]

    assert sorted(ended) == keys
    assert {store.load(key).version for key in keys} == {ENDED}  # type: ignore[union-attr]


# The table


def test_many_who_come_first_make_one_table(postgres: Postgres, table: str) -> None:
    stores = [PostgresStore(postgres.dsn, table=table) for _ in range(6)]

    made = at_once(6, lambda number: stores[number].create(bytes([number]) * 32, RECORD))

    assert made == [True] * 6
    for store in stores:
        store.close()


def test_a_table_that_was_dropped_is_made_again(
    store: PostgresStore, postgres: Postgres, table: str
) -> None:
    store.create(KEY, RECORD)
    postgres.sql(f"DROP TABLE {table}")

    assert store.load(KEY) is None
    assert asyncio.run(store.ask("create", (KEY, RECORD)))


def test_a_table_may_be_in_another_schema(postgres: Postgres) -> None:
    postgres.sql('CREATE SCHEMA "Auth"')
    store = PostgresStore(postgres.dsn, table="Auth.Sessions")

    assert store.create(KEY, RECORD)

    assert postgres.sql('SELECT count(*) FROM "Auth"."Sessions"') == [(1,)]
    store.close()
    postgres.sql('DROP SCHEMA "Auth" CASCADE')


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a.b.c", "a;", "\u00e9", "x" * 51, ".a", "1a"])
def test_what_is_no_tables_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^table: "):
        PostgresStore("", table=name)


def test_another_applications_table_is_left_alone(postgres: Postgres, table: str) -> None:
    postgres.sql(f"CREATE TABLE {table} (key bytea)")
    store = PostgresStore(postgres.dsn, table=table)

    with pytest.raises(StoreUnavailable, match=r"not one of amplify_mw's.*table='another_name'"):
        store.load(KEY)
    store.close()


def test_a_newer_table_is_left_alone(postgres: Postgres, table: str) -> None:
    store = PostgresStore(postgres.dsn, table=table)
    store.create_table()
    store.close()
    postgres.sql(f"COMMENT ON TABLE {table} IS 'sessions of amplify_mw, schema 2'")

    with pytest.raises(StoreUnavailable, match=r"its schema is 2, this one knows 1\): install"):
        store.create_table()
    store.close()


@pytest.fixture
def app(postgres: Postgres) -> Iterator[str]:
    """A user that may do nothing yet."""
    name = f"app_{secrets.token_hex(4)}"
    postgres.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    postgres.sql(f"DROP OWNED BY {name}")
    postgres.sql(f"DROP ROLE {name}")


def test_who_may_not_create_a_table_is_told_what_to_do(
    postgres: Postgres, table: str, app: str
) -> None:
    store = PostgresStore(postgres.dsn_of(app), table=table)

    with pytest.raises(
        StoreUnavailable, match=r"42501: the table \w+ is missing.*postgres-sql --table \w+ --user"
    ):
        store.load(KEY)
    store.close()


def test_who_may_not_use_the_table_is_told_of_the_grants(
    postgres: Postgres, table: str, app: str
) -> None:
    postgres.sql(PostgresStore.sql(table))
    store = PostgresStore(postgres.dsn_of(app), table=table)

    with pytest.raises(
        StoreUnavailable, match=r"42501: this user may not do that.*postgres-sql --user"
    ):
        store.load(KEY)
    store.close()


def test_the_rights_of_nobody_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^user: write the name"):
        PostgresStore.sql(user="")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("NOLOGIN", "login: this user may not log in: ALTER ROLE"),
        ("CONNECTION LIMIT 0", "53300: it has as many connections"),
    ],
)
def test_a_user_that_may_not_connect_is_told_what_to_do(
    postgres: Postgres, app: str, change: str, said: str
) -> None:
    postgres.sql(f"ALTER ROLE {app} {change}")
    store = PostgresStore(postgres.dsn_of(app))

    with pytest.raises(StoreUnavailable, match=said):
        store.load(KEY)


def test_a_user_without_a_right_to_the_database_is_told_of_that(
    postgres: Postgres, app: str
) -> None:
    postgres.sql(f"CREATE DATABASE of_{app}")
    postgres.sql(f"REVOKE CONNECT ON DATABASE of_{app} FROM PUBLIC")
    dsn = postgres.dsn_of(app).removesuffix("/postgres")
    store = PostgresStore(f"{dsn}/of_{app}")

    with pytest.raises(StoreUnavailable, match=r"connect: .*GRANT CONNECT ON DATABASE"):
        store.load(KEY)
    postgres.sql(f"DROP DATABASE of_{app}")


def test_the_least_rights_are_enough(postgres: Postgres, table: str, app: str) -> None:
    postgres.sql(PostgresStore.sql(table, user=app))
    store = PostgresStore(postgres.dsn_of(app), table=table)

    for number in range(20):  # one of them sweeps
        assert store.create(bytes([number]) * 32, RECORD)
    key = bytes(32)
    fence, _ = store.acquire_and_load(key, LONG)
    assert fence is not None
    assert store.renew(key, fence, LONG)
    assert store.replace_and_release(key, replace(RECORD, version=fence), fence)
    assert store.delete(key)
    assert store.end(bytes([1]) * 32, True) == RECORD
    assert len(store.end_of_user("ada")) == 18
    store.close()


@pytest.mark.parametrize("schema", ["App", "public"])
def test_the_least_rights_reach_into_a_schema(
    postgres: Postgres, table: str, app: str, schema: str
) -> None:
    name = f"{schema}.{table}"
    postgres.sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    postgres.sql(PostgresStore.sql(name, user=app))
    store = PostgresStore(postgres.dsn_of(app), table=name)

    assert store.create(KEY, RECORD)
    store.close()
    postgres.sql(f'DROP TABLE "{schema}".{table}')


@pytest.mark.parametrize(
    "user", ['a"; DROP TABLE x; --', "a'b", "a\\b", ":user", "PUBLIC", "\u00e9"]
)
def test_the_sql_is_for_any_user(postgres: Postgres, table: str, user: str) -> None:
    quoted = '"' + user.replace('"', '""') + '"'
    postgres.sql(f"CREATE ROLE {quoted}".replace("%", "%%"))
    psql = [str(binaries()) + "/psql", "-v", "ON_ERROR_STOP=1", postgres.dsn]
    for _ in range(2):
        subprocess.run(
            psql,
            input=PostgresStore.sql(table, user=user),
            text=True,
            check=True,
            encoding="utf-8",
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        )

    may = f"SELECT has_table_privilege(%s, '{table}', 'SELECT, INSERT, UPDATE, DELETE')"
    assert postgres.sql(may, user) == [(True,)]
    postgres.sql(f"DROP OWNED BY {quoted}")
    postgres.sql(f"DROP ROLE {quoted}")


def test_a_table_that_is_made_this_moment_is_not_taken_for_anothers(
    postgres: Postgres, table: str
) -> None:
    """Processes that start together look at it while one of them makes it."""
    question = look(Table(table))
    with psycopg.connect(postgres.dsn, cursor_factory=psycopg.RawCursor) as looking:
        looking.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        looking.execute("SELECT 1")  # what it sees from now on is older than the table
        postgres.sql(PostgresStore.sql(table))

        seen = looking.execute(question.statement, question.values).fetchall()

    assert question.read(seen) is None


def test_the_sql_may_be_run_again(postgres: Postgres, table: str) -> None:
    for _ in range(2):
        postgres.sql(PostgresStore.sql(table))

    assert f'COMMENT ON TABLE "{table}"' in PostgresStore.sql(table)


def test_the_sql_may_be_run_by_many_at_once_beside_the_store(
    postgres: Postgres, table: str
) -> None:
    sql = PostgresStore.sql(table)
    run = [str(binaries()) + "/psql", "-qv", "ON_ERROR_STOP=1", postgres.dsn]

    def make(number: int) -> None:
        if number % 2:
            PostgresStore(postgres.dsn, table=table).create_table()
        else:
            subprocess.run(run, input=sql, text=True, check=True, stderr=subprocess.DEVNULL)

    at_once(6, make)


# Connections


def test_a_user_that_waits_for_a_connection_gets_one(postgres: Postgres, table: str) -> None:
    store = PostgresStore(postgres.dsn, table=table, connections=2)
    store.create(KEY, RECORD)

    assert at_once(8, lambda _: [store.load(KEY) for _ in range(5)]) == [[RECORD] * 5] * 8

    async def together() -> list[Any]:
        return await asyncio.gather(*[store.ask("load", (KEY,)) for _ in range(40)])

    assert asyncio.run(together()) == [RECORD] * 40
    name = f"SELECT count(*) <= 2 FROM pg_stat_activity WHERE query LIKE '%{table}%' AND pid <> "
    assert postgres.sql(f"{name} pg_backend_pid()") == [(True,)]
    store.close()


def test_waiters_that_are_cancelled_use_no_connection_up(postgres: Postgres, table: str) -> None:
    store = PostgresStore(postgres.dsn, table=table, connections=1)
    store.create(KEY, RECORD)

    async def give_up() -> Any:
        for turns in range(30):
            task = asyncio.create_task(store.ask("load", (KEY,)))
            for _ in range(turns % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await store.ask("load", (KEY,))

    assert asyncio.run(give_up()) == RECORD
    assert store.load(KEY) == RECORD
    store.close()


def test_a_loop_that_is_closed_amid_a_question_leaves_the_store_well(
    postgres: Postgres, table: str
) -> None:
    store = PostgresStore(postgres.dsn, table=table, connections=1)
    store.create(KEY, RECORD)
    for _ in range(3):
        loop = asyncio.new_event_loop()
        asking = store.ask("load", (KEY,))
        loop.call_soon(loop.stop)
        task = loop.create_task(asking)
        loop.run_forever()
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task, asking
        gc.collect()

    assert store.load(KEY) == RECORD
    assert asyncio.run(store.ask("load", (KEY,))) == RECORD
    store.close()


def test_those_who_wait_get_the_connections_of_cancelled_questions(
    postgres: Postgres, table: str
) -> None:
    store = PostgresStore(postgres.dsn, table=table, connections=2)
    store.create(KEY, RECORD)

    async def give_up(others: Any) -> list[Any]:
        await asyncio.gather(*[store.ask("load", (KEY,)) for _ in range(4)])
        idle = len(store._connections._idle)
        others.execute(f"LOCK TABLE {table}")
        asking = [asyncio.create_task(store.ask("load", (KEY,))) for _ in range(idle)]
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(store.ask("load", (KEY,))) for _ in range(4)]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        others.rollback()
        return await asyncio.gather(*waiting)

    with psycopg.connect(postgres.dsn) as others:
        assert asyncio.run(give_up(others)) == [RECORD] * 4
    store.close()


def test_what_is_asked_too_late_costs_no_connection(
    store: PostgresStore, postgres: Postgres
) -> None:
    store.create(KEY, RECORD)
    connections = store._connections
    (link,) = connections._idle
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            connections._ask_before(time.monotonic() - 1, store._questions.load(KEY))

    assert connections._idle == [link]
    assert store.load(KEY) == RECORD


def test_those_who_wait_for_a_thread_are_told_in_time(
    postgres: Postgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(postgres.dsn, table=table, connections=1, timeout=0.3)
    goes_on = threading.Event()
    monkeypatch.setattr(
        store._server, "connect", lambda: goes_on.wait(PATIENCE)
    )  # a name server that is silent

    async def ask() -> list[Any]:
        first = asyncio.create_task(store.ask("load", (KEY,)))
        others = [store.ask("load", (KEY,)) for _ in range(3)]
        said = await asyncio.gather(*others, return_exceptions=True)
        first.cancel()
        return said

    said = asyncio.run(ask())
    goes_on.set()

    assert {str(error)[:17] for error in said} == {"PostgreSQL: busy:"}


AMID_A_TURN = """
import signal, sys
from amplify_mw.stores.postgres.store import PostgresStore
store = PostgresStore(sys.argv[1], table=sys.argv[2], timeout=60)
store.load(bytes(32))
times = 0
def amid(*_):
    global times
    times += 1
    store.load(bytes(32))
    if times < 300:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, amid)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
while times < 300:
    store.load(bytes(32))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="it needs a signal")
def test_a_signals_handler_may_ask_amid_a_question(postgres: Postgres, table: str) -> None:
    command = [sys.executable, "-c", AMID_A_TURN, postgres.dsn, table]

    assert subprocess.run(command, timeout=PATIENCE).returncode == 0


@forking
def test_a_child_leaves_its_parents_unanswered_questions_alone(
    store: PostgresStore, postgres: Postgres, table: str
) -> None:
    store.create(KEY, RECORD)
    loop = asyncio.new_event_loop()
    with psycopg.connect(postgres.dsn) as others:
        others.execute(f"LOCK TABLE {table}")
        asked = [loop.create_task(store.ask("load", (KEY,)))]
        loop.run_until_complete(asyncio.sleep(0))

        def leave() -> bool:
            asking: Any = asked[0].get_coro()
            with suppress(asyncio.CancelledError):
                asking.throw(asyncio.CancelledError)
            return gc.collect() >= 0

        assert in_a_child(leave)
        others.rollback()

    assert loop.run_until_complete(asked[0]) == RECORD
    loop.close()


@forking
def test_a_child_leaves_its_parents_connections_alone(
    store: PostgresStore, postgres: Postgres, table: str
) -> None:
    store.create(KEY, RECORD)
    mine = f"SELECT array_agg(pid) FROM pg_stat_activity WHERE query LIKE '%{table}%'"
    mine += " AND pid <> pg_backend_pid()"
    before = postgres.sql(mine)

    assert in_a_child(lambda: store.load(KEY) == RECORD and not store.close() and gc.collect() >= 0)

    assert store.load(KEY) == RECORD
    assert set(before[0][0]) <= set(postgres.sql(mine)[0][0])


# Addresses


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:a-secret@127.0.0.1/x?sslmod=require",
        "postgresql://app:a-secret@127.0.0.1/x?sslmode=a-secret",
        "postgresql://app:a-secret@127.0.0.1/x?target_session_attrs=a-secret",
        "postgresql://app:a-secret@127.0.0.1/x?connect_timeout=a-secret",
        "postgresql://app:a-secret/with-slash@127.0.0.1",
        "postgresql://app:x@127.0.0.1:a-secret/x",
        "postgresql://app:x@127.0.0.1:99999/a-secret",
        "postgresql://app:a%zzsecret@127.0.0.1",
        "host=127.0.0.1 pasword=a-secret",
        "host=127.0.0.1 a-secret",
        "host=127.0.0.1\0 password=a-secret",
        "a-secret",
        "redis://:a-secret@127.0.0.1/0",
        "postgresql+psycopg://app:a-secret@127.0.0.1/x",
        None,
    ],
)
def test_a_dsn_that_is_none_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^dsn: ") as caught:
        PostgresStore(dsn)

    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert "secret" not in shown
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"timeout": 1e9},
        {"timeout": "2"},
        {"timeout": None},
        {"connections": 0},
        {"table": None},
    ],
    ids=str,
)
def test_an_impossible_option_is_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^{name}: write "):
        PostgresStore("", **options)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://app:a-secret@db.example.com:6432/x", "<PostgresStore db.example.com t>"),
        ("host=a,b password=a-secret", "<PostgresStore a,b t>"),
        ("service=shop password=a-secret", "<PostgresStore service=shop t>"),
        ("", "<PostgresStore libpq's default host t>"),
    ],
)
def test_no_repr_shows_a_password(dsn: str, shown: str) -> None:
    assert repr(PostgresStore(dsn, table="t")) == shown


def test_the_environment_of_libpq_is_heeded(
    postgres: Postgres, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("PGDATABASE", "postgres")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    store = PostgresStore("", table=table)

    assert store.create(KEY, RECORD)
    store.close()


@pytest.mark.parametrize("named", ["dsn", "environment"])
def test_the_options_of_a_service_are_heeded(
    postgres: Postgres, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "services").write_text(
        f"[shop]\nhost=127.0.0.1\nport={postgres.port}\ndbname=postgres\nuser=postgres\n"
        f"password={PASSWORD}\noptions=-c search_path={table}_of_shop\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    if named == "environment":
        monkeypatch.setenv("PGSERVICE", "shop")
    postgres.sql(f"CREATE SCHEMA {table}_of_shop")
    store = PostgresStore("service=shop" if named == "dsn" else "", table=table)

    assert store.create(KEY, RECORD)

    assert postgres.sql(f"DROP TABLE {table}_of_shop.{table}") == []
    postgres.sql(f"DROP SCHEMA {table}_of_shop")
    store.close()


def test_a_copy_is_the_same_store_and_so_is_a_pickle(store: PostgresStore) -> None:
    assert copy.deepcopy(store) is store
    assert pickle.loads(pickle.dumps(store)) is store


def test_another_process_that_was_sent_the_store_finds_what_it_has(
    store: PostgresStore, tmp_path: Any
) -> None:
    store.create(KEY, RECORD)
    (tmp_path / "store").write_bytes(pickle.dumps(store))
    code = "import pickle, sys; store = pickle.loads(open(sys.argv[1], 'rb').read())\n"
    code += "print(store.load(bytes.fromhex(sys.argv[2])).user)"

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store"), KEY.hex()],
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("ada\n", "")


def test_without_psycopg_the_mend_is_said() -> None:
    code = "import sys; sys.modules['psycopg'] = None\n"
    code += "from amplify_mw.stores import PostgresStore\nPostgresStore('')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (
        "ConfigurationError: PostgresStore needs psycopg: pip install 'amplify-mw[postgres]'"
        in done.stderr
    )


# The tests' own servers


def test_a_server_and_its_files_go_with_the_process_that_started_it(postgres: Postgres) -> None:
    code = """
        import os, signal
        from tests.postgres import Postgres
        server = Postgres()
        os.kill(server._process.pid, signal.SIGSTOP)
        print(server.folder, server.port, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert told.returncode == -signal.SIGKILL
    folder, port = told.stdout.split()

    def is_silent() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
            return False
        return True

    until(lambda: not Path(folder).exists() and is_silent())
