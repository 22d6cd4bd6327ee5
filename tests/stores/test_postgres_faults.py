"""`PostgresStore` when its server fails, hangs, refuses or is replaced by another."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.testing.store_contract import KEY, LONG, OTHER, at_once
from tests.patience import PATIENCE, until
from tests.postgres import PASSWORD, Postgres
from tests.stores.redis_tools import IMPATIENT, Endpoint, Way, certificate
from tests.valkey import free_port
from tests.valkey.endings import has_ended

RECORD = Record(b"a-secret-value", 3, 4e9, "ada", "h-1", 1.0, 2.0, "Firefox")
CALLS: dict[str, tuple[Any, ...]] = {
    "load": (KEY,),
    "reload": (KEY, RECORD),
    "create": (OTHER, RECORD),
    "replace": (KEY, RECORD),
    "replace_and_release": (KEY, RECORD, 1),
    "delete": (OTHER,),
    "end": (OTHER, True),
    "end_of_user": ("bob",),
    "of_user": ("ada",),
    "acquire": (OTHER, LONG),
    "acquire_and_load": (OTHER, LONG),
    "renew": (KEY, 1, LONG),
    "release": (KEY, 1),
}
READS = {"load", "reload", "of_user"}
every_method = pytest.mark.parametrize("method", CALLS)
Ask = Way


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that the tests of this file break, one after another."""
    from tests.postgres import missing

    if (why := missing()) is not None:
        pytest.skip(why)
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def breakable(server: Postgres) -> Iterator[Postgres]:
    """The same, and well again afterwards."""
    yield server
    server.go_on()
    if not server.runs():
        server.start()


@pytest.fixture
def table() -> str:
    return f"test_{secrets.token_hex(8)}"


@pytest.fixture
def store(breakable: Postgres, table: str) -> Iterator[PostgresStore]:
    """A store with `RECORD` under `KEY`, and one connection open."""
    store = PostgresStore(breakable.dsn, table=table)
    assert store.create(KEY, RECORD)
    yield store
    store.close()


@pytest.fixture
def impatient(store: PostgresStore, breakable: Postgres, table: str) -> Iterator[PostgresStore]:
    """Another store on the same table, which gives up soon."""
    impatient = PostgresStore(breakable.dsn, table=table, timeout=IMPATIENT)

    def came() -> bool:
        with suppress(StoreUnavailable):
            return impatient.load(KEY) == RECORD
        return False

    until(came)
    yield impatient
    impatient.close()


def failure(ask: Callable[[], object]) -> str:
    """What a failing store says, which tells nothing of the address or of what was asked."""
    with pytest.raises(StoreUnavailable) as caught:
        ask()
    told = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    for secret in (PASSWORD, "127.0.0.1", "a-secret-value", "ada", KEY.hex()):
        assert secret not in told
    assert caught.value.__cause__ is caught.value.__context__ is None
    return str(caught.value)


# A server that is gone


@every_method
def test_a_server_that_is_gone_is_no_answer(
    store: PostgresStore, breakable: Postgres, ask: Ask, method: str
) -> None:
    breakable.stop(signal.SIGQUIT)

    for _ in range(2):
        said = failure(lambda: ask(store, method, *CALLS[method]))
        assert said.startswith("PostgreSQL: refused: nothing listens there")

    breakable.start()
    ask(store, method, *CALLS[method])


@every_method
def test_a_restart_between_two_calls_goes_unnoticed(
    store: PostgresStore, breakable: Postgres, ask: Ask, method: str
) -> None:
    ask.at_once(3, store, "load", KEY)
    breakable.stop()
    breakable.start()

    ask.at_once(3, store, method, *CALLS[method])


def test_connections_that_were_ended_there_go_unnoticed(
    store: PostgresStore, breakable: Postgres, ask: Ask
) -> None:
    for how in ("", "SET idle_session_timeout = 1"):
        ask.at_once(4, store, "load", KEY)
        breakable.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
            "pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert ask.at_once(4, store, "load", KEY) == [RECORD] * 4, how


def test_a_restart_under_load_is_an_outage_and_nothing_else(
    store: PostgresStore, breakable: Postgres
) -> None:
    over: list[bool] = []

    def act(number: int) -> int:
        if number == 0:
            for how in (signal.SIGINT, signal.SIGQUIT):
                breakable.stop(how)
                breakable.start()
            until(lambda: bool(suppressed(lambda: store.load(KEY))))
            over.append(True)
            return 0
        answered = 0
        while not over:
            with suppress(StoreUnavailable):
                assert store.load(KEY) == RECORD
                assert store.replace(KEY, RECORD)
                answered += 1
        return answered

    at_once(4, act)

    assert at_once(4, lambda _: store.load(KEY)) == [RECORD] * 4


def suppressed(ask: Callable[[], Any]) -> Any:
    with suppress(StoreUnavailable):
        return ask()


def test_a_store_may_be_made_before_its_server_starts(
    breakable: Postgres, table: str, ask: Ask
) -> None:
    breakable.stop()
    store = PostgresStore(breakable.dsn, table=table)
    breakable.start()

    assert ask(store, "create", KEY, RECORD)
    store.close()


# A server that hangs


@every_method
def test_a_server_that_hangs_is_given_up(
    impatient: PostgresStore, breakable: Postgres, ask: Ask, method: str
) -> None:
    breakable.pause()

    said = failure(lambda: ask(impatient, method, *CALLS[method]))
    assert said.startswith("PostgreSQL: timeout: no answer in time")

    breakable.go_on()
    until(lambda: suppressed(lambda: ask(impatient, "load", KEY)))


def test_a_server_that_hangs_while_connecting_is_given_up(breakable: Postgres, ask: Ask) -> None:
    store = PostgresStore(breakable.dsn, timeout=IMPATIENT)
    breakable.pause()

    assert "PostgreSQL: timeout: " in failure(lambda: ask(store, "load", KEY))
    store.close()


def test_a_lock_that_hangs_is_given_up_on_both_sides(
    impatient: PostgresStore, breakable: Postgres, table: str, ask: Ask
) -> None:
    with psycopg.connect(breakable.dsn) as other:
        other.execute(f"LOCK TABLE {table}")
        assert failure(lambda: ask(impatient, "load", KEY)).split(":")[1] in (" 57014", " timeout")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: breakable.sql(waiting) == [(0,)])
        other.rollback()

    until(lambda: suppressed(lambda: ask(impatient, "load", KEY)))


def test_those_who_wait_for_a_connection_are_told(
    impatient: PostgresStore, breakable: Postgres, table: str
) -> None:
    single = PostgresStore(breakable.dsn, table=table, connections=1, timeout=IMPATIENT)
    until(lambda: suppressed(lambda: single.load(KEY)))
    assert single._connections._free.get(timeout=PATIENCE) is None  # somebody has it

    assert "busy: all connections are in use: write connections=" in failure(
        lambda: single.load(KEY)
    )
    single._connections._free.put(None)
    single.close()


# A server that refuses


def test_a_wrong_password_is_told(breakable: Postgres, ask: Ask) -> None:
    store = PostgresStore(breakable.dsn_of("postgres", password="wrong"))
    assert "28P01: wrong user name or password" in failure(lambda: ask(store, "load", KEY))


def test_a_database_that_is_not_there_is_told(breakable: Postgres, ask: Ask) -> None:
    store = PostgresStore(f"{breakable.dsn}_of_nobody")
    assert "3D000: it has no such database" in failure(lambda: ask(store, "load", KEY))


def test_a_host_that_is_not_known_is_told(ask: Ask) -> None:
    store = PostgresStore("postgresql://a:b@nowhere.invalid/x")
    assert "host: its host name is not known here" in failure(lambda: ask(store, "load", KEY))


def test_a_port_of_something_else_is_told(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresStore(f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/x", timeout=1)
        assert "timeout: no answer in time" in failure(lambda: ask(store, "load", KEY))


def test_a_service_that_is_not_defined_is_told(ask: Ask) -> None:
    store = PostgresStore("service=nobodys")
    assert "service: the connection service" in failure(lambda: ask(store, "load", KEY))


def test_too_many_connections_are_told(breakable: Postgres, ask: Ask) -> None:
    name = f"app_{secrets.token_hex(4)}"
    breakable.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0")
    store = PostgresStore(breakable.dsn_of(name))
    assert "53300: it has as many connections as it takes" in failure(
        lambda: ask(store, "load", KEY)
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("53100", "its disk is full"),
        ("53200", "its memory is full"),
        ("40001", "other transactions came in between, twice"),
        ("XX001", "its data are corrupt"),
        ("22012", "the statement failed: the server's own log says why"),
    ],
)
def test_what_the_server_refuses_is_told(
    store: PostgresStore, breakable: Postgres, table: str, ask: Ask, code: str, said: str
) -> None:
    raising(breakable, table, code)

    assert failure(lambda: ask(store, "replace", KEY, RECORD)).startswith(
        f"PostgreSQL: {code}: {said}"
    )
    assert ask(store, "load", KEY) == RECORD


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_write_is_tried_again_if_others_came_in_between(
    store: PostgresStore, breakable: Postgres, table: str, ask: Ask, code: str
) -> None:
    raising(breakable, table, code, times=1)

    assert ask(store, "replace", KEY, replace(RECORD, handle="h-2"))
    assert ask(store, "load", KEY).handle == "h-2"


def raising(server: Postgres, table: str, code: str, times: int = 10**9) -> None:
    """Let the first writes fail with this code."""
    server.sql(f"CREATE SEQUENCE {table}_times")
    server.sql(
        f"CREATE FUNCTION {table}_raises() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('{table}_times') <= {times} THEN"
        f" RAISE EXCEPTION 'a-secret-value of ada' USING ERRCODE = '{code}'; END IF;"
        " RETURN NEW; END $$"
    )
    server.sql(
        f"CREATE TRIGGER raises BEFORE UPDATE ON {table} FOR EACH ROW"
        f" EXECUTE FUNCTION {table}_raises()"
    )


def test_a_stricter_isolation_of_the_database_hinders_nobody(
    breakable: Postgres, table: str
) -> None:
    name = f"app_{secrets.token_hex(4)}"
    breakable.sql(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    breakable.sql(f"ALTER ROLE {name} SET default_transaction_isolation = serializable")
    store = PostgresStore(breakable.dsn_of(name), table=table)
    store.create(KEY, RECORD)

    assert at_once(6, lambda _: [store.replace(KEY, RECORD) for _ in range(5)]) == [[True] * 5] * 6
    store.close()


# Another server


@pytest.fixture
def read_only(server: Postgres) -> Iterator[Callable[[], None]]:
    """Lets the server take no writes, as a standby or a demoted primary."""

    def begin() -> None:
        server.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        server.sql("SELECT pg_reload_conf()")
        until(lambda: server.sql("SHOW default_transaction_read_only") == [("on",)])

    yield begin
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
    until(lambda: server.sql("SHOW default_transaction_read_only") == [("off",)])


def test_a_server_that_takes_no_writes_is_told(
    store: PostgresStore, breakable: Postgres, read_only: Callable[[], None], ask: Ask
) -> None:
    ask(store, "load", KEY)
    read_only()

    for _ in range(2):
        said = failure(lambda: ask(store, "replace", KEY, RECORD))
        assert said.startswith("PostgreSQL: 25006: it takes no writes: if it is a standby")


@pytest.fixture
def second(server: Postgres) -> Iterator[Postgres]:
    second = Postgres()
    yield second
    second.close()


def test_after_a_failover_the_new_primary_is_found(
    server: Postgres,
    second: Postgres,
    read_only: Callable[[], None],
    table: str,
) -> None:
    second.sql(PostgresStore.sql(table))
    endpoint = Endpoint(server.port)
    hosts = f"host=127.0.0.1,127.0.0.1 port={server.port},{second.port} dbname=postgres"
    stores = [
        PostgresStore(second.dsn_of("postgres", port=endpoint.port), table=table),
        PostgresStore(f"{hosts} user=postgres password={PASSWORD}", table=table),
    ]
    for store in stores:
        at_once(3, lambda _, store=store: store.load(KEY))  # type: ignore[misc]
    read_only()
    endpoint.leads_to = second.port

    assert stores[0].create(KEY, RECORD)
    assert asyncio.run(stores[1].ask("create", (OTHER, RECORD)))

    for store in stores:
        assert at_once(4, lambda _, store=store: store.load(KEY)) == [RECORD] * 4  # type: ignore[misc]
        store.close()
    endpoint.close()
    assert second.sql(f"SELECT count(*) FROM {table}") == [(2,)]


def test_a_standby_is_left_for_the_primary(server: Postgres, table: str) -> None:
    standby = server.standby()
    hosts = f"host=127.0.0.1,127.0.0.1 port={standby.port},{server.port} dbname=postgres"
    store = PostgresStore(f"{hosts} user=postgres password={PASSWORD}", table=table)
    alone = PostgresStore(standby.dsn, table=table)
    try:
        assert store.create(KEY, RECORD)
        assert "25006: it takes no writes" in failure(lambda: alone.load(KEY))

        standby.sql("SELECT pg_promote()")
        until(lambda: suppressed(lambda: alone.create(OTHER, RECORD)))
    finally:
        store.close()
        alone.close()
        standby.close()


# Between


def test_tls_is_spoken_and_the_certificate_is_looked_at(tmp_path: Path, table: str) -> None:
    pem = certificate(tmp_path)
    server = Postgres(certificate=pem.read_bytes())
    dsn = f"{server.dsn}?sslmode=verify-full"
    well = PostgresStore(f"{dsn}&sslrootcert={pem}", table=table)
    other = PostgresStore(f"{dsn}&sslrootcert={certificate(tmp_path)}", table=table)
    none = PostgresStore(f"{dsn}&sslrootcert={tmp_path}/nothing", table=table)
    try:
        assert well.create(KEY, RECORD)
        assert asyncio.run(well.ask("load", (KEY,))) == RECORD
        assert server.sql("SELECT bool_or(ssl) FROM pg_stat_ssl") == [(True,)]
        assert "certificate: its certificate is not accepted" in failure(lambda: other.load(KEY))
        assert "certificate-file: a file that the address names" in failure(lambda: none.load(KEY))
    finally:
        well.close()
        server.close()


def test_a_server_without_tls_is_told(breakable: Postgres) -> None:
    store = PostgresStore(f"{breakable.dsn}?sslmode=require")
    assert "no-tls: it speaks no TLS" in failure(lambda: store.load(KEY))


@pytest.fixture
def pgbouncer(server: Postgres) -> Iterator[int]:
    """The port of a pgbouncer before the server, which gives each transaction any connection."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    port = free_port()
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {server.folder}/users\npool_mode = transaction\ndefault_pool_size = 3\n"
    )
    (server.folder / "users").write_text(f'"postgres" "{PASSWORD}"\n')
    process = server.run_beside(program, str(settings))

    def listens() -> bool:
        assert process.poll() is None
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    until(listens)
    yield port
    process.terminate()
    process.wait()
    has_ended(process.pid)


def test_pgbouncer_may_stand_between(server: Postgres, pgbouncer: int, table: str) -> None:
    store = PostgresStore(server.dsn_of("postgres", port=pgbouncer), table=table)

    def act(number: int) -> bool:
        key = bytes([number]) * 32
        for _ in range(10):
            assert store.create(key, RECORD)
            fence, found = store.acquire_and_load(key, LONG)
            assert (fence, found) == (4, RECORD)
            assert store.replace_and_release(key, replace(RECORD, version=4), 4)
            assert asyncio.run(store.ask("end", (key,)))
        return True

    assert at_once(8, act) == [True] * 8
    store.close()
