"""`doctor` on the other stores: faults of real files and servers, and what mends them."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, StoredSession
from amplify_mw.diagnostics import examine
from amplify_mw.diagnostics.examination.stores import store as stores
from amplify_mw.diagnostics.examination.subject import Subject
from amplify_mw.models.check import Check
from amplify_mw.sessions.record import Record
from amplify_mw.stores import MemoryStore, PostgresStore, SessionStore, SQLiteStore
from amplify_mw.stores.postgres import examination as of_postgres
from amplify_mw.stores.postgres.table import Table
from amplify_mw.stores.sqlite import examination as of_sqlite
from tests.patience import until
from tests.postgres import Postgres, missing
from tests.valkey import free_port


def told(store: SessionStore) -> dict[str, Check]:
    """The lines by their names, each of which there is once."""
    found = store.examine()
    store.close()
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def outcome(store: SessionStore, name: str) -> str:
    return told(store)[name].outcome


# In memory, and of one's own


def test_a_memory_store_says_that_each_process_has_its_own(tmp_path: Path) -> None:
    found = told(MemoryStore())
    assert (found["store"].outcome, found["store_sharing"].outcome) == ("ok", "warning")
    assert "SQLiteStore" in found["store_sharing"].mend
    assert "store_sharing" not in told(SQLiteStore(tmp_path / "sessions.db"))


class Forgetful(MemoryStore):
    """A store of a user's own, with a flaw."""

    def load(self, key: bytes) -> Record | None:
        return None


class Unlisted(MemoryStore):
    def of_user(self, user: str) -> list[tuple[bytes, Record]]:
        return []


class Unleased(MemoryStore):
    def acquire(self, key: bytes, seconds: float) -> int | None:
        return None


class Undying(MemoryStore):
    def end(self, key: bytes, asks_again: bool = False) -> Record | None:
        return None


class Full(MemoryStore):
    def create(self, key: bytes, record: Record) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "flaw"),
    [
        (Forgetful, "not found again"),
        (Unlisted, "not in the list"),
        (Unleased, "cannot be leased"),
        (Undying, "does not end"),
        (Full, "not kept"),
    ],
)
def test_a_store_that_breaks_the_contract_is_told(kind: type[MemoryStore], flaw: str) -> None:
    found = told(kind())["store"]
    assert (found.outcome, flaw in found.found) == ("wrong", True)
    assert outcome(MemoryStore(), "store") == "ok"


class Raising(MemoryStore):
    def create(self, key: bytes, record: Record) -> bool:
        raise ConnectionError("a-secret")


def test_a_store_that_raises_what_it_likes_is_told_beside_the_others() -> None:
    kinds = [StoredSession(Raising()), StoredSession(MemoryStore())]
    config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", session=kinds)
    raising, *others = stores(Subject(config))
    assert (raising.outcome, raising.found) == ("wrong", "Raising raises ConnectionError")
    assert "StoreUnavailable" in raising.mend
    assert [check.name for check in others] == ["store", "store_sharing"]


def test_a_store_that_inherits_nothing_is_tried_as_well() -> None:
    class Own:
        def __getattr__(self, name: str) -> Any:
            if name == "examine":
                raise AttributeError(name)
            return getattr(MemoryStore._shared, name)  # type: ignore[attr-defined]

    MemoryStore._shared = MemoryStore()  # type: ignore[attr-defined]
    try:
        config = AmplifyConfig(
            user_pool_id="eu-west-1_Ab12Cd34E",
            client_id="web",
            session=StoredSession(Own()),  # type: ignore[arg-type]
        )
        assert [check.outcome for check in stores(Subject(config))] == ["ok"]
    finally:
        del MemoryStore._shared  # type: ignore[attr-defined]


def test_a_made_up_record_is_gone_afterwards() -> None:
    store = MemoryStore()
    store.examine()
    assert repr(store) == "<MemoryStore with 0 sessions>"


# SQLite


def made(path: Path, **options: Any) -> SQLiteStore:
    """A store that was used before."""
    store = SQLiteStore(path, **options)
    store.delete(b"")
    store.close()
    return store


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that is not a temporary one to the system."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        yield Path(folder)


def test_a_file_as_it_should_be_has_only_lines_that_are_ok(home: Path) -> None:
    found = told(made(home / "sessions.db"))
    assert {check.outcome for check in found.values()} == {"ok"}
    assert [*found] == [
        *("store", "store_server", "store_place", "store_rights", "store_journal", "store_disk")
    ]


def test_a_file_in_a_temporary_place_is_told(tmp_path: Path, home: Path) -> None:
    found = told(SQLiteStore(tmp_path / "sessions.db"))["store_place"]
    assert (found.outcome, "/var/lib" in found.mend) == ("warning", True)
    assert outcome(SQLiteStore(home / "sessions.db"), "store_place") == "ok"


def test_a_file_on_a_network_file_system_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = home / "mounts"  # as the system would list them
    mounts.write_text(f"disk / ext4 rw 0 0\nnas:/x {home} nfs4 rw 0 0\n")
    with monkeypatch.context() as another:
        another.setattr(of_sqlite, "_MOUNTS", str(mounts))
        assert outcome(SQLiteStore(home / "sessions.db"), "store_place") == "wrong"
        mounts.write_text("disk / ext4 rw 0 0\n")
        assert outcome(SQLiteStore(home / "sessions.db"), "store_place") == "ok"


def test_rights_of_everybody_are_told(home: Path) -> None:
    store = made(home / "sessions.db")
    (home / "sessions.db").chmod(0o644)
    found = told(store)["store_rights"]
    assert (found.outcome, found.mend.startswith("chmod o-rwx")) == ("warning", True)
    (home / "sessions.db").chmod(0o640)
    home.chmod(0o777)
    assert outcome(store, "store_rights") == "wrong"
    home.chmod(0o700)
    assert outcome(store, "store_rights") == "ok"


def test_a_file_that_is_locked_or_no_database_is_told(home: Path) -> None:
    store = made(home / "sessions.db", timeout=0.05)
    assert outcome(store, "store") == "ok"
    with closing(sqlite3.connect(home / "sessions.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = told(store)["store"]
        assert (found.outcome, "locked" in found.found) == ("wrong", True)
    assert outcome(store, "store") == "ok"


def test_another_journal_is_told(home: Path) -> None:
    path = home / "sessions.db"
    store = made(path, timeout=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM sessions").fetchone()  # holds it
        assert outcome(store, "store_journal") == "warning"
    assert outcome(store, "store_journal") == "ok"


def test_a_disk_that_is_full_soon_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(home / "sessions.db")
    with monkeypatch.context() as demanding:
        demanding.setattr(of_sqlite, "ROOM", 1 << 60)
        assert outcome(store, "store_disk") == "warning"
    assert outcome(store, "store_disk") == "ok"


def test_an_sqlite_that_is_too_old_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(home / "sessions.db")
    with monkeypatch.context() as demanding:
        demanding.setattr(of_sqlite, "_OLDEST", (99,))
        assert outcome(store, "store_server") == "wrong"
    assert outcome(store, "store_server") == "ok"


def test_a_folder_that_is_not_there_is_told(home: Path) -> None:
    folder = home / "later on"
    store = SQLiteStore(folder / "sessions.db")
    found = told(store)["store"]
    assert (found.outcome, found.mend.startswith(f"mkdir -p '{folder}'")) == ("wrong", True)
    folder.mkdir()
    assert outcome(store, "store") == "ok"


def test_a_missing_file_is_not_made_by_a_look_at_it(home: Path) -> None:
    found = told(SQLiteStore(home / "sessions.db"))["store"]
    assert (found.outcome, "no file yet" in found.found) == ("ok", True)
    assert [*home.iterdir()] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours_is_told(home: Path) -> None:
    store = SQLiteStore(home / "sessions.db")
    home.chmod(0o500)
    assert outcome(store, "store") == "wrong"
    home.chmod(0o700)
    assert outcome(store, "store") == "ok"


# PostgreSQL


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server that the tests set up wrongly, and then rightly."""
    if (why := missing()) is not None:
        pytest.skip(why)
    server = Postgres()
    yield server
    server.close()


def configured(server: Postgres, store: PostgresStore, name: str, *settings: str) -> None:
    """Give the server settings; until the line is ok."""
    for setting in settings:
        server.sql(f"ALTER SYSTEM SET {setting}")
    server.sql("SELECT pg_reload_conf()")
    until(lambda: outcome(store, name) == "ok")


def test_a_server_for_tests_is_told_to_be_unsafe_until_it_is_set_up(postgres: Postgres) -> None:
    store = PostgresStore(postgres.dsn)
    store.create_table()
    before = told(store)
    assert before["store"].outcome == "ok"
    assert before["store_persistence"].outcome == "wrong"
    assert before["store_autovacuum"].outcome == "warning"
    configured(postgres, store, "store_autovacuum", "autovacuum = on")
    postgres.sql("ALTER SYSTEM SET synchronous_commit = on")
    configured(postgres, store, "store_persistence", "fsync = on")
    assert {check.outcome for check in told(store).values()} == {"ok"}
    postgres.sql("ALTER ROLE postgres SET synchronous_commit = off")
    found = told(store)["store_persistence"]
    assert (found.outcome, "ALTER ROLE" in found.mend) == ("warning", True)
    postgres.sql("ALTER ROLE postgres SET synchronous_commit = on")
    assert outcome(store, "store_persistence") == "ok"


def test_a_table_that_was_changed_is_told(postgres: Postgres) -> None:
    store = PostgresStore(postgres.dsn, table="changed")
    store.create_table()
    assert outcome(store, "store_table") == "ok"
    postgres.sql("ALTER TABLE changed SET UNLOGGED")
    found = told(store)["store_table"]
    assert (found.outcome, found.mend) == ("wrong", 'ALTER TABLE "changed" SET LOGGED')
    postgres.sql(found.mend)
    postgres.sql("DROP INDEX changed_by_day")
    assert outcome(store, "store_table") == "warning"
    postgres.sql(PostgresStore.sql("changed"))
    assert outcome(store, "store_table") == "ok"
    postgres.sql("ALTER TABLE changed RENAME holder TO held")
    found = told(store)["store"]
    assert (found.outcome, found.mend) == ("wrong", "was the table changed by hand?")
    postgres.sql("ALTER TABLE changed RENAME held TO holder")
    assert outcome(store, "store") == "ok"


def test_a_missing_table_is_not_made_by_a_look_at_it(postgres: Postgres) -> None:
    for name in ("later", "public.later"):
        found = told(PostgresStore(postgres.dsn, table=name))
        assert {*found} == {"store", "store_tls"}
        assert (found["store"].outcome, "yet" in found["store"].found) == ("ok", True)
    postgres.sql("CREATE ROLE reader LOGIN PASSWORD 'a-secret'")
    dsn = f"postgresql://reader:a-secret@127.0.0.1:{postgres.port}/postgres"
    for name in ("later", "nowhere.later"):
        line = told(PostgresStore(dsn, table=name))["store"]
        assert (line.outcome, f"--table {name}" in line.mend) == ("wrong", True)
    postgres.sql(PostgresStore.sql("later", user="reader"))
    assert outcome(PostgresStore(dsn, table="later"), "store") == "ok"
    assert "no table" not in told(PostgresStore(dsn, table="later"))["store"].found


def test_each_right_that_is_missing_is_named(postgres: Postgres) -> None:
    PostgresStore(postgres.dsn, table="guarded").create_table()
    postgres.sql("CREATE ROLE web LOGIN PASSWORD 'a-secret'")
    dsn = f"postgresql://web:a-secret@127.0.0.1:{postgres.port}/postgres"
    store = PostgresStore(dsn, table="guarded")
    found = told(store)["store_rights"]
    assert found.outcome == "wrong"
    postgres.sql(found.mend.removeprefix("as its owner: ").replace("this_user", "web"))
    assert outcome(store, "store_rights") == "ok"
    postgres.sql("REVOKE DELETE ON guarded FROM web")
    found = told(store)["store_rights"]
    assert found.found == "no DELETE on guarded"
    postgres.sql(found.mend.removeprefix("as its owner: ").replace("this_user", "web"))
    assert {told(store)[name].outcome for name in ("store", "store_rights")} == {"ok"}


def test_a_server_that_is_too_old_is_told(postgres: Postgres) -> None:
    store, table = PostgresStore(postgres.dsn), Table("amplify_mw_sessions")
    answer = store._connections.ask(of_postgres.question(table))
    store.close()
    older = {**answer, "version": "14.5", "number": "140005"}
    found = {check.name: check for check in of_postgres.checks(older, table, 0.0, 0.0)}
    assert (found["store_server"].outcome, found["store_server"].found) == (
        *("wrong", "PostgreSQL 14.5"),
    )
    assert outcome(store, "store_server") == "ok"


def test_a_clock_that_differs_is_told(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    real, store = time.time, PostgresStore(postgres.dsn)
    with monkeypatch.context() as this_machine:
        this_machine.setattr("amplify_mw.stores.postgres.store.time.time", lambda: real() - 90)
        found = told(store)["store_clock"]
    assert (found.outcome, "ahead of" in found.found) == ("warning", True)
    assert outcome(store, "store_clock") == "ok"


def test_a_way_without_a_checked_certificate_is_told(postgres: Postgres) -> None:
    place = "postgresql://web:a-secret@db.invalid/app?connect_timeout=2"
    for mode in ("disable", "allow", "prefer", "require", "verify-ca"):
        found = told(PostgresStore(f"{place}&sslmode={mode}"))
        assert found["store_tls"].outcome == "warning"
        assert found["store"].outcome == "wrong"
        assert "a-secret" not in str(found)
    assert outcome(PostgresStore(f"{place}&sslmode=verify-full"), "store_tls") == "ok"
    assert outcome(PostgresStore(postgres.dsn), "store_tls") == "ok"
    assert [*of_postgres.tls({"service": "app"})] == []


def test_a_server_that_is_not_there_is_told(postgres: Postgres) -> None:
    found = told(PostgresStore(f"postgresql://web:a-secret@127.0.0.1:{free_port()}/app"))
    assert {*found} == {"store", "store_tls"}
    assert (found["store"].outcome, "does it run" in found["store"].mend) == ("wrong", True)
    assert outcome(PostgresStore(postgres.dsn), "store") == "ok"


def test_a_store_is_examined_with_its_configuration_and_only_with_the_network(home: Path) -> None:
    config = AmplifyConfig(
        user_pool_id="eu-west-1_Ab12Cd34E",
        client_id="web",
        session=StoredSession(made(home / "sessions.db")),
        http_timeout=0.1,
        proxy=f"http://127.0.0.1:{free_port()}",
    )
    assert "store_journal" in [check.name for check in examine(config).checks]
    os.remove(home / "sessions.db")
    assert "store" not in [check.name for check in examine(config, network=False).checks]
    assert not (home / "sessions.db").exists()
