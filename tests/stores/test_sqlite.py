"""`SQLiteStore`: the contract, its file, and what may happen to it."""

import asyncio
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.sqlite.file import alone_in, connect
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.stores.sqlite.table import prepare, why_foreign
from amplify_mw.testing.store_contract import (
    KEY,
    LONG,
    OTHER,
    THIRD,
    StoreContract,
    at_once,
    in_a_child,
)
from tests.patience import PATIENCE, until

Act = Callable[[SQLiteStore], object]

RECORD = Record(b"a-secret-value", 3, 4e9, "ada", "h-1", 1.0, 2.0, "Firefox")
WRITES: dict[str, Act] = {
    "create": lambda store: store.create(OTHER, RECORD),
    "replace": lambda store: store.replace(KEY, RECORD),
    "delete": lambda store: store.delete(KEY),
    "acquire": lambda store: store.acquire(KEY, LONG),
    "renew": lambda store: store.renew(KEY, 1, LONG),
    "release": lambda store: store.release(KEY, 1),
    "acquire_and_load": lambda store: store.acquire_and_load(KEY, LONG),
    "replace_and_release": lambda store: store.replace_and_release(KEY, RECORD, 1),
    "end": lambda store: store.end(KEY),
    "end, asking again": lambda store: store.end(KEY, True),
    "end_of_user": lambda store: store.end_of_user("ada"),
}
READS: dict[str, Act] = {
    "load": lambda store: store.load(KEY),
    "reload": lambda store: store.reload(KEY, RECORD),
    "reload, stamped": lambda store: store.reload(KEY, replace(RECORD, stamp=b"8 bytes.")),
    "of_user": lambda store: store.of_user("ada"),
}
every_method = pytest.mark.parametrize("act", (WRITES | READS).values(), ids=WRITES | READS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """A store that has `RECORD` under `KEY`."""
    store = SQLiteStore(path, timeout=PATIENCE)
    assert store.create(KEY, RECORD)
    yield store
    store.close()


@pytest.fixture
def impatient(store: SQLiteStore, path: Path) -> Iterator[SQLiteStore]:
    """Another process's store, for a lock that nobody lets go of."""
    impatient = SQLiteStore(path, timeout=0.05)
    assert impatient.load(KEY) == RECORD
    yield impatient
    impatient.close()


def sql(path: Path, statement: str, *arguments: Any) -> list[Any]:
    """Do something to the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, arguments).fetchall()


def failure(act: Act, store: SQLiteStore) -> str:
    """What a failing store says, which tells nothing of what was asked."""
    with pytest.raises(StoreUnavailable) as caught:
        act(store)
    said = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    for secret in ("a-secret-value", "ada", repr(KEY), KEY.hex()):
        assert secret not in said
    return str(caught.value)


def remove(path: Path, *suffixes: str) -> None:
    for suffix in ("", *suffixes):
        Path(f"{path}{suffix}").unlink()


def open_files(path: Path) -> int:
    """How often this process has the database, or a file beside it, open."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(path))
    return count


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, path: Path) -> Iterator[SQLiteStore]:
        store = SQLiteStore(path, clock=self.clock, timeout=PATIENCE)
        yield store
        store.close()

    def test_expired_rows_are_swept_as_others_are_created(
        self, store: SQLiteStore, path: Path
    ) -> None:
        keys = [hashlib.sha256(bytes([number])).digest() for number in range(140)]
        for key in keys[:100]:
            self.kept(store, key, expires_at=self.soon())
        self.time += self.brief

        for key in keys[100:]:
            self.kept(store, key)

        assert sql(path, "SELECT count(*) FROM sessions") == [(40,)]


# Where the file is


@pytest.mark.parametrize("name", [":memory:", "", "file:sessions.db", "file::memory:?cache=shared"])
def test_what_is_no_files_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"MemoryStore\(\)"):
        SQLiteStore(name)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_an_impossible_timeout_is_refused(path: Path, timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        SQLiteStore(path, timeout=timeout)


def test_constructing_a_store_makes_no_file(path: Path) -> None:
    SQLiteStore(path)

    assert not path.exists()


@on_linux
def test_constructing_a_store_leaves_nothing_open(store: SQLiteStore, path: Path) -> None:
    store.close()

    another = SQLiteStore(path)

    assert open_files(path) == 0
    assert another.load(KEY) == RECORD
    another.close()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_the_file_is_its_owners_alone(store: SQLiteStore, path: Path, suffix: str) -> None:
    assert Path(f"{path}{suffix}").stat().st_mode & 0o777 == 0o600


def test_another_store_finds_what_one_has_kept(store: SQLiteStore, path: Path) -> None:
    another = SQLiteStore(path)

    assert another.load(KEY) == RECORD
    another.close()


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("sessions.db")
    monkeypatch.chdir("/")

    store.create(KEY, RECORD)

    assert (tmp_path / "sessions.db").exists()
    store.close()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "Zo\u00eb.db"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    store = SQLiteStore(tmp_path / name)

    assert store.create(KEY, RECORD)

    assert (tmp_path / name).exists()
    store.close()


def test_a_link_may_lead_to_the_file(store: SQLiteStore, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(path)

    linked = SQLiteStore(tmp_path / "link.db")

    assert linked.load(KEY) == RECORD
    assert linked.create(OTHER, RECORD)
    assert store.load(OTHER) == RECORD
    linked.close()


def test_two_keys_that_share_a_number_are_not_taken_for_one_another(store: SQLiteStore) -> None:
    twin = (int.from_bytes(KEY, "big") + 2**63 - 25).to_bytes(32, "big")

    assert store.load(twin) is None
    assert not store.create(twin, RECORD)
    assert not store.replace(twin, RECORD)
    assert store.acquire(twin, LONG) is None
    assert not store.delete(twin)
    assert store.load(KEY) == RECORD


# Whose file it is


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE theirs (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"],
)
def test_another_applications_database_is_refused(path: Path, statement: str) -> None:
    sql(path, statement)

    with pytest.raises(ConfigurationError, match="another application's database: give"):
        SQLiteStore(path)


def test_a_newer_schema_is_refused(store: SQLiteStore, path: Path) -> None:
    sql(path, "PRAGMA user_version = 2")

    with pytest.raises(ConfigurationError, match=r"its schema is 2, this one knows 1.*install"):
        SQLiteStore(path)


@every_method
def test_a_database_that_turns_out_foreign_later_is_unavailable(path: Path, act: Act) -> None:
    store = SQLiteStore(path)
    sql(path, "CREATE TABLE theirs (a)")

    assert "another application's database" in failure(act, store)
    assert sql(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_an_empty_file_is_an_empty_store(path: Path) -> None:
    path.touch()

    store = SQLiteStore(path)

    assert store.load(KEY) is None
    assert store.create(KEY, RECORD)
    store.close()


# A locked database


@pytest.fixture
def locked(path: Path, store: SQLiteStore) -> Iterator[sqlite3.Connection]:
    """Somebody else's write that does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.mark.parametrize("act", WRITES.values(), ids=WRITES)
def test_a_write_gives_up_on_a_locked_database(
    impatient: SQLiteStore, locked: sqlite3.Connection, act: Act
) -> None:
    assert "locked" in failure(act, impatient)


@pytest.mark.parametrize("act", WRITES.values(), ids=WRITES)
def test_a_write_goes_through_once_the_lock_is_gone(
    impatient: SQLiteStore, locked: sqlite3.Connection, act: Act
) -> None:
    failure(act, impatient)

    locked.execute("ROLLBACK")

    act(impatient)  # nobody else is there, so it need not wait
    assert impatient.create(THIRD, RECORD)


def test_reading_goes_on_while_the_database_is_locked(
    store: SQLiteStore, locked: sqlite3.Connection
) -> None:
    assert store.load(KEY) == RECORD
    assert store.of_user("ada") == [(KEY, RECORD)]


def test_a_process_may_begin_to_read_while_the_database_is_locked(
    locked: sqlite3.Connection, path: Path
) -> None:
    store = SQLiteStore(path)

    assert store.load(KEY) == RECORD
    store.close()


def test_a_write_waits_for_its_turn(path: Path) -> None:
    store = SQLiteStore(path, timeout=PATIENCE)
    store.create(KEY, RECORD)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        writing = pool.submit(store.replace, KEY, RECORD)
        assert store.load(KEY) == RECORD
        other.execute("COMMIT")

        assert writing.result() is True
    store.close()


def test_an_awaited_load_waits_for_neither_lock_nor_thread(
    store: SQLiteStore, locked: sqlite3.Connection
) -> None:
    store.load(KEY)
    executor = ThreadPoolExecutor()
    executor.shutdown()  # it takes nothing any more

    async def load() -> Any:
        asyncio.get_running_loop().set_default_executor(executor)
        return await store.ask("load", (KEY,))

    assert asyncio.run(load()) == RECORD


def test_an_awaited_reload_waits_for_neither_lock_nor_thread(
    store: SQLiteStore, locked: sqlite3.Connection
) -> None:
    known = store.load(KEY)
    assert known is not None
    executor = ThreadPoolExecutor()
    executor.shutdown()

    async def reload(known: Record) -> Any:
        asyncio.get_running_loop().set_default_executor(executor)
        return await store.ask("reload", (KEY, known))

    assert asyncio.run(reload(known)) is known
    changed = asyncio.run(reload(replace(known, value=b"another", stamp=b"another's")))
    assert changed == RECORD


def test_what_has_not_changed_is_not_read(store: SQLiteStore, path: Path) -> None:
    """2 kB would be copied for each request, only to be compared."""
    known = store.load(KEY)
    assert known is not None
    sql(path, "UPDATE sessions SET value = 7")  # no record any more, were it read

    assert store.reload(KEY, known) is known
    assert asyncio.run(store.ask("reload", (KEY, known))) is known
    assert store.load(KEY) is None


def test_a_loop_goes_on_while_a_write_waits(path: Path) -> None:
    store = SQLiteStore(path, timeout=PATIENCE)
    store.create(KEY, RECORD)

    async def read_meanwhile(other: sqlite3.Connection) -> Any:
        writing = asyncio.create_task(store.ask("replace", (KEY, RECORD)))
        found = [await store.ask("load", (KEY,)) for _ in range(100)]
        assert not writing.done()
        other.execute("ROLLBACK")
        return found, await writing

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(read_meanwhile(other)) == ([RECORD] * 100, True)
    store.close()


def test_a_load_that_must_wait_does_so_on_a_thread(
    store: SQLiteStore, impatient: SQLiteStore, path: Path
) -> None:
    store.close()
    impatient.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")  # nor may others read, then

        with pytest.raises(StoreUnavailable, match="locked"):
            asyncio.run(impatient.ask("load", (KEY,)))

    assert asyncio.run(impatient.ask("load", (KEY,))) == RECORD


# A file that cannot be used


@every_method
def test_a_missing_folder_is_a_failure_until_it_is_there(tmp_path: Path, act: Act) -> None:
    store = SQLiteStore(tmp_path / "missing" / "sessions.db")
    assert "cannot be opened" in failure(act, store)

    (tmp_path / "missing").mkdir()

    act(store)
    store.close()


@every_method
def test_a_folder_that_takes_the_files_place_is_no_database(path: Path, act: Act) -> None:
    store = SQLiteStore(path)
    path.mkdir()
    assert "cannot be opened" in failure(act, store)


@every_method
def test_a_file_that_is_no_database_is_a_failure(path: Path, act: Act) -> None:
    path.write_bytes(b"not a database, or one that something wrote over " * 100)

    assert "no database" in failure(act, SQLiteStore(path))


@pytest.mark.parametrize("act", READS.values(), ids=READS)
def test_a_corrupt_file_is_a_failure_until_it_is_mended(
    store: SQLiteStore, path: Path, act: Act
) -> None:
    store.close()
    good = path.read_bytes()
    path.write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    assert "corrupt" in failure(act, store)
    assert "corrupt" in failure(act, store)
    store.close()

    path.write_bytes(good)

    assert act(store)


def test_a_corrupt_file_may_be_deleted(store: SQLiteStore, path: Path) -> None:
    store.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * 20_000)
    failure(READS["load"], store)

    for left in path.parent.iterdir():
        left.unlink()

    assert store.load(KEY) is None
    assert store.create(KEY, RECORD)


@every_method
def test_a_lost_table_is_made_anew(store: SQLiteStore, path: Path, act: Act) -> None:
    sql(path, "DROP TABLE sessions")

    assert "the database failed" in failure(act, store)

    act(store)
    assert store.load(KEY) is None


GARBAGE = {
    "version": ["NULL", "'text'", "x'ff00'", "-1", "1.5", "9007199254740992"],
    "expires_at": ["NULL", "'text'", "x'ff00'", "0"],
    "created_at": ["NULL", "'text'", "x'ff00'"],
    "seen_at": ["NULL", "'text'", "x'ff00'"],
    "handle": ["NULL", "x'ff00'", "CAST(x'c328' AS TEXT)"],
    "user_agent": ["NULL", "x'ff00'", "CAST(x'c328' AS TEXT)"],
    "value": ["NULL", "7", "1.5"],
    "stamp": ["NULL", "7"],
}


@pytest.mark.parametrize(
    "garbage", [f"{column} = {value}" for column in GARBAGE for value in GARBAGE[column]]
)
def test_a_garbage_row_is_not_found(store: SQLiteStore, path: Path, garbage: str) -> None:
    sql(path, f"UPDATE sessions SET {garbage}")

    assert store.load(KEY) is None
    assert store.of_user("ada") == []
    assert store.create(OTHER, RECORD)


@forking
def test_a_full_disk_is_a_failure_until_there_is_room(store: SQLiteStore, path: Path) -> None:
    def fill() -> bool:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        large = replace(RECORD, value=bytes(30_000))
        keys = [hashlib.sha256(bytes([number])).digest() for number in range(100)]
        kept = []

        def keep_all() -> None:
            for key in keys:
                assert store.create(key, large)
                kept.append(key)

        with pytest.raises(StoreUnavailable, match="disk"):
            keep_all()
        read = all(store.load(key) == large for key in (*kept, keys[0]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return read and len(kept) > 0 and store.create(THIRD, large)

    assert in_a_child(fill)
    assert store.load(KEY) == RECORD
    assert store.load(THIRD) is not None


@forking
@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_read_only_file_is_a_failure_to_writers(folder_mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sessions.db"
        store = SQLiteStore(path)
        store.create(KEY, RECORD)
        store.close()
        path.chmod(0o444)
        Path(folder).chmod(folder_mode)

        def use() -> bool:
            if os.geteuid() == 0:
                os.setuid(65534)
            said = [failure(act, store) for act in WRITES.values()]
            with suppress(StoreUnavailable):  # readers need files beside it, which may not be made
                assert store.load(KEY) == RECORD
            return all("read-only" in each or "opened" in each for each in said)

        assert in_a_child(use)
        assert store.load(KEY) == RECORD
        store.close()


# A file that goes away


@pytest.mark.parametrize("beside", [(), ("-wal", "-shm"), ("-wal",), ("-shm",)])
class TestADeletedFile:
    def test_is_an_empty_store_to_the_next_write(
        self, store: SQLiteStore, path: Path, beside: tuple[str, ...]
    ) -> None:
        store.load(KEY)
        remove(path, *beside)

        assert not store.replace(KEY, RECORD)
        assert store.load(KEY) is None
        assert store.create(OTHER, RECORD)
        assert sql(path, "SELECT key FROM sessions") == [(OTHER,)]

    def test_is_an_empty_store_to_readers_before_long(
        self, store: SQLiteStore, path: Path, beside: tuple[str, ...]
    ) -> None:
        store.load(KEY)
        remove(path, *beside)

        until(lambda: store.load(KEY) is None)
        assert path.exists()

    def test_is_one_new_file_to_all_who_used_it(
        self, store: SQLiteStore, path: Path, beside: tuple[str, ...]
    ) -> None:
        idle, late = SQLiteStore(path), SQLiteStore(path)
        assert idle.load(KEY) == late.load(KEY) == RECORD
        remove(path, *beside)
        assert store.create(OTHER, RECORD)

        late.close()  # which must not take along what is the new one's

        assert idle.create(THIRD, RECORD)
        assert store.load(THIRD) == late.load(OTHER) == idle.load(OTHER) == RECORD
        assert sql(path, "PRAGMA integrity_check") == [("ok",)]
        for each in (idle, late):
            each.close()


def test_a_new_file_takes_nothing_over_from_remains(store: SQLiteStore, path: Path) -> None:
    wal = Path(f"{path}-wal").read_bytes()
    store.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(wal)

    assert store.load(KEY) is None


@pytest.fixture
def replacement(tmp_path: Path) -> Path:
    """Another store's file, which has `RECORD` under `OTHER`."""
    other = SQLiteStore(tmp_path / "other.db")
    other.create(OTHER, RECORD)
    other.close()
    return tmp_path / "other.db"


@pytest.mark.parametrize("looked", [True, False])
def test_a_replaced_file_is_the_store_from_then_on(
    store: SQLiteStore, path: Path, replacement: Path, looked: bool
) -> None:
    if looked:
        store.load(KEY)

    replacement.rename(path)

    assert store.create(THIRD, RECORD)
    assert store.load(KEY) is None
    assert store.load(OTHER) == store.load(THIRD) == RECORD
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_replaced_file_takes_nothing_over_though_it_could_not_be_opened_at_first(
    store: SQLiteStore, impatient: SQLiteStore, path: Path, replacement: Path
) -> None:
    store.close()
    replacement.rename(path)
    with alone_in(str(path.parent), 0):  # another process that opens, and takes its time
        assert "locked" in failure(WRITES["delete"], impatient)

    assert impatient.load(KEY) is None
    assert impatient.load(OTHER) == RECORD
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_replaced_file_takes_nothing_over_though_the_one_before_had_failed(
    store: SQLiteStore, path: Path, replacement: Path
) -> None:
    another = SQLiteStore(path)  # so that what is beside the file stays there
    another.load(KEY)
    sql(path, "ALTER TABLE sessions RENAME TO gone")
    failure(READS["load"], store)
    replacement.rename(path)

    assert store.load(KEY) is None
    assert store.load(OTHER) == RECORD
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    another.close()


def test_an_awaited_load_notices_a_replaced_file_before_long(
    store: SQLiteStore, path: Path, replacement: Path
) -> None:
    store.load(KEY)

    replacement.rename(path)

    until(lambda: asyncio.run(store.ask("load", (OTHER,))) == RECORD)


# Connections


@on_linux
def test_connections_do_not_pile_up(store: SQLiteStore, path: Path) -> None:
    for _ in range(10):
        at_once(8, lambda _: [store.load(KEY) for _ in range(20)])
        at_once(8, lambda _: store.replace(KEY, RECORD))

    assert open_files(path) < 30  # 160 threads were there, and two files a connection


@on_linux
def test_a_closed_store_has_nothing_open(store: SQLiteStore, path: Path) -> None:
    at_once(4, lambda _: store.load(KEY))
    assert open_files(path) > 0

    store.close()

    assert open_files(path) == 0


@on_linux
def test_a_forgotten_store_has_nothing_open(path: Path) -> None:
    store = SQLiteStore(path)
    store.create(KEY, RECORD)

    del store

    assert open_files(path) == 0


@on_linux
@forking
def test_a_fork_takes_no_connection_along(store: SQLiteStore, path: Path) -> None:
    store.load(KEY)

    assert in_a_child(lambda: open_files(path) == 0)


@on_linux
@forking
def test_a_fork_amid_what_other_threads_do_takes_no_connection_along(path: Path) -> None:
    store = SQLiteStore(path, timeout=PATIENCE)
    store.create(KEY, RECORD)
    done = threading.Event()
    busy: list[Callable[[], object]] = [
        lambda: store.load(KEY),
        lambda: store.replace(KEY, RECORD),
        lambda: (store.load(KEY), store.close()),
        lambda: SQLiteStore(path, timeout=PATIENCE),
    ]

    def repeat(act: Callable[[], object]) -> None:
        while not done.is_set():
            act()

    with ThreadPoolExecutor() as threads:
        repeating = [threads.submit(repeat, act) for act in busy]
        clean = [in_a_child(lambda: open_files(path) == 0) for _ in range(30)]
        done.set()

    assert all(clean)
    assert [each.result() for each in repeating] == [None] * len(busy)
    store.close()


@forking
def test_what_a_child_keeps_outlasts_its_parents_connections(
    store: SQLiteStore, path: Path
) -> None:
    """If a child relied on its parent's locks, the parent would remove what the child writes to."""
    ready, go_on = os.pipe(), os.pipe()
    store.load(KEY)
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        store.load(KEY)
        os.write(ready[1], b"x")
        os.read(go_on[0], 1)
        os._exit(0 if store.create(OTHER, RECORD) else 1)
    os.read(ready[0], 1)
    store.close()
    os.write(go_on[1], b"x")

    assert os.waitpid(child, 0)[1] == 0
    assert SQLiteStore(path).load(OTHER) == RECORD
    assert store.load(OTHER) == RECORD


FORKER = """
import ctypes, os, signal, sys
from amplify_mw.sessions.record import Record
from amplify_mw.stores.sqlite import SQLiteStore

path, key, other = sys.argv[1], bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
store = SQLiteStore(path)
record = store.load(key)
assert record is not None
child = ctypes.PyDLL(None).fork()
if child == 0:
    status = 1
    try:
        signal.alarm(120)
        status = 0 if store.load(key) == record and store.create(other, record) else 1
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
assert store.load(other) == record
assert store.replace(key, record)
"""


def test_a_child_that_was_forked_behind_pythons_back_has_its_own(
    store: SQLiteStore, path: Path
) -> None:
    """In a process of one thread: another's wish for the GIL would outlive it in the child."""
    arguments = [str(path), KEY.hex(), OTHER.hex()]
    subprocess.run([sys.executable, "-c", FORKER, *arguments], check=True, timeout=PATIENCE)
    assert store.load(OTHER) == RECORD


# Processes

WRITER = """
import hashlib, sys
from amplify_mw.sessions.record import Record
from amplify_mw.stores.sqlite import SQLiteStore

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SQLiteStore(path, timeout=120)
shared = hashlib.sha256(b"shared").digest()
store.create(shared, Record(b"", 0, 4e9))
for number in range(count):
    key = hashlib.sha256(f"{name}-{number}".encode()).digest()
    assert store.create(key, Record(bytes(3000), number, 4e9, name))
    while (fence := store.acquire(shared, 60)) is None:
        pass
    found = store.load(shared)
    store.replace(shared, Record(found.value + b"x", fence, 4e9))
    store.release(shared, fence)
    print(number, flush=True)
"""


def writer(path: Path, name: str, count: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE
    )


def test_processes_may_write_at_once(path: Path) -> None:
    writers = [writer(path, name, 50) for name in ("ada", "bob")]

    assert all(each.communicate(timeout=PATIENCE)[0].split()[-1] == b"49" for each in writers)

    store = SQLiteStore(path)
    assert [len(store.of_user(name)) for name in ("ada", "bob")] == [50, 50]
    shared = store.load(hashlib.sha256(b"shared").digest())
    assert shared is not None
    assert shared.value == b"x" * 100  # each wrote under a lease, so no write was lost
    store.close()


def test_a_file_that_another_process_makes_meanwhile_is_not_foreign(path: Path) -> None:
    path.touch()

    class Meanwhile(sqlite3.Connection):
        """One after whose first answer another process makes the schema, as soon as it can."""

        def execute(self, sql: str, *arguments: Any) -> Any:
            answer = super().execute(sql, *arguments)
            if sql != "PRAGMA application_id":
                return answer
            rows = answer.fetchall()  # so that what is locked is locked by a transaction
            with suppress(sqlite3.Error), closing(connect(str(path), timeout=0)) as other:
                prepare(other)
            return SimpleNamespace(fetchone=lambda: rows[0])

    with closing(sqlite3.connect(path, factory=Meanwhile, isolation_level=None)) as looking:
        assert why_foreign(looking) is None
    with closing(connect(str(path), timeout=0)) as later:
        assert why_foreign(later) is None


def test_a_writer_that_is_killed_leaves_what_it_had_kept(path: Path) -> None:
    with writer(path, "ada", 10_000) as killed:
        assert killed.stdout is not None
        acknowledged = [killed.stdout.readline() for _ in range(20)]
        killed.kill()
    store = SQLiteStore(path)

    versions = {record.version for _, record in store.of_user("ada")}

    assert versions >= {int(line) for line in acknowledged}
    assert store.create(KEY, RECORD)
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    store.close()
