"""What grows with stored sessions? Look-ups among a thousand and a million, and what one takes.

- Records of a real session's size, each of another user, are created one by one, as by sign-ins.
- Then sessions are looked up at random in stores of each size, by turns; and so are the same keys
  by what reads as many bytes and makes nothing of them: a `SELECT` of a two-column table in a file
  of its own, redis-py's `GET` of the same key, and `dict.get`. What these lose as they grow, to the
  page cache and the processor's caches, no store can win back.
- One Valkey holds all of its stores, each in a database of its own; one PostgreSQL, each in a
  table. Its bare look-up is libpq's, of the value alone.
- A size is left out, and the table says so, where the disk or the memory is too small for it, or
  where filling would take longer than `PATIENCE`.
"""

import gc
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import perf_counter, time
from typing import Any

from amplify_mw import StoredSession
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.record import Record
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore

from . import postgres
from .harness import FULL, TINY, Call, Plan, in_processes
from .memory import allocated
from .report import Aim, Limit, Spread, Table, at_most
from .sessions import sign_in
from .stored import bare_select, fill_bare
from .tokens import Mint
from .valkey import Valkey, missing, server_versions

SIZES = {FULL: (1_000, 10_000, 100_000, 1_000_000), TINY: (20, 100)}
SHORT = (1_000, 10_000)
PATIENCE = 300  # seconds to fill a store
LARGE = 500_000  # sessions, from which on there must be room:
DISK, MEMORY = 10 * 10**9, 7 * 10**9  # bytes
SAMPLE = 20_000  # look-ups by turns: more than any cache of a reader's own holds
COUNTED = 10_000  # sessions whose memory tracemalloc counts


@dataclass(frozen=True)
class Filled:
    """A store of so many sessions, the bytes that one takes there, the seconds to create it."""

    sessions: int
    each: float
    seconds: float


def key_of(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def template() -> Record:
    """The record of a real session, which holds three tokens."""

    class Keeping(MemoryStore):
        def create(self, key, record):
            kept.append(record)
            return super().create(key, record)

    kept: list[Record] = []
    mint = Mint()
    config = mint.config.replace(session=StoredSession(Keeping()))
    sign_in(Engine(config), mint.sets(1))
    (record,) = kept
    return record


def fill(store: Any, sessions: int, like: Record) -> float:
    """Create so many records; seconds that it took."""
    begun, until = perf_counter(), time() + 86_400
    for number in range(sessions):
        assert store.create(key_of(number), record_like(like, number, until))
    return perf_counter() - begun


def record_like(like: Record, number: int, expires_at: float) -> Record:
    """As `like`, of another user and with bytes of its own."""
    return Record(
        value=os.urandom(len(like.value)),  # encrypted text cannot be told from it
        version=0,
        expires_at=expires_at + number % 3600,
        user=f"{like.user[:-12]}{number:012d}",
        handle=f"{number:0{len(like.handle)}d}",
        created_at=like.created_at,
        seen_at=like.seen_at,
        user_agent=like.user_agent,
    )


def some(sessions: int) -> list[bytes]:
    """Keys of sessions at random, each of which is there."""
    draw = random.Random(1)
    return [key_of(draw.randrange(sessions)) for _ in range(SAMPLE)]


def bare_of(verb: str, sessions: int) -> str:
    return f"{verb} among {sessions}"


def ours_of(sessions: int) -> str:
    return f"load among {sessions}"


def lookups(load: Callable[[bytes], object], keys: Sequence[bytes]) -> Call:
    """One look-up a call, each of which finds its session."""
    following = cycle(keys)

    def call():
        assert load(next(following)) is not None

    return call


# The cases: stores that are there, or, in memory, that each process fills.


def sqlite_cases(folder: str, *counts: str) -> dict[str, Call]:
    cases = {}
    for count in map(int, counts):
        path, keys = os.path.join(folder, f"{count}.db"), some(count)
        cases[bare_of("SELECT", count)] = bare_select(f"{path}.bare", keys)
        cases[ours_of(count)] = lookups(SQLiteStore(path).load, keys)
    return cases


def valkey_cases(*stores: str) -> dict[str, Call]:
    import redis

    cases = {}
    for url, text in zip(stores[::2], stores[1::2], strict=True):
        count, get = int(text), redis.Redis.from_url(url).get
        names = [b"amplify_mw:s:" + key for key in some(count)]
        cases[bare_of("GET", count)] = lookups(get, names)
        cases[ours_of(count)] = lookups(RedisStore(url).load, some(count))
    return cases


def postgres_cases(dsn: str, *counts: str) -> dict[str, Call]:
    cases = {}
    for count in map(int, counts):
        keys = some(count)
        cases[bare_of("SELECT", count)] = lookups(postgres.bare_select(dsn, table_of(count)), keys)
        cases[ours_of(count)] = lookups(PostgresStore(dsn, table=table_of(count)).load, keys)
    return cases


def memory_cases(*counts: str) -> dict[str, Call]:
    like, cases = template(), {}
    gc.disable()  # which would look at a million sessions again and again
    for count in map(int, counts):
        store, keys = MemoryStore(max_sessions=count), some(count)
        fill(store, count, like)
        bare = {key_of(number): os.urandom(8) for number in range(count)}
        cases[bare_of("dict.get", count)] = lookups(bare.get, keys)
        cases[ours_of(count)] = lookups(store.load, keys)
    return cases


# The tables.


def of_memory(sizes: Sequence[int], plan: Plan, like: Record) -> Table:
    counted = min(sizes[-1], COUNTED)

    def filled() -> MemoryStore:
        store = MemoryStore()
        fill(store, counted, like)
        return store

    each = allocated(filled) / counted
    seconds = fill(MemoryStore(), counted, like) / counted
    sizes, notes = roomy(sizes)
    plan = replace(plan, processes=min(plan.processes, 3))  # each of which fills its own
    runs = in_processes("benchmarks.many:memory_cases", plan, *map(str, sizes))
    return grown(
        "MemoryStore",
        "dict.get",
        [Filled(count, each, seconds) for count in sizes],
        runs,
        notes=[*notes, f"Bytes and the time to create one are those of {counted:,} sessions."],
    )


def of_sqlite(sizes: Sequence[int], plan: Plan, like: Record) -> Table:
    sizes, notes = roomy(sizes)
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        found, more = filled_patiently(sizes, partial(fill_sqlite, folder, like=like))
        counts = [str(each.sessions) for each in found]
        runs = in_processes("benchmarks.many:sqlite_cases", plan, folder, *counts)
    return grown("SQLite", "SELECT", found, runs, at_most(1.3), [*notes, *more])


def fill_sqlite(folder: str, sessions: int, like: Record) -> Filled:
    path = os.path.join(folder, f"{sessions}.db")
    store = SQLiteStore(path)
    seconds = fill(store, sessions, like)
    store.close()
    size = sum(found.stat().st_size for found in Path(folder).glob(f"{sessions}.db*"))
    keys = sorted(map(key_of, range(sessions)))  # in any other order it takes too long
    fill_bare(f"{path}.bare", ((key, os.urandom(len(like.value))) for key in keys))
    return Filled(sessions, size / sessions, seconds / sessions)


def of_valkey(sizes: Sequence[int], plan: Plan, like: Record) -> Table:
    if (why := missing()) is not None:
        return Table(title_of("Valkey"), ("sessions",), [], notes=[f"Left out: {why}."])
    sizes, notes = roomy(sizes)
    with Valkey() as server:
        urls = {count: server.database(at) for at, count in enumerate(sizes)}
        found, more = filled_patiently(
            sizes, lambda count: fill_valkey(server, urls[count], count, like)
        )
        stores = [text for each in found for text in (urls[each.sessions], str(each.sessions))]
        runs = in_processes("benchmarks.many:valkey_cases", plan, *stores)
    return grown(
        "Valkey",
        "GET",
        found,
        runs,
        at_most(1.3),
        [f"{server_versions()}.", *notes, *more],
        bytes_each=at_most(2300),
    )


def fill_valkey(server: Valkey, url: str, sessions: int, like: Record) -> Filled:
    store, before = RedisStore(url), server.memory()
    seconds = fill(store, sessions, like)
    store.close()
    return Filled(sessions, (server.memory() - before) / sessions, seconds / sessions)


def of_postgres(sizes: Sequence[int], plan: Plan, like: Record) -> Table:
    if (why := postgres.missing()) is not None:
        return Table(title_of("PostgreSQL"), ("sessions",), [], notes=[f"Left out: {why}."])
    sizes, notes = roomy(sizes)
    with postgres.server() as server:
        found, more = filled_patiently(sizes, partial(fill_postgres, server, like=like))
        counts = [str(each.sessions) for each in found]
        runs = in_processes("benchmarks.many:postgres_cases", plan, server.dsn, *counts)
        notes = [f"{postgres.server_versions(server)}.", *notes, *more]
    return grown("PostgreSQL", "SELECT", found, runs, at_most(1.3), notes)


def fill_postgres(server: Any, sessions: int, like: Record) -> Filled:
    store = PostgresStore(server.dsn, table=table_of(sessions))
    seconds = fill(store, sessions, like)
    store.close()
    return Filled(
        sessions, postgres.size(server, table_of(sessions)) / sessions, seconds / sessions
    )


def table_of(sessions: int) -> str:
    return f"sessions_{sessions}"


def filled_patiently(
    sizes: Sequence[int], fill_one: Callable[[int], Filled]
) -> tuple[list[Filled], list[str]]:
    """The stores of these sizes, one after another, and a note if it would take too long."""
    found: list[Filled] = []
    for count in sizes:
        if found and found[-1].seconds * count > PATIENCE:
            return found, [
                f"{count:,} sessions are left out: creating them would take "
                f"{found[-1].seconds * count:,.0f} seconds here."
            ]
        found.append(fill_one(count))
    return found, []


def roomy(sizes: Sequence[int]) -> tuple[Sequence[int], list[str]]:
    """The sizes that there is room for here, and a note if that is not all."""
    large = [count for count in sizes if count >= LARGE]
    has_room = free_disk() >= DISK and free_memory() >= MEMORY
    if not large or has_room:
        return sizes, []
    note = (
        f"{large[0]:,} sessions are left out: that takes {DISK / 1e9:.0f} GB of disk and "
        f"{MEMORY / 1e9:.0f} GB of memory, and so much was not free here."
    )
    return [count for count in sizes if count < LARGE], [note]


def free_disk() -> int:
    found = os.statvfs(gettempdir())
    return found.f_bavail * found.f_frsize


def free_memory() -> int:
    """Bytes that may be had without swapping, by Linux's account; 0 where there is none."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def grown(
    place: str,
    verb: str,
    found: Sequence[Filled],
    runs: Sequence[Mapping[str, float]],
    limit: Limit | None = None,
    notes: Sequence[str] = (),
    bytes_each: Limit | None = None,
) -> Table:
    """A line for each size: what the bare look-up takes, and ours, and how both have grown."""
    few, most = found[0].sessions, found[-1].sessions
    rows = []
    for each in found:
        bare, ours = bare_of(verb, each.sessions), ours_of(each.sessions)
        rows.append(
            (
                f"{each.sessions:,}",
                spread(runs, bare).text(),
                spread(runs, bare, bare_of(verb, few)).text(),
                spread(runs, ours).text(),
                spread(runs, ours, ours_of(few)).text(),
                spread(runs, ours, bare).text(),
                f"{each.each:,.0f}",
                f"{each.seconds * 1e6:.0f}",
            )
        )
    aims = []
    if limit is not None:
        what = f"look-up among {most:,} sessions, {place}: of one among {few:,}"
        aims.append(Aim(what, spread(runs, ours_of(most), ours_of(few)), limit))
    if bytes_each is not None:
        aims.append(Aim(f"bytes of a session, {place}", Spread.of([found[-1].each]), bytes_each))
    head = (
        "sessions",
        f"{verb}, µs",
        f"times {few:,}'s",
        "load, µs",
        f"times {few:,}'s",
        f"load / {verb}",
        "bytes each",
        "µs to create",
    )
    return Table(title_of(place), head, rows, notes=notes, aims=aims)


def title_of(place: str) -> str:
    return f"Looking up one of very many sessions: {place}"


def spread(runs: Sequence[Mapping[str, float]], case: str, unit: str | None = None) -> Spread:
    return Spread.of([run[case] / (run[unit] if unit else 1.0) for run in runs])


def tables(plan: Plan = FULL) -> Iterator[Table]:
    sizes, like = SIZES.get(plan, SHORT), template()
    for each in (of_memory, of_sqlite, of_valkey, of_postgres):
        table = each(sizes, plan.shorter, like)
        yield replace(table, about=f"A record has {len(like.value):,} bytes of encrypted tokens.")


if __name__ == "__main__":
    print(*tables(), sep="\n")
